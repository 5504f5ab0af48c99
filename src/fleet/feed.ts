/**
 * The seam between whatever brings a table's content and the store that keeps it. Every feed yields the
 * same steps, so that the store cannot tell a watch of an API server from any other source.
 *
 * Grammar: `(Init InitApply* InitDone | Apply | Delete | Bookmark | Down | Up)*`. Rows between `Init` and
 * `InitDone` are the whole new content: they become visible at once at `InitDone`, and whatever is not
 * among them is deleted. An `Init` that follows an unfinished `Init` discards it. The first visible
 * content comes with the first `InitDone`. Order holds per object.
 */
import type { Kind, Rows } from '../kubernetes/rows.ts'

export type Step<K extends Kind = Kind> =
  | { readonly type: 'Init' }
  | { readonly type: 'InitApply'; readonly row: Rows[K] }
  | { readonly type: 'InitDone'; readonly resourceVersion: string }
  /** Added or changed. */
  | { readonly type: 'Apply'; readonly row: Rows[K] }
  /** `row` is the last state, with the resourceVersion of the delete. */
  | { readonly type: 'Delete'; readonly row: Rows[K] }
  /** Nothing changed up to this resourceVersion. */
  | { readonly type: 'Bookmark'; readonly resourceVersion: string }
  /** The source cannot be followed at the moment; the table keeps its rows and is no longer current. */
  | { readonly type: 'Down'; readonly problem: FeedProblem }
  /** The source is followed again without a gap since `Down` (else an `Init…InitDone` comes first). */
  | { readonly type: 'Up' }

export interface FeedProblem {
  /** `NOT_WATCHED`: may be listed but not watched, so that it is complete as of the last list only. */
  readonly code: 'UNREACHABLE' | 'FORBIDDEN' | 'NOT_SERVED' | 'NOT_WATCHED' | 'UNAUTHORIZED' | 'ERROR'
  /** A sentence for a person: what failed and what to do; no credentials and no address of the cluster. */
  readonly message: string
}
