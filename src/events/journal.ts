/**
 * Journals: the latest changes of each table, so that whoever lost its connection goes on where it was.
 * Bounded per table, over all tables of the process and by age; what falls out moves the journal's floor,
 * and a cursor from below the floor cannot be resumed.
 *
 * Invariant: from a version that `since` accepts, the changes that it returns lead to what the table holds
 * now, and none of them was known at that version. Where versions come out of order that cannot be said, and
 * the journal begins anew.
 *
 * Knows no follower and no filter.
 */
import type { Clock } from '../fleet/clock.ts'
import type { Change, TableReader } from '../fleet/table.ts'
import { compareResourceVersions } from '../kubernetes/resource-version.ts'

/** Each change keeps two rows in memory, some 2 KB. */
export interface JournalLimits {
  readonly changesPerTable: number
  readonly changes: number
  readonly ageMs: number
}

export const JOURNAL_LIMITS: JournalLimits = {
  changesPerTable: 4_096,
  changes: 100_000,
  ageMs: 15 * 60_000,
}

export interface JournalEntry {
  readonly change: Change
  /** The version that was complete before it; `''` for none. */
  readonly before: string
}

interface Kept extends JournalEntry {
  readonly journal: Journal
  readonly at: number
  older: Kept | undefined
  newer: Kept | undefined
}

/** All journals of a process, with what they share: the bounds. */
export class Journals {
  readonly limits: JournalLimits
  readonly clock: Pick<Clock, 'now'>
  #oldest: Kept | undefined
  #newest: Kept | undefined
  #size = 0

  constructor(clock: Pick<Clock, 'now'>, limits: JournalLimits = JOURNAL_LIMITS) {
    this.clock = clock
    this.limits = limits
  }

  /** Changes that are kept. */
  get size(): number {
    return this.#size
  }

  open(table: TableReader): Journal {
    return new Journal(table, this)
  }

