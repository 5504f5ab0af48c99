/**
 * A batch: entries as the events that a renderer sees, with cursors that are only made when somebody reads
 * them. After an event's cursor nothing is missed: a table that has more to tell stands where it was before
 * the next of its entries, any other where it is now. So a batch knows all that waits, also what it does not
 * hand out yet, and its cursors are read before the tables change again (`holdCursors` is for those who read later).
 */
import type { Cluster } from '../fleet/cluster.ts'
import type { Row } from '../kubernetes/rows.ts'
import type { Entry } from './entry.ts'
import type { DeletedReason, LiveEvent, LiveEventType } from './live.ts'
import type { Slot } from './slot.ts'

/** By the name of each cluster the slots of its tables, in the order of the kinds that are followed. */
export type Layout = readonly (readonly [cluster: string, slots: readonly (Slot | undefined)[]])[]

/** Makes a cursor, given where each table stands. */
export interface Tables {
  /** Whose positions a cursor holds at this moment. */
  readonly layout: Layout
  encode(layout: Layout, positionOf: (slot: Slot) => string | null): string
  /** One that nobody can go on from, but with RESYNC. */
  broken(): string
}

export interface BatchOptions {
  readonly tables: Tables | undefined
  /** What is told after this batch, as far as it is known. */
  readonly waiting?: readonly Entry[]
  /** Tables that stand elsewhere than where they are: their follower is not, or ahead, of it. */
  readonly pinned?: ReadonlyMap<Slot, string | null>
  /** The first event that has a cursor; `Infinity`: none. */
  readonly cursorsFrom?: number
  /** An event whose cursor is broken: what comes with it can only be known whole. */
  readonly breaksAt?: number
}

export class Batch {
  readonly events: readonly LiveEvent[]
  readonly #entries: readonly Entry[]
  readonly #options: BatchOptions
  /** Of each entry: what was complete before the next entry of its table. */
  #nexts: (string | undefined)[] | undefined
  /** Where tables stand that have more to tell, after the event that was asked for last. */
  #behind = new Map<Slot, string>()
  #at = -1
  /** For cursors that are read later: what is followed, where that was and what waited, at its moment. */
  #held:
    | {
        readonly layout: Layout
        readonly positions: ReadonlyMap<Slot, string | null>
        readonly waiting: readonly Entry[]
      }
    | undefined

  constructor(entries: readonly Entry[], options: BatchOptions) {
    this.#entries = entries
    this.#options = options
    this.events = entries.map((entry, index) => new BatchEvent(entry, this, index))
  }

  /** Notes where the tables are, for cursors that are read after they have changed. */
  hold(): void {
    const { tables, cursorsFrom = 0, waiting = [] } = this.#options
    if (!tables || cursorsFrom >= this.#entries.length || this.#held) return
    const { layout } = tables
    const positions = new Map<Slot, string | null>()
    for (const [, slots] of layout) {
      for (const slot of slots) if (slot) positions.set(slot, slot.channel.journal.position())
    }
    this.#held = { layout, positions, waiting: Array.from(waiting) }
  }

  cursor(index: number): string | null {
    const { tables, pinned, cursorsFrom = 0, breaksAt } = this.#options
    if (tables && index === breaksAt) return tables.broken()
    if (!tables || index < cursorsFrom) return null
    this.#advance(index)
    return tables.encode(this.#held?.layout ?? tables.layout, (slot) => {
      const behind = this.#behind.get(slot)
      if (behind !== undefined) return behind
      const pin = pinned?.get(slot)
      if (pin !== undefined) return pin
      const held = this.#held?.positions.get(slot)
      return held === undefined ? slot.channel.journal.position() : held
    })
  }

  #advance(index: number): void {
    if (index < this.#at) this.#nexts = undefined
    if (!this.#nexts) this.#nexts = this.#link()
    for (; this.#at < index; this.#at++) {
      const { slot } = this.#entries[this.#at + 1]!
      if (!slot) continue
      const next = this.#nexts[this.#at + 1]
      if (next === undefined) this.#behind.delete(slot)
      else this.#behind.set(slot, next)
    }
  }

  /** From the end to the beginning, once. */
  #link(): (string | undefined)[] {
    const behind = new Map<Slot, string>()
    const waiting = this.#held?.waiting ?? this.#options.waiting ?? []
    for (let i = waiting.length - 1; i >= 0; i--) note(waiting[i]!)
    const nexts: (string | undefined)[] = Array.from({ length: this.#entries.length })
    for (let i = nexts.length - 1; i >= 0; i--) {
      const entry = this.#entries[i]!
      if (entry.slot) nexts[i] = behind.get(entry.slot)
      note(entry)
    }
    this.#behind = behind
    this.#at = -1
    return nexts

    function note({ slot, before }: Entry): void {
      if (slot && before !== undefined) behind.set(slot, before)
    }
  }
}

class BatchEvent implements LiveEvent {
  readonly type: LiveEventType
  readonly object: Row | null
  readonly previous: Row | null
  readonly deletedReason: DeletedReason | null
  readonly cluster: Cluster | null
  readonly message: string | null
  readonly #batch: Batch
  readonly #index: number

  constructor(entry: Entry, batch: Batch, index: number) {
    this.type = entry.type
    this.object = entry.object
    this.previous = entry.previous
    this.deletedReason = entry.reason
    this.cluster = entry.cluster
    this.message = entry.message
    this.#batch = batch
    this.#index = index
  }

  hold(): void {
    this.#batch.hold()
  }

  get cursor(): string | null {
    return this.#batch.cursor(this.#index)
  }
}

/** Of one rendering: makes their cursors what they are now, whenever they are read. */
export function holdCursors(events: readonly LiveEvent[]): void {
  const [first] = events
  if (first instanceof BatchEvent) first.hold()
}
