/** Containers of pods and of the templates of workloads, their ports, mounts and volumes. */
import type {
  Container,
  ContainerPort,
  ContainerSpec,
  ContainerStatus,
  Row,
  Volume,
  VolumeMount,
} from '../kubernetes/rows.ts'
import { builder } from './builder.ts'
import { ResourcesRef } from './quantities.ts'
import { KIND_REFS } from './refs.ts'

const ContainerType = builder.enumType('ContainerType', {
  description: 'What a container is for.',
  values: {
    MAIN: { description: 'Does the work of the pod.' },
    INIT: { description: 'Runs to completion before the main ones start.' },
    SIDECAR: { description: 'An init container that keeps running (`restartPolicy: Always`).' },
  } satisfies Record<ContainerSpec['type'], { description: string }>,
})

const ContainerState = builder.enumType('ContainerState', {
  description: 'What a container does.',
  values: {
    WAITING: { description: 'Not running yet, or not again; the reason says why.' },
    RUNNING: { description: 'Running.' },
    TERMINATED: { description: 'Ended.' },
  } satisfies Record<ContainerStatus['state'], { description: string }>,
})

const ContainerPortRef = builder.objectRef<ContainerPort>('ContainerPort').implement({
  description: 'A port that a container says it listens on.',
  fields: (t) => ({
    name: t.exposeString('name', {
      nullable: true,
      description: 'Name of the port; null where it has none.',
    }),
    containerPort: t.exposeInt('containerPort', { description: 'Port in the pod.' }),
    protocol: t.exposeString('protocol', { description: '`TCP`, `UDP` or `SCTP`.' }),
    hostPort: t.exposeInt('hostPort', {
      nullable: true,
      description: 'Port on the node; null where there is none.',
    }),
  }),
})

const VolumeMountRef = builder.objectRef<VolumeMount>('VolumeMount').implement({
  description: 'Where a container sees a volume.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name of the volume in the pod.' }),
    mountPath: t.exposeString('mountPath', { description: 'Path in the container.' }),
    readOnly: t.exposeBoolean('readOnly', { description: 'Whether it may not be written.' }),
  }),
})

export const ContainerSpecRef = builder.objectRef<ContainerSpec>('ContainerTemplate').implement({
  description: 'A container as the template of a workload asks for it.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name of the container in its pod.' }),
    image: t.exposeString('image', { description: 'Image, as written.' }),
    type: t.expose('type', { type: ContainerType, description: 'What it is for.' }),
    imagePullPolicy: t.exposeString('imagePullPolicy', {
      nullable: true,
      description: '`Always`, `IfNotPresent` or `Never`; null where it is not known.',
    }),
    ports: t.expose('ports', { type: [ContainerPortRef], description: 'Ports it says it listens on.' }),
    requests: t.expose('requests', { type: ResourcesRef, description: 'What is set aside for it.' }),
    limits: t.expose('limits', { type: ResourcesRef, description: 'What it may use at most.' }),
    volumeMounts: t.expose('volumeMounts', { type: [VolumeMountRef], description: 'Volumes it sees.' }),
  }),
})

