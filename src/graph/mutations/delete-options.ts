/** How objects go: what all mutations share that delete. */
import type { Action, Preconditions, PropagationPolicy } from '../../writes/change.ts'
import { opaque } from '../../writes/names.ts'
import { builder } from '../builder.ts'
import { badUserInput } from '../errors.ts'
import type { InputFields } from '../filters.ts'
import { requireNamed } from './targets.ts'

const PropagationPolicyEnum = builder.enumType('PropagationPolicy', {
  description: 'What becomes of the objects that a deleted object owns.',
  values: {
    Background: { description: 'They are deleted after it.' },
    Foreground: { description: 'They are deleted before it: it is there until they are gone.' },
    Orphan: { description: 'They stay.' },
  } satisfies Record<PropagationPolicy, { description: string }>,
})

export interface DeleteInput {
  readonly propagationPolicy?: PropagationPolicy | null | undefined
  readonly gracePeriodSeconds?: number | null | undefined
  readonly uid?: string | null | undefined
  readonly resourceVersion?: string | null | undefined
  readonly ifPresent?: boolean | null | undefined
  readonly waitUntilGone?: boolean | null | undefined
}

export function propagationField(t: InputFields) {
  return t.field({
    type: PropagationPolicyEnum,
    description: 'What becomes of the objects that it owns; absent: what Kubernetes does for its kind.',
  })
}

export function graceField(t: InputFields) {
  return t.int({
    description:
      'Seconds that containers have to end; absent: what the pod says. 0 kills at once, and is for pods only.',
  })
}

export function deleteFields(t: InputFields) {
  return {
    uid: t.string({ description: 'Only the object with this UID; else CONFLICT. For one object.' }),
    resourceVersion: t.string({
      description: 'Only where the object is in just this version; else CONFLICT. For one object.',
    }),
    ifPresent: t.boolean({
      defaultValue: false,
      description: 'Whether an object that is not there is UNCHANGED, and not FAILED with NOT_FOUND.',
    }),
    waitUntilGone: t.boolean({
      defaultValue: false,
      description:
        'Whether to wait until it is gone: finalizers and grace periods take their time. Absent: until its deletion has begun.',
    }),
  }
}

/** Throws BAD_USER_INPUT. */
export function deletion(input: DeleteInput, path: string): Action {
  const { propagationPolicy, gracePeriodSeconds, ifPresent, waitUntilGone } = input
  if (gracePeriodSeconds != null && gracePeriodSeconds < 0) {
    throw badUserInput('"gracePeriodSeconds" is negative.', `${path}.gracePeriodSeconds`)
  }
  return {
    type: 'DELETE',
    ...(propagationPolicy && { propagationPolicy }),
    ...(gracePeriodSeconds != null && { gracePeriodSeconds }),
    ifPresent: ifPresent ?? false,
    untilGone: waitUntilGone ?? false,
  }
}

/** Throws BAD_USER_INPUT where they are given for several objects. */
export function preconditionsOf(
  { uid, resourceVersion }: Pick<DeleteInput, 'uid' | 'resourceVersion'>,
  objects: number,
  path: string,
): { readonly preconditions?: Preconditions } {
  if (uid == null && resourceVersion == null) return {}
  if (uid != null) requireNamed(uid, opaque, `${path}.uid`)
  if (resourceVersion != null) requireNamed(resourceVersion, opaque, `${path}.resourceVersion`)
  if (objects > 1) {
    const field = uid == null ? 'resourceVersion' : 'uid'
    throw badUserInput(`"${field}" is of one object, and these are ${objects}.`, `${path}.${field}`)
  }
  return {
    preconditions: { ...(uid != null && { uid }), ...(resourceVersion != null && { resourceVersion }) },
  }
}
