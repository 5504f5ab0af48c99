/** PersistentVolumeClaim: a namespace's request for storage. */
import type { PersistentVolumeClaimRow } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { equals, oneOf } from '../filters.ts'
import { defineList, listField } from '../list.ts'
import { placeList } from '../place.ts'
import { QuantityRef } from '../quantities.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'
import { podsMounting } from '../relations.ts'
import { namespacedFields } from './namespaced.ts'
import { podList } from './pod.ts'

const ClaimPhase = builder.enumType('PersistentVolumeClaimPhase', {
  description: 'Where a claim is in its life.',
  values: {
    Pending: { description: 'Not bound to a volume yet.' },
    Bound: { description: 'Bound to a volume.' },
    Lost: { description: 'Its volume is gone, and the data with it.' },
  } satisfies Record<PersistentVolumeClaimRow['phase'], { description: string }>,
})

placeList(
  'persistentVolumeClaims',
  defineList({
    name: 'PersistentVolumeClaim',
    plural: 'PersistentVolumeClaims',
    kinds: ['PersistentVolumeClaim'],
    node: KIND_REFS.PersistentVolumeClaim,
    filter: (t) => ({
      phases: t.field({ type: [ClaimPhase], description: 'In one of these phases.' }),
      storageClass: t.string({ description: 'Of the storage class of this name.' }),
      volume: t.string({ description: 'Bound to the volume of this name.' }),
    }),
    conditions: ({ phases, storageClass, volume }) => [
      ...oneOf<PersistentVolumeClaimRow, string>(phases, (row) => row.phase),
      ...equals<PersistentVolumeClaimRow, string | null>(storageClass, (row) => row.storageClassName),
      ...equals<PersistentVolumeClaimRow, string>(volume, (row) => row.volumeName),
    ],
    order: {
      REQUESTED: {
        description: 'Bytes it asks for.',
        value: (row: PersistentVolumeClaimRow) => row.requested?.value ?? null,
      },
      CAPACITY: { description: 'Bytes it has.', value: (row) => row.capacity?.value ?? null },
      PHASE: { description: 'Phase, in the order of the alphabet.', value: (row) => row.phase },
    },
  }),
)

KIND_REFS.PersistentVolumeClaim.implement({
  description: "A PersistentVolumeClaim: a namespace's request for storage.",
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    phase: t.expose('phase', { type: ClaimPhase, description: 'Where it is in its life.' }),
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
    volumeName: t.string({
      nullable: true,
      description: 'Name of the volume it is bound to; null until it is.',
      resolve: (row) => row.volumeName || null,
    }),
    volume: t.field({
      type: KIND_REFS.PersistentVolume,
      nullable: true,
      description: 'The volume it is bound to; null until it is, and where volumes are not visible to you.',
      resolve: ({ cluster, volumeName }, _arguments, { fleet }) =>
        volumeName ? (fleet.get('PersistentVolume', cluster, '', volumeName) ?? null) : null,
    }),
    accessModes: t.exposeStringList('accessModes', { description: 'Such as `ReadWriteOnce`.' }),
    volumeMode: t.exposeString('volumeMode', { description: '`Filesystem` or `Block`.' }),
    requested: t.expose('requested', {
      type: QuantityRef,
      nullable: true,
      description: 'Bytes it asks for; null where it does not say.',
    }),
    capacity: t.expose('capacity', {
      type: QuantityRef,
      nullable: true,
      description: 'Bytes it has; null until it is bound.',
    }),
    pods: listField(t, podList, 'The pods that mount it.', (row: PersistentVolumeClaimRow, { fleet }) =>
      podsMounting(row, fleet),
    ),
  }),
})
