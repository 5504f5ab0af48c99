/**
 * The only door between the graph and the fleet: everything a resolver can read goes through here, cut
 * to what the viewer may see. The cache is filled with the gateway's own rights, so an unfiltered read
 * would make the gateway a confused deputy; the raw fleet therefore never enters the GraphQL context.
 *
 * One instance per request. It notes what was read (`reads`), so that an answer can be kept as bytes
 * until any of that changes.
 */
import { LiveSource } from '../events/live.ts'
import type {
  ClustersRequest,
  Eyes,
  LiveHub,
  LiveRequest,
  LiveStart,
  RecomputedRequest,
  RowsRequest,
  Witness,
} from '../events/live.ts'
import { decodePosition } from '../events/position.ts'
import type { ByteSink, ByteStream } from '../kubernetes/client.ts'
import type { ObjectReference } from '../kubernetes/kinds.ts'
import type { Kind, Rows, Row } from '../kubernetes/rows.ts'
import type { Cluster, Fleet } from '../fleet/fleet.ts'
import { allows, allowsName, rowsWithin, summariesWithin } from '../fleet/scope.ts'
import { select } from '../fleet/select.ts'
import type { Page, Scope, ScopedTable, Selection, SortKey, Window } from '../fleet/selection.ts'
import type { NamespaceSummary } from '../fleet/summary.ts'
import type { SortedRows, TableReader } from '../fleet/table.ts'
import { coverageOf, type Coverage } from './coverage.ts'
import { Door, type Opened } from './door.ts'
import type { LogPod } from './followed-logs.ts'
import { LiveReads, type LiveRead, type LogQuery } from './live-reads.ts'
import type { Action, Policy, ReadRight, Verdict } from './policy.ts'
import { Reads } from './reads.ts'
import { ViewerClient } from './viewer-client.ts'
import type { Viewer } from './viewer.ts'

/** What may be followed; whose eyes it is seen with is added here. */
export type FollowRequest<R extends Row = Row> = RowsRequest<R> | RecomputedRequest | ClustersRequest

/** The live side of the gateway, as far as viewers get at it. */
export interface Live extends LiveHub {
  /** See `Hub`. */
  position(kinds: readonly Kind[], clusters: readonly Cluster[], eyes: Eyes): string | null
}

export class AuthorizedFleet {
  readonly reads = new Reads()
  readonly #viewer: Viewer | (() => Viewer)
  readonly #fleet: Fleet
  readonly #policy: Policy
  readonly #hub: Live | undefined
  readonly #live: LiveReads
  readonly #doors = new Map<Cluster, Door>()
  #last: Door | undefined

  /**
   * Without a hub nothing can be followed, and there are no positions. A function gives who the viewer is by
   * now: for streams, which outlive a renewal of the sign-in. What is asked once is asked by one Viewer.
   */
  constructor(fleet: Fleet, viewer: Viewer | (() => Viewer), policy: Policy, hub?: Live) {
    this.#fleet = fleet
    this.#viewer = viewer
    this.#policy = policy
    this.#hub = hub
    this.#live = new LiveReads(() => this.viewer, policy, this.reads)
  }

  get viewer(): Viewer {
    return typeof this.#viewer === 'function' ? this.#viewer() : this.#viewer
  }

