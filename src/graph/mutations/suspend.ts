/** `suspend`: a CronJob begins no further Jobs, a Job runs no pods. */
import { changeField } from './change-field.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

changeField<{ readonly targets: TargetsInput }>('suspend', {
  description:
    'Suspends CronJobs, which then begin no further Jobs, and Jobs, whose pods are ended until `resume`.',
  fields: (t) => ({
    targets: t.field({
      type: Targets,
      required: true,
      description: 'CronJobs, unless another kind is named; also Jobs.',
    }),
  }),
  compose: ({ targets }, context, path) => {
    const { objects, known } = targetsOf(targets, { kinds: ['CronJob', 'Job'] }, context, `${path}.targets`)
    return {
      title: `suspend ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({
        object,
        purpose: 'suspend',
        action: { type: 'EDIT', edit: { type: 'SUSPENDED', suspended: true } },
      })),
    }
  },
})
