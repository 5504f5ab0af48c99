/**
 * `ApiClient` over undici: two lanes to the server, with our credentials and without. What happens to one
 * request is in `exchange.ts`, what is kept between requests in `lane.ts`.
 *
 * Never follows a redirect: the credentials are for this server.
 */
import { TransportError, type ApiClient, type ApiRequest, type ByteSink, type ByteStream } from './client.ts'
import type { Connection } from './connection.ts'
import { environmentProxy } from './environment-proxy.ts'
import { brokenGzip, Exchange, gunzipAll, type ExchangeClient } from './exchange.ts'
import { Lane, type LaneOptions } from './lane.ts'

export interface ApiClientOptions extends LaneOptions {
  /**
   * Ask for gzip. Default: unless the server is on loopback or the kubeconfig says `disable-compression`.
   * It saves nine tenths of a list's bytes and costs a third more CPU.
   */
  readonly compression?: boolean
  /** Where to look for a proxy; default the process's. See `environment-proxy.ts`. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Closes the client. */
  readonly signal?: AbortSignal
}

/** Nothing is connected or read before the first request. */
export function createApiClient(connection: Connection, options: ApiClientOptions = {}): ApiClient {
  const client = new UndiciApiClient(connection, options)
  const { signal } = options
  if (signal?.aborted) void client.close()
  else signal?.addEventListener('abort', () => void client.close(), { once: true })
  return client
}

class UndiciApiClient implements ApiClient, ExchangeClient {
  readonly server: string
  readonly connection: Connection
  readonly own: Lane
  readonly others: Lane
  readonly exchanges = new Set<Exchange>()
  /** In front of every path, without a trailing slash. */
  readonly pathPrefix: string
  readonly compression: boolean
  closed = false

  constructor(connection: Connection, options: ApiClientOptions) {
    const url = new URL(connection.server)
    url.username = url.password = ''
    this.server = url.href.replace(/\/$/, '')
    this.pathPrefix = url.pathname.replace(/\/$/, '')
    const proxyUrl = connection.proxyUrl ?? environmentProxy(connection.server, options.env ?? process.env)
    this.connection = proxyUrl === undefined ? connection : { ...connection, proxyUrl }
    this.compression =
      options.compression ?? (connection.disableCompression !== true && !isLoopback(url.hostname))
    this.own = new Lane(this.connection, options)
    // The same server, and nobody: what a request over it is made with, it brings.
    this.others = new Lane({ ...this.connection, user: {} }, options)
  }

  async json<T>(request: ApiRequest): Promise<T> {
    const { body, contentType } = await this.#whole(request)
    try {
      return JSON.parse(body.toString()) as T
    } catch (cause) {
      throw new TransportError(
        'RESET',
        `Cluster ${this.connection.cluster} (${this.server}): the answer to ${request.path} is not JSON (${contentType || 'no content type'}). Is this a Kubernetes API server?`,
        cause,
        true,
      )
    }
  }

  async text(request: ApiRequest): Promise<string> {
    return (await this.#whole(request)).body.toString()
  }

  stream(request: ApiRequest, sink: ByteSink): ByteStream {
    const exchange = new Exchange(this, request, sink, false)
    exchange.start()
    return exchange
  }

  async close(): Promise<void> {
    this.closed = true
    for (const exchange of this.exchanges) exchange.fail(this.closedError(true))
    await Promise.all([this.own.close(), this.others.close()])
  }

  closedError(sent = false): TransportError {
    const message = `Cluster ${this.connection.cluster}: the client was closed.`
    return new TransportError('CLOSED', message, undefined, sent)
  }

  async #whole(request: ApiRequest): Promise<{ body: Buffer; contentType: string }> {
    const chunks: Buffer[] = []
    let headers: Readonly<Record<string, string>> = {}
    await new Promise<void>((resolve, reject) => {
      const exchange = new Exchange(
        this,
        request,
        {
          onStart: (received) => {
            headers = received
          },
          onData: (chunk) => chunks.push(chunk),
          onEnd: resolve,
          onError: reject,
        },
        true,
      )
      exchange.start()
    })
    const bytes = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
    const body = headers['content-encoding'] === 'gzip' ? await this.#gunzip(bytes) : bytes
    return { body, contentType: headers['content-type'] ?? '' }
  }

  async #gunzip(bytes: Buffer): Promise<Buffer> {
    try {
      return await gunzipAll(bytes)
    } catch (cause) {
      throw brokenGzip(this.connection, cause)
    }
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}
