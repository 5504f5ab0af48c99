/** ConfigMap: configuration for pods. Its keys are in memory, its values only in the live manifest. */
import type { ConfigMapRow } from '../../kubernetes/rows.ts'
import { where } from '../filters.ts'
import { defineList } from '../list.ts'
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'
import { namespacedFields } from './namespaced.ts'

placeList(
  'configMaps',
  defineList({
    name: 'ConfigMap',
    plural: 'ConfigMaps',
    kinds: ['ConfigMap'],
    node: KIND_REFS.ConfigMap,
    filter: (t) => ({ key: t.string({ description: 'With this key among its data.' }) }),
    conditions: ({ key }) => (key == null ? [] : [where<ConfigMapRow>((row) => row.keys.includes(key))]),
    order: { KEYS: { description: 'How many keys it has.', value: (row: ConfigMapRow) => row.keys.length } },
  }),
)

KIND_REFS.ConfigMap.implement({
  description: 'A ConfigMap: configuration for pods. Its values are read with `manifest`.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    keys: t.exposeStringList('keys', { description: 'Keys of its data in the order of the alphabet.' }),
    immutable: t.exposeBoolean('immutable', { description: 'Whether its data can never change.' }),
  }),
})
