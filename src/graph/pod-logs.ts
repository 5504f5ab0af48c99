/**
 * The logs of one pod, or of all pods of a workload, merged line by line as they come: pods that join are
 * read too, and those that go end. Which pods there are is told by the live rows; how one container is
 * read, by `container-log.ts`.
 *
 * Invariants: at most `MAX_PODS` are read at once, the others wait and are told of; while the reader has
 * `HIGH_WATER` to take, nothing more is read from any log, so a slow reader holds the API server up and
 * loses nothing.
 */
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { LiveEvent } from '../events/live.ts'
import type { Clock } from '../fleet/clock.ts'
import type { Cluster } from '../fleet/fleet.ts'
import type { Selection } from '../fleet/selection.ts'
import type { Container, PodRow, Row, WorkloadKind } from '../kubernetes/rows.ts'
import { ContainerLog, type LogOptions } from './container-log.ts'
import type { LiveError } from './errors.ts'
import type { Outlet } from './outlet.ts'

export const MAX_PODS = 50

/** Characters that wait for the reader. */
const HIGH_WATER = 512 * 1024
const LOW_WATER = 64 * 1024

/** A pod that is gone: how long its log may still come, in milliseconds. */
const LAST_LINES_MS = 10_000

export const LOG_EVENT_TYPES = {
  LINE: 'A line of a log.',
  STARTED: "A container's log is read from here on: of a new pod, or of a container that was restarted.",
  ENDED: "A container's log has been read to its end. While its pod is followed the next run may follow.",
  ERROR:
    'A log could not be read: `error` says why, `message` whether it will be tried again. The others go on.',
  NOTICE: 'Something to know that is no failure: `message` says it.',
} as const

export interface PodLogEvent {
  readonly type: keyof typeof LOG_EVENT_TYPES
  readonly cluster: Cluster
  readonly namespace: string
  readonly pod: string | null
  readonly container: string | null
  readonly line: string | null
  readonly truncated: boolean
  /** As the kubelet wrote it. */
  readonly time: string | null
  readonly message: string | null
  readonly error: LiveError | null
}

/** Whose logs. */
type Target =
  | { readonly pod: string }
  | { readonly workload: { readonly kind: WorkloadKind; readonly name: string } }

export interface PodLogsRequest extends LogOptions {
  readonly cluster: Cluster
  readonly namespace: string
  readonly target: Target
  /** Absent: all. */
  readonly container?: string
}

/** Roughly, so that many short lines count too. */
export const weightOf = ({ line, message }: PodLogEvent): number =>
  128 + (line?.length ?? 0) + (message?.length ?? 0)

interface Followed {
  row: PodRow
  /** It does not exist any more. */
  gone: boolean
  readonly containers: Map<string, ContainerLog>
}

export class PodLogs {
  readonly #request: PodLogsRequest
  readonly #fleet: AuthorizedFleet
  readonly #clock: Clock
  readonly #outlet: Outlet<PodLogEvent>
  readonly #belongs: (pod: PodRow) => boolean
  /** Being read, by uid. */
  readonly #pods = new Map<string, Followed>()
  /** In line, by uid. */
  readonly #waiting = new Map<string, PodRow>()
  /** Read to their end, but still there: by uid. */
  readonly #done = new Set<string>()
  /** Rows of the snapshot under way; undefined: none is. */
  #snapshot: Set<string> | undefined = new Set()
  #saidFull = false
  /** A log was refused, or is no longer allowed. */
  #refused = false
  #paused = false
  readonly #cancels = new Set<() => void>()
  #finish: () => void = () => {}

  constructor(request: PodLogsRequest, fleet: AuthorizedFleet, clock: Clock, outlet: Outlet<PodLogEvent>) {
    this.#request = request
    this.#fleet = fleet
    this.#clock = clock
    this.#outlet = outlet
    this.#belongs = belongs(request.target, fleet)
    outlet.onTaken = () => this.#flow()
  }

