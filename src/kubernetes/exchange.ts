/**
 * One request to an API server with its attempts, from credentials to the last byte, as a dispatch handler
 * of undici: no stream object per answer; a chunk reaches the sink in the same call in which undici read it.
 *
 * Tries again exactly twice over: once with new credentials after a 401, and once where a GET met a
 * kept connection that the server had closed. Everything else is the caller's to repeat.
 */
import { constants, createGunzip, gunzip, type Gunzip, type ZlibOptions } from 'node:zlib'
import { promisify } from 'node:util'
import type { Dispatcher } from 'undici'
import { apiError } from './api-error.ts'
import {
  TransportError,
  type ApiRequest,
  type ByteSink,
  type ByteStream,
  type Impersonation,
} from './client.ts'
import type { Connection } from './connection.ts'
import type { Credential, TlsMaterial } from './credentials.ts'
import { appendImpersonation } from './impersonation.ts'
import type { Lane } from './lane.ts'
import { closedBeforeAnswer, timeoutError, transportError, type Phase } from './transport-error.ts'
import type { Transport } from './transport.ts'

const DEFAULT_TIMEOUT_MS = 30_000
/** A stream given up after this long without a byte on any stream of its connection: the connection is dead. */
const SILENCE_MS = 60_000
const MAX_ERROR_BODY = 1 << 20

/** What an exchange needs of the client that it belongs to. */
export interface ExchangeClient {
  readonly connection: Connection
  /** Over which requests go that are made with the gateway's credentials. */
  readonly own: Lane
  /** Over which those go that bring a token of somebody else. */
  readonly others: Lane
  /** Those under way; an exchange adds and removes itself. */
  readonly exchanges: Set<Exchange>
  /** In front of every path, without a trailing slash. */
  readonly pathPrefix: string
  readonly compression: boolean
  readonly closed: boolean
  closedError(): TransportError
}

/**
 * One request with its attempts. As a dispatch handler it is called by undici; `#done` is its one gate:
 * once it is set, the sink has had, or is about to have, its last call.
 */
export class Exchange implements Dispatcher.DispatchHandler, ByteStream {
  readonly #client: ExchangeClient
  readonly #lane: Lane
  readonly #request: ApiRequest
  readonly #sink: ByteSink
  /** Deadline to the last byte, and the body handed on as it came; else to the headers, and decoded. */
  readonly #whole: boolean
  readonly #method: Dispatcher.HttpMethod
  #timer: NodeJS.Timeout | undefined
  #phase: Phase = 'credentials'
  #done = false
  /** The caller wants to hear no more, not even what is about to be said. */
  #aborted = false
  #paused = false
  #renewed = false
  #resent = false
  #controller: Dispatcher.DispatchController | undefined
  #transport: Transport | undefined
  #sentAt = 0
  #credential: Credential = {}
  /** Of the answer under way; 0 before. */
  #status = 0
  #headers: Readonly<Record<string, string>> = {}
  #errorBody: Buffer[] = []
  #errorBytes = 0
  #gunzip: Gunzip | undefined
  /** Ends the wait for credentials, where there is one. */
  #waiting: AbortController | undefined

  constructor(client: ExchangeClient, request: ApiRequest, sink: ByteSink, whole: boolean) {
    this.#client = client
    this.#lane = request.token === undefined ? client.own : client.others
    this.#request = request
    this.#sink = sink
    this.#whole = whole
    this.#method = request.method ?? 'GET'
  }

