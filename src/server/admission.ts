/**
 * Whether a request is executed at all: not too often, and only what its viewer may send. In this order,
 * each before anything of the next is looked at: the user's requests of this minute; the document that is
 * meant, by its text or its name; whether it is trusted, and one of those that this viewer may send; then
 * parsing, limits and validation (`documents.ts`); at last the cost with these variables.
 *
 * What is refused on the way, for what it is, takes more of the user's requests than what is answered.
 *
 * Invariant: of every transport the same is admitted, and each request is counted once, however often
 * anybody asks what it is.
 */
import { GraphQLError, type OperationTypeNode } from 'graphql'
import type { Viewer } from '../access/viewer.ts'
import { CHANGE } from './cost.ts'
import type { Documents, Lookup } from './documents.ts'
import type { RateLimits } from './rate-limits.ts'
import type { GraphQLRequest } from './request.ts'
import { hashOf, type TrustedDocuments } from './trusted-documents.ts'

export interface AdmissionOptions {
  readonly documents: Documents
  readonly trusted?: TrustedDocuments | undefined
  readonly rates?: RateLimits | undefined
}

export class Admission {
  readonly #documents: Documents
  readonly #trusted: TrustedDocuments | undefined
  readonly #rates: RateLimits | undefined
  /** Requests of which somebody asked what they are before they are executed. */
  readonly #decided = new WeakMap<GraphQLRequest, Lookup>()
  /** Milliseconds of CPU for the text of the request that was admitted last: what refuses it follows at once. */
  #parsingMs = 0

  constructor({ documents, trusted, rates }: AdmissionOptions) {
    this.#documents = documents
    this.#trusted = trusted
    this.#rates = rates
  }

  /** The operation that a request means, or why it is not executed. Once for each request. */
  admit(request: GraphQLRequest, viewer: Viewer): Lookup {
    const decided = this.#decided.get(request)
    if (decided) {
      this.#decided.delete(request)
      return decided
    }
    const wait = this.#rates?.request(viewer) ?? 0
    if (wait > 0) return { errors: [tooManyRequests(wait)] }
    const text = this.#textOf(request, viewer)
    const before = this.#documents.parsingMs
    const lookup: Lookup =
      typeof text === 'string' ? this.#documents.find(text, request.operationName) : { errors: [text] }
    this.#parsingMs = this.#documents.parsingMs - before
    if (lookup.errors) this.refused(viewer, lookup.errors)
    return lookup
  }

  /** Notes that a request that was admitted, or that is not, is refused for these. */
  refused(viewer: Viewer, errors: readonly GraphQLError[]): void {
    if (errors.some(({ extensions }) => !INNOCENT.has(String(extensions['code']))))
      this.#rates?.refused(viewer, this.#parsingMs)
  }

  /** Notes a request that is too malformed to be admitted. RATE_LIMITED where its user has to wait. */
  malformed(viewer: Viewer): GraphQLError | undefined {
    const wait = this.#rates?.request(viewer) ?? 0
    if (wait > 0) return tooManyRequests(wait)
    this.#rates?.refused(viewer)
    return undefined
  }

  /** Admits it, and says what it is; `undefined` where it is nothing that would be executed. */
  operationType(request: GraphQLRequest, viewer: Viewer): OperationTypeNode | undefined {
    const lookup = this.#decided.get(request) ?? this.admit(request, viewer)
    this.#decided.set(request, lookup)
    return lookup.operation?.node.operation
  }

  /** Notes what the request will cost. */
  charge(viewer: Viewer, cost: number): GraphQLError | undefined {
    const wait = this.#rates?.cost(viewer, cost) ?? 0
    return wait > 0 ? tooOften('costPerMinute', 'The requests of this user cost too much', wait) : undefined
  }

  /** Notes what a mutation has cost: how many objects it is about is known when it has been made. */
  changed(viewer: Viewer, objects: number): void {
    this.#rates?.spent(viewer, objects * CHANGE)
  }

  #textOf({ query, documentId }: GraphQLRequest, viewer: Viewer): string | GraphQLError {
    let text = query
    if (documentId !== undefined) {
      const known = this.#trusted?.find(documentId)
      // Sent together, the text counts: a client that knows only hashes sends it after we knew none.
      if (query === '') {
        if (known === undefined) return unknownDocument()
        text = known
      }
    }
    if (this.#trusted?.only && !this.#trusted.has(text)) {
      return untrusted('This server executes trusted documents only, and this is none of them.')
    }
    if (viewer.operations !== null && !viewer.operations.has(hashOf(text))) {
      return untrusted('This user may send certain documents only, and this is none of them.')
    }
    return text
  }
}

/**
 * What whoever means well is refused with as well: for now, or since a client asks by a hash first, and sends the
 * text only where that is not known.
 */
const INNOCENT = new Set(['RATE_LIMITED', 'PERSISTED_QUERY_NOT_FOUND'])

/** A user has to wait. */
export function tooManyRequests(waitMs: number): GraphQLError {
  return tooOften('requestsPerMinute', 'This user sends too many requests', waitMs)
}

/** RATE_LIMITED by this limit; says when to come again. */
export function tooOften(
  limit: 'requestsPerMinute' | 'costPerMinute' | 'signInFailuresPerMinute',
  what: string,
  waitMs: number,
): GraphQLError {
  const retryAfterSeconds = Math.ceil(waitMs / 1_000)
  // It is told, and not looked into; to find out where it was made is a fifth of what it costs to refuse a request.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return new GraphQLError(`${what}. Try again in ${retryAfterSeconds} s.`, {
      extensions: { code: 'RATE_LIMITED', limit, retryAfterSeconds },
    })
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function untrusted(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'DOCUMENT_NOT_TRUSTED' } })
}

/** In the words that Apollo's clients and urql know: they then send the text. */
function unknownDocument(): GraphQLError {
  return new GraphQLError('PersistedQueryNotFound', { extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } })
}
