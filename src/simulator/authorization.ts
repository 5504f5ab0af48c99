/**
 * RBAC over the cluster's own Role and Binding objects, as the API server's authorizer evaluates them
 * (Kubernetes documentation, "Using RBAC Authorization"), and the roles and bindings that every cluster
 * starts with. Additive rules only; `system:masters` may do everything.
 */
import { asArray, asObject, asString, at } from './json.ts'
import type { KubeObject, KubeObjectInput, ResourceKey } from './registry.ts'
import type { Storage } from './storage.ts'

export interface UserInfo {
  readonly username: string
  readonly uid?: string
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export interface Attributes {
  readonly verb: string
  readonly group?: string
  readonly version?: string
  readonly resource?: string
  readonly subresource?: string
  readonly name?: string
  readonly namespace?: string
  /** Set instead of the resource fields for paths such as /healthz. */
  readonly path?: string
}

export interface Rule {
  readonly verbs: readonly string[]
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames: readonly string[]
  readonly nonResourceURLs: readonly string[]
}

export interface Decision {
  readonly allowed: boolean
  readonly reason: string
}

const group = 'rbac.authorization.k8s.io'
const keys = {
  roles: { group, resource: 'roles' },
  roleBindings: { group, resource: 'rolebindings' },
  clusterRoles: { group, resource: 'clusterroles' },
  clusterRoleBindings: { group, resource: 'clusterrolebindings' },
} as const satisfies Record<string, ResourceKey>

export class Authorizer {
  readonly #storage: Storage
  readonly #rules = new WeakMap<KubeObject, readonly Rule[]>()
  /** Aggregated cluster roles, until any cluster role changes. */
  #aggregated = new Map<string, readonly Rule[]>()

  constructor(storage: Storage) {
    this.#storage = storage
    storage.onCommit(({ key }) => {
      if (key.resource === 'clusterroles') this.#aggregated = new Map()
    })
  }

  authorize(user: UserInfo, attributes: Attributes): Decision {
    if (user.groups.includes('system:masters')) return { allowed: true, reason: '' }
    for (const { binding, rules, scope } of this.#bindingsOf(user, attributes.namespace ?? '')) {
      if (!rules.some((rule) => permits(rule, attributes))) continue
      const { name } = binding.metadata
      const at = scope === '' ? `ClusterRoleBinding "${name}"` : `RoleBinding "${name}/${scope}"`
      const role = asObject(binding['roleRef'])
      const to = `${asString(role['kind'])} "${asString(role['name'])}"`
      return { allowed: true, reason: `RBAC: allowed by ${at} of ${to} to ${matchedSubject(binding, user)}` }
    }
    return { allowed: false, reason: '' }
  }

  /** Every rule that holds for the user in a namespace, cluster-wide ones included. */
  rules(user: UserInfo, namespace: string): readonly Rule[] {
    if (user.groups.includes('system:masters')) return [everything, everyPath]
    return this.#bindingsOf(user, namespace).flatMap(({ rules }) => rules)
  }

  #bindingsOf(
    user: UserInfo,
    namespace: string,
  ): readonly { binding: KubeObject; rules: readonly Rule[]; scope: string }[] {
    const found = this.#storage
      .list(keys.clusterRoleBindings)
      .filter((binding) => matchedSubject(binding, user) !== undefined)
      .map((binding) => ({ binding, rules: this.#roleRules(binding, ''), scope: '' }))
    if (namespace === '') return found
    const local = this.#storage
      .list(keys.roleBindings, namespace)
      .filter((binding) => matchedSubject(binding, user) !== undefined)
      .map((binding) => ({ binding, rules: this.#roleRules(binding, namespace), scope: namespace }))
    return [...found, ...local]
  }

  #roleRules(binding: KubeObject, namespace: string): readonly Rule[] {
    const name = asString(at(binding, 'roleRef', 'name'))
    const isRole = at(binding, 'roleRef', 'kind') === 'Role'
    const role = isRole
      ? this.#storage.get(keys.roles, namespace, name)
      : this.#storage.get(keys.clusterRoles, '', name)
    return role === undefined ? [] : this.#rulesOf(role)
  }

  #rulesOf(role: KubeObject): readonly Rule[] {
    const selectors = asArray(at(role, 'aggregationRule', 'clusterRoleSelectors'))
    if (selectors.length > 0) return this.#aggregatedRules(role, selectors)
    let rules = this.#rules.get(role)
    if (rules === undefined) this.#rules.set(role, (rules = asArray(role['rules']).map(ruleOf)))
    return rules
  }

  #aggregatedRules(role: KubeObject, selectors: readonly unknown[]): readonly Rule[] {
    const { name } = role.metadata
    let rules = this.#aggregated.get(name)
    if (rules === undefined) {
      const parts = this.#storage.list(keys.clusterRoles).filter((other) => {
        return (
          other !== role &&
          selectors.some((selector) =>
            Object.entries(asObject(at(selector, 'matchLabels'))).every(
              ([key, value]) => other.metadata.labels?.[key] === value,
            ),
          )
        )
      })
      // A role that aggregates another aggregating one (admin of edit) is followed; cycles end at the map.
      this.#aggregated.set(name, [])
      rules = [...asArray(role['rules']).map(ruleOf), ...parts.flatMap((part) => this.#rulesOf(part))]
      this.#aggregated.set(name, rules)
    }
    return rules
  }
}

const everything: Rule = {
  verbs: ['*'],
  apiGroups: ['*'],
  resources: ['*'],
  resourceNames: [],
  nonResourceURLs: [],
}
const everyPath: Rule = {
  verbs: ['*'],
  apiGroups: [],
  resources: [],
  resourceNames: [],
  nonResourceURLs: ['*'],
}

function ruleOf(value: unknown): Rule {
  const strings = (key: string): readonly string[] => asArray(at(value, key)).map(asString)
  return {
    verbs: strings('verbs'),
    apiGroups: strings('apiGroups'),
    resources: strings('resources'),
    resourceNames: strings('resourceNames'),
    nonResourceURLs: strings('nonResourceURLs'),
  }
}

function permits(rule: Rule, attributes: Attributes): boolean {
  if (!rule.verbs.includes('*') && !rule.verbs.includes(attributes.verb)) return false
  const { path } = attributes
  if (path !== undefined) {
    return rule.nonResourceURLs.some(
      (url) => url === '*' || url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1))),
    )
  }
  if (!rule.apiGroups.includes('*') && !rule.apiGroups.includes(attributes.group ?? '')) return false
  const resource = attributes.resource ?? ''
  const subresource = attributes.subresource ?? ''
  const full = subresource === '' ? resource : `${resource}/${subresource}`
  const matches = rule.resources.some(
    (one) => one === '*' || one === full || (subresource !== '' && one === `*/${subresource}`),
  )
  if (!matches) return false
  return rule.resourceNames.length === 0 || rule.resourceNames.includes(attributes.name ?? '')
}

