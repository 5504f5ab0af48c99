import { afterEach, describe, expect, test } from 'vitest'
import {
  DEPLOYMENTS,
  PODS,
  REPLICA_SETS,
  type Deployment,
  type ReplicaSet,
} from '../../../src/simulator/controllers/objects.ts'
import { conditionOf, isReady } from '../../../src/simulator/controllers/pod-template.ts'
import { selecting, SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function deploy(spec: Partial<Deployment['spec']> = {}): void {
  cluster.create(DEPLOYMENTS, 'web', {
    spec: { replicas: 3, selector: selecting('web'), template: template('web'), ...spec },
  })
}

function setImage(image: string): void {
  cluster.change(DEPLOYMENTS, 'web', { template: template('web', { image }) })
}

function condition(type: string): string {
  const found = conditionOf(cluster.get(DEPLOYMENTS, 'web').status?.conditions, type)
  return `${found?.status} ${found?.reason} ${found?.message}`
}

function revisions(): Record<string, number> {
  return Object.fromEntries(
    cluster
      .all(REPLICA_SETS)
      .map((each) => [
        each.metadata.annotations?.['deployment.kubernetes.io/revision'] ?? '',
        each.spec.replicas ?? 0,
      ]),
  )
}

function ofRevision(revision: number): ReplicaSet {
  const found = cluster
    .all(REPLICA_SETS)
    .find((each) => each.metadata.annotations?.['deployment.kubernetes.io/revision'] === String(revision))
  if (found === undefined) throw new Error(`no revision ${revision}`)
  return found
}

describe('a Deployment', () => {
  test('gets a ReplicaSet of its template and as many ready pods as it asks for', () => {
    deploy()
    cluster.after(30)
    const [replicaSet, ...others] = cluster.all(REPLICA_SETS)
    const hash = replicaSet?.metadata.labels?.['pod-template-hash']
    expect(others).toEqual([])
    expect(replicaSet?.metadata.name).toBe(`web-${hash}`)
    expect(replicaSet?.spec.selector.matchLabels).toEqual({ app: 'web', 'pod-template-hash': hash })
    expect(cluster.pods()).toHaveLength(3)
    for (const pod of cluster.pods()) {
      expect(pod.metadata.labels).toEqual({ app: 'web', 'pod-template-hash': hash })
      expect(pod.metadata.name).toMatch(new RegExp(`^web-${hash}-[a-z0-9]{5}$`))
    }
  })

  test('reports counters, conditions, generation and revision as kubectl rollout status reads them', () => {
    deploy()
    cluster.after(30)
    const { metadata, status } = cluster.get(DEPLOYMENTS, 'web')
    expect(metadata.annotations).toEqual({ 'deployment.kubernetes.io/revision': '1' })
    expect(metadata.generation).toBe(1)
    expect(status).toMatchObject({
      observedGeneration: 1,
      replicas: 3,
      updatedReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
    })
    expect(status).not.toHaveProperty('unavailableReplicas')
    expect(condition('Available')).toBe('True MinimumReplicasAvailable Deployment has minimum availability.')
    const [replicaSet] = cluster.all(REPLICA_SETS)
    expect(condition('Progressing')).toBe(
      `True NewReplicaSetAvailable ReplicaSet "${replicaSet?.metadata.name}" has successfully progressed.`,
    )
    expect(cluster.eventsOf('web')).toEqual([
      `ScalingReplicaSet: Scaled up replica set ${replicaSet?.metadata.name} from 0 to 3`,
    ])
  })

  test('rolls over to a new template without going below or above its bounds', () => {
    deploy({
      replicas: 8,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    })
    cluster.after(60)
    let [most, fewest] = [0, Infinity]
    setImage('web:2.0')
    for (let i = 0; i < 240; i++) {
      cluster.after(0.5)
      const live = cluster.pods().filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      most = Math.max(most, live.length)
      fewest = Math.min(fewest, live.filter(isReady).length)
    }
    expect(most).toBe(10)
    expect(fewest).toBe(6)
    expect(revisions()).toEqual({ 1: 0, 2: 8 })
    expect(cluster.pods().map(({ spec }) => spec.containers[0]?.image)).toEqual(Array(8).fill('web:2.0'))
    expect(cluster.get(DEPLOYMENTS, 'web').metadata.annotations?.['deployment.kubernetes.io/revision']).toBe(
      '2',
    )
  })

  test('keeps old templates for a rollback, which makes the old ReplicaSet the newest revision', () => {
    deploy()
    cluster.after(30)
    const first = ofRevision(1).metadata.name
    setImage('web:2.0')
    cluster.after(60)
    expect(ofRevision(1).spec.template.spec.containers[0]?.image).toBe('web:1.0')
    cluster.change(DEPLOYMENTS, 'web', { template: template('web') })
    cluster.after(60)
    expect(revisions()).toEqual({ 2: 0, 3: 3 })
    expect(ofRevision(3).metadata.name).toBe(first)
    expect(ofRevision(3).metadata.annotations?.['deployment.kubernetes.io/revision-history']).toBe('1')
  })

  test('forgets the oldest revisions beyond revisionHistoryLimit', () => {
    deploy({ revisionHistoryLimit: 2 })
    cluster.after(30)
    for (const version of [2, 3, 4, 5]) {
      setImage(`web:${version}.0`)
      cluster.after(60)
    }
    expect(revisions()).toEqual({ 3: 0, 4: 0, 5: 3 })
  })

  test('with Recreate ends every old pod before it starts a new one', () => {
    deploy({ strategy: { type: 'Recreate' } })
    cluster.after(30)
    let mixed = false
    const stop = cluster.registry.onCommit(({ key }) => {
      if (key.resource === 'pods') {
        mixed ||= new Set(cluster.pods().map(({ spec }) => spec.containers[0]?.image)).size > 1
      }
    })
    setImage('web:2.0')
    cluster.after(60)
    stop()
    expect(mixed).toBe(false)
    expect(cluster.readyPods().map(({ spec }) => spec.containers[0]?.image)).toEqual(Array(3).fill('web:2.0'))
  })

  test('stops a rollout whose image cannot be pulled, and says that its deadline has passed', () => {
    deploy({ progressDeadlineSeconds: 60 })
    cluster.after(30)
    setImage('web:does-not-exist')
    cluster.after(50)
    expect(condition('Progressing')).toMatch(/^True ReplicaSetUpdated ReplicaSet "web-\w+" is progressing\.$/)
    cluster.after(30)
    expect(condition('Progressing')).toMatch(
      /^False ProgressDeadlineExceeded ReplicaSet "web-\w+" has timed out progressing\.$/,
    )
    expect(condition('Available')).toMatch(/^True/)
    expect(cluster.readyPods()).toHaveLength(3)
    expect(cluster.get(DEPLOYMENTS, 'web').status).toMatchObject({
      replicas: 4,
      updatedReplicas: 1,
      unavailableReplicas: 1,
    })
  })

  test('recovers from a failed rollout when the template is fixed', () => {
    deploy({ progressDeadlineSeconds: 30 })
    cluster.after(30)
    setImage('web:does-not-exist')
    cluster.after(60)
    setImage('web:2.0')
    cluster.after(60)
    expect(condition('Progressing')).toMatch(/^True NewReplicaSetAvailable/)
    expect(revisions()).toEqual({ 1: 0, 2: 0, 3: 3 })
  })

  test('does not roll out while it is paused, still scales, and goes on when it is resumed', () => {
    deploy()
    cluster.after(30)
    cluster.change(DEPLOYMENTS, 'web', { paused: true })
    setImage('web:2.0')
    cluster.after(30)
    expect(revisions()).toEqual({ 1: 3 })
    expect(condition('Progressing')).toBe('Unknown DeploymentPaused Deployment is paused')
    cluster.change(DEPLOYMENTS, 'web', { replicas: 5 })
    cluster.after(30)
    expect(revisions()).toEqual({ 1: 5 })
    cluster.change(DEPLOYMENTS, 'web', { paused: false })
    cluster.after(90)
    expect(revisions()).toEqual({ 1: 0, 2: 5 })
    expect(condition('Progressing')).toMatch(/^True NewReplicaSetAvailable/)
  })

  test('scaled in the middle of a rollout spreads the difference over both revisions', () => {
    deploy({
      replicas: 10,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } },
    })
    cluster.after(60)
    setImage('web:does-not-exist')
    cluster.after(20)
    expect(revisions()).toEqual({ 1: 8, 2: 5 })
    cluster.change(DEPLOYMENTS, 'web', { replicas: 15 })
    cluster.after(1)
    // The documentation's own example ("Proportional scaling"): 3 of the 5 go to the larger ReplicaSet.
    expect(revisions()).toEqual({ 1: 11, 2: 7 })
  })

  test('scales to zero and back, and waits for minReadySeconds before a pod counts as available', () => {
    deploy({ minReadySeconds: 20 })
    cluster.after(15)
    expect(cluster.get(DEPLOYMENTS, 'web').status).toMatchObject({ readyReplicas: 3, unavailableReplicas: 3 })
    cluster.after(20)
    expect(cluster.get(DEPLOYMENTS, 'web').status).toMatchObject({ availableReplicas: 3 })
    cluster.change(DEPLOYMENTS, 'web', { replicas: 0 })
    cluster.after(10)
    expect(cluster.pods()).toEqual([])
    cluster.change(DEPLOYMENTS, 'web', { replicas: 2 })
    cluster.after(60)
    expect(cluster.readyPods()).toHaveLength(2)
  })

  test('takes its ReplicaSets and pods with it, or leaves them as orphans that a new one adopts', () => {
    deploy()
    cluster.after(30)
    cluster.delete(DEPLOYMENTS, 'web', 'Orphan')
    cluster.after(5)
    expect(cluster.has(DEPLOYMENTS, 'web')).toBe(false)
    const [orphan] = cluster.all(REPLICA_SETS)
    expect(orphan?.metadata.ownerReferences ?? []).toEqual([])
    const before = cluster.pods().map(({ metadata }) => metadata.name)
    deploy()
    cluster.after(30)
    expect(cluster.all(REPLICA_SETS)).toHaveLength(1)
    expect(cluster.pods().map(({ metadata }) => metadata.name)).toEqual(before)
    cluster.delete(DEPLOYMENTS, 'web')
    cluster.after(60)
    expect([...cluster.all(REPLICA_SETS), ...cluster.all(PODS)]).toEqual([])
  })
})
