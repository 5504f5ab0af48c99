/**
 * EVICT: the deletion of a Pod that its disruption budgets have a say in.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
 */
import { ApiError } from '../../kubernetes/client.ts'
import { evict as evictPod } from '../../kubernetes/requests.ts'
import { changeError } from '../results.ts'
import {
  done,
  FOUND_DONE,
  isReadByChoice,
  nameOf,
  pause,
  read,
  refused,
  requireApproval,
  requirePreconditions,
  send,
  StepFailure,
  unchanged,
  type ActionOf,
  type ActionStep,
  type PlacedStep,
} from './action-step.ts'
import { departed, guards, isGone } from './delete.ts'

/** Between two attempts, where the API server does not say. */
const RETRY_MS = 5_000

export const evict: ActionStep<'EVICT'> = {
  async prepare(placed) {
    const { step, action, target } = placed
    const { group, resource } = target.address
    if (group !== '' || resource !== 'pods') {
      throw refused('FAILED', 'NOT_SUPPORTED', `Only Pods can be evicted, and no ${step.object.kind}.`)
    }
    const reading = await read(placed, { unreadable: isReadByChoice(step) })
    if (!reading.live && !reading.unread) return unchanged(placed, null, 'it is not there')
    requirePreconditions(step, reading)
    requireApproval(placed, reading.live, null)
    return { action, before: reading.live, ...(reading.unread && { unread: true }) }
  },

  async execute(placed, prepared) {
    const { action, context } = placed
    const { clock, signal } = context
    const until = clock.now() + (context.dryRun ? 0 : action.patienceMs)
    for (;;) {
      try {
        await send(context, () => request(placed, prepared))
        return await departed(placed, prepared, null)
      } catch (error) {
        if (isGone(error)) return unchanged(placed, null, 'it was gone already')
        const refusal = budgetRefusal(placed, error)
        if (!refusal) throw error
        const wait = refusal.waitMs
        if (clock.now() + wait > until) throw refusal.failure
        await pause(clock, wait, signal)
      }
    }
  },

  async settled(placed, prepared, live) {
    const { before } = prepared
    if (!live || live.metadata?.uid !== before?.metadata?.uid) {
      return done(placed, 'DELETED', { before, after: null }, FOUND_DONE)
    }
    // A pod that somebody else changed meanwhile may still be asked to go: its uid says that it is the same.
    return live.metadata?.['deletionTimestamp'] === undefined
      ? evict.execute(placed, prepared)
      : departed(placed, prepared, live)
  },
}

async function request(
  placed: PlacedStep<ActionOf<'EVICT'>>,
  { before }: Parameters<typeof evict.execute>[1],
): Promise<void> {
  const { action, target, context } = placed
  const { namespace = '', name } = target
  const { gracePeriodSeconds } = action
  await evictPod(
    context.client,
    { namespace, name },
    {
      dryRun: context.dryRun,
      ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
      preconditions: guards(placed, before),
      signal: context.signal,
    },
  )
}

/** What may succeed another time: a budget says no for now, or the API server has too much to do. */
function budgetRefusal(
  { step }: PlacedStep<ActionOf<'EVICT'>>,
  error: unknown,
): { readonly failure: StepFailure; readonly waitMs: number } | undefined {
  if (!(error instanceof StepFailure) || !(error.cause instanceof ApiError)) return undefined
  const { cause } = error
  const pod = nameOf(step.object)
  if (cause.statusCode === 500 && cause.message.includes('more than one PodDisruptionBudget')) {
    const message = `${pod} has more than one PodDisruptionBudget, and Kubernetes evicts no such pod. Leave it one.`
    return { failure: refusalOf(error, message), waitMs: Infinity }
  }
  if (cause.statusCode !== 429) return undefined
  const waitMs = cause.retryAfterMs ?? RETRY_MS
  const budget = cause.status.details?.causes?.find(({ reason }) => reason === 'DisruptionBudget')
  if (!budget && !cause.message.includes('disruption budget')) return { failure: error, waitMs }
  const name = /disruption budget (\S+) /i.exec(budget?.message ?? '')?.[1]
  const message =
    `${name ? `The PodDisruptionBudget ${name}` : 'A PodDisruptionBudget'} does not allow ${pod} to go now. ` +
    (budget?.message ?? cause.message)
  return { failure: refusalOf(error, message), waitMs: waitMs || RETRY_MS }
}

function refusalOf({ error, cause }: StepFailure, message: string): StepFailure {
  const { causes, retryAfterSeconds } = error
  return new StepFailure('FAILED', changeError('DISRUPTION_BUDGET', message, { causes, retryAfterSeconds }), {
    cause,
  })
}
