/**
 * EndpointSlices (and the older Endpoints) of services with a selector: the addresses of their pods, with
 * ready, serving and terminating. Source: `pkg/controller/endpointslice`, KEP-752 and KEP-1672.
 *
 * Invariant: at most a hundred endpoints a slice; a slice whose content is the same is not written.
 */
import type { Commit, KubeObject } from '../registry.ts'
import type { ControlContext, Controller } from './control-context.ts'
import {
  committed,
  ENDPOINT_SLICES,
  ENDPOINTS,
  keyOf,
  NODES,
  PODS,
  read,
  readAll,
  readOwned,
  SERVICES,
  splitKey,
  type Pod,
  type Service,
  type ServicePort,
} from './objects.ts'
import { controllerReference, isReady, isTerminal } from './pod-template.ts'
import { servesLabels } from './selector.ts'

const perSlice = 100
const perEndpoints = 1000
const SERVICE_NAME = 'kubernetes.io/service-name'
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by'

export function endpointSliceController({ registry, clock }: ControlContext): Controller {
  return {
    name: 'endpointslice',
    watches: ['services', 'pods', 'endpointslices'],
    start(enqueue) {
      for (const service of readAll(registry, SERVICES)) enqueue(keyOf(service))
    },
    observe(commit, enqueue) {
      const service = committed(commit, SERVICES)
      if (service !== undefined) return enqueue(keyOf(service.object))
      const slice = committed(commit, ENDPOINT_SLICES)
      if (slice !== undefined) {
        const name = slice.object.metadata.labels?.[SERVICE_NAME]
        if (commit.type === 'DELETED' && name !== undefined)
          enqueue(`${slice.object.metadata.namespace}/${name}`)
        return
      }
      const labels = changedLabels(commit)
      if (labels.length === 0) return
      const namespace = commit.object.metadata.namespace ?? ''
      for (const each of readAll(registry, SERVICES, namespace)) {
        if (labels.some((set) => servesLabels(each.spec.selector, set))) enqueue(keyOf(each))
      }
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const service = read(registry, SERVICES, namespace, name)
      if (service === undefined) {
        if (read(registry, ENDPOINTS, namespace, name) !== undefined)
          registry.delete(ENDPOINTS, namespace, name)
        return
      }
      if (service.spec.selector === undefined || service.spec.type === 'ExternalName') return
      if (service.metadata.deletionTimestamp !== undefined) return
      const pods = readAll(registry, PODS, namespace).filter(
        (pod) =>
          servesLabels(service.spec.selector, pod.metadata.labels) &&
          pod.status?.podIP !== undefined &&
          !isTerminal(pod),
      )
      writeSlices(service, pods)
      writeEndpoints(service, pods)
    },
  }

  function writeSlices(service: Service, pods: readonly Pod[]): void {
    const groups = byResolvedPorts(service, pods)
    const existing = [...readOwned(registry, ENDPOINT_SLICES, service.metadata.uid)].filter(
      ({ metadata }) => metadata.labels?.[MANAGED_BY] === 'endpointslice-controller.k8s.io',
    )
    for (const { ports, members } of groups) {
      for (let i = 0; i === 0 || i < members.length; i += perSlice) {
        const endpoints = members.slice(i, i + perSlice).map((pod) => endpointOf(service, pod))
        const slice = existing.shift()
        const content = { addressType: 'IPv4', endpoints, ports }
        if (slice !== undefined) registry.update(ENDPOINT_SLICES, { ...slice, ...content })
        else {
          registry.create(ENDPOINT_SLICES, {
            apiVersion: ENDPOINT_SLICES.apiVersion,
            kind: ENDPOINT_SLICES.kind,
            metadata: {
              generateName: `${service.metadata.name}-`,
              namespace: service.metadata.namespace ?? '',
              labels: {
                ...service.metadata.labels,
                [SERVICE_NAME]: service.metadata.name,
                [MANAGED_BY]: 'endpointslice-controller.k8s.io',
                ...(service.spec.clusterIP === 'None' ? { 'service.kubernetes.io/headless': '' } : {}),
              },
              annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': clock.stamp() },
              ownerReferences: [controllerReference(service, SERVICES)],
            },
            ...content,
          })
        }
      }
    }
    for (const { metadata } of existing)
      registry.delete(ENDPOINT_SLICES, metadata.namespace ?? '', metadata.name)
  }

  /** Pods whose named target ports resolve alike share slices. */
  function byResolvedPorts(
    service: Service,
    pods: readonly Pod[],
  ): readonly { readonly ports: readonly unknown[]; readonly members: readonly Pod[] }[] {
    const groups = new Map<string, { ports: readonly unknown[]; members: Pod[] }>()
    for (const pod of pods) {
      const ports = (service.spec.ports ?? []).flatMap((port) => {
        const number = targetPort(port, pod)
        return number === undefined
          ? []
          : [{ name: port.name ?? '', port: number, protocol: port.protocol ?? 'TCP' }]
      })
      const id = ports.map(({ name, port }) => `${name}=${port}`).join()
      const group = groups.get(id) ?? { ports, members: [] }
      group.members.push(pod)
      groups.set(id, group)
    }
    // A service without pods keeps one empty slice.
    return groups.size === 0 ? [{ ports: [], members: [] }] : [...groups.values()]
  }

  function endpointOf(service: Service, pod: Pod): Readonly<Record<string, unknown>> {
    const terminating = pod.metadata.deletionTimestamp !== undefined
    const serving = isReady(pod)
    const { nodeName, hostname, subdomain } = pod.spec
    const zone =
      nodeName === undefined
        ? undefined
        : read(registry, NODES, '', nodeName)?.metadata.labels?.['topology.kubernetes.io/zone']
    return {
      addresses: [pod.status?.podIP],
      conditions: {
        ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating),
        serving,
        terminating,
      },
      ...(hostname !== undefined && subdomain === service.metadata.name ? { hostname } : {}),
      ...(nodeName === undefined ? {} : { nodeName }),
      targetRef: podReference(pod),
      ...(zone === undefined ? {} : { zone }),
    }
  }

  function writeEndpoints(service: Service, pods: readonly Pod[]): void {
    const { name, namespace = '' } = service.metadata
    const ports = (service.spec.ports ?? []).flatMap((port) => {
      const [first] = pods
      const number = first === undefined ? undefined : targetPort(port, first)
      return number === undefined
        ? []
        : [
            {
              ...(port.name === undefined ? {} : { name: port.name }),
              port: number,
              protocol: port.protocol ?? 'TCP',
            },
          ]
    })
    const live = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined).slice(0, perEndpoints)
    const address = (pod: Pod) => ({
      ip: pod.status?.podIP,
      ...(pod.spec.hostname !== undefined && pod.spec.subdomain === name
        ? { hostname: pod.spec.hostname }
        : {}),
      ...(pod.spec.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
      targetRef: podReference(pod),
    })
    const publishAll = service.spec.publishNotReadyAddresses === true
    const ready = live.filter((pod) => publishAll || isReady(pod)).map(address)
    const notReady = live.filter((pod) => !publishAll && !isReady(pod)).map(address)
    const subsets =
      live.length === 0
        ? []
        : [
            {
              ...(ready.length === 0 ? {} : { addresses: ready }),
              ...(notReady.length === 0 ? {} : { notReadyAddresses: notReady }),
              ...(ports.length === 0 ? {} : { ports }),
            },
          ]
    const existing = read(registry, ENDPOINTS, namespace, name)
    const { subsets: _old, ...rest } = existing ?? ({} as Partial<KubeObject>)
    if (existing !== undefined) {
      registry.update(ENDPOINTS, {
        ...rest,
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: existing.metadata,
        ...(subsets.length === 0 ? {} : { subsets }),
      })
      return
    }
    registry.create(ENDPOINTS, {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: {
        name,
        namespace,
        labels: { ...service.metadata.labels, 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' },
        annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': clock.stamp() },
      },
      ...(subsets.length === 0 ? {} : { subsets }),
    })
  }
}

