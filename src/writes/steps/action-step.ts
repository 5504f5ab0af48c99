/**
 * What the steps share: where their object is, how it is read and written as the viewer, what must hold of it first,
 * and how a failure travels until `stepper.ts` makes a result of it.
 */
import { isForbidden } from '../../access/live-errors.ts'
import type { Clock } from '../../fleet/clock.ts'
import { ApiError } from '../../kubernetes/client.ts'
import { isObject, type KubernetesJson } from '../../kubernetes/json.ts'
import { KINDS } from '../../kubernetes/kinds.ts'
import type { Kind } from '../../kubernetes/rows.ts'
import { get, type ObjectAddress, type WriteOptions } from '../../kubernetes/requests.ts'
import type { Action, ChangeError, ChangeErrorCode, ObjectKey, Outcome, Step, Verb } from '../change.ts'
import { fingerprint } from '../fingerprint.ts'
import type { Done, Prepared, StepContext } from '../stepping.ts'
import { changeError } from '../results.ts'
import { isMissingPath, writeFailure } from '../write-errors.ts'

/** Who owns the fields that the gateway sets. */
export const FIELD_MANAGER = 'fleetgraph'

export type ActionOf<T extends Action['type']> = Extract<Action, { readonly type: T }>

/** A step whose kind was found, and whose action is of one type. */
export interface PlacedStep<A extends Action = Action> {
  readonly step: Step
  /** The step's; after it was prepared, with what was decided. */
  readonly action: A
  readonly target: Target
  readonly context: StepContext
}

/** Where the object is, as the cluster serves it. */
export type Target = Omit<ObjectAddress, 'subresource'>

/** One type of action. What it cannot do it throws, as `StepFailure` or as the client's errors. */
export interface ActionStep<T extends Action['type']> {
  prepare(placed: PlacedStep<ActionOf<T>>): Promise<Prepared | Done>
  execute(placed: PlacedStep<ActionOf<T>>, prepared: Prepared): Promise<Done>
  /** Whether what was begun is done by now; told where `before` no longer is what it was. */
  settled(
    placed: PlacedStep<ActionOf<T>>,
    prepared: Prepared,
    live: KubernetesJson | null,
  ): Promise<Done | undefined>
}

/** A result on its way out. */
export class StepFailure extends Error {
  override readonly name = 'StepFailure'
  readonly outcome: Outcome
  readonly error: ChangeError
  /** The object as it was found, where that says more than what was prepared. */
  readonly found: KubernetesJson | null | undefined
  /** Somebody else was faster, perhaps: whoever reads the object again may find that it can be done. */
  readonly raced: boolean

  constructor(
    outcome: Outcome,
    error: ChangeError,
    about: {
      readonly found?: KubernetesJson | null
      readonly raced?: boolean
      readonly cause?: unknown
    } = {},
  ) {
    super(error.message, { cause: about.cause })
    this.outcome = outcome
    this.error = error
    this.found = about.found
    this.raced = about.raced ?? false
  }
}

export function refused(
  outcome: Outcome,
  code: ChangeErrorCode,
  message: string,
  found?: KubernetesJson | null,
): StepFailure {
  return new StepFailure(outcome, changeError(code, message), found === undefined ? {} : { found })
}

/** `Deployment shop/web`. */
export function nameOf({ kind, namespace, name }: Pick<ObjectKey, 'kind' | 'namespace' | 'name'>): string {
  return `${kind} ${namespace ? `${namespace}/` : ''}${name}`
}

export function notFound({ object }: Step): StepFailure {
  return refused('FAILED', 'NOT_FOUND', `There is no ${nameOf(object)} in this cluster.`, null)
}

/**
 * Finds the kind by what the cluster serves. What the gateway composes is written in the newest version; an older
 * cluster is asked in one that it has.
 */
export async function place(step: Step, context: StepContext): Promise<Target> {
  const { apiVersion, kind, namespace, name } = step.object
  requirePathSegment(name, 'metadata.name')
  if (namespace !== null) requirePathSegment(namespace, 'metadata.namespace')
  const served = await servedKind(step, context)
  if (!served) {
    throw refused('FAILED', 'NOT_SERVED', `The cluster does not serve ${kind} of ${apiVersion}.`)
  }
  if (!served.namespaced) return { address: served.address, name }
  if (namespace === null) {
    throw refused('FAILED', 'INVALID', `Objects of the kind ${kind} are in a namespace. Say in which.`)
  }
  return { address: served.address, namespace, name }
}

