/**
 * GraphQL over HTTP, the way every program sends it: `POST` with `application/json`, answered as JSON.
 * Written against node:http itself, since this is the hot path; GraphiQL and GET go through
 * `yoga-endpoint.ts`, event streams through `event-stream-endpoint.ts`, with the same executor and limits.
 *
 * Source: the GraphQL over HTTP specification (draft, 2025), and its audits in `graphql-http`.
 *
 * A simple request of a browser – a form, an image, a script of another site – cannot carry
 * `application/json`, so it cannot get here with its user's cookies.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { GraphQLError } from 'graphql'
import { AuthenticationError } from '../access/authentication/authenticator.ts'
import type { Clock } from '../fleet/clock.ts'
import { REFUSALS } from './answer-errors.ts'
import { failed, type Answer, type Executor } from './execution.ts'
import { Exchange, type Access, type Waiting } from './exchange.ts'
import type { Logger } from './logger.ts'
import type { Place } from './quotas.ts'
import { callerOfRequest } from './reply.ts'
import { BadRequest, isRecord, jsonOf, requestOf, type Caller, type GraphQLRequest } from './request.ts'
import { BodyTooLarge, readBody } from './request-body.ts'
import type { CalledCredentials } from './sign-in-guard.ts'
import type { SlowReaders } from './slow-readers.ts'
import { certificateNameOf } from './tls.ts'

export const RESPONSE_JSON = 'application/graphql-response+json'
const JSON_TYPE = 'application/json'
export type MediaType = typeof RESPONSE_JSON | typeof JSON_TYPE

export interface EndpointOptions {
  readonly executor: Executor
  readonly access: Access
  readonly waiting: Waiting
  readonly logger: Logger
  readonly clock: Clock
  readonly slowReaders?: SlowReaders
  /** While true, answers tell the client to close its connection. */
  readonly draining: () => boolean
}

export class GraphQLEndpoint {
  readonly #options: EndpointOptions
  #late = 0

  constructor(options: EndpointOptions) {
    this.#options = options
  }

  /** A `POST` whose answer may be of this media type. */
  handle(request: IncomingMessage, response: ServerResponse, media: MediaType): void {
    admit(request, this.#options, {
      admitted: (parsed, exchange) => this.execute(parsed, exchange, response, media),
      failed: (error) => this.fail(error, response, media),
    })
  }

  /** Answers a request that was admitted. */
  execute(request: GraphQLRequest, exchange: Exchange, response: ServerResponse, media: MediaType): void {
    const { executor, waiting } = this.#options
    const { caller } = request
    let place: Place | undefined
    try {
      const answer = executor.answer(request, exchange, () => {
        // What has begun to change something is not to be refused any more.
        place = waiting.place(exchange, caller)
      })
      if (!isPromise(answer)) {
        place?.free()
        this.#send(answer, response, media)
        return
      }
      waiting.until(answer, exchange, { client: response, caller, place }).then(
        (answer) => this.#send(answer, response, media),
        (error: unknown) => this.fail(error, response, media),
      )
    } catch (error) {
      place?.free()
      this.fail(error, response, media)
    }
  }

  #send({ body, refused, retryAfterSeconds }: Answer, response: ServerResponse, media: MediaType): void {
    if (retryAfterSeconds !== undefined) {
      this.#write(429, body, response, media, ['retry-after', String(retryAfterSeconds)])
      return
    }
    // A client that only knows `application/json` takes every other status for a broken proxy.
    this.#write(refused && media === RESPONSE_JSON ? 400 : 200, body, response, media)
  }

  /** Answers a request that was not admitted, or could not be executed. */
  fail(error: unknown, response: ServerResponse, media: MediaType): void {
    const tooLarge = error instanceof BodyTooLarge
    const cause = tooLarge ? new GraphQLError(error.message, { extensions: { code: error.code } }) : error
    const answer = failed(cause, this.#options.logger, callerOfRequest(response.req))
    const { status, headers } = refusalOf(error, answer.retryAfterSeconds)
    const cutsOff = !(response.req.complete || isDrained(response.req, answer))
    const write = () =>
      this.#write(
        status,
        answer.body,
        response,
        media,
        Object.entries(headers).flat(),
        cutsOff || this.#options.draining(),
      )
    if (cutsOff) this.#answerLate(response, write)
    else write()
  }

  /**
   * Ends the connection with the answer, and reads nothing until then. Node would read all that has come, into buffers
   * of its own that are garbage at once: whoever sends large bodies without end makes V8 collect the whole heap every
   * half a second, and everybody waits for that. What came with the head is such a buffer as well, so it takes them a
   * moment until they can send the next.
   */
  #answerLate(response: ServerResponse, write: () => void): void {
    const { socket } = response.req
    socket.pause()
    response.once('finish', () => socket.destroy())
    if (this.#late >= MAX_LATE || this.#options.draining()) return write()
    this.#late++
    this.#options.clock.after(LATE_MS, () => {
      this.#late--
      write()
    })
  }

  #write(
    status: number,
    body: Buffer | string,
    response: ServerResponse,
    media: MediaType,
    more: readonly string[] = [],
    close = this.#options.draining(),
  ): void {
    if (response.destroyed) return
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length
    const headers = [
      'content-type',
      media === JSON_TYPE ? 'application/json; charset=utf-8' : `${RESPONSE_JSON}; charset=utf-8`,
      'content-length',
      String(length),
      'cache-control',
      'no-store',
      ...more,
    ]
    if (close) headers.push('connection', 'close')
    response.writeHead(status, headers)
    response.end(body)
    this.#options.slowReaders?.watch(response, length)
  }
}

