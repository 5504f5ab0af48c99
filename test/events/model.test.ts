/**
 * The hub against a model: clusters whose history is known, two replicas that follow it at their own pace,
 * and followers that know nothing but what they are sent. Whatever is interleaved, in the end each copy
 * equals what it follows.
 */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/events/hub.ts'
import type { LiveEvent, LiveStart, Membership, Payload, RowsRequest } from '../../src/events/live.ts'
import type { Scope, Selection } from '../../src/fleet/selection.ts'
import type { LabelSet, PodRow } from '../../src/kubernetes/rows.ts'
import { podRow } from '../fleet/pod-model.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { renderAll, type Told, TestSink } from './follower.ts'

const CLUSTERS = ['east', 'north', 'west'] as const
const NAMES = ['a', 'b', 'c', 'd', 'e'] as const
const NAMESPACES = ['pay', 'shop'] as const

const FILTERS: readonly Selection<PodRow>[] = [
  {},
  { namespaces: ['shop'] },
  { names: ['a', 'c'], where: ({ phase }) => phase === 'Running' },
  { where: ({ phase }) => phase === 'Running' },
]

/** The one that also asks for a label of the cluster. */
const LABELLED = FILTERS.length - 1

const SCOPES: readonly (Scope | undefined)[] = [
  'all',
  undefined,
  { namespaces: new Set(['shop']) },
  { namespaces: new Set(['shop', 'pay']) },
  { namespaces: new Set(['pay']), objects: new Set(['shop/a', 'shop/c']) },
]

/** What happened in a cluster, one resourceVersion each; a bookmark has no row. */
interface Happened {
  readonly version: number
  readonly row: PodRow | null
  readonly deleted: boolean
}

class Truth {
  readonly history: Happened[] = []
  version: number
  readonly rows = new Map<string, PodRow>()
  #uids = 0
  readonly name: string

  constructor(name: string, version: number) {
    this.name = name
    this.version = version
  }

  change(namespace: string, name: string, what: 'put' | 'delete' | 'bookmark', phase: string): void {
    const key = `${namespace}/${name}`
    const known = this.rows.get(key)
    this.version += 1 + (this.version % 2)
    const version = this.version
    if (what === 'bookmark') {
      this.history.push({ version, row: null, deleted: false })
      return
    }
    if (what === 'delete' && !known) return
    const uid = known?.uid ?? `${key}#${++this.#uids}`
    const row = podRow({ namespace, name, uid, phase, resourceVersion: String(version) }, this.name)
    this.history.push({ version, row, deleted: what === 'delete' })
    if (what === 'delete') this.rows.delete(key)
    else this.rows.set(key, row)
  }
}

class Replica {
  readonly fleet = new FakeFleet()
  readonly clock: FakeClock
  hub: Hub
  /** How much of each cluster's history it has. */
  readonly seen = new Map<string, number>()
  readonly down = new Set<string>()
  readonly labels = new Map<string, LabelSet>()

  constructor(clock: FakeClock) {
    this.clock = clock
    this.hub = this.start()
  }

  start(): Hub {
    this.hub = new Hub({
      fleet: this.fleet,
      clock: this.clock,
      limits: { queue: 8, chunk: 3, changesPerTable: 6, changes: 14 },
    })
    return this.hub
  }

  advance(truth: Truth, steps: number): void {
    const cluster = this.fleet.cluster(truth.name)
    const at = this.seen.get(truth.name)
    if (!cluster || at === undefined || this.down.has(truth.name)) return
    for (const { version, row, deleted } of truth.history.slice(at, at + steps)) {
      if (!row) cluster.apply('Pod', { type: 'Bookmark', resourceVersion: String(version) })
      else cluster.apply('Pod', { type: deleted ? 'Delete' : 'Apply', row })
    }
    this.seen.set(truth.name, Math.min(truth.history.length, at + steps))
  }

