/**
 * One session of watching a cluster from this process: the probe of its API server and a feed for each
 * table. There may be several in a cluster's life, one after the other; each goes on where the tables are,
 * whoever filled them in between.
 *
 * Invariants: nothing is asked for a table before the probe was answered; after `close` nothing is asked,
 * and no table is written.
 */
import type { ApiClient } from '../kubernetes/client.ts'
import { ALL_KINDS } from '../kubernetes/kinds.ts'
import { project } from '../kubernetes/projections/projections.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { Clock } from './clock.ts'
import type { WatchSession } from './feeding.ts'
import { HealthProbe, type ProbeResult } from './health-probe.ts'
import type { Turns } from './ingest-turns.ts'
import { type Failure, isStatus } from './reflector-failure.ts'
import type { SyncSlots } from './sync-slots.ts'
import type { TableReader, TableWriter } from './table.ts'
import { type FeedCounters, WatchFeed } from './watch-feed.ts'

export interface ClusterWatchOptions {
  /** Its name. */
  readonly cluster: string
  readonly client: ApiClient
  readonly table: <K extends Kind>(kind: K) => TableReader<K> & TableWriter<K>
  readonly clock: Clock
  readonly turns: Turns
  readonly slots: SyncSlots
  /** In [0, 1). */
  readonly random: () => number
  /** Whether the API server was known to answer before. */
  readonly answered: boolean
  /** Epoch milliseconds of the last byte from the server on any connection; `null`: none yet. */
  readonly lastContactAt: () => number | null
  /** Bytes came from the API server. */
  readonly onContact: () => void
  /** Each verdict of the probe, before the tables hear of it. */
  readonly onProbe: (result: ProbeResult) => void
  /** An object that could not be made a row: what it is, and why. */
  readonly onObjectError: (object: string, error: unknown) => void
}

export class ClusterWatch implements WatchSession {
  readonly #options: ClusterWatchOptions
  readonly #probe: HealthProbe
  readonly #feeds: readonly WatchFeed<Kind>[]
  #up = false
  #closed = false

  constructor(options: ClusterWatchOptions) {
    const { client, clock, random, answered, lastContactAt } = options
    this.#options = options
    this.#feeds = ALL_KINDS.map((kind) => this.#feed(kind))
    this.#probe = new HealthProbe({
      client,
      clock,
      random,
      answered,
      lastContactAt,
      onResult: (result) => this.#onProbe(result),
    })
    this.#probe.start()
  }

  /** By kind, since the session began; for metrics. */
  get counters(): ReadonlyMap<Kind, FeedCounters> {
    return new Map(this.#feeds.map((feed) => [feed.kind, feed.counters]))
  }

  close(): void {
    this.#closed = true
    this.#probe.close()
    for (const feed of this.#feeds) feed.close()
  }

  #feed<K extends Kind>(kind: K): WatchFeed<K> {
    const { cluster, client, clock, turns, slots, random, onContact, onObjectError } = this.#options
    const table = this.#options.table(kind)
    // Whoever filled it before may have stopped in the midst of a list.
    table.apply({ type: 'Cancel' })
    return new WatchFeed({
      kind,
      cluster,
      client,
      project: project(kind),
      table,
      clock,
      turns,
      slots: {
        // As the session closes, the slots of its first feeds would start requests of its last.
        request: (start) => slots.request(() => this.#closed || start()),
      },
      random,
      onContact,
      onFailure: (failure) => this.#onFailure(failure),
      onObjectError,
    })
  }

  #onFailure(failure: Failure): void {
    const serverError = failure.kind === 'STATUS' && failure.statusCode >= 500
    if (failure.kind === 'TRANSPORT' || serverError || isStatus(failure, 401)) this.#probe.poke()
  }

  #onProbe(result: ProbeResult): void {
    // Whoever is told of it may end the session; its feeds then hear nothing any more.
    this.#options.onProbe(result)
    if (!result.answered) {
      this.#up = false
      for (const feed of this.#feeds) feed.clusterDown(result.problem)
    } else if (!this.#up) {
      this.#up = true
      for (const feed of this.#feeds) feed.clusterUp()
    }
  }
}
