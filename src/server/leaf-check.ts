/**
 * Checks that the leaves of an answer are what they have to be, for answers whose leaves were not
 * serialized: every String is a string, every Int a 32-bit integer, every enum one of its names (an enum of other
 * values than its names is not for compiled code). A value
 * that serialization would change, or refuse, does not pass; so what passes is what serialization gives.
 *
 * The check is generated code, one function for each selection: it reads every leaf of every answer.
 * Scalars of the schema's own are not checked: compiled code serializes those.
 */
import {
  getNamedType,
  getNullableType,
  isCompositeType,
  isEnumType,
  isListType,
  Kind,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLEnumType,
  type GraphQLNamedType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql'

/** What stands under one response name. Validation sees to it that it is the same for all types. */
interface Shape {
  readonly type: GraphQLOutputType
  readonly fields: Map<string, Shape>
}

/** For a valid document of one operation. Null is not looked at: compiled code knows where it may stand. */
export function leafCheck(
  schema: GraphQLSchema,
  document: DocumentNode,
): (data: Record<string, unknown>) => boolean {
  const fragments = new Map<string, FragmentDefinitionNode>()
  const root = new Map<string, Shape>()
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  }
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue
    const type = schema.getRootType(definition.operation)
    if (type) collect(schema, fragments, type, definition.selectionSet, root)
  }
  const code = new Code()
  const name = code.object(root)
  // Names of GraphQL are all that is in the code, each as a JSON string.
  // oxlint-disable-next-line typescript/no-implied-eval -- property names have to be literals to be read fast
  const make = new Function('names', `"use strict";\n${code.functions.join('\n')}\nreturn ${name}`) as (
    names: readonly ReadonlySet<unknown>[],
  ) => (data: Record<string, unknown>) => boolean
  return make(code.names)
}

function collect(
  schema: GraphQLSchema,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  parent: GraphQLCompositeType,
  set: SelectionSetNode,
  into: Map<string, Shape>,
): void {
  for (const selection of set.selections) {
    if (selection.kind === Kind.FIELD) {
      const field = schema.getField(parent, selection.name.value)
      if (!field) continue
      const key = selection.alias?.value ?? selection.name.value
      let shape = into.get(key)
      if (!shape) into.set(key, (shape = { type: field.type, fields: new Map() }))
      const type = getNamedType(field.type)
      if (selection.selectionSet && isCompositeType(type)) {
        collect(schema, fragments, type, selection.selectionSet, shape.fields)
      }
    } else {
      const fragment =
        selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value)
      const on = fragment?.typeCondition ? schema.getType(fragment.typeCondition.name.value) : parent
      if (fragment && isCompositeType(on)) collect(schema, fragments, on, fragment.selectionSet, into)
    }
  }
}

class Code {
  readonly functions: string[] = []
  readonly names: ReadonlySet<unknown>[] = []
  readonly #enums = new Map<GraphQLEnumType, number>()

  /** The name of a function that checks an object with these fields. */
  object(fields: ReadonlyMap<string, Shape>): string {
    const statements = [...fields].map(([key, { type, fields }]) => {
      const inner = this.#value('v', getNullableType(type), fields, 0)
      return inner === '' ? '' : `v = o[${JSON.stringify(key)}]; if (v != null) { ${inner} }`
    })
    const name = `check${this.functions.length}`
    this.functions.push(`function ${name}(o) { let v; ${statements.join(' ')} return true }`)
    return name
  }

  /** Statements that return false where the value of `variable`, which is not null, is not of the type. */
  #value(
    variable: string,
    type: GraphQLOutputType,
    fields: ReadonlyMap<string, Shape>,
    depth: number,
  ): string {
    if (isListType(type)) {
      const item = `i${depth}`
      const inner = this.#value(item, getNullableType(type.ofType), fields, depth + 1)
      return inner === '' ? '' : `for (const ${item} of ${variable}) if (${item} != null) { ${inner} }`
    }
    const named = getNamedType(type)
    if (isCompositeType(named)) return `if (!${this.object(fields)}(${variable})) return false;`
    const test = this.#test(variable, named)
    return test === '' ? '' : `if (!(${test})) return false;`
  }

  #test(variable: string, type: GraphQLNamedType): string {
    if (isEnumType(type)) {
      let index = this.#enums.get(type)
      if (index === undefined) {
        index = this.names.length
        this.#enums.set(type, index)
        this.names.push(new Set(type.getValues().map(({ value }) => value)))
      }
      return `names[${index}].has(${variable})`
    }
    switch (type.name) {
      case 'String':
      case 'ID':
        return `typeof ${variable} === 'string'`
      case 'Boolean':
        return `typeof ${variable} === 'boolean'`
      case 'Int':
        return `typeof ${variable} === 'number' && (${variable} | 0) === ${variable}`
      case 'Float':
        return `typeof ${variable} === 'number' && Number.isFinite(${variable})`
      default:
        return ''
    }
  }
}