  /** Reads the whole state of a moment that is not before what it has. */
  list(truth: Truth, steps: number): void {
    const cluster = this.fleet.cluster(truth.name)
    if (!cluster) return
    const at = Math.min(truth.history.length, (this.seen.get(truth.name) ?? 0) + steps)
    const rows = new Map<string, PodRow>()
    for (const { row, deleted } of truth.history.slice(0, at)) {
      if (!row) continue
      if (deleted) rows.delete(`${row.namespace}/${row.name}`)
      else rows.set(`${row.namespace}/${row.name}`, row)
    }
    cluster.apply('Pod', { type: 'Init' })
    for (const row of rows.values()) cluster.apply('Pod', { type: 'InitApply', row })
    const version = truth.history[at - 1]?.version ?? 1
    cluster.apply('Pod', { type: 'InitDone', resourceVersion: String(version) })
    this.seen.set(truth.name, at)
    this.down.delete(truth.name)
  }

  setDown(truth: Truth, down: boolean): void {
    const cluster = this.fleet.cluster(truth.name)
    if (!cluster || down === this.down.has(truth.name)) return
    if (down) {
      this.down.add(truth.name)
      cluster.apply('Pod', { type: 'Down', problem: { code: 'UNREACHABLE', message: 'It is away.' } })
    } else {
      this.down.delete(truth.name)
      cluster.apply('Pod', { type: 'Up' })
    }
  }

  /** Another definition of the same cluster: it is read anew. */
  replace(name: string): void {
    if (!this.fleet.cluster(name)) return
    this.seen.delete(name)
    this.down.delete(name)
    this.fleet.add(new FakeCluster(name, this.labels.get(name)))
  }

  setPresent(name: string, present: boolean): void {
    if (present === (this.fleet.cluster(name) !== undefined)) return
    this.seen.delete(name)
    this.down.delete(name)
    if (present) this.fleet.add(new FakeCluster(name, this.labels.get(name)))
    else this.fleet.remove(name)
  }
}

/** Keeps a copy, and checks each event against it. */
class Checker {
  readonly filter: number
  readonly stingy: boolean
  sink = new TestSink()
  replica = 0
  membership: Membership | undefined
  cursor: string | null = null
  /** By id. */
  readonly copy = new Map<string, { uid: string; version: number }>()
  /** Of a snapshot or RESYNC under way: what has come again. */
  #fresh: Set<string> | undefined
  #resuming = false
  readonly down = new Set<string>()
  synced = false
  startsAnew = false
  /** It never reads again, which must be nobody else's trouble. */
  dead = false

  constructor(filter: number, stingy: boolean) {
    this.filter = filter
    this.stingy = stingy
  }

  begin(start: LiveStart): void {
    this.synced = false
    this.down.clear()
    this.#fresh = undefined
    this.#resuming = start.after !== undefined
    if (start.after === undefined) {
      this.copy.clear()
      this.cursor = null
      if (start.snapshot) this.#fresh = new Set()
    }
    const { stingy } = this
    const take = (told: Told) => this.#take(told)
    this.sink = new (class extends TestSink {
      override write(payloads: readonly Payload[]): void {
        super.write(payloads)
        if (stingy) this.ready = false
        for (const told of this.told.splice(0)) take(told)
      }
    })()
    this.sink.ready = !stingy
  }

