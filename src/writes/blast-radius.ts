/**
 * What a change would touch, for somebody who has to decide whether they want that: reckoned from its dry run, from
 * what the viewer may see in memory, and from the disruption budgets of the namespaces in which pods would go.
 *
 * Invariants: nothing is reckoned from what the viewer may not see; what could not be found out is said, and is never
 * an error. It is a forecast: what controllers, autoscalers and quotas make of the change is theirs to decide.
 */
import { isDeepStrictEqual } from 'node:util'
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { Cluster } from '../fleet/fleet.ts'
import { resourcePath } from '../kubernetes/kinds.ts'
import { matchesLabels } from '../kubernetes/label-selector.ts'
import { integer, list, record, text, type Json } from '../kubernetes/projections/fields.ts'
import { podResources } from '../kubernetes/projections/pod-resources.ts'
import { amountOf, shareContainers, shareLabels, shareSelector } from '../kubernetes/projections/shared.ts'
import type {
  Kind,
  LabelSelector,
  LabelSet,
  NodeRow,
  PodRow,
  WorkloadKind,
  WorkloadRow,
} from '../kubernetes/rows.ts'
import type { KubernetesJson } from '../kubernetes/json.ts'
import { WORKLOAD_KINDS } from '../kubernetes/kinds.ts'
import type { Change, Outcome, Step, StepResult } from './change.ts'
import { podSpecOf, podTemplateOf, replicasOf } from './pod-template.ts'

export interface BlastRadius {
  /** Names, in order. */
  readonly clusters: readonly string[]
  /** `cluster/namespace`, in order. */
  readonly namespaces: readonly string[]
  /** Objects that would be created, changed, deleted. */
  readonly created: number
  readonly updated: number
  readonly deleted: number
  /** Workloads among them, and those in namespaces that would be deleted; of workloads that own each other one. */
  readonly workloads: number
  /** Pods that would come, go, and be replaced by others. */
  readonly podsAdded: number
  readonly podsRemoved: number
  readonly podsReplaced: number
  /** Of clusters in which pods would come or change, in order of their names. */
  readonly capacity: readonly ClusterCapacity[]
  /** PodDisruptionBudgets that would have fewer healthy pods than they ask for, in order. */
  readonly budgets: readonly BudgetRisk[]
  /** What could not be found out, for a person. */
  readonly unknown: readonly string[]
}

/**
 * What the change asks for beyond what is asked for now, once it is done – less than nothing where it gives back –,
 * against what is free on the nodes that take any pod: ready, not cordoned by now or by the change, without taints
 * that keep pods away. Pods that wait for a node count as if they had one.
 */
export interface ClusterCapacity {
  readonly cluster: string
  /** Cores. */
  readonly cpuRequested: number
  readonly cpuFree: number
  /** Bytes. */
  readonly memoryRequested: number
  readonly memoryFree: number
  /** Whether the nodes that take pods have room for it, by their sums: no promise of the scheduler. */
  readonly fits: boolean
}

export interface BudgetRisk {
  readonly cluster: string
  readonly namespace: string
  readonly name: string
  readonly disruptionsAllowed: number
  /** Pods of it that would be gone at a time: of a rolling update as many as it takes at once. */
  readonly podsAffected: number
}

const EFFECTS: ReadonlySet<Outcome> = new Set(['CREATED', 'UPDATED', 'DELETED'])

/** Namespaces of a cluster of which budgets are read one by one: most people may not read all of them. */
const MOST_NAMESPACES = 20

