/**
 * What `deploy` is asked for: one workload, in the words of the Kubernetes API, but flat where the API nests.
 * Source of meanings and defaults: API reference, `PodSpec`, `Container`, `DeploymentSpec`, `StatefulSetSpec`,
 * `DaemonSetSpec`, `JobSpec`, `CronJobSpec`. What is left out is left to the API server, or to whoever set it.
 *
 * Amounts are Kubernetes quantities (`250m`, `1Gi`), durations whole seconds.
 */
import type { Maybe } from './compose-error.ts'

export const DEPLOYABLE_KINDS = ['Deployment', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob'] as const
export type DeployableKind = (typeof DEPLOYABLE_KINDS)[number]

export interface DeploySpec {
  /** A DNS label: it is the name of the workload, of its only container, and in the names of its pods. */
  readonly name: string
  readonly namespace: string
  /** The namespace is created where it is not there. */
  readonly createNamespace?: Maybe<boolean>
  readonly kind: DeployableKind
  /** At least one. */
  readonly containers: readonly ContainerSpec[]
  /** Run one after the other, each to its end, before anything else. */
  readonly initContainers?: Maybe<readonly ContainerSpec[]>
  /** Started before the containers and run beside them: init containers with `restartPolicy: Always` (KEP-753). */
  readonly sidecars?: Maybe<readonly ContainerSpec[]>
  readonly volumes?: Maybe<readonly VolumeSpec[]>
  /** Of a Deployment or StatefulSet. Left out: an autoscaler or a person sets it, and keeps it. */
  readonly replicas?: Maybe<number>
  /** Of a Deployment, StatefulSet or DaemonSet. */
  readonly strategy?: Maybe<StrategySpec>
  /** Of a CronJob, which needs it: five fields, or `@hourly`, `@daily`… */
  readonly schedule?: Maybe<string>
  /** Of a CronJob: an IANA name. Left out: the time zone of the cluster's controller manager. */
  readonly timeZone?: Maybe<string>
  /** Of a CronJob: what is done while the job before it still runs. */
  readonly concurrencyPolicy?: Maybe<'Allow' | 'Forbid' | 'Replace'>
  /** Of a CronJob: nothing is started. */
  readonly suspend?: Maybe<boolean>
  /** Of a Job or CronJob: how many pods have to succeed. */
  readonly completions?: Maybe<number>
  /** Of a Job or CronJob: how many pods run at a time. */
  readonly parallelism?: Maybe<number>
  /** Of a Job or CronJob: how often pods may fail before the job has failed. */
  readonly backoffLimit?: Maybe<number>
  /** Of a Job or CronJob: it fails when it has run for so long. */
  readonly activeDeadlineSeconds?: Maybe<number>
  /** Of a Job or CronJob: a finished job is deleted after this time. */
  readonly ttlSecondsAfterFinished?: Maybe<number>
  /** Of a Job or CronJob. Default: `Never`, so that the logs of a failed attempt are kept with its pod. */
  readonly restartPolicy?: Maybe<'Never' | 'OnFailure'>
  /** Of a StatefulSet: an existing headless Service. Left out: one is made, of the workload's name. */
  readonly serviceName?: Maybe<string>
  readonly serviceAccountName?: Maybe<string>
  /** Secrets to pull images with. */
  readonly imagePullSecrets?: Maybe<readonly string[]>
  /** Of the workload and of its pods. */
  readonly labels?: Maybe<Readonly<Record<string, string>>>
  /** Of the workload. */
  readonly annotations?: Maybe<Readonly<Record<string, string>>>
  /** Of its pods: a change of them replaces the pods. */
  readonly podAnnotations?: Maybe<Readonly<Record<string, string>>>
  readonly nodeSelector?: Maybe<Readonly<Record<string, string>>>
  readonly tolerations?: Maybe<readonly TolerationSpec[]>
  readonly terminationGracePeriodSeconds?: Maybe<number>
  /** Group that owns mounted volumes. */
  readonly fsGroup?: Maybe<number>
}

export interface ContainerSpec {
  /** Default: the workload's, for an only container. A DNS label, unique among all containers of the pod. */
  readonly name?: Maybe<string>
  readonly image: string
  readonly imagePullPolicy?: Maybe<'Always' | 'IfNotPresent' | 'Never'>
  /** Instead of the image's entrypoint. */
  readonly command?: Maybe<readonly string[]>
  /** Instead of the image's command. */
  readonly args?: Maybe<readonly string[]>
  readonly workingDir?: Maybe<string>
  readonly env?: Maybe<readonly EnvironmentVariable[]>
  /** All keys of a ConfigMap or Secret. */
  readonly envFrom?: Maybe<readonly EnvironmentSource[]>
  readonly ports?: Maybe<readonly ContainerPortSpec[]>
  readonly resources?: Maybe<ResourcesSpec>
  readonly readinessProbe?: Maybe<ProbeSpec>
  readonly livenessProbe?: Maybe<ProbeSpec>
  readonly startupProbe?: Maybe<ProbeSpec>
  readonly mounts?: Maybe<readonly MountSpec[]>
  readonly security?: Maybe<SecuritySpec>
}

/** At most one of `value` and the references; none of them: an empty value. */
export interface EnvironmentVariable {
  readonly name: string
  readonly value?: Maybe<string>
  readonly configMap?: Maybe<KeyReference>
  readonly secret?: Maybe<KeyReference>
  /** A field of the pod: `metadata.name`, `status.podIP`, `metadata.labels['app']`… */
  readonly field?: Maybe<string>
}

export interface KeyReference {
  readonly name: string
  readonly key: string
  /** Where it is not there, the variable is not set, and the container starts. */
  readonly optional?: Maybe<boolean>
}

/** One of `configMap` and `secret`: its name. */
export interface EnvironmentSource {
  readonly configMap?: Maybe<string>
  readonly secret?: Maybe<string>
  /** Before the name of each key. */
  readonly prefix?: Maybe<string>
  readonly optional?: Maybe<boolean>
}

export interface ContainerPortSpec {
  /** At most 15 characters, as `http`. */
  readonly name?: Maybe<string>
  readonly containerPort: number
  /** Default `TCP`. */
  readonly protocol?: Maybe<'TCP' | 'UDP' | 'SCTP'>
}

export interface ResourcesSpec {
  readonly requests?: Maybe<AmountsSpec>
  readonly limits?: Maybe<AmountsSpec>
}

export interface AmountsSpec {
  readonly cpu?: Maybe<string>
  readonly memory?: Maybe<string>
  readonly ephemeralStorage?: Maybe<string>
  /** Extended resources by name: `{ "nvidia.com/gpu": "1" }`. Their requests have to equal their limits. */
  readonly extended?: Maybe<Readonly<Record<string, string>>>
}

/** One of `httpGet`, `tcpSocket`, `exec` and `grpc`. */
export interface ProbeSpec {
  readonly httpGet?: Maybe<{
    /** Default `/`. */
    readonly path?: Maybe<string>
    /** A number, or the name of a port of the container. */
    readonly port: number | string
    /** Default `HTTP`. */
    readonly scheme?: Maybe<'HTTP' | 'HTTPS'>
  }>
  readonly tcpSocket?: Maybe<{ readonly port: number | string }>
  readonly exec?: Maybe<{ readonly command: readonly string[] }>
  readonly grpc?: Maybe<{ readonly port: number; readonly service?: Maybe<string> }>
  readonly initialDelaySeconds?: Maybe<number>
  readonly periodSeconds?: Maybe<number>
  readonly timeoutSeconds?: Maybe<number>
  /** Of a liveness or startup probe it can only be 1. */
  readonly successThreshold?: Maybe<number>
  readonly failureThreshold?: Maybe<number>
}

export interface MountSpec {
  /** Name of a volume of the workload. */
  readonly volume: string
  /** Absolute, without `:`. */
  readonly mountPath: string
  readonly readOnly?: Maybe<boolean>
  /** Of the volume, instead of its root: relative, without `..`. */
  readonly subPath?: Maybe<string>
}

export interface SecuritySpec {
  readonly runAsUser?: Maybe<number>
  readonly runAsGroup?: Maybe<number>
  readonly runAsNonRoot?: Maybe<boolean>
  readonly readOnlyRootFilesystem?: Maybe<boolean>
  readonly allowPrivilegeEscalation?: Maybe<boolean>
  /** Linux capabilities, without `CAP_`; `ALL` drops all. */
  readonly dropCapabilities?: Maybe<readonly string[]>
  readonly addCapabilities?: Maybe<readonly string[]>
}

/** Its name, and one of the sources. */
export interface VolumeSpec {
  readonly name: string
  readonly emptyDir?: Maybe<{ readonly medium?: Maybe<'Memory'>; readonly sizeLimit?: Maybe<string> }>
  readonly configMap?: Maybe<ProjectedSource>
  readonly secret?: Maybe<ProjectedSource>
  /** An existing PersistentVolumeClaim. */
  readonly claim?: Maybe<{ readonly name: string; readonly readOnly?: Maybe<boolean> }>
  /** A claim for each pod. Of a StatefulSet only. */
  readonly claimTemplate?: Maybe<ClaimTemplateSpec>
  /** A path of the node: refused unless the gateway's policy allows it. */
  readonly hostPath?: Maybe<{ readonly path: string; readonly type?: Maybe<HostPathType> }>
}

export const HOST_PATH_TYPES = [
  'DirectoryOrCreate',
  'Directory',
  'FileOrCreate',
  'File',
  'Socket',
  'CharDevice',
  'BlockDevice',
] as const
export type HostPathType = (typeof HOST_PATH_TYPES)[number]

export interface ProjectedSource {
  readonly name: string
  /** Which keys, and as which files. Left out: all, each as a file of its name. */
  readonly items?: Maybe<readonly { readonly key: string; readonly path: string }[]>
  readonly optional?: Maybe<boolean>
}

export const ACCESS_MODES = ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOncePod'] as const
export type AccessMode = (typeof ACCESS_MODES)[number]

export interface ClaimTemplateSpec {
  /** A quantity of bytes: `10Gi`. */
  readonly storage: string
  /** Default: the cluster's default class. */
  readonly storageClassName?: Maybe<string>
  /** Default `ReadWriteOnce`. */
  readonly accessModes?: Maybe<readonly AccessMode[]>
}

export interface StrategySpec {
  /**
   * `Recreate` is of Deployments only, `OnDelete` of StatefulSets and DaemonSets. Default: `RollingUpdate`.
   */
  readonly type?: Maybe<'RollingUpdate' | 'Recreate' | 'OnDelete'>
  /** Pods beyond what is asked for: a number, or a percentage as `25%`. Not of a StatefulSet. */
  readonly maxSurge?: Maybe<number | string>
  /** Pods that may be missing meanwhile. Not of a StatefulSet. */
  readonly maxUnavailable?: Maybe<number | string>
}

export interface TolerationSpec {
  /** Left out, with the operator `Exists`: every key. */
  readonly key?: Maybe<string>
  /** Default `Equal`. */
  readonly operator?: Maybe<'Equal' | 'Exists'>
  readonly value?: Maybe<string>
  /** Left out: all effects. */
  readonly effect?: Maybe<'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'>
  /** Of the effect `NoExecute`: for how long. */
  readonly tolerationSeconds?: Maybe<number>
}

/** What is different in one cluster. */
export interface DeployOverrides {
  /** `registry.eu.example.com:5000/mirror`: stands in each image in place of its registry. */
  readonly imageRegistry?: Maybe<string>
  readonly replicas?: Maybe<number>
  readonly env?: Maybe<readonly EnvironmentOverride[]>
}

/** Takes the place of the variable of its name, or is added. */
export interface EnvironmentOverride extends EnvironmentVariable {
  /** Default: every container but init containers. */
  readonly container?: Maybe<string>
}

export interface DeployOptions {
  /** What the gateway's configuration says of `hostPath` volumes. Default false. */
  readonly allowHostPath?: boolean
}
