/**
 * A simulated Kubernetes cluster: an API server on loopback over a registry of its own, with fault verbs
 * for tests. One `Simulator` is one cluster; many run in one process and share a timeline.
 *
 * README.md beside this file says exactly what a simulated cluster does not do.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { bootstrapPolicy, type UserInfo } from './authorization.ts'
import { selfSignedCertificate } from './certificate.ts'
import { followDefinitions } from './custom-resources.ts'
import type { LogSource } from './logs.ts'
import type { KubeObjectInput, Registry, ResourceKey, Timeline } from './registry.ts'
import { ApiServer } from './server.ts'
import { StatusError, type Status, type StatusCause } from './status-error.ts'
import { Storage } from './storage.ts'
import { RealTimeline } from './timeline.ts'

export interface SimulatorOptions {
  /** Name of the cluster and of its context in the kubeconfig. Default `simulated`. */
  readonly name?: string
  /** What `/version` says. Default `v1.34.1`. */
  readonly version?: string
  /** Of the cluster's clock and of its controllers. Default: real time. */
  readonly timeline?: Timeline
  readonly signal?: AbortSignal
  /** Port on 127.0.0.1; 0, the default, takes a free one. */
  readonly port?: number
  /**
   * Serve HTTPS, with a certificate made for this cluster. kubectl and other client-go programs send tokens
   * over TLS only: over plain HTTP (the default, and a third cheaper) they are anonymous.
   */
  readonly tls?: boolean
  /** Created in order before the server listens, as they are. */
  readonly objects?: readonly { readonly key: ResourceKey; readonly object: KubeObjectInput }[]
  /** Starts what acts in the cluster: controllers, scheduler, kubelets. */
  readonly controllers?: (cluster: ControlledCluster) => Controllers
  /** Bearer token of the administrator (group system:masters). Default: random. */
  readonly token?: string
  /** Further users by their tokens. */
  readonly users?: Readonly<Record<string, UserInfo>>
  /** Makes uids and generated names repeatable. */
  readonly seed?: number
  /** Milliseconds between bookmarks of a watch. Default 60,000. */
  readonly bookmarkIntervalMs?: number
  /** Commits of one resource that a slow watch may lag behind before it is cut off. Default 10,000. */
  readonly maxWatchLag?: number
  /** Commits that a watch may resume over. Default 10,000. */
  readonly historySize?: number
}

export interface ControlledCluster {
  readonly name: string
  readonly registry: Registry
  readonly timeline: Timeline
  readonly signal: AbortSignal
}

export interface Controllers {
  readonly logs?: LogSource
  /** NodeMetrics or PodMetrics objects, if the cluster has a metrics server. */
  readonly metrics?: (resource: 'nodes' | 'pods', namespace: string | undefined) => readonly unknown[]
  close(): void
}

export interface Faults {
  /** Ends every live watch: cleanly, or (by default) by tearing its connection. */
  dropWatches(how?: 'end' | 'destroy'): void
  /** Forgets the history: whoever resumes from before gets 410. */
  compact(): void
  /** Every request, or every one of these, waits that long first; 0 ends it. There is one delay at a time. */
  delay(ms: number, of?: RequestSelection): void
  /** Requests fail with a status for a while, or a number of times. Without a limit: until `clear`. */
  fail(status: number, options?: FailOptions): void
  /**
   * Writes lose their connection instead of being answered: whoever sent one cannot tell what came of it. Once, or
   * a number of times.
   */
  cut(options?: CutOptions): void
  /** Ends delay, fail and cut. */
  clear(): void
  /** Watches stay open and say nothing, while all other requests are answered: memory falls behind. */
  holdWatches(): void
  releaseWatches(): void
  /** Connections are accepted, nothing is answered, watches go silent. */
  freeze(): void
  thaw(): void
  /** Tears all connections and refuses new ones. */
  kill(): Promise<void>
  /** Listens again on the same port. */
  revive(): Promise<void>
  /** The administrator's token becomes another one, which is returned; the old one answers 401. */
  rotateToken(): string
}

