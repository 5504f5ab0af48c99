/**
 * What a request may ask for at most, and the check of a parsed document against it. The check runs
 * before validation, whose cost grows faster than the document does, and before anything is executed.
 *
 * It follows fragments: a deep query folded into fragments is as deep as one written out.
 */
import {
  GraphQLError,
  Kind,
  Lexer,
  Source,
  TokenKind,
  type DocumentNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
} from 'graphql'

export interface Limits {
  /** Bytes of a request's body. */
  readonly bodyBytes: number
  /** UTF-16 code units of a document: strings and comments may be long, and are one token or none. */
  readonly characters: number
  /** Lexical tokens of a document. */
  readonly tokens: number
  /** Levels of selection sets, as if fragments were written out; introspection has a limit of its own. */
  readonly depth: number
  /** Fields written in a document. */
  readonly fields: number
  readonly aliases: number
  readonly directives: number
  /** Errors that validation and the coercion of variables report before they give up. */
  readonly errors: number
  /**
   * What a query may cost at most, as `cost.ts` reckons it. The default keeps the longest answer under a
   * quarter of a second, in which nobody else is answered.
   */
  readonly cost: number
  /** Milliseconds until a request that waits for a live read is answered without it. */
  readonly timeoutMs: number
  /** Of one user, on all replicas that share a Redis. */
  readonly requestsPerMinute: number
  /** As how many of them one counts that is refused for what it is. 1: as one that is answered. */
  readonly refusedRequestWeight: number
  /** Of one user, as `requestsPerMinute`: the sum of what the requests cost. */
  readonly costPerMinute: number
  /** Of one user, that wait for a live read at a time; on one replica, as all that follow. */
  readonly requestsPerUser: number
  /** WebSockets and event streams of one user. */
  readonly connectionsPerUser: number
  readonly subscriptionsPerUser: number
  /** Of all users together. */
  readonly subscriptions: number
  /** From one address: then it has to wait, whatever it sends. */
  readonly signInFailuresPerMinute: number
}

export const DEFAULT_LIMITS: Limits = {
  bodyBytes: 256 * 1024,
  characters: 64 * 1024,
  tokens: 5_000,
  depth: 16,
  fields: 400,
  aliases: 64,
  directives: 50,
  errors: 5,
  cost: 30_000,
  timeoutMs: 30_000,
  requestsPerMinute: 6_000,
  refusedRequestWeight: 20,
  costPerMinute: 100_000_000,
  requestsPerUser: 32,
  connectionsPerUser: 1_000,
  subscriptionsPerUser: 1_000,
  subscriptions: 100_000,
  signInFailuresPerMinute: 60,
}

/** A request that asks for too much. `extensions.limit` names the limit. */
export function tooMuch(
  limit: keyof Limits | 'subscriptionsPerSocket',
  what: string,
  most: number,
): GraphQLError {
  return new GraphQLError(`${what}; at most ${most} is allowed. Ask for less, or in several requests.`, {
    extensions: { code: 'LIMIT_EXCEEDED', limit },
  })
}

/** A name that is no longer fits into no schema. */
const MAX_NAME = 1_000

/** Levels of brackets beside those of selection sets: fragments without a name, and the values of arguments. */
const MORE_BRACKETS = 64

/**
 * Whether a text is nested so deep, or has a name so long, that nothing good can come of parsing it: the parser
 * takes milliseconds to get into thousands of levels, and to quote what it cannot read. Throws the lexer's errors.
 */
export function checkNesting(text: string, limits: Limits): GraphQLError | undefined {
  const most = limits.depth + MORE_BRACKETS
  const lexer = new Lexer(new Source(text))
  let depth = 0
  for (let tokens = 0; tokens <= limits.tokens; tokens++) {
    const { kind, start, end } = lexer.advance()
    switch (kind) {
      case TokenKind.EOF:
        return undefined
      case TokenKind.NAME:
        if (end - start > MAX_NAME) {
          const message = `Syntax Error: The name at ${start} has more than ${MAX_NAME} characters.`
          return new GraphQLError(message, { extensions: { code: 'GRAPHQL_PARSE_FAILED' } })
        }
        break
      case TokenKind.BRACE_L:
      case TokenKind.BRACKET_L:
      case TokenKind.PAREN_L:
        if (++depth > most) return tooMuch('depth', 'The query is nested too deep', limits.depth)
        break
      case TokenKind.BRACE_R:
      case TokenKind.BRACKET_R:
      case TokenKind.PAREN_R:
        depth--
    }
  }
  // The parser says which limit that is over.
  return undefined
}

