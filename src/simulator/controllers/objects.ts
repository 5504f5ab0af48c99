/**
 * The shapes of the Kubernetes objects that the controllers read and write, field by field as they use
 * them (source: the API reference of `k8s.io/api`), and the resources they live under.
 *
 * Long because it is one vocabulary, used together. Invariant: everything is read-only, and optional
 * unless the API server always fills it. This is the simulator's one trust boundary between the registry's
 * untyped objects and typed code: `read`, `readAll` and `readOwned` narrow by resource, because the
 * registry validated the object on its way in.
 */
import type { Commit, KubeObject, KubeObjectInput, ObjectMeta, Registry, ResourceKey } from '../registry.ts'

export type Labels = Readonly<Record<string, string>>

export interface LabelSelector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

/** `"25%"` or a number. */
export type IntOrPercent = number | string

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
  readonly lastUpdateTime?: string
  readonly lastHeartbeatTime?: string
  readonly lastProbeTime?: string | null
  readonly observedGeneration?: number
}

/** Quantities as Kubernetes writes them: `{ cpu: "250m", memory: "64Mi" }`. */
export type ResourceList = Readonly<Record<string, string>>

export interface Probe {
  readonly initialDelaySeconds?: number
  readonly periodSeconds?: number
  readonly successThreshold?: number
  readonly failureThreshold?: number
  readonly httpGet?: { readonly path?: string; readonly port: number | string }
  readonly [field: string]: unknown
}

export interface Container {
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly ports?: readonly {
    readonly name?: string
    readonly containerPort: number
    readonly hostPort?: number
    readonly protocol?: string
  }[]
  readonly resources?: { readonly requests?: ResourceList; readonly limits?: ResourceList }
  readonly readinessProbe?: Probe
  readonly livenessProbe?: Probe
  readonly startupProbe?: Probe
  readonly restartPolicy?: string
  readonly imagePullPolicy?: string
  readonly lifecycle?: { readonly preStop?: Readonly<Record<string, unknown>> }
  readonly env?: readonly unknown[]
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[]
  readonly [field: string]: unknown
}

export interface Toleration {
  readonly key?: string
  readonly operator?: string
  readonly value?: string
  readonly effect?: string
  readonly tolerationSeconds?: number
}

export interface NodeSelectorTerm {
  readonly matchExpressions?: readonly NodeSelectorRequirement[]
  readonly matchFields?: readonly NodeSelectorRequirement[]
}

export interface NodeSelectorRequirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

export interface PodAffinityTerm {
  readonly labelSelector?: LabelSelector
  readonly topologyKey: string
  readonly namespaces?: readonly string[]
}

export interface PodSpec {
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly volumes?: readonly {
    readonly name: string
    readonly persistentVolumeClaim?: { readonly claimName: string }
    readonly [field: string]: unknown
  }[]
  readonly nodeName?: string
  readonly nodeSelector?: Labels
  readonly affinity?: {
    readonly nodeAffinity?: {
      readonly requiredDuringSchedulingIgnoredDuringExecution?: {
        readonly nodeSelectorTerms: readonly NodeSelectorTerm[]
      }
    }
    readonly podAffinity?: {
      readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly PodAffinityTerm[]
    }
    readonly podAntiAffinity?: {
      readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly PodAffinityTerm[]
    }
  }
  readonly tolerations?: readonly Toleration[]
  readonly topologySpreadConstraints?: readonly {
    readonly maxSkew: number
    readonly topologyKey: string
    readonly whenUnsatisfiable: string
    readonly labelSelector?: LabelSelector
  }[]
  readonly restartPolicy?: string
  readonly terminationGracePeriodSeconds?: number
  readonly activeDeadlineSeconds?: number
  readonly schedulingGates?: readonly unknown[]
  readonly schedulerName?: string
  readonly hostNetwork?: boolean
  readonly hostname?: string
  readonly subdomain?: string
  readonly readinessGates?: readonly { readonly conditionType: string }[]
  readonly [field: string]: unknown
}

export interface ContainerState {
  readonly waiting?: { readonly reason: string; readonly message?: string }
  readonly running?: { readonly startedAt: string }
  readonly terminated?: {
    readonly exitCode: number
    readonly reason: string
    readonly message?: string
    readonly startedAt?: string
    readonly finishedAt?: string
    readonly containerID?: string
  }
}

