/**
 * Drives operations: wave after wave, each step written down before it is sent, until the end or until another
 * replica has to go on.
 *
 *     create ──▶ lease ──▶ Drive ──▶ waves ──▶ runner ──▶ journal
 *     orphans ──▶ lease ─────┘  └──▶ rollback ──┘
 *
 * Invariants: a Drive writes only while it holds its lease, and stops at once when it does not; whatever it decides
 * it decides from what is written down, so that another one that goes on comes to the same; a state and the events
 * that tell of it are written together.
 */
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import { identityOf } from '../access/viewer.ts'
import type { Clock } from '../fleet/clock.ts'
import { matchesLabels, parseLabelSelector } from '../kubernetes/label-selector.ts'
import type { Change, Step, StepResult } from './change.ts'
import {
  ENDED,
  LeaseLost,
  type OperationEvent,
  type OperationHead,
  type OperationLease,
  type OperationOwner,
  type OperationProgress,
  type OperationRecord,
  type OperationState,
  type OperationStore,
  StoreAway,
  type StepName,
  type StepRecord,
  type Strategy,
  type WaveState,
} from './operation.ts'
import { readinessOf } from './readiness.ts'
import { isFailure, toResult } from './results.ts'
import type { Journal, Runner } from './runner.ts'
import type { Judge } from './stepping.ts'
import { undoOf } from './undo.ts'
import { ChangeRefused } from './writes.ts'

export interface OperationsOptions {
  readonly store: OperationStore
  readonly runner: Runner
  readonly judge: (request: { readonly confirmed: boolean; readonly objects: number }) => Judge
  readonly clock: Clock
  /** As whom another replica goes on: without a token. May throw, with a message for a person. */
  readonly fleetFor: (owner: OperationOwner) => AuthorizedFleet
  /** For the audit: after it was written down what came of a step. Must not throw. */
  readonly onStep?: (head: OperationHead, result: StepResult) => void
  /** For the log: a bug. */
  readonly onError: (error: unknown) => void
}

/** Of those with a strategy: driven at a time by one replica; more of them wait. */
const AT_ONCE = 64
/** Of those with a strategy: begun here, and not ended; of one owner, and of all. */
const OPEN_EACH = 32
const OPEN = 1_000

/** Whether anything is to be taken over is looked at so often. */
const ORPHANS_MS = 2_000
/** A takeover so often means that driving it ends the process. */
const MAX_TAKEOVERS = 100

/** Steps under way are given so long when the gateway stops. */
const CLOSE_MS = 5_000

/** Whether workloads are ready is looked at so often. */
const READY_MS = 1_000

/** Lines of a story; of a longer one the first and the last are kept. */
const MAX_EVENTS = 500

/** Of operations without a strategy: everything is tried. */
const ALL_AT_ONCE: Strategy = { pauseMs: 0, onFailure: 'CONTINUE', maxFailures: 0, readyTimeoutMs: 0 }

/** What is put back was there before: no policy forbids it. */
const LENIENT: Judge = { needsObjects: false, judge: () => null }

export class Operations {
  readonly #options: OperationsOptions
  readonly #drives = new Map<string, Drive>()
  /** Those with a strategy. */
  readonly #waiting = new Set<Drive>()
  #running = 0
  readonly #closing = new AbortController()
  readonly #cut = new AbortController()
  #stopLooking: () => void
  #looking: Promise<void> = Promise.resolve()
  #closed: Promise<void> | undefined

  constructor(options: OperationsOptions) {
    this.#options = options
    this.#stopLooking = options.clock.after(ORPHANS_MS, () => this.#look())
  }

  /** The one that this replica drives, from when it is begun until it has ended. */
  driven(id: string): { readonly ended: Promise<void> } | undefined {
    return this.#drives.get(id)
  }

