/**
 * The server side of the fan-out benchmarks, a process of its own: one of three, as its argument says.
 *
 * `gateway`: the real server over a fleet whose tables are changed here. `naive`: what it replaces, each
 * subscriber's operation executed for itself for each event, by graphql-ws and graphql-js over the same
 * schema. `raw`: the limit, `ws` and one prebuilt frame for each subscriber, written to one socket after the
 * other.
 *
 * Events are let happen here: one, many in turns of the loop, or so many a second.
 */
import { collectGarbage, longestBlockMs } from '../figure.ts'
import { gateway } from './fanout-gateway.ts'
import { naive } from './fanout-naive.ts'
import { raw } from './fanout-raw.ts'
import { answer } from './remote.ts'

/** How subscribers are told. */
export type Mode = 'gateway' | 'naive' | 'raw'

const subject = await { gateway, naive, raw }[process.argv[2] as Mode]()

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

let blocks: { readonly longest: Promise<number>; readonly stop: () => void } | undefined

const handlers = {
  port: () => subject.port,
  learn: (message: string) => subject.learn?.(message),
  prepare(events: readonly number[]): void {
    subject.prepare(events)
    collectGarbage()
  },
  happen: (index: number) => subject.happen(index),
  /** One in each turn of the loop. */
  async turns(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      subject.happen(index)
      await turn()
    }
  },
  /** All of them in time, whatever the subscribers do; several at once where the process was busy meanwhile. */
  async paced({ count, perSecond }: { readonly count: number; readonly perSecond: number }): Promise<void> {
    const start = performance.now()
    for (let index = 0; index < count;) {
      const due = Math.min(count, 1 + Math.floor(((performance.now() - start) * perSecond) / 1_000))
      while (index < due) subject.happen(index++)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  },
  /** Milliseconds of CPU time of this process so far. */
  cpu(): number {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000
  },
  /** Begins to note how long the loop does not turn; see `longestBlockMs`. */
  watchBlocks(): void {
    const { promise, resolve } = Promise.withResolvers<void>()
    blocks = { longest: longestBlockMs(() => promise), stop: resolve }
  },
  longestBlock(): Promise<number> | undefined {
    blocks?.stop()
    return blocks?.longest
  },
  /** After collecting garbage, and giving back what is free. */
  async memory() {
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
      await turn()
    }
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
    return { rss, heap: heapUsed + external + arrayBuffers }
  },
}
export type ServerHandlers = typeof handlers

answer(handlers)
