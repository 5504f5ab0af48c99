/**
 * A server of nothing but node:http that reads what comes and says to come again later, as a process of its own. Who
 * attacks it does to the machine what attacking the gateway does, and nothing to the gateway.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answer } from './remote.ts'

const handlers = {
  /** Gives its port. */
  async listen(): Promise<number> {
    const server = createServer((request, response) => {
      request.resume()
      request.once('end', () => response.writeHead(429, ['content-length', '0']).end())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },
}
export type BareRefuser = typeof handlers

answer(handlers)
