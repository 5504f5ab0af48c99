/**
 * The rows of one table that a selection means and a viewer may see, in key order: which index they are
 * read from, and what is left to test. The narrowest index is read; namespaces and name prefixes are
 * ranges of whichever it is, since all are in key order; only what no index says is tested row by row.
 */
import { isEmptySelector, matchesLabels } from '../kubernetes/label-selector.ts'
import type { LabelSelector, LabelSet, Row } from '../kubernetes/rows.ts'
import { acceptedValues, standsUnder } from './indexes.ts'
import { allows, type Extent, extentOf, SEEK_COST } from './scope.ts'
import type { IndexCondition, ScopedTable, Selection } from './selection.ts'
import { ArrayRows, compareRows, MergedRows, mergeSorted, NO_ROWS } from './sorted-rows.ts'
import type { SortedRows, TableReader } from './table.ts'

/** A key to start at, itself included. */
export interface Key {
  readonly namespace: string
  readonly name: string
}

/** How many rows may be tested; where that was too few, the last one that was is noted. */
export interface Visits<R extends Row> {
  left: number
  stoppedAt: R | undefined
}

type Test<R extends Row> = (row: R) => boolean

/** What of a selection an index answers. */
type Part = 'all' | 'owner' | 'index' | 'labels' | 'names'

/** Label sets that are tried for a piece. */
const MAX_SETS = 512

/** No name comes after it: names are of ASCII. */
const LAST = '\uffff'

export class Matches<R extends Row> {
  readonly #table: TableReader<R['kind']>
  /** What is read, and which part of the selection that answers. */
  readonly #base: SortedRows<R>
  readonly #part: Part
  /** Ranges of the base, in order; `undefined`: all of it. */
  readonly #namespaces: readonly string[] | undefined
  /** Within those ranges, or the whole table. `''`: none. */
  readonly #prefix: string
  /** What the base and the ranges do not say already. */
  readonly #residual: Test<R> | undefined
  /** Single objects that the viewer may see outside of their namespaces, in key order, tested already. */
  readonly #singles: readonly R[]

  /** `inPieces`: it is made for a few rows, again and again: no index is asked for that costs more than these. */
  constructor({ table, scope }: ScopedTable<R>, selection: Selection<R>, inPieces = false) {
    this.#table = table
    const extent = scope === 'all' ? undefined : extentOf<R>(table, scope)
    const namespaces = namespacesOf({ table, scope }, extent, selection)
    const { base, part } = narrowest(table, selection, namespaces, inPieces)
    this.#base = base
    this.#part = part
    // Most tables of a fleet have nothing on one node: they must cost next to nothing.
    const tests = base.size === 0 ? [] : testsOf(selection, part)
    const prefix = selection.namePrefix ?? ''
    // Fewer rows than ranges: looking at each row is cheaper than seeking each namespace.
    const seek = namespaces !== undefined && namespaces.length * SEEK_COST <= base.size
    this.#namespaces = seek ? namespaces : undefined
    if (!seek && selection.namespaces) {
      const among = new Set(selection.namespaces)
      tests.push((row) => among.has(row.namespace))
    }
    if (!seek && scope !== 'all') tests.push((row) => allows(scope, row))
    const ranged = seek || (part === 'all' && !namespaces)
    this.#prefix = ranged ? prefix : ''
    if (prefix !== '' && !ranged) tests.push((row) => row.name.startsWith(prefix))
    this.#residual = every(tests)
    // What was sought by namespace lacks them; what was tested row by row has them.
    this.#singles = extent && (seek || part === 'names') ? singlesOf(extent, selection) : NONE
  }

  /** Nothing to look at; what is left to test may still leave nothing where this says no. */
  get isEmpty(): boolean {
    return this.#base.size === 0 && this.#singles.length === 0
  }

