/**
 * The cost of a query: what it may make the gateway do at most, reckoned from the document and its variables
 * alone before anything is read. The unit is one object of the answer with up to `FREE_LEAVES` plain fields,
 * some 5 µs. A connection counts its page (`first` or `last`, or the default page); any other list counts as
 * `LIST`. A filter or an order has to look at more than it shows, and counts for that; a live read counts for
 * the API server. Every answer tells it in `extensions.cost`, so a client learns what its queries weigh, and
 * the server refuses what weighs too much: an answer from memory is made in one piece, while all others wait.
 *
 * Invariant: the same document and variables cost the same, whatever the fleet holds.
 */
import {
  getNamedType,
  getNullableType,
  isCompositeType,
  isListType,
  Kind,
  type DirectiveNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql'

/** Assumed length of a list that is not a page of a connection: containers, conditions, clusters. */
const LIST = 5

/** Plain fields that an object has for the price of one; so many more cost as much as another object. */
const FREE_LEAVES = 8

/**
 * What it costs to look through all that a connection could show, for each of its parent: by the type that
 * it is a field of. Relations of any other object are looked up by an index, and are short.
 */
const PASS: Readonly<Record<string, number>> = { Query: 2_000, Cluster: 200, Namespace: 100 }
const SHORT_PASS = 10

/** Root fields and connections that are never answered from an order that is kept. */
const SORTED = new Set(['events', 'search'])

/** A request to an API server. */
const LIVE_READ = 10

/** An object that a mutation changes: it is read, and written. */
export const CHANGE = 2 * LIVE_READ

type Variables = Readonly<Record<string, unknown>>

/** One object-valued field, or a fragment (which weighs nothing itself). */
interface Weight {
  readonly children: readonly Weight[]
  /** Objects of this field for each of its parent; `page`: as many as the page of the connection above. */
  readonly each: number | 'page'
  /** Where the field pages: how many, from its arguments or the argument's default. */
  readonly page: ((variables: Variables) => number) | undefined
  readonly included: (variables: Variables) => boolean
  /** For each of its parent, whatever comes of it. */
  readonly effort: number
  /** Plain fields of each object, without those in fragments. */
  readonly leaves: number
}

/**
 * How to reckon the cost of one operation of a valid document. Gives up at `most`, and on a document whose
 * fragments multiply beyond `MAX_VISITS` (and returns something above `most`): reckoning is bounded itself.
 */
export function costOf(
  schema: GraphQLSchema,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  operation: OperationDefinitionNode,
): (variables: Variables, most: number) => number {
  const ofFragment = new Map<string, readonly Weight[]>()

  const weigh = (parent: GraphQLCompositeType, set: SelectionSetNode): readonly Weight[] =>
    set.selections.flatMap((selection): Weight[] => {
      const included = condition(selection.directives)
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const type = selection.typeCondition ? schema.getType(selection.typeCondition.name.value) : parent
        if (!isCompositeType(type)) return []
        return [fragmentOf(weigh(type, selection.selectionSet), selection.selectionSet, included)]
      }
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        const fragment = fragments.get(selection.name.value)
        const type = fragment && schema.getType(fragment.typeCondition.name.value)
        if (!fragment || !isCompositeType(type)) return []
        let children = ofFragment.get(selection.name.value)
        if (!children) {
          children = weigh(type, fragment.selectionSet)
          ofFragment.set(selection.name.value, children)
        }
        return [fragmentOf(children, fragment.selectionSet, included)]
      }
      const field = schema.getField(parent, selection.name.value)
      if (!field || selection.name.value.startsWith('__')) return []
      const type = getNamedType(field.type)
      const effort = effortOf(parent, field, selection)
      if (!selection.selectionSet) {
        return effort === 0 ? [] : [{ children: [], each: 0, page: undefined, included, effort, leaves: 0 }]
      }
      if (!isCompositeType(type)) return []
      const isPage = parent.name.endsWith('Connection')
      const isList = isListType(getNullableType(field.type))
      const sizes = field.args.filter(({ name }) => name === 'first' || name === 'last')
      return [
        {
          children: weigh(type, selection.selectionSet),
          each: isList ? (isPage ? 'page' : LIST) : 1,
          page:
            sizes.length === 0
              ? undefined
              : pageSize(
                  sizes.flatMap(({ name }) => selection.arguments?.find((a) => a.name.value === name) ?? []),
                ),
          included,
          effort,
          leaves: leavesOf(selection.selectionSet),
        },
      ]
    })

  const root = schema.getRootType(operation.operation)
  const weights = root ? weigh(root, operation.selectionSet) : []
  return (variables, most) => {
    let cost = 0
    // Fragments that spread each other twice are visited 2^n times, and weigh nothing themselves.
    let visits = 0
    /** Gives how many plain fields the fragments among them add to each of `times` objects. */
    const add = (weights: readonly Weight[], times: number, page: number): number => {
      let leaves = 0
      for (const weight of weights) {
        if (++visits > MAX_VISITS) cost = Infinity
        if (cost > most || visits > MAX_VISITS) return 0
        if (!weight.included(variables)) continue
        cost += times * weight.effort
        if (weight.each === 0) {
          leaves += weight.leaves + add(weight.children, times, weight.page?.(variables) ?? page)
          continue
        }
        const objects = times * (weight.each === 'page' ? page : weight.each)
        if (objects === 0) continue
        cost += objects
        const inner = add(weight.children, objects, weight.page?.(variables) ?? DEFAULT_PAGE)
        cost += objects * Math.max(0, Math.ceil((weight.leaves + inner - FREE_LEAVES) / FREE_LEAVES))
      }
      return leaves
    }
    add(weights, 1, DEFAULT_PAGE)
    return cost
  }
}

