/**
 * How far an answer can be trusted, per cluster: an unsynced, unreachable or forbidden cluster is said,
 * never shown as an empty list.
 */
import type { Cluster } from '../fleet/fleet.ts'
import type { TableReader } from '../fleet/table.ts'
import type { ReadRight } from './policy.ts'

/** From best to worst; a cluster's state is the worst of the kinds asked for. */
export const COVERAGE_STATES = [
  'CURRENT',
  'NOT_SERVED',
  'STALE',
  'SYNCING',
  'FORBIDDEN',
  'UNREACHABLE',
] as const
export type CoverageState = (typeof COVERAGE_STATES)[number]

export interface Coverage {
  readonly cluster: string
  readonly state: CoverageState
  /** Epoch milliseconds since when. */
  readonly since: number
  /** Epoch milliseconds at which the content was last known to be complete; `null`: there is none. */
  readonly asOf: number | null
  /** A sentence for a person; `null` when current. */
  readonly reason: string | null
}

/** A table, and what the viewer may list of it. */
interface Asked {
  readonly table: TableReader
  readonly right: ReadRight
}

/** The coverage of one cluster for the tables that a question touches. */
export function coverageOf(cluster: Cluster, tables: readonly Asked[]): Coverage {
  const refused = tables.filter(({ right }) => right.state === 'DECIDED' && right.scope === undefined)
  let worst: Coverage | undefined
  for (const asked of tables) {
    const one = refused.includes(asked) ? forbidden(cluster, refused) : coverageOfOne(cluster, asked)
    if (!worst || rank(one) > rank(worst)) worst = { ...one, asOf: older(one.asOf, worst?.asOf) }
    else worst = { ...worst, asOf: older(one.asOf, worst.asOf) }
  }
  return worst ?? clusterCoverage(cluster)
}

function coverageOfOne(cluster: Cluster, { table, right }: Asked): Coverage {
  if (right.state === 'DECIDED') return tableCoverage(cluster, table)
  const { since } = cluster.health
  const base = { cluster: cluster.name, since, asOf: null }
  if (right.state === 'UNKNOWN') {
    const reason = right.reason ?? 'What you may see here cannot be found out at the moment.'
    return { ...base, state: 'UNREACHABLE', reason }
  }
  return { ...base, state: 'SYNCING', reason: right.reason ?? 'What you may see here is being found out.' }
}

function rank(coverage: Coverage): number {
  return COVERAGE_STATES.indexOf(coverage.state)
}

/** The older of two times; a table without any content makes the whole answer one without. */
function older(a: number | null, b: number | null | undefined): number | null {
  if (b === undefined) return a
  return a === null || b === null ? null : Math.min(a, b)
}

function clusterCoverage(cluster: Cluster): Coverage {
  const { state, since, lastContactAt, lastError } = cluster.health
  return {
    cluster: cluster.name,
    state: state === 'UP' ? 'CURRENT' : state === 'DOWN' ? 'UNREACHABLE' : 'SYNCING',
    since,
    asOf: lastContactAt,
    reason: state === 'UP' ? null : (lastError?.message ?? 'The cluster has not answered yet.'),
  }
}

function tableCoverage(cluster: Cluster, table: TableReader): Coverage {
  const { state, since, asOf, problem } = table.status
  const base = { cluster: cluster.name, since, asOf, reason: problem?.message ?? null }
  if (problem?.code === 'NOT_SERVED') return { ...base, state: 'NOT_SERVED' }
  if (problem?.code === 'FORBIDDEN') return { ...base, state: 'FORBIDDEN' }
  if (cluster.health.state === 'DOWN') return { ...clusterCoverage(cluster), asOf }
  if (state === 'CURRENT') return { ...base, state: 'CURRENT' }
  if (problem?.code === 'UNREACHABLE' || problem?.code === 'UNAUTHORIZED') {
    return { ...base, state: 'UNREACHABLE' }
  }
  if (state === 'STALE') return { ...base, state: 'STALE' }
  return { ...base, state: 'SYNCING', reason: base.reason ?? `${table.kind} objects are still being read.` }
}

/** Nothing of the tables is told, not even when they were read: who may not list them knows nothing of them. */
function forbidden(cluster: Cluster, refused: readonly Asked[]): Coverage {
  const kinds = refused.map(({ table }) => table.kind)
  const said = refused.find(({ right }) => right.reason)?.right.reason
  return {
    cluster: cluster.name,
    state: 'FORBIDDEN',
    since: cluster.health.since,
    asOf: null,
    reason:
      said ??
      `You may not list ${kinds.join(', ')} objects in this cluster. Ask its administrators for a role with the verb list.`,
  }
}
