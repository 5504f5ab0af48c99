/**
 * The table of resources that a simulated cluster serves: names, kinds, scope, short names, categories
 * and subresources (Kubernetes API reference and discovery documents), built-in ones and those that
 * CustomResourceDefinitions add while the cluster runs.
 *
 * Invariant: one definition per storage key; a resource that is served in several versions or groups
 * (HPA v1 and v2, events of the core and of events.k8s.io) has several `ServedResource`s of one definition.
 * Deliberately knows nothing of defaults, validation or printing: those are tables of their own, by key.
 */
import type { KubeObject, ResourceKey } from './registry.ts'

export interface ResourceDefinition extends ResourceKey {
  /** The version that is stored. */
  readonly version: string
  readonly kind: string
  readonly listKind: string
  readonly singular: string
  readonly namespaced: boolean
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  /** Whether the server counts changes of the spec in `metadata.generation`. */
  readonly generation: boolean
  readonly status: boolean
  readonly scale: boolean
  /** Name of the type in the client library's model (`V1Pod`); undefined for custom resources. */
  readonly model: string | undefined
  /** The definition, where a CustomResourceDefinition made the resource. */
  readonly custom: KubeObject | undefined
}

export interface ServedResource {
  readonly definition: ResourceDefinition
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly kind: string
  readonly model: string | undefined
  readonly verbs: readonly string[]
  /** The version that clients should use of this group. */
  readonly preferred: boolean
}

export function keyOf(key: ResourceKey): string {
  return `${key.group}/${key.resource}`
}

