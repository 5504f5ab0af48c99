/**
 * What a table counts about itself, kept incrementally: one summary per namespace, so that a viewer who
 * may see only some namespaces gets the sum of exactly those.
 */

export interface NamespaceSummary {
  /** Rows. */
  readonly count: number
  /**
   * Rows by what the kind is judged by: a Pod's `status`, a workload's `rollout.status`, a Node's
   * `Ready`/`NotReady`/`Unknown` (with `SchedulingDisabled` counted beside it), a claim's `phase`…
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
  /** By namespace; `''` for kinds without one. */
  readonly namespaces: ReadonlyMap<string, NamespaceSummary>
  /** All namespaces together. */
  readonly total: NamespaceSummary
}
