/**
 * A group: followers that asked for the same with the same rights, and the log of what they are told. An
 * entry is rendered once, whoever reads it; a follower is a place in the log, so that one that is idle costs
 * next to nothing, and one that is slow no more than that: its entries are those that the others had.
 *
 * Slow followers: nobody waits for them. What a follower has not read may be `queue` entries; more are
 * first put together per object, and where they are still too many, dropped for one RESYNC, which costs no
 * memory, since the rows are read from the tables when it reads again. The reason: a reader that is slower
 * than the fleet never catches up with a longer queue, it only learns later what is not true any more.
 * Entries that come faster than passes over the followers can be made are bounded in the same way, for the
 * whole group.
 *
 * What is followed, and what a beginning or a RESYNC is, subclasses know.
 */
import type { Clock } from '../fleet/clock.ts'
import { Batch, type BatchOptions, type Tables } from './batch.ts'
import { coalesce, Entry } from './entry.ts'
import type { Membership, Render, Sink } from './live.ts'
import type { Passes, Work } from './passes.ts'
import type { Readings } from './readings.ts'

export interface QueueLimits {
  /** Entries that one follower may have to read. */
  readonly queue: number
  /** Entries that are rendered or written at a time. */
  readonly chunk: number
}

export interface Counters {
  followers: number
  groups: number
  /** Events that were rendered. */
  renders: number
  /** Events that were written to sinks. */
  deliveries: number
  /** Followers that were told RESYNC, each one of a group counted. */
  resyncs: number
}

/** What groups have of their hub. */
export interface GroupContext {
  readonly clock: Clock
  readonly passes: Passes
  readonly limits: QueueLimits
  readonly counters: Counters
  readonly readings: Readings
  /** Something of a group threw, and ended it: for the log. */
  readonly onFailure: (error: unknown) => void
  /** The group has lost its last follower. */
  readonly onEmpty: (key: string) => void
}

/** Something that a follower goes through before it reads the log: a snapshot, what it missed. */
export interface Prelude {
  /** Tells what it can while the follower's sink is ready, until `spent()`; returns whether it could go on. */
  pump(spent: () => boolean): boolean
  close(): void
}

export class Follower<P> implements Membership {
  readonly sink: Sink<P>
  readonly #group: Group<P>
  /** The last entry of the log that it has had; nothing while there is a prelude. */
  at: Entry<P> | undefined
  /** Entries before those of the log, and how many of them it has had. */
  backlog: readonly Entry<P>[] | undefined
  done = 0
  prelude: Prelude | undefined
  left = false
  #wake: (() => void) | undefined

  constructor(sink: Sink<P>, group: Group<P>) {
    this.sink = sink
    this.#group = group
  }

  leave(): void {
    if (this.left) return
    this.left = true
    if (this.#wake) this.sink.onReady = undefined
    this.prelude?.close()
    this.prelude = undefined
    this.at = undefined
    this.backlog = undefined
    this.#group.remove(this)
  }

  /** Has the group go on with it when its sink is ready. */
  awaitReady(): void {
    this.#wake ??= () => {
      if (!this.left) this.#group.wake(this)
    }
    this.sink.onReady = this.#wake
  }
}

export abstract class Group<P> implements Work {
  readonly key: string
  readonly context: GroupContext
  protected readonly followers = new Set<Follower<P>>()
  /** Entries that have not been rendered. */
  protected pending: Entry<P>[] = []
  protected closed = false
  readonly #render: Render<P>
  readonly #throttleMs: number
  /** The newest entry that has been rendered; at first, one that nobody is told. */
  #tail = new Entry<P>({ type: 'SYNCED' })
  /** Followers that can go on by themselves. */
  readonly #awake = new Set<Follower<P>>()
  #passIsNext = false
  #pass: Iterator<Follower<P>> | undefined
  /** What follows an entry of the log, as it was written to the first who was there. */
  readonly #writes = new Map<Entry<P>, { readonly payloads: readonly P[]; readonly end: Entry<P> }>()
  #lastCut = Number.NEGATIVE_INFINITY
  #cancelTimer: (() => void) | undefined
  /** Some of `pending` was to be rendered already; and of what is told bit by bit. */
  #isDue = false
  #isHalf = false

  constructor(key: string, render: Render<P>, throttleMs: number, context: GroupContext) {
    this.key = key
    this.#render = render
    this.#throttleMs = throttleMs
    this.context = context
  }

  /** For cursors; `undefined`: there are none. */
  protected abstract readonly tables: Tables | undefined

  /** Adds to `pending` what is told bit by bit, as much as there is time for. Returns whether entries may have cursors before and after. */
  protected advance(_spent: () => boolean): { readonly before: boolean; readonly after: boolean } {
    return { before: true, after: true }
  }

