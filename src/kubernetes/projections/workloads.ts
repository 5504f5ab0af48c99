/** Projections of Deployment, ReplicaSet, StatefulSet, DaemonSet, Job and CronJob. */
import type {
  CronJobRow,
  DaemonSetRow,
  DeploymentRow,
  JobRow,
  LabelSelector,
  ReplicaSetRow,
  StatefulSetRow,
  WorkloadMeta,
} from '../rows.ts'
import {
  integer,
  integerOrNull,
  intOrText,
  isRecord,
  list,
  record,
  seconds,
  text,
  textOrNull,
  type Json,
} from './fields.ts'
import { metadataOf } from './metadata.ts'
import { podResources } from './pod-resources.ts'
import {
  cronJobRollout,
  daemonSetRollout,
  deploymentRollout,
  jobRollout,
  replicaSetRollout,
  statefulSetRollout,
} from './rollout.ts'
import {
  integerText,
  NO_LABELS,
  shareConditions,
  shareContainers,
  shareLabels,
  shareSelector,
  shareText,
  shareTexts,
  shareVolumes,
} from './shared.ts'

type TemplateFields = Pick<WorkloadMeta, 'containers' | 'volumes' | 'cpuRequest' | 'memoryRequest'>

function templateFields(template: unknown): TemplateFields {
  const podSpec = record(record(template)['spec'])
  const containers = shareContainers(podSpec).value
  const { cpuRequest, memoryRequest } = podResources(podSpec, containers)
  return { containers, volumes: shareVolumes(podSpec).value, cpuRequest, memoryRequest }
}

function annotation(object: Json, name: string): unknown {
  return record(record(object['metadata'])['annotations'])[name]
}

/** `apps/v1beta1` and older allowed none: the template's labels then are the selector. */
function selectorOf(spec: Json): LabelSelector | null {
  if (isRecord(spec['selector'])) return shareSelector(spec['selector'])
  const labels = shareLabels(record(record(spec['template'])['metadata'])['labels'])
  return labels === NO_LABELS ? null : shareSelector({ matchLabels: labels })
}

export function projectDeployment(object: unknown, cluster: string): DeploymentRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const strategy = record(spec['strategy'])
  const rolling = record(strategy['rollingUpdate'])
  const meta = metadataOf('Deployment', raw, cluster)
  const counts = {
    generation: meta.generation,
    desired: integer(spec['replicas'], 1),
    current: integer(status['replicas']),
    ready: integer(status['readyReplicas']),
    updated: integer(status['updatedReplicas']),
    available: integer(status['availableReplicas']),
    observedGeneration: integer(status['observedGeneration']),
    conditions: shareConditions(status['conditions']),
  }
  const paused = spec['paused'] === true
  return {
    ...meta,
    ...counts,
    selector: selectorOf(spec),
    ...templateFields(spec['template']),
    rollout: deploymentRollout({ ...counts, paused }),
    strategy: shareText(strategy['type']) || 'RollingUpdate',
    maxSurge: intOrText(rolling['maxSurge']),
    maxUnavailable: intOrText(rolling['maxUnavailable']),
    paused,
    revision: integerText(annotation(raw, 'deployment.kubernetes.io/revision')),
    progressDeadlineSeconds: integerOrNull(spec['progressDeadlineSeconds']),
    revisionHistoryLimit: integerOrNull(spec['revisionHistoryLimit']),
  }
}

export function projectReplicaSet(object: unknown, cluster: string): ReplicaSetRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const meta = metadataOf('ReplicaSet', raw, cluster)
  const counts = {
    generation: meta.generation,
    desired: integer(spec['replicas'], 1),
    current: integer(status['replicas']),
    ready: integer(status['readyReplicas']),
    // All replicas of a ReplicaSet are of its one template.
    updated: integer(status['fullyLabeledReplicas'], integer(status['replicas'])),
    available: integer(status['availableReplicas']),
    observedGeneration: integer(status['observedGeneration']),
    conditions: shareConditions(status['conditions']),
  }
  return {
    ...meta,
    ...counts,
    selector: selectorOf(spec),
    ...templateFields(spec['template']),
    rollout: replicaSetRollout(counts),
    revision: integerText(annotation(raw, 'deployment.kubernetes.io/revision')),
  }
}

