/**
 * Operations in Redis: every replica sees them, one of them drives each, and they survive all of them.
 *
 *     PREFIX:operations.1:{ID}:record    hash: head, progress, `step:NAME`, and what the scripts decide by
 *     PREFIX:operations.1:{ID}:lease     the token of whoever drives it; expires unless it is renewed
 *     PREFIX:operations.1:{ID}:changes   channel: the revision, and whether it is cancelled
 *     PREFIX:operations.1:{open}         sorted set of ids by the time at which they were last known to be open
 *     PREFIX:operations.1:{all}          sorted set of ids by the time of their creation
 *     PREFIX:operations.1:{by:OWNER}     the same of one owner
 *
 * What one operation has lies in one slot of a Redis Cluster, so that one script may touch it together; the sets lie
 * elsewhere, and are written before it. What they name and is not there is dropped from them; what they have lost is
 * put into them again by whoever drives it.
 *
 * A command whose sender gave up may still be executed, even later than others that were sent after it:
 *
 * - What `create` writes counts for nothing until it has been confirmed by a second command with the same token.
 *   One that was never confirmed is hidden, is driven by nobody, is replaced by the next attempt, and expires.
 * - Each write carries the token of its lease and a number that only grows: one that is late does nothing.
 * - A lease that was taken for somebody who gave up waiting is used by nobody, and expires.
 *
 * Deliberately absent: waiting for Redis' own replicas. A failover to one that lacks the last writes may lose them, or a
 * whole operation; whoever drives it then stops and says so, and what another does again has been made safe to be
 * done twice (`stepping.ts`).
 *
 * Invariants: nothing is written to an operation but by the holder of its lease, and the wish to cancel it. A lease is
 * lost here before it ends in Redis, since its time is counted from before its renewal was sent. No value of a Secret
 * is in Redis (`kept.ts`).
 */
import { hash, randomBytes } from 'node:crypto'
import type { Cluster, Redis } from 'ioredis'
import { identityOf } from '../access/viewer.ts'
import { channelsOfLink } from '../events/redis/channels.ts'
import type { RedisConnection } from '../events/redis/connection.ts'
import type { Clock } from '../fleet/clock.ts'
import { keptHead, pack, unpack } from './kept.ts'
import {
  type OperationHead,
  type OperationLease,
  type OperationProgress,
  type OperationRecord,
  type OperationStore,
  type StepName,
  type StepRecord,
  StoreAway,
} from './operation.ts'
import { RedisLease } from './redis-operation-lease.ts'
import { defineOperationScripts } from './redis-operation-scripts.ts'

export interface RedisOperationStoreOptions {
  /** Not closed here. */
  readonly connection: RedisConnection
  readonly clock: Clock
  /** From its end, or from when it was last driven. Default 24 hours. */
  readonly keepMs?: number
  /** A lease that is not renewed for so long ends; it is renewed at a third of it. Default 6,000. */
  readonly leaseMs?: number
  /** Operations of one owner that are kept: of more, the oldest that have ended go before their time. Default 10,000. */
  readonly maxOfOwner?: number
}

/** Returns at once, whether Redis is there or not. */
export function redisOperationStore(options: RedisOperationStoreOptions): OperationStore {
  return new RedisOperationStore(options)
}

/** Of keys, values and messages: gateways of two formats do not see each other's operations. */
const FORMAT = 1
const KEEP_MS = 24 * 3_600_000
const LEASE_MS = 6_000
const MAX_OF_OWNER = 10_000
/** An operation that is being created may take so long until another may create it. */
const CREATE_MS = 1_000
/** An operation that was never confirmed. */
const UNCONFIRMED_MS = 60_000
/** Between two looks at an operation that somebody else is creating. */
const BUSY_MS = 25
/** Between two looks at operations that somebody listens to, in case a message was lost. */
const POLL_MS = 2_000
/** What `create` fails with, as long as it does not count. */
const NOT_BEGUN =
  'Redis does not answer: the operation could not be kept, and might be done twice. Nothing was begun. Try again.'
