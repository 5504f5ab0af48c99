/**
 * What is to be changed, and what came of it: the contract between the mutations, which compose changes, the
 * steps, which carry them out one object at a time, and the operations, which decide when and in which cluster.
 *
 * A change is plain JSON: it travels through Redis, and another replica can go on with it. Whatever a step needs
 * that a second attempt would find otherwise – a name, a time, a number of replicas – is therefore fixed before it
 * is begun, so that a step that is carried out twice has one effect.
 */
import type { KubernetesJson } from '../kubernetes/json.ts'

/** What a mutation is called; policies, operations and audit records name it. */
export const VERBS = [
  'deploy',
  'applyManifest',
  'deleteObject',
  'scale',
  'autoscale',
  'restart',
  'pause',
  'resume',
  'setImage',
  'rollback',
  'suspend',
  'trigger',
  'expose',
  'unexpose',
  'deletePod',
  'evictPod',
  'cordon',
  'uncordon',
  'drain',
  'label',
  'annotate',
  'createNamespace',
  'deleteNamespace',
] as const
export type Verb = (typeof VERBS)[number]

/** One object of one cluster, whether or not it exists. */
export interface ObjectKey {
  readonly cluster: string
  /** `v1`, `apps/v1`. */
  readonly apiVersion: string
  readonly kind: string
  /** `null` for kinds without one. */
  readonly namespace: string | null
  readonly name: string
}

/** A change of fields of an object that exists. Made from its live form, so nothing else of it is touched. */
export type Edit =
  /** `spec.replicas` is never changed by an edit: that is the step SCALE. */
  | { readonly type: 'RESTART'; /** RFC 3339, the same for all. */ readonly at: string }
  /** `spec.paused` of a Deployment. */
  | { readonly type: 'PAUSED'; readonly paused: boolean }
  /** `spec.suspend` of a CronJob or a Job. */
  | { readonly type: 'SUSPENDED'; readonly suspended: boolean }
  /** Images by the name of their container, init containers too; `''` names the only container there is. */
  | { readonly type: 'IMAGES'; readonly images: Readonly<Record<string, string>> }
  /** `null` takes a label or an annotation away. `overwrite: false`: another value that is there is a CONFLICT. */
  | {
      readonly type: 'LABELS' | 'ANNOTATIONS'
      readonly values: Readonly<Record<string, string | null>>
      readonly overwrite: boolean
    }
  /** `spec.unschedulable` of a Node. */
  | { readonly type: 'UNSCHEDULABLE'; readonly unschedulable: boolean }

/**
 * The manifest is that of a Secret as it is kept in an operation: without its values. It is never carried out; the
 * replica that was sent the values has them in memory.
 */
export type Withheld = true

export type PropagationPolicy = 'Background' | 'Foreground' | 'Orphan'

export type Action =
  /** Server-side apply by the field manager `fleetgraph`. `force` takes fields over from other managers. */
  | {
      readonly type: 'APPLY'
      readonly manifest: KubernetesJson
      readonly force: boolean
      readonly withheld?: Withheld
    }
  /** `ifAbsent`: one that is there already is UNCHANGED, and not a CONFLICT. */
  | {
      readonly type: 'CREATE'
      readonly manifest: KubernetesJson
      readonly ifAbsent: boolean
      readonly withheld?: Withheld
    }
  | { readonly type: 'EDIT'; readonly edit: Edit }
  /** By the subresource `scale`. One of `to` and `by`; a negative `by` ends at `min`. */
  | {
      readonly type: 'SCALE'
      readonly to?: number
      readonly by?: number
      readonly expectedReplicas?: number
    }
  /** To a revision of a Deployment, StatefulSet or DaemonSet; `null`: the one before the present. */
  | { readonly type: 'ROLL_BACK'; readonly toRevision: number | null }
  /**
   * `ifPresent`: one that is not there is UNCHANGED, and not NOT_FOUND. `untilGone`: the step ends when the object
   * is gone, and not when its deletion has begun.
   */
  | {
      readonly type: 'DELETE'
      readonly propagationPolicy?: PropagationPolicy
      readonly gracePeriodSeconds?: number
      readonly ifPresent: boolean
      readonly untilGone: boolean
    }
  /**
   * Of a Pod, as its disruption budgets allow. `patienceMs`: for so long it is asked again while they do not; 0 says
   * so at once. `untilGone` as for DELETE.
   */
  | {
      readonly type: 'EVICT'
      readonly gracePeriodSeconds?: number
      readonly patienceMs: number
      readonly untilGone: boolean
    }
  /**
   * Puts an object back to what it was, as a rollback of a step: `to` is its former form, `null`: it was not there.
   * Only where nobody else has changed it since: `from` is what the step left, as `fingerprint` tells it.
   * `keepReplicas`: the step left `spec.replicas` alone, and so does this, since an autoscaler may have set them
   * meanwhile; they are not in `from`.
   */
  | {
      readonly type: 'RESTORE'
      readonly to: KubernetesJson | null
      readonly from: string | null
      readonly keepReplicas?: true
      readonly withheld?: Withheld
    }

