/** EDIT, and what else is a JSON Patch of an object that exists. */
import { applyPatch, type Operation } from 'rfc6902'
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { patch as patchObject } from '../../kubernetes/requests.ts'
import type { Done, Prepared } from '../stepping.ts'
import { changeError } from '../results.ts'
import {
  done,
  FOUND_DONE,
  hasPreconditions,
  nameOf,
  notFound,
  read,
  requireApproval,
  requirePreconditions,
  send,
  shorn,
  StepFailure,
  unchanged,
  writing,
  type ActionOf,
  type ActionStep,
  type PlacedStep,
} from './action-step.ts'
import { edited, isRefusal, onlyThisVersion, type Edited, type PatchOperation } from './edits.ts'

export const edit: ActionStep<'EDIT'> = {
  async prepare(placed) {
    const live = await present(placed)
    const { patch } = wanted(placed, live)
    return patched(placed, live, patch)
  },

  async execute(placed, prepared) {
    const note = prepared.before && wanted(placed, prepared.before).note
    return sendPatch(placed, prepared, note)
  },

  async settled(placed, { before }, live) {
    if (!live || wanted(placed, live).patch.length > 0) return undefined
    return done(placed, 'UPDATED', { before, after: live }, FOUND_DONE)
  },
}

/** The object of a step that needs one, as its preconditions allow. */
export async function present(placed: PlacedStep): Promise<KubernetesJson> {
  const reading = await read(placed, { unreadable: false })
  requirePreconditions(placed.step, reading)
  if (!reading.live) throw notFound(placed.step)
  return reading.live
}

/** Ready to be sent, where there is something to send and nothing against it. */
export function patched(
  placed: PlacedStep,
  before: KubernetesJson,
  patch: readonly PatchOperation[],
): Prepared | Done {
  if (patch.length === 0) return unchanged(placed, before)
  const versioned =
    hasPreconditions(placed.step) && !patch.some(({ path }) => path === '/metadata/resourceVersion')
  const whole = versioned ? [onlyThisVersion(before), ...patch] : patch
  requireApproval(placed, before, applied(before, whole))
  return { action: placed.action, before, patch: whole }
}

export async function sendPatch(
  placed: PlacedStep,
  { before, patch = [] }: Prepared,
  note: string | null,
): Promise<Done> {
  const { target, context } = placed
  const request = () => patchObject<KubernetesJson>(context.client, target, 'json', patch, writing(context))
  const after = shorn(await send(context, request, { tests: true }))
  return done(placed, 'UPDATED', { before, after }, note)
}

/** The object as the patch makes it. */
function applied(object: KubernetesJson, patch: readonly PatchOperation[]): KubernetesJson {
  const clone = structuredClone(object)
  const problems = applyPatch(clone, structuredClone(patch) as Operation[]).filter(
    (problem) => problem !== null,
  )
  // It was made from this very object.
  if (problems.length > 0) throw new AggregateError(problems, 'The patch of an edit does not apply.')
  return clone
}

function wanted({ step, action }: PlacedStep<ActionOf<'EDIT'>>, live: KubernetesJson): Edited {
  const result = edited(live, action.edit)
  if (!isRefusal(result)) return result
  const { code, message, fields } = result
  const causes = fields.map((field) => ({ field, reason: null, message: null }))
  const error = changeError(code, `${nameOf(step.object)}: ${message}`, { causes })
  throw new StepFailure(code === 'CONFLICT' ? 'CONFLICT' : 'FAILED', error, { found: live })
}
