/**
 * The right to drive one operation that is kept in Redis: renewed at a third of the time that it lasts, and lost here
 * before it ends in Redis, since its time is counted from before its renewal was sent. By a timer: the time of day may
 * be set, and says nothing of how long this process was frozen.
 */
import type { Clock } from '../fleet/clock.ts'
import { keptRecord, pack } from './kept.ts'
import {
  ENDED,
  LeaseLost,
  type OperationLease,
  type OperationProgress,
  type StepName,
  type StepRecord,
} from './operation.ts'
import { ChangeRefused } from './writes.ts'

/** From one entry into the sets to the next. */
const INDEX_MS = 30_000

/** Characters in Redis of what came of the steps of one operation: beyond them of each without its objects. */
const MOST_KEPT = 32 * 1_048_576

/** What a lease does in Redis. Rejects with `StoreAway`. */
interface LeaseActions {
  readonly clock: Clock
  readonly leaseMs: number
  readonly renew: () => Promise<string>
  /** To `onMessage`, until it is given back. */
  readonly listen: () => Promise<void>
  readonly write: (number: number, field: string, text: string, ended: boolean) => Promise<string>
  /** Never rejects. */
  readonly index: (open: boolean) => Promise<void>
  /** Never rejects. */
  readonly giveBack: () => Promise<void>
}

export class RedisLease implements OperationLease {
  readonly id: string
  readonly #actions: LeaseActions
  readonly #lost = new AbortController()
  readonly #cancelled = new AbortController()
  /** Characters of what came of steps, by this lease. */
  #kept = 0
  /** The number of the last write. */
  #written = 0
  /** The last write of each field: the next one comes after it, however long it takes to be packed. */
  readonly #writing = new Map<string, Promise<unknown>>()
  #cancelDeadline = () => {}
  #cancelRenewal = () => {}
  #indexedAt: number
  #listening = false
  /** Why it may not write any more. */
  #over: LeaseLost | undefined
  #released: Promise<void> | undefined

  constructor(id: string, actions: LeaseActions) {
    this.id = id
    this.#actions = actions
    this.#indexedAt = actions.clock.now()
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  get cancelled(): AbortSignal {
    return this.#cancelled.signal
  }

  /** Whether it was granted: by this command, of the same answers as all others. */
  async begin(command: () => Promise<string>): Promise<boolean> {
    const granted = isGood(await this.#timed(command))
    if (granted) {
      this.#renewIn(this.#actions.leaseMs / 3)
      void this.#listen()
    }
    return granted
  }

  step(name: StepName, record: StepRecord): Promise<void> {
    return this.#write(`step:${name}`, async () => {
      const text = await packRecord(name, record, this.#kept < MOST_KEPT)
      if (record.state === 'DONE') this.#kept += text.length
      return text
    })
  }

  async progress(progress: OperationProgress): Promise<void> {
    const ended = ENDED.has(progress.state)
    await this.#write('progress', () => pack(progress, 'What happened to the operation'), ended)
    if (ended) await this.#actions.index(false)
  }

  release(): Promise<void> {
    this.#end('RELEASED')
    this.#released ??= this.#actions.giveBack()
    return this.#released
  }

  readonly onMessage = (message: string): void => {
    if (message.endsWith(' CANCEL')) this.#cancelled.abort()
  }

  #write(field: string, packed: () => Promise<string>, ended = false): Promise<void> {
    const before = this.#writing.get(field)
    const write = async () => {
      if (this.#over) throw this.#over
      const text = await packed()
      await before?.catch(() => {})
      await this.#send(field, text, ended)
    }
    const writing = write()
    this.#writing.set(field, writing)
    return writing
  }

  async #send(field: string, text: string, ended: boolean): Promise<void> {
    for (;;) {
      if (this.#over) throw this.#over
      const number = ++this.#written
      const answer = await this.#timed(() => this.#actions.write(number, field, text, ended))
      if (isGood(answer)) return
      // Overtaken by another, as may happen where a connection was made anew.
      if (answer !== 'LATE') throw this.#lose(answer)
    }
  }

  /** Whether it was cancelled before that is answered by a renewal. Never rejects. */
  async #listen(): Promise<void> {
    try {
      await this.#actions.listen()
    } catch {
      // Again after the next renewal.
      return
    }
    this.#listening = true
    if (!this.#over) await this.#renew()
  }

  #renewIn(ms: number): void {
    this.#cancelRenewal()
    this.#cancelRenewal = this.#actions.clock.after(ms, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { clock, leaseMs, renew, index } = this.#actions
    let next = leaseMs / 12
    try {
      const answer = await this.#timed(renew)
      if (!isGood(answer)) return void this.#lose(answer)
      next = leaseMs / 3
    } catch {
      // Soon again, until it is too late.
    }
    if (this.#over) return
    this.#renewIn(next)
    if (!this.#listening) void this.#listen()
    if (clock.now() - this.#indexedAt < INDEX_MS) return
    this.#indexedAt = clock.now()
    await index(true)
  }

  /**
   * Each answer that it is still ours is good for as long as the lease lasts, counted from before the command was
   * sent, so that it ends here before it does in Redis. By a timer, since the time of day may be set.
   */
  async #timed(command: () => Promise<string>): Promise<string> {
    const { clock, leaseMs } = this.#actions
    const cancel = clock.after(leaseMs, () => void this.#lose('EXPIRED'))
    let good = false
    try {
      const answer = await command()
      good = isGood(answer) && !this.#over
      if (answer === 'CANCEL') this.#cancelled.abort()
      if (isGood(answer) && this.#over) throw this.#over
      return answer
    } catch (error) {
      throw this.#over ?? error
    } finally {
      if (good) {
        this.#cancelDeadline()
        this.#cancelDeadline = cancel
      } else cancel()
    }
  }

  #lose(answer: string): LeaseLost {
    if (this.#over) return this.#over
    const lost = this.#end(answer === 'TAKEN' || answer === 'GONE' ? answer : 'EXPIRED')
    this.#lost.abort(lost)
    this.#released ??= this.#actions.giveBack()
    return lost
  }

  #end(why: 'TAKEN' | 'EXPIRED' | 'GONE' | 'RELEASED'): LeaseLost {
    this.#cancelDeadline()
    this.#cancelRenewal()
    return (this.#over ??= new LeaseLost(this.id, why))
  }
}

function isGood(answer: string): boolean {
  return answer === 'OK' || answer === 'CANCEL'
}

/** What was done has to be written down, if need be without the objects. */
async function packRecord(name: StepName, record: StepRecord, hasRoom: boolean): Promise<string> {
  const kept = keptRecord(record)
  const what = `What is known of step ${name}`
  if (kept.state === 'BEGUN') return pack(kept, what)
  const { result } = kept
  const note = [result.note, 'The object is too large to be kept.'].filter(Boolean).join(' ')
  const bare = { before: null, after: null, note }
  const isBare = result.before === null && result.after === null
  for (const less of hasRoom || isBare ? [{}, { after: null, note }, bare] : [bare]) {
    try {
      return await pack({ ...kept, result: { ...result, ...less } }, what)
    } catch (error) {
      if (!(error instanceof ChangeRefused)) throw error
    }
  }
  return pack({ ...kept, result: { ...result, before: null, after: null, error: null, note } }, what)
}
