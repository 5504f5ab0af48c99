/**
 * Rows by label set. Sets are far fewer than rows, so a selector is tried on sets, not on rows; and of
 * those only on the ones that have a label which the selector asks for, through an index of single keys
 * that is made when a key is first asked for. Rows whose sets are equal but not shared stand in two
 * buckets, which changes no answer.
 */
import { matchesLabels } from '../kubernetes/label-selector.ts'
import type { LabelSelector, LabelSet, Row } from '../kubernetes/rows.ts'
import { rowsOf, withoutRow, withRow, type Bucket } from './row-index.ts'
import { MergedRows, NO_ROWS } from './sorted-rows.ts'
import type { SortedRows } from './table.ts'

/** Label keys with an index of their own; the one asked for longest ago makes room. */
const MAX_KEYS = 16

/** From a label's value to the sets that have it. */
type KeyIndex = Map<string, Set<LabelSet>>

export class LabelIndex<R extends Row> {
  readonly #buckets = new Map<LabelSet, Bucket<R>>()
  /** In the order of their last use. */
  readonly #keys = new Map<string, KeyIndex>()

  /** After `previous` (if any) became `row` (if any) under one key. */
  change(previous: R | undefined, row: R | undefined): void {
    if (previous && previous.labels !== row?.labels) {
      const bucket = withoutRow(this.#buckets.get(previous.labels), previous)
      if (bucket) this.#buckets.set(previous.labels, bucket)
      else this.#drop(previous.labels)
    }
    if (!row) return
    const bucket = this.#buckets.get(row.labels)
    if (bucket === undefined) this.#note(row.labels)
    const changed = withRow(bucket, row)
    if (changed !== bucket) this.#buckets.set(row.labels, changed)
  }

  /** Rows that the selector matches; an empty selector is the whole table's business. */
  rows(selector: LabelSelector): SortedRows<R> {
    const parts: SortedRows<R>[] = []
    for (const labels of this.#candidates(selector).sets) {
      if (matchesLabels(selector, labels)) parts.push(rowsOf(this.#buckets.get(labels)))
    }
    if (parts.length === 0) return NO_ROWS
    return parts.length === 1 ? parts[0]! : new MergedRows(parts)
  }

  /** How many label sets `rows` would try. */
  cost(selector: LabelSelector): number {
    return this.#candidates(selector).size
  }

  /** Distinct label sets. */
  get size(): number {
    return this.#buckets.size
  }

  /** The smallest collection of sets that surely has all matching ones. */
  #candidates(selector: LabelSelector): { readonly sets: Iterable<LabelSet>; readonly size: number } {
    let best: readonly Iterable<LabelSet>[] | undefined
    let bestSize = Number.POSITIVE_INFINITY
    const offer = (sets: readonly ReadonlySet<LabelSet>[]) => {
      const size = sets.reduce((sum, set) => sum + set.size, 0)
      if (size < bestSize) [best, bestSize] = [sets, size]
    }
    for (const key in selector.matchLabels) {
      offer(valuesOf(this.#key(key), [selector.matchLabels[key]!]))
    }
    for (const { key, operator, values } of selector.matchExpressions) {
      if (operator === 'In') offer(valuesOf(this.#key(key), values))
      else if (operator === 'Exists') offer(Array.from(this.#key(key).values()))
    }
    return best
      ? { sets: best.values().flatMap((sets) => sets), size: bestSize }
      : { sets: this.#buckets.keys(), size: this.#buckets.size }
  }

  #key(key: string): KeyIndex {
    let index = this.#keys.get(key)
    if (index) {
      this.#keys.delete(key)
    } else {
      index = new Map()
      for (const labels of this.#buckets.keys()) addTo(index, key, labels)
      if (this.#keys.size >= MAX_KEYS) this.#keys.delete(this.#keys.keys().next().value!)
    }
    this.#keys.set(key, index)
    return index
  }

  #note(labels: LabelSet): void {
    for (const [key, index] of this.#keys) addTo(index, key, labels)
  }

  #drop(labels: LabelSet): void {
    this.#buckets.delete(labels)
    for (const [key, index] of this.#keys) {
      if (!Object.hasOwn(labels, key)) continue
      const sets = index.get(labels[key]!)
      sets?.delete(labels)
      if (sets?.size === 0) index.delete(labels[key]!)
    }
  }
}

function addTo(index: KeyIndex, key: string, labels: LabelSet): void {
  if (!Object.hasOwn(labels, key)) return
  const value = labels[key]!
  const sets = index.get(value)
  if (sets) sets.add(labels)
  else index.set(value, new Set([labels]))
}

function valuesOf(index: KeyIndex, values: readonly string[]): readonly ReadonlySet<LabelSet>[] {
  return Array.from(new Set(values)).flatMap((value) => index.get(value) ?? [])
}
