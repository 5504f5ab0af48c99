/**
 * `POST /logout/backchannel`: an issuer tells that somebody has signed out (OpenID Connect Back-Channel Logout
 * 1.0 §2.5–2.8). Only brings the body to whoever can judge it; what is no good counts as a sign-in that failed.
 *
 * Invariant: no logout is refused for what others have sent: an issuer may share its address with them, and does not
 * try again. To judge one costs a signature at most.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from './logger.ts'
import { callerOfRequest } from './reply.ts'
import { BodyTooLarge, readBody } from './request-body.ts'
import type { SignInGuardOptions } from './sign-in-guard.ts'

/** Takes the body, of `application/x-www-form-urlencoded`; gives a status and what to say. */
export type BackchannelLogout = (
  body: string,
) => Promise<{ readonly status: number; readonly body?: string | undefined }>

export const LOGOUT_PATH = '/logout/backchannel'

/** A logout token has a kilobyte or two. */
const MAX_BYTES = 32 * 1024

export function logoutEndpoint(
  logout: BackchannelLogout,
  { rates, records }: SignInGuardOptions,
  logger: Logger,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const caller = callerOfRequest(request)
    const address = caller.remoteAddress ?? ''
    const answer = (status: number, body = '') => {
      if (response.destroyed) return
      response.writeHead(status, {
        'cache-control': 'no-store',
        'content-type': 'application/json; charset=utf-8',
        'content-length': Buffer.byteLength(body),
        ...(status >= 400 && { connection: 'close' }),
      })
      response.end(body)
    }
    const error = (status: number, what: string) => {
      request.resume()
      answer(status, JSON.stringify({ error: 'invalid_request', error_description: what }))
    }
    if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
      error(415, 'Send application/x-www-form-urlencoded.')
      return
    }
    readBody(request, MAX_BYTES, (failure, text) => {
      if (failure) {
        error(failure instanceof BodyTooLarge ? 413 : 400, 'The body is too large.')
        return
      }
      const judge = async () => {
        const { status, body } = await logout(text)
        if (status === 400 || status === 401) {
          rates.signInFailed(address)
          records?.signInFailed('A logout token was no good.', caller)
        }
        answer(status, body)
      }
      judge().catch((cause: unknown) => {
        const { correlationId } = caller
        logger.error({ err: cause, correlationId }, 'a logout failed unexpectedly')
        error(500, 'It failed. Try again.')
      })
    })
  }
}
