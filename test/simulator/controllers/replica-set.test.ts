import { afterEach, describe, expect, test } from 'vitest'
import {
  DEPLOYMENTS,
  PODS,
  REPLICA_SETS,
  RESOURCE_QUOTAS,
} from '../../../src/simulator/controllers/objects.ts'
import { conditionOf } from '../../../src/simulator/controllers/pod-template.ts'
import { firstToGo } from '../../../src/simulator/controllers/replica-set.ts'
import { selecting, SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function replicaSet(replicas: number): void {
  cluster.create(REPLICA_SETS, 'web', {
    spec: { replicas, selector: selecting('web'), template: template('web') },
  })
}

describe('a ReplicaSet', () => {
  test('replaces a pod that is deleted, and one whose labels no longer match, which it lets go', () => {
    replicaSet(3)
    cluster.after(20)
    const [deleted, relabelled] = cluster.pods()
    cluster.delete(PODS, deleted?.metadata.name ?? '')
    cluster.change(PODS, relabelled?.metadata.name ?? '', {}, { labels: { app: 'debug' } })
    cluster.after(20)
    expect(cluster.pods('web')).toHaveLength(3)
    const free = cluster.get(PODS, relabelled?.metadata.name ?? '')
    expect(free.metadata.ownerReferences ?? []).toEqual([])
  })

  test('adopts pods that match and belong to nobody, instead of creating its own', () => {
    for (const name of ['one', 'two']) {
      cluster.create(PODS, name, { spec: template('web').spec }, { labels: { app: 'web' } })
    }
    replicaSet(2)
    cluster.after(20)
    expect(cluster.pods('web').map(({ metadata }) => metadata.name)).toEqual(['one', 'two'])
    expect(cluster.get(PODS, 'one').metadata.ownerReferences).toMatchObject([
      { kind: 'ReplicaSet', controller: true },
    ])
  })

  test('scaled down takes pods that do not run first', () => {
    replicaSet(2)
    cluster.after(20)
    const settled = cluster.pods().map(({ metadata }) => metadata.name)
    cluster.change(REPLICA_SETS, 'web', { replicas: 4 })
    cluster.after(0.1)
    expect(cluster.pods()).toHaveLength(4)
    cluster.change(REPLICA_SETS, 'web', { replicas: 2 })
    cluster.after(20)
    expect(cluster.pods().map(({ metadata }) => metadata.name)).toEqual(settled)
  })

  test('scaled down respects the annotation of the deletion cost', () => {
    replicaSet(3)
    cluster.after(20)
    const [, dear] = cluster.pods()
    const annotations = { 'controller.kubernetes.io/pod-deletion-cost': '100' }
    cluster.change(PODS, dear?.metadata.name ?? '', {}, { annotations })
    expect(firstToGo(cluster.pods(), 2)).toHaveLength(2)
    cluster.change(REPLICA_SETS, 'web', { replicas: 1 })
    cluster.after(20)
    expect(cluster.pods().map(({ metadata }) => metadata.name)).toEqual([dear?.metadata.name])
  })

  test('says why it cannot create pods, and its Deployment repeats it', () => {
    cluster.create(RESOURCE_QUOTAS, 'few', { spec: { hard: { pods: '1' } } })
    cluster.create(DEPLOYMENTS, 'web', {
      spec: { replicas: 3, selector: selecting('web'), template: template('web') },
    })
    cluster.after(30)
    expect(cluster.pods()).toHaveLength(1)
    const [set] = cluster.all(REPLICA_SETS)
    const failure = conditionOf(set?.status?.conditions, 'ReplicaFailure')
    expect(failure).toMatchObject({ status: 'True', reason: 'FailedCreate' })
    expect(failure?.message).toMatch(
      /^pods "web-\w+-\w+" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1$/,
    )
    const { status } = cluster.get(DEPLOYMENTS, 'web')
    expect(conditionOf(status?.conditions, 'ReplicaFailure')).toMatchObject({ reason: 'FailedCreate' })
    cluster.delete(RESOURCE_QUOTAS, 'few')
    cluster.after(60)
    expect(cluster.readyPods()).toHaveLength(3)
    expect(conditionOf(cluster.all(REPLICA_SETS)[0]?.status?.conditions, 'ReplicaFailure')).toBeUndefined()
  })

  test('pods of one template share their spec, apart from the node', () => {
    replicaSet(2)
    cluster.after(20)
    const [a, b] = cluster.pods()
    expect(a?.spec.containers).toBe(b?.spec.containers)
  })
})
