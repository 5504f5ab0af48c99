/**
 * Sessions that providers have ended before the tokens of them did (back-channel logout), and how replicas tell
 * each other.
 *
 * Invariant: a token of a session that was ended is refused for as long as it could live: an entry is kept for
 * `LONGEST_LIFE_MS`, and tokens older than that are not taken from a provider that ends sessions. Where there are
 * too many entries, more tokens are refused, never fewer.
 */
import type { Clock } from '../../fleet/clock.ts'

/** Tokens of `sid`, or of `sub` where they have no `sid` or none is given, issued until `at`. */
export interface Revocation {
  readonly issuer: string
  readonly sub: string | undefined
  readonly sid: string | undefined
  /** Seconds since the epoch by the clock of the issuer, as the tokens' `iat`. */
  readonly at: number
}

/** Where revocations go, and come from. */
export interface Revocations {
  /** Resolves when who listens knows those before us, or soon without them. Never rejects. */
  readonly ready: Promise<void>
  /** Tells all listeners here at once, and those of other replicas soon. Never throws. */
  revoke(revocation: Revocation): void
  /** Hears of all of them, perhaps more than once, and of those that were shared before. Returns what ends it. */
  onRevoked(listener: (revocation: Revocation) => void): () => void
  close(): void
}

/** The oldest token that a provider with back-channel logout may send; and how long an entry is kept. */
export const LONGEST_LIFE_MS = 24 * 60 * 60_000

/** For a gateway without Redis. */
export function memoryRevocations(): Revocations {
  const listeners = new Set<(revocation: Revocation) => void>()
  return {
    ready: Promise.resolve(),
    revoke(revocation) {
      for (const listener of listeners) listener(revocation)
    },
    onRevoked(listener) {
      const own = (revocation: Revocation) => listener(revocation)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    close: () => listeners.clear(),
  }
}

export interface Session {
  readonly sub: string | undefined
  readonly sid: string | undefined
  /** Seconds since the epoch; `undefined`: as old as can be. */
  readonly iat: number | undefined
}

/** The sessions of one issuer that have ended. */
export class EndedSessions {
  readonly #clock: Clock
  readonly #maxCount: number
  /** The `at` of the newest entry, by what it is about; in order of time. */
  readonly #entries = new Map<string, { readonly at: number; readonly until: number }>()
  /** Of entries that there was no room for: everything older is refused. */
  #floor = -Infinity

  constructor(clock: Clock, maxCount = 100_000) {
    this.#clock = clock
    this.#maxCount = maxCount
  }

  /** Whether anything has ended by it: others repeat what they have said. */
  add({ sub, sid, at }: Revocation): boolean {
    const session = sid !== undefined && this.#put(`sid ${sid}`, at)
    // Whether a token without a session is of this one nobody can tell.
    return (sub !== undefined && this.#put(sid === undefined ? `sub ${sub}` : `any ${sub}`, at)) || session
  }

  has({ sub, sid, iat = 0 }: Session): boolean {
    if (iat <= this.#floor) return true
    if (this.#entries.size === 0) return false
    return (
      (sub !== undefined && iat <= this.#at(`sub ${sub}`)) ||
      (sid !== undefined ? iat <= this.#at(`sid ${sid}`) : sub !== undefined && iat <= this.#at(`any ${sub}`))
    )
  }

  #at(key: string): number {
    return this.#entries.get(key)?.at ?? -Infinity
  }

  #put(key: string, at: number): boolean {
    if (at <= this.#at(key) || at <= this.#floor) return false
    const now = this.#clock.now()
    this.#entries.delete(key)
    // The issuer's clock may be ahead, and with it the tokens.
    this.#entries.set(key, { at, until: Math.max(now, at * 1000) + LONGEST_LIFE_MS })
    for (const [oldest, entry] of this.#entries) {
      if (entry.until > now) {
        if (this.#entries.size <= this.#maxCount) break
        this.#floor = Math.max(this.#floor, entry.at)
      }
      this.#entries.delete(oldest)
    }
    return true
  }
}
