/**
 * The rows of the matrix: for each mutation what has to be there, what is asked for, and what comes of it. Everything
 * of one cell has one name, `n`, or names that begin with it and a dash.
 */
import { NAMESPACE } from './world.ts'

/** Resources by path, of one namespace or of none. */
export interface Resource {
  readonly apiVersion: string
  readonly kind: string
  readonly path: string
}

function namespaced(apiVersion: string, kind: string, resource: string): Resource {
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`
  return { apiVersion, kind, path: `${root}/namespaces/${NAMESPACE}/${resource}` }
}

const CONFIG_MAP = namespaced('v1', 'ConfigMap', 'configmaps')
const SERVICE = namespaced('v1', 'Service', 'services')
const POD = namespaced('v1', 'Pod', 'pods')
const DEPLOYMENT = namespaced('apps/v1', 'Deployment', 'deployments')
const INGRESS = namespaced('networking.k8s.io/v1', 'Ingress', 'ingresses')
const AUTOSCALER = namespaced('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers')
const CRON_JOB = namespaced('batch/v1', 'CronJob', 'cronjobs')
const JOB = namespaced('batch/v1', 'Job', 'jobs')
const NODE: Resource = { apiVersion: 'v1', kind: 'Node', path: '/api/v1/nodes' }
const NAMESPACES: Resource = { apiVersion: 'v1', kind: 'Namespace', path: '/api/v1/namespaces' }

export interface Given {
  readonly resource: Resource
  readonly body: {
    readonly metadata: { readonly name: string; readonly [field: string]: unknown }
    readonly [field: string]: unknown
  }
  /** Afterwards: another revision. */
  readonly revised?: object
}

export type Input = Readonly<Record<string, unknown>>

export interface Case {
  /** What is there beside, or in place of objects of the same names. */
  readonly given?: (n: string) => readonly Given[]
  readonly input: (n: string, clusters: readonly string[]) => Input
}

interface Wrong extends Pick<Case, 'input'> {
  readonly why: string
  /** `BAD_USER_INPUT`: of the whole request. Else of the result in each cluster. */
  readonly expected: 'BAD_USER_INPUT' | { readonly outcome: string; readonly code: string }
}

export interface Row extends Case {
  readonly verb: string
  /** Those that are looked at: what it is about, and all that could be left over. */
  readonly resources: readonly Resource[]
  readonly given: (n: string) => readonly Given[]
  readonly outcome: 'CREATED' | 'UPDATED' | 'DELETED'
  /** Where the object is not as the input expects it; absent: no input expects anything. */
  readonly conflict?: Case & { readonly code: 'CONFLICT' | 'ALREADY_EXISTS' }
  readonly invalid: readonly Wrong[]
  /** Where what it is about is not there; absent: it is about nothing that has to be. */
  readonly missing?: { readonly outcome: string; readonly code: string | null }
  /** Of a plan whose object somebody else made meanwhile, where all is well then; default CONFLICT. */
  readonly overtaken?: 'UNCHANGED'
  /** Of two steps: the first is done, and then the cluster is gone. The kinds of both, and the outcome of the first. */
  readonly between?: Case & {
    readonly resources: readonly Resource[]
    readonly first: { readonly kind: string; readonly outcome: string }
    readonly second: string
  }
}

const IMAGE = 'registry.k8s.io/pause:3.10'

function configMap(n: string): Given {
  return {
    resource: CONFIG_MAP,
    body: { metadata: { name: n, labels: { tier: 'old' }, annotations: { note: 'old' } }, data: { a: '1' } },
  }
}

/** As `deploy` selects it; nothing runs, so that it comes to rest at once. */
function deployment(n: string, spec: object = {}, revised?: object): Given {
  const labels = { 'app.kubernetes.io/name': n }
  return {
    resource: DEPLOYMENT,
    body: {
      metadata: { name: n },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { containers: [{ name: n, image: IMAGE, ports: [{ containerPort: 80 }] }] },
        },
        ...spec,
      },
    },
    ...(revised && { revised }),
  }
}

function cronJob(n: string, suspend = false): Given {
  const template = {
    spec: {
      restartPolicy: 'Never',
      containers: [{ name: 'main', image: IMAGE, command: ['sleep', '3600'] }],
    },
  }
  return {
    resource: CRON_JOB,
    body: {
      metadata: { name: n },
      spec: { schedule: '0 0 1 1 *', suspend, jobTemplate: { spec: { template } } },
    },
  }
}

function service(n: string, spec: object = {}): Given {
  return {
    resource: SERVICE,
    body: { metadata: { name: n }, spec: { selector: { of: 'somebody' }, ports: [{ port: 80 }], ...spec } },
  }
}

function ingress(n: string): Given {
  const backend = { service: { name: n, port: { number: 80 } } }
  const rules = [{ host: `${n}.example.com`, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }]
  return { resource: INGRESS, body: { metadata: { name: n }, spec: { rules } } }
}

function pod(n: string, nodeName = 'node-0'): Given {
  return {
    resource: POD,
    body: {
      metadata: { name: n },
      spec: {
        nodeName,
        containers: [{ name: 'main', image: IMAGE }],
        tolerations: [{ operator: 'Exists' }],
      },
    },
  }
}

/** No pods come to it by themselves. */
function node(n: string, unschedulable = false): Given {
  const taints = [{ key: 'fleetgraph.test/kept-free', effect: 'NoSchedule' }]
  return { resource: NODE, body: { metadata: { name: n }, spec: { unschedulable, taints } } }
}

function namespaceOf(n: string): Given {
  return { resource: NAMESPACES, body: { metadata: { name: n } } }
}

export function resourceOf(kind: string): Resource {
  const found = ROWS.flatMap(({ resources }) => resources).find((each) => each.kind === kind)
  if (!found) throw new Error(`no row is about ${kind}`)
  return found
}

const none = () => []

/** Targets of one name in each cluster. */
function named({ apiVersion, kind, path }: Resource) {
  return (name: string, clusters: readonly string[]) => ({
    objects: clusters.map((cluster) => ({
      cluster,
      apiVersion,
      kind,
      name,
      ...(path.includes('/namespaces/') && { namespace: NAMESPACE }),
    })),
  })
}

/** An input that is about objects of a kind, and says this beside. */
function about(resource: Resource, input: Input = {}): Case['input'] {
  const targets = named(resource)
  return (n, clusters) => ({ targets: targets(n, clusters), ...input })
}

function wrong(why: string, input: Case['input'], expected: Wrong['expected'] = 'BAD_USER_INPUT'): Wrong {
  return { why, input, expected }
}

/** Of a mutation that takes objects of some kinds only. */
const ofAnotherKind = (input: Input = {}) => wrong('of another kind', about(CONFIG_MAP, input))

const NOT_FOUND = { outcome: 'FAILED', code: 'NOT_FOUND' } as const
const WRONG_UID = { uid: '00000000-0000-0000-0000-000000000000' }

const deployInput = (n: string, clusters: readonly string[]) => ({
  targets: { clusters },
  name: n,
  namespace: NAMESPACE,
  replicas: 0,
  containers: [{ image: IMAGE }],
})
const manifestOf = (...objects: readonly object[]) =>
  objects.map((each) => JSON.stringify(each)).join('\n---\n')
const manifestInput =
  (...objects: ((n: string) => object)[]): Case['input'] =>
  (n, clusters) => ({
    targets: { clusters },
    namespace: NAMESPACE,
    manifest: manifestOf(...objects.map((one) => one(n))),
  })
const applied = (n: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: n },
  data: { a: '2' },
})
const exposed: Input = { ports: [{ port: 80 }] }
const relabel: Input = { set: [{ key: 'tier', value: 'new' }], overwrite: true }
const reannotate: Input = { set: [{ key: 'note', value: 'new' }], overwrite: true }

export const ROWS: readonly Row[] = [
  {
    verb: 'deploy',
    resources: [DEPLOYMENT],
    given: none,
    input: deployInput,
    outcome: 'CREATED',
    conflict: {
      code: 'CONFLICT',
      given: (n) => [deployment(n)],
      input: (n, clusters) => ({ ...deployInput(n, clusters), containers: [{ image: 'nginx:1.29' }] }),
    },
    invalid: [
      wrong('a name that is none', (n, clusters) => ({ ...deployInput(n, clusters), name: 'No Name' })),
      wrong(
        'a namespace that is not there',
        (n, clusters) => ({ ...deployInput(n, clusters), namespace: `${n}-nowhere` }),
        NOT_FOUND,
      ),
    ],
    between: {
      resources: [NAMESPACES],
      input: (n, clusters) => ({ ...deployInput(n, clusters), namespace: n, createNamespace: true }),
      first: { kind: 'Namespace', outcome: 'CREATED' },
      second: 'Deployment',
    },
  },
  {
    verb: 'applyManifest',
    resources: [CONFIG_MAP],
    given: (n) => [configMap(`${n}-other`)],
    input: manifestInput(applied),
    outcome: 'CREATED',
    conflict: { code: 'CONFLICT', given: (n) => [configMap(n)], input: manifestInput(applied) },
    invalid: [
      wrong('no YAML', (_n, clusters) => ({ targets: { clusters }, manifest: '{ a: [' })),
      wrong(
        'what the API server refuses',
        manifestInput((n) => ({ ...applied(n), data: { 'no/key': '1' } })),
        { outcome: 'FAILED', code: 'INVALID' },
      ),
      wrong(
        'a kind that is not served',
        manifestInput((n) => ({ apiVersion: 'example.com/v1', kind: 'Unheard', metadata: { name: n } })),
        { outcome: 'FAILED', code: 'NOT_SERVED' },
      ),
    ],
    between: {
      resources: [CONFIG_MAP, SERVICE],
      input: manifestInput(
        (n) => ({
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: n },
          spec: { ports: [{ port: 80 }] },
        }),
        applied,
      ),
      first: { kind: 'ConfigMap', outcome: 'CREATED' },
      second: 'Service',
    },
  },
  {
    verb: 'deleteObject',
    resources: [CONFIG_MAP],
    given: (n) => [configMap(n)],
    input: about(CONFIG_MAP),
    outcome: 'DELETED',
    conflict: { code: 'CONFLICT', input: about(CONFIG_MAP, WRONG_UID) },
    invalid: [
      wrong('a negative grace period', about(CONFIG_MAP, { gracePeriodSeconds: -1 })),
      wrong(
        'a kind that is not served',
        about({ ...CONFIG_MAP, apiVersion: 'example.com/v1', kind: 'Unheard' }),
        {
          outcome: 'FAILED',
          code: 'NOT_SERVED',
        },
      ),
    ],
    missing: NOT_FOUND,
  },
  {
    verb: 'scale',
    resources: [DEPLOYMENT],
    given: (n) => [deployment(n)],
    input: about(DEPLOYMENT, { to: 1 }),
    outcome: 'UPDATED',
    conflict: { code: 'CONFLICT', input: about(DEPLOYMENT, { to: 1, expectedReplicas: 7 }) },
    invalid: [
      wrong('fewer than none', about(DEPLOYMENT, { to: -1 })),
      wrong('two numbers', about(DEPLOYMENT, { to: 1, by: 1 })),
      ofAnotherKind({ to: 1 }),
    ],
    missing: NOT_FOUND,
  },
  {
    verb: 'autoscale',
    resources: [AUTOSCALER, DEPLOYMENT],
    given: (n) => [deployment(n)],
    input: about(DEPLOYMENT, { maxReplicas: 3 }),
    outcome: 'CREATED',
    conflict: {
      code: 'CONFLICT',
      given: (n) => [
        deployment(n),
        {
          resource: AUTOSCALER,
          body: {
            metadata: { name: n },
            spec: { maxReplicas: 9, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: n } },
          },
        },
      ],
      input: about(DEPLOYMENT, { maxReplicas: 3 }),
    },
    invalid: [
      wrong('fewer at most than at least', about(DEPLOYMENT, { minReplicas: 4, maxReplicas: 3 })),
      ofAnotherKind({ maxReplicas: 3 }),
    ],
  },
  {
    verb: 'restart',
    resources: [DEPLOYMENT],
    given: (n) => [deployment(n)],
    input: about(DEPLOYMENT),
    outcome: 'UPDATED',
    invalid: [ofAnotherKind()],
    missing: NOT_FOUND,
  },
  {
    verb: 'pause',
    resources: [DEPLOYMENT],
    given: (n) => [deployment(n)],
    input: about(DEPLOYMENT),
    outcome: 'UPDATED',
    invalid: [ofAnotherKind()],
    missing: NOT_FOUND,
  },
  {
    verb: 'resume',
    resources: [CRON_JOB],
    given: (n) => [cronJob(n, true)],
    input: about(CRON_JOB),
    outcome: 'UPDATED',
    invalid: [ofAnotherKind()],
    missing: NOT_FOUND,
  },
  {
    verb: 'setImage',
    resources: [DEPLOYMENT],
    given: (n) => [deployment(n)],
    input: about(DEPLOYMENT, { images: [{ image: 'registry.k8s.io/pause:3.9' }] }),
    outcome: 'UPDATED',
    invalid: [
      wrong('no image', about(DEPLOYMENT, { images: [{ image: '' }] })),
      wrong(
        'a container that is not there',
        about(DEPLOYMENT, { images: [{ container: 'none', image: IMAGE }] }),
        {
          outcome: 'FAILED',
          code: 'INVALID',
        },
      ),
      ofAnotherKind({ images: [{ image: IMAGE }] }),
    ],
    missing: NOT_FOUND,
  },
  {
    verb: 'rollback',
    resources: [DEPLOYMENT],
    given: (n) => [
      deployment(
        n,
        {},
        {
          spec: { template: { spec: { containers: [{ name: n, image: 'registry.k8s.io/pause:3.9' }] } } },
        },
      ),
    ],
    input: about(DEPLOYMENT),
    outcome: 'UPDATED',
    invalid: [
      wrong('a revision before the first', about(DEPLOYMENT, { toRevision: 0 })),
      wrong('a revision that never was', about(DEPLOYMENT, { toRevision: 99 }), NOT_FOUND),
      ofAnotherKind(),
    ],
    missing: NOT_FOUND,
  },
  {
    verb: 'suspend',
    resources: [CRON_JOB],
    given: (n) => [cronJob(n)],
    input: about(CRON_JOB),
    outcome: 'UPDATED',
    invalid: [ofAnotherKind()],
    missing: NOT_FOUND,
  },
  {
    verb: 'trigger',
    resources: [JOB],
    given: (n) => [cronJob(n)],
    input: about(CRON_JOB),
    outcome: 'CREATED',
    invalid: [ofAnotherKind()],
    missing: NOT_FOUND,
  },
  {
    verb: 'expose',
    resources: [SERVICE, INGRESS],
    given: (n) => [deployment(n)],
    input: about(DEPLOYMENT, exposed),
    outcome: 'CREATED',
    conflict: {
      code: 'CONFLICT',
      given: (n) => [deployment(n), service(n)],
      input: about(DEPLOYMENT, exposed),
    },
    invalid: [
      wrong('a port beyond all', about(DEPLOYMENT, { ports: [{ port: 70_000 }] })),
      wrong(
        'a port of nodes that is none',
        about(DEPLOYMENT, { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }),
        {
          outcome: 'FAILED',
          code: 'INVALID',
        },
      ),
      ofAnotherKind(exposed),
    ],
    missing: NOT_FOUND,
    between: {
      resources: [SERVICE, INGRESS],
      given: (n) => [deployment(n)],
      input: (n, clusters) => ({
        ...about(DEPLOYMENT, exposed)(n, clusters),
        ingress: { host: `${n}.example.com` },
      }),
      first: { kind: 'Service', outcome: 'CREATED' },
      second: 'Ingress',
    },
  },
  {
    verb: 'unexpose',
    resources: [SERVICE, INGRESS],
    given: (n) => [service(n)],
    input: about(SERVICE),
    outcome: 'DELETED',
    invalid: [ofAnotherKind()],
    missing: NOT_FOUND,
    between: {
      resources: [SERVICE, INGRESS],
      given: (n) => [service(n), ingress(n)],
      input: about(SERVICE),
      first: { kind: 'Ingress', outcome: 'DELETED' },
      second: 'Service',
    },
  },
  {
    verb: 'deletePod',
    resources: [POD],
    given: (n) => [pod(n)],
    input: about(POD),
    outcome: 'DELETED',
    conflict: { code: 'CONFLICT', input: about(POD, WRONG_UID) },
    invalid: [wrong('a negative grace period', about(POD, { gracePeriodSeconds: -1 })), ofAnotherKind()],
    missing: NOT_FOUND,
  },
  {
    verb: 'evictPod',
    resources: [POD],
    given: (n) => [pod(n)],
    input: about(POD),
    outcome: 'DELETED',
    conflict: { code: 'CONFLICT', input: about(POD, WRONG_UID) },
    invalid: [wrong('a patience beyond all', about(POD, { patienceSeconds: 601 })), ofAnotherKind()],
    missing: { outcome: 'UNCHANGED', code: null },
  },
  {
    verb: 'cordon',
    resources: [NODE],
    given: (n) => [node(n)],
    input: about(NODE),
    outcome: 'UPDATED',
    invalid: [ofAnotherKind()],
    missing: NOT_FOUND,
  },
  {
    verb: 'uncordon',
    resources: [NODE],
    given: (n) => [node(n, true)],
    input: about(NODE),
    outcome: 'UPDATED',
    invalid: [ofAnotherKind()],
    missing: NOT_FOUND,
  },
  {
    verb: 'drain',
    resources: [NODE, POD],
    given: (n) => [node(n)],
    input: about(NODE, { force: true, gracePeriodSeconds: 0 }),
    outcome: 'UPDATED',
    invalid: [wrong('a patience beyond all', about(NODE, { timeoutSeconds: 601 })), ofAnotherKind()],
    missing: NOT_FOUND,
    between: {
      resources: [NODE, POD],
      given: (n) => [node(n), pod(n, n)],
      input: about(NODE, { force: true, gracePeriodSeconds: 0 }),
      first: { kind: 'Node', outcome: 'UPDATED' },
      second: 'Pod',
    },
  },
  {
    verb: 'label',
    resources: [CONFIG_MAP],
    given: (n) => [configMap(n)],
    input: about(CONFIG_MAP, relabel),
    outcome: 'UPDATED',
    conflict: { code: 'CONFLICT', input: about(CONFIG_MAP, { ...relabel, overwrite: false }) },
    invalid: [
      wrong('a value that is none', about(CONFIG_MAP, { set: [{ key: 'tier', value: 'no value!' }] })),
    ],
    missing: NOT_FOUND,
  },
  {
    verb: 'annotate',
    resources: [CONFIG_MAP],
    given: (n) => [configMap(n)],
    input: about(CONFIG_MAP, reannotate),
    outcome: 'UPDATED',
    conflict: { code: 'CONFLICT', input: about(CONFIG_MAP, { ...reannotate, overwrite: false }) },
    invalid: [wrong('a key that is none', about(CONFIG_MAP, { set: [{ key: 'no key', value: 'new' }] }))],
    missing: NOT_FOUND,
  },
  {
    verb: 'createNamespace',
    resources: [NAMESPACES],
    given: none,
    input: (n, clusters) => ({ targets: { clusters }, name: n }),
    outcome: 'CREATED',
    // As it is asked for: whoever made it.
    overtaken: 'UNCHANGED',
    conflict: {
      code: 'ALREADY_EXISTS',
      given: (n) => [namespaceOf(n)],
      input: (n, clusters) => ({ targets: { clusters }, name: n, ifAbsent: false }),
    },
    invalid: [wrong('a name that is none', (_n, clusters) => ({ targets: { clusters }, name: 'No Name' }))],
  },
  {
    verb: 'deleteNamespace',
    resources: [NAMESPACES],
    given: (n) => [namespaceOf(n)],
    input: (n, clusters) => ({ targets: { clusters }, name: n, confirmName: n }),
    outcome: 'DELETED',
    invalid: [
      wrong('another name to confirm', (n, clusters) => ({
        targets: { clusters },
        name: n,
        confirmName: `${n}-x`,
      })),
    ],
    missing: NOT_FOUND,
  },
]
