/**
 * Thousands of graphql-transport-ws subscribers in one process, which count what they get: the receiving
 * side of the fan-out benchmarks. They are sockets with the least that the protocol needs, so that they are
 * never what is measured: all read into one buffer, and of a message that is no longer of interest only
 * its length and two letters of its type are looked at.
 *
 * Subscribers are in pools, one for each server. Each has an id of its own. Whatever is not expected –
 * an error, a complete, a closed socket – ends the benchmark.
 */
import { randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { clientFrame, frameAt, PING, PONG, TEXT, type Frame } from './live-frames.ts'
import { answer } from './remote.ts'
import { signIn } from './sign-in.ts'

export interface Subscription {
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>>
}

interface Connect {
  readonly pool: string
  readonly port: number
  readonly subscribers: number
  /** Subscriber n has the one at n modulo their number. */
  readonly subscriptions: readonly Subscription[]
}

/** Sockets of one address that connect at a time, and the most that one address has. */
const CONNECTING = 100
const PER_ADDRESS = 2_500
/** For messages. */
const PATIENCE_MS = 60_000

class Pool {
  readonly receivers: Receiver[] = []
  /** Messages since the last reset. */
  count = 0
  bytes = 0
  /** The text of the latest message that was looked at. */
  sample = ''
  /** How many receivers have had a message since the last reset. */
  heard = 0
  generation = 0
  #wanted = Infinity
  #reached: () => void = () => {}

  reset(): void {
    this.count = this.bytes = this.heard = 0
    this.generation++
  }

  /** Resolves when so many messages have come since the last reset. */
  until(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`only ${this.count} of ${count} messages have come`))
      const timer = setTimeout(late, PATIENCE_MS)
      this.#wanted = count
      this.#reached = () => {
        clearTimeout(timer)
        resolve()
      }
      this.check()
    })
  }

  check(): void {
    if (this.count < this.#wanted) return
    this.#wanted = Infinity
    this.#reached()
  }
}

const shared = Buffer.allocUnsafe(1 << 18)

class Receiver {
  readonly #pool: Pool
  readonly #socket: Socket
  readonly #subscription: Subscription
  readonly #id = randomUUID()
  readonly #done: () => void
  #state: 'handshake' | 'init' | 'subscribed' = 'handshake'
  /** The start of something that has not come whole. */
  #rest: Buffer | undefined
  /** Bytes of the current message that are still to come. */
  #skip = 0
  /** Where the type of a message stands in its text; 0: not known before the first has been read. */
  #typeAt = 0
  #heard = -1
  #closing = false

