/**
 * Where the list of a kind appears: as a root field over the whole fleet, under each cluster, and under
 * each namespace for kinds that have one; and the subscription that follows it.
 */
import type { Row } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'
import { changesField } from './changes.ts'
import { inNamespaces } from './filters.ts'
import { listField, type List } from './list.ts'
import { ClusterRef, KIND_REFS } from './refs.ts'
import { clustersOfRow } from './relations.ts'

export function placeList<R extends Row>(field: string, list: List<R>): void {
  const all = capitalized(list.plural)
  builder.queryField(field, (t) => listField(t, list, `${all} of all clusters.`, () => ({})))
  builder.objectField(ClusterRef, field, (t) =>
    listField(t, list, `${all} of this cluster.`, (cluster) => ({ clusters: [cluster] })),
  )
  if (!list.namespaced) return
  builder.objectField(KIND_REFS.Namespace, field, (t) =>
    listField(t, list, `${all} of this namespace.`, (namespace, { fleet }) => ({
      clusters: clustersOfRow(namespace, fleet),
      conditions: [inNamespaces([namespace.name])],
    })),
  )
}

/** The subscription field that tells the changes of what a list shows. */
export function placeChanges<R extends Row>(field: string, list: List<R>): void {
  changesField(field, list, `${capitalized(list.plural)} of all clusters as they come, change and go.`)
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
