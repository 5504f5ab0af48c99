/**
 * Server-side apply and the ownership of fields (Kubernetes documentation, "Server-Side Apply"; KEP-555).
 * A set of fields is a set of paths, whose elements are written as in FieldsV1: `f:name`, `k:{…}`, `v:…`.
 *
 * Invariant: pure functions from objects to objects; `metadata.managedFields` is the only state. Types
 * without a schema (custom resources) are deduced: objects merge, lists are owned as a whole.
 */
import {
  asArray,
  asObject,
  asString,
  at,
  equal,
  isObject,
  trusted,
  withKey,
  type JsonObject,
  type MutableJson,
} from './json.ts'
import type { KubeObject, KubeObjectInput } from './registry.ts'
import { fieldsOf, type Field, type FieldType } from './schema.ts'
import { StatusError } from './status-error.ts'

/** Paths by their elements joined with `separator`. */
type FieldSet = Set<string>

interface ManagerEntry {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  readonly subresource: string
  readonly time: string
  readonly fields: FieldSet
}

export interface Writer {
  /** `fieldManager`, or the client's name. */
  readonly manager: string
  /** Version in which the client wrote. */
  readonly apiVersion: string
  /** Client library's type; undefined for custom resources. */
  readonly model: string | undefined
  readonly subresource: string
  /** RFC 3339. */
  readonly time: string
}

const separator = '\u001F'

/** Fields that nobody owns: the server sets them, or they identify the object. */
const unowned = new Set([
  'f:apiVersion',
  'f:kind',
  'f:metadata',
  ...[
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'clusterName',
    'generation',
    'managedFields',
    'resourceVersion',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ].map((name) => `f:metadata${separator}f:${name}`),
])

interface Walker {
  leaf(path: string, value: unknown): void
  /** A container that is there: an object, map or list that merges, or an item of one. */
  node(path: string, kind: 'object' | 'map' | 'list' | 'item'): void
}

const anything: FieldType = { is: 'any' }

function walkRoot(model: string | undefined, value: JsonObject, walker: Walker): void {
  walkObject(model === undefined ? anything : { is: 'object', model }, value, '', walker)
}

function join(path: string, element: string): string {
  return path === '' ? element : `${path}${separator}${element}`
}

function walkObject(type: FieldType, value: JsonObject, path: string, walker: Walker): void {
  const fields = type.is === 'object' ? fieldsOf(type.model) : undefined
  const values = type.is === 'map' ? type.values : anything
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined) continue
    const field = fields?.get(key)
    // The model has no apiVersion on some inner types; whatever it does not know is deduced.
    const here = join(path, `f:${key}`)
    const innerType =
      field?.type ?? (type.is === 'any' && path === '' && key === 'metadata' ? metadataType : values)
    walkValue(innerType, field, inner, here, walker)
  }
}

const metadataType: FieldType = { is: 'object', model: 'V1ObjectMeta' }

function walkValue(
  type: FieldType,
  field: Field | undefined,
  value: unknown,
  path: string,
  walker: Walker,
): void {
  if (isObject(value)) {
    const merges = type.is === 'object' || type.is === 'map' || type.is === 'any'
    if (!merges || field?.atomic === true || Object.keys(value).length === 0) walker.leaf(path, value)
    else {
      walker.node(path, type.is === 'object' ? 'object' : 'map')
      walkObject(type, value, path, walker)
    }
    return
  }
  if (!Array.isArray(value) || field === undefined || field.merge.type === 'atomic' || value.length === 0) {
    walker.leaf(path, value)
    return
  }
  walker.node(path, 'list')
  const items = type.is === 'list' ? type.items : anything
  for (const item of value) {
    if (field.merge.type === 'set') walker.leaf(join(path, `v:${JSON.stringify(item)}`), item)
    else {
      const here = join(path, itemElement(field, item))
      walker.node(here, 'item')
      if (isObject(item)) walkObject(items, item, here, walker)
    }
  }
}

function itemElement(field: Field, item: unknown): string {
  const keys = [...field.merge.keys].sort()
  const pairs = keys.flatMap((key) => {
    const value = at(item, key) ?? (key === 'protocol' ? 'TCP' : undefined)
    return value === undefined ? [] : [[key, value] as const]
  })
  return `k:${JSON.stringify(Object.fromEntries(pairs))}`
}

/** Objects that the Go types always have, so that their mere presence is nobody's doing. */
const structural = new Set([
  'metadata',
  'spec',
  'status',
  'strategy',
  'updateStrategy',
  'template',
  'resources',
  'containers',
  'jobTemplate',
])

