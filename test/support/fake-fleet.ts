/**
 * A fleet without feeds: real tables, filled by hand through the real projections; clusters come, go and
 * change when the test says so, and listeners hear of it as they do of a real fleet. For tests of what is
 * above the fleet, and of feedings: a cluster is their target, too.
 *
 * What it does not do: connect, watch or probe.
 */
import type { FeedTarget, WatchSession } from '../../src/fleet/feeding.ts'
import type { Cluster, ClusterHealth, Fleet } from '../../src/fleet/fleet.ts'
import type { Step } from '../../src/fleet/feed.ts'
import { createTable } from '../../src/fleet/store.ts'
import type { TableReader, TableWriter } from '../../src/fleet/table.ts'
import type { ApiClient, ApiRequest } from '../../src/kubernetes/client.ts'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { Kind, LabelSet } from '../../src/kubernetes/rows.ts'

export const UP: ClusterHealth = {
  state: 'UP',
  since: 1_000,
  version: 'v1.34.1',
  latencyMs: 3,
  lastContactAt: 2_000,
  lastError: null,
}

export class FakeCluster implements Cluster, FeedTarget {
  readonly name: string
  readonly identity: string
  readonly source = 'test'
  revision = 1
  /** Watch sessions that were begun, and whether one of them is open. */
  sessions = 0
  watched = false
  /** Requests that went to the API server. */
  readonly requests: ApiRequest[] = []
  /** Answers them; set by the test. */
  answer: (request: ApiRequest) => unknown = () => {
    throw new Error('This test did not expect a live request.')
  }
  readonly #tables = new Map<Kind, TableReader & TableWriter>()
  readonly #listeners = new Set<() => void>()
  readonly #healthListeners = new Set<(health: ClusterHealth) => void>()
  #labels: LabelSet
  #health = UP

  constructor(name: string, labels: LabelSet = {}, identity = name) {
    this.name = name
    this.identity = identity
    this.#labels = labels
    for (const kind of ALL_KINDS) {
      this.#tables.set(kind, createTable(kind, name, { now: () => 5_000 }))
    }
  }

  get labels(): LabelSet {
    return this.#labels
  }

  set labels(labels: LabelSet) {
    this.#labels = labels
    this.#changed()
  }

  get health(): ClusterHealth {
    return this.#health
  }

  set health(health: ClusterHealth) {
    const { state, version } = this.#health
    this.#health = health
    if (health.state !== state || health.version !== version) this.#changed()
    for (const listener of this.#healthListeners) listener(health)
  }

  readonly client: ApiClient = {
    server: 'https://127.0.0.1:1',
    json: async <T>(request: ApiRequest) => {
      this.requests.push(request)
      return (await this.answer(request)) as T
    },
    text: async (request) => {
      this.requests.push(request)
      return String(await this.answer(request))
    },
    stream: () => ({ abort() {}, pause() {}, resume() {} }),
    close: async () => {},
  }

  table<K extends Kind>(kind: K): TableReader<K> & TableWriter<K> {
    return this.#tables.get(kind) as unknown as TableReader<K> & TableWriter<K>
  }

  apply<K extends Kind>(kind: K, ...steps: readonly Step<K>[]): void {
    for (const step of steps) this.#tables.get(kind)!.apply(step)
  }

  /** Makes these raw objects the whole content of their kind's table. */
  load(kind: Kind, objects: readonly unknown[]): this {
    const rows = objects.map((object) => project(kind)(object, this.name))
    this.apply(kind, { type: 'Init' }, ...rows.map((row) => ({ type: 'InitApply', row }) as never), {
      type: 'InitDone',
      resourceVersion: '100',
    })
    return this
  }

  /** Only notes that it is watched; the test plays the watch with `apply` and `health`. */
  watch(): WatchSession {
    if (this.watched) throw new Error(`${this.name} is watched already.`)
    this.watched = true
    const session = ++this.sessions
    return {
      close: () => {
        if (session === this.sessions) this.watched = false
      },
    }
  }

  learn(health: ClusterHealth): void {
    if (this.watched) throw new Error(`${this.name} is watched.`)
    this.health = health
  }

  onHealth(listener: (health: ClusterHealth) => void): () => void {
    const own = (health: ClusterHealth) => listener(health)
    this.#healthListeners.add(own)
    return () => this.#healthListeners.delete(own)
  }

  /** After each change of `revision`; for the fleet that it is in. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #changed(): void {
    this.revision++
    for (const listener of this.#listeners) listener()
  }

  resolve(apiVersion: string, kind: string): ReturnType<Cluster['resolve']> {
    const slash = apiVersion.indexOf('/')
    const group = slash === -1 ? '' : apiVersion.slice(0, slash)
    const resource = `${kind.toLowerCase()}s`
    return Promise.resolve({
      address: { group, version: apiVersion.slice(slash + 1), resource },
      namespaced: true,
    })
  }
}

export class FakeFleet implements Fleet {
  revision = 1
  readonly #clusters = new Map<string, FakeCluster>()
  readonly #leave = new Map<string, () => void>()
  readonly #listeners = new Set<() => void>()
  #sorted: readonly FakeCluster[] = []

  constructor(...clusters: readonly FakeCluster[]) {
    for (const cluster of clusters) this.#put(cluster)
    this.#sort()
  }

  get clusters(): readonly FakeCluster[] {
    return this.#sorted
  }

  /** Listeners that have not left. */
  get listeners(): number {
    return this.#listeners.size
  }

  cluster(name: string): FakeCluster | undefined {
    return this.#clusters.get(name)
  }

  /** One of the same name is replaced: another server, as to the real fleet. */
  add(...clusters: readonly FakeCluster[]): void {
    for (const cluster of clusters) this.#put(cluster)
    this.#redefined()
  }

  remove(...names: readonly string[]): void {
    for (const name of names) this.#take(name)
    this.#redefined()
  }

  onChange(listener: () => void): () => void {
    const own = () => listener()
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  async close(): Promise<void> {
    for (const name of this.#clusters.keys()) this.#take(name)
    this.#sort()
    this.#listeners.clear()
  }

  #put(cluster: FakeCluster): void {
    this.#take(cluster.name)
    this.#clusters.set(cluster.name, cluster)
    this.#leave.set(
      cluster.name,
      cluster.onChange(() => this.#tell()),
    )
  }

  #take(name: string): void {
    this.#leave.get(name)?.()
    this.#leave.delete(name)
    this.#clusters.delete(name)
  }

  #redefined(): void {
    this.#sort()
    this.revision++
    this.#tell()
  }

  #sort(): void {
    this.#sorted = [...this.#clusters.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