/** All that are set hold together. */
export interface RequestSelection {
  /** Paths that start so: `/apis/apps/v1/namespaces/shop/deployments`. */
  readonly path?: string
  /** Only what changes something: no reads, and no reviews of tokens and rights, which are sent by POST, too. */
  readonly writes?: boolean
}

export interface FailOptions extends RequestSelection {
  readonly forMs?: number
  readonly times?: number
  /** Seconds for the Retry-After header. */
  readonly retryAfterSeconds?: number
  /** Of the Status that is answered; by default what an API server says with this code. */
  readonly reason?: string
  readonly message?: string
  readonly causes?: readonly StatusCause[]
}

export interface CutOptions extends Pick<RequestSelection, 'path'> {
  /** `after`: it is carried out, if it can be. `before`: it is not. Default `after`. */
  readonly when?: 'before' | 'after'
  /** Default 1. */
  readonly times?: number
}

export interface Requests {
  /** By `verb group/resource[/subresource]`: `list /pods`, `watch apps/deployments`; or `get PATH`. */
  readonly counts: Readonly<Record<string, number>>
  /** Watches that are open now, by `group/resource`. */
  readonly watches: Readonly<Record<string, number>>
}

export interface Simulator {
  readonly name: string
  readonly url: string
  readonly registry: Registry
  /** PEM of the authority to trust; undefined over plain HTTP. */
  readonly certificateAuthority: string | undefined
  /** The administrator's bearer token, as it is now. */
  readonly token: string
  readonly users: Readonly<Record<string, UserInfo>>
  readonly faults: Faults
  readonly requests: Requests
  /** A kubeconfig with one context, named as the cluster; for another user's token if given. */
  kubeconfig(options?: { readonly token?: string }): Readonly<Record<string, unknown>>
  /** Lets a token stand for a user from now on. */
  addUser(token: string, user: UserInfo): void
  close(): Promise<void>
}

const systemNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease']

