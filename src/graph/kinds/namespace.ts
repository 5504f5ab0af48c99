/** Namespace: the scope of most objects. Its contents are placed here by the lists of their kinds. */
import type { NamespaceRow } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { oneOf } from '../filters.ts'
import { defineList } from '../list.ts'
import { ConditionRef } from '../metadata.ts'
import { placeChanges, placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'

const NamespacePhase = builder.enumType('NamespacePhase', {
  description: 'Where a namespace is in its life.',
  values: {
    Active: { description: 'In use.' },
    Terminating: { description: 'Being deleted with all that is in it.' },
  } satisfies Record<NamespaceRow['phase'], { description: string }>,
})

const namespaceList = defineList({
  name: 'Namespace',
  plural: 'namespaces',
  kinds: ['Namespace'],
  node: KIND_REFS.Namespace,
  namespaced: false,
  filter: (t) => ({
    phases: t.field({ type: [NamespacePhase], description: 'In one of these phases.' }),
  }),
  conditions: ({ phases }) => oneOf<NamespaceRow, string>(phases, (row) => row.phase),
})

placeList('namespaces', namespaceList)
placeChanges('namespaceChanges', namespaceList)

KIND_REFS.Namespace.implement({
  description: 'A namespace of a cluster: the scope of most objects.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    phase: t.expose('phase', { type: NamespacePhase, description: 'Where it is in its life.' }),
    conditions: t.expose('conditions', {
      type: [ConditionRef],
      description: 'Aspects of its state: what its deletion waits for.',
    }),
  }),
})