export function projectStatefulSet(object: unknown, cluster: string): StatefulSetRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const strategy = record(spec['updateStrategy'])
  const meta = metadataOf('StatefulSet', raw, cluster)
  const ready = integer(status['readyReplicas'])
  const counts = {
    generation: meta.generation,
    desired: integer(spec['replicas'], 1),
    current: integer(status['replicas']),
    ready,
    updated: integer(status['updatedReplicas']),
    // The field came with 1.22; before it, ready is the most that is known.
    available: integer(status['availableReplicas'], ready),
    observedGeneration: integer(status['observedGeneration']),
    conditions: shareConditions(status['conditions']),
  }
  const revisions = {
    updateStrategy: shareText(strategy['type']) || 'RollingUpdate',
    currentRevision: textOrNull(status['currentRevision']),
    updateRevision: textOrNull(status['updateRevision']),
  }
  return {
    ...meta,
    ...counts,
    selector: selectorOf(spec),
    ...templateFields(spec['template']),
    rollout: statefulSetRollout({
      ...counts,
      ...revisions,
      rolling: isRecord(strategy['rollingUpdate']),
      partition: integerOrNull(record(strategy['rollingUpdate'])['partition']),
    }),
    serviceName: shareText(spec['serviceName']),
    podManagementPolicy: shareText(spec['podManagementPolicy']) || 'OrderedReady',
    ...revisions,
    volumeClaimTemplates: shareTexts(
      list(spec['volumeClaimTemplates']).map((claim) => record(record(claim)['metadata'])['name']),
    ),
  }
}

export function projectDaemonSet(object: unknown, cluster: string): DaemonSetRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const meta = metadataOf('DaemonSet', raw, cluster)
  const counts = {
    generation: meta.generation,
    desired: integer(status['desiredNumberScheduled']),
    current: integer(status['currentNumberScheduled']),
    ready: integer(status['numberReady']),
    updated: integer(status['updatedNumberScheduled']),
    available: integer(status['numberAvailable']),
    observedGeneration: integer(status['observedGeneration']),
    conditions: shareConditions(status['conditions']),
  }
  const updateStrategy = shareText(record(spec['updateStrategy'])['type']) || 'RollingUpdate'
  return {
    ...meta,
    ...counts,
    selector: selectorOf(spec),
    ...templateFields(spec['template']),
    rollout: daemonSetRollout({ ...counts, updateStrategy }),
    updateStrategy,
    misscheduled: integer(status['numberMisscheduled']),
    unavailable: integer(status['numberUnavailable']),
  }
}

export function projectJob(object: unknown, cluster: string): JobRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const meta = metadataOf('Job', raw, cluster)
  const parallelism = integer(spec['parallelism'], 1)
  const completions = integerOrNull(spec['completions'])
  const active = integer(status['active'])
  const succeeded = integer(status['succeeded'])
  const ready = integer(status['ready'])
  const job = {
    desired: completions ?? parallelism,
    conditions: shareConditions(status['conditions']),
    suspend: spec['suspend'] === true,
    succeeded,
  }
  return {
    ...meta,
    desired: job.desired,
    current: active,
    ready,
    updated: active,
    available: ready,
    // A Job's status has no observed generation: its template cannot change.
    observedGeneration: meta.generation,
    selector: shareSelector(spec['selector']),
    ...templateFields(spec['template']),
    conditions: job.conditions,
    rollout: jobRollout(job),
    parallelism,
    completions,
    backoffLimit: integer(spec['backoffLimit'], 6),
    active,
    succeeded,
    failed: integer(status['failed']),
    suspend: job.suspend,
    startTime: seconds(status['startTime']),
    completionTime: seconds(status['completionTime']),
  }
}

/** `batch/v1` and `batch/v1beta1`, which have the same fields. */
export function projectCronJob(object: unknown, cluster: string): CronJobRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const meta = metadataOf('CronJob', raw, cluster)
  const suspend = spec['suspend'] === true
  const active = list(status['active']).length
  return {
    ...meta,
    desired: 0,
    current: active,
    ready: 0,
    updated: 0,
    available: 0,
    observedGeneration: meta.generation,
    selector: null,
    ...templateFields(record(record(spec['jobTemplate'])['spec'])['template']),
    conditions: shareConditions(status['conditions']),
    rollout: cronJobRollout(suspend),
    schedule: text(spec['schedule']),
    timeZone: textOrNull(spec['timeZone']),
    suspend,
    concurrencyPolicy: shareText(spec['concurrencyPolicy']) || 'Allow',
    active,
    lastScheduleTime: seconds(status['lastScheduleTime']),
    lastSuccessfulTime: seconds(status['lastSuccessfulTime']),
  }
}
