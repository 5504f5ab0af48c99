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
 * Rights change. A group stands for one key of them; where it is told that they may be others, it tells nothing
 * until it has asked all its followers again: those whose key is another go into a group of that key, which takes
 * up the log where they were and tells them the difference. Whose eyes see, and who renders, is a follower who is
 * there and has that key at this moment; nobody is asked who has left.
 *
 * What is followed, what a beginning or a RESYNC is, and what other rights mean, subclasses know. The log and who
 * reads it are in one file, since whatever moves one has to move the other.
 */
import type { Cluster } from '../fleet/cluster.ts'
import type { Clock } from '../fleet/clock.ts'
import type { Scope } from '../fleet/selection.ts'
import type { Kind } from '../kubernetes/rows.ts'
import { Batch, type BatchOptions, type Tables } from './batch.ts'
import type { Directory } from './directory.ts'
import { coalesce, Entry } from './entry.ts'
import { Follower, type Joiner } from './follower.ts'
import type { Eyes, LiveStart, Membership } from './live.ts'
import type { Losses } from './losses.ts'
import type { Passes, Work } from './passes.ts'
import type { Readings } from './readings.ts'
import { isLess } from './slot.ts'
import type { TableChannel } from './table-channel.ts'

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
  readonly directory: Directory
  readonly losses: Losses
  /** Something of a group threw, and ended it: for the log. */
  readonly onFailure: (error: unknown) => void
  /** The group has lost its last follower. */
  readonly onEmpty: (group: Group<unknown>) => void
}

/** What may be seen of a cluster, in the order of the request's kinds. */
export type Scopes = readonly (Scope | undefined)[]

export abstract class Group<P> implements Work {
  /** What is followed; with `rights` it is what followers are put together by. */
  readonly name: string
  /** The key of the eyes of all followers, when they were asked last. Set by the directory. */
  rights: string
  readonly context: GroupContext
  protected readonly followers = new Set<Follower<P>>()
  /** Entries that have not been rendered. */
  protected pending: Entry<P>[] = []
  protected closed = false
  /** Nothing that was told or waits says what is there now with these rights: all begin anew when they are asked. */
  protected mustBeginAnew = false
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
  /** Those whose sinks give back what nobody has read. */
  readonly #recallable = new Set<Follower<P>>()
  /** The one whose eyes and rendering are used. */
  #voice: Follower<P> | undefined
  /** Rights may be others, and this is asking: nothing is told meanwhile. */
  #asking: Iterator<undefined> | undefined
  /** What is in the log was rendered with other rights. */
  #isRenamed = false
  /** There is another group of these rights, to which its followers go when nothing waits for them here. */
  #lingers = false
  /** Of clusters of which something else is seen by now: what was, when that was decided last. */
  #before: Map<Cluster, Scopes> | undefined

  constructor(name: string, rights: string, throttleMs: number, context: GroupContext) {
    this.name = name
    this.rights = rights
    this.#throttleMs = throttleMs
    this.context = context
  }

  abstract join(start: LiveStart, joiner: Joiner<P>): Membership

  /** These clusters left the fleet; these joined it, or their labels or health may be others. */
  abstract refresh(gone: readonly Cluster[], changed: readonly Cluster[]): void

  /** A table is another; of those that look at whole tables. */
  touch?(channel: TableChannel): void

  /** Another one that has told and is about to tell the same as this one, for nobody yet. */
  protected abstract fork(rights: string): Group<P>

  /**
   * A follower of another group of the same name and rights, in which it was told everything. Where that is not
   * so in the same way here, it is told what there is.
   */
  abstract adopt(follower: Follower<P>, from: Group<P>): void

  /** Those of the request whose rows may be seen or not. */
  protected get kinds(): readonly Kind[] {
    return []
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
    return !follower.recalled && !follower.backlog && follower.at === this.#tail
  }

  /** All that is to be told is rendered, and nothing is being read. */
  get isQuiet(): boolean {
    return this.pending.length === 0 && this.isSettled
  }

  /** What may be seen is what it was when it was asked last. */
  protected get isSettled(): boolean {
    return !this.#asking
  }

  /** Whether followers of another group can come at this moment. */
  get canAdopt(): boolean {
    return this.isSettled
  }

  /** Asks what may be seen, once it is known who follows; some at a time. */
  protected *askScopes(): Generator<undefined> {}

