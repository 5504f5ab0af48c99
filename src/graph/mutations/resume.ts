/** `resume`: what was paused or suspended goes on. */
import { changeField } from './change-field.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

changeField<{ readonly targets: TargetsInput }>('resume', {
  description: 'Lets the rollouts of paused Deployments go on, and suspended CronJobs and Jobs run again.',
  fields: (t) => ({
    targets: t.field({
      type: Targets,
      required: true,
      description: 'Deployments, unless another kind is named; also CronJobs and Jobs.',
    }),
  }),
  compose: ({ targets }, context, path) => {
    const { objects, known } = targetsOf(
      targets,
      { kinds: ['Deployment', 'CronJob', 'Job'] },
      context,
      `${path}.targets`,
    )
    return {
      title: `resume ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({
        object,
        purpose: 'resume',
        action: {
          type: 'EDIT',
          edit:
            object.kind === 'Deployment'
              ? { type: 'PAUSED', paused: false }
              : { type: 'SUSPENDED', suspended: false },
        },
      })),
    }
  },
})
