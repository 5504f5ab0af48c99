/** RBAC objects for tests, as an API server has them, and the tables that they stand in. */
import type { FeedProblem } from '../../../src/fleet/feed.ts'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import type { Kind } from '../../../src/kubernetes/rows.ts'
import type { Scope } from '../../../src/fleet/selection.ts'
import type { FakeCluster } from '../../support/fake-fleet.ts'
import type { RbacObject, Rule } from './policies.ts'

const apiVersion = 'rbac.authorization.k8s.io/v1'
const apiGroup = 'rbac.authorization.k8s.io'

/** `list,watch pods,configmaps web`: verbs, resources of the core group or `deployments.apps`, names. */
export function rule(text: string): Rule {
  const [verbs = '', resources = '', names] = text.split(' ')
  const [first = ''] = resources.split(',')
  const group = first.includes('.') ? first.slice(first.indexOf('.') + 1) : ''
  return {
    verbs: verbs.split(','),
    apiGroups: [group],
    resources: resources.split(',').map((resource) => resource.split('.')[0]!),
    ...(names !== undefined && { resourceNames: names.split(',') }),
  }
}

export function role(namespace: string, name: string, ...rules: readonly string[]): RbacObject {
  return { apiVersion, kind: 'Role', metadata: { namespace, name }, rules: rules.map(rule) }
}

export function clusterRole(name: string, ...rules: readonly string[]): RbacObject {
  return { apiVersion, kind: 'ClusterRole', metadata: { name }, rules: rules.map(rule) }
}

/** `user ada`, `group dev`, `account team-a/bot` or, of the binding's own namespace, `account bot`. */
function subject(text: string): Readonly<Record<string, string>> {
  const [kind, name = ''] = text.split(' ')
  if (kind === 'user') return { apiGroup, kind: 'User', name }
  if (kind === 'group') return { apiGroup, kind: 'Group', name }
  const [namespace, account] = name.split('/')
  return account === undefined
    ? { kind: 'ServiceAccount', name }
    : { kind: 'ServiceAccount', name: account, namespace: namespace! }
}

/** `to`: `Role/reader` or `ClusterRole/view`. */
export function binding(
  namespace: string,
  name: string,
  to: string,
  ...subjects: readonly string[]
): RbacObject {
  const [kind = '', roleName = ''] = to.split('/')
  return {
    apiVersion,
    kind: namespace === '' ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name, ...(namespace !== '' && { namespace }) },
    roleRef: { apiGroup, kind, name: roleName },
    subjects: subjects.map(subject),
  }
}

const KINDS_OF_RBAC = ['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding'] as const

let lastVersion = 1_000

function stamped(object: RbacObject): object {
  const { kind, metadata } = object
  return {
    ...object,
    metadata: {
      ...metadata,
      uid: `${kind}/${metadata.namespace ?? ''}/${metadata.name}`,
      resourceVersion: `${++lastVersion}`,
    },
  }
}

/** Makes these all that the cluster has of roles and bindings. */
export function loadRbac(cluster: FakeCluster, objects: readonly RbacObject[]): FakeCluster {
  for (const kind of KINDS_OF_RBAC) {
    cluster.load(
      kind,
      objects.filter((object) => object.kind === kind).map((object) => stamped(object)),
    )
  }
  return cluster
}

/** Adds them, or puts them in the place of those with their names. */
export function apply(cluster: FakeCluster, ...objects: readonly RbacObject[]): void {
  for (const object of objects) {
    cluster.apply(object.kind, {
      type: 'Apply',
      row: project(object.kind)(stamped(object), cluster.name),
    } as never)
  }
}

export function remove(cluster: FakeCluster, ...objects: readonly RbacObject[]): void {
  for (const object of objects) {
    cluster.apply(object.kind, {
      type: 'Delete',
      row: project(object.kind)(stamped(object), cluster.name),
    } as never)
  }
}

/** Whether a scope shows an object. */
export function shows(scope: Scope | undefined, namespace: string, name: string): boolean {
  if (scope === undefined || scope === 'all') return scope === 'all'
  return (
    scope.namespaces.has(namespace) ||
    (scope.names?.has(name) ?? false) ||
    (scope.objects?.has(`${namespace}/${name}`) ?? false)
  )
}

/** A scope as plain data. */
export function plain(scope: Scope | undefined): unknown {
  if (scope === undefined) return 'nothing'
  if (scope === 'all') return 'all'
  const { namespaces, objects, names } = scope
  return {
    ...(namespaces.size > 0 && { namespaces: [...namespaces].sort() }),
    ...(objects && { objects: [...objects].sort() }),
    ...(names && { names: [...names].sort() }),
  }
}

/** One of the tables cannot be followed, for this reason. */
export function refuse(cluster: FakeCluster, code: FeedProblem['code'], kind: Kind = 'Role'): void {
  cluster.apply(kind, { type: 'Down', problem: { code, message: 'The API server said no.' } })
}
