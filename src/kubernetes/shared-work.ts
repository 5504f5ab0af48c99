/**
 * One run for everybody who asks while it is under way. Each asker may give up alone; the run is
 * aborted when the last of them has. Knows nothing of what the work is.
 */
export class SharedWork<T> {
  readonly #work: (signal: AbortSignal) => Promise<T>
  #run: { readonly result: Promise<T>; readonly stop: AbortController; waiting: number } | undefined

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.#work = work
  }

  /** Rejects with the signal's reason as soon as it is aborted. */
  join(signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    const run = (this.#run ??= this.#begin())
    run.waiting++
    return new Promise<T>((resolve, reject) => {
      let left = false
      const leave = (): void => {
        if (left) return
        left = true
        signal?.removeEventListener('abort', giveUp)
        if (--run.waiting > 0) return
        // Nobody is to join a run that is being aborted.
        if (this.#run === run) this.#run = undefined
        run.stop.abort(signal?.aborted ? signal.reason : undefined)
      }
      const giveUp = (): void => {
        reject(signal?.reason as Error)
        leave()
      }
      signal?.addEventListener('abort', giveUp, { once: true })
      run.result.then(resolve, reject).finally(leave)
    })
  }

  /** Aborts a run under way. */
  stop(): void {
    this.#run?.stop.abort()
    this.#run = undefined
  }

  #begin() {
    const stop = new AbortController()
    const run = { result: this.#work(stop.signal), stop, waiting: 0 }
    // Where all askers have left, nobody else would hear of the failure.
    run.result
      .catch(() => {})
      .finally(() => {
        if (this.#run === run) this.#run = undefined
      })
    return run
  }
}
