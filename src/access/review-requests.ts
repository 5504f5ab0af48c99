/**
 * What one API server is asked about rights: SubjectAccessReview with the gateway's credentials, or
 * SelfSubjectAccessReview with the viewer's own token, and SelfSubjectRulesReview for a whole namespace. So many
 * at a time, the rest in a line that is bounded. Keeps no answer.
 * https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
 *
 * Invariant: what leaves here is for viewers: no address, no message of the API server about the gateway.
 */
import type { Cluster } from '../fleet/fleet.ts'
import { withoutAddresses } from '../fleet/reflector-failure.ts'
import { ApiError, TransportError, type ApiRequest } from '../kubernetes/client.ts'
import { ALL_KINDS, KINDS } from '../kubernetes/kinds.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { Action, Verdict } from './policy.ts'
import type { User } from './viewer.ts'

/** Whose rights are asked for, and by whom: with a token by its bearer, else by the gateway. */
export interface Asker {
  /** Coincides for those whom the cluster cannot tell apart. */
  readonly key: string
  readonly user: User
  readonly token: string | null
}

/** There is no answer. */
export class ReviewError extends Error {
  override readonly name = 'ReviewError'
  /**
   * `REFUSED`: the cluster does not know the viewer's token, which is an answer, too. `UNANSWERED`: nothing is
   * known; it may be another time.
   */
  readonly code: 'REFUSED' | 'UNANSWERED'

