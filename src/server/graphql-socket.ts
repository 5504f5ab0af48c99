/**
 * One client on a WebSocket, speaking graphql-transport-ws
 * (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md): who it is, its operations by id, and
 * what is written to it.
 *
 * Messages are checked by graphql-ws; its server is not used. That one keeps an operation's end apart from
 * its id: of an id that is used again at once, the old operation's `complete` would end the new one. And
 * it holds the request and a chain of promises for each idle subscriber.
 *
 * Events are written past ws, to the socket itself. Order holds nevertheless: without compression ws
 * writes each frame whole, at the moment it is asked to.
 *
 * Invariants: nothing is written to a client that does not read – it is not read from either then – but
 * the one batch that filled its socket. After a close frame nothing is written.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import { GraphQLError } from 'graphql'
import { CloseCode, MessageType, parseMessage, type SubscribeMessage } from 'graphql-ws'
import type { RawData, WebSocket } from 'ws'
import type { Credentials } from '../access/authentication/authenticator.ts'
import type { Viewer } from '../access/viewer.ts'
import type { Payload } from '../events/live.ts'
import type { Clock } from '../fleet/clock.ts'
import { internal } from './answer-errors.ts'
import { Exchange } from './exchange.ts'
import { nextFrame, nextPrefix, textFrame, writeNextFrames } from './frames.ts'
import { tooMuch } from './limits.ts'
import { type OpenStream, type OpenStreams, Stall } from './open-streams.ts'
import { Operation, type OperationSetup, type Outlet, streamEnded } from './operation.ts'
import { originOf, requestOf, type GraphQLRequest } from './request.ts'

export interface SocketSetup extends OperationSetup {
  readonly streams: OpenStreams
  readonly clock: Clock
  readonly initTimeoutMs: number
  /** Operations of one socket at a time. */
  readonly maxOperations: number
}

/** `ws` knows no name for these two. */
const OPEN = 1
const GOING_AWAY = 1001

/** An id is sent with each event: clients use a number or a UUID. */
const MAX_ID = 128

/** Pings that a client may leave without an answer. */
const MISSED_PINGS = 2

export class GraphQLSocket implements OpenStream {
  readonly #setup: SocketSetup
  readonly #ws: WebSocket
  readonly #socket: Socket
  readonly #operations = new Map<string, SocketOutlet>()
  readonly #forget: () => void
  /** Until `connection_init` has come. */
  #headers: IncomingHttpHeaders | undefined
  /** Until it is known who it is: whoever is asked may never say. */
  #cancelInit: (() => void) | undefined
  #viewer: Viewer | undefined
  /** Pings since the last sign of life. */
  #silent = 0
  readonly #stall = new Stall()
  /** Messages that came in one piece with others before ws could be paused. */
  #held: { readonly data: RawData; readonly isBinary: boolean }[] | undefined

  /** Serves `ws`, which is open, until it closes; `socket` is the one under it. */
  static open(
    setup: SocketSetup,
    ws: WebSocket,
    socket: Socket,
    headers: IncomingHttpHeaders,
  ): GraphQLSocket {
    return new GraphQLSocket(setup, ws, socket, headers)
  }

