/**
 * Where somebody goes on who comes with a cursor: what changed since in the tables that it knows, as far as that
 * is known, and those that it does not know. Where it cannot be gone on from, why not.
 */
import type { Kind } from '../kubernetes/rows.ts'
import type { Resumed } from './catch-up.ts'
import { coalesce, type Entry } from './entry.ts'
import type { JournalEntry } from './journal.ts'
import type { Position } from './position.ts'
import type { RowScan } from './row-scan.ts'
import type { Slot } from './slot.ts'

/** What is followed, and how it is told. */
interface Resumable<P> {
  readonly kinds: readonly Kind[]
  /** By the name of each cluster, in the order of the kinds. */
  readonly slots: ReadonlyMap<string, readonly (Slot | undefined)[]>
  /** How many entries anybody may have to read. */
  readonly queue: number
  /** `undefined`: it is nothing to whoever follows. */
  readonly entryOf: (slot: Slot, entry: JournalEntry) => Entry<P> | undefined
  readonly scanOf: (slot: Slot) => RowScan
}

/** A sentence for a person where it cannot be gone on from. */
export function resume<P>(position: Position, followed: Resumable<P>): Resumed<P> | string {
  const { kinds, slots: tables, queue } = followed
  if (position.knowsOthers(tables.keys(), kinds)) {
    return 'The cursor is of half a RESYNC, or knows a cluster that is no longer a part of what is followed.'
  }
  const sealOf = (cluster: string, kind: Kind) => tables.get(cluster)?.[kinds.indexOf(kind)]?.seal
  if (!position.isSealedBy(tables.keys(), kinds, sealOf)) {
    return 'What may be seen is another since the cursor was made.'
  }
  const entries: Entry<P>[] = []
  const slots: Slot[] = []
  const ahead = new Map<Slot, string>()
  const scans: RowScan[] = []
  const tooMany = `More than ${queue} objects have changed since the cursor.`
  for (const slot of tables.values().flatMap((slots) => slots)) {
    if (!slot) continue
    const { table, journal, hasContent } = slot.channel
    const version = position.versionOf(table.cluster, table.kind)
    if (version === undefined) {
      if (hasContent) scans.push(followed.scanOf(slot))
      continue
    }
    const changes = version === null ? 'GONE' : journal.since(version)
    if (changes === 'GONE') {
      return `The cursor is too old, or none that the cluster ${table.cluster} can be gone on from.`
    }
    slots.push(slot)
    if (changes === 'AHEAD') ahead.set(slot, version!)
    else {
      for (const change of changes) {
        const entry = followed.entryOf(slot, change)
        if (entry) entries.push(entry)
      }
    }
    // To put together what will be too much all the same would only cost time.
    if (entries.length > queue * 8) return tooMany
  }
  const fewer = entries.length > queue ? coalesce(entries) : entries
  return fewer.length > queue ? tooMany : { entries: fewer, slots, ahead, scans }
}
