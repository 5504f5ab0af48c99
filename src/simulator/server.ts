/**
 * The HTTP face of one simulated cluster: who asks, may they, and where does it go. Requests are parsed as
 * the API server's `RequestInfo`, counted, let through the fault switches, authenticated, authorized and
 * handed to the verbs. Deliberately knows nothing of what objects mean.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { Authorizer, type UserInfo } from './authorization.ts'
import type { Certificate } from './certificate.ts'
import { aggregated, apiGroups, apiVersions, oneGroup, resourceList, reviews } from './discovery.ts'
import { accessDenied, Identities } from './identity.ts'
import { pinnedName } from './selectors.ts'
import type { LogSource } from './logs.ts'
import { answer, answerError, mediaType, objectBody, readBody } from './negotiation.ts'
import { emptyOpenApiV2, openApiV2, openApiV2Protobuf, openApiV3Document, openApiV3Index } from './openapi.ts'
import type { ServedResource } from './resources.ts'
import { isTrue, Rest, type ResourceCall } from './rest.ts'
import { review } from './reviews.ts'
import { badRequest, methodNotAllowed, noSuchPath, StatusError } from './status-error.ts'
import type { Storage } from './storage.ts'
import { serveSubresource } from './subresources.ts'
import { WatchHub } from './watch.ts'

export interface ServerOptions {
  readonly storage: Storage
  readonly version: string
  readonly port: number
  /** HTTPS with this certificate; plain HTTP without. */
  readonly certificate?: Certificate
  readonly bookmarkIntervalMs?: number
  readonly maxWatchLag?: number
  readonly logs: () => LogSource | undefined
  /** Metrics are served where this gives them: `nodes` or `pods`. */
  readonly metrics?: (
    resource: 'nodes' | 'pods',
    namespace: string | undefined,
  ) => readonly unknown[] | undefined
}

/** What a fault switch does to a request before anything else: nothing, an error, or waiting. */
export type Interceptor = (
  request: IncomingMessage,
  path: string,
  response: ServerResponse,
) => Promise<StatusError | undefined> | undefined

interface Route {
  readonly verb: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly name: string
  readonly namespace: string | undefined
}

export class ApiServer {
  readonly authorizer: Authorizer
  readonly identities: Identities
  readonly hub: WatchHub
  /** Requests answered or begun, by `verb group/resource` (`list apps/deployments`), or `verb path`. */
  readonly requests: Record<string, number> = {}
  intercept: Interceptor | undefined
  readonly #options: ServerOptions
  readonly #storage: Storage
  readonly #rest: Rest
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0

  constructor(options: ServerOptions) {
    this.#options = options
    this.#storage = options.storage
    this.authorizer = new Authorizer(options.storage)
    this.identities = new Identities(options.storage, this.authorizer)
    this.hub = new WatchHub({
      storage: options.storage,
      ...(options.bookmarkIntervalMs === undefined ? {} : { bookmarkIntervalMs: options.bookmarkIntervalMs }),
      ...(options.maxWatchLag === undefined ? {} : { maxLag: options.maxWatchLag }),
    })
    this.#rest = new Rest(options.storage, this.hub)
    this.#port = options.port
  }

  get url(): string {
    return `${this.#options.certificate === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`
  }

