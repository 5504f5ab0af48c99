import { describe, expect, it, vi } from 'vitest'
import { Hub, type HubOptions } from '../../src/events/hub.ts'
import type { Eyes, LiveEvent, LiveRequest, LiveStart, RowsRequest } from '../../src/events/live.ts'
import { encodePosition, PositionError } from '../../src/events/position.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import type { Row } from '../../src/kubernetes/rows.ts'
import { eventually } from '../support/eventually.ts'
import { FakeClock, settled as turned } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { podRow } from '../fleet/pod-model.ts'
import { eyesOf, renderAll, TestSink } from './follower.ts'

const pods: RowsRequest = {
  type: 'rows',
  kinds: ['Pod'],
  clusters: () => true,
  selection: {},
  throttleMs: 0,
}

function row(name: string, resourceVersion: string, cluster = 'east') {
  return podRow({ name, resourceVersion, uid: `uid-${name}` }, cluster)
}

function synced(name = 'east', names: readonly string[] = ['a', 'b'], resourceVersion = '10') {
  const cluster = new FakeCluster(name)
  sync(cluster, names, resourceVersion)
  return cluster
}

function sync(cluster: FakeCluster, names: readonly string[], resourceVersion: string) {
  cluster.apply('Pod', { type: 'Init' })
  for (const pod of names) cluster.apply('Pod', { type: 'InitApply', row: row(pod, '1', cluster.name) })
  cluster.apply('Pod', { type: 'InitDone', resourceVersion })
}

function apply(cluster: FakeCluster, name: string, resourceVersion: string) {
  cluster.apply('Pod', { type: 'Apply', row: row(name, resourceVersion, cluster.name) })
}

function remove(cluster: FakeCluster, name: string, resourceVersion: string) {
  cluster.apply('Pod', { type: 'Delete', row: row(name, resourceVersion, cluster.name) })
}

function setup(clusters: readonly FakeCluster[], limits: HubOptions['limits'] = {}) {
  const fleet = new FakeFleet(...clusters)
  const clock = new FakeClock()
  const failures: unknown[] = []
  const hub = new Hub({ fleet, clock, limits, onFailure: (error) => failures.push(error) })
  const join = (
    start: LiveStart,
    request: LiveRequest = pods,
    key = 'pods',
    render = renderAll,
    eyes = eyesOf(),
  ) => {
    const sink = new TestSink()
    return { sink, membership: hub.join({ key, eyes, request, render, start, sink }) }
  }
  /** Follows pods with other rights. */
  const see = (eyes: Eyes, start: LiveStart = changes, request: LiveRequest = pods, render = renderAll) =>
    join(start, request, 'pods', render, eyes)
  return { fleet, clock, hub, join, see, failures }
}

/** A slow machine takes more turns for the same. */
async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await turned()
}

function isRunning(row: Row): boolean {
  return row.kind === 'Pod' && row.phase === 'Running'
}

const changes = { snapshot: false }
const snapshot = { snapshot: true }

describe('a follower', () => {
  it('is told each change, and nothing of what was there', async () => {
    const east = synced()
    const { join } = setup([east])
    const { sink } = join(changes)
    await settled()
    expect(sink.take()).toEqual([])
    apply(east, 'c', '11')
    apply(east, 'a', '12')
    remove(east, 'b', '13')
    await settled()
    expect(sink.take()).toEqual(['ADDED c', 'MODIFIED a', 'DELETED b'])
  })

  it('is told with a snapshot what is there, that this was all, and then what changes', async () => {
    const east = synced()
    const { join } = setup([east])
    const { sink } = join(snapshot)
    apply(east, 'c', '11')
    await settled()
    expect(sink.take()).toEqual(['ADDED a', 'ADDED b', 'ADDED c', 'SYNCED'])
    apply(east, 'a', '12')
    await settled()
    expect(sink.take()).toEqual(['MODIFIED a'])
  })

  it('is told nothing before joining has returned', () => {
    const { join } = setup([synced()])
    expect(join(snapshot).sink.writes).toEqual([])
  })

  it('is told what enters and leaves its filter, with the state before', async () => {
    const east = synced('east', [])
    const { join } = setup([east])
    const { sink } = join(changes, {
      ...pods,
      selection: { where: (row) => row.generation === 0 && isRunning(row) },
    })
    const put = (resourceVersion: string, phase: string) =>
      east.apply('Pod', { type: 'Apply', row: podRow({ name: 'a', resourceVersion, phase }, 'east') })
    put('11', 'Pending')
    put('12', 'Running')
    put('13', 'Running')
    put('14', 'Failed')
    await settled()
    expect(sink.told).toMatchObject([
      { type: 'ADDED', resourceVersion: '12', previous: null },
      { type: 'MODIFIED', resourceVersion: '13', previous: '12' },
      { type: 'DELETED', resourceVersion: '14', previous: '13', reason: 'FILTER' },
    ])
  })

  it('is told nothing of what its viewer may not see', async () => {
    const east = synced('east', [])
    const { see } = setup([east])
    const scope = { namespaces: new Set(['shop']), objects: new Set(['pay/one']) }
    const { sink } = see(eyesOf(() => scope))
    for (const [namespace, name] of [
      ['shop', 'a'],
      ['pay', 'one'],
      ['pay', 'two'],
    ] as const) {
      east.apply('Pod', { type: 'Apply', row: podRow({ namespace, name, resourceVersion: '11' }, 'east') })
    }
    const nobody = see(
      eyesOf(() => undefined, 'nobody'),
      snapshot,
    )
    await settled()
    expect(sink.take()).toEqual(['ADDED a', 'ADDED one'])
    expect(nobody.sink.take()).toEqual(['SYNCED'])
  })

  it('of names or namespaces is told of those only', async () => {
    const east = synced('east', [])
    const { join } = setup([east])
    const named = join(changes, { ...pods, selection: { names: ['b', 'c'] } }, 'named')
    const placed = join(changes, { ...pods, selection: { namespaces: ['pay'], namePrefix: 'a' } }, 'placed')
    for (const namespace of ['shop', 'pay']) {
      for (const name of ['a', 'b']) {
        east.apply('Pod', { type: 'Apply', row: podRow({ namespace, name, resourceVersion: '11' }, 'east') })
      }
    }
    await settled()
    expect(named.sink.take()).toEqual(['ADDED b', 'ADDED b'])
    expect(placed.sink.take()).toEqual(['ADDED a'])
  })

  it('is told an object that was deleted and made anew as two', async () => {
    const east = synced()
    const { join } = setup([east])
    const { sink } = join(changes)
    east.apply('Pod', {
      type: 'Apply',
      row: podRow({ name: 'a', uid: 'another', resourceVersion: '11' }, 'east'),
    })
    await settled()
    expect(sink.told.map(({ type, uid }) => `${type} ${uid}`)).toEqual(['DELETED uid-a', 'ADDED another'])
  })

  it('that throttles is told once in so long, changes of one object put together', async () => {
    const east = synced()
    const { join, clock } = setup([east])
    const { sink } = join(changes, { ...pods, throttleMs: 1_000 })
    apply(east, 'a', '11')
    await settled()
    expect(sink.take()).toEqual(['MODIFIED a'])
    apply(east, 'a', '12')
    apply(east, 'a', '13')
    apply(east, 'c', '14')
    remove(east, 'c', '15')
    await clock.advance(999)
    expect(sink.take()).toEqual([])
    await clock.advance(1)
    expect(sink.told).toMatchObject([{ type: 'MODIFIED', resourceVersion: '13', previous: '11' }])
  })

  it('that throttles waits no longer where the clock is set back', async () => {
    const east = synced()
    const { join, clock } = setup([east])
    const { sink } = join(changes, { ...pods, throttleMs: 1_000 })
    apply(east, 'a', '11')
    await settled()
    sink.take()
    const now = clock.now.bind(clock)
    vi.spyOn(clock, 'now').mockImplementation(() => now() - 3_600_000)
    apply(east, 'a', '12')
    await settled()
    await clock.advance(1_000)
    expect(sink.take()).toEqual(['MODIFIED a'])
  })

  it('that leaves is not touched again', async () => {
    const east = synced()
    const { join, hub } = setup([east])
    const { sink, membership } = join(snapshot)
    membership.leave()
    membership.leave()
    apply(east, 'a', '11')
    await settled()
    expect(sink.writes).toEqual([])
    expect(sink.ended).toBeUndefined()
    expect(hub.counters).toMatchObject({ followers: 0, groups: 0 })
  })
})

