/**
 * Three replicas of the gateway as processes, with a real Redis, over simulated clusters on real sockets:
 * what they cost the API servers, that it does not matter which of them one asks, and what happens when one
 * of them, or Redis, goes away.
 */
import { setTimeout as pace } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { CheckerClient, type CheckerClientOptions } from '../support/checker-client.ts'
import { churn } from '../support/churn.ts'
import { eventually } from '../support/eventually.ts'
import { untilCopiesAreTrue } from '../support/fleet-truth.ts'
import type { KubeJson } from '../support/kubernetes-http.ts'
import { heldBytes } from '../support/process-memory.ts'
import { startRedisServer, type RedisServer } from '../support/redis-server.ts'
import { startReplicaSet, type Replica, type ReplicaSet } from '../support/replica-set.ts'
import { sparePort } from '../support/spare-port.ts'
import {
  kubeconfigDirectory,
  oneWatchPerKind,
  oneWatchPerKindAgain,
  simulatedStormyCluster,
  type StormyCluster,
} from '../support/stormy-cluster.ts'

/** Of the subscriber that does not read: changes that wait for it, rounds of changes, and how many of it. */
const QUEUE = 1024
const ROUNDS = 12
const SLOW = 8
/** What would have to be kept without a bound is three times that, measured. */
const GROWTH = 10 * 1024 * 1024

/** What a test opened, and what all tests of a block share. */
let open: { close(): Promise<unknown> }[]
let shared: { close(): Promise<unknown> }[]
let clusters: readonly StormyCluster[]
let redis: RedisServer
let replicas: ReplicaSet

beforeEach(() => {
  open = []
})

afterEach(async () => {
  for (const each of open.toReversed()) await each.close()
})

function keep<T extends { close(): Promise<unknown> }>(one: T): T {
  open.push(one)
  return one
}

async function start(
  names: readonly string[],
  config: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  shared = []
  const share = <T extends { close(): Promise<unknown> }>(one: T): T => {
    shared.push(one)
    return one
  }
  clusters = await Promise.all(names.map(async (name) => share(await simulatedStormyCluster(name))))
  redis = share(await startRedisServer())
  const { path } = share(kubeconfigDirectory(clusters))
  replicas = share(
    await startReplicaSet({
      redisUrl: redis.url,
      config: { ...config, clusters: [{ type: 'directory', path }] },
    }),
  )
  await untilCurrent()
}

async function stop(): Promise<void> {
  for (const each of shared.toReversed()) await each.close()
}

/** Every replica that runs shows every cluster whole and followed. */
async function untilCurrent(timeoutMs = 30_000): Promise<void> {
  const expected = { total: clusters.length, current: clusters.length }
  await eventually(
    async () => {
      for (const replica of replicas.replicas.filter(({ running }) => running)) {
        expect(await readiness(replica), replica.name).toMatchObject(expected)
      }
    },
    { timeoutMs, everyMs: 100 },
  )
}

async function readiness({ url }: Replica): Promise<Readonly<Record<string, number>>> {
  const answer = await fetch(url.replace('/graphql', '/readyz'))
  return ((await answer.json()) as { clusters: Record<string, number> }).clusters
}

async function client(options: Partial<CheckerClientOptions> = {}): Promise<CheckerClient> {
  const one = keep(new CheckerClient({ name: `client-${open.length}`, urls: replicas.urls, ...options }))
  await one.untilLive()
  return one
}

function create({ http }: StormyCluster, name: string): Promise<KubeJson> {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }
  return http.must(http.post('/api/v1/namespaces/default/configmaps', object))
}

function change({ http }: StormyCluster, name: string, value: string): Promise<unknown> {
  const path = `/api/v1/namespaces/default/configmaps/${name}`
  return http.must(http.patch(path, 'merge', { metadata: { labels: { value } } }))
}

