/**
 * What the cluster serves, as clients discover it: the aggregated document (apidiscovery.k8s.io/v2, KEP-3352)
 * and the older lists of groups, versions and resources. Derived from the resource table alone.
 */
import { groupVersion, type ResourceTable, type ServedResource } from './resources.ts'

interface Subresource {
  readonly name: string
  readonly kind: string
  readonly group?: string
  readonly version?: string
  readonly verbs: readonly string[]
}

const readWrite = ['get', 'patch', 'update']

const special: Readonly<Record<string, readonly Subresource[]>> = {
  '/pods': [
    { name: 'binding', kind: 'Binding', group: '', version: 'v1', verbs: ['create'] },
    { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
    { name: 'log', kind: 'Pod', verbs: ['get'] },
  ],
  '/namespaces': [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }],
  '/serviceaccounts': [
    { name: 'token', kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: ['create'] },
  ],
}

function subresources({ definition, kind }: ServedResource): readonly Subresource[] {
  const scale: Subresource = {
    name: 'scale',
    kind: 'Scale',
    group: 'autoscaling',
    version: 'v1',
    verbs: readWrite,
  }
  return [
    ...(special[`${definition.group}/${definition.resource}`] ?? []),
    ...(definition.scale ? [scale] : []),
    ...(definition.status ? [{ name: 'status', kind, verbs: readWrite }] : []),
  ]
}

/** Resources that only answer a POST and are stored nowhere. */
export const reviews: readonly {
  readonly group: string
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
}[] = [
  {
    group: 'authentication.k8s.io',
    resource: 'selfsubjectreviews',
    kind: 'SelfSubjectReview',
    namespaced: false,
  },
  { group: 'authentication.k8s.io', resource: 'tokenreviews', kind: 'TokenReview', namespaced: false },
  {
    group: 'authorization.k8s.io',
    resource: 'localsubjectaccessreviews',
    kind: 'LocalSubjectAccessReview',
    namespaced: true,
  },
  {
    group: 'authorization.k8s.io',
    resource: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    namespaced: false,
  },
  {
    group: 'authorization.k8s.io',
    resource: 'selfsubjectrulesreviews',
    kind: 'SelfSubjectRulesReview',
    namespaced: false,
  },
  {
    group: 'authorization.k8s.io',
    resource: 'subjectaccessreviews',
    kind: 'SubjectAccessReview',
    namespaced: false,
  },
]

/** `GET /api` or `/apis` in the aggregated form; `core` chooses which. */
export function aggregated(table: ResourceTable, core: boolean, apiVersion: string): unknown {
  const items = [...table.groups()].filter(([group]) => (group === '') === core)
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion,
    metadata: {},
    items: items.map(([group, versions]) => ({
      metadata: { ...(group === '' ? {} : { name: group }), creationTimestamp: null },
      versions: [...versions].map(([version, resources]) => ({
        version,
        freshness: 'Current',
        resources: [
          ...resources.map((served) => ({
            resource: served.resource,
            responseKind: { group: '', version: '', kind: served.kind },
            scope: served.definition.namespaced ? 'Namespaced' : 'Cluster',
            singularResource: served.definition.singular,
            verbs: served.verbs,
            ...optional('shortNames', served.definition.shortNames),
            ...optional('categories', served.definition.categories),
            ...optional(
              'subresources',
              subresources(served).map(
                ({ name, kind, group: subGroup = '', version: subVersion = '', verbs }) => ({
                  subresource: name,
                  responseKind: { group: subGroup, version: subVersion, kind },
                  verbs,
                }),
              ),
            ),
          })),
          ...reviews
            .filter((review) => review.group === group)
            .map(({ resource, kind, namespaced }) => ({
              resource,
              responseKind: { group: '', version: '', kind },
              scope: namespaced ? 'Namespaced' : 'Cluster',
              singularResource: kind.toLowerCase(),
              verbs: ['create'],
            })),
        ],
      })),
    })),
  }
}

function optional(key: string, values: readonly unknown[]): Readonly<Record<string, unknown>> {
  return values.length === 0 ? {} : { [key]: values }
}

export function apiVersions(address: string): unknown {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
  }
}

function apiGroup(name: string, versions: readonly string[]): Readonly<Record<string, unknown>> {
  const all = versions.map((version) => ({ groupVersion: groupVersion(name, version), version }))
  return { name, versions: all, preferredVersion: all[0] }
}

export function apiGroups(table: ResourceTable): unknown {
  const groups = [...table.groups()].filter(([group]) => group !== '')
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: groups.map(([group, versions]) => apiGroup(group, [...versions.keys()])),
  }
}

/** `GET /apis/GROUP`; undefined for a group that is not served. */
export function oneGroup(table: ResourceTable, name: string): unknown {
  const versions = table.groups().get(name)
  return versions === undefined
    ? undefined
    : { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(name, [...versions.keys()]) }
}

/** `GET /api/v1`, `/apis/GROUP/VERSION`; undefined for a version that is not served. */
export function resourceList(table: ResourceTable, group: string, version: string): unknown {
  const resources = table.groups().get(group)?.get(version)
  if (resources === undefined) return undefined
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: groupVersion(group, version),
    resources: [
      ...resources.flatMap((served) => [
        {
          name: served.resource,
          singularName: served.definition.singular,
          namespaced: served.definition.namespaced,
          kind: served.kind,
          verbs: served.verbs,
          ...optional('shortNames', served.definition.shortNames),
          ...optional('categories', served.definition.categories),
        },
        ...subresources(served).map(({ name, kind, group: subGroup, version: subVersion, verbs }) => ({
          name: `${served.resource}/${name}`,
          singularName: '',
          namespaced: served.definition.namespaced,
          ...(subGroup === undefined ? {} : { group: subGroup, version: subVersion }),
          kind,
          verbs,
        })),
      ]),
      ...reviews
        .filter((review) => review.group === group)
        .map(({ resource, kind, namespaced }) => ({
          name: resource,
          singularName: kind.toLowerCase(),
          namespaced,
          kind,
          verbs: ['create'],
        })),
    ],
  }
}
