/** What mutations answer with: one result for each object of each cluster, and what they come to together. */
import { presentable, yamlOf, type KubernetesJson } from '../../kubernetes/json.ts'
import { project } from '../../kubernetes/projections/projections.ts'
import { compareResourceVersions } from '../../kubernetes/resource-version.ts'
import type { Row } from '../../kubernetes/rows.ts'
import {
  CHANGE_ERROR_CODES,
  FAILURES,
  OUTCOMES,
  type ChangeError,
  type ChangeErrorCode,
  type Outcome,
  type StepResult,
} from '../../writes/change.ts'
import { cursorOf, keptKind } from '../../writes/cursor.ts'
import { fieldChanges, unifiedDiff, type FieldChange } from '../../writes/difference.ts'
import type { OperationRecord } from '../../writes/operation.ts'
import type { AuthorizedFleet } from '../../access/authorized-fleet.ts'
import { builder } from '../builder.ts'
import { LinkRef } from '../kinds/service.ts'
import { linksOf } from '../links.ts'
import { ClusterRef, KubernetesObject } from '../refs.ts'
import { inTurn } from './turns.ts'

const OUTCOME_DESCRIPTIONS = {
  CREATED: 'The object was not there, and is now.',
  UPDATED: 'The object was changed; `changes` says how.',
  UNCHANGED: 'Everything was as asked for: nothing was done.',
  DELETED: 'The object is gone, or on its way: its deletion has begun.',
  SKIPPED: 'It was not attempted, since something before it failed or was stopped; `error` says what.',
  FAILED: 'It was refused, by the API server or by a policy of the gateway; `error` says why.',
  FORBIDDEN: 'You may not do this in this cluster.',
  CONFLICT: 'The object is not as it was expected: nothing was changed.',
  UNREACHABLE: 'The cluster did not answer; `error { mayHaveBeenApplied }` says whether it may have acted.',
} as const satisfies Record<Outcome, string>

const OutcomeEnum = builder.enumType('ChangeOutcome', {
  description: 'What came of a change of one object.',
  values: Object.fromEntries(
    OUTCOMES.map((outcome) => [outcome, { description: OUTCOME_DESCRIPTIONS[outcome] }]),
  ) as Record<Outcome, { description: string }>,
})

const ErrorCodeEnum = builder.enumType('ChangeErrorCode', {
  description: 'Why a change was not made.',
  values: Object.fromEntries(
    Object.entries(CHANGE_ERROR_CODES).map(([code, description]) => [code, { description }]),
  ) as Record<ChangeErrorCode, { description: string }>,
})

const ChangeErrorCauseRef = builder.objectRef<ChangeError['causes'][number]>('ChangeErrorCause').implement({
  description: 'One thing that the API server found wrong.',
  fields: (t) => ({
    field: t.exposeString('field', {
      nullable: true,
      description: 'The field, as Kubernetes names it: `spec.replicas`.',
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'A word for a program, such as `FieldValueInvalid`.',
    }),
    message: t.exposeString('message', { nullable: true, description: 'A sentence for a person.' }),
  }),
})

const ChangeErrorRef = builder.objectRef<ChangeError>('ChangeError').implement({
  description: 'Why a change of one object was not made, or not as asked.',
  fields: (t) => ({
    code: t.expose('code', { type: ErrorCodeEnum, description: 'For a program.' }),
    message: t.exposeString('message', {
      description: 'For a person: what was wrong, where, and what to do next.',
    }),
    causes: t.expose('causes', {
      type: [ChangeErrorCauseRef],
      description: 'The fields at fault, where the API server names them.',
    }),
    policy: t.exposeString('policy', {
      nullable: true,
      description: 'Name of the policy that forbids it; null where none does.',
    }),
    mayHaveBeenApplied: t.exposeBoolean('mayHaveBeenApplied', {
      description:
        'True: the request was sent, and its answer was not heard; look before you try again. False: nothing was changed.',
    }),
    retryAfterSeconds: t.exposeInt('retryAfterSeconds', {
      nullable: true,
      description: 'When to try again, where the API server says so.',
    }),
  }),
})

