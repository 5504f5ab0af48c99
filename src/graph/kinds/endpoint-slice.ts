/** EndpointSlice: addresses behind a Service. */
import type { Endpoint, EndpointSliceRow } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { equals, where } from '../filters.ts'
import { defineList } from '../list.ts'
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'
import { namespacedFields } from './namespaced.ts'

placeList(
  'endpointSlices',
  defineList({
    name: 'EndpointSlice',
    plural: 'EndpointSlices',
    kinds: ['EndpointSlice'],
    node: KIND_REFS.EndpointSlice,
    filter: (t) => ({
      service: t.string({ description: 'Of the Service of this name.' }),
      node: t.string({ description: 'With an endpoint on the node of this name.' }),
    }),
    conditions: ({ service, node }) => [
      ...equals<EndpointSliceRow, string>(service, (row) => row.serviceName),
      ...(node == null
        ? []
        : [where<EndpointSliceRow>((row) => row.endpoints.some(({ nodeName }) => nodeName === node))]),
    ],
    order: {
      ENDPOINTS: {
        description: 'How many endpoints it has.',
        value: (row: EndpointSliceRow) => row.endpoints.length,
      },
    },
  }),
)

interface EndpointOf {
  readonly endpoint: Endpoint
  readonly slice: EndpointSliceRow
}

const EndpointRef = builder.objectRef<EndpointOf>('Endpoint').implement({
  description: 'Somebody who answers for a Service.',
  fields: (t) => ({
    addresses: t.stringList({
      description: 'Its addresses; the first is the one in use.',
      resolve: ({ endpoint }) => endpoint.addresses,
    }),
    ready: t.boolean({ description: 'Whether it gets traffic.', resolve: ({ endpoint }) => endpoint.ready }),
    nodeName: t.string({
      nullable: true,
      description: 'Name of its node; null where it is on none.',
      resolve: ({ endpoint }) => endpoint.nodeName,
    }),
    pod: t.field({
      type: KIND_REFS.Pod,
      nullable: true,
      description: 'The pod behind it; null where it is none, or gone or not visible to you.',
      resolve: ({ endpoint, slice }, _arguments, { fleet }) =>
        endpoint.targetKind === 'Pod' && endpoint.targetName !== null
          ? (fleet.get('Pod', slice.cluster, slice.namespace, endpoint.targetName) ?? null)
          : null,
    }),
  }),
})

const EndpointPortRef = builder.objectRef<EndpointSliceRow['ports'][number]>('EndpointPort').implement({
  description: 'A port of all endpoints of a slice.',
  fields: (t) => ({
    name: t.exposeString('name', { nullable: true, description: 'Name; null where it has none.' }),
    port: t.exposeInt('port', { nullable: true, description: 'Number; null: all ports.' }),
    protocol: t.exposeString('protocol', { description: '`TCP`, `UDP` or `SCTP`.' }),
  }),
})

KIND_REFS.EndpointSlice.implement({
  description: 'An EndpointSlice: some of the addresses behind a Service.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    serviceName: t.string({
      nullable: true,
      description: 'Name of the Service it belongs to; null where it belongs to none.',
      resolve: (row) => row.serviceName || null,
    }),
    service: t.field({
      type: KIND_REFS.Service,
      nullable: true,
      description: 'The Service it belongs to; null where there is none, or it is not visible to you.',
      resolve: ({ cluster, namespace, serviceName }, _arguments, { fleet }) =>
        serviceName ? (fleet.get('Service', cluster, namespace, serviceName) ?? null) : null,
    }),
    addressType: t.exposeString('addressType', { description: '`IPv4`, `IPv6` or `FQDN`.' }),
    endpoints: t.field({
      type: [EndpointRef],
      description: 'Its endpoints, at most a thousand.',
      resolve: (slice) => slice.endpoints.map((endpoint) => ({ endpoint, slice })),
    }),
    ports: t.expose('ports', { type: [EndpointPortRef], description: 'Ports of all its endpoints.' }),
  }),
})
