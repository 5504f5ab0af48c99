/**
 * Pods: the rows of which there are hundreds of thousands. What siblings have in common – template,
 * volumes, and everything of the status but its times – is one shared `PodState`; a row holds its
 * identity, its addresses, its times, and getters that put the two together. So a row's fields stand on
 * its prototype: to copy one, use `toJSON`, not a spread.
 */
import { globalId } from '../kinds.ts'
import { Interner, type Interned } from '../interner.ts'
import type {
  Condition,
  Container,
  ContainerSpec,
  ContainerStatus,
  LabelSet,
  OwnerReference,
  PodRow,
  Seconds,
  Volume,
} from '../rows.ts'
import {
  integer,
  integerOrNull,
  isRecord,
  list,
  oneOf,
  record,
  seconds,
  text,
  textOrNull,
  type Json,
} from './fields.ts'
import { podResources, podResourcesKey } from './pod-resources.ts'
import { podStatus, type PodStatus } from './pod-status.ts'
import {
  conditionStatus,
  shareContainers,
  shareLabels,
  shareList,
  shareOwner,
  shareText,
  shareTextOrNull,
  shareVolumes,
} from './shared.ts'

/** A container's status without its times. */
export type StatusShape = Omit<ContainerStatus, 'since' | 'lastFinishedAt'>
export type ConditionShape = Omit<Condition, 'lastTransitionTime'>

/** What pods of one template in one state share. */
export interface PodState extends Pick<
  PodRow,
  | 'phase'
  | 'status'
  | 'reason'
  | 'message'
  | 'ready'
  | 'readyContainers'
  | 'restarts'
  | 'qosClass'
  | 'serviceAccountName'
  | 'priorityClassName'
  | 'cpuRequest'
  | 'memoryRequest'
  | 'cpuLimit'
  | 'memoryLimit'
  | 'images'
  | 'runningImages'
> {
  readonly specs: readonly ContainerSpec[]
  /** Beside `specs`. */
  readonly statuses: readonly (StatusShape | null)[]
  readonly volumes: readonly Volume[]
  readonly conditions: readonly ConditionShape[]
}

/**
 * The times of a row: `since` and `lastFinishedAt` of each container, then `lastTransitionTime` of each
 * condition, in the order of the state.
 */
type Times = readonly (Seconds | null)[]

const states = new Interner<PodState>(1 << 15)

/** What a pod's row holds itself. */
export interface PodParts extends Pick<
  PodRow,
  | 'cluster'
  | 'uid'
  | 'namespace'
  | 'name'
  | 'resourceVersion'
  | 'generation'
  | 'creationTimestamp'
  | 'deletionTimestamp'
  | 'labels'
  | 'owner'
  | 'nodeName'
  | 'podIP'
  | 'hostIP'
  | 'startTime'
  | 'lastRestartAt'
> {
  readonly state: PodState
  readonly times: Times
}

/**
 * One pod. Its fields are the identity and `PodState`; everything that `PodRow` promises is readable. `state`
 * and `times` are for `pod-codec.ts`, and no part of the row.
 */
export class Pod implements PodRow, PodParts {
  readonly cluster: string
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  readonly generation: number
  readonly creationTimestamp: Seconds
  readonly deletionTimestamp: Seconds | null
  readonly labels: LabelSet
  readonly owner: OwnerReference | null
  readonly nodeName: string
  readonly podIP: string | null
  readonly hostIP: string | null
  readonly startTime: Seconds | null
  readonly lastRestartAt: Seconds | null
  readonly id: string
  readonly state: PodState
  readonly times: Times

  constructor(parts: PodParts) {
    this.cluster = parts.cluster
    this.namespace = parts.namespace
    this.name = parts.name
    this.id = globalId('Pod', parts.cluster, parts.namespace, parts.name)
    this.uid = parts.uid
    this.resourceVersion = parts.resourceVersion
    this.generation = parts.generation
    this.creationTimestamp = parts.creationTimestamp
    this.deletionTimestamp = parts.deletionTimestamp
    this.labels = parts.labels
    this.owner = parts.owner
    this.nodeName = parts.nodeName
    this.podIP = parts.podIP
    this.hostIP = parts.hostIP
    this.startTime = parts.startTime
    this.lastRestartAt = parts.lastRestartAt
    this.state = parts.state
    this.times = parts.times
    Object.freeze(this)
  }

  get kind(): 'Pod' {
    return 'Pod'
  }

  get phase(): PodRow['phase'] {
    return this.state.phase
  }

  get status(): string {
    return this.state.status
  }

  get reason(): string | null {
    return this.state.reason
  }

  get message(): string | null {
    return this.state.message
  }

  get ready(): boolean {
    return this.state.ready
  }

  get readyContainers(): number {
    return this.state.readyContainers
  }

  get restarts(): number {
    return this.state.restarts
  }

  get qosClass(): string | null {
    return this.state.qosClass
  }

  get serviceAccountName(): string {
    return this.state.serviceAccountName
  }

