/**
 * A table as the hub hears it: its journal, and who follows it. Where nobody does, a change costs its journal.
 */
import type { Cluster } from '../fleet/cluster.ts'
import type { Scope, Selection } from '../fleet/selection.ts'
import type { Change, TableReader } from '../fleet/table.ts'
import type { Kind } from '../kubernetes/rows.ts'
import { Audience } from './audience.ts'
import type { Journal, Journals } from './journal.ts'
import { type Seal, sealOf } from './seal.ts'
import type { Slot } from './slot.ts'

export class TableChannel {
  readonly cluster: Cluster
  readonly table: TableReader
  readonly journal: Journal
  readonly #ends: readonly (() => void)[]
  readonly #touched: (channel: TableChannel) => void
  readonly #audience = new Audience()
  /** By what may be seen of it: there is a cursor for each event, and whoever has the same rights has the same scope. */
  readonly #seals = new WeakMap<Exclude<Scope, 'all'>, Seal>()
  #sealOfAll: Seal | undefined

  /** `touched`: the table is another; after each change of rows or status. */
  constructor(cluster: Cluster, kind: Kind, journals: Journals, touched: (channel: TableChannel) => void) {
    this.#touched = touched
    this.cluster = cluster
    const table: TableReader = cluster.table(kind)
    this.table = table
    this.journal = journals.open(table)
    this.#ends = [
      table.onChange((change) => this.#onChange(change)),
      table.onRelist((from, to) => this.journal.relisted(from, to)),
      table.onStatus((_status, { asOf }) => {
        if (asOf === null && table.status.asOf !== null) this.journal.begin()
        this.#touched(this)
        for (const slot of this.#audience.slots) slot.listener.onStatus(slot)
      }),
    ]
  }

  /** There is a complete content, current or not. */
  get hasContent(): boolean {
    return this.table.status.asOf !== null
  }

  /**
   * Whether what changes in the table is told. A kind that the cluster does not serve has no changes, and of
   * one that may be listed but not watched they are told, if late.
   */
  get isFollowed(): boolean {
    const { state, problem, asOf } = this.table.status
    if (state === 'CURRENT' || problem?.code === 'NOT_SERVED') return true
    return problem?.code === 'NOT_WATCHED' && asOf !== null
  }

  follow(slot: Slot, selection: Selection): void {
    this.#audience.add(slot, selection)
  }

  unfollow(slot: Slot): void {
    this.#audience.delete(slot)
  }

  sealOf(scope: Scope): Seal {
    const { cluster, table } = this
    if (scope === 'all') return (this.#sealOfAll ??= sealOf(cluster.name, table.kind, scope))
    let seal = this.#seals.get(scope)
    if (!seal) this.#seals.set(scope, (seal = sealOf(cluster.name, table.kind, scope)))
    return seal
  }

  /** Nobody is told anything more; the journal is gone. */
  close(): void {
    for (const end of this.#ends) end()
    this.journal.close()
  }

  #onChange(change: Change): void {
    const before = this.journal.record(change)
    this.#touched(this)
    if (this.#audience.isEmpty) return
    this.#audience.tell(change, (slot) => {
      try {
        slot.listener.onChange(slot, change, before)
      } catch (error) {
        // It is called from within the table: what one follower asked for must not end the feed of all.
        slot.listener.onError(error)
      }
    })
  }
}
