/**
 * The store of one table: rows in key order, their indexes and their counters, all changed together by
 * one step of the feed. Invariant: between two calls of `apply` every index, every counter and the sorted
 * rows tell the same content. A relist is collected aside and swapped in at once; what it does not change
 * keeps its row, and only its differences are announced. Knows no socket, no feed and no viewer.
 *
 * Which kind has which index stands in `indexes.ts`; `byOwner` and `byLabels` are there for every kind, `getByUid`
 * builds its map when it is first asked for.
 */
import type { Kind, LabelSelector, Row, Rows } from '../kubernetes/rows.ts'
import { isEmptySelector } from '../kubernetes/label-selector.ts'
import type { Clock } from './clock.ts'
import type { FeedProblem, Step } from './feed.ts'
import { indexesOf, ownerValues } from './indexes.ts'
import { LabelIndex } from './label-index.ts'
import { RowIndex } from './row-index.ts'
import { ChunkedRows, compareRows, NamespaceRows, NO_ROWS } from './sorted-rows.ts'
import { SummaryCounter, type TableSummary } from './summary.ts'
import type { Change, IndexName, SortedRows, TableReader, TableStatus, TableWriter } from './table.ts'

/** An empty table. `clock` tells the times of its status. */
export function createTable<K extends Kind>(
  kind: K,
  cluster: string,
  clock: Pick<Clock, 'now'>,
): TableReader<K> & TableWriter<K> {
  return new Table(kind, cluster, clock)
}

class Table<K extends Kind> implements TableReader<K>, TableWriter<K> {
  readonly kind: K
  readonly cluster: string
  readonly #clock: Pick<Clock, 'now'>
  #rows = new ChunkedRows<Rows[K]>()
  readonly #owners = new RowIndex<Rows[K]>(ownerValues)
  readonly #labels = new LabelIndex<Rows[K]>()
  readonly #indexes = new Map<IndexName, RowIndex<Rows[K]>>()
  #uids: Map<string, Rows[K]> | undefined
  #summary = new SummaryCounter()
  #revision = 0
  #status: TableStatus
  /** The content of a list or stream of initial state that is not complete yet, in order of arrival. */
  #incoming: Rows[K][] | undefined
  readonly #listeners = new Set<(change: Change<K>) => void>()