  /**
   * Begins an operation, as the viewer of `fleet`. `undefined`: there is one of this id; nothing is begun. Throws
   * `ChangeRefused`, and what the store throws.
   */
  async begin(
    head: OperationHead,
    fleet: AuthorizedFleet,
  ): Promise<{ readonly ended: Promise<void> } | undefined> {
    const { store } = this.#options
    if (this.#closing.signal.aborted) throw stopping()
    if (head.strategy && this.#isCrowded(head.owner)) {
      // One that is there already costs nothing.
      if (await store.read(head.id)) return undefined
      throw new ChangeRefused(
        'TOO_MANY_OPERATIONS',
        `You have too many operations that have not ended: at most ${OPEN_EACH} at a time. Wait for some of them, or cancel them.`,
      )
    }
    const lease = await store.create(head)
    if (!lease) return undefined
    const record: OperationRecord = {
      ...head,
      ...NOT_BEGUN,
      steps: new Map(),
      cancelRequested: false,
      revision: 1,
    }
    return this.#drive(lease, record, fleet)
  }

  /** Goes on with an operation that nobody drives. Throws what the store throws. */
  async adopt(id: string): Promise<void> {
    const { store, fleetFor } = this.#options
    if (this.#closing.signal.aborted || this.#drives.has(id)) return
    const lease = await store.takeOver(id)
    if (!lease) return
    try {
      const record = await store.read(id)
      if (record && !ENDED.has(record.state) && !this.#closing.signal.aborted) {
        this.#drive(lease, record, () => fleetFor(record.owner))
        return
      }
    } catch (error) {
      await lease.release().catch(() => {})
      throw error
    }
    await lease.release()
  }

  /** Begins no more steps, gives those under way a few seconds, and lets other replicas go on. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#stopLooking()
    this.#closing.abort()
    const cancel = this.#options.clock.after(CLOSE_MS, () => this.#cut.abort())
    await this.#looking
    await Promise.all([...this.#drives.values()].map(({ ended }) => ended))
    cancel()
  }

  /** A function as fleet: it is taken over. */
  #drive(
    lease: OperationLease,
    record: OperationRecord,
    fleet: AuthorizedFleet | (() => AuthorizedFleet),
  ): Drive {
    const drive = new Drive(this.#options, lease, record, fleet, this.#closing.signal, this.#cut.signal)
    this.#drives.set(record.id, drive)
    void this.#leaveAtEnd(drive, record.id)
    if (drive.isLong) {
      this.#waiting.add(drive)
      this.#next()
    } else drive.start()
    return drive
  }

  async #leaveAtEnd(drive: Drive, id: string): Promise<void> {
    await drive.ended
    this.#drives.delete(id)
    this.#waiting.delete(drive)
    if (!drive.isLong || !drive.hasTurn) return
    this.#running--
    this.#next()
  }

  #next(): void {
    for (const drive of this.#waiting) {
      if (this.#running >= AT_ONCE) return
      this.#waiting.delete(drive)
      this.#running++
      drive.start()
    }
  }

  #isCrowded(owner: OperationOwner): boolean {
    const name = identityOf(owner)
    let all = 0
    let own = 0
    for (const drive of this.#drives.values()) {
      if (!drive.isLong) continue
      all++
      if (drive.owner === name) own++
    }
    return own >= OPEN_EACH || all >= OPEN
  }

  #look(): void {
    this.#looking = this.#adoptOrphans()
  }

  /** Never rejects. */
  async #adoptOrphans(): Promise<void> {
    try {
      for (const id of await this.#options.store.orphans()) {
        if (this.#drives.size >= 2 * AT_ONCE) break
        await this.adopt(id)
      }
    } catch (error) {
      if (!isAway(error)) this.#options.onError(error)
    }
    if (this.#closing.signal.aborted) return
    this.#stopLooking = this.#options.clock.after(ORPHANS_MS, () => this.#look())
  }
}

const NOT_BEGUN: OperationProgress = { state: 'PENDING', waves: [], events: [], finishedAt: null }

/** This replica stops: another goes on. */
class Stopped extends Error {
  override readonly name = 'Stopped'
}

/** What comes of a wave, or of a cluster of it. */
interface Tally {
  /** Of each cluster that failed, a sentence. */
  readonly failures: Map<string, string>
  /** Something was left out, since the operation was cancelled. */
  isCut: boolean
}

