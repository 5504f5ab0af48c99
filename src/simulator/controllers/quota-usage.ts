/**
 * What ResourceQuotas count: objects of a kind, the requests and limits of pods, storage. Used by the
 * controller that writes their status and by the admission that refuses what would go beyond.
 * Source: `pkg/quota/v1/evaluator/core` and the quota admission plugin's texts.
 */
import type { KubeObject, Registry, ResourceKey } from '../registry.ts'
import {
  CONFIG_MAPS,
  CRON_JOBS,
  DEPLOYMENTS,
  JOBS,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  readAll,
  REPLICA_SETS,
  RESOURCE_QUOTAS,
  SECRETS,
  SERVICES,
  STATEFUL_SETS,
  type PersistentVolumeClaim,
  type Pod,
  type Resource,
  type Service,
} from './objects.ts'
import { isTerminal } from './pod-template.ts'
import { podRequests, quantity, quantityText } from './quantity.ts'

/** The resources whose objects some quota may count. */
export const quotaResources: readonly Resource<KubeObject>[] = [
  CONFIG_MAPS,
  CRON_JOBS,
  DEPLOYMENTS,
  JOBS,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  REPLICA_SETS,
  RESOURCE_QUOTAS,
  SECRETS,
  SERVICES,
  STATEFUL_SETS,
]

const computeResources = new Set([
  'cpu',
  'memory',
  'requests.cpu',
  'requests.memory',
  'limits.cpu',
  'limits.memory',
])

/** The resource whose objects the name in a quota's `hard` counts. */
function countedBy(name: string): Resource<KubeObject> | undefined {
  if (computeResources.has(name)) return PODS
  if (name === 'requests.storage') return PERSISTENT_VOLUME_CLAIMS
  if (name.startsWith('services.')) return SERVICES
  const plain = name.replace(/^count\//, '')
  return quotaResources.find(
    ({ resource, group }) => plain === (group === '' ? resource : `${resource}.${group}`),
  )
}

/** What one object of the counted resource takes of `name`; an ended pod takes nothing. */
function shareOf(object: KubeObject, name: string): number {
  switch (name) {
    case 'cpu':
    case 'requests.cpu':
      return isTerminal(object as Pod) ? 0 : podRequests((object as Pod).spec).cpu
    case 'memory':
    case 'requests.memory':
      return isTerminal(object as Pod) ? 0 : podRequests((object as Pod).spec).memory
    case 'limits.cpu':
    case 'limits.memory':
      return isTerminal(object as Pod) ? 0 : limitOf(object as Pod, name.slice('limits.'.length))
    case 'requests.storage':
      return quantity((object as PersistentVolumeClaim).spec.resources?.requests?.['storage'])
    case 'services.loadbalancers':
      return (object as Service).spec.type === 'LoadBalancer' ? 1 : 0
    case 'services.nodeports': {
      const { type, ports = [] } = (object as Service).spec
      return type === 'NodePort' || type === 'LoadBalancer' ? ports.length : 0
    }
    default:
      return object.kind === PODS.kind && isTerminal(object as Pod) ? 0 : 1
  }
}

function limitOf(pod: Pod, resource: string): number {
  return pod.spec.containers.reduce(
    (total, { resources }) => total + quantity(resources?.limits?.[resource]),
    0,
  )
}

/** How much of `name` the namespace uses now. O(objects of that resource in the namespace). */
export function usedOf(registry: Registry, namespace: string, name: string): number {
  const key = countedBy(name)
  if (key === undefined) return 0
  return registry.list(key, namespace).reduce((total, object) => total + shareOf(object, name), 0)
}

/**
 * Why a new object may not be created, in the API server's words (after `is forbidden: `), or undefined.
 * Costs one look-up where the namespace has no quota.
 */
export function exceededQuota(registry: Registry, key: ResourceKey, object: KubeObject): string | undefined {
  const { namespace } = object.metadata
  if (namespace === undefined) return undefined
  const quotas = readAll(registry, RESOURCE_QUOTAS, namespace)
  for (const quota of quotas) {
    const over: {
      readonly name: string
      readonly wanted: number
      readonly used: number
      readonly hard: string
    }[] = []
    const unsaid: string[] = []
    for (const [name, hard] of Object.entries(quota.spec.hard ?? {})) {
      const counted = countedBy(name)
      if (counted?.resource !== key.resource || counted.group !== key.group) continue
      if (computeResources.has(name)) {
        const silent = silentContainers(object as Pod, name)
        if (silent.length > 0) unsaid.push(`${name} for: ${silent.join(',')}`)
      }
      const wanted = shareOf(object, name)
      if (wanted === 0) continue
      const used = usedOf(registry, namespace, name)
      if (used + wanted > quantity(hard) + 1e-9) over.push({ name, wanted, used, hard })
    }
    if (unsaid.length > 0)
      return `failed quota: ${quota.metadata.name}: must specify ${unsaid.sort().join('; ')}`
    if (over.length > 0) {
      over.sort((a, b) => (a.name < b.name ? -1 : 1))
      const list = (of: (each: (typeof over)[number]) => string) =>
        over.map((each) => `${each.name}=${of(each)}`).join(',')
      const requested = list(({ wanted, name }) => quantityText(wanted, name))
      const used = list((each) => quantityText(each.used, each.name))
      const limited = list(({ hard }) => hard)
      return `exceeded quota: ${quota.metadata.name}, requested: ${requested}, used: ${used}, limited: ${limited}`
    }
  }
  return undefined
}

/** Containers that do not say what a quota on compute resources needs to know. */
function silentContainers({ spec }: Pod, name: string): readonly string[] {
  const resource = name.replace(/^(?:requests|limits)\./, '')
  return spec.containers
    .filter(({ resources }) => {
      const limit = resources?.limits?.[resource]
      return name.startsWith('limits.')
        ? limit === undefined
        : (resources?.requests?.[resource] ?? limit) === undefined
    })
    .map((container) => container.name)
    .sort()
}
