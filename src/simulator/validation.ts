/**
 * What the API server refuses, as causes of a 422 `Status`: names, labels, and what users get wrong in the
 * specs of each kind. Messages are the real server's. README.md lists what is not checked.
 *
 * Invariant: a pod spec is checked once per object in memory, however many pods share it.
 * Longer than most files: one check per kind, and the texts are long.
 */
import { quantity } from './controllers/quantity.ts'
import {
  asArray,
  asNumber,
  asObject,
  asString,
  at,
  equal,
  isObject,
  textOf,
  type JsonObject,
} from './json.ts'
import type { KubeObject } from './registry.ts'
import { violations } from './custom-resources.ts'
import { keyOf, type ResourceDefinition } from './resources.ts'
import { matchesSelector } from './selectors.ts'
import type { StatusCause } from './status-error.ts'

/** Collects causes; paths are written as the API writes them: `spec.containers[0].image`. */
class Causes {
  readonly list: StatusCause[] = []

  #add(reason: string, field: string, message: string): void {
    this.list.push({ reason: `FieldValue${reason}`, message, field })
  }

  required(field: string, detail = ''): void {
    this.#add('Required', field, detail === '' ? 'Required value' : `Required value: ${detail}`)
  }

  invalid(field: string, value: unknown, detail: string): void {
    this.#add('Invalid', field, `Invalid value: ${JSON.stringify(value) ?? 'null'}: ${detail}`)
  }

  unsupported(field: string, value: string, supported: readonly string[]): void {
    const list = supported.map((one) => `"${one}"`).join(', ')
    this.#add('NotSupported', field, `Unsupported value: "${value}": supported values: ${list}`)
  }

  duplicate(field: string, value: unknown): void {
    this.#add('Duplicate', field, `Duplicate value: ${JSON.stringify(value)}`)
  }

  forbidden(field: string, detail: string): void {
    this.#add('Forbidden', field, `Forbidden: ${detail}`)
  }

  tooLong(field: string, most: number): void {
    this.#add('TooLong', field, `Too long: may not be more than ${most} bytes`)
  }

  oneOf(field: string, value: unknown, supported: readonly string[]): void {
    if (typeof value === 'string' && !supported.includes(value)) this.unsupported(field, value, supported)
  }

  notNegative(field: string, value: unknown): void {
    const number = asNumber(value)
    if (number !== undefined && number < 0) this.invalid(field, number, 'must be greater than or equal to 0')
  }
}

const label = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/
const subdomain = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/
const label1035 = /^[a-z](?:[-a-z0-9]*[a-z0-9])?$/

const labelDetail =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const subdomainDetail =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
const label1035Detail =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"

function checkLabelName(causes: Causes, field: string, name: string): void {
  if (name.length > 63) causes.invalid(field, name, 'must be no more than 63 bytes')
  if (!label.test(name)) causes.invalid(field, name, labelDetail)
}

function checkSubdomain(causes: Causes, field: string, name: string): void {
  if (name.length > 253) causes.invalid(field, name, 'must be no more than 253 bytes')
  if (!subdomain.test(name)) causes.invalid(field, name, subdomainDetail)
}

function checkName(causes: Causes, definition: ResourceDefinition, name: string): void {
  const field = 'metadata.name'
  if (name === '') causes.required(field, 'name or generateName is required')
  else if (keyOf(definition) === '/namespaces') checkLabelName(causes, field, name)
  else if (keyOf(definition) === '/services') {
    if (name.length > 63) causes.invalid(field, name, 'must be no more than 63 bytes')
    if (!label1035.test(name)) causes.invalid(field, name, label1035Detail)
  } else if (definition.group === 'rbac.authorization.k8s.io') {
    if (name === '.' || name === '..') causes.invalid(field, name, `may not be '${name}'`)
    for (const bad of ['/', '%'])
      if (name.includes(bad)) causes.invalid(field, name, `may not contain '${bad}'`)
  } else checkSubdomain(causes, field, name)
}

const qualifiedName = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const labelValue = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/
const nameDetail =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
const valueDetail =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

