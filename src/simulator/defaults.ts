/**
 * What the API server writes into objects that clients left out: the defaults of the API reference, plus
 * what its built-in admission and strategies add (service account, tolerations, cluster IPs, selectors of jobs).
 *
 * Invariant: an object that lacks nothing comes back as itself.
 */
import {
  asArray,
  asNumber,
  asObject,
  asString,
  at,
  changeIfIn,
  changeIn,
  eachIn,
  isObject,
  withDefaults,
  withKey,
  type JsonObject,
  type MutableJson,
} from './json.ts'
import { podSpec, qosClass, templateSpec } from './pod-defaults.ts'
import type { KubeObject, ResourceKey } from './registry.ts'
import type { ResourceDefinition } from './resources.ts'

/** What defaulting may look up. */
export interface DefaultsContext {
  now(): number
  random(): number
  get(key: ResourceKey, namespace: string, name: string): KubeObject | undefined
  list(key: ResourceKey, namespace?: string): readonly KubeObject[]
}

type Defaulter = (
  object: KubeObject,
  previous: KubeObject | undefined,
  context: DefaultsContext,
) => KubeObject

/** The object as the server would store it. `previous` is undefined on creation. */
export function defaultsOf(
  definition: ResourceDefinition,
  object: KubeObject,
  previous: KubeObject | undefined,
  context: DefaultsContext,
): KubeObject {
  const fill = defaulters[`${definition.group}/${definition.resource}`]
  return fill === undefined ? object : fill(object, previous, context)
}

function template(spec: JsonObject): JsonObject {
  return changeIfIn(spec, 'template', (inner) => changeIfIn(inner, 'spec', templateSpec))
}

/** Fills `spec` (and templates in it), and `status` at creation. */
function workload(spec: JsonObject, status: JsonObject): Defaulter {
  return (object, previous) => {
    const filled = changeIn(object, 'spec', (given) => template(withDefaults(given, spec)))
    return previous === undefined ? withDefaults(filled, { status }) : filled
  }
}

function pod(object: KubeObject, previous: KubeObject | undefined, context: DefaultsContext): KubeObject {
  let filled = changeIn(object, 'spec', podSpec)
  if (previous !== undefined) return filled
  const priorityClass = asString(at(filled, 'spec', 'priorityClassName'))
  if (priorityClass !== '') {
    const value = asNumber(
      context.get({ group: 'scheduling.k8s.io', resource: 'priorityclasses' }, '', priorityClass)?.['value'],
    )
    const priority = value ?? (priorityClass.startsWith('system-') ? 2_000_000_000 : 0)
    filled = changeIn(filled, 'spec', (spec) => withKey(spec, 'priority', priority))
  }
  return changeIn(filled, 'status', (status) =>
    withDefaults(status, { phase: 'Pending', qosClass: qosClass(asObject(filled['spec'])) }),
  )
}

function rollingStrategy(
  key: 'strategy' | 'updateStrategy',
  rolling: JsonObject,
): (spec: JsonObject) => JsonObject {
  return (spec) =>
    changeIn(spec, key, (strategy) => {
      const filled = withDefaults(strategy, { type: 'RollingUpdate' })
      if (filled['type'] !== 'RollingUpdate') return filled
      return changeIn(filled, 'rollingUpdate', (given) => withDefaults(given, rolling))
    })
}

const deploymentStrategy = rollingStrategy('strategy', { maxUnavailable: '25%', maxSurge: '25%' })
const statefulSetStrategy = rollingStrategy('updateStrategy', { partition: 0 })
const daemonSetStrategy = rollingStrategy('updateStrategy', { maxUnavailable: 1, maxSurge: 0 })

const deploymentFields = workload({ replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 }, {})
const statefulSetFields = workload(
  { replicas: 1, revisionHistoryLimit: 10, podManagementPolicy: 'OrderedReady' },
  { replicas: 0, availableReplicas: 0 },
)
const daemonSetFields = workload(
  { revisionHistoryLimit: 10 },
  { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 },
)
const jobFields = {
  backoffLimit: 6,
  completionMode: 'NonIndexed',
  suspend: false,
  manualSelector: false,
  podReplacementPolicy: 'TerminatingOrFailed',
}

