/**
 * Lists: what makes a connection field of a kind – its types for filter and order, how a filter becomes a
 * selection, and the field itself, which is the same at the root, under a cluster, under a namespace and
 * as a relation: only where it looks differs.
 */
import type { FieldRef, InputFieldMap, InputObjectRef, InputShapeFromFields, ObjectRef } from '@pothos/core'
import type { Cluster } from '../fleet/fleet.ts'
import { CursorError } from '../fleet/cursor.ts'
import type { Selection, SortKey, Window } from '../fleet/selection.ts'
import type { Row } from '../kubernetes/rows.ts'
import { builder, type Types } from './builder.ts'
import {
  connectionType,
  DEFAULT_PAGE,
  MAX_PAGE,
  RowConnection,
  windowOf,
  type Connection,
} from './connection.ts'
import type { GraphContext } from './context.ts'
import { badUserInput } from './errors.ts'
import {
  clustersOf,
  commonConditions,
  commonFields,
  selectionOf,
  type CommonFilter,
  type Condition,
  type InputFields,
} from './filters.ts'
import { COMMON_ORDER, orderInput, sortKeys, type OrderFields, type OrderInput } from './order.ts'
import type { RowRef } from './refs.ts'

/** Everything that a connection field of these rows needs. */
export interface List<R extends Row = Row> {
  /** Singular name of the type, and its plural in a sentence: `pods`. */
  readonly name: string
  readonly plural: string
  /** More than one for an interface. */
  readonly kinds: readonly R['kind'][]
  readonly namespaced: boolean
  readonly node: RowRef<R>
  readonly connection: ObjectRef<Types, Connection<R>>
  readonly filter: InputObjectRef<Types, CommonFilter>
  readonly order: InputObjectRef<Types, OrderInput>
  readonly orderFields: OrderFields<R>
  /** The order where none is asked for; absent: the natural one. */
  readonly defaultOrder?: readonly OrderInput[]
  /** Throws BAD_USER_INPUT. */
  readonly conditions: (filter: CommonFilter) => readonly Condition<R>[]
  /** Which of the kinds a filter leaves. */
  readonly kindsOf: (filter: CommonFilter) => readonly R['kind'][]
}

export interface ListOptions<R extends Row, Fields extends InputFieldMap> {
  readonly name: string
  readonly plural: string
  readonly kinds: readonly R['kind'][]
  readonly node: RowRef<R>
  readonly namespaced?: boolean
  /** The filter's own fields, beside the common ones. */
  readonly filter: (t: InputFields) => Fields
  readonly conditions: (filter: InputShapeFromFields<Fields>) => readonly Condition<R>[]
  readonly kindsOf?: (filter: InputShapeFromFields<Fields>) => readonly R['kind'][]
  readonly order?: OrderFields<R>
  readonly defaultOrder?: readonly OrderInput[]
}

/** Makes the types `<name>Connection`, `<name>Edge`, `<name>Filter`, `<name>Order`, `<name>OrderField`. */
export function defineList<R extends Row, Fields extends InputFieldMap>(
  options: ListOptions<R, Fields>,
): List<R> {
  const { name, plural, kinds, namespaced = true, defaultOrder, kindsOf } = options
  const orderFields: OrderFields<R> = { ...COMMON_ORDER, ...options.order }
  const own = (filter: CommonFilter) => filter as InputShapeFromFields<Fields>
  return {
    name,
    plural,
    kinds,
    namespaced,
    node: options.node,
    connection: connectionType<R>(name, options.node, plural, { position: true }),
    filter: builder.inputType(`${name}Filter`, {
      description: `Which of ${plural}. All that is given has to hold; what is absent or null accepts everything.`,
      fields: (t) => ({ ...commonFields(t, namespaced), ...options.filter(t) }),
    }),
    order: orderInput(name, orderFields),
    orderFields,
    ...(defaultOrder && { defaultOrder }),
    // The kind's own conditions first: they choose the narrower index.
    conditions: (filter) => [
      ...options.conditions(own(filter)),
      ...(commonConditions(filter, 'filter') as readonly Condition<R>[]),
    ],
    kindsOf: (filter) => kindsOf?.(own(filter)) ?? kinds,
  }
}

