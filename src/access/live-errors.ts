/** The errors of live reads in words that are fit for every viewer: no address, no path, nothing of ours. */
import { ApiError, TransportError } from '../kubernetes/client.ts'
import type { Cluster } from '../fleet/fleet.ts'
import { transportMessage, withoutAddresses } from '../fleet/reflector-failure.ts'

/** For a `catch`. */
export function rethrow(error: unknown): never {
  throw error instanceof Error ? addressless(error) : error
}

/** The client's error in words that tell no address. */
export function addressless(error: Error): Error {
  if (error instanceof TransportError) {
    return new TransportError(error.code, transportMessage(error.code), error, error.sent)
  }
  if (error instanceof ApiError) {
    const { statusCode, status, retryAfterMs, message } = error
    return new ApiError(statusCode, { ...status, message: withoutAddresses(message) }, retryAfterMs)
  }
  return error
}

/** As an API server says it, of what is refused without asking one. */
export function forbidden(message: string): ApiError {
  return new ApiError(403, { code: 403, reason: 'Forbidden', message })
}

export function isForbidden(error: unknown): boolean {
  return error instanceof ApiError && (error.statusCode === 401 || error.statusCode === 403)
}

/** Throws at once for a cluster that is known to be down, so that nobody waits for it. */
export function requireContact({ name, health }: Cluster): void {
  if (health.state !== 'DOWN') return
  throw new TransportError('UNREACHABLE', health.lastError?.message ?? `The cluster ${name} does not answer.`)
}