describe('a cursor', () => {
  /** Follows with a snapshot until it has all, and returns its last cursor. */
  async function cursorOf({ join }: ReturnType<typeof setup>): Promise<string> {
    const { sink, membership } = join(snapshot)
    await settled()
    membership.leave()
    return sink.told.at(-1)!.cursor!
  }

  it('goes on where it was: with what came after it and no more', async () => {
    const east = synced()
    const world = setup([east])
    const after = await cursorOf(world)
    apply(east, 'c', '11')
    remove(east, 'a', '12')
    const { sink } = world.join({ snapshot: false, after })
    await settled()
    expect(sink.take()).toEqual(['ADDED c', 'DELETED a', 'SYNCED'])
  })

  it('of any event goes on after that event', async () => {
    const east = synced('east', [])
    const world = setup([east])
    const { sink } = world.join(changes)
    const names = ['a', 'b', 'c', 'd']
    names.forEach((name, i) => apply(east, name, String(11 + i)))
    await settled()
    for (const [i, { cursor }] of sink.told.entries()) {
      const resumed = world.join({ snapshot: false, after: cursor! })
      await settled()
      expect(resumed.sink.take()).toEqual([...names.slice(i + 1).map((name) => `ADDED ${name}`), 'SYNCED'])
    }
  })

  it('of a list goes on as well, also on another replica', async () => {
    const east = synced()
    const here = setup([east])
    const after = here.hub.position(['Pod'], here.fleet.clusters, eyesOf())!
    apply(east, 'c', '11')
    const there = setup([synced()])
    apply(there.fleet.cluster('east')!, 'c', '11')
    const { sink } = there.join({ snapshot: false, after })
    await settled()
    expect(sink.take()).toEqual(['ADDED c', 'SYNCED'])
  })

  it('goes on in a narrow filter however much happens outside of it', async () => {
    const east = synced()
    const world = setup([east], { changesPerTable: 4 })
    const request = { ...pods, selection: { names: ['a'] } }
    const { sink } = world.join(changes, request, 'narrow')
    for (let i = 0; i < 20; i++) apply(east, 'z', String(11 + i))
    apply(east, 'a', '40')
    await settled()
    const after = sink.told.at(-1)!.cursor!
    apply(east, 'a', '41')
    const again = world.join({ snapshot: false, after }, request, 'narrow')
    await settled()
    expect(again.sink.take()).toEqual(['MODIFIED a', 'SYNCED'])
  })

  it('that is too old gives RESYNC, everything and SYNCED', async () => {
    const east = synced()
    const world = setup([east], { changesPerTable: 2 })
    const after = await cursorOf(world)
    for (const version of ['11', '12', '13']) apply(east, 'c', version)
    const { sink } = world.join({ snapshot: false, after })
    await settled()
    expect(sink.take()).toEqual(['RESYNC', 'ADDED a', 'ADDED b', 'ADDED c', 'SYNCED'])
  })

  it('grows too old with time', async () => {
    const east = synced()
    const world = setup([east], { ageMs: 60_000 })
    const after = await cursorOf(world)
    apply(east, 'c', '11')
    await world.clock.advance(60_001)
    const { sink } = world.join({ snapshot: false, after })
    await settled()
    expect(sink.take()[0]).toBe('RESYNC')
    expect(world.hub.counters.journal).toBe(0)
  })

  it('is waited for by a replica that lags behind it, and nothing is told twice', async () => {
    const east = synced()
    const here = setup([east])
    apply(east, 'c', '11')
    const after = await cursorOf(here)
    const late = synced()
    const there = setup([late])
    const { sink } = there.join({ snapshot: false, after })
    await there.clock.advance(4_000)
    expect(sink.take()).toEqual([])
    apply(late, 'c', '11')
    apply(late, 'd', '12')
    await there.clock.advance(50)
    expect(sink.take()).toEqual(['ADDED d', 'SYNCED'])
    expect(there.clock.pending).toBe(0)
  })

  it('is waited for twenty seconds, and then read anew', async () => {
    const east = synced()
    const here = setup([east])
    apply(east, 'c', '11')
    const after = await cursorOf(here)
    const there = setup([synced()])
    const { sink } = there.join({ snapshot: false, after })
    await there.clock.advance(20_050)
    expect(sink.take()).toEqual(['RESYNC', 'ADDED a', 'ADDED b', 'SYNCED'])
    expect(there.clock.pending).toBe(0)
  })

  it('holds nothing up but the cluster that lags behind it', async () => {
    const east = synced()
    const here = setup([east, synced('west')])
    apply(east, 'c', '11')
    const after = await cursorOf(here)
    const west = synced('west')
    const there = setup([synced(), west])
    const { sink } = there.join({ snapshot: false, after })
    await settled()
    apply(west, 'd', '11')
    await settled()
    expect(sink.take()).toEqual(['ADDED d'])
    there.hub.close()
  })

  it('is gone on from where more changes were missed than a queue holds, but fewer objects', async () => {
    const east = synced()
    const world = setup([east], { queue: 4 })
    const after = await cursorOf(world)
    for (let version = 11; version < 31; version++) apply(east, 'a', String(version))
    const { sink } = world.join({ snapshot: false, after })
    await settled()
    expect(sink.take()).toEqual(['MODIFIED a', 'SYNCED'])
    for (let version = 31; version < 36; version++) apply(east, `new-${version}`, String(version))
    const late = world.join({ snapshot: false, after })
    await settled()
    expect(late.sink.take()[0]).toBe('RESYNC')
  })

  it('from between two lists is not gone on from: what was there for a while is known to nobody here', async () => {
    const east = synced()
    const here = setup([east])
    apply(east, 'short-lived', '11')
    const after = await cursorOf(here)
    const other = synced()
    const there = setup([other])
    sync(other, ['a', 'b'], '12')
    const { sink } = there.join({ snapshot: false, after })
    await settled()
    expect(sink.take()).toEqual(['RESYNC', 'ADDED a', 'ADDED b', 'SYNCED'])
  })

  it('is not gone on from after versions out of order', async () => {
    const east = synced()
    const world = setup([east])
    apply(east, 'c', '20')
    const after = await cursorOf(world)
    apply(east, 'd', '15')
    apply(east, 'e', '21')
    const { sink } = world.join({ snapshot: false, after })
    await settled()
    expect(sink.take()).toEqual(['RESYNC', 'ADDED a', 'ADDED b', 'ADDED c', 'ADDED d', 'ADDED e', 'SYNCED'])
  })

  it('tells a cluster that joined since as ADDED, and reads anew where one is gone', async () => {
    const world = setup([synced()])
    const after = await cursorOf(world)
    world.fleet.add(synced('west', ['w']))
    const joined = world.join({ snapshot: false, after })
    await settled()
    expect(joined.sink.take()).toEqual(['ADDED w', 'SYNCED'])
    world.fleet.remove('east')
    const gone = world.join({ snapshot: false, after })
    await settled()
    expect(gone.sink.take()).toEqual(['RESYNC', 'ADDED w', 'SYNCED'])
  })

  it('from within what is read for all is not gone on from: what came of it may be gone by then', async () => {
    const world = setup([synced()], { chunk: 1 })
    const { sink, membership } = world.join(changes)
    const west = new FakeCluster('west')
    world.fleet.add(west)
    sync(west, ['w', 'x', 'y'], '5')
    while (!sink.told.some(({ name }) => name === 'w')) await new Promise((resolve) => setImmediate(resolve))
    expect(sink.told.some(({ name }) => name === 'y')).toBe(false)
    membership.leave()
    const after = sink.told.findLast(({ cursor }) => cursor !== null)!.cursor!
    remove(west, 'w', '6')
    const again = world.join({ snapshot: false, after })
    await settled()
    expect(again.sink.take()).toEqual(['RESYNC', 'ADDED a', 'ADDED b', 'ADDED x', 'ADDED y', 'SYNCED'])
  })

  it('that is none is refused at once', () => {
    const { join, hub } = setup([synced()])
    expect(() => join({ snapshot: false, after: 'nonsense' })).toThrow(PositionError)
    expect(hub.counters).toMatchObject({ followers: 0, groups: 0 })
  })
})

