/**
 * Label selectors: Kubernetes' string syntax, and what a selector matches. An empty selector matches
 * everything; no selector (`null` in a row) matches nothing.
 *
 * Source: Kubernetes documentation, "Labels and Selectors"; `metav1.LabelSelector` in the API reference.
 */
import { quoted } from './quoted.ts'
import type { LabelSelector, LabelSelectorRequirement, LabelSet } from './rows.ts'

/** The text of a selector is not one. */
export class LabelSelectorError extends Error {
  override readonly name = 'LabelSelectorError'
  readonly code = 'INVALID_LABEL_SELECTOR'
  /** Offset into the text, from 0. */
  readonly position: number

  constructor(text: string, position: number, problem: string) {
    super(
      `The label selector ${quoted(text)} is not valid at character ${position + 1}: ${problem}. ` +
        'Write it as for kubectl -l: "app=web,tier!=cache,env in (prod,stage),canary,!legacy".',
    )
    this.position = position
  }
}

/** Matches every object. */
export const EVERYTHING: LabelSelector = Object.freeze({
  matchLabels: Object.freeze({}),
  matchExpressions: Object.freeze([]),
})

const NAME = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const PREFIX = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/

function keyProblem(key: string): string | undefined {
  const slash = key.indexOf('/')
  const prefix = slash < 0 ? undefined : key.slice(0, slash)
  if (prefix !== undefined && (prefix.length > 253 || !PREFIX.test(prefix))) {
    return `${quoted(prefix)} is not a DNS name, which the prefix of a label key has to be`
  }
  if (!NAME.test(key.slice(slash + 1))) {
    return `${quoted(key)} is not a label key (at most 63 letters, digits, '-', '_', '.', beginning and ending with a letter or digit, after an optional DNS prefix and '/')`
  }
  return undefined
}

function valueProblem(value: string): string | undefined {
  if (value === '' || NAME.test(value)) return undefined
  return `${quoted(value)} is not a label value (empty, or at most 63 letters, digits, '-', '_', '.', beginning and ending with a letter or digit)`
}

interface Token {
  readonly text: string
  readonly position: number
}

const SYMBOLS = new Set(['=', '==', '!=', '!', '(', ')', ',', '<', '>'])

function* tokens(text: string): Generator<Token> {
  const lexer = /\s*(==|!=|=|!|\(|\)|,|<|>|[^\s=!(),<>]+)/gy
  while (lexer.lastIndex < text.length) {
    const start = lexer.lastIndex
    const match = lexer.exec(text)
    if (!match) {
      if (text.slice(start).trim() === '') return
      throw new LabelSelectorError(text, start, 'this character has no place in a selector')
    }
    yield { text: match[1]!, position: lexer.lastIndex - match[1]!.length }
  }
}

/**
 * Parses `a=b,c!=d,e in (x,y),f notin (z),g,!h`. Blank text is the empty selector. The comparisons `<`
 * and `>` are refused: they exist for node affinity, not for lists. Throws `LabelSelectorError`.
 */
export function parseLabelSelector(text: string): LabelSelector {
  const parser = new SelectorParser(text)
  return parser.parse()
}

