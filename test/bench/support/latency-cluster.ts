/**
 * The API server of the latency benchmark, a process of its own: a simulated cluster with pods, which
 * change so many times a second.
 */
import { startSimulator } from '../../../src/simulator/simulator.ts'
import type { KubeObject } from '../../../src/simulator/registry.ts'
import { syntheticPod } from './pods.ts'
import { answer } from './remote.ts'

const PODS = { group: '', resource: 'pods' }
const COUNT = 1_000

const simulator = await startSimulator({ name: 'latency', seed: 1 })
const pods = Array.from({ length: COUNT }, (_, i) => {
  const pod = { apiVersion: 'v1', kind: 'Pod', ...syntheticPod(i) } as unknown as KubeObject
  return simulator.registry.load(PODS, pod)
})

/** The same pod with another count of restarts. */
function restarted(pod: KubeObject, restartCount: number): KubeObject {
  const status = pod['status'] as { readonly containerStatuses: readonly object[] }
  const containerStatuses = status.containerStatuses.map((container) => ({ ...container, restartCount }))
  const { resourceVersion: _, ...metadata } = pod.metadata
  return { ...pod, metadata, status: { ...status, containerStatuses } } as unknown as KubeObject
}

let serial = 0

const handlers = {
  access: () => ({ url: simulator.url, token: simulator.token, kubeconfig: simulator.kubeconfig() }),
  /** Each change evenly after the last; the resourceVersions, and when each was written (`clockMs`). */
  async change({ count, perSecond }: { readonly count: number; readonly perSecond: number }) {
    const written: [resourceVersion: string, at: number][] = []
    const start = performance.now()
    while (written.length < count) {
      const due = Math.floor(((performance.now() - start) * perSecond) / 1_000)
      while (written.length < Math.min(due, count)) {
        const pod = pods[++serial % COUNT]!
        const at = clockMs()
        const { metadata } = simulator.registry.update(PODS, restarted(pod, serial), {
          subresource: 'status',
        })
        written.push([metadata.resourceVersion, at])
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    return written
  },
}
export type ClusterHandlers = typeof handlers

/** One clock for all processes of this machine. */
function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

answer(handlers)
