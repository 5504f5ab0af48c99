/** Projections of Service, EndpointSlice and Ingress. */
import type {
  Endpoint,
  EndpointSliceRow,
  IngressPath,
  IngressRow,
  LoadBalancerIngress,
  ServiceRow,
} from '../rows.ts'
import {
  integer,
  integerOrNull,
  intOrText,
  isRecord,
  list,
  oneOf,
  record,
  text,
  textOrNull,
  type Json,
} from './fields.ts'
import { metadataOf } from './metadata.ts'
import { NO_LABELS, shareLabels, shareText, shareTextOrNull, shareTexts } from './shared.ts'

const SERVICE_TYPES = new Set(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const)

/** `status.loadBalancer` of Services and Ingresses. */
function loadBalancer(status: Json): readonly LoadBalancerIngress[] {
  return list(record(status['loadBalancer'])['ingress']).map((item) => {
    const ingress = record(item)
    return { ip: textOrNull(ingress['ip']), hostname: textOrNull(ingress['hostname']) }
  })
}

export function projectService(object: unknown, cluster: string): ServiceRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const selector = shareLabels(spec['selector'])
  return {
    ...metadataOf('Service', raw, cluster),
    type: oneOf(spec['type'], SERVICE_TYPES, 'ClusterIP'),
    clusterIP: text(spec['clusterIP']),
    externalIPs: shareTexts(spec['externalIPs']),
    externalName: textOrNull(spec['externalName']),
    loadBalancer: loadBalancer(record(raw['status'])),
    ports: list(spec['ports']).map((item) => {
      const port = record(item)
      return {
        name: shareTextOrNull(port['name']),
        port: integer(port['port']),
        protocol: shareText(port['protocol']) || 'TCP',
        appProtocol: shareTextOrNull(port['appProtocol']),
        targetPort: intOrText(port['targetPort']),
        nodePort: integer(port['nodePort']) || null,
      }
    }),
    // An empty map selects nothing, as a missing one does.
    selector: selector === NO_LABELS ? null : selector,
    sessionAffinity: shareText(spec['sessionAffinity']) || 'None',
  }
}

/** `discovery.k8s.io/v1`, and `v1beta1`, which has the node's name among the topology. */
export function projectEndpointSlice(object: unknown, cluster: string): EndpointSliceRow {
  const raw = record(object)
  const meta = metadataOf('EndpointSlice', raw, cluster)
  return {
    ...meta,
    serviceName: shareText(meta.labels['kubernetes.io/service-name']),
    addressType: shareText(raw['addressType']),
    endpoints: list(raw['endpoints']).map((item): Endpoint => {
      const endpoint = record(item)
      const target = record(endpoint['targetRef'])
      return {
        addresses: list(endpoint['addresses']).map(text),
        // Unknown counts as ready (API reference, `EndpointConditions`).
        ready: record(endpoint['conditions'])['ready'] !== false,
        nodeName:
          shareTextOrNull(endpoint['nodeName']) ??
          shareTextOrNull(record(endpoint['topology'])['kubernetes.io/hostname']),
        targetKind: shareTextOrNull(target['kind']),
        targetName: textOrNull(target['name']),
      }
    }),
    ports: list(raw['ports']).map((item) => {
      const port = record(item)
      return {
        name: shareTextOrNull(port['name']),
        port: integerOrNull(port['port']),
        protocol: shareText(port['protocol']) || 'TCP',
      }
    }),
  }
}

/** A backend in either form: `service.{name,port}` of `v1`, or `serviceName`/`servicePort` of `v1beta1`. */
function backend(value: unknown): Pick<IngressPath, 'serviceName' | 'servicePort'> {
  const raw = record(value)
  if (isRecord(raw['service'])) {
    const port = record(raw['service']['port'])
    return {
      serviceName: textOrNull(raw['service']['name']),
      servicePort: intOrText(port['number']) ?? textOrNull(port['name']),
    }
  }
  return { serviceName: textOrNull(raw['serviceName']), servicePort: intOrText(raw['servicePort']) }
}

/** `networking.k8s.io/v1` and `v1beta1`. */
export function projectIngress(object: unknown, cluster: string): IngressRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const paths: IngressPath[] = []
  for (const item of list(spec['rules'])) {
    const rule = record(item)
    for (const entry of list(record(rule['http'])['paths'])) {
      const path = record(entry)
      paths.push({
        host: textOrNull(rule['host']),
        path: text(path['path']) || '/',
        pathType: shareText(path['pathType']) || 'ImplementationSpecific',
        ...backend(path['backend']),
      })
    }
  }
  const fallback = spec['defaultBackend'] ?? spec['backend']
  if (isRecord(fallback)) {
    paths.push({ host: null, path: '/', pathType: 'ImplementationSpecific', ...backend(fallback) })
  }
  const annotations = record(record(raw['metadata'])['annotations'])
  return {
    ...metadataOf('Ingress', raw, cluster),
    className:
      shareTextOrNull(spec['ingressClassName']) ??
      shareTextOrNull(annotations['kubernetes.io/ingress.class']),
    paths,
    tlsHosts: list(spec['tls']).flatMap((tls) => list(record(tls)['hosts']).map(text)),
    loadBalancer: loadBalancer(record(raw['status'])),
  }
}