/** Operations that are open, of which it is looked who drives them. */
const MAX_OPEN = 10_000
/** Old entries of a set that are looked at for each new one. */
const PRUNED = 8

interface OperationKeys {
  readonly record: string
  readonly lease: string
  readonly channel: string
}

/** What the sets need to know of an operation. */
interface Indexed {
  readonly id: string
  /** As `ownerName` says it. */
  readonly owner: string
  /** Epoch milliseconds. */
  readonly createdAt: number
}

/** An operation that somebody in this process listens to. */
interface Followed {
  readonly listeners: Set<() => void>
  readonly onMessage: (message: string) => void
  listening: boolean
  /** As it was last told; `null`: there is none. `undefined`: not known, so that it is told in any case. */
  revision: string | null | undefined
}

class RedisOperationStore implements OperationStore {
  readonly shared = true
  readonly #connection: RedisConnection
  readonly #commands: Redis | Cluster
  readonly #clock: Clock
  readonly #keepMs: number
  readonly #leaseMs: number
  readonly #maxOfOwner: number
  readonly #base: string
  readonly #leases = new Set<RedisLease>()
  readonly #followed = new Map<string, Followed>()
  #cancelPoll: (() => void) | undefined
  readonly #forgetState: () => void
  #closed = false

  constructor(options: RedisOperationStoreOptions) {
    const { connection, clock, keepMs = KEEP_MS, leaseMs = LEASE_MS, maxOfOwner = MAX_OF_OWNER } = options
    this.#connection = connection
    this.#commands = connection.commands
    this.#clock = clock
    this.#keepMs = keepMs
    this.#leaseMs = leaseMs
    this.#maxOfOwner = maxOfOwner
    this.#base = `${connection.prefix}:operations.${FORMAT}`
    defineOperationScripts(connection.commands)
    this.#forgetState = connection.onState(({ status }) => {
      for (const followed of this.#followed.values()) {
        followed.listening = false
        followed.revision = undefined
      }
      if (status === 'READY') this.#poll()
    })
  }

  async create(head: OperationHead): Promise<OperationLease | undefined> {
    const { id, createdAt } = head
    const text = await pack(keptHead(head), 'The change')
    const indexed = { id, owner: ownerName(identityOf(head.owner)), createdAt }
    for (;;) {
      const token = newToken()
      const times = { leaseMs: CREATE_MS, keepMs: UNCONFIRMED_MS }
      const rest = [text, indexed.owner, String(createdAt)]
      const created = await this.#ask(
        () => this.#commands.fleetgraphOperationCreate(2, ...this.#arguments(id, token, times), ...rest),
        NOT_BEGUN,
      )
      if (created === 'EXISTS') return undefined
      if (created === 'OK') {
        // Before it counts: what counts and is not in the sets would never be gone on with.
        await this.#ask(() => this.#index(indexed, true), NOT_BEGUN)
        // Those are in nobody's way.
        this.#prune(indexed.owner).catch(() => {})
        const lease = await this.#confirmed(indexed, token)
        if (lease) return lease
      }
      // Somebody else is at it, and will have confirmed it in a moment, or have died.
      await new Promise<void>((resolve) => void this.#clock.after(BUSY_MS * (1 + Math.random()), resolve))
    }
  }

  async read(id: string): Promise<OperationRecord | undefined> {
    return recordOf(await this.#ask(() => this.#commands.hgetall(this.#keys(id).record)))
  }

  async list(owner: string | undefined, first: number, after = ''): Promise<readonly OperationRecord[]> {
    const set = owner === undefined ? this.#set('all') : this.#ownerSet(ownerName(owner))
    const records: OperationRecord[] = []
    const gone: string[] = []
    let last = after
    while (records.length < first) {
      const count = first - records.length
      const page = await this.#ask(() => this.#commands.fleetgraphOperationPage(1, set, last, String(count)))
      const entries = entriesOf(page)
      const found = await Promise.all(entries.map(({ id }) => this.read(id)))
      entries.forEach(({ id, at }, i) => {
        const record = found[i]
        if (record) records.push(record)
        else if (this.#isOld(at)) gone.push(id)
        last = id
      })
      if (entries.length < count) break
    }
    // At the end: each page begins after the last entry of the one before it.
    this.#drop(set, gone)
    return records
  }

  async takeOver(id: string): Promise<OperationLease | undefined> {
    const token = newToken()
    let indexed: Indexed | undefined
    const lease = this.#lease(id, token, (open) => (indexed ? this.#index(indexed, open) : Promise.resolve()))
    const taken = await lease.begin(async () => {
      const [answer = 'GONE', owner = '', at] = await this.#ask(() =>
        this.#commands.fleetgraphOperationTake(2, ...this.#arguments(id, token)),
      )
      indexed = { id, owner, createdAt: Number(at) }
      return answer
    })
    return taken ? this.#held(lease) : undefined
  }

  async orphans(): Promise<readonly string[]> {
    const set = this.#set('open')
    const entries = entriesOf(
      await this.#ask(() => this.#commands.zrange(set, 0, MAX_OPEN - 1, 'WITHSCORES')),
    )
    const states = await Promise.all(entries.map(({ id }) => this.#state(id)))
    const over = entries.filter(
      ({ at }, i) => states[i] === 'ENDED' || (states[i] === 'GONE' && this.#isOld(at)),
    )
    this.#drop(
      set,
      over.map(({ id }) => id),
    )
    return entries.filter((_, i) => states[i] === 'FREE').map(({ id }) => id)
  }

  async requestCancel(id: string): Promise<void> {
    await this.#ask(() => this.#commands.fleetgraphOperationCancel(2, ...this.#arguments(id, '')))
  }

  onChange(id: string, listener: () => void): () => void {
    const own = () => listener()
    const followed = this.#followed.get(id) ?? newFollowed()
    this.#followed.set(id, followed)
    followed.listeners.add(own)
    // What is written between what the caller has read and the beginning of the subscription is told, too.
    followed.revision = undefined
    void this.#look(id, followed)
    this.#cancelPoll ??= this.#clock.after(POLL_MS, () => this.#poll())
    return () => {
      followed.listeners.delete(own)
      if (followed.listeners.size > 0 || this.#followed.get(id) !== followed) return
      this.#followed.delete(id)
      this.#channels.forget(this.#keys(id).channel, followed.onMessage)
      if (this.#followed.size > 0) return
      this.#cancelPoll?.()
      this.#cancelPoll = undefined
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#forgetState()
    this.#cancelPoll?.()
    for (const [id, { onMessage }] of this.#followed) this.#channels.forget(this.#keys(id).channel, onMessage)
    this.#followed.clear()
    await Promise.all([...this.#leases].map((lease) => lease.release()))
  }

  get #channels(): ReturnType<typeof channelsOfLink> {
    return channelsOfLink(this.#connection)
  }

  /** Where the answer is not heard it is not known whether the operation counts: then it says so. */
  async #confirmed(indexed: Indexed, token: string): Promise<OperationLease | undefined> {
    const { id } = indexed
    const lease = this.#lease(id, token, (open) => this.#index(indexed, open))
    try {
      const confirmed = await lease.begin(() =>
        this.#ask(() => this.#commands.fleetgraphOperationConfirm(2, ...this.#arguments(id, token))),
      )
      return confirmed ? this.#held(lease) : undefined
    } catch (error) {
      if (!(error instanceof StoreAway)) throw error
      throw new StoreAway(
        error.cause,
        `Redis stopped answering while the operation ${id} was being kept: it may be carried out. Look for it in a moment; with the same idempotency key it is not done twice.`,
      )
    }
  }

  #lease(id: string, token: string, index: (open: boolean) => Promise<unknown>): RedisLease {
    const commands = this.#commands
    const args = this.#arguments(id, token)
    const { channel } = this.#keys(id)
    const lease: RedisLease = new RedisLease(id, {
      clock: this.#clock,
      leaseMs: this.#leaseMs,
      renew: () => this.#ask(() => commands.fleetgraphOperationRenew(2, ...args)),
      write: (number, field, text, ended) =>
        this.#ask(() =>
          commands.fleetgraphOperationWrite(2, ...args, String(number), field, text, ended ? 'ended' : ''),
        ),
      listen: () => this.#channels.listen(channel, lease.onMessage),
      // What fails here is made good by the next one, or by `orphans`.
      index: async (open) => void (await index(open).catch(() => {})),
      giveBack: async () => {
        this.#leases.delete(lease)
        this.#channels.forget(channel, lease.onMessage)
        // It expires, otherwise.
        await commands.fleetgraphOperationRelease(2, ...args).catch(() => {})
      },
    })
    return lease
  }

  async #held(lease: RedisLease): Promise<OperationLease> {
    this.#leases.add(lease)
    if (this.#closed) await lease.release()
    return lease
  }

  /** Enters it into the sets, once more; of those that are open only, or out of them. */
  async #index({ id, owner, createdAt }: Indexed, open: boolean): Promise<void> {
    const commands = this.#commands
    const sets = [this.#set('all'), this.#ownerSet(owner)]
    await Promise.all([
      open ? commands.zadd(this.#set('open'), this.#clock.now(), id) : commands.zrem(this.#set('open'), id),
      ...sets.map((set) => commands.zadd(set, createdAt, id)),
    ])
    // Longer than anything in it: who drives an operation enters it again and again.
    await Promise.all(sets.map((set) => commands.pexpire(set, this.#keepMs + UNCONFIRMED_MS)))
  }

  /** Takes a few entries out of the sets whose operations are no longer kept, or are too many of one owner. */
  async #prune(owner: string): Promise<void> {
    const own = this.#ownerSet(owner)
    const over = (await this.#commands.zcard(own)) - this.#maxOfOwner
    if (over > 0) {
      const ids = await this.#commands.zrange(own, 0, PRUNED - 1)
      const states = await Promise.all(ids.map((id) => this.#state(id)))
      const ended = ids.filter((_, i) => states[i] === 'ENDED').slice(0, over)
      await Promise.all(ended.map((id) => this.#commands.unlink(this.#keys(id).record)))
      this.#drop(own, ended)
    }
    const until = this.#clock.now() - this.#keepMs
    for (const set of [this.#set('all'), own]) {
      const ids = await this.#commands.zrangebyscore(set, '-inf', until, 'LIMIT', 0, PRUNED)
      const states = await Promise.all(ids.map((id) => this.#state(id)))
      this.#drop(
        set,
        ids.filter((_, i) => states[i] === 'GONE'),
      )
    }
  }

  #drop(set: string, ids: readonly string[]): void {
    if (ids.length > 0) this.#commands.zrem(set, ...ids).catch(() => {})
  }

  /** An entry that stands before its operation does is not taken for one whose operation is gone. */
  #isOld(at: number): boolean {
    return this.#clock.now() - at > UNCONFIRMED_MS
  }

  #state(id: string): Promise<string> {
    return this.#ask(() => this.#commands.fleetgraphOperationLook(2, ...this.#arguments(id, '')))
  }

  #poll(): void {
    this.#cancelPoll?.()
    this.#cancelPoll = undefined
    if (this.#followed.size === 0) return
    for (const [id, followed] of this.#followed) void this.#look(id, followed)
    this.#cancelPoll = this.#clock.after(POLL_MS, () => this.#poll())
  }

  /** Subscribes where that has not succeeded yet, and tells what was missed. Never rejects. */
  async #look(id: string, followed: Followed): Promise<void> {
    const { record, channel } = this.#keys(id)
    const isWanted = () => this.#followed.get(id) === followed
    try {
      if (!followed.listening) {
        await this.#channels.listen(channel, followed.onMessage)
        if (!isWanted()) return this.#channels.forget(channel, followed.onMessage)
        followed.listening = true
      }
      const revision = await this.#commands.hget(record, 'revision')
      if (isWanted()) tell(followed, revision)
    } catch {
      // The connection says itself that Redis is away; it is tried again with the next poll.
    }
  }

  async #ask<T>(command: () => Promise<T>, message?: string): Promise<T> {
    try {
      return await command()
    } catch (error) {
      // Without what ioredis attaches: the arguments, which are whole manifests.
      throw new StoreAway(new Error(error instanceof Error ? error.message : String(error)), message)
    }
  }

  /** Keys and the first five of ARGV, as the scripts take them. */
  #arguments(
    id: string,
    token: string,
    { leaseMs, keepMs } = { leaseMs: this.#leaseMs, keepMs: this.#keepMs },
  ): readonly string[] {
    const { record, lease, channel } = this.#keys(id)
    const publish = this.#connection.sharded ? 'SPUBLISH' : 'PUBLISH'
    return [record, lease, token, String(leaseMs), String(keepMs), publish, channel]
  }

  #keys(id: string): OperationKeys {
    // Escaped: a brace in it would end the hash tag.
    const base = `${this.#base}:{${encodeURIComponent(id.toWellFormed())}}`
    return { record: `${base}:record`, lease: `${base}:lease`, channel: `${base}:changes` }
  }

  /** No id: those have more behind the brace. */
  #set(name: 'open' | 'all'): string {
    return `${this.#base}:{${name}}`
  }

  #ownerSet(owner: string): string {
    return `${this.#base}:{by:${owner}}`
  }
}

/** `undefined`: there is none that counts, or none that we can read. */
async function recordOf(fields: Readonly<Record<string, string>>): Promise<OperationRecord | undefined> {
  const { confirmed, head, progress, cancel, revision, ...rest } = fields
  if (confirmed === undefined || head === undefined) return undefined
  try {
    const named = Object.entries(rest).filter(([field]) => field.startsWith('step:'))
    const steps = await Promise.all(
      named.map(
        async ([field, text]) => [field.slice(5) as StepName, (await unpack(text)) as StepRecord] as const,
      ),
    )
    return {
      ...((await unpack(head)) as OperationHead),
      ...(progress === undefined ? NO_PROGRESS : ((await unpack(progress)) as OperationProgress)),
      steps: new Map(steps),
      cancelRequested: cancel !== undefined,
      revision: Number(revision),
    }
  } catch {
    return undefined
  }
}

const NO_PROGRESS: OperationProgress = { state: 'PENDING', waves: [], events: [], finishedAt: null }

function newFollowed(): Followed {
  const followed: Followed = {
    listeners: new Set(),
    onMessage: (message) => tell(followed, message.split(' ', 1)[0]!),
    listening: false,
    revision: undefined,
  }
  return followed
}

function tell(followed: Followed, revision: string | null): void {
  if (followed.revision === revision) return
  followed.revision = revision
  for (const listener of followed.listeners) listener()
}

/** Of a set with its times, as Redis lists them. */
function entriesOf(page: readonly string[]): { readonly id: string; readonly at: number }[] {
  return page.flatMap((id, i) => (i % 2 === 0 ? [{ id, at: Number(page[i + 1]) }] : []))
}

/** Names the owner in a key, whatever their name is made of, and as little of them as needed. */
function ownerName(identity: string): string {
  return hash('sha256', identity, 'base64url')
}

/** Used for one attempt, and never again. */
function newToken(): string {
  return randomBytes(16).toString('base64url')
}
