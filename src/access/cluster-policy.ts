/**
 * The policy of a fleet: each cluster's rights are found out in the way that is configured for it, and told in
 * one voice. Knows no rule of RBAC (`rbac/`) and asks no cluster (`reviews.ts`).
 *
 * What a viewer may do in all clusters is one profile: viewers for whom all clusters decide alike share it, and
 * its key. It is looked up once for a viewer, and again, in the clusters where anything changed, when
 * something did: each change has a number, and a viewer whose profile is as old as the last one is done.
 *
 * Invariants: a viewer reads nothing in a cluster that their identity does not hold in; what is known of a viewer
 * is kept with the Viewer, and goes with it.
 */
import { hash } from 'node:crypto'
import type { Clock } from '../fleet/clock.ts'
import type { Cluster, Fleet } from '../fleet/fleet.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { Action, Credential, Policy, ReadRight, Revised, Verdict } from './policy.ts'
import { ClusterRights, FixedDecision } from './rbac/cluster-rights.ts'
import { type Decision, nextId } from './rbac/rights.ts'
import { ReadRights } from './rbac/scopes.ts'
import { WeakInterner } from './rbac/weak-interner.ts'
import type { Viewer } from './viewer.ts'

/** How the rights in a cluster are found out. */
export type AccessMode = 'rbac' | 'subjectAccessReview' | 'passthrough'

/**
 * Who puts the question to the API server. `GATEWAY`: the gateway with its own credentials, naming the viewer
 * (SubjectAccessReview). `VIEWER`: the viewer with their own token (SelfSubjectAccessReview).
 */
export type ReviewedBy = 'GATEWAY' | 'VIEWER'

/**
 * Rights that the cluster itself is asked for. Is asked only of viewers whose identity holds in the cluster, and
 * with `VIEWER` only of those who have a token.
 */
export interface Reviews {
  /** As `Policy.read`: synchronous; what is not known yet is PENDING, and being found out. */
  read(viewer: Viewer, cluster: Cluster, kind: Kind, verb: 'list' | 'watch', by: ReviewedBy): ReadRight
  /** As `Policy.can`. */
  can(viewer: Viewer, cluster: Cluster, action: Action, by: ReviewedBy): Verdict | Promise<Verdict>
  /**
   * Names everything that `read` would answer this viewer in this cluster now: one key, the same answers. Any
   * text; unique in its cluster only.
   */
  keyOf(viewer: Viewer, cluster: Cluster, by: ReviewedBy): string
  /** Its revision increases whenever an answer of `read`, or a `keyOf`, may have become another for anybody. */
  revised(cluster: Cluster): Revised
  /** As `Policy.onChange`: coalesced within 100 ms. */
  onChange(listener: () => void): () => void
  close(): void | Promise<void>
}

export interface ClusterPolicyOptions {
  readonly fleet: Fleet
  readonly clock: Clock
  /** Asked once for each cluster that joins. */
  readonly modeOf: (clusterName: string) => AccessMode
  /** Closed with the policy. */
  readonly reviews: Reviews
}

export interface ClusterPolicy extends Policy {
  close(): Promise<void>
}

/** Starts to follow the fleet at once. */
export function createClusterPolicy(options: ClusterPolicyOptions): ClusterPolicy {
  return new FleetPolicy(options)
}

/** After the first of several changes; together with the time that rights are held for, within 100 ms. */
const TELL_AFTER_MS = 25

/** The cluster itself decides. */
interface Reviewed {
  readonly id: number
  readonly by: ReviewedBy
}

const REVIEWED = {
  GATEWAY: { id: nextId(), by: 'GATEWAY' },
  VIEWER: { id: nextId(), by: 'VIEWER' },
} as const satisfies Record<ReviewedBy, Reviewed>

const STRANGER = 'This sign-in does not hold in this cluster: it is one of another cluster.'
const NO_TOKEN = "This cluster is asked with the viewer's own token, and this sign-in came without one."
const GONE = 'The cluster has left the fleet.'

const NOT_HERE = new FixedDecision(nothing(STRANGER))
const TOKENLESS = new FixedDecision(nothing(NO_TOKEN))
const UNKNOWN_CLUSTER = new FixedDecision({ ...nothing(GONE), state: 'UNKNOWN' })

function nothing(reason: string): ReadRight {
  return { scope: undefined, state: 'DECIDED', reason, settled: null }
}

/** What the clusters decide for some viewers. */
interface Profile {
  readonly key: string
  /** By `Place.index`. */
  readonly parts: readonly (Decision | Reviewed | undefined)[]
}

