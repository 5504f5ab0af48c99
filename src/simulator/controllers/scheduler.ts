/**
 * kube-scheduler: gives each pending pod a node that its selectors, affinity, tolerations, spreading and
 * requests allow, the least loaded one with the fewest pods of the same owner; says why not where none
 * fits. Source: `pkg/scheduler/framework/plugins` (order and texts of the filters).
 *
 * Invariant: the usage per node is kept from commits, so placing a pod costs O(nodes), except for pods with
 * inter-pod rules, which look at the pods of their namespace. Deliberately without preemption.
 */
import type { Commit } from '../registry.ts'
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import {
  committed,
  keyOf,
  NODES,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  read,
  readAll,
  splitKey,
  STORAGE_CLASSES,
  type ClusterNode,
  type Labels,
  type Pod,
  type PodAffinityTerm,
  type PodSpec,
} from './objects.ts'
import { controllerOf } from './ownership.ts'
import { conditionOf, isTerminal, withCondition } from './pod-template.ts'
import { podRequests, quantity, type PodRequests } from './quantity.ts'
import { fitsNode, selects, tolerates, untolerated } from './selector.ts'

const from = { component: 'default-scheduler' }
const SELECTED_NODE = 'volume.kubernetes.io/selected-node'
/** Pods that did not fit are tried again at least this often, as the real queue flushes. */
const retrySeconds = 60

interface Place {
  node: ClusterNode
  cpu: number
  memory: number
  pods: number
  readonly others: Map<string, number>
  /** Pods per owner uid: the default spreading. */
  readonly owners: Map<string, number>
  readonly hostPorts: Map<string, number>
}

