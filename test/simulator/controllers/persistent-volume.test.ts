import { afterEach, describe, expect, test } from 'vitest'
import {
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  STORAGE_CLASSES,
} from '../../../src/simulator/controllers/objects.ts'
import { isReady } from '../../../src/simulator/controllers/pod-template.ts'
import { SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function storageClass(name: string, more: object = {}): void {
  cluster.create(STORAGE_CLASSES, name, {
    provisioner: 'disk.example',
    volumeBindingMode: 'Immediate',
    ...more,
  })
}

function claim(name: string, more: object = {}): void {
  cluster.create(PERSISTENT_VOLUME_CLAIMS, name, {
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '2Gi' } },
      storageClassName: 'disk',
      ...more,
    },
  })
}

function volume(name: string, storage: string, more: object = {}): void {
  cluster.create(PERSISTENT_VOLUMES, name, {
    spec: {
      capacity: { storage },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'disk',
      persistentVolumeReclaimPolicy: 'Retain',
      hostPath: { path: `/mnt/${name}` },
      ...more,
    },
  })
}

const phase = (name: string) => cluster.get(PERSISTENT_VOLUME_CLAIMS, name).status?.phase

describe('a PersistentVolumeClaim', () => {
  test('of an Immediate class gets a volume of its own, which goes with it', () => {
    storageClass('disk')
    claim('data')
    cluster.after(5)
    const { spec, status, metadata } = cluster.get(PERSISTENT_VOLUME_CLAIMS, 'data')
    expect(spec.volumeName).toBe(`pvc-${metadata.uid}`)
    expect(status).toEqual({ phase: 'Bound', accessModes: ['ReadWriteOnce'], capacity: { storage: '2Gi' } })
    expect(cluster.get(PERSISTENT_VOLUMES, `pvc-${metadata.uid}`)).toMatchObject({
      spec: { claimRef: { name: 'data', namespace: 'default' }, persistentVolumeReclaimPolicy: 'Delete' },
      status: { phase: 'Bound' },
    })
    cluster.delete(PERSISTENT_VOLUME_CLAIMS, 'data')
    cluster.after(5)
    expect(cluster.all(PERSISTENT_VOLUMES)).toEqual([])
  })

  test('of a class that waits is pending until a pod that uses it has a node', () => {
    storageClass('disk', { volumeBindingMode: 'WaitForFirstConsumer' })
    claim('data')
    cluster.after(10)
    expect(phase('data')).toBe('Pending')
    expect(cluster.eventsOf('data')).toEqual([
      'WaitForFirstConsumer: waiting for first consumer to be created before binding',
    ])
    cluster.create(PODS, 'user', {
      spec: {
        ...template('user').spec,
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
      },
    })
    cluster.after(30)
    expect(phase('data')).toBe('Bound')
    expect(isReady(cluster.get(PODS, 'user'))).toBe(true)
    expect(cluster.get(PERSISTENT_VOLUME_CLAIMS, 'data').metadata.annotations).toMatchObject({
      'volume.kubernetes.io/selected-node': cluster.get(PODS, 'user').spec.nodeName,
    })
  })

  test('takes the smallest volume that fits, which is Released when the claim goes', () => {
    volume('small', '1Gi')
    volume('large', '10Gi')
    volume('right', '3Gi')
    cluster.after(1)
    expect(cluster.all(PERSISTENT_VOLUMES).map(({ status }) => status?.phase)).toEqual([
      'Available',
      'Available',
      'Available',
    ])
    claim('data')
    cluster.after(1)
    expect(cluster.get(PERSISTENT_VOLUME_CLAIMS, 'data').spec.volumeName).toBe('right')
    cluster.delete(PERSISTENT_VOLUME_CLAIMS, 'data')
    cluster.after(1)
    expect(cluster.get(PERSISTENT_VOLUMES, 'right').status?.phase).toBe('Released')
  })

  test('waits without a class and a volume, and is bound when a volume comes', () => {
    claim('data')
    cluster.after(1)
    expect(phase('data')).toBe('Pending')
    expect(cluster.eventsOf('data').join()).toContain(
      'ProvisioningFailed: storageclass.storage.k8s.io "disk" not found',
    )
    volume('new', '5Gi')
    cluster.after(1)
    expect(phase('data')).toBe('Bound')
  })

  test('grows where its class allows it', () => {
    storageClass('disk', { allowVolumeExpansion: true })
    claim('data')
    cluster.after(5)
    cluster.change(PERSISTENT_VOLUME_CLAIMS, 'data', { resources: { requests: { storage: '4Gi' } } })
    cluster.after(5)
    expect(cluster.get(PERSISTENT_VOLUME_CLAIMS, 'data').status?.capacity).toEqual({ storage: '4Gi' })
  })
})
