import { afterEach, describe, expect, test } from 'vitest'
import {
  CONTROLLER_REVISIONS,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  STATEFUL_SETS,
  STORAGE_CLASSES,
} from '../../../src/simulator/controllers/objects.ts'
import { isReady } from '../../../src/simulator/controllers/pod-template.ts'
import { byText, selecting, SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function database(spec: object = {}, container: object = {}): void {
  cluster.create(STATEFUL_SETS, 'db', {
    spec: {
      replicas: 3,
      serviceName: 'db',
      selector: selecting('db'),
      template: template('db', container),
      ...spec,
    },
  })
}

function names(): readonly string[] {
  return cluster.pods().map(({ metadata }) => metadata.name)
}

function images(): Record<string, string | undefined> {
  return Object.fromEntries(
    cluster.pods().map(({ metadata, spec }) => [metadata.name, spec.containers[0]?.image]),
  )
}

/** The order in which pods first appear, and whether a pod ever came before the one ahead of it was ready. */
function watchOrder(): { readonly created: string[]; readonly deleted: string[]; early: boolean } {
  const seen = { created: [] as string[], deleted: [] as string[], early: false }
  cluster.registry.onCommit(({ type, key, object }) => {
    if (key.resource !== 'pods') return
    if (type === 'ADDED') {
      seen.created.push(object.metadata.name)
      seen.early ||= cluster.pods().some((pod) => pod.metadata.name < object.metadata.name && !isReady(pod))
    }
    if (type === 'DELETED') seen.deleted.push(object.metadata.name)
  })
  return seen
}

describe('a StatefulSet', () => {
  test('creates its pods in order, each when the one before is ready', () => {
    const order = watchOrder()
    database()
    cluster.after(60)
    expect(order).toEqual({ created: ['db-0', 'db-1', 'db-2'], deleted: [], early: false })
    const { metadata, spec } = cluster.get(PODS, 'db-1')
    expect(spec).toMatchObject({ hostname: 'db-1', subdomain: 'db' })
    expect(metadata.labels).toMatchObject({
      app: 'db',
      'statefulset.kubernetes.io/pod-name': 'db-1',
      'apps.kubernetes.io/pod-index': '1',
    })
    expect(cluster.get(STATEFUL_SETS, 'db').status).toMatchObject({
      observedGeneration: 1,
      replicas: 3,
      readyReplicas: 3,
      currentReplicas: 3,
      updatedReplicas: 3,
      availableReplicas: 3,
    })
    expect(cluster.eventsOf('db')).toContain('SuccessfulCreate: create Pod db-0 in StatefulSet db successful')
  })

  test('waits at a pod that does not become ready', () => {
    database({}, { image: 'db:does-not-exist' })
    cluster.after(120)
    expect(names()).toEqual(['db-0'])
  })

  test('creates all at once with Parallel', () => {
    database({ podManagementPolicy: 'Parallel' })
    cluster.after(0.1)
    expect(names()).toEqual(['db-0', 'db-1', 'db-2'])
  })

  test('scales down from the highest ordinal, one by one', () => {
    database()
    cluster.after(60)
    const order = watchOrder()
    cluster.change(STATEFUL_SETS, 'db', { replicas: 1 })
    cluster.after(60)
    expect(order.deleted).toEqual(['db-2', 'db-1'])
    expect(names()).toEqual(['db-0'])
  })

  test('brings back a deleted pod under its name', () => {
    database()
    cluster.after(60)
    const before = cluster.get(PODS, 'db-1').metadata.uid
    cluster.delete(PODS, 'db-1')
    cluster.after(60)
    expect(cluster.get(PODS, 'db-1').metadata.uid).not.toBe(before)
    expect(cluster.readyPods()).toHaveLength(3)
  })

  test('updates from the highest ordinal down, and ends with one revision', () => {
    database()
    cluster.after(60)
    const order = watchOrder()
    cluster.change(STATEFUL_SETS, 'db', { template: template('db', { image: 'db:2.0' }) })
    cluster.after(120)
    expect(order.deleted).toEqual(['db-2', 'db-1', 'db-0'])
    expect(images()).toEqual({ 'db-0': 'db:2.0', 'db-1': 'db:2.0', 'db-2': 'db:2.0' })
    const { status } = cluster.get(STATEFUL_SETS, 'db')
    expect(status?.currentRevision).toBe(status?.updateRevision)
    expect(
      cluster
        .all(CONTROLLER_REVISIONS)
        .map(({ revision }) => revision)
        .toSorted(byText),
    ).toEqual([1, 2])
  })

  test('keeps pods below the partition at the old revision, also when they are recreated', () => {
    database()
    cluster.after(60)
    cluster.change(STATEFUL_SETS, 'db', {
      template: template('db', { image: 'db:2.0' }),
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } },
    })
    cluster.after(60)
    expect(images()).toEqual({ 'db-0': 'db:1.0', 'db-1': 'db:1.0', 'db-2': 'db:2.0' })
    cluster.delete(PODS, 'db-0')
    cluster.after(60)
    expect(images()).toEqual({ 'db-0': 'db:1.0', 'db-1': 'db:1.0', 'db-2': 'db:2.0' })
    const { status } = cluster.get(STATEFUL_SETS, 'db')
    expect(status).toMatchObject({ currentReplicas: 2, updatedReplicas: 1 })
  })

  test('with OnDelete updates only what somebody deletes', () => {
    database({ updateStrategy: { type: 'OnDelete' } })
    cluster.after(60)
    cluster.change(STATEFUL_SETS, 'db', { template: template('db', { image: 'db:2.0' }) })
    cluster.after(30)
    cluster.delete(PODS, 'db-1')
    cluster.after(30)
    expect(images()).toEqual({ 'db-0': 'db:1.0', 'db-1': 'db:2.0', 'db-2': 'db:1.0' })
  })

  test('gives each pod its own claims, which survive the pod and come back to it', () => {
    cluster.create(STORAGE_CLASSES, 'standard', {
      provisioner: 'disk.example',
      volumeBindingMode: 'WaitForFirstConsumer',
    })
    database(
      {
        replicas: 2,
        volumeClaimTemplates: [
          {
            metadata: { name: 'data' },
            spec: {
              storageClassName: 'standard',
              accessModes: ['ReadWriteOnce'],
              resources: { requests: { storage: '1Gi' } },
            },
          },
        ],
      },
      { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
    )
    cluster.after(60)
    const claims = () =>
      cluster.all(PERSISTENT_VOLUME_CLAIMS).map(({ metadata, status }) => [metadata.name, status?.phase])
    expect(claims()).toEqual([
      ['data-db-0', 'Bound'],
      ['data-db-1', 'Bound'],
    ])
    expect(cluster.readyPods()).toHaveLength(2)
    cluster.change(STATEFUL_SETS, 'db', { replicas: 1 })
    cluster.after(30)
    expect(claims()).toHaveLength(2)
    const kept = cluster.get(PERSISTENT_VOLUME_CLAIMS, 'data-db-1').spec.volumeName
    cluster.change(STATEFUL_SETS, 'db', { replicas: 2 })
    cluster.after(30)
    expect(cluster.get(PERSISTENT_VOLUME_CLAIMS, 'data-db-1').spec.volumeName).toBe(kept)
    expect(cluster.readyPods()).toHaveLength(2)
  })

  test('counts its ordinals from where it is told', () => {
    database({ replicas: 2, ordinals: { start: 5 } })
    cluster.after(30)
    expect(names()).toEqual(['db-5', 'db-6'])
  })
})
