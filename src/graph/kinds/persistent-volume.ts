/** PersistentVolume: storage of a cluster. */
import type { AuthorizedFleet } from '../../access/authorized-fleet.ts'
import type { PersistentVolumeClaimRow, PersistentVolumeRow } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { equals, oneOf } from '../filters.ts'
import { defineList, listField } from '../list.ts'
import { placeList } from '../place.ts'
import { QuantityRef } from '../quantities.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'
import { clustersOfRow, podsMounting } from '../relations.ts'
import { podList } from './pod.ts'

const VolumePhase = builder.enumType('PersistentVolumePhase', {
  description: 'Where a volume is in its life.',
  values: {
    Pending: { description: 'Not available yet.' },
    Available: { description: 'Free to be claimed.' },
    Bound: { description: 'Bound to a claim.' },
    Released: { description: 'Its claim is gone; it was not reclaimed yet.' },
    Failed: { description: 'It could not be reclaimed.' },
  } satisfies Record<PersistentVolumeRow['phase'], { description: string }>,
})

placeList(
  'persistentVolumes',
  defineList({
    name: 'PersistentVolume',
    plural: 'PersistentVolumes',
    kinds: ['PersistentVolume'],
    node: KIND_REFS.PersistentVolume,
    namespaced: false,
    filter: (t) => ({
      phases: t.field({ type: [VolumePhase], description: 'In one of these phases.' }),
      storageClass: t.string({ description: 'Of the storage class of this name.' }),
      claimNamespace: t.string({ description: 'Bound to a claim of this namespace.' }),
      csiDriver: t.string({ description: 'Of this CSI driver.' }),
    }),
    conditions: ({ phases, storageClass, claimNamespace, csiDriver }) => [
      ...oneOf<PersistentVolumeRow, string>(phases, (row) => row.phase),
      ...equals<PersistentVolumeRow, string | null>(storageClass, (row) => row.storageClassName),
      ...equals<PersistentVolumeRow, string | null>(claimNamespace, (row) => row.claimNamespace),
      ...equals<PersistentVolumeRow, string | null>(csiDriver, (row) => row.csiDriver),
    ],
    order: {
      CAPACITY: {
        description: 'Bytes it has.',
        value: (row: PersistentVolumeRow) => row.capacity?.value ?? null,
      },
      PHASE: { description: 'Phase, in the order of the alphabet.', value: (row) => row.phase },
    },
  }),
)

function claimOf(row: PersistentVolumeRow, fleet: AuthorizedFleet): PersistentVolumeClaimRow | undefined {
  const { cluster, claimNamespace, claimName } = row
  if (claimNamespace === null || claimName === null) return undefined
  return fleet.get('PersistentVolumeClaim', cluster, claimNamespace, claimName)
}

KIND_REFS.PersistentVolume.implement({
  description: 'A PersistentVolume: storage of a cluster.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    phase: t.expose('phase', { type: VolumePhase, description: 'Where it is in its life.' }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why it is in its phase; null where none is given.',
    }),
    storageClassName: t.exposeString('storageClassName', {
      nullable: true,
      description: 'Name of its storage class; null where it has none.',
    }),
    storageClass: t.field({
      type: KIND_REFS.StorageClass,
      nullable: true,
      description: 'Its storage class; null where it has none, or that is missing or not visible to you.',
      resolve: ({ cluster, storageClassName }, _arguments, { fleet }) =>
        storageClassName ? (fleet.get('StorageClass', cluster, '', storageClassName) ?? null) : null,
    }),
    capacity: t.expose('capacity', {
      type: QuantityRef,
      nullable: true,
      description: 'Bytes it has; null where it does not say.',
    }),
    accessModes: t.exposeStringList('accessModes', { description: 'Such as `ReadWriteOnce`.' }),
    reclaimPolicy: t.exposeString('reclaimPolicy', {
      description: 'What happens when its claim is deleted: `Retain`, `Delete` or `Recycle`.',
    }),
    volumeMode: t.exposeString('volumeMode', { description: '`Filesystem` or `Block`.' }),
    source: t.exposeString('source', { description: 'Where it comes from: `csi`, `hostPath`, `nfs`…' }),
    csiDriver: t.exposeString('csiDriver', {
      nullable: true,
      description: 'Its CSI driver; null for other sources.',
    }),
    claimNamespace: t.exposeString('claimNamespace', {
      nullable: true,
      description: 'Namespace of the claim it is bound to; null where it is not.',
    }),
    claimName: t.exposeString('claimName', {
      nullable: true,
      description: 'Name of the claim it is bound to; null where it is not.',
    }),
    claim: t.field({
      type: KIND_REFS.PersistentVolumeClaim,
      nullable: true,
      description: 'The claim it is bound to; null where it is not, or that is gone or not visible to you.',
      resolve: (row, _arguments, { fleet }) => claimOf(row, fleet) ?? null,
    }),
    pods: listField(
      t,
      podList,
      'The pods that mount it through its claim.',
      (row: PersistentVolumeRow, { fleet }) => {
        const claim = claimOf(row, fleet)
        return claim ? podsMounting(claim, fleet) : { clusters: clustersOfRow(row, fleet), none: true }
      },
    ),
  }),
})
