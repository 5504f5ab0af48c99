/**
 * The DaemonSet controller: one pod on every node that its selector, affinity and tolerations allow, bound
 * there through node affinity to the node's name; rolling updates within maxUnavailable or maxSurge.
 * Source: `pkg/controller/daemon` and the page "DaemonSet" of the documentation.
 */
import type { Commit } from '../registry.ts'
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import { dropRevisions, ensureRevision, REVISION_HASH, revisionHash } from './controller-revision.ts'
import {
  committed,
  DAEMON_SETS,
  keyOf,
  NODES,
  PODS,
  read,
  readAll,
  splitKey,
  type ClusterNode,
  type DaemonSet,
  type Pod,
  type PodSpec,
  type Toleration,
} from './objects.ts'
import { claim, enqueueOwners, Orphans } from './ownership.ts'
import { availableIn, isActive, isReady, isTerminal, podFromTemplate } from './pod-template.ts'
import { scaledValue } from './quantity.ts'
import { createPod, deletePod } from './replica-set.ts'
import { fitsNode, untolerated } from './selector.ts'

const from = { component: 'daemonset-controller' }

/** A daemon stays where other pods are sent away (documentation, "Taints and tolerations"). */
const DAEMON_TOLERATIONS: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
]
const NETWORK_UNAVAILABLE: Toleration = {
  key: 'node.kubernetes.io/network-unavailable',
  operator: 'Exists',
  effect: 'NoSchedule',
}

export function daemonSetController({ registry, clock, events }: ControlContext): Controller {
  const orphans = new Orphans(PODS, registry)
  let enqueueLater: Enqueue = () => {}
  const enqueueAll = (enqueue: Enqueue) => {
    for (const set of readAll(registry, DAEMON_SETS)) enqueue(keyOf(set))
  }

  return {
    name: 'daemonset',
    watches: ['daemonsets', 'pods', 'nodes'],
    start(enqueue) {
      enqueueLater = enqueue
      enqueueAll(enqueue)
    },
    observe(commit, enqueue) {
      const own = committed(commit, DAEMON_SETS)
      if (own !== undefined) return enqueue(keyOf(own.object))
      if (nodePlaceChanged(commit)) return enqueueAll(enqueue)
      orphans.observe(commit)
      enqueueOwners(registry, commit, PODS, DAEMON_SETS, (each) => each.spec.selector, enqueue)
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const set = read(registry, DAEMON_SETS, namespace, name)
      if (set === undefined) return
      const pods = claim(registry, set, DAEMON_SETS, set.spec.selector, PODS, orphans)
      if (set.metadata.deletionTimestamp !== undefined) return
      const revisions = ensureRevision(registry, set, DAEMON_SETS)
      const hash = revisionHash(revisions.update)
      place(set, pods, hash)
      const now = () => claim(registry, set, DAEMON_SETS, set.spec.selector, PODS, orphans)
      if (set.spec.updateStrategy?.type !== 'OnDelete') update(set, now(), hash)
      writeStatus(set, now(), hash)
      dropRevisions(registry, revisions, set.spec.revisionHistoryLimit ?? 10, (each) =>
        pods.some((pod) => pod.metadata.labels?.[REVISION_HASH] === revisionHash(each)),
      )
    },
  }

  function place(set: DaemonSet, pods: readonly Pod[], hash: string): void {
    const byNode = podsByNode(pods)
    for (const node of readAll(registry, NODES)) {
      const { shouldRun, shouldStay } = verdict(set, node)
      const here = byNode.get(node.metadata.name) ?? []
      byNode.delete(node.metadata.name)
      if (!shouldStay) {
        for (const pod of here) if (isActive(pod)) deletePod(registry, events, set, pod, from)
        continue
      }
      for (const pod of here) {
        if (!isTerminal(pod) || pod.metadata.deletionTimestamp !== undefined) continue
        if (pod.status?.phase === 'Failed') {
          const message = `Found failed daemon pod ${keyOf(pod)} on node ${node.metadata.name}, will try to kill it`
          events.record(set, 'Warning', 'FailedDaemonPod', message, from)
        }
        deletePod(registry, events, set, pod, from)
      }
      // A terminating pod blocks its successor: both would want the node's ports and paths.
      if (shouldRun && here.length === 0) create(set, node.metadata.name, hash)
    }
    // Nodes that are gone: the pods go with them.
    for (const [nodeName, left] of byNode) {
      if (nodeName === '') continue
      for (const pod of left) if (isActive(pod)) deletePod(registry, events, set, pod, from)
    }
  }

  function create(set: DaemonSet, nodeName: string, hash: string): void {
    const { spec } = set.spec.template
    const pod = podFromTemplate(set, DAEMON_SETS, set.spec.template, {
      generateName: `${set.metadata.name}-`,
      labels: { [REVISION_HASH]: hash, 'pod-template-generation': templateGeneration(set) },
      spec: {
        ...spec,
        affinity: {
          ...spec.affinity,
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [
                { matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] },
              ],
            },
          },
        },
        tolerations: tolerationsOf(spec),
      },
    })
    createPod(registry, events, set, pod, from)
  }

  function update(set: DaemonSet, pods: readonly Pod[], hash: string): void {
    const { rollingUpdate } = set.spec.updateStrategy ?? {}
    const nodes = readAll(registry, NODES).filter((node) => verdict(set, node).shouldRun)
    const surge = scaledValue(rollingUpdate?.maxSurge ?? 0, nodes.length, true)
    const unavailable = scaledValue(rollingUpdate?.maxUnavailable ?? (surge > 0 ? 0 : 1), nodes.length, true)
    const byNode = podsByNode(pods)
    let budget = surge > 0 ? surge : unavailable
    const candidates: Pod[] = []
    for (const node of nodes) {
      const here = byNode.get(node.metadata.name) ?? []
      const old = here.find((pod) => isActive(pod) && !isUpdated(set, pod, hash))
      const fresh = here.find((pod) => isUpdated(set, pod, hash))
      if (surge > 0) {
        if (old === undefined) continue
        if (fresh !== undefined) {
          if (isAvailable(set, fresh)) deletePod(registry, events, set, old, from)
          else budget--
        } else if (!isAvailable(set, old)) deletePod(registry, events, set, old, from)
        else candidates.push(old)
      } else if (old !== undefined && !isAvailable(set, old)) {
        // Not available anyway: replacing it costs nothing of the budget beyond itself.
        deletePod(registry, events, set, old, from)
        budget--
      } else if (old !== undefined) candidates.push(old)
      else if (fresh === undefined || !isAvailable(set, fresh)) budget--
    }
    for (const old of candidates.slice(0, Math.max(0, budget))) {
      if (surge > 0) create(set, targetNode(old), hash)
      else deletePod(registry, events, set, old, from)
    }
  }

  function isAvailable(set: DaemonSet, pod: Pod): boolean {
    if (!isActive(pod)) return false
    const wait = availableIn(pod, set.spec.minReadySeconds ?? 0, clock)
    if (wait !== undefined && wait > 0) enqueueLater(keyOf(set), wait + 0.001)
    return wait === 0
  }

  function writeStatus(set: DaemonSet, pods: readonly Pod[], hash: string): void {
    const byNode = podsByNode(pods)
    let desired = 0
    let current = 0
    let misscheduled = 0
    let ready = 0
    let updated = 0
    let available = 0
    for (const node of readAll(registry, NODES)) {
      const here = byNode.get(node.metadata.name) ?? []
      const scheduled = here.length > 0
      if (!verdict(set, node).shouldRun) {
        if (scheduled) misscheduled++
        continue
      }
      desired++
      if (!scheduled) continue
      current++
      // Of several pods on a node the oldest active one counts.
      const pod = here.find(isActive) ?? here[0]
      if (pod === undefined) continue
      if (isReady(pod) && isActive(pod)) ready++
      if (isAvailable(set, pod)) available++
      if (here.some((each) => isUpdated(set, each, hash))) updated++
    }
    const unavailable = desired - available
    const status = {
      currentNumberScheduled: current,
      numberMisscheduled: misscheduled,
      desiredNumberScheduled: desired,
      numberReady: ready,
      observedGeneration: set.metadata.generation ?? 1,
      ...(updated === 0 ? {} : { updatedNumberScheduled: updated }),
      ...(available === 0 ? {} : { numberAvailable: available }),
      ...(unavailable === 0 ? {} : { numberUnavailable: unavailable }),
    }
    registry.update(DAEMON_SETS, { ...set, status }, { subresource: 'status' })
  }
}

