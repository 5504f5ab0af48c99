import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { podRow } from '../../fleet/pod-model.ts'
import { type RedisCluster, startRedisCluster } from '../../support/redis-server.ts'
import { Replica, same } from './replica-pair.ts'

let redis: RedisCluster
const replicas: Replica[] = []

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

beforeAll(async () => {
  redis = await startRedisCluster()
})

afterEach(async () => {
  await Promise.all(replicas.splice(0).map((one) => one.close()))
})

afterAll(() => redis?.close())

describe('through a Redis Cluster', () => {
  it('a follower shows what the owner shows, and what it shows anew', async () => {
    const [owner, other] = [await Replica.connect(redis.url), await Replica.connect(redis.url)]
    replicas.push(owner, other)
    owner.sync([podRow({ name: 'a' }), podRow({ name: 'b' })])
    const publisher = await owner.publish(1)
    other.follow()
    await same(other, owner)
    const changes = other.record()
    owner.cluster.apply(
      'Pod',
      { type: 'Apply', row: podRow({ name: 'c', resourceVersion: '101' }) },
      { type: 'Delete', row: podRow({ name: 'a', resourceVersion: '102' }) },
    )
    await same(other, owner)
    expect(changes.map(({ type, row }) => `${type} ${row.name}`)).toEqual(['ADDED c', 'DELETED a'])
    publisher.close()
    owner.cluster.apply('Pod', { type: 'Apply', row: podRow({ name: 'd', resourceVersion: '103' }) })
    // Published whole, as a new generation.
    await owner.publish(2)
    await same(other, owner)
    expect(other.errors).toEqual([])
  })
})
