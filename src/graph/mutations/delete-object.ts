/** `deleteObject`: objects of any kind go. */
import { changeField } from './change-field.ts'
import {
  deleteFields,
  deletion,
  graceField,
  preconditionsOf,
  propagationField,
  type DeleteInput,
} from './delete-options.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

changeField<DeleteInput & { readonly targets: TargetsInput }>('deleteObject', {
  description: 'Deletes objects of any kind that a cluster serves.',
  fields: (t) => ({
    targets: t.field({ type: Targets, required: true, description: 'Objects of any kind.' }),
    propagationPolicy: propagationField(t),
    gracePeriodSeconds: graceField(t),
    ...deleteFields(t),
  }),
  compose: (input, context, path) => {
    const { objects, known } = targetsOf(input.targets, { kinds: null }, context, `${path}.targets`)
    const action = deletion(input, path)
    const preconditions = preconditionsOf(input, objects.length, path)
    return {
      title: `delete ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({ object, purpose: 'delete', action, ...preconditions })),
    }
  },
})
