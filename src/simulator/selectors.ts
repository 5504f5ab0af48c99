/**
 * Label and field selectors: parsed as the API server parses them, compiled to predicates. Which fields
 * can be selected is a table per resource (API reference, "Field selectors"); others answer 400.
 */
import { asArray, asNumber, asObject, asString, at } from './json.ts'
import type { KubeObject } from './registry.ts'
import { keyOf, type ResourceDefinition } from './resources.ts'
import { badRequest } from './status-error.ts'

export type Predicate = (object: KubeObject) => boolean

interface Requirement {
  readonly key: string
  readonly operator: '=' | '!=' | 'in' | 'notin' | 'exists' | '!' | '>' | '<'
  readonly values: readonly string[]
}

function unparsable(why: string): Error {
  return badRequest(`unable to parse requirement: ${why}`)
}

/** A label selector in query syntax; undefined when it selects everything. Throws 400. */
export function labelSelector(text: string): Predicate | undefined {
  const requirements = parseLabels(text)
  if (requirements.length === 0) return undefined
  return (object) => requirements.every((requirement) => holds(requirement, object.metadata.labels))
}

/** A `LabelSelector` object (matchLabels, matchExpressions) over labels; an empty one matches all. */
export function matchesSelector(
  selector: unknown,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  for (const [key, value] of Object.entries(asObject(at(selector, 'matchLabels')))) {
    if (labels?.[key] !== value) return false
  }
  for (const expression of asArray(at(selector, 'matchExpressions'))) {
    const operator = asString(at(expression, 'operator'))
    const requirement: Requirement = {
      key: asString(at(expression, 'key')),
      operator:
        operator === 'In' ? 'in' : operator === 'NotIn' ? 'notin' : operator === 'Exists' ? 'exists' : '!',
      values: asArray(at(expression, 'values')).map(asString),
    }
    if (!holds(requirement, labels)) return false
  }
  return true
}

function holds(
  { key, operator, values }: Requirement,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  const value = labels?.[key]
  switch (operator) {
    case '=':
      return value === values[0]
    case '!=':
      return value !== values[0]
    case 'in':
      return value !== undefined && values.includes(value)
    case 'notin':
      return value === undefined || !values.includes(value)
    case 'exists':
      return value !== undefined
    case '!':
      return value === undefined
    case '>':
      return value !== undefined && Number(value) > Number(values[0])
    case '<':
      return value !== undefined && Number(value) < Number(values[0])
  }
}

const labelKey = /^(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const labelValue = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/

function parseLabels(text: string): readonly Requirement[] {
  if (text.trim() === '') return []
  return splitOutsideParentheses(text).map((part) => parseRequirement(part.trim()))
}

function splitOutsideParentheses(text: string): readonly string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '(') depth++
    else if (text[i] === ')') depth--
    else if (text[i] === ',' && depth === 0) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}

function parseRequirement(part: string): Requirement {
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(part)
  if (set !== null) {
    const values = set[3]!.split(',').map((value) => value.trim())
    return checked({ key: set[1]!, operator: set[2] === 'in' ? 'in' : 'notin', values })
  }
  const compare = /^([^\s=!<>]+)\s*(==|=|!=|>|<)\s*(\S*)$/.exec(part)
  if (compare !== null) {
    const sign = compare[2]!
    const operator = sign === '==' || sign === '=' ? '=' : sign === '!=' ? '!=' : sign === '>' ? '>' : '<'
    return checked({ key: compare[1]!, operator, values: [compare[3]!] })
  }
  if (part.startsWith('!')) return checked({ key: part.slice(1).trim(), operator: '!', values: [] })
  if (/^\S+$/.test(part)) return checked({ key: part, operator: 'exists', values: [] })
  throw unparsable(`found '${part.split(/\s+/)[1] ?? part}', expected: in, notin, =, ==, !=, gt, lt`)
}

function checked(requirement: Requirement): Requirement {
  if (!labelKey.test(requirement.key)) {
    throw unparsable(
      `<nil>: Invalid value: "${requirement.key}": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
    )
  }
  for (const value of requirement.values) {
    if (!labelValue.test(value)) {
      throw unparsable(
        `values[0][${requirement.key}]: Invalid value: "${value}": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
      )
    }
  }
  return requirement
}

