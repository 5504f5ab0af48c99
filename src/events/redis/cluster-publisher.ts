/**
 * What an owner does for the others: publishes all tables of its cluster, and every second a heartbeat that
 * says that it lives, how the cluster is, and where each table stands – so that a follower finds a message
 * that it lost although no other follows.
 *
 * Invariant: nothing is written once the lease is another's; Redis itself refuses it (`scripts.ts`). Redis
 * may be away for any time: what the tables show is kept meanwhile, within bounds, and published afterwards.
 *
 * Deliberately absent: who owns, and when that ends (see `ownership.ts`).
 */
import type { Clock } from '../../fleet/clock.ts'
import type { FeedTarget } from '../../fleet/feeding.ts'
import { SyncSlots } from '../../fleet/sync-slots.ts'
import { ALL_KINDS } from '../../kubernetes/kinds.ts'
import type { Kind } from '../../kubernetes/rows.ts'
import { type ClusterKeys, clusterKeys, type RedisLink, type TablePositions } from './keys.ts'
import { beat, type BeatTable, type Caller, readState, type Reply } from './scripts.ts'
import { type PublisherContext, TablePublisher } from './table-publisher.ts'
import { writeHealth } from './wire.ts'

export interface ClusterPublisherOptions {
  readonly link: RedisLink
  readonly target: FeedTarget
  /** The value of the lease's key: whatever is written is refused where it is another. */
  readonly token: string
  readonly epoch: number
  readonly clock: Clock
  /**
   * What the tables have of Redis, as a follower or a publisher of this process left them: such a table is
   * gone on with where Redis is still there. Any other is published whole.
   */
  readonly from?: TablePositions
  /** The lease is another's, or gone: nothing is written any more, unless after `resume`. */
  readonly onFenced: () => void
  /** For the log: the first of failures in a row. Redis is asked again by itself. */
  readonly onError: (error: Error) => void
  /** Default 1,000. */
  readonly heartbeatMs?: number
  /**
   * A table that could not be published for so long keeps the heartbeat back, since followers believe that
   * what they have is current while they hear it. Default 5,000.
   */
  readonly stuckMs?: number
}

const HEARTBEAT_MS = 1_000
const STUCK_MS = 5_000
const FIRST_DELAY_MS = 100
const LAST_DELAY_MS = 2_000
/** Tables that all clusters of a link publish whole at a time: each has a large call under way. */
const WHOLE_TABLES = 4

const slotsOf = new WeakMap<RedisLink, SyncSlots>()

export class ClusterPublisher {
  readonly #options: ClusterPublisherOptions
  readonly #keys: ClusterKeys
  readonly #slots: SyncSlots
  readonly #tables: ReadonlyMap<Kind, TablePublisher>
  readonly #stopHealth: () => void
  /** Ends a wait. */
  readonly #waits = new Set<() => void>()
  #idle: PromiseWithResolvers<void> | undefined
  #token: string
  #epoch: number
  /** While fenced; resolves with `resume` or `close`. */
  #fenced: PromiseWithResolvers<void> | undefined
  /** When calls that have failed and are made again failed first; epoch milliseconds, one for each. */
  readonly #failingSince = new Set<{ readonly at: number }>()
  #failing = false
  #beating = false
  /** Something is to be said that the heartbeat under way does not say. */
  #beatAgain = false
  #cancelBeat = () => {}
  #closed = false

