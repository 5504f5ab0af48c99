/** What `label` and `annotate` share: keys and values to set or to take away. */
import { labelValue, qualifiedName } from '../../writes/names.ts'
import { builder } from '../builder.ts'
import { badUserInput } from '../errors.ts'
import type { InputFields } from '../filters.ts'
import { changeField } from './change-field.ts'
import { preconditionsOf } from './delete-options.ts'
import { describeTargets, requireNamed, Targets, targetsOf, type TargetsInput } from './targets.ts'

export interface KeyValueInput {
  readonly key: string
  readonly value: string
}

export const KeyValue = builder.inputRef<KeyValueInput>('KeyValueInput').implement({
  description: 'A label or an annotation.',
  fields: (t) => ({
    key: t.string({ required: true, description: 'Key with its prefix, such as `example.com/team`.' }),
    value: t.string({ required: true, description: 'Value; may be empty.' }),
  }),
})

interface MetadataInput {
  readonly targets: TargetsInput
  readonly set?: readonly KeyValueInput[] | null | undefined
  readonly remove?: readonly string[] | null | undefined
  readonly overwrite?: boolean | null | undefined
  readonly resourceVersion?: string | null | undefined
}

/** What has a key of Kubernetes' qualified names. */
type Named = 'label' | 'annotation' | 'resource'

/** Checked. Throws BAD_USER_INPUT. */
export function keyValueRecord(
  values: readonly KeyValueInput[],
  what: Named,
  path: string,
): Record<string, string> {
  const record: Record<string, string> = {}
  for (const [i, { key, value }] of values.entries()) {
    requireKey(key, what, `${path}[${i}].key`)
    if (Object.hasOwn(record, key)) {
      throw badUserInput(`The key "${key}" stands here twice.`, `${path}[${i}].key`)
    }
    if (what === 'label') requireNamed(value, labelValue, `${path}[${i}].value`)
    record[key] = value
  }
  return record
}

/** Prefixes of annotations may have capitals: the API server looks at them without. */
function requireKey(key: string, what: Named, path: string): void {
  const rule = (text: string) => qualifiedName(what === 'annotation' ? text.toLowerCase() : text)
  requireNamed(key, rule, path)
}

export function metadataField(verb: 'label' | 'annotate'): void {
  const what = verb === 'label' ? 'label' : 'annotation'
  changeField<MetadataInput>(verb, {
    description: `Sets and takes away ${what}s of objects of any kind.`,
    fields: (t: InputFields) => ({
      targets: t.field({ type: Targets, required: true, description: 'Objects of any kind.' }),
      set: t.field({
        type: [KeyValue],
        description: `${what === 'label' ? 'Labels' : 'Annotations'} to set.`,
      }),
      remove: t.stringList({ description: `Keys of ${what}s to take away.` }),
      overwrite: t.boolean({
        defaultValue: false,
        description: `Whether another value that is there already gives way; else CONFLICT.`,
      }),
      resourceVersion: t.string({
        description: 'Only where the object is in just this version; else CONFLICT. For one object.',
      }),
    }),
    compose: ({ targets, set, remove, overwrite, resourceVersion }, context, path) => {
      const values: Record<string, string | null> = keyValueRecord(set ?? [], what, `${path}.set`)
      for (const [i, key] of (remove ?? []).entries()) {
        requireKey(key, what, `${path}.remove[${i}]`)
        if (Object.hasOwn(values, key)) {
          throw badUserInput(`The key "${key}" is both set and removed.`, `${path}.remove[${i}]`)
        }
        values[key] = null
      }
      if (Object.keys(values).length === 0) throw badUserInput('Give something to "set" or "remove".', path)
      const { objects, known } = targetsOf(targets, { kinds: null }, context, `${path}.targets`)
      const preconditions = preconditionsOf({ resourceVersion }, objects.length, path)
      return {
        title: `${verb} ${describeTargets(objects)}`,
        known,
        steps: objects.map((object) => ({
          object,
          purpose: verb,
          action: {
            type: 'EDIT',
            edit: {
              type: verb === 'label' ? 'LABELS' : 'ANNOTATIONS',
              values,
              overwrite: overwrite ?? false,
            },
          },
          ...preconditions,
        })),
      }
    },
  })
}