describe('a slow follower', () => {
  it('gets what it missed in order when it reads again, as the others had it', async () => {
    const east = synced()
    const { join, hub } = setup([east])
    const slow = join(changes)
    const quick = join(changes)
    slow.sink.ready = false
    apply(east, 'a', '11')
    await settled()
    apply(east, 'a', '12')
    await settled()
    expect(quick.sink.take()).toEqual(['MODIFIED a', 'MODIFIED a'])
    expect(slow.sink.take()).toEqual([])
    slow.sink.ready = true
    await settled()
    expect(slow.sink.told.map(({ resourceVersion }) => resourceVersion)).toEqual(['11', '12'])
    expect(hub.counters.renders).toBe(2)
  })

  it('has the changes of one object put together when its queue is full', async () => {
    const east = synced()
    const { join } = setup([east], { queue: 8 })
    const slow = join(changes)
    slow.sink.ready = false
    for (let version = 11; version < 60; version++) {
      apply(east, version % 2 ? 'a' : 'b', String(version))
      await settled()
    }
    slow.sink.ready = true
    await settled()
    const told = slow.sink.told
    expect(told.length).toBeLessThanOrEqual(8)
    expect(told.every(({ type }) => type === 'MODIFIED')).toBe(true)
    expect(told.findLast(({ name }) => name === 'b')).toMatchObject({ resourceVersion: '58' })
    expect(told.findLast(({ name }) => name === 'a')).toMatchObject({ resourceVersion: '59' })
  })

  it('gets RESYNC where too many objects changed, and the others do not', async () => {
    const east = synced()
    const { join, hub } = setup([east], { queue: 8 })
    const slow = join(changes)
    const quick = join(changes)
    slow.sink.ready = false
    for (let i = 0; i < 30; i++) {
      apply(east, `n${i}`, String(11 + i))
      await settled()
    }
    expect(quick.sink.take()).toHaveLength(30)
    expect(hub.counters.resyncs).toBe(1)
    slow.sink.ready = true
    await settled()
    const told = slow.sink.take()
    expect(told[0]).toBe('RESYNC')
    expect(told.at(-1)).toBe('SYNCED')
    expect(told).toHaveLength(34)
    apply(east, 'a', '99')
    await settled()
    expect(slow.sink.take()).toEqual(['MODIFIED a'])
  })
})

describe('a group', () => {
  it('renders an event once and writes the same array to all of its sinks', async () => {
    const east = synced()
    const { join, hub } = setup([east])
    const sinks = Array.from({ length: 50 }, () => join(changes).sink)
    apply(east, 'a', '11')
    apply(east, 'b', '12')
    await settled()
    expect(hub.counters).toMatchObject({ followers: 50, groups: 1, renders: 2, deliveries: 100 })
    expect(new Set(sinks.map(({ writes }) => writes[0])).size).toBe(1)
  })

  it('reads and renders a snapshot once for those who come together', async () => {
    const east = synced()
    const { join, hub } = setup([east])
    const sinks = Array.from({ length: 50 }, () => join(snapshot).sink)
    await eventually(() => expect(sinks.every(({ told }) => told.length === 3)).toBe(true))
    for (const sink of sinks) expect(sink.take()).toEqual(['ADDED a', 'ADDED b', 'SYNCED'])
    expect(hub.counters.renders).toBe(2 + 50)
    apply(east, 'a', '11')
    const { sink } = join(snapshot)
    await settled()
    expect(sink.told[0]).toMatchObject({ name: 'a', resourceVersion: '11' })
  })

  it('reads a table for all at the pace of whoever begins, though another does not read', async () => {
    const east = new FakeCluster('east')
    const { join } = setup([east], { chunk: 2 })
    const stalled = join(changes)
    await settled()
    stalled.sink.ready = false
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    sync(east, names, '10')
    await settled()
    const { sink } = join(snapshot)
    await eventually(() => expect(sink.told.at(-1)?.type).toBe('SYNCED'))
    expect(sink.take().filter((text) => text.startsWith('ADDED'))).toEqual(
      names.map((name) => `ADDED ${name}`),
    )
    apply(east, 'a', '11')
    await settled()
    expect(sink.take().at(-1)).toBe('MODIFIED a')
    stalled.sink.ready = true
    await eventually(() => expect(stalled.sink.told.at(-1)).toMatchObject({ resourceVersion: '11' }))
  })

  it('keeps no more of what it read than so much, however many stop reading', async () => {
    const { join, hub } = setup([synced()], { chunk: 1 })
    const alone = join(snapshot, pods, 'alone').sink
    alone.ready = false
    const members = Array.from({ length: 300 }, (_, i) => {
      const two = [join(snapshot, pods, `group ${i}`), join(snapshot, pods, `group ${i}`)]
      two[1]!.sink.ready = false
      return two
    }).flat()
    await eventually(() => expect(members.at(-2)!.sink.told).toHaveLength(3))
    expect(hub.counters.readings).toBeGreaterThan(200)
    expect(hub.counters.readings).toBeLessThanOrEqual(256)
    for (const { sink } of members) sink.ready = true
    await eventually(() => expect(members.every(({ sink }) => sink.told.length === 3)).toBe(true))
    expect(hub.counters.readings).toBe(0)
  })

  it('tells RESYNC to all at once where more comes than can be told, and reads the tables once', async () => {
    const east = synced('east', [])
    const { join, hub } = setup([east], { queue: 8 })
    const sinks = [join(changes).sink, join(changes).sink]
    for (let i = 0; i < 30; i++) apply(east, `n${i}`, String(11 + i))
    await settled()
    for (const sink of sinks) {
      const told = sink.take()
      expect(told[0]).toBe('RESYNC')
      expect(told.at(-1)).toBe('SYNCED')
      expect(new Set(told).size).toBe(32)
    }
    expect(hub.counters).toMatchObject({ renders: 32, resyncs: 2 })
  })

  it('goes on when one of its sinks throws', async () => {
    const east = synced()
    const { join, hub } = setup([east])
    const broken = join(changes).sink
    broken.write = () => {
      throw new Error('It broke.')
    }
    const other = join(changes).sink
    apply(east, 'a', '11')
    await settled()
    expect(other.take()).toEqual(['MODIFIED a'])
    expect(broken.ended).toBe('The connection broke.')
    expect(hub.counters.followers).toBe(1)
  })

  it('whose condition throws ends, and neither the feed nor other groups do', async () => {
    const east = synced()
    const { join, hub, failures } = setup([east])
    const where = () => {
      throw new Error('A bug.')
    }
    const wrong = join(changes, { ...pods, selection: { where } }, 'wrong')
    const right = join(changes)
    apply(east, 'a', '11')
    await settled()
    expect(right.sink.take()).toEqual(['MODIFIED a'])
    expect(wrong.sink.ended).toMatch(/^This cannot be followed any more/)
    expect(wrong.sink.ended).not.toContain('A bug.')
    expect(failures).toEqual([new Error('A bug.')])
    expect(hub.counters).toMatchObject({ followers: 1, groups: 1 })
  })

  it('looks through a table in its own turns when a cluster leaves or rights change, not when it hears of it', async () => {
    const { see, fleet, hub } = setup([synced(), synced('west', ['c'])])
    let tested = 0
    const where = () => ++tested > 0
    let scope: Scope | undefined = 'all'
    const { sink } = see(
      eyesOf(() => scope),
      changes,
      { ...pods, selection: { where } },
    )
    const told = () => sink.told.splice(0).map(({ name, reason }) => `${name} ${reason}`)
    fleet.remove('east')
    expect(tested).toBe(0)
    await settled()
    expect(told()).toEqual(['a CLUSTER_REMOVED', 'b CLUSTER_REMOVED'])
    tested = 0
    scope = undefined
    hub.rightsChanged()
    expect(tested).toBe(0)
    await settled()
    expect(told()).toEqual(['c FORBIDDEN'])
  })

  it('is told of no object that was hidden before it was told of it', async () => {
    const east = synced()
    const { see, hub, clock } = setup([east])
    let scope: Scope | undefined = 'all'
    const { sink } = see(
      eyesOf(() => scope),
      changes,
      { ...pods, throttleMs: 1_000 },
    )
    apply(east, 'a', '11')
    await settled()
    sink.take()
    apply(east, 'c', '12')
    apply(east, 'd', '13')
    remove(east, 'd', '14')
    scope = undefined
    hub.rightsChanged()
    await clock.advance(1_000)
    expect(sink.take()).toEqual(['DELETED a', 'DELETED b'])
  })

  it('whose condition throws while tables are read ends alone', async () => {
    const east = synced()
    const world = setup([east])
    const { join, hub, fleet, failures } = world
    const after = hub.position(['Pod'], fleet.clusters, eyesOf())!
    const bug = (): never => {
      throw new Error('A bug.')
    }
    const wrong = join(snapshot, { ...pods, selection: { where: bug } }, 'wrong')
    const right = join(snapshot)
    await settled()
    expect(wrong.sink.ended).toMatch(/^This cannot be followed any more/)
    expect(right.sink.take()).toEqual(['ADDED a', 'ADDED b', 'SYNCED'])
    apply(east, 'a', '11')
    expect(() => join({ snapshot: false, after }, { ...pods, selection: { where: bug } }, 'w')).toThrow(
      'A bug.',
    )
    let clusters: RowsRequest['clusters'] = () => true
    const moody = join(changes, { ...pods, clusters: (cluster) => clusters(cluster) }, 'moody')
    clusters = bug
    fleet.add(synced('west', ['c']))
    await settled()
    expect(moody.sink.ended).toMatch(/^This cannot be followed any more/)
    expect(right.sink.take()).toEqual(['MODIFIED a', 'ADDED c'])
    expect(failures).toHaveLength(2)
    expect(hub.counters).toMatchObject({ followers: 1, groups: 1 })
  })
})