/** Where a list looks: all clusters and all rows unless it says otherwise. */
export interface Within<R extends Row> {
  readonly clusters?: readonly Cluster[]
  readonly conditions?: readonly Condition<R>[]
  /** There can be none, whatever the filter. */
  readonly none?: boolean
}

type ObjectFields<Parent> = PothosSchemaTypes.ObjectFieldBuilder<Types, Parent>

/** Of the root, an interface or an object: for a list they are all the same. */
export type FieldBuilder<Parent> =
  | ObjectFields<Parent>
  | PothosSchemaTypes.InterfaceFieldBuilder<Types, Parent>
  | PothosSchemaTypes.QueryFieldBuilder<Types, Parent>

/** A connection field. `within` says what of the fleet belongs to the parent. */
export function listField<Parent, R extends Row>(
  fields: FieldBuilder<Parent>,
  list: List<R>,
  description: string,
  within: (parent: Parent, context: GraphContext) => Within<R>,
): FieldRef<Types> {
  const t = fields as ObjectFields<Parent>
  return t.field({
    type: list.connection,
    description: `${description} ${PAGING}`,
    args: {
      filter: t.arg({ type: list.filter, description: `Which of ${list.plural}; absent: all.` }),
      orderBy: t.arg({
        type: [list.order],
        description: list.defaultOrder
          ? `Keys of the order, the first decides; absent: ${list.defaultOrder.map(({ field, direction }) => `${field} ${direction}`).join(', ')}. An order other than by cluster, namespace and name costs a pass over all that matches.`
          : 'Keys of the order, the first decides; absent: by cluster, namespace and name. Any other order costs a pass over all that matches.',
      }),
      ...windowArguments(t),
    },
    resolve: (parent, args, context) => {
      const { fleet } = context
      const filter = args.filter ?? {}
      const window = windowOf(args)
      const place = within(parent, context)
      const clusters = clustersWithin(place, filter, context)
      const kinds = list.kindsOf(filter)
      const selection = selectionOf([...(place.conditions ?? []), ...list.conditions(filter)])
      const order = sortKeys(args.orderBy ?? list.defaultOrder, list.orderFields)
      const page = guarded(() =>
        fleet.select(kinds, place.none ? [] : clusters, selection as Selection, order as SortKey[], window),
      )
      return new RowConnection(page, fleet, kinds, clusters) as unknown as Connection<R>

      function guarded<T>(select: () => T): T {
        try {
          return select()
        } catch (error) {
          if (error instanceof CursorError) throw badCursor(error, window)
          throw error
        }
      }
    },
  })
}

/** A relation of each row of a page asks this: it does not go through the fleet unless the filter does. */
function clustersWithin<R extends Row>(
  { clusters }: Within<R>,
  filter: CommonFilter,
  context: GraphContext,
): readonly Cluster[] {
  if (clusters && filter.clusters == null && filter.clusterSelector == null) return clusters
  const asked = clustersOf(filter, context)
  return clusters ? clusters.filter((cluster) => asked.includes(cluster)) : asked
}

const PAGING = `At most ${MAX_PAGE} a page.`

/** Relay's four arguments. */
export function windowArguments<Parent>(fields: FieldBuilder<Parent>) {
  const t = fields as ObjectFields<Parent>
  return {
    first: t.arg.int({
      description: `How many from the start, or after \`after\`: 0 to ${MAX_PAGE}, ${DEFAULT_PAGE} where neither \`first\` nor \`last\` is given.`,
    }),
    after: t.arg.string({ description: 'Only what comes after this cursor.' }),
    last: t.arg.int({
      description: `How many from the end, or before \`before\`: 0 to ${MAX_PAGE}. Not together with \`first\`.`,
    }),
    before: t.arg.string({ description: 'Only what comes before this cursor.' }),
  }
}

/** A cursor of another list or order, or none at all. */
function badCursor(error: Error, window: Window) {
  return badUserInput(error.message, window.after === undefined ? 'before' : 'after', error)
}
