import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { connectRedis, type RedisConnection } from '../../src/events/redis/connection.ts'
import { type Clock, systemClock } from '../../src/fleet/clock.ts'
import { unpack } from '../../src/writes/kept.ts'
import { LeaseLost, type OperationStore, StoreAway } from '../../src/writes/operation.ts'
import { redisOperationStore } from '../../src/writes/redis-operation-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  type RedisCluster,
  type RedisServer,
  startRedisCluster,
  startRedisServer,
} from '../support/redis-server.ts'
import {
  ALICE,
  BEGUN,
  BOB,
  CONFIG_MAP,
  describeOperationStore,
  DONE,
  headOf,
  must,
  progressOf,
  resultOf,
  SECRET,
  secretOf,
  stepOf,
} from './operation-store.contract.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedisServer()
})
afterAll(() => redis.close())

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  redis.thaw()
  for (const close of closing.splice(0)) await close()
  await redis.ask((client) => client.flushall())
})

interface Replica {
  readonly store: OperationStore
  readonly connection: RedisConnection
}

interface ReplicaOptions {
  readonly url?: string
  readonly clock?: Clock
  readonly leaseMs?: number
  readonly maxOfOwner?: number
  readonly commandTimeoutMs?: number
}

async function replica({ url = redis.url, ...options }: ReplicaOptions = {}): Promise<Replica> {
  const { clock = systemClock, commandTimeoutMs = 2_000, ...limits } = options
  const connection = connectRedis(url, {
    clock: systemClock,
    prefix: 'test',
    probeMs: 50,
    awayMs: 30_000,
    reconnectMs: 50,
    commandTimeoutMs,
  })
  const store = redisOperationStore({ connection, clock, ...limits })
  closing.push(async () => {
    await store.close()
    await connection.close()
  })
  await vi.waitFor(() => expect(connection.state.status).toBe('READY'), 10_000)
  return { store, connection }
}

describeOperationStore('in Redis', async () => {
  const [{ store }, { store: other }] = [await replica(), await replica()]
  return { store, other, close: async () => {} }
})

describe('on a Redis Cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startRedisCluster()
  })
  afterAll(() => cluster.close())

  describeOperationStore('in a Redis Cluster', async () => {
    const [{ store }, { store: other }] = [
      await replica({ url: cluster.url }),
      await replica({ url: cluster.url }),
    ]
    const close = async () => {
      for (const node of cluster.nodes) await node.ask((client) => client.flushall())
    }
    return { store, other, close }
  })

  it('operations lie on all of its nodes', async () => {
    const { store } = await replica({ url: cluster.url })
    for (let i = 0; i < 30; i++) await must(store.create(headOf(`spread-${i}`)))
    const sizes = await Promise.all(cluster.nodes.map((node) => node.ask((client) => client.dbsize())))
    expect(sizes.every((size) => size > 5)).toBe(true)
  })
})

const keysOf = (id: string) => ({
  record: `test:operations.1:{${id}}:record`,
  lease: `test:operations.1:{${id}}:lease`,
  channel: `test:operations.1:{${id}}:changes`,
})
const OPEN = 'test:operations.1:{open}'
const ALL = 'test:operations.1:{all}'

