/** `objectChanges`: objects of any kinds in one stream, by what all kinds have in common. */
import { ALL_KINDS } from '../kubernetes/kinds.ts'
import type { Row } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'
import {
  changeType,
  coverageWithin,
  followArguments,
  followRows,
  HOW_TO_FOLLOW,
  rowChange,
} from './changes.ts'
import { KindEnum } from './enums.ts'
import { commonConditions, commonFields, type CommonFilter } from './filters.ts'
import { KubernetesObject } from './refs.ts'

const ObjectFilter = builder.inputRef<CommonFilter>('ObjectFilter').implement({
  description:
    'Which objects. All that is given has to hold; what is absent or null accepts everything. `namespaces` leaves out kinds without one.',
  fields: (t) => commonFields(t, true),
})

const ObjectChange = changeType<Row>({
  name: 'Object',
  plural: 'objects of any kind',
  node: KubernetesObject,
})

builder.subscriptionField('objectChanges', (t) =>
  t.field({
    type: ObjectChange,
    description: `Objects of any kinds of all clusters as they come, change and go. ${HOW_TO_FOLLOW}`,
    args: {
      kinds: t.arg({
        type: [KindEnum],
        description: 'Of these kinds; absent: of all, which is a lot: name those that you show.',
      }),
      filter: t.arg({ type: ObjectFilter, description: 'Which of them; absent: all.' }),
      ...followArguments(t),
    },
    subscribe: (_root, args, context) =>
      followRows(context, kindsOf(args.kinds), commonConditions(args.filter ?? {}, 'filter'), args),
    resolve: (event, { kinds, filter }, { fleet }) =>
      rowChange(event, fleet, () => coverageWithin(fleet, kindsOf(kinds), filter)),
  }),
)

function kindsOf(kinds: readonly Row['kind'][] | null | undefined): readonly Row['kind'][] {
  return kinds ? Array.from(new Set(kinds)) : ALL_KINDS
}
