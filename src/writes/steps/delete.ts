/** DELETE. */
import { isMissingPath } from '../write-errors.ts'
import { ApiError } from '../../kubernetes/client.ts'
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { remove, type DeleteOptions } from '../../kubernetes/requests.ts'
import type { Done, Prepared } from '../stepping.ts'
import {
  done,
  FOUND_DONE,
  isReadByChoice,
  notFound,
  objectOf,
  read,
  requireApproval,
  requirePreconditions,
  send,
  StepFailure,
  unchanged,
  versionOf,
  type ActionOf,
  type ActionStep,
  type PlacedStep,
} from './action-step.ts'
import { untilGone } from './leaving.ts'

export const deletion: ActionStep<'DELETE'> = {
  async prepare(placed) {
    const { step, action } = placed
    const reading = await read(placed, { unreadable: isReadByChoice(step) })
    // One that is gone is not the wrong one.
    if (!reading.live && !reading.unread && action.ifPresent)
      return unchanged(placed, null, 'it is not there')
    requirePreconditions(step, reading)
    if (!reading.live && !reading.unread) throw notFound(step)
    requireApproval(placed, reading.live, null)
    return { action, before: reading.live, ...(reading.unread && { unread: true }) }
  },

  async execute(placed, prepared) {
    const { step, action, target, context } = placed
    const { before } = prepared
    const { propagationPolicy = 'Background', gracePeriodSeconds } = action
    const options: DeleteOptions = {
      dryRun: context.dryRun,
      // What it owns goes with it. Left to itself the API server leaves the pods of a Job behind.
      propagationPolicy,
      ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
      preconditions: guards(placed, before),
      signal: context.signal,
    }
    let answer: unknown
    try {
      answer = await send(context, () => remove(context.client, target, options))
    } catch (error) {
      if (isGone(error)) {
        // Somebody else was faster, and did what was asked for.
        if (before || action.ifPresent) return unchanged(placed, null, 'it was gone already')
        throw notFound(step)
      }
      throw error
    }
    return departed(placed, prepared, objectOf(answer))
  },

  async settled(placed, prepared, live) {
    const { before } = prepared
    if (!live || live.metadata?.uid !== before?.metadata?.uid) {
      return done(placed, 'DELETED', { before, after: null }, FOUND_DONE)
    }
    if (live.metadata?.['deletionTimestamp'] === undefined) return undefined
    return departed(placed, prepared, live)
  },
}

/** After its deletion was accepted: gone, or on its way. */
export async function departed(
  placed: PlacedStep<ActionOf<'DELETE' | 'EVICT'>>,
  { before }: Prepared,
  remains: KubernetesJson | null,
): Promise<Done> {
  const { action, context } = placed
  const end = (note: string | null) => ({
    ...done(placed, 'DELETED', { before, after: null }, note),
    // Nothing holds an object that is gone; while it is going, its last version says so.
    resourceVersion: context.dryRun ? null : versionOf(remains),
  })
  if (context.dryRun) return end(null)
  if (action.untilGone) {
    const seen = await untilGone(placed, before?.metadata?.uid ?? remains?.metadata?.uid)
    return {
      ...end(seen ? null : 'You may not read it: whether it is gone by now is not known.'),
      resourceVersion: null,
    }
  }
  const finalizers = remains?.metadata?.['finalizers']
  const waits =
    Array.isArray(finalizers) && finalizers.length > 0 ? ` It waits for ${finalizers.join(', ')}.` : ''
  return end(
    remains?.metadata?.['deletionTimestamp'] === undefined ? null : `Its deletion has begun.${waits}`,
  )
}

/** The very object that was read, and judged; and of the very version where that is asked for. */
export function guards(
  { step }: PlacedStep<ActionOf<'DELETE' | 'EVICT'>>,
  before: KubernetesJson | null,
): NonNullable<DeleteOptions['preconditions']> {
  const { preconditions = {} } = step
  const uid = preconditions.uid ?? before?.metadata?.uid
  const resourceVersion =
    preconditions.resourceVersion ??
    (typeof preconditions.fingerprint === 'string' ? versionOf(before) : null)
  return { ...(uid !== undefined && { uid }), ...(resourceVersion !== null && { resourceVersion }) }
}

/** 404 of the object. */
export function isGone(error: unknown): boolean {
  if (!(error instanceof StepFailure)) return false
  const { cause } = error
  return cause instanceof ApiError && cause.statusCode === 404 && !isMissingPath(cause)
}
