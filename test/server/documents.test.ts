/** Texts of requests, parsed once and kept; and the keys that they are kept by. */
import { GraphQLError } from 'graphql'
import { describe, expect, it } from 'vitest'
import { createSchema } from '../../src/graph/schema.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { Admission } from '../../src/server/admission.ts'
import { Documents } from '../../src/server/documents.ts'
import { DEFAULT_LIMITS } from '../../src/server/limits.ts'
import { RateLimits } from '../../src/server/rate-limits.ts'
import { textKey } from '../../src/server/text-key.ts'

const schema = createSchema()
const documents = (cpuMs?: () => number) =>
  new Documents(schema, {
    ...(cpuMs && { cpuMs }),
    limits: DEFAULT_LIMITS,
    introspection: false,
    suggestions: false,
    bounds: { maxCount: 100, maxBytes: 64 << 20 },
  })
/** Texts of the same length that differ at their end. */
const long = (end: string) => `{ __typename } #${'x'.repeat(20_000)}${end}`

describe('the key of a text', () => {
  it('is the text where that is short, and short where the text is long', () => {
    expect(textKey('{ pods { totalCount } }')).toBe('{ pods { totalCount } }')
    expect(textKey(long('1')).length).toBeLessThan(100)
  })

  it('is another for every text, also for one that is the key of another', () => {
    const keys = [long('1'), long('2'), textKey(long('1')), textKey(textKey(long('1'))), '\0'].map(textKey)
    expect(new Set(keys).size).toBe(keys.length)
  })
})

describe('the texts of requests', () => {
  it('are told apart where they differ at the end of many characters', () => {
    const known = documents()
    const first = known.find(long('1'), undefined)
    const second = known.find(long('2'), undefined)
    expect(second.operation?.id).not.toBe(first.operation?.id)
    expect(known.find(long('1'), undefined).operation).toBe(first.operation)
    expect(first.operation?.hash()).not.toBe(second.operation?.hash())
  })

  it('that are wrong are told where, from the first time on', () => {
    const known = documents()
    for (const text of ['{\n  podz { name } }', '{ pods(']) {
      const told = JSON.stringify(known.find(text, undefined).errors)
      expect(told).toMatch(/"locations":\[\{"line":\d,"column":\d\}\]/)
      expect(JSON.stringify(known.find(text, undefined).errors)).toBe(told)
    }
  })

  it('that are wrong hold nothing of what was read of them', () => {
    const known = documents()
    const errors = known.find(`{ podz { name } } #${'x'.repeat(1_000)}`, undefined).errors!
    expect(errors).toEqual([expect.any(GraphQLError)])
    expect(errors.flatMap(({ nodes = [], source }) => [...nodes, ...(source ? [source] : [])])).toEqual([])
  })

  it('take CPU when they are new, which whoever sends what is refused pays for', () => {
    let cpuMs = 100
    const known = documents(() => (cpuMs += 3))
    for (const text of ['{ podz { name } }', '{ __typename }', '{ podz { name } }'])
      known.find(text, undefined)
    expect(known.parsingMs).toBe(6)

    const charged: (number | undefined)[] = []
    const rates = new RateLimits({ limits: DEFAULT_LIMITS })
    rates.refused = (_viewer, cpuMs) => void charged.push(cpuMs)
    const admission = new Admission({ documents: known, rates })
    const viewer = viewerOf({ name: 'alice', groups: [] }, { method: 'TOKEN', issuer: 'tokens' })
    for (const query of ['{ podzz { name } }', '{ podzz { name } }']) admission.admit({ query }, viewer)
    expect(charged).toEqual([3, 0])
  })
})
