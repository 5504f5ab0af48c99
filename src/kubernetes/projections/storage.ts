/** Projections of PersistentVolumeClaim, PersistentVolume, StorageClass and ConfigMap. */
import type { ConfigMapRow, PersistentVolumeClaimRow, PersistentVolumeRow, StorageClassRow } from '../rows.ts'
import { isRecord, oneOf, record, text, textOrNull } from './fields.ts'
import { metadataOf } from './metadata.ts'
import { shareQuantity, shareText, shareTextOrNull, shareTexts } from './shared.ts'

/** The annotation from before `storageClassName`; it still wins where it is set. */
const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class'

const CLAIM_PHASES = new Set(['Pending', 'Bound', 'Lost'] as const)
const VOLUME_PHASES = new Set(['Pending', 'Available', 'Bound', 'Released', 'Failed'] as const)

export function projectPersistentVolumeClaim(object: unknown, cluster: string): PersistentVolumeClaimRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const annotations = record(record(raw['metadata'])['annotations'])
  return {
    ...metadataOf('PersistentVolumeClaim', raw, cluster),
    phase: oneOf(status['phase'], CLAIM_PHASES, 'Pending'),
    storageClassName:
      shareTextOrNull(annotations[CLASS_ANNOTATION]) ?? shareTextOrNull(spec['storageClassName']),
    volumeName: text(spec['volumeName']),
    // What was granted, once it is bound; until then what is asked for.
    accessModes: shareTexts(status['accessModes'] ?? spec['accessModes']),
    volumeMode: shareText(spec['volumeMode']) || 'Filesystem',
    requested: shareQuantity(record(record(spec['resources'])['requests'])['storage']),
    capacity: shareQuantity(record(status['capacity'])['storage']),
  }
}

/** The fields of a PersistentVolumeSpec that are objects and not the volume's source. */
const NOT_SOURCES = new Set(['capacity', 'claimRef', 'nodeAffinity'])

export function projectPersistentVolume(object: unknown, cluster: string): PersistentVolumeRow {
  const raw = record(object)
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const annotations = record(record(raw['metadata'])['annotations'])
  const claim = record(spec['claimRef'])
  const source = Object.keys(spec).find((field) => isRecord(spec[field]) && !NOT_SOURCES.has(field))
  return {
    ...metadataOf('PersistentVolume', raw, cluster),
    phase: oneOf(status['phase'], VOLUME_PHASES, 'Pending'),
    reason: textOrNull(status['reason']),
    storageClassName:
      shareTextOrNull(annotations[CLASS_ANNOTATION]) ?? shareTextOrNull(spec['storageClassName']),
    capacity: shareQuantity(record(spec['capacity'])['storage']),
    accessModes: shareTexts(spec['accessModes']),
    reclaimPolicy: shareText(spec['persistentVolumeReclaimPolicy']) || 'Retain',
    volumeMode: shareText(spec['volumeMode']) || 'Filesystem',
    source: shareText(source),
    csiDriver: shareTextOrNull(record(spec['csi'])['driver']),
    claimNamespace: shareTextOrNull(claim['namespace']),
    claimName: textOrNull(claim['name']),
  }
}

export function projectStorageClass(object: unknown, cluster: string): StorageClassRow {
  const raw = record(object)
  const annotations = record(record(raw['metadata'])['annotations'])
  return {
    ...metadataOf('StorageClass', raw, cluster),
    provisioner: shareText(raw['provisioner']),
    reclaimPolicy: shareText(raw['reclaimPolicy']) || 'Delete',
    volumeBindingMode: shareText(raw['volumeBindingMode']) || 'Immediate',
    allowVolumeExpansion: raw['allowVolumeExpansion'] === true,
    isDefault:
      annotations['storageclass.kubernetes.io/is-default-class'] === 'true' ||
      annotations['storageclass.beta.kubernetes.io/is-default-class'] === 'true',
  }
}

/** Keys only: values may be large, and may be secret in all but name. */
export function projectConfigMap(object: unknown, cluster: string): ConfigMapRow {
  const raw = record(object)
  const keys = [...Object.keys(record(raw['data'])), ...Object.keys(record(raw['binaryData']))]
  return {
    ...metadataOf('ConfigMap', raw, cluster),
    keys: shareTexts(keys.sort()),
    immutable: raw['immutable'] === true,
  }
}
