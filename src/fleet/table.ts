/**
 * One table: one kind of one cluster, in memory. The contract between the store and everybody above it:
 * one exclusive writer (the feed), any number of synchronous readers.
 */
import type { Kind, LabelSelector, Row, Rows } from '../kubernetes/rows.ts'
import type { FeedProblem, Step } from './feed.ts'
import type { TableSummary } from './summary.ts'

/**
 * `SYNCING`: the first content is still on its way. `CURRENT`: complete and followed. `STALE`: complete as
 * of `asOf`, not followed at the moment. `FAILED`: there has never been any content, for `problem`.
 */
export interface TableStatus {
  readonly state: 'SYNCING' | 'CURRENT' | 'STALE' | 'FAILED'
  /** Epoch milliseconds of the last change of `state`. */
  readonly since: number
  /** Epoch milliseconds at which the content was last known to be complete; `null` before the first sync. */
  readonly asOf: number | null
  readonly problem: FeedProblem | null
  readonly resourceVersion: string | null
}

/**
 * A visible change; `previous` is `null` for ADDED. Never partial: readers see the table after it. An
 * object that was deleted and made anew between two steps is told as DELETED, then ADDED.
 */
export interface Change<K extends Kind = Kind> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly row: Rows[K]
  readonly previous: Rows[K] | null
  /** Where the table stands after this change; see `Progress`. Non-decreasing while the table is followed. */
  readonly resourceVersion: string
  /**
   * Other changes of the same resourceVersion follow, at once or soon: the table is not complete up to it
   * before the one that is not partial.
   */
  readonly partial: boolean
}

/**
 * Rows of one table in key order: namespace, then name, by UTF-16 code unit. Cheap to iterate from any
 * key; only valid until the table changes, so it must be consumed before the event loop turns.
 */
export interface SortedRows<R extends Row = Row> {
  readonly size: number
  /** From the first row at or after the key (ascending), or at or before it (descending). */
  from(namespace: string, name: string, descending?: boolean): Iterable<R>
  /** All, in order. */
  all(descending?: boolean): Iterable<R>
}

export interface TableReader<K extends Kind = Kind> {
  readonly kind: K
  readonly cluster: string
  /** Increases with each change that a reader could see, of rows, of `status.state` or of `status.problem`. */
  readonly revision: number
  readonly status: TableStatus
  /**
   * False while the content has parts of a later version than `status.resourceVersion` (partial changes): it
   * is of no one moment, and cannot be followed from there.
   */
  readonly whole: boolean
  readonly size: number
  get(namespace: string, name: string): Rows[K] | undefined
  getByUid(uid: string): Rows[K] | undefined
  /** The whole table, or one namespace of it (a range of the same order: it costs nothing more). */
  rows(namespace?: string): SortedRows<Rows[K]>
  /** Rows whose controller has this uid. */
  byOwner(uid: string): SortedRows<Rows[K]>
  /** Rows under a value of an index; none for a kind that is not indexed by it (`indexes.ts`). */
  byIndex(index: IndexName, value: string): SortedRows<Rows[K]>
  /** Rows that a label selector matches; costs by distinct label sets, not by rows. */
  byLabels(selector: LabelSelector, namespace?: string): SortedRows<Rows[K]>
  /** How many distinct label sets `byLabels` has to try each time. */
  labelCost(selector: LabelSelector): number
  /** Counters kept up to date with each change. */
  readonly summary: TableSummary
  /**
   * Every visible change, after it happened, synchronously. A relist yields its differences, while all of
   * it is visible already. The first content yields none: `onStatus` tells of it.
   */
  onChange(listener: (change: Change<K>) => void): () => void
  /**
   * When the whole content was read again, here or where it comes from: before the differences are told, if
   * there are any. The table was at `from`; the differences bring nobody on who had been somewhere between there and where it is then.
   * The first content is not told.
   */
  onRelist(listener: (from: string, to: string) => void): () => void
  /** After `status.resourceVersion` has become another, whether or not a row did. */
  onProgress(listener: () => void): () => void
  /** After each change of `status.state` or `status.problem`, and after the differences that came with it. */
  onStatus(listener: (status: TableStatus, previous: TableStatus) => void): () => void
}

/**
 * Secondary indexes. `node`: Pods by `nodeName`. `status`: Pods by `status`, workloads by
 * `rollout.status`. `phase`: Pods by `phase`. `regarding`: Events by `regardingUid`. `service`:
 * EndpointSlices by `namespace/serviceName`. `claim`: Pods by `namespace/claimName` of their volumes.
 * `image`: workloads and Pods by a container's image. `role`: RoleBindings and ClusterRoleBindings by the
 * role that they give: `Role/namespace/name` or `ClusterRole/name`. A value is compared whole, and `''` is none.
 */
export type IndexName = 'node' | 'status' | 'phase' | 'regarding' | 'service' | 'claim' | 'image' | 'role'

export interface TableWriter<K extends Kind = Kind> {
  apply(step: Step<K>): void
}
