/**
 * The storm: clusters that churn, a Redis, replicas of the gateway, checker clients – and everything that
 * `schedule.ts` says goes wrong. When it is over the copies of the clients are held against the API servers.
 *
 * Whatever happens in it, nothing is left: every process, socket and file ends with `storm()`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { CheckerClient } from '../support/checker-client.ts'
import { churn, type ChurnReport } from '../support/churn.ts'
import { judgeDeletes, untilCopiesAreTrue } from '../support/fleet-truth.ts'
import { startRedisServer, type RedisServer } from '../support/redis-server.ts'
import { startReplicaSet, type Replica, type ReplicaSet } from '../support/replica-set.ts'
import {
  kubeconfigDirectory,
  oneWatchPerKind,
  oneWatchPerKindAgain,
  realStormyCluster,
  simulatedStormyCluster,
  type StormyCluster,
} from '../support/stormy-cluster.ts'
import type { Witness } from '../support/witness.ts'
import { cuts, FAULTS, schedule, type Durations, type Fault, type Step } from './schedule.ts'

export interface StormOptions {
  /** Of churn and faults; it goes on until each fault was there once. */
  readonly seconds: number
  readonly seed: number
  /** Real control planes instead of simulated clusters. */
  readonly real: boolean
  /** Changes a second, in all clusters together. */
  readonly ratePerSecond: number
  readonly clusters: number
  readonly replicas: number
  readonly clients: number
  readonly durations: Durations
  /** Between two cuts of a client's connection: from, to. */
  readonly cutEveryMs: readonly [number, number]
  /** One line for each thing that happens. */
  readonly log: (line: string) => void
  readonly signal?: AbortSignal
}

export interface StormReport {
  /** What must not be; none: the storm was survived. */
  readonly failures: readonly string[]
  /** Figures, line by line. */
  readonly figures: readonly string[]
  readonly faults: Readonly<Record<Fault | 'cut', number>>
}

/** A kind has one watch again within so many milliseconds after the owner of its cluster died… */
const TAKEN_OVER_MS = 15_000
/** …and after anything else that went wrong is over. */
const RECOVERED_MS = 60_000

export async function storm(options: StormOptions): Promise<StormReport> {
  const open: { close(): Promise<unknown> }[] = []
  try {
    return await weather(options, open)
  } finally {
    for (const each of open.toReversed()) await each.close()
  }
}

async function weather(options: StormOptions, open: { close(): Promise<unknown> }[]): Promise<StormReport> {
  const { seconds, seed, real, ratePerSecond, log, signal } = options
  const keep = <T extends { close(): Promise<unknown> }>(one: T): T => {
    open.push(one)
    return one
  }
  const names = Array.from({ length: options.clusters }, (_, index) => `storm-${index}`)
  const started = await Promise.allSettled(names.map(real ? realStormyCluster : simulatedStormyCluster))
  const clusters = started.flatMap((each) => (each.status === 'fulfilled' ? [keep(each.value)] : []))
  for (const each of started) if (each.status === 'rejected') throw each.reason
  const redis = keep(await startRedisServer())
  const replicas = keep(
    await startReplicaSet({
      replicas: options.replicas,
      redisUrl: redis.url,
      config: {
        clusters: [{ type: 'directory', path: keep(kubeconfigDirectory(clusters)).path }],
      },
    }),
  )
  const witnesses: Witness[] = []
  for (const cluster of clusters) witnesses.push(keep(await cluster.witness()))
  const clients = Array.from({ length: options.clients }, (_, index) =>
    keep(new CheckerClient({ name: `client-${index}`, urls: replicas.urls, first: index })),
  )
  await Promise.all(clients.map((client) => client.untilLive(60_000)))
  log(`${clusters.length} clusters, ${options.replicas} replicas, ${clients.length} clients: all in sync`)

  const faults = Object.fromEntries([...FAULTS, 'cut'].map((fault) => [fault, 0])) as Record<
    Fault | 'cut',
    number
  >
  const failures: string[] = []
  const takeovers: number[] = []
  const recoveries = Object.fromEntries(FAULTS.map((fault) => [fault, []])) as unknown as Record<
    Fault,
    number[]
  >
  const scene = { clusters, clients, replicas, redis, faults, failures, takeovers, log }

  const began = performance.now()
  const over = (): boolean => performance.now() - began > seconds * 1000 || signal?.aborted === true
  const calm = new AbortController()
  const churning = clusters.map(({ http }, index) =>
    churn({
      http,
      ratePerSecond: ratePerSecond / clusters.length,
      // Ended by the signal: the faults may take a little longer than asked for.
      seconds: seconds * 2 + 120,
      seed: seed + index,
      signal: calm.signal,
    }),
  )
  const cutting = cutConnections(scene, cuts(seed, options.cutEveryMs), calm.signal)
  try {
    for (const step of schedule(seed, options.durations)) {
      const complete = FAULTS.every((fault) => faults[fault] > 0)
      if (signal?.aborted || (over() && complete)) break
      await pause(step.restMs, signal)
      await happen(scene, step)
      faults[step.fault] += 1
      const at = performance.now()
      await Promise.all(clusters.map((cluster) => oneWatchPerKind(cluster, RECOVERED_MS))).catch(
        (error: Error) => failures.push(`after ${step.fault}: ${error.message}`),
      )
      recoveries[step.fault].push(Math.round(performance.now() - at))
    }
  } finally {
    calm.abort()
    await cutting
  }
  const churned = await Promise.all(churning)
  if (signal?.aborted) throw new Error('interrupted')
  log('the storm is over: waiting until the clusters are quiet')
  await Promise.all(clusters.map((cluster) => cluster.quieten()))

  await untilCopiesAreTrue(clients, clusters).catch((error: Error) => failures.push(error.message))
  for (const cluster of clusters) {
    await oneWatchPerKind(cluster, TAKEN_OVER_MS).catch((error: Error) => failures.push(error.message))
  }
  const allowedLagMs = options.durations.freezeMs + Math.max(...options.durations.downMs) + TAKEN_OVER_MS
  const reports = clients.map((client) => judgeDeletes(client, witnesses, allowedLagMs))
  for (const [index, client] of clients.entries()) {
    failures.push(...reports[index]!.wrong.slice(0, 20).map((line) => `${client.name}: ${line}`))
    failures.push(...client.surprises.slice(0, 20).map((line) => `${client.name}: ${line}`))
    if (client.down.size > 0) failures.push(`${client.name}: ${[...client.down].join()} is still down`)
  }
  for (const client of clients) await client.close()
  const codes = await replicas.close()
  if (codes.some((code) => code !== 0)) failures.push(`replicas ended with ${codes.join()}`)
  return {
    failures,
    faults,
    figures: [
      `seed ${seed}, ${Math.round((performance.now() - began) / 1000)} s, faults: ${Object.entries(faults)
        .map(([fault, times]) => `${times} × ${fault}`)
        .join(', ')}`,
      `changes: ${total(churned, 'done')} done, ${total(churned, 'failed')} refused or without an answer; ${clients[0]?.copy.size} objects at the end`,
      `ms until watches were one per kind again after an owner died: ${takeovers.join(', ')}`,
      `and after the end of: ${Object.entries(recoveries)
        .map(([fault, times]) => `${fault} ${times.join(', ')}`)
        .join('; ')}`,
      ...clients.flatMap((client, index) => {
        const { due, told, resynced, setBack, lag } = reports[index]!
        return [
          `${client.name}: ${client.describe()}`,
          `${client.name}: of ${due} deletes ${told} told as DELETED (after ${lag.join(' / ')} ms: p50 / p99 / longest), ${resynced} by a RESYNC; ${setBack} objects gone for a while by one`,
          ...[...client.resyncReasons].map(([why, times]) => `${client.name}: ${times} × RESYNC: ${why}`),
          ...[...client.endings].map(([why, times]) => `${client.name}: ${times} × ended: ${why}`),
        ]
      }),
    ],
  }
}

