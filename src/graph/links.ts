/**
 * Ready-made links to a Service from outside of its cluster. What kind of protocol a port speaks cannot
 * be known: each TCP port is taken for HTTP, and for HTTPS where it is 443 or says so by `appProtocol`
 * or its name. A link says where it leads, not that somebody answers.
 */
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type {
  IngressPath,
  IngressRow,
  LoadBalancerIngress,
  ServicePort,
  ServiceRow,
} from '../kubernetes/rows.ts'
import { ingressesTo } from './relations.ts'

export const LINK_KINDS = {
  INGRESS: 'A route of an Ingress.',
  LOAD_BALANCER: 'An address of the load balancer.',
  EXTERNAL_IP: 'One of `spec.externalIPs`.',
  NODE_PORT: 'A port on a node.',
  EXTERNAL_NAME: 'The name that an ExternalName Service stands for.',
} as const

type LinkKind = keyof typeof LINK_KINDS

export interface Link {
  readonly kind: LinkKind
  readonly url: string
  /** Port of the Service that it leads to; `null` where it is not known. */
  readonly port: ServicePort | null
  readonly ingress: IngressRow | null
}

/** How many nodes a NodePort Service is linked on. */
const NODES = 3

/** Ingress first, then load balancer, external IPs and nodes, each in the order of the ports. */
export function linksOf(row: ServiceRow, fleet: AuthorizedFleet): readonly Link[] {
  const hosts: { readonly kind: LinkKind; readonly host: string }[] = [
    ...row.loadBalancer.flatMap((ingress) => addressOf(ingress, 'LOAD_BALANCER')),
    ...row.externalIPs.map((host) => ({ kind: 'EXTERNAL_IP' as const, host })),
  ]
  return [
    ...ingressesTo(row, fleet).flatMap((ingress) => linksOfIngress(ingress, row)),
    ...hosts.flatMap(({ kind, host }) =>
      row.ports
        .filter(isTcp)
        .map((port) => ({ kind, port, ingress: null, url: urlOf(port, host, port.port) })),
    ),
    ...(row.type === 'NodePort' ? nodeLinks(row, fleet) : []),
    ...(row.type === 'ExternalName' ? externalNameLinks(row) : []),
  ]
}

/** `service` narrows them to the paths that lead to it. */
export function linksOfIngress(ingress: IngressRow, service?: ServiceRow): readonly Link[] {
  const links = ingress.paths
    .filter((path) => !service || path.serviceName === service.name)
    .flatMap((path) =>
      hostsOf(path, ingress).map((host) => ({
        kind: 'INGRESS' as const,
        url: `${isTls(path.host, ingress) ? 'https' : 'http'}://${bracketed(host)}${path.path.startsWith('/') ? path.path : `/${path.path}`}`,
        port: service ? portOf(path, service) : null,
        ingress,
      })),
    )
  const seen = new Set<string>()
  return links.filter(({ url }) => !seen.has(url) && seen.add(url))
}

/** A wildcard is no address; a rule without a host answers at the load balancer's. */
function hostsOf({ host }: IngressPath, ingress: IngressRow): readonly string[] {
  if (host !== null) return host.startsWith('*') ? [] : [host]
  return ingress.loadBalancer.flatMap((address) => address.hostname ?? address.ip ?? [])
}

function isTls(host: string | null, { tlsHosts }: IngressRow): boolean {
  if (host === null) return false
  const wildcard = `*${host.slice(host.indexOf('.'))}`
  return tlsHosts.includes(host) || tlsHosts.includes(wildcard)
}

function portOf({ servicePort }: IngressPath, { ports }: ServiceRow): ServicePort | null {
  return ports.find((port) => port.name === servicePort || String(port.port) === servicePort) ?? null
}

function nodeLinks(row: ServiceRow, fleet: AuthorizedFleet): readonly Link[] {
  const nodes = fleet.related('Node', row.cluster, (table) => table.rows())
  const addresses = nodes
    .filter((node) => node.ready === 'True')
    .flatMap((node) => {
      const of = (type: string) => node.addresses.find((address) => address.type === type)?.address
      return of('ExternalIP') ?? of('InternalIP') ?? []
    })
  return addresses.slice(0, NODES).flatMap((host) =>
    row.ports
      .filter((port) => isTcp(port) && port.nodePort !== null)
      .map((port) => ({
        kind: 'NODE_PORT' as const,
        port,
        ingress: null,
        url: urlOf(port, host, port.nodePort!),
      })),
  )
}

function externalNameLinks({ externalName, ports }: ServiceRow): readonly Link[] {
  if (!externalName) return []
  const kind = 'EXTERNAL_NAME' as const
  if (ports.length === 0) return [{ kind, port: null, ingress: null, url: `http://${externalName}` }]
  return ports
    .filter(isTcp)
    .map((port) => ({ kind, port, ingress: null, url: urlOf(port, externalName, port.port) }))
}

function addressOf({ ip, hostname }: LoadBalancerIngress, kind: LinkKind) {
  const host = hostname ?? ip
  return host ? [{ kind, host }] : []
}

function urlOf(port: ServicePort, host: string, number: number): string {
  return `${isHttps(port) ? 'https' : 'http'}://${bracketed(host)}:${number}`
}

function isTcp({ protocol }: ServicePort): boolean {
  return protocol === 'TCP'
}

function isHttps({ port, appProtocol, name }: ServicePort): boolean {
  return port === 443 || appProtocol?.toLowerCase() === 'https' || /^https(-|$)/.test(name ?? '')
}

/** IPv6 addresses stand in brackets (RFC 3986). */
function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
