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
} from '../events/live.ts'
import { decodePosition } from '../events/position.ts'
import { resourcePath, KINDS, type ObjectReference } from '../kubernetes/kinds.ts'
import {
  ApiError,
  type ByteSink,
  type ByteStream,
  TransportError,
  type Impersonation,
} from '../kubernetes/client.ts'
import type { Kind, Rows, Row } from '../kubernetes/rows.ts'
import type { Cluster, Fleet } from '../fleet/fleet.ts'
import { transportMessage, withoutAddresses } from '../fleet/reflector-failure.ts'
import { select } from '../fleet/select.ts'
import type { Page, Scope, ScopedTable, Selection, SortKey, Window } from '../fleet/selection.ts'
import type { NamespaceSummary } from '../fleet/summary.ts'
import type { SortedRows, TableReader } from '../fleet/table.ts'
import { coverageOf, type Coverage } from './coverage.ts'
import { LiveTurns } from './live-turns.ts'
import type { Policy, Revised } from './policy.ts'
import type { Viewer } from './viewer.ts'

/** An audit record has room for so many; one request may ask for thousands. */
const MOST_PRIVILEGED = 100

/** What an answer was made from, and what its audit record tells of it. */
export class Reads {
  readonly #revisions = new Map<Revised, number>()
  readonly #denied = new Set<string>()
  readonly #privileged: string[] = []
  readonly #pending = new Set<Promise<void>>()
  #volatile = false

