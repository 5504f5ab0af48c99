/** What takes milliseconds for each of a thousand results: one at a time, with others being answered between. */
import { setImmediate } from 'node:timers/promises'
import type { GraphContext } from '../context.ts'

/** Milliseconds that a request may take at once. */
const TURN_MS = 10

interface Turns {
  spentMs: number
  /** What came before; `undefined`: nothing has to wait yet. */
  last: Promise<unknown> | undefined
}

const TURNS = new WeakMap<GraphContext, Turns>()

/** At once where the request has taken little so far, else when it is its turn. What has no time left does not wait. */
export function inTurn<T>(context: GraphContext, work: () => T): T | Promise<T> {
  let turns = TURNS.get(context)
  if (!turns) TURNS.set(context, (turns = { spentMs: 0, last: undefined }))
  if (!turns.last) {
    const began = performance.now()
    const value = work()
    turns.spentMs += performance.now() - began
    if (turns.spentMs > TURN_MS) turns.last = Promise.resolve()
    return value
  }
  const mine = turns.last.then(async () => {
    if (!context.signal?.aborted) await setImmediate()
    return work()
  })
  turns.last = mine.catch(() => {})
  return mine
}
