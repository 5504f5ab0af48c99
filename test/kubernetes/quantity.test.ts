import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseQuantity, quantityValue } from '../../src/kubernetes/quantity.ts'

const FACTORS: Readonly<Record<string, readonly [bigint, bigint]>> = {
  n: [1n, 10n ** 9n],
  u: [1n, 10n ** 6n],
  m: [1n, 10n ** 3n],
  '': [1n, 1n],
  k: [10n ** 3n, 1n],
  M: [10n ** 6n, 1n],
  G: [10n ** 9n, 1n],
  T: [10n ** 12n, 1n],
  P: [10n ** 15n, 1n],
  E: [10n ** 18n, 1n],
  Ki: [2n ** 10n, 1n],
  Mi: [2n ** 20n, 1n],
  Gi: [2n ** 30n, 1n],
  Ti: [2n ** 40n, 1n],
  Pi: [2n ** 50n, 1n],
  Ei: [2n ** 60n, 1n],
}

/** A finite double as the exact fraction that it is. */
function exactly(value: number): readonly [bigint, bigint] {
  const bits = new BigUint64Array(new Float64Array([value]).buffer)[0]!
  const exponent = Number((bits >> 52n) & 0x7ffn)
  const mantissa = exponent === 0 ? bits & 0xfffffffffffffn : (bits & 0xfffffffffffffn) | (1n << 52n)
  const power = (exponent === 0 ? 1 : exponent) - 1075
  return power >= 0 ? [mantissa << BigInt(power), 1n] : [mantissa, 1n << BigInt(-power)]
}

/** |value - numerator/denominator|, as a fraction over a common denominator. */
function distance(value: number, numerator: bigint, denominator: bigint): readonly [bigint, bigint] {
  const [n, d] = exactly(value)
  const difference = n * denominator - numerator * d
  return [difference < 0n ? -difference : difference, d * denominator]
}

function neighbours(value: number): readonly number[] {
  const bits = new BigUint64Array(new Float64Array([value]).buffer)
  return [bits[0]! - 1n, bits[0]! + 1n].map((bits) => new Float64Array(new BigUint64Array([bits]).buffer)[0]!)
}

describe('a quantity', () => {
  it.each([
    ['250m', 0.25],
    ['100n', 1e-7],
    ['0.1', 0.1],
    ['1.5Gi', 1_610_612_736],
    ['3e6', 3_000_000],
    ['12E2', 1200],
    ['2E', 2e18],
    ['1Ei', 2 ** 60],
    ['.5', 0.5],
    ['5.', 5],
    ['-1', -1],
    ['+2k', 2000],
    ['1e-3', 0.001],
    ['0', 0],
  ])('%s is %d', (text, value) => {
    expect(quantityValue(text)).toBe(value)
    expect(parseQuantity(text)).toEqual({ text, value })
  })

  it.each(['', 'm', 'Gi', '1K', '1gi', '1 Gi', '1e', '1.2.3', '0x10', '1Mi2', 'NaN', '1e3Ki', '--1'])(
    '%j is none',
    (text) => {
      expect(quantityValue(text)).toBeUndefined()
      expect(parseQuantity(text)).toBeNull()
    },
  )

  it('may be a bare number, and nothing else', () => {
    expect(parseQuantity(2)).toEqual({ text: '2', value: 2 })
    for (const value of [null, undefined, true, {}, []]) expect(parseQuantity(value)).toBeNull()
  })

  it('is the double closest to its exact value, whatever its suffix', () => {
    const digits = fc.tuple(
      fc.bigInt({ min: 1n, max: 10n ** 15n }),
      fc.integer({ min: 0, max: 9 }),
      fc.constantFrom(...Object.keys(FACTORS)),
    )
    fc.assert(
      fc.property(digits, ([digits, decimals, suffix]) => {
        const padded = digits.toString().padStart(decimals + 1, '0')
        const split = padded.length - decimals
        const text = `${padded.slice(0, split)}${decimals > 0 ? `.${padded.slice(split)}` : ''}${suffix}`
        const [factor, divisor] = FACTORS[suffix]!
        const numerator = digits * factor
        const denominator = 10n ** BigInt(decimals) * divisor
        const value = quantityValue(text)!
        const [off, scale] = distance(value, numerator, denominator)
        for (const other of neighbours(value)) {
          const [otherOff, otherScale] = distance(other, numerator, denominator)
          expect(off * otherScale <= otherOff * scale, `${text} = ${value}, not ${other}`).toBe(true)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
