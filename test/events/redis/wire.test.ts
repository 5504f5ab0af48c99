import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ChangesMessage,
  deltaTexts,
  readAbout,
  readDeltas,
  readHealth,
  readMessage,
  readPosition,
  WireError,
  writeAbout,
} from '../../../src/events/redis/wire.ts'
import { modelPod, podSpecs } from '../../fleet/pod-model.ts'

const ABOUT = '{"state":"CURRENT","problem":null,"asOf":null,"resourceVersion":"7","partial":false}'
const HEALTH = '{"state":"UP","since":1,"version":"v1.34.1","latencyMs":3,"lastContactAt":2,"lastError":null}'

describe('a message', () => {
  it('brings the changes that were written into it', () => {
    const version = fc.oneof(fc.nat().map(String), fc.string({ unit: 'grapheme', minLength: 1 }))
    const deltas = fc.array(
      fc.oneof(
        fc.record({
          deleted: fc.boolean(),
          partial: fc.boolean(),
          resourceVersion: version,
          row: podSpecs.map((spec) => modelPod(spec)),
        }),
        fc.record({ from: version, to: version }),
      ),
      { minLength: 1 },
    )
    fc.assert(
      fc.property(deltas, (deltas) => {
        const lines = deltas.map((delta) => deltaTexts(delta).join(' '))
        const message = readMessage([`changes Pod t g 3 u 9 ${ABOUT}`, ...lines].join('\n'))
        expect(message).toMatchObject({ type: 'changes', kind: 'Pod', from: 't', position: 'g 3 u 9' })
        expect([...readDeltas(message as ChangesMessage, 'prod')]).toEqual(deltas)
      }),
    )
  })

  it('may have any text in what it says of a table', () => {
    const message = `the server said \u2028 and \u2029 and ${String.fromCodePoint(0x85)} and \n and }`
    const problem = { code: 'ERROR', message } as const
    const about = writeAbout({ ...readAbout(ABOUT), state: 'STALE', asOf: 3, problem })
    for (const text of [
      `whole Pod g 0 u 9 ${about}`,
      `changes Pod t g 3 u 9 ${about}\nR1 2`,
      `beat ${HEALTH}\nPod g 3 u 9 ${about}\nNode g 3 u 9 ${about}`,
    ]) {
      const read = readMessage(text)
      for (const table of read?.type === 'beat' ? read.tables : [read!]) {
        expect(readAbout(table.about).problem?.message).toBe(message)
      }
    }
  })

  it('of any other form is refused, and never a crash', () => {
    const good = [
      `changes Pod t g 3 u 9 ${ABOUT}\nA7 []`,
      `whole Pod g 0 u 9 ${ABOUT}`,
      `beat ${HEALTH}\nPod g 3 u 9 ${ABOUT}`,
    ]
    const mangled = fc
      .tuple(fc.constantFrom(...good), fc.nat(250), fc.nat(20), fc.string({ unit: 'binary' }))
      .map(([text, at, length, junk]) => text.slice(0, at) + junk + text.slice(at + length))
    fc.assert(
      fc.property(fc.oneof(mangled, fc.string({ unit: 'binary' })), (text) => {
        try {
          const message = readMessage(text)
          if (message?.type === 'changes') Array.from(readDeltas(message, 'prod'))
          if (message && message.type !== 'beat') readAbout(message.about)
        } catch (error) {
          // Not `expect`: it is asked thousands of times.
          if (!(error instanceof WireError)) throw error
        }
      }),
      { numRuns: 1_000 },
    )
  }, 30_000)

  it('of a kind that only other gateways know is none', () => {
    expect(readMessage(`whole Toaster g 0 u 9 ${ABOUT}`)).toBeUndefined()
    const beat = readMessage(`beat ${HEALTH}\nToaster g 3 u 9 ${ABOUT}\nPod g 3 u 9 ${ABOUT}`)
    expect(beat).toMatchObject({ tables: [{ kind: 'Pod', position: 'g 3 u 9' }] })
  })
})

describe('what stands in Redis', () => {
  it('is refused where it is not what an owner writes', () => {
    for (const text of ['', 'g', 'g 1 t', 'g x t 3', 'g -1 t 3', 'g 1 t 3 ']) {
      expect(() => readPosition(text), text).toThrow(WireError)
    }
    for (const text of [
      '',
      'null',
      '[]',
      '{}',
      ABOUT.replace('CURRENT', 'FINE'),
      ABOUT.replace('"7"', 'null'),
    ]) {
      expect(() => readAbout(text), text).toThrow(WireError)
    }
    for (const text of ['1', '{}', HEALTH.replace('UP', 'FINE'), HEALTH.replace('null', '{"code":1}')]) {
      expect(() => readHealth(text), text).toThrow(WireError)
    }
    expect(readPosition('g 12 t 3')).toEqual({ generation: 'g', sequence: 12, tag: 't', size: 3 })
    expect(readAbout(ABOUT).resourceVersion).toBe('7')
    expect(readHealth(HEALTH).state).toBe('UP')
  })
})
