/**
 * Tokens of one OpenID provider: JWTs that it has signed (OpenID Connect Core 1.0, RFC 9068), opaque ones where
 * it may be asked, and its word that a session is over (OpenID Connect Back-Channel Logout 1.0).
 *
 * Invariants: algorithms are pinned by the configuration, and all of them are asymmetric; a token is for one of
 * the configured audiences, or for nobody here; no error holds anything of a token. A token ends at its `exp`
 * on the second: the clock skew helps where our clock is behind, not where the token is over.
 */
import { readFileSync } from 'node:fs'
import { errors } from 'jose'
import type { Clock } from '../../fleet/clock.ts'
import { AuthenticationError } from './authenticator.ts'
import { type ClaimMapping, userOf } from './claims.ts'
import { Introspection, type IntrospectionOptions } from './introspection.ts'
import { IssuerKeys } from './issuer-keys.ts'
import { numericDate, type UnverifiedJwt } from './jwt.ts'
import { isTrustworthy, ProviderHttp } from './provider-http.ts'
import { EndedSessions, LONGEST_LIFE_MS, type Revocations } from './revocations.ts'
import { AuthenticationSetupError, type SignIn, type TokenAuthenticator } from './sign-in.ts'

export interface OidcIssuerOptions extends ClaimMapping {
  /** To the letter as in its discovery document and its tokens. */
  readonly issuer: string
  readonly discoveryUrl?: string | undefined
  /** PEM; the only authorities to trust. */
  readonly caFile?: string | undefined
  /** One of them must be in `aud`. */
  readonly audiences: readonly string[]
  readonly algorithms: readonly string[]
  readonly clockSkewSeconds: number
  readonly introspection?: IntrospectionOptions | undefined
  readonly backchannelLogout: boolean
}

export interface OidcSurroundings {
  readonly clock: Clock
  readonly revocations: Revocations
  /** Sign-ins that were good may not be any more. */
  readonly onChange: () => void
  /** For the log. Without tokens. */
  readonly onProblem: (problem: string, error: unknown) => void
  /** See `IssuerKeysOptions`. */
  readonly keyCooldownMs?: number | undefined
}

/** A provider's logout token that is no good; the message is for it. */
export class LogoutError extends Error {
  override readonly name = 'LogoutError'
  readonly code = 'INVALID_LOGOUT'
}

/** Signatures that only the holder of a private key can make. Never HMAC: our keys are public. */
const ALGORITHMS: ReadonlySet<string> = new Set(
  'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' '),
)
/** Of ID tokens and access tokens; other JWTs of the same issuer are not meant as credentials (RFC 8725 §3.11). */
const TOKEN_TYPES: ReadonlySet<string> = new Set(['', 'jwt', 'at+jwt'])
const LOGOUT_TYPES: ReadonlySet<string> = new Set(['', 'jwt', 'logout+jwt'])
const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** How old a logout token may be. */
const LOGOUT_FRESH_SECONDS = 300
const MAX_JTIS = 10_000
const MAX_NAME = 1_024

type Claims = Readonly<Record<string, unknown>>

export class OidcIssuer implements TokenAuthenticator {
  readonly issuer: string
  readonly #options: OidcIssuerOptions
  readonly #surroundings: OidcSurroundings
  readonly #http: ProviderHttp
  readonly #keys: IssuerKeys
  readonly #introspection: Introspection | undefined
  readonly #ended: EndedSessions
  /** Of logout tokens that were taken, and until when they would be fresh. */
  readonly #jtis = new Map<string, number>()
  readonly #forget: () => void
  #telling = false

