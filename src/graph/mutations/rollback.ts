/** `rollback`: a workload goes back to a former revision. */
import { badUserInput } from '../errors.ts'
import { changeField } from './change-field.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

interface RollbackInput {
  readonly targets: TargetsInput
  readonly toRevision?: number | null | undefined
}

changeField<RollbackInput>('rollback', {
  description:
    'Gives workloads the pod template of a former revision, as `kubectl rollout undo` does. Which revisions there are tell `replicaSets` of a Deployment.',
  fields: (t) => ({
    targets: t.field({
      type: Targets,
      required: true,
      description: 'Deployments, unless another kind is named; also StatefulSets and DaemonSets.',
    }),
    toRevision: t.int({ description: 'To this revision; absent: to the one before the present.' }),
  }),
  compose: ({ targets, toRevision }, context, path) => {
    if (toRevision != null && toRevision < 1) {
      throw badUserInput('Revisions are counted from 1.', `${path}.toRevision`)
    }
    const { objects, known } = targetsOf(
      targets,
      { kinds: ['Deployment', 'StatefulSet', 'DaemonSet'] },
      context,
      `${path}.targets`,
    )
    const purpose = toRevision == null ? 'roll back' : `roll back to revision ${toRevision}`
    return {
      title: `${purpose}: ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({
        object,
        purpose,
        action: { type: 'ROLL_BACK', toRevision: toRevision ?? null },
      })),
    }
  },
})
