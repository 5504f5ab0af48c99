/**
 * Who may bring an initial state now: so many at a time for one cluster, and for all of them together.
 * First come, first served; the tables of a cluster come in the order of `KINDS`.
 *
 * Nothing is awaited: a turn that comes is called, and whoever is no longer interested says so.
 */

/** A turn, or a place in the line for one. All of it may be called at any time, any number of times. */
export interface SyncSlot {
  /** Gives it back. */
  release(): void
  /**
   * Gives back what it has of the slots that all clusters share, and keeps its cluster's: for a server that
   * takes its time to begin. It costs us nothing until it does, and must not hold up the other clusters.
   */
  lend(): void
}

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

  /** Calls `start` when it is its turn, perhaps at once. */
  request(start: () => void): SyncSlot {
    let shared: SyncSlot | undefined
    let began = false
    let started = false
    let done = false
    const turn = () => {
      started = true
      start()
    }
    const begin = () => {
      began = true
      this.#taken++
      if (this.#parent) shared = this.#parent.request(turn)
      else turn()
    }
    if (this.#taken < this.#limit) begin()
    else this.#waiting.add(begin)
    return {
      release: () => {
        if (done) return
        done = true
        this.#waiting.delete(begin)
        if (!began) return
        shared?.release()
        this.#taken--
        this.#next()
      },
      lend: () => {
        if (started) shared?.release()
      },
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