  /** Resolves when all has been read, or the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve
    })
    signal.addEventListener('abort', () => this.#finish(), { once: true })
    try {
      if (!this.#announce()) return
      await Promise.race([finished, this.#request.follow ? this.#follow(signal) : this.#once(finished)])
    } finally {
      this.#close()
    }
  }

  /** Says what is not there; false: there is nothing to read. */
  #announce(): boolean {
    const { target, cluster, namespace } = this.#request
    const kind = 'pod' in target ? 'Pod' : target.workload.kind
    const name = 'pod' in target ? target.pod : target.workload.name
    if (this.#fleet.find(kind, cluster.name, namespace, name)) return true
    const [coverage] = this.#fleet.coverage([kind], [cluster])
    const why = coverage && coverage.state !== 'CURRENT' && coverage.reason ? ` ${coverage.reason}` : ''
    this.#tell('ERROR', {
      error: {
        code: 'NOT_FOUND',
        message: `There is no ${kind} ${name} in the namespace ${namespace} of ${cluster.name} that you may see.${why}`,
      },
    })
    return false
  }

  async #once(finished: Promise<void>): Promise<void> {
    const { cluster, target } = this.#request
    const rows =
      'pod' in target
        ? [this.#fleet.get('Pod', cluster.name, this.#request.namespace, target.pod)!]
        : this.#fleet
            .related('Pod', cluster.name, (table) => table.rows(this.#request.namespace))
            .filter(this.#belongs)
    for (const row of rows) this.#see(row)
    this.#snapshot = undefined
    this.#check()
    await finished
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { cluster } = this.#request
    const source = this.#fleet.follow(
      {
        type: 'rows',
        kinds: followedKinds(this.#request.target),
        clusters: ({ name }) => name === cluster.name,
        selection: selectionOf(this.#request),
        throttleMs: 0,
      },
      { snapshot: true },
      signal,
    )
    for await (const event of source) {
      if (signal.aborted) return
      this.#take(event)
    }
  }

  #take({ type, object, deletedReason, message }: LiveEvent): void {
    if (object?.kind === 'Pod') {
      if (type === 'DELETED') {
        return deletedReason === 'FORBIDDEN' ? this.#forbidden(object, message) : this.#gone(object.uid)
      }
      this.#snapshot?.add(object.uid)
      if (this.#belongs(object)) this.#see(object)
      return
    }
    if (object) {
      // Its pods may have come before it did.
      if (type !== 'ADDED') return
      const pods = this.#fleet.related('Pod', object.cluster, (table) => table.byOwner(object.uid))
      for (const pod of pods) if (this.#belongs(pod)) this.#see(pod)
      return
    }
    if (type === 'RESYNC') this.#snapshot = new Set()
    if (type === 'CLUSTER_DOWN' && message) this.#tell('NOTICE', { message })
    if (type !== 'SYNCED' || !this.#snapshot) return
    const present = this.#snapshot
    this.#snapshot = undefined
    for (const uid of [...this.#pods.keys(), ...this.#waiting.keys(), ...this.#done]) {
      if (!present.has(uid)) this.#gone(uid)
    }
    const none = this.#pods.size === 0 && this.#done.size === 0 && !this.#refused
    if (none && 'workload' in this.#request.target) {
      this.#tell('NOTICE', { message: 'No pod of the workload is there yet; those that come will be read.' })
    }
    this.#check()
  }

  #see(row: PodRow): void {
    const { uid } = row
    const known = this.#pods.get(uid)
    if (known) {
      known.row = row
      this.#update(known)
      return
    }
    if (this.#done.has(uid)) return
    if (this.#pods.size >= MAX_PODS) {
      this.#waiting.set(uid, row)
      if (this.#saidFull) return
      this.#saidFull = true
      this.#tell('NOTICE', {
        message: `The workload has more than ${MAX_PODS} pods: so many are read at once, the others as soon as one of them has ended.`,
      })
      return
    }
    this.#read(row)
  }

  #read(row: PodRow): void {
    const { container, previous } = this.#request
    const { containers } = row
    const names = containers.map(({ spec }) => spec.name)
    if (container !== undefined && !names.includes(container)) {
      this.#done.add(row.uid)
      const message = `The pod ${row.name} has no container ${container}. It has: ${names.join(', ')}.`
      this.#tell('ERROR', { pod: row.name, container, error: { code: 'NOT_FOUND', message } })
      return
    }
    const pod: Followed = { row, gone: false, containers: new Map() }
    this.#pods.set(row.uid, pod)
    const asked = previous ? containers.filter(ranBefore).map(({ spec }) => spec.name) : names
    for (const name of container === undefined ? asked : [container]) {
      pod.containers.set(name, this.#container(name, pod))
    }
    if (pod.containers.size === 0) {
      this.#tell('NOTICE', { pod: row.name, message: `No container of ${row.name} has run before.` })
    }
    this.#update(pod)
  }

  #container(name: string, pod: Followed): ContainerLog {
    const { cluster, namespace } = this.#request
    const of = { pod: pod.row.name, container: name }
    return new ContainerLog(name, this.#request, {
      clock: this.#clock,
      open: (query, sink) => this.#fleet.followLog(cluster, { namespace, name: pod.row.name }, query, sink),
      onStart: (message) => this.#tell('STARTED', { ...of, message }),
      onLine: ({ text, truncated, time }) => {
        this.#tell('LINE', { ...of, line: text, truncated, time })
        this.#flow()
      },
      onEnd: () => this.#tell('ENDED', of),
      onError: (error, again) =>
        this.#tell('ERROR', {
          ...of,
          error,
          message: again ? 'It is tried again from where it was.' : 'It is not tried again.',
        }),
      onIdle: () => this.#check(),
    })
  }

  #update(pod: Followed): void {
    const { row } = pod
    const last = pod.gone || row.phase === 'Succeeded' || row.phase === 'Failed'
    const statuses = new Map(row.containers.map(({ spec, status }) => [spec.name, status]))
    for (const log of pod.containers.values()) {
      if (this.#paused) log.pause()
      log.update(statuses.get(log.name) ?? null, last)
    }
    if (last) this.#check()
  }

  #gone(uid: string): void {
    this.#done.delete(uid)
    this.#waiting.delete(uid)
    const pod = this.#pods.get(uid)
    if (!pod || pod.gone) return
    pod.gone = true
    this.#update(pod)
    if (!this.#pods.has(uid)) return
    this.#endSoon(pod)
  }

  /** It may be seen no more: nothing further of it is told, not even what it still has to say. */
  #forbidden({ uid, name }: Row, message: string | null): void {
    this.#waiting.delete(uid)
    this.#done.delete(uid)
    const pod = this.#pods.get(uid)
    if (!pod) return
    this.#pods.delete(uid)
    const told = pod.containers.values().some((log) => log.forbidden)
    for (const log of pod.containers.values()) log.close()
    if (!told) {
      const error = { code: 'FORBIDDEN' as const, message: message ?? 'You may not see this pod any more.' }
      this.#tell('ERROR', { pod: name, error, message: 'It is not tried again.' })
    }
    this.#refused = true
    this.#check()
  }

  /** Its kubelet ends the log; where that is silent too, nobody would. */
  #endSoon({ containers }: Pick<Followed, 'containers'>): void {
    const cancel = this.#clock.after(LAST_LINES_MS, () => {
      this.#cancels.delete(cancel)
      // What is held up is not silent.
      if (this.#paused) return this.#endSoon({ containers })
      for (const log of containers.values()) log.close()
      this.#check()
    })
    this.#cancels.add(cancel)
  }

  /** Gives the place of pods that are over to those in line; ends when nothing is left to wait for. */
  #check(): void {
    for (const [uid, { row, gone, containers }] of this.#pods) {
      const refused = containers.values().some((log) => log.forbidden)
      const over =
        gone || refused || !this.#request.follow || row.phase === 'Succeeded' || row.phase === 'Failed'
      if (!over || containers.values().some((log) => log.busy)) continue
      this.#pods.delete(uid)
      this.#refused ||= refused
      if (!gone) this.#done.add(uid)
    }
    while (this.#pods.size < MAX_PODS) {
      const [next] = this.#waiting.values()
      if (!next) break
      this.#waiting.delete(next.uid)
      this.#read(next)
    }
    if (this.#snapshot || this.#pods.size > 0) return
    // Whoever may not read the one pod's log may not read the next one's: nothing is left to wait for.
    if (!this.#request.follow || this.#refused || 'pod' in this.#request.target) this.#finish()
  }

  /** Reads on or holds, by what waits for the reader. */
  #flow(): void {
    const { weight } = this.#outlet
    const pause = this.#paused ? weight > LOW_WATER : weight > HIGH_WATER
    if (pause === this.#paused) return
    this.#paused = pause
    for (const { containers } of this.#pods.values()) {
      for (const log of containers.values()) {
        if (pause) log.pause()
        else log.resume()
      }
    }
  }

  #tell(type: PodLogEvent['type'], rest: Partial<PodLogEvent>): void {
    const { cluster, namespace } = this.#request
    this.#outlet.push({
      type,
      cluster,
      namespace,
      pod: null,
      container: null,
      line: null,
      truncated: false,
      time: null,
      message: null,
      error: null,
      ...rest,
    })
  }

  #close(): void {
    for (const cancel of this.#cancels) cancel()
    for (const { containers } of this.#pods.values()) for (const log of containers.values()) log.close()
    this.#pods.clear()
    this.#waiting.clear()
  }
}

