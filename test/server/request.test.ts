/** What is made of a body before anybody knows what it asks. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BadRequest, jsonOf } from '../../src/server/request.ts'

const nested = (levels: number, inside: string) => `${'['.repeat(levels)}${inside}${']'.repeat(levels)}`

describe('a body', () => {
  test('is read as JSON, whatever brackets, quotes and backslashes its strings hold', () => {
    const text = fc.string({ unit: fc.constantFrom('"', '\\', '[', '{', ']', '}', 'ä', 'x') })
    fc.assert(
      fc.property(fc.array(fc.dictionary(text, text)), (value) => {
        expect(jsonOf(JSON.stringify(value))).toEqual(value)
      }),
    )
  })

  test('is no deeper than any client means, and what its strings hold does not count', () => {
    const brackets = JSON.stringify('["\\'.repeat(10_000))
    let most = 1
    while (isRead(nested(most, '1'))) most++
    fc.assert(
      fc.property(fc.string(), (value) => {
        const inside = `${brackets},${JSON.stringify(value)}`
        expect(isRead(nested(most - 1, inside))).toBe(true)
        expect(isRead(nested(most, inside))).toBe(false)
      }),
    )
    expect(most).toBeGreaterThan(50)
    expect(() => jsonOf(nested(most, '1'))).toThrow('nested deeper')
  })

  test('is refused where a string of it has no end', () => {
    expect(() => jsonOf('{"query": "{ a }')).toThrow(BadRequest)
    expect(() => jsonOf('{"query": "{ a }\\"}')).toThrow(BadRequest)
  })
})

function isRead(text: string): boolean {
  try {
    jsonOf(text)
    return true
  } catch {
    return false
  }
}
