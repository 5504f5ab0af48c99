/**
 * What kubectl prints of a pod under STATUS, READY and RESTARTS, computed as the API server's printer
 * does (pkg/printers/internalversion, `printPod`, v1.34). Reads raw JSON, since it needs details
 * (signals, the order of init statuses) that no row keeps.
 */
import type { Seconds } from '../rows.ts'
import { integer, isRecord, later, list, record, seconds, text, type Json } from './fields.ts'

export interface PodStatus {
  readonly status: string
  readonly readyContainers: number
  readonly restarts: number
  readonly lastRestartAt: Seconds | null
}

/** Set by the node lifecycle controller on pods of a node that is gone. */
const NODE_LOST = 'NodeLost'

export function podStatus(metadata: Json, spec: Json, status: Json): PodStatus {
  const phase = text(status['phase'])
  const conditions = list(status['conditions'])
  const init = initStatus(spec, list(status['initContainerStatuses']))

  let reason = text(status['reason']) || phase
  if (hasCondition(conditions, 'PodScheduled', 'reason', 'SchedulingGated')) reason = 'SchedulingGated'
  reason = init.reason ?? reason

  let { readyContainers, restarts, lastRestartAt } = init
  if (init.reason === undefined || hasCondition(conditions, 'Initialized', 'status', 'True')) {
    // Once initialized, the restarts of ordinary init containers are history.
    restarts = init.sidecarRestarts
    lastRestartAt = init.sidecarLastRestartAt
    let running = false
    const statuses = list(status['containerStatuses'])
    for (let i = statuses.length - 1; i >= 0; i--) {
      const container = record(statuses[i])
      const state = record(container['state'])
      restarts += integer(container['restartCount'])
      lastRestartAt = later(lastRestartAt, lastFinish(container))
      const waiting = text(record(state['waiting'])['reason'])
      if (waiting !== '') reason = waiting
      else if (isRecord(state['terminated'])) reason = terminationReason(state['terminated'])
      else if (container['ready'] === true && isRecord(state['running'])) {
        running = true
        readyContainers++
      }
    }
    // Some containers have completed, but not all: what still runs decides.
    if (reason === 'Completed' && running) {
      reason = hasCondition(conditions, 'Ready', 'status', 'True') ? 'Running' : 'NotReady'
    }
  }

  if (typeof metadata['deletionTimestamp'] === 'string') {
    if (status['reason'] === NODE_LOST) reason = 'Unknown'
    else if (phase !== 'Succeeded' && phase !== 'Failed') reason = 'Terminating'
  }
  return { status: reason || 'Unknown', readyContainers, restarts, lastRestartAt }
}

interface InitStatus {
  /** Of the init container that holds the pod up; `undefined` when none does. */
  readonly reason: string | undefined
  /** Sidecars that are ready. */
  readonly readyContainers: number
  readonly restarts: number
  readonly lastRestartAt: Seconds | null
  readonly sidecarRestarts: number
  readonly sidecarLastRestartAt: Seconds | null
}

function initStatus(spec: Json, statuses: readonly unknown[]): InitStatus {
  const specs = list(spec['initContainers'])
  let reason: string | undefined
  let readyContainers = 0
  let restarts = 0
  let lastRestartAt: Seconds | null = null
  let sidecarRestarts = 0
  let sidecarLastRestartAt: Seconds | null = null
  for (const [index, item] of statuses.entries()) {
    const container = record(item)
    const sidecar = isSidecar(specs, container['name'])
    const finished = lastFinish(container)
    restarts += integer(container['restartCount'])
    lastRestartAt = later(lastRestartAt, finished)
    if (sidecar) {
      sidecarRestarts += integer(container['restartCount'])
      sidecarLastRestartAt = later(sidecarLastRestartAt, finished)
    }
    const state = record(container['state'])
    const terminated = isRecord(state['terminated']) ? state['terminated'] : undefined
    if (terminated && integer(terminated['exitCode']) === 0) continue
    if (sidecar && container['started'] === true) {
      if (container['ready'] === true) readyContainers++
      continue
    }
    const waiting = text(record(state['waiting'])['reason'])
    if (terminated) reason = `Init:${terminationReason(terminated)}`
    else if (waiting !== '' && waiting !== 'PodInitializing') reason = `Init:${waiting}`
    else reason = `Init:${index}/${specs.length}`
    break
  }
  return { reason, readyContainers, restarts, lastRestartAt, sidecarRestarts, sidecarLastRestartAt }
}

function isSidecar(initContainers: readonly unknown[], name: unknown): boolean {
  const spec = initContainers.find((item) => record(item)['name'] === name)
  return record(spec)['restartPolicy'] === 'Always'
}

function terminationReason(terminated: Json): string {
  const reason = text(terminated['reason'])
  if (reason !== '') return reason
  const signal = integer(terminated['signal'])
  return signal === 0 ? `ExitCode:${integer(terminated['exitCode'])}` : `Signal:${signal}`
}

function lastFinish(container: Json): Seconds | null {
  return seconds(record(record(container['lastState'])['terminated'])['finishedAt'])
}

function hasCondition(
  conditions: readonly unknown[],
  type: string,
  field: 'status' | 'reason',
  value: string,
): boolean {
  return conditions.some((item) => {
    const condition = record(item)
    return condition['type'] === type && condition[field] === value
  })
}
