/**
 * The probe of one API server: asks for its version every few seconds and says whether it answers. A
 * server that is frozen – the connection open, and no byte – is found within 15 s, one that refuses
 * connections within two.
 *
 * Any answer but a 401 or a 5xx counts as one: a server that forbids `/version` is there.
 * It deliberately does not know of tables; `cluster.ts` tells them.
 */
import { ApiError, type ApiClient } from '../kubernetes/client.ts'
import type { Clock } from './clock.ts'
import type { FeedProblem } from './feed.ts'
import { failureOfError, problemOf } from './reflector-failure.ts'

export type ProbeResult =
  | { readonly answered: true; readonly latencyMs: number; readonly version: string | null }
  /** `problem` is for everybody; `error`, with addresses and all, for the log. */
  | { readonly answered: false; readonly problem: FeedProblem; readonly error: unknown }

export interface HealthProbeOptions {
  readonly client: ApiClient
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  /** Called with each verdict; a single failure of a server that was there is checked again first. */
  readonly onResult: (result: ProbeResult) => void
  /** Whether the server was known to answer before, so that a first failure is checked again. */
  readonly answered: boolean
  /** Epoch milliseconds of the last byte from the server on any connection; `null`: none yet. */
  readonly lastContactAt: () => number | null
}

/** With the jitter at most 9.9 s, so that a frozen server is known after 15 s. */
const EVERY_MS = 9_000
const TIMEOUT_MS = 5_000
/** While it is down: soon at first, for restarts. */
const AGAIN_FIRST_MS = 1_000
const CONFIRM_MS = 1_000

export class HealthProbe {
  readonly #options: HealthProbeOptions
  readonly #abort = new AbortController()
  #cancelTimer: (() => void) | undefined
  #probing = false
  /** The last verdict, or what was known before the first. */
  #answered: boolean
  #failures = 0

  constructor(options: HealthProbeOptions) {
    this.#options = options
    this.#answered = options.answered
  }

  start(): void {
    this.#probe()
  }

  /** There is reason for doubt: probes now, unless it does already or was just about to confirm a failure. */
  poke(): void {
    if (this.#answered && this.#failures === 0 && !this.#probing) this.#probe()
  }

  close(): void {
    this.#abort.abort()
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #probe(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#abort.signal.aborted) return
    this.#probing = true
    const { clock } = this.#options
    const startedAt = clock.now()
    this.#ask().then(
      (version) => this.#done({ answered: true, latencyMs: clock.now() - startedAt, version }),
      (error: unknown) => this.#failed(error, startedAt),
    )
  }

  async #ask(): Promise<string | null> {
    const { client } = this.#options
    const { signal } = this.#abort
    // A server that has just begun answers before it knows anybody's rights; ready means that it does.
    if (!this.#answered) await tolerant(client.text({ path: '/readyz', timeoutMs: TIMEOUT_MS, signal }))
    const version = await tolerant(
      client.json<{ gitVersion?: string }>({ path: '/version', timeoutMs: TIMEOUT_MS, signal }),
    )
    return version?.gitVersion ?? null
  }

  #failed(error: unknown, startedAt: number): void {
    const failure = failureOfError(error)
    const { lastContactAt } = this.#options
    const timedOut = failure.kind === 'TRANSPORT' && failure.code === 'TIMEOUT'
    if (this.#answered && timedOut && (lastContactAt() ?? 0) >= startedAt) {
      // Slow, but alive: its watches bring bytes.
      this.#probing = false
      return this.#again(EVERY_MS)
    }
    this.#failures++
    if (this.#answered && !timedOut && this.#failures === 1) {
      // One of several API servers behind an address went away, perhaps.
      this.#probing = false
      return this.#again(CONFIRM_MS)
    }
    this.#done({ answered: false, problem: problemOf(failure, 'resources'), error })
  }

  #done(result: ProbeResult): void {
    this.#probing = false
    if (this.#abort.signal.aborted) return
    this.#answered = result.answered
    if (result.answered) this.#failures = 0
    this.#again(
      result.answered ? EVERY_MS : Math.min(EVERY_MS, AGAIN_FIRST_MS * 2 ** Math.min(this.#failures - 1, 8)),
    )
    this.#options.onResult(result)
  }

  #again(ms: number): void {
    if (this.#abort.signal.aborted) return
    const { clock, random } = this.#options
    // Spread by a tenth either way: the probes of a fleet must not come in step.
    this.#cancelTimer = clock.after(ms * (0.9 + random() / 5), () => this.#probe())
  }
}

/** `undefined` for an answer that says no to the question, but not to us. */
async function tolerant<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof ApiError && error.statusCode < 500 && error.statusCode !== 401) return undefined
    throw error
  }
}
