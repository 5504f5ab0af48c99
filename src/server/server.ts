/**
 * The gateway's HTTP server: binding, routes, limits of connections, drain. It owns the sockets, and
 * nothing of what is said over them: `/graphql` is `graphql-endpoint.ts`, `yoga-endpoint.ts`,
 * `event-stream-endpoint.ts` and `websocket-endpoint.ts`; `/healthz` and `/readyz` are `health.ts`.
 *
 * Invariant: no route waits for a cluster, except a GraphQL request that selects something that is read
 * live; that one has a deadline.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isIPv6 } from 'node:net'
import type { Duplex } from 'node:stream'
import type { AuditLog } from '../access/audit/audit.ts'
import type { ProxyPeer } from '../access/authentication/proxy.ts'
import { everything, type Policy } from '../access/policy.ts'
import type { Viewer } from '../access/viewer.ts'
import { Freshness } from '../events/freshness.ts'
import { systemClock, type Clock } from '../fleet/clock.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Scope } from '../fleet/selection.ts'
import type { GraphQLSchema } from 'graphql'
import { EventStreamEndpoint } from './event-stream-endpoint.ts'
import { Executor, failed, type ExecutorOptions } from './execution.ts'
import { inTime, Waiting, type Access } from './exchange.ts'
import { exampleOperations, graphiqlOptions } from './graphiql.ts'
import { GraphQLEndpoint, isJson, negotiate } from './graphql-endpoint.ts'
import { readiness } from './health.ts'
import { createListener } from './listener.ts'
import { guarded, type Logger } from './logger.ts'
import { LOGOUT_PATH, logoutEndpoint, type BackchannelLogout } from './logout-endpoint.ts'
import { OpenStreams } from './open-streams.ts'
import { Origins } from './origins.ts'
import { Quotas, type Load } from './quotas.ts'
import { RateLimits, type RateLimitsOptions } from './rate-limits.ts'
import { NO_DOCUMENT, Records } from './records.ts'
import { answerPreflight, callerOfRequest } from './reply.ts'
import { guardSignIns } from './sign-in-guard.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { SlowReaders } from './slow-readers.ts'
import { certificateNameOf, type TlsFiles } from './tls.ts'
import { readTrustedDocuments } from './trusted-documents.ts'
import { refuseUpgrade, WebSocketEndpoint } from './websocket-endpoint.ts'
import { yogaEndpoint } from './yoga-endpoint.ts'

interface ServerOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** 0 takes a free one. Default 4000. */
  readonly port?: number
  /** Default: plain HTTP. */
  readonly tls?: TlsFiles
  /** A folder of documents that may be named instead of sent; with `only` no others are executed. */
  readonly documents?: { readonly folder: string; readonly only: boolean }
  /** Let anyone who reaches a non-loopback address read everything. Default false. */
  readonly allowOpenAccess?: boolean
  /** The GraphiQL page. Default true. */
  readonly graphiql?: boolean
  /** Default: as `graphiql`, which needs it. */
  readonly introspection?: boolean
  readonly limits?: ExecutorOptions['limits']
  /** Bytes of answers kept; 0 keeps none. Default 64 MiB. */
  readonly answerBytes?: number
  /** WebSockets and event streams count. Default 10,000. */
  readonly maxConnections?: number
  /** Pages of these may connect too; their own URLs, of which only the origin counts. Default none. */
  readonly allowedOrigins?: readonly string[]
  readonly live?: LiveOptions
}

/** Of connections that stay open. */
export interface LiveOptions {
  /** Bytes that may wait in a connection before its reader counts as slow. Default 64 KiB. */
  readonly socketBytes?: number
  /** Operations on one WebSocket at a time; one more is refused, the others go on. Default 100. */
  readonly subscriptionsPerSocket?: number
  /**
   * Until a WebSocket has to have sent `connection_init` and been recognised; any other request has as long
   * to be recognised. Default 10,000.
   */
  readonly initTimeoutMs?: number
  /** Between pings; a client that leaves two without an answer is dropped. Default 12,000. */
  readonly keepAliveMs?: number
}

