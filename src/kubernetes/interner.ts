/**
 * Sharing of equal values between rows, bounded: what has not been asked for during a whole generation
 * is forgotten by the interner (not by the rows that hold it), so churn of labels or images cannot leak.
 * A forgotten value that comes back is made anew: sharing is an economy, never a promise of identity.
 */

/** A shared value. `id` is never given to another value, even after this one was forgotten. */
export interface Interned<T> {
  readonly id: number
  readonly value: T
}

let lastId = 0

export class Interner<T> {
  readonly #generation: number
  #young = new Map<string, Interned<T>>()
  #old = new Map<string, Interned<T>>()

  /** Keeps the last `generation` to `2 * generation` distinct values. */
  constructor(generation: number) {
    this.#generation = generation
  }

  /** The shared value of this key; `make` must depend on nothing but what the key says. */
  entry(key: string, make: () => T): Interned<T> {
    return this.find(key) ?? this.add(key, make())
  }

  get(key: string, make: () => T): T {
    return this.entry(key, make).value
  }

  /** The two halves of `entry`, for callers that cannot afford a closure. */
  find(key: string): Interned<T> | undefined {
    const young = this.#young.get(key)
    if (young) return young
    const old = this.#old.get(key)
    if (old) this.#remember(key, old)
    return old
  }

  add(key: string, value: T): Interned<T> {
    const made = { id: ++lastId, value }
    this.#remember(key, made)
    return made
  }

  /** Distinct values kept now. */
  get size(): number {
    let size = this.#old.size
    for (const key of this.#young.keys()) if (!this.#old.has(key)) size++
    return size
  }

  #remember(key: string, entry: Interned<T>): void {
    if (this.#young.size >= this.#generation) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, entry)
  }
}
