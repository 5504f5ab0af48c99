/** What audit records tell of changes: of those that a request waits for, and of each step of an operation. */
import type { AuditLog } from '../access/audit/audit.ts'
import { writtenNotes, type Written } from '../access/audit/written.ts'
import type { Reads } from '../access/reads.ts'
import type { Change, Outcome, StepResult, Verb } from './change.ts'
import { FAILURES } from './change.ts'
import type { OperationHead, OperationState } from './operation.ts'

/** Notes what was done for a request: the record of its mutation tells of it. Once for each result. */
export function noteWritten(
  reads: Reads,
  { verb }: Pick<Change, 'verb'>,
  results: readonly StepResult[],
): void {
  for (const result of results) reads.noteWritten(writtenOf(verb, result))
}

/**
 * Notes that an operation does it: the request's record names the operation, by which the records of its steps are
 * found. `state`: what the request was told. `replayed`: it was begun by an earlier request, and nothing was done for
 * this one.
 */
export function noteOperation(
  reads: Reads,
  { id, change, dryRun }: Pick<OperationHead, 'id' | 'change' | 'dryRun'>,
  state: OperationState,
  replayed: boolean,
): void {
  const verdict = state === 'FAILED' || state === 'ROLLED_BACK' ? 'FAILED' : 'ALLOWED'
  const what = `${change.title} (operation ${id}${replayed ? ', begun before' : ''})`
  for (const cluster of clustersOf(change))
    reads.noteWritten({ cluster, what, outcome: state, verdict, dryRun })
}

/** Notes that somebody asked to stop an operation. `state`: how far it is. */
export function noteCancel(
  reads: Reads,
  { id, change }: Pick<OperationHead, 'id' | 'change'>,
  state: OperationState,
): void {
  const what = `cancel: ${change.title} (operation ${id})`
  for (const cluster of clustersOf(change)) {
    reads.noteWritten({ cluster, what, outcome: state, verdict: 'ALLOWED', dryRun: false })
  }
}

function clustersOf({ steps, known }: Pick<Change, 'steps' | 'known'>): ReadonlySet<string> {
  return new Set([...steps, ...known].map(({ object }) => object.cluster))
}

/**
 * Leaves a record of the end of one step of an operation, as whoever began it: by whichever replica it is carried
 * out, and whether or not anybody waits for it. Never throws.
 */
export function recordStep(
  log: AuditLog,
  { id, owner, change }: Pick<OperationHead, 'id' | 'owner' | 'change'>,
  result: StepResult,
): void {
  for (const { outcome, clusters, message } of writtenNotes([writtenOf(change.verb, result)])) {
    log.record({
      type: 'MUTATION',
      outcome,
      clusters,
      message: `${message} (operation ${id})`,
      user: { name: owner.user.name, groups: owner.user.groups, issuer: owner.issuer },
      remoteAddress: null,
      operationName: null,
      operationHash: null,
      latencyMs: Math.max(0, result.finishedAt - result.startedAt),
      correlationId: id,
    })
  }
}

function writtenOf(verb: Verb, { object, purpose, outcome, dryRun }: StepResult): Written {
  const { cluster, kind, namespace, name } = object
  const target = `${kind} ${namespace === null ? name : `${namespace}/${name}`}`
  return { cluster, what: whatOf(verb, target, purpose), outcome, verdict: verdictOf(outcome), dryRun }
}

/** `scale`, `scale to 3`: `scale Deployment shop/web to 3`. */
function whatOf(verb: Verb, target: string, purpose: string): string {
  if (purpose === verb || purpose === '') return `${verb} ${target}`
  if (purpose.startsWith(`${verb} `)) return `${verb} ${target}${purpose.slice(verb.length)}`
  return `${verb} ${target} (${purpose})`
}

function verdictOf(outcome: Outcome): Written['verdict'] {
  if (outcome === 'FORBIDDEN') return 'DENIED'
  return FAILURES.has(outcome) ? 'FAILED' : 'ALLOWED'
}
