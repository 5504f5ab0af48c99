/** `cordon` and `uncordon`: whether nodes take new pods. */
import type { Verb } from '../../writes/change.ts'
import { changeField } from './change-field.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

function schedulableField(verb: Verb & ('cordon' | 'uncordon'), description: string): void {
  changeField<{ readonly targets: TargetsInput }>(verb, {
    description,
    fields: (t) => ({ targets: t.field({ type: Targets, required: true, description: 'Nodes.' }) }),
    compose: ({ targets }, context, path) => {
      const { objects, known } = targetsOf(targets, { kinds: ['Node'] }, context, `${path}.targets`)
      return {
        title: `${verb} ${describeTargets(objects)}`,
        known,
        steps: objects.map((object) => ({
          object,
          purpose: verb,
          action: { type: 'EDIT', edit: { type: 'UNSCHEDULABLE', unschedulable: verb === 'cordon' } },
        })),
      }
    },
  })
}

schedulableField('cordon', 'Keeps new pods away from nodes. Those that run there stay.')
schedulableField('uncordon', 'Lets nodes take new pods again.')
