import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readJwt, repeatsName } from '../../../src/access/authentication/jwt.ts'

const part = (text: string): string => Buffer.from(text).toString('base64url')

describe('what a JWT says of itself', () => {
  it('is read where it is one', () => {
    const token = `${part('{"alg":"RS256","kid":"a"}')}.${part('{"iss":"https://a.example"}')}.c2ln`
    expect(readJwt(token)).toEqual({
      header: { alg: 'RS256', kid: 'a' },
      claims: { iss: 'https://a.example' },
    })
  })

  it('is nothing where the token is opaque', () => {
    for (const token of [
      'opaque',
      'a.b.c',
      'fg_1_2',
      `${part('{"no":"alg"}')}.${part('{}')}.x`,
      'a.b.c.d.e',
    ]) {
      expect(readJwt(token)).toBeUndefined()
    }
  })

  it('is refused where it is ambiguous or broken', () => {
    const header = part('{"alg":"RS256"}')
    for (const token of [
      `${header}.${part('{"iss":"a","iss":"b"}')}.x`,
      `${header}.${part('{"sub":"a","\\u0073ub":"b"}')}.x`,
      `${header}.${part('{"a":{"b":1,"b":2}}')}.x`,
      `${part('{"alg":"RS256","alg":"none"}')}.${part('{}')}.x`,
      `${header}.${part('[]')}.x`,
      `${header}.${part('not json')}.x`,
      `${header}.${Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url')}.x`,
    ]) {
      expect(() => readJwt(token)).toThrow('The token is malformed.')
    }
  })
})

describe('a name that stands in an object twice', () => {
  it('is found in no JSON that was written from an object', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(repeatsName(JSON.stringify(value))).toBe(false)
      }),
    )
  })

  it('is found wherever it stands, however it is written', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.jsonValue(),
        fc.jsonValue(),
        fc.array(fc.jsonValue()),
        (name, one, two, more) => {
          const escaped = Array.from({ length: name.length }, (_, i) => name.charCodeAt(i))
            .map((code) => `\\u${code.toString(16).padStart(4, '0')}`)
            .join('')
          const twice = `{${JSON.stringify(name)}:${JSON.stringify(one)},"${escaped}":${JSON.stringify(two)}}`
          const around = more.map((value) => `${JSON.stringify(value)},`).join('')
          expect(repeatsName(`{"outer":[${around}${twice}]}`)).toBe(true)
        },
      ),
    )
  })

  it('is no name that an inner object has, too', () => {
    expect(repeatsName('{"a":{"a":[{"a":1},{"a":"a\\":"}]},"b":"a"}')).toBe(false)
  })
})
