/** All inputs, whatever is in them: composers refuse in their own words, or make what an API server accepts. */
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSimulator, type Simulator } from '../../../src/simulator/simulator.ts'
import { applyPath, compositions, sampleOf } from './accepted.ts'

describe('composers', () => {
  const strange = compositions({ junk: true })
  const plain = compositions({ junk: false })

  it.each(Object.entries(strange))('refuse strange input of %s in their own words', (_verb, arbitrary) => {
    // Whatever is no ComposeError is thrown by the arbitrary.
    fc.assert(
      fc.property(arbitrary, () => true),
      { numRuns: 500 },
    )
  })

  it.each(Object.entries(plain))('refuse nothing of what is meant well of %s', (_verb, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, (composed) => composed !== undefined),
      { numRuns: 200 },
    )
  })

  describe('by the validation of a cluster', () => {
    let simulator: Simulator

    beforeAll(async () => {
      simulator = await startSimulator({ name: 'compose' })
    })
    afterAll(() => simulator.close())

    it.each([
      ...Object.entries(plain).map(([verb, arbitrary]) => [verb, 'plain', arbitrary] as const),
      ...Object.entries(strange).map(([verb, arbitrary]) => [verb, 'strange', arbitrary] as const),
    ])('make of %s only what is accepted, of %s input', async (_verb, _input, arbitrary) => {
      const sample = sampleOf(arbitrary, 50, Date.now())
      expect(sample.length).toBeGreaterThan(10)
      for (const { objects } of sample) {
        for (const object of objects) {
          if ((object.metadata?.namespace ?? 'default') !== 'default') continue
          const answer = await fetch(`${simulator.url}${applyPath(object)}`, {
            method: 'PATCH',
            headers: {
              'content-type': 'application/apply-patch+yaml',
              authorization: `Bearer ${simulator.token}`,
            },
            body: JSON.stringify(object),
          })
          if (!answer.ok) throw new Error(`${await answer.text()}\n${JSON.stringify(object)}`)
        }
      }
    })
  })
})
