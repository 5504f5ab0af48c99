/**
 * JSON values as the simulator handles them: read-only, of unknown shape, narrowed where they are read.
 * Knows nothing of Kubernetes.
 */

export interface JsonObject {
  readonly [key: string]: unknown
}

export type MutableJson = Record<string, unknown>

const nothing: JsonObject = Object.freeze({})
const noItems: readonly unknown[] = Object.freeze([])

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value as an object; an empty one if it is not. */
export function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : nothing
}

/** The value as an array; an empty one if it is not. */
export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : noItems
}

export function asString(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** A scalar as text, as quantities and int-or-strings are shown; '' for anything else. */
export function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : ''
}

export function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

/** Follows keys through objects; undefined where the way ends. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let here = value
  for (const key of path) {
    if (!isObject(here)) return undefined
    here = here[key]
  }
  return here
}

/** Deep equality of JSON values; shared parts cost nothing. A key that holds undefined counts as absent. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false
    for (let i = 0; i < a.length; i++) if (!equal(a[i], b[i])) return false
    return true
  }
  if (!isObject(a) || !isObject(b)) return false
  let left = 0
  let right = 0
  for (const key in a) {
    if (a[key] === undefined) continue
    left++
    if (!equal(a[key], b[key])) return false
  }
  for (const key in b) if (b[key] !== undefined) right++
  return left === right
}

/** The object with one key changed, or without it (undefined); the same object if nothing changes. */
export function withKey<T extends JsonObject>(object: T, key: string, value: unknown): T {
  if (object[key] === value) return object
  const copy: MutableJson = { ...object }
  if (value === undefined) delete copy[key]
  else copy[key] = value
  return trusted<T>(copy)
}

/** The object with the given keys added where it lacks them; the same object if it has them all. */
export function withDefaults<T extends JsonObject>(object: T, defaults: JsonObject): T {
  let copy: MutableJson | undefined
  for (const key in defaults) {
    if (object[key] === undefined && defaults[key] !== undefined)
      (copy ??= { ...object })[key] = defaults[key]
  }
  return copy === undefined ? object : trusted<T>(copy)
}

/** Maps an array; the same array if no item changed. */
function mapShared(
  items: readonly unknown[],
  change: (item: unknown, index: number) => unknown,
): readonly unknown[] {
  let copy: unknown[] | undefined
  items.forEach((item, index) => {
    const changed = change(item, index)
    if (changed !== item) (copy ??= [...items])[index] = changed
  })
  return copy ?? items
}

/** The object with the object under a key changed; the key is made where it is missing. */
export function changeIn<T extends JsonObject>(
  object: T,
  key: string,
  change: (value: JsonObject) => JsonObject,
): T {
  return withKey(object, key, change(asObject(object[key])))
}

/** Like changeIn, only where the key holds an object. */
export function changeIfIn<T extends JsonObject>(
  object: T,
  key: string,
  change: (value: JsonObject) => JsonObject,
): T {
  const value = object[key]
  return isObject(value) ? withKey(object, key, change(value)) : object
}

/** The object with every object in the list under a key changed. */
export function eachIn<T extends JsonObject>(
  object: T,
  key: string,
  change: (item: JsonObject) => JsonObject,
): T {
  const items = object[key]
  if (!Array.isArray(items)) return object
  return withKey(
    object,
    key,
    mapShared(items, (item) => (isObject(item) ? change(item) : item)),
  )
}

/**
 * Takes a value at its word: for JSON whose shape the code around has just made or checked, and that the
 * compiler cannot follow through spreads and decoders. The one assertion of the simulator.
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the parameter is what is trusted
export function trusted<T>(value: unknown): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above: the single, named place
  return value as T
}
