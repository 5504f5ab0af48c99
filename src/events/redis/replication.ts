/**
 * Several replicas, one watch: decides for every cluster of the fleet whether this process watches it or
 * follows another that does, with a Redis between them. The fleet takes it as its `feeding`.
 *
 * While Redis is well, each cluster is watched by exactly one replica, the one that holds its lease; when
 * that one dies another does so within seconds. Nobody watches before Redis has decided. While Redis is away
 * owners go on and followers keep what they have; after `graceMs` they watch by themselves, and hand back
 * when Redis has decided anew.
 *
 * Redis counts as away for a cluster when nobody could be found to hold its lease for `awayMs`: that covers
 * a Redis that is unreachable, frozen, read-only, full, or that refuses our user, and single nodes of a
 * Redis Cluster. So it does where the holder is not heard of, though it renews its lease: it cannot publish.
 *
 * What replicas share is found by the identity of a cluster: where one of them has been told of another API
 * server under the same name already, each watches its own.
 *
 * Deliberately absent: how tables travel through Redis; see `cluster-publisher.ts` and `cluster-follower.ts`.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { type Clock, systemClock } from '../../fleet/clock.ts'
import type { Feeding, FeedingSession, FeedTarget } from '../../fleet/feeding.ts'
import {
  connectRedis,
  isUnconnected,
  type RedisConnection,
  RedisConnectionError,
  type RedisState,
} from './connection.ts'
import { Ownership, OWNERSHIP_TIMES, type OwnershipTimes } from './ownership.ts'
import { ReplicatedCluster } from './replicated-cluster.ts'

export interface ReplicationOptions {
  /** See `redis-url.ts`. */
  readonly url: string
  /** Of all keys and channels; replicas with another are another fleet. */
  readonly prefix: string
  /** PEM file with authorities to trust beside the system's. */
  readonly caFile?: string
  /** A name for this replica, for people who look into Redis. Default the host's. */
  readonly replica?: string
  readonly clock?: Clock
  /** How long Redis may be away until followers watch by themselves. Default 10,000. */
  readonly graceMs?: number
  /** In [0, 1); default `Math.random`. */
  readonly random?: () => number
  /** For the log: this replica is, or is not any more, the one that watches a cluster for all. */
  readonly onOwner?: (cluster: string, owned: boolean) => void
  /**
   * After each change of `state.redis.status`, and of what this replica is to a cluster; from when Redis has
   * answered first, or has not for too long.
   */
  readonly onState?: (state: ReplicationState) => void
  /** For the log; the same message not twice in a row. Holds no secret. */
  readonly onError?: (error: Error) => void
  /** For tests: shorter times. */
  readonly times?: Partial<ReplicationTimes>
}

/** Milliseconds. */
export interface ReplicationTimes extends OwnershipTimes {
  /** Redis counts as away after so long without an answer. */
  readonly awayMs: number
  readonly probeMs: number
  /** The longest wait between two attempts to connect; well below `returnMs`. */
  readonly reconnectMs: number
  /** How long Redis may delay a take-over or a hand-over. */
  readonly patienceMs: number
}

export interface ReplicationState {
  readonly redis: RedisState
  /** Replicas that are there, this one among them; 0 before Redis answered. */
  readonly replicas: number
  /** Watched here, for all. In order, like the others. */
  readonly owned: readonly string[]
  /** Watched by another, or by nobody yet. */
  readonly followed: readonly string[]
  /** Watched here for this replica alone, since Redis is away. */
  readonly direct: readonly string[]
}

const TIMES: ReplicationTimes = {
  ...OWNERSHIP_TIMES,
  awayMs: 5_000,
  probeMs: 1_000,
  reconnectMs: 1_000,
  patienceMs: 3_000,
}

interface Member {
  readonly name: string
  readonly cluster: ReplicatedCluster
  /** From when on its lease should have been decided; epoch milliseconds. */
  readonly since: number
}

export class Replication {
  readonly #options: ReplicationOptions
  readonly #clock: Clock
  readonly #times: ReplicationTimes
  readonly #startedAt: number
  readonly #connection: RedisConnection
  readonly #ownership: Ownership
  /** By identity. */
  readonly #clusters = new Map<string, Member>()
  #cancelTimer = () => {}
  /** When this process last went on after it stood still. */
  #resumedAt = -Infinity
  /** Whether it is known by now how Redis is. */
  #telling = false
  #lastError = ''
  #closing: Promise<void> | undefined

