/** `rollout`: how a workload comes on with what it was asked for, until it is there, or will not be. */
import type { AuthorizedFleet } from '../../access/authorized-fleet.ts'
import type { LiveEvent } from '../../events/live.ts'
import type { Clock } from '../../fleet/clock.ts'
import type { Cluster } from '../../fleet/fleet.ts'
import type { RolloutState, WorkloadKind, WorkloadRow } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { within } from '../changes.ts'
import { WorkloadKindEnum } from '../enums.ts'
import { badUserInput } from '../errors.ts'
import { unknownCluster } from '../filters.ts'
import { Outlet } from '../outlet.ts'
import { ClusterRef, Workload } from '../refs.ts'

/** The judgements of `RolloutState`, and the ends that only a watcher of it knows. */
type ProgressStatus = RolloutState['status'] | 'TIMED_OUT' | 'DELETED' | 'NOT_FOUND'

const ProgressStatusEnum = builder.enumType('RolloutProgressStatus', {
  description: 'Where a rollout stands for somebody who waits for it.',
  values: {
    PROGRESSING: { description: 'On its way.' },
    PAUSED: {
      description: 'Held by its author: `spec.paused` or `spec.suspend`. It is waited for all the same.',
    },
    COMPLETE: { description: 'Everything that is asked for runs in its newest form: the last event.' },
    FAILED: { description: 'It failed, or did not get on in time; `reason` says which: the last event.' },
    TIMED_OUT: {
      description: 'It was not there when `timeout` was over: the last event. It may still get there.',
    },
    DELETED: { description: 'The workload was deleted, or may not be seen any more: the last event.' },
    NOT_FOUND: { description: 'There is no such workload that you may see: the only event.' },
  } satisfies Record<ProgressStatus, { description: string }>,
})

interface Progress {
  readonly status: ProgressStatus
  readonly cluster: Cluster
  readonly reason: string | null
  readonly message: string | null
  /** As it is known last. */
  readonly row: WorkloadRow | null
}

const RolloutProgressRef = builder.objectRef<Progress>('RolloutProgress').implement({
  description: 'How far a rollout is. Counts are 0 where the workload is not known.',
  fields: (t) => ({
    status: t.expose('status', { type: ProgressStatusEnum, description: 'Where it stands.' }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'A word for a program, such as `ProgressDeadlineExceeded`; null where none is given.',
    }),
    message: t.exposeString('message', {
      nullable: true,
      description: 'A sentence for a person: what it waits for, or why it ended.',
    }),
    desired: t.int({
      description: 'Replicas, nodes or completions asked for.',
      resolve: ({ row }) => row?.desired ?? 0,
    }),
    updated: t.int({ description: 'Of the newest revision.', resolve: ({ row }) => row?.updated ?? 0 }),
    ready: t.int({ description: 'Ready.', resolve: ({ row }) => row?.ready ?? 0 }),
    available: t.int({
      description: 'Ready for long enough (`minReadySeconds`).',
      resolve: ({ row }) => row?.available ?? 0,
    }),
    cluster: t.expose('cluster', { type: ClusterRef, description: 'The cluster it is in.' }),
    workload: t.field({
      type: Workload,
      nullable: true,
      description: 'The workload as it is known last; null for NOT_FOUND.',
      resolve: ({ row }) => row,
    }),
  }),
})

interface RolloutRequest {
  readonly cluster: Cluster
  readonly namespace: string
  readonly kind: WorkloadKind
  readonly name: string
  /** States of an earlier one tell nothing of what is waited for. */
  readonly generation: number
  readonly timeoutMs: number
}

const DEFAULT_TIMEOUT_S = 600
const MAX_TIMEOUT_S = 86_400

builder.subscriptionField('rollout', (t) =>
  t.field({
    type: RolloutProgressRef,
    description:
      'How a workload comes on with what it was asked for: an event with how it stands now, one for each step, and it ends after the one that says how it came out: COMPLETE, FAILED, TIMED_OUT, DELETED or NOT_FOUND.',
    args: {
      cluster: t.arg.string({ required: true, description: 'Name of the cluster.' }),
      namespace: t.arg.string({ required: true, description: 'Namespace.' }),
      kind: t.arg({ type: WorkloadKindEnum, required: true, description: 'Kind of the workload.' }),
      name: t.arg.string({ required: true, description: 'Name of the workload.' }),
      generation: t.arg.float({
        description:
          'Only states of this `generation` or a later one count, a whole number: the one that the object has in a mutation’s result, so that what is followed right after it is not told how the state before stood. Until such a state is known it is PROGRESSING with the reason `GenerationNotSeen`, also where the workload is not known at all. Without it every state counts.',
      }),
      timeout: t.arg.int({
        defaultValue: DEFAULT_TIMEOUT_S,
        description: `Seconds to wait for it at most: 1 to ${MAX_TIMEOUT_S}.`,
      }),
    },
    subscribe: (
      _root,
      { timeout, generation, cluster: clusterName, ...reference },
      { fleet, clock, signal },
    ) => {
      const cluster = fleet.cluster(clusterName)
      if (!cluster) throw unknownCluster(clusterName, fleet.clusters(), 'cluster')
      const timeoutMs = within('timeout', timeout ?? DEFAULT_TIMEOUT_S, 1, MAX_TIMEOUT_S) * 1000
      const request = { ...reference, cluster, generation: wholeNumber(generation ?? 0), timeoutMs }
      return new Outlet<Progress>({
        feed: (outlet, ended) => follow(request, fleet, clock, outlet, ended),
        signal,
      })
    },
    resolve: (progress) => progress,
  }),
)

