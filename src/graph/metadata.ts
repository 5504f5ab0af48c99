/** What objects of every kind are made of: labels, owner, conditions. */
import type { Condition, LabelSet, LabelSelector, Row } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'
import { ConditionStatus } from './enums.ts'
import { KubernetesObject } from './refs.ts'
import { ownerOf } from './relations.ts'

export interface KeyValue {
  readonly key: string
  readonly value: string
}

export const LabelRef = builder.objectRef<KeyValue>('Label').implement({
  description: 'A label of an object or of a cluster.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Key with its prefix, such as `app.kubernetes.io/name`.' }),
    value: t.exposeString('value', { description: 'Value; may be empty.' }),
  }),
})

export const AnnotationRef = builder.objectRef<KeyValue>('Annotation').implement({
  description: 'An annotation of an object.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Key with its prefix.' }),
    value: t.exposeString('value', { description: 'Value; may be long.' }),
  }),
})

/** In order of their keys. */
export function keyValues(record: Readonly<Record<string, string>>): readonly KeyValue[] {
  return Object.keys(record)
    .sort()
    .map((key) => ({ key, value: record[key]! }))
}

/** Label sets are shared between rows, and so are their lists. */
const LISTS = new WeakMap<LabelSet, readonly KeyValue[]>()

export function labelsOf(labels: LabelSet): readonly KeyValue[] {
  let list = LISTS.get(labels)
  if (!list) LISTS.set(labels, (list = keyValues(labels)))
  return list
}

/** In Kubernetes' syntax, as `labelSelector` filters take it. */
export function selectorText({ matchLabels, matchExpressions }: LabelSelector): string {
  return [
    ...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`),
    ...matchExpressions.map(({ key, operator, values }) => {
      if (operator === 'Exists') return key
      if (operator === 'DoesNotExist') return `!${key}`
      return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`
    }),
  ].join(',')
}

/** Its value is the owned row. */
export const OwnerRef = builder.objectRef<Row>('Owner').implement({
  description: 'The controller of an object: the owner reference that has `controller: true`.',
  fields: (t) => ({
    apiVersion: t.string({
      description: 'API version of the owner, such as `apps/v1`.',
      resolve: (row) => row.owner!.apiVersion,
    }),
    kind: t.string({
      description: 'Kubernetes kind of the owner; it may be one that the gateway does not keep.',
      resolve: (row) => row.owner!.kind,
    }),
    name: t.string({ description: 'Name of the owner.', resolve: (row) => row.owner!.name }),
    uid: t.string({ description: 'UID of the owner.', resolve: (row) => row.owner!.uid }),
    object: t.field({
      type: KubernetesObject,
      nullable: true,
      description:
        'The owner itself; null if it is gone, not visible to you, or of a kind that the gateway does not keep.',
      resolve: (row, _arguments, { fleet }) => ownerOf(row, fleet) ?? null,
    }),
  }),
})

export const ConditionRef = builder.objectRef<Condition>('Condition').implement({
  description: 'An aspect of the state of an object.',
  fields: (t) => ({
    type: t.exposeString('type', { description: 'Which aspect, such as `Ready` or `Available`.' }),
    status: t.expose('status', { type: ConditionStatus, description: 'Whether it holds.' }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'A word for a program: why it is so. Null where none is given.',
    }),
    message: t.exposeString('message', {
      nullable: true,
      description: 'A sentence for a person. Null where none is given.',
    }),
    lastTransitionTime: t.expose('lastTransitionTime', {
      type: 'DateTime',
      nullable: true,
      description: 'When `status` last changed; null where it is not known.',
    }),
  }),
})
