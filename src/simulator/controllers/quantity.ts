/**
 * Resource quantities (`250m`, `1.5Gi`, `2e3`) as numbers and back, and the arithmetic of requests.
 * CPU is counted in cores, memory and storage in bytes. Source: `k8s.io/apimachinery/pkg/api/resource`.
 */
import type { Pod, PodSpec, ResourceList } from './objects.ts'

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

const parsed = new Map<string, number>()

/** Zero where the text is no quantity: the API server has refused those before. */
export function quantity(text: string | number | undefined): number {
  if (text === undefined) return 0
  if (typeof text === 'number') return text
  const known = parsed.get(text)
  if (known !== undefined) return known
  const match = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$/.exec(text)
  const value = match === null ? 0 : Number(match[1]) * (SUFFIXES[match[2] ?? ''] ?? 0)
  // Quantities are few and repeat; the bound guards against a stream of distinct ones.
  if (parsed.size > 10_000) parsed.clear()
  parsed.set(text, value)
  return value
}

/** Canonical text of a sum: cores as `1500m` or `2`, bytes in the largest binary unit that is whole. */
export function quantityText(value: number, resource: string): string {
  if (/memory|storage/.test(resource)) {
    for (const suffix of ['Ti', 'Gi', 'Mi', 'Ki']) {
      const unit = SUFFIXES[suffix] ?? 1
      if (value >= unit && value % unit === 0) return `${value / unit}${suffix}`
    }
    return String(Math.round(value))
  }
  const milli = Math.round(value * 1000)
  return milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`
}

export interface PodRequests {
  readonly cpu: number
  readonly memory: number
  /** Any other resource (`nvidia.com/gpu`, `ephemeral-storage`). */
  readonly others: Readonly<Record<string, number>>
}

const requestsOf = new WeakMap<object, PodRequests>()

/** Sum over containers, or the largest init container where that is more; sidecars add to the sum. */
export function podRequests(spec: PodSpec): PodRequests {
  // Keyed by `containers`, which pods of one template share even after binding copied the spec.
  const known = requestsOf.get(spec.containers)
  if (known !== undefined) return known
  const sum: Record<string, number> = {}
  for (const container of spec.containers) add(sum, container.resources)
  for (const init of spec.initContainers ?? []) if (init.restartPolicy === 'Always') add(sum, init.resources)
  for (const init of spec.initContainers ?? []) {
    if (init.restartPolicy === 'Always') continue
    const one: Record<string, number> = {}
    add(one, init.resources)
    for (const name in one) sum[name] = Math.max(sum[name] ?? 0, one[name] ?? 0)
  }
  const { cpu = 0, memory = 0, ...others } = sum
  const requests = { cpu, memory, others }
  requestsOf.set(spec.containers, requests)
  return requests
}

function add(
  sum: Record<string, number>,
  resources: { readonly requests?: ResourceList; readonly limits?: ResourceList } | undefined,
): void {
  // A limit without a request is also the request (defaulting of the API server).
  const merged = { ...resources?.limits, ...resources?.requests }
  for (const name in merged) sum[name] = (sum[name] ?? 0) + quantity(merged[name])
}

/** Guaranteed, Burstable or BestEffort (API concepts, "Quality of Service"). */
export function qosClass(pod: Pick<Pod, 'spec'>): string {
  let any = false
  let guaranteed = true
  for (const { resources } of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]) {
    for (const name of ['cpu', 'memory']) {
      const limit = resources?.limits?.[name]
      const request = resources?.requests?.[name]
      if (limit !== undefined || request !== undefined) any = true
      if (limit === undefined || (request !== undefined && quantity(request) !== quantity(limit)))
        guaranteed = false
    }
  }
  if (!any) return 'BestEffort'
  return guaranteed ? 'Guaranteed' : 'Burstable'
}

/** `25%` of `total`, rounded up or down; a number as it is. */
export function scaledValue(value: number | string | undefined, total: number, roundUp: boolean): number {
  if (value === undefined) return 0
  if (typeof value === 'number') return value
  if (!value.endsWith('%')) return Number(value) || 0
  const exact = (Number(value.slice(0, -1)) * total) / 100
  return roundUp ? Math.ceil(exact) : Math.floor(exact)
}
