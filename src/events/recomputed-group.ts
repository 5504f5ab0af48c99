/**
 * Followers of something that is made from whole tables: only its newest state counts, so nobody has more
 * than one payload to read, and one that is the same as the last is sent to nobody.
 */
import { Entry } from './entry.ts'
import { type Follower, Group, type GroupContext } from './group.ts'
import type { Membership, RecomputedRequest, Render, Sink } from './live.ts'
import type { TableChannel } from './table-channel.ts'

export class RecomputedGroup<P> extends Group<P> {
  protected readonly tables = undefined
  readonly #request: RecomputedRequest
  #last: P | undefined

  constructor(key: string, request: RecomputedRequest, render: Render<P>, context: GroupContext) {
    super(key, render, request.intervalMs, { ...context, limits: { ...context.limits, queue: 1 } })
    this.#request = request
  }

  join(sink: Sink<P>): Membership {
    const follower = this.add(sink)
    this.admit(follower, this.#latest())
    if (this.#last === undefined) this.refresh()
    return follower
  }

  touch({ cluster, table }: TableChannel): void {
    if (this.pending.length > 0 || !this.#request.kinds.includes(table.kind)) return
    if (this.#request.clusters(cluster)) this.refresh()
  }

  /** It may be another one, for whatever reason. */
  refresh(): void {
    if (this.pending.length === 0) this.push(new Entry({ type: 'SYNCED' }))
  }

  protected override isNews(payload: P): boolean {
    const last = this.#last
    if (Buffer.isBuffer(last) && Buffer.isBuffer(payload) && last.equals(payload)) return false
    this.#last = payload
    return true
  }

  protected resync(follower: Follower<P>): void {
    this.admit(follower, this.#latest())
  }

  protected resyncAll(): void {}

  #latest(): Entry<P>[] {
    if (this.#last === undefined) return []
    const entry = new Entry<P>({ type: 'SYNCED' })
    entry.payload = this.#last
    return [entry]
  }
}
