/**
 * The stage of tests with replicas and a real Redis: one server for a file, empty before each test, and
 * replicas that are closed after it.
 */
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest'
import type { PodRow } from '../../../src/kubernetes/rows.ts'
import { podRow } from '../../fleet/pod-model.ts'
import { type RedisServer, startRedisServer } from '../../support/redis-server.ts'
import { Replica, same } from './replica-pair.ts'

export let redis: RedisServer
/** To look into Redis, and to set the scene. */
export let look: Redis
const replicas: Replica[] = []

/** Called once at the top of a test file. */
export function setStage(): void {
  // Processes and connections of a busy machine; nothing here is timed.
  vi.setConfig({ testTimeout: 60_000 })

  beforeAll(async () => {
    redis = await startRedisServer()
    look = new Redis(redis.url, { connectionName: 'look' })
    // Between a kill and a restart.
    look.on('error', () => {})
  })

  beforeEach(async () => {
    await look.flushall()
  })

  afterEach(async () => {
    redis.thaw()
    await closeReplicas()
  })

  afterAll(async () => {
    look.disconnect()
    await redis.close()
  })
}

export async function closeReplicas(): Promise<void> {
  await Promise.all(replicas.splice(0).map((one) => one.close()))
}

export async function replica(): Promise<Replica> {
  const one = await Replica.connect(redis.url)
  replicas.push(one)
  return one
}

/** An owner with these pods that has published them, and a replica that follows and shows the same. */
export async function pair(rows: readonly PodRow[] = [podRow({ name: 'a' }), podRow({ name: 'b' })]) {
  const owner = await replica()
  const other = await replica()
  owner.sync(rows)
  const publisher = await owner.publish(1)
  const follower = other.follow()
  await same(other, owner)
  return { owner, other, publisher, follower }
}

let version = 1_000
/** One that was never before. */
export const nextVersion = () => String(++version)

/** A pod in a version of its own. */
export const pod = (name: string, spec: Parameters<typeof podRow>[0] = {}) =>
  podRow({ name, ...spec, resourceVersion: nextVersion() })

export const apply = (owner: Replica, ...rows: readonly PodRow[]) =>
  owner.cluster.apply('Pod', ...rows.map((row) => ({ type: 'Apply', row }) as const))

export const remove = (owner: Replica, ...rows: readonly PodRow[]) =>
  owner.cluster.apply('Pod', ...rows.map((row) => ({ type: 'Delete', row }) as const))
