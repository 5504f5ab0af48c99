/**
 * The same objects in another group or version: HPA v1 of v2, events.k8s.io of core events. Also custom
 * resources, whose versions differ in nothing but the name (conversion strategy None).
 */
import { asArray, asNumber, asObject, at, trusted, type JsonObject, type MutableJson } from './json.ts'
import type { KubeObject, KubeObjectInput } from './registry.ts'
import { groupVersion, type ServedResource } from './resources.ts'

/** A stored object as a served version shows it; the same object where that is the stored version. */
export function toView(served: ServedResource, object: KubeObject): KubeObject {
  const { definition, group, version } = served
  if (group === definition.group && version === definition.version) return object
  const apiVersion = groupVersion(group, version)
  if (definition.resource === 'events' && definition.custom === undefined)
    return { ...eventsView(object), apiVersion }
  if (definition.resource === 'horizontalpodautoscalers' && definition.custom === undefined) {
    return { ...autoscalerView(object), apiVersion }
  }
  return { ...object, apiVersion }
}

/** What a client sent in a served version, as the stored version has it. */
export function fromView(served: ServedResource, object: KubeObjectInput): KubeObjectInput {
  const { definition, group, version } = served
  const apiVersion = groupVersion(definition.group, definition.version)
  if (group === definition.group && version === definition.version) return object
  if (definition.resource === 'events' && definition.custom === undefined)
    return { ...coreEvent(object), apiVersion }
  if (definition.resource === 'horizontalpodautoscalers' && definition.custom === undefined) {
    return { ...autoscalerV2(object), apiVersion }
  }
  return { ...object, apiVersion }
}

const eventRenames = [
  ['note', 'message'],
  ['regarding', 'involvedObject'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
  ['reportingController', 'reportingComponent'],
] as const

function eventsView(object: KubeObject): KubeObject {
  const view: MutableJson = { ...object }
  for (const [events, core] of eventRenames) move(view, core, events)
  return trusted(view)
}

function coreEvent(object: KubeObjectInput): KubeObjectInput {
  const event: MutableJson = { ...object }
  for (const [events, core] of eventRenames) move(event, events, core)
  return trusted(event)
}

function move(object: MutableJson, from: string, to: string): void {
  if (object[from] === undefined) return
  object[to] = object[from]
  delete object[from]
}

function cpuTarget(spec: JsonObject): unknown {
  const cpu = asArray(spec['metrics']).find((metric) => at(metric, 'resource', 'name') === 'cpu')
  return at(cpu, 'resource', 'target', 'averageUtilization')
}

function autoscalerView(object: KubeObject): KubeObject {
  const { metrics: _metrics, behavior: _behavior, ...spec } = asObject(object['spec'])
  const { currentMetrics, conditions: _conditions, ...status } = asObject(object['status'])
  const target = cpuTarget(asObject(object['spec']))
  const cpu = asArray(currentMetrics).find((metric) => at(metric, 'resource', 'name') === 'cpu')
  const current = at(cpu, 'resource', 'current', 'averageUtilization')
  return {
    ...object,
    spec: target === undefined ? spec : { ...spec, targetCPUUtilizationPercentage: target },
    status: {
      ...status,
      currentReplicas: asNumber(status['currentReplicas']) ?? 0,
      ...(current === undefined ? {} : { currentCPUUtilizationPercentage: current }),
    },
  }
}

function autoscalerV2(object: KubeObjectInput): KubeObjectInput {
  const { targetCPUUtilizationPercentage: target, ...spec } = asObject(object['spec'])
  if (asNumber(target) === undefined) return { ...object, spec }
  const resource = { name: 'cpu', target: { type: 'Utilization', averageUtilization: target } }
  return { ...object, spec: { ...spec, metrics: [{ type: 'Resource', resource }] } }
}
