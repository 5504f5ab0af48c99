/** StorageClass: how storage is made. */
import type { StorageClassRow } from '../../kubernetes/rows.ts'
import { equals } from '../filters.ts'
import { defineList } from '../list.ts'
import { placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'

placeList(
  'storageClasses',
  defineList({
    name: 'StorageClass',
    plural: 'StorageClasses',
    kinds: ['StorageClass'],
    node: KIND_REFS.StorageClass,
    namespaced: false,
    filter: (t) => ({
      provisioner: t.string({ description: 'Made by this provisioner.' }),
      isDefault: t.boolean({ description: 'Whether claims get it that ask for none.' }),
    }),
    conditions: ({ provisioner, isDefault }) => [
      ...equals<StorageClassRow, string>(provisioner, (row) => row.provisioner),
      ...equals<StorageClassRow, boolean>(isDefault, (row) => row.isDefault),
    ],
  }),
)

KIND_REFS.StorageClass.implement({
  description: 'A StorageClass: how storage is made.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    provisioner: t.exposeString('provisioner', { description: 'What makes its volumes.' }),
    reclaimPolicy: t.exposeString('reclaimPolicy', {
      description: 'What happens to a volume when its claim is deleted: `Delete` or `Retain`.',
    }),
    volumeBindingMode: t.exposeString('volumeBindingMode', {
      description: 'When a volume is made: `Immediate`, or `WaitForFirstConsumer` for a pod that needs it.',
    }),
    allowVolumeExpansion: t.exposeBoolean('allowVolumeExpansion', {
      description: 'Whether its volumes can grow.',
    }),
    isDefault: t.exposeBoolean('isDefault', { description: 'Whether claims get it that ask for none.' }),
  }),
})