export interface ServerSetup {
  readonly schema: GraphQLSchema
  readonly access: Access
  /** What `access` decides by. */
  readonly policy: Policy
  /**
   * Whoever comes is let in without credentials: then the server binds to loopback, and answers under the
   * names of loopback, only. Default: where the policy is `everything`.
   */
  readonly anonymous?: boolean
  /** Where the limits of a minute are counted for all replicas; without it, in memory. */
  readonly redis?: RateLimitsOptions['redis']
  /** Default: nothing is recorded. */
  readonly audit?: AuditLog
  readonly backchannelLogout?: BackchannelLogout
  /**
   * Whether this peer is a proxy of ours: its `x-request-id` and the last address in its `x-forwarded-for` are
   * believed. Those on loopback are. A certificate of our client CA is not enough: others may have one.
   */
  readonly isProxy?: (peer: ProxyPeer) => boolean
  /** For `/readyz`, and for queries that wait for what was written. */
  readonly fleet: Pick<Fleet, 'clusters'>
  readonly options?: ServerOptions
  /** Of this program, for `/version`. */
  readonly version?: string
  readonly logger: Logger
  readonly clock?: Clock
  /** Closes the server at once, without grace. */
  readonly signal?: AbortSignal
}

export interface RunningServer {
  /** `http://127.0.0.1:4000`; the GraphQL endpoint and GraphiQL are at `/graphql` under it. */
  readonly url: string
  /** For other protocols on the same port. */
  readonly http: Server
  /** What is open now. */
  readonly load: Load
  /**
   * Says that it is not ready, keeps serving for `announceMs` (default 0) so that load balancers notice,
   * then takes no more connections, asks WebSockets and event streams to go elsewhere, lets the requests in
   * flight end, and after `graceMs` (default 10,000) ends what is left. Idempotent.
   */
  close(how?: { readonly graceMs?: number; readonly announceMs?: number }): Promise<void>
}

/** The server would show everything to anyone. */
export class OpenAccess extends Error {
  override readonly name = 'OpenAccess'
  readonly code = 'OPEN_ACCESS'

  constructor(host: string) {
    super(
      `Refusing to listen on ${host}: without access control everyone who reaches that address could read every cluster. Listen on a loopback address (server.host: 127.0.0.1).`,
    )
  }
}

const PATH = '/graphql'

/** A scope that holds no object. */
const NOTHING: Scope = { namespaces: new Set() }

/** Clients of a server that stops are sent away within this time, at most: the next has to take them all. */
const DRAIN_MS = 2_000

/**
 * Listens. Rejects with `OpenAccess`, `TlsError` or `TrustedDocumentsError`, or with the system's error where
 * the address cannot be had.
 */
