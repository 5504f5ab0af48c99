/**
 * Filters: what all kinds share, and how conditions become one `Selection`. A condition knows the index
 * that answers it and the test that says the same of a row; where two conditions want one index, the
 * first gets it and the others are tested on what it leaves.
 */
import type { InputFieldMap } from '@pothos/core'
import type { Cluster } from '../fleet/fleet.ts'
import type { IndexName } from '../fleet/table.ts'
import type { IndexCondition, Selection } from '../fleet/selection.ts'
import { LabelSelectorError, matchesLabels, parseLabelSelector } from '../kubernetes/label-selector.ts'
import { quoted } from '../kubernetes/quoted.ts'
import type { LabelSelector, Row, Seconds } from '../kubernetes/rows.ts'
import { builder, type Types } from './builder.ts'
import type { GraphContext } from './context.ts'
import { badUserInput } from './errors.ts'

/** A condition: `test` alone says it; the rest says which index answers it. */
export interface Condition<R extends Row = Row> {
  readonly test: (row: R) => boolean
  readonly namespaces?: readonly string[]
  readonly names?: readonly string[]
  readonly namePrefix?: string
  readonly labels?: LabelSelector
  readonly ownerUid?: string
  readonly index?: IndexCondition
}

/** The fields of `Selection` that one condition can take. */
const SLOTS = ['namespaces', 'names', 'namePrefix', 'labels', 'ownerUid', 'index'] as const

/** All of them together; the first ones get the indexes. */
export function selectionOf<R extends Row>(conditions: readonly Condition<R>[]): Selection<R> {
  const selection: { -readonly [K in keyof Selection<R>]: Selection<R>[K] } = {}
  const tests: ((row: R) => boolean)[] = []
  for (const condition of conditions) {
    const slot = SLOTS.find((slot) => condition[slot] !== undefined)
    if (slot && selection[slot] === undefined) Object.assign(selection, { [slot]: condition[slot] })
    else tests.push(condition.test)
  }
  if (tests.length > 0) selection.where = (row) => tests.every((test) => test(row))
  return selection
}

export function where<R extends Row>(test: (row: R) => boolean): Condition<R> {
  return { test }
}

export function inNamespaces<R extends Row>(namespaces: readonly string[]): Condition<R> {
  const accepted = new Set(namespaces)
  return { namespaces, test: (row) => accepted.has(row.namespace) }
}

function named<R extends Row>(names: readonly string[]): Condition<R> {
  const accepted = new Set(names)
  return { names, test: (row) => accepted.has(row.name) }
}

export function labelled<R extends Row>(labels: LabelSelector): Condition<R> {
  return { labels, test: (row) => matchesLabels(labels, row.labels) }
}

export function ownedBy<R extends Row>(ownerUid: string): Condition<R> {
  return { ownerUid, test: (row) => row.owner?.uid === ownerUid }
}

export function indexed<R extends Row>(
  name: IndexName,
  value: string,
  test: (row: R) => boolean,
): Condition<R> {
  return { index: { name, value }, test }
}

/** A list of accepted values; none given accepts all. */
export function oneOf<R extends Row, V>(
  values: readonly V[] | null | undefined,
  value: (row: R) => V,
): readonly Condition<R>[] {
  if (!values) return []
  const accepted = new Set(values)
  return [where((row) => accepted.has(value(row)))]
}

/** The same over an index whose entries are these values. */
export function oneOfIndexed<R extends Row>(
  name: 'status' | 'phase',
  values: readonly string[] | null | undefined,
  value: (row: R) => string,
): readonly Condition<R>[] {
  return oneOf(values, value).map(({ test }) => ({ index: { name, values: values ?? [] }, test }))
}

/** A value that has to be equal; `null` and absent accept all. */
export function equals<R extends Row, V>(
  expected: V | null | undefined,
  value: (row: R) => V,
): readonly Condition<R>[] {
  return expected == null ? [] : [where((row) => value(row) === expected)]
}

export interface TextFilterInput {
  readonly equals?: string | null | undefined
  readonly in?: readonly string[] | null | undefined
  readonly prefix?: string | null | undefined
  readonly contains?: string | null | undefined
}

