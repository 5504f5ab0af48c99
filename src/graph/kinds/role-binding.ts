/** RoleBinding and ClusterRoleBinding: who has which role, in one namespace or in all. */
import type { ClusterRoleBindingRow, RoleBindingRow, RoleReference, Subject } from '../../kubernetes/rows.ts'
import { builder, type Types } from '../builder.ts'
import { equals, where, type Condition, type InputFields } from '../filters.ts'
import { defineList } from '../list.ts'
import { placeList } from '../place.ts'
import { AnyRole, KIND_REFS, KubernetesObject, Node } from '../refs.ts'
import { roleOf } from '../relations.ts'
import { namespacedFields } from './namespaced.ts'

type BindingRow = RoleBindingRow | ClusterRoleBindingRow

const SubjectKind = builder.enumType('SubjectKind', {
  description: 'What can be given a role.',
  values: {
    User: { description: 'A user, by the name that the cluster knows them by.' },
    Group: { description: 'Everyone who is in a group.' },
    ServiceAccount: { description: 'What runs as the service account of a namespace.' },
  } satisfies Record<Subject['kind'], { description: string }>,
})

const RoleKind = builder.enumType('RoleKind', {
  description: 'The kinds of roles.',
  values: {
    Role: { description: 'Of one namespace.' },
    ClusterRole: { description: 'Of the whole cluster.' },
  } satisfies Record<RoleReference['kind'], { description: string }>,
})

interface SubjectFilterInput {
  readonly kind?: Subject['kind'] | null | undefined
  readonly name?: string | null | undefined
  readonly namespace?: string | null | undefined
}

const SubjectFilter = builder.inputRef<SubjectFilterInput>('SubjectFilter').implement({
  description:
    'A condition on one of the subjects of a binding. All that is given has to hold of the same subject. Groups are not looked into: a user is found by their own name, and by that of each of their groups.',
  fields: (t) => ({
    kind: t.field({ type: SubjectKind, description: 'Of this kind.' }),
    name: t.string({ description: 'Of this name.' }),
    namespace: t.string({ description: 'A service account of this namespace.' }),
  }),
})

/** The fields of both kinds' filters. */
function bindingFields(t: InputFields) {
  return {
    roleKind: t.field({ type: RoleKind, description: 'Giving a role of this kind.' }),
    roleName: t.string({ description: 'Giving a role of this name.' }),
    subject: t.field({ type: SubjectFilter, description: 'Giving it to such a subject.' }),
  }
}

interface BindingFilterInput {
  readonly roleKind?: RoleReference['kind'] | null | undefined
  readonly roleName?: string | null | undefined
  readonly subject?: SubjectFilterInput | null | undefined
}

function bindingConditions<R extends BindingRow>({
  roleKind,
  roleName,
  subject,
}: BindingFilterInput): readonly Condition<R>[] {
  return [
    ...equals<R, string>(roleKind, (row) => row.roleRef.kind),
    ...equals<R, string>(roleName, (row) => row.roleRef.name),
    ...(subject ? [where<R>((row) => row.subjects.some(subjectTest(subject)))] : []),
  ]
}

function subjectTest({ kind, name, namespace }: SubjectFilterInput): (subject: Subject) => boolean {
  return (subject) =>
    (kind == null || subject.kind === kind) &&
    (name == null || subject.name === name) &&
    (namespace == null || subject.namespace === namespace)
}

const ORDER = {
  ROLE: { description: 'Name of the role that it gives.', value: (row: BindingRow) => row.roleRef.name },
}

export const roleBindingList = defineList({
  name: 'RoleBinding',
  plural: 'RoleBindings',
  kinds: ['RoleBinding'],
  node: KIND_REFS.RoleBinding,
  filter: bindingFields,
  conditions: bindingConditions<RoleBindingRow>,
  order: ORDER,
})

export const clusterRoleBindingList = defineList({
  name: 'ClusterRoleBinding',
  plural: 'ClusterRoleBindings',
  kinds: ['ClusterRoleBinding'],
  node: KIND_REFS.ClusterRoleBinding,
  namespaced: false,
  filter: bindingFields,
  conditions: bindingConditions<ClusterRoleBindingRow>,
  order: ORDER,
})

placeList('roleBindings', roleBindingList)
placeList('clusterRoleBindings', clusterRoleBindingList)

const RoleReferenceRef = builder.objectRef<RoleReference>('RoleReference').implement({
  description: 'The role that a binding gives. A binding can never come to give another.',
  fields: (t) => ({
    kind: t.expose('kind', { type: RoleKind, description: "`Role`: of the binding's own namespace." }),
    name: t.exposeString('name', { description: 'Name of the role.' }),
  }),
})

const SubjectRef = builder.objectRef<Subject>('Subject').implement({
  description: 'Whom a binding gives its role.',
  fields: (t) => ({
    kind: t.expose('kind', { type: SubjectKind, description: 'What it is.' }),
    name: t.exposeString('name', { description: 'Name of the user, the group or the service account.' }),
    namespace: t.string({
      nullable: true,
      description: 'Namespace of a service account; null for users and groups, which have none.',
      resolve: (subject) => subject.namespace || null,
    }),
  }),
})

/** The fields of both kinds, but for the role itself. */
function referenceFields<R extends BindingRow>(fields: PothosSchemaTypes.ObjectFieldBuilder<Types, R>) {
  const t = fields as unknown as PothosSchemaTypes.ObjectFieldBuilder<Types, BindingRow>
  return {
    roleRef: t.expose('roleRef', { type: RoleReferenceRef, description: 'Which role it gives.' }),
    subjects: t.expose('subjects', {
      type: [SubjectRef],
      description: 'Whom it gives the role, in the order in which they are written there.',
    }),
  }
}

KIND_REFS.RoleBinding.implement({
  description: 'A RoleBinding: it gives a role in its namespace, and nowhere else.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...namespacedFields(t),
    ...referenceFields(t),
    role: t.field({
      type: AnyRole,
      nullable: true,
      description: 'The role that it gives; null where that is missing or not visible to you.',
      resolve: (row, _arguments, { fleet }) => roleOf(row, fleet) ?? null,
    }),
  }),
})

KIND_REFS.ClusterRoleBinding.implement({
  description: 'A ClusterRoleBinding: it gives a role in all namespaces, and on objects without one.',
  interfaces: [Node, KubernetesObject],
  fields: (t) => ({
    ...referenceFields(t),
    role: t.field({
      type: KIND_REFS.ClusterRole,
      nullable: true,
      description: 'The role that it gives; null where that is missing or not visible to you.',
      resolve: ({ cluster, roleRef }, _arguments, { fleet }) =>
        roleRef.kind === 'ClusterRole' ? (fleet.get('ClusterRole', cluster, '', roleRef.name) ?? null) : null,
    }),
  }),
})
