/**
 * A small shop on Kubernetes, as raw objects of the API: one of each kind at least, tied together by
 * owners, selectors and references as controllers tie them. For tests of what reads a fleet.
 */
import { FakeCluster, FakeFleet } from './fake-fleet.ts'

type Json = Record<string, unknown>

interface Meta {
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly owner?: { readonly apiVersion?: string; readonly kind: string; readonly name: string }
  readonly created?: string
  readonly [field: string]: unknown
}

/** UIDs tell kind and name, so that a failing test can be read. */
const uidOf = (kind: string, name: string) => `${kind.toLowerCase()}-${name}-uid`

function object(kind: string, name: string, meta: Meta = {}, rest: Json = {}): Json {
  const { namespace, labels, owner, created = '2026-11-01T00:00:00Z', ...more } = meta
  return {
    kind,
    metadata: {
      name,
      uid: uidOf(kind, name),
      resourceVersion: '10',
      generation: 1,
      creationTimestamp: created,
      ...(namespace && { namespace }),
      ...(labels && { labels }),
      ...(owner && {
        ownerReferences: [
          { apiVersion: 'apps/v1', ...owner, uid: uidOf(owner.kind, owner.name), controller: true },
        ],
      }),
      ...more,
    },
    ...rest,
  }
}

const READ_PODS = { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['pods', 'pods/log'] }
const DEPLOY = {
  verbs: ['patch'],
  apiGroups: ['apps'],
  resources: ['deployments'],
  resourceNames: ['web'],
}
const AGGREGATED = { clusterRoleSelectors: [{ matchLabels: { 'example.com/to-view': 'true' } }] }

interface PodOptions extends Meta {
  readonly node?: string
  readonly image?: string
  readonly phase?: string
  readonly ready?: boolean
  readonly restarts?: number
  readonly waiting?: string
  readonly ip?: string
  readonly cpu?: string
  readonly memory?: string
  readonly volumes?: readonly Json[]
}

export function pod(namespace: string, name: string, options: PodOptions = {}): Json {
  const {
    node,
    image = 'registry.example.com/web:2',
    phase = 'Running',
    ready = true,
    restarts = 0,
    waiting,
    ip,
    cpu = '250m',
    memory = '256Mi',
    volumes = [],
    ...meta
  } = options
  return object(
    'Pod',
    name,
    { namespace, ...meta },
    {
      spec: {
        ...(node && { nodeName: node }),
        serviceAccountName: 'default',
        containers: [
          {
            name: 'main',
            image,
            ports: [{ name: 'http', containerPort: 8080 }],
            resources: { requests: { cpu, memory }, limits: { memory: '512Mi' } },
            env: [{ name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'web-token', key: 'token' } } }],
          },
        ],
        volumes,
      },
      status: {
        phase,
        qosClass: 'Burstable',
        ...(ip && { podIP: ip, podIPs: [{ ip }] }),
        ...(node && { startTime: '2026-11-02T00:00:00Z' }),
        conditions: [
          {
            type: 'Ready',
            status: ready ? 'True' : 'False',
            lastTransitionTime: '2026-11-02T00:00:10Z',
          },
        ],
        containerStatuses: node
          ? [
              {
                name: 'main',
                image,
                ready,
                started: ready,
                restartCount: restarts,
                state: waiting
                  ? { waiting: { reason: waiting, message: 'back-off' } }
                  : phase === 'Succeeded'
                    ? { terminated: { exitCode: 0, reason: 'Completed', finishedAt: '2026-11-02T00:01:00Z' } }
                    : { running: { startedAt: '2026-11-02T00:00:05Z' } },
                ...(restarts > 0 && {
                  lastState: {
                    terminated: { exitCode: 137, reason: 'OOMKilled', finishedAt: '2026-11-03T00:00:00Z' },
                  },
                }),
              },
            ]
          : [],
      },
    },
  )
}

const template = (labels: Readonly<Record<string, string>>, image: string): Json => ({
  metadata: { labels },
  spec: {
    containers: [{ name: 'main', image, resources: { requests: { cpu: '250m', memory: '256Mi' } } }],
  },
})