class SelectorParser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  #next = 0

  constructor(text: string) {
    this.#text = text
    this.#tokens = Array.from(tokens(text))
  }

  parse(): LabelSelector {
    if (this.#tokens.length === 0) return EVERYTHING
    const matchLabels: Record<string, string> = {}
    const matchExpressions: LabelSelectorRequirement[] = []
    for (;;) {
      const requirement = this.#requirement()
      const { key, operator, values } = requirement
      // Two different values for one key are legal, and match nothing: only the first fits the map form.
      if (operator === 'In' && values.length === 1 && !Object.hasOwn(matchLabels, key)) {
        matchLabels[key] = values[0]!
      } else {
        matchExpressions.push(requirement)
      }
      const comma = this.#take()
      if (!comma) return { matchLabels, matchExpressions }
      if (comma.text !== ',') this.#fail(comma, `expected "," or the end, found ${quote(comma)}`)
    }
  }

  #requirement(): LabelSelectorRequirement {
    const negated = this.#peek()?.text === '!' ? this.#take() : undefined
    const key = this.#key()
    const after = this.#peek()
    if (negated) {
      if (after && after.text !== ',') {
        this.#fail(after, `${quoted(`!${key}`)} stands alone: expected "," or the end, found ${quote(after)}`)
      }
      return { key, operator: 'DoesNotExist', values: [] }
    }
    if (!after || after.text === ',') return { key, operator: 'Exists', values: [] }
    this.#take()
    switch (after.text) {
      case '=':
      case '==':
        return { key, operator: 'In', values: [this.#value()] }
      case '!=':
        return { key, operator: 'NotIn', values: [this.#value()] }
      case 'in':
        return { key, operator: 'In', values: this.#values() }
      case 'notin':
        return { key, operator: 'NotIn', values: this.#values() }
      case '<':
      case '>':
        return this.#fail(after, `the comparison "${after.text}" is not supported in lists`)
      default:
        return this.#fail(after, `expected one of "=", "!=", "in", "notin", ",", found ${quote(after)}`)
    }
  }

  #key(): string {
    const token = this.#take()
    if (!token || SYMBOLS.has(token.text)) this.#fail(token, `expected a label key, found ${quote(token)}`)
    const problem = keyProblem(token.text)
    if (problem) this.#fail(token, problem)
    return token.text
  }

  /** May be missing: `a=` asks for the empty value. */
  #value(): string {
    const token = this.#peek()
    if (!token || token.text === ',' || token.text === ')') return ''
    if (SYMBOLS.has(token.text)) this.#fail(token, `expected a value, found ${quote(token)}`)
    this.#take()
    const problem = valueProblem(token.text)
    if (problem) this.#fail(token, problem)
    return token.text
  }

  #values(): readonly string[] {
    const open = this.#take()
    if (open?.text !== '(') this.#fail(open, `expected "(" and a list of values, found ${quote(open)}`)
    const values = new Set<string>()
    for (;;) {
      values.add(this.#value())
      const token = this.#take()
      if (token?.text === ')') return Array.from(values)
      if (token?.text !== ',') this.#fail(token, `expected "," or ")", found ${quote(token)}`)
    }
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#next]
  }

  #take(): Token | undefined {
    return this.#tokens[this.#next++]
  }

  #fail(token: Token | undefined, problem: string): never {
    throw new LabelSelectorError(this.#text, token?.position ?? this.#text.length, problem)
  }
}

function quote(token: Token | undefined): string {
  return token ? quoted(token.text) : 'the end'
}

/** Whether a selector matches these labels. `null` selects nothing. As in Kubernetes, `NotIn` matches a missing key. */
export function matchesLabels(selector: LabelSelector | null, labels: LabelSet): boolean {
  if (!selector) return false
  const { matchLabels, matchExpressions } = selector
  for (const key in matchLabels) {
    if (labels[key] !== matchLabels[key] || !Object.hasOwn(labels, key)) return false
  }
  for (const requirement of matchExpressions) if (!meets(requirement, labels)) return false
  return true
}

function meets({ key, operator, values }: LabelSelectorRequirement, labels: LabelSet): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    default:
      return false
  }
}

/** Whether it matches every object. */
export function isEmptySelector(selector: LabelSelector): boolean {
  return selector.matchExpressions.length === 0 && isEmptyMap(selector.matchLabels)
}

/** The older map form (of a Service) as a selector; an empty map selects nothing there, so `null`. */
export function selectorOfService(selector: LabelSet | null): LabelSelector | null {
  return !selector || isEmptyMap(selector) ? null : { matchLabels: selector, matchExpressions: [] }
}

function isEmptyMap(labels: LabelSet): boolean {
  return Object.keys(labels).length === 0
}
