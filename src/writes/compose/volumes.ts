/** Volumes of a pod, and the claims of a StatefulSet: `VolumeSpec`s made what the API calls them. */
import { dnsLabel, dnsSubdomain, quoted } from '../names.ts'
import { amount, dataKey, distinct, fields, given, listOf, named, onlyOne, refuse } from './checks.ts'
import { relativePath } from './containers.ts'
import type { ClaimTemplateSpec, DeployableKind, ProjectedSource, VolumeSpec } from './deploy-spec.ts'

export interface ComposedVolumes {
  readonly volumes: readonly Record<string, unknown>[]
  readonly claimTemplates: readonly Record<string, unknown>[]
  /** Of both. */
  readonly names: ReadonlySet<string>
}

const SOURCES = ['emptyDir', 'configMap', 'secret', 'claim', 'claimTemplate', 'hostPath'] as const

export function composeVolumes(
  specs: readonly VolumeSpec[],
  kind: DeployableKind,
  allowHostPath: boolean,
): ComposedVolumes {
  const volumes: Record<string, unknown>[] = []
  const claimTemplates: Record<string, unknown>[] = []
  for (const [index, spec] of specs.entries()) {
    const argument = `volumes[${index}]`
    const name = named(`${argument}.name`, spec.name, dnsLabel)
    const source = onlyOne(argument, spec, SOURCES)
    const place = `${argument}.${source}`
    if (source === 'claimTemplate') {
      if (kind !== 'StatefulSet') {
        refuse(place, `only a StatefulSet has a claim for each pod: use \`claim\`, or the kind StatefulSet.`)
      }
      claimTemplates.push(composeClaim(place, name, spec.claimTemplate!))
    } else {
      volumes.push({ name, ...composeSource(place, source, spec, allowHostPath) })
    }
  }
  distinct(
    (index) => `volumes[${index}].name`,
    specs.map(({ name }) => name),
    'the name',
  )
  return { volumes, claimTemplates, names: new Set(specs.map(({ name }) => name)) }
}

function composeSource(
  argument: string,
  source: Exclude<(typeof SOURCES)[number], 'claimTemplate'>,
  { emptyDir, configMap, secret, claim, hostPath }: VolumeSpec,
  allowHostPath: boolean,
): Record<string, unknown> {
  switch (source) {
    case 'emptyDir': {
      const { medium, sizeLimit } = emptyDir!
      const limit = given(sizeLimit) ? amount(`${argument}.sizeLimit`, sizeLimit) : undefined
      return { emptyDir: fields({ medium, sizeLimit: limit }) }
    }
    case 'configMap':
      return { configMap: { name: nameOf(argument, configMap!), ...composeProjection(argument, configMap!) } }
    case 'secret':
      return { secret: { secretName: nameOf(argument, secret!), ...composeProjection(argument, secret!) } }
    case 'claim':
      return {
        persistentVolumeClaim: fields({
          claimName: nameOf(argument, claim!),
          readOnly: claim!.readOnly,
        }),
      }
    case 'hostPath': {
      if (!allowHostPath) {
        refuse(argument, 'paths of a node may not be mounted here: use a claim, a ConfigMap or an emptyDir.')
      }
      const { path, type } = hostPath!
      if (!path.startsWith('/') || path.split('/').includes('..')) {
        refuse(`${argument}.path`, `${quoted(path)} is no absolute path without \`..\`.`)
      }
      return { hostPath: fields({ path, type }) }
    }
  }
}

function nameOf(argument: string, { name }: { readonly name: string }): string {
  return named(`${argument}.name`, name, dnsSubdomain)
}

function composeProjection(argument: string, { items, optional }: ProjectedSource) {
  return fields({
    items: listOf(items, ({ key, path }, index) => ({
      key: named(`${argument}.items[${index}].key`, key, dataKey),
      path: relativePath(`${argument}.items[${index}].path`, path),
    })),
    optional,
  })
}

function composeClaim(
  argument: string,
  name: string,
  { storage, storageClassName, accessModes }: ClaimTemplateSpec,
): Record<string, unknown> {
  const modes = accessModes && accessModes.length > 0 ? [...new Set(accessModes)] : ['ReadWriteOnce']
  if (modes.length > 1 && modes.includes('ReadWriteOncePod')) {
    refuse(`${argument}.accessModes`, '`ReadWriteOncePod` excludes all others.')
  }
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: fields({
      accessModes: modes,
      storageClassName: given(storageClassName)
        ? named(`${argument}.storageClassName`, storageClassName, dnsSubdomain)
        : undefined,
      resources: { requests: { storage: amount(`${argument}.storage`, storage, Number.MIN_VALUE) } },
    }),
  }
}
