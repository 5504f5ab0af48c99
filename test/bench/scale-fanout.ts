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
const READ_ROUNDS = 5
const READ_MS = 6_000
const READS_PER_SECOND = 200
/** Between two mutations. */
const PAUSE_MS = 1_000

const SCALE = `mutation ($clusters: [String!], $to: Int!) {
  scale(input: {
    targets: { selector: { clusters: $clusters, namespaces: ["default"], names: ["web"] } }, to: $to
  }) { summary { ok updated message } }
}`

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

    const read = () =>
      reader.call('read', { url, token: ADMIN.token, ms: READ_MS, perSecond: READS_PER_SECOND })
    const readDuring = async (change: () => Promise<unknown>): Promise<number> => {
      const reading = read()
      const until = performance.now() + READ_MS
      while (performance.now() < until) {
        await change()
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
      }
      return reading
    }
    const [quiet, direct, busy]: [number[], number[], number[]] = [[], [], []]
    await read()
    for (let round = 0; round < READ_ROUNDS; round++) {
      quiet.push(await read())
      direct.push(await readDuring(() => clusters.call('scale', (to = (to % 9) + 1))))
      busy.push(await readDuring(() => scale(null)))
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
        value: median(busy),
        unit: 'ms',
        limit: median(quiet),
        target: { of: 'ratio', atMost: 1.1 },
      },
      // What of it is not the gateway's writing: the watches tell of the same changes whoever makes them.
      {
        name: 'scale-fanout-read-p99-direct',
        value: median(busy),
        unit: 'ms',
        limit: median(direct),
      },
    ]
  } finally {
    await gateway?.close()
    await reader.stop()
    await clusters.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}
