/**
 * The shapes of the built-in types: fields and their types, from the model of @kubernetes/client-node (so
 * that they follow its release), and how lists of them merge (API reference, `x-kubernetes-list-type`,
 * `x-kubernetes-patch-merge-key`). Read by decoding, strategic merge, server-side apply and OpenAPI.
 */
import * as client from '@kubernetes/client-node'
import { isObject, type JsonObject } from './json.ts'

export type FieldType =
  | { readonly is: 'string' | 'integer' | 'number' | 'boolean' | 'any' | 'int-or-string' | 'bytes' | 'time' }
  | { readonly is: 'list'; readonly items: FieldType }
  | { readonly is: 'map'; readonly values: FieldType }
  | { readonly is: 'object'; readonly model: string }

export interface ListMerge {
  /** How server-side apply owns the list. */
  readonly type: 'atomic' | 'set' | 'map'
  /** Keys of an item in a `map` list, in order. */
  readonly keys: readonly string[]
  /** The single key of strategic merge patches; '' for lists of scalars; undefined where lists are replaced. */
  readonly patchKey: string | undefined
  readonly retainKeys: boolean
}

export interface Field {
  readonly name: string
  readonly type: FieldType
  readonly format: string
  /** For lists. */
  readonly merge: ListMerge
  /** An object or map that server-side apply owns as a whole. */
  readonly atomic: boolean
  /** An object that a strategic merge patch replaces (`replace`) or trims to the keys given. */
  readonly strategy: 'merge' | 'retainKeys' | 'replace'
}

export type Fields = ReadonlyMap<string, Field>

const atomicList: ListMerge = { type: 'atomic', keys: [], patchKey: undefined, retainKeys: false }

/**
 * Lists that merge: `Model.field`, then the keys of items, comma-separated (`=` for a set), then the
 * strategic key if it is not the first one (`-` for none, `=` for scalars), then `retainKeys`.
 */
const listTable = `
V1Container.env name
V1Container.ports containerPort,protocol
V1Container.volumeDevices devicePath
V1Container.volumeMounts mountPath
V1EphemeralContainer.env name
V1EphemeralContainer.ports containerPort,protocol
V1EphemeralContainer.volumeDevices devicePath
V1EphemeralContainer.volumeMounts mountPath
V1ContainerStatus.allocatedResourcesStatus name
V1ContainerStatus.volumeMounts mountPath
V1ContainerRestartRuleOnExitCodes.values = -
V1NamespaceStatus.conditions type
V1NodeSpec.podCIDRs = =
V1NodeStatus.addresses type
V1NodeStatus.conditions type
V1PersistentVolumeClaimStatus.conditions type
V1PodSpec.containers name
V1PodSpec.ephemeralContainers name
V1PodSpec.hostAliases ip
V1PodSpec.imagePullSecrets name
V1PodSpec.initContainers name
V1PodSpec.resourceClaims name name retainKeys
V1PodSpec.schedulingGates name
V1PodSpec.topologySpreadConstraints topologyKey,whenUnsatisfiable
V1PodSpec.volumes name name retainKeys
V1PodStatus.conditions type
V1PodStatus.podIPs ip
V1PodStatus.hostIPs atomic ip
V1PodStatus.resourceClaimStatuses name name retainKeys
V1ResourceRequirements.claims name -
V1ServiceAccount.secrets name
V1ServiceSpec.ports port,protocol
V1ServiceStatus.conditions type
V1DaemonSetStatus.conditions type
V1DeploymentStatus.conditions type
V1ReplicaSetStatus.conditions type
V1StatefulSetStatus.conditions type
V2HorizontalPodAutoscalerStatus.conditions type
V1JobStatus.conditions atomic type
V1PodFailurePolicyOnExitCodesRequirement.values = -
V1UncountedTerminatedPods.failed = -
V1UncountedTerminatedPods.succeeded = -
V1Endpoint.addresses = -
V1PodDisruptionBudgetStatus.conditions type
V1CustomResourceDefinitionStatus.conditions type -
V1ObjectMeta.finalizers = =
V1ObjectMeta.ownerReferences uid
`