  private constructor(setup: SocketSetup, ws: WebSocket, socket: Socket, headers: IncomingHttpHeaders) {
    this.#setup = setup
    this.#ws = ws
    this.#socket = socket
    this.#headers = headers
    this.#forget = setup.streams.add(this)
    this.#cancelInit = setup.clock.after(setup.initTimeoutMs, () =>
      this.close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout'),
    )
    ws.on('message', (data, isBinary) => this.#message(data, isBinary))
    ws.on('pong', () => (this.#silent = 0))
    ws.on('close', () => this.#closed())
    // ws closes by itself after it, with the code that says what the client did wrong.
    ws.on('error', (error) => setup.logger.debug({ err: error }, 'a WebSocket failed'))
    socket.on('drain', () => this.#drained())
    if (ws.protocol === '') this.close(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable')
  }

  get ready(): boolean {
    return !this.#socket.writableNeedDrain && this.#ws.readyState === OPEN
  }

  write(bytes: Buffer): void {
    if (this.#ws.readyState === OPEN) this.#socket.write(bytes)
  }

  writeNext(prefix: Buffer, payloads: readonly Payload[]): void {
    if (this.#ws.readyState === OPEN) writeNextFrames(this.#socket, prefix, payloads)
  }

  /** The operation has had its last word: its id is free. */
  done(outlet: SocketOutlet): void {
    if (this.#operations.get(outlet.id) === outlet) this.#operations.delete(outlet.id)
  }

  close(code: number, reason: string): void {
    if (this.#ws.readyState !== OPEN) return
    this.#ws.close(code, reason)
    this.#stop()
  }

  beat(): void {
    const { writableLength } = this.#socket
    if (this.#stall.isOver(writableLength, this.#socket)) this.terminate()
    // It could not see a ping behind what it has not read; nor those that are behind it already.
    else if (writableLength > 0) this.#silent = 0
    else if (this.#silent >= MISSED_PINGS) this.terminate()
    else if (this.#ws.readyState === OPEN) {
      this.#silent++
      this.#ws.ping()
    }
  }

  goAway(): void {
    this.close(GOING_AWAY, 'The server is shutting down: connect again.')
  }

  terminate(): void {
    this.#ws.terminate()
  }

  #message(data: RawData, isBinary: boolean): void {
    if (this.#ws.readyState !== OPEN) return
    this.#silent = 0
    // Whoever does not read the answers does not get to ask on.
    if (this.#held || this.#socket.writableNeedDrain) {
      ;(this.#held ??= []).push({ data, isBinary })
      this.#ws.pause()
      return
    }
    try {
      this.#take(data, isBinary)
    } catch (error) {
      // Nothing of the client's: a bug, which is not to end the process.
      this.close(CloseCode.InternalServerError, internal(error, this.#setup.logger).message)
    }
  }

  #take(data: RawData, isBinary: boolean): void {
    let message
    try {
      if (isBinary) throw new TypeError('expected text')
      // ws gives each message as one buffer unless it is told otherwise.
      message = parseMessage((data as Buffer).toString())
    } catch (error) {
      this.close(CloseCode.BadRequest, closeReason(`Invalid message: ${(error as Error).message}`))
      return
    }
    switch (message.type) {
      case MessageType.ConnectionInit:
        this.#initialise(message.payload)
        return
      case MessageType.Ping: {
        const { payload } = message
        this.write(textFrame(JSON.stringify({ type: MessageType.Pong, ...(payload && { payload }) })))
        return
      }
      case MessageType.Pong:
        return
      case MessageType.Subscribe:
        this.#subscribe(message)
        return
      case MessageType.Complete: {
        const outlet = this.#operations.get(message.id)
        this.#operations.delete(message.id)
        outlet?.stop()
        return
      }
      default:
        this.close(CloseCode.BadRequest, closeReason(`Invalid message: a client sends no ${message.type}`))
    }
  }

  #initialise(connectionParams: Record<string, unknown> | null | undefined): void {
    const headers = this.#headers
    if (!headers) {
      this.close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests')
      return
    }
    this.#headers = undefined
    const credentials: Credentials = {
      headers,
      remoteAddress: this.#socket.remoteAddress,
      ...(connectionParams && { connectionParams }),
    }
    const acknowledge = (viewer: Viewer) => {
      if (this.#ws.readyState !== OPEN) return
      this.#cancelInit?.()
      this.#viewer = viewer
      this.write(ACKNOWLEDGED)
    }
    try {
      const viewer = this.#setup.access.authenticate(credentials)
      if ('then' in viewer) viewer.then(acknowledge, (error: unknown) => this.#reject(error))
      else acknowledge(viewer)
    } catch (error) {
      this.#reject(error)
    }
  }

  #reject(error: unknown): void {
    const code = error instanceof GraphQLError ? error.extensions['code'] : undefined
    const { message } = code === undefined ? internal(error, this.#setup.logger) : (error as GraphQLError)
    if (code === 'UNAUTHENTICATED') this.close(CloseCode.Unauthorized, closeReason(message))
    else if (code === 'FORBIDDEN') this.close(CloseCode.Forbidden, closeReason(message))
    else this.close(CloseCode.InternalServerError, closeReason(message))
  }

  #subscribe({ id, payload }: SubscribeMessage): void {
    const viewer = this.#viewer
    if (!viewer) {
      this.close(CloseCode.Unauthorized, 'Unauthorized')
      return
    }
    if (this.#setup.streams.draining) {
      this.goAway()
      return
    }
    if (id.length > MAX_ID) {
      this.close(CloseCode.BadRequest, `Invalid message: an id has at most ${MAX_ID} characters`)
      return
    }
    if (this.#operations.has(id)) {
      this.close(CloseCode.SubscriberAlreadyExists, closeReason(`Subscriber for ${id} already exists`))
      return
    }
    const { maxOperations, access } = this.#setup
    const outlet = new SocketOutlet(this, id)
    if (this.#operations.size >= maxOperations) {
      outlet.fail([tooMuch('subscriptionsPerSocket', 'The socket has too many operations', maxOperations)])
      return
    }
    let request: GraphQLRequest
    try {
      request = requestOf({ ...payload }, originOf(this.#socket.remoteAddress))
    } catch (error) {
      if (!(error instanceof GraphQLError)) throw error
      outlet.fail([error])
      return
    }
    this.#operations.set(id, outlet)
    outlet.operation = new Operation(this.#setup, new Exchange(viewer, access), outlet)
    outlet.operation.start(request)
  }

  /** The client has read what it was sent. Which operation came last the last time comes first. */
  #drained(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const { data, isBinary } of held) this.#message(data, isBinary)
    if (!this.#held && this.#ws.isPaused) this.#ws.resume()
    const outlets = [...this.#operations.values()]
    for (const outlet of outlets) {
      if (!this.ready) return
      if (!outlet.onReady) continue
      this.#operations.delete(outlet.id)
      this.#operations.set(outlet.id, outlet)
      outlet.onReady()
    }
  }

  #closed(): void {
    this.#stop()
    this.#forget()
  }

  #stop(): void {
    this.#cancelInit?.()
    this.#headers = undefined
    this.#viewer = undefined
    this.#held = undefined
    for (const outlet of this.#operations.values()) outlet.stop()
    this.#operations.clear()
  }
}

/** One operation's share of its socket. */
class SocketOutlet implements Outlet {
  readonly id: string
  readonly #socket: GraphQLSocket
  readonly #prefix: Buffer
  onReady: (() => void) | undefined
  operation: Operation | undefined

  constructor(socket: GraphQLSocket, id: string) {
    this.#socket = socket
    this.id = id
    this.#prefix = nextPrefix(id)
  }

  get ready(): boolean {
    return this.#socket.ready
  }

  write(payloads: readonly Payload[]): void {
    if (payloads.length > 0) this.#socket.writeNext(this.#prefix, payloads)
  }

  next(json: Buffer | string): void {
    this.#socket.write(nextFrame(this.#prefix, json))
  }

  fail(errors: readonly GraphQLError[]): void {
    const { id } = this
    this.#socket.write(textFrame(JSON.stringify({ id, type: MessageType.Error, payload: errors })))
    this.#socket.done(this)
  }

  complete(): void {
    this.#socket.write(textFrame(JSON.stringify({ id: this.id, type: MessageType.Complete })))
    this.#socket.done(this)
  }

  end(reason: string): void {
    this.fail([streamEnded(reason)])
    this.stop()
  }

  stop(): void {
    this.operation?.stop()
  }
}

const ACKNOWLEDGED = textFrame(JSON.stringify({ type: MessageType.ConnectionAck }))

/** A close frame has room for 123 bytes. */
function closeReason(text: string): string {
  const bytes = Buffer.from(text)
  // Cut within a letter it would be no UTF-8, and the client would see another error.
  return bytes.length <= 123
    ? text
    : bytes
        .subarray(0, 120)
        .toString()
        .replace(/\uFFFD+$/, '')
}
