/** The lists of workloads: the interface over all kinds, and what the lists of single kinds share. */
import { WORKLOAD_KINDS } from '../../kubernetes/kinds.ts'
import type { WorkloadRow } from '../../kubernetes/rows.ts'
import { RolloutStatus, WorkloadKindEnum } from '../enums.ts'
import {
  equals,
  indexed,
  oneOfIndexed,
  textTest,
  TextFilter,
  where,
  type Condition,
  type InputFields,
  type TextFilterInput,
} from '../filters.ts'
import { defineList } from '../list.ts'
import { WORKLOAD_ORDER } from '../order.ts'
import { placeChanges, placeList } from '../place.ts'
import { Workload, type RowRef } from '../refs.ts'

/** The fields of every workload's filter. */
function workloadFields(t: InputFields) {
  return {
    rollout: t.field({ type: [RolloutStatus], description: 'Whose rollout stands at one of these.' }),
    ready: t.boolean({ description: 'Whether as many are ready as are asked for.' }),
    image: t.field({
      type: TextFilter,
      description: 'With a container of such an image; `equals` is indexed.',
    }),
  }
}

interface WorkloadFilterInput {
  readonly rollout?: readonly WorkloadRow['rollout']['status'][] | null | undefined
  readonly ready?: boolean | null | undefined
  readonly image?: TextFilterInput | null | undefined
}

function workloadConditions<R extends WorkloadRow>(filter: WorkloadFilterInput): readonly Condition<R>[] {
  return [
    ...withImage<R>(filter.image),
    ...oneOfIndexed<R>('status', filter.rollout, (row) => row.rollout.status),
    ...equals<R, boolean>(filter.ready, (row) => row.ready >= row.desired),
  ]
}

function withImage<R extends WorkloadRow>(
  filter: TextFilterInput | null | undefined,
): readonly Condition<R>[] {
  if (!filter) return []
  const test = textTest(filter)
  const matches = (row: R) => row.containers.some((container) => test(container.image))
  if (filter.equals == null) return [where(matches)]
  // The index knows the text only: what else has to hold of it is decided here.
  return [test(filter.equals) ? indexed('image', filter.equals, matches) : where(() => false)]
}

/** The list of one kind of workload. */
export function workloadList<R extends WorkloadRow>(kind: R['kind'], plural: string, node: RowRef<R>) {
  return defineList<R, ReturnType<typeof workloadFields>>({
    name: kind,
    plural,
    kinds: [kind],
    node,
    filter: workloadFields,
    conditions: workloadConditions,
    order: WORKLOAD_ORDER,
  })
}

const allWorkloads = defineList({
  name: 'Workload',
  plural: 'workloads',
  kinds: WORKLOAD_KINDS,
  node: Workload,
  filter: (t) => ({
    kinds: t.field({ type: [WorkloadKindEnum], description: 'Of these kinds.' }),
    topLevel: t.boolean({
      description:
        'Only those that no other controller owns, or only those that one does: true leaves out the ReplicaSets of Deployments and the Jobs of CronJobs.',
    }),
    ...workloadFields(t),
  }),
  kindsOf: ({ kinds }) => (kinds ? WORKLOAD_KINDS.filter((kind) => kinds.includes(kind)) : WORKLOAD_KINDS),
  conditions: (filter) => [
    ...workloadConditions<WorkloadRow>(filter),
    ...equals<WorkloadRow, boolean>(filter.topLevel, (row) => row.owner === null),
  ],
  order: { ...WORKLOAD_ORDER, KIND: { description: 'Kind.', value: (row: WorkloadRow) => row.kind } },
})

placeList('workloads', allWorkloads)
placeChanges('workloadChanges', allWorkloads)