  start(): void {
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#request
    this.#client.exchanges.add(this)
    if (this.#client.closed) this.fail(this.#client.closedError())
    else if (signal?.aborted) this.fail(signal.reason)
    else {
      signal?.addEventListener('abort', this.#onSignal, { once: true })
      this.#timer = setTimeout(this.#onTimeout, timeoutMs, timeoutMs)
      this.#attempt()
    }
  }

  /** In any phase, any number of times. */
  abort(): void {
    this.#aborted = true
    if (this.#done) return
    const transport = this.#transport
    if (transport && performance.now() - Math.max(transport.lastByteAt, this.#sentAt) > SILENCE_MS)
      this.#lane.drop(transport)
    this.#cancel(new DOMException('The request was aborted.', 'AbortError'))
  }

  pause(): void {
    this.#paused = true
    this.#gunzip?.pause()
    this.#controller?.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#gunzip?.resume()
    if (!this.#gunzip?.writableNeedDrain) this.#controller?.resume()
  }

  /** Ends the exchange with an error for the sink, which hears of it after this has returned. */
  fail(error: unknown): void {
    if (this.#done) return
    const reason = error instanceof Error ? error : new Error(String(error), { cause: error })
    this.#cancel(reason)
    queueMicrotask(() => this.#aborted || this.#sink.onError(reason))
  }

  #cancel(reason: Error): void {
    this.#finish()
    this.#waiting?.abort()
    this.#gunzip?.destroy()
    // Before onRequestStart there is no controller yet; it aborts as soon as it comes.
    this.#controller?.abort(reason)
    // Not left to undici, which would go on connecting for those that nobody waits for.
    this.#release()
  }

  readonly #onSignal = (): void => this.fail(this.#request.signal?.reason)

  readonly #onTimeout = (timeoutMs: number): void => {
    const transport = this.#transport
    // Not a byte on the whole connection since: it may be half open, so nobody else should wait on it.
    if (transport && transport.lastByteAt < this.#sentAt) this.#lane.drop(transport)
    this.fail(timeoutError(this.#lane.connection, this.#phase, timeoutMs))
  }

  #finish(): void {
    this.#done = true
    clearTimeout(this.#timer)
    this.#request.signal?.removeEventListener('abort', this.#onSignal)
    this.#client.exchanges.delete(this)
  }

  #attempt(): void {
    this.#phase = 'credentials'
    this.#status = 0
    this.#errorBody = []
    this.#errorBytes = 0
    try {
      this.#waiting = new AbortController()
      const { token } = this.#request
      const credential =
        token === undefined ? this.#lane.credentials.get(this.#waiting.signal) : bearer(token)
      const files = this.#lane.tls.get()
      if (credential instanceof Promise || files instanceof Promise)
        Promise.all([credential, files]).then(
          ([credential, files]) => this.#done || this.#send(credential, files),
          (error: unknown) => this.#failed(error),
        )
      else this.#send(credential, files)
    } catch (error) {
      this.#failed(error)
    }
  }

  #send(credential: Credential, files: TlsMaterial): void {
    try {
      const { as = this.#lane.connection.user.impersonate, token } = this.#request
      if (as && token !== undefined)
        throw new TypeError('A request is made with a token, or as somebody by impersonation: not both.')
      const headers = this.#requestHeaders(credential, as)
      const path = this.#client.pathPrefix + requestPath(this.#request)
      const { body } = this.#request
      const transport = this.#lane.transport(files, credential)
      this.#credential = credential
      this.#transport = transport
      this.#phase = 'connecting'
      this.#sentAt = performance.now()
      transport.dispatch(
        {
          method: this.#method,
          path,
          body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
        },
        headers,
        as !== undefined,
        this,
      )
    } catch (error) {
      this.#failed(error)
    }
  }

  #requestHeaders(credential: Credential, as: Impersonation | undefined): string[] {
    const { accept, body, contentType } = this.#request
    const headers = ['User-Agent', 'fleetgraph', 'Accept', accept ?? 'application/json']
    if (this.#client.compression) headers.push('Accept-Encoding', 'gzip')
    if (body !== undefined) headers.push('Content-Type', contentType ?? 'application/json')
    if (credential.authorization !== undefined) headers.push('Authorization', credential.authorization)
    if (as) appendImpersonation(headers, as)
    return headers
  }

  // ── called by undici ───────────────────────────────────────────────────────────────────────────────

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#done) controller.abort(new DOMException('The request was aborted.', 'AbortError'))
    else this.#phase = 'waiting'
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (this.#done) return
    if (statusCode < 200) return
    this.#alive()
    this.#phase = 'receiving'
    this.#status = statusCode
    this.#headers = flat(headers)
    if (statusCode >= 300) return
    if (!this.#whole) {
      clearTimeout(this.#timer)
      if (this.#headers['content-encoding'] === 'gzip') this.#gunzip = this.#inflateTo(controller)
      if (this.#paused) this.#gunzip?.pause()
    }
    this.#toSink(() => this.#sink.onStart?.(this.#headers))
    if (this.#paused) controller.pause()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#done) return
    this.#alive()
    if (this.#status >= 300) {
      if ((this.#errorBytes += chunk.length) <= MAX_ERROR_BODY) this.#errorBody.push(chunk)
    } else if (this.#gunzip) {
      if (!this.#gunzip.write(chunk)) controller.pause()
    } else {
      try {
        this.#sink.onData(chunk)
      } catch (error) {
        this.fail(error)
      }
    }
  }

  onResponseEnd(): void {
    this.#release()
    if (this.#done) return
    if (this.#status >= 300) void this.#refused()
    else if (this.#gunzip) this.#gunzip.end()
    else this.#end()
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#release()
    if (this.#done) return
    if (this.#phase === 'waiting' && this.#method === 'GET' && !this.#resent && closedBeforeAnswer(error)) {
      this.#resent = true
      this.#attempt()
    } else this.#failed(error)
  }

  // ───────────────────────────────────────────────────────────────────────────────────────────────────

  #alive(): void {
    if (this.#transport) this.#transport.lastByteAt = performance.now()
  }

  /** An attempt no longer needs its connection: after undici's last call, or ours. */
  #release(): void {
    this.#controller = undefined
    this.#transport?.release()
    this.#transport = undefined
  }

  #end(): void {
    this.#finish()
    this.#sink.onEnd()
  }

  #failed(error: unknown): void {
    if (this.#done) return
    if (error instanceof TypeError) return this.fail(error)
    const { connection, tls, credentials } = this.#lane
    const mapped = transportError(connection, this.#phase, error)
    if (mapped.code === 'TLS') {
      // Certificates that were rotated under us: the next request reads and asks anew.
      tls.expire()
      if (this.#credential.clientCertificate !== undefined) credentials.reject(this.#credential)
    }
    this.fail(mapped)
  }

  /** A sink that throws ends its own request, and nothing else. */
  #toSink(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.fail(error)
    }
  }

  /**
   * Inflates as bytes come: every flush of the server's, and every gzip member, reaches the sink at once.
   * zlib works in its own thread, so what arrives faster than that waits in the socket.
   */
  #inflateTo(controller: Dispatcher.DispatchController): Gunzip {
    const inflate = createGunzip({ flush: constants.Z_SYNC_FLUSH, chunkSize: 1 << 16 })
    inflate.on('drain', () => {
      if (!this.#paused) controller.resume()
    })
    inflate.on('data', (chunk: Buffer) => {
      if (!this.#done) this.#toSink(() => this.#sink.onData(chunk))
    })
    inflate.on('end', () => {
      if (!this.#done) this.#end()
    })
    inflate.on('error', (error) => this.fail(brokenGzip(this.#client.connection, error)))
    return inflate
  }

  /** The server's answer is not a success. */
  async #refused(): Promise<void> {
    const { credentials, tls, connection } = this.#lane
    const ours = this.#request.token === undefined
    if (this.#status === 401 && ours) {
      tls.expire()
      if (credentials.reject(this.#credential) && !this.#renewed) {
        this.#renewed = true
        return this.#attempt()
      }
    }
    let body = Buffer.concat(this.#errorBody)
    if (this.#headers['content-encoding'] === 'gzip')
      body = (await gunzipAll(body).catch(() => Buffer.alloc(0))) as Buffer<ArrayBuffer>
    this.fail(apiError(connection, this.#status, body.toString(), this.#headers, ours))
  }
}

/** Throws a TypeError, which does not show it, for what is no token: an empty one would be nobody's request. */
function bearer(token: string): Credential {
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new TypeError('Cannot send the token on: it is empty, or holds what no header can carry.')
  return { authorization: `Bearer ${token}` }
}

function requestPath({ path, query }: ApiRequest): string {
  // A name from outside must not climb out of its place: `/namespaces/../pods`.
  if (!path.startsWith('/') || /\/\.{1,2}(\/|$)/.test(path))
    throw new TypeError(`Not a path of the API: ${path}`)
  let text = path
  let separator = path.includes('?') ? '&' : '?'
  for (const name in query) {
    const value = query[name]
    if (value === undefined) continue
    text += `${separator}${encodeURIComponent(name)}=${encodeURIComponent(value)}`
    separator = '&'
  }
  return text
}

function flat(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const result: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined) result[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return result
}

const inflateBuffer = promisify<Buffer, ZlibOptions, Buffer>(gunzip)

/** A whole body, of any number of members; zlib's own chunks of 16 KB would double the cost. */
export function gunzipAll(bytes: Buffer): Promise<Buffer> {
  return inflateBuffer(bytes, { chunkSize: 1 << 18 })
}

export function brokenGzip(connection: Connection, cause: unknown): TransportError {
  return new TransportError(
    'RESET',
    `Cluster ${connection.cluster} (${connection.server}): the answer's gzip is broken. Set disable-compression if a proxy garbles it.`,
    cause,
    true,
  )
}
