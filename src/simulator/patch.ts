/**
 * The three older kinds of patch: JSON Patch (RFC 6902), JSON Merge Patch (RFC 7386) and Kubernetes'
 * strategic merge patch, whose lists merge by the keys of the schema. Pure: originals are shared, never
 * changed.
 */
import { asArray, asString, equal, isObject, type JsonObject, type MutableJson } from './json.ts'
import { fieldsOf, type Field } from './schema.ts'
import { badRequest, StatusError } from './status-error.ts'

/** Applies RFC 6902 operations. Throws 400 for a malformed patch, 422 for one that does not apply. */
export function jsonPatch(document: JsonObject, patch: unknown): unknown {
  if (!Array.isArray(patch)) {
    throw badRequest(
      'error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch',
    )
  }
  return patch.reduce<unknown>((value, operation: unknown) => applyOperation(value, operation), document)
}

function applyOperation(document: unknown, operation: unknown): unknown {
  if (!isObject(operation)) throw badRequest('error decoding patch: an operation must be an object')
  const path = pointer(operation['path'])
  switch (operation['op']) {
    case 'add':
      return place(document, path, operation['value'], 'add')
    case 'replace':
      read(document, path, 'replace')
      return place(document, path, operation['value'], 'replace')
    case 'remove':
      read(document, path, 'remove')
      return place(document, path, undefined, 'remove')
    case 'test':
      if (!equal(readOr(document, path), operation['value'] ?? undefined)) {
        throw doesNotApply(`testing value ${asString(operation['path'])} failed: test failed`)
      }
      return document
    case 'copy':
      return place(document, path, read(document, pointer(operation['from']), 'copy'), 'add')
    case 'move': {
      const from = pointer(operation['from'])
      const value = read(document, from, 'move')
      return place(place(document, from, undefined, 'remove'), path, value, 'add')
    }
    default:
      throw badRequest(`Unexpected kind: ${asString(operation['op'])}`)
  }
}

function doesNotApply(why: string): StatusError {
  return new StatusError(
    422,
    'Invalid',
    `the server rejected our request due to an error in our request: ${why}`,
    {},
  )
}

function pointer(value: unknown): readonly string[] {
  const text = asString(value)
  if (text === '') return []
  return text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function readOr(document: unknown, path: readonly string[]): unknown {
  let here = document
  for (const key of path) {
    if (Array.isArray(here)) here = here[Number(key)]
    else if (isObject(here)) here = here[key]
    else return undefined
  }
  return here
}

function read(document: unknown, path: readonly string[], operation: string): unknown {
  const value = readOr(document, path)
  if (value === undefined) {
    const full = `/${path.join('/')}`
    throw doesNotApply(
      `${operation} operation does not apply: doc is missing ${operation === 'copy' || operation === 'move' ? 'from path' : operation === 'remove' ? 'path' : 'key'}: ${full}: missing value`,
    )
  }
  return value
}

function place(document: unknown, path: readonly string[], value: unknown, operation: string): unknown {
  const [key, ...rest] = path
  if (key === undefined) return value
  if (Array.isArray(document)) {
    const copy: unknown[] = [...document]
    const index = key === '-' ? copy.length : Number(key)
    if (!Number.isInteger(index) || index < 0 || index > copy.length) {
      throw doesNotApply(`${operation} operation does not apply: index ${key} out of bounds`)
    }
    if (rest.length > 0) copy[index] = place(copy[index], rest, value, operation)
    else if (operation === 'remove') copy.splice(index, 1)
    else if (operation === 'add') copy.splice(index, 0, value)
    else copy[index] = value
    return copy
  }
  if (!isObject(document)) {
    throw doesNotApply(
      `${operation} operation does not apply: doc is missing path: "/${path.join('/')}": missing value`,
    )
  }
  const copy: MutableJson = { ...document }
  if (rest.length > 0) copy[key] = place(copy[key], rest, value, operation)
  else if (operation === 'remove') delete copy[key]
  else copy[key] = value
  return copy
}

/** RFC 7386. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const result: MutableJson = isObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatch(result[key], value)
  }
  return result
}

const orderPrefix = '$setElementOrder/'
const deletePrefix = '$deleteFromPrimitiveList/'

/** Strategic merge (Kubernetes documentation, "Update API Objects in Place Using kubectl patch"). */
export function strategicPatch(model: string, original: JsonObject, patch: JsonObject): JsonObject {
  return mergeObject(model, original, patch) ?? {}
}

function mergeObject(
  model: string | undefined,
  original: JsonObject,
  patch: JsonObject,
): JsonObject | undefined {
  const directive = patch['$patch']
  if (directive === 'delete') return undefined
  if (directive === 'replace') return withoutDirectives(patch)
  const fields = model === undefined ? undefined : fieldsOf(model)
  let result: MutableJson = { ...original }
  const retain = patch['$retainKeys']
  if (Array.isArray(retain)) {
    result = Object.fromEntries(Object.entries(result).filter(([key]) => retain.includes(key)))
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key === '$patch' || key === '$retainKeys' || key.startsWith(orderPrefix)) continue
    if (key.startsWith(deletePrefix)) {
      const name = key.slice(deletePrefix.length)
      const gone = asArray(value)
      result[name] = asArray(result[name]).filter((item) => !gone.some((one) => equal(one, item)))
      continue
    }
    if (value === null) delete result[key]
    else {
      const merged = mergeField(fields?.get(key), result[key], value)
      if (merged === undefined) delete result[key]
      else result[key] = merged
    }
  }
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(orderPrefix)) continue
    const name = key.slice(orderPrefix.length)
    if (Array.isArray(result[name]))
      result[name] = inOrder(asArray(result[name]), asArray(order), fields?.get(name))
  }
  return result
}

