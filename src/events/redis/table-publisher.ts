/**
 * Publishes one table of an owner: brings what Redis holds of it to what the table shows, and tells the
 * followers of each step.
 *
 *     WHOLE ──▶ the rows go into a hash of their own, beside the one that followers read, in key order and
 *     in chunks, while the table lives on; a row that changes behind the scan is written again; the commit
 *     then makes the new hash the table's, and says so.
 *
 *     FOLLOWING ──▶ the changes since, in batches: one call is under way at a time, and what changes
 *     meanwhile is the next one (so that a slow Redis gets few large calls, and a fast one many small).
 *
 * Invariant: the position in Redis and the rows in Redis tell the same content, always; a batch that was
 * refused because the table is elsewhere is never guessed at, but leads to WHOLE.
 *
 * Bounds: one call of at most 512 rows or some 512 KB; pending changes past 10,000 are put together per
 * object, and where that does not help the table is published whole instead: its own rows are the queue. A row
 * that cannot be written is told and left out.
 */
import { randomBytes } from 'node:crypto'
import type { FeedTarget } from '../../fleet/feeding.ts'
import { compareRows } from '../../fleet/sorted-rows.ts'
import type { Change, TableReader } from '../../fleet/table.ts'
import type { Kind, Row } from '../../kubernetes/rows.ts'
import {
  begin,
  type BeatTable,
  type Caller,
  change,
  commit,
  type DeltaArguments,
  deltaArguments,
  fill,
  readState,
  type Reply,
  type TableText,
} from './scripts.ts'
import {
  type About,
  aboutOf,
  type Delta,
  hasContent,
  type Position,
  readAbout,
  readPosition,
  type Relist,
  rowKey,
  writeAbout,
} from './wire.ts'

const CALL_ROWS = 512
const CALL_CHARACTERS = 512 * 1024
const PENDING = 10_000

/** What the tables of a cluster share. */
export interface PublisherContext {
  readonly target: FeedTarget
  /** Names the generations, for a person who looks into Redis. */
  readonly epoch: () => number
  /**
   * Calls until there is an answer other than FENCED. Rejects when the publisher is closed. Whoever calls has
   * to be safe against a call that was executed although its answer never came.
   */
  readonly send: (call: (caller: Caller) => Promise<Reply>) => Promise<Reply>
  /** The same for whatever needs no lease. */
  readonly ask: <T>(call: (caller: Caller) => Promise<T>) => Promise<T>
  /** Waits for a turn to publish a table whole; resolves with what ends it. */
  readonly turn: () => Promise<() => void>
  readonly onError: (error: Error) => void
  /** For a while, after something that did not work. Rejects when the publisher is closed. */
  readonly pause: () => Promise<void>
  /** Epoch milliseconds. */
  readonly now: () => number
  /** The table has nothing to do any more. */
  readonly onIdle: () => void
}

/** A table that is being published whole. */
interface Building {
  /** The last row that the scan has taken; `undefined`: none yet. */
  at: Row | undefined
  /** What changed behind the scan. */
  readonly dirty: Map<string, Delta>
  /** Keys of rows that cannot be written. */
  readonly unwritable: Set<string>
}

/**
 * `NOTING`: not started; changes are kept. `WHOLE`: to be published whole, or that is under way.
 * `COMMITTING`: the whole content is on its way, and changes are kept. `FOLLOWING`: what Redis holds and what
 * is pending make up what the table shows.
 */
type Mode = 'NOTING' | 'WHOLE' | 'COMMITTING' | 'FOLLOWING'

export class TablePublisher {
  readonly kind: Kind
  readonly #context: PublisherContext
  readonly #table: TableReader
  readonly #stops: readonly (() => void)[]
  #mode: Mode = 'NOTING'
  /** What is in Redis, as far as is known. */
  #position: Position | undefined
  #positionText = ''
  #about: About | undefined
  #pending: (Delta | Relist)[] = []
  /** More pending changes than this are put together. */
  #limit = PENDING
  #building: Building | undefined
  #running = false
  /** Changes of the call under way. */
  #inFlight = 0
  #failingSince: number | undefined
  #closed = false

