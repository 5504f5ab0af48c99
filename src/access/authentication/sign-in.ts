/**
 * What an authenticator says of a token that is good, and what goes on from there: for `sign-in-cache.ts`,
 * which keeps it, asks again, and tells when it ends.
 */
import type { User, Viewer } from '../viewer.ts'
import type { UnverifiedJwt } from './jwt.ts'

export interface SignIn extends Omit<Viewer, 'user'> {
  readonly user: User
  /** Where the answer may be taken back without a word to us: ask again. */
  readonly recheck?: Recheck
  /** Whether it was taken back, as far as is known here. Cheap: it is asked for all sign-ins after a change. */
  readonly revoked?: () => boolean
}

export interface Recheck {
  /** How long the answer holds, in milliseconds; 0: ask each time. */
  readonly everyMs: number
  /** Who is asked: all sign-ins that it vouches for share what it is asked in a second. */
  readonly reviewer: object
  /** Rejects with `AuthenticationError`: `UNAUTHENTICATED` ends the sign-in, `UNAVAILABLE` not at once. */
  readonly ask: () => Promise<SignIn>
}

/** Tells whose a bearer token is. */
export interface TokenAuthenticator {
  /** Throws, or rejects with, `AuthenticationError`, within a few seconds. `jwt`: what the token says of itself. */
  signIn(token: string, jwt: UnverifiedJwt | undefined): SignIn | Promise<SignIn>
}

/** Why something cannot be set up: the configuration is wrong, or a file that it names. One line a problem. */
export class AuthenticationSetupError extends Error {
  override readonly name = 'AuthenticationSetupError'
  readonly code = 'INVALID_CONFIG'
  readonly problems: readonly string[]

  constructor(problems: readonly string[], cause?: unknown) {
    super(problems.join('\n'), { cause })
    this.problems = problems
  }
}