export interface ContainerStatus {
  readonly name: string
  readonly image: string
  readonly imageID: string
  readonly containerID?: string
  readonly ready: boolean
  readonly started?: boolean
  readonly restartCount: number
  readonly state?: ContainerState
  readonly lastState?: ContainerState
}

export interface PodStatus {
  readonly phase?: string
  readonly reason?: string
  readonly message?: string
  readonly conditions?: readonly Condition[]
  readonly hostIP?: string
  readonly hostIPs?: readonly { readonly ip: string }[]
  readonly podIP?: string
  readonly podIPs?: readonly { readonly ip: string }[]
  readonly startTime?: string
  readonly containerStatuses?: readonly ContainerStatus[]
  readonly initContainerStatuses?: readonly ContainerStatus[]
  readonly qosClass?: string
  readonly observedGeneration?: number
}

export interface Pod extends KubeObject {
  readonly spec: PodSpec
  readonly status?: PodStatus
}

export interface PodTemplate {
  readonly metadata?: {
    readonly labels?: Labels
    readonly annotations?: Labels
    readonly [f: string]: unknown
  }
  readonly spec: PodSpec
}

export interface Deployment extends KubeObject {
  readonly spec: {
    readonly replicas?: number
    readonly selector: LabelSelector
    readonly template: PodTemplate
    readonly strategy?: {
      readonly type?: string
      readonly rollingUpdate?: { readonly maxSurge?: IntOrPercent; readonly maxUnavailable?: IntOrPercent }
    }
    readonly minReadySeconds?: number
    readonly revisionHistoryLimit?: number
    readonly progressDeadlineSeconds?: number
    readonly paused?: boolean
  }
  readonly status?: DeploymentStatus
}

export interface DeploymentStatus {
  readonly observedGeneration?: number
  readonly replicas?: number
  readonly updatedReplicas?: number
  readonly readyReplicas?: number
  readonly availableReplicas?: number
  readonly unavailableReplicas?: number
  readonly collisionCount?: number
  readonly conditions?: readonly Condition[]
}

export interface ReplicaSet extends KubeObject {
  readonly spec: {
    readonly replicas?: number
    readonly minReadySeconds?: number
    readonly selector: LabelSelector
    readonly template: PodTemplate
  }
  readonly status?: {
    readonly replicas?: number
    readonly fullyLabeledReplicas?: number
    readonly readyReplicas?: number
    readonly availableReplicas?: number
    readonly observedGeneration?: number
    readonly conditions?: readonly Condition[]
  }
}

export interface StatefulSet extends KubeObject {
  readonly spec: {
    readonly replicas?: number
    readonly selector: LabelSelector
    readonly template: PodTemplate
    readonly serviceName?: string
    readonly podManagementPolicy?: string
    readonly volumeClaimTemplates?: readonly KubeObjectInput[]
    readonly updateStrategy?: {
      readonly type?: string
      readonly rollingUpdate?: { readonly partition?: number }
    }
    readonly minReadySeconds?: number
    readonly revisionHistoryLimit?: number
    readonly ordinals?: { readonly start?: number }
    readonly persistentVolumeClaimRetentionPolicy?: {
      readonly whenDeleted?: string
      readonly whenScaled?: string
    }
  }
  readonly status?: Readonly<Record<string, unknown>> & {
    readonly collisionCount?: number
    readonly currentRevision?: string
    readonly updateRevision?: string
  }
}

export interface ControllerRevision extends KubeObject {
  readonly data: { readonly spec: { readonly template: PodTemplate } }
  readonly revision: number
}

export interface DaemonSet extends KubeObject {
  readonly spec: {
    readonly selector: LabelSelector
    readonly template: PodTemplate
    readonly updateStrategy?: {
      readonly type?: string
      readonly rollingUpdate?: { readonly maxSurge?: IntOrPercent; readonly maxUnavailable?: IntOrPercent }
    }
    readonly minReadySeconds?: number
    readonly revisionHistoryLimit?: number
  }
  readonly status?: Readonly<Record<string, unknown>>
}

