/**
 * Aggregated ClusterRoles: their `rules` are those of all ClusterRoles that one of their selectors matches, by
 * selector and name, each rule once. Whatever else somebody writes there is replaced. Source:
 * `pkg/controller/clusterroleaggregation`.
 */
import { isDeepStrictEqual } from 'node:util'
import { asArray, at } from '../json.ts'
import type { KubeObject } from '../registry.ts'
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import { CLUSTER_ROLES, keyOf, read, readAll, splitKey, type LabelSelector } from './objects.ts'
import { selects } from './selector.ts'

function selectorsOf(role: KubeObject): readonly LabelSelector[] {
  return asArray(at(role, 'aggregationRule', 'clusterRoleSelectors')) as readonly LabelSelector[]
}

export function clusterRoleAggregationController({ registry }: ControlContext): Controller {
  const enqueueAll = (enqueue: Enqueue): void => {
    for (const role of readAll(registry, CLUSTER_ROLES)) if (role['aggregationRule']) enqueue(keyOf(role))
  }
  return {
    name: 'clusterrole-aggregation',
    watches: ['clusterroles'],
    start: enqueueAll,
    // Aggregated roles are parts of others: any change may concern any of them.
    observe: (_commit, enqueue) => enqueueAll(enqueue),
    sync(key) {
      const { name } = splitKey(key)
      const role = read(registry, CLUSTER_ROLES, '', name)
      if (!role?.['aggregationRule']) return
      const others = readAll(registry, CLUSTER_ROLES).filter((other) => other.metadata.name !== name)
      const rules: unknown[] = []
      for (const selector of selectorsOf(role)) {
        for (const { metadata, rules: given } of others) {
          if (!selects(selector, metadata.labels)) continue
          for (const rule of asArray(given)) {
            if (!rules.some((known) => isDeepStrictEqual(known, rule))) rules.push(rule)
          }
        }
      }
      if (!isDeepStrictEqual(rules, asArray(role['rules'])))
        registry.update(CLUSTER_ROLES, { ...role, rules })
    },
  }
}
