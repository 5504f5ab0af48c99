/**
 * Which replicas there are, and a channel on which they tell one another what cannot wait for the next
 * look at Redis.
 *
 * A member is in a sorted set with the time, by Redis' clock, at which it counts as gone unless it was
 * heard of again; beside it stands how many leases it holds. Messages are hints only: whoever misses one finds out by looking, a little later; so
 * nothing is repeated and nothing acknowledged.
 */
import type { Clock } from '../../fleet/clock.ts'
import { FORMAT, type RedisLink } from './keys.ts'

export type ControlMessage =
  /** A member came or went. */
  | { readonly type: 'HELLO' | 'BYE'; readonly from: string }
  /** These leases were released; `to` goes first, if it is named. */
  | {
      readonly type: 'FREE'
      readonly from: string
      readonly clusters: readonly string[]
      readonly to?: string
    }
  /** `from`, which holds so many leases, would like that of `cluster`, which `to` holds. */
  | {
      readonly type: 'ASK'
      readonly from: string
      readonly to: string
      readonly cluster: string
      readonly held: number
    }

export interface MembershipOptions {
  readonly link: RedisLink
  readonly clock: Clock
  /** This process; no other has had the name before. */
  readonly member: string
  /** A member that was not heard of for so long is gone. */
  readonly memberMs: number
  /** Not for our own messages. */
  readonly onMessage: (message: ControlMessage) => void
}

const BEAT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[2] * 2) end
local answer = {}
for i, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  answer[2 * i - 1] = member
  answer[2 * i] = redis.call('HGET', KEYS[2], member) or '0'
end
return answer`

const LEAVE = `
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])`

export class Membership {
  readonly member: string
  readonly #options: MembershipOptions
  readonly #keys: readonly [members: string, held: string]
  readonly #channel: string
  #members: readonly string[] = []
  #held: ReadonlyMap<string, number> = new Map()
  #changedAt: number
  #subscribed = false
  #left = false

  constructor(options: MembershipOptions) {
    const { link, clock, member } = options
    this.member = member
    this.#options = options
    // One slot of a Redis Cluster; clusters' keys have more behind the brace.
    const base = `${link.prefix}:${FORMAT}:{members}`
    this.#keys = [base, `${base}:held`]
    this.#channel = `${base}:control`
    this.#changedAt = clock.now()
    // Buffers: as text every message of every table would be decoded, for this channel's sake.
    link.subscriber.on(link.sharded ? 'smessageBuffer' : 'messageBuffer', this.#onMessage)
  }

  /** Those that were there at the last beat, this one among them; empty before the first. In no order. */
  get members(): readonly string[] {
    return this.#members
  }

  /** When `members` was last another; epoch milliseconds. */
  get changedAt(): number {
    return this.#changedAt
  }

  /** Leases that each member held at its last beat. */
  get held(): ReadonlyMap<string, number> {
    return this.#held
  }

  /** Says that this member is there, and learns who else is. Throws what the connection throws. */
  async beat(held: number): Promise<void> {
    const { link, clock, member, memberMs } = this.#options
    this.#subscribe()
    const answer = (await link.commands.eval(BEAT, 2, ...this.#keys, member, memberMs, held)) as string[]
    if (this.#left) return
    const theirs = new Map<string, number>()
    for (let i = 0; i < answer.length; i += 2) theirs.set(answer[i] ?? '', Number(answer[i + 1]))
    this.#held = theirs
    const members = [...theirs.keys()].toSorted()
    if (members.join('\n') === this.#members.join('\n')) return
    const first = this.#members.length === 0
    this.#members = members
    this.#changedAt = clock.now()
    if (first) this.send({ type: 'HELLO', from: member })
  }

  /** Nothing of this member is left in Redis afterwards, where it can be reached. */
  async leave(): Promise<void> {
    const { link, member } = this.#options
    this.#left = true
    this.#members = []
    link.subscriber.off(link.sharded ? 'smessageBuffer' : 'messageBuffer', this.#onMessage)
    try {
      await link.commands.eval(LEAVE, 2, ...this.#keys, member)
    } catch {
      // It expires.
    }
    this.send({ type: 'BYE', from: member })
  }

  send(message: ControlMessage): void {
    const { commands, sharded } = this.#options.link
    const text = JSON.stringify(message)
    const sent = sharded ? commands.spublish(this.#channel, text) : commands.publish(this.#channel, text)
    // A hint that is lost is found out by looking.
    sent.catch(() => {})
  }

  /** Until it succeeds once: the connection keeps subscriptions. */
  #subscribe(): void {
    const { subscriber, sharded } = this.#options.link
    if (this.#subscribed || subscriber.status !== 'ready') return
    this.#subscribed = true
    const done = sharded ? subscriber.ssubscribe(this.#channel) : subscriber.subscribe(this.#channel)
    done.catch(() => {
      this.#subscribed = false
    })
  }

  readonly #onMessage = (channel: Buffer, payload: Buffer): void => {
    if (channel.toString('latin1') !== this.#channel) return
    const message = parse(payload.toString())
    if (message && message.from !== this.#options.member) this.#options.onMessage(message)
  }
}

/** `undefined` for what is no message of ours. */
function parse(text: string): ControlMessage | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { type, from, to, cluster, clusters, held } = value as Record<string, unknown>
  if (typeof from !== 'string') return undefined
  if (type === 'HELLO' || type === 'BYE') return { type, from }
  if (type === 'FREE' && Array.isArray(clusters)) {
    return { type, from, clusters: clusters.map(String), ...(typeof to === 'string' && { to }) }
  }
  if (type === 'ASK' && typeof to === 'string' && typeof cluster === 'string' && typeof held === 'number') {
    return { type, from, to, cluster, held }
  }
  return undefined
}

/**
 * How well a cluster fits a member; the highest of all members goes first. Every replica computes the same,
 * and a member that comes or goes changes the order of few clusters (rendezvous hashing).
 */
export function fitness(cluster: string, member: string): number {
  // FNV-1a, then the finalizer of MurmurHash3: names that differ in one letter must not fall together.
  let hash = 0x811c9dc5
  for (const letter of `${member}\n${cluster}`) {
    hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