/** Reads a `POST`, unless it is refused whatever it asks, and finds out who sent it. One of the two is called once, unless the client goes before. */
export function admit(
  request: IncomingMessage,
  { executor, access }: Pick<EndpointOptions, 'executor' | 'access'>,
  then: Admission,
): void {
  const refusal = access.refusal?.(credentialsOf(request))
  if (refusal) {
    // Nothing is read of what is still coming until it is answered: node drops it then, or `fail` the connection.
    then.failed(refusal)
    return
  }
  readBody(request, executor.limits.bodyBytes, (error, text) => {
    try {
      if (error) throw error
      identify(parseRequest(text, callerOfRequest(request)), request, access, then)
    } catch (error) {
      if (error instanceof BodyTooLarge || error instanceof BadRequest)
        access.refused?.(credentialsOf(request))
      then.failed(error)
    }
  })
}

interface Admission {
  readonly admitted: (parsed: GraphQLRequest, exchange: Exchange) => void
  readonly failed: (error: unknown) => void
}

/** What a request shows of who sent it, with the name in a client certificate that was verified. */
export function credentialsOf(request: IncomingMessage): CalledCredentials {
  const { headers, rawHeaders, socket } = request
  const certificateName = certificateNameOf(socket)
  return {
    headers,
    rawHeaders,
    remoteAddress: socket.remoteAddress,
    caller: callerOfRequest(request),
    ...(certificateName !== undefined && { certificateName }),
  }
}

function identify(parsed: GraphQLRequest, request: IncomingMessage, access: Access, then: Admission): void {
  const viewer = access.authenticate(credentialsOf(request))
  if (!isPromise(viewer)) then.admitted(parsed, new Exchange(viewer, access))
  else viewer.then((viewer) => then.admitted(parsed, new Exchange(viewer, access)), then.failed)
}

/** A client that is cut off while it sends may not see the answer: so much is read and dropped first. */
const DRAINED_BYTES = 1 << 20

/** Of somebody who has to wait: to read large bodies only to drop them costs as much as to answer. */
const DRAINED_WHILE_WAITING_BYTES = 1 << 16

function isDrained({ headers }: IncomingMessage, { retryAfterSeconds }: Answer): boolean {
  const most = retryAfterSeconds === undefined ? DRAINED_BYTES : DRAINED_WHILE_WAITING_BYTES
  return Number(headers['content-length'] ?? Infinity) <= most
}

/** Milliseconds until they are answered whose body is not read. */
const LATE_MS = 500

/** Of whom only so many are kept waiting, with what came of their bodies. */
const MAX_LATE = 200

/** How HTTP says it. */
export function refusalOf(
  error: unknown,
  retryAfterSeconds: number | undefined,
): { readonly status: number; readonly headers: Readonly<Record<string, string>> } {
  if (error instanceof BodyTooLarge) return { status: 413, headers: {} }
  if (error instanceof BadRequest) return { status: 400, headers: {} }
  const code =
    error instanceof AuthenticationError
      ? error.code
      : error instanceof GraphQLError
        ? error.extensions['code']
        : undefined
  const refusal = typeof code === 'string' ? REFUSALS[code] : undefined
  if (!refusal) return { status: 500, headers: {} }
  return retryAfterSeconds === undefined
    ? refusal
    : { status: refusal.status, headers: { 'retry-after': String(retryAfterSeconds) } }
}

/** Throws `BadRequest`. */
function parseRequest(text: string, caller: Caller): GraphQLRequest {
  const json = jsonOf(text)
  if (Array.isArray(json)) throw new BadRequest('Batches are not served: send one request at a time.')
  if (!isRecord(json)) {
    throw new BadRequest('The body of the request has to be a JSON object: {"query": "…", "variables": {…}}.')
  }
  return requestOf(json, caller)
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value
}

/** `application/json`, with nothing but UTF-8 in it. */
export function isJson(contentType: string | undefined): boolean {
  if (contentType === JSON_TYPE) return true
  return /^application\/json\s*(;\s*charset\s*=\s*"?utf-?8"?\s*)?;?$/i.test(contentType ?? '')
}

const accepted = new Map<string, MediaType | undefined>()

/**
 * The media type to answer with; `undefined` where the client accepts neither. Without a preference it is
 * `application/json`: a client that knows better says so.
 */
export function negotiate(accept: string | undefined): MediaType | undefined {
  if (accept === undefined || accept === '*/*') return JSON_TYPE
  if (accepted.has(accept)) return accepted.get(accept)
  const weights = accept.split(',').map((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const q = parameters.find((parameter) => parameter.startsWith('q='))
    return { type, q: q === undefined ? 1 : Number(q.slice(2)) || 0 }
  })
  const weightOf = (media: MediaType) =>
    (
      weights.find(({ type }) => type === media) ??
      weights.find(({ type }) => type === 'application/*') ??
      weights.find(({ type }) => type === '*/*')
    )?.q ?? 0
  const named = weights.some(({ type }) => type === RESPONSE_JSON)
  const [modern, legacy] = [weightOf(RESPONSE_JSON), weightOf(JSON_TYPE)]
  const media =
    modern === 0 && legacy === 0
      ? undefined
      : modern > legacy || (named && modern === legacy)
        ? RESPONSE_JSON
        : JSON_TYPE
  // Clients send a handful of these; whoever makes them up does not fill the memory.
  if (accepted.size > 200) accepted.clear()
  accepted.set(accept, media)
  return media
}
