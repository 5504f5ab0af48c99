/**
 * The logs of simulated containers: lines made from the pod's uid, the container and the time, so that the
 * same question gets the same answer without a line being kept; they grow as time passes.
 *
 * Invariant: line i of a run is written at `startedAt + i × interval`; a run's log has at most its last
 * `kept` lines, as a rotated file has. Options and refusals are the API server's (`../logs.ts`).
 */
import type { LogLine, LogSource } from '../logs.ts'
import { behaviourOf, imageName, stableHash } from './container-behaviour.ts'
import type { Container, ContainerStatus, Pod } from './objects.ts'

const kept = 2_000

interface Run {
  readonly container: Container
  readonly startedMs: number
  /** Epoch milliseconds of the end; Infinity while it runs. */
  readonly endedMs: number
  readonly intervalMs: number
  readonly seed: number
  /** What the command prints, before (or instead of) the lines of a running program. */
  readonly output: readonly string[]
  readonly endless: boolean
}

/** The logs of every kubelet of any simulated cluster: a pure function of the pod. */
export const podLogs: LogSource = {
  read(object, name, { previous, from, to }) {
    const pod = object as Pod
    const container = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(
      (each) => each.name === name,
    )
    const run = container && runOf(pod, container, previous)
    return run === undefined ? undefined : linesBetween(run, from, to)
  },
}

function runOf(pod: Pod, container: Container, previous: boolean): Run | undefined {
  const status = statusOf(pod, container.name)
  const state = previous ? status?.lastState : status?.state
  // A container in back-off shows the run that ended.
  const ran = state?.running ?? state?.terminated ?? (previous ? undefined : status?.lastState?.terminated)
  if (ran === undefined) return undefined
  const finishedAt = 'finishedAt' in ran ? ran.finishedAt : undefined
  const seed = stableHash(`${pod.metadata.uid}/${container.name}`)
  const behaviour = behaviourOf(pod, container)
  const program = container.command?.[0] ?? ''
  const silent = behaviour.output.length === 0 && /(?:^|\/)(?:sleep|tail|pause)$/.test(program)
  return {
    container,
    startedMs: Date.parse(ran.startedAt ?? pod.metadata.creationTimestamp),
    endedMs: finishedAt === undefined ? Infinity : Date.parse(finishedAt) + 999,
    intervalMs: 900 + (seed % 4_000),
    seed,
    output: behaviour.output,
    // A steered failure or a batch program speaks until its end; a plain command only prints.
    endless:
      !silent &&
      (behaviour.exit === undefined || (container.command === undefined && behaviour.output.length === 0)),
  }
}

function statusOf(pod: Pod, name: string): ContainerStatus | undefined {
  return [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(
    (each) => each.name === name,
  )
}

function linesBetween(run: Run, afterMs: number, untilMs: number): LogLine[] {
  const newest = indexAt(run, Math.min(untilMs, run.endedMs))
  const oldest = Math.max(0, indexAt(run, afterMs) + 1, newest + 1 - kept)
  const lines: LogLine[] = []
  for (let index = oldest; index <= newest; index++) {
    const time = run.startedMs + Math.max(0, index - run.output.length) * run.intervalMs
    lines.push({ time, text: lineOf(run, index, time) })
  }
  return lines
}

/** Index of the last line at `ms`, or -1. */
function indexAt(run: Run, ms: number): number {
  if (ms < run.startedMs) return -1
  const { length } = run.output
  return run.endless ? length + Math.floor((ms - run.startedMs) / run.intervalMs) : length - 1
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
