// Written by `npm run codegen` from schema/: do not edit.
import { trusted } from './trusted-document.ts'

/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
export type ChangeErrorCode =
  | 'ALREADY_EXISTS'
  | 'CONFIRMATION_REQUIRED'
  | 'CONFLICT'
  | 'DISRUPTION_BUDGET'
  | 'FAILED'
  | 'FORBIDDEN'
  | 'INTERRUPTED'
  | 'INVALID'
  | 'NOT_ATTEMPTED'
  | 'NOT_FOUND'
  | 'NOT_SERVED'
  | 'NOT_SUPPORTED'
  | 'POLICY_VIOLATION'
  | 'TIMEOUT'
  | 'UNREACHABLE';

export type ChangeOutcome =
  | 'CONFLICT'
  | 'CREATED'
  | 'DELETED'
  | 'FAILED'
  | 'FORBIDDEN'
  | 'SKIPPED'
  | 'UNCHANGED'
  | 'UNREACHABLE'
  | 'UPDATED';

export type ChangeType =
  | 'ADDED'
  | 'CLUSTER_DOWN'
  | 'CLUSTER_UP'
  | 'DELETED'
  | 'MODIFIED'
  | 'RESYNC'
  | 'SYNCED';

export type ClaimTemplateInput = {
  readonly accessModes?: ReadonlyArray<VolumeAccessMode> | null | undefined;
  readonly storage: string;
  readonly storageClassName?: string | null | undefined;
};

export type ClaimVolumeInput = {
  readonly name: string;
  readonly readOnly?: boolean | null | undefined;
};

export type ClusterFilter = {
  readonly name?: TextFilter | null | undefined;
  readonly selector?: string | null | undefined;
  readonly states?: ReadonlyArray<ClusterState> | null | undefined;
};

export type ClusterState =
  | 'CONNECTING'
  | 'DOWN'
  | 'UP';

export type ClusterTargets =
  {   readonly clusters: ReadonlyArray<string>; readonly selector?: never; }
  |  { readonly clusters?: never;   readonly selector: string; };

export type ConcurrencyPolicy =
  | 'Allow'
  | 'Forbid'
  | 'Replace';

export type ConditionStatus =
  | 'False'
  | 'True'
  | 'Unknown';

export type ContainerImageInput = {
  readonly container?: string | null | undefined;
  readonly image: string;
};

export type ContainerInput = {
  readonly args?: ReadonlyArray<string> | null | undefined;
  readonly command?: ReadonlyArray<string> | null | undefined;
  readonly env?: ReadonlyArray<EnvironmentVariableInput> | null | undefined;
  readonly envFrom?: ReadonlyArray<EnvironmentSourceInput> | null | undefined;
  readonly image: string;
  readonly imagePullPolicy?: ImagePullPolicy | null | undefined;
  readonly livenessProbe?: ProbeInput | null | undefined;
  readonly mounts?: ReadonlyArray<MountInput> | null | undefined;
  readonly name?: string | null | undefined;
  readonly ports?: ReadonlyArray<ContainerPortInput> | null | undefined;
  readonly readinessProbe?: ProbeInput | null | undefined;
  readonly resources?: ResourcesInput | null | undefined;
  readonly security?: ContainerSecurityInput | null | undefined;
  readonly startupProbe?: ProbeInput | null | undefined;
  readonly workingDir?: string | null | undefined;
};

export type ContainerPortInput = {
  readonly containerPort: number;
  readonly name?: string | null | undefined;
  readonly protocol?: PortProtocol | null | undefined;
};

export type ContainerSecurityInput = {
  readonly addCapabilities?: ReadonlyArray<string> | null | undefined;
  readonly allowPrivilegeEscalation?: boolean | null | undefined;
  readonly dropCapabilities?: ReadonlyArray<string> | null | undefined;
  readonly readOnlyRootFilesystem?: boolean | null | undefined;
  readonly runAsGroup?: number | null | undefined;
  readonly runAsNonRoot?: boolean | null | undefined;
  readonly runAsUser?: number | null | undefined;
};

export type ContainerState =
  | 'RUNNING'
  | 'TERMINATED'
  | 'WAITING';

export type CoverageState =
  | 'CURRENT'
  | 'FORBIDDEN'
  | 'NOT_SERVED'
  | 'STALE'
  | 'SYNCING'
  | 'UNREACHABLE';

export type DeletedReason =
  | 'CLUSTER_REMOVED'
  | 'FILTER'
  | 'FORBIDDEN'
  | 'OBJECT_DELETED';

export type DeployInput = {
  readonly activeDeadlineSeconds?: number | null | undefined;
  readonly annotations?: ReadonlyArray<KeyValueInput> | null | undefined;
  readonly backoffLimit?: number | null | undefined;
  readonly completions?: number | null | undefined;
  readonly concurrencyPolicy?: ConcurrencyPolicy | null | undefined;
  readonly containers: ReadonlyArray<ContainerInput>;
  readonly createNamespace?: boolean | null | undefined;
  readonly dryRun?: boolean | null | undefined;
  readonly force?: boolean | null | undefined;
  readonly fsGroup?: number | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
  readonly imagePullSecrets?: ReadonlyArray<string> | null | undefined;
  readonly initContainers?: ReadonlyArray<ContainerInput> | null | undefined;
  readonly kind?: DeployableKind | null | undefined;
  readonly labels?: ReadonlyArray<KeyValueInput> | null | undefined;
  readonly name: string;
  readonly namespace: string;
  readonly nodeSelector?: ReadonlyArray<KeyValueInput> | null | undefined;
  readonly overrides?: ReadonlyArray<DeployOverrideInput> | null | undefined;
  readonly parallelism?: number | null | undefined;
  readonly podAnnotations?: ReadonlyArray<KeyValueInput> | null | undefined;
  readonly replicas?: number | null | undefined;
  readonly restartPolicy?: JobRestartPolicy | null | undefined;
  readonly rollout?: RolloutStrategyInput | null | undefined;
  readonly schedule?: string | null | undefined;
  readonly serviceAccountName?: string | null | undefined;
  readonly serviceName?: string | null | undefined;
  readonly sidecars?: ReadonlyArray<ContainerInput> | null | undefined;
  readonly strategy?: StrategyInput | null | undefined;
  readonly suspend?: boolean | null | undefined;
  readonly targets: ClusterTargets;
  readonly terminationGracePeriodSeconds?: number | null | undefined;
  readonly timeZone?: string | null | undefined;
  readonly tolerations?: ReadonlyArray<TolerationInput> | null | undefined;
  readonly ttlSecondsAfterFinished?: number | null | undefined;
  readonly volumes?: ReadonlyArray<VolumeInput> | null | undefined;
};

export type DeployOverrideInput = {
  readonly clusterSelector?: string | null | undefined;
  readonly clusters?: ReadonlyArray<string> | null | undefined;
  readonly env?: ReadonlyArray<EnvironmentOverrideInput> | null | undefined;
  readonly imageRegistry?: string | null | undefined;
  readonly replicas?: number | null | undefined;
};

export type DeployableKind =
  | 'CronJob'
  | 'DaemonSet'
  | 'Deployment'
  | 'Job'
  | 'StatefulSet';

export type EmptyDirInput = {
  readonly medium?: EmptyDirMedium | null | undefined;
  readonly sizeLimit?: string | null | undefined;
};

export type EmptyDirMedium =
  | 'Memory';

