/**
 * Whose streams show less than before, because they may see less: told to who keeps account of that (`Witness`),
 * once for each stream, a moment after its rights have changed. In a storm of changes what one stream loses is put
 * together for as long, and the telling is done a bit at a time, as everything of the hub.
 *
 * Nothing is held for a stream that has lost nothing.
 */
import type { Clock } from '../fleet/clock.ts'
import type { Eyes } from './live.ts'
import type { Passes, Work } from './passes.ts'

/** For how long it is put together. */
export const GATHER_MS = 1_000

export class Losses implements Work {
  readonly #clock: Clock
  readonly #passes: Passes
  readonly #onFailure: (error: unknown) => void
  /** With the names of the clusters; those that lost together share an array. */
  readonly #waiting = new Map<Eyes, readonly string[]>()
  #cancel: (() => void) | undefined

  constructor(clock: Clock, passes: Passes, onFailure: (error: unknown) => void) {
    this.#clock = clock
    this.#passes = passes
    this.#onFailure = onFailure
  }

  /** `clusters`: names of those of which less is seen. */
  add(followers: Iterable<{ readonly eyes: Eyes }>, clusters: readonly string[]): void {
    for (const { eyes } of followers) {
      if (!eyes.witness) continue
      const others = this.#waiting.get(eyes)
      this.#waiting.set(eyes, others ? [...new Set([...others, ...clusters])] : clusters)
    }
    if (this.#waiting.size === 0) return
    this.#cancel ??= this.#clock.after(GATHER_MS, () => {
      this.#cancel = undefined
      this.#passes.add(this)
    })
  }

  run(spent: () => boolean): boolean {
    for (const [eyes, clusters] of this.#waiting) {
      this.#waiting.delete(eyes)
      try {
        eyes.witness?.lost(clusters)
      } catch (error) {
        this.fail(error)
      }
      if (spent()) return this.#waiting.size > 0
    }
    return false
  }

  fail(error: unknown): void {
    this.#onFailure(error)
  }

  /** Tells all that waits. */
  close(): void {
    this.#cancel?.()
    this.#passes.remove(this)
    this.run(() => false)
  }
}
