/**
 * The cost of a query: how many objects it may return at most, reckoned from the document and its
 * variables alone before anything is read. A connection counts its page (`first` or `last`, or the
 * default page); any other list counts as `LIST`. Every answer tells it in `extensions.cost`, so a client
 * learns what its queries weigh, and the server refuses what weighs too much.
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
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql'

/** Assumed length of a list that is not a page of a connection: containers, conditions, clusters. */
const LIST = 5

type Variables = Readonly<Record<string, unknown>>

/** One object-valued field, or a fragment (which weighs nothing itself). */
interface Weight {
  readonly children: readonly Weight[]
  /** Objects of this field for each of its parent; `page`: as many as the page of the connection above. */
  readonly each: number | 'page'
  /** Where the field pages: how many, from its arguments or the argument's default. */
  readonly page: ((variables: Variables) => number) | undefined
  readonly included: (variables: Variables) => boolean
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
        return [{ children: weigh(type, selection.selectionSet), each: 0, page: undefined, included }]
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
        return [{ children, each: 0, page: undefined, included }]
      }
      const field = schema.getField(parent, selection.name.value)
      if (!field || !selection.selectionSet || selection.name.value.startsWith('__')) return []
      const type = getNamedType(field.type)
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
        },
      ]
    })

  const root = schema.getRootType(operation.operation)
  const weights = root ? weigh(root, operation.selectionSet) : []
  return (variables, most) => {
    let cost = 0
    // Fragments that spread each other twice are visited 2^n times, and weigh nothing themselves.
    let visits = 0
    const add = (weights: readonly Weight[], times: number, page: number): void => {
      for (const weight of weights) {
        if (++visits > MAX_VISITS) cost = Infinity
        if (cost > most || visits > MAX_VISITS) return
        if (!weight.included(variables)) continue
        const isFragment = weight.each === 0
        const objects = isFragment ? times : times * (weight.each === 'page' ? page : weight.each)
        if (objects === 0) continue
        if (!isFragment) cost += objects
        add(weight.children, objects, weight.page?.(variables) ?? (isFragment ? page : DEFAULT_PAGE))
      }
    }
    add(weights, 1, DEFAULT_PAGE)
    return cost
  }
}

/** Fields and fragments looked at, each as often as it is spread: a document of 400 fields has far fewer. */
const MAX_VISITS = 50_000

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