describe('a cluster', () => {
  const problem = { code: 'UNREACHABLE', message: 'It does not answer.' } as const

  it('that goes away is said once, keeps its objects, and is back after the differences', async () => {
    const east = synced()
    const { join } = setup([east])
    const { sink } = join(changes)
    east.apply('Pod', { type: 'Down', problem })
    await settled()
    expect(sink.told).toMatchObject([{ type: 'CLUSTER_DOWN', message: 'east: It does not answer.' }])
    sink.take()
    sync(east, ['b', 'c'], '20')
    await settled()
    expect(sink.take()).toEqual(['DELETED a', 'ADDED c', 'CLUSTER_UP east'])
  })

  it('that is away when somebody begins is said first', async () => {
    const east = synced()
    east.apply('Pod', { type: 'Down', problem })
    const { join } = setup([east])
    const all = join(snapshot).sink
    const later = join(changes).sink
    await settled()
    expect(all.take()).toEqual(['CLUSTER_DOWN east', 'ADDED a', 'ADDED b', 'SYNCED'])
    expect(later.take()).toEqual(['CLUSTER_DOWN east'])
    east.apply('Pod', { type: 'Up' })
    await settled()
    expect(later.take()).toEqual(['CLUSTER_UP east'])
  })

  it('that does not serve the kind is not away', async () => {
    const east = new FakeCluster('east')
    east.apply('Pod', { type: 'Down', problem: { code: 'NOT_SERVED', message: 'Not served.' } })
    const { join } = setup([east])
    const { sink } = join(snapshot)
    await settled()
    expect(sink.take()).toEqual(['SYNCED'])
  })

  it('that joins is read once for all who follow', async () => {
    const { join, hub, fleet } = setup([synced()])
    const sinks = [join(changes).sink, join(changes).sink]
    const west = new FakeCluster('west')
    fleet.add(west)
    await settled()
    sync(west, ['w', 'x'], '5')
    await settled()
    for (const sink of sinks) {
      expect(sink.take()).toEqual(['CLUSTER_DOWN west', 'ADDED w', 'ADDED x', 'CLUSTER_UP west'])
    }
    expect(hub.counters.renders).toBe(4)
  })

  it('that leaves the fleet, or the filter, has its objects deleted for that reason', async () => {
    const east = synced()
    const west = synced('west', ['w'])
    west.labels = { tier: 'gold' }
    const { join, fleet } = setup([east, west])
    const { sink } = join(changes, {
      ...pods,
      clusters: ({ name, labels }) => name === 'east' || labels.tier === 'gold',
    })
    west.labels = {}
    await settled()
    expect(sink.told.splice(0)).toMatchObject([{ type: 'DELETED', name: 'w', reason: 'CLUSTER_REMOVED' }])
    west.labels = { tier: 'gold' }
    await settled()
    expect(sink.take()).toEqual(['ADDED w'])
    fleet.remove('east')
    await settled()
    expect(sink.take()).toEqual(['DELETED a', 'DELETED b'])
  })
})

describe('rights that change', () => {
  const shop: Scope = { namespaces: new Set(['shop']) }

  /** A follower whose rights the test sets. */
  async function follower(scope: Scope | undefined) {
    const east = synced()
    east.apply('Pod', {
      type: 'Apply',
      row: podRow({ namespace: 'pay', name: 'secret', resourceVersion: '11' }, 'east'),
    })
    const world = setup([east])
    const rights = { scope }
    const { sink } = world.see(eyesOf(() => rights.scope))
    await settled()
    const become = async (scope: Scope | undefined) => {
      rights.scope = scope
      world.hub.rightsChanged()
      await settled()
    }
    return { ...world, east, sink, become }
  }

  it('delete what is hidden now, and add what is shown', async () => {
    const { sink, become, east } = await follower('all')
    await become(shop)
    expect(sink.told.splice(0)).toMatchObject([{ type: 'DELETED', name: 'secret', reason: 'FORBIDDEN' }])
    east.apply('Pod', {
      type: 'Apply',
      row: podRow({ namespace: 'pay', name: 'secret', resourceVersion: '12' }, 'east'),
    })
    await settled()
    expect(sink.take()).toEqual([])
    await become('all')
    expect(sink.take()).toEqual(['ADDED secret'])
    await become(undefined)
    expect(sink.take()).toEqual(['DELETED secret', 'DELETED a', 'DELETED b'])
    await become(shop)
    expect(sink.take()).toEqual(['ADDED a', 'ADDED b'])
  })

  it('tell nothing where they are the same', async () => {
    const { sink, become } = await follower(shop)
    await become({ namespaces: new Set(['shop']) })
    expect(sink.take()).toEqual([])
  })

  it('leave nothing that is hidden to be read later', async () => {
    const { sink, become, east } = await follower('all')
    sink.ready = false
    const put = (resourceVersion: string) =>
      east.apply('Pod', {
        type: 'Apply',
        row: podRow({ namespace: 'pay', name: 'secret', resourceVersion }, 'east'),
      })
    put('12')
    await settled()
    put('13')
    await become(shop)
    sink.ready = true
    await settled()
    expect(sink.take()).toEqual(['RESYNC', 'ADDED a', 'ADDED b', 'SYNCED'])
  })
})

