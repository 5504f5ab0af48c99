/**
 * Takes records from whoever does something, puts those together that are alike, and hands them to the sinks.
 *
 * Invariants: recording never throws and never waits; what is kept while a minute lasts is bounded in number, and
 * every text that a client chose is bounded in length. What was refused – which anybody can bring about as often,
 * and in as many ways, as they can send – makes a bounded number of records a minute for each user, and for all
 * who did not sign in together: no flood of it pushes out the records of others where only so many are kept.
 */
import { hash, randomBytes } from 'node:crypto'
import type { Clock } from '../../fleet/clock.ts'
import type { AuditEntry, AuditLog, AuditNote, AuditSink } from './audit.ts'

/** Alike for so long is one record more. */
const TOGETHER_MS = 60_000
/** Kinds of records that are counted at a time; past them the oldest minute ends early. */
const MOST_OPEN = 2_000
/**
 * Kinds of refusals of one user that are told apart at a time, and of all who did not sign in; past them those of
 * one type are alike, whatever else they are.
 */
const MOST_REFUSED = 100
const MOST_REFUSED_OF_NOBODY = 500
const MOST_TEXT = 2_000
const MOST_NAMES = 1_000

interface Minute {
  readonly endsAt: number
  /** Of whom it is a refusal, told apart from others. */
  readonly source: string | undefined
  /** The last of those after the first. */
  last: AuditNote | undefined
  further: number
}

export interface RecorderOptions {
  readonly clock: Clock
  readonly sinks: readonly AuditSink[]
}

export class AuditRecorder implements AuditLog {
  readonly #clock: Clock
  readonly #sinks: readonly AuditSink[]
  readonly #process = randomBytes(9).toString('base64url')
  /** In order of their ends. */
  readonly #minutes = new Map<string, Minute>()
  /** Refusals told apart in `#minutes`, by whose they are. */
  readonly #refused = new Map<string, number>()
  #entries = 0
  #cancelTimer: (() => void) | undefined
  #closed = false

  constructor({ clock, sinks }: RecorderOptions) {
    this.#clock = clock
    this.#sinks = sinks
  }

  record(note: AuditNote): void {
    if (this.#closed) return
    const bounded = boundedNote(note)
    if (note.type === 'MUTATION') return this.#write(bounded, 1)
    this.#endMinutes()
    let key = likenessOf(bounded)
    let source = sourceOf(bounded)
    if (source !== undefined && !this.#minutes.has(key)) {
      const most = bounded.user ? MOST_REFUSED : MOST_REFUSED_OF_NOBODY
      if ((this.#refused.get(source) ?? 0) >= most) {
        key = hash('sha256', JSON.stringify(['others', bounded.type, source]), 'base64')
        source = undefined
      }
    }
    const minute = this.#minutes.get(key)
    if (minute) {
      minute.last = bounded
      minute.further++
      return
    }
    this.#write(bounded, 1)
    const endsAt = this.#clock.now() + TOGETHER_MS
    this.#minutes.set(key, { endsAt, source, last: undefined, further: 0 })
    if (source !== undefined) this.#refused.set(source, (this.#refused.get(source) ?? 0) + 1)
    for (const [oldest, minute] of this.#minutes) {
      if (this.#minutes.size <= MOST_OPEN) break
      this.#end(oldest, minute)
    }
    this.#cancelTimer ??= this.#clock.after(TOGETHER_MS, () => this.#onTimer())
  }

  /** Ends all minutes, and the sinks. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#endMinutes(Infinity)
    this.#closed = true
    this.#cancelTimer?.()
    await Promise.all(this.#sinks.map((sink) => sink.close()))
  }

  #onTimer(): void {
    this.#cancelTimer = undefined
    this.#endMinutes()
    const [next] = this.#minutes.values()
    if (!next) return
    const wait = Math.max(next.endsAt - this.#clock.now(), 0)
    this.#cancelTimer = this.#clock.after(wait, () => this.#onTimer())
  }

  #endMinutes(now = this.#clock.now()): void {
    for (const [key, minute] of this.#minutes) {
      const { endsAt } = minute
      // Later than any minute lasts: the clock was set back.
      if (endsAt > now && endsAt <= now + TOGETHER_MS) return
      this.#end(key, minute)
    }
  }

  #end(key: string, { source, last, further }: Minute): void {
    this.#minutes.delete(key)
    if (source !== undefined) {
      const others = (this.#refused.get(source) ?? 0) - 1
      if (others > 0) this.#refused.set(source, others)
      else this.#refused.delete(source)
    }
    if (last) this.#write(last, further)
  }

  #write(note: AuditNote, count: number): void {
    const key = `${this.#process}.${++this.#entries}`
    const entry: AuditEntry = { key, at: this.#clock.now(), ...note, count }
    for (const sink of this.#sinks) sink.write(entry)
  }
}

/** Who is behind a refusal; `undefined` for what was done: of that each is told. */
function sourceOf({ type, user }: AuditNote): string | undefined {
  if (type === 'MUTATION' || type === 'PRIVILEGED_READ') return undefined
  return user ? hash('sha256', JSON.stringify([user.name, user.issuer]), 'base64') : ''
}

/** The same for those that are counted together; short, whatever is in them. */
function likenessOf(note: AuditNote): string {
  const { type, user, remoteAddress, operationName, operationHash, clusters, outcome, message } = note
  const alike = [
    type,
    user?.name,
    user?.issuer,
    remoteAddress,
    operationName,
    operationHash,
    clusters,
    outcome,
    message,
  ]
  return hash('sha256', JSON.stringify(alike), 'base64')
}

function boundedNote(note: AuditNote): AuditNote {
  const { user, operationName, clusters, message, correlationId, remoteAddress } = note
  return {
    ...note,
    user: user && {
      name: bounded(user.name),
      groups: user.groups.slice(0, MOST_NAMES).map(bounded),
      issuer: user.issuer === null ? null : bounded(user.issuer),
    },
    remoteAddress: remoteAddress === null ? null : bounded(remoteAddress),
    operationName: operationName === null ? null : bounded(operationName),
    clusters: clusters.length > MOST_NAMES ? clusters.slice(0, MOST_NAMES) : clusters,
    message: message === null ? null : bounded(message),
    correlationId: bounded(correlationId),
  }
}

function bounded(text: string): string {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT - 1)}…` : text
}
