/** Replicas of the gateway that die in the middle of an operation. */
import type { OperationLease, OperationStore } from '../../src/writes/operation.ts'
import type { Stepper } from '../../src/writes/stepping.ts'

/**
 * What a replica drives operations with, until it dies: at its so-many-th moment, or by `die`. Then nothing of it goes
 * on – what it asked for is done or not, and it never hears of it –, and its leases end.
 */
export class Mortal {
  readonly store: OperationStore
  readonly stepper: Stepper
  readonly #leases = new Set<OperationLease>()
  #left: number

  constructor(lives: number, store: OperationStore, stepper: Stepper) {
    this.#left = lives
    const leased = <A>(take: (asked: A) => Promise<OperationLease | undefined>) =>
      this.#moments(async (asked: A) => {
        const lease = await take(asked)
        if (!lease) return undefined
        this.#leases.add(lease)
        return {
          id: lease.id,
          signal: lease.signal,
          cancelled: lease.cancelled,
          step: this.#moments(lease.step.bind(lease)),
          progress: this.#moments(lease.progress.bind(lease)),
          release: async () => {
            if (this.isDead) return NEVER
            this.#leases.delete(lease)
            return lease.release()
          },
        }
      })
    this.store = {
      shared: store.shared,
      create: leased(store.create.bind(store)),
      read: this.#alive(store.read.bind(store)),
      list: this.#alive(store.list.bind(store)),
      takeOver: leased(store.takeOver.bind(store)),
      orphans: this.#alive(store.orphans.bind(store)),
      requestCancel: this.#alive(store.requestCancel.bind(store)),
      onChange: store.onChange.bind(store),
      close: async () => {},
    }
    this.stepper = {
      prepare: this.#alive(stepper.prepare.bind(stepper)),
      execute: this.#moments(stepper.execute.bind(stepper)),
      settle: this.#moments(stepper.settle.bind(stepper)),
    }
  }

  die(): void {
    this.#left = 1
    this.#live()
  }

  /** Operations that it has the right to drive. */
  get drives(): number {
    return this.#leases.size
  }

  get isDead(): boolean {
    return this.#left <= 0
  }

  #alive<A extends readonly unknown[], T>(work: (...args: A) => Promise<T>) {
    return async (...args: A): Promise<T> => {
      if (this.isDead) return NEVER
      const result = await work(...args)
      return this.isDead ? NEVER : result
    }
  }

  /** One moment before it, and one after it. */
  #moments<A extends readonly unknown[], T>(work: (...args: A) => Promise<T>) {
    return async (...args: A): Promise<T> => {
      // Nothing is written, or sent, in the same turn in which it is asked for.
      await turn()
      this.#live()
      if (this.isDead) return NEVER
      const result = await work(...args)
      this.#live()
      return this.isDead ? NEVER : result
    }
  }

  #live(): void {
    if (this.isDead || --this.#left > 0) return
    for (const lease of this.#leases) void lease.release()
  }
}

const NEVER = new Promise<never>(() => {})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
