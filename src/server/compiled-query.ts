/**
 * A query – or what a subscription makes of one event – compiled to JavaScript by graphql-jit, three times
 * as fast as graphql-js and not wholly correct: it does not validate `@oneOf`, loses variables inside literals of custom scalars, joins the
 * conditions of a fragment that is spread twice, reports errors in another order, and coerces variables
 * a second time. So it is given only what it does right: the walk over the selection.
 *
 * - `@skip` and `@include` are decided before: a variant is compiled for each combination of their
 *   variables, with what is left out cut out of the document.
 * - Arguments are coerced by graphql-js's `getArgumentValues` per request, literals and defaults included;
 *   the compiled code receives each as a ready value.
 * - Leaves of built-in types are passed on as they are, and then checked to be what they have to be: a
 *   string for String, a name for an enum (`leaf-check.ts`). Serializing each cost as much as all the rest.
 * - It only ever runs synchronously. A resolver that returns a promise, any error, any exception: its
 *   work is dropped and the caller asks `execute`, whose answer counts. Queries have no side effects, and
 *   live reads are shared through the request's loaders, so asking twice is safe.
 *
 * Invariant (test/server/differential.test.ts): a compiled query yields the same data as `execute`, or
 * `undefined`.
 */
import {
  defaultFieldResolver,
  getArgumentValues,
  getNamedType,
  type getVariableValues,
  GraphQLScalarType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isLeafType,
  Kind,
  OperationTypeNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLFieldResolver,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type VariableDefinitionNode,
} from 'graphql'
import { compileQuery, isCompiledQuery } from 'graphql-jit'
import { AT_LEAST } from '../graph/at-least.ts'
import { condition } from './cost.ts'
import { leafCheck } from './leaf-check.ts'

/** Coerced variables, as graphql-js passes them on. */
export type VariableValues = NonNullable<ReturnType<typeof getVariableValues>['variableValues']>

/** Fields that one compiled query may have, counted once for each type that an abstract field can be. */
const MAX_EXPANSION = 2_000

type Fragments = ReadonlyMap<string, FragmentDefinitionNode>

/**
 * Why this operation of a valid document is left to `execute`; `undefined` where it may be compiled.
 * Everything that makes graphql-jit differ from graphql-js and that compilation does not take away.
 */
export function ineligible(
  schema: GraphQLSchema,
  fragments: Fragments,
  operation: OperationDefinitionNode,
): string | undefined {
  if (operation.operation === OperationTypeNode.MUTATION) return 'a mutation'
  if (operation.directives?.some(({ name }) => name.value !== AT_LEAST.name)) {
    return 'a directive on the operation'
  }
  const possible = (type: GraphQLCompositeType): readonly GraphQLCompositeType[] =>
    isAbstractType(type) ? schema.getPossibleTypes(type) : [type]
  let fields = 0
  /** `times`: for how many types the selection on `parent` is written out. */
  const check = (parent: GraphQLCompositeType, set: SelectionSetNode, times: number): string | undefined => {
    for (const selection of set.selections) {
      fields += times
      if (fields > MAX_EXPANSION) return 'too many fields once interfaces are written out'
      for (const { name } of selection.directives ?? []) {
        if (name.value !== 'skip' && name.value !== 'include') return `the directive @${name.value}`
      }
      let problem: string | undefined
      if (selection.kind === Kind.FIELD) {
        const name = selection.name.value
        if (name === '__typename') continue
        if (name.startsWith('__')) return 'introspection'
        if (selection.alias?.value.startsWith('__')) return 'an alias that could be a key of every object'
        const field = schema.getField(parent, name)
        if (!field) return 'a field that is not there'
        if (!sameArguments(schema, parent, field)) return 'an interface whose types differ in arguments'
        const type = getNamedType(field.type)
        if (isEnumType(type) && type.getValues().some(({ name, value }) => name !== value)) {
          return 'an enum whose values are not its names'
        }
        if (!selection.selectionSet || !isCompositeType(type)) continue
        problem = check(type, selection.selectionSet, times * possible(type).length)
      } else {
        const fragment =
          selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value)
        const on = fragment?.typeCondition ? schema.getType(fragment.typeCondition.name.value) : parent
        if (!fragment || !isCompositeType(on)) return 'a fragment that is not there'
        const types = possible(parent)
        const matching = possible(on).filter((type) => types.includes(type)).length
        problem = check(on, fragment.selectionSet, Math.max(1, (times * matching) / types.length))
      }
      if (problem) return problem
    }
    return undefined
  }
  const root = schema.getRootType(operation.operation)
  return root ? check(root, operation.selectionSet, 1) : `no type for a ${operation.operation}`
}