class Drive {
  readonly isLong: boolean
  readonly owner: string
  /** When nothing is done for it here any more. Never rejects. */
  readonly ended: Promise<void>
  hasTurn = false
  readonly #options: OperationsOptions
  readonly #lease: OperationLease
  readonly #head: OperationHead
  readonly #change: Change
  readonly #strategy: Strategy
  readonly #fleetFor: AuthorizedFleet | (() => AuthorizedFleet)
  readonly #steps: Map<StepName, StepRecord>
  /** The replica stops; what is under way has to end. */
  readonly #closing: AbortSignal
  readonly #cut: AbortSignal
  #progress: OperationProgress
  #start: () => void = () => {}
  #cancelledAt: number | undefined

  constructor(
    options: OperationsOptions,
    lease: OperationLease,
    record: OperationRecord,
    fleet: AuthorizedFleet | (() => AuthorizedFleet),
    closing: AbortSignal,
    cut: AbortSignal,
  ) {
    this.#options = options
    this.#lease = lease
    this.#head = record
    this.#change = record.change
    this.#strategy = record.strategy ?? ALL_AT_ONCE
    this.#fleetFor = fleet
    this.#steps = new Map(record.steps)
    this.#closing = closing
    this.#cut = cut
    const { state, waves, events, finishedAt } = record
    this.#progress = { state, waves, events, finishedAt }
    this.isLong = record.strategy !== null
    this.owner = identityOf(record.owner)
    this.ended = this.#drive()
  }

  start(): void {
    this.hasTurn = true
    this.#start()
  }

  async #drive(): Promise<void> {
    const { onError, clock } = this.#options
    const { cancelled } = this.#lease
    const noteCancel = () => (this.#cancelledAt ??= clock.now())
    if (cancelled.aborted) noteCancel()
    else cancelled.addEventListener('abort', noteCancel, { once: true })
    try {
      await this.#turn()
      await this.#toTheEnd()
    } catch (error) {
      if (!isAway(error) && !(error instanceof Stopped)) {
        onError(error)
        await this.#end('FAILED', `It was given up: ${wordsOf(error)}`).catch(() => {})
      }
    } finally {
      cancelled.removeEventListener('abort', noteCancel)
      await this.#lease.release().catch(() => {})
    }
  }

