/**
 * Exponential backoff with full jitter, as data: no timer, no clock, no randomness of its own.
 * Full jitter because a thousand watches of one API server fail in the same instant:
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */

export interface Backoff {
  /** Failures in a row. */
  readonly attempts: number
  /** Epoch milliseconds of the last one. */
  readonly failedAt: number
}

const FIRST_MS = 800
const CAP_MS = 30_000
/** So long without a failure, and the next one counts as the first. */
const HEALTHY_MS = 120_000

export const NO_FAILURES: Backoff = { attempts: 0, failedAt: 0 }

/** Counts a failure at `now`. */
export function failed(backoff: Backoff, now: number): Backoff {
  const healthy = now - backoff.failedAt >= HEALTHY_MS
  return { attempts: healthy ? 1 : backoff.attempts + 1, failedAt: now }
}

/** Milliseconds to wait after the failures counted so far; `random` is in [0, 1). */
export function delayMs({ attempts }: Backoff, random: number): number {
  // The exponent is bounded so that a long outage does not overflow into Infinity × 0.
  return random * Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(attempts - 1, 16))
}

/** True while the last failure is recent enough for another to count as its successor. */
export function isTroubled({ attempts, failedAt }: Backoff, now: number): boolean {
  return attempts > 0 && now - failedAt < HEALTHY_MS
}
