/**
 * Who sent this: chooses who is to tell by what the credentials look like, and keeps the sign-ins.
 *
 * Invariants: a token goes to whom it is of, and to nobody else – one that names a configured issuer is never
 * shown to a cluster; a token that is no good is refused, whatever else the request shows; nobody is anonymous
 * but where the options give a viewer for it. No token, and nothing of one, is logged.
 */
import type { Clock } from '../../fleet/clock.ts'
import type { ApiClient } from '../../kubernetes/client.ts'
import type { SignInEnd, Viewer } from '../viewer.ts'
import { AuthenticationError, type Credentials, type LogoutAnswer, type SignIns } from './authenticator.ts'
import { bearerToken, requireToken } from './bearer-token.ts'
import { MAX_TOKEN_BYTES, readJwt, type UnverifiedJwt } from './jwt.ts'
import { LogoutError, OidcIssuer, type OidcIssuerOptions } from './oidc.ts'
import { type AuthenticatingProxyOptions, ProxyAuthenticator, type ProxyPeer } from './proxy.ts'
import { memoryRevocations, type Revocations } from './revocations.ts'
import { AuthenticationSetupError, type SignIn, type TokenAuthenticator } from './sign-in.ts'
import { SignInCache } from './sign-in-cache.ts'
import { isStaticToken, StaticTokens } from './static-tokens.ts'
import { TokenReviewer, type TokenReviewOptions } from './token-review.ts'

/** As the section `authentication` of the configuration. */
export interface AuthenticationConfig {
  /** Absolute; empty: none. */
  readonly tokensFile: string
  /** The name of a cookie that may hold the token; empty: none. */
  readonly cookie: string
  readonly oidc: readonly OidcIssuerOptions[]
  readonly tokenReviews: readonly TokenReviewOptions[]
  readonly proxies: readonly AuthenticatingProxyOptions[]
}

export interface AuthenticationOptions {
  readonly config: AuthenticationConfig
  readonly clock: Clock
  /** The client of a cluster by name, for TokenReviews. */
  readonly client: (cluster: string) => ApiClient | undefined
  /** Who shows no credentials; default: nobody. */
  readonly anonymous?: Viewer
  /** How replicas tell each other of sessions that have ended. Not closed here. Default: none to tell. */
  readonly revocations?: Revocations
  /** For the log: why somebody could not be asked. Each once a minute. */
  readonly onProblem?: (problem: string, error: unknown) => void
  /** For the log: the file of tokens is broken, with a line for each problem, or good again (none). */
  readonly onTokensFile?: (problems: readonly string[]) => void
  /** See `IssuerKeysOptions`. */
  readonly keyCooldownMs?: number
}

export interface Authentication extends SignIns {
  /** Whether this peer is a proxy that is configured. */
  isProxy(peer: ProxyPeer): boolean
  close(): Promise<void>
}

/** Returns at once. Throws `AuthenticationSetupError` with every problem of the part that it is about. */
export function createAuthentication(options: AuthenticationOptions): Authentication {
  return new Choosing(options)
}

const SIGN_IN_AGAIN = 'The token is not accepted here. Sign in again.'

class Choosing implements Authentication {
  readonly handleLogout?: (body: string) => Promise<LogoutAnswer>
  readonly #cookie: string
  readonly #anonymous: Viewer | undefined
  readonly #cache: SignInCache
  readonly #static: StaticTokens | undefined
  readonly #issuers = new Map<string, OidcIssuer>()
  /** For JWTs of an issuer that only clusters know. */
  readonly #reviewersOf = new Map<string, readonly TokenAuthenticator[]>()
  /** For whatever nobody else knows. */
  readonly #reviewers: readonly TokenAuthenticator[]
  readonly #proxy: ProxyAuthenticator | undefined
  readonly #ownRevocations: Revocations | undefined

