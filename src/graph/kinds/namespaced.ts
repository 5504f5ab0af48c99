/** The two fields of every kind that has a namespace. */
import type { FieldMap } from '@pothos/core'
import type { Row } from '../../kubernetes/rows.ts'
import type { Types } from '../builder.ts'
import { KIND_REFS } from '../refs.ts'

export function namespacedFields<R extends Row>(
  builder: PothosSchemaTypes.ObjectFieldBuilder<Types, R>,
): FieldMap {
  const t = builder as unknown as PothosSchemaTypes.ObjectFieldBuilder<Types, Row>
  return {
    namespace: t.exposeString('namespace', { description: 'Name of its namespace.' }),
    namespaceObject: t.field({
      type: KIND_REFS.Namespace,
      nullable: true,
      description: 'Its namespace; null where that is not visible to you.',
      resolve: (row, _arguments, { fleet }) => fleet.get('Namespace', row.cluster, '', row.namespace) ?? null,
    }),
  }
}