  /**
   * All have been asked. `isRenamed`: with a key that is not that of before: what is rendered already is for
   * nobody any more who has not had it, and rendered anew.
   */
  protected onAsked(isRenamed: boolean): void {
    if (!isRenamed) return
    const shared = new Map<Entry<P>, readonly Entry<P>[]>()
    for (const follower of this.followers) {
      const { at, recalled } = follower
      if ((follower.prelude && !recalled) || this.isUpToDate(follower)) continue
      // What was given back is not known here.
      if (!at || recalled) {
        this.resync(follower, OTHER_RIGHTS)
        continue
      }
      let unread = follower.backlog ? undefined : shared.get(at)
      if (!unread) {
        unread = this.#unread(follower).map((entry) => entry.copy())
        if (!follower.backlog) shared.set(at, unread)
      }
      if (!unread.every((entry) => this.canTell(entry))) {
        this.resync(follower, OTHER_RIGHTS)
        continue
      }
      follower.backlog = unread.length > 0 ? unread : undefined
      follower.done = 0
      follower.at = this.#tail
      this.wake(follower)
    }
  }

  /** Whether what it tells of can be seen with the rights of now, after nobody was found to have others. */
  protected canTell(_entry: Entry<P>): boolean {
    return true
  }

  /** The same, where it is not known what any of them was told. */
  protected beginAnew(): void {
    this.mustBeginAnew = false
    for (const follower of this.followers) {
      follower.prelude?.close()
      this.admit(follower)
    }
    this.resyncAll(OTHER_RIGHTS)
  }

  /** All that was pending is rendered. */
  protected onCut(): void {}

  /** Too much waits for one follower, or for all of them. */
  protected abstract resync(follower: Follower<P>, message: string): void
  protected abstract resyncAll(message: string): void

  /** A follower that has all that the log's entries up to now tell, if nothing is pending. */
  protected admit(follower: Follower<P>, backlog: readonly Entry<P>[] = []): void {
    follower.prelude = undefined
    follower.recalled = undefined
    follower.at = this.#tail
    follower.backlog = backlog.length > 0 ? backlog : undefined
    follower.done = 0
    if (follower.backlog) this.wake(follower)
  }

  protected add(joiner: Joiner<P>): Follower<P> {
    const follower = new Follower(joiner, this)
    this.#enrol(follower)
    this.context.counters.followers++
    return follower
  }

  remove(follower: Follower<P>): void {
    if (!this.followers.has(follower)) return
    this.release(follower)
    this.context.counters.followers--
    if (this.followers.size === 0 && !this.closed) this.context.onEmpty(this)
  }

