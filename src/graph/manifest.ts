/** Whole objects, read live, or why they could not be read. */
import { isObject, presentable, type KubernetesJson } from '../kubernetes/json.ts'
import { liveErrorOf, type LiveError } from './errors.ts'

/** A manifest, or why there is none: exactly one of `object` and `error` is set. */
export interface Manifest {
  readonly object: KubernetesJson | null
  readonly error: LiveError | null
}

/** `kind` is what was asked for: items of a list say none themselves. */
export async function manifestOf(read: () => Promise<unknown>, kind: string): Promise<Manifest> {
  try {
    const object = await read()
    if (!isObject(object)) {
      return { object: null, error: { code: 'NOT_SERVED', message: `The cluster does not serve ${kind}.` } }
    }
    return { object: presentable(object, kind === 'Secret'), error: null }
  } catch (error) {
    return { object: null, error: liveErrorOf(error) }
  }
}
