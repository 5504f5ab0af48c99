/**
 * The fan-out benchmarks' conductor: servers of several kinds, each a process with the same subscribers,
 * who are told of the same events in turns, since the machine is never the same twice. All subscribers are
 * in one other process, so that on two cores one sends and one receives.
 *
 * Invariant: every subscriber of every server gets every event that is meant for it and no other; a round
 * that counts otherwise fails.
 */
import { median, type Figure } from '../figure.ts'
import { eventsForEveryFilter, EVERY_POD, FILTERS, filtersMatching } from './fanout-events.ts'
import type { Mode, ServerHandlers } from './fanout-server.ts'
import type { ReceiverHandlers } from './live-receivers.ts'
import { Remote } from './remote.ts'

/** Milliseconds. */
const SETTLE_TIMEOUT = 60_000
const SETTLE_MS = 300
const LONGEST_BLOCK = 25

/** All subscribers have the same subscription, or equally many have each of the filters. */
type Subscriptions = 'same' | 'filters'

/**
 * How events follow each other: `single`, the next when all have the one before; `turns`, one in each turn of the
 * server's loop; or so many a second.
 */
export type Rhythm = 'single' | 'turns' | { readonly perSecond: number }

/** Messages to subscribers in a second, as they come; and in a second of the server's CPU time. */
interface Rates {
  readonly rate: number
  readonly cpuRate: number
}

export class FanOut {
  readonly #subscriptions: Subscriptions
  readonly #receivers = new Remote<ReceiverHandlers>('./live-receivers.ts')
  readonly #servers = new Map<Mode, Remote<ServerHandlers>>()
  readonly #subscribers = new Map<Mode, number>()
  /** The number of the next event of each server. */
  readonly #next = new Map<Mode, number>()

  constructor(subscriptions: Subscriptions) {
    this.#subscriptions = subscriptions
  }

  /** Starts such a server where there is none. Resolves when so many are subscribed there. */
  async subscribe(mode: Mode, subscribers: number): Promise<void> {
    let server = this.#servers.get(mode)
    if (!server) this.#servers.set(mode, (server = new Remote<ServerHandlers>('./fanout-server.ts', [mode])))
    this.#next.set(mode, 0)
    this.#subscribers.set(mode, subscribers)
    const subscriptions = this.#subscriptions === 'same' ? [EVERY_POD] : FILTERS
    const port = await server.call('port')
    await this.#receivers.call('connect', { pool: mode, port, subscribers, subscriptions })
    await this.#settle(mode)
  }

  /** Closes their sockets, and waits a while for the server to notice. */
  async unsubscribe(mode: Mode): Promise<void> {
    await this.#receivers.call('close', mode)
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
  }

  server(mode: Mode): Remote<ServerHandlers> {
    return this.#servers.get(mode)!
  }

  /** Makes the raw server's frames of the bytes that the gateway sends. */
  async teach(): Promise<void> {
    const { sample } = await this.#receivers.call('counted', 'gateway')
    await this.server('raw').call('learn', sample)
  }

  /** Lets so many events happen, and resolves when all that are meant for subscribers have come. */
  async round(mode: Mode, events: number, rhythm: Rhythm): Promise<Rates> {
    return this.#happen(mode, await this.#prepare(mode, events), rhythm)
  }

  /** Milliseconds of CPU time of the longest stretch without a turn of the loop in such a round. */
  async longestBlock(mode: Mode, events: number, rhythm: Rhythm): Promise<number> {
    const prepared = await this.#prepare(mode, events)
    await this.server(mode).call('watchBlocks')
    await this.#happen(mode, prepared, rhythm)
    return (await this.server(mode).call('longestBlock'))!
  }

  async close(): Promise<void> {
    // The receivers first: they take a lost server for a failure.
    await this.#receivers.stop()
    for (const server of this.#servers.values()) await server.stop()
  }

  /** The next so many events, ready to happen. */
  async #prepare(mode: Mode, count: number): Promise<readonly number[]> {
    const first = this.#next.get(mode)!
    this.#next.set(mode, first + count)
    const events = Array.from({ length: count }, (_, i) => first + i)
    await this.server(mode).call('prepare', events)
    await this.#receivers.call('reset', mode)
    return events
  }

