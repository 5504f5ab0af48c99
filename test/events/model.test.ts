/**
 * The hub against a model: clusters whose history is known, two replicas that follow it at their own pace,
 * viewers whose rights change, and followers that know nothing but what they are sent. Whatever is interleaved,
 * nothing is sent that its viewer may not see, nor anything rendered by somebody with other rights, and in the end
 * each copy equals what it follows.
 */
import * as fc from 'fast-check'
import { performance } from 'node:perf_hooks'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Hub } from '../../src/events/hub.ts'
import type { Eyes, LiveEvent, LiveStart, Membership, Payload, RowsRequest } from '../../src/events/live.ts'
import type { Scope, Selection } from '../../src/fleet/selection.ts'
import type { LabelSet, PodRow } from '../../src/kubernetes/rows.ts'
import { podRow } from '../fleet/pod-model.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { type Told, TestSink, toldOf } from './follower.ts'

const RUNS = Number(process.env.RUNS ?? 150)

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
  { namespaces: new Set([]), names: new Set(['b', 'c']) },
]

/** Milliseconds that pass between two looks at the time: how soon the hub's turns are over. */
const PACES = fc.constantFrom(0, 0.3, 1.1, 9)

const VIEWERS = 3

/** Some may see the same and are told the same; keys are of this process. */
function keyOf(scopes: Scopes): string {
  return CLUSTERS.map((name) => SCOPES.indexOf(scopes.get(name))).join()
}

function shows(scopes: Scopes, cluster: string, namespace: string, name: string): boolean {
  const scope = scopes.get(cluster)
  if (scope === undefined || scope === 'all') return scope === 'all'
  return (
    scope.namespaces.has(namespace) ||
    (scope.names?.has(name) ?? false) ||
    (scope.objects?.has(`${namespace}/${name}`) ?? false)
  )
}

type Scopes = ReadonlyMap<string, Scope | undefined>

/** What one viewer may see. */
class Viewer {
  readonly scopes = new Map<string, Scope | undefined>(CLUSTERS.map((name) => [name, 'all']))
  /** Another name of the same rights: keys cover all clusters that there are. */
  #fleet = ''
  /** What it was since the hubs were told last, oldest first; the last one is what it is. */
  #history: { readonly scopes: Scopes; readonly key: string }[] = []

  constructor() {
    this.#note()
  }

  get key(): string {
    return `${keyOf(this.scopes)} of ${this.#fleet}`
  }

  eyes(): Eyes {
    const scopeOf = (name: string) => this.scopes.get(name)
    const keyNow = () => this.key
    return {
      get key() {
        return keyNow()
      },
      scope: ({ name }) => scopeOf(name),
    }
  }

  become(cluster: string, scope: Scope | undefined): void {
    this.scopes.set(cluster, scope)
    this.#note()
  }

  meet(clusters: Iterable<string>): void {
    this.#fleet = Array.from(clusters).sort().join()
    this.#note()
  }

  /** The hubs know by now. */
  told(): void {
    this.#history = this.#history.slice(-1)
  }

  maySee({ cluster, namespace, name }: Pick<Told, 'cluster' | 'namespace' | 'name'>): boolean {
    return this.#history.some(({ scopes }) => shows(scopes, cluster!, namespace!, name!))
  }

  mayHave(rights: string): boolean {
    return this.#history.some(({ key }) => key === rights)
  }

