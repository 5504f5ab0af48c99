/**
 * What was done and what was refused, as records: every mutation, every denied or privileged read, every
 * sign-in that failed. The contract; the sinks beside it keep the records.
 *
 * Invariant: no record holds a token, the values of variables, or anything of a Secret.
 */

export const AUDIT_TYPES = [
  /** A mutation was executed. */
  'MUTATION',
  /** Somebody was shown nothing where they asked: no right in a cluster, or a live read that it refused. */
  'DENIED',
  /** A live read beyond what lists show: a log, a manifest, an object of any kind. */
  'PRIVILEGED_READ',
  /** Credentials that were no good. */
  'SIGN_IN_FAILED',
  /** A request that was refused before it was executed: too much, too often, or no trusted document. */
  'REFUSED',
] as const
export type AuditType = (typeof AUDIT_TYPES)[number]

export interface AuditRecord {
  /** Increases with time over all replicas that share a Redis; opaque. */
  readonly id: string
  /** Epoch milliseconds. */
  readonly at: number
  readonly type: AuditType
  /** `null` where nobody signed in. */
  readonly user: {
    readonly name: string
    readonly groups: readonly string[]
    readonly issuer: string | null
  } | null
  /** Where the connection came from. */
  readonly remoteAddress: string | null
  readonly operationName: string | null
  /** SHA-256 of the document, in hex; `null` where there was none. */
  readonly operationHash: string | null
  /** Names of the clusters that it was about, in order. */
  readonly clusters: readonly string[]
  readonly outcome: 'ALLOWED' | 'DENIED' | 'FAILED'
  /** Why, for a person; what was read or done. */
  readonly message: string | null
  /** Milliseconds from the request to its answer; `null` where it did not get that far. */
  readonly latencyMs: number | null
  /** Also in the answer, its `x-request-id`, and in our log. */
  readonly correlationId: string
  /** How many alike came in a row: the same user, operation, clusters and outcome within a minute. */
  readonly count: number
}

/** Where those who do something leave a record. Never throws, never waits. */
export interface AuditLog {
  record(record: Omit<AuditRecord, 'id' | 'at' | 'count'>): void
}