  /** Every cluster, in order of their names. */
  clusters(): readonly Cluster[] {
    this.reads.note(this.#fleet)
    for (const cluster of this.#fleet.clusters) this.reads.note(cluster)
    return this.#fleet.clusters
  }

  cluster(name: string): Cluster | undefined {
    this.reads.note(this.#fleet)
    const cluster = this.#fleet.cluster(name)
    if (cluster) this.reads.note(cluster)
    return cluster
  }

  /** The same as `get`, of an object that was asked for by its name: what may not be seen is noted as denied. */
  find<K extends Kind>(kind: K, cluster: string, namespace: string, name: string): Rows[K] | undefined {
    const known = this.#fleet.cluster(cluster)
    const scoped = known && this.#openAsked(kind, known)
    if (scoped && !allowsName(scoped.scope, namespace, name)) this.reads.noteDenied(cluster)
    return this.get(kind, cluster, namespace, name)
  }

  /** One object of the viewer's, from memory. */
  get<K extends Kind>(kind: K, cluster: string, namespace: string, name: string): Rows[K] | undefined {
    const scoped = this.#open(kind, this.#fleet.cluster(cluster))
    const row = scoped?.table.get(namespace, name)
    return row && allows(scoped!.scope, row) ? row : undefined
  }

  getByUid<K extends Kind>(kind: K, cluster: string, uid: string): Rows[K] | undefined {
    const scoped = this.#open(kind, this.#fleet.cluster(cluster))
    const row = scoped?.table.getByUid(uid)
    return row && allows(scoped!.scope, row) ? row : undefined
  }

  /**
   * The rows of one index of one table that the viewer may see, in key order: relations. Eager, since an
   * index may not be held over a turn of the event loop.
   */
  related<K extends Kind>(
    kind: K,
    cluster: string,
    pick: (table: TableReader<K>) => SortedRows<Rows[K]>,
  ): readonly Rows[K][] {
    const scoped = this.#open(kind, this.#fleet.cluster(cluster))
    return scoped ? rowsWithin(scoped.table, scoped.scope, pick(scoped.table)) : []
  }

  /** A page of one kind, or of several merged, over the given clusters. */
  select<K extends Kind>(
    kinds: readonly K[],
    clusters: readonly Cluster[],
    selection: Selection<Rows[K]>,
    order: readonly SortKey<Rows[K]>[],
    window: Window,
  ): Page<Rows[K]> {
    const tables: ScopedTable<Rows[K]>[] = []
    for (const cluster of clusters) {
      for (const kind of kinds) {
        const scoped = this.#openAsked(kind, cluster)
        if (scoped) tables.push(scoped)
      }
    }
    return select(tables, selection, order, window)
  }

  /** Per cluster: how complete and how fresh an answer over these kinds is. */
  coverage(kinds: readonly Kind[], clusters: readonly Cluster[]): readonly Coverage[] {
    return clusters.map((cluster) => {
      this.reads.note(cluster)
      const tables = kinds.map((kind) => {
        const table = cluster.table(kind)
        this.reads.note(table)
        const right = this.#door(cluster).right(kind)
        this.#noteRight(cluster, right)
        return { table, right }
      })
      return coverageOf(cluster, tables)
    })
  }

  /**
   * The counters of one table, over exactly what the viewer may list: one entry, or one for each of the
   * namespaces that has anything for them.
   */
  summaries(kind: Kind, cluster: Cluster, namespaces?: readonly string[]): readonly NamespaceSummary[] {
    const scoped = this.#openAsked(kind, cluster)
    return scoped ? summariesWithin(scoped.table, scoped.scope, namespaces) : []
  }

  /**
   * The whole object, read from its API server as the user, in the newest version that it serves;
   * `undefined` where it serves none, or the cluster is gone. Throws the client's errors, as all live reads
   * do: without the addresses in them, which are not for every viewer.
   */
  async live(reference: ObjectReference, signal?: AbortSignal): Promise<unknown> {
    const cluster = this.#fleet.cluster(reference.cluster)
    return cluster && this.#live.object(cluster, reference, signal)
  }

  /** How a cluster serves any kind; `undefined` where it does not. Throws the client's errors. */
  resolve(
    cluster: Cluster,
    apiVersion: string,
    kind: string,
    signal?: AbortSignal,
  ): ReturnType<Cluster['resolve']> {
    return this.#live.resolve(cluster, apiVersion, kind, signal)
  }

  /**
   * Any GET of one cluster's API, as the user. Throws the client's errors; of a cluster that is known to
   * be down at once, so that nobody waits for it.
   */
  request(cluster: Cluster, request: LiveRead, signal?: AbortSignal): Promise<unknown> {
    return this.#live.request(cluster, request, signal)
  }

  /**
   * Changes, cut to what the viewer may see. Throws `PositionError` where `start.after` is no cursor. What is
   * `recomputed` is made by reading through an AuthorizedFleet, which cuts it.
   */
  follow<R extends Row>(request: FollowRequest<R>, start: LiveStart, signal?: AbortSignal): LiveSource {
    if (!this.#hub) throw new Error('This gateway has no live side: give the AuthorizedFleet a hub.')
    if (start.after !== undefined) decodePosition(start.after)
    if (request.type !== 'clusters') {
      const { viewer } = this
      for (const cluster of this.#fleet.clusters.filter(request.clusters)) {
        for (const kind of request.kinds) {
          this.#noteRight(cluster, this.#policy.read(viewer, cluster, kind, 'watch'))
        }
      }
    }
    // What is recomputed is read as lists are.
    const eyes = this.#eyes(request.type === 'recomputed' ? 'list' : 'watch')
    return new LiveSource(this.#hub, request as LiveRequest, eyes, start, signal)
  }

  /**
   * Where these tables are by now: a valid `start.after` of `follow`. Read it before the rows, or in the same
   * turn of the event loop. `null` where there is nothing to go on from.
   */
  position(kinds: readonly Kind[], clusters: readonly Cluster[]): string | null {
    if (!this.#hub) return null
    for (const cluster of clusters) {
      // What may be followed is part of it.
      this.#door(cluster)
      for (const kind of kinds) this.reads.note(cluster.table(kind))
    }
    return this.#hub.position(kinds, clusters, this.#eyes())
  }

  /**
   * A pod's log as it is written, as the user: `query` is what the API's `pods/log` takes. Returns at once;
   * errors come to the sink, in words that tell no address, of a cluster that is known to be down too. It
   * ends with a 403 when the viewer may read it no more.
   */
  followLog(cluster: Cluster, pod: LogPod, query: LogQuery, sink: ByteSink): ByteStream {
    return this.#live.followLog(cluster, pod, query, sink)
  }

  /** The cluster as the viewer may change it. */
  client(cluster: Cluster): ViewerClient {
    return new ViewerClient(cluster, () => this.viewer, this.#policy, this.reads)
  }

  /** Whether the viewer may do something there. A promise only where the cluster has to be asked; never rejects. */
  can(clusterName: string, action: Action): Verdict | Promise<Verdict> {
    this.reads.noteVolatile()
    const cluster = this.#fleet.cluster(clusterName)
    if (cluster) return this.#policy.can(this.viewer, cluster, action)
    return { allowed: null, reason: `There is no cluster "${clusterName}".` }
  }

  /** What the viewer may list of a kind. */
  right(kind: Kind, cluster: Cluster): ReadRight {
    return this.#door(cluster).right(kind)
  }

  /** `undefined`: nothing of it may be seen. */
  #open<K extends Kind>(kind: K, cluster: Cluster | undefined): Opened<K> | undefined {
    if (cluster) return this.#door(cluster).open(kind)
    this.reads.note(this.#fleet)
    return undefined
  }

  /** The same where the viewer asked for it, and did not come by it from another object. */
  #openAsked<K extends Kind>(kind: K, cluster: Cluster): Opened<K> | undefined {
    const door = this.#door(cluster)
    const opened = door.open(kind)
    if (!opened) this.#noteRight(cluster, door.right(kind))
    return opened
  }

  #eyes(verb: 'list' | 'watch' = 'watch'): Eyes {
    return new ViewerEyes(this.#viewer, this.#policy, verb)
  }

  #noteRight(cluster: Cluster, { scope, state }: ReadRight): void {
    if (state === 'DECIDED' && scope === undefined) this.reads.noteDenied(cluster.name)
  }

  #door(cluster: Cluster): Door {
    const { viewer } = this
    // A page mostly stays in one cluster.
    let door = this.#last?.cluster === cluster ? this.#last : this.#doors.get(cluster)
    if (!door?.isOf(viewer)) {
      this.reads.note(this.#fleet)
      door = new Door(cluster, viewer, this.#policy, this.reads)
      this.#doors.set(cluster, door)
    }
    this.#last = door
    return door
  }
}

/** Of whoever the viewer is by now; there is one for each stream that is open. */
class ViewerEyes implements Eyes {
  witness: Witness | undefined
  readonly #viewer: Viewer | (() => Viewer)
  readonly #policy: Policy
  readonly #verb: 'list' | 'watch'

  constructor(viewer: Viewer | (() => Viewer), policy: Policy, verb: 'list' | 'watch') {
    this.#viewer = viewer
    this.#policy = policy
    this.#verb = verb
  }

  get key(): string {
    return this.#policy.rightsKey(this.#now)
  }

  scope(cluster: Cluster, kind: Kind): Scope | undefined {
    return this.#policy.read(this.#now, cluster, kind, this.#verb).scope
  }

  isDecided(cluster: Cluster, kind: Kind): boolean {
    return this.#policy.read(this.#now, cluster, kind, this.#verb).state === 'DECIDED'
  }

  get #now(): Viewer {
    return typeof this.#viewer === 'function' ? this.#viewer() : this.#viewer
  }
}
