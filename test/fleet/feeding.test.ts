import { describe, expect, it } from 'vitest'
import { ConnectedCluster } from '../../src/fleet/cluster.ts'
import { type Feeding, FeedingError, type FeedTarget, type WatchSession } from '../../src/fleet/feeding.ts'
import type { ClusterHealth } from '../../src/fleet/fleet.ts'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { settled } from '../support/fake-clock.ts'
import { UP } from '../support/fake-fleet.ts'
import { bookmark, namespace, never, refused, setUp } from './scripted-fleet.ts'

const DOWN: ClusterHealth = {
  ...UP,
  state: 'DOWN',
  lastError: { code: 'UNREACHABLE', message: 'The owner cannot reach it.', at: 3_000 },
}

/** A feeding that leaves everything to the test. */
class ByHand {
  readonly targets: FeedTarget[] = []
  /** What was closed, by name of the cluster. */
  readonly closed: string[] = []
  /** Until then a feeding that closes still holds on to its cluster. */
  released: Promise<void> = Promise.resolve()

  readonly feeding: Feeding = (target) => {
    this.targets.push(target)
    return {
      close: () => {
        this.closed.push(target.name)
        return this.released
      },
    }
  }

  get target(): FeedTarget {
    const last = this.targets.at(-1)
    if (!last) throw new Error('no cluster has begun to be fed')
    return last
  }
}

async function oneCluster(limits = { syncsPerCluster: 100, syncs: 100 }) {
  const hand = new ByHand()
  const all = setUp(limits, hand.feeding)
  all.source.say([all.define('a')], [])
  await settled()
  return { ...all, hand, target: hand.target, server: all.client('a'), a: all.cluster('a') }
}

/** A cluster whose session has brought every table to version 7, with one namespace. */
async function synced() {
  const all = await oneCluster()
  const session = all.target.watch()
  await settled()
  for (const stream of all.server.streams) stream.start()
  all.server.of('namespaces').events(namespace('shop', '5'))
  for (const stream of all.server.streams) stream.events(bookmark('7'))
  return { ...all, session }
}

const states = (target: FeedTarget) => new Set(ALL_KINDS.map((kind) => target.table(kind).status.state))

describe('a feeding', () => {
  it('decides whether anything is asked of a cluster at all', async () => {
    const { clock, server, target, a } = await oneCluster()
    await clock.advance(60_000)
    expect(server.streams).toEqual([])
    expect(clock.pending).toBe(0)
    expect(a.health.state).toBe('CONNECTING')
    expect(states(target)).toEqual(new Set(['SYNCING']))
  })

  it('is asked once for each cluster, and told when it leaves the fleet', async () => {
    const { source, define, hand } = await oneCluster()
    source.say([define('a', { labels: { env: 'prod' } }), define('b')], [])
    expect(hand.targets.map(({ name }) => name)).toEqual(['a', 'b'])
    source.say([define('b')], [])
    expect(hand.closed).toEqual(['a'])
  })

  it('can say what others found out about the health of a cluster', async () => {
    const { target, a, logged } = await oneCluster()
    const heard: string[] = []
    const leave = target.onHealth(({ state }) => heard.push(state))
    const { revision } = a
    target.learn(UP)
    expect(a.health).toEqual(UP)
    expect(a.revision).toBe(revision + 1)
    target.learn({ ...UP, lastContactAt: 9_000 })
    expect(a.health.lastContactAt).toBe(9_000)
    expect(a.revision).toBe(revision + 1)
    target.learn(DOWN)
    leave()
    target.learn(UP)
    expect(a.revision).toBe(revision + 3)
    expect(heard).toEqual(['UP', 'UP', 'DOWN'])
    expect(logged).toEqual(['a UP', 'a DOWN Error: The owner cannot reach it.', 'a UP'])
  })

  it('is told of every probe of its own session', async () => {
    const { clock, target } = await oneCluster()
    const heard: (number | null)[] = []
    target.onHealth(({ lastContactAt }) => heard.push(lastContactAt))
    const session = target.watch()
    await clock.advance(20_000)
    expect(heard.length).toBeGreaterThan(2)
    expect(heard.at(-1)).toBeGreaterThan(heard[0]!)
    session.close()
  })

  it('may end its session while it is told', async () => {
    const { target, server } = await oneCluster()
    let session: WatchSession | undefined
    target.onHealth(() => session?.close())
    session = target.watch()
    await settled()
    expect(target.health.state).toBe('UP')
    expect(server.streams).toEqual([])
  })

  it('cannot watch twice, nor say what it heard while it watches', async () => {
    const { target } = await oneCluster()
    const session = target.watch()
    expect(() => target.watch()).toThrow(FeedingError)
    expect(() => target.learn(UP)).toThrow(/Cluster a was told its health while it is watched/)
    session.close()
    target.learn(UP)
    target.watch().close()
  })

  it('that ends a session of before does not end the present one', async () => {
    const { target, server } = await oneCluster()
    const before = target.watch()
    before.close()
    target.watch()
    before.close()
    await settled()
    expect(server.open).toHaveLength(ALL_KINDS.length)
    expect(() => target.watch()).toThrow(FeedingError)
  })

  it('begins with a cluster that was defined anew when the one before has been let go', async () => {
    const { source, define, hand } = await oneCluster()
    let release = () => {}
    hand.released = new Promise((resolve) => (release = resolve))
    source.say([define('a', { fingerprint: 'two' }), define('b')], [])
    await settled()
    expect(hand.closed).toEqual(['a'])
    expect(hand.targets.map(({ name }) => name)).toEqual(['a', 'b'])
    // And again, before it had its turn: it is the third that gets it.
    source.say([define('b')], [])
    source.say([define('a', { fingerprint: 'three' }), define('b')], [])
    await settled()
    expect(hand.targets).toHaveLength(2)
    release()
    await settled()
    expect(hand.targets.map(({ name }) => name)).toEqual(['a', 'b', 'a'])
    expect(hand.closed).toEqual(['a'])
  })

  it('knows a cluster by its API server, too, however its credentials change', async () => {
    const { source, define, hand } = await oneCluster()
    const known = hand.target.identity
    const at = (server: string) => () => ({ ...define('a').connect(), server })
    for (const [fingerprint, server] of [
      ['two', 'https://here'],
      ['three', 'https://here'],
      ['four', 'https://elsewhere'],
    ] as const) {
      source.say([define('a', { fingerprint, connect: at(server) })], [])
      await settled()
    }
    const [, here, again, elsewhere] = hand.targets.map(({ identity }) => identity)
    expect(here).toBe(again)
    expect(new Set([known, here, elsewhere]).size).toBe(3)
    expect(hand.targets.map(({ name }) => name)).toEqual(['a', 'a', 'a', 'a'])
  })

  it('that does not let go holds up the end of the fleet, and nothing of its cluster is written', async () => {
    const { clock, fleet, hand, target, server } = await synced()
    let release = () => {}
    hand.released = new Promise((resolve) => (release = resolve))
    let closed = false
    const closing = fleet.close().then(() => (closed = true))
    await settled()
    expect(server.open).toEqual([])
    expect(clock.pending).toBe(0)
    expect(closed).toBe(false)
    target.watch()
    target.learn(DOWN)
    await clock.advance(60_000)
    expect(server.open).toEqual([])
    expect(target.health.state).toBe('UP')
    release()
    await closing
    expect(server.closed).toBe(true)
  })
})