  /**
   * In key order from the key on, itself included; all of them without one. With `visits` it may end early:
   * what comes after `stoppedAt` is not all of it then.
   */
  from(key: Key | undefined, descending: boolean, visits?: Visits<R>): Iterable<R> {
    const ranged = this.#ranged(key, descending, visits)
    if (this.#singles.length === 0) return ranged
    const singles = new ArrayRows(this.#singles)
    return mergeSorted(
      [ranged, key ? singles.from(key.namespace, key.name, descending) : singles.all(descending)],
      descending ? (a, b) => compareRows(b, a) : compareRows,
    )
  }

  /** Costs nothing where counters or the size of an index say it. */
  get size(): number {
    let size = this.#singles.length
    if (!this.#residual && this.#prefix === '') {
      if (!this.#namespaces) return size + this.#base.size
      if (this.#part === 'all') return size + rowsIn(this.#table, this.#namespaces)
    }
    const rows = this.#ranged(undefined, false)[Symbol.iterator]()
    while (!rows.next().done) size++
    return size
  }

  #ranged(key: Key | undefined, descending: boolean, visits?: Visits<R>): Iterable<R> {
    const rows = this.#inRanges(key, descending)
    return this.#residual ? filter(rows, this.#residual, visits) : rows
  }

  #inRanges(key: Key | undefined, descending: boolean): Iterable<R> {
    if (this.#namespaces) {
      return this.#part === 'all' && this.#prefix === ''
        ? this.#together(this.#namespaces, key, descending)
        : this.#seek(this.#namespaces, key, descending)
    }
    if (this.#prefix !== '') return this.#skip(key, descending)
    return key ? this.#base.from(key.namespace, key.name, descending) : this.#base.all(descending)
  }

  /** The given namespaces, each of which the table has at hand. */
  *#together(namespaces: readonly string[], key: Key | undefined, descending: boolean): Iterable<R> {
    for (const namespace of descending ? namespaces.toReversed() : namespaces) {
      if (key && namespace !== key.namespace && descending === namespace > key.namespace) continue
      const rows = this.#table.rows(namespace) as SortedRows as SortedRows<R>
      if (key?.namespace === namespace) yield* rows.from(namespace, key.name, descending)
      else if (rows instanceof ArrayRows && !descending) {
        const all = (rows as ArrayRows<R>).rows
        // Not `yield*`: delegating to an array's iterator doubles the cost of a row.
        for (let i = 0; i < all.length; i++) yield all[i]!
      } else yield* rows.all(descending)
    }
  }

  /** The given namespaces of the base, one after the other. */
  *#seek(namespaces: readonly string[], key: Key | undefined, descending: boolean): Iterable<R> {
    for (const namespace of descending ? namespaces.toReversed() : namespaces) {
      if (key && namespace !== key.namespace && descending === namespace > key.namespace) continue
      yield* this.#namespace(namespace, key, descending)
    }
  }

  /** The prefix in each namespace that the base has, found by seeking from one to the next. */
  *#skip(key: Key | undefined, descending: boolean): Iterable<R> {
    let rest = key ? this.#base.from(key.namespace, key.name, descending) : this.#base.all(descending)
    for (;;) {
      const [first] = Iterator.from(rest).take(1)
      if (!first) return
      const { namespace } = first
      yield* this.#namespace(namespace, key, descending)
      rest = descending
        ? this.#base.from(namespace, '', true)
        : this.#base.from(`${namespace}\u0000`, '', false)
    }
  }

  /** The prefix in one namespace, from the key on if it lies there. */
  *#namespace(namespace: string, key: Key | undefined, descending: boolean): Iterable<R> {
    const prefix = this.#prefix
    let start = descending ? prefix + LAST : prefix
    if (key?.namespace === namespace && key.name < start === descending) start = key.name
    for (const row of this.#base.from(namespace, start, descending)) {
      if (row.namespace !== namespace) return
      if (!row.name.startsWith(prefix)) return
      yield row
    }
  }
}

function* filter<R extends Row>(rows: Iterable<R>, test: Test<R>, visits?: Visits<R>): Iterable<R> {
  for (const row of rows) {
    if (test(row)) yield row
    if (visits && --visits.left <= 0) {
      visits.stoppedAt = row
      return
    }
  }
}

/** Namespaces that both the selection and the scope leave and that have rows, in order; `undefined`: all. */
function namespacesOf<R extends Row>(
  { table, scope }: ScopedTable<R>,
  extent: Extent | undefined,
  selection: Selection<R>,
): readonly string[] | undefined {
  if (!selection.namespaces) return extent?.namespaces
  const asked = new Set(selection.namespaces)
  const { namespaces: present } = table.summary
  const isLeft = (name: string) => present.has(name) && (scope === 'all' || scope.namespaces.has(name))
  // From the smaller of the two, since one table may have thousands, and one question too.
  if (asked.size <= present.size) return Array.from(asked).filter(isLeft).sort()
  const left = extent?.namespaces ?? Array.from(present.keys()).sort()
  return left.filter((name) => asked.has(name))
}