  constructor(options: AuthenticationOptions) {
    const { config, clock, client, anonymous, onTokensFile = () => {} } = options
    const { cookie, oidc, tokenReviews, proxies, tokensFile } = config
    const onProblem = rarely(clock, options.onProblem ?? (() => {}))
    this.#cookie = cookie
    this.#anonymous = anonymous
    this.#cache = new SignInCache({ clock })
    const onChange = () => this.#cache.reconsider()
    this.#ownRevocations = options.revocations ? undefined : memoryRevocations()
    const revocations = options.revocations ?? this.#ownRevocations ?? memoryRevocations()
    this.#proxy = proxies.length > 0 ? new ProxyAuthenticator(proxies) : undefined
    const reviewers = tokenReviews.map((review) => ({
      issuer: review.issuer,
      reviewer: new TokenReviewer(review, { client, onProblem }),
    }))
    this.#reviewers = reviewers.filter(({ issuer }) => issuer === undefined).map(({ reviewer }) => reviewer)
    for (const { issuer, reviewer } of reviewers) {
      if (issuer === undefined) continue
      this.#reviewersOf.set(issuer, [...(this.#reviewersOf.get(issuer) ?? []), reviewer])
    }
    for (const issuer of oidc) {
      if (this.#issuers.has(issuer.issuer) || this.#reviewersOf.has(issuer.issuer)) {
        throw new AuthenticationSetupError([
          `authentication: the issuer ${issuer.issuer} stands there twice; one has to decide on its tokens.`,
        ])
      }
      const { keyCooldownMs } = options
      this.#issuers.set(
        issuer.issuer,
        new OidcIssuer(issuer, { clock, revocations, onChange, onProblem, keyCooldownMs }),
      )
    }
    for (const alike of Map.groupBy(oidc, ({ username }) => username.prefix).values()) {
      if (alike.length < 2) continue
      const names = alike.map(({ issuer }) => issuer).join(' and ')
      onProblem(
        `authentication.oidc: ${names} put the same before the names of their users, so that a user of one can be called as one of another. Give them a username.prefix and a groups.prefix each.`,
        undefined,
      )
    }
    // Last: it is the one that holds something.
    this.#static = tokensFile
      ? new StaticTokens({ file: tokensFile, clock, onChange, onProblems: onTokensFile })
      : undefined
    for (const issuer of this.#issuers.values()) void issuer.prepare()
    if (oidc.some(({ backchannelLogout }) => backchannelLogout))
      this.handleLogout = (body) => this.#logout(body)
  }

