/**
 * Followers of rows: which tables a request means, what their changes are to its filter and its rights, and
 * what is told when tables, clusters or rights come and go.
 *
 * What concerns all followers is read from the tables once, bit by bit, between two passes: the first content
 * of a table, a cluster that left, everything after a RESYNC of the whole group.
 */
import type { Cluster } from '../fleet/cluster.ts'
import { rowTest } from '../fleet/matches.ts'
import type { Scope } from '../fleet/selection.ts'
import type { Change } from '../fleet/table.ts'
import type { Kind, Row } from '../kubernetes/rows.ts'
import type { BatchOptions, Tables } from './batch.ts'
import { CatchUp, type CatchUpGroup, type Resumed } from './catch-up.ts'
import { coalesce, deletion, Entry } from './entry.ts'
import { type Follower, Group, type GroupContext } from './group.ts'
import type { Eyes, LiveEventType, LiveStart, Membership, Render, RowsRequest, Sink } from './live.ts'
import { decodePosition, encodePosition, type Position } from './position.ts'
import { GroupReadings } from './readings.ts'
import { RowScan } from './row-scan.ts'
import { type ChangeListener, isWithin, sameScope, Slot } from './slot.ts'
import type { TableChannel } from './table-channel.ts'

/** What the group reads for all its followers, one after the other. */
type Task =
  | { readonly type: 'scan'; readonly scan: RowScan }
  | { readonly type: 'remove'; readonly slot: Slot; readonly pieces: Iterator<readonly Row[]> }
  | { readonly type: 'up'; readonly cluster: Cluster }
  | { readonly type: 'synced' }

interface FollowedCluster {
  /** In the order of the request's kinds. */
  readonly slots: readonly (Slot | undefined)[]
  /** CLUSTER_DOWN was told, and CLUSTER_UP not yet. */
  down: boolean
}

/** The tables of the fleet, as groups get at them. */
export interface Channels {
  readonly clusters: readonly Cluster[]
  channel(cluster: Cluster, kind: Kind): TableChannel
}

export class RowsGroup<P> extends Group<P> implements CatchUpGroup<P>, ChangeListener {
  readonly #request: RowsRequest
  readonly #eyes: Eyes
  readonly #channels: Channels
  readonly #test: ((row: Row) => boolean) | undefined
  readonly #clusters = new Map<Cluster, FollowedCluster>()
  readonly #catchUps = new Set<Follower<P>>()
  #tasks: Task[] = []
  readonly #readings: GroupReadings<P>
  #rightsAreOther = false
  /** Clusters that left while they were down: when one comes back, its followers still take it for that. */
  readonly #leftDown = new Set<string>()

