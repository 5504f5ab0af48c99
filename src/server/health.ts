/**
 * What orchestrators and people ask before they ask anything else. `/healthz`: the process turns its event
 * loop. `/readyz`: it serves – from the first moment, and whatever its clusters do: a dead cluster is said
 * in the body and never makes a replica unready, else one cluster would take the whole gateway down.
 */
import { coverageOf, type CoverageState } from '../access/coverage.ts'
import type { ReadRight } from '../access/policy.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { ALL_KINDS } from '../kubernetes/kinds.ts'

export interface Readiness {
  /** False only while the server drains. */
  readonly ready: boolean
  readonly clusters: {
    readonly total: number
    /** Every kind that the cluster serves is complete and followed. */
    readonly current: number
    /** The first content of some kind is still being read. */
    readonly syncing: number
    readonly unreachable: number
    /** Complete but not followed, or some kind may not be read. */
    readonly degraded: number
  }
}

export function readiness(fleet: Pick<Fleet, 'clusters'>, draining: boolean): Readiness {
  const count = { total: fleet.clusters.length, current: 0, syncing: 0, unreachable: 0, degraded: 0 }
  for (const cluster of fleet.clusters) {
    const tables = ALL_KINDS.map((kind) => ({ table: cluster.table(kind), right: EVERYTHING }))
    count[GROUPS[coverageOf(cluster, tables).state]]++
  }
  return { ready: !draining, clusters: count }
}

/** It is told of the gateway, whoever asks. */
const EVERYTHING: ReadRight = { scope: 'all', state: 'DECIDED', reason: null, settled: null }

const GROUPS = {
  CURRENT: 'current',
  NOT_SERVED: 'current',
  STALE: 'degraded',
  SYNCING: 'syncing',
  FORBIDDEN: 'degraded',
  UNREACHABLE: 'unreachable',
} as const satisfies Record<CoverageState, keyof Readiness['clusters']>
