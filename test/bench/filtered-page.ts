/**
 * Whether a filtered page's cost follows its answer, not the fleet: pages of 50 by node, by namespace, by
 * label and by owner – with their totals – over 500,000 pods against the same over 5,000, in 50 clusters
 * each. In either fleet every filter matches the same hundred pods of one cluster (by owner: twenty). The
 * cost is of the first page with the total, and of the page after it.
 */
import { parseLabelSelector } from '../../src/kubernetes/label-selector.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { PodRow } from '../../src/kubernetes/rows.ts'
import { select } from '../../src/fleet/select.ts'
import type { ScopedTable, Selection } from '../../src/fleet/selection.ts'
import { createTable } from '../../src/fleet/store.ts'
import { collectGarbage, cpuMs, median, type Figure } from './figure.ts'

const CLUSTERS = 50
const PAGE = 50
const ROUNDS = 25
const PAGES_PER_ROUND = 400

/** Fleets of pods that differ in nothing but their number: matches of a filter do not grow with it. */
function fleet(podsPerCluster: number): readonly ScopedTable<PodRow>[] {
  return Array.from({ length: CLUSTERS }, (_, cluster) => {
    const name = `cluster-${String(cluster).padStart(2, '0')}`
    const table = createTable('Pod', name, Date)
    table.apply({ type: 'Init' })
    for (let i = 0; i < podsPerCluster; i++) {
      table.apply({ type: 'InitApply', row: project('Pod')(pod(cluster, i), name) })
    }
    table.apply({ type: 'InitDone', resourceVersion: '1' })
    return { table, scope: 'all' }
  })
}

/** Twenty pods a workload, a hundred a namespace; each cluster has its own nodes, of a hundred pods. */
function pod(cluster: number, i: number): unknown {
  const workload = Math.floor(i / 20)
  const group = Math.floor(i / 100)
  const metadata = {
    name: `service-${workload}-${(i * 7919) % 100_000}`,
    namespace: `team-${cluster}-${group}`,
    uid: `${cluster}-${i}`,
    resourceVersion: String(i),
    labels: {
      app: `service-${cluster}-${workload}`,
      team: `team-${cluster}-${group}`,
      tier: ['web', 'data', 'jobs'][workload % 3],
    },
    ownerReferences: [
      {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        name: 'r',
        uid: `rs-${cluster}-${workload}`,
        controller: true,
      },
    ],
  }
  const containers = [{ name: 'app', image: `registry.example.com/service-${workload}:v1` }]
  return {
    metadata,
    spec: { nodeName: `node-${cluster}-${group}`, containers },
    status: { phase: 'Running' },
  }
}

const CLUSTER = 23
const SELECTIONS: Readonly<Record<string, Selection<PodRow>>> = {
  node: { index: { name: 'node', value: `node-${CLUSTER}-0` } },
  namespace: { namespaces: [`team-${CLUSTER}-0`] },
  label: { labels: parseLabelSelector(`team=team-${CLUSTER}-0,tier in (web,data,jobs)`) },
  owner: { ownerUid: `rs-${CLUSTER}-0` },
}

/** CPU microseconds of a page with its total, and of the next one. */
async function round(tables: readonly ScopedTable<PodRow>[], selection: Selection<PodRow>): Promise<number> {
  const spent = await cpuMs(() => {
    for (let i = 0; i < PAGES_PER_ROUND; i++) {
      const page = select(tables, selection, [], { first: PAGE })
      const last = page.rows.at(-1)
      if (!last || page.total() < page.rows.length) throw new Error('the selection matches nothing')
      select(tables, selection, [], { first: PAGE, after: page.cursor(last) })
    }
  })
  return (spent * 1000) / PAGES_PER_ROUND
}

export async function bench(): Promise<readonly Figure[]> {
  const small = fleet(100)
  const large = fleet(10_000)
  const figures: Figure[] = []
  for (const [name, selection] of Object.entries(SELECTIONS)) {
    await round(small, selection)
    await round(large, selection)
    collectGarbage()
    const values: number[] = []
    const limits: number[] = []
    // In turns, so that whatever else the machine does meets both.
    for (let i = 0; i < ROUNDS; i++) {
      limits.push(await round(small, selection))
      values.push(await round(large, selection))
    }
    figures.push({
      name: `filtered-page-${name}`,
      value: median(values),
      unit: 'µs',
      limit: median(limits),
      target: { of: 'ratio', atMost: 1.3 },
    })
  }
  return figures
}
