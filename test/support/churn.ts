/**
 * Makes a cluster restless, reproducibly: creates, scales, updates, relabels and deletes objects of many
 * kinds at a steady rate, in namespaces of its own. What is done is decided by the seed alone; what comes
 * of it is up to the cluster, so the judge is always the server itself: `snapshotCluster`.
 *
 * Works against any API server, real or simulated, and outlives its restarts: a request that fails is
 * counted, not repeated.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from './eventually.ts'
import type { KubeJson, KubernetesHttp } from './kubernetes-http.ts'

export interface ChurnOptions {
  readonly http: KubernetesHttp
  /** Requests a second; default 50. */
  readonly ratePerSecond?: number
  readonly seconds: number
  readonly seed: number
  /** Default 3, named `churn-0` and so on; created if they are missing, never deleted. */
  readonly namespaces?: number
  /** Live objects of each kind and namespace beyond which the churn deletes rather than creates; default 4. */
  readonly objectsPerKind?: number
  readonly signal?: AbortSignal
}

export interface ChurnReport {
  /** By verb: `create`, `scale`, `update`, `delete`. */
  readonly done: Readonly<Record<string, number>>
  /** Requests that the server refused or that never reached it, by status (0: no answer). */
  readonly failed: Readonly<Record<number, number>>
  readonly seconds: number
}

type Random = () => number

interface Recipe {
  readonly path: (namespace: string) => string
  readonly make: (name: string, random: Random) => object
  /** A merge patch that changes something. */
  readonly change: (random: Random) => object
  readonly scalable: boolean
}

const labels = (random: Random): Record<string, string> => ({
  app: `app-${Math.floor(random() * 5)}`,
  tier: random() < 0.5 ? 'front' : 'back',
})
const relabel = (random: Random): object => ({
  metadata: { labels: { turn: String(Math.floor(random() * 1e6)) } },
})
const image = (random: Random): string => `registry.example/app:${1 + Math.floor(random() * 9)}`
const container = (random: Random): object => ({
  name: 'main',
  image: image(random),
  resources: { requests: { cpu: '10m', memory: '16Mi' } },
})
const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const rule = (random: Random): object => ({
  apiGroups: [''],
  resources: [random() < 0.5 ? 'pods' : 'configmaps'],
  verbs: random() < 0.5 ? ['get'] : ['get', 'list', 'watch'],
})
const subject = (random: Random): object => ({
  apiGroup: 'rbac.authorization.k8s.io',
  kind: random() < 0.5 ? 'User' : 'Group',
  name: `nobody-${Math.floor(random() * 20)}`,
})
const workload = (kind: string, resource: string, spec: (name: string) => object): Recipe => ({
  path: (namespace) => `/apis/apps/v1/namespaces/${namespace}/${resource}`,
  make: (name, random) => ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, labels: labels(random) },
    spec: {
      ...spec(name),
      selector: { matchLabels: { workload: name } },
      template: {
        metadata: { labels: { workload: name, ...labels(random) } },
        spec: { terminationGracePeriodSeconds: 1, containers: [container(random)] },
      },
    },
  }),
  change: (random) =>
    random() < 0.5
      ? relabel(random)
      : { spec: { template: { metadata: { annotations: { rolled: String(Math.floor(random() * 1e6)) } } } } },
  scalable: kind !== 'DaemonSet',
})