/** Whether the field has the same arguments and defaults in every type that its parent can be. */
function sameArguments(
  schema: GraphQLSchema,
  parent: GraphQLCompositeType,
  field: GraphQLField<unknown, unknown>,
): boolean {
  if (!isAbstractType(parent)) return true
  const shape = (args: GraphQLField<unknown, unknown>['args']) =>
    JSON.stringify(
      args.map(({ name, type, defaultValue, default: value }) => [
        name,
        String(type),
        defaultValue,
        value?.value,
      ]),
    )
  const wanted = shape(field.args)
  return schema.getPossibleTypes(parent).every((type) => {
    const own = schema.getField(type, field.name)
    return own !== undefined && shape(own.args) === wanted
  })
}

/** The data, complete and without any error; `undefined`: ask `execute`. Never throws. */
export type Run = (context: unknown, root?: unknown) => Record<string, unknown> | undefined

export interface CompiledQuery {
  /**
   * With these variables, whose arguments are coerced once for all runs. Never throws. For a subscription the
   * root of a run is one event of its source.
   */
  bind(variables: VariableValues): Run
  /** A resolver returned a promise the last time: this query is not for compiled code. */
  readonly waits: boolean
}

/** Variables that decide what is skipped: a query is compiled once for each combination of their values. */
export function conditionVariables(
  fragments: Fragments,
  operation: OperationDefinitionNode,
): readonly string[] {
  const names = new Set<string>()
  const collect = (set: SelectionSetNode): void => {
    for (const selection of set.selections) {
      for (const { arguments: args } of selection.directives ?? []) {
        for (const { value } of args ?? []) if (value.kind === Kind.VARIABLE) names.add(value.name.value)
      }
      if (selection.kind !== Kind.FRAGMENT_SPREAD && selection.selectionSet) collect(selection.selectionSet)
    }
  }
  collect(operation.selectionSet)
  for (const fragment of fragments.values()) collect(fragment.selectionSet)
  return [...names].sort()
}

/**
 * Compiles one operation for one combination of the values of its `conditionVariables`. Costs about a
 * millisecond and 80 KB. `undefined` where graphql-jit cannot.
 */
export function compile(
  schema: GraphQLSchema,
  fragments: Fragments,
  operation: OperationDefinitionNode,
  variables: VariableValues['coerced'],
): CompiledQuery | undefined {
  const plain = new PlainDocument(schema, variables)
  const document = plain.of(fragments, operation)
  const compiled = compileQuery(plainSchema(schema), document, undefined, {
    disablingCapturingStackErrors: true,
    disableLeafSerialization: true,
  })
  if (!isCompiledQuery(compiled)) return undefined
  const { query } = compiled
  const { sites } = plain
  const leavesAreGood = leafCheck(schema, document)
  let waits = false

  return {
    get waits() {
      return waits
    },
    bind(variables) {
      const values: Record<string, unknown> = {}
      try {
        for (const { field, node, names } of sites) {
          const args = getArgumentValues(field, node, variables)
          for (const [name, variable] of names) if (name in args) values[variable] = args[name]
        }
      } catch {
        return nothing
      }
      return (context, root) => {
        try {
          const result: unknown = query(root, context, values)
          if (isPromise(result)) {
            result.then(undefined, () => undefined)
            waits = true
            return undefined
          }
          const { data, errors } = result as { data?: Record<string, unknown>; errors?: readonly unknown[] }
          if (!errors) return data && leavesAreGood(data) ? data : undefined
          // jit keeps no original error apart from what it reports; the guard's is enough to know.
          waits = errors.some(
            (error) => (error as { originalError?: unknown }).originalError instanceof Waits,
          )
          return undefined
        } catch {
          return undefined
        }
      }
    },
  }
}

const nothing: Run = () => undefined

/** A resolver returned a promise to compiled code. */
class Waits extends Error {
  override readonly name = 'Waits'
}

/** Passes any value through: what compiled code receives is coerced already. */
const anyValue = new GraphQLScalarType({ name: 'FleetgraphValue' })

/**
 * The schema as graphql-jit sees it: with the scalar of coerced values, and with resolvers that may not
 * return promises.
 */