/** What is known of one viewer. */
interface Known {
  profile: Profile
  /** The change that it is as new as. */
  asOf: number
  /** With what reviews say, where they are asked for anything. */
  reviewed: { readonly key: string; readonly asOf: number; readonly revisions: number } | undefined
}

/** Of one cluster after the other: profiles need no look-up to find a cluster's part. */
interface Place {
  readonly index: number
  access: ClusterAccess | undefined
  /** As it was when anybody looked last. */
  isAsked: boolean
  changedAt: number
}

class FleetPolicy implements ClusterPolicy {
  readonly #options: ClusterPolicyOptions
  readonly #readRights = new ReadRights()
  readonly #profiles = new WeakInterner<Profile>()
  readonly #places: Place[] = []
  readonly #placeOf = new Map<Cluster, Place>()
  readonly #known = new WeakMap<Viewer, Known>()
  readonly #listeners = new Set<() => void>()
  readonly #unlisten: readonly (() => void)[]
  /** Clusters that are asked themselves. */
  #asked: readonly Cluster[] = []
  #changes = 0
  #fleetRevision = -1
  #cancelTelling: (() => void) | undefined
  #closed: Promise<void> | undefined

  constructor(options: ClusterPolicyOptions) {
    this.#options = options
    const { fleet, reviews } = options
    this.#unlisten = [fleet.onChange(() => this.#meetFleet()), reviews.onChange(() => this.#tell())]
    this.#meetFleet()
  }

  read(viewer: Viewer, cluster: Cluster, kind: Kind, verb: 'list' | 'watch' = 'list'): ReadRight {
    const part = this.#part(viewer, cluster)
    return 'by' in part
      ? this.#options.reviews.read(viewer, cluster, kind, verb, part.by)
      : part.read(kind, verb)
  }

  can(viewer: Viewer, cluster: Cluster, action: Action): Verdict | Promise<Verdict> {
    const part = this.#part(viewer, cluster)
    return 'by' in part ? this.#options.reviews.can(viewer, cluster, action, part.by) : part.can(action)
  }

  credential(viewer: Viewer, cluster: Cluster): Credential {
    const access = this.#place(cluster)?.access
    if (!access) return { type: 'NONE', reason: GONE }
    if (!holdsIn(viewer, cluster)) return { type: 'NONE', reason: STRANGER }
    if (access.mode !== 'passthrough') return { type: 'IMPERSONATION', as: impersonationOf(viewer) }
    return viewer.token === null ? { type: 'NONE', reason: NO_TOKEN } : { type: 'TOKEN', token: viewer.token }
  }

  rightsKey(viewer: Viewer): string {
    const known = this.#knownOf(viewer)
    return this.#asked.length === 0 ? known.profile.key : this.#reviewedKey(viewer, known)
  }

  revised(cluster: Cluster): Revised {
    return this.#place(cluster)?.access ?? UNREVISED
  }

  onChange(listener: () => void): () => void {
    const own = () => listener()
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    for (const unlisten of this.#unlisten) unlisten()
    this.#cancelTelling?.()
    this.#listeners.clear()
    for (const place of this.#placeOf.values()) place.access?.close()
    await this.#options.reviews.close()
  }

  // ── Viewers ───────────────────────────────────────────────────────────────────────────────────

  #part(viewer: Viewer, cluster: Cluster): Decision | Reviewed {
    const place = this.#place(cluster)
    return (place && this.#knownOf(viewer).profile.parts[place.index]) ?? UNKNOWN_CLUSTER
  }

  #knownOf(viewer: Viewer): Known {
    const known = this.#known.get(viewer)
    if (known?.asOf === this.#changes) return known
    const parts = this.#places.map(({ index, access, changedAt }) =>
      known && changedAt <= known.asOf ? known.profile.parts[index] : access?.partOf(viewer),
    )
    if (known && parts.every((part, i) => part === known.profile.parts[i])) {
      known.asOf = this.#changes
      return known
    }
    const key = parts.map((part) => part?.id).join()
    const profile = this.#profiles.get(key, () => ({ key: `${nextId()}`, parts }))
    if (known) {
      known.profile = profile
      known.asOf = this.#changes
      return known
    }
    const made = { profile, asOf: this.#changes, reviewed: undefined }
    this.#known.set(viewer, made)
    return made
  }

  #reviewedKey(viewer: Viewer, known: Known): string {
    const { reviews } = this.#options
    const { profile, asOf, reviewed } = known
    let revisions = 0
    for (const cluster of this.#asked) revisions += reviews.revised(cluster).revision
    if (reviewed?.asOf === asOf && reviewed.revisions === revisions) return reviewed.key
    const keys = this.#asked.map((cluster) => {
      const part = this.#part(viewer, cluster)
      return 'by' in part ? reviews.keyOf(viewer, cluster, part.by) : ''
    })
    const key = `${profile.key} ${hash('sha256', JSON.stringify(keys), 'base64')}`
    known.reviewed = { key, asOf, revisions }
    return key
  }

