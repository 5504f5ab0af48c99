/**
 * Changes: what makes a subscription field that follows objects – the types of its events, its arguments,
 * and how they become a request of the live side. The same filters as the lists, without an order.
 *
 * It knows nothing of sockets, queues or groups: `subscribe` says what to follow and where to begin, and
 * whoever executes it shares the work of followers that ask the same.
 */
import type { InputObjectRef, ObjectRef } from '@pothos/core'
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { Coverage } from '../access/coverage.ts'
import type {
  DeletedReason,
  LiveEvent,
  LiveEventType,
  LiveSource,
  LiveStart,
  RowsRequest,
} from '../events/live.ts'
import { PositionError } from '../events/position.ts'
import type { Cluster } from '../fleet/fleet.ts'
import type { Row } from '../kubernetes/rows.ts'
import { builder, type Types } from './builder.ts'
import type { GraphContext } from './context.ts'
import { CoverageRef } from './coverage.ts'
import { badUserInput } from './errors.ts'
import {
  clusterTest,
  requireKnownClusters,
  selectionOf,
  type CommonFilter,
  type Condition,
} from './filters.ts'
import { ClusterRef, type RowRef } from './refs.ts'

export const ChangeTypeEnum = builder.enumType('ChangeType', {
  description: 'What an event of a subscription tells.',
  values: {
    ADDED: { description: 'An object is there, or now matches the filter.' },
    MODIFIED: { description: 'An object that matches the filter has changed.' },
    DELETED: {
      description:
        'An object is gone, or no longer matches the filter, or may not be seen any more: `deletedReason` says which.',
    },
    SYNCED: {
      description:
        'All that `snapshot` or `after` asked for has been sent: a copy made of the events is complete. What follows is told as it happens.',
    },
    RESYNC: {
      description:
        'Events were left out, since the reader was too slow or the cursor too old: ADDED for everything that is there and then SYNCED follow. Drop from a copy what does not come again in between.',
    },
    CLUSTER_UP: {
      description: 'A cluster is followed again; what changed meanwhile has been sent as differences.',
    },
    CLUSTER_DOWN: {
      description:
        'A cluster is not followed at the moment: its objects may be missing or out of date. Told when it happens, and at the beginning and after RESYNC of each such cluster. Its objects stay in a copy; CLUSTER_UP ends it.',
    },
  } satisfies Record<LiveEventType, { description: string }>,
})

export const DeletedReasonEnum = builder.enumType('DeletedReason', {
  description: 'Why something is DELETED for the reader of a subscription.',
  values: {
    OBJECT_DELETED: { description: 'It was deleted.' },
    FILTER: { description: 'It does not match the filter any more; it may well exist.' },
    FORBIDDEN: { description: 'You may not see it any more; it may well exist.' },
    CLUSTER_REMOVED: { description: 'Its cluster left the fleet, or no longer matches the filter.' },
  } satisfies Record<DeletedReason, { description: string }>,
})

/** The value behind an event's type. */
export interface RowChange<R extends Row = Row> {
  readonly event: LiveEvent<R>
  /** Of the clusters that the stream covers at this moment; empty for a change of an object. */
  coverage(): readonly Coverage[]
}

/** What a subscription field of these rows needs; a `List` is one. */
export interface Followed<R extends Row = Row> {
  /** Singular name of the type, and its plural in a sentence: `pods`. */
  readonly name: string
  readonly plural: string
  readonly node: RowRef<R>
  readonly filter: InputObjectRef<Types, CommonFilter>
  /** Throws BAD_USER_INPUT. */
  readonly conditions: (filter: CommonFilter) => readonly Condition<R>[]
  readonly kindsOf: (filter: CommonFilter) => readonly R['kind'][]
}

/** The type `<name>Change`. */
export function changeType<R extends Row>({
  name,
  plural,
  node,
}: Pick<Followed<R>, 'name' | 'plural' | 'node'>): ObjectRef<Types, RowChange<R>> {
  const object = node as ObjectRef<Types, R>
  return builder.objectRef<RowChange<R>>(`${name}Change`).implement({
    description: `An event of a subscription to ${plural}. The events of one object come in their order.`,
    fields: (t) => ({
      type: t.field({
        type: ChangeTypeEnum,
        description: 'What it tells. Which other fields are set depends on it.',
        resolve: ({ event }) => event.type,
      }),
      object: t.field({
        type: object,
        nullable: true,
        description:
          'The object as it is now; of DELETED as it was last. Its `id` is the key of a copy. Null for events that are not about an object.',
        resolve: ({ event }) => event.object as never,
      }),
      previous: t.field({
        type: object,
        nullable: true,
        description:
          'Of MODIFIED and DELETED: the object as this subscription told it before. Changes that were put together (`throttle`, a slow reader) are one.',
        resolve: ({ event }) => event.previous as never,
      }),
      deletedReason: t.field({
        type: DeletedReasonEnum,
        nullable: true,
        description: 'Of DELETED: why.',
        resolve: ({ event }) => event.deletedReason,
      }),
      cluster: t.field({
        type: ClusterRef,
        nullable: true,
        description: 'The cluster of the object, or the one that is up or down; null for SYNCED and RESYNC.',
        resolve: ({ event }) => event.cluster,
      }),
      message: t.string({
        nullable: true,
        description: 'Of DELETED, RESYNC and CLUSTER_DOWN: a sentence for a person. Null for others.',
        resolve: ({ event }) => event.message,
      }),
      cursor: t.string({
        nullable: true,
        description: `Up to here everything has been sent: keep the last one that is not null, and give it as \`after\` to go on from here after a lost connection, at any replica of the gateway. Null within a snapshot. ${NOT_A_PAGE}`,
        resolve: ({ event }) => event.cursor,
      }),
      coverage: t.field({
        type: [CoverageRef],
        description:
          'Of SYNCED, RESYNC, CLUSTER_UP and CLUSTER_DOWN: how complete and fresh what this subscription covers is, one entry for each of its clusters in order of their names. Empty for changes of objects.',
        resolve: (change) => change.coverage(),
      }),
    }),
  })
}

