/**
 * The contract of the feed: whatever befalls the API server, once it is over every table of the cluster
 * equals a fresh list of it, row by row, for every kind – and while it lasts, the tables say so.
 *
 * Run against the simulator and against real control planes, watched by the fleet itself and followed
 * through Redis; a server without one of the fault verbs says why.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFleet, type Cluster, type Fleet } from '../../../src/fleet/fleet.ts'
import { define } from '../../../src/fleet/sources/definition.ts'
import type { ClusterSource } from '../../../src/fleet/sources/source.ts'
import type { Connection } from '../../../src/kubernetes/connection.ts'
import { ALL_KINDS, KINDS, resourcePath } from '../../../src/kubernetes/kinds.ts'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import type { Kind, Row } from '../../../src/kubernetes/rows.ts'
import { eventually } from '../../support/eventually.ts'
import type { KubernetesHttp } from '../../support/kubernetes-http.ts'
import { type Churn, startChurn } from './churn.ts'

export interface FeedServer {
  /** Not with the credential of the gateway's connection. */
  readonly http: KubernetesHttp
  /** With a token file. */
  readonly connection: Connection
  /** Ends the server at once, connections and all. */
  kill(): Promise<void>
  /** Starts it again, on the same port. */
  revive(): Promise<void>
  /** Connections stay open, and nothing is answered. */
  freeze(): void
  thaw(): void
  /** From then on every version of before answers 410; watches may end. */
  expireHistory(): Promise<void>
  /** Writes another token to the token file, and ends the one before. */
  rotateToken(): Promise<void>
  /** Only where the server can do it by itself. */
  readonly faults?: {
    dropWatches(): void
    delay(ms: number): void
    fail(status: number, options: { readonly forMs: number; readonly retryAfterSeconds?: number }): void
    clear(): void
  }
  /** Lists that the gateway asked for so far, where the server streams lists and can tell who asked. */
  lists?(): Promise<number>
  close(): Promise<void>
}

export interface FeedSuiteOptions {
  /** How long the server stays frozen, and how long objects change in each test; milliseconds. */
  readonly frozenMs: number
  readonly churnMs: number
  /** Changes a second. */
  readonly churnRate: number
  /** Of each test. */
  readonly timeoutMs: number
  /** Begins the feed under test; default: a fleet that watches. The source may be made several times. */
  start?(source: () => ClusterSource): Promise<FedFleet>
}

export interface FedFleet {
  readonly fleet: Fleet
  close(): Promise<void>
}

const NO_FAULTS = 'a real API server has no such verb'

