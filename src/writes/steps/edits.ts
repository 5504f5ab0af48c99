/**
 * What an edit changes of an object, as a JSON Patch (RFC 6902) made from its live form. Pure.
 *
 * A patch names fields of lists by their place. Each of those is guarded by a `test` of the item's name, so that the
 * API server refuses the patch where somebody has moved the items meanwhile. Where a patch would overwrite what
 * somebody else adds meanwhile it carries the `resourceVersion` that it was made from: then the API server answers 409.
 * https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
 */
import { isObject, LAST_APPLIED, type KubernetesJson } from '../../kubernetes/json.ts'
import type { ChangeErrorCode, Edit } from '../change.ts'

export type PatchOperation =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }

/** `patch` is empty where everything is as wanted already. */
export interface Edited {
  readonly patch: readonly PatchOperation[]
  /** For a person: what changes, from what to what. */
  readonly note: string | null
}

export interface EditRefusal {
  readonly code: Extract<ChangeErrorCode, 'NOT_SUPPORTED' | 'INVALID' | 'CONFLICT'>
  readonly message: string
  /** The fields at fault. */
  readonly fields: readonly string[]
}

const RESTARTED_AT = 'kubectl.kubernetes.io/restartedAt'

/** Where the pod template is, by `kind` and API group. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  'Deployment.apps': ['spec', 'template'],
  'StatefulSet.apps': ['spec', 'template'],
  'DaemonSet.apps': ['spec', 'template'],
  'ReplicaSet.apps': ['spec', 'template'],
  'ReplicationController.': ['spec', 'template'],
  'CronJob.batch': ['spec', 'jobTemplate', 'spec', 'template'],
  // The template of a Pod is the pod.
  'Pod.': [],
}

const RESTARTABLE = new Set(['Deployment.apps', 'StatefulSet.apps', 'DaemonSet.apps'])

export function edited(live: KubernetesJson, edit: Edit): Edited | EditRefusal {
  switch (edit.type) {
    case 'RESTART':
      return restarted(live, edit.at)
    case 'PAUSED':
      return flagged(live, ['Deployment.apps'], 'paused', edit.paused)
    case 'SUSPENDED':
      return flagged(live, ['CronJob.batch', 'Job.batch'], 'suspend', edit.suspended)
    case 'UNSCHEDULABLE':
      return flagged(live, ['Node.'], 'unschedulable', edit.unschedulable)
    case 'IMAGES':
      return withImages(live, edit.images)
    case 'LABELS':
      return withEntries(live, 'labels', edit.values, edit.overwrite)
    case 'ANNOTATIONS':
      return withEntries(live, 'annotations', edit.values, edit.overwrite)
  }
}

export function isRefusal(result: Edited | EditRefusal): result is EditRefusal {
  return 'code' in result
}

/** RFC 6901. */
export function pointer(...segments: readonly (string | number)[]): string {
  return segments.map((segment) => `/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** Makes the API server answer 409 where the object is no longer the one that the patch was made from. */
export function onlyThisVersion(live: KubernetesJson): PatchOperation {
  return { op: 'replace', path: '/metadata/resourceVersion', value: live.metadata?.['resourceVersion'] }
}

function restarted(live: KubernetesJson, at: string): Edited | EditRefusal {
  if (!RESTARTABLE.has(kindOf(live))) return unsupported(live, 'cannot be restarted: it has no rollout')
  if (valueAt(live, ['spec', 'paused']) === true) {
    const message = 'It is paused: a restart would not begin. Resume it first.'
    return { code: 'CONFLICT', message, fields: ['spec.paused'] }
  }
  const path = ['spec', 'template', 'metadata', 'annotations']
  const note = `restarted at ${at}`
  return { ...entriesPatch(live, path, { [RESTARTED_AT]: at }, true), note }
}

function flagged(
  live: KubernetesJson,
  kinds: readonly string[],
  field: string,
  wanted: boolean,
): Edited | EditRefusal {
  if (!kinds.includes(kindOf(live))) return unsupported(live, `has no field spec.${field}`)
  const now = valueAt(live, ['spec', field]) === true
  if (now === wanted) return { patch: [], note: null }
  return {
    patch: [{ op: 'add', path: pointer('spec', field), value: wanted }],
    note: `${field}: ${now} → ${wanted}`,
  }
}

function withImages(live: KubernetesJson, images: Readonly<Record<string, string>>): Edited | EditRefusal {
  const template = TEMPLATES[kindOf(live)]
  if (!template) return unsupported(live, 'has no containers whose image can be changed')
  const spec = [...template, 'spec']
  const containers = ['containers', 'initContainers'].flatMap((list) => {
    const items = valueAt(live, [...spec, list])
    return Array.isArray(items)
      ? items.map((item: unknown, index) => ({
          path: [...spec, list, index],
          list,
          name: String(valueAt(item, ['name'])),
          image: valueAt(item, ['image']),
        }))
      : []
  })
  const names = containers.map(({ name }) => name).join(', ')
  const patch: PatchOperation[] = []
  const notes: string[] = []
  for (const [name, image] of Object.entries(images)) {
    const candidates = containers.filter((one) =>
      name === '' ? one.list === 'containers' : one.name === name,
    )
    const [container] = candidates
    if (!container || candidates.length > 1) {
      const message =
        name === ''
          ? `It has several containers: say the image of which of them is meant (${names}).`
          : `It has no container ${JSON.stringify(name)}. There are: ${names}.`
      return { code: 'INVALID', message, fields: [`${spec.join('.')}.containers`] }
    }
    if (container.image === image) continue
    patch.push(
      { op: 'test', path: pointer(...container.path, 'name'), value: container.name },
      { op: 'add', path: pointer(...container.path, 'image'), value: image },
    )
    notes.push(
      `container ${JSON.stringify(container.name)}: ${typeof container.image === 'string' ? container.image : 'no image'} → ${image}`,
    )
  }
  return { patch, note: notes.length > 0 ? notes.join('; ') : null }
}

function withEntries(
  live: KubernetesJson,
  field: 'labels' | 'annotations',
  values: Readonly<Record<string, string | null>>,
  overwrite: boolean,
): Edited | EditRefusal {
  const now = entriesAt(live, ['metadata', field])
  const taken = Object.entries(values).flatMap(([key, value]) =>
    value !== null && Object.hasOwn(now, key) && now[key] !== value ? [key] : [],
  )
  if (!overwrite && taken.length > 0) {
    const message = `It has another value of ${taken.map((key) => JSON.stringify(key)).join(', ')} already. Overwrite it, or leave it out.`
    return { code: 'CONFLICT', message, fields: taken.map((key) => `metadata.${field}[${key}]`) }
  }
  return entriesPatch(live, ['metadata', field], values, overwrite)
}

/** Of a map of texts, which may be missing, and the maps around it. */
function entriesPatch(
  live: KubernetesJson,
  path: readonly string[],
  values: Readonly<Record<string, string | null>>,
  overwrite: boolean,
): Edited {
  const now = entriesAt(live, path)
  const changed = Object.entries(values).filter(([key, value]) =>
    value === null ? Object.hasOwn(now, key) : !Object.hasOwn(now, key) || now[key] !== value,
  )
  if (changed.length === 0) return { patch: [], note: null }
  const patch: PatchOperation[] = []
  const missing = path.findIndex((_segment, index) => !isObject(valueAt(live, path.slice(0, index + 1))))
  // A map that somebody adds meanwhile would be overwritten; so would a value that was to be kept.
  if (missing !== -1 || !overwrite) patch.push(onlyThisVersion(live))
  if (missing !== -1) {
    for (let depth = missing + 1; depth <= path.length; depth++) {
      patch.push({ op: 'add', path: pointer(...path.slice(0, depth)), value: {} })
    }
  }
  for (const [key, value] of changed) {
    const place = pointer(...path, key)
    patch.push(value === null ? { op: 'remove', path: place } : { op: 'add', path: place, value })
  }
  const note = changed
    .map(([key, value]) => {
      // Of a Secret it has all values once more.
      if (key === LAST_APPLIED) return `${key} is ${value === null ? 'taken away' : 'set'}`
      return `${key}: ${textOf(now[key])} → ${textOf(value)}`
    })
    .join('; ')
  return { patch, note }
}

/** Of a value that is told: an annotation may have 256 KiB. */
const MOST_TEXT = 200

function textOf(value: unknown): string {
  if (typeof value !== 'string') return '–'
  return JSON.stringify(value.length > MOST_TEXT ? `${value.slice(0, MOST_TEXT)}…` : value)
}

function entriesAt(live: unknown, path: readonly string[]): Readonly<Record<string, unknown>> {
  const entries = valueAt(live, path)
  return isObject(entries) ? entries : {}
}

export function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  let here = value
  for (const segment of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, segment)) return undefined
    here = (here as Readonly<Record<string | number, unknown>>)[segment]
  }
  return here
}

/** `Deployment.apps`, `Pod.`. */
export function kindOf({ apiVersion = '', kind = '' }: KubernetesJson): string {
  const slash = apiVersion.indexOf('/')
  return `${kind}.${slash === -1 ? '' : apiVersion.slice(0, slash)}`
}

function unsupported(live: KubernetesJson, why: string): EditRefusal {
  return { code: 'NOT_SUPPORTED', message: `A ${live.kind ?? 'thing of this kind'} ${why}.`, fields: [] }
}
