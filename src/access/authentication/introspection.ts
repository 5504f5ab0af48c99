/**
 * Asks a provider whether a token still holds (RFC 7662): the only way to learn of an opaque token, and the only
 * one to learn that a JWT was revoked before its time.
 */
import { readFile } from 'node:fs/promises'
import { Asking } from './asking.ts'
import { AuthenticationError } from './authenticator.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import type { ProviderHttp } from './provider-http.ts'

export interface IntrospectionOptions {
  /** Default: from the discovery document. */
  readonly url?: string | undefined
  readonly clientId: string
  /** Read again for each question, so that a rotated secret counts. */
  readonly clientSecretFile: string
  /** As of `TokenReviewOptions`. */
  readonly cacheSeconds: number
}

interface Surroundings {
  readonly issuer: string
  readonly keys: IssuerKeys
  readonly http: ProviderHttp
  /** For the log. Without the token. */
  readonly onProblem: (problem: string, error: unknown) => void
}

export class Introspection {
  readonly #options: IntrospectionOptions
  readonly #surroundings: Surroundings
  readonly #asking = new Asking()

  constructor(options: IntrospectionOptions, surroundings: Surroundings) {
    this.#options = options
    this.#surroundings = surroundings
  }

  get everyMs(): number {
    return this.#options.cacheSeconds * 1000
  }

  /**
   * What the provider says of a token that is active. Rejects with `AuthenticationError`: `UNAUTHENTICATED` where
   * it is not, `UNAVAILABLE` where nobody can tell. `patient`: waits for its turn however many others do.
   */
  async ask(
    token: string,
    options?: { readonly patient?: boolean },
  ): Promise<Readonly<Record<string, unknown>>> {
    const { status, body } = await this.#asking.run(() => this.#post(token), options)
    const answer = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
    if (status === 200 && answer['active'] === true) return answer
    if (status === 200 && answer['active'] === false) {
      throw new AuthenticationError('UNAUTHENTICATED', 'The token holds no more. Sign in again.')
    }
    const hint =
      status === 401 ? ': check authentication.oidc introspection.clientId and clientSecretFile' : ''
    throw this.#unavailable(`introspection is answered with HTTP ${status}${hint}`, undefined)
  }

  async #post(token: string) {
    const { clientId, clientSecretFile, url } = this.#options
    const endpoint = url ?? (await this.#surroundings.keys.metadata()).introspectionEndpoint
    if (endpoint === undefined) {
      throw this.#unavailable(
        'its discovery document has no introspection_endpoint: set introspection.url',
        undefined,
      )
    }
    try {
      const secret = (await readFile(clientSecretFile, 'utf8')).trim()
      return await this.#surroundings.http.post(
        endpoint,
        { token, token_type_hint: 'access_token' },
        { id: clientId, secret },
      )
    } catch (error) {
      throw this.#unavailable(error instanceof Error ? error.message : String(error), error)
    }
  }

  #unavailable(why: string, cause: unknown): AuthenticationError {
    const { issuer, onProblem } = this.#surroundings
    onProblem(`OpenID provider ${issuer}: ${why}.`, cause)
    return new AuthenticationError(
      'UNAVAILABLE',
      'The issuer of this token does not answer. Try again later.',
      cause,
    )
  }
}
