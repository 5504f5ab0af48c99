/**
 * Passes: when the hub works. What happens within one turn of the event loop is told in one go in the next,
 * and no more than some milliseconds of a turn are spent on it, over all groups: sockets are read and requests
 * answered in between.
 */
import { performance } from 'node:perf_hooks'

export interface Work {
  /** Works until `spent()`; returns whether it could go on at once. */
  run(spent: () => boolean): boolean
  /** It threw: a bug of whoever made it, which must not end the process. It is not run again. */
  fail(error: unknown): void
}

/** A pass over 5,000 sockets takes some 100 ms: this much of it at a time. */
const SLICE_MS = 8

/** Of a slice, for one of many: so that large snapshots of a hundred groups do not hold up a change of another. */
const LEAST_SHARE_MS = 1

export class Passes {
  readonly #queue = new Set<Work>()
  #scheduled: NodeJS.Immediate | undefined
  #closed = false
  /** Of this turn, and of whoever works in it. */
  #until = 0
  #shareUntil = 0

  /** Runs it in a later turn; added twice, it runs once. */
  add(work: Work): void {
    if (this.#closed) return
    this.#queue.add(work)
    this.#scheduled ??= setImmediate(this.#turn)
  }

  remove(work: Work): void {
    this.#queue.delete(work)
  }

  close(): void {
    this.#closed = true
    this.#queue.clear()
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
  }

  readonly #spent = (): boolean => performance.now() >= this.#shareUntil

  readonly #turn = (): void => {
    this.#scheduled = undefined
    this.#until = performance.now() + SLICE_MS
    // As many as there are now: what comes back to the end of the line waits for the next turn.
    let left = this.#queue.size
    const share = Math.max(LEAST_SHARE_MS, SLICE_MS / left)
    for (const work of this.#queue) {
      if (left-- === 0) break
      this.#queue.delete(work)
      this.#shareUntil = Math.min(this.#until, performance.now() + share)
      try {
        if (work.run(this.#spent)) this.#queue.add(work)
      } catch (error) {
        work.fail(error)
      }
      if (performance.now() >= this.#until) break
    }
    if (this.#queue.size > 0 && !this.#closed) this.#scheduled ??= setImmediate(this.#turn)
  }
}
