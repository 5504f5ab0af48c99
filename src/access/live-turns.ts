/**
 * How many live reads one API server is asked for at a time, whoever asks: a page of manifests that a
 * hundred people open must not become a thousand requests, and a cluster that answers slowly must not
 * collect connections. The rest wait in line, each no longer than its request does; a line that is too
 * long takes nobody more.
 */
import { TransportError } from '../kubernetes/client.ts'

/** At a time, to one cluster. */
const AT_ONCE = 32

/** In line, for one cluster: some ten seconds of reads that take a third of a second each. */
const IN_LINE = 1_000

export class LiveTurns {
  readonly #cluster: string
  readonly #line = new Set<() => void>()
  #running = 0

  constructor(cluster: string) {
    this.#cluster = cluster
  }

  /**
   * Does the work when it is its turn. Rejects with the signal's reason, without having done it, when that
   * comes first, and with a `TransportError` when the line is full.
   */
  async take<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#running < AT_ONCE) this.#running++
    else await this.#wait(signal)
    try {
      return await work()
    } finally {
      const [next] = this.#line
      if (next) next()
      else this.#running--
    }
  }

  /** Resolves with the turn of somebody who is done. */
  #wait(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    if (this.#line.size >= IN_LINE) {
      const message = `Too many live reads of the cluster ${this.#cluster} wait for an answer. Ask again later.`
      return Promise.reject(new TransportError('TIMEOUT', message))
    }
    return new Promise((resolve, reject) => {
      const next = () => {
        this.#line.delete(next)
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        this.#line.delete(next)
        reject(signal?.reason as Error)
      }
      this.#line.add(next)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }
}
