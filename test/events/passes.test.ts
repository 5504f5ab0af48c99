import { describe, expect, it } from 'vitest'
import { Passes } from '../../src/events/passes.ts'

describe('passes', () => {
  it('give each of many its share of a turn, so that all have had theirs long before one turn for each', async () => {
    const passes = new Passes()
    const waiting = new Set(Array.from({ length: 60 }, (_, i) => i))
    for (const i of waiting) {
      passes.add({
        run(spent) {
          waiting.delete(i)
          while (!spent());
          return true
        },
        fail(error) {
          throw error
        },
      })
    }
    let turns = 0
    for (; waiting.size > 0; turns++) await new Promise((resolve) => setImmediate(resolve))
    passes.close()
    expect(turns).toBeLessThan(40)
  })
})