function remove({ http }: StormyCluster, name: string): Promise<unknown> {
  return http.must(http.delete(`/api/v1/namespaces/default/configmaps/${name}`))
}

async function coverage({ gateway }: Replica): Promise<{ state: string; reason: string | null }> {
  const { configMaps } = await gateway.query<{
    configMaps: { coverage: readonly { state: string; reason: string | null }[] }
  }>('{ configMaps(first: 1) { coverage { state reason } } }')
  return configMaps.coverage[0]!
}

/** Makes, changes and removes objects one after the other, some 50 a second; some stay. */
async function flutter(cluster: StormyCluster, signal: AbortSignal): Promise<void> {
  for (let turn = 0; !signal.aborted; turn += 1) {
    await create(cluster, `flutter-${turn}`)
    if (turn % 2 === 0) await change(cluster, `flutter-${turn}`, 'changed')
    if (turn >= 5 && turn % 3 !== 0) await remove(cluster, `flutter-${turn - 5}`)
    await pace(50, undefined, { signal }).catch(() => undefined)
  }
}

const LISTS = ['nodes', 'namespaces', 'pods', 'services', 'configMaps', 'deployments', 'events'] as const

/** Of each list all that it holds, as one replica shows it. */
async function shown({ gateway }: Replica): Promise<unknown> {
  return gateway.query(
    `{ ${LISTS.map(
      (list) => `${list}(first: 500) {
        totalCount nodes { id uid resourceVersion } coverage { cluster state reason }
      }`,
    ).join('\n')} }`,
  )
}

async function expectSameAnswers(): Promise<void> {
  await eventually(
    async () => {
      const [first, ...others] = await Promise.all(replicas.replicas.map(shown))
      for (const other of others) expect(other).toEqual(first)
    },
    { timeoutMs: 30_000, everyMs: 100 },
  )
}

