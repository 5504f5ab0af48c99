/**
 * The status of ResourceQuotas: what of the hard limits is used. Refusing what goes beyond is the API
 * server's admission. Source: `pkg/controller/resourcequota` and "Resource Quotas" in the documentation.
 */
import type { ControlContext, Controller } from './control-context.ts'
import { committed, keyOf, PODS, read, readAll, RESOURCE_QUOTAS, splitKey } from './objects.ts'
import { isTerminal } from './pod-template.ts'
import { quantityText } from './quantity.ts'
import { quotaResources, usedOf } from './quota-usage.ts'

export function resourceQuotaController({ registry }: ControlContext): Controller {
  return {
    name: 'resourcequota',
    watches: quotaResources.map(({ resource }) => resource),
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
        Object.keys(hard).map((resource) => [
          resource,
          quantityText(usedOf(registry, namespace, resource), resource),
        ]),
      )
      registry.update(RESOURCE_QUOTAS, { ...quota, status: { hard, used } }, { subresource: 'status' })
    },
  }
}
