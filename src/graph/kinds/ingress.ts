/** Ingress: HTTP routes from outside to Services. */
import type { IngressPath, IngressRow } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { anyText, equals, TextFilter, where } from '../filters.ts'
import { linksOfIngress } from '../links.ts'
import { defineList } from '../list.ts'
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'
import { namespacedFields } from './namespaced.ts'
import { LinkRef, LoadBalancerAddressRef } from './service.ts'

placeList(
  'ingresses',
  defineList({
    name: 'Ingress',
    plural: 'Ingresses',
    kinds: ['Ingress'],
    node: KIND_REFS.Ingress,
    filter: (t) => ({
      className: t.string({ description: 'Of the ingress class of this name.' }),
      host: t.field({ type: TextFilter, description: 'By a host of its rules.' }),
      service: t.string({ description: 'Leading to the Service of this name.' }),
      tls: t.boolean({ description: 'Whether it has TLS for any host.' }),
    }),
    conditions: ({ className, host, service, tls }) => [
      ...equals<IngressRow, string | null>(className, (row) => row.className),
      ...anyText<IngressRow>(host, (row) => row.paths.flatMap((path) => path.host ?? [])),
      ...(service == null
        ? []
        : [where<IngressRow>((row) => row.paths.some(({ serviceName }) => serviceName === service))]),
      ...equals<IngressRow, boolean>(tls, (row) => row.tlsHosts.length > 0),
    ],
  }),
)

interface PathOf {
  readonly path: IngressPath
  readonly ingress: IngressRow
}

const IngressPathRef = builder.objectRef<PathOf>('IngressPath').implement({
  description: 'A route: requests for this host and path go to this Service.',
  fields: (t) => ({
    host: t.string({
      nullable: true,
      description: 'Host, which may begin with `*.`; null: any.',
      resolve: ({ path }) => path.host,
    }),
    path: t.string({ description: 'Path, such as `/api`.', resolve: ({ path }) => path.path }),
    pathType: t.string({
      description: 'How the path is compared: `Exact`, `Prefix` or `ImplementationSpecific`.',
      resolve: ({ path }) => path.pathType,
    }),
    serviceName: t.string({
      nullable: true,
      description: 'Name of the Service; null where the route leads to something else.',
      resolve: ({ path }) => path.serviceName,
    }),
    servicePort: t.string({
      nullable: true,
      description: 'Port of the Service: a number or a name, as written; null without a Service.',
      resolve: ({ path }) => path.servicePort,
    }),
    service: t.field({
      type: KIND_REFS.Service,
      nullable: true,
      description: 'The Service; null where it is missing or not visible to you.',
      resolve: ({ path, ingress }, _arguments, { fleet }) =>
        path.serviceName === null
          ? null
          : (fleet.get('Service', ingress.cluster, ingress.namespace, path.serviceName) ?? null),
    }),
  }),
})

KIND_REFS.Ingress.implement({
  description: 'An Ingress: HTTP routes from outside to Services.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    className: t.exposeString('className', {
      nullable: true,
      description: 'Name of its ingress class; null: the default one.',
    }),
    paths: t.field({
      type: [IngressPathRef],
      description: 'All its routes in the order of its rules; the default backend last.',
      resolve: (ingress) => ingress.paths.map((path) => ({ path, ingress })),
    }),
    tlsHosts: t.exposeStringList('tlsHosts', { description: 'Hosts that it has TLS for.' }),
    loadBalancer: t.expose('loadBalancer', {
      type: [LoadBalancerAddressRef],
      description: 'Addresses that it is reached at; empty until its controller gives them.',
    }),
    links: t.field({
      type: [LinkRef],
      description: 'A link for each route whose host is an address; `https` for hosts with TLS.',
      resolve: (ingress) => linksOfIngress(ingress),
    }),
  }),
})