function leaves(
  model: string | undefined,
  object: JsonObject,
): { values: Map<string, unknown>; nodes: FieldSet } {
  const values = new Map<string, unknown>()
  const nodes: FieldSet = new Set()
  walkRoot(model, object, {
    leaf: (path, value) => values.set(path, value),
    node: (path) => {
      const last = path.slice(path.lastIndexOf(separator) + 1)
      if (!(last.startsWith('f:') && structural.has(last.slice(2)))) nodes.add(path)
    },
  })
  return { values, nodes }
}

/** The fields of a configuration that is being applied: its leaves and its list items. */
function appliedFields(model: string | undefined, object: JsonObject): FieldSet {
  const fields: FieldSet = new Set()
  walkRoot(model, object, {
    leaf: (path) => fields.add(path),
    node: (path, kind) => {
      if (kind === 'item') fields.add(path)
    },
  })
  return owned(fields)
}

function owned(fields: FieldSet): FieldSet {
  for (const path of unowned) fields.delete(path)
  for (const path of fields) if (path.startsWith(`f:metadata${separator}f:managedFields`)) fields.delete(path)
  return fields
}

/** What a write of this subresource may own. */
function inScope(subresource: string, model: string | undefined, path: string): boolean {
  const isStatus = path === 'f:status' || path.startsWith(`f:status${separator}`)
  if (subresource === 'status') return isStatus
  return !isStatus || model === undefined
}

interface Difference {
  readonly changed: FieldSet
  readonly removed: FieldSet
}

function compare(model: string | undefined, before: JsonObject, after: JsonObject): Difference {
  const old = leaves(model, before)
  const now = leaves(model, after)
  const changed: FieldSet = new Set()
  const removed: FieldSet = new Set()
  for (const [path, value] of now.values) {
    if (!old.values.has(path) || !equal(old.values.get(path), value)) changed.add(path)
  }
  for (const path of now.nodes) if (!old.nodes.has(path)) changed.add(path)
  for (const path of old.values.keys()) if (!now.values.has(path) && !now.nodes.has(path)) removed.add(path)
  for (const path of old.nodes) if (!now.nodes.has(path) && !now.values.has(path)) removed.add(path)
  return { changed: owned(changed), removed }
}

// ---- managedFields, read and written

function parseFields(fields: JsonObject, path: string, into: FieldSet): FieldSet {
  for (const [element, inner] of Object.entries(fields)) {
    if (element === '.') {
      into.add(path)
      continue
    }
    const here = join(path, element)
    const children = asObject(inner)
    if (Object.keys(children).length === 0) into.add(here)
    else parseFields(children, here, into)
  }
  return into
}

function formatFields(fields: FieldSet): JsonObject {
  const root: MutableJson = {}
  for (const path of [...fields].sort()) {
    let here = root
    for (const element of path.split(separator)) {
      let next = here[element]
      if (!isObject(next)) {
        next = {}
        here[element] = next
      }
      here = trusted<MutableJson>(next)
    }
    here['.'] = {}
  }
  return trimSelf(root)
}

/** A leaf is written as `{}`; only what has children says of itself `.`. */
function trimSelf(node: MutableJson): JsonObject {
  const keys = Object.keys(node)
  if (keys.length === 1 && keys[0] === '.') return {}
  for (const key of keys) if (key !== '.') node[key] = trimSelf(trusted<MutableJson>(node[key]))
  return node
}

function parseManagers(object: KubeObject | undefined): ManagerEntry[] {
  return asArray(object?.metadata.managedFields).flatMap((entry) => {
    const operation = at(entry, 'operation')
    if (operation !== 'Apply' && operation !== 'Update') return []
    return [
      {
        manager: asString(at(entry, 'manager')),
        operation,
        apiVersion: asString(at(entry, 'apiVersion')),
        subresource: asString(at(entry, 'subresource')),
        time: asString(at(entry, 'time')),
        fields: parseFields(asObject(at(entry, 'fieldsV1')), '', new Set()),
      },
    ]
  })
}

function formatManagers(entries: readonly ManagerEntry[]): readonly unknown[] {
  return entries
    .filter(({ fields }) => fields.size > 0)
    .map(({ manager, operation, apiVersion, subresource, time, fields }) => ({
      manager,
      operation,
      apiVersion,
      ...(time === '' ? {} : { time }),
      fieldsType: 'FieldsV1',
      fieldsV1: formatFields(fields),
      ...(subresource === '' ? {} : { subresource }),
    }))
}

function without(fields: FieldSet, gone: FieldSet): FieldSet {
  return fields.difference(gone)
}

function withManagers<T extends KubeObjectInput>(
  object: T,
  entries: readonly ManagerEntry[],
  previous: unknown,
): T {
  const formatted = formatManagers(entries)
  const same = equal(withoutTimes(formatted), withoutTimes(asArray(previous)))
  const managedFields = same && Array.isArray(previous) ? previous : formatted
  return withKey(object, 'metadata', withKey({ ...object.metadata }, 'managedFields', managedFields))
}

