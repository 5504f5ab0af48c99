/**
 * What one request read: so that its answer can be kept as bytes until any of that changes, so that its audit
 * record can tell what was refused and what was read live, and so that it can wait for rights that are being
 * found out.
 */
import type { Revised } from './policy.ts'

/** More than the cost of a request allows for; of a stream, until they are told. */
const MOST_PRIVILEGED = 10_000

export class Reads {
  readonly #revisions = new Map<Revised, number>()
  readonly #denied = new Set<string>()
  readonly #privileged: string[] = []
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
