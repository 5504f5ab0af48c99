/**
 * How often, and how much, one user or one address may ask in a minute. The counting is
 * rate-limiter-flexible's: in memory, or in a Redis that all replicas share, with memory as its insurance
 * while that is away.
 *
 * No request waits for the count. A replica reserves a slice (a hundredth of the minute's allowance) ahead of
 * need and spends it locally; while the next slice is on its way it may overdraw by one. So of a limit that is
 * reached, each replica lets through at most one slice and one request too many, and what is overdrawn is
 * taken from the next slice. A reservation that Redis does not answer in time is made from memory.
 *
 * Invariant: what is kept is bounded by the users that are signed in and by `MAX_ADDRESSES`, each for a minute.
 */
import type { Redis, Cluster } from 'ioredis'
import {
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
  RLWrapperTimeouts,
  type RateLimiterAbstract,
} from 'rate-limiter-flexible'
import { identityOf, type Viewer } from '../access/viewer.ts'
import { systemClock, type Clock } from '../fleet/clock.ts'
import { BoundedCache } from './bounded-cache.ts'
import type { Limits } from './limits.ts'

const MINUTE_S = 60

/** Of a limit; what is left of a slice when the minute ends may be spent in the next. */
const SLICES = 100

/** Until a Redis that does not answer counts as away. */
const REDIS_MS = 250

/** How long it is not asked again then. */
const AWAY_MS = 5_000

const MAX_USERS = 100_000
const MAX_ADDRESSES = 50_000

/** Addresses beyond `MAX_ADDRESSES` in a minute share one allowance: then the flood comes from everywhere. */
const ALL_OTHERS = '*'

/** What a reservation gave: of the points asked for, so many, and milliseconds until there are more. */
interface Grant {
  readonly granted: number
  readonly exhaustedMs: number
}

/** Asks the counter for points. Rejects where it cannot be asked. */
export type Reserve = (points: number) => Promise<Grant>

/** What one user or address may still do, as far as this process knows. */
export class Allowance {
  readonly #limit: number
  readonly #slice: number
  readonly #reserve: Reserve
  readonly #clock: Clock
  /** Negative: overdrawn. */
  #left = 0
  #exhaustedUntil = 0
  #reserving = false

  constructor(limit: number, reserve: Reserve, clock: Clock) {
    this.#limit = limit
    this.#slice = Math.ceil(limit / SLICES)
    this.#reserve = reserve
    this.#clock = clock
  }

  /** Milliseconds until it may be tried again; 0: taken. */
  take(points: number): number {
    if (this.#left < points) {
      const wait = this.waitMs()
      if (wait > 0) return wait
      // More than there ever is.
      if (points > this.#limit) return MINUTE_S * 1_000
      if (this.#left <= -this.#slice) return 1_000
    }
    this.#left -= points
    if (this.#left < this.#slice / 2) this.#refill()
    return 0
  }

  /** Milliseconds until there is anything to take, as far as is known. */
  waitMs(): number {
    return this.#left > 0 ? 0 : Math.max(0, this.#exhaustedUntil - this.#clock.now())
  }

  #refill(): void {
    if (this.#reserving || this.#clock.now() < this.#exhaustedUntil) return
    this.#reserving = true
    void this.#reserved(this.#slice + Math.max(0, -this.#left))
  }

  async #reserved(points: number): Promise<void> {
    // Memory cannot fail; a counter of another kind that does is not to lock everyone out.
    const { granted, exhaustedMs } = await this.#reserve(points).catch(() => ({
      granted: points,
      exhaustedMs: 0,
    }))
    this.#reserving = false
    this.#left += granted
    if (exhaustedMs > 0) this.#exhaustedUntil = this.#clock.now() + exhaustedMs
    else if (this.#left < 0) this.#refill()
  }
}

export interface RateLimitsOptions {
  readonly limits: Pick<Limits, 'requestsPerMinute' | 'costPerMinute' | 'signInFailuresPerMinute'>
  /** Shared by all replicas; whoever gives it closes it. */
  readonly redis?: { readonly client: Redis | Cluster; readonly prefix: string }
  readonly clock?: Clock
}

interface UserAllowances {
  readonly requests: Allowance
  readonly cost: Allowance
}

export class RateLimits {
  readonly #limits: RateLimitsOptions['limits']
  readonly #clock: Clock
  readonly #requests: Counter
  readonly #cost: Counter
  readonly #failures: Counter
  /** By sign-in, so that nothing is put together for each request; of one user all are the same. */
  readonly #ofViewer = new WeakMap<Viewer, UserAllowances>()
  readonly #ofUser = new BoundedCache<string, UserAllowances>({ maxCount: MAX_USERS, maxBytes: Infinity })
  readonly #ofAddress = new Map<string, Allowance>()
  #sweepAt = 0
  /** Until when anybody may have to wait who was told so. */
  #busyUntil = 0

  constructor({ limits, redis, clock = systemClock }: RateLimitsOptions) {
    this.#limits = limits
    this.#clock = clock
    this.#requests = counter('requests', limits.requestsPerMinute, redis, clock)
    this.#cost = counter('cost', limits.costPerMinute, redis, clock)
    this.#failures = counter('failures', limits.signInFailuresPerMinute, redis, clock)
  }