/** Somebody whose rights the test sets; payloads that are rendered for them say so. */
class Person {
  readonly name: string
  key: string
  scope: Scope | undefined
  renders = 0

  constructor(name: string, scope: Scope | undefined = 'all', key = 'same') {
    this.name = name
    this.scope = scope
    this.key = key
  }

  become(scope: Scope | undefined, key: string): void {
    this.scope = scope
    this.key = key
  }

  readonly eyes: Eyes = (() => {
    const keyNow = () => this.key
    return {
      get key() {
        return keyNow()
      },
      scope: () => this.scope,
    }
  })()

  readonly render = (events: readonly LiveEvent[]) => {
    this.renders += events.length
    return renderAll(events).map((payload) =>
      Buffer.from(JSON.stringify({ ...JSON.parse(payload.toString()), message: this.name })),
    )
  }
}

describe('followers with rights of their own', () => {
  const shop: Scope = { namespaces: new Set(['shop']) }
  const secret = (resourceVersion: string) =>
    podRow({ namespace: 'pay', name: 'secret', resourceVersion }, 'east')

  /** `a` and `b` in `shop`, `secret` in `pay`, and two who may see them all. */
  async function together(request: RowsRequest = pods) {
    const east = synced()
    east.apply('Pod', { type: 'Apply', row: secret('11') })
    const world = setup([east])
    const ann = new Person('ann')
    const bob = new Person('bob')
    const follow = (person: Person, start: LiveStart = changes, of: LiveRequest = request) =>
      world.see(person.eyes, start, of, person.render)
    const anns = follow(ann)
    const bobs = follow(bob)
    await settled()
    const changed = async () => {
      world.hub.rightsChanged()
      await settled()
    }
    return { ...world, east, ann, bob, anns, bobs, follow, changed }
  }

  const by = (sink: TestSink) =>
    sink.told.splice(0).map(({ type, name, message }) => `${type} ${name} ${message}`)

  it('share a group while they are the same, and part when those of one change', async () => {
    const { hub, east, ann, anns, bobs, changed } = await together()
    expect(hub.counters.groups).toBe(1)
    ann.become(shop, 'less')
    await changed()
    expect(hub.counters).toMatchObject({ groups: 2, followers: 2, resyncs: 0 })
    expect(anns.sink.told.splice(0)).toMatchObject([
      { type: 'DELETED', name: 'secret', resourceVersion: '11', reason: 'FORBIDDEN' },
    ])
    expect(bobs.sink.take()).toEqual([])
    east.apply('Pod', { type: 'Apply', row: secret('12') })
    apply(east, 'a', '13')
    await settled()
    expect(by(anns.sink)).toEqual(['MODIFIED a ann'])
    expect(by(bobs.sink)).toEqual(['MODIFIED secret bob', 'MODIFIED a bob'])
  })

  it('come together again when they are the same again', async () => {
    const { hub, east, ann, anns, bobs, changed } = await together()
    ann.become(shop, 'less')
    await changed()
    ann.become('all', 'same')
    await changed()
    expect(anns.sink.take()).toEqual(['DELETED secret', 'ADDED secret'])
    expect(hub.counters).toMatchObject({ groups: 1, followers: 2, resyncs: 0 })
    const { renders } = hub.counters
    apply(east, 'a', '12')
    await settled()
    expect(hub.counters.renders).toBe(renders + 1)
    expect([by(anns.sink), by(bobs.sink)]).toEqual([['MODIFIED a bob'], ['MODIFIED a bob']])
  })

  it('come together though changes wait to be told, and are told each once', async () => {
    const { hub, clock, east, ann, anns, bobs, changed } = await together({ ...pods, throttleMs: 1_000 })
    apply(east, 'a', '12')
    await settled()
    ann.become(shop, 'less')
    await changed()
    apply(east, 'b', '13')
    await clock.advance(1_000)
    ann.become('all', 'same')
    await changed()
    apply(east, 'c', '14')
    await settled()
    apply(east, 'c', '15')
    await clock.advance(1_000)
    await clock.advance(1_000)
    expect(anns.sink.take()).toEqual([
      'MODIFIED a',
      'DELETED secret',
      'MODIFIED b',
      'ADDED secret',
      'ADDED c',
    ])
    expect(bobs.sink.take()).toEqual(['MODIFIED a', 'MODIFIED b', 'ADDED c'])
    expect(hub.counters).toMatchObject({ groups: 1, resyncs: 0 })
    apply(east, 'a', '16')
    await clock.advance(1_000)
    expect([anns.sink.take(), bobs.sink.take()]).toEqual([['MODIFIED a'], ['MODIFIED a']])
  })

  it('stay together where those of all change alike', async () => {
    const { hub, ann, bob, anns, bobs, changed } = await together()
    ann.become(shop, 'less')
    bob.become(shop, 'less')
    await changed()
    expect(hub.counters).toMatchObject({ groups: 1, renders: 1 })
    expect([anns.sink.take(), bobs.sink.take()]).toEqual([['DELETED secret'], ['DELETED secret']])
    expect(bobs.sink.writes.at(-1)).toBe(anns.sink.writes.at(-1))
  })

  it('have nothing rendered by somebody who has left', async () => {
    const { east, ann, anns, bobs } = await together()
    anns.membership.leave()
    apply(east, 'a', '12')
    await settled()
    expect(by(bobs.sink)).toEqual(['MODIFIED a bob'])
    expect(ann.renders).toBe(0)
  })

  it('have nothing rendered by somebody with other rights, before anybody says that they changed', async () => {
    const { hub, east, ann, anns, bobs } = await together()
    ann.become('all', 'more')
    apply(east, 'a', '12')
    await settled()
    expect([by(anns.sink), by(bobs.sink)]).toEqual([['MODIFIED a ann'], ['MODIFIED a bob']])
    expect(hub.counters.groups).toBe(2)
  })

  it('are told nothing that was rendered with other rights, however slowly they read', async () => {
    const { hub, east, ann, bob, anns, bobs, changed } = await together()
    for (const { sink } of [anns, bobs]) sink.ready = false
    apply(east, 'a', '12')
    await settled()
    expect(ann.renders + bob.renders).toBe(1)
    ann.become('all', 'other')
    await changed()
    for (const { sink } of [anns, bobs]) sink.ready = true
    await settled()
    expect([by(anns.sink), by(bobs.sink)]).toEqual([['MODIFIED a ann'], ['MODIFIED a ann']])
    expect([ann.renders, bob.renders]).toEqual([2, 0])
    bob.become('all', 'other')
    await changed()
    expect(hub.counters).toMatchObject({ groups: 1, resyncs: 0 })
  })

  it('are told of what is hidden as it was told last', async () => {
    const { clock, east, ann, anns, changed } = await together({ ...pods, throttleMs: 1_000 })
    apply(east, 'a', '12')
    await settled()
    anns.sink.take()
    east.apply('Pod', { type: 'Apply', row: secret('13') })
    east.apply('Pod', { type: 'Apply', row: podRow({ namespace: 'pay', name: 'new' }, 'east') })
    ann.become(shop, 'less')
    await changed()
    await clock.advance(1_000)
    expect(anns.sink.told).toMatchObject([
      { type: 'DELETED', name: 'secret', resourceVersion: '11', previous: '11', reason: 'FORBIDDEN' },
    ])
  })

  it('that are gone in a whole table are told so, and stay; and are told what is granted again', async () => {
    const { ann, anns, east, changed } = await together()
    ann.become(undefined, 'none')
    await changed()
    expect(anns.sink.take()).toEqual(['DELETED secret', 'DELETED a', 'DELETED b'])
    apply(east, 'a', '12')
    await settled()
    expect(anns.sink.take()).toEqual([])
    ann.become({ namespaces: new Set(), names: new Set(['a', 'secret']) }, 'some')
    await changed()
    expect(anns.sink.take()).toEqual(['ADDED secret', 'ADDED a'])
  })

  it('that cannot be known end whoever has them, and nobody else', async () => {
    const { east, ann, anns, bobs, hub, failures, changed, follow } = await together()
    const carl = new Person('carl')
    const carls = follow(carl)
    const bug = (): never => {
      throw new Error('A bug.')
    }
    Object.defineProperty(ann.eyes, 'scope', { value: bug })
    Object.defineProperty(carl.eyes, 'key', { get: bug })
    await changed()
    for (const { sink } of [anns, carls]) {
      expect(sink.ended).toMatch(/^This cannot be followed any more/)
      expect(sink.ended).not.toContain('A bug.')
    }
    expect(failures).toEqual([new Error('A bug.'), new Error('A bug.')])
    apply(east, 'a', '12')
    await settled()
    expect(bobs.sink.take()).toEqual(['MODIFIED a'])
    expect(hub.counters).toMatchObject({ groups: 1, followers: 1 })
    expect(() => follow(carl)).toThrow('A bug.')
    expect(() => follow(new Person('dora', 'all', 'other'), changes)).not.toThrow()
    const eyes = { key: 'mine', scope: bug }
    expect(() =>
      hub.join({ key: 'pods', eyes, request: pods, render: renderAll, start: changes, sink: new TestSink() }),
    ).toThrow('A bug.')
    expect(hub.counters.groups).toBe(2)
  })

  it('are asked before a cluster that joins is shown', async () => {
    const { fleet, ann, bob, anns, bobs } = await together()
    for (const person of [ann, bob]) {
      Object.defineProperty(person.eyes, 'scope', {
        value: ({ name }: { name: string }) => (name === 'east' || person === bob ? 'all' : undefined),
      })
    }
    ann.key = 'other'
    fleet.add(synced('west', ['w']))
    await settled()
    expect([anns.sink.take(), bobs.sink.take()]).toEqual([[], ['ADDED w']])
  })

  it('of a cluster that left can be asked by nobody: what was not told of it is left out', async () => {
    const { hub, fleet, clock, east, ann, anns } = await together({ ...pods, throttleMs: 1_000 })
    apply(east, 'a', '12')
    await settled()
    anns.sink.take()
    east.apply('Pod', { type: 'Apply', row: secret('13') })
    fleet.remove('east')
    ann.become(shop, 'less')
    hub.rightsChanged()
    await clock.advance(1_000)
    expect(anns.sink.told.filter(({ resourceVersion }) => resourceVersion === '13')).toEqual([])
    expect(anns.sink.take()).toEqual(['RESYNC', 'SYNCED'])
  })

  it('are kept by a cluster that joins, and nobody who is slow begins anew', async () => {
    const { hub, fleet, east, ann, bob, anns, bobs } = await together()
    anns.sink.ready = false
    apply(east, 'a', '12')
    await settled()
    const west = new FakeCluster('west')
    fleet.add(west)
    // What may be seen in all clusters is another where there is one more.
    ann.key = bob.key = 'with west'
    hub.rightsChanged()
    await settled()
    sync(west, ['w'], '10')
    await settled()
    anns.sink.ready = true
    await settled()
    const told = ['MODIFIED a', 'CLUSTER_DOWN west', 'ADDED w', 'CLUSTER_UP west']
    expect([anns.sink.take(), bobs.sink.take()]).toEqual([told, told])
    expect(hub.counters).toMatchObject({ groups: 1, resyncs: 0 })
  })

  it('change while a table is read for all, and nothing is told twice or left out', async () => {
    const { fleet, ann, anns, bobs, changed } = await together()
    for (const { sink } of [anns, bobs]) sink.ready = false
    fleet.add(synced('west', ['w', 'x']))
    await settled()
    ann.become(shop, 'less')
    await changed()
    for (const { sink } of [anns, bobs]) sink.ready = true
    await settled()
    expect(anns.sink.take()).toEqual(['RESYNC', 'ADDED a', 'ADDED b', 'ADDED w', 'ADDED x', 'SYNCED'])
    expect(bobs.sink.take()).toEqual(['ADDED w', 'ADDED x'])
  })

  it('change again and again, for thousands, and each has what is theirs in the end', async () => {
    const { hub, ann, anns, bobs, follow, east } = await together()
    const people = Array.from({ length: 2_000 }, (_, i) => new Person(`p${i}`, 'all', `key ${i % 40}`))
    const all = people.map((person) => follow(person))
    await settled()
    for (let storm = 0; storm < 500; storm++) {
      people[storm % 2_000]!.become(
        storm % 3 === 0 ? shop : 'all',
        `key ${storm % 3 === 0 ? 'shop' : storm % 40}`,
      )
      hub.rightsChanged()
      if (storm % 10 === 0) await turned()
    }
    ann.become(shop, 'key shop')
    hub.rightsChanged()
    await eventually(() => expect(anns.sink.take()).toEqual(['DELETED secret']))
    await settled()
    people.forEach(({ scope }, i) => {
      expect(all[i]!.sink.take()).toEqual(scope === 'all' ? [] : ['DELETED secret'])
    })
    expect(hub.counters).toMatchObject({ groups: 42, followers: 2_002, resyncs: 0 })
    east.apply('Pod', { type: 'Apply', row: secret('12') })
    await eventually(() => expect(bobs.sink.take()).toEqual(['MODIFIED secret']))
    await settled()
    expect(all.map(({ sink }) => sink.take().length)).toEqual(
      people.map(({ scope }) => (scope === 'all' ? 1 : 0)),
    )
  })

  it('of something recomputed have it made anew with those, and nobody else’s', async () => {
    const request = { type: 'recomputed', kinds: ['Pod'], clusters: () => true, intervalMs: 60_000 } as const
    const { hub, clock, see } = setup([synced()])
    const made = (person: Person) => (events: readonly unknown[]) =>
      events.map(() => Buffer.from(person.scope === 'all' ? '"all"' : '"some"'))
    const ann = new Person('ann')
    const bob = new Person('bob')
    const follow = (person: Person) => see(person.eyes, changes, request, made(person)).sink
    const sinks = [follow(ann), follow(bob)]
    const texts = () =>
      sinks.map((sink) =>
        sink.writes
          .splice(0)
          .flatMap((payloads) => payloads.map((payload) => JSON.parse(payload.toString()))),
      )
    await settled()
    expect(texts()).toEqual([['all'], ['all']])
    ann.become(shop, 'less')
    hub.rightsChanged()
    await clock.advance(1_000)
    expect(texts()).toEqual([['some'], []])
    sinks.push(follow(new Person('carl', shop, 'less')))
    await settled()
    expect(texts()).toEqual([[], [], ['some']])
    sinks[1]!.ready = false
    bob.become(shop, 'less')
    hub.rightsChanged()
    await clock.advance(1_000)
    sinks[1]!.ready = true
    await settled()
    expect(texts()).toEqual([[], ['some'], []])
    expect(hub.counters.groups).toBe(1)
    await clock.advance(60_000)
    expect(texts()).toEqual([[], [], []])
    hub.close()
  })

  it('of clusters are moved without a word', async () => {
    const clusters = { type: 'clusters', clusters: () => true } as const
    const { hub, fleet, ann, changed, follow } = await together()
    const sinks = [follow(ann, snapshot, clusters).sink, follow(new Person('carl'), snapshot, clusters).sink]
    await settled()
    for (const sink of sinks) sink.take()
    ann.become(shop, 'less')
    await changed()
    expect(hub.counters.groups).toBe(4)
    fleet.add(new FakeCluster('west'))
    await settled()
    for (const sink of sinks) expect(sink.told.splice(0)).toMatchObject([{ type: 'ADDED', cluster: 'west' }])
    ann.become('all', 'same')
    await changed()
    expect(hub.counters.groups).toBe(2)
    for (const sink of sinks) expect(sink.take()).toEqual([])
  })

  it('of an iterator take back what nobody has read yet', async () => {
    const { hub, east, ann } = await together()
    const events = hub.iterate(pods, ann.eyes, changes)
    await settled()
    for (const version of ['12', '13', '14']) east.apply('Pod', { type: 'Apply', row: secret(version) })
    await settled()
    expect(await events.next()).toMatchObject({ value: { object: { resourceVersion: '12' } } })
    hub.rightsChanged()
    expect(await events.next()).toMatchObject({ value: { object: { resourceVersion: '13' } } })
    ann.become(shop, 'less')
    hub.rightsChanged()
    const types: string[] = []
    for await (const { type, object } of events) {
      types.push(`${type} ${object?.name}`)
      if (type === 'SYNCED') break
    }
    expect(types).toEqual(['RESYNC undefined', 'ADDED a', 'ADDED b', 'SYNCED undefined'])
  })
})

