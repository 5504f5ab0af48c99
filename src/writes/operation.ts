/**
 * An operation: a change that is written down while it is carried out, so that it survives the replica that does it,
 * can be looked at, and is done once however often it is asked for. The contract between the driver
 * (`operations.ts`) and where operations are kept (`memory-operation-store.ts`, `redis-operation-store.ts`).
 *
 * Invariants: one replica at a time drives an operation – whoever holds its lease –, and nothing is written to it by
 * any other; a step is written down as begun, with all that was decided for it, before anything of it is sent. No
 * token and no Secret is in it: a step that applies a Secret keeps its manifest with the replica that was sent it.
 */
import type { SignInMethod, User } from '../access/viewer.ts'
import type { Change, StepResult } from './change.ts'
import type { Prepared } from './stepping.ts'

/** Who began it, as far as another replica needs to know to go on as them. */
export interface OperationOwner {
  readonly user: User
  readonly method: SignInMethod
  readonly issuer: string | null
  /** Names of the clusters in which the identity means something; `null`: in all. */
  readonly clusters: readonly string[] | null
}

/** How a change goes through its clusters. */
export interface Strategy {
  /**
   * Label selectors of clusters, in order: a cluster belongs to the first that matches it, those that match none are
   * the last wave. Absent: all at once, or `waveSize` at a time in order of their names.
   */
  readonly waves?: readonly string[]
  /** Clusters of a wave, where `waves` is absent. */
  readonly waveSize?: number
  /** Clusters of a wave that are worked on at a time. Absent: all. */
  readonly concurrency?: number
  /** Between the end of one wave and the beginning of the next. */
  readonly pauseMs: number
  /** After a wave in which something failed. ROLL_BACK puts back what was done, newest first, and ends. */
  readonly onFailure: 'STOP' | 'CONTINUE' | 'ROLL_BACK'
  /** Failures (clusters) of a wave that are put up with. */
  readonly maxFailures: number
  /** A cluster counts as done when the workloads that were changed in it are rolled out. 0: at once. */
  readonly readyTimeoutMs: number
}

/** `PENDING`, `RUNNING` and `ROLLING_BACK` go on; the others are ends. */
export const OPERATION_STATES = [
  'PENDING',
  'RUNNING',
  'ROLLING_BACK',
  'SUCCEEDED',
  'FAILED',
  'CANCELLED',
  'ROLLED_BACK',
] as const
export type OperationState = (typeof OPERATION_STATES)[number]

export const ENDED: ReadonlySet<OperationState> = new Set(['SUCCEEDED', 'FAILED', 'CANCELLED', 'ROLLED_BACK'])

export interface WaveState {
  /** Names of clusters, in order. */
  readonly clusters: readonly string[]
  readonly state: 'PENDING' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'SKIPPED'
  readonly startedAt: number | null
  readonly finishedAt: number | null
}

/** One line of what happened to it. */
export interface OperationEvent {
  readonly at: number
  readonly type:
    | 'STARTED'
    | 'WAVE_STARTED'
    | 'WAVE_FINISHED'
    | 'PAUSED'
    | 'TAKEN_OVER'
    | 'CANCEL_REQUESTED'
    | 'ROLLING_BACK'
    | 'FINISHED'
  readonly message: string
}

/** Written by `create`, and by nobody else. */
export interface OperationHead {
  /** Of an operation with an idempotency key it is made from the key and its owner; opaque. */
  readonly id: string
  readonly owner: OperationOwner
  readonly change: Change
  /** Absent: all at once, without waves. */
  readonly strategy: Strategy | null
  readonly dryRun: boolean
  /** The plan that it carries out was confirmed: policies that ask for it are content. */
  readonly confirmed: boolean
  readonly createdAt: number
}

/** Written by whoever holds the lease. */
export interface OperationProgress {
  readonly state: OperationState
  readonly waves: readonly WaveState[]
  readonly events: readonly OperationEvent[]
  readonly finishedAt: number | null
}

/** A step as it is written down. */
export type StepRecord =
  | { readonly state: 'BEGUN'; readonly prepared: Prepared; readonly startedAt: number }
  | { readonly state: 'DONE'; readonly result: StepResult }
/** Of the rollback of step 3: `undo:3`. */
export type StepName = `${number}` | `undo:${number}`

export interface OperationRecord extends OperationHead, OperationProgress {
  readonly steps: ReadonlyMap<StepName, StepRecord>
  readonly cancelRequested: boolean
  /** Increases with each write. */
  readonly revision: number
}

/** The right to drive one operation. What it writes after it was lost is refused: `LeaseLost`. */
export interface OperationLease {
  readonly id: string
  /** Aborted when the lease is lost, or the store is away for longer than it lasts. */
  readonly signal: AbortSignal
  /** Aborted within two seconds after `requestCancel`, on whichever replica; from the beginning where that was before. */
  readonly cancelled: AbortSignal
  step(name: StepName, record: StepRecord): Promise<void>
  progress(progress: OperationProgress): Promise<void>
  /** So that another replica may go on at once. Idempotent. */
  release(): Promise<void>
}

/** All of them reject with `StoreAway` where Redis does not answer. */
export interface OperationStore {
  /** Whether other replicas see it, and it survives this one. */
  readonly shared: boolean
  /**
   * Keeps a new operation – PENDING, without waves, events or steps –, and returns the right to drive it; `undefined`
   * where there is one of this id: then nothing is written.
   */
  create(head: OperationHead): Promise<OperationLease | undefined>
  /** `undefined`: there is none, or no longer. */
  read(id: string): Promise<OperationRecord | undefined>
  /** Newest first, of one owner (`identityOf`), or of all. */
  list(owner: string | undefined, first: number, after?: string): Promise<readonly OperationRecord[]>
  /** `undefined`: somebody drives it, or it has ended. */
  takeOver(id: string): Promise<OperationLease | undefined>
  /** Ids of operations that have not ended and that nobody drives. */
  orphans(): Promise<readonly string[]>
  requestCancel(id: string): Promise<void>
  /** Called after this operation was written to, by any replica; may be called for nothing. Returns the end of it. */
  onChange(id: string, listener: () => void): () => void
  close(): Promise<void>
}

export class StoreAway extends Error {
  override readonly name = 'StoreAway'
  readonly code = 'STORE_AWAY'

  constructor(cause?: unknown, message = 'Redis does not answer, and operations are kept there. Try again.') {
    super(message, { cause })
  }
}

export class LeaseLost extends Error {
  override readonly name = 'LeaseLost'
  readonly code = 'LEASE_LOST'

  constructor(id: string, why: keyof typeof LOST = 'TAKEN') {
    super(`The operation ${id} is no longer driven from here: ${LOST[why]}`)
  }
}

const LOST = {
  TAKEN: 'another replica drives it now.',
  EXPIRED: 'this replica, or Redis, did not answer for longer than the right to drive it lasts.',
  GONE: 'Redis has it no more: it was restarted without its data, or is out of memory. What was begun of it may have been done.',
  RELEASED: 'the right to drive it was given back.',
} as const
