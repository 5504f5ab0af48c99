/**
 * A Service in front of a workload's pods, and an Ingress in front of the Service, from what `expose` is asked for:
 * applied on the server's side, the Service first. As in `deploy.ts`, what was not asked for is not in them.
 */
import { isIP } from 'node:net'
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { dnsLabel, dnsLabel1035, dnsSubdomain, qualifiedName, quoted } from '../names.ts'
import {
  annotations,
  distinct,
  fields,
  given,
  labels,
  listOf,
  MANAGED_BY,
  named,
  portName,
  portNumber,
  refuse,
} from './checks.ts'
import type { ExposeSpec, ExposeTarget, IngressSpec, ServicePortSpec } from './expose-spec.ts'

export interface ComposedExposure {
  readonly service: KubernetesJson
  readonly ingress: KubernetesJson | null
}

/** `target`: the workload as it is in this cluster; `null` for an ExternalName, which has none. */
export function composeExposure(spec: ExposeSpec, target: ExposeTarget | null): ComposedExposure {
  const namespace = named('namespace', spec.namespace, dnsLabel)
  const name = named('name', spec.name, dnsLabel1035)
  const own = labels('labels', spec.labels)
  const metadata = {
    namespace,
    labels: { ...own, ...MANAGED_BY },
  }
  const ports = composePorts(spec, target)
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: fields({ name, ...metadata, annotations: annotations('annotations', spec.annotations) }),
    spec: composeService(spec, target, ports),
  }
  const { ingress } = spec
  return {
    service,
    ingress: given(ingress)
      ? {
          apiVersion: 'networking.k8s.io/v1',
          kind: 'Ingress',
          metadata: fields({
            name: named('ingress.name', ingress.name ?? name, dnsSubdomain),
            ...metadata,
            annotations: annotations('ingress.annotations', ingress.annotations),
          }),
          spec: composeIngress(ingress, name, ports),
        }
      : null,
  }
}

/** Arguments that only some types of Service have. */
const TYPES_OF = {
  headless: ['ClusterIP'],
  externalName: ['ExternalName'],
  loadBalancerClass: ['LoadBalancer'],
  loadBalancerSourceRanges: ['LoadBalancer'],
  externalTrafficPolicy: ['NodePort', 'LoadBalancer'],
  sessionAffinity: ['ClusterIP', 'NodePort', 'LoadBalancer'],
} as const

function composeService(spec: ExposeSpec, target: ExposeTarget | null, ports: readonly Port[]) {
  const type = spec.type ?? 'ClusterIP'
  for (const [key, types] of Object.entries(TYPES_OF)) {
    const isOf: readonly string[] = types
    const value = spec[key as keyof typeof TYPES_OF]
    if (!given(value) || value === false || isOf.includes(type)) continue
    refuse(key, `a Service of the type ${type} has none: leave it out, or use ${isOf.join(' or ')}.`)
  }
  const common = { type, ports: ports.length > 0 ? ports.map(({ port }) => port) : undefined }
  if (type === 'ExternalName') {
    if (!spec.externalName) refuse('externalName', 'a Service of the type ExternalName needs one.')
    return fields({ ...common, externalName: named('externalName', spec.externalName, dnsSubdomain) })
  }
  return fields({
    ...common,
    clusterIP: spec.headless ? 'None' : undefined,
    selector: selectorOf(target),
    loadBalancerClass: given(spec.loadBalancerClass)
      ? named('loadBalancerClass', spec.loadBalancerClass, qualifiedName)
      : undefined,
    loadBalancerSourceRanges: listOf(spec.loadBalancerSourceRanges, (range, index) =>
      named(`loadBalancerSourceRanges[${index}]`, range, cidr),
    ),
    externalTrafficPolicy: spec.externalTrafficPolicy,
    sessionAffinity: spec.sessionAffinity,
  })
}

/** A Service knows equality only. */
function selectorOf(target: ExposeTarget | null): Readonly<Record<string, string>> {
  if (!target?.selector) {
    return refuse('name', 'there is no workload behind it that selects pods: a CronJob, for one, does not.')
  }
  const { matchLabels, matchExpressions } = target.selector
  if (matchExpressions.length > 0) {
    refuse(
      'name',
      'the workload selects its pods by `matchExpressions`, which a Service cannot: apply a Service as a manifest, with labels that only these pods have.',
    )
  }
  if (Object.keys(matchLabels).length === 0) {
    refuse('name', 'the workload selects its pods by no label, and a Service needs one.')
  }
  return { ...matchLabels }
}

interface Port {
  readonly port: Record<string, unknown>
  readonly number: number
  readonly name: string | null
}

