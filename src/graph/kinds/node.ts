/** Relay's root field `node`: any object of the graph by its global ID. */
import { parseGlobalId } from '../../kubernetes/kinds.ts'
import { builder } from '../builder.ts'
import { badUserInput } from '../errors.ts'
import { Node } from '../refs.ts'

builder.queryField('node', (t) =>
  t.field({
    type: Node,
    nullable: true,
    description:
      'The object with this global ID (Relay); null if it is gone, not visible to you, or its cluster has left the fleet.',
    args: { id: t.arg.id({ required: true, description: 'The `id` of an object or of a cluster.' }) },
    resolve: (_root, { id }, { fleet }) => {
      const reference = parseGlobalId(id)
      if (!reference) {
        throw badUserInput(
          `"${id.slice(0, 100)}" is not an ID of this graph. Take one from a field "id".`,
          'id',
        )
      }
      if (reference.kind === 'Cluster') return fleet.cluster(reference.cluster) ?? null
      const { kind, cluster, namespace, name } = reference
      return fleet.find(kind, cluster, namespace, name) ?? null
    },
  }),
)
