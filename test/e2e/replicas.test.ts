/**
 * Three replicas of the gateway with a Redis over two real control planes: one watch per kind, counted in
 * the audit logs of the API servers, also after an owner was killed; and clients that hold what the API
 * servers hold, whatever happened while objects churned. `npm run test:chaos -- --real` is the long form.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CheckerClient } from '../support/checker-client.ts'
import { churn } from '../support/churn.ts'
import { judgeDeletes, untilCopiesAreTrue } from '../support/fleet-truth.ts'
import { startRedisServer, type RedisServer } from '../support/redis-server.ts'
import { startReplicaSet, type ReplicaSet } from '../support/replica-set.ts'
import {
  kubeconfigDirectory,
  oneWatchPerKind,
  oneWatchPerKindAgain,
  realStormyCluster,
  type RealStormyCluster,
} from '../support/stormy-cluster.ts'

/** A delete is told at the latest so long after it was seen, also where an owner died meanwhile. */
const ALLOWED_LAG_MS = 20_000

const open: { close(): Promise<unknown> }[] = []
let clusters: readonly RealStormyCluster[]
let redis: RedisServer
let replicas: ReplicaSet
let clients: readonly CheckerClient[]

function keep<T extends { close(): Promise<unknown> }>(one: T): T {
  open.push(one)
  return one
}

beforeAll(async () => {
  clusters = await Promise.all(['alpha', 'beta'].map(async (name) => keep(await realStormyCluster(name))))
  redis = keep(await startRedisServer())
  const { path } = keep(kubeconfigDirectory(clusters))
  replicas = keep(
    await startReplicaSet({ redisUrl: redis.url, config: { clusters: [{ type: 'directory', path }] } }),
  )
  clients = replicas.urls.map((_, first) =>
    keep(new CheckerClient({ name: `client-${first}`, urls: replicas.urls, first })),
  )
  await Promise.all(clients.map((client) => client.untilLive(60_000)))
})

afterAll(async () => {
  for (const each of open.toReversed()) await each.close()
})

describe('three replicas over two real control planes', () => {
  it('watch each kind of each cluster once', async () => {
    for (const cluster of clusters) await oneWatchPerKind(cluster, 30_000)
  })

  it('tell every change of a churn, and read no kind anew, while owners are killed and Redis is emptied', async () => {
    const witnesses = await Promise.all(clusters.map(async (cluster) => keep(await cluster.witness())))
    const reads = await Promise.all(clusters.map((cluster) => cluster.readsOfAll()))
    const calm = new AbortController()
    const churning = clusters.map(({ http }, index) =>
      churn({ http, seconds: 120, ratePerSecond: 20, seed: index + 1, signal: calm.signal }),
    )
    try {
      for (const cluster of clusters) {
        const owner = await replicas.ownerOf(cluster.name)
        await owner.kill()
        await oneWatchPerKindAgain(cluster, replicas, 15_000)
        await owner.start()
        clients[0]!.cut()
      }
      await redis.kill()
      await redis.start()
      for (const client of clients) client.cut()
    } finally {
      calm.abort()
    }
    await Promise.all(churning)
    await Promise.all(clusters.map((cluster) => cluster.quieten()))
    await untilCopiesAreTrue(clients, clusters)
    for (const client of clients) {
      expect(client.surprises, client.name).toEqual([])
      expect(client.counts.resumes, client.name).toBeGreaterThan(0)
      expect(judgeDeletes(client, witnesses, ALLOWED_LAG_MS).wrong, client.name).toEqual([])
    }
    for (const cluster of clusters) await oneWatchPerKind(cluster, 30_000)
    // Whoever takes over goes on where the tables are.
    expect(await Promise.all(clusters.map((cluster) => cluster.readsOfAll()))).toEqual(reads)
  })

  it('end with their watches', async () => {
    for (const client of clients) await client.close()
    expect(await replicas.close()).toEqual([0, 0, 0])
    for (const cluster of clusters) {
      await expect.poll(() => cluster.watches(), { timeout: 15_000 }).toEqual({})
    }
  })
})