const node = (name: string, ready: string, internal: string, external?: string, rest: Json = {}): Json =>
  object(
    'Node',
    name,
    {
      labels: {
        'kubernetes.io/hostname': name,
        ...(name === 'node-a' && { 'node-role.kubernetes.io/control-plane': '' }),
      },
    },
    {
      spec: rest,
      status: {
        capacity: { cpu: '4', memory: '16Gi', pods: '110' },
        allocatable: { cpu: '3800m', memory: '15Gi', pods: '110' },
        conditions: [{ type: 'Ready', status: ready }],
        addresses: [
          { type: 'InternalIP', address: internal },
          ...(external ? [{ type: 'ExternalIP', address: external }] : []),
        ],
        nodeInfo: { kubeletVersion: 'v1.34.1', architecture: 'amd64', operatingSystem: 'linux' },
      },
    },
  )

const web = { app: 'web' }

/** `prod-eu`, with one of everything. */
function populatedCluster(): FakeCluster {
  return new FakeCluster('prod-eu', { env: 'prod', region: 'eu' })
    .load('Node', [
      node('node-a', 'True', '10.0.0.1', '203.0.113.1'),
      node('node-b', 'False', '10.0.0.2', undefined, {
        unschedulable: true,
        taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }],
      }),
    ])
    .load('Namespace', [
      object('Namespace', 'default', {}, { status: { phase: 'Active' } }),
      object('Namespace', 'shop', { labels: { team: 'shop' } }, { status: { phase: 'Active' } }),
      object('Namespace', 'old', {}, { status: { phase: 'Terminating' } }),
    ])
    .load('Deployment', [
      object(
        'Deployment',
        'web',
        {
          namespace: 'shop',
          labels: web,
          annotations: { 'deployment.kubernetes.io/revision': '2' },
          generation: 3,
        },
        {
          spec: {
            replicas: 3,
            selector: { matchLabels: web },
            strategy: {
              type: 'RollingUpdate',
              rollingUpdate: { maxSurge: '25%', maxUnavailable: 1 },
            },
            template: template(web, 'registry.example.com/web:2'),
          },
          status: {
            observedGeneration: 3,
            replicas: 4,
            updatedReplicas: 3,
            readyReplicas: 2,
            availableReplicas: 2,
            conditions: [
              { type: 'Progressing', status: 'True', reason: 'ReplicaSetUpdated', message: 'rolling' },
            ],
          },
        },
      ),
      object(
        'Deployment',
        'idle',
        { namespace: 'shop', created: '2026-11-10T00:00:00Z' },
        {
          spec: {
            replicas: 0,
            selector: { matchLabels: { app: 'idle' } },
            template: template({ app: 'idle' }, 'registry.example.com/idle:1'),
          },
          status: { observedGeneration: 1 },
        },
      ),
    ])
    .load(
      'ReplicaSet',
      [1, 2].map((revision) =>
        object(
          'ReplicaSet',
          `web-${revision}`,
          {
            namespace: 'shop',
            labels: { ...web, 'pod-template-hash': `${revision}` },
            owner: { kind: 'Deployment', name: 'web' },
            annotations: { 'deployment.kubernetes.io/revision': `${revision}` },
          },
          {
            spec: {
              replicas: revision === 2 ? 3 : 1,
              selector: { matchLabels: { ...web, 'pod-template-hash': `${revision}` } },
              template: template(web, `registry.example.com/web:${revision}`),
            },
            status: { replicas: revision === 2 ? 3 : 1, observedGeneration: 1 },
          },
        ),
      ),
    )
    .load('StatefulSet', [
      object(
        'StatefulSet',
        'db',
        { namespace: 'shop', labels: { app: 'db' } },
        {
          spec: {
            replicas: 1,
            serviceName: 'db',
            selector: { matchLabels: { app: 'db' } },
            template: template({ app: 'db' }, 'postgres:17'),
            volumeClaimTemplates: [{ metadata: { name: 'data' } }],
          },
          status: {
            replicas: 1,
            readyReplicas: 1,
            updatedReplicas: 1,
            availableReplicas: 1,
            observedGeneration: 1,
          },
        },
      ),
    ])
    .load('DaemonSet', [
      object(
        'DaemonSet',
        'agent',
        { namespace: 'kube-system' },
        {
          spec: {
            selector: { matchLabels: { app: 'agent' } },
            template: template({ app: 'agent' }, 'agent:1'),
          },
          status: { desiredNumberScheduled: 2, numberReady: 1, observedGeneration: 1 },
        },
      ),
    ])
    .load('CronJob', [
      object(
        'CronJob',
        'backup',
        { namespace: 'shop' },
        {
          spec: {
            schedule: '0 3 * * *',
            jobTemplate: { spec: { template: template({ app: 'backup' }, 'backup:1') } },
          },
          status: { lastScheduleTime: '2026-11-20T03:00:00Z' },
        },
      ),
    ])
    .load(
      'Job',
      [1, 2].map((number) =>
        object(
          'Job',
          `backup-${number}`,
          {
            namespace: 'shop',
            owner: { apiVersion: 'batch/v1', kind: 'CronJob', name: 'backup' },
            created: `2026-11-1${number}T03:00:00Z`,
          },
          {
            spec: {
              parallelism: 1,
              completions: 1,
              selector: { matchLabels: { 'controller-uid': uidOf('Job', `backup-${number}`) } },
              template: template({ app: 'backup' }, 'backup:1'),
            },
            status: { succeeded: 1, completionTime: `2026-11-1${number}T03:01:00Z` },
          },
        ),
      ),
    )
    .load('Pod', [
      pod('shop', 'web-2-a', {
        node: 'node-a',
        ip: '10.1.0.1',
        labels: { ...web, 'pod-template-hash': '2' },
        owner: { kind: 'ReplicaSet', name: 'web-2' },
      }),
      pod('shop', 'web-2-b', {
        node: 'node-b',
        ip: '10.1.0.2',
        ready: false,
        restarts: 7,
        waiting: 'CrashLoopBackOff',
        labels: { ...web, 'pod-template-hash': '2' },
        owner: { kind: 'ReplicaSet', name: 'web-2' },
        created: '2026-11-05T00:00:00Z',
      }),
      pod('shop', 'web-2-c', {
        phase: 'Pending',
        ready: false,
        labels: { ...web, 'pod-template-hash': '2' },
        owner: { kind: 'ReplicaSet', name: 'web-2' },
        created: '2026-11-06T00:00:00Z',
      }),
      pod('shop', 'web-1-a', {
        node: 'node-a',
        ip: '10.1.0.3',
        image: 'registry.example.com/web:1',
        labels: { ...web, 'pod-template-hash': '1' },
        owner: { kind: 'ReplicaSet', name: 'web-1' },
      }),
      // Has the labels of the Deployment, and is not of it.
      pod('shop', 'stray', { node: 'node-a', ip: '10.1.0.4', labels: web }),
      pod('shop', 'db-0', {
        node: 'node-a',
        ip: '10.1.0.5',
        image: 'postgres:17',
        labels: { app: 'db' },
        owner: { kind: 'StatefulSet', name: 'db' },
        volumes: [
          { name: 'data', persistentVolumeClaim: { claimName: 'data-db-0' } },
          { name: 'settings', configMap: { name: 'settings' } },
          { name: 'password', secret: { secretName: 'db-password' } },
          { name: 'scratch', emptyDir: {} },
        ],
      }),
      ...[1, 2].map((number) =>
        pod('shop', `backup-${number}-x`, {
          node: 'node-a',
          image: 'backup:1',
          phase: 'Succeeded',
          ready: false,
          labels: { 'job-name': `backup-${number}` },
          owner: { apiVersion: 'batch/v1', kind: 'Job', name: `backup-${number}` },
        }),
      ),
    ])
    .load('Service', [
      object(
        'Service',
        'web',
        { namespace: 'shop' },
        {
          spec: {
            type: 'LoadBalancer',
            clusterIP: '10.96.0.10',
            selector: web,
            ports: [
              { name: 'http', port: 80, protocol: 'TCP', targetPort: 'http', nodePort: 30080 },
              { name: 'secure', port: 443, protocol: 'TCP', targetPort: 8443 },
              { name: 'api', port: 9000, protocol: 'TCP', appProtocol: 'https' },
              { name: 'dns', port: 53, protocol: 'UDP' },
            ],
          },
          status: {
            loadBalancer: { ingress: [{ ip: '2001:db8::7' }, { hostname: 'lb.example.com' }] },
          },
        },
      ),
      object(
        'Service',
        'db',
        { namespace: 'shop' },
        { spec: { type: 'ClusterIP', clusterIP: 'None', selector: { app: 'db' }, ports: [{ port: 5432 }] } },
      ),
      object(
        'Service',
        'admin',
        { namespace: 'shop' },
        {
          spec: {
            type: 'NodePort',
            clusterIP: '10.96.0.11',
            selector: { app: 'admin' },
            externalIPs: ['198.51.100.9'],
            ports: [{ port: 8080, protocol: 'TCP', nodePort: 30090 }],
          },
        },
      ),
      object(
        'Service',
        'legacy',
        { namespace: 'shop' },
        { spec: { type: 'ExternalName', externalName: 'legacy.example.com' } },
      ),
    ])
    .load('EndpointSlice', [
      object(
        'EndpointSlice',
        'web-abc',
        { namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
        {
          addressType: 'IPv4',
          ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
          endpoints: [
            {
              addresses: ['10.1.0.1'],
              conditions: { ready: true },
              nodeName: 'node-a',
              targetRef: { kind: 'Pod', name: 'web-2-a', namespace: 'shop' },
            },
            { addresses: ['192.0.2.1'], conditions: { ready: false } },
          ],
        },
      ),
    ])
    .load('Ingress', [
      object(
        'Ingress',
        'web',
        { namespace: 'shop' },
        {
          spec: {
            ingressClassName: 'nginx',
            tls: [{ hosts: ['shop.example.com'] }],
            rules: [
              {
                host: 'shop.example.com',
                http: {
                  paths: [
                    {
                      path: '/',
                      pathType: 'Prefix',
                      backend: { service: { name: 'web', port: { name: 'http' } } },
                    },
                  ],
                },
              },
              {
                host: '*.example.org',
                http: {
                  paths: [
                    {
                      path: '/any',
                      pathType: 'Prefix',
                      backend: { service: { name: 'web', port: { number: 443 } } },
                    },
                  ],
                },
              },
            ],
          },
          status: { loadBalancer: { ingress: [{ ip: '203.0.113.80' }] } },
        },
      ),
    ])
    .load('ConfigMap', [
      object('ConfigMap', 'settings', { namespace: 'shop' }, { data: { 'b.conf': 'hidden', 'a.conf': 'x' } }),
    ])
    .load('PersistentVolumeClaim', [
      object(
        'PersistentVolumeClaim',
        'data-db-0',
        { namespace: 'shop' },
        {
          spec: {
            storageClassName: 'fast',
            volumeName: 'pv-0',
            accessModes: ['ReadWriteOnce'],
            resources: { requests: { storage: '10Gi' } },
          },
          status: { phase: 'Bound', capacity: { storage: '12Gi' } },
        },
      ),
    ])
    .load('PersistentVolume', [
      object(
        'PersistentVolume',
        'pv-0',
        {},
        {
          spec: {
            storageClassName: 'fast',
            capacity: { storage: '12Gi' },
            persistentVolumeReclaimPolicy: 'Delete',
            csi: { driver: 'csi.example.com' },
            claimRef: {
              namespace: 'shop',
              name: 'data-db-0',
              uid: uidOf('PersistentVolumeClaim', 'data-db-0'),
            },
          },
          status: { phase: 'Bound' },
        },
      ),
    ])
    .load('StorageClass', [
      object('StorageClass', 'fast', {}, { provisioner: 'csi.example.com', reclaimPolicy: 'Delete' }),
    ])
    .load('HorizontalPodAutoscaler', [
      object(
        'HorizontalPodAutoscaler',
        'web',
        { namespace: 'shop' },
        {
          spec: {
            scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
            minReplicas: 2,
            maxReplicas: 3,
          },
          status: { currentReplicas: 3, desiredReplicas: 3 },
        },
      ),
    ])
    .load('ResourceQuota', [
      object(
        'ResourceQuota',
        'limits',
        { namespace: 'shop' },
        { status: { hard: { 'requests.cpu': '4', pods: '10' }, used: { 'requests.cpu': '1', pods: '8' } } },
      ),
    ])
    .load('ClusterRole', [
      object('ClusterRole', 'view', {}, { rules: [READ_PODS], aggregationRule: AGGREGATED }),
      object(
        'ClusterRole',
        'reads-pods',
        { labels: { 'example.com/to-view': 'true' } },
        { rules: [READ_PODS] },
      ),
    ])
    .load('ClusterRoleBinding', [
      object(
        'ClusterRoleBinding',
        'auditors-view',
        {},
        { roleRef: { kind: 'ClusterRole', name: 'view' }, subjects: [{ kind: 'User', name: 'auditor' }] },
      ),
    ])
    .load('Role', [
      object('Role', 'deployer', { namespace: 'shop' }, { rules: [DEPLOY] }),
      object('Role', 'deployer', { namespace: 'media' }, { rules: [] }),
    ])
    .load('RoleBinding', [
      object(
        'RoleBinding',
        'team-deploys',
        { namespace: 'shop' },
        {
          roleRef: { kind: 'Role', name: 'deployer' },
          subjects: [
            { kind: 'Group', name: 'shop-team' },
            { kind: 'ServiceAccount', name: 'ci', namespace: 'tools' },
          ],
        },
      ),
      object(
        'RoleBinding',
        'team-views',
        { namespace: 'shop' },
        { roleRef: { kind: 'ClusterRole', name: 'view' }, subjects: [{ kind: 'Group', name: 'shop-team' }] },
      ),
      object(
        'RoleBinding',
        'dangling',
        { namespace: 'media' },
        { roleRef: { kind: 'ClusterRole', name: 'gone' }, subjects: [{ kind: 'Group', name: 'media-team' }] },
      ),
    ])
    .load('Event', [
      event('back-off', 'Pod', 'web-2-b', { namespace: 'shop', lastSeen: '2026-11-20T00:02:00Z', count: 12 }),
      event('pulled', 'Pod', 'web-2-b', {
        namespace: 'shop',
        lastSeen: '2026-11-20T00:01:00Z',
        type: 'Normal',
      }),
      // A kubelet reports about its node with the name as the UID.
      event('not-ready', 'Node', 'node-b', {
        namespace: 'default',
        lastSeen: '2026-11-20T00:00:00Z',
        uid: 'node-b',
      }),
    ])
}

