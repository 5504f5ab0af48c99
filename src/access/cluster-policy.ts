/**
 * The policy of a fleet: each cluster's rights are found out in the way that is configured for it, and told in
 * one voice. Knows no rule of RBAC (`rbac/`) and asks no cluster (`reviews.ts`).
 */
import type { Cluster } from '../fleet/fleet.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { Action, ReadRight, Revised, Verdict } from './policy.ts'
import type { Viewer } from './viewer.ts'

/** How the rights in a cluster are found out. */
export type AccessMode = 'rbac' | 'subjectAccessReview' | 'passthrough'

/**
 * Who puts the question to the API server. `GATEWAY`: the gateway with its own credentials, naming the viewer
 * (SubjectAccessReview). `VIEWER`: the viewer with their own token (SelfSubjectAccessReview).
 */
export type ReviewedBy = 'GATEWAY' | 'VIEWER'

/**
 * Rights that the cluster itself is asked for. Is asked only of viewers whose identity holds in the cluster, and
 * with `VIEWER` only of those who have a token.
 */
export interface Reviews {
  /** As `Policy.read`: synchronous; what is not known yet is PENDING, and being found out. */
  read(viewer: Viewer, cluster: Cluster, kind: Kind, verb: 'list' | 'watch', by: ReviewedBy): ReadRight
  /** As `Policy.can`. */
  can(viewer: Viewer, cluster: Cluster, action: Action, by: ReviewedBy): Verdict | Promise<Verdict>
  /**
   * Names everything that `read` would answer this viewer in this cluster now: one key, the same answers. Any
   * text; unique in its cluster only.
   */
  keyOf(viewer: Viewer, cluster: Cluster, by: ReviewedBy): string
  /** Its revision increases whenever an answer of `read`, or a `keyOf`, may have become another for anybody. */
  revised(cluster: Cluster): Revised
  /** As `Policy.onChange`: coalesced within 100 ms. */
  onChange(listener: () => void): () => void
  close(): void | Promise<void>
}
