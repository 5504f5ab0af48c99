/**
 * Persistent volumes: binds claims to volumes that fit, makes volumes for claims of a class that
 * provisions (at once, or when the first pod has its node), and what becomes of a volume whose claim is
 * gone. Source: `pkg/controller/volume/persistentvolume`, "Persistent Volumes" in the documentation.
 */
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import {
  committed,
  keyOf,
  NODES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  read,
  readAll,
  splitKey,
  STORAGE_CLASSES,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type StorageClass,
} from './objects.ts'
import { quantity } from './quantity.ts'
import { selects } from './selector.ts'

const from = { component: 'persistentvolume-controller' }
const SELECTED_NODE = 'volume.kubernetes.io/selected-node'
const provisionSeconds = 1.5

/** Keys: `namespace/name` of a claim, `/name` of a volume. */
export function persistentVolumeController({ registry, clock, events }: ControlContext): Controller {
  const provisioning = new Set<string>()
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'persistentvolume',
    watches: ['persistentvolumeclaims', 'persistentvolumes', 'storageclasses'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const claim of readAll(registry, PERSISTENT_VOLUME_CLAIMS)) {
        if (claim.status?.phase !== 'Bound') enqueue(keyOf(claim))
      }
      for (const volume of readAll(registry, PERSISTENT_VOLUMES)) {
        if (volume.status?.phase !== 'Bound') enqueue(keyOf(volume))
      }
    },
    observe(commit, enqueue) {
      const claim = committed(commit, PERSISTENT_VOLUME_CLAIMS)
      if (claim !== undefined) {
        if (commit.type !== 'DELETED') return enqueue(keyOf(claim.object))
        provisioning.delete(keyOf(claim.object))
        const { volumeName } = claim.object.spec
        if (volumeName !== undefined) enqueue(`/${volumeName}`)
        return
      }
      const volume = committed(commit, PERSISTENT_VOLUMES)
      if (volume !== undefined) {
        enqueue(keyOf(volume.object))
        if (volume.object.status?.phase !== 'Available') return
      }
      for (const each of readAll(registry, PERSISTENT_VOLUME_CLAIMS)) {
        if (each.status?.phase !== 'Bound') enqueue(keyOf(each))
      }
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      if (namespace === '') {
        const volume = read(registry, PERSISTENT_VOLUMES, '', name)
        if (volume !== undefined) settleVolume(volume)
        return
      }
      const claim = read(registry, PERSISTENT_VOLUME_CLAIMS, namespace, name)
      if (claim !== undefined && claim.metadata.deletionTimestamp === undefined) settleClaim(claim, key)
    },
  }

  function settleClaim(claim: PersistentVolumeClaim, key: string): void {
    if (claim.status?.phase === 'Bound') {
      expand(claim)
      return
    }
    const volumes = readAll(registry, PERSISTENT_VOLUMES)
    const reserved = volumes.find(({ spec }) => spec.claimRef?.uid === claim.metadata.uid)
    const named =
      claim.spec.volumeName === undefined
        ? undefined
        : read(registry, PERSISTENT_VOLUMES, '', claim.spec.volumeName)
    const storageClass = read(registry, STORAGE_CLASSES, '', claim.spec.storageClassName ?? '')
    const waits =
      storageClass?.volumeBindingMode === 'WaitForFirstConsumer' &&
      claim.metadata.annotations?.[SELECTED_NODE] === undefined
    if (reserved !== undefined) return bind(claim, reserved)
    if (named !== undefined) {
      if (named.spec.claimRef === undefined || isFor(named, claim)) bind(claim, named)
      return undefined
    }
    if (waits && !volumes.some((volume) => volume.spec.claimRef !== undefined && isFor(volume, claim))) {
      const message = 'waiting for first consumer to be created before binding'
      pending(claim)
      events.record(claim, 'Normal', 'WaitForFirstConsumer', message, from)
      return undefined
    }
    const fitting = volumes
      .filter((volume) => fits(volume, claim))
      .sort((a, b) => quantity(a.spec.capacity?.['storage']) - quantity(b.spec.capacity?.['storage']))[0]
    if (fitting !== undefined) return bind(claim, fitting)
    pending(claim)
    if (storageClass !== undefined && storageClass.provisioner !== 'kubernetes.io/no-provisioner') {
      provision(claim, key, storageClass)
    } else if (claim.spec.storageClassName === undefined || claim.spec.storageClassName === '') {
      const message = 'no persistent volumes available for this claim and no storage class is set'
      events.record(claim, 'Normal', 'FailedBinding', message, from)
    } else if (storageClass === undefined) {
      const message = `storageclass.storage.k8s.io "${claim.spec.storageClassName}" not found`
      events.record(claim, 'Warning', 'ProvisioningFailed', message, from)
    }
    return undefined
  }

  function pending(claim: PersistentVolumeClaim): void {
    if (claim.status?.phase === 'Pending') return
    registry.update(
      PERSISTENT_VOLUME_CLAIMS,
      { ...claim, status: { ...claim.status, phase: 'Pending' } },
      { subresource: 'status' },
    )
  }

  function provision(
    claim: PersistentVolumeClaim,
    key: string,
    { provisioner, reclaimPolicy, metadata }: StorageClass,
  ): void {
    const name = `pvc-${claim.metadata.uid}`
    if (!provisioning.has(key)) {
      provisioning.add(key)
      const message = `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`
      events.record(claim, 'Normal', 'ExternalProvisioning', message, from)
      enqueueLater(key, provisionSeconds)
      return
    }
    provisioning.delete(key)
    const nodeName = claim.metadata.annotations?.[SELECTED_NODE]
    const zone =
      nodeName === undefined
        ? undefined
        : read(registry, NODES, '', nodeName)?.metadata.labels?.['topology.kubernetes.io/zone']
    const volume = registry.create(PERSISTENT_VOLUMES, {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name, annotations: { 'pv.kubernetes.io/provisioned-by': provisioner } },
      spec: {
        capacity: { storage: claim.spec.resources?.requests?.['storage'] ?? '1Gi' },
        accessModes: claim.spec.accessModes ?? ['ReadWriteOnce'],
        claimRef: claimReference(claim),
        persistentVolumeReclaimPolicy: reclaimPolicy ?? 'Delete',
        storageClassName: metadata.name,
        volumeMode: claim.spec.volumeMode ?? 'Filesystem',
        csi: {
          driver: provisioner,
          fsType: 'ext4',
          volumeHandle: `vol-${claim.metadata.uid.replaceAll('-', '').slice(0, 17)}`,
        },
        ...(zone === undefined
          ? {}
          : {
              nodeAffinity: {
                required: {
                  nodeSelectorTerms: [
                    {
                      matchExpressions: [
                        { key: 'topology.kubernetes.io/zone', operator: 'In', values: [zone] },
                      ],
                    },
                  ],
                },
              },
            }),
      },
    }) as PersistentVolume
    const message = `Successfully provisioned volume ${name}`
    events.record(claim, 'Normal', 'ProvisioningSucceeded', message, { component: provisioner })
    bind(claim, volume)
  }

  function bind(claim: PersistentVolumeClaim, volume: PersistentVolume): void {
    const bound = registry.update(
      PERSISTENT_VOLUMES,
      { ...volume, spec: { ...volume.spec, claimRef: claimReference(claim) }, status: { phase: 'Bound' } },
      { subresource: 'all' },
    ) as PersistentVolume
    const current = read(
      registry,
      PERSISTENT_VOLUME_CLAIMS,
      claim.metadata.namespace ?? '',
      claim.metadata.name,
    )
    if (current === undefined) return
    registry.update(
      PERSISTENT_VOLUME_CLAIMS,
      {
        ...current,
        metadata: {
          ...current.metadata,
          annotations: {
            ...current.metadata.annotations,
            'pv.kubernetes.io/bind-completed': 'yes',
            'pv.kubernetes.io/bound-by-controller': 'yes',
          },
        },
        spec: { ...current.spec, volumeName: bound.metadata.name },
        status: {
          phase: 'Bound',
          accessModes: bound.spec.accessModes ?? [],
          capacity: { storage: bound.spec.capacity?.['storage'] ?? '' },
        },
      },
      { subresource: 'all' },
    )
  }

  /** A larger request grows the volume where the class allows it. */
  function expand(claim: PersistentVolumeClaim): void {
    const wanted = claim.spec.resources?.requests?.['storage']
    const volume = read(registry, PERSISTENT_VOLUMES, '', claim.spec.volumeName ?? '')
    if (wanted === undefined || volume === undefined) return
    if (quantity(wanted) <= quantity(claim.status?.capacity?.['storage'])) return
    const storageClass = read(registry, STORAGE_CLASSES, '', claim.spec.storageClassName ?? '')
    if (storageClass?.['allowVolumeExpansion'] !== true) return
    const capacity = { storage: wanted }
    registry.update(PERSISTENT_VOLUMES, { ...volume, spec: { ...volume.spec, capacity } })
    registry.update(
      PERSISTENT_VOLUME_CLAIMS,
      { ...claim, status: { ...claim.status, capacity } },
      { subresource: 'status' },
    )
  }

  function settleVolume(volume: PersistentVolume): void {
    const { claimRef, persistentVolumeReclaimPolicy } = volume.spec
    if (volume.metadata.deletionTimestamp !== undefined) return
    if (claimRef?.uid === undefined) return phase(volume, 'Available')
    const claim = read(registry, PERSISTENT_VOLUME_CLAIMS, claimRef.namespace ?? '', claimRef.name ?? '')
    if (claim?.metadata.uid === claimRef.uid) return undefined
    if (persistentVolumeReclaimPolicy === 'Delete') {
      registry.delete(PERSISTENT_VOLUMES, '', volume.metadata.name)
      return undefined
    }
    return phase(volume, 'Released')
  }

  function phase(volume: PersistentVolume, value: string): void {
    if (volume.status?.phase === value) return
    const lastPhaseTransitionTime = clock.stamp()
    registry.update(
      PERSISTENT_VOLUMES,
      { ...volume, status: { phase: value, lastPhaseTransitionTime } },
      { subresource: 'status' },
    )
  }
}

function isFor(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { claimRef } = volume.spec
  return (
    claimRef?.name === claim.metadata.name &&
    claimRef.namespace === claim.metadata.namespace &&
    (claimRef.uid === undefined || claimRef.uid === claim.metadata.uid)
  )
}

function fits(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { spec } = volume
  if (volume.metadata.deletionTimestamp !== undefined) return false
  if (spec.claimRef !== undefined && !isFor(volume, claim)) return false
  return (
    (spec.storageClassName ?? '') === (claim.spec.storageClassName ?? '') &&
    (spec.volumeMode ?? 'Filesystem') === (claim.spec.volumeMode ?? 'Filesystem') &&
    (claim.spec.accessModes ?? []).every((mode) => spec.accessModes?.includes(mode)) &&
    quantity(spec.capacity?.['storage']) >= quantity(claim.spec.resources?.requests?.['storage']) &&
    (claim.spec.selector === undefined || selects(claim.spec.selector, volume.metadata.labels))
  )
}

function claimReference({ metadata }: PersistentVolumeClaim): Readonly<Record<string, string>> {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    resourceVersion: metadata.resourceVersion,
    uid: metadata.uid,
  }
}
