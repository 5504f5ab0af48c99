/**
 * Random RBAC as fast-check makes it – roles, bindings, users, requests – as objects of the API. The words are few,
 * so that things meet: rules with names, wildcards and subresources, roles that are not there, service accounts
 * with and without a namespace.
 */
import * as fc from 'fast-check'
import type { Action } from '../../../src/access/policy.ts'
import type { User } from '../../../src/access/viewer.ts'

export const NAMESPACES = ['team-a', 'team-b', 'team-c'] as const
export const OBJECT_NAMES = ['web', 'db', 'team-a'] as const
/** Carried by cluster roles that others are put together from. */
const PARTS = ['alpha', 'beta'] as const

export interface Rule {
  readonly verbs: readonly string[]
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
}

export interface RbacObject {
  readonly apiVersion: 'rbac.authorization.k8s.io/v1'
  readonly kind: 'Role' | 'ClusterRole' | 'RoleBinding' | 'ClusterRoleBinding'
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly rules?: readonly Rule[]
  readonly aggregationRule?: unknown
  readonly roleRef?: { readonly apiGroup: string; readonly kind: string; readonly name: string }
  readonly subjects?: readonly Readonly<Record<string, string>>[]
}

/** One or more of these, those in front more often. */
const some = <T>(...values: readonly T[]) =>
  fc
    .uniqueArray(fc.nat(values.length * values.length - 1), { minLength: 1, maxLength: 3 })
    .map((picks) => [
      ...new Set(picks.map((pick) => values[values.length - 1 - Math.floor(Math.sqrt(pick))]!)),
    ])

const RESOURCES = [
  'pods',
  'configmaps',
  'deployments',
  'pods/log',
  'nodes',
  'namespaces',
  'deployments/scale',
  '*/scale',
  '*',
  'pods/*',
  '*/*',
] as const

const resourceRule = fc.record({
  verbs: some('list', 'watch', 'get', 'create', '*', 'update'),
  apiGroups: some('', 'apps', '*', 'example.com'),
  resources: some<string>(...RESOURCES),
})
const namedRule = fc.record({
  verbs: some('list', 'watch', 'get', '*'),
  apiGroups: some('', 'apps', '*'),
  resources: some<string>(...RESOURCES).map((resources) => resources.slice(0, 1)),
  resourceNames: some('web', 'db', 'team-a', '*', ''),
})
const urlRule: fc.Arbitrary<Rule> = fc.constant({ verbs: ['*'], nonResourceURLs: ['*'] })
const rules = (namespaced: boolean): fc.Arbitrary<Rule[]> =>
  fc.array(
    fc.oneof(
      { weight: 5, arbitrary: resourceRule },
      { weight: 3, arbitrary: namedRule },
      ...(namespaced ? [] : [{ weight: 1, arbitrary: urlRule }]),
    ),
    { maxLength: 4 },
  )

const apiVersion = 'rbac.authorization.k8s.io/v1'
const namespace = fc.constantFrom(...NAMESPACES)
const roleName = fc.constantFrom('reader', 'writer', 'odd:role')
const clusterRoleName = fc.constantFrom('viewer', 'editor', 'reader', 'part-1', 'part-2')
const aggregatedName = fc.constantFrom('sum', 'all')

const role = fc
  .record({ namespace, name: roleName, rules: rules(true) })
  .map(({ namespace, name, rules }): RbacObject => ({
    apiVersion,
    kind: 'Role',
    metadata: { namespace, name },
    rules,
  }))
const clusterRole = fc
  .record({ name: clusterRoleName, rules: rules(false), part: fc.constantFrom(...PARTS, undefined) })
  .map(({ name, rules, part }): RbacObject => ({
    apiVersion,
    kind: 'ClusterRole',
    metadata: { name, ...(part && { labels: { part } }) },
    rules,
  }))
const aggregated = fc
  .record({ name: aggregatedName, parts: fc.subarray([...PARTS], { minLength: 1 }) })
  .map(({ name, parts }): RbacObject => ({
    apiVersion,
    kind: 'ClusterRole',
    metadata: { name },
    aggregationRule: { clusterRoleSelectors: parts.map((part) => ({ matchLabels: { part } })) },
  }))

const USERS = ['ada', 'bob', 'cy'] as const
const GROUPS = ['dev', 'ops', 'system:serviceaccounts', 'system:serviceaccounts:team-a'] as const
const ACCOUNTS = ['default', 'bot'] as const