function checkQualifiedName(causes: Causes, field: string, key: string): void {
  const parts = key.split('/')
  const name = parts[parts.length - 1]!
  if (parts.length > 2) {
    causes.invalid(
      field,
      key,
      `a qualified name ${nameDetail.replace('name part ', '')} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    )
    return
  }
  if (parts.length === 2 && !subdomain.test(parts[0]!))
    causes.invalid(field, key, `prefix part ${subdomainDetail}`)
  if (name === '') causes.invalid(field, key, 'name part must be non-empty')
  if (name.length > 63) causes.invalid(field, key, 'name part must be no more than 63 bytes')
  if (!qualifiedName.test(name)) causes.invalid(field, key, nameDetail)
}

function checkLabels(causes: Causes, field: string, labels: unknown): void {
  for (const [key, value] of Object.entries(asObject(labels))) {
    checkQualifiedName(causes, field, key)
    const text = asString(value)
    if (text.length > 63) causes.invalid(field, text, 'must be no more than 63 bytes')
    if (!labelValue.test(text)) causes.invalid(field, text, valueDetail)
  }
}

const annotationLimit = 256 * 1024

function checkMetadata(causes: Causes, definition: ResourceDefinition, { metadata }: KubeObject): void {
  checkName(causes, definition, metadata.name)
  checkLabels(causes, 'metadata.labels', metadata.labels)
  let size = 0
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    checkQualifiedName(causes, 'metadata.annotations', key.toLowerCase())
    size += key.length + value.length
  }
  if (size > annotationLimit) causes.tooLong('metadata.annotations', annotationLimit)
  for (const finalizer of metadata.finalizers ?? []) {
    checkQualifiedName(causes, 'metadata.finalizers', finalizer)
  }
  for (const [index, owner] of (metadata.ownerReferences ?? []).entries()) {
    const field = `metadata.ownerReferences[${index}]`
    if ((owner.uid ?? '') === '') causes.required(`${field}.uid`, 'must not be empty')
    if ((owner.name ?? '') === '') causes.required(`${field}.name`, 'must not be empty')
    if ((owner.kind ?? '') === '') causes.required(`${field}.kind`, 'must not be empty')
  }
}

function checkFinalizers(causes: Causes, { metadata }: KubeObject, previous: KubeObject | undefined): void {
  if (previous?.metadata.deletionTimestamp === undefined) return
  const before = previous.metadata.finalizers ?? []
  const added = (metadata.finalizers ?? []).filter((finalizer) => !before.includes(finalizer))
  if (added.length === 0) return
  const list = added.map((finalizer) => `"${finalizer}"`).join(', ')
  causes.forbidden(
    'metadata.finalizers',
    `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`,
  )
}

function checkPort(causes: Causes, field: string, value: unknown): void {
  const port = asNumber(value) ?? 0
  if (port < 1 || port > 65_535) causes.invalid(field, port, 'must be between 1 and 65535, inclusive')
}

const protocols = ['SCTP', 'TCP', 'UDP']

function checkContainer(
  causes: Causes,
  field: string,
  container: JsonObject,
  volumes: ReadonlySet<string>,
): void {
  const name = asString(container['name'])
  if (name === '') causes.required(`${field}.name`)
  else checkLabelName(causes, `${field}.name`, name)
  const image = asString(container['image'])
  if (image === '') causes.required(`${field}.image`)
  else if (image.trim() !== image)
    causes.invalid(`${field}.image`, image, 'must not have leading or trailing whitespace')
  causes.oneOf(`${field}.imagePullPolicy`, container['imagePullPolicy'], ['Always', 'IfNotPresent', 'Never'])
  for (const [index, port] of asArray(container['ports']).entries()) {
    const path = `${field}.ports[${index}]`
    if (at(port, 'containerPort') === undefined) causes.required(`${path}.containerPort`)
    else checkPort(causes, `${path}.containerPort`, at(port, 'containerPort'))
    causes.oneOf(`${path}.protocol`, at(port, 'protocol'), protocols)
  }
  for (const [index, env] of asArray(container['env']).entries()) {
    if (asString(at(env, 'name')) === '') causes.required(`${field}.env[${index}].name`)
    if (asString(at(env, 'value')) !== '' && at(env, 'valueFrom') !== undefined) {
      causes.invalid(`${field}.env[${index}].valueFrom`, '', 'may not be specified when `value` is not empty')
    }
  }
  const mounted = new Set<string>()
  for (const [index, mount] of asArray(container['volumeMounts']).entries()) {
    const path = `${field}.volumeMounts[${index}]`
    const volume = asString(at(mount, 'name'))
    const target = asString(at(mount, 'mountPath'))
    if (volume === '') causes.required(`${path}.name`)
    else if (!volumes.has(volume))
      causes.list.push({
        reason: 'FieldValueNotFound',
        message: `Not found: "${volume}"`,
        field: `${path}.name`,
      })
    if (target === '') causes.required(`${path}.mountPath`)
    else if (mounted.has(target)) causes.invalid(`${path}.mountPath`, target, 'must be unique')
    mounted.add(target)
  }
  checkResources(causes, `${field}.resources`, asObject(container['resources']))
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const given = container[probe]
    if (!isObject(given)) continue
    const handlers = ['exec', 'httpGet', 'tcpSocket', 'grpc'].filter((one) => given[one] !== undefined)
    if (handlers.length === 0) causes.required(`${field}.${probe}`, 'must specify a handler type')
    for (const number of [
      'initialDelaySeconds',
      'timeoutSeconds',
      'periodSeconds',
      'successThreshold',
      'failureThreshold',
    ]) {
      causes.notNegative(`${field}.${probe}.${number}`, given[number])
    }
  }
}

function checkResources(causes: Causes, field: string, resources: JsonObject): void {
  const limits = asObject(resources['limits'])
  for (const [name, value] of Object.entries(asObject(resources['requests']))) {
    const request = quantity(textOf(value))
    const limit = limits[name] === undefined ? undefined : quantity(textOf(limits[name]))
    if (request < 0) causes.invalid(`${field}.requests[${name}]`, value, 'must be greater than or equal to 0')
    else if (limit !== undefined && request > limit) {
      causes.invalid(
        `${field}.requests`,
        value,
        `must be less than or equal to ${name} limit of ${textOf(limits[name])}`,
      )
    }
  }
}

const checkedSpecs = new WeakMap<object, { readonly path: string; readonly causes: readonly StatusCause[] }>()

function checkPodSpec(causes: Causes, path: string, spec: JsonObject): void {
  const known = checkedSpecs.get(spec)
  if (known?.path === path) {
    causes.list.push(...known.causes)
    return
  }
  const own = new Causes()
  checkFreshPodSpec(own, path, spec)
  checkedSpecs.set(spec, { path, causes: own.list })
  causes.list.push(...own.list)
}

function checkFreshPodSpec(causes: Causes, path: string, spec: JsonObject): void {
  const volumes = new Set<string>()
  for (const [index, volume] of asArray(spec['volumes']).entries()) {
    const name = asString(at(volume, 'name'))
    const field = `${path}.volumes[${index}].name`
    if (name === '') causes.required(field)
    else {
      checkLabelName(causes, field, name)
      if (volumes.has(name)) causes.duplicate(field, name)
    }
    volumes.add(name)
  }
  const names = new Set<string>()
  for (const list of ['containers', 'initContainers']) {
    for (const [index, container] of asArray(spec[list]).entries()) {
      const field = `${path}.${list}[${index}]`
      checkContainer(causes, field, asObject(container), volumes)
      const name = asString(at(container, 'name'))
      if (name !== '' && names.has(name)) causes.duplicate(`${field}.name`, name)
      names.add(name)
    }
  }
  if (asArray(spec['containers']).length === 0) causes.required(`${path}.containers`)
  causes.oneOf(`${path}.restartPolicy`, spec['restartPolicy'], ['Always', 'OnFailure', 'Never'])
  causes.oneOf(`${path}.dnsPolicy`, spec['dnsPolicy'], [
    'ClusterFirstWithHostNet',
    'ClusterFirst',
    'Default',
    'None',
  ])
  causes.notNegative(`${path}.terminationGracePeriodSeconds`, spec['terminationGracePeriodSeconds'])
  const deadline = asNumber(spec['activeDeadlineSeconds'])
  if (deadline !== undefined && deadline < 1) {
    causes.invalid(`${path}.activeDeadlineSeconds`, deadline, 'must be between 1 and 2147483647, inclusive')
  }
  checkLabels(causes, `${path}.nodeSelector`, spec['nodeSelector'])
}

function checkTemplate(
  causes: Causes,
  spec: JsonObject,
  restartPolicies: readonly string[],
  path = 'spec',
): void {
  const template = asObject(spec['template'])
  const podSpec = asObject(template['spec'])
  checkLabels(causes, `${path}.template.labels`, at(template, 'metadata', 'labels'))
  // The volumes of a StatefulSet's claims are the controller's to add.
  const claims = asArray(spec['volumeClaimTemplates']).map((claim) => ({
    name: at(claim, 'metadata', 'name'),
    emptyDir: {},
  }))
  const volumes = [...asArray(podSpec['volumes']), ...claims]
  checkPodSpec(causes, `${path}.template.spec`, claims.length === 0 ? podSpec : { ...podSpec, volumes })
  const policy = podSpec['restartPolicy']
  if (typeof policy === 'string' && !restartPolicies.includes(policy)) {
    causes.unsupported(`${path}.template.spec.restartPolicy`, policy, restartPolicies)
  }
}

function checkSelector(causes: Causes, spec: JsonObject, kind: string): void {
  const selector = spec['selector']
  if (!isObject(selector)) {
    causes.required('spec.selector')
    causes.invalid(
      'spec.template.metadata.labels',
      labelsOf(spec),
      '`selector` does not match template `labels`',
    )
    return
  }
  const isEmpty =
    Object.keys(asObject(selector['matchLabels'])).length + asArray(selector['matchExpressions']).length === 0
  if (isEmpty) {
    causes.invalid('spec.selector', selector, `empty selector is invalid for ${kind}`)
    return
  }
  checkExpressions(causes, 'spec.selector', selector)
  checkLabels(causes, 'spec.selector.matchLabels', selector['matchLabels'])
  if (!matchesSelector(selector, labelsOf(spec))) {
    causes.invalid(
      'spec.template.metadata.labels',
      labelsOf(spec),
      '`selector` does not match template `labels`',
    )
  }
}

function checkExpressions(causes: Causes, field: string, selector: JsonObject): void {
  for (const [index, expression] of asArray(selector['matchExpressions']).entries()) {
    const path = `${field}.matchExpressions[${index}]`
    const operator = asString(at(expression, 'operator'))
    const values = asArray(at(expression, 'values'))
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0)
        causes.required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'")
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0) {
        causes.forbidden(
          `${path}.values`,
          "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )
      }
    } else causes.invalid(`${path}.operator`, operator, 'not a valid selector operator')
  }
}

function labelsOf(spec: JsonObject): Readonly<Record<string, string>> {
  const labels = asObject(at(spec, 'template', 'metadata', 'labels'))
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, asString(value)]))
}

function immutable(
  causes: Causes,
  field: string,
  now: unknown,
  before: unknown,
  detail = 'field is immutable',
): void {
  if (!equal(now, before)) causes.invalid(field, now, detail)
}

/** A count or a percentage of at most 100. */
function checkIntOrPercent(causes: Causes, field: string, value: unknown): void {
  if (typeof value === 'number') causes.notNegative(field, value)
  else if (typeof value === 'string' && !/^\d+%$/.test(value)) {
    causes.invalid(
      field,
      value,
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
    )
  }
}

type Check = (causes: Causes, spec: JsonObject, object: KubeObject, previous: KubeObject | undefined) => void

function deployment(causes: Causes, spec: JsonObject): void {
  causes.notNegative('spec.replicas', spec['replicas'])
  causes.notNegative('spec.minReadySeconds', spec['minReadySeconds'])
  causes.notNegative('spec.revisionHistoryLimit', spec['revisionHistoryLimit'])
  checkSelector(causes, spec, 'deployment')
  checkTemplate(causes, spec, ['Always'])
  const strategy = asObject(spec['strategy'])
  causes.oneOf('spec.strategy.type', strategy['type'], ['Recreate', 'RollingUpdate'])
  const rolling = strategy['rollingUpdate']
  if (strategy['type'] === 'Recreate' && rolling !== undefined) {
    causes.forbidden('spec.strategy.rollingUpdate', "may not be specified when strategy `type` is 'Recreate'")
  }
  if (!isObject(rolling)) return
  const path = 'spec.strategy.rollingUpdate'
  checkIntOrPercent(causes, `${path}.maxUnavailable`, rolling['maxUnavailable'])
  checkIntOrPercent(causes, `${path}.maxSurge`, rolling['maxSurge'])
  const isZero = (value: unknown): boolean => value === 0 || value === '0%'
  if (isZero(rolling['maxUnavailable']) && isZero(rolling['maxSurge'])) {
    causes.invalid(`${path}.maxUnavailable`, rolling['maxUnavailable'], 'may not be 0 when `maxSurge` is 0')
  }
}

const statefulSetMutable = new Set([
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
])

function statefulSet(
  causes: Causes,
  spec: JsonObject,
  _object: KubeObject,
  previous: KubeObject | undefined,
): void {
  causes.notNegative('spec.replicas', spec['replicas'])
  checkSelector(causes, spec, 'statefulset')
  checkTemplate(causes, spec, ['Always'])
  causes.oneOf('spec.podManagementPolicy', spec['podManagementPolicy'], ['OrderedReady', 'Parallel'])
  if (previous === undefined) return
  const before = asObject(previous['spec'])
  const fixed = [...new Set([...Object.keys(spec), ...Object.keys(before)])].filter(
    (key) => !statefulSetMutable.has(key),
  )
  if (fixed.some((key) => !equal(spec[key], before[key]))) {
    causes.forbidden(
      'spec',
      "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    )
  }
}

function job(causes: Causes, spec: JsonObject, _object: KubeObject, previous: KubeObject | undefined): void {
  for (const field of [
    'parallelism',
    'completions',
    'backoffLimit',
    'activeDeadlineSeconds',
    'ttlSecondsAfterFinished',
  ]) {
    causes.notNegative(`spec.${field}`, spec[field])
  }
  checkTemplate(causes, spec, ['OnFailure', 'Never'])
  if (previous === undefined) return
  const before = asObject(previous['spec'])
  immutable(causes, 'spec.selector', spec['selector'], before['selector'])
  const suspended = before['suspend'] === true
  if (!suspended) immutable(causes, 'spec.template', spec['template'], before['template'])
  if (spec['completionMode'] !== 'Indexed')
    immutable(causes, 'spec.completions', spec['completions'], before['completions'])
}

const schedule = /^(?:@(?:yearly|annually|monthly|weekly|daily|midnight|hourly|every \S+)|(?:\S+\s+){4}\S+)$/

function cronJob(causes: Causes, spec: JsonObject): void {
  const text = asString(spec['schedule'])
  if (text === '') causes.required('spec.schedule')
  else if (!schedule.test(text.trim())) {
    const fields = text.trim().split(/\s+/).length
    causes.invalid('spec.schedule', text, `expected exactly 5 fields, found ${fields}: [${text.trim()}]`)
  }
  causes.oneOf('spec.concurrencyPolicy', spec['concurrencyPolicy'], ['Allow', 'Forbid', 'Replace'])
  checkTemplate(
    causes,
    asObject(at(spec, 'jobTemplate', 'spec')),
    ['OnFailure', 'Never'],
    'spec.jobTemplate.spec',
  )
}

function service(
  causes: Causes,
  spec: JsonObject,
  _object: KubeObject,
  previous: KubeObject | undefined,
): void {
  const type = asString(spec['type'])
  causes.oneOf('spec.type', type, ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'])
  const ports = asArray(spec['ports'])
  if (ports.length === 0 && type !== 'ExternalName' && spec['clusterIP'] !== 'None')
    causes.required('spec.ports')
  if (type === 'ExternalName' && asString(spec['externalName']) === '') causes.required('spec.externalName')
  const names = new Set<string>()
  for (const [index, port] of ports.entries()) {
    const path = `spec.ports[${index}]`
    const name = asString(at(port, 'name'))
    if (name === '' && ports.length > 1) causes.required(`${path}.name`)
    if (name !== '') {
      checkLabelName(causes, `${path}.name`, name)
      if (names.has(name)) causes.duplicate(`${path}.name`, name)
      names.add(name)
    }
    checkPort(causes, `${path}.port`, at(port, 'port'))
    const target = at(port, 'targetPort')
    if (typeof target === 'number') checkPort(causes, `${path}.targetPort`, target)
    causes.oneOf(`${path}.protocol`, at(port, 'protocol'), protocols)
    const node = asNumber(at(port, 'nodePort')) ?? 0
    if (node !== 0 && (node < 30_000 || node > 32_767)) {
      causes.invalid(
        `${path}.nodePort`,
        node,
        'provided port is not in the valid range. The range of valid ports is 30000-32767',
      )
    }
  }
  checkLabels(causes, 'spec.selector', spec['selector'])
  causes.oneOf('spec.sessionAffinity', spec['sessionAffinity'], ['ClientIP', 'None'])
  const before = asObject(previous?.['spec'])
  const changed = before['clusterIP'] !== undefined && before['clusterIP'] !== spec['clusterIP']
  if (changed && type !== 'ExternalName' && before['type'] !== 'ExternalName') {
    causes.invalid('spec.clusterIPs[0]', spec['clusterIPs'] ?? null, 'may not change once set')
  }
}

const podMutable = new Set([
  'containers',
  'initContainers',
  'ephemeralContainers',
  'activeDeadlineSeconds',
  'tolerations',
  'terminationGracePeriodSeconds',
  'schedulingGates',
])

function pod(causes: Causes, spec: JsonObject, _object: KubeObject, previous: KubeObject | undefined): void {
  checkPodSpec(causes, 'spec', spec)
  if (previous === undefined || spec === previous['spec']) return
  const before = asObject(previous['spec'])
  const withoutImages = (list: unknown): unknown =>
    asArray(list).map((one) => ({ ...asObject(one), image: '', resources: {} }))
  const keys = [...new Set([...Object.keys(spec), ...Object.keys(before)])]
  const moved = keys.some((key) =>
    key === 'containers' || key === 'initContainers'
      ? !equal(withoutImages(spec[key]), withoutImages(before[key]))
      : !podMutable.has(key) && !equal(spec[key], before[key]),
  )
  if (moved) {
    causes.forbidden(
      'spec',
      'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
    )
  }
}

function ingress(causes: Causes, spec: JsonObject): void {
  const rules = asArray(spec['rules'])
  if (rules.length === 0 && spec['defaultBackend'] === undefined) {
    causes.invalid('spec', rules, 'either `defaultBackend` or `rules` must be specified')
  }
  for (const [index, rule] of rules.entries()) {
    for (const [place, path] of asArray(at(rule, 'http', 'paths')).entries()) {
      const field = `spec.rules[${index}].http.paths[${place}]`
      const type = at(path, 'pathType')
      if (type === undefined) causes.required(`${field}.pathType`, 'pathType must be specified')
      causes.oneOf(`${field}.pathType`, type, ['Exact', 'ImplementationSpecific', 'Prefix'])
      if (type !== 'ImplementationSpecific' && !asString(at(path, 'path')).startsWith('/')) {
        causes.invalid(`${field}.path`, at(path, 'path') ?? '', 'must be an absolute path')
      }
      if (
        asString(at(path, 'backend', 'service', 'name')) === '' &&
        at(path, 'backend', 'resource') === undefined
      ) {
        causes.required(`${field}.backend`, 'cannot set both resource and service backends')
      }
    }
  }
}

function data(causes: Causes, object: KubeObject, previous: KubeObject | undefined): void {
  let size = 0
  for (const field of ['data', 'binaryData']) {
    for (const [key, value] of Object.entries(asObject(object[field]))) {
      if (!/^[-._a-zA-Z0-9]+$/.test(key)) {
        causes.invalid(
          `${field}[${key}]`,
          key,
          "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        )
      }
      size += asString(value).length
    }
  }
  if (size > 1024 * 1024) causes.tooLong('', 1024 * 1024)
  if (previous?.['immutable'] !== true) return
  if (object['immutable'] !== true)
    causes.forbidden('immutable', 'field is immutable when `immutable` is set')
  for (const field of ['data', 'binaryData']) {
    if (!equal(object[field], previous[field]))
      causes.forbidden(field, 'field is immutable when `immutable` is set')
  }
}

function claim(
  causes: Causes,
  spec: JsonObject,
  _object: KubeObject,
  previous: KubeObject | undefined,
): void {
  if (asArray(spec['accessModes']).length === 0)
    causes.required('spec.accessModes', 'at least 1 access mode is required')
  if (at(spec, 'resources', 'requests', 'storage') === undefined) causes.required('spec.resources[storage]')
  if (previous === undefined) return
  const { resources: _now, volumeName: volume, volumeAttributesClassName: _class, ...now } = spec
  const before = asObject(previous['spec'])
  const { resources: _before, volumeName: bound, volumeAttributesClassName: _beforeClass, ...fixed } = before
  if (!equal(now, fixed) || (asString(bound) !== '' && bound !== volume)) {
    causes.forbidden(
      'spec',
      'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
    )
  }
}

function autoscaler(causes: Causes, spec: JsonObject): void {
  const least = asNumber(spec['minReplicas'])
  const most = asNumber(spec['maxReplicas']) ?? 0
  if (least !== undefined && least < 1)
    causes.invalid('spec.minReplicas', least, 'must be greater than or equal to 1')
  if (most < 1) causes.invalid('spec.maxReplicas', most, 'must be greater than 0')
  else if (least !== undefined && most < least) {
    causes.invalid('spec.maxReplicas', most, 'must be greater than or equal to `minReplicas`')
  }
  if (asString(at(spec, 'scaleTargetRef', 'kind')) === '') causes.required('spec.scaleTargetRef.kind')
  if (asString(at(spec, 'scaleTargetRef', 'name')) === '') causes.required('spec.scaleTargetRef.name')
}

function binding(causes: Causes, object: KubeObject, previous: KubeObject | undefined): void {
  const role = asObject(object['roleRef'])
  if (asString(role['name']) === '') causes.required('roleRef.name')
  const kinds = object.kind === 'ClusterRoleBinding' ? ['ClusterRole'] : ['ClusterRole', 'Role']
  if (!kinds.includes(asString(role['kind'])))
    causes.unsupported('roleRef.kind', asString(role['kind']), kinds)
  for (const [index, subject] of asArray(object['subjects']).entries()) {
    const field = `subjects[${index}]`
    if (asString(at(subject, 'name')) === '') causes.required(`${field}.name`)
    causes.oneOf(`${field}.kind`, at(subject, 'kind'), ['ServiceAccount', 'User', 'Group'])
    if (
      at(subject, 'kind') === 'ServiceAccount' &&
      asString(at(subject, 'namespace')) === '' &&
      object.kind === 'ClusterRoleBinding'
    ) {
      causes.required(`${field}.namespace`)
    }
  }
  if (previous !== undefined) immutable(causes, 'roleRef', role, previous['roleRef'], 'cannot change roleRef')
}

function rules(causes: Causes, object: KubeObject): void {
  for (const [index, rule] of asArray(object['rules']).entries()) {
    if (asArray(at(rule, 'verbs')).length === 0)
      causes.required(`rules[${index}].verbs`, 'verbs must contain at least one value')
    if (asArray(at(rule, 'nonResourceURLs')).length > 0) continue
    if (asArray(at(rule, 'apiGroups')).length === 0) {
      causes.required(`rules[${index}].apiGroups`, 'resource rules must supply at least one api group')
    }
    if (asArray(at(rule, 'resources')).length === 0) {
      causes.required(`rules[${index}].resources`, 'resource rules must supply at least one resource')
    }
  }
}

function selectorFixed(check: Check): Check {
  return (causes, spec, object, previous) => {
    check(causes, spec, object, previous)
    if (previous !== undefined)
      immutable(causes, 'spec.selector', spec['selector'], at(previous, 'spec', 'selector'))
  }
}

const specChecks: Readonly<Record<string, Check>> = {
  '/pods': pod,
  '/services': service,
  '/persistentvolumeclaims': claim,
  'apps/deployments': selectorFixed(deployment),
  'apps/replicasets': selectorFixed((causes, spec) => {
    causes.notNegative('spec.replicas', spec['replicas'])
    checkSelector(causes, spec, 'replicaset')
    checkTemplate(causes, spec, ['Always'])
  }),
  'apps/daemonsets': selectorFixed((causes, spec) => {
    checkSelector(causes, spec, 'daemonset')
    checkTemplate(causes, spec, ['Always'])
  }),
  'apps/statefulsets': statefulSet,
  'batch/jobs': job,
  'batch/cronjobs': cronJob,
  'networking.k8s.io/ingresses': ingress,
  'autoscaling/horizontalpodautoscalers': autoscaler,
  'policy/poddisruptionbudgets': (causes, spec) => {
    if (spec['minAvailable'] !== undefined && spec['maxUnavailable'] !== undefined) {
      causes.invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set')
    }
    checkIntOrPercent(causes, 'spec.minAvailable', spec['minAvailable'])
    checkIntOrPercent(causes, 'spec.maxUnavailable', spec['maxUnavailable'])
  },
}

type ObjectCheck = (causes: Causes, object: KubeObject, previous: KubeObject | undefined) => void

const objectChecks: Readonly<Record<string, ObjectCheck>> = {
  '/configmaps': data,
  '/secrets': (causes, object, previous) => {
    data(causes, object, previous)
    if (previous !== undefined) immutable(causes, 'type', object['type'], previous['type'])
    if (object['type'] === 'kubernetes.io/tls') {
      for (const key of ['tls.crt', 'tls.key'])
        if (at(object, 'data', key) === undefined) causes.required(`data[${key}]`)
    }
  },
  'storage.k8s.io/storageclasses': (causes, object, previous) => {
    if (asString(object['provisioner']) === '') causes.required('provisioner')
    if (previous === undefined) return
    for (const field of ['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode']) {
      if (!equal(object[field], previous[field]))
        causes.forbidden(field, `updates to ${field} are forbidden.`)
    }
  },
  'rbac.authorization.k8s.io/roles': rules,
  'rbac.authorization.k8s.io/clusterroles': rules,
  'rbac.authorization.k8s.io/rolebindings': binding,
  'rbac.authorization.k8s.io/clusterrolebindings': binding,
  'apiextensions.k8s.io/customresourcedefinitions': (causes, object) => {
    const spec = asObject(object['spec'])
    const plural = asString(at(spec, 'names', 'plural'))
    const group = asString(spec['group'])
    if (group === '') causes.required('spec.group')
    if (object.metadata.name !== `${plural}.${group}`) {
      causes.invalid('metadata.name', object.metadata.name, 'must be spec.names.plural+"."+spec.group')
    }
    causes.oneOf('spec.scope', spec['scope'], ['Cluster', 'Namespaced'])
    const versions = asArray(spec['versions'])
    if (versions.length === 0) causes.required('spec.versions')
    else if (versions.filter((version) => at(version, 'storage') === true).length !== 1) {
      causes.invalid('spec.versions', versions, 'must have exactly one version marked as storage version')
    }
    for (const [index, version] of versions.entries()) {
      if (at(version, 'schema', 'openAPIV3Schema') === undefined) {
        causes.required(`spec.versions[${index}].schema.openAPIV3Schema`, 'schemas are required')
      }
    }
  },
}

/** Causes for a 422; none if the object may be stored. `previous` is undefined on creation. */
export function validate(
  definition: ResourceDefinition,
  object: KubeObject,
  previous: KubeObject | undefined,
  subresource: string,
): readonly StatusCause[] {
  // A status is written by who knows; `all` is the server's own hand (bindings, finalization).
  if (subresource === 'status' || subresource === 'all') return []
  const causes = new Causes()
  const { metadata } = object
  if (
    previous === undefined ||
    metadata.labels !== previous.metadata.labels ||
    metadata.annotations !== previous.metadata.annotations ||
    metadata.finalizers !== previous.metadata.finalizers ||
    metadata.ownerReferences !== previous.metadata.ownerReferences
  ) {
    checkMetadata(causes, definition, object)
    checkFinalizers(causes, object, previous)
  }
  const id = keyOf(definition)
  const checkSpec = specChecks[id]
  if (checkSpec !== undefined && object['spec'] !== previous?.['spec']) {
    checkSpec(causes, asObject(object['spec']), object, previous)
  }
  objectChecks[id]?.(causes, object, previous)
  return definition.custom === undefined ? causes.list : [...causes.list, ...violations(definition, object)]
}
