/**
 * Follows one table of another replica: reads what Redis holds of it, then applies what its owner publishes.
 *
 * Why no step can be missed: the table is at a position (generation, sequence, tag), and is moved in two
 * ways only. By a message, which names the position before it: it is applied where that is ours, and
 * nowhere else. Or by reading the whole table:
 *
 *  1. The channel is subscribed to; messages are kept from before the first look at Redis.
 *  2. The position s0 is read, then all rows (HSCAN), then the position again, s1. Each script of the owner
 *     changes rows and position in one step, so that a row which no message after s0 names was the same all
 *     the time, and HSCAN returns every such row. A row that one names is whatever that message says.
 *  3. So what was scanned, overwritten by all messages from s0 up to any s ≥ s1, is the content at s: not
 *     before s1, since the scan may have seen what was written until then.
 *  4. The messages have to be without a gap from s0 to s, each by the tag of the one before; else, or when
 *     s1 is not reached in time, or another generation has begun: again from 2.
 *
 * Nothing depends on the connections staying up. A message that is lost with nothing after it is found by
 * the next heartbeat, which names every table's position.
 *
 * Messages are folded per object while the table is read, so that what waits is never more than a table.
 *
 * What comes is done in its order, some milliseconds of a turn of the event loop at a time: a message may have
 * hundreds of rows. In between the table has a part of it, and is nowhere in Redis.
 *
 * It is long because reading, folding and applying move one position, in one order.
 */
import type { Clock } from '../../fleet/clock.ts'
import type { FeedProblem } from '../../fleet/feed.ts'
import type { Turns } from '../../fleet/ingest-turns.ts'
import type { TableReader, TableWriter } from '../../fleet/table.ts'
import type { Kind, Row } from '../../kubernetes/rows.ts'
import { compareResourceVersions } from '../../kubernetes/resource-version.ts'
import type { ClusterKeys, RedisLink } from './keys.ts'
import { readTable, type TableText } from './scripts.ts'
import {
  type About,
  type ChangesMessage,
  type Delta,
  hasContent,
  type Position,
  readAbout,
  readDeltas,
  readPosition,
  readRow,
  type Relist,
  rowKey,
  type WholeMessage,
} from './wire.ts'

export interface TableFollowerContext {
  readonly link: RedisLink
  readonly keys: ClusterKeys
  readonly clock: Clock
  /** For what comes in messages. */
  readonly turns: Turns
  /** When the owner was heard of last, where that is too long ago for anything to be current. */
  readonly silentSince: () => number | undefined
  /** Waits for a turn to read a table; resolves with what ends it. */
  readonly turn: () => Promise<() => void>
  readonly onError: (error: unknown) => void
  /** When a watch of this replica's own ended, epoch milliseconds: the tables may be ahead of Redis. */
  readonly watchedUntil: number | undefined
}

/** Rows that HSCAN is asked for at a time. */
const SCAN_ROWS = 250
/** How much later than its effect in Redis a message may arrive. */
const LATE_MS = 2_000
const FIRST_DELAY_MS = 100
const LAST_DELAY_MS = 10_000
/** How long a state that is older than the table's is not believed, and until it is looked at again. */
const PAST_MS = 30_000
const PAST_DELAY_MS = 500
/** Of one turn of the event loop, for handing on rows. */
const SLICE_MS = 4
/** Of messages that wait. */
const KEPT_CHARACTERS = 32 * 1024 * 1024

const SILENT: FeedProblem = {
  // Not UNREACHABLE: nothing is known of the cluster itself, only that news of it do not come through.
  code: 'ERROR',
  message:
    'Nothing is heard from the replica of the gateway that watches this cluster: it, or Redis, is away.',
}
const UNREADABLE: ReadonlySet<FeedProblem['code']> = new Set(['FORBIDDEN', 'NOT_SERVED', 'NOT_WATCHED'])
const BEHIND: FeedProblem = {
  code: 'ERROR',
  message: 'What the replica of the gateway that watches this cluster publishes of it cannot be read now.',
}
const ANEW: FeedProblem = {
  code: 'ERROR',
  message: 'The replica of the gateway that watches this cluster is still reading these objects itself.',
}

