/**
 * Rows in key order (namespace, then name, by UTF-16 code unit) and the views of them: a whole list, one
 * namespace of it, a bucket of an index, several merged. A view costs what is read of it. Nothing here
 * guards against changes while iterating: a view is consumed before the event loop turns.
 */
import type { Row } from '../kubernetes/rows.ts'
import type { SortedRows } from './table.ts'

/** Negative: the first key is smaller. */
function compareKeys(namespaceA: string, nameA: string, namespaceB: string, nameB: string): number {
  if (namespaceA !== namespaceB) return namespaceA < namespaceB ? -1 : 1
  return nameA === nameB ? 0 : nameA < nameB ? -1 : 1
}

export function compareRows(a: Row, b: Row): number {
  return compareKeys(a.namespace, a.name, b.namespace, b.name)
}

/** The first index of a sorted array whose row is not before the key. */
export function lowerBound(rows: readonly Row[], namespace: string, name: string): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const row = rows[middle]!
    if (compareKeys(row.namespace, row.name, namespace, name) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** Whether a sorted array has exactly this key at this index. */
export function isAt(rows: readonly Row[], index: number, namespace: string, name: string): boolean {
  const row = rows[index]
  return row !== undefined && row.name === name && row.namespace === namespace
}

/** A sorted array as a view. */
export class ArrayRows<R extends Row> implements SortedRows<R> {
  readonly #rows: readonly R[]

  constructor(rows: readonly R[]) {
    this.#rows = rows
  }

  get rows(): readonly R[] {
    return this.#rows
  }

  get size(): number {
    return this.#rows.length
  }

  *from(namespace: string, name: string, descending = false): Iterable<R> {
    const rows = this.#rows
    const index = lowerBound(rows, namespace, name)
    if (descending) {
      for (let i = isAt(rows, index, namespace, name) ? index : index - 1; i >= 0; i--) yield rows[i]!
    } else {
      for (let i = index; i < rows.length; i++) yield rows[i]!
    }
  }

  *all(descending = false): Iterable<R> {
    const rows = this.#rows
    if (descending) for (let i = rows.length - 1; i >= 0; i--) yield rows[i]!
    else yield* rows
  }
}

export const NO_ROWS: SortedRows<never> = new ArrayRows<never>([])

/** Large enough that the list of chunks stays short, small enough that an insertion moves little. */
const CHUNK = 512

/** A sorted list of any size: insertion and removal in O(√n)-like time, look-up in O(log n). */
export class ChunkedRows<R extends Row> implements SortedRows<R> {
  /** None of them is empty. */
  #chunks: R[][] = []
  #size = 0

  /** Takes rows that are sorted and distinct. */
  static of<R extends Row>(sorted: readonly R[]): ChunkedRows<R> {
    const list = new ChunkedRows<R>()
    list.#size = sorted.length
    // Half full, as splitting leaves them: the next insertions find room.
    for (let i = 0; i < sorted.length; i += CHUNK / 2) list.#chunks.push(sorted.slice(i, i + CHUNK / 2))
    return list
  }

  get size(): number {
    return this.#size
  }

  get(namespace: string, name: string): R | undefined {
    const chunk = this.#chunks[this.#chunkOf(namespace, name)]
    if (!chunk) return undefined
    const index = lowerBound(chunk, namespace, name)
    return isAt(chunk, index, namespace, name) ? chunk[index] : undefined
  }

  /** Adds the row, or puts it in the place of the one with its key, which is returned. */
  set(row: R): R | undefined {
    const { namespace, name } = row
    const at = Math.min(this.#chunkOf(namespace, name), this.#chunks.length - 1)
    const chunk = this.#chunks[at]
    if (!chunk) {
      this.#chunks.push([row])
      this.#size = 1
      return undefined
    }
    const index = lowerBound(chunk, namespace, name)
    if (isAt(chunk, index, namespace, name)) {
      const previous = chunk[index]
      chunk[index] = row
      return previous
    }
    chunk.splice(index, 0, row)
    this.#size++
    if (chunk.length > CHUNK) {
      this.#chunks.splice(at, 1, chunk.slice(0, CHUNK / 2), chunk.slice(CHUNK / 2))
    }
    return undefined
  }

  delete(namespace: string, name: string): R | undefined {
    const at = this.#chunkOf(namespace, name)
    const chunk = this.#chunks[at]
    if (!chunk) return undefined
    const index = lowerBound(chunk, namespace, name)
    if (!isAt(chunk, index, namespace, name)) return undefined
    const [row] = chunk.splice(index, 1)
    this.#size--
    if (chunk.length === 0) this.#chunks.splice(at, 1)
    return row
  }

  *from(namespace: string, name: string, descending = false): Iterable<R> {
    const chunks = this.#chunks
    let at = this.#chunkOf(namespace, name)
    let chunk = chunks[at]
    if (!descending) {
      if (!chunk) return
      for (let i = lowerBound(chunk, namespace, name); i < chunk.length; i++) yield chunk[i]!
      for (at++; at < chunks.length; at++) {
        chunk = chunks[at]!
        // Not `yield*`: delegating to an array's iterator doubles the cost of a row.
        for (let i = 0; i < chunk.length; i++) yield chunk[i]!
      }
      return
    }
    if (chunk) {
      const index = lowerBound(chunk, namespace, name)
      for (let i = isAt(chunk, index, namespace, name) ? index : index - 1; i >= 0; i--) yield chunk[i]!
    }
    for (at--; at >= 0; at--) {
      chunk = chunks[at]!
      for (let i = chunk.length - 1; i >= 0; i--) yield chunk[i]!
    }
  }

  *all(descending = false): Iterable<R> {
    const chunks = this.#chunks
    if (!descending) {
      for (const chunk of chunks) for (let i = 0; i < chunk.length; i++) yield chunk[i]!
      return
    }
    for (let at = chunks.length - 1; at >= 0; at--) {
      const chunk = chunks[at]!
      for (let i = chunk.length - 1; i >= 0; i--) yield chunk[i]!
    }
  }

  /** The first chunk whose last row is not before the key; the number of chunks if there is none. */
  #chunkOf(namespace: string, name: string): number {
    const chunks = this.#chunks
    let low = 0
    let high = chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const chunk = chunks[middle]!
      const last = chunk[chunk.length - 1]!
      if (compareKeys(last.namespace, last.name, namespace, name) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** One namespace of a view. `size` is given where somebody counts it anyway, else counted when asked for. */
export class NamespaceRows<R extends Row> implements SortedRows<R> {
  readonly #rows: SortedRows<R>
  readonly #namespace: string
  #size: number | undefined

  constructor(rows: SortedRows<R>, namespace: string, size?: number) {
    this.#rows = rows
    this.#namespace = namespace
    this.#size = size
  }

  get size(): number {
    if (this.#size === undefined) {
      this.#size = Iterator.from(this.all()).reduce((count) => count + 1, 0)
    }
    return this.#size
  }

  *from(namespace: string, name: string, descending = false): Iterable<R> {
    if (namespace !== this.#namespace) {
      // A key outside: everything lies on one side of it.
      if (descending === namespace > this.#namespace) yield* this.all(descending)
      return
    }
    for (const row of this.#rows.from(namespace, name, descending)) {
      if (row.namespace !== namespace) return
      yield row
    }
  }

  *all(descending = false): Iterable<R> {
    const namespace = this.#namespace
    // No name follows this one within the namespace: `namespace + '\0'` is the next possible namespace.
    const rows = descending ? this.#rows.from(`${namespace}\u0000`, '', true) : this.#rows.from(namespace, '')
    for (const row of rows) {
      if (row.namespace !== namespace) return
      yield row
    }
  }
}

/** Several views without a row in common, in one order. */
export class MergedRows<R extends Row> implements SortedRows<R> {
  readonly #parts: readonly SortedRows<R>[]

  constructor(parts: readonly SortedRows<R>[]) {
    this.#parts = parts
  }

  get size(): number {
    return this.#parts.reduce((sum, part) => sum + part.size, 0)
  }

  from(namespace: string, name: string, descending = false): Iterable<R> {
    return mergeSorted(
      this.#parts.map((part) => part.from(namespace, name, descending)),
      descending ? (a, b) => compareRows(b, a) : compareRows,
    )
  }

  all(descending = false): Iterable<R> {
    return mergeSorted(
      this.#parts.map((part) => part.all(descending)),
      descending ? (a, b) => compareRows(b, a) : compareRows,
    )
  }
}

interface Head<T> {
  value: T
  readonly rest: Iterator<T>
}

/** Merges sorted sequences into one; equal items come in the order of their sequences' arrival. */
export function* mergeSorted<T>(
  sources: readonly Iterable<T>[],
  compare: (a: T, b: T) => number,
): Iterable<T> {
  if (sources.length === 1) {
    yield* sources[0]!
    return
  }
  /** A binary heap by `value`. */
  const heap: Head<T>[] = []
  for (const source of sources) {
    const rest = source[Symbol.iterator]()
    const first = rest.next()
    if (!first.done) heap.push({ value: first.value, rest })
  }
  for (let i = (heap.length >>> 1) - 1; i >= 0; i--) sink(heap, i, compare)
  while (heap.length > 0) {
    const head = heap[0]!
    yield head.value
    const next = head.rest.next()
    if (next.done) {
      const last = heap.pop()!
      if (heap.length === 0) return
      heap[0] = last
    } else {
      head.value = next.value
    }
    sink(heap, 0, compare)
  }
}

function sink<T>(heap: Head<T>[], start: number, compare: (a: T, b: T) => number): void {
  const item = heap[start]!
  let at = start
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    const right = heap[child + 1]
    if (right && compare(right.value, heap[child]!.value) < 0) child++
    if (compare(heap[child]!.value, item.value) >= 0) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = item
}
