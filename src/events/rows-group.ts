/**
 * Followers of rows: which tables a request means, what their changes are to its filter and its rights, and
 * what is told when tables, clusters or rights come and go.
 *
 * What concerns all followers is read from the tables once, bit by bit, between two passes: the first content
 * of a table, a cluster that left, everything after a RESYNC of the whole group. What other rights hide and show
 * is read at once, table by table, before anything more is told (`regrant.ts`).
 */
import type { Cluster } from '../fleet/cluster.ts'
import { rowTest } from '../fleet/matches.ts'
import type { Change } from '../fleet/table.ts'
import type { Kind, Row } from '../kubernetes/rows.ts'
import type { BatchOptions, Tables } from './batch.ts'
import { CatchUp, type CatchUpGroup, type Resumed } from './catch-up.ts'
import { coalesce, deletion, Entry } from './entry.ts'
import type { Follower, Joiner } from './follower.ts'
import { Group, type GroupContext, OTHER_RIGHTS, type Scopes } from './group.ts'
import type { Eyes, LiveStart, Membership, RowsRequest } from './live.ts'
import { decodePosition, encodePosition, type Position } from './position.ts'
import { GroupReadings } from './readings.ts'
import { departed, regranted, removed } from './regrant.ts'
import { resume } from './resume.ts'
import { RowScan } from './row-scan.ts'
import { type ChangeListener, sameScope, Slot } from './slot.ts'
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
  readonly #channels: Channels
  readonly #test: ((row: Row) => boolean) | undefined
  readonly #clusters = new Map<Cluster, FollowedCluster>()
  readonly #catchUps = new Set<Follower<P>>()
  #tasks: Task[] = []
  readonly #readings: GroupReadings<P>
  /** Clusters that left while they were down: when one comes back, its followers still take it for that. */
  readonly #leftDown = new Set<string>()
  /** Of what is asked: some of it is another. */
  #isOther = false
  /** What waits tells of other rights: nobody goes on from the midst of it. */
  #isRegranted = false

  /** `like`: whose eyes see what is there, or a group that this one is to be like. */
  constructor(
    name: string,
    rights: string,
    request: RowsRequest,
    like: Eyes | RowsGroup<P>,
    channels: Channels,
    context: GroupContext,
  ) {
    super(name, rights, request.throttleMs, context)
    this.#request = request
    this.#channels = channels
    this.#test = rowTest(request.selection)
    this.#readings = new GroupReadings(context.readings)
    this.tables = tablesOf(request.kinds, this.#clusters)
    if (like instanceof RowsGroup) this.#copy(like)
    else {
      try {
        for (const cluster of channels.clusters) {
          if (!request.clusters(cluster)) continue
          this.#enter(
            cluster,
            request.kinds.map((kind) => like.scope(cluster, kind)),
          )
        }
      } catch (error) {
        this.#unfollow()
        throw error
      }
      // What is there was there before anybody followed.
      for (const slot of this.slots) if (slot.channel.hasContent) slot.reached = 'ALL'
    }
  }

  join(start: LiveStart, joiner: Joiner<P>): Membership {
    const position = start.after === undefined ? undefined : decodePosition(start.after)
    const resumed = position && this.#resume(position)
    const follower = this.add(joiner)
    const catchUp = new CatchUp(this, follower)
    if (resumed !== undefined) {
      if (typeof resumed === 'string') catchUp.snapshot(resumed)
      else catchUp.resume(resumed)
      this.#begin(follower, catchUp)
    } else if (start.snapshot) this.#begin(follower, catchUp.snapshot())
    else if (this.hasPending) {
      catchUp.join(this.slots)
      for (const down of this.downs()) catchUp.push(down)
      this.#begin(follower, catchUp)
    } else this.admit(follower, this.downs())
    return follower
  }

  #resume(position: Position): Resumed<P> | string {
    return resume(position, {
      kinds: this.#request.kinds,
      slots: new Map(Array.from(this.#clusters, ([{ name }, { slots }]) => [name, slots])),
      queue: this.context.limits.queue,
      entryOf: (slot, { change, before }) => this.#entryOf(slot, change, before),
      scanOf: (slot) => new RowScan(slot, this.#request.selection),
    })
  }

  #begin(follower: Follower<P>, catchUp: CatchUp<P>): void {
    follower.prelude?.close()
    follower.at = undefined
    follower.recalled = undefined
    follower.backlog = undefined
    follower.prelude = catchUp
    this.#catchUps.add(follower)
    this.wake(follower)
  }

  protected override release(follower: Follower<P>): void {
    this.#caughtUp(follower)
    super.release(follower)
    // It may have been all that was in the way.
    if (this.isScanning && !this.closed) this.context.passes.add(this)
  }

  refresh(gone: readonly Cluster[], changed: readonly Cluster[]): void {
    for (const cluster of gone) {
      this.forgetOther(cluster)
      if (this.#clusters.has(cluster)) this.#leave(cluster, true)
    }
    for (const cluster of changed) {
      if (this.#clusters.has(cluster) && !this.#request.clusters(cluster)) this.#leave(cluster, false)
    }
    for (const cluster of changed) {
      if (this.#clusters.has(cluster) || !this.#request.clusters(cluster)) continue
      const scopes = this.scopesOf(cluster)
      // Where there is nobody to be asked now, it is asked with all others.
      if (scopes) this.#enter(cluster, scopes)
    }
    // It went through clusters that are others now.
    if (!this.isSettled) this.rightsChanged()
  }

  override close(reason: string): void {
    super.close(reason)
    this.#unfollow()
    this.#clusters.clear()
    this.#tasks = []
  }

  // Rights.

  protected override get kinds(): readonly Kind[] {
    return this.#request.kinds
  }

  protected override *askScopes(): Generator<undefined> {
    for (const cluster of this.#channels.clusters) {
      if (!this.#request.clusters(cluster)) continue
      const scopes = this.scopesOf(cluster)
      if (!scopes) return
      this.#regrant(cluster, scopes)
      yield
    }
    if (this.#isOther && this.isScanning) this.mustBeginAnew = true
  }

  protected override onAsked(isRenamed: boolean): void {
    if (!isRenamed && !this.#isOther) return
    this.#readings.clear()
    if (this.#tasks.some(({ type }) => type === 'remove')) return this.beginAnew()
    this.pending = departed(this.pending, (cluster) => this.#clusters.has(cluster))
    if (!this.#isOther) {
      this.#eachCatchUp((catchUp, follower) => {
        if (!catchUp.every((entry) => this.canTell(entry))) this.resync(follower, OTHER_RIGHTS)
      })
      super.onAsked(isRenamed)
      return
    }
    this.#isOther = false
    this.#isRegranted = this.pending.length > 0
    // What they have not read yet may hold what they must not see.
    for (const follower of this.followers) {
      if (follower.prelude || !this.isUpToDate(follower)) this.resync(follower, OTHER_RIGHTS)
    }
  }

  protected override canTell({ object, cluster }: Entry<P>): boolean {
    return !object || !cluster || this.#clusters.has(cluster)
  }

  protected override beginAnew(): void {
    this.#readings.clear()
    this.#isOther = false
    super.beginAnew()
  }

  protected fork(rights: string): Group<P> {
    return new RowsGroup(this.name, rights, this.#request, this, this.#channels, this.context)
  }

  override get isQuiet(): boolean {
    return super.isQuiet && !this.isScanning
  }

  adopt(follower: Follower<P>, from: Group<P>): void {
    if (!(from instanceof RowsGroup) || !this.#seesAs(from)) {
      this.resync(follower, OTHER_RIGHTS)
      return
    }
    const told: Entry<P>[] = []
    const known = from.#toldDown()
    for (const [cluster, { down }] of this.#clusters) {
      if (down && !known.has(cluster.name)) told.push(this.#down(cluster))
      if (!down && known.has(cluster.name)) told.push(new Entry({ type: 'CLUSTER_UP', cluster }))
      known.delete(cluster.name)
    }
    for (const name of known) this.#leftDown.add(name)
    if (!this.hasPending && !this.isScanning) return this.admit(follower, told)
    const read = Array.from(this.slots).filter(({ channel }) => channel.hasContent)
    this.#begin(follower, new CatchUp(this, follower).goOver(read, told))
  }

  /** Follows a cluster with these rights; tells the difference. */
  #regrant(cluster: Cluster, scopes: Scopes): void {
    const { selection } = this.#request
    const known = this.#clusters.get(cluster)
    const befores = scopes.map((_, i) => known?.slots[i])
    if (befores.every((before, i) => sameScope(before?.scope, scopes[i]))) return
    // One that has just joined: nobody was told anything of it.
    if (!known && !this.#hasContent(cluster)) return this.#enter(cluster, scopes)
    this.#isOther = true
    this.noteOther(
      cluster,
      befores.map((before) => before?.scope),
    )
    const slots = befores.map((before, i) => {
      const scope = scopes[i]
      if (sameScope(before?.scope, scope)) return before
      const channel = this.#channels.channel(cluster, this.#request.kinds[i]!)
      if (before) {
        before.gone = true
        channel.unfollow(before)
      }
      if (scope === undefined) return undefined
      const slot = new Slot(cluster, channel, scope, this.#test, this)
      slot.reached = before ? before.reached : channel.hasContent ? 'ALL' : null
      channel.follow(slot, selection)
      return slot
    })
    this.#forget(cluster)
    if (slots.some((slot) => slot !== undefined)) {
      const followed = this.#remember(cluster, slots)
      if (!known) this.#sayDown(cluster, followed)
    }
    // Else everything is read anew all the same.
    if (!this.isScanning && !this.mustBeginAnew) {
      const { chunk, queue } = this.context.limits
      const regrants = befores.flatMap((before, i) =>
        before === slots[i] ? [] : [{ before, now: slots[i] }],
      )
      const most = queue * 2
      const told = regranted(this.pending, cluster, regrants, (slot) =>
        Iterator.from(new RowScan(slot, selection).rest(chunk))
          .flatMap((rows) => rows)
          .take(most),
      )
      this.pending = told.length > queue ? coalesce(told) : told
      if (this.pending.length > queue) this.mustBeginAnew = true
    }
    this.#checkHealth(cluster)
    this.context.passes.add(this)
  }

  #hasContent(cluster: Cluster): boolean {
    return this.#request.kinds.some((kind) => this.#channels.channel(cluster, kind).hasContent)
  }

  /** Whether it may be seen the same, of the same clusters, as in another group. */
  #seesAs(other: RowsGroup<P>): boolean {
    return (
      this.#clusters.size === other.#clusters.size &&
      this.#clusters.entries().every(([cluster, { slots }]) => {
        const others = other.#clusters.get(cluster)?.slots
        return others !== undefined && slots.every((slot, i) => sameScope(slot?.scope, others[i]?.scope))
      })
    )
  }

  #toldDown(): Set<string> {
    const downs = Array.from(this.#clusters).filter(([, { down }]) => down)
    return new Set([...this.#leftDown, ...downs.map(([{ name }]) => name)])
  }

  #copy(other: RowsGroup<P>): void {
    const { selection } = this.#request
    for (const [cluster, { slots, down }] of other.#clusters) {
      const copies = slots.map((slot) => {
        if (!slot) return undefined
        const copy = new Slot(cluster, slot.channel, slot.scope, this.#test, this)
        copy.reached = slot.reached
        slot.channel.follow(copy, selection)
        return copy
      })
      this.#clusters.set(cluster, { slots: copies, down })
    }
    for (const name of other.#leftDown) this.#leftDown.add(name)
    this.#isOther = other.#isOther
    // Cursors know the other's tables, not these.
    this.#isRegranted = other.#isRegranted || other.hasPending
    this.mustBeginAnew = other.isScanning
  }

  #unfollow(): void {
    for (const slot of this.slots) slot.channel.unfollow(slot)
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
    const isRegranted = this.#isRegranted
    this.#isRegranted = false
    if (this.#tasks.length === 0) return { before: !isRegranted, after: true }
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
    this.#begin(follower, new CatchUp(this, follower).snapshot(message))
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
    this.#tasks = []
    for (const slot of this.slots) {
      slot.reached = null
      slot.isAwaited = false
      if (slot.channel.hasContent) this.#scan(slot)
    }
    for (const [cluster, { down }] of this.#clusters) {
      if (down && !this.#isDown(cluster)) this.#tasks.push({ type: 'up', cluster })
    }
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
        const entry = removed<P>(row, slot.cluster)
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

  #eachCatchUp(visit: (catchUp: CatchUp<P>, follower: Follower<P>) => void): void {
    for (const follower of this.#catchUps) {
      if (follower.prelude instanceof CatchUp) visit(follower.prelude, follower)
    }
  }

  #enter(cluster: Cluster, scopes: Scopes): void {
    const { kinds, selection } = this.#request
    const slots = scopes.map((scope, i) => {
      if (scope === undefined) return undefined
      const channel = this.#channels.channel(cluster, kinds[i]!)
      const slot = new Slot(cluster, channel, scope, this.#test, this)
      channel.follow(slot, selection)
      return slot
    })
    if (slots.every((slot) => slot === undefined)) return
    const followed = this.#remember(cluster, slots)
    if (this.followers.size > 0) {
      for (const slot of slots) if (slot?.channel.hasContent) this.#scan(slot)
      this.#sayDown(cluster, followed)
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

  /** It was down when it left, and is: not all have heard of that who are here now. */
  #sayDown(cluster: Cluster, { down }: FollowedCluster): void {
    if (down && this.#isDown(cluster)) this.#tellAll(this.#down(cluster))
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
}

function tablesOf(kinds: readonly Kind[], clusters: ReadonlyMap<Cluster, FollowedCluster>): Tables {
  return {
    get layout() {
      return Array.from(clusters, ([{ name }, { slots }]) => [name, slots] as const)
    },
    encode: (layout, positionOf) =>
      encodePosition(
        kinds,
        layout.map(([name, slots]) => [name, slots.map((slot) => slot && positionOf(slot)), slots]),
      ),
    // It knows something of a cluster that no fleet has.
    broken: () => encodePosition(kinds, [['', kinds.map(() => '')]]),
  }
}

function added<P>(slot: Slot, row: Row): Entry<P> {
  return new Entry({ type: 'ADDED', object: row, cluster: slot.cluster })
}
