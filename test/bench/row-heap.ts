/**
 * Memory of 500,000 pods in 50 clusters: heap per pod, with its share of everything that tables keep –
 * rows, sorted keys, every index (that of uids included), counters, interned values – and the resident
 * size of the whole process once they are loaded. Pods come as JSON text, as they do from a server.
 */
import { project } from '../../src/kubernetes/projections/projections.ts'
import { createTable } from '../../src/fleet/store.ts'
import type { TableReader } from '../../src/fleet/table.ts'
import { collectGarbage, type Figure } from './figure.ts'
import { syntheticPod } from './support/pods.ts'

const CLUSTERS = Number(process.env['BENCH_CLUSTERS'] ?? 50)
const PODS_PER_CLUSTER = 10_000

const MEGABYTE = 1e6

function heap(): number {
  collectGarbage()
  collectGarbage()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

function load(cluster: number): TableReader<'Pod'> {
  const name = `cluster-${cluster}`
  const table = createTable('Pod', name, Date)
  table.apply({ type: 'Init' })
  for (let i = 0; i < PODS_PER_CLUSTER; i++) {
    const object: unknown = JSON.parse(JSON.stringify(syntheticPod(cluster * PODS_PER_CLUSTER + i)))
    table.apply({ type: 'InitApply', row: project('Pod')(object, name) })
  }
  table.apply({ type: 'InitDone', resourceVersion: '1' })
  table.getByUid('none')
  return table
}

export async function bench(): Promise<readonly Figure[]> {
  const before = heap()
  const tables: TableReader<'Pod'>[] = []
  for (let cluster = 0; cluster < CLUSTERS; cluster++) tables.push(load(cluster))
  const pods = tables.reduce((sum, table) => sum + table.size, 0)
  const bytes = (heap() - before) / pods
  const resident = process.memoryUsage().rss
  return [
    { name: 'row-heap', value: bytes, unit: 'bytes', limit: 1200, target: { of: 'ratio', atMost: 1 } },
    {
      name: 'row-heap-rss',
      value: resident / MEGABYTE,
      unit: 'MB',
      limit: 1500,
      target: { of: 'ratio', atMost: 1 },
    },
  ]
}