function withoutTimes(entries: readonly unknown[]): readonly unknown[] {
  return entries.map((entry) => (isObject(entry) ? { ...entry, time: undefined } : entry))
}

/**
 * Records who wrote what in a create, update or patch: the writer owns all that it changed, others lose it.
 * `object` carries the managedFields to go on from; an empty list, or one empty entry, resets them.
 */
export function trackUpdate<T extends KubeObjectInput>(
  object: T,
  previous: KubeObject | undefined,
  writer: Writer,
): T {
  const given = object.metadata.managedFields
  const start = given ?? previous?.metadata.managedFields
  let entries = parseManagers(
    start === undefined || previous === undefined
      ? undefined
      : { ...previous, metadata: { ...previous.metadata, managedFields: start } },
  )
  const { changed, removed } = compare(writer.model, previous ?? {}, object)
  for (const path of changed) if (!inScope(writer.subresource, writer.model, path)) changed.delete(path)
  const isOwn = (entry: ManagerEntry): boolean =>
    entry.manager === writer.manager &&
    entry.operation === 'Update' &&
    entry.apiVersion === writer.apiVersion &&
    entry.subresource === writer.subresource
  entries = entries.map((entry) => ({
    ...entry,
    fields: without(isOwn(entry) ? entry.fields : without(entry.fields, changed), removed),
  }))
  if (changed.size > 0) {
    const own = entries.find(isOwn)
    const fields = own === undefined ? changed : own.fields.union(changed)
    const entry: ManagerEntry = { ...writer, operation: 'Update', fields }
    entries = own === undefined ? [...entries, entry] : entries.map((one) => (one === own ? entry : one))
  }
  return withManagers(object, entries, previous?.metadata.managedFields)
}

export interface ApplyRequest {
  readonly live: KubeObject | undefined
  /** The configuration, in the writer's version. */
  readonly applied: KubeObjectInput
  readonly writer: Writer
  readonly force: boolean
}

/** Merges a configuration into the live object. Throws 409 with one cause per field that others own. */
export function applyConfiguration({ live, applied, writer, force }: ApplyRequest): KubeObjectInput {
  const fields = appliedFields(writer.model, applied)
  for (const path of fields) if (!inScope(writer.subresource, writer.model, path)) fields.delete(path)
  const own = (entry: ManagerEntry): boolean =>
    entry.manager === writer.manager &&
    entry.operation === 'Apply' &&
    entry.subresource === writer.subresource
  const entry: ManagerEntry = { ...writer, operation: 'Apply', fields }
  if (live === undefined) return withManagers(applied, [entry], undefined)

  const entries = managersOf(live, writer)
  const merged = mergeObject({ is: 'object', model: writer.model ?? '' }, live, scoped(applied, writer))
  const { changed } = compare(writer.model, live, merged)
  const others = entries.filter((one) => !own(one))
  const conflicts = others
    .map((one) => ({ entry: one, paths: [...one.fields.intersection(changed).intersection(fields)] }))
    .filter(({ paths }) => paths.length > 0)
  if (conflicts.length > 0 && !force) throw applyConflict(conflicts)

  const before = entries.find(own)
  const othersFields = others.reduce<FieldSet>((all, one) => all.union(one.fields), new Set())
  const pruned = prune(
    merged,
    before === undefined ? [] : [...without(before.fields, fields)],
    othersFields.union(fields),
  )
  const kept = others.map((one) => ({ ...one, fields: without(one.fields, force ? changed : new Set()) }))
  const unchangedTime = before !== undefined && equal([...before.fields].sort(), [...fields].sort())
  const next = { ...entry, time: unchangedTime ? before.time : writer.time }
  const object: KubeObjectInput = { ...live, ...pruned, metadata: asObject(pruned['metadata']) }
  const place = before === undefined ? kept.length : entries.indexOf(before)
  return withManagers(object, kept.toSpliced(place, 0, next), live.metadata.managedFields)
}

function scoped(applied: KubeObjectInput, { subresource }: Writer): JsonObject {
  const { managedFields: _managedFields, ...metadata } = applied.metadata
  if (subresource === 'status') return { status: applied['status'] }
  return { ...applied, metadata }
}

/** Objects that nobody tracked belong to `before-first-apply`. */
function managersOf(live: KubeObject, writer: Writer): ManagerEntry[] {
  const entries = parseManagers(live)
  if (entries.length > 0) return entries
  const fields = appliedFields(writer.model, live)
  return [{ ...writer, manager: 'before-first-apply', operation: 'Update', subresource: '', fields }]
}

