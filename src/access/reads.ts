/**
 * What one request read: so that its answer can be kept as bytes until any of that changes, so that its audit
 * record can tell what was refused, what was read live and what was written, and so that it can wait for rights that are being
 * found out.
 */
import type { Written } from './audit/written.ts'
import type { Revised } from './policy.ts'

/** More than the cost of a request allows for; of a stream, until they are told. */
const MOST_PRIVILEGED = 10_000
/** More than a change may have of steps. */
const MOST_WRITTEN = 10_000

export class Reads {
  readonly #revisions = new Map<Revised, number>()
  readonly #denied = new Set<string>()
  readonly #privileged: string[] = []
  readonly #written: Written[] = []
  #room = MOST_WRITTEN
  readonly #pending = new Set<Promise<void>>()
  #volatile = false
  /** Called after `denied` or `privileged` have grown: streams read as they go, long after they began. */
  onNoted: (() => void) | undefined

  note(source: Revised): void {
    if (!this.#revisions.has(source)) this.#revisions.set(source, source.revision)
  }

  /** Something was read that no revision tells of: a live request, a clock, a measured latency. */
  noteVolatile(): void {
    this.#volatile = true
  }

  /** The viewer was shown nothing of a cluster that they asked for: no right, or a live read that it refused. */
  noteDenied(cluster: string): void {
    if (this.#denied.has(cluster)) return
    this.#denied.add(cluster)
    this.onNoted?.()
  }

  /** A live read was made: a short text that names the object, and nothing of what is in it. */
  notePrivileged(what: string): void {
    if (this.#privileged.length >= MOST_PRIVILEGED) return
    this.#privileged.push(what)
    this.onNoted?.()
  }

  /**
   * Takes room for so many notes of what is written. `false`: there is none, and nothing of it may be done, since the
   * record of the request could not tell of it.
   */
  takeRoom(count: number): boolean {
    if (this.#room < count) return false
    this.#room -= count
    return true
  }

  /** For how many of them room was taken. */
  get asked(): number {
    return MOST_WRITTEN - this.#room
  }

  /** Something was written, or was to be: for the audit record of the mutation. */
  noteWritten(written: Written): void {
    this.#volatile = true
    if (this.#written.length < MOST_WRITTEN) this.#written.push(written)
  }

  /** Rights were met that are being found out: `settled` of a PENDING right. */
  notePending(settled: Promise<void>): void {
    this.#pending.add(settled)
  }

  get volatile(): boolean {
    return this.#volatile
  }

  /** Names of clusters. */
  get denied(): ReadonlySet<string> {
    return this.#denied
  }

  /** In the order in which they were made; the first `MOST_PRIVILEGED`. */
  get privileged(): readonly string[] {
    return this.#privileged
  }

  /** In the order in which it was told; the first `MOST_WRITTEN`. */
  get written(): readonly Written[] {
    return this.#written
  }

  /** None of them rejects. After any of them the same request may be answered with more. */
  get pending(): ReadonlySet<Promise<void>> {
    return this.#pending
  }

  /** Whether the same request would be answered with the same bytes now. */
  unchanged(): boolean {
    if (this.#volatile) return false
    for (const [source, revision] of this.#revisions) if (source.revision !== revision) return false
    return true
  }
}