describe('a cursor and rights', () => {
  const shop = () => ({ namespaces: new Set(['shop', 'other']), objects: new Set(['pay/a', 'pay/b']) })
  const reordered = () => ({ namespaces: new Set(['other', 'shop']), objects: new Set(['pay/b', 'pay/a']) })
  const why = 'What may be seen is another since the cursor was made.'

  async function cursorOf(scope: Scope) {
    const east = synced()
    const world = setup([east])
    const { sink, membership } = world.see(new Person('ann', scope).eyes, snapshot)
    await settled()
    membership.leave()
    const after = sink.told.at(-1)!.cursor!
    const resume = async (scope: Scope | undefined, cursor = after, { see } = world) => {
      const ann = new Person('ann')
      ann.become(scope, 'resumed')
      const { sink, membership } = see(ann.eyes, { snapshot: false, after: cursor })
      await settled()
      membership.leave()
      return sink
    }
    return { ...world, east, after, resume }
  }

  it('goes on with rights of the same content, on every replica', async () => {
    const { east, after, resume } = await cursorOf(shop())
    apply(east, 'c', '11')
    expect((await resume(reordered())).take()).toEqual(['ADDED c', 'SYNCED'])
    const other = synced()
    const there = setup([other])
    apply(other, 'c', '11')
    expect((await resume(reordered(), after, there)).take()).toEqual(['ADDED c', 'SYNCED'])
  })

  it('reads anew with other rights, and says why', async () => {
    const { resume } = await cursorOf(shop())
    for (const scope of ['all', { namespaces: new Set(['shop']) }] as const) {
      const sink = await resume(scope)
      expect(sink.told[0]).toMatchObject({ type: 'RESYNC', message: why })
      expect(sink.take()).toEqual(['RESYNC', 'ADDED a', 'ADDED b', 'SYNCED'])
    }
    expect((await resume(undefined)).take()).toEqual(['RESYNC', 'SYNCED'])
  })

  it('of a list knows with which rights that was read', async () => {
    const { hub, fleet, east, resume } = await cursorOf('all')
    const scope = shop()
    const after = hub.position(
      ['Pod'],
      fleet.clusters,
      eyesOf(() => scope),
    )!
    apply(east, 'c', '11')
    expect((await resume(reordered(), after)).take()).toEqual(['ADDED c', 'SYNCED'])
    expect((await resume('all', after)).take()[0]).toBe('RESYNC')
    expect(
      hub.position(
        ['Pod'],
        fleet.clusters,
        eyesOf(() => undefined),
      ),
    ).toBeNull()
  })

  it('goes on though a cluster joined, whatever may be seen there', async () => {
    const { fleet, resume } = await cursorOf(shop())
    fleet.add(synced('west', ['w']))
    expect((await resume(reordered())).take()).toEqual(['ADDED w', 'SYNCED'])
  })

  it('is of no use where it was made before cursors knew of rights', async () => {
    const { resume } = await cursorOf('all')
    // Pods of the cluster "east" at version 10.
    const sink = await resume('all', 'AQEDUG9ka9smKwIBCw')
    expect(sink.told[0]).toMatchObject({ type: 'RESYNC', message: why })
  })

  it('goes on across rights that changed while it was followed, from whatever was told last', async () => {
    const { east, see, hub, resume } = await cursorOf('all')
    const ann = new Person('ann')
    const { sink, membership } = see(ann.eyes, snapshot)
    await settled()
    const scope = { namespaces: new Set<string>(), names: new Set(['b']) }
    ann.become(scope, 'less')
    hub.rightsChanged()
    await settled()
    membership.leave()
    expect(sink.told.at(-1)).toMatchObject({ type: 'DELETED', name: 'a', reason: 'FORBIDDEN' })
    apply(east, 'b', '11')
    const { cursor } = sink.told.at(-1)!
    expect((await resume(scope, cursor!)).take()).toEqual(['MODIFIED b', 'SYNCED'])
    expect((await resume('all', cursor!)).take()[0]).toBe('RESYNC')
  })

  it('from the midst of what other rights hide is gone on from by nobody', async () => {
    const { see, hub, resume } = await cursorOf('all')
    const ann = new Person('ann')
    const { sink } = see(ann.eyes, snapshot)
    await settled()
    sink.take()
    ann.become(undefined, 'none')
    hub.rightsChanged()
    await settled()
    const [first, second] = sink.told
    expect(first).toMatchObject({ name: 'a', reason: 'FORBIDDEN' })
    expect((await resume('all', first!.cursor!)).take()[0]).toBe('RESYNC')
    expect((await resume(undefined, second!.cursor!)).take()).toEqual(['SYNCED'])
  })
})

