/**
 * The logs of simulated containers: lines made from the pod's uid, the container and the time, so that the
 * same question gets the same answer without a line being kept; they grow as time passes.
 *
 * Invariant: line i of a run is written at `startedAt + i × interval`; a container's log has at most
 * `kept` lines, as a rotated file has. Source of options and refusals: `PodLogOptions` in the API reference
 * and kubelet's texts.
 */
import type { Registry, Timeline } from '../registry.ts'
import { badRequest } from '../status-error.ts'
import { behaviourOf, imageName, stableHash } from './container-behaviour.ts'
import { PODS, read, type Container, type ContainerStatus, type Pod } from './objects.ts'

export interface PodLogOptions {
  readonly sinceSeconds?: number
  /** RFC 3339: only lines from then on. */
  readonly sinceTime?: string
  readonly tailLines?: number
  readonly limitBytes?: number
  readonly timestamps?: boolean
  /** The run before the last restart. */
  readonly previous?: boolean
  /** Epoch milliseconds of the cluster's clock. Default: the wall clock. */
  readonly now?: number
}

const kept = 2_000

interface Run {
  readonly container: Container
  readonly startedMs: number
  /** Epoch milliseconds of the end; undefined while it runs. */
  readonly endedMs: number | undefined
  readonly intervalMs: number
  readonly seed: number
  /** What the command prints, before (or instead of) the lines of a running program. */
  readonly output: readonly string[]
  readonly endless: boolean
}

/**
 * The log so far, each line with its newline. Throws `StatusError` 400 where there is none: an unknown
 * container, one that waits to start, no previous run.
 */
export function podLog(pod: Pod, container: string | undefined, options: PodLogOptions = {}): string {
  const run = runOf(pod, container, options.previous === true)
  const now = options.now ?? Date.now()
  const text = linesBetween(run, -Infinity, now, options)
  return options.limitBytes === undefined ? text : text.slice(0, options.limitBytes)
}

/**
 * Writes the log so far, then each line as it comes, until the container ends (`end` is called) or the
 * answered function is called. Holds one timeline entry. Throws as `podLog` does.
 */
export function followPodLog(
  registry: Registry,
  timeline: Timeline,
  pod: Pod,
  container: string | undefined,
  options: PodLogOptions,
  write: (text: string) => void,
  end: () => void,
): () => void {
  let run = runOf(pod, container, options.previous === true)
  let seen = timeline.now()
  let cancel = () => {}
  let stopped = false
  const first = linesBetween(run, -Infinity, seen, options)
  if (first !== '') write(first)

  const step = (): void => {
    if (stopped) return
    const now = timeline.now()
    const current = read(registry, PODS, pod.metadata.namespace ?? '', pod.metadata.name)
    const alive = current?.metadata.uid === pod.metadata.uid ? current : undefined
    const status = alive && statusOf(alive, run.container.name)
    const ended = run.endedMs !== undefined || status?.state?.running === undefined
    if (!ended && alive !== undefined) run = runOf(alive, run.container.name, false)
    const text = linesBetween(run, seen, now, { ...options, tailLines: kept })
    if (text !== '') write(text)
    seen = now
    if (stopped) return
    if (ended) {
      stopped = true
      end()
    } else cancel = timeline.after(Math.max(200, untilNextLine(run, now)), step)
  }
  cancel = timeline.after(run.endedMs === undefined ? Math.max(200, untilNextLine(run, seen)) : 0, step)
  return () => {
    stopped = true
    cancel()
  }
}

function statusOf(pod: Pod, name: string): ContainerStatus | undefined {
  return [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(
    (each) => each.name === name,
  )
}

function runOf(pod: Pod, wanted: string | undefined, previous: boolean): Run {
  const { name: podName, annotations } = pod.metadata
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]
  const asked = wanted ?? annotations?.['kubectl.kubernetes.io/default-container']
  if (asked === undefined && pod.spec.containers.length > 1) {
    const init = (pod.spec.initContainers ?? []).map(({ name }) => name).join(' ')
    const names = pod.spec.containers.map(({ name }) => name).join(' ')
    const more = init === '' ? '' : ` or one of the init containers: [${init}]`
    throw badRequest(
      `a container name must be specified for pod ${podName}, choose one of: [${names}]${more}`,
    )
  }
  const container = asked === undefined ? all[0] : all.find(({ name }) => name === asked)
  if (container === undefined) throw badRequest(`container ${asked ?? ''} is not valid for pod ${podName}`)
  const status = statusOf(pod, container.name)
  const state = previous ? status?.lastState : (status?.state ?? {})
  const waiting = status?.state?.waiting
  // A container in back-off shows the run that ended.
  const ran = state?.running ?? state?.terminated ?? (previous ? undefined : status?.lastState?.terminated)
  if (ran === undefined) {
    if (previous) {
      throw badRequest(`previous terminated container "${container.name}" in pod "${podName}" not found`)
    }
    const why = waiting === undefined ? 'ContainerCreating' : waiting.reason
    const trying = /^(?:ErrImagePull|ImagePullBackOff|InvalidImageName|CreateContainerConfigError)$/.test(why)
      ? `is waiting to start: ${why === 'ErrImagePull' ? "image can't be pulled" : `trying and failing to pull image`}`
      : `is waiting to start: ${why}`
    throw badRequest(`container "${container.name}" in pod "${podName}" ${trying}`)
  }
  const finishedAt = 'finishedAt' in ran ? ran.finishedAt : undefined
  const seed = stableHash(`${pod.metadata.uid}/${container.name}`)
  const behaviour = behaviourOf(pod, container)
  return {
    container,
    startedMs: Date.parse(ran.startedAt ?? pod.metadata.creationTimestamp),
    endedMs: finishedAt === undefined ? undefined : Date.parse(finishedAt),
    intervalMs: 900 + (seed % 4_000),
    seed,
    output: behaviour.output,
    endless: behaviour.exit === undefined,
  }
}

