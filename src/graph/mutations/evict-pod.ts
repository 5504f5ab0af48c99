/** `evictPod`: pods go as their disruption budgets allow. */
import { within } from '../changes.ts'
import { changeField } from './change-field.ts'
import { graceField, preconditionsOf } from './delete-options.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

interface EvictInput {
  readonly targets: TargetsInput
  readonly gracePeriodSeconds?: number | null | undefined
  readonly patienceSeconds?: number | null | undefined
  readonly waitUntilGone?: boolean | null | undefined
  readonly uid?: string | null | undefined
}

changeField<EvictInput>('evictPod', {
  description:
    'Has pods go as their disruption budgets allow (the eviction API). One that may not go now is FAILED with DISRUPTION_BUDGET.',
  fields: (t) => ({
    targets: t.field({ type: Targets, required: true, description: 'Pods.' }),
    gracePeriodSeconds: graceField(t),
    patienceSeconds: t.int({
      defaultValue: 0,
      description: 'Seconds to go on asking while a disruption budget does not allow it: 0 to 600.',
    }),
    waitUntilGone: t.boolean({
      defaultValue: false,
      description: 'Whether to wait until the pod is gone; absent: until its deletion has begun.',
    }),
    uid: t.string({ description: 'Only the pod with this UID; else CONFLICT. For one pod.' }),
  }),
  compose: (input, context, path) => {
    const { gracePeriodSeconds, patienceSeconds, waitUntilGone } = input
    const { objects, known } = targetsOf(input.targets, { kinds: ['Pod'] }, context, `${path}.targets`)
    const patienceMs = within(`${path}.patienceSeconds`, patienceSeconds ?? 0, 0, 600) * 1_000
    if (gracePeriodSeconds != null) within(`${path}.gracePeriodSeconds`, gracePeriodSeconds, 0, 86_400)
    const preconditions = preconditionsOf(input, objects.length, path)
    return {
      title: `evict ${describeTargets(objects)}`,
      known,
      steps: objects.map((object) => ({
        object,
        purpose: 'evict',
        action: {
          type: 'EVICT',
          ...(gracePeriodSeconds != null && { gracePeriodSeconds }),
          patienceMs,
          untilGone: waitUntilGone ?? false,
        },
        ...preconditions,
      })),
    }
  },
})