  /** Waits until there is room, or nothing to wait for. */
  #turn(): Promise<void> {
    return this.#until((resolve) => {
      this.#start = resolve
      if (this.hasTurn) resolve()
    }, this.#lease.cancelled)
  }

  async #toTheEnd(): Promise<void> {
    const fleet = await this.#takeUp()
    if (!fleet) return
    if (this.#progress.state === 'RUNNING') {
      const end = await this.#forward(fleet)
      if (end !== 'ROLL_BACK') {
        await this.#end(end.state, end.message, ...(end.told ?? []))
        return
      }
      await this.#beginRollback()
    }
    await this.#rollBack(fleet)
  }

  /** `undefined`: it has ended instead. */
  async #takeUp(): Promise<AuthorizedFleet | undefined> {
    const { events, state } = this.#progress
    const isTakenOver = typeof this.#fleetFor === 'function'
    const told: Event[] = []
    if (isTakenOver) {
      if (events.filter(({ type }) => type === 'TAKEN_OVER').length >= MAX_TAKEOVERS) {
        await this.#end(
          'FAILED',
          `It was given up: ${MAX_TAKEOVERS} replicas have stopped in the middle of it.`,
        )
        return undefined
      }
      told.push(['TAKEN_OVER', 'The replica that carried it out stopped; another one goes on.'])
    }
    let fleet: AuthorizedFleet
    try {
      fleet = typeof this.#fleetFor === 'function' ? this.#fleetFor() : this.#fleetFor
    } catch (error) {
      await this.#end(
        'FAILED',
        `Nobody can go on with it as ${this.#head.owner.user.name}: ${wordsOf(error)}`,
      )
      return undefined
    }
    if (state !== 'PENDING') {
      if (told.length > 0) await this.#tell({}, ...told)
      return fleet
    }
    if (this.#lease.cancelled.aborted) {
      await this.#end('CANCELLED', 'It was cancelled before it was begun.')
      return undefined
    }
    const waves = wavesOf(this.#change, this.#strategy, fleet)
    told.push(['STARTED', `${this.#head.owner.user.name} began to ${this.#change.title}.`])
    await this.#tell({ state: 'RUNNING', waves }, ...told)
    return fleet
  }

  // ── Forward ───────────────────────────────────────────────────────────────────────────────────

  async #forward(fleet: AuthorizedFleet): Promise<'ROLL_BACK' | Ending> {
    const { onFailure, pauseMs } = this.#strategy
    const count = this.#progress.waves.length
    for (let i = 0; i < count; i++) {
      const wave = this.#progress.waves[i]!
      if (wave.state === 'PENDING' || wave.state === 'RUNNING') {
        if (wave.state === 'PENDING') {
          // Whoever finished the wave before it may have another clock.
          const now = this.#options.clock.now()
          const before = Math.min(this.#progress.waves[i - 1]?.finishedAt ?? -Infinity, now)
          await this.#sleepUntil(before + pauseMs, this.#lease.cancelled)
          if (this.#lease.cancelled.aborted) return this.#cancelled()
          const startedAt = this.#options.clock.now()
          await this.#tellWave(i, { state: 'RUNNING', startedAt }, [
            'WAVE_STARTED',
            `Wave ${i + 1} of ${count}: ${wave.clusters.join(', ')}.`,
          ])
        }
        const tally = await this.#wave(wave, fleet)
        // With the end in one: a wave that was cut is not one that failed, and nothing of it is put back.
        if (tally.isCut) return this.#cancelled(this.#waveFinished(i, tally, true))
        await this.#finishWave(i, tally)
      }
      if (this.#progress.waves[i]!.state === 'FAILED' && onFailure !== 'CONTINUE') {
        if (onFailure === 'ROLL_BACK') return 'ROLL_BACK'
        return { state: 'FAILED', message: `It was stopped after wave ${i + 1}, in which something failed.` }
      }
    }
    const failed = this.#progress.waves.some(({ state }) => state === 'FAILED')
    return { state: failed ? 'FAILED' : 'SUCCEEDED', message: this.#summary() }
  }

  #cancelled(...told: readonly Event[]): Ending {
    return { state: 'CANCELLED', message: `It was cancelled. ${this.#summary()}`, told }
  }

  async #wave({ clusters }: WaveState, fleet: AuthorizedFleet): Promise<Tally> {
    const { onFailure, maxFailures, concurrency = clusters.length } = this.#strategy
    const tally: Tally = { failures: new Map(), isCut: false }
    const names = new Set(clusters)
    for (const result of this.#change.known) {
      const { cluster } = result.object
      if (names.has(cluster) && isFailure(result)) tally.failures.set(cluster, sentenceOf(result))
    }
    const steps = Map.groupBy(this.#change.steps, ({ object }) => object.cluster)
    await this.#lanes(clusters, concurrency, async (name) => {
      if (onFailure !== 'CONTINUE' && tally.failures.size > maxFailures) return
      const own = steps.get(name)
      if (own) await this.#cluster(name, own, fleet, tally)
    })
    return tally
  }

  async #cluster(name: string, steps: readonly Step[], fleet: AuthorizedFleet, tally: Tally): Promise<void> {
    const { confirmed } = this.#head
    const done = await this.#options.runner({
      fleet,
      verb: this.#change.verb,
      dryRun: false,
      judge: this.#options.judge({ confirmed, objects: this.#change.steps.length }),
      steps,
      halt: AbortSignal.any([this.#closing, this.#lease.cancelled, this.#lease.signal]),
      end: AbortSignal.any([this.#cut, this.#lease.signal]),
      journal: this.#journal(''),
    })
    this.#check()
    const results = steps.flatMap(({ index }) => done.get(index) ?? [])
    if (results.length < steps.length) {
      if (this.#closing.aborted) throw new Stopped()
      tally.isCut = true
    }
    const failure = results.find(isFailure)
    if (failure) tally.failures.set(name, sentenceOf(failure))
    else if (!tally.isCut) {
      const late = await this.#ready(results, fleet)
      if (late === CUT) tally.isCut = true
      else if (late !== undefined) tally.failures.set(name, late)
    }
  }

  /** Why these are not ready in time; `undefined`: they are. */
  async #ready(results: readonly StepResult[], fleet: AuthorizedFleet): Promise<string | undefined> {
    const { readyTimeoutMs } = this.#strategy
    if (readyTimeoutMs === 0) return undefined
    const { clock } = this.#options
    // Whoever carried them out may have had another clock.
    const finishedAt = Math.max(...results.map((result) => result.finishedAt))
    const until = Math.min(finishedAt, clock.now()) + readyTimeoutMs
    for (;;) {
      const readiness = readinessOf(fleet, results)
      if (readiness.state === 'READY') return undefined
      if (readiness.state === 'FAILED') return `${readiness.why}.`
      if (clock.now() >= until) {
        return `After ${readyTimeoutMs / 1000} s ${readiness.why}.`
      }
      if (this.#lease.cancelled.aborted) return CUT
      await this.#sleepUntil(Math.min(clock.now() + READY_MS, until), this.#lease.cancelled)
    }
  }

  async #finishWave(index: number, tally: Tally): Promise<void> {
    const { onFailure, maxFailures, pauseMs } = this.#strategy
    const isFailed = tally.failures.size > maxFailures
    const told: Event[] = [this.#waveFinished(index, tally, isFailed)]
    const goesOn = index + 1 < this.#progress.waves.length && (!isFailed || onFailure === 'CONTINUE')
    if (goesOn && pauseMs > 0) told.push(['PAUSED', `Wave ${index + 2} begins in ${pauseMs / 1000} s.`])
    const finishedAt = this.#options.clock.now()
    await this.#tellWave(index, { state: isFailed ? 'FAILED' : 'SUCCEEDED', finishedAt }, ...told)
  }

  #waveFinished(index: number, { failures, isCut }: Tally, isFailed: boolean): Event {
    const which = `Wave ${index + 1} of ${this.#progress.waves.length}`
    const how = `${isFailed ? 'failed' : 'is done'}${isCut ? ', since the operation was cancelled' : ''}`
    return ['WAVE_FINISHED', `${which} ${how}.${tellFailures(failures.values())}`]
  }

  // ── Back ──────────────────────────────────────────────────────────────────────────────────────

  #beginRollback(): Promise<void> {
    const waves = this.#progress.waves.map((wave): WaveState =>
      wave.state === 'PENDING' ? { ...wave, state: 'SKIPPED' } : wave,
    )
    return this.#tell({ state: 'ROLLING_BACK', waves }, [
      'ROLLING_BACK',
      'What was done is put back, newest first.',
    ])
  }

  async #rollBack(fleet: AuthorizedFleet): Promise<void> {
    const failures: string[] = []
    let count = 0
    for (const { clusters, state } of this.#progress.waves.toReversed()) {
      if (state === 'PENDING' || state === 'SKIPPED') continue
      await this.#lanes(clusters, this.#strategy.concurrency ?? clusters.length, async (name) => {
        for (const result of await this.#undo(name, fleet)) {
          if (isFailure(result)) failures.push(sentenceOf(result))
          else count++
        }
      })
    }
    const message = `${count} ${count === 1 ? 'step was' : 'steps were'} put back`
    if (failures.length === 0) await this.#end('ROLLED_BACK', `${message}.`)
    else
      await this.#end('FAILED', `${message}, and ${failures.length} could not be.${tellFailures(failures)}`)
  }

  async #undo(cluster: string, fleet: AuthorizedFleet): Promise<readonly StepResult[]> {
    const journal = this.#journal('undo:')
    const now = this.#options.clock.now()
    const steps: Step[] = []
    const results: StepResult[] = []
    for (const step of this.#change.steps.toReversed()) {
      const record = this.#steps.get(`${step.index}`)
      if (step.object.cluster !== cluster || record?.state !== 'DONE') continue
      const undo = undoOf(step, record.result)
      if (!undo) continue
      if ('action' in undo) steps.push(undo)
      else {
        const known = journal.record(step)
        const times = { dryRun: false, startedAt: now, finishedAt: now }
        const result = known?.state === 'DONE' ? known.result : toResult(step, undo, times)
        if (!known) await journal.done(step, result)
        results.push(result)
      }
    }
    const done = await this.#options.runner({
      fleet,
      verb: this.#change.verb,
      dryRun: false,
      judge: LENIENT,
      steps,
      halt: AbortSignal.any([this.#closing, this.#lease.signal]),
      end: AbortSignal.any([this.#cut, this.#lease.signal]),
      journal,
    })
    this.#check()
    if (done.size < steps.length) throw new Stopped()
    return [...results, ...done.values()]
  }

  // ── Writing down ──────────────────────────────────────────────────────────────────────────────

  #journal(prefix: '' | 'undo:'): Journal {
    const nameOf = ({ index }: Step): StepName => `${prefix}${index}`
    const write = async (step: Step, record: StepRecord) => {
      this.#check()
      await this.#lease.step(nameOf(step), record)
      this.#steps.set(nameOf(step), record)
    }
    return {
      record: (step) => this.#steps.get(nameOf(step)),
      begun: (step, prepared, startedAt) => write(step, { state: 'BEGUN', prepared, startedAt }),
      done: async (step, result) => {
        await write(step, { state: 'DONE', result })
        this.#options.onStep?.(this.#head, result)
      },
    }
  }

  async #tell(change: Partial<OperationProgress>, ...told: readonly Event[]): Promise<void> {
    this.#check()
    const at = this.#options.clock.now()
    const events = [...this.#progress.events]
    if (this.#cancelledAt !== undefined && !events.some(({ type }) => type === 'CANCEL_REQUESTED')) {
      const message = 'Somebody asked to stop it.'
      events.push({ at: this.#cancelledAt, type: 'CANCEL_REQUESTED', message })
    }
    for (const [type, message] of told) events.push({ at, type, message })
    if (events.length > MAX_EVENTS) events.splice(1, events.length - MAX_EVENTS)
    const progress = { ...this.#progress, ...change, events }
    await this.#lease.progress(progress)
    this.#progress = progress
  }

  #tellWave(index: number, change: Partial<WaveState>, ...told: readonly Event[]): Promise<void> {
    const waves = this.#progress.waves.map((wave, i) => (i === index ? { ...wave, ...change } : wave))
    return this.#tell({ waves }, ...told)
  }

  #end(state: OperationState, message: string, ...told: readonly Event[]): Promise<void> {
    const finishedAt = this.#options.clock.now()
    const waves = this.#progress.waves.map((wave): WaveState => {
      if (wave.state === 'PENDING') return { ...wave, state: 'SKIPPED' }
      return wave.state === 'RUNNING' ? { ...wave, state: 'FAILED', finishedAt } : wave
    })
    return this.#tell({ state, waves, finishedAt }, ...told, ['FINISHED', message])
  }

  #summary(): string {
    const counts = new Map<string, number>()
    for (const step of this.#change.steps) {
      const record = this.#steps.get(`${step.index}`)
      const outcome = record?.state === 'DONE' ? record.result.outcome : record ? 'FAILED' : 'SKIPPED'
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
    }
    for (const { outcome } of this.#change.known) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
    if (counts.size === 0) return 'There was nothing to do.'
    return `${[...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ')}.`
  }

  // ── Waiting ───────────────────────────────────────────────────────────────────────────────────

  /** Throws where this replica may not go on. */
  #check(): void {
    if (this.#lease.signal.aborted) throw new LeaseLost(this.#head.id)
  }

  /** All of them end before this does; the first error is thrown, and nothing more is begun after it. */
  async #lanes(
    names: readonly string[],
    count: number,
    work: (name: string) => Promise<void>,
  ): Promise<void> {
    const queue = names.values()
    let isBroken = false
    const lane = async () => {
      for (const name of queue) {
        if (isBroken) return
        try {
          await work(name)
        } catch (error) {
          isBroken = true
          throw error
        }
      }
    }
    const lanes = await Promise.allSettled(Array.from({ length: Math.min(count, names.length) }, lane))
    for (const end of lanes) if (end.status === 'rejected') throw end.reason
  }

  /** Ends early with the signal. Throws where this replica may not go on. */
  #sleepUntil(time: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const ms = time - clock.now()
    if (ms <= 0) {
      if (this.#closing.aborted) throw new Stopped()
      return Promise.resolve()
    }
    return this.#until((resolve) => clock.after(ms, resolve), signal)
  }

  /** `begin` is given what ends the wait, and returns what ends it otherwise. */
  async #until(begin: (resolve: () => void) => (() => void) | void, signal: AbortSignal): Promise<void> {
    const signals = [signal, this.#closing, this.#lease.signal]
    if (!signals.some(({ aborted }) => aborted)) {
      const over = Promise.withResolvers<void>()
      const stop = () => over.resolve()
      for (const each of signals) each.addEventListener('abort', stop)
      const cancel = begin(stop)
      await over.promise
      for (const each of signals) each.removeEventListener('abort', stop)
      cancel?.()
    }
    this.#check()
    if (this.#closing.aborted) throw new Stopped()
  }
}