function composePorts(spec: ExposeSpec, target: ExposeTarget | null): readonly Port[] {
  const type = spec.type ?? 'ClusterIP'
  const asked = spec.ports ?? []
  if (asked.length === 0) {
    if (type === 'ExternalName') return []
    const declared = declaredPorts(target)
    if (declared.length > 0 || spec.headless) return declared
    return refuse('ports', 'the containers of the workload declare no ports: name the ports to expose.')
  }
  const made = asked.map((port, index) => composePort(`ports[${index}]`, port, type, asked.length > 1))
  const place = (index: number) => `ports[${index}]`
  distinct(
    place,
    made.map(({ port, number }) => `${number}/${String(port['protocol'])}`),
    'the port',
  )
  distinct(
    (index) => `${place(index)}.name`,
    made.map(({ name }, index) => name ?? `#${index}`),
    'the name',
  )
  distinct(
    (index) => `${place(index)}.nodePort`,
    asked.map(({ nodePort, protocol }, index) =>
      given(nodePort) ? `${nodePort}/${protocol ?? 'TCP'}` : `#${index}`,
    ),
    'the port of nodes',
  )
  return made
}

function declaredPorts(target: ExposeTarget | null): readonly Port[] {
  const made = new Map<string, Port>()
  const names = new Set<string>()
  for (const { name, containerPort, protocol } of target?.ports ?? []) {
    const key = `${protocol.toLowerCase()}-${containerPort}`
    if (made.has(key)) continue
    const unique = name !== null && !names.has(name) ? name : key
    names.add(unique)
    made.set(key, {
      port: { name: unique, port: containerPort, targetPort: containerPort, protocol },
      number: containerPort,
      name: unique,
    })
  }
  return [...made.values()]
}

function composePort(argument: string, spec: ServicePortSpec, type: string, isOneOfSeveral: boolean): Port {
  const { targetPort, nodePort, appProtocol } = spec
  if (isOneOfSeveral && !spec.name) refuse(`${argument}.name`, 'each of several ports needs a name.')
  if (given(nodePort) && type !== 'NodePort' && type !== 'LoadBalancer') {
    refuse(`${argument}.nodePort`, `a Service of the type ${type} has none: use NodePort or LoadBalancer.`)
  }
  const name = spec.name ? named(`${argument}.name`, spec.name, dnsLabel) : null
  const number = portNumber(`${argument}.port`, spec.port)
  const target =
    typeof targetPort === 'number'
      ? portNumber(`${argument}.targetPort`, targetPort)
      : targetPort && named(`${argument}.targetPort`, targetPort, portName)
  return {
    name,
    number,
    port: fields({
      name,
      port: number,
      targetPort: target || undefined,
      protocol: spec.protocol ?? 'TCP',
      nodePort: given(nodePort) ? portNumber(`${argument}.nodePort`, nodePort) : undefined,
      appProtocol: appProtocol ? named(`${argument}.appProtocol`, appProtocol, qualifiedName) : undefined,
    }),
  }
}

function composeIngress(spec: IngressSpec, service: string, ports: readonly Port[]) {
  const { servicePort } = spec
  const port =
    given(servicePort) && servicePort !== ''
      ? ports.find(({ number, name }) => name === servicePort || number === Number(servicePort))
      : ports[0]
  if (!port) {
    refuse(
      'ingress.servicePort',
      given(servicePort)
        ? `${quoted(String(servicePort))} is none of the Service's ports.`
        : 'the Service has no port that an Ingress could lead to: name one in `ports`.',
    )
  }
  const host = spec.host ? named('ingress.host', spec.host, hostName) : undefined
  const pathType = spec.pathType ?? 'Prefix'
  const path = spec.path || '/'
  if (!path.startsWith('/') || (pathType !== 'ImplementationSpecific' && !isPlainPath(path))) {
    refuse(
      'ingress.path',
      `${quoted(path)} is no path: it begins with \`/\`, and has no \`//\`, \`/./\`, \`/../\` or \`%2f\` in it.`,
    )
  }
  const tlsSecret = spec.tlsSecret ? named('ingress.tlsSecret', spec.tlsSecret, dnsSubdomain) : undefined
  const backend = { service: { name: service, port: { number: port.number } } }
  return fields({
    ingressClassName: spec.className ? named('ingress.className', spec.className, dnsSubdomain) : undefined,
    rules: [fields({ host, http: { paths: [{ path, pathType, backend }] } })],
    tls: tlsSecret ? [fields({ hosts: host ? [host] : undefined, secretName: tlsSecret })] : undefined,
  })
}

function isPlainPath(path: string): boolean {
  return !/\/\/|\/\.{1,2}(?:\/|$)|%2f/i.test(path)
}

function hostName(host: string): string | null {
  if (/^[\d.]+$/.test(host)) return 'is an address: write a DNS name'
  return dnsSubdomain(host.startsWith('*.') ? host.slice(2) : host)
}

function cidr(range: string): string | null {
  const [address = '', bits = '', ...rest] = range.split('/')
  const family = isIP(address)
  const isOne = family !== 0 && rest.length === 0 && /^(?:0|[1-9]\d{0,2})$/.test(bits)
  return isOne && !address.includes('%') && Number(bits) <= (family === 4 ? 32 : 128)
    ? null
    : 'is no range of addresses: write it as `203.0.113.0/24`'
}
