/**
 * What a pod asks of a node, as the scheduler counts it (KEP-753 for sidecars, KEP-2837 for resources of
 * the pod as a whole, KEP-1287 for resizes that are under way): the sum of what runs side by side, or the
 * largest step of initialization, plus the overhead of the runtime class.
 */
import type { ContainerSpec, ResourceAmounts } from '../rows.ts'
import { list, record, type Json } from './fields.ts'
import { amountOf, shareAmounts } from './shared.ts'

export interface PodResources {
  /** Cores. */
  readonly cpuRequest: number
  readonly cpuLimit: number
  /** Bytes. */
  readonly memoryRequest: number
  readonly memoryLimit: number
}

/** Requests of one container: what is asked, or still held while a resize is under way. */
type Amount = (container: ContainerSpec) => number

/** Cores add up in billionths, so that 0.1 + 0.2 is 0.3. */
const NANO = 1e9

function effective(
  containers: readonly ContainerSpec[],
  amount: Amount,
  wholePod: number,
  overhead: number,
): number {
  let running = 0
  let sidecars = 0
  let initialization = 0
  for (const container of containers) {
    const asked = amount(container)
    if (container.type === 'INIT') {
      initialization = Math.max(initialization, asked + sidecars)
      continue
    }
    running += asked
    if (container.type === 'SIDECAR') {
      sidecars += asked
      initialization = Math.max(initialization, sidecars)
    }
  }
  const base = wholePod > 0 ? wholePod : Math.max(running, initialization)
  return base + overhead
}

/** Of a pod's spec, or of a template's (then without `status`). */
export function podResources(spec: Json, containers: readonly ContainerSpec[], status?: Json): PodResources {
  const whole = record(spec['resources'])
  const overhead = shareAmounts(spec['overhead'])
  const held = status ? heldRequests(containers, status) : undefined

  const sum = (resource: string, side: 'requests' | 'limits', unit: number): number => {
    const units = (amounts: ResourceAmounts) => Math.round(amountOf(amounts, resource) * unit)
    const amount: Amount = (container) => {
      const asked = units(container[side])
      const others = side === 'requests' ? held?.get(container.name) : undefined
      return others ? others.reduce((most, amounts) => Math.max(most, units(amounts)), asked) : asked
    }
    const total = effective(containers, amount, units(shareAmounts(whole[side])), units(overhead))
    // Overhead alone is no limit: a pod without limits has none.
    return side === 'limits' && total === units(overhead) ? 0 : total / unit
  }
  return {
    cpuRequest: sum('cpu', 'requests', NANO),
    cpuLimit: sum('cpu', 'limits', NANO),
    memoryRequest: sum('memory', 'requests', 1),
    memoryLimit: sum('memory', 'limits', 1),
  }
}

/** By container: the requests that the kubelet still holds, where they differ from what the spec asks. */
function heldRequests(
  containers: readonly ContainerSpec[],
  status: Json,
): ReadonlyMap<string, readonly ResourceAmounts[]> | undefined {
  let held: Map<string, readonly ResourceAmounts[]> | undefined
  for (const field of ['initContainerStatuses', 'containerStatuses']) {
    for (const item of list(status[field])) {
      const container = record(item)
      if (container['resources'] === undefined && container['allocatedResources'] === undefined) continue
      const amounts = [
        shareAmounts(record(container['resources'])['requests']),
        shareAmounts(container['allocatedResources']),
      ]
      const spec = containers.find(({ name }) => name === container['name'])
      if (!spec || amounts.every((one) => one === spec.requests)) continue
      held ??= new Map()
      held.set(spec.name, amounts)
    }
  }
  return held
}

/** Distinguishes equal containers with different resources; `''` where the containers say it all. */
export function podResourcesKey(spec: Json, containers: readonly ContainerSpec[], status: Json): string {
  const held = heldRequests(containers, status)
  if (spec['resources'] === undefined && spec['overhead'] === undefined && !held) return ''
  return JSON.stringify([spec['resources'], spec['overhead'], held && Array.from(held)])
}