function event(
  name: string,
  kind: string,
  about: string,
  {
    namespace,
    lastSeen,
    type = 'Warning',
    count = 1,
    uid = uidOf(kind, about),
  }: { namespace: string; lastSeen: string; type?: string; count?: number; uid?: string },
): Json {
  return object(
    'Event',
    name,
    { namespace },
    {
      type,
      reason: name === 'back-off' ? 'BackOff' : 'Note',
      message: `${name} of ${about}`,
      count,
      firstTimestamp: lastSeen,
      lastTimestamp: lastSeen,
      source: { component: 'kubelet' },
      involvedObject: { kind, name: about, uid, ...(kind !== 'Node' && { namespace }) },
    },
  )
}

/** `prod-eu` with everything, `prod-us` with a few pods and a node, `staging` that has not synced yet. */
export function shopFleet(): {
  readonly fleet: FakeFleet
  readonly eu: FakeCluster
  readonly us: FakeCluster
  readonly staging: FakeCluster
} {
  const eu = populatedCluster()
  const us = new FakeCluster('prod-us', { env: 'prod', region: 'us' })
    .load('Node', [node('node-x', 'True', '10.9.0.1')])
    .load('Namespace', [object('Namespace', 'shop', {}, { status: { phase: 'Active' } })])
    .load('Deployment', [])
    .load('Pod', [
      pod('shop', 'web-9', { node: 'node-x', ip: '10.9.1.1', labels: web, cpu: '1', memory: '1Gi' }),
      pod('shop', 'other', { node: 'node-x', ip: '10.9.1.10', image: 'other:3' }),
    ])
  const staging = new FakeCluster('staging', { env: 'staging', region: 'eu' })
  return { fleet: new FakeFleet(eu, us, staging), eu, us, staging }
}