  async #happen(mode: Mode, events: readonly number[], rhythm: Rhythm): Promise<Rates> {
    const server = this.server(mode)
    const total = this.#meant(mode, events)
    const cpu = await server.call('cpu')
    const start = performance.now()
    if (rhythm === 'single') {
      for (let index = 0; index < events.length; index++) {
        const count = this.#meant(mode, events.slice(0, index + 1))
        await server.call('happen', index)
        await this.#receivers.call('until', { pool: mode, count })
      }
    } else {
      const all = this.#receivers.call('until', { pool: mode, count: total })
      if (rhythm === 'turns') await server.call('turns', events.length)
      else await server.call('paced', { count: events.length, ...rhythm })
      await all
    }
    const seconds = (performance.now() - start) / 1_000
    const spent = ((await server.call('cpu')) - cpu) / 1_000
    const { count } = await this.#receivers.call('counted', mode)
    if (count !== total) throw new Error(`${mode}: ${count} messages came, not ${total}`)
    return { rate: total / seconds, cpuRate: total / spent }
  }

  /** Until an event of every kind comes to all whom it is meant for: the protocol tells of no beginning. */
  async #settle(mode: Mode): Promise<void> {
    const subscribers = this.#subscribers.get(mode)!
    const events = this.#subscriptions === 'same' ? [0] : eventsForEveryFilter()
    const until = performance.now() + SETTLE_TIMEOUT
    for (;;) {
      await this.server(mode).call('prepare', events)
      await this.#receivers.call('reset', mode)
      await this.server(mode).call('turns', events.length)
      const { heard, count } = await this.#still(mode)
      if (heard === subscribers && count === this.#meant(mode, events)) return
      if (performance.now() > until) {
        throw new Error(`${mode}: ${heard} of ${subscribers} subscribers are told of events`)
      }
    }
  }

  /** What has come when nothing has come for a while. */
  async #still(mode: Mode) {
    let before = await this.#receivers.call('counted', mode)
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
      const now = await this.#receivers.call('counted', mode)
      if (now.count === before.count) return now
      before = now
    }
  }

  /** Messages that these events make. */
  #meant(mode: Mode, events: readonly number[]): number {
    const subscribers = this.#subscribers.get(mode)!
    if (this.#subscriptions === 'same') return events.length * subscribers
    const groups = events.reduce((sum, event) => sum + filtersMatching(event).length, 0)
    return groups * (subscribers / FILTERS.length)
  }
}

interface Comparison {
  readonly name: string
  readonly rhythm: Rhythm
  /** Of a round. */
  readonly events: number
  readonly naiveEvents: number
  /** The gateway's share of the raw broadcast; absent: only told. */
  readonly atLeast?: number
}

/** Events of a round of the raw broadcast, and its rhythm: one event at a time, always. */
const RAW = {
  same: { events: 30, rhythm: 'single' },
  filters: { events: 2_000, rhythm: 'turns' },
} as const satisfies Record<Subscriptions, { readonly events: number; readonly rhythm: Rhythm }>

const ROUNDS = 5
const WARM_UP = 3

/** The gateway against the raw broadcast, in turns; then its longest block, and what it replaces. */
export async function compareFanOut(
  subscriptions: Subscriptions,
  subscribers: number,
  comparisons: readonly Comparison[],
): Promise<readonly Figure[]> {
  const fanOut = new FanOut(subscriptions)
  try {
    for (const mode of ['gateway', 'raw', 'naive'] as const) await fanOut.subscribe(mode, subscribers)
    await fanOut.teach()
    const figures: Figure[] = []
    for (const comparison of comparisons) {
      figures.push(...(await compare(fanOut, RAW[subscriptions], comparison)))
    }
    return figures
  } finally {
    await fanOut.close()
  }
}

async function compare(
  fanOut: FanOut,
  raw: (typeof RAW)[Subscriptions],
  { name, rhythm, events, naiveEvents, atLeast }: Comparison,
): Promise<readonly Figure[]> {
  const values: Rates[] = []
  const limits: Rates[] = []
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const limit = await fanOut.round('raw', raw.events, raw.rhythm)
    const value = await fanOut.round('gateway', events, rhythm)
    if (round < 0) continue
    limits.push(limit)
    values.push(value)
  }
  const target = atLeast === undefined ? {} : { target: { of: 'ratio', atLeast } as const }
  const rate = ({ rate }: Rates) => rate
  const cpuRate = ({ cpuRate }: Rates) => cpuRate
  const limit = median(limits.map(rate))
  await fanOut.round('naive', naiveEvents, rhythm)
  const naive = await fanOut.round('naive', naiveEvents, rhythm)
  return [
    { name, value: median(values.map(rate)), unit: 'deliveries/s', limit, ...target },
    {
      name: `${name}-cpu`,
      value: median(values.map(cpuRate)),
      unit: 'deliveries/s of CPU',
      limit: median(limits.map(cpuRate)),
      ...target,
    },
    {
      name: `${name}-block`,
      value: await fanOut.longestBlock('gateway', events, rhythm),
      unit: 'ms of CPU without a turn of the loop',
      limit: await fanOut.longestBlock('raw', raw.events, raw.rhythm),
      target: { of: 'value', atMost: LONGEST_BLOCK },
    },
    { name: `${name}-naive`, value: naive.rate, unit: 'deliveries/s', limit },
  ]
}
