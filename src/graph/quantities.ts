/** Amounts of resources: as Kubernetes writes them and as numbers in base units. */
import type { Quantity, ResourceAmounts } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'

export const QuantityRef = builder.objectRef<Quantity>('Quantity').implement({
  description: 'An amount of a resource.',
  fields: (t) => ({
    text: t.exposeString('text', { description: 'As Kubernetes writes it, such as `250m` or `1Gi`.' }),
    value: t.exposeFloat('value', {
      description: 'In base units: cores, bytes or a count, such as 0.25 or 1073741824.',
    }),
  }),
})

interface NamedQuantity {
  readonly name: string
  readonly quantity: Quantity
}

const NamedQuantityRef = builder.objectRef<NamedQuantity>('NamedQuantity').implement({
  description: 'An amount of a named resource.',
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'The resource, such as `cpu`, `pods`, `nvidia.com/gpu` or `requests.memory`.',
    }),
    quantity: t.expose('quantity', { type: QuantityRef, description: 'How much of it.' }),
  }),
})

export const ResourcesRef = builder.objectRef<ResourceAmounts>('Resources').implement({
  description: 'Amounts by resource.',
  fields: (t) => ({
    cpu: t.field({
      type: QuantityRef,
      nullable: true,
      description: 'Processor time in cores; null where none is given.',
      resolve: (amounts) => amounts['cpu'] ?? null,
    }),
    memory: t.field({
      type: QuantityRef,
      nullable: true,
      description: 'Memory in bytes; null where none is given.',
      resolve: (amounts) => amounts['memory'] ?? null,
    }),
    ephemeralStorage: t.field({
      type: QuantityRef,
      nullable: true,
      description: 'Local disk in bytes; null where none is given.',
      resolve: (amounts) => amounts['ephemeral-storage'] ?? null,
    }),
    pods: t.field({
      type: QuantityRef,
      nullable: true,
      description: 'Number of pods; null where none is given.',
      resolve: (amounts) => amounts['pods'] ?? null,
    }),
    get: t.field({
      type: QuantityRef,
      nullable: true,
      description: 'Of any resource; null where none is given.',
      args: {
        name: t.arg.string({ required: true, description: 'The resource, such as `nvidia.com/gpu`.' }),
      },
      resolve: (amounts, { name }) => (Object.hasOwn(amounts, name) ? (amounts[name] ?? null) : null),
    }),
    all: t.field({
      type: [NamedQuantityRef],
      description: 'All of them, in order of their names.',
      resolve: (amounts) =>
        Object.keys(amounts)
          .sort()
          .map((name) => ({ name, quantity: amounts[name]! })),
    }),
  }),
})

/** A sum without the traces of binary fractions: exact to a billionth, the finest that Kubernetes writes. */
export function total(sum: number): number {
  return Number(sum.toFixed(9))
}
