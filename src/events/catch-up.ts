/**
 * A catch-up: what one follower is told before it is in step with its group – what it missed since its
 * cursor, what is there, the differences of a replica that lags behind its cursor. What changes meanwhile
 * waits in a queue, if the follower has had what it changes; else the scan will meet it. The queue is bounded
 * like every queue (`group.ts`): then all of it begins anew, with RESYNC.
 *
 * Invariant: at any moment, what was written, then the queue, then what is left to scan, is all that the
 * follower is to know.
 */
import type { Row } from '../kubernetes/rows.ts'
import { compareResourceVersions } from '../kubernetes/resource-version.ts'
import type { BatchOptions } from './batch.ts'
import { coalesce, Entry } from './entry.ts'
import type { Follower, Prelude } from './follower.ts'
import type { GroupContext } from './group.ts'
import type { RowScan } from './row-scan.ts'
import { isUpTo, type Slot } from './slot.ts'

/** What a catch-up asks of its group. */
export interface CatchUpGroup<P> {
  readonly context: GroupContext
  /** The group itself is reading tables for all its followers. */
  readonly isScanning: boolean
  readonly hasPending: boolean
  scansOf(): readonly RowScan[]
  /** Tables that are no longer followed, and whose rows are about to be deleted. */
  leaving(): readonly Slot[]
  /** CLUSTER_DOWN of each cluster that is not followed. */
  downs(): readonly Entry<P>[]
  tell(follower: Follower<P>, entries: readonly Entry<P>[], options: Omit<BatchOptions, 'tables'>): void
  /** The next rows of a scan; `breaks`: with the first of them begins what cannot be gone on from. */
  tellScanned(follower: Follower<P>, scan: RowScan, breaks: boolean): void
  finish(follower: Follower<P>, backlog: readonly Entry<P>[]): void
  wake(follower: Follower<P>): void
}

/** What the cursor says of a table that can be gone on from. */
export interface Resumed<P> {
  /** Told before anything else. */
  readonly entries: readonly Entry<P>[]
  readonly slots: readonly Slot[]
  /** Tables whose cursor is ahead of them: their changes up to there are known. */
  readonly ahead: ReadonlyMap<Slot, string>
  /** Tables of which the cursor knows nothing. */
  readonly scans: readonly RowScan[]
}

/**
 * How long a replica that lags behind a cursor is waited for, and how often it is looked at. Longer than the
 * usual grace of a Redis that is away: to go back in time would take objects away that are there. Tables that
 * do not lag are told of meanwhile; only SYNCED waits.
 */
const LAG_MS = 20_000
const LOOK_MS = 50

const KNOWN = -1
const UNKNOWN = -2

export class CatchUp<P> implements Prelude {
  readonly #group: CatchUpGroup<P>
  readonly #follower: Follower<P>
  #queue: Entry<P>[] = []
  #scans: readonly RowScan[] = []
  #scanning = 0
  /**
   * Which scan reads a slot; `KNOWN`: it is known whole; `UNKNOWN`: it is not this follower's. Of other slots
   * it is told what the group is.
   */
  #places = new Map<Slot, number>()
  #ahead = new Map<Slot, string>()
  #aheadUntil = 0
  #cancelLook: (() => void) | undefined
  #resync: string | undefined
  #wantsSynced = false
  /** It goes on from nowhere: until SYNCED there is no place to come back to. */
  #isFresh = false
  /** All is told; the rest of the queue is pending in the group too, and goes on with it. */
  #inStep = false
  #waits = false

  constructor(group: CatchUpGroup<P>, follower: Follower<P>) {
    this.#group = group
    this.#follower = follower
  }

  /** Everything that is there; after a RESYNC that says why, where there is a message. */
  snapshot(message?: string): this {
    this.#reset()
    this.#resync = message
    if (message === undefined) this.#queue.push(...this.#group.downs())
    else this.#group.context.counters.resyncs++
    this.#isFresh = true
    this.#scans = this.#group.scansOf()
    this.#scans.forEach(({ slot }, place) => this.#places.set(slot, place))
    return this
  }

