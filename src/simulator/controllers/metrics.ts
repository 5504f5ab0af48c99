/**
 * What a metrics server would report of a simulated cluster: usage per container and node, a steady share
 * of the requests that wanders a little with time. Nothing is kept; the same minute gives the same answer.
 * Source: `metrics.k8s.io/v1beta1`.
 */
import type { KubeObjectInput, Registry } from '../registry.ts'
import { stableHash } from './container-behaviour.ts'
import { stampOf } from './control-context.ts'
import { NODES, PODS, readAll, type Container, type Pod } from './objects.ts'
import { quantity } from './quantity.ts'

const windowSeconds = 30

export function metricsOf(
  registry: Registry,
  resource: 'nodes' | 'pods',
  namespace: string | undefined,
): readonly KubeObjectInput[] {
  const minute = Math.floor(registry.now() / 60_000)
  const common = { timestamp: stampOf(minute * 60_000), window: `${windowSeconds}s` }
  const running = (pods: readonly Pod[]) => pods.filter(({ status }) => status?.phase === 'Running')
  if (resource === 'pods') {
    return running(readAll(registry, PODS, namespace)).map((pod) => ({
      apiVersion: 'metrics.k8s.io/v1beta1',
      kind: 'PodMetrics',
      metadata: metadataOf(pod),
      ...common,
      containers: pod.spec.containers.map((container) => ({
        name: container.name,
        usage: usageText(usageOf(pod, container, minute)),
      })),
    }))
  }
  return readAll(registry, NODES).map((node) => {
    let [cpu, memory] = [0.12, 600 * 2 ** 20]
    for (const pod of running(registry.listByNode(node.metadata.name) as readonly Pod[])) {
      for (const container of pod.spec.containers) {
        const usage = usageOf(pod, container, minute)
        cpu += usage.cpu
        memory += usage.memory
      }
    }
    return {
      apiVersion: 'metrics.k8s.io/v1beta1',
      kind: 'NodeMetrics',
      metadata: metadataOf(node),
      ...common,
      usage: usageText({ cpu, memory }),
    }
  })
}

function metadataOf({ metadata }: Pick<Pod, 'metadata'>): KubeObjectInput['metadata'] {
  const { name, namespace, labels, creationTimestamp } = metadata
  return {
    name,
    creationTimestamp,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
  }
}

function usageOf(
  pod: Pod,
  { name, resources }: Container,
  minute: number,
): { readonly cpu: number; readonly memory: number } {
  const steady = stableHash(`${pod.metadata.uid}/${name}`)
  const share = 0.25 + ((steady % 100) / 100) * 0.5 + ((stableHash(`${steady}/${minute}`) % 100) / 100) * 0.1
  const cpu = quantity(resources?.requests?.['cpu']) || 0.05
  const memory = quantity(resources?.requests?.['memory']) || 64 * 2 ** 20
  return { cpu: cpu * share, memory: memory * Math.min(1, share + 0.2) }
}

function usageText({
  cpu,
  memory,
}: {
  readonly cpu: number
  readonly memory: number
}): Record<string, string> {
  return { cpu: `${Math.round(cpu * 1e9)}n`, memory: `${Math.round(memory / 1024)}Ki` }
}
