/**
 * Logs that are being read for a viewer, and how they end with their right: an API server checks it once, when
 * a log is opened, and then sends for hours. Whenever rights may have changed it is asked again here, once for
 * all logs of a pod: to see the pod, and `get pods/log`. So it is from time to time, for of what a cluster is asked
 * action by action nobody tells that it has changed.
 *
 * Invariant: a log that may be read no more sends nothing further. Where it cannot be found out it ends too,
 * as if the cluster had failed: whoever opens it again is judged by the API server.
 */
import { allowsName } from '../fleet/scope.ts'
import type { Cluster } from '../fleet/fleet.ts'
import { ApiError, type ByteSink, type ByteStream, TransportError } from '../kubernetes/client.ts'
import { forbidden } from './live-errors.ts'
import type { Policy } from './policy.ts'
import { identityOf, type Viewer } from './viewer.ts'

export interface LogPod {
  readonly namespace: string
  readonly name: string
}

/**
 * Logs that one user may read of one cluster at a time, over all their requests and sign-ins. Each costs the
 * gateway and the API server a connection – requests as a user cannot share one –, and the kubelet an open
 * file, for as long as it is followed. Enough for five workloads of fifty pods with one container each.
 */
export const MOST_LOGS = 256

/** How long a right to a log may have been taken away, where nobody tells of it, before it is asked for again. */
export const RECHECK_MS = 10_000

/** By user. Entries go when they are 0. */
const OPEN = new WeakMap<Cluster, Map<string, number>>()

/** The logs of one pod. */
interface Watched {
  readonly cluster: Cluster
  readonly pod: LogPod
  readonly ends: Set<(error: Error) => void>
  /** It is being asked; `again`: rights have changed since. */
  asking: boolean
  again: boolean
}

export class FollowedLogs {
  readonly #viewer: () => Viewer
  readonly #policy: Policy
  readonly #pods = new Map<string, Watched>()
  #stop: (() => void) | undefined

  /** `viewer`: who it is by now. */
  constructor(viewer: () => Viewer, policy: Policy) {
    this.#viewer = viewer
    this.#policy = policy
  }

  /**
   * Opens a log and watches over it. Throws an `ApiError` (429) where the viewer reads too many of the cluster.
   * The sink is told by the stream, or, when the right ends, of a 403 by `onError`.
   */
  open(cluster: Cluster, pod: LogPod, sink: ByteSink, begin: (sink: ByteSink) => ByteStream): ByteStream {
    const giveBack = this.#takePlace(cluster)
    let over = false
    let stream: ByteStream | undefined
    const finish = (): boolean => {
      if (over) return false
      over = true
      giveBack()
      unwatch()
      return true
    }
    const unwatch = this.#watch(cluster, pod, (error) => {
      if (!finish()) return
      stream?.abort()
      sink.onError(error)
    })
    stream = begin({
      onStart: (headers) => {
        if (!over) sink.onStart?.(headers)
      },
      onData: (chunk) => {
        if (!over) sink.onData(chunk)
      },
      onEnd: () => {
        if (finish()) sink.onEnd()
      },
      onError: (error) => {
        if (finish()) sink.onError(error)
      },
    })
    const begun = stream
    return {
      abort: () => {
        finish()
        begun.abort()
      },
      pause: () => begun.pause(),
      resume: () => begun.resume(),
    }
  }

  #takePlace(cluster: Cluster): () => void {
    const name = identityOf(this.#viewer())
    let users = OPEN.get(cluster)
    if (!users) OPEN.set(cluster, (users = new Map()))
    const open = users.get(name) ?? 0
    if (open >= MOST_LOGS) {
      const message = `You read ${MOST_LOGS} logs of the cluster ${cluster.name} already: end some of them.`
      throw new ApiError(429, { code: 429, reason: 'TooManyRequests', message })
    }
    users.set(name, open + 1)
    return () => {
      const left = users.get(name)! - 1
      if (left === 0) users.delete(name)
      else users.set(name, left)
    }
  }

  #watch(cluster: Cluster, pod: LogPod, end: (error: Error) => void): () => void {
    const key = `${cluster.name}/${pod.namespace}/${pod.name}`
    let watched = this.#pods.get(key)
    if (watched?.cluster !== cluster) {
      watched = { cluster, pod, ends: new Set(), asking: false, again: false }
      this.#pods.set(key, watched)
    }
    const { ends } = watched
    ends.add(end)
    this.#stop ??= this.#listen()
    return () => {
      ends.delete(end)
      if (ends.size > 0) return
      if (this.#pods.get(key)?.ends === ends) this.#pods.delete(key)
      if (this.#pods.size > 0) return
      this.#stop?.()
      this.#stop = undefined
    }
  }

  #listen(): () => void {
    const askAll = () => {
      for (const each of this.#pods.values()) void this.#ask(each)
    }
    const unlisten = this.#policy.onChange(askAll)
    const timer = setInterval(askAll, RECHECK_MS).unref()
    return () => {
      unlisten()
      clearInterval(timer)
    }
  }

  async #ask(watched: Watched): Promise<void> {
    if (watched.asking) {
      watched.again = true
      return
    }
    watched.asking = true
    do {
      watched.again = false
      const reason = this.#mayNot(watched)
      // At once where nobody has to be asked.
      const end = reason instanceof Promise ? await reason : reason
      if (end) for (const each of watched.ends) each(end)
    } while (watched.again && watched.ends.size > 0)
    watched.asking = false
  }

  /** Why these logs end; `undefined`: they go on. */
  #mayNot(
    { cluster, pod }: Pick<Watched, 'cluster' | 'pod'>,
    settled = false,
  ): Error | undefined | Promise<Error | undefined> {
    const right = this.#policy.read(this.#viewer(), cluster, 'Pod')
    const { scope, state, reason } = right
    if (state === 'PENDING' && right.settled && !settled) {
      return right.settled.then(() => this.#mayNot({ cluster, pod }, true))
    }
    if (state !== 'DECIDED') return unknown(cluster, reason)
    if (scope === undefined || !allowsName(scope, pod.namespace, pod.name)) {
      return forbidden(reason ?? `You may not see the pod ${pod.namespace}/${pod.name} any more.`)
    }
    const verdict = this.#policy.can(this.#viewer(), cluster, {
      verb: 'get',
      group: '',
      resource: 'pods',
      subresource: 'log',
      ...pod,
    })
    const judge = ({ allowed, reason }: Awaited<typeof verdict>) => {
      if (allowed === true) return undefined
      if (allowed === null) return unknown(cluster, reason)
      return forbidden(reason || `You may not read the log of ${pod.namespace}/${pod.name} any more.`)
    }
    return verdict instanceof Promise ? verdict.then(judge) : judge(verdict)
  }
}

function unknown({ name }: Cluster, reason: string | null): TransportError {
  return new TransportError(
    'UNREACHABLE',
    reason ?? `Whether you may read this cannot be found out from ${name}.`,
  )
}
