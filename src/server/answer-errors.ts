/**
 * What of an error a client is told. Errors that were made for the client – bad requests, limits, anything
 * with a code – go out as they are; everything else is a bug: it goes out as "Internal error" with a
 * correlation id, and whole to the log under the same id. No stack, file name or address leaves.
 */
import { randomUUID } from 'node:crypto'
import { GraphQLError } from 'graphql'
import { AuthenticationError } from '../access/authentication/authenticator.ts'
import type { Logger } from './logger.ts'
import type { Caller } from './request.ts'

/** The whole answer was not ready in time, or nobody waits for it any more. */
export class RequestAborted extends Error {
  override readonly name = 'RequestAborted'
  readonly code: 'TIMEOUT' | 'CLIENT_CLOSED' | 'SHUTTING_DOWN'

  constructor(code: RequestAborted['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** How each transport says it that a request, or a connection, was refused before anything was executed. */
interface Refusal {
  /** Of HTTP. */
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Of a WebSocket. */
  readonly close: number
}

/** Seconds that a client is asked to wait where nobody knows how long it will take. */
const RETRY_SECONDS = '5'

/**
 * By `extensions.code`. WebSockets: clients of graphql-transport-ws give up at 4401 and 4500, try again
 * after 4403, and after 1013 ("try again later", RFC 6455 §7.4 and its registry): so 1013 is for what passes.
 * `www-authenticate`: RFC 6750 §3.
 */
export const REFUSALS: Readonly<Record<string, Refusal>> = {
  UNAUTHENTICATED: { status: 401, headers: { 'www-authenticate': 'Bearer' }, close: 4401 },
  UNAVAILABLE: { status: 503, headers: { 'retry-after': RETRY_SECONDS }, close: 1013 },
  FORBIDDEN: { status: 403, headers: {}, close: 4403 },
  RATE_LIMITED: { status: 429, headers: { 'retry-after': RETRY_SECONDS }, close: 1013 },
  LIMIT_EXCEEDED: { status: 429, headers: { 'retry-after': RETRY_SECONDS }, close: 1013 },
  SHUTTING_DOWN: { status: 503, headers: { 'retry-after': RETRY_SECONDS }, close: 1001 },
}

export function tellable(
  errors: readonly GraphQLError[],
  logger: Logger,
  caller?: Caller,
): readonly GraphQLError[] {
  return errors.map((error) => {
    const cause = error.originalError
    if (cause instanceof RequestAborted) {
      return new GraphQLError(cause.message, { ...placeOf(error), extensions: { code: cause.code } })
    }
    if (
      cause === undefined ||
      cause instanceof GraphQLError ||
      typeof error.extensions['code'] === 'string'
    ) {
      return error
    }
    return internal(cause, logger, error, caller)
  })
}

/** Something that no error was made for: logs it and gives what the client is told. */
export function internal(cause: unknown, logger: Logger, at?: GraphQLError, caller?: Caller): GraphQLError {
  if (cause instanceof RequestAborted) {
    return new GraphQLError(cause.message, { extensions: { code: cause.code } })
  }
  if (cause instanceof AuthenticationError) {
    return new GraphQLError(cause.message, { extensions: { code: cause.code } })
  }
  const correlationId = caller?.correlationId ?? randomUUID()
  logger.error({ err: cause, correlationId, path: at?.path?.join('.') }, 'a request failed unexpectedly')
  return new GraphQLError('Internal error', {
    ...(at && placeOf(at)),
    extensions: { code: 'INTERNAL', correlationId },
  })
}

function placeOf({ nodes, source, positions, path }: GraphQLError) {
  return {
    ...(nodes && { nodes }),
    ...(source && { source }),
    ...(positions && { positions }),
    ...(path && { path }),
  }
}
