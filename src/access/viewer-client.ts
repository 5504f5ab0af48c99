/**
 * A cluster as the viewer may change it: requests of any kind, made as the viewer – by impersonation, or with the
 * viewer's own token – and never with the gateway's own rights. The API server decides.
 *
 * Writes have turns of their own, so that a crowd that reads live never holds up a change. Errors are the
 * client's, without the addresses in them.
 */
import type { Cluster } from '../fleet/fleet.ts'
import type { ApiRequest } from '../kubernetes/client.ts'
import type { JsonClient } from '../kubernetes/requests.ts'
import { inTime } from './in-time.ts'
import { forbidden, isForbidden, requireContact, rethrow } from './live-errors.ts'
import { LiveTurns } from './live-turns.ts'
import type { Credential, Policy } from './policy.ts'
import type { Reads } from './reads.ts'
import { identityOf, type Viewer } from './viewer.ts'

/** How long one request of a change waits for its cluster, unless it says otherwise. */
const WRITE_TIMEOUT_MS = 10_000

/** Shared by everyone who changes a cluster. */
const TURNS = new WeakMap<Cluster, LiveTurns>()

/** What a viewer's requests to a cluster carry. Throws where they may not go at all. */
export function carried(credential: Credential, policy: Policy): Pick<ApiRequest, 'as' | 'token'> {
  switch (credential.type) {
    case 'IMPERSONATION':
      return { as: credential.as }
    case 'TOKEN':
      return { token: credential.token }
    case 'OWN':
      if (policy.allowsEverything === true) return {}
      throw new TypeError(
        'Only where there is no access control may a viewer have the rights of the gateway.',
      )
    case 'NONE':
      throw forbidden(credential.reason)
  }
}

/** As whom is not for whoever asks to say. */
type ViewersRequest = Omit<ApiRequest, 'as' | 'token'>

export class ViewerClient implements JsonClient {
  readonly cluster: Cluster
  readonly #viewer: () => Viewer
  readonly #policy: Policy
  readonly #reads: Reads

  /** `viewer`: who it is by now. */
  constructor(cluster: Cluster, viewer: () => Viewer, policy: Policy, reads: Reads) {
    this.cluster = cluster
    this.#viewer = viewer
    this.#policy = policy
    this.#reads = reads
  }

  /**
   * Throws the client's errors; of a cluster that is known to be down at once. The signal ends the wait for a turn,
   * and a request that is under way: whether it had an effect is then not known.
   */
  json<T>(request: ViewersRequest): Promise<T> {
    return this.#send(request, (whole) => this.cluster.client.json<T>(whole))
  }

  /** The same, for an answer that is no single JSON. */
  text(request: ViewersRequest): Promise<string> {
    return this.#send(request, (whole) => this.cluster.client.text(whole))
  }

  async #send<T>(request: ViewersRequest, ask: (request: ApiRequest) => Promise<T>): Promise<T> {
    const { cluster } = this
    const { signal } = request
    const credentials = this.#credentials()
    let turns = TURNS.get(cluster)
    if (!turns) TURNS.set(cluster, (turns = new LiveTurns(cluster.name)))
    const send = () =>
      ask({ timeoutMs: WRITE_TIMEOUT_MS, ...request, ...credentials }).catch((error: unknown) => {
        if (isForbidden(error)) this.#reads.noteDenied(cluster.name)
        return rethrow(error)
      })
    return turns.take(identityOf(this.#viewer()), send, signal)
  }

  /**
   * Where objects of a kind are, as the cluster serves it; `undefined` where it does not. Told to whoever may send it
   * requests at all: everybody who signed in may discover (the role `system:discovery`). `fresh`: the cluster is asked,
   * whatever is known.
   */
  async resolve(
    apiVersion: string,
    kind: string,
    { signal, fresh = false }: { readonly signal?: AbortSignal; readonly fresh?: boolean } = {},
  ): ReturnType<Cluster['resolve']> {
    this.#credentials()
    signal?.throwIfAborted()
    return inTime(this.cluster.resolve(apiVersion, kind, { fresh }).catch(rethrow), WRITE_TIMEOUT_MS, signal)
  }

  #credentials(): Pick<ApiRequest, 'as' | 'token'> {
    this.#reads.noteVolatile()
    const { cluster } = this
    const credential = this.#policy.credential(this.#viewer(), cluster)
    if (credential.type === 'NONE') this.#reads.noteDenied(cluster.name)
    const credentials = carried(credential, this.#policy)
    requireContact(cluster)
    return credentials
  }
}
