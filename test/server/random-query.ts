/**
 * Random valid queries over any schema: aliases, merged fields, inline and named fragments on concrete and
 * abstract types, `@skip` and `@include`, arguments as literals, as variables, inside literals, left to
 * their defaults. The same seed gives the same query.
 */
import {
  getNamedType,
  getNullableType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isRequiredArgument,
  isRequiredInputField,
  validate,
  parse,
  type GraphQLArgument,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLSchema,
} from 'graphql'

export interface RandomQuery {
  readonly query: string
  readonly variables: Record<string, unknown>
}

export interface RandomOptions {
  /** JSON values for scalars of the schema's own, by name. */
  readonly scalars?: Readonly<Record<string, readonly unknown[]>>
  /** Values for arguments and input fields of leaf types that need one of a few, by their name. */
  readonly named?: Readonly<Record<string, readonly unknown[]>>
  readonly depth?: number
  /** A subscription to this field, instead of a query. */
  readonly subscription?: string
  /** `Type.field` that is never selected. */
  readonly without?: ReadonlySet<string>
}

const BUILT_IN: Readonly<Record<string, readonly unknown[]>> = {
  Int: [0, 1, 2, 3],
  Float: [0, 0.5, 2],
  String: ['', 'a', '1', 'tag0'],
  Boolean: [true, false],
  ID: ['a0', 'a3', 'none'],
}

/** `undefined` where the seed gives a query that is not valid (two fields that cannot be merged). */
export function randomQuery(
  schema: GraphQLSchema,
  seed: number,
  options: RandomOptions = {},
): RandomQuery | undefined {
  const generator = new Generator(schema, seed, options)
  const made = generator.make()
  return validate(schema, parse(made.query)).length === 0 ? made : undefined
}

class Generator {
  readonly #schema: GraphQLSchema
  readonly #options: RandomOptions
  readonly #declared: string[] = []
  readonly #variables: Record<string, unknown> = {}
  readonly #fragments: string[] = []
  readonly #open: { readonly name: string; readonly on: string }[] = []
  #state: number
  #aliases = 0

  constructor(schema: GraphQLSchema, seed: number, options: RandomOptions) {
    this.#schema = schema
    this.#options = options
    this.#state = seed >>> 0
  }

  make(): RandomQuery {
    const { depth = 4, subscription } = this.#options
    const body =
      subscription === undefined
        ? this.#selection(this.#schema.getQueryType()!, depth)
        : this.#subscription(this.#schema.getSubscriptionType()!.getFields()[subscription]!, depth)
    const head = this.#declared.length > 0 ? `(${this.#declared.join(', ')})` : ''
    const type = subscription === undefined ? 'query' : 'subscription'
    return {
      query: [`${type} Random${head} ${body}`, ...this.#fragments].join('\n'),
      variables: this.#variables,
    }
  }

  #subscription(field: GraphQLField<unknown, unknown>, depth: number): string {
    const args = field.args.flatMap((argument) => this.#argument(argument))
    const type = getNamedType(field.type) as GraphQLCompositeType
    const head = args.length > 0 ? `(${args.join(', ')})` : ''
    return `{ ${field.name}${head} ${this.#selection(type, depth)} }`
  }

  /** mulberry32 */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  #chance(probability: number): boolean {
    return this.#random() < probability
  }