/** `results`: of the dry run of its steps. Rejects with `signal.reason` only. */
export async function computeBlastRadius(
  fleet: AuthorizedFleet,
  change: Change,
  results: readonly StepResult[],
  signal: AbortSignal,
): Promise<BlastRadius> {
  signal.throwIfAborted()
  const steps = new Map(change.steps.map((step) => [step.index, step]))
  const forecasts = new Map<string, ClusterForecast>()
  const clusters = new Set<string>()
  const namespaces = new Set<string>()
  const count = { CREATED: 0, UPDATED: 0, DELETED: 0 }
  let without = 0
  for (const result of results) {
    const { object } = result
    const step = steps.get(result.index)
    // An eviction that has to wait now is one of those that somebody has to know of.
    const waits = step?.action.type === 'EVICT' && result.error?.code === 'DISRUPTION_BUDGET'
    const outcome = waits ? 'DELETED' : result.outcome
    if (!EFFECTS.has(outcome) || !step) {
      if (outcome !== 'UNCHANGED') without++
      continue
    }
    clusters.add(object.cluster)
    const namespace = namespaceOf(step)
    if (namespace !== '') namespaces.add(`${object.cluster}/${namespace}`)
    count[outcome as keyof typeof count]++
    let forecast = forecasts.get(object.cluster)
    if (!forecast) forecasts.set(object.cluster, (forecast = new ClusterForecast(fleet, object.cluster)))
    forecast.add(step, { ...result, outcome })
  }
  const inOrder = Array.from(forecasts.values()).sort((a, b) => (a.name < b.name ? -1 : 1))
  const capacity = inOrder.flatMap((forecast) => forecast.capacity() ?? [])
  const budgets = await Promise.all(inOrder.map((forecast) => forecast.budgets(signal)))
  const sum = (part: (forecast: ClusterForecast) => number) =>
    inOrder.reduce((total, forecast) => total + part(forecast), 0)
  const failed = without === 1 ? 'One step' : `${without} steps`
  return {
    clusters: Array.from(clusters).sort(),
    namespaces: Array.from(namespaces).sort(),
    created: count.CREATED,
    updated: count.UPDATED,
    deleted: count.DELETED,
    workloads: sum(({ workloads }) => workloads),
    podsAdded: sum(({ added }) => added),
    podsRemoved: sum(({ removed }) => removed),
    podsReplaced: sum(({ replaced }) => replaced),
    capacity,
    budgets: budgets.flat(),
    unknown: [
      ...(without > 0
        ? [`${failed} would not be carried out, and would change nothing; see the results.`]
        : []),
      ...inOrder.flatMap(({ unknown }) => Array.from(unknown)),
    ],
  }
}

/** Pods of a namespace that would be gone, at most `atOnce` of them at a time. */
interface Departure {
  readonly namespace: string
  readonly pods: readonly { readonly labels: LabelSet; readonly count: number }[]
  readonly atOnce: number
}

interface Requests {
  cpu: number
  memory: number
}

/** Cores add up in billionths, so that 0.1 + 0.2 is 0.3. */
const NANO = 1e9

/** What becomes of the pods of one cluster. */
class ClusterForecast {
  readonly name: string
  readonly unknown = new Set<string>()
  added = 0
  readonly #fleet: AuthorizedFleet
  readonly #cluster: Cluster | undefined
  readonly #workloads = new Set<string>()
  /** By uid: pods that are known, so that none is counted twice. */
  readonly #gone = new Map<string, PodRow>()
  readonly #coming = new Map<string, PodRow>()
  /** Others. */
  #removed = 0
  #replaced = 0
  readonly #departures: Departure[] = []
  /** Names of nodes that the change takes pods from, or gives back. */
  readonly #nodes = new Map<string, boolean>()
  readonly #requests: Requests = { cpu: 0, memory: 0 }
  #places = false

  constructor(fleet: AuthorizedFleet, name: string) {
    this.name = name
    this.#fleet = fleet
    this.#cluster = fleet.cluster(name)
  }

  get workloads(): number {
    return this.#workloads.size
  }

  get removed(): number {
    return this.#gone.size + this.#removed
  }

