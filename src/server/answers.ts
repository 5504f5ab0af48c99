/**
 * Answers kept as bytes. A dashboard that a hundred people look at asks the same question over and over:
 * while nothing it was answered from has changed, the answer is the same bytes.
 *
 * Key: operation, variables in canonical form, and the rights of who asks. Validity: the revisions of
 * everything that was read (`Reads`), checked on every look-up, so a stale answer cannot be given. Kept
 * are answers without errors and without volatile reads only.
 */
import type { Reads } from '../access/reads.ts'
import { BoundedCache, type CacheBounds } from './bounded-cache.ts'

interface Kept {
  /** Absent until the same question was asked twice with nothing changed between. */
  body: Buffer | undefined
  readonly reads: KeptReads
}

/** What an answer was made from. An audit record tells of what was denied in it each time that it is given. */
export type KeptReads = Pick<Reads, 'unchanged'> & Partial<Pick<Reads, 'denied'>>

/** What an entry holds on to beside its bytes: the key, and the revisions that it was made from. */
const OVERHEAD = 4_096

export class Answers {
  readonly #kept: BoundedCache<string, Kept>

  constructor(bounds: CacheBounds) {
    this.#kept = new BoundedCache(bounds)
  }

  /** The bytes of an answer that would be the same now, and what they were made from. */
  get(key: string): { readonly body: Buffer; readonly reads: KeptReads } | undefined {
    const kept = this.#kept.get(key)
    return kept && hasBody(kept) && kept.reads.unchanged() ? kept : undefined
  }

  /**
   * Offers an answer; gives it as bytes if they are kept. An answer is kept when its question comes the
   * second time while what it was answered from stays the same: of what changes faster than it is asked
   * for, the bytes would never be used.
   */
  offer(key: string, text: string, reads: KeptReads & Pick<Reads, 'volatile'>): Buffer | string {
    if (reads.volatile) return text
    const seen = this.#kept.get(key)?.reads.unchanged() ?? false
    const body = seen ? Buffer.from(text) : undefined
    this.#kept.set(key, { body, reads }, (body?.length ?? 0) + key.length * 2 + OVERHEAD)
    // An outdated answer holds on to tables that may be gone: let the oldest go as soon as it is one.
    const oldest = this.#kept.oldest()
    if (oldest && !oldest[1].reads.unchanged()) this.#kept.delete(oldest[0])
    return body ?? text
  }
}

/** JSON with the keys of every object in order: equal values give equal text. */
export function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  return `{${Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical((value as Record<string, unknown>)[key])}`)
    .join()}}`
}

function hasBody(kept: Kept): kept is Kept & { readonly body: Buffer } {
  return kept.body !== undefined
}
