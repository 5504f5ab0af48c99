/**
 * What one API server serves, and what we may do there. Discovery is read whole – in two requests where
 * the server offers the aggregated form (KEP-3352, on since 1.27), else group by group – kept for a
 * while, and read again when something is asked for that was not there.
 */
import { ApiError, type ApiClient, type Impersonation } from './client.ts'
import type { KindInfo, ResourceAddress } from './kinds.ts'
import { SharedWork } from './shared-work.ts'

export interface ServedResource extends ResourceAddress {
  readonly kind: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
  /** `scale`, `status`… */
  readonly subresources: readonly string[]
}

export interface DiscoveryOptions {
  readonly now?: () => number
  /** How long what was read is taken for true. Default 300,000. */
  readonly ttlMs?: number
  /** A miss reads again what is older than this. Default 10,000. */
  readonly missTtlMs?: number
}

interface Snapshot {
  readonly readAt: number
  /** By `group/version`, core without slash, then by kind and by resource. */
  readonly versions: ReadonlyMap<string, readonly ServedResource[]>
}

/** Methods throw the client's errors where nothing was ever read; later failures leave what is known. */
export class Discovery {
  readonly #client: ApiClient
  readonly #now: () => number
  readonly #ttlMs: number
  readonly #missTtlMs: number
  #snapshot: Snapshot | undefined
  readonly #reading = new SharedWork(async (signal) => {
    this.#snapshot = { readAt: this.#now(), versions: await this.#read(signal) }
    return this.#snapshot
  })

  constructor(
    client: ApiClient,
    { now = Date.now, ttlMs = 300_000, missTtlMs = 10_000 }: DiscoveryOptions = {},
  ) {
    this.#client = client
    this.#now = now
    this.#ttlMs = ttlMs
    this.#missTtlMs = missTtlMs
  }

  /** Where objects of this `apiVersion` and `kind` are; undefined where the cluster does not serve it. */
  async resolve(
    apiVersion: string,
    kind: string,
    signal?: AbortSignal,
  ): Promise<{ readonly address: ResourceAddress; readonly namespaced: boolean } | undefined> {
    const found = await this.#find(
      (versions) => versions.get(apiVersion)?.find((resource) => resource.kind === kind),
      signal,
    )
    return found && { address: addressOf(found), namespaced: found.namespaced }
  }

  /** The first of the kind's versions that the server serves, so that it can be listed. */
  async served(kind: KindInfo, signal?: AbortSignal): Promise<ResourceAddress | undefined> {
    const found = await this.#find((versions) => {
      for (const version of kind.versions) {
        const served = versions
          .get(groupVersion(kind.group, version))
          ?.find(({ resource, verbs }) => resource === kind.resource && verbs.includes('list'))
        if (served) return served
      }
      return undefined
    }, signal)
    return found && addressOf(found)
  }

  /** Everything that is served, in the server's order of preference. */
  async resources(signal?: AbortSignal): Promise<readonly ServedResource[]> {
    return [...(await this.#fresh(this.#ttlMs, signal)).versions.values()].flat()
  }

  /** The next question is put to the server. */
  expire(): void {
    if (this.#snapshot) this.#snapshot = { ...this.#snapshot, readAt: -Infinity }
  }

  async #find(
    search: (versions: Snapshot['versions']) => ServedResource | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ServedResource | undefined> {
    const found = search((await this.#fresh(this.#ttlMs, signal)).versions)
    return found ?? search((await this.#fresh(this.#missTtlMs, signal)).versions)
  }

  async #fresh(maxAgeMs: number, signal: AbortSignal | undefined): Promise<Snapshot> {
    const known = this.#snapshot
    if (known && this.#now() - known.readAt < maxAgeMs) return known
    try {
      return await this.#reading.join(signal)
    } catch (error) {
      if (!known || signal?.aborted) throw error
      return known
    }
  }

  async #read(signal: AbortSignal): Promise<Map<string, readonly ServedResource[]>> {
    const versions = new Map<string, readonly ServedResource[]>()
    const [core, groups] = await Promise.all([this.#root('/api', signal), this.#root('/apis', signal)])
    for (const root of [core, groups]) {
      if (root.kind === 'APIGroupDiscoveryList') this.#aggregated(root, versions)
      else await this.#legacy(root, signal, versions)
    }
    return versions
  }

  #root(path: '/api' | '/apis', signal: AbortSignal): Promise<DiscoveryRoot> {
    return this.#client.json<DiscoveryRoot>({ path, accept: AGGREGATED, signal })
  }

  #aggregated(root: DiscoveryRoot, versions: Map<string, readonly ServedResource[]>): void {
    for (const group of root.items ?? []) {
      const name = group.metadata?.name ?? ''
      for (const { version, freshness, resources = [] } of group.versions ?? []) {
        const key = groupVersion(name, version)
        const known = this.#snapshot?.versions.get(key)
        // The aggregated server behind this version did not answer the API server itself.
        if (freshness === 'Stale' && resources.length === 0 && known) versions.set(key, known)
        else
          versions.set(
            key,
            resources.map((resource) => ({
              group: name,
              version,
              resource: resource.resource,
              kind: resource.responseKind?.kind ?? '',
              namespaced: resource.scope === 'Namespaced',
              verbs: resource.verbs ?? [],
              subresources: (resource.subresources ?? []).map(({ subresource }) => subresource),
            })),
          )
      }
    }
  }

  async #legacy(
    root: DiscoveryRoot,
    signal: AbortSignal,
    versions: Map<string, readonly ServedResource[]>,
  ): Promise<void> {
    const keys = [
      ...(root.versions ?? []),
      ...(root.groups ?? []).flatMap((group) => {
        const preferred = group.preferredVersion?.groupVersion
        const all = group.versions.map(({ groupVersion }) => groupVersion)
        return preferred === undefined ? all : [preferred, ...all.filter((version) => version !== preferred)]
      }),
    ]
    const read = await Promise.all(
      keys.map(async (key) => [key, await this.#legacyVersion(key, signal)] as const),
    )
    for (const [key, resources] of read) if (resources) versions.set(key, resources)
  }

  async #legacyVersion(key: string, signal: AbortSignal): Promise<readonly ServedResource[] | undefined> {
    const [group, version] = key.includes('/') ? (key.split('/') as [string, string]) : ['', key]
    let list: LegacyList
    try {
      list = await this.#client.json<LegacyList>({ path: group ? `/apis/${key}` : `/api/${key}`, signal })
    } catch (error) {
      // One aggregated API that is down (503), or that we may not see, hides no other.
      if (error instanceof ApiError) return this.#snapshot?.versions.get(key)
      throw error
    }
    const all = list.resources ?? []
    return all
      .filter(({ name }) => !name.includes('/'))
      .map((resource) => ({
        group,
        version,
        resource: resource.name,
        kind: resource.kind,
        namespaced: resource.namespaced,
        verbs: resource.verbs ?? [],
        subresources: all
          .filter(({ name }) => name.startsWith(`${resource.name}/`))
          .map(({ name }) => name.slice(resource.name.length + 1)),
      }))
  }
}

const AGGREGATED = [
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
  'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList',
  'application/json',
].join(',')

/** `/api` or `/apis`, in either form. */
interface DiscoveryRoot {
  readonly kind?: string
  /** Aggregated. */
  readonly items?: readonly {
    readonly metadata?: { readonly name?: string }
    readonly versions?: readonly {
      readonly version: string
      readonly freshness?: string
      readonly resources?: readonly {
        readonly resource: string
        readonly responseKind?: { readonly kind?: string }
        readonly scope?: string
        readonly verbs?: readonly string[]
        readonly subresources?: readonly { readonly subresource: string }[]
      }[]
    }[]
  }[]
  /** Legacy `/api`. */
  readonly versions?: readonly string[]
  /** Legacy `/apis`. */
  readonly groups?: readonly {
    readonly versions: readonly { readonly groupVersion: string }[]
    readonly preferredVersion?: { readonly groupVersion: string }
  }[]
}

interface LegacyList {
  readonly resources?: readonly {
    readonly name: string
    readonly kind: string
    readonly namespaced: boolean
    readonly verbs?: readonly string[]
  }[]
}

function groupVersion(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`
}

function addressOf({ group, version, resource }: ServedResource): ResourceAddress {
  return { group, version, resource }
}

/** `/version`. */
export interface ServerVersion {
  /** `v1.34.1`. */
  readonly gitVersion: string
  readonly major: string
  readonly minor: string
  readonly platform?: string
}

/** Also the cheapest proof that the server answers: it costs it nothing, and every user may ask. */
export function serverVersion(
  client: ApiClient,
  options: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {},
): Promise<ServerVersion> {
  return client.json<ServerVersion>({ path: '/version', ...options })
}

export interface AccessQuestion {
  readonly verb: string
  readonly address: ResourceAddress
  /** Default: all of them. */
  readonly namespace?: string
  readonly name?: string
  readonly subresource?: string
}

export interface AccessAnswer {
  readonly allowed: boolean
  readonly reason?: string
  /** The authorizer could not tell for sure. */
  readonly evaluationError?: string
}

/** Whether we – or whoever `as` is – may do this. */
export async function selfSubjectAccessReview(
  client: ApiClient,
  { verb, address, namespace, name, subresource }: AccessQuestion,
  options: { readonly as?: Impersonation; readonly signal?: AbortSignal } = {},
): Promise<AccessAnswer> {
  const { group, version, resource } = address
  const answer = await client.json<{ readonly status?: AccessAnswer }>({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb, group, version, resource, namespace, name, subresource } },
    },
    ...options,
  })
  return answer.status ?? { allowed: false, reason: 'the API server gave no answer' }
}

/** What somebody may do in a namespace, the rules of the whole cluster included (`ResourceRule`). */
export interface NamespaceRule {
  readonly verbs: readonly string[]
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  /** Empty: every name. */
  readonly resourceNames: readonly string[]
}

/** What we may do in a namespace. `incomplete`: there may be more that the server cannot list. */
export async function selfSubjectRulesReview(
  client: ApiClient,
  namespace: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<{ readonly incomplete: boolean; readonly rules: readonly NamespaceRule[] }> {
  const { status } = await client.json<{
    readonly status?: {
      readonly incomplete?: boolean
      readonly resourceRules?: readonly Partial<NamespaceRule>[] | null
    }
  }>({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectRulesReview',
      spec: { namespace },
    },
    ...options,
  })
  const rules = (status?.resourceRules ?? []).map(
    ({ verbs = [], apiGroups = [], resources = [], resourceNames = [] }) => ({
      verbs,
      apiGroups,
      resources,
      resourceNames,
    }),
  )
  return { incomplete: status?.incomplete ?? true, rules }
}