  constructor(code: ReviewError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export type ReadVerb = 'list' | 'watch'

/** `Pod/list`. */
export function readKey(kind: Kind, verb: ReadVerb): string {
  return `${kind}/${verb}`
}

/** What may be read in one namespace. */
export interface NamespaceRules {
  /** Kinds and verbs, as `readKey`. */
  readonly all: ReadonlySet<string>
  /** Of others single names, by `readKey`. */
  readonly names: ReadonlyMap<string, readonly string[]>
}

export interface ReviewRequestLimits {
  /** To one cluster at a time. Default 16. */
  readonly atOnce?: number
  /** That wait for one cluster. Default 10,000. */
  readonly inLine?: number
}

/** One answer of a cluster. */
const TIMEOUT_MS = 5_000
const REVIEWS = '/apis/authorization.k8s.io/v1'

export class ReviewRequests {
  readonly #cluster: Cluster
  readonly #atOnce: number
  readonly #inLine: number
  readonly #line: (() => void)[] = []
  readonly #ended = new AbortController()
  #running = 0

  constructor(cluster: Cluster, { atOnce = 16, inLine = 10_000 }: ReviewRequestLimits = {}) {
    this.#cluster = cluster
    this.#atOnce = atOnce
    this.#inLine = inLine
  }

  /** Rejects with a `ReviewError`. */
  async access(asker: Asker, action: Action): Promise<Verdict & { readonly allowed: boolean }> {
    const { verb, group, resource, subresource, namespace, name } = action
    // The answer holds for all versions of the resource: rows are of none.
    const resourceAttributes = { verb, group, version: '*', resource, subresource, namespace, name }
    const { user } = asker
    const { status } = await this.#post<{ readonly status?: AccessStatus }>(
      asker.token === null
        ? review('SubjectAccessReview', {
            resourceAttributes,
            user: user.name,
            groups: user.groups,
            uid: user.uid,
            extra: user.extra,
          })
        : { ...review('SelfSubjectAccessReview', { resourceAttributes }), token: asker.token },
    )
    const allowed = status?.allowed === true && status.denied !== true
    const reason = status?.reason || status?.evaluationError
    // Of an authorizer that is asked over the network the error may tell where it is.
    return { allowed, reason: reason ? withoutAddresses(reason) : null }
  }

  /**
   * All that the viewer may read in a namespace, by rules for the whole cluster as well; `undefined` where the
   * cluster cannot list its rules, or does not let us ask. Rejects with a `ReviewError`.
   */
  async rules(asker: Asker, namespace: string): Promise<NamespaceRules | undefined> {
    const { name, groups, uid, extra } = asker.user
    const as = { user: name, groups, ...(uid && { uid }), ...(extra && { extra }) }
    const who = asker.token === null ? { as } : { token: asker.token }
    const request = { ...review('SelfSubjectRulesReview', { namespace }), ...who }
    try {
      const { status } = await this.#post<{ readonly status?: RulesStatus }>(request)
      if (!status || status.incomplete === true) return undefined
      return readRules(status.resourceRules ?? [])
    } catch (error) {
      const { cause } = error as ReviewError
      // Not to impersonate, or not to ask this: single questions may be asked all the same. What the user's name
      // holds may be no header, too.
      if (cause instanceof TypeError) return undefined
      if (cause instanceof ApiError && (cause.statusCode === 403 || cause.statusCode === 404))
        return undefined
      throw error
    }
  }

  /** Ends all of them. */
  close(): void {
    this.#ended.abort()
    for (const next of this.#line.splice(0)) next()
  }

  async #post<T>(request: ApiRequest): Promise<T> {
    const { name, health, client } = this.#cluster
    if (health.state === 'DOWN') throw new ReviewError('UNANSWERED', unanswered(name, 'it does not answer'))
    await this.#turn()
    try {
      this.#ended.signal.throwIfAborted()
      return await client.json<T>({ ...request, timeoutMs: TIMEOUT_MS, signal: this.#ended.signal })
    } catch (error) {
      throw reviewError(name, error, request.token !== undefined)
    } finally {
      const next = this.#line.shift()
      if (next) next()
      else this.#running--
    }
  }

  async #turn(): Promise<void> {
    if (this.#running < this.#atOnce) {
      this.#running++
      return
    }
    if (this.#line.length >= this.#inLine) {
      throw new ReviewError(
        'UNANSWERED',
        unanswered(this.#cluster.name, 'too many questions wait for its answer'),
      )
    }
    await new Promise<void>((resolve) => this.#line.push(resolve))
  }
}

/** `authorization/v1` SubjectAccessReviewStatus. */
interface AccessStatus {
  readonly allowed?: boolean
  readonly denied?: boolean
  readonly reason?: string
  readonly evaluationError?: string
}

/** `authorization/v1` SubjectRulesReviewStatus. */
interface RulesStatus {
  readonly incomplete?: boolean
  readonly resourceRules?: readonly ResourceRule[] | null
}

interface ResourceRule {
  readonly verbs?: readonly string[]
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
}

function review(kind: string, spec: object): ApiRequest {
  return {
    method: 'POST',
    path: `${REVIEWS}/${kind.toLowerCase()}s`,
    body: { apiVersion: 'authorization.k8s.io/v1', kind, spec },
  }
}

const VERBS: readonly ReadVerb[] = ['list', 'watch']

/** As RBAC reads its rules: `*` is every verb, group or resource. */
function readRules(rules: readonly ResourceRule[]): NamespaceRules {
  const all = new Set<string>()
  const names = new Map<string, readonly string[]>()
  for (const { verbs = [], apiGroups = [], resources = [], resourceNames = [] } of rules) {
    const has = (values: readonly string[], value: string) => values.includes('*') || values.includes(value)
    const readable = VERBS.filter((verb) => has(verbs, verb))
    if (readable.length === 0) continue
    for (const kind of ALL_KINDS) {
      const { group, resource, namespaced } = KINDS[kind]
      if (!namespaced || !has(apiGroups, group) || !has(resources, resource)) continue
      for (const verb of readable) {
        const key = readKey(kind, verb)
        if (resourceNames.length === 0) all.add(key)
        else names.set(key, [...(names.get(key) ?? []), ...resourceNames])
      }
    }
  }
  return { all, names }
}

/** A sentence for the viewer. */
export function unanswered(cluster: string, why: string): string {
  return `Your rights in the cluster ${cluster} cannot be found out: ${why}.`
}

function reviewError(cluster: string, error: unknown, byViewer: boolean): ReviewError {
  if (error instanceof ApiError) {
    const { statusCode } = error
    if (statusCode === 401 && byViewer) {
      return new ReviewError(
        'REFUSED',
        `The cluster ${cluster} does not accept the token of your sign-in.`,
        error,
      )
    }
    const why =
      statusCode === 401 || statusCode === 403
        ? `it does not let ${byViewer ? 'you' : 'the gateway'} ask`
        : `it answers with HTTP status ${statusCode}`
    return new ReviewError('UNANSWERED', unanswered(cluster, why), error)
  }
  const why =
    error instanceof TransportError && error.code === 'TIMEOUT'
      ? 'it does not answer in time'
      : error instanceof TypeError
        ? 'your user name or token cannot be sent to it'
        : 'it does not answer'
  return new ReviewError('UNANSWERED', unanswered(cluster, why), error)
}
