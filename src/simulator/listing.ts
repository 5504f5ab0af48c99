/**
 * Lists: snapshots at a resourceVersion, pages with continue tokens, selectors, and answers that are
 * written in slices, so that one big list does not hold the event loop (Kubernetes API concepts, "Resource
 * versions" and "Retrieving large results sets in chunks").
 */
import type { ServerResponse } from 'node:http'
import { asObject, asString, at } from './json.ts'
import type { Wanted } from './negotiation.ts'
import { columnsOf, rowOf } from './printers.ts'
import type { KubeObject } from './registry.ts'
import { groupVersion, keyOf, type ServedResource } from './resources.ts'
import { fieldSelector, labelSelector, pinnedName, type Predicate } from './selectors.ts'
import {
  badRequest,
  invalid,
  StatusError,
  tooLargeResourceVersion,
  type StatusCause,
} from './status-error.ts'
import type { Storage } from './storage.ts'
import { toView } from './views.ts'
import { metadataOnly } from './watch.ts'

export interface Selection {
  readonly served: ServedResource
  /** Undefined: the whole cluster. */
  readonly namespace: string | undefined
  readonly matches: Predicate | undefined
  /** The one name that can match, if the field selector pins it down. */
  readonly name: string | undefined
}

export interface Page {
  readonly items: readonly KubeObject[]
  readonly revision: number
  readonly continueToken: string | undefined
  readonly remaining: number | undefined
}

/** How long a request for a resourceVersion of the future waits for it, as the watch cache does. */
const freshnessWaitMs = 3_000

export function selectionOf(
  served: ServedResource,
  namespace: string | undefined,
  query: URLSearchParams,
): Selection {
  const labels = query.get('labelSelector') ?? ''
  const fields = query.get('fieldSelector') ?? ''
  const byLabel = labelSelector(labels)
  const byField = fieldSelector(fields, served.definition, served.version)
  const matches =
    byLabel !== undefined && byField !== undefined
      ? (object: KubeObject): boolean => byLabel(object) && byField(object)
      : (byLabel ?? byField)
  return { served, namespace, matches, name: pinnedName(fields) }
}

/** Parses a resourceVersion; undefined for none. Throws 400. */
export function revisionOf(text: string | null): number | undefined {
  if (text === null || text === '') return undefined
  if (!/^\d+$/.test(text)) {
    throw badRequest(`invalid resource version: strconv.ParseUint: parsing "${text}": invalid syntax`)
  }
  return Number(text)
}

export function listOptionsInvalid(causes: readonly StatusCause[]): StatusError {
  return invalid('meta.k8s.io', 'ListOptions', '', causes)
}

function forbiddenField(field: string, why: string): StatusCause {
  return { reason: 'FieldValueForbidden', message: `Forbidden: ${why}`, field }
}