/** The table moved on, or a message is missing, while it was being read: it has to be read again. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** What Redis holds is older than what the table shows. */
class Past extends Interrupted {}

/** The whole table is being read: see above. */
interface Reading {
  /** `LOOKING`: s0 is not known yet. `HANDING_ON`: nothing is folded any more. Messages wait meanwhile. */
  phase: 'LOOKING' | 'FOLDING' | 'HANDING_ON'
  /** After what is folded; the same as text, and what is said of the table there. */
  position: Position
  text: TableText
  /** What the messages say of each row; `null`: gone. */
  readonly folded: Map<string, Row | null>
  interruption: Interrupted | undefined
  /** After each message that was folded, and after an interruption. */
  onProgress: () => void
}

/** Where Redis is, as somebody said: see `told`. */
interface Told {
  readonly type: 'told'
  readonly state: TableText | undefined
  readonly by: 'beat' | 'look'
}

/** A message that is being folded into what is read, or applied to the table. */
interface Work {
  readonly message: ChangesMessage
  readonly reading: Reading | undefined
  readonly there: Position
  readonly deltas: Iterator<Delta | Relist>
  /** Of a message that is folded: all of it, or nothing. */
  readonly rows: Map<string, Row | null>
}

const NOWHERE: Position = { generation: '', sequence: 0, tag: '', size: 0 }

export class TableFollower {
  readonly kind: Kind
  readonly #context: TableFollowerContext
  readonly #table: TableReader & TableWriter
  /** Of what the table shows, as text and in parts; `undefined`: that is not in Redis. */
  #text: string | undefined
  #position: Position | undefined
  #about: About | undefined
  #aboutText = ''
  /** What has come and is not done yet, oldest first; its length in characters. */
  #inbox: (ChangesMessage | WholeMessage | Told)[] = []
  #inboxCharacters = 0
  /** Of the first in the inbox. */
  #work: Work | undefined
  /** A later turn goes on with the inbox. */
  #queued = false
  #reading: Reading | undefined
  #attempt: Promise<void> | undefined
  #wanted = false
  #syncing = false
  /** Epoch milliseconds since when Redis is known to hold something else. */
  #behindSince: number | undefined
  #behind = false
  /** Read, and no heartbeat heard since: what comes may be of before. */
  #fresh = false
  #cancelWait = () => {}
  #closed = false

  /** `from`: what the table has of Redis already. */
  constructor(table: TableReader & TableWriter, from: string | undefined, context: TableFollowerContext) {
    this.kind = table.kind
    this.#table = table
    this.#context = context
    if (from !== undefined) this.#reached(from, readPosition(from))
  }

