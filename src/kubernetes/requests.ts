/**
 * The requests of the Kubernetes API that the gateway makes, one function each: thin over `ApiClient`,
 * typed by what goes in. They add paths, parameters and media types, and nothing else: no retries, no
 * caches; errors are the client's.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
import {
  ApiError,
  type ApiClient,
  type ApiRequest,
  type ByteSink,
  type ByteStream,
  type PatchType,
  type Status,
} from './client.ts'
import { resourcePath, type ResourceAddress } from './kinds.ts'

/** All that most requests need of a client; whoever stands between it and a cluster need not do more. */
export type JsonClient = Pick<ApiClient, 'json'>

/** As whom, until when; of every request. */
export type CallOptions = Pick<ApiRequest, 'as' | 'token' | 'signal' | 'timeoutMs'>

/** One object; `namespace` is left out for kinds that have none. */
export interface ObjectAddress {
  readonly address: ResourceAddress
  readonly namespace?: string
  readonly name: string
  readonly subresource?: 'status' | 'scale'
}

export interface ObjectList<T> {
  readonly metadata: {
    readonly resourceVersion?: string
    /** Where the next page starts; absent or empty on the last. */
    readonly continue?: string
    readonly remainingItemCount?: number
  }
  readonly items: readonly T[]
}

export interface ListOptions extends CallOptions {
  /** Default: all namespaces. */
  readonly namespace?: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly limit?: number
  readonly continue?: string
  /** Never together with `continue`. */
  readonly resourceVersion?: string
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan'
}

/** One page, or everything where there is no `limit`. */
export async function listPage<T>(
  client: JsonClient,
  address: ResourceAddress,
  options: ListOptions = {},
): Promise<ObjectList<T>> {
  const { namespace, labelSelector, fieldSelector, limit, resourceVersion, resourceVersionMatch } = options
  const list = await client.json<ObjectList<T>>({
    path: resourcePath(address, namespace),
    query: {
      labelSelector,
      fieldSelector,
      limit,
      continue: options.continue,
      resourceVersion,
      resourceVersionMatch,
    },
    ...call(options),
  })
  // Go writes an empty list of a nil slice as null.
  return { metadata: list.metadata ?? {}, items: list.items ?? [] }
}

/**
 * Page by page, 500 objects each unless said otherwise. All pages are of one moment; where that is
 * compacted half-way the `ApiError` has status 410, and only a new list helps.
 */
export async function* list<T>(
  client: JsonClient,
  address: ResourceAddress,
  options: ListOptions = {},
): AsyncGenerator<ObjectList<T>, void, undefined> {
  const { resourceVersion: _version, resourceVersionMatch: _match, ...following } = options
  let page = await listPage<T>(client, address, { limit: 500, ...options })
  for (;;) {
    yield page
    const next = page.metadata.continue
    if (!next) return
    page = await listPage<T>(client, address, { limit: 500, ...following, continue: next })
  }
}

export function get<T>(client: JsonClient, object: ObjectAddress, options: CallOptions = {}): Promise<T> {
  return client.json({ path: pathOf(object), ...call(options) })
}

/**
 * The versions of an object that came after `resourceVersion`, oldest first, as far as the API server still knows them
 * (minutes); `ApiError` 410 where it does not. Takes `timeoutSeconds`: it is a watch, which ends by itself.
 */
export async function versionsSince<T>(
  client: Pick<ApiClient, 'text'>,
  { address, namespace, name }: Omit<ObjectAddress, 'subresource'>,
  resourceVersion: string,
  { timeoutSeconds, ...options }: CallOptions & { readonly timeoutSeconds: number },
): Promise<readonly T[]> {
  const text = await client.text({
    path: resourcePath(address, namespace),
    query: { watch: true, fieldSelector: `metadata.name=${name}`, resourceVersion, timeoutSeconds },
    ...call(options),
  })
  const events = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { readonly type: string; readonly object: T & Status })
  for (const { type, object } of events) if (type === 'ERROR') throw new ApiError(object.code ?? 500, object)
  return events.map(({ object }) => object)
}

export interface WriteOptions extends CallOptions {
  /** Validated and admitted, but not stored. */
  readonly dryRun?: boolean
  /** Who owns the fields; needed by `apply`. */
  readonly fieldManager?: string
  /** What the server does about unknown and duplicate fields. Its default is `Warn`. */
  readonly fieldValidation?: 'Ignore' | 'Warn' | 'Strict'
}

/** The name may be left to the server by `metadata.generateName`. */
export function create<T>(
  client: JsonClient,
  address: ResourceAddress,
  namespace: string | undefined,
  object: unknown,
  options: WriteOptions = {},
): Promise<T> {
  return client.json({
    method: 'POST',
    path: resourcePath(address, namespace),
    query: writing(options),
    body: object,
    ...call(options),
  })
}

/** Fails with 409 where `metadata.resourceVersion` is set and no longer the newest. */
export function replace<T>(
  client: JsonClient,
  object: ObjectAddress,
  body: unknown,
  options: WriteOptions = {},
): Promise<T> {
  return client.json({
    method: 'PUT',
    path: pathOf(object),
    query: writing(options),
    body,
    ...call(options),
  })
}

const PATCH_TYPES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const satisfies Record<PatchType, string>