/** How the binding names the user: `User "a"`, `Group "b"`; undefined if it does not. */
function matchedSubject(binding: KubeObject, user: UserInfo): string | undefined {
  for (const subject of asArray(binding['subjects'])) {
    const kind = at(subject, 'kind')
    const name = asString(at(subject, 'name'))
    if (kind === 'User' && (name === user.username || name === '*')) return `User "${name}"`
    if (kind === 'Group' && user.groups.includes(name)) return `Group "${name}"`
    if (kind === 'ServiceAccount') {
      const namespace = asString(at(subject, 'namespace')) || (binding.metadata.namespace ?? '')
      if (user.username === `system:serviceaccount:${namespace}:${name}`)
        return `ServiceAccount "${name}/${namespace}"`
    }
  }
  return undefined
}

/** The groups that a service account's user has. */
export function serviceAccountUser(namespace: string, name: string, uid: string): UserInfo {
  return {
    username: `system:serviceaccount:${namespace}:${name}`,
    uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  }
}

const readVerbs = ['get', 'list', 'watch']
const writeVerbs = ['create', 'delete', 'deletecollection', 'patch', 'update']

interface RuleInput {
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
  readonly verbs: readonly string[]
}

const coreRead = [
  'bindings',
  'configmaps',
  'endpoints',
  'events',
  'limitranges',
  'namespaces',
  'namespaces/status',
  'persistentvolumeclaims',
  'persistentvolumeclaims/status',
  'pods',
  'pods/log',
  'pods/status',
  'replicationcontrollers',
  'replicationcontrollers/scale',
  'replicationcontrollers/status',
  'resourcequotas',
  'resourcequotas/status',
  'serviceaccounts',
  'services',
  'services/status',
]
const appsAll = [
  'controllerrevisions',
  'daemonsets',
  'deployments',
  'deployments/scale',
  'replicasets',
  'replicasets/scale',
  'statefulsets',
  'statefulsets/scale',
]
const appsStatus = ['daemonsets/status', 'deployments/status', 'replicasets/status', 'statefulsets/status']
const appsWrite = [
  'daemonsets',
  'deployments',
  'deployments/rollback',
  'deployments/scale',
  'replicasets',
  'replicasets/scale',
  'statefulsets',
  'statefulsets/scale',
]

const viewRules: readonly RuleInput[] = [
  { apiGroups: [''], resources: coreRead, verbs: readVerbs },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: readVerbs },
  { apiGroups: ['apps'], resources: [...appsAll, ...appsStatus], verbs: readVerbs },
  {
    apiGroups: ['autoscaling'],
    resources: ['horizontalpodautoscalers', 'horizontalpodautoscalers/status'],
    verbs: readVerbs,
  },
  {
    apiGroups: ['batch'],
    resources: ['cronjobs', 'cronjobs/status', 'jobs', 'jobs/status'],
    verbs: readVerbs,
  },
  {
    apiGroups: ['policy'],
    resources: ['poddisruptionbudgets', 'poddisruptionbudgets/status'],
    verbs: readVerbs,
  },
  {
    apiGroups: ['networking.k8s.io'],
    resources: ['ingresses', 'ingresses/status', 'networkpolicies'],
    verbs: readVerbs,
  },
  { apiGroups: ['metrics.k8s.io'], resources: ['pods', 'nodes'], verbs: readVerbs },
]