  #take(told: Told): void {
    const { type, id, uid, cluster } = told
    if (told.cursor !== null) this.cursor = told.cursor
    if (type === 'RESYNC') {
      this.#fresh = new Set()
      this.#resuming = false
      this.down.clear()
      this.synced = false
    } else if (type === 'SYNCED') {
      for (const id of this.copy.keys()) if (this.#fresh && !this.#fresh.has(id)) this.copy.delete(id)
      this.#fresh = undefined
      this.#resuming = false
      this.synced = true
    } else if (type === 'CLUSTER_DOWN') {
      this.down.add(cluster!)
    } else if (type === 'CLUSTER_UP') {
      this.down.delete(cluster!)
    } else {
      const known = this.copy.get(id!)
      const version = Number(told.resourceVersion)
      if (type === 'DELETED') {
        if (!this.#resuming && !this.#fresh) expect(known?.uid, `${id} was told before`).toBe(uid)
        if (known?.uid === uid) this.copy.delete(id!)
        this.#fresh?.delete(id!)
        return
      }
      if (type === 'MODIFIED' && !this.#resuming) expect(known?.uid, `${id} was told before`).toBe(uid)
      if (known?.uid === uid && !this.#fresh && !this.#resuming) {
        expect(version, `${id} does not go back`).toBeGreaterThanOrEqual(known.version)
      }
      this.copy.set(id!, { uid: uid!, version })
      this.#fresh?.add(id!)
    }
  }
}

class World {
  readonly clock = new FakeClock()
  readonly truths = new Map<string, Truth>(CLUSTERS.map((name, i) => [name, new Truth(name, 10 + 20 * i)]))
  readonly replicas = [new Replica(this.clock), new Replica(this.clock)] as const
  readonly checkers: Checker[] = []
  readonly present = new Set<string>()
  /** Labelled so that one filter does not mean them. */
  readonly hidden = new Set<string>()
  /** What may be seen, of each cluster. */
  readonly scopes = new Map<string, Scope | undefined>(CLUSTERS.map((name) => [name, 'all']))

  constructor() {
    for (const name of CLUSTERS) {
      const truth = this.truths.get(name)!
      truth.change('shop', 'a', 'put', 'Running')
      truth.change('pay', 'b', 'put', 'Pending')
      if (name !== 'west') this.setPresent(name, true)
    }
    for (const replica of this.replicas) for (const truth of this.truths.values()) replica.list(truth, 9)
  }

  setPresent(name: string, present: boolean): void {
    for (const replica of this.replicas) replica.setPresent(name, present)
    if (present) this.present.add(name)
    else this.present.delete(name)
  }

  request(filter: number): RowsRequest<PodRow> {
    return {
      type: 'rows',
      kinds: ['Pod'],
      clusters: ({ labels }) => filter !== LABELLED || labels['hidden'] !== 'yes',
      selection: FILTERS[filter]!,
      scope: ({ name }) => this.scopes.get(name),
      throttleMs: filter === 1 ? 500 : 0,
    }
  }

  setScope(cluster: string, scope: Scope | undefined): void {
    this.scopes.set(cluster, scope)
    for (const { hub } of this.replicas) hub.rightsChanged()
    // A cursor knows nothing of rights: who is cut off begins anew.
    for (const checker of this.checkers) checker.startsAnew = true
  }

  setHidden(cluster: string, hidden: boolean): void {
    if (hidden) this.hidden.add(cluster)
    else this.hidden.delete(cluster)
    for (const { fleet, labels } of this.replicas) {
      labels.set(cluster, hidden ? { hidden: 'yes' } : {})
      const known = fleet.cluster(cluster)
      if (known) known.labels = labels.get(cluster)!
    }
  }

  /** Clusters that this filter means. */
  #meant(filter: number): readonly string[] {
    return Array.from(this.present).filter((name) => filter !== LABELLED || !this.hidden.has(name))
  }

  #shows({ cluster, namespace, name }: PodRow): boolean {
    const scope = this.scopes.get(cluster)
    if (scope === undefined || scope === 'all') return scope === 'all'
    return scope.namespaces.has(namespace) || (scope.objects?.has(`${namespace}/${name}`) ?? false)
  }

  join(checker: Checker, replica: number, start: LiveStart): void {
    checker.replica = replica
    checker.begin(start)
    checker.membership = this.replicas[replica]!.hub.join({
      key: String(checker.filter),
      request: this.request(checker.filter) as RowsRequest,
      render: (events: readonly LiveEvent[]) => renderAll(events),
      start,
      sink: checker.sink,
    })
  }

  reconnect(checker: Checker, replica: number): void {
    checker.membership?.leave()
    const cursor = checker.startsAnew ? null : checker.cursor
    checker.startsAnew = false
    this.join(checker, replica, cursor === null ? { snapshot: true } : { snapshot: false, after: cursor })
  }

  async end(): Promise<void> {
    for (const replica of this.replicas) {
      for (const truth of this.truths.values()) {
        replica.setDown(truth, false)
        if (replica.fleet.cluster(truth.name) && !replica.seen.has(truth.name)) replica.list(truth, 1e9)
        replica.advance(truth, 1e9)
      }
    }
    for (let i = 0; i < 60; i++) {
      for (const { sink, dead } of this.checkers) if (!dead) sink.ready = true
      await turn()
    }
    await this.clock.advance(6_000)
    for (let i = 0; i < 60; i++) {
      for (const { sink, dead } of this.checkers) if (!dead) sink.ready = true
      await turn()
    }
  }

