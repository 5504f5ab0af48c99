/**
 * WebSockets at the GraphQL path: which requests may become one, and with what bounds. What is said over
 * them is `graphql-socket.ts`.
 */
import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws'
import { WebSocketServer } from 'ws'
import { GraphQLSocket, type SocketSetup } from './graphql-socket.ts'
import type { Origins } from './origins.ts'
import { headLines } from './reply.ts'

/** For the client to answer a close frame. */
const CLOSE_TIMEOUT_MS = 3_000

const OPTIONS = {
  noServer: true,
  clientTracking: false,
  // Writing whole frames past it depends on this; and a context for each socket is 300 KB.
  perMessageDeflate: false,
  maxFragments: 64,
  maxBufferedChunks: 1_024,
  closeTimeout: CLOSE_TIMEOUT_MS,
  // The socket answers: at the pace of what it takes, and only to those who read.
  autoPong: false,
  // Without it the client is told why by a close code, as the protocol has it.
  handleProtocols: (offered: ReadonlySet<string>) =>
    offered.has(GRAPHQL_TRANSPORT_WS_PROTOCOL) ? GRAPHQL_TRANSPORT_WS_PROTOCOL : false,
}

export class WebSocketEndpoint {
  readonly #setup: SocketSetup
  readonly #origins: Origins
  readonly #server: WebSocketServer

  constructor(setup: SocketSetup, origins: Origins) {
    this.#setup = setup
    this.#origins = origins
    // What may be asked by POST may be asked here: the cursor of a large fleet has some 100 KB.
    this.#server = new WebSocketServer({ ...OPTIONS, maxPayload: setup.executor.limits.bodyBytes })
    this.#server.on('headers', (lines, request) => lines.push(...headLines(request)))
    this.#server.on('wsClientError', ({ message }, socket, request) =>
      refuseUpgrade(request, socket, 400, `This is no WebSocket (RFC 6455): ${message}.`),
    )
  }

  /** A request to become a WebSocket, at the GraphQL path and under a name of ours. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#setup.streams.draining) refuseUpgrade(request, socket, 503, 'The server is shutting down.')
    else if (!this.#origins.admits(request)) {
      refuseUpgrade(
        request,
        socket,
        403,
        'Connect from a page of this server, of an origin that it allows, or from no page at all.',
      )
    } else {
      this.#server.handleUpgrade(request, socket, head, (ws) => {
        // Bytes pass through it by the thousand; nobody else writes to it.
        GraphQLSocket.open(this.#setup, ws, socket as Socket, request)
      })
    }
  }
}

/** Answers a request that may not become a WebSocket, and ends its connection. */
export function refuseUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  status: number,
  message: string,
): void {
  const body = JSON.stringify({ errors: [{ message }] })
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'connection: close',
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    // What a handshake that is refused has to tell (RFC 6455 §4.4).
    'sec-websocket-version: 13',
    ...headLines(request),
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