  get replaced(): number {
    let known = 0
    for (const uid of this.#coming.keys()) if (!this.#gone.has(uid)) known++
    return known + this.#replaced
  }

  add(step: Step, result: StepResult): void {
    const { kind, apiVersion, namespace, name } = step.object
    if (kind === 'Namespace' && apiVersion === 'v1') {
      if (result.outcome === 'DELETED') this.#emptied(name)
      return
    }
    if (kind === 'Node' && apiVersion === 'v1') {
      if (step.action.type !== 'EDIT' || step.action.edit.type !== 'UNSCHEDULABLE') return
      this.#nodes.set(name, !step.action.edit.unschedulable)
      return
    }
    if (kind === 'Pod') {
      this.#pod(namespace ?? '', name, result)
      return
    }
    if (kind === 'HorizontalPodAutoscaler') {
      this.#autoscaler(namespace ?? '', result)
      return
    }
    if (isWorkloadKind(kind)) this.#workload(kind, namespace ?? '', name, step, result)
    else if (podTemplateOf(result.after ?? result.before)) {
      this.unknown.add(
        `What becomes of the pods of ${kind} ${namespace}/${name} in ${this.name} is not known.`,
      )
    }
  }

  // ── Pods ──────────────────────────────────────────────────────────────────────────────────────

  #emptied(namespace: string): void {
    for (const kind of WORKLOAD_KINDS) {
      if (this.#hidden(kind, namespace)) continue
      const rows = this.#fleet.related(kind, this.name, (table) => table.rows(namespace))
      for (const row of rows) {
        if (!row.owner || !isWorkloadKind(row.owner.kind))
          this.#workloads.add(`${kind}/${namespace}/${row.name}`)
      }
    }
    if (!this.#sees('Pod', namespace, 'how many pods would go with it')) return
    this.#goes(this.#fleet.related('Pod', this.name, (table) => table.rows(namespace)).filter(isAlive))
  }

  #pod(namespace: string, name: string, { outcome, before, after }: StepResult): void {
    if (outcome === 'CREATED') {
      this.added++
      this.#asks(podSpecOf(after), 1)
      return
    }
    if (outcome !== 'DELETED') return
    const row = this.#fleet.get('Pod', this.name, namespace, name)
    // Whoever controls it makes another.
    if (row) {
      if (row.owner) this.#comesAgain([row], 1)
      else this.#goes([row])
      return
    }
    const metadata = record(before?.metadata)
    if (list(metadata['ownerReferences']).some((owner) => record(owner)['controller'] === true))
      this.#replaced++
    else this.#removed++
    this.#departs(namespace, [{ labels: shareLabels(metadata['labels']), count: 1 }], 1)
  }

  #workload(kind: WorkloadKind, namespace: string, name: string, step: Step, result: StepResult): void {
    const { action } = step
    const { outcome, before, after } = result
    this.#workloads.add(`${kind}/${namespace}/${name}`)
    if (outcome === 'CREATED') {
      const pods = kind === 'DaemonSet' ? this.#nodesFor(after) : podsWanted(kind, after)
      this.added += pods
      this.#asks(podSpecOf(after), pods)
      return
    }
    const row = this.#fleet.get(kind, this.name, namespace, name)
    const was = before ? podsWanted(kind, before) : (row?.desired ?? 0)
    if (outcome === 'DELETED') {
      if (action.type === 'DELETE' && action.propagationPolicy === 'Orphan') return
      const rows = this.#podsOf(row, namespace)
      const again = row?.owner?.kind === 'Deployment'
      if (rows) {
        if (again) this.#comesAgain(rows, rows.length)
        else this.#goes(rows)
        return
      }
      if (again) this.#replaced += was
      else {
        this.#removed += was
        this.#asks(podSpecOf(before), -was)
      }
      this.#departs(namespace, [{ labels: templateLabels(before), count: was }], was)
      return
    }
    if (kind === 'CronJob') return
    const wanted =
      action.type === 'SCALE' && action.to !== undefined
        ? action.to
        : kind === 'DaemonSet'
          ? was
          : podsWanted(kind, after)
    this.added += Math.max(0, wanted - was)
    const fewer = Math.max(0, was - wanted)
    this.#removed += fewer
    if (before && after && podTemplateOf(before) && podTemplateOf(after)) {
      this.#asks(podSpecOf(after), wanted)
      this.#asks(podSpecOf(before), -was)
    } else if (row) this.#adds(row.cpuRequest, row.memoryRequest, wanted - was)
    else if (wanted !== was) {
      this.unknown.add(`What the pods of ${kind} ${namespace}/${name} in ${this.name} ask for is not known.`)
    }
    const renewed = Math.min(was, wanted, podsRenewed(kind, before, after, wanted))
    if (fewer === 0 && renewed === 0) return
    const rows = this.#podsOf(row, namespace)
    const labels = rows
      ? rows.map((pod) => ({ labels: pod.labels, count: 1 }))
      : [{ labels: templateLabels(before ?? after), count: was }]
    if (renewed > 0) {
      if (rows && fewer === 0 && renewed === wanted) for (const pod of rows) this.#coming.set(pod.uid, pod)
      else this.#replaced += renewed
    }
    this.#departs(namespace, labels, fewer + Math.min(renewed, takenAtOnce(kind, after, wanted)))
  }

