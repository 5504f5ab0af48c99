import { describe, expect, it } from 'vitest'
import { compareTimes, LineReader, MAX_LINE_BYTES, type LogLine } from '../../src/graph/log-lines.ts'

function read(...chunks: readonly (string | Buffer)[]): readonly LogLine[] {
  const lines: LogLine[] = []
  const reader = new LineReader((line) => lines.push(line))
  for (const chunk of chunks) {
    const buffer = Buffer.from(chunk)
    reader.write(buffer)
    // The caller may use it again.
    buffer.fill(0)
  }
  reader.end()
  return lines
}

describe('the lines of a log', () => {
  it('are put together from chunks that end anywhere, also within a character', () => {
    const bytes = Buffer.from('eins\nzwölf\n\nthe end')
    const at = bytes.indexOf(0xc3) + 1
    const lines = read(bytes.subarray(0, at), bytes.subarray(at, at + 3), bytes.subarray(at + 3))
    expect(lines.map(({ text }) => text)).toEqual(['eins', 'zwölf', '', 'the end'])
  })

  it('have the time that the kubelet put in front of them, and nothing else taken for one', () => {
    expect(read('2026-11-23T04:31:00.123456789Z started\n2026-11-23T04:31:01Z \n12:30 lunch\n')).toEqual([
      { text: 'started', truncated: false, time: '2026-11-23T04:31:00.123456789Z' },
      { text: '', truncated: false, time: '2026-11-23T04:31:01Z' },
      { text: '12:30 lunch', truncated: false, time: null },
    ])
  })

  it('are cut where they are too long, and say so; the next one is whole', () => {
    const long = 'ä'.repeat(MAX_LINE_BYTES)
    const [cut, next] = read(`2026-11-23T04:31:00Z x${long.slice(0, 5000)}`, long.slice(5000), '\nnext\n')
    expect(cut).toMatchObject({ truncated: true, time: '2026-11-23T04:31:00Z' })
    expect(cut!.text).toMatch(/^xä+$/)
    expect(Buffer.byteLength(cut!.text)).toBeGreaterThan(MAX_LINE_BYTES - 100)
    expect(Buffer.byteLength(cut!.text)).toBeLessThanOrEqual(MAX_LINE_BYTES + 40)
    expect(next).toEqual({ text: 'next', truncated: false, time: null })
  })
})

describe('times of lines', () => {
  it('are compared to the nanosecond, whatever zeros and zones they are written with', () => {
    const at = (fraction: string) => `2026-11-23T04:31:00${fraction}Z`
    expect(compareTimes(at('.1'), at('.100000000'))).toBe(0)
    expect(compareTimes(at('.100000001'), at('.1'))).toBe(1)
    expect(compareTimes(at(''), at('.000000001'))).toBe(-1)
    expect(compareTimes('2026-11-23T05:31:00.5+01:00', at('.5'))).toBe(0)
    expect(compareTimes(at('.9'), '2026-11-23T04:31:01Z')).toBeLessThan(0)
  })
})