  /** Whether `advance` would add anything now. */
  protected get canAdvance(): boolean {
    return false
  }

  /** Whether a payload is worth sending after those before it. */
  protected isNews(_payload: P): boolean {
    return true
  }

  protected isUpToDate(follower: Follower<P>): boolean {
    return !follower.backlog && follower.at === this.#tail
  }

  /** All that was pending is rendered. */
  protected onCut(): void {}

  /** Too much waits for one follower, or for all of them. */
  protected abstract resync(follower: Follower<P>, message: string): void
  protected abstract resyncAll(message: string): void

  /** A follower that has all that the log's entries up to now tell, if nothing is pending. */
  protected admit(follower: Follower<P>, backlog: readonly Entry<P>[] = []): void {
    follower.prelude = undefined
    follower.at = this.#tail
    follower.backlog = backlog.length > 0 ? backlog : undefined
    follower.done = 0
    if (follower.backlog) this.wake(follower)
  }

  protected add(sink: Sink<P>): Follower<P> {
    const follower = new Follower(sink, this)
    this.followers.add(follower)
    this.context.counters.followers++
    return follower
  }

  remove(follower: Follower<P>): void {
    this.#awake.delete(follower)
    if (!this.followers.delete(follower)) return
    this.context.counters.followers--
    if (this.followers.size === 0 && !this.closed) this.context.onEmpty(this.key)
  }

  wake(follower: Follower<P>): void {
    this.#awake.add(follower)
    this.context.passes.add(this)
  }

  push(entry: Entry<P>): void {
    this.pending.push(entry)
    const { queue } = this.context.limits
    if (this.pending.length > queue) {
      const fewer = coalesce(this.pending)
      // Room for a while: to put together costs a look at all of them.
      if (fewer.length <= queue * COALESCED) this.pending = fewer
      else this.resyncAll(`More than ${queue} changes came at once, and were left out.`)
    }
    this.context.passes.add(this)
  }

  /** Ends every follower. */
  close(reason: string): void {
    if (this.closed) return
    this.closed = true
    this.context.passes.remove(this)
    this.#cancelTimer?.()
    this.#pass = undefined
    this.pending = []
    for (const follower of this.followers) {
      follower.leave()
      follower.sink.end(reason)
    }
  }

  /** The request cannot be followed: a condition of it threw, or what it asks for cannot be rendered. */
  fail(error: unknown): void {
    if (this.closed) return
    this.context.onFailure(error)
    // What was thrown is not meant for clients.
    this.close('This cannot be followed any more, by a mistake of the gateway: its log says more.')
    this.context.onEmpty(this.key)
  }