const RECIPES: Readonly<Record<string, Recipe>> = {
  deployment: workload('Deployment', 'deployments', () => ({ replicas: 2 })),
  statefulset: workload('StatefulSet', 'statefulsets', (name) => ({ replicas: 1, serviceName: name })),
  daemonset: workload('DaemonSet', 'daemonsets', () => ({})),
  job: {
    path: (namespace) => `/apis/batch/v1/namespaces/${namespace}/jobs`,
    make: (name, random) => ({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name, labels: labels(random) },
      spec: { template: { spec: { restartPolicy: 'Never', containers: [container(random)] } } },
    }),
    change: relabel,
    scalable: false,
  },
  cronjob: {
    path: (namespace) => `/apis/batch/v1/namespaces/${namespace}/cronjobs`,
    make: (name, random) => ({
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name, labels: labels(random) },
      spec: {
        schedule: '0 0 1 1 *',
        jobTemplate: {
          spec: { template: { spec: { restartPolicy: 'Never', containers: [container(random)] } } },
        },
      },
    }),
    change: (random) => ({ spec: { suspend: random() < 0.5 } }),
    scalable: false,
  },
  pod: {
    path: (namespace) => `/api/v1/namespaces/${namespace}/pods`,
    make: (name, random) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels: labels(random) },
      spec: { terminationGracePeriodSeconds: 1, containers: [container(random)] },
    }),
    change: relabel,
    scalable: false,
  },
  configmap: {
    path: (namespace) => `/api/v1/namespaces/${namespace}/configmaps`,
    make: (name, random) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, labels: labels(random) },
      data: { value: String(random()) },
    }),
    change: (random) => ({ data: { value: String(random()), [`key-${Math.floor(random() * 3)}`]: 'x' } }),
    scalable: false,
  },
  service: {
    path: (namespace) => `/api/v1/namespaces/${namespace}/services`,
    make: (name, random) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, labels: labels(random) },
      spec: { selector: labels(random), ports: [{ port: 80, targetPort: 8080 }] },
    }),
    change: (random) => ({ spec: { selector: labels(random) } }),
    scalable: false,
  },
  ingress: {
    path: (namespace) => `/apis/networking.k8s.io/v1/namespaces/${namespace}/ingresses`,
    make: (name, random) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: { name, labels: labels(random) },
      spec: { defaultBackend: { service: { name, port: { number: 80 } } } },
    }),
    change: relabel,
    scalable: false,
  },
  persistentvolumeclaim: {
    path: (namespace) => `/api/v1/namespaces/${namespace}/persistentvolumeclaims`,
    make: (name, random) => ({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, labels: labels(random) },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    }),
    change: relabel,
    scalable: false,
  },
  resourcequota: {
    path: (namespace) => `/api/v1/namespaces/${namespace}/resourcequotas`,
    make: (name, random) => ({
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name, labels: labels(random) },
      spec: { hard: { 'count/secrets': String(100 + Math.floor(random() * 100)) } },
    }),
    change: (random) => ({ spec: { hard: { 'count/secrets': String(100 + Math.floor(random() * 100)) } } }),
    scalable: false,
  },
  role: {
    path: (namespace) => `${RBAC}/namespaces/${namespace}/roles`,
    make: (name, random) => ({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name, labels: labels(random) },
      rules: [rule(random)],
    }),
    change: (random) => ({ rules: [rule(random), rule(random)] }),
    scalable: false,
  },
  // Of people whom nobody is.
  rolebinding: {
    path: (namespace) => `${RBAC}/namespaces/${namespace}/rolebindings`,
    make: (name, random) => ({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name, labels: labels(random) },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [subject(random)],
    }),
    change: (random) => ({ subjects: [subject(random), subject(random)] }),
    scalable: false,
  },
}

