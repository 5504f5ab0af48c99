import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { textWithoutManagedFields, ValueScanner } from '../../src/fleet/ingest-bytes.ts'
import { type Decoder, ListItems, MalformedAnswer, WatchLines } from '../../src/fleet/ingest.ts'

/** What the cut is held against: parse, and delete every `managedFields` that is an array. */
function deleted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(deleted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(
    ([key, member]) => !(key === 'managedFields' && Array.isArray(member)),
  )
  return Object.fromEntries(entries.map(([key, member]) => [key, deleted(member)]))
}

/**
 * Strings that look like JSON, for everything that is decided on bytes. No lone backslash: where an object
 * had it as a key, JSON.parse of Node 26 takes the key `\n` of a later object for it (V8's key cache).
 */
const text = fc
  .oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(
      'managedFields',
      '"managedFields":[',
      ',"managedFields":[{"a":1}]',
      '{"managedFields":[]}',
      'a\\',
      '\\"',
      '"]}',
      ']},"items":[{',
      '\n',
      'ümlaut 🙂',
    ),
  )
  .filter((each) => each !== '\\')

const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    text,
    fc.integer(),
    fc.constantFrom(null, true, false),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      fc.oneof({ weight: 2, arbitrary: fc.constant('managedFields') }, { weight: 3, arbitrary: text }),
      tie('value'),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
})).value

const object = fc.dictionary(fc.oneof(fc.constant('managedFields'), fc.constant('metadata'), text), json, {
  maxKeys: 5,
  noNullPrototype: true,
})

/** `__proto__` as a key means something else to an object literal than to JSON.parse. */
const plain = (value: unknown) => !JSON.stringify(value).includes('"__proto__"')

function inPieces(decoder: Decoder, bytes: Buffer, cuts: readonly number[]): string[] {
  const texts: string[] = []
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const to of [...ends, bytes.length]) {
    // A buffer of its own that is spoilt afterwards, as a socket's may be.
    const chunk = Buffer.from(bytes.subarray(from, to))
    decoder.write(chunk)
    for (let text = decoder.next(); text !== undefined; text = decoder.next()) texts.push(text)
    decoder.keep()
    chunk.fill(0x7b)
    from = to
  }
  return texts
}

describe('cutting managedFields out of bytes', () => {
  it('leaves what JSON.parse and delete would leave', () => {
    fc.assert(
      fc.property(object.filter(plain), (value) => {
        const bytes = Buffer.from(JSON.stringify(value))
        expect(JSON.parse(textWithoutManagedFields(bytes, 0, bytes.length))).toEqual(deleted(value))
      }),
      { numRuns: 1000 },
    )
  })

  it('takes the bytes of one object out of many', () => {
    const bytes = Buffer.from('xx{"a":{"managedFields":[{"f:x":{}}],"b":1}}yy"managedFields":[')
    expect(textWithoutManagedFields(bytes, 2, 44)).toBe('{"a":{"b":1}}')
  })

  it('keeps indented JSON as it is', () => {
    const text = JSON.stringify({ metadata: { managedFields: [{ manager: 'kubelet' }], name: 'a' } }, null, 2)
    const bytes = Buffer.from(text)
    expect(textWithoutManagedFields(bytes, 0, bytes.length)).toBe(text)
  })

  it('hands what is not JSON to the parser as it is', () => {
    const bytes = Buffer.from('{"metadata":{"managedFields":[{"a":')
    expect(textWithoutManagedFields(bytes, 0, bytes.length)).toBe('{"metadata":{"managedFields":[{"a":')
  })
})

