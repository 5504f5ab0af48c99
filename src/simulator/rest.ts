/**
 * The verbs on stored resources: decode, merge, admit, store, answer. Between the router, which knows
 * paths and users, and the storage, which knows neither.
 *
 * Invariant: nothing between reading the live object and committing the new one is asynchronous, so that
 * no write is ever lost between them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { applyConfiguration, trackUpdate, type Writer } from './apply.ts'
import type { UserInfo } from './authorization.ts'
import { asArray, asObject, asString, at, isObject, trusted, withKey, type JsonObject } from './json.ts'
import {
  current,
  listOptionsInvalid,
  listPage,
  pageValue,
  reached,
  revisionOf,
  selectionOf,
  writePage,
} from './listing.ts'
import { answer, mediaType, objectBody, parseBody, wanted, type Wanted } from './negotiation.ts'
import { completed } from './custom-resources.ts'
import { jsonPatch, mergePatch, strategicPatch } from './patch.ts'
import { rowsTable } from './printers.ts'
import type { DeleteOptions, KubeObject, KubeObjectInput } from './registry.ts'
import { groupVersion, keyOf, type ServedResource } from './resources.ts'
import { decode, DecodeError } from './schema.ts'
import {
  badRequest,
  forbidden,
  invalid,
  methodNotAllowed,
  notFound,
  StatusError,
  unsupportedMediaType,
  type StatusCause,
} from './status-error.ts'
import { rfc3339, type Storage, type WriteOptions } from './storage.ts'
import { fromView, toView } from './views.ts'
import { metadataOnly, type WatchHub } from './watch.ts'

/** One request on a resource, after authentication and authorization. */
export interface ResourceCall {
  readonly verb: string
  readonly served: ServedResource
  readonly namespace: string | undefined
  readonly name: string
  readonly subresource: string
  readonly user: UserInfo
  readonly query: URLSearchParams
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Buffer
}

/** Shortest life of a watch without timeoutSeconds, as `--min-request-timeout`; the real one is up to twice that. */
const minWatchSeconds = 1_800

export class Rest {
  readonly #storage: Storage
  readonly #hub: WatchHub

  constructor(storage: Storage, hub: WatchHub) {
    this.#storage = storage
    this.#hub = hub
  }

  async handle(call: ResourceCall): Promise<void> {
    switch (call.verb) {
      case 'get':
        return this.#get(call)
      case 'list':
        return await this.#list(call)
      case 'watch':
        return await this.#watch(call)
      case 'create':
        return this.#create(call)
      case 'update':
        return this.#update(call)
      case 'patch':
        return this.#patch(call)
      case 'delete':
        return this.#delete(call)
      case 'deletecollection':
        return await this.#deleteCollection(call)
      default:
        throw methodNotAllowed()
    }
  }

  /** The object of a call. Throws 404. */
  find({ served, namespace, name }: ResourceCall): KubeObject {
    const object = this.#storage.get(served.definition, namespace ?? '', name)
    if (object === undefined) throw notFound(served, name)
    return object
  }

  /** Answers with one object in the wanted form. */
  reply(call: ResourceCall, code: number, object: KubeObject, warnings: readonly string[] = []): void {
    const form = wanted(call.request, call.query)
    answer(call.response, code, this.#shown(call.served, object, form), { yaml: form.yaml, warnings })
  }

  #shown(served: ServedResource, object: KubeObject, { as, table }: Wanted): unknown {
    if (as === 'table') return rowsTable(served, [object], table, this.#storage.now(), true)
    return as === 'metadata' ? metadataOnly(object) : toView(served, object)
  }

  #get(call: ResourceCall): void {
    this.reply(call, 200, this.find(call))
  }

