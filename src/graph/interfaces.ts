/**
 * The interfaces: Relay's `Node`, `KubernetesObject` (metadata, owner, events, manifest) and `Workload`.
 * Their fields and resolvers are inherited by every kind, so that a kind's file says only what is its own.
 */
import type { Cluster } from '../fleet/fleet.ts'
import type { EventRow, Row, WorkloadRow } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'
import { clusterOfRow } from './changes.ts'
import { ContainerSpecRef, VolumeRef, volumesOf } from './containers.ts'
import { KindEnum, RolloutStatus } from './enums.ts'
import { indexed, inNamespaces, where, type Condition } from './filters.ts'
import { eventList } from './kinds/event.ts'
import { podList } from './kinds/pod.ts'
import { listField } from './list.ts'
import { ManifestRef, READ_LIVE } from './live.ts'
import {
  AnnotationRef,
  ConditionRef,
  keyValues,
  LabelRef,
  labelsOf,
  OwnerRef,
  selectorText,
} from './metadata.ts'
import { ClusterRef, KIND_REFS, KubernetesObject, Node, typeNameOf, Workload } from './refs.ts'
import {
  autoscalerOf,
  clustersOfRow,
  ownerChain,
  podsOf,
  replicaSetsOf,
  servicesOf,
  workloadOf,
} from './relations.ts'
import { ViewerCanRef } from './viewer-can.ts'

Node.implement({
  description: 'Anything that `node(id:)` finds again (Relay). A machine of a cluster is a `ClusterNode`.',
  resolveType: (value: Row | Cluster) => ('kind' in value ? typeNameOf(value.kind) : 'Cluster'),
  fields: (t) => ({
    id: t.exposeID('id' as never, {
      description:
        'Global, opaque, and the same for as long as an object of this name exists in its cluster.',
    }),
  }),
})

KubernetesObject.implement({
  description: 'What every object of Kubernetes has.',
  interfaces: [Node],
  resolveType: (row) => typeNameOf(row.kind),
  fields: (t) => ({
    kind: t.expose('kind', { type: KindEnum, description: 'The kind, as Kubernetes calls it.' }),
    uid: t.exposeString('uid', {
      description:
        'UID that Kubernetes gave it: an object that is made again under the same name has another.',
    }),
    name: t.exposeString('name', { description: 'Name, unique for its kind in its namespace.' }),
    namespace: t.string({
      nullable: true,
      description: 'Namespace; null for kinds without one.',
      resolve: (row) => row.namespace || null,
    }),
    cluster: t.field({
      type: ClusterRef,
      description: 'The cluster it is in.',
      resolve: (row, _arguments, { fleet }) => clusterOfRow(row, fleet),
    }),
    resourceVersion: t.exposeString('resourceVersion', {
      description: 'Version of the object, to be compared for equality only.',
    }),
    generation: t.exposeFloat('generation', {
      description:
        'Number of its specification, a whole number: each change of the specification counts one up. 0 for kinds that do not count.',
    }),
    creationTimestamp: t.expose('creationTimestamp', {
      type: 'DateTime',
      description: 'When it was created.',
    }),
    deletionTimestamp: t.expose('deletionTimestamp', {
      type: 'DateTime',
      nullable: true,
      description: 'When it is to be gone at the latest; null while nobody deletes it.',
    }),
    labels: t.field({
      type: [LabelRef],
      description: 'Labels in order of their keys.',
      resolve: (row) => labelsOf(row.labels),
    }),
    label: t.string({
      nullable: true,
      description: 'Value of one label; null where the object has no such label.',
      args: { key: t.arg.string({ required: true, description: 'Key with its prefix.' }) },
      resolve: (row, { key }) => (Object.hasOwn(row.labels, key) ? (row.labels[key] ?? null) : null),
    }),
    owner: t.field({
      type: OwnerRef,
      nullable: true,
      description: 'The controller that made and keeps it; null where it has none.',
      resolve: (row) => (row.owner ? row : null),
    }),
    ownerChain: t.field({
      type: [KubernetesObject],
      description:
        'Its controllers from the nearest to the farthest: of a pod its ReplicaSet, then its Deployment. It ends where an owner is gone, not visible to you, or of a kind that the gateway does not keep.',
      resolve: (row, _arguments, { fleet }) => ownerChain(row, fleet),
    }),
    events: listField(
      t,
      eventList,
      'What components of the cluster reported about it in the last hour or so.',
      (row: Row, { fleet }) => ({ clusters: clustersOfRow(row, fleet), conditions: regarding(row) }),
    ),
    viewerCan: t.field({
      type: ViewerCanRef,
      extensions: READ_LIVE,
      description: 'What you may do with it.',
      resolve: (row, _arguments, { fleet }) => {
        fleet.reads.noteVolatile()
        return row
      },
    }),
    manifest: t.field({
      type: ManifestRef,
      extensions: READ_LIVE,
      description:
        'The whole object, read from its API server now. Loads of one request are made once per object and at most eight at a time per cluster. A cluster that does not answer is said in `error`, never as an error of the answer.',
      resolve: (row, _arguments, { loaders }) => loaders.manifest.load(row.id),
    }),
    annotations: t.field({
      type: [AnnotationRef],
      extensions: READ_LIVE,
      nullable: true,
      description:
        'Annotations in order of their keys, read from the API server now together with `manifest`; null where that failed: `manifest { error }` says why.',
      resolve: async (row, _arguments, { loaders }) => {
        const { object } = await loaders.manifest.load(row.id)
        return object && keyValues(object.metadata?.annotations ?? {})
      },
    }),
  }),
})