type Served = Awaited<ReturnType<StepContext['client']['resolve']>>

async function servedKind({ object, action }: Step, context: StepContext): Promise<Served> {
  const { client, signal, verb } = context
  const { apiVersion, kind } = object
  const served = await client.resolve(apiVersion, kind, { signal })
  if (served) return served
  // It was not there when the cluster was asked last.
  if (isDefined(object, context)) return client.resolve(apiVersion, kind, { signal, fresh: true })
  for (const other of alternatives(object, action, verb)) {
    const older = await client.resolve(other, kind, { signal })
    if (older) return older
  }
  return undefined
}

function alternatives(object: ObjectKey, action: Action, verb: Verb): readonly string[] {
  switch (action.type) {
    case 'APPLY':
    case 'CREATE':
      // A manifest of somebody's own means what it says.
      return verb === 'applyManifest' ? [] : (SAME_FORM.get(`${object.apiVersion} ${object.kind}`) ?? [])
    case 'RESTORE':
      return action.to?.apiVersion === undefined ? otherVersions(object) : [action.to.apiVersion]
    default:
      return otherVersions(object)
  }
}

/** Whether a CustomResourceDefinition of the same change defines its kind. */
export function isDefined(
  { apiVersion, kind }: Pick<ObjectKey, 'apiVersion' | 'kind'>,
  { definedKinds }: StepContext,
): boolean {
  return definedKinds?.has(`${kind}.${groupOf(apiVersion)}`) === true
}

/** Versions in which the same fields mean the same, by what came after them. */
const SAME_FORM: ReadonlyMap<string, readonly string[]> = new Map([
  // Until 1.22.
  ['autoscaling/v2 HorizontalPodAutoscaler', ['autoscaling/v2beta2']],
  // Until 1.20.
  ['batch/v1 CronJob', ['batch/v1beta1']],
])

/** Of a kind that the gateway knows: all that it has been served in. */
function otherVersions({ apiVersion, kind }: ObjectKey): readonly string[] {
  const known = Object.hasOwn(KINDS, kind) ? KINDS[kind as Kind] : undefined
  if (!known || known.group === '' || known.group !== groupOf(apiVersion)) return []
  return known.versions.map((version) => `${known.group}/${version}`).filter((other) => other !== apiVersion)
}

function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash === -1 ? '' : apiVersion.slice(0, slash)
}

/** `v1`, `apps/v1`. */
export function apiVersionOf({ group, version }: Target['address']): string {
  return group === '' ? version : `${group}/${version}`
}

/** As the API server demands of a name that stands in a path; an empty one would name all objects. */
function requirePathSegment(name: string, field: string): void {
  if (name !== '' && name !== '.' && name !== '..' && !/[/%]/.test(name)) return
  const message = `${JSON.stringify(name)} cannot be a name: it may not be empty, "." or "..", and holds no "/" or "%".`
  const causes = [{ field, reason: 'FieldValueInvalid', message }]
  throw new StepFailure('FAILED', changeError('INVALID', message, { causes }))
}

export interface Reading {
  /** Whole but for `managedFields`; `null`: there is none, or it may not be read. */
  readonly live: KubernetesJson | null
  /** It may not be read. */
  readonly unread: boolean
}

/** `unreadable`: it is put up with where the viewer may not read the object. */
export async function read(
  { target, context }: Pick<PlacedStep, 'target' | 'context'>,
  { unreadable }: { readonly unreadable: boolean },
): Promise<Reading> {
  try {
    const live = await get<KubernetesJson>(context.client, target, { signal: context.signal })
    return { live: shorn(live), unread: false }
  } catch (error) {
    if (error instanceof ApiError && error.statusCode === 404 && !isMissingPath(error)) {
      return { live: null, unread: false }
    }
    if (unreadable && isForbidden(error)) return { live: null, unread: true }
    throw error
  }
}

/** Without `managedFields`. */
export function shorn(object: KubernetesJson): KubernetesJson {
  const { managedFields: _managedFields, ...metadata } = object.metadata ?? {}
  return { ...object, metadata }
}

/** An answer to a DELETE may be a `Status`. */
export function objectOf(answer: unknown): KubernetesJson | null {
  return isObject(answer) && answer.kind !== 'Status' && answer.metadata?.name !== undefined
    ? shorn(answer)
    : null
}

export function versionOf(object: KubernetesJson | null): string | null {
  const version = object?.metadata?.['resourceVersion']
  return typeof version === 'string' ? version : null
}