  /** Where the table is, if it shows exactly what was in Redis there. */
  get position(): string | undefined {
    if (this.#work && !this.#work.reading) return undefined
    const kept = this.#about && !hasContent(this.#about.state) && this.#table.status.asOf !== null
    return kept ? undefined : this.#text
  }

  /**
   * Where Redis is; `undefined`: it has nothing of this table. `beat`: the owner said so, in order with its
   * changes. Else it was read, and messages of before may still be on their way.
   */
  told(state: TableText | undefined, by: 'beat' | 'look'): void {
    if (!this.#reading) this.#receive({ type: 'told', state, by })
  }

  onMessage(message: ChangesMessage | WholeMessage): void {
    this.#receive(message)
  }

  #receive(entry: ChangesMessage | WholeMessage | Told): void {
    const reading = this.#reading
    if (this.#closed || reading?.interruption) return
    this.#inbox.push(entry)
    if (entry.type === 'changes') this.#inboxCharacters += entry.body.length
    if (this.#inboxCharacters <= KEPT_CHARACTERS) return this.#pump()
    this.#forget()
    if (reading) return this.#interrupt(reading, 'too many messages')
    this.#lost()
    this.#sync()
  }

  #forget(): void {
    this.#inbox = []
    this.#inboxCharacters = 0
    this.#work = undefined
  }

  /** Goes on with the inbox. */
  #pump(): void {
    if (this.#queued || !this.#drain()) return
    this.#queued = true
    this.#context.turns.later(this.#drainLater)
  }

  readonly #drainLater = (): boolean => (this.#queued = this.#drain())

  /** True where something is left for a later turn. */
  #drain(): boolean {
    const { turns, onError } = this.#context
    for (;;) {
      const [entry] = this.#inbox
      if (!entry || (this.#reading && this.#reading.phase !== 'FOLDING')) return false
      if (turns.spent) return true
      try {
        if (!this.#take(entry)) return true
      } catch (error) {
        onError(error)
        // The table may have a part of it.
        if (this.#reading) this.#interrupt(this.#reading, 'a message cannot be read')
        else {
          this.#lost()
          this.#sync()
        }
      }
      this.#work = undefined
      // It may be another inbox by now: see `close`.
      if (this.#inbox[0] !== entry) continue
      this.#inbox.shift()
      if (entry.type === 'changes') this.#inboxCharacters -= entry.body.length
    }
  }

  /** False where the time was not enough. */
  #take(entry: ChangesMessage | WholeMessage | Told): boolean {
    if (entry.type === 'changes') return this.#takeChanges(entry)
    if (entry.type === 'whole') this.#takeWhole(entry)
    else this.#takeTold(entry)
    return true
  }

  #takeTold({ state, by }: Told): void {
    if (this.#reading) return
    const late = this.#fresh && by === 'beat'
    if (by === 'beat') this.#fresh = false
    if (!state) {
      this.#lost()
      return
    }
    if (state.position === this.#text) {
      this.#behindSince = undefined
      this.#behind = false
      this.#learn(state.about)
      return
    }
    if (late && this.#isBefore(state.position)) return
    this.#sync()
  }

  #takeWhole({ position }: WholeMessage): void {
    const reading = this.#reading
    if (!reading) {
      if (position !== this.#text) this.#sync()
    } else if (!position.startsWith(`${reading.position.generation} `)) {
      this.#interrupt(reading, 'the table was published anew')
    }
  }

  #takeChanges(message: ChangesMessage): boolean {
    const reading = this.#reading
    if (this.#work?.message !== message || this.#work.reading !== reading) {
      const there = readPosition(message.position)
      if (!(reading ? this.#isNextRead(reading, message, there) : this.#isNext(message, there))) return true
      const deltas = readDeltas(message, this.#table.cluster)
      this.#work = { message, reading, there, deltas, rows: new Map() }
    }
    const { deltas, rows, there } = this.#work
    const { turns } = this.#context
    for (let next = deltas.next(); !next.done; next = deltas.next()) {
      if (reading) fold(next.value, rows)
      else this.#apply(next.value)
      // A listener of the table may have closed this.
      if (this.#closed) return true
      if (turns.spent) return false
    }
    if (reading) this.#folded(reading, message, there, rows)
    else this.#applied(message, there)
    return true
  }

  /** Whether the message is to be applied now. */
  #isNext(message: ChangesMessage, there: Position): boolean {
    const here = this.#position
    // Redis has not been looked at yet, or has nothing: the look, or a heartbeat, is to come.
    if (!here) return false
    if (follows(here, message, there)) return true
    const before = there.generation === here.generation && there.sequence <= here.sequence
    // Of another generation, just after it was read: most likely of the one before. A heartbeat will tell.
    if (!before && !(this.#fresh && there.generation !== here.generation)) this.#sync()
    return false
  }

  /** Whether the message is to be folded into what is read. */
  #isNextRead(reading: Reading, message: ChangesMessage, there: Position): boolean {
    const here = reading.position
    if (follows(here, message, there)) return true
    const before = there.generation === here.generation && there.sequence <= here.sequence
    if (!before) this.#interrupt(reading, 'a message is missing')
    return false
  }

  /** Time has passed, or `silentSince` has changed. */
  tick(staleMs: number): void {
    const since = this.#behindSince
    this.#behind = since !== undefined && this.#context.clock.now() - since >= staleMs
    this.#show()
  }

  /**
   * Reads the whole table; one that is being read already is not read twice. Resolves when it shows what
   * Redis holds, or Redis holds nothing. Rejects with `Interrupted`, `WireError` or the connection's error.
   */
  read(): Promise<void> {
    this.#attempt ??= this.#read().finally(() => {
      this.#attempt = undefined
    })
    return this.#attempt
  }

  /** The table is not touched any more. */
  close(): void {
    // Of what is half applied nothing is known.
    if (this.#work && !this.#work.reading) this.#lost()
    this.#closed = true
    this.#cancelWait()
    this.#forget()
    this.#context.turns.forget(this.#drainLater)
    if (this.#reading) {
      if (this.#reading.phase === 'HANDING_ON') this.#table.apply({ type: 'Cancel' })
      this.#interrupt(this.#reading, 'closed')
    }
  }

  /** Reads the table until that has worked. */
  #sync(): void {
    this.#behindSince ??= this.#context.clock.now()
    this.#wanted = true
    if (this.#syncing) return
    this.#syncing = true
    void this.#keepReading()
  }

  async #keepReading(): Promise<void> {
    for (let delay = 0; this.#wanted && !this.#closed;) {
      this.#wanted = false
      try {
        await this.read()
        delay = 0
      } catch (error) {
        if (this.#closed) break
        if (!(error instanceof Interrupted)) this.#context.onError(error)
        this.#wanted = true
        // An interruption is nothing bad: only those that repeat themselves have to wait.
        if (delay > 0 || !(error instanceof Interrupted)) await this.#wait(delay)
        const last = error instanceof Past ? PAST_DELAY_MS : LAST_DELAY_MS
        delay = Math.min(Math.max(2 * delay, FIRST_DELAY_MS), last)
      }
    }
    this.#syncing = false
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#context.clock.after(Math.max(ms, FIRST_DELAY_MS), resolve)
      this.#cancelWait = () => {
        cancel()
        resolve()
      }
    })
  }

  async #read(): Promise<void> {
    const endTurn = await this.#context.turn()
    const reading: Reading = {
      phase: 'LOOKING',
      position: NOWHERE,
      text: { position: '', about: '' },
      folded: new Map(),
      interruption: undefined,
      onProgress: () => {},
    }
    // What is half applied stays so, if this fails.
    if (this.#work) this.#lost()
    this.#reading = reading
    try {
      if (this.#closed) throw new Interrupted('closed')
      const { link, keys } = this.#context
      const before = await readTable(link, keys, this.kind)
      if (!before) return this.#lost()
      reading.position = readPosition(before.position)
      reading.text = before
      reading.phase = 'FOLDING'
      this.#pump()
      const content = hasContent(readAbout(before.about).state)
      const rows = content ? await this.#scan(reading) : new Map<string, Row>()
      const after = await readTable(link, keys, this.kind)
      await this.#foldedUpTo(reading, after?.position)
      const whole = merged(rows, reading)
      if (content && this.#isPast(reading, whole)) throw new Past('Redis holds an older state')
      if (content) await this.#handOn(reading, whole)
      this.#installed(reading)
    } finally {
      if (this.#reading === reading) this.#reading = undefined
      endTurn()
      this.#pump()
    }
  }

  /**
   * Whether this replica's own watch has told more than what was read: Redis is as it was when it went away,
   * until the owner has published anew. What was told is not taken back meanwhile, but not for ever: a
   * cluster that was restored from a backup is older for good.
   */
  #isPast(reading: Reading, rows: ReadonlyMap<string, Row>): boolean {
    const { clock, watchedUntil } = this.#context
    const table = this.#table
    if (watchedUntil === undefined || clock.now() - watchedUntil >= PAST_MS) return false
    const { asOf, resourceVersion } = table.status
    const there = readAbout(reading.text.about).resourceVersion
    if (asOf === null || resourceVersion === null || there === null) return false
    if ((compareResourceVersions(there, resourceVersion) ?? 1) >= 0) return false
    // Of a quiet table it may be the bookmarks alone.
    if (rows.size !== table.size) return true
    for (const { namespace, name, uid, resourceVersion: version } of rows.values()) {
      const known = table.get(namespace, name)
      if (known?.uid !== uid || known.resourceVersion !== version) return true
    }
    return false
  }

  /** What HSCAN finds, but for what messages have told already. */
  async #scan(reading: Reading): Promise<Map<string, Row>> {
    const { link, keys } = this.#context
    const key = keys.rows(this.kind, reading.position.generation)
    const rows = new Map<string, Row>()
    let cursor = '0'
    do {
      const [next, found] = await link.commands.hscan(key, cursor, 'COUNT', SCAN_ROWS)
      if (reading.interruption) throw reading.interruption
      for (let i = 0; i + 1 < found.length; i += 2) {
        const field = found[i]!
        if (!reading.folded.has(field))
          rows.set(field, readRow(this.kind, found[i + 1]!, this.#table.cluster))
      }
      cursor = next
    } while (cursor !== '0')
    return rows
  }

  /** Waits for the messages up to this position. */
  async #foldedUpTo(reading: Reading, text: string | undefined): Promise<void> {
    const end = text === undefined ? NOWHERE : readPosition(text)
    if (end.generation !== reading.position.generation) throw new Interrupted('the table was published anew')
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#context.clock.after(LATE_MS, () => this.#interrupt(reading, 'a message is missing'))
    reading.onProgress = () => {
      if (reading.interruption || reading.position.sequence >= end.sequence) resolve()
    }
    reading.onProgress()
    await promise
    cancel()
    if (reading.interruption) throw reading.interruption
    const { sequence, tag } = reading.position
    if (sequence === end.sequence && tag !== end.tag) throw new Interrupted('Redis went back in time')
  }

  /** Gives the rows to the table, some milliseconds at a time; they show with `InitDone`. */
  async #handOn(reading: Reading, rows: ReadonlyMap<string, Row>): Promise<void> {
    reading.phase = 'HANDING_ON'
    this.#table.apply({ type: 'Init' })
    let until = performance.now() + SLICE_MS
    for (const row of rows.values()) {
      // `close` has taken back what was handed on.
      if (this.#closed) throw new Interrupted('closed')
      this.#table.apply({ type: 'InitApply', row })
      if (performance.now() < until) continue
      await new Promise((resolve) => setImmediate(resolve))
      until = performance.now() + SLICE_MS
    }
    if (this.#closed) throw new Interrupted('closed')
  }

  /** The table is what was read; what came meanwhile is next. */
  #installed(reading: Reading): void {
    const { position, text, interruption } = reading
    const about = readAbout(text.about)
    this.#reading = undefined
    this.#reached(text.position, position)
    this.#about = about
    this.#aboutText = text.about
    this.#fresh = true
    this.#behindSince = undefined
    this.#behind = false
    if (hasContent(about.state)) this.#complete(about)
    this.#show()
    // More has come than could be kept.
    if (interruption) this.#sync()
  }

  #complete({ resourceVersion, asOf, partial }: About): void {
    const { clock, silentSince } = this.#context
    const problem = this.#problem(true)
    this.#table.apply({
      type: 'InitDone',
      resourceVersion: resourceVersion ?? '',
      partial,
      // By the clock of another: it may be ahead of ours.
      ...(problem && { stale: { problem, asOf: Math.min(asOf ?? silentSince() ?? Infinity, clock.now()) } }),
    })
  }

  #folded(
    reading: Reading,
    message: ChangesMessage,
    there: Position,
    rows: ReadonlyMap<string, Row | null>,
  ): void {
    for (const [key, row] of rows) reading.folded.set(key, row)
    reading.position = there
    reading.text = { position: message.position, about: message.about }
    reading.onProgress()
  }

  #interrupt(reading: Reading, why: string): void {
    reading.interruption ??= new Interrupted(why)
    reading.onProgress()
  }

  #apply(delta: Delta | Relist): void {
    if (!('row' in delta)) return this.#table.apply({ type: 'Relist', ...delta })
    const { deleted, ...change } = delta
    this.#table.apply({ type: deleted ? 'Delete' : 'Apply', ...change })
  }

  /** All of a batch of the owner's. */
  #applied(message: ChangesMessage, there: Position): void {
    this.#reached(message.position, there)
    this.#learn(message.about)
    if (this.#about && hasContent(this.#about.state) && this.#table.size !== there.size) this.#sync()
  }

  /** What the owner says of its table, at our position. */
  #learn(text: string): void {
    if (text !== this.#aboutText || !this.#about) {
      try {
        this.#about = readAbout(text)
        this.#aboutText = text
      } catch (error) {
        this.#context.onError(error)
        return
      }
      const { resourceVersion, partial } = this.#about
      const moved = resourceVersion !== this.#table.status.resourceVersion || (!partial && !this.#table.whole)
      if (hasContent(this.#about.state) && resourceVersion !== null && moved) {
        this.#table.apply({ type: 'Bookmark', resourceVersion })
      }
    }
    this.#show()
  }

  /** Makes the table's state what it has to be. */
  #show(): void {
    if (this.#closed) return
    const { state, problem: shown, asOf } = this.#table.status
    const problem = this.#problem(asOf !== null)
    if (problem === undefined) return
    if (problem === null) {
      if (state === 'STALE' || state === 'FAILED') this.#table.apply({ type: 'Up' })
      return
    }
    if (shown?.code === problem.code && shown.message === problem.message) return
    // Before an `Init` is done, the table would forget it.
    if (this.#reading?.phase !== 'HANDING_ON') this.#table.apply({ type: 'Down', problem })
  }

  /** `null`: none. `undefined`: as it is. */
  #problem(hasRows: boolean): FeedProblem | null | undefined {
    if (this.#context.silentSince() !== undefined) {
      // Who decides by a table has to know that it was not followed before either.
      const said = this.#about?.problem
      return said && UNREADABLE.has(said.code) ? said : SILENT
    }
    if (this.#behind && hasRows) return BEHIND
    const about = this.#about
    if (!about || this.#text === undefined) return undefined
    if (about.problem) return about.problem
    return hasRows && !hasContent(about.state) ? ANEW : null
  }

  #reached(text: string, position: Position): void {
    this.#text = text
    this.#position = position
  }

  /** What the table shows is not in Redis. */
  #lost(): void {
    this.#text = undefined
    this.#position = undefined
    this.#behindSince ??= this.#context.clock.now()
  }

  #isBefore(text: string): boolean {
    const here = this.#position
    const there = readPosition(text)
    return here !== undefined && there.generation === here.generation && there.sequence < here.sequence
  }
}

/** Whether the message is the next one at a position; `there` is the message's. */
function follows(here: Position, message: ChangesMessage, there: Position): boolean {
  const next = there.generation === here.generation && there.sequence === here.sequence + 1
  return next && message.from === here.tag
}

function fold(delta: Delta | Relist, rows: Map<string, Row | null>): void {
  // What is read now is a relist itself.
  if ('row' in delta) rows.set(rowKey(delta.row), delta.deleted ? null : delta.row)
}

/** What was scanned, overwritten by what the messages say. */
function merged(rows: Map<string, Row>, { folded, position }: Reading): ReadonlyMap<string, Row> {
  for (const [field, row] of folded) {
    if (row) rows.set(field, row)
    else rows.delete(field)
  }
  // Redis evicted the rows, but not the state: the owner finds it too, and publishes the table again.
  if (rows.size !== position.size) throw new Interrupted('rows are missing')
  return rows
}
