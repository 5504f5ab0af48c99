/**
 * One pod's life on its node, from the sandbox to the last container's end: what a kubelet's pod worker
 * does, as a handful of timeline entries. It exists only while something is still to come; a pod whose
 * containers run for good has none.
 *
 * Invariant: `#write` is the only place that writes a pod's status, all of it, composed by `podStatus` from
 * the containers' states held here. Source: `pkg/kubelet` (status, kuberuntime, images), "Pod Lifecycle" in
 * the documentation; texts as kubelet 1.34 with containerd writes them.
 */
import type { ControlContext } from './control-context.ts'
import { behaviourOf, canonicalImage, hex64, imageFacts } from './container-behaviour.ts'
import {
  CONFIG_MAPS,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  read,
  SECRETS,
  type Container,
  type Pod,
} from './objects.ts'
import { isInitialized, podStatus, type ContainerRun } from './pod-status.ts'

export interface NodeFacts {
  readonly hostIP: string
  /** Whether the image is on the node; afterwards it is. */
  hasImage(image: string): boolean
  addImage(image: string): void
  podIP(pod: Pod): string
}

/** What a worker needs of its kubelet. */
export interface WorkerHost extends ControlContext {
  readonly node: NodeFacts
  readonly nodeName: string
  /** As `clock.after`, but waits for the node to be up. */
  later(seconds: number, work: () => void): () => void
  /** The worker has nothing left to do. */
  done(): void
}

const shortestBackoffSeconds = 10
const longestBackoffSeconds = 300
const resetAfterSeconds = 600

export class PodWorker {
  readonly #host: WorkerHost
  readonly #namespace: string
  readonly #name: string
  readonly #uid: string
  readonly #runs: ContainerRun[]
  readonly #pending = new Set<() => void>()
  #pod: Pod
  #podIP: string | undefined
  #sandbox = false
  #stopping = false

