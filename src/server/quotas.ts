/**
 * How much one user may have open at a time, and all together: connections, subscriptions, requests that
 * wait for a cluster. On one replica: what is open here is known here, at once and for certain.
 *
 * Invariant: what was taken is given back once, and of a user who has nothing open nothing is kept.
 *
 * Those who did not sign in are nobody in particular: only what holds for all together holds for them.
 */
import { GraphQLError } from 'graphql'
import { identityOf, type Viewer } from '../access/viewer.ts'
import type { Limits } from './limits.ts'
import type { Caller } from './request.ts'

/** Quotas of one user; each is the name of its limit. */
const QUOTAS = ['connectionsPerUser', 'subscriptionsPerUser', 'requestsPerUser'] as const
export type Quota = (typeof QUOTAS)[number]

type QuotaLimits = Pick<Limits, Quota | 'subscriptions'>

const NAMES: Readonly<Record<Quota, string>> = {
  connectionsPerUser: 'connections',
  subscriptionsPerUser: 'subscriptions',
  requestsPerUser: 'requests that wait for a cluster',
}

/** What is open; for metrics. */
export interface Load {
  readonly connections: number
  readonly subscriptions: number
  /** Requests that wait for a cluster. */
  readonly requests: number
  /** Who have signed in and have anything open. */
  readonly users: number
}

type OnRefused = (error: GraphQLError, viewer: Viewer, caller: Caller | undefined) => void

export class Quotas {
  readonly #limits: QuotaLimits
  readonly #shares = new Map<string, Share>()
  readonly #all = counts()
  readonly #onRefused: OnRefused

  /** `onRefused`: for the audit records. */
  constructor(limits: QuotaLimits, onRefused: OnRefused = () => {}) {
    this.#limits = limits
    this.#onRefused = onRefused
  }

  get load(): Load {
    return {
      connections: this.#all.connectionsPerUser,
      subscriptions: this.#all.subscriptionsPerUser,
      requests: this.#all.requestsPerUser,
      users: this.#shares.size,
    }
  }

  /** Takes one place. Throws LIMIT_EXCEEDED, whose `extensions.limit` names the limit. */
  take(viewer: Viewer, quota: Quota, caller?: Caller): Place {
    const share = viewer.method === 'ANONYMOUS' ? undefined : this.#shareOf(viewer)
    const error = this.#refusal(quota, share)
    if (error) {
      this.#onRefused(error, viewer, caller)
      throw error
    }
    if (share) {
      share.counts[quota]++
      share.places++
      this.#shares.set(share.identity, share)
    }
    this.#all[quota]++
    return new Place(this, quota, share)
  }

  /** Something was refused that is counted elsewhere. */
  refused(error: GraphQLError, viewer: Viewer, caller: Caller): GraphQLError {
    this.#onRefused(error, viewer, caller)
    return error
  }

  /** A connection of this user is closed for what came over it. */
  flooded(viewer: Viewer, message: string, caller?: Caller): void {
    const error = new GraphQLError(message, { extensions: { code: 'RATE_LIMITED' } })
    this.#onRefused(error, viewer, caller)
  }

  /** Of a place, which calls it once. */
  free(quota: Quota, share: Share | undefined): void {
    this.#all[quota]--
    if (!share) return
    share.counts[quota]--
    if (--share.places === 0) this.#shares.delete(share.identity)
  }

  #refusal(quota: Quota, share: Share | undefined): GraphQLError | undefined {
    const inAll = this.#limits.subscriptions
    if (quota === 'subscriptionsPerUser' && this.#all[quota] >= inAll) {
      return full('subscriptions', `The server has ${inAll} subscriptions open, and takes no more.`)
    }
    const most = this.#limits[quota]
    return share && share.counts[quota] >= most
      ? full(quota, `You have ${most} ${NAMES[quota]} open: that is the most for one user.`)
      : undefined
  }

  #shareOf(viewer: Viewer): Share {
    const identity = identityOf(viewer)
    return this.#shares.get(identity) ?? { identity, counts: counts(), places: 0, pace: new Pace(USER_PACE) }
  }
}

interface Share {
  readonly identity: string
  readonly counts: Record<Quota, number>
  /** The sum of them. */
  places: number
  readonly pace: Pace
}

/** Something that is open. */
export class Place {
  #quotas: Quotas | undefined
  readonly #quota: Quota
  readonly #share: Share | undefined

  constructor(quotas: Quotas, quota: Quota, share: Share | undefined) {
    this.#quotas = quotas
    this.#quota = quota
    this.#share = share
  }

  /** Shared with whatever else this user has open; `undefined` for those who did not sign in. */
  get pace(): Pace | undefined {
    return this.#share?.pace
  }

  /** Idempotent. */
  free(): void {
    this.#quotas?.free(this.#quota, this.#share)
    this.#quotas = undefined
  }
}

/**
 * Units in a second: a message is one, and one more for each so many bytes. A page that opens a hundred
 * subscriptions at once is far below it; a client above it is not read from until the second is over, so
 * that a flood costs what this many messages cost – some percent of a core at the worst. Who keeps on means it:
 * what it has sent already would take long, also after it has gone.
 */
export const SOCKET_PACE = 300
export const SECONDS_ABOVE_PACE = 10
const USER_PACE = 3_000
const BYTES_PER_UNIT = 8 * 1024

/** Counts what comes in each second. */
export class Pace {
  readonly #most: number
  #second = 0
  #units = 0
  #isAbove = false
  #secondsAbove = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Seconds in a row, up to the last one, in which more came than might be taken. */
  get secondsAbove(): number {
    return this.#secondsAbove
  }

  /** Milliseconds until the next message may be taken; 0: now. `now` is in epoch milliseconds. */
  wait(now: number): number {
    const second = Math.floor(now / 1_000)
    if (second !== this.#second) {
      this.#secondsAbove = this.#isAbove && second === this.#second + 1 ? this.#secondsAbove + 1 : 0
      this.#isAbove = false
      this.#second = second
      this.#units = 0
    }
    if (this.#units < this.#most) return 0
    this.#isAbove = true
    return (second + 1) * 1_000 - now
  }

  /** A message of this length was taken. */
  count(bytes: number): void {
    this.#units += 1 + Math.floor(bytes / BYTES_PER_UNIT)
  }
}

function counts(): Record<Quota, number> {
  return { connectionsPerUser: 0, subscriptionsPerUser: 0, requestsPerUser: 0 }
}

function full(limit: keyof QuotaLimits, message: string): GraphQLError {
  return new GraphQLError(`${message} Limit: ${limit}.`, { extensions: { code: 'LIMIT_EXCEEDED', limit } })
}