export function describeFeed(
  name: string,
  start: () => Promise<FeedServer>,
  options: FeedSuiteOptions,
): void {
  describe(`the feed of ${name}`, { timeout: options.timeoutMs }, () => {
    let server: FeedServer
    let fed: FedFleet
    let churn: Churn

    beforeAll(async () => {
      server = await start()
      const source = () => sourceOf(server.connection)
      fed = await (options.start?.(source) ?? watched(source()))
      churn = await startChurn(server.http, options.churnRate)
    }, 120_000)

    afterAll(async () => {
      await churn?.close()
      await fed?.close()
      await server?.close()
    }, 60_000)

    const cluster = (): Cluster => {
      const [found] = fed.fleet.clusters
      if (!found) throw new Error('the fleet has no cluster yet')
      return found
    }
    const equal = () => expectEqual(cluster(), server.http)
    const states = () => new Set(served(cluster()).map((kind) => cluster().table(kind).status.state))
    /** Lets objects change while `fault` happens, and for a while afterwards. */
    const during = async (fault: () => Promise<void>) => {
      churn.begin()
      try {
        await churn.changes(5)
        await fault()
        await churn.lasting(options.churnMs)
      } finally {
        await churn.pause()
      }
    }

    it('brings every kind that the cluster serves', async () => {
      await equal()
      expect(states()).toEqual(new Set(['CURRENT']))
      expect(cluster().health).toMatchObject({ state: 'UP' })
      expect(cluster().table('Namespace').get('', 'default')?.phase).toBe('Active')
    })

    it('lists nothing where the server streams lists', async (context) => {
      if (!server.lists) return context.skip('this server cannot tell who asked')
      expect(await server.lists()).toBe(0)
    })

    it('follows objects that are made, changed and deleted all the time', async () => {
      await during(() => churn.changes(60))
      await equal()
      expect(churn.done).toBeGreaterThan(0)
    })

    it('goes on after the server was killed and started again', async () => {
      await during(async () => {
        await server.kill()
        await eventually(() => expect(cluster().health.state).toBe('DOWN'), { timeoutMs: 20_000 })
        expect(states()).toEqual(new Set(['STALE']))
        expect(cluster().table('Namespace').size).toBeGreaterThan(0)
        await server.revive()
        await eventually(() => expect(cluster().health.state).toBe('UP'), { timeoutMs: 60_000 })
      })
      await equal()
      await eventually(() => expect(states()).toEqual(new Set(['CURRENT'])), { timeoutMs: 30_000 })
    })

    it('finds a frozen server within 15 seconds, and goes on when it thaws', async () => {
      await during(async () => {
        const frozenAt = performance.now()
        server.freeze()
        try {
          await eventually(() => expect(cluster().health.state).toBe('DOWN'), { timeoutMs: 17_000 })
          expect(performance.now() - frozenAt).toBeLessThan(16_000)
          expect(states()).toEqual(new Set(['STALE']))
          const left = options.frozenMs - (performance.now() - frozenAt)
          if (left > 0) await new Promise((resolve) => setTimeout(resolve, left))
        } finally {
          server.thaw()
        }
        await eventually(() => expect(cluster().health.state).toBe('UP'), { timeoutMs: 60_000 })
      })
      await equal()
      await eventually(() => expect(states()).toEqual(new Set(['CURRENT'])), { timeoutMs: 30_000 })
    })

    it('relists where the server has forgotten the version that it knows', async () => {
      await during(() => server.expireHistory())
      await equal()
    })

    it('reads a rotated token, also for the watches that end with the old one', async () => {
      await during(async () => {
        await server.rotateToken()
        await server.kill()
        await server.revive()
      })
      await equal()
      await eventually(() => expect(states()).toEqual(new Set(['CURRENT'])), { timeoutMs: 30_000 })
    })

    const faulty = (title: string, test: (faults: NonNullable<FeedServer['faults']>) => Promise<void>) =>
      it(title, async (context) => {
        if (!server.faults) return context.skip(NO_FAULTS)
        await test(server.faults)
      })

    faulty('loses nothing when watches are torn, again and again', async (faults) => {
      await during(async () => {
        for (let i = 0; i < 5; i++) {
          faults.dropWatches()
          await churn.changes(5)
        }
      })
      await equal()
    })

    faulty('keeps up with a slow server', async (faults) => {
      try {
        faults.delay(300)
        await during(async () => faults.dropWatches())
        await equal()
      } finally {
        faults.clear()
      }
    })

    faulty('waits for a server that is busy or broken', async (faults) => {
      try {
        await during(async () => {
          faults.fail(429, { forMs: 1_000, retryAfterSeconds: 1 })
          faults.dropWatches()
          await churn.lasting(1_500)
          faults.fail(500, { forMs: 1_000 })
          faults.dropWatches()
        })
      } finally {
        faults.clear()
      }
      await eventually(() => expect(states()).toEqual(new Set(['CURRENT'])), { timeoutMs: 60_000 })
      await equal()
    })
  })
}

async function watched(source: ClusterSource): Promise<FedFleet> {
  const fleet = createFleet({ sources: [source] })
  return { fleet, close: () => fleet.close() }
}

function sourceOf(connection: Connection): ClusterSource {
  return {
    description: 'test',
    start: (onChange) => queueMicrotask(() => onChange([define(connection, {}, 'test', {})], [])),
    close() {},
  }
}

/** Kinds that the cluster has said to serve, or not said anything of yet. */
function served(cluster: Cluster): Kind[] {
  return ALL_KINDS.filter((kind) => cluster.table(kind).status.problem?.code !== 'NOT_SERVED')
}

/** Polls, because the controllers of the cluster are never quite done; fails with the first difference. */
async function expectEqual(cluster: Cluster, http: KubernetesHttp): Promise<void> {
  for (const kind of ALL_KINDS) {
    await eventually(
      async () => expect(rowsOf(cluster, kind)).toEqual(await freshRows(cluster, http, kind)),
      {
        timeoutMs: 45_000,
        everyMs: 100,
      },
    )
  }
}

const keyOf = ({ namespace, name }: Row) => `${namespace}/${name}`

function rowsOf(cluster: Cluster, kind: Kind): ReadonlyMap<string, Row> {
  return new Map(Array.from(cluster.table(kind).rows().all(), (row) => [keyOf(row), row]))
}

async function freshRows(
  cluster: Cluster,
  http: KubernetesHttp,
  kind: Kind,
): Promise<ReadonlyMap<string, Row>> {
  const { group, versions, resource } = KINDS[kind]
  for (const version of versions) {
    const { status, body } = await http.get(resourcePath({ group, version, resource }))
    if (status === 404) continue
    expect(status, body.message).toBe(200)
    const rows = body.items.map((item) => project(kind)(item, cluster.name))
    return new Map(rows.map((row) => [keyOf(row), row]))
  }
  // Not served: then the table has no rows, and says why.
  expect(cluster.table(kind).status.problem?.code).toBe('NOT_SERVED')
  return new Map()
}
