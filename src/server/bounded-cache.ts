/**
 * A least-recently-used cache, bounded by count and by bytes as its caller reckons them: what is kept per
 * request text must not grow with what clients can think of. Knows nothing of what it keeps.
 */
export interface CacheBounds {
  readonly maxCount: number
  readonly maxBytes: number
}

export class BoundedCache<K, V> {
  readonly #bounds: CacheBounds
  /** In order of use, oldest first: a `Map` iterates in order of insertion. */
  readonly #entries = new Map<K, { readonly value: V; readonly bytes: number }>()
  #bytes = 0

  constructor(bounds: CacheBounds) {
    this.#bounds = bounds
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  /** An entry larger than an eighth of the whole is not kept: it would push out too much else. */
  set(key: K, value: V, bytes: number): void {
    this.delete(key)
    if (bytes > this.#bounds.maxBytes / 8) return
    this.#entries.set(key, { value, bytes })
    this.#bytes += bytes
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#bounds.maxCount && this.#bytes <= this.#bounds.maxBytes) break
      this.delete(oldest)
    }
  }

  delete(key: K): void {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#entries.delete(key)
    this.#bytes -= entry.bytes
  }

  /** The entry that was used longest ago. */
  oldest(): readonly [K, V] | undefined {
    for (const [key, { value }] of this.#entries) return [key, value]
    return undefined
  }
}
