/**
 * The seam between whatever brings a table's content and the store that keeps it. Every feed yields the
 * same steps, so that the store cannot tell a watch of an API server from any other source.
 *
 * Grammar: `(Init InitApply* (InitDone | Cancel) | Apply | Delete | Relist | Bookmark | Down | Up)*`. Rows between
 * `Init` and `InitDone` are the whole new content: they become visible at once at `InitDone`, and whatever
 * is not among them is deleted. An unfinished `Init` is discarded by another, by `Cancel` and by `Down`: who
 * stops in the midst of one says `Cancel`, so that nothing of it is left to the next writer of the table.
 * The first visible content comes with the first `InitDone`. Order holds per object.
 */
import type { Kind, Rows } from '../kubernetes/rows.ts'

export type Step<K extends Kind = Kind> =
  | { readonly type: 'Init' }
  | { readonly type: 'InitApply'; readonly row: Rows[K] }
  /**
   * With `stale`: complete as of then, and not followed at the moment, as after `Down`. With `partial`: it has
   * parts of a later version already, as between two partial changes.
   */
  | {
      readonly type: 'InitDone'
      readonly resourceVersion: string
      readonly partial?: boolean
      readonly stale?: { readonly asOf: number; readonly problem: FeedProblem }
    }
  /** The content that began with `Init` will not come. Nothing happens where none began. */
  | { readonly type: 'Cancel' }
  /** Added or changed. A state that is older than what the table has of the object is passed over. */
  | ({ readonly type: 'Apply'; readonly row: Rows[K] } & Progress)
  /** `row` is the last state, with the resourceVersion of the delete. */
  | ({ readonly type: 'Delete'; readonly row: Rows[K] } & Progress)
  /**
   * Whoever is between these versions is not brought on by the changes that follow: they are no more than the
   * differences of the two.
   */
  | { readonly type: 'Relist'; readonly from: string; readonly to: string }
  /** Nothing changed up to this resourceVersion. */
  | { readonly type: 'Bookmark'; readonly resourceVersion: string }
  /** The source cannot be followed at the moment; the table keeps its rows and is no longer current. */
  | { readonly type: 'Down'; readonly problem: FeedProblem }
  /** The source is followed again without a gap since `Down` (else an `Init…InitDone` comes first). */
  | { readonly type: 'Up' }

/** How far the table is with a change; without it as far as the row's own resourceVersion. */
export interface Progress {
  /** Every change up to this one is in the table once the change is, or the changes that it is a part of. */
  readonly resourceVersion?: string
  /** More changes of the same resourceVersion follow: a relist tells its differences one by one. */
  readonly partial?: boolean
}

export interface FeedProblem {
  /** `NOT_WATCHED`: may be listed but not watched, so that it is complete as of the last list only. */
  readonly code: 'UNREACHABLE' | 'FORBIDDEN' | 'NOT_SERVED' | 'NOT_WATCHED' | 'UNAUTHORIZED' | 'ERROR'
  /** A sentence for a person: what failed and what to do; no credentials and no address of the cluster. */
  readonly message: string
}
