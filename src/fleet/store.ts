/**
 * The store of one table: rows in key order, their indexes and their counters, all changed together by
 * one step of the feed. Invariant: between two calls of `apply` every index, every counter and the sorted
 * rows tell the same content. A relist grows a second content aside, row by row, so that swapping it in is
 * no pause; what it does not change keeps its row, and only its differences are announced. Knows no
 * socket, no feed and no viewer.
 *
 * Which kind has which index stands in `indexes.ts`; `byOwner` and `byLabels` are there for every kind, `getByUid`
 * builds its map when it is first asked for.
 */
import type { Kind, LabelSelector, Row, Rows } from '../kubernetes/rows.ts'
import { isEmptySelector } from '../kubernetes/label-selector.ts'
import { compareResourceVersions } from '../kubernetes/resource-version.ts'
import type { Clock } from './clock.ts'
import type { FeedProblem, Progress, Step } from './feed.ts'
import { indexesOf, ownerValues } from './indexes.ts'
import { LabelIndex } from './label-index.ts'
import { RowIndex } from './row-index.ts'
import { ArrayRows, ChunkedRows, compareRows, NamespaceRows, NO_ROWS } from './sorted-rows.ts'
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

type StepOf<T extends Step['type']> = Extract<Step, { readonly type: T }>

/** Rows that are copied again after each change of one of them. */
const SMALL_NAMESPACE = 256

/** Rows with everything that is looked up in them. */
class Content<K extends Kind> {
  readonly rows = new ChunkedRows<Rows[K]>()
  readonly summary = new SummaryCounter()
  readonly owners = new RowIndex<Rows[K]>(ownerValues)
  readonly labels = new LabelIndex<Rows[K]>()
  readonly indexes: ReadonlyMap<IndexName, RowIndex<Rows[K]>>
  #uids: Map<string, Rows[K]> | undefined
  /** Of small namespaces that somebody asked for, until one of their rows changes. */
  readonly #namespaces = new Map<string, SortedRows<Rows[K]>>()

  constructor(kind: K) {
    this.indexes = new Map(indexesOf(kind).map(([name, values]) => [name, new RowIndex(values)]))
  }

  /** Adds the row, or puts it in the place of the one with its key, which is returned. */
  set(row: Rows[K]): Rows[K] | undefined {
    const previous = this.rows.set(row)
    this.#changed(previous, row)
    return previous
  }

  delete(row: Rows[K]): void {
    this.#changed(this.rows.delete(row.namespace, row.name), undefined)
  }

  byUid(uid: string): Rows[K] | undefined {
    if (!this.#uids) {
      this.#uids = new Map()
      for (const row of this.rows.all()) this.#uids.set(row.uid, row)
    }
    return this.#uids.get(uid)
  }

  /**
   * Whoever may see hundreds of namespaces reads all of them for each page: seeking each in all rows would touch
   * ten times as many, at random places of memory.
   */
  inNamespace(namespace: string): SortedRows<Rows[K]> {
    const known = this.#namespaces.get(namespace)
    if (known) return known
    const size = this.summary.count(namespace)
    if (size === 0) return NO_ROWS
    const view = new NamespaceRows(this.rows, namespace, size)
    if (size > SMALL_NAMESPACE) return view
    const rows = new ArrayRows(Array.from(view.all()))
    this.#namespaces.set(namespace, rows)
    return rows
  }

  #changed(previous: Rows[K] | undefined, row: Rows[K] | undefined): void {
    // Both have the same key.
    const { namespace } = (row ?? previous)!
    this.#namespaces.delete(namespace)
    this.summary.change(previous, row)
    this.owners.change(previous, row)
    this.labels.change(previous, row)
    for (const index of this.indexes.values()) index.change(previous, row)
    if (this.#uids) {
      if (previous && previous.uid !== row?.uid) this.#uids.delete(previous.uid)
      if (row) this.#uids.set(row.uid, row)
    }
  }
}

class Table<K extends Kind> implements TableReader<K>, TableWriter<K> {
  readonly kind: K
  readonly cluster: string
  readonly #clock: Pick<Clock, 'now'>
  #content: Content<K>
  /** Of a list, or of a stream of the initial state, that is not complete yet. */
  #incoming: Content<K> | undefined
  #revision = 0
  #whole = true
  #status: TableStatus
  readonly #listeners = new Set<(change: Change<K>) => void>()
  readonly #statusListeners = new Set<(status: TableStatus, previous: TableStatus) => void>()
  readonly #relistListeners = new Set<(from: string, to: string) => void>()
  readonly #progressListeners = new Set<() => void>()

