/**
 * Rows: what the gateway remembers of each object. One fixed shape per kind, a few hundred bytes where
 * the object is 8 KB: what the graph filters, sorts, relates and shows in lists. Everything else of an
 * object (annotations, environment, the whole manifest) is a live GET as the user.
 *
 * Rules: a row is deeply frozen; every field is always present (`null`, `''` or an empty list where the
 * object has nothing), so that all rows of a kind have one hidden class; times are whole Unix seconds –
 * they fit V8's small integers and cost no heap; low-cardinality strings, label sets, container specs,
 * quantities and volume lists are shared between rows; no row holds data of a Secret, a value of an
 * environment variable, or a ConfigMap's values.
 *
 * Source of all fields: the Kubernetes API reference, v1.34.
 */

/** Unix time in seconds. */
export type Seconds = number

/** A shared, frozen map; compare by identity first. */
export type LabelSet = Readonly<Record<string, string>>

/** `text` as Kubernetes writes it (`"250m"`, `"1Gi"`), `value` in base units (cores, bytes, counts). */
export interface Quantity {
  readonly text: string
  readonly value: number
}

/** Resource name (`cpu`, `memory`, `nvidia.com/gpu`) to amount. Shared and frozen. */
export type ResourceAmounts = Readonly<Record<string, Quantity>>

/** The controller of an object (`metadata.ownerReferences` with `controller: true`). Shared between siblings. */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
}

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string | null
  readonly message: string | null
  readonly lastTransitionTime: Seconds | null
}

export interface LabelSelectorRequirement {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  readonly values: readonly string[]
}

/** `metav1.LabelSelector`, and the older map form as `matchLabels`. `null` selects nothing. */
export interface LabelSelector {
  readonly matchLabels: LabelSet
  readonly matchExpressions: readonly LabelSelectorRequirement[]
}

/** What every row has. */
export interface RowMeta {
  readonly kind: Kind
  /** Name of the cluster in the fleet. */
  readonly cluster: string
  /** The global ID of the graph, made once at ingest by `globalId`. */
  readonly id: string
  readonly uid: string
  /** `''` for objects without a namespace. */
  readonly namespace: string
  readonly name: string
  /** Opaque; ordered by nothing but `compareResourceVersions`. */
  readonly resourceVersion: string
  readonly generation: number
  readonly creationTimestamp: Seconds
  readonly deletionTimestamp: Seconds | null
  readonly labels: LabelSet
  readonly owner: OwnerReference | null
}

export interface ContainerPort {
  readonly name: string | null
  readonly containerPort: number
  readonly protocol: string
  readonly hostPort: number | null
}

export interface VolumeMount {
  readonly name: string
  readonly mountPath: string
  readonly readOnly: boolean
}

/** The part of a container that all pods of one template share: one object for all of them. */
export interface ContainerSpec {
  readonly name: string
  readonly image: string
  /** `SIDECAR`: an init container with `restartPolicy: Always` (KEP-753). */
  readonly type: 'MAIN' | 'INIT' | 'SIDECAR'
  readonly imagePullPolicy: string | null
  readonly ports: readonly ContainerPort[]
  readonly requests: ResourceAmounts
  readonly limits: ResourceAmounts
  readonly volumeMounts: readonly VolumeMount[]
}

export interface ContainerStatus {
  readonly ready: boolean
  readonly started: boolean
  readonly restartCount: number
  readonly state: 'WAITING' | 'RUNNING' | 'TERMINATED'
  /** Of the state: `CrashLoopBackOff`, `ImagePullBackOff`, `Completed`, `OOMKilled`… */
  readonly reason: string | null
  readonly message: string | null
  readonly exitCode: number | null
  /** Start of the running state, or end of the terminated one. */
  readonly since: Seconds | null
  /** Of the last termination, if any. */
  readonly lastReason: string | null
  readonly lastExitCode: number | null
  readonly lastFinishedAt: Seconds | null
}

export interface Container {
  readonly spec: ContainerSpec
  /** `null` until the kubelet reports one. */
  readonly status: ContainerStatus | null
}

/** Where a volume comes from: `type` is the field's name in `Volume` (`configMap`, `persistentVolumeClaim`…). */
export interface Volume {
  readonly name: string
  readonly type: string
  /** Name of the ConfigMap, Secret, claim… it refers to, in the pod's namespace; else `null`. */
  readonly source: string | null
}

/**
 * The getters of a pod's row make `containers` and `conditions` anew at each reading, from what siblings
 * share and the row's own times: read them once, and compare rows by `resourceVersion`. A volume for the
 * service account's token is called `kube-api-access`, without its random suffix.
 */