  run(spent: () => boolean): boolean {
    if (this.closed) return false
    // By turns: followers that wake all the time must not keep the others waiting, nor the other way round.
    this.#passIsNext = !this.#passIsNext && this.#serveAwake(spent)
    if (this.closed) return false
    if (this.#passIsNext) return true
    if (!this.#pass) {
      if (!this.#begin(spent)) return this.#awake.size > 0
      if (this.closed) return false
      this.#pass = this.followers.values()
    }
    for (let step = this.#pass.next(); !step.done; step = this.#pass.next()) {
      const follower = step.value
      if (!follower.prelude) this.#flush(follower, true)
      if (this.closed) return false
      if (spent()) return true
    }
    this.#pass = undefined
    return this.#awake.size > 0 || this.pending.length > 0 || this.canAdvance
  }

  /** Renders for one follower. `undefined`: the group has failed. */
  protected render(
    entries: readonly Entry<P>[],
    options: Omit<BatchOptions, 'tables'>,
  ): readonly P[] | undefined {
    const breaksAt = entries.findIndex(({ breaks }) => breaks)
    const batch = new Batch(entries, { ...options, tables: this.tables, breaksAt })
    this.context.counters.renders += entries.length
    try {
      return this.#render(batch.events)
    } catch (error) {
      this.fail(error)
      return undefined
    }
  }

  /** Whether it was there to take them. */
  protected write(follower: Follower<P>, payloads: readonly P[]): void {
    this.context.counters.deliveries += payloads.length
    try {
      follower.sink.write(payloads)
    } catch {
      // A sink that throws is of no use to anybody; the others are served.
      follower.leave()
      follower.sink.end('The connection broke.')
    }
  }

  /** Whether there is anything for a pass; renders it, or as much as there is time for. */
  #begin(spent: () => boolean): boolean {
    if (this.pending.length === 0 && !this.canAdvance) return false
    const { clock } = this.context
    // No longer than that also where the clock was set back.
    const wait = Math.min(this.#lastCut + this.#throttleMs - clock.now(), this.#throttleMs)
    if (wait > 0 && !this.canAdvance && !this.#isDue) {
      this.#cancelTimer ??= clock.after(wait, () => {
        this.#cancelTimer = undefined
        this.#isDue = true
        this.context.passes.add(this)
      })
      return false
    }
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#lastCut = clock.now()
    const cursors = this.advance(spent)
    const entries = this.#throttleMs > 0 ? coalesce(this.pending) : this.pending
    this.pending = []
    this.#writes.clear()
    const before = cursors.before && !this.#isHalf
    const cursorsFrom = before && cursors.after ? 0 : cursors.after ? entries.length - 1 : Infinity
    // Whoever has the first of them only must not go on from a cursor before it.
    if (!before && entries[0]) entries[0].breaks = true
    let done = 0
    while (done < entries.length) {
      const piece = entries.slice(done, done + PIECE)
      const waiting = entries.slice(done + PIECE)
      const payloads = this.render(piece, { cursorsFrom: cursorsFrom - done, waiting })
      if (!payloads) return false
      piece.forEach((entry, i) => this.#append(entry, payloads[i]!))
      done += piece.length
      if (spent()) break
    }
    this.pending = entries.slice(done)
    this.#isHalf = !before && this.pending.length > 0
    this.#isDue = this.pending.length > 0
    if (!this.#isDue) this.onCut()
    return true
  }

  #append(entry: Entry<P>, payload: P): void {
    if (!this.isNews(payload)) return
    entry.payload = payload
    entry.number = this.#tail.number + 1
    this.#tail.next = entry
    this.#tail = entry
  }

  /** Returns whether the time was spent. */
  #serveAwake(spent: () => boolean): boolean {
    for (const follower of this.#awake) {
      this.#awake.delete(follower)
      if (this.#serve(follower, spent)) this.#awake.add(follower)
      if (this.closed || spent()) return true
    }
    return false
  }

  /** Returns whether it could go on. */
  #serve(follower: Follower<P>, spent: () => boolean): boolean {
    if (follower.left) return false
    if (follower.prelude) return follower.prelude.pump(spent)
    this.#flush(follower, false)
    // It was in the way of what is told bit by bit.
    if (follower.at === this.#tail && this.canAdvance) this.context.passes.add(this)
    return false
  }

  #flush(follower: Follower<P>, isPass: boolean): void {
    const { sink } = follower
    while (!follower.left && (follower.backlog || follower.at !== this.#tail)) {
      if (!sink.ready) {
        follower.awaitReady()
        if (isPass) this.#bound(follower)
        return
      }
      if (follower.backlog) this.#writeBacklog(follower, follower.backlog)
      else {
        const { payloads, end } = this.#after(follower.at!)
        follower.at = end
        this.write(follower, payloads)
      }
      if (this.closed) return
    }
  }

  #after(entry: Entry<P>): { readonly payloads: readonly P[]; readonly end: Entry<P> } {
    let write = this.#writes.get(entry)
    if (!write) {
      const payloads: P[] = []
      let end = entry
      while (end.next && payloads.length < this.context.limits.chunk) {
        end = end.next
        payloads.push(end.payload!)
      }
      this.#writes.set(entry, (write = { payloads, end }))
    }
    return write
  }

  #writeBacklog(follower: Follower<P>, backlog: readonly Entry<P>[]): void {
    const chunk = backlog.slice(follower.done, follower.done + this.context.limits.chunk)
    follower.done += chunk.length
    if (follower.done === backlog.length) follower.backlog = undefined
    const missing = chunk.filter((entry) => entry.payload === undefined)
    const rendered = missing.length === 0 ? [] : this.render(missing, { cursorsFrom: Infinity })
    if (!rendered) return
    let next = 0
    this.write(
      follower,
      chunk.map((entry) => entry.payload ?? rendered[next++]!),
    )
  }

  /** The policy of slow followers, as the head of this file says it. */
  #bound(follower: Follower<P>): void {
    const { queue } = this.context.limits
    const backlog = follower.backlog ? follower.backlog.length - follower.done : 0
    if (backlog + this.#tail.number - follower.at!.number <= queue) return
    const entries = follower.backlog?.slice(follower.done) ?? []
    for (let entry = follower.at!.next; entry; entry = entry.next) entries.push(entry)
    const fewer = coalesce(entries)
    if (fewer.length > queue * COALESCED) {
      this.resync(follower, `The reader was too slow: more than ${queue} changes waited, and were left out.`)
      return
    }
    follower.backlog = fewer.length > 0 ? fewer : undefined
    follower.done = 0
    follower.at = this.#tail
  }
}

/** Entries that are rendered before the time is looked at. */
const PIECE = 32

/** How much of a queue may be left after entries were put together. */
const COALESCED = 0.75
