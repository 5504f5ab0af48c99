/**
 * One object for everything that is the same, for as long as anybody holds it: what nobody holds any more is
 * forgotten, key and all, so that days of changes leave nothing behind.
 */
import { hash } from 'node:crypto'

/** Past this a key is kept as its hash. */
const LONG = 128

export class WeakInterner<V extends object> {
  readonly #values = new Map<string, WeakRef<V>>()
  readonly #registry = new FinalizationRegistry<string>((key) => {
    // Another may stand under this key since.
    if (this.#values.get(key)?.deref() === undefined) this.#values.delete(key)
  })

  /** What stands under the key, if anybody holds it. */
  find(key: string): V | undefined {
    return this.#values.get(shortened(key))?.deref()
  }

  /** `make` must depend on nothing but what the key says. */
  get(key: string, make: () => V): V {
    const short = shortened(key)
    const known = this.#values.get(short)?.deref()
    if (known) return known
    const made = make()
    this.#values.set(short, new WeakRef(made))
    this.#registry.register(made, short)
    return made
  }

  /** Keys kept: of what somebody holds, and of what was not collected yet. */
  get size(): number {
    return this.#values.size
  }
}

function shortened(key: string): string {
  return key.length > LONG ? hash('sha256', key, 'base64') : key
}
