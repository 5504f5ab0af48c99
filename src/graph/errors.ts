/**
 * The one map from our errors to GraphQL. A bad request is a `GraphQLError` with `extensions.code`
 * `BAD_USER_INPUT` and `extensions.argument`, the path of the argument at fault. A failure of a cluster
 * is not an error of the answer but data: `LiveError`.
 */
import { GraphQLError } from 'graphql'
import { ApiError, TransportError } from '../kubernetes/client.ts'

/** `argument` is the path inside the field's arguments, such as `filter.labelSelector`. */
export function badUserInput(message: string, argument: string, cause?: unknown): GraphQLError {
  return new GraphQLError(message, {
    extensions: { code: 'BAD_USER_INPUT', argument },
    ...(cause instanceof Error && { originalError: cause }),
  })
}

/** The viewer may not do this at all: not a matter of one cluster. The message says who could change that, and how. */
export function forbidden(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'FORBIDDEN' } })
}

export const LIVE_ERROR_CODES = {
  FORBIDDEN: 'You may not read this object, or objects of this kind, in this cluster.',
  UNREACHABLE: 'The cluster did not answer, or not in time.',
  NOT_FOUND: 'The object does not exist, or no longer.',
  NOT_SERVED: 'The cluster does not serve this API version and kind.',
  EXPIRED: 'The cursor is too old for the API server: start again from the first page.',
  FAILED: 'The API server refused the request; the message says why.',
} as const

export type LiveErrorCode = keyof typeof LIVE_ERROR_CODES

/** Why a live read of a cluster gave nothing. */
export interface LiveError {
  readonly code: LiveErrorCode
  readonly message: string
}

/**
 * Rethrows what is neither an answer of an API server nor the lack of one: a bug, or an aborted request –
 * unless the request was aborted since its time is up: then it is answered with what there is.
 */
export function liveErrorOf(error: unknown): LiveError {
  if (error instanceof Error && 'code' in error && error.code === 'TIMEOUT') {
    return { code: 'UNREACHABLE', message: error.message }
  }
  if (error instanceof TransportError) return { code: 'UNREACHABLE', message: error.message }
  if (!(error instanceof ApiError)) throw error
  return { code: codeOf(error), message: error.message }
}

function codeOf({ statusCode, code }: ApiError): LiveErrorCode {
  if (statusCode === 401 || statusCode === 403) return 'FORBIDDEN'
  if (statusCode === 404) return 'NOT_FOUND'
  if (statusCode === 410 || code === 'Expired') return 'EXPIRED'
  return statusCode >= 500 || statusCode === 429 ? 'UNREACHABLE' : 'FAILED'
}