/** All that is given has to hold. */
export const TextFilter = builder.inputRef<TextFilterInput>('TextFilter').implement({
  description: 'A condition on a text. All that is given has to hold; an empty filter accepts everything.',
  fields: (t) => ({
    equals: t.string({ description: 'Exactly this text.' }),
    in: t.stringList({ description: 'Exactly one of these texts.' }),
    prefix: t.string({ description: 'Begins with this text.' }),
    contains: t.string({ description: 'Contains this text. Upper and lower case differ.' }),
  }),
})

export function textTest(filter: TextFilterInput): (text: string) => boolean {
  const { equals, prefix, contains } = filter
  const among = filter.in && new Set(filter.in)
  return (text) =>
    (equals == null || text === equals) &&
    (among == null || among.has(text)) &&
    (prefix == null || text.startsWith(prefix)) &&
    (contains == null || text.includes(contains))
}

/** A text of the row; `null` where the row has none, which no filter accepts. */
export function text<R extends Row>(
  filter: TextFilterInput | null | undefined,
  value: (row: R) => string | null,
): readonly Condition<R>[] {
  if (!filter) return []
  const test = textTest(filter)
  return [
    where((row) => {
      const found = value(row)
      return found !== null && test(found)
    }),
  ]
}

/** Any of the texts of the row. */
export function anyText<R extends Row>(
  filter: TextFilterInput | null | undefined,
  values: (row: R) => readonly string[],
): readonly Condition<R>[] {
  if (!filter) return []
  const test = textTest(filter)
  return [where((row) => values(row).some(test))]
}

function nameConditions(filter: TextFilterInput | null | undefined): readonly Condition[] {
  if (!filter) return []
  const { equals, in: among, prefix, contains } = filter
  return [
    ...(equals != null ? [named([equals])] : []),
    ...(among != null ? [named(among)] : []),
    ...(prefix != null ? [{ namePrefix: prefix, test: (row: Row) => row.name.startsWith(prefix) }] : []),
    ...(contains != null ? [where((row) => row.name.includes(contains))] : []),
  ]
}

interface OwnerFilterInput {
  readonly uid?: string | null | undefined
  readonly kind?: string | null | undefined
  readonly name?: string | null | undefined
}

const OwnerFilter = builder.inputRef<OwnerFilterInput>('OwnerFilter').implement({
  description: 'A condition on the controller of an object. All that is given has to hold.',
  fields: (t) => ({
    uid: t.string({ description: 'UID of the owner. The fastest: it is indexed.' }),
    kind: t.string({ description: 'Kubernetes kind of the owner, such as `ReplicaSet`.' }),
    name: t.string({ description: 'Name of the owner.' }),
  }),
})

function ownerConditions(filter: OwnerFilterInput | null | undefined): readonly Condition[] {
  if (!filter) return []
  const { uid, kind, name } = filter
  return [
    ...(uid != null ? [ownedBy(uid)] : []),
    ...equals(kind, (row) => row.owner?.kind),
    ...equals(name, (row) => row.owner?.name),
  ]
}

/** What the filter of every kind has. `namespaces` only where the kind has a namespace. */
export interface CommonFilter extends ClusterFilter {
  readonly namespaces?: readonly string[] | null | undefined
  readonly name?: TextFilterInput | null | undefined
  readonly labelSelector?: string | null | undefined
  readonly owner?: OwnerFilterInput | null | undefined
  readonly createdAfter?: Seconds | null | undefined
  readonly createdBefore?: Seconds | null | undefined
  readonly terminating?: boolean | null | undefined
}

export interface ClusterFilter {
  readonly clusters?: readonly string[] | null | undefined
  readonly clusterSelector?: string | null | undefined
}

export type InputFields = PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>

/** The two fields that choose clusters. */
export function clusterFields(t: InputFields) {
  return {
    clusters: t.stringList({
      description: 'Only these clusters, by name. An unknown name is an error.',
    }),
    clusterSelector: t.string({
      description: "Only clusters whose labels match, in Kubernetes' syntax: `env=prod,region in (eu,us)`.",
    }),
  } satisfies InputFieldMap
}