/** Resolves after `seconds`, or soon after the signal, when every request has been answered. */
export async function churn(options: ChurnOptions): Promise<ChurnReport> {
  const { http, ratePerSecond = 50, seconds, seed, namespaces = 3, objectsPerKind = 4, signal } = options
  const random = seeded(seed)
  const names = Array.from({ length: namespaces }, (_, index) => `churn-${index}`)
  for (const name of names) {
    await eventually(() => makeNamespace(http, name), SET_UP)
  }
  const live = new Map<string, string[]>()
  const done: Record<string, number> = {}
  const failed: Record<number, number> = {}
  const inFlight = new Set<Promise<void>>()
  const kinds: string[] = []
  for (const [kind, { path }] of Object.entries(RECIPES)) {
    const { status } = await eventually(() => listed(http, path(names[0] ?? 'default')), SET_UP)
    if (status === 200) kinds.push(kind)
  }
  const started = performance.now()
  let counter = 0
  /** The last request for each object: the next one waits for its answer, so that an update meets its object. */
  const last = new Map<string, Promise<void>>()

  function send(
    verb: string,
    object: string,
    request: () => ReturnType<KubernetesHttp['get']>,
  ): Promise<void> {
    const before = last.get(object)
    const sent = (async () => {
      await before
      const { status } = await request().catch(() => ({ status: 0 }))
      if (status >= 200 && status < 300) done[verb] = (done[verb] ?? 0) + 1
      else failed[status] = (failed[status] ?? 0) + 1
    })()
    last.set(object, sent)
    return sent
  }

  function step(): Promise<void> {
    const kind = kinds[Math.floor(random() * kinds.length)] ?? 'configmap'
    const recipe = RECIPES[kind]
    const namespace = names[Math.floor(random() * names.length)] ?? ''
    if (!recipe) return Promise.resolve()
    const path = recipe.path(namespace)
    const mine = live.get(path) ?? []
    live.set(path, mine)
    const dice = random()
    if (mine.length === 0 || (dice < 0.3 && mine.length < objectsPerKind)) {
      // The seed and the time of the start make names that no earlier churn has left behind.
      const name = `${kind}-${seed}-${(counter += 1)}-${Math.floor(random() * 46656).toString(36)}`
      mine.push(name)
      const body = recipe.make(name, random)
      return send('create', `${path}/${name}`, () => http.post(path, body))
    }
    const at = Math.floor(random() * mine.length)
    const object = `${path}/${mine[at]}`
    if (dice < 0.5) {
      mine.splice(at, 1)
      return send('delete', object, () => http.delete(`${object}?propagationPolicy=Background`))
    }
    if (recipe.scalable && dice < 0.75) {
      const replicas = Math.floor(random() * 5)
      return send('scale', object, () => http.patch(`${object}/scale`, 'merge', { spec: { replicas } }))
    }
    const body = recipe.change(random)
    return send('update', object, () => http.patch(object, 'merge', body))
  }

  for (let made = 0; made < seconds * ratePerSecond; made += 1) {
    if (signal?.aborted) break
    const due = (made / ratePerSecond) * 1000 - (performance.now() - started)
    if (due > 0) await sleep(due, undefined, { signal }).catch(() => undefined)
    const request = step()
    inFlight.add(request)
    void request.finally(() => inFlight.delete(request))
    // A server that is away must not be met by a flood when it comes back.
    if (inFlight.size > ratePerSecond) await Promise.race(inFlight)
  }
  await Promise.all(inFlight)
  return { done, failed, seconds: (performance.now() - started) / 1000 }
}

/** Pods of a new namespace are refused until its service account is there. */
/** Set-up outlives a restart of the server as all else does: unlike the churn, it has to be done. */
const SET_UP = { timeoutMs: 60_000, everyMs: 50 }

/** Resolves when pods can be made there: when the namespace has its service account. */
async function makeNamespace(http: KubernetesHttp, name: string): Promise<void> {
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
  const { status, body: answer } = await http.post('/api/v1/namespaces', body)
  if (status !== 201 && status !== 409) throw new Error(`namespace ${name}: ${status} ${answer.message}`)
  await http.must(http.get(`/api/v1/namespaces/${name}/serviceaccounts/default`))
}

/** 404 is an answer: an older server has no batch/v1 CronJob, say. One that starts has others. */
async function listed(http: KubernetesHttp, path: string): Promise<{ status: number }> {
  const { status } = await http.get(path)
  if (status !== 200 && status !== 404) throw new Error(`${path}: ${status}`)
  return { status }
}

/** What the API server lists now, by resource (`pods`, `deployments.apps`): each object whole, by `namespace/name`. */
export type Snapshot = ReadonlyMap<string, ReadonlyMap<string, KubeJson>>