export function scheduler({ registry, clock, events }: ControlContext): Controller {
  const places = new Map<string, Place>()
  const unschedulable = new Set<string>()
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'scheduler',
    watches: ['pods', 'nodes', 'persistentvolumeclaims'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const node of readAll(registry, NODES)) places.set(node.metadata.name, emptyPlace(node))
      for (const pod of readAll(registry, PODS)) {
        if (pod.spec.nodeName === undefined) enqueue(keyOf(pod))
        else account(pod, 1)
      }
    },
    observe(commit, enqueue) {
      if (observeNode(commit)) {
        for (const key of unschedulable) enqueue(key)
        return
      }
      const change = committed(commit, PODS)
      if (change === undefined) {
        if (commit.key.resource === 'persistentvolumeclaims') for (const key of unschedulable) enqueue(key)
        return
      }
      const { object, previous } = change
      const before = previous !== undefined && holdsPlace(previous)
      const after = commit.type !== 'DELETED' && holdsPlace(object)
      if (before && !after) {
        account(previous, -1)
        for (const key of unschedulable) enqueue(key)
      } else if (after && !before) account(object, 1)
      if (commit.type === 'DELETED') unschedulable.delete(keyOf(object))
      else if (object.spec.nodeName === undefined && commit.type === 'ADDED') enqueue(keyOf(object))
      else if (object.spec.nodeName === undefined && previous?.spec !== object.spec) enqueue(keyOf(object))
    },
    sync(key) {
      unschedulable.delete(key)
      const { namespace, name } = splitKey(key)
      const pod = read(registry, PODS, namespace, name)
      if (pod === undefined || pod.spec.nodeName !== undefined || isTerminal(pod)) return
      if (pod.metadata.deletionTimestamp !== undefined) return
      if (pod.spec.schedulerName !== undefined && pod.spec.schedulerName !== 'default-scheduler') return
      if ((pod.spec.schedulingGates ?? []).length > 0) {
        refuse(pod, 'SchedulingGated', 'Scheduling is blocked due to non-empty scheduling gates')
        return
      }
      place(pod)
    },
  }

  function observeNode(commit: Commit): boolean {
    const change = committed(commit, NODES)
    if (change === undefined) return false
    const { name } = change.object.metadata
    if (commit.type === 'DELETED') {
      places.delete(name)
      return false
    }
    const known = places.get(name)
    if (known === undefined) {
      places.set(name, emptyPlace(change.object))
      for (const pod of registry.listByNode(name) as readonly Pod[]) if (holdsPlace(pod)) account(pod, 1)
      return true
    }
    const before = known.node
    known.node = change.object
    return (
      before.spec !== change.object.spec ||
      before.metadata.labels !== change.object.metadata.labels ||
      before.status?.allocatable !== change.object.status?.allocatable
    )
  }

  function account(pod: Pod, sign: 1 | -1): void {
    const here = places.get(pod.spec.nodeName ?? '')
    if (here === undefined) return
    const { cpu, memory, others } = podRequests(pod.spec)
    here.cpu += sign * cpu
    here.memory += sign * memory
    here.pods += sign
    for (const name in others) add(here.others, name, sign * (others[name] ?? 0))
    const owner = controllerOf(pod)
    if (owner !== undefined) add(here.owners, owner.uid, sign)
    for (const port of hostPorts(pod.spec)) add(here.hostPorts, port, sign)
  }

  function place(pod: Pod): void {
    const volumes = volumesOf(pod)
    if (volumes.problem !== undefined) {
      const all = `${places.size}/${places.size} nodes`.replace(/^\d+/, '0')
      refuse(
        pod,
        'Unschedulable',
        `${all} are available: ${volumes.problem}. ${noVictims(places.size, places.size, 0)}`,
      )
      return
    }
    if (places.size === 0) {
      refuse(pod, 'Unschedulable', 'no nodes available to schedule pods')
      return
    }
    const requests = podRequests(pod.spec)
    const rules = interPodRules(pod)
    const reasons = new Map<string, number>()
    const note = (reason: string) => add(reasons, reason, 1)
    const owner = controllerOf(pod)?.uid ?? ''
    let resolvable = 0
    let best: Place | undefined
    let bestScore = -Infinity
    for (const candidate of places.values()) {
      const hard = hardReason(pod, candidate.node)
      if (hard !== undefined) {
        note(hard)
        continue
      }
      const lacking = [...lackOf(pod.spec, requests, candidate)]
      const rule = lacking.length > 0 ? undefined : rules(candidate.node)
      if (rule !== undefined) lacking.push(rule)
      if (lacking.length > 0) {
        for (const reason of lacking) note(reason)
        resolvable++
        continue
      }
      const score = scoreOf(candidate, requests, owner)
      if (score > bestScore) {
        best = candidate
        bestScore = score
      }
    }
    if (best !== undefined) bind(pod, best.node, volumes.waiting)
    else {
      const parts = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort()
      const helpless = noVictims(places.size, places.size - resolvable, resolvable)
      refuse(pod, 'Unschedulable', `0/${places.size} nodes are available: ${parts.join(', ')}. ${helpless}`)
    }
  }

  function bind(pod: Pod, node: ClusterNode, claims: readonly string[]): void {
    const namespace = pod.metadata.namespace ?? ''
    for (const name of claims) {
      const claim = read(registry, PERSISTENT_VOLUME_CLAIMS, namespace, name)
      if (claim === undefined || claim.metadata.annotations?.[SELECTED_NODE] !== undefined) continue
      const annotations = { ...claim.metadata.annotations, [SELECTED_NODE]: node.metadata.name }
      registry.update(PERSISTENT_VOLUME_CLAIMS, { ...claim, metadata: { ...claim.metadata, annotations } })
    }
    const bound = registry.update(
      PODS,
      {
        ...pod,
        spec: { ...pod.spec, nodeName: node.metadata.name },
        status: {
          ...pod.status,
          phase: 'Pending',
          conditions: withCondition(
            pod.status?.conditions?.filter(({ type }) => type !== 'PodScheduled'),
            { type: 'PodScheduled', status: 'True', lastProbeTime: null },
            clock.stamp(),
          ),
        },
      },
      { subresource: 'all' },
    )
    const message = `Successfully assigned ${namespace}/${pod.metadata.name} to ${node.metadata.name}`
    events.record(bound, 'Normal', 'Scheduled', message, from)
  }

  function refuse(pod: Pod, reason: string, message: string): void {
    const key = keyOf(pod)
    unschedulable.add(key)
    enqueueLater(key, retrySeconds)
    const known = conditionOf(pod.status?.conditions, 'PodScheduled')
    if (known?.status === 'False' && known.reason === reason && known.message === message) return
    const conditions = withCondition(
      pod.status?.conditions,
      { type: 'PodScheduled', status: 'False', reason, message, lastProbeTime: null },
      clock.stamp(),
    )
    registry.update(
      PODS,
      { ...pod, status: { ...pod.status, phase: 'Pending', conditions } },
      { subresource: 'status' },
    )
    if (reason !== 'SchedulingGated') events.record(pod, 'Warning', 'FailedScheduling', message, from)
  }

  /** What the pod's claims demand before it can have a node, and which of them wait for that node. */
  function volumesOf(pod: Pod): { readonly problem?: string; readonly waiting: readonly string[] } {
    const waiting: string[] = []
    for (const { persistentVolumeClaim } of pod.spec.volumes ?? []) {
      if (persistentVolumeClaim === undefined) continue
      const { claimName } = persistentVolumeClaim
      const claim = read(registry, PERSISTENT_VOLUME_CLAIMS, pod.metadata.namespace ?? '', claimName)
      if (claim === undefined) return { problem: `persistentvolumeclaim "${claimName}" not found`, waiting }
      if (claim.spec.volumeName !== undefined && claim.spec.volumeName !== '') continue
      const storageClass = read(registry, STORAGE_CLASSES, '', claim.spec.storageClassName ?? '')
      if (storageClass?.volumeBindingMode === 'WaitForFirstConsumer') waiting.push(claimName)
      else return { problem: 'pod has unbound immediate PersistentVolumeClaims', waiting }
    }
    return { waiting }
  }

  /** Required (anti-)affinity and DoNotSchedule spreading, prepared once per pod. */
  function interPodRules(pod: Pod): (node: ClusterNode) => string | undefined {
    const { affinity, topologySpreadConstraints } = pod.spec
    const near = affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
    const apart = affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
    const spread = (topologySpreadConstraints ?? []).filter(
      (each) => each.whenUnsatisfiable === 'DoNotSchedule',
    )
    if (near.length === 0 && apart.length === 0 && spread.length === 0) return () => undefined
    const namespace = pod.metadata.namespace ?? ''
    const labels = pod.metadata.labels
    const nearDomains = near.map((term) => ({ term, domains: domainsWith(term, namespace) }))
    const apartDomains = apart.map((term) => ({ term, domains: domainsWith(term, namespace) }))
    const spreads = spread.map((constraint) => {
      const counts = new Map<string, number>()
      for (const { node } of places.values()) {
        const domain = node.metadata.labels?.[constraint.topologyKey]
        if (domain !== undefined && hardReason(pod, node, false) === undefined) counts.set(domain, 0)
      }
      for (const [domain, count] of domainsWith({ ...constraint }, namespace)) {
        if (counts.has(domain)) counts.set(domain, count)
      }
      return { constraint, counts, least: Math.min(...counts.values()) }
    })
    return (node) => {
      for (const { term, domains } of nearDomains) {
        const domain = node.metadata.labels?.[term.topologyKey] ?? ''
        // The first of a group may go anywhere: it is its own neighbour.
        const first = domains.size === 0 && selects(term.labelSelector, labels)
        if (!first && !domains.has(domain)) return "node(s) didn't match pod affinity rules"
      }
      for (const { term, domains } of apartDomains) {
        const domain = node.metadata.labels?.[term.topologyKey]
        if (domain !== undefined && domains.has(domain)) return "node(s) didn't match pod anti-affinity rules"
      }
      for (const { constraint, counts, least } of spreads) {
        const domain = node.metadata.labels?.[constraint.topologyKey]
        if (domain === undefined) {
          return "node(s) didn't match pod topology spread constraints (missing required label)"
        }
        const self = selects(constraint.labelSelector, labels) ? 1 : 0
        if ((counts.get(domain) ?? 0) + self - least > constraint.maxSkew) {
          return "node(s) didn't match pod topology spread constraints"
        }
      }
      return undefined
    }
  }

  /** How many matching pods each domain of the topology key holds. */
  function domainsWith(term: PodAffinityTerm, namespace: string): Map<string, number> {
    const domains = new Map<string, number>()
    for (const space of term.namespaces ?? [namespace]) {
      for (const other of readAll(registry, PODS, space)) {
        if (!holdsPlace(other) || other.metadata.deletionTimestamp !== undefined) continue
        if (!selects(term.labelSelector, other.metadata.labels)) continue
        const labels: Labels = places.get(other.spec.nodeName ?? '')?.node.metadata.labels ?? {}
        const domain = labels[term.topologyKey]
        if (domain !== undefined) add(domains, domain, 1)
      }
    }
    return domains
  }
}

