/**
 * Row changes a second from an owner's table through Redis into the table of a follower, which is a process
 * of its own, as Redis is. The limit: the same rows as text through Redis' pub/sub alone, one message each,
 * pipelined, from process to process. `redis-feed-naive` is what it replaces: each change published and
 * awaited before the next.
 */
import { Redis } from 'ioredis'
import { ClusterPublisher } from '../../src/events/redis/cluster-publisher.ts'
import { connectRedis } from '../../src/events/redis/connection.ts'
import { clusterKeys } from '../../src/events/redis/keys.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { encodeRow } from '../../src/kubernetes/row-codec.ts'
import type { PodRow } from '../../src/kubernetes/rows.ts'
import { FakeCluster } from '../support/fake-fleet.ts'
import { startRedisServer } from '../support/redis-server.ts'
import { type Bench, collectGarbage, type Figure, median } from './figure.ts'
import { syntheticPod } from './support/pods.ts'
import type { FollowerHandlers } from './support/redis-follower.ts'
import { Remote } from './support/remote.ts'

const PODS = 5_000
const CHANGES = 50_000
const NAIVE_CHANGES = 5_000
/** Changes that one turn of the event loop brings, as a busy watch does. */
const BURST = 64
/** Changes that wait for Redis at most. */
const AHEAD = 4_000
const ROUNDS = 5
const WARM_UP = 1

export const bench: Bench = async () => {
  const redis = await startRedisServer()
  const follower = new Remote<FollowerHandlers>('./redis-follower.ts')
  const link = connectRedis(redis.url, { clock: systemClock, prefix: 'bench' })
  const ready = Promise.withResolvers<void>()
  link.onState(({ status }) => status === 'READY' && ready.resolve())
  const plain = new Redis(redis.url)
  const cluster = new FakeCluster('bench')
  const publisher = new ClusterPublisher({
    link,
    target: cluster,
    token: 'bench',
    epoch: 1,
    clock: systemClock,
    onFenced: () => process.stderr.write('redis-feed: fenced\n'),
    onError: (error) => process.stderr.write(`${error.message}\n`),
  })
  try {
    await ready.promise
    await plain.set(clusterKeys('bench', 'bench').lease, 'bench')
    cluster.load(
      'Pod',
      Array.from({ length: PODS }, (_, i) => syntheticPod(i)),
    )
    await publisher.start()
    await publisher.flush()
    await follower.call('follow', redis.url)
    await follower.call('subscribe', { url: redis.url, channel: 'bench' })

    let version = 2_000_000
    const next = async (count: number): Promise<PodRow[]> => {
      const rows: PodRow[] = []
      while (rows.length < count) {
        rows.push(project('Pod')(syntheticPod(rows.length % PODS, ++version), 'bench'))
        // The connection to Redis is watched over: it must not seem dead.
        if (rows.length % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      return rows
    }

    const feed = async (): Promise<number> => {
      const rows = await next(CHANGES)
      return perSecond(CHANGES, async () => {
        const all = follower.call('changes', CHANGES)
        for (let i = 0; i < CHANGES;) {
          for (const end = i + BURST; i < end && i < CHANGES; i++) {
            cluster.apply('Pod', { type: 'Apply', row: rows[i]! })
          }
          do await new Promise((resolve) => setImmediate(resolve))
          while (publisher.lag.pending > AHEAD)
        }
        await all
      })
    }
    const pipelined = async (): Promise<number> => {
      const texts = (await next(CHANGES)).map(encodeRow)
      return perSecond(CHANGES, async () => {
        const all = follower.call('messages', CHANGES)
        let last: Promise<unknown> = Promise.resolve()
        for (let i = 0; i < CHANGES;) {
          for (const end = i + BURST; i < end && i < CHANGES; i++) last = plain.publish('bench', texts[i]!)
          if (i % AHEAD < BURST) await last
        }
        await all
      })
    }
    const naive = async (): Promise<number> => {
      const texts = (await next(NAIVE_CHANGES)).map(encodeRow)
      return perSecond(NAIVE_CHANGES, async () => {
        const all = follower.call('messages', NAIVE_CHANGES)
        for (const text of texts) await plain.publish('bench', text)
        await all
      })
    }

    const values: number[] = []
    const limits: number[] = []
    const naives: number[] = []
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      collectGarbage()
      const [value, limit, before] = [await feed(), await pipelined(), await naive()]
      if (round < 0) continue
      values.push(value)
      limits.push(limit)
      naives.push(before)
    }
    await publisher.flush()
    const [here, there] = [contentOf(cluster), await follower.call('content')]
    if (here !== there) throw new Error(`the follower has ${there}, the owner ${here}`)
    const unit = 'row changes/s'
    const limit = median(limits)
    return [
      { name: 'redis-feed', value: median(values), unit, limit, target: { of: 'value', atLeast: 10_000 } },
      { name: 'redis-feed-naive', value: median(naives), unit, limit },
    ] satisfies Figure[]
  } finally {
    publisher.close()
    plain.disconnect()
    await link.close()
    await follower.stop()
    await redis.close()
  }
}

async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const from = performance.now()
  await work()
  return count / ((performance.now() - from) / 1000)
}

function contentOf(cluster: FakeCluster): string {
  const table = cluster.table('Pod')
  let sum = 0
  for (const { resourceVersion } of table.rows().all()) sum += Number(resourceVersion)
  return `${table.size} ${sum}`
}
