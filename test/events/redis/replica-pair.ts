/**
 * Replicas of one cluster with a real Redis between them, in one process: each has tables of its own and
 * connections of its own, as replicas have. The test plays the watch of the owner, and the lease.
 */
import type { Redis } from 'ioredis'
import { expect } from 'vitest'
import { ClusterFollower, type ClusterFollowerOptions } from '../../../src/events/redis/cluster-follower.ts'
import {
  ClusterPublisher,
  type ClusterPublisherOptions,
} from '../../../src/events/redis/cluster-publisher.ts'
import { connectRedis, type RedisConnection } from '../../../src/events/redis/connection.ts'
import { clusterKeys } from '../../../src/events/redis/keys.ts'
import { type Journal, Journals } from '../../../src/events/journal.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { Turns } from '../../../src/fleet/ingest-turns.ts'
import type { Change } from '../../../src/fleet/table.ts'
import { ALL_KINDS } from '../../../src/kubernetes/kinds.ts'
import type { Kind, PodRow, Row } from '../../../src/kubernetes/rows.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeCluster } from '../../support/fake-fleet.ts'

const CLUSTER = 'prod'
export const KEYS = clusterKeys('test', CLUSTER)

/** One process' side: a cluster's tables, and connections to Redis. */
export class Replica {
  readonly cluster = new FakeCluster(CLUSTER)
  readonly link: RedisConnection
  readonly errors: Error[] = []
  fenced = 0
  readonly #closing: (() => void)[] = []

  constructor(link: RedisConnection) {
    this.link = link
  }

  /** Resolves when Redis answers. */
  static async connect(url: string): Promise<Replica> {
    const link = connectRedis(url, {
      clock: systemClock,
      prefix: 'test',
      name: 'replica',
      commandTimeoutMs: 1_000,
      awayMs: 1_500,
      probeMs: 200,
      reconnectMs: 100,
    })
    const ready = Promise.withResolvers<void>()
    link.onState(({ status }) => status === 'READY' && ready.resolve())
    await ready.promise
    return new Replica(link)
  }

  /** Takes the lease by force, as `epoch`, and publishes. */
  async publish(epoch: number, options: Partial<ClusterPublisherOptions> = {}): Promise<ClusterPublisher> {
    const token = `token-${epoch}`
    await this.link.commands.set(KEYS.lease, token, 'PX', 600_000)
    const publisher = new ClusterPublisher({
      link: this.link,
      target: this.cluster,
      token,
      epoch,
      clock: systemClock,
      onFenced: () => this.fenced++,
      onError: (error) => this.errors.push(error),
      heartbeatMs: 100,
      ...options,
    })
    this.#closing.push(() => publisher.close())
    await publisher.start()
    return publisher
  }

  follow(options: Partial<ClusterFollowerOptions> = {}): ClusterFollower {
    const follower = new ClusterFollower({
      link: this.link,
      target: this.cluster,
      clock: systemClock,
      onError: (error) => this.errors.push(error),
      ...options,
    })
    this.#closing.push(() => follower.close())
    follower.start()
    return follower
  }

  get pods() {
    return this.cluster.table('Pod')
  }

  /** Makes these the whole content of the table of pods. */
  sync(rows: readonly PodRow[], resourceVersion = '100'): void {
    this.cluster.apply('Pod', { type: 'Init' }, ...rows.map((row) => ({ type: 'InitApply', row }) as const), {
      type: 'InitDone',
      resourceVersion,
    })
  }

  /** The changes of pods from now on. */
  record(): Change<'Pod'>[] {
    const changes: Change<'Pod'>[] = []
    this.pods.onChange((change) => changes.push(change))
    return changes
  }

  /** The journal of pods from now on, as the hub keeps it. */
  journal(): Journal {
    const { pods } = this
    const journal = new Journals(systemClock).open(pods)
    pods.onChange((change) => void journal.record(change))
    pods.onRelist((from, to) => journal.relisted(from, to))
    return journal
  }

  async close(): Promise<void> {
    for (const close of this.#closing) close()
    await this.link.close()
  }
}

/** Turns of the event loop that have time for few rows only. */
export function shortTurns(): Turns {
  let now = 0
  return new Turns({ sliceMs: 3, now: () => ++now })
}

/** What a table shows, in a form that two replicas may be compared by; rows as text, each by its key. */
export function shown({ cluster }: Replica, kind: Kind = 'Pod') {
  const table = cluster.table(kind)
  const { state, problem, resourceVersion } = table.status
  return {
    state,
    problem,
    resourceVersion,
    rows: Array.from(table.rows().all(), (row: Row) => JSON.stringify(row)),
  }
}

/** Resolves when the follower's tables show what the owner's do. */
export async function same(follower: Replica, owner: Replica, timeoutMs = 20_000): Promise<void> {
  for (const kind of ALL_KINDS) {
    await eventually(
      () => {
        const tables = [follower, owner].map(({ cluster }) => cluster.table(kind))
        // Cheap things first, since this is asked again and again.
        const [near, far] = tables.map(({ size, status: { state, resourceVersion } }) => ({
          size,
          state,
          resourceVersion,
        }))
        expect(near, kind).toEqual(far)
        expect(shown(follower, kind), kind).toEqual(shown(owner, kind))
      },
      { timeoutMs },
    )
  }
}

/** The generation of pods that is in Redis; `''`: none. */
export async function publishedGeneration(look: Redis): Promise<string> {
  return generationOf((await look.hget(KEYS.state, 'Pod')) ?? '')
}

/** Of a position. */
export function generationOf(position: string): string {
  return position.split(' ')[0]!
}