export interface PodRow extends RowMeta {
  readonly kind: 'Pod'
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'
  /** What kubectl prints under STATUS: `Running`, `CrashLoopBackOff`, `Init:0/1`, `Terminating`… */
  readonly status: string
  readonly reason: string | null
  readonly message: string | null
  /** The Ready condition. */
  readonly ready: boolean
  readonly readyContainers: number
  readonly restarts: number
  readonly lastRestartAt: Seconds | null
  /** `''` until it is scheduled. */
  readonly nodeName: string
  readonly podIP: string | null
  readonly hostIP: string | null
  readonly qosClass: string | null
  readonly serviceAccountName: string
  readonly priorityClassName: string | null
  readonly startTime: Seconds | null
  /** Init containers and sidecars first, then the main ones, each in the order of the spec. */
  readonly containers: readonly Container[]
  readonly volumes: readonly Volume[]
  readonly conditions: readonly Condition[]
  /** Of its containers: distinct, in their order. Shared. */
  readonly images: readonly string[]
  /** One entry for each container that is running: its image. Shared. */
  readonly runningImages: readonly string[]
  /** Effective, as the scheduler counts it: sum of main and sidecars, or the largest init step, plus overhead. */
  readonly cpuRequest: number
  readonly memoryRequest: number
  readonly cpuLimit: number
  readonly memoryLimit: number
}

/** Where a rollout stands, as `kubectl rollout status` judges it. */
export interface RolloutState {
  readonly status: 'COMPLETE' | 'PROGRESSING' | 'PAUSED' | 'FAILED'
  readonly reason: string | null
  readonly message: string | null
}

/** What every workload has. Counts that a kind lacks are 0. */
export interface WorkloadMeta extends RowMeta {
  readonly kind: WorkloadKind
  /** What the spec asks for: replicas, nodes (DaemonSet), completions (Job), 0 for a CronJob. */
  readonly desired: number
  /** What exists now. */
  readonly current: number
  readonly ready: number
  readonly updated: number
  readonly available: number
  readonly observedGeneration: number
  /** `null`: selects nothing (a CronJob). */
  readonly selector: LabelSelector | null
  readonly containers: readonly ContainerSpec[]
  readonly volumes: readonly Volume[]
  readonly conditions: readonly Condition[]
  readonly rollout: RolloutState
  /** Of one replica of the template. */
  readonly cpuRequest: number
  readonly memoryRequest: number
}

export interface DeploymentRow extends WorkloadMeta {
  readonly kind: 'Deployment'
  readonly strategy: string
  readonly maxSurge: string | null
  readonly maxUnavailable: string | null
  readonly paused: boolean
  /** `deployment.kubernetes.io/revision`. */
  readonly revision: number | null
  readonly progressDeadlineSeconds: number | null
  readonly revisionHistoryLimit: number | null
}

export interface ReplicaSetRow extends WorkloadMeta {
  readonly kind: 'ReplicaSet'
  readonly revision: number | null
}

export interface StatefulSetRow extends WorkloadMeta {
  readonly kind: 'StatefulSet'
  readonly serviceName: string
  readonly podManagementPolicy: string
  readonly updateStrategy: string
  readonly currentRevision: string | null
  readonly updateRevision: string | null
  readonly volumeClaimTemplates: readonly string[]
}

export interface DaemonSetRow extends WorkloadMeta {
  readonly kind: 'DaemonSet'
  readonly updateStrategy: string
  readonly misscheduled: number
  readonly unavailable: number
}

export interface JobRow extends WorkloadMeta {
  readonly kind: 'Job'
  readonly parallelism: number
  readonly completions: number | null
  readonly backoffLimit: number
  readonly active: number
  readonly succeeded: number
  readonly failed: number
  readonly suspend: boolean
  readonly startTime: Seconds | null
  readonly completionTime: Seconds | null
}

export interface CronJobRow extends WorkloadMeta {
  readonly kind: 'CronJob'
  readonly schedule: string
  readonly timeZone: string | null
  readonly suspend: boolean
  readonly concurrencyPolicy: string
  readonly active: number
  readonly lastScheduleTime: Seconds | null
  readonly lastSuccessfulTime: Seconds | null
}

export interface Taint {
  readonly key: string
  readonly value: string | null
  readonly effect: string
}

