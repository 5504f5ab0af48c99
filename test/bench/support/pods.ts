/**
 * Synthetic pods as an API server writes them: some 8 KB each, two fifths of it managedFields, in the field
 * order of Go's structs and without white space. Every pod differs in name, uid, address, node, times
 * and service account volume, as real ones do; pods of one workload share their template.
 */

export interface SyntheticPod {
  readonly metadata: { readonly namespace: string; readonly name: string; readonly resourceVersion: string }
}

const hex = (n: number, digits: number) => n.toString(16).padStart(digits, '0').slice(-digits)
const suffix = (n: number) => ((n * 2_654_435_761) % 60_466_176).toString(36).padStart(5, 'b')

/** Pod number `i`, of a population in which each workload has 20 pods and each namespace 25 workloads. */
export function syntheticPod(i: number, resourceVersion = 1_000_000 + i): SyntheticPod {
  const workload = Math.floor(i / 20)
  const namespace = `team-${Math.floor(workload / 25)}`
  const app = `service-${workload}`
  const hash = hex(workload * 40_503 + 7, 9)
  const name = `${app}-${hash}-${suffix(i)}`
  const image = `registry.example.com/${namespace}/${app}:v1.${workload % 40}.${workload % 7}`
  const proxy = 'registry.example.com/mesh/proxy:1.24.3'
  const volume = `kube-api-access-${suffix(i + 1)}`
  const time = (seconds: number) =>
    new Date(1_760_000_000_000 + (i * 37 + seconds) * 1000).toISOString().replace('.000', '')
  const mounts = (...extra: object[]) => [
    ...extra,
    { name: volume, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
  ]
  const status = (container: string, image: string) => ({
    name: container,
    state: { running: { startedAt: time(12) } },
    lastState: {},
    ready: true,
    restartCount: i % 50 === 0 ? 3 : 0,
    image,
    imageID: `${image.split(':')[0]}@sha256:${hex(workload, 8).repeat(8)}`,
    containerID: `containerd://${hex(i, 8).repeat(8)}`,
    started: true,
  })
  const condition = (type: string, seconds: number) => ({
    type,
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: time(seconds),
  })
  return {
    metadata: {
      name,
      generateName: `${app}-${hash}-`,
      namespace,
      uid: `${hex(i, 8)}-5f1e-4c0a-9d2b-${hex(i * 7919, 12)}`,
      resourceVersion: String(resourceVersion),
      creationTimestamp: time(0),
      labels: {
        app,
        'app.kubernetes.io/name': app,
        'app.kubernetes.io/part-of': namespace,
        'app.kubernetes.io/version': `1.${workload % 40}.${workload % 7}`,
        'pod-template-hash': hash,
      },
      annotations: {
        'prometheus.io/port': '9090',
        'prometheus.io/scrape': 'true',
        'checksum/config': hex(workload, 8).repeat(8),
        'kubectl.kubernetes.io/restartedAt': time(-900),
      },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `${app}-${hash}`,
          uid: `${hex(workload, 8)}-77aa-4e1b-8c3d-${hex(workload * 104_729, 12)}`,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: managedFields(time(0), time(14)),
    },
    spec: {
      volumes: [
        { name: 'config', configMap: { name: `${app}-config`, defaultMode: 420 } },
        { name: 'tmp', emptyDir: {} },
        {
          name: volume,
          projected: {
            sources: [
              { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
              { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
              {
                downwardAPI: {
                  items: [
                    { path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } },
                  ],
                },
              },
            ],
            defaultMode: 420,
          },
        },
      ],
      containers: [
        {
          name: 'app',
          image,
          args: ['--config=/etc/app/config.yaml', '--log-format=json'],
          ports: [
            { name: 'http', containerPort: 8080, protocol: 'TCP' },
            { name: 'metrics', containerPort: 9090, protocol: 'TCP' },
          ],
          env: [
            { name: 'POD_NAME', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } },
            { name: 'DATABASE_URL', valueFrom: { secretKeyRef: { name: `${app}-db`, key: 'url' } } },
            { name: 'LOG_LEVEL', value: 'info' },
          ],
          resources: {
            limits: { cpu: '1', memory: '512Mi' },
            requests: { cpu: '250m', memory: '256Mi' },
          },
          volumeMounts: mounts({ name: 'config', mountPath: '/etc/app' }, { name: 'tmp', mountPath: '/tmp' }),
          livenessProbe: {
            httpGet: { path: '/healthz', port: 'http', scheme: 'HTTP' },
            timeoutSeconds: 1,
            periodSeconds: 10,
            successThreshold: 1,
            failureThreshold: 3,
          },
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
          imagePullPolicy: 'IfNotPresent',
          securityContext: { capabilities: { drop: ['ALL'] }, allowPrivilegeEscalation: false },
        },
        {
          name: 'proxy',
          image: proxy,
          ports: [{ name: 'proxy', containerPort: 15001, protocol: 'TCP' }],
          resources: { limits: { cpu: '500m', memory: '128Mi' }, requests: { cpu: '50m', memory: '64Mi' } },
          volumeMounts: mounts(),
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
          imagePullPolicy: 'IfNotPresent',
        },
      ],
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      serviceAccountName: app,
      serviceAccount: app,
      nodeName: `node-${i % 100}.eu-west-1.compute.internal`,
      securityContext: { runAsNonRoot: true },
      schedulerName: 'default-scheduler',
      tolerations: [
        {
          key: 'node.kubernetes.io/not-ready',
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: 300,
        },
        {
          key: 'node.kubernetes.io/unreachable',
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: 300,
        },
      ],
      priority: 0,
      enableServiceLinks: true,
      preemptionPolicy: 'PreemptLowerPriority',
    },
    status: {
      phase: 'Running',
      conditions: [
        condition('PodReadyToStartContainers', 4),
        condition('Initialized', 1),
        condition('Ready', 14),
        condition('ContainersReady', 14),
        condition('PodScheduled', 1),
      ],
      hostIP: `10.0.${i % 100}.7`,
      hostIPs: [{ ip: `10.0.${i % 100}.7` }],
      podIP: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
      podIPs: [{ ip: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}` }],
      startTime: time(1),
      containerStatuses: [status('app', image), status('proxy', proxy)],
      qosClass: 'Burstable',
    },
  } as SyntheticPod
}

/** What the controller manager wrote (the template) and what the kubelet wrote (the status). */
function managedFields(created: string, updated: string): object[] {
  const all = (...names: string[]) => Object.fromEntries(names.map((name) => [`f:${name}`, {}]))
  const container = {
    '.': {},
    ...all('args', 'image', 'imagePullPolicy', 'name', 'terminationMessagePath', 'terminationMessagePolicy'),
    'f:env': {
      '.': {},
      'k:{"name":"DATABASE_URL"}': {
        '.': {},
        ...all('name'),
        'f:valueFrom': { '.': {}, ...all('secretKeyRef') },
      },
      'k:{"name":"LOG_LEVEL"}': { '.': {}, ...all('name', 'value') },
      'k:{"name":"POD_NAME"}': { '.': {}, ...all('name'), 'f:valueFrom': { '.': {}, ...all('fieldRef') } },
    },
    'f:livenessProbe': {
      '.': {},
      ...all('failureThreshold', 'periodSeconds', 'successThreshold', 'timeoutSeconds'),
      'f:httpGet': { '.': {}, ...all('path', 'port', 'scheme') },
    },
    'f:ports': {
      '.': {},
      'k:{"containerPort":8080,"protocol":"TCP"}': { '.': {}, ...all('containerPort', 'name', 'protocol') },
      'k:{"containerPort":9090,"protocol":"TCP"}': { '.': {}, ...all('containerPort', 'name', 'protocol') },
    },
    'f:resources': {
      '.': {},
      'f:limits': { '.': {}, ...all('cpu', 'memory') },
      'f:requests': { '.': {}, ...all('cpu', 'memory') },
    },
    'f:volumeMounts': {
      '.': {},
      'k:{"mountPath":"/etc/app"}': { '.': {}, ...all('mountPath', 'name') },
      'k:{"mountPath":"/tmp"}': { '.': {}, ...all('mountPath', 'name') },
    },
  }
  const condition = { '.': {}, ...all('lastProbeTime', 'lastTransitionTime', 'status', 'type') }
  return [
    {
      manager: 'kube-controller-manager',
      operation: 'Update',
      apiVersion: 'v1',
      time: created,
      fieldsType: 'FieldsV1',
      fieldsV1: {
        'f:metadata': {
          'f:annotations': {
            '.': {},
            ...all('checksum/config', 'prometheus.io/port', 'prometheus.io/scrape'),
          },
          ...all('generateName'),
          'f:labels': {
            '.': {},
            ...all('app', 'app.kubernetes.io/name', 'app.kubernetes.io/part-of', 'pod-template-hash'),
          },
          'f:ownerReferences': { '.': {}, 'k:{"uid":"00000001-77aa-4e1b-8c3d-0000001991ab"}': {} },
        },
        'f:spec': {
          'f:containers': {
            'k:{"name":"app"}': container,
            'k:{"name":"proxy"}': {
              '.': {},
              ...all('image', 'imagePullPolicy', 'name', 'resources', 'terminationMessagePath'),
            },
          },
          ...all('dnsPolicy', 'enableServiceLinks', 'restartPolicy', 'schedulerName', 'securityContext'),
          ...all('serviceAccount', 'serviceAccountName', 'terminationGracePeriodSeconds'),
          'f:volumes': {
            '.': {},
            'k:{"name":"config"}': {
              '.': {},
              'f:configMap': { '.': {}, ...all('defaultMode', 'name') },
              ...all('name'),
            },
            'k:{"name":"tmp"}': { '.': {}, ...all('emptyDir', 'name') },
          },
        },
      },
    },
    {
      manager: 'kubelet',
      operation: 'Update',
      apiVersion: 'v1',
      time: updated,
      fieldsType: 'FieldsV1',
      fieldsV1: {
        'f:status': {
          'f:conditions': {
            'k:{"type":"ContainersReady"}': condition,
            'k:{"type":"Initialized"}': condition,
            'k:{"type":"PodReadyToStartContainers"}': condition,
            'k:{"type":"Ready"}': condition,
          },
          ...all('containerStatuses', 'hostIP', 'hostIPs', 'phase', 'startTime'),
          'f:podIP': {},
          'f:podIPs': { '.': {}, 'k:{"ip":"10.0.0.1"}': { '.': {}, ...all('ip') } },
        },
      },
      subresource: 'status',
    },
  ]
}