  constructor(kind: K, cluster: string, clock: Pick<Clock, 'now'>) {
    this.kind = kind
    this.cluster = cluster
    this.#clock = clock
    this.#content = new Content(kind)
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

  get whole(): boolean {
    return this.#whole
  }

  get size(): number {
    return this.#content.rows.size
  }

  get summary(): TableSummary {
    return this.#content.summary
  }

  get(namespace: string, name: string): Rows[K] | undefined {
    return this.#content.rows.get(namespace, name)
  }

  getByUid(uid: string): Rows[K] | undefined {
    return this.#content.byUid(uid)
  }

  rows(namespace?: string): SortedRows<Rows[K]> {
    return namespace === undefined ? this.#content.rows : this.#content.inNamespace(namespace)
  }

  byOwner(uid: string): SortedRows<Rows[K]> {
    return this.#content.owners.rows(uid)
  }

  byIndex(index: IndexName, value: string): SortedRows<Rows[K]> {
    return this.#content.indexes.get(index)?.rows(value) ?? NO_ROWS
  }

  byLabels(selector: LabelSelector, namespace?: string): SortedRows<Rows[K]> {
    if (isEmptySelector(selector)) return this.rows(namespace)
    const rows = this.#content.labels.rows(selector)
    return namespace === undefined ? rows : new NamespaceRows(rows, namespace)
  }

  labelCost(selector: LabelSelector): number {
    return this.#content.labels.cost(selector)
  }

  onChange(listener: (change: Change<K>) => void): () => void {
    // A wrapper of its own: one function may listen twice, and each ends for itself.
    const own = (change: Change<K>) => listener(change)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  onStatus(listener: (status: TableStatus, previous: TableStatus) => void): () => void {
    const own = (status: TableStatus, previous: TableStatus) => listener(status, previous)
    this.#statusListeners.add(own)
    return () => this.#statusListeners.delete(own)
  }

  onRelist(listener: (from: string, to: string) => void): () => void {
    const own = (from: string, to: string) => listener(from, to)
    this.#relistListeners.add(own)
    return () => this.#relistListeners.delete(own)
  }

  onProgress(listener: () => void): () => void {
    const own = () => listener()
    this.#progressListeners.add(own)
    return () => this.#progressListeners.delete(own)
  }

  apply(step: Step<K>): void {
    const { resourceVersion } = this.#status
    this.#take(step)
    if (this.#status.resourceVersion === resourceVersion) return
    for (const listener of this.#progressListeners) listener()
  }

  #take(step: Step<K>): void {
    switch (step.type) {
      case 'Init':
        this.#incoming = new Content(this.kind)
        return
      case 'InitApply':
        if (!this.#incoming) throw new FeedGrammarError(this.kind, step.type)
        this.#incoming.set(this.#known(step.row) ?? step.row)
        return
      case 'InitDone':
        if (!this.#incoming) throw new FeedGrammarError(this.kind, step.type)
        this.#swap(this.#incoming, step)
        return
      case 'Cancel':
        this.#incoming = undefined
        return
      case 'Apply':
        this.#progress(step)
        if (!this.#isOld(step.row)) this.#announce(this.#content.set(step.row), step.row, progressOf(step))
        return
      case 'Delete':
        this.#progress(step)
        this.#remove(step.row, progressOf(step))
        return
      case 'Relist':
        if (this.#synced) this.#relisted(step.from, step.to)
        return
      case 'Bookmark':
        this.#reach(step.resourceVersion)
        return
      case 'Down':
        this.#down(step.problem)
        return
      case 'Up':
        this.#become(this.#synced ? 'CURRENT' : 'SYNCING', null)()
        return
      default:
        step satisfies never
    }
  }

  /** The visible row that this one does not change. */
  #known(row: Rows[K]): Rows[K] | undefined {
    const known = this.get(row.namespace, row.name)
    return known && known.uid === row.uid && known.resourceVersion === row.resourceVersion ? known : undefined
  }

  /** Whether the visible row is this one, or a later state of the object. */
  #isOld(row: Rows[K]): boolean {
    const known = this.get(row.namespace, row.name)
    if (known?.uid !== row.uid) return false
    // A watch that goes on from before the changes of a relist that was told in part tells some of them again.
    return (compareResourceVersions(row.resourceVersion, known.resourceVersion) ?? 1) <= 0
  }

  #remove(row: Rows[K], progress: Required<Progress>): void {
    const previous = this.get(row.namespace, row.name)
    // A late delete of an object that was made anew since: the new one stays.
    if (!previous || previous.uid !== row.uid) return
    this.#content.delete(previous)
    this.#revision++
    this.#emit({ type: 'DELETED', row, previous, ...progress })
  }

  #swap(incoming: Content<K>, { resourceVersion, partial, stale }: StepOf<'InitDone'>): void {
    const before = this.#content
    const first = !this.#synced
    this.#content = incoming
    this.#incoming = undefined
    const told = stale ? this.#become('STALE', stale.problem, stale.asOf) : this.#become('CURRENT', null)
    this.#whole = partial !== true
    // Of the first content there is nobody who could have known less.
    if (!first) {
      this.#relisted(this.#status.resourceVersion ?? '', resourceVersion)
      this.#tell(before, incoming, resourceVersion)
    }
    this.#reach(resourceVersion)
    this.#whole = partial !== true
    told()
  }

  #relisted(from: string, to: string): void {
    for (const listener of this.#relistListeners) listener(from, to)
  }

  /** The differences; the last of them completes the resourceVersion. */
  #tell(before: Content<K>, after: Content<K>, resourceVersion: string): void {
    let waiting: readonly [Rows[K] | undefined, Rows[K] | undefined] | undefined
    const tell = (partial: boolean) => {
      const [previous, row] = waiting!
      if (row) return this.#announce(previous, row, { resourceVersion, partial })
      this.#revision++
      this.#emit({ type: 'DELETED', row: previous!, previous: previous!, resourceVersion, partial })
    }
    for (const difference of differences(before.rows, after.rows)) {
      if (waiting) tell(true)
      waiting = difference
    }
    if (!waiting) return
    this.#reach(resourceVersion)
    tell(false)
  }

  #announce(previous: Rows[K] | undefined, row: Rows[K], progress: Required<Progress>): void {
    this.#revision++
    if (previous && previous.uid === row.uid) {
      this.#emit({ type: 'MODIFIED', row, previous, ...progress })
      return
    }
    // Deleted and made anew between two events: two objects, so two changes.
    if (previous) this.#emit({ type: 'DELETED', row: previous, previous, ...progress, partial: true })
    this.#emit({ type: 'ADDED', row, previous: null, ...progress })
  }

  #progress(step: Progress & { readonly row: Rows[K] }): void {
    const { resourceVersion, partial } = progressOf(step)
    if (partial) this.#whole = false
    else this.#reach(resourceVersion)
  }

