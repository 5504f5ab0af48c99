/**
 * RBAC over the cluster's own Role and Binding objects, as the API server's authorizer evaluates them
 * (Kubernetes documentation, "Using RBAC Authorization"; `plugin/pkg/auth/authorizer/rbac`), and the roles
 * and bindings that every cluster starts with. Additive rules only; `system:masters` may do everything.
 * Of an aggregated role it reads `rules`, which a controller fills (`controllers/cluster-role-aggregation.ts`).
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

interface Binding {
  readonly binding: KubeObject
  /** As the reason names it: `ClusterRoleBinding "a"`, `RoleBinding "b/shop"`. */
  readonly place: string
  readonly subject: string
  /** `undefined`: its role does not exist. */
  readonly rules: readonly Rule[] | undefined
}

export class Authorizer {
  readonly #storage: Storage
  readonly #rules = new WeakMap<KubeObject, readonly Rule[]>()

  constructor(storage: Storage) {
    this.#storage = storage
  }

  authorize(user: UserInfo, attributes: Attributes): Decision {
    if (user.groups.includes('system:masters')) return { allowed: true, reason: '' }
    const missing: string[] = []
    for (const { binding, place, subject, rules } of this.#bindingsOf(user, attributes.namespace ?? '')) {
      const { kind, name } = roleRefOf(binding)
      if (rules === undefined) missing.push(`${kind.toLowerCase()}.${group} "${name}" not found`)
      else if (rules.some((rule) => permits(rule, attributes))) {
        return { allowed: true, reason: `RBAC: allowed by ${place} of ${kind} "${name}" to ${subject}` }
      }
    }
    if (missing.length === 0) return { allowed: false, reason: '' }
    const [only, ...others] = Array.from(new Set(missing))
    return {
      allowed: false,
      reason: `RBAC: ${others.length === 0 ? only : `[${[only, ...others].join(', ')}]`}`,
    }
  }

  /** Every rule that holds for the user in a namespace, cluster-wide ones included. */
  rules(user: UserInfo, namespace: string): readonly Rule[] {
    if (user.groups.includes('system:masters')) return [everything, everyPath]
    return Array.from(this.#bindingsOf(user, namespace)).flatMap(({ rules = [] }) => rules)
  }

  /** Of these the user is a subject: those of the whole cluster first, then those of the namespace. */
  *#bindingsOf(user: UserInfo, namespace: string): Iterable<Binding> {
    for (const binding of this.#storage.list(keys.clusterRoleBindings)) {
      const subject = matchedSubject(binding, user, '')
      if (subject === undefined) continue
      const place = `ClusterRoleBinding "${binding.metadata.name}"`
      yield { binding, place, subject, rules: this.#roleRules(binding, '') }
    }
    if (namespace === '') return
    for (const binding of this.#storage.list(keys.roleBindings, namespace)) {
      const subject = matchedSubject(binding, user, namespace)
      if (subject === undefined) continue
      const place = `RoleBinding "${binding.metadata.name}/${namespace}"`
      yield { binding, place, subject, rules: this.#roleRules(binding, namespace) }
    }
  }

  #roleRules(binding: KubeObject, namespace: string): readonly Rule[] | undefined {
    const { kind, name } = roleRefOf(binding)
    const role =
      kind === 'Role'
        ? this.#storage.get(keys.roles, namespace, name)
        : kind === 'ClusterRole'
          ? this.#storage.get(keys.clusterRoles, '', name)
          : undefined
    if (role === undefined) return undefined
    let rules = this.#rules.get(role)
    if (rules === undefined) this.#rules.set(role, (rules = asArray(role['rules']).map(ruleOf)))
    return rules
  }
}

function roleRefOf(binding: KubeObject): { readonly kind: string; readonly name: string } {
  const reference = asObject(binding['roleRef'])
  return { kind: asString(reference['kind']), name: asString(reference['name']) }
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
      (url) => url === path || (url.endsWith('*') && path.startsWith(url.replace(/\*+$/, ''))),
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

/** How a binding of this namespace names the user: `User "a"`, `Group "b"`; undefined if it does not. */
function matchedSubject(binding: KubeObject, user: UserInfo, namespace: string): string | undefined {
  for (const subject of asArray(binding['subjects'])) {
    const kind = at(subject, 'kind')
    const name = asString(at(subject, 'name'))
    if (kind === 'User' && name === user.username) return `User "${name}"`
    if (kind === 'Group' && user.groups.includes(name)) return `Group "${name}"`
    if (kind === 'ServiceAccount') {
      const own = asString(at(subject, 'namespace')) || namespace
      if (own !== '' && user.username === `system:serviceaccount:${own}:${name}`)
        return `ServiceAccount "${name}/${own}"`
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

/** What a bootstrap role allows: of an aggregated one the rules of its parts, by their names. */
function rulesOf({ rules, aggregates }: BootstrapRole): readonly RuleInput[] {
  if (aggregates === undefined) return rules
  return bootstrapRoles
    .filter(({ partOf }) => partOf === aggregates)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(rulesOf)
}

/** The roles and bindings of a cluster whose controllers have run. */
export function bootstrapPolicy(): readonly {
  readonly key: ResourceKey
  readonly object: KubeObjectInput
}[] {
  return bootstrapRoles.flatMap((each) => {
    const { name, partOf, aggregates, bindTo } = each
    const role: KubeObjectInput = {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRole',
      metadata: {
        name,
        labels: { ...defaultLabels, ...(partOf === undefined ? {} : { [aggregateLabel(partOf)]: 'true' }) },
        annotations: defaultAnnotations,
      },
      rules: rulesOf(each),
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
