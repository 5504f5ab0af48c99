/**
 * The short form of `npm run test:chaos`: each fault once, over simulated clusters. What must hold is the
 * same: no object missed, no phantom, every DELETED told.
 */
import { describe, expect, it } from 'vitest'
import { FAULTS } from '../chaos/schedule.ts'
import { storm } from '../chaos/storm.ts'

describe('clients that keep a copy from their stream alone', () => {
  it('hold what the API servers hold after everything went wrong once', { timeout: 240_000 }, async () => {
    const lines: string[] = []
    const { failures, figures, faults } = await storm({
      seconds: 30,
      seed: 7,
      real: false,
      ratePerSecond: 60,
      clusters: 2,
      replicas: 3,
      clients: 3,
      durations: { restMs: [1_000, 2_000], downMs: [1_000, 3_000], freezeMs: 8_000 },
      cutEveryMs: [500, 3_000],
      log: (line) => lines.push(line),
    })
    console.log(figures.join('\n'))
    expect(failures, lines.join('\n')).toEqual([])
    for (const fault of FAULTS) expect(faults[fault], fault).toBeGreaterThan(0)
  })
})