  /** Throws `AuthenticationSetupError`. Nothing is asked before `prepare` or the first token. */
  constructor(options: OidcIssuerOptions, surroundings: OidcSurroundings) {
    const { issuer } = options
    requireSound(options)
    this.issuer = issuer
    this.#options = options
    this.#surroundings = surroundings
    this.#http = new ProviderHttp(options.caFile)
    this.#keys = new IssuerKeys({
      issuer,
      discoveryUrl: options.discoveryUrl,
      http: this.#http,
      clock: surroundings.clock,
      onWithdrawn: surroundings.onChange,
      onProblem: surroundings.onProblem,
      ...(surroundings.keyCooldownMs !== undefined && { cooldownMs: surroundings.keyCooldownMs }),
    })
    this.#introspection =
      options.introspection &&
      new Introspection(options.introspection, {
        issuer,
        keys: this.#keys,
        http: this.#http,
        onProblem: surroundings.onProblem,
      })
    this.#ended = new EndedSessions(surroundings.clock)
    this.#forget = surroundings.revocations.onRevoked((revocation) => {
      if (revocation.issuer === issuer && this.#ended.add(revocation)) this.#tell()
    })
  }

  get takesOpaque(): boolean {
    return this.#introspection !== undefined
  }

  get takesLogouts(): boolean {
    return this.#options.backchannelLogout
  }

  prepare(): Promise<void> {
    return this.#keys.prepare()
  }

  async signIn(token: string, jwt: UnverifiedJwt | undefined): Promise<SignIn> {
    if (this.takesLogouts) await this.#surroundings.revocations.ready
    if (!jwt) return this.#opaque(token, false)
    const { claims, withdrawn } = await this.#verify(token, jwt, TOKEN_TYPES)
    const introspection = this.#introspection
    if (!introspection) return this.#signIn(token, claims, withdrawn)
    await introspection.ask(token)
    const signIn = this.#signIn(token, claims, withdrawn)
    const again: SignIn = {
      ...signIn,
      recheck: {
        everyMs: introspection.everyMs,
        reviewer: introspection,
        async ask() {
          await introspection.ask(token, { patient: true })
          return again
        },
      },
    }
    return again
  }

  /**
   * Ends the sessions that a logout token names. Rejects with `LogoutError` where it is no good, and with
   * `AuthenticationError` (`UNAVAILABLE`) where nobody can tell.
   */
  async logout(token: string, jwt: UnverifiedJwt): Promise<void> {
    let claims: Claims
    try {
      ;({ claims } = await this.#verify(token, jwt, LOGOUT_TYPES))
    } catch (error) {
      if (error instanceof AuthenticationError && error.code === 'UNAVAILABLE') throw error
      throw new LogoutError('The logout token is not accepted: its signature, issuer, audience or times.')
    }
    const { iat, jti, sub, sid, events, nonce } = claims
    const event = (events as Claims | undefined)?.[LOGOUT_EVENT]
    if (typeof event !== 'object' || event === null) throw new LogoutError('It has no event of a logout.')
    // What tells it from an ID token.
    if (nonce !== undefined) throw new LogoutError('It has a nonce.')
    if (typeof jti !== 'string' || jti === '') throw new LogoutError('It has no jti.')
    if (!isName(sub) || !isName(sid) || (sub === undefined && sid === undefined)) {
      throw new LogoutError('It has neither sub nor sid.')
    }
    const now = this.#surroundings.clock.now() / 1000
    const at = numericDate(iat)
    const skew = this.#options.clockSkewSeconds
    if (at === undefined || now - at > LOGOUT_FRESH_SECONDS + skew) throw new LogoutError('It is not fresh.')
    const key = jti.length > MAX_NAME ? jti.slice(0, MAX_NAME) : jti
    if ((this.#jtis.get(key) ?? -Infinity) > now) throw new LogoutError('It was used before.')
    this.#jtis.set(key, now + LOGOUT_FRESH_SECONDS + 2 * skew)
    for (const [oldest, until] of this.#jtis) {
      if (until > now && this.#jtis.size <= MAX_JTIS) break
      this.#jtis.delete(oldest)
    }
    this.#surroundings.revocations.revoke({ issuer: this.issuer, sub, sid, at })
  }

  async close(): Promise<void> {
    this.#forget()
    this.#keys.close()
    await this.#http.close()
  }

  /** Once for many that come in a row, as a start with Redis brings them: all sign-ins are looked at. */
  #tell(): void {
    if (this.#telling) return
    this.#telling = true
    queueMicrotask(() => {
      this.#telling = false
      this.#surroundings.onChange()
    })
  }

  async #verify(token: string, { header }: UnverifiedJwt, types: ReadonlySet<string>) {
    const { algorithms, audiences, clockSkewSeconds, issuer } = this.#options
    const { clock } = this.#surroundings
    const typ = header['typ'] ?? ''
    if (typeof typ !== 'string' || !types.has(typ.toLowerCase().replace(/^application\//, ''))) {
      throw refused('The token is of a kind that is not meant to sign in with.', 'typ')
    }
    try {
      const verified = await this.#keys.verify(token, header['kid'], {
        algorithms: [...algorithms],
        issuer,
        audience: [...audiences],
        clockTolerance: clockSkewSeconds,
        currentDate: new Date(clock.now()),
        ...(types === TOKEN_TYPES && { requiredClaims: ['exp'] }),
      })
      const { iat } = verified.claims
      if (iat !== undefined && iat > clock.now() / 1000 + clockSkewSeconds) {
        throw refused('The token is not valid yet. Check the clocks.', 'iat')
      }
      return verified as typeof verified & { readonly claims: Claims }
    } catch (error) {
      throw error instanceof AuthenticationError ? error : refusal(error)
    }
  }

  async #opaque(token: string, patient: boolean): Promise<SignIn> {
    const introspection = this.#introspection
    if (!introspection)
      throw refused('The token is of a kind that is not taken here. Sign in again.', 'opaque')
    const claims = await introspection.ask(token, { patient })
    const { iss, aud, client_id, token_type, nbf } = claims
    if (iss !== undefined && iss !== this.issuer) throw refused('The token is of another issuer.', 'iss')
    if (token_type !== undefined && !(typeof token_type === 'string' && /^bearer$/i.test(token_type))) {
      throw refused('The token is bound to a key, and is no bearer token.', 'token_type')
    }
    // Where the provider names no audience the client that it was issued to takes its place, as in ID tokens.
    const audiences: unknown[] = aud === undefined ? [client_id] : [aud].flat()
    if (!this.#options.audiences.some((audience) => audiences.includes(audience))) {
      throw refused('The token is for another service.', 'aud')
    }
    const now = this.#surroundings.clock.now() / 1000
    if ((numericDate(nbf) ?? 0) > now + this.#options.clockSkewSeconds) {
      throw refused('The token is not valid yet. Check the clocks.', 'nbf')
    }
    return {
      ...this.#signIn(token, claims, () => false),
      recheck: {
        everyMs: introspection.everyMs,
        reviewer: introspection,
        ask: () => this.#opaque(token, true),
      },
    }
  }

  #signIn(token: string, claims: Claims, withdrawn: () => boolean): SignIn {
    const { backchannelLogout } = this.#options
    const iat = numericDate(claims['iat'])
    // A key that the sender has to prove is not proven here (RFC 9449 §7.2, RFC 8705 §3).
    if (claims['cnf'] !== undefined)
      throw refused('The token is bound to a key, and is no bearer token.', 'cnf')
    // A logout token looks much like an ID token otherwise.
    if (claims['events'] !== undefined) {
      throw refused('The token is of a kind that is not meant to sign in with.', 'events')
    }
    const exp = numericDate(claims['exp'])
    let expiresAt = exp === undefined ? null : exp * 1000
    if (backchannelLogout) {
      if (iat === undefined) throw refused('The token does not say when it was issued.', 'iat')
      // Longer nobody remembers that its session has ended.
      expiresAt = Math.min(expiresAt ?? Infinity, iat * 1000 + LONGEST_LIFE_MS)
    }
    const { sub, sid } = claims
    const session = {
      sub: typeof sub === 'string' ? sub : undefined,
      sid: typeof sid === 'string' ? sid : undefined,
      iat,
    }
    return {
      user: userOf(claims, this.#options),
      method: 'OIDC',
      issuer: this.issuer,
      expiresAt,
      token,
      clusters: null,
      operations: null,
      revoked: () => withdrawn() || this.#ended.has(session),
    }
  }
}

function isName(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && value !== '' && value.length <= MAX_NAME)
}

