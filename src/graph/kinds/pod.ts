/** Pod: containers that run together on a node. */
import type { PodRow } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { ContainerRef, VolumeRef, volumesOf } from '../containers.ts'
import {
  equals,
  indexed,
  oneOfIndexed,
  textTest,
  TextFilter,
  where,
  type Condition,
  type TextFilterInput,
} from '../filters.ts'
import { defineList } from '../list.ts'
import { ConditionRef } from '../metadata.ts'
import { placeChanges, placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node, Workload } from '../refs.ts'
import { claimsOf, servicesSelecting, workloadOf } from '../relations.ts'
import { namespacedFields } from './namespaced.ts'

const PodPhase = builder.enumType('PodPhase', {
  description: 'Where a pod is in its life.',
  values: {
    Pending: { description: 'Accepted, but not all containers run yet: it waits for a node or for images.' },
    Running: { description: 'On a node, and at least one container runs or starts.' },
    Succeeded: { description: 'All containers ended with success and will not run again.' },
    Failed: { description: 'All containers ended, at least one with failure.' },
    Unknown: { description: 'The node is silent.' },
  } satisfies Record<PodRow['phase'], { description: string }>,
})

/** Containers of a template share their specification, so a test is made once for each of them. */
function withImage(filter: TextFilterInput | null | undefined): readonly Condition<PodRow>[] {
  if (!filter) return []
  const test = textTest(filter)
  const matches = (row: PodRow) => row.containers.some(({ spec }) => test(spec.image))
  if (filter.equals == null) return [where(matches)]
  // The index knows the text only: what else has to hold of it is decided here.
  return [test(filter.equals) ? indexed('image', filter.equals, matches) : where(() => false)]
}

/** Pods that wait for a node are in no index. */
function onNode(name: string | null | undefined): readonly Condition<PodRow>[] {
  if (name == null) return []
  const test = (row: PodRow) => row.nodeName === name
  return [name === '' ? where(test) : indexed('node', name, test)]
}

export const podList = defineList({
  name: 'Pod',
  plural: 'pods',
  kinds: ['Pod'],
  node: KIND_REFS.Pod,
  filter: (t) => ({
    phases: t.field({ type: [PodPhase], description: 'In one of these phases.' }),
    statuses: t.stringList({
      description: 'With one of these statuses, as kubectl shows them, such as `CrashLoopBackOff`. Indexed.',
    }),
    ready: t.boolean({ description: 'Whether it is ready.' }),
    node: t.string({ description: 'On the node of this name; empty: not scheduled yet. Indexed.' }),
    image: t.field({
      type: TextFilter,
      description: 'With a container of such an image; `equals` is indexed.',
    }),
    restartsOver: t.int({ description: 'With more restarts than this, over all containers.' }),
    ip: t.string({ description: 'With this IP address.' }),
    serviceAccount: t.string({ description: 'Running as this service account.' }),
    qosClass: t.string({ description: 'Of this class: `Guaranteed`, `Burstable` or `BestEffort`.' }),
  }),
  conditions: ({ phases, statuses, ready, node, image, restartsOver, ip, serviceAccount, qosClass }) => [
    ...onNode(node),
    ...withImage(image),
    ...oneOfIndexed<PodRow>('status', statuses, (row) => row.status),
    ...oneOfIndexed<PodRow>('phase', phases, (row) => row.phase),
    ...equals<PodRow, boolean>(ready, (row) => row.ready),
    ...(restartsOver == null ? [] : [where<PodRow>((row) => row.restarts > restartsOver)]),
    ...equals<PodRow, string | null>(ip, (row) => row.podIP),
    ...equals<PodRow, string>(serviceAccount, (row) => row.serviceAccountName),
    ...equals<PodRow, string | null>(qosClass, (row) => row.qosClass),
  ],
  order: {
    RESTARTS: { description: 'Restarts of all containers.', value: (row) => row.restarts },
    LAST_RESTART: { description: 'When a container was last restarted.', value: (row) => row.lastRestartAt },
    STATUS: { description: 'Status, in the order of the alphabet.', value: (row) => row.status },
    NODE: { description: 'Name of the node.', value: (row) => row.nodeName || null },
    READY: {
      description: 'Whether it is ready: ASC shows those that are not first.',
      value: (row) => Number(row.ready),
    },
    CPU: { description: 'Cores it requests.', value: (row) => row.cpuRequest },
    MEMORY: { description: 'Bytes of memory it requests.', value: (row) => row.memoryRequest },
  },
})

