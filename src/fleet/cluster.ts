/**
 * One cluster: its client, a table for each kind, the feeds that fill them, and its health.
 *
 * Invariants: nothing here waits for the API server – a cluster that never answers costs a probe; each
 * table says for itself whether it is current, and a kind that is not served or forbidden leaves the
 * others alone; while the cluster is down its tables keep their rows and are stale.
 *
 * Deliberately absent: users and rights (see `access/`); where the cluster came from (see `sources/`).
 */
import { type ApiClient, TransportError } from '../kubernetes/client.ts'
import { Discovery } from '../kubernetes/discovery.ts'
import { ALL_KINDS, type ResourceAddress } from '../kubernetes/kinds.ts'
import { project } from '../kubernetes/projections/projections.ts'
import type { Kind, LabelSet } from '../kubernetes/rows.ts'
import type { Clock } from './clock.ts'
import { HealthProbe, type ProbeResult } from './health-probe.ts'
import type { Turns } from './ingest-turns.ts'
import { type Failure, isStatus } from './reflector-failure.ts'
import type { ClusterDefinition } from './sources/source.ts'
import { createTable } from './store.ts'
import { SyncSlots } from './sync-slots.ts'
import type { TableReader, TableWriter } from './table.ts'
import { type FeedCounters, WatchFeed } from './watch-feed.ts'

/**
 * `CONNECTING`: no answer yet. `UP`: answers. `DOWN`: does not answer, or not to us.
 * Times are epoch milliseconds.
 */
export interface ClusterHealth {
  readonly state: 'CONNECTING' | 'UP' | 'DOWN'
  readonly since: number
  /** `v1.34.1`; the last known one while it is down. */
  readonly version: string | null
  /** Of the last successful probe. */
  readonly latencyMs: number | null
  readonly lastContactAt: number | null
  readonly lastError: { readonly code: string; readonly message: string; readonly at: number } | null
}

export interface Cluster {
  readonly name: string
  readonly labels: LabelSet
  /** Which source named it, for a person: `kubeconfig ~/.kube/config, context prod-eu`. */
  readonly source: string
  readonly health: ClusterHealth
  /** Increases with each change of `health.state`, `health.version` or `labels`. */
  readonly revision: number
  readonly client: ApiClient
  table<K extends Kind>(kind: K): TableReader<K>
  /**
   * Discovery, cached for a while: the address and scope of a kind that may not be in `KINDS`.
   * `undefined` where the cluster does not serve it. Throws the client's errors.
   */
  resolve(
    apiVersion: string,
    kind: string,
  ): Promise<{ readonly address: ResourceAddress; readonly namespaced: boolean } | undefined>
}

export interface ClusterOptions {
  readonly clock: Clock
  readonly turns: Turns
  /** Of the whole fleet; the cluster bounds its own below it. */
  readonly slots: SyncSlots
  /** Initial states that one cluster brings at a time. */
  readonly syncsPerCluster: number
  /** In [0, 1). */
  readonly random: () => number
  /** After a change of `revision`. */
  readonly onChange: () => void
  /** After a change of `health.state`; the error of a cluster that went down, as the client threw it. */
  readonly onHealth: (cluster: string, health: ClusterHealth, error: unknown) => void
  /** An object that could not be made a row: what it is, and why. */
  readonly onObjectError: (cluster: string, object: string, error: unknown) => void
}

export class WatchedCluster implements Cluster {
  readonly name: string
  readonly client: ApiClient
  readonly #options: ClusterOptions
  readonly #tables = new Map<Kind, TableReader & TableWriter>()
  readonly #feeds: WatchFeed<Kind>[] = []
  readonly #probe: HealthProbe
  readonly #discovery: Discovery
  #definition: ClusterDefinition
  #health: ClusterHealth
  #revision = 0
  #lastContactAt: number | null = null
  #closed = false

