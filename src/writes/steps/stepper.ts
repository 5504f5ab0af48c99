/**
 * Carries out steps: one file an action (`action-step.ts` says what each of them does), and what is the same for all
 * of them here: failures become results, writes that met somebody else's are tried again, and steps that a replica
 * had begun which then stopped are carried to their end.
 */
import type { KubernetesJson } from '../../kubernetes/json.ts'
import type { Action, Step } from '../change.ts'
import { fingerprint } from '../fingerprint.ts'
import { isDone, type Done, type Prepared, type StepContext, type Stepper } from '../stepping.ts'
import { changeError } from '../results.ts'
import { writeFailure } from '../write-errors.ts'
import {
  done,
  FOUND_DONE,
  isDefined,
  nameOf,
  pause,
  place,
  read,
  requireApproval,
  StepFailure,
  versionOf,
  type ActionStep,
  type PlacedStep,
} from './action-step.ts'
import { apply } from './apply.ts'
import { create } from './create.ts'
import { deletion } from './delete.ts'
import { edit } from './edit.ts'
import { evict } from './evict.ts'
import { ObjectTurns } from './object-turns.ts'
import { restore } from './restore.ts'
import { rollBack } from './roll-back.ts'
import { scale } from './scale.ts'
import { trace } from './trace.ts'

/** Times that a step is begun anew because somebody else was faster. */
const ATTEMPTS = 5
/** Of what is added to whatever there is. */
const ADDING_ATTEMPTS = 500
/** So that those who meet again and again do so at different times. */
const MOST_PAUSE_MS = 50

/** Of those who add to the same object and have met. */
const additions = new ObjectTurns()

const ACTIONS: { readonly [T in Action['type']]: ActionStep<T> } = {
  APPLY: apply,
  CREATE: create,
  EDIT: edit,
  SCALE: scale,
  ROLL_BACK: rollBack,
  DELETE: deletion,
  EVICT: evict,
  RESTORE: restore,
}

export const stepper: Stepper = {
  async prepare(step, context) {
    try {
      return await prepare(step, context)
    } catch (error) {
      return failed(error, null, context)
    }
  },

  execute: carryOut,

  async settle(step, prepared, context) {
    // A dry run leaves nothing behind.
    if (context.dryRun) return stepper.execute(step, prepared, context)
    try {
      const placed = await placedStep(step, prepared.action, context)
      if (prepared.unread) return await settleUnread(step, prepared, context)
      if (prepared.mark !== undefined) return await settleTraced(placed, prepared)
      const { live } = await read(placed, { unreadable: false })
      if (isUnchanged(prepared.before, live)) return await stepper.execute(step, prepared, context)
      const end = await actionOf(placed).settled(placed, prepared, live)
      return end ?? lost(step, prepared, live)
    } catch (error) {
      return failed(error, prepared.before, context)
    }
  },
}

/** Sends it, and as long as somebody else is faster decides and sends it anew. */
async function carryOut(step: Step, prepared: Prepared, context: StepContext): Promise<Done> {
  // What is added to whatever there is may not fail because many add to it: somebody is always faster then.
  const isAddition = step.action.type === 'SCALE' && step.action.by !== undefined && !context.dryRun
  const attempts = isAddition ? ADDING_ATTEMPTS : ATTEMPTS
  let current = prepared
  let leave: (() => void) | undefined
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await execute(step, current, context)
      } catch (error) {
        const mayTryAgain = error instanceof StepFailure && error.raced && attempt < attempts
        if (!mayTryAgain) return failed(error, current.before, context)
        if (isAddition) {
          // One at a time from here; of other replicas nobody knows.
          leave ??= await additions.turn(context.client.cluster, JSON.stringify(step.object), context.signal)
          if (attempt > 1) await pause(context.clock, Math.random() * MOST_PAUSE_MS, context.signal)
        }
        const again = await stepper.prepare(step, context)
        if (isDone(again)) return again
        // Nobody else changed it: the API server has another reason.
        if (!again.before || versionOf(again.before) === versionOf(current.before)) {
          return failed(error, again.before, context)
        }
        if (isReplaced(current.before, again.before)) return replaced(step, again.before, context)
        if (isOtherRevision(current.action, again.action)) return rolledOut(step, again, context)
        await context.keep?.(again)
        current = again
      }
    }
  } finally {
    leave?.()
  }
}

/** Of a write that bears a mark: it is known whether it was made. */
async function settleTraced(placed: PlacedStep, prepared: Prepared): Promise<Done> {
  const { step, context } = placed
  for (let attempt = 1; ; attempt++) {
    const traced = await trace(placed, prepared)
    switch (traced.state) {
      case 'DONE':
        return done(placed, 'UPDATED', { before: prepared.before, after: traced.after }, FOUND_DONE)
      case 'UNKNOWN':
        return lost(step, prepared, traced.live)
      case 'NOT_DONE': {
        const again = await stepper.prepare(step, context)
        if (isDone(again)) return again
        if (isReplaced(prepared.before, again.before)) return replaced(step, again.before, context)
        await context.keep?.(again)
        return carryOut(step, again, context)
      }
      case 'OPEN':
        try {
          return await execute(step, prepared, context)
        } catch (error) {
          // By whoever else, or by the very same request of the replica that stopped, which has come late.
          if (!(error instanceof StepFailure) || !error.raced || attempt === ATTEMPTS) throw error
        }
    }
  }
}

