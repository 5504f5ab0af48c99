/**
 * What a scope lets through: a test of one row, and for whole tables the part of them that it leaves. What is
 * found out about a table is kept until the table changes, since one page asks the same hundreds of times.
 *
 * Invariant: what a scope hides has no influence on anything given here, but on the time that a change of a
 * table costs its next reader. Knows no viewer, and not where a scope comes from.
 */
import type { Row } from '../kubernetes/rows.ts'
import type { Scope } from './selection.ts'
import { compareRows } from './sorted-rows.ts'
import { sumOf, summaryOf, type NamespaceSummary, type TableSummary } from './summary.ts'
import type { SortedRows, TableReader } from './table.ts'

/** Not everything. */
export type LimitedScope = Exclude<Scope, 'all'>

/** Seeking one namespace costs about as much as testing this many rows. */
export const SEEK_COST = 8

/** Whether there may be an object of this name for the reader, whether there is one or not. */
export function allowsName(scope: Scope, namespace: string, name: string): boolean {
  return scope === 'all' || scope.namespaces.has(namespace) || allowsSingle(scope, namespace, name)
}

export function allows(scope: Scope, row: Row): boolean {
  return allowsName(scope, row.namespace, row.name)
}

function allowsSingle({ objects, names }: LimitedScope, namespace: string, name: string): boolean {
  return (names?.has(name) ?? false) || (objects?.has(`${namespace}/${name}`) ?? false)
}

/** The part of one table that a scope leaves, as the table is now. */
export interface Extent<R extends Row = Row> {
  /** Of the scope's, those that have rows; in order. */
  readonly namespaces: readonly string[]
  /** Single objects outside of them, in key order. */
  readonly singles: readonly R[]
  /** Rows, the single ones included. */
  readonly size: number
  /** Counted over exactly these rows; not to be kept beyond a change. */
  readonly summary: NamespaceSummary
}

/** Each part is found out when it is asked for, and again once it may have become another. */
class TableExtent implements Extent {
  readonly #table: TableReader
  readonly #scope: LimitedScope
  #namespaces: readonly string[] = []
  #namespacesOf: TableSummary | undefined
  #namespacesRevision = -1
  #singles: readonly Row[] = []
  #size: number | undefined
  #summary: NamespaceSummary | undefined
  #countedOf: TableSummary | undefined
  #revision = -1

  constructor(table: TableReader, scope: LimitedScope) {
    this.#table = table
    this.#scope = scope
  }

  get namespaces(): readonly string[] {
    const { summary } = this.#table
    if (this.#namespacesOf !== summary || this.#namespacesRevision !== summary.namespacesRevision) {
      this.#namespaces = present(summary, this.#scope)
      this.#namespacesOf = summary
      this.#namespacesRevision = summary.namespacesRevision
    }
    return this.#namespaces
  }

  get singles(): readonly Row[] {
    this.#refresh()
    return this.#singles
  }

  get size(): number {
    this.#refresh()
    const { namespaces } = this.#table.summary
    this.#size ??= this.namespaces.reduce(
      (size, name) => size + (namespaces.get(name)?.count ?? 0),
      this.#singles.length,
    )
    return this.#size
  }

  get summary(): NamespaceSummary {
    this.#refresh()
    const { namespaces } = this.#table.summary
    this.#summary ??= sumOf([
      ...this.namespaces.flatMap((name) => namespaces.get(name) ?? []),
      ...(this.#singles.length > 0 ? [summaryOf(this.#singles)] : []),
    ])
    return this.#summary
  }

  /** While a relist is told, its content is there before the revision says so. */
  #refresh(): void {
    const { revision, summary } = this.#table
    if (this.#revision === revision && this.#countedOf === summary) return
    this.#revision = revision
    this.#countedOf = summary
    this.#singles = singlesOf(this.#table, this.#scope)
    this.#size = undefined
    this.#summary = undefined
  }
}

/** A scope is the same object for as long as it says the same. */
const EXTENTS = new WeakMap<LimitedScope, WeakMap<TableReader, TableExtent>>()

