import { afterEach, describe, expect, test } from 'vitest'
import {
  DEPLOYMENTS,
  LEASES,
  NODES,
  PODS,
  SERVICES,
  ENDPOINT_SLICES,
} from '../../../src/simulator/controllers/objects.ts'
import { conditionOf } from '../../../src/simulator/controllers/pod-template.ts'
import { byText, selecting, SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function setDown(name: string, down: boolean): void {
  cluster.change(NODES, name, {}, { annotations: down ? { 'fleetgraph.dev/simulate': 'down' } : {} })
}

function ready(name: string): string | undefined {
  return conditionOf(cluster.node(name).status?.conditions, 'Ready')?.status
}

describe('a node', () => {
  test('renews its lease every ten seconds', () => {
    cluster.after(30)
    const lease = () => String(cluster.get(LEASES, 'node-1', 'kube-node-lease').spec.renewTime)
    const first = lease()
    cluster.after(10)
    expect(Date.parse(lease()) - Date.parse(first)).toBe(10_000)
    expect(cluster.get(LEASES, 'node-1', 'kube-node-lease').metadata.ownerReferences).toMatchObject([
      { kind: 'Node', name: 'node-1' },
    ])
  })

  test('writes its status every five minutes, not with each lease', () => {
    let writes = 0
    cluster.after(60)
    cluster.registry.onCommit(({ key }) => {
      if (key.resource === 'nodes') writes++
    })
    cluster.after(1200)
    expect(writes).toBeGreaterThanOrEqual(3 * 3)
    expect(writes).toBeLessThanOrEqual(3 * 5)
  })

  test('costs one lease each ten seconds and nothing else when nothing happens', () => {
    cluster.create(DEPLOYMENTS, 'web', {
      spec: { replicas: 5, selector: selecting('web'), template: template('web') },
    })
    cluster.after(600)
    const before = cluster.registry.revision
    cluster.after(100)
    const nodeStatuses = 3
    expect(cluster.registry.revision - before).toBeLessThanOrEqual(3 * 10 + nodeStatuses)
  })

  test('that is cordoned gets the taint of it, and loses it', () => {
    cluster.change(NODES, 'node-1', { unschedulable: true })
    cluster.after(1)
    expect(cluster.node('node-1').spec?.taints).toMatchObject([
      { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' },
    ])
    cluster.change(NODES, 'node-1', { unschedulable: false })
    cluster.after(1)
    expect(cluster.node('node-1').spec?.taints).toBeUndefined()
  })

  test('that falls silent becomes Unknown, its pods not ready and out of their service', () => {
    cluster.create(SERVICES, 'web', { spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } })
    cluster.create(DEPLOYMENTS, 'web', {
      spec: { replicas: 3, selector: selecting('web'), template: template('web') },
    })
    cluster.after(30)
    setDown('node-2', true)
    cluster.after(45)
    expect(ready('node-2')).toBe('True')
    cluster.after(10)
    expect(conditionOf(cluster.node('node-2').status?.conditions, 'Ready')).toMatchObject({
      status: 'Unknown',
      reason: 'NodeStatusUnknown',
      message: 'Kubelet stopped posting node status.',
    })
    expect(cluster.node('node-2').spec?.taints?.map(({ key, effect }) => `${key}:${effect}`)).toEqual([
      'node.kubernetes.io/unreachable:NoSchedule',
      'node.kubernetes.io/unreachable:NoExecute',
    ])
    expect(cluster.readyPods()).toHaveLength(2)
    const [slice] = cluster.all(ENDPOINT_SLICES)
    const states = slice?.endpoints as { conditions: { ready: boolean } }[]
    expect(states.map(({ conditions }) => conditions.ready).toSorted(byText)).toEqual([false, true, true])
  })

  test('that stays silent loses its pods after five minutes; their successors run elsewhere', () => {
    cluster.create(DEPLOYMENTS, 'web', {
      spec: { replicas: 3, selector: selecting('web'), template: template('web') },
    })
    cluster.after(30)
    setDown('node-2', true)
    cluster.after(300)
    expect(cluster.pods()).toHaveLength(3)
    cluster.after(90)
    const lost = cluster.pods().filter(({ spec }) => spec.nodeName === 'node-2')
    expect(lost.map(({ metadata }) => metadata.deletionTimestamp !== undefined)).toEqual([true])
    expect(cluster.eventsOf(lost[0]?.metadata.name ?? '').join()).toContain('TaintManagerEviction')
    expect(cluster.readyPods().filter(({ spec }) => spec.nodeName !== 'node-2')).toHaveLength(3)
  })

  test('that comes back is Ready without taints, ends what was deleted and keeps the rest', () => {
    cluster.create(DEPLOYMENTS, 'web', {
      spec: { replicas: 3, selector: selecting('web'), template: template('web') },
    })
    cluster.after(30)
    setDown('node-2', true)
    cluster.after(100)
    setDown('node-2', false)
    cluster.after(10)
    expect(ready('node-2')).toBe('True')
    expect(cluster.node('node-2').spec?.taints).toBeUndefined()
    expect(cluster.readyPods()).toHaveLength(3)
    setDown('node-2', true)
    cluster.after(400)
    setDown('node-2', false)
    cluster.after(30)
    expect(cluster.all(PODS).filter(({ metadata }) => metadata.deletionTimestamp !== undefined)).toEqual([])
    expect(cluster.readyPods()).toHaveLength(3)
  })

  test('that is deleted takes its pods and its lease with it', () => {
    cluster.create(DEPLOYMENTS, 'web', {
      spec: { replicas: 3, selector: selecting('web'), template: template('web') },
    })
    cluster.after(30)
    cluster.delete(NODES, 'node-3')
    cluster.after(30)
    expect(cluster.readyPods()).toHaveLength(3)
    expect(cluster.pods().some(({ spec }) => spec.nodeName === 'node-3')).toBe(false)
    expect(cluster.has(LEASES, 'node-3', 'kube-node-lease')).toBe(false)
  })
})
