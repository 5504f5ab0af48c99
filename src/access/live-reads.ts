/**
 * Reads of a cluster's API that memory cannot answer, made as the viewer: objects of any kind, whole objects,
 * logs. The API server decides; nothing is ever asked with the gateway's own rights, but what a cluster serves
 * at all, which everybody who signed in may discover (the role `system:discovery`).
 *
 * Errors are the client's, without the addresses in them, which are not for every viewer.
 */
import type { ApiRequest, ByteSink, ByteStream } from '../kubernetes/client.ts'
import { KINDS, resourcePath, type ObjectReference } from '../kubernetes/kinds.ts'
import type { Cluster } from '../fleet/fleet.ts'
import { FollowedLogs, type LogPod } from './followed-logs.ts'
import { inTime } from './in-time.ts'
import { addressless, isForbidden, requireContact, rethrow } from './live-errors.ts'
import { LiveTurns } from './live-turns.ts'
import type { Policy } from './policy.ts'
import type { Reads } from './reads.ts'
import { carried } from './viewer-client.ts'
import { identityOf, type Viewer } from './viewer.ts'

/** A GET. */
export interface LiveRead {
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | undefined>>
  /** For the audit: `get Secret shop/db`; the cluster is added. */
  readonly what: string
}

export type LogQuery = Readonly<Record<string, string | number | boolean | undefined>>

/** How long somebody who waits for an answer waits for one cluster. */
const LIVE_TIMEOUT_MS = 10_000

/** How long a followed log may say nothing at all before it is asked for anew. */
export const QUIET_LOG_MS = 600_000

/** Of a text for the audit: names come from whoever asks. */
const MOST_TEXT = 300

/** Shared by everyone who reads a cluster. */
const TURNS = new WeakMap<Cluster, LiveTurns>()

export class LiveReads {
  readonly #viewer: () => Viewer
  readonly #policy: Policy
  readonly #reads: Reads
  readonly #logs: FollowedLogs

  /** `viewer`: who it is by now. */
  constructor(viewer: () => Viewer, policy: Policy, reads: Reads) {
    this.#viewer = viewer
    this.#policy = policy
    this.#reads = reads
    this.#logs = new FollowedLogs(viewer, policy)
  }

  /** The whole object in the newest version that its cluster serves; `undefined` where it serves none. */
  async object(cluster: Cluster, reference: ObjectReference, signal?: AbortSignal): Promise<unknown> {
    const { group, versions, kind } = KINDS[reference.kind]
    const { namespace, name } = reference
    for (const version of versions) {
      const apiVersion = group === '' ? version : `${group}/${version}`
      const served = await this.resolve(cluster, apiVersion, kind, signal)
      if (!served) continue
      const path = resourcePath(served.address, namespace, name)
      return this.request(cluster, { path, what: `get ${kind} ${placed(namespace, name)}` }, signal)
    }
    return undefined
  }

  async resolve(
    cluster: Cluster,
    apiVersion: string,
    kind: string,
    signal?: AbortSignal,
  ): ReturnType<Cluster['resolve']> {
    this.#reads.noteVolatile()
    // Whoever is nobody there has nothing to discover either.
    this.#credentials(cluster)
    requireContact(cluster)
    signal?.throwIfAborted()
    return inTime(cluster.resolve(apiVersion, kind).catch(rethrow), LIVE_TIMEOUT_MS, signal)
  }

  async request(cluster: Cluster, { path, query, what }: LiveRead, signal?: AbortSignal): Promise<unknown> {
    this.#reads.noteVolatile()
    const credentials = this.#credentials(cluster)
    requireContact(cluster)
    let turns = TURNS.get(cluster)
    if (!turns) TURNS.set(cluster, (turns = new LiveTurns(cluster.name)))
    const request = {
      path,
      ...(query && { query }),
      timeoutMs: LIVE_TIMEOUT_MS,
      ...credentials,
      ...(signal && { signal }),
    }
    const read = () => {
      this.#notePrivileged(what, cluster)
      return cluster.client.json(request).catch((error: unknown) => {
        if (isForbidden(error)) this.#reads.noteDenied(cluster.name)
        return rethrow(error)
      })
    }
    return turns.take(identityOf(this.#viewer()), read, signal)
  }

  followLog(cluster: Cluster, pod: LogPod, query: LogQuery, sink: ByteSink): ByteStream {
    this.#reads.noteVolatile()
    try {
      const credentials = this.#credentials(cluster)
      requireContact(cluster)
      const { group, versions, resource } = KINDS.Pod
      const address = { group, version: versions[0], resource }
      const request: ApiRequest = {
        path: `${resourcePath(address, pod.namespace, pod.name)}/log`,
        query,
        accept: '*/*',
        // Of a followed log the kubelet sends nothing, not even headers, before its container writes.
        timeoutMs: query['follow'] === true ? QUIET_LOG_MS : LIVE_TIMEOUT_MS,
        ...credentials,
      }
      this.#notePrivileged(`log of pod ${placed(pod.namespace, pod.name)}`, cluster)
      const onError = (error: Error) => {
        // Also where the right was taken away while it was followed.
        if (isForbidden(error)) this.#reads.noteDenied(cluster.name)
        sink.onError(error)
      }
      const noted: ByteSink = {
        onStart: (headers) => sink.onStart?.(headers),
        onData: (chunk) => sink.onData(chunk),
        onEnd: () => sink.onEnd(),
        onError,
      }
      return this.#logs.open(cluster, pod, noted, (told) =>
        cluster.client.stream(request, {
          ...(told.onStart && { onStart: (headers) => told.onStart?.(headers) }),
          onData: (chunk) => told.onData(chunk),
          onEnd: () => told.onEnd(),
          onError: (error) => told.onError(addressless(error)),
        }),
      )
    } catch (error) {
      return failed(error, sink)
    }
  }

  /** As whom a request goes. Throws where it may not go at all. */
  #credentials(cluster: Cluster): Pick<ApiRequest, 'as' | 'token'> {
    const credential = this.#policy.credential(this.#viewer(), cluster)
    if (credential.type === 'NONE') this.#reads.noteDenied(cluster.name)
    return carried(credential, this.#policy)
  }

  #notePrivileged(what: string, cluster: Cluster): void {
    this.#reads.notePrivileged(`${what.slice(0, MOST_TEXT)} in ${cluster.name}`)
  }
}

/** An object's place in a sentence. */
export function placed(namespace: string | null | undefined, name: string): string {
  return namespace ? `${namespace}/${name}` : name
}

/** A stream that never began. */
function failed(error: unknown, sink: ByteSink): ByteStream {
  let aborted = false
  queueMicrotask(() => {
    if (!aborted) sink.onError(error instanceof Error ? error : new Error(String(error)))
  })
  return {
    abort() {
      aborted = true
    },
    pause() {},
    resume() {},
  }
}
