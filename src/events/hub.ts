/**
 * The hub: hands what changes in the fleet to whoever follows it. It listens to every table from the start,
 * for the journals; everything else is done by the groups that somebody has joined, in passes that leave the
 * event loop free in between.
 *
 * Knows nothing of sockets, GraphQL or users: a request says what is meant and what may be seen, a `Render`
 * makes bytes, a `Sink` takes them.
 */
import type { Clock } from '../fleet/clock.ts'
import type { Cluster, Fleet } from '../fleet/fleet.ts'
import { ALL_KINDS } from '../kubernetes/kinds.ts'
import type { Kind } from '../kubernetes/rows.ts'
import { holdCursors } from './batch.ts'
import { ClustersGroup } from './clusters-group.ts'
import { EventIterator } from './event-iterator.ts'
import type { Counters, GroupContext, QueueLimits } from './group.ts'
import { Journals, JOURNAL_LIMITS, type JournalLimits } from './journal.ts'
import type {
  Eyes,
  Join,
  LiveEvent,
  LiveHub,
  LiveRequest,
  LiveStart,
  Membership,
  Render,
  Sink,
} from './live.ts'
import { Passes } from './passes.ts'
import { decodePosition, encodePosition } from './position.ts'
import { RecomputedGroup } from './recomputed-group.ts'
import { Readings } from './readings.ts'
import { type Channels, RowsGroup } from './rows-group.ts'
import { TableChannel } from './table-channel.ts'

export interface HubOptions {
  readonly fleet: Fleet
  readonly clock: Clock
  readonly limits?: Partial<JournalLimits & QueueLimits>
  /** For the log: a bug that ended the followers of one request. */
  readonly onFailure?: (error: unknown) => void
  /** Closes the hub. */
  readonly signal?: AbortSignal
}

const QUEUE_LIMITS: QueueLimits = { queue: 4_096, chunk: 128 }

/** A kind of group for each type of request; `P` is what its sinks take. */
type AnyGroup<P> =
  | { readonly type: 'rows'; readonly group: RowsGroup<P> }
  | { readonly type: 'recomputed'; readonly group: RecomputedGroup<P> }
  | { readonly type: 'clusters'; readonly group: ClustersGroup<P> }

export class Hub implements LiveHub, Channels {
  readonly #fleet: Fleet
  readonly #journals: Journals
  readonly #passes = new Passes()
  readonly #counters: Counters = { followers: 0, groups: 0, renders: 0, deliveries: 0, resyncs: 0 }
  /** Of anything in the fleet so far: what was rendered at the same count is still true. */
  readonly #changes = { count: 0 }
  readonly #readings = new Readings(this.#changes)
  readonly #context: GroupContext
  readonly #channels = new Map<Cluster, ReadonlyMap<Kind, TableChannel>>()
  /** Of each cluster, as the groups know it. */
  readonly #revisions = new Map<Cluster, number>()
  readonly #groups = new Map<string, AnyGroup<Buffer> | AnyGroup<LiveEvent>>()
  readonly #recomputed = new Set<{ touch(channel: TableChannel): void }>()
  readonly #unlisten: () => void
  #iterators = 0
  #closed = false

