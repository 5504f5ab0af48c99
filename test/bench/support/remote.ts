/**
 * A benchmark's helper process, called like an object: `call` runs one of the functions that the module
 * gave to `answer`, and resolves with what it returned. Modules that answer are programs of their own; they
 * end when the benchmark does.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Arguments and results go as JSON. */
export type Handlers = Readonly<Record<string, (argument: never) => unknown>>

interface Call {
  readonly serial: number
  readonly name: string
  readonly argument: unknown
}

interface Answer {
  readonly serial: number
  readonly result?: unknown
  readonly error?: string
}

/** In the helper: answers calls until the benchmark disconnects, then ends the process. */
export function answer(handlers: Handlers): void {
  const run = async ({ serial, name, argument }: Call): Promise<Answer> => {
    try {
      return { serial, result: await handlers[name]!(argument as never) }
    } catch (error) {
      return { serial, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
  }
  process.on('message', (call: Call) => {
    void run(call).then((answer) => process.send!(answer))
  })
  process.on('disconnect', () => process.exit(0))
}

/** `H`: the handlers of the module. */
export class Remote<H extends Handlers> {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve: (result: never) => void; reject: (why: Error) => void }>()
  #serial = 0

  constructor(module: string, args: readonly string[] = []) {
    const execArgv = ['--expose-gc', ...(process.env['BENCH_PROFILE'] ? ['--cpu-prof'] : [])]
    this.#process = fork(fileURLToPath(new URL(module, import.meta.url)), [...args], { execArgv })
    this.#process.on('message', ({ serial, result, error }: Answer) => {
      const waiting = this.#waiting.get(serial)
      this.#waiting.delete(serial)
      if (error === undefined) waiting?.resolve(result as never)
      else waiting?.reject(new Error(`${module}: ${error}`))
    })
    this.#process.once('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${module} ended with ${code}`))
    })
  }

  call<N extends keyof H & string>(
    name: N,
    ...[argument]: Parameters<H[N]>
  ): Promise<Awaited<ReturnType<H[N]>>> {
    const serial = ++this.#serial
    return new Promise((resolve, reject) => {
      this.#waiting.set(serial, { resolve, reject })
      this.#process.send({ serial, name, argument } satisfies Call, (error) => {
        if (error) reject(error)
      })
    })
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const gone = once(this.#process, 'exit')
    this.#process.disconnect()
    await gone
  }
}
