/** Objects of the API as no server sends them: with the fields of all kinds at once, and with junk among them. */
import * as fc from 'fast-check'

const CONTAINER = {
  name: 'app',
  image: 'web:1',
  restartPolicy: 'Always',
  ports: [{ name: 'http', containerPort: 80 }],
  resources: { requests: { cpu: '1' }, limits: { memory: '1Gi' } },
  volumeMounts: [{ name: 'v', mountPath: '/v' }],
}
const STATUS = {
  name: 'app',
  ready: true,
  restartCount: 1,
  state: {
    terminated: { exitCode: 1, finishedAt: '2026-11-23T04:31:00Z' },
    running: {},
    waiting: { reason: 'x' },
  },
  lastState: { terminated: { exitCode: 1 } },
  resources: { requests: { cpu: '2' } },
  allocatedResources: { cpu: '2' },
}
const POD_SPEC = {
  containers: [CONTAINER],
  initContainers: [CONTAINER],
  volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }],
  overhead: { cpu: '1' },
}
const METRIC = { type: 'Resource', resource: { name: 'cpu', target: { averageUtilization: 1 }, current: {} } }
const BACKEND = { service: { name: 'web', port: { number: 80 } }, serviceName: 'web', servicePort: 80 }

/** An object with nearly every field that a projection of any kind reads. */
export const EVERYTHING = {
  metadata: {
    name: 'x',
    namespace: 'y',
    labels: { a: 'b', 'node-role.kubernetes.io/x': '' },
    annotations: { 'deployment.kubernetes.io/revision': '1' },
    ownerReferences: [{ controller: true, uid: 'u', kind: 'k', name: 'n', apiVersion: 'v' }],
  },
  spec: {
    ...POD_SPEC,
    resources: { requests: { cpu: '1', storage: '1Gi' } },
    template: { metadata: { labels: { a: 'b' } }, spec: POD_SPEC },
    jobTemplate: { spec: { template: { spec: POD_SPEC } } },
    selector: { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'k', operator: 'In', values: ['v'] }] },
    strategy: { type: 'x', rollingUpdate: { maxSurge: 1 } },
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 1 } },
    volumeClaimTemplates: [{ metadata: { name: 'x' } }],
    taints: [{ key: 'x', effect: 'y' }],
    ports: [{ port: 80, targetPort: 'x' }],
    externalIPs: ['192.0.2.1'],
    rules: [{ host: 'h', http: { paths: [{ path: '/', backend: BACKEND }] } }],
    defaultBackend: BACKEND,
    tls: [{ hosts: ['h'] }],
    metrics: [METRIC],
    scaleTargetRef: { kind: 'k', name: 'n' },
    capacity: { storage: '1Gi' },
    claimRef: { namespace: 'n', name: 'm' },
    csi: { driver: 'd' },
    accessModes: ['ReadWriteOnce'],
    hard: { pods: '1' },
    scopes: ['s'],
  },
  status: {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-11-23T04:31:00Z' }],
    containerStatuses: [STATUS],
    initContainerStatuses: [STATUS],
    capacity: { cpu: '1', storage: '1Gi' },
    allocatable: { cpu: '1' },
    addresses: [{ type: 't', address: 'a' }],
    nodeInfo: { kubeletVersion: 'v' },
    loadBalancer: { ingress: [{ ip: '192.0.2.1' }] },
    currentMetrics: [METRIC],
    active: [{ name: 'x' }],
    hard: { pods: '1' },
    used: { pods: '1' },
  },
  endpoints: [{ addresses: ['a'], conditions: { ready: true }, targetRef: { kind: 'k' }, topology: {} }],
  ports: [{ port: 1 }],
  data: { k: 'v' },
  binaryData: { k: 'v' },
  series: { count: 1 },
  involvedObject: { kind: 'k' },
  source: { component: 'c' },
  rules: [
    {
      verbs: ['get'],
      apiGroups: [''],
      resources: ['pods/log'],
      resourceNames: ['x'],
      nonResourceURLs: ['/healthz'],
    },
  ],
  aggregationRule: {
    clusterRoleSelectors: [
      { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'k', operator: 'In', values: ['v'] }] },
    ],
  },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
  subjects: [
    { kind: 'Group', name: 'g' },
    { kind: 'ServiceAccount', name: 's', namespace: 'y' },
  ],
}

function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, child]) => pathsOf(child, [...path, key]))]
}

const PATHS = pathsOf(EVERYTHING)

const junk = fc.constantFrom<unknown>(
  null,
  true,
  -1,
  1e300,
  '',
  'x',
  [],
  [null],
  [[]],
  ['x', 7],
  {},
  { x: null },
  { constructor: 1, toString: 1, x: {} },
)

/** That object with a few of its parts replaced by what does not belong there. */
export const oddObjects = fc
  .array(fc.tuple(fc.constantFrom(...PATHS), junk), { maxLength: 6 })
  .map((replacements) => {
    const holder = { root: structuredClone(EVERYTHING) as unknown }
    for (const [path, value] of replacements) {
      let at = holder as Record<string, unknown>
      let key = 'root'
      for (const part of path) {
        const next = at[key]
        if (typeof next !== 'object' || next === null) break
        at = next as Record<string, unknown>
        key = part
      }
      at[key] = structuredClone(value)
    }
    return holder.root
  })