describe('three replicas with a Redis', () => {
  beforeAll(() => start(['east', 'west'], { redis: { graceSeconds: 5 } }))
  afterAll(stop)

  it('watch each kind of each cluster once, however many subscribe, also when the owner is killed', async () => {
    const clients = await Promise.all(
      Array.from({ length: 30 }, (_, index) => client({ first: index, kinds: ['Pod', 'ConfigMap'] })),
    )
    for (const cluster of clusters) await oneWatchPerKind(cluster, 5_000)

    const [east] = clusters as [StormyCluster]
    const owner = await replicas.ownerOf(east.name)
    await owner.kill()
    for (const cluster of clusters) await oneWatchPerKindAgain(cluster, replicas, 15_000)
    expect(await replicas.ownerOf(east.name)).not.toBe(owner)

    await create(east, 'after-the-owner')
    for (const one of clients) {
      await one.until(
        ({ copy }) => holds(copy, 'after-the-owner'),
        'the object that was made after the owner died',
      )
      expect(one.surprises).toEqual([])
    }
    await owner.start()
    await untilCurrent()
    for (const cluster of clusters) await oneWatchPerKind(cluster, 30_000)
  })

  it('answer alike, object by object', async () => {
    await Promise.all(
      clusters.map(({ http }, index) => churn({ http, seconds: 2, ratePerSecond: 40, seed: index })),
    )
    await expectSameAnswers()
  })

  it('go on with a subscription of another replica, without a RESYNC and with nothing twice', async () => {
    const [east, west] = clusters as [StormyCluster, StormyCluster]
    for (const name of ['kept', 'changed', 'removed']) await create(east, name)
    const first = await client({ first: 0, kinds: ['ConfigMap'] })
    await first.until(({ copy }) => holds(copy, 'removed'), 'what was made before')
    await first.close()

    await change(east, 'changed', 'yes')
    await remove(east, 'removed')
    await create(west, 'made')
    const second = await client({ first: 1, kinds: ['ConfigMap'], after: first.cursor! })
    expect(second.counts).toMatchObject({ resyncs: 0, synced: 1 })
    expect([...second.copy.values()].map(({ name }) => name).toSorted()).toEqual(['changed', 'made'])
    // ADDED, MODIFIED, DELETED and SYNCED: what a client without a copy takes for repeated are the latter two.
    expect(second.counts).toMatchObject({ events: 4, replayed: 2 })
  })

  it('take the cursor of a list, from whichever replica, as the place to go on from', async () => {
    const [east] = clusters as [StormyCluster]
    const [first, second, third] = replicas.replicas as [Replica, Replica, Replica]
    for (const replica of [first, second]) {
      const name = `made-after-${replica.name}`
      const { configMaps } = await replica.gateway.query<{ configMaps: { cursor: string } }>(
        '{ configMaps { cursor } }',
      )
      await create(east, name)
      const follower = await client({
        first: replicas.replicas.indexOf(third),
        kinds: ['ConfigMap'],
        after: configMaps.cursor,
      })
      await follower.until(({ copy }) => holds(copy, name), 'what was made after the list')
      expect(follower.copy.size).toBe(1)
      expect(follower.counts.resyncs).toBe(0)
    }
  })

  it('can be restarted one after the other under a subscriber that misses nothing', async () => {
    const kinds = ['ConfigMap']
    const subscriber = await client({ kinds })
    const witness = await Promise.all(clusters.map(async (cluster) => keep(await cluster.witness())))
    const calm = new AbortController()
    const fluttering = clusters.map((cluster) => flutter(cluster, calm.signal))
    try {
      for (const replica of replicas.replicas) {
        expect(await replica.stop()).toBe(0)
        await subscriber.untilLive()
        await replica.start()
        await untilCurrent()
      }
    } finally {
      calm.abort()
    }
    await Promise.all(fluttering)
    await untilCopiesAreTrue([subscriber], clusters)
    expect(subscriber.surprises).toEqual([])
    expect(subscriber.counts.connections).toBeGreaterThan(1)
    // Each replica that it moves to has been there for a while: all of it can be resumed.
    expect(subscriber.counts.resyncs).toBe(0)
    const gone = witness.flatMap((each) => [...each.gone.keys()]).filter((uid) => subscriber.known.has(uid))
    expect(new Set(subscriber.deleted.map(({ uid }) => uid))).toEqual(new Set(gone))
    for (const cluster of clusters) await oneWatchPerKind(cluster, 30_000)
  })

  it('answer without Redis, say what is stale, watch by themselves after the grace, and hand back', async () => {
    const [east] = clusters as [StormyCluster]
    const subscribers = await Promise.all(replicas.urls.map((_, first) => client({ first })))
    const owner = await replicas.ownerOf(east.name)
    const followers = replicas.replicas.filter((replica) => replica !== owner)

    await redis.kill()
    await create(east, 'while-away')
    await eventually(
      async () => {
        for (const follower of followers) {
          expect(await coverage(follower)).toMatchObject({ state: 'STALE', reason: expect.any(String) })
        }
      },
      { timeoutMs: 15_000, everyMs: 50 },
    )
    expect(await coverage(owner)).toEqual({ state: 'CURRENT', reason: null })

    await eventually(
      async () => {
        const watches = await east.watches()
        expect(new Set(Object.values(watches))).toEqual(new Set([replicas.replicas.length]))
      },
      { timeoutMs: 30_000, everyMs: 100 },
    )
    await untilCurrent()
    await expectSameAnswers()
    for (const one of subscribers) await one.until(({ copy }) => holds(copy, 'while-away'), 'the change')

    await redis.start()
    await oneWatchPerKind(east, 30_000)
    await create(east, 'handed-back')
    for (const one of subscribers) {
      await one.until(({ copy }) => holds(copy, 'handed-back'), 'the change after the hand-back')
      expect(one.surprises).toEqual([])
      expect(one.counts).toMatchObject({ connections: 1, resyncs: 0 })
    }
    await untilCurrent()
    await expectSameAnswers()
  })

  it('leave nothing behind when they end: no watch, no connection to Redis, no key without an end', async () => {
    const inspector = new Redis(redis.url)
    keep({ close: () => inspector.quit() })
    const forever = async (): Promise<string[]> => {
      const keys = await inspector.keys('*')
      const ends = await Promise.all(keys.map(async (key) => [key, await inspector.pttl(key)] as const))
      return ends.filter(([, left]) => left === -1).map(([key]) => key)
    }
    const own = (await inspector.client('LIST')) as string
    expect(own.trim().split('\n').length).toBeGreaterThan(replicas.replicas.length)
    expect(await forever()).toEqual([])

    for (let times = 0; times < 2; times += 1) {
      const subscribers = await Promise.all(replicas.urls.map((_, first) => client({ first })))
      for (const one of subscribers) await one.close()
      expect(await replicas.close()).toEqual([0, 0, 0])
      await eventually(async () => {
        for (const cluster of clusters) expect(await cluster.watches()).toEqual({})
        expect(((await inspector.client('LIST')) as string).trim().split('\n')).toHaveLength(1)
        expect(await inspector.pubsub('CHANNELS')).toEqual([])
      })
      expect(await forever()).toEqual([])
      for (const replica of replicas.replicas) await replica.start()
      await untilCurrent()
    }
  })
})