const editRules: readonly RuleInput[] = [
  {
    apiGroups: [''],
    resources: ['pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy', 'secrets', 'services/proxy'],
    verbs: readVerbs,
  },
  { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['impersonate'] },
  {
    apiGroups: [''],
    resources: ['pods', 'pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy'],
    verbs: writeVerbs,
  },
  { apiGroups: [''], resources: ['pods/eviction', 'serviceaccounts/token'], verbs: ['create'] },
  {
    apiGroups: [''],
    resources: [
      'configmaps',
      'events',
      'persistentvolumeclaims',
      'replicationcontrollers',
      'replicationcontrollers/scale',
      'secrets',
      'serviceaccounts',
      'services',
      'services/proxy',
    ],
    verbs: writeVerbs,
  },
  { apiGroups: ['apps'], resources: appsWrite, verbs: writeVerbs },
  { apiGroups: ['autoscaling'], resources: ['horizontalpodautoscalers'], verbs: writeVerbs },
  { apiGroups: ['batch'], resources: ['cronjobs', 'jobs'], verbs: writeVerbs },
  { apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: writeVerbs },
  { apiGroups: ['networking.k8s.io'], resources: ['ingresses', 'networkpolicies'], verbs: writeVerbs },
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: [...readVerbs, ...writeVerbs] },
]

const adminRules: readonly RuleInput[] = [
  { apiGroups: ['authorization.k8s.io'], resources: ['localsubjectaccessreviews'], verbs: ['create'] },
  { apiGroups: [group], resources: ['rolebindings', 'roles'], verbs: [...readVerbs, ...writeVerbs] },
]

const publicPaths = ['/healthz', '/livez', '/readyz', '/version', '/version/']
const discoveryPaths = ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*', ...publicPaths]

interface BootstrapRole {
  readonly name: string
  readonly rules: readonly RuleInput[]
  /** Label of the role that this one is part of. */
  readonly partOf?: string
  readonly aggregates?: string
  readonly bindTo?: readonly string[]
}

const bootstrapRoles: readonly BootstrapRole[] = [
  {
    name: 'cluster-admin',
    rules: [
      { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
      { nonResourceURLs: ['*'], verbs: ['*'] },
    ],
    bindTo: ['system:masters'],
  },
  { name: 'admin', rules: [], aggregates: 'admin' },
  { name: 'edit', rules: [], aggregates: 'edit', partOf: 'admin' },
  { name: 'view', rules: [], aggregates: 'view', partOf: 'edit' },
  { name: 'system:aggregate-to-admin', rules: adminRules, partOf: 'admin' },
  { name: 'system:aggregate-to-edit', rules: editRules, partOf: 'edit' },
  { name: 'system:aggregate-to-view', rules: viewRules, partOf: 'view' },
  {
    name: 'system:discovery',
    rules: [{ nonResourceURLs: discoveryPaths, verbs: ['get'] }],
    bindTo: ['system:authenticated'],
  },
  {
    name: 'system:basic-user',
    rules: [
      {
        apiGroups: ['authorization.k8s.io'],
        resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
        verbs: ['create'],
      },
      { apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'] },
    ],
    bindTo: ['system:authenticated'],
  },
  {
    name: 'system:public-info-viewer',
    rules: [{ nonResourceURLs: publicPaths, verbs: ['get'] }],
    bindTo: ['system:authenticated', 'system:unauthenticated'],
  },
]

const defaultLabels = { 'kubernetes.io/bootstrapping': 'rbac-defaults' }
const defaultAnnotations = { 'rbac.authorization.kubernetes.io/autoupdate': 'true' }

function aggregateLabel(name: string): string {
  return `rbac.authorization.k8s.io/aggregate-to-${name}`
}

/** The roles and bindings of a new cluster. */
export function bootstrapPolicy(): readonly {
  readonly key: ResourceKey
  readonly object: KubeObjectInput
}[] {
  return bootstrapRoles.flatMap(({ name, rules, partOf, aggregates, bindTo }) => {
    const role: KubeObjectInput = {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRole',
      metadata: {
        name,
        labels: { ...defaultLabels, ...(partOf === undefined ? {} : { [aggregateLabel(partOf)]: 'true' }) },
        annotations: defaultAnnotations,
      },
      rules,
      ...(aggregates === undefined
        ? {}
        : {
            aggregationRule: {
              clusterRoleSelectors: [{ matchLabels: { [aggregateLabel(aggregates)]: 'true' } }],
            },
          }),
    }
    if (bindTo === undefined) return [{ key: keys.clusterRoles, object: role }]
    const binding: KubeObjectInput = {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name, labels: defaultLabels, annotations: defaultAnnotations },
      roleRef: { apiGroup: group, kind: 'ClusterRole', name },
      subjects: bindTo.map((one) => ({ apiGroup: group, kind: 'Group', name: one })),
    }
    return [
      { key: keys.clusterRoles, object: role },
      { key: keys.clusterRoleBindings, object: binding },
    ]
  })
}
