import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FORMAT } from '../../../src/events/redis/keys.ts'
import {
  Replication,
  type ReplicationOptions,
  type ReplicationState,
} from '../../../src/events/redis/replication.ts'
import type { FeedingSession } from '../../../src/fleet/feeding.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeCluster } from '../../support/fake-fleet.ts'
import { type RedisServer, startRedisCluster, startRedisServer } from '../../support/redis-server.ts'
import { startLine } from './line.ts'

vi.setConfig({ testTimeout: 30_000 })

/** A tenth of the real ones and less, in the same proportions. */
const TIMES = {
  leaseMs: 900,
  renewMs: 300,
  pollMs: 80,
  commandMs: 450,
  turnMs: 40,
  settleMs: 60,
  vacancyMs: 180,
  returnMs: 450,
  rebalanceMs: 250,
  // Of a heartbeat a second.
  silentMs: 2_500,
  awayMs: 750,
  probeMs: 150,
  reconnectMs: 150,
  patienceMs: 450,
} satisfies ReplicationOptions['times']
const GRACE_MS = 500

const NINE = Array.from({ length: 9 }, (_, i) => `cluster-${i}`)

class Replica {
  readonly replication: Replication
  readonly clusters: ReadonlyMap<string, FakeCluster>
  readonly sessions: readonly FeedingSession[]
  /** Clusters that became this replica's, in order. */
  readonly gained: string[] = []
  readonly errors: string[] = []

  constructor(name: string, names: readonly string[], options: Partial<ReplicationOptions> = {}) {
    this.replication = new Replication({
      url: redis.url,
      prefix: 'test',
      replica: name,
      graceMs: GRACE_MS,
      times: TIMES,
      onOwner: (cluster, owned) => owned && this.gained.push(cluster),
      onError: (error) => this.errors.push(error.message),
      ...options,
    })
    this.clusters = new Map(names.map((cluster) => [cluster, new FakeCluster(cluster)]))
    this.sessions = [...this.clusters.values()].map((cluster) => this.replication.feeding(cluster))
    for (const [cluster, target] of this.clusters) {
      const watch = target.watch.bind(target)
      target.watch = () => {
        const watchers = replicas.filter((other) => other.watched(cluster))
        if (!mayOverlap && watchers.length > 0) overlaps.push(cluster)
        return watch()
      }
    }
    replicas.push(this)
  }

  watched(cluster: string): boolean {
    return this.clusters.get(cluster)?.watched === true
  }

  get owned(): readonly string[] {
    return this.replication.state.owned
  }

  close(): Promise<void> {
    return this.replication.close()
  }
}

let redis: RedisServer
let replicas: Replica[] = []
/** Clusters that began to be watched while somebody else still watched them. */
let overlaps: string[] = []
let mayOverlap = false

beforeEach(async () => {
  replicas = []
  overlaps = []
  mayOverlap = false
  redis = await startRedisServer()
})

afterEach(async () => {
  redis.thaw()
  await Promise.all(replicas.map((replica) => replica.close()))
  await redis.close()
  expect(overlaps).toEqual([])
})

/** Waits until each of these replicas owns so many, each cluster is watched once, and by its owner. */
async function settled(counts: readonly number[], names: readonly string[], ...among: readonly Replica[]) {
  await eventually(
    () => {
      expect(among.map(({ owned }) => owned.length)).toEqual(counts)
      expectOneWatchEach(names, among)
    },
    { timeoutMs: 15_000 },
  )
}

/** Waits until two replicas share the nine clusters. */
async function shared(two: readonly Replica[]) {
  await eventually(() => {
    expect(Math.abs((two[0]?.owned.length ?? 0) - (two[1]?.owned.length ?? 0))).toBe(1)
    expectOneWatchEach(NINE)
  })
}

