/**
 * How much later a subscriber hears of a change than a raw watch of the same API server, at 100 changes a
 * second: across the owner of the cluster, Redis, and the second replica, to which the subscriber is
 * connected. API server, replicas, Redis and receivers are processes of their own; both receivers are in
 * one of them, so that one clock sees both. The limit is what the raw watch takes itself.
 *
 * Then the same with a crowd of other subscribers of the second replica, and the same crowd at what it
 * replaces: one process that executes for each of them, without Redis on the way.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { startRedisServer } from '../support/redis-server.ts'
import { startReplicaSet } from '../support/replica-set.ts'
import { ADMIN } from '../support/test-tokens.ts'
import { median, type Bench, type Figure } from './figure.ts'
import type { ClusterHandlers } from './support/latency-cluster.ts'
import type { ReceiverHandlers } from './support/latency-receiver.ts'
import type { ReceiverHandlers as CrowdHandlers } from './support/live-receivers.ts'
import type { NaiveHandlers } from './support/naive-gateway.ts'
import { Remote } from './support/remote.ts'
import { shareToken } from './support/sign-in.ts'

const PER_SECOND = 100
const CHANGES = 500
const ROUNDS = 7
/** Of what has no target. */
const FEW_ROUNDS = 2
const WARM_UP = 1
const CROWD = 500

/** Of one round, in milliseconds: of the raw watch since the write, and of a subscriber since the watch. */
interface Round {
  readonly raw: readonly number[]
  readonly over: readonly number[]
}

export const bench: Bench = async () => {
  shareToken(ADMIN.token)
  const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-latency-'))
  const closing: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })]
  const remote = <R extends { stop(): Promise<void> }>(started: R): R => {
    closing.push(() => started.stop())
    return started
  }
  try {
    const cluster = remote(new Remote<ClusterHandlers>('./latency-cluster.ts'))
    const { url: apiServer, token, kubeconfig } = await cluster.call('access')
    writeFileSync(join(directory, 'latency.yaml'), stringify(kubeconfig))
    const redis = await startRedisServer()
    closing.push(() => redis.close())
    const replicas = await startReplicaSet({
      replicas: 2,
      redisUrl: redis.url,
      config: {
        clusters: [{ type: 'directory', path: directory }],
        // The crowd is one user, who comes all at once.
        limits: { requestsPerMinute: 10_000_000, costPerMinute: 1_000_000_000 },
      },
    })
    closing.push(() => replicas.close())
    const owner = await replicas.ownerOf('latency')
    const follower = replicas.replicas.find((replica) => replica !== owner)!

    const receiver = remote(new Remote<ReceiverHandlers>('./latency-receiver.ts'))
    await receiver.call('watch', { name: 'watch', url: apiServer, token })

    const round = async (subscriber: string): Promise<Round> => {
      const written = await cluster.call('change', { count: CHANGES, perSecond: PER_SECOND })
      const versions = written.map(([version]) => version)
      await receiver.call('until', { names: ['watch', subscriber], versions })
      const watched = await receiver.call('times', { name: 'watch', versions })
      const heard = await receiver.call('times', { name: subscriber, versions })
      return {
        raw: watched.map((at, i) => at - written[i]![1]),
        over: heard.map((at, i) => at - watched[i]!),
      }
    }
    /** Subscribed, and told of changes. */
    const subscribed = async (name: string, url: string) => {
      await receiver.call('subscribe', { name, url })
      for (;;) {
        const [[version] = ['']] = await cluster.call('change', { count: 1, perSecond: PER_SECOND })
        await new Promise((resolve) => setTimeout(resolve, 200))
        if (await receiver.call('has', { name, version })) return
      }
    }
    const measure = async (name: string, url: string, count: number): Promise<readonly Round[]> => {
      await subscribed(name, url)
      const rounds: Round[] = []
      for (let n = -WARM_UP; n < count; n++) {
        const measured = await round(name)
        if (n >= 0) rounds.push(measured)
      }
      await receiver.call('unsubscribe', name)
      return rounds
    }
    const crowded = async (name: string, url: string): Promise<readonly Round[]> => {
      const crowd = new Remote<CrowdHandlers>('./live-receivers.ts')
      const port = Number(new URL(url).port)
      const subscriptions = [{ query: CROWD_QUERY }]
      await crowd.call('connect', { pool: name, port, subscribers: CROWD, subscriptions })
      try {
        return await measure(name, url, FEW_ROUNDS)
      } finally {
        await crowd.stop()
      }
    }

    const alone = await measure('alone', follower.url, ROUNDS)
    const inCrowd = await crowded('crowd', follower.url)
    await replicas.close()
    const naive = remote(new Remote<NaiveHandlers>('./naive-gateway.ts'))
    const naively = await crowded('naive', await naive.call('serve', directory))
    return [
      figure('latency-p50', alone, 0.5, 5),
      figure('latency-p99', alone, 0.99, 25),
      figure(`latency-${CROWD}-p50`, inCrowd, 0.5),
      figure(`latency-${CROWD}-p99`, inCrowd, 0.99),
      figure(`latency-${CROWD}-naive-p50`, naively, 0.5),
      figure(`latency-${CROWD}-naive-p99`, naively, 0.99),
    ]
  } finally {
    for (const close of closing.toReversed()) await close()
  }
}

const CROWD_QUERY = `subscription {
  podChanges { type object { id name namespace resourceVersion status ready restarts nodeName } }
}`

function figure(name: string, rounds: readonly Round[], share: number, atMost?: number): Figure {
  const of = (pick: (round: Round) => readonly number[]) =>
    median(rounds.map((round) => quantile(pick(round), share)))
  return {
    name,
    value: of(({ over }) => over),
    unit: 'ms over a raw watch',
    limit: of(({ raw }) => raw),
    ...(atMost !== undefined && { target: { of: 'value', atMost } as const }),
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}
