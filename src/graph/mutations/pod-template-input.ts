/** Containers and volumes as `deploy` is given them: the input types over `DeploySpec`. */
import type {
  ACCESS_MODES,
  HOST_PATH_TYPES,
  AccessMode,
  AmountsSpec,
  ClaimTemplateSpec,
  ContainerPortSpec,
  ContainerSpec,
  EnvironmentSource,
  EnvironmentVariable,
  HostPathType,
  KeyReference,
  MountSpec,
  ProbeSpec,
  ProjectedSource,
  ResourcesSpec,
  SecuritySpec,
  TolerationSpec,
  VolumeSpec,
} from '../../writes/compose/deploy-spec.ts'
import { builder } from '../builder.ts'
import type { InputFields } from '../filters.ts'
import { KeyValue, keyValueRecord, type KeyValueInput } from './metadata-values.ts'

function plainEnum<V extends string>(name: string, description: string, values: Record<V, string>) {
  return builder.enumType(name, {
    description,
    values: Object.fromEntries(
      Object.entries<string>(values).map(([value, text]) => [value, { description: text }]),
    ) as Record<V, { description: string }>,
  })
}

const ImagePullPolicy = plainEnum('ImagePullPolicy', 'When a node fetches an image.', {
  Always: 'Each time a container starts.',
  IfNotPresent: 'Where the node does not have it.',
  Never: 'Never: the node has to have it.',
})

export const PortProtocol = plainEnum('PortProtocol', 'Protocol of a port.', {
  TCP: 'TCP.',
  UDP: 'UDP.',
  SCTP: 'SCTP.',
})

const KeyReferenceInput = builder.inputRef<KeyReference>('KeyReferenceInput').implement({
  description: 'A key of a ConfigMap or a Secret of the same namespace.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Name of the ConfigMap or Secret.' }),
    key: t.string({ required: true, description: 'The key.' }),
    optional: t.boolean({
      description: 'Whether the container starts where the key is not there, without the variable.',
    }),
  }),
})

export function environmentFields(t: InputFields) {
  return {
    name: t.string({ required: true, description: 'Name of the variable.' }),
    value: t.string({ description: 'Its value, as it is. At most one of this and the references.' }),
    configMap: t.field({ type: KeyReferenceInput, description: 'Its value from a ConfigMap.' }),
    secret: t.field({ type: KeyReferenceInput, description: 'Its value from a Secret.' }),
    field: t.string({
      description:
        "Its value from a field of the pod: `metadata.name`, `status.podIP`, `metadata.labels['app']`.",
    }),
  }
}

const EnvironmentVariableInput = builder.inputRef<EnvironmentVariable>('EnvironmentVariableInput').implement({
  description: 'An environment variable of a container.',
  fields: (t) => environmentFields(t),
})

const EnvironmentSourceInput = builder.inputRef<EnvironmentSource>('EnvironmentSourceInput').implement({
  description: 'All keys of a ConfigMap or a Secret as environment variables: one of the two.',
  fields: (t) => ({
    configMap: t.string({ description: 'Name of a ConfigMap.' }),
    secret: t.string({ description: 'Name of a Secret.' }),
    prefix: t.string({ description: 'Stands before the name of each key.' }),
    optional: t.boolean({ description: 'Whether the container starts where it is not there.' }),
  }),
})

const ContainerPortInput = builder.inputRef<ContainerPortSpec>('ContainerPortInput').implement({
  description: 'A port that a container listens on.',
  fields: (t) => ({
    name: t.string({ description: 'Up to 15 characters, such as `http`: Services and probes can name it.' }),
    containerPort: t.int({ required: true, description: 'Its number.' }),
    protocol: t.field({ type: PortProtocol, description: 'Absent: TCP.' }),
  }),
})

type AmountsInput = Omit<AmountsSpec, 'extended'> & {
  readonly extended?: readonly KeyValueInput[] | null | undefined
}

const ResourceAmounts = builder.inputRef<AmountsInput>('ResourceAmountsInput').implement({
  description: 'Amounts of resources, as Kubernetes quantities: `250m`, `512Mi`.',
  fields: (t) => ({
    cpu: t.string({ description: 'Cores: `2`, `250m`.' }),
    memory: t.string({ description: 'Bytes: `512Mi`, `1G`.' }),
    ephemeralStorage: t.string({ description: 'Bytes on the disk of the node: `1Gi`.' }),
    extended: t.field({
      type: [KeyValue],
      description: 'Other resources by their name, such as `nvidia.com/gpu`.',
    }),
  }),
})

