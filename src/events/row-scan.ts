/**
 * A scan: the rows of one slot, read from the live table in key order, some at a time. Between two readings
 * the table may change: whoever scans is told of changes behind `reached`, and will read those before it.
 */
import { Matches, type Visits } from '../fleet/matches.ts'
import type { Selection } from '../fleet/selection.ts'
import type { Row } from '../kubernetes/rows.ts'
import { isUpTo, type Reached, type Slot } from './slot.ts'

/** Rows that are tested at a time, some milliseconds: a filter may match next to nothing of a large table. */
const VISITS = 4_096

export class RowScan {
  readonly slot: Slot
  readonly #selection: Selection
  reached: Reached = null

  constructor(slot: Slot, selection: Selection) {
    this.slot = slot
    this.#selection = selection
  }

  /** The next rows, at most so many, or none yet; `reached` is `'ALL'` after the last. */
  read(limit: number): readonly Row[] {
    const { table } = this.slot.channel
    const { scope } = this.slot
    const { reached } = this
    if (reached === 'ALL') return []
    // Nothing is between a name and the same with this behind it.
    const key = reached ? { namespace: reached.namespace, name: `${reached.name}\u0000` } : undefined
    const visits: Visits<Row> = { left: VISITS, stoppedAt: undefined }
    const rows: Row[] = []
    let last: Row | undefined
    for (const row of new Matches({ table, scope }, this.#selection, true).from(key, false, visits)) {
      if (visits.stoppedAt && !isUpTo(row, visits.stoppedAt)) break
      rows.push(row)
      if (rows.length < limit) continue
      last = row
      break
    }
    last ??= visits.stoppedAt
    this.reached = last ? { namespace: last.namespace, name: last.name } : 'ALL'
    return rows
  }

  /** All that is left, in pieces of about so many. */
  *rest(limit: number): Iterable<readonly Row[]> {
    while (this.reached !== 'ALL') yield this.read(limit)
  }
}
