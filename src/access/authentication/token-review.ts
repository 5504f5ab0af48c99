/**
 * Tokens that a cluster's API server knows – service accounts, its own OIDC and webhooks – by TokenReview
 * (https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/), asked with the
 * gateway's own rights (`create tokenreviews`).
 *
 * Invariants: the identity holds in the cluster that vouched for it, and what is Kubernetes' own never
 * elsewhere; a cluster that does not answer says neither yes nor no.
 */
import type { ApiClient } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/client.ts'
import { Asking } from './asking.ts'
import { AuthenticationError } from './authenticator.ts'
import { isOfCluster, ownUser } from './identity.ts'
import { numericDate, type UnverifiedJwt } from './jwt.ts'
import type { SignIn, TokenAuthenticator } from './sign-in.ts'

export interface TokenReviewOptions {
  /** The name of the cluster that is asked. */
  readonly cluster: string
  /** Only for JWTs of this issuer. Read by whoever chooses the authenticator. */
  readonly issuer?: string | undefined
  /** One of them must be the token's; empty: those of the API server. */
  readonly audiences: readonly string[]
  /** Of requests; of a token with a stream it is the longest time until it is asked after (`RECHECKS_PER_SECOND`). */
  readonly cacheSeconds: number
  /** `fleet`: names that are not Kubernetes' own mean the same in all clusters. */
  readonly holdsIn: 'cluster' | 'fleet'
}

export interface TokenReviewSurroundings {
  /** The client of a cluster by name; `undefined` while there is no such cluster. */
  readonly client: (cluster: string) => ApiClient | undefined
  /** For the log: why a cluster could not be asked. Without the token. */
  readonly onProblem?: (problem: string, error: unknown) => void
}

/** Until a cluster counts as not answering. */
const TIMEOUT_MS = 3_000

/** `authentication.k8s.io/v1` TokenReviewStatus. */
interface Status {
  readonly authenticated?: boolean
  readonly user?: {
    readonly username?: string
    readonly uid?: string
    readonly groups?: readonly string[] | null
    readonly extra?: Readonly<Record<string, readonly string[]>> | null
  }
  readonly audiences?: readonly string[] | null
  readonly error?: string
}

export class TokenReviewer implements TokenAuthenticator {
  readonly #options: TokenReviewOptions
  readonly #surroundings: TokenReviewSurroundings
  readonly #asking = new Asking()

  constructor(options: TokenReviewOptions, surroundings: TokenReviewSurroundings) {
    this.#options = options
    this.#surroundings = surroundings
  }

  signIn(token: string, jwt: UnverifiedJwt | undefined): Promise<SignIn> {
    return this.#review(token, jwt, false)
  }

  async #review(token: string, jwt: UnverifiedJwt | undefined, patient: boolean): Promise<SignIn> {
    const { cluster, cacheSeconds, holdsIn } = this.#options
    const status = await this.#asking.run(() => this.#ask(token), { patient })
    const { authenticated, user: info } = status
    // An error beside a yes would be a contradiction: nobody is let in by it.
    if (authenticated !== true || status.error || !info?.username || !this.#isForUs(status)) {
      throw new AuthenticationError('UNAUTHENTICATED', 'The cluster does not know this token. Sign in again.')
    }
    const user = ownUser({
      name: info.username,
      groups: info.groups ?? [],
      uid: info.uid || undefined,
      extra: info.extra ?? undefined,
    })
    const everywhere = holdsIn === 'fleet' && !isOfCluster(user)
    // The cluster has said that the token is its own: now its claims are true.
    const exp = numericDate(jwt?.claims['exp'])
    return {
      user,
      method: 'TOKEN_REVIEW',
      issuer: cluster,
      expiresAt: exp === undefined ? null : exp * 1000,
      token,
      clusters: everywhere ? null : new Set([cluster]),
      operations: null,
      recheck: {
        everyMs: cacheSeconds * 1000,
        reviewer: this,
        ask: () => this.#review(token, jwt, true),
      },
    }
  }

  /** A server that knows no audiences answers without them, and cannot have checked them. */
  #isForUs({ audiences }: Status): boolean {
    const wanted = this.#options.audiences
    return wanted.length === 0 || wanted.some((audience) => audiences?.includes(audience))
  }

  async #ask(token: string): Promise<Status> {
    const { cluster, audiences } = this.#options
    const client = this.#surroundings.client(cluster)
    if (!client) throw this.#unavailable('there is no such cluster', undefined)
    const deadline = AbortSignal.timeout(TIMEOUT_MS)
    try {
      const review = await client.json<{ readonly status?: Status } | null>({
        method: 'POST',
        path: '/apis/authentication.k8s.io/v1/tokenreviews',
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, ...(audiences.length > 0 && { audiences }) },
        },
        signal: deadline,
        timeoutMs: TIMEOUT_MS,
      })
      return review?.status ?? {}
    } catch (error) {
      const why =
        error instanceof ApiError
          ? `HTTP ${error.statusCode} ${error.code}${error.statusCode === 403 ? ' (the gateway needs create on tokenreviews.authentication.k8s.io)' : ''}`
          : deadline.aborted
            ? `no answer within ${TIMEOUT_MS / 1000} s`
            : 'it does not answer'
      throw this.#unavailable(why, error)
    }
  }

  #unavailable(why: string, error: unknown): AuthenticationError {
    const { cluster } = this.#options
    this.#surroundings.onProblem?.(`TokenReview in cluster ${cluster}: ${why}.`, error)
    return new AuthenticationError(
      'UNAVAILABLE',
      'The cluster that knows this token does not answer. Try again later.',
      error,
    )
  }
}