export type EnvironmentOverrideInput = {
  readonly configMap?: KeyReferenceInput | null | undefined;
  readonly container?: string | null | undefined;
  readonly field?: string | null | undefined;
  readonly name: string;
  readonly secret?: KeyReferenceInput | null | undefined;
  readonly value?: string | null | undefined;
};

export type EnvironmentSourceInput = {
  readonly configMap?: string | null | undefined;
  readonly optional?: boolean | null | undefined;
  readonly prefix?: string | null | undefined;
  readonly secret?: string | null | undefined;
};

export type EnvironmentVariableInput = {
  readonly configMap?: KeyReferenceInput | null | undefined;
  readonly field?: string | null | undefined;
  readonly name: string;
  readonly secret?: KeyReferenceInput | null | undefined;
  readonly value?: string | null | undefined;
};

export type EventFilter = {
  readonly clusterSelector?: string | null | undefined;
  readonly clusters?: ReadonlyArray<string> | null | undefined;
  readonly createdAfter?: string | null | undefined;
  readonly createdBefore?: string | null | undefined;
  readonly labelSelector?: string | null | undefined;
  readonly message?: TextFilter | null | undefined;
  readonly name?: TextFilter | null | undefined;
  readonly namespaces?: ReadonlyArray<string> | null | undefined;
  readonly owner?: OwnerFilter | null | undefined;
  readonly reasons?: ReadonlyArray<string> | null | undefined;
  readonly regardingKind?: string | null | undefined;
  readonly regardingName?: string | null | undefined;
  readonly regardingUid?: string | null | undefined;
  readonly seenAfter?: string | null | undefined;
  readonly source?: string | null | undefined;
  readonly terminating?: boolean | null | undefined;
  readonly types?: ReadonlyArray<string> | null | undefined;
};

export type ExecProbeInput = {
  readonly command: ReadonlyArray<string>;
};

export type ExposeInput = {
  readonly annotations?: ReadonlyArray<KeyValueInput> | null | undefined;
  readonly dryRun?: boolean | null | undefined;
  readonly externalName?: string | null | undefined;
  readonly externalTrafficPolicy?: ExternalTrafficPolicy | null | undefined;
  readonly force?: boolean | null | undefined;
  readonly headless?: boolean | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
  readonly ingress?: IngressInput | null | undefined;
  readonly labels?: ReadonlyArray<KeyValueInput> | null | undefined;
  readonly loadBalancerClass?: string | null | undefined;
  readonly loadBalancerSourceRanges?: ReadonlyArray<string> | null | undefined;
  readonly name?: string | null | undefined;
  readonly ports?: ReadonlyArray<ServicePortInput> | null | undefined;
  readonly sessionAffinity?: SessionAffinity | null | undefined;
  readonly strategy?: StrategyInput | null | undefined;
  readonly targets: Targets;
  readonly type?: ServiceType | null | undefined;
  readonly waitForAddressSeconds?: number | null | undefined;
};

export type ExternalTrafficPolicy =
  | 'Cluster'
  | 'Local';

export type FleetFilter = {
  readonly clusterSelector?: string | null | undefined;
  readonly clusters?: ReadonlyArray<string> | null | undefined;
  readonly namespaces?: ReadonlyArray<string> | null | undefined;
};

export type GrpcProbeInput = {
  readonly port: number;
  readonly service?: string | null | undefined;
};

export type HostPathInput = {
  readonly path: string;
  readonly type?: HostPathType | null | undefined;
};

export type HostPathType =
  | 'BlockDevice'
  | 'CharDevice'
  | 'Directory'
  | 'DirectoryOrCreate'
  | 'File'
  | 'FileOrCreate'
  | 'Socket';

export type HttpGetProbeInput = {
  readonly path?: string | null | undefined;
  readonly port: number | string;
  readonly scheme?: ProbeScheme | null | undefined;
};

export type ImagePullPolicy =
  | 'Always'
  | 'IfNotPresent'
  | 'Never';

export type IngressInput = {
  readonly annotations?: ReadonlyArray<KeyValueInput> | null | undefined;
  readonly className?: string | null | undefined;
  readonly host?: string | null | undefined;
  readonly name?: string | null | undefined;
  readonly path?: string | null | undefined;
  readonly pathType?: IngressPathType | null | undefined;
  readonly servicePort?: number | string | null | undefined;
  readonly tlsSecret?: string | null | undefined;
};

export type IngressPathType =
  | 'Exact'
  | 'ImplementationSpecific'
  | 'Prefix';

export type JobRestartPolicy =
  | 'Never'
  | 'OnFailure';

export type KeyReferenceInput = {
  readonly key: string;
  readonly name: string;
  readonly optional?: boolean | null | undefined;
};

export type KeyToPathInput = {
  readonly key: string;
  readonly path: string;
};

export type KeyValueInput = {
  readonly key: string;
  readonly value: string;
};

export type KeysVolumeInput = {
  readonly items?: ReadonlyArray<KeyToPathInput> | null | undefined;
  readonly name: string;
  readonly optional?: boolean | null | undefined;
};

export type Kind =
  | 'ClusterRole'
  | 'ClusterRoleBinding'
  | 'ConfigMap'
  | 'CronJob'
  | 'DaemonSet'
  | 'Deployment'
  | 'EndpointSlice'
  | 'Event'
  | 'HorizontalPodAutoscaler'
  | 'Ingress'
  | 'Job'
  | 'Namespace'
  | 'Node'
  | 'PersistentVolume'
  | 'PersistentVolumeClaim'
  | 'Pod'
  | 'ReplicaSet'
  | 'ResourceQuota'
  | 'Role'
  | 'RoleBinding'
  | 'Service'
  | 'StatefulSet'
  | 'StorageClass';

export type LinkKind =
  | 'EXTERNAL_IP'
  | 'EXTERNAL_NAME'
  | 'INGRESS'
  | 'LOAD_BALANCER'
  | 'NODE_PORT';

export type MountInput = {
  readonly mountPath: string;
  readonly readOnly?: boolean | null | undefined;
  readonly subPath?: string | null | undefined;
  readonly volume: string;
};

export type ObjectInput = {
  readonly apiVersion?: string | null | undefined;
  readonly cluster: string;
  readonly kind?: string | null | undefined;
  readonly name: string;
  readonly namespace?: string | null | undefined;
};

export type ObjectSelector = {
  readonly clusterSelector?: string | null | undefined;
  readonly clusters?: ReadonlyArray<string> | null | undefined;
  readonly kinds?: ReadonlyArray<Kind> | null | undefined;
  readonly labelSelector?: string | null | undefined;
  readonly limit?: number | null | undefined;
  readonly names?: ReadonlyArray<string> | null | undefined;
  readonly namespaces?: ReadonlyArray<string> | null | undefined;
};

export type OnFailure =
  | 'CONTINUE'
  | 'ROLL_BACK'
  | 'STOP';

export type OperationState =
  | 'CANCELLED'
  | 'FAILED'
  | 'PENDING'
  | 'ROLLED_BACK'
  | 'ROLLING_BACK'
  | 'RUNNING'
  | 'SUCCEEDED';

export type OperationStorage =
  | 'MEMORY'
  | 'REDIS';

export type OwnerFilter = {
  readonly kind?: string | null | undefined;
  readonly name?: string | null | undefined;
  readonly uid?: string | null | undefined;
};

