/**
 * A port of loopback that was free a moment ago, for a server that has to come back to it. Below the range
 * from which the kernel takes ports of outgoing connections: a client that keeps trying a dead server there
 * could connect to itself, and hold the port when the server comes back.
 */
import { createServer } from 'node:net'

export async function sparePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    await new Promise((resolve) => server.close(resolve))
    if (free) return port
  }
}
