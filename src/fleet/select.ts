/**
 * Pages over the tables of any number of clusters. In the natural order – cluster, namespace, name, kind
 * – a page is read from where its cursor stands and costs what it shows; in any other order it costs one
 * pass over what matches, keeping no more than a page. Whatever a scope hides has no influence on pages,
 * totals or cursors.
 *
 * Window semantics: Relay's "GraphQL Cursor Connections Specification". In the direction of paging it
 * asks whether the cursors leave more rows than the page has. In the other it lets a server choose: here
 * `hasPreviousPage` says whether anything stands at or before `after`, and so for `before`.
 */
import type { Row } from '../kubernetes/rows.ts'
import { decodeCursor, encodeCursor, sortValue, type Place, type SortValue } from './cursor.ts'
import { Matches } from './matches.ts'
import type { Page, ScopedTable, Selection, SortKey, Window } from './selection.ts'
import { compareRows, mergeSorted } from './sorted-rows.ts'

export { CursorError } from './cursor.ts'

/**
 * One page. The tables may be of several kinds, each cluster and kind once, in any order. Throws
 * `CursorError`. The page's rows are a copy; `total()` reads the tables, so it is called – if at all –
 * before the event loop turns.
 */
export function select<R extends Row>(
  tables: readonly ScopedTable<R>[],
  selection: Selection<R>,
  order: readonly SortKey<R>[],
  window: Window,
): Page<R> {
  const kinds = new Set<string>(tables.map(({ table }) => table.kind))
  const place = (cursor: string | undefined) =>
    cursor === undefined ? undefined : decodeCursor(cursor, order, kinds)
  const bounds = { after: place(window.after), before: place(window.before) }
  const matches = new FleetMatches(tables, selection)
  const slice =
    order.length === 0 ? natural(matches, bounds, window) : ordered(matches, order, bounds, window)
  let total = slice.total
  return {
    rows: slice.rows,
    hasNextPage: slice.hasNextPage,
    hasPreviousPage: slice.hasPreviousPage,
    cursor: (row) => encodeCursor(row, order),
    total: () => (total ??= matches.size),
  }
}

interface Bounds {
  readonly after: Place | undefined
  readonly before: Place | undefined
}

interface Slice<R extends Row> {
  readonly rows: readonly R[]
  readonly hasNextPage: boolean
  readonly hasPreviousPage: boolean
  /** Where it was counted on the way. */
  readonly total?: number
}

/** What stands at a place of the natural order: a row, or where one was. */
type NaturalPlace = Pick<Place, 'cluster' | 'namespace' | 'name' | 'kind'>

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1
}

function compareNatural(a: NaturalPlace, b: NaturalPlace): number {
  return (
    compareText(a.cluster, b.cluster) ||
    compareText(a.namespace, b.namespace) ||
    compareText(a.name, b.name) ||
    compareText(a.kind, b.kind)
  )
}

/** One cluster's tables, and what of them matches once somebody has looked. */
interface ClusterTables<R extends Row> {
  readonly name: string
  readonly tables: readonly ScopedTable<R>[]
  matches: readonly Matches<R>[] | undefined
}

/** The matches of all tables, by cluster; a table is only looked at when it is reached. */
class FleetMatches<R extends Row> {
  readonly #clusters: readonly ClusterTables<R>[]
  readonly #selection: Selection<R>