  resume({ entries, slots, ahead, scans }: Resumed<P>): this {
    this.#reset()
    this.#queue.push(...entries, ...this.#group.downs())
    for (const slot of slots) this.#places.set(slot, KNOWN)
    this.#scans = scans
    scans.forEach(({ slot }, place) => this.#places.set(slot, place))
    this.#ahead = new Map(ahead)
    this.#aheadUntil = this.#group.context.clock.now() + LAG_MS
    return this
  }

  /** Only what comes from now on. */
  join(slots: Iterable<Slot>): this {
    this.#reset()
    for (const slot of slots) if (slot.reached === 'ALL') this.#places.set(slot, KNOWN)
    this.#wantsSynced = false
    return this
  }

  /** Of the tables of these slots it knows everything by now, from another group. */
  goOver(slots: Iterable<Slot>, entries: readonly Entry<P>[]): this {
    this.#reset()
    for (const slot of slots) this.#places.set(slot, KNOWN)
    this.#queue.push(...entries)
    this.#wantsSynced = false
    return this
  }

  /** A change, or a removal, of a row. */
  offer(slot: Slot, row: Row, entry: Entry<P>): void {
    const place = this.#places.get(slot)
    if (place === undefined ? !slot.covers(row) : !this.#hasHad(place, row)) return
    const ahead = this.#ahead.get(slot)
    if (ahead !== undefined && entry.version !== undefined) {
      if ((compareResourceVersions(entry.version, ahead) ?? 1) <= 0) return
    }
    this.push(entry)
  }

  /** A row that the group's own scan met. */
  offerScanned(slot: Slot, entry: Entry<P>): void {
    if (!this.#places.has(slot)) this.push(entry)
  }

  push(entry: Entry<P>): void {
    this.#queue.push(entry)
    const { queue } = this.#group.context.limits
    if (this.#queue.length > queue) {
      const fewer = coalesce(this.#queue)
      if (fewer.length <= queue * 0.75) this.#queue = fewer
      else {
        this.snapshot(`The reader was too slow: more than ${queue} changes waited, and were left out.`)
      }
    }
    this.#group.wake(this.#follower)
  }

  /** Whether all that waits is so. */
  every(test: (entry: Entry<P>) => boolean): boolean {
    return this.#queue.every(test)
  }

  /** Nothing keeps it from being in step but what the group has not read. */
  get waits(): boolean {
    return this.#waits && this.#queue.length === 0
  }

  /** The group has rendered all that was pending, and so all that is queued here. */
  onCut(): void {
    if (this.#inStep) this.#group.finish(this.#follower, this.#queue)
  }

  pump(spent: () => boolean): boolean {
    const { sink } = this.#follower
    for (;;) {
      if (this.#inStep || this.#follower.left || this.#follower.prelude !== this) return false
      if (!sink.ready) {
        this.#follower.awaitReady()
        return false
      }
      if (this.#resync !== undefined) this.#tellResync(this.#resync)
      else if (this.#queue.length > 0) this.#tellQueue()
      else if (this.#scanning < this.#scans.length) this.#tellScanned()
      else if (!this.#isThere()) return false
      else if (this.#resync === undefined) return this.#complete()
      if (spent()) return true
    }
  }

  close(): void {
    this.#cancelLook?.()
    this.#cancelLook = undefined
  }

  #reset(): void {
    this.close()
    this.#queue = []
    this.#scans = []
    this.#scanning = 0
    this.#places = new Map(this.#group.leaving().map((slot) => [slot, UNKNOWN]))
    this.#ahead = new Map()
    this.#resync = undefined
    this.#wantsSynced = true
    this.#isFresh = false
    this.#inStep = false
    this.#waits = false
  }

  #hasHad(place: number, row: Row): boolean {
    if (place === KNOWN) return true
    // `UNKNOWN` has no scan.
    const reached = this.#scans[place]?.reached ?? null
    return reached !== null && (reached === 'ALL' || isUpTo(row, reached))
  }

  #tellResync(message: string): void {
    this.#resync = undefined
    const entries = [new Entry<P>({ type: 'RESYNC', message, breaks: true }), ...this.#group.downs()]
    this.#group.tell(this.#follower, entries, { cursorsFrom: Infinity })
  }

  #tellQueue(): void {
    const told = this.#queue.splice(0, this.#group.context.limits.chunk)
    const hasBegun = this.#scanning > 0 || (this.#scans[0]?.reached ?? null) !== null
    // Of what the group reads for all, it may be told a part.
    if (this.#group.isScanning && !this.#isFresh) told[0]!.breaks = true
    // Within a snapshot nothing can be gone on from.
    const options: Omit<BatchOptions, 'tables'> =
      this.#isFresh || hasBegun || this.#group.isScanning
        ? { cursorsFrom: Infinity }
        : { waiting: this.#queue, pinned: this.#pinned() }
    this.#group.tell(this.#follower, told, options)
  }

  #tellScanned(): void {
    const scan = this.#scans[this.#scanning]!
    // What it goes on from knows nothing of this table.
    if (!scan.slot.gone) this.#group.tellScanned(this.#follower, scan, !this.#isFresh)
    if (scan.slot.gone || scan.reached === 'ALL') this.#scanning++
  }

  /** Where tables stand that are not as far as they are. */
  #pinned(): ReadonlyMap<Slot, string | null> {
    const pinned = new Map<Slot, string | null>()
    for (const [slot, version] of this.#ahead) {
      const { journal } = slot.channel
      const order = compareResourceVersions(journal.position() ?? '', version)
      // Once it is there, what came after it has been told, too.
      if (order === undefined || order < 0 || !journal.covers(version)) pinned.set(slot, version)
    }
    for (const { slot } of this.#scans) pinned.set(slot, null)
    return pinned
  }

  /** Whether the tables have come as far as the cursor; if not, it looks again later. */
  #isThere(): boolean {
    const { clock } = this.#group.context
    for (const [slot, version] of this.#ahead) {
      const { journal } = slot.channel
      const position = journal.position()
      const order = position === null ? -1 : compareResourceVersions(position, version)
      const behind = order !== undefined && order < 0
      if (behind && !slot.gone && clock.now() < this.#aheadUntil) continue
      this.#ahead.delete(slot)
      // It was removed, or went past where the follower was without telling what was there.
      if (behind || order === undefined || slot.gone || !journal.covers(version)) {
        this.snapshot(
          'The cursor cannot be gone on from here: this replica does not know what came after it.',
        )
        return true
      }
    }
    if (this.#ahead.size === 0) return true
    this.#cancelLook ??= clock.after(LOOK_MS, () => {
      this.#cancelLook = undefined
      this.#group.wake(this.#follower)
    })
    return false
  }

  /** All that was asked for is told. */
  #complete(): boolean {
    // What the group reads for all is not known whole yet; it wakes this one when it has.
    this.#waits = this.#group.isScanning
    if (this.#waits) return false
    if (this.#wantsSynced) {
      this.#wantsSynced = false
      this.#group.tell(this.#follower, [new Entry<P>({ type: 'SYNCED' })], {})
      if (this.#follower.left) return false
    }
    if (this.#group.hasPending) this.#inStep = true
    else this.#group.finish(this.#follower, [])
    return false
  }
}
