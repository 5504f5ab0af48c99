/**
 * OpenAPI documents, as far as kubectl reads them: apply looks for merge keys and for `fieldValidation`,
 * explain for fields and their descriptions. Made from the schema of the client library; descriptions are
 * read from its type declarations when first asked for, so that they cost nothing else.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { asArray, asObject, at, isObject, type JsonObject, type MutableJson } from './json.ts'
import { protobufFields } from './protobuf-fields.ts'
import { groupVersion, type ResourceTable, type ServedResource } from './resources.ts'
import { fieldsOf, type Field, type FieldType } from './schema.ts'

/** The version that each model belongs to, by its group's package in the API. */
const packages = new Map(
  protobufFields
    .trim()
    .split('\n')
    .map((line) => {
      const [model = '', group = ''] = line.split(' ')
      return [model, group]
    }),
)

function schemaName(model: string): string {
  const [, version = 'v1', kind = model] = /^[A-Za-z]*?(V\d+(?:(?:alpha|beta)\d+)?)(.*)$/.exec(model) ?? []
  const group = packages.get(model)
  if (group === 'meta') return `io.k8s.apimachinery.pkg.apis.meta.v1.${kind}`
  if (group === undefined) return `io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.${kind}`
  return `io.k8s.api.${group}.${version.toLowerCase()}.${kind}`
}

interface Dialect {
  /** Where references point: v2 and v3 differ. */
  readonly prefix: string
}

const v2: Dialect = { prefix: '#/definitions/' }
const v3: Dialect = { prefix: '#/components/schemas/' }

interface Declaration {
  readonly description: string
  readonly fields: ReadonlyMap<string, { readonly description: string; readonly required: boolean }>
}

const declarations = new Map<string, Declaration>()
const modelsFolder = new URL('./gen/models/', import.meta.resolve('@kubernetes/client-node'))

/** Reads what the client library's declarations say of a model. */
function declarationOf(model: string): Declaration {
  let declaration = declarations.get(model)
  if (declaration === undefined) declarations.set(model, (declaration = readDeclaration(model)))
  return declaration
}

function readDeclaration(model: string): Declaration {
  const text = readFileSync(fileURLToPath(new URL(`${model}.d.ts`, modelsFolder)), 'utf8')
  const own = /\/\*\*\n\* ((?:(?!\*\/)[\s\S])*?)\n\*\/\nexport declare class/.exec(text)?.[1] ?? ''
  const fields = new Map<string, { description: string; required: boolean }>()
  const pattern = /(?: {4}\/\*\*\n {4}\* ((?:(?!\*\/)[\s\S])*?)\n {4}\*\/\n)? {4}'([^']+)'(\?)?:/g
  for (const [, comment = '', name = '', optional] of text.matchAll(pattern)) {
    fields.set(name, { description: plain(comment), required: optional === undefined })
  }
  return { description: plain(own), fields }
}

function plain(comment: string): string {
  return comment.replaceAll("\\'", "'").replaceAll('\\"', '"')
}

function typeSchema(type: FieldType, format: string, dialect: Dialect, used: Set<string>): JsonObject {
  switch (type.is) {
    case 'string':
      return { type: 'string' }
    case 'bytes':
      return { type: 'string', format: 'byte' }
    case 'time':
      return { type: 'string', format: 'date-time' }
    case 'integer':
      return { type: 'integer', format: format === 'int64' ? 'int64' : 'int32' }
    case 'number':
      return { type: 'number', format: 'double' }
    case 'boolean':
      return { type: 'boolean' }
    case 'int-or-string':
      return { type: 'string', format: 'int-or-string' }
    case 'any':
      return { type: 'object' }
    case 'list':
      return { type: 'array', items: typeSchema(type.items, format, dialect, used) }
    case 'map':
      return {
        type: 'object',
        additionalProperties:
          type.values.is === 'any' ? { type: 'string' } : typeSchema(type.values, format, dialect, used),
      }
    case 'object': {
      used.add(type.model)
      const $ref = `${dialect.prefix}${schemaName(type.model)}`
      return dialect === v2 ? { $ref } : { allOf: [{ $ref }] }
    }
  }
}

function fieldSchema(field: Field, description: string, dialect: Dialect, used: Set<string>): JsonObject {
  const { merge, strategy } = field
  const schema: MutableJson = { ...typeSchema(field.type, field.format, dialect, used) }
  if (description !== '') schema['description'] = description
  if (field.type.is === 'list') {
    schema['x-kubernetes-list-type'] = merge.type
    if (merge.type === 'map') schema['x-kubernetes-list-map-keys'] = merge.keys
    if (merge.patchKey !== undefined) {
      if (merge.patchKey !== '') schema['x-kubernetes-patch-merge-key'] = merge.patchKey
      schema['x-kubernetes-patch-strategy'] = merge.retainKeys ? 'merge,retainKeys' : 'merge'
    }
  } else {
    if (field.atomic && field.type.is === 'map') schema['x-kubernetes-map-type'] = 'atomic'
    if (strategy !== 'merge') schema['x-kubernetes-patch-strategy'] = strategy
  }
  return schema
}

function modelSchema(model: string, dialect: Dialect, used: Set<string>): MutableJson {
  const { description, fields: declared } = declarationOf(model)
  const properties: MutableJson = {}
  const required: string[] = []
  for (const field of fieldsOf(model)?.values() ?? []) {
    const said = declared.get(field.name)
    properties[field.name] = fieldSchema(field, said?.description ?? '', dialect, used)
    if (said?.required === true) required.push(field.name)
  }
  return { description, type: 'object', ...(required.length > 0 ? { required } : {}), properties }
}

