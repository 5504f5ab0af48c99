/**
 * Real redis-servers of a test's own, on spare ports, without persistence: one of them, or a Redis Cluster of
 * three. With fault verbs: frozen, killed, started again on the same port with all data lost.
 *
 * `close()` leaves no process, port or file behind; where the test process dies without it, a reaper does
 * the same. Nothing listens beyond 127.0.0.1.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { eventually } from './eventually.ts'
import { type Reaper, startReaper } from './reaper.ts'
import { sparePort } from './spare-port.ts'

export interface RedisServer {
  readonly port: number
  /** `redis://127.0.0.1:PORT`; the same after a restart. */
  readonly url: string
  /** Where it runs; removed with `close`. */
  readonly directory: string
  /** It does nothing; connections stay open, and what is sent waits. */
  freeze(): void
  thaw(): void
  /** By SIGKILL; resolves when it is gone, and everything that it held. */
  kill(): Promise<void>
  /** After `kill`: empty, on the same port. */
  start(): Promise<void>
  /** A look into it, over a connection that does not stay. Only where it asks for no password and no TLS. */
  ask<T>(look: (redis: Redis) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** Resolves when it accepts connections. `args` as on the command line, with `%port` for its port. */
export async function startRedisServer(...args: readonly string[]): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-redis-'))
  const reaper = startReaper(directory)
  const port = await sparePort()
  let child: ChildProcess | undefined
  const start = async () => {
    child = await launch(port, directory, args, reaper)
  }
  const kill = async () => {
    const ending = child
    child = undefined
    if (!ending?.pid || ending.exitCode !== null || ending.signalCode !== null) return
    const exited = once(ending, 'exit')
    ending.kill('SIGKILL')
    await exited
    reaper.drop(ending.pid)
  }
  try {
    await start()
  } catch (error) {
    reaper.close()
    throw error
  }
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    directory,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    kill,
    start,
    async ask(look) {
      const redis = new Redis({ host: '127.0.0.1', port, connectionName: 'test' })
      try {
        return await look(redis)
      } finally {
        redis.disconnect()
      }
    },
    async close() {
      await kill()
      reaper.close()
    },
  }
}

async function launch(
  port: number,
  directory: string,
  args: readonly string[],
  reaper: Reaper,
): Promise<ChildProcess> {
  const given = args.map((arg) => arg.replaceAll('%port', String(port)))
  const ports = given.includes('--port') ? [] : ['--port', String(port)]
  const fixed = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory]
  const child = spawn('redis-server', [...ports, ...fixed, ...given], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // Without the program there is no output either, which says so below.
  child.on('error', () => {})
  if (child.pid) reaper.add(child.pid)
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (/Ready to accept connections|Sentinel ID is/.test(line)) {
      child.stdout.resume()
      return child
    }
  }
  throw new Error(
    `redis-server did not start (Debian package redis-server, installed by npm test):\n${lines.join('\n')}`,
  )
}

export interface RedisCluster {
  readonly nodes: readonly RedisServer[]
  /** `redis-cluster://` with all nodes. */
  readonly url: string
  close(): Promise<void>
}

const SLOTS = 16_384

/** Three masters without replicas, each with a third of the slots. Resolves when all of them know it. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const nodes: RedisServer[] = []
  const close = async () => {
    await Promise.all(nodes.map((node) => node.close()))
  }
  try {
    const buses: number[] = []
    for (let i = 0; i < 3; i++) {
      const bus = await sparePort()
      buses.push(bus)
      nodes.push(await startRedisServer('--cluster-enabled', 'yes', '--cluster-port', String(bus)))
    }
    for (const [i, node] of nodes.entries()) {
      const first = Math.round((SLOTS * i) / nodes.length)
      const last = Math.round((SLOTS * (i + 1)) / nodes.length) - 1
      await node.ask(async (redis) => {
        await redis.call('CLUSTER', 'ADDSLOTSRANGE', first, last)
        await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
        await redis.call('CLUSTER', 'MEET', '127.0.0.1', nodes[0]!.port, buses[0]!)
      })
    }
    await eventually(async () => {
      for (const node of nodes) {
        const info = await node.ask(async (redis) => String(await redis.call('CLUSTER', 'INFO')))
        if (!info.includes('cluster_state:ok')) throw new Error(`the Redis Cluster is not well:\n${info}`)
      }
    })
  } catch (error) {
    await close()
    throw error
  }
  const hosts = nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')
  return { nodes, url: `redis-cluster://${hosts}`, close }
}