  note(source: Revised): void {
    if (!this.#revisions.has(source)) this.#revisions.set(source, source.revision)
  }

  /** Something was read that no revision tells of: a live request, a clock, a measured latency. */
  noteVolatile(): void {
    this.#volatile = true
  }

  /** The viewer was shown nothing of a cluster that they asked for: no right, or a live read that it refused. */
  noteDenied(cluster: string): void {
    this.#denied.add(cluster)
  }

  /** A live read was made: a short text that names the object, and nothing of what is in it. */
  notePrivileged(what: string): void {
    if (this.#privileged.length < MOST_PRIVILEGED) this.#privileged.push(what)
  }

  /** Rights were met that are being found out: `settled` of a PENDING right. */
  notePending(settled: Promise<void>): void {
    this.#pending.add(settled)
  }

  /** Names of clusters. */
  get denied(): ReadonlySet<string> {
    return this.#denied
  }

  /** In the order in which they were made; the first `MOST_PRIVILEGED`. */
  get privileged(): readonly string[] {
    return this.#privileged
  }

  /** None of them rejects. After any of them the same request may be answered with more. */
  get pending(): ReadonlySet<Promise<void>> {
    return this.#pending
  }

  get volatile(): boolean {
    return this.#volatile
  }

  /** Whether the same request would be answered with the same bytes now. */
  unchanged(): boolean {
    if (this.#volatile) return false
    for (const [source, revision] of this.#revisions) if (source.revision !== revision) return false
    return true
  }
}

/** What may be followed; whose eyes it is seen with is added here. */
export type FollowRequest<R extends Row = Row> = RowsRequest<R> | RecomputedRequest | ClustersRequest

/** The live side of the gateway, as far as viewers get at it. */
export interface Live extends LiveHub {
  /** See `Hub`. */
  position(kinds: readonly Kind[], clusters: readonly Cluster[]): string | null
}

export class AuthorizedFleet {
  readonly reads = new Reads()
  readonly #viewer: Viewer | (() => Viewer)
  readonly #fleet: Fleet
  readonly #policy: Policy
  readonly #hub: Live | undefined

  /**
   * Without a hub nothing can be followed, and there are no positions. A function gives who the viewer is by
   * now: for streams, which outlive a renewal of the sign-in. What is asked once is asked by one Viewer.
   */
  constructor(fleet: Fleet, viewer: Viewer | (() => Viewer), policy: Policy, hub?: Live) {
    this.#fleet = fleet
    this.#viewer = viewer
    this.#policy = policy
    this.#hub = hub
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
    if (!scoped) return []
    const rows = Array.from(pick(scoped.table).all())
    return scoped.scope === 'all' ? rows : rows.filter((row) => allows(scoped.scope, row))
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
        const scoped = this.#open(kind, cluster)
        if (scoped) tables.push(scoped)
      }
    }
    return select(tables, selection, order, window)
  }

  /** Per cluster: how complete and how fresh an answer over these kinds is. */
  coverage(kinds: readonly Kind[], clusters: readonly Cluster[]): readonly Coverage[] {
    return clusters.map((cluster) => {
      this.reads.note(cluster)
      return coverageOf(
        cluster,
        kinds.map((kind) => {
          const table = cluster.table(kind)
          this.reads.note(table)
          return { table, permitted: this.#policy.read(this.viewer, cluster, kind).scope !== undefined }
        }),
      )
    })
  }

  /** The counters of one table, cut to the viewer's namespaces: one entry, or one per namespace they may see. */
  summaries(kind: Kind, cluster: Cluster, namespaces?: readonly string[]): readonly NamespaceSummary[] {
    const scoped = this.#open(kind, cluster)
    if (!scoped) return []
    const { summary } = scoped.table
    const { scope } = scoped
    if (!namespaces && scope === 'all') return [summary.total]
    const names = namespaces ?? [...summary.namespaces.keys()]
    return names.flatMap((name) => {
      const entry = scope === 'all' || scope.namespaces.has(name) ? summary.namespaces.get(name) : undefined
      return entry ? [entry] : []
    })
  }

  /**
   * The whole object, read from its API server as the user, in the newest version that it serves;
   * `undefined` where it serves none, or the cluster is gone. Throws the client's errors, as all live reads
   * do: without the addresses in them, which are not for every viewer.
   */
  async live(reference: ObjectReference, signal?: AbortSignal): Promise<unknown> {
    const { group, versions, kind } = KINDS[reference.kind]
    const cluster = this.#fleet.cluster(reference.cluster)
    if (!cluster) return undefined
    for (const version of versions) {
      const apiVersion = group === '' ? version : `${group}/${version}`
      const served = await this.resolve(cluster, apiVersion, kind, signal)
      if (!served) continue
      const path = resourcePath(served.address, reference.namespace, reference.name)
      return this.request(cluster, path, {}, signal)
    }
    return undefined
  }

  /** How a cluster serves any kind; `undefined` where it does not. Throws the client's errors. */
  async resolve(
    cluster: Cluster,
    apiVersion: string,
    kind: string,
    signal?: AbortSignal,
  ): ReturnType<Cluster['resolve']> {
    this.reads.noteVolatile()
    requireContact(cluster)
    signal?.throwIfAborted()
    return inTime(cluster.resolve(apiVersion, kind).catch(rethrow), signal)
  }

  /**
   * Any GET of one cluster's API, as the user. Throws the client's errors; of a cluster that is known to
   * be down at once, so that nobody waits for it.
   */
  async request(
    cluster: Cluster,
    path: string,
    query: Readonly<Record<string, string | number | undefined>>,
    signal?: AbortSignal,
  ): Promise<unknown> {
    this.reads.noteVolatile()
    requireContact(cluster)
    const as = this.#impersonation(cluster)
    const timeoutMs = LIVE_TIMEOUT_MS
    const read = () =>
      cluster.client
        .json({ path, query, timeoutMs, ...(as && { as }), ...(signal && { signal }) })
        .catch(rethrow)
    let turns = TURNS.get(cluster)
    if (!turns) TURNS.set(cluster, (turns = new LiveTurns(cluster.name)))
    return turns.take(read, signal)
  }

  /**
   * Changes, cut to what the viewer may see. Throws `PositionError` where `start.after` is no cursor. What is
   * `recomputed` is made by reading through an AuthorizedFleet, which cuts it.
   */
  follow<R extends Row>(request: FollowRequest<R>, start: LiveStart, signal?: AbortSignal): LiveSource {
    if (!this.#hub) throw new Error('This gateway has no live side: give the AuthorizedFleet a hub.')
    if (start.after !== undefined) decodePosition(start.after)
    return new LiveSource(
      this.#hub,
      request as LiveRequest,
      new ViewerEyes(this.#viewer, this.#policy),
      start,
      signal,
    )
  }

  /**
   * Where these tables are by now: a valid `start.after` of `follow`. Read it before the rows, or in the same
   * turn of the event loop. `null` where there is nothing to go on from.
   */
  position(kinds: readonly Kind[], clusters: readonly Cluster[]): string | null {
    if (!this.#hub) return null
    for (const cluster of clusters) for (const kind of kinds) this.reads.note(cluster.table(kind))
    return this.#hub.position(kinds, clusters)
  }

  /**
   * A pod's log as it is written, as the user: `query` is what the API's `pods/log` takes. Returns at once;
   * errors come to the sink, in words that tell no address, of a cluster that is known to be down too.
   */
  followLog(
    cluster: Cluster,
    pod: { readonly namespace: string; readonly name: string },
    query: Readonly<Record<string, string | number | boolean | undefined>>,
    sink: ByteSink,
  ): ByteStream {
    this.reads.noteVolatile()
    try {
      requireContact(cluster)
    } catch (error) {
      return failed(error, sink)
    }
    const { group, versions, resource } = KINDS.Pod
    const address = { group, version: versions[0], resource }
    const as = this.#impersonation(cluster)
    return cluster.client.stream(
      {
        path: `${resourcePath(address, pod.namespace, pod.name)}/log`,
        query,
        accept: '*/*',
        // Of a followed log the kubelet sends nothing, not even headers, before its container writes.
        timeoutMs: query['follow'] === true ? QUIET_LOG_MS : LIVE_TIMEOUT_MS,
        ...(as && { as }),
      },
      {
        ...(sink.onStart && { onStart: (headers) => sink.onStart?.(headers) }),
        onData: (chunk) => sink.onData(chunk),
        onEnd: () => sink.onEnd(),
        onError: (error) => sink.onError(addressless(error)),
      },
    )
  }

  #impersonation(cluster: Cluster): Impersonation | undefined {
    const credential = this.#policy.credential(this.viewer, cluster)
    return credential.type === 'IMPERSONATION' ? credential.as : undefined
  }

  #open<K extends Kind>(
    kind: K,
    cluster: Cluster | undefined,
  ): { readonly table: TableReader<K>; readonly scope: Scope } | undefined {
    this.reads.note(this.#fleet)
    if (!cluster) return undefined
    const { scope } = this.#policy.read(this.viewer, cluster, kind)
    if (scope === undefined) return undefined
    const table = cluster.table(kind)
    this.reads.note(table)
    return { table, scope }
  }
}

/** Of whoever the viewer is by now; there is one for each stream that is open. */
class ViewerEyes implements Eyes {
  readonly #viewer: Viewer | (() => Viewer)
  readonly #policy: Policy

  constructor(viewer: Viewer | (() => Viewer), policy: Policy) {
    this.#viewer = viewer
    this.#policy = policy
  }

  get key(): string {
    return this.#policy.rightsKey(this.#now)
  }

  scope(cluster: Cluster, kind: Kind): Scope | undefined {
    return this.#policy.read(this.#now, cluster, kind, 'watch').scope
  }

  get #now(): Viewer {
    return typeof this.#viewer === 'function' ? this.#viewer() : this.#viewer
  }
}

/** How long somebody who waits for an answer waits for one cluster. */
const LIVE_TIMEOUT_MS = 10_000

/** How long a followed log may say nothing at all before it is asked for anew. */
export const QUIET_LOG_MS = 600_000

/**
 * What a cluster serves is read once for all who wait for it, in a time of its own; each of them waits no
 * longer than for anything else, and leaves with its request.
 */
function inTime<T>(read: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => settle(() => reject(signal?.reason as Error))
    const late = () => settle(() => reject(new TransportError('TIMEOUT', transportMessage('TIMEOUT'))))
    const timer = setTimeout(late, LIVE_TIMEOUT_MS)
    signal?.addEventListener('abort', leave, { once: true })
    const settle = (how: () => void) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', leave)
      how()
    }
    read.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    )
  })
}

