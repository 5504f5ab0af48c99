/**
 * A fleet that is changed through several replicas of the gateway: simulated clusters in this process, real replicas
 * and a real Redis in others. With clients as one writes them who may not do a thing twice: they try again at another
 * replica, with the same key, whenever they have not heard what came of it.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import type { KubeObject, KubeObjectInput, ResourceKey } from '../../src/simulator/registry.ts'
import { startSimulator, type Simulator } from '../../src/simulator/simulator.ts'
import { eventually } from './eventually.ts'
import type { GraphQLAnswer } from './gateway-process.ts'
import { startRedisServer, type RedisServer } from './redis-server.ts'
import { startReplicaSet, type Replica, type ReplicaSet } from './replica-set.ts'
import { kubeconfigDirectory } from './stormy-cluster.ts'
import { ADMIN, type TestToken } from './test-tokens.ts'

export const DEPLOYMENTS: ResourceKey = { group: 'apps', resource: 'deployments' }
export const JOBS: ResourceKey = { group: 'batch', resource: 'jobs' }
const CRON_JOBS: ResourceKey = { group: 'batch', resource: 'cronjobs' }
const NAMESPACES: ResourceKey = { group: '', resource: 'namespaces' }
export const NAMESPACE = 'shop'

export interface ChangingWorld {
  readonly clusters: readonly Simulator[]
  readonly redis: RedisServer
  readonly set: ReplicaSet
  /** All replicas run, and show every cluster whole. */
  untilCurrent(): Promise<void>
  close(): Promise<void>
}

/**
 * In each cluster there is the namespace `shop`, to be filled by `furnish`; nobody in the clusters acts by themselves, so
 * that whatever changes was changed through the gateway.
 */
export async function startChangingWorld(
  names: readonly string[],
  config: Readonly<Record<string, unknown>>,
  tokens: readonly TestToken[],
): Promise<ChangingWorld> {
  const open: { close(): Promise<unknown> }[] = []
  const keep = <T extends { close(): Promise<unknown> }>(one: T): T => {
    open.push(one)
    return one
  }
  const close = async (): Promise<void> => {
    for (const each of open.splice(0).toReversed()) await each.close()
  }
  try {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }
    const objects = [{ key: NAMESPACES, object: namespace }]
    const clusters = await Promise.all(
      names.map(async (name) => keep(await startSimulator({ name, objects }))),
    )
    const redis = keep(await startRedisServer())
    const kubeconfigs = clusters.map((cluster) => ({
      name: cluster.name,
      kubeconfig: JSON.stringify(cluster.kubeconfig()),
    }))
    const { path } = keep(kubeconfigDirectory(kubeconfigs))
    const set = keep(
      await startReplicaSet({
        redisUrl: redis.url,
        config: { ...config, clusters: [{ type: 'directory', path }] },
        tokens,
      }),
    )
    const world: ChangingWorld = {
      clusters,
      redis,
      set,
      async untilCurrent() {
        for (const replica of set.replicas) if (!replica.running) await replica.start()
        await eventually(
          async () => {
            for (const { url, name } of set.replicas) {
              const answer = await fetch(url.replace('/graphql', '/readyz'))
              const { clusters: shown } = (await answer.json()) as {
                clusters: { total: number; current: number }
              }
              if (shown.total === names.length && shown.current === names.length) continue
              throw new Error(`${name} shows ${shown.current} clusters of ${shown.total}`)
            }
          },
          { timeoutMs: 30_000, everyMs: 50 },
        )
      },
      close,
    }
    await world.untilCurrent()
    return world
  } catch (error) {
    await close()
    throw error
  }
}

export function deployment(name: string, image: string, replicas: number): KubeObjectInput {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'app', image }] },
      },
    },
  }
}

export function createCronJob({ registry }: Simulator, name: string): void {
  const containers = [{ name: 'app', image: 'shop/report:1' }]
  registry.create(CRON_JOBS, {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      schedule: '0 0 1 1 *',
      jobTemplate: { spec: { template: { spec: { restartPolicy: 'Never', containers } } } },
    },
  })
}

