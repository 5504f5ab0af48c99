/**
 * What pods an object brings: where each kind keeps its pod template, the images in it, and how many there are to
 * be. Total reading of raw JSON: whatever an object has or lacks, each of these answers.
 */
import type { KubernetesJson } from '../kubernetes/json.ts'
import { isRecord, list, record, type Json } from '../kubernetes/projections/fields.ts'

/**
 * The pod template of an object (`metadata`, `spec`); of a Pod itself. Kinds that are not Kubernetes' own have one
 * where they keep it as Deployments do (`spec.template`). `undefined`: it brings no pods.
 */
export function podTemplateOf(object: KubernetesJson | null): Json | undefined {
  if (!object) return undefined
  const spec = record(object['spec'])
  switch (object.kind) {
    case 'Pod':
      return object
    case 'PodTemplate':
      return isRecord(object['template']) ? object['template'] : undefined
    case 'CronJob': {
      const { template } = record(record(spec['jobTemplate'])['spec'])
      return isRecord(template) ? template : undefined
    }
    default: {
      const { template } = spec
      return isRecord(template) && isRecord(template['spec']) ? template : undefined
    }
  }
}

export function podSpecOf(object: KubernetesJson | null): Json {
  return record(podTemplateOf(object)?.['spec'])
}

const CONTAINERS = ['initContainers', 'containers', 'ephemeralContainers'] as const

/**
 * Whatever in it looks like the spec of pods, wherever it stands: kinds that are not Kubernetes' own keep several
 * templates, and have names as Kubernetes' own have.
 */
function podSpecsOf(object: KubernetesJson | null): readonly Json[] {
  if (!object) return []
  const { metadata: _metadata, status: _status, ...asked } = object
  const specs: Json[] = []
  const open: unknown[] = [asked]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (Array.isArray(value)) for (const item of value) open.push(item ?? null)
    if (!isRecord(value)) continue
    // An apply may be about volumes alone.
    if ([...CONTAINERS, 'volumes'].some((field) => Array.isArray(value[field]))) specs.push(value)
    for (const field of Object.values(value)) open.push(field ?? null)
  }
  return specs.toReversed()
}

/** Of all its containers and of volumes that are images (KEP-4639), as they are written, each once. */
export function imagesOf(object: KubernetesJson | null): readonly string[] {
  const images = new Set<string>()
  const add = (image: unknown) => {
    if (typeof image === 'string' && image !== '') images.add(image)
  }
  for (const spec of podSpecsOf(object)) {
    for (const field of CONTAINERS) for (const item of list(spec[field])) add(record(item)['image'])
    for (const item of list(spec['volumes'])) add(record(record(item)['image'])['reference'])
  }
  return Array.from(images)
}

/** Paths of the nodes' own files that it mounts, or, of a PersistentVolume, is; each once. */
export function hostPathsOf(object: KubernetesJson | null): readonly string[] {
  const isVolume = object?.kind === 'PersistentVolume'
  const volumes = isVolume ? [object['spec']] : podSpecsOf(object).flatMap(({ volumes }) => list(volumes))
  const paths = new Set<string>()
  for (const volume of volumes) {
    const { hostPath, local } = record(volume)
    for (const source of [hostPath, isVolume ? local : null]) {
      if (source === undefined || source === null) continue
      const { path } = record(source)
      paths.add(typeof path === 'string' ? path : '')
    }
  }
  return Array.from(paths)
}

/** Kinds with `spec.replicas`, which is 1 where it is not given. */
const REPLICATED: ReadonlySet<string> = new Set([
  'Deployment',
  'StatefulSet',
  'ReplicaSet',
  'ReplicationController',
])

/**
 * How many pods its spec asks for at a time: replicas, the most of a HorizontalPodAutoscaler, what runs side by side
 * of a Job, and of each that a CronJob makes. `null`: it does not say (a DaemonSet), or brings none.
 */
export function replicasOf(object: KubernetesJson | null): number | null {
  if (!object) return null
  const spec = record(object['spec'])
  const number = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : null)
  if (object.kind === 'HorizontalPodAutoscaler') return number(spec['maxReplicas'])
  const ofJob = ({ suspend, parallelism, completions }: Json) => {
    if (suspend === true) return 0
    const most = number(parallelism) ?? 1
    return Math.min(most, number(completions) ?? most)
  }
  if (object.kind === 'Job') return ofJob(spec)
  // Whether or not it is suspended: what it makes is asked for by its schedule, and by nobody who could be refused.
  if (object.kind === 'CronJob') return ofJob(record(record(spec['jobTemplate'])['spec']))
  return number(spec['replicas']) ?? (REPLICATED.has(object.kind ?? '') ? 1 : null)
}
