/** RESTORE: an object as it was before a step, where nobody has changed it since that step. */
import { isObject, type KubernetesJson } from '../../kubernetes/json.ts'
import { create, remove, replace } from '../../kubernetes/requests.ts'
import { canonical, CONTROLLERS_ANNOTATIONS, fingerprint, withoutReplicas } from '../fingerprint.ts'
import {
  done,
  FOUND_DONE,
  nameOf,
  read,
  refused,
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

export const restore: ActionStep<'RESTORE'> = {
  async prepare(placed) {
    const { step, action } = placed
    const reading = await read(placed, { unreadable: false })
    requirePreconditions(step, reading)
    const { live } = reading
    if (isRestored(action, live)) return unchanged(placed, live, 'it is as it was already')
    const left = live && fingerprint(action.keepReplicas ? withoutReplicas(live) : live)
    if (left !== action.from) {
      const since = live === null ? 'was deleted' : action.from === null ? 'was made anew' : 'was changed'
      const message = `${nameOf(step.object)} ${since} by somebody else since: it is left as it is.`
      throw refused('CONFLICT', 'CONFLICT', message, live)
    }
    requireApproval(placed, live, restoredForm(action, live))
    return { action, before: live }
  },

  async execute(placed, { before }) {
    const { action, target, context } = placed
    const after = restoredForm(action, before)
    if (!after) {
      if (before) await send(context, () => removeLeft(placed, before))
      return done(placed, 'DELETED', { before, after: null })
    }
    const put = await send(context, () =>
      before
        ? replace<KubernetesJson>(context.client, target, after, writing(context))
        : create<KubernetesJson>(context.client, target.address, target.namespace, after, writing(context)),
    )
    return done(placed, before ? 'UPDATED' : 'CREATED', { before, after: shorn(put) })
  },

  async settled(placed, { before }, live) {
    if (!isRestored(placed.action, live)) return undefined
    const outcome = !live ? 'DELETED' : before ? 'UPDATED' : 'CREATED'
    return done(placed, outcome, { before, after: live }, FOUND_DONE)
  },
}

function removeLeft(
  { target, context }: PlacedStep<ActionOf<'RESTORE'>>,
  before: KubernetesJson,
): Promise<unknown> {
  const uid = before.metadata?.uid
  const resourceVersion = versionOf(before)
  return remove(context.client, target, {
    dryRun: context.dryRun,
    propagationPolicy: 'Background',
    preconditions: {
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== null && { resourceVersion }),
    },
    signal: context.signal,
  })
}

/** What is to be put: of what was, everything that somebody asked for; of what is, everything else. */
function restoredForm(
  { to, keepReplicas }: ActionOf<'RESTORE'>,
  live: KubernetesJson | null,
): KubernetesJson | null {
  if (!to) return null
  const {
    status: _status,
    metadata: { labels, annotations, finalizers, ownerReferences, name, namespace } = {},
    ...asked
  } = to
  const kept = (entries: KubernetesJson | null) =>
    Object.entries(entries?.metadata?.annotations ?? {}).filter(([key]) => CONTROLLERS_ANNOTATIONS.has(key))
  const own = Object.entries(annotations ?? {}).filter(([key]) => !CONTROLLERS_ANNOTATIONS.has(key))
  const given = {
    ...(labels && { labels }),
    annotations: Object.fromEntries([...own, ...kept(live)]),
  }
  if (!live) {
    // Names and labels as they were; uid and dates are of another object now.
    return {
      ...asked,
      metadata: {
        name,
        ...(namespace !== undefined && { namespace }),
        ...given,
        ...(finalizers !== undefined && { finalizers }),
        ...(ownerReferences !== undefined && { ownerReferences }),
      } as NonNullable<KubernetesJson['metadata']>,
    }
  }
  const { labels: _labels, annotations: _annotations, ...metadata } = live.metadata ?? {}
  const { status, spec } = live
  return {
    ...asked,
    ...(keepReplicas &&
      isObject(asked['spec']) &&
      isObject(spec) && { spec: { ...asked['spec'], replicas: spec['replicas'] } }),
    metadata: { ...metadata, ...given },
    ...(status !== undefined && { status }),
  }
}

function isRestored({ to, keepReplicas }: ActionOf<'RESTORE'>, live: KubernetesJson | null): boolean {
  if (!to || !live) return to === live
  const [was, is] = keepReplicas ? [withoutReplicas(to), withoutReplicas(live)] : [to, live]
  return canonical(comparable(was)) === canonical(comparable(is))
}

/** What is put back. */
function comparable(object: KubernetesJson): unknown {
  const { status: _status, metadata = {}, ...asked } = object
  const annotations = Object.entries(metadata.annotations ?? {}).filter(
    ([key]) => !CONTROLLERS_ANNOTATIONS.has(key),
  )
  return { ...asked, labels: metadata.labels ?? {}, annotations: Object.fromEntries(annotations) }
}