describe('the lease of an operation', () => {
  it('is renewed for as long as it is held', async () => {
    const { store } = await replica({ leaseMs: 600 })
    const lease = await must(store.create(headOf('a')))
    let renewals = 0
    let last = Infinity
    await redis.ask((client) =>
      vi.waitFor(
        async () => {
          const left = await client.pttl(keysOf('a').lease)
          expect(left).toBeGreaterThan(0)
          if (left > last) renewals++
          last = left
          expect(renewals).toBeGreaterThanOrEqual(4)
        },
        { timeout: 10_000, interval: 10 },
      ),
    )
    expect(lease.signal.aborted).toBe(false)
    await lease.step('0', BEGUN)
  })

  it('ends for a holder that is frozen, which writes nothing any more', async () => {
    // Its time stands still: it renews nothing, and believes that it holds the lease.
    const clock = new FakeClock()
    const { store } = await replica({ clock, leaseMs: 300 })
    const { store: other } = await replica()
    const lease = await must(store.create(headOf('a')))
    await lease.step('0', BEGUN)
    const next = await vi.waitFor(() => must(other.takeOver('a')), 5_000)
    await next.step('0', DONE)
    expect(lease.signal.aborted).toBe(false)
    await expect(lease.step('0', BEGUN)).rejects.toThrow('another replica drives it now')
    expect(lease.signal.reason).toBeInstanceOf(LeaseLost)
    await expect(lease.progress(progressOf())).rejects.toBeInstanceOf(LeaseLost)
    expect((await other.read('a'))?.steps.get('0')).toEqual(DONE)
    await next.step('1', BEGUN)
    expect(clock.pending).toBe(0)
  })

  it('is lost here when Redis does not answer, no later than in Redis', async () => {
    const { store } = await replica({ leaseMs: 600 })
    const lease = await must(store.create(headOf('a')))
    redis.freeze()
    await vi.waitFor(() => expect(lease.signal.aborted).toBe(true), { timeout: 5_000, interval: 5 })
    expect(String(lease.signal.reason)).toContain('did not answer')
    await expect(lease.step('0', BEGUN)).rejects.toBeInstanceOf(LeaseLost)
  })

  it('lasts through an outage that is shorter, whose writes fail', async () => {
    const clock = new FakeClock()
    const { store, connection } = await replica({ clock, commandTimeoutMs: 100 })
    const lease = await must(store.create(headOf('a')))
    redis.freeze()
    await expect(lease.step('0', BEGUN)).rejects.toBeInstanceOf(StoreAway)
    await clock.advance(2_500)
    redis.thaw()
    await vi.waitFor(() => connection.commands.ping())
    await lease.step('0', DONE)
    expect(lease.signal.aborted).toBe(false)
    expect((await store.read('a'))?.steps.get('0')).toEqual(DONE)
  })

  it('is lost with the operation when Redis loses its data, and says so', async () => {
    const { store } = await replica()
    const lease = await must(store.create(headOf('a')))
    await redis.ask((client) => client.flushall())
    await expect(lease.step('0', BEGUN)).rejects.toThrow('Redis has it no more')
    expect(lease.signal.aborted).toBe(true)
    expect(await store.read('a')).toBeUndefined()
    expect(await store.orphans()).toEqual([])
  })

  it('is lost when Redis is started anew', async () => {
    const { store } = await replica({ leaseMs: 3_000 })
    const lease = await must(store.create(headOf('a')))
    await redis.kill()
    await redis.start()
    await vi.waitFor(() => expect(lease.signal.aborted).toBe(true), 10_000)
    expect(lease.signal.reason).toBeInstanceOf(LeaseLost)
    expect(await store.read('a')).toBeUndefined()
  })

  it('lets no write of its own be executed after later ones', async () => {
    const { store, connection } = await replica()
    const lease = await must(store.create(headOf('a')))
    await lease.step('0', BEGUN)
    const { record, lease: key, channel } = keysOf('a')
    const [token, late] = await redis.ask(async (client) => [
      await client.get(key),
      await client.hget(record, 'step:0'),
    ])
    await lease.step('0', DONE)
    const args = [record, key, token!, '6000', '60000', 'PUBLISH', channel, '1', 'step:0', late!, '']
    const answer = await connection.commands.fleetgraphOperationWrite(2, ...args)
    expect(answer).toBe('LATE')
    expect((await store.read('a'))?.steps.get('0')).toEqual(DONE)
  })

  it('is given back by a store that is closed', async () => {
    const { store } = await replica()
    const { store: other } = await replica()
    const lease = await must(store.create(headOf('a')))
    await store.close()
    expect(await other.orphans()).toEqual(['a'])
    await expect(lease.step('0', BEGUN)).rejects.toBeInstanceOf(LeaseLost)
    await must(other.takeOver('a'))
  })
})

