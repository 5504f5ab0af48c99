/**
 * What the server asks of a logger – pino's methods, passed in, so that tests are silent – and what keeps
 * credentials out of it.
 *
 * Invariant: whatever is handed to a guarded logger, no value under a name like `authorization`, and nothing
 * that looks like a bearer token or a JWT, is in a line of it. Our own code hands it no such thing; errors of
 * libraries, which carry the requests that they failed with, might.
 */
export interface Logger {
  isLevelEnabled?(level: string): boolean
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const nothing = () => undefined

export const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

const HIDDEN = '[hidden]'
const HIDDEN_NAME = /authorization|cookie|token|secret|password|credential|api-?key|private-?key/i

/** For pino itself, so that what is logged past the guard is cut as well (`pino({ redact })`). */
export const REDACTION = {
  paths: ['authorization', 'cookie', 'token', 'password', 'secret'].flatMap((name) => [
    name,
    `*.${name}`,
    `*.headers.${name}`,
  ]),
  censor: HIDDEN,
}

const TEXTS: readonly (readonly [RegExp, string])[] = [
  [/\b(bearer|basic)\s+[\w.~+/=-]{4,}/gi, `$1 ${HIDDEN}`],
  // A JWT begins with `{"` in base64.
  [/\beyJ[\w-]{8,}(\.[\w-]*){1,4}/g, HIDDEN],
  [/\b(\w*token|\w*secret|password)=[^&\s"']+/gi, `$1=${HIDDEN}`],
  // Of a URL.
  [/(:\/\/[^\s/:@]*):[^\s/@]+@/g, `$1:${HIDDEN}@`],
]

const MAX_DEPTH = 4
const MAX_ENTRIES = 100

/** The same logger, but nothing secret passes. Guarding twice does no harm. */
export function guarded(logger: Logger): Logger {
  const clean = (fields: object) => cleaned(fields, 0) as object
  return {
    ...(logger.isLevelEnabled && { isLevelEnabled: (level: string) => logger.isLevelEnabled!(level) }),
    debug: (fields, message) => logger.debug(clean(fields), scrub(message)),
    info: (fields, message) => logger.info(clean(fields), scrub(message)),
    warn: (fields, message) => logger.warn(clean(fields), scrub(message)),
    error: (fields, message) => logger.error(clean(fields), scrub(message)),
  }
}

function scrub(text: string): string {
  return TEXTS.reduce((text, [pattern, instead]) => text.replace(pattern, instead), text)
}

function cleaned(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return scrub(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth > MAX_DEPTH) return '…'
  if (value instanceof Error) return described(value, depth)
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((entry) => cleaned(entry, depth + 1))
  const entries = Object.entries(value).slice(0, MAX_ENTRIES)
  return Object.fromEntries(
    entries.map(([name, inner]) => [name, HIDDEN_NAME.test(name) ? HIDDEN : cleaned(inner, depth + 1)]),
  )
}

/** Of an error what it says and where; of its other properties only the code: some carry whole requests. */
function described(error: Error, depth: number): Error {
  const { code } = error as { code?: unknown }
  const clean = new Error(scrub(error.message), {
    ...(error.cause !== undefined && { cause: cleaned(error.cause, depth + 1) }),
  })
  clean.name = error.name
  if (error.stack !== undefined) clean.stack = scrub(error.stack)
  return typeof code === 'string' || typeof code === 'number' ? Object.assign(clean, { code }) : clean
}
