/**
 * Work for later on one heap: the clock of simulated clusters. Many clusters share one timeline and it
 * holds at most one real timer, whatever the number of entries. Order: by due time, then by entry.
 */
import type { Timeline } from './registry.ts'

interface Entry {
  readonly due: number
  readonly order: number
  work: (() => void) | undefined
}

/** Longest stretch of work before other callbacks of the event loop get their turn, in milliseconds. */
const sliceMs = 4

class Heap {
  readonly #entries: Entry[] = []

  peek(): Entry | undefined {
    return this.#entries[0]
  }

  push(entry: Entry): void {
    const entries = this.#entries
    let at = entries.length
    entries.push(entry)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (before(entries[parent]!, entry)) break
      entries[at] = entries[parent]!
      at = parent
    }
    entries[at] = entry
  }

  pop(): Entry | undefined {
    const entries = this.#entries
    const first = entries[0]
    const last = entries.pop()
    if (last === undefined || entries.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && before(entries[child + 1]!, entries[child]!)) child++
      if (before(last, entries[child]!)) break
      entries[at] = entries[child]!
      at = child
    }
    entries[at] = last
    return first
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order)
}

/** A timeline that follows the wall clock. Its timer does not keep the process alive. */
export class RealTimeline implements Timeline {
  readonly #heap = new Heap()
  #order = 0
  #timer: NodeJS.Timeout | undefined
  #timerDue = Infinity
  #soon: NodeJS.Immediate | undefined
  #closed = false

  constructor(signal?: AbortSignal) {
    signal?.addEventListener('abort', () => this.close(), { once: true })
  }

  now(): number {
    return Date.now()
  }

  after(delayMs: number, work: () => void): () => void {
    const entry: Entry = { due: Date.now() + Math.max(0, delayMs), order: this.#order++, work }
    if (!this.#closed) {
      this.#heap.push(entry)
      this.#arm()
    }
    return () => {
      entry.work = undefined
    }
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    clearImmediate(this.#soon)
  }

  #arm(): void {
    const next = this.#heap.peek()
    if (next === undefined || this.#closed || this.#soon !== undefined || next.due >= this.#timerDue) return
    clearTimeout(this.#timer)
    this.#timerDue = next.due
    this.#timer = setTimeout(() => this.#run(), Math.min(Math.max(1, next.due - Date.now()), 2 ** 30))
    this.#timer.unref()
  }

  #run(): void {
    this.#soon = undefined
    this.#timerDue = Infinity
    const started = performance.now()
    for (;;) {
      const next = this.#heap.peek()
      if (next === undefined || next.due > Date.now() || this.#closed) break
      if (performance.now() - started > sliceMs) {
        this.#soon = setImmediate(() => this.#run())
        return
      }
      this.#heap.pop()
      next.work?.()
    }
    this.#arm()
  }
}

/** A timeline that moves only when a test says so. */
export class ManualTimeline implements Timeline {
  readonly #heap = new Heap()
  #order = 0
  #now: number

  constructor(now = Date.parse('2026-01-01T00:00:00Z')) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(delayMs: number, work: () => void): () => void {
    const entry: Entry = { due: this.#now + Math.max(0, delayMs), order: this.#order++, work }
    this.#heap.push(entry)
    return () => {
      entry.work = undefined
    }
  }

  /** Moves on by `ms`, running what falls due at its own time, in order, including work added on the way. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const next = this.#heap.peek()
      if (next === undefined || next.due > until) break
      this.#heap.pop()
      this.#now = Math.max(this.#now, next.due)
      next.work?.()
    }
    this.#now = until
  }
}
