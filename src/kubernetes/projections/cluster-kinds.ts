/** Projections of what a cluster is made of and governed by: Node, Namespace, ResourceQuota, HorizontalPodAutoscaler, Event. */
import type {
  EventRow,
  HorizontalPodAutoscalerRow,
  NamespaceRow,
  NodeRow,
  ResourceQuotaRow,
  ScalingMetric,
} from '../rows.ts'
import { integer, integerOrNull, list, record, seconds, text, textOrNull, type Json } from './fields.ts'
import { metadataOf } from './metadata.ts'
import {
  conditionOf,
  shareAmounts,
  shareConditions,
  shareList,
  shareText,
  shareTextOrNull,
  shareTexts,
} from './shared.ts'

const ROLE_PREFIX = 'node-role.kubernetes.io/'

/** As kubectl finds them: the suffixes of `node-role.kubernetes.io/…` labels, and the older `kubernetes.io/role`. */
function rolesOf(labels: Readonly<Record<string, string>>): readonly string[] {
  const roles = new Set<string>()
  for (const label in labels) {
    if (label.startsWith(ROLE_PREFIX) && label.length > ROLE_PREFIX.length) {
      roles.add(label.slice(ROLE_PREFIX.length))
    } else if (label === 'kubernetes.io/role' && labels[label]) roles.add(labels[label])
  }
  return shareList(Array.from(roles).sort())
}

export function projectNode(object: unknown, cluster: string): NodeRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const info = record(status['nodeInfo'])
  const meta = metadataOf('Node', raw, cluster)
  const conditions = shareConditions(status['conditions'])
  return {
    ...meta,
    ready: conditionOf(conditions, 'Ready')?.status ?? 'Unknown',
    unschedulable: spec['unschedulable'] === true,
    roles: rolesOf(meta.labels),
    taints: list(spec['taints']).map((item) => {
      const taint = record(item)
      return {
        key: shareText(taint['key']),
        value: shareTextOrNull(taint['value']),
        effect: shareText(taint['effect']),
      }
    }),
    addresses: list(status['addresses']).map((item) => {
      const address = record(item)
      return { type: shareText(address['type']), address: text(address['address']) }
    }),
    capacity: shareAmounts(status['capacity']),
    allocatable: shareAmounts(status['allocatable']),
    conditions,
    podCIDR: textOrNull(spec['podCIDR']),
    providerID: textOrNull(spec['providerID']),
    kubeletVersion: shareText(info['kubeletVersion']),
    containerRuntimeVersion: shareText(info['containerRuntimeVersion']),
    kernelVersion: shareText(info['kernelVersion']),
    osImage: shareText(info['osImage']),
    operatingSystem: shareText(info['operatingSystem']),
    architecture: shareText(info['architecture']),
  }
}

export function projectNamespace(object: unknown, cluster: string): NamespaceRow {
  const raw = record(object)
  const status = record(raw['status'])
  return {
    ...metadataOf('Namespace', raw, cluster),
    phase: status['phase'] === 'Terminating' ? 'Terminating' : 'Active',
    conditions: shareConditions(status['conditions']),
  }
}

export function projectResourceQuota(object: unknown, cluster: string): ResourceQuotaRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  return {
    ...metadataOf('ResourceQuota', raw, cluster),
    // What is enforced; until the controller has seen the spec, what is asked for.
    hard: shareAmounts(status['hard'] ?? spec['hard']),
    used: shareAmounts(status['used']),
    scopes: shareTexts(spec['scopes']),
  }
}

/** The field of a metric's source, by its type. */
const METRIC_FIELDS: Readonly<Record<string, string>> = {
  Resource: 'resource',
  ContainerResource: 'containerResource',
  Pods: 'pods',
  Object: 'object',
  External: 'external',
}

function percentage(value: unknown): string | null {
  return typeof value === 'number' ? `${value}%` : null
}

