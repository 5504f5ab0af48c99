/**
 * Carries out the steps of a change: all clusters at once, within a cluster group by group at once, within a group
 * stage after stage, the steps of a stage a few at a time. What became of each step is a result; no cluster waits for another, and none takes another with it.
 *
 * A step is first decided, then written down in the journal where there is one, then sent. What was not begun has no
 * result: whoever runs the steps says what that means.
 */
import { setImmediate } from 'node:timers/promises'
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { Cluster } from '../fleet/fleet.ts'
import type { Clock } from '../fleet/clock.ts'
import type { Action, Step, StepResult, Verb } from './change.ts'
import type { StepRecord } from './operation.ts'
import { definedBy } from './manifests.ts'
import { changeError, describe, failed, isFailure, isWithheld, notAttempted, toResult } from './results.ts'
import { isDone, type Done, type Judge, type Prepared, type StepContext, type Stepper } from './stepping.ts'

/** Steps of one cluster that go at a time. */
const AT_ONCE = 8
/** Of those that wait for somebody else: pods that may not go yet must not hold up those that may. */
const WAITING_AT_ONCE = 128

/** What one step may take: some requests, of 10 s each. */
const STEP_MS = 30_000

/** What waits for an object to be gone is given so long for it where no grace period says more. */
const GONE_MS = 270_000

/** However long a step asks to wait. */
const LONGEST_STEP_MS = 600_000

/** What has been done before, and where it is written down what is. Its rejections end the run. */
export interface Journal {
  record(step: Step): StepRecord | undefined
  /** Resolves when it is kept that the step has begun: then it is sent. */
  begun(step: Step, prepared: Prepared, startedAt: number): Promise<void>
  done(step: Step, result: StepResult): Promise<void>
}

export interface Run {
  readonly fleet: AuthorizedFleet
  readonly verb: Verb
  readonly dryRun: boolean
  readonly judge: Judge
  readonly steps: readonly Step[]
  /** Aborted: no further steps are begun. */
  readonly halt: AbortSignal
  /**
   * Aborted: those under way end, too. Without a journal their results say that it is not known what came of them;
   * with one they are left as begun, for somebody to settle.
   */
  readonly end: AbortSignal
  readonly journal?: Journal
}

export interface RunnerOptions {
  readonly stepper: Stepper
  readonly clock: Clock
  /** For the log: a bug. */
  readonly onError: (error: unknown, step: Step) => void
}

/** By the index of their step: the results of those that were begun, or could not be. */
type Results = ReadonlyMap<number, StepResult>

export type Runner = (run: Run) => Promise<Results>

export function createRunner(options: RunnerOptions): Runner {
  return async (run) => {
    const results = new Map<number, StepResult>()
    const broken = new AbortController()
    const clusters = new Map<string, Step[]>()
    for (const step of run.steps) {
      const steps = clusters.get(step.object.cluster)
      if (steps) steps.push(step)
      else clusters.set(step.object.cluster, [step])
    }
    const begin = async (name: string, steps: readonly Step[]) => {
      try {
        await new ClusterRun(options, run, name, results, broken.signal).all(steps)
      } catch (error) {
        // The journal is away: nothing more may be sent, in no cluster.
        broken.abort(error)
        throw error
      }
    }
    const ends: Promise<void>[] = []
    for (const [name, steps] of clusters) {
      // What it takes to begin in hundreds of clusters holds up nobody who reads.
      if (ends.length > 0) await setImmediate()
      const end = begin(name, steps)
      end.catch(() => {})
      ends.push(end)
    }
    await allOf(ends)
    return results
  }
}

/** Ended because the step took too long, and not by anybody. */
const LATE = Symbol('late')

class ClusterRun {
  readonly #options: RunnerOptions
  readonly #run: Run
  readonly #name: string
  readonly #results: Map<number, StepResult>
  readonly #broken: AbortSignal
  /** That were created, or would be. */
  readonly #namespaces = new Set<string>()
  readonly #working = new Slots(AT_ONCE)
  readonly #waiting = new Slots(WAITING_AT_ONCE)
  /** That come with the steps. */
  #kinds: ReadonlySet<string> = new Set()

  constructor(
    options: RunnerOptions,
    run: Run,
    name: string,
    results: Map<number, StepResult>,
    broken: AbortSignal,
  ) {
    this.#options = options
    this.#run = run
    this.#name = name
    this.#results = results
    this.#broken = broken
  }