describe('a subscriber that does not read', () => {
  let inspectPort: number
  beforeAll(async () => {
    inspectPort = await sparePort()
    vi.stubEnv('NODE_OPTIONS', `--inspect-port=${inspectPort}`)
    await start(['east'], { live: { queue: QUEUE, keepAliveSeconds: 300 } })
    vi.unstubAllEnvs()
  })
  afterAll(stop)

  it('disturbs nobody, is not kept for without bounds, and is put right with a RESYNC', async () => {
    const [east] = clusters as [StormyCluster]
    // Long names make large events: more than the system's own buffers of a socket take.
    const names = Array.from({ length: 1.5 * QUEUE }, (_, index) => `${'long-'.repeat(45)}${index}`)
    for (const name of names) await create(east, name)
    // On one replica, and not the owner, whose work differs.
    const owner = await replicas.ownerOf(east.name)
    const first = replicas.replicas.findIndex((replica) => replica !== owner)
    const { pid } = replicas.replicas[first]!.gateway
    const follower = (): Promise<CheckerClient> => client({ first, kinds: ['ConfigMap'] })
    const quick = await follower()

    /** Until the quick one has the last change of each. */
    const load = async (rounds: number, label: string): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) {
        for (let index = 0; index < names.length; index += 32) {
          const some = names.slice(index, index + 32)
          await Promise.all(some.map((name) => change(east, name, `${label}-${round}`)))
        }
      }
      await untilCopiesAreTrue([quick], [east])
    }
    await load(1, 'warm')
    const slow = await Promise.all(Array.from({ length: SLOW }, follower))
    const before = await heldBytes(pid, inspectPort)
    for (const one of slow) one.pause()
    await load(ROUNDS, 'slow')
    const grown = (await heldBytes(pid, inspectPort)) - before
    console.log(`memory while ${SLOW} readers stood still: ${(grown / 1024 / 1024).toFixed(1)} MB more`)
    expect(grown).toBeLessThan(GROWTH)

    for (const one of slow) one.resume()
    await untilCopiesAreTrue([quick, ...slow], [east])
    expect(quick.counts).toMatchObject({ connections: 1, resyncs: 0 })
    for (const one of slow) {
      expect(one.counts.connections).toBe(1)
      expect(one.counts.resyncs).toBeGreaterThan(0)
    }
    for (const one of [quick, ...slow]) expect(one.surprises).toEqual([])
  })
})

function holds(copy: CheckerClient['copy'], wanted: string): boolean {
  for (const { name } of copy.values()) if (name === wanted) return true
  return false
}
