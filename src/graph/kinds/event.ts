/** Event: what a component of a cluster reported about an object. */
import type { EventRow } from '../../kubernetes/rows.ts'
import { equals, oneOf, text, TextFilter, where } from '../filters.ts'
import { defineList } from '../list.ts'
import { placeChanges, placeList } from '../place.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'
import { isKind } from '../relations.ts'
import { namespacedFields } from './namespaced.ts'

export const eventList = defineList({
  name: 'Event',
  plural: 'events',
  kinds: ['Event'],
  node: KIND_REFS.Event,
  filter: (t) => ({
    types: t.stringList({ description: 'Of these types: `Normal`, `Warning`.' }),
    reasons: t.stringList({ description: 'With these reasons, such as `FailedScheduling` or `BackOff`.' }),
    message: t.field({ type: TextFilter, description: 'By the message.' }),
    source: t.string({ description: 'Reported by this component, such as `kubelet`.' }),
    regardingKind: t.string({ description: 'About objects of this Kubernetes kind.' }),
    regardingName: t.string({ description: 'About objects of this name.' }),
    regardingUid: t.string({ description: 'About the object with this UID. Indexed.' }),
    seenAfter: t.field({ type: 'DateTime', description: 'Last seen at this moment or later.' }),
  }),
  conditions: ({
    types,
    reasons,
    message,
    source,
    regardingKind,
    regardingName,
    regardingUid,
    seenAfter,
  }) => [
    ...(regardingUid == null
      ? []
      : [
          {
            index: { name: 'regarding' as const, value: regardingUid },
            test: (row: EventRow) => row.regardingUid === regardingUid,
          },
        ]),
    ...oneOf<EventRow, string>(types, (row) => row.type),
    ...oneOf<EventRow, string>(reasons, (row) => row.reason),
    ...text<EventRow>(message, (row) => row.message),
    ...equals<EventRow, string>(source, (row) => row.source),
    ...equals<EventRow, string>(regardingKind, (row) => row.regardingKind),
    ...equals<EventRow, string>(regardingName, (row) => row.regardingName),
    ...(seenAfter == null
      ? []
      : [where<EventRow>((row) => row.lastSeen !== null && row.lastSeen >= seenAfter)]),
  ],
  order: {
    LAST_SEEN: { description: 'When it was last seen: DESC is newest first.', value: (row) => row.lastSeen },
    FIRST_SEEN: { description: 'When it was first seen.', value: (row) => row.firstSeen },
    COUNT: { description: 'How often it was seen.', value: (row) => row.count },
  },
  defaultOrder: [{ field: 'LAST_SEEN', direction: 'DESC' }],
})

placeList('events', eventList)
placeChanges('eventChanges', eventList)

KIND_REFS.Event.implement({
  description:
    'An Event: something that a component of the cluster reported about an object. Clusters keep them for about an hour.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    type: t.exposeString('type', { description: '`Normal` or `Warning`.' }),
    reason: t.exposeString('reason', { description: 'A word for a program, such as `FailedScheduling`.' }),
    message: t.exposeString('message', { description: 'A sentence for a person.' }),
    count: t.exposeInt('count', { description: 'How often it was seen.' }),
    firstSeen: t.expose('firstSeen', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was first seen; null where that is not known.',
    }),
    lastSeen: t.expose('lastSeen', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last seen; null where that is not known.',
    }),
    source: t.exposeString('source', { description: 'The component that reports it, such as `kubelet`.' }),
    regardingKind: t.exposeString('regardingKind', {
      description: 'Kubernetes kind of the object it is about.',
    }),
    regardingNamespace: t.string({
      nullable: true,
      description: 'Namespace of the object it is about; null where it has none.',
      resolve: (row) => row.regardingNamespace || null,
    }),
    regardingName: t.exposeString('regardingName', { description: 'Name of the object it is about.' }),
    regardingUid: t.exposeString('regardingUid', { description: 'UID of the object it is about.' }),
    regarding: t.field({
      type: KubernetesObject,
      nullable: true,
      description:
        'The object it is about; null if it is gone, not visible to you, or of a kind that the gateway does not keep.',
      resolve: (row, _arguments, { fleet }) => {
        const { regardingKind: kind, cluster, regardingNamespace, regardingName, regardingUid } = row
        if (!isKind(kind)) return null
        const object = fleet.get(kind, cluster, regardingNamespace, regardingName)
        // Kubelets give the name of their node as its UID.
        const same = kind === 'Node' || regardingUid === '' || object?.uid === regardingUid
        return object && same ? object : null
      },
    }),
  }),
})