export interface Job extends KubeObject {
  readonly spec: {
    readonly parallelism?: number
    readonly completions?: number
    readonly completionMode?: string
    readonly backoffLimit?: number
    readonly activeDeadlineSeconds?: number
    readonly ttlSecondsAfterFinished?: number
    readonly suspend?: boolean
    readonly manualSelector?: boolean
    readonly selector?: LabelSelector
    readonly template: PodTemplate
  }
  readonly status?: {
    readonly active?: number
    readonly ready?: number
    readonly terminating?: number
    readonly succeeded?: number
    readonly failed?: number
    readonly completedIndexes?: string
    readonly startTime?: string
    readonly completionTime?: string
    readonly conditions?: readonly Condition[]
    readonly uncountedTerminatedPods?: Readonly<Record<string, unknown>>
  }
}

export interface CronJob extends KubeObject {
  readonly spec: {
    readonly schedule: string
    readonly timeZone?: string
    readonly concurrencyPolicy?: string
    readonly startingDeadlineSeconds?: number
    readonly suspend?: boolean
    readonly successfulJobsHistoryLimit?: number
    readonly failedJobsHistoryLimit?: number
    readonly jobTemplate: {
      readonly metadata?: { readonly labels?: Labels; readonly annotations?: Labels }
      readonly spec: Job['spec']
    }
  }
  readonly status?: {
    readonly active?: readonly ObjectReference[]
    readonly lastScheduleTime?: string
    readonly lastSuccessfulTime?: string
  }
}

export interface ObjectReference {
  readonly apiVersion?: string
  readonly kind?: string
  readonly namespace?: string
  readonly name?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly fieldPath?: string
}

export interface Taint {
  readonly key: string
  readonly value?: string
  readonly effect: string
  readonly timeAdded?: string
}

/** The machine; `ClusterNode` as in the graph, since `Node` is Relay's word there. */
export interface ClusterNode extends KubeObject {
  readonly spec?: {
    readonly podCIDR?: string
    readonly podCIDRs?: readonly string[]
    readonly providerID?: string
    readonly unschedulable?: boolean
    readonly taints?: readonly Taint[]
  }
  readonly status?: {
    readonly capacity?: ResourceList
    readonly allocatable?: ResourceList
    readonly conditions?: readonly Condition[]
    readonly addresses?: readonly { readonly type: string; readonly address: string }[]
    readonly [field: string]: unknown
  }
}

export interface Namespace extends KubeObject {
  readonly spec?: { readonly finalizers?: readonly string[] }
  readonly status?: { readonly phase?: string; readonly conditions?: readonly Condition[] }
}

export interface ServicePort {
  readonly name?: string
  readonly protocol?: string
  readonly appProtocol?: string
  readonly port: number
  readonly targetPort?: number | string
  readonly nodePort?: number
}

export interface Service extends KubeObject {
  readonly spec: {
    readonly type?: string
    readonly selector?: Labels
    readonly clusterIP?: string
    readonly clusterIPs?: readonly string[]
    readonly ports?: readonly ServicePort[]
    readonly externalName?: string
    readonly publishNotReadyAddresses?: boolean
    readonly allocateLoadBalancerNodePorts?: boolean
    readonly loadBalancerClass?: string
    readonly [field: string]: unknown
  }
  readonly status?: {
    readonly loadBalancer?: {
      readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[]
    }
  }
}

export interface EndpointSlice extends KubeObject {
  readonly addressType: string
  readonly endpoints?: readonly unknown[]
  readonly ports?: readonly unknown[]
}

export interface PersistentVolumeClaim extends KubeObject {
  readonly spec: {
    readonly accessModes?: readonly string[]
    readonly resources?: { readonly requests?: ResourceList }
    readonly storageClassName?: string
    readonly volumeName?: string
    readonly volumeMode?: string
    readonly selector?: LabelSelector
  }
  readonly status?: {
    readonly phase?: string
    readonly capacity?: ResourceList
    readonly accessModes?: readonly string[]
  }
}

export interface PersistentVolume extends KubeObject {
  readonly spec: {
    readonly capacity?: ResourceList
    readonly accessModes?: readonly string[]
    readonly claimRef?: ObjectReference
    readonly persistentVolumeReclaimPolicy?: string
    readonly storageClassName?: string
    readonly volumeMode?: string
    readonly [field: string]: unknown
  }
  readonly status?: { readonly phase?: string }
}

export interface StorageClass extends KubeObject {
  readonly provisioner: string
  readonly reclaimPolicy?: string
  readonly volumeBindingMode?: string
}