describe('a watch session', () => {
  it('leaves the tables as they are, and no request, slot or timer', async () => {
    const { clock, server, session, target } = await synced()
    session.close()
    session.close()
    expect(server.open).toEqual([])
    expect(clock.pending).toBe(0)
    expect(states(target)).toEqual(new Set(['CURRENT']))
    expect(target.table('Namespace').size).toBe(1)
    server.of('namespaces').events(namespace('late', '8'))
    expect(target.table('Namespace').size).toBe(1)
  })

  it('goes on where the tables are, also where others brought them in between', async () => {
    const { server, session, target } = await synced()
    session.close()
    target.learn(UP)
    const row = project('Namespace')(namespace('media', '12').object, 'a')
    target.table('Namespace').apply({ type: 'Apply', row })
    target.table('Pod').apply({ type: 'Bookmark', resourceVersion: '15' })
    const before = server.streams.length
    target.watch()
    await settled()
    const resumed = server.streams.slice(before).map(({ words }) => words)
    expect(resumed).toHaveLength(ALL_KINDS.length)
    expect(resumed).toContain('watch namespaces from "12"')
    expect(resumed).toContain('watch pods from "15"')
    expect(resumed).toContain('watch nodes from "7"')
    expect(states(target)).toEqual(new Set(['CURRENT']))
    server.of('namespaces').start().events(namespace('search', '16'))
    expect(target.table('Namespace').size).toBe(3)
    expect(target.table('Namespace').status.resourceVersion).toBe('16')
  })

  it('makes tables current again that others had to leave, once it follows them', async () => {
    const { clock, server, session, target } = await synced()
    session.close()
    const problem = { code: 'UNREACHABLE', message: 'Its owner is silent.' } as const
    for (const kind of ALL_KINDS) target.table(kind).apply({ type: 'Down', problem })
    const before = server.streams.length
    target.watch()
    await settled()
    for (const stream of server.streams.slice(before)) stream.start()
    expect(states(target)).toEqual(new Set(['STALE']))
    await clock.advance(1_000)
    expect(states(target)).toEqual(new Set(['CURRENT']))
    expect(target.table('Pod').status.problem).toBe(null)
  })

  it('lists a table anew that others left amid the parts of a later version', async () => {
    const { server, session, target } = await synced()
    session.close()
    const row = project('Namespace')(namespace('media', '12').object, 'a')
    target.table('Namespace').apply({ type: 'Apply', row, resourceVersion: '20', partial: true })
    const before = server.streams.length
    target.watch()
    await settled()
    const resumed = server.streams.slice(before).map(({ words }) => words)
    expect(resumed).toContain('stream namespaces from ""')
    expect(resumed).toContain('watch pods from "7"')
  })

  it('begins anew with tables that have had no content', async () => {
    const { server, target } = await oneCluster()
    const first = target.watch()
    await settled()
    server.of('namespaces').start().events(namespace('shop', '5'))
    first.close()
    expect(states(target)).toEqual(new Set(['SYNCING']))
    target.watch()
    await settled()
    expect(server.open).toContain('stream namespaces from ""')
    server.of('namespaces').start().events(namespace('media', '8'), bookmark('9'))
    const rows = Array.from(target.table('Namespace').rows().all(), ({ name }) => name)
    expect(rows).toEqual(['media'])
  })

  it('leaves nothing of a content that it did not finish, and takes none up', async () => {
    const { server, session, target } = await synced()
    const table = target.table('Namespace')
    server.of('namespaces').events({ type: 'ERROR', object: { code: 410, reason: 'Expired' } })
    server.last.start().events(namespace('half', '20'))
    session.close()
    expect(() => table.apply({ type: 'InitDone', resourceVersion: '20' })).toThrow(/without an Init/)
    // Another writer was not so careful.
    table.apply({ type: 'Init' })
    target.watch()
    await settled()
    expect(() => table.apply({ type: 'InitDone', resourceVersion: '20' })).toThrow(/without an Init/)
    expect(table.size).toBe(1)
  })

  it('asks for nothing as it ends, though turns come free', async () => {
    const { server, target } = await oneCluster({ syncsPerCluster: 2, syncs: 3 })
    const session = target.watch()
    await settled()
    expect(server.streams).toHaveLength(2)
    session.close()
    expect(server.streams).toHaveLength(2)
  })

  it('gives back the turns that it had or waited for', async () => {
    const { source, define, client, hand } = await oneCluster({ syncsPerCluster: 2, syncs: 2 })
    source.say([define('a'), define('b')], [])
    const [a, b] = hand.targets
    const session = a!.watch()
    await settled()
    b!.watch()
    await settled()
    expect(client('a').streams).toHaveLength(2)
    expect(client('b').streams).toEqual([])
    session.close()
    expect(client('a').streams).toHaveLength(2)
    expect(client('a').open).toEqual([])
    expect(client('b').streams).toHaveLength(2)
    a!.watch()
    await settled()
    expect(client('a').open).toEqual([])
    for (const stream of client('b').streams) stream.start().events(bookmark('1'))
    for (let i = 2; i < ALL_KINDS.length; i++) client('b').streams[i]?.start().events(bookmark('1'))
    expect(client('a').open).toHaveLength(2)
  })

  it('counts on from the sessions before it', async () => {
    const { server, session, target, a } = await synced()
    if (!(a instanceof ConnectedCluster)) throw new Error('not a cluster of the fleet')
    const counted = () => a.counters.get('Namespace')
    expect(counted()).toMatchObject({ events: 1, requests: 1, syncs: 1 })
    session.close()
    expect(counted()).toMatchObject({ events: 1, requests: 1, syncs: 1 })
    target.watch()
    await settled()
    server.of('namespaces').start().events(namespace('media', '9'))
    expect(counted()).toMatchObject({ events: 2, requests: 2, syncs: 1 })
  })
})

