/**
 * The rules of deletion, as the API server's generic registry and the pod strategy have them: what must
 * hold, how long it takes, and what has to be waited for. Pure.
 */
import { asArray, asNumber, asString, at } from './json.ts'
import type { DeleteOptions, KubeObject, ResourceKey } from './registry.ts'
import { keyOf, type ResourceDefinition } from './resources.ts'
import { conflict } from './status-error.ts'

/** Whether an object that is being deleted has nothing left to wait for. */
export function isFinallyGone(object: KubeObject): boolean {
  return (
    object.metadata.deletionTimestamp !== undefined &&
    (object.metadata.finalizers ?? []).length === 0 &&
    (object.metadata.deletionGracePeriodSeconds ?? 0) === 0 &&
    asArray(at(object, 'spec', 'finalizers')).length === 0
  )
}

/** Throws 409 where the object is not the one that was meant. */
export function checkPreconditions(
  key: ResourceKey,
  current: KubeObject,
  { preconditions }: DeleteOptions,
): void {
  const { uid, resourceVersion } = preconditions ?? {}
  const { name } = current.metadata
  if (uid !== undefined && uid !== current.metadata.uid) {
    throw conflict(
      key,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
    )
  }
  if (resourceVersion !== undefined && resourceVersion !== current.metadata.resourceVersion) {
    throw conflict(
      key,
      name,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${current.metadata.resourceVersion}`,
    )
  }
}

/** Seconds. Only pods end gracefully; one that never ran, or has ended, goes at once (pod strategy). */
export function gracePeriod(key: ResourceKey, current: KubeObject, options: DeleteOptions): number {
  if (keyOf(key) !== '/pods') return 0
  if (asString(at(current, 'spec', 'nodeName')) === '') return 0
  const phase = asString(at(current, 'status', 'phase'))
  if (phase === 'Succeeded' || phase === 'Failed') return 0
  return options.gracePeriodSeconds ?? asNumber(at(current, 'spec', 'terminationGracePeriodSeconds')) ?? 30
}

/** The finalizers with those that a propagation policy asks for; the garbage collector takes them off. */
export function finalizersAfter(
  current: KubeObject,
  { propagationPolicy }: DeleteOptions,
  definition: ResourceDefinition,
): readonly string[] {
  const given = current.metadata.finalizers ?? []
  if (propagationPolicy === undefined || definition.kind === 'Namespace') return given
  const others = given.filter((finalizer) => finalizer !== 'orphan' && finalizer !== 'foregroundDeletion')
  if (propagationPolicy === 'Orphan') return [...others, 'orphan']
  if (propagationPolicy === 'Foreground') return [...others, 'foregroundDeletion']
  return others
}