function jobSpec(given: JsonObject): JsonObject {
  const bothAbsent = given['completions'] === undefined && given['parallelism'] === undefined
  return template(
    withDefaults(given, { ...jobFields, parallelism: 1, completions: bothAbsent ? 1 : undefined }),
  )
}

function job(object: KubeObject, previous: KubeObject | undefined): KubeObject {
  let filled = changeIn(object, 'spec', jobSpec)
  if (previous !== undefined) return filled
  filled = withDefaults(filled, { status: {} })
  if (at(filled, 'spec', 'manualSelector') === true || at(filled, 'spec', 'selector') !== undefined)
    return filled
  const { uid, name } = filled.metadata
  const labels = {
    'batch.kubernetes.io/controller-uid': uid,
    'batch.kubernetes.io/job-name': name,
    'controller-uid': uid,
    'job-name': name,
  }
  return changeIn(filled, 'spec', (spec) => ({
    ...spec,
    selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } },
    template: changeIn(asObject(spec['template']), 'metadata', (metadata) => ({
      ...metadata,
      labels: { ...asObject(metadata['labels']), ...labels },
    })),
  }))
}

function cronJob(object: KubeObject, previous: KubeObject | undefined): KubeObject {
  const filled = changeIn(object, 'spec', (spec) =>
    changeIfIn(
      withDefaults(spec, {
        concurrencyPolicy: 'Allow',
        suspend: false,
        successfulJobsHistoryLimit: 3,
        failedJobsHistoryLimit: 1,
      }),
      'jobTemplate',
      (inner) => changeIfIn(inner, 'spec', template),
    ),
  )
  return previous === undefined ? withDefaults(filled, { status: {} }) : filled
}

const servicesKey: ResourceKey = { group: '', resource: 'services' }

function service(object: KubeObject, previous: KubeObject | undefined, context: DefaultsContext): KubeObject {
  const filled = changeIn(object, 'spec', (given) => {
    let spec = withDefaults(given, { type: 'ClusterIP', sessionAffinity: 'None' })
    const type = spec['type']
    if (spec['sessionAffinity'] === 'ClientIP') {
      spec = withDefaults(spec, { sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } })
    }
    spec = eachIn(spec, 'ports', (port) => withDefaults(port, { protocol: 'TCP', targetPort: port['port'] }))
    if (type === 'ExternalName') return spec
    spec = withDefaults(spec, {
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
    })
    if (asString(spec['clusterIP']) === '') {
      const kept = asString(at(previous, 'spec', 'clusterIP'))
      const address = kept === '' ? freeClusterIp(context) : kept
      spec = { ...spec, clusterIP: address, clusterIPs: [address] }
    }
    spec = withDefaults(spec, { clusterIPs: [spec['clusterIP']] })
    const exposed = type === 'NodePort' || type === 'LoadBalancer'
    if (!exposed) return withoutNodePorts(spec, type, previous)
    spec = withDefaults(spec, { externalTrafficPolicy: 'Cluster' })
    if (type === 'LoadBalancer') spec = withDefaults(spec, { allocateLoadBalancerNodePorts: true })
    if (spec['allocateLoadBalancerNodePorts'] === false) return spec
    return withNodePorts(spec, previous, context)
  })
  return previous === undefined ? withDefaults(filled, { status: { loadBalancer: {} } }) : filled
}

/** A service that stops being exposed loses what only exposed ones have. */
function withoutNodePorts(spec: JsonObject, type: unknown, previous: KubeObject | undefined): JsonObject {
  const before = at(previous, 'spec', 'type')
  if (before === undefined || before === type || before === 'ClusterIP') return spec
  const cleared = withKey(
    withKey(spec, 'externalTrafficPolicy', undefined),
    'allocateLoadBalancerNodePorts',
    undefined,
  )
  return eachIn(cleared, 'ports', (port) => withKey(port, 'nodePort', undefined))
}

