/**
 * What rows share: strings, label sets, owners, resource amounts, containers, volumes, conditions. Each
 * function turns raw JSON into a frozen value that equal input shares. The interners are the process's,
 * since clusters of one fleet run the same software; they are bounded (see `interner.ts`).
 */
import { Interner, type Interned } from '../interner.ts'
import { parseQuantity } from '../quantity.ts'
import type {
  Condition,
  ContainerPort,
  ContainerSpec,
  LabelSelector,
  LabelSelectorRequirement,
  LabelSet,
  OwnerReference,
  Quantity,
  ResourceAmounts,
  Volume,
  VolumeMount,
} from '../rows.ts'
import {
  integer,
  integerOrNull,
  isRecord,
  list,
  oneOf,
  record,
  seconds,
  text,
  textOrNull,
  type Json,
} from './fields.ts'

/** Between the parts of a key; no text of Kubernetes' has it. */
const SEPARATOR = '\u0000'

const strings = new Interner<string>(1 << 15)
const labelSets = new Interner<LabelSet>(1 << 15)
const owners = new Interner<OwnerReference>(1 << 15)
const quantities = new Interner<Quantity | null>(1 << 13)
const amounts = new Interner<ResourceAmounts>(1 << 13)
const containerSpecs = new Interner<ContainerSpec>(1 << 15)
const containerLists = new Interner<readonly ContainerSpec[]>(1 << 15)
const volumes = new Interner<Volume>(1 << 14)
const volumeLists = new Interner<readonly Volume[]>(1 << 14)
const conditions = new Interner<Condition>(1 << 14)
const conditionLists = new Interner<readonly Condition[]>(1 << 14)
const selectors = new Interner<LabelSelector>(1 << 14)
const stringLists = new Interner<readonly string[]>(1 << 13)

export const NO_LABELS: LabelSet = Object.freeze({})
const NO_AMOUNTS: ResourceAmounts = Object.freeze({})
const NO_MOUNTS: readonly VolumeMount[] = Object.freeze([])
const NO_PORTS: readonly ContainerPort[] = Object.freeze([])

/** The shared copy of a text of low cardinality. `''` for anything but a string. */
export function shareText(value: unknown): string {
  if (typeof value !== 'string' || value === '') return ''
  return (strings.find(value) ?? strings.add(value, value)).value
}

export function shareTextOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? shareText(value) : null
}

export function shareTexts(value: unknown): readonly string[] {
  const items = list(value).filter((item) => typeof item === 'string')
  return shareList(items)
}

export function shareList(items: readonly string[]): readonly string[] {
  const key = items.join(SEPARATOR)
  // Without a count, no items and one empty item would have the same key.
  const counted = `${items.length}${SEPARATOR}${key}`
  const found = stringLists.find(counted)
  return found ? found.value : stringLists.add(counted, Object.freeze(items.map(shareText))).value
}

/** `metadata.labels` and other maps of strings. */
export function shareLabels(value: unknown): LabelSet {
  if (!isRecord(value)) return NO_LABELS
  let key = ''
  for (const name in value) key += name + SEPARATOR + text(value[name]) + SEPARATOR
  if (key === '') return NO_LABELS
  const found = labelSets.find(key)
  if (found) return found.value
  const labels: Record<string, string> = {}
  for (const name in value) if (name !== '__proto__') labels[shareText(name)] = shareText(value[name])
  return labelSets.add(key, Object.freeze(labels)).value
}

/** The controller among `metadata.ownerReferences`. */
export function shareOwner(references: unknown): OwnerReference | null {
  for (const item of list(references)) {
    const reference = record(item)
    if (reference['controller'] !== true) continue
    return ownerReference(
      text(reference['apiVersion']),
      text(reference['kind']),
      text(reference['name']),
      text(reference['uid']),
    )
  }
  return null
}

/** The shared copy of this owner. */
export function ownerReference(apiVersion: string, kind: string, name: string, uid: string): OwnerReference {
  const key = uid + SEPARATOR + kind + SEPARATOR + name + SEPARATOR + apiVersion
  const found = owners.find(key)
  if (found) return found.value
  const owner = Object.freeze({ apiVersion: shareText(apiVersion), kind: shareText(kind), name, uid })
  return owners.add(key, owner).value
}

export function shareQuantity(value: unknown): Quantity | null {
  if (typeof value !== 'string' && typeof value !== 'number') return null
  const key = String(value)
  const found = quantities.find(key)
  if (found) return found.value
  const quantity = parseQuantity(value)
  return quantities.add(key, quantity && Object.freeze(quantity)).value
}