placeList('pods', podList)
placeChanges('podChanges', podList)

KIND_REFS.Pod.implement({
  description: 'A pod: containers that run together on a node.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    phase: t.expose('phase', { type: PodPhase, description: 'Where it is in its life.' }),
    status: t.exposeString('status', {
      description:
        'What kubectl shows under STATUS: `Running`, `CrashLoopBackOff`, `Init:0/1`, `Terminating`…',
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why it is in its phase, such as `Evicted`; null where none is given.',
    }),
    message: t.exposeString('message', {
      nullable: true,
      description: 'A sentence for a person about its phase; null where none is given.',
    }),
    ready: t.exposeBoolean('ready', { description: 'Whether it takes traffic: its Ready condition.' }),
    readyContainers: t.exposeInt('readyContainers', { description: 'How many containers are ready.' }),
    restarts: t.exposeInt('restarts', { description: 'Restarts of all its containers together.' }),
    lastRestartAt: t.expose('lastRestartAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a container was last restarted; null if none ever was.',
    }),
    nodeName: t.string({
      nullable: true,
      description: 'Name of its node; null until it is scheduled.',
      resolve: (row) => row.nodeName || null,
    }),
    node: t.field({
      type: KIND_REFS.Node,
      nullable: true,
      description: 'Its node; null until it is scheduled, and where nodes are not visible to you.',
      resolve: (row, _arguments, { fleet }) =>
        row.nodeName === '' ? null : fleet.get('Node', row.cluster, '', row.nodeName),
    }),
    podIP: t.exposeString('podIP', {
      nullable: true,
      description: 'Its IP address in the cluster; null until it has one.',
    }),
    hostIP: t.exposeString('hostIP', {
      nullable: true,
      description: 'IP address of its node; null until it is scheduled.',
    }),
    qosClass: t.exposeString('qosClass', {
      nullable: true,
      description:
        '`Guaranteed`, `Burstable` or `BestEffort`: the order in which nodes short of memory evict, last to first.',
    }),
    serviceAccountName: t.exposeString('serviceAccountName', {
      description: 'The service account it runs as.',
    }),
    priorityClassName: t.exposeString('priorityClassName', {
      nullable: true,
      description: 'Its priority class; null where it has none.',
    }),
    startTime: t.expose('startTime', {
      type: 'DateTime',
      nullable: true,
      description: 'When its node took it on; null until then.',
    }),
    containers: t.expose('containers', {
      type: [ContainerRef],
      description:
        'Init containers and sidecars first, then the main ones, each in the order of the specification.',
    }),
    volumes: t.field({
      type: [VolumeRef],
      description: 'Its volumes, and where they come from.',
      resolve: (row) => volumesOf(row),
    }),
    conditions: t.expose('conditions', { type: [ConditionRef], description: 'Aspects of its state.' }),
    cpuRequest: t.exposeFloat('cpuRequest', {
      description: 'Cores set aside for it, as the scheduler counts them.',
    }),
    memoryRequest: t.exposeFloat('memoryRequest', {
      description: 'Bytes of memory set aside for it, as the scheduler counts them.',
    }),
    cpuLimit: t.exposeFloat('cpuLimit', { description: 'Cores it may use at most; 0: no limit.' }),
    memoryLimit: t.exposeFloat('memoryLimit', {
      description: 'Bytes of memory it may use at most; 0: no limit.',
    }),
    workload: t.field({
      type: Workload,
      nullable: true,
      description:
        'The workload that it belongs to in the end: its Deployment, not its ReplicaSet. Null for a pod that nothing controls.',
      resolve: (row, _arguments, { fleet }) => workloadOf(row, fleet) ?? null,
    }),
    services: t.field({
      type: [KIND_REFS.Service],
      description: 'Services of its namespace that select it, in order of their names.',
      resolve: (row, _arguments, { fleet }) => servicesSelecting(row, row.labels, fleet),
    }),
    persistentVolumeClaims: t.field({
      type: [KIND_REFS.PersistentVolumeClaim],
      description: 'The claims that it mounts, in the order of its volumes.',
      resolve: (row, _arguments, { fleet }) => claimsOf(row, fleet),
    }),
  }),
})