function isUpdated(set: DaemonSet, pod: Pod, hash: string): boolean {
  return isActive(pod) && pod.metadata.labels?.[REVISION_HASH] === hash && set.metadata.uid !== ''
}

function templateGeneration(set: DaemonSet): string {
  return set.metadata.annotations?.['deprecated.daemonset.template.generation'] ?? '1'
}

const tolerations = new WeakMap<PodSpec, readonly Toleration[]>()

function tolerationsOf(spec: PodSpec): readonly Toleration[] {
  let all = tolerations.get(spec)
  if (all === undefined) {
    all = [
      ...(spec.tolerations ?? []),
      ...DAEMON_TOLERATIONS,
      ...(spec.hostNetwork === true ? [NETWORK_UNAVAILABLE] : []),
    ]
    tolerations.set(spec, all)
  }
  return all
}

function verdict(set: DaemonSet, node: ClusterNode): { shouldRun: boolean; shouldStay: boolean } {
  const { spec } = set.spec.template
  const taints = node.spec?.taints
  const fits = fitsNode(spec, node)
  const tolerated = tolerationsOf(spec)
  return {
    shouldRun: fits && untolerated(tolerated, taints, ['NoSchedule', 'NoExecute']) === undefined,
    shouldStay: fits && untolerated(tolerated, taints, ['NoExecute']) === undefined,
  }
}

/** Where the pod runs, or is meant to. */
function targetNode(pod: Pod): string {
  if (pod.spec.nodeName !== undefined) return pod.spec.nodeName
  const terms =
    pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  return terms?.[0]?.matchFields?.[0]?.values?.[0] ?? ''
}

function podsByNode(pods: readonly Pod[]): Map<string, Pod[]> {
  const byNode = new Map<string, Pod[]>()
  for (const pod of pods) {
    const node = targetNode(pod)
    const here = byNode.get(node)
    if (here === undefined) byNode.set(node, [pod])
    else here.push(pod)
  }
  return byNode
}

/** A heartbeat must not wake every DaemonSet: only labels, taints and the node's being there matter. */
function nodePlaceChanged(commit: Commit): boolean {
  const change = committed(commit, NODES)
  if (change === undefined) return false
  const { object, previous } = change
  return (
    commit.type !== 'MODIFIED' ||
    previous?.metadata.labels !== object.metadata.labels ||
    previous?.spec?.taints !== object.spec?.taints ||
    previous?.spec?.unschedulable !== object.spec?.unschedulable
  )
}
