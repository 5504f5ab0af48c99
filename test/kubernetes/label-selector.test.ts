import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  EVERYTHING,
  isEmptySelector,
  LabelSelectorError,
  matchesLabels,
  parseLabelSelector,
  selectorOfService,
} from '../../src/kubernetes/label-selector.ts'

const LABELS = { app: 'web', tier: 'front', 'example.com/owner': 'shop', canary: '' }

describe('a label selector', () => {
  it.each([
    ['', true],
    ['  ', true],
    ['app=web', true],
    ['app==web', true],
    ['app=db', false],
    ['app!=db', true],
    ['app!=web', false],
    ['missing!=web', true],
    ['app in (web, db)', true],
    ['app in(db)', false],
    ['app notin (web)', false],
    ['missing notin (web)', true],
    ['app', true],
    ['missing', false],
    ['!missing', true],
    ['! app', false],
    ['canary=', true],
    ['app=', false],
    ['canary in ()', true],
    ['canary in (x,)', true],
    ['example.com/owner=shop', true],
    ['app=web,tier=front,!missing', true],
    [' app = web , tier in ( front , back ) ', true],
    ['app=web,app=db', false],
    ['app=web,app=web', true],
    ['in,notin', false],
  ])('%j decides %j', (text, matches) => {
    expect(matchesLabels(parseLabelSelector(text), LABELS)).toBe(matches)
  })

  it('keeps what kubectl would send as matchLabels in that form', () => {
    expect(parseLabelSelector('a=b,c!=d,e in (x,y),f notin (z),g,!h')).toEqual({
      matchLabels: { a: 'b' },
      matchExpressions: [
        { key: 'c', operator: 'NotIn', values: ['d'] },
        { key: 'e', operator: 'In', values: ['x', 'y'] },
        { key: 'f', operator: 'NotIn', values: ['z'] },
        { key: 'g', operator: 'Exists', values: [] },
        { key: 'h', operator: 'DoesNotExist', values: [] },
      ],
    })
  })

  it.each([
    ['a=b,', 4, 'label key, found the end'],
    [',a', 0, 'label key, found ","'],
    ['a b', 2, 'expected one of'],
    ['a in x', 5, 'expected "("'],
    ['a in (x', 7, 'expected "," or ")"'],
    ['a=b c', 4, 'expected "," or the end'],
    ['!a=b', 2, '"!a" stands alone'],
    ['a>1', 1, 'not supported'],
    ['-a=b', 0, 'not a label key'],
    ['a=-b', 2, 'not a label value'],
    ['Bad_Prefix/a=b', 0, 'not a DNS name'],
    ['/a', 0, 'not a DNS name'],
    [`${'x'.repeat(64)}=1`, 0, 'at most 63'],
    ['a=b=c', 3, 'expected "," or the end'],
    ['a=(b)', 2, 'expected a value'],
  ])('%j is refused at offset %d: %s', (text, position, problem) => {
    let caught: unknown
    try {
      parseLabelSelector(text)
    } catch (error) {
      caught = error
    }
    expect(caught).toBeInstanceOf(LabelSelectorError)
    expect(caught).toMatchObject({ code: 'INVALID_LABEL_SELECTOR', position })
    expect((caught as Error).message).toContain(problem)
    expect((caught as Error).message).toContain(`character ${position + 1}`)
  })

  it('is parsed or refused, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab=!,() <>in-/.é\n'.split('')) }), (text) => {
        try {
          parseLabelSelector(text)
        } catch (error) {
          expect(error).toBeInstanceOf(LabelSelectorError)
          expect((error as LabelSelectorError).position).toBeLessThanOrEqual(text.length)
        }
      }),
    )
  })

  it('matches everything when it is empty and nothing when there is none', () => {
    expect(matchesLabels(EVERYTHING, {})).toBe(true)
    expect(isEmptySelector(EVERYTHING)).toBe(true)
    expect(matchesLabels(null, LABELS)).toBe(false)
    expect(isEmptySelector(parseLabelSelector('!a'))).toBe(false)
  })

  it("takes a Service's map, of which an empty one selects nothing", () => {
    expect(matchesLabels(selectorOfService({ app: 'web' }), LABELS)).toBe(true)
    expect(selectorOfService({})).toBeNull()
    expect(selectorOfService(null)).toBeNull()
  })

  it('is not deceived by names that every object has', () => {
    expect(matchesLabels(parseLabelSelector('toString'), {})).toBe(false)
    expect(matchesLabels(parseLabelSelector('!constructor'), {})).toBe(true)
    expect(matchesLabels(parseLabelSelector('constructor=x'), {})).toBe(false)
  })
})