type FieldReader = (object: KubeObject) => string

function path(...keys: readonly string[]): FieldReader {
  return (object) => {
    const value = at(object, ...keys)
    return typeof value === 'string'
      ? value
      : typeof value === 'number' || typeof value === 'boolean'
        ? String(value)
        : ''
  }
}

function flag(...keys: readonly string[]): FieldReader {
  return (object) => String(at(object, ...keys) === true)
}

const involved = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath']

const selectable: Readonly<Record<string, Readonly<Record<string, FieldReader>>>> = {
  '/pods': {
    'spec.nodeName': path('spec', 'nodeName'),
    'spec.restartPolicy': path('spec', 'restartPolicy'),
    'spec.schedulerName': path('spec', 'schedulerName'),
    'spec.serviceAccountName': path('spec', 'serviceAccountName'),
    'spec.hostNetwork': flag('spec', 'hostNetwork'),
    'status.phase': path('status', 'phase'),
    'status.podIP': path('status', 'podIP'),
    'status.nominatedNodeName': path('status', 'nominatedNodeName'),
  },
  '/events': {
    ...Object.fromEntries(involved.map((name) => [`involvedObject.${name}`, path('involvedObject', name)])),
    reason: path('reason'),
    reportingComponent: (object) =>
      asString(object['reportingComponent']) || asString(at(object, 'source', 'component')),
    source: (object) => asString(at(object, 'source', 'component')) || asString(object['reportingComponent']),
    type: path('type'),
  },
  '/nodes': { 'spec.unschedulable': flag('spec', 'unschedulable') },
  '/namespaces': { 'status.phase': path('status', 'phase') },
  '/secrets': { type: path('type') },
  '/services': { 'spec.clusterIP': path('spec', 'clusterIP'), 'spec.type': path('spec', 'type') },
  'apps/replicasets': {
    'status.replicas': (object) => String(asNumber(at(object, 'status', 'replicas')) ?? 0),
  },
  'batch/jobs': { 'status.successful': (object) => String(asNumber(at(object, 'status', 'succeeded')) ?? 0) },
}

/** A field selector in query syntax; undefined when it selects everything. Throws 400. */
export function fieldSelector(
  text: string,
  definition: ResourceDefinition,
  version: string,
): Predicate | undefined {
  if (text.trim() === '') return undefined
  const table = selectable[keyOf(definition)] ?? {}
  const predicates = text.split(',').map((part): Predicate => {
    const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(part.trim())
    if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${part.trim()}'`)
    const [, field = '', sign, wanted = ''] = match
    const read = readerOf(field, table, definition, version)
    if (read === undefined) {
      throw badRequest(
        selectable[keyOf(definition)] === undefined
          ? `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`
          : `field label not supported: ${field}`,
      )
    }
    return sign === '!=' ? (object) => read(object) !== wanted : (object) => read(object) === wanted
  })
  return predicates.length === 1
    ? predicates[0]!
    : (object) => predicates.every((holdsFor) => holdsFor(object))
}

function readerOf(
  field: string,
  table: Readonly<Record<string, FieldReader>>,
  definition: ResourceDefinition,
  version: string,
): FieldReader | undefined {
  if (field === 'metadata.name') return (object) => object.metadata.name
  if (field === 'metadata.namespace') return (object) => object.metadata.namespace ?? ''
  if (definition.custom === undefined) return table[field]
  const versions = asArray(at(definition.custom, 'spec', 'versions'))
  const fields = asArray(
    at(
      versions.find((one) => at(one, 'name') === version),
      'selectableFields',
    ),
  )
  const declared = fields.some((one) => at(one, 'jsonPath') === `.${field}`)
  return declared ? path(...field.split('.')) : undefined
}

/** The name that a field selector pins down, so that a list of one costs a look-up. */
export function pinnedName(text: string): string | undefined {
  const match = /(?:^|,)\s*metadata\.name==?([^,]+)/.exec(text)
  return match?.[1]
}
