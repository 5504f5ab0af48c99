import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ALL_KINDS, globalId } from '../../../src/kubernetes/kinds.ts'
import { seconds } from '../../../src/kubernetes/projections/fields.ts'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import type { Kind } from '../../../src/kubernetes/rows.ts'
import { EVERYTHING, oddObjects } from '../support/odd-objects.ts'

/** The shape of every value, not its content: `{a: [string]}`. */
function fieldsOf(row: object): string[] {
  return Object.keys(JSON.parse(JSON.stringify(row)) as object).sort()
}

describe('every projection', () => {
  it.each(ALL_KINDS)('%s makes a row of whatever it is given', (kind: Kind) => {
    const fields = fieldsOf(project(kind)({}, 'prod'))
    fc.assert(
      fc.property(oddObjects, (object) => {
        const row = project(kind)(object, 'prod')
        expect(row.kind).toBe(kind)
        expect(row.cluster).toBe('prod')
        // No field is missing or new: rows of a kind have one shape.
        expect(fieldsOf(row)).toEqual(fields)
      }),
      { numRuns: 200 },
    )
  })

  it.each(ALL_KINDS)('%s gives the metadata and the global ID', (kind: Kind) => {
    const metadata = {
      name: 'web',
      namespace: 'shop',
      uid: 'u',
      resourceVersion: '42',
      generation: 3,
      creationTimestamp: '2026-11-23T04:31:00Z',
      deletionTimestamp: '2026-11-23T05:31:00Z',
      labels: { app: 'web' },
    }
    expect(project(kind)({ metadata }, 'prod')).toMatchObject({
      id: globalId(kind, 'prod', 'shop', 'web'),
      name: 'web',
      namespace: 'shop',
      uid: 'u',
      resourceVersion: '42',
      generation: 3,
      creationTimestamp: Date.parse(metadata.creationTimestamp) / 1000,
      deletionTimestamp: Date.parse(metadata.deletionTimestamp) / 1000,
      labels: { app: 'web' },
      owner: null,
    })
  })

  it.each(ALL_KINDS)('%s makes a row that nobody can change', (kind: Kind) => {
    const isFrozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(isFrozen))
    expect(isFrozen(project(kind)(EVERYTHING, 'prod'))).toBe(true)
    // What a projection gives out must not be the caller's own.
    expect(Object.isFrozen(EVERYTHING.spec.selector)).toBe(false)
  })

  it.each(ALL_KINDS)('%s leaves the object as it was', (kind: Kind) => {
    fc.assert(
      fc.property(oddObjects, (object) => {
        const before = JSON.stringify(object)
        project(kind)(object, 'prod')
        expect(JSON.stringify(object)).toBe(before)
      }),
      { numRuns: 20 },
    )
  })
})

describe('times', () => {
  it('are those of Date.parse, for every second', () => {
    const from = Date.UTC(1970, 0, 1)
    const to = Date.UTC(2400, 0, 1)
    fc.assert(
      fc.property(fc.integer({ min: from / 1000, max: to / 1000 }), (second) => {
        const text = new Date(second * 1000).toISOString()
        expect(seconds(text)).toBe(second)
        expect(seconds(text.replace('.000Z', 'Z'))).toBe(second)
        expect(seconds(text.replace('.000Z', '.999999Z'))).toBe(second)
        expect(seconds(text.replace('.000Z', '+00:00'))).toBe(second)
      }),
    )
  })

  it.each(['', 'soon', '2026-11-23', null, 7, '2026-11-23T04:3x:00Z'])('%j', (value) => {
    expect(seconds(value)).toBe(value === '2026-11-23' ? Date.UTC(2026, 10, 23) / 1000 : null)
  })
})
