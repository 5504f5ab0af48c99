/** CREATE: only where there is no object of the name. */
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { create as createObject } from '../../kubernetes/requests.ts'
import { canonical } from '../fingerprint.ts'
import {
  apiVersionOf,
  done,
  FOUND_DONE,
  isReadByChoice,
  nameOf,
  read,
  refused,
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
import { isInNamespaceToCome, isUntriable, unchecked } from './apply.ts'
import { untilServed } from './definition.ts'
import type { Done } from '../stepping.ts'

export const create: ActionStep<'CREATE'> = {
  async prepare(placed) {
    const { step, action, context } = placed
    const reading = await read(placed, { unreadable: isReadByChoice(step) })
    if (reading.live) return there(placed, reading.live)
    requirePreconditions(step, reading)
    const after = context.judge.needsObjects ? await tried(placed) : action.manifest
    requireApproval(placed, null, after)
    return { action, before: null, ...(reading.unread && { unread: true }) }
  },

  async execute(placed) {
    try {
      const after = await send(placed.context, () => request(placed, placed.context.dryRun))
      return done(placed, 'CREATED', { before: null, after }, await untilServed(placed, after))
    } catch (error) {
      if (isInNamespaceToCome(error, placed)) return unchecked(placed)
      if (!(error instanceof StepFailure) || error.error.code !== 'ALREADY_EXISTS') throw error
      if (!placed.action.ifAbsent) throw alreadyThere(placed, null)
      const { live } = await read(placed, { unreadable: true })
      return live ? there(placed, live) : unchanged(placed, null, 'It is there already.')
    }
  },

  async settled(placed, _prepared, live) {
    if (!live) return undefined
    // An object of the same name that somebody else made would differ in what was asked for, or be an accident.
    return holds(live, body(placed))
      ? done(placed, 'CREATED', { before: null, after: live }, FOUND_DONE)
      : undefined
  },
}

function there(placed: PlacedStep<ActionOf<'CREATE'>>, live: KubernetesJson): Done {
  if (!placed.action.ifAbsent) throw alreadyThere(placed, live)
  if (live.metadata?.['deletionTimestamp'] !== undefined) {
    const message = `${nameOf(placed.step.object)} is being deleted. Wait until it is gone, and ask again.`
    throw refused('CONFLICT', 'CONFLICT', message, live)
  }
  return unchanged(placed, live)
}

function alreadyThere({ step }: PlacedStep<ActionOf<'CREATE'>>, live: KubernetesJson | null): StepFailure {
  const deleted =
    live?.metadata?.['deletionTimestamp'] === undefined
      ? ''
      : ', which is being deleted: wait until it is gone'
  return refused('CONFLICT', 'ALREADY_EXISTS', `There is a ${nameOf(step.object)} already${deleted}.`, live)
}

function body({ action, target }: PlacedStep<ActionOf<'CREATE'>>): KubernetesJson {
  const { namespace: _namespace, ...metadata } = action.manifest.metadata ?? {}
  return {
    ...action.manifest,
    apiVersion: apiVersionOf(target.address),
    metadata: {
      ...metadata,
      name: target.name,
      ...(target.namespace !== undefined && { namespace: target.namespace }),
    },
  }
}

async function request(placed: PlacedStep<ActionOf<'CREATE'>>, dryRun: boolean): Promise<KubernetesJson> {
  const { target, context } = placed
  const options = { ...writing(context), dryRun, fieldValidation: 'Strict' } as const
  return shorn(
    await createObject<KubernetesJson>(
      context.client,
      target.address,
      target.namespace,
      body(placed),
      options,
    ),
  )
}

/** As the API server would store it. */
async function tried(placed: PlacedStep<ActionOf<'CREATE'>>): Promise<KubernetesJson> {
  try {
    return await send({ ...placed.context, dryRun: true }, () => request(placed, true))
  } catch (error) {
    if (isInNamespaceToCome(error, placed) || isUntriable(error)) return placed.action.manifest
    // Told by `execute`, which may be content with it.
    if (error instanceof StepFailure && error.error.code === 'ALREADY_EXISTS') return placed.action.manifest
    throw error
  }
}

/** Whether everything that was asked for is in it, whatever else is. */
function holds(live: unknown, asked: unknown): boolean {
  if (Array.isArray(asked)) {
    return (
      Array.isArray(live) &&
      live.length === asked.length &&
      asked.every((item, index) => holds(live[index], item))
    )
  }
  if (typeof asked === 'object' && asked !== null) {
    return (
      typeof live === 'object' &&
      live !== null &&
      Object.entries(asked).every(([key, value]) => holds((live as Record<string, unknown>)[key], value))
    )
  }
  return asked === undefined || asked === null || canonical(live) === canonical(asked)
}
