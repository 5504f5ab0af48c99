/** What a document may ask for at most. */
import { parse } from 'graphql'
import { describe, expect, test } from 'vitest'
import { viewerOf } from '../../src/access/viewer.ts'
import { Executor } from '../../src/server/execution.ts'
import { checkLimits, DEFAULT_LIMITS } from '../../src/server/limits.ts'
import { silent } from '../../src/server/logger.ts'
import { zoo, zooContext } from './zoo.ts'

const limitOf = (query: string) => checkLimits(parse(query), DEFAULT_LIMITS)?.extensions['limit']

const nested = (levels: number) => `${'{ self '.repeat(levels)}{ echo }${' }'.repeat(levels)}`

describe('limits', () => {
  test('let the queries of a portal through', () => {
    expect(limitOf(nested(DEFAULT_LIMITS.depth - 1))).toBeUndefined()
  })

  test('hold for depth, also when it is folded into fragments', () => {
    expect(limitOf(nested(DEFAULT_LIMITS.depth))).toBe('depth')
    const fragments = Array.from(
      { length: DEFAULT_LIMITS.depth + 1 },
      (_, level) => `fragment F${level} on Query { self { ...F${level + 1} } }`,
    )
    expect(limitOf(`{ ...F0 } ${fragments.join('\n')} fragment F${fragments.length} on Query { echo }`)).toBe(
      'depth',
    )
    expect(limitOf('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A echo }')).toBeUndefined()
  })

  test('hold for aliases, directives and fields', () => {
    const repeat = (count: number, part: (index: number) => string) =>
      `{ ${Array.from({ length: count }, (_, index) => part(index)).join(' ')} }`
    expect(limitOf(repeat(65, (index) => `a${index}: echo`))).toBe('aliases')
    expect(limitOf(repeat(51, () => 'echo @include(if: true)'))).toBe('directives')
    expect(limitOf(repeat(401, () => 'echo'))).toBe('fields')
  })

  test('hold for the whole document before it is validated, however deep it is', () => {
    const executor = new Executor({ schema: zoo, logger: silent, rightsKey: () => '' })
    const asker = {
      viewer: viewerOf({ name: 'x', groups: [] }),
      context: () => zooContext(),
      sharedContext: () => zooContext(),
    }
    const limit = (query: string) => {
      const result = executor.execute({ query }, asker)
      return 'errors' in result ? result.errors?.[0]?.extensions['limit'] : undefined
    }
    expect(limit(`{ ${'echo '.repeat(6_000)} }`)).toBe('tokens')
    expect(limit(`{ echo } ${'#\n'.repeat(6_000)}`)).toBe('tokens')
    expect(limit(nested(4_000))).toMatch(/depth|tokens/)
    expect(limit(nested(20_000))).toBe('characters')
    expect(limit(`{ echo } #${'x'.repeat(DEFAULT_LIMITS.characters - 10)}`)).toBeUndefined()
    expect(limit(`{ echo } #${'x'.repeat(DEFAULT_LIMITS.characters - 9)}`)).toBe('characters')
    expect(limit(nested(1_000))).toBe('depth')
    expect(limit(`{ echo(anything: ${'['.repeat(2_400)}${']'.repeat(2_400)}) }`)).toMatch(/depth|tokens/)
  })

  test('let the introspection of GraphiQL through', async () => {
    const { getIntrospectionQuery } = await import('graphql')
    expect(
      limitOf(getIntrospectionQuery({ descriptions: true, inputValueDeprecation: true })),
    ).toBeUndefined()
  })
})