/** What must hold of the object, or else the step is a CONFLICT and changes nothing. */
export interface Preconditions {
  readonly uid?: string
  readonly resourceVersion?: string
  /** What `fingerprint` says of the object as a plan has seen it; `null`: it was not there. */
  readonly fingerprint?: string | null
}

export interface Step {
  /** Its place in the change. */
  readonly index: number
  readonly object: ObjectKey
  readonly action: Action
  readonly preconditions?: Preconditions
  /**
   * Within a cluster steps of a lower stage come first, and where one of them fails those of the later stages are
   * SKIPPED. Steps of one stage are independent of each other, and go at the same time.
   */
  readonly stage: number
  /** Stages of one group of a cluster know nothing of those of another: each node of a drain has its own. */
  readonly group?: string
  /** What is done with the object, for a person: `scale to 3`. */
  readonly purpose: string
  /** For a person, with its result where it was changed: what else there is to know. A sentence. */
  readonly note?: string
}

export interface Change {
  readonly verb: Verb
  /** SHA-256, in hex, of the verb and the arguments that the user gave: the same for the same request. */
  readonly digest: string
  /** Ordered by `index`. */
  readonly steps: readonly Step[]
  /** What is known before anything is done: clusters of which it could not be told what is in them. */
  readonly known: readonly StepResult[]
  /** A sentence for a person: `scale Deployment shop/web to 3 in 2 clusters`. */
  readonly title: string
}

export const OUTCOMES = [
  'CREATED',
  'UPDATED',
  'UNCHANGED',
  'DELETED',
  'SKIPPED',
  'FAILED',
  'FORBIDDEN',
  'CONFLICT',
  'UNREACHABLE',
] as const
export type Outcome = (typeof OUTCOMES)[number]

/** Outcomes of what was not done as asked. */
export const FAILURES: ReadonlySet<Outcome> = new Set([
  'SKIPPED',
  'FAILED',
  'FORBIDDEN',
  'CONFLICT',
  'UNREACHABLE',
])

/** With what is said of each in the schema. */
export const CHANGE_ERROR_CODES = {
  NOT_FOUND: 'There is no such object, or no longer.',
  ALREADY_EXISTS: 'There is an object of this name already.',
  INVALID: 'The API server or its admission refused the object; `causes` says which fields.',
  FORBIDDEN: 'The cluster does not allow you to do this.',
  CONFLICT:
    'The object is not as it was expected: somebody changed it, or other managers own some fields (`causes` names them).',
  POLICY_VIOLATION: 'A policy of the gateway forbids it; `policy` names it.',
  CONFIRMATION_REQUIRED:
    'A policy of the gateway asks for a plan that is confirmed: use `plan` and `confirm`.',
  NOT_SERVED: 'The cluster does not serve this API version and kind.',
  NOT_SUPPORTED: 'Objects of this kind cannot be changed in this way.',
  DISRUPTION_BUDGET: 'A PodDisruptionBudget does not allow the pod to go now.',
  UNREACHABLE: 'The cluster did not answer.',
  TIMEOUT: 'It took too long.',
  NOT_ATTEMPTED: 'It was not begun: a step before it failed, or the operation was stopped.',
  INTERRUPTED: 'What does it stopped in the middle of it, and it cannot be told what came of it.',
  FAILED: 'The API server refused the request; the message says why.',
} as const
export type ChangeErrorCode = keyof typeof CHANGE_ERROR_CODES

export interface ChangeError {
  readonly code: ChangeErrorCode
  /** For a person: what was wrong, where, and what to do. No address, nothing of a Secret. */
  readonly message: string
  /** Fields at fault, as the API server names them. */
  readonly causes: readonly {
    readonly field: string | null
    readonly reason: string | null
    readonly message: string | null
  }[]
  /** Of POLICY_VIOLATION and CONFIRMATION_REQUIRED: its name. */
  readonly policy: string | null
  /** Whether the change may have been made all the same: the request was sent, and its answer was not heard. */
  readonly mayHaveBeenApplied: boolean
  readonly retryAfterSeconds: number | null
}

export interface StepResult {
  readonly index: number
  readonly object: ObjectKey
  readonly purpose: string
  readonly outcome: Outcome
  readonly dryRun: boolean
  /**
   * The object before and after, without `managedFields`, and without the values of a Secret; `null` where there
   * was none or it is not known. Of a dry run `after` is what the API server would have stored.
   */
  readonly before: KubernetesJson | null
  readonly after: KubernetesJson | null
  readonly error: ChangeError | null
  /** Of the newest version that is known to hold this change; for read-your-writes. Of a dry run `null`. */
  readonly resourceVersion: string | null
  /** For a person, where there is more to say: `container "app": nginx:1.27 → nginx:1.28`. */
  readonly note: string | null
  /** Epoch milliseconds. */
  readonly startedAt: number
  readonly finishedAt: number
}