/** What a cluster holds of it, past the gateway. */
export function objectIn({ registry }: Simulator, key: ResourceKey, name: string): KubeObject {
  const found = registry.get(key, NAMESPACE, name)
  if (!found) throw new Error(`There is no ${key.resource} ${name}.`)
  return found
}

/** Tells of each change of these objects, in the moment in which it is made. Returns the end of it. */
export function onChange(
  clusters: readonly Simulator[],
  key: ResourceKey,
  listener: (object: KubeObject, cluster: string) => void,
): () => void {
  const stops = clusters.map(({ name, registry }) =>
    registry.onCommit((commit) => {
      if (commit.key.resource === key.resource && commit.key.group === key.group)
        listener(commit.object, name)
    }),
  )
  return () => {
    for (const stop of stops) stop()
  }
}

/** What a client may be told that has heard nothing of its request: it tries again with the same key. */
const AGAIN = new Set(['UNAVAILABLE', 'SHUTTING_DOWN', 'INTERRUPTED', 'LIMIT_EXCEEDED'])
const TRIES = 60

interface Heard<T> {
  readonly data: T
  /** Requests that it took. */
  readonly tries: number
}

/** Asks this replica, and others as long as it does not hear what came of it. Throws what else is answered. */
export async function insist<T>(
  replicas: readonly Replica[],
  first: number,
  query: string,
  variables: Readonly<Record<string, unknown>> = {},
  token: string = ADMIN.token,
): Promise<Heard<T>> {
  let last: unknown
  for (let tries = 1; tries <= TRIES; tries++) {
    const replica = replicas[(first + tries - 1) % replicas.length]!
    if (tries > 1) await pause(Math.min(20 * tries, 200))
    let answer: GraphQLAnswer<T>
    try {
      answer = await replica.gateway.ask<T>(query, variables, token)
    } catch (error) {
      last = error
      continue
    }
    const { data, errors } = answer
    if (data && !errors) return { data, tries }
    last = errors
    const code = errors?.[0]?.extensions?.code ?? ''
    if (!AGAIN.has(code)) throw new Error(JSON.stringify(errors))
  }
  throw new Error(`Nothing was heard in ${TRIES} requests: ${JSON.stringify(last)}, ${String(last)}`)
}

/**
 * Follows a subscription to its end over a WebSocket, at another replica whenever its connection breaks. What it was
 * told is in `told`; `connections` says over which replicas.
 */
export class Follower<T> {
  readonly told: T[] = []
  readonly connections: number[] = []
  /** Rejects with the errors that the subscription ends with. */
  readonly ended: Promise<void>
  readonly #dispose: () => void | Promise<void>
  #turn: number

  constructor(urls: readonly string[], first: number, query: string, variables: Record<string, unknown>) {
    this.#turn = first
    const client = createClient({
      url: () => urls[this.#turn++ % urls.length]!.replace(/^http/, 'ws'),
      webSocketImpl: WebSocket,
      retryAttempts: 200,
      retryWait: () => pause(100),
      shouldRetry: () => true,
      connectionParams: { authorization: `Bearer ${ADMIN.token}` },
      on: { connected: () => this.connections.push((this.#turn - 1) % urls.length) },
    })
    this.ended = new Promise((resolve, reject) => {
      client.subscribe<T>(
        { query, variables },
        {
          next: ({ data, errors }) => {
            if (data && !errors) this.told.push(data)
            else reject(new Error(JSON.stringify(errors)))
          },
          error: (error) => reject(error instanceof Error ? error : new Error(JSON.stringify(error))),
          complete: resolve,
        },
      )
    })
    // Whoever awaits it hears of it.
    this.ended.catch(() => {})
    this.#dispose = () => client.dispose()
  }

  async close(): Promise<void> {
    await this.#dispose()
  }
}
