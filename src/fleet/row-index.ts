/**
 * Secondary indexes: from a value (a node's name, an owner's uid, an image) to its rows in key order.
 * Built for half a million rows: a value with one row costs a map entry, a few rows an array of exactly
 * their number.
 */
import type { Row } from '../kubernetes/rows.ts'
import { ArrayRows, ChunkedRows, isAt, lowerBound, NO_ROWS } from './sorted-rows.ts'
import type { SortedRows } from './table.ts'

/** Rows of one value, by how many there are. */
export type Bucket<R extends Row> = R | R[] | ChunkedRows<R>

/** Up to here arrays are copied at each change, which keeps them exact; growing in place leaves slack. */
const EXACT = 32
/** From here on, an insertion into a flat array moves too much. */
const FLAT = 1024

/** The bucket with the row added, or put in the place of the one with its key. */
export function withRow<R extends Row>(bucket: Bucket<R> | undefined, row: R): Bucket<R> {
  if (bucket === undefined) return row
  if (bucket instanceof ChunkedRows) {
    bucket.set(row)
    return bucket
  }
  if (!Array.isArray(bucket)) {
    if (bucket.name === row.name && bucket.namespace === row.namespace) return row
    const before = lowerBound([bucket], row.namespace, row.name) === 0
    return before ? [row, bucket] : [bucket, row]
  }
  const index = lowerBound(bucket, row.namespace, row.name)
  if (isAt(bucket, index, row.namespace, row.name)) {
    bucket[index] = row
    return bucket
  }
  if (bucket.length < EXACT) return bucket.toSpliced(index, 0, row)
  if (bucket.length >= FLAT) {
    const list = ChunkedRows.of(bucket)
    list.set(row)
    return list
  }
  bucket.splice(index, 0, row)
  return bucket
}

/** The bucket without the row of this key; `undefined` when nothing is left. */
export function withoutRow<R extends Row>(bucket: Bucket<R> | undefined, row: R): Bucket<R> | undefined {
  if (bucket === undefined) return undefined
  if (bucket instanceof ChunkedRows) {
    bucket.delete(row.namespace, row.name)
    return bucket.size === 0 ? undefined : bucket
  }
  if (!Array.isArray(bucket)) {
    return bucket.name === row.name && bucket.namespace === row.namespace ? undefined : bucket
  }
  const index = lowerBound(bucket, row.namespace, row.name)
  if (!isAt(bucket, index, row.namespace, row.name)) return bucket
  if (bucket.length === 2) return bucket[1 - index]!
  if (bucket.length <= EXACT) return bucket.toSpliced(index, 1)
  bucket.splice(index, 1)
  return bucket
}

export function rowsOf<R extends Row>(bucket: Bucket<R> | undefined): SortedRows<R> {
  if (bucket === undefined) return NO_ROWS
  if (bucket instanceof ChunkedRows) return bucket
  return new ArrayRows(Array.isArray(bucket) ? bucket : [bucket])
}

/** The values under which a row stands: distinct, none empty. Pure. */
export type Values<R extends Row> = (row: R) => readonly string[]

export class RowIndex<R extends Row> {
  readonly #values: Values<R>
  readonly #buckets = new Map<string, Bucket<R>>()

  constructor(values: Values<R>) {
    this.#values = values
  }

  /** After `previous` (if any) became `row` (if any) under one key. */
  change(previous: R | undefined, row: R | undefined): void {
    const before = previous ? this.#values(previous) : NONE
    const after = row ? this.#values(row) : NONE
    if (previous && before !== after) {
      for (const value of before) if (!after.includes(value)) this.#remove(value, previous)
    }
    if (row) for (const value of after) this.#add(value, row)
  }

  rows(value: string): SortedRows<R> {
    return rowsOf(this.#buckets.get(value))
  }

  #add(value: string, row: R): void {
    const bucket = this.#buckets.get(value)
    const changed = withRow(bucket, row)
    if (changed !== bucket) this.#buckets.set(value, changed)
  }

  #remove(value: string, row: R): void {
    const bucket = this.#buckets.get(value)
    const changed = withoutRow(bucket, row)
    if (changed === undefined) this.#buckets.delete(value)
    else if (changed !== bucket) this.#buckets.set(value, changed)
  }
}

const NONE: readonly string[] = Object.freeze([])
