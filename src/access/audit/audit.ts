/**
 * What was done and what was refused, as records: every mutation, every denied or privileged read, every
 * sign-in that failed. The contract; the sinks beside it keep the records.
 *
 * Invariant: no record holds a token, the values of variables, or anything of a Secret.
 */

export const AUDIT_TYPES = [
  /** A mutation was executed. */
  'MUTATION',
  /**
   * Somebody was shown nothing where they asked: no right in a cluster, or a live read that it refused; or a stream
   * that is open goes on with less than before.
   */
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
  /**
   * For how many it stands: of those that are alike within a minute the first is a record at once, and all others
   * together are one more at the end of the minute. The counts of all records add up to what happened.
   * Mutations are never put together. Of one user who is refused in very many ways within a minute, and of all who
   * did not sign in, the last of these are put together though they differ: then the record tells of the last one.
   */
  readonly count: number
}

/** What is recorded; the log adds the rest. */
export type AuditNote = Omit<AuditRecord, 'id' | 'at' | 'count'>

/** Where those who do something leave a record. Never throws, never waits. */
export interface AuditLog {
  record(record: AuditNote): void
}

/** A record on its way to where records are kept. */
export interface AuditEntry extends Omit<AuditRecord, 'id'> {
  /** Of no other record of any replica: what is sent again after a failure is told by it. */
  readonly key: string
}

/** Keeps records, or sends them on. Never throws, never waits, never hurts whoever records. */
export interface AuditSink {
  write(entry: AuditEntry): void
  /** Writes what still waits, within a second or two. */
  close(): Promise<void>
}

export interface KeptEntry extends AuditEntry {
  readonly id: string
}

/** Records that can be read again, in order of their ids. Rejects where they cannot be read now. */
export interface AuditStore {
  /** Newest first, so many at most: those before this id, or from the newest on. */
  before(id: string | undefined, count: number): Promise<readonly KeptEntry[]>
  /** Oldest first, so many at most: those after this id. */
  after(id: string, count: number): Promise<readonly KeptEntry[]>
  /** Not before the id of any record that is kept now, and before those to come. */
  latest(): Promise<string>
}

/** All that are set hold together. */
export interface AuditFilter {
  readonly types?: readonly AuditType[]
  /** Names of users. */
  readonly users?: readonly string[]
  /** About any of these clusters. */
  readonly clusters?: readonly string[]
  readonly outcomes?: readonly AuditRecord['outcome'][]
  /** Epoch milliseconds, both of them included. */
  readonly since?: number
  readonly until?: number
}

export interface AuditPage {
  /** Newest first. May be shorter than it was asked for, even empty, while `hasMore`. */
  readonly records: readonly AuditRecord[]
  readonly hasMore: boolean
  /** How far it was looked: `after` of the next page. `null`: there is nothing. */
  readonly end: string | null
  /** Why records may be missing, for a person. */
  readonly problem: string | null
}

/** The records as one viewer may read them: all, or none. */
export interface AuditReader {
  /** Whether the viewer is one of `audit.readerUsers` or `audit.readerGroups`. */
  readonly allowed: boolean
  /** `after`: the id of a record, or `end` of the page before. Rejects with `AuditIdError`, and where not allowed. */
  list(request: {
    readonly filter?: AuditFilter
    readonly first: number
    readonly after?: string
  }): Promise<AuditPage>
  /**
   * Records of all replicas as they come, in order, each once; the next ones are read when `take` has resolved.
   * Resolves after the signal, and before records that the viewer may not read any more. Rejects where not allowed.
   */
  follow(
    filter: AuditFilter,
    take: (records: readonly AuditRecord[]) => void | Promise<void>,
    signal: AbortSignal,
  ): Promise<void>
}

/** Not the id of a record. */
export class AuditIdError extends Error {
  override readonly name = 'AuditIdError'
  readonly code = 'INVALID_CURSOR'
}

/** An id as its two numbers: milliseconds, and which one of that millisecond (as entries of Redis Streams have). */
export function parseAuditId(id: string): readonly [number, number] {
  const [, ms, sequence] = /^(\d{1,15})-(\d{1,15})$/.exec(id) ?? []
  if (ms === undefined || sequence === undefined)
    throw new AuditIdError('This is not the cursor of a record.')
  return [Number(ms), Number(sequence)]
}

/** Negative where `a` is older. */
export function compareAuditIds(a: string, b: string): number {
  const [aMs, aSequence] = parseAuditId(a)
  const [bMs, bSequence] = parseAuditId(b)
  return aMs - bMs || aSequence - bSequence
}