/** The schemas of these models and of all that they refer to. */
function schemasOf(roots: readonly ServedResource[], dialect: Dialect): MutableJson {
  const used = new Set<string>(roots.flatMap(({ model }) => (model === undefined ? [] : [model])))
  if (roots.some(({ model }) => model === undefined)) used.add('V1ObjectMeta')
  const schemas: MutableJson = {}
  // Grows while it is walked: a set hands out what is added on the way.
  for (const model of used) schemas[schemaName(model)] = modelSchema(model, dialect, used)
  for (const served of roots) {
    const kinds = [{ group: served.group, kind: served.kind, version: served.version }]
    const name = served.model === undefined ? customName(served) : schemaName(served.model)
    const schema = served.model === undefined ? customSchema(served, dialect) : asObject(schemas[name])
    schemas[name] = { ...schema, 'x-kubernetes-group-version-kind': kinds }
  }
  return schemas
}

function customName({ group, version, kind }: ServedResource): string {
  return `${group.split('.').toReversed().join('.')}.${version}.${kind}`
}

function customSchema({ definition, version }: ServedResource, dialect: Dialect): JsonObject {
  const versions = asArray(at(definition.custom, 'spec', 'versions'))
  const declared = at(
    versions.find((one) => at(one, 'name') === version),
    'schema',
    'openAPIV3Schema',
  )
  const schema = isObject(declared) ? declared : { type: 'object' }
  const text = { type: 'string' }
  const $ref = `${dialect.prefix}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`
  return {
    ...schema,
    properties: {
      ...asObject(schema['properties']),
      apiVersion: text,
      kind: text,
      metadata: dialect === v2 ? { $ref } : { allOf: [{ $ref }] },
    },
  }
}

const writeParameters = ['dryRun', 'fieldManager', 'fieldValidation'].map((name) => ({
  name,
  in: 'query',
  description: `See ${name} in the Kubernetes API concepts.`,
  schema: { type: 'string', uniqueItems: true },
}))

function pathsOf(resources: readonly ServedResource[]): MutableJson {
  const paths: MutableJson = {}
  for (const served of resources) {
    const { group, version, resource, kind } = served
    const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
    const collection = served.definition.namespaced
      ? `${base}/namespaces/{namespace}/${resource}`
      : `${base}/${resource}`
    const operation = (action: string, parameters: readonly unknown[] = []): JsonObject => ({
      operationId: `${action}${version}${kind}`,
      ...(parameters.length > 0 ? { parameters } : {}),
      responses: { '200': { description: 'OK' } },
      'x-kubernetes-action': action,
      'x-kubernetes-group-version-kind': { group, version, kind },
    })
    paths[collection] = { get: operation('list'), post: operation('post', writeParameters) }
    paths[`${collection}/{name}`] = {
      get: operation('get'),
      put: operation('put', writeParameters),
      patch: operation('patch', writeParameters),
      delete: operation('delete'),
    }
  }
  return paths
}

const v3Cache = new WeakMap<ResourceTable, { revision: number; documents: Map<string, unknown> }>()
const builtInCache = new Map<string, unknown>()

/** `GET /openapi/v3`: where the document of each group and version is. */
export function openApiV3Index(table: ResourceTable): unknown {
  const paths: MutableJson = {}
  for (const [group, versions] of table.groups()) {
    for (const version of versions.keys()) {
      const path = group === '' ? `api/${version}` : `apis/${groupVersion(group, version)}`
      paths[path] = {
        serverRelativeURL: `/openapi/v3/${path}?hash=${table.revision.toString(16).toUpperCase()}`,
      }
    }
  }
  return { paths }
}

/** `GET /openapi/v3/apis/GROUP/VERSION`; undefined for what is not served. */
export function openApiV3Document(table: ResourceTable, path: string, version: string): unknown {
  let cache = v3Cache.get(table)
  if (cache?.revision !== table.revision)
    v3Cache.set(table, (cache = { revision: table.revision, documents: new Map() }))
  const known = cache.documents.get(path) ?? builtInCache.get(`${version} ${path}`)
  if (known !== undefined) return known
  const parts = path.split('/')
  const [group, apiVersion] = parts[0] === 'api' ? ['', parts[1]] : [parts[1], parts[2]]
  if (group === undefined || apiVersion === undefined) return undefined
  const resources = table.groups().get(group)?.get(apiVersion)
  if (resources === undefined) return undefined
  const document = {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version },
    paths: pathsOf(resources),
    components: { schemas: schemasOf(resources, v3) },
  }
  if (resources.every(({ model }) => model !== undefined)) builtInCache.set(`${version} ${path}`, document)
  else cache.documents.set(path, document)
  return document
}

/** `GET /openapi/v2`: everything in one document, as JSON only. */
export function openApiV2(table: ResourceTable, version: string): unknown {
  const resources = table.all().filter(({ group }) => group !== 'metrics.k8s.io')
  return {
    swagger: '2.0',
    info: { title: 'Kubernetes', version },
    paths: pathsOf(resources),
    definitions: schemasOf(resources, v2),
  }
}

/** What client-go is told of the second version, which it asks for in nothing else (it asks with `@v1.0`). */
export const openApiV2Protobuf = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

/**
 * The second version without any path or definition, in the encoding of gnostic's `openapi.v2.Document`:
 * whoever reads it learns that there is nothing to be learned here, and goes on with built-in types.
 */
export function emptyOpenApiV2(version: string): Buffer {
  const field = (number: number, body: Buffer): Buffer =>
    Buffer.concat([Buffer.from([(number << 3) | 2, body.length]), body])
  const info = Buffer.concat([field(1, Buffer.from('Kubernetes')), field(2, Buffer.from(version))])
  return Buffer.concat([field(1, Buffer.from('2.0')), field(2, info), field(8, Buffer.alloc(0))])
}