  constructor(
    key: string,
    request: RowsRequest,
    eyes: Eyes,
    render: Render<P>,
    channels: Channels,
    context: GroupContext,
  ) {
    super(key, render, request.throttleMs, context)
    this.#request = request
    this.#eyes = eyes
    this.#channels = channels
    this.#test = rowTest(request.selection)
    this.#readings = new GroupReadings(context.readings)
    this.tables = tablesOf(request.kinds, this.#clusters)
    for (const cluster of channels.clusters) this.#enter(cluster)
    // What is there was there before anybody followed.
    for (const slot of this.slots) if (slot.channel.hasContent) slot.reached = 'ALL'
  }

  join(start: LiveStart, sink: Sink<P>): Membership {
    const position = start.after === undefined ? undefined : decodePosition(start.after)
    const resumed = position && this.#resume(position)
    const follower = this.add(sink)
    const catchUp = new CatchUp(this, follower)
    const begin = () => {
      follower.prelude = catchUp
      this.#catchUps.add(follower)
      this.wake(follower)
    }
    if (resumed !== undefined) {
      if (typeof resumed === 'string') catchUp.snapshot(resumed)
      else catchUp.resume(resumed)
      begin()
    } else if (start.snapshot) {
      catchUp.snapshot()
      begin()
    } else if (this.hasPending) {
      catchUp.join(this.slots)
      for (const down of this.downs()) catchUp.push(down)
      begin()
    } else this.admit(follower, this.downs())
    return follower
  }

  override remove(follower: Follower<P>): void {
    this.#caughtUp(follower)
    super.remove(follower)
    // It may have been all that was in the way.
    if (this.isScanning && !this.closed) this.context.passes.add(this)
  }

  /** These clusters left the fleet; these joined it, or their labels may be others. */
  refresh(gone: readonly Cluster[], changed: readonly Cluster[]): void {
    for (const cluster of gone) if (this.#clusters.has(cluster)) this.#leave(cluster, true)
    for (const cluster of changed) {
      if (this.#clusters.has(cluster) && !this.#request.clusters(cluster)) this.#leave(cluster, false)
    }
    for (const cluster of changed) if (!this.#clusters.has(cluster)) this.#enter(cluster)
  }

  /** What the viewers may see is another: in its next turn, before it tells anything, it asks again. */
  rightsChanged(): void {
    this.#rightsAreOther = true
    this.context.passes.add(this)
  }

  override run(spent: () => boolean): boolean {
    if (this.#rightsAreOther && !this.closed) this.#askRights()
    return super.run(spent)
  }

  /** Tells what other rights show and hide. */
  #askRights(): void {
    this.#rightsAreOther = false
    const { kinds, clusters } = this.#request
    let isOther = false
    for (const cluster of this.#channels.clusters) {
      if (!clusters(cluster)) continue
      const slots = this.#clusters.get(cluster)?.slots ?? kinds.map(() => undefined)
      const now = kinds.map((kind, i) => {
        const slot = slots[i]
        const allowed = this.#eyes.scope(cluster, kind)
        if (slot && allowed !== undefined && sameScope(slot.scope, allowed)) return slot
        if (!slot && allowed === undefined) return undefined
        isOther = true
        return this.#regrant(slot, cluster, kind, allowed)
      })
      this.#forget(cluster)
      if (now.some((slot) => slot !== undefined)) this.#remember(cluster, now)
      this.#checkHealth(cluster)
    }
    if (!isOther) return
    const message = 'What may be seen is another: it is read anew.'
    // What they had not read yet may hold what they must not see.
    for (const follower of this.followers) {
      if (follower.prelude || !this.isUpToDate(follower)) this.resync(follower, message)
    }
    if (this.isScanning) this.resyncAll(message)
  }

  override close(reason: string): void {
    super.close(reason)
    for (const slot of this.slots) slot.channel.unfollow(slot)
    this.#clusters.clear()
    this.#tasks = []
  }

  // What changes.

  onChange(slot: Slot, change: Change, before: string): void {
    if (slot.reached === null && this.#catchUps.size === 0) return
    const entry = this.#entryOf(slot, change, before)
    if (entry) this.#route(slot, change.row, entry)
  }

  onStatus(slot: Slot): void {
    if (slot.reached === null && slot.channel.hasContent) this.#scan(slot)
    this.#checkHealth(slot.cluster)
  }

  onError(error: unknown): void {
    this.fail(error)
  }

  // What followers that begin ask for.

  get isScanning(): boolean {
    return this.#tasks.length > 0
  }

  get hasPending(): boolean {
    return this.pending.length > 0
  }

  get slots(): Iterable<Slot> {
    return this.#clusters.values().flatMap(({ slots }) => slots.filter((slot) => slot !== undefined))
  }

  scansOf(): readonly RowScan[] {
    return Array.from(this.slots)
      .filter(({ channel }) => channel.hasContent)
      .map((slot) => new RowScan(slot, this.#request.selection))
  }

  leaving(): readonly Slot[] {
    return this.#tasks.flatMap((task) => (task.type === 'remove' ? [task.slot] : []))
  }

  downs(): readonly Entry<P>[] {
    return Array.from(this.#clusters)
      .filter(([, { down }]) => down)
      .map(([cluster]) => this.#down(cluster))
  }

  tell(follower: Follower<P>, entries: readonly Entry<P>[], options: Omit<BatchOptions, 'tables'>): void {
    const payloads = this.render(entries, options)
    if (payloads) this.write(follower, payloads)
  }

  tellScanned(follower: Follower<P>, scan: RowScan, breaks: boolean): void {
    const { cluster, channel } = scan.slot
    const { reached } = scan
    const from = reached === null || reached === 'ALL' ? '' : `${reached.namespace}/${reached.name}`
    const key = `${cluster.name}/${channel.table.kind}/${from}/${breaks}`
    let reading = this.#readings.get(key)
    if (!reading) {
      const entries = scan.read(this.context.limits.chunk).map((row) => added<P>(scan.slot, row))
      if (breaks && entries[0]) entries[0].breaks = true
      const payloads = entries.length === 0 ? [] : this.render(entries, { cursorsFrom: Infinity })
      if (!payloads) return
      reading = { payloads, reached: scan.reached }
      // For whoever is alone nothing has to be kept, however slow it is.
      if (this.#catchUps.size > 1) this.#readings.set(key, reading)
    }
    scan.reached = reading.reached
    if (reading.payloads.length > 0) this.write(follower, reading.payloads)
  }

  finish(follower: Follower<P>, backlog: readonly Entry<P>[]): void {
    this.#caughtUp(follower)
    this.admit(follower, this.#request.throttleMs > 0 ? coalesce(backlog) : backlog)
  }

  // What the log asks for.

  protected readonly tables: Tables

  protected override get canAdvance(): boolean {
    if (this.#tasks.length === 0) return false
    // As fast as the fastest reads: it is of no use to put into a log what nobody takes out.
    let readers = 0
    for (const follower of this.followers) {
      if (follower.prelude) continue
      if (this.isUpToDate(follower)) return true
      readers++
    }
    if (readers === 0) return true
    for (const { prelude } of this.#catchUps) if (prelude instanceof CatchUp && prelude.waits) return true
    return false
  }

  protected override advance(spent: () => boolean): { readonly before: boolean; readonly after: boolean } {
    if (this.#tasks.length === 0) return { before: true, after: true }
    const { chunk } = this.context.limits
    if (this.canAdvance && this.pending.length < chunk) {
      for (let room = chunk; room > 0 && this.#tasks.length > 0;) {
        room -= this.#work(this.#tasks[0]!, room)
        if (spent()) break
      }
    }
    return { before: false, after: this.#tasks.length === 0 }
  }

  protected override onCut(): void {
    for (const follower of this.#catchUps) {
      if (follower.prelude instanceof CatchUp) follower.prelude.onCut()
      if (follower.prelude && !this.isScanning) this.wake(follower)
    }
  }

  protected resync(follower: Follower<P>, message: string): void {
    follower.prelude?.close()
    follower.at = undefined
    follower.backlog = undefined
    follower.prelude = new CatchUp(this, follower).snapshot(message)
    this.#catchUps.add(follower)
    this.wake(follower)
  }

  protected resyncAll(message: string): void {
    // Also those who have not begun: from here on all are told the same.
    for (const follower of this.#catchUps) {
      follower.prelude?.close()
      this.admit(follower)
    }
    this.#catchUps.clear()
    this.context.counters.resyncs += this.followers.size
    this.pending = [new Entry({ type: 'RESYNC', message, breaks: true }), ...this.downs()]
    const clusters = this.#tasks.flatMap((task) => (task.type === 'up' ? [task.cluster] : []))
    this.#tasks = []
    for (const slot of this.slots) {
      slot.reached = null
      slot.isAwaited = false
      if (slot.channel.hasContent) this.#scan(slot)
    }
    for (const cluster of clusters) this.#tasks.push({ type: 'up', cluster })
    this.#tasks.push({ type: 'synced' })
    this.context.passes.add(this)
  }

  /** What a change of the table is to this filter and these rights; `undefined`: nothing. */
  #entryOf(slot: Slot, change: Change, before: string): Entry<P> | undefined {
    const { row, previous } = change
    const had = previous !== null && slot.matches(previous)
    const has = change.type !== 'DELETED' && slot.matches(row)
    if (!had && !has) return undefined
    const type = had ? (has ? 'MODIFIED' : 'DELETED') : 'ADDED'
    return new Entry<P>({
      type,
      object: row,
      previous: had ? previous : null,
      cluster: slot.cluster,
      slot,
      version: change.resourceVersion,
      before,
      ...(type === 'DELETED' && deletion(row, change.type === 'DELETED')),
    })
  }

  /** Does some of a task, and ends it where it is done. Returns how many rows it took, at least 1. */
  #work(task: Task, room: number): number {
    if (task.type === 'scan') {
      const { scan } = task
      const { slot } = scan
      if (slot.gone) return this.#end(task)
      const rows = scan.read(room)
      for (const row of rows) {
        const entry = added<P>(slot, row)
        this.pending.push(entry)
        this.#eachCatchUp((catchUp) => catchUp.offerScanned(slot, entry))
      }
      slot.reached = scan.reached
      if (scan.reached === 'ALL') {
        slot.isAwaited = false
        this.#end(task)
      }
      return rows.length + 1
    }
    if (task.type === 'remove') {
      const { slot } = task
      const piece = task.pieces.next()
      if (piece.done) return this.#end(task)
      for (const row of piece.value) {
        const message = `The cluster ${slot.cluster.name} is no longer a part of what is followed.`
        const entry = new Entry<P>({
          type: 'DELETED',
          object: row,
          previous: row,
          cluster: slot.cluster,
          reason: 'CLUSTER_REMOVED',
          message,
        })
        this.#route(slot, row, entry)
      }
      return piece.value.length + 1
    }
    if (task.type === 'synced') this.pending.push(new Entry({ type: 'SYNCED' }))
    else this.#up(task.cluster)
    return this.#end(task)
  }

  #end(task: Task): number {
    // What it told may have been too much, and all tasks be others.
    if (this.#tasks[0] === task) this.#tasks.shift()
    return 1
  }

  #scan(slot: Slot): void {
    if (slot.isAwaited) return
    slot.isAwaited = true
    this.#tasks.push({ type: 'scan', scan: new RowScan(slot, this.#request.selection) })
    this.context.passes.add(this)
  }

  /** To whoever has had the row, or would have. */
  #route(slot: Slot, row: Row, entry: Entry<P>): void {
    if (slot.covers(row)) this.push(entry)
    this.#eachCatchUp((catchUp) => catchUp.offer(slot, row, entry))
  }

  #caughtUp(follower: Follower<P>): void {
    this.#catchUps.delete(follower)
    if (this.#catchUps.size === 0) this.#readings.clear()
  }

  #tellAll(entry: Entry<P>): void {
    this.push(entry)
    this.#eachCatchUp((catchUp) => catchUp.push(entry))
  }

  #eachCatchUp(visit: (catchUp: CatchUp<P>) => void): void {
    for (const { prelude } of this.#catchUps) if (prelude instanceof CatchUp) visit(prelude)
  }

  #enter(cluster: Cluster): void {
    const { kinds, clusters, selection } = this.#request
    if (!clusters(cluster)) return
    const slots = kinds.map((kind) => {
      const allowed = this.#eyes.scope(cluster, kind)
      if (allowed === undefined) return undefined
      const channel = this.#channels.channel(cluster, kind)
      const slot = new Slot(cluster, channel, allowed, this.#test, this)
      channel.follow(slot, selection)
      return slot
    })
    if (slots.every((slot) => slot === undefined)) return
    const followed = this.#remember(cluster, slots)
    if (this.followers.size > 0) {
      for (const slot of slots) if (slot?.channel.hasContent) this.#scan(slot)
      this.#checkHealth(cluster)
    } else followed.down = this.#isDown(cluster)
  }

  #remember(cluster: Cluster, slots: FollowedCluster['slots']): FollowedCluster {
    const followed = { slots, down: this.#leftDown.delete(cluster.name) }
    this.#clusters.set(cluster, followed)
    return followed
  }

  #forget(cluster: Cluster): void {
    if (this.#clusters.get(cluster)?.down) this.#leftDown.add(cluster.name)
    this.#clusters.delete(cluster)
  }

  /** A slot in the place of another of the same table, or of none; tells the difference. */
  #regrant(
    before: Slot | undefined,
    cluster: Cluster,
    kind: Kind,
    scope: Scope | undefined,
  ): Slot | undefined {
    const channel = this.#channels.channel(cluster, kind)
    let slot: Slot | undefined
    if (before) {
      before.gone = true
      channel.unfollow(before)
    }
    if (scope !== undefined) {
      slot = new Slot(cluster, channel, scope, this.#test, this)
      slot.reached = before ? before.reached : channel.hasContent ? 'ALL' : null
      channel.follow(slot, this.#request.selection)
    }
    if (!channel.hasContent) return slot
    const hidden = (row: Row) => slot === undefined || !isWithin(slot.scope, row)
    const forbidden = (row: Row) => {
      const message = 'The viewer may not see it any more.'
      return new Entry<P>({
        type: 'DELETED',
        object: row,
        previous: row,
        cluster,
        reason: 'FORBIDDEN',
        message,
      })
    }
    // What is not told yet is hidden as well; but what was known and is gone is told so.
    const first = new Map<string, LiveEventType>()
    const isKnown = ({ id, uid }: Row) => first.get(`${id}/${uid}`) !== 'ADDED'
    this.pending = this.pending.flatMap((entry) => {
      const { type, object, previous } = entry
      if (!object || object.kind !== kind || entry.cluster !== cluster || !hidden(object)) return [entry]
      const of = `${object.id}/${object.uid}`
      if (!first.has(of)) first.set(of, type)
      return type === 'DELETED' && previous && isKnown(object) ? [forbidden(previous)] : []
    })
    for (const row of before ? this.#rowsOf(before) : []) {
      if (hidden(row) && isKnown(row)) this.push(forbidden(row))
    }
    for (const row of slot ? this.#rowsOf(slot) : []) {
      if (!before || !isWithin(before.scope, row)) this.push(added<P>(slot!, row))
    }
    return slot
  }

  #rowsOf(slot: Slot): Iterable<Row> {
    const { chunk } = this.context.limits
    return Iterator.from(new RowScan(slot, this.#request.selection).rest(chunk)).flatMap((rows) => rows)
  }

  /** `isGone`: it has left the fleet, so that its tables do not change any more. */
  #leave(cluster: Cluster, isGone: boolean): void {
    const { slots } = this.#clusters.get(cluster)!
    this.#forget(cluster)
    for (const slot of slots) {
      if (!slot) continue
      slot.channel.unfollow(slot)
      slot.gone = true
      if (!slot.channel.hasContent) continue
      const { chunk } = this.context.limits
      const pieces = new RowScan(slot, this.#request.selection).rest(chunk)
      const left = isGone ? pieces : Array.from(pieces)
      this.#tasks.push({ type: 'remove', slot, pieces: Iterator.from(left) })
    }
    this.context.passes.add(this)
  }

  #isDown(cluster: Cluster): boolean {
    return (
      this.#clusters.get(cluster)?.slots.some((slot) => slot !== undefined && !slot.channel.isFollowed) ??
      false
    )
  }

  #checkHealth(cluster: Cluster): void {
    const followed = this.#clusters.get(cluster)
    if (!followed) return
    const down = this.#isDown(cluster)
    if (down && !followed.down) {
      followed.down = true
      this.#tellAll(this.#down(cluster))
    } else if (!down && followed.down) {
      // After what is new of it.
      if (followed.slots.some((slot) => slot?.isAwaited)) this.#tasks.push({ type: 'up', cluster })
      else this.#up(cluster)
    }
  }

  #up(cluster: Cluster): void {
    const followed = this.#clusters.get(cluster)
    if (!followed?.down || this.#isDown(cluster)) return
    followed.down = false
    this.#tellAll(new Entry({ type: 'CLUSTER_UP', cluster }))
  }

  #down(cluster: Cluster): Entry<P> {
    const slots = this.#clusters.get(cluster)?.slots ?? []
    const slot = slots.find((slot) => slot !== undefined && !slot.channel.isFollowed)
    const problem = slot?.channel.table.status.problem
    const message = problem
      ? `${cluster.name}: ${problem.message}`
      : `The cluster ${cluster.name} is being read for the first time.`
    return new Entry({ type: 'CLUSTER_DOWN', cluster, message })
  }

  #resume(position: Position): Resumed<P> | string {
    const names = Array.from(this.#clusters.keys(), ({ name }) => name)
    if (position.knowsOthers(names, this.#request.kinds)) {
      return 'The cursor is of half a RESYNC, or knows a cluster that is no longer a part of what is followed.'
    }
    const entries: Entry<P>[] = []
    const slots: Slot[] = []
    const ahead = new Map<Slot, string>()
    const scans: RowScan[] = []
    const { queue } = this.context.limits
    const tooMany = `More than ${queue} objects have changed since the cursor.`
    for (const slot of this.slots) {
      const { table, journal, hasContent } = slot.channel
      const version = position.versionOf(table.cluster, table.kind)
      if (version === undefined) {
        if (hasContent) scans.push(new RowScan(slot, this.#request.selection))
        continue
      }
      const changes = version === null ? 'GONE' : journal.since(version)
      if (changes === 'GONE') {
        return `The cursor is too old, or none that the cluster ${table.cluster} can be gone on from.`
      }
      slots.push(slot)
      if (changes === 'AHEAD') ahead.set(slot, version!)
      else {
        for (const { change, before } of changes) {
          const entry = this.#entryOf(slot, change, before)
          if (entry) entries.push(entry)
        }
      }
      // To put together what will be too much all the same would only cost time.
      if (entries.length > queue * 8) return tooMany
    }
    const fewer = entries.length > queue ? coalesce(entries) : entries
    return fewer.length > queue ? tooMany : { entries: fewer, slots, ahead, scans }
  }
}

function tablesOf(kinds: readonly Kind[], clusters: ReadonlyMap<Cluster, FollowedCluster>): Tables {
  return {
    get layout() {
      return Array.from(clusters, ([{ name }, { slots }]) => [name, slots] as const)
    },
    encode: (layout, positionOf) =>
      encodePosition(
        kinds,
        layout.map(([name, slots]) => [name, slots.map((slot) => slot && positionOf(slot))]),
      ),
    // It knows something of a cluster that no fleet has.
    broken: () => encodePosition(kinds, [['', kinds.map(() => '')]]),
  }
}

function added<P>(slot: Slot, row: Row): Entry<P> {
  return new Entry({ type: 'ADDED', object: row, cluster: slot.cluster })
}
