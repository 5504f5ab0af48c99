/**
 * What becomes of the pods of a node that is drained, as `kubectl drain` decides.
 * https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
 *
 * A mirror of a static pod is known by its owner, which is the node: the kubelet has set it since Kubernetes 1.18, and
 * the row does not know the annotation `kubernetes.io/config.mirror`.
 */
import type { PodRow } from '../../kubernetes/rows.ts'

export interface DrainOptions {
  /** Pods without a controller, which nobody makes anew, go, too. Default false. */
  readonly force?: boolean
  /** Pods with an emptyDir, whose data is lost, go, too. Default false. */
  readonly deleteEmptyDirData?: boolean
  /** Whether the DaemonSet of this pod is still there. Default: all are. */
  readonly hasDaemonSet?: (pod: DrainedPod) => boolean
}

export type DrainedPod = Pick<PodRow, 'namespace' | 'name' | 'phase' | 'owner' | 'volumes'>

/** With what is said of each in the schema. */
export const DRAIN_REASONS = {
  DAEMON_SET: 'A DaemonSet would make it anew on the same node at once.',
  STATIC: 'The kubelet makes it from a file of the node, and no eviction ends it.',
  UNMANAGED: 'It has no controller that would make it anew elsewhere: `force` evicts it for good.',
  EMPTY_DIR: 'It has data in an emptyDir, which would be lost: `deleteEmptyDirData` evicts it all the same.',
  DAEMON_SET_GONE: 'Its DaemonSet is gone, and nobody would make it anew: `force` evicts it for good.',
} as const
export type DrainReason = keyof typeof DRAIN_REASONS

export interface Drain<P extends DrainedPod> {
  readonly evicted: readonly P[]
  /** They stay, and do not keep the node from being drained. */
  readonly skipped: readonly { readonly pod: P; readonly reason: DrainReason }[]
  /** Somebody has to decide: with one of them kubectl drains nothing. */
  readonly refused: readonly { readonly pod: P; readonly reason: DrainReason }[]
}

/** Each in order of namespaces and names. */
export function composeDrain<P extends DrainedPod>(pods: readonly P[], options: DrainOptions = {}): Drain<P> {
  const evicted: P[] = []
  const skipped: { pod: P; reason: DrainReason }[] = []
  const refused: { pod: P; reason: DrainReason }[] = []
  const inOrder = pods.toSorted(
    (one, other) => compare(one.namespace, other.namespace) || compare(one.name, other.name),
  )
  for (const pod of inOrder) {
    const reason = reasonOf(pod, options)
    if (reason === null) evicted.push(pod)
    else (reason === 'DAEMON_SET' || reason === 'STATIC' ? skipped : refused).push({ pod, reason })
  }
  return { evicted, skipped, refused }
}

/** `null`: it is evicted. In the order in which kubectl looks. */
function reasonOf(
  pod: DrainedPod,
  { force, deleteEmptyDirData, hasDaemonSet }: DrainOptions,
): DrainReason | null {
  const { owner, phase, volumes } = pod
  const isFinished = phase === 'Succeeded' || phase === 'Failed'
  const isOfDaemonSet = owner?.kind === 'DaemonSet'
  if (isOfDaemonSet && !isFinished) {
    if (hasDaemonSet?.(pod) ?? true) return 'DAEMON_SET'
    if (!force) return 'DAEMON_SET_GONE'
  }
  if (owner?.kind === 'Node' && owner.apiVersion === 'v1') return 'STATIC'
  if (isFinished) return null
  if (!deleteEmptyDirData && volumes.some(({ type }) => type === 'emptyDir')) return 'EMPTY_DIR'
  return owner !== null || force ? null : 'UNMANAGED'
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
