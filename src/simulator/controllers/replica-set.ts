/**
 * The ReplicaSet controller: as many pods as `spec.replicas`, adopted or created, and the counters.
 * Source: `pkg/controller/replicaset` and `controller_utils.ActivePodsWithRanks` (which pods go first).
 */
import type { KubeObject, Registry } from '../registry.ts'
import { StatusError } from '../status-error.ts'
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import { counts } from './deployment.ts'
import {
  committed,
  keyOf,
  PODS,
  read,
  readAll,
  REPLICA_SETS,
  splitKey,
  type Pod,
  type ReplicaSet,
} from './objects.ts'
import { claim, enqueueOwners, Orphans } from './ownership.ts'
import {
  availableIn,
  conditionOf,
  isActive,
  isReady,
  podFromTemplate,
  withCondition,
} from './pod-template.ts'
import { findsItself, selects } from './selector.ts'
import type { EventRecorder, EventSource } from './event-recorder.ts'
import type { KubeObjectInput } from '../registry.ts'

/** Pods per sync, as in kube-controller-manager. */
const burst = 500
const from: EventSource = { component: 'replicaset-controller' }
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'

export function replicaSetController({ registry, clock, events }: ControlContext): Controller {
  const orphans = new Orphans(PODS, registry)
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'replicaset',
    watches: ['replicasets', 'pods'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const replicaSet of readAll(registry, REPLICA_SETS)) enqueue(keyOf(replicaSet))
    },
    observe(commit, enqueue) {
      const own = committed(commit, REPLICA_SETS)
      if (own !== undefined) {
        // Its own status is no news: a failure that names a new pod each time would wake it for ever.
        const { object, previous } = own
        const statusOnly =
          commit.type === 'MODIFIED' &&
          previous?.spec === object.spec &&
          previous.metadata.deletionTimestamp === object.metadata.deletionTimestamp
        if (!statusOnly) enqueue(keyOf(object))
        return
      }
      orphans.observe(commit)
      enqueueOwners(registry, commit, PODS, REPLICA_SETS, (each) => each.spec.selector, enqueue)
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const replicaSet = read(registry, REPLICA_SETS, namespace, name)
      // A selector that does not find its own pods would make pods for ever; the API server refuses it.
      if (replicaSet === undefined || !findsItself(replicaSet)) return
      const pods = claim(registry, replicaSet, REPLICA_SETS, replicaSet.spec.selector, PODS, orphans)
      const active = pods.filter(isActive)
      let failure: StatusError | undefined
      let changed = false
      if (replicaSet.metadata.deletionTimestamp === undefined) {
        try {
          changed = scale(replicaSet, active)
        } catch (error) {
          if (!(error instanceof StatusError)) throw error
          failure = error
        }
      }
      // After creating or deleting, the pods' own commits bring the next sync with the right counters.
      const now = changed
        ? claim(registry, replicaSet, REPLICA_SETS, replicaSet.spec.selector, PODS, orphans).filter(isActive)
        : active
      writeStatus(replicaSet, now, failure)
      if (failure !== undefined) enqueueLater(key, 15)
    },
  }

  function scale(replicaSet: ReplicaSet, active: readonly Pod[]): boolean {
    const difference = (replicaSet.spec.replicas ?? 1) - active.length
    if (difference > 0) {
      for (let i = 0; i < Math.min(burst, difference); i++) {
        createPod(
          registry,
          events,
          replicaSet,
          podFromTemplate(replicaSet, REPLICA_SETS, replicaSet.spec.template),
          from,
        )
      }
    } else if (difference < 0) {
      for (const pod of firstToGo(active, -difference).slice(0, burst)) {
        deletePod(registry, events, replicaSet, pod, from)
      }
    }
    return difference !== 0
  }

  function writeStatus(
    replicaSet: ReplicaSet,
    active: readonly Pod[],
    failure: StatusError | undefined,
  ): void {
    const { minReadySeconds = 0, template } = replicaSet.spec
    let available = 0
    let soonest = Infinity
    for (const pod of active) {
      const wait = availableIn(pod, minReadySeconds, clock)
      if (wait === 0) available++
      else if (wait !== undefined) soonest = Math.min(soonest, wait)
    }
    if (soonest < Infinity) enqueueLater(keyOf(replicaSet), soonest + 0.001)
    const templateLabels = { matchLabels: template.metadata?.labels ?? {} }
    const old = replicaSet.status
    const hadFailure = conditionOf(old?.conditions, 'ReplicaFailure') !== undefined
    const conditions =
      failure === undefined
        ? old?.conditions?.filter(({ type }) => type !== 'ReplicaFailure')
        : withCondition(
            old?.conditions,
            { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: failure.message },
            clock.stamp(),
          )
    const status = {
      replicas: active.length,
      ...counts({
        fullyLabeledReplicas: active.filter(
          ({ metadata }) =>
            metadata.labels === template.metadata?.labels || selects(templateLabels, metadata.labels),
        ).length,
        readyReplicas: active.filter(isReady).length,
        availableReplicas: available,
      }),
      observedGeneration: replicaSet.metadata.generation ?? 1,
      ...(failure === undefined && !hadFailure && conditions === undefined
        ? {}
        : conditions !== undefined && conditions.length > 0
          ? { conditions }
          : {}),
    }
    const current = read(
      registry,
      REPLICA_SETS,
      replicaSet.metadata.namespace ?? '',
      replicaSet.metadata.name,
    )
    if (current === undefined) return
    registry.update(REPLICA_SETS, { ...current, status }, { subresource: 'status' })
  }
}