interface Scene {
  readonly clusters: readonly StormyCluster[]
  readonly clients: readonly CheckerClient[]
  readonly replicas: ReplicaSet
  readonly redis: RedisServer
  readonly faults: Record<Fault | 'cut', number>
  readonly failures: string[]
  /** Milliseconds. */
  readonly takeovers: number[]
  readonly log: (line: string) => void
}

/** Resolves when what was hurt is whole again: two faults at a time are cuts and one other. */
async function happen(scene: Scene, { fault, target, downMs }: Step): Promise<void> {
  const { clusters, clients, replicas, redis, log } = scene
  const cluster = clusters[target % clusters.length]!
  const client = clients[target % clients.length]!
  switch (fault) {
    case 'client-replica': {
      const replica = replicas.replicas[client.replica]!
      log(`${replica.name}, which ${client.name} is on, is killed for ${downMs} ms`)
      await killed(replica, downMs)
      break
    }
    case 'owner': {
      const replica = await replicas.ownerOf(cluster.name)
      log(`${replica.name}, which owns ${cluster.name}, is killed`)
      await replica.kill()
      await oneWatchPerKindAgain(cluster, replicas, TAKEN_OVER_MS).then(
        (ms) => scene.takeovers.push(ms),
        (error: Error) => scene.failures.push(`after its owner died: ${error.message}`),
      )
      await replica.start()
      break
    }
    case 'redis-restart':
      log(`Redis is killed for ${downMs} ms, and comes back empty`)
      await redis.kill()
      await pause(downMs)
      await redis.start()
      break
    case 'redis-freeze':
      log(`Redis is frozen for ${downMs} ms`)
      redis.freeze()
      await pause(downMs)
      redis.thaw()
      break
    case 'api-server':
      log(`the API server of ${cluster.name} is killed for ${downMs} ms`)
      await cluster.kill()
      await pause(downMs)
      await cluster.revive()
      break
    case 'compaction':
      log(`${cluster.name} forgets its history`)
      await cluster.forget()
      break
  }
}

async function killed(replica: Replica, downMs: number): Promise<void> {
  await replica.kill()
  await pause(downMs)
  await replica.start()
}

async function cutConnections(
  { clients, faults }: Scene,
  plan: ReturnType<typeof cuts>,
  signal: AbortSignal,
): Promise<void> {
  for (const { client, restMs } of plan) {
    await pause(restMs, signal)
    if (signal.aborted) return
    clients[client % clients.length]!.cut()
    faults.cut += 1
  }
}

/** How long a fault lasts is what is tested here. */
async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal && { signal }).catch(() => undefined)
}

function total(reports: readonly ChurnReport[], what: 'done' | 'failed'): number {
  return reports.flatMap((report) => Object.values(report[what])).reduce((sum, times) => sum + times, 0)
}
