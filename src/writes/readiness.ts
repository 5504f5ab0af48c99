/** Whether the workloads that a change touched are rolled out, as memory sees them. */
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import { compareResourceVersions } from '../kubernetes/resource-version.ts'
import type { WorkloadMeta } from '../kubernetes/rows.ts'
import type { StepResult } from './change.ts'
import { describe } from './results.ts'

/** Kinds that are rolled out: a Job is done when its work is, and that may take days. */
const ROLLED_OUT = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet'] as const
type RolledOut = (typeof ROLLED_OUT)[number]

/** `WAITING` and `FAILED` with a sentence, without its full stop. */
type Readiness = { readonly state: 'READY' } | { readonly state: 'WAITING' | 'FAILED'; readonly why: string }

/** Of all of them: the first that failed, else the first that is waited for. */
export function readinessOf(fleet: AuthorizedFleet, results: readonly StepResult[]): Readiness {
  let waiting: Readiness | undefined
  for (const result of results) {
    const readiness = readinessOfOne(fleet, result)
    if (readiness.state === 'FAILED') return readiness
    if (readiness.state === 'WAITING') waiting ??= readiness
  }
  return waiting ?? READY
}

const READY: Readiness = { state: 'READY' }

function readinessOfOne(fleet: AuthorizedFleet, result: StepResult): Readiness {
  const { object, outcome } = result
  const { kind, cluster: clusterName, namespace, name } = object
  if (!isRolledOut(kind, object.apiVersion) || (outcome !== 'CREATED' && outcome !== 'UPDATED')) return READY
  const what = describe(object)
  const cluster = fleet.cluster(clusterName)
  if (!cluster) return { state: 'FAILED', why: `${what} is not seen any more: its cluster left the fleet` }
  const { scope, state } = fleet.right(kind, cluster)
  if (scope === undefined && state === 'DECIDED') {
    return { state: 'FAILED', why: `the rollout of ${what} cannot be followed: you may not list its kind` }
  }
  const row = fleet.get(kind, clusterName, namespace ?? '', name)
  if (!row || !isAsNew(row, result))
    return { state: 'WAITING', why: `${what} is not seen in its new form yet` }
  if (row.observedGeneration < row.generation) {
    return { state: 'WAITING', why: `the controller of ${what} has not seen its new form yet` }
  }
  const { status, message } = row.rollout
  const why = `${what}: ${(message ?? `its rollout is ${status}`).replace(/\.$/, '')}`
  // One that is paused is not rolled out before somebody resumes it.
  if (status === 'COMPLETE' || status === 'PAUSED') return READY
  return { state: status === 'FAILED' ? 'FAILED' : 'WAITING', why }
}

function isRolledOut(kind: string, apiVersion: string): kind is RolledOut {
  return apiVersion.startsWith('apps/') && (ROLLED_OUT as readonly string[]).includes(kind)
}

/** Whether memory has what was written. */
function isAsNew(row: WorkloadMeta, { after, resourceVersion }: StepResult): boolean {
  const { uid, generation } = after?.metadata ?? {}
  if (uid !== undefined && uid !== row.uid) return false
  if (typeof generation === 'number') return row.generation >= generation
  const version = resourceVersion ?? after?.metadata?.['resourceVersion']
  if (typeof version !== 'string') return true
  const order = compareResourceVersions(row.resourceVersion, version)
  return order === undefined || order >= 0
}
