/** `applyManifest`: objects of any kind, as they are written. */
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { KINDS } from '../../kubernetes/kinds.ts'
import { definedBy, ManifestError, parseManifestsInTurns } from '../../writes/manifests.ts'
import { dnsLabel } from '../../writes/names.ts'
import { badUserInput } from '../errors.ts'
import { isKind } from '../relations.ts'
import { changeField, requireSteps } from './change-field.ts'
import { applied } from './composed.ts'
import {
  ClusterTargets,
  clusterTargetsOf,
  groupOf,
  requireNamed,
  type ClusterTargetsInput,
} from './targets.ts'

interface ApplyInput {
  readonly targets: ClusterTargetsInput
  readonly manifest: string
  readonly namespace?: string | null | undefined
  readonly createNamespace?: boolean | null | undefined
  readonly force?: boolean | null | undefined
}

changeField<ApplyInput>('applyManifest', {
  description:
    'Applies objects of any kind to clusters, by server-side apply with the field manager `fleetgraph`, in the order in which they depend on each other: namespaces and definitions first. Fields that the manifest leaves out are left to whoever sets them; what `fleetgraph` set before and is gone from the manifest is taken away.',
  fields: (t) => ({
    targets: t.field({ type: ClusterTargets, required: true, description: 'To which clusters.' }),
    manifest: t.string({
      required: true,
      description:
        'YAML or JSON; several documents, parted by `---`, or a List. Up to 1 MiB and 500 objects, and no more than the gateway takes as a request: 256 KiB, unless it is configured otherwise.',
    }),
    namespace: t.string({
      description: 'For objects that say none and whose kind needs one; absent: `default`.',
    }),
    createNamespace: t.boolean({
      defaultValue: false,
      description: 'Whether `namespace` is made where it is not there.',
    }),
    force: t.boolean({
      defaultValue: false,
      description: 'Whether to take over fields that other managers own.',
    }),
  }),
  compose: async ({ targets, manifest, namespace, createNamespace, force }, context, path) => {
    if (namespace != null) requireNamed(namespace, dnsLabel, `${path}.namespace`)
    else if (createNamespace) throw badUserInput('Say which namespace to make.', `${path}.namespace`)
    const clusters = clusterTargetsOf(targets, context, `${path}.targets`)
    const objects = await parsed(manifest, `${path}.manifest`, context.signal)
    requireSteps(objects.length * clusters.length, `${path}.targets`)
    const scopes = definedScopes(objects)
    const steps = await Promise.all(
      clusters.map(async (cluster) => {
        const placed = await Promise.all(
          objects.map(async (object) => {
            const { metadata, kind = '', apiVersion = '' } = object
            const { namespace: own, ...unplaced } = metadata ?? {}
            const namespaced = await isNamespaced(kind, apiVersion)
            // As the API server: it leaves a namespace aside where there is none, and nobody is told of another place.
            if (namespaced === false) return own === undefined ? object : { ...object, metadata: unplaced }
            if (own !== undefined || namespaced === undefined) return object
            return { ...object, metadata: { ...metadata, namespace: namespace ?? 'default' } }
          }),
        )
        return applied(placed, cluster.name, {
          force: force ?? false,
          createNamespace: createNamespace && namespace != null ? namespace : null,
          purpose: 'apply',
        })

        /** Of kinds that the gateway does not know the cluster is asked; where it does not say, the step will. */
        async function isNamespaced(kind: string, apiVersion: string): Promise<boolean | undefined> {
          const group = groupOf(apiVersion)
          if (isKind(kind) && group === KINDS[kind].group) return KINDS[kind].namespaced
          const defined = scopes.get(`${kind}.${group}`)
          if (defined !== undefined) return defined
          const served = await context.fleet
            .resolve(cluster, apiVersion, kind, context.signal)
            .catch(() => undefined)
          return served?.namespaced
        }
      }),
    )
    const what =
      objects.length === 1 ? `${objects[0]!.kind} ${objects[0]!.metadata?.name}` : `${objects.length} objects`
    const where =
      clusters.length <= 3 ? clusters.map(({ name }) => name).join(', ') : `${clusters.length} clusters`
    return { title: `apply ${what} to ${where}`, steps: steps.flat() }
  },
})

/** `Widget.example.com`: whether what the definitions among them define is in namespaces. */
function definedScopes(objects: readonly KubernetesJson[]): ReadonlyMap<string, boolean> {
  return new Map(
    objects.flatMap((object) => {
      const defined = definedBy(object)
      return defined ? [[`${defined.kind}.${defined.group}`, defined.namespaced] as const] : []
    }),
  )
}

async function parsed(
  text: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<readonly KubernetesJson[]> {
  try {
    return await parseManifestsInTurns(text, {}, signal)
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    throw badUserInput(error.message, path, error)
  }
}
