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
 * A request that is refused for what it is takes as much as `refusedRequestWeight` that are answered: to find out
 * that it is no good costs more than most answers do, and nothing of it is kept. So that nobody spends all
 * of a minute's refusals at once, each replica lets a user have a burst of them, and then as many a second as make
 * a minute's. There a refusal counts as many times as it took half milliseconds of CPU to find out: it is by these
 * that others wait, and a client that is merely broken, whose refusals are cheap, is not held up as an attacker is.
 * Whoever is not signed in has the same, by address.
 *
 * Invariant: what is kept is bounded by the users that are signed in and by `MAX_ADDRESSES`, each for a minute.
 * Nobody who has signed in waits for what others send from the same address.
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

/** Refused requests that may come at once: those of a page that is broken in many places. */
const REFUSED_AT_ONCE = 20

/** As how many a refusal counts that took a millisecond of CPU. */
const REFUSED_A_MS = 2

/** As how many the dearest counts: a gateway that has just begun is slow, and lets some mistakes pass all the same. */
const MOST_OF_ONE = 10

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
  /** Charged, but not reserved yet: no request waits for that. */
  #owed = 0
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

  /** Takes more for what was let through already, whether there is as much or not. */
  charge(points: number): void {
    const paid = Math.min(points, Math.max(0, this.#left))
    this.#left -= paid
    this.#owed += points - paid
    if (this.#owed > 0 || this.#left < this.#slice / 2) this.#refill()
  }

  /** Milliseconds until there is anything to take, as far as is known. */
  waitMs(): number {
    return this.#left > 0 ? 0 : Math.max(0, this.#exhaustedUntil - this.#clock.now())
  }

  #refill(): void {
    if (this.#reserving || this.#clock.now() < this.#exhaustedUntil) return
    this.#reserving = true
    const owed = this.#owed
    this.#owed = 0
    void this.#reserved(this.#slice + Math.max(0, -this.#left) + owed, owed)
  }

  /** `owed`: those of the points that are spent already. */
  async #reserved(points: number, owed: number): Promise<void> {
    // Memory cannot fail; a counter of another kind that does is not to lock everyone out.
    const { granted, exhaustedMs } = await this.#reserve(points).catch(() => ({
      granted: points,
      exhaustedMs: 0,
    }))
    this.#reserving = false
    this.#left += granted - owed
    if (exhaustedMs > 0) this.#exhaustedUntil = this.#clock.now() + exhaustedMs
    else if (this.#left < 0 || this.#owed > 0) this.#refill()
  }
}

/** A token bucket: so many at once, and then so many a second. */
class Bucket {
  readonly #perMs: number
  readonly #most: number
  readonly #clock: Clock
  /** When it will be full. */
  #fullAt = 0

  constructor(perSecond: number, most: number, clock: Clock) {
    this.#perMs = perSecond / 1_000
    this.#most = most
    this.#clock = clock
  }

  /** Takes so many, whether there are as many or not. */
  take(count: number): void {
    this.#fullAt = Math.max(this.#fullAt, this.#clock.now()) + count / this.#perMs
  }