function mergeObject(type: FieldType, live: JsonObject, applied: JsonObject): JsonObject {
  const fields = type.is === 'object' ? fieldsOf(type.model) : undefined
  const result: MutableJson = { ...live }
  for (const [key, value] of Object.entries(applied)) {
    if (value === undefined) continue
    const field = fields?.get(key)
    const innerType = field?.type ?? (type.is === 'map' ? type.values : anything)
    result[key] = mergeValue(innerType, field, result[key], value)
  }
  return result
}

function mergeValue(type: FieldType, field: Field | undefined, live: unknown, applied: unknown): unknown {
  if (isObject(applied)) {
    const merges = type.is === 'object' || type.is === 'map' || type.is === 'any'
    return merges && field?.atomic !== true && isObject(live) ? mergeObject(type, live, applied) : applied
  }
  if (!Array.isArray(applied) || !Array.isArray(live) || field === undefined) return applied
  if (field.merge.type === 'set')
    return [...live, ...applied.filter((item) => !live.some((one) => equal(one, item)))]
  if (field.merge.type === 'atomic') return applied
  const items = type.is === 'list' ? type.items : anything
  const result: unknown[] = [...live]
  for (const item of applied) {
    const element = itemElement(field, item)
    const index = result.findIndex((one) => itemElement(field, one) === element)
    if (index < 0) result.push(item)
    else result[index] = mergeObject(items, asObject(result[index]), asObject(item))
  }
  return result
}

/** Removes what the applier owned before and no longer names, unless somebody owns it or a part of it. */
function prune(object: JsonObject, paths: readonly string[], kept: FieldSet): JsonObject {
  let result: unknown = object
  // Outermost first: an item that goes takes its fields along.
  for (const path of [...paths].sort((a, b) => a.length - b.length)) {
    const inside = `${path}${separator}`
    if (kept.has(path) || [...kept].some((other) => other.startsWith(inside))) continue
    result = removeAt(result, path.split(separator))
  }
  return asObject(result)
}

function removeAt(value: unknown, [element = '', ...rest]: readonly string[]): unknown {
  if (element.startsWith('f:')) {
    const key = element.slice(2)
    if (!isObject(value) || value[key] === undefined) return value
    const copy: MutableJson = { ...value }
    const inner = rest.length === 0 ? undefined : removeAt(copy[key], rest)
    const emptied = inner !== copy[key] && isEmpty(inner) && key !== 'metadata' && key !== 'spec'
    if (inner === undefined || emptied) delete copy[key]
    else copy[key] = inner
    return copy
  }
  if (!Array.isArray(value)) return value
  const matches = matcher(element)
  if (rest.length === 0) return value.filter((item) => !matches(item))
  return value.map((item: unknown) => (matches(item) ? removeAt(item, rest) : item))
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0
}

function matcher(element: string): (item: unknown) => boolean {
  const wanted: unknown = JSON.parse(element.slice(2))
  if (element.startsWith('v:')) return (item) => equal(item, wanted)
  return (item) =>
    Object.entries(asObject(wanted)).every(([key, value]) =>
      equal(at(item, key) ?? (key === 'protocol' ? 'TCP' : undefined), value),
    )
}

/** `.spec.containers[name="a"].image` */
function readable(path: string): string {
  return path
    .split(separator)
    .map((element) => {
      if (element.startsWith('f:')) return `.${element.slice(2)}`
      if (element.startsWith('v:')) return `[=${element.slice(2)}]`
      const keys = Object.entries(asObject(JSON.parse(element.slice(2))))
      return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`
    })
    .join('')
}

function applyConflict(
  conflicts: readonly { readonly entry: ManagerEntry; readonly paths: readonly string[] }[],
): StatusError {
  const named = conflicts.map(({ entry, paths }) => {
    const { manager, subresource, operation, apiVersion } = entry
    const who = `"${manager}"${subresource === '' ? '' : ` with subresource "${subresource}"`}${operation === 'Update' ? ` using ${apiVersion}` : ''}`
    return { who, paths: paths.map(readable).sort() }
  })
  const total = named.reduce((sum, { paths }) => sum + paths.length, 0)
  const text = named
    .map(({ who, paths }) =>
      paths.length === 1
        ? `conflict with ${who}: ${paths[0]}`
        : `conflicts with ${who}:\n${paths.map((path) => `- ${path}`).join('\n')}`,
    )
    .join('\n')
  const causes = named.flatMap(({ who, paths }) =>
    paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${who}`, field })),
  )
  return new StatusError(
    409,
    'Conflict',
    `Apply failed with ${total} conflict${total === 1 ? '' : 's'}: ${text}`,
    { causes },
  )
}
