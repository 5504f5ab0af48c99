/**
 * The status of ResourceQuotas: what of the hard limits is used. Refusing what goes beyond is the API
 * server's admission. Source: `pkg/controller/resourcequota` and "Resource Quotas" in the documentation.
 */
import type { KubeObject } from '../registry.ts'
import type { ControlContext, Controller } from './control-context.ts'
import {
  CONFIG_MAPS,
  committed,
  CRON_JOBS,
  DEPLOYMENTS,
  JOBS,
  keyOf,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  read,
  readAll,
  REPLICA_SETS,
  RESOURCE_QUOTAS,
  SECRETS,
  SERVICES,
  splitKey,
  STATEFUL_SETS,
  type Pod,
  type Resource,
  type ResourceQuota,
} from './objects.ts'
import { isTerminal } from './pod-template.ts'
import { podRequests, quantity, quantityText } from './quantity.ts'

const counted: readonly Resource<KubeObject>[] = [
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

export function resourceQuotaController({ registry }: ControlContext): Controller {
  return {
    name: 'resourcequota',
    watches: counted.map(({ resource }) => resource),
    start(enqueue) {
      for (const quota of readAll(registry, RESOURCE_QUOTAS)) enqueue(keyOf(quota))
    },
    observe(commit, enqueue) {
      const own = committed(commit, RESOURCE_QUOTAS)
      if (own !== undefined) return enqueue(keyOf(own.object))
      const pod = committed(commit, PODS)
      const ends = pod?.previous !== undefined && isTerminal(pod.object) !== isTerminal(pod.previous)
      const resized = commit.key.resource === 'persistentvolumeclaims'
      if (commit.type === 'MODIFIED' && !ends && !resized) return
      for (const each of readAll(registry, RESOURCE_QUOTAS, commit.object.metadata.namespace ?? '')) {
        // Gathered for a moment: a rollout of a hundred pods is one recount.
        enqueue(keyOf(each), 0.2)
      }
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const quota = read(registry, RESOURCE_QUOTAS, namespace, name)
      if (quota === undefined) return
      const hard = quota.spec.hard ?? {}
      const used = Object.fromEntries(
        Object.keys(hard).map((resource) => [resource, quantityText(usedOf(quota, resource), resource)]),
      )
      registry.update(RESOURCE_QUOTAS, { ...quota, status: { hard, used } }, { subresource: 'status' })
    },
  }

  function usedOf(quota: ResourceQuota, resource: string): number {
    const namespace = quota.metadata.namespace ?? ''
    const pods = () => readAll(registry, PODS, namespace).filter((pod) => !isTerminal(pod))
    const sum = (of: (pod: Pod) => number) => pods().reduce((total, pod) => total + of(pod), 0)
    switch (resource) {
      case 'pods':
        return pods().length
      case 'cpu':
      case 'requests.cpu':
        return sum(({ spec }) => podRequests(spec).cpu)
      case 'memory':
      case 'requests.memory':
        return sum(({ spec }) => podRequests(spec).memory)
      case 'limits.cpu':
        return sum((pod) => limitOf(pod, 'cpu'))
      case 'limits.memory':
        return sum((pod) => limitOf(pod, 'memory'))
      case 'requests.storage':
        return readAll(registry, PERSISTENT_VOLUME_CLAIMS, namespace).reduce(
          (total, claim) => total + quantity(claim.spec.resources?.requests?.['storage']),
          0,
        )
      case 'services.loadbalancers':
        return readAll(registry, SERVICES, namespace).filter(({ spec }) => spec.type === 'LoadBalancer')
          .length
      case 'services.nodeports':
        return readAll(registry, SERVICES, namespace).reduce(
          (total, { spec }) =>
            total + (spec.ports ?? []).filter(({ nodePort }) => nodePort !== undefined).length,
          0,
        )
      default: {
        // `configmaps`, or `count/deployments.apps`.
        const plain = resource.replace(/^count\//, '')
        const key = counted.find(
          ({ resource: name, group }) => plain === (group === '' ? name : `${name}.${group}`),
        )
        return key === undefined ? 0 : registry.list(key, namespace).length
      }
    }
  }
}

function limitOf(pod: Pod, resource: string): number {
  return pod.spec.containers.reduce(
    (total, { resources }) => total + quantity(resources?.limits?.[resource]),
    0,
  )
}
