/**
 * How one step is carried out: the contract between the steps (`steps/`) and whoever drives them (`runner.ts`).
 *
 * `prepare` reads and decides everything that a second attempt would find otherwise; what it returns is plain JSON,
 * and may be written down before anything is sent. `execute` sends it. `settle` is for a step that was begun by a
 * replica which then stopped: it finds out whether it was done, and does it only where it was not.
 *
 * None of them throws but for a bug, an aborted signal (`signal.reason`), or a store that is away: whatever a cluster
 * answers, or does not, is a result.
 */
import type { ViewerClient } from '../access/viewer-client.ts'
import type { Viewer } from '../access/viewer.ts'
import type { Clock } from '../fleet/clock.ts'
import type { KubernetesJson } from '../kubernetes/json.ts'
import type { Action, ChangeError, Outcome, Step, Verb } from './change.ts'

export interface StepContext {
  readonly client: ViewerClient
  readonly viewer: Viewer
  readonly clock: Clock
  readonly verb: Verb
  readonly dryRun: boolean
  /** Before anything is sent; the first violation is the result. */
  readonly judge: Judge
  /** Ends waiting between requests, and requests under way. */
  readonly signal: AbortSignal
  /**
   * Of a dry run: namespaces of this cluster that earlier steps of the same change would create. What is to be put
   * into one of them cannot be put to the API server yet: it counts as CREATED, and the note says so.
   */
  readonly createdNamespaces?: ReadonlySet<string>
  /**
   * `Widget.example.com`: kinds that CustomResourceDefinitions of the same change define in this cluster. Of a dry run
   * what is of such a kind counts as CREATED while the cluster does not serve it yet, as in a namespace to come.
   */
  readonly definedKinds?: ReadonlySet<string>
  /**
   * Of an operation: writes down what `execute` has decided anew, since somebody else was faster, before it is sent.
   * Rejects where it cannot be kept; then it may not be sent.
   */
  readonly keep?: (prepared: Prepared) => Promise<void>
}

/** A step about to be carried out, as policies see it. */
export interface Proposal {
  readonly verb: Verb
  readonly viewer: Viewer
  readonly cluster: { readonly name: string; readonly labels: Readonly<Record<string, string>> }
  readonly step: Step
  /** As it is, without `managedFields`; `null`: it is not there, or may not be read. */
  readonly before: KubernetesJson | null
  /** As it would be; `null`: it would be gone. */
  readonly after: KubernetesJson | null
}

/** `null`: nothing is against it. */
export interface Judge {
  /**
   * Whether `after` of an APPLY has to be what the API server makes of it, by a dry run of its own: somebody is going
   * to look at it.
   */
  readonly needsObjects: boolean
  judge(proposal: Proposal): ChangeError | null
}

/** Plain JSON, but for what is only of this process. */
export interface Prepared {
  /** The step's, with what was decided: a `by` is a `to` now. */
  readonly action: Action
  /** As it was read, whole but for `managedFields`. `null`: it was not there, or could not be read. */
  readonly before: KubernetesJson | null
  /** The viewer may not read it: of `before` nothing is known. */
  readonly unread?: true
  /** What `execute` sends, where it is decided by now: a JSON Patch (RFC 6902) of an edit. */
  readonly patch?: readonly unknown[]
  /** By which the write can be told from any other of the same content (`trace.ts`). */
  readonly mark?: string
}

/** The end of a step. `before` and `after` are whole but for `managedFields`: whoever shows them redacts Secrets. */
export interface Done {
  readonly outcome: Outcome
  readonly before: KubernetesJson | null
  readonly after: KubernetesJson | null
  readonly error: ChangeError | null
  readonly resourceVersion: string | null
  readonly note: string | null
}

export interface Stepper {
  /** `Done`: there is nothing to be sent – UNCHANGED, a precondition that does not hold, a policy against it. */
  prepare(step: Step, context: StepContext): Promise<Prepared | Done>
  execute(step: Step, prepared: Prepared, context: StepContext): Promise<Done>
  settle(step: Step, prepared: Prepared, context: StepContext): Promise<Done>
}

export function isDone(end: Prepared | Done): end is Done {
  return 'outcome' in end
}