/** The index with the fewest rows. */
function narrowest<R extends Row>(
  table: TableReader<R['kind']>,
  selection: Selection<R>,
  namespaces: readonly string[] | undefined,
  inPieces: boolean,
): { readonly base: SortedRows<R>; readonly part: Part } {
  const { ownerUid, index, labels, names } = selection
  let part: Part = 'all'
  let base = table.rows() as SortedRows as SortedRows<R>
  let least: number | undefined
  const size = () => (least ??= namespaces ? rowsIn(table, namespaces) : base.size)
  const offer = (candidate: SortedRows, answers: Part) => {
    if (candidate.size > size()) return
    base = candidate as SortedRows<R>
    part = answers
    least = candidate.size
  }
  if (ownerUid !== undefined) offer(table.byOwner(ownerUid), 'owner')
  if (index) offer(indexed(table, index), 'index')
  if (labels && !isEmptySelector(labels) && !(inPieces && table.labelCost(labels) > MAX_SETS)) {
    offer(table.byLabels(labels), 'labels')
  }
  if (names) {
    const places = namespaces ?? Array.from(table.summary.namespaces.keys())
    if (places.length * names.length <= size()) offer(named(table, places, new Set(names)), 'names')
  }
  return { base, part }
}

/** Rows of these namespaces together. */
function rowsIn(table: Pick<TableReader, 'summary'>, namespaces: readonly string[]): number {
  const counters = table.summary.namespaces
  return namespaces.reduce((sum, name) => sum + (counters.get(name)?.count ?? 0), 0)
}

function indexed<R extends Row>(table: TableReader<R['kind']>, condition: IndexCondition): SortedRows {
  const parts = acceptedValues(condition)
    .map((value): SortedRows => table.byIndex(condition.name, value))
    .filter((rows) => rows.size > 0)
  return parts.length === 1 ? parts[0]! : parts.length === 0 ? NO_ROWS : new MergedRows(parts)
}

function named<R extends Row>(
  table: TableReader<R['kind']>,
  namespaces: readonly string[],
  names: ReadonlySet<string>,
): SortedRows {
  const rows: Row[] = []
  for (const namespace of namespaces) {
    for (const name of names) {
      const row = table.get(namespace, name)
      if (row) rows.push(row)
    }
  }
  return new ArrayRows(rows.sort(compareRows))
}

/** What the part does not answer; places (namespaces and the prefix) aside. */
function testsOf<R extends Row>(selection: Selection<R>, part: Part | undefined): Test<R>[] {
  const { ownerUid, index, labels, names, where } = selection
  const tests: Test<R>[] = []
  if (ownerUid !== undefined && part !== 'owner') tests.push((row) => row.owner?.uid === ownerUid)
  if (index && part !== 'index') {
    const accepted = acceptedValues(index)
    tests.push((row) => standsUnder(row, index.name, accepted))
  }
  if (labels && part !== 'labels' && !isEmptySelector(labels)) tests.push(labelTest(labels))
  if (names && part !== 'names') {
    const among = new Set(names)
    tests.push((row) => among.has(row.name))
  }
  if (where) tests.push(where)
  return tests
}

/**
 * The whole selection, scope aside, as a test of one row: for changes, which come one by one. `undefined`:
 * every row passes. May be kept for as long as wanted.
 */
export function rowTest<R extends Row>(selection: Selection<R>): Test<R> | undefined {
  const { namespaces, namePrefix = '', labels, ...rest } = selection
  const tests: Test<R>[] = []
  if (namespaces) {
    const among = new Set(namespaces)
    tests.push((row) => among.has(row.namespace))
  }
  if (namePrefix !== '') tests.push((row) => row.name.startsWith(namePrefix))
  // Label sets come and go; whoever follows them for days must not keep them.
  if (labels && !isEmptySelector(labels)) tests.push(labelTest(labels, new WeakMap()))
  tests.push(...testsOf(rest, undefined))
  return every(tests)
}

/** Tries each distinct label set once. */
function labelTest<R extends Row>(
  selector: LabelSelector,
  known: Map<LabelSet, boolean> | WeakMap<LabelSet, boolean> = new Map(),
): Test<R> {
  return (row) => {
    let matches = known.get(row.labels)
    if (matches === undefined) {
      matches = matchesLabels(selector, row.labels)
      known.set(row.labels, matches)
    }
    return matches
  }
}

function every<R extends Row>(tests: readonly Test<R>[]): Test<R> | undefined {
  return tests.length <= 1 ? tests[0] : (row) => tests.every((test) => test(row))
}

/** The scope's single objects that the selection means, in key order. */
function singlesOf<R extends Row>({ singles }: Extent<R>, selection: Selection<R>): readonly R[] {
  if (singles.length === 0) return NONE
  const { namespaces, namePrefix = '' } = selection
  const tests = testsOf(selection, undefined)
  if (namePrefix !== '') tests.push((row) => row.name.startsWith(namePrefix))
  if (namespaces) tests.push((row) => namespaces.includes(row.namespace))
  const test = every(tests)
  return test ? singles.filter(test) : singles
}

const NONE: readonly never[] = Object.freeze([])
