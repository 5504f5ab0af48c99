/**
 * From a workload's pod template to its pods: the hash that names a revision, the comparison of templates,
 * and the pod as a controller creates it; plus what controllers ask of a pod (ready, available, active).
 *
 * Invariant: a pod's `spec` is the template's own object, never a copy, so that ten thousand pods of one
 * template hold one spec.
 */
import type { KubeObject, KubeObjectInput, OwnerReference } from '../registry.ts'
import type { ControlClock } from './control-context.ts'
import type { Condition, Pod, PodTemplate, Resource } from './objects.ts'

/** The letters of generated names and hashes: no vowels, so that no words come out (apimachinery `rand`). */
const SAFE = 'bcdfghjklmnpqrstvwxz2456789'
export const TEMPLATE_HASH = 'pod-template-hash'

const canonicalOf = new WeakMap<object, string>()

/** JSON with sorted keys, kept per object: templates are compared at every sync. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const known = canonicalOf.get(value)
  if (known !== undefined) return known
  const text = Array.isArray(value)
    ? `[${value.map((item) => canonical(item)).join(',')}]`
    : `{${Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`)
        .join(',')}}`
  // Only the large, shared parts are worth keeping.
  if (text.length > 256) canonicalOf.set(value, text)
  return text
}

const identityOf = new WeakMap<object, string>()

/** Equal for templates that differ in nothing but the label `pod-template-hash`. */
export function templateIdentity(template: PodTemplate): string {
  const known = identityOf.get(template)
  if (known !== undefined) return known
  const { [TEMPLATE_HASH]: _hash, ...labels } = template.metadata?.labels ?? {}
  const { creationTimestamp: _never, ...metadata } = template.metadata ?? {}
  const identity = `${canonical({ ...metadata, labels })}${canonical(template.spec)}`
  identityOf.set(template, identity)
  return identity
}

/** FNV-1a, 32 bits, in the letters of a name (`rand.SafeEncodeString`): `7d9f8c6b5`. */
export function hashText(text: string): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return String(hash >>> 0).replace(/\d/g, (digit) => SAFE[digit.charCodeAt(0) % SAFE.length] ?? '')
}

export function templateHash(template: PodTemplate, collisionCount = 0): string {
  return hashText(`${templateIdentity(template)}${collisionCount === 0 ? '' : collisionCount}`)
}

/** Five letters, as the API server's generateName adds them. */
export function randomSuffix(random: () => number): string {
  let text = ''
  for (let i = 0; i < 5; i++) text += SAFE[Math.floor(random() * SAFE.length)]
  return text
}

export function controllerReference(owner: KubeObject, key: Resource<KubeObject>): OwnerReference {
  return {
    apiVersion: key.apiVersion,
    kind: key.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  }
}

/** The pod that a controller creates; `name` for a fixed one (StatefulSet), else `generateName`. */
export function podFromTemplate(
  owner: KubeObject,
  key: Resource<KubeObject>,
  template: PodTemplate,
  more: {
    readonly name?: string
    readonly generateName?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly spec?: Pod['spec']
  } = {},
): KubeObjectInput {
  const { labels = {}, annotations = {} } = template.metadata ?? {}
  const allAnnotations =
    more.annotations === undefined ? annotations : { ...annotations, ...more.annotations }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...(more.name === undefined
        ? { generateName: more.generateName ?? `${owner.metadata.name}-` }
        : {
            name: more.name,
            ...(more.generateName === undefined ? {} : { generateName: more.generateName }),
          }),
      namespace: owner.metadata.namespace ?? '',
      labels: more.labels === undefined ? labels : { ...labels, ...more.labels },
      ...(Object.keys(allAnnotations).length === 0 ? {} : { annotations: allAnnotations }),
      ownerReferences: [controllerReference(owner, key)],
    },
    spec: more.spec ?? template.spec,
  }
}

export function conditionOf(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type)
}

/** Replaces a condition in place; keeps `lastTransitionTime` where the status did not change. */
export function withCondition(
  conditions: readonly Condition[] | undefined,
  next: Condition,
  stamp: string,
  { updateTime = false }: { readonly updateTime?: boolean } = {},
): readonly Condition[] {
  const old = conditionOf(conditions, next.type)
  if (old?.status === next.status && old.reason === next.reason && old.message === next.message) {
    return conditions ?? []
  }
  const lastTransitionTime = old?.status === next.status ? (old.lastTransitionTime ?? stamp) : stamp
  const condition: Condition = {
    ...next,
    ...(updateTime ? { lastUpdateTime: stamp } : {}),
    lastTransitionTime,
  }
  if (old === undefined) return [...(conditions ?? []), condition]
  return (conditions ?? []).map((each) => (each === old ? condition : each))
}

export function isReady(pod: Pod): boolean {
  return conditionOf(pod.status?.conditions, 'Ready')?.status === 'True'
}

export function isTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

/** Neither ended nor on its way out. */
export function isActive(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && !isTerminal(pod)
}

/**
 * The cluster's seconds until a ready pod counts as available: 0 when it does, undefined when it is not
 * ready at all.
 */
export function availableIn(pod: Pod, minReadySeconds: number, clock: ControlClock): number | undefined {
  const ready = conditionOf(pod.status?.conditions, 'Ready')
  if (ready?.status !== 'True') return undefined
  if (minReadySeconds <= 0) return 0
  return Math.max(
    0,
    clock.remaining(ready.lastTransitionTime ?? pod.metadata.creationTimestamp, minReadySeconds),
  )
}