  /** What waits is told within so many milliseconds, though it was to wait for longer. */
  protected hurry(withinMs: number): void {
    const latest = this.context.clock.now() + withinMs - this.#throttleMs
    if (this.#lastCut <= latest) return
    this.#lastCut = latest
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.context.passes.add(this)
  }

  /** It is none of its followers any more. */
  protected release(follower: Follower<P>): void {
    this.followers.delete(follower)
    this.#awake.delete(follower)
    this.#recallable.delete(follower)
    if (this.#voice === follower) this.#voice = undefined
  }

  /** One that another group released. */
  protected take(follower: Follower<P>): void {
    follower.group = this
    this.#enrol(follower)
  }

  #enrol(follower: Follower<P>): void {
    this.followers.add(follower)
    if (follower.sink.recall) this.#recallable.add(follower)
  }

  /** What may be seen may be another: before it tells anything more, it asks. */
  rightsChanged(): void {
    if (this.closed) return
    for (const follower of this.#recallable) {
      const recalled = follower.sink.recall?.() ?? []
      if (recalled.length === 0) continue
      follower.recalled = [...recalled, ...(follower.recalled ?? [])]
      this.wake(follower)
    }
    this.#asking = this.#ask()
    this.context.passes.add(this)
  }

  /** Asks at once, if there is anything to ask. */
  settle(): void {
    this.#askOn(() => false)
  }

  /**
   * A follower who has these rights now. Where the next one has not, rights have changed: all are asked, and told
   * nothing until then.
   */
  protected voice(): Follower<P> | undefined {
    for (;;) {
      const [first] = this.followers
      const voice = (this.#voice ??= first)
      if (!voice) return undefined
      try {
        if (voice.eyes.key === this.rights) return voice
        this.rightsChanged()
        return undefined
      } catch (error) {
        this.expel(voice.eyes, error)
      }
    }
  }

  /** `undefined`: nobody is there whose eyes can be asked, or all of them have ended. */
  protected scopesOf(cluster: Cluster): Scopes | undefined {
    for (;;) {
      if (this.closed) return undefined
      const eyes = this.voice()?.eyes
      if (!eyes) return undefined
      try {
        return this.kinds.map((kind) => eyes.scope(cluster, kind))
      } catch (error) {
        this.expel(eyes, error)
      }
    }
  }

  /** Something else is seen of the cluster than before: whether it is less is told once it is decided. */
  protected noteOther(cluster: Cluster, before: Scopes): void {
    this.#before ??= new Map()
    if (!this.#before.has(cluster)) this.#before.set(cluster, before)
  }

  /** It has left: nobody can say what would be seen of it. */
  protected forgetOther(cluster: Cluster): void {
    this.#before?.delete(cluster)
  }

  #tellLosses(): void {
    const before = this.#before
    const eyes = before && this.voice()?.eyes
    if (!eyes) return
    const lost: string[] = []
    try {
      for (const [cluster, scopes] of before) {
        if (!this.kinds.every((kind) => eyes.isDecided?.(cluster, kind) ?? true)) continue
        if (this.kinds.some((kind, i) => isLess(eyes.scope(cluster, kind), scopes[i])))
          lost.push(cluster.name)
        before.delete(cluster)
      }
    } catch (error) {
      this.expel(eyes, error)
    }
    if (before.size === 0) this.#before = undefined
    if (lost.length > 0) this.context.losses.add(this.followers, lost)
  }

  /** What these eyes show cannot be known: whoever sees with them ends, and nobody else. */
  protected expel(eyes: Eyes, error: unknown): void {
    this.context.onFailure(error)
    for (const follower of this.followers) {
      if (follower.eyes !== eyes) continue
      follower.leave()
      follower.sink.end(FAILED)
    }
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
    this.#asking = undefined
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
    this.close(FAILED)
    this.context.onEmpty(this)
  }

  run(spent: () => boolean): boolean {
    if (this.closed) return false
    if (!this.#askOn(spent) || !this.voice()) return !this.closed
    const goesOn = this.#tell(spent)
    if (this.closed || !this.#lingers) return goesOn && !this.closed
    return this.#goOver(spent) || goesOn
  }

  #tell(spent: () => boolean): boolean {
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
    const voice = this.voice()
    if (!voice) {
      // What was to be told is told by nobody.
      this.mustBeginAnew = true
      return undefined
    }
    const breaksAt = entries.findIndex(({ breaks }) => breaks)
    const batch = new Batch(entries, { ...options, tables: this.tables, breaksAt })
    this.context.counters.renders += entries.length
    try {
      return voice.render(batch.events)
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
    const isWhole = cursors.after && entries.length === 1 && !this.#isHalf
    if (!before && !isWhole && entries[0]) entries[0].breaks = true
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
    if (follower.prelude && !follower.recalled) return follower.prelude.pump(spent)
    if (follower.prelude) this.#writeRecalled(follower)
    else this.#flush(follower, false)
    // It was in the way of what is told bit by bit.
    if (follower.at === this.#tail && this.canAdvance) this.context.passes.add(this)
    return false
  }

  #flush(follower: Follower<P>, isPass: boolean): void {
    const { sink } = follower
    while (follower.group === this && !follower.left && !this.isUpToDate(follower)) {
      if (!sink.ready) {
        follower.awaitReady()
        if (isPass) this.#bound(follower)
        return
      }
      if (follower.recalled) {
        const { recalled } = follower
        follower.recalled = undefined
        this.write(follower, recalled)
      } else if (follower.backlog) this.#writeBacklog(follower, follower.backlog)
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
    // Others may have the same to read.
    missing.forEach((entry, i) => (entry.payload = rendered[i]!))
    this.write(
      follower,
      chunk.map((entry) => entry.payload!),
    )
  }

  /** The policy of slow followers, as the head of this file says it. */
  #bound(follower: Follower<P>): void {
    const { queue } = this.context.limits
    const backlog = follower.backlog ? follower.backlog.length - follower.done : 0
    if (backlog + this.#tail.number - follower.at!.number <= queue) return
    const fewer = coalesce(this.#unread(follower))
    if (fewer.length > queue * COALESCED) {
      this.resync(follower, `The reader was too slow: more than ${queue} changes waited, and were left out.`)
      return
    }
    follower.backlog = fewer.length > 0 ? fewer : undefined
    follower.done = 0
    follower.at = this.#tail
  }

  #unread(follower: Follower<P>): Entry<P>[] {
    const entries = follower.backlog?.slice(follower.done) ?? []
    for (let entry = follower.at!.next; entry; entry = entry.next) entries.push(entry)
    return entries
  }

  // Rights.

  /** Returns whether all is asked. */
  #askOn(spent: () => boolean): boolean {
    for (let begun = 0; this.#asking && begun < BEGUN_ANEW;) {
      const asking = this.#asking
      const isDone = asking.next().done ?? false
      if (this.closed) return false
      if (this.#asking !== asking) begun++
      else if (isDone) this.#asking = undefined
      else if (spent()) return false
    }
    return !this.#asking
  }

  *#ask(): Generator<undefined> {
    const byKey = new Map<string, Follower<P>[]>()
    let asked = 0
    for (const follower of this.followers) {
      try {
        const { key } = follower.eyes
        const some = byKey.get(key)
        if (some) some.push(follower)
        else byKey.set(key, [follower])
      } catch (error) {
        this.expel(follower.eyes, error)
      }
      if (++asked % ASKED === 0) yield
    }
    if (this.closed) return
    // The most of them stay.
    const largest = () => Array.from(byKey).reduce((a, b) => (b[1].length > a[1].length ? b : a))[0]
    const kept = byKey.has(this.rights) ? this.rights : largest()
    for (const [key, followers] of byKey) {
      if (key === kept) continue
      this.#part(key, followers)
      yield
    }
    if (kept !== this.rights) {
      this.#lingers = !this.context.directory.rename(this, kept)
      this.#isRenamed = true
      this.#writes.clear()
    }
    yield* this.askScopes()
    this.#tellLosses()
    const isRenamed = this.#isRenamed
    this.#isRenamed = false
    if (this.mustBeginAnew) this.beginAnew()
    else this.onAsked(isRenamed)
  }

  /** These followers have other rights than the rest: they go on in a group of their own. */
  #part(rights: string, followers: readonly Follower<P>[]): void {
    const fork = this.fork(rights)
    fork.#lastCut = this.#lastCut
    fork.#isHalf = this.#isHalf
    fork.#isRenamed = true
    fork.mustBeginAnew ||= this.mustBeginAnew
    fork.#before = this.#before && new Map(this.#before)
    fork.pending = this.pending.map((entry) => entry.copy())
    fork.#lingers = !this.context.directory.add(fork)
    for (const follower of followers) {
      if (follower.left || follower.group !== this) continue
      const unread = follower.at && this.#unread(follower)
      follower.prelude?.close()
      follower.prelude = undefined
      this.release(follower)
      fork.take(follower)
      follower.at = unread && fork.#tail
      follower.backlog = unread && unread.length > 0 ? unread : undefined
      follower.done = 0
    }
    if (fork.followers.size === 0) this.context.onEmpty(fork)
    else fork.rightsChanged()
  }

  /** Its followers go to the group that has the name; returns whether it could go on with that at once. */
  #goOver(spent: () => boolean): boolean {
    const { directory } = this.context
    const peer = directory.find<P>(this.name, this.rights)
    if (!peer) {
      this.#lingers = !directory.rename(this, this.rights)
      return false
    }
    if (!this.isQuiet) return false
    for (const follower of this.followers) {
      if (!peer.canAdopt) return true
      if (follower.prelude || !this.isUpToDate(follower)) continue
      this.release(follower)
      peer.take(follower)
      peer.adopt(follower, this)
      if (spent()) break
    }
    if (this.followers.size > 0) return this.followers.values().some((follower) => this.isUpToDate(follower))
    this.context.onEmpty(this)
    return false
  }

  #writeRecalled(follower: Follower<P>): void {
    const { recalled, sink } = follower
    if (!sink.ready) return follower.awaitReady()
    follower.recalled = undefined
    if (recalled) this.write(follower, recalled)
    this.wake(follower)
  }
}

/** Followers that are asked for their rights before the time is looked at. */
const ASKED = 256

/** How often it is begun anew at once, where rights change while they are asked. */
const BEGUN_ANEW = 4

export const OTHER_RIGHTS = 'What may be seen is another: it is read anew.'

// What was thrown is not meant for clients.
const FAILED = 'This cannot be followed any more, by a mistake of the gateway: its log says more.'

/** Entries that are rendered before the time is looked at. */
const PIECE = 32

/** How much of a queue may be left after entries were put together. */
const COALESCED = 0.75
