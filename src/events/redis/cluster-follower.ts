/**
 * What every replica but the owner does for a cluster: follows what the owner publishes, table by table, and
 * says when the owner is silent.
 *
 * Invariants: the tables are written by nobody else while this is open, and not at all once it is closed.
 * Whatever comes from Redis is checked: a message that is none leads to another look at Redis. No connection
 * has to stay up (see `table-follower.ts` for why nothing is missed).
 *
 * Silence is never believed at once: Redis is asked first when the owner's last heartbeat was, so that
 * neither a hand-over nor a pause of this process makes a table look stale.
 */
import type { Clock } from '../../fleet/clock.ts'
import type { FeedTarget } from '../../fleet/feeding.ts'
import { Turns } from '../../fleet/ingest-turns.ts'
import { SyncSlots } from '../../fleet/sync-slots.ts'
import { ALL_KINDS } from '../../kubernetes/kinds.ts'
import type { Kind } from '../../kubernetes/rows.ts'
import { channelsOfLink } from './channels.ts'
import { type ClusterKeys, clusterKeys, type RedisLink, type TablePositions } from './keys.ts'
import { type ClusterState, readState } from './scripts.ts'
import { Interrupted, TableFollower, type TableFollowerContext } from './table-follower.ts'
import { readHealth, readMessage, WireError } from './wire.ts'

export type { TablePositions } from './keys.ts'

export interface ClusterFollowerOptions {
  readonly link: RedisLink
  readonly target: FeedTarget
  readonly clock: Clock
  /** What the tables have of Redis already: see `ClusterPublisher.positions`. */
  readonly from?: TablePositions
  /** When a watch of this replica's own ended, epoch milliseconds: the tables may be ahead of Redis. */
  readonly watchedUntil?: number
  /** For the log: the first of failures in a row. */
  readonly onError: (error: Error) => void
  /** Of the event loop, for what comes in messages; by default what all clusters of the link share. */
  readonly turns?: Turns
  /** Silence of the owner after which tables are not current any more; milliseconds, default 5,000. */
  readonly staleMs?: number
}

const STALE_MS = 5_000
/** Of the silence, after which Redis is asked. */
const ASK_AFTER = 0.6
/** Tables that all clusters of a link read at a time: each is in memory twice. */
const TABLES = 4
/** Times that a table which moves is read for a take-over. */
const ROUNDS = 5

const slotsOf = new WeakMap<RedisLink, SyncSlots>()
const turnsOf = new WeakMap<RedisLink, Turns>()

export class ClusterFollower {
  readonly #options: ClusterFollowerOptions
  readonly #staleMs: number
  readonly #keys: ClusterKeys
  readonly #slots: SyncSlots
  readonly #tables: ReadonlyMap<Kind, TableFollower>
  #lastHeard = 0
  #heard = false
  #orphaned = false
  /** Redis was asked since the owner was last heard of. */
  #asked = false
  #looking = false
  #listening = false
  #failing = false
  #cancelTick = () => {}
  #closed = false

  /** Throws `WireError` where `from` is not what a publisher or a follower gave. */
  constructor(options: ClusterFollowerOptions) {
    const { link, target, clock, from, staleMs = STALE_MS } = options
    const { turns = turnsOf.get(link) ?? new Turns() } = options
    if (!options.turns) turnsOf.set(link, turns)
    this.#options = options
    this.#staleMs = staleMs
    this.#keys = clusterKeys(link.prefix, target.identity)
    this.#slots = slotsOf.get(link) ?? new SyncSlots(TABLES)
    slotsOf.set(link, this.#slots)
    const context: TableFollowerContext = {
      link,
      keys: this.#keys,
      clock,
      turns,
      silentSince: () => (this.#orphaned ? this.#lastHeard : undefined),
      turn: () => this.#turn(),
      onError: (error) => this.#failed(error),
      watchedUntil: options.watchedUntil,
    }
    this.#tables = new Map(
      ALL_KINDS.map((kind) => [kind, new TableFollower(target.table(kind), from?.get(kind), context)]),
    )
  }

  /** Called once. */
  start(): void {
    this.#lastHeard = this.#options.clock.now()
    this.#tick()
    void this.#look()
  }

  /**
   * Reads whatever Redis holds now into the tables, for a take-over: while nobody may publish, that is with
   * the lease in hand. Resolves also where Redis has nothing, or something that cannot be read; rejects where
   * Redis does not answer.
   */
  async catchUp(): Promise<void> {
    for (let round = 0; round < ROUNDS && !this.#closed; round++) {
      const state = await this.#answer(readState(this.#options.link, this.#keys))
      const behind = [...this.#tables.values()].filter(({ kind, position }) => {
        const there = state.tables.get(kind)
        return there !== undefined && there.position !== position
      })
      if (behind.length === 0) break
      await Promise.all(
        behind.map(async (table) => {
          try {
            await this.#answer(table.read())
          } catch (error) {
            if (!(error instanceof Interrupted || error instanceof WireError)) throw error
            if (error instanceof WireError) this.#failed(error)
          }
        }),
      )
    }
  }

