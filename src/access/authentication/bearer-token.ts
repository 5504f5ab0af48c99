/**
 * Where in a request its token is (RFC 6750 §2.1, and what browsers can send): the Authorization header, a
 * WebSocket's `connection_init`, a cookie. Never the URL: it ends in logs and histories.
 *
 * Invariant: what could be read as two credentials is refused, and so is what is meant as one and cannot be read.
 */
import { AuthenticationError, type Credentials } from './authenticator.ts'
import { MAX_TOKEN_BYTES } from './jwt.ts'

/** The characters of RFC 6750's `b68token`. */
const TOKEN = /^[\w\-.~+/]+=*$/
const BEARER = /^bearer +(\S+)$/i

/**
 * As it was sent, at most `MAX_TOKEN_BYTES` long; `undefined`: there is none. Throws `AuthenticationError`
 * (`UNAUTHENTICATED`).
 */
export function bearerToken(credentials: Credentials, cookie: string): string | undefined {
  const { headers, rawHeaders, connectionParams } = credentials
  let token: string | undefined
  if (headers.authorization !== undefined) token = fromHeader(headers.authorization, rawHeaders)
  if (connectionParams) token = only(token, fromParams(connectionParams))
  if (cookie !== '' && headers.cookie !== undefined) {
    for (const value of valuesOf(cookie, headers.cookie)) token = only(token, value)
  }
  if (token !== undefined && token.length > MAX_TOKEN_BYTES) throw refused('The token is too long.')
  return token
}

/** Throws `AuthenticationError` for what is no token at all. Aside, since a token that is known needs it not. */
export function requireToken(token: string): void {
  if (!TOKEN.test(token)) throw refused('The token is malformed.')
}

function fromHeader(value: string, rawHeaders: readonly string[]): string {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 13 && name.toLowerCase() === 'authorization') count++
  }
  if (count > 1) throw refused('There is more than one Authorization header.')
  return afterBearer(value)
}

function fromParams(params: Readonly<Record<string, unknown>>): string | undefined {
  let token: string | undefined
  for (const name of ['authorization', 'Authorization', 'token']) {
    const value = Object.hasOwn(params, name) ? params[name] : undefined
    // What a client sends that has no token (yet).
    if (value === undefined || value === null || value === '') continue
    if (typeof value !== 'string') throw refused('The token of connection_init is not a string.')
    token = only(token, name === 'token' ? value : afterBearer(value))
  }
  return token
}

function afterBearer(value: string): string {
  const match = BEARER.exec(value)
  if (!match) throw refused('Only tokens are taken: Authorization: Bearer <token>.')
  return match[1]!
}

/** Of a cookie that may be there several times, for several paths. */
function valuesOf(name: string, header: string): string[] {
  const values: string[] = []
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue
    const value = pair.slice(equals + 1).trim()
    const plain = /^".*"$/.test(value) ? value.slice(1, -1) : value
    // A cookie that was taken back by a server may come empty.
    if (plain !== '') values.push(plain)
  }
  return values
}

function only(one: string | undefined, other: string | undefined): string | undefined {
  if (one !== undefined && other !== undefined && one !== other) {
    throw refused('There are several credentials that differ.')
  }
  return one ?? other
}

function refused(message: string): AuthenticationError {
  return new AuthenticationError('UNAUTHENTICATED', `${message} Send one token.`)
}
