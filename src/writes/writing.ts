/**
 * Changes, for one viewer's request at a time: at once, as operations, and after a plan. See `writes.ts`.
 *
 * Whatever began is carried to its end, or it is said how far it came: a client who leaves stops nothing.
 */
import { hash, randomUUID } from 'node:crypto'
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import { identityOf, type Viewer } from '../access/viewer.ts'
import type { Clock } from '../fleet/clock.ts'
import type { KubernetesJson } from '../kubernetes/json.ts'
import { noteCancel, noteOperation, noteWritten } from './audit.ts'
import { computeBlastRadius } from './blast-radius.ts'
import type { Change, Preconditions, Step, StepResult } from './change.ts'
import { fingerprint } from './fingerprint.ts'
import {
  ENDED,
  type OperationHead,
  type OperationOwner,
  type OperationRecord,
  type OperationStore,
  type StepName,
  type StepRecord,
  StoreAway,
  type Strategy,
} from './operation.ts'
import { quoted } from './names.ts'
import { Operations } from './operations.ts'
import type { Plans } from './plans.ts'
import type { Policies } from './policies.ts'
import { isFailure, isSecret, notAttempted, resultsOf, resultsOfOperation } from './results.ts'
import { codeOf, createRunner, type Runner } from './runner.ts'
import type { Stepper } from './stepping.ts'
import { ChangeRefused, type Plan, type RunOptions, type RunOutcome, type Writes } from './writes.ts'

export interface WritesOptions {
  readonly stepper: Stepper
  readonly policies: Policies
  /** Closed here. */
  readonly store: OperationStore
  readonly plans: Plans
  readonly clock: Clock
  /** As whom an operation goes on that another replica began: its owner, without a token. */
  readonly fleetFor: (owner: OperationOwner) => AuthorizedFleet
  /** Who may read the operations of others. */
  readonly mayReadAll: (viewer: Viewer) => boolean
  /** For the audit: the end of a step of an operation, whoever waits for it. Must not throw. */
  readonly onStep?: (head: OperationHead, result: StepResult) => void
  /** For the log: a bug. */
  readonly onError: (error: unknown, step?: Step) => void
}

export interface OwnedWrites extends Writes {
  /**
   * Begins nothing more, gives what is under way a few seconds, and lets other replicas go on with operations. To be
   * called once requests are answered, or while they are.
   */
  close(): Promise<void>
}

/** Steps of requests that are under way are given so long at the end. */
const CLOSE_MS = 5_000

/** An operation that is looked at is read no more often, and no less. */
const LEAST_MS = 100
const MOST_MS = 5_000

const NEVER = new AbortController().signal

export function createWrites(options: WritesOptions): OwnedWrites {
  return new ChangeWrites(options)
}

/** What an operation is made of. */
interface Order {
  readonly id: string
  readonly change: Change
  readonly strategy: Strategy | null
  readonly confirmed: boolean
}

class ChangeWrites implements OwnedWrites {
  readonly shared: boolean
  readonly #options: WritesOptions
  readonly #runner: Runner
  readonly #operations: Operations
  readonly #running = new Set<Promise<unknown>>()
  /** By id of the operation that they come to: requests with a key that are at it here. */
  readonly #claims = new Map<string, Promise<void>>()
  readonly #closing = new AbortController()
  readonly #cut = new AbortController()
  #closed: Promise<void> | undefined

