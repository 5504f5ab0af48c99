/**
 * The real server over the real schema and a populated fleet in memory, as a process of its own, so that an attack
 * that ended it, or held up its loop, is seen from outside. Whoever shows a token that begins with `user-` is
 * the user of that name; any other token is no good.
 *
 * Run by `startAttackedServer`; told its options by its argument, and asked by IPC.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { AuditLog } from '../../src/access/audit/audit.ts'
import { AuthenticationError, type Credentials } from '../../src/access/authentication/authenticator.ts'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf, type Viewer } from '../../src/access/viewer.ts'
import { Hub } from '../../src/events/hub.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { giveHeapRoom } from '../../src/heap.ts'
import type { Logger } from '../../src/server/logger.ts'
import { startServer, type ServerSetup } from '../../src/server/server.ts'
import { syntheticPod } from '../bench/support/pods.ts'
import { FakeCluster, FakeFleet } from './fake-fleet.ts'

export interface AttackedOptions {
  readonly options?: ServerSetup['options']
  /** Pods in each of three clusters. Default 200. */
  readonly pods?: number
}

type AuditRecord = Parameters<AuditLog['record']>[0]

interface Told {
  readonly rss: number
  /** Every line at debug and above, as JSON. */
  readonly log: readonly string[]
  readonly records: readonly AuditRecord[]
}

export interface AttackedServer {
  readonly url: string
  readonly port: number
  /** What it has written so far. */
  tell(): Promise<Told>
  /** Microseconds of CPU that it has used so far. */
  cpuMicros(): Promise<number>
  /** Whether the process is the one that was started. */
  readonly alive: boolean
  close(): Promise<void>
}

/** What its users may know, and no log, answer or record may hold. */
export const tokenOf = (user: string) => `user-${user}`

export async function startAttackedServer(options: AttackedOptions = {}): Promise<AttackedServer> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(options)], {
    env: { ...process.env, ATTACKED_SERVER: '1' },
  })
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  const ask = async <T>(question: 'tell' | 'cpu'): Promise<T> => {
    const answer = once(child, 'message') as Promise<[T]>
    child.send(question)
    return (await answer)[0]
  }
  return {
    url,
    port: Number(new URL(url).port),
    get alive() {
      return child.exitCode === null && child.signalCode === null
    },
    tell: () => ask('tell'),
    cpuMicros: () => ask('cpu'),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.disconnect()
      await exit
    },
  }
}

/** Errors with all that they say. */
function whole(_key: string, value: unknown): unknown {
  return value instanceof Error ? { message: value.message, stack: value.stack, cause: value.cause } : value
}

async function serve({ options, pods = 200 }: AttackedOptions): Promise<void> {
  giveHeapRoom()
  const fleet = new FakeFleet(
    ...['prod-eu', 'prod-us', 'staging'].map((name, cluster) => {
      const objects = Array.from({ length: pods }, (_, i) => syntheticPod(cluster * pods + i))
      return new FakeCluster(name).load(
        'Pod',
        objects.map((pod) => JSON.parse(JSON.stringify(pod)) as object),
      )
    }),
  )
  const hub = new Hub({ fleet, clock: systemClock, limits: { queue: 1_024 }, onFailure: () => {} })
  const viewers = new Map<string, Viewer>()
  const nameIn = ({ headers, connectionParams }: Credentials): string | undefined => {
    const shown = headers.authorization ?? connectionParams?.['authorization']
    return typeof shown === 'string' ? /^Bearer user-(\w+)$/.exec(shown)?.[1] : undefined
  }
  const viewer = (name: string): Viewer => {
    const known = viewers.get(name) ?? viewerOf({ name, groups: [] }, { method: 'TOKEN', issuer: 'tokens' })
    viewers.set(name, known)
    return known
  }
  const log: string[] = []
  const write = (fields: object, message: string) => {
    if (log.length < 200_000) log.push(JSON.stringify({ ...fields, message }, whole))
  }
  const logger: Logger = {
    isLevelEnabled: () => process.env['ATTACKED_QUIET'] === undefined,
    debug: write,
    info: write,
    warn: write,
    error: write,
  }
  const records: AuditRecord[] = []
  const { url } = await startServer({
    schema: createSchema(),
    policy: everything,
    anonymous: false,
    fleet,
    logger,
    audit: { record: (record) => void (records.length < 100_000 && records.push(record)) },
    access: {
      known: (credentials) => viewers.get(nameIn(credentials) ?? ''),
      authenticate(credentials) {
        const name = nameIn(credentials)
        if (name === undefined) throw new AuthenticationError('UNAUTHENTICATED', 'Sign in.')
        return viewer(name)
      },
      onEnd: () => () => {},
      contextFor: (viewer, signal) =>
        createContext(new AuthorizedFleet(fleet, viewer, everything, hub), signal),
    },
    options: { port: 0, ...options },
  })
  process.on('disconnect', () => process.exit(0))
  process.on('message', (question) => {
    const { user, system } = process.cpuUsage()
    if (question === 'cpu') process.send!(user + system)
    else process.send!({ rss: process.memoryUsage.rss(), log, records } satisfies Told)
  })
  process.send!({ url })
}

if (process.env['ATTACKED_SERVER'] && process.argv[2] !== undefined) {
  await serve(JSON.parse(process.argv[2]) as AttackedOptions)
}