  /** Throws `RedisUrlError` where the URL or the CA file cannot be used; Redis itself may be away. */
  constructor(options: ReplicationOptions) {
    const { clock = systemClock, random = Math.random, replica = hostname(), prefix, caFile } = options
    this.#options = options
    this.#clock = clock
    this.#times = { ...TIMES, ...options.times }
    this.#startedAt = clock.now()
    const { awayMs, probeMs, commandMs, reconnectMs } = this.#times
    this.#connection = connectRedis(options.url, {
      clock,
      prefix,
      name: `fleetgraph:${replica.replaceAll(/[^\x21-\x7e]/g, '-')}`,
      ...(caFile !== undefined && { caFile }),
      awayMs,
      probeMs,
      reconnectMs,
      commandTimeoutMs: commandMs,
      onError: this.#onError,
    })
    this.#ownership = new Ownership({
      link: this.#connection,
      clock,
      // A replica that comes back under its name is another member: the one before may be going still.
      member: `${replica}~${randomBytes(4).toString('hex')}`,
      times: this.#times,
      random,
      onGranted: (identity, lease) => this.#clusters.get(identity)?.cluster.input({ type: 'GRANTED', lease }),
      onHeldByOther: (identity, silent) => {
        const { cluster } = this.#clusters.get(identity) ?? {}
        // Whoever watches because nothing is heard goes on until something is.
        if (!silent || cluster?.role !== 'DIRECT') cluster?.input({ type: 'HELD_BY_OTHER' })
      },
      handOver: async (identity) => this.#clusters.get(identity)?.cluster.handOver(),
      onError: this.#onError,
    })
    this.#connection.onState(() => {
      this.#ownership.look()
      this.#changed()
    })
    this.#watchOver()
  }

  readonly feeding: Feeding = (target) => this.#feed(target)

  get state(): ReplicationState {
    const owned: string[] = []
    const followed: string[] = []
    const direct: string[] = []
    for (const { name, cluster } of this.#clusters.values()) {
      const list = cluster.role === 'OWNER' ? owned : cluster.role === 'DIRECT' ? direct : followed
      list.push(name)
    }
    return {
      redis: this.#connection.state,
      replicas: this.#ownership.members.length,
      owned: owned.toSorted(),
      followed: followed.toSorted(),
      direct: direct.toSorted(),
    }
  }

  /**
   * Gives all clusters to others, without waiting for them, and leaves nothing in Redis that says that this
   * replica was there; no socket and no timer is left. Idempotent. Never rejects.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelTimer()
    await this.#ownership.leave()
    await Promise.all([...this.#clusters.keys()].map((identity) => this.#remove(identity)))
    await this.#ownership.close()
    await this.#connection.close()
  }

  #feed(target: FeedTarget): FeedingSession {
    // The fleet closes, too.
    if (this.#closing) return { close: async () => {} }
    const { name, identity } = target
    const { awayMs, patienceMs } = this.#times
    const now = this.#clock.now()
    const { heardAt } = this.#ownership
    const cluster = new ReplicatedCluster({
      link: this.#connection,
      target,
      clock: this.#clock,
      patienceMs,
      onRole: (role, before) => {
        if (role === 'OWNER' || before === 'OWNER') this.#options.onOwner?.(name, role === 'OWNER')
        this.#changed()
      },
      onFenced: () => this.#ownership.look(),
      onError: this.#onError,
    })
    // One that joins while Redis is away has waited with the others.
    const since = now - heardAt < awayMs ? now : Math.max(heardAt, this.#startedAt - awayMs)
    this.#clusters.set(identity, { name, cluster, since })
    this.#ownership.add(identity)
    this.#changed()
    return { close: () => this.#remove(identity) }
  }

  /** Others may have it when this resolves. */
  async #remove(identity: string): Promise<void> {
    const member = this.#clusters.get(identity)
    if (!member) return
    this.#clusters.delete(identity)
    await member.cluster.close()
    await this.#ownership.remove(identity)
    this.#changed()
  }

  /** Finds the clusters whose leases nobody could decide for too long. */
  #watchOver(): void {
    const { graceMs = 10_000 } = this.#options
    const { awayMs, pollMs } = this.#times
    const now = this.#clock.now()
    for (const [identity, { cluster, since }] of this.#clusters) {
      const decidedAt = Math.max(this.#ownership.decidedAt(identity) ?? since, this.#resumedAt)
      if (now - decidedAt >= awayMs + graceMs) cluster.input({ type: 'REDIS_GONE' })
    }
    this.#cancelTimer = this.#clock.after(pollMs, () => {
      // This process stood still, or its clock was set: that nothing was decided meanwhile says nothing.
      const late = this.#clock.now() - now - pollMs
      if (late >= awayMs) this.#resumedAt = this.#clock.now()
      if (!this.#telling) this.#changed()
      this.#watchOver()
    })
  }

  #changed(): void {
    if (this.#closing) return
    // That it is away while it is being connected to is no news.
    const { status } = this.#connection.state
    this.#telling ||= status === 'READY' || this.#clock.now() - this.#startedAt >= this.#times.awayMs
    if (this.#telling) this.#options.onState?.(this.state)
  }

  readonly #onError = (error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error)
    // A Redis that is away is told once, by the connection, and not by every cluster.
    if (this.#closing || isUnconnected(error) || message === this.#lastError) return
    this.#lastError = message
    // ioredis' own errors carry the command that failed.
    this.#options.onError?.(error instanceof RedisConnectionError ? error : new RedisConnectionError(message))
  }
}
