/**
 * One cluster: its client, a table for each kind, and its health. Who fills the tables and finds out about
 * the health is for a `Feeding` to say: this process (`cluster-watch.ts`), or another replica.
 *
 * Invariants: nothing here waits for the API server – a cluster that never answers costs a probe; each
 * table says for itself whether it is current, and a kind that is not served or forbidden leaves the
 * others alone; while the cluster is down its tables keep their rows and are stale.
 *
 * Deliberately absent: users and rights (see `access/`); where the cluster came from (see `sources/`).
 */
import { createHash } from 'node:crypto'
import { type ApiClient, TransportError } from '../kubernetes/client.ts'
import { Discovery } from '../kubernetes/discovery.ts'
import { ALL_KINDS, type ResourceAddress } from '../kubernetes/kinds.ts'
import type { Kind, LabelSet } from '../kubernetes/rows.ts'
import type { Clock } from './clock.ts'
import { ClusterWatch } from './cluster-watch.ts'
import {
  type Feeding,
  FeedingError,
  type FeedingSession,
  type FeedTarget,
  type WatchSession,
} from './feeding.ts'
import type { ProbeResult } from './health-probe.ts'
import type { Turns } from './ingest-turns.ts'
import type { ClusterDefinition } from './sources/source.ts'
import { createTable } from './store.ts'
import { SyncSlots } from './sync-slots.ts'
import type { TableReader, TableWriter } from './table.ts'
import type { FeedCounters } from './watch-feed.ts'

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
   * `undefined` where the cluster does not serve it. `fresh`: the cluster is asked, whatever is known. Throws the
   * client's errors.
   */
  resolve(
    apiVersion: string,
    kind: string,
    options?: { readonly fresh?: boolean },
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

export class ConnectedCluster implements Cluster, FeedTarget {
  readonly name: string
  readonly identity: string
  readonly client: ApiClient
  readonly #options: ClusterOptions
  readonly #slots: SyncSlots
  readonly #tables = new Map<Kind, TableReader & TableWriter>()
  readonly #discovery: Discovery
  readonly #healthListeners = new Set<(health: ClusterHealth) => void>()
  #definition: ClusterDefinition
  #health: ClusterHealth
  /** Kept aside: it changes with each chunk of bytes. */
  #lastContactAt: number | null = null
  #revision = 0
  #feeding: FeedingSession | undefined
  /** Until the cluster of this name before this one is no longer fed. */
  #turn: Promise<void> | undefined
  #watch: ClusterWatch | undefined
  /** Of the watch sessions that are over. */
  #counters: ReadonlyMap<Kind, FeedCounters> = new Map()
  #released: Promise<void> | undefined

  constructor(definition: ClusterDefinition, options: ClusterOptions) {
    const { clock } = options
    this.name = definition.name
    this.#definition = definition
    this.#options = options
    this.#slots = new SyncSlots(options.syncsPerCluster, options.slots)
    this.client = connect(definition)
    // A hash: an address is nobody's business who sees names only.
    this.identity = `${this.name}~${createHash('sha256').update(this.client.server).digest('hex').slice(0, 12)}`
    this.#discovery = new Discovery(this.client, { now: () => clock.now() })
    this.#health = {
      state: 'CONNECTING',
      since: clock.now(),
      version: null,
      latencyMs: null,
      lastContactAt: null,
      lastError: null,
    }
    for (const kind of ALL_KINDS) this.#tables.set(kind, createTable(kind, definition.name, clock))
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

  /** By kind, of all watch sessions together; for metrics. */
  get counters(): ReadonlyMap<Kind, FeedCounters> {
    return this.#watch ? added(this.#counters, this.#watch.counters) : this.#counters
  }

  table<K extends Kind>(kind: K): TableReader<K> & TableWriter<K> {
    // Each kind's table was made for that kind; a Map cannot say so.
    return this.#tables.get(kind) as unknown as TableReader<K> & TableWriter<K>
  }

  resolve(...[apiVersion, kind, { fresh = false } = {}]: Parameters<Cluster['resolve']>) {
    if (fresh) this.#discovery.expire()
    return this.#discovery.resolve(apiVersion, kind)
  }

  /** Lets its tables be filled: at once, or once what is `before` it is over, which must not reject. */
  start(feeding: Feeding, before?: Promise<void>): void {
    const begin = () => {
      if (!this.#released) this.#feeding = feeding(this)
    }
    if (before) this.#turn = before.then(begin)
    else begin()
  }

  /** New labels, or another way of saying where it comes from; the connection stays. */
  redefine(definition: ClusterDefinition): void {
    const { labels, source } = this.#definition
    this.#definition = definition
    if (source !== definition.source || !sameLabels(labels, definition.labels)) this.#changed()
  }

  /** Nothing fills its tables from now on; settles once whoever did has let go of the cluster. */
  release(): Promise<void> {
    this.#released ??= this.#release()
    return this.#released
  }

  /** Releases it, and ends its connections. */
  async close(): Promise<void> {
    await this.release()
    await this.client.close()
  }

  // ── What a feeding sees ───────────────────────────────────────────────────────────────────────

  watch(): WatchSession {
    if (this.#released) return { close() {} }
    if (this.#watch) throw new FeedingError(this.name, 'was to be watched while it is watched already')
    const { clock, turns, random, onObjectError } = this.#options
    const watch = new ClusterWatch({
      cluster: this.name,
      client: this.client,
      table: (kind) => this.table(kind),
      clock,
      turns,
      slots: this.#slots,
      random,
      answered: this.#health.state === 'UP',
      lastContactAt: () => this.#lastContactAt,
      onContact: this.#onContact,
      onProbe: (result) => this.#onProbe(result),
      onObjectError: (object, error) => onObjectError(this.name, object, error),
    })
    this.#watch = watch
    return { close: () => this.#endWatch(watch) }
  }

  learn(health: ClusterHealth): void {
    if (this.#released) return
    if (this.#watch) throw new FeedingError(this.name, 'was told its health while it is watched')
    this.#become(health, health.lastError && new Error(health.lastError.message))
  }

  onHealth(listener: (health: ClusterHealth) => void): () => void {
    const own = (health: ClusterHealth) => listener(health)
    this.#healthListeners.add(own)
    return () => this.#healthListeners.delete(own)
  }

  async #release(): Promise<void> {
    if (this.#watch) this.#endWatch(this.#watch)
    this.#healthListeners.clear()
    const closing = this.#feeding?.close()
    await this.#turn
    await closing
  }

  #endWatch(watch: ClusterWatch): void {
    if (this.#watch !== watch) return
    this.#counters = this.counters
    this.#watch = undefined
    watch.close()
  }

  // ── Health ────────────────────────────────────────────────────────────────────────────────────

  readonly #onContact = (): void => {
    this.#lastContactAt = this.#options.clock.now()
  }

  #onProbe(result: ProbeResult): void {
    const { state, version, since } = this.#health
    const now = this.#options.clock.now()
    if (result.answered) {
      this.#become({
        ...this.#health,
        state: 'UP',
        since: state === 'UP' ? since : now,
        version: result.version ?? version,
        latencyMs: result.latencyMs,
        lastContactAt: now,
      })
    } else {
      const down = { state: 'DOWN', since: state === 'DOWN' ? since : now } as const
      this.#become({ ...this.health, ...down, lastError: { ...result.problem, at: now } }, result.error)
    }
  }

  /** `error`: why, where it is down. */
  #become(health: ClusterHealth, error?: unknown): void {
    const { state, version } = this.#health
    this.#health = health
    this.#lastContactAt = health.lastContactAt
    const turned = health.state !== state
    // It may be another version now.
    if (turned && health.state === 'UP') this.#discovery.expire()
    if (turned || health.version !== version) this.#changed()
    if (turned) this.#options.onHealth(this.name, health, health.state === 'DOWN' ? error : undefined)
    for (const listener of this.#healthListeners) listener(health)
  }

  #changed(): void {
    this.#revision++
    this.#options.onChange()
  }
}

function added(
  before: ReadonlyMap<Kind, FeedCounters>,
  since: ReadonlyMap<Kind, FeedCounters>,
): ReadonlyMap<Kind, FeedCounters> {
  return new Map(
    Array.from(since, ([kind, now]) => {
      const then = before.get(kind) ?? { events: 0, objectErrors: 0, syncs: 0, requests: 0 }
      return [
        kind,
        {
          events: then.events + now.events,
          objectErrors: then.objectErrors + now.objectErrors,
          syncs: then.syncs + now.syncs,
          requests: then.requests + now.requests,
        },
      ]
    }),
  )
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
