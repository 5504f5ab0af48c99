/**
 * What a table counts about itself, kept incrementally: one summary per namespace, so that a viewer who
 * may see only some namespaces gets the sum of exactly those. Sums are kept in whole units (billionths
 * of a core, bytes), so that after any number of changes they are what a fresh count would give.
 */
import type { NodeRow, PodRow, ResourceAmounts, Row } from '../kubernetes/rows.ts'

export interface NamespaceSummary {
  /** Rows. */
  readonly count: number
  /**
   * Rows by what the kind is judged by: a Pod's `status`, a workload's `rollout.status`, a Node's
   * `Ready`/`NotReady`/`Unknown` (with `SchedulingDisabled` counted beside it), the `phase` of a claim, a
   * volume and a Namespace, an Event's and a Service's `type`. Empty for the other kinds.
   */
  readonly byStatus: ReadonlyMap<string, number>
  /** Pods only: by `phase`. */
  readonly byPhase: ReadonlyMap<string, number>
  /** Cores and bytes: requests of Pods that are neither Succeeded nor Failed; 0 for other kinds. */
  readonly cpuRequest: number
  readonly memoryRequest: number
  readonly cpuLimit: number
  readonly memoryLimit: number
  /** Pods only: image → number of running containers with it. */
  readonly images: ReadonlyMap<string, number>
  /** Nodes only: sums of resources, base units, by resource name. */
  readonly capacity: ReadonlyMap<string, number>
  readonly allocatable: ReadonlyMap<string, number>
  /** Nodes only: kubelet version → nodes. */
  readonly versions: ReadonlyMap<string, number>
}

export interface TableSummary {
  /** By namespace; `''` for kinds without one. Namespaces without rows are not there. */
  readonly namespaces: ReadonlyMap<string, NamespaceSummary>
  /** Increases whenever `namespaces` has other keys. */
  readonly namespacesRevision: number
  /** All namespaces together. */
  readonly total: NamespaceSummary
}

const NANO = 1e9

const NONE: ReadonlyMap<string, number> = new Map()

/** Counters by name; none is kept at 0. Made when first needed: most summaries never need most of theirs. */
class Tally {
  #counts: Map<string, number> | undefined

  get counts(): ReadonlyMap<string, number> {
    return this.#counts ?? NONE
  }

  add(name: string, amount: number): void {
    this.#counts ??= new Map()
    const count = (this.#counts.get(name) ?? 0) + amount
    if (count === 0) this.#counts.delete(name)
    else this.#counts.set(name, count)
  }

  addAll(amounts: ReadonlyMap<string, number>, unit: (name: string) => number = () => 1): void {
    for (const [name, amount] of amounts) this.add(name, Math.round(amount * unit(name)))
  }
}

/** `sign` is 1 for a row that comes, -1 for one that goes. */
type Sign = 1 | -1

class Summary implements NamespaceSummary {
  count = 0
  readonly #status = new Tally()
  readonly #phase = new Tally()
  readonly #images = new Tally()
  readonly #capacity = new Tally()
  readonly #allocatable = new Tally()
  readonly #versions = new Tally()
  #cpuRequest = 0
  #cpuLimit = 0
  memoryRequest = 0
  memoryLimit = 0

  get byStatus(): ReadonlyMap<string, number> {
    return this.#status.counts
  }

  get byPhase(): ReadonlyMap<string, number> {
    return this.#phase.counts
  }

  get cpuRequest(): number {
    return this.#cpuRequest / NANO
  }

  get cpuLimit(): number {
    return this.#cpuLimit / NANO
  }

  get images(): ReadonlyMap<string, number> {
    return this.#images.counts
  }

