/**
 * One cluster on this replica: does what its role says, with a watch session, a follower and a publisher.
 * Which role it has is decided in `cluster-role.ts`; why, in `ownership.ts`.
 *
 * Invariant: whatever could write the cluster's tables is closed before another is made.
 */
import type { Clock } from '../../fleet/clock.ts'
import type { FeedTarget, WatchSession } from '../../fleet/feeding.ts'
import { ClusterFollower, type TablePositions } from './cluster-follower.ts'
import { ClusterPublisher } from './cluster-publisher.ts'
import { FIRST_STEP, type Role, type RoleAction, type RoleInput, stepRole } from './cluster-role.ts'
import type { RedisLink } from './keys.ts'

export interface ReplicatedClusterOptions {
  readonly link: RedisLink
  readonly target: FeedTarget
  readonly clock: Clock
  /** How long reading from Redis may keep a new owner from watching, and writing to it an old one from closing. */
  readonly patienceMs: number
  /** After each change of `role.type`. */
  readonly onRole: (role: Role['type'], before: Role['type']) => void
  /** A publisher found its lease gone. */
  readonly onFenced: () => void
  readonly onError: (error: Error) => void
}

export class ReplicatedCluster {
  readonly #options: ReplicatedClusterOptions
  #role: Role
  #session: WatchSession | undefined
  #follower: ClusterFollower | undefined
  #publisher: ClusterPublisher | undefined
  /** What of the tables is as it is in Redis, for whoever is next. */
  #positions: TablePositions | undefined
  /** When the watch of this replica's own ended last. */
  #watchedUntil: number | undefined
  #closed = false

  constructor(options: ReplicatedClusterOptions) {
    this.#options = options
    this.#role = FIRST_STEP.role
    for (const action of FIRST_STEP.actions) this.#perform(action)
  }

  get role(): Role['type'] {
    return this.#role.type
  }

  input(input: RoleInput): void {
    if (this.#closed) return
    const before = this.#role.type
    const { role, actions } = stepRole(this.#role, input)
    this.#role = role
    for (const action of actions) this.#perform(action)
    if (role.type !== before) this.#options.onRole(role.type, before)
  }

  /** Resolves when this replica does not watch any more, and what it saw is in Redis if that can be. */
  async handOver(): Promise<void> {
    this.input({ type: 'HAND_OVER' })
    await this.#flushed()
    this.input({ type: 'FLUSHED' })
  }

  /** Resolves when what was seen is in Redis, or cannot be. Nothing is written to tables from here on. */
  async close(): Promise<void> {
    this.#closed = true
    this.#follower?.close()
    this.#session?.close()
    await this.#flushed()
    this.#publisher?.close()
  }

  async #flushed(): Promise<void> {
    if (this.#publisher) await this.#bounded(this.#publisher.flush())
  }

  #perform(action: RoleAction): void {
    const { link, target, clock, onError, onFenced } = this.#options
    const from = this.#positions && { from: this.#positions }
    switch (action.type) {
      case 'FOLLOW':
        this.#follower = new ClusterFollower({
          link,
          target,
          clock,
          onError,
          ...from,
          ...(this.#watchedUntil !== undefined && { watchedUntil: this.#watchedUntil }),
        })
        this.#follower.start()
        return
      case 'UNFOLLOW':
        this.#positions = this.#follower?.positions
        this.#follower?.close()
        this.#follower = undefined
        return
      case 'CATCH_UP':
        void this.#catchUp(action.lease)
        return
      case 'PUBLISH': {
        const { token, epoch } = action.lease
        this.#publisher = new ClusterPublisher({
          link,
          target,
          token,
          epoch,
          clock,
          onError,
          onFenced,
          ...from,
        })
        // Never rejects.
        void this.#publisher.start()
        return
      }
      case 'RESUME':
        this.#publisher?.resume(action.lease.token, action.lease.epoch)
        return
      case 'UNPUBLISH':
        this.#positions = this.#publisher?.positions
        this.#publisher?.close()
        this.#publisher = undefined
        return
      case 'WATCH':
        this.#positions = undefined
        this.#session = target.watch()
        return
      case 'UNWATCH':
        this.#session?.close()
        this.#session = undefined
        this.#watchedUntil = clock.now()
    }
  }

  /** Without what Redis holds a new owner begins where its own tables are, or with a list. */
  async #catchUp(lease: { readonly token: string; readonly epoch: number }): Promise<void> {
    if (this.#follower) await this.#bounded(this.#follower.catchUp())
    this.input({ type: 'CAUGHT_UP', lease })
  }

  /** Waits for it as long as patience lasts; a failure is told and ends the wait. */
  async #bounded(work: Promise<void>): Promise<void> {
    const { clock, patienceMs, onError } = this.#options
    let cancel = () => {}
    const patience = new Promise<void>((resolve) => {
      cancel = clock.after(patienceMs, resolve)
    })
    const told = work.catch((error: unknown) => {
      onError(error instanceof Error ? error : new Error(String(error)))
    })
    await Promise.race([told, patience])
    cancel()
  }
}