const NOT_A_PAGE = 'It is no place in a list: the cursors of edges and of `pageInfo` are others.'

/** Milliseconds that changes may be held back at most. */
const MAX_THROTTLE_MS = 60_000

export interface StartArguments {
  readonly snapshot?: boolean | null | undefined
  readonly after?: string | null | undefined
}

/** A root field that follows rows; `args` are those of the field beside `filter` and the common ones. */
export function changesField<R extends Row>(field: string, followed: Followed<R>, description: string): void {
  const { plural, filter, conditions, kindsOf } = followed
  const type = changeType(followed)
  builder.subscriptionField(field, (t) =>
    t.field({
      type,
      description: `${description} ${HOW_TO_FOLLOW}`,
      args: {
        filter: t.arg({
          type: filter,
          description: `Which of ${plural}; absent: all. One that leaves the filter is DELETED, one that comes into it ADDED.`,
        }),
        ...followArguments(t),
      },
      subscribe: (_root, args, context) =>
        followRows(context, kindsOf(args.filter ?? {}), conditions(args.filter ?? {}), args),
      resolve: (event, { filter }, { fleet }) =>
        rowChange(event as LiveEvent<R>, fleet, () => coverageWithin(fleet, kindsOf(filter ?? {}), filter)),
    }),
  )
}

type SubscriptionFields = PothosSchemaTypes.SubscriptionFieldBuilder<Types, Types['Root']>

/** `snapshot`, `after` and `throttle`. */
export function followArguments(t: SubscriptionFields) {
  return {
    snapshot: t.arg.boolean({
      defaultValue: false,
      description:
        'Whether to begin with what is there: ADDED for each object, then one SYNCED. Not needed with `after`.',
    }),
    after: t.arg.string({
      description:
        'Go on after this cursor – of an event, or the `cursor` of a list – : first all changes since, then SYNCED. Where that is not possible any more, RESYNC, ADDED for everything, SYNCED.',
    }),
    throttle: t.arg.int({
      defaultValue: 0,
      description: `Send at most once in so many milliseconds, changes of one object put together: 0 (at once) to ${MAX_THROTTLE_MS}.`,
    }),
  }
}

interface FollowArguments extends StartArguments {
  readonly filter?: CommonFilter | null | undefined
  readonly throttle?: number | null | undefined
}

/** Throws BAD_USER_INPUT. */
export function followRows<R extends Row>(
  context: GraphContext,
  kinds: readonly R['kind'][],
  conditions: readonly Condition<R>[],
  args: FollowArguments,
): LiveSource {
  const { filter, throttle } = args
  requireKnownClusters(filter, context)
  const request: Omit<RowsRequest<R>, 'scope'> = {
    type: 'rows',
    kinds,
    clusters: clusterTest(filter),
    selection: selectionOf(conditions),
    throttleMs: within('throttle', throttle ?? 0, 0, MAX_THROTTLE_MS),
  }
  return startedAt(args, (start) =>
    context.fleet.follow(request as unknown as Omit<RowsRequest, 'scope'>, start, context.signal),
  )
}

/** A number of an argument, in these bounds. Throws BAD_USER_INPUT. */
export function within(argument: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value
  throw badUserInput(`"${argument}" is ${value}: it can be from ${least} to ${most}.`, argument)
}

/** Throws BAD_USER_INPUT for a cursor that is none. */
function startedAt({ snapshot, after }: StartArguments, live: (start: LiveStart) => LiveSource): LiveSource {
  try {
    return live({ snapshot: snapshot ?? false, ...(after != null && { after }) })
  } catch (error) {
    if (!(error instanceof PositionError)) throw error
    throw badUserInput(error.message, 'after', error)
  }
}

/** Clusters that have left the fleet and are told of once more, by the rows that go with them. */
const DEPARTED = new WeakMap<Row, Cluster>()

/** The cluster of a row: in an event that tells of its removal it is in the fleet no more. */
export function clusterOfRow(row: Row, fleet: AuthorizedFleet): Cluster {
  return fleet.cluster(row.cluster) ?? DEPARTED.get(row)!
}

/** `covered` is asked when it is selected. */
export function rowChange<R extends Row>(
  event: LiveEvent<R>,
  fleet: AuthorizedFleet,
  covered: () => readonly Coverage[],
): RowChange<R> {
  const { object, previous, cluster } = event
  if (object && cluster && !fleet.cluster(cluster.name)) {
    DEPARTED.set(object, cluster)
    if (previous) DEPARTED.set(previous, cluster)
  }
  return { event, coverage: () => (object ? [] : covered()) }
}

/** Of the clusters of a filter as they are now. */
export function coverageWithin(
  fleet: AuthorizedFleet,
  kinds: readonly Row['kind'][],
  filter: CommonFilter | null | undefined,
): readonly Coverage[] {
  return fleet.coverage(kinds, fleet.clusters().filter(clusterTest(filter)))
}

/** For the description of every field that follows. */
export const HOW_TO_FOLLOW =
  'Query first and then give the `cursor` of the answer as `after`, or ask for a `snapshot`: then no change is missed. Each event has what it selects as it is when it is sent.'