/** The label sets by which a pod's change touches services; none where it changes no endpoint. */
function changedLabels(commit: Commit): readonly (Readonly<Record<string, string>> | undefined)[] {
  const change = committed(commit, PODS)
  if (change === undefined) return []
  const { object, previous } = change
  if (commit.type !== 'MODIFIED' || previous === undefined) {
    return object.status?.podIP === undefined ? [] : [object.metadata.labels]
  }
  const relabelled = previous.metadata.labels !== object.metadata.labels
  const same =
    !relabelled &&
    previous.status?.podIP === object.status?.podIP &&
    isReady(previous) === isReady(object) &&
    isTerminal(previous) === isTerminal(object) &&
    previous.metadata.deletionTimestamp === object.metadata.deletionTimestamp
  if (same) return []
  return relabelled ? [object.metadata.labels, previous.metadata.labels] : [object.metadata.labels]
}

function targetPort(port: ServicePort, pod: Pod): number | undefined {
  const target = port.targetPort ?? port.port
  if (typeof target === 'number') return target
  for (const container of pod.spec.containers) {
    const found = container.ports?.find(({ name }) => name === target)
    if (found !== undefined) return found.containerPort
  }
  return undefined
}

function podReference({ metadata }: Pod): Readonly<Record<string, unknown>> {
  return { kind: 'Pod', namespace: metadata.namespace, name: metadata.name, uid: metadata.uid }
}
