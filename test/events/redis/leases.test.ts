import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { connectRedis, type RedisConnection } from '../../../src/events/redis/connection.ts'
import { clusterKeys } from '../../../src/events/redis/keys.ts'
import { holderOf, Leases, newToken } from '../../../src/events/redis/leases.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { eventually } from '../../support/eventually.ts'
import {
  type RedisCluster,
  type RedisServer,
  startRedisCluster,
  startRedisServer,
} from '../../support/redis-server.ts'

vi.setConfig({ testTimeout: 30_000 })

const LEASE_MS = 60_000
const KEYS = clusterKeys('test', 'prod')

function connect(url: string): RedisConnection {
  return connectRedis(url, {
    clock: systemClock,
    prefix: 'test',
    commandTimeoutMs: 300,
    awayMs: 60_000,
    probeMs: 50,
    reconnectMs: 100,
  })
}

async function ready(connection: RedisConnection): Promise<void> {
  await eventually(() => expect(connection.state.status).toBe('READY'))
}

describe('a lease', () => {
  let redis: RedisServer
  let connection: RedisConnection
  let leases: Leases

  beforeEach(async () => {
    redis = await startRedisServer()
    connection = connect(redis.url)
    leases = new Leases(connection, LEASE_MS)
    await ready(connection)
  })

  afterEach(async () => {
    redis.thaw()
    await connection.close()
    await redis.close()
  })

  /** Redis' time as an acquisition needs it: until when Redis may execute it. */
  async function soon(): Promise<number> {
    const { views } = await leases.tend([{ cluster: 'prod', token: '' }], false)
    return (views.get('prod')?.redisTime ?? 0) + 250
  }

  const acquire = async (token: string) => leases.acquire('prod', token, await soon())
  const ttl = () => redis.ask((client) => client.pttl(KEYS.lease))
  const holder = () => redis.ask((client) => client.get(KEYS.lease))

  it('is held by one, and its epoch grows with each holder', async () => {
    const first = await acquire('a/1')
    expect(first?.token).toBe('a/1')
    expect(await acquire('b/1')).toBeUndefined()
    await leases.release('prod', 'a/1')
    const second = await acquire('b/2')
    expect(second?.epoch).toBeGreaterThan(first?.epoch ?? Infinity)
  })

  it('has a later epoch even when Redis has lost its data', async () => {
    const first = await acquire('a/1')
    await redis.ask((client) => client.flushall())
    const second = await acquire('b/1')
    expect(second?.epoch).toBeGreaterThan(first?.epoch ?? Infinity)
  })

  it('is renewed and read for many clusters at once, and only for who holds it', async () => {
    await acquire('a/1')
    await redis.ask((client) => client.pexpire(KEYS.lease, 1_000))
    const many = Array.from({ length: 600 }, (_, i) => ({ cluster: `other-${i}`, token: 'a/1' }))
    await leases.tend([...many, { cluster: 'prod', token: 'b/1' }], true)
    expect(await ttl()).toBeLessThanOrEqual(1_000)
    const { views } = await leases.tend([...many, { cluster: 'prod', token: 'a/1' }], true)
    expect(views.get('prod')?.token).toBe('a/1')
    expect(views.get('other-599')?.token).toBe('')
    expect(await ttl()).toBeGreaterThan(1_000)
  })

  it('is not taken by a command that a frozen Redis executes late', async () => {
    const until = await soon()
    redis.freeze()
    await expect(leases.acquire('prod', 'a/1', until)).rejects.toThrow('timed out')
    redis.thaw()
    // The connection answers in order: what was sent before has been executed.
    await eventually(() => connection.commands.ping())
    expect(await holder()).toBeNull()
  })

  it('is neither renewed nor released by late commands of who held it before', async () => {
    await acquire('a/1')
    redis.freeze()
    const renewed = await leases.tend([{ cluster: 'prod', token: 'a/1' }], true)
    expect(String(renewed.error)).toContain('timed out')
    await expect(leases.release('prod', 'a/1')).rejects.toThrow('timed out')
    redis.thaw()
    // The release came late and was still its own.
    await eventually(async () => expect(await holder()).toBeNull())

    await acquire('b/1')
    await redis.ask((client) => client.pexpire(KEYS.lease, 20_000))
    await leases.tend([{ cluster: 'prod', token: 'a/1' }], true)
    await leases.release('prod', 'a/1')
    expect(await holder()).toBe('b/1')
    expect(await ttl()).toBeLessThanOrEqual(20_000)
  })

  it('names the member that holds it, whatever that is called', () => {
    for (const member of ['replica-1~0a', 'a/b~0c', 'ä b~1']) {
      const token = newToken(member)
      expect(holderOf(token)).toBe(member)
      expect(newToken(member)).not.toBe(token)
    }
  })
})

describe('leases on a Redis Cluster', () => {
  let cluster: RedisCluster

  beforeEach(async () => {
    cluster = await startRedisCluster()
  })
  afterEach(() => cluster.close())

  it('are acquired, renewed and read on whichever node they are', async () => {
    const connection = connect(cluster.url)
    try {
      await ready(connection)
      const leases = new Leases(connection, LEASE_MS)
      const clusters = Array.from({ length: 20 }, (_, i) => `cluster-${i}`)
      const { views } = await leases.tend(
        clusters.map((name) => ({ cluster: name, token: '' })),
        true,
      )
      const acquired = await Promise.all(
        clusters.map((name) => leases.acquire(name, `a/${name}`, (views.get(name)?.redisTime ?? 0) + 5_000)),
      )
      expect(acquired.every((lease) => lease !== undefined)).toBe(true)
      const sizes = await Promise.all(cluster.nodes.map((node) => node.ask((client) => client.dbsize())))
      expect(sizes.every((size) => size > 0)).toBe(true)
      const renewed = await leases.tend(
        clusters.map((name) => ({ cluster: name, token: `a/${name}` })),
        true,
      )
      expect(renewed.error).toBeUndefined()
      expect(clusters.map((name) => renewed.views.get(name)?.token)).toEqual(
        clusters.map((name) => `a/${name}`),
      )
    } finally {
      await connection.close()
    }
  })
})
