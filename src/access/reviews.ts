/**
 * Rights by asking the clusters: for those whose authorizers are not RBAC alone, or do not let us read their
 * roles, and for viewers who bring a token of the cluster. One of these for a process: it knows the time, and
 * bounds what is kept; what is known of a cluster, and how it is asked, is in `cluster-reviews.ts`.
 *
 * Keys name identities and not scopes. Rights are found out one kind at a time, when somebody asks: two viewers
 * who may do the same as far as is known may differ in what is not, and whoever shared an answer, or a group of
 * followers, by a key of the known part alone would be given the other's rights with the next kind.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../fleet/clock.ts'
import type { Cluster, Fleet } from '../fleet/fleet.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { ReviewedBy, Reviews } from './cluster-policy.ts'
import { ClusterReviews, IDLE_MS, type Subject } from './cluster-reviews.ts'
import type { Action, ReadRight, Revised, Verdict } from './policy.ts'
import { ReadRights } from './rbac/scopes.ts'
import type { Asker, ReadVerb } from './review-requests.ts'
import type { RightFinderLimits } from './right-finder.ts'
import type { Viewer } from './viewer.ts'

export interface ReviewsOptions {
  readonly fleet: Fleet
  readonly clock: Clock
  /**
   * An answer that is so old is asked for again while somebody uses it; after twice that it is used no more.
   * Less than a second is taken for a second.
   */
  readonly cacheMs: number
  readonly limits?: ReviewLimits
}

export interface ReviewLimits extends RightFinderLimits {
  /** Identities, counted in each cluster. Default 10,000. */
  readonly subjects?: number
  /** Answers about single namespaces and actions, of all. Default 500,000. */
  readonly answers?: number
}

const GONE: Revised = { revision: 0 }

/** Changes within this time are told once. */
const TOLD_MS = 25

export class AskedReviews implements Reviews {
  readonly #options: ReviewsOptions
  readonly #clock: Clock
  readonly #cacheMs: number
  readonly #readRights = new ReadRights()
  readonly #clusters = new Map<Cluster, ClusterReviews>()
  readonly #due = new Map<ClusterReviews, number>()
  readonly #askers = new WeakMap<Viewer, Partial<Record<ReviewedBy, Asker>>>()
  readonly #listeners = new Set<() => void>()
  readonly #unlisten: () => void
  #timer: { readonly at: number; readonly cancel: () => void } | undefined
  #telling: (() => void) | undefined
  #doubtAt = 0
  #closed = false

  constructor(options: ReviewsOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#cacheMs = Math.max(options.cacheMs, 1_000)
    this.#unlisten = options.fleet.onChange(() => this.#onFleet())
  }

  read(viewer: Viewer, cluster: Cluster, kind: Kind, verb: ReadVerb, by: ReviewedBy): ReadRight {
    const found = this.#subject(viewer, cluster, by)
    if (!found) return { scope: undefined, state: 'UNKNOWN', reason: nobody(cluster), settled: null }
    return found.reviews.read(found.subject, kind, verb)
  }

  can(viewer: Viewer, cluster: Cluster, action: Action, by: ReviewedBy): Verdict | Promise<Verdict> {
    const found = this.#subject(viewer, cluster, by)
    if (!found) return { allowed: null, reason: nobody(cluster) }
    return found.reviews.can(found.subject, action)
  }

  keyOf(viewer: Viewer, cluster: Cluster, by: ReviewedBy): string {
    const asker = this.#asker(viewer, by)
    if (!asker) return ''
    const reviews = this.#clusters.get(cluster)
    const subject = reviews?.subjects.get(asker.key)
    if (!subject) return `${asker.key}.0`
    reviews!.touch(subject)
    return `${asker.key}.${subject.stamp}`
  }

  revised(cluster: Cluster): Revised {
    return this.#reviews(cluster) ?? GONE
  }

  onChange(listener: () => void): () => void {
    const own = () => listener()
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#unlisten()
    this.#timer?.cancel()
    this.#telling?.()
    this.#listeners.clear()
    for (const reviews of this.#clusters.values()) reviews.close()
    this.#clusters.clear()
  }

  #subject(
    viewer: Viewer,
    cluster: Cluster,
    by: ReviewedBy,
  ): { readonly reviews: ClusterReviews; readonly subject: Subject } | undefined {
    const asker = this.#asker(viewer, by)
    const reviews = this.#reviews(cluster)
    if (!asker || !reviews) return undefined
    const known = reviews.subjects.get(asker.key)
    if (known) return { reviews, subject: known }
    this.#makeRoom()
    return { reviews, subject: reviews.subject(asker) }
  }

