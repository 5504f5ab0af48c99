/**
 * One follower's events as an async iterator, for executors that know no groups. What is not pulled is left
 * in the group's log, within the bounds that sockets have.
 */
import { type LiveEvent, type Membership, type Sink, StreamEnded } from './live.ts'

export class EventIterator implements AsyncIterableIterator<LiveEvent>, Sink<LiveEvent> {
  onReady: (() => void) | undefined
  readonly #events: LiveEvent[] = []
  readonly #waiting: PromiseWithResolvers<IteratorResult<LiveEvent>>[] = []
  readonly #signal: AbortSignal | undefined
  #membership: Membership | undefined
  #done = false
  /** Why the server ended it, until somebody has been told. */
  #ended: StreamEnded | undefined

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
    if (signal?.aborted) this.#done = true
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  get ready(): boolean {
    return this.#events.length === 0
  }

  /** Where the events come from; left when the iterator ends. */
  attach(membership: Membership): this {
    this.#membership = membership
    if (this.#done) membership.leave()
    return this
  }

  write(events: readonly LiveEvent[]): void {
    for (const event of events) {
      const waiting = this.#waiting.shift()
      if (waiting) waiting.resolve({ done: false, value: event })
      else this.#events.push(event)
    }
  }

  recall(): readonly LiveEvent[] {
    return this.#events.splice(0)
  }

  end(reason: string): void {
    if (this.#done) return
    this.#ended = new StreamEnded(reason)
    this.#finish()
  }

  next(): Promise<IteratorResult<LiveEvent>> {
    const event = this.#events.shift()
    if (event) {
      if (this.#events.length === 0) this.onReady?.()
      return Promise.resolve({ done: false, value: event })
    }
    const ended = this.#ended
    this.#ended = undefined
    if (ended) return Promise.reject(ended)
    if (this.#done) return Promise.resolve({ done: true, value: undefined })
    const waiting = Promise.withResolvers<IteratorResult<LiveEvent>>()
    this.#waiting.push(waiting)
    return waiting.promise
  }

  return(): Promise<IteratorResult<LiveEvent>> {
    this.#leave()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  readonly #onAbort = (): void => this.#leave()

  #leave(): void {
    this.#events.length = 0
    this.#ended = undefined
    this.#membership?.leave()
    this.#finish()
  }

  #finish(): void {
    this.#done = true
    this.#signal?.removeEventListener('abort', this.#onAbort)
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      const ended = this.#ended
      this.#ended = undefined
      if (ended) reject(ended)
      else resolve({ done: true, value: undefined })
    }
  }
}
