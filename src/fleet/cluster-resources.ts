/**
 * What a cluster serves, asked one group version at a time and remembered for a while: the address of a
 * kind that may not be among ours, custom resources included.
 */
import { ApiError, type ApiClient } from '../kubernetes/client.ts'
import type { ResourceAddress } from '../kubernetes/kinds.ts'
import type { Clock } from './clock.ts'

export interface ResolvedResource {
  readonly address: ResourceAddress
  readonly namespaced: boolean
}

/** `metav1.APIResourceList`, as far as it is read. */
interface ResourceList {
  readonly resources?: readonly {
    readonly name: string
    readonly kind: string
    readonly namespaced: boolean
  }[]
}

interface Remembered {
  readonly until: number
  readonly resources: Promise<ReadonlyMap<string, ResolvedResource>>
}

/** New custom resources are found after this, at the latest; absent kinds are asked for again sooner. */
const REMEMBER_MS = 5 * 60_000
const REMEMBER_ABSENT_MS = 10_000

export class ClusterResources {
  readonly #client: ApiClient
  readonly #clock: Clock
  readonly #remembered = new Map<string, Remembered>()

  constructor(client: ApiClient, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** `undefined` where the cluster does not serve it. Throws the client's errors. */
  async resolve(apiVersion: string, kind: string): Promise<ResolvedResource | undefined> {
    const known = this.#remembered.get(apiVersion)
    const now = this.#clock.now()
    if (known && now < known.until) {
      const found = (await known.resources).get(kind)
      if (found || now < known.until - REMEMBER_MS + REMEMBER_ABSENT_MS) return found
    }
    const resources = this.#list(apiVersion)
    const entry = { until: now + REMEMBER_MS, resources }
    this.#remembered.set(apiVersion, entry)
    try {
      return (await resources).get(kind)
    } catch (error) {
      if (this.#remembered.get(apiVersion) === entry) this.#remembered.delete(apiVersion)
      throw error
    }
  }

  async #list(apiVersion: string): Promise<ReadonlyMap<string, ResolvedResource>> {
    const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion]
    const root = group === '' ? 'api' : `apis/${encodeURIComponent(group)}`
    const found = new Map<string, ResolvedResource>()
    try {
      const list = await this.#client.json<ResourceList>({ path: `/${root}/${encodeURIComponent(version)}` })
      for (const { name, kind, namespaced } of list.resources ?? []) {
        // Subresources (`pods/status`) have kinds of their own, or the same.
        if (!name.includes('/')) found.set(kind, { address: { group, version, resource: name }, namespaced })
      }
    } catch (error) {
      if (!(error instanceof ApiError && error.statusCode === 404)) throw error
    }
    return found
  }
}