  async all(steps: readonly Step[]): Promise<void> {
    this.#kinds = new Set(steps.flatMap(({ action }) => kindsOf(action)))
    if (!isInContact(this.#run.fleet.cluster(this.#name))) {
      for (const step of steps) {
        if (this.#broken.aborted) return
        await this.#step(step)
      }
      return
    }
    const groups = Map.groupBy(steps, ({ group = '' }) => group)
    await allOf([...groups.values()].map((group) => this.#stages(group)))
  }

  async #stages(steps: readonly Step[]): Promise<void> {
    const stages = Map.groupBy(steps, ({ stage }) => stage)
    let failure: StepResult | undefined
    for (const stage of [...stages.keys()].toSorted((a, b) => a - b)) {
      const group = stages.get(stage)!
      if (failure) await this.#skip(group, failure)
      else await this.#stage(group)
      if (group.some(({ index }) => !this.#results.has(index))) return
      failure ??= group.map(({ index }) => this.#results.get(index)!).find(isFailure)
    }
  }

  async #stage(steps: readonly Step[]): Promise<void> {
    let isBroken = false
    // All of them end before this does: nothing is under way after a run.
    await allOf(
      steps.map((step) =>
        (waits(step.action) ? this.#waiting : this.#working).run(async () => {
          if (isBroken || this.#broken.aborted) return
          try {
            await this.#step(step)
          } catch (error) {
            isBroken = true
            throw error
          }
        }),
      ),
    )
  }

  async #skip(steps: readonly Step[], failure: StepResult): Promise<void> {
    const why = `${describe(failure.object)} comes before it, and that failed: ${failure.error?.message ?? failure.outcome}`
    for (const step of steps) {
      const record = this.#run.journal?.record(step)
      if (record?.state === 'DONE') this.#results.set(step.index, record.result)
      else if (this.#run.halt.aborted || this.#broken.aborted) return
      else await this.#keep(step, notAttempted(step, why, this.#run.dryRun, this.#options.clock.now()))
    }
  }

  async #step(step: Step): Promise<void> {
    const { journal, halt, dryRun } = this.#run
    const { clock } = this.#options
    const record = journal?.record(step)
    if (record?.state === 'DONE') {
      this.#results.set(step.index, record.result)
      return
    }
    if (halt.aborted) return
    const startedAt = record?.startedAt ?? clock.now()
    const cluster = this.#run.fleet.cluster(this.#name)
    const done = isInContact(cluster)
      ? await this.#done(step, cluster, record?.prepared, startedAt)
      : this.#unreachable(step, cluster, record?.prepared)
    if (!done) return
    const { kind, apiVersion, name } = step.object
    if (kind === 'Namespace' && apiVersion === 'v1' && done.outcome === 'CREATED') this.#namespaces.add(name)
    await this.#keep(step, toResult(step, done, { dryRun, startedAt, finishedAt: clock.now() }))
  }

  async #keep(step: Step, result: StepResult): Promise<void> {
    await this.#run.journal?.done(step, result)
    this.#results.set(step.index, result)
  }

  /** `undefined`: not begun, or left as begun. */
  async #done(
    step: Step,
    cluster: Cluster,
    begun: Prepared | undefined,
    startedAt: number,
  ): Promise<Done | undefined> {
    if (isWithheld(step) || (begun && isWithheld(begun))) return withheld(step, begun)
    const { stepper, clock, onError } = this.#options
    const { fleet, verb, dryRun, judge, halt, end, journal } = this.#run
    const own = new AbortController()
    const limit = limitOf(step.action)
    const cancel = clock.after(limit, () => own.abort(LATE))
    const signal = AbortSignal.any([own.signal, end, this.#broken])
    const client = fleet.client(cluster)
    let sent = begun
    // Of the journal: not a result.
    let journalError: { readonly error: unknown } | undefined
    const context: StepContext = {
      client,
      viewer: fleet.viewer,
      clock,
      verb,
      dryRun,
      judge,
      signal,
      createdNamespaces: this.#namespaces,
      definedKinds: this.#kinds,
      ...(journal && {
        keep: async (prepared) => {
          try {
            await journal.begun(step, prepared, startedAt)
          } catch (error) {
            journalError = { error }
            throw error
          }
          sent = prepared
        },
      }),
    }
    try {
      if (begun) return await until(stepper.settle(step, begun, context), signal)
      const prepared = await until(stepper.prepare(step, context), signal)
      if (isDone(prepared)) return prepared
      if (halt.aborted) return undefined
      if (journal) {
        try {
          await journal.begun(step, prepared, startedAt)
        } catch (error) {
          if (codeOf(error) === 'TOO_LARGE') return tooLarge(step, prepared, error)
          journalError = { error }
          throw error
        }
      }
      sent = prepared
      return await until(stepper.execute(step, prepared, context), signal)
    } catch (error) {
      if (journalError) throw journalError.error
      const before = sent?.before ?? null
      const mayHaveBeenApplied = sent !== undefined && !dryRun
      if (own.signal.aborted && !end.aborted && !this.#broken.aborted) {
        const message = `${describe(step.object)} took longer than ${limit / 1000} s.`
        return failed('FAILED', timeout(message, mayHaveBeenApplied), before)
      }
      if (signal.aborted) {
        if (journal || this.#broken.aborted || sent === undefined) return undefined
        return failed('FAILED', ended(step, end.reason, mayHaveBeenApplied), before)
      }
      onError(error, step)
      const message = `${describe(step.object)}: the gateway failed; its log says why.`
      return failed('FAILED', changeError('FAILED', message, { mayHaveBeenApplied }), before)
    } finally {
      cancel()
    }
  }

  #unreachable(step: Step, cluster: Cluster | undefined, begun: Prepared | undefined): Done {
    const why = cluster
      ? `The cluster ${this.#name} does not answer.${cluster.health.lastError ? ` ${cluster.health.lastError.message}` : ''}`
      : `There is no cluster ${JSON.stringify(this.#name)} in the fleet.`
    const advice = begun
      ? 'The change was sent before: look whether it was made when the cluster answers.'
      : 'Nothing was sent to it.'
    const error = changeError('UNREACHABLE', `${why} ${advice}`, { mayHaveBeenApplied: begun !== undefined })
    return failed('UNREACHABLE', error, begun?.before ?? null)
  }
}

function kindsOf(action: Action): readonly string[] {
  const defined = 'manifest' in action ? definedBy(action.manifest) : undefined
  return defined ? [`${defined.kind}.${defined.group}`] : []
}

/** Resolves or rejects when all of them have ended. */
async function allOf(work: readonly Promise<void>[]): Promise<void> {
  for (const end of await Promise.allSettled(work)) if (end.status === 'rejected') throw end.reason
}

/** So many at a time, in the order in which they came. */
class Slots {
  #free: number
  readonly #line: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async run(work: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#line.push(resolve))
    try {
      await work()
    } finally {
      const next = this.#line.shift()
      if (next) next()
      else this.#free++
    }
  }
}

/** Nobody waits for a cluster that is known to be down. */
function isInContact(cluster: Cluster | undefined): cluster is Cluster {
  return cluster !== undefined && cluster.health.state !== 'DOWN'
}

/** Does not wait for what goes on after the signal; that ends by itself, unheard. */
function until<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason as Error)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

function waits(action: Action): boolean {
  return action.type === 'EVICT' || (action.type === 'DELETE' && action.untilGone)
}

/** How long a step may take. */
export function limitOf(action: Action): number {
  const patience = action.type === 'EVICT' ? action.patienceMs : 0
  const gone =
    (action.type === 'EVICT' || action.type === 'DELETE') && action.untilGone
      ? Math.max(GONE_MS, (action.gracePeriodSeconds ?? 0) * 1000)
      : 0
  return Math.min(STEP_MS + patience + gone, LONGEST_STEP_MS)
}

function timeout(message: string, mayHaveBeenApplied: boolean) {
  const advice = mayHaveBeenApplied
    ? 'It was sent, and may have been done: look before you try again.'
    : 'Nothing was sent. Try again.'
  return changeError('TIMEOUT', `${message} ${advice}`, { mayHaveBeenApplied })
}

function ended(step: Step, reason: unknown, mayHaveBeenApplied: boolean) {
  if (codeOf(reason) === 'TIMEOUT') {
    const message = `The request ended before the cluster had answered for ${describe(step.object)}.`
    return timeout(message, mayHaveBeenApplied)
  }
  const advice = mayHaveBeenApplied
    ? 'It was sent, and may have been done: look before you try again.'
    : 'Nothing was changed. Try again.'
  const message = `The gateway stopped while ${describe(step.object)} was under way. ${advice}`
  return changeError('INTERRUPTED', message, { mayHaveBeenApplied })
}

/** Of what ended a request: `TIMEOUT`, `CLIENT_CLOSED`, `SHUTTING_DOWN`. */
export function codeOf(reason: unknown): string | undefined {
  return typeof reason === 'object' && reason !== null && 'code' in reason ? String(reason.code) : undefined
}

/** What cannot be written down is not sent. */
function tooLarge(step: Step, { before }: Prepared, error: unknown): Done {
  const why = error instanceof Error ? error.message : 'it is too large'
  return failed('FAILED', changeError('FAILED', `${describe(step.object)} was not changed: ${why}`), before)
}

function withheld(step: Step, begun: Prepared | undefined): Done {
  const advice = begun
    ? 'It may have been applied: look, and apply it again.'
    : 'It was not applied: apply it again.'
  const message = `${describe(step.object)}: the replica that was sent its values stopped, and they are kept nowhere else. ${advice}`
  return failed('FAILED', changeError('INTERRUPTED', message, { mayHaveBeenApplied: begun !== undefined }))
}