  constructor(options: WritesOptions) {
    const { store, policies, clock, fleetFor, onStep, onError } = options
    this.#options = options
    this.shared = store.shared
    this.#runner = createRunner(options)
    this.#operations = new Operations({
      store,
      runner: this.#runner,
      judge: (request) => policies.judgeFor(request),
      clock,
      fleetFor,
      ...(onStep && { onStep }),
      onError,
    })
  }

  async claim(
    fleet: AuthorizedFleet,
    { idempotencyKey, digest }: { readonly idempotencyKey: string; readonly digest: string },
    signal: AbortSignal = NEVER,
  ): Promise<RunOutcome | (() => void)> {
    const id = idOfKey(fleet.viewer, idempotencyKey)
    for (;;) {
      const record = await asked(this.#options.store.read(id), ' Nothing was begun.')
      if (record) {
        requireRoom(fleet, record.change)
        return this.#repeat(fleet, record, digest, signal)
      }
      const other = this.#claims.get(id)
      if (!other) break
      await firstOf(other, signal)
      if (signal.aborted) return () => {}
    }
    const own = Promise.withResolvers<void>()
    this.#claims.set(id, own.promise)
    return () => {
      this.#claims.delete(id)
      own.resolve()
    }
  }

  async run(
    fleet: AuthorizedFleet,
    change: Change,
    { dryRun, idempotencyKey, strategy }: RunOptions,
    signal: AbortSignal = NEVER,
  ): Promise<RunOutcome> {
    requireRoom(fleet, change)
    if (dryRun || (!strategy && (idempotencyKey === undefined || isVain(change)))) {
      return this.#runPlainly(fleet, change, dryRun, signal)
    }
    const id = idempotencyKey === undefined ? randomUUID() : idOfKey(fleet.viewer, idempotencyKey)
    return this.#operate(fleet, { id, change, strategy: strategy ?? null, confirmed: false }, signal)
  }

  async plan(
    fleet: AuthorizedFleet,
    change: Change,
    { strategy }: { readonly strategy?: Strategy },
    signal: AbortSignal = NEVER,
  ): Promise<Plan> {
    requireRoom(fleet, change)
    const results = await this.#carryOut(fleet, change, true, signal)
    noteWritten(fleet.reads, change, results)
    const blastRadius = await computeBlastRadius(fleet, change, results, signal)
    if (results.some(isFailure)) {
      return { token: null, expiresAt: this.#options.clock.now(), results, blastRadius }
    }
    const seen = new Map(results.map((result) => [result.index, result]))
    const steps = change.steps.map((step) => asSeen(step, seen.get(step.index)!))
    const { token, expiresAt } = await this.#options.plans.keep(fleet.viewer, {
      change: { ...change, steps },
      strategy: strategy ?? null,
    })
    return { token, expiresAt, results, blastRadius }
  }

  async confirm(fleet: AuthorizedFleet, token: string, signal: AbortSignal = NEVER): Promise<RunOutcome> {
    const plan = await this.#options.plans.open(fleet.viewer, token)
    const id = idOf('plan', identityOf(fleet.viewer), plan.jti)
    if (plan.body) {
      requireRoom(fleet, plan.body.change)
      return this.#operate(fleet, { id, ...plan.body, confirmed: true }, signal)
    }
    const record = await this.#read(id)
    if (!record) throw plan.refusal
    return this.#replay(fleet, record, signal)
  }

  async operation(fleet: AuthorizedFleet, id: string): Promise<OperationRecord | undefined> {
    const record = await this.#read(id)
    return record && this.#shownTo(fleet.viewer, record)
  }

  async operations(
    fleet: AuthorizedFleet,
    first: number,
    after?: string,
  ): Promise<readonly OperationRecord[]> {
    const { store, mayReadAll } = this.#options
    const owner = mayReadAll(fleet.viewer) ? undefined : identityOf(fleet.viewer)
    const records = await asked(store.list(owner, first, after))
    return records.flatMap((record) => this.#shownTo(fleet.viewer, record) ?? [])
  }

  async cancel(fleet: AuthorizedFleet, id: string): Promise<OperationRecord> {
    const record = await this.#read(id)
    if (!record || !isOwn(fleet.viewer, record)) throw notFound(id)
    if (!ENDED.has(record.state)) await asked(this.#options.store.requestCancel(id))
    const now = ENDED.has(record.state) ? record : ((await this.#read(id)) ?? record)
    noteCancel(fleet.reads, now, now.state)
    return this.#shownTo(fleet.viewer, now) ?? withoutObjects(now)
  }

  async *follow(fleet: AuthorizedFleet, id: string, signal: AbortSignal): AsyncGenerator<OperationRecord> {
    const stop = AbortSignal.any([signal, this.#closing.signal])
    let last: OperationRecord | undefined
    for await (const record of this.#states(id, stop)) {
      const shown = this.#shownTo(fleet.viewer, record)
      if (!shown) throw notFound(id)
      last = shown
      yield shown
    }
    if (stop.aborted) return
    if (!last) throw notFound(id)
    // Whoever waits for its end has to be told that it does not come.
    if (!ENDED.has(last.state)) throw lost(id)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const { clock, store } = this.#options
    this.#closing.abort(STOPPING)
    const cancel = clock.after(CLOSE_MS, () => this.#cut.abort(STOPPING))
    await Promise.allSettled([...this.#running, this.#operations.close()])
    cancel()
    await store.close()
  }

  // ── At once ───────────────────────────────────────────────────────────────────────────────────

  async #runPlainly(
    fleet: AuthorizedFleet,
    change: Change,
    dryRun: boolean,
    signal: AbortSignal,
  ): Promise<RunOutcome> {
    const results = await this.#carryOut(fleet, change, dryRun, signal)
    noteWritten(fleet.reads, change, results)
    return { results, operation: null, replayed: false }
  }

  async #carryOut(
    fleet: AuthorizedFleet,
    change: Change,
    dryRun: boolean,
    signal: AbortSignal,
  ): Promise<readonly StepResult[]> {
    const { policies, clock } = this.#options
    const asked = new AbortController()
    const listen = () => {
      // Nothing is at stake in a dry run that nobody waits for.
      if (dryRun || codeOf(signal.reason) !== 'CLIENT_CLOSED') asked.abort(signal.reason)
    }
    if (signal.aborted) listen()
    else signal.addEventListener('abort', listen, { once: true })
    const halt = AbortSignal.any([asked.signal, this.#closing.signal])
    const running = this.#runner({
      fleet,
      verb: change.verb,
      steps: change.steps,
      dryRun,
      judge: policies.judgeFor({ confirmed: dryRun, objects: change.steps.length }),
      halt,
      end: AbortSignal.any([asked.signal, this.#cut.signal]),
    })
    this.#running.add(running)
    try {
      const done = await running
      const why =
        codeOf(halt.reason) === 'TIMEOUT'
          ? 'the request took too long before it was its turn. Ask again for what is left.'
          : 'the gateway is stopping. Ask again for what is left.'
      const at = clock.now()
      return resultsOf(change, (step) => done.get(step.index) ?? notAttempted(step, why, dryRun, at))
    } finally {
      this.#running.delete(running)
      signal.removeEventListener('abort', listen)
    }
  }

  // ── As an operation ───────────────────────────────────────────────────────────────────────────

  async #operate(fleet: AuthorizedFleet, order: Order, signal: AbortSignal): Promise<RunOutcome> {
    const head: OperationHead = {
      ...order,
      owner: ownerOf(fleet.viewer),
      dryRun: false,
      createdAt: this.#options.clock.now(),
    }
    const drive = await asked(this.#operations.begin(head, fleet), ' Nothing was begun.')
    if (!drive) {
      const record = await this.#read(head.id)
      // Its time was over between the two.
      if (!record) throw new ChangeRefused('UNAVAILABLE', 'The operation has just been forgotten. Ask again.')
      return this.#repeat(fleet, record, order.change.digest, signal)
    }
    if (head.strategy) return this.#answer(fleet, await this.#begun(head.id), false)
    await firstOf(drive.ended, signal)
    return this.#answer(fleet, await this.#end(head.id, signal), false)
  }

  async #repeat(
    fleet: AuthorizedFleet,
    record: OperationRecord,
    digest: string,
    signal: AbortSignal,
  ): Promise<RunOutcome> {
    if (record.change.digest !== digest) throw reused()
    return this.#replay(fleet, record, signal)
  }

  async #replay(fleet: AuthorizedFleet, record: OperationRecord, signal: AbortSignal): Promise<RunOutcome> {
    const answer = record.strategy || ENDED.has(record.state) ? record : await this.#end(record.id, signal)
    return this.#answer(fleet, answer, true)
  }

  #answer({ reads, viewer }: AuthorizedFleet, record: OperationRecord, replayed: boolean): RunOutcome {
    noteOperation(reads, record, record.state, replayed)
    const operation = this.#shownTo(viewer, record) ?? withoutObjects(record)
    return { results: resultsOfOperation(operation), operation, replayed }
  }

  /** As it is once it has ended, or as far as it is when the request has to end. */
  async #end(id: string, signal: AbortSignal): Promise<OperationRecord> {
    let last: OperationRecord | undefined
    try {
      for await (const record of this.#states(id, AbortSignal.any([signal, this.#closing.signal])))
        last = record
    } catch (error) {
      if (error instanceof ChangeRefused) throw unknown(id, error)
      throw error
    }
    if (!last) throw unknown(id)
    return last
  }

  async #begun(id: string): Promise<OperationRecord> {
    const record = await this.#read(id).catch((error: unknown) => {
      throw unknown(id, error)
    })
    if (!record) throw unknown(id)
    return record
  }

  /**
   * As it is now, and after each change until it has ended, or `stop`. What changes while nobody asks for the next one
   * is one change.
   */
  async *#states(id: string, stop: AbortSignal): AsyncGenerator<OperationRecord> {
    const { store, clock } = this.#options
    let isOld = false
    let wake = () => {}
    const leave = store.onChange(id, () => {
      isOld = true
      wake()
    })
    const onStop = () => wake()
    stop.addEventListener('abort', onStop)
    const sleep = (ms: number) =>
      new Promise<void>((resolve) => {
        const cancel = clock.after(ms, resolve)
        wake = () => {
          cancel()
          resolve()
        }
        if (stop.aborted) wake()
      })
    try {
      let revision: number | undefined
      for (;;) {
        isOld = false
        const next = clock.now() + LEAST_MS
        const record = await this.#read(id)
        if (!record) return
        if (record.revision !== revision) yield record
        revision = record.revision
        if (ENDED.has(record.state) || stop.aborted) return
        if (!isOld) await sleep(MOST_MS)
        while (!stop.aborted && clock.now() < next) await sleep(next - clock.now())
        if (stop.aborted && !isOld) return
      }
    } finally {
      leave()
      stop.removeEventListener('abort', onStop)
      wake()
    }
  }

  #read(id: string): Promise<OperationRecord | undefined> {
    return asked(this.#options.store.read(id))
  }

  /** Who may read what was done may not therefore read the objects that it was done to. */
  #shownTo(viewer: Viewer, record: OperationRecord): OperationRecord | undefined {
    const own = isOwn(viewer, record)
    if (own && isAsMuch(viewer, record)) return record
    return own || this.#options.mayReadAll(viewer) ? withoutObjects(record) : undefined
  }
}