function fragmentOf(
  children: readonly Weight[],
  set: SelectionSetNode,
  included: (variables: Variables) => boolean,
): Weight {
  return { children, each: 0, page: undefined, included, effort: 0, leaves: leavesOf(set) }
}

function leavesOf({ selections }: SelectionSetNode): number {
  return selections.filter((selection) => selection.kind === Kind.FIELD && !selection.selectionSet).length
}

function effortOf(
  parent: GraphQLCompositeType,
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
): number {
  if (field.extensions['live'] === true) return LIVE_READ
  const given = (name: string) => node.arguments?.some((argument) => argument.name.value === name) ?? false
  const sifts = given('filter') || given('orderBy') || SORTED.has(field.name)
  const takes = field.args.some(({ name }) => name === 'filter') || SORTED.has(field.name)
  return sifts && takes ? (PASS[parent.name] ?? SHORT_PASS) : 0
}

/** Fields and fragments looked at, each as often as it is spread: a document of 400 fields has far fewer. */
const MAX_VISITS = 10_000

/** Of a connection that is asked for without `first` and `last`. */
const DEFAULT_PAGE = 50

function pageSize(sizes: readonly { readonly value: ValueNode }[]): (variables: Variables) => number {
  return (variables) => {
    for (const { value } of sizes) {
      const size =
        value.kind === Kind.VARIABLE
          ? variables[value.name.value]
          : value.kind === Kind.INT
            ? Number(value.value)
            : undefined
      if (typeof size === 'number') return Math.max(0, size)
    }
    return DEFAULT_PAGE
  }
}

/** `@skip` and `@include`, as far as the variables tell. */
export function condition(
  directives: readonly DirectiveNode[] | undefined,
): (variables: Variables) => boolean {
  const tests = (directives ?? []).flatMap(({ name, arguments: args }) => {
    const value = args?.find((argument) => argument.name.value === 'if')?.value
    if (!value || (name.value !== 'skip' && name.value !== 'include')) return []
    return [{ wanted: name.value === 'include', value }]
  })
  if (tests.length === 0) return always
  return (variables) =>
    tests.every(({ wanted, value }) => {
      const actual =
        value.kind === Kind.VARIABLE
          ? variables[value.name.value]
          : value.kind === Kind.BOOLEAN
            ? value.value
            : undefined
      return actual === wanted
    })
}

const always = () => true