export type PodFilter = {
  readonly clusterSelector?: string | null | undefined;
  readonly clusters?: ReadonlyArray<string> | null | undefined;
  readonly createdAfter?: string | null | undefined;
  readonly createdBefore?: string | null | undefined;
  readonly image?: TextFilter | null | undefined;
  readonly ip?: string | null | undefined;
  readonly labelSelector?: string | null | undefined;
  readonly name?: TextFilter | null | undefined;
  readonly namespaces?: ReadonlyArray<string> | null | undefined;
  readonly node?: string | null | undefined;
  readonly owner?: OwnerFilter | null | undefined;
  readonly phases?: ReadonlyArray<PodPhase> | null | undefined;
  readonly qosClass?: string | null | undefined;
  readonly ready?: boolean | null | undefined;
  readonly restartsOver?: number | null | undefined;
  readonly serviceAccount?: string | null | undefined;
  readonly statuses?: ReadonlyArray<string> | null | undefined;
  readonly terminating?: boolean | null | undefined;
};

export type PodPhase =
  | 'Failed'
  | 'Pending'
  | 'Running'
  | 'Succeeded'
  | 'Unknown';

export type PortProtocol =
  | 'SCTP'
  | 'TCP'
  | 'UDP';

export type ProbeInput = {
  readonly exec?: ExecProbeInput | null | undefined;
  readonly failureThreshold?: number | null | undefined;
  readonly grpc?: GrpcProbeInput | null | undefined;
  readonly httpGet?: HttpGetProbeInput | null | undefined;
  readonly initialDelaySeconds?: number | null | undefined;
  readonly periodSeconds?: number | null | undefined;
  readonly successThreshold?: number | null | undefined;
  readonly tcpSocket?: TcpSocketProbeInput | null | undefined;
  readonly timeoutSeconds?: number | null | undefined;
};

export type ProbeScheme =
  | 'HTTP'
  | 'HTTPS';

export type ResourceAmountsInput = {
  readonly cpu?: string | null | undefined;
  readonly ephemeralStorage?: string | null | undefined;
  readonly extended?: ReadonlyArray<KeyValueInput> | null | undefined;
  readonly memory?: string | null | undefined;
};

export type ResourcesInput = {
  readonly limits?: ResourceAmountsInput | null | undefined;
  readonly requests?: ResourceAmountsInput | null | undefined;
};

export type RolloutProgressStatus =
  | 'COMPLETE'
  | 'DELETED'
  | 'FAILED'
  | 'NOT_FOUND'
  | 'PAUSED'
  | 'PROGRESSING'
  | 'TIMED_OUT';

export type RolloutStatus =
  | 'COMPLETE'
  | 'FAILED'
  | 'PAUSED'
  | 'PROGRESSING';

export type RolloutStrategyInput = {
  readonly maxSurge?: number | string | null | undefined;
  readonly maxUnavailable?: number | string | null | undefined;
  readonly type?: RolloutStrategyType | null | undefined;
};

export type RolloutStrategyType =
  | 'OnDelete'
  | 'Recreate'
  | 'RollingUpdate';

export type ServicePortInput = {
  readonly appProtocol?: string | null | undefined;
  readonly name?: string | null | undefined;
  readonly nodePort?: number | null | undefined;
  readonly port: number;
  readonly protocol?: PortProtocol | null | undefined;
  readonly targetPort?: number | string | null | undefined;
};

export type ServiceType =
  | 'ClusterIP'
  | 'ExternalName'
  | 'LoadBalancer'
  | 'NodePort';

export type SessionAffinity =
  | 'ClientIP'
  | 'None';

export type StrategyInput = {
  readonly concurrency?: number | null | undefined;
  readonly maxFailures?: number | null | undefined;
  readonly onFailure?: OnFailure | null | undefined;
  readonly pauseSeconds?: number | null | undefined;
  readonly readyTimeoutSeconds?: number | null | undefined;
  readonly waitForReady?: boolean | null | undefined;
  readonly waveSize?: number | null | undefined;
  readonly waves?: ReadonlyArray<string> | null | undefined;
};

export type Targets =
  {   readonly id: string | number; readonly ids?: never; readonly object?: never; readonly objects?: never; readonly selector?: never; }
  |  { readonly id?: never;   readonly ids: ReadonlyArray<string | number>; readonly object?: never; readonly objects?: never; readonly selector?: never; }
  |  { readonly id?: never; readonly ids?: never;   readonly object: ObjectInput; readonly objects?: never; readonly selector?: never; }
  |  { readonly id?: never; readonly ids?: never; readonly object?: never;   readonly objects: ReadonlyArray<ObjectInput>; readonly selector?: never; }
  |  { readonly id?: never; readonly ids?: never; readonly object?: never; readonly objects?: never;   readonly selector: ObjectSelector; };

export type TcpSocketProbeInput = {
  readonly port: number | string;
};

export type TextFilter = {
  readonly contains?: string | null | undefined;
  readonly equals?: string | null | undefined;
  readonly in?: ReadonlyArray<string> | null | undefined;
  readonly prefix?: string | null | undefined;
};

export type TolerationEffect =
  | 'NoExecute'
  | 'NoSchedule'
  | 'PreferNoSchedule';

export type TolerationInput = {
  readonly effect?: TolerationEffect | null | undefined;
  readonly key?: string | null | undefined;
  readonly operator?: TolerationOperator | null | undefined;
  readonly tolerationSeconds?: number | null | undefined;
  readonly value?: string | null | undefined;
};

export type TolerationOperator =
  | 'Equal'
  | 'Exists';

export type VolumeAccessMode =
  | 'ReadOnlyMany'
  | 'ReadWriteMany'
  | 'ReadWriteOnce'
  | 'ReadWriteOncePod';

export type VolumeInput = {
  readonly claim?: ClaimVolumeInput | null | undefined;
  readonly claimTemplate?: ClaimTemplateInput | null | undefined;
  readonly configMap?: KeysVolumeInput | null | undefined;
  readonly emptyDir?: EmptyDirInput | null | undefined;
  readonly hostPath?: HostPathInput | null | undefined;
  readonly name: string;
  readonly secret?: KeysVolumeInput | null | undefined;
};

export type WaveState =
  | 'FAILED'
  | 'PENDING'
  | 'RUNNING'
  | 'SKIPPED'
  | 'SUCCEEDED';

export type WorkloadKind =
  | 'CronJob'
  | 'DaemonSet'
  | 'Deployment'
  | 'Job'
  | 'ReplicaSet'
  | 'StatefulSet';

export type CancelOperationMutationVariables = Exact<{
  id: string | number;
}>;


export type CancelOperationMutation = { readonly cancelOperation: { readonly id: string, readonly state: OperationState, readonly cancelRequested: boolean } | null };

export type ClustersQueryVariables = Exact<{
  filter?: ClusterFilter | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ClustersQuery = { readonly clusters: { readonly totalCount: number, readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly state: ClusterState, readonly since: string, readonly version: string | null, readonly latencyMs: number | null, readonly lastContactAt: string | null, readonly labels: ReadonlyArray<{ readonly key: string, readonly value: string }>, readonly lastError: { readonly code: string, readonly message: string, readonly at: string } | null, readonly kinds: ReadonlyArray<{ readonly kind: Kind, readonly count: number, readonly coverage: { readonly state: CoverageState, readonly reason: string | null } }> }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type ConfirmMutationVariables = Exact<{
  token: string;
}>;


export type ConfirmMutation = { readonly confirm: { readonly cursor: string | null, readonly replayed: boolean, readonly summary: { readonly ok: boolean, readonly message: string }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }>, readonly operation: { readonly id: string, readonly state: OperationState, readonly storage: OperationStorage } | null } | null };

export type DeployMutationVariables = Exact<{
  input: DeployInput;
}>;


export type DeployMutation = { readonly deploy: { readonly cursor: string | null, readonly replayed: boolean, readonly summary: { readonly ok: boolean, readonly message: string }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }>, readonly operation: { readonly id: string, readonly state: OperationState, readonly storage: OperationStorage } | null } | null };