describe('the first answer of a session', () => {
  it('that fails is checked again where the cluster was known to be up', async () => {
    const { clock, server, target, logged } = await oneCluster()
    target.learn(UP)
    let asked = 0
    server.answer = () => {
      if (asked++ === 0) return Promise.reject(refused)
      return { gitVersion: 'v1.34.1' }
    }
    target.watch()
    await clock.advance(1_500)
    expect(asked).toBeGreaterThan(1)
    expect(logged).toEqual(['a UP'])
    expect(server.open).toHaveLength(ALL_KINDS.length)
  })

  it('that fails twice is believed, and the tables are down', async () => {
    const { clock, server, session, target } = await synced()
    session.close()
    server.answer = () => Promise.reject(refused)
    target.watch()
    await clock.advance(1_500)
    expect(target.health.state).toBe('DOWN')
    expect(states(target)).toEqual(new Set(['STALE']))
    expect(server.open).toEqual([])
  })

  it('that fails is believed at once where nothing was known', async () => {
    const { server, target } = await oneCluster()
    server.answer = () => Promise.reject(refused)
    target.watch()
    await settled()
    expect(target.health.state).toBe('DOWN')
    expect(states(target)).toEqual(new Set(['FAILED']))
  })

  it('that does not come leaves everything as it is', async () => {
    const { server, session, target } = await synced()
    session.close()
    const before = server.streams.length
    server.answer = never
    target.watch()
    await settled()
    expect(server.streams).toHaveLength(before)
    expect(states(target)).toEqual(new Set(['CURRENT']))
    expect(target.health.state).toBe('UP')
  })

  it('that finds a cluster up which others found down resumes its tables', async () => {
    const { server, session, target, logged } = await synced()
    session.close()
    target.learn(DOWN)
    const before = server.streams.length
    target.watch()
    await settled()
    expect(target.health.state).toBe('UP')
    expect(logged.at(-1)).toBe('a UP')
    expect(server.streams.slice(before).map(({ words }) => words)).toContain('watch pods from "7"')
  })
})
