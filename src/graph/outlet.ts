/**
 * The source stream of a subscription that is made for one reader: an async iterator that a feed pushes
 * into. The feed begins with the first `next`, so a reader that never reads costs nothing, and ends with
 * `return`, the signal, or by itself. Unlike an async generator it ends at once, whatever it waits for.
 *
 * What the reader has not taken yet waits here: a feed looks at `weight` and holds back. Nothing is dropped.
 */

/** Resolves when there is nothing more to push; must do so soon after the signal. Rejects: the stream fails. */
export type Feed<T> = (outlet: Outlet<T>, signal: AbortSignal) => Promise<void>

export interface OutletOptions<T> {
  readonly feed: Feed<T>
  /** Ends the stream. */
  readonly signal?: AbortSignal | undefined
  /** What a waiting value counts; default 1. */
  readonly weigh?: (value: T) => number
}

type Result<T> = IteratorResult<T, undefined>

const DONE = { value: undefined, done: true } as const

export class Outlet<T> implements AsyncIterableIterator<T, undefined> {
  readonly #options: OutletOptions<T>
  readonly #controller = new AbortController()
  readonly #values: T[] = []
  readonly #readers: { resolve(result: Result<T>): void; reject(error: unknown): void }[] = []
  #weight = 0
  #started = false
  #ended = false
  #failure: { readonly error: unknown } | undefined
  /** Set by the feed; called after each value that the reader takes. */
  onTaken: (() => void) | undefined

  constructor(options: OutletOptions<T>) {
    this.#options = options
  }

  /** Of all values that wait for the reader. */
  get weight(): number {
    return this.#weight
  }

  push(value: T): void {
    if (this.#ended) return
    const reader = this.#readers.shift()
    if (reader) {
      reader.resolve({ value, done: false })
      return
    }
    this.#values.push(value)
    this.#weight += this.#weigh(value)
  }

  /** Resolves when the reader has taken everything, or the stream is over. */
  async taken(): Promise<void> {
    while (this.#values.length > 0) {
      await new Promise<void>((resolve) => {
        this.onTaken = resolve
      })
    }
  }

  next(): Promise<Result<T>> {
    this.#start()
    if (this.#values.length > 0) {
      const value = this.#values.shift()!
      this.#weight -= this.#weigh(value)
      this.onTaken?.()
      return Promise.resolve({ value, done: false })
    }
    if (this.#failure) {
      const { error } = this.#failure
      this.#failure = undefined
      return Promise.reject(error)
    }
    if (this.#ended) return Promise.resolve(DONE)
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
  }

  return(): Promise<Result<T>> {
    this.#started = true
    this.#values.length = 0
    this.#weight = 0
    this.#end()
    this.onTaken?.()
    return Promise.resolve(DONE)
  }

  throw(error: unknown): Promise<Result<T>> {
    void this.return()
    return Promise.reject(error)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #start(): void {
    if (this.#started) return
    this.#started = true
    const { feed, signal } = this.#options
    const leave = () => void this.return()
    if (signal?.aborted) return leave()
    signal?.addEventListener('abort', leave, { once: true })
    this.#controller.signal.addEventListener('abort', () => signal?.removeEventListener('abort', leave))
    feed(this, this.#controller.signal).then(
      () => this.#end(),
      (error: unknown) => {
        if (this.#ended) return
        if (this.#readers.length > 0) this.#readers.shift()!.reject(error)
        else this.#failure = { error }
        this.#end()
      },
    )
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    for (const reader of this.#readers.splice(0)) reader.resolve(DONE)
    this.#controller.abort()
  }

  #weigh(value: T): number {
    return this.#options.weigh?.(value) ?? 1
  }
}
