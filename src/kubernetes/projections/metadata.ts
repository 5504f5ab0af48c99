/** `metadata` of any object as the fields that every row begins with. */
import { globalId } from '../kinds.ts'
import type { Kind, RowMeta } from '../rows.ts'
import { integer, record, seconds, text, type Json } from './fields.ts'
import { shareLabels, shareOwner, shareText } from './shared.ts'

/** Spread first into a row: the literal that it is spread into gives all rows of a kind one shape. */
export function metadataOf<K extends Kind>(kind: K, object: Json, cluster: string): RowMeta & { kind: K } {
  const metadata = record(object['metadata'])
  const namespace = shareText(metadata['namespace'])
  const name = text(metadata['name'])
  return {
    kind,
    cluster,
    id: globalId(kind, cluster, namespace, name),
    uid: text(metadata['uid']),
    namespace,
    name,
    resourceVersion: text(metadata['resourceVersion']),
    generation: integer(metadata['generation']),
    creationTimestamp: seconds(metadata['creationTimestamp']) ?? 0,
    deletionTimestamp: seconds(metadata['deletionTimestamp']),
    labels: shareLabels(metadata['labels']),
    owner: shareOwner(metadata['ownerReferences']),
  }
}
