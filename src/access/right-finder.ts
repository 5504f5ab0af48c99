/**
 * Finds out what somebody may read of a kind in one cluster: first the whole cluster, then its namespaces – all
 * kinds at once by the rules of each namespace, where the cluster can list them, else one question for each.
 * Knows who asks and how (`review-requests.ts`), and neither when nor for whom it is kept (`cluster-reviews.ts`).
 */
import type { Clock } from '../fleet/clock.ts'
import type { Cluster } from '../fleet/fleet.ts'
import type { Scope } from '../fleet/selection.ts'
import { KINDS } from '../kubernetes/kinds.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { Action } from './policy.ts'
import type { ReadRights } from './rbac/scopes.ts'
import {
  readKey,
  ReviewError,
  unanswered,
  type Asker,
  type NamespaceRules,
  type ReadVerb,
  type ReviewRequestLimits,
  type ReviewRequests,
} from './review-requests.ts'

export interface Timed<T> {
  /** When its question was sent. */
  readonly at: number
  readonly value: T
}

/** One asker, with what is known of them whatever kind is asked for. */
export interface Examinee {
  readonly asker: Asker
  /** By namespace. */
  readonly rules: Map<string, Timed<NamespaceRules>>
  /** Those under way. */
  readonly asked: Map<string, Promise<Timed<NamespaceRules> | undefined>>
}

/** One kind and verb, with what is known of it. */
export interface Inquiry {
  readonly kind: Kind
  readonly verb: ReadVerb
  /** Whether it holds in the whole cluster, and else by namespace. */
  whole: Timed<boolean> | undefined
  readonly namespaces: Map<string, Timed<boolean>>
}

export interface RightFinderLimits extends ReviewRequestLimits {
  /** Namespaces that are asked about for one right. Default 1,000. */
  readonly namespaces?: number
}

export interface RightFinderOptions {
  readonly clock: Clock
  readonly cacheMs: number
  readonly readRights: ReadRights
  readonly limits: RightFinderLimits
}

/** How long a cluster that could not list somebody's rules is not asked for any. */
const WITHOUT_RULES_MS = 600_000
/** Names in rules, times namespaces: whoever writes the roles of one cluster must not fill the memory of all. */
const MOST_OBJECTS = 100_000

export class RightFinder {
  readonly #cluster: Cluster
  readonly #requests: ReviewRequests
  readonly #options: RightFinderOptions
  #withoutRulesUntil = 0

  constructor(cluster: Cluster, requests: ReviewRequests, options: RightFinderOptions) {
    this.#cluster = cluster
    this.#requests = requests
    this.#options = options
  }