  #autoscaler(namespace: string, { outcome, after }: StepResult): void {
    const spec = record(after?.['spec'])
    const target = record(spec['scaleTargetRef'])
    const kind = text(target['kind'])
    if (outcome === 'DELETED' || !isWorkloadKind(kind)) return
    const row = this.#fleet.get(kind, this.name, namespace, text(target['name']))
    // At 0 it does not scale.
    if (!row || row.desired === 0) return
    const wanted = Math.min(
      Math.max(row.desired, integer(spec['minReplicas'], 1)),
      integer(spec['maxReplicas'], 1),
    )
    this.#adds(row.cpuRequest, row.memoryRequest, wanted - row.desired)
    this.added += Math.max(0, wanted - row.desired)
    const fewer = Math.max(0, row.desired - wanted)
    if (fewer === 0) return
    this.#removed += fewer
    const pods = this.#podsOf(row, namespace) ?? []
    this.#departs(
      namespace,
      pods.map(({ labels }) => ({ labels, count: 1 })),
      fewer,
    )
  }

  /** Those that run for it, or are to; `undefined` where they cannot be seen. */
  #podsOf(row: WorkloadRow | undefined, namespace: string): readonly PodRow[] | undefined {
    if (
      !row ||
      !this.#sees('Pod', namespace, 'which pods are concerned, which are reckoned from its workloads')
    ) {
      return undefined
    }
    const owned = (uid: string) => this.#fleet.related('Pod', this.name, (table) => table.byOwner(uid))
    if (row.kind !== 'Deployment' && row.kind !== 'CronJob') return owned(row.uid).filter(isAlive)
    const between = row.kind === 'Deployment' ? 'ReplicaSet' : 'Job'
    if (!this.#sees(between, namespace, 'which pods are concerned, which are reckoned from its workloads')) {
      return undefined
    }
    return this.#fleet
      .related(between, this.name, (table) => table.byOwner(row.uid))
      .flatMap(({ uid }) => owned(uid))
      .filter(isAlive)
  }

  #goes(pods: readonly PodRow[]): void {
    const news = pods.filter(({ uid }) => !this.#gone.has(uid))
    for (const pod of news) {
      this.#gone.set(pod.uid, pod)
      this.#adds(pod.cpuRequest, pod.memoryRequest, -1)
    }
    this.#departAll(news)
  }

  #comesAgain(pods: readonly PodRow[], atOnce: number): void {
    for (const pod of pods) this.#coming.set(pod.uid, pod)
    this.#departAll(pods, atOnce)
  }

  #departAll(pods: readonly PodRow[], atOnce = pods.length): void {
    const [first] = pods
    if (first)
      this.#departs(
        first.namespace,
        pods.map(({ labels }) => ({ labels, count: 1 })),
        atOnce,
      )
  }

  #departs(namespace: string, pods: Departure['pods'], atOnce: number): void {
    if (atOnce > 0) this.#departures.push({ namespace, pods, atOnce })
  }

  // ── Capacity ──────────────────────────────────────────────────────────────────────────────────

  #asks(podSpec: Json, pods: number): void {
    const { cpuRequest, memoryRequest } = podResources(podSpec, shareContainers(podSpec).value)
    this.#adds(cpuRequest, memoryRequest, pods)
  }

  #adds(cpu: number, memory: number, pods: number): void {
    if (pods === 0) return
    this.#places = true
    this.#requests.cpu += Math.round(cpu * NANO) * pods
    this.#requests.memory += memory * pods
  }

  /** `undefined`: the change asks for nothing, or it is not known what is free. */
  capacity(): ClusterCapacity | undefined {
    const moved = Array.from(this.#coming.values()).filter(
      ({ uid, nodeName }) => this.#nodes.get(nodeName) === false && !this.#gone.has(uid),
    )
    for (const { cpuRequest, memoryRequest } of moved) this.#adds(cpuRequest, memoryRequest, 1)
    if (!this.#places) return undefined
    const why = 'what is free, and whether the change fits'
    if (!this.#sees('Node', undefined, why) || !this.#sees('Pod', undefined, why)) return undefined
    const free = this.#free()
    const cpu = Math.round(this.#requests.cpu)
    const { memory } = this.#requests
    return {
      cluster: this.name,
      cpuRequested: cpu / NANO,
      cpuFree: Math.max(0, free.cpu) / NANO,
      memoryRequested: memory,
      memoryFree: Math.max(0, free.memory),
      fits: (cpu <= 0 || cpu <= free.cpu) && (memory <= 0 || memory <= free.memory),
    }
  }

  /** In billionths of cores, and bytes. */
  #free(): Requests {
    const free: Requests = { cpu: 0, memory: 0 }
    for (const { cpuRequest, memoryRequest } of this.#fleet.summaries('Pod', this.#cluster!)) {
      free.cpu -= Math.round(cpuRequest * NANO)
      free.memory -= memoryRequest
    }
    for (const node of this.#fleet.related('Node', this.name, (table) => table.rows())) {
      if (this.#takesPods(node)) {
        free.cpu += Math.round(amountOf(node.allocatable, 'cpu') * NANO)
        free.memory += amountOf(node.allocatable, 'memory')
        continue
      }
      // What is asked for there is not asked of the others.
      for (const pod of this.#fleet.related('Pod', this.name, (table) => table.byIndex('node', node.name))) {
        if (!isAlive(pod)) continue
        free.cpu += Math.round(pod.cpuRequest * NANO)
        free.memory += pod.memoryRequest
      }
    }
    return free
  }

  #takesPods({ name, ready, unschedulable, taints }: NodeRow): boolean {
    const open = this.#nodes.get(name) ?? !unschedulable
    // Of the taint that says the same as `unschedulable` the change decides.
    const lets = ({ key, effect }: NodeRow['taints'][number]) =>
      effect === 'PreferNoSchedule' || key === 'node.kubernetes.io/unschedulable'
    return ready === 'True' && open && taints.every(lets)
  }

  /** How many nodes a DaemonSet would have pods on, by its node selector. */
  #nodesFor(daemonSet: KubernetesJson | null): number {
    if (!this.#sees('Node', undefined, 'on how many nodes a DaemonSet would have pods')) return 0
    const { nodeSelector } = podSpecOf(daemonSet)
    const selector: LabelSelector = { matchLabels: shareLabels(nodeSelector), matchExpressions: [] }
    return this.#fleet
      .related('Node', this.name, (table) => table.rows())
      .filter((node) => this.#takesPods(node) && matchesLabels(selector, node.labels)).length
  }

  // ── Disruption budgets ────────────────────────────────────────────────────────────────────────

  async budgets(signal: AbortSignal): Promise<readonly BudgetRisk[]> {
    const cluster = this.#cluster
    const namespaces = Array.from(new Set(this.#departures.map(({ namespace }) => namespace))).sort()
    if (!cluster || namespaces.length === 0) return []
    const risks: BudgetRisk[] = []
    for (const namespace of namespaces.length > MOST_NAMESPACES ? [undefined] : namespaces) {
      for (const budget of await this.#budgetsOf(cluster, namespace, signal)) {
        const risk = this.#risk(record(budget))
        if (risk) risks.push(risk)
      }
    }
    const key = ({ namespace, name }: BudgetRisk) => `${namespace}/${name}`
    return risks.sort((a, b) => (key(a) < key(b) ? -1 : 1))
  }

  async #budgetsOf(
    cluster: Cluster,
    namespace: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly unknown[]> {
    const where = namespace === undefined ? this.name : `${namespace} of ${this.name}`
    const address = { group: 'policy', version: 'v1', resource: 'poddisruptionbudgets' }
    const path = resourcePath(address, namespace)
    try {
      const what = `list PodDisruptionBudget${namespace === undefined ? '' : ` ${namespace}`}`
      const answer = await this.#fleet.request(cluster, { path, query: { limit: 500 }, what }, signal)
      if (text(record(record(answer)['metadata'])['continue']) !== '') {
        this.unknown.add(`Only the first 500 PodDisruptionBudgets of ${where} were looked at.`)
      }
      return list(record(answer)['items'])
    } catch (error) {
      signal.throwIfAborted()
      const problem = error instanceof Error ? error.message : String(error)
      this.unknown.add(`The PodDisruptionBudgets of ${where} could not be read: ${problem}`)
      return []
    }
  }

  #risk(budget: Json): BudgetRisk | undefined {
    const metadata = record(budget['metadata'])
    const namespace = text(metadata['namespace'])
    const selector = shareSelector(record(budget['spec'])['selector'])
    const podsAffected = this.#departures.reduce((total, departure) => {
      if (departure.namespace !== namespace) return total
      const matching = departure.pods.reduce(
        (sum, { labels, count }) => sum + (matchesLabels(selector, labels) ? count : 0),
        0,
      )
      return total + Math.min(departure.atOnce, matching)
    }, 0)
    const disruptionsAllowed = integer(record(budget['status'])['disruptionsAllowed'])
    if (podsAffected <= disruptionsAllowed) return undefined
    return { cluster: this.name, namespace, name: text(metadata['name']), disruptionsAllowed, podsAffected }
  }

  // ── What may be seen ──────────────────────────────────────────────────────────────────────────

  /** Says so where not. Without a namespace: in all of them. */
  #sees(kind: Kind, namespace: string | undefined, what: string): boolean {
    const reason = this.#hidden(kind, namespace)
    if (reason !== undefined) {
      const where = namespace === undefined ? this.name : `${namespace} of ${this.name}`
      this.unknown.add(`It is not known ${what}: ${kind} objects in ${where} cannot be seen (${reason}).`)
    }
    return reason === undefined
  }

  #hidden(kind: Kind, namespace: string | undefined): string | undefined {
    const cluster = this.#cluster
    if (!cluster) return 'the cluster is no longer in the fleet'
    const [coverage] = this.#fleet.coverage([kind], [cluster])
    if (coverage!.asOf === null) return (coverage!.reason ?? coverage!.state).replace(/\.$/, '')
    const { scope } = this.#fleet.right(kind, cluster)
    if (scope === 'all' || (namespace !== undefined && scope?.namespaces.has(namespace))) return undefined
    return 'you may not list them'
  }
}

