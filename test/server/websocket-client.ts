/**
 * A WebSocket that sends what it is told and keeps what it gets, in order: for what a well-behaved client
 * never does. Its messages are awaited, so that no test sleeps.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { WebSocket, type ClientOptions } from 'ws'

export interface Message {
  readonly id?: string
  readonly type: string
  readonly payload?: unknown
}

export class RawClient {
  readonly ws: WebSocket
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  readonly #messages: Message[] = []
  #waiting: (() => void) | undefined

  constructor(
    url: string,
    protocols: string | string[] | undefined = 'graphql-transport-ws',
    options?: ClientOptions,
  ) {
    this.ws = new WebSocket(`${url.replace('http', 'ws')}/graphql`, protocols, options)
    this.closed = new Promise((resolve) =>
      this.ws.on('close', (code, reason) => resolve({ code, reason: reason.toString() })),
    )
    this.ws.on('error', () => undefined)
    this.ws.on('message', (data) => {
      this.#messages.push(JSON.parse((data as Buffer).toString()) as Message)
      this.#waiting?.()
    })
  }

  /** Open, initialised and acknowledged. */
  static async connected(url: string, payload?: object): Promise<RawClient> {
    const client = await RawClient.open(url)
    client.send({ type: 'connection_init', ...(payload && { payload }) })
    const { type } = await client.next()
    if (type !== 'connection_ack') throw new Error(`expected an acknowledgement, got ${type}`)
    return client
  }

  static async open(url: string): Promise<RawClient> {
    const client = new RawClient(url)
    await once(client.ws, 'open')
    return client
  }

  send(message: unknown): void {
    this.ws.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
  }

  subscribe(id: string, query: string, variables?: object): void {
    this.send({ id, type: 'subscribe', payload: { query, ...(variables && { variables }) } })
  }

  /** The next message; rejects when the socket closes before. */
  async next(): Promise<Message> {
    while (this.#messages.length === 0) {
      const more = new Promise<void>((resolve) => (this.#waiting = resolve))
      const closed = await Promise.race([more, this.closed])
      if (closed && this.#messages.length === 0) throw new Error(`closed: ${closed.code} ${closed.reason}`)
    }
    return this.#messages.shift()!
  }

  /** What has come and was not asked for yet. */
  get pending(): readonly Message[] {
    return this.#messages
  }

  /** Takes the first message that is meant, whatever came before it. */
  async take(isMeant: (message: Message) => boolean): Promise<Message> {
    while (!this.#messages.some(isMeant)) {
      await new Promise<void>((resolve) => (this.#waiting = resolve))
    }
    return this.#messages.splice(this.#messages.findIndex(isMeant), 1)[0]!
  }

  /** A turn to the server and back: all that was sent before has been taken. */
  async settled(): Promise<void> {
    const key = Math.random()
    this.send({ type: 'ping', payload: { key } })
    const isAnswer = ({ type, payload }: Message) =>
      type === 'pong' && (payload as { key?: number } | undefined)?.key === key
    await this.take(isAnswer)
  }

  async close(): Promise<void> {
    this.ws.close()
    await this.closed
  }
}

/** The bytes of a handshake; the rest of the connection is the test's. */
export async function rawUpgrade(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  path = '/graphql',
): Promise<{ readonly socket: Socket; readonly head: string }> {
  const { port, host } = new URL(url)
  const socket = connect({ port: Number(port), host: '127.0.0.1' })
  socket.on('error', () => undefined)
  const all = {
    host,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-protocol': 'graphql-transport-ws',
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  let head = ''
  while (!head.includes('\r\n\r\n')) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    head += chunk.toString('latin1')
  }
  return { socket, head }
}

/** A masked frame, as clients send them. */
export function clientFrame(payload: string | Buffer, opcode = 1, fin = true): Buffer {
  const data = Buffer.from(payload)
  const mask = Buffer.from([1, 2, 3, 4])
  const head =
    data.length < 126
      ? Buffer.from([0, 0x80 | data.length])
      : Buffer.from([0, 0x80 | 126, data.length >> 8, data.length & 0xff])
  head[0] = (fin ? 0x80 : 0) | opcode
  return Buffer.concat([head, mask, data.map((byte, index) => byte ^ mask[index % 4]!)])
}
