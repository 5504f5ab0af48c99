/**
 * GraphQL over server-sent events, the distinct connections mode of graphql-sse
 * (https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md): a `POST` with
 * `Accept: text/event-stream` is answered with `next` events and one `complete`.
 *
 * For those whose network lets no WebSocket through, and for programs that have none. Everyone who follows
 * the same gets the same bytes.
 *
 * The body ends with its connection, without chunks: so the same bytes are right for HTTP/1.0 proxies.
 * Whether it ended or broke is told by `complete`.
 *
 * There is nothing that a client could send on it: when the sign-in ends the stream does, with an error of
 * code UNAUTHENTICATED, and the client comes again with a new token and its last cursor.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { GraphQLError } from 'graphql'
import type { SignInEnd, Viewer } from '../access/viewer.ts'
import type { Payload } from '../events/live.ts'
import type { Exchange } from './exchange.ts'
import { admit, type EndpointOptions, type GraphQLEndpoint, type MediaType } from './graphql-endpoint.ts'
import { type OpenStream, type OpenStreams, Stall } from './open-streams.ts'
import { Operation, type Outlet, streamEnded } from './operation.ts'
import { Presence } from './presence.ts'
import type { Quotas } from './quotas.ts'
import type { Records } from './records.ts'
import type { GraphQLRequest } from './request.ts'

export interface EventStreamOptions extends EndpointOptions {
  readonly streams: OpenStreams
  /** Answers what is no subscription, for clients that accept JSON as well. */
  readonly json: GraphQLEndpoint
  readonly quotas: Quotas
  /** See `Policy.rightsKey`. */
  readonly rightsKey: (viewer: Viewer) => string
  readonly records?: Records | undefined
}

export class EventStreamEndpoint {
  readonly #options: EventStreamOptions

  constructor(options: EventStreamOptions) {
    this.#options = options
  }

  /** A `POST` that accepts an event stream; `media`: what it accepts for a single answer instead, if any. */
  handle(request: IncomingMessage, response: ServerResponse, media: MediaType | undefined): void {
    const { json, executor, streams } = this.#options
    admit(request, this.#options, {
      admitted: (parsed, exchange) => {
        if (media && executor.operationType(parsed, exchange) !== 'subscription') {
          json.execute(parsed, exchange, response, media)
        } else if (streams.draining) {
          json.fail(shuttingDown(), response, media ?? 'application/json')
        } else this.#stream(parsed, exchange, response, media ?? 'application/json')
      },
      failed: (error) => json.fail(error, response, media ?? 'application/json'),
    })
  }

  #stream(parsed: GraphQLRequest, exchange: Exchange, response: ServerResponse, media: MediaType): void {
    if (response.destroyed) return
    let presence: Presence
    try {
      const end = ({ message }: SignInEnd) => {
        operation.stop()
        stream.fail([new GraphQLError(message, { extensions: { code: 'UNAUTHENTICATED' } })])
      }
      presence = new Presence(exchange.viewer, this.#options, end, parsed.caller)
    } catch (error) {
      this.#options.json.fail(error, response, media)
      return
    }
    const stream = new EventStream(response, this.#options.streams)
    const operation = new Operation(this.#options, exchange, stream)
    response.on('close', () => {
      presence.leave()
      operation.stop()
    })
    response.removeHeader('transfer-encoding')
    response.writeHead(200, HEADERS)
    // Opens it for clients that wait for the first byte.
    response.write(COMMENT)
    operation.start(parsed)
  }
}

function shuttingDown(): GraphQLError {
  return new GraphQLError('The server is shutting down: connect again.', {
    extensions: { code: 'SHUTTING_DOWN' },
  })
}

class EventStream implements Outlet, OpenStream {
  readonly #response: ServerResponse
  onReady: (() => void) | undefined
  readonly #stall = new Stall()

  constructor(response: ServerResponse, streams: OpenStreams) {
    this.#response = response
    const forget = streams.add(this)
    response.on('close', forget)
    response.on('drain', () => this.onReady?.())
  }

  get ready(): boolean {
    return !this.#response.writableNeedDrain && !this.#response.writableEnded
  }

  write(payloads: readonly Payload[]): void {
    let bytes = batches.get(payloads)
    if (!bytes) batches.set(payloads, (bytes = nextEvents(payloads)))
    this.#send(bytes)
  }

  next(json: Buffer | string): void {
    this.#send(nextEvents([typeof json === 'string' ? Buffer.from(json) : json]))
  }

  fail(errors: readonly GraphQLError[]): void {
    this.next(JSON.stringify({ errors }))
    this.complete()
  }

  complete(): void {
    if (!this.#response.writableEnded) this.#response.end(COMPLETE)
  }

  end(reason: string): void {
    this.fail([streamEnded(reason)])
  }

  beat(): void {
    const { writableLength, socket } = this.#response
    if (this.#stall.isOver(writableLength, socket)) this.terminate()
    else if (writableLength === 0) this.#send(COMMENT)
  }

  /** Without `complete`: the client connects again and goes on. */
  goAway(): void {
    this.#response.end()
  }

  terminate(): void {
    this.#response.destroy()
  }

  #send(bytes: Buffer): void {
    if (!this.#response.writableEnded) this.#response.write(bytes)
  }
}

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-content-type-options': 'nosniff',
  // nginx would else collect events before it passes them on.
  'x-accel-buffering': 'no',
  connection: 'close',
}

const COMMENT = Buffer.from(':\n\n')
const NEXT = Buffer.from('event: next\ndata: ')
const END = Buffer.from('\n\n')
/** With `data`: browsers tell nothing of an event without. */
const COMPLETE = Buffer.from('event: complete\ndata:\n\n')

const batches = new WeakMap<readonly Payload[], Buffer>()

function nextEvents(payloads: readonly Payload[]): Buffer {
  return Buffer.concat(payloads.flatMap((payload) => [NEXT, payload, END]))
}
