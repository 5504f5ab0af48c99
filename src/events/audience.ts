/**
 * Whom a change of one table can concern: slots by one thing that their selection asks of a row, so that with
 * thousands of different filters a change is tested against those few that ask for what it has.
 *
 * Invariant: a slot that means a row, or meant the one before, is among those told. Which of those told do
 * mean it they test themselves.
 */
import { indexesOf, ownerValues } from '../fleet/indexes.ts'
import type { Selection } from '../fleet/selection.ts'
import type { Change } from '../fleet/table.ts'
import type { LabelSelector, Row } from '../kubernetes/rows.ts'
import type { Slot } from './slot.ts'

/** One thing that can be asked of a row: the values of it that a row has, and who asks for each. */
interface Aspect {
  readonly valuesOf: (row: Row) => readonly string[]
  readonly slots: Map<string, Set<Slot>>
}

/** What a slot stands under: it means only rows that have one of the values. */
interface Demand {
  readonly aspect: string
  readonly values: readonly string[]
  readonly valuesOf: (row: Row) => readonly string[]
}

export class Audience {
  readonly #everything = new Set<Slot>()
  /** By name; only those that somebody asks for. */
  readonly #aspects = new Map<string, Aspect>()
  readonly #demands = new Map<Slot, Demand | undefined>()

  get slots(): readonly Slot[] {
    return Array.from(this.#demands.keys())
  }

  get isEmpty(): boolean {
    return this.#demands.size === 0
  }

  add(slot: Slot, selection: Selection): void {
    const demand = demandOf(slot, selection)
    this.#demands.set(slot, demand)
    if (!demand) {
      this.#everything.add(slot)
      return
    }
    const { valuesOf } = demand
    let aspect = this.#aspects.get(demand.aspect)
    if (!aspect) this.#aspects.set(demand.aspect, (aspect = { valuesOf, slots: new Map() }))
    for (const value of demand.values) {
      const slots = aspect.slots.get(value)
      if (slots) slots.add(slot)
      else aspect.slots.set(value, new Set([slot]))
    }
  }

  delete(slot: Slot): void {
    const demand = this.#demands.get(slot)
    this.#demands.delete(slot)
    this.#everything.delete(slot)
    const aspect = demand && this.#aspects.get(demand.aspect)
    if (!aspect) return
    for (const value of demand.values) {
      const slots = aspect.slots.get(value)
      if (slots?.delete(slot) && slots.size === 0) aspect.slots.delete(value)
    }
    if (aspect.slots.size === 0) this.#aspects.delete(demand.aspect)
  }

  /** Each slot once that may mean the row, or the one before it. */
  tell(change: Change, listen: (slot: Slot) => void): void {
    for (const slot of this.#everything) listen(slot)
    for (const aspect of this.#aspects.values()) {
      const [first, ...others] = heardBy(aspect, change)
      // Of several, one slot may stand under more than one.
      const slots = others.length === 0 ? first : others.reduce((all, some) => all.union(some), first!)
      if (slots) for (const slot of slots) listen(slot)
    }
  }
}

function heardBy({ valuesOf, slots }: Aspect, { row, previous }: Change): readonly ReadonlySet<Slot>[] {
  const heard: Set<Slot>[] = []
  const add = (value: string) => {
    const some = slots.get(value)
    if (some && !heard.includes(some)) heard.push(some)
  }
  valuesOf(row).forEach(add)
  if (previous) valuesOf(previous).forEach(add)
  return heard
}

/** Of all that a selection asks for, what the fewest rows have, as far as that can be told beforehand. */
function demandOf({ scope, channel }: Slot, selection: Selection): Demand | undefined {
  const { names, ownerUid, index, labels, namespaces } = selection
  if (names) return { aspect: 'name', values: names, valuesOf: ({ name }) => [name] }
  if (ownerUid !== undefined) return { aspect: 'owner', values: [ownerUid], valuesOf: ownerValues }
  if (index) {
    const values = 'value' in index ? [index.value] : index.values
    const valuesOf = indexesOf(channel.table.kind).find(([name]) => name === index.name)?.[1]
    // A kind without this index has no row that is meant.
    return { aspect: `index ${index.name}`, values, valuesOf: valuesOf ?? none }
  }
  const label = labels && labelDemand(labels)
  if (label) return label
  // Where single objects are allowed beyond namespaces, these say nothing.
  const isOpen = scope === 'all' || scope.objects !== undefined || scope.names !== undefined
  const within = isOpen ? namespaces : (namespaces ?? [...scope.namespaces])
  return within && { aspect: 'namespace', values: within, valuesOf: ({ namespace }) => [namespace] }
}

const none = () => []

function labelDemand({ matchLabels, matchExpressions }: LabelSelector): Demand | undefined {
  const [equal] = Object.entries(matchLabels)
  const among = matchExpressions.find(({ operator }) => operator === 'In')
  const [key, values] = equal ? [equal[0], [equal[1]]] : [among?.key, among?.values ?? []]
  if (key === undefined) return undefined
  const valuesOf = ({ labels }: Row) => {
    const value = labels[key]
    return value === undefined ? [] : [value]
  }
  return { aspect: `label ${key}`, values, valuesOf }
}
