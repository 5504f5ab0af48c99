/**
 * Nodes' heartbeats and what the node lifecycle controller makes of their absence: leases every ten
 * seconds, status every five minutes; a silent node becomes Unknown and tainted, its pods not ready, and
 * those that do not tolerate it for longer are deleted. Also the taint of a cordoned node.
 *
 * Invariant: one timeline entry per cluster renews all leases, in slices; pods of healthy nodes cost
 * nothing here. Source: `pkg/controller/nodelifecycle`, `tainteviction`, and kubelet's node status.
 */
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import { isSimulatedDown } from './kubelet.ts'
import {
  committed,
  LEASES,
  NODES,
  PODS,
  read,
  readAll,
  splitKey,
  type ClusterNode,
  type Condition,
  type Pod,
  type Taint,
} from './objects.ts'
import { conditionOf, isTerminal, withCondition } from './pod-template.ts'
import { tolerates } from './selector.ts'

const from = { component: 'node-controller' }
/** Silence after which a node counts as lost (`--node-monitor-grace-period`). */
const graceSeconds = 50
const monitorSeconds = 5
const statusSeconds = 300
/** DefaultTolerationSeconds, for pods that were made without that admission. */
const defaultTolerationSeconds = 300
const leaseNamespace = 'kube-node-lease'
const slices = 10

const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable'
const UNREACHABLE = 'node.kubernetes.io/unreachable'
const NOT_READY = 'node.kubernetes.io/not-ready'

