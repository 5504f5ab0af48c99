/**
 * kube-controller-manager, kube-scheduler, the cloud's load balancers and every node's kubelet of one
 * simulated cluster: one work queue per controller, fed by the registry's commits and drained from the
 * timeline.
 *
 * Invariants: a key waits in a queue at most once, however many commits named it; nothing is synced from
 * inside a commit; a turn of the loop is bounded, so that fifty clusters share one thread; an idle cluster
 * costs nothing but its nodes' heartbeats. Deliberately knows no controller's rules.
 */
import type { LogSource } from '../logs.ts'
import type { Commit, KubeObjectInput, Registry, Timeline } from '../registry.ts'
import {
  scaledClock,
  seededRandom,
  type ControlContext,
  type Controller,
  type Enqueue,
} from './control-context.ts'
import { clusterRoleAggregationController } from './cluster-role-aggregation.ts'
import { cronJobController } from './cron-job.ts'
import { daemonSetController } from './daemon-set.ts'
import { deploymentController } from './deployment.ts'
import { endpointSliceController } from './endpoint-slice.ts'
import { eventRecorder } from './event-recorder.ts'
import { garbageCollector } from './garbage-collector.ts'
import { horizontalPodAutoscalerController, type Utilization } from './horizontal-pod-autoscaler.ts'
import { jobController } from './job.ts'
import { kubelet } from './kubelet.ts'
import { namespaceController } from './namespace.ts'
import { nodeController } from './node.ts'
import { persistentVolumeController } from './persistent-volume.ts'
import { metricsOf } from './metrics.ts'
import { podLogs } from './pod-log.ts'
import { podDisruptionBudgetController } from './pod-disruption-budget.ts'
import { replicaSetController } from './replica-set.ts'
import { resourceQuotaController } from './resource-quota.ts'
import { scheduler } from './scheduler.ts'
import { serviceController } from './service.ts'
import { statefulSetController } from './stateful-set.ts'
import { StatusError } from '../status-error.ts'

export interface ControllersOptions {
  /** How much faster than real seconds the cluster's own run; tests use 50. Default 1. */
  readonly speed?: number
  /** Of all chance in the cluster: the same seed and the same requests give the same cluster. Default 1. */
  readonly seed?: number
  /** Whether controllers record Events. Default true. */
  readonly events?: boolean
  /** Seconds between a node's lease renewals; 0 for none. Default 10. */
  readonly heartbeatSeconds?: number
  /** CPU utilization in percent of the request that autoscalers see. Default: each autoscaler's target. */
  readonly utilization?: Utilization
  /** Hears what a controller threw; the key is tried again. Default: a process warning. */
  readonly onError?: (error: unknown, controller: string, key: string) => void
  readonly signal?: AbortSignal
}

export interface RunningControllers {
  /** What the cluster's containers write. */
  readonly logs: LogSource
  /** What a metrics server would say: `metrics.k8s.io/v1beta1` objects, without one in a namespace not given. */
  readonly metrics: (resource: 'nodes' | 'pods', namespace: string | undefined) => readonly KubeObjectInput[]
  close(): void
}

interface Queue {
  readonly controller: Controller
  readonly keys: Set<string>
  readonly enqueue: Enqueue
  /** Consecutive failures by key. */
  readonly failures: Map<string, number>
}

/** Keys per turn, before other work of the timeline (and other clusters) gets its chance. */
const turnLength = 64
const longestRetrySeconds = 60
/** A key that wakes itself again and again is put off: under a manual clock it would stop the time. */
const mostSyncsAtOnce = 1_000

/**
 * Starts every controller over what the registry holds. Commits that the controllers make themselves are
 * observed like all others. Runs until `close` or the signal; neither leaves work in the timeline that
 * would still write.
 */
