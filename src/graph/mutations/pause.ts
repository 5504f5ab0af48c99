/** `pause`: a Deployment takes no further step of its rollout. */
import { changeField } from './change-field.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

changeField<{ readonly targets: TargetsInput }>('pause', {
  description:
    'Holds the rollouts of Deployments: changes of their pod template have no effect until `resume`. Their replicas can still be scaled.',
  fields: (t) => ({
    targets: t.field({ type: Targets, required: true, description: 'Deployments.' }),
  }),
  compose: ({ targets }, context, path) => {
    const { objects, known } = targetsOf(targets, { kinds: ['Deployment'] }, context, `${path}.targets`)
    return {
      title: `pause ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({
        object,
        purpose: 'pause',
        action: { type: 'EDIT', edit: { type: 'PAUSED', paused: true } },
      })),
    }
  },
})
