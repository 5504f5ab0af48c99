/**
 * Serves what CustomResourceDefinitions define, while they are there: pruned, defaulted and validated by
 * their structural schemas (Kubernetes documentation, "Extend the Kubernetes API with
 * CustomResourceDefinitions"). CEL rules and conversion webhooks are not run.
 */
import {
  asArray,
  asNumber,
  asObject,
  asString,
  at,
  equal,
  isObject,
  type JsonObject,
  type MutableJson,
} from './json.ts'
import type { KubeObject } from './registry.ts'
import type { ResourceDefinition, ServedResource } from './resources.ts'
import type { StatusCause } from './status-error.ts'
import type { Storage } from './storage.ts'

/** Keeps the storage's resource table in step with its definitions, for as long as the storage lives. */
export function followDefinitions(storage: Storage): void {
  storage.onCommit(({ key, type, object }) => {
    if (key.resource !== 'customresourcedefinitions') return
    const definition = definitionOf(object)
    storage.resources.removeCustom(definition)
    if (type !== 'DELETED') {
      const served = asArray(at(object, 'spec', 'versions')).filter(
        (version) => at(version, 'served') === true,
      )
      storage.resources.addCustom(
        definition,
        served.map((version) => asString(at(version, 'name'))),
      )
    }
    storage.forgetDefinition(definition)
  })
}

function definitionOf(custom: KubeObject): ResourceDefinition {
  const text = (...path: readonly string[]): string => asString(at(custom, 'spec', ...path))
  const versions = asArray(at(custom, 'spec', 'versions'))
  const stored = versions.find((version) => at(version, 'storage') === true) ?? versions[0]
  const subresources = at(stored, 'subresources')
  return {
    group: text('group'),
    resource: text('names', 'plural'),
    version: asString(at(stored, 'name')),
    kind: text('names', 'kind'),
    listKind: text('names', 'listKind'),
    singular: text('names', 'singular'),
    namespaced: text('scope') === 'Namespaced',
    shortNames: asArray(at(custom, 'spec', 'names', 'shortNames')).map(asString),
    categories: asArray(at(custom, 'spec', 'names', 'categories')).map(asString),
    generation: true,
    status: isObject(at(subresources, 'status')),
    scale: isObject(at(subresources, 'scale')),
    model: undefined,
    custom,
  }
}

function schemaOf(custom: KubeObject | undefined, version: string): JsonObject {
  const versions = asArray(at(custom, 'spec', 'versions'))
  return asObject(
    at(
      versions.find((one) => at(one, 'name') === version),
      'schema',
      'openAPIV3Schema',
    ),
  )
}

/** A client's object as its schema has it: without fields that nobody declared, with the defaults. */
export function completed(
  served: ServedResource,
  value: JsonObject,
): { readonly value: JsonObject; readonly unknown: readonly string[] } {
  const unknown: string[] = []
  const { apiVersion, kind, metadata, ...content } = value
  const schema = schemaOf(served.definition.custom, served.version)
  return { value: { apiVersion, kind, metadata, ...completeObject(schema, content, '', unknown) }, unknown }
}

function complete(schema: JsonObject, value: unknown, path: string, unknown: string[]): unknown {
  if (isObject(value)) return completeObject(schema, value, path, unknown)
  if (!Array.isArray(value)) return value
  const items = asObject(schema['items'])
  return value.map((item, index) => complete(items, item, `${path}[${index}]`, unknown))
}

function completeObject(schema: JsonObject, value: JsonObject, path: string, unknown: string[]): JsonObject {
  const properties = asObject(schema['properties'])
  const more = schema['additionalProperties']
  const keeps = schema['x-kubernetes-preserve-unknown-fields'] === true
  const result: MutableJson = {}
  for (const [key, inner] of Object.entries(value)) {
    const where = path === '' ? key : `${path}.${key}`
    const declared = properties[key]
    if (isObject(declared)) {
      if (inner !== null || declared['nullable'] === true)
        result[key] = complete(declared, inner, where, unknown)
    } else if (isObject(more)) result[key] = complete(more, inner, where, unknown)
    else if (more === true || keeps) result[key] = inner
    else unknown.push(`unknown field "${where}"`)
  }
  for (const [key, declared] of Object.entries(properties)) {
    const standard = at(declared, 'default')
    if (result[key] === undefined && standard !== undefined) {
      result[key] = complete(asObject(declared), standard, path === '' ? key : `${path}.${key}`, [])
    }
  }
  return result
}