const STOPPING = { code: 'SHUTTING_DOWN' } as const

/** The same step, that does only what its plan has said it would. */
function asSeen(step: Step, { outcome, before }: StepResult): Step {
  return { ...step, preconditions: { ...step.preconditions, ...seenOf(step, outcome, before) } }
}

function seenOf(
  { object }: Step,
  outcome: StepResult['outcome'],
  before: StepResult['before'],
): Preconditions | undefined {
  if (before) return isSecret(object) ? versionOf(before) : { fingerprint: fingerprint(before) }
  // One that was changed was there, though it may not be read.
  return outcome === 'UPDATED' || outcome === 'DELETED' ? undefined : { fingerprint: null }
}

/** Of a Secret: a fingerprint would tell its values to whoever can guess them. */
function versionOf({ metadata }: KubernetesJson): Preconditions | undefined {
  const { uid, resourceVersion } = metadata ?? {}
  return uid !== undefined && typeof resourceVersion === 'string' ? { uid, resourceVersion } : undefined
}

function ownerOf({ user, method, issuer, clusters }: Viewer): OperationOwner {
  return { user, method, issuer, clusters: clusters && [...clusters].toSorted() }
}

function isOwn(viewer: Viewer, { owner }: OperationRecord): boolean {
  return identityOf(viewer) === identityOf(owner)
}

