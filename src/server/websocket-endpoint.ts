/**
 * WebSockets at the GraphQL path: which requests may become one, and with what bounds. What is said over
 * them is `graphql-socket.ts`.
 *
 * A browser lets any page connect to any server, and sends its cookies along: only pages of our own
 * origin may. Other programs send no origin.
 */
import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws'
import { WebSocketServer } from 'ws'
import { GraphQLSocket, type SocketSetup } from './graphql-socket.ts'

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
  // Without it the client is told why by a close code, as the protocol has it.
  handleProtocols: (offered: ReadonlySet<string>) =>
    offered.has(GRAPHQL_TRANSPORT_WS_PROTOCOL) ? GRAPHQL_TRANSPORT_WS_PROTOCOL : false,
}

export class WebSocketEndpoint {
  readonly #setup: SocketSetup
  readonly #server: WebSocketServer

  constructor(setup: SocketSetup) {
    this.#setup = setup
    // What may be asked by POST may be asked here: the cursor of a large fleet has some 100 KB.
    this.#server = new WebSocketServer({ ...OPTIONS, maxPayload: setup.executor.limits.bodyBytes })
  }

  /** A request to become a WebSocket, at the GraphQL path and under a name of ours. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { headers } = request
    if (this.#setup.streams.draining) refuseUpgrade(socket, 503, 'The server is shutting down.')
    else if (!isOwnOrigin(headers.origin, headers.host)) {
      refuseUpgrade(socket, 403, 'Connect from a page of this server, or from no page at all.')
    } else {
      this.#server.handleUpgrade(request, socket, head, (ws) => {
        // Bytes pass through it by the thousand; nobody else writes to it.
        GraphQLSocket.open(this.#setup, ws, socket as Socket, headers)
      })
    }
  }
}

/** Answers a request that may not become a WebSocket, and ends its connection. */
export function refuseUpgrade(socket: Duplex, status: number, message: string): void {
  const body = JSON.stringify({ errors: [{ message }] })
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** Whether a page of this origin was served under the name that it now connects to. */
function isOwnOrigin(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return true
  if (host === undefined || !URL.canParse(origin)) return false
  const url = new URL(origin)
  // A host of the default port may be written with it.
  return url.host === host.toLowerCase() || `${url.hostname}:${defaultPort(url)}` === host.toLowerCase()
}

function defaultPort({ protocol, port }: URL): string {
  return port || (protocol === 'https:' ? '443' : '80')
}