  authenticate(credentials: Credentials): Viewer | Promise<Viewer> {
    const token = bearerToken(credentials, this.#cookie)
    if (token !== undefined) return this.#cache.viewer(token, () => this.#signIn(token))
    const viewer = this.#proxy?.authenticate(credentials) ?? this.#anonymous
    if (!viewer) {
      throw new AuthenticationError(
        'UNAUTHENTICATED',
        'Sign in: send a token in the header Authorization: Bearer <token>.',
      )
    }
    return viewer
  }

  known(credentials: Credentials): Viewer | undefined {
    try {
      const token = bearerToken(credentials, this.#cookie)
      return token === undefined ? this.#proxy?.authenticate(credentials) : this.#cache.known(token)
    } catch {
      return undefined
    }
  }

  onEnd(viewer: Viewer, listener: (end: SignInEnd) => void): () => void {
    return this.#cache.onEnd(viewer, listener)
  }

  isProxy(peer: ProxyPeer): boolean {
    return this.#proxy?.isProxy(peer) ?? false
  }

  async close(): Promise<void> {
    this.#cache.close()
    this.#static?.close()
    this.#proxy?.close()
    await Promise.all([...this.#issuers.values()].map((issuer) => issuer.close()))
    this.#ownRevocations?.close()
  }

  #signIn(token: string): SignIn | Promise<SignIn> {
    requireToken(token)
    if (isStaticToken(token)) {
      if (!this.#static) throw new AuthenticationError('UNAUTHENTICATED', SIGN_IN_AGAIN)
      return this.#static.signIn(token)
    }
    const jwt = readJwt(token)
    return firstThatKnows(this.#candidates(jwt), token, jwt)
  }

  #candidates(jwt: UnverifiedJwt | undefined): readonly TokenAuthenticator[] {
    if (!jwt) {
      const introspecting = [...this.#issuers.values()].filter((issuer) => issuer.takesOpaque)
      return [...introspecting, ...this.#reviewers]
    }
    const iss = jwt.claims['iss']
    if (typeof iss !== 'string') return this.#reviewers
    const issuer = this.#issuers.get(iss)
    if (issuer) return [issuer]
    return this.#reviewersOf.get(iss) ?? this.#reviewers
  }

  async #logout(body: string): Promise<LogoutAnswer> {
    try {
      const [token = '', another] = new URLSearchParams(body).getAll('logout_token')
      if (another !== undefined || token === '' || token.length > MAX_TOKEN_BYTES) {
        throw new LogoutError('Send one logout_token, as application/x-www-form-urlencoded.')
      }
      const jwt = readLogout(token)
      const iss = jwt.claims['iss']
      const issuer = typeof iss === 'string' ? this.#issuers.get(iss) : undefined
      if (!issuer?.takesLogouts) throw new LogoutError('Its issuer is not known here.')
      await issuer.logout(token, jwt)
      return answer(200)
    } catch (error) {
      if (error instanceof LogoutError) return answer(400, 'invalid_request', error.message)
      return answer(503, 'temporarily_unavailable', 'The logout token cannot be checked just now.')
    }
  }
}

/**
 * The first in order who knows the token; all are asked at the same time, so that one that does not answer costs
 * little. Where none knows it, but one of them did not answer, nobody can tell.
 */
function firstThatKnows(
  candidates: readonly TokenAuthenticator[],
  token: string,
  jwt: UnverifiedJwt | undefined,
): SignIn | Promise<SignIn> {
  const [only, ...others] = candidates
  if (!only) throw new AuthenticationError('UNAUTHENTICATED', SIGN_IN_AGAIN)
  if (others.length === 0) return only.signIn(token, jwt)
  return inOrder(candidates.map(async (one) => one.signIn(token, jwt)))
}

async function inOrder(answers: readonly Promise<SignIn>[]): Promise<SignIn> {
  // Those after the first who knows it are not waited for.
  for (const answer of answers) answer.catch(() => {})
  let reason: unknown
  for (const answer of answers) {
    try {
      return await answer
    } catch (error) {
      if (!(error instanceof AuthenticationError) || error.code === 'UNAVAILABLE') reason ??= error
    }
  }
  throw reason ?? new AuthenticationError('UNAUTHENTICATED', SIGN_IN_AGAIN)
}

function readLogout(token: string): UnverifiedJwt {
  let jwt: UnverifiedJwt | undefined
  try {
    jwt = readJwt(token)
  } catch {
    // As one that is none.
  }
  if (!jwt) throw new LogoutError('The logout token is malformed.')
  return jwt
}

function answer(status: number, error?: string, description?: string): LogoutAnswer {
  return {
    status,
    headers: { 'cache-control': 'no-store', ...(error && { 'content-type': 'application/json' }) },
    body: error ? JSON.stringify({ error, error_description: description }) : '',
  }
}

/** Tells each problem once a minute: each token of a storm meets the same one. */
function rarely(
  clock: Clock,
  tell: (problem: string, error: unknown) => void,
): (problem: string, error: unknown) => void {
  const told = new Map<string, number>()
  return (problem, error) => {
    const now = clock.now()
    if (now - (told.get(problem) ?? -Infinity) < 60_000) return
    if (told.size >= 1_000) told.clear()
    told.set(problem, now)
    tell(problem, error)
  }
}
