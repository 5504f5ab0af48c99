/**
 * Which clusters this replica owns: it looks at all leases every half second, renews its own, takes those
 * that are free when it is its turn, and hands some over where others have fewer.
 *
 * Turns: whoever fits a free cluster best tries at once, the others a little later each, and later still
 * who has its share already. Nobody waits for a certain other one, so that a cluster which only one
 * replica knows is taken by that one, whatever its share. A lease that vanished without a word is left for a
 * second to its last holder, who may be alive and watching: Redis may have lost its data.
 *
 * Rebalancing is pulled: a replica that holds at least two leases less than another asks it for one, of a
 * cluster that both know. Nothing moves while replicas come and go, and one at a time afterwards, so that a
 * cluster changes hands no oftener than needed.
 *
 * Deliberately absent: what owning means; see `cluster-role.ts`. Why late commands are harmless: `leases.ts`.
 */
import type { Clock } from '../../fleet/clock.ts'
import type { RedisLink } from './keys.ts'
import { holderOf, type Lease, Leases, type LeaseView, newToken } from './leases.ts'
import { type ControlMessage, fitness, Membership } from './membership.ts'

/** Milliseconds. */
export interface OwnershipTimes {
  /** A lease that is not renewed ends. */
  readonly leaseMs: number
  readonly renewMs: number
  /** Between two looks at all leases. */
  readonly pollMs: number
  /** How long an acquisition may take, until Redis refuses it. */
  readonly commandMs: number
  /** Between the turns of two replicas. */
  readonly turnMs: number
  /** From the first beat of this replica until it takes anything, so that others which start are seen. */
  readonly settleMs: number
  /** For the last holder of a lease that vanished. */
  readonly vacancyMs: number
  /** After a lost connection nothing is taken for so long: its holder may be still connecting. */
  readonly returnMs: number
  /** Members have to be the same for so long before anything moves; and from one move to the next. */
  readonly rebalanceMs: number
  /** Another that holds a lease, but of which nothing was heard for so long, is as good as nobody. */
  readonly silentMs: number
}

export const OWNERSHIP_TIMES: OwnershipTimes = {
  leaseMs: 6_000,
  renewMs: 2_000,
  pollMs: 500,
  commandMs: 3_000,
  turnMs: 250,
  settleMs: 300,
  vacancyMs: 1_000,
  returnMs: 2_000,
  rebalanceMs: 5_000,
  silentMs: 5_000,
}

export interface OwnershipOptions {
  readonly link: RedisLink
  readonly clock: Clock
  /** This process; no other has had the name before. */
  readonly member: string
  readonly times: OwnershipTimes
  /** In [0, 1). */
  readonly random: () => number
  /** The lease is ours: told at each look, so also again after Redis was away. */
  readonly onGranted: (cluster: string, lease: Lease) => void
  /** Another holds the lease: told at each look. `silent`: and publishes nothing. */
  readonly onHeldByOther: (cluster: string, silent: boolean) => void
  /** Before each lease is given to another: resolves when this replica does not watch any more. */
  readonly handOver: (cluster: string) => Promise<void>
  readonly onError: (error: unknown) => void
}

type Ask = Extract<ControlMessage, { type: 'ASK' }>

interface Entry {
  readonly cluster: string
  lease: Lease | undefined
  /** Who else holds it. */
  holder: string | undefined
  /** When that was first seen; epoch milliseconds. */
  heldAt: number
  /** Since when nobody holds it; epoch milliseconds. */
  freeAt: number | undefined
  /** Somebody held it and said nothing when it ended. */
  vanished: boolean
  /** It was ours when it ended. */
  wasOurs: boolean
  /** Who goes first. */
  offeredTo: string | undefined
  /** In [0, 1), for this time that it is free. */
  jitter: number
  handingOver: boolean
  /** When Redis last said who holds it, and that was we or somebody who is heard; epoch milliseconds. */
  decidedAt: number | undefined
}

export class Ownership {
  readonly #options: OwnershipOptions
  readonly #leases: Leases
  readonly #membership: Membership
  readonly #entries = new Map<string, Entry>()
  #renewedAt = -Infinity
  /** Nothing is taken before; moves on where this replica was not heard of for long. */
  #settledAt = Infinity
  #beatAt = -Infinity
  /** The connection was lost since the last beat; and when that was the case last. */
  #lost = false
  #returnedAt = -Infinity
  /** The latest of each member, with when it first and last asked, until it is granted or old. */
  readonly #asks = new Map<string, { readonly ask: Ask; readonly firstAt: number; readonly lastAt: number }>()
  #gaveAt = -Infinity
  #cancelTimer = () => {}
  #looking: Promise<void> | undefined
  #lookAgain = false
  #leaving = false
  #closed = false