function checkListOptions(query: URLSearchParams): void {
  const causes: StatusCause[] = []
  const match = query.get('resourceVersionMatch') ?? ''
  const field = 'resourceVersionMatch'
  if (match !== '') {
    if ((query.get('resourceVersion') ?? '') === '') {
      causes.push(
        forbiddenField(field, 'resourceVersionMatch is forbidden unless resourceVersion is provided'),
      )
    }
    if ((query.get('continue') ?? '') !== '') {
      causes.push(forbiddenField(field, 'resourceVersionMatch is forbidden when continue is provided'))
    }
    if (match !== 'Exact' && match !== 'NotOlderThan') {
      causes.push({
        reason: 'FieldValueNotSupported',
        message: `Unsupported value: "${match}": supported values: "Exact", "NotOlderThan", ""`,
        field,
      })
    }
    if (match === 'Exact' && query.get('resourceVersion') === '0') {
      causes.push(forbiddenField(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    }
  }
  if (query.get('sendInitialEvents') !== null) {
    causes.push(forbiddenField('sendInitialEvents', 'sendInitialEvents is forbidden for list'))
  }
  if (causes.length > 0) throw listOptionsInvalid(causes)
}

/** Waits until the cluster has reached a revision. Throws 504 where it does not. */
export async function reached(storage: Storage, revision: number): Promise<void> {
  if (revision <= storage.revision) return
  await new Promise<void>((resolve) => {
    const stop = storage.onCommit((entry) => {
      if (entry.revision >= revision) done()
    })
    const timer = setTimeout(done, freshnessWaitMs)
    function done(): void {
      clearTimeout(timer)
      stop()
      resolve()
    }
  })
  if (revision > storage.revision) throw tooLargeResourceVersion(revision, storage.revision)
}

interface ContinueToken {
  readonly revision: number
  /** `namespace/name` of the last object sent. */
  readonly after: string
}

function encodeToken(token: ContinueToken): string {
  const value = { v: 'meta.k8s.io/v1', rv: token.revision, start: token.after }
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function decodeToken(text: string): ContinueToken {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    const { rv, start } = asObject(value)
    if (at(value, 'v') === 'meta.k8s.io/v1' && typeof rv === 'number')
      return { revision: rv, after: asString(start) }
  } catch (error) {
    throw new StatusError(400, 'BadRequest', 'continue key is not valid: illegal base64 data', undefined, {
      cause: error,
    })
  }
  throw badRequest(
    'continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)',
  )
}

/** The objects of one list request. Throws 400, 410, 422, 504. */
export async function listPage(
  storage: Storage,
  selection: Selection,
  query: URLSearchParams,
): Promise<Page> {
  checkListOptions(query)
  const limit = Number(query.get('limit') ?? '0')
  if (!Number.isInteger(limit) || limit < 0)
    throw badRequest('limit: Invalid value: must be greater than or equal to 0')
  const token = query.get('continue') ?? ''
  const asked = revisionOf(query.get('resourceVersion'))
  if (token !== '') {
    if (asked !== undefined && asked !== 0) {
      throw badRequest('specifying resource version is not allowed when using continue')
    }
    return nextPage(storage, selection, decodeToken(token), limit)
  }
  const match = query.get('resourceVersionMatch') ?? ''
  // With a limit and no match, a resourceVersion is exact, for history's sake (API concepts).
  const exact = match === 'Exact' || (match === '' && limit > 0 && asked !== undefined && asked > 0)
  if (asked !== undefined) await reached(storage, asked)
  if (exact && asked !== undefined) {
    const items = stateAt(storage, selection, asked)
    if (items === undefined) {
      throw new StatusError(410, 'Expired', `The resourceVersion for the provided list is too old.`)
    }
    return cut(items, asked, limit, selection)
  }
  // The watch cache, which answers resourceVersion 0, ignores the limit.
  return cut(current(storage, selection), storage.revision, asked === 0 ? 0 : limit, selection)
}

function nextPage(storage: Storage, selection: Selection, token: ContinueToken, limit: number): Page {
  const items = stateAt(storage, selection, token.revision)
  if (items === undefined) {
    const fresh = encodeToken({ revision: -1, after: token.after })
    const message =
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.'
    throw new StatusError(410, 'Expired', message, undefined, undefined, { continue: fresh })
  }
  const rest = items.filter((object) => compareIds(object, token.after) > 0)
  return cut(rest, token.revision < 0 ? storage.revision : token.revision, limit, selection)
}

function compareIds(object: KubeObject, id: string): number {
  const slash = id.indexOf('/')
  const namespace = object.metadata.namespace ?? ''
  const otherNamespace = id.slice(0, slash)
  if (namespace !== otherNamespace) return namespace < otherNamespace ? -1 : 1
  const other = id.slice(slash + 1)
  return object.metadata.name < other ? -1 : object.metadata.name > other ? 1 : 0
}

function cut(all: readonly KubeObject[], revision: number, limit: number, { matches }: Selection): Page {
  const selected = matches === undefined ? all : all.filter(matches)
  if (limit === 0 || selected.length <= limit) {
    return { items: selected, revision, continueToken: undefined, remaining: undefined }
  }
  const items = selected.slice(0, limit)
  const { namespace = '', name } = items[items.length - 1]!.metadata
  return {
    items,
    revision,
    continueToken: encodeToken({ revision, after: `${namespace}/${name}` }),
    remaining: matches === undefined ? selected.length - limit : undefined,
  }
}

/** What is selected now, before the predicate. */
export function current(storage: Storage, { served, namespace, name }: Selection): readonly KubeObject[] {
  const { definition } = served
  if (name !== undefined && (namespace !== undefined || !definition.namespaced)) {
    const object = storage.get(definition, namespace ?? '', name)
    return object === undefined ? [] : [object]
  }
  return storage.list(definition, namespace)
}

/** The state at an earlier revision, undone from the history; undefined where that is compacted. */
function stateAt(
  storage: Storage,
  selection: Selection,
  revision: number,
): readonly KubeObject[] | undefined {
  const now = current(storage, selection)
  if (revision < 0 || revision >= storage.revision) return now
  const since = storage.since(revision)
  if (since === undefined) return undefined
  const id = keyOf(selection.served.definition)
  const before = new Map<string, KubeObject | undefined>()
  for (const entry of since) {
    if (keyOf(entry.key) !== id) continue
    const { namespace = '', name } = entry.object.metadata
    if (selection.namespace !== undefined && namespace !== selection.namespace) continue
    const objectId = `${namespace}/${name}`
    if (!before.has(objectId)) before.set(objectId, entry.previous)
  }
  if (before.size === 0) return now
  const unchanged = now.filter(
    (object) => !before.has(`${object.metadata.namespace ?? ''}/${object.metadata.name}`),
  )
  const undone = [...before.values()].filter((object) => object !== undefined)
  return [...unchanged, ...undone].sort((a, b) =>
    compareIds(a, `${b.metadata.namespace ?? ''}/${b.metadata.name}`),
  )
}

/** Longest stretch of serialising before other callbacks get their turn, in milliseconds. */
const sliceMs = 5
const chunkBytes = 128 * 1024

/** Writes a page as a list, a Table or a list of metadata, item by item. */
export async function writePage(
  response: ServerResponse,
  storage: Storage,
  served: ServedResource,
  page: Page,
  wanted: Wanted,
): Promise<void> {
  const metadata = {
    resourceVersion: String(page.revision),
    ...(page.continueToken === undefined ? {} : { continue: page.continueToken }),
    ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
  }
  const now = storage.now()
  const { as, table } = wanted
  const head =
    as === 'table'
      ? { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata, columnDefinitions: columnsOf(served) }
      : as === 'metadata'
        ? { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata }
        : { kind: `${served.kind}List`, apiVersion: groupVersion(served.group, served.version), metadata }
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' })
  let text = `${JSON.stringify(head).slice(0, -1)},"${as === 'table' ? 'rows' : 'items'}":[`
  // Items of typed lists do not repeat what the list says; custom resources' do.
  const named = served.definition.custom !== undefined
  let started = performance.now()
  let first = true
  for (const object of page.items) {
    const item =
      as === 'table'
        ? rowOf(served, object, table, now)
        : as === 'metadata'
          ? metadataOnly(object)
          : itemOf(toView(served, object), named)
    text += first ? JSON.stringify(item) : `,${JSON.stringify(item)}`
    first = false
    if (text.length < chunkBytes && performance.now() - started < sliceMs) continue
    const free = response.write(text)
    text = ''
    if (!free) await drained(response)
    // A socket that takes all at once says so before the loop has turned: always let it turn.
    await new Promise<void>((resolve) => setImmediate(resolve))
    if (response.destroyed) return
    started = performance.now()
  }
  response.end(`${text}]}\n`)
}

function itemOf(object: KubeObject, named: boolean): unknown {
  return named ? object : { ...object, kind: undefined, apiVersion: undefined }
}

async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.once('drain', done)
    response.once('close', done)
  })
}

/** A page as one value, for YAML and for the answer of deletecollection. */
export function pageValue(served: ServedResource, page: Page): unknown {
  return {
    kind: `${served.kind}List`,
    apiVersion: groupVersion(served.group, served.version),
    metadata: { resourceVersion: String(page.revision) },
    items: page.items.map((object) => itemOf(toView(served, object), served.definition.custom !== undefined)),
  }
}