  get priorityClassName(): string | null {
    return this.state.priorityClassName
  }

  get volumes(): readonly Volume[] {
    return this.state.volumes
  }

  get images(): readonly string[] {
    return this.state.images
  }

  get runningImages(): readonly string[] {
    return this.state.runningImages
  }

  get cpuRequest(): number {
    return this.state.cpuRequest
  }

  get memoryRequest(): number {
    return this.state.memoryRequest
  }

  get cpuLimit(): number {
    return this.state.cpuLimit
  }

  get memoryLimit(): number {
    return this.state.memoryLimit
  }

  get containers(): readonly Container[] {
    const { specs, statuses } = this.state
    return specs.map((spec, index) => {
      const shape = statuses[index]
      if (!shape) return { spec, status: null }
      const since = this.times[index * 2] ?? null
      const lastFinishedAt = this.times[index * 2 + 1] ?? null
      return {
        spec,
        status: {
          ready: shape.ready,
          started: shape.started,
          restartCount: shape.restartCount,
          state: shape.state,
          reason: shape.reason,
          message: shape.message,
          exitCode: shape.exitCode,
          since,
          lastReason: shape.lastReason,
          lastExitCode: shape.lastExitCode,
          lastFinishedAt,
        },
      }
    })
  }

  get conditions(): readonly Condition[] {
    const offset = this.state.specs.length * 2
    return this.state.conditions.map(({ type, status, reason, message }, index) => ({
      type,
      status,
      reason,
      message,
      lastTransitionTime: this.times[offset + index] ?? null,
    }))
  }

  /** A plain object with every field of the contract. */
  toJSON(): PodRow {
    return {
      kind: this.kind,
      cluster: this.cluster,
      id: this.id,
      uid: this.uid,
      namespace: this.namespace,
      name: this.name,
      resourceVersion: this.resourceVersion,
      generation: this.generation,
      creationTimestamp: this.creationTimestamp,
      deletionTimestamp: this.deletionTimestamp,
      labels: this.labels,
      owner: this.owner,
      phase: this.phase,
      status: this.status,
      reason: this.reason,
      message: this.message,
      ready: this.ready,
      readyContainers: this.readyContainers,
      restarts: this.restarts,
      lastRestartAt: this.lastRestartAt,
      nodeName: this.nodeName,
      podIP: this.podIP,
      hostIP: this.hostIP,
      qosClass: this.qosClass,
      serviceAccountName: this.serviceAccountName,
      priorityClassName: this.priorityClassName,
      startTime: this.startTime,
      containers: this.containers,
      volumes: this.volumes,
      conditions: this.conditions,
      images: this.images,
      runningImages: this.runningImages,
      cpuRequest: this.cpuRequest,
      memoryRequest: this.memoryRequest,
      cpuLimit: this.cpuLimit,
      memoryLimit: this.memoryLimit,
    }
  }
}

export function projectPod(object: unknown, cluster: string): PodRow {
  const raw = record(object)
  const metadata = record(raw['metadata'])
  const spec = record(raw['spec'])
  const status = record(raw['status'])
  const parts = partsOf(metadata, spec, status)
  const key = stateKey(parts)
  return new Pod({
    cluster,
    namespace: shareText(metadata['namespace']),
    name: text(metadata['name']),
    uid: text(metadata['uid']),
    resourceVersion: text(metadata['resourceVersion']),
    generation: integer(metadata['generation']),
    creationTimestamp: seconds(metadata['creationTimestamp']) ?? 0,
    deletionTimestamp: seconds(metadata['deletionTimestamp']),
    labels: shareLabels(metadata['labels']),
    owner: shareOwner(metadata['ownerReferences']),
    nodeName: shareText(spec['nodeName']),
    podIP: textOrNull(status['podIP']),
    hostIP: shareTextOrNull(status['hostIP']),
    startTime: seconds(status['startTime']),
    lastRestartAt: parts.printed.lastRestartAt,
    state: (states.find(key) ?? states.add(key, makeState(parts))).value,
    times: timesOf(parts),
  })
}

