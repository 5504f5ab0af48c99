import { describe, expect, it } from 'vitest'
import { Turns } from '../../src/fleet/ingest-turns.ts'
import { settled } from '../support/fake-clock.ts'

/** Turns on a clock that only work moves, and what was done in which order. */
function setUp() {
  let now = 0
  const done: string[] = []
  const turns = new Turns({ sliceMs: 5, now: () => now })
  /** Work in pieces of 2 ms. */
  const work = (name: string, pieces: number) => {
    let left = pieces
    return () => {
      while (left > 0) {
        if (turns.spent) return true
        now += 2
        left--
        done.push(name)
      }
      return false
    }
  }
  return { turns, work, done }
}

describe('turns of ingest', () => {
  it('are spent after their time, until the event loop has turned', async () => {
    const { turns, work, done } = setUp()
    expect(turns.spent).toBe(false)
    expect(work('a', 10)()).toBe(true)
    expect(done).toHaveLength(3)
    expect(turns.spent).toBe(true)
    await settled()
    expect(turns.spent).toBe(false)
  })

  it('are shared fairly: a slice for each, the last to come first served last', async () => {
    const { turns, work, done } = setUp()
    for (const name of ['a', 'b']) turns.later(work(name, 6))
    for (let i = 0; i < 5; i++) await settled()
    expect(done.join('')).toBe('aaabbbaaabbb')
  })

  it('let several small pieces of work share a slice', async () => {
    const { turns, work, done } = setUp()
    for (const name of ['a', 'b', 'c']) turns.later(work(name, 1))
    await new Promise((resolve) => setImmediate(resolve))
    expect(done.join('')).toBe('abc')
  })

  it('forget work that is not wanted any more', async () => {
    const { turns, work, done } = setUp()
    const unwanted = work('a', 1)
    turns.later(unwanted)
    turns.later(work('b', 1))
    turns.forget(unwanted)
    await settled()
    expect(done.join('')).toBe('b')
  })
})
