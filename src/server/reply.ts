/**
 * What every answer over HTTP carries, whoever writes it: an id that finds it in our logs, headers that keep
 * browsers from doing anything clever with it, and, for pages of other origins that may ask, the leave to read
 * it. By construction: it is added where the head of an answer is written.
 *
 * Invariant: an origin that is not allowed is never named in an answer, and no answer allows all of them.
 */
import {
  ServerResponse,
  type IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
} from 'node:http'
import { isIP, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { callerOf, type Caller } from './request.ts'

const CALLER = Symbol('caller')
type Called = IncomingMessage & { [CALLER]?: Caller }

/** An id that somebody before us gave: as UUIDs and trace ids are, and nothing that a log could stumble over. */
const SANE_ID = /^[\w.:-]{8,64}$/

/**
 * Who sent a request, made once for each. Where the peer is `trusted` – a proxy of ours – its id is taken from
 * `x-request-id`, so that one id runs through all logs, and its address from `x-forwarded-for`; anybody else
 * could muddle the records of others by them.
 */
export function callerOfRequest(request: IncomingMessage, trusted = false): Caller {
  const known = (request as Called)[CALLER]
  if (known) return known
  const given = trusted ? request.headers['x-request-id'] : undefined
  const id = typeof given === 'string' && SANE_ID.test(given) ? given : undefined
  const address = (trusted && forwardedFor(request)) || request.socket.remoteAddress
  return ((request as Called)[CALLER] = callerOf(address, id))
}

/** The address that the proxy before us saw; what stands before it, anybody may have written. */
function forwardedFor({ headers }: IncomingMessage): string | undefined {
  const given = headers['x-forwarded-for']
  const last = (typeof given === 'string' ? given : given?.at(-1))?.split(',').at(-1)?.trim() ?? ''
  return isIP(last) ? last : undefined
}

/**
 * Nothing of an answer is a page, a script or an image, and nothing of it is to be framed; the one page that
 * there is says what it may do, and the rest.
 */
const HEADERS = [
  ['x-content-type-options', 'nosniff'],
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
] as const

/** A day: long enough for those who come daily, short enough to take TLS away again. */
const STRICT_TRANSPORT = ['strict-transport-security', 'max-age=86400'] as const

const PLAIN = HEADERS.flat()
const SECURE = [...HEADERS, STRICT_TRANSPORT].flat()

/** What every answer carries, as lines of a head that is written past node:http: to what becomes a WebSocket. */
export function headLines(request: IncomingMessage): string[] {
  const common = request.socket instanceof TLSSocket ? [...HEADERS, STRICT_TRANSPORT] : HEADERS
  return [...common, ['x-request-id', callerOfRequest(request).correlationId]].map(
    ([name, value]) => `${name}: ${value}`,
  )
}

/** What a page of another origin may read of an answer beside its body. */
const EXPOSED = 'x-request-id, retry-after'

/** What a page of another origin may send. */
const ASKABLE = 'authorization, content-type, x-fleetgraph-csrf'

/** Answers of one connection that wait for their turn. */
const QUEUED = Symbol('queued')
type Queue = Socket & { [QUEUED]?: number }

/** As `http.createServer` takes it. `allowed`: origins whose pages may ask, as browsers write them. */
export function replyFor(allowed: ReadonlySet<string>): typeof ServerResponse {
  const isOpen = allowed.size > 0
  return class Reply<R extends IncomingMessage> extends ServerResponse<R> {
    override writeHead(status: number, reasonOrHeaders?: string | Head, headersOrNone?: Head): this {
      const headers = typeof reasonOrHeaders === 'string' ? headersOrNone : reasonOrHeaders
      const { req } = this
      const common = req.socket instanceof TLSSocket ? SECURE : PLAIN
      if (Array.isArray(headers) && this.getHeaderNames().length === 0) {
        for (const text of common) headers.push(text)
        headers.push('x-request-id', callerOfRequest(req).correlationId)
        if (isOpen) headers.push(...leave(req, allowed))
        return super.writeHead(status, headers)
      }
      const more = [...common, 'x-request-id', callerOfRequest(req).correlationId]
      if (isOpen) more.push(...leave(req, allowed))
      for (let i = 0; i < more.length; i += 2) {
        const name = more[i]!
        if (!this.hasHeader(name)) this.setHeader(name, more[i + 1]!)
      }
      return super.writeHead(status, headers as OutgoingHttpHeaders)
    }

    /** Node calls it when the answer's turn has come: at once, unless it waits for another. */
    override assignSocket(socket: Socket): void {
      const queue = socket as Queue
      if (queue[QUEUED]) queue[QUEUED]--
      super.assignSocket(socket)
    }
  }
}

/** Of a request that was sent before the answer to another: how many wait on its connection by now, with it. */
export function queuedWith({ socket }: IncomingMessage): number {
  const queue = socket as Queue
  return (queue[QUEUED] = (queue[QUEUED] ?? 0) + 1)
}

type Head = OutgoingHttpHeaders | OutgoingHttpHeader[]

function leave({ headers: { origin } }: IncomingMessage, allowed: ReadonlySet<string>): string[] {
  if (origin === undefined || !allowed.has(origin)) return ['vary', 'origin']
  return [
    'vary',
    'origin',
    'access-control-allow-origin',
    origin,
    'access-control-allow-credentials',
    'true',
    'access-control-expose-headers',
    EXPOSED,
  ]
}

/** Answers the question that a browser asks before it sends what a form could not. */
export function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(204, {
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': ASKABLE,
    // As long as browsers let it hold.
    'access-control-max-age': '7200',
    'content-length': '0',
  })
  request.resume()
  response.end()
}