/** Lines written after `afterMs` and up to `untilMs`, as the options cut them. */
function linesBetween(run: Run, afterMs: number, untilMs: number, options: PodLogOptions): string {
  const { sinceSeconds, sinceTime, tailLines = Infinity, timestamps = false } = options
  const since = Math.max(
    sinceSeconds === undefined ? -Infinity : untilMs - sinceSeconds * 1000,
    sinceTime === undefined ? -Infinity : Date.parse(sinceTime),
  )
  const last = Math.min(untilMs, run.endedMs ?? Infinity)
  const newest = indexAt(run, last)
  const oldest = Math.max(
    0,
    indexAt(run, afterMs) + 1,
    since === -Infinity ? 0 : Math.ceil((since - run.startedMs) / run.intervalMs),
    newest + 1 - Math.min(kept, tailLines),
  )
  let text = ''
  for (let index = oldest; index <= newest; index++) {
    const at = timeOf(run, index)
    text += `${timestamps ? `${new Date(at).toISOString().slice(0, -1)}000000Z ` : ''}${lineOf(run, index, at)}\n`
  }
  return text
}

/** Index of the last line at `ms`, or -1. */
function indexAt(run: Run, ms: number): number {
  if (ms < run.startedMs) return -1
  const { length } = run.output
  // Output of the command comes at once; a program that runs on writes at its own pace.
  if (!run.endless || isSilent(run)) return length - 1
  return length + Math.floor((ms - run.startedMs) / run.intervalMs)
}

function timeOf(run: Run, index: number): number {
  return run.startedMs + Math.max(0, index - run.output.length) * run.intervalMs
}

function untilNextLine(run: Run, now: number): number {
  if (!run.endless || isSilent(run)) return 1_000
  return run.intervalMs - ((now - run.startedMs) % run.intervalMs) + 1
}

/** Programs that say nothing on their own. */
function isSilent({ container, output }: Run): boolean {
  const program = container.command?.[0] ?? ''
  return output.length === 0 && /(?:^|\/)(?:sleep|tail|pause)$/.test(program)
}

const paths = [
  '/',
  '/healthz',
  '/api/items',
  '/api/items/42',
  '/api/cart',
  '/login',
  '/assets/app.js',
  '/metrics',
]
const agents = ['kube-probe/1.34', 'Mozilla/5.0 (X11; Linux x86_64)', 'curl/8.9.1', 'Go-http-client/2.0']

function lineOf(run: Run, index: number, at: number): string {
  const own = run.output[index]
  if (own !== undefined) return own
  const hash = stableHash(`${run.seed}/${index}`)
  const pick = <T>(from: readonly [T, ...T[]] | readonly T[], shift: number): T | undefined =>
    from[(hash >>> shift) % from.length]
  const iso = new Date(at).toISOString()
  const status = hash % 50 === 0 ? 500 : hash % 17 === 0 ? 404 : 200
  const first = index === run.output.length
  switch (imageName(run.container.image)) {
    case 'nginx':
    case 'httpd': {
      if (first)
        return `${iso.slice(0, 19).replace(/-/g, '/').replace('T', ' ')} [notice] 1#1: start worker processes`
      const day = new Date(at).toUTCString()
      const when = `${day.slice(5, 7)}/${day.slice(8, 11)}/${day.slice(12, 16)}:${day.slice(17, 25)} +0000`
      return `10.244.${hash % 8}.${hash % 250} - - [${when}] "GET ${pick(paths, 4)} HTTP/1.1" ${status} ${hash % 9_000} "-" "${pick(agents, 9)}"`
    }
    case 'postgres':
      return first
        ? `${iso.replace('T', ' ').slice(0, 23)} UTC [1] LOG:  database system is ready to accept connections`
        : `${iso.replace('T', ' ').slice(0, 23)} UTC [${27 + (hash % 40)}] LOG:  checkpoint complete: wrote ${hash % 400} buffers (${(hash % 30) / 10}%)`
    case 'redis':
      return first
        ? `1:M ${iso.slice(0, 19).replace('T', ' ')} * Ready to accept connections tcp`
        : `1:M ${iso.slice(0, 19).replace('T', ' ')} * ${hash % 100} changes in 300 seconds. Saving...`
    default: {
      const level = status === 500 ? 'error' : status === 404 ? 'warn' : 'info'
      if (first) return `{"level":"info","time":"${iso}","msg":"listening","port":8080}`
      return `{"level":"${level}","time":"${iso}","msg":"request completed","method":"GET","path":"${pick(paths, 4)}","status":${status},"duration_ms":${(hash >>> 8) % 240},"trace_id":"${hash.toString(16).padStart(8, '0')}"}`
    }
  }
}
