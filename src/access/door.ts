/**
 * The tables of one cluster as one viewer may see them, each right asked for once: a page asks for the same ones
 * with each of its rows. Good until rights change; some requests are streams that live for days.
 */
import type { Cluster } from '../fleet/fleet.ts'
import type { Scope } from '../fleet/selection.ts'
import type { TableReader } from '../fleet/table.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { Policy, ReadRight, Revised } from './policy.ts'
import type { Reads } from './reads.ts'
import type { Viewer } from './viewer.ts'

/** A table, and what of it may be seen. */
export interface Opened<K extends Kind> {
  readonly table: TableReader<K>
  readonly scope: Scope
}

export class Door {
  readonly cluster: Cluster
  readonly #viewer: Viewer
  readonly #policy: Policy
  readonly #reads: Reads
  readonly #revised: Revised
  readonly #revision: number
  readonly #rights = new Map<Kind, ReadRight>()
  readonly #tables = new Map<Kind, Opened<Kind>>()

  constructor(cluster: Cluster, viewer: Viewer, policy: Policy, reads: Reads) {
    this.cluster = cluster
    this.#viewer = viewer
    this.#policy = policy
    this.#reads = reads
    this.#revised = policy.revised(cluster)
    this.#revision = this.#revised.revision
    reads.note(this.#revised)
  }

  /** Whether it shows what this viewer may see now. */
  isOf(viewer: Viewer): boolean {
    return this.#viewer === viewer && this.#revised.revision === this.#revision
  }

  right(kind: Kind): ReadRight {
    let right = this.#rights.get(kind)
    if (!right) {
      right = this.#policy.read(this.#viewer, this.cluster, kind)
      if (right.state !== 'PENDING') this.#rights.set(kind, right)
      else if (right.settled) this.#reads.notePending(right.settled)
    }
    return right
  }

  /** `undefined`: nothing of it may be seen. */
  open<K extends Kind>(kind: K): Opened<K> | undefined {
    // Each kind's table was kept for that kind; a Map cannot say so.
    const known = this.#tables.get(kind) as Opened<K> | undefined
    if (known) return known
    const { scope, state } = this.right(kind)
    if (scope === undefined) return undefined
    const table = this.cluster.table(kind)
    this.#reads.note(table)
    const opened = { table, scope }
    if (state !== 'PENDING') this.#tables.set(kind, opened)
    return opened
  }
}
