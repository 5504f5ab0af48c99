/**
 * A small HTTP server on loopback for tests of the transport: answers as the test's handler says,
 * remembers what it was asked and over which connections, and closes with the test.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { createApiClient, type ApiClientOptions } from '../../../src/kubernetes/api-client.ts'
import type { ApiClient } from '../../../src/kubernetes/client.ts'
import type { Connection } from '../../../src/kubernetes/connection.ts'

type Request = IncomingMessage | Http2ServerRequest
type Response = ServerResponse | Http2ServerResponse
export type Handler = (request: Request, response: ServerResponse, body: string) => void | Promise<void>

interface Heard {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** As they came, name after value; on HTTP/2 without pseudo headers. */
  readonly rawHeaders: readonly string[]
  readonly body: string
  readonly httpVersion: string
}

export interface ApiServer {
  readonly url: string
  readonly port: number
  readonly heard: readonly Heard[]
  /** TCP connections ever accepted, and those open now. */
  readonly accepted: () => number
  readonly open: () => number
  /** Replaces certificates for connections to come. */
  setTls(options: ServerOptions): void
  /** Breaks every connection. */
  dropConnections(): void
  close(): Promise<void>
}

export interface ApiServerOptions {
  readonly tls?: ServerOptions
  /** Default false: HTTP/1.1 only. */
  readonly http2?: boolean
  readonly port?: number
}

export async function startApiServer(handler: Handler, options: ApiServerOptions = {}): Promise<ApiServer> {
  const heard: Heard[] = []
  const listener = (request: Request, response: Response): void => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      heard.push({
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        rawHeaders: request.rawHeaders,
        body,
        httpVersion: request.httpVersion,
      })
      // Both kinds of response have what the tests use of them.
      void handler(request, response as ServerResponse, body)
    })
  }
  const { tls } = options
  const server = !tls
    ? createServer(listener)
    : options.http2
      ? createSecureServer({ ...tls, allowHTTP1: true }, listener)
      : createTlsServer(tls, listener)
  const sockets = new Set<Socket>()
  let accepted = 0
  server.on('connection', (socket: Socket) => {
    accepted++
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () =>
    new Promise<void>((resolve) => {
      for (const socket of sockets) socket.destroy()
      server.close(() => resolve())
    })
  onTestFinished(close)
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    port,
    heard,
    accepted: () => accepted,
    open: () => sockets.size,
    setTls: (options) => 'setSecureContext' in server && server.setSecureContext(options),
    dropConnections() {
      for (const socket of sockets) socket.destroy()
    },
    close,
  }
}

/** A client that closes with the test. The cluster is called `prod`. */
export function clientOf(
  connection: Omit<Connection, 'cluster' | 'user'> & Partial<Connection>,
  options: ApiClientOptions = {},
): ApiClient {
  const client = createApiClient({ cluster: 'prod', user: {}, ...connection }, options)
  onTestFinished(() => client.close())
  return client
}

export function json(response: ServerResponse, statusCode: number, value: unknown): void {
  response.writeHead(statusCode, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

/** What the call rejects with; fails the test where it does not. */
export async function rejection(call: Promise<unknown>): Promise<Error> {
  try {
    await call
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('the call was expected to reject with an Error')
}
