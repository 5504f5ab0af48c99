/**
 * What it costs to bring 5,000 pods of 8 KB into a table, over HTTP: the CPU time of all of it – client,
 * splitting, parsing, projection, store – against the CPU time of nothing but `JSON.parse` of the same
 * bytes, and the longest that the event loop did not turn.
 */
import { type Bench, collectGarbage, cpuMs, type Figure, longestBlockMs, median } from './figure.ts'
import { startFeed } from './support/feed-run.ts'
import { podList, startPodServer } from './support/pod-server.ts'

const PODS = 5_000
const ROUNDS = 7
const WARM_UP = 3
/** Milliseconds. */
const LONGEST_BLOCK = 25

export const bench: Bench = async () => {
  const server = await startPodServer(PODS)
  try {
    const sync = async (how: 'stream' | 'list') => {
      const run = startFeed(server.url, { how })
      await run.until(({ status }) => status.state === 'CURRENT')
      if (run.table.size !== PODS) throw new Error(`${run.table.size} pods of ${PODS} came`)
      await run.close()
    }
    const body = podList(PODS)
    const parse = () => {
      JSON.parse(body.toString())
    }
    const figures: Figure[] = []
    for (const how of ['stream', 'list'] as const) {
      const limits: number[] = []
      const values: number[] = []
      const blocks: number[] = []
      for (let round = -WARM_UP; round < ROUNDS; round++) {
        collectGarbage()
        const limit = await cpuMs(parse)
        collectGarbage()
        const value = await cpuMs(() => sync(how))
        collectGarbage()
        const block = await longestBlockMs(() => sync(how))
        if (round < 0) continue
        limits.push(limit)
        values.push(value)
        blocks.push(block)
      }
      figures.push(
        {
          name: `initial-sync ${how} cpu`,
          value: median(values),
          unit: 'ms',
          limit: median(limits),
          target: { of: 'ratio', atMost: 1 },
        },
        {
          name: `initial-sync ${how} longest block`,
          value: median(blocks),
          unit: 'ms',
          limit: LONGEST_BLOCK,
          target: { of: 'ratio', atMost: 1 },
        },
      )
    }
    return figures
  } finally {
    await server.close()
  }
}
