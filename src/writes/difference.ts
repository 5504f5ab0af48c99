/**
 * What differs between two forms of an object, for a person: field by field, and as a unified diff of YAML. Without
 * status and what the API server writes with each write; of a Secret only which keys.
 */
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff'
import { isObject, presentable, yamlOf, type KubernetesJson } from '../kubernetes/json.ts'
import { canonical } from './fingerprint.ts'

export interface FieldChange {
  /**
   * As Kubernetes writes it: `spec.template.spec.containers[name=app].image`, `metadata.labels[app.kubernetes.io/name]`.
   * Of the last one, where there are more than are told: `…`, and `after` says how many.
   */
  readonly path: string
  /** `null`: it was not there. Values of a Secret are `<redacted>`; large ones are texts that say how large. */
  readonly before: unknown
  readonly after: unknown
}

/** Changes of one object that are told. */
const MOST_CHANGES = 500

/** Of a value, as JSON: 8 KB. */
const MOST_VALUE = 8_192

/** Of one side, as JSON: 256 KB, which take a quarter of a second at worst. CustomResourceDefinitions can be larger. */
const MOST_COMPARED = 1 << 18

/** Of a unified diff: 128 KB. */
const MOST_DIFF = 1 << 17

/** Lines that come and go. Past it the time of a comparison grows with its square. */
const MOST_EDITS = 1_000

const WRITTEN_BY_SERVER = new Set([
  'managedFields',
  'resourceVersion',
  'uid',
  'creationTimestamp',
  'generation',
  'selfLink',
])

/** Stands where a Secret's value has changed. */
const CHANGED = '<redacted, changed>'

/**
 * What names an item of a list of objects, first what Kubernetes merges it by (`x-kubernetes-list-map-keys` and
 * `x-kubernetes-patch-merge-key` of the API's schema).
 */
const LIST_KEYS: readonly (readonly string[])[] = [
  ['name'],
  ['containerPort', 'protocol'],
  ['port', 'protocol'],
  ['mountPath'],
  ['devicePath'],
  ['topologyKey', 'whenUnsatisfiable'],
  ['ip'],
  ['uid'],
  ['type'],
  ['key'],
]

/** In order of their paths' first appearance: what was before what is new. */
export function fieldChanges(
  before: KubernetesJson | null,
  after: KubernetesJson | null,
): readonly FieldChange[] {
  const [old, now] = shown(before, after)
  const found: FieldChange[] = []
  const told = (path: string, before: unknown, after: unknown) => {
    found.push({ path, before: bounded(before), after: bounded(after) })
  }
  compare('', old ?? undefined, now ?? undefined, told)
  if (found.length <= MOST_CHANGES) return found
  const more = found.length - MOST_CHANGES
  return [...found.slice(0, MOST_CHANGES), { path: '…', before: null, after: `and ${more} more changes` }]
}

/** Empty where nothing differs. */
export function unifiedDiff(before: KubernetesJson | null, after: KubernetesJson | null): string {
  const [old, now] = shown(before, after)
  const [from, to] = [canonical(old), canonical(now)]
  if (from === to) return ''
  const names = [titleOf(before) ?? '/dev/null', titleOf(after) ?? '/dev/null'] as const
  const header = `--- ${names[0]}\n+++ ${names[1]}\n`
  if (from.length > MOST_COMPARED || to.length > MOST_COMPARED) {
    return `${header}# Too large to be compared: ${from.length} and ${to.length} characters.\n`
  }
  // What is new, or gone, as a whole needs no search for what has stayed.
  const options = {
    context: 3,
    headerOptions: FILE_HEADERS_ONLY,
    ...(old && now && { maxEditLength: MOST_EDITS }),
  }
  const patch: string | undefined = createTwoFilesPatch(
    ...names,
    old ? yamlOf(old) : '',
    now ? yamlOf(now) : '',
    undefined,
    undefined,
    options,
  )
  if (patch === undefined) return `${header}# Too many lines differ to be shown: more than ${MOST_EDITS}.\n`
  if (patch.length <= MOST_DIFF) return patch
  const end = patch.lastIndexOf('\n', MOST_DIFF)
  return `${patch.slice(0, end)}\n# Cut here: ${patch.length - end} more characters.\n`
}

/**
 * Both forms as they may be shown and kept: without `managedFields`, and without the values of a Secret – but a value
 * that differs is told from one that does not.
 */
export function presentablePair(
  before: KubernetesJson | null,
  after: KubernetesJson | null,
): readonly [KubernetesJson | null, KubernetesJson | null] {
  const old = before && presentable(before, isSecret(before))
  const now = after && presentable(after, isSecret(after))
  if (!before || !after || !now || !isSecret(after)) return [old, now]
  const marked = Object.fromEntries(
    ['data', 'stringData'].flatMap((field) => {
      const [was, is] = [before[field], after[field]]
      if (!isObject(is)) return []
      const values = now[field] as Readonly<Record<string, unknown>>
      const entries = Object.entries(values).map(([key, value]) => {
        const differs = isObject(was) && Object.hasOwn(was, key) && was[key] !== is[key]
        return [key, differs ? CHANGED : value]
      })
      return [[field, Object.fromEntries(entries)]]
    }),
  )
  return [old, { ...now, ...marked }]
}

