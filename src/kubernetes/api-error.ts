/**
 * Reads what the API server – or something in front of it – answers instead of a success: the `Status`
 * where there is one, else words made from the HTTP status, and when to come back.
 */
import { ApiError, type Status } from './client.ts'
import type { Connection } from './connection.ts'

/**
 * For an answer whose HTTP status is no 2xx. Header names are in lower case. `ours`: whether the request was made
 * with the gateway's credentials.
 */
export function apiError(
  connection: Connection,
  statusCode: number,
  body: string,
  headers: Readonly<Record<string, string>>,
  ours = true,
): ApiError {
  const status = statusOf(connection, statusCode, body, headers, ours)
  return new ApiError(statusCode, status, retryAfter(headers, status))
}

function statusOf(
  connection: Connection,
  statusCode: number,
  body: string,
  headers: Readonly<Record<string, string>>,
  ours: boolean,
): Status {
  let status: Status = {}
  try {
    const parsed: unknown = JSON.parse(body)
    if (typeof parsed === 'object' && parsed !== null && (parsed as Status).kind === 'Status') status = parsed
  } catch {
    // Not from Kubernetes, but from something in front of it.
  }
  const at = `Cluster ${connection.cluster} (${connection.server})`
  if (statusCode === 401)
    return {
      ...status,
      reason: status.reason ?? 'Unauthorized',
      message: ours
        ? `${at}: the API server does not accept our credentials (${status.message ?? 'HTTP 401'}). Renew them in the kubeconfig or configuration.`
        : `${at}: the API server does not accept the token of the sign-in (${status.message ?? 'HTTP 401'}). Sign in with one that this cluster knows.`,
    }
  if (status.message) return status
  if (statusCode < 400)
    return {
      ...status,
      message: `${at}: the server redirects (HTTP ${statusCode}) to ${headers['location'] ?? 'nowhere'}, which is not followed. Set server to the API server's own address.`,
    }
  const type = headers['content-type'] ?? ''
  const words = type.includes('html') ? '' : body.trim().replaceAll(/\s+/g, ' ').slice(0, 300)
  return {
    ...status,
    message: `${at}: HTTP status ${statusCode}${words ? `: ${words}` : ''}.`,
  }
}

function retryAfter(headers: Readonly<Record<string, string>>, status: Status): number | undefined {
  const header = headers['retry-after']
  if (header !== undefined) {
    if (/^\d+$/.test(header)) return Number(header) * 1000
    const at = Date.parse(header)
    if (!Number.isNaN(at)) return Math.max(0, at - Date.now())
  }
  const seconds = status.details?.retryAfterSeconds
  return seconds ? seconds * 1000 : undefined
}
