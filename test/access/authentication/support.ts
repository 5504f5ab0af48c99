/** What the tests of authentication share: credentials, refusals, and options with nothing configured. */
import { expect } from 'vitest'
import type { AuthenticationConfig } from '../../../src/access/authentication/authentication.ts'
import { AuthenticationError, type Credentials } from '../../../src/access/authentication/authenticator.ts'

export const NOTHING: AuthenticationConfig = {
  tokensFile: '',
  cookie: '',
  oidc: [],
  tokenReviews: [],
  proxies: [],
}

/** As Node gives a request with these header lines. */
export function request(
  lines: readonly (readonly [name: string, value: string])[],
  about: Partial<Credentials> = {},
): Credentials {
  const headers: Record<string, string> = {}
  for (const [name, value] of lines) {
    const key = name.toLowerCase()
    const before = headers[key]
    // Of several Authorization headers Node keeps the first, and joins others.
    if (before === undefined) headers[key] = value
    else if (key !== 'authorization') headers[key] = `${before}${key === 'cookie' ? '; ' : ', '}${value}`
  }
  return { headers, rawHeaders: lines.flat(), remoteAddress: '192.0.2.7', ...about }
}

export function bearer(token: string): Credentials {
  return request([['Authorization', `Bearer ${token}`]])
}

/** That this is refused, and with which words; `token` must not be in them, nor any part of it. */
export async function refusal(
  attempt: () => unknown,
  token?: string,
): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await attempt()
  } catch (error) {
    if (!(error instanceof AuthenticationError)) throw error
    if (token !== undefined) expectSilence(error, token)
    return { code: error.code, message: error.message }
  }
  throw new Error('it was not refused')
}

/** No error, at any depth, holds a part of the token, read or unread. */
function expectSilence(error: unknown, token: string): void {
  const parts = token.split(/[._]/).filter((part) => part.length >= 12)
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    const text = `${one.message} ${JSON.stringify(Object.entries(one))}`
    for (const part of parts) expect(text).not.toContain(part)
  }
}
