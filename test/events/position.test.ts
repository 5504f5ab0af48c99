import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodePosition, encodePosition, PositionError } from '../../src/events/position.ts'
import { sealOf } from '../../src/events/seal.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import type { Kind } from '../../src/kubernetes/rows.ts'

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

describe('the rights in a position', () => {
  const some = (...names: readonly string[]): Scope => ({ namespaces: new Set(names) })
  const rights = (scopes: Readonly<Record<string, Scope>>) => (cluster: string, kind: Kind) =>
    scopes[cluster] && sealOf(cluster, kind, scopes[cluster])

  /** Pods and Nodes of these clusters, as far as a version is given. */
  function position(scopes: Readonly<Record<string, Scope>>, version: string | null = '10') {
    const sealed = rights(scopes)
    const known = Object.keys(scopes).map(
      (name) =>
        [name, ['10', version], [{ seal: sealed(name, 'Pod')! }, { seal: sealed(name, 'Node')! }]] as const,
    )
    return decodePosition(encodePosition(['Pod', 'Node'], known))
  }

  const isSealedBy = (
    of: ReturnType<typeof position>,
    scopes: Readonly<Record<string, Scope>>,
    kinds: readonly Kind[] = ['Pod', 'Node'],
  ) => of.isSealedBy(Object.keys(scopes), kinds, rights(scopes))

  it('are the same for the same content, in whatever order that is', () => {
    const made = position({ east: some('a', 'b'), west: 'all' })
    expect(isSealedBy(made, { west: 'all', east: some('b', 'a') })).toBe(true)
    expect(isSealedBy(made, { east: some('b', 'a'), west: 'all' }, ['Pod'])).toBe(true)
  })

  it('are others in any cluster, and for any kind of scope', () => {
    const scopes: readonly Scope[] = [
      'all',
      some(),
      some('a'),
      some('a', 'b'),
      { namespaces: new Set(), names: new Set(['a']) },
      { namespaces: new Set(), objects: new Set(['a']) },
    ]
    for (const made of scopes) {
      for (const now of scopes) {
        const isSame = made === now
        expect(isSealedBy(position({ east: made }), { east: now })).toBe(isSame)
        expect(isSealedBy(position({ east: made, west: now }), { east: now, west: made })).toBe(isSame)
      }
    }
  })

  it('are those of tables that it knows: what joined since is none of them', () => {
    const made = position({ east: 'all' }, null)
    expect(isSealedBy(made, { east: 'all', west: some('a') })).toBe(true)
    expect(isSealedBy(made, { east: some('a') })).toBe(false)
    // Nothing is known of its Nodes.
    const sealed = (_cluster: string, kind: Kind) => sealOf('east', kind, kind === 'Node' ? some('a') : 'all')
    expect(made.isSealedBy(['east'], ['Pod', 'Node'], sealed)).toBe(true)
  })

  it('that are gone are others', () => {
    expect(position({ east: 'all' }).isSealedBy(['east'], ['Pod'], () => undefined)).toBe(false)
  })

  it('were not in the format before', () => {
    const before = decodePosition('AQEDUG9ka9smKwIBCw')
    expect(before.versionOf('east', 'Pod')).toBe('10')
    expect(before.isSealedBy(['east'], ['Pod'], () => undefined)).toBe(false)
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
      .map((bytes) => Buffer.from([bytes.length % 2 ? 1 : 2, ...bytes]).toString('base64url'))
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