  /** Of the tables that show exactly what Redis held when it was last heard of; also after `close`. */
  get positions(): TablePositions {
    const positions = new Map<Kind, string>()
    for (const [kind, { position }] of this.#tables) if (position !== undefined) positions.set(kind, position)
    return positions
  }

  /** `STARTING`: no owner has been heard of yet. `ORPHANED`: none for a while. */
  get state(): 'STARTING' | 'FOLLOWING' | 'ORPHANED' {
    if (this.#orphaned) return 'ORPHANED'
    return this.#heard ? 'FOLLOWING' : 'STARTING'
  }

  /** The tables are not touched any more, and stay as they are. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cancelTick()
    for (const table of this.#tables.values()) table.close()
    channelsOfLink(this.#options.link).forget(this.#keys.channel, this.#onMessage)
  }

  #tick(): void {
    const { clock } = this.#options
    const interval = this.#staleMs / 5
    const due = clock.now() + interval
    this.#cancelTick = clock.after(interval, () => {
      const now = clock.now()
      const silence = now - this.#lastHeard
      // Where this process stood still, what came meanwhile has not been read yet: the next tick judges.
      if (now - due < interval) {
        if (silence >= this.#staleMs && this.#asked) this.#orphan()
        else for (const table of this.#tables.values()) table.tick(this.#staleMs)
      }
      if (silence >= this.#staleMs * ASK_AFTER || !this.#listening) {
        this.#asked = true
        void this.#look()
      }
      this.#tick()
    })
  }

  /** Sees to it that messages come, and reads where everything is. */
  async #look(): Promise<void> {
    if (this.#looking || this.#closed) return
    this.#looking = true
    const { link } = this.#options
    try {
      await channelsOfLink(link).listen(this.#keys.channel, this.#onMessage)
      this.#listening = true
      const state = await readState(link, this.#keys)
      this.#failing = false
      if (!this.#closed) this.#learn(state)
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#looking = false
      // What was asked for while closing is taken back.
      if (this.#closed) channelsOfLink(link).forget(this.#keys.channel, this.#onMessage)
    }
  }

  #learn({ silentMs, health, tables }: ClusterState): void {
    if (silentMs !== undefined) {
      if (silentMs < this.#staleMs) {
        this.#alive(this.#options.clock.now() - silentMs)
        if (health !== undefined) this.#options.target.learn(readHealth(health))
      } else {
        if (!this.#heard) this.#lastHeard = this.#options.clock.now() - silentMs
        this.#orphan()
      }
    }
    for (const [kind, table] of this.#tables) table.told(tables.get(kind), 'look')
  }

  readonly #onMessage = (text: string): void => {
    if (this.#closed) return
    try {
      const message = readMessage(text)
      if (!message) return
      this.#lastHeard = Math.max(this.#lastHeard, this.#options.clock.now())
      this.#asked = false
      if (message.type !== 'beat') this.#tables.get(message.kind)?.onMessage(message)
      else {
        this.#alive(this.#lastHeard)
        this.#options.target.learn(message.health)
        const tables = new Map(message.tables.map((table) => [table.kind, table]))
        for (const [kind, table] of this.#tables) table.told(tables.get(kind), 'beat')
      }
    } catch (error) {
      // Whatever it was to say is found by looking.
      this.#failed(error)
      void this.#look()
    }
  }

  #alive(at: number): void {
    this.#lastHeard = Math.max(this.#lastHeard, at)
    this.#asked = false
    this.#heard = true
    // Each table is current again when it has been found to be where the owner is: see `told`.
    this.#orphaned = false
  }

  #orphan(): void {
    this.#orphaned = true
    for (const table of this.#tables.values()) table.tick(this.#staleMs)
  }

  #turn(): Promise<() => void> {
    return new Promise((resolve) => {
      const slot = this.#slots.request(() => resolve(() => slot.release()))
    })
  }

  async #answer<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      if (error instanceof Interrupted || error instanceof WireError) throw error
      throw this.#errorOf(error)
    }
  }

  #failed(error: unknown): void {
    if (this.#failing || this.#closed) return
    this.#failing = true
    this.#options.onError(this.#errorOf(error))
  }

  #errorOf(error: unknown): FollowError {
    // Not as the cause: ioredis attaches the arguments of the command.
    const message = error instanceof Error ? error.message : String(error)
    return new FollowError(`Cluster ${this.#options.target.name} could not be followed: ${message}`)
  }
}

class FollowError extends Error {
  override readonly name = 'FollowError'
  readonly code = 'FOLLOW'
}
