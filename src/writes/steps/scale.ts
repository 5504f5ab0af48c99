/** SCALE: the number of replicas, by the subresource that every kind with replicas has. */
import { randomBytes } from 'node:crypto'
import { isForbidden } from '../../access/live-errors.ts'
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { get, patch, type Scale } from '../../kubernetes/requests.ts'
import type { Prepared } from '../stepping.ts'
import { isMissingPath } from '../write-errors.ts'
import {
  done,
  FOUND_DONE,
  hasPreconditions,
  nameOf,
  notFound,
  read,
  refused,
  requireApproval,
  requirePreconditions,
  send,
  unchanged,
  versionOf,
  writing,
  type ActionOf,
  type ActionStep,
  type PlacedStep,
  type Reading,
} from './action-step.ts'
import { kindOf, valueAt } from './edits.ts'
import { managerOf } from './trace.ts'

/** Those of which the object itself tells the number, so that the subresource need not be asked. */
const BUILT_IN = new Set(['Deployment.apps', 'StatefulSet.apps', 'ReplicaSet.apps', 'ReplicationController.'])

export const scale: ActionStep<'SCALE'> = {
  async prepare(placed) {
    const { step, action } = placed
    const needsNumber = action.by !== undefined || action.expectedReplicas !== undefined
    // Where nothing is expected of it, it need not be known.
    const reading = await read(placed, { unreadable: !needsNumber && !hasPreconditions(step) })
    requirePreconditions(step, reading)
    if (!reading.live && !reading.unread) throw notFound(step)
    const current = await replicasOf(placed, reading, needsNumber)
    const { live: before } = reading
    if (action.expectedReplicas !== undefined && current !== action.expectedReplicas) {
      const message = `${nameOf(step.object)} has ${current} replicas, and not ${action.expectedReplicas} as expected.`
      throw refused('CONFLICT', 'CONFLICT', message, before)
    }
    const to = action.by === undefined ? action.to : Math.max(0, (current ?? 0) + action.by)
    if (to === undefined || !Number.isInteger(to) || to < 0) {
      throw refused(
        'FAILED',
        'INVALID',
        'Say to how many replicas, as a whole number from 0, or by how many.',
        before,
      )
    }
    if (current === to) return unchanged(placed, before, `${to} replicas already`)
    requireApproval(placed, before, withReplicas(placed, before, to))
    const { by, ...rest } = action
    return {
      action: { ...rest, to },
      before,
      ...(reading.unread && { unread: true }),
      // Only where somebody may have to find out whether it was done.
      ...(by !== undefined && placed.context.keep && { mark: `scale-${randomBytes(8).toString('hex')}` }),
    }
  },

  async execute(placed, { before, mark }) {
    const { step, action, target, context } = placed
    const { to = 0 } = action
    const original = step.action
    // Of another number `by` and `expectedReplicas` mean something else.
    const guarded =
      action.expectedReplicas !== undefined ||
      hasPreconditions(step) ||
      (original.type === 'SCALE' && original.by !== undefined)
    const resourceVersion = guarded ? versionOf(before) : null
    const body = {
      ...(resourceVersion !== null && { metadata: { resourceVersion } }),
      spec: { replicas: to },
    }
    const answer = await send(context, async () => {
      try {
        return await patch<Scale>(context.client, { ...target, subresource: 'scale' }, 'merge', body, {
          ...writing(context),
          ...(mark !== undefined && { fieldManager: managerOf(mark) }),
        })
      } catch (error) {
        throw isMissingPath(error) ? unscalable(placed, before) : error
      }
    })
    const after = context.dryRun
      ? withReplicas(placed, before, to)
      : await afterwards(placed, before, answer, to)
    const from = before && valueAt(before, ['spec', 'replicas'])
    return done(
      placed,
      'UPDATED',
      { before, after },
      `${typeof from === 'number' ? from : '?'} → ${to} replicas`,
    )
  },

  async settled(placed, { before }, live) {
    const now = live && (await replicasOf(placed, { live, unread: false }, true))
    if (!live || now !== placed.action.to) return undefined
    return done(placed, 'UPDATED', { before, after: live }, FOUND_DONE)
  },
}

/** `undefined`: it may not be read, and need not be known. */
async function replicasOf(
  placed: PlacedStep<ActionOf<'SCALE'>>,
  { live }: Reading,
  needed: boolean,
): Promise<number | undefined> {
  if (live && BUILT_IN.has(kindOf(live))) return Number(valueAt(live, ['spec', 'replicas']) ?? 1)
  const { target, context } = placed
  try {
    const { spec } = await get<Scale>(
      context.client,
      { ...target, subresource: 'scale' },
      { signal: context.signal },
    )
    return spec.replicas ?? 0
  } catch (error) {
    if (isMissingPath(error)) throw unscalable(placed, live)
    if (!needed && isForbidden(error)) return undefined
    throw error
  }
}

/**
 * The object as it is once it is scaled. Of built-in kinds the answer tells all that has changed; others are read, or
 * as much of them is told as is known where they may not be.
 */
async function afterwards(
  placed: PlacedStep<ActionOf<'SCALE'>>,
  before: KubernetesJson | null,
  { metadata, spec }: Scale,
  to: number,
): Promise<KubernetesJson> {
  const scaled = (replicas: number): KubernetesJson => {
    const after = withReplicas(placed, before, replicas)
    return { ...after, metadata: { ...after.metadata, resourceVersion: metadata.resourceVersion } }
  }
  // Go leaves out a zero.
  if (before && BUILT_IN.has(kindOf(before))) return scaled(spec.replicas ?? 0)
  try {
    const { live } = await read(placed, { unreadable: true })
    if (live) return live
  } catch {
    // It is done, whether or not it can be looked at.
    placed.context.signal.throwIfAborted()
  }
  return scaled(to)
}

/** Kinds that keep the number elsewhere are rare, and policies look for it here. */
function withReplicas(
  { step }: Pick<PlacedStep<ActionOf<'SCALE'>>, 'step'>,
  before: Prepared['before'],
  replicas: number,
): KubernetesJson {
  const { apiVersion, kind, namespace, name } = step.object
  const object = before ?? { apiVersion, kind, metadata: { name, ...(namespace !== null && { namespace }) } }
  return { ...object, spec: { ...(object['spec'] as object | undefined), replicas } }
}

function unscalable({ step }: PlacedStep<ActionOf<'SCALE'>>, found: KubernetesJson | null) {
  const message = `A ${step.object.kind} has no replicas that could be set: it has no subresource scale.`
  return refused('FAILED', 'NOT_SUPPORTED', message, found)
}
