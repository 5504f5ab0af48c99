/** `scale`: another number of replicas. */
import type { ObjectKey } from '../../writes/change.ts'
import type { GraphContext } from '../context.ts'
import { badUserInput } from '../errors.ts'
import { autoscalerOf, isWorkloadKind } from '../relations.ts'
import { changeField } from './change-field.ts'
import { preconditionsOf } from './delete-options.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

interface ScaleInput {
  readonly targets: TargetsInput
  readonly to?: number | null | undefined
  readonly by?: number | null | undefined
  readonly expectedReplicas?: number | null | undefined
  readonly resourceVersion?: string | null | undefined
}

changeField<ScaleInput>('scale', {
  description:
    'Gives workloads another number of replicas, by their subresource `scale`. What an autoscaler looks after it may set back.',
  fields: (t) => ({
    targets: t.field({
      type: Targets,
      required: true,
      description: 'Deployments, unless another kind is named; also StatefulSets and ReplicaSets.',
    }),
    to: t.int({ description: 'So many replicas. Either this or `by`.' }),
    by: t.int({
      description:
        'So many more than there are, or fewer where it is negative; never below 0. Either this or `to`. With an `idempotencyKey` it happens once, however often it is sent.',
    }),
    expectedReplicas: t.int({
      description: 'Only where just so many are asked for now; else CONFLICT.',
    }),
    resourceVersion: t.string({
      description: 'Only where the object is in just this version; else CONFLICT. For one object.',
    }),
  }),
  compose: ({ targets, to, by, expectedReplicas, resourceVersion }, context, path) => {
    if ((to == null) === (by == null)) throw badUserInput('Give either "to" or "by".', path)
    if (to != null && to < 0) throw badUserInput('"to" is negative.', `${path}.to`)
    if (expectedReplicas != null && expectedReplicas < 0) {
      throw badUserInput('"expectedReplicas" is negative.', `${path}.expectedReplicas`)
    }
    const { objects, known } = targetsOf(
      targets,
      { kinds: ['Deployment', 'StatefulSet', 'ReplicaSet'] },
      context,
      `${path}.targets`,
    )
    const preconditions = preconditionsOf({ resourceVersion }, objects.length, path)
    const purpose = to != null ? `scale to ${to}` : `scale by ${by! > 0 ? '+' : ''}${by}`
    return {
      title: `${purpose}: ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({
        object,
        purpose,
        action: {
          type: 'SCALE' as const,
          ...(to != null ? { to } : { by: by! }),
          ...(expectedReplicas != null && { expectedReplicas }),
        },
        ...preconditions,
        ...noteOf(object, context),
      })),
    }
  },
})

/** An autoscaler that the viewer may see goes on from the new number. */
function noteOf({ kind, cluster, namespace, name }: ObjectKey, { fleet }: GraphContext) {
  const row = isWorkloadKind(kind) ? fleet.get(kind, cluster, namespace ?? '', name) : undefined
  const scaler = row && autoscalerOf(row, fleet)
  if (!scaler) return {}
  const { minReplicas, maxReplicas } = scaler
  const range = `${minReplicas} to ${maxReplicas} replicas`
  return {
    note: `The HorizontalPodAutoscaler ${scaler.name} keeps it at ${range}, and may set another number; at 0 it leaves it alone.`,
  }
}
