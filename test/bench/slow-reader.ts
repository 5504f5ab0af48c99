/**
 * What subscribers that stop reading cost the others and the gateway: the time until all of 1,000 readers have
 * an event, p99 of many, beside 100 that have stopped – against the same without them, before and after – and
 * what the process holds for the stopped ones when more has happened than they are kept for.
 */
import { median, type Bench, type Figure } from './figure.ts'
import { EVERY_POD } from './support/fanout-events.ts'
import type { ServerHandlers } from './support/fanout-server.ts'
import type { ReceiverHandlers } from './support/live-receivers.ts'
import { Remote } from './support/remote.ts'

const READERS = 1_000
const STOPPED = 100
const EVENTS = 400
const ROUNDS = 3
/** More than the queue of a subscriber and the buffers of its socket hold. */
const MISSED = 12_000
const MEGABYTE = 1_048_576
/**
 * The bound: a queue of 4,096 events, with their bytes, for all of the group; and for each that has stopped
 * 64 KiB that wait in its socket, and the one batch that went over it.
 */
const MOST_MEGABYTES = (4_096 * 4 * 1_024 + STOPPED * 2 * 64 * 1_024) / MEGABYTE

export const bench: Bench = async () => {
  const server = new Remote<ServerHandlers>('./fanout-server.ts', ['gateway'])
  const readers = new Remote<ReceiverHandlers>('./live-receivers.ts')
  const stopped = new Remote<ReceiverHandlers>('./live-receivers.ts')
  let next = 0

  const prepare = async (count: number) => {
    await server.call(
      'prepare',
      Array.from({ length: count }, () => next++),
    )
    await readers.call('reset', 'pool')
  }

  const subscribe = async (where: Remote<ReceiverHandlers>, subscribers: number) => {
    const port = await server.call('port')
    await where.call('connect', { pool: 'pool', port, subscribers, subscriptions: [EVERY_POD] })
    for (let heard = 0; heard < subscribers;) {
      await where.call('reset', 'pool')
      await prepare(1)
      await server.call('happen', 0)
      await new Promise((resolve) => setTimeout(resolve, 200))
      heard = (await where.call('counted', 'pool')).heard
    }
  }

  /** Milliseconds until all readers have an event. */
  const p99 = async (): Promise<number> => {
    await prepare(EVENTS)
    const times: number[] = []
    for (let index = 0; index < EVENTS; index++) {
      const start = performance.now()
      await server.call('happen', index)
      await readers.call('until', { pool: 'pool', count: (index + 1) * READERS })
      times.push(performance.now() - start)
    }
    return times.toSorted((a, b) => a - b)[Math.floor(EVENTS * 0.99)]!
  }

  const rounds = async (): Promise<number[]> => {
    const values: number[] = []
    for (let round = 0; round < ROUNDS; round++) values.push(await p99())
    return values
  }

  try {
    await subscribe(readers, READERS)
    await rounds()
    const before = await rounds()
    await subscribe(stopped, STOPPED)
    const { heap } = await server.call('memory')
    await stopped.call('pause', 'pool')
    await prepare(MISSED)
    const all = readers.call('until', { pool: 'pool', count: MISSED * READERS })
    await server.call('paced', { count: MISSED, perSecond: 1_000 })
    await all
    // What the readers had is no longer held when memory is measured; what was prepared neither.
    await prepare(1)
    const held = (await server.call('memory')).heap - heap
    const beside = await rounds()
    await stopped.call('close', 'pool')
    const after = await rounds()
    return [
      {
        name: 'slow-reader-p99',
        value: median(beside),
        unit: `ms until ${READERS} have an event (p99)`,
        limit: median([...before, ...after]),
        target: { of: 'ratio', atMost: 1.25 },
      },
      {
        name: 'slow-reader-memory',
        value: held / MEGABYTE,
        unit: `MB for ${STOPPED} that stopped reading`,
        limit: MOST_MEGABYTES,
        target: { of: 'ratio', atMost: 1 },
      },
    ] satisfies readonly Figure[]
  } finally {
    await readers.stop()
    await stopped.stop()
    await server.stop()
  }
}
