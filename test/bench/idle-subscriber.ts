/**
 * What 10,000 idle subscribers of one document cost the gateway, each with a WebSocket of its own: heap
 * (with what buffers hold) and resident memory, after a collection, over a gateway that has had
 * subscribers before. The limit is a `ws` connection that has nothing but its prebuilt frame.
 */
import type { Bench, Figure } from './figure.ts'
import type { Mode } from './support/fanout-server.ts'
import { FanOut } from './support/fanout-load.ts'

const SUBSCRIBERS = 10_000
const WARM_UP = 200
const KILOBYTE = 1_024
/** Kilobytes. */
const AT_MOST = 20

async function perSubscriber(mode: Mode): Promise<{ readonly heap: number; readonly rss: number }> {
  const fanOut = new FanOut('same')
  try {
    await fanOut.subscribe(mode, WARM_UP)
    await fanOut.unsubscribe(mode)
    const before = await fanOut.server(mode).call('memory')
    await fanOut.subscribe(mode, SUBSCRIBERS)
    const after = await fanOut.server(mode).call('memory')
    const each = (bytes: number) => bytes / SUBSCRIBERS / KILOBYTE
    return { heap: each(after.heap - before.heap), rss: each(after.rss - before.rss) }
  } finally {
    await fanOut.close()
  }
}

export const bench: Bench = async () => {
  const raw = await perSubscriber('raw')
  const gateway = await perSubscriber('gateway')
  const naive = await perSubscriber('naive')
  const target = { of: 'value', atMost: AT_MOST } as const
  const unit = 'KB'
  return [
    { name: 'idle-subscriber', value: gateway.rss, unit, limit: raw.rss, target },
    { name: 'idle-subscriber-heap', value: gateway.heap, unit, limit: raw.heap, target },
    { name: 'idle-subscriber-naive', value: naive.rss, unit, limit: raw.rss },
    { name: 'idle-subscriber-naive-heap', value: naive.heap, unit, limit: raw.heap },
  ] satisfies readonly Figure[]
}