function ranBefore({ status }: Container): boolean {
  return status !== null && (status.restartCount > 0 || status.lastReason !== null)
}

/** What stands between a workload and its pods. */
const MIDDLE = { Deployment: 'ReplicaSet', CronJob: 'Job' } as const

function middleOf(kind: WorkloadKind): 'ReplicaSet' | 'Job' | undefined {
  return kind === 'Deployment' || kind === 'CronJob' ? MIDDLE[kind] : undefined
}

/** By names, so that a workload that is made again goes on. Asked at each change of a pod. */
function belongs(target: Target, fleet: AuthorizedFleet): (pod: PodRow) => boolean {
  if ('pod' in target) return ({ name }) => name === target.pod
  const { kind, name } = target.workload
  const middle = middleOf(kind)
  if (!middle) return ({ owner }) => owner?.kind === kind && owner.name === name
  return ({ owner, cluster, namespace }) => {
    if (owner?.kind !== middle) return false
    const above = fleet.get(middle, cluster, namespace, owner.name)?.owner
    return above?.kind === kind && above.name === name
  }
}

function followedKinds(target: Target): readonly ('Pod' | 'ReplicaSet' | 'Job')[] {
  const middle = 'pod' in target ? undefined : middleOf(target.workload.kind)
  return middle ? ['Pod', middle] : ['Pod']
}

/** At least the pods that belong, and what stands between: whether a pod belongs may change when that comes. */
function selectionOf({ target, namespace }: PodLogsRequest): Selection {
  const namespaces = [namespace]
  if ('pod' in target) return { namespaces, names: [target.pod] }
  const { kind, name } = target.workload
  const middle = middleOf(kind)
  return {
    namespaces,
    where: ({ kind: of, owner }) =>
      of === 'Pod' && middle ? owner?.kind === middle : owner?.kind === kind && owner.name === name,
  }
}