type Event = readonly [type: OperationEvent['type'], message: string]

interface Ending {
  readonly state: OperationState
  readonly message: string
  /** What is told before it. */
  readonly told?: readonly Event[]
}

/** The rollout of a workload is not waited for any more, since the operation was cancelled. */
const CUT = ''

/** The waves of a strategy: each cluster in one of them, in order of their names. */
function wavesOf(change: Change, strategy: Strategy, fleet: AuthorizedFleet): readonly WaveState[] {
  const all = [...change.steps, ...change.known].map(({ object }) => object.cluster)
  const names = [...new Set(all)].toSorted()
  return groupsOf(names, strategy, fleet)
    .filter((clusters) => clusters.length > 0)
    .map((clusters) => ({ clusters, state: 'PENDING', startedAt: null, finishedAt: null }))
}

function groupsOf(names: readonly string[], strategy: Strategy, fleet: AuthorizedFleet): readonly string[][] {
  const { waves, waveSize } = strategy
  if (!waves) {
    const size = Math.max(1, waveSize ?? names.length)
    return Array.from({ length: Math.ceil(names.length / size) }, (_, i) =>
      names.slice(i * size, (i + 1) * size),
    )
  }
  const selectors = waves.map((text) => parseLabelSelector(text))
  const groups: string[][] = [...selectors.map(() => []), []]
  for (const name of names) {
    const labels = fleet.cluster(name)?.labels
    const first = labels ? selectors.findIndex((selector) => matchesLabels(selector, labels)) : -1
    groups.at(first)!.push(name)
  }
  return groups
}

/** A few of them, and how many more there are. */
function tellFailures(failures: Iterable<string>): string {
  // Not in the order in which they were heard of: another replica tells the same.
  const all = [...failures].toSorted()
  const shown = all.slice(0, 3)
  const more = all.length - shown.length
  return `${shown.map((failure) => ` ${failure}`).join('')}${more > 0 ? ` And ${more} more.` : ''}`
}

function sentenceOf({ error, outcome, object }: StepResult): string {
  return error?.message ?? `${object.kind} ${object.name} in the cluster ${object.cluster}: ${outcome}.`
}

function wordsOf(error: unknown): string {
  return error instanceof ChangeRefused ? error.message : 'the gateway failed; its log says why.'
}

function isAway(error: unknown): boolean {
  return error instanceof LeaseLost || error instanceof StoreAway
}

function stopping(): ChangeRefused {
  return new ChangeRefused('UNAVAILABLE', 'This replica of the gateway is stopping. Ask again.')
}