const lists = new Map<string, ListMerge>(
  listTable
    .trim()
    .split('\n')
    .map((line) => {
      const [field = '', keys = '', patch, retain] = line.split(' ')
      const names = keys === '=' || keys === 'atomic' ? [] : keys.split(',')
      const type = keys === '=' ? 'set' : keys === 'atomic' ? 'atomic' : 'map'
      const patchKey = patch === '-' ? undefined : patch === '=' ? '' : (patch ?? names[0])
      return [field, { type, keys: names, patchKey, retainKeys: retain === 'retainKeys' }]
    }),
)

/** Types whose values server-side apply never takes apart. */
const atomicModels = new Set([
  'V1ConfigMapKeySelector',
  'V1EndpointAddress',
  'CoreV1EndpointPort',
  'DiscoveryV1EndpointPort',
  'V1LocalObjectReference',
  'V1NodeSelector',
  'V1NodeSelectorTerm',
  'V1ObjectFieldSelector',
  'V1ObjectReference',
  'V1ResourceFieldSelector',
  'V1ScopeSelector',
  'V1SecretKeySelector',
  'V1SecretReference',
  'V1TopologySelectorTerm',
  'V1TypedLocalObjectReference',
  'V1CrossVersionObjectReference',
  'V1ServiceBackendPort',
  'V1RoleRef',
  'RbacV1Subject',
  'V1LabelSelector',
  'V1OwnerReference',
])

const atomicFields = new Set([
  'V1PodSpec.nodeSelector',
  'V1ServiceSpec.selector',
  'V1Scheduling.nodeSelector',
])
const granularFields = new Set(['V1PersistentVolumeSpec.claimRef'])

interface Attribute {
  readonly baseName: string
  readonly type: string
  readonly format: string
}

interface Model {
  getAttributeTypeMap(): readonly Attribute[]
}

function isModel(value: unknown): value is Model {
  return typeof value === 'function' && 'getAttributeTypeMap' in value
}

const models: JsonObject = client

function typeOf(text: string, format: string): FieldType {
  if (text.startsWith('Array<')) return { is: 'list', items: typeOf(text.slice(6, -1), format) }
  if (text.startsWith('{ [key: string]: ')) return { is: 'map', values: typeOf(text.slice(17, -3), format) }
  if (format === 'date-time' || format === 'date-time-micro') return { is: 'time' }
  if (text === 'string') return { is: format === 'byte' ? 'bytes' : 'string' }
  if (text === 'number') return { is: format === 'double' ? 'number' : 'integer' }
  if (text === 'boolean') return { is: 'boolean' }
  if (text === 'IntOrString') return { is: 'int-or-string' }
  if (text === 'any' || !isModel(models[text])) return { is: 'any' }
  return { is: 'object', model: text }
}

const known = new Map<string, Fields | undefined>()

/** The fields of a type by their JSON names; undefined for a type that the model does not have. */
export function fieldsOf(model: string): Fields | undefined {
  if (known.has(model)) return known.get(model)
  const found = models[model]
  const fields = isModel(found)
    ? new Map(found.getAttributeTypeMap().map((attribute) => [attribute.baseName, fieldOf(model, attribute)]))
    : undefined
  known.set(model, fields)
  return fields
}

function fieldOf(model: string, { baseName, type, format }: Attribute): Field {
  const id = `${model}.${baseName}`
  const fieldType = typeOf(type, format)
  const isAtomicModel =
    fieldType.is === 'object' && atomicModels.has(fieldType.model) && !granularFields.has(id)
  return {
    name: baseName,
    type: quantityMaps.has(id) ? { is: 'map', values: { is: 'any' } } : fieldType,
    format,
    merge: lists.get(id) ?? atomicList,
    atomic: isAtomicModel || atomicFields.has(id),
    strategy:
      id === 'V1DeploymentSpec.strategy'
        ? 'retainKeys'
        : id === 'V1PodDisruptionBudgetSpec.selector'
          ? 'replace'
          : 'merge',
  }
}

/** Quantities may be written as numbers: `cpu: 1`. */
const quantityMaps = new Set([
  'V1ResourceRequirements.limits',
  'V1ResourceRequirements.requests',
  'V1VolumeResourceRequirements.limits',
  'V1VolumeResourceRequirements.requests',
  'V1ResourceQuotaSpec.hard',
  'V1ResourceQuotaStatus.hard',
  'V1ResourceQuotaStatus.used',
  'V1NodeStatus.capacity',
  'V1NodeStatus.allocatable',
  'V1PersistentVolumeSpec.capacity',
  'V1PersistentVolumeClaimStatus.capacity',
  'V1LimitRangeItem._default',
  'V1LimitRangeItem.default',
  'V1LimitRangeItem.defaultRequest',
  'V1LimitRangeItem.max',
  'V1LimitRangeItem.min',
  'V1LimitRangeItem.maxLimitRequestRatio',
])

