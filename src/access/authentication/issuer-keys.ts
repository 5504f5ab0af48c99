/**
 * The keys of one OpenID provider, and where its endpoints are: its discovery document
 * (https://openid.net/specs/openid-connect-discovery-1_0.html) and its JSON Web Key Set, looked at again as
 * it rotates them.
 *
 * Invariants: a key comes from the configured issuer and from nowhere else – what a token says of keys (`jku`,
 * `jwk`, `x5u`, `x5c`) is never looked at. What a client sends makes us ask the provider once in a while at most.
 * While it does not answer, the keys that are known go on counting, for a day.
 */
import {
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWK,
  jwtVerify,
  type JWTPayload,
  type JWTVerifyOptions,
} from 'jose'
import type { Clock } from '../../fleet/clock.ts'
import { AuthenticationError } from './authenticator.ts'
import { isTrustworthy, type ProviderHttp } from './provider-http.ts'

export interface IssuerKeysOptions {
  readonly issuer: string
  readonly discoveryUrl?: string | undefined
  readonly http: ProviderHttp
  readonly clock: Clock
  /** Between two looks at the keys for tokens with keys that are not known. Default 10,000. */
  readonly cooldownMs?: number
  /** Keys were withdrawn. */
  readonly onWithdrawn: () => void
  /** For the log. */
  readonly onProblem: (problem: string, error: unknown) => void
}

/** What is read of the discovery document. */
export interface ProviderMetadata {
  readonly jwksUri: string
  readonly introspectionEndpoint: string | undefined
}

/** Between two looks at the keys: so long what is withdrawn goes on counting. */
const FRESH_MS = 10 * 60_000
/** After a failure, where nobody asks. */
const AGAIN_MS = 60_000
const METADATA_FRESH_MS = 60 * 60_000
const OLDEST_MS = 24 * 60 * 60_000
/** After a failure, where somebody does. */
const RETRY_MS = 2_000

interface KnownKeys {
  readonly ids: ReadonlySet<string>
  readonly keys: readonly KnownKey[]
}

interface KnownKey {
  readonly id: string
  readonly kid: string | undefined
  /** Gives this key where it is one for the token's algorithm. */
  readonly find: ReturnType<typeof createLocalJWKSet>
}

export interface Verified {
  readonly claims: JWTPayload
  /** The key that has signed it is known no more. */
  readonly withdrawn: () => boolean
}

export class IssuerKeys {
  readonly #options: IssuerKeysOptions
  readonly #cooldownMs: number
  #metadata: { readonly value: ProviderMetadata; readonly at: number } | undefined
  #known: KnownKeys | undefined
  /** When the keys were read last. */
  #readAt = -Infinity
  #failedAt = -Infinity
  #refreshing: Promise<void> | undefined
  #cancelTimer = () => {}
  #closed = false

  constructor(options: IssuerKeysOptions) {
    this.#options = options
    this.#cooldownMs = options.cooldownMs ?? 10_000
  }

  /** Reads the keys ahead of the first token. Never throws. */
  async prepare(): Promise<void> {
    await this.#refresh().catch(() => {})
  }

  close(): void {
    this.#closed = true
    this.#cancelTimer()
  }