  constructor(host: WorkerHost, pod: Pod) {
    this.#host = host
    this.#pod = pod
    this.#namespace = pod.metadata.namespace ?? ''
    this.#name = pod.metadata.name
    this.#uid = pod.metadata.uid
    const { status } = pod
    this.#podIP = status?.podIP
    this.#sandbox = status?.podIP !== undefined
    const statuses = new Map(
      [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].map((each) => [
        each.name,
        each,
      ]),
    )
    const runOf =
      (isInit: boolean) =>
      (container: Container): ContainerRun => {
        const old = statuses.get(container.name)
        const startedAt = old?.state?.running?.startedAt
        return {
          container,
          isInit,
          isSidecar: isInit && container.restartPolicy === 'Always',
          behaviour: behaviourOf(pod, container),
          state: old?.state ?? { waiting: { reason: 'ContainerCreating' } },
          lastState: old?.lastState ?? {},
          ready: old?.ready ?? false,
          started: old?.started ?? false,
          restartCount: old?.restartCount ?? 0,
          containerId: old?.containerID,
          startedMs: startedAt === undefined ? 0 : Date.parse(startedAt),
          crashBackoffSeconds: Math.min(
            longestBackoffSeconds,
            shortestBackoffSeconds * 2 ** ((old?.restartCount ?? 0) - 1),
          ),
          pullBackoffSeconds: shortestBackoffSeconds,
          launched: false,
          watched: undefined,
        }
      }
    this.#runs = [
      ...(pod.spec.initContainers ?? []).map(runOf(true)),
      ...pod.spec.containers.map(runOf(false)),
    ]
  }

  /** Whether the pod's status leaves nothing to come: every container runs for good and is ready. */
  static isSettled(pod: Pod): boolean {
    const { phase, containerStatuses } = pod.status ?? {}
    if (phase === 'Succeeded' || phase === 'Failed') return true
    if (phase !== 'Running' || containerStatuses?.length !== pod.spec.containers.length) return false
    return pod.spec.containers.every((container, i) => {
      const status = containerStatuses[i]
      const { exit, becomesReady } = behaviourOf(pod, container)
      return status?.state?.running !== undefined && exit === undefined && (status.ready || !becomesReady)
    })
  }

  /** Begins, or goes on from where the status says the pod is. */
  start(): void {
    const deadline = this.#pod.spec.activeDeadlineSeconds
    if (deadline !== undefined) this.#later(deadline, () => this.#exceedDeadline())
    if (this.#pod.status?.startTime === undefined) {
      this.#later(0.1 + this.#host.random() * 0.2, () => {
        const initializing = this.#runs.some(({ isInit }) => isInit)
        for (const run of this.#runs) {
          if (initializing && !run.isInit) run.state = { waiting: { reason: 'PodInitializing' } }
          else if (initializing) run.state = { waiting: { reason: 'PodInitializing' } }
        }
        this.#write()
        this.#mount(0)
      })
    } else if (!this.#sandbox) this.#mount(0)
    else this.#resume()
  }

  /** Ends the containers as the pod's grace period allows, then calls `gone`. */
  stop(pod: Pod, gone: () => void): void {
    if (this.#stopping) return
    this.#stopping = true
    this.#cancelAll()
    this.#pod = pod
    let seconds = 0.2
    for (const run of this.#runs) {
      if (run.state.running === undefined) continue
      this.#event(run, 'Normal', 'Killing', `Stopping container ${run.container.name}`)
      seconds = Math.max(
        seconds,
        (run.behaviour.stopSeconds ?? 0.4 + this.#host.random()) + preStopSeconds(run.container),
      )
    }
    const grace = pod.metadata.deletionGracePeriodSeconds ?? 30
    const killed = seconds > grace
    this.#later(Math.min(grace, seconds), () => {
      for (const run of this.#runs) {
        if (run.state.running === undefined) continue
        const clean = (this.#pod.spec.restartPolicy ?? 'Always') === 'Always'
        this.#end(run, killed ? 137 : clean ? 0 : 143, killed || !clean ? 'Error' : 'Completed')
      }
      // A pod that never ran keeps its phase: nothing of it succeeded.
      this.#write(
        this.#runs.some(({ state }) => state.terminated !== undefined) ? this.#endPhase() : undefined,
      )
      this.#finish()
      gone()
    })
  }

  /** A container whose image was changed in place is started anew. */
  reconcile(pod: Pod): void {
    this.#pod = pod
    for (const [i, run] of this.#runs.entries()) {
      if (run.isInit) continue
      const wanted = pod.spec.containers.find(({ name }) => name === run.container.name)
      if (wanted === undefined || canonicalImage(wanted.image) === canonicalImage(run.container.image))
        continue
      if (run.state.running !== undefined) {
        const message = `Container ${wanted.name} definition changed, will be restarted`
        this.#event(run, 'Normal', 'Killing', message)
        this.#end(run, 0, 'Completed')
        run.restartCount++
      }
      const next: ContainerRun = {
        ...run,
        container: wanted,
        behaviour: behaviourOf(pod, wanted),
        lastState: run.state.terminated === undefined ? run.lastState : run.state,
        pullBackoffSeconds: shortestBackoffSeconds,
      }
      this.#runs[i] = next
      this.#write()
      this.#later(0.5, () => this.#launch(next))
    }
  }

  /** Drops all that is planned; the pod is gone. */
  cancel(): void {
    this.#cancelAll()
  }

  #later(seconds: number, work: () => void): void {
    const cancel = this.#host.later(seconds, () => {
      this.#pending.delete(cancel)
      // Only what is still the same pod is worked on: a name can be reused.
      const current = read(this.#host.registry, PODS, this.#namespace, this.#name)
      if (current?.metadata.uid !== this.#uid) return this.cancel()
      this.#pod = current
      work()
      if (this.#pending.size === 0) this.#host.done()
    })
    this.#pending.add(cancel)
  }

  #cancelAll(): void {
    for (const cancel of this.#pending) cancel()
    this.#pending.clear()
  }

  #finish(): void {
    this.#cancelAll()
    this.#host.done()
  }

  #event(run: ContainerRun | undefined, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const kind = run?.isInit === true ? 'initContainers' : 'containers'
    this.#host.events.record(this.#pod, type, reason, message, {
      component: 'kubelet',
      host: this.#host.nodeName,
      ...(run === undefined ? {} : { fieldPath: `spec.${kind}{${run.container.name}}` }),
    })
  }

  /** Volumes first: what is missing is said in an event and tried again. */
  #mount(attempt: number): void {
    const problem = this.#volumeProblem()
    if (problem !== undefined) {
      this.#event(undefined, 'Warning', 'FailedMount', problem)
      this.#later(Math.min(122, 0.5 * 2 ** attempt), () => this.#mount(attempt + 1))
      return
    }
    this.#later(0.3 + this.#host.random() * 0.5, () => {
      this.#sandbox = true
      this.#podIP =
        this.#pod.spec.hostNetwork === true ? this.#host.node.hostIP : this.#host.node.podIP(this.#pod)
      this.#resume()
    })
  }

  #volumeProblem(): string | undefined {
    const { registry } = this.#host
    for (const volume of this.#pod.spec.volumes ?? []) {
      const configMap = volume['configMap'] as
        | { readonly name?: string; readonly optional?: boolean }
        | undefined
      const secret = volume['secret'] as
        | { readonly secretName?: string; readonly optional?: boolean }
        | undefined
      const missing = (what: string, name: string) =>
        `MountVolume.SetUp failed for volume "${volume.name}" : ${what} "${name}" not found`
      if (configMap?.name !== undefined && configMap.optional !== true) {
        if (read(registry, CONFIG_MAPS, this.#namespace, configMap.name) === undefined) {
          return missing('configmap', configMap.name)
        }
      }
      if (secret?.secretName !== undefined && secret.optional !== true) {
        if (read(registry, SECRETS, this.#namespace, secret.secretName) === undefined) {
          return missing('secret', secret.secretName)
        }
      }
      const claimName = volume.persistentVolumeClaim?.claimName
      if (claimName === undefined) continue
      const claim = read(registry, PERSISTENT_VOLUME_CLAIMS, this.#namespace, claimName)
      if (claim?.status?.phase !== 'Bound') {
        return `Unable to attach or mount volumes: unmounted volumes=[${volume.name}], unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition`
      }
    }
    return undefined
  }

  /** The next init container, or all others once those are through; and what runs goes on. */
  #resume(): void {
    for (const run of this.#runs) {
      if (run.state.running !== undefined) this.#watch(run)
    }
    const init = this.#runs.find((run) => run.isInit && !isInitialized(run))
    if (init !== undefined) {
      if (init.state.running === undefined && !init.launched) this.#launch(init)
      return
    }
    for (const run of this.#runs) {
      if (
        !run.isInit &&
        !run.launched &&
        run.state.running === undefined &&
        run.state.terminated === undefined
      ) {
        this.#launch(run)
      }
    }
  }

  #launch(run: ContainerRun): void {
    const { image } = run.container
    const { node, random } = this.#host
    run.launched = true
    const error = run.behaviour.pullError
    if (error?.reason === 'InvalidImageName') {
      run.state = { waiting: { reason: error.reason, message: error.message } }
      this.#event(run, 'Warning', 'InspectFailed', error.message)
      this.#event(run, 'Warning', 'Failed', 'Error: InvalidImageName')
      this.#write()
      return
    }
    if (run.state.waiting?.reason === 'CrashLoopBackOff' && run.restartCount > 0) {
      this.#later(run.crashBackoffSeconds, () => this.#begin(run))
      return
    }
    const always = run.container.imagePullPolicy === 'Always'
    if (!always && error === undefined && node.hasImage(image)) {
      this.#event(run, 'Normal', 'Pulled', `Container image "${image}" already present on machine`)
      this.#later(0.1 + random() * 0.3, () => this.#begin(run))
      return
    }
    if (run.state.waiting?.reason === 'ImagePullBackOff' || run.state.waiting?.reason === 'ErrImagePull') {
      // Found like this at the start: the next attempt is due.
      this.#later(run.pullBackoffSeconds, () => {
        run.state = { waiting: { reason: 'ContainerCreating' } }
        this.#launch(run)
      })
      return
    }
    this.#event(run, 'Normal', 'Pulling', `Pulling image "${image}"`)
    const { sizeBytes } = imageFacts(image)
    const seconds = node.hasImage(image) ? 0.3 + random() * 0.5 : 0.6 + sizeBytes / 80e6 + random()
    this.#later(error === undefined ? seconds : 0.5 + random(), () => {
      if (error !== undefined) return this.#pullFailed(run, error.message)
      node.addImage(image)
      const took = `${Math.round(seconds * 1000)}ms`
      const message = `Successfully pulled image "${image}" in ${took} (${took} including waiting). Image size: ${sizeBytes} bytes.`
      this.#event(run, 'Normal', 'Pulled', message)
      this.#later(0.1 + random() * 0.3, () => this.#begin(run))
      return undefined
    })
    if (
      run.state.waiting?.reason !== 'ContainerCreating' &&
      run.state.waiting?.reason !== 'PodInitializing'
    ) {
      run.state = { waiting: { reason: 'ContainerCreating' } }
    }
  }

  #pullFailed(run: ContainerRun, why: string): void {
    const { image } = run.container
    const message = `Failed to pull image "${image}": ${why}`
    this.#event(run, 'Warning', 'Failed', message)
    this.#event(run, 'Warning', 'Failed', 'Error: ErrImagePull')
    run.state = { waiting: { reason: 'ErrImagePull', message: why } }
    this.#write()
    const wait = run.pullBackoffSeconds
    run.pullBackoffSeconds = Math.min(longestBackoffSeconds, wait * 2)
    // The kubelet's next look at the pod finds the image in back-off and says so.
    this.#later(Math.min(wait / 2, 6 + this.#host.random() * 6), () => {
      run.state = {
        waiting: {
          reason: 'ImagePullBackOff',
          message: `Back-off pulling image "${image}": ErrImagePull: ${why}`,
        },
      }
      this.#event(run, 'Normal', 'BackOff', `Back-off pulling image "${image}"`)
      this.#event(run, 'Warning', 'Failed', 'Error: ImagePullBackOff')
      this.#write()
      this.#later(wait, () => {
        run.state = { waiting: { reason: 'ContainerCreating' } }
        this.#launch(run)
      })
    })
  }

  #begin(run: ContainerRun): void {
    const missing = this.#missingEnvironment(run.container)
    if (missing !== undefined) {
      run.state = { waiting: { reason: 'CreateContainerConfigError', message: missing } }
      this.#event(run, 'Warning', 'Failed', `Error: ${missing}`)
      this.#write()
      this.#later(10, () => this.#begin(run))
      return
    }
    const { clock } = this.#host
    run.containerId = `containerd://${hex64(`${this.#uid}${run.container.name}${run.restartCount}`)}`
    run.startedMs = clock.now()
    run.state = { running: { startedAt: clock.stamp() } }
    this.#event(run, 'Normal', 'Created', `Created container: ${run.container.name}`)
    this.#event(run, 'Normal', 'Started', `Started container ${run.container.name}`)
    const { readinessProbe, startupProbe } = run.container
    const probed = readinessProbe !== undefined || startupProbe !== undefined
    run.started = startupProbe === undefined
    run.ready = !probed && run.behaviour.becomesReady && (!run.isInit || run.isSidecar)
    this.#write()
    this.#watch(run)
    if (run.isSidecar) this.#resume()
  }

  /** Plans what will happen to a running container by itself: readiness and its end. */
  #watch(run: ContainerRun): void {
    const { clock, random } = this.#host
    const { readinessProbe, startupProbe } = run.container
    const { exit, becomesReady } = run.behaviour
    if (run.watched === run.containerId) return
    run.watched = run.containerId
    const ran = clock.since(run.startedMs)
    const containerId = run.containerId
    const still = (work: () => void) => () => {
      if (run.containerId === containerId && run.state.running !== undefined) work()
    }
    // A probe finds nothing that answers in a program that is about to fail.
    const fails = exit !== undefined && exit.code !== 0
    if (!run.ready && (!run.isInit || run.isSidecar) && becomesReady && !fails) {
      const wait =
        (startupProbe === undefined ? 0 : (startupProbe.initialDelaySeconds ?? 0) + 1) +
        (readinessProbe?.initialDelaySeconds ?? 0) +
        (readinessProbe === undefined ? 0 : random() * Math.min(3, readinessProbe.periodSeconds ?? 10))
      this.#later(
        wait,
        still(() => {
          run.ready = true
          run.started = true
          this.#write()
        }),
      )
    } else if (!becomesReady && readinessProbe !== undefined && !run.isInit) {
      const probe = still(() => {
        this.#event(
          run,
          'Warning',
          'Unhealthy',
          'Readiness probe failed: HTTP probe failed with statuscode: 503',
        )
        this.#later(30, probe)
      })
      this.#later((readinessProbe.initialDelaySeconds ?? 0) + 1, probe)
    }
    if (exit !== undefined) {
      this.#later(
        Math.max(0, exit.afterSeconds - ran),
        still(() => this.#exited(run, exit.code, exit.reason)),
      )
    }
  }

  #end(run: ContainerRun, exitCode: number, reason: string): void {
    const startedAt = run.state.running?.startedAt
    run.ready = false
    run.started = false
    run.state = {
      terminated: {
        exitCode,
        reason,
        ...(startedAt === undefined ? {} : { startedAt }),
        finishedAt: this.#host.clock.stamp(),
        ...(run.containerId === undefined ? {} : { containerID: run.containerId }),
      },
    }
  }

  #exited(run: ContainerRun, code: number, reason: string): void {
    this.#end(run, code, reason)
    const policy = this.#pod.spec.restartPolicy ?? 'Always'
    if (run.isInit && !run.isSidecar) {
      if (code === 0) {
        this.#write()
        this.#resume()
        return
      }
      if (policy === 'Never') return this.#complete('Failed')
    }
    const restarts = run.isSidecar || policy === 'Always' || (policy === 'OnFailure' && code !== 0)
    if (restarts) return this.#restartLater(run)
    const waits = this.#runs.some(({ isInit, state }) => !isInit && state.terminated === undefined)
    if (waits) this.#write()
    else this.#complete(this.#endPhase())
    return undefined
  }

  #restartLater(run: ContainerRun): void {
    const ranSeconds = this.#host.clock.since(run.startedMs)
    const first = run.restartCount === 0 || ranSeconds >= resetAfterSeconds
    run.crashBackoffSeconds = first
      ? shortestBackoffSeconds
      : Math.min(longestBackoffSeconds, shortestBackoffSeconds * 2 ** (run.restartCount - 1))
    this.#write()
    const restart = () => {
      run.lastState = run.state.terminated === undefined ? run.lastState : run.state
      run.restartCount++
      this.#later(0.1, () => this.#begin(run))
    }
    if (first) {
      this.#later(0.5 + this.#host.random(), restart)
      return
    }
    const seconds = run.crashBackoffSeconds
    this.#later(1 + this.#host.random(), () => {
      const where = `${this.#name}_${this.#namespace}(${this.#uid})`
      const text = `${seconds >= 60 ? `${Math.floor(seconds / 60)}m` : ''}${seconds % 60}s`
      const message = `back-off ${text} restarting failed container=${run.container.name} pod=${where}`
      run.lastState = run.state
      run.state = { waiting: { reason: 'CrashLoopBackOff', message } }
      const said = `Back-off restarting failed container ${run.container.name} in pod ${where}`
      this.#event(run, 'Warning', 'BackOff', said)
      this.#write()
      this.#later(seconds, restart)
    })
  }

  #endPhase(): 'Succeeded' | 'Failed' {
    return this.#runs.some((run) => !run.isInit && (run.state.terminated?.exitCode ?? 0) !== 0)
      ? 'Failed'
      : 'Succeeded'
  }

  #complete(phase: 'Succeeded' | 'Failed'): void {
    for (const run of this.#runs) if (run.state.running !== undefined) this.#end(run, 0, 'Completed')
    this.#write(phase)
    this.#finish()
  }

  #exceedDeadline(): void {
    for (const run of this.#runs) {
      if (run.state.running === undefined) continue
      this.#event(run, 'Normal', 'Killing', `Stopping container ${run.container.name}`)
      this.#end(run, 137, 'Error')
    }
    this.#write('Failed', {
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    })
    this.#finish()
  }

  #missingEnvironment({ env }: Container): string | undefined {
    const { registry } = this.#host
    for (const each of env ?? []) {
      const { valueFrom } = each as {
        readonly valueFrom?: Readonly<Record<string, { readonly name?: string; readonly optional?: boolean }>>
      }
      const [configMap, secret] = [valueFrom?.['configMapKeyRef'], valueFrom?.['secretKeyRef']]
      if (configMap?.name !== undefined && configMap.optional !== true) {
        if (read(registry, CONFIG_MAPS, this.#namespace, configMap.name) === undefined) {
          return `configmap "${configMap.name}" not found`
        }
      }
      if (secret?.name !== undefined && secret.optional !== true) {
        if (read(registry, SECRETS, this.#namespace, secret.name) === undefined) {
          return `secret "${secret.name}" not found`
        }
      }
    }
    return undefined
  }

  #phase(): string {
    const main = this.#runs.filter(({ isInit }) => !isInit)
    const began = main.some(({ state, restartCount }) => state.waiting === undefined || restartCount > 0)
    const all = main.every(({ state, restartCount }) => state.waiting === undefined || restartCount > 0)
    return began && all ? 'Running' : 'Pending'
  }

  #write(
    phase: string = this.#phase(),
    why: { readonly reason?: string; readonly message?: string } = {},
  ): void {
    const { clock, node, registry } = this.#host
    const facts = {
      phase,
      runs: this.#runs,
      sandbox: this.#sandbox,
      hostIP: node.hostIP,
      podIP: this.#podIP,
      stamp: clock.stamp(),
    }
    const status = { ...podStatus(this.#pod, facts), ...why }
    this.#pod = registry.update(PODS, { ...this.#pod, status }, { subresource: 'status' }) as Pod
  }
}

/** `lifecycle.preStop` as `sleep: {seconds}` or `exec: ["sleep", "5"]` and `sh -c "sleep 5"`. */
function preStopSeconds({ lifecycle }: Container): number {
  const { sleep, exec } = (lifecycle?.preStop ?? {}) as {
    readonly sleep?: { readonly seconds?: number }
    readonly exec?: { readonly command?: readonly string[] }
  }
  if (sleep?.seconds !== undefined) return sleep.seconds
  const match = /\bsleep\s+(\d+)/.exec(exec?.command?.join(' ') ?? '')
  return match === null ? 0 : Number(match[1])
}