  constructor(kind: K, cluster: string, clock: Pick<Clock, 'now'>) {
    this.kind = kind
    this.cluster = cluster
    this.#clock = clock
    for (const [name, values] of indexesOf(kind)) this.#indexes.set(name, new RowIndex(values))
    this.#status = {
      state: 'SYNCING',
      since: clock.now(),
      asOf: null,
      problem: null,
      resourceVersion: null,
    }
  }

  get revision(): number {
    return this.#revision
  }

  get status(): TableStatus {
    const status = this.#status
    // Current means: as of this moment.
    return status.state === 'CURRENT' ? { ...status, asOf: this.#clock.now() } : status
  }

  get size(): number {
    return this.#rows.size
  }

  get summary(): TableSummary {
    return this.#summary
  }

  get(namespace: string, name: string): Rows[K] | undefined {
    return this.#rows.get(namespace, name)
  }

  getByUid(uid: string): Rows[K] | undefined {
    if (!this.#uids) {
      this.#uids = new Map()
      for (const row of this.#rows.all()) this.#uids.set(row.uid, row)
    }
    return this.#uids.get(uid)
  }

  rows(namespace?: string): SortedRows<Rows[K]> {
    if (namespace === undefined) return this.#rows
    return new NamespaceRows(this.#rows, namespace, this.#summary.count(namespace))
  }

  byOwner(uid: string): SortedRows<Rows[K]> {
    return this.#owners.rows(uid)
  }

  byIndex(index: IndexName, value: string): SortedRows<Rows[K]> {
    return this.#indexes.get(index)?.rows(value) ?? NO_ROWS
  }

  byLabels(selector: LabelSelector, namespace?: string): SortedRows<Rows[K]> {
    if (isEmptySelector(selector)) return this.rows(namespace)
    const rows = this.#labels.rows(selector)
    return namespace === undefined ? rows : new NamespaceRows(rows, namespace)
  }

  onChange(listener: (change: Change<K>) => void): () => void {
    // A wrapper of its own: one function may listen twice, and each ends for itself.
    const own = (change: Change<K>) => listener(change)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  apply(step: Step<K>): void {
    switch (step.type) {
      case 'Init':
        this.#incoming = []
        return
      case 'InitApply':
        if (!this.#incoming) throw new FeedGrammarError(this.kind, step.type)
        this.#incoming.push(step.row)
        return
      case 'InitDone':
        if (!this.#incoming) throw new FeedGrammarError(this.kind, step.type)
        this.#swap(this.#incoming, step.resourceVersion)
        return
      case 'Apply':
        this.#current(step.row.resourceVersion)
        this.#upsert(step.row)
        return
      case 'Delete':
        this.#current(step.row.resourceVersion)
        this.#remove(step.row)
        return
      case 'Bookmark':
        this.#current(step.resourceVersion)
        return
      case 'Down':
        this.#down(step.problem)
        return
      case 'Up':
        this.#up()
        return
      default:
        step satisfies never
    }
  }

  #upsert(row: Rows[K]): void {
    const previous = this.#rows.get(row.namespace, row.name)
    if (previous && previous.resourceVersion === row.resourceVersion && previous.uid === row.uid) return
    this.#rows.set(row)
    this.#reindex(previous, row)
    this.#revision++
    if (previous && previous.uid !== row.uid) {
      // Deleted and made anew between two events: two objects, so two changes.
      this.#emit({ type: 'DELETED', row: previous, previous })
      this.#emit({ type: 'ADDED', row, previous: null })
    } else {
      this.#emit({ type: previous ? 'MODIFIED' : 'ADDED', row, previous: previous ?? null })
    }
  }

  #remove(row: Rows[K]): void {
    const previous = this.#rows.get(row.namespace, row.name)
    // A delete of an object that was made anew since: the new one stays.
    if (!previous || previous.uid !== row.uid) return
    this.#rows.delete(row.namespace, row.name)
    this.#reindex(previous, undefined)
    this.#revision++
    this.#emit({ type: 'DELETED', row, previous })
  }

  /** Replaces the content at once, then tells the differences. */
  #swap(incoming: Rows[K][], resourceVersion: string): void {
    this.#incoming = undefined
    const before = this.#rows
    const sorted = this.#merge(incoming)
    const changes = this.#differences(before, sorted)
    this.#rows = ChunkedRows.of(sorted)
    if (changes.length > REBUILD_SHARE * sorted.length) this.#rebuild()
    else for (const { previous, row } of changes) this.#reindex(previous, row)
    const now = this.#clock.now()
    const { state, since } = this.#status
    this.#status = {
      state: 'CURRENT',
      since: state === 'CURRENT' ? since : now,
      asOf: now,
      problem: null,
      resourceVersion,
    }
    if (changes.length > 0 || state !== 'CURRENT') this.#revision++
    for (const { previous, row } of changes) {
      const recreated = previous && row && previous.uid !== row.uid
      if (previous && (!row || recreated)) this.#emit({ type: 'DELETED', row: previous, previous })
      if (row && (!previous || recreated)) this.#emit({ type: 'ADDED', row, previous: null })
      else if (row && previous) this.#emit({ type: 'MODIFIED', row, previous })
    }
  }

  /** In key order, the last of equal keys, and the known row in place of one that did not change. */
  #merge(incoming: Rows[K][]): Rows[K][] {
    let inOrder = true
    for (let i = 1; i < incoming.length && inOrder; i++) {
      inOrder = compareRows(incoming[i - 1]!, incoming[i]!) < 0
    }
    // The sort is stable: of two rows with one key, the later to arrive stays behind.
    if (!inOrder) incoming.sort(compareRows)
    const sorted: Rows[K][] = []
    for (const row of incoming) {
      const last = sorted.at(-1)
      const known = this.#rows.get(row.namespace, row.name)
      const same = known && known.uid === row.uid && known.resourceVersion === row.resourceVersion
      if (last && compareRows(last, row) === 0) sorted.pop()
      sorted.push(same ? known : row)
    }
    return sorted
  }

  #differences(before: ChunkedRows<Rows[K]>, sorted: readonly Rows[K][]): Difference<Rows[K]>[] {
    const differences: Difference<Rows[K]>[] = []
    const olds = before.all()[Symbol.iterator]()
    let old = olds.next()
    for (const row of sorted) {
      while (!old.done && compareRows(old.value, row) < 0) {
        differences.push({ previous: old.value, row: undefined })
        old = olds.next()
      }
      if (!old.done && compareRows(old.value, row) === 0) {
        if (old.value !== row) differences.push({ previous: old.value, row })
        old = olds.next()
      } else {
        differences.push({ previous: undefined, row })
      }
    }
    for (; !old.done; old = olds.next()) differences.push({ previous: old.value, row: undefined })
    return differences
  }

  #reindex(previous: Rows[K] | undefined, row: Rows[K] | undefined): void {
    this.#summary.change(previous, row)
    this.#owners.change(previous, row)
    this.#labels.change(previous, row)
    for (const index of this.#indexes.values()) index.change(previous, row)
    if (this.#uids) {
      if (previous && previous.uid !== row?.uid) this.#uids.delete(previous.uid)
      if (row) this.#uids.set(row.uid, row)
    }
  }

  #rebuild(): void {
    this.#summary = new SummaryCounter()
    for (const row of this.#rows.all()) this.#summary.change(undefined, row)
    this.#owners.rebuild(this.#rows.all())
    this.#labels.rebuild(this.#rows.all())
    for (const index of this.#indexes.values()) index.rebuild(this.#rows.all())
    this.#uids = undefined
  }

  #current(resourceVersion: string): void {
    this.#status = { ...this.#status, resourceVersion }
  }

  #down(problem: FeedProblem): void {
    const { state, since, asOf } = this.#status
    const now = this.#clock.now()
    const next = this.#synced ? 'STALE' : 'FAILED'
    this.#status = {
      ...this.#status,
      state: next,
      since: state === next ? since : now,
      asOf: state === 'CURRENT' ? now : asOf,
      problem,
    }
    if (state !== next) this.#revision++
  }

  #up(): void {
    const { state, since } = this.#status
    const next = this.#synced ? 'CURRENT' : 'SYNCING'
    const now = this.#clock.now()
    this.#status = { ...this.#status, state: next, since: state === next ? since : now, problem: null }
    if (state !== next) this.#revision++
  }

  /** Whether there has ever been a complete content. */
  get #synced(): boolean {
    return this.#status.asOf !== null
  }

  #emit(change: Change<K>): void {
    for (const listener of this.#listeners) listener(change)
  }
}

/** From this share of changed rows on, building the indexes anew is cheaper than changing them. */
const REBUILD_SHARE = 0.5

interface Difference<R extends Row> {
  readonly previous: R | undefined
  readonly row: R | undefined
}

/** A feed yielded a step that its grammar does not allow here: a bug of the feed. */
export class FeedGrammarError extends Error {
  override readonly name = 'FeedGrammarError'
  readonly code = 'FEED_GRAMMAR'

  constructor(kind: Kind, step: Step['type']) {
    super(`The feed of ${kind} objects yielded ${step} without an Init before it (see fleet/feed.ts).`)
  }
}
