/** The last records of this process, in memory. */
import { compareAuditIds, type AuditEntry, type AuditSink, type AuditStore, type KeptEntry } from './audit.ts'

export class AuditRing implements AuditSink, AuditStore {
  readonly #most: number
  /** Oldest first, from `#start` on. */
  #entries: KeptEntry[] = []
  #start = 0
  #lastMs = 0
  #sequence = 0
  readonly #listeners = new Set<() => void>()

  /** `most` 0: keeps nothing. */
  constructor(most: number) {
    this.#most = most
  }

  /** `latest`, at once. */
  get newest(): string {
    return `${this.#lastMs}-${this.#sequence}`
  }

  write(entry: AuditEntry): void {
    if (this.#most === 0) return
    // Ids increase even where the clock is set back.
    if (entry.at > this.#lastMs) {
      this.#lastMs = entry.at
      this.#sequence = 0
    } else this.#sequence++
    this.#entries.push({ ...entry, id: `${this.#lastMs}-${this.#sequence}` })
    if (this.#entries.length - this.#start > this.#most) this.#start++
    if (this.#start >= 1_024 && this.#start >= this.#entries.length / 2) {
      this.#entries = this.#entries.slice(this.#start)
      this.#start = 0
    }
    for (const listener of this.#listeners) listener()
  }

  /** After each record. Returns the end of it. */
  onWrite(listener: () => void): () => void {
    const own = () => listener()
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  async before(id: string | undefined, count: number): Promise<readonly KeptEntry[]> {
    const end =
      id === undefined ? this.#entries.length : this.#place((other) => compareAuditIds(other, id) >= 0)
    return this.#entries.slice(Math.max(this.#start, end - count), end).toReversed()
  }

  async after(id: string, count: number): Promise<readonly KeptEntry[]> {
    const from = this.#place((other) => compareAuditIds(other, id) > 0)
    return this.#entries.slice(from, from + count)
  }

  async latest(): Promise<string> {
    return this.newest
  }

  async close(): Promise<void> {
    this.#listeners.clear()
  }

  /** The first one, from the oldest on, whose id is far enough. */
  #place(isFar: (id: string) => boolean): number {
    let [low, high] = [this.#start, this.#entries.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isFar(this.#entries[middle]!.id)) high = middle
      else low = middle + 1
    }
    return low
  }
}