  async #list(call: ResourceCall): Promise<void> {
    const { served, namespace, query, response } = call
    const form = wanted(call.request, query)
    const page = await listPage(this.#storage, selectionOf(served, namespace, query), query)
    if (form.yaml) answer(response, 200, pageValue(served, page), { yaml: true })
    else await writePage(response, this.#storage, served, page, form)
  }

  async #watch(call: ResourceCall): Promise<void> {
    const { served, namespace, query, response } = call
    const form = wanted(call.request, query)
    const selection = selectionOf(served, namespace, query)
    const sendInitial = query.get('sendInitialEvents')
    checkWatchOptions(query, sendInitial)
    const asked = revisionOf(query.get('resourceVersion'))
    const wantsState = sendInitial === null ? asked === undefined || asked === 0 : isTrue(sendInitial)
    if (wantsState && asked !== undefined) await reached(this.#storage, asked)
    const bookmarks = isTrue(query.get('allowWatchBookmarks'))
    const state = wantsState ? current(this.#storage, selection) : undefined
    const { matches } = selection
    const seconds = Number(query.get('timeoutSeconds') ?? '0')
    const lifetime = seconds > 0 ? seconds : minWatchSeconds * (1 + this.#storage.random())
    this.#hub.add({
      served,
      namespace,
      matches,
      from: wantsState || asked === undefined ? this.#storage.revision : asked,
      initial: state === undefined || matches === undefined ? state : state.filter(matches),
      marksInitialEnd: wantsState && sendInitial !== null && bookmarks,
      bookmarks,
      timeoutMs: lifetime * 1000,
      format: form.as === 'table' ? form.table : form.as,
      response,
    })
  }

  #create(call: ResourceCall): void {
    const { served, namespace } = call
    const { object, warnings } = decoded(call, objectBody(call.body, mediaType(call.request), served.model))
    const { metadata } = object
    checkIdentity(call, object)
    if ((metadata.name ?? '') === '' && (metadata.generateName ?? '') === '') {
      const causes = [
        {
          reason: 'FieldValueRequired',
          message: 'Required value: name or generateName is required',
          field: 'metadata.name',
        },
      ]
      throw invalid(served.definition.group, served.definition.kind, '', causes)
    }
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== '') {
      // 500 without a reason: the API server never made this a 400.
      throw new StatusError(500, '', 'resourceVersion should not be set on objects to be created')
    }
    const input: KubeObjectInput = {
      ...stripped(served, object),
      metadata: { ...withoutServerFields(metadata), ...(namespace === undefined ? {} : { namespace }) },
    }
    const created = this.#storage.create(served.definition, input, this.#options(call))
    this.reply(call, 201, created, warnings)
  }

  #update(call: ResourceCall): void {
    const { served } = call
    const { object, warnings } = decoded(call, objectBody(call.body, mediaType(call.request), served.model))
    checkIdentity(call, object)
    const live = this.find(call)
    const updated = this.#storage.update(served.definition, placed(call, object, live), this.#options(call))
    this.reply(call, 200, updated, warnings)
  }

  #patch(call: ResourceCall): void {
    const type = mediaType(call.request)
    if (type === 'application/apply-patch+yaml') {
      this.#apply(call)
      return
    }
    const { served } = call
    if (!patchTypes(served).includes(type)) throw unsupportedMediaType(patchTypes(served))
    if (call.query.get('force') !== null) {
      const message = 'Forbidden: may not be specified for non-apply patch'
      throw invalid('meta.k8s.io', 'PatchOptions', '', [
        { reason: 'FieldValueForbidden', message, field: 'force' },
      ])
    }
    const live = this.find(call)
    const { object, warnings } = patched(call, live, type)
    const input = { ...object, metadata: { ...object.metadata, name: live.metadata.name } }
    const updated = this.#storage.update(served.definition, placed(call, input, live), this.#options(call))
    this.reply(call, 200, updated, warnings)
  }

  #apply(call: ResourceCall): void {
    const { served, namespace, name, query, subresource } = call
    if ((query.get('fieldManager') ?? '') === '') {
      throw invalid('meta.k8s.io', 'PatchOptions', '', [
        {
          reason: 'FieldValueRequired',
          message: 'Required value: is required for apply patch',
          field: 'fieldManager',
        },
      ])
    }
    const configuration = objectBody(call.body, 'application/yaml')
    checkDeclared(call, configuration)
    const { object: applied, warnings } = decoded(call, configuration)
    checkIdentity(call, applied)
    if (applied.metadata.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil')
    const live = this.#storage.get(served.definition, namespace ?? '', name)
    if (live === undefined && subresource !== '') throw notFound(served, name)
    const given = applied.metadata.uid
    if (live === undefined && given !== undefined) throw conflictOfUid(served, name)
    const merged = applyConfiguration({
      live,
      applied: stripped(served, { ...applied, metadata: { ...applied.metadata, name } }, subresource),
      writer: this.#writer(call),
      force: isTrue(query.get('force')),
    })
    const dryRun = isDryRun(query)
    if (live === undefined) {
      const input = {
        ...merged,
        metadata: { ...merged.metadata, ...(namespace === undefined ? {} : { namespace }) },
      }
      this.reply(call, 201, this.#storage.create(served.definition, input, { dryRun }), warnings)
      return
    }
    const updated = this.#storage.update(served.definition, merged, { dryRun, subresource })
    this.reply(call, 200, updated, warnings)
  }

  #delete(call: ResourceCall): void {
    const { served, namespace, name, query } = call
    const before = this.find(call)
    const options = deleteOptions(call)
    const after = this.#storage.delete(served.definition, namespace ?? '', name, options, {
      dryRun: isDryRun(query),
    })
    const remains =
      this.#storage.get(served.definition, namespace ?? '', name)?.metadata.uid === before.metadata.uid
    if ((remains && !isDryRun(query)) || returnsObject.has(keyOf(served.definition)))
      this.reply(call, 200, after)
    else {
      const { group, resource } = served
      const details = { name, ...(group === '' ? {} : { group }), kind: resource, uid: before.metadata.uid }
      answer(call.response, 200, {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Success',
        details,
      })
    }
  }

  async #deleteCollection(call: ResourceCall): Promise<void> {
    const { served, namespace, query } = call
    const options = deleteOptions(call)
    const page = await listPage(this.#storage, selectionOf(served, namespace, query), query)
    const gone = page.items.map((object) =>
      this.#storage.delete(
        served.definition,
        object.metadata.namespace ?? '',
        object.metadata.name,
        options,
        {
          dryRun: isDryRun(query),
        },
      ),
    )
    answer(call.response, 200, pageValue(served, { ...page, items: gone }))
  }

  #options(call: ResourceCall): WriteOptions {
    const writer = this.#writer(call)
    return {
      dryRun: isDryRun(call.query),
      subresource: call.subresource,
      track: (object, previous) => trackUpdate(object, previous, writer),
    }
  }

  #writer({ served, query, request, subresource }: ResourceCall): Writer {
    const { definition } = served
    return {
      manager: managerOf(query, request),
      apiVersion: groupVersion(served.group, served.version),
      model: definition.model,
      subresource,
      time: rfc3339(this.#storage.now()),
    }
  }
}