function withNodePorts(
  spec: JsonObject,
  previous: KubeObject | undefined,
  context: DefaultsContext,
): JsonObject {
  const lacks = asArray(spec['ports']).some((port) => (asNumber(at(port, 'nodePort')) ?? 0) === 0)
  if (!lacks) return spec
  const used = new Set<unknown>()
  for (const other of context.list(servicesKey)) {
    for (const port of asArray(at(other, 'spec', 'ports'))) used.add(at(port, 'nodePort'))
  }
  const before = asArray(at(previous, 'spec', 'ports'))
  return eachIn(spec, 'ports', (port) => {
    if ((asNumber(port['nodePort']) ?? 0) !== 0) return port
    const same = before.find(
      (one) => at(one, 'port') === port['port'] && at(one, 'protocol') === port['protocol'],
    )
    let candidate = asNumber(at(same, 'nodePort')) ?? 0
    if (candidate === 0) {
      do candidate = 30_000 + Math.floor(context.random() * 2_768)
      while (used.has(candidate))
    }
    used.add(candidate)
    return { ...port, nodePort: candidate }
  })
}

function freeClusterIp(context: DefaultsContext): string {
  const used = new Set(context.list(servicesKey).map((other) => at(other, 'spec', 'clusterIP')))
  // 10.96.0.0/16; the first addresses are the API server's and the DNS service's.
  for (;;) {
    const number = 256 + Math.floor(context.random() * (65_536 - 512))
    const address = `10.96.${number >> 8}.${number & 255}`
    if (!used.has(address)) return address
  }
}

function namespace(object: KubeObject, previous: KubeObject | undefined): KubeObject {
  const { metadata } = object
  let filled = object
  if (metadata.labels?.['kubernetes.io/metadata.name'] !== metadata.name) {
    filled = {
      ...filled,
      metadata: { ...metadata, labels: { ...metadata.labels, 'kubernetes.io/metadata.name': metadata.name } },
    }
  }
  if (previous !== undefined) {
    return changeIn(filled, 'spec', (spec) =>
      withDefaults(spec, { finalizers: at(previous, 'spec', 'finalizers') }),
    )
  }
  filled = changeIn(filled, 'spec', (spec) => withDefaults(spec, { finalizers: ['kubernetes'] }))
  return changeIn(filled, 'status', (status) => withDefaults(status, { phase: 'Active' }))
}

function persistentVolumeClaim(
  object: KubeObject,
  previous: KubeObject | undefined,
  context: DefaultsContext,
): KubeObject {
  const filled = changeIn(object, 'spec', (spec) => withDefaults(spec, { volumeMode: 'Filesystem' }))
  if (previous !== undefined) return filled
  const classes = context.list({ group: 'storage.k8s.io', resource: 'storageclasses' })
  const standard = classes.find(
    (one) => one.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true',
  )
  const named = standard === undefined ? {} : { storageClassName: standard.metadata.name }
  return changeIn(
    changeIn(filled, 'spec', (spec) => withDefaults(spec, named)),
    'status',
    (status) => withDefaults(status, { phase: 'Pending' }),
  )
}

/** Secrets take plain text in `stringData`, and keep it encoded in `data`. */
function secret(object: KubeObject): KubeObject {
  const plain = object['stringData']
  const typed = withDefaults(object, { type: 'Opaque' })
  if (!isObject(plain)) return typed
  const data: MutableJson = { ...asObject(object['data']) }
  for (const [key, value] of Object.entries(plain))
    data[key] = Buffer.from(asString(value)).toString('base64')
  return withKey(withKey(typed, 'stringData', undefined), 'data', data)
}

function subjects(object: KubeObject): KubeObject {
  const group = 'rbac.authorization.k8s.io'
  return eachIn(
    changeIn(object, 'roleRef', (ref) => withDefaults(ref, { apiGroup: group })),
    'subjects',
    (subject) =>
      subject['kind'] === 'ServiceAccount' ? subject : withDefaults(subject, { apiGroup: group }),
  )
}