describe('scanning for the end of a value', () => {
  it('finds it wherever the bytes are cut', () => {
    fc.assert(
      fc.property(object, fc.array(fc.nat()), (value, cuts) => {
        const bytes = Buffer.from(JSON.stringify(value))
        const all = Buffer.concat([bytes, Buffer.from(',{"next":"]"}')])
        const scanner = new ValueScanner()
        let from = 0
        for (const to of [...cuts.map((cut) => cut % all.length).sort((a, b) => a - b), all.length]) {
          const end = to > from ? scanner.scan(all, from, to) : -1
          if (end >= 0) {
            expect(end).toBe(bytes.length)
            return
          }
          from = Math.max(from, to)
        }
        throw new Error('the end was not found')
      }),
      { numRuns: 1000 },
    )
  })
})

describe('reading a watch', () => {
  it('gives each line once, wherever the chunks end', () => {
    fc.assert(
      fc.property(fc.array(object.filter(plain)), fc.array(fc.nat()), (objects, cuts) => {
        const bytes = Buffer.from(objects.map((each) => `${JSON.stringify(each)}\n`).join(''))
        const texts = inPieces(new WatchLines(), bytes, cuts)
        expect(texts.map((each) => JSON.parse(each) as unknown)).toEqual(objects.map(deleted))
      }),
    )
  })

  it('holds back a line without an end, and passes over empty ones', () => {
    const lines = new WatchLines()
    expect(inPieces(lines, Buffer.from('\n{"a":1}\n\n{"b":'), [])).toEqual(['{"a":1}'])
    expect(lines.pending).toBe(5)
  })
})

describe('reading a list', () => {
  const list = (
    items: readonly unknown[],
    metadata: object = { resourceVersion: '42', continue: 'next' },
  ) => ({
    kind: 'PodList',
    apiVersion: 'v1',
    metadata,
    items,
  })

  it('gives each item once, wherever the chunks end, and then its version and token', () => {
    fc.assert(
      fc.property(
        fc.array(object.filter(plain)),
        fc.array(fc.nat()),
        fc.constantFrom(undefined, 2),
        (objects, cuts, indent) => {
          const items = new ListItems()
          const bytes = Buffer.from(JSON.stringify(list(objects), null, indent))
          const texts = inPieces(items, bytes, cuts)
          const expected = indent === undefined ? objects.map(deleted) : objects
          expect(texts.map((each) => JSON.parse(each) as unknown)).toEqual(expected)
          expect(items.end()).toEqual({ resourceVersion: '42', continueToken: 'next' })
        },
      ),
    )
  })

  it('reads a list whose metadata come last', () => {
    const items = new ListItems()
    const text = '{"items":[{"a":1},{"a":2}],"metadata":{"resourceVersion":"7"}}'
    expect(inPieces(items, Buffer.from(text), [11, 30])).toEqual(['{"a":1}', '{"a":2}'])
    expect(items.end()).toEqual({ resourceVersion: '7', continueToken: '' })
  })

  it.each([
    ['null', '{"metadata":{"resourceVersion":"7"},"items":null}\n'],
    ['an empty array', '{"metadata":{"resourceVersion":"7"},"items":[ ]}'],
  ])('takes %s for no items', (_, text) => {
    const items = new ListItems()
    expect(inPieces(items, Buffer.from(text), [40])).toEqual([])
    expect(items.end()).toEqual({ resourceVersion: '7', continueToken: '' })
  })

  it.each([
    ['within an item', '{"metadata":{},"items":[{"a":1},{"a"'],
    ['between items', '{"metadata":{},"items":[{"a":1},'],
    ['within its metadata', '{"metadata":{"resource'],
    ['behind its items', '{"metadata":{},"items":[{"a":1}]'],
  ])('does not take a list for whole that ends %s', (_, text) => {
    const items = new ListItems()
    inPieces(items, Buffer.from(text), [])
    expect(() => items.end()).toThrow(MalformedAnswer)
  })

  it('refuses what is no list', () => {
    expect(() => inPieces(new ListItems(), Buffer.from('<html>'), [])).toThrow(MalformedAnswer)
    const items = new ListItems()
    inPieces(items, Buffer.from('{"kind":"Status"}'), [])
    expect(() => items.end()).toThrow(MalformedAnswer)
  })
})
