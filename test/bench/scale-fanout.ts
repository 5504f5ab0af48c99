/**
 * What it takes to scale one Deployment in each of fifty clusters by one mutation, against the slowest of the fifty
 * calls when each is made alone; and what that does to reads meanwhile, against the same changes made past the gateway,
 * and against none. The clusters are 5 to 150 ms away; they, the gateway and the readers are processes of their own,
 * which share the machine.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { eventually } from '../support/eventually.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { ADMIN } from '../support/test-tokens.ts'
import { median, type Bench } from './figure.ts'
import type { DelayedHandlers } from './support/delayed-clusters.ts'
import type { ReaderHandlers } from './support/steady-reader.ts'
import { Remote } from './support/remote.ts'

const CLUSTERS = 50
const ROUNDS = 7
const READ_ROUNDS = 30
/** Of a round, for each of what is compared: in turn and short, so that what else the machine does is in all of it. */
const READ_MS = 1_500
const READS_PER_SECOND = 200
/** Until pods have come and gone. */
const SETTLE_MS = 1_500

const SCALE = `mutation ($clusters: [String!], $to: Int!) {
  scale(input: {
    targets: { selector: { clusters: $clusters, namespaces: ["default"], names: ["web"] } }, to: $to
  }) { summary { ok updated message } }
}`

/** The 99th percentile. */
const p99 = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? Number.NaN

export const bench: Bench = async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-scale-'))
  const clusters = new Remote<DelayedHandlers>('./delayed-clusters.ts')
  const reader = new Remote<ReaderHandlers>('./steady-reader.ts')
  let gateway: GatewayProcess | undefined
  try {
    const kubeconfigs = await clusters.call('start', CLUSTERS)
    kubeconfigs.forEach((kubeconfig, i) =>
      writeFileSync(join(directory, `c${String(i).padStart(2, '0')}.yaml`), stringify(kubeconfig)),
    )
    gateway = await startGatewayProcess({
      clusters: [{ type: 'directory', path: directory }],
      // Bench users ask more often than people.
      limits: { requestsPerMinute: 10_000_000, costPerMinute: 1_000_000_000 },
      audit: { log: false },
    })
    const { url } = gateway
    const query: GatewayProcess['query'] = (...args) => gateway!.query(...args)
    await eventually(async () => {
      const { deployments } = await query<{ deployments: { totalCount: number } }>(
        '{ deployments(filter: { name: { equals: "web" } }) { totalCount } }',
      )
      if (deployments.totalCount < CLUSTERS) throw new Error(`${deployments.totalCount} clusters are there`)
    })
    await clusters.call('delay')

    let to = 1
    const scale = async (names: readonly string[] | null): Promise<number> => {
      to = (to % 9) + 1
      const before = performance.now()
      const { scale } = await query<{
        scale: { summary: { ok: boolean; updated: number; message: string } }
      }>(SCALE, { clusters: names, to })
      const took = performance.now() - before
      if (!scale.summary.ok || scale.summary.updated !== (names?.length ?? CLUSTERS)) {
        throw new Error(scale.summary.message)
      }
      return took
    }
    const slowest = [`c${String(CLUSTERS - 1).padStart(2, '0')}`]
    const alone: number[] = []
    const together: number[] = []
    for (let round = -2; round < ROUNDS; round++) {
      const one = await scale(slowest)
      const all = await scale(null)
      if (round < 0) continue
      alone.push(one)
      together.push(all)
    }
    const wrong = (await clusters.call('replicas')).filter((replicas) => replicas !== to)
    if (wrong.length > 0) throw new Error(`${wrong.length} clusters were not scaled`)

    /** While `change` is made, and after it until the time is over. */
    const read = async (change: () => Promise<unknown> = async () => {}): Promise<readonly number[]> => {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
      const reading = reader.call('read', {
        url,
        token: ADMIN.token,
        ms: READ_MS,
        perSecond: READS_PER_SECOND,
      })
      await change()
      return reading
    }
    const [quiet, direct, busy]: [number[], number[], number[]] = [[], [], []]
    for (let round = -2; round < READ_ROUNDS; round++) {
      const one = await read()
      const other = await read(() => clusters.call('scale', (to = (to % 9) + 1)))
      const third = await read(() => scale(null))
      if (round < 0) continue
      quiet.push(...one)
      direct.push(...other)
      busy.push(...third)
    }
    return [
      {
        name: 'scale-fanout',
        value: median(together),
        unit: 'ms',
        limit: median(alone),
        target: { of: 'ratio', atMost: 1.5 },
      },
      {
        name: 'scale-fanout-read-p99',
        value: p99(busy),
        unit: 'ms',
        limit: p99(quiet),
        target: { of: 'ratio', atMost: 1.1 },
      },
      // What of it is not the gateway's writing: the watches tell of the same changes whoever makes them.
      {
        name: 'scale-fanout-read-p99-direct',
        value: p99(busy),
        unit: 'ms',
        limit: p99(direct),
      },
    ]
  } finally {
    await gateway?.close()
    await reader.stop()
    await clusters.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}