function customResourceDefinition(
  object: KubeObject,
  previous: KubeObject | undefined,
  context: DefaultsContext,
): KubeObject {
  const kind = asString(at(object, 'spec', 'names', 'kind'))
  const filled = changeIn(object, 'spec', (spec) =>
    changeIn(withDefaults(spec, { conversion: { strategy: 'None' } }), 'names', (names) =>
      withDefaults(names, { singular: kind.toLowerCase(), listKind: `${kind}List` }),
    ),
  )
  if (previous !== undefined) return filled
  const time = `${new Date(context.now()).toISOString().slice(0, 19)}Z`
  const condition = (type: string, reason: string, message: string): JsonObject => ({
    type,
    status: 'True',
    reason,
    message,
    lastTransitionTime: time,
  })
  const stored = asArray(at(filled, 'spec', 'versions')).filter((version) => at(version, 'storage') === true)
  return withDefaults(filled, {
    status: {
      acceptedNames: at(filled, 'spec', 'names'),
      storedVersions: stored.map((version) => at(version, 'name')),
      conditions: [
        condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
        condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ],
    },
  })
}

const defaulters: Readonly<Record<string, Defaulter>> = {
  '/pods': pod,
  '/services': service,
  '/namespaces': namespace,
  '/nodes': (object) => withDefaults(object, { spec: {}, status: {} }),
  '/secrets': secret,
  '/persistentvolumeclaims': persistentVolumeClaim,
  '/persistentvolumes': (object, previous) => {
    const filled = changeIn(object, 'spec', (spec) =>
      withDefaults(spec, { persistentVolumeReclaimPolicy: 'Retain', volumeMode: 'Filesystem' }),
    )
    return previous === undefined ? withDefaults(filled, { status: { phase: 'Pending' } }) : filled
  },
  '/resourcequotas': (object) => withDefaults(object, { status: {} }),
  'apps/deployments': (object, ...rest) =>
    changeIn(deploymentFields(object, ...rest), 'spec', deploymentStrategy),
  'apps/replicasets': workload({ replicas: 1 }, { replicas: 0 }),
  'apps/statefulsets': (object, ...rest) =>
    changeIn(statefulSetFields(object, ...rest), 'spec', (spec) =>
      eachIn(
        withDefaults(statefulSetStrategy(spec), {
          persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
        }),
        'volumeClaimTemplates',
        (claim) =>
          changeIn(
            withDefaults(claim, {
              apiVersion: 'v1',
              kind: 'PersistentVolumeClaim',
              status: { phase: 'Pending' },
            }),
            'spec',
            (inner) => withDefaults(inner, { volumeMode: 'Filesystem' }),
          ),
      ),
    ),
  'apps/daemonsets': (object, ...rest) =>
    changeIn(daemonSetFields(object, ...rest), 'spec', daemonSetStrategy),
  'batch/jobs': job,
  'batch/cronjobs': cronJob,
  'autoscaling/horizontalpodautoscalers': (object, previous) => {
    const cpu = {
      type: 'Resource',
      resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } },
    }
    const filled = changeIn(object, 'spec', (spec) => withDefaults(spec, { minReplicas: 1, metrics: [cpu] }))
    return previous === undefined
      ? withDefaults(filled, { status: { desiredReplicas: 0, currentMetrics: null } })
      : filled
  },
  'networking.k8s.io/ingresses': (object) => withDefaults(object, { status: { loadBalancer: {} } }),
  'networking.k8s.io/networkpolicies': (object) =>
    changeIn(object, 'spec', (spec) =>
      withDefaults(spec, { policyTypes: spec['egress'] === undefined ? ['Ingress'] : ['Ingress', 'Egress'] }),
    ),
  'policy/poddisruptionbudgets': (object) =>
    withDefaults(object, {
      status: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 },
    }),
  'discovery.k8s.io/endpointslices': (object) =>
    eachIn(object, 'ports', (port) => withDefaults(port, { name: '', protocol: 'TCP' })),
  'storage.k8s.io/storageclasses': (object) =>
    withDefaults(object, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' }),
  'scheduling.k8s.io/priorityclasses': (object) =>
    withDefaults(object, { preemptionPolicy: 'PreemptLowerPriority' }),
  'rbac.authorization.k8s.io/rolebindings': subjects,
  'rbac.authorization.k8s.io/clusterrolebindings': subjects,
  'apiextensions.k8s.io/customresourcedefinitions': customResourceDefinition,
}