/** Whether they have no right less by their sign-in than when they began it; what clusters grant is another matter. */
function isAsMuch({ user, clusters }: Viewer, { owner }: OperationRecord): boolean {
  const groups = new Set(user.groups)
  return (
    owner.user.groups.every((group) => groups.has(group)) &&
    (clusters === null || owner.clusters?.every((name) => clusters.has(name)) === true)
  )
}

function withoutObjects(record: OperationRecord): OperationRecord {
  const steps = [...record.steps].map(([name, kept]): [StepName, StepRecord] =>
    kept.state === 'DONE'
      ? [name, { ...kept, result: { ...kept.result, before: null, after: null, note: null } }]
      : [name, { ...kept, prepared: { action: kept.prepared.action, before: null } }],
  )
  return { ...record, steps: new Map(steps) }
}

/** One request may hold many mutations. What its audit record has no room for is not begun. */
function requireRoom({ reads }: AuthorizedFleet, { steps, known }: Change): void {
  if (reads.takeRoom(steps.length + known.length)) return
  throw new ChangeRefused(
    'TOO_LARGE',
    'The mutations of this request are about too many objects together. Nothing of this one was begun: send it in a request of its own.',
  )
}

/** Nothing can be begun of it, for reasons that may pass: its key is as good as new. */
function isVain({ steps, known }: Change): boolean {
  return steps.length === 0 && known.some(isFailure)
}

function idOfKey(viewer: Viewer, idempotencyKey: string): string {
  return idOf('key', identityOf(viewer), idempotencyKey)
}

/** Opaque, and nobody finds it by trying. */
function idOf(...parts: readonly string[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url')
}

/** Resolves with the first of them. */
function firstOf(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => resolve()
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

async function asked<T>(work: Promise<T>, more = ''): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof StoreAway) throw new ChangeRefused('UNAVAILABLE', `${error.message}${more}`, error)
    throw error
  }
}

function notFound(id: string): ChangeRefused {
  return new ChangeRefused(
    'OPERATION_NOT_FOUND',
    `There is no operation ${quoted(id)} of yours, or no longer: they are kept for a day after their end.`,
  )
}

function lost(id: string): ChangeRefused {
  return new ChangeRefused(
    'OPERATION_NOT_FOUND',
    `The operation ${quoted(id)} is not known any more: Redis was restarted without its data, or is out of memory. Nobody goes on with it, and what was begun of it may have been done: look, and ask again for what is left.`,
  )
}

function reused(): ChangeRefused {
  return new ChangeRefused(
    'IDEMPOTENCY_KEY_REUSED',
    'This idempotency key was used for another change. Use a new key for each change, and the same one only to try the same change again.',
  )
}

function unknown(id: string, cause?: unknown): ChangeRefused {
  return new ChangeRefused(
    'UNAVAILABLE',
    `The operation ${id} was begun, but Redis does not say what came of it. Ask for it again, or try again with the same idempotency key or token: nothing is done twice.`,
    cause,
  )
}
