/**
 * The table of kinds that the gateway keeps in memory: how each is addressed in the API and how its
 * objects become rows. To add a kind: its row in `rows.ts`, its projection in `projections/`, a line
 * here; the compiler then lists what is missing in the graph.
 */
import type { Kind, Rows } from './rows.ts'

/** One served version of a resource. */
export interface ResourceAddress {
  /** `''` is the core group. */
  readonly group: string
  readonly version: string
  /** Plural, as in the URL. */
  readonly resource: string
}

export interface KindInfo {
  readonly kind: Kind
  readonly group: string
  /** Newest first: the first that the API server serves is used. */
  readonly versions: readonly [string, ...string[]]
  /** Plural, as in the URL. */
  readonly resource: string
  readonly namespaced: boolean
}

function kind(
  kind: Kind,
  group: string,
  versions: KindInfo['versions'],
  resource: string,
  namespaced = true,
): KindInfo {
  return { kind, group, versions, resource, namespaced }
}

const RBAC = 'rbac.authorization.k8s.io'
const RBAC_VERSIONS = ['v1', 'v1beta1'] as const satisfies KindInfo['versions']

/**
 * In the order in which a cluster's tables are synced first: rights, without which nothing is shown; then
 * small and referenced kinds before pods.
 */
export const KINDS = {
  ClusterRole: kind('ClusterRole', RBAC, RBAC_VERSIONS, 'clusterroles', false),
  ClusterRoleBinding: kind('ClusterRoleBinding', RBAC, RBAC_VERSIONS, 'clusterrolebindings', false),
  Role: kind('Role', RBAC, RBAC_VERSIONS, 'roles'),
  RoleBinding: kind('RoleBinding', RBAC, RBAC_VERSIONS, 'rolebindings'),
  Namespace: kind('Namespace', '', ['v1'], 'namespaces', false),
  Node: kind('Node', '', ['v1'], 'nodes', false),
  Deployment: kind('Deployment', 'apps', ['v1'], 'deployments'),
  ReplicaSet: kind('ReplicaSet', 'apps', ['v1'], 'replicasets'),
  StatefulSet: kind('StatefulSet', 'apps', ['v1'], 'statefulsets'),
  DaemonSet: kind('DaemonSet', 'apps', ['v1'], 'daemonsets'),
  Job: kind('Job', 'batch', ['v1'], 'jobs'),
  CronJob: kind('CronJob', 'batch', ['v1', 'v1beta1'], 'cronjobs'),
  Pod: kind('Pod', '', ['v1'], 'pods'),
  Service: kind('Service', '', ['v1'], 'services'),
  EndpointSlice: kind('EndpointSlice', 'discovery.k8s.io', ['v1', 'v1beta1'], 'endpointslices'),
  Ingress: kind('Ingress', 'networking.k8s.io', ['v1', 'v1beta1'], 'ingresses'),
  ConfigMap: kind('ConfigMap', '', ['v1'], 'configmaps'),
  PersistentVolumeClaim: kind('PersistentVolumeClaim', '', ['v1'], 'persistentvolumeclaims'),
  PersistentVolume: kind('PersistentVolume', '', ['v1'], 'persistentvolumes', false),
  StorageClass: kind('StorageClass', 'storage.k8s.io', ['v1'], 'storageclasses', false),
  HorizontalPodAutoscaler: kind(
    'HorizontalPodAutoscaler',
    'autoscaling',
    ['v2', 'v2beta2', 'v1'],
    'horizontalpodautoscalers',
  ),
  ResourceQuota: kind('ResourceQuota', '', ['v1'], 'resourcequotas'),
  Event: kind('Event', '', ['v1'], 'events'),
} as const satisfies Record<Kind, KindInfo>

/** Every kind, in sync order. */
export const ALL_KINDS = Object.keys(KINDS) as readonly Kind[]

/** The kinds behind the interface `Workload`. */
export const WORKLOAD_KINDS = [
  'Deployment',
  'StatefulSet',
  'DaemonSet',
  'ReplicaSet',
  'Job',
  'CronJob',
] as const satisfies readonly Kind[]

/** `/api/v1/namespaces/shop/pods/web-0`; without a namespace all of them, without a name the collection. */
export function resourcePath(address: ResourceAddress, namespace?: string, name?: string): string {
  const root = address.group === '' ? `/api/${address.version}` : `/apis/${address.group}/${address.version}`
  const scope = namespace ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  const object = name ? `/${encodeURIComponent(name)}` : ''
  return `${root}${scope}/${address.resource}${object}`
}

/**
 * The global object identification of Relay: base64url of `kind/cluster/namespace/name`. Opaque to
 * clients; names of clusters never hold a slash (the configuration sees to it), nor do Kubernetes' names.
 */
export function globalId(kind: Kind | 'Cluster', cluster: string, namespace = '', name = ''): string {
  return Buffer.from(`${kind}/${cluster}/${namespace}/${name}`).toString('base64url')
}

export interface ObjectReference<K extends Kind = Kind> {
  readonly kind: K
  readonly cluster: string
  readonly namespace: string
  readonly name: string
}

/** The reverse of `globalId`; `undefined` for anything that is not one. */
export function parseGlobalId(
  id: string,
): ObjectReference | { readonly kind: 'Cluster'; readonly cluster: string } | undefined {
  const parts = Buffer.from(id, 'base64url').toString().split('/')
  const [kind, cluster, namespace, name] = parts
  if (parts.length !== 4 || !kind || !cluster || namespace === undefined || name === undefined)
    return undefined
  if (kind === 'Cluster') return namespace === '' && name === '' ? { kind, cluster } : undefined
  if (!Object.hasOwn(KINDS, kind) || name === '') return undefined
  return { kind: kind as Kind, cluster, namespace, name }
}

/** Turns a raw object of the API into the row of its kind. Provided by `projections/`. */
export type Projection<K extends Kind> = (object: unknown, cluster: string) => Rows[K]