  constructor(options: OwnershipOptions) {
    const { link, clock, member, times } = options
    this.#options = options
    this.#leases = new Leases(link, times.leaseMs)
    this.#membership = new Membership({
      link,
      clock,
      member,
      memberMs: times.leaseMs,
      onMessage: (message) => this.#onMessage(message),
    })
    link.commands.on('close', this.#onClose)
    this.look()
  }

  /** Replicas that are there, as of the last look; this one among them. */
  get members(): readonly string[] {
    return this.#membership.members
  }

  /** When Redis last answered at all; epoch milliseconds, -Infinity: never yet. */
  get heardAt(): number {
    return this.#beatAt
  }

  /**
   * When Redis last said who holds the lease, and that was we or somebody who is heard; epoch milliseconds,
   * `undefined`: never yet.
   */
  decidedAt(cluster: string): number | undefined {
    return this.#entries.get(cluster)?.decidedAt
  }

  add(cluster: string): void {
    this.#entries.set(cluster, {
      cluster,
      lease: undefined,
      holder: undefined,
      heldAt: 0,
      freeAt: undefined,
      vanished: false,
      wasOurs: false,
      offeredTo: undefined,
      jitter: 0,
      handingOver: false,
      decidedAt: undefined,
    })
    this.look()
  }

  /** Nothing is told of it afterwards. Resolves when its lease is released, if it was ours. Never rejects. */
  async remove(cluster: string): Promise<void> {
    const entry = this.#entries.get(cluster)
    this.#entries.delete(cluster)
    if (entry?.lease) await this.#release(entry, entry.lease, undefined)
  }

  /** Looks at the leases now, or once more after the look that is under way. */
  look(): void {
    if (this.#closed) return
    if (this.#looking) {
      this.#lookAgain = true
      return
    }
    this.#cancelTimer()
    this.#cancelTimer = () => {}
    this.#looking = this.#look().then(
      () => this.#looked(this.#nextMs()),
      (error: unknown) => {
        this.#options.onError(error)
        // Whatever is due now would fail again: not before the next regular look.
        this.#looked(this.#options.times.pollMs)
      },
    )
  }

  #looked(nextMs: number): void {
    this.#looking = undefined
    if (this.#closed) return
    // Not at once when asked to: messages come in bursts.
    const ms = this.#lookAgain ? Math.min(nextMs, SOON_MS) : nextMs
    this.#lookAgain = false
    this.#cancelTimer = this.#options.clock.after(ms, () => this.look())
  }

  /** Takes nothing any more, and tells the others that they need not wait for this replica. */
  async leave(): Promise<void> {
    if (this.#leaving) return
    this.#leaving = true
    await this.#membership.leave()
  }

  /** Leases that were not removed are left to expire. */
  async close(): Promise<void> {
    await this.leave()
    this.#closed = true
    this.#options.link.commands.off('close', this.#onClose)
    this.#cancelTimer()
    await this.#looking
  }

  async #look(): Promise<void> {
    const { link, clock, times } = this.#options
    // It says itself why it is not connected.
    if (link.commands.status !== 'ready') return
    const startedAt = clock.now()
    const renew = startedAt - this.#renewedAt >= times.renewMs
    const entries = [...this.#entries.values()]
    const asked = entries.map((entry) => ({ entry, cluster: entry.cluster, token: entry.lease?.token ?? '' }))
    const beat = this.#leaving ? undefined : this.#membership.beat(this.#held)
    const [tended, beaten] = await Promise.allSettled([this.#leases.tend(asked, renew), beat])
    if (this.#closed) return
    if (tended.status === 'rejected') throw tended.reason
    const { views, error } = tended.value
    if (renew && error === undefined) this.#renewedAt = startedAt
    for (const { entry, token: ours } of asked) {
      const view = views.get(entry.cluster)
      if (view && this.#entries.get(entry.cluster) === entry) this.#learn(entry, ours, view, startedAt)
    }
    if (beaten.status === 'fulfilled' && !this.#leaving) {
      const now = clock.now()
      // Whoever was not heard of for long has to be seen by the others first, and see them.
      if (now - this.#beatAt >= times.leaseMs) this.#settledAt = now + times.settleMs
      this.#beatAt = now
      if (this.#lost) this.#returnedAt = now
      this.#lost = false
      await this.#takeWhatIsDue(views, now)
      this.#ask(clock.now())
      this.#give(clock.now())
    }
    if (beaten.status === 'rejected') throw beaten.reason
    if (error !== undefined) throw error
  }

  /** What Redis said, when we asked at `askedAt` with the token `ours`. */
  #learn(entry: Entry, ours: string, { token, silentMs }: LeaseView, askedAt: number): void {
    const { clock, member, times, random, onGranted, onHeldByOther } = this.#options
    // Acquired or released while Redis was asked, or told to be free: the answer is older than what we know.
    if ((entry.lease?.token ?? '') !== ours) return
    if (token !== '' && entry.freeAt !== undefined && entry.freeAt >= askedAt) return
    const now = clock.now()
    if (token !== ours && token !== '' && holderOf(token) !== entry.holder) entry.heldAt = now
    // Whoever has just got a lease has not had the time to say anything.
    const silent = token !== ours && Math.min(silentMs, now - entry.heldAt) >= times.silentMs
    // Free for long is as bad as unknown: it may be that nobody can write it. So is an owner that renews its
    // lease, but whose tables nobody gets to see.
    if (token !== '' && !silent) entry.decidedAt = now
    if (entry.lease && token === ours) {
      if (!entry.handingOver) onGranted(entry.cluster, entry.lease)
      return
    }
    if (entry.lease) {
      entry.lease = undefined
      entry.wasOurs = true
    }
    if (token !== '' && holderOf(token) === member) {
      // The answer to that attempt was lost; nobody uses it.
      this.#leases.release(entry.cluster, token).catch(() => {})
      return
    }
    if (token !== '') {
      entry.holder = holderOf(token)
      entry.freeAt = undefined
      entry.offeredTo = undefined
      entry.wasOurs = false
      onHeldByOther(entry.cluster, silent)
      return
    }
    if (entry.freeAt !== undefined) return
    entry.freeAt = now
    entry.vanished = entry.holder !== undefined
    entry.holder = undefined
    entry.jitter = random()
  }

  /** When it is this replica's turn for a free cluster; epoch milliseconds. */
  #dueAt(entry: Entry, held: number): number {
    const { member, times } = this.#options
    const { turnMs, vacancyMs, returnMs } = times
    const freeAt = entry.freeAt ?? Infinity
    if (entry.wasOurs) return freeAt
    if (entry.offeredTo === member) return Math.max(this.#settledAt, freeAt)
    const own = fitness(entry.cluster, member)
    const better = this.members.filter((other) => fitness(entry.cluster, other) > own).length
    const share = Math.ceil(this.#entries.size / Math.max(1, this.members.length))
    const turns =
      (better === 0 ? 0 : Math.min(better, 3) + entry.jitter) +
      (entry.offeredTo === undefined ? 0 : 4) +
      (held < share ? 0 : 4 + entry.jitter)
    const vacantAt = freeAt + (entry.vanished ? vacancyMs : 0)
    return Math.max(this.#settledAt, this.#returnedAt + returnMs, vacantAt + turns * turnMs)
  }

  async #takeWhatIsDue(
    views: ReadonlyMap<string, { readonly redisTime: number }>,
    now: number,
  ): Promise<void> {
    const { clock, times } = this.#options
    let held = this.#held
    const attempts = []
    for (const entry of this.#entries.values()) {
      const view = views.get(entry.cluster)
      if (!view || entry.lease || entry.handingOver || entry.freeAt === undefined) continue
      if (this.#dueAt(entry, held) > now) continue
      held++
      // By then our own command has timed out, too.
      const until = view.redisTime + (clock.now() - now) + times.commandMs
      attempts.push(this.#take(entry, until))
    }
    for (const result of await Promise.allSettled(attempts)) {
      if (result.status === 'rejected') throw result.reason
    }
  }

  async #take(entry: Entry, until: number): Promise<void> {
    const { member, onGranted } = this.#options
    const lease = await this.#leases.acquire(entry.cluster, newToken(member), until)
    if (!lease) {
      // Another was first, or Redis was late: the next look tells.
      entry.freeAt = undefined
      return
    }
    if (this.#leaving || this.#entries.get(entry.cluster) !== entry) {
      await this.#release(entry, lease, undefined)
      return
    }
    entry.lease = lease
    entry.decidedAt = this.#options.clock.now()
    entry.freeAt = undefined
    entry.offeredTo = undefined
    entry.wasOurs = false
    onGranted(entry.cluster, lease)
  }

  async #release(entry: Entry, lease: Lease, to: string | undefined): Promise<void> {
    const { member, onError } = this.#options
    try {
      await this.#leases.release(entry.cluster, lease.token)
    } catch (error) {
      // It expires.
      onError(error)
      return
    }
    const { cluster } = entry
    this.#membership.send({
      type: 'FREE',
      from: member,
      clusters: [cluster],
      ...(to !== undefined && { to }),
    })
  }

  get #held(): number {
    let held = 0
    for (const { lease } of this.#entries.values()) if (lease) held++
    return held
  }

  /** Until the next look, if nothing happens before. */
  #nextMs(): number {
    const { clock, times } = this.#options
    const now = clock.now()
    const held = this.#held
    let at = now + times.pollMs
    for (const entry of this.#entries.values()) {
      if (entry.freeAt !== undefined && !entry.lease) at = Math.min(at, this.#dueAt(entry, held))
    }
    return Math.max(at - now, SOON_MS)
  }

  /** Asks whoever has most for a lease, where that is at least two more than here; at each look. */
  #ask(now: number): void {
    const { member, times } = this.#options
    if (now - this.#membership.changedAt < times.rebalanceMs) return
    const mine = this.#held
    // Of all that a member holds we may know a part only.
    const theirs = new Map(
      [...this.#membership.held].filter(([other, held]) => other !== member && held >= mine + 2),
    )
    let best: Entry | undefined
    for (const entry of this.#entries.values()) {
      // What is free is to be taken first.
      if (!entry.lease && entry.holder === undefined) return
      const held = theirs.get(entry.holder ?? '') ?? 0
      if (held === 0) continue
      const most = theirs.get(best?.holder ?? '') ?? 0
      const fits = () => fitness(entry.cluster, member) > fitness(best?.cluster ?? '', member)
      if (held > most || (held === most && fits())) best = entry
    }
    const { cluster, holder: to } = best ?? {}
    if (cluster === undefined || to === undefined) return
    this.#membership.send({ type: 'ASK', from: member, to, cluster, held: mine })
  }

  /** Gives one lease to the member that has least of those that asked lately. */
  #give(now: number): void {
    const { times } = this.#options
    for (const [from, { lastAt }] of this.#asks) {
      if (now - lastAt > 2 * times.pollMs || !this.members.includes(from)) this.#asks.delete(from)
    }
    if (now - this.#membership.changedAt < times.rebalanceMs || now - this.#gaveAt < times.rebalanceMs) return
    // Everybody asks at each look: after half a look all have been heard.
    const asks = [...this.#asks.values()]
    if (now - Math.min(...asks.map(({ firstAt }) => firstAt)) < times.pollMs / 2) return
    const [least] = asks.toSorted((a, b) => a.ask.held - b.ask.held)
    if (!least) return
    const { ask } = least
    const entry = this.#entries.get(ask.cluster)
    if (!entry?.lease || this.#held < ask.held + 2) return
    this.#asks.delete(ask.from)
    this.#gaveAt = now
    this.#handOver(entry, entry.lease, ask.from).catch((error: unknown) => this.#options.onError(error))
  }

  async #handOver(entry: Entry, lease: Lease, to: string): Promise<void> {
    const { clock, random, handOver } = this.#options
    entry.handingOver = true
    await handOver(entry.cluster)
    entry.handingOver = false
    // Lost or removed meanwhile: not ours to give.
    if (entry.lease !== lease) return
    entry.lease = undefined
    entry.freeAt = clock.now()
    entry.vanished = false
    entry.offeredTo = to
    entry.jitter = random()
    await this.#release(entry, lease, to)
  }

  readonly #onClose = (): void => {
    this.#lost = true
  }

  #onMessage(message: ControlMessage): void {
    if (this.#closed) return
    if (message.type === 'FREE') {
      const now = this.#options.clock.now()
      for (const cluster of message.clusters) {
        const entry = this.#entries.get(cluster)
        if (!entry || entry.lease) continue
        entry.freeAt = now
        entry.vanished = false
        entry.holder = undefined
        entry.offeredTo = message.to
        entry.jitter = this.#options.random()
      }
    }
    if (message.type !== 'ASK') this.look()
    else if (message.to === this.#options.member) {
      const lastAt = this.#options.clock.now()
      this.#asks.set(message.from, {
        ask: message,
        firstAt: this.#asks.get(message.from)?.firstAt ?? lastAt,
        lastAt,
      })
    }
  }
}

const SOON_MS = 10
