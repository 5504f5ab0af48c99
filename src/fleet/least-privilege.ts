/**
 * What the gateway's own credentials need in each cluster, and what they had better not have. With nothing
 * more than the role that is made here they fill every table, find out who signs in and what they may do, and
 * act for them; they read no Secret and write nothing.
 */
import { ALL_KINDS, KINDS } from '../kubernetes/kinds.ts'

/** What a right is needed for: `TABLES` to keep kinds in memory; the others as the field is called. */
export type Purpose = 'TABLES' | 'TOKEN_REVIEW' | 'ACCESS_REVIEW' | 'IMPERSONATION'

/** `EVERYTHING`: whatever there is. `RIGHTS`: it gives rights to itself or to others. */
export type Danger = 'EVERYTHING' | 'RIGHTS' | 'SECRETS' | 'EXEC' | 'WRITE'

/** Verbs on one resource. */
export interface Right {
  readonly verbs: readonly string[]
  /** `''` is the core group. */
  readonly group: string
  /** Plural. */
  readonly resource: string
  /** `''`: the resource itself. */
  readonly subresource: string
}

export interface NeededRight extends Right {
  readonly purpose: Purpose
}

export interface DangerousRight extends Right {
  readonly danger: Danger
}

/** A ClusterRole to apply, as `kubectl apply` takes it. */
export interface ClusterRoleManifest {
  readonly apiVersion: 'rbac.authorization.k8s.io/v1'
  readonly kind: 'ClusterRole'
  readonly metadata: { readonly name: string }
  readonly rules: readonly {
    readonly apiGroups: readonly string[]
    readonly resources: readonly string[]
    readonly verbs: readonly string[]
  }[]
}

const READ = ['get', 'list', 'watch']
const WRITE = ['create', 'update', 'patch', 'delete', 'deletecollection']
const IDENTITY = 'authentication.k8s.io'
const RBAC = 'rbac.authorization.k8s.io'

/** The ClusterRole `fleetgraph`: bound to the gateway's user or service account in every cluster. */
export function leastPrivilegedRole(): ClusterRoleManifest {
  const groups = new Map<string, string[]>()
  for (const kind of ALL_KINDS) {
    const { group, resource } = KINDS[kind]
    groups.set(group, [...(groups.get(group) ?? []), resource].sort())
  }
  const tables = Array.from(groups.entries()).sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'fleetgraph' },
    rules: [
      ...tables.map(([group, resources]) => ({ apiGroups: [group], resources, verbs: READ })),
      { apiGroups: [IDENTITY], resources: ['tokenreviews'], verbs: ['create'] },
      { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
      { apiGroups: [''], resources: ['groups', 'serviceaccounts', 'users'], verbs: ['impersonate'] },
      // `uids` and `userextras/<key>` for any key: RBAC has no wildcard after a slash.
      { apiGroups: [IDENTITY], resources: ['*'], verbs: ['impersonate'] },
    ],
  }
}

function needed(purpose: Purpose, verb: string, group: string, resource: string, subresource = '') {
  return { purpose, verbs: [verb], group, resource, subresource }
}

/** What that role allows beside the tables. */
export const NEEDED_BESIDE_TABLES: readonly NeededRight[] = [
  needed('TOKEN_REVIEW', 'create', IDENTITY, 'tokenreviews'),
  needed('ACCESS_REVIEW', 'create', 'authorization.k8s.io', 'subjectaccessreviews'),
  needed('IMPERSONATION', 'impersonate', '', 'users'),
  needed('IMPERSONATION', 'impersonate', '', 'groups'),
  needed('IMPERSONATION', 'impersonate', '', 'serviceaccounts'),
  needed('IMPERSONATION', 'impersonate', IDENTITY, 'uids'),
  needed('IMPERSONATION', 'impersonate', IDENTITY, 'userextras', '*'),
]

/** To keep a kind in memory. */
export function neededForTable({
  group,
  resource,
}: {
  readonly group: string
  readonly resource: string
}): NeededRight {
  return { purpose: 'TABLES', verbs: READ, group, resource, subresource: '' }
}

export const EVERYTHING: DangerousRight = {
  danger: 'EVERYTHING',
  verbs: ['*'],
  group: '*',
  resource: '*',
  subresource: '',
}

function dangerous(
  danger: Danger,
  verbs: readonly string[],
  group: string,
  ...resources: readonly string[]
): readonly DangerousRight[] {
  return resources.map((named) => {
    const [resource = '', subresource = ''] = named.split('/')
    return { danger, verbs, group, resource, subresource }
  })
}

/** What of all beyond the role does harm in the wrong hands; the worst first. */
export const DANGEROUS: readonly DangerousRight[] = [
  ...dangerous('RIGHTS', [...WRITE, 'bind', 'escalate'], RBAC, 'clusterroles', 'roles'),
  ...dangerous('RIGHTS', WRITE, RBAC, 'clusterrolebindings', 'rolebindings'),
  ...dangerous('RIGHTS', ['create'], '', 'serviceaccounts/token'),
  ...dangerous('SECRETS', READ, '', 'secrets'),
  ...dangerous('EXEC', ['get', 'create'], '', 'pods/exec', 'pods/attach', 'pods/portforward', 'pods/proxy'),
  ...dangerous('EXEC', ['get', 'create'], '', 'nodes/proxy'),
  ...dangerous('EXEC', ['update', 'patch'], '', 'pods/ephemeralcontainers'),
  ...dangerous('WRITE', WRITE, '', 'secrets', 'pods', 'configmaps', 'services', 'namespaces', 'nodes'),
  ...dangerous('WRITE', WRITE, 'apps', 'deployments', 'statefulsets', 'daemonsets', 'replicasets'),
  ...dangerous('WRITE', WRITE, 'batch', 'jobs', 'cronjobs'),
]