export type EventChangesSubscriptionVariables = Exact<{
  filter?: EventFilter | null | undefined;
  after?: string | null | undefined;
  snapshot?: boolean | null | undefined;
}>;


export type EventChangesSubscription = { readonly eventChanges: { readonly type: ChangeType, readonly cursor: string | null, readonly message: string | null, readonly cluster: { readonly name: string } | null, readonly coverage: ReadonlyArray<{ readonly cluster: string, readonly state: CoverageState, readonly reason: string | null }>, readonly object: { readonly id: string, readonly type: string, readonly reason: string, readonly message: string, readonly count: number, readonly lastSeen: string | null, readonly regardingKind: string, readonly regardingNamespace: string | null, readonly regardingName: string } | null } };

export type ExplainWorkloadQueryVariables = Exact<{
  cluster: string;
  namespace: string;
  kind: WorkloadKind;
  name: string;
  atLeast?: string | null | undefined;
}>;


export type ExplainWorkloadQuery = { readonly workloads: { readonly coverage: ReadonlyArray<{ readonly cluster: string, readonly state: CoverageState, readonly reason: string | null }>, readonly nodes: ReadonlyArray<{ readonly kind: Kind, readonly namespace: string, readonly name: string, readonly desired: number, readonly ready: number, readonly updated: number, readonly available: number, readonly cluster: { readonly name: string }, readonly containers: ReadonlyArray<{ readonly name: string, readonly image: string }>, readonly rollout: { readonly status: RolloutStatus, readonly reason: string | null, readonly message: string | null }, readonly conditions: ReadonlyArray<{ readonly type: string, readonly status: ConditionStatus, readonly reason: string | null, readonly message: string | null }>, readonly replicaSets: ReadonlyArray<{ readonly revision: number | null, readonly ready: number, readonly containers: ReadonlyArray<{ readonly name: string, readonly image: string }> }>, readonly pods: { readonly totalCount: number, readonly nodes: ReadonlyArray<{ readonly name: string, readonly status: string, readonly reason: string | null, readonly message: string | null, readonly restarts: number, readonly nodeName: string | null, readonly containers: ReadonlyArray<{ readonly name: string, readonly state: ContainerState | null, readonly ready: boolean, readonly reason: string | null, readonly message: string | null, readonly lastReason: string | null, readonly exitCode: number | null }>, readonly events: { readonly nodes: ReadonlyArray<{ readonly reason: string, readonly message: string, readonly count: number, readonly lastSeen: string | null }> } }> }, readonly events: { readonly nodes: ReadonlyArray<{ readonly type: string, readonly reason: string, readonly message: string, readonly count: number, readonly lastSeen: string | null }> }, readonly viewerCan: { readonly scale: boolean | null, readonly restart: boolean | null, readonly edit: boolean | null } }> } };

export type ExposeMutationVariables = Exact<{
  input: ExposeInput;
}>;


export type ExposeMutation = { readonly expose: { readonly cursor: string | null, readonly replayed: boolean, readonly summary: { readonly ok: boolean, readonly message: string }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number, readonly links: ReadonlyArray<{ readonly kind: LinkKind, readonly url: string }> }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }>, readonly operation: { readonly id: string, readonly state: OperationState, readonly storage: OperationStorage } | null } | null };

export type FindWorkloadsQueryVariables = Exact<{
  name?: TextFilter | null | undefined;
  namespaces?: ReadonlyArray<string> | string | null | undefined;
  clusters?: ReadonlyArray<string> | string | null | undefined;
  kinds?: ReadonlyArray<WorkloadKind> | WorkloadKind | null | undefined;
  first?: number | null | undefined;
}>;


export type FindWorkloadsQuery = { readonly workloads: { readonly totalCount: number, readonly coverage: ReadonlyArray<{ readonly cluster: string, readonly state: CoverageState, readonly reason: string | null }>, readonly nodes: ReadonlyArray<{ readonly kind: Kind, readonly namespace: string, readonly name: string, readonly desired: number, readonly ready: number, readonly cluster: { readonly name: string }, readonly containers: ReadonlyArray<{ readonly name: string, readonly image: string }>, readonly rollout: { readonly status: RolloutStatus, readonly reason: string | null, readonly message: string | null } }> } };

export type FleetOverviewQueryVariables = Exact<{
  clusterSelector?: string | null | undefined;
}>;


export type FleetOverviewQuery = { readonly clusters: { readonly nodes: ReadonlyArray<{ readonly name: string, readonly state: ClusterState, readonly version: string | null, readonly lastContactAt: string | null, readonly lastError: { readonly message: string } | null }> }, readonly summary: { readonly coverage: ReadonlyArray<{ readonly cluster: string, readonly state: CoverageState, readonly reason: string | null, readonly asOf: string | null }>, readonly pods: { readonly count: number, readonly byStatus: ReadonlyArray<{ readonly name: string, readonly count: number }> }, readonly clusters: ReadonlyArray<{ readonly cluster: { readonly name: string }, readonly summary: { readonly nodes: { readonly count: number }, readonly pods: { readonly count: number, readonly byStatus: ReadonlyArray<{ readonly name: string, readonly count: number }> } } }> }, readonly unready: { readonly totalCount: number, readonly nodes: ReadonlyArray<{ readonly kind: Kind, readonly namespace: string, readonly name: string, readonly desired: number, readonly ready: number, readonly cluster: { readonly name: string }, readonly rollout: { readonly status: RolloutStatus, readonly reason: string | null, readonly message: string | null } }> } };

export type FleetSummaryQueryVariables = Exact<{
  filter?: FleetFilter | null | undefined;
}>;


export type FleetSummaryQuery = { readonly summary: { readonly coverage: ReadonlyArray<{ readonly cluster: string, readonly state: CoverageState, readonly reason: string | null }>, readonly kinds: ReadonlyArray<{ readonly kind: Kind, readonly count: number }>, readonly nodes: { readonly count: number, readonly byStatus: ReadonlyArray<{ readonly name: string, readonly count: number }> }, readonly pods: { readonly count: number, readonly byStatus: ReadonlyArray<{ readonly name: string, readonly count: number }> }, readonly allocatable: { readonly cpu: number, readonly memory: number, readonly pods: number }, readonly requested: { readonly cpu: number, readonly memory: number, readonly pods: number } } };

export type FollowOperationSubscriptionVariables = Exact<{
  id: string | number;
}>;


export type FollowOperationSubscription = { readonly operationChanges: { readonly id: string, readonly title: string, readonly state: OperationState, readonly storage: OperationStorage, readonly cancelRequested: boolean, readonly createdAt: string, readonly finishedAt: string | null, readonly stepsTotal: number, readonly summary: { readonly ok: boolean, readonly message: string }, readonly waves: ReadonlyArray<{ readonly state: WaveState, readonly clusters: ReadonlyArray<string> }>, readonly events: ReadonlyArray<{ readonly at: string, readonly message: string }>, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }>, readonly rollback: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }> } };

export type FollowRolloutSubscriptionVariables = Exact<{
  cluster: string;
  namespace: string;
  kind: WorkloadKind;
  name: string;
  generation?: number | null | undefined;
  timeout?: number | null | undefined;
}>;


