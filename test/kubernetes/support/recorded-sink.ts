import type { ByteSink } from '../../../src/kubernetes/client.ts'

/** A sink that writes down every call, and lets a test wait for one. */
export class RecordedSink implements ByteSink {
  /** `start`, `data:<text>`, `end`, `error:<message>` in the order of the calls. */
  readonly calls: string[] = []
  readonly errors: Error[] = []
  headers: Readonly<Record<string, string>> = {}
  text = ''
  readonly finished: Promise<void>
  #finish: () => void = () => {}
  readonly #waiting: { readonly fits: () => boolean; readonly wake: () => void }[] = []

  constructor() {
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  onStart(headers: Readonly<Record<string, string>>): void {
    this.headers = headers
    this.#note('start')
  }

  onData(chunk: Buffer): void {
    this.text += chunk.toString()
    this.#note(`data:${chunk.toString()}`)
  }

  onEnd(): void {
    this.#note('end')
    this.#finish()
  }

  onError(error: Error): void {
    this.errors.push(error)
    this.#note(`error:${error.message}`)
    this.#finish()
  }

  /** Resolves at the first call after which the condition holds. */
  until(fits: (sink: this) => boolean): Promise<void> {
    if (fits(this)) return Promise.resolve()
    return new Promise((wake) => this.#waiting.push({ fits: () => fits(this), wake }))
  }

  #note(call: string): void {
    this.calls.push(call)
    for (const { fits, wake } of this.#waiting) if (fits()) wake()
  }
}