function mergeField(field: Field | undefined, original: unknown, patch: unknown): unknown {
  if (isObject(patch)) {
    const model = field?.type.is === 'object' ? field.type.model : undefined
    if (field?.strategy === 'replace') return patch
    return mergeObject(model, isObject(original) ? original : {}, patch)
  }
  if (!Array.isArray(patch)) return patch
  const key = field?.merge.patchKey
  if (key === undefined) return patch
  return mergeList(field, key, asArray(original), patch)
}

function mergeList(
  field: Field | undefined,
  key: string,
  original: readonly unknown[],
  patch: readonly unknown[],
): readonly unknown[] {
  if (key === '') return [...original, ...patch.filter((item) => !original.some((one) => equal(one, item)))]
  if (patch.some((item) => isObject(item) && item['$patch'] === 'replace' && item[key] === undefined)) {
    return patch.filter((item) => !(isObject(item) && item['$patch'] === 'replace'))
  }
  const model =
    field?.type.is === 'list' && field.type.items.is === 'object' ? field.type.items.model : undefined
  const result: unknown[] = [...original]
  for (const item of patch) {
    if (!isObject(item)) continue
    if (item[key] === undefined) {
      throw badRequest(`map: map[] does not contain declared merge key: ${key}`)
    }
    const index = result.findIndex((one) => isObject(one) && equal(one[key], item[key]))
    if (index < 0) {
      const added = mergeObject(model, {}, item)
      if (added !== undefined) result.push(added)
      continue
    }
    const before = result[index]
    const merged = mergeObject(model, isObject(before) ? before : {}, item)
    if (merged === undefined) result.splice(index, 1)
    else result[index] = merged
  }
  return result
}

function inOrder(
  items: readonly unknown[],
  order: readonly unknown[],
  field: Field | undefined,
): readonly unknown[] {
  const key = field?.merge.patchKey ?? ''
  const idOf = (item: unknown): unknown => (isObject(item) && key !== '' ? item[key] : item)
  const position = (item: unknown): number => {
    const index = order.findIndex((one) => equal(idOf(one), idOf(item)))
    return index < 0 ? order.length : index
  }
  return items
    .map((item, index) => ({ item, index, position: position(item) }))
    .sort((a, b) => a.position - b.position || a.index - b.index)
    .map(({ item }) => item)
}

function withoutDirectives(patch: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')))
}