function namespaceOf({ object }: Step): string {
  return object.namespace ?? (object.kind === 'Namespace' && object.apiVersion === 'v1' ? object.name : '')
}

function isWorkloadKind(kind: string): kind is WorkloadKind {
  return (WORKLOAD_KINDS as readonly string[]).includes(kind)
}

/** What has ended takes no room, and nobody misses it. */
function isAlive({ phase }: PodRow): boolean {
  return phase !== 'Succeeded' && phase !== 'Failed'
}

function templateLabels(object: KubernetesJson | null): LabelSet {
  return shareLabels(record(podTemplateOf(object)?.['metadata'])['labels'])
}

/** At a time; of a DaemonSet as its controller has counted. */
function podsWanted(kind: WorkloadKind, object: KubernetesJson | null): number {
  if (kind === 'CronJob') return 0
  if (kind === 'DaemonSet') return integer(record(object?.['status'])['desiredNumberScheduled'])
  return Math.max(0, replicasOf(object) ?? 0)
}

/** How many pods a change of an object has replaced, of so many. */
function podsRenewed(
  kind: WorkloadKind,
  before: KubernetesJson | null,
  after: KubernetesJson | null,
  pods: number,
): number {
  if (!before || !after) return 0
  const spec = record(after['spec'])
  const changed = !isDeepStrictEqual(record(before['spec'])['template'], spec['template'])
  switch (kind) {
    case 'Deployment': {
      if (spec['paused'] === true) return 0
      if (changed) return pods
      const resumed = record(before['spec'])['paused'] === true
      return resumed ? Math.max(0, pods - integer(record(before['status'])['updatedReplicas'])) : 0
    }
    case 'StatefulSet': {
      const strategy = record(spec['updateStrategy'])
      if (!changed || strategy['type'] === 'OnDelete') return 0
      return Math.max(0, pods - integer(record(strategy['rollingUpdate'])['partition']))
    }
    case 'DaemonSet':
      return changed && record(spec['updateStrategy'])['type'] !== 'OnDelete' ? pods : 0
    // Of a ReplicaSet and a Job a new template is for new pods.
    default:
      return 0
  }
}

/** How many pods an update leaves out of service at a time. */
function takenAtOnce(kind: WorkloadKind, object: KubernetesJson | null, pods: number): number {
  const spec = record(object?.['spec'])
  const strategy = record(spec[kind === 'Deployment' ? 'strategy' : 'updateStrategy'])
  if (strategy['type'] === 'Recreate') return pods
  const { maxUnavailable, maxSurge } = record(strategy['rollingUpdate'])
  if (kind !== 'Deployment') return share(maxUnavailable, 1, pods, Math.ceil)
  const taken = share(maxUnavailable, '25%', pods, Math.floor)
  // Both at 0 would stand still.
  return taken === 0 && share(maxSurge, '25%', pods, Math.ceil) === 0 ? 1 : taken
}

/** `intstr.IntOrString`. */
function share(
  value: unknown,
  standard: number | string,
  of: number,
  round: (number: number) => number,
): number {
  const given = typeof value === 'number' || typeof value === 'string' ? value : standard
  if (typeof given === 'number') return given
  const percent = /^(\d+)%$/.exec(given)
  return percent ? round((Number(percent[1]) / 100) * of) : 0
}