  check(): void {
    for (const checker of this.checkers) {
      const { filter, copy, dead } = checker
      if (dead) continue
      const { names, namespaces, where } = FILTERS[filter]!
      const right = this.#meant(filter)
        .flatMap((name) => Array.from(this.truths.get(name)!.rows.values()))
        .filter(
          (row) =>
            this.#shows(row) &&
            (names?.includes(row.name) ?? true) &&
            (namespaces?.includes(row.namespace) ?? true) &&
            (where?.(row) ?? true),
        )
        .map(({ id, uid, resourceVersion }) => `${id} ${uid} ${resourceVersion}`)
      const kept = Array.from(copy, ([id, { uid, version }]) => `${id} ${uid} ${version}`)
      expect(kept.sort(), `a copy of filter ${filter}`).toEqual(right.sort())
      expect(checker.synced).toBe(true)
      const down = this.#meant(filter).filter((name) => checker.down.has(name) && this.scopes.get(name))
      expect(down, 'clusters that are said to be down').toEqual([])
    }
  }

  close(): void {
    for (const { membership } of this.checkers) membership?.leave()
    for (const { hub } of this.replicas) {
      expect(hub.counters).toMatchObject({ followers: 0, groups: 0 })
      hub.close()
    }
    expect(this.clock.pending).toBe(0)
    for (const { fleet } of this.replicas) expect(fleet.listeners).toBe(0)
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

const cluster = fc.constantFrom(...CLUSTERS)
const replica = fc.constantFrom(0 as const, 1 as const)
const nat = fc.nat({ max: 7 })

const actions = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      cluster,
      namespace: fc.constantFrom(...NAMESPACES),
      name: fc.constantFrom(...NAMES),
      what: fc.constantFrom('put' as const, 'put' as const, 'delete' as const, 'bookmark' as const),
      phase: fc.constantFrom('Running', 'Pending'),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('advance' as const), cluster, replica, steps: nat }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('list' as const), cluster, replica, steps: nat }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('down' as const), cluster, replica, down: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('present' as const), cluster, present: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replace' as const), cluster, replica }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('label' as const), cluster, hidden: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      replica,
      filter: fc.nat({ max: FILTERS.length - 1 }),
      stingy: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('reconnect' as const), which: nat, replica }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('ready' as const), which: nat }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('rights' as const), cluster, scope: fc.constantFrom(...SCOPES) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('die' as const), which: nat }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(60, 6_000) }) },
)

type Action = typeof actions extends fc.Arbitrary<infer A> ? A : never

async function act(world: World, step: Action): Promise<void> {
  const truth = 'cluster' in step ? world.truths.get(step.cluster)! : undefined
  const checker = 'which' in step ? world.checkers[step.which % (world.checkers.length || 1)] : undefined
  if (step.do === 'change') truth!.change(step.namespace, step.name, step.what, step.phase)
  else if (step.do === 'advance') world.replicas[step.replica].advance(truth!, step.steps)
  else if (step.do === 'list') world.replicas[step.replica].list(truth!, step.steps)
  else if (step.do === 'down') world.replicas[step.replica].setDown(truth!, step.down)
  else if (step.do === 'present') world.setPresent(step.cluster, step.present)
  else if (step.do === 'replace') world.replicas[step.replica].replace(step.cluster)
  else if (step.do === 'label') world.setHidden(step.cluster, step.hidden)
  else if (step.do === 'join') {
    const joined = new Checker(step.filter, step.stingy)
    world.checkers.push(joined)
    world.join(joined, step.replica, { snapshot: true })
  } else if (step.do === 'rights') world.setScope(step.cluster, step.scope)
  else if (step.do === 'reconnect' && checker && !checker.dead) world.reconnect(checker, step.replica)
  else if (step.do === 'ready' && checker && !checker.dead) checker.sink.ready = true
  else if (step.do === 'die' && checker) {
    checker.dead = true
    checker.sink.ready = false
  } else if (step.do === 'turn') await turn()
  else if (step.do === 'wait') await world.clock.advance(step.ms)
}

describe('a follower that keeps a copy from events alone', () => {
  it('has in the end what it follows, whatever was cut, late, slow, read again or moved', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(actions, { maxLength: 150, size: 'max' }), async (steps) => {
        const world = new World()
        for (const step of steps) await act(world, step)
        await world.end()
        world.check()
        world.close()
      }),
      { numRuns: Number(process.env.RUNS ?? 150) },
    )
  }, 60_000)
})
