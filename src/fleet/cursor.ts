/**
 * Cursors: places in an order, not rows. A cursor names the order it was made for, the row's values in
 * it and the row's key, so it holds its place when the row changes or goes. In the natural order the key
 * is all there is, and a row's global ID says it already.
 */
import { KINDS, parseGlobalId } from '../kubernetes/kinds.ts'
import type { Row } from '../kubernetes/rows.ts'
import type { SortKey } from './selection.ts'

/** A cursor that is none, or is another list's. */
export class CursorError extends Error {
  override readonly name = 'CursorError'
  readonly code = 'INVALID_CURSOR'
}

/** What a key of an order can be; `null` sorts last. */
export type SortValue = string | number | null

/** A place in an order: a row's, whether it is still there or not. */
export interface Place {
  /** One per key of the order. */
  readonly values: readonly SortValue[]
  readonly cluster: string
  readonly namespace: string
  readonly name: string
  readonly kind: string
}

/** `undefined` and numbers that JSON cannot hold count as no value. */
export function sortValue(value: SortValue | undefined): SortValue {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  return value ?? null
}

/** `created descending, name` as `-created,+name`. */
function orderName<R extends Row>(order: readonly SortKey<R>[]): string {
  return order.map(({ name, descending }) => `${descending ? '-' : '+'}${name}`).join(',')
}

export function encodeCursor<R extends Row>(row: R, order: readonly SortKey<R>[]): string {
  if (order.length === 0) return row.id
  const values = order.map(({ value }) => sortValue(value(row)))
  const { cluster, namespace, name, kind } = row
  return Buffer.from(JSON.stringify([orderName(order), values, cluster, namespace, name, kind])).toString(
    'base64url',
  )
}

/** Throws `CursorError` for what is no cursor, or one of another order or of kinds that are not listed. */
export function decodeCursor<R extends Row>(
  cursor: string,
  order: readonly SortKey<R>[],
  kinds: ReadonlySet<string>,
): Place {
  const id = parseGlobalId(cursor)
  const sorted = id ? undefined : parseSorted(cursor)
  if (!sorted && (!id || !('name' in id))) {
    throw new CursorError(
      `${JSON.stringify(cursor)} is not a cursor. Use what an edge's cursor or pageInfo gave, unchanged.`,
    )
  }
  const expected = orderName(order)
  if ((sorted?.order ?? '') !== expected) {
    throw new CursorError(
      `The cursor was made for ${describe(sorted?.order ?? '')}, and the list has ${describe(expected)}. Ask with the order that the cursor came from, or start without a cursor.`,
    )
  }
  const place = sorted?.place ?? { ...(id as Omit<Place, 'values'>), values: [] }
  if (kinds.size > 0 && !kinds.has(place.kind)) {
    throw new CursorError(
      `The cursor is of a list of ${place.kind} objects, and this list has none. Start without a cursor.`,
    )
  }
  return place
}

function describe(order: string): string {
  return order === '' ? 'the natural order' : `the order ${JSON.stringify(order)}`
}

function parseSorted(cursor: string): { readonly order: string; readonly place: Place } | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    return undefined
  }
  if (!Array.isArray(parsed) || parsed.length !== 6) return undefined
  const [order, values, cluster, namespace, name, kind] = parsed as unknown[]
  if (typeof order !== 'string' || order === '' || !Array.isArray(values)) return undefined
  if (typeof cluster !== 'string' || typeof namespace !== 'string' || typeof name !== 'string') {
    return undefined
  }
  if (typeof kind !== 'string' || !Object.hasOwn(KINDS, kind)) return undefined
  if (values.length !== order.split(',').length || !values.every(isSortValue)) return undefined
  return { order, place: { values, cluster, namespace, name, kind } }
}

function isSortValue(value: unknown): value is SortValue {
  return value === null || typeof value === 'string' || typeof value === 'number'
}