/** Creates a pod for `owner` and says so; a refusal is recorded as FailedCreate and thrown on. */
export function createPod(
  registry: Registry,
  events: EventRecorder,
  owner: KubeObject,
  pod: KubeObjectInput,
  source: EventSource,
): Pod {
  try {
    const created = registry.create(PODS, pod) as Pod
    events.record(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`, source)
    return created
  } catch (error) {
    if (error instanceof StatusError) {
      events.record(owner, 'Warning', 'FailedCreate', `Error creating: ${error.message}`, source)
    }
    throw error
  }
}

export function deletePod(
  registry: Registry,
  events: EventRecorder,
  owner: KubeObject,
  pod: Pod,
  source: EventSource,
): void {
  const { namespace = '', name } = pod.metadata
  if (read(registry, PODS, namespace, name) === undefined) return
  registry.delete(PODS, namespace, name)
  events.record(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`, source)
}

/**
 * The pods that a scale-down takes first: not assigned, not running, not ready, cheap to delete, on nodes
 * that hold more of them, ready for a shorter time, restarted more often, younger.
 */
export function firstToGo(pods: readonly Pod[], count: number): Pod[] {
  if (count >= pods.length) return [...pods]
  const perNode = new Map<string, number>()
  for (const { spec } of pods) perNode.set(spec.nodeName ?? '', (perNode.get(spec.nodeName ?? '') ?? 0) + 1)
  const rank = (pod: Pod): readonly (number | string)[] => [
    pod.spec.nodeName === undefined ? 0 : 1,
    pod.status?.phase === 'Running' ? 2 : pod.status?.phase === 'Unknown' ? 1 : 0,
    isReady(pod) ? 1 : 0,
    Number(pod.metadata.annotations?.[DELETION_COST] ?? 0),
    -(perNode.get(pod.spec.nodeName ?? '') ?? 0),
    -Date.parse(
      conditionOf(pod.status?.conditions, 'Ready')?.lastTransitionTime ?? pod.metadata.creationTimestamp,
    ),
    -Math.max(0, ...(pod.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount)),
    -Date.parse(pod.metadata.creationTimestamp),
    pod.metadata.name,
  ]
  const ranked = pods.map((pod) => ({ pod, rank: rank(pod) }))
  ranked.sort((a, b) => compareRanks(a.rank, b.rank))
  return ranked.slice(0, count).map(({ pod }) => pod)
}

function compareRanks(a: readonly (number | string)[], b: readonly (number | string)[]): number {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0]
    if (x !== y) return x < y ? -1 : 1
  }
  return 0
}