  /** Milliseconds until there is one. */
  waitMs(): number {
    return Math.max(0, Math.ceil(this.#fullAt - this.#clock.now() - (this.#most - 1) / this.#perMs))
  }
}

/** The requests of one user, or of one address. */
class Requests {
  readonly #allowance: Allowance
  readonly #refusals: Bucket

  constructor(allowance: Allowance, refusals: Bucket) {
    this.#allowance = allowance
    this.#refusals = refusals
  }

  /** Milliseconds until one may be sent again; 0: it was counted. */
  take(): number {
    return this.#refusals.waitMs() || this.#allowance.take(1)
  }

  /** One was refused, which took so many milliseconds of CPU: of its points so many were not taken yet. */
  refused(points: number, cpuMs: number): void {
    this.#allowance.charge(points)
    this.#refusals.take(Math.min(MOST_OF_ONE, Math.max(1, REFUSED_A_MS * cpuMs)))
  }

  waitMs(): number {
    return Math.max(this.#refusals.waitMs(), this.#allowance.waitMs())
  }
}

export interface RateLimitsOptions {
  readonly limits: Pick<
    Limits,
    'requestsPerMinute' | 'refusedRequestWeight' | 'costPerMinute' | 'signInFailuresPerMinute'
  >
  /** Shared by all replicas; whoever gives it closes it. */
  readonly redis?: { readonly client: Redis | Cluster; readonly prefix: string }
  readonly clock?: Clock
}

interface UserAllowances {
  readonly requests: Requests
  readonly cost: Allowance
}

export class RateLimits {
  readonly #limits: RateLimitsOptions['limits']
  readonly #clock: Clock
  readonly #requests: Counter
  readonly #cost: Counter
  /** By sign-in, so that nothing is put together for each request; of one user all are the same. */
  readonly #ofViewer = new WeakMap<Viewer, UserAllowances>()
  readonly #ofUser = new BoundedCache<string, UserAllowances>({ maxCount: MAX_USERS, maxBytes: Infinity })
  readonly #failures: Addresses<Allowance>
  readonly #refused: Addresses<Requests>
  /** Until when anybody may have to wait who was told so. */
  #busyUntil = 0

  constructor({ limits, redis, clock = systemClock }: RateLimitsOptions) {
    this.#limits = limits
    this.#clock = clock
    this.#requests = counter('requests', limits.requestsPerMinute, redis, clock)
    this.#cost = counter('cost', limits.costPerMinute, redis, clock)
    const failures = counter('failures', limits.signInFailuresPerMinute, redis, clock)
    this.#failures = new Addresses(
      (key) => this.#allowance(failures, limits.signInFailuresPerMinute, key),
      clock,
    )
    const refused = counter('refused', limits.requestsPerMinute, redis, clock)
    this.#refused = new Addresses((key) => this.#requestsOf(refused, key), clock)
  }

  /** Notes a request: 0, or the milliseconds that the user has to wait with it. Nobody counts as anybody. */
  request(viewer: Viewer): number {
    if (viewer.method === 'ANONYMOUS') return 0
    const wait = this.#allowances(viewer).requests.take()
    this.#noteWait(wait)
    return wait
  }

  /** Notes that a request, which was noted, was refused for what it is, and took so long to look at. */
  refused(viewer: Viewer, cpuMs = 0): void {
    if (viewer.method === 'ANONYMOUS') return
    const { requests } = this.#allowances(viewer)
    requests.refused(this.#limits.refusedRequestWeight - 1, cpuMs)
    this.#noteWait(requests.waitMs())
  }

  /** Notes that a request was refused for what it is of which nobody knows who sent it. */
  refusedFrom(address: string): void {
    this.#refused.of(address).refused(this.#limits.refusedRequestWeight, 0)
  }

  /** Milliseconds for which no requests from there are read, but of those who have signed in; 0: they are. */
  refusedWaitMs(address: string): number {
    return this.#refused.waitMs(address)
  }

  #noteWait(waitMs: number): void {
    if (waitMs > 0) this.#busyUntil = Math.max(this.#busyUntil, this.#clock.now() + waitMs)
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

  /** Notes what a request that was let through has cost beyond: the next ones wait for it. */
  spent(viewer: Viewer, cost: number): void {
    if (cost > 0 && viewer.method !== 'ANONYMOUS') this.#allowances(viewer).cost.charge(cost)
  }

  /** Milliseconds for which no credentials from there are looked at; 0: they are. */
  signInWaitMs(address: string): number {
    return this.#failures.waitMs(address)
  }

  signInFailed(address: string): void {
    this.#failures.of(address).take(1)
  }

  #allowances(viewer: Viewer): UserAllowances {
    let known = this.#ofViewer.get(viewer)
    if (!known) {
      const key = identityOf(viewer)
      known = this.#ofUser.get(key)
      if (!known) {
        known = {
          requests: this.#requestsOf(this.#requests, key),
          cost: this.#allowance(this.#cost, this.#limits.costPerMinute, key),
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

  #requestsOf(counter: Counter, key: string): Requests {
    const { requestsPerMinute, refusedRequestWeight } = this.#limits
    const perSecond = requestsPerMinute / refusedRequestWeight / MINUTE_S
    return new Requests(
      this.#allowance(counter, requestsPerMinute, key),
      new Bucket(perSecond, Math.max(REFUSED_AT_ONCE, 2 * perSecond), this.#clock),
    )
  }
}

/** What each address may still do, and beyond `MAX_ADDRESSES` all others together. */
class Addresses<T extends { waitMs(): number }> {
  readonly #make: (key: string) => T
  readonly #clock: Clock
  readonly #known = new Map<string, T>()
  #sweepAt = 0

  constructor(make: (key: string) => T, clock: Clock) {
    this.#make = make
    this.#clock = clock
  }

  of(address: string): T {
    this.#sweep()
    const network = networkOf(address)
    const isKnown = this.#known.has(network)
    const key = isKnown || this.#known.size < MAX_ADDRESSES ? network : ALL_OTHERS
    let known = this.#known.get(key)
    if (!known) this.#known.set(key, (known = this.#make(key)))
    return known
  }

  waitMs(address: string): number {
    if (this.#known.size === 0) return 0
    return this.#known.get(networkOf(address))?.waitMs() ?? this.#known.get(ALL_OTHERS)?.waitMs() ?? 0
  }

  /** Forgets all that may try again, once a minute. The counter remembers what they did. */
  #sweep(): void {
    if (this.#clock.now() < this.#sweepAt) return
    this.#sweepAt = this.#clock.now() + MINUTE_S * 1_000
    for (const [key, known] of this.#known) if (known.waitMs() === 0) this.#known.delete(key)
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