  constructor(kind: Kind, context: PublisherContext) {
    this.kind = kind
    this.#context = context
    this.#table = context.target.table(kind)
    this.#stops = [
      this.#table.onChange((change) => this.#changed(change)),
      this.#table.onRelist((from, to) => this.#relisted(from, to)),
      this.#table.onStatus((status, previous) => {
        // Of the first content no change tells.
        if (hasContent(status.state) && !hasContent(previous.state)) this.#publishWhole()
        this.#wake()
      }),
    ]
  }

  /** `known`: what Redis holds. `from`: the position that the table had when this publisher was made. */
  start(known: TableText | undefined, from: string | undefined): void {
    if (known) {
      try {
        this.#about = readAbout(known.about)
        this.#reached(known.position)
      } catch (error) {
        this.#context.onError(error as Error)
      }
    }
    if (this.#mode === 'NOTING' && from !== undefined && from === this.#positionText) this.#mode = 'FOLLOWING'
    else this.#publishWhole()
    this.#wake()
  }

  /** Changes that are not acknowledged; a table that is to be published whole counts as all of its rows. */
  get pending(): number {
    const changes = this.#pending.length + this.#inFlight
    return this.#mode === 'WHOLE' || this.#mode === 'COMMITTING' ? this.#table.size + changes : changes
  }

  /** Since when publishing was refused, or failed in a way that no other try mends; epoch milliseconds. */
  get failingSince(): number | undefined {
    return this.#failingSince
  }

  /** All that the table shows is acknowledged. */
  get idle(): boolean {
    return this.#mode === 'FOLLOWING' && !this.#running && !this.#due
  }

  /** Where Redis is, if what it holds is exactly what the table shows. */
  get position(): string | undefined {
    const exact = this.#mode === 'FOLLOWING' && this.#pending.length === 0 && this.#inFlight === 0
    return exact ? this.#positionText : undefined
  }

  /** What a heartbeat is to say; `undefined`: nothing of the table is in Redis. */
  get beat(): BeatTable | undefined {
    if (!this.#position || !this.#about) return undefined
    const { generation } = this.#position
    if (!this.idle) return { kind: this.kind, generation, position: '', about: '' }
    const about = writeAbout(aboutOf(this.#table))
    const unchanged = about === writeAbout(this.#about)
    return { kind: this.kind, generation, position: this.#positionText, about: unchanged ? '' : about }
  }

  /** The heartbeat has brought what `beat` said, or found the table elsewhere. */
  beaten({ position, about }: BeatTable, lost: boolean): void {
    // Where it has gone on in between, the next call finds out for itself.
    if (position === '' || position !== this.position) return
    if (lost) {
      this.#publishWhole()
      this.#wake()
    } else if (about !== '') this.#about = readAbout(about)
  }

  close(): void {
    this.#closed = true
    for (const stop of this.#stops) stop()
  }

  #changed({ type, row, resourceVersion, partial }: Change): void {
    const delta: Delta = { deleted: type === 'DELETED', row, resourceVersion, partial }
    if (this.#mode === 'WHOLE') {
      // Ahead of the scan nothing needs to be kept: it will be seen as it is then.
      const { at, dirty } = this.#building ?? {}
      if (at && compareRows(row, at) <= 0) dirty?.set(rowKey(row), delta)
      return
    }
    this.#push(delta)
  }

  #relisted(from: string, to: string): void {
    // A table that is published whole is one to its followers anyway.
    if (this.#mode !== 'WHOLE') this.#push({ from, to })
  }

  #push(delta: Delta | Relist): void {
    this.#pending.push(delta)
    if (this.#pending.length > this.#limit) this.#coalesce()
    this.#wake()
  }

  /** Redis is slow, or away: of each object the last change is enough. */
  #coalesce(): void {
    const latest = new Map<string, Delta>()
    for (const delta of this.#pending) {
      if (!('row' in delta)) continue
      const key = rowKey(delta.row)
      // To the end: the last change of each, in the order of the last changes.
      latest.delete(key)
      latest.set(key, delta)
    }
    if (latest.size > PENDING) return this.#publishWhole()
    const deltas = [...latest.values()]
    const last = deltas.pop()
    if (!last) return this.#publishWhole()
    const { resourceVersion } = last
    // What was left out in between is made up for by the last one only: up to there they are parts of one step,
    // which tells nothing of what came and went.
    this.#pending = [
      { from: this.#about?.resourceVersion ?? '', to: resourceVersion },
      ...deltas.map((delta) => ({ ...delta, resourceVersion, partial: true })),
      last,
    ]
    // Not at the next change already, lest each one costs a pass over all of them.
    this.#limit = Math.max(PENDING, 2 * latest.size)
  }

  #publishWhole(): void {
    this.#mode = 'WHOLE'
    this.#pending = []
    this.#limit = PENDING
  }

  /** There is something that Redis does not hold. A newer version alone waits for the heartbeat. */
  get #due(): boolean {
    if (this.#mode === 'NOTING') return false
    if (this.#mode !== 'FOLLOWING' || this.#pending.length > 0) return true
    const { state, problem } = this.#table.status
    const known = this.#about
    return (
      state !== known?.state ||
      problem?.code !== known.problem?.code ||
      problem?.message !== known.problem?.message
    )
  }

  #wake(): void {
    if (this.#running || this.#closed || !this.#due) return
    this.#running = true
    void this.#run()
  }

  async #run(): Promise<void> {
    // What changes in the same moment belongs into the same call.
    await Promise.resolve()
    try {
      while (this.#due && !this.#closed) {
        if (await this.#publish()) this.#failingSince = undefined
        else {
          this.#failingSince ??= this.#context.now()
          await this.#context.pause()
        }
      }
    } catch {
      // Closed.
    } finally {
      this.#running = false
    }
    if (!this.#closed) this.#context.onIdle()
  }

  /** False where it has to be tried again, later. */
  async #publish(): Promise<boolean> {
    try {
      if (this.#mode !== 'FOLLOWING') return await this.#publishTable()
      await this.#publishChanges()
      return true
    } catch (error) {
      if (this.#closed) throw error
      this.#context.onError(error as Error)
      // Nobody knows what Redis holds.
      this.#publishWhole()
      this.#inFlight = 0
      return false
    }
  }

  async #publishChanges(): Promise<void> {
    const { generation, sequence, tag: fromTag } = this.#position!
    const sent = this.#take(this.#pending)
    const told = sent.changes.filter((delta) => 'row' in delta)
    const last = told.findLast(({ partial }) => !partial)
    // A state comes after the changes that led to it.
    const about =
      this.#pending.length === 0
        ? aboutOf(this.#table)
        : {
            ...this.#about!,
            ...(last && { resourceVersion: last.resourceVersion }),
            partial: told.at(-1)?.partial ?? this.#about!.partial,
          }
    const tag = randomTag()
    const batch = {
      from: this.#positionText,
      fromTag,
      generation,
      sequence: sequence + 1,
      tag,
      about,
      deltas: sent.deltas,
    }
    this.#inFlight = sent.changes.length
    // Where it rejects, nobody knows whether they arrived: they stay in flight for good.
    const { at } = await this.#context.send((caller) => change(caller, this.kind, batch))
    this.#inFlight = 0
    // Also where it was refused: then an earlier try, whose answer was lost, has brought it there.
    if (at.startsWith(`${generation} ${sequence + 1} ${tag} `)) {
      this.#about = about
      this.#reached(at)
    } else this.#publishWhole()
  }

  /** False where it has to be tried again. */
  async #publishTable(): Promise<boolean> {
    const { kind } = this
    const { ask, send } = this.#context
    const endTurn = await this.#context.turn()
    try {
      const { tables, abandoned } = await ask(({ link, keys }) => readState(link, keys))
      const generation = `${this.#context.epoch()}-${randomBytes(6).toString('base64url')}`
      const building: Building = { at: undefined, dirty: new Map(), unwritable: new Set() }
      this.#building = building
      const left = abandoned.get(kind)
      const begun = await send((caller) => begin(caller, kind, generation, left))
      if (begun.type !== 'OK') return false
      let chunks = 0
      let chunk = this.#chunk(building)
      for (; !chunk.last; chunk = this.#chunk(building)) {
        const { deltas } = chunk
        const from = chunks
        const { at } = await send((caller) => fill(caller, kind, generation, from, deltas))
        chunks++
        if (at !== `${generation} ${chunks}`) return false
      }
      // With the last chunk goes the commit, else there would always be more while the table changes. It is
      // made in the same moment, so that all together is what the table shows.
      this.#mode = 'COMMITTING'
      this.#building = undefined
      const replaced = tables.get(kind)?.position ?? this.#positionText
      const what = {
        generation,
        chunks,
        replaced: replaced.split(' ')[0]!,
        tag: randomTag(),
        size: this.#table.size - building.unwritable.size,
        about: aboutOf(this.#table),
        deltas: chunk.deltas,
      }
      const committed = await send((caller) => commit(caller, kind, what))
      if (committed.type === 'OK') {
        this.#about = what.about
        this.#reached(committed.at)
      }
      // It is WHOLE again where too much happened meanwhile.
      if (this.#mode !== 'COMMITTING') return true
      if (committed.type === 'OK') this.#mode = 'FOLLOWING'
      else this.#publishWhole()
      return committed.type === 'OK'
    } finally {
      this.#building = undefined
      endTurn()
    }
  }

  /** The next rows of the scan, then what changed behind it. `last`: after it nothing is left. */
  #chunk(building: Building): { readonly deltas: DeltaArguments; readonly last: boolean } {
    const { at, dirty } = building
    const rows: Delta[] = []
    for (const row of at ? this.#table.rows().from(at.namespace, at.name) : this.#table.rows().all()) {
      if (at && compareRows(row, at) === 0) continue
      rows.push({ deleted: false, row, resourceVersion: row.resourceVersion, partial: false })
      if (rows.length === CALL_ROWS) break
    }
    if (rows.length > 0) {
      const { changes, deltas } = this.#take(rows, building)
      building.at = changes.at(-1)!.row
      return { deltas, last: false }
    }
    const { changes, deltas } = this.#take([...dirty.values()], building)
    for (const { row } of changes) dirty.delete(rowKey(row))
    return { deltas, last: dirty.size === 0 }
  }

  /** As many from the beginning as one call may hold; they are taken away. */
  #take<T extends Delta | Relist>(
    changes: T[],
    building?: Building,
  ): { readonly changes: readonly T[]; readonly deltas: DeltaArguments } {
    const deltas: string[] = []
    let characters = 0
    let count = 0
    while (count < changes.length && count < CALL_ROWS && characters < CALL_CHARACTERS) {
      const texts = this.#texts(changes[count++]!, building)
      for (const text of texts) characters += text.length
      deltas.push(...texts)
    }
    return { changes: changes.splice(0, count), deltas }
  }

  #texts(delta: Delta | Relist, building: Building | undefined): DeltaArguments {
    const key = 'row' in delta ? rowKey(delta.row) : ''
    try {
      const texts = deltaArguments(delta)
      building?.unwritable.delete(key)
      return texts
    } catch (error) {
      if (!('row' in delta)) throw error
      const why = error instanceof Error ? error.message : String(error)
      this.#context.onError(new Error(`${this.kind} ${key} cannot be written, and is left out: ${why}`))
      // What Redis has of it goes on to be shown, until the object is gone: for that no row is needed, and
      // followers, which cannot read this, read the table again.
      if (!delta.deleted && !building) return []
      if (!delta.deleted) building?.unwritable.add(key)
      return ['D', key, '']
    }
  }

  #reached(position: string): void {
    this.#position = readPosition(position)
    this.#positionText = position
  }
}

function randomTag(): string {
  return randomBytes(4).toString('hex')
}