export async function startServer(setup: ServerSetup): Promise<RunningServer> {
  const { clock = systemClock, options = {} } = setup
  const logger = guarded(setup.logger)
  const { host = '127.0.0.1', port = 4000, graphiql = true } = options
  const anonymous = setup.anonymous ?? setup.policy === everything
  if (anonymous && !options.allowOpenAccess && !isLoopback(host)) throw new OpenAccess(host)

  const rightsKey = (viewer: Viewer) => setup.policy.rightsKey(viewer)
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const rates = new RateLimits({ limits, clock, ...(setup.redis && { redis: setup.redis }) })
  const records = setup.audit && new Records(setup.audit, clock)
  const freshness = new Freshness(setup.fleet, clock)
  const { documents } = options
  const executor = new Executor({
    schema: setup.schema,
    logger,
    clock,
    limits,
    rates,
    ...(records && { records }),
    ...(documents && { trusted: readTrustedDocuments(documents.folder, documents.only) }),
    introspection: options.introspection ?? graphiql,
    ...(options.answerBytes !== undefined && { answerBytes: options.answerBytes }),
    reach: (viewer, { cursor, timeoutMs, signal }) =>
      freshness.reach(cursor, timeoutMs, signal, (cluster, kind) => {
        const { scope, state } = setup.policy.read(viewer, cluster, kind)
        // What is not known yet may be waited for, and is not told of.
        return scope ?? (state === 'DECIDED' ? undefined : NOTHING)
      }),
    rightsKey,
  })
  let draining = false
  const quotas = new Quotas(executor.limits, (error, viewer, caller) =>
    records?.refused([error], () => ({ viewer, caller, ...NO_DOCUMENT, startedAt: null })),
  )
  const waiting = new Waiting(clock, executor.limits.timeoutMs, quotas)
  const { socketBytes = 64 * 1024, keepAliveMs = 12_000, initTimeoutMs = 10_000 } = options.live ?? {}
  const access = guardSignIns(inTime(setup.access, clock, initTimeoutMs), { rates, records, anonymous })
  const slowReaders = new SlowReaders(clock)
  const endpoint = { executor, access, waiting, logger, clock, slowReaders, draining: () => draining }
  const graphql = new GraphQLEndpoint(endpoint)
  const streams = new OpenStreams(clock, keepAliveMs)
  const open = { ...endpoint, streams, quotas, rightsKey, records }
  const eventStreams = new EventStreamEndpoint({ ...open, json: graphql })
  const origins = new Origins(options.allowedOrigins)
  const allowedOrigins = new Set(options.allowedOrigins?.map((url) => new URL(url).origin))
  const webSockets = new WebSocketEndpoint(
    {
      ...open,
      initTimeoutMs,
      maxOperations: options.live?.subscriptionsPerSocket ?? 100,
    },
    origins,
  )
  const yoga = yogaEndpoint({
    ...endpoint,
    path: PATH,
    graphiql: graphiql && graphiqlOptions(exampleOperations(), PATH),
  })

  const routes: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>> = {
    '/healthz': (_request, response) => sendJson(response, 200, { alive: true }, draining),
    '/readyz': (_request, response) =>
      sendJson(response, draining ? 503 : 200, readiness(setup.fleet, draining), draining),
    '/version': (_request, response) =>
      sendJson(response, 200, { name: 'fleetgraph', version: setup.version ?? 'unknown' }, draining),
  }

  const logout =
    setup.backchannelLogout && logoutEndpoint(setup.backchannelLogout, { rates, records }, logger)

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const caller = called(request)
    try {
      route(request, response)
    } catch (error) {
      const { body } = failed(error, logger, caller)
      if (response.headersSent) response.destroy()
      else send(response, 500, body, true)
    }
  }

  // Without access control the browser's same-origin policy is all that keeps other sites out, and a name
  // of theirs can be made to resolve to this machine: only our own names are answered then.
  const ownNamesOnly = anonymous && isLoopback(host)

  const trusts = ({ socket }: IncomingMessage): boolean => {
    const { remoteAddress } = socket
    if (isLoopback(remoteAddress ?? '')) return true
    const certificateName = certificateNameOf(socket)
    return (
      setup.isProxy?.({ remoteAddress, ...(certificateName !== undefined && { certificateName }) }) === true
    )
  }

  /** Before anything of a request is looked at: who sent it, and whether its cookies are its sender's will. */
  const called = (request: IncomingMessage) => {
    const { headers } = request
    if (headers.cookie !== undefined && !origins.admits(request)) delete headers.cookie
    const claims = headers['x-request-id'] !== undefined || headers['x-forwarded-for'] !== undefined
    return callerOfRequest(request, claims && trusts(request))
  }

  const route = (request: IncomingMessage, response: ServerResponse): void => {
    const { url = '/', method } = request
    if (ownNamesOnly && !isLoopback(hostName(request.headers.host))) {
      refuse(request, response, 421, 'This server answers to localhost and 127.0.0.1 only.')
      return
    }
    const query = url.indexOf('?')
    const path = query === -1 ? url : url.slice(0, query)
    if (path === PATH) {
      const { accept, 'content-type': contentType, 'content-encoding': encoding } = request.headers
      if (method === 'POST') {
        if (!isJson(contentType) || encoding !== undefined) {
          refuse(request, response, 415, 'Send application/json in UTF-8, without a content encoding.')
          return
        }
        const media = negotiate(accept)
        if (accept?.includes('text/event-stream')) eventStreams.handle(request, response, media)
        else if (media) graphql.handle(request, response, media)
        else refuse(request, response, 406, 'Accept application/graphql-response+json or application/json.')
      } else if (method === 'GET') yoga(request, response)
      else if (method === 'OPTIONS' && allowedOrigins.has(request.headers.origin ?? '')) {
        answerPreflight(request, response)
      } else {
        response.setHeader('allow', 'GET, POST')
        refuse(request, response, 405, 'Send a POST.')
      }
      return
    }
    if (path === LOGOUT_PATH && logout) {
      if (method === 'POST') logout(request, response)
      else refuse(request, response, 405, 'Send a POST.')
      return
    }
    const answer = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (!answer) refuse(request, response, 404, `There is nothing here: the endpoint is ${PATH}.`)
    else if (method === 'GET' || method === 'HEAD') answer(request, response)
    else refuse(request, response, 405, 'Send a GET.')
  }

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    called(request)
    if (ownNamesOnly && !isLoopback(hostName(request.headers.host))) {
      refuseUpgrade(request, socket, 421, 'This server answers to localhost and 127.0.0.1 only.')
    } else if (request.url?.split('?', 1)[0] !== PATH) {
      refuseUpgrade(request, socket, 404, `There is nothing here: the endpoint is ${PATH}.`)
    } else webSockets.upgrade(request, socket, head)
  }

  const http = createListener({
    handle: logger.isLevelEnabled?.('debug') ? logged(handle, logger, clock) : handle,
    upgrade,
    tls: options.tls,
    origins: allowedOrigins,
    maxConnections: options.maxConnections ?? 10_000,
    socketBytes,
    // Nothing that we ourselves wait for takes longer.
    idleMs: Math.max(60_000, limits.timeoutMs + 15_000),
    logger,
    clock,
  })

  await new Promise<void>((resolve, reject) => {
    http.once('error', reject)
    http.listen(port, host, () => {
      http.off('error', reject)
      resolve()
    })
  })
  http.on('error', (error) => logger.error({ err: error }, 'the HTTP server failed'))
  const { port: bound } = http.address() as AddressInfo
  const url = `${options.tls ? 'https' : 'http'}://${isIPv6(host) ? `[${host}]` : host}:${bound}`
  logger.info(
    { url },
    anonymous
      ? `listening on ${url}${PATH}; there is no access control: whoever reaches it reads everything`
      : `listening on ${url}${PATH}`,
  )

  let closed: Promise<void> | undefined
  const close: RunningServer['close'] = ({ graceMs = 10_000, announceMs = 0 } = {}) => {
    draining = true
    closed ??= new Promise<void>((resolve) => {
      const stop = () => {
        streams.drain(Math.min(DRAIN_MS, graceMs / 2))
        const cancel = clock.after(graceMs, () => {
          waiting.abort()
          // One turn of the loop for the answers that say so.
          setImmediate(() => {
            streams.terminate()
            http.closeAllConnections()
          })
        })
        http.close(() => {
          cancel()
          resolve()
        })
      }
      if (announceMs > 0) clock.after(announceMs, stop)
      else stop()
    })
    return closed
  }
  setup.signal?.addEventListener('abort', () => void close({ graceMs: 0 }), { once: true })
  return {
    url,
    http,
    get load() {
      return quotas.load
    },
    close,
  }
}

