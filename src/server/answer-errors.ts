/**
 * What of an error a client is told. Errors that were made for the client – bad requests, limits, anything
 * with a code – go out as they are; everything else is a bug: it goes out as "Internal error" with a
 * correlation id, and whole to the log under the same id. No stack, file name or address leaves.
 */
import { randomUUID } from 'node:crypto'
import { GraphQLError } from 'graphql'
import type { Logger } from './logger.ts'

/** The whole answer was not ready in time, or nobody waits for it any more. */
export class RequestAborted extends Error {
  override readonly name = 'RequestAborted'
  readonly code: 'TIMEOUT' | 'CLIENT_CLOSED' | 'SHUTTING_DOWN'

  constructor(code: RequestAborted['code'], message: string) {
    super(message)
    this.code = code
  }
}

export function tellable(errors: readonly GraphQLError[], logger: Logger): readonly GraphQLError[] {
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
    return internal(cause, logger, error)
  })
}

/** Something that no error was made for: logs it and gives what the client is told. */
export function internal(cause: unknown, logger: Logger, at?: GraphQLError): GraphQLError {
  if (cause instanceof RequestAborted) {
    return new GraphQLError(cause.message, { extensions: { code: cause.code } })
  }
  const correlationId = randomUUID()
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