describe('the creation of an operation', () => {
  it('that Redis executes after its sender gave up counts for nothing, and can be tried again', async () => {
    const { store } = await replica({ commandTimeoutMs: 100 })
    const { store: other } = await replica()
    redis.freeze()
    await expect(store.create(headOf('a'))).rejects.toThrow('Nothing was begun')
    redis.thaw()
    // It is executed now.
    await redis.ask((client) =>
      vi.waitFor(async () => expect(await client.exists(keysOf('a').record)).toBe(1)),
    )
    expect(await other.read('a')).toBeUndefined()
    expect(await other.list(undefined, 10)).toEqual([])
    expect(await other.orphans()).toEqual([])
    expect(await other.takeOver('a')).toBeUndefined()
    await redis.ask(async (client) => expect(await client.pttl(keysOf('a').record)).toBeLessThan(60_001))
    const lease = await must(store.create(headOf('a', { createdAt: 5 })))
    await lease.step('0', BEGUN)
    expect(await other.read('a')).toMatchObject({ createdAt: 5 })
  })

  it('of which it is not known whether it counts says so, and is gone on with by another', async () => {
    const { store, connection } = await replica({ commandTimeoutMs: 100, leaseMs: 500 })
    const { store: other } = await replica()
    const { commands } = connection
    const confirm = commands.fleetgraphOperationConfirm.bind(commands)
    vi.spyOn(commands, 'fleetgraphOperationConfirm').mockImplementationOnce((...args) => {
      redis.freeze()
      return confirm(...args)
    })
    await expect(store.create(headOf('a'))).rejects.toThrow(
      /operation a was being kept: it may be carried out/,
    )
    redis.thaw()
    await vi.waitFor(async () => expect(await other.orphans()).toEqual(['a']), 10_000)
    expect(await store.create(headOf('a'))).toBeUndefined()
    await must(other.takeOver('a'))
  })

  it('is taken over from a replica that died in the middle of it', async () => {
    const { store, connection } = await replica()
    const { record, lease, channel } = keysOf('a')
    const args = [record, lease, 'dead', '1000', '60000', 'PUBLISH', channel, 'jnull', 'nobody', '1']
    expect(await connection.commands.fleetgraphOperationCreate(2, ...args)).toBe('OK')
    await must(store.create(headOf('a')))
    expect(await connection.commands.fleetgraphOperationConfirm(2, ...args)).toBe('LOST')
  })

  it('fails at once while Redis is away, without a word of what was to be kept', async () => {
    const { store, connection } = await replica()
    await redis.kill()
    closing.push(() => redis.start())
    await vi.waitFor(() => expect(connection.commands.status).not.toBe('ready'))
    const begin = performance.now()
    const failures = await Promise.all(
      [
        store.create(headOf('a')),
        store.read('a'),
        store.list(undefined, 1),
        store.takeOver('a'),
        store.orphans(),
        store.requestCancel('a'),
      ].map((asked: Promise<unknown>) =>
        asked.then(
          () => undefined,
          (error: unknown) => error,
        ),
      ),
    )
    expect(performance.now() - begin).toBeLessThan(1_000)
    for (const failure of failures) {
      expect(failure).toBeInstanceOf(StoreAway)
      expect(Object.keys((failure as StoreAway).cause as object)).toEqual([])
    }
    await redis.start()
    closing.pop()
  })

  it('is refused where it is too large, and says what to do', async () => {
    const { store } = await replica()
    const noise = randomBytes(1_200_000).toString('base64')
    const large = { ...CONFIG_MAP, data: { noise } }
    const change = { ...headOf('a').change, steps: [stepOf(0, large)] }
    await expect(store.create(headOf('a', { change }))).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: expect.stringMatching(/The change is too large to be kept: 1\.\d MiB, .* fewer/),
    })
    expect(await store.read('a')).toBeUndefined()
    const lease = await must(store.create(headOf('a')))
    const prepared = { action: stepOf(0, large).action, before: null }
    await expect(lease.step('0', { state: 'BEGUN', prepared, startedAt: 1 })).rejects.toMatchObject({
      code: 'TOO_LARGE',
    })
    // What was done has to be written down in any case.
    await lease.step('0', {
      state: 'DONE',
      result: resultOf({ before: CONFIG_MAP, after: large, note: 'Scaled.' }),
    })
    expect((await store.read('a'))?.steps.get('0')).toMatchObject({
      result: { before: CONFIG_MAP, after: null, note: 'Scaled. The object is too large to be kept.' },
    })
  })

  it('keeps what came of all its steps, but not their objects without end', async () => {
    const { store } = await replica()
    const lease = await must(store.create(headOf('a')))
    const large = { ...CONFIG_MAP, data: { noise: randomBytes(700_000).toString('base64') } }
    const count = 50
    for (let i = 0; i < count; i++) {
      await lease.step(`${i}`, { state: 'DONE', result: resultOf({ index: i, before: large, after: null }) })
    }
    const { steps } = (await store.read('a'))!
    expect(steps.size).toBe(count)
    const kept = [...steps.values()].filter(
      (record) => record.state === 'DONE' && record.result.before !== null,
    )
    expect(kept.length).toBeGreaterThan(30)
    expect(kept.length).toBeLessThan(40)
    expect(steps.get(`${count - 1}`)).toMatchObject({
      state: 'DONE',
      result: { index: count - 1, before: null, note: expect.stringContaining('too large to be kept') },
    })
  })
})

