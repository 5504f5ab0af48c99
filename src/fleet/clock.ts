/**
 * Time, as everything long-lived in this folder takes it: injected, so that tests move it by hand.
 */

export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Calls back once, after at least so many milliseconds; returns what cancels it. Idempotent. */
  after(ms: number, callback: () => void): () => void
}

/** Timers keep the process alive: whoever sets one closes it. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    // setTimeout reads its delay as a signed 32-bit number, and fires at once past it.
    const timer = setTimeout(callback, Math.min(ms, 0x7fff_ffff))
    return () => clearTimeout(timer)
  },
}