export interface Decoded {
  readonly value: JsonObject
  /** `unknown field "spec.foo"`, in the order met. */
  readonly unknown: readonly string[]
}

/** A value of the wrong type; the message is what Go's decoder would say of it, nearly. */
export class DecodeError extends Error {
  readonly code = 'DECODE'
}

/**
 * Reads a request's object as the API server's decoder does: unknown fields are dropped (and reported),
 * wrong types are errors, explicit nulls count as absent.
 */
export function decode(model: string, value: JsonObject): Decoded {
  const unknown: string[] = []
  const decoded = decodeObject(model, value, '', unknown)
  return { value: decoded, unknown }
}

function decodeObject(model: string, value: JsonObject, path: string, unknown: string[]): JsonObject {
  const fields = fieldsOf(model)
  if (fields === undefined) return value
  const result: Record<string, unknown> = {}
  for (const [name, inner] of Object.entries(value)) {
    const field = fields.get(name)
    const where = path === '' ? name : `${path}.${name}`
    if (field === undefined) {
      if (!(path === '' && (name === 'apiVersion' || name === 'kind')))
        unknown.push(`unknown field "${where}"`)
      else result[name] = inner
    } else if (inner !== null) {
      result[name] = decodeValue(field.type, inner, where, unknown, model, name)
    } else if (field.type.is === 'any') {
      result[name] = null
    }
  }
  return result
}

function decodeValue(
  type: FieldType,
  value: unknown,
  path: string,
  unknown: string[],
  model: string,
  name: string,
): unknown {
  const wrong = (expected: string): DecodeError =>
    new DecodeError(
      `json: cannot unmarshal ${goKind(value)} into Go struct field ${goName(model)}.${path} of type ${expected}`,
    )
  switch (type.is) {
    case 'string':
      if (typeof value === 'string') return value
      if (typeof value === 'number' && quantityFields.has(name)) return String(value)
      throw wrong('string')
    case 'bytes':
    case 'time':
      if (typeof value !== 'string') throw wrong('string')
      return value
    case 'integer':
      if (typeof value !== 'number' || !Number.isInteger(value)) throw wrong('int32')
      return value
    case 'number':
      if (typeof value !== 'number') throw wrong('float64')
      return value
    case 'boolean':
      if (typeof value !== 'boolean') throw wrong('bool')
      return value
    case 'int-or-string':
      if (typeof value !== 'string' && typeof value !== 'number') throw wrong('intstr.IntOrString')
      return value
    case 'list':
      if (!Array.isArray(value)) throw wrong(`[]${goType(type.items)}`)
      return value.map((item, index) =>
        decodeValue(type.items, item, `${path}[${index}]`, unknown, model, name),
      )
    case 'map': {
      if (!isObject(value)) throw wrong(`map[string]${goType(type.values)}`)
      if (quantityMaps.has(`${model}.${name}`)) return quantitiesIn(value)
      const entries = Object.entries(value).filter(([, inner]) => inner !== null || type.values.is === 'any')
      return Object.fromEntries(
        entries.map(([key, inner]) => [
          key,
          decodeValue(type.values, inner, `${path}.${key}`, unknown, model, name),
        ]),
      )
    }
    case 'object':
      if (!isObject(value)) throw wrong(goName(type.model))
      return decodeObject(type.model, value, path, unknown)
    case 'any':
      return value
  }
}

const quantity = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/

/** Quantities are kept as they were written, numbers as text. */
function quantitiesIn(value: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const text = typeof inner === 'number' ? String(inner) : inner
      if (typeof text !== 'string' || !quantity.test(text)) {
        throw new DecodeError(
          "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        )
      }
      return [key, text]
    }),
  )
}

const quantityFields = new Set(['averageValue', 'value', 'sizeLimit', 'divisor'])

function goKind(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return typeof value
}

function goName(model: string): string {
  return model.replace(/^[A-Za-z]*?V\d+(?:(?:alpha|beta)\d+)?/, '')
}

function goType(type: FieldType): string {
  if (type.is === 'object') return goName(type.model)
  return type.is === 'integer' ? 'int32' : type.is === 'boolean' ? 'bool' : 'string'
}
