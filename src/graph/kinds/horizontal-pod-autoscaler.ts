/** HorizontalPodAutoscaler: sets the replicas of a workload by its load. */
import type { HorizontalPodAutoscalerRow, ScalingMetric } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { equals } from '../filters.ts'
import { defineList } from '../list.ts'
import { ConditionRef } from '../metadata.ts'
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node, Workload } from '../refs.ts'
import { isWorkloadKind } from '../relations.ts'
import { namespacedFields } from './namespaced.ts'

placeList(
  'horizontalPodAutoscalers',
  defineList({
    name: 'HorizontalPodAutoscaler',
    plural: 'HorizontalPodAutoscalers',
    kinds: ['HorizontalPodAutoscaler'],
    node: KIND_REFS.HorizontalPodAutoscaler,
    filter: (t) => ({
      targetKind: t.string({ description: 'Scaling an object of this Kubernetes kind.' }),
      targetName: t.string({ description: 'Scaling the object of this name.' }),
      atMaximum: t.boolean({ description: 'Whether it asks for as many replicas as it may.' }),
    }),
    conditions: ({ targetKind, targetName, atMaximum }) => [
      ...equals<HorizontalPodAutoscalerRow, string>(targetKind, (row) => row.targetKind),
      ...equals<HorizontalPodAutoscalerRow, string>(targetName, (row) => row.targetName),
      ...equals<HorizontalPodAutoscalerRow, boolean>(
        atMaximum,
        (row) => row.desiredReplicas >= row.maxReplicas,
      ),
    ],
    order: {
      CURRENT: {
        description: 'Replicas there are.',
        value: (row: HorizontalPodAutoscalerRow) => row.currentReplicas,
      },
      DESIRED: { description: 'Replicas it asks for.', value: (row) => row.desiredReplicas },
      LAST_SCALE: { description: 'When it last scaled.', value: (row) => row.lastScaleTime },
    },
  }),
)

const ScalingMetricRef = builder.objectRef<ScalingMetric>('ScalingMetric').implement({
  description: 'What an autoscaler goes by.',
  fields: (t) => ({
    type: t.exposeString('type', {
      description: '`Resource`, `ContainerResource`, `Pods`, `Object` or `External`.',
    }),
    name: t.exposeString('name', { description: "`cpu`, `memory`, or the metric's own name." }),
    target: t.exposeString('target', {
      nullable: true,
      description: 'What it aims at, as kubectl shows it, such as `80%`; null where it is not known.',
    }),
    current: t.exposeString('current', {
      nullable: true,
      description: 'What it is, as kubectl shows it; null until it is known.',
    }),
  }),
})

KIND_REFS.HorizontalPodAutoscaler.implement({
  description: 'A HorizontalPodAutoscaler: it sets the replicas of a workload by its load.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    targetKind: t.exposeString('targetKind', { description: 'Kubernetes kind of what it scales.' }),
    targetName: t.exposeString('targetName', { description: 'Name of what it scales.' }),
    target: t.field({
      type: Workload,
      nullable: true,
      description: 'What it scales; null where that is missing, not visible to you, or no workload.',
      resolve: ({ cluster, namespace, targetKind, targetName }, _arguments, { fleet }) =>
        isWorkloadKind(targetKind) ? (fleet.get(targetKind, cluster, namespace, targetName) ?? null) : null,
    }),
    minReplicas: t.exposeInt('minReplicas', { description: 'The least it asks for.' }),
    maxReplicas: t.exposeInt('maxReplicas', { description: 'The most it asks for.' }),
    currentReplicas: t.exposeInt('currentReplicas', { description: 'Replicas there are.' }),
    desiredReplicas: t.exposeInt('desiredReplicas', { description: 'Replicas it asks for.' }),
    metrics: t.expose('metrics', { type: [ScalingMetricRef], description: 'What it goes by.' }),
    conditions: t.expose('conditions', { type: [ConditionRef], description: 'Aspects of its state.' }),
    lastScaleTime: t.expose('lastScaleTime', {
      type: 'DateTime',
      nullable: true,
      description: 'When it last changed the replicas; null if it never did.',
    }),
  }),
})