interface ResourcesInput {
  readonly requests?: AmountsInput | null | undefined
  readonly limits?: AmountsInput | null | undefined
}

const ResourcesInputRef = builder.inputRef<ResourcesInput>('ResourcesInput').implement({
  description: 'What a container asks for, and what it may use at most.',
  fields: (t) => ({
    requests: t.field({ type: ResourceAmounts, description: 'What a node has to have free for it.' }),
    limits: t.field({ type: ResourceAmounts, description: 'What it may not go beyond.' }),
  }),
})

const Scheme = plainEnum('ProbeScheme', 'Scheme of an HTTP probe.', { HTTP: 'HTTP.', HTTPS: 'HTTPS.' })

const HttpGetInput = builder.inputRef<NonNullable<ProbeSpec['httpGet']>>('HttpGetProbeInput').implement({
  description: 'Asks by HTTP: an answer from 200 to 399 is a success.',
  fields: (t) => ({
    path: t.string({ description: 'Absent: `/`.' }),
    port: t.field({
      type: 'IntOrString',
      required: true,
      description: 'Number, or the name of a port of the container.',
    }),
    scheme: t.field({ type: Scheme, description: 'Absent: HTTP.' }),
  }),
})

const TcpSocketInput = builder
  .inputRef<NonNullable<ProbeSpec['tcpSocket']>>('TcpSocketProbeInput')
  .implement({
    description: 'Opens a connection.',
    fields: (t) => ({
      port: t.field({
        type: 'IntOrString',
        required: true,
        description: 'Number, or the name of a port of the container.',
      }),
    }),
  })

const ExecInput = builder.inputRef<NonNullable<ProbeSpec['exec']>>('ExecProbeInput').implement({
  description: 'Runs a command in the container: status 0 is a success.',
  fields: (t) => ({
    command: t.stringList({ required: true, description: 'The command and its arguments; no shell.' }),
  }),
})

const GrpcInput = builder.inputRef<NonNullable<ProbeSpec['grpc']>>('GrpcProbeInput').implement({
  description: 'Asks by the gRPC health protocol.',
  fields: (t) => ({
    port: t.int({ required: true, description: 'Number of the port.' }),
    service: t.string({ description: 'Name of the service to ask about; absent: the server.' }),
  }),
})

const ProbeInput = builder.inputRef<ProbeSpec>('ProbeInput').implement({
  description: 'How the kubelet asks a container how it is: one of the four ways.',
  fields: (t) => ({
    httpGet: t.field({ type: HttpGetInput, description: 'By an HTTP request.' }),
    tcpSocket: t.field({ type: TcpSocketInput, description: 'By opening a connection.' }),
    exec: t.field({ type: ExecInput, description: 'By a command in the container.' }),
    grpc: t.field({ type: GrpcInput, description: 'By the gRPC health protocol.' }),
    initialDelaySeconds: t.int({ description: 'Seconds after the start of the container; absent: 0.' }),
    periodSeconds: t.int({ description: 'Seconds between two probes; absent: 10.' }),
    timeoutSeconds: t.int({ description: 'Seconds to wait for an answer; absent: 1.' }),
    successThreshold: t.int({ description: 'Successes in a row that count as one; absent: 1.' }),
    failureThreshold: t.int({ description: 'Failures in a row that count as one; absent: 3.' }),
  }),
})

const MountInput = builder.inputRef<MountSpec>('MountInput').implement({
  description: 'A volume in the file system of a container.',
  fields: (t) => ({
    volume: t.string({ required: true, description: 'Name of one of the `volumes`.' }),
    mountPath: t.string({ required: true, description: 'Where: an absolute path.' }),
    readOnly: t.boolean({ description: 'Whether the container may only read it.' }),
    subPath: t.string({ description: 'A path in the volume, instead of its root.' }),
  }),
})