  /** Notes a request: 0, or the milliseconds that the user has to wait with it. Nobody counts as anybody. */
  request(viewer: Viewer): number {
    if (viewer.method === 'ANONYMOUS') return 0
    const wait = this.#allowances(viewer).requests.take(1)
    if (wait > 0) this.#busyUntil = Math.max(this.#busyUntil, this.#clock.now() + wait)
    return wait
  }

  /** Whether there is anybody for whom `requestWaitMs` may give more than 0. */
  get isAnyoneWaiting(): boolean {
    return this.#busyUntil > 0 && this.#clock.now() < this.#busyUntil
  }

  /** What `request` would give, as far as is known; notes nothing. */
  requestWaitMs(viewer: Viewer): number {
    return viewer.method === 'ANONYMOUS' ? 0 : this.#allowances(viewer).requests.waitMs()
  }

  /** Notes what a request will cost, as `request` does. */
  cost(viewer: Viewer, cost: number): number {
    if (cost === 0 || viewer.method === 'ANONYMOUS') return 0
    return this.#allowances(viewer).cost.take(Math.ceil(cost))
  }

  /** Milliseconds for which no credentials from there are looked at; 0: they are. */
  signInWaitMs(address: string): number {
    if (this.#ofAddress.size === 0) return 0
    return this.#ofAddress.get(networkOf(address))?.waitMs() ?? this.#ofAddress.get(ALL_OTHERS)?.waitMs() ?? 0
  }

  signInFailed(address: string): void {
    this.#sweep()
    const network = networkOf(address)
    const isKnown = this.#ofAddress.has(network)
    const key = isKnown || this.#ofAddress.size < MAX_ADDRESSES ? network : ALL_OTHERS
    let allowance = this.#ofAddress.get(key)
    if (!allowance) {
      allowance = this.#allowance(this.#failures, this.#limits.signInFailuresPerMinute, key)
      this.#ofAddress.set(key, allowance)
    }
    allowance.take(1)
  }

  #allowances(viewer: Viewer): UserAllowances {
    let known = this.#ofViewer.get(viewer)
    if (!known) {
      const key = identityOf(viewer)
      known = this.#ofUser.get(key)
      if (!known) {
        const { requestsPerMinute, costPerMinute } = this.#limits
        known = {
          requests: this.#allowance(this.#requests, requestsPerMinute, key),
          cost: this.#allowance(this.#cost, costPerMinute, key),
        }
        this.#ofUser.set(key, known, 0)
      }
      this.#ofViewer.set(viewer, known)
    }
    return known
  }

  #allowance(counter: Counter, limit: number, key: string): Allowance {
    return new Allowance(limit, (points) => reserve(counter, limit, key, points), this.#clock)
  }

  /** Forgets all addresses that may try again, once a minute. The counter remembers what they did. */
  #sweep(): void {
    if (this.#clock.now() < this.#sweepAt) return
    this.#sweepAt = this.#clock.now() + MINUTE_S * 1_000
    for (const [key, allowance] of this.#ofAddress) if (allowance.waitMs() === 0) this.#ofAddress.delete(key)
  }
}

/** Counts what is consumed under a key: also beyond the limit. Rejects where it cannot. */
type Counter = (key: string, points: number) => Promise<RateLimiterRes>

function counter(name: string, points: number, redis: RateLimitsOptions['redis'], clock: Clock): Counter {
  const memory = consumer(new RateLimiterMemory({ points, duration: MINUTE_S }))
  if (!redis) return memory
  const limiter = new RateLimiterRedis({
    storeClient: redis.client,
    keyPrefix: `${redis.prefix}:rate:${name}`,
    points,
    duration: MINUTE_S,
    rejectIfRedisNotReady: true,
  })
  const shared = consumer(new RLWrapperTimeouts({ limiter, timeoutMs: REDIS_MS }))
  // To find out anew for each slice that Redis does not answer would slow down whoever asks the most.
  let awayUntil = 0
  return async (key, points) => {
    if (clock.now() < awayUntil) return memory(key, points)
    try {
      return await shared(key, points)
    } catch {
      awayUntil = clock.now() + AWAY_MS
      return memory(key, points)
    }
  }
}

/** The library rejects with the count where that is beyond the limit. */
function consumer(limiter: RateLimiterAbstract): Counter {
  return async (key, points) => {
    try {
      return await limiter.consume(key, points)
    } catch (error) {
      if (error instanceof RateLimiterRes) return error
      throw error
    }
  }
}

/** Consumes points, and gives those that were within the limit. */
async function reserve(consume: Counter, limit: number, key: string, points: number): Promise<Grant> {
  const { consumedPoints, msBeforeNext } = await consume(key, points)
  const granted = Math.max(0, Math.min(points, limit - (consumedPoints - points)))
  // Points may be gone in the next window; the rest of a second is no reason to ask again and again.
  return { granted, exhaustedMs: consumedPoints >= limit ? Math.max(1_000, msBeforeNext) : 0 }
}

/** One client has a whole /64 of IPv6 for itself (RFC 6177). */
export function networkOf(address: string): string {
  const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
  if (!plain.includes(':')) return plain
  const [head = '', tail] = plain.split('%', 1)[0]!.split('::')
  const groups = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const missing = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length)
  const whole = [...groups, ...Array<string>(missing).fill('0'), ...after]
  return `${whole
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
