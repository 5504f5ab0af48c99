/** APPLY: server-side apply. */
import { ApiError } from '../../kubernetes/client.ts'
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { serverSideApply } from '../../kubernetes/requests.ts'
import { fingerprint } from '../fingerprint.ts'
import type { Step } from '../change.ts'
import type { Done } from '../stepping.ts'
import { missingNamespace } from '../write-errors.ts'
import {
  apiVersionOf,
  done,
  FIELD_MANAGER,
  FOUND_DONE,
  hasPreconditions,
  isReadByChoice,
  read,
  requireApproval,
  requirePreconditions,
  send,
  shorn,
  unchanged,
  versionOf,
  writing,
  type ActionOf,
  type ActionStep,
  type PlacedStep,
} from './action-step.ts'
import { untilServed } from './definition.ts'

const UNCHECKED =
  'Its namespace would be created by this change, and is not there yet: the API server could not check it.'

export const apply: ActionStep<'APPLY'> = {
  async prepare(placed) {
    const { step, action, context } = placed
    const reading = await read(placed, { unreadable: isReadByChoice(step) })
    requirePreconditions(step, reading)
    const { live: before, unread } = reading
    if (context.judge.needsObjects) {
      requireApproval(placed, before, await merged(placed, before))
    } else requireApproval(placed, before, action.manifest)
    return { action, before, ...(unread && { unread }) }
  },

  async execute(placed, { before, unread }) {
    const { context } = placed
    let after: KubernetesJson
    try {
      after = await send(context, () => request(placed, before, context.dryRun))
    } catch (error) {
      if (isInNamespaceToCome(error, placed)) return unchecked(placed)
      throw error
    }
    if (unread) {
      return done(
        placed,
        'UPDATED',
        { before, after },
        'You may not read it: whether it was there before is not known.',
      )
    }
    if (before && isSame(before, after)) return unchanged(placed, after)
    const note = await untilServed(placed, after)
    return done(placed, before ? 'UPDATED' : 'CREATED', { before, after }, note)
  },

  async settled(placed, { before }, live) {
    if (!live) return undefined
    // What had to hold did before it was begun.
    const { preconditions: _preconditions, ...step } = placed.step
    const again = await request(
      { ...placed, step, action: { ...placed.action, force: false } },
      null,
      true,
    ).catch((error: unknown) => {
      if (error instanceof ApiError && error.statusCode === 409) return undefined
      throw error
    })
    if (!again || !isSame(live, again)) return undefined
    return done(placed, before ? 'UPDATED' : 'CREATED', { before, after: live }, FOUND_DONE)
  },
}

/** Put into a namespace that the same change would create, in a dry run: nothing more can be said. */
export function isInNamespaceToCome(
  error: unknown,
  { context }: PlacedStep<ActionOf<'APPLY' | 'CREATE'>>,
): boolean {
  const namespace = missingNamespace(
    error instanceof Error && error.cause instanceof ApiError ? error.cause : error,
  )
  return context.dryRun && namespace !== undefined && context.createdNamespaces?.has(namespace) === true
}

export function unchecked(placed: PlacedStep<ActionOf<'APPLY' | 'CREATE'>>): Done {
  return done(placed, 'CREATED', { before: null, after: placed.action.manifest }, UNCHECKED)
}

async function request(
  { step, action, target, context }: PlacedStep<ActionOf<'APPLY'>>,
  before: KubernetesJson | null,
  dryRun: boolean,
): Promise<KubernetesJson> {
  const { manifest, force } = action
  const { namespace: _namespace, ...metadata } = manifest.metadata ?? {}
  const version = hasPreconditions(step) ? (versionOf(before) ?? absentVersion(step)) : null
  const body = {
    ...manifest,
    apiVersion: apiVersionOf(target.address),
    metadata: {
      ...metadata,
      name: target.name,
      ...(target.namespace !== undefined && { namespace: target.namespace }),
      ...preconditionsOf(step.preconditions),
      ...(version !== null && { resourceVersion: version }),
    },
  }
  const options = {
    ...writing(context),
    dryRun,
    fieldManager: FIELD_MANAGER,
    fieldValidation: 'Strict',
  } as const
  const applying = (force: boolean) =>
    serverSideApply<KubernetesJson>(context.client, target, body, { ...options, force })
  try {
    return shorn(await applying(force))
  } catch (error) {
    if (!isWithOurselves(error)) throw error
    return shorn(await applying(true))
  }
}

/** Also by a manager of one write alone (`trace.ts`). */
const OURS = new RegExp(`^conflict with "${FIELD_MANAGER}(-scale-[0-9a-f]+)?"`)

/**
 * Whether all that is in the way are fields that edits and scales of ours have set: the API server takes them for
 * another manager than whoever applies, though both have one name.
 */
function isWithOurselves(error: unknown): boolean {
  if (!(error instanceof ApiError) || error.statusCode !== 409) return false
  const causes = error.status.details?.causes ?? []
  return (
    causes.length > 0 &&
    causes.every(({ reason, message }) => reason === 'FieldManagerConflict' && OURS.test(message ?? ''))
  )
}

/**
 * Of an object that is expected not to be there: a version that none has. The API server compares it with an object
 * that is there by then – a 409 –, and leaves it aside where it creates one.
 */
function absentVersion({ preconditions }: Step): string | null {
  return preconditions?.fingerprint === null ? '1' : null
}

/** What the API server holds by itself: also of an object that the viewer may not read. */
function preconditionsOf({
  uid,
  resourceVersion,
}: NonNullable<PlacedStep<ActionOf<'APPLY'>>['step']['preconditions']> = {}) {
  return { ...(uid !== undefined && { uid }), ...(resourceVersion !== undefined && { resourceVersion }) }
}

/** As the API server would store it. */
async function merged(
  placed: PlacedStep<ActionOf<'APPLY'>>,
  before: KubernetesJson | null,
): Promise<KubernetesJson> {
  const { context, action } = placed
  try {
    return await send({ ...context, dryRun: true }, () => request(placed, before, true))
  } catch (error) {
    // Where not everything can be tried, policies see what was sent: it is no more than what would be stored.
    if (isInNamespaceToCome(error, placed) || isUntriable(error)) return action.manifest
    throw error
  }
}

/** An admission webhook with side effects that it cannot do without. */
export function isUntriable(error: unknown): boolean {
  return (
    error instanceof Error &&
    error.cause instanceof ApiError &&
    error.cause.statusCode === 400 &&
    error.cause.message.includes('does not support dry run')
  )
}

/** By what is in it, and not by its version: status goes on changing meanwhile, and a dry run has none of its own. */
function isSame(before: KubernetesJson, after: KubernetesJson): boolean {
  return before.metadata?.uid === after.metadata?.uid && fingerprint(before) === fingerprint(after)
}
