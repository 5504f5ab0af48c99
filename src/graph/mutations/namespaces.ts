/** `createNamespace` and `deleteNamespace`, in several clusters at once. */
import { dnsLabel } from '../../writes/names.ts'
import { badUserInput } from '../errors.ts'
import { changeField } from './change-field.ts'
import { deletion, type DeleteInput } from './delete-options.ts'
import { KeyValue, keyValueRecord, type KeyValueInput } from './metadata-values.ts'
import {
  ClusterTargets,
  clusterTargetsOf,
  describeTargets,
  keyOf,
  requireNamed,
  type ClusterTargetsInput,
} from './targets.ts'

interface CreateInput {
  readonly targets: ClusterTargetsInput
  readonly name: string
  readonly labels?: readonly KeyValueInput[] | null | undefined
  readonly annotations?: readonly KeyValueInput[] | null | undefined
  readonly ifAbsent?: boolean | null | undefined
}

changeField<CreateInput>('createNamespace', {
  description: 'Makes a namespace in each of the clusters.',
  fields: (t) => ({
    targets: t.field({ type: ClusterTargets, required: true, description: 'In which clusters.' }),
    name: t.string({ required: true, description: 'Name of the namespace.' }),
    labels: t.field({ type: [KeyValue], description: 'Its labels.' }),
    annotations: t.field({ type: [KeyValue], description: 'Its annotations.' }),
    ifAbsent: t.boolean({
      defaultValue: true,
      description: 'Whether one that is there already is UNCHANGED, and not a CONFLICT.',
    }),
  }),
  compose: ({ targets, name, labels, annotations, ifAbsent }, context, path) => {
    requireNamed(name, dnsLabel, `${path}.name`)
    const metadata = {
      name,
      ...(labels && { labels: keyValueRecord(labels, 'label', `${path}.labels`) }),
      ...(annotations && {
        annotations: keyValueRecord(annotations, 'annotation', `${path}.annotations`),
      }),
    }
    const clusters = clusterTargetsOf(targets, context, `${path}.targets`)
    const objects = clusters.map((cluster) => keyOf('Namespace', cluster.name, '', name))
    return {
      title: `create ${describeTargets(objects)}`,
      steps: objects.map((object) => ({
        object,
        purpose: 'create',
        action: {
          type: 'CREATE',
          manifest: { apiVersion: 'v1', kind: 'Namespace', metadata },
          ifAbsent: ifAbsent ?? true,
        },
      })),
    }
  },
})

interface RemoveInput extends Pick<DeleteInput, 'ifPresent' | 'waitUntilGone'> {
  readonly targets: ClusterTargetsInput
  readonly name: string
  readonly confirmName: string
}

changeField<RemoveInput>('deleteNamespace', {
  description: 'Deletes a namespace, and everything in it, in each of the clusters.',
  fields: (t) => ({
    targets: t.field({ type: ClusterTargets, required: true, description: 'In which clusters.' }),
    name: t.string({ required: true, description: 'Name of the namespace.' }),
    confirmName: t.string({
      required: true,
      description: 'The same name once more: everything in it goes, and does not come back.',
    }),
    ifPresent: t.boolean({
      defaultValue: false,
      description: 'Whether one that is not there is UNCHANGED, and not FAILED with NOT_FOUND.',
    }),
    waitUntilGone: t.boolean({
      defaultValue: false,
      description: 'Whether to wait until it and everything in it is gone.',
    }),
  }),
  compose: (input, context, path) => {
    const { targets, name, confirmName } = input
    requireNamed(name, dnsLabel, `${path}.name`)
    if (confirmName !== name) {
      throw badUserInput(`"confirmName" is not the name "${name}".`, `${path}.confirmName`)
    }
    const clusters = clusterTargetsOf(targets, context, `${path}.targets`)
    const objects = clusters.map((cluster) => keyOf('Namespace', cluster.name, '', name))
    const action = deletion(input, path)
    return {
      title: `delete ${describeTargets(objects)}`,
      steps: objects.map((object) => ({ object, purpose: 'delete', action })),
    }
  },
})