  #note(): void {
    this.#history.push({ scopes: new Map(this.scopes), key: this.key })
  }
}

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
  readonly viewer: Viewer
  readonly stingy: boolean
  /** It is an iterator, which renders nothing. */
  readonly iterates: boolean
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
  /** It never reads again, which must be nobody else's trouble. */
  dead = false
  /** It is told of what was wrong where nobody hears it. */
  wrong: unknown
  #pull: (() => void) | undefined

  constructor({
    filter,
    viewer,
    stingy,
    iterates,
  }: Pick<Checker, 'filter' | 'viewer' | 'stingy' | 'iterates'>) {
    this.filter = filter
    this.viewer = viewer
    this.stingy = stingy
    this.iterates = iterates
  }

  join(hub: Hub, request: RowsRequest, start: LiveStart): void {
    this.#begin(start)
    const eyes = this.viewer.eyes()
    let isThere = true
    if (this.iterates) {
      this.#iterate(hub.iterate(request, eyes, start), () => isThere)
      return
    }
    const render = (events: readonly LiveEvent[]) => {
      try {
        expect(isThere, 'whoever renders is there').toBe(true)
        return events.map((event) => Buffer.from(JSON.stringify({ ...toldOf(event), by: this.viewer.key })))
      } catch (error) {
        this.wrong ??= error
        throw error
      }
    }
    const { sink } = this
    const membership = hub.join({ key: String(this.filter), eyes, request, render, start, sink })
    this.membership = {
      leave() {
        isThere = false
        membership.leave()
      },
    }
  }

  /** Reads, as far as it does not by itself. */
  read(): void {
    this.sink.ready = true
    this.#pull?.()
  }

  #iterate(events: AsyncIterableIterator<LiveEvent>, isThere: () => boolean): void {
    let isWaiting = false
    const pull = () => {
      if (isWaiting || !isThere()) return
      isWaiting = true
      const next = async () => {
        const { value, done } = await events.next()
        isWaiting = false
        if (done) return
        this.#check(toldOf(value))
        if (!this.stingy && !this.dead) pull()
      }
      void next()
    }
    this.#pull = pull
    this.membership = {
      leave: () => {
        this.#pull = undefined
        void events.return?.()
      },
    }
    if (!this.stingy) pull()
  }

  #begin(start: LiveStart): void {
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
    const take = (told: Told & { by?: string }) => this.#check(told)
    this.sink = new (class extends TestSink {
      override write(payloads: readonly Payload[]): void {
        super.write(payloads)
        if (stingy) this.ready = false
        for (const told of this.told.splice(0)) take(told)
      }
    })()
    this.sink.ready = !stingy
  }

  #check(told: Told & { by?: string }): void {
    try {
      if (told.by !== undefined)
        expect(this.viewer.mayHave(told.by), `${told.type} is rendered for it`).toBe(true)
      if (told.id !== null && told.reason === 'FORBIDDEN') {
        const known = this.copy.get(told.id)
        const { uid, resourceVersion } = told
        expect(`${known?.uid} ${known?.version}`, `${told.id} is told no newer`).toBe(
          `${uid} ${resourceVersion}`,
        )
      } else if (told.id !== null) {
        expect(this.viewer.maySee(told), `${told.type} ${told.reason} ${told.id} may be seen`).toBe(true)
      }
      this.#take(told)
    } catch (error) {
      // A sink that throws would be taken for one that broke.
      this.wrong ??= error
    }
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
  readonly viewers = Array.from({ length: VIEWERS }, () => new Viewer())

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
    for (const viewer of this.viewers) viewer.meet(this.present)
  }

  request(filter: number): RowsRequest {
    return {
      type: 'rows',
      kinds: ['Pod'],
      clusters: ({ labels }) => filter !== LABELLED || labels['hidden'] !== 'yes',
      selection: FILTERS[filter]! as Selection,
      throttleMs: filter === 1 ? 500 : 0,
    }
  }

  setScope(viewer: number, cluster: string, scope: Scope | undefined): void {
    this.viewers[viewer]!.become(cluster, scope)
  }

  tellRights(): void {
    for (const { hub } of this.replicas) hub.rightsChanged()
    for (const viewer of this.viewers) viewer.told()
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

  join(checker: Checker, replica: number, start: LiveStart): void {
    checker.replica = replica
    checker.join(this.replicas[replica]!.hub, this.request(checker.filter), start)
  }

  reconnect(checker: Checker, replica: number): void {
    checker.membership?.leave()
    const { cursor } = checker
    this.join(checker, replica, cursor === null ? { snapshot: true } : { snapshot: false, after: cursor })
  }

  /** `turns`: in which all is told. */
  async end(turns: number): Promise<void> {
    this.tellRights()
    for (const replica of this.replicas) {
      for (const truth of this.truths.values()) {
        replica.setDown(truth, false)
        if (replica.fleet.cluster(truth.name) && !replica.seen.has(truth.name)) replica.list(truth, 1e9)
        replica.advance(truth, 1e9)
      }
    }
    for (let i = 0; i < turns; i++) {
      for (const checker of this.checkers) if (!checker.dead) checker.read()
      await turn()
    }
    await this.clock.advance(6_000)
    for (let i = 0; i < turns; i++) {
      for (const checker of this.checkers) if (!checker.dead) checker.read()
      await turn()
    }
  }

  check(): void {
    for (const checker of this.checkers) {
      const { filter, viewer, copy, dead, wrong } = checker
      if (wrong) throw wrong
      if (dead) continue
      const { names, namespaces, where } = FILTERS[filter]!
      const right = this.#meant(filter)
        .flatMap((name) => Array.from(this.truths.get(name)!.rows.values()))
        .filter(
          (row) =>
            shows(viewer.scopes, row.cluster, row.namespace, row.name) &&
            (names?.includes(row.name) ?? true) &&
            (namespaces?.includes(row.namespace) ?? true) &&
            (where?.(row) ?? true),
        )
        .map(({ id, uid, resourceVersion }) => `${id} ${uid} ${resourceVersion}`)
      const kept = Array.from(copy, ([id, { uid, version }]) => `${id} ${uid} ${version}`)
      expect(kept.sort(), `a copy of filter ${filter}, ${viewer.key}`).toEqual(right.sort())
      expect(checker.synced).toBe(true)
      const down = this.#meant(filter).filter((name) => checker.down.has(name) && viewer.scopes.get(name))
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
      viewer: fc.nat({ max: VIEWERS - 1 }),
      stingy: fc.boolean(),
      iterates: fc.constantFrom(false, false, false, true),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('reconnect' as const), which: nat, replica }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('ready' as const), which: nat }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('rights' as const),
      viewer: fc.nat({ max: VIEWERS - 1 }),
      cluster,
      scope: fc.constantFrom(...SCOPES),
      isTold: fc.constantFrom(true, true, false),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('tell rights' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), which: nat }) },
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
    const { filter, stingy, iterates } = step
    const joined = new Checker({ filter, viewer: world.viewers[step.viewer]!, stingy, iterates })
    world.checkers.push(joined)
    world.join(joined, step.replica, { snapshot: true })
  } else if (step.do === 'rights') {
    world.setScope(step.viewer, step.cluster, step.scope)
    if (step.isTold) world.tellRights()
  } else if (step.do === 'tell rights') world.tellRights()
  else if (step.do === 'leave' && checker) {
    checker.membership?.leave()
    world.checkers.splice(world.checkers.indexOf(checker), 1)
    if (checker.wrong) throw checker.wrong
  } else if (step.do === 'reconnect' && checker && !checker.dead) world.reconnect(checker, step.replica)
  else if (step.do === 'ready' && checker && !checker.dead) checker.read()
  else if (step.do === 'die' && checker) {
    checker.dead = true
    checker.sink.ready = false
  } else if (step.do === 'turn') await turn()
  else if (step.do === 'wait') await world.clock.advance(step.ms)
}

describe('a follower that keeps a copy from events alone', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it(
    'has in the end what it follows, whatever was cut, late, slow, read again or moved',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(actions, { maxLength: 150, size: 'max' }), PACES, async (steps, pace) => {
          let now = 0
          vi.spyOn(performance, 'now').mockImplementation(() => (now += pace))
          const world = new World()
          for (const step of steps) await act(world, step)
          await world.end(pace > 1 ? 300 : 60)
          world.check()
          world.close()
        }),
        { numRuns: RUNS },
      )
    },
    60_000 + 50 * RUNS,
  )
})
