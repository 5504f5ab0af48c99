/**
 * How many questions one answerer is asked at a time, and how many wait for their turn: a storm of tokens
 * must not become a storm on whoever vouches for them.
 *
 * Invariant: where the answerer does not answer nobody waits for longer than one question takes.
 */
import { AuthenticationError } from './authenticator.ts'

const AT_ONCE = 32
/** Of sign-ins; who has signed in already is asked after however many wait. */
const WAITING = 1_000

export class Asking {
  readonly #waiting: (() => void)[] = []
  #running = 0
  #failures = 0
  #failure: unknown

  /**
   * Runs the work in its turn; the result is the same. Rejects with `UNAVAILABLE` where too many wait, and
   * with what others were told who got no answer while this one waited.
   */
  async run<T>(work: () => Promise<T>, { patient = false } = {}): Promise<T> {
    const failures = this.#failures
    if (this.#running >= AT_ONCE) {
      if (!patient && this.#waiting.length >= WAITING) {
        throw new AuthenticationError('UNAVAILABLE', 'Too many sign in just now. Try again in a moment.')
      }
      // Whoever is done hands its turn on.
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    } else this.#running++
    try {
      if (this.#failures !== failures) throw this.#failure
      return await this.#attempt(work)
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running--
    }
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof AuthenticationError && error.code === 'UNAVAILABLE') {
        this.#failures++
        this.#failure = error
      }
      throw error
    }
  }
}