/** Of a Host header, without its port. */
function hostName(header = ''): string {
  const end = header.lastIndexOf(':')
  const name = end === -1 || header.endsWith(']') ? header : header.slice(0, end)
  return name.startsWith('[') ? name.slice(1, -1) : name
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function sendJson(response: ServerResponse, status: number, value: unknown, close: boolean): void {
  send(response, status, JSON.stringify(value), close)
}

function send(response: ServerResponse, status: number, body: string | Buffer, close: boolean): void {
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(close && { connection: 'close' }),
  })
  response.end(body)
}

/** The connection ends with it: what is left of the request is not worth reading. */
function refuse(request: IncomingMessage, response: ServerResponse, status: number, message: string): void {
  request.resume()
  sendJson(response, status, { errors: [{ message }] }, true)
}

/** A path of ours is short; what others think of is not to fill the log. */
const MAX_PATH = 100

/** One line for each request at debug: never headers, query strings, documents or variables. */
function logged(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  logger: Logger,
  clock: Clock,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const started = clock.now()
    response.once('close', () => {
      const path = request.url?.split('?', 1)[0]?.slice(0, MAX_PATH)
      const { method } = request
      const ms = clock.now() - started
      const { correlationId } = callerOfRequest(request)
      logger.debug({ correlationId, method, path, status: response.statusCode, ms }, 'request')
    })
    handle(request, response)
  }
}