export const ContainerRef = builder.objectRef<Container>('Container').implement({
  description: 'A container of a pod: what it asks for, and how it is.',
  fields: (t) => ({
    name: t.string({ description: 'Name of the container in its pod.', resolve: ({ spec }) => spec.name }),
    image: t.string({ description: 'Image, as written.', resolve: ({ spec }) => spec.image }),
    type: t.field({
      type: ContainerType,
      description: 'What it is for.',
      resolve: ({ spec }) => spec.type,
    }),
    imagePullPolicy: t.string({
      nullable: true,
      description: '`Always`, `IfNotPresent` or `Never`; null where it is not known.',
      resolve: ({ spec }) => spec.imagePullPolicy,
    }),
    ports: t.field({
      type: [ContainerPortRef],
      description: 'Ports it says it listens on.',
      resolve: ({ spec }) => spec.ports,
    }),
    requests: t.field({
      type: ResourcesRef,
      description: 'What is set aside for it.',
      resolve: ({ spec }) => spec.requests,
    }),
    limits: t.field({
      type: ResourcesRef,
      description: 'What it may use at most.',
      resolve: ({ spec }) => spec.limits,
    }),
    volumeMounts: t.field({
      type: [VolumeMountRef],
      description: 'Volumes it sees.',
      resolve: ({ spec }) => spec.volumeMounts,
    }),
    state: t.field({
      type: ContainerState,
      nullable: true,
      description: 'What it does; null until the kubelet reports it.',
      resolve: ({ status }) => status?.state ?? null,
    }),
    reason: t.string({
      nullable: true,
      description: 'Why, such as `CrashLoopBackOff`, `ImagePullBackOff`, `Completed` or `OOMKilled`.',
      resolve: ({ status }) => status?.reason ?? null,
    }),
    message: t.string({
      nullable: true,
      description: 'A sentence for a person about the state; null where none is given.',
      resolve: ({ status }) => status?.message ?? null,
    }),
    ready: t.boolean({
      description: 'Whether it passes its readiness probe; false until the kubelet reports it.',
      resolve: ({ status }) => status?.ready ?? false,
    }),
    started: t.boolean({
      description: 'Whether it passed its startup probe; false until the kubelet reports it.',
      resolve: ({ status }) => status?.started ?? false,
    }),
    restarts: t.int({
      description: 'How often it was restarted.',
      resolve: ({ status }) => status?.restartCount ?? 0,
    }),
    exitCode: t.int({
      nullable: true,
      description: 'Of a terminated container; else null.',
      resolve: ({ status }) => status?.exitCode ?? null,
    }),
    since: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Start of the running state, or end of the terminated one; null where it waits.',
      resolve: ({ status }) => status?.since ?? null,
    }),
    lastReason: t.string({
      nullable: true,
      description: 'Why it ended the last time, such as `OOMKilled` or `Error`; null if it never did.',
      resolve: ({ status }) => status?.lastReason ?? null,
    }),
    lastExitCode: t.int({
      nullable: true,
      description: 'Exit code of the last time; null if it never ended.',
      resolve: ({ status }) => status?.lastExitCode ?? null,
    }),
    lastFinishedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it ended the last time; null if it never did.',
      resolve: ({ status }) => status?.lastFinishedAt ?? null,
    }),
  }),
})

/** A volume, and the row (of a pod or workload) in whose namespace its source is. */
export interface VolumeOf {
  readonly volume: Volume
  readonly row: Row
}

export function volumesOf(row: Row & { readonly volumes: readonly Volume[] }): readonly VolumeOf[] {
  return row.volumes.map((volume) => ({ volume, row }))
}

export const VolumeRef = builder.objectRef<VolumeOf>('Volume').implement({
  description: 'A volume of a pod, and where it comes from.',
  fields: (t) => ({
    name: t.string({ description: 'Name in the pod.', resolve: ({ volume }) => volume.name }),
    type: t.string({
      description:
        'Where it comes from, such as `configMap`, `secret`, `persistentVolumeClaim` or `emptyDir`.',
      resolve: ({ volume }) => volume.type,
    }),
    source: t.string({
      nullable: true,
      description: 'Name of the ConfigMap, Secret, claim… behind it, in the namespace of the pod; else null.',
      resolve: ({ volume }) => volume.source,
    }),
    configMap: t.field({
      type: KIND_REFS.ConfigMap,
      nullable: true,
      description:
        'The ConfigMap behind it; null for other types, and where it is missing or not visible to you.',
      resolve: ({ volume, row }, _arguments, { fleet }) =>
        volume.type === 'configMap' && volume.source
          ? fleet.get('ConfigMap', row.cluster, row.namespace, volume.source)
          : null,
    }),
    persistentVolumeClaim: t.field({
      type: KIND_REFS.PersistentVolumeClaim,
      nullable: true,
      description:
        'The claim behind it; null for other types, and where it is missing or not visible to you.',
      resolve: ({ volume, row }, _arguments, { fleet }) =>
        volume.type === 'persistentVolumeClaim' && volume.source
          ? fleet.get('PersistentVolumeClaim', row.cluster, row.namespace, volume.source)
          : null,
    }),
  }),
})
