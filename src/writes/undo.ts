/** How what a step did is put back: made from its result alone, which is all that survives a replica. */
import { isObject, type KubernetesJson } from '../kubernetes/json.ts'
import type { ChangeError, Step, StepResult } from './change.ts'
import { fingerprint, withoutReplicas } from './fingerprint.ts'
import { changeError, describe, failed, isSecret } from './results.ts'
import type { Done } from './stepping.ts'

/** A step that does it, or why it is not done; `undefined`: there is nothing to be put back. */
export function undoOf(step: Step, result: StepResult): Step | Done | undefined {
  const { outcome, before, after, error } = result
  const { object } = step
  if (error?.mayHaveBeenApplied === true) {
    const message = `It is not known whether ${describe(object)} was changed, so it was not put back: compare it with what it was before.`
    return refused(changeError('INTERRUPTED', message, { mayHaveBeenApplied: true }))
  }
  if (outcome !== 'CREATED' && outcome !== 'UPDATED' && outcome !== 'DELETED') return undefined
  const undo: Omit<Step, 'action'> = {
    index: step.index,
    object,
    stage: -step.stage,
    ...(step.group !== undefined && { group: step.group }),
    purpose: `puts back: ${step.purpose || result.outcome}`,
  }
  if (isSecret(object)) return undoOfSecret(undo, result)
  if (step.action.type === 'SCALE') {
    // Whoever may scale it need not be allowed anything else of it.
    const [to, expectedReplicas] = [replicasOf(before), replicasOf(after)]
    if (to !== undefined && expectedReplicas !== undefined) {
      return { ...undo, action: { type: 'SCALE', to, expectedReplicas } }
    }
  }
  if (outcome === 'CREATED') {
    if (SHARED.has(object.kind))
      return stays(
        `${describe(object)} stays: others may have put something into it by now. Delete it yourself where nothing is in it.`,
      )
    if (!after) return refused(unknown(step, 'what was created is not known'))
    return { ...undo, action: { type: 'RESTORE', to: null, ...left(after, replicasOf(after) !== undefined) } }
  }
  if (!before) return refused(unknown(step, 'what it was before is not known'))
  if (outcome === 'UPDATED') {
    if (!after) return refused(unknown(step, 'what it became is not known'))
    const replicas = replicasOf(after)
    const keepReplicas = replicas !== undefined && replicas === replicasOf(before)
    return { ...undo, action: { type: 'RESTORE', to: before, ...left(after, keepReplicas) } }
  }
  if (object.kind === 'Pod' && hasController(before)) {
    return stays(REPLACED)
  }
  if (HOLDS.has(object.kind)) {
    const message = `${describe(object)} is not made anew: it would be empty, since what was in it went with it. Bring it back from a backup.`
    return refused(changeError('NOT_SUPPORTED', message))
  }
  return { ...undo, action: { type: 'RESTORE', to: before, from: null } }
}

/** What a step left. An autoscaler that went on with it meanwhile has not changed what the step did. */
function left(after: KubernetesJson, keepReplicas: boolean) {
  return keepReplicas
    ? ({ from: fingerprint(withoutReplicas(after)), keepReplicas } as const)
    : { from: fingerprint(after) }
}

/** Kinds whose deletion takes more with it than their manifest says. */
const HOLDS: ReadonlySet<string> = new Set([
  'Namespace',
  'PersistentVolumeClaim',
  'PersistentVolume',
  'CustomResourceDefinition',
])

/** Kinds whose deletion takes with it what others have put there since, which nothing of theirs tells. */
const SHARED: ReadonlySet<string> = new Set(['Namespace', 'CustomResourceDefinition'])

const REPLACED = 'A pod that is gone does not come back: its controller makes another.'

/** Its values are kept nowhere. One that was not there before can be deleted, if nobody has changed it since. */
function undoOfSecret(undo: Omit<Step, 'action'>, { outcome, after }: StepResult): Step | Done {
  const { uid, resourceVersion } = after?.metadata ?? {}
  if (outcome === 'CREATED' && uid !== undefined && typeof resourceVersion === 'string') {
    return {
      ...undo,
      action: { type: 'DELETE', ifPresent: true, untilGone: false },
      preconditions: { uid, resourceVersion },
    }
  }
  const message = `${describe(undo.object)} cannot be put back: the values of Secrets are not kept. Apply its former version yourself.`
  return refused(changeError('NOT_SUPPORTED', message))
}

function replicasOf(object: KubernetesJson | null): number | undefined {
  const spec = object?.['spec']
  const replicas = isObject(spec) ? spec['replicas'] : undefined
  return typeof replicas === 'number' ? replicas : undefined
}

function hasController({ metadata }: KubernetesJson): boolean {
  const owners = metadata?.['ownerReferences']
  return (
    Array.isArray(owners) &&
    owners.some((owner: { readonly controller?: unknown }) => owner.controller === true)
  )
}

function unknown({ object }: Step, why: string): ChangeError {
  return changeError('FAILED', `${describe(object)} was not put back: ${why}.`)
}

function stays(note: string): Done {
  return { outcome: 'UNCHANGED', before: null, after: null, error: null, resourceVersion: null, note }
}

function refused(error: ChangeError): Done {
  return failed('FAILED', error)
}
