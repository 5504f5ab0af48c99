/**
 * Orders: an enum of fields per kind, and the keys behind them. Ties go by cluster, namespace, name; the
 * natural order itself is free, so keys that only repeat it are dropped.
 */
import type { InputObjectRef } from '@pothos/core'
import type { SortKey } from '../fleet/selection.ts'
import type { Row, WorkloadRow } from '../kubernetes/rows.ts'
import { builder, type Types } from './builder.ts'

interface OrderField<R extends Row> {
  readonly description: string
  /** Pure; `null` sorts last in either direction. */
  readonly value: (row: R) => string | number | null
}

export type OrderFields<R extends Row> = Readonly<Record<string, OrderField<R>>>

export interface OrderInput {
  readonly field: string
  readonly direction: 'ASC' | 'DESC'
}

/** What every kind can be ordered by. */
export const COMMON_ORDER = {
  CLUSTER: { description: 'Name of the cluster.', value: (row) => row.cluster },
  NAMESPACE: {
    description: 'Namespace; objects without one come first.',
    value: (row) => row.namespace,
  },
  NAME: { description: 'Name of the object.', value: (row) => row.name },
  CREATED: {
    description: 'When it was created: ASC is oldest first.',
    value: (row) => row.creationTimestamp,
  },
} as const satisfies OrderFields<Row>

/** What every workload can be ordered by beyond that. */
export const WORKLOAD_ORDER = {
  DESIRED: {
    description: 'How many replicas, nodes or completions it asks for.',
    value: (row) => row.desired,
  },
  READY: { description: 'How many are ready.', value: (row) => row.ready },
  UNREADY: {
    description: 'How many are missing to what it asks for: DESC is worst first.',
    value: (row) => Math.max(0, row.desired - row.ready),
  },
  CPU: {
    description: 'CPU that all its desired replicas request together.',
    value: (row) => row.cpuRequest * row.desired,
  },
  MEMORY: {
    description: 'Memory that all its desired replicas request together.',
    value: (row) => row.memoryRequest * row.desired,
  },
} as const satisfies OrderFields<WorkloadRow>

const OrderDirection = builder.enumType('OrderDirection', {
  description: 'Which end of an order comes first.',
  values: {
    ASC: { description: 'Smallest, oldest or first in the alphabet first.' },
    DESC: { description: 'Largest, newest or last in the alphabet first.' },
  },
})

/** The types `<name>Order` and `<name>OrderField`. */
export function orderInput<R extends Row>(
  name: string,
  fields: OrderFields<R>,
): InputObjectRef<Types, OrderInput> {
  const field = builder.enumType(`${name}OrderField`, {
    description: `What a list of type ${name} can be ordered by.`,
    values: Object.fromEntries(
      Object.entries(fields).map(([key, { description }]) => [key, { description, value: key }]),
    ),
  })
  return builder.inputRef<OrderInput>(`${name}Order`).implement({
    description:
      'One key of an order. The first key decides; ties go to the next, and at last by cluster, namespace and name. What has no value comes last.',
    fields: (t) => ({
      field: t.field({ type: field, required: true, description: 'What to order by.' }),
      direction: t.field({
        type: OrderDirection,
        required: true,
        defaultValue: 'ASC',
        description: 'Which end comes first.',
      }),
    }),
  })
}

const NATURAL = ['CLUSTER', 'NAMESPACE', 'NAME'] as const

/** Empty for the natural order, whose pages cost no sort. A field that comes again decides nothing: it is dropped. */
export function sortKeys<R extends Row>(
  asked: readonly OrderInput[] | null | undefined,
  fields: OrderFields<R>,
): readonly SortKey<R>[] {
  if (!asked) return []
  const seen = new Set<string>()
  const order = asked.filter(({ field }) => !seen.has(field) && seen.add(field))
  if (order.every(({ field, direction }, index) => direction === 'ASC' && field === NATURAL[index])) return []
  return order.map(({ field, direction }) => ({
    name: field,
    value: fields[field]!.value,
    descending: direction === 'DESC',
  }))
}