  constructor(pool: Pool, { port, index, subscription, done }: ReceiverOptions) {
    this.#pool = pool
    this.#subscription = subscription
    this.#done = done
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      localAddress: `127.0.0.${2 + Math.floor(index / PER_ADDRESS)}`,
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (length, buffer) => {
          this.#read(buffer as Buffer, length)
          return true
        },
      },
    })
    this.#socket.on('connect', () => this.#socket.write(handshake(port)))
    this.#socket.on('error', (error) => fail(error.message))
    this.#socket.on('close', () => {
      if (!this.#closing) fail('a socket was closed')
    })
  }

  /** Reads nothing any more. */
  pause(): void {
    this.#socket.pause()
  }

  close(): void {
    this.#closing = true
    this.#socket.destroy()
  }

  #read(buffer: Buffer, length: number): void {
    let bytes = buffer
    let end = length
    if (this.#rest) {
      bytes = Buffer.concat([this.#rest, buffer.subarray(0, length)])
      end = bytes.length
      this.#rest = undefined
    }
    const before = this.#pool.count
    let at = this.#state === 'handshake' ? this.#opened(bytes, end) : 0
    while (at < end && this.#state !== 'handshake') {
      if (this.#skip > 0) {
        const part = Math.min(this.#skip, end - at)
        this.#skip -= part
        at += part
        continue
      }
      const frame = frameAt(bytes, at, end)
      if (!frame) break
      const stop = frame.start + frame.length
      if (end > frame.start + this.#typeAt + 1 && this.#counted(bytes, at, frame)) {
        this.#pool.count++
        this.#pool.bytes += frame.length
        this.#skip = Math.max(0, stop - end)
      } else {
        if (stop > end) break
        this.#message(bytes[at]!, bytes.toString('utf8', frame.start, stop))
      }
      at = Math.min(stop, end)
    }
    if (at < end) this.#rest = Buffer.from(bytes.subarray(at, end))
    if (this.#pool.count === before) return
    if (this.#heard !== this.#pool.generation) {
      this.#heard = this.#pool.generation
      this.#pool.heard++
    }
    this.#pool.check()
  }

  /** Whether this is a `next`, by the first two letters of its type: not before the first has been read. */
  #counted(bytes: Buffer, at: number, { start, length }: Frame): boolean {
    const type = this.#typeAt
    if (type === 0 || bytes[at] !== TEXT || length <= type) return false
    return bytes[start + type] === 0x6e && bytes[start + type + 1] === 0x65
  }

  /** Where the frames begin. */
  #opened(bytes: Buffer, end: number): number {
    const head = bytes.toString('latin1', 0, end)
    const stop = head.indexOf('\r\n\r\n')
    if (stop === -1) return 0
    if (!head.startsWith('HTTP/1.1 101')) fail(`no WebSocket: ${head}`)
    this.#state = 'init'
    this.#socket.write(clientFrame({ type: 'connection_init', payload: signIn() }))
    return stop + 4
  }

  #message(opcode: number, text: string): void {
    if (opcode === PING) {
      this.#socket.write(PONG)
      return
    }
    if (opcode !== TEXT) fail(`a frame of opcode ${opcode}: ${text}`)
    const message = JSON.parse(text) as { id?: string; type: string; payload?: { errors?: unknown } }
    if (message.type === 'connection_ack') {
      this.#state = 'subscribed'
      this.#socket.write(clientFrame({ id: this.#id, type: 'subscribe', payload: this.#subscription }))
      this.#done()
    } else if (message.type === 'ping') {
      this.#socket.write(clientFrame({ type: 'pong' }))
    } else if (message.type === 'next' && message.id === this.#id && !message.payload?.errors) {
      this.#typeAt = text.indexOf('"next"') + 1
      this.#pool.sample = text
      this.#pool.count++
      this.#pool.bytes += Buffer.byteLength(text)
    } else fail(`not what was subscribed to: ${text}`)
  }
}

interface ReceiverOptions {
  readonly port: number
  readonly index: number
  readonly subscription: Subscription
  /** Called when the subscription has been sent. */
  readonly done: () => void
}

function handshake(port: number): string {
  return [
    'GET /graphql HTTP/1.1',
    `host: 127.0.0.1:${port}`,
    'connection: Upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-protocol: graphql-transport-ws',
    '\r\n',
  ].join('\r\n')
}

function fail(why: string): never {
  process.stderr.write(`receivers: ${why.slice(0, 1_000)}\n`)
  process.exit(1)
}

const pools = new Map<string, Pool>()

const handlers = {
  /** Resolves when every subscription has been sent. */
  async connect({ pool: name, port, subscribers, subscriptions }: Connect): Promise<void> {
    const pool = new Pool()
    pools.set(name, pool)
    for (let at = 0; at < subscribers; at += CONNECTING) {
      const some = Array.from(
        { length: Math.min(CONNECTING, subscribers - at) },
        (_, i) =>
          new Promise<void>((done) => {
            const index = at + i
            const subscription = subscriptions[index % subscriptions.length]!
            pool.receivers.push(new Receiver(pool, { port, index, subscription, done }))
          }),
      )
      await Promise.all(some)
    }
  },
  reset(pool: string): void {
    pools.get(pool)!.reset()
  },
  /** Resolves when the pool has had so many messages since the last reset. */
  until({ pool, count }: { readonly pool: string; readonly count: number }): Promise<void> {
    return pools.get(pool)!.until(count)
  },
  /** Since the last reset. */
  counted(pool: string) {
    const { count, bytes, heard, sample } = pools.get(pool)!
    return { count, bytes, heard, sample, cpu: process.cpuUsage() }
  },
  pause(pool: string): void {
    for (const receiver of pools.get(pool)!.receivers) receiver.pause()
  },
  close(pool: string): void {
    for (const receiver of pools.get(pool)!.receivers) receiver.close()
    pools.delete(pool)
  },
}
export type ReceiverHandlers = typeof handlers

answer(handlers)