  /** Changes are noted from here on: it has to be made before anything else writes the tables. */
  constructor(options: ClusterPublisherOptions) {
    const { link, target, token, epoch } = options
    this.#options = options
    this.#token = token
    this.#epoch = epoch
    this.#keys = clusterKeys(link.prefix, target.identity)
    this.#slots = slotsOf.get(link) ?? new SyncSlots(WHOLE_TABLES)
    slotsOf.set(link, this.#slots)
    const context: PublisherContext = {
      target,
      epoch: () => this.#epoch,
      send: (call) => this.#send(call),
      ask: (call) => this.#ask(call),
      turn: () => this.#turn(),
      pause: () => this.#wait(LAST_DELAY_MS),
      now: () => options.clock.now(),
      onError: (error) => this.#failed(error),
      onIdle: () => this.#onIdle(),
    }
    this.#tables = new Map(ALL_KINDS.map((kind) => [kind, new TablePublisher(kind, context)]))
    let { state, version } = target.health
    this.#stopHealth = target.onHealth((health) => {
      if (health.state === state && health.version === version) return
      ;({ state, version } = health)
      this.#beatSoon()
    })
  }

  /** Resolves when the first heartbeat was sent, or with `close`; never rejects. Called once. */
  async start(): Promise<void> {
    const { from } = this.#options
    try {
      const { tables } = await this.#ask(({ link, keys }) => readState(link, keys))
      for (const [kind, table] of this.#tables) table.start(tables.get(kind), from?.get(kind))
    } catch (error) {
      return this.#failed(error)
    }
    this.#tick()
    await this.#beat()
  }

  /** This replica has got the lease again: goes on where it was. */
  resume(token: string, epoch: number): void {
    this.#token = token
    this.#epoch = epoch
    this.#fenced?.resolve()
    this.#fenced = undefined
    this.#beatSoon()
  }

  /** Resolves when all that the tables show has been acknowledged, or cannot be: fenced, or closed. */
  async flush(): Promise<void> {
    while (!this.#closed && !this.#fenced && [...this.#tables.values()].some(({ idle }) => !idle)) {
      this.#idle ??= Promise.withResolvers()
      await this.#idle.promise
    }
  }

  /** Of the tables that show exactly what Redis holds; also after `close`, as long as nothing has changed. */
  get positions(): TablePositions {
    const positions = new Map<Kind, string>()
    for (const [kind, { position }] of this.#tables) if (position !== undefined) positions.set(kind, position)
    return positions
  }

  /** Changes that Redis has not acknowledged; a table that is published whole counts as all of its rows. */
  get lag(): { readonly pending: number } {
    let pending = 0
    for (const table of this.#tables.values()) pending += table.pending
    return { pending }
  }

  /** Sends nothing any more; what Redis holds stays, until it expires. Idempotent. */
  close(): void {
    this.#closed = true
    this.#cancelBeat()
    this.#stopHealth()
    for (const table of this.#tables.values()) table.close()
    for (const end of this.#waits) end()
    this.#fenced?.resolve()
    this.#onIdle()
  }

  async #send(call: (caller: Caller) => Promise<Reply>): Promise<Reply> {
    for (;;) {
      await this.#fenced?.promise
      const token = this.#token
      const reply = await this.#ask(call)
      if (reply.type !== 'FENCED') return reply
      if (token === this.#token) this.#fence()
    }
  }

  /** Until there is an answer. */
  async #ask<T>(call: (caller: Caller) => Promise<T>): Promise<T> {
    const { link, clock } = this.#options
    let failing: { readonly at: number } | undefined
    try {
      for (let delay = FIRST_DELAY_MS; ; delay = Math.min(2 * delay, LAST_DELAY_MS)) {
        this.#throwIfClosed()
        try {
          const answer = await call({ link, keys: this.#keys, token: this.#token })
          this.#throwIfClosed()
          this.#failing = false
          return answer
        } catch (error) {
          this.#throwIfClosed()
          this.#failed(error)
        }
        if (!failing) this.#failingSince.add((failing = { at: clock.now() }))
        await this.#wait(delay)
      }
    } finally {
      if (failing) this.#failingSince.delete(failing)
    }
  }

  #fence(): void {
    if (this.#fenced || this.#closed) return
    this.#fenced = Promise.withResolvers()
    this.#onIdle()
    this.#options.onFenced()
  }

  #tick(): void {
    if (this.#closed) return
    const { clock, heartbeatMs = HEARTBEAT_MS } = this.#options
    this.#cancelBeat = clock.after(heartbeatMs, () => {
      void this.#beat()
      this.#tick()
    })
  }

  /** After what tables have to say in the same moment: they are stale before their cluster is down. */
  #beatSoon(): void {
    setImmediate(() => {
      this.#beatAgain = this.#beating
      if (!this.#beating) void this.#beat()
    })
  }

  async #beat(): Promise<void> {
    if (this.#beating || this.#fenced || this.#closed || this.#stuck) return
    const { link, target } = this.#options
    const said: BeatTable[] = []
    for (const { beat } of this.#tables.values()) if (beat) said.push(beat)
    const token = this.#token
    this.#beating = true
    try {
      const lost = await beat({ link, keys: this.#keys, token }, writeHealth(target.health), said)
      if (this.#closed) return
      if (!lost) {
        if (token === this.#token) this.#fence()
        return
      }
      this.#failing = false
      for (const table of said) this.#tables.get(table.kind)?.beaten(table, lost.includes(table.kind))
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#beating = false
    }
    if (!this.#beatAgain) return
    this.#beatAgain = false
    void this.#beat()
  }

  get #stuck(): boolean {
    const { clock, stuckMs = STUCK_MS } = this.#options
    const before = clock.now() - stuckMs
    for (const { at } of this.#failingSince) if (at <= before) return true
    for (const { failingSince } of this.#tables.values()) {
      if (failingSince !== undefined && failingSince <= before) return true
    }
    return false
  }

  #turn(): Promise<() => void> {
    return new Promise((resolve) => {
      const slot = this.#slots.request(() => resolve(() => slot.release()))
    })
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = () => {
        cancel()
        reject(closedError(this.#options.target.name))
      }
      const cancel = this.#options.clock.after(ms, () => {
        this.#waits.delete(end)
        resolve()
      })
      this.#waits.add(end)
    })
  }

  #throwIfClosed(): void {
    if (this.#closed) throw closedError(this.#options.target.name)
  }

  #onIdle(): void {
    this.#idle?.resolve()
    this.#idle = undefined
  }

  #failed(error: unknown): void {
    if (this.#failing || this.#closed) return
    this.#failing = true
    const { onError, target } = this.#options
    // Not as the cause: ioredis attaches the arguments of the command, which are rows.
    const message = error instanceof Error ? error.message : String(error)
    onError(new PublishError(`What cluster ${target.name} shows could not be published: ${message}`))
  }
}

function closedError(cluster: string): PublishError {
  return new PublishError(`Nothing of cluster ${cluster} is published any more.`)
}

class PublishError extends Error {
  override readonly name = 'PublishError'
  readonly code = 'PUBLISH'
}