function requireSound(options: OidcIssuerOptions): void {
  const { issuer, algorithms, audiences, caFile, discoveryUrl, introspection } = options
  const where = `authentication.oidc (${issuer})`
  const problems: string[] = []
  for (const algorithm of algorithms) {
    if (ALGORITHMS.has(algorithm)) continue
    const why = /^(HS|none$)/i.test(algorithm) ? 'anybody could sign with it' : 'it is not known'
    problems.push(
      `${where}: algorithms: ${JSON.stringify(algorithm)} is not taken: ${why}. Known: ${[...ALGORITHMS].join(', ')}.`,
    )
  }
  if (algorithms.length === 0) problems.push(`${where}: algorithms is empty.`)
  if (audiences.length === 0)
    problems.push(`${where}: audiences is empty: tokens for any service would be taken.`)
  for (const [name, url] of Object.entries({
    issuer,
    discoveryUrl,
    'introspection.url': introspection?.url,
  })) {
    if (url === undefined) continue
    if (!URL.canParse(url) || !isTrustworthy(url)) {
      problems.push(`${where}: ${name} has to be https://; plain HTTP is for this machine only.`)
    }
  }
  for (const [name, file] of Object.entries({ caFile, clientSecretFile: introspection?.clientSecretFile })) {
    if (file === undefined) continue
    try {
      readFileSync(file)
    } catch (error) {
      problems.push(`${where}: ${name} ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
    }
  }
  if (problems.length > 0) throw new AuthenticationSetupError(problems)
}

/** Of jose's errors: they hold the token's claims, which must not travel on. */
function refusal(error: unknown): AuthenticationError {
  if (error instanceof errors.JWTExpired) return refused('The token has expired. Sign in again.', 'exp')
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf') return refused('The token is not valid yet. Check the clocks.', 'nbf')
    if (error.claim === 'aud') return refused('The token is for another service.', 'aud')
    return refused('The token is not accepted here. Sign in again.', error.claim)
  }
  const code = error instanceof errors.JOSEError ? error.code : 'invalid'
  return refused('The token is not accepted here. Sign in again.', code)
}

function refused(message: string, why: string): AuthenticationError {
  return new AuthenticationError('UNAUTHENTICATED', message, new Error(`refused: ${why}`))
}
