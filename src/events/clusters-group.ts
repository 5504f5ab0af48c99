/**
 * Followers of the clusters themselves: their health and labels. There are few of them and no positions: a
 * beginning, or a RESYNC, is all of them. Whoever signed in may see them all.
 */
import type { Cluster } from '../fleet/cluster.ts'
import { Entry } from './entry.ts'
import type { Follower, Joiner, Prelude } from './follower.ts'
import { Group, type GroupContext } from './group.ts'
import type { ClustersRequest, LiveStart, Membership } from './live.ts'

export class ClustersGroup<P> extends Group<P> {
  protected readonly tables = undefined
  readonly #request: ClustersRequest
  readonly #fleet: { readonly clusters: readonly Cluster[] }
  /** With the revision that was told. */
  readonly #known = new Map<Cluster, number>()
  /** They begin with all that is there once what waits for the others is told. */
  readonly #beginning = new Map<Follower<P>, string | undefined>()

  constructor(
    name: string,
    rights: string,
    request: ClustersRequest,
    fleet: { readonly clusters: readonly Cluster[] },
    context: GroupContext,
  ) {
    super(name, rights, 0, context)
    this.#request = request
    this.#fleet = fleet
    for (const cluster of this.#present()) this.#known.set(cluster, cluster.revision)
  }

  join(start: LiveStart, joiner: Joiner<P>): Membership {
    const follower = this.add(joiner)
    if (start.after !== undefined) {
      this.#begin(follower, 'Streams of clusters have no positions to go on from.')
    } else if (start.snapshot) this.#begin(follower)
    else this.admit(follower)
    return follower
  }

  protected override release(follower: Follower<P>): void {
    this.#beginning.delete(follower)
    super.release(follower)
  }

  protected fork(rights: string): Group<P> {
    const fork = new ClustersGroup<P>(this.name, rights, this.#request, this.#fleet, this.context)
    fork.#known.clear()
    for (const [cluster, revision] of this.#known) fork.#known.set(cluster, revision)
    return fork
  }

  override get canAdopt(): boolean {
    return this.isQuiet
  }

  adopt(follower: Follower<P>): void {
    this.admit(follower)
  }

  refresh(_gone?: readonly Cluster[], _changed?: readonly Cluster[]): void {
    const present = new Set(this.#present())
    const fleet = new Set(this.#fleet.clusters)
    for (const cluster of Array.from(this.#known.keys())) {
      if (present.has(cluster)) continue
      this.#known.delete(cluster)
      this.push(
        fleet.has(cluster)
          ? new Entry({
              type: 'DELETED',
              cluster,
              reason: 'FILTER',
              message: `The cluster ${cluster.name} does not match the filter any more.`,
            })
          : new Entry({
              type: 'DELETED',
              cluster,
              reason: 'CLUSTER_REMOVED',
              message: `The cluster ${cluster.name} has left the fleet.`,
            }),
      )
    }
    for (const cluster of present) {
      const { revision } = cluster
      const known = this.#known.get(cluster)
      if (known === revision) continue
      this.#known.set(cluster, revision)
      this.push(new Entry({ type: known === undefined ? 'ADDED' : 'MODIFIED', cluster }))
    }
  }

  protected override onCut(): void {
    for (const [follower, message] of this.#beginning) this.#tellAll(follower, message)
    this.#beginning.clear()
  }

  protected resync(follower: Follower<P>, message: string): void {
    this.#begin(follower, message)
  }

  protected resyncAll(message: string): void {
    for (const [follower] of this.#beginning) this.admit(follower)
    this.#beginning.clear()
    this.context.counters.resyncs += this.followers.size
    this.pending = [new Entry({ type: 'RESYNC', message }), ...this.#all()]
  }

  /** `message`: after a RESYNC that says why. */
  #begin(follower: Follower<P>, message?: string): void {
    if (message !== undefined) this.context.counters.resyncs++
    // What waits is in what is there, too.
    if (this.pending.length === 0) this.#tellAll(follower, message)
    else {
      follower.at = undefined
      follower.backlog = undefined
      follower.prelude = WAITING
      this.#beginning.set(follower, message)
    }
  }

  #tellAll(follower: Follower<P>, message: string | undefined): void {
    const resync = message === undefined ? [] : [new Entry<P>({ type: 'RESYNC', message })]
    this.admit(follower, [...resync, ...this.#all()])
  }

  #all(): Entry<P>[] {
    const added = this.#present().map((cluster) => new Entry<P>({ type: 'ADDED', cluster }))
    return [...added, new Entry({ type: 'SYNCED' })]
  }

  #present(): readonly Cluster[] {
    return this.#fleet.clusters.filter((cluster) => this.#request.clusters(cluster))
  }
}

const WAITING: Prelude = { pump: () => false, close() {} }