/** `strategic` is for built-in kinds only: custom resources answer 415. */
export function patch<T>(
  client: JsonClient,
  object: ObjectAddress,
  type: Exclude<PatchType, 'apply'>,
  body: unknown,
  options: WriteOptions = {},
): Promise<T> {
  return client.json({
    method: 'PATCH',
    path: pathOf(object),
    query: writing(options),
    contentType: PATCH_TYPES[type],
    body,
    ...call(options),
  })
}

/**
 * Creates or updates by field ownership. Another manager's fields are a 409 with one cause a field,
 * unless `force` takes them over. `object` needs `apiVersion`, `kind` and `metadata.name`.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/
 */
export function serverSideApply<T>(
  client: JsonClient,
  object: ObjectAddress,
  body: unknown,
  options: WriteOptions & { readonly fieldManager: string; readonly force?: boolean },
): Promise<T> {
  return client.json({
    method: 'PATCH',
    path: pathOf(object),
    query: { ...writing(options), force: options.force },
    // JSON is YAML.
    contentType: PATCH_TYPES.apply,
    body,
    ...call(options),
  })
}

export interface DeleteOptions extends CallOptions {
  readonly dryRun?: boolean
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground'
  readonly gracePeriodSeconds?: number
  /** Only this very object: 409 where it changed or was replaced. */
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
}

/** The object as it is while finalizers or its grace period keep it, else a `Status` of success. */
export function remove<T>(
  client: JsonClient,
  object: ObjectAddress,
  options: DeleteOptions = {},
): Promise<T> {
  const { dryRun, propagationPolicy, gracePeriodSeconds, preconditions } = options
  return client.json({
    method: 'DELETE',
    path: pathOf(object),
    body: {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...(dryRun && { dryRun: ['All'] }),
      ...(propagationPolicy && { propagationPolicy }),
      ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
      ...(preconditions && { preconditions }),
    },
    ...call(options),
  })
}

/** `autoscaling/v1` Scale. */
export interface Scale {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly resourceVersion?: string }
  readonly spec: { readonly replicas?: number }
  readonly status?: { readonly replicas: number; readonly selector?: string }
}

/** Sets the number of replicas, whatever it was. */
export function setScale(
  client: JsonClient,
  object: Omit<ObjectAddress, 'subresource'>,
  replicas: number,
  options: WriteOptions = {},
): Promise<Scale> {
  return patch<Scale>(client, { ...object, subresource: 'scale' }, 'merge', { spec: { replicas } }, options)
}

/**
 * Asks to evict a pod, which respects its disruption budgets: 429 where they do not allow it now.
 * Servers before 1.22 know only `policy/v1beta1` in the body.
 */
export async function evict(
  client: JsonClient,
  pod: { readonly namespace: string; readonly name: string },
  options: DeleteOptions = {},
): Promise<void> {
  const { dryRun, gracePeriodSeconds, preconditions } = options
  const attempt = (version: 'v1' | 'v1beta1') =>
    client.json({
      method: 'POST',
      path: `${resourcePath({ group: '', version: 'v1', resource: 'pods' }, pod.namespace, pod.name)}/eviction`,
      body: {
        apiVersion: `policy/${version}`,
        kind: 'Eviction',
        metadata: { name: pod.name, namespace: pod.namespace },
        deleteOptions: {
          ...(dryRun && { dryRun: ['All'] }),
          ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
          ...(preconditions && { preconditions }),
        },
      },
      ...call(options),
    })
  try {
    await attempt('v1')
  } catch (error) {
    if (!(error instanceof ApiError) || !/no kind "?Eviction"? is registered/.test(error.message)) throw error
    await attempt('v1beta1')
  }
}

export interface LogOptions extends CallOptions {
  /** Needed where the pod has several. */
  readonly container?: string
  /** Of the container's previous run. */
  readonly previous?: boolean
  readonly timestamps?: boolean
  readonly tailLines?: number
  readonly sinceSeconds?: number
  /** RFC 3339. */
  readonly sinceTime?: string
  readonly limitBytes?: number
}

export function podLog(
  client: ApiClient,
  pod: { readonly namespace: string; readonly name: string },
  options: LogOptions = {},
): Promise<string> {
  return client.text(logRequest(pod, options, false))
}

/** Lines as they are written, until the container ends or the caller aborts. */
export function followPodLog(
  client: ApiClient,
  pod: { readonly namespace: string; readonly name: string },
  options: LogOptions,
  sink: ByteSink,
): ByteStream {
  return client.stream(logRequest(pod, options, true), sink)
}

function logRequest(
  pod: { readonly namespace: string; readonly name: string },
  options: LogOptions,
  follow: boolean,
): ApiRequest {
  const { container, previous, timestamps, tailLines, sinceSeconds, sinceTime, limitBytes } = options
  return {
    path: `${resourcePath({ group: '', version: 'v1', resource: 'pods' }, pod.namespace, pod.name)}/log`,
    query: {
      container,
      previous,
      timestamps,
      tailLines,
      sinceSeconds,
      sinceTime,
      limitBytes,
      follow: follow || undefined,
    },
    accept: '*/*',
    ...call(options),
  }
}

function pathOf({ address, namespace, name, subresource }: ObjectAddress): string {
  const path = resourcePath(address, namespace, name)
  return subresource ? `${path}/${subresource}` : path
}

function writing({ dryRun, fieldManager, fieldValidation }: WriteOptions) {
  return { dryRun: dryRun ? 'All' : undefined, fieldManager, fieldValidation }
}

function call({ as, token, signal, timeoutMs }: CallOptions): CallOptions {
  return {
    ...(as && { as }),
    ...(token !== undefined && { token }),
    ...(signal && { signal }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  }
}