export function groupVersion(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`
}

const allVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const

interface Row {
  readonly group: string
  readonly resource: string
  readonly kind: string
  readonly short?: string
  readonly all?: true
  readonly cluster?: true
  /** g: generation, s: status, c: scale. */
  readonly traits?: string
  readonly version?: string
  readonly model?: string
  readonly categories?: readonly string[]
  readonly singular?: string
}

const rows: readonly Row[] = [
  { group: '', resource: 'namespaces', kind: 'Namespace', short: 'ns', cluster: true, traits: 's' },
  { group: '', resource: 'nodes', kind: 'Node', short: 'no', cluster: true, traits: 's' },
  { group: '', resource: 'pods', kind: 'Pod', short: 'po', all: true, traits: 'gs' },
  { group: '', resource: 'services', kind: 'Service', short: 'svc', all: true, traits: 's' },
  { group: '', resource: 'endpoints', kind: 'Endpoints', short: 'ep' },
  { group: '', resource: 'configmaps', kind: 'ConfigMap', short: 'cm' },
  { group: '', resource: 'secrets', kind: 'Secret' },
  { group: '', resource: 'serviceaccounts', kind: 'ServiceAccount', short: 'sa' },
  { group: '', resource: 'persistentvolumeclaims', kind: 'PersistentVolumeClaim', short: 'pvc', traits: 's' },
  {
    group: '',
    resource: 'persistentvolumes',
    kind: 'PersistentVolume',
    short: 'pv',
    cluster: true,
    traits: 's',
  },
  { group: '', resource: 'resourcequotas', kind: 'ResourceQuota', short: 'quota', traits: 's' },
  { group: '', resource: 'limitranges', kind: 'LimitRange', short: 'limits' },
  { group: '', resource: 'events', kind: 'Event', short: 'ev', model: 'CoreV1Event' },
  { group: 'apps', resource: 'deployments', kind: 'Deployment', short: 'deploy', all: true, traits: 'gsc' },
  { group: 'apps', resource: 'replicasets', kind: 'ReplicaSet', short: 'rs', all: true, traits: 'gsc' },
  { group: 'apps', resource: 'statefulsets', kind: 'StatefulSet', short: 'sts', all: true, traits: 'gsc' },
  { group: 'apps', resource: 'daemonsets', kind: 'DaemonSet', short: 'ds', all: true, traits: 'gs' },
  { group: 'apps', resource: 'controllerrevisions', kind: 'ControllerRevision' },
  { group: 'batch', resource: 'jobs', kind: 'Job', all: true, traits: 'gs' },
  { group: 'batch', resource: 'cronjobs', kind: 'CronJob', short: 'cj', all: true, traits: 'gs' },
  {
    group: 'autoscaling',
    resource: 'horizontalpodautoscalers',
    kind: 'HorizontalPodAutoscaler',
    short: 'hpa',
    all: true,
    traits: 's',
    version: 'v2',
  },
  { group: 'networking.k8s.io', resource: 'ingresses', kind: 'Ingress', short: 'ing', traits: 'gs' },
  {
    group: 'networking.k8s.io',
    resource: 'ingressclasses',
    kind: 'IngressClass',
    cluster: true,
    traits: 'g',
  },
  {
    group: 'networking.k8s.io',
    resource: 'networkpolicies',
    kind: 'NetworkPolicy',
    short: 'netpol',
    traits: 'g',
  },
  {
    group: 'policy',
    resource: 'poddisruptionbudgets',
    kind: 'PodDisruptionBudget',
    short: 'pdb',
    traits: 'gs',
  },
  { group: 'discovery.k8s.io', resource: 'endpointslices', kind: 'EndpointSlice', traits: 'g' },
  { group: 'coordination.k8s.io', resource: 'leases', kind: 'Lease' },
  { group: 'storage.k8s.io', resource: 'storageclasses', kind: 'StorageClass', short: 'sc', cluster: true },
  {
    group: 'scheduling.k8s.io',
    resource: 'priorityclasses',
    kind: 'PriorityClass',
    short: 'pc',
    cluster: true,
    traits: 'g',
  },
  { group: 'rbac.authorization.k8s.io', resource: 'roles', kind: 'Role' },
  { group: 'rbac.authorization.k8s.io', resource: 'rolebindings', kind: 'RoleBinding' },
  { group: 'rbac.authorization.k8s.io', resource: 'clusterroles', kind: 'ClusterRole', cluster: true },
  {
    group: 'rbac.authorization.k8s.io',
    resource: 'clusterrolebindings',
    kind: 'ClusterRoleBinding',
    cluster: true,
  },
  {
    group: 'apiextensions.k8s.io',
    resource: 'customresourcedefinitions',
    kind: 'CustomResourceDefinition',
    short: 'crd,crds',
    cluster: true,
    traits: 'gs',
    categories: ['api-extensions'],
  },
  {
    group: 'metrics.k8s.io',
    resource: 'nodes',
    kind: 'NodeMetrics',
    cluster: true,
    version: 'v1beta1',
    singular: '',
  },
  { group: 'metrics.k8s.io', resource: 'pods', kind: 'PodMetrics', version: 'v1beta1', singular: '' },
]

function definitionOf(row: Row): ResourceDefinition {
  const traits = row.traits ?? ''
  const version = row.version ?? 'v1'
  return {
    group: row.group,
    resource: row.resource,
    version,
    kind: row.kind,
    listKind: `${row.kind}List`,
    singular: row.singular ?? row.kind.toLowerCase(),
    namespaced: row.cluster !== true,
    shortNames: row.short?.split(',') ?? [],
    categories: row.categories ?? (row.all === true ? ['all'] : []),
    generation: traits.includes('g'),
    status: traits.includes('s'),
    scale: traits.includes('c'),
    model:
      row.group === 'metrics.k8s.io' ? undefined : (row.model ?? `${version.replace('v', 'V')}${row.kind}`),
    custom: undefined,
  }
}

function verbsOf({ group, resource }: ResourceKey): readonly string[] {
  if (group === 'metrics.k8s.io') return ['get', 'list']
  return resource === 'namespaces' ? allVerbs.filter((verb) => verb !== 'deletecollection') : allVerbs
}

const builtIn: readonly ServedResource[] = rows.flatMap((row) => {
  const definition = definitionOf(row)
  const served: ServedResource = {
    definition,
    group: definition.group,
    version: definition.version,
    resource: definition.resource,
    kind: definition.kind,
    model: definition.model,
    verbs: verbsOf(definition),
    preferred: true,
  }
  if (row.kind === 'Event') {
    return [served, { ...served, group: 'events.k8s.io', version: 'v1', model: 'EventsV1Event' }]
  }
  if (row.kind === 'HorizontalPodAutoscaler') {
    return [served, { ...served, version: 'v1', model: 'V1HorizontalPodAutoscaler', preferred: false }]
  }
  return [served]
})

/** Order in which the real server lists its groups. */
const groupOrder = [
  '',
  'apps',
  'events.k8s.io',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'storage.k8s.io',
  'apiextensions.k8s.io',
  'scheduling.k8s.io',
  'coordination.k8s.io',
  'discovery.k8s.io',
]

/** What one cluster serves; changes when a CustomResourceDefinition comes, changes or goes. */
export class ResourceTable {
  readonly #definitions = new Map<string, ResourceDefinition>()
  readonly #served = new Map<string, ServedResource>()
  #revision = 0

  constructor() {
    for (const served of builtIn) this.#add(served)
  }

  /** Grows with every change: for caches of what is derived from the table. */
  get revision(): number {
    return this.#revision
  }

  definition(key: ResourceKey): ResourceDefinition | undefined {
    return this.#definitions.get(keyOf(key))
  }

  served(group: string, version: string, resource: string): ServedResource | undefined {
    return this.#served.get(`${group}/${version}/${resource}`)
  }

  all(): readonly ServedResource[] {
    return [...this.#served.values()]
  }

  /** By group as the real server orders them, preferred versions first. */
  groups(): ReadonlyMap<string, ReadonlyMap<string, readonly ServedResource[]>> {
    const groups = new Map<string, Map<string, ServedResource[]>>()
    for (const group of groupOrder) groups.set(group, new Map())
    groups.get('authentication.k8s.io')!.set('v1', [])
    groups.get('authorization.k8s.io')!.set('v1', [])
    for (const served of this.#served.values()) {
      const versions = groups.get(served.group) ?? new Map<string, ServedResource[]>()
      groups.set(served.group, versions)
      const list = versions.get(served.version) ?? []
      versions.set(served.version, list)
      list.push(served)
    }
    return groups
  }

  addCustom(definition: ResourceDefinition, versions: readonly string[]): void {
    const preferred = preferredVersion(versions)
    for (const version of versions) {
      this.#add({
        definition,
        group: definition.group,
        version,
        resource: definition.resource,
        kind: definition.kind,
        model: undefined,
        verbs: ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'],
        preferred: version === preferred,
      })
    }
  }

  removeCustom(key: ResourceKey): void {
    if (this.#definitions.get(keyOf(key))?.custom === undefined) return
    this.#definitions.delete(keyOf(key))
    for (const [id, served] of this.#served)
      if (keyOf(served.definition) === keyOf(key)) this.#served.delete(id)
    this.#revision++
  }

  #add(served: ServedResource): void {
    this.#definitions.set(keyOf(served.definition), served.definition)
    this.#served.set(`${served.group}/${served.version}/${served.resource}`, served)
    this.#revision++
  }
}

/** Kubernetes' version priority: GA over beta over alpha, then the higher number. */
function preferredVersion(versions: readonly string[]): string | undefined {
  return [...versions].sort((a, b) => rank(b) - rank(a))[0]
}

function rank(version: string): number {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version)
  if (match === null) return -1
  const stage = match[2] === undefined ? 2 : match[2] === 'beta' ? 1 : 0
  return stage * 1e6 + Number(match[1]) * 1e3 + Number(match[3] ?? 0)
}
