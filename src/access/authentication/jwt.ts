/**
 * What a JWT says of itself, before anybody has verified it: enough to choose who should (RFC 7519 §10.1,
 * RFC 7515 §3.1). Nothing that is read here is true yet.
 *
 * Invariant: a token that two readers could read differently is refused: no claim twice, nothing but
 * base64url between the dots.
 */
import { AuthenticationError } from './authenticator.ts'

export interface UnverifiedJwt {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
}

/** Bytes. Node refuses longer headers by itself, but tokens come by other ways as well. */
export const MAX_TOKEN_BYTES = 16 * 1024

/** Three parts; an unsecured JWT has an empty third one. */
const COMPACT = /^([\w-]+)\.([\w-]+)\.([\w-]*)$/

/**
 * `undefined`: no JWT, an opaque token. Throws `AuthenticationError` for what begins as a JWT and is none, or
 * is ambiguous.
 */
export function readJwt(token: string): UnverifiedJwt | undefined {
  const parts = COMPACT.exec(token)
  if (!parts) return undefined
  const header = readPart(parts[1]!)
  if (header === undefined || typeof header.value['alg'] !== 'string') return undefined
  const claims = readPart(parts[2]!)
  if (claims === undefined || header.ambiguous || claims.ambiguous) {
    throw new AuthenticationError('UNAUTHENTICATED', 'The token is malformed. Sign in again.')
  }
  return { header: header.value, claims: claims.value }
}

interface Part {
  readonly value: Readonly<Record<string, unknown>>
  readonly ambiguous: boolean
}

/** `undefined`: not a JSON object. */
function readPart(part: string): Part | undefined {
  let text: string
  let value: unknown
  try {
    text = utf8.decode(Buffer.from(part, 'base64url'))
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return { value: value as Record<string, unknown>, ambiguous: repeatsName(text) }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const JSON_TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g

/**
 * Whether an object in this JSON has a name twice: parsers differ in which one they keep (RFC 8259 §4).
 * The text must be valid JSON.
 */
export function repeatsName(json: string): boolean {
  /** The names of each object that is open; `undefined` for an array. */
  const open: (Set<string> | undefined)[] = []
  let last = ''
  for (const [token] of json.matchAll(JSON_TOKENS)) {
    if (token === '{') open.push(new Set())
    else if (token === '[') open.push(undefined)
    else if (token === '}' || token === ']') open.pop()
    else if (token === ':') {
      const names = open.at(-1)
      // As parsed: a name may be written with escapes.
      const name = JSON.parse(last) as string
      if (names?.has(name)) return true
      names?.add(name)
    } else last = token
  }
  return false
}

/** Of a `Date`, in seconds. */
const LAST = 8.64e12

/** Seconds since the epoch, as NumericDate has it, and within what a `Date` can be; `undefined` where there is none. */
export function numericDate(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value)
    ? Math.min(LAST, Math.max(-LAST, value))
    : undefined
}
