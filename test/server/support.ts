/** A server over the zoo on a free port, and raw requests to it: what `fetch` would not send. */
import { connect } from 'node:net'
import { everything } from '../../src/access/policy.ts'
import type { Logger } from '../../src/server/logger.ts'
import { startServer, type RunningServer, type ServerSetup } from '../../src/server/server.ts'
import { FakeHub } from './fake-hub.ts'
import { zoo, zooAccess } from './zoo.ts'

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Record<string, unknown>
  readonly message: string
}

/** Collects what is logged. */
export function collectingLogger(debug = false): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: LogLine['level']) => (fields: object, message: string) => {
    lines.push({ level, fields: { ...fields }, message })
  }
  return {
    lines,
    isLevelEnabled: (level) => debug || level !== 'debug',
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
}

export type ZooServer = RunningServer & {
  readonly log: readonly LogLine[]
  readonly access: ReturnType<typeof zooAccess>
  readonly hub: FakeHub
  /** POSTs a query as JSON. */
  ask(query: string, more?: object, headers?: Record<string, string>): Promise<Response>
}

export async function zooServer(
  setup: Partial<Omit<ServerSetup, 'access' | 'logger'>> = {},
  state: { revision: number } = { revision: 0 },
): Promise<ZooServer> {
  const logger = collectingLogger(true)
  const hub = new FakeHub()
  const access = zooAccess(state, hub)
  const server = await startServer({
    schema: zoo,
    policy: everything,
    fleet: { clusters: [] },
    ...setup,
    access,
    logger,
    options: { port: 0, ...setup.options },
  })
  return {
    ...server,
    get load() {
      return server.load
    },
    log: logger.lines,
    access,
    hub,
    ask: (query, more = {}, headers = {}) =>
      fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ query, ...more }),
      }),
  }
}

/** Sends bytes as they are and gives all that comes back until the server closes the connection. */
export function raw(url: string, ...parts: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' })
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('close', () => resolve(text))
    socket.on('error', (error) => (text ? resolve(text) : reject(error)))
    for (const part of parts) socket.write(part)
  })
}
