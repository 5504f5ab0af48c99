/**
 * Why a request of the reflector came to nothing, as data: what the decisions need, and the sentence
 * that a person reads. Knows the client's errors; knows nothing of states.
 */
import { ApiError, type Status, TransportError } from '../kubernetes/client.ts'
import type { FeedProblem } from './feed.ts'

export type Failure =
  /** The server said no: as the status of the answer, or as an ERROR event of a watch. */
  | {
      readonly kind: 'STATUS'
      readonly statusCode: number
      readonly reason: string
      readonly message: string
      readonly retryAfterMs: number | undefined
      /** The version asked for is newer than the server's: it was restored, or its cache lags. */
      readonly tooLarge: boolean
    }
  | { readonly kind: 'TRANSPORT'; readonly code: TransportError['code']; readonly message: string }
  /** The answer is not what a Kubernetes API server sends. */
  | { readonly kind: 'MALFORMED'; readonly message: string }

export function failureOfError(error: unknown): Failure {
  if (error instanceof ApiError) return failureOfStatus(error.status, error.statusCode, error.retryAfterMs)
  if (error instanceof TransportError) return { kind: 'TRANSPORT', code: error.code, message: error.message }
  // A parser quotes what it stumbles over: a piece of an object that not everybody may see.
  if (error instanceof SyntaxError) return { kind: 'MALFORMED', message: 'It is no valid JSON.' }
  return { kind: 'MALFORMED', message: error instanceof Error ? error.message : String(error) }
}

/** `metav1.Status` as the body of an answer, or as the object of an ERROR event. */
export function failureOfStatus(
  status: Status,
  statusCode = status.code ?? 500,
  retryAfterMs = status.details?.retryAfterSeconds && status.details.retryAfterSeconds * 1000,
): Failure {
  const message = status.message ?? ''
  return {
    kind: 'STATUS',
    statusCode,
    reason: status.reason ?? '',
    message,
    retryAfterMs,
    tooLarge:
      status.details?.causes?.some(({ reason }) => reason === 'ResourceVersionTooLarge') === true ||
      // Servers before 1.18 have no cause.
      message.includes('Too large resource version'),
  }
}

export function isStatus(failure: Failure, ...codes: readonly number[]): boolean {
  return failure.kind === 'STATUS' && codes.includes(failure.statusCode)
}

/** The server cannot go on from the version that it was asked for. */
export function isExpired(failure: Failure): boolean {
  if (failure.kind !== 'STATUS') return false
  const { statusCode, reason, tooLarge } = failure
  return statusCode === 410 || reason === 'Expired' || reason === 'Gone' || tooLarge
}

/** The same request may succeed another time. */
export function isRetriable(failure: Failure): boolean {
  return failure.kind !== 'STATUS' || failure.statusCode === 429 || failure.statusCode >= 500
}

/** The sentence for a person. Without addresses: whoever reads it may not know where the cluster is. */
export function problemOf(failure: Failure, resource: string): FeedProblem {
  switch (failure.kind) {
    case 'TRANSPORT':
      return { code: 'UNREACHABLE', message: transportMessage(failure.code) }
    case 'MALFORMED':
      return {
        code: 'ERROR',
        message: `The API server's answer about ${resource} could not be read: ${withoutAddresses(failure.message)}`,
      }
    case 'STATUS':
      return statusProblem(failure, resource)
  }
}

/** Of a resource that may be listed but not watched: it is only known as of the last list. */
export function pollingProblem(resource: string, everyMs: number): FeedProblem {
  return {
    code: 'NOT_WATCHED',
    message: `The gateway may list ${resource} but not watch them: they are read again every ${everyMs / 1000} s. Allow it the verb watch.`,
  }
}

function statusProblem(failure: Extract<Failure, { kind: 'STATUS' }>, resource: string): FeedProblem {
  const said = withoutAddresses(failure.message).replaceAll(GATEWAY_NAME, 'The gateway')
  switch (failure.statusCode) {
    case 401:
      return {
        code: 'UNAUTHORIZED',
        message: "The cluster does not accept the gateway's credentials. Renew them in the cluster's source.",
      }
    case 403:
      return {
        code: 'FORBIDDEN',
        message:
          `The gateway may not list ${resource} in this cluster. Allow it list and watch. ${said}`.trim(),
      }
    case 404:
    case 405:
      return { code: 'NOT_SERVED', message: `The cluster does not serve ${resource}.` }
    case 429:
      return {
        code: 'ERROR',
        message: `The API server is busy and asked the gateway to wait. ${said}`.trim(),
      }
    default:
      return {
        code: 'ERROR',
        message:
          `The API server refused to list or watch ${resource} (${failure.statusCode}). ${said}`.trim(),
      }
  }
}

/** A sentence for a person, without addresses. */
export function transportMessage(code: TransportError['code']): string {
  switch (code) {
    case 'UNREACHABLE':
      return 'The API server cannot be reached. Check that it runs, and the network between it and the gateway.'
    case 'TIMEOUT':
      return 'The API server did not answer in time.'
    case 'RESET':
      return 'The connection to the API server broke.'
    case 'TLS':
      return "The API server's certificate, or the gateway's, was not accepted. Check the cluster's CA and client certificate."
    case 'CREDENTIALS':
      return "The gateway's credentials for the cluster could not be obtained. Check its token file, exec plugin or identity provider."
    case 'CLOSED':
      return 'The connection to the cluster was closed.'
  }
}

/** How an API server names whom it refuses: here always the gateway, whose name is nobody's business. */
const GATEWAY_NAME = /\bUser "[^"]*"/gu

/** In brackets only what has two colons: `spec.containers[0]` is a field. */
const ADDRESS =
  /\b(?:https?:\/\/\S+|\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?)|\[(?:[0-9a-f]*:){2,}[0-9a-f.]*(?:%\w+)?\](?::\d+)?/giu

/** What an API server said, fit for whoever may not know where things are. */
export function withoutAddresses(message: string): string {
  return message.replace(ADDRESS, '…')
}
