/**
 * A clock that stands still until a test moves it. Timers fire in the order of their times, each at its
 * own time; the callbacks of promises are let run in between.
 */
import type { Clock } from '../../src/fleet/clock.ts'

export class FakeClock implements Clock {
  #now: number
  #timers: { readonly at: number; readonly callback: () => void }[] = []

  constructor(now = 1_800_000_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Timers that are set: 0 after everything was closed. */
  get pending(): number {
    return this.#timers.length
  }

  /** Moves time on, firing what falls due. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    for (;;) {
      await settled()
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0]
      if (!next || next.at > until) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = Math.max(this.#now, next.at)
      next.callback()
    }
    this.#now = until
    await settled()
  }
}

/** Lets callbacks that are ready run: two turns of the event loop. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
}
