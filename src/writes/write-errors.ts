/**
 * What a cluster answers to a change that it does not make, and what becomes of requests that are not answered, as
 * data: an outcome and a `ChangeError`. In words that are fit for whoever asked: no address, and nothing of ours.
 */
import { ApiError, TransportError, type Status } from '../kubernetes/client.ts'
import { transportMessage, withoutAddresses } from '../fleet/reflector-failure.ts'
import type { ChangeError, ChangeErrorCode, Outcome } from './change.ts'
import { changeError } from './results.ts'

export interface WriteFailure {
  readonly outcome: Outcome
  readonly error: ChangeError
}

/** Names another manager in the cause of a conflict: `conflict with "kubectl" using apps/v1`. */
const MANAGER = /^conflict with "([^"]*)"/

/** Causes of one error that are told. */
const MOST_CAUSES = 50

/** Of an error message of a cluster: webhooks may write whatever they want. */
const MOST_TEXT = 2_000

const FORBIDDEN_BY_ADMISSION = /admission webhook|is forbidden: |denied the request/i
/** How every authorizer is quoted, and how RBAC refuses to let somebody grant what they do not have. */
const FORBIDDEN_BY_RIGHTS = /cannot \S+ (?:resource|path|nonResource)|attempting to grant RBAC permissions/

/** Of fields that are never changed: selectors, templates of Jobs, addresses of Services, claims. */
const FIXED =
  /field is immutable|is immutable after creation|may not change once set|for fields other than .* are forbidden/
const ANEW =
  'This is fixed once the object is made: leave it as it is, use another name, or delete the object and make it anew.'

/** What a server-side apply answers with a 500 where what is applied does not fit the schema. */
const UNTYPED = /^failed to create typed \w+ object/
const UNDECLARED = /(?:^|: |\s)(\.\S+?): ([^\n]+)/g

/**
 * `wrote`: the request would have changed something, and not only read or tried. `undefined` for what is no failure of
 * a cluster: a bug, or the reason of a signal.
 */
export function writeFailure(
  error: unknown,
  { wrote }: { readonly wrote: boolean },
): WriteFailure | undefined {
  if (error instanceof ApiError) return statusFailure(error, wrote)
  if (!(error instanceof TransportError)) return undefined
  return {
    outcome: 'UNREACHABLE',
    error: changeError(error.code === 'TIMEOUT' ? 'TIMEOUT' : 'UNREACHABLE', transportWords(error), {
      mayHaveBeenApplied: wrote && error.sent,
    }),
  }
}

/** 404 of the namespace, and not of the object: its name. */
export function missingNamespace(error: unknown): string | undefined {
  if (!(error instanceof ApiError) || error.statusCode !== 404) return undefined
  const { details } = error.status
  return details?.kind === 'namespaces' ? details.name : undefined
}

/** 404 of the path: the cluster knows no such resource, or no such subresource of it. */
export function isMissingPath(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    (error.statusCode === 405 || (error.statusCode === 404 && !error.status.details?.name))
  )
}

function statusFailure(error: ApiError, wrote: boolean): WriteFailure {
  const { statusCode, status, code: reason, retryAfterMs } = error
  const causes = causesOf(status)
  const told = {
    causes,
    retryAfterSeconds: retryAfterMs === undefined ? null : Math.ceil(retryAfterMs / 1000),
  }
  const message = withoutAddresses(error.message).slice(0, MOST_TEXT)
  const failed = (
    outcome: Outcome,
    code: ChangeErrorCode,
    text = message,
    more: Partial<ChangeError> = {},
  ): WriteFailure => ({ outcome, error: changeError(code, text, { ...told, ...more }) })

  switch (statusCode) {
    case 401:
      return failed('FORBIDDEN', 'FORBIDDEN')
    case 403:
      return FORBIDDEN_BY_ADMISSION.test(message) && !FORBIDDEN_BY_RIGHTS.test(message)
        ? failed('FAILED', 'INVALID')
        : failed('FORBIDDEN', 'FORBIDDEN')
    case 404: {
      const namespace = missingNamespace(error)
      if (namespace !== undefined) {
        return failed(
          'FAILED',
          'NOT_FOUND',
          `There is no namespace ${namespace} in this cluster. Create it first.`,
        )
      }
      return isMissingPath(error)
        ? failed(
            'FAILED',
            'NOT_SERVED',
            'The cluster does not serve this API version and kind, or no longer.',
          )
        : failed('FAILED', 'NOT_FOUND')
    }
    case 405:
      return failed('FAILED', 'NOT_SUPPORTED')
    case 409:
      if (reason === 'AlreadyExists') return failed('CONFLICT', 'ALREADY_EXISTS')
      return failed('CONFLICT', 'CONFLICT', managersMessage(status) ?? message)
    case 400:
    case 413:
    case 415:
      return failed('FAILED', 'INVALID')
    case 422:
      return failed(
        'FAILED',
        'INVALID',
        FIXED.test(message) ? `${message.replace(/\.$/, '')}. ${ANEW}` : message,
      )
    case 429:
      return failed('FAILED', 'FAILED', `The API server is busy and asks to wait. ${message}`.trim())
    default:
      if (statusCode < 500) return failed('FAILED', 'FAILED')
      if (UNTYPED.test(message)) return failed('FAILED', 'INVALID', message, { causes: undeclared(message) })
      return failed('UNREACHABLE', statusCode === 504 ? 'TIMEOUT' : 'UNREACHABLE', message, {
        mayHaveBeenApplied: wrote && mayHaveReachedStorage(statusCode, message),
      })
  }
}

/** A 503 is said instead of doing it, but where a server behind the API server broke off. */
function mayHaveReachedStorage(statusCode: number, message: string): boolean {
  return statusCode !== 503 || message.includes('error trying to reach service')
}

function causesOf({ details }: Status): ChangeError['causes'] {
  return (details?.causes ?? []).slice(0, MOST_CAUSES).map(({ field, reason, message }) => ({
    field: field || null,
    reason: reason || null,
    message: message ? withoutAddresses(message).slice(0, MOST_TEXT) : null,
  }))
}

function undeclared(message: string): ChangeError['causes'] {
  return Array.from(message.matchAll(UNDECLARED), ([, field = null, what = null]) => ({
    field: field?.slice(1) ?? null,
    reason: 'FieldValueInvalid',
    message: what,
  })).slice(0, MOST_CAUSES)
}

/** Of a server-side apply that others' fields are in the way of. */
function managersMessage({ details }: Status): string | undefined {
  const fields = (details?.causes ?? []).filter(({ reason }) => reason === 'FieldManagerConflict')
  if (fields.length === 0) return undefined
  const managers = new Set(fields.map(({ message = '' }) => MANAGER.exec(message)?.[1] ?? message))
  const shown = fields.slice(0, 5).map(({ field }) => field)
  const more = fields.length > shown.length ? ` and ${fields.length - shown.length} more` : ''
  return (
    `${shown.join(', ')}${more}: owned by ${[...managers].join(', ')}, with another value. ` +
    'Leave these fields out, or take them over with `force`.'
  )
}

function transportWords({ code, message, cause }: TransportError): string {
  // What `ViewerClient` says is without addresses, and may say more: that a cluster is known to be down, and why.
  return cause === undefined ? withoutAddresses(message) : transportMessage(code)
}