/** A quantity's text, for a key. */
function scalar(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

/** A `ResourceList`. */
export function shareAmounts(value: unknown): ResourceAmounts {
  if (!isRecord(value)) return NO_AMOUNTS
  let key = ''
  for (const name in value) key += name + SEPARATOR + scalar(value[name]) + SEPARATOR
  if (key === '') return NO_AMOUNTS
  const found = amounts.find(key)
  if (found) return found.value
  const result: Record<string, Quantity> = {}
  for (const name in value) {
    const quantity = shareQuantity(value[name])
    if (quantity && name !== '__proto__') result[shareText(name)] = quantity
  }
  return amounts.add(key, Object.freeze(result)).value
}

/** The value of one resource, 0 where there is none. */
export function amountOf(resources: ResourceAmounts, name: string): number {
  return Object.hasOwn(resources, name) ? resources[name]!.value : 0
}

/**
 * Every pod gets a volume of its own for its service account's token (`kube-api-access-x7k2p`): its
 * random suffix would make each container unlike its siblings, and says nothing. It is cut.
 */
const TOKEN_VOLUME = /^kube-api-access-[a-z0-9]{5}$/

function volumeName(value: unknown): string {
  const name = text(value)
  return name.startsWith('kube-api-access-') && TOKEN_VOLUME.test(name) ? 'kube-api-access' : name
}

function containerKey(container: Json, type: ContainerSpec['type']): string {
  let key =
    type +
    SEPARATOR +
    text(container['name']) +
    SEPARATOR +
    text(container['image']) +
    SEPARATOR +
    text(container['imagePullPolicy'])
  for (const item of list(container['ports'])) {
    const port = record(item)
    key += `${SEPARATOR}p${text(port['name'])}/${integer(port['containerPort'])}/${text(port['protocol']) || 'TCP'}/${integer(port['hostPort'])}`
  }
  const resources = record(container['resources'])
  for (const side of ['requests', 'limits'] as const) {
    const amounts = record(resources[side])
    for (const name in amounts) key += `${SEPARATOR}${side}${name}=${scalar(amounts[name])}`
  }
  for (const item of list(container['volumeMounts'])) {
    const mount = record(item)
    key += `${SEPARATOR}m${volumeName(mount['name'])}:${text(mount['mountPath'])}${mount['readOnly'] === true ? ':ro' : ''}`
  }
  return key
}

function shareContainer(value: unknown, init: boolean): Interned<ContainerSpec> {
  const container = record(value)
  const type = !init ? 'MAIN' : container['restartPolicy'] === 'Always' ? 'SIDECAR' : 'INIT'
  const key = containerKey(container, type)
  return containerSpecs.find(key) ?? containerSpecs.add(key, containerSpec(container, type))
}

function containerSpec(container: Json, type: ContainerSpec['type']): ContainerSpec {
  const resources = record(container['resources'])
  const ports = list(container['ports']).map((item) => {
    const port = record(item)
    return Object.freeze({
      name: shareTextOrNull(port['name']),
      containerPort: integer(port['containerPort']),
      protocol: shareText(port['protocol']) || 'TCP',
      hostPort: integer(port['hostPort']) || null,
    })
  })
  const mounts = list(container['volumeMounts']).map((item) => {
    const mount = record(item)
    return Object.freeze({
      name: shareText(volumeName(mount['name'])),
      mountPath: shareText(mount['mountPath']),
      readOnly: mount['readOnly'] === true,
    })
  })
  return Object.freeze({
    name: shareText(container['name']),
    image: shareText(container['image']),
    type,
    imagePullPolicy: shareTextOrNull(container['imagePullPolicy']),
    ports: ports.length === 0 ? NO_PORTS : Object.freeze(ports),
    requests: shareAmounts(resources['requests']),
    limits: shareAmounts(resources['limits']),
    volumeMounts: mounts.length === 0 ? NO_MOUNTS : Object.freeze(mounts),
  })
}

/** The containers of a pod's spec: init containers and sidecars first, each in order. */
export function shareContainers(podSpec: Json): Interned<readonly ContainerSpec[]> {
  let key = ''
  const specs: ContainerSpec[] = []
  for (const item of list(podSpec['initContainers'])) {
    const entry = shareContainer(item, true)
    key += `${entry.id},`
    specs.push(entry.value)
  }
  for (const item of list(podSpec['containers'])) {
    const entry = shareContainer(item, false)
    key += `${entry.id},`
    specs.push(entry.value)
  }
  return containerLists.find(key) ?? containerLists.add(key, Object.freeze(specs))
}

/** The field of each volume source that names an object in the pod's namespace. */
const VOLUME_SOURCES: Readonly<Record<string, string>> = {
  configMap: 'name',
  secret: 'secretName',
  persistentVolumeClaim: 'claimName',
}

function volumeOf(value: unknown): Volume {
  const volume = record(value)
  let type = ''
  for (const field in volume) if (field !== 'name' && isRecord(volume[field])) type = field
  const source = textOrNull(record(volume[type])[VOLUME_SOURCES[type] ?? ''])
  return { name: volumeName(volume['name']), type, source }
}

function shareVolume({ name, type, source }: Volume): Interned<Volume> {
  const key = name + SEPARATOR + type + SEPARATOR + (source ?? '')
  const found = volumes.find(key)
  if (found) return found
  // A claim's name is a pod's own as often as not: it is not worth a place among the shared strings.
  return volumes.add(key, Object.freeze({ name: shareText(name), type: shareText(type), source }))
}

export function shareVolumes(podSpec: Json): Interned<readonly Volume[]> {
  return shareVolumeList(list(podSpec['volumes']).map(volumeOf))
}

/** The shared copy of these. */
export function shareVolumeList(items: readonly Volume[]): Interned<readonly Volume[]> {
  let key = ''
  const found: Volume[] = []
  for (const item of items) {
    const entry = shareVolume(item)
    key += `${entry.id},`
    found.push(entry.value)
  }
  return volumeLists.find(key) ?? volumeLists.add(key, Object.freeze(found))
}

const CONDITION_STATUSES = new Set(['True', 'False', 'Unknown'] as const)

export function conditionStatus(value: unknown): Condition['status'] {
  return oneOf(value, CONDITION_STATUSES, 'Unknown')
}

/** `status.conditions`, for kinds of which there are few enough to keep each condition as an object. */
export function shareConditions(value: unknown): readonly Condition[] {
  return shareConditionList(list(value).map(conditionFrom))
}

function conditionFrom(value: unknown): Condition {
  const raw = record(value)
  return {
    type: text(raw['type']),
    status: conditionStatus(raw['status']),
    reason: textOrNull(raw['reason']),
    message: textOrNull(raw['message']),
    lastTransitionTime: seconds(raw['lastTransitionTime']),
  }
}

/** The shared copy of these. */
export function shareConditionList(items: readonly Condition[]): readonly Condition[] {
  let key = ''
  const found: Condition[] = []
  for (const item of items) {
    const entry = shareCondition(item)
    key += `${entry.id},`
    found.push(entry.value)
  }
  return (conditionLists.find(key) ?? conditionLists.add(key, Object.freeze(found))).value
}

function shareCondition({
  type,
  status,
  reason,
  message,
  lastTransitionTime,
}: Condition): Interned<Condition> {
  const key = [type, status, reason ?? '', message ?? '', lastTransitionTime ?? ''].join(SEPARATOR)
  const found = conditions.find(key)
  if (found) return found
  const condition = {
    type: shareText(type),
    status,
    reason: shareTextOrNull(reason),
    message,
    lastTransitionTime,
  }
  return conditions.add(key, Object.freeze(condition))
}

/** The condition of a type, if any. */
export function conditionOf(all: readonly Condition[], type: string): Condition | undefined {
  return all.find((condition) => condition.type === type)
}

const OPERATORS = new Set(['In', 'NotIn', 'Exists', 'DoesNotExist'] as const)

/** `metav1.LabelSelector`; `null` where there is none. */
export function shareSelector(value: unknown): LabelSelector | null {
  if (!isRecord(value)) return null
  const key = JSON.stringify([value['matchLabels'], value['matchExpressions']])
  return selectors.get(key, () => {
    const matchExpressions: LabelSelectorRequirement[] = []
    for (const item of list(value['matchExpressions'])) {
      const raw = record(item)
      matchExpressions.push(
        Object.freeze({
          key: shareText(raw['key']),
          // A server refuses other operators; should one come, it must not select more than it means to.
          operator: oneOf(raw['operator'], OPERATORS, 'In'),
          values: shareTexts(raw['values']),
        }),
      )
    }
    return Object.freeze({
      matchLabels: shareLabels(value['matchLabels']),
      matchExpressions: Object.freeze(matchExpressions),
    })
  })
}

/** An int or `null`, for annotations and other texts that hold one (`deployment.kubernetes.io/revision`). */
export function integerText(value: unknown): number | null {
  if (typeof value === 'number') return integerOrNull(value)
  const digits = text(value)
  return /^\d+$/.test(digits) ? Number(digits) : null
}