/** Starts a cluster; resolves when it listens. Ends with `close` or the signal. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const ended = new AbortController()
  const ownTimeline = options.timeline === undefined ? new RealTimeline(ended.signal) : undefined
  const timeline: Timeline = options.timeline ?? ownTimeline ?? new RealTimeline(ended.signal)
  const name = options.name ?? 'simulated'
  const storage = new Storage({
    now: () => timeline.now(),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.historySize === undefined ? {} : { historySize: options.historySize }),
  })
  followDefinitions(storage)
  populate(storage, options)
  let controllers: Controllers | undefined
  const certificate = options.tls === true ? selfSignedCertificate(name) : undefined
  const server = new ApiServer({
    storage,
    ...(certificate === undefined ? {} : { certificate }),
    version: options.version ?? 'v1.34.1',
    port: options.port ?? 0,
    logs: () => controllers?.logs,
    metrics: (resource, namespace) => controllers?.metrics?.(resource, namespace),
    ...(options.bookmarkIntervalMs === undefined ? {} : { bookmarkIntervalMs: options.bookmarkIntervalMs }),
    ...(options.maxWatchLag === undefined ? {} : { maxWatchLag: options.maxWatchLag }),
  })
  const admin: UserInfo = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }
  let token = options.token ?? randomBytes(16).toString('hex')
  const users: Record<string, UserInfo> = {}
  server.identities.add(token, admin)
  const addUser = (userToken: string, user: UserInfo): void => {
    users[userToken] = user
    server.identities.add(userToken, user)
  }
  for (const [userToken, user] of Object.entries(options.users ?? {})) addUser(userToken, user)
  const faults = faultsOf(server, storage, () => {
    server.identities.revoke(token)
    token = randomBytes(16).toString('hex')
    server.identities.add(token, admin)
    return token
  })
  await server.listen()
  controllers = options.controllers?.({ name, registry: storage, timeline, signal: ended.signal })

  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= (async () => {
      options.signal?.removeEventListener('abort', onAbort)
      controllers?.close()
      ended.abort()
      faults.thaw()
      await server.close()
    })()
    return closing
  }
  const onAbort = (): void => void close()
  if (options.signal?.aborted === true) await close()
  options.signal?.addEventListener('abort', onAbort, { once: true })

  return {
    name,
    registry: storage,
    users,
    faults,
    certificateAuthority: certificate?.cert,
    get url() {
      return server.url
    },
    get token() {
      return token
    },
    requests: {
      counts: server.requests,
      get watches() {
        return server.hub.live
      },
    },
    kubeconfig: ({ token: asked = token } = {}) => kubeconfigOf(name, server.url, asked, certificate?.cert),
    addUser,
    close,
  }
}

function populate(storage: Storage, options: SimulatorOptions): void {
  const namespaces = { group: '', resource: 'namespaces' }
  for (const name of systemNamespaces) {
    storage.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  }
  for (const { key, object } of bootstrapPolicy()) storage.create(key, object)
  for (const name of ['system-cluster-critical', 'system-node-critical']) {
    storage.create(
      { group: 'scheduling.k8s.io', resource: 'priorityclasses' },
      {
        apiVersion: 'scheduling.k8s.io/v1',
        kind: 'PriorityClass',
        metadata: { name },
        value: name === 'system-node-critical' ? 2_000_001_000 : 2_000_000_000,
        description: 'Used for system critical pods.',
      },
    )
  }
  storage.create(
    { group: '', resource: 'services' },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: 'kubernetes',
        namespace: 'default',
        labels: { component: 'apiserver', provider: 'kubernetes' },
      },
      spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443, targetPort: 6443 }] },
    },
  )
  for (const { key, object } of options.objects ?? []) storage.create(key, object)
}

function kubeconfigOf(
  name: string,
  server: string,
  token: string,
  authority: string | undefined,
): Readonly<Record<string, unknown>> {
  // Without TLS there is nothing to verify; @kubernetes/client-node wants to be told so.
  const trust =
    authority === undefined
      ? { 'insecure-skip-tls-verify': true }
      : { 'certificate-authority-data': Buffer.from(authority).toString('base64') }
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, ...trust } }],
    users: [{ name: `${name}-admin`, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: `${name}-admin` } }],
    'current-context': name,
  }
}

interface Failure {
  readonly error: StatusError
  readonly until: number
  readonly of: RequestSelection
  left: number
}

interface Cut {
  readonly when: 'before' | 'after'
  readonly of: RequestSelection
  left: number
}

const READS = new Set(['GET', 'HEAD', 'OPTIONS'])
const REVIEWS = /^\/apis\/(authorization|authentication)\.k8s\.io\//

function selects({ path = '/', writes = false }: RequestSelection, method: string, asked: string): boolean {
  if (!asked.startsWith(path)) return false
  return !writes || (!READS.has(method) && !REVIEWS.test(asked))
}

/** The answer goes nowhere: with its first byte the connection is torn. */
function tearInsteadOfAnswering({ socket }: IncomingMessage, response: ServerResponse): void {
  const tear = () => {
    socket.resetAndDestroy()
    return response
  }
  response.writeHead = tear
  response.end = tear
  response.write = () => {
    tear()
    return false
  }
}

const reasons: Readonly<Record<number, readonly [string, string]>> = {
  400: ['BadRequest', 'the server rejected our request'],
  401: ['Unauthorized', 'Unauthorized'],
  403: ['Forbidden', 'forbidden: a fault that was asked for'],
  404: ['NotFound', 'the server could not find the requested resource'],
  409: ['Conflict', 'the object has been modified'],
  410: ['Expired', 'too old resource version'],
  422: ['Invalid', 'the object is invalid: a fault that was asked for'],
  429: ['TooManyRequests', 'the server has received too many requests and has asked us to try again later'],
  500: ['InternalError', 'Internal error occurred: a fault that was asked for'],
  503: ['ServiceUnavailable', 'the server is currently unable to handle the request'],
  504: ['Timeout', 'the server was unable to return a response in the time allotted'],
}

