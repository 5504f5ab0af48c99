/**
 * The client side of the page benchmarks: asks for the same page over kept connections, a few
 * requests in flight on each, and compares two servers in turns, since the machine is never the same twice.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { median, type Figure } from '../figure.ts'
import type { Mode } from './page-server.ts'

const QUERY = `query Page($first: Int!) {
  pods(first: $first) {
    nodes {
      id uid name namespace phase status ready restarts podIP qosClass serviceAccountName creationTimestamp
      node { name }
    }
    pageInfo { hasNextPage endCursor }
  }
}`

const CONNECTIONS = 8
const IN_FLIGHT = 8
const ROUNDS = 7
const ROUND_MS = 1_200

const BODY = JSON.stringify({ query: QUERY, operationName: 'Page', variables: { first: 100 } })
const REQUEST = Buffer.from(
  [
    'POST /graphql HTTP/1.1',
    'host: 127.0.0.1',
    'content-type: application/json',
    'accept: application/json',
    `content-length: ${Buffer.byteLength(BODY)}`,
    '',
    BODY,
  ].join('\r\n'),
)

/**
 * One kept connection, with a few requests in flight; asks again for each answer. It reads into one buffer
 * and looks at nothing but lengths: what it costs is not to be what is measured.
 */
class Asker {
  readonly #socket: Socket
  #head = ''
  #missing = 0
  answers = 0
  /** Stops asking when false. */
  running = false

  constructor(port: number) {
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(1 << 18),
        callback: (length, buffer) => {
          this.#read(buffer as Buffer, length)
          return true
        },
      },
    })
  }

  start(): void {
    this.running = true
    this.#socket.write(Buffer.concat(Array<Buffer>(IN_FLIGHT).fill(REQUEST)))
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(buffer: Buffer, length: number): void {
    let offset = 0
    let again = 0
    while (offset < length) {
      if (this.#missing === 0) {
        // A head may come in two parts; one never has more than a kilobyte.
        const text = this.#head + buffer.toString('latin1', offset, Math.min(length, offset + 1_024))
        const end = text.indexOf('\r\n\r\n')
        if (end === -1) {
          this.#head = text
          break
        }
        const body = /content-length: (\d+)/i.exec(text.slice(0, end))?.[1]
        if (!text.startsWith('HTTP/1.1 200') || !body) throw new Error(`Unexpected answer: ${text}`)
        this.#missing = Number(body)
        offset += end + 4 - this.#head.length
        this.#head = ''
      }
      const part = Math.min(this.#missing, length - offset)
      offset += part
      this.#missing -= part
      if (this.#missing > 0) break
      this.answers++
      again++
    }
    if (again > 0 && this.running) {
      this.#socket.write(again === 1 ? REQUEST : Buffer.concat(Array<Buffer>(again).fill(REQUEST)))
    }
  }
}

class Subject {
  readonly #process: ChildProcess
  #askers: readonly Asker[] = []
  readonly port: number
  readonly rates: number[] = []
  readonly micros: number[] = []

  private constructor(process: ChildProcess, port: number) {
    this.#process = process
    this.port = port
  }

  static async start(mode: Mode, execArgv: readonly string[] = []): Promise<Subject> {
    const child = fork(fileURLToPath(new URL('page-server.ts', import.meta.url)), [mode], {
      execArgv: [...execArgv],
    })
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    return new Subject(child, port)
  }

  /** What it answers, as text. */
  async ask(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.port}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: BODY,
    })
    return response.text()
  }

  tell(answer: string): void {
    this.#process.send({ answer })
  }

  /** One round; noted unless it is to warm up. */
  async round(noted: boolean): Promise<void> {
    // Not before: a server drops connections that ask nothing while another one starts.
    if (this.#askers.length === 0) {
      this.#askers = Array.from({ length: CONNECTIONS }, () => new Asker(this.port))
    }
    for (const asker of this.#askers) asker.answers = 0
    const [cpu, started] = [await this.#cpu(), performance.now()]
    for (const asker of this.#askers) asker.start()
    await new Promise((resolve) => setTimeout(resolve, ROUND_MS))
    for (const asker of this.#askers) asker.running = false
    const answers = this.#askers.reduce((sum, asker) => sum + asker.answers, 0)
    const [seconds, spent] = [(performance.now() - started) / 1000, (await this.#cpu()) - cpu]
    if (!noted) return
    this.rates.push(answers / seconds)
    this.micros.push(spent / answers)
  }

  async stop(): Promise<void> {
    for (const asker of this.#askers) asker.close()
    const gone = once(this.#process, 'exit')
    this.#process.disconnect()
    await gone
  }

  async #cpu(): Promise<number> {
    const answer = once(this.#process, 'message') as Promise<[{ cpuMicros: number }]>
    this.#process.send({ cpu: true })
    const [{ cpuMicros }] = await answer
    return cpuMicros
  }
}

/** The server in this mode against plain node:http: see `compareServers`. */
export function comparePages(name: string, mode: Mode, atLeast: number): Promise<readonly Figure[]> {
  return compareServers(name, mode, 'limit', atLeast)
}

/**
 * One server against another: requests a second, as the client saw them, and beside it those that a second of
 * the server's CPU time answers. Both are held to the same bound. Client and
 * server share two cores here, so on a busy machine the first tells of the client as well.
 */
export async function compareServers(
  name: string,
  mode: Mode,
  against: Mode,
  atLeast: number,
): Promise<readonly Figure[]> {
  const server = await Subject.start(mode, process.env['BENCH_PROFILE'] ? ['--cpu-prof'] : [])
  const limit = await Subject.start(against)
  try {
    const answer = await server.ask()
    requirePage(answer)
    if (against === 'limit') limit.tell(answer)
    else requirePage(await limit.ask())
    for (let round = -2; round < ROUNDS; round++) {
      await limit.round(round >= 0)
      await server.round(round >= 0)
    }
    const perCore = (micros: readonly number[]) => 1e6 / median(micros)
    const target = { of: 'ratio', atLeast } as const
    return [
      { name, value: median(server.rates), unit: 'requests/s', limit: median(limit.rates), target },
      {
        name: `${name}-cpu`,
        value: perCore(server.micros),
        unit: 'requests/s of CPU',
        limit: perCore(limit.micros),
        target,
      },
    ]
  } finally {
    await Promise.all([server.stop(), limit.stop()])
  }
}

/** Throws where it is not a hundred pods with their nodes. */
function requirePage(answer: string): void {
  const { data, errors } = JSON.parse(answer) as {
    data?: { pods: { nodes: { node: { name: string } | null }[] } }
    errors?: unknown
  }
  const page = data?.pods.nodes ?? []
  if (errors || page.length !== 100 || !page.every(({ node }) => node?.name)) {
    throw new Error(`This is not the page: ${answer.slice(0, 500)}`)
  }
}
