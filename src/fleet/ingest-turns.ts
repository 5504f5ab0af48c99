/**
 * Turns: how much of one turn of the event loop ingest may take, over all feeds of the process. A fleet's
 * start is minutes of parsing; requests have to be answered in between.
 *
 * Whoever has work asks `spent` between any two objects; when it is, the rest is left to `later`. What is
 * left is done turn by turn, the feeds one after the other, a slice of time each.
 */
import { performance } from 'node:perf_hooks'

export interface TurnsOptions {
  /** Milliseconds of one turn that ingest may take, plus its last object. */
  readonly sliceMs?: number
  /** Milliseconds on any clock that runs on within a turn; for tests. */
  readonly now?: () => number
}

export class Turns {
  readonly #sliceMs: number
  readonly #now: () => number
  /** When the present turn's slice ends; `null` before its first work. */
  #endsAt: number | null = null
  #work = new Set<() => boolean>()

  constructor({ sliceMs = 4, now = () => performance.now() }: TurnsOptions = {}) {
    this.#sliceMs = sliceMs
    this.#now = now
  }

  /** Whether this turn's slice is used up. The first question of a turn begins it. */
  get spent(): boolean {
    const now = this.#now()
    if (this.#endsAt !== null) return now >= this.#endsAt
    this.#begin(now)
    return false
  }

  /** Has `work` called in a later turn; it returns whether there is more of it. Added twice, it counts once. */
  later(work: () => boolean): void {
    this.#work.add(work)
    if (this.#endsAt === null) this.#begin(this.#now())
  }

  forget(work: () => boolean): void {
    this.#work.delete(work)
  }

  #begin(now: number): void {
    this.#endsAt = now + this.#sliceMs
    // After I/O, so that sockets are read and requests answered between two slices.
    setImmediate(this.#turn)
  }

  readonly #turn = (): void => {
    this.#endsAt = null
    for (const work of this.#work) {
      this.#work.delete(work)
      // To the back of the line: what comes first now was waiting longest.
      if (work()) this.#work.add(work)
      if (this.#endsAt !== null && this.#now() >= this.#endsAt) break
    }
    if (this.#work.size > 0 && this.#endsAt === null) this.#begin(this.#now())
  }
}