  get capacity(): ReadonlyMap<string, number> {
    return inBaseUnits(this.#capacity.counts)
  }

  get allocatable(): ReadonlyMap<string, number> {
    return inBaseUnits(this.#allocatable.counts)
  }

  get versions(): ReadonlyMap<string, number> {
    return this.#versions.counts
  }

  add(row: Row, sign: Sign): void {
    this.count += sign
    const status = statusOf(row)
    if (status !== undefined) this.#status.add(status, sign)
    if (row.kind === 'Pod') this.#addPod(row, sign)
    else if (row.kind === 'Node') this.#addNode(row, sign)
  }

  /** What others counted, in addition. */
  include(other: NamespaceSummary): void {
    this.count += other.count
    this.#status.addAll(other.byStatus)
    this.#phase.addAll(other.byPhase)
    this.#images.addAll(other.images)
    this.#versions.addAll(other.versions)
    this.#capacity.addAll(other.capacity, unitOf)
    this.#allocatable.addAll(other.allocatable, unitOf)
    this.#cpuRequest += Math.round(other.cpuRequest * NANO)
    this.#cpuLimit += Math.round(other.cpuLimit * NANO)
    this.memoryRequest += other.memoryRequest
    this.memoryLimit += other.memoryLimit
  }

  #addPod(pod: PodRow, sign: Sign): void {
    this.#phase.add(pod.phase, sign)
    for (const image of pod.runningImages) this.#images.add(image, sign)
    if (pod.phase === 'Succeeded' || pod.phase === 'Failed') return
    this.#cpuRequest += sign * Math.round(pod.cpuRequest * NANO)
    this.#cpuLimit += sign * Math.round(pod.cpuLimit * NANO)
    this.memoryRequest += sign * Math.round(pod.memoryRequest)
    this.memoryLimit += sign * Math.round(pod.memoryLimit)
  }

  #addNode(node: NodeRow, sign: Sign): void {
    if (node.unschedulable) this.#status.add('SchedulingDisabled', sign)
    this.#versions.add(node.kubeletVersion, sign)
    addAmounts(this.#capacity, node.capacity, sign)
    addAmounts(this.#allocatable, node.allocatable, sign)
  }
}

/** Of rows that no table counts together. */
export function summaryOf(rows: Iterable<Row>): NamespaceSummary {
  const summary = new Summary()
  for (const row of rows) summary.add(row, 1)
  return summary
}

/** The same as counting all their rows together; a copy, unless it is one. */
export function sumOf(summaries: readonly NamespaceSummary[]): NamespaceSummary {
  if (summaries.length === 1) return summaries[0]!
  const sum = new Summary()
  for (const summary of summaries) sum.include(summary)
  return sum
}

/** Only CPU comes in fractions; billionths of bytes would leave the integers that a number can hold. */
function unitOf(resource: string): number {
  return resource === 'cpu' ? NANO : 1
}

function addAmounts(tally: Tally, amounts: ResourceAmounts, sign: Sign): void {
  for (const name in amounts) tally.add(name, sign * Math.round(amounts[name]!.value * unitOf(name)))
}

function inBaseUnits(counts: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map(counts.entries().map(([name, count]) => [name, count / unitOf(name)]))
}

/** What `byStatus` counts a row under. */
function statusOf(row: Row): string | undefined {
  switch (row.kind) {
    case 'Pod':
      return row.status
    case 'Deployment':
    case 'StatefulSet':
    case 'DaemonSet':
    case 'ReplicaSet':
    case 'Job':
    case 'CronJob':
      return row.rollout.status
    case 'Node':
      return row.ready === 'True' ? 'Ready' : row.ready === 'False' ? 'NotReady' : 'Unknown'
    case 'Namespace':
    case 'PersistentVolumeClaim':
    case 'PersistentVolume':
      return row.phase
    case 'Service':
    case 'Event':
      return row.type
    default:
      return undefined
  }
}

/** Whether two states of one object add the same, as most changes leave it. */
function countsAlike(a: Row, b: Row): boolean {
  if (a.kind === 'Pod' && b.kind === 'Pod') {
    return (
      a.status === b.status &&
      a.phase === b.phase &&
      a.runningImages === b.runningImages &&
      a.cpuRequest === b.cpuRequest &&
      a.memoryRequest === b.memoryRequest &&
      a.cpuLimit === b.cpuLimit &&
      a.memoryLimit === b.memoryLimit
    )
  }
  if (a.kind === 'Node' && b.kind === 'Node') {
    return (
      a.ready === b.ready &&
      a.unschedulable === b.unschedulable &&
      a.kubeletVersion === b.kubeletVersion &&
      a.capacity === b.capacity &&
      a.allocatable === b.allocatable
    )
  }
  return statusOf(a) === statusOf(b)
}

export class SummaryCounter implements TableSummary {
  readonly #namespaces = new Map<string, Summary>()
  readonly #total = new Summary()
  #namespacesRevision = 0

  get namespacesRevision(): number {
    return this.#namespacesRevision
  }

  get namespaces(): ReadonlyMap<string, NamespaceSummary> {
    return this.#namespaces
  }

  get total(): NamespaceSummary {
    return this.#total
  }

  /** Rows of one namespace. */
  count(namespace: string): number {
    return this.#namespaces.get(namespace)?.count ?? 0
  }

  /** After `previous` (if any) became `row` (if any) under one key. */
  change(previous: Row | undefined, row: Row | undefined): void {
    if (previous && row && countsAlike(previous, row)) return
    if (previous) this.#add(previous, -1)
    if (row) this.#add(row, 1)
  }

  #add(row: Row, sign: Sign): void {
    let summary = this.#namespaces.get(row.namespace)
    if (!summary) {
      summary = new Summary()
      this.#namespaces.set(row.namespace, summary)
      this.#namespacesRevision++
    }
    summary.add(row, sign)
    this.#total.add(row, sign)
    if (summary.count > 0) return
    this.#namespaces.delete(row.namespace)
    this.#namespacesRevision++
  }
}
