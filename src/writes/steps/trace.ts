/**
 * Whether a write was made whose answer nobody has heard: one that counts from what it found (`by: 1`), so that the
 * object itself does not tell. Such a write holds for one version of its object alone, and is made by a field manager of
 * its own: if it was made, then the version that came right after that one bears its mark – now, or in the history that
 * the API server keeps of the last minutes.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
import { ApiError } from '../../kubernetes/client.ts'
import { isObject, type KubernetesJson } from '../../kubernetes/json.ts'
import { get, versionsSince } from '../../kubernetes/requests.ts'
import type { Prepared } from '../stepping.ts'
import { isMissingPath, writeFailure } from '../write-errors.ts'
import { FIELD_MANAGER, shorn, versionOf, type PlacedStep } from './action-step.ts'

/** How long history is asked for; longer where it has not come in time: there is some, for the version is another. */
const HISTORY_SECONDS = [1, 5]

type Traced =
  /** Nothing was written since: neither this, nor anything else. */
  | { readonly state: 'OPEN' }
  | { readonly state: 'DONE'; readonly after: KubernetesJson }
  /** Nor can it be any more. */
  | { readonly state: 'NOT_DONE' }
  | { readonly state: 'UNKNOWN'; readonly live: KubernetesJson | null }

/** Who makes a write with this mark. */
export function managerOf(mark: string): string {
  return `${FIELD_MANAGER}-${mark}`
}

/** Of a `prepared` with a mark. Throws what `get` does, but for an object that is not there. */
export async function trace(placed: PlacedStep, { before, mark = '' }: Prepared): Promise<Traced> {
  const { target, context } = placed
  const live = await present(placed)
  const version = versionOf(before)
  if (!before || !live || version === null || live.metadata?.uid !== before.metadata?.uid) {
    return { state: 'UNKNOWN', live: live && shorn(live) }
  }
  if (versionOf(live) === version) return { state: 'OPEN' }
  if (bears(live, mark)) return { state: 'DONE', after: shorn(live) }
  const [then, now] = [before, live].map(({ metadata }) => metadata?.['generation'])
  // It would have made the next generation, and would bear its mark until another one takes it away.
  if (typeof then === 'number' && typeof now === 'number' && now <= then + 1 && hasManagers(live)) {
    return { state: 'NOT_DONE' }
  }
  try {
    const { signal, client } = context
    for (const timeoutSeconds of HISTORY_SECONDS) {
      const options = { signal, timeoutSeconds }
      const [next] = await versionsSince<KubernetesJson>(client, target, version, options)
      if (next) return bears(next, mark) ? { state: 'DONE', after: shorn(next) } : { state: 'NOT_DONE' }
    }
  } catch (error) {
    if (context.signal.aborted || !writeFailure(error, { wrote: false })) throw error
    // May not be watched, or its history is over.
  }
  return { state: 'UNKNOWN', live: shorn(live) }
}

async function present({ target, context }: PlacedStep): Promise<KubernetesJson | null> {
  try {
    return await get<KubernetesJson>(context.client, target, { signal: context.signal })
  } catch (error) {
    if (error instanceof ApiError && error.statusCode === 404 && !isMissingPath(error)) return null
    throw error
  }
}

function managersOf({ metadata }: KubernetesJson): readonly unknown[] {
  const managers = metadata?.['managedFields']
  return Array.isArray(managers) ? managers : []
}

function hasManagers(object: KubernetesJson): boolean {
  return managersOf(object).some((entry) => isObject(entry) && typeof entry['manager'] === 'string')
}

function bears(object: KubernetesJson, mark: string): boolean {
  return managersOf(object).some((entry) => isObject(entry) && entry['manager'] === managerOf(mark))
}