function failureOf(code: number, options: FailOptions): StatusError {
  const { retryAfterSeconds, causes } = options
  const [reason, message] = reasons[code] ?? ['', `a fault that was asked for (${code})`]
  const details: Status['details'] = {
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    ...(causes && { causes }),
  }
  return new StatusError(code, options.reason ?? reason, options.message ?? message, details)
}

function faultsOf(server: ApiServer, storage: Storage, rotateToken: () => string): Faults {
  let delayed: { readonly ms: number; readonly of: RequestSelection } | undefined
  let failures: Failure[] = []
  let cuts: Cut[] = []
  let held = false
  let frozen: { readonly thawed: Promise<void>; readonly thaw: () => void } | undefined

  function failureFor(method: string, path: string): StatusError | undefined {
    const now = performance.now()
    failures = failures.filter(({ left, until }) => left > 0 && until > now)
    const failure = failures.find(({ of }) => selects(of, method, path))
    if (failure === undefined) return undefined
    failure.left--
    return failure.error
  }

  function cutFor(method: string, path: string): Cut | undefined {
    cuts = cuts.filter(({ left }) => left > 0)
    const cut = cuts.find(({ of }) => selects(of, method, path))
    if (cut !== undefined) cut.left--
    return cut
  }

  async function intercept(
    request: IncomingMessage,
    path: string,
    response: ServerResponse,
  ): Promise<StatusError | undefined> {
    const { method = 'GET' } = request
    if (frozen !== undefined) await frozen.thawed
    if (delayed && selects(delayed.of, method, path)) {
      const { ms } = delayed
      await new Promise((resolve) => setTimeout(resolve, ms).unref())
    }
    const failure = failureFor(method, path)
    if (failure !== undefined) return failure
    const cut = cutFor(method, path)
    if (cut === undefined) return undefined
    tearInsteadOfAnswering(request, response)
    return cut.when === 'after' ? undefined : new StatusError(500, '', 'nobody hears this')
  }

  function arm(): void {
    const idle = delayed === undefined && failures.length === 0 && cuts.length === 0 && frozen === undefined
    server.intercept = idle ? undefined : intercept
  }

  function letWatchesSpeak(): void {
    if (!held && frozen === undefined) server.hub.thaw()
  }

  return {
    dropWatches: (how) => server.hub.drop(how),
    compact: () => storage.compact(),
    delay: (ms, of = {}) => {
      delayed = ms === 0 ? undefined : { ms, of }
      arm()
    },
    fail: (status, { forMs = Infinity, times = Infinity, ...options } = {}) => {
      const error = failureOf(status, options)
      failures.push({ error, until: performance.now() + forMs, left: times, of: options })
      arm()
    },
    cut: ({ when = 'after', times = 1, ...of } = {}) => {
      cuts.push({ when, left: times, of: { ...of, writes: true } })
      arm()
    },
    clear: () => {
      delayed = undefined
      failures = []
      cuts = []
      arm()
    },
    holdWatches: () => {
      held = true
      server.hub.freeze()
    },
    releaseWatches: () => {
      held = false
      letWatchesSpeak()
    },
    freeze: () => {
      if (frozen !== undefined) return
      const { promise, resolve } = Promise.withResolvers<void>()
      frozen = { thawed: promise, thaw: resolve }
      server.hub.freeze()
      arm()
    },
    thaw: () => {
      frozen?.thaw()
      frozen = undefined
      letWatchesSpeak()
      arm()
    },
    kill: () => server.kill(),
    revive: () => server.listen(),
    rotateToken,
  }
}