/** Kubelets report about their node with its name in the place of its UID, in the namespace `default`. */
function regarding(row: Row): readonly Condition<EventRow>[] {
  if (row.kind !== 'Node') {
    return [indexed('regarding', row.uid, (event) => event.regardingUid === row.uid)]
  }
  return [
    inNamespaces(['default', 'kube-system']),
    where((event) => event.regardingKind === 'Node' && event.regardingName === row.name),
  ]
}

const Rollout = builder.objectRef<WorkloadRow>('Rollout')

Rollout.implement({
  description: 'How far a workload has come with what it was asked for.',
  fields: (t) => ({
    status: t.field({
      type: RolloutStatus,
      description: 'Where it stands.',
      resolve: ({ rollout }) => rollout.status,
    }),
    reason: t.string({
      nullable: true,
      description: 'A word for a program, such as `ProgressDeadlineExceeded`; null where none is given.',
      resolve: ({ rollout }) => rollout.reason,
    }),
    message: t.string({
      nullable: true,
      description: 'A sentence for a person; null where none is given.',
      resolve: ({ rollout }) => rollout.message,
    }),
    desired: t.exposeInt('desired', { description: 'Replicas, nodes or completions asked for.' }),
    updated: t.exposeInt('updated', { description: 'Of the newest revision.' }),
    ready: t.exposeInt('ready', { description: 'Ready.' }),
    available: t.exposeInt('available', { description: 'Ready for long enough (`minReadySeconds`).' }),
  }),
})

Workload.implement({
  description: 'What runs pods: Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob.',
  interfaces: [Node, KubernetesObject],
  resolveType: (row) => typeNameOf(row.kind),
  fields: (t) => ({
    namespace: t.exposeString('namespace', { description: 'Name of its namespace.' }),
    namespaceObject: t.field({
      type: KIND_REFS.Namespace,
      nullable: true,
      description: 'Its namespace; null where that is not visible to you.',
      resolve: (row, _arguments, { fleet }) => fleet.get('Namespace', row.cluster, '', row.namespace) ?? null,
    }),
    desired: t.exposeInt('desired', {
      description:
        'What the specification asks for: replicas, nodes (DaemonSet), completions (Job); 0 for a CronJob.',
    }),
    current: t.exposeInt('current', { description: 'Pods (Jobs of a CronJob) that exist now.' }),
    ready: t.exposeInt('ready', { description: 'Pods that are ready; of a Job also those that succeeded.' }),
    updated: t.exposeInt('updated', {
      description: 'Pods of the newest revision; 0 for kinds without revisions.',
    }),
    available: t.exposeInt('available', { description: 'Pods that are ready for long enough.' }),
    observedGeneration: t.exposeFloat('observedGeneration', {
      description: 'The `generation` that its controller has seen, a whole number.',
    }),
    selector: t.string({
      nullable: true,
      description:
        "Which pods it looks after, in Kubernetes' syntax, fit for a filter's `labelSelector`. Null for a CronJob.",
      resolve: (row) => row.selector && selectorText(row.selector),
    }),
    containers: t.expose('containers', {
      type: [ContainerSpecRef],
      description: 'Containers of its template: init containers and sidecars first, then the main ones.',
    }),
    volumes: t.field({
      type: [VolumeRef],
      description: 'Volumes of its template.',
      resolve: (row) => volumesOf(row),
    }),
    conditions: t.expose('conditions', { type: [ConditionRef], description: 'Aspects of its state.' }),
    rollout: t.field({
      type: Rollout,
      description: 'How far it has come with what it was asked for.',
      resolve: (row) => row,
    }),
    cpuRequest: t.exposeFloat('cpuRequest', { description: 'Cores that one replica asks for.' }),
    memoryRequest: t.exposeFloat('memoryRequest', { description: 'Bytes that one replica asks for.' }),
    pods: listField(
      t,
      podList,
      'The pods it controls, itself or through its ReplicaSets or Jobs.',
      (row: WorkloadRow, { fleet }) => podsOf(row, fleet),
    ),
    replicaSets: t.field({
      type: [KIND_REFS.ReplicaSet],
      description:
        'Revisions of a Deployment, newest first: as many as its `revisionHistoryLimit` keeps. Empty for other kinds.',
      resolve: (row, _arguments, { fleet }) => replicaSetsOf(row, fleet),
    }),
    services: t.field({
      type: [KIND_REFS.Service],
      description: 'Services of its namespace that send traffic to its pods, in order of their names.',
      resolve: (row, _arguments, { fleet }) => servicesOf(row, fleet),
    }),
    horizontalPodAutoscaler: t.field({
      type: KIND_REFS.HorizontalPodAutoscaler,
      nullable: true,
      description: 'What sets its replicas by its load; null where nothing does.',
      resolve: (row, _arguments, { fleet }) => autoscalerOf(row, fleet) ?? null,
    }),
    topOwner: t.field({
      type: Workload,
      nullable: true,
      description:
        'The farthest workload that controls it, such as the Deployment of a ReplicaSet; else null.',
      resolve: (row, _arguments, { fleet }) => workloadOf(row, fleet) ?? null,
    }),
  }),
})