describe('what listens to an operation', () => {
  it('is called after Redis was away, for what it missed', async () => {
    const { store } = await replica()
    await must(store.create(headOf('a')))
    const revisions: (number | undefined)[] = []
    store.onChange('a', () => {
      store.read('a').then(
        (record) => revisions.push(record?.revision),
        () => {},
      )
    })
    await vi.waitFor(() => expect(revisions).toContain(1))
    await redis.kill()
    await redis.start()
    // It is there no longer.
    await vi.waitFor(() => expect(revisions.at(-1)).toBeUndefined(), 10_000)
    const { store: other } = await replica()
    await must(other.create(headOf('a')))
    await vi.waitFor(() => expect(revisions.at(-1)).toBe(1), 10_000)
  })

  it('is called though a message was lost', async () => {
    const { store } = await replica()
    const listener = vi.fn()
    await must(store.create(headOf('a')))
    store.onChange('a', listener)
    await vi.waitFor(() => expect(listener).toHaveBeenCalled())
    listener.mockClear()
    // Written without a message.
    await redis.ask((client) => client.hincrby(keysOf('a').record, 'revision', 1))
    await vi.waitFor(() => expect(listener).toHaveBeenCalledOnce(), 10_000)
  })

  it('costs one subscription, however many there are, and none when all have left', async () => {
    const { store } = await replica()
    const stops = Array.from({ length: 50 }, () => store.onChange('a', () => {}))
    const subscribed = () => redis.ask((client) => client.pubsub('NUMSUB', keysOf('a').channel))
    await vi.waitFor(async () => expect((await subscribed())[1]).toBe(1))
    for (const stop of stops) stop()
    await vi.waitFor(async () => expect((await subscribed())[1]).toBe(0))
  })
})

