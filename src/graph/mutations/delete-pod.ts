/** `deletePod`: pods go, whatever their disruption budgets say; what controls them makes new ones. */
import { changeField } from './change-field.ts'
import { deleteFields, deletion, graceField, preconditionsOf, type DeleteInput } from './delete-options.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

changeField<DeleteInput & { readonly targets: TargetsInput }>('deletePod', {
  description:
    'Deletes pods, without regard to disruption budgets: `evictPod` respects them. What controls them makes new ones.',
  fields: (t) => ({
    targets: t.field({ type: Targets, required: true, description: 'Pods.' }),
    gracePeriodSeconds: graceField(t),
    ...deleteFields(t),
  }),
  compose: (input, context, path) => {
    const { objects, known } = targetsOf(input.targets, { kinds: ['Pod'] }, context, `${path}.targets`)
    const action = deletion(input, path)
    const preconditions = preconditionsOf(input, objects.length, path)
    return {
      title: `delete ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({ object, purpose: 'delete', action, ...preconditions })),
    }
  },
})
