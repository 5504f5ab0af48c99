/** From objects that were composed to steps that apply them. */
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { ComposeError } from '../../writes/compose/compose-error.ts'
import { inOrder } from '../../writes/manifests.ts'
import { badUserInput } from '../errors.ts'
import type { StepSpec } from './change-field.ts'
import { keyOf } from './targets.ts'

/** `ComposeError` as BAD_USER_INPUT; `path` is where the input stands. */
export function composed<T>(compose: () => T, path: string): T {
  try {
    return compose()
  } catch (error) {
    if (!(error instanceof ComposeError)) throw error
    throw badUserInput(error.message, `${path}.${error.argument}`, error)
  }
}

/** A step for each object, in the order in which they depend on each other. */
export function applied(
  objects: readonly KubernetesJson[],
  cluster: string,
  {
    force,
    createNamespace,
    purpose,
    group,
  }: {
    readonly group?: string
    readonly force: boolean
    readonly createNamespace: string | null
    readonly purpose: string
  },
): StepSpec[] {
  const steps = inOrder(objects).map(({ object: manifest, stage }): StepSpec => {
    const { apiVersion = '', kind = '', metadata } = manifest
    return {
      object: {
        cluster,
        apiVersion,
        kind,
        namespace: metadata?.namespace ?? null,
        name: metadata?.name ?? '',
      },
      stage: stage + 1,
      purpose,
      ...(group !== undefined && { group }),
      action: { type: 'APPLY', manifest, force },
    }
  })
  if (createNamespace === null) return steps
  const namespace: StepSpec = {
    object: keyOf('Namespace', cluster, '', createNamespace),
    purpose: 'create namespace',
    stage: 0,
    action: {
      type: 'CREATE',
      manifest: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: createNamespace } },
      ifAbsent: true,
    },
  }
  return [namespace, ...steps]
}
