/** `autoscale`: the replicas of a workload by its load. */
import { composeAutoscaler } from '../../writes/compose/autoscale.ts'
import { dnsSubdomain } from '../../writes/names.ts'
import { badUserInput } from '../errors.ts'
import { changeField, type StepSpec } from './change-field.ts'
import { applied, composed } from './composed.ts'
import { KeyValue, keyValueRecord, type KeyValueInput } from './metadata-values.ts'
import { describeTargets, keyOf, requireNamed, Targets, targetsOf, type TargetsInput } from './targets.ts'

interface AutoscaleInput {
  readonly targets: TargetsInput
  readonly name?: string | null | undefined
  readonly minReplicas?: number | null | undefined
  readonly maxReplicas?: number | null | undefined
  readonly cpuUtilization?: number | null | undefined
  readonly memoryUtilization?: number | null | undefined
  readonly scaleDownStabilizationSeconds?: number | null | undefined
  readonly scaleUpStabilizationSeconds?: number | null | undefined
  readonly labels?: readonly KeyValueInput[] | null | undefined
  readonly off?: boolean | null | undefined
  readonly force?: boolean | null | undefined
}

changeField<AutoscaleInput>('autoscale', {
  description:
    'Lets a HorizontalPodAutoscaler set the replicas of workloads by their load, between two bounds; or takes it away again.',
  fields: (t) => ({
    targets: t.field({
      type: Targets,
      required: true,
      description: 'Deployments, unless another kind is named; also StatefulSets.',
    }),
    name: t.string({ description: 'Name of the autoscaler; absent: that of the workload.' }),
    minReplicas: t.int({ description: 'Never fewer replicas than these; absent: 1.' }),
    maxReplicas: t.int({ description: 'Never more replicas than these. Needed unless `off`.' }),
    cpuUtilization: t.int({
      description: 'Average use of CPU to come to, in percent of what the containers ask for.',
    }),
    memoryUtilization: t.int({
      description: 'Average use of memory to come to, in percent of what the containers ask for.',
    }),
    scaleDownStabilizationSeconds: t.int({
      description: 'Seconds after a peak in which nothing is scaled down: 0 to 3,600; absent: 300.',
    }),
    scaleUpStabilizationSeconds: t.int({
      description: 'Seconds that a load has to last before anything is scaled up: 0 to 3,600; absent: 0.',
    }),
    labels: t.field({ type: [KeyValue], description: 'Labels of the autoscaler.' }),
    off: t.boolean({
      defaultValue: false,
      description: 'True deletes the autoscaler: the replicas stay as they are then.',
    }),
    force: t.boolean({
      defaultValue: false,
      description: 'Whether to take over fields that other managers own.',
    }),
  }),
  compose: (input, context, path) => {
    const { targets, off, force, labels, maxReplicas, ...bounds } = input
    const { objects, known } = targetsOf(
      targets,
      { kinds: ['Deployment', 'StatefulSet'] },
      context,
      `${path}.targets`,
    )
    if (input.name != null) {
      requireNamed(input.name, dnsSubdomain, `${path}.name`)
      if (objects.length > 1) throw badUserInput('One name is for one workload.', `${path}.name`)
    }
    if (off) {
      return {
        title: `stop autoscaling ${describeTargets(objects)}`,
        known,
        steps: objects.map(({ cluster, namespace, name }) => ({
          object: keyOf('HorizontalPodAutoscaler', cluster, namespace ?? '', input.name ?? name),
          purpose: 'delete autoscaler',
          action: { type: 'DELETE', ifPresent: true, untilGone: false },
        })),
      }
    }
    if (maxReplicas == null) throw badUserInput('Say how many at most.', `${path}.maxReplicas`)
    return {
      title: `autoscale ${describeTargets(objects)}`,
      known,
      steps: objects.flatMap(({ cluster, apiVersion, kind, namespace, name }): StepSpec[] => {
        const object = composed(
          () =>
            composeAutoscaler({
              ...bounds,
              maxReplicas,
              namespace: namespace ?? '',
              target: { apiVersion, kind, name },
              ...(labels && { labels: keyValueRecord(labels, 'label', `${path}.labels`) }),
            }),
          path,
        )
        return applied([object], cluster, {
          force: force ?? false,
          createNamespace: null,
          purpose: 'autoscale',
        })
      }),
    }
  },
})
