/**
 * Pods: the rows of which there are hundreds of thousands. What siblings have in common – template,
 * volumes, and everything of the status but its times – is one shared `PodState`; a row holds its
 * identity, its addresses, its times, and getters that put the two together. So a row's fields stand on
 * its prototype: to copy one, use `toJSON`, not a spread.
 */
import { globalId } from '../kinds.ts'
import { Interner } from '../interner.ts'
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
import { podStatus } from './pod-status.ts'
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
type StatusShape = Omit<ContainerStatus, 'since' | 'lastFinishedAt'>
type ConditionShape = Omit<Condition, 'lastTransitionTime'>

/** What pods of one template in one state share. */
interface PodState extends Pick<
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

const states = new Interner<PodState>(1 << 16)

/** One pod. Its fields are the identity and `PodState`; everything that `PodRow` promises is readable. */
class Pod implements PodRow {
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
  private readonly state: PodState
  private readonly times: Times

  constructor(object: Json, cluster: string) {
    const metadata = record(object['metadata'])
    const spec = record(object['spec'])
    const status = record(object['status'])
    const printed = podStatus(metadata, spec, status)
    const containers = shareContainers(spec)
    const volumes = shareVolumes(spec)

    const rawConditions = list(status['conditions'])
    const times: (Seconds | null)[] = Array.from(
      { length: containers.value.length * 2 + rawConditions.length },
      () => null,
    )
    const phase = oneOf(status['phase'], PHASES, 'Unknown')
    const reason = textOrNull(status['reason'])
    const message = textOrNull(status['message'])
    let key = `${containers.id}|${volumes.id}|${phase}|${printed.status}|${printed.restarts}|${printed.readyContainers}|${text(status['qosClass'])}|${text(spec['serviceAccountName'])}|${text(spec['priorityClassName'])}|${reason}|${message}|${podResourcesKey(spec, containers.value, status)}`

    let ready = false
    const conditions: ConditionShape[] = []
    let at = containers.value.length * 2
    for (const item of rawConditions) {
      const condition = conditionShape(record(item))
      if (condition.type === 'Ready') ready = condition.status === 'True'
      conditions.push(condition)
      times[at++] = seconds(record(item)['lastTransitionTime'])
      key += `|${condition.type}=${condition.status}=${condition.reason}=${condition.message}`
    }

    const statuses: (StatusShape | null)[] = []
    const rawStatuses = list(status['containerStatuses'])
    const rawInitStatuses = list(status['initContainerStatuses'])
    for (const [index, container] of containers.value.entries()) {
      const raw = statusOf(container.type === 'MAIN' ? rawStatuses : rawInitStatuses, container.name)
      if (!raw) {
        statuses.push(null)
        key += '|-'
        continue
      }
      const shape = statusShape(raw)
      statuses.push(shape)
      key += `|${shape.ready}${shape.started}${shape.restartCount}${shape.state}=${shape.reason}=${shape.message}=${shape.exitCode}=${shape.lastReason}=${shape.lastExitCode}`
      times[index * 2] = since(raw)
      times[index * 2 + 1] = seconds(record(record(raw['lastState'])['terminated'])['finishedAt'])
    }

    const state =
      states.find(key) ??
      states.add(
        key,
        Object.freeze({
          phase,
          status: shareText(printed.status),
          reason: shareTextOrNull(reason),
          message,
          ready,
          readyContainers: printed.readyContainers,
          restarts: printed.restarts,
          qosClass: shareTextOrNull(status['qosClass']),
          serviceAccountName: shareText(spec['serviceAccountName']),
          priorityClassName: shareTextOrNull(spec['priorityClassName']),
          specs: containers.value,
          statuses: Object.freeze(statuses),
          volumes: volumes.value,
          conditions: Object.freeze(conditions),
          images: shareList(Array.from(new Set(containers.value.map(({ image }) => image)))),
          runningImages: shareList(
            containers.value.flatMap(({ image }, index) =>
              statuses[index]?.state === 'RUNNING' ? [image] : [],
            ),
          ),
          ...podResources(spec, containers.value, status),
        }),
      )

    this.cluster = cluster
    this.namespace = shareText(metadata['namespace'])
    this.name = text(metadata['name'])
    this.id = globalId('Pod', cluster, this.namespace, this.name)
    this.uid = text(metadata['uid'])
    this.resourceVersion = text(metadata['resourceVersion'])
    this.generation = integer(metadata['generation'])
    this.creationTimestamp = seconds(metadata['creationTimestamp']) ?? 0
    this.deletionTimestamp = seconds(metadata['deletionTimestamp'])
    this.labels = shareLabels(metadata['labels'])
    this.owner = shareOwner(metadata['ownerReferences'])
    this.nodeName = shareText(spec['nodeName'])
    this.podIP = textOrNull(status['podIP'])
    this.hostIP = shareTextOrNull(status['hostIP'])
    this.startTime = seconds(status['startTime'])
    this.lastRestartAt = printed.lastRestartAt
    this.state = state.value
    this.times = times
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
  return new Pod(record(object), cluster)
}

const PHASES = new Set(['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const)

function conditionShape(raw: Json): ConditionShape {
  return {
    type: shareText(raw['type']),
    status: conditionStatus(raw['status']),
    reason: shareTextOrNull(raw['reason']),
    message: textOrNull(raw['message']),
  }
}

function statusOf(statuses: readonly unknown[], name: string): Json | undefined {
  for (const item of statuses) {
    const status = record(item)
    if (status['name'] === name) return status
  }
  return undefined
}

/** Without any state a container is waiting (API reference, `ContainerState`). */
function statusShape(raw: Json): StatusShape {
  const state = record(raw['state'])
  const last = record(record(raw['lastState'])['terminated'])
  const terminated = isRecord(state['terminated']) ? state['terminated'] : undefined
  const current = terminated ?? record(state['running'] ?? state['waiting'])
  return {
    ready: raw['ready'] === true,
    started: raw['started'] === true,
    restartCount: integer(raw['restartCount']),
    state: terminated ? 'TERMINATED' : isRecord(state['running']) ? 'RUNNING' : 'WAITING',
    reason: shareTextOrNull(current['reason']),
    message: textOrNull(current['message']),
    exitCode: terminated ? integer(terminated['exitCode']) : null,
    lastReason: shareTextOrNull(last['reason']),
    lastExitCode: integerOrNull(last['exitCode']),
  }
}

function since(raw: Json): Seconds | null {
  const state = record(raw['state'])
  if (isRecord(state['terminated'])) return seconds(state['terminated']['finishedAt'])
  return seconds(record(state['running'])['startedAt'])
}