  /** Starts to listen: on the port of before, if there was one. */
  async listen(): Promise<void> {
    const { certificate } = this.#options
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#answer(request, response)
    }
    const options = { keepAliveTimeout: 60_000 }
    const server: Server =
      certificate === undefined
        ? createServer(options, listener)
        : createSecureServer({ ...options, ...certificate }, listener)
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.requestTimeout = 0
    server.timeout = 0
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    const address = server.address()
    if (isAddress(address)) this.#port = address.port
    this.#server = server
  }

  /** Tears every connection and refuses new ones, as a killed process does. */
  async kill(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await closed
  }

  async close(): Promise<void> {
    this.hub.close()
    await this.kill()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that goes is no failure of ours.
    response.on('error', () => {})
    request.on('error', () => {})
    try {
      await this.#dispatch(request, response)
    } catch (error) {
      if (error instanceof StatusError) answerError(response, error)
      else if (!response.destroyed) {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
        process.emitWarning(`simulator: ${request.method} ${request.url} failed: ${text}`)
        answerError(
          response,
          new StatusError(500, 'InternalError', `Internal error occurred: ${String(error)}`),
        )
      }
    }
  }

  async #dispatch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://simulator')
    const path =
      url.pathname.length > 1 && url.pathname.endsWith('/') ? url.pathname.slice(0, -1) : url.pathname
    const route = parseRoute(request.method ?? 'GET', path, url.searchParams)
    const counted =
      route === undefined
        ? `get ${path}`
        : `${route.verb} ${route.group}/${route.resource}${route.subresource === '' ? '' : `/${route.subresource}`}`
    this.requests[counted] = (this.requests[counted] ?? 0) + 1
    const fault = await this.intercept?.(request, path, response)
    if (fault !== undefined) throw fault
    const user = this.identities.authenticate(request.headersDistinct)
    if (route === undefined) {
      this.#authorizePath(user, request, path)
      this.#serveDocument(request, response, path)
      return
    }
    this.#authorize(user, route, url.searchParams)
    await this.#serveResource(request, response, route, user, url.searchParams)
  }

  #authorizePath(user: UserInfo, request: IncomingMessage, path: string): void {
    const verb = (request.method ?? 'GET').toLowerCase()
    const { allowed, reason } = this.authorizer.authorize(user, { verb, path })
    if (!allowed) throw accessDenied(user, { verb, path }, reason)
  }

  #authorize(user: UserInfo, route: Route, query: URLSearchParams): void {
    const pinned = route.name === '' ? (pinnedName(query.get('fieldSelector') ?? '') ?? '') : route.name
    const isNamespace = route.resource === 'namespaces' && route.group === ''
    const attributes = {
      verb: route.verb,
      group: route.group,
      version: route.version,
      resource: route.resource,
      subresource: route.subresource,
      name: pinned,
      namespace: isNamespace ? route.name : (route.namespace ?? ''),
    }
    const { allowed, reason } = this.authorizer.authorize(user, attributes)
    if (!allowed) throw accessDenied(user, attributes, reason)
  }

  async #serveResource(
    request: IncomingMessage,
    response: ServerResponse,
    route: Route,
    user: UserInfo,
    query: URLSearchParams,
  ): Promise<void> {
    const { group, version, resource, namespace, name, subresource, verb } = route
    const posted = reviews.find((one) => one.group === group && one.resource === resource)
    if (posted !== undefined && version === 'v1') {
      await this.#serveReview(request, response, posted, route, user)
      return
    }
    const served = this.#storage.resources.served(group, version, resource)
    if (served === undefined) throw noSuchPath()
    if (group === 'metrics.k8s.io') {
      this.#serveMetrics(response, served, route)
      return
    }
    if (!served.definition.namespaced && namespace !== undefined) throw noSuchPath()
    const needsPlace =
      served.definition.namespaced && namespace === undefined && (name !== '' || verb === 'create')
    const misplaced =
      (verb === 'create' && name !== '' && subresource === '') ||
      ((verb === 'update' || verb === 'patch') && name === '')
    if (misplaced || needsPlace || (verb === 'deletecollection' && !served.verbs.includes(verb)))
      throw methodNotAllowed()
    const hasBody = verb !== 'get' && verb !== 'list' && verb !== 'watch'
    const body = hasBody ? await readBody(request) : Buffer.alloc(0)
    const call: ResourceCall = {
      verb,
      served,
      namespace,
      name,
      subresource,
      user,
      query,
      request,
      response,
      body,
    }
    if (subresource === '' || (subresource === 'status' && served.definition.status))
      await this.#rest.handle(call)
    else serveSubresource(call, this.#subresourceContext)
  }

  get #subresourceContext(): Parameters<typeof serveSubresource>[1] {
    return { storage: this.#storage, rest: this.#rest, identities: this.identities, logs: this.#options.logs }
  }

  async #serveReview(
    request: IncomingMessage,
    response: ServerResponse,
    { group, kind, resource }: (typeof reviews)[number],
    { verb, namespace }: Route,
    user: UserInfo,
  ): Promise<void> {
    if (verb !== 'create') throw methodNotAllowed()
    const body = objectBody(await readBody(request), mediaType(request), `V1${kind}`)
    const context = { user, authorizer: this.authorizer, identities: this.identities, namespace }
    const answered = review(resource, { ...body, kind, apiVersion: `${group}/v1` }, context)
    answer(response, 201, answered)
  }

  #serveMetrics(response: ServerResponse, served: ServedResource, { verb, namespace, name }: Route): void {
    const items = this.#options.metrics?.(served.resource === 'nodes' ? 'nodes' : 'pods', namespace)
    if (items === undefined) {
      throw new StatusError(503, 'ServiceUnavailable', 'the server is currently unable to handle the request')
    }
    if (verb !== 'get' && verb !== 'list') throw methodNotAllowed()
    const apiVersion = 'metrics.k8s.io/v1beta1'
    if (verb === 'list') {
      answer(response, 200, { kind: `${served.kind}List`, apiVersion, metadata: {}, items })
      return
    }
    const found = items.find((item) => nameOf(item) === name)
    if (found === undefined)
      throw new StatusError(404, 'NotFound', `${served.resource}.metrics.k8s.io "${name}" not found`)
    answer(response, 200, found)
  }

  #serveDocument(request: IncomingMessage, response: ServerResponse, path: string): void {
    if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed()
    const { resources } = this.#storage
    const accept = request.headers.accept ?? ''
    if (
      path === '/healthz' ||
      path === '/livez' ||
      path === '/readyz' ||
      /^\/(?:livez|readyz|healthz)\//.test(path)
    ) {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end('ok')
      return
    }
    if (path === '/version') {
      answer(response, 200, versionInfo(this.#options.version))
      return
    }
    if (path === '/api' || path === '/apis') {
      const version = /g=apidiscovery\.k8s\.io;v=(v2(?:beta1)?);as=APIGroupDiscoveryList/.exec(accept)?.[1]
      if (version !== undefined) {
        answer(response, 200, aggregated(resources, path === '/api', `apidiscovery.k8s.io/${version}`), {
          contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
        })
        return
      }
      answer(response, 200, path === '/api' ? apiVersions(`127.0.0.1:${this.#port}`) : apiGroups(resources))
      return
    }
    if (path === '/openapi/v2' && accept.includes('protobuf')) {
      response
        .writeHead(200, { 'content-type': openApiV2Protobuf })
        .end(emptyOpenApiV2(this.#options.version))
      return
    }
    const found = this.#document(path)
    if (found === undefined) throw noSuchPath()
    answer(response, 200, found)
  }

  #document(path: string): unknown {
    const { resources } = this.#storage
    if (path === '/')
      return {
        paths: ['/api', '/apis', '/healthz', '/livez', '/openapi/v2', '/openapi/v3', '/readyz', '/version'],
      }
    if (path === '/openapi/v2') return openApiV2(resources, this.#options.version)
    if (path === '/openapi/v3') return openApiV3Index(resources)
    const parts = path.split('/').slice(1)
    if (parts[0] === 'openapi' && parts[1] === 'v3')
      return openApiV3Document(resources, parts.slice(2).join('/'), this.#options.version)
    if (parts[0] === 'api' && parts.length === 2) return resourceList(resources, '', parts[1]!)
    if (parts[0] === 'apis' && parts.length === 2) return oneGroup(resources, parts[1]!)
    if (parts[0] === 'apis' && parts.length === 3) return resourceList(resources, parts[1]!, parts[2]!)
    return undefined
  }
}

function isAddress(address: string | AddressInfo | null): address is AddressInfo {
  return typeof address === 'object' && address !== null
}

function nameOf(item: unknown): unknown {
  const metadata = typeof item === 'object' && item !== null && 'metadata' in item ? item.metadata : undefined
  return typeof metadata === 'object' && metadata !== null && 'name' in metadata ? metadata.name : undefined
}

/** Splits a resource path as the API server does; undefined for paths of other documents. */
function parseRoute(method: string, path: string, query: URLSearchParams): Route | undefined {
  const parts = path.split('/').slice(1).map(decodePart)
  const isCore = parts[0] === 'api'
  if (!isCore && parts[0] !== 'apis') return undefined
  const [group, version, ...rest] = isCore
    ? ['', parts[1], ...parts.slice(2)]
    : [parts[1], parts[2], ...parts.slice(3)]
  if (group === undefined || version === undefined || rest.length === 0) return undefined
  if (rest[0] === 'watch') {
    rest.shift()
    query.set('watch', 'true')
  }
  let namespace: string | undefined
  // /namespaces/NAME/RESOURCE is in a namespace; /namespaces/NAME/status and /finalize are of it.
  const isInside =
    rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'status' && rest[2] !== 'finalize'
  if (isInside) {
    namespace = rest[1]
    rest.splice(0, 2)
  }
  const [resource = '', name = '', subresource = '', ...more] = rest
  const all = more.length > 0 ? [subresource, ...more].join('/') : subresource
  return { verb: verbOf(method, name, query), group, version, resource, name, subresource: all, namespace }
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch (error) {
    throw badRequest(`the path has a malformed escape: ${error instanceof Error ? error.message : ''}`)
  }
}

function verbOf(method: string, name: string, query: URLSearchParams): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (name !== '') return 'get'
      return isTrue(query.get('watch')) ? 'watch' : 'list'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete'
    default:
      return method.toLowerCase()
  }
}

function versionInfo(version: string): unknown {
  const [, major = '1', minor = '34'] = /^v(\d+)\.(\d+)/.exec(version) ?? []
  return {
    major,
    minor,
    gitVersion: version,
    gitCommit: '0'.repeat(40),
    gitTreeState: 'clean',
    buildDate: '2025-09-10T00:00:00Z',
    goVersion: 'go1.24.6',
    compiler: 'gc',
    platform: 'linux/amd64',
    emulationMajor: major,
    emulationMinor: minor,
    minCompatibilityMajor: major,
    minCompatibilityMinor: String(Number(minor) - 1),
  }
}
