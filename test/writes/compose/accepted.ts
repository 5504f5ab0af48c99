/** Applies what composers made to an API server, as a dry run that is strict about fields. */
import * as fc from 'fast-check'
import type { Arbitrary } from 'fast-check'
import type { KubernetesJson } from '../../../src/kubernetes/json.ts'
import { composeAutoscaler } from '../../../src/writes/compose/autoscale.ts'
import { ComposeError } from '../../../src/writes/compose/compose-error.ts'
import { composeWorkload } from '../../../src/writes/compose/deploy.ts'
import { composeExposure } from '../../../src/writes/compose/expose.ts'
import { inputs } from './arbitraries.ts'

const PLURALS: Readonly<Record<string, string>> = { Ingress: 'ingresses' }

/** Where server-side apply sends it. */
export function applyPath({ apiVersion = '', kind = '', metadata }: KubernetesJson): string {
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`
  const namespace = metadata?.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  return `${root}${namespace}/${plural}/${metadata!.name}?fieldManager=fleetgraph&dryRun=All&fieldValidation=Strict`
}

export interface Composed {
  readonly input: unknown
  readonly objects: readonly KubernetesJson[]
}

/** `undefined`: the composer refused it. Whatever else it throws is thrown. */
function attempt(input: unknown, make: () => readonly KubernetesJson[]): Composed | undefined {
  try {
    return { input, objects: make() }
  } catch (error) {
    if (error instanceof ComposeError) return undefined
    throw error
  }
}

/** What somebody could ask of `deploy`, `expose` and `autoscale`, and what came of it. */
export function compositions(options: {
  readonly junk: boolean
}): Readonly<Record<'deploy' | 'expose' | 'autoscale', Arbitrary<Composed | undefined>>> {
  const { deploy, expose, autoscale } = inputs(options)
  return {
    deploy: deploy.map((input) =>
      attempt(input, () => {
        const { namespace, objects } = composeWorkload(input.spec, input.overrides, { allowHostPath: true })
        return namespace && namespace.metadata?.name !== 'default' ? [namespace, ...objects] : objects
      }),
    ),
    expose: expose.map((input) =>
      attempt(input, () => {
        const { service, ingress } = composeExposure(input.spec, input.target)
        return ingress ? [service, ingress] : [service]
      }),
    ),
    autoscale: autoscale.map((input) => attempt(input, () => [composeAutoscaler(input)])),
  }
}

/** So many that were not refused; the same for the same seed. */
export function sampleOf(
  arbitrary: Arbitrary<Composed | undefined>,
  count: number,
  seed: number,
): Composed[] {
  return fc
    .sample(arbitrary, { numRuns: count * 4, seed })
    .filter((one) => one !== undefined)
    .slice(0, count)
}
