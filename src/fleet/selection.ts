/**
 * How a list is asked for, once parsed and checked: which rows, in which order, which page of them.
 * `select.ts` answers it over the tables of any number of clusters.
 */
import type { LabelSelector, Row } from '../kubernetes/rows.ts'
import type { IndexName, TableReader } from './table.ts'

/** Rows under one value of an index, or under any of several of an index where each row stands once. */
export type IndexCondition =
  | { readonly name: IndexName; readonly value: string }
  | { readonly name: 'node' | 'status' | 'phase'; readonly values: readonly string[] }

/** All conditions hold together. Indexed ones decide the cost; `where` is tried on what they leave. */
export interface Selection<R extends Row = Row> {
  readonly namespaces?: readonly string[]
  readonly names?: readonly string[]
  readonly namePrefix?: string
  readonly labels?: LabelSelector
  readonly ownerUid?: string
  readonly index?: IndexCondition
  /** Must be pure. */
  readonly where?: (row: R) => boolean
}

/** What one reader may see of one table. Namespaces and names that are not there do not exist for them. */
export type Scope =
  | 'all'
  | {
      readonly namespaces: ReadonlySet<string>
      /** `namespace/name` of single objects beyond those namespaces; `/name` for kinds without namespaces. */
      readonly objects?: ReadonlySet<string>
      /**
       * Names that are allowed in every namespace: of a namespaced kind, from a ClusterRoleBinding to a rule
       * with `resourceNames`.
       */
      readonly names?: ReadonlySet<string>
    }

export interface ScopedTable<R extends Row = Row> {
  readonly table: TableReader<R['kind']>
  readonly scope: Scope
}

/**
 * A sort key. Ties, and the order when there is no key, go by cluster, namespace, name, kind – the
 * natural order, in which a page costs O(log n + page); any other order costs a pass over what matches.
 */
export interface SortKey<R extends Row = Row> {
  /** Stands in the cursor: a cursor is only valid for the order it was made for. */
  readonly name: string
  /** Must be pure; `null` sorts last in either direction. */
  readonly value: (row: R) => string | number | null
  readonly descending: boolean
}

/** Relay's arguments, checked: exactly one of `first` and `last` is set. */
export interface Window {
  readonly first?: number
  readonly after?: string
  readonly last?: number
  readonly before?: string
}

export interface Page<R extends Row = Row> {
  readonly rows: readonly R[]
  readonly hasNextPage: boolean
  readonly hasPreviousPage: boolean
  /** Keyset cursor: the row's place in the order, so it survives changes between pages. */
  cursor(row: R): string
  /** All rows of the selection, whatever the page. Counted on the first call. */
  total(): number
}
