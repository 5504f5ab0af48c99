/** ClusterNode: a machine of a cluster. Kubernetes calls it Node; `Node` is Relay's interface here. */
import type { AuthorizedFleet } from '../../access/authorized-fleet.ts'
import type { NodeRow, PodRow, Taint } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { ConditionStatus } from '../enums.ts'
import { anyText, equals, indexed, text, TextFilter, where } from '../filters.ts'
import { defineList, listField } from '../list.ts'
import { ConditionRef } from '../metadata.ts'
import { placeChanges, placeList } from '../place.ts'
import { ResourcesRef, total } from '../quantities.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'
import { clustersOfRow } from '../relations.ts'
import { podList } from './pod.ts'

const nodeList = defineList({
  name: 'ClusterNode',
  plural: 'nodes',
  kinds: ['Node'],
  node: KIND_REFS.Node,
  namespaced: false,
  filter: (t) => ({
    ready: t.boolean({
      description: 'Whether its kubelet says that it can run pods; an unknown state is not ready.',
    }),
    schedulable: t.boolean({ description: 'Whether new pods may come: false after `kubectl cordon`.' }),
    roles: t.stringList({ description: 'With one of these roles, such as `control-plane`.' }),
    taintKey: t.string({ description: 'With a taint of this key.' }),
    architecture: t.string({ description: 'Of this architecture, such as `arm64`.' }),
    operatingSystem: t.string({ description: 'With this operating system: `linux` or `windows`.' }),
    kubeletVersion: t.field({
      type: TextFilter,
      description: 'By the version of its kubelet, such as `v1.34.1`.',
    }),
    address: t.field({ type: TextFilter, description: 'By one of its addresses or host names.' }),
  }),
  conditions: (filter) => [
    ...equals<NodeRow, boolean>(filter.ready, (row) => row.ready === 'True'),
    ...equals<NodeRow, boolean>(filter.schedulable, (row) => !row.unschedulable),
    ...(filter.roles == null
      ? []
      : [where<NodeRow>((row) => row.roles.some((role) => filter.roles!.includes(role)))]),
    ...(filter.taintKey == null
      ? []
      : [where<NodeRow>((row) => row.taints.some(({ key }) => key === filter.taintKey))]),
    ...equals<NodeRow, string>(filter.architecture, (row) => row.architecture),
    ...equals<NodeRow, string>(filter.operatingSystem, (row) => row.operatingSystem),
    ...text<NodeRow>(filter.kubeletVersion, (row) => row.kubeletVersion),
    ...anyText<NodeRow>(filter.address, (row) => row.addresses.map(({ address }) => address)),
  ],
  order: {
    READY: {
      description: 'Whether it is ready: ASC shows those that are not first.',
      value: (row: NodeRow) => Number(row.ready === 'True'),
    },
    CPU: { description: 'Cores that pods can have.', value: (row) => row.allocatable['cpu']?.value ?? null },
    MEMORY: {
      description: 'Bytes of memory that pods can have.',
      value: (row) => row.allocatable['memory']?.value ?? null,
    },
    VERSION: {
      description: 'Version of its kubelet, in the order of the alphabet.',
      value: (row) => row.kubeletVersion,
    },
  },
})

placeList('nodes', nodeList)
placeChanges('nodeChanges', nodeList)

const TaintRef = builder.objectRef<Taint>('Taint').implement({
  description: 'Keeps pods that do not tolerate it away from a node.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Key.' }),
    value: t.exposeString('value', { nullable: true, description: 'Value; null where it has none.' }),
    effect: t.exposeString('effect', {
      description: '`NoSchedule`, `PreferNoSchedule` or `NoExecute`.',
    }),
  }),
})

