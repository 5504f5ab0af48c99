/**
 * The hub: hands what changes in the fleet to whoever follows it. It listens to every table from the start,
 * for the journals; everything else is done by the groups that somebody has joined, in passes that leave the
 * event loop free in between.
 *
 * Knows nothing of sockets, GraphQL or users: a request says what is meant, eyes what may be seen, a `Render`
 * makes bytes, a `Sink` takes them.
 */
import type { Clock } from '../fleet/clock.ts'
import type { Cluster, Fleet } from '../fleet/fleet.ts'
import { ALL_KINDS } from '../kubernetes/kinds.ts'
import type { Kind } from '../kubernetes/rows.ts'
import { holdCursors } from './batch.ts'
import { ClustersGroup } from './clusters-group.ts'
import { Directory } from './directory.ts'
import { EventIterator } from './event-iterator.ts'
import type { Joiner } from './follower.ts'
import type { Counters, Group, GroupContext, QueueLimits } from './group.ts'
import { Journals, JOURNAL_LIMITS, type JournalLimits } from './journal.ts'
import type { Eyes, Join, LiveEvent, LiveHub, LiveRequest, LiveStart, Membership, Render } from './live.ts'
import { Losses } from './losses.ts'
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
  readonly #directory = new Directory(this.#counters)
  readonly #losses: Losses
  readonly #unlisten: () => void
  #iterators = 0
  #closed = false

  constructor({ fleet, clock, limits = {}, onFailure, signal }: HubOptions) {
    this.#fleet = fleet
    this.#journals = new Journals(clock, { ...JOURNAL_LIMITS, ...limits })
    this.#losses = new Losses(clock, this.#passes, onFailure ?? (() => {}))
    this.#context = {
      clock,
      passes: this.#passes,
      limits: { ...QUEUE_LIMITS, ...limits },
      counters: this.#counters,
      readings: this.#readings,
      directory: this.#directory,
      losses: this.#losses,
      onFailure: onFailure ?? (() => {}),
      onEmpty: (group) => this.#drop(group),
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
    return this.#join(`${request.type}:${key}`, request, start, { eyes, render, sink })
  }

  iterate(
    request: LiveRequest,
    eyes: Eyes,
    start: LiveStart,
    signal?: AbortSignal,
  ): AsyncIterableIterator<LiveEvent> {
    const iterator = new EventIterator(signal)
    // Names of groups that take payloads begin otherwise.
    const name = `#${++this.#iterators}`
    return iterator.attach(this.#join(name, request, start, { eyes, render: keepEvents, sink: iterator }))
  }

  /**
   * Where the tables of these kinds are in these clusters: a valid `after` for whoever has read by now what these
   * eyes show of them. `null` where there is nothing to go on from.
   */
  position(kinds: readonly Kind[], clusters: readonly Cluster[], eyes: Eyes): string | null {
    const known = clusters.flatMap((cluster) => {
      const channels = this.#channels.get(cluster)
      if (!channels) return []
      const tables = kinds.map((kind) => ({
        channel: channels.get(kind)!,
        scope: eyes.scope(cluster, kind),
      }))
      if (tables.every(({ scope }) => scope === undefined)) return []
      const versions = tables.map(({ channel, scope }) =>
        scope === undefined ? null : channel.journal.position(),
      )
      const seals = tables.map(({ channel, scope }) =>
        scope === undefined ? undefined : { seal: channel.sealOf(scope) },
      )
      return [[cluster.name, versions, seals] as const]
    })
    return known.length === 0 ? null : encodePosition(kinds, known)
  }

  /**
   * What anybody may see may be another: from now on nobody is told anything before their eyes have been asked
   * again. What is hidden now is DELETED as FORBIDDEN, what is shown is ADDED; whoever had not read everything may
   * begin anew. Cheap enough to be called some times a second.
   */
  rightsChanged(): void {
    this.#changes.count++
    for (const group of this.#directory.all) group.rightsChanged()
  }

  /** Ends every follower. Idempotent. */
  close(reason = 'The server is closing.'): void {
    if (this.#closed) return
    this.#closed = true
    this.#unlisten()
    for (const group of this.#directory.all) this.#drop(group, reason)
    this.#losses.close()
    this.#passes.close()
    for (const channels of this.#channels.values()) for (const channel of channels.values()) channel.close()
    this.#channels.clear()
  }

  #join<P extends Buffer | LiveEvent>(
    name: string,
    request: LiveRequest,
    start: LiveStart,
    joiner: Joiner<P>,
  ): Membership {
    if (start.after !== undefined) decodePosition(start.after)
    if (this.#closed) {
      queueMicrotask(() => joiner.sink.end('The server is closing.'))
      return { leave() {} }
    }
    const rights = joiner.eyes.key
    // If it has to be asked, it may be that of others afterwards.
    this.#directory.find<P>(name, rights)?.settle()
    const known = this.#directory.find<P>(name, rights)
    if (known) return known.join(start, joiner)
    const made = this.#groupOf<P>(name, rights, request, joiner.eyes)
    this.#directory.add(made)
    try {
      return made.join(start, joiner)
    } catch (error) {
      this.#drop(made)
      throw error
    }
  }

  #groupOf<P>(name: string, rights: string, request: LiveRequest, eyes: Eyes): Group<P> {
    const context = this.#context
    if (request.type === 'rows') return new RowsGroup(name, rights, request, eyes, this, context)
    if (request.type === 'clusters') return new ClustersGroup(name, rights, request, this, context)
    return new RecomputedGroup(name, rights, request, eyes, this, context)
  }

  #drop(group: Group<unknown>, reason = 'Nobody follows this any more.'): void {
    this.#directory.delete(group)
    group.close(reason)
  }

  #open(): void {
    for (const cluster of this.#fleet.clusters) {
      this.#revisions.set(cluster, cluster.revision)
      if (this.#channels.has(cluster)) continue
      const touched = (channel: TableChannel) => {
        this.#changes.count++
        this.#directory.touch(channel)
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
    for (const group of this.#directory.all) attempt(group, () => group.refresh(gone, changed))
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