export interface HorizontalPodAutoscaler extends KubeObject {
  readonly spec: {
    readonly scaleTargetRef: { readonly apiVersion?: string; readonly kind: string; readonly name: string }
    readonly minReplicas?: number
    readonly maxReplicas: number
    readonly metrics?: readonly {
      readonly type: string
      readonly resource?: {
        readonly name: string
        readonly target: { readonly type: string; readonly averageUtilization?: number }
      }
    }[]
  }
  readonly status?: {
    readonly currentReplicas?: number
    readonly desiredReplicas?: number
    readonly lastScaleTime?: string
    readonly currentMetrics?: readonly unknown[]
    readonly conditions?: readonly Condition[]
    readonly observedGeneration?: number
  }
}

export interface PodDisruptionBudget extends KubeObject {
  readonly spec: {
    readonly minAvailable?: IntOrPercent
    readonly maxUnavailable?: IntOrPercent
    readonly selector?: LabelSelector
  }
  readonly status?: {
    readonly conditions?: readonly Condition[]
    readonly disruptedPods?: Readonly<Record<string, string>>
    readonly [field: string]: unknown
  }
}

export interface ResourceQuota extends KubeObject {
  readonly spec: { readonly hard?: ResourceList; readonly scopes?: readonly string[] }
  readonly status?: { readonly hard?: ResourceList; readonly used?: ResourceList }
}

export interface Lease extends KubeObject {
  readonly spec: {
    readonly holderIdentity?: string
    readonly renewTime?: string
    readonly [f: string]: unknown
  }
}

export interface KubeEvent extends KubeObject {
  readonly involvedObject: ObjectReference
  readonly reason: string
  readonly message: string
  readonly type: string
  readonly count?: number
  readonly firstTimestamp?: string | null
  readonly lastTimestamp?: string | null
  readonly source?: { readonly component?: string; readonly host?: string }
  readonly reportingComponent?: string
}

/** A resource together with the type of its objects, its apiVersion and its kind. */
export interface Resource<T extends KubeObject> extends ResourceKey {
  readonly apiVersion: string
  readonly kind: string
  readonly namespaced: boolean
  /** Never set: carries the type. */
  readonly objectType?: T
}

function resource<T extends KubeObject>(
  apiVersion: string,
  kind: string,
  name: string,
  namespaced = true,
): Resource<T> {
  const slash = apiVersion.indexOf('/')
  return { apiVersion, kind, namespaced, resource: name, group: slash < 0 ? '' : apiVersion.slice(0, slash) }
}