export type FollowRolloutSubscription = { readonly rollout: { readonly status: RolloutProgressStatus, readonly reason: string | null, readonly message: string | null, readonly desired: number, readonly updated: number, readonly ready: number, readonly available: number } };

export type NamespaceWorkloadsQueryVariables = Exact<{
  namespace: string;
  clusters?: ReadonlyArray<string> | string | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
  atLeast?: string | null | undefined;
}>;


export type NamespaceWorkloadsQuery = { readonly workloads: { readonly totalCount: number, readonly cursor: string | null, readonly coverage: ReadonlyArray<{ readonly cluster: string, readonly state: CoverageState, readonly reason: string | null, readonly asOf: string | null }>, readonly nodes: ReadonlyArray<{ readonly id: string, readonly kind: Kind, readonly name: string, readonly desired: number, readonly ready: number, readonly cluster: { readonly name: string }, readonly containers: ReadonlyArray<{ readonly name: string, readonly image: string }>, readonly rollout: { readonly status: RolloutStatus, readonly reason: string | null, readonly message: string | null } }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type OperationStatusQueryVariables = Exact<{
  id: string | number;
}>;


export type OperationStatusQuery = { readonly operation: { readonly id: string, readonly title: string, readonly state: OperationState, readonly storage: OperationStorage, readonly cancelRequested: boolean, readonly createdAt: string, readonly finishedAt: string | null, readonly stepsTotal: number, readonly summary: { readonly ok: boolean, readonly message: string }, readonly waves: ReadonlyArray<{ readonly state: WaveState, readonly clusters: ReadonlyArray<string> }>, readonly events: ReadonlyArray<{ readonly at: string, readonly message: string }>, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }>, readonly rollback: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }> } | null };

export type OperationsQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | number | null | undefined;
}>;


export type OperationsQuery = { readonly operations: ReadonlyArray<{ readonly id: string, readonly title: string, readonly verb: string, readonly user: string, readonly state: OperationState, readonly createdAt: string, readonly finishedAt: string | null, readonly summary: { readonly ok: boolean, readonly message: string } }> };

export type PlanRestartMutationVariables = Exact<{
  workloads: ReadonlyArray<ObjectInput> | ObjectInput;
}>;


export type PlanRestartMutation = { readonly plan: { readonly token: string | null, readonly expiresAt: string, readonly summary: { readonly ok: boolean, readonly message: string }, readonly blastRadius: { readonly clusters: ReadonlyArray<string>, readonly workloads: number, readonly podsAdded: number, readonly podsRemoved: number, readonly podsReplaced: number, readonly unknown: ReadonlyArray<string>, readonly capacity: ReadonlyArray<{ readonly clusterName: string, readonly fits: boolean }>, readonly budgets: ReadonlyArray<{ readonly clusterName: string, readonly namespace: string, readonly name: string, readonly podsAffected: number, readonly disruptionsAllowed: number }> }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }> } | null };

export type PlanRollbackMutationVariables = Exact<{
  workloads: ReadonlyArray<ObjectInput> | ObjectInput;
  toRevision?: number | null | undefined;
}>;


export type PlanRollbackMutation = { readonly plan: { readonly token: string | null, readonly expiresAt: string, readonly summary: { readonly ok: boolean, readonly message: string }, readonly blastRadius: { readonly clusters: ReadonlyArray<string>, readonly workloads: number, readonly podsAdded: number, readonly podsRemoved: number, readonly podsReplaced: number, readonly unknown: ReadonlyArray<string>, readonly capacity: ReadonlyArray<{ readonly clusterName: string, readonly fits: boolean }>, readonly budgets: ReadonlyArray<{ readonly clusterName: string, readonly namespace: string, readonly name: string, readonly podsAffected: number, readonly disruptionsAllowed: number }> }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }> } | null };

export type PlanScaleMutationVariables = Exact<{
  workloads: ReadonlyArray<ObjectInput> | ObjectInput;
  to: number;
}>;


export type PlanScaleMutation = { readonly plan: { readonly token: string | null, readonly expiresAt: string, readonly summary: { readonly ok: boolean, readonly message: string }, readonly blastRadius: { readonly clusters: ReadonlyArray<string>, readonly workloads: number, readonly podsAdded: number, readonly podsRemoved: number, readonly podsReplaced: number, readonly unknown: ReadonlyArray<string>, readonly capacity: ReadonlyArray<{ readonly clusterName: string, readonly fits: boolean }>, readonly budgets: ReadonlyArray<{ readonly clusterName: string, readonly namespace: string, readonly name: string, readonly podsAffected: number, readonly disruptionsAllowed: number }> }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }> } | null };

export type PlanSetImageMutationVariables = Exact<{
  workloads: ReadonlyArray<ObjectInput> | ObjectInput;
  images: ReadonlyArray<ContainerImageInput> | ContainerImageInput;
}>;


export type PlanSetImageMutation = { readonly plan: { readonly token: string | null, readonly expiresAt: string, readonly summary: { readonly ok: boolean, readonly message: string }, readonly blastRadius: { readonly clusters: ReadonlyArray<string>, readonly workloads: number, readonly podsAdded: number, readonly podsRemoved: number, readonly podsReplaced: number, readonly unknown: ReadonlyArray<string>, readonly capacity: ReadonlyArray<{ readonly clusterName: string, readonly fits: boolean }>, readonly budgets: ReadonlyArray<{ readonly clusterName: string, readonly namespace: string, readonly name: string, readonly podsAffected: number, readonly disruptionsAllowed: number }> }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }> } | null };

export type PodChangesSubscriptionVariables = Exact<{
  filter?: PodFilter | null | undefined;
  after?: string | null | undefined;
  snapshot?: boolean | null | undefined;
  throttle?: number | null | undefined;
}>;


export type PodChangesSubscription = { readonly podChanges: { readonly type: ChangeType, readonly cursor: string | null, readonly message: string | null, readonly deletedReason: DeletedReason | null, readonly cluster: { readonly name: string } | null, readonly coverage: ReadonlyArray<{ readonly cluster: string, readonly state: CoverageState, readonly reason: string | null }>, readonly object: { readonly id: string, readonly namespace: string, readonly name: string, readonly status: string, readonly ready: boolean, readonly restarts: number, readonly nodeName: string | null } | null } };

export type RollbackMutationVariables = Exact<{
  workloads: ReadonlyArray<ObjectInput> | ObjectInput;
  toRevision?: number | null | undefined;
  idempotencyKey: string;
}>;


export type RollbackMutation = { readonly rollback: { readonly cursor: string | null, readonly replayed: boolean, readonly summary: { readonly ok: boolean, readonly message: string }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }>, readonly operation: { readonly id: string, readonly state: OperationState, readonly storage: OperationStorage } | null } | null };

export type ScaleMutationVariables = Exact<{
  workloads: ReadonlyArray<ObjectInput> | ObjectInput;
  to: number;
  expectedReplicas?: number | null | undefined;
  idempotencyKey: string;
}>;


export type ScaleMutation = { readonly scale: { readonly cursor: string | null, readonly replayed: boolean, readonly summary: { readonly ok: boolean, readonly message: string }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }>, readonly operation: { readonly id: string, readonly state: OperationState, readonly storage: OperationStorage } | null } | null };

export type SetImageMutationVariables = Exact<{
  workloads: ReadonlyArray<ObjectInput> | ObjectInput;
  images: ReadonlyArray<ContainerImageInput> | ContainerImageInput;
  idempotencyKey: string;
}>;


