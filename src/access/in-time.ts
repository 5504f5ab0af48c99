/** Waits that are shared: each of those who wait goes with its own request. */
import { transportMessage } from '../fleet/reflector-failure.ts'
import { TransportError } from '../kubernetes/client.ts'

/**
 * What a cluster serves is read once for all who wait for it, in a time of its own; each of them waits no
 * longer than for anything else, and leaves with its request.
 */
export function inTime<T>(read: Promise<T>, timeoutMs: number, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => settle(() => reject(signal?.reason as Error))
    const late = () => settle(() => reject(new TransportError('TIMEOUT', transportMessage('TIMEOUT'))))
    const timer = setTimeout(late, timeoutMs)
    signal?.addEventListener('abort', leave, { once: true })
    const settle = (how: () => void) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', leave)
      how()
    }
    read.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    )
  })
}