  /** For `Journal` only. */
  add(kept: Kept): void {
    kept.older = this.#newest
    if (this.#newest) this.#newest.newer = kept
    else this.#oldest = kept
    this.#newest = kept
    this.#size++
    if (this.#size > this.limits.changes) this.#oldest?.journal.dropOldest()
  }

  /** For `Journal` only. */
  remove(kept: Kept): void {
    const { older, newer } = kept
    if (older) older.newer = newer
    else this.#oldest = newer
    if (newer) newer.older = older
    else this.#newest = older
    this.#size--
  }

  /** Drops what is too old. No timer: it is done when somebody writes or asks. */
  expire(): void {
    const before = this.clock.now() - this.limits.ageMs
    while (this.#oldest && this.#oldest.at < before) this.#oldest.journal.dropOldest()
  }
}

/** What lies between two versions is not known one by one: nobody goes on from in between. */
interface Gap {
  readonly from: string
  readonly to: string
}

const MAX_GAPS = 64

export class Journal {
  readonly #table: TableReader
  readonly #journals: Journals
  #kept: Kept[] = []
  /** Where in `#kept` it begins: shifting an array at each change would copy it. */
  #start = 0
  #gaps: Gap[] = []
  /** Cursors from here on can be resumed, or, where `#floorOpen`, after here; `null`: from nowhere yet. */
  #floor: string | null = null
  #floorOpen = false
  /** The newest version that anybody can have heard of. */
  #highest = ''
  /** The newest version that is complete, as far as changes tell. */
  #complete = ''

  constructor(table: TableReader, journals: Journals) {
    this.#table = table
    this.#journals = journals
    if (table.status.asOf !== null) this.begin()
  }

  /** The table has its first content. */
  begin(): void {
    const { status, whole } = this.#table
    const version = status.resourceVersion ?? ''
    // Parts of later versions are in it already: the changes to come do not tell of them.
    this.#restart(version, !whole)
    this.#complete = version
  }

  /** Every change of the table, in order. Returns the version that was complete before it. */
  record(change: Change): string {
    this.#journals.expire()
    const before = this.#complete
    const { resourceVersion, partial } = change
    const order = compareResourceVersions(resourceVersion, this.#highest)
    if (order === undefined || order < 0 || (order === 0 && before === resourceVersion)) {
      this.#restart(order === undefined ? resourceVersion : this.#highest, true)
    } else {
      // Several changes of one version: nobody can have stopped between what was before and it.
      if (partial && this.#gaps.at(-1)?.to !== resourceVersion) this.#gap(before, resourceVersion)
      this.#highest = resourceVersion
      const at = this.#journals.clock.now()
      const kept: Kept = { change, before, journal: this, at, older: undefined, newer: undefined }
      this.#kept.push(kept)
      this.#journals.add(kept)
      if (this.#kept.length - this.#start > this.#journals.limits.changesPerTable) this.dropOldest()
    }
    if (!partial) this.#complete = resourceVersion
    return before
  }

  /** The table was at one version and is read anew at another; its differences follow. */
  relisted(from: string, to: string): void {
    const order = compareResourceVersions(to, this.#highest)
    if (order === undefined || order < 0 || !this.#table.whole)
      this.#restart(order === undefined ? to : this.#highest, true)
    else this.#gap(from, to)
  }

  /**
   * The version up to which the table is complete now, `null` without content. It may be told to somebody:
   * from here on a change up to it counts as out of order.
   */
  position(): string | null {
    const { resourceVersion, asOf } = this.#table.status
    if (asOf === null || resourceVersion === null) return null
    const order = compareResourceVersions(resourceVersion, this.#highest)
    if (order !== undefined && order > 0) {
      this.#highest = resourceVersion
      this.#complete = resourceVersion
    }
    return resourceVersion
  }

  /**
   * The changes after a version, oldest first. `AHEAD`: the table has not come so far yet. `GONE`: they are
   * not known, or not all of them.
   */
  since(version: string): readonly JournalEntry[] | 'AHEAD' | 'GONE' {
    this.#journals.expire()
    const position = this.position()
    if (position === null) return 'AHEAD'
    const order = compareResourceVersions(version, position)
    if (order === undefined) return 'GONE'
    if (order > 0) return 'AHEAD'
    if (!this.covers(version)) return 'GONE'
    let low = this.#start
    let high = this.#kept.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const { resourceVersion } = this.#kept[middle]!.change
      if ((compareResourceVersions(resourceVersion, version) ?? 1) > 0) high = middle
      else low = middle + 1
    }
    return this.#kept.slice(low)
  }

  /** Whether all changes from this version on are known one by one. */
  covers(version: string): boolean {
    if (this.#floor === null) return false
    const above = compareResourceVersions(version, this.#floor)
    if (above === undefined || above < 0 || (above === 0 && this.#floorOpen)) return false
    return !this.#gaps.some(({ from, to }) => isBetween(version, from, to))
  }

  /** For `Journals` only: one change less. */
  dropOldest(): void {
    const kept = this.#kept[this.#start++]
    if (!kept) return
    this.#journals.remove(kept)
    this.#raise(kept.change.resourceVersion)
    if (this.#start * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#start)
      this.#start = 0
    }
  }

  close(): void {
    while (this.#start < this.#kept.length) this.dropOldest()
    this.#floor = null
  }

  #restart(floor: string, open: boolean): void {
    while (this.#start < this.#kept.length) this.dropOldest()
    this.#floor = floor
    this.#floorOpen = open
    this.#highest = floor
    this.#gaps = []
    if (!open) this.#complete = floor
  }

  #raise(version: string): void {
    if (this.#floor !== null && (compareResourceVersions(version, this.#floor) ?? 1) <= 0) return
    this.#floor = version
    this.#floorOpen = false
    this.#gaps = this.#gaps.filter(({ to }) => (compareResourceVersions(to, version) ?? 1) > 0)
  }

  #gap(from: string, to: string): void {
    if ((compareResourceVersions(from, to) ?? 0) >= 0) return
    this.#gaps.push({ from, to })
    if (this.#gaps.length > MAX_GAPS) this.#raise(this.#gaps.shift()!.to)
  }
}

function isBetween(version: string, from: string, to: string): boolean {
  return (compareResourceVersions(version, from) ?? 1) > 0 && (compareResourceVersions(version, to) ?? -1) < 0
}
