/**
 * Kept connections to one API server with one set of TLS material: chooses HTTP/2 or HTTP/1.1, direct or
 * through a proxy. Knows sockets and nothing of Kubernetes; `api-client.ts` replaces a transport when its
 * certificates changed or its connection went silent.
 *
 * Two pools, because undici joins repeated headers into one on HTTP/2, which would turn the groups
 * `a` and `b` into the one group `a, b`: requests that impersonate go over HTTP/1.1, all others –
 * watches above all, of which an HTTP/2 stream costs a sixth of the memory – share one HTTP/2 connection.
 */
import { createSecureContext } from 'node:tls'
import { Agent, ProxyAgent, type Dispatcher } from 'undici'
import type { Connection } from './connection.ts'
import type { TlsMaterial } from './credentials.ts'

export interface TransportOptions {
  /** Default true; plain http is always HTTP/1.1. */
  readonly http2?: boolean
  /** Until a connection stands, TLS included. Milliseconds, default 10,000. */
  readonly connectTimeoutMs?: number
}

/** Windows of HTTP/2: 40 MB over 80 ms of round trip take 13 s with undici's defaults and 0.9 s with these. */
const STREAM_WINDOW = 8 << 20
const CONNECTION_WINDOW = 16 << 20

export class Transport {
  readonly material: TlsMaterial
  /** `performance.now()` of the last sign of life on any of its connections. */
  lastByteAt = 0
  readonly #connection: Connection
  readonly #options: TransportOptions
  readonly #origin: string
  #shared: Dispatcher | undefined
  #single: Dispatcher | undefined
  #active = 0
  /** Ends connections that undici is still making, which it would leave to their timeout. */
  readonly #ended = new AbortController()
  #onRetired: (() => void) | undefined

  /** Throws OpenSSL's errors for certificates that cannot be read (at the first https connection). */
  constructor(connection: Connection, material: TlsMaterial, options: TransportOptions) {
    this.#connection = connection
    this.material = material
    this.#options = options
    this.#origin = new URL(connection.server).origin
  }

  /**
   * Every call, even one that throws, must be matched by one `release()`, when nobody waits for the
   * handler's calls any more.
   */
  dispatch(
    request: { method: Dispatcher.HttpMethod; path: string; body: string | Uint8Array | null },
    headers: string[],
    impersonates: boolean,
    handler: Dispatcher.DispatchHandler,
  ): void {
    this.#active++
    const { proxyUrl } = this.#connection
    this.#dispatcher(impersonates).dispatch(
      {
        ...request,
        origin: this.#origin,
        headers: proxyUrl === undefined ? headers : pairs(headers),
        // The caller keeps all deadlines itself: they include waits that undici does not see.
        headersTimeout: 0,
        bodyTimeout: 0,
      },
      handler,
    )
  }

  release(): void {
    this.#active--
    this.#endIfIdle()
  }

  /** Streams under way go on; connections close when the last of them ends. No more `dispatch`. */
  retire(ended: () => void): void {
    this.#onRetired = ended
    this.#endIfIdle()
  }

  #endIfIdle(): void {
    if (!this.#onRetired || this.#active > 0) return
    this.#onRetired()
    this.#onRetired = undefined
    void this.destroy()
  }

  async destroy(): Promise<void> {
    const dispatchers = [this.#shared, this.#single]
    this.#shared = this.#single = undefined
    await Promise.all(dispatchers.flatMap((dispatcher) => dispatcher?.destroy() ?? []))
    this.#ended.abort()
  }

  #dispatcher(impersonates: boolean): Dispatcher {
    const http2 =
      this.#options.http2 !== false &&
      this.#connection.proxyUrl === undefined &&
      this.#origin.startsWith('https:')
    if (http2 && !impersonates) return (this.#shared ??= this.#open(true))
    return (this.#single ??= this.#open(false))
  }

  #open(http2: boolean): Dispatcher {
    const { tlsServerName, insecureSkipTlsVerify, proxyUrl } = this.#connection
    const { ca, cert, key } = this.material
    const timeout = this.#options.connectTimeoutMs ?? 10_000
    const tls = this.#origin.startsWith('https:') && {
      // One context for all connections: the certificates are parsed once.
      secureContext: createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }),
      rejectUnauthorized: insecureSkipTlsVerify !== true,
      ...(tlsServerName !== undefined && { servername: tlsServerName }),
    }
    const connect = {
      ...tls,
      timeout,
      // Below the 60 s after which cloud load balancers drop idle connections, as client-go.
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      signal: this.#ended.signal,
    }
    const common = { keepAliveTimeout: 30_000, allowH2: http2, connectTimeout: timeout }
    if (proxyUrl === undefined)
      return new Agent({
        ...common,
        connect,
        ...(http2 && {
          // Where undici 8.12 reads it; its documentation says `h2Options.settings.initialWindowSize`.
          initialWindowSize: STREAM_WINDOW,
          h2Options: { connectionWindowSize: CONNECTION_WINDOW },
        }),
      })
    return new ProxyAgent({ ...common, uri: proxyUrl.replace(/^socks5h:/, 'socks5:'), requestTls: connect })
  }
}

/** ProxyAgent keeps the last of repeated headers when they come as a flat list, and all when they come in pairs. */
function pairs(headers: readonly string[]): Iterable<[string, string]> {
  return {
    *[Symbol.iterator]() {
      for (let i = 0; i < headers.length; i += 2) yield [headers[i] as string, headers[i + 1] as string]
    },
  }
}