export interface NodeRow extends RowMeta {
  readonly kind: 'Node'
  /** The Ready condition: `True`, `False`, or `Unknown` when the kubelet is silent. */
  readonly ready: 'True' | 'False' | 'Unknown'
  readonly unschedulable: boolean
  /** From `node-role.kubernetes.io/<role>` labels, sorted. */
  readonly roles: readonly string[]
  readonly taints: readonly Taint[]
  readonly addresses: readonly { readonly type: string; readonly address: string }[]
  readonly capacity: ResourceAmounts
  readonly allocatable: ResourceAmounts
  readonly conditions: readonly Condition[]
  readonly podCIDR: string | null
  readonly providerID: string | null
  readonly kubeletVersion: string
  readonly containerRuntimeVersion: string
  readonly kernelVersion: string
  readonly osImage: string
  readonly operatingSystem: string
  readonly architecture: string
}

export interface NamespaceRow extends RowMeta {
  readonly kind: 'Namespace'
  readonly phase: 'Active' | 'Terminating'
  readonly conditions: readonly Condition[]
}

export interface ServicePort {
  readonly name: string | null
  readonly port: number
  readonly protocol: string
  readonly appProtocol: string | null
  /** A number or the name of a container's port, as written. */
  readonly targetPort: string | null
  readonly nodePort: number | null
}

export interface LoadBalancerIngress {
  readonly ip: string | null
  readonly hostname: string | null
}

export interface ServiceRow extends RowMeta {
  readonly kind: 'Service'
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'
  /** `None` for a headless service; `''` where none is given yet. */
  readonly clusterIP: string
  readonly externalIPs: readonly string[]
  readonly externalName: string | null
  readonly loadBalancer: readonly LoadBalancerIngress[]
  readonly ports: readonly ServicePort[]
  /** `null`: no selector; its endpoints are managed by hand. */
  readonly selector: LabelSet | null
  readonly sessionAffinity: string
}

export interface Endpoint {
  readonly addresses: readonly string[]
  readonly ready: boolean
  readonly nodeName: string | null
  /** Of the pod behind it, in the slice's namespace. */
  readonly targetKind: string | null
  readonly targetName: string | null
}

export interface EndpointSliceRow extends RowMeta {
  readonly kind: 'EndpointSlice'
  /** From the label `kubernetes.io/service-name`; `''` where it has none. */
  readonly serviceName: string
  readonly addressType: string
  readonly endpoints: readonly Endpoint[]
  readonly ports: readonly {
    readonly name: string | null
    readonly port: number | null
    readonly protocol: string
  }[]
}

export interface IngressPath {
  readonly host: string | null
  readonly path: string
  readonly pathType: string
  readonly serviceName: string | null
  /** A number or a name, as written. */
  readonly servicePort: string | null
}

export interface IngressRow extends RowMeta {
  readonly kind: 'Ingress'
  readonly className: string | null
  /** Rules flattened, in order; the default backend last, with path `/` and no host. */
  readonly paths: readonly IngressPath[]
  readonly tlsHosts: readonly string[]
  readonly loadBalancer: readonly LoadBalancerIngress[]
}

export interface ConfigMapRow extends RowMeta {
  readonly kind: 'ConfigMap'
  /** Keys of `data` and `binaryData`, sorted; never their values. */
  readonly keys: readonly string[]
  readonly immutable: boolean
}

export interface PersistentVolumeClaimRow extends RowMeta {
  readonly kind: 'PersistentVolumeClaim'
  readonly phase: 'Pending' | 'Bound' | 'Lost'
  readonly storageClassName: string | null
  /** Of the bound volume; `''` until it is bound. */
  readonly volumeName: string
  readonly accessModes: readonly string[]
  readonly volumeMode: string
  readonly requested: Quantity | null
  readonly capacity: Quantity | null
}

export interface PersistentVolumeRow extends RowMeta {
  readonly kind: 'PersistentVolume'
  readonly phase: 'Pending' | 'Available' | 'Bound' | 'Released' | 'Failed'
  readonly reason: string | null
  readonly storageClassName: string | null
  readonly capacity: Quantity | null
  readonly accessModes: readonly string[]
  readonly reclaimPolicy: string
  readonly volumeMode: string
  /** Name of the field of its source: `csi`, `hostPath`, `nfs`… */
  readonly source: string
  readonly csiDriver: string | null
  readonly claimNamespace: string | null
  readonly claimName: string | null
}

export interface StorageClassRow extends RowMeta {
  readonly kind: 'StorageClass'
  readonly provisioner: string
  readonly reclaimPolicy: string
  readonly volumeBindingMode: string
  readonly allowVolumeExpansion: boolean
  /** `storageclass.kubernetes.io/is-default-class`. */
  readonly isDefault: boolean
}

export interface ScalingMetric {
  readonly type: string
  /** `cpu`, `memory`, or the metric's own name. */
  readonly name: string
  /** As kubectl prints them: `80%`, `500m`; `null` where unknown. */
  readonly target: string | null
  readonly current: string | null
}