/** Throws CONFLICT where the user expected another object. `live`: what was found. */
export function requirePreconditions(step: Step, { live, unread }: Reading): void {
  const { uid, resourceVersion, fingerprint: expected } = step.preconditions ?? {}
  const differs = (message: string) => refused('CONFLICT', 'CONFLICT', message, live)
  const name = nameOf(step.object)
  // The uid and the version are held by the API server itself, where they are sent along.
  if (unread) return
  if (!live) {
    if (uid !== undefined || resourceVersion !== undefined || (expected !== undefined && expected !== null)) {
      throw differs(`${name} is gone.`)
    }
    return
  }
  if (expected === null) throw differs(`There is a ${name} by now: it was expected not to be there.`)
  const { uid: actual } = live.metadata ?? {}
  if (uid !== undefined && uid !== actual) {
    throw differs(`${name} was replaced by another of the same name: its uid is ${actual}, and not ${uid}.`)
  }
  const version = versionOf(live)
  if (resourceVersion !== undefined && resourceVersion !== version) {
    throw differs(`${name} has changed: its resourceVersion is ${version}, and not ${resourceVersion}.`)
  }
  if (expected !== undefined && expected !== fingerprint(live)) {
    throw differs(`${name} has changed since it was looked at. Look again, and decide anew.`)
  }
}

/** Whether it can be done without the object being read: the API server cannot tell a fingerprint. */
export function isReadByChoice({ preconditions }: Step): boolean {
  return preconditions?.fingerprint === undefined
}

/** Whether the write has to be of the very version that was read. */
export function hasPreconditions({ preconditions }: Step): boolean {
  return (
    preconditions?.uid !== undefined ||
    preconditions?.resourceVersion !== undefined ||
    preconditions?.fingerprint !== undefined
  )
}

/** Throws what is against it. Policies see the object where it is, and not where its manifest says that it is. */
export function requireApproval(
  {
    step: given,
    target,
    context,
  }: Pick<PlacedStep, 'step' | 'context'> & { readonly target: Pick<Target, 'namespace'> },
  before: KubernetesJson | null,
  after: KubernetesJson | null,
): void {
  const { judge, verb, viewer, client } = context
  const { name, labels } = client.cluster
  const step: Step = { ...given, object: { ...given.object, namespace: target.namespace ?? null } }
  const violation = judge.judge({ verb, viewer, cluster: { name, labels }, step, before, after })
  if (violation) throw new StepFailure('FAILED', violation, { found: before })
}

/** Of every write. */
export function writing({ dryRun, signal }: StepContext): WriteOptions {
  return { dryRun, signal, fieldManager: FIELD_MANAGER }
}

/**
 * Makes a request that changes something. A 409 that is about versions is `raced`; so is a 422 where the request holds
 * `tests` of where things are in lists.
 */
export async function send<T>(
  { dryRun }: StepContext,
  request: () => Promise<T>,
  { tests = false }: { readonly tests?: boolean } = {},
): Promise<T> {
  try {
    return await request()
  } catch (error) {
    const failure = writeFailure(error, { wrote: !dryRun })
    if (!failure) throw error
    const { outcome } = failure
    const raced =
      error instanceof ApiError &&
      ((failure.error.code === 'CONFLICT' && !isOfManagers(error)) || (tests && error.statusCode === 422))
    throw new StepFailure(outcome, failure.error, { raced, cause: error })
  }
}

function isOfManagers({ status }: ApiError): boolean {
  return status.details?.causes?.some(({ reason }) => reason === 'FieldManagerConflict') === true
}

/** The end of a step that went well. */
export function done(
  { context }: Pick<PlacedStep, 'context'>,
  outcome: Outcome,
  objects: { readonly before: KubernetesJson | null; readonly after: KubernetesJson | null },
  note: string | null = null,
): Done {
  return {
    outcome,
    ...objects,
    error: null,
    resourceVersion: context.dryRun ? null : versionOf(objects.after),
    note,
  }
}

/** Nothing had to be sent. */
export function unchanged(
  placed: Pick<PlacedStep, 'context'>,
  live: KubernetesJson | null,
  note: string | null = null,
): Done {
  return done(placed, 'UNCHANGED', { before: live, after: live }, note)
}

/** What a note of a step adds that another replica had begun. */
export const FOUND_DONE = 'It was found done, by a replica that stopped before it could say so.'

/** Rejects with the signal's reason when that comes first. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error)
    const leave = () => {
      cancel()
      reject(signal.reason as Error)
    }
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', leave)
      resolve()
    })
    signal.addEventListener('abort', leave, { once: true })
  })
}