/** `target` of a metric's spec or `current` of its status, in `v2`; as kubectl prints it. */
function metricValue(type: string, value: Json): string | null {
  const average = textOrNull(value['averageValue'])
  if (type === 'Object' || type === 'External') {
    return textOrNull(value['value']) ?? (average && `${average} (avg)`)
  }
  return percentage(value['averageUtilization']) ?? average
}

function metricOf(item: unknown): { type: string; name: string; source: Json } {
  const metric = record(item)
  const type = text(metric['type'])
  const source = record(metric[METRIC_FIELDS[type] ?? ''])
  // `v2` names a metric in `metric.name`, resources in `name`.
  return { type, name: text(source['name']) || text(record(source['metric'])['name']), source }
}

/** `v2` and `v2beta2`, which agree in all of these fields. */
function metrics(spec: Json, status: Json): readonly ScalingMetric[] {
  const current = list(status['currentMetrics']).map(metricOf)
  return list(spec['metrics']).map((item) => {
    const { type, name, source } = metricOf(item)
    const seen = current.find((metric) => metric.type === type && metric.name === name)
    return {
      type: shareText(type),
      name: shareText(name),
      target: metricValue(type, record(source['target'])),
      current: seen ? metricValue(type, record(seen.source['current'])) : null,
    }
  })
}

/** `autoscaling/v1` knows nothing but CPU. */
function cpuMetric(spec: Json, status: Json): readonly ScalingMetric[] {
  const target = percentage(spec['targetCPUUtilizationPercentage'])
  const current = percentage(status['currentCPUUtilizationPercentage'])
  return target === null ? [] : [{ type: 'Resource', name: 'cpu', target, current }]
}

export function projectHorizontalPodAutoscaler(object: unknown, cluster: string): HorizontalPodAutoscalerRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const target = record(spec['scaleTargetRef'])
  return {
    ...metadataOf('HorizontalPodAutoscaler', raw, cluster),
    targetKind: shareText(target['kind']),
    targetName: text(target['name']),
    minReplicas: integer(spec['minReplicas'], 1),
    maxReplicas: integer(spec['maxReplicas']),
    currentReplicas: integer(status['currentReplicas']),
    desiredReplicas: integer(status['desiredReplicas']),
    metrics: Array.isArray(spec['metrics']) ? metrics(spec, status) : cpuMetric(spec, status),
    conditions: shareConditions(status['conditions']),
    lastScaleTime: seconds(status['lastScaleTime']),
  }
}

/** `v1`; an Event that a newer client wrote has its time in `eventTime` and its count in `series`. */
export function projectEvent(object: unknown, cluster: string): EventRow {
  const raw = record(object)
  const series = record(raw['series'])
  const regarding = record(raw['involvedObject'] ?? raw['regarding'])
  const source = record(raw['source'] ?? raw['deprecatedSource'])
  const firstSeen =
    seconds(raw['firstTimestamp'] ?? raw['deprecatedFirstTimestamp']) ?? seconds(raw['eventTime'])
  const lastSeen =
    seconds(series['lastObservedTime']) ?? seconds(raw['lastTimestamp'] ?? raw['deprecatedLastTimestamp'])
  return {
    ...metadataOf('Event', raw, cluster),
    type: shareText(raw['type']) || 'Normal',
    reason: shareText(raw['reason']),
    message: text(raw['message'] ?? raw['note']),
    count: integerOrNull(series['count']) ?? (integer(raw['count'] ?? raw['deprecatedCount']) || 1),
    firstSeen,
    lastSeen: lastSeen ?? firstSeen,
    source:
      shareText(source['component']) ||
      shareText(raw['reportingComponent']) ||
      shareText(raw['reportingController']),
    regardingKind: shareText(regarding['kind']),
    regardingNamespace: shareText(regarding['namespace']),
    regardingName: text(regarding['name']),
    regardingUid: text(regarding['uid']),
  }
}