/** The fields behind `CommonFilter`. */
export function commonFields(t: InputFields, namespaced: boolean): InputFieldMap {
  return {
    ...clusterFields(t),
    ...(namespaced && { namespaces: t.stringList({ description: 'Only in these namespaces.' }) }),
    name: t.field({ type: TextFilter, description: 'By the name of the object.' }),
    labelSelector: t.string({
      description:
        "By labels, in Kubernetes' syntax: `app=web,tier!=cache,env in (prod,stage),canary,!legacy`.",
    }),
    owner: t.field({ type: OwnerFilter, description: 'By the controller of the object.' }),
    createdAfter: t.field({ type: 'DateTime', description: 'Created at this moment or later.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Created before this moment.' }),
    terminating: t.boolean({
      description: 'Whether its deletion has begun. Absent or null: whether or not.',
    }),
  }
}

/** Everything of `CommonFilter` but the clusters. Throws BAD_USER_INPUT. */
export function commonConditions(filter: CommonFilter, path: string): readonly Condition[] {
  const { namespaces, createdAfter, createdBefore, terminating, labelSelector } = filter
  return [
    ...ownerConditions(filter.owner),
    ...(labelSelector == null ? [] : [labelled(labelSelectorOf(labelSelector, `${path}.labelSelector`))]),
    ...(namespaces ? [inNamespaces(namespaces)] : []),
    ...nameConditions(filter.name),
    ...(createdAfter == null ? [] : [where((row) => row.creationTimestamp >= createdAfter)]),
    ...(createdBefore == null ? [] : [where((row) => row.creationTimestamp < createdBefore)]),
    ...(terminating == null ? [] : [where((row) => (row.deletionTimestamp !== null) === terminating)]),
  ]
}

/** A relation of each row of a page has the same selector: it is read once, however long it is. */
const SELECTORS = new Map<string, LabelSelector>()
const MAX_SELECTORS = 64

/** Throws BAD_USER_INPUT. */
export function labelSelectorOf(text: string, argument: string): LabelSelector {
  const known = SELECTORS.get(text)
  if (known) return known
  try {
    const selector = parseLabelSelector(text)
    if (SELECTORS.size >= MAX_SELECTORS) SELECTORS.clear()
    SELECTORS.set(text, selector)
    return selector
  } catch (error) {
    if (!(error instanceof LabelSelectorError)) throw error
    throw badUserInput(error.message, argument, error)
  }
}

/** The clusters that a filter chooses, in order of their names. Throws BAD_USER_INPUT. */
export function clustersOf(
  filter: ClusterFilter | null | undefined,
  context: GraphContext,
  path = 'filter',
): readonly Cluster[] {
  requireKnownClusters(filter, context, path)
  const all = context.fleet.clusters()
  return filter ? all.filter(clusterTest(filter, path)) : all
}

/** Throws BAD_USER_INPUT for a name that no cluster has. */
export function requireKnownClusters(
  filter: ClusterFilter | null | undefined,
  { fleet }: GraphContext,
  path = 'filter',
): void {
  if (!filter?.clusters) return
  const all = fleet.clusters()
  const known = new Set(all.map((cluster) => cluster.name))
  const unknown = filter.clusters.find((name) => !known.has(name))
  if (unknown !== undefined) throw unknownCluster(unknown, all, `${path}.clusters`)
}

/**
 * Which clusters a filter chooses, also of those that join later; a name that no cluster has chooses
 * none. Throws BAD_USER_INPUT for a selector that is none.
 */
export function clusterTest(
  filter: ClusterFilter | null | undefined,
  path = 'filter',
): (cluster: Cluster) => boolean {
  const { clusters, clusterSelector } = filter ?? {}
  const names = clusters && new Set(clusters)
  const selector =
    clusterSelector == null ? undefined : labelSelectorOf(clusterSelector, `${path}.clusterSelector`)
  return (cluster) =>
    (!names || names.has(cluster.name)) && (!selector || matchesLabels(selector, cluster.labels))
}

/** How many known names an error tells. */
const SUGGESTIONS = 5

export function unknownCluster(name: string, known: readonly Cluster[], argument: string) {
  const begin = name.slice(0, 2).toLowerCase()
  const near = known.filter((cluster) => cluster.name.toLowerCase().includes(begin))
  const names = (near.length > 0 ? near : known).slice(0, SUGGESTIONS).map((cluster) => `"${cluster.name}"`)
  const more = names.length < known.length ? '; the field "clusters" lists all' : ''
  const hint =
    names.length === 0
      ? 'The fleet has no cluster yet.'
      : `${near.length > 0 ? 'Near it' : 'Known'}: ${names.join(', ')}${more}.`
  return badUserInput(`There is no cluster ${quoted(name)}. ${hint}`, argument)
}
