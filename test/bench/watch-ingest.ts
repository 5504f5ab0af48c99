/**
 * How many watch events of 8 KB pods one CPU second takes, over HTTP and all the way into the table's
 * rows and indexes; beside it, what `JSON.parse` of the same lines alone would take.
 */
import { type Bench, collectGarbage, cpuMs, median } from './figure.ts'
import { startFeed } from './support/feed-run.ts'
import { podChanges, startPodServer } from './support/pod-server.ts'

const PODS = 2_000
const CHANGES = 20_000
const ROUNDS = 5
const WARM_UP = 2

export const bench: Bench = async () => {
  const server = await startPodServer(PODS, CHANGES)
  try {
    const last = String(3_000_000 + CHANGES - 1)
    const lines = podChanges(PODS, CHANGES).toString().trimEnd().split('\n')
    const values: number[] = []
    const limits: number[] = []
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      collectGarbage()
      const run = startFeed(server.url)
      await run.until(({ status }) => status.state === 'CURRENT')
      const value = await cpuMs(() => run.until(({ status }) => status.resourceVersion === last))
      await run.close()
      collectGarbage()
      const limit = await cpuMs(() => {
        for (const line of lines) JSON.parse(line)
      })
      if (round < 0) continue
      values.push(CHANGES / (value / 1000))
      limits.push(CHANGES / (limit / 1000))
    }
    return [
      {
        name: 'watch-ingest',
        value: median(values),
        unit: 'events/s of CPU',
        limit: median(limits),
        target: { of: 'value', atLeast: 15_000 },
      },
    ]
  } finally {
    await server.close()
  }
}