  /** Rejects with `AuthenticationError` (`UNAVAILABLE`). */
  async metadata(): Promise<ProviderMetadata> {
    const now = this.#options.clock.now()
    if (!this.#metadata || now - this.#metadata.at > METADATA_FRESH_MS) {
      await this.#refresh().catch((error: unknown) => {
        if (!this.#metadata) throw error
      })
    }
    return this.#metadata!.value
  }

  /**
   * The claims of a token that one of the issuer's keys has signed. Rejects with jose's errors for a token that
   * is no good, and with `AuthenticationError` (`UNAVAILABLE`) where nobody can tell.
   */
  async verify(token: string, kid: unknown, options: JWTVerifyOptions): Promise<Verified> {
    const known = await this.#current()
    try {
      return await this.#verifyWith(known, token, kid, options)
    } catch (error) {
      const unknown = error instanceof errors.JWKSNoMatchingKey
      // A provider may have put another key in the place of one, under the same name or without any.
      if (!unknown && !(error instanceof errors.JWSSignatureVerificationFailed)) throw error
      const { clock } = this.#options
      if (this.#known === known && clock.now() - this.#readAt >= this.#cooldownMs) {
        await this.#refresh().catch((cause: unknown) => {
          if (unknown) throw cause
        })
      }
      // The key may be one that the provider could tell of, if it answered.
      if (unknown && this.#failedAt > this.#readAt) throw this.#unavailable(undefined)
      const renewed = this.#known
      if (!renewed || renewed === known) throw error
      return this.#verifyWith(renewed, token, kid, options)
    }
  }

  async #verifyWith(
    known: KnownKeys,
    token: string,
    kid: unknown,
    options: JWTVerifyOptions,
  ): Promise<Verified> {
    let failure: unknown = new errors.JWKSNoMatchingKey()
    // One by one: no kid, or one of several keys, and any of them may have signed; which one did has to be known.
    for (const key of known.keys) {
      if (kid !== undefined && key.kid !== kid) continue
      try {
        const { payload } = await jwtVerify(token, key.find, options)
        return { claims: payload, withdrawn: () => !this.#known?.ids.has(key.id) }
      } catch (error) {
        if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
          throw error
        const isForOthers = error instanceof errors.JWKSNoMatchingKey
        // A key that is none, among others, is no reason to refuse.
        if (!isForOthers && !(failure instanceof errors.JWSSignatureVerificationFailed)) failure = error
      }
    }
    throw failure
  }

  async #current(): Promise<KnownKeys> {
    if (!this.#known || this.#options.clock.now() - this.#readAt > OLDEST_MS) await this.#refresh()
    if (!this.#known) throw this.#unavailable(undefined)
    return this.#known
  }

  /** One at a time, and not at once after a failure. Rejects with `AuthenticationError`. */
  #refresh(): Promise<void> {
    if (this.#refreshing) return this.#refreshing
    if (this.#options.clock.now() - this.#failedAt < RETRY_MS)
      return Promise.reject(this.#unavailable(undefined))
    this.#refreshing = this.#read().finally(() => {
      this.#refreshing = undefined
      this.#cancelTimer()
      // Also where nobody signs in: what is withdrawn has to end.
      const ms = this.#failedAt > this.#readAt ? AGAIN_MS : FRESH_MS
      if (!this.#closed) this.#cancelTimer = this.#options.clock.after(ms, () => void this.prepare())
    })
    return this.#refreshing
  }

  async #read(): Promise<void> {
    const { clock, http, issuer, onProblem, onWithdrawn } = this.#options
    try {
      const old = this.#metadata
      // After a failure the endpoints may be others.
      if (!old || clock.now() - old.at > METADATA_FRESH_MS || this.#failedAt > this.#readAt) {
        this.#metadata = { value: await this.#discover(), at: clock.now() }
      }
      const { jwksUri } = this.#metadata!.value
      const { status, body } = await http.get(jwksUri)
      if (status !== 200) throw new TypeError(`its keys are answered with HTTP ${status}`)
      const known = knownKeys(body)
      const before = this.#known
      this.#known = known
      this.#readAt = clock.now()
      if (before && [...before.ids].some((id) => !known.ids.has(id))) onWithdrawn()
    } catch (error) {
      this.#failedAt = clock.now()
      const why = error instanceof Error ? error.message : String(error)
      onProblem(`OpenID provider ${issuer}: ${why}.`, error)
      throw this.#unavailable(error)
    }
  }

  async #discover(): Promise<ProviderMetadata> {
    const { http, issuer, discoveryUrl } = this.#options
    const url = discoveryUrl ?? `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    const { status, body } = await http.get(url)
    const document = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
    if (status !== 200) throw new TypeError(`its discovery document is answered with HTTP ${status}`)
    // Or one provider could speak for another (OpenID Connect Discovery 1.0 §4.3).
    if (document['issuer'] !== issuer) {
      throw new TypeError('its discovery document is of another issuer; they must be equal to the letter')
    }
    const jwksUri = endpoint(document, 'jwks_uri')
    if (jwksUri === undefined) throw new TypeError('its discovery document has no jwks_uri')
    return { jwksUri, introspectionEndpoint: endpoint(document, 'introspection_endpoint') }
  }

  #unavailable(cause: unknown): AuthenticationError {
    return new AuthenticationError(
      'UNAVAILABLE',
      'The issuer of this token does not answer. Try again later.',
      cause,
    )
  }
}

function endpoint(document: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = document[name]
  if (typeof value !== 'string') return undefined
  if (!URL.canParse(value) || !isTrustworthy(value)) throw new TypeError(`its ${name} is not https://`)
  return value
}

/** Public signature keys only: what else may stand there could only be taken for one by mistake. */
function knownKeys(body: unknown): KnownKeys {
  const all = (body as JSONWebKeySet | undefined)?.keys
  if (!Array.isArray(all)) throw new TypeError('its keys are no JSON Web Key Set')
  const keys = all.filter(
    (key: unknown): key is JWK =>
      typeof key === 'object' && key !== null && ASYMMETRIC.has(String((key as JWK).kty)) && !('d' in key),
  )
  return {
    ids: new Set(keys.map(identity)),
    keys: keys.map((key) => ({ id: identity(key), kid: key.kid, find: createLocalJWKSet({ keys: [key] }) })),
  }
}

const ASYMMETRIC: ReadonlySet<string> = new Set(['RSA', 'EC', 'OKP'])

function identity({ kid, kty, crv, n, e, x, y }: JWK): string {
  return JSON.stringify([kid, kty, crv, n, e, x, y])
}
