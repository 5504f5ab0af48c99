/**
 * What a viewer may see and do: the contract between whoever decides (`rbac/`, `reviews.ts`, put together by
 * `cluster-policy.ts`) and the AuthorizedFleet, which asks.
 *
 * Invariant: in doubt nothing. What cannot be decided shows nothing, and says why.
 */
import type { Cluster } from '../fleet/fleet.ts'
import type { Scope } from '../fleet/selection.ts'
import type { Impersonation } from '../kubernetes/client.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { Viewer } from './viewer.ts'

/** What a viewer may read of one table. */
export interface ReadRight {
  /** `undefined`: nothing. */
  readonly scope: Scope | undefined
  /**
   * `DECIDED`. `PENDING`: it is being found out, and `settled` resolves when it is. `UNKNOWN`: it cannot be
   * found out now: the cluster does not answer, or has no answer for this viewer.
   */
  readonly state: 'DECIDED' | 'PENDING' | 'UNKNOWN'
  /** A sentence for the viewer where there is something to say beyond "you may not". */
  readonly reason: string | null
  /** Of PENDING. Never rejects. */
  readonly settled: Promise<void> | null
}

/** `ResourceAttributes` of a SubjectAccessReview. Absent: `''`, and for `namespace` all of them. */
export interface Action {
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`…; any other that a role may name. */
  readonly verb: string
  /** `''` is the core group. */
  readonly group: string
  /** Plural: `pods`. */
  readonly resource: string
  readonly subresource?: string
  readonly namespace?: string
  readonly name?: string
}

export interface Verdict {
  /** `null`: it could not be found out; `reason` says why. */
  readonly allowed: boolean | null
  readonly reason: string | null
}

/** How a viewer's requests go to a cluster. */
export type Credential =
  /** With the gateway's credentials, as the viewer (Kubernetes documentation, "User impersonation"). */
  | { readonly type: 'IMPERSONATION'; readonly as: Impersonation }
  /** With the viewer's own token, and nothing of the gateway's. */
  | { readonly type: 'TOKEN'; readonly token: string }
  /** With the gateway's own rights: where there is no access control at all. */
  | { readonly type: 'OWN' }
  /** Not at all. */
  | { readonly type: 'NONE'; readonly reason: string }

/** Anything with a revision that an answer was made from. */
export interface Revised {
  readonly revision: number
}

export interface Policy {
  /**
   * What the viewer may list of a kind in a cluster; with `watch`: what they may both list and watch.
   * Synchronous and cheap: asked for every relation of every row. The scope is the same object for as long as
   * it says the same.
   */
  read(viewer: Viewer, cluster: Cluster, kind: Kind, verb?: 'list' | 'watch'): ReadRight
  /** Whether the viewer may do something. A promise only where the cluster has to be asked; never rejects. */
  can(viewer: Viewer, cluster: Cluster, action: Action): Verdict | Promise<Verdict>
  credential(viewer: Viewer, cluster: Cluster): Credential
  /**
   * Names what the viewer may read now, in all clusters: viewers with one key may read the same, and are
   * given the same answers. Another one after the viewer's rights have changed; only of this process.
   */
  rightsKey(viewer: Viewer): string
  /** Its revision increases whenever what anybody may read in this cluster may have changed. */
  revised(cluster: Cluster): Revised
  /**
   * Called after what anybody may do may have changed; many changes in a row are one call, within 100 ms.
   * Returns the end of it.
   */
  onChange(listener: () => void): () => void
  /** There is no access control, and the gateway's own rights are everybody's: of `everything` alone. */
  readonly allowsEverything?: true
}

const EVERYTHING: ReadRight = { scope: 'all', state: 'DECIDED', reason: null, settled: null }
const UNCHANGING: Revised = { revision: 0 }

/** Everyone may see everything, with the gateway's rights: for benchmarks and tests of what is below. */
export const everything: Policy = {
  read: () => EVERYTHING,
  can: () => ({ allowed: true, reason: null }),
  credential: () => ({ type: 'OWN' }),
  rightsKey: () => '',
  revised: () => UNCHANGING,
  onChange: () => () => {},
  allowsEverything: true,
}
