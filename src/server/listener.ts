/**
 * The sockets under the server: plain or TLS, and the bounds of everything that a client can do to a connection
 * before, while and after it sends a request. Knows nothing of routes.
 *
 * Requests are parsed strictly (RFC 9112 §6.3, §11.2): two lengths, a length with a transfer encoding, folded
 * headers and the like are refused, since a proxy before us may have read them otherwise.
 */
import { randomUUID } from 'node:crypto'
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Clock } from '../fleet/clock.ts'
import type { Logger } from './logger.ts'
import { queuedWith, replyFor } from './reply.ts'
import { readTls, reloadTls, type TlsFiles } from './tls.ts'

export interface ListenerOptions {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  readonly tls?: TlsFiles | undefined
  /** Origins whose pages may read answers. */
  readonly origins: ReadonlySet<string>
  readonly maxConnections: number
  /** Bytes that may wait in a connection before its reader counts as slow. */
  readonly socketBytes: number
  /** Milliseconds in which nothing happens on a connection until it is dropped. */
  readonly idleMs: number
  readonly logger: Logger
  readonly clock: Clock
}

/** Requests of one connection that wait for the answer to another: nobody who pipelines needs as many. */
const MAX_PIPELINED = 64

/** Throws `TlsError`. Ends what it began when it closes. */
export function createListener(options: ListenerOptions): Server {
  const { handle, tls, logger, clock } = options
  /** A connection may send on while it is answered: what comes then has no socket yet. */
  const bounded = (request: IncomingMessage, response: ServerResponse): void => {
    if (response.socket === null && queuedWith(request) > MAX_PIPELINED) request.socket.destroy()
    else handle(request, response)
  }
  const common = {
    // Of any other protocol that is offered no notice is taken (RFC 9110 §7.8).
    shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === 'websocket',
    ServerResponse: replyFor(options.origins),
    insecureHTTPParser: false,
    highWaterMark: options.socketBytes,
    // Slow senders do not hold connections: headers, then the whole request, have their time.
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    connectionsCheckingInterval: 5_000,
    // Longer than that of the usual load balancers, which would else send into a closing connection.
    keepAliveTimeout: 75_000,
    maxHeaderSize: 16 * 1024,
  }
  const server = tls
    ? createTlsServer(
        {
          ...common,
          ...readTls(tls),
          handshakeTimeout: 10_000,
          // Who shows a certificate that is not ours is not refused: it only counts for nothing.
          ...(tls.clientCaFile !== undefined && { requestCert: true, rejectUnauthorized: false }),
        },
        bounded,
      )
    : createServer(common, bounded)
  server.on('upgrade', options.upgrade)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseBytes(error, socket, logger))
  server.maxHeadersCount = 100
  server.maxConnections = options.maxConnections
  server.timeout = options.idleMs
  if (tls) server.once('close', reloadTls(server as Parameters<typeof reloadTls>[0], tls, clock, logger))
  return server
}

const STATUS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/** What came is no HTTP, or not in time. Nothing more is read of the connection. */
function refuseBytes(error: NodeJS.ErrnoException, socket: Duplex, logger: Logger): void {
  const { code = '' } = error
  const id = randomUUID()
  logger.debug({ code, correlationId: id }, 'a connection was ended: what came was not a request')
  const { _httpMessage: answer } = socket as { _httpMessage?: { readonly headersSent: boolean } }
  if (code === 'ECONNRESET' || !socket.writable || answer?.headersSent) {
    socket.destroy()
    return
  }
  const status = STATUS[code] ?? 400
  const body = JSON.stringify({
    errors: [{ message: `${STATUS_CODES[status]}: this is no request, or it took too long.` }],
  })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\nx-content-type-options: nosniff\r\nx-request-id: ${id}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}
