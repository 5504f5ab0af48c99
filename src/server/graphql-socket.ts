/**
 * One client on a WebSocket, speaking graphql-transport-ws
 * (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md): who it is, its operations by id, and
 * what is written to it.
 *
 * `connection_ack` tells `{ viewer, expiresAt }`. Before that time the client may renew its sign-in: the
 * protocol allows no second `connection_init`, but a payload in pings, so it sends
 * `{"type":"ping","payload":{"type":"reauthenticate","authorization":"Bearer …"}}` and gets a `pong` with
 * `{"type":"reauthenticated","expiresAt":…}`, or with `{"type":"reauthenticationFailed","message":…}`, and
 * then the sign-in that it has goes on until its end. Its operations go on in both cases, with the rights
 * that the viewer has by then. When the sign-in ends, all of them stop at once, and the socket is closed.
 *
 * Messages are checked by graphql-ws; its server is not used. That one keeps an operation's end apart from
 * its id: of an id that is used again at once, the old operation's `complete` would end the new one. And
 * it holds the request and a chain of promises for each idle subscriber.
 *
 * Events are written past ws, to the socket itself. Order holds nevertheless: without compression ws
 * writes each frame whole, at the moment it is asked to.
 *
 * Invariants: nothing is written to a client that does not read – it is not read from either then – but
 * the one batch that filled its socket. After a close frame nothing is written. Who is not signed in can
 * send next to nothing; who is, no faster than `Pace` allows.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { GraphQLError } from 'graphql'
import { CloseCode, MessageType, parseMessage, type SubscribeMessage } from 'graphql-ws'
import type { RawData, WebSocket } from 'ws'
import type { SignInEnd, Viewer } from '../access/viewer.ts'
import type { Payload } from '../events/live.ts'
import type { Clock } from '../fleet/clock.ts'
import { internal, REFUSALS } from './answer-errors.ts'
import { Exchange } from './exchange.ts'
import { credentialsOf } from './graphql-endpoint.ts'
import { nextFrame, nextPrefix, textFrame, writeNextFrames } from './frames.ts'
import { tooMuch } from './limits.ts'
import { type OpenStream, type OpenStreams, Stall } from './open-streams.ts'
import { Operation, type OperationSetup, type Outlet, streamEnded } from './operation.ts'
import { Presence, type PresenceSetup } from './presence.ts'
import { Pace, SECONDS_ABOVE_PACE, SOCKET_PACE } from './quotas.ts'
import { callerOf, jsonOf, requestOf, type Caller, type GraphQLRequest } from './request.ts'
import type { CalledCredentials } from './sign-in-guard.ts'

export interface SocketSetup extends OperationSetup, PresenceSetup {
  readonly streams: OpenStreams
  readonly clock: Clock
  readonly initTimeoutMs: number
  /** Operations of one socket at a time. */
  readonly maxOperations: number
}

/** `ws` knows no names for these (RFC 6455 §7.4.1). */
const OPEN = 1
const GOING_AWAY = 1001
const POLICY_VIOLATION = 1008
const MESSAGE_TOO_BIG = 1009

/** Before it is known who it is: a token has some KB, and beside it there is nothing to say but pings. */
const EARLY_BYTES = 16 * 1024

/**
 * Messages that came before ws could be paused, in some 64 KB. Nobody who means well sends so many in one
 * piece.
 */