const PHASES = new Set(['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const)

/** A pod's JSON, taken apart as far as every use of it needs. */
interface Parts {
  readonly spec: Json
  readonly status: Json
  readonly printed: PodStatus
  readonly containers: Interned<readonly ContainerSpec[]>
  readonly volumes: Interned<readonly Volume[]>
  /** Beside the containers. */
  readonly statuses: readonly (Json | undefined)[]
  readonly conditions: readonly Json[]
}

function partsOf(metadata: Json, spec: Json, status: Json): Parts {
  const containers = shareContainers(spec)
  const main = list(status['containerStatuses'])
  const init = list(status['initContainerStatuses'])
  return {
    spec,
    status,
    printed: podStatus(metadata, spec, status),
    containers,
    volumes: shareVolumes(spec),
    statuses: containers.value.map(({ type, name }) => statusOf(type === 'MAIN' ? main : init, name)),
    conditions: list(status['conditions']).map(record),
  }
}

/** Everything that `makeState` reads, and no time. */
function stateKey({ spec, status, printed, containers, volumes, statuses, conditions }: Parts): string {
  let key = `${containers.id}|${volumes.id}|${text(status['phase'])}|${printed.status}|${printed.restarts}|${printed.readyContainers}|${text(status['qosClass'])}|${text(spec['serviceAccountName'])}|${text(spec['priorityClassName'])}|${text(status['reason'])}|${text(status['message'])}|${podResourcesKey(spec, containers.value, status)}`
  for (const condition of conditions) {
    key += `|${text(condition['type'])}=${text(condition['status'])}=${text(condition['reason'])}=${text(condition['message'])}`
  }
  for (const raw of statuses) {
    if (!raw) {
      key += '|-'
      continue
    }
    const { state, current, last } = statesOf(raw)
    key += `|${raw['ready'] === true}${raw['started'] === true}${integer(raw['restartCount'])}${state}=${text(current['reason'])}=${text(current['message'])}=${integer(current['exitCode'])}=${text(last['reason'])}=${integerOrNull(last['exitCode'])}`
  }
  return key
}

function makeState({ spec, status, printed, containers, volumes, statuses, conditions }: Parts): PodState {
  return podState({
    phase: oneOf(status['phase'], PHASES, 'Unknown'),
    status: shareText(printed.status),
    reason: shareTextOrNull(status['reason']),
    message: textOrNull(status['message']),
    ready: conditions.some((condition) => condition['type'] === 'Ready' && condition['status'] === 'True'),
    readyContainers: printed.readyContainers,
    restarts: printed.restarts,
    qosClass: shareTextOrNull(status['qosClass']),
    serviceAccountName: shareText(spec['serviceAccountName']),
    priorityClassName: shareTextOrNull(spec['priorityClassName']),
    specs: containers.value,
    statuses: Object.freeze(statuses.map((raw) => (raw ? statusShape(raw) : null))),
    volumes: volumes.value,
    conditions: Object.freeze(conditions.map(conditionShape)),
    ...podResources(spec, containers.value, status),
  })
}

/** With what follows from the rest of it. The lists must be frozen. */
export function podState(state: Omit<PodState, 'images' | 'runningImages'>): PodState {
  const { specs, statuses } = state
  const running = statuses.flatMap((shape, index) => (shape?.state === 'RUNNING' ? specs[index]!.image : []))
  return Object.freeze({
    ...state,
    images: shareList(Array.from(new Set(specs.map(({ image }) => image)))),
    runningImages: shareList(running),
  })
}

/** Of the exact length: growing by pushes would leave slack in each of half a million rows. */
export function emptyTimes(length: number): (Seconds | null)[] {
  const times: (Seconds | null)[] = []
  times.length = length
  return times.fill(null)
}

function timesOf({ statuses, conditions }: Parts): Times {
  const times = emptyTimes(statuses.length * 2 + conditions.length)
  let at = 0
  for (const raw of statuses) {
    if (raw) {
      times[at] = since(raw)
      times[at + 1] = seconds(record(record(raw['lastState'])['terminated'])['finishedAt'])
    }
    at += 2
  }
  for (const condition of conditions) times[at++] = seconds(condition['lastTransitionTime'])
  return Object.freeze(times)
}

function conditionShape(raw: Json): ConditionShape {
  return Object.freeze({
    type: shareText(raw['type']),
    status: conditionStatus(raw['status']),
    reason: shareTextOrNull(raw['reason']),
    message: textOrNull(raw['message']),
  })
}

function statusOf(statuses: readonly unknown[], name: string): Json | undefined {
  for (const item of statuses) {
    const status = record(item)
    if (status['name'] === name) return status
  }
  return undefined
}

/** Without any state a container is waiting (API reference, `ContainerState`). */
function statesOf(raw: Json): { state: ContainerStatus['state']; current: Json; last: Json } {
  const { terminated, running, waiting } = record(raw['state'])
  const last = record(record(raw['lastState'])['terminated'])
  if (isRecord(terminated)) return { state: 'TERMINATED', current: terminated, last }
  if (isRecord(running)) return { state: 'RUNNING', current: running, last }
  return { state: 'WAITING', current: record(waiting), last }
}

function statusShape(raw: Json): StatusShape {
  const { state, current, last } = statesOf(raw)
  return Object.freeze({
    ready: raw['ready'] === true,
    started: raw['started'] === true,
    restartCount: integer(raw['restartCount']),
    state,
    reason: shareTextOrNull(current['reason']),
    message: textOrNull(current['message']),
    exitCode: state === 'TERMINATED' ? integer(current['exitCode']) : null,
    lastReason: shareTextOrNull(last['reason']),
    lastExitCode: integerOrNull(last['exitCode']),
  })
}

function since(raw: Json): Seconds | null {
  const state = record(raw['state'])
  if (isRecord(state['terminated'])) return seconds(state['terminated']['finishedAt'])
  return seconds(record(state['running'])['startedAt'])
}
