/**
 * The log of one container of one pod: read once, or followed through its restarts. A stream that breaks
 * off goes on where it was, without a line twice; a run that ended is followed by the next one as soon as
 * the pod's row tells of it.
 *
 * It knows one container; which pods there are, and when all is over, is `pod-logs.ts`.
 */
import type { Clock } from '../fleet/clock.ts'
import { QUIET_LOG_MS } from '../access/live-reads.ts'
import { ApiError, TransportError, type ByteSink, type ByteStream } from '../kubernetes/client.ts'
import type { ContainerStatus } from '../kubernetes/rows.ts'
import { liveErrorOf, type LiveError } from './errors.ts'
import { compareTimes, LineReader, type LogLine } from './log-lines.ts'

/** Options of the API's `pods/log`, beside the container. */
export interface LogOptions {
  readonly follow: boolean
  /** The run before the present one; never followed. */
  readonly previous: boolean
  /** Lines from the end; absent: all. */
  readonly tail?: number
  /** RFC 3339. */
  readonly since?: string
}

export type LogQuery = Readonly<Record<string, string | number | boolean | undefined>>

export interface ContainerLogHost {
  readonly clock: Clock
  open(query: LogQuery, sink: ByteSink): ByteStream
  /** A run's log is read from now on. */
  onStart(message: string | null): void
  onLine(line: LogLine): void
  /** A run's log has been read to its end. */
  onEnd(): void
  /** `again`: it will be tried again. */
  onError(error: LiveError, again: boolean): void
  /** After anything that may have ended it: `busy` may be false now. */
  onIdle(): void
}

/** Waits of a stream that breaks off, in milliseconds; doubled each time until lines come. */
const RETRY_MS = 1_000
const MAX_RETRY_MS = 30_000

/** So often "waiting to start" is an answer that the pod's row will soon explain. */
const PATIENCE = 3

export class ContainerLog {
  readonly name: string
  readonly #options: LogOptions
  readonly #host: ContainerLogHost
  #status: ContainerStatus | null = null
  /** The pod is gone or has ended: no run comes after this one. */
  #last = false
  #stream: ByteStream | undefined
  #cancelRetry: (() => void) | undefined
  #paused = false
  /** `restartCount` of the run that is, or was last, read. */
  #run: number | undefined
  /** It has been read to its end. */
  #runEnded = false
  #givenUp = false
  #forbidden = false
  #failures = 0
  /** The last line's time, and how many lines had it. */
  #time: string | undefined
  #ofTime = 0
  /** When the run was first asked for, in epoch milliseconds, and when it was last. */
  #begunAt = 0
  #openedAt = 0

  constructor(name: string, options: LogOptions, host: ContainerLogHost) {
    this.name = name
    this.#options = options
    this.#host = host
  }

  /** Being read, or about to be again. */
  get busy(): boolean {
    return this.#stream !== undefined || this.#cancelRetry !== undefined
  }

  /** The viewer may not read it, or no longer: it was told, and is not tried again. */
  get forbidden(): boolean {
    return this.#forbidden
  }

