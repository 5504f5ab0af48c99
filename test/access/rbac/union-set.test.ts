import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Fingerprints, NO_MEMBERS } from '../../../src/access/rbac/fingerprint.ts'
import { ALL, intersection, ReadRights, scopeOf } from '../../../src/access/rbac/scopes.ts'
import { unionOf } from '../../../src/access/rbac/union-set.ts'
import type { Scope } from '../../../src/fleet/selection.ts'
import { plain, shows } from './objects.ts'

const member = fc.nat(150).map((i) => `ns-${i}`)
const set = fc.uniqueArray(member, { maxLength: 150 }).map((members): ReadonlySet<string> => new Set(members))

describe('a union of sets', () => {
  it('is the set of all their members, to whoever uses it as a set', () => {
    fc.assert(
      fc.property(fc.array(fc.array(set, { maxLength: 12 }), { maxLength: 3 }), set, (nested, other) => {
        const union = unionOf(nested.map((sets) => unionOf(sets)))
        const plain = nested.flat().reduce((all, set) => all.union(set), new Set<string>())
        expect([...union].sort()).toEqual([...plain].sort())
        expect([...union.keys()].length).toBe(union.size)
        expect(union.size).toBe(plain.size)
        for (let i = 0; i <= 150; i++) expect(union.has(`ns-${i}`)).toBe(plain.has(`ns-${i}`))
        const seen: string[] = []
        union.forEach((value) => seen.push(value))
        expect(new Set(seen)).toEqual(plain)
        expect(new Set([...union.entries()].map(([key]) => key))).toEqual(plain)
        expect(union.union(other)).toEqual(plain.union(other))
        expect(union.intersection(other)).toEqual(plain.intersection(other))
        expect(union.difference(other)).toEqual(plain.difference(other))
        expect(union.symmetricDifference(other)).toEqual(plain.symmetricDifference(other))
        expect(union.isSubsetOf(other)).toBe(plain.isSubsetOf(other))
        expect(other.isSubsetOf(union)).toBe(other.isSubsetOf(plain))
        expect(union.isSupersetOf(other)).toBe(plain.isSupersetOf(other))
        expect(union.isDisjointFrom(other)).toBe(plain.isDisjointFrom(other))
      }),
    )
  })
})

describe('rights to read', () => {
  const names = fc.oneof(
    fc.constant('all' as const),
    fc.subarray(['web', 'db', 'a/b'], { minLength: 1 }).map((names) => new Set(names)),
  )
  const allowance = fc.record({
    namespace: fc.oneof({ weight: 20, arbitrary: member }, fc.constant('')),
    names,
  })
  const scope: fc.Arbitrary<Scope> = fc.array(allowance, { maxLength: 120 }).map((all) => scopeOf(all, true))
  const everyObject = Array.from({ length: 151 }, (_, i) =>
    ['web', 'db', 'x'].map((name) => [`ns-${i}`, name] as const),
  ).flat()

  it('united show what any of them shows, and put together what both show', () => {
    fc.assert(
      fc.property(fc.array(scope, { minLength: 2, maxLength: 5 }), (scopes) => {
        const rights = new ReadRights()
        const some = scopes.map((scope) => rights.of(scope))
        const united = rights.union(some).scope
        const both = intersection(scopes[0]!, scopes[1]!)
        for (const [namespace, name] of everyObject) {
          expect(shows(united, namespace, name)).toBe(scopes.some((scope) => shows(scope, namespace, name)))
          expect(shows(both, namespace, name)).toBe(
            shows(scopes[0], namespace, name) && shows(scopes[1], namespace, name),
          )
        }
      }),
      { numRuns: 40 },
    )
  })

  it('are one object where they say the same, however they came about, and only there', () => {
    fc.assert(
      fc.property(fc.array(allowance, { maxLength: 200 }), fc.nat(200), fc.nat(200), (all, one, two) => {
        const rights = new ReadRights()
        const whole = rights.of(scopeOf(all, true))
        const [from, to] = [Math.min(one, two), Math.max(one, two)]
        const pieces = [all.slice(to), all.slice(0, from), all.slice(from, to)]
        const united = rights.union(pieces.map((piece) => rights.of(scopeOf(piece, true))))
        expect(united).toBe(whole)
        const shuffled = rights.of(scopeOf(all.toReversed(), true))
        expect(shuffled).toBe(whole)
        const more = rights.of(scopeOf([...all, { namespace: 'another', names: 'all' }], true))
        expect(more === whole).toBe(whole === ALL)
      }),
    )
  })

  it('take no namespace for an object or a name', () => {
    const rights = new ReadRights()
    const of = (what: 'namespaces' | 'objects' | 'names') =>
      rights.of({ namespaces: new Set(), [what]: new Set(['x/y']) })
    expect(plain(of('namespaces').scope)).toEqual({ namespaces: ['x/y'] })
    expect(plain(of('objects').scope)).toEqual({ objects: ['x/y'] })
    expect(plain(of('names').scope)).toEqual({ names: ['x/y'] })
  })

  it('leave out names where they would be too many pairs with namespaces, and show less', () => {
    const many = (prefix: string) => new Set(Array.from({ length: 1_000 }, (_, i) => `${prefix}${i}`))
    const both = intersection(
      { namespaces: many('ns-') },
      { namespaces: new Set(['ns-1']), names: many('pod-') },
    )
    expect(plain(both)).toMatchObject({ namespaces: ['ns-1'], objects: [] })
  })
})

describe('a fingerprint', () => {
  it('is undone by what it was changed by', () => {
    const [names, others] = [new Fingerprints('name'), new Fingerprints('other')]
    const [one, two] = [names.of('one'), names.of('two')]
    expect(one).not.toBe(two)
    expect(one).not.toBe(others.of('one'))
    expect(one ^ two ^ one).toBe(names.of('two'))
    expect(one ^ one).toBe(NO_MEMBERS)
  })
})
