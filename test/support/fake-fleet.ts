/**
 * A fleet without feeds: real tables, filled by hand through the real projections. For tests of what is
 * above the fleet.
 */
import type { Cluster, ClusterHealth, Fleet } from '../../src/fleet/fleet.ts'
import type { Step } from '../../src/fleet/feed.ts'
import { createTable } from '../../src/fleet/store.ts'
import type { TableReader, TableWriter } from '../../src/fleet/table.ts'
import type { ApiClient, ApiRequest } from '../../src/kubernetes/client.ts'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { Kind, LabelSet } from '../../src/kubernetes/rows.ts'

const UP: ClusterHealth = {
  state: 'UP',
  since: 1_000,
  version: 'v1.34.1',
  latencyMs: 3,
  lastContactAt: 2_000,
  lastError: null,
}

export class FakeCluster implements Cluster {
  readonly name: string
  readonly labels: LabelSet
  readonly source = 'test'
  health: ClusterHealth = UP
  revision = 1
  /** Requests that went to the API server. */
  readonly requests: ApiRequest[] = []
  /** Answers them; set by the test. */
  answer: (request: ApiRequest) => unknown = () => {
    throw new Error('This test did not expect a live request.')
  }
  readonly #tables = new Map<Kind, TableReader & TableWriter>()

  constructor(name: string, labels: LabelSet = {}) {
    this.name = name
    this.labels = labels
    for (const kind of ALL_KINDS) {
      this.#tables.set(kind, createTable(kind, name, { now: () => 5_000 }))
    }
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

  table<K extends Kind>(kind: K): TableReader<K> {
    return this.#tables.get(kind) as unknown as TableReader<K>
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
  readonly clusters: readonly FakeCluster[]
  revision = 1

  constructor(...clusters: readonly FakeCluster[]) {
    this.clusters = clusters.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  cluster(name: string): FakeCluster | undefined {
    return this.clusters.find((cluster) => cluster.name === name)
  }

  onChange(): () => void {
    return () => {}
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