const FieldChangeRef = builder.objectRef<FieldChange>('FieldChange').implement({
  description: 'A field that changes.',
  fields: (t) => ({
    path: t.exposeString('path', {
      description: 'Where: `spec.template.spec.containers[name=app].image`.',
    }),
    before: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Its value before; null where it was not there.',
      resolve: ({ before }) => before ?? null,
    }),
    after: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Its value after; null where it is not there any more.',
      resolve: ({ after }) => after ?? null,
    }),
  }),
})

/** What came of one step, as it may be shown. */
function shown(object: KubernetesJson | null): KubernetesJson | null {
  return object && presentable(object, object.kind === 'Secret' && object.apiVersion === 'v1')
}

/** As memory has it, if that is this object in this version or a later one; else as the API server returned it. */
function rowOf({ object, after, dryRun }: StepResult, fleet: AuthorizedFleet): Row | null {
  const { cluster, namespace, name } = object
  const kind = keptKind(object)
  if (!after || !kind || !fleet.cluster(cluster)) return null
  const known = dryRun ? undefined : fleet.get(kind, cluster, namespace ?? '', name)
  if (known?.uid === after.metadata?.uid && known && isAsNew(known, after)) return known
  try {
    return project(kind)(after, cluster)
  } catch {
    return null
  }
}

function isAsNew(row: Row, object: KubernetesJson): boolean {
  const version = object.metadata?.['resourceVersion']
  if (typeof version !== 'string') return false
  return (compareResourceVersions(row.resourceVersion, version) ?? -1) >= 0
}

export const ChangeResultRef = builder.objectRef<StepResult>('ChangeResult').implement({
  description: 'What came of a change of one object in one cluster.',
  fields: (t) => ({
    clusterName: t.string({
      description: 'Name of the cluster.',
      resolve: ({ object }) => object.cluster,
    }),
    cluster: t.field({
      type: ClusterRef,
      nullable: true,
      description: 'The cluster; null where it has left the fleet.',
      resolve: ({ object }, _arguments, { fleet }) => fleet.cluster(object.cluster) ?? null,
    }),
    apiVersion: t.string({ description: 'API version.', resolve: ({ object }) => object.apiVersion }),
    kind: t.string({ description: 'Kubernetes kind.', resolve: ({ object }) => object.kind }),
    namespace: t.string({
      nullable: true,
      description: 'Namespace; null for kinds without one.',
      resolve: ({ object }) => object.namespace,
    }),
    name: t.string({
      description:
        'Name of the object; empty where a selector could not be looked up in the cluster, so that no object is known.',
      resolve: ({ object }) => object.name,
    }),
    action: t.exposeString('purpose', { description: 'What was to be done with it, for a person.' }),
    outcome: t.expose('outcome', { type: OutcomeEnum, description: 'What came of it.' }),
    dryRun: t.exposeBoolean('dryRun', {
      description: 'True: this is what would have come of it; nothing was changed.',
    }),
    message: t.exposeString('note', {
      nullable: true,
      description: 'What changed, for a person: `3 → 5 replicas`; null where there is no more to say.',
    }),
    error: t.expose('error', {
      type: ChangeErrorRef,
      nullable: true,
      description: 'Why it was not done as asked; null where it was.',
    }),
    changes: t.field({
      type: [FieldChangeRef],
      description:
        'The difference field by field, without `status`. Values of a Secret are shown as `<redacted>`.',
      resolve: ({ before, after, outcome }, _arguments, context) =>
        FAILURES.has(outcome) ? [] : inTurn(context, () => fieldChanges(before, after)),
    }),
    diff: t.string({
      nullable: true,
      description: 'The difference as a unified diff of YAML; null where nothing changes.',
      resolve: ({ before, after, outcome }, _arguments, context) =>
        FAILURES.has(outcome) ? null : inTurn(context, () => unifiedDiff(before, after) || null),
    }),
    object: t.field({
      type: KubernetesObject,
      nullable: true,
      description:
        'The object after the change: as memory has it by now, else as the API server returned it. Null where it is gone or was not changed, and for kinds that are not kept in memory: those have their `manifest`.',
      resolve: (result, _arguments, { fleet }) => rowOf(result, fleet),
    }),
    manifest: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The whole object as the API server returned it; null where it did not.',
      resolve: ({ after }) => shown(after),
    }),
    yaml: t.string({
      nullable: true,
      description: 'The same as YAML.',
      resolve: ({ after }, _arguments, context) => {
        const object = shown(after)
        return object && inTurn(context, () => yamlOf(object))
      },
    }),
    links: t.field({
      type: [LinkRef],
      description:
        'Of a Service: where it is reached from outside, as far as is known by now. Empty for others.',
      resolve: (result, _arguments, { fleet }) => {
        const row = rowOf(result, fleet)
        return row?.kind === 'Service' ? linksOf(row, fleet) : []
      },
    }),
    startedAt: t.field({
      type: 'DateTime',
      description: 'When it was begun.',
      resolve: ({ startedAt }) => new Date(startedAt),
    }),
    finishedAt: t.field({
      type: 'DateTime',
      description: 'When it was done.',
      resolve: ({ finishedAt }) => new Date(finishedAt),
    }),
  }),
})

