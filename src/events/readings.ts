/**
 * What groups have read and rendered for one follower's snapshot, kept for others that come at the same time –
 * after a deploy all of them do. A piece is true until anything in the fleet changes; and there are only so many
 * of all groups together, since whoever they are kept for may never read.
 */
import type { Reached } from './slot.ts'

/** Some rows of a scan, and where it was after them. */
export interface Reading<P> {
  readonly payloads: readonly P[]
  readonly reached: Reached
}

/** Some 100 KB each. */
const MAX_READINGS = 256

/** Of all groups of a hub. */
export class Readings {
  /** Those that hold any, in the order of their last. */
  readonly #holders = new Set<GroupReadings<unknown>>()
  readonly changes: { readonly count: number }
  #size = 0

  constructor(changes: { readonly count: number }) {
    this.changes = changes
  }

  /** Pieces that are kept. */
  get size(): number {
    return this.#size
  }

  /** For `GroupReadings` only. */
  added(holder: GroupReadings<unknown>): void {
    this.#holders.delete(holder)
    this.#holders.add(holder)
    this.#size++
    for (const oldest of this.#holders) {
      if (this.#size <= MAX_READINGS) break
      oldest.clear()
    }
  }

  /** For `GroupReadings` only. */
  cleared(holder: GroupReadings<unknown>, size: number): void {
    this.#holders.delete(holder)
    this.#size -= size
  }
}

export class GroupReadings<P> {
  readonly #all: Readings
  readonly #kept = new Map<string, Reading<P>>()
  #asOf = 0

  constructor(all: Readings) {
    this.#all = all
  }

  get(key: string): Reading<P> | undefined {
    return this.#asOf === this.#all.changes.count ? this.#kept.get(key) : undefined
  }

  set(key: string, reading: Reading<P>): void {
    const { count } = this.#all.changes
    if (this.#asOf !== count) this.clear()
    this.#asOf = count
    this.#kept.set(key, reading)
    this.#all.added(this)
  }

  clear(): void {
    const { size } = this.#kept
    if (size === 0) return
    this.#kept.clear()
    this.#all.cleared(this, size)
  }
}
