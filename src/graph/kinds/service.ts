/** Service: one address for a set of pods, what stands behind it, and how it is reached from outside. */
import type { LoadBalancerIngress, ServicePort, ServiceRow } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { equals, oneOf, where } from '../filters.ts'
import { LINK_KINDS, linksOf, type Link } from '../links.ts'
import { defineList, listField } from '../list.ts'
import { LabelRef, labelsOf } from '../metadata.ts'
import { placeChanges, placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node, Workload } from '../refs.ts'
import { ingressesTo, podsBehind, workloadsBehind } from '../relations.ts'
import { namespacedFields } from './namespaced.ts'
import { podList } from './pod.ts'

export const ServiceType = builder.enumType('ServiceType', {
  description: 'How far a Service reaches.',
  values: {
    ClusterIP: { description: 'Inside of the cluster.' },
    NodePort: { description: 'Also at a port of each node.' },
    LoadBalancer: { description: 'Also at the address of a load balancer.' },
    ExternalName: { description: 'It is a name for something outside of the cluster.' },
  } satisfies Record<ServiceRow['type'], { description: string }>,
})

const ServicePortRef = builder.objectRef<ServicePort>('ServicePort').implement({
  description: 'A port of a Service.',
  fields: (t) => ({
    name: t.exposeString('name', { nullable: true, description: 'Name; null where it has none.' }),
    port: t.exposeInt('port', { description: 'Port of the Service.' }),
    protocol: t.exposeString('protocol', { description: '`TCP`, `UDP` or `SCTP`.' }),
    appProtocol: t.exposeString('appProtocol', {
      nullable: true,
      description:
        'What is spoken on it, such as `https` or `kubernetes.io/h2c`; null where it does not say.',
    }),
    targetPort: t.exposeString('targetPort', {
      nullable: true,
      description:
        "Port of the pods: a number or the name of a container's port, as written; null: the same.",
    }),
    nodePort: t.exposeInt('nodePort', {
      nullable: true,
      description: 'Port of each node; null where it has none.',
    }),
  }),
})

export const LoadBalancerAddressRef = builder
  .objectRef<LoadBalancerIngress>('LoadBalancerAddress')
  .implement({
    description: 'An address of a load balancer: an IP address, a host name, or both.',
    fields: (t) => ({
      ip: t.exposeString('ip', { nullable: true, description: 'IP address; null where it has only a name.' }),
      hostname: t.exposeString('hostname', {
        nullable: true,
        description: 'Host name; null where it has only an IP address.',
      }),
    }),
  })

const LinkKindEnum = builder.enumType('LinkKind', {
  description: 'Where a link leads through.',
  values: Object.fromEntries(
    Object.entries(LINK_KINDS).map(([kind, description]) => [kind, { description, value: kind }]),
  ),
})

export const LinkRef = builder.objectRef<Link>('Link').implement({
  description:
    'A ready-made link from outside of the cluster. It says where something is offered, not that it answers, nor that it speaks HTTP.',
  fields: (t) => ({
    url: t.exposeString('url', {
      description:
        'Such as `http://203.0.113.7:80`: `https` for port 443, `appProtocol: https`, a port named `https`, and hosts that an Ingress has TLS for.',
    }),
    kind: t.field({
      type: LinkKindEnum,
      description: 'Where it leads through.',
      resolve: ({ kind }) => kind as never,
    }),
    port: t.expose('port', {
      type: ServicePortRef,
      nullable: true,
      description: 'The port of the Service behind it; null where it is not known.',
    }),
    ingress: t.expose('ingress', {
      type: KIND_REFS.Ingress,
      nullable: true,
      description: 'The Ingress that it leads through; null for other links.',
    }),
  }),
})

const serviceList = defineList({
  name: 'Service',
  plural: 'services',
  kinds: ['Service'],
  node: KIND_REFS.Service,
  filter: (t) => ({
    types: t.field({ type: [ServiceType], description: 'Of these types.' }),
    port: t.int({ description: 'With this port.' }),
    clusterIP: t.string({ description: 'With this address in the cluster; `None`: headless ones.' }),
  }),
  conditions: ({ types, port, clusterIP }) => [
    ...oneOf<ServiceRow, string>(types, (row) => row.type),
    ...(port == null
      ? []
      : [where<ServiceRow>((row) => row.ports.some((candidate) => candidate.port === port))]),
    ...equals<ServiceRow, string>(clusterIP, (row) => row.clusterIP),
  ],
  order: {
    TYPE: { description: 'Type, in the order of the alphabet.', value: (row: ServiceRow) => row.type },
  },
})

placeList('services', serviceList)
placeChanges('serviceChanges', serviceList)

KIND_REFS.Service.implement({
  description: 'A Service: one address for a set of pods.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    type: t.expose('type', { type: ServiceType, description: 'How far it reaches.' }),
    clusterIP: t.string({
      nullable: true,
      description: 'Its address in the cluster; `None` for a headless one, null where it has none.',
      resolve: (row) => row.clusterIP || null,
    }),
    dnsName: t.string({
      description: 'Its name in the cluster: `<name>.<namespace>.svc`.',
      resolve: ({ name, namespace }) => `${name}.${namespace}.svc`,
    }),
    externalIPs: t.exposeStringList('externalIPs', {
      description: 'Addresses that somebody else leads to the nodes.',
    }),
    externalName: t.exposeString('externalName', {
      nullable: true,
      description: 'What an ExternalName Service stands for; null for other types.',
    }),
    loadBalancer: t.expose('loadBalancer', {
      type: [LoadBalancerAddressRef],
      description: 'Addresses of its load balancer; empty until it has one.',
    }),
    ports: t.expose('ports', { type: [ServicePortRef], description: 'Its ports.' }),
    selector: t.field({
      type: [LabelRef],
      nullable: true,
      description:
        'Labels that a pod behind it has, in order of their keys; null where its endpoints are managed by hand.',
      resolve: ({ selector }) => selector && labelsOf(selector),
    }),
    sessionAffinity: t.exposeString('sessionAffinity', { description: '`None` or `ClientIP`.' }),
    pods: listField(t, podList, 'The pods that its selector matches.', (row: ServiceRow, { fleet }) =>
      podsBehind(row, fleet),
    ),
    endpointSlices: t.field({
      type: [KIND_REFS.EndpointSlice],
      description: 'Its EndpointSlices, in order of their names: one for about a hundred endpoints.',
      resolve: (row, _arguments, { fleet }) =>
        fleet.related('EndpointSlice', row.cluster, (table) =>
          table.byIndex('service', `${row.namespace}/${row.name}`),
        ),
    }),
    workloads: t.field({
      type: [Workload],
      description:
        'Workloads of the pods behind it, each once: a Deployment, not its ReplicaSets. Costs by the pods behind it.',
      resolve: (row, _arguments, { fleet }) => workloadsBehind(row, fleet),
    }),
    ingresses: t.field({
      type: [KIND_REFS.Ingress],
      description: 'Ingresses of its namespace that lead to it, in order of their names.',
      resolve: (row, _arguments, { fleet }) => ingressesTo(row, fleet),
    }),
    links: t.field({
      type: [LinkRef],
      description:
        'Links from outside of the cluster: through Ingresses, then by load balancer, external IPs, at most three ready nodes, or the external name. Empty where it is reached from inside only.',
      resolve: (row, _arguments, { fleet }) => linksOf(row, fleet),
    }),
  }),
})