interface ChangeSummary {
  readonly results: readonly StepResult[]
  /** Results that are still to come. */
  readonly pending: number
}

/** `operation`: the one that they are of. */
export function summaryOf(
  results: readonly StepResult[],
  operation: OperationRecord | null = null,
): ChangeSummary {
  const all = operation && operation.change.steps.length + operation.change.known.length
  return { results, pending: all === null ? 0 : Math.max(0, all - results.length) }
}

export const ChangeSummaryRef = builder.objectRef<ChangeSummary>('ChangeSummary').implement({
  description: 'How many objects came out how.',
  fields: (t) => ({
    ok: t.boolean({
      description:
        'Whether everything was done as asked. Of an operation that goes on, what is done so far: `pending` says how much is to come, and `operation { state }` how it ends.',
      resolve: ({ results }) => !results.some(({ outcome }) => FAILURES.has(outcome)),
    }),
    total: t.int({ description: 'All results.', resolve: ({ results }) => results.length }),
    pending: t.exposeInt('pending', {
      description: 'Results that are still to come, of an operation that goes on.',
    }),
    ...Object.fromEntries(
      OUTCOMES.map((outcome) => [
        outcome.toLowerCase(),
        t.int({
          description: `Results that are ${outcome}.`,
          resolve: ({ results }: ChangeSummary) =>
            results.filter((result) => result.outcome === outcome).length,
        }),
      ]),
    ),
    message: t.string({
      description:
        'A sentence for a person: `2 updated (prod-eu), 1 forbidden (prod-us).` Of many clusters how many they are.',
      resolve: sentence,
    }),
  }),
})

function sentence({ results, pending }: ChangeSummary): string {
  if (results.length === 0 && pending === 0) return 'Nothing matched: nothing was done.'
  const parts = OUTCOMES.flatMap((outcome) => {
    const these = results.filter((result) => result.outcome === outcome)
    if (these.length === 0) return []
    const clusters = [...new Set(these.map(({ object }) => object.cluster))]
    const where = clusters.length > 3 ? `${clusters.length} clusters` : clusters.join(', ')
    return [`${these.length} ${outcome.toLowerCase()} (${where})`]
  })
  if (pending > 0) parts.push(`${pending} to come`)
  const would =
    pending === 0 && results.every(({ dryRun }) => dryRun) ? 'Nothing was changed; it would be: ' : ''
  return `${would}${parts.join(', ')}.`
}

export interface ChangePayload {
  readonly results: readonly StepResult[]
  readonly operation: OperationRecord | null
  readonly replayed: boolean
}

/** Its fields that are about operations are in `operation.ts`. */
export const ChangePayloadRef = builder.objectRef<ChangePayload>('ChangePayload').implement({
  description:
    'What came of a mutation: a result for each object of each cluster. Failures are results, not errors of the answer.',
  fields: (t) => ({
    results: t.expose('results', {
      type: [ChangeResultRef],
      description:
        'One for each object, in the order of the targets. Of an operation that goes on: those that are done.',
    }),
    summary: t.field({
      type: ChangeSummaryRef,
      description: 'How they came out together.',
      resolve: ({ results, operation }) => summaryOf(results, operation),
    }),
    cursor: t.string({
      nullable: true,
      description:
        'Give it to a query as `@atLeast(cursor:)`: its answer then holds these changes, on whichever replica. Null where nothing was changed, or nothing that is kept in memory.',
      resolve: ({ results }) => cursorOf(results),
    }),
    replayed: t.exposeBoolean('replayed', {
      description:
        'True: this was done before, for a request with the same idempotency key or the same plan; nothing was done now.',
    }),
  }),
})