  #reach(resourceVersion: string): void {
    this.#whole = true
    this.#status = { ...this.#status, resourceVersion }
  }

  #down(problem: FeedProblem): void {
    // What follows begins with an Init; until then, perhaps for days, half a list would lie in memory.
    this.#incoming = undefined
    this.#become(this.#synced ? 'STALE' : 'FAILED', problem)()
  }

  /** Returns what tells the listeners of it. `completeAt`: if it is not what this table has seen itself. */
  #become(state: TableStatus['state'], problem: FeedProblem | null, completeAt?: number): () => void {
    const previous = this.#status
    const { state: before, since, asOf, problem: known, resourceVersion } = previous
    const now = this.#clock.now()
    this.#status = {
      state,
      since: state === before ? since : now,
      asOf: completeAt ?? (state === 'CURRENT' || before === 'CURRENT' ? now : asOf),
      problem,
      resourceVersion,
    }
    const sameProblem = problem?.code === known?.code && problem?.message === known?.message
    if (state === before && sameProblem) return () => {}
    this.#revision++
    return () => {
      for (const listener of this.#statusListeners) listener(this.status, previous)
    }
  }

  /** Whether there has ever been a complete content. */
  get #synced(): boolean {
    return this.#status.asOf !== null
  }

  #emit(change: Change<K>): void {
    for (const listener of this.#listeners) listener(change)
  }
}

function progressOf({ row, resourceVersion, partial }: Progress & { readonly row: Row }): Required<Progress> {
  return { resourceVersion: resourceVersion ?? row.resourceVersion, partial: partial ?? false }
}

/** Of two contents, in key order: `[before, after]` of each key whose row is not the same. */
function* differences<R extends Row>(
  before: ChunkedRows<R>,
  after: ChunkedRows<R>,
): Iterable<readonly [R | undefined, R | undefined]> {
  const olds = before.all()[Symbol.iterator]()
  let old = olds.next()
  for (const row of after.all()) {
    while (!old.done && compareRows(old.value, row) < 0) {
      yield [old.value, undefined]
      old = olds.next()
    }
    if (!old.done && compareRows(old.value, row) === 0) {
      if (old.value !== row) yield [old.value, row]
      old = olds.next()
    } else {
      yield [undefined, row]
    }
  }
  for (; !old.done; old = olds.next()) yield [old.value, undefined]
}

/** A feed yielded a step that its grammar does not allow here: a bug of the feed. */
export class FeedGrammarError extends Error {
  override readonly name = 'FeedGrammarError'
  readonly code = 'FEED_GRAMMAR'

  constructor(kind: Kind, step: Step['type']) {
    super(`The feed of ${kind} objects yielded ${step} without an Init before it (see fleet/feed.ts).`)
  }
}