const MAX_HELD = 1_000

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
  #credentials: CalledCredentials | undefined
  /** Of the client, also behind a proxy of ours: where the socket comes from is the address of all its clients. */
  readonly #address: string | undefined
  /** Until it is known who it is: whoever is asked may never say. */
  #cancelInit: (() => void) | undefined
  /** Until then too: ends the counting of what it sends. */
  #countNoMore: (() => void) | undefined
  #presence: Presence | undefined
  #isRenewing = false
  /** Pings since the last sign of life. */
  #silent = 0
  readonly #stall = new Stall()
  /** Messages that came in one piece with others before ws could be paused. */
  #held: { readonly data: RawData; readonly isBinary: boolean }[] | undefined
  readonly #pace = new Pace(SOCKET_PACE)
  /** While it is too fast. */
  #cancelSlow: (() => void) | undefined

  /** Serves `ws`, which is open, until it closes; `socket` is the one under it. */
  static open(setup: SocketSetup, ws: WebSocket, socket: Socket, request: IncomingMessage): GraphQLSocket {
    return new GraphQLSocket(setup, ws, socket, credentialsOf(request))
  }

  private constructor(setup: SocketSetup, ws: WebSocket, socket: Socket, credentials: CalledCredentials) {
    this.#setup = setup
    this.#ws = ws
    this.#socket = socket
    this.#credentials = credentials
    this.#address = credentials.caller?.remoteAddress ?? credentials.remoteAddress
    this.#forget = setup.streams.add(this)
    this.#cancelInit = setup.clock.after(setup.initTimeoutMs, () =>
      this.close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout'),
    )
    ws.on('message', (data, isBinary) => this.#message(data, isBinary))
    ws.on('ping', (data) => this.#control(() => this.ready && this.#ws.pong(data)))
    ws.on('pong', () => this.#control(() => {}))
    ws.on('close', () => this.#closed())
    // ws closes by itself after it, with the code that says what the client did wrong.
    ws.on('error', (error) => setup.logger.debug({ err: error }, 'a WebSocket failed'))
    socket.on('drain', () => this.#drained())
    this.#countEarly()
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

  /** Closes, and hears nothing of what is still coming. */
  #drop(code: number, reason: string): void {
    if (this.#presence) this.#setup.quotas.flooded(this.#presence.viewer(), reason, this.#caller())
    this.close(code, reason)
    this.#ws.pause()
    this.#socket.end()
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
    if (this.#held || this.#socket.writableNeedDrain || this.#isTooFast()) {
      this.#hold(data, isBinary)
      return
    }
    this.#count((data as Buffer).length)
    try {
      this.#take(data, isBinary)
    } catch (error) {
      // Nothing of the client's: a bug, which is not to end the process.
      this.close(CloseCode.InternalServerError, internal(error, this.#setup.logger).message)
    }
  }

  #hold(data: RawData, isBinary: boolean): void {
    if (this.#ws.readyState !== OPEN) return
    const held = (this.#held ??= [])
    held.push({ data, isBinary })
    this.#ws.pause()
    if (held.length > MAX_HELD) {
      this.#drop(POLICY_VIOLATION, 'Too many messages at once')
    }
  }

  /** A ping or a pong of the WebSocket itself. */
  #control(answer: () => void): void {
    this.#silent = 0
    if (this.#ws.readyState !== OPEN) return
    if (this.#isTooFast()) this.#ws.pause()
    else {
      this.#count(0)
      answer()
    }
  }

  /** Whether it, or its user, has sent enough for now; then it is read on when the second is over. */
  #isTooFast(): boolean {
    const { clock } = this.#setup
    const now = clock.now()
    const wait = Math.max(this.#pace.wait(now), this.#presence?.pace?.wait(now) ?? 0)
    if (wait === 0) return false
    if (this.#pace.secondsAbove >= SECONDS_ABOVE_PACE) {
      this.#drop(POLICY_VIOLATION, 'Too many messages for too long')
      return true
    }
    this.#cancelSlow ??= clock.after(wait, () => {
      this.#cancelSlow = undefined
      this.#readOn()
    })
    return true
  }

  #count(bytes: number): void {
    this.#pace.count(bytes)
    this.#presence?.pace?.count(bytes)
  }

  /** Closes a socket that sends much before it is known whose it is, also in one message without an end. */
  #countEarly(): void {
    const socket = this.#socket
    let bytes = 0
    const count = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= EARLY_BYTES) return
      this.#drop(MESSAGE_TOO_BIG, `At most ${EARLY_BYTES} bytes before connection_ack`)
    }
    // Before ws takes it.
    socket.prependListener('data', count)
    this.#countNoMore = () => {
      socket.off('data', count)
      this.#countNoMore = undefined
    }
  }

  #take(data: RawData, isBinary: boolean): void {
    let message
    try {
      if (isBinary) throw new TypeError('expected text')
      // ws gives each message as one buffer unless it is told otherwise.
      message = parseMessage(jsonOf((data as Buffer).toString()))
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
        if (payload?.['type'] === REAUTHENTICATE) void this.#renew(payload['authorization'])
        else this.#pong(payload)
        return
      }
      case MessageType.Pong:
        return
      case MessageType.Subscribe:
        this.#subscribe(message, data as Buffer)
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
    const credentials = this.#credentials
    if (!credentials) {
      this.close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests')
      return
    }
    this.#credentials = undefined
    try {
      const viewer = this.#setup.access.authenticate({
        ...credentials,
        ...(connectionParams && { connectionParams }),
      })
      if ('then' in viewer) {
        viewer.then((viewer) => this.#acknowledge(viewer)).catch((error: unknown) => this.#reject(error))
      } else this.#acknowledge(viewer)
    } catch (error) {
      this.#reject(error)
    }
  }

  /** Throws LIMIT_EXCEEDED. */
  #acknowledge(viewer: Viewer): void {
    if (this.#ws.readyState !== OPEN) return
    const end = ({ message }: SignInEnd) => this.close(CloseCode.Unauthorized, closeReason(message))
    this.#presence = new Presence(viewer, this.#setup, end, this.#caller())
    this.#cancelInit?.()
    this.#countNoMore?.()
    const payload = { viewer: viewer.user.name, expiresAt: timeOf(viewer) }
    this.write(textFrame(JSON.stringify({ type: MessageType.ConnectionAck, payload })))
  }

  #reject(error: unknown): void {
    const { message, extensions } = this.#tellable(error)
    const { close = CloseCode.InternalServerError } = REFUSALS[String(extensions['code'])] ?? {}
    this.close(close, closeReason(message))
  }

  #tellable(error: unknown): GraphQLError {
    const isForClients = error instanceof GraphQLError && error.extensions['code'] !== undefined
    return isForClients ? error : internal(error, this.#setup.logger)
  }

  /** Never rejects. */
  async #renew(authorization: unknown): Promise<void> {
    const presence = this.#presence
    if (!presence) {
      this.close(CloseCode.Unauthorized, 'Unauthorized')
      return
    }
    const fail = (message: string) => this.#pong({ type: 'reauthenticationFailed', message })
    if (typeof authorization !== 'string' || authorization === '' || authorization.length > EARLY_BYTES) {
      fail('Send the new token: {"type": "reauthenticate", "authorization": "Bearer …"}.')
      return
    }
    if (this.#isRenewing) {
      fail('The credentials that were sent before are still being looked at: await the answer.')
      return
    }
    this.#isRenewing = true
    try {
      const credentials: CalledCredentials = {
        headers: {},
        rawHeaders: [],
        remoteAddress: this.#socket.remoteAddress,
        connectionParams: { authorization },
        caller: this.#caller(),
      }
      const viewer = await this.#setup.access.authenticate(credentials)
      // It may have ended meanwhile.
      if (this.#presence !== presence) return
      if (presence.renew(viewer)) this.#pong({ type: 'reauthenticated', expiresAt: timeOf(viewer) })
      else this.close(CloseCode.Forbidden, 'These credentials are those of another user: connect anew')
    } catch (error) {
      if (this.#presence === presence) fail(this.#tellable(error).message)
    } finally {
      this.#isRenewing = false
    }
  }

  #pong(payload: Record<string, unknown> | null | undefined): void {
    this.write(textFrame(JSON.stringify({ type: MessageType.Pong, ...(payload && { payload }) })))
  }

  #subscribe({ id, payload }: SubscribeMessage, data: Buffer): void {
    const presence = this.#presence
    if (!presence) {
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
    const { maxOperations, access, quotas, executor } = this.#setup
    const outlet = new SocketOutlet(this, id)
    if (this.#operations.size >= maxOperations) {
      const error = tooMuch('subscriptionsPerSocket', 'The socket has too many operations', maxOperations)
      outlet.fail([quotas.refused(error, presence.viewer(), this.#caller())])
      return
    }
    let request: GraphQLRequest
    try {
      request = requestOf({ ...payload }, this.#caller())
    } catch (error) {
      if (!(error instanceof GraphQLError)) throw error
      outlet.fail([executor.malformed(presence.viewer()) ?? error])
      this.#countRefused(data.length)
      return
    }
    this.#operations.set(id, outlet)
    outlet.operation = new Operation(this.#setup, new Exchange(presence.viewer, access), outlet)
    outlet.operation.start(request)
    if (outlet.failed) this.#countRefused(data.length)
  }

  /**
   * As much of the pace as of the user's requests: a message is read before it can be refused, also of somebody who
   * is to wait.
   */
  #countRefused(bytes: number): void {
    for (let i = 1; i < this.#setup.executor.limits.refusedRequestWeight; i++) this.#count(bytes)
  }

  #caller(): Caller {
    return callerOf(this.#address)
  }

  /** Takes what was held, as far as may be. */
  #readOn(): void {
    if (this.#cancelSlow || this.#socket.writableNeedDrain) return
    const held = this.#held ?? []
    this.#held = undefined
    for (const { data, isBinary } of held) this.#message(data, isBinary)
    if (!this.#held && !this.#cancelSlow && this.#ws.isPaused) this.#ws.resume()
  }

  /** The client has read what it was sent. Which operation came last the last time comes first. */
  #drained(): void {
    this.#readOn()
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
    this.#cancelSlow?.()
    this.#countNoMore?.()
    this.#credentials = undefined
    this.#presence?.leave()
    this.#presence = undefined
    this.#held = undefined
    for (const outlet of this.#operations.values()) {
      try {
        outlet.stop()
      } catch (error) {
        // The others are stopped nevertheless.
        internal(error, this.#setup.logger)
      }
    }
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
  /** It has had its last word, and that was an error. */
  failed = false

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
    this.failed = true
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

/** The type of a ping's payload that asks for more than a pong. */
const REAUTHENTICATE = 'reauthenticate'

function timeOf({ expiresAt }: Viewer): string | null {
  return expiresAt === null ? null : new Date(expiresAt).toISOString()
}

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