/** Kinds whose deletion answers with the object that went. */
const returnsObject = new Set([
  '/pods',
  '/services',
  '/serviceaccounts',
  '/persistentvolumeclaims',
  '/persistentvolumes',
  '/resourcequotas',
  '/podtemplates',
])

export function isTrue(value: string | null): boolean {
  return value === 'true' || value === '1'
}

/** Throws 422 for anything but `All`. */
export function isDryRun(query: URLSearchParams): boolean {
  const value = query.get('dryRun')
  if (value === null || value === '') return false
  if (value === 'All') return true
  throw invalid('meta.k8s.io', 'CreateOptions', '', [
    {
      reason: 'FieldValueNotSupported',
      message: `Unsupported value: "${value}": supported values: "All"`,
      field: 'dryRun',
    },
  ])
}

/** The field manager: named by the client, else the first word of its name. */
function managerOf(query: URLSearchParams, request: IncomingMessage): string {
  const named = query.get('fieldManager')
  if (named !== null && named !== '') return named
  return (request.headers['user-agent'] ?? 'unknown').split('/')[0]!.slice(0, 128)
}

function checkWatchOptions(query: URLSearchParams, sendInitial: string | null): void {
  const match = query.get('resourceVersionMatch') ?? ''
  const causes: StatusCause[] = []
  const refuse = (message: string): void => {
    causes.push({
      reason: 'FieldValueForbidden',
      message: `Forbidden: ${message}`,
      field: 'resourceVersionMatch',
    })
  }
  if (sendInitial !== null && match !== 'NotOlderThan') {
    refuse('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
  }
  if (match !== '') {
    if (sendInitial === null)
      refuse('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided')
    if (match !== 'NotOlderThan') {
      const message = `Unsupported value: "${match}": supported values: "NotOlderThan"`
      causes.push({ reason: 'FieldValueNotSupported', message, field: 'resourceVersionMatch' })
    }
    if ((query.get('continue') ?? '') !== '')
      refuse('resourceVersionMatch is forbidden when continue is provided')
  }
  if (causes.length > 0) throw listOptionsInvalid(causes)
}

interface Incoming {
  readonly object: KubeObjectInput
  readonly warnings: readonly string[]
}

/** Reads a client's object: types checked, unknown fields dropped as `fieldValidation` says, storage version. */
function decoded(call: ResourceCall, value: JsonObject): Incoming {
  const { served } = call
  const expected = groupVersion(served.group, served.version)
  const apiVersion = value['apiVersion']
  const kind = value['kind']
  const what = `${asString(kind) || served.kind} in version "${served.version}" cannot be handled as a ${served.kind}`
  if (kind !== undefined && kind !== '' && kind !== served.kind) {
    throw badRequest(
      `${what}: converting (${asString(apiVersion)}.${asString(kind)}) to (${expected}.${served.kind}): unknown conversion`,
    )
  }
  if (apiVersion !== undefined && apiVersion !== '' && apiVersion !== expected) {
    throw badRequest(
      `the API version in the data (${asString(apiVersion)}) does not match the expected API version (${expected})`,
    )
  }
  const full: JsonObject = {
    ...value,
    apiVersion: expected,
    kind: served.kind,
    metadata: asObject(value['metadata']),
  }
  const result = typed(served, full, what)
  const mode = call.query.get('fieldValidation') ?? 'Warn'
  if (mode === 'Strict' && result.unknown.length > 0) {
    throw badRequest(`${what}: strict decoding error: ${result.unknown.join(', ')}`)
  }
  if (mode !== 'Strict' && mode !== 'Warn' && mode !== 'Ignore' && mode !== '') {
    throw invalid('meta.k8s.io', 'CreateOptions', '', [
      {
        reason: 'FieldValueNotSupported',
        message: `Unsupported value: "${mode}": supported values: "Ignore", "Strict", "Warn"`,
        field: 'fieldValidation',
      },
    ])
  }
  return {
    object: fromView(served, trusted<KubeObjectInput>(result.value)),
    warnings: mode === 'Ignore' ? [] : result.unknown,
  }
}

/**
 * Of an applied configuration every field has to be in the schema, whatever `fieldValidation` says; the API server made
 * this a 500 without a reason.
 */
function checkDeclared({ served, name }: ResourceCall, configuration: JsonObject): void {
  const { model, kind } = served
  if (model === undefined) return
  const fields = typed(served, configuration, kind).unknown.map((text) => {
    const path = text.slice(text.indexOf('"') + 1, -1)
    return `.${withListKeys(configuration, path)}: field not declared in schema`
  })
  if (fields.length === 0) return
  const all = fields.length === 1 ? fields[0] : `errors:\n${fields.map((field) => `  ${field}`).join('\n')}`
  const what = `${asString(at(configuration, 'metadata', 'namespace'))}/${name}; ${served.group}/${served.version}, Kind=${kind}`
  throw new StatusError(500, '', `failed to create typed patch object (${what}): ${all}`)
}

/** `containers[0].x` → `containers[name="app"].x`, where the item has a name. */
function withListKeys(object: JsonObject, path: string): string {
  let here: unknown = object
  return path
    .split(/(?=\.|\[\d+\])/)
    .map((part) => {
      const index = /^\[(\d+)\]$/.exec(part)?.[1]
      here = index === undefined ? at(here, part.replace(/^\./, '')) : asArray(here)[Number(index)]
      const key = at(here, 'name')
      return index !== undefined && typeof key === 'string' ? `[name=${JSON.stringify(key)}]` : part
    })
    .join('')
}

function typed(
  served: ServedResource,
  value: JsonObject,
  what: string,
): { value: JsonObject; unknown: readonly string[] } {
  try {
    if (served.model !== undefined) return decode(served.model, value)
    const metadata = decode('V1ObjectMeta', asObject(value['metadata']))
    const content = completed(served, { ...value, metadata: metadata.value })
    const unknown = metadata.unknown.map((text) => text.replace('"', '"metadata.'))
    return { value: content.value, unknown: [...unknown, ...content.unknown] }
  } catch (error) {
    if (error instanceof DecodeError) throw badRequest(`${what}: ${error.message}`)
    throw error
  }
}

function checkIdentity({ namespace, name, served }: ResourceCall, { metadata }: KubeObjectInput): void {
  if (name !== '' && metadata.name !== undefined && metadata.name !== name) {
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`)
  }
  if (!served.definition.namespaced || namespace === undefined) return
  if (metadata.namespace !== undefined && metadata.namespace !== '' && metadata.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  }
}

/** Kinds that clients may create together with a status. */
const keepsStatus = new Set(['/nodes'])

/** Without what clients may not set through this endpoint. */
function stripped(served: ServedResource, object: KubeObjectInput, subresource = ''): KubeObjectInput {
  if (!served.definition.status || subresource === 'status' || keepsStatus.has(keyOf(served.definition)))
    return object
  return withKey(object, 'status', undefined)
}

/** Without what only the server says. */
function withoutServerFields(metadata: KubeObjectInput['metadata']): KubeObjectInput['metadata'] {
  const {
    managedFields: _managed,
    creationTimestamp: _created,
    uid: _uid,
    generation: _generation,
    ...rest
  } = metadata
  return rest
}

/** The client's object, for the place that the URL names. */
function placed(
  { name, namespace }: ResourceCall,
  object: KubeObjectInput,
  live: KubeObject,
): KubeObjectInput {
  const { managedFields } = object.metadata
  const given = managedFields ?? live.metadata.managedFields
  return {
    ...object,
    metadata: {
      ...object.metadata,
      name,
      ...(namespace === undefined || namespace === '' ? {} : { namespace }),
      ...(given === undefined ? {} : { managedFields: given }),
    },
  }
}

function conflictOfUid(served: ServedResource, name: string): Error {
  return forbidden(
    served,
    name,
    'uid mismatch: the provided object specified a uid, and no existing object was found',
  )
}

function patchTypes({ model }: ServedResource): readonly string[] {
  return [
    'application/json-patch+json',
    'application/merge-patch+json',
    ...(model === undefined ? [] : ['application/strategic-merge-patch+json']),
    'application/apply-patch+yaml',
  ]
}

/** The live object with a patch on it, decoded. Throws 400, 422. */
function patched(call: ResourceCall, live: KubeObject, type: string): Incoming {
  const { served } = call
  const shown = toView(served, live)
  const patch = parseBody(call.body, type === 'application/json-patch+json' ? 'application/json' : type)
  let value: unknown
  if (type === 'application/json-patch+json') value = jsonPatch(trusted(shown), patch)
  else if (type === 'application/merge-patch+json') value = mergePatch(shown, patch)
  else if (served.model !== undefined) {
    if (!isObject(patch)) throw badRequest('error decoding patch: a strategic merge patch must be an object')
    value = strategicPatch(served.model, trusted(shown), patch)
  }
  if (!isObject(value)) throw badRequest('the patch does not leave an object')
  const incoming = decoded(call, value)
  if (incoming.object.metadata.name !== live.metadata.name) {
    const field = 'metadata.name'
    const message = `Invalid value: ${JSON.stringify(incoming.object.metadata.name ?? '')}: field is immutable`
    throw invalid(served.definition.group, served.definition.kind, live.metadata.name, [
      { reason: 'FieldValueInvalid', message, field },
    ])
  }
  return incoming
}

function deleteOptions({ body, query, request }: ResourceCall): DeleteOptions {
  const value = body.length === 0 ? {} : objectBody(body, mediaType(request))
  const grace = value['gracePeriodSeconds'] ?? numberOf(query.get('gracePeriodSeconds'))
  const orphan = value['orphanDependents'] ?? booleanOf(query.get('orphanDependents'))
  const policy =
    asString(value['propagationPolicy']) ||
    (query.get('propagationPolicy') ?? '') ||
    (orphan === undefined ? '' : orphan === true ? 'Orphan' : 'Background')
  if (policy !== '' && policy !== 'Orphan' && policy !== 'Background' && policy !== 'Foreground') {
    throw invalid('', 'DeleteOptions', '', [
      {
        reason: 'FieldValueNotSupported',
        message: `Unsupported value: "${policy}": supported values: "Foreground", "Background", "Orphan", "nil"`,
        field: 'propagationPolicy',
      },
    ])
  }
  const preconditions = asObject(value['preconditions'])
  if (asArray(value['dryRun']).includes('All')) query.set('dryRun', 'All')
  return {
    ...(typeof grace === 'number' ? { gracePeriodSeconds: grace } : {}),
    ...(policy === '' ? {} : { propagationPolicy: policy }),
    preconditions: {
      ...(typeof preconditions['uid'] === 'string' ? { uid: preconditions['uid'] } : {}),
      ...(typeof preconditions['resourceVersion'] === 'string'
        ? { resourceVersion: preconditions['resourceVersion'] }
        : {}),
    },
  }
}

function numberOf(text: string | null): number | undefined {
  return text === null || text === '' ? undefined : Number(text)
}

function booleanOf(text: string | null): boolean | undefined {
  return text === null || text === '' ? undefined : isTrue(text)
}
