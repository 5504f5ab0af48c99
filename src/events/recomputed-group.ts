/**
 * Followers of something that is made from whole tables: only its newest state counts, so nobody has more
 * than one payload to read, and one that is the same as the last is sent to nobody.
 */
import type { Cluster } from '../fleet/cluster.ts'
import type { Kind } from '../kubernetes/rows.ts'
import { Entry } from './entry.ts'
import type { Follower, Joiner } from './follower.ts'
import { Group, type GroupContext, type Scopes } from './group.ts'
import type { Eyes, LiveStart, Membership, RecomputedRequest } from './live.ts'
import { sameScope } from './slot.ts'
import type { TableChannel } from './table-channel.ts'

export class RecomputedGroup<P> extends Group<P> {
  protected readonly tables = undefined
  readonly #request: RecomputedRequest
  readonly #fleet: { readonly clusters: readonly Cluster[] }
  /** What may be seen of clusters, where that is anything. */
  readonly #seen = new Map<Cluster, Scopes>()
  /** With the rights of now; and with whatever rights, for nothing but to compare with. */
  #last: P | undefined
  #lastTold: P | undefined
  /** Somebody has not had the last one: the next one is sent though it may be the same. */
  #isOwed = false

  /** `like`: whose eyes see what is there, or a group that this one is to be like. */
  constructor(
    name: string,
    rights: string,
    request: RecomputedRequest,
    like: Eyes | RecomputedGroup<P>,
    fleet: { readonly clusters: readonly Cluster[] },
    context: GroupContext,
  ) {
    super(name, rights, request.intervalMs, { ...context, limits: { ...context.limits, queue: 1 } })
    this.#request = request
    this.#fleet = fleet
    if (like instanceof RecomputedGroup) {
      for (const [cluster, scopes] of like.#seen) this.#seen.set(cluster, scopes)
      this.#lastTold = like.#lastTold
      return
    }
    for (const cluster of fleet.clusters) {
      if (!request.clusters(cluster)) continue
      this.#see(
        cluster,
        request.kinds.map((kind) => like.scope(cluster, kind)),
      )
    }
  }

  join(_start: LiveStart, joiner: Joiner<P>): Membership {
    const follower = this.add(joiner)
    this.#welcome(follower)
    return follower
  }

  override touch({ cluster, table }: TableChannel): void {
    if (this.pending.length > 0 || !this.#request.kinds.includes(table.kind)) return
    if (this.#request.clusters(cluster)) this.refresh()
  }

  /** It may be another one, for whatever reason. */
  refresh(gone: readonly Cluster[] = [], _changed?: readonly Cluster[]): void {
    for (const cluster of gone) {
      this.#seen.delete(cluster)
      this.forgetOther(cluster)
    }
    if (this.pending.length === 0) this.push(new Entry({ type: 'SYNCED' }))
  }

  protected override isNews(payload: P): boolean {
    const isOwed = this.#isOwed
    const isSame = areSame(this.#lastTold, payload)
    this.#isOwed = false
    this.#last = payload
    this.#lastTold = payload
    return isOwed || !isSame
  }

  protected override get kinds(): readonly Kind[] {
    return this.#request.kinds
  }

  protected override *askScopes(): Generator<undefined> {
    for (const cluster of this.#fleet.clusters) {
      if (!this.#request.clusters(cluster)) continue
      const scopes = this.scopesOf(cluster)
      if (!scopes) return
      const before = this.#see(cluster, scopes)
      if (before?.some((scope, i) => !sameScope(scope, scopes[i]))) this.noteOther(cluster, before)
      yield
    }
  }

  /** Returns what was seen before. */
  #see(cluster: Cluster, scopes: Scopes): Scopes | undefined {
    const before = this.#seen.get(cluster)
    if (scopes.some((scope) => scope !== undefined)) this.#seen.set(cluster, scopes)
    else this.#seen.delete(cluster)
    return before
  }

  protected override onAsked(isRenamed: boolean): void {
    if (isRenamed) {
      this.#last = undefined
      for (const follower of this.followers) {
        if (this.isUpToDate(follower)) continue
        this.admit(follower)
        this.#isOwed = true
      }
      this.hurry(RIGHTS_MS)
    }
    this.refresh()
  }

  protected fork(rights: string): Group<P> {
    return new RecomputedGroup<P>(this.name, rights, this.#request, this, this.#fleet, this.context)
  }

  adopt(follower: Follower<P>, from: Group<P>): void {
    const had = from instanceof RecomputedGroup ? (from.#lastTold as P | undefined) : undefined
    if (this.#last !== undefined && areSame(had, this.#last)) this.admit(follower)
    else this.#welcome(follower)
  }

  protected resync(follower: Follower<P>): void {
    this.#welcome(follower)
  }

  protected resyncAll(): void {
    this.#last = undefined
    this.#isOwed = true
    this.hurry(RIGHTS_MS)
    this.refresh()
  }

  #welcome(follower: Follower<P>): void {
    if (this.#last === undefined) {
      this.#isOwed = true
      this.admit(follower)
      this.refresh()
      return
    }
    const entry = new Entry<P>({ type: 'SYNCED' })
    entry.payload = this.#last
    this.admit(follower, [entry])
  }
}

/** How soon it is made anew when rights change, however seldom it is otherwise: they may change all the time. */
const RIGHTS_MS = 1_000

/** Payloads that are no bytes are never the same. */
function areSame(a: unknown, b: unknown): boolean {
  return Buffer.isBuffer(a) && Buffer.isBuffer(b) && a.equals(b)
}
