import { afterEach, describe, expect, test } from 'vitest'
import { DAEMON_SETS, NODES, PODS } from '../../../src/simulator/controllers/objects.ts'
import { byText, selecting, SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function agent(podSpec: object = {}, spec: object = {}): void {
  cluster.create(DAEMON_SETS, 'agent', {
    spec: { selector: selecting('agent'), template: template('agent', {}, podSpec), ...spec },
  })
}

function places(): readonly (string | undefined)[] {
  return cluster
    .pods()
    .map(({ spec }) => spec.nodeName)
    .toSorted(byText)
}

describe('a DaemonSet', () => {
  test('runs one pod on every node, also on one that comes later', () => {
    agent()
    cluster.after(20)
    expect(places()).toEqual(['node-1', 'node-2', 'node-3'])
    cluster.addNode('node-4')
    cluster.after(20)
    expect(places()).toEqual(['node-1', 'node-2', 'node-3', 'node-4'])
    expect(cluster.get(DAEMON_SETS, 'agent').status).toEqual({
      currentNumberScheduled: 4,
      desiredNumberScheduled: 4,
      numberAvailable: 4,
      numberMisscheduled: 0,
      numberReady: 4,
      observedGeneration: 1,
      updatedNumberScheduled: 4,
    })
  })

  test('keeps to the nodes that its selector names, and leaves one that loses the label', () => {
    cluster.change(NODES, 'node-2', {}, { labels: { 'kubernetes.io/hostname': 'node-2', disk: 'ssd' } })
    agent({ nodeSelector: { disk: 'ssd' } })
    cluster.after(20)
    expect(places()).toEqual(['node-2'])
    cluster.change(NODES, 'node-2', {}, { labels: { 'kubernetes.io/hostname': 'node-2' } })
    cluster.after(20)
    expect(places()).toEqual([])
  })

  test('keeps off tainted nodes that it does not tolerate, but stays on cordoned ones', () => {
    cluster.change(NODES, 'node-1', { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] })
    cluster.change(NODES, 'node-2', { unschedulable: true })
    agent()
    cluster.after(20)
    expect(places()).toEqual(['node-2', 'node-3'])
  })

  test('takes its pod away with a node that is deleted', () => {
    agent()
    cluster.after(20)
    cluster.delete(NODES, 'node-3')
    cluster.after(20)
    expect(places()).toEqual(['node-1', 'node-2'])
  })

  test('rolls over node by node', () => {
    agent()
    cluster.after(20)
    let fewest = 3
    cluster.change(DAEMON_SETS, 'agent', { template: template('agent', { image: 'agent:2.0' }) })
    for (let i = 0; i < 200; i++) {
      cluster.after(0.5)
      fewest = Math.min(
        fewest,
        cluster.readyPods().filter(({ metadata }) => !metadata.deletionTimestamp).length,
      )
    }
    expect(fewest).toBe(2)
    expect(cluster.pods().map(({ spec }) => spec.containers[0]?.image)).toEqual(Array(3).fill('agent:2.0'))
    expect(cluster.get(DAEMON_SETS, 'agent').status).toMatchObject({
      updatedNumberScheduled: 3,
      observedGeneration: 2,
    })
  })

  test('with maxSurge never has a node without a ready pod', () => {
    agent(
      {},
      { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } },
    )
    cluster.after(20)
    let fewest = 3
    cluster.change(DAEMON_SETS, 'agent', { template: template('agent', { image: 'agent:2.0' }) })
    for (let i = 0; i < 200; i++) {
      cluster.after(0.5)
      const served = new Set(
        cluster
          .readyPods()
          .filter(({ metadata }) => !metadata.deletionTimestamp)
          .map(({ spec }) => spec.nodeName),
      )
      fewest = Math.min(fewest, served.size)
    }
    expect(fewest).toBe(3)
    expect(cluster.pods().map(({ spec }) => spec.containers[0]?.image)).toEqual(Array(3).fill('agent:2.0'))
  })

  test('replaces a pod that failed', () => {
    agent({ restartPolicy: 'Always', activeDeadlineSeconds: undefined })
    cluster.after(20)
    const [first] = cluster.pods()
    cluster.registry.update(
      PODS,
      { ...cluster.get(PODS, first?.metadata.name ?? ''), status: { ...first?.status, phase: 'Failed' } },
      { subresource: 'status' },
    )
    cluster.after(20)
    expect(cluster.has(PODS, first?.metadata.name ?? '')).toBe(false)
    expect(cluster.readyPods()).toHaveLength(3)
  })
})