export type SetImageMutation = { readonly setImage: { readonly cursor: string | null, readonly replayed: boolean, readonly summary: { readonly ok: boolean, readonly message: string }, readonly results: ReadonlyArray<{ readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
        | { readonly id: string, readonly generation: number }
        | { readonly id: string, readonly generation: number }
       | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null }>, readonly operation: { readonly id: string, readonly state: OperationState, readonly storage: OperationStorage } | null } | null };

export type WorkloadPageQueryVariables = Exact<{
  id: string | number;
  atLeast?: string | null | undefined;
}>;


export type WorkloadPageQuery = { readonly node: { readonly id: string, readonly kind: Kind, readonly namespace: string, readonly name: string, readonly desired: number, readonly ready: number, readonly updated: number, readonly available: number, readonly cluster: { readonly name: string }, readonly labels: ReadonlyArray<{ readonly key: string, readonly value: string }>, readonly rollout: { readonly status: RolloutStatus, readonly reason: string | null, readonly message: string | null }, readonly conditions: ReadonlyArray<{ readonly type: string, readonly status: ConditionStatus, readonly reason: string | null, readonly message: string | null }>, readonly replicaSets: ReadonlyArray<{ readonly name: string, readonly revision: number | null, readonly ready: number, readonly containers: ReadonlyArray<{ readonly name: string, readonly image: string }> }>, readonly pods: { readonly totalCount: number, readonly cursor: string | null, readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly status: string, readonly reason: string | null, readonly restarts: number, readonly podIP: string | null, readonly node: { readonly name: string } | null, readonly containers: ReadonlyArray<{ readonly name: string, readonly image: string, readonly ready: boolean, readonly restarts: number, readonly state: ContainerState | null, readonly reason: string | null, readonly message: string | null }> }> }, readonly services: ReadonlyArray<{ readonly id: string, readonly name: string, readonly type: ServiceType, readonly ports: ReadonlyArray<{ readonly name: string | null, readonly port: number, readonly targetPort: string | null, readonly protocol: string }>, readonly links: ReadonlyArray<{ readonly kind: LinkKind, readonly url: string }> }>, readonly events: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly type: string, readonly reason: string, readonly message: string, readonly count: number, readonly lastSeen: string | null }> }, readonly viewerCan: { readonly scale: boolean | null, readonly restart: boolean | null, readonly edit: boolean | null, readonly delete: boolean | null, readonly logs: boolean | null } } | null };

export type ChangeFragment = { readonly clusterName: string, readonly kind: string, readonly namespace: string | null, readonly name: string, readonly action: string, readonly outcome: ChangeOutcome, readonly message: string | null, readonly diff: string | null, readonly object:
    | { readonly id: string, readonly generation: number }
    | { readonly id: string, readonly generation: number }
   | null, readonly error: { readonly code: ChangeErrorCode, readonly message: string, readonly policy: string | null, readonly mayHaveBeenApplied: boolean, readonly retryAfterSeconds: number | null } | null };

export const CancelOperation = trusted<CancelOperationMutation, CancelOperationMutationVariables>(
  '56ea26d93721fa3bb0a7f5eedde28aca8eb087b4402a37d9d083ee175fc89db7',
  /* GraphQL */ `# Begins no further step of an operation. What was done stays.
mutation CancelOperation($id: ID!) {
  cancelOperation(id: $id) {
    id
    state
    cancelRequested
  }
}
`,
)

