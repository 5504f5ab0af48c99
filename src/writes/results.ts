/**
 * Results of steps: those that the driver of a change makes itself, and what of a result may leave it. A result
 * never holds `managedFields`, and never the values of a Secret.
 */
import { isObject, type KubernetesJson } from '../kubernetes/json.ts'
import type { Action, Change, ChangeError, ChangeErrorCode, ObjectKey, Step, StepResult } from './change.ts'
import { FAILURES } from './change.ts'
import { presentablePair } from './difference.ts'
import { ENDED, type OperationRecord, type StepName, type StepRecord } from './operation.ts'
import type { Done } from './stepping.ts'

/** For a person: `Deployment shop/web in the cluster prod-eu`. */
export function describe({ kind, namespace, name, cluster }: ObjectKey): string {
  return `${kind} ${namespace === null ? name : `${namespace}/${name}`} in the cluster ${cluster}`
}

export function isSecret({
  apiVersion,
  kind,
}: {
  readonly apiVersion?: string
  readonly kind?: string
}): boolean {
  return apiVersion === 'v1' && kind === 'Secret'
}

/** Everything of a `ChangeError` that a code and a message leave open, left empty. */
export function changeError(
  code: ChangeErrorCode,
  message: string,
  more: Partial<Omit<ChangeError, 'code' | 'message'>> = {},
): ChangeError {
  return {
    code,
    message,
    causes: [],
    policy: null,
    mayHaveBeenApplied: false,
    retryAfterSeconds: null,
    ...more,
  }
}

/** A step that did not come to what was asked for, as far as its driver can tell. */
export function failed(
  outcome: Done['outcome'],
  error: ChangeError,
  before: KubernetesJson | null = null,
): Done {
  return { outcome, before, after: null, error, resourceVersion: null, note: null }
}

export function toResult(
  { index, object, purpose, action, note: remark }: Step,
  { outcome, before, after, error, resourceVersion, note }: Done,
  times: { readonly dryRun: boolean; readonly startedAt: number; readonly finishedAt: number },
): StepResult {
  const [shownBefore, shownAfter] = presentablePair(before, after)
  return {
    index,
    object,
    purpose,
    outcome,
    dryRun: times.dryRun,
    before: shownBefore,
    after: shownAfter,
    error: error && withoutValues(error, action),
    resourceVersion,
    note: outcome === 'UPDATED' && remark !== undefined ? [note, remark].filter(Boolean).join('. ') : note,
    startedAt: times.startedAt,
    finishedAt: times.finishedAt,
  }
}

/** Stands for what an API server says of a Secret, and repeats its values in. */
const UNTOLD = 'It repeats a value of the Secret, and is not told.'

/** API servers, and webhooks even more, quote what they refuse: of a Secret that would be its values. */
function withoutValues(error: ChangeError, action: Action): ChangeError {
  if (!('manifest' in action)) return error
  // Of its codes these two are told in the words of whoever refused.
  const least = error.code === 'INVALID' || error.code === 'FAILED' ? 1 : SHORT
  const values = secretValues(action.manifest).filter(({ length }) => length >= least)
  const tells = (text: string | null) => text !== null && values.some((value) => quotes(text, value))
  const causes = error.causes.map((cause) => (tells(cause.message) ? { ...cause, message: UNTOLD } : cause))
  if (!tells(error.message)) return { ...error, causes }
  const fields = causes.flatMap(({ field }) => field ?? [])
  const where = fields.length > 0 ? `: see ${fields.join(', ')}` : ''
  const message = `The API server refused the Secret${where}. What it says of it repeats a value, and is not told.`
  return { ...error, message, causes }
}

/** Characters of a value that no message has by chance. */
const SHORT = 8

/** A short one only as a word of its own. */
function quotes(text: string, value: string): boolean {
  if (value.length >= SHORT) return text.includes(value) || text.includes(JSON.stringify(value).slice(1, -1))
  const isWord = (character: string | undefined) => character !== undefined && /\w/.test(character)
  for (let at = text.indexOf(value); at !== -1; at = text.indexOf(value, at + 1)) {
    if (!isWord(text[at - 1]) && !isWord(text[at + value.length])) return true
  }
  return false
}