/** Carried out twice it has one effect, and more cannot be found out. */
async function settleUnread(step: Step, prepared: Prepared, context: StepContext): Promise<Done> {
  const end = await stepper.execute(step, prepared, context)
  // As it is after this very step, too.
  const wasDone = end.error?.code === (step.action.type === 'CREATE' ? 'ALREADY_EXISTS' : 'NOT_FOUND')
  return wasDone ? lost(step, prepared, null) : end
}

async function prepare(step: Step, context: StepContext): Promise<Prepared | Done> {
  const placed = await placedStep(step, step.action, context).catch((error: unknown) => {
    if (error instanceof StepFailure && isOfKindToCome(step, error, context)) return undefined
    throw error
  })
  if (!placed) return uncheckedKind(step, context)
  return actionOf(placed).prepare(placed)
}

async function execute(step: Step, prepared: Prepared, context: StepContext): Promise<Done> {
  const placed = await placedStep(step, prepared.action, context)
  return actionOf(placed).execute(placed, prepared)
}

async function placedStep(step: Step, action: Action, context: StepContext): Promise<PlacedStep> {
  return { step, action, target: await place(step, context), context }
}

/** The table is typed by the action's type, which TypeScript cannot follow through a look-up. */
function actionOf({ action }: PlacedStep): ActionStep<Action['type']> {
  return ACTIONS[action.type] as unknown as ActionStep<Action['type']>
}

/** Of a dry run: its definition comes with the same change. */
function isOfKindToCome({ object, action }: Step, { error }: StepFailure, context: StepContext): boolean {
  return context.dryRun && error.code === 'NOT_SERVED' && 'manifest' in action && isDefined(object, context)
}

function uncheckedKind(step: Step, context: StepContext): Done {
  const after = 'manifest' in step.action ? step.action.manifest : null
  const { namespace } = step.object
  requireApproval({ step, context, target: namespace === null ? {} : { namespace } }, null, after)
  const note =
    'Its kind would be defined by this change, and is not there yet: the API server could not check it.'
  return done({ context }, 'CREATED', { before: null, after }, note)
}

/** Rethrows what is no failure of a cluster. */
function failed(error: unknown, before: KubernetesJson | null, { signal }: StepContext): Done {
  if (signal.aborted && error === signal.reason) throw error
  const failure = error instanceof StepFailure ? error : writeFailure(error, { wrote: false })
  if (!failure) throw error
  const found = error instanceof StepFailure && error.found !== undefined ? error.found : before
  return {
    outcome: failure.outcome,
    before: found,
    after: null,
    error: failure.error,
    resourceVersion: null,
    note: null,
  }
}

function isReplaced(before: KubernetesJson | null, now: KubernetesJson | null): boolean {
  return before !== null && now !== null && before.metadata?.uid !== now.metadata?.uid
}

function replaced(step: Step, found: KubernetesJson | null, context: StepContext): Done {
  const message = `${nameOf(step.object)} was replaced by another of the same name meanwhile. Look at it, and ask again.`
  return failed(new StepFailure('CONFLICT', changeError('CONFLICT', message), { found }), found, context)
}

/** The revision before the present is another one once somebody has rolled out, or rolled back. */
function isOtherRevision(decided: Action, again: Action): boolean {
  return decided.type === 'ROLL_BACK' && again.type === 'ROLL_BACK' && decided.toRevision !== again.toRevision
}

function rolledOut(step: Step, { action, before }: Prepared, context: StepContext): Done {
  const now =
    action.type === 'ROLL_BACK' ? `: the one before the present is revision ${action.toRevision} now` : ''
  const message = `${nameOf(step.object)} was given another template meanwhile${now}. Look at it, and ask again.`
  return failed(new StepFailure('CONFLICT', changeError('CONFLICT', message)), before, context)
}

/** Whether nothing of it was done, by this step or by anybody. */
function isUnchanged(before: KubernetesJson | null, live: KubernetesJson | null): boolean {
  if (!before || !live) return before === live
  return (
    versionOf(before) === versionOf(live) ||
    (before.metadata?.['generation'] === live.metadata?.['generation'] &&
      fingerprint(before) === fingerprint(live))
  )
}

function lost(step: Step, { before, unread }: Prepared, live: KubernetesJson | null): Done {
  const changed = unread ? 'you may not read it' : live ? 'it has changed since' : 'it is gone'
  const message =
    `The replica that was at ${nameOf(step.object)} stopped, and ${changed}: ` +
    'whether by this step or by somebody else cannot be told. Look at it, and ask again.'
  return {
    outcome: 'CONFLICT',
    before,
    after: live,
    error: changeError('INTERRUPTED', message, { mayHaveBeenApplied: true }),
    resourceVersion: null,
    note: null,
  }
}