  constructor({ fleet, clock, limits = {}, onFailure, signal }: HubOptions) {
    this.#fleet = fleet
    this.#journals = new Journals(clock, { ...JOURNAL_LIMITS, ...limits })
    this.#context = {
      clock,
      passes: this.#passes,
      limits: { ...QUEUE_LIMITS, ...limits },
      counters: this.#counters,
      readings: this.#readings,
      onFailure: onFailure ?? (() => {}),
      onEmpty: (key) => this.#drop(key),
    }
    this.#unlisten = fleet.onChange(() => this.#onFleet())
    this.#open()
    if (signal?.aborted) this.close()
    else signal?.addEventListener('abort', () => this.close(), { once: true })
  }

  /** For metrics. Kept: changes to be gone on from, and pieces of snapshots for whoever comes now. */
  get counters(): Readonly<Counters & { readonly journal: number; readonly readings: number }> {
    return { ...this.#counters, journal: this.#journals.size, readings: this.#readings.size }
  }

  get clusters(): readonly Cluster[] {
    return this.#fleet.clusters.filter((cluster) => this.#channels.has(cluster))
  }

  channel(cluster: Cluster, kind: Kind): TableChannel {
    return this.#channels.get(cluster)!.get(kind)!
  }

  join({ key, eyes, request, render, start, sink }: Join): Membership {
    const full = `${request.type}:${key}\n${eyes.key}`
    // Keys of iterators begin otherwise, so that it takes payloads.
    const known = this.#groups.get(full) as AnyGroup<Buffer> | undefined
    return this.#join(full, request, eyes, render, start, sink, known)
  }

  iterate(
    request: LiveRequest,
    eyes: Eyes,
    start: LiveStart,
    signal?: AbortSignal,
  ): AsyncIterableIterator<LiveEvent> {
    const iterator = new EventIterator(signal)
    const key = `#${++this.#iterators}`
    return iterator.attach(this.#join(key, request, eyes, keepEvents, start, iterator, undefined))
  }

  /**
   * Where the tables of these kinds are in these clusters: a valid `after` for whoever has read them by now.
   * `null` where there is nothing to go on from.
   */
  position(kinds: readonly Kind[], clusters: readonly Cluster[]): string | null {
    const known = clusters.flatMap((cluster) => {
      const channels = this.#channels.get(cluster)
      if (!channels) return []
      return [[cluster.name, kinds.map((kind) => channels.get(kind)!.journal.position())] as const]
    })
    return known.length === 0 ? null : encodePosition(kinds, known)
  }

  /**
   * What viewers may see may be another: asks every request's `scope` again – of the groups with this key, or
   * of all. What is hidden now is DELETED as FORBIDDEN, what is shown is ADDED; whoever had not read
   * everything begins anew.
   */
  rightsChanged(key?: string): void {
    this.#changes.count++
    for (const [full, made] of Array.from(this.#groups)) {
      if (key !== undefined && full !== `${made.type}:${key}`) continue
      attempt(made.group, () => (made.type === 'rows' ? made.group.rightsChanged() : made.group.refresh()))
    }
  }

  /** Ends every follower. Idempotent. */
  close(reason = 'The server is closing.'): void {
    if (this.#closed) return
    this.#closed = true
    this.#unlisten()
    for (const { group } of Array.from(this.#groups.values())) group.close(reason)
    this.#groups.clear()
    this.#recomputed.clear()
    this.#counters.groups = 0
    this.#passes.close()
    for (const channels of this.#channels.values()) for (const channel of channels.values()) channel.close()
    this.#channels.clear()
  }

  #join<P extends Buffer | LiveEvent>(
    key: string,
    request: LiveRequest,
    eyes: Eyes,
    render: Render<P>,
    start: LiveStart,
    sink: Sink<P>,
    known: AnyGroup<P> | undefined,
  ): Membership {
    if (start.after !== undefined) decodePosition(start.after)
    if (this.#closed) {
      queueMicrotask(() => sink.end('The server is closing.'))
      return { leave() {} }
    }
    const found = known ?? this.#make(key, request, eyes, render)
    try {
      return found.type === 'recomputed' ? found.group.join(sink) : found.group.join(start, sink)
    } catch (error) {
      if (!known) this.#drop(key)
      throw error
    }
  }

  #make<P extends Buffer | LiveEvent>(
    key: string,
    request: LiveRequest,
    eyes: Eyes,
    render: Render<P>,
  ): AnyGroup<P> {
    const made = this.#groupOf(key, request, eyes, render)
    if (made.type === 'recomputed') this.#recomputed.add(made.group)
    // What a group's sinks take is known to whoever made it: joins, or one iterator.
    this.#groups.set(key, made as AnyGroup<Buffer> | AnyGroup<LiveEvent>)
    this.#counters.groups = this.#groups.size
    return made
  }

  #groupOf<P>(key: string, request: LiveRequest, eyes: Eyes, render: Render<P>): AnyGroup<P> {
    const { type } = request
    if (type === 'rows')
      return { type, group: new RowsGroup(key, request, eyes, render, this, this.#context) }
    if (type === 'clusters')
      return { type, group: new ClustersGroup(key, request, render, this, this.#context) }
    return { type, group: new RecomputedGroup(key, request, render, this.#context) }
  }

  #drop(key: string): void {
    const dropped = this.#groups.get(key)
    if (!dropped) return
    this.#groups.delete(key)
    this.#counters.groups = this.#groups.size
    if (dropped.type === 'recomputed') this.#recomputed.delete(dropped.group)
    dropped.group.close('Nobody follows this any more.')
  }

  #open(): void {
    for (const cluster of this.#fleet.clusters) {
      this.#revisions.set(cluster, cluster.revision)
      if (this.#channels.has(cluster)) continue
      const touched = (channel: TableChannel) => {
        this.#changes.count++
        for (const group of this.#recomputed) group.touch(channel)
      }
      this.#channels.set(
        cluster,
        new Map(
          ALL_KINDS.map((kind) => [kind, new TableChannel(cluster, kind, this.#journals, touched)] as const),
        ),
      )
    }
  }

  #onFleet(): void {
    if (this.#closed) return
    this.#changes.count++
    const present = new Set(this.#fleet.clusters)
    const closing = Array.from(this.#channels).filter(([cluster]) => !present.has(cluster))
    const gone = closing.map(([cluster]) => cluster)
    for (const cluster of gone) {
      this.#channels.delete(cluster)
      this.#revisions.delete(cluster)
    }
    // Of thousands of groups none looks at a cluster that is as it was.
    const changed = this.#fleet.clusters.filter(
      (cluster) => this.#revisions.get(cluster) !== cluster.revision,
    )
    this.#open()
    for (const { group } of Array.from(this.#groups.values()))
      attempt(group, () => group.refresh(gone, changed))
    // By now nobody follows them.
    for (const [, channels] of closing) for (const channel of channels.values()) channel.close()
  }
}

/** It is called from within the fleet: what one request asks for must not end the others. */
function attempt(group: { fail(error: unknown): void }, work: () => void): void {
  try {
    work()
  } catch (error) {
    group.fail(error)
  }
}

/** Cursors may be read when the tables are elsewhere already. */
const keepEvents: Render<LiveEvent> = (events) => {
  holdCursors(events)
  return events
}
