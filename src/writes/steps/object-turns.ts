/** One at a time, in the order in which they came, of those in this process who are at the same object. */
import type { Cluster } from '../../fleet/fleet.ts'

export class ObjectTurns {
  /** The end of the last of each line. */
  readonly #lines = new WeakMap<Cluster, Map<string, Promise<void>>>()

  /** Resolves, when it is one's turn, with the end of it. Rejects with the signal's reason when that comes first. */
  async turn(cluster: Cluster, object: string, signal: AbortSignal): Promise<() => void> {
    let lines = this.#lines.get(cluster)
    if (!lines) this.#lines.set(cluster, (lines = new Map()))
    const before = lines.get(object)
    const own = Promise.withResolvers<void>()
    lines.set(object, own.promise)
    const leave = (): void => {
      if (lines.get(object) === own.promise) lines.delete(object)
      own.resolve()
    }
    if (!before) return leave
    const aborted = Promise.withResolvers<never>()
    const stop = () => aborted.reject(signal.reason as Error)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    try {
      await Promise.race([before, aborted.promise])
      return leave
    } catch (error) {
      // Whoever comes next waits for those before.
      void before.then(leave)
      throw error
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}
