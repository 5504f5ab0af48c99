/**
 * What of changes goes into Redis, as text: without the values of Secrets, compressed where it is long, and bounded.
 *
 * Invariant: whatever is written by `pack` has gone through `keptHead`, `keptRecord` or `keptValue` before: what is
 * withheld there never leaves this process.
 */
import { promisify } from 'node:util'
import { deflateRaw, inflateRaw } from 'node:zlib'
import { isObject, LAST_APPLIED, presentable, type KubernetesJson } from '../kubernetes/json.ts'
import type { Action, StepResult } from './change.ts'
import type { OperationHead, StepRecord } from './operation.ts'
import type { Prepared } from './stepping.ts'
import { ChangeRefused } from './writes.ts'

/** Characters of JSON from which on it is compressed. */
const COMPRESSED_FROM = 4_096
/** Characters that one value may take in Redis. */
const MAX_KEPT = 1_048_576
/** Characters of JSON, before it is compressed: a change of many clusters repeats itself. */
const MAX_JSON = 32 * MAX_KEPT

const deflate = promisify(deflateRaw)
const inflate = promisify(inflateRaw)

/**
 * As it is kept: JSON behind a `j`, or deflated (RFC 1951) and in base64 behind a `z`. `what` begins the message of
 * the refusal: "The plan". Throws `ChangeRefused` TOO_LARGE.
 */
export async function pack(value: unknown, what: string): Promise<string> {
  const json = JSON.stringify(value)
  if (json.length > MAX_JSON) throw tooLarge(what, json.length)
  if (json.length < COMPRESSED_FROM) return `j${json}`
  // The fastest: most of it is repetition, which any level finds.
  const packed = `z${(await deflate(json, { level: 1 })).toString('base64')}`
  if (packed.length > MAX_KEPT) throw tooLarge(what, packed.length)
  return packed
}

/** Throws where the text is none of `pack`. */
export async function unpack(text: string): Promise<unknown> {
  if (text.startsWith('j')) return JSON.parse(text.slice(1))
  if (!text.startsWith('z')) throw new TypeError('This was not packed by fleetgraph.')
  // Bytes: a character takes up to three.
  const bytes = await inflate(Buffer.from(text.slice(1), 'base64'), { maxOutputLength: 3 * MAX_JSON })
  return JSON.parse(bytes.toString('utf8'))
}

function tooLarge(what: string, size: number): ChangeRefused {
  const [is, most] = [size, size > MAX_JSON ? MAX_JSON : MAX_KEPT].map((bytes) =>
    (bytes / 1_048_576).toFixed(1),
  )
  return new ChangeRefused(
    'TOO_LARGE',
    `${what} is too large to be kept: ${is} MiB, and at most ${most} MiB are. Make several smaller changes of it: fewer objects, or fewer clusters at a time.`,
  )
}

/** Whether anything in it is a Secret with values. */
export function holdsSecret(value: unknown): boolean {
  return keptValue(value) !== value
}

/**
 * Without the values of any Secret in it, however deep (a template may hold one). The same object where there is
 * none; parts without one are shared.
 */
function keptValue<T>(value: T): T
function keptValue(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => keptValue(item))
    return items.some((item, i) => item !== value[i]) ? items : value
  }
  if (!isObject(value)) return value
  if (value.kind === 'Secret' && value.apiVersion === 'v1')
    return hasValues(value) ? presentable(value, true) : value
  const entries = Object.entries(value).map(([key, field]) => [key, keptValue(field)] as const)
  if (entries.every(([key, field]) => field === value[key])) return value
  // `__proto__` stays a field: not by assignment.
  const kept: KubernetesJson = Object.fromEntries(entries)
  // What was applied last holds the Secret once more, as text.
  return isObject(kept.metadata) ? presentable(kept, true) : kept
}

function hasValues({ data, stringData, metadata }: KubernetesJson): boolean {
  const filled = (values: unknown) =>
    values !== undefined && values !== null && (!isObject(values) || Object.keys(values).length > 0)
  return filled(data) || filled(stringData) || metadata?.annotations?.[LAST_APPLIED] !== undefined
}

/** The head as it is kept: what it is by its type and nothing else, and no Secret. */
export function keptHead(head: OperationHead): OperationHead {
  const { id, owner, change, strategy, dryRun, confirmed, createdAt } = head
  const { user, method, issuer, clusters } = owner
  const { name, groups, uid, extra } = user
  return {
    id,
    owner: {
      user: { name, groups, ...(uid !== undefined && { uid }), ...(extra && { extra }) },
      method,
      issuer,
      clusters,
    },
    change: {
      ...change,
      steps: change.steps.map((step) => ({ ...step, action: keptAction(step.action) })),
      known: change.known.map(keptResult),
    },
    strategy,
    dryRun,
    confirmed,
    createdAt,
  }
}

/** The same of a step. */
export function keptRecord(record: StepRecord): StepRecord {
  return record.state === 'BEGUN'
    ? { ...record, prepared: keptPrepared(record.prepared) }
    : { ...record, result: keptResult(record.result) }
}

function keptAction(action: Action): Action {
  const kept = keptValue(action)
  return kept === action ? action : ({ ...kept, withheld: true } as Action)
}

/** Paths (RFC 6901), in quotes, that are not of a Secret's values nor of all of it. */
const ELSEWHERE = /^"\/(?!data|stringData)./

function keptPrepared(prepared: Prepared): Prepared {
  const { action, before, patch, ...rest } = prepared
  // A patch of a Secret's values has them without their kind.
  const secret = before !== null && before.kind === 'Secret' && before.apiVersion === 'v1'
  const ofValues = patch?.some((op) => !isObject(op) || !ELSEWHERE.test(JSON.stringify(op['path'])))
  const sendable = patch !== undefined && !(secret && ofValues) && !holdsSecret(patch)
  return { ...rest, action: keptAction(action), before: keptValue(before), ...(sendable && { patch }) }
}

function keptResult(result: StepResult): StepResult {
  return keptValue(result)
}
