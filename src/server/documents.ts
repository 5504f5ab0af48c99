/**
 * Request texts, parsed and checked once: the text of a query to its operations, bounded in count and
 * bytes. What is wrong with a text is kept as well, so that a broken client costs no more than a good one.
 */
import {
  GraphQLError,
  Kind,
  OperationTypeNode,
  parse,
  validate,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql'
import { atLeastOf, type AtLeast } from './at-least.ts'
import { BoundedCache, type CacheBounds } from './bounded-cache.ts'
import { conditionVariables, ineligible } from './compiled-query.ts'
import { costOf } from './cost.ts'
import { checkLimits, checkNesting, tooMuch, type Limits } from './limits.ts'
import { readsLive, startVariables } from './subscription.ts'
import { textKey } from './text-key.ts'
import { hashOf } from './trusted-documents.ts'

export interface Operation {
  /** Unique in the process: a part of the keys of other caches. */
  readonly id: number
  /** SHA-256 of the whole text, in hex. */
  readonly hash: () => string
  readonly document: DocumentNode
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>
  readonly node: OperationDefinitionNode
  readonly variableNames: readonly string[]
  /** Variables of `@skip` and `@include`. */
  readonly conditions: readonly string[]
  readonly cost: (variables: Readonly<Record<string, unknown>>, most: number) => number
  /** Variables that say no more than where a subscriber begins, or from when on a query is answered. */
  readonly startVariables: ReadonlySet<string>
  /** Of a query that waits for what was written. */
  readonly atLeast: AtLeast | undefined
  /** It selects something that is read from an API server; of a subscription. */
  readonly readsLive: boolean
  /** How often it was executed by graphql-js. */
  uses: number
  /** Nothing speaks against compiled code so far. */
  compilable: boolean
}

export type Lookup =
  | { readonly operation: Operation; readonly errors?: never }
  | { readonly errors: readonly GraphQLError[]; readonly operation?: never }

interface Parsed {
  readonly errors: readonly GraphQLError[]
  readonly operations: readonly Operation[]
}

export interface DocumentsOptions {
  readonly limits: Limits
  readonly introspection: boolean
  /** "Did you mean" in errors: tells names of a schema that introspection may hide. */
  readonly suggestions: boolean
  readonly bounds: CacheBounds
  /** Milliseconds of CPU that this thread has used. Default: as the system says. */
  readonly cpuMs?: () => number
}

function cpuMsOfThread(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

export class Documents {
  readonly #schema: GraphQLSchema
  readonly #options: DocumentsOptions
  readonly #parsed: BoundedCache<string, Parsed>
  readonly #cpuMs: () => number
  #ids = 0
  #parsingMs = 0

  constructor(schema: GraphQLSchema, options: DocumentsOptions) {
    this.#schema = schema
    this.#cpuMs = options.cpuMs ?? cpuMsOfThread
    this.#options = options
    this.#parsed = new BoundedCache(options.bounds)
  }

  /** Milliseconds of CPU that all texts have taken so far that were not known. */
  get parsingMs(): number {
    return this.#parsingMs
  }

  /** The operation that a request means, or what is wrong with it. */
  find(text: string, operationName: string | undefined): Lookup {
    const { characters } = this.#options.limits
    if (text.length > characters) {
      const what = 'The document has too many characters: long values belong into variables'
      return { errors: [tooMuch('characters', what, characters)] }
    }
    const key = textKey(text)
    let parsed = this.#parsed.get(key)
    if (!parsed) {
      const begunAt = this.#cpuMs()
      parsed = this.#parse(text)
      this.#parsed.set(key, parsed, weightOf(text, key, parsed))
      this.#parsingMs += this.#cpuMs() - begunAt
    }
    if (parsed.errors.length > 0) return { errors: parsed.errors }
    const { operations } = parsed
    const operation =
      operationName === undefined
        ? operations.length === 1
          ? operations[0]
          : undefined
        : operations.find(({ node }) => node.name?.value === operationName)
    return operation ? { operation } : { errors: [noOperation(operations.length, operationName)] }
  }

  #parse(text: string): Parsed {
    const { limits, introspection, suggestions } = this.#options
    let document: DocumentNode
    try {
      const tooDeep = checkNesting(text, limits)
      if (tooDeep) return { operations: [], errors: [tooDeep] }
      document = parse(text, { maxLexicalTokens: limits.tokens, maxComments: limits.tokens })
    } catch (error) {
      return { operations: [], errors: [parseError(error, limits)] }
    }
    const over = checkLimits(document, limits)
    if (over) return { operations: [], errors: [over] }
    const hidden = introspection ? undefined : introspected(document)
    const errors = hidden
      ? [hidden]
      : validate(this.#schema, document, undefined, {
          maxErrors: limits.errors,
          hideSuggestions: !suggestions,
        })
    if (errors.length > 0) {
      return { operations: [], errors: errors.map((error) => coded(error, 'GRAPHQL_VALIDATION_FAILED')) }
    }
    const fragments = new Map<string, FragmentDefinitionNode>()
    for (const definition of document.definitions) {
      if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
    }
    let hashed: string | undefined
    const hash = () => (hashed ??= hashOf(text))
    const operations = document.definitions.flatMap((node): Operation[] => {
      if (node.kind !== Kind.OPERATION_DEFINITION) return []
      const subscribes = node.operation === OperationTypeNode.SUBSCRIPTION
      const atLeast = atLeastOf(node, fragments.values())
      return [
        {
          id: ++this.#ids,
          hash,
          document,
          fragments,
          node,
          variableNames: (node.variableDefinitions ?? []).map(({ variable }) => variable.name.value).sort(),
          conditions: conditionVariables(fragments, node),
          cost: costOf(this.#schema, fragments, node),
          startVariables: subscribes ? startVariables(fragments, node) : (atLeast?.variables ?? new Set()),
          atLeast,
          readsLive: subscribes && readsLive(this.#schema, fragments, node),
          uses: 0,
          compilable: ineligible(this.#schema, fragments, node) === undefined,
        },
      ]
    })
    return { operations, errors: [] }
  }
}

/** A syntax tree with its tokens weighs some 40 bytes per character of its text; a failure what is told of it. */
function weightOf(text: string, key: string, { errors }: Parsed): number {
  const kept = errors.length > 0 ? errors.length * (MAX_MESSAGE + 500) : text.length * 40
  return kept + key.length * 2 + 500
}

function parseError(error: unknown, limits: Limits): GraphQLError {
  if (error instanceof RangeError) return tooMuch('depth', 'The query is nested too deep', limits.depth)
  if (!(error instanceof GraphQLError)) throw error
  // The parser tells this one apart by its words only.
  const isLimit = /contains more than \d+ (tokens|comments)/.test(error.message)
  return isLimit
    ? tooMuch('tokens', 'The query is too long', limits.tokens)
    : coded(error, 'GRAPHQL_PARSE_FAILED')
}

/** What is wrong quotes what was sent, which is not to be sent back by the megabyte. */
const MAX_MESSAGE = 1_000

function short(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text
}

/**
 * What clients are told of the error, with a code that they can tell apart. Without its nodes, which hold the whole
 * document and all its tokens: what is wrong with a text is kept for longer than the text.
 */
export function coded({ message, path, locations, extensions }: GraphQLError, code: string): GraphQLError {
  return located(
    new GraphQLError(short(message, MAX_MESSAGE), {
      ...(path && { path }),
      extensions: { code, ...extensions },
    }),
    locations,
  )
}

/** The error as one about these places. */
export function located(error: GraphQLError, locations: GraphQLError['locations']): GraphQLError {
  return Object.assign(error, { locations })
}

function noOperation(count: number, name: string | undefined): GraphQLError {
  const message =
    name !== undefined
      ? `The document has no operation named "${short(name, 100)}".`
      : count === 0
        ? 'The document has no operation.'
        : 'The document has several operations: operationName has to say which one.'
  return new GraphQLError(message, { extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } })
}

/** Refused wherever it stands, at the root of the query type or not: the names tell. */
function introspected(document: DocumentNode): GraphQLError | undefined {
  const search = (nodes: DocumentNode['definitions']): boolean =>
    nodes.some((definition) => {
      const sets = 'selectionSet' in definition ? [definition.selectionSet] : []
      for (let set = sets.pop(); set; set = sets.pop()) {
        for (const selection of set.selections) {
          if (selection.kind === Kind.FIELD && /^__(schema|type)$/.test(selection.name.value)) return true
          if (selection.kind !== Kind.FRAGMENT_SPREAD && selection.selectionSet)
            sets.push(selection.selectionSet)
        }
      }
      return false
    })
  if (!search(document.definitions)) return undefined
  return new GraphQLError(
    'Introspection is switched off on this server. The schema is published as schema/schema.graphql.',
    { extensions: { code: 'INTROSPECTION_DISABLED' } },
  )
}
