/** `trigger`: a CronJob runs now. */
import { randomUUID } from 'node:crypto'
import { composeTriggeredJob } from '../../writes/compose/trigger.ts'
import { changeField, type StepSpec } from './change-field.ts'
import { composed } from './composed.ts'
import { liveObject } from './live-object.ts'
import { describeTargets, keyOf, Targets, targetsOf, type TargetsInput } from './targets.ts'
import type { StepResult } from '../../writes/change.ts'

changeField<{ readonly targets: TargetsInput }>('trigger', {
  description:
    'Makes a Job of CronJobs now, whatever their schedule, as `kubectl create job --from` does. Each call makes another one: give it an `idempotencyKey` to be sure of one.',
  fields: (t) => ({ targets: t.field({ type: Targets, required: true, description: 'CronJobs.' }) }),
  compose: async ({ targets }, context, path) => {
    const { objects, known } = targetsOf(targets, { kinds: ['CronJob'] }, context, `${path}.targets`)
    const seed = randomUUID()
    const failed: StepResult[] = []
    const steps = await Promise.all(
      objects.map(async (object): Promise<StepSpec[]> => {
        const { cluster, namespace, name } = object
        const read = await liveObject(object, 'trigger', context)
        if ('failure' in read) {
          failed.push(read.failure)
          return []
        }
        const manifest = composed(() => composeTriggeredJob(read.live, seed), path)
        return [
          {
            object: keyOf('Job', cluster, namespace ?? '', manifest.metadata?.name ?? ''),
            purpose: `trigger ${name}`,
            action: { type: 'CREATE', manifest, ifAbsent: false },
          },
        ]
      }),
    )
    return {
      title: `trigger ${describeTargets(objects)}`,
      known: [...known, ...failed],
      steps: steps.flat(),
    }
  },
})