const SecurityInput = builder.inputRef<SecuritySpec>('ContainerSecurityInput').implement({
  description: 'What a container may do on its node.',
  fields: (t) => ({
    runAsUser: t.int({ description: 'Number of the user that it runs as.' }),
    runAsGroup: t.int({ description: 'Number of the group that it runs as.' }),
    runAsNonRoot: t.boolean({ description: 'Whether it is refused to start as root.' }),
    readOnlyRootFilesystem: t.boolean({ description: 'Whether its own file system is read-only.' }),
    allowPrivilegeEscalation: t.boolean({ description: 'Whether it may come to more rights than it has.' }),
    dropCapabilities: t.stringList({ description: 'Linux capabilities to take away; `ALL` drops all.' }),
    addCapabilities: t.stringList({ description: 'Linux capabilities to add.' }),
  }),
})

export type ContainerInput = Omit<ContainerSpec, 'resources'> & {
  readonly resources?: ResourcesInput | null | undefined
}

export const ContainerInputRef = builder.inputRef<ContainerInput>('ContainerInput').implement({
  description: 'A container of the pods.',
  fields: (t) => ({
    name: t.string({ description: 'Name; absent, of an only container: that of the workload.' }),
    image: t.string({ required: true, description: 'Image reference: `nginx:1.29`.' }),
    imagePullPolicy: t.field({ type: ImagePullPolicy, description: 'When its image is fetched.' }),
    command: t.stringList({ description: 'Instead of the entrypoint of the image.' }),
    args: t.stringList({ description: 'Instead of the command of the image.' }),
    workingDir: t.string({ description: 'Directory to run in; absent: that of the image.' }),
    env: t.field({ type: [EnvironmentVariableInput], description: 'Environment variables.' }),
    envFrom: t.field({
      type: [EnvironmentSourceInput],
      description: 'Environment variables from all keys of ConfigMaps and Secrets.',
    }),
    ports: t.field({ type: [ContainerPortInput], description: 'Ports that it listens on.' }),
    resources: t.field({ type: ResourcesInputRef, description: 'What it asks for, and may use.' }),
    readinessProbe: t.field({
      type: ProbeInput,
      description: 'Whether it is ready for traffic: Services send none before.',
    }),
    livenessProbe: t.field({ type: ProbeInput, description: 'Whether it lives: it is restarted else.' }),
    startupProbe: t.field({
      type: ProbeInput,
      description: 'Whether it has started: the other probes begin after that.',
    }),
    mounts: t.field({ type: [MountInput], description: 'Volumes in its file system.' }),
    security: t.field({ type: SecurityInput, description: 'What it may do on its node.' }),
  }),
})

export function containerOf(input: ContainerInput, path: string): ContainerSpec {
  const { resources, ...rest } = input
  return { ...rest, ...(resources && { resources: resourcesOf(resources, `${path}.resources`) }) }
}

function resourcesOf({ requests, limits }: ResourcesInput, path: string): ResourcesSpec {
  return {
    ...(requests && { requests: amountsOf(requests, `${path}.requests`) }),
    ...(limits && { limits: amountsOf(limits, `${path}.limits`) }),
  }
}

function amountsOf({ extended, ...rest }: AmountsInput, path: string): AmountsSpec {
  return {
    ...rest,
    ...(extended && { extended: keyValueRecord(extended, 'resource', `${path}.extended`) }),
  }
}

const Medium = plainEnum('EmptyDirMedium', 'What an empty directory is on.', {
  Memory: 'Memory of the node, which counts as memory of the container.',
})

const EmptyDirInput = builder.inputRef<NonNullable<VolumeSpec['emptyDir']>>('EmptyDirInput').implement({
  description: 'A directory that begins empty and ends with the pod.',
  fields: (t) => ({
    medium: t.field({ type: Medium, description: 'Absent: the disk of the node.' }),
    sizeLimit: t.string({ description: 'Bytes that it may hold: `1Gi`.' }),
  }),
})

const KeyToPath = builder.inputRef<{ key: string; path: string }>('KeyToPathInput').implement({
  description: 'A key, and the file that it becomes.',
  fields: (t) => ({
    key: t.string({ required: true, description: 'The key.' }),
    path: t.string({ required: true, description: 'Relative path of its file in the volume.' }),
  }),
})

const ProjectedInput = builder.inputRef<ProjectedSource>('KeysVolumeInput').implement({
  description: 'Keys of a ConfigMap or a Secret as files.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Name of the ConfigMap or Secret.' }),
    items: t.field({
      type: [KeyToPath],
      description: 'Which keys; absent: all, each as a file of its name.',
    }),
    optional: t.boolean({ description: 'Whether the pod starts where it is not there.' }),
  }),
})

