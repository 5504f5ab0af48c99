/** ResourceQuota: limits on what a namespace may use. */
import type { ResourceQuotaRow } from '../../kubernetes/rows.ts'
import { where } from '../filters.ts'
import { defineList } from '../list.ts'
import { placeList } from '../place.ts'
import { ResourcesRef } from '../quantities.ts'
import { KIND_REFS, KubernetesObject, Node } from '../refs.ts'
import { namespacedFields } from './namespaced.ts'

/** The largest part of any limit that is used: 1 is exhausted. */
function usage({ hard, used }: ResourceQuotaRow): number {
  let highest = 0
  for (const name in hard) {
    const limit = hard[name]!.value
    const amount = used[name]?.value ?? 0
    highest = Math.max(highest, limit > 0 ? amount / limit : Number(amount > 0))
  }
  return highest
}

const resourceQuotaList = defineList({
  name: 'ResourceQuota',
  plural: 'ResourceQuotas',
  kinds: ['ResourceQuota'],
  node: KIND_REFS.ResourceQuota,
  filter: (t) => ({
    usageOver: t.float({ description: 'With a limit of which more than this part is used: 0.9 is 90 %.' }),
  }),
  conditions: ({ usageOver }) =>
    usageOver == null ? [] : [where<ResourceQuotaRow>((row) => usage(row) > usageOver)],
  order: {
    USAGE: {
      description: 'The largest part of any limit that is used: DESC is nearest to exhaustion first.',
      value: usage,
    },
  },
})

placeList('resourceQuotas', resourceQuotaList)

KIND_REFS.ResourceQuota.implement({
  description: 'A ResourceQuota: limits on what a namespace may use.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    hard: t.expose('hard', { type: ResourcesRef, description: 'The limits, such as `requests.cpu`.' }),
    used: t.expose('used', { type: ResourcesRef, description: 'What is used of each.' }),
    usage: t.float({
      description: 'The largest part of any limit that is used: 0.9 is 90 %, 1 is exhausted.',
      resolve: usage,
    }),
    scopes: t.exposeStringList('scopes', {
      description: 'What it counts, such as `BestEffort`; empty: everything.',
    }),
  }),
})
