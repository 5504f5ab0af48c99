/**
 * `GET pods/NAME/log`: the options of kubectl logs over a source of lines that the kubelets give.
 */
import type { ServerResponse } from 'node:http'
import { asArray, asNumber, asObject, asString, at } from './json.ts'
import type { KubeObject } from './registry.ts'
import { badRequest, StatusError } from './status-error.ts'
import type { Storage } from './storage.ts'

export interface LogLine {
  /** Epoch milliseconds. */
  readonly time: number
  readonly text: string
}

/** What containers write; given by the kubelets of a cluster. */
export interface LogSource {
  /**
   * The lines with `from < time <= to`, oldest first, of a container's current run, or of the one before.
   * A pure function of its arguments and the pod's status: asking twice gives the same lines. Undefined
   * where there is no such run.
   */
  read(
    pod: KubeObject,
    container: string,
    options: { readonly previous: boolean; readonly from: number; readonly to: number },
  ): readonly LogLine[] | undefined
}

const noLogs: LogSource = { read: () => [] }

/** How often a followed log is asked for more, in milliseconds. */
const followMs = 200

export interface LogRequest {
  readonly pod: KubeObject
  readonly query: URLSearchParams
  readonly response: ServerResponse
  readonly storage: Storage
  readonly source: LogSource | undefined
}

/** Answers with the log as text; with `follow`, until the container ends or the client goes. Throws 400. */
export function serveLog({ pod, query, response, storage, source = noLogs }: LogRequest): void {
  const container = containerOf(pod, query.get('container') ?? '')
  const previous = isTrue(query.get('previous'))
  const now = storage.now()
  const from = startOf(query, now)
  const lines = stateOf(pod, container, previous)
    ? source.read(pod, container, { previous, from, to: now })
    : undefined
  if (lines === undefined) throw notRunning(pod, container, previous)
  const timestamps = isTrue(query.get('timestamps'))
  const tail = numberOption(query, 'tailLines')
  const limit = numberOption(query, 'limitBytes') ?? Infinity
  const shown = tail === undefined ? lines : tail === 0 ? [] : lines.slice(-tail)
  response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-cache, private' })
  response.flushHeaders()
  let sent = 0
  const send = (batch: readonly LogLine[]): void => {
    const text = batch
      .map(({ time, text: line }) => `${timestamps ? `${nanoseconds(time)} ` : ''}${line}\n`)
      .join('')
    const bytes = Buffer.from(text).subarray(0, Math.max(0, limit - sent))
    sent += bytes.length
    if (bytes.length > 0) response.write(bytes)
  }
  send(shown)
  if (!isTrue(query.get('follow')) || previous) {
    response.end()
    return
  }
  follow({ pod, container, storage, source, response, after: now, send, done: () => sent >= limit })
}

interface Following {
  readonly pod: KubeObject
  readonly container: string
  readonly storage: Storage
  readonly source: LogSource
  readonly response: ServerResponse
  readonly after: number
  readonly send: (lines: readonly LogLine[]) => void
  readonly done: () => boolean
}

function follow({ pod, container, storage, source, response, after, send, done }: Following): void {
  let last = after
  let latest = pod
  const { namespace = '', name, uid } = pod.metadata
  const started = restartsOf(pod, container)
  const timer = setInterval(() => {
    const now = storage.now()
    const current = storage.get({ group: '', resource: 'pods' }, namespace, name)
    const gone = current?.metadata.uid !== uid
    // A log ends with the container that wrote it, as the kubelet's does: a restart is another log.
    const ended = gone || restartsOf(current, container) !== started || !isRunning(current, container)
    if (!ended && current !== undefined) latest = current
    if (now > last) {
      const owner =
        ended && current !== undefined && restartsOf(current, container) === started ? current : latest
      send(source.read(owner, container, { previous: false, from: last, to: now }) ?? [])
      last = now
    }
    if (!ended && !done()) return
    stop()
    response.end()
  }, followMs)
  function stop(): void {
    clearInterval(timer)
  }
  timer.unref()
  response.once('close', stop)
}

function isTrue(value: string | null): boolean {
  return value === 'true' || value === '1'
}

function numberOption(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) {
    throw new StatusError(
      422,
      'Invalid',
      `PodLogOptions "" is invalid: ${name}: Invalid value: ${text}: must be greater than or equal to 0`,
    )
  }
  return value
}

function startOf(query: URLSearchParams, now: number): number {
  const seconds = numberOption(query, 'sinceSeconds')
  if (seconds !== undefined) return now - seconds * 1000
  const time = Date.parse(query.get('sinceTime') ?? '')
  return Number.isNaN(time) ? -Infinity : time
}

function statuses(pod: KubeObject): readonly unknown[] {
  return ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses'].flatMap((list) =>
    asArray(at(pod, 'status', list)),
  )
}

function statusOf(pod: KubeObject, container: string): unknown {
  return statuses(pod).find((status) => at(status, 'name') === container)
}

function restartsOf(pod: KubeObject, container: string): number {
  return asNumber(at(statusOf(pod, container), 'restartCount')) ?? 0
}

function isRunning(pod: KubeObject | undefined, container: string): boolean {
  return pod !== undefined && at(statusOf(pod, container), 'state', 'running') !== undefined
}

/** Whether the run that is asked for has ever been. */
function stateOf(pod: KubeObject, container: string, previous: boolean): boolean {
  const status = statusOf(pod, container)
  const last = at(status, 'lastState', 'terminated') !== undefined
  if (previous) return last
  const state = asObject(at(status, 'state'))
  return state['running'] !== undefined || state['terminated'] !== undefined || last
}

function containerOf(pod: KubeObject, asked: string): string {
  const names = ['containers', 'initContainers', 'ephemeralContainers'].map((list) =>
    asArray(at(pod, 'spec', list)).map((one) => asString(at(one, 'name'))),
  )
  const [main = [], inits = []] = names
  const all = names.flat()
  const { name } = pod.metadata
  if (asked === '') {
    if (main.length === 1 && main[0] !== undefined) return main[0]
    throw badRequest(
      `a container name must be specified for pod ${name}, choose one of: [${main.join(' ')}]${inits.length > 0 ? ` or one of the init containers: [${inits.join(' ')}]` : ''}`,
    )
  }
  if (!all.includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${name}`)
  return asked
}

function notRunning(pod: KubeObject, container: string, previous: boolean): StatusError {
  const { name } = pod.metadata
  if (previous) {
    return badRequest(`previous terminated container "${container}" in pod "${name}" not found`)
  }
  if (asString(at(pod, 'spec', 'nodeName')) === '') {
    return badRequest(`pod ${name} does not have a host assigned`)
  }
  const reason = asString(at(statusOf(pod, container), 'state', 'waiting', 'reason')) || 'ContainerCreating'
  const why =
    reason === 'ContainerCreating' || reason === 'PodInitializing'
      ? `is waiting to start: ${reason}`
      : `is waiting to start: ${reasonText(reason)}`
  return badRequest(`container "${container}" in pod "${name}" ${why}`)
}

function reasonText(reason: string): string {
  return reason === 'ErrImagePull' || reason === 'ImagePullBackOff'
    ? 'trying and failing to pull image'
    : reason
}

/** RFC 3339 with nine digits, as container runtimes write it. */
function nanoseconds(time: number): string {
  return new Date(time).toISOString().replace('Z', '000000Z')
}