  #pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)]!
  }

  #selection(type: GraphQLCompositeType, depth: number): string {
    const parts: string[] = []
    const wanted = 1 + Math.floor(this.#random() * 4)
    for (let count = 0; count < wanted; count++) parts.push(this.#part(type, depth))
    return `{ ${parts.join(' ')} }`
  }

  #part(type: GraphQLCompositeType, depth: number): string {
    const directives = this.#directives()
    if (depth > 1 && this.#chance(0.2)) {
      const on = this.#overlapping(type)
      const condition = on === type && this.#chance(0.3) ? '' : `on ${on.name} `
      return `... ${condition}${directives}${this.#selection(on, depth - 1)}`
    }
    if (depth > 1 && this.#chance(0.15)) {
      const reusable = this.#open.filter(({ on }) => on === type.name)
      if (reusable.length > 0 && this.#chance(0.5)) return `...${this.#pick(reusable).name} ${directives}`
      const on = this.#overlapping(type)
      const name = `F${this.#fragments.length}`
      const index = this.#fragments.push('') - 1
      this.#fragments[index] = `fragment ${name} on ${on.name} ${this.#selection(on, depth - 1)}`
      this.#open.push({ name, on: on.name })
      return `...${name} ${directives}`
    }
    return this.#field(type, depth, directives)
  }

  #field(type: GraphQLCompositeType, depth: number, directives: string): string {
    const fields = 'getFields' in type ? Object.values(type.getFields()) : []
    const fitting = fields.filter(
      (field) =>
        (depth > 1 || !isCompositeType(getNamedType(field.type))) &&
        !this.#options.without?.has(`${type.name}.${field.name}`),
    )
    if (fitting.length === 0 || this.#chance(0.05)) return `__typename ${directives}`
    const field = this.#pick(fitting)
    const args = field.args.flatMap((argument) => this.#argument(argument))
    const named = getNamedType(field.type)
    const inner = isCompositeType(named) ? ` ${this.#selection(named, depth - 1)}` : ''
    const alias = args.length > 0 || this.#chance(0.2) ? `x${this.#aliases++}: ` : ''
    return `${alias}${field.name}${args.length > 0 ? `(${args.join(', ')})` : ''} ${directives}${inner}`
  }

  #overlapping(type: GraphQLCompositeType): GraphQLCompositeType {
    const possible = isAbstractType(type) ? this.#schema.getPossibleTypes(type) : [type]
    const wider = possible.flatMap((one) => ('getInterfaces' in one ? one.getInterfaces() : []))
    return this.#pick([type, ...possible, ...wider])
  }

  #directives(): string {
    if (!this.#chance(0.15)) return ''
    const make = (name: string) => {
      const value = this.#chance(0.5)
      return `@${name}(if: ${this.#chance(0.7) ? `$${this.#declare('Boolean!', value)}` : String(value)}) `
    }
    return this.#chance(0.2) ? make('skip') + make('include') : make(this.#pick(['skip', 'include']))
  }

  #declare(type: string, value: unknown): string {
    const name = `v${this.#declared.length}`
    const fallback =
      !type.endsWith('!') && value !== undefined && /^(Int|Float|Boolean)$/.test(type) && this.#chance(0.3)
    this.#declared.push(`$${name}: ${type}${fallback ? ` = ${JSON.stringify(value)}` : ''}`)
    if (!fallback && value !== undefined) this.#variables[name] = value
    return name
  }

  #argument(argument: GraphQLArgument): string[] {
    if (!isRequiredArgument(argument) && this.#chance(0.6)) return []
    const value = this.#value(argument.type, 3, argument.name)
    return [`${argument.name}: ${this.#write(argument.type, value, 0.4)}`]
  }

  /** A JSON value for an input type. */
  #value(type: GraphQLInputType, depth: number, name: string): unknown {
    if (!isNonNullType(type) && this.#chance(0.1)) return null
    const inner = getNullableType(type)
    const named = this.#options.named?.[name]
    if (named && isLeafType(inner)) return this.#pick(named)
    if (isListType(inner)) {
      const count = Math.floor(this.#random() * 3)
      return Array.from({ length: count }, () => this.#value(inner.ofType, depth - 1, name))
    }
    if (isEnumType(inner)) return this.#pick(inner.getValues()).name
    if (isInputObjectType(inner)) {
      const fields = Object.values(inner.getFields())
      if (inner.isOneOf) {
        const field = this.#pick(fields)
        return { [field.name]: this.#value(getNullableType(field.type), depth - 1, field.name) ?? 'a1' }
      }
      return Object.fromEntries(
        fields
          .filter((field) => isRequiredInputField(field) || (depth > 0 && this.#chance(0.3)))
          .map((field) => [field.name, this.#value(field.type, depth - 1, field.name)]),
      )
    }
    return this.#pick((this.#options.scalars?.[inner.name] ?? BUILT_IN[inner.name]) || ['a'])
  }

  /** The value as a literal, parts of it as variables. */
  #write(type: GraphQLInputType, value: unknown, variable: number): string {
    if (this.#chance(variable) && !(isNonNullType(type) && value === null)) {
      return `$${this.#declare(String(type), value)}`
    }
    if (value === null) return 'null'
    const inner = getNullableType(type)
    if (isListType(inner)) {
      if (!Array.isArray(value)) return this.#write(inner.ofType, value, 0)
      return `[${value.map((item) => this.#write(inner.ofType, item, 0.1)).join(', ')}]`
    }
    if (isEnumType(inner)) return value as string
    if (isInputObjectType(inner)) {
      const fields = inner.getFields()
      const inside = inner.isOneOf ? 0 : 0.2
      return `{ ${Object.entries(value as Record<string, unknown>)
        .map(([key, item]) => `${key}: ${this.#write(fields[key]!.type, item, inside)}`)
        .join(', ')} }`
    }
    return literal(value)
  }
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{ ${Object.entries(value)
    .map(([key, item]) => `${key}: ${literal(item)}`)
    .join(', ')} }`
}
