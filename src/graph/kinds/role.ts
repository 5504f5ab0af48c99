/** Role and ClusterRole: rights, for those whom a binding gives them. */
import type { ClusterRoleRow, PolicyRule, RoleRow } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import {
  anyText,
  TextFilter,
  where,
  type Condition,
  type InputFields,
  type TextFilterInput,
} from '../filters.ts'
import { defineList, listField } from '../list.ts'
import { selectorText } from '../metadata.ts'
import { placeList } from '../place.ts'
import { AnyRole, KIND_REFS, KubernetesObject, Node, typeNameOf } from '../refs.ts'
import { bindingsOf } from '../relations.ts'
import { namespacedFields } from './namespaced.ts'
import { clusterRoleBindingList, roleBindingList } from './role-binding.ts'

/** The fields of both kinds' filters. */
function roleFields(t: InputFields) {
  return {
    verb: t.field({
      type: TextFilter,
      description:
        'With a rule that names such a verb. `*` is a verb like others: it does not stand for all.',
    }),
    resource: t.field({
      type: TextFilter,
      description:
        'With a rule that names such a resource, in the plural, with a subresource as `pods/log`. `*` is compared as it is written.',
    }),
  }
}

interface RoleFilterInput {
  readonly verb?: TextFilterInput | null | undefined
  readonly resource?: TextFilterInput | null | undefined
}

function roleConditions<R extends RoleRow | ClusterRoleRow>({
  verb,
  resource,
}: RoleFilterInput): readonly Condition<R>[] {
  return [
    ...anyText<R>(verb, (row) => row.rules.flatMap((rule) => rule.verbs)),
    ...anyText<R>(resource, (row) => row.rules.flatMap((rule) => rule.resources)),
  ]
}

const RULES = {
  RULES: {
    description: 'How many rules it has.',
    value: (row: RoleRow | ClusterRoleRow) => row.rules.length,
  },
}

placeList(
  'roles',
  defineList({
    name: 'Role',
    plural: 'Roles',
    kinds: ['Role'],
    node: KIND_REFS.Role,
    filter: roleFields,
    conditions: roleConditions<RoleRow>,
    order: RULES,
  }),
)

placeList(
  'clusterRoles',
  defineList({
    name: 'ClusterRole',
    plural: 'ClusterRoles',
    kinds: ['ClusterRole'],
    node: KIND_REFS.ClusterRole,
    namespaced: false,
    filter: (t) => ({
      ...roleFields(t),
      aggregated: t.boolean({ description: 'Whether its rules are put together from those of others.' }),
    }),
    conditions: ({ aggregated, ...filter }) => [
      ...roleConditions<ClusterRoleRow>(filter),
      ...(aggregated == null
        ? []
        : [where<ClusterRoleRow>((row) => row.aggregationSelectors.length > 0 === aggregated)]),
    ],
    order: RULES,
  }),
)

const PolicyRuleRef = builder.objectRef<PolicyRule>('PolicyRule').implement({
  description:
    'What a role allows: each of the verbs on each of the resources. Rights only add up; nothing takes one away.',
  fields: (t) => ({
    verbs: t.exposeStringList('verbs', {
      description: 'Such as `get`, `list`, `watch`, `create`, `patch`, `delete`; `*`: all.',
    }),
    apiGroups: t.exposeStringList('apiGroups', {
      description: 'API groups of the resources; the empty text is the core group, `*` all of them.',
    }),
    resources: t.exposeStringList('resources', {
      description:
        'Resources in the plural. A subresource is named beside its resource, as `pods/log`, and not allowed with it; `*`: all, with their subresources.',
    }),
    resourceNames: t.exposeStringList('resourceNames', {
      description: 'Only objects of these names; empty: of any.',
    }),
    nonResourceURLs: t.exposeStringList('nonResourceURLs', {
      description: 'Paths of the API server that are no resources, such as `/healthz` or `/metrics/*`.',
    }),
  }),
})

AnyRole.implement({
  description: 'A Role or a ClusterRole: rights, for those whom a binding gives them.',
  interfaces: [Node, KubernetesObject],
  resolveType: (row) => typeNameOf(row.kind),
  fields: (t) => ({
    rules: t.expose('rules', {
      type: [PolicyRuleRef],
      description: 'What it allows; each rule by itself. Of an aggregated ClusterRole: all together.',
    }),
    roleBindings: listField(
      t,
      roleBindingList,
      'The RoleBindings that give it: each in its own namespace.',
      (row: RoleRow | ClusterRoleRow, { fleet }) => bindingsOf(row, fleet),
    ),
  }),
})

KIND_REFS.Role.implement({
  description: 'A Role: rights in its namespace, for those whom a RoleBinding of that namespace gives it.',
  interfaces: [Node, KubernetesObject, AnyRole],
  fields: (t) => namespacedFields(t),
})

KIND_REFS.ClusterRole.implement({
  description:
    'A ClusterRole: rights that a RoleBinding gives in one namespace, and a ClusterRoleBinding in all and on objects without one.',
  interfaces: [Node, KubernetesObject, AnyRole],
  fields: (t) => ({
    aggregated: t.boolean({
      description: 'Whether its rules are put together from those of other ClusterRoles.',
      resolve: (row) => row.aggregationSelectors.length > 0,
    }),
    aggregationSelectors: t.stringList({
      description:
        "Of an aggregated one: the ClusterRoles that any of these selects, in Kubernetes' syntax. Else empty.",
      resolve: (row) => row.aggregationSelectors.map(selectorText),
    }),
    clusterRoleBindings: listField(
      t,
      clusterRoleBindingList,
      'The ClusterRoleBindings that give it: in the whole cluster.',
      (row: ClusterRoleRow, { fleet }) => bindingsOf(row, fleet),
    ),
  }),
})
