/**
 * Who sent this: the contract of everything that finds it out. `authentication.ts` tries the authenticators
 * by what the credentials look like, keeps the sign-ins, and tells when one ends.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { SignInEnd, Viewer } from '../viewer.ts'

/**
 * What a request, or the beginning of a stream, shows of who sent it. A stream that renews its sign-in shows
 * the new credentials alone (`headers: {}`, `rawHeaders: []`): two that differ are refused.
 */
export interface Credentials {
  /** Of the request, or of the one that became a WebSocket. */
  readonly headers: IncomingHttpHeaders
  /**
   * The same as they came (`IncomingMessage.rawHeaders`: name, value, name, value…): `headers` keeps only the
   * first of several Authorization headers, and cannot tell two groups from one with a comma.
   */
  readonly rawHeaders: readonly string[]
  readonly remoteAddress: string | undefined
  /** What a WebSocket's `connection_init` brought: browsers cannot set headers there. */
  readonly connectionParams?: Readonly<Record<string, unknown>>
  /** The common name of a client certificate that our own TLS has verified. */
  readonly certificateName?: string
}

/** The credentials are missing, or no good. */
export class AuthenticationError extends Error {
  override readonly name = 'AuthenticationError'
  /**
   * `UNAUTHENTICATED`: sign in again (HTTP 401, close code 4401). `UNAVAILABLE`: whoever could tell does not
   * answer: try again later (HTTP 503).
   */
  readonly code: 'UNAUTHENTICATED' | 'UNAVAILABLE'

  /** The message is for the client: it tells what to do, and nothing of the token or of other users. */
  constructor(code: AuthenticationError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** One way to sign in. */
export interface Authenticator {
  /**
   * `undefined`: these credentials are not of this kind. Throws, or rejects with, `AuthenticationError` where
   * they are and are no good. A Viewer is the same object for the same sign-in for as long as it holds.
   */
  authenticate(credentials: Credentials): Viewer | undefined | Promise<Viewer | undefined>
  close(): void | Promise<void>
}

/** What a provider's logout is answered: an HTTP status, and a JSON body unless it is 200 or 204. */
export interface LogoutAnswer {
  readonly status: number
  /** To be sent as they are, in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What the server needs of it. */
export interface SignIns {
  /** Throws, or rejects with, `AuthenticationError`. A promise only where somebody has to be asked. */
  authenticate(credentials: Credentials): Viewer | Promise<Viewer>
  /**
   * Who these credentials were found to be of, at once; `undefined` where it is not known, or they are no good.
   * They may hold no longer: not for anything that a Viewer is let do, only to tell one flood from another.
   */
  known?(credentials: Credentials): Viewer | undefined
  /**
   * Calls once, when this sign-in ends: its time is over, or it was revoked. Never before it returns. Returns
   * the end of the listening.
   */
  onEnd(viewer: Viewer, listener: (end: SignInEnd) => void): () => void
  /**
   * A `POST` of an OpenID provider that ends sign-ins, at `/logout/backchannel`: its body as text
   * (`application/x-www-form-urlencoded`, at most 32 KiB). `undefined` where no issuer is configured to do so:
   * answer 404. Needs no sign-in and no CSRF header: the token in it is what is verified. Never throws.
   */
  handleLogout?(body: string): Promise<LogoutAnswer>
}