describe('a follower of clusters', () => {
  const clusters = { type: 'clusters', clusters: () => true } as const

  it('is told what is there, and what joins, changes and leaves', async () => {
    const { join, fleet } = setup([synced()])
    const { sink } = join(snapshot, clusters)
    await settled()
    fleet.add(new FakeCluster('west'))
    fleet.cluster('east')!.health = { ...fleet.cluster('east')!.health, state: 'DOWN' }
    fleet.remove('west')
    await settled()
    const told = sink.told.map(({ type, cluster }) => `${type} ${cluster}`)
    expect(told).toEqual(['ADDED east', 'SYNCED null', 'ADDED west', 'MODIFIED east', 'DELETED west'])
    expect(sink.told.every(({ cursor }) => cursor === null)).toBe(true)
  })

  it('that begins while others wait is told each cluster once, and none that it never heard of', async () => {
    const { join, fleet } = setup([synced(), synced('north')])
    join(changes, clusters)
    fleet.remove('north')
    fleet.add(new FakeCluster('west'))
    const { sink } = join(snapshot, clusters)
    const { sink: resumed } = join({ snapshot: false, after: encodePosition([], []) }, clusters)
    await settled()
    await settled()
    const told = (of: TestSink) => of.told.map(({ type, cluster }) => `${type} ${cluster}`)
    expect(told(sink)).toEqual(['ADDED east', 'ADDED west', 'SYNCED null'])
    expect(told(resumed)).toEqual(['RESYNC null', 'ADDED east', 'ADDED west', 'SYNCED null'])
    fleet.remove('east')
    await settled()
    expect(told(sink).at(-1)).toBe('DELETED east')
  })

  it('is told whether a cluster left the fleet, or the filter only', async () => {
    const { join, fleet } = setup([synced(), synced('north')])
    const { sink } = join(changes, { ...clusters, clusters: ({ health }) => health.state === 'UP' })
    fleet.cluster('east')!.health = { ...fleet.cluster('east')!.health, state: 'DOWN' }
    fleet.remove('north')
    await settled()
    expect(sink.told.map(({ cluster, reason }) => `${cluster} ${reason}`)).toEqual([
      'east FILTER',
      'north CLUSTER_REMOVED',
    ])
  })

  it('reads all anew whatever it goes on from', async () => {
    const { join, hub, fleet } = setup([synced()])
    const { sink } = join(
      { snapshot: false, after: hub.position(['Pod'], fleet.clusters, eyesOf())! },
      clusters,
    )
    await settled()
    expect(sink.told.map(({ type }) => type)).toEqual(['RESYNC', 'ADDED', 'SYNCED'])
  })
})