export interface HorizontalPodAutoscalerRow extends RowMeta {
  readonly kind: 'HorizontalPodAutoscaler'
  readonly targetKind: string
  readonly targetName: string
  readonly minReplicas: number
  readonly maxReplicas: number
  readonly currentReplicas: number
  readonly desiredReplicas: number
  readonly metrics: readonly ScalingMetric[]
  readonly conditions: readonly Condition[]
  readonly lastScaleTime: Seconds | null
}

export interface ResourceQuotaRow extends RowMeta {
  readonly kind: 'ResourceQuota'
  readonly hard: ResourceAmounts
  readonly used: ResourceAmounts
  readonly scopes: readonly string[]
}

export interface EventRow extends RowMeta {
  readonly kind: 'Event'
  readonly type: string
  readonly reason: string
  readonly message: string
  readonly count: number
  readonly firstSeen: Seconds | null
  readonly lastSeen: Seconds | null
  /** The component that reports it (`kubelet`, `deployment-controller`). */
  readonly source: string
  readonly regardingKind: string
  readonly regardingNamespace: string
  readonly regardingName: string
  readonly regardingUid: string
}

/** What a role allows: each of the verbs on each of the resources (RBAC, `PolicyRule`). Shared between roles. */
export interface PolicyRule {
  /** `*`: all of them. */
  readonly verbs: readonly string[]
  /** `''` is the core group; `*`: all of them. */
  readonly apiGroups: readonly string[]
  /** Plural, with a subresource as `pods/log`, `deployments/scale`; `*`: all of them, with their subresources. */
  readonly resources: readonly string[]
  /** Empty: every name. */
  readonly resourceNames: readonly string[]
  /** Of cluster roles only; `*` may stand at the end. */
  readonly nonResourceURLs: readonly string[]
}

export interface RoleRow extends RowMeta {
  readonly kind: 'Role'
  readonly rules: readonly PolicyRule[]
}

export interface ClusterRoleRow extends RowMeta {
  readonly kind: 'ClusterRole'
  /** Of an aggregated role, what its cluster's controller has put together: to be read like any other's. */
  readonly rules: readonly PolicyRule[]
  /** Of an aggregated role: its rules are those of all cluster roles that one of these matches. Else empty. */
  readonly aggregationSelectors: readonly LabelSelector[]
}

/** Whom a binding gives a role. Shared between bindings. */
export interface Subject {
  readonly kind: 'User' | 'Group' | 'ServiceAccount'
  readonly name: string
  /** Of a service account, never empty; of others always `''`. */
  readonly namespace: string
}

/** The role that a binding gives. Shared between bindings. */
export interface RoleReference {
  /** `Role`: of the binding's own namespace. */
  readonly kind: 'Role' | 'ClusterRole'
  /** `''` where the reference cannot be understood: it then refers to nothing. */
  readonly name: string
}

export interface RoleBindingRow extends RowMeta {
  readonly kind: 'RoleBinding'
  readonly roleRef: RoleReference
  /** Without those that RBAC takes for nobody. */
  readonly subjects: readonly Subject[]
}

export interface ClusterRoleBindingRow extends RowMeta {
  readonly kind: 'ClusterRoleBinding'
  readonly roleRef: RoleReference
  /** Without those that RBAC takes for nobody. */
  readonly subjects: readonly Subject[]
}

/** The kinds that the gateway keeps in memory, by their Kubernetes kind. */
export interface Rows {
  ClusterRole: ClusterRoleRow
  ClusterRoleBinding: ClusterRoleBindingRow
  Role: RoleRow
  RoleBinding: RoleBindingRow
  Node: NodeRow
  Namespace: NamespaceRow
  Pod: PodRow
  Deployment: DeploymentRow
  ReplicaSet: ReplicaSetRow
  StatefulSet: StatefulSetRow
  DaemonSet: DaemonSetRow
  Job: JobRow
  CronJob: CronJobRow
  Service: ServiceRow
  EndpointSlice: EndpointSliceRow
  Ingress: IngressRow
  ConfigMap: ConfigMapRow
  PersistentVolumeClaim: PersistentVolumeClaimRow
  PersistentVolume: PersistentVolumeRow
  StorageClass: StorageClassRow
  HorizontalPodAutoscaler: HorizontalPodAutoscalerRow
  ResourceQuota: ResourceQuotaRow
  Event: EventRow
}

export type Kind = keyof Rows
export type Row = Rows[Kind]

export type WorkloadKind = 'Deployment' | 'StatefulSet' | 'DaemonSet' | 'ReplicaSet' | 'Job' | 'CronJob'
export type WorkloadRow = Rows[WorkloadKind]
