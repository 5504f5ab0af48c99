/**
 * How the gateway talks to one API server: raw requests over kept connections, with the gateway's own
 * credentials, impersonating the user where asked – or with a token of the user's and nothing of ours.
 *
 * The contract; `api-client.ts` implements it over undici. Everything above this folder knows
 * Kubernetes only through these types.
 */

/** Who the request is made as: the `Impersonate-*` headers (Kubernetes "User impersonation"). */
export interface Impersonation {
  readonly user: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply'

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From the root of the server: `/api/v1/pods`. */
  readonly path: string
  /** `undefined` values are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON unless it is a string, which is sent as it is. */
  readonly body?: unknown
  readonly contentType?: string
  readonly accept?: string
  readonly as?: Impersonation
  /**
   * A bearer token of somebody else: the request carries it and nothing of the gateway's – no credentials, no
   * impersonation, and a connection without our client certificate, which kube-apiserver would believe before
   * any token. A 401 is about this token and renews nothing. Never together with `as` (`TypeError`).
   */
  readonly token?: string
  /** Ends the request, and any wait for credentials or a connection. */
  readonly signal?: AbortSignal
  /** Until the whole answer is there (for a stream: until its headers are). Default 30,000. */
  readonly timeoutMs?: number
}

/** A streamed answer under way. */
export interface ByteStream {
  /** Ends it: the sink hears no more, not even of an error. */
  abort(): void
  /** Reads no further from the socket until `resume`; chunks already read may still come. */
  pause(): void
  resume(): void
}

/** Receives a streamed answer. Exactly one of `onEnd`, `onError` is called, last, and once. */
export interface ByteSink {
  /** Once, before any data, with a 2xx status. Anything else is an `ApiError` to `onError`. */
  onStart?(headers: Readonly<Record<string, string>>): void
  /** A chunk of the decoded body, in order; it must be consumed before this returns: the buffer may be reused. */
  onData(chunk: Buffer): void
  /** The server ended the answer cleanly. */
  onEnd(): void
  onError(error: Error): void
}

export interface ApiClient {
  /** The server's URL, for messages; no credentials in it. */
  readonly server: string
  /**
   * The JSON of a 2xx answer. Throws `ApiError` for an answer of the server with another status,
   * `TransportError` where there was no whole answer, and the signal's reason when aborted. A 401
   * renews our credentials and is tried once more.
   */
  json<T>(request: ApiRequest): Promise<T>
  /** The same, as text (pod logs, OpenAPI). */
  text(request: ApiRequest): Promise<string>
  /** Streams the answer's bytes to the sink: watches, big lists, followed logs. Returns at once. */
  stream(request: ApiRequest, sink: ByteSink): ByteStream
  /** Ends requests and connections. */
  close(): Promise<void>
}

/** `metav1.Status` of a failed request. */
export interface Status {
  readonly kind?: string
  readonly message?: string
  /** `NotFound`, `Conflict`, `Forbidden`, `Expired`… */
  readonly reason?: string
  readonly code?: number
  readonly details?: {
    readonly name?: string
    readonly group?: string
    readonly kind?: string
    readonly retryAfterSeconds?: number
    readonly causes?: readonly {
      readonly reason?: string
      readonly message?: string
      readonly field?: string
    }[]
  }
}

/** The API server answered, and the answer is not a success. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** HTTP status. */
  readonly statusCode: number
  /** `Status.reason`, or a word for the HTTP status where the body is no Status. */
  readonly code: string
  readonly status: Status
  /** From `Retry-After` or `details.retryAfterSeconds`. */
  readonly retryAfterMs: number | undefined

  constructor(statusCode: number, status: Status, retryAfterMs?: number) {
    super(status.message || `The API server answered with HTTP status ${statusCode}.`)
    this.statusCode = statusCode
    this.code = status.reason || `HTTP_${statusCode}`
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}

/** No whole answer came from the API server. */
export class TransportError extends Error {
  override readonly name = 'TransportError'
  readonly code: 'UNREACHABLE' | 'TIMEOUT' | 'RESET' | 'TLS' | 'CREDENTIALS' | 'CLOSED'
  /** Whether the request, or a part of it, was on its way by then: a write may have been made all the same. */
  readonly sent: boolean

  constructor(code: TransportError['code'], message: string, cause?: unknown, sent = false) {
    super(message, { cause })
    this.code = code
    this.sent = sent
  }
}