describe('a follower of something recomputed', () => {
  const request = { type: 'recomputed', kinds: ['Pod'], clusters: () => true, intervalMs: 1_000 } as const

  it('has it at once, and again after changes, not more often than it asked for', async () => {
    const east = synced()
    const { join, clock } = setup([east])
    const render = count(east)
    const { sink } = join(snapshot, request, 'count', render)
    await settled()
    expect(texts(sink)).toEqual(['2'])
    apply(east, 'c', '11')
    apply(east, 'd', '12')
    await clock.advance(999)
    expect(texts(sink)).toEqual([])
    await clock.advance(1)
    expect(texts(sink)).toEqual(['4'])
    expect(clock.pending).toBe(0)
  })

  it('is sent nothing where it came out the same, and the last one when it joins', async () => {
    const east = synced()
    const { join, clock, hub } = setup([east])
    const { sink } = join(snapshot, request, 'count', count(east))
    await settled()
    expect(texts(sink)).toEqual(['2'])
    apply(east, 'a', '11')
    await clock.advance(1_000)
    expect(texts(sink)).toEqual([])
    const second = join(snapshot, request, 'count', count(east)).sink
    await settled()
    expect(texts(second)).toEqual(['2'])
    expect(hub.counters.renders).toBe(2)
  })

  it('that is slow has the newest one only', async () => {
    const east = synced()
    const { join, clock } = setup([east])
    const { sink } = join(snapshot, request, 'count', count(east))
    sink.ready = false
    for (let i = 0; i < 5; i++) {
      apply(east, `n${i}`, String(11 + i))
      await clock.advance(1_000)
    }
    sink.ready = true
    await settled()
    expect(texts(sink)).toEqual(['7'])
  })

  function count(cluster: FakeCluster) {
    return (events: readonly unknown[]) => events.map(() => Buffer.from(String(cluster.table('Pod').size)))
  }

  function texts(sink: TestSink): string[] {
    return sink.writes.splice(0).flatMap((payloads) => payloads.map(String))
  }
})

describe('an iterator', () => {
  it('yields events whose cursors are those of their moment, and leaves nothing when it ends', async () => {
    const east = synced('east', [])
    const { hub, join } = setup([east])
    const events = hub.iterate(pods, eyesOf(), snapshot)
    expect(await events.next()).toMatchObject({ value: { type: 'SYNCED' } })
    apply(east, 'a', '11')
    const { value } = await events.next()
    apply(east, 'b', '12')
    const after = value!.cursor as string
    const { sink } = join({ snapshot: false, after })
    await settled()
    expect(sink.take()).toEqual(['ADDED b', 'SYNCED'])
    await events.return!()
    expect(await events.next()).toEqual({ done: true, value: undefined })
    expect(hub.counters.followers).toBe(1)
  })

  it('yields cursors that hold also when it has ended, or what it follows is another', async () => {
    const east = synced('east', ['z'])
    const { hub, join, fleet } = setup([east, synced('north', [])])
    const events = hub.iterate({ ...pods, clusters: ({ name }) => name === 'east' }, eyesOf(), snapshot)
    await events.next()
    const { value } = await events.next()
    apply(east, 'a', '11')
    await events.return!()
    const ended = join({ snapshot: false, after: value!.cursor as string })
    await settled()
    expect(ended.sink.take()).toEqual(['ADDED a', 'SYNCED'])

    const others = hub.iterate(pods, eyesOf(), snapshot)
    for (let i = 0; i < 2; i++) await others.next()
    const { value: synchronised } = await others.next()
    const removed = fleet.cluster('north')!
    fleet.remove('north')
    fleet.add(removed)
    apply(removed, 'b', '11')
    await settled()
    const changed = join({ snapshot: false, after: synchronised!.cursor as string })
    await settled()
    expect(changed.sink.take()).toEqual(['ADDED b', 'SYNCED'])
    await others.return!()
  })

  it('ends with its signal, also while somebody waits', async () => {
    const { hub } = setup([synced('east', [])])
    const stop = new AbortController()
    const events = hub.iterate(pods, eyesOf(), changes, stop.signal)
    const waiting = events.next()
    stop.abort()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(hub.counters).toMatchObject({ followers: 0, groups: 0 })
    expect(await hub.iterate(pods, eyesOf(), changes, stop.signal).next()).toMatchObject({ done: true })
  })

  it('throws where the server ends it, once, and then is over', async () => {
    const { hub } = setup([synced('east', ['a'])])
    const waiting = hub.iterate(pods, eyesOf(), changes)
    const next = waiting.next()
    const reading = hub.iterate(pods, eyesOf(), snapshot)
    await reading.next()
    hub.close('The server is closing.')
    await expect(next).rejects.toMatchObject({ code: 'STREAM_ENDED', message: 'The server is closing.' })
    await expect(reading.next()).resolves.toMatchObject({ value: { type: 'SYNCED' } })
    await expect(reading.next()).rejects.toMatchObject({ code: 'STREAM_ENDED' })
    for (const iterator of [waiting, reading]) {
      expect(await iterator.next()).toEqual({ done: true, value: undefined })
    }
  })

  it('that is not pulled is bounded like a socket', async () => {
    const east = synced('east', [])
    const { hub } = setup([east], { queue: 8 })
    const events = hub.iterate(pods, eyesOf(), changes)
    for (let i = 0; i < 40; i++) {
      apply(east, `n${i}`, String(11 + i))
      await settled()
    }
    const types: string[] = []
    for await (const { type } of events) {
      types.push(type)
      if (type === 'SYNCED') break
    }
    expect(types.slice(0, 2)).toEqual(['ADDED', 'RESYNC'])
    expect(types).toHaveLength(1 + 1 + 40 + 1)
  })
})

describe('a hub that closes', () => {
  it('ends every follower with a reason and leaves no listener, timer or group behind', async () => {
    const east = synced()
    const { hub, join, fleet, clock } = setup([east])
    const sinks = [join(snapshot).sink, join(changes, { ...pods, throttleMs: 500 }, 'throttled').sink]
    apply(east, 'a', '11')
    await settled()
    apply(east, 'a', '12')
    await settled()
    expect(clock.pending).toBe(1)
    hub.close('The server is closing.')
    hub.close()
    expect(sinks.map(({ ended }) => ended)).toEqual(['The server is closing.', 'The server is closing.'])
    expect(hub.counters).toMatchObject({ followers: 0, groups: 0, journal: 0 })
    expect(fleet.listeners).toBe(0)
    expect(clock.pending).toBe(0)
    apply(east, 'a', '13')
    await settled()
    const late = join(snapshot).sink
    await settled()
    expect(late.ended).toBe('The server is closing.')
  })
})