/** The first limit that the document is over, if any. */
export function checkLimits(document: DocumentNode, limits: Limits): GraphQLError | undefined {
  const count = { fields: 0, aliases: 0, directives: 0 }
  const fragments = new Map<string, FragmentDefinitionNode>()
  /**
   * Of fragments, by name: each set is looked at once. By the sets themselves it would be dearer than the parsing:
   * a `Map` with nodes as keys makes V8's Maglev take all of the tree for long-lived.
   */
  const depths = new Map<string, number>()
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  }

  /** Levels below and including this set. Cycles are cut here and reported by validation. */
  const depthOf = (set: SelectionSetNode, inside: ReadonlySet<string>): number => {
    let deepest = 0
    for (const selection of set.selections) {
      count.directives += selection.directives?.length ?? 0
      if (selection.kind === Kind.FIELD) {
        count.fields++
        if (selection.alias) count.aliases++
        if (!selection.selectionSet || selection.name.value.startsWith('__')) continue
        deepest = Math.max(deepest, depthOf(selection.selectionSet, inside))
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        deepest = Math.max(deepest, depthOf(selection.selectionSet, inside) - 1)
      } else {
        const fragment = fragments.get(selection.name.value)
        if (!fragment || inside.has(selection.name.value)) continue
        deepest = Math.max(deepest, depthOfFragment(fragment, inside) - 1)
      }
    }
    return deepest + 1
  }
  const depthOfFragment = (fragment: FragmentDefinitionNode, inside: ReadonlySet<string>): number => {
    const name = fragment.name.value
    let depth = depths.get(name)
    if (depth === undefined) {
      depth = depthOf(fragment.selectionSet, new Set([...inside, name]))
      depths.set(name, depth)
    }
    return depth
  }

  let depth = 0
  for (const definition of document.definitions) {
    if ('directives' in definition) count.directives += definition.directives?.length ?? 0
    if (definition.kind === Kind.OPERATION_DEFINITION)
      depth = Math.max(depth, depthOf(definition.selectionSet, new Set()))
    else if (definition.kind === Kind.FRAGMENT_DEFINITION) {
      const isMeant = fragments.get(definition.name.value) === definition
      depth = Math.max(
        depth,
        // One of two that have the same name is reported by validation.
        isMeant ? depthOfFragment(definition, new Set()) : depthOf(definition.selectionSet, new Set()),
      )
    }
  }
  if (depth > limits.depth) return tooMuch('depth', `The query is ${depth} levels deep`, limits.depth)
  for (const name of ['fields', 'aliases', 'directives'] as const) {
    if (count[name] > limits[name]) return tooMuch(name, `The query has ${count[name]} ${name}`, limits[name])
  }
  if (pairs(document, fragments) > MAX_PAIRS) {
    return tooMuch('fields', 'The query has too many fragments, or fields of the same name', limits.fields)
  }
  return undefined
}

/**
 * Fields of one answer name that stand beside each other, two by two: validation compares each pair, with all
 * that is under it. Some dozens of kinds with a dozen fields each have fewer.
 */
const MAX_PAIRS = 3_000

/** Counted as validation finds them, through fragments; gives up beyond `MAX_PAIRS`. */
function pairs(document: DocumentNode, fragments: ReadonlyMap<string, FragmentDefinitionNode>): number {
  // Fragments as well, each with each.
  let count = (fragments.size * (fragments.size - 1)) / 2
  const ofSet = (set: SelectionSetNode): void => {
    const names = new Map<string, number>()
    const spread = new Set<string>()
    const collect = ({ selections }: SelectionSetNode, isOwn: boolean): void => {
      for (const selection of selections) {
        if (count > MAX_PAIRS) return
        if (selection.kind === Kind.FIELD) {
          const name = selection.alias?.value ?? selection.name.value
          const others = names.get(name) ?? 0
          names.set(name, others + 1)
          count += others
          if (isOwn && selection.selectionSet) ofSet(selection.selectionSet)
        } else if (selection.kind === Kind.INLINE_FRAGMENT) collect(selection.selectionSet, isOwn)
        else if (!spread.has(selection.name.value)) {
          spread.add(selection.name.value)
          const fragment = fragments.get(selection.name.value)
          if (fragment) collect(fragment.selectionSet, false)
        }
      }
    }
    collect(set, true)
  }
  for (const definition of document.definitions)
    if ('selectionSet' in definition) ofSet(definition.selectionSet)
  return count
}
