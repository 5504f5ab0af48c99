/**
 * A pod's status as the kubelet reports it: composed whole from the states of its containers, so that no
 * part of it can be stale. Pure. Source: `pkg/kubelet/status/generate.go` and `kubelet_pods.go`.
 */
import { canonicalImage, imageFacts, type Behaviour } from './container-behaviour.ts'
import type { Condition, Container, ContainerState, ContainerStatus, Pod, PodStatus } from './objects.ts'
import { withCondition } from './pod-template.ts'
import { qosClass } from './quantity.ts'

/** One container as its worker holds it, over all its runs. */
export interface ContainerRun {
  readonly container: Container
  readonly isInit: boolean
  /** Restartable init container (KEP-753): starts in its turn, keeps running. */
  readonly isSidecar: boolean
  readonly behaviour: Behaviour
  state: ContainerState
  lastState: ContainerState
  ready: boolean
  started: boolean
  restartCount: number
  containerId: string | undefined
  startedMs: number
  crashBackoffSeconds: number
  pullBackoffSeconds: number
  /** Launched once by the pod's own sequence; after that only restarts concern it. */
  launched: boolean
  /** The container whose future is planned already. */
  watched: string | undefined
}

interface PodFacts {
  readonly phase: string
  readonly runs: readonly ContainerRun[]
  /** Whether the pod has its network. */
  readonly sandbox: boolean
  readonly hostIP: string
  readonly podIP: string | undefined
  /** The present, as `metav1.Time`. */
  readonly stamp: string
}

/** Conditions keep their transition times from the pod's present status; foreign conditions stay. */
export function podStatus(pod: Pod, facts: PodFacts): PodStatus {
  const { phase, runs, hostIP, podIP, stamp } = facts
  const { status, metadata, spec } = pod
  return {
    ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
    phase,
    conditions: conditionsOf(pod, facts),
    hostIP,
    hostIPs: [{ ip: hostIP }],
    ...(podIP === undefined ? {} : { podIP, podIPs: [{ ip: podIP }] }),
    startTime: status?.startTime ?? stamp,
    ...(spec.initContainers === undefined
      ? {}
      : { initContainerStatuses: runs.filter(({ isInit }) => isInit).map(statusOf) }),
    containerStatuses: runs.filter(({ isInit }) => !isInit).map(statusOf),
    qosClass: status?.qosClass ?? qosClass(pod),
  }
}

/** An init container is through when it ended well; a restartable one when it runs. */
export function isInitialized(run: ContainerRun): boolean {
  return run.isSidecar ? run.state.running !== undefined : run.state.terminated?.exitCode === 0
}

function conditionsOf(pod: Pod, { phase, runs, sandbox, stamp }: PodFacts): readonly Condition[] {
  const old = pod.status?.conditions
  const ended = phase === 'Succeeded' || phase === 'Failed'
  const uninitialized = runs.filter((run) => run.isInit && !isInitialized(run))
  const unready = runs.filter((run) => !run.isInit && !run.ready)
  const names = (runs: readonly ContainerRun[]) =>
    `[${runs.map(({ container }) => container.name).join(' ')}]`
  const notReady: Partial<Condition> = ended
    ? { reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' }
    : { reason: 'ContainersNotReady', message: `containers with unready status: ${names(unready)}` }
  const gate = pod.spec.readinessGates?.find(
    ({ conditionType }) => old?.find(({ type }) => type === conditionType)?.status !== 'True',
  )
  const ready = unready.length === 0 && uninitialized.length === 0 && !ended
  const observed =
    pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }
  const next: readonly Condition[] = [
    { type: 'PodReadyToStartContainers', status: sandbox && !ended ? 'True' : 'False' },
    uninitialized.length === 0
      ? {
          type: 'Initialized',
          status: 'True',
          ...(phase === 'Succeeded' ? { reason: 'PodCompleted' } : {}),
        }
      : {
          type: 'Initialized',
          status: 'False',
          reason: 'ContainersNotInitialized',
          message: `containers with incomplete status: ${names(uninitialized)}`,
        },
    ready && gate !== undefined
      ? {
          type: 'Ready',
          status: 'False',
          reason: 'ReadinessGatesNotReady',
          message: `corresponding condition of pod readiness gate "${gate.conditionType}" does not exist.`,
        }
      : { type: 'Ready', status: ready ? 'True' : 'False', ...(ready ? {} : notReady) },
    { type: 'ContainersReady', status: ready ? 'True' : 'False', ...(ready ? {} : notReady) },
    { type: 'PodScheduled', status: 'True' },
  ]
  const kubeletTypes = new Set(next.map(({ type }) => type))
  let conditions: readonly Condition[] = next.flatMap(
    ({ type }) => old?.filter((each) => each.type === type) ?? [],
  )
  for (const condition of next) {
    conditions = withCondition(conditions, { ...observed, lastProbeTime: null, ...condition }, stamp)
  }
  const order = next.map(({ type }) => type)
  const foreign = (old ?? []).filter(({ type }) => !kubeletTypes.has(type))
  return [...[...conditions].sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type)), ...foreign]
}

function statusOf(run: ContainerRun): ContainerStatus {
  const { image, name } = run.container
  const pulled = run.containerId !== undefined
  return {
    name,
    state: run.state,
    lastState: run.lastState,
    ready: run.isInit && !run.isSidecar ? run.state.terminated?.exitCode === 0 : run.ready,
    restartCount: run.restartCount,
    image: pulled ? canonicalImage(image) : image,
    imageID: pulled ? imageFacts(image).imageId : '',
    ...(run.containerId === undefined ? {} : { containerID: run.containerId }),
    started: run.state.running !== undefined && run.started,
  }
}
