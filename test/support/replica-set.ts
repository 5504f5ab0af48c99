/**
 * Several replicas of the gateway as processes, over the same clusters and one Redis. Each keeps its port
 * when it is started again, so that clients can come back to it.
 *
 * Who owns a cluster is read from their logs.
 */
import { eventually } from './eventually.ts'
import { startGatewayProcess, type GatewayProcess } from './gateway-process.ts'
import { sparePort } from './spare-port.ts'
import type { TestToken } from './test-tokens.ts'

export interface Replica {
  readonly name: string
  /** `http://127.0.0.1:PORT/graphql`; the same after a restart. */
  readonly url: string
  /** Of its life now, or of the last one. */
  readonly gateway: GatewayProcess
  readonly running: boolean
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves with the exit code when it has drained. */
  stop(): Promise<number | null>
  /** Resolves when it listens again. */
  start(): Promise<void>
}

export interface ReplicaSetOptions {
  /** Default 3. */
  readonly replicas?: number
  readonly redisUrl: string
  /** Of every replica, beside `redis.url` and the port. */
  readonly config: Readonly<Record<string, unknown>>
  /** Who can sign in, beside the administrator; unless the configuration says it. */
  readonly tokens?: readonly TestToken[]
}

export interface ReplicaSet {
  readonly replicas: readonly Replica[]
  readonly urls: readonly string[]
  /** The replica that runs and watches the cluster for all, as soon as it is one alone; default 30 s. */
  ownerOf(cluster: string, timeoutMs?: number): Promise<Replica>
  /** SIGTERM to all that run; resolves with their exit codes. */
  close(): Promise<readonly (number | null)[]>
}

export async function startReplicaSet(options: ReplicaSetOptions): Promise<ReplicaSet> {
  const { replicas: count = 3, redisUrl, config, tokens } = options
  const started = await Promise.allSettled(
    Array.from({ length: count }, (_, index) => startReplica(`replica-${index}`, redisUrl, config, tokens)),
  )
  const replicas = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const stopAll = (): Promise<(number | null)[]> =>
    Promise.all(replicas.filter(({ running }) => running).map((replica) => replica.stop()))
  const failed = started.find((each) => each.status === 'rejected')
  if (failed) {
    await stopAll()
    throw failed.reason
  }
  return {
    replicas,
    urls: replicas.map(({ url }) => url),
    ownerOf: (cluster, timeoutMs = 30_000) =>
      eventually(
        () => {
          const owners = replicas.filter((replica) => replica.running && owns(replica, cluster))
          if (owners.length === 1) return owners[0]!
          const names = owners.map(({ name }) => name).join(', ')
          throw new Error(`${cluster} is owned by ${names === '' ? 'nobody' : names}`)
        },
        { timeoutMs, everyMs: 100 },
      ),
    close: stopAll,
  }
}

function owns({ gateway }: Replica, cluster: string): boolean {
  const said = gateway.log.findLast((entry) => entry['cluster'] === cluster && 'owned' in entry)
  return said?.['owned'] === true
}

async function startReplica(
  name: string,
  redisUrl: string,
  config: Readonly<Record<string, unknown>>,
  tokens: readonly TestToken[] = [],
): Promise<Replica> {
  const { redis, server, ...rest } = config as { readonly redis?: object; readonly server?: object }
  const port = await sparePort()
  const launch = (): Promise<GatewayProcess> =>
    startGatewayProcess(
      {
        ...rest,
        redis: { url: redisUrl, ...redis },
        server: { shutdownGraceSeconds: 5, ...server, port },
      },
      tokens,
    )
  let gateway = await launch()
  const { url } = gateway
  let running = true
  return {
    name,
    url,
    get gateway() {
      return gateway
    },
    get running() {
      return running
    },
    async kill() {
      running = false
      process.kill(gateway.pid, 'SIGKILL')
      await gateway.close()
    },
    async stop() {
      running = false
      return gateway.close()
    },
    async start() {
      gateway = await launch()
      running = true
    },
  }
}