const person = fc.oneof(
  fc.constantFrom(...USERS).map((name) => ({ kind: 'User', name })),
  fc.constantFrom(...GROUPS, 'system:authenticated').map((name) => ({ kind: 'Group', name })),
  // Named as a user, a service account is the same.
  fc.constant({ kind: 'User', name: 'system:serviceaccount:team-a:bot' }),
)
const account = fc
  .tuple(fc.constantFrom(...ACCOUNTS), namespace)
  .map(([name, namespace]) => ({ kind: 'ServiceAccount', name, namespace }))
const localAccount = fc.constantFrom(...ACCOUNTS).map((name) => ({ kind: 'ServiceAccount', name }))

const subjects = (namespaced: boolean) =>
  fc
    .array(
      namespaced
        ? fc.oneof(
            { weight: 3, arbitrary: person },
            { weight: 1, arbitrary: account },
            { weight: 1, arbitrary: localAccount },
          )
        : fc.oneof({ weight: 3, arbitrary: person }, { weight: 1, arbitrary: account }),
      { maxLength: 4 },
    )
    .map((subjects) =>
      subjects.map((subject): Readonly<Record<string, string>> =>
        subject.kind === 'ServiceAccount' ? subject : { ...subject, apiGroup: 'rbac.authorization.k8s.io' },
      ),
    )

const bindingName = fc.constantFrom('one', 'two', 'three', 'four')
const toClusterRole = fc
  .oneof(clusterRoleName, aggregatedName, fc.constant('not-there'))
  .map((name) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name }))
const toRole = fc
  .oneof(roleName, fc.constant('not-there'))
  .map((name) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name }))

const roleBinding = fc
  .record({
    namespace,
    name: bindingName,
    roleRef: fc.oneof(toRole, toClusterRole),
    subjects: subjects(true),
  })
  .map(({ namespace, name, roleRef, subjects }): RbacObject => ({
    apiVersion,
    kind: 'RoleBinding',
    metadata: { namespace, name },
    roleRef,
    subjects,
  }))
const clusterRoleBinding = fc
  .record({ name: bindingName, roleRef: toClusterRole, subjects: subjects(false) })
  .map(({ name, roleRef, subjects }): RbacObject => ({
    apiVersion,
    kind: 'ClusterRoleBinding',
    metadata: { name },
    roleRef,
    subjects,
  }))

export const rbacObject = fc.oneof(
  { weight: 3, arbitrary: role },
  { weight: 3, arbitrary: clusterRole },
  { weight: 1, arbitrary: aggregated },
  { weight: 5, arbitrary: roleBinding },
  { weight: 2, arbitrary: clusterRoleBinding },
)

export function keyOf({ kind, metadata: { namespace = '', name } }: RbacObject): string {
  return `${kind}/${namespace}/${name}`
}

export const policy = fc.uniqueArray(rbacObject, { selector: keyOf, minLength: 25, maxLength: 60 })

export const user: fc.Arbitrary<User> = fc.oneof(
  fc.record({
    name: fc.constantFrom(...USERS),
    groups: fc.subarray(['dev', 'ops', 'system:authenticated']),
  }),
  fc.tuple(namespace, fc.constantFrom(...ACCOUNTS)).map(([namespace, name]) => ({
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  })),
)
export const privilegedUser: User = { name: 'root', groups: ['system:masters', 'system:authenticated'] }

const ASKED = [
  'pods',
  'pods',
  'pods',
  'configmaps',
  'deployments',
  'nodes',
  'namespaces',
  '*',
  'pods/log',
] as const

/** Also such as no request to an API server comes to: RBAC has an answer to them all. */
export const action: fc.Arbitrary<Action> = fc.record(
  {
    verb: fc.constantFrom('list', 'list', 'watch', 'watch', 'get', 'create', 'update', 'escalate', '*'),
    group: fc.constantFrom('', '', '', 'apps', 'apps', 'example.com', '*'),
    resource: fc.constantFrom(...ASKED),
    subresource: fc.constantFrom('', '', '', '', 'log', 'scale', 'status', '*'),
    namespace: fc.constantFrom('', ...NAMESPACES, ...NAMESPACES),
    name: fc.constantFrom('', ...OBJECT_NAMES, '*'),
  },
  { requiredKeys: ['verb', 'group', 'resource', 'namespace'] },
)
