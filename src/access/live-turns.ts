/**
 * How many live reads one API server is asked for at a time, whoever asks: a page of manifests that a
 * hundred people open must not become a thousand requests, and a cluster that answers slowly must not
 * collect connections. The rest wait in line, each no longer than its request does; a line that is too
 * long takes of nobody more than a share. Each reader has a line of their own, and the lines take turns: whoever asks for
 * thousands waits for themselves.
 */
import { TransportError } from '../kubernetes/client.ts'

/** At a time, to one cluster. */
const AT_ONCE = 32

/**
 * In line, for one cluster: some ten seconds of reads that take a third of a second each. Beyond that each reader may
 * have an equal share of as many, so that nobody who asks for little is kept out by some who fill it.
 */
const IN_LINE = 1_000

/** Of one reader: so that no single one can fill it. */
const IN_LINE_EACH = 250

export class LiveTurns {
  readonly #cluster: string
  /** By reader, the next to be served first; none of them is empty. */
  readonly #lines = new Map<string, Set<() => void>>()
  #waiting = 0
  #running = 0

  constructor(cluster: string) {
    this.#cluster = cluster
  }

  /**
   * Does the work when it is its turn. Rejects with the signal's reason, without having done it, when that
   * comes first, and with a `TransportError` when the line is full.
   */
  async take<T>(reader: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#running < AT_ONCE) this.#running++
    else await this.#wait(reader, signal)
    try {
      return await work()
    } finally {
      this.#next()
    }
  }

  #next(): void {
    const [first] = this.#lines
    if (!first) {
      this.#running--
      return
    }
    const [reader, line] = first
    const [next] = line
    // To the end of the round.
    this.#lines.delete(reader)
    this.#lines.set(reader, line)
    next!()
  }

  /** Resolves with the turn of somebody who is done. */
  #wait(reader: string, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    const line = this.#lines.get(reader) ?? new Set()
    const readers = this.#lines.size + (this.#lines.has(reader) ? 0 : 1)
    // Of a line that is full there is room for those who have less in it than their share.
    const room = this.#waiting < IN_LINE ? IN_LINE_EACH : Math.min(IN_LINE_EACH, Math.ceil(IN_LINE / readers))
    if (line.size >= room) {
      const message = `Too many requests to the cluster ${this.#cluster} wait for an answer. Ask again later.`
      return Promise.reject(new TransportError('TIMEOUT', message))
    }
    this.#lines.set(reader, line)
    this.#waiting++
    return new Promise((resolve, reject) => {
      const leave = () => {
        line.delete(next)
        this.#waiting--
        if (line.size === 0) this.#lines.delete(reader)
        signal?.removeEventListener('abort', gone)
      }
      const next = () => {
        leave()
        resolve()
      }
      const gone = () => {
        leave()
        reject(signal?.reason as Error)
      }
      line.add(next)
      signal?.addEventListener('abort', gone, { once: true })
    })
  }
}