export const Clusters = trusted<ClustersQuery, ClustersQueryVariables>(
  '909daed4e768f82adc88f6c2ff7f47d447f9b1eb6bd2e570077bc8d4e947e31b',
  /* GraphQL */ `# The clusters of the fleet, page by page.
query Clusters($filter: ClusterFilter, $first: Int, $after: String) {
  clusters(filter: $filter, first: $first, after: $after) {
    totalCount
    nodes {
      id
      name
      labels {
        key
        value
      }
      state
      since
      version
      latencyMs
      lastContactAt
      lastError {
        code
        message
        at
      }
      kinds {
        kind
        count
        coverage {
          state
          reason
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
)

export const Confirm = trusted<ConfirmMutation, ConfirmMutationVariables>(
  '1626951623bf9174e353eb290c16e20d8e4e693e7ef8edcd070e3184fec3b069',
  /* GraphQL */ `# Carries out a plan, once.
mutation Confirm($token: String!) {
  confirm(token: $token) {
    cursor
    replayed
    summary {
      ok
      message
    }
    results {
      ...Change
    }
    operation {
      id
      state
      storage
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const Deploy = trusted<DeployMutation, DeployMutationVariables>(
  '4e4f7012f3ca704c80357df3ce2204354b22f74d4d58bd42a4c58a76338a38b4',
  /* GraphQL */ `# Deploys a workload to clusters; with \`dryRun\` in the input it shows what would come of it.
mutation Deploy($input: DeployInput!) {
  deploy(input: $input) {
    cursor
    replayed
    summary {
      ok
      message
    }
    results {
      ...Change
    }
    operation {
      id
      state
      storage
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const EventChanges = trusted<EventChangesSubscription, EventChangesSubscriptionVariables>(
  '19977f45bde34d97dde4360c713f3f1a2f59841392fb1827f84306d36a72253c',
  /* GraphQL */ `# What components of the clusters report, as they do.
subscription EventChanges($filter: EventFilter, $after: String, $snapshot: Boolean) {
  eventChanges(filter: $filter, after: $after, snapshot: $snapshot) {
    type
    cursor
    message
    cluster {
      name
    }
    coverage {
      cluster
      state
      reason
    }
    object {
      id
      type
      reason
      message
      count
      lastSeen
      regardingKind
      regardingNamespace
      regardingName
    }
  }
}
`,
)

export const ExplainWorkload = trusted<ExplainWorkloadQuery, ExplainWorkloadQueryVariables>(
  '02566bb71af440c6f2f501f66bd37ddcea0717c71e93dafff74c9d1d21d53003',
  /* GraphQL */ `# Why a workload is as it is: its rollout, its revisions, the pods that are not ready and why, what was reported.
query ExplainWorkload(
  $cluster: String!
  $namespace: String!
  $kind: WorkloadKind!
  $name: String!
  $atLeast: String
) @atLeast(cursor: $atLeast) {
  workloads(
    filter: { clusters: [$cluster], namespaces: [$namespace], kinds: [$kind], name: { equals: $name } }
    first: 1
  ) {
    coverage {
      cluster
      state
      reason
    }
    nodes {
      cluster {
        name
      }
      kind
      namespace
      name
      desired
      ready
      updated
      available
      containers {
        name
        image
      }
      rollout {
        status
        reason
        message
      }
      conditions {
        type
        status
        reason
        message
      }
      replicaSets {
        revision
        ready
        containers {
          name
          image
        }
      }
      pods(filter: { ready: false, phases: [Pending, Running, Failed, Unknown] }, first: 10) {
        totalCount
        nodes {
          name
          status
          reason
          message
          restarts
          nodeName
          containers {
            name
            state
            ready
            reason
            message
            lastReason
            exitCode
          }
          events(filter: { types: ["Warning"] }, first: 3) {
            nodes {
              reason
              message
              count
              lastSeen
            }
          }
        }
      }
      events(first: 10) {
        nodes {
          type
          reason
          message
          count
          lastSeen
        }
      }
      viewerCan {
        scale
        restart
        edit
      }
    }
  }
}
`,
)

export const Expose = trusted<ExposeMutation, ExposeMutationVariables>(
  '568ee69af4781700e4c0f956f5a97fc4b8941de7b44368aa1293f437fbc317b5',
  /* GraphQL */ `# Makes a workload reachable: a Service, and an Ingress where the input has one. \`links\` say under which addresses.
mutation Expose($input: ExposeInput!) {
  expose(input: $input) {
    cursor
    replayed
    summary {
      ok
      message
    }
    results {
      ...Change
      object {
        ... on Service {
          links {
            kind
            url
          }
        }
      }
    }
    operation {
      id
      state
      storage
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const FindWorkloads = trusted<FindWorkloadsQuery, FindWorkloadsQueryVariables>(
  '483a0fb58c8c4998ef23583001102238769ad00d1d7e3284f87bfef091ca2000',
  /* GraphQL */ `# Workloads by their name, wherever they run.
query FindWorkloads(
  $name: TextFilter
  $namespaces: [String!]
  $clusters: [String!]
  $kinds: [WorkloadKind!]
  $first: Int = 50
) {
  workloads(
    filter: { name: $name, namespaces: $namespaces, clusters: $clusters, kinds: $kinds, topLevel: true }
    first: $first
  ) {
    totalCount
    coverage {
      cluster
      state
      reason
    }
    nodes {
      cluster {
        name
      }
      kind
      namespace
      name
      desired
      ready
      containers {
        name
        image
      }
      rollout {
        status
        reason
        message
      }
    }
  }
}
`,
)

export const FleetOverview = trusted<FleetOverviewQuery, FleetOverviewQueryVariables>(
  '725b1abef257009d0c41c8e7fc3ec79e3cf9701cb221a2b873b433d6ea336ef9',
  /* GraphQL */ `# Every cluster, how it is, and how its pods are. \`coverage\` says of which clusters this may not be all.
query FleetOverview($clusterSelector: String) {
  clusters(filter: { selector: $clusterSelector }, first: 500) {
    nodes {
      name
      state
      version
      lastContactAt
      lastError {
        message
      }
    }
  }
  summary(filter: { clusterSelector: $clusterSelector }) {
    coverage {
      cluster
      state
      reason
      asOf
    }
    pods {
      count
      byStatus {
        name
        count
      }
    }
    clusters {
      cluster {
        name
      }
      summary {
        nodes {
          count
        }
        pods {
          count
          byStatus {
            name
            count
          }
        }
      }
    }
  }
  unready: workloads(
    filter: { clusterSelector: $clusterSelector, ready: false, topLevel: true }
    orderBy: [{ field: UNREADY, direction: DESC }]
    first: 20
  ) {
    totalCount
    nodes {
      cluster {
        name
      }
      kind
      namespace
      name
      desired
      ready
      rollout {
        status
        reason
        message
      }
    }
  }
}
`,
)

export const FleetSummary = trusted<FleetSummaryQuery, FleetSummaryQueryVariables>(
  '112fe2253607328c6096d652235b8ee6a9a70d5370ed467010957c064feb3897',
  /* GraphQL */ `# Numbers of the fleet: what there is, what is asked for and what is there to have.
query FleetSummary($filter: FleetFilter) {
  summary(filter: $filter) {
    coverage {
      cluster
      state
      reason
    }
    kinds {
      kind
      count
    }
    nodes {
      count
      byStatus {
        name
        count
      }
    }
    pods {
      count
      byStatus {
        name
        count
      }
    }
    allocatable {
      cpu
      memory
      pods
    }
    requested {
      cpu
      memory
      pods
    }
  }
}
`,
)

export const FollowOperation = trusted<FollowOperationSubscription, FollowOperationSubscriptionVariables>(
  'e7d69149a9aa80fbf3310b029eee3c1a04c3ac323331c2815087daa42783a12c',
  /* GraphQL */ `# An operation as it is now and after each step, until it has ended.
subscription FollowOperation($id: ID!) {
  operationChanges(id: $id) {
    id
    title
    state
    storage
    cancelRequested
    createdAt
    finishedAt
    stepsTotal
    summary {
      ok
      message
    }
    waves {
      state
      clusters
    }
    events {
      at
      message
    }
    results {
      ...Change
    }
    rollback {
      ...Change
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const FollowRollout = trusted<FollowRolloutSubscription, FollowRolloutSubscriptionVariables>(
  'acdc767a6661ea4db8db02d4bbaf98dbf534262d14bbc14c2d824279d6948c74',
  /* GraphQL */ `# How a workload comes on with what it was asked for; ends when that has come out. \`generation\` is the one that the
# object has in the result of a mutation: states before it do not count.
subscription FollowRollout(
  $cluster: String!
  $namespace: String!
  $kind: WorkloadKind!
  $name: String!
  $generation: Float
  $timeout: Int
) {
  rollout(
    cluster: $cluster
    namespace: $namespace
    kind: $kind
    name: $name
    generation: $generation
    timeout: $timeout
  ) {
    status
    reason
    message
    desired
    updated
    ready
    available
  }
}
`,
)

export const NamespaceWorkloads = trusted<NamespaceWorkloadsQuery, NamespaceWorkloadsQueryVariables>(
  '99e181f47348d81579f17d221a440b077b090d1f31665b96224369edf4eb0c2b',
  /* GraphQL */ `# The workloads of a namespace, in every cluster that has it. \`cursor\` goes on as \`workloadChanges(after:)\`.
query NamespaceWorkloads(
  $namespace: String!
  $clusters: [String!]
  $first: Int
  $after: String
  $atLeast: String
) @atLeast(cursor: $atLeast) {
  workloads(
    filter: { namespaces: [$namespace], clusters: $clusters, topLevel: true }
    first: $first
    after: $after
  ) {
    totalCount
    cursor
    coverage {
      cluster
      state
      reason
      asOf
    }
    nodes {
      id
      cluster {
        name
      }
      kind
      name
      desired
      ready
      containers {
        name
        image
      }
      rollout {
        status
        reason
        message
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
)

export const OperationStatus = trusted<OperationStatusQuery, OperationStatusQueryVariables>(
  'ebb79173d705cc4fb7220972ee67a2f2e8b4d968576cf15de07c78eb6253b5cd',
  /* GraphQL */ `# An operation as it is now: how far it is, and what came of each step.
query OperationStatus($id: ID!) {
  operation(id: $id) {
    id
    title
    state
    storage
    cancelRequested
    createdAt
    finishedAt
    stepsTotal
    summary {
      ok
      message
    }
    waves {
      state
      clusters
    }
    events {
      at
      message
    }
    results {
      ...Change
    }
    rollback {
      ...Change
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const Operations = trusted<OperationsQuery, OperationsQueryVariables>(
  'e91c3a3ecbaca4cc50375f7de0575fc3a32737f1165604ee66ae3e4423ba72b4',
  /* GraphQL */ `# What was begun lately, newest first.
query Operations($first: Int, $after: ID) {
  operations(first: $first, after: $after) {
    id
    title
    verb
    user
    state
    createdAt
    finishedAt
    summary {
      ok
      message
    }
  }
}
`,
)

export const PlanRestart = trusted<PlanRestartMutation, PlanRestartMutationVariables>(
  'be5cece0be67c402280e90c54d19807524989b62ac93388209ebedb2f5a051b7',
  /* GraphQL */ `# What it would mean to replace all pods. Changes nothing; its token, given to Confirm, does just that.
mutation PlanRestart($workloads: [ObjectInput!]!) {
  plan(change: { restart: { targets: { objects: $workloads } } }) {
    token
    expiresAt
    summary {
      ok
      message
    }
    blastRadius {
      clusters
      workloads
      podsAdded
      podsRemoved
      podsReplaced
      capacity {
        clusterName
        fits
      }
      budgets {
        clusterName
        namespace
        name
        podsAffected
        disruptionsAllowed
      }
      unknown
    }
    results {
      ...Change
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const PlanRollback = trusted<PlanRollbackMutation, PlanRollbackMutationVariables>(
  '841b446f521420a61c1bfdd2fa960df8b2a6064888c671356f401f8f18a9bdb2',
  /* GraphQL */ `# What it would mean to go back to a revision. Changes nothing; its token, given to Confirm, does just that.
mutation PlanRollback($workloads: [ObjectInput!]!, $toRevision: Int) {
  plan(change: { rollback: { targets: { objects: $workloads }, toRevision: $toRevision } }) {
    token
    expiresAt
    summary {
      ok
      message
    }
    blastRadius {
      clusters
      workloads
      podsAdded
      podsRemoved
      podsReplaced
      capacity {
        clusterName
        fits
      }
      budgets {
        clusterName
        namespace
        name
        podsAffected
        disruptionsAllowed
      }
      unknown
    }
    results {
      ...Change
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const PlanScale = trusted<PlanScaleMutation, PlanScaleMutationVariables>(
  '56e74134f0e28ced2f389c87dd4234d8e8cf8e6a99eaa3b76ae4c61e8b1ece84',
  /* GraphQL */ `# What it would mean to have so many replicas. Changes nothing; its token, given to Confirm, does just that.
mutation PlanScale($workloads: [ObjectInput!]!, $to: Int!) {
  plan(change: { scale: { targets: { objects: $workloads }, to: $to } }) {
    token
    expiresAt
    summary {
      ok
      message
    }
    blastRadius {
      clusters
      workloads
      podsAdded
      podsRemoved
      podsReplaced
      capacity {
        clusterName
        fits
      }
      budgets {
        clusterName
        namespace
        name
        podsAffected
        disruptionsAllowed
      }
      unknown
    }
    results {
      ...Change
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const PlanSetImage = trusted<PlanSetImageMutation, PlanSetImageMutationVariables>(
  'bf302657d765a9d04ccbf732abab9cf086bbcb90787f06869bbc76a6ed5a8c63',
  /* GraphQL */ `# What it would mean to run another image. Changes nothing; its token, given to Confirm, does just that.
mutation PlanSetImage($workloads: [ObjectInput!]!, $images: [ContainerImageInput!]!) {
  plan(change: { setImage: { targets: { objects: $workloads }, images: $images } }) {
    token
    expiresAt
    summary {
      ok
      message
    }
    blastRadius {
      clusters
      workloads
      podsAdded
      podsRemoved
      podsReplaced
      capacity {
        clusterName
        fits
      }
      budgets {
        clusterName
        namespace
        name
        podsAffected
        disruptionsAllowed
      }
      unknown
    }
    results {
      ...Change
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const PodChanges = trusted<PodChangesSubscription, PodChangesSubscriptionVariables>(
  '68b0d964898ff04579ae5cdc9bcf4269cd6e594c4bc8f3c8115946dc2923095f',
  /* GraphQL */ `# Pods as they come, change and go. Keep the last cursor, and give it as \`after\` when a connection was lost.
subscription PodChanges($filter: PodFilter, $after: String, $snapshot: Boolean, $throttle: Int) {
  podChanges(filter: $filter, after: $after, snapshot: $snapshot, throttle: $throttle) {
    type
    cursor
    message
    deletedReason
    cluster {
      name
    }
    coverage {
      cluster
      state
      reason
    }
    object {
      id
      namespace
      name
      status
      ready
      restarts
      nodeName
    }
  }
}
`,
)

export const Rollback = trusted<RollbackMutation, RollbackMutationVariables>(
  'a5f1dd5dd099f48464d7944d9896f5ab9778b179c79ce918bc768ab3a8ee866b',
  /* GraphQL */ `# Goes back to a revision of workloads; without one to the revision before. The key makes it happen once.
mutation Rollback(
  $workloads: [ObjectInput!]!
  $toRevision: Int
  $idempotencyKey: String!
) {
  rollback(
    input: { targets: { objects: $workloads }, toRevision: $toRevision, idempotencyKey: $idempotencyKey }
  ) {
    cursor
    replayed
    summary {
      ok
      message
    }
    results {
      ...Change
    }
    operation {
      id
      state
      storage
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const Scale = trusted<ScaleMutation, ScaleMutationVariables>(
  'deae0cc6acba232aef7504818e84f61af32f997fa3e611bd8361c77aac3552cc',
  /* GraphQL */ `# Sets the replicas of workloads. The key makes it happen once, however often it is sent.
mutation Scale(
  $workloads: [ObjectInput!]!
  $to: Int!
  $expectedReplicas: Int
  $idempotencyKey: String!
) {
  scale(
    input: {
      targets: { objects: $workloads }
      to: $to
      expectedReplicas: $expectedReplicas
      idempotencyKey: $idempotencyKey
    }
  ) {
    cursor
    replayed
    summary {
      ok
      message
    }
    results {
      ...Change
    }
    operation {
      id
      state
      storage
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const SetImage = trusted<SetImageMutation, SetImageMutationVariables>(
  'c04f409af7b655f090cb05089f94a4bf79a10ecb0e041413bb6b023d8ce253a2',
  /* GraphQL */ `# Sets images of workloads. The key makes it happen once, however often it is sent.
mutation SetImage(
  $workloads: [ObjectInput!]!
  $images: [ContainerImageInput!]!
  $idempotencyKey: String!
) {
  setImage(
    input: { targets: { objects: $workloads }, images: $images, idempotencyKey: $idempotencyKey }
  ) {
    cursor
    replayed
    summary {
      ok
      message
    }
    results {
      ...Change
    }
    operation {
      id
      state
      storage
    }
  }
}

fragment Change on ChangeResult {
  clusterName
  kind
  namespace
  name
  action
  outcome
  message
  diff
  object {
    id
    generation
  }
  error {
    code
    message
    policy
    mayHaveBeenApplied
    retryAfterSeconds
  }
}
`,
)

export const WorkloadPage = trusted<WorkloadPageQuery, WorkloadPageQueryVariables>(
  '9b3720fdddb417bab1b89108d652b956d737e63f77cbd6f5eb5c13bc8dd043c3',
  /* GraphQL */ `# The page of one workload: its pods, who sends traffic to it, what happened to it, and which buttons work.
query WorkloadPage($id: ID!, $atLeast: String) @atLeast(cursor: $atLeast) {
  node(id: $id) {
    ... on Workload {
      id
      cluster {
        name
      }
      kind
      namespace
      name
      labels {
        key
        value
      }
      desired
      ready
      updated
      available
      rollout {
        status
        reason
        message
      }
      conditions {
        type
        status
        reason
        message
      }
      replicaSets {
        name
        revision
        ready
        containers {
          name
          image
        }
      }
      pods(first: 100) {
        totalCount
        cursor
        nodes {
          id
          name
          status
          reason
          restarts
          podIP
          node {
            name
          }
          containers {
            name
            image
            ready
            restarts
            state
            reason
            message
          }
        }
      }
      services {
        id
        name
        type
        ports {
          name
          port
          targetPort
          protocol
        }
        links {
          kind
          url
        }
      }
      events(first: 20) {
        nodes {
          id
          type
          reason
          message
          count
          lastSeen
        }
      }
      viewerCan {
        scale
        restart
        edit
        delete
        logs
      }
    }
  }
}
`,
)