  #asker(viewer: Viewer, by: ReviewedBy): Asker | undefined {
    let askers = this.#askers.get(viewer)
    if (!askers) this.#askers.set(viewer, (askers = {}))
    const asker = askers[by] ?? askerOf(viewer, by)
    if (asker) askers[by] = asker
    return asker
  }

  /** `undefined`: of a cluster that left, and after the end. */
  #reviews(cluster: Cluster): ClusterReviews | undefined {
    let reviews = this.#clusters.get(cluster)
    if (!reviews) {
      if (this.#closed || this.#options.fleet.cluster(cluster.name) !== cluster) return undefined
      const made = new ClusterReviews(cluster, {
        clock: this.#clock,
        cacheMs: this.#cacheMs,
        readRights: this.#readRights,
        limits: this.#options.limits ?? {},
        onChange: () => this.#tell(),
        onDue: (at) => this.#plan(made, at),
      })
      reviews = made
      this.#clusters.set(cluster, made)
    }
    return reviews
  }

  /** Clusters that left take what is known of them along; one that is up again is asked again. */
  #onFleet(): void {
    const { fleet } = this.#options
    const now = this.#clock.now()
    for (const [cluster, reviews] of this.#clusters) {
      if (fleet.cluster(cluster.name) === cluster) {
        if (reviews.subjects.size > 0) this.#plan(reviews, now)
        continue
      }
      this.#clusters.delete(cluster)
      this.#due.delete(reviews)
      reviews.close()
    }
  }

  // Time.

  #plan(reviews: ClusterReviews, at: number): void {
    if (this.#closed || !this.#clusters.has(reviews.cluster)) return
    const known = this.#due.get(reviews)
    if (known === undefined || at < known) this.#due.set(reviews, at)
    this.#wake(at)
  }

  #wake(at: number): void {
    if (this.#timer && this.#timer.at <= at) return
    this.#timer?.cancel()
    const cancel = this.#clock.after(Math.max(at - this.#clock.now(), 0), () => this.#run())
    this.#timer = { at, cancel }
  }

  #run(): void {
    this.#timer = undefined
    const now = this.#clock.now()
    // All at once, since whoever follows something is asked for each of them.
    const doubt = now >= this.#doubtAt
    if (doubt) this.#doubtAt = now + IDLE_MS / 2
    for (const [reviews, at] of Array.from(this.#due)) {
      if (at > now && !doubt) continue
      this.#due.delete(reviews)
      reviews.run(doubt)
    }
    this.#makeRoom(0)
    if (this.#due.size === 0) return
    let next = this.#doubtAt
    for (const at of this.#due.values()) next = Math.min(next, at)
    this.#wake(Math.max(next, now))
  }

  #tell(): void {
    if (this.#telling || this.#closed) return
    this.#telling = this.#clock.after(TOLD_MS, () => {
      this.#telling = undefined
      for (const listener of this.#listeners) listener()
    })
  }

  // Bounds.

  /** Lets go of those that were used longest ago, a tenth at a time, so that looking for them costs little. */
  #makeRoom(more = 1): void {
    const { subjects: most = 10_000, answers = 500_000 } = this.#options.limits ?? {}
    let subjects = more
    for (const reviews of this.#clusters.values()) subjects += reviews.subjects.size
    const isFull = subjects > most
    // Answers come with time, not with requests: they are counted when time is.
    if (!isFull && more > 0) return
    if (!isFull && this.#size() <= answers) return
    const all = Array.from(this.#clusters.values()).flatMap((reviews) =>
      Array.from(reviews.subjects.values(), (subject) => ({ reviews, subject })),
    )
    all.sort((a, b) => a.subject.usedAt - b.subject.usedAt)
    for (const { reviews, subject } of all.slice(0, Math.ceil(all.length / 10))) reviews.forget(subject)
  }

  #size(): number {
    let size = 0
    for (const reviews of this.#clusters.values()) size += reviews.size
    return size
  }
}

function askerOf({ user, token }: Viewer, by: ReviewedBy): Asker | undefined {
  if (by === 'VIEWER') {
    return token === null ? undefined : { key: `t:${digest(token)}`, user, token }
  }
  const { name, uid = '', groups, extra = {} } = user
  const keys = Object.keys(extra).sort()
  const identity = [name, uid, [...new Set(groups)].sort(), keys.map((key) => [key, extra[key]])]
  return { key: `u:${digest(JSON.stringify(identity))}`, user, token: null }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function nobody({ name }: Cluster): string {
  return `Your rights in the cluster ${name} cannot be found out: it left the fleet, or wants a token that you did not send.`
}
