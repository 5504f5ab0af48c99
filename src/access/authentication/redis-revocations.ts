/**
 * Revocations that replicas share through Redis: a channel for those who listen, and a sorted set, by time, for
 * those who start or were not connected.
 *
 * Invariants: what is revoked here counts here at once, whether Redis is there or not, and is sent when it is;
 * a message that was lost is read from the set within `POLL_MS`; nothing in Redis outlives the tokens that it is
 * about. There are no tokens in Redis, but subjects and session ids of a provider.
 */
import type { Clock } from '../../fleet/clock.ts'
import { channelsOfLink } from '../../events/redis/channels.ts'
import type { RedisConnection } from '../../events/redis/connection.ts'
import { LONGEST_LIFE_MS, memoryRevocations, type Revocation, type Revocations } from './revocations.ts'

export interface RedisRevocationsOptions {
  /** Not closed here. */
  readonly connection: RedisConnection
  readonly clock: Clock
}

const POLL_MS = 10_000
const RETRY_MS = 500
/** Clocks of replicas differ, and a poll may come late. */
const OVERLAP_MS = 5 * 60_000
/** How long a start waits for what is in Redis. */
const READY_MS = 3_000
/** Kept while Redis is away. */
const MAX_UNSENT = 10_000
const FORMAT = 1

/** Returns at once. Reads what is in Redis when somebody begins to listen. */
export function redisRevocations(options: RedisRevocationsOptions): Revocations {
  return new RedisRevocations(options)
}

class RedisRevocations implements Revocations {
  readonly ready: Promise<void>
  readonly #connection: RedisConnection
  readonly #clock: Clock
  readonly #key: string
  readonly #channel: string
  readonly #local = memoryRevocations()
  #unsent: Revocation[] = []
  #listening = false
  /** Everything before it was read. */
  #readUntil = -Infinity
  #turning = false
  /** There is something to do that a turn under way may have missed. */
  #again = false
  #closed = false
  #becomeReady = () => {}
  #cancelTimer = () => {}
  readonly #forgetState: () => void
  #cancelReady: (() => void) | undefined

  constructor({ connection, clock }: RedisRevocationsOptions) {
    this.#connection = connection
    this.#clock = clock
    // In braces: a Redis Cluster sends a sharded channel where the slot of its name is.
    this.#key = `${connection.prefix}:revocations.${FORMAT}:{all}`
    this.#channel = `${this.#key}:new`
    this.ready = new Promise((resolve) => (this.#becomeReady = resolve))
    this.#forgetState = connection.onState(({ status }) => {
      // Whatever was said meanwhile, and subscriptions to a Redis that was started anew.
      this.#listening = false
      if (status === 'READY') void this.#turn()
    })
  }

  revoke(revocation: Revocation): void {
    if (this.#closed) return
    this.#local.revoke(revocation)
    this.#unsent.push(revocation)
    if (this.#unsent.length > MAX_UNSENT) this.#unsent.shift()
    void this.#turn()
  }

  onRevoked(listener: (revocation: Revocation) => void): () => void {
    const forget = this.#local.onRevoked(listener)
    this.#cancelReady ??= this.#clock.after(READY_MS, () => this.#becomeReady())
    // It wants to know what was said before, too.
    this.#readUntil = -Infinity
    void this.#turn()
    return forget
  }

  close(): void {
    this.#closed = true
    this.#cancelTimer()
    this.#cancelReady?.()
    this.#forgetState()
    channelsOfLink(this.#connection).forget(this.#channel, this.#onMessage)
    this.#local.close()
    this.#becomeReady()
  }

  readonly #onMessage = (message: string): void => {
    const revocation = parse(message)
    if (revocation) this.#local.revoke(revocation)
  }

  /** Listens, sends and reads whatever there is to; then again after `POLL_MS`. */
  async #turn(): Promise<void> {
    if (this.#closed) return
    this.#again = this.#turning
    if (this.#turning) return
    this.#turning = true
    this.#cancelTimer()
    try {
      if (!this.#listening) {
        await channelsOfLink(this.#connection).listen(this.#channel, this.#onMessage)
        this.#listening = true
        // What was said before that is in the set.
        this.#readUntil = -Infinity
      }
      while (this.#unsent.length > 0 && !this.#closed) {
        await this.#send(this.#unsent[0]!)
        this.#unsent.shift()
      }
      await this.#read()
      this.#cancelReady?.()
      this.#becomeReady()
    } catch {
      // The connection says itself that Redis is away; the state's change, or the next turn, tries again.
    } finally {
      this.#turning = false
    }
    if (this.#closed) return
    // Redis may have come back while this turn still failed.
    const undone = !this.#listening || this.#unsent.length > 0
    const hurry = undone && this.#connection.state.status === 'READY'
    const ms = this.#again ? 0 : hurry ? RETRY_MS : POLL_MS
    this.#cancelTimer = this.#clock.after(ms, () => void this.#turn())
  }

  async #send(revocation: Revocation): Promise<void> {
    const { commands, sharded } = this.#connection
    const now = this.#clock.now()
    const message = JSON.stringify(revocation)
    // Kept before it is told: who misses the message finds it.
    await commands.zadd(this.#key, now, message)
    await commands.pexpire(this.#key, LONGEST_LIFE_MS + OVERLAP_MS)
    await commands.zremrangebyscore(this.#key, '-inf', now - LONGEST_LIFE_MS - OVERLAP_MS)
    await (sharded ? commands.spublish(this.#channel, message) : commands.publish(this.#channel, message))
  }

  async #read(): Promise<void> {
    const from = this.#clock.now()
    const { commands } = this.#connection
    const since = this.#readUntil
    const messages = await commands.zrangebyscore(this.#key, since - OVERLAP_MS, '+inf')
    if (this.#closed) return
    for (const message of messages) this.#onMessage(message)
    // Unless somebody has begun to listen meanwhile.
    if (this.#readUntil === since) this.#readUntil = from
  }
}

/** `undefined`: not ours. */
function parse(message: string): Revocation | undefined {
  let value: unknown
  try {
    value = JSON.parse(message)
  } catch {
    return undefined
  }
  const { issuer, sub, sid, at } = (value ?? {}) as Record<string, unknown>
  const isName = (name: unknown): name is string | undefined => name === undefined || typeof name === 'string'
  if (typeof issuer !== 'string' || typeof at !== 'number' || !isName(sub) || !isName(sid)) return undefined
  return { issuer, sub, sid, at }
}
