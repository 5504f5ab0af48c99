import { describe, expect, it } from 'vitest'
import { AuditRecorder } from '../../../src/access/audit/recorder.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { KeptSink, note } from './notes.ts'

function fixture() {
  const clock = new FakeClock()
  const sink = new KeptSink()
  return { clock, sink, recorder: new AuditRecorder({ clock, sinks: [sink] }) }
}

const counts = ({ entries }: KeptSink) => entries.map(({ count }) => count)

describe('a record', () => {
  it('is written at once, with the time and a key of its own', () => {
    const { clock, sink, recorder } = fixture()
    recorder.record(note())
    recorder.record(note({ type: 'PRIVILEGED_READ', outcome: 'ALLOWED' }))
    expect(sink.entries).toMatchObject([
      { ...note(), at: clock.now(), count: 1 },
      { type: 'PRIVILEGED_READ', count: 1 },
    ])
    expect(sink.entries[0]!.key).not.toBe(sink.entries[1]!.key)
  })

  it('that is like another within a minute is counted, and written with the others at its end', async () => {
    const { clock, sink, recorder } = fixture()
    for (let i = 0; i < 100; i++) {
      recorder.record(note({ correlationId: `r-${i}`, latencyMs: i }))
      await clock.advance(500)
    }
    expect(counts(sink)).toEqual([1])
    await clock.advance(10_000)
    expect(counts(sink)).toEqual([1, 99])
    expect(sink.entries[1]).toMatchObject({ correlationId: 'r-99', latencyMs: 99 })
    recorder.record(note())
    expect(counts(sink)).toEqual([1, 99, 1])
    await clock.advance(120_000)
    expect(counts(sink)).toEqual([1, 99, 1])
    expect(clock.pending).toBe(0)
  })

  it('is not like another by another user, issuer, address, operation, cluster, outcome or text', async () => {
    const { clock, sink, recorder } = fixture()
    const user = note().user!
    const others = [
      note(),
      note({ user: null }),
      note({ user: { ...user, name: 'bob' } }),
      note({ user: { ...user, issuer: 'https://other.example' } }),
      note({ remoteAddress: '192.0.2.8' }),
      note({ operationName: 'Nodes' }),
      note({ operationHash: 'beef' }),
      note({ clusters: ['west'] }),
      note({ clusters: ['east,west'] }),
      note({ clusters: ['east', 'west'] }),
      note({ outcome: 'FAILED' }),
      note({ message: 'other' }),
    ]
    for (const other of others) recorder.record(other)
    await clock.advance(60_000)
    expect(counts(sink)).toEqual(others.map(() => 1))
  })

  it('of a mutation is always one of its own', async () => {
    const { clock, sink, recorder } = fixture()
    for (let i = 0; i < 5; i++) recorder.record(note({ type: 'MUTATION', outcome: 'ALLOWED' }))
    await clock.advance(60_000)
    expect(counts(sink)).toEqual([1, 1, 1, 1, 1])
  })

  it('is bounded, whatever a client sends', () => {
    const { sink, recorder } = fixture()
    const long = 'x'.repeat(100_000)
    const names = Array.from({ length: 5_000 }, (_, i) => `c${i}`)
    recorder.record(
      note({
        user: { name: long, groups: names, issuer: long },
        operationName: long,
        message: long,
        clusters: names,
        correlationId: long,
      }),
    )
    expect(JSON.stringify(sink.entries[0]).length).toBeLessThan(35_000)
  })

  it('comes early where there are too many others at a time, and none is lost', async () => {
    const { clock, sink, recorder } = fixture()
    recorder.record(note())
    recorder.record(note())
    for (let i = 0; i < 2_000; i++) {
      recorder.record(note({ type: 'PRIVILEGED_READ', remoteAddress: `2001:db8::${i}` }))
    }
    expect(sink.entries.filter(({ remoteAddress }) => remoteAddress === '192.0.2.7')).toHaveLength(2)
    await clock.advance(60_000)
    expect(counts(sink).reduce((sum, count) => sum + count, 0)).toBe(2_002)
  })

  it('of a refusal is one of a bounded number, however many ways of being refused somebody finds', async () => {
    const { clock, sink, recorder } = fixture()
    for (const type of ['REFUSED', 'DENIED'] as const) {
      for (let i = 0; i < 5_000; i++) {
        recorder.record(note({ type, operationHash: `${i}`, remoteAddress: `192.0.2.${i % 250}` }))
      }
    }
    expect(sink.entries.length).toBeLessThan(110)
    for (let i = 0; i < 20_000; i++) {
      recorder.record(note({ type: 'SIGN_IN_FAILED', user: null, remoteAddress: `2001:db8::${i}` }))
    }
    expect(sink.entries.length).toBeLessThan(650)
    const bob = { ...note().user!, name: 'bob' }
    recorder.record(note({ user: bob }))
    expect(sink.entries.at(-1)).toMatchObject({ user: bob, count: 1 })
    await clock.advance(60_000)
    expect(counts(sink).reduce((sum, count) => sum + count, 0)).toBe(30_001)
    // The next minute has its own.
    recorder.record(note({ operationHash: 'new' }))
    expect(sink.entries.at(-1)).toMatchObject({ operationHash: 'new', count: 1 })
  })

  it('of what was read is told from every other one', () => {
    const { sink, recorder } = fixture()
    for (let i = 0; i < 500; i++) recorder.record(note({ type: 'PRIVILEGED_READ', message: `log ${i}` }))
    expect(sink.entries).toHaveLength(500)
  })

  it('that was counted is written at the end, which ends the sinks', async () => {
    const { clock, sink, recorder } = fixture()
    for (let i = 0; i < 3; i++) recorder.record(note())
    await recorder.close()
    expect(counts(sink)).toEqual([1, 2])
    expect(sink.closed).toBe(true)
    recorder.record(note())
    expect(counts(sink)).toEqual([1, 2])
    expect(clock.pending).toBe(0)
  })
})