/** As they may be quoted: of long ones the beginning is enough. Those of nothing but blanks are no secret. */
function secretValues(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((item) => secretValues(item))
  if (!isObject(value)) return []
  if (!isSecret(value)) return Object.values(value).flatMap((field) => secretValues(field))
  const texts = ['data', 'stringData'].flatMap((field) => leaves(value[field]))
  const decoded = leaves(value['data']).map((text) => Buffer.from(text, 'base64').toString())
  return [...texts, ...decoded].map((text) => text.trim().slice(0, 24)).filter((text) => text !== '')
}

function leaves(value: unknown): readonly string[] {
  if (value === null || value === undefined) return []
  if (typeof value === 'object') return Object.values(value).flatMap((field) => leaves(field))
  return [typeof value === 'string' ? value : JSON.stringify(value)]
}

/** Of a step that was not begun. */
export function notAttempted(step: Step, why: string, dryRun: boolean, at: number): StepResult {
  const message = `${describe(step.object)} was not touched: ${why}`
  return toResult(step, failed('SKIPPED', changeError('NOT_ATTEMPTED', message)), {
    dryRun,
    startedAt: at,
    finishedAt: at,
  })
}

/** In order of their steps; those that are not among `done` are missing, or made by `missing`. */
export function resultsOf(
  { steps, known }: Pick<Change, 'steps' | 'known'>,
  done: (step: Step) => StepResult | undefined,
): readonly StepResult[] {
  const results: StepResult[] = [...known]
  for (const step of steps) {
    const result = done(step)
    if (result) results.push(result)
  }
  return results.toSorted((a, b) => a.index - b.index)
}

/**
 * What came of an operation, in order of its steps; while it goes on of those that are done. Steps that it ended
 * without are SKIPPED, or FAILED where they were begun.
 */
export function resultsOfOperation(record: OperationRecord): readonly StepResult[] {
  const { change, steps, state, dryRun, createdAt } = record
  const end = ENDED.has(state) ? (record.finishedAt ?? createdAt) : undefined
  return resultsOf(change, (step) => {
    const kept = steps.get(`${step.index}`)
    if (kept?.state === 'DONE') return kept.result
    if (end === undefined) return undefined
    return kept
      ? leftBegun(step, kept, { dryRun, startedAt: kept.startedAt, finishedAt: end })
      : notAttempted(step, WHY[state] ?? WHY['FAILED']!, dryRun, end)
  })
}

/** Nobody went on with an operation in the middle of a step. */
function leftBegun(
  step: Step,
  { prepared }: Extract<StepRecord, { readonly state: 'BEGUN' }>,
  times: Parameters<typeof toResult>[2],
): StepResult {
  const message = `${describe(step.object)} was begun, and the operation ended before it was known what came of it. Look at it before you try again.`
  const error = changeError('INTERRUPTED', message, { mayHaveBeenApplied: true })
  return toResult(step, failed('FAILED', error, prepared.before), times)
}

const WHY: Readonly<Record<string, string>> = {
  CANCELLED: 'the operation was cancelled before.',
  FAILED: 'the operation stopped before, since something in it failed.',
  ROLLED_BACK: 'the operation was rolled back before, since something in it failed.',
}

/** What came of a rollback, newest first: the steps of a result that was undone, by the index of that step. */
export function undosOfOperation({ change, steps }: OperationRecord): readonly StepResult[] {
  return change.steps
    .toReversed()
    .map(({ index }) => steps.get(`undo:${index}` satisfies StepName))
    .filter((kept) => kept?.state === 'DONE')
    .map(({ result }) => result)
}

export function isFailure({ outcome }: Pick<StepResult, 'outcome'>): boolean {
  return FAILURES.has(outcome)
}

/** Only whoever was sent the values can carry it out. */
export function isWithheld({ action }: { readonly action: Action }): boolean {
  return 'withheld' in action && action.withheld
}