  /** What the pod's row tells; `last`: the pod is gone, or all of it has ended. */
  update(status: ContainerStatus | null, last: boolean): void {
    this.#status = status
    this.#last = last
    if (this.busy || this.#givenUp) return
    if (this.#run === undefined) {
      if (!this.#options.follow || hasRun(status)) this.#begin()
    } else if (this.#options.follow && status && status.restartCount > this.#run && runs(status)) {
      this.#begin()
    }
  }

  pause(): void {
    this.#paused = true
    this.#stream?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#stream?.resume()
  }

  close(): void {
    this.#givenUp = true
    this.#stream?.abort()
    this.#stream = undefined
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
  }

  /** The next run, or the first one that is read. */
  #begin(): void {
    const before = this.#run
    this.#run = this.#status?.restartCount ?? 0
    this.#runEnded = false
    this.#time = undefined
    this.#ofTime = 0
    this.#begunAt = this.#host.clock.now()
    const missed = before === undefined ? 0 : this.#run - before - 1
    const first = before === undefined
    this.#open(first, () =>
      this.#host.onStart(
        missed > 0
          ? `It was restarted more than once: the logs of ${missed} runs in between were not read.`
          : null,
      ),
    )
  }

  /** `first`: with what was asked for; else the whole run. */
  #open(first: boolean, onStart: () => void): void {
    const { follow, previous } = this.#options
    this.#openedAt = this.#host.clock.now()
    const resumed = this.#time
    const from = this.#from(first)
    // Lines up to the last one come again: the API server takes whole seconds only.
    let skip = this.#ofTime
    const lines = new LineReader((line) => {
      if (resumed !== undefined && line.time !== null) {
        const order = compareTimes(line.time, resumed)
        if (order < 0) return
        if (order === 0 && skip-- > 0) return
      }
      this.#failures = 0
      if (line.time !== null) {
        this.#ofTime = line.time === this.#time ? this.#ofTime + 1 : 1
        this.#time = line.time
      }
      this.#host.onLine(line)
    })
    let over = false
    const sink: ByteSink = {
      onStart,
      onData: (chunk) => lines.write(chunk),
      onEnd: () => {
        over = true
        this.#stream = undefined
        if (!this.#isOver()) {
          // The connection ended, or the row that tells of the end is on the way.
          this.#retry(() => (this.#isNext() ? this.#begin() : this.#open(first, () => {})))
          return
        }
        lines.end()
        this.#ended()
      },
      onError: (error) => {
        over = true
        this.#stream = undefined
        this.#failed(error, first, onStart)
      },
    }
    const query = { container: this.name, follow: follow && !previous, previous, timestamps: true, ...from }
    try {
      const stream = this.#host.open(query, sink)
      if (over) return
      this.#stream = stream
      if (this.#paused) stream.pause()
    } catch (error) {
      // Of a cluster that is known to be down, for one.
      sink.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Where to begin: what was asked for, the whole run, or the last line. */
  #from(first: boolean): LogQuery {
    const { tail, since } = this.#options
    if (this.#time !== undefined) return { sinceTime: this.#time }
    if (!first) return {}
    // No line at all: with an empty tail, what is written between two streams would be left out.
    const again = this.#openedAt > this.#begunAt
    if (tail === 0 && again) return { sinceTime: new Date(this.#begunAt).toISOString() }
    return { tailLines: tail, sinceTime: since }
  }

  #ended(): void {
    this.#runEnded = true
    this.#host.onEnd()
    this.update(this.#status, this.#last)
    if (!this.busy) this.#host.onIdle()
  }

  /** Whether nothing more comes of this run, as far as is known. */
  #isOver(): boolean {
    if (!this.#options.follow || this.#last || !this.#status) return true
    return this.#isNext() || this.#status.state !== 'RUNNING'
  }

  #isNext(): boolean {
    return this.#status !== null && this.#status.restartCount > this.#run!
  }

  #failed(error: unknown, first: boolean, onStart: () => void): void {
    const { follow } = this.#options
    if (follow && isTimeout(error) && this.#host.clock.now() - this.#openedAt >= QUIET_LOG_MS) {
      // Nothing was written for so long that the request was given up: no failure.
      this.#open(first, onStart)
      return
    }
    const told = errorOf(error)
    const gone = told.code === 'NOT_FOUND' || (this.#last && error instanceof ApiError)
    const waits = told.code === 'FAILED'
    if (follow && !gone && (waits || told.code === 'UNREACHABLE')) {
      // A container that has not begun yet is no failure to tell of, unless it stays so.
      if (this.#failures === (waits ? PATIENCE : 0)) this.#host.onError(told, true)
      this.#retry(() => (this.#isNext() ? this.#begin() : this.#open(first, onStart)))
      return
    }
    this.#givenUp = true
    this.#forbidden = told.code === 'FORBIDDEN'
    // A pod that goes while it is followed has been told of by its end.
    if (!follow || !gone) this.#host.onError(told, false)
    else if (this.#run !== undefined && !this.#runEnded) this.#host.onEnd()
    this.#host.onIdle()
  }

  #retry(then: () => void): void {
    const wait = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(this.#failures, 10))
    this.#failures++
    this.#cancelRetry = this.#host.clock.after(wait, () => {
      this.#cancelRetry = undefined
      then()
    })
  }
}

/** Where a stream fails nobody catches: what is no failure of the cluster is told as one all the same. */
function errorOf(error: unknown): LiveError {
  try {
    return liveErrorOf(error)
  } catch {
    return { code: 'FAILED', message: 'The log could not be read.' }
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof TransportError && error.code === 'TIMEOUT'
}

function runs({ state }: ContainerStatus): boolean {
  return state !== 'WAITING'
}

/** Whether there is a log at all. */
function hasRun(status: ContainerStatus | null): boolean {
  return status !== null && (runs(status) || status.restartCount > 0 || status.lastReason !== null)
}