function emptyPlace(node: ClusterNode): Place {
  return { node, cpu: 0, memory: 0, pods: 0, others: new Map(), owners: new Map(), hostPorts: new Map() }
}

function holdsPlace(pod: Pod): boolean {
  return pod.spec.nodeName !== undefined && !isTerminal(pod)
}

/** Why no eviction could make the node fit, in the order in which the real filters run. */
function hardReason(pod: Pod, node: ClusterNode, withTaints = true): string | undefined {
  const { tolerations } = pod.spec
  const cordoned = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
  if (
    withTaints &&
    node.spec?.unschedulable === true &&
    !tolerations?.some((each) => tolerates(each, cordoned))
  ) {
    return 'node(s) were unschedulable'
  }
  if (withTaints) {
    const taint = untolerated(tolerations, node.spec?.taints, ['NoSchedule', 'NoExecute'])
    if (taint !== undefined) return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`
  }
  return fitsNode(pod.spec, node) ? undefined : "node(s) didn't match Pod's node affinity/selector"
}

function* lackOf(spec: PodSpec, requests: PodRequests, { node, ...used }: Place): Generator<string> {
  const allocatable = node.status?.allocatable ?? {}
  if (hostPorts(spec).some((port) => (used.hostPorts.get(port) ?? 0) > 0)) {
    yield "node(s) didn't have free ports for the requested pod ports"
  }
  if (used.pods + 1 > quantity(allocatable['pods'] ?? '110')) yield 'Too many pods'
  // Sums of fractions of a core drift: a micro-core of slack decides no real case.
  if (used.cpu + requests.cpu > quantity(allocatable['cpu']) + 1e-6) yield 'Insufficient cpu'
  if (used.memory + requests.memory > quantity(allocatable['memory'])) yield 'Insufficient memory'
  for (const name in requests.others) {
    const wanted = requests.others[name] ?? 0
    if (wanted > 0 && (used.others.get(name) ?? 0) + wanted > quantity(allocatable[name])) {
      yield `Insufficient ${name}`
    }
  }
}

/** Least allocated first; a pod of the same owner weighs as much as a tenth of the node. */
function scoreOf(place: Place, requests: PodRequests, owner: string): number {
  const { allocatable } = place.node.status ?? {}
  const cpu = (place.cpu + requests.cpu) / Math.max(1, quantity(allocatable?.['cpu']))
  const memory = (place.memory + requests.memory) / Math.max(1, quantity(allocatable?.['memory']))
  const pods = place.pods / Math.max(1, quantity(allocatable?.['pods'] ?? '110'))
  return -(cpu + memory) / 2 - pods / 10 - (place.owners.get(owner) ?? 0) / 10
}

function hostPorts(spec: PodSpec): readonly string[] {
  const ports: string[] = []
  for (const container of spec.containers) {
    for (const { hostPort, protocol = 'TCP' } of container.ports ?? []) {
      if (hostPort !== undefined && hostPort > 0) ports.push(`${protocol}/${hostPort}`)
    }
  }
  return ports
}

function noVictims(nodes: number, hopeless: number, resolvable: number): string {
  const parts = [
    ...(hopeless > 0 ? [`${hopeless} Preemption is not helpful for scheduling`] : []),
    ...(resolvable > 0 ? [`${resolvable} No preemption victims found for incoming pod`] : []),
  ]
  return `preemption: 0/${nodes} nodes are available: ${parts.join(', ')}.`
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const next = (counts.get(key) ?? 0) + by
  if (next === 0) counts.delete(key)
  else counts.set(key, next)
}