export const PODS = resource<Pod>('v1', 'Pod', 'pods')
export const NODES = resource<ClusterNode>('v1', 'Node', 'nodes', false)
export const NAMESPACES = resource<Namespace>('v1', 'Namespace', 'namespaces', false)
export const SERVICES = resource<Service>('v1', 'Service', 'services')
export const ENDPOINTS = resource<KubeObject>('v1', 'Endpoints', 'endpoints')
export const CONFIG_MAPS = resource<KubeObject>('v1', 'ConfigMap', 'configmaps')
export const SECRETS = resource<KubeObject>('v1', 'Secret', 'secrets')
export const SERVICE_ACCOUNTS = resource<KubeObject>('v1', 'ServiceAccount', 'serviceaccounts')
export const EVENTS = resource<KubeEvent>('v1', 'Event', 'events')
export const RESOURCE_QUOTAS = resource<ResourceQuota>('v1', 'ResourceQuota', 'resourcequotas')
export const PERSISTENT_VOLUME_CLAIMS = resource<PersistentVolumeClaim>(
  'v1',
  'PersistentVolumeClaim',
  'persistentvolumeclaims',
)
export const PERSISTENT_VOLUMES = resource<PersistentVolume>(
  'v1',
  'PersistentVolume',
  'persistentvolumes',
  false,
)
export const DEPLOYMENTS = resource<Deployment>('apps/v1', 'Deployment', 'deployments')
export const REPLICA_SETS = resource<ReplicaSet>('apps/v1', 'ReplicaSet', 'replicasets')
export const STATEFUL_SETS = resource<StatefulSet>('apps/v1', 'StatefulSet', 'statefulsets')
export const DAEMON_SETS = resource<DaemonSet>('apps/v1', 'DaemonSet', 'daemonsets')
export const CONTROLLER_REVISIONS = resource<ControllerRevision>(
  'apps/v1',
  'ControllerRevision',
  'controllerrevisions',
)
export const JOBS = resource<Job>('batch/v1', 'Job', 'jobs')
export const CRON_JOBS = resource<CronJob>('batch/v1', 'CronJob', 'cronjobs')
export const ENDPOINT_SLICES = resource<EndpointSlice>(
  'discovery.k8s.io/v1',
  'EndpointSlice',
  'endpointslices',
)
export const STORAGE_CLASSES = resource<StorageClass>(
  'storage.k8s.io/v1',
  'StorageClass',
  'storageclasses',
  false,
)
export const HORIZONTAL_POD_AUTOSCALERS = resource<HorizontalPodAutoscaler>(
  'autoscaling/v2',
  'HorizontalPodAutoscaler',
  'horizontalpodautoscalers',
)
export const POD_DISRUPTION_BUDGETS = resource<PodDisruptionBudget>(
  'policy/v1',
  'PodDisruptionBudget',
  'poddisruptionbudgets',
)
export const LEASES = resource<Lease>('coordination.k8s.io/v1', 'Lease', 'leases')
export const INGRESSES = resource<KubeObject>('networking.k8s.io/v1', 'Ingress', 'ingresses')
export const NETWORK_POLICIES = resource<KubeObject>(
  'networking.k8s.io/v1',
  'NetworkPolicy',
  'networkpolicies',
)
export const ROLES = resource<KubeObject>('rbac.authorization.k8s.io/v1', 'Role', 'roles')
export const ROLE_BINDINGS = resource<KubeObject>(
  'rbac.authorization.k8s.io/v1',
  'RoleBinding',
  'rolebindings',
)
export const CLUSTER_ROLES = resource<KubeObject>(
  'rbac.authorization.k8s.io/v1',
  'ClusterRole',
  'clusterroles',
  false,
)
export const CLUSTER_ROLE_BINDINGS = resource<KubeObject>(
  'rbac.authorization.k8s.io/v1',
  'ClusterRoleBinding',
  'clusterrolebindings',
  false,
)
const LIMIT_RANGES = resource<KubeObject>('v1', 'LimitRange', 'limitranges')

/** Every resource that the controllers and populations know, in the order in which content is removed. */
export const KNOWN_RESOURCES: readonly Resource<KubeObject>[] = [
  CRON_JOBS,
  JOBS,
  DEPLOYMENTS,
  STATEFUL_SETS,
  DAEMON_SETS,
  REPLICA_SETS,
  PODS,
  SERVICES,
  ENDPOINTS,
  ENDPOINT_SLICES,
  INGRESSES,
  NETWORK_POLICIES,
  HORIZONTAL_POD_AUTOSCALERS,
  POD_DISRUPTION_BUDGETS,
  CONTROLLER_REVISIONS,
  CONFIG_MAPS,
  SECRETS,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  RESOURCE_QUOTAS,
  LIMIT_RANGES,
  ROLE_BINDINGS,
  ROLES,
  SERVICE_ACCOUNTS,
  LEASES,
  EVENTS,
  STORAGE_CLASSES,
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  NODES,
  NAMESPACES,
]

export function read<T extends KubeObject>(
  registry: Registry,
  key: Resource<T>,
  namespace: string,
  name: string,
): T | undefined {
  return registry.get(key, namespace, name) as T | undefined
}

export function readAll<T extends KubeObject>(
  registry: Registry,
  key: Resource<T>,
  namespace?: string,
): readonly T[] {
  return registry.list(key, namespace) as readonly T[]
}

export function readOwned<T extends KubeObject>(
  registry: Registry,
  key: Resource<T>,
  ownerUid: string,
): readonly T[] {
  return registry.listByOwner(key, ownerUid) as readonly T[]
}

/** The commit's object and the one before, where the commit is about this resource. */
export function committed<T extends KubeObject>(
  commit: Commit,
  key: Resource<T>,
): { readonly object: T; readonly previous: T | undefined } | undefined {
  if (commit.key.resource !== key.resource || commit.key.group !== key.group) return undefined
  return { object: commit.object as T, previous: commit.previous as T | undefined }
}

/** `namespace/name`, or `/name` for what is cluster-wide: the key of a work queue. */
export function keyOf(object: { readonly metadata: Partial<ObjectMeta> }): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`
}

export function splitKey(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf('/')
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}
