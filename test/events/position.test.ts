import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodePosition, encodePosition, PositionError } from '../../src/events/position.ts'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'

const versions = fc.option(
  fc.oneof(
    fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String),
    fc.integer({ min: 1, max: 300 }).map(String),
    fc.constantFrom('0', '007', '1.5', '-3', 'abc', '', String(2n ** 63n)),
  ),
)
const isComparable = (version: string) => /^[1-9][0-9]*$/.test(version) && BigInt(version) < 2n ** 63n

describe('a position', () => {
  it('says again what it was made from, but for versions that cannot be compared', () => {
    fc.assert(
      fc.property(
        fc.subarray([...ALL_KINDS]),
        fc.dictionary(fc.string(), fc.array(versions, { maxLength: ALL_KINDS.length }), { maxKeys: 6 }),
        (kinds, clusters) => {
          const position = decodePosition(encodePosition(kinds, Object.entries(clusters)))
          for (const [cluster, known] of Object.entries(clusters)) {
            kinds.forEach((kind, i) => {
              const version = known[i] ?? undefined
              const expected = version === undefined ? undefined : isComparable(version) ? version : null
              expect(position.versionOf(cluster, kind)).toBe(expected)
            })
          }
          expect(position.versionOf('no such cluster, surely', 'Pod')).toBeUndefined()
        },
      ),
    )
  })

  it('is the same text on every replica', () => {
    expect(encodePosition(['Pod'], [['east', ['12345']]])).toBe(
      encodePosition(['Pod'], [['east', ['12345']]]),
    )
    expect(encodePosition(['Pod'], [['east', ['300']]])).toBe('AgEDUG9kAAAAAAAAa9smKwIBrQI')
  })

  it('knows whether it knows of clusters that are not named', () => {
    const position = decodePosition(
      encodePosition(
        ['Pod', 'Node'],
        [
          ['east', ['1', null]],
          ['west', [null, '?']],
        ],
      ),
    )
    expect(position.knowsOthers(['east', 'west'], ['Pod', 'Node'])).toBe(false)
    expect(position.knowsOthers(['east'], ['Pod', 'Node'])).toBe(true)
    expect(position.knowsOthers(['east'], ['Pod'])).toBe(false)
    expect(position.knowsOthers([], ['Pod'])).toBe(true)
  })

  it('grows by some ten bytes for each cluster', () => {
    const clusters = Array.from({ length: 500 }, (_, i) => [`cluster-${i}`, ['123456789']] as const)
    expect(encodePosition(['Pod'], clusters).length).toBeLessThan(500 * 14 + 20)
  })
})

describe('a text that is no position', () => {
  it.each([
    '',
    'A',
    'AA',
    '!',
    'AQ',
    'AgEDUG9k',
    'AQEDUG9',
    'AQEDUG9kAAAA',
    'AQEDUG9k=',
    'AQEDUG9k AQ',
    'UG9kL2Vhc3QvYS9i',
  ])('%j is refused', (text) => {
    expect(() => decodePosition(text)).toThrow(PositionError)
  })

  it('is refused, or is one', () => {
    const valid = encodePosition(
      ['Pod', 'Node'],
      [
        ['east', ['300', '2']],
        ['west', ['9007199254740993', null]],
      ],
    )
    const mutated = fc
      .tuple(fc.nat({ max: valid.length - 1 }), fc.string({ maxLength: 3 }), fc.nat({ max: 4 }))
      .map(([at, text, cut]) => valid.slice(0, at) + text + valid.slice(at + cut))
    const bytes = fc
      .uint8Array({ maxLength: 60 })
      .map((bytes) => Buffer.from([1, ...bytes]).toString('base64url'))
    fc.assert(
      fc.property(fc.oneof(fc.string(), mutated, bytes), (text) => {
        try {
          decodePosition(text).versionOf('east', 'Pod')
        } catch (error) {
          expect(error).toBeInstanceOf(PositionError)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('of any length is refused at once', () => {
    expect(() => decodePosition('A'.repeat(5_000_000))).toThrow(PositionError)
  })
})