export function nodeController(
  { registry, clock, events }: ControlContext,
  { heartbeatSeconds }: { readonly heartbeatSeconds: number },
): Controller {
  /** When a node was found to be silent, in milliseconds; absent for nodes that report. */
  const silentSince = new Map<string, number>()
  /** When each pod has to leave its lost node. */
  let enqueueLater: Enqueue = () => {}
  let slice = 0
  let cancelBeat = () => {}

  return {
    name: 'node',
    watches: ['nodes'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const node of readAll(registry, NODES)) enqueue(`/${node.metadata.name}`)
      if (heartbeatSeconds > 0) beatLater()
    },
    observe(commit, enqueue) {
      const change = committed(commit, NODES)
      if (change === undefined) return
      const { object, previous } = change
      const { name } = object.metadata
      if (commit.type === 'DELETED') silentSince.delete(name)
      // Its own heartbeats are no news.
      if (
        commit.type !== 'MODIFIED' ||
        previous?.spec !== object.spec ||
        previous?.metadata.annotations !== object.metadata.annotations
      ) {
        enqueue(`/${name}`)
      }
    },
    sync(key) {
      const { name } = splitKey(key)
      const node = read(registry, NODES, '', name)
      if (node === undefined) dropPodsOf(name)
      else {
        const cordoned = keepCordonTaint(node)
        if (isSimulatedDown(cordoned)) goDark(cordoned)
        else report(cordoned)
      }
    },
    close: () => cancelBeat(),
  }

  function beatLater(): void {
    cancelBeat = clock.after(heartbeatSeconds / slices, () => {
      const nodes = readAll(registry, NODES)
      for (let i = slice; i < nodes.length; i += slices) {
        const node = nodes[i]
        if (node !== undefined && !isSimulatedDown(node)) beat(node)
      }
      slice = (slice + 1) % slices
      beatLater()
    })
  }

  function beat(node: ClusterNode): void {
    const { name } = node.metadata
    const lease = read(registry, LEASES, leaseNamespace, name)
    const renewTime = clock.microStamp()
    if (lease !== undefined) registry.update(LEASES, { ...lease, spec: { ...lease.spec, renewTime } })
    else if (registry.get({ group: '', resource: 'namespaces' }, '', leaseNamespace) !== undefined) {
      registry.create(LEASES, {
        apiVersion: LEASES.apiVersion,
        kind: LEASES.kind,
        metadata: {
          name,
          namespace: leaseNamespace,
          ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid }],
        },
        spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime },
      })
    }
    const ready = conditionOf(node.status?.conditions, 'Ready')
    const last = ready?.lastHeartbeatTime
    if (last === undefined || clock.remaining(last, statusSeconds) <= 0) postStatus(node)
  }

  /** The kubelet's own word: pressure conditions and readiness with a fresh heartbeat. */
  function postStatus(node: ClusterNode): ClusterNode {
    const stamp = clock.stamp()
    const fine: readonly Condition[] = [
      {
        type: 'MemoryPressure',
        status: 'False',
        reason: 'KubeletHasSufficientMemory',
        message: 'kubelet has sufficient memory available',
      },
      {
        type: 'DiskPressure',
        status: 'False',
        reason: 'KubeletHasNoDiskPressure',
        message: 'kubelet has no disk pressure',
      },
      {
        type: 'PIDPressure',
        status: 'False',
        reason: 'KubeletHasSufficientPID',
        message: 'kubelet has sufficient PID available',
      },
      { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' },
    ]
    let conditions = node.status?.conditions
    for (const condition of fine) conditions = withCondition(conditions, condition, stamp)
    conditions = (conditions ?? []).map((each) =>
      fine.some(({ type }) => type === each.type) ? { ...each, lastHeartbeatTime: stamp } : each,
    )
    return registry.update(
      NODES,
      { ...node, status: { ...node.status, conditions } },
      { subresource: 'status' },
    )
  }

  function report(node: ClusterNode): void {
    const { name } = node.metadata
    const ready = conditionOf(node.status?.conditions, 'Ready')
    silentSince.delete(name)
    let current = node
    if (ready?.status !== 'True') {
      current = postStatus(node)
      const message = `Node ${name} status is now: NodeReady`
      events.record(current, 'Normal', 'NodeReady', message, { component: 'kubelet', host: name })
      for (const pod of registry.listByNode(name) as readonly Pod[]) markReadyAgain(pod)
    }
    setTaints(current, (taint) => taint.key !== UNREACHABLE && taint.key !== NOT_READY, [])
  }

  function goDark(node: ClusterNode): void {
    const { name } = node.metadata
    const since = silentSince.get(name) ?? clock.now()
    silentSince.set(name, since)
    const key = `/${name}`
    const left = graceSeconds - clock.since(since)
    if (left > 0) return enqueueLater(key, left)

    const stamp = clock.stamp()
    let current = node
    if (conditionOf(node.status?.conditions, 'Ready')?.status !== 'Unknown') {
      let conditions = node.status?.conditions
      for (const type of ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready']) {
        const old = conditionOf(conditions, type)
        const silent: Condition = {
          ...(old?.lastHeartbeatTime === undefined ? {} : { lastHeartbeatTime: old.lastHeartbeatTime }),
          type,
          status: 'Unknown',
          reason: 'NodeStatusUnknown',
          message: 'Kubelet stopped posting node status.',
        }
        conditions = withCondition(conditions, silent, stamp)
      }
      current = registry.update(
        NODES,
        { ...node, status: { ...node.status, conditions } },
        { subresource: 'status' },
      )
      const message = `Node ${name} status is now: NodeNotReady`
      events.record(current, 'Normal', 'NodeNotReady', message, from)
      for (const pod of registry.listByNode(name) as readonly Pod[]) markNotReady(pod)
    }
    const taints: readonly Taint[] = [
      { key: UNREACHABLE, effect: 'NoSchedule', timeAdded: stamp },
      { key: UNREACHABLE, effect: 'NoExecute', timeAdded: stamp },
    ]
    current = setTaints(current, (taint) => taint.key !== UNREACHABLE || taint.effect === '', taints)
    evict(current, key)
    enqueueLater(key, monitorSeconds * 6)
    return undefined
  }

  /** Deletes the pods whose toleration of the node's absence has run out. */
  function evict(node: ClusterNode, key: string): void {
    const taint = node.spec?.taints?.find((each) => each.key === UNREACHABLE && each.effect === 'NoExecute')
    if (taint?.timeAdded === undefined) return
    for (const pod of registry.listByNode(node.metadata.name) as readonly Pod[]) {
      if (pod.metadata.deletionTimestamp !== undefined || isTerminal(pod)) continue
      const tolerations = pod.spec.tolerations?.filter((each) => tolerates(each, taint)) ?? []
      if (tolerations.some(({ tolerationSeconds }) => tolerationSeconds === undefined)) continue
      const seconds =
        tolerations.length === 0
          ? defaultTolerationSeconds
          : Math.min(...tolerations.map(({ tolerationSeconds }) => tolerationSeconds ?? 0))
      const left = clock.remaining(taint.timeAdded, seconds)
      if (left > 0) {
        enqueueLater(key, left + 0.001)
        continue
      }
      const { namespace = '', name } = pod.metadata
      const message = `Marking for deletion Pod ${namespace}/${name}`
      events.record(pod, 'Normal', 'TaintManagerEviction', message, {
        component: 'taint-eviction-controller',
      })
      registry.delete(PODS, namespace, name)
    }
  }

  function markNotReady(pod: Pod): void {
    if (conditionOf(pod.status?.conditions, 'Ready')?.status !== 'True') return
    const conditions = withCondition(
      pod.status?.conditions,
      { type: 'Ready', status: 'False', reason: 'NodeNotReady', lastProbeTime: null },
      clock.stamp(),
    )
    registry.update(PODS, { ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' })
    events.record(pod, 'Warning', 'NodeNotReady', 'Node is not ready', from)
  }

  function markReadyAgain(pod: Pod): void {
    const ready = conditionOf(pod.status?.conditions, 'Ready')
    if (ready?.reason !== 'NodeNotReady' || pod.metadata.deletionTimestamp !== undefined) return
    const conditions = withCondition(
      pod.status?.conditions,
      { type: 'Ready', status: 'True', lastProbeTime: null },
      clock.stamp(),
    )
    registry.update(PODS, { ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' })
  }

  function keepCordonTaint(node: ClusterNode): ClusterNode {
    const taint: Taint = { key: UNSCHEDULABLE, effect: 'NoSchedule', timeAdded: clock.stamp() }
    return setTaints(
      node,
      ({ key }) => key !== UNSCHEDULABLE,
      node.spec?.unschedulable === true ? [taint] : [],
    )
  }

  /** Keeps what `keep` says, adds what is not there yet; no write where nothing changes. */
  function setTaints(node: ClusterNode, keep: (taint: Taint) => boolean, add: readonly Taint[]): ClusterNode {
    const old = node.spec?.taints ?? []
    const same = (a: Taint, b: Taint) => a.key === b.key && a.effect === b.effect
    const kept = old.filter((taint) => keep(taint) || add.some((each) => same(each, taint)))
    const fresh = add.filter((taint) => !kept.some((each) => same(each, taint)))
    if (kept.length === old.length && fresh.length === 0) return node
    const { taints: _old, ...spec } = node.spec ?? {}
    const taints = [...kept, ...fresh]
    return registry.update(NODES, {
      ...node,
      spec: taints.length === 0 ? spec : { ...spec, taints },
    })
  }

  /** A node that was deleted takes its pods with it (pod garbage collection). */
  function dropPodsOf(name: string): void {
    const lease = read(registry, LEASES, leaseNamespace, name)
    if (lease !== undefined) registry.finishDelete(LEASES, leaseNamespace, name)
    for (const pod of registry.listByNode(name)) {
      const { namespace = '', name: podName } = pod.metadata
      if (pod.metadata.deletionTimestamp === undefined)
        registry.delete(PODS, namespace, podName, { gracePeriodSeconds: 0 })
      registry.finishDelete(PODS, namespace, podName)
    }
  }
}