export function startControllers(
  registry: Registry,
  timeline: Timeline,
  options: ControllersOptions = {},
): RunningControllers {
  const speed = options.speed ?? 1
  const clock = scaledClock(timeline, speed)
  const random = seededRandom(options.seed ?? 1)
  const events = eventRecorder(registry, clock, options.events ?? true)
  const context: ControlContext = { registry, clock, random, events }
  const onError = options.onError ?? warn
  let closed = false
  let turnPlanned = false
  /** How often each key was synced at this instant of the clock. */
  const syncs = new Map<string, number>()
  let instant = Number.NaN

  // Order within a turn: first what hands out identity and place, then what runs, then what reports.
  const queues: readonly Queue[] = [
    namespaceController(context),
    nodeController(context, { heartbeatSeconds: options.heartbeatSeconds ?? 10 }),
    serviceController(context),
    persistentVolumeController(context),
    deploymentController(context),
    replicaSetController(context),
    statefulSetController(context),
    daemonSetController(context),
    cronJobController(context),
    jobController(context),
    scheduler(context),
    kubelet(context),
    endpointSliceController(context),
    horizontalPodAutoscalerController(context, options.utilization),
    podDisruptionBudgetController(context),
    resourceQuotaController(context),
    clusterRoleAggregationController(context),
    garbageCollector(context),
  ].map((controller) => {
    const keys = new Set<string>()
    const enqueue = (key: string): void => {
      keys.add(key)
      planTurn()
    }
    return { controller, keys, failures: new Map(), enqueue: delaying(enqueue) }
  })

  const listeners = new Map<string, Queue[]>()
  for (const queue of queues) {
    for (const resource of queue.controller.watches) {
      const list = listeners.get(resource) ?? []
      list.push(queue)
      listeners.set(resource, list)
    }
  }

  const everything = listeners.get('*') ?? []

  /** Keeps one timeline entry per key, the soonest. */
  function delaying(enqueue: (key: string) => void): Enqueue {
    const planned = new Map<string, { readonly due: number; readonly cancel: () => void }>()
    return (key, afterSeconds) => {
      if (afterSeconds === undefined) return enqueue(key)
      const due = clock.now() + (afterSeconds * 1000) / speed
      const earlier = planned.get(key)
      if (earlier !== undefined) {
        if (earlier.due <= due) return undefined
        earlier.cancel()
      }
      const cancel = clock.after(afterSeconds, () => {
        planned.delete(key)
        if (!closed) enqueue(key)
      })
      planned.set(key, { due, cancel })
      return undefined
    }
  }

  function planTurn(): void {
    if (turnPlanned || closed) return
    turnPlanned = true
    timeline.after(0, turn)
  }

  function turn(): void {
    turnPlanned = false
    if (closed) return
    let left = turnLength
    for (const queue of queues) {
      for (const key of queue.keys) {
        if (left-- <= 0) {
          planTurn()
          return
        }
        queue.keys.delete(key)
        syncOne(queue, key)
      }
    }
    if (queues.some(({ keys }) => keys.size > 0)) planTurn()
  }

  function syncOne(queue: Queue, key: string): void {
    if (clock.now() !== instant) {
      instant = clock.now()
      syncs.clear()
    }
    const id = `${queue.controller.name} ${key}`
    const count = (syncs.get(id) ?? 0) + 1
    syncs.set(id, count)
    if (count > mostSyncsAtOnce) {
      queue.enqueue(key, 1)
      return
    }
    try {
      queue.controller.sync(key)
      queue.failures.delete(key)
    } catch (error) {
      const failures = (queue.failures.get(key) ?? 0) + 1
      queue.failures.set(key, failures)
      // A refusal (quota, a namespace that is going, a name that is taken) is the cluster's daily life.
      if (!(error instanceof StatusError)) onError(error, queue.controller.name, key)
      queue.enqueue(key, Math.min(longestRetrySeconds, 2 ** failures / 2))
    }
  }

  const unsubscribe = registry.onCommit((commit: Commit) => {
    for (const { controller, enqueue } of listeners.get(commit.key.resource) ?? []) {
      controller.observe(commit, enqueue)
    }
    for (const { controller, enqueue } of everything) controller.observe(commit, enqueue)
  })
  for (const { controller, enqueue } of queues) controller.start(enqueue)

  function close(): void {
    if (closed) return
    closed = true
    unsubscribe()
    events.close()
    for (const { controller } of queues) controller.close?.()
    options.signal?.removeEventListener('abort', close)
  }
  if (options.signal?.aborted) close()
  else options.signal?.addEventListener('abort', close, { once: true })
  return { logs: podLogs, metrics: (resource, namespace) => metricsOf(registry, resource, namespace), close }
}

function warn(error: unknown, controller: string, key: string): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.emitWarning(`simulator: the ${controller} controller failed on ${key} and will retry: ${text}`)
}