/** Those of the gateway's kinds, each in the version that the gateway asks for. */
const SNAPSHOT_RESOURCES: Readonly<Record<string, string>> = {
  nodes: '/api/v1/nodes',
  namespaces: '/api/v1/namespaces',
  pods: '/api/v1/pods',
  services: '/api/v1/services',
  configmaps: '/api/v1/configmaps',
  persistentvolumeclaims: '/api/v1/persistentvolumeclaims',
  persistentvolumes: '/api/v1/persistentvolumes',
  resourcequotas: '/api/v1/resourcequotas',
  events: '/api/v1/events',
  'deployments.apps': '/apis/apps/v1/deployments',
  'replicasets.apps': '/apis/apps/v1/replicasets',
  'statefulsets.apps': '/apis/apps/v1/statefulsets',
  'daemonsets.apps': '/apis/apps/v1/daemonsets',
  'jobs.batch': '/apis/batch/v1/jobs',
  'cronjobs.batch': '/apis/batch/v1/cronjobs',
  'endpointslices.discovery.k8s.io': '/apis/discovery.k8s.io/v1/endpointslices',
  'ingresses.networking.k8s.io': '/apis/networking.k8s.io/v1/ingresses',
  'storageclasses.storage.k8s.io': '/apis/storage.k8s.io/v1/storageclasses',
  'horizontalpodautoscalers.autoscaling': '/apis/autoscaling/v2/horizontalpodautoscalers',
  'roles.rbac.authorization.k8s.io': `${RBAC}/roles`,
  'rolebindings.rbac.authorization.k8s.io': `${RBAC}/rolebindings`,
  'clusterroles.rbac.authorization.k8s.io': `${RBAC}/clusterroles`,
  'clusterrolebindings.rbac.authorization.k8s.io': `${RBAC}/clusterrolebindings`,
}

/**
 * Lists every resource, each from the newest version. Resources that the server does not serve (404) are
 * left out. The lists are not of one moment: quieten the cluster first (`untilQuiet`).
 */
export async function snapshotCluster(http: KubernetesHttp): Promise<Snapshot> {
  const entries = await Promise.all(
    Object.entries(SNAPSHOT_RESOURCES).map(async ([resource, path]) => {
      const answer = await http.get(path)
      if (answer.status === 404) return undefined
      const { items } = await http.must(Promise.resolve(answer))
      const objects = items.map(
        (item) => [`${item.metadata.namespace ?? ''}/${item.metadata.name}`, item] as const,
      )
      return [resource, new Map(objects)] as const
    }),
  )
  return new Map(entries.filter((entry) => entry !== undefined))
}

/** Snapshots until two in a row, `everyMs` apart, hold the same versions; heartbeats of nodes are not changes. */
export async function untilQuiet(
  http: KubernetesHttp,
  { timeoutMs = 60_000, everyMs = 1000 }: { readonly timeoutMs?: number; readonly everyMs?: number } = {},
): Promise<Snapshot> {
  const deadline = performance.now() + timeoutMs
  let before = await snapshotCluster(http)
  for (;;) {
    await sleep(everyMs)
    const now = await snapshotCluster(http)
    const changed = changesBetween(before, now)
    if (changed.length === 0) return now
    if (performance.now() > deadline) {
      throw new Error(
        `the cluster is still changing after ${timeoutMs} ms: ${changed.slice(0, 5).join(', ')}`,
      )
    }
    before = now
  }
}

function changesBetween(before: Snapshot, now: Snapshot): string[] {
  const versions = (snapshot: Snapshot): Map<string, string> =>
    new Map(
      [...snapshot]
        .filter(([resource]) => resource !== 'nodes')
        .flatMap(([resource, objects]) =>
          [...objects].map(
            ([key, { metadata }]) => [`${resource} ${key}`, metadata.resourceVersion] as const,
          ),
        ),
    )
  const old = versions(before)
  const current = versions(now)
  return [
    ...[...current].filter(([key, version]) => old.get(key) !== version).map(([key]) => key),
    ...[...old.keys()].filter((key) => !current.has(key)),
  ]
}

/** mulberry32. */
function seeded(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
