/**
 * A GraphQL request as any transport brings it, checked for its shape: POST, GET, WebSocket and event
 * stream all make it here, so that none of them knows a parameter that another does not.
 *
 * Source: the GraphQL over HTTP specification (draft, 2025) with its appendix on persisted documents, and
 * the `persistedQuery` extension that Apollo's clients and urql send.
 */
import { randomUUID } from 'node:crypto'
import { GraphQLError } from 'graphql'

/** Where a request came from: what the log and the audit records tell of it. */
export interface Caller {
  /** In the answer as `x-request-id`, in errors that hide something, in our log and in audit records. */
  readonly correlationId: string
  readonly remoteAddress: string | null
}

/** `variables` are not coerced yet. */
export interface GraphQLRequest {
  /** Empty where `documentId` stands for it. */
  readonly query: string
  /** Names a document that the server knows: its SHA-256 in hex, or the name that a manifest gives it. */
  readonly documentId?: string | undefined
  readonly operationName?: string | undefined
  readonly variables?: Readonly<Record<string, unknown>> | undefined
  readonly caller?: Caller | undefined
}

/** The request itself is malformed: nothing that GraphQL could answer. */
export class BadRequest extends GraphQLError {
  constructor(message: string) {
    super(message, { extensions: { code: 'BAD_REQUEST' } })
  }
}

/** Levels of lists and objects in variables: a filter has a few. */
const MAX_VARIABLES_DEPTH = 32

/** And in all that is sent, for the message of a WebSocket that holds them, and for what we do not read. */
const MAX_JSON_DEPTH = 2 * MAX_VARIABLES_DEPTH

/** An id is no longer than a prefix and a hash of any kind; a name in a manifest neither. */
const MAX_DOCUMENT_ID = 256

/** Unique among all processes; made for each request, so the random part is drawn once. */
const PROCESS = randomUUID().slice(0, 18)
let requests = 0

/** An id for what came without one. */
export function callerOf(
  remoteAddress: string | undefined,
  correlationId = `${PROCESS}-${(++requests).toString(36)}`,
): Caller {
  return { correlationId, remoteAddress: remoteAddress ?? null }
}

/** Takes the parameters out of what a client sent; throws `BadRequest`, which says which one is wrong. */
export function requestOf(sent: Readonly<Record<string, unknown>>, caller: Caller): GraphQLRequest {
  const { query, documentId, operationName, variables, extensions } = sent
  if (query != null && typeof query !== 'string') {
    throw new BadRequest('"query" has to be a string: a GraphQL document.')
  }
  if (operationName != null && typeof operationName !== 'string') {
    throw new BadRequest('"operationName" has to be a string, or absent.')
  }
  if (variables != null) {
    if (!isRecord(variables)) throw new BadRequest('"variables" has to be an object, or absent.')
    if (!isShallow(variables, MAX_VARIABLES_DEPTH)) {
      throw new BadRequest(`"variables" are nested deeper than ${MAX_VARIABLES_DEPTH} levels.`)
    }
  }
  if (extensions != null && !isRecord(extensions)) {
    throw new BadRequest('"extensions" has to be an object, or absent.')
  }
  const id = documentId ?? persistedQuery(extensions)
  if (id !== undefined && (typeof id !== 'string' || id === '' || id.length > MAX_DOCUMENT_ID)) {
    throw new BadRequest('"documentId" has to name a document: "sha256:" and the hash of its text, in hex.')
  }
  if (id === undefined && typeof query !== 'string') {
    throw new BadRequest('"query" has to be a string: a GraphQL document. Or send the "documentId" of one.')
  }
  return {
    query: query ?? '',
    documentId: id,
    operationName: operationName ?? undefined,
    variables: variables ?? undefined,
    caller,
  }
}

/**
 * The value of a JSON text. Throws `BadRequest`, also for one that is nested deeper than anything a client means:
 * levels by the ten thousand take milliseconds to make objects of, and to count them in the text takes some
 * microseconds.
 */
export function jsonOf(text: string): unknown {
  if (isDeep(text)) {
    throw new BadRequest(`The request is nested deeper than ${MAX_JSON_DEPTH} levels.`)
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new BadRequest('The body of the request is not JSON.')
  }
}

function isDeep(text: string): boolean {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = endOfString(text, i)
        break
      case OPEN_LIST:
      case OPEN_OBJECT:
        if (++depth > MAX_JSON_DEPTH) return true
        break
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth--
    }
  }
  return false
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [
  0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d,
]

/** Where the string ends that begins at `start`; of one without an end, where the text does. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let first = end
    while (text.charCodeAt(first - 1) === BACKSLASH) first--
    // Of an even number each escapes the next, and none the quote.
    if ((end - first) % 2 === 0) return end
  }
  return text.length
}

function persistedQuery(extensions: Record<string, unknown> | null | undefined): unknown {
  const persisted = extensions?.['persistedQuery']
  return isRecord(persisted) ? persisted['sha256Hash'] : undefined
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What has more levels than the stack has frames comes out of `JSON.parse` all the same. */
function isShallow(value: object, levels: number): boolean {
  if (levels === 0) return false
  for (const key in value) {
    const inner: unknown = (value as Record<string, unknown>)[key]
    if (typeof inner === 'object' && inner !== null && !isShallow(inner, levels - 1)) return false
  }
  return true
}
