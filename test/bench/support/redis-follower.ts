/** The other replica of the benchmark `redis-feed`, in a process of its own; and a plain subscriber. */
import { Redis } from 'ioredis'
import { ClusterFollower } from '../../../src/events/redis/cluster-follower.ts'
import { connectRedis } from '../../../src/events/redis/connection.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { FakeCluster } from '../../support/fake-fleet.ts'
import { answer } from './remote.ts'

const cluster = new FakeCluster('bench')
const table = cluster.table('Pod')
let changes = 0
let messages = 0
let wanted: { readonly done: () => boolean; readonly resolve: () => void } | undefined

const progress = () => {
  if (wanted?.done()) wanted.resolve()
}
const until = (done: () => boolean) =>
  new Promise<void>((resolve) => {
    wanted = { done, resolve }
    progress()
  })

table.onChange(() => {
  changes++
  progress()
})
table.onStatus(progress)

const handlers = {
  /** Resolves when the table is there. */
  async follow(url: string): Promise<void> {
    const link = connectRedis(url, { clock: systemClock, prefix: 'bench' })
    const ready = Promise.withResolvers<void>()
    link.onState(({ status }) => status === 'READY' && ready.resolve())
    await ready.promise
    new ClusterFollower({
      link,
      target: cluster,
      clock: systemClock,
      onError: (error) => process.stderr.write(`${error.message}\n`),
    }).start()
    await until(() => table.status.state === 'CURRENT')
  },
  /** Resolves when so many changes have come since it was asked last. */
  async changes(count: number): Promise<void> {
    await until(() => changes >= count)
    changes -= count
  },
  /** The size of the table, and a sum that tells one content from another. */
  async content(): Promise<string> {
    let sum = 0
    for (const { resourceVersion } of table.rows().all()) sum += Number(resourceVersion)
    return `${table.size} ${sum}`
  },
  async subscribe({ url, channel }: { readonly url: string; readonly channel: string }): Promise<void> {
    const redis = new Redis(url)
    redis.on('message', () => {
      messages++
      progress()
    })
    await redis.subscribe(channel)
  },
  async messages(count: number): Promise<void> {
    await until(() => messages >= count)
    messages -= count
  },
}

export type FollowerHandlers = typeof handlers

answer(handlers)
