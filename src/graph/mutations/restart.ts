/** `restart`: new pods in the place of all that run. */
import { changeField } from './change-field.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

changeField<{ readonly targets: TargetsInput }>('restart', {
  description:
    'Replaces the pods of workloads by new ones, as their strategy has it, as `kubectl rollout restart` does: an annotation of the pod template with the time.',
  fields: (t) => ({
    targets: t.field({
      type: Targets,
      required: true,
      description: 'Deployments, unless another kind is named; also StatefulSets and DaemonSets.',
    }),
  }),
  compose: ({ targets }, context, path) => {
    const kinds = ['Deployment', 'StatefulSet', 'DaemonSet'] as const
    const { objects, known } = targetsOf(targets, { kinds: [...kinds] }, context, `${path}.targets`)
    const at = new Date(context.clock.now()).toISOString()
    return {
      title: `restart ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({
        object,
        purpose: 'restart',
        action: { type: 'EDIT', edit: { type: 'RESTART', at } },
      })),
    }
  },
})
