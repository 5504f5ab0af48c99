/**
 * What happens in the fan-out benchmarks: a fleet of 5,000 pods, changes of one pod after the other, the
 * subscription that asks for them, and 500 filters with what each of them lets through.
 */
import { project } from '../../../src/kubernetes/projections/projections.ts'
import type { PodRow } from '../../../src/kubernetes/rows.ts'
import { FakeCluster, FakeFleet } from '../../support/fake-fleet.ts'
import type { Subscription } from './live-receivers.ts'
import { syntheticPod } from './pods.ts'

const CLUSTERS = 5
const PODS_PER_CLUSTER = 1_000
const PODS = CLUSTERS * PODS_PER_CLUSTER
const NODES = 100
const PODS_PER_WORKLOAD = 20
const PODS_PER_NAMESPACE = 500
/** Walks over all pods, far from one to the next. */
const STRIDE = 1_777

/** Half a kilobyte an event. */
const QUERY = `subscription PodChanges($filter: PodFilter) {
  podChanges(filter: $filter) {
    type
    cursor
    object { id uid name namespace phase status ready restarts podIP nodeName creationTimestamp cluster { name } }
    previous { status restarts }
  }
}`

/** Of every pod of the fleet. */
export const EVERY_POD: Subscription = { query: QUERY }

/**
 * As dashboards have them: of a workload (250), a node (100), a namespace (20, two ways), and of a namespace on one
 * of some nodes (130). A change meets three or four of them.
 */
export const FILTERS: readonly Subscription[] = [
  ...range(250, (workload) => ({ labelSelector: `app=service-${workload}` })),
  ...range(NODES, (node) => ({ node: nodeName(node) })),
  ...range(10, (team) => ({ namespaces: [`team-${team}`] })),
  ...range(10, (team) => ({ namespaces: [`team-${team}`], phases: ['Running'] })),
  ...range(130, (n) => ({ namespaces: [`team-${n % 10}`], node: nodeName(Math.floor(n / 10)) })),
].map((filter) => ({ query: QUERY, variables: { filter } }))

/** Which of `FILTERS` the pod of this event matches, by index. */
export function filtersMatching(event: number): readonly number[] {
  const pod = podOf(event)
  const team = Math.floor(pod / PODS_PER_NAMESPACE)
  const node = pod % NODES
  const matching = [Math.floor(pod / PODS_PER_WORKLOAD), 250 + node, 350 + team, 360 + team]
  if (node < 13) matching.push(370 + node * 10 + team)
  return matching
}

/** Events of which every filter lets one through. */
export function eventsForEveryFilter(): readonly number[] {
  const missing = new Set(FILTERS.keys())
  const events: number[] = []
  for (let event = 0; missing.size > 0; event++) {
    const matching = filtersMatching(event)
    if (matching.some((filter) => missing.has(filter))) events.push(event)
    for (const filter of matching) missing.delete(filter)
  }
  return events
}

/** The pod that event number so many is about. */
function podOf(event: number): number {
  return (event * STRIDE) % PODS
}

/** One way to tell subscribers of an event. */
export interface Subject {
  readonly port: number
  /** Makes ready whatever these events need before they happen. */
  prepare(events: readonly number[]): void
  /** Event number `index` of those. */
  happen(index: number): void
  /** Of `raw`: the text of a message, with whatever id. */
  learn?(message: string): void
}

export class PodEvents {
  readonly fleet: FakeFleet
  #version = 2_000_000
  #prepared: { readonly cluster: FakeCluster; readonly row: PodRow }[] = []

  constructor() {
    this.fleet = new FakeFleet(
      ...range(CLUSTERS, (cluster) =>
        new FakeCluster(`cluster-${cluster}`).load(
          'Pod',
          range(PODS_PER_CLUSTER, (i) => syntheticPod(cluster * PODS_PER_CLUSTER + i)),
        ),
      ),
    )
  }

  /** Makes the rows of these events, so that it costs nothing when they happen. */
  prepare(events: readonly number[]): void {
    this.#prepared = events.map((event) => this.#row(podOf(event)))
  }

  /** Lets event number `index` of those prepared happen. */
  happen(index: number): void {
    const { cluster, row } = this.#prepared[index]!
    cluster.apply('Pod', { type: 'Apply', row })
  }

  #row(pod: number) {
    const cluster = this.fleet.clusters[Math.floor(pod / PODS_PER_CLUSTER)]!
    const object = JSON.parse(JSON.stringify(syntheticPod(pod, ++this.#version))) as ChangingPod
    for (const status of object.status.containerStatuses) status.restartCount = this.#version % 1_000
    return { cluster, row: project('Pod')(object, cluster.name) }
  }
}

interface ChangingPod {
  readonly status: { readonly containerStatuses: { restartCount: number }[] }
}

function nodeName(node: number): string {
  return `node-${node}.eu-west-1.compute.internal`
}

function range<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i))
}