const NodeAddressRef = builder.objectRef<NodeRow['addresses'][number]>('NodeAddress').implement({
  description: 'How a node is reached.',
  fields: (t) => ({
    type: t.exposeString('type', {
      description: '`InternalIP`, `ExternalIP`, `Hostname`, `InternalDNS` or `ExternalDNS`.',
    }),
    address: t.exposeString('address', { description: 'IP address or name.' }),
  }),
})

interface Requested {
  readonly cpu: number
  readonly memory: number
  readonly pods: number
}

function requestedOn(row: NodeRow, fleet: AuthorizedFleet): Requested {
  let cpu = 0
  let memory = 0
  let pods = 0
  for (const pod of fleet.related('Pod', row.cluster, (table) => table.byIndex('node', row.name))) {
    if (pod.phase === 'Succeeded' || pod.phase === 'Failed') continue
    cpu += pod.cpuRequest
    memory += pod.memoryRequest
    pods++
  }
  return { cpu: total(cpu), memory: total(memory), pods }
}

const RequestedRef = builder.objectRef<Requested>('NodeRequested').implement({
  description:
    'What the pods of a node that have not ended set aside together. Counted over the pods that you may see.',
  fields: (t) => ({
    cpu: t.exposeFloat('cpu', { description: 'Cores.' }),
    memory: t.exposeFloat('memory', { description: 'Bytes of memory.' }),
    pods: t.exposeInt('pods', { description: 'Number of pods.' }),
  }),
})

KIND_REFS.Node.implement({
  description: 'A machine of a cluster. Kubernetes calls it Node; `Node` is the interface of Relay here.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ready: t.expose('ready', {
      type: ConditionStatus,
      description: 'Whether it can run pods; `Unknown` when its kubelet is silent.',
    }),
    unschedulable: t.exposeBoolean('unschedulable', {
      description: 'Whether new pods are kept away: true after `kubectl cordon`.',
    }),
    roles: t.exposeStringList('roles', {
      description: 'Roles in the order of the alphabet, such as `control-plane`.',
    }),
    taints: t.expose('taints', { type: [TaintRef], description: 'What keeps pods away from it.' }),
    addresses: t.expose('addresses', { type: [NodeAddressRef], description: 'How it is reached.' }),
    capacity: t.expose('capacity', { type: ResourcesRef, description: 'What the machine has.' }),
    allocatable: t.expose('allocatable', { type: ResourcesRef, description: 'What pods can have of it.' }),
    requested: t.field({
      type: RequestedRef,
      description: 'What its pods set aside. Costs by the pods of the node.',
      resolve: (row, _arguments, { fleet }) => requestedOn(row, fleet),
    }),
    conditions: t.expose('conditions', { type: [ConditionRef], description: 'Aspects of its state.' }),
    podCIDR: t.exposeString('podCIDR', {
      nullable: true,
      description: 'Range of the addresses of its pods; null where the cluster does not give one.',
    }),
    providerID: t.exposeString('providerID', {
      nullable: true,
      description: 'What the cloud calls the machine; null without one.',
    }),
    kubeletVersion: t.exposeString('kubeletVersion', {
      description: 'Version of its kubelet, such as `v1.34.1`.',
    }),
    containerRuntimeVersion: t.exposeString('containerRuntimeVersion', {
      description: 'Such as `containerd://2.1.0`.',
    }),
    kernelVersion: t.exposeString('kernelVersion', { description: 'Version of its kernel.' }),
    osImage: t.exposeString('osImage', {
      description: 'Name of its operating system, such as `Debian GNU/Linux 12`.',
    }),
    operatingSystem: t.exposeString('operatingSystem', { description: '`linux` or `windows`.' }),
    architecture: t.exposeString('architecture', { description: 'Such as `amd64` or `arm64`.' }),
    pods: listField(t, podList, 'The pods on it.', (row: NodeRow, { fleet }) => ({
      clusters: clustersOfRow(row, fleet),
      conditions: [indexed<PodRow>('node', row.name, (pod) => pod.nodeName === row.name)],
    })),
  }),
})