function plainSchema(schema: GraphQLSchema): GraphQLSchema {
  let plain = plainSchemas.get(schema)
  if (plain) return plain
  const guarded = new Map<GraphQLField<unknown, unknown>, GraphQLField<unknown, unknown>>()
  plain = Object.create(schema, {
    getType: {
      value: (name: string) => (name === anyValue.name ? anyValue : schema.getType(name)),
    },
    getField: {
      value: (parent: GraphQLCompositeType, name: string) => {
        const field = schema.getField(parent, name)
        // Without a resolver a leaf is read as a property, once. An object would be read again for each
        // of its fields, which a getter would have to pay for: that goes through a resolver.
        if (!field || (!field.resolve && isLeafType(getNamedType(field.type)))) return field
        if (name.startsWith('__')) return field
        let guard = guarded.get(field)
        if (!guard) {
          const resolve = synchronous(field.resolve ?? defaultFieldResolver)
          guard = Object.create(field, { resolve: { value: resolve } }) as typeof field
          guarded.set(field, guard)
        }
        return guard
      },
    },
  }) as GraphQLSchema
  plainSchemas.set(schema, plain)
  return plain
}

const plainSchemas = new WeakMap<GraphQLSchema, GraphQLSchema>()

function synchronous(
  resolve: GraphQLFieldResolver<unknown, unknown>,
): GraphQLFieldResolver<unknown, unknown> {
  return (source, args, context, info) => {
    const value = resolve(source, args, context, info)
    if (!isPromise(value)) return value
    value.then(undefined, () => undefined)
    throw new Waits()
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}

/** Where arguments are coerced: the field as the document has it, and the variable that carries each value. */
interface ArgumentSite {
  readonly field: GraphQLField<unknown, unknown>
  readonly node: FieldNode
  readonly names: readonly (readonly [argument: string, variable: string])[]
}

/** Rewrites a document into one without directives, literals or defaults. */
class PlainDocument {
  readonly sites: ArgumentSite[] = []
  readonly #schema: GraphQLSchema
  readonly #variables: VariableValues['coerced']
  #count = 0

  constructor(schema: GraphQLSchema, variables: VariableValues['coerced']) {
    this.#schema = schema
    this.#variables = variables
  }

  of(fragments: Fragments, operation: OperationDefinitionNode): DocumentNode {
    const root = this.#schema.getRootType(operation.operation)
    if (!root) throw new TypeError(`No type for a ${operation.operation}`)
    const selectionSet = this.#set(root, operation.selectionSet)
    const definitions = [...fragments.values()].map((fragment) => {
      const on = this.#schema.getType(fragment.typeCondition.name.value)
      if (!isCompositeType(on)) throw new TypeError(`No type for fragment ${fragment.name.value}`)
      return { ...fragment, selectionSet: this.#set(on, fragment.selectionSet) }
    })
    const variableDefinitions = this.sites.flatMap(({ names }) =>
      names.map(([, variable]): VariableDefinitionNode => ({
        kind: Kind.VARIABLE_DEFINITION,
        variable: { kind: Kind.VARIABLE, name: { kind: Kind.NAME, value: variable } },
        type: { kind: Kind.NAMED_TYPE, name: { kind: Kind.NAME, value: anyValue.name } },
      })),
    )
    return {
      kind: Kind.DOCUMENT,
      definitions: [{ ...operation, directives: [], variableDefinitions, selectionSet }, ...definitions],
    }
  }

  #set(parent: GraphQLCompositeType, set: SelectionSetNode): SelectionSetNode {
    return { ...set, selections: set.selections.flatMap((selection) => this.#selection(parent, selection)) }
  }

  #selection(parent: GraphQLCompositeType, selection: SelectionNode): SelectionNode[] {
    if (!condition(selection.directives)(this.#variables)) return []
    if (selection.kind === Kind.FRAGMENT_SPREAD) return [{ ...selection, directives: [] }]
    if (selection.kind === Kind.INLINE_FRAGMENT) {
      const on = selection.typeCondition ? this.#schema.getType(selection.typeCondition.name.value) : parent
      if (!isCompositeType(on)) throw new TypeError('No type for an inline fragment')
      return [{ ...selection, directives: [], selectionSet: this.#set(on, selection.selectionSet) }]
    }
    const field = this.#schema.getField(parent, selection.name.value)
    if (!field) throw new TypeError(`No field ${parent.name}.${selection.name.value}`)
    const type = getNamedType(field.type)
    const names = field.args.map(({ name }) => [name, `a${this.#count++}`] as const)
    if (names.length > 0) this.sites.push({ field, node: selection, names })
    return [
      {
        ...selection,
        directives: [],
        arguments: names.map(([name, variable]) => ({
          kind: Kind.ARGUMENT,
          name: { kind: Kind.NAME, value: name },
          value: { kind: Kind.VARIABLE, name: { kind: Kind.NAME, value: variable } },
        })),
        ...(selection.selectionSet &&
          isCompositeType(type) && { selectionSet: this.#set(type, selection.selectionSet) }),
      },
    ]
  }
}
