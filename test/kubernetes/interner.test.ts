import { describe, expect, it } from 'vitest'
import { Interner } from '../../src/kubernetes/interner.ts'

describe('an interner', () => {
  it('gives one value for one key', () => {
    const interner = new Interner<object>(10)
    const first = interner.get('a', () => ({}))
    expect(interner.get('a', () => ({}))).toBe(first)
    expect(interner.get('b', () => ({}))).not.toBe(first)
  })

  it('keeps no more than two generations, however many keys pass through', () => {
    const interner = new Interner<string>(100)
    for (let i = 0; i < 10_000; i++) interner.get(`key-${i}`, () => 'value')
    expect(interner.size).toBeLessThanOrEqual(200)
    expect(interner.size).toBeGreaterThan(0)
  })

  it('keeps what is asked for, while the rest comes and goes', () => {
    const interner = new Interner<object>(100)
    const kept = interner.get('kept', () => ({}))
    for (let i = 0; i < 10_000; i++) {
      interner.get(`key-${i}`, () => ({}))
      if (i % 50 === 0) expect(interner.get('kept', () => ({}))).toBe(kept)
    }
  })

  it('never gives an id twice, even to a key that was forgotten', () => {
    const interner = new Interner<string>(2)
    const ids = new Set<number>()
    for (let i = 0; i < 100; i++) ids.add(interner.entry(`key-${i % 10}`, () => 'value').id)
    expect(ids.size).toBe(100)
  })
})