describe('the sets of operations', () => {
  it('lose what they name and is not there', async () => {
    const { store } = await replica()
    await redis.ask(async (client) => {
      await client.zadd(OPEN, Date.now() - 120_000, 'ghost', Date.now(), 'being-made')
      await client.zadd(ALL, Date.now() - 120_000, 'ghost')
    })
    expect(await store.orphans()).toEqual([])
    expect(await store.list(undefined, 10)).toEqual([])
    await redis.ask(async (client) => {
      await vi.waitFor(async () => expect(await client.zrange(OPEN, 0, -1)).toEqual(['being-made']))
      await vi.waitFor(async () => expect(await client.zrange(ALL, 0, -1)).toEqual([]))
    })
  })

  it('are given again by who drives an operation what they have lost', async () => {
    const clock = new FakeClock()
    const { store, connection } = await replica({ clock, leaseMs: 60_000 })
    const { store: other } = await replica()
    await must(store.create(headOf('a')))
    await redis.ask((client) => client.del(OPEN, ALL))
    expect(await other.list(undefined, 10)).toEqual([])
    await clock.advance(40_000)
    await connection.commands.ping()
    await vi.waitFor(async () => expect(await other.list(undefined, 10)).toHaveLength(1))
    expect(await redis.ask((client) => client.zrange(OPEN, 0, -1))).toEqual(['a'])
  })

  it('keep so many of one owner, of which the oldest that have ended go first', async () => {
    const { store } = await replica({ maxOfOwner: 3 })
    await must(store.create(headOf('open')))
    for (const id of ['b', 'c', 'd', 'e']) {
      const lease = await must(store.create(headOf(id)))
      await lease.progress(progressOf({ state: 'SUCCEEDED', finishedAt: Date.now() }))
    }
    await must(store.create(headOf('bobs', { owner: BOB })))
    const kept = async () => (await store.list(undefined, 10)).map(({ id }) => id)
    await vi.waitFor(async () => expect(await kept()).toEqual(['bobs', 'e', 'd', 'open']))
    expect(await store.read('b')).toBeUndefined()
  })

  it('forget an operation that has ended, or is no longer kept', async () => {
    const { store } = await replica()
    const lease = await must(store.create(headOf('a')))
    await lease.progress(progressOf({ state: 'SUCCEEDED', finishedAt: Date.now() }))
    expect(await redis.ask((client) => client.zrange(OPEN, 0, -1))).toEqual([])
    const old = Array.from({ length: 5 }, (_, i) => [Date.now() - 48 * 3_600_000, `old${i}`]).flat()
    await redis.ask((client) => client.zadd(ALL, ...old))
    await must(store.create(headOf('b', { createdAt: Date.now() })))
    await vi.waitFor(async () =>
      expect((await redis.ask((client) => client.zrange(ALL, 0, -1))).toSorted()).toEqual(['a', 'b']),
    )
  })
})

describe('what is in Redis of operations', () => {
  it('ends a day after them, but for the set of those that are open', async () => {
    const { store } = await replica()
    const lease = await must(store.create(headOf('a')))
    await lease.step('0', BEGUN)
    const left = async (key: string) => redis.ask((client) => client.pttl(key))
    const day = 24 * 3_600_000
    expect(await left(keysOf('a').record)).toBeGreaterThan(day - 5_000)
    await redis.ask((client) => client.pexpire(keysOf('a').record, 5_000))
    await lease.progress(progressOf({ state: 'FAILED', finishedAt: Date.now() }))
    expect(await left(keysOf('a').record)).toBeGreaterThan(day - 5_000)
    const keys = await redis.ask((client) => client.keys('*'))
    expect(keys).toHaveLength(4)
    for (const key of keys) expect(await left(key)).toBeGreaterThan(0)
  })

  it('is no Secret and no token, in no key and under no wrapping', async () => {
    const { store } = await replica()
    const owner = { ...ALICE, token: `bearer-${SECRET}` }
    const filler = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key${i}`, `value${i}`]))
    const secret = { ...secretOf(), metadata: { name: 'web', labels: filler } }
    const change = {
      ...headOf('a').change,
      steps: [stepOf(0, secretOf()), stepOf(1, secret)],
      known: [resultOf({ before: secretOf() })],
    }
    const lease = await must(store.create(headOf('a', { owner, change })))
    const action = { type: 'APPLY', manifest: secret, force: true } as const
    await lease.step('0', { state: 'BEGUN', prepared: { action, before: secretOf() }, startedAt: 1 })
    await lease.step('1', { state: 'DONE', result: resultOf({ before: secret, after: secretOf() }) })
    const all = await redis.ask(everything)
    expect(all).toContain('key499')
    expect(all).toContain('password')
    for (const form of [SECRET, Buffer.from(SECRET).toString('base64'), 'bearer'])
      expect(all).not.toContain(form)
  })
})

/** All keys, members and values, unpacked where they were packed. */
async function everything(client: Redis): Promise<string> {
  const texts: string[] = []
  for (const key of await client.keys('*')) {
    texts.push(key)
    const type = await client.type(key)
    if (type === 'hash') texts.push(...Object.values(await client.hgetall(key)))
    else if (type === 'zset') texts.push(...(await client.zrange(key, 0, -1)))
    else texts.push((await client.get(key)) ?? '')
  }
  const packed = texts.filter((text) => /^(j\{|z.{100})/.test(text))
  expect(packed.some((text) => text.startsWith('z'))).toBe(true)
  const unpacked = await Promise.all(packed.map(unpack))
  return JSON.stringify([texts, unpacked])
}
