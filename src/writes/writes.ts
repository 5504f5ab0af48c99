/**
 * Changes as mutations ask for them: the one thing of this folder that the graph sees.
 *
 *     change ──▶ run ──▶ results                      all at once, for whoever waits
 *            ├─▶ run with a key or a strategy ──▶ operation ──▶ results
 *            └─▶ plan ──▶ token ──▶ confirm ──▶ operation
 */
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { Change, StepResult } from './change.ts'
import type { OperationRecord, Strategy } from './operation.ts'
import type { BlastRadius } from './blast-radius.ts'

export interface RunOptions {
  readonly dryRun: boolean
  /** Of this user: the same key is the same operation, also on another replica. At most 255 characters. */
  readonly idempotencyKey?: string
  /** Given: the answer does not wait for the end, but for the beginning. */
  readonly strategy?: Strategy
}

export interface RunOutcome {
  /** In order of their steps; of an operation that goes on those that are done. */
  readonly results: readonly StepResult[]
  /** `null`: nothing was kept of it. */
  readonly operation: OperationRecord | null
  /** This is what was done for an earlier request with the same key, or for the same plan. */
  readonly replayed: boolean
}

export interface Plan {
  /** `null`: there is nothing that could be confirmed, since a step would fail. */
  readonly token: string | null
  /** Epoch milliseconds. */
  readonly expiresAt: number
  /** Of the dry run of each step. */
  readonly results: readonly StepResult[]
  readonly blastRadius: BlastRadius
}

/** Why nothing was begun: for the whole request, and not for one cluster. */
export class ChangeRefused extends Error {
  override readonly name = 'ChangeRefused'
  readonly code:
    | 'IDEMPOTENCY_KEY_REUSED'
    | 'PLAN_INVALID'
    | 'PLAN_EXPIRED'
    | 'OPERATION_NOT_FOUND'
    | 'UNAVAILABLE'
    | 'TOO_MANY_OPERATIONS'
    | 'TOO_LARGE'

  constructor(code: ChangeRefused['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** For one viewer's request. Everything but results is said by `ChangeRefused`. */
export interface Writes {
  /** Whether operations and idempotency keys are known to all replicas, and survive this one. */
  readonly shared: boolean
  /**
   * Before a change with an idempotency key is composed, which may cost requests: what was done for the key before, or
   * else the right to be the only one here who is at it, to be given back when it has run. Whoever comes meanwhile
   * waits. `digest` of the change that is asked for.
   */
  claim(
    fleet: AuthorizedFleet,
    request: { readonly idempotencyKey: string; readonly digest: string },
    signal?: AbortSignal,
  ): Promise<RunOutcome | (() => void)>
  run(fleet: AuthorizedFleet, change: Change, options: RunOptions, signal?: AbortSignal): Promise<RunOutcome>
  plan(
    fleet: AuthorizedFleet,
    change: Change,
    options: { readonly strategy?: Strategy },
    signal?: AbortSignal,
  ): Promise<Plan>
  /** Once: a token that was confirmed before is answered with what came of it. */
  confirm(fleet: AuthorizedFleet, token: string, signal?: AbortSignal): Promise<RunOutcome>
  /** The viewer's own, or anybody's for those who may read the audit. */
  operation(fleet: AuthorizedFleet, id: string): Promise<OperationRecord | undefined>
  operations(fleet: AuthorizedFleet, first: number, after?: string): Promise<readonly OperationRecord[]>
  /** The viewer's own. Steps that were begun are carried to their end. */
  cancel(fleet: AuthorizedFleet, id: string): Promise<OperationRecord>
  /** As it is now, and after each change of it, until it has ended; steps that the reader is slow for are left out. */
  follow(fleet: AuthorizedFleet, id: string, signal: AbortSignal): AsyncIterable<OperationRecord>
}
