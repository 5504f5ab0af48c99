/**
 * Who may watch which cluster, as Redis holds it: for each cluster one lease, which is a key with the
 * holder's token that expires unless it is renewed, and an epoch, which grows with each holder.
 *
 * A token is made for one attempt to acquire and never used again; it names the member that made it. That
 * is what makes commands safe that Redis executes late – after its sender gave up waiting, as a frozen
 * Redis does when it wakes up, or from a socket that is closed already:
 *
 * - An acquisition carries the time, by Redis' own clock, until which its sender waits. Later it does
 *   nothing. (One that comes in time but whose answer is lost leaves a lease that nobody uses; its member
 *   sees its own name in it and releases it, or it expires.)
 * - A renewal extends the lease only where it still holds that token. If it has expired in between there is
 *   nothing to extend; if it has not, no one else can have acquired it.
 * - A release deletes the lease only where it holds that token, so never that of a later holder.
 *
 * A renewal writes the token anew, where PEXPIRE would do: a Redis that is full refuses it, as it refuses
 * what an owner publishes, so that nobody remains the owner of what nobody else can see.
 *
 * The same tokens fence what owners write (see `scripts.ts`). The epoch is at least Redis' time, so that it
 * grows over a Redis that lost its data, too.
 *
 * Deliberately absent: when to try, and for which cluster; see `ownership.ts`.
 */
import { randomBytes } from 'node:crypto'
import type { RedisLink } from './keys.ts'
import { clusterKeys } from './keys.ts'

export interface Lease {
  readonly token: string
  readonly epoch: number
}

/** A lease as it was at a moment: the holder's token, `''` where nobody holds it. */
export interface LeaseView {
  readonly token: string
  /** Redis' clock, on the server that holds this lease; epoch milliseconds. */
  readonly redisTime: number
  /** Since the owner's last heartbeat; Infinity: Redis knows of none. */
  readonly silentMs: number
}

/** KEYS: the leases, then the states. Of each cluster the token, and the age of the last heartbeat or -1. */
const TEND = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local views = { now }
local count = #KEYS / 2
for i = 1, count do
  local token = redis.call('GET', KEYS[i])
  if token and token == ARGV[i + 1] and tonumber(ARGV[1]) > 0 then
    redis.call('SET', KEYS[i], token, 'XX', 'PX', ARGV[1])
  end
  local beat = redis.call('HGET', KEYS[count + i], ':beat')
  views[2 * i] = token or ''
  views[2 * i + 1] = beat and now - beat or -1
end
return views`

const ACQUIRE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[3]) then return false end
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
local epoch = string.format('%.0f', math.max((tonumber(redis.call('GET', KEYS[2])) or 0) + 1, now))
redis.call('SET', KEYS[2], epoch, 'PX', ARGV[4])
return epoch`

const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

/** An epoch that has expired is not needed: the next one is Redis' time at least. */
const EPOCH_MS = 3_600_000
/** Leases of one call; a longer one would keep Redis from others. */
const BATCH = 256

export class Leases {
  readonly #link: RedisLink
  readonly #leaseMs: number

  constructor(link: RedisLink, leaseMs: number) {
    this.#link = link
    this.#leaseMs = leaseMs
  }

  /**
   * Reads the leases of these clusters, and with `renew` extends those that hold the token given; one call
   * however many they are (on a Redis Cluster one for each, since each has a slot of its own). Clusters
   * that could not be read are missing from `views`, and `error` is why.
   */
  async tend(
    clusters: readonly { readonly cluster: string; readonly token: string }[],
    renew: boolean,
  ): Promise<{ readonly views: ReadonlyMap<string, LeaseView>; readonly error: unknown }> {
    const views = new Map<string, LeaseView>()
    let error: unknown
    const size = this.#link.sharded ? 1 : BATCH
    const calls = []
    for (let start = 0; start < clusters.length; start += size) {
      calls.push(this.#tend(clusters.slice(start, start + size), renew, views))
    }
    for (const result of await Promise.allSettled(calls)) {
      if (result.status === 'rejected') error = result.reason
    }
    return { views, error }
  }

  async #tend(
    clusters: readonly { readonly cluster: string; readonly token: string }[],
    renew: boolean,
    views: Map<string, LeaseView>,
  ): Promise<void> {
    const keys = clusters.map(({ cluster }) => clusterKeys(this.#link.prefix, cluster))
    const answer = (await this.#link.commands.eval(
      TEND,
      2 * keys.length,
      ...keys.map(({ lease }) => lease),
      ...keys.map(({ state }) => state),
      renew ? this.#leaseMs : 0,
      ...clusters.map(({ token }) => token),
    )) as readonly (number | string)[]
    const redisTime = Number(answer[0])
    clusters.forEach(({ cluster }, i) => {
      const age = Number(answer[2 * i + 2])
      const silentMs = age < 0 ? Infinity : age
      views.set(cluster, { token: String(answer[2 * i + 1]), redisTime, silentMs })
    })
  }

  /** `undefined` where another was first, or it was too late. `until` is by Redis' clock. */
  async acquire(cluster: string, token: string, until: number): Promise<Lease | undefined> {
    const keys = clusterKeys(this.#link.prefix, cluster)
    const epoch = await this.#link.commands.eval(
      ACQUIRE,
      2,
      keys.lease,
      keys.epoch,
      token,
      this.#leaseMs,
      Math.floor(until),
      EPOCH_MS,
    )
    return epoch === null ? undefined : { token, epoch: Number(epoch) }
  }

  async release(cluster: string, token: string): Promise<void> {
    await this.#link.commands.eval(RELEASE, 1, clusterKeys(this.#link.prefix, cluster).lease, token)
  }
}

/** For one attempt to acquire. */
export function newToken(member: string): string {
  return `${member}/${randomBytes(9).toString('base64url')}`
}

/** The member that made a token. */
export function holderOf(token: string): string {
  return token.slice(0, token.lastIndexOf('/'))
}