function expectOneWatchEach(names: readonly string[], among: readonly Replica[] = replicas) {
  for (const name of names) {
    const watchers = among.filter((replica) => replica.watched(name))
    expect(watchers.length, name).toBe(1)
    expect(watchers[0]?.owned, name).toContain(name)
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)

describe('who watches', () => {
  it('is the first replica for all clusters, and nobody before Redis has decided', async () => {
    const first = new Replica('first', NINE)
    expect(NINE.some((name) => first.watched(name))).toBe(false)
    await settled([9], NINE, first)
    expect(first.replication.state).toMatchObject({ redis: { status: 'READY' }, replicas: 1, followed: [] })
  })

  it('is shared evenly by replicas that start together', async () => {
    const three = ['one', 'two', 'three'].map((name) => new Replica(name, NINE))
    await settled([3, 3, 3], NINE, ...three)
  })

  it('moves no more leases than needed when a replica joins and when one leaves', async () => {
    const three = ['one', 'two', 'three'].map((name) => new Replica(name, NINE))
    await settled([3, 3, 3], NINE, ...three)
    const before = sum(three.map(({ gained }) => gained.length))

    const fourth = new Replica('four', NINE)
    await eventually(() => expect(fourth.owned.length).toBe(2), { timeoutMs: 15_000 })
    // Longer than a move takes: nothing else moves.
    await passed(3 * TIMES.rebalanceMs)
    expect(fourth.gained.length).toBe(2)
    expect(sum(three.map(({ gained }) => gained.length))).toBe(before)
    expectOneWatchEach(NINE)

    const [leaving, ...staying] = three
    const left = leaving?.owned ?? []
    const kept = [...staying, fourth].map(({ owned }) => owned)
    await leaving?.close()
    await eventually(() => expectOneWatchEach(NINE), { timeoutMs: 15_000 })
    await eventually(() => expect([...staying, fourth].map(({ owned }) => owned.length)).toEqual([3, 3, 3]), {
      timeoutMs: 15_000,
    })
    const moves = sum(
      [...staying, fourth].map(({ owned }, i) => owned.filter((name) => !kept[i]?.includes(name)).length),
    )
    expect(moves).toBe(left.length)
  })

  it('is another replica at once when one closes', async () => {
    // Were the leases not released, nobody would get them while this test runs.
    const times = { ...TIMES, leaseMs: 60_000, rebalanceMs: 60_000 }
    const first = new Replica('first', NINE, { times })
    await settled([9], NINE, first)
    const second = new Replica('second', NINE, { times })
    await eventually(() => expect(second.replication.state.replicas).toBe(2))
    await first.close()
    await settled([9], NINE, second)
  })

  it('is another replica when one dies without a word', async () => {
    const line = await startLine(redis.port)
    const first = new Replica('first', NINE, { url: `redis://127.0.0.1:${line.port}` })
    await settled([9], NINE, first)
    const second = new Replica('second', NINE, { times: { ...TIMES, rebalanceMs: 60_000 } })
    await eventually(() => expect(second.replication.state.replicas).toBe(2))
    mayOverlap = true
    line.cut()
    await settled([9], NINE, second)
    // It was not dead after all: it hands over to who has the leases now.
    line.mend()
    await eventually(() => expectOneWatchEach(NINE))
    expect(second.owned.length).toBe(9)
    await line.close()
  })

  it('is who has the lease, however often one is told that it has not', async () => {
    const first = new Replica('first', ['one'])
    await settled([1], ['one'], first)
    const second = new Replica('second', ['one'])
    await eventually(() => expect(second.replication.state.replicas).toBe(2))
    mayOverlap = true
    await redis.ask(async (client) => {
      const [key] = await client.keys('*:lease')
      await client.set(key ?? '', 'somebody~else/x', 'PX', 400)
    })
    await eventually(() => expect(replicas.some((replica) => replica.watched('one'))).toBe(false))
    await eventually(() => expectOneWatchEach(['one']))
  })

  it('is somebody for each cluster also where replicas know different ones', async () => {
    const first = new Replica('first', ['a', 'b', 'c', 'd', 'only-first'])
    const second = new Replica('second', ['a', 'b', 'c', 'd', 'x', 'y', 'z'])
    await eventually(() => expectOneWatchEach(['a', 'b', 'c', 'd', 'only-first', 'x', 'y', 'z']), {
      timeoutMs: 15_000,
    })
    await settled([4, 4], ['a', 'b', 'c', 'd', 'only-first', 'x', 'y', 'z'], first, second)
  })

  it('is a matter of each API server, where replicas know different ones by the same name', async () => {
    const old = new Replica('old', ['one'])
    await settled([1], ['one'], old)
    const moved = new FakeCluster('one', {}, 'one~elsewhere')
    const told = new Replica('told', [])
    const session = told.replication.feeding(moved)
    await eventually(() => expect(moved.watched).toBe(true))
    expect(told.owned).toEqual(['one'])
    expect(old.watched('one')).toBe(true)
    // Nothing of the other was gone on with.
    expect(moved.table('Pod').status.state).toBe('SYNCING')
    await session.close()
    expect(moved.watched).toBe(false)
  })

  it('is a matter of each prefix', async () => {
    // And of each format: it is a part of every key.
    const here = new Replica('here', ['one'])
    const there = new Replica('there', ['one'], { prefix: 'other' })
    mayOverlap = true
    await eventually(() => {
      expect(here.owned).toEqual(['one'])
      expect(there.owned).toEqual(['one'])
    })
    expect(here.replication.state.replicas).toBe(1)
    expect(there.replication.state.replicas).toBe(1)
    const keys = await redis.ask((client) => client.keys('*'))
    expect(keys.filter((key) => !/^(test|other):/.test(key) || !key.includes(`:${FORMAT}:`))).toEqual([])
  })

  it('ends for a cluster that leaves the fleet, and is another replica then', async () => {
    const first = new Replica('first', ['one'])
    await settled([1], ['one'], first)
    const second = new Replica('second', ['one'])
    await eventually(() => expect(second.replication.state.replicas).toBe(2))
    await first.sessions[0]?.close()
    expect(first.watched('one')).toBe(false)
    expect(first.replication.state).toMatchObject({ owned: [], followed: [] })
    await settled([1], ['one'], second)
  })
})

describe('Redis away', () => {
  it('is nothing to an owner, and followers watch by themselves after the grace until it is back', async () => {
    const two = ['one', 'two'].map((name) => new Replica(name, NINE))
    await shared(two)
    const before = two.map(({ owned }) => owned)
    redis.freeze()
    mayOverlap = true
    await eventually(() => {
      for (const replica of two) expect(NINE.every((name) => replica.watched(name))).toBe(true)
    })
    expect(two.map(({ owned }) => owned)).toEqual(before)
    expect(two[0]?.replication.state).toMatchObject({ redis: { status: 'AWAY' }, direct: before[1] })
    redis.thaw()
    await eventually(() => {
      expectOneWatchEach(NINE)
      for (const replica of two) expect(replica.replication.state.redis.status).toBe('READY')
    })
  })

  it('for less than the grace moves nothing', async () => {
    const two = ['one', 'two'].map((name) => new Replica(name, NINE, { graceMs: 60_000 }))
    await shared(two)
    const before = two.map(({ owned }) => owned)
    redis.freeze()
    await eventually(() => expect(two[0]?.replication.state.redis.status).toBe('AWAY'))
    expect(two.flatMap(({ replication }) => replication.state.direct)).toEqual([])
    redis.thaw()
    await eventually(() =>
      expect(two.every(({ replication }) => replication.state.redis.status === 'READY')).toBe(true),
    )
    await eventually(() => expectOneWatchEach(NINE))
    expect(two.map(({ owned }) => owned)).toEqual(before)
  })

  it('and back without its data: owners have their leases again', async () => {
    const two = ['one', 'two'].map((name) => new Replica(name, NINE, { graceMs: 60_000 }))
    await shared(two)
    const before = two.map(({ owned }) => owned)
    await redis.kill()
    await redis.start()
    await eventually(async () => {
      expect((await redis.ask((client) => client.keys('*:lease'))).length).toBe(9)
      expectOneWatchEach(NINE)
    })
    expect(two.map(({ owned }) => owned)).toEqual(before)
  })

  it('from the beginning: everybody watches after the grace, and one when it comes', async () => {
    await redis.kill()
    mayOverlap = true
    const told: string[] = []
    const onState = ({ redis: { status } }: ReplicationState) => told.push(status)
    const two = ['one', 'two'].map((name) => new Replica(name, ['a', 'b'], { onState }))
    expect(told).toEqual([])
    expect(two.some((replica) => replica.watched('a'))).toBe(false)
    await eventually(() => {
      for (const replica of two) expect(replica.replication.state.direct).toEqual(['a', 'b'])
    })
    expect(two.every((replica) => replica.watched('a') && replica.watched('b'))).toBe(true)
    await eventually(() => expect(new Set(told)).toEqual(new Set(['AWAY'])))
    await redis.start()
    await eventually(() => expectOneWatchEach(['a', 'b']))
    expect(told.at(-1)).toBe('READY')
  })

  it('full: nobody can renew a lease nor publish, so that everybody watches until there is room', async () => {
    const two = ['one', 'two'].map((name) => new Replica(name, NINE))
    await shared(two)
    mayOverlap = true
    await redis.ask((client) => client.config('SET', 'maxmemory', '1'))
    await eventually(() => {
      for (const replica of two) expect(NINE.every((name) => replica.watched(name))).toBe(true)
    })
    const late = new Replica('late', ['cluster-0'])
    await eventually(() => expect(late.replication.state.direct).toEqual(['cluster-0']))
    expect(late.errors.join('\n')).toContain('OOM')
    await redis.ask((client) => client.config('SET', 'maxmemory', '0'))
    await eventually(() => expectOneWatchEach(NINE))
  })
})

describe('a Redis that lets an owner keep its lease, but not say anything', () => {
  it('is as good as none: everybody watches, until something is heard again', async () => {
    const two = ['one', 'two'].map((name) => new Replica(name, NINE))
    await shared(two)
    const before = two.map(({ owned }) => owned)
    mayOverlap = true
    await redis.ask((client) => client.acl('SETUSER', 'default', '-publish'))
    await eventually(
      () => {
        for (const replica of two) expect(NINE.every((name) => replica.watched(name))).toBe(true)
      },
      { timeoutMs: 15_000 },
    )
    expect(two.map(({ owned }) => owned)).toEqual(before)
    expect(two[0]?.errors.join()).toContain('could not be published')
    await redis.ask((client) => client.acl('SETUSER', 'default', '+publish'))
    await eventually(() => expectOneWatchEach(NINE))
    expect(two.map(({ owned }) => owned)).toEqual(before)
  })
})

describe('on a Redis Cluster', () => {
  it('leases are shared, moved and released as on one server', async () => {
    const cluster = await startRedisCluster()
    try {
      const two = ['one', 'two'].map((name) => new Replica(name, NINE, { url: cluster.url }))
      await shared(two)
      const third = new Replica('three', NINE, { url: cluster.url })
      await settled([3, 3, 3], NINE, ...two, third)
      await third.close()
      await shared(two)
      await Promise.all(two.map((replica) => replica.close()))
      for (const node of cluster.nodes) {
        expect(await node.ask((client) => client.keys('*:lease'))).toEqual([])
        expect(await node.ask((client) => client.keys('*members*'))).toEqual([])
        await eventually(async () =>
          expect(
            clientNames(String(await node.ask((client) => client.client('LIST')))).filter(isOurs),
          ).toEqual([]),
        )
      }
    } finally {
      await Promise.all(replicas.map((replica) => replica.close()))
      await cluster.close()
    }
  })
})

describe('afterwards', () => {
  it('nothing is left: no lease, no member, no connection', async () => {
    const two = ['one', 'two'].map((name) => new Replica(name, NINE))
    await eventually(() => expectOneWatchEach(NINE), { timeoutMs: 15_000 })
    await Promise.all(two.map((replica) => replica.close()))
    await redis.ask(async (client) => {
      expect(await client.keys('*:lease')).toEqual([])
      expect(await client.keys('*members*')).toEqual([])
      expect(clientNames(String(await client.client('LIST')))).toEqual(['test'])
    })
    expect(replicas.some((replica) => NINE.some((name) => replica.watched(name)))).toBe(false)
  })

  it('nothing is left when Redis was away, either', async () => {
    const one = new Replica('one', NINE)
    await settled([9], NINE, one)
    redis.freeze()
    await one.close()
    expect(NINE.some((name) => one.watched(name))).toBe(false)
    redis.thaw()
    await redis.ask(async (client) => {
      await eventually(async () => {
        expect(clientNames(String(await client.client('LIST')))).toEqual(['test'])
        expect(await client.keys('*:lease')).toEqual([])
      })
    })
  })
})

const isOurs = (name: string) => name.includes('fleetgraph')

function clientNames(list: string): string[] {
  return [...list.matchAll(/ name=(\S*)/g)].map(([, name]) => name ?? '')
}

/** Not to wait for something, but for nothing to happen. */
function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
