/**
 * The status of PodDisruptionBudgets, which the eviction subresource asks: how many pods are healthy, have
 * to be, and may go. Source: `pkg/controller/disruption`.
 */
import type { ControlContext, Controller } from './control-context.ts'
import {
  committed,
  DEPLOYMENTS,
  keyOf,
  POD_DISRUPTION_BUDGETS,
  PODS,
  read,
  readAll,
  REPLICA_SETS,
  splitKey,
  STATEFUL_SETS,
  type Pod,
  type PodDisruptionBudget,
} from './objects.ts'
import { controllerOf } from './ownership.ts'
import { isActive, isReady, withCondition } from './pod-template.ts'
import { scaledValue } from './quantity.ts'
import { selects } from './selector.ts'

export function podDisruptionBudgetController({ registry, clock }: ControlContext): Controller {
  return {
    name: 'poddisruptionbudget',
    watches: ['poddisruptionbudgets', 'pods', 'deployments', 'statefulsets', 'replicasets'],
    start(enqueue) {
      for (const budget of readAll(registry, POD_DISRUPTION_BUDGETS)) enqueue(keyOf(budget))
    },
    observe(commit, enqueue) {
      const own = committed(commit, POD_DISRUPTION_BUDGETS)
      if (own !== undefined) return enqueue(keyOf(own.object))
      const { namespace = '', labels } = commit.object.metadata
      const budgets = readAll(registry, POD_DISRUPTION_BUDGETS, namespace)
      if (budgets.length === 0) return
      const pod = committed(commit, PODS)
      if (pod === undefined) {
        // The expected count follows the owners' replicas, not their status.
        if (commit.previous?.['spec'] !== commit.object['spec'])
          for (const each of budgets) enqueue(keyOf(each))
        return
      }
      const { object, previous } = pod
      const same =
        commit.type === 'MODIFIED' &&
        previous !== undefined &&
        previous.metadata.labels === labels &&
        isReady(previous) === isReady(object) &&
        isActive(previous) === isActive(object)
      if (same) return
      for (const each of budgets) {
        if (selects(each.spec.selector, labels) || selects(each.spec.selector, previous?.metadata.labels)) {
          enqueue(keyOf(each))
        }
      }
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const budget = read(registry, POD_DISRUPTION_BUDGETS, namespace, name)
      if (budget === undefined || budget.metadata.deletionTimestamp !== undefined) return
      const pods = readAll(registry, PODS, namespace).filter(
        (pod) => selects(budget.spec.selector, pod.metadata.labels) && isActive(pod),
      )
      write(budget, pods)
    },
  }

  function write(budget: PodDisruptionBudget, pods: readonly Pod[]): void {
    const { minAvailable, maxUnavailable } = budget.spec
    const needsScale = maxUnavailable !== undefined || typeof minAvailable === 'string'
    const expectedPods = needsScale ? expectedCount(pods) : pods.length
    const desiredHealthy =
      maxUnavailable === undefined
        ? scaledValue(minAvailable ?? 1, expectedPods, true)
        : Math.max(0, expectedPods - scaledValue(maxUnavailable, expectedPods, true))
    const currentHealthy = pods.filter(isReady).length
    const disruptedPods = Object.fromEntries(
      Object.entries(budget.status?.disruptedPods ?? {}).filter(([name]) =>
        pods.some(({ metadata }) => metadata.name === name),
      ),
    )
    const spare = currentHealthy - Object.keys(disruptedPods).length - desiredHealthy
    const disruptionsAllowed = expectedPods === 0 ? 0 : Math.max(0, spare)
    const conditions = withCondition(
      budget.status?.conditions,
      {
        type: 'DisruptionAllowed',
        status: disruptionsAllowed > 0 ? 'True' : 'False',
        reason: disruptionsAllowed > 0 ? 'SufficientPods' : 'InsufficientPods',
        message: '',
        observedGeneration: budget.metadata.generation ?? 1,
      },
      clock.stamp(),
    )
    const status = {
      conditions,
      currentHealthy,
      desiredHealthy,
      ...(Object.keys(disruptedPods).length === 0 ? {} : { disruptedPods }),
      disruptionsAllowed,
      expectedPods,
      observedGeneration: budget.metadata.generation ?? 1,
    }
    registry.update(POD_DISRUPTION_BUDGETS, { ...budget, status }, { subresource: 'status' })
  }

  /** The sum of `replicas` over the workloads that the pods belong to. */
  function expectedCount(pods: readonly Pod[]): number {
    const owners = new Map<string, number>()
    for (const pod of pods) {
      const owner = controllerOf(pod)
      const namespace = pod.metadata.namespace ?? ''
      if (owner === undefined) owners.set(pod.metadata.uid, 1)
      else if (owner.kind === 'StatefulSet') {
        owners.set(owner.uid, read(registry, STATEFUL_SETS, namespace, owner.name)?.spec.replicas ?? 1)
      } else if (owner.kind === 'ReplicaSet') {
        const replicaSet = read(registry, REPLICA_SETS, namespace, owner.name)
        const parent = replicaSet && controllerOf(replicaSet)
        if (parent?.kind === 'Deployment') {
          owners.set(parent.uid, read(registry, DEPLOYMENTS, namespace, parent.name)?.spec.replicas ?? 1)
        } else owners.set(owner.uid, replicaSet?.spec.replicas ?? 1)
      } else owners.set(pod.metadata.uid, 1)
    }
    let sum = 0
    for (const count of owners.values()) sum += count
    return sum
  }
}
