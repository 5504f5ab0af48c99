/**
 * Other rights to one table: what those who were told of it are told then. What is hidden now is DELETED, in the
 * state that they were told last, and never as it is now; what is shown now is ADDED.
 *
 * Invariant: whoever was told everything before, then what waits, knows the table as it is with the rights of
 * before; whoever is told what waits afterwards knows it as it is with those of now.
 */
import type { Cluster } from '../fleet/cluster.ts'
import type { Row } from '../kubernetes/rows.ts'
import { Entry } from './entry.ts'
import { difference, isWithin, type Slot } from './slot.ts'

/** One table: as it was followed, and as it is. */
interface Regrant {
  readonly before: Slot | undefined
  readonly now: Slot | undefined
}

/** Which rows of a table, with the scope of a slot, are meant; in the table's order. */
type RowsOf = (slot: Slot) => Iterable<Row>

/** What waits to be told of all tables, given what waited and the tables of one cluster that are regranted. */
export function regranted<P>(
  waiting: readonly Entry<P>[],
  cluster: Cluster,
  regrants: readonly Regrant[],
  rowsOf: RowsOf,
): Entry<P>[] {
  const hides = new Map(
    regrants.flatMap(({ before, now }) => (before ? [[before.channel.table.kind, now?.scope]] : [])),
  )
  const firsts = new Map<string, Entry<P>>()
  const told = waiting.flatMap((entry) => {
    const { object } = entry
    if (!object || entry.cluster !== cluster) return [entry]
    const of = identity(object)
    const isFirst = !firsts.has(of)
    if (isFirst) firsts.set(of, entry)
    if (!hides.has(object.kind)) return [entry]
    const scope = hides.get(object.kind)
    if (scope !== undefined && isWithin(scope, object)) return [entry]
    // It was told of before all that waits, or it never was.
    return isFirst && entry.previous ? [forbidden<P>(entry.previous, cluster)] : []
  })
  for (const { before, now } of regrants) {
    const { table } = (before ?? now)!.channel
    const there = () => table.summary.namespaces.keys()
    const hidden = before && difference(before.scope, now?.scope, there)
    if (before && hidden !== undefined) {
      for (const row of rowsOf(before.seeing(hidden))) {
        if (now && isWithin(now.scope, row)) continue
        if (!firsts.has(identity(row))) told.push(forbidden(row, cluster))
      }
    }
    const shown = now && difference(now.scope, before?.scope, there)
    if (now && shown !== undefined) {
      for (const row of rowsOf(now.seeing(shown))) {
        if (before && isWithin(before.scope, row)) continue
        told.push(new Entry({ type: 'ADDED', object: row, cluster }))
      }
    }
  }
  return told
}

/** The same for clusters that are no longer followed: nobody can be asked what may be seen of them now. */
export function departed<P>(
  waiting: readonly Entry<P>[],
  isFollowed: (cluster: Cluster) => boolean,
): Entry<P>[] {
  const seen = new Set<string>()
  return waiting.flatMap((entry) => {
    const { object, previous, cluster, reason } = entry
    if (!object || !cluster || reason === 'FORBIDDEN' || isFollowed(cluster)) return [entry]
    const isFirst = !seen.has(identity(object))
    seen.add(identity(object))
    return isFirst && previous ? [removed<P>(previous, cluster)] : []
  })
}

export function removed<P>(row: Row, cluster: Cluster): Entry<P> {
  return new Entry({
    type: 'DELETED',
    object: row,
    previous: row,
    cluster,
    reason: 'CLUSTER_REMOVED',
    message: `The cluster ${cluster.name} is no longer a part of what is followed.`,
  })
}

function forbidden<P>(row: Row, cluster: Cluster): Entry<P> {
  return new Entry({
    type: 'DELETED',
    object: row,
    previous: row,
    cluster,
    reason: 'FORBIDDEN',
    message: 'The viewer may not see it any more.',
  })
}

/** Another object of the same name is another. */
function identity({ kind, id, uid }: Row): string {
  return `${kind}/${id}/${uid}`
}