  // ── Clusters ──────────────────────────────────────────────────────────────────────────────────

  #place(cluster: Cluster): Place | undefined {
    const place = this.#placeOf.get(cluster)
    if (place || this.#fleetRevision === this.#options.fleet.revision) return place
    // Somebody else heard of it before us.
    this.#meetFleet()
    return this.#placeOf.get(cluster)
  }

  #meetFleet(): void {
    const { fleet } = this.#options
    if (this.#closed || this.#fleetRevision === fleet.revision) return
    this.#fleetRevision = fleet.revision
    const gone = new Set(this.#placeOf.keys())
    for (const cluster of fleet.clusters) {
      if (!gone.delete(cluster)) this.#enter(cluster)
    }
    for (const cluster of gone) this.#leave(cluster)
    this.#findAsked()
  }

  #enter(cluster: Cluster): void {
    let place = this.#places.find(({ access }) => access === undefined)
    if (!place) {
      place = { index: this.#places.length, access: undefined, isAsked: false, changedAt: 0 }
      this.#places.push(place)
    }
    const taken = place
    const { clock, reviews, modeOf } = this.#options
    this.#placeOf.set(cluster, place)
    place.access = new ClusterAccess(cluster, modeOf(cluster.name), reviews, (access) => {
      return new ClusterRights(cluster, {
        clock,
        readRights: this.#readRights,
        onChange: () => taken.access === access && this.#onRights(taken),
      })
    })
    this.#changed(place)
  }

  #leave(cluster: Cluster): void {
    const place = this.#placeOf.get(cluster)!
    this.#placeOf.delete(cluster)
    place.access?.close()
    place.access = undefined
    this.#changed(place)
  }

  #onRights(place: Place): void {
    if (place.isAsked !== place.access?.isAsked) this.#findAsked()
    this.#changed(place)
  }

  #findAsked(): void {
    this.#asked = this.#options.fleet.clusters.filter((cluster) => {
      const place = this.#placeOf.get(cluster)
      if (place) place.isAsked = place.access?.isAsked ?? false
      return place?.isAsked
    })
  }

  #changed(place: Place): void {
    place.changedAt = ++this.#changes
    this.#cancelTelling ??= this.#options.clock.after(TELL_AFTER_MS, () => this.#tell())
  }

  #tell(): void {
    this.#cancelTelling?.()
    this.#cancelTelling = undefined
    for (const listener of this.#listeners) listener()
  }
}

const UNREVISED: Revised = { revision: 0 }

/** How one cluster decides. */
class ClusterAccess implements Revised {
  readonly mode: AccessMode
  readonly #cluster: Cluster
  readonly #reviews: Reviews
  readonly #rights: ClusterRights | undefined

  constructor(
    cluster: Cluster,
    mode: AccessMode,
    reviews: Reviews,
    rights: (own: ClusterAccess) => ClusterRights,
  ) {
    this.#cluster = cluster
    this.mode = mode
    this.#reviews = reviews
    this.#rights = mode === 'rbac' ? rights(this) : undefined
  }

  get isAsked(): boolean {
    return !this.#rights || this.#rights.standing === 'UNREADABLE'
  }

  get revision(): number {
    return (this.#rights?.revision ?? 0) + this.#reviews.revised(this.#cluster).revision
  }

  partOf(viewer: Viewer): Decision | Reviewed {
    if (!holdsIn(viewer, this.#cluster)) return NOT_HERE
    if (this.#rights && !this.isAsked) return this.#rights.decisionOf(viewer.user)
    if (this.mode !== 'passthrough') return REVIEWED.GATEWAY
    return viewer.token === null ? TOKENLESS : REVIEWED.VIEWER
  }

  close(): void {
    this.#rights?.close()
  }
}

function holdsIn({ clusters }: Viewer, cluster: Cluster): boolean {
  return clusters === null || clusters.has(cluster.name)
}

/**
 * Every group is named, so that the API server adds none of its own to a service account; `system:authenticated`
 * it would add to everyone.
 */
function impersonationOf({ user }: Viewer): Extract<Credential, { type: 'IMPERSONATION' }>['as'] {
  const { name, groups, uid, extra } = user
  return { user: name, groups, ...(uid !== undefined && { uid }), ...(extra && { extra }) }
}