  /**
   * What the examinee may read, and when the oldest of the questions was sent whose answers say so. Answers that
   * are half as old as they may get are used again. Rejects with a `ReviewError`.
   */
  async find(
    subject: Examinee,
    right: Inquiry,
  ): Promise<{ scope: Scope | undefined; reason: string | null; asOf: number }> {
    const { kind, verb } = right
    const { group, resource, namespaced } = KINDS[kind]
    const action = { verb, group, resource }
    if (!this.#isFresh(right.whole)) {
      const at = this.#options.clock.now()
      const { allowed } = await this.#requests.access(subject.asker, action)
      right.whole = { at, value: allowed }
    }
    const { whole } = right
    if (whole!.value || !namespaced) {
      right.namespaces.clear()
      return { scope: whole!.value ? 'all' : undefined, reason: null, asOf: whole!.at }
    }
    const { names, reason } = this.#namespaces()
    const known = new Set(names)
    for (const name of right.namespaces.keys()) if (!known.has(name)) right.namespaces.delete(name)
    for (const name of subject.rules.keys()) if (!known.has(name)) subject.rules.delete(name)
    const found =
      (await this.#byRules(subject, right, names)) ??
      (await this.#oneByOne(subject.asker, right, action, names))
    const { namespaces, objects, asOf } = found
    const { scope } = this.#options.readRights.of({ namespaces, objects })
    return { scope, reason, asOf: Math.min(asOf, whole!.at) }
  }

  /** New enough to be used for another right, or to be gone on from. */
  #isFresh(answer: Timed<unknown> | undefined): boolean {
    if (!answer) return false
    const age = this.#options.clock.now() - answer.at
    return age >= 0 && age < this.#options.cacheMs / 2
  }

  #namespaces(): { readonly names: readonly string[]; readonly reason: string | null } {
    const table = this.#cluster.table('Namespace')
    if (table.status.asOf === null) {
      throw new ReviewError('UNANSWERED', unanswered(this.#cluster.name, 'its namespaces are not known'))
    }
    const most = this.#options.limits.namespaces ?? 1_000
    const names: string[] = []
    for (const { name } of table.rows().all()) if (names.push(name) >= most) break
    const reason =
      table.size > most
        ? `The cluster ${this.#cluster.name} has ${table.size} namespaces; your rights were found out for the first ${most} of them, and the others are not shown.`
        : null
    return { names, reason }
  }

  /** `undefined` where the cluster cannot list its rules. */
  async #byRules(subject: Examinee, right: Inquiry, names: readonly string[]): Promise<Found | undefined> {
    const key = readKey(right.kind, right.verb)
    const namespaces = new Set<string>()
    const objects = new Set<string>()
    let asOf = Infinity
    const ask = async (namespace: string): Promise<boolean> => {
      if (this.#options.clock.now() < this.#withoutRulesUntil) return false
      const rules = await this.#rules(subject, namespace)
      if (!rules) {
        this.#withoutRulesUntil = this.#options.clock.now() + WITHOUT_RULES_MS
        subject.rules.clear()
        return false
      }
      asOf = Math.min(asOf, rules.at)
      if (rules.value.all.has(key)) namespaces.add(namespace)
      else if (objects.size < MOST_OBJECTS) {
        for (const name of rules.value.names.get(key) ?? []) objects.add(`${namespace}/${name}`)
      }
      return true
    }
    // One alone first: where it does not work, it does not for the others.
    const [first, ...rest] = names
    if (first !== undefined && !(await ask(first))) return undefined
    if (!(await inParallel(rest, this.#parallel, ask))) return undefined
    right.namespaces.clear()
    return { namespaces, objects, asOf }
  }

  async #rules(subject: Examinee, namespace: string): Promise<Timed<NamespaceRules> | undefined> {
    const known = subject.rules.get(namespace)
    if (known && this.#isFresh(known)) return known
    let asking = subject.asked.get(namespace)
    if (!asking) {
      const at = this.#options.clock.now()
      asking = this.#requests
        .rules(subject.asker, namespace)
        .then((value) => {
          if (!value) return undefined
          const answer = { at, value }
          subject.rules.set(namespace, answer)
          return answer
        })
        .finally(() => subject.asked.delete(namespace))
      subject.asked.set(namespace, asking)
    }
    return asking
  }

  async #oneByOne(
    asker: Asker,
    right: Inquiry,
    action: Pick<Action, 'verb' | 'group' | 'resource'>,
    names: readonly string[],
  ): Promise<Found> {
    const namespaces = new Set<string>()
    let asOf = Infinity
    await inParallel(names, this.#parallel, async (namespace) => {
      let answer = right.namespaces.get(namespace)
      if (!answer || !this.#isFresh(answer)) {
        const at = this.#options.clock.now()
        const { allowed } = await this.#requests.access(asker, { ...action, namespace })
        right.namespaces.set(namespace, (answer = { at, value: allowed }))
      }
      asOf = Math.min(asOf, answer.at)
      if (answer.value) namespaces.add(namespace)
      return true
    })
    return { namespaces, objects: new Set(), asOf }
  }

  get #parallel(): number {
    return this.#options.limits.atOnce ?? 16
  }
}

interface Found {
  readonly namespaces: ReadonlySet<string>
  readonly objects: ReadonlySet<string>
  /** When the oldest question was sent; Infinity where there was none. */
  readonly asOf: number
}

/** So many at a time; ends early, with false, where the work says so. Rejects with the first failure. */
async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<boolean>,
): Promise<boolean> {
  let next = 0
  let goOn = true
  const worker = async () => {
    while (goOn && next < items.length) {
      try {
        if (!(await work(items[next++]!))) goOn = false
      } catch (error) {
        goOn = false
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
  return goOn
}