/** Steps that the reader has not taken yet are put together by the live side, which waits for them. */
async function follow(
  request: RolloutRequest,
  fleet: AuthorizedFleet,
  clock: Clock,
  outlet: Outlet<Progress>,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, namespace, kind, name, generation, timeoutMs } = request
  const done = new AbortController()
  const end = () => done.abort()
  signal.addEventListener('abort', end, { once: true })
  let row: WorkloadRow | null = null
  const isOld = (row: WorkloadRow) => row.generation < generation
  /** It is there, as far as this stream has told since it began. */
  let present = false
  let timedOut = false
  const cancel = clock.after(timeoutMs, () => {
    timedOut = true
    end()
  })
  const tell = (status: ProgressStatus, reason: string | null, message: string | null) =>
    outlet.push({ status, cluster, reason, message, row })
  /** False where there is nothing to wait for. */
  const tellAbsent = (): boolean => {
    row = null
    const { status, reason, message } = absent(request, fleet)
    tell(status, reason, message)
    return status !== 'NOT_FOUND'
  }
  const source = fleet.follow(
    {
      type: 'rows',
      kinds: [kind],
      clusters: (candidate) => candidate.name === cluster.name,
      selection: { namespaces: [namespace], names: [name] },
      throttleMs: 0,
    },
    { snapshot: true },
    done.signal,
  )
  try {
    for await (const event of source) {
      const { type, object, message } = event as LiveEvent<WorkloadRow>
      if (object) {
        if (type === 'DELETED') {
          if (!isOld(object)) return tell('DELETED', null, message)
          // What is waited for was made after it.
          present = false
          if (!tellAbsent()) return
          await outlet.taken()
          continue
        }
        present = true
        if (row && sameProgress(row, object)) continue
        row = object
        if (isOld(object)) {
          tell('PROGRESSING', NOT_SEEN, notSeen(request, object))
          await outlet.taken()
          continue
        }
        const { status, reason, message: sentence } = object.rollout
        tell(status, reason, sentence)
        if (status === 'COMPLETE' || status === 'FAILED') return
      } else if (type === 'RESYNC') {
        present = false
      } else if (type === 'CLUSTER_DOWN') {
        tell(row && !isOld(row) ? row.rollout.status : 'PROGRESSING', 'ClusterDown', message)
      } else if (!present) {
        if (row && !isOld(row)) return tell('DELETED', null, 'It was deleted meanwhile.')
        if (!tellAbsent()) return
      }
      await outlet.taken()
    }
    if (timedOut) {
      const seconds = timeoutMs / 1000
      const why = generation > 0 && (!row || isOld(row)) ? notSeen(request, row) : row?.rollout.message
      const last = why ? `: ${why.replace(/\.$/, '')}` : ''
      tell('TIMED_OUT', null, `It was not complete after ${seconds} seconds${last}.`)
    }
  } finally {
    cancel()
    signal.removeEventListener('abort', end)
    end()
  }
}

const NOT_SEEN = 'GenerationNotSeen'

function notSeen({ generation }: RolloutRequest, row: WorkloadRow | null): string {
  const known = row ? `the last that is known is ${row.generation}` : 'no such workload is known'
  return `Generation ${generation} has not been seen yet: ${known}.`
}

function wholeNumber(generation: number): number {
  if (Number.isSafeInteger(generation) && generation >= 0) return generation
  throw badUserInput(`"generation" is ${generation}: it has to be a whole number from 0.`, 'generation')
}

function sameProgress(a: WorkloadRow, b: WorkloadRow): boolean {
  return (
    a.uid === b.uid &&
    a.generation === b.generation &&
    a.desired === b.desired &&
    a.updated === b.updated &&
    a.ready === b.ready &&
    a.available === b.available &&
    a.rollout.status === b.rollout.status &&
    a.rollout.reason === b.rollout.reason &&
    a.rollout.message === b.rollout.message
  )
}

/** What to say of a workload that is not in memory: it may still come, or there is none. */
function absent(
  request: RolloutRequest,
  fleet: AuthorizedFleet,
): { readonly status: ProgressStatus; readonly reason: string | null; readonly message: string } {
  const { cluster, namespace, kind, name, generation } = request
  const { state, reason } = fleet.coverage([kind], [cluster])[0]!
  const why = state !== 'CURRENT' && reason ? ` ${reason}` : ''
  if (state === 'SYNCING' || state === 'UNREACHABLE') {
    return { status: 'PROGRESSING', reason: state, message: `It is not known yet.${why}` }
  }
  // Somebody has been told of it.
  if (generation > 0 && (state === 'CURRENT' || state === 'STALE')) {
    return { status: 'PROGRESSING', reason: NOT_SEEN, message: `It is not known yet.${why}` }
  }
  return {
    status: 'NOT_FOUND',
    reason: state === 'CURRENT' ? null : state,
    message: `There is no ${kind} ${name} in the namespace ${namespace} of ${cluster.name} that you may see.${why}`,
  }
}