const ClaimInput = builder.inputRef<NonNullable<VolumeSpec['claim']>>('ClaimVolumeInput').implement({
  description: 'An existing PersistentVolumeClaim.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name.' }),
    readOnly: t.boolean({ description: 'Whether the pods may only read it.' }),
  }),
})

const AccessModeEnum = plainEnum<AccessMode>(
  'VolumeAccessMode',
  'By how many a volume may be used at a time.',
  {
    ReadWriteOnce: 'By pods of one node.',
    ReadOnlyMany: 'By many nodes, reading only.',
    ReadWriteMany: 'By many nodes.',
    ReadWriteOncePod: 'By one pod.',
  } satisfies Record<(typeof ACCESS_MODES)[number], string>,
)

const ClaimTemplateInput = builder.inputRef<ClaimTemplateSpec>('ClaimTemplateInput').implement({
  description: 'A PersistentVolumeClaim for each pod, that stays when the pod goes. Of a StatefulSet.',
  fields: (t) => ({
    storage: t.string({ required: true, description: 'Bytes: `10Gi`.' }),
    storageClassName: t.string({ description: 'Absent: the default class of the cluster.' }),
    accessModes: t.field({ type: [AccessModeEnum], description: 'Absent: ReadWriteOnce.' }),
  }),
})

const HostPathTypeEnum = plainEnum<HostPathType>('HostPathType', 'What a path of a node has to be.', {
  DirectoryOrCreate: 'A directory; it is made where it is not there.',
  Directory: 'A directory.',
  FileOrCreate: 'A file; it is made where it is not there.',
  File: 'A file.',
  Socket: 'A UNIX socket.',
  CharDevice: 'A character device.',
  BlockDevice: 'A block device.',
} satisfies Record<(typeof HOST_PATH_TYPES)[number], string>)

const HostPathInput = builder.inputRef<NonNullable<VolumeSpec['hostPath']>>('HostPathInput').implement({
  description: 'A path of the node: refused unless the configuration of the gateway allows it.',
  fields: (t) => ({
    path: t.string({ required: true, description: 'An absolute path.' }),
    type: t.field({ type: HostPathTypeEnum, description: 'What has to be there; absent: anything.' }),
  }),
})

export const VolumeInputRef = builder.inputRef<VolumeSpec>('VolumeInput').implement({
  description: 'A volume of the pods: its name, and one of the sources.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Name, for the `mounts` of containers.' }),
    emptyDir: t.field({ type: EmptyDirInput, description: 'A directory that begins empty.' }),
    configMap: t.field({ type: ProjectedInput, description: 'Keys of a ConfigMap.' }),
    secret: t.field({ type: ProjectedInput, description: 'Keys of a Secret.' }),
    claim: t.field({ type: ClaimInput, description: 'An existing PersistentVolumeClaim.' }),
    claimTemplate: t.field({ type: ClaimTemplateInput, description: 'A claim for each pod.' }),
    hostPath: t.field({ type: HostPathInput, description: 'A path of the node.' }),
  }),
})

const TolerationOperator = plainEnum('TolerationOperator', 'How a toleration matches a taint.', {
  Equal: 'Key and value are the same.',
  Exists: 'The key is there, whatever its value.',
})

const TaintEffect = plainEnum('TolerationEffect', 'What a taint does to pods.', {
  NoSchedule: 'New ones do not come.',
  PreferNoSchedule: 'New ones come only where there is no other place.',
  NoExecute: 'Those that are there go.',
})

export const TolerationInputRef = builder.inputRef<TolerationSpec>('TolerationInput').implement({
  description: 'A taint of nodes that the pods put up with.',
  fields: (t) => ({
    key: t.string({ description: 'Key of the taint; absent, with the operator Exists: every key.' }),
    operator: t.field({ type: TolerationOperator, description: 'Absent: Equal.' }),
    value: t.string({ description: 'Value of the taint, for Equal.' }),
    effect: t.field({ type: TaintEffect, description: 'Absent: all effects.' }),
    tolerationSeconds: t.int({ description: 'Of NoExecute: for how many seconds.' }),
  }),
})
