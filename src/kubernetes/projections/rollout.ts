/**
 * Where a rollout stands. For Deployments, StatefulSets and DaemonSets the judgement of `kubectl rollout
 * status` (kubectl/pkg/polymorphichelpers), with its sentence; for the other workloads, which kubectl
 * does not judge, the nearest equivalent. Pure functions of a row's counts.
 */
import type { Condition, RolloutState } from '../rows.ts'
import { conditionOf } from './shared.ts'

function state(
  status: RolloutState['status'],
  reason: string | null = null,
  message: string | null = null,
): RolloutState {
  return Object.freeze({ status, reason, message })
}

const COMPLETE = state('COMPLETE')
const NOT_OBSERVED = state('PROGRESSING', 'SpecNotObserved', 'Waiting for the new spec to be observed')

interface Counts {
  readonly generation: number
  readonly observedGeneration: number
  readonly desired: number
  readonly current: number
  readonly ready: number
  readonly updated: number
  readonly available: number
  readonly conditions: readonly Condition[]
}

export function deploymentRollout(counts: Counts & { readonly paused: boolean }): RolloutState {
  const judged = judgeDeployment(counts)
  return counts.paused && judged.status === 'PROGRESSING'
    ? state('PAUSED', 'DeploymentPaused', judged.message)
    : judged
}

function judgeDeployment(counts: Counts): RolloutState {
  if (counts.generation > counts.observedGeneration) return NOT_OBSERVED
  const progressing = conditionOf(counts.conditions, 'Progressing')
  if (progressing?.reason === 'ProgressDeadlineExceeded') {
    return state('FAILED', progressing.reason, progressing.message)
  }
  const { updated, desired, current, available } = counts
  const waiting = (message: string) => state('PROGRESSING', progressing?.reason ?? null, message)
  if (updated < desired) return waiting(`${updated} out of ${desired} new replicas have been updated`)
  if (current > updated) return waiting(`${current - updated} old replicas are pending termination`)
  if (available < updated) return waiting(`${available} of ${updated} updated replicas are available`)
  return COMPLETE
}

export function statefulSetRollout(
  counts: Counts & {
    readonly updateStrategy: string
    readonly currentRevision: string | null
    readonly updateRevision: string | null
    /** `spec.updateStrategy.rollingUpdate` is there. */
    readonly rolling: boolean
    /** Its `partition`, or `null`. */
    readonly partition: number | null
  },
): RolloutState {
  const { desired, ready, updated } = counts
  if (counts.observedGeneration === 0 || counts.generation > counts.observedGeneration) return NOT_OBSERVED
  if (ready < desired) {
    return state('PROGRESSING', 'PodsNotReady', `Waiting for ${desired - ready} pods to be ready`)
  }
  if (counts.updateStrategy !== 'RollingUpdate') return state('COMPLETE', counts.updateStrategy)
  if (counts.rolling) {
    const target = desired - (counts.partition ?? 0)
    if (counts.partition === null || updated >= target) return COMPLETE
    return state('PROGRESSING', 'Updating', `${updated} out of ${target} new pods have been updated`)
  }
  if (counts.updateRevision === counts.currentRevision) return COMPLETE
  return state('PROGRESSING', 'Updating', `${updated} pods at revision ${counts.updateRevision ?? 'unknown'}`)
}

export function daemonSetRollout(counts: Counts & { readonly updateStrategy: string }): RolloutState {
  const { updated, desired, available } = counts
  if (counts.generation > counts.observedGeneration) return NOT_OBSERVED
  const rolling = counts.updateStrategy === 'RollingUpdate'
  if (rolling && updated < desired) {
    return state('PROGRESSING', 'Updating', `${updated} out of ${desired} new pods have been updated`)
  }
  if (available < desired) {
    return state('PROGRESSING', 'PodsNotReady', `${available} of ${desired} updated pods are available`)
  }
  return rolling ? COMPLETE : state('COMPLETE', counts.updateStrategy)
}

export function replicaSetRollout(counts: Counts): RolloutState {
  if (counts.generation > counts.observedGeneration) return NOT_OBSERVED
  const failure = conditionOf(counts.conditions, 'ReplicaFailure')
  if (failure?.status === 'True') return state('FAILED', failure.reason, failure.message)
  const { desired, current, available } = counts
  if (current === desired && available >= desired) return COMPLETE
  return state('PROGRESSING', null, `${available} of ${desired} replicas are available`)
}

export function jobRollout(job: {
  readonly conditions: readonly Condition[]
  readonly suspend: boolean
  readonly succeeded: number
  readonly desired: number
}): RolloutState {
  const failed = conditionOf(job.conditions, 'Failed')
  if (failed?.status === 'True') return state('FAILED', failed.reason, failed.message)
  if (conditionOf(job.conditions, 'Complete')?.status === 'True') return COMPLETE
  if (job.suspend) return state('PAUSED', 'JobSuspended')
  return state('PROGRESSING', null, `${job.succeeded} of ${job.desired} completions`)
}

export function cronJobRollout(suspend: boolean): RolloutState {
  return suspend ? state('PAUSED', 'CronJobSuspended') : COMPLETE
}
