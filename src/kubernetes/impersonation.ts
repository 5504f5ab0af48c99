/**
 * `Impersonate-*` headers, exactly as client-go writes them: repeated per group, extra keys percent-encoded.
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
 */
import type { Impersonation } from './client.ts'

/**
 * Appends the headers as name, value, name, value… Names and values that could end a header line are
 * refused with a TypeError: the identity comes from a token that somebody else wrote.
 */
export function appendImpersonation(headers: string[], as: Impersonation): void {
  headers.push('Impersonate-User', headerValue(as.user, 'user'))
  if (as.uid) headers.push('Impersonate-Uid', headerValue(as.uid, 'uid'))
  for (const group of as.groups ?? []) headers.push('Impersonate-Group', headerValue(group, 'group'))
  for (const [key, values] of Object.entries(as.extra ?? {})) {
    const name = `Impersonate-Extra-${extraKey(key)}`
    for (const value of values) headers.push(name, headerValue(value, `extra ${JSON.stringify(key)}`))
  }
}

/** The bytes of a token in RFC 9110, but `%`: all others are percent-encoded. */
const PLAIN = /^[!#$&'*+\-.^_`|~0-9A-Za-z]$/

/** Kubernetes reads extra keys in lower case and undoes percent-encoding: `scopes/Read` → `scopes%2Fread`. */
function extraKey(key: string): string {
  let name = ''
  for (const byte of Buffer.from(key.toLowerCase())) {
    const char = String.fromCodePoint(byte)
    name += PLAIN.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return name
}

function headerValue(value: string, what: string): string {
  // A header that is empty, or whose ends are trimmed on the way, would be somebody else.
  if (value === '' || value !== value.trim())
    throw new TypeError(`Cannot impersonate: the ${what} is empty or starts or ends with white space.`)
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code < 0x20 || code === 0x7f)
      throw new TypeError(`Cannot impersonate: the ${what} holds a control character.`)
  }
  // Go reads header values as bytes, and Kubernetes takes them as UTF-8; undici writes latin1.
  return Buffer.from(value).toString('latin1')
}