/** What of a custom resource its schema does not allow. */
export function violations(definition: ResourceDefinition, object: KubeObject): readonly StatusCause[] {
  const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, ...content } = object
  const causes: StatusCause[] = []
  check(schemaOf(definition.custom, definition.version), content, '', causes)
  return causes
}

const typeNames: Readonly<Record<string, (value: unknown) => boolean>> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  number: (value) => typeof value === 'number',
  integer: (value) => Number.isInteger(value),
}

function jsonType(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}

function check(schema: JsonObject, value: unknown, path: string, causes: StatusCause[]): void {
  const field = path === '' ? '<nil>' : path
  const invalid = (detail: string): void => {
    causes.push({
      reason: 'FieldValueInvalid',
      message: `Invalid value: ${JSON.stringify(value)}: ${detail}`,
      field,
    })
  }
  const where = path === '' ? 'body' : path
  const type = asString(schema['type'])
  const isInt = schema['x-kubernetes-int-or-string'] === true
  if (type !== '' && !isInt && typeNames[type]?.(value) === false) {
    if (value === null && schema['nullable'] === true) return
    const message = `Invalid value: "${jsonType(value)}": ${where} in body must be of type ${type}: "${jsonType(value)}"`
    causes.push({ reason: 'FieldValueTypeInvalid', message, field })
    return
  }
  const allowed = schema['enum']
  if (Array.isArray(allowed) && !allowed.some((one) => equal(one, value))) {
    const list = allowed.map((one) => JSON.stringify(one)).join(', ')
    const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${list}`
    causes.push({ reason: 'FieldValueNotSupported', message, field })
  }
  if (typeof value === 'number') {
    const least = asNumber(schema['minimum'])
    const most = asNumber(schema['maximum'])
    if (least !== undefined && value < least)
      invalid(`${where} in body should be greater than or equal to ${least}`)
    if (most !== undefined && value > most)
      invalid(`${where} in body should be less than or equal to ${most}`)
  }
  if (typeof value === 'string') {
    const pattern = asString(schema['pattern'])
    if (pattern !== '' && !new RegExp(pattern, 'u').test(value))
      invalid(`${where} in body should match '${pattern}'`)
    const least = asNumber(schema['minLength'])
    const most = asNumber(schema['maxLength'])
    if (least !== undefined && value.length < least)
      invalid(`${where} in body should be at least ${least} chars long`)
    if (most !== undefined && value.length > most) invalid(`may not be more than ${most} bytes`)
  }
  if (Array.isArray(value)) {
    const items = asObject(schema['items'])
    for (const [index, item] of value.entries()) check(items, item, `${path}[${index}]`, causes)
  }
  if (isObject(value)) checkObject(schema, value, path, causes)
}

function checkObject(schema: JsonObject, value: JsonObject, path: string, causes: StatusCause[]): void {
  const inside = (key: string): string => (path === '' ? key : `${path}.${key}`)
  for (const key of asArray(schema['required']).map(asString)) {
    const isMeta = path === '' && (key === 'metadata' || key === 'kind' || key === 'apiVersion')
    if (value[key] === undefined && !isMeta) {
      causes.push({ reason: 'FieldValueRequired', message: 'Required value', field: inside(key) })
    }
  }
  const properties = asObject(schema['properties'])
  const more = asObject(schema['additionalProperties'])
  for (const [key, inner] of Object.entries(value)) {
    if (inner !== undefined) check(asObject(properties[key] ?? more), inner, inside(key), causes)
  }
}
