/** Sends requests as nobody's client library would, and keeps an honest client beside them. */
import { request, type Agent, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import type { AttackedServer } from './attacked-server.ts'
import { tokenOf } from './attacked-server.ts'
import type { Attack } from './attacks.ts'

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** `extensions.code` of the first error. */
  readonly code: string | undefined
}

/** Sockets that may fail when nobody waits for them any more. */
const heard = new WeakSet<object>()

export function sendAttack(
  { port }: Pick<AttackedServer, 'port'>,
  attack: Attack,
  user = 'mallory',
  agent?: Agent,
): Promise<Reply> {
  const { method = 'POST', path = '/graphql', headers = {}, body } = attack
  const bytes = body?.()
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        method,
        path,
        ...(agent && { agent }),
        headers: {
          authorization: `Bearer ${tokenOf(user)}`,
          'content-type': 'application/json',
          accept: 'application/graphql-response+json',
          ...(bytes !== undefined && { 'content-length': Buffer.byteLength(bytes) }),
          ...headers,
        },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (text += chunk))
        response.on('end', () => {
          answered = true
          const { statusCode = 0, headers } = response
          resolve({ status: statusCode, headers, text, code: codeOf(text) })
        })
      },
    )
    let answered = false
    // A server that has refused a body does not read the rest of it: that is no failure.
    sent.on('error', (error) => setImmediate(() => answered || reject(error)))
    // Nor is it when the request is done with.
    sent.on('socket', (socket) => {
      if (!heard.has(socket)) socket.on('error', () => {})
      heard.add(socket)
    })
    sent.end(bytes)
  })
}

function codeOf(text: string): string | undefined {
  try {
    const { errors } = JSON.parse(text) as { errors?: readonly { extensions?: { code?: string } }[] }
    return errors?.[0]?.extensions?.code
  } catch {
    return undefined
  }
}

/** Bytes as they are; gives all that comes back until the server closes the connection. */
export function sendBytes(port: number, ...parts: readonly (string | Buffer)[]): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('data', (chunk) => (text += chunk.toString('latin1')))
    socket.on('close', () => resolve(text))
    socket.on('error', () => resolve(text))
    for (const part of parts) socket.write(part)
  })
}

/** Somebody who asks for a page of pods every few milliseconds; or several, one after the other. */
export class HonestClient {
  readonly #server: AttackedServer
  readonly #everyMs: number
  readonly #users: readonly string[]
  #running = true
  readonly #loop: Promise<void>
  /** Milliseconds of each answer. */
  readonly latencies: number[] = []
  readonly failures: string[] = []

  constructor(server: AttackedServer, everyMs = 20, users: readonly string[] = ['alice']) {
    this.#server = server
    this.#everyMs = everyMs
    this.#users = users
    this.#loop = this.#run()
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#loop
  }

  async #run(): Promise<void> {
    const body = JSON.stringify({ query: '{ pods(first: 20) { nodes { name namespace status } } }' })
    while (this.#running) {
      const user = this.#users[this.latencies.length % this.#users.length]!
      const started = performance.now()
      try {
        const response = await fetch(`${this.#server.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${tokenOf(user)}` },
          body,
        })
        const text = await response.text()
        if (!text.startsWith('{"data":{"pods":{"nodes":[{"name"')) this.failures.push(text.slice(0, 200))
      } catch (error) {
        this.failures.push(String(error))
      }
      this.latencies.push(performance.now() - started)
      await new Promise((resolve) => setTimeout(resolve, this.#everyMs))
    }
  }
}
