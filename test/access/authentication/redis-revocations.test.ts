import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { redisRevocations } from '../../../src/access/authentication/redis-revocations.ts'
import type { Revocation, Revocations } from '../../../src/access/authentication/revocations.ts'
import { connectRedis } from '../../../src/events/redis/connection.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { type RedisServer, startRedisCluster, startRedisServer } from '../../support/redis-server.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedisServer()
})
afterAll(() => redis.close())

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  await redis.ask((client) => client.flushall())
})

/** One replica, and what it hears. */
function replica(url = redis.url): { revocations: Revocations; heard: (sub: string) => Promise<Revocation> } {
  const connection = connectRedis(url, {
    clock: systemClock,
    prefix: 'test',
    probeMs: 50,
    awayMs: 300,
    reconnectMs: 50,
    commandTimeoutMs: 500,
  })
  const revocations = redisRevocations({ connection, clock: systemClock })
  closing.push(async () => {
    revocations.close()
    await connection.close()
  })
  const all: Revocation[] = []
  const waiting = new Set<() => void>()
  revocations.onRevoked((revocation) => {
    all.push(revocation)
    for (const look of waiting) look()
  })
  const heard = (sub: string) =>
    new Promise<Revocation>((resolve) => {
      const look = () => {
        const found = all.find((one) => one.sub === sub)
        if (!found) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  return { revocations, heard }
}

const of = (sub: string): Revocation => ({
  issuer: 'https://id.example.com',
  sub,
  sid: undefined,
  at: 1_800_000_000,
})

describe('revocations that replicas share', () => {
  it('reach the others at once, and those who start later', async () => {
    const [a, b] = [replica(), replica()]
    await Promise.all([a.revocations.ready, b.revocations.ready])
    a.revocations.revoke({ ...of('alice'), sid: 's' })
    expect(await b.heard('alice')).toEqual({ ...of('alice'), sid: 's' })
    const late = replica()
    await late.revocations.ready
    expect(await late.heard('alice')).toEqual({ ...of('alice'), sid: 's' })
  })

  it('reach who begins to listen later, with all that was said before', async () => {
    const a = replica()
    await a.revocations.ready
    a.revocations.revoke(of('erin'))
    const b = replica()
    await b.revocations.ready
    await b.heard('erin')
    const again = new Promise<Revocation>((resolve) => b.revocations.onRevoked(resolve))
    expect(await again).toEqual(of('erin'))
  })

  it('count here at once, and elsewhere when Redis is back', async () => {
    const [a, b] = [replica(), replica()]
    await Promise.all([a.revocations.ready, b.revocations.ready])
    await redis.kill()
    a.revocations.revoke(of('bob'))
    expect(await a.heard('bob')).toEqual(of('bob'))
    await redis.start()
    expect(await b.heard('bob')).toEqual(of('bob'))
  }, 20_000)

  it('let a replica start without Redis, after a while', async () => {
    await redis.kill()
    const { revocations } = replica()
    await revocations.ready
    await redis.start()
  }, 20_000)

  it('reach the others through a Redis Cluster as well', async () => {
    const cluster = await startRedisCluster()
    const [a, b] = [replica(cluster.url), replica(cluster.url)]
    closing.push(() => cluster.close())
    await Promise.all([a.revocations.ready, b.revocations.ready])
    a.revocations.revoke(of('dave'))
    expect(await b.heard('dave')).toEqual(of('dave'))
  }, 30_000)

  it('do not outlive the tokens that they are about, and hold nothing that is not ours', async () => {
    const { revocations, heard } = replica()
    await revocations.ready
    await redis.ask(async (client) => {
      const [key, old] = ['test:revocations.1:{all}', Date.now() - 25 * 3_600_000]
      await client.zadd(key, old, JSON.stringify(of('old')))
      await client.zadd(key, Date.now(), 'odd', Date.now(), '{"issuer":1}', Date.now(), 'null')
    })
    const other = replica()
    revocations.revoke(of('carol'))
    await Promise.all([heard('carol'), other.heard('carol')])
    await expect
      .poll(() =>
        redis.ask(async (client) => ({
          entries: await client.zrange('test:revocations.1:{all}', 0, -1),
          ttl: await client.pttl('test:revocations.1:{all}'),
        })),
      )
      .toEqual({
        entries: expect.not.arrayContaining([JSON.stringify(of('old'))]),
        ttl: expect.toSatisfy((ttl: number) => ttl > 86_000_000 && ttl < 87_000_000),
      })
  })
})