function rethrow(error: unknown): never {
  throw error instanceof Error ? addressless(error) : error
}

/** The client's error in words that tell no address. */
function addressless(error: Error): Error {
  if (error instanceof TransportError) {
    return new TransportError(error.code, transportMessage(error.code), error)
  }
  if (error instanceof ApiError) {
    const { statusCode, status, retryAfterMs, message } = error
    return new ApiError(statusCode, { ...status, message: withoutAddresses(message) }, retryAfterMs)
  }
  return error
}

/** A stream that never began. */
function failed(error: unknown, sink: ByteSink): ByteStream {
  let aborted = false
  queueMicrotask(() => {
    if (!aborted) sink.onError(error instanceof Error ? error : new Error(String(error)))
  })
  return {
    abort() {
      aborted = true
    },
    pause() {},
    resume() {},
  }
}

/** Shared by everyone who reads a cluster. */
const TURNS = new WeakMap<Cluster, LiveTurns>()

function requireContact({ name, health }: Cluster): void {
  if (health.state !== 'DOWN') return
  throw new TransportError('UNREACHABLE', health.lastError?.message ?? `The cluster ${name} does not answer.`)
}

function allows(scope: Scope, row: Row): boolean {
  return (
    scope === 'all' ||
    scope.namespaces.has(row.namespace) ||
    (scope.objects?.has(`${row.namespace}/${row.name}`) ?? false)
  )
}