  constructor(tables: readonly ScopedTable<R>[], selection: Selection<R>) {
    this.#selection = selection
    const clusters = Map.groupBy(tables, ({ table }) => table.cluster)
    this.#clusters = Array.from(clusters, ([name, tables]) => ({ name, tables, matches: undefined })).sort(
      (a, b) => compareText(a.name, b.name),
    )
  }

  get size(): number {
    let size = 0
    for (const cluster of this.#clusters) for (const matches of this.#of(cluster)) size += matches.size
    return size
  }

  /** All, in natural order from the place on, which is itself included. */
  *from(place: NaturalPlace | undefined, descending: boolean): Iterable<R> {
    const direction = descending ? -1 : 1
    for (const cluster of descending ? this.#clusters.toReversed() : this.#clusters) {
      const side = place ? compareText(cluster.name, place.cluster) * direction : 1
      if (side < 0) continue
      const matches = this.#of(cluster)
      if (matches.length === 0) continue
      const rows = merged(matches, side === 0 ? place : undefined, descending)
      if (side > 0) yield* rows
      else for (const row of rows) if (compareNatural(row, place!) * direction >= 0) yield row
    }
  }

  /** All, table by table: for a pass that orders them itself, without the cost of a merge. */
  *inAnyOrder(): Iterable<Iterable<R>> {
    for (const cluster of this.#clusters) {
      for (const matches of this.#of(cluster)) yield matches.from(undefined, false)
    }
  }

  #of(cluster: ClusterTables<R>): readonly Matches<R>[] {
    cluster.matches ??= cluster.tables
      .map((table) => new Matches(table, this.#selection))
      .filter((matches) => !matches.isEmpty)
    return cluster.matches
  }
}

/** One cluster's kinds in one order, from the place's key on. */
function merged<R extends Row>(
  matches: readonly Matches<R>[],
  place: NaturalPlace | undefined,
  descending: boolean,
): Iterable<R> {
  // Handed on as it is: a layer around each row costs as much as the row.
  if (matches.length === 1) return matches[0]!.from(place, descending)
  const ascending = (a: R, b: R) => compareRows(a, b) || compareText(a.kind, b.kind)
  return mergeSorted(
    matches.map((matches) => matches.from(place, descending)),
    descending ? (a, b) => ascending(b, a) : ascending,
  )
}

function natural<R extends Row>(matches: FleetMatches<R>, bounds: Bounds, window: Window): Slice<R> {
  const backward = window.last !== undefined
  const limit = (backward ? window.last : window.first) ?? 0
  const [start, end] = backward ? [bounds.before, bounds.after] : [bounds.after, bounds.before]
  const direction = backward ? -1 : 1

  const rows: R[] = []
  let more = false
  for (const row of matches.from(start, backward)) {
    if (start && compareNatural(row, start) === 0) continue
    if (end && compareNatural(row, end) * direction >= 0) break
    if (rows.length === limit) {
      more = true
      break
    }
    rows.push(row)
  }
  const behind = start !== undefined && exists(matches.from(start, !backward))
  return backward
    ? { rows: rows.toReversed(), hasPreviousPage: more, hasNextPage: behind }
    : { rows, hasNextPage: more, hasPreviousPage: behind }
}

function exists(rows: Iterable<unknown>): boolean {
  return !rows[Symbol.iterator]().next().done
}

/** A row with its values in the order. */
interface Entry<R extends Row> {
  readonly row: R
  readonly values: readonly SortValue[]
}

/** `null` last whatever the direction; numbers before texts. */
function compareValues(a: SortValue, b: SortValue, descending: boolean): number {
  if (a === b) return 0
  if (a === null) return 1
  if (b === null) return -1
  const ascending = typeof a === typeof b ? (a < b ? -1 : 1) : typeof a === 'number' ? -1 : 1
  return descending ? -ascending : ascending
}

function comparePlaces<R extends Row>(
  a: readonly SortValue[],
  rowA: NaturalPlace,
  b: readonly SortValue[],
  rowB: NaturalPlace,
  order: readonly SortKey<R>[],
): number {
  for (let i = 0; i < order.length; i++) {
    const difference = compareValues(a[i]!, b[i]!, order[i]!.descending)
    if (difference !== 0) return difference
  }
  return compareNatural(rowA, rowB)
}

function ordered<R extends Row>(
  matches: FleetMatches<R>,
  order: readonly SortKey<R>[],
  { after, before }: Bounds,
  window: Window,
): Slice<R> {
  const backward = window.last !== undefined
  const limit = (backward ? window.last : window.first) ?? 0
  const direction = backward ? -1 : 1
  const compare = (a: Entry<R>, b: Entry<R>) =>
    comparePlaces(a.values, a.row, b.values, b.row, order) * direction
  const best = new Best<Entry<R>>(limit, compare)
  const [{ value: first, descending: firstDescending }] = order as readonly [SortKey<R>]

  let total = 0
  let atOrBefore = false
  let atOrAfter = false
  /** Most rows are decided by their first value alone, and nothing is allocated for them. */
  const place = (row: R): void => {
    const value = sortValue(first(row))
    const fromAfter = after ? compareValues(value, after.values[0]!, firstDescending) : 1
    const fromBefore = before ? compareValues(value, before.values[0]!, firstDescending) : -1
    if (fromAfter < 0) atOrBefore = true
    else if (fromBefore > 0) atOrAfter = true
    else if (fromAfter > 0 && fromBefore < 0 && isWorse(value, row)) best.skip()
    else {
      const values = order.map((key, index) => (index === 0 ? value : sortValue(key.value(row))))
      if (after && comparePlaces(values, row, after.values, after, order) <= 0) atOrBefore = true
      else if (before && comparePlaces(values, row, before.values, before, order) >= 0) atOrAfter = true
      else best.offer({ row, values })
    }
  }
  const isWorse = (value: SortValue, row: R): boolean => {
    const { worst } = best
    if (!worst) return false
    const difference = compareValues(value, worst.values[0]!, firstDescending)
    if (difference !== 0) return difference * direction > 0
    return order.length === 1 && compareNatural(row, worst.row) * direction > 0
  }
  for (const rows of matches.inAnyOrder()) {
    for (const row of rows) {
      total++
      place(row)
    }
  }
  const rows = best.sorted().map(({ row }) => row)
  return backward
    ? { rows: rows.toReversed(), hasPreviousPage: best.more, hasNextPage: atOrAfter, total }
    : { rows, hasNextPage: best.more, hasPreviousPage: atOrBefore, total }
}

/** The first few of a sequence in an order, in a bounded binary heap with the worst on top. */
class Best<T> {
  readonly #limit: number
  readonly #compare: (a: T, b: T) => number
  readonly #heap: T[] = []
  #more = false

  constructor(limit: number, compare: (a: T, b: T) => number) {
    this.#limit = limit
    this.#compare = compare
  }

  /** The one that a better one would push out; `undefined` while there is room. */
  get worst(): T | undefined {
    return this.#heap.length < this.#limit ? undefined : this.#heap[0]
  }

  /** Whether there were more than fit. */
  get more(): boolean {
    return this.#more
  }

  /** One that is known to be worse than the worst. */
  skip(): void {
    this.#more = true
  }

  offer(item: T): void {
    const heap = this.#heap
    if (heap.length < this.#limit) {
      heap.push(item)
      this.#rise(heap.length - 1)
      return
    }
    this.#more = true
    if (heap.length === 0 || this.#compare(item, heap[0]!) >= 0) return
    heap[0] = item
    this.#sink()
  }

  sorted(): T[] {
    return this.#heap.toSorted(this.#compare)
  }

  #rise(start: number): void {
    const heap = this.#heap
    let at = start
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (this.#compare(heap[at]!, heap[parent]!) <= 0) return
      ;[heap[at], heap[parent]] = [heap[parent]!, heap[at]!]
      at = parent
    }
  }

  #sink(): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      if (left >= heap.length) return
      const right = left + 1
      const worse = right < heap.length && this.#compare(heap[right]!, heap[left]!) > 0 ? right : left
      if (this.#compare(heap[worse]!, heap[at]!) <= 0) return
      ;[heap[at], heap[worse]] = [heap[worse]!, heap[at]!]
      at = worse
    }
  }
}
