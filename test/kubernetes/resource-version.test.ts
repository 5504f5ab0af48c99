import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareResourceVersions } from '../../src/kubernetes/resource-version.ts'

describe('the order of resource versions', () => {
  it('is that of their numbers, however large', () => {
    const numbers = fc.bigInt({ min: 1n, max: 2n ** 64n })
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const order = compareResourceVersions(String(a), String(b))
        expect(Math.sign(order!)).toBe(a < b ? -1 : a > b ? 1 : 0)
      }),
    )
  })

  it('is exact where numbers of JavaScript are not', () => {
    expect(compareResourceVersions('9007199254740993', '9007199254740992')).toBeGreaterThan(0)
    expect(compareResourceVersions('9', '10')).toBeLessThan(0)
  })

  it('holds of a text and itself, whatever it is', () => {
    for (const text of ['', '0', 'abc', '7']) expect(compareResourceVersions(text, text)).toBe(0)
  })

  it.each(['', '0', '07', '-1', '1.5', '1e3', ' 1', '1 ', 'abc', '１'])('is unknown for %j', (text) => {
    expect(compareResourceVersions(text, '1')).toBe(undefined)
    expect(compareResourceVersions('1', text)).toBe(undefined)
  })
})
