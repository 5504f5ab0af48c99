/**
 * `ApiClient` over undici: one kept transport per cluster and credential set, replaced when certificates
 * change or a connection has gone silent. What happens to one request is in `exchange.ts`.
 *
 * Never follows a redirect: the credentials are for this server.
 */
import { TransportError, type ApiClient, type ApiRequest, type ByteSink, type ByteStream } from './client.ts'
import type { Connection } from './connection.ts'
import {
  credentialsFor,
  TlsFiles,
  type Credential,
  type CredentialOptions,
  type Credentials,
  type TlsMaterial,
} from './credentials.ts'
import { environmentProxy } from './environment-proxy.ts'
import { brokenGzip, Exchange, gunzipAll, type ExchangeClient } from './exchange.ts'
import { Transport, type TransportOptions } from './transport.ts'

export interface ApiClientOptions extends CredentialOptions, TransportOptions {
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
  readonly credentials: Credentials
  readonly tls: TlsFiles
  readonly exchanges = new Set<Exchange>()
  /** In front of every path, without a trailing slash. */
  readonly pathPrefix: string
  readonly compression: boolean
  closed = false
  readonly #options: ApiClientOptions
  #transport: Transport | undefined
  #clientCertificate: string | undefined
  #files: TlsMaterial | undefined
  readonly #retired = new Set<Transport>()

  constructor(connection: Connection, options: ApiClientOptions) {
    const url = new URL(connection.server)
    url.username = url.password = ''
    this.server = url.href.replace(/\/$/, '')
    this.pathPrefix = url.pathname.replace(/\/$/, '')
    const proxyUrl = connection.proxyUrl ?? environmentProxy(connection.server, options.env ?? process.env)
    this.connection = proxyUrl === undefined ? connection : { ...connection, proxyUrl }
    this.#options = options
    this.compression =
      options.compression ?? (connection.disableCompression !== true && !isLoopback(url.hostname))
    this.credentials = credentialsFor(connection, options)
    this.tls = new TlsFiles(connection, options)
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
    for (const exchange of this.exchanges) exchange.fail(this.closedError())
    this.credentials.close()
    const transports = [...this.#retired, ...(this.#transport ? [this.#transport] : [])]
    this.#retired.clear()
    this.#transport = undefined
    await Promise.all(transports.map((transport) => transport.destroy()))
  }

  closedError(): TransportError {
    return new TransportError('CLOSED', `Cluster ${this.connection.cluster}: the client was closed.`)
  }

  /** The kept transport, or a new one where certificates changed. */
  transport(files: TlsMaterial, credential: Credential): Transport {
    const { clientCertificate, clientKey } = credential
    const kept = this.#transport
    if (kept && this.#files === files && this.#clientCertificate === clientCertificate) return kept
    if (kept) this.drop(kept)
    this.#files = files
    this.#clientCertificate = clientCertificate
    const material =
      clientCertificate !== undefined && clientKey !== undefined
        ? { ...files, cert: Buffer.from(clientCertificate), key: Buffer.from(clientKey) }
        : files
    return (this.#transport = new Transport(this.connection, material, this.#options))
  }

  /** New requests get new connections; what runs on the old ones may finish. */
  drop(transport: Transport): void {
    if (this.#transport !== transport) return
    this.#transport = undefined
    this.#retired.add(transport)
    transport.retire(() => this.#retired.delete(transport))
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
