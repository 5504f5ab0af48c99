/**
 * Failures as the Kubernetes API says them: `metav1.Status` with its HTTP code, reason and causes
 * (API conventions, "Response Status Kind"). Knows nothing of HTTP beyond the number.
 */
import type { ResourceKey } from './registry.ts'

export interface StatusCause {
  readonly reason: string
  readonly message: string
  readonly field: string
}

export interface Status {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly metadata: Readonly<Record<string, unknown>>
  readonly status: 'Failure' | 'Success'
  readonly message?: string
  readonly reason?: string
  readonly details?: {
    readonly name?: string
    readonly group?: string
    readonly kind?: string
    readonly uid?: string
    readonly causes?: readonly { reason?: string; message?: string; field?: string }[]
    readonly retryAfterSeconds?: number
  }
  readonly code?: number
}

/** A failed request; `code` is the HTTP status, `status` the body to answer. */
export class StatusError extends Error {
  readonly code: number
  readonly reason: string
  readonly status: Status

  constructor(
    code: number,
    reason: string,
    message: string,
    details?: Status['details'],
    options?: ErrorOptions,
    metadata: Status['metadata'] = {},
  ) {
    super(message, options)
    this.name = 'StatusError'
    this.code = code
    this.reason = reason
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata,
      status: 'Failure',
      message,
      ...(reason === '' ? {} : { reason }),
      ...(details === undefined ? {} : { details }),
      code,
    }
  }
}

/** `deployments.apps`, `pods`: how messages name a resource. */
function qualified(key: ResourceKey): string {
  return key.group === '' ? key.resource : `${key.resource}.${key.group}`
}

function details(key: ResourceKey, name: string): NonNullable<Status['details']> {
  return {
    ...(name === '' ? {} : { name }),
    ...(key.group === '' ? {} : { group: key.group }),
    kind: key.resource,
  }
}

export function notFound(key: ResourceKey, name: string): StatusError {
  return new StatusError(404, 'NotFound', `${qualified(key)} "${name}" not found`, details(key, name))
}

/** What the server says of a path that no resource has. */
export function noSuchPath(): StatusError {
  return new StatusError(404, 'NotFound', 'the server could not find the requested resource', {})
}

export function alreadyExists(key: ResourceKey, name: string): StatusError {
  return new StatusError(
    409,
    'AlreadyExists',
    `${qualified(key)} "${name}" already exists`,
    details(key, name),
  )
}

export function conflict(key: ResourceKey, name: string, why: string): StatusError {
  return new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(key)} "${name}": ${why}`,
    details(key, name),
  )
}

export const staleObject =
  'the object has been modified; please apply your changes to the latest version and try again'

export function badRequest(message: string): StatusError {
  return new StatusError(400, 'BadRequest', message)
}

export function invalid(
  group: string,
  kind: string,
  name: string,
  causes: readonly StatusCause[],
): StatusError {
  const parts = causes.map((cause) => `${cause.field}: ${cause.message}`)
  const list = parts.length === 1 ? parts[0] : `[${parts.join(', ')}]`
  const qualifiedKind = group === '' ? kind : `${kind}.${group}`
  return new StatusError(422, 'Invalid', `${qualifiedKind} "${name}" is invalid: ${list}`, {
    ...(name === '' ? {} : { name }),
    ...(group === '' ? {} : { group }),
    kind,
    causes,
  })
}

export function forbidden(key: ResourceKey, name: string, why: string): StatusError {
  const subject = name === '' ? '' : ` "${name}"`
  return new StatusError(
    403,
    'Forbidden',
    `${qualified(key)}${subject} is forbidden: ${why}`,
    details(key, name),
  )
}

export function unauthorized(): StatusError {
  return new StatusError(401, 'Unauthorized', 'Unauthorized')
}

export function methodNotAllowed(): StatusError {
  return new StatusError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  )
}

export function unsupportedMediaType(supported: readonly string[]): StatusError {
  const list = supported.join(', ')
  return new StatusError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${list}`,
  )
}

/** 410: the resourceVersion is older than the history kept. */
export function expired(message: string): StatusError {
  return new StatusError(410, 'Expired', message)
}

/** 504: the resourceVersion lies in the future. */
export function tooLargeResourceVersion(wanted: number, current: number): StatusError {
  return new StatusError(
    504,
    'Timeout',
    `Timeout: Too large resource version: ${wanted}, current: ${current}`,
    {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    },
  )
}