  constructor(definition: ClusterDefinition, options: ClusterOptions) {
    const { clock, random, turns } = options
    this.name = definition.name
    this.#definition = definition
    this.#options = options
    this.client = connect(definition)
    this.#discovery = new Discovery(this.client, { now: () => clock.now() })
    this.#health = {
      state: 'CONNECTING',
      since: clock.now(),
      version: null,
      latencyMs: null,
      lastContactAt: null,
      lastError: null,
    }
    const slots = new SyncSlots(options.syncsPerCluster, options.slots)
    for (const kind of ALL_KINDS) {
      const table = createTable(kind, definition.name, clock)
      this.#tables.set(kind, table)
      this.#feeds.push(
        new WatchFeed({
          kind,
          cluster: definition.name,
          client: this.client,
          project: project(kind),
          table,
          clock,
          turns,
          slots,
          random,
          onContact: this.#onContact,
          onFailure: this.#onFailure,
          onObjectError: (object, error) => options.onObjectError(definition.name, object, error),
        }),
      )
    }
    this.#probe = new HealthProbe({
      client: this.client,
      clock,
      random,
      onResult: (result) => this.#onProbe(result),
      lastContactAt: () => this.#lastContactAt,
    })
  }

  get labels(): LabelSet {
    return this.#definition.labels
  }

  get source(): string {
    return this.#definition.source
  }

  get fingerprint(): string {
    return this.#definition.fingerprint
  }

  get health(): ClusterHealth {
    return { ...this.#health, lastContactAt: this.#lastContactAt }
  }

  get revision(): number {
    return this.#revision
  }

  /** By kind, for metrics. */
  get counters(): ReadonlyMap<Kind, FeedCounters> {
    return new Map(this.#feeds.map((feed) => [feed.kind, feed.counters]))
  }

  table<K extends Kind>(kind: K): TableReader<K> {
    // Each kind's table was made for that kind; a Map cannot say so.
    return this.#tables.get(kind) as unknown as TableReader<K>
  }

  resolve(apiVersion: string, kind: string): ReturnType<Cluster['resolve']> {
    return this.#discovery.resolve(apiVersion, kind)
  }

  start(): void {
    this.#probe.start()
  }

  /** New labels, or another way of saying where it comes from; the connection stays. */
  redefine(definition: ClusterDefinition): void {
    const { labels, source } = this.#definition
    this.#definition = definition
    if (source !== definition.source || !sameLabels(labels, definition.labels)) this.#changed()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#probe.close()
    for (const feed of this.#feeds) feed.close()
    await this.client.close()
  }

  readonly #onContact = (): void => {
    this.#lastContactAt = this.#options.clock.now()
  }

  readonly #onFailure = (failure: Failure): void => {
    const serverError = failure.kind === 'STATUS' && failure.statusCode >= 500
    if (failure.kind === 'TRANSPORT' || serverError || isStatus(failure, 401)) this.#probe.poke()
  }

  #onProbe(result: ProbeResult): void {
    if (this.#closed) return
    const { state, version, since } = this.#health
    const now = this.#options.clock.now()
    if (result.answered) {
      this.#lastContactAt = now
      const next = result.version ?? version
      this.#health = {
        ...this.#health,
        state: 'UP',
        since: state === 'UP' ? since : now,
        version: next,
        latencyMs: result.latencyMs,
      }
      if (state !== 'UP') {
        // It may be another version now.
        this.#discovery.expire()
        for (const feed of this.#feeds) feed.clusterUp()
      }
      if (state !== 'UP' || next !== version) this.#changed()
      if (state !== 'UP') this.#options.onHealth(this.name, this.health, undefined)
      return
    }
    const { problem, error } = result
    this.#health = {
      ...this.#health,
      state: 'DOWN',
      since: state === 'DOWN' ? since : now,
      lastError: { ...problem, at: now },
    }
    for (const feed of this.#feeds) feed.clusterDown(problem)
    if (state === 'DOWN') return
    this.#changed()
    this.#options.onHealth(this.name, this.health, error)
  }

  #changed(): void {
    this.#revision++
    this.#options.onChange()
  }
}

function sameLabels(a: LabelSet, b: LabelSet): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}

/** A definition that cannot be connected is a cluster that cannot be reached, and says why. */
function connect(definition: ClusterDefinition): ApiClient {
  try {
    return definition.connect()
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    return unconnected(new TransportError('CREDENTIALS', message, cause))
  }
}

function unconnected(reason: TransportError): ApiClient {
  const refuse = async () => {
    throw reason
  }
  return {
    server: '',
    json: refuse,
    text: refuse,
    stream: (_request, sink) => {
      queueMicrotask(() => sink.onError(reason))
      return { abort() {}, pause() {}, resume() {} }
    },
    async close() {},
  }
}
