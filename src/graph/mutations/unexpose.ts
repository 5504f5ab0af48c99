/** `unexpose`: a Service goes, and the Ingresses that lead nowhere then. */
import type { IngressRow } from '../../kubernetes/rows.ts'
import type { ObjectKey, StepResult } from '../../writes/change.ts'
import type { GraphContext } from '../context.ts'
import { changeField, type StepSpec } from './change-field.ts'
import { liveRows } from './live-object.ts'
import { describeTargets, keyOf, Targets, targetsOf, type TargetsInput } from './targets.ts'

interface UnexposeInput {
  readonly targets: TargetsInput
  readonly ingresses?: boolean | null | undefined
  readonly ifPresent?: boolean | null | undefined
}

changeField<UnexposeInput>('unexpose', {
  description: 'Deletes Services, and with them the Ingresses that lead to nothing else.',
  fields: (t) => ({
    targets: t.field({ type: Targets, required: true, description: 'Services.' }),
    ingresses: t.boolean({
      defaultValue: true,
      description:
        'Whether Ingresses all of whose paths lead to the Service go with it, as far as you may see them.',
    }),
    ifPresent: t.boolean({
      defaultValue: false,
      description: 'Whether a Service that is not there is UNCHANGED, and not FAILED with NOT_FOUND.',
    }),
  }),
  compose: async ({ targets, ingresses, ifPresent }, context, path) => {
    const { objects, known } = targetsOf(targets, { kinds: ['Service'] }, context, `${path}.targets`)
    const unread: StepResult[] = []
    const steps = await Promise.all(
      objects.map(async (object): Promise<StepSpec[]> => {
        const leading = ingresses === false ? { rows: [] } : await ingressesTo(object, context)
        if ('failure' in leading) {
          unread.push(leading.failure)
          return []
        }
        const group = `${object.namespace}/${object.name}`
        return [
          ...leading.rows.map((ingress): StepSpec => ({
            object: keyOf('Ingress', object.cluster, ingress.namespace, ingress.name),
            purpose: 'delete',
            group,
            action: { type: 'DELETE', ifPresent: true, untilGone: false },
            preconditions: { uid: ingress.uid },
          })),
          {
            object,
            purpose: 'delete',
            stage: 1,
            group,
            action: { type: 'DELETE', ifPresent: ifPresent ?? false, untilGone: false },
          },
        ]
      }),
    )
    return {
      title: `unexpose ${describeTargets(objects)}`,
      known: [...known, ...unread],
      steps: steps.flat(),
    }
  },
})

/** All of whose paths lead to the Service, of those that the viewer may list. */
async function ingressesTo(object: ObjectKey, context: GraphContext): ReturnType<typeof liveRows<'Ingress'>> {
  const read = await liveRows('Ingress', { object, purpose: 'delete' }, context)
  if ('failure' in read) {
    const { code } = read.failure.error ?? {}
    // Where they may not be seen, or there are none, the Service goes alone.
    return code === 'FORBIDDEN' || code === 'NOT_FOUND' || code === 'NOT_SERVED' ? { rows: [] } : read
  }
  const leads = ({ paths }: IngressRow) =>
    paths.length > 0 && paths.every(({ serviceName }) => serviceName === object.name)
  return { rows: read.rows.filter(leads) }
}
