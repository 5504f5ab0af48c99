/**
 * What a change is composed from, read from its API server as the viewer. Memory is not asked: it may lag behind what the
 * same client wrote a moment ago, and a cluster that does not answer would look like one without the object.
 */
import { isObject, type KubernetesJson } from '../../kubernetes/json.ts'
import { KINDS, resourcePath } from '../../kubernetes/kinds.ts'
import { project } from '../../kubernetes/projections/projections.ts'
import type { Kind, Rows } from '../../kubernetes/rows.ts'
import type { ObjectKey, StepResult } from '../../writes/change.ts'
import type { GraphContext } from '../context.ts'
import { liveErrorOf } from '../errors.ts'
import { isKind } from '../relations.ts'
import { knownResult } from './targets.ts'

type Failure = Parameters<typeof knownResult>[2]

const FAILURES = {
  FORBIDDEN: { outcome: 'FORBIDDEN', code: 'FORBIDDEN' },
  UNREACHABLE: { outcome: 'UNREACHABLE', code: 'UNREACHABLE' },
  NOT_FOUND: { outcome: 'FAILED', code: 'NOT_FOUND' },
  NOT_SERVED: { outcome: 'FAILED', code: 'NOT_SERVED' },
  EXPIRED: { outcome: 'FAILED', code: 'FAILED' },
  FAILED: { outcome: 'FAILED', code: 'FAILED' },
} as const satisfies Record<ReturnType<typeof liveErrorOf>['code'], Omit<Failure, 'message'>>

/** The object, or what is known instead before anything is done: why it could not be read. */
export async function liveObject(
  object: ObjectKey,
  purpose: string,
  context: GraphContext,
): Promise<{ readonly live: KubernetesJson } | { readonly failure: StepResult }> {
  const { cluster, kind, namespace, name } = object
  const failed = (why: Failure) => ({ failure: knownResult(object, purpose, why, context) })
  try {
    const live = isKind(kind)
      ? await context.fleet.live({ kind, cluster, namespace: namespace ?? '', name }, context.signal)
      : undefined
    if (isObject(live)) return { live }
    const message = `The cluster ${cluster} does not serve objects of kind ${kind}.`
    return failed({ ...FAILURES.NOT_SERVED, message })
  } catch (error) {
    const { code, message } = liveErrorOf(error)
    return failed({ ...FAILURES[code], message })
  }
}

/** All of a kind that are in a namespace, as rows; or why they could not be read, said of the object they are looked up for. */
export async function liveRows<K extends Kind>(
  kind: K,
  { object, purpose }: { readonly object: ObjectKey; readonly purpose: string },
  context: GraphContext,
): Promise<{ readonly rows: readonly Rows[K][] } | { readonly failure: StepResult }> {
  const { cluster: name, namespace } = object
  const { group, versions, resource } = KINDS[kind]
  const failed = (why: Failure) => ({ failure: knownResult(object, purpose, why, context) })
  const cluster = context.fleet.cluster(name)
  if (!cluster) {
    return failed({ ...FAILURES.UNREACHABLE, message: `There is no cluster ${name} in the fleet any more.` })
  }
  try {
    const list = await context.fleet.request(
      cluster,
      {
        path: resourcePath({ group, version: versions[0], resource }, namespace ?? undefined),
        what: `list ${kind} objects of the namespace ${namespace}`,
      },
      context.signal,
    )
    const items = isObject(list) && Array.isArray(list['items']) ? (list['items'] as unknown[]) : []
    return { rows: items.map((item) => project(kind)(item, name)) }
  } catch (error) {
    const { code, message } = liveErrorOf(error)
    return failed({ ...FAILURES[code], message })
  }
}