function isSecret({ kind, apiVersion }: KubernetesJson): boolean {
  return kind === 'Secret' && apiVersion === 'v1'
}

function shown(
  before: KubernetesJson | null,
  after: KubernetesJson | null,
): readonly [KubernetesJson | null, KubernetesJson | null] {
  const [old, now] = presentablePair(before, after)
  return [old && askedFor(old), now && askedFor(now)]
}

/** Without what the API server and controllers tell, and nobody asks for. */
function askedFor({ status: _status, metadata, ...object }: KubernetesJson): KubernetesJson {
  if (!metadata) return object
  const kept = Object.entries(metadata).filter(([field]) => !WRITTEN_BY_SERVER.has(field))
  const { apiVersion, kind, ...rest } = object
  return {
    ...(apiVersion !== undefined && { apiVersion }),
    ...(kind !== undefined && { kind }),
    metadata: Object.fromEntries(kept),
    ...rest,
  }
}

function titleOf(object: KubernetesJson | null): string | undefined {
  if (!object) return undefined
  const { kind = 'object', metadata: { namespace, name = '' } = {} } = object
  return `${kind} ${namespace ? `${namespace}/` : ''}${name}`
}

type Tell = (path: string, before: unknown, after: unknown) => void

function compare(path: string, before: unknown, after: unknown, tell: Tell): void {
  if (before === undefined && after === undefined) return
  if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(fieldPath(path, key), own(before, key), own(after, key), tell)
    }
    return
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    compareLists(path, before, after, tell)
    return
  }
  // Something that is new, or gone, is told by its fields as long as they have names.
  if (before === undefined && isObject(after) && Object.keys(after).length > 0 && isShallow(path)) {
    for (const [key, value] of Object.entries(after)) compare(fieldPath(path, key), undefined, value, tell)
    return
  }
  if (after === undefined && isObject(before) && Object.keys(before).length > 0 && isShallow(path)) {
    for (const [key, value] of Object.entries(before)) compare(fieldPath(path, key), value, undefined, tell)
    return
  }
  if (canonical(before) !== canonical(after) || (before === undefined) !== (after === undefined)) {
    tell(path, before ?? null, after ?? null)
  }
}

/** A label may be called `constructor`. */
function own(object: KubernetesJson, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function compareLists(path: string, before: readonly unknown[], after: readonly unknown[], tell: Tell): void {
  const keys = LIST_KEYS.find((keys) => isKeyed(before, keys) && isKeyed(after, keys))
  const old = keys && byName(before, keys)
  const now = keys && byName(after, keys)
  if (!old || !now || !isInOrder([...old.keys()], [...now.keys()])) {
    if (canonical(before) !== canonical(after)) tell(path, before, after)
    return
  }
  for (const name of new Set([...old.keys(), ...now.keys()])) {
    compare(`${path}[${name}]`, old.get(name), now.get(name), tell)
  }
}

/** Whether the first of the keys is in each item, and all of them together name it. */
function isKeyed(items: readonly unknown[], keys: readonly string[]): boolean {
  return (
    items.every((item) => isObject(item) && isScalar(item[keys[0]!])) &&
    byName(items, keys).size === items.length
  )
}

function isScalar(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number'
}

function byName(items: readonly unknown[], keys: readonly string[]): Map<string, unknown> {
  return new Map(
    items.map((item) => {
      const parts = keys.flatMap((key) => {
        const value = isObject(item) ? item[key] : undefined
        return isScalar(value) ? [`${key}=${String(value)}`] : []
      })
      return [parts.join(','), item]
    }),
  )
}

/** Whether those that are on both sides come in the same order. */
function isInOrder(before: readonly string[], after: readonly string[]): boolean {
  const now = new Set(after)
  const old = new Set(before)
  const kept = before.filter((name) => now.has(name))
  return after.filter((name) => old.has(name)).every((name, index) => name === kept[index])
}

/** `metadata`, `spec`, `metadata.labels`, `data`: what is below has a line of its own. */
function isShallow(path: string): boolean {
  return path === '' || /^(?:metadata(?:\.(?:labels|annotations))?|spec|data|stringData)$/.test(path)
}

function fieldPath(path: string, key: string): string {
  if (!/^[A-Za-z_$][\w$-]*$/.test(key)) return `${path}[${key}]`
  return path === '' ? key : `${path}.${key}`
}

function bounded(value: unknown): unknown {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return value
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length <= MOST_VALUE ? value : `${text.slice(0, 1_024)}… (${text.length} characters in all)`
}
