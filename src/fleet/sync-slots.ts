/**
 * Who may bring an initial state now: so many at a time for one cluster, and for all of them together.
 * First come, first served; the tables of a cluster come in the order of `KINDS`.
 *
 * Nothing is awaited: a turn that comes is called, and whoever is no longer interested says so.
 */

export class SyncSlots {
  readonly #limit: number
  readonly #parent: SyncSlots | undefined
  readonly #waiting = new Set<() => void>()
  #taken = 0

  /** With a `parent`, a turn needs a slot of both; a cluster's own comes first, so that none hoards the common ones. */
  constructor(limit: number, parent?: SyncSlots) {
    this.#limit = limit
    this.#parent = parent
  }

  /**
   * Calls `start` when it is its turn, perhaps at once. The function returned gives the slot back, or the
   * place in the line; it may be called any number of times.
   */
  request(start: () => void): () => void {
    let releaseParent: (() => void) | undefined
    let began = false
    let done = false
    const begin = () => {
      began = true
      this.#taken++
      if (this.#parent) releaseParent = this.#parent.request(start)
      else start()
    }
    if (this.#taken < this.#limit) begin()
    else this.#waiting.add(begin)
    return () => {
      if (done) return
      done = true
      this.#waiting.delete(begin)
      if (!began) return
      releaseParent?.()
      this.#taken--
      this.#next()
    }
  }

  #next(): void {
    for (const begin of this.#waiting) {
      if (this.#taken >= this.#limit) return
      this.#waiting.delete(begin)
      begin()
    }
  }
}