/** What it says is what the table has at that moment. */
export function extentOf<R extends Row>(table: TableReader<R['kind']>, scope: LimitedScope): Extent<R> {
  const reader = table as unknown as TableReader
  let tables = EXTENTS.get(scope)
  if (!tables) EXTENTS.set(scope, (tables = new WeakMap()))
  let extent = tables.get(reader)
  if (!extent) tables.set(reader, (extent = new TableExtent(reader, scope)))
  return extent as Extent as Extent<R>
}

/** From the smaller of the two, since one reader may have thousands, and one table too. */
function present({ namespaces }: TableSummary, scope: LimitedScope): readonly string[] {
  const [few, many] =
    scope.namespaces.size < namespaces.size ? [scope.namespaces, namespaces] : [namespaces, scope.namespaces]
  return Array.from(few.keys())
    .filter((name) => many.has(name))
    .sort()
}

function singlesOf(table: TableReader, scope: LimitedScope): readonly Row[] {
  const { namespaces, objects = NONE, names = NONE } = scope
  if (objects.size === 0 && names.size === 0) return NO_SINGLES
  const rows: Row[] = []
  for (const object of objects) {
    const slash = object.indexOf('/')
    const namespace = object.slice(0, slash)
    const name = object.slice(slash + 1)
    if (namespaces.has(namespace) || names.has(name)) continue
    const row = table.get(namespace, name)
    if (row) rows.push(row)
  }
  if (names.size > 0) rows.push(...namedOutside(table, namespaces, names))
  return rows.length > 1 ? rows.sort(compareRows) : rows
}

const NONE: ReadonlySet<string> = new Set()
const NO_SINGLES: readonly never[] = Object.freeze([])

/** The rows of these names, in all other namespaces. */
function namedOutside(
  table: TableReader,
  namespaces: ReadonlySet<string>,
  names: ReadonlySet<string>,
): readonly Row[] {
  const places = table.summary.namespaces
  if (places.size * names.size * SEEK_COST > table.size) {
    return Array.from(table.rows().all()).filter(
      ({ namespace, name }) => names.has(name) && !namespaces.has(namespace),
    )
  }
  const rows: Row[] = []
  for (const namespace of places.keys()) {
    if (namespaces.has(namespace)) continue
    for (const name of names) {
      const row = table.get(namespace, name)
      if (row) rows.push(row)
    }
  }
  return rows
}

/** Of rows of this table those that the scope leaves, in key order; a copy. */
export function rowsWithin<R extends Row>(
  table: TableReader<R['kind']>,
  scope: Scope,
  rows: SortedRows<R>,
): readonly R[] {
  if (scope === 'all') return Array.from(rows.all())
  const { namespaces, singles } = extentOf<R>(table, scope)
  if ((namespaces.length + singles.length) * SEEK_COST > rows.size) {
    return Iterator.from(rows.all())
      .filter((row) => allows(scope, row))
      .toArray()
  }
  const within: R[] = []
  for (const namespace of namespaces) {
    for (const row of rows.from(namespace, '')) {
      if (row.namespace !== namespace) break
      within.push(row)
    }
  }
  if (singles.length === 0) return within
  for (const single of singles) {
    const [row] = Iterator.from(rows.from(single.namespace, single.name)).take(1)
    if (row === single) within.push(row)
  }
  return within.sort(compareRows)
}

/**
 * The counters of what the scope leaves of a table: one entry for all of it, or for each of the namespaces
 * asked for that has anything for the reader, in their order.
 */
export function summariesWithin(
  table: TableReader,
  scope: Scope,
  namespaces?: readonly string[],
): readonly NamespaceSummary[] {
  const { summary } = table
  if (!namespaces) return [scope === 'all' ? summary.total : extentOf(table, scope).summary]
  return namespaces.flatMap((namespace) => {
    if (scope === 'all' || scope.namespaces.has(namespace)) return summary.namespaces.get(namespace) ?? []
    const singles = extentOf(table, scope).singles.filter((row) => row.namespace === namespace)
    return singles.length > 0 ? [summaryOf(singles)] : []
  })
}
