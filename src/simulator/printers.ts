/**
 * What `kubectl get` prints: the columns of each kind and the cells of each object, as `meta.k8s.io/v1`
 * Tables. Columns and formats follow the real server's (kubectl cannot tell); custom resources print their
 * `additionalPrinterColumns`.
 *
 * Longer than most files: one entry per kind, and nothing to gain from looking for it in two places.
 */
import { asArray, asNumber, asObject, asString, at, isObject, textOf } from './json.ts'
import type { KubeObject } from './registry.ts'
import type { ServedResource } from './resources.ts'
import { toView } from './views.ts'

export interface TableFormat {
  /** What each row carries besides its cells. */
  readonly include: 'None' | 'Metadata' | 'Object'
}

interface Column {
  readonly name: string
  readonly type: string
  readonly format: string
  readonly description: string
  readonly priority: number
}

interface Printer {
  readonly columns: readonly Column[]
  cells(object: KubeObject, now: number): readonly unknown[]
  /** Set for pods that have ended. */
  conditions?(object: KubeObject): unknown
}

/** A Table of some objects. `columns: false` leaves the definitions out (later events of a watch). */
export function rowsTable(
  served: ServedResource,
  objects: readonly KubeObject[],
  format: TableFormat,
  now: number,
  columns: boolean,
  metadata?: unknown,
): unknown {
  const printer = printerOf(served)
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: metadata ?? { resourceVersion: objects[0]?.metadata.resourceVersion ?? '' },
    columnDefinitions: columns ? printer.columns : [],
    rows: objects.map((object) => row(printer, served, object, format, now)),
  }
}

export function columnsOf(served: ServedResource): unknown {
  return printerOf(served).columns
}

export function rowOf(served: ServedResource, object: KubeObject, format: TableFormat, now: number): unknown {
  return row(printerOf(served), served, object, format, now)
}

function row(
  printer: Printer,
  served: ServedResource,
  object: KubeObject,
  { include }: TableFormat,
  now: number,
): unknown {
  const conditions = printer.conditions?.(object)
  return {
    cells: printer.cells(object, now),
    ...(conditions === undefined ? {} : { conditions }),
    ...(include === 'None'
      ? {}
      : {
          object:
            include === 'Object'
              ? toView(served, object)
              : { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata },
        }),
  }
}

/** `Name Ready Count:integer Node*`: `_` is a space, `*` marks what only `-o wide` shows. */
function columns(text: string): readonly Column[] {
  return text.split(' ').map((word) => {
    const [name = '', type = 'string'] = word.replace('*', '').split(':')
    const title = name.replaceAll('_', ' ')
    return {
      name: title,
      type,
      format: title === 'Name' ? 'name' : '',
      description: `${title} of the object, as it was last observed.`,
      priority: word.includes('*') ? 1 : 0,
    }
  })
}

const none = '<none>'

/** Time since, in the two most significant units that the real server shows. */
function humanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.trunc(seconds / 60)
  if (minutes < 10) return withRest(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  const hours = Math.trunc(minutes / 60)
  if (hours < 8) return withRest(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  const days = Math.trunc(hours / 24)
  if (days < 8) return withRest(days, 'd', hours % 24, 'h')
  if (days < 730) return `${days}d`
  const years = Math.trunc(days / 365)
  return years < 8 ? withRest(years, 'y', days % 365, 'd') : `${years}y`
}

function withRest(whole: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${whole}${unit}` : `${whole}${unit}${rest}${restUnit}`
}

function since(time: unknown, now: number): string {
  const parsed = Date.parse(asString(time))
  return Number.isNaN(parsed) ? '<unknown>' : humanDuration(now - parsed)
}

function age(object: KubeObject, now: number): string {
  return since(object.metadata.creationTimestamp, now)
}

function count(value: unknown): number {
  return asNumber(value) ?? 0
}

function labels(value: unknown): string {
  const pairs = Object.entries(asObject(value)).map(([key, inner]) => `${key}=${asString(inner)}`)
  return pairs.length === 0 ? none : pairs.sort().join(',')
}

function selectorText(selector: unknown): string {
  const parts = Object.entries(asObject(at(selector, 'matchLabels'))).map(
    ([key, value]) => `${key}=${asString(value)}`,
  )
  for (const expression of asArray(at(selector, 'matchExpressions'))) {
    const key = asString(at(expression, 'key'))
    const values = asArray(at(expression, 'values')).map(asString).sort().join(',')
    const operator = asString(at(expression, 'operator'))
    if (operator === 'In') parts.push(`${key} in (${values})`)
    else if (operator === 'NotIn') parts.push(`${key} notin (${values})`)
    else parts.push(operator === 'Exists' ? key : `!${key}`)
  }
  return parts.length === 0 ? none : parts.sort().join(',')
}

function containerCells(podSpec: unknown): readonly [string, string] {
  const containers = asArray(at(podSpec, 'containers'))
  return [
    containers.map((one) => asString(at(one, 'name'))).join(','),
    containers.map((one) => asString(at(one, 'image'))).join(','),
  ]
}

function wide(object: KubeObject): readonly string[] {
  return [
    ...containerCells(at(object, 'spec', 'template', 'spec')),
    selectorText(at(object, 'spec', 'selector')),
  ]
}

function hasCondition(object: KubeObject, type: string): boolean {
  return asArray(at(object, 'status', 'conditions')).some(
    (one) => at(one, 'type') === type && at(one, 'status') === 'True',
  )
}

function some(items: readonly string[], most: number): string {
  if (items.length === 0) return '<unset>'
  const shown = items.slice(0, most).join(',')
  return items.length > most ? `${shown} + ${items.length - most} more...` : shown
}

interface PodLine {
  ready: number
  total: number
  reason: string
  restarts: number
  lastRestart: string
}

function restartable(spec: unknown, name: unknown): boolean {
  return asArray(at(spec, 'initContainers')).some(
    (one) => at(one, 'name') === name && at(one, 'restartPolicy') === 'Always',
  )
}

function countRestarts(line: PodLine, status: unknown): void {
  line.restarts += count(at(status, 'restartCount'))
  const finished = asString(at(status, 'lastState', 'terminated', 'finishedAt'))
  if (finished > line.lastRestart) line.lastRestart = finished
}

function exitReason(terminated: unknown): string {
  const reason = asString(at(terminated, 'reason'))
  if (reason !== '') return reason
  const signal = count(at(terminated, 'signal'))
  return signal === 0 ? `ExitCode:${count(at(terminated, 'exitCode'))}` : `Signal:${signal}`
}

/** The reason shown while an init container holds the pod up; undefined when it does not. */
function initReason(spec: unknown, status: unknown, index: number, line: PodLine): string | undefined {
  const terminated = at(status, 'state', 'terminated')
  if (terminated !== undefined && at(terminated, 'exitCode') === 0) return undefined
  if (restartable(spec, at(status, 'name')) && at(status, 'started') === true) {
    if (at(status, 'ready') === true) line.ready++
    return undefined
  }
  if (terminated !== undefined) return `Init:${exitReason(terminated)}`
  const waiting = asString(at(status, 'state', 'waiting', 'reason'))
  if (waiting !== '' && waiting !== 'PodInitializing') return `Init:${waiting}`
  return `Init:${index}/${asArray(at(spec, 'initContainers')).length}`
}

function podLine(pod: KubeObject): PodLine {
  const { spec, status } = pod
  const phase = asString(at(status, 'phase'))
  const line: PodLine = {
    ready: 0,
    total: asArray(at(spec, 'containers')).length,
    reason: asString(at(status, 'reason')) || phase,
    restarts: 0,
    lastRestart: '',
  }
  for (const one of asArray(at(spec, 'initContainers')))
    if (at(one, 'restartPolicy') === 'Always') line.total++
  const gated = asArray(at(status, 'conditions')).some((one) => at(one, 'reason') === 'SchedulingGated')
  if (gated) line.reason = 'SchedulingGated'
  let held = false
  for (const [index, init] of asArray(at(status, 'initContainerStatuses')).entries()) {
    countRestarts(line, init)
    const reason = initReason(spec, init, index, line)
    if (reason !== undefined) {
      line.reason = reason
      held = true
      break
    }
  }
  if (!held || hasCondition(pod, 'Initialized')) mainContainers(pod, line)
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (at(status, 'reason') === 'NodeLost') line.reason = 'Unknown'
    else if (phase !== 'Succeeded' && phase !== 'Failed') line.reason = 'Terminating'
  }
  return line
}

function mainContainers(pod: KubeObject, line: PodLine): void {
  const { spec, status } = pod
  const inits = asArray(at(status, 'initContainerStatuses'))
  line.restarts = 0
  line.lastRestart = ''
  for (const init of inits) if (restartable(spec, at(init, 'name'))) countRestarts(line, init)
  let running = false
  let failure = ''
  for (const one of asArray(at(status, 'containerStatuses')).toReversed()) {
    countRestarts(line, one)
    const waiting = asString(at(one, 'state', 'waiting', 'reason'))
    const terminated = at(one, 'state', 'terminated')
    if (waiting !== '') line.reason = waiting
    else if (terminated !== undefined) {
      line.reason = exitReason(terminated)
      if (count(at(terminated, 'exitCode')) !== 0) failure = line.reason
    } else if (at(one, 'ready') === true && at(one, 'state', 'running') !== undefined) {
      running = true
      line.ready++
    }
  }
  if (line.reason !== 'Completed') return
  if (running && hasCondition(pod, 'Ready')) line.reason = 'Running'
  else if (failure !== '') line.reason = failure
  else if (running) line.reason = 'NotReady'
}

function podCells(pod: KubeObject, now: number): readonly unknown[] {
  const line = podLine(pod)
  const restarts =
    line.restarts > 0 && line.lastRestart !== ''
      ? `${line.restarts} (${since(line.lastRestart, now)} ago)`
      : String(line.restarts)
  const gates = asArray(at(pod, 'spec', 'readinessGates'))
  const open = gates.filter((gate) => hasCondition(pod, asString(at(gate, 'conditionType'))))
  return [
    pod.metadata.name,
    `${line.ready}/${line.total}`,
    line.reason,
    restarts,
    age(pod, now),
    asString(at(pod, 'status', 'podIP')) || none,
    asString(at(pod, 'spec', 'nodeName')) || none,
    asString(at(pod, 'status', 'nominatedNodeName')) || none,
    gates.length === 0 ? none : `${open.length}/${gates.length}`,
  ]
}

function podConditions(pod: KubeObject): unknown {
  const phase = at(pod, 'status', 'phase')
  if (phase === 'Succeeded') {
    return [
      {
        type: 'Completed',
        status: 'True',
        reason: 'Succeeded',
        message: 'The pod has completed successfully.',
      },
    ]
  }
  if (phase === 'Failed') {
    return [{ type: 'Completed', status: 'True', reason: 'Failed', message: 'The pod failed.' }]
  }
  return undefined
}

function loadBalancer(status: unknown): readonly string[] {
  const entries = asArray(at(status, 'loadBalancer', 'ingress'))
  return entries
    .map((one) => asString(at(one, 'ip')) || asString(at(one, 'hostname')))
    .filter((address) => address !== '')
    .sort()
}

function externalAddress(service: KubeObject): string {
  const own = asArray(at(service, 'spec', 'externalIPs')).map(asString)
  const type = at(service, 'spec', 'type')
  if (type === 'ExternalName') return asString(at(service, 'spec', 'externalName'))
  if (type !== 'LoadBalancer') return own.length === 0 ? none : own.join(',')
  const all = [...loadBalancer(service['status']), ...own]
  return all.length === 0 ? '<pending>' : all.join(',')
}

function servicePorts(service: KubeObject): string {
  const ports = asArray(at(service, 'spec', 'ports')).map((port) => {
    const node = count(at(port, 'nodePort'))
    return `${count(at(port, 'port'))}${node === 0 ? '' : `:${node}`}/${asString(at(port, 'protocol'))}`
  })
  return ports.length === 0 ? none : ports.join(',')
}

function nodeCells(node: KubeObject, now: number): readonly unknown[] {
  const ready = asArray(at(node, 'status', 'conditions')).find((one) => at(one, 'type') === 'Ready')
  const states = [ready === undefined ? 'Unknown' : at(ready, 'status') === 'True' ? 'Ready' : 'NotReady']
  if (at(node, 'spec', 'unschedulable') === true) states.push('SchedulingDisabled')
  const prefix = 'node-role.kubernetes.io/'
  const roles = Object.entries(node.metadata.labels ?? {}).flatMap(([key, value]) => {
    if (key.startsWith(prefix) && key.length > prefix.length) return [key.slice(prefix.length)]
    return key === 'kubernetes.io/role' && value !== '' ? [value] : []
  })
  const info = asObject(at(node, 'status', 'nodeInfo'))
  const address = (type: string): string => {
    const found = asArray(at(node, 'status', 'addresses')).find((one) => at(one, 'type') === type)
    return asString(at(found, 'address')) || none
  }
  const architecture = asString(info['architecture'])
  return [
    node.metadata.name,
    states.join(','),
    roles.length === 0 ? none : [...new Set(roles)].sort().join(','),
    age(node, now),
    asString(info['kubeletVersion']),
    address('InternalIP'),
    address('ExternalIP'),
    asString(info['osImage']) || '<unknown>',
    (asString(info['kernelVersion']) || '<unknown>') + (architecture === '' ? '' : ` (${architecture})`),
    asString(info['containerRuntimeVersion']) || '<unknown>',
  ]
}

function eventCells(event: KubeObject, now: number): readonly unknown[] {
  const first = since(event['firstTimestamp'] ?? event['eventTime'], now)
  const series = event['series']
  const last = isObject(series)
    ? since(series['lastObservedTime'], now)
    : event['lastTimestamp'] === undefined || event['lastTimestamp'] === null
      ? first
      : since(event['lastTimestamp'], now)
  const kind = asString(at(event, 'involvedObject', 'kind')).toLowerCase()
  const name = asString(at(event, 'involvedObject', 'name'))
  const component = asString(at(event, 'source', 'component')) || asString(event['reportingComponent'])
  const host = asString(at(event, 'source', 'host')) || asString(event['reportingInstance'])
  return [
    last,
    asString(event['type']),
    asString(event['reason']),
    name === '' ? kind : `${kind}/${name}`,
    asString(at(event, 'involvedObject', 'fieldPath')),
    host === '' ? component : `${component}, ${host}`,
    asString(event['message']).trim(),
    first,
    count(at(series, 'count') ?? event['count']) || 1,
    event.metadata.name,
  ]
}

function jobCells(job: KubeObject, now: number): readonly unknown[] {
  const succeeded = count(at(job, 'status', 'succeeded'))
  const completions = asNumber(at(job, 'spec', 'completions'))
  const parallelism = count(at(job, 'spec', 'parallelism'))
  const start = Date.parse(asString(at(job, 'status', 'startTime')))
  const end = Date.parse(asString(at(job, 'status', 'completionTime')))
  const status =
    ['Complete', 'Failed'].find((type) => hasCondition(job, type)) ??
    (job.metadata.deletionTimestamp === undefined
      ? (['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find((type) => hasCondition(job, type)) ??
        'Running')
      : 'Terminating')
  return [
    job.metadata.name,
    status,
    completions === undefined
      ? `${succeeded}/1${parallelism > 1 ? ` of ${parallelism}` : ''}`
      : `${succeeded}/${completions}`,
    Number.isNaN(start) ? '' : humanDuration((Number.isNaN(end) ? now : end) - start),
    age(job, now),
    ...wide(job),
  ]
}

function autoscalerTargets(autoscaler: KubeObject): string {
  const current = asArray(at(autoscaler, 'status', 'currentMetrics'))
  const parts = asArray(at(autoscaler, 'spec', 'metrics')).map((metric, index) => {
    const type = asString(at(metric, 'type'))
    const field = `${type.charAt(0).toLowerCase()}${type.slice(1)}`
    const target = asObject(at(metric, field, 'target'))
    const now = asObject(at(current[index], field, 'current'))
    const percent = (value: unknown): string | undefined =>
      asNumber(value) === undefined ? undefined : `${textOf(value)}%`
    const text = (value: unknown): string | undefined => (value === undefined ? undefined : textOf(value))
    const isResource = type === 'Resource' || type === 'ContainerResource'
    const name = isResource ? `${asString(at(metric, field, 'name'))}: ` : ''
    if (target['averageValue'] !== undefined) {
      const suffix = type === 'External' || type === 'Object' ? ' (avg)' : ''
      return `${name}${text(now['averageValue']) ?? '<unknown>'}/${textOf(target['averageValue'])}${suffix}`
    }
    return isResource
      ? `${name}${percent(now['averageUtilization']) ?? '<unknown>'}/${percent(target['averageUtilization']) ?? '<auto>'}`
      : `${text(now['value']) ?? '<unknown>'}/${text(target['value']) ?? '<unknown>'}`
  })
  if (parts.length === 0) return none
  return parts.length > 2 ? `${parts.slice(0, 2).join(', ')} + ${parts.length - 2} more...` : parts.join(', ')
}

const accessModes: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
}

function modes(value: unknown): string {
  return asArray(value)
    .map((mode) => accessModes[asString(mode)] ?? asString(mode))
    .join(',')
}

function volumeStatus(object: KubeObject): string {
  return object.metadata.deletionTimestamp === undefined
    ? asString(at(object, 'status', 'phase'))
    : 'Terminating'
}

function bindingCells(binding: KubeObject, now: number): readonly unknown[] {
  const of = (kind: string): string =>
    asArray(binding['subjects'])
      .filter((subject) => at(subject, 'kind') === kind)
      .map((subject) =>
        kind === 'ServiceAccount'
          ? `${asString(at(subject, 'namespace'))}/${asString(at(subject, 'name'))}`
          : asString(at(subject, 'name')),
      )
      .join(', ')
  return [
    binding.metadata.name,
    `${asString(at(binding, 'roleRef', 'kind'))}/${asString(at(binding, 'roleRef', 'name'))}`,
    age(binding, now),
    of('User'),
    of('Group'),
    of('ServiceAccount'),
  ]
}

function quotaCells(quota: KubeObject, now: number): readonly unknown[] {
  const used = asObject(at(quota, 'status', 'used'))
  const lines = Object.entries(asObject(at(quota, 'status', 'hard')))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, hard]) => ({
      name,
      text: `${name}: ${textOf(used[name] ?? '0')}/${textOf(hard)}`,
    }))
  const join = (limits: boolean): string =>
    lines
      .filter(({ name }) => name.startsWith('limits.') === limits)
      .map(({ text }) => text)
      .join(', ')
  return [quota.metadata.name, join(false), join(true), age(quota, now)]
}

function intOrString(value: unknown): string {
  return value === undefined ? 'N/A' : textOf(value)
}

function endpointsText(object: KubeObject): string {
  const all = asArray(object['subsets']).flatMap((subset) => {
    const ports = asArray(at(subset, 'ports'))
    return asArray(at(subset, 'addresses')).flatMap((address) => {
      const ip = asString(at(address, 'ip'))
      return ports.length === 0 ? [ip] : ports.map((port) => `${ip}:${count(at(port, 'port'))}`)
    })
  })
  return all.length === 0 ? none : some(all, 3)
}

function simple(spec: string, cells: (object: KubeObject, now: number) => readonly unknown[]): Printer {
  return { columns: columns(spec), cells }
}

const workloadTail = 'Age Containers* Images* Selector*'

const printers: Readonly<Record<string, Printer>> = {
  '/pods': {
    ...simple('Name Ready Status Restarts Age IP* Node* Nominated_Node* Readiness_Gates*', podCells),
    conditions: podConditions,
  },
  '/nodes': simple(
    'Name Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* Container-Runtime*',
    nodeCells,
  ),
  '/namespaces': simple('Name Status Age', (object, now) => [
    object.metadata.name,
    asString(at(object, 'status', 'phase')),
    age(object, now),
  ]),
  '/services': simple('Name Type Cluster-IP External-IP Port(s) Age Selector*', (object, now) => [
    object.metadata.name,
    asString(at(object, 'spec', 'type')),
    asString(at(object, 'spec', 'clusterIP')) || none,
    externalAddress(object),
    servicePorts(object),
    age(object, now),
    labels(at(object, 'spec', 'selector')),
  ]),
  '/endpoints': simple('Name Endpoints Age', (object, now) => [
    object.metadata.name,
    endpointsText(object),
    age(object, now),
  ]),
  '/configmaps': simple('Name Data:integer Age', (object, now) => [
    object.metadata.name,
    Object.keys(asObject(object['data'])).length + Object.keys(asObject(object['binaryData'])).length,
    age(object, now),
  ]),
  '/secrets': simple('Name Type Data:integer Age', (object, now) => [
    object.metadata.name,
    asString(object['type']),
    Object.keys(asObject(object['data'])).length,
    age(object, now),
  ]),
  '/serviceaccounts': simple('Name Age', (object, now) => [object.metadata.name, age(object, now)]),
  '/persistentvolumeclaims': simple(
    'Name Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age VolumeMode*',
    (object, now) => {
      const volume = asString(at(object, 'spec', 'volumeName'))
      return [
        object.metadata.name,
        volumeStatus(object),
        volume,
        volume === '' ? '' : asString(at(object, 'status', 'capacity', 'storage')),
        volume === '' ? '' : modes(at(object, 'status', 'accessModes')),
        asString(at(object, 'spec', 'storageClassName')),
        asString(at(object, 'spec', 'volumeAttributesClassName')) || '<unset>',
        age(object, now),
        asString(at(object, 'spec', 'volumeMode')) || '<unset>',
      ]
    },
  ),
  '/persistentvolumes': simple(
    'Name Capacity Access_Modes Reclaim_Policy Status Claim StorageClass VolumeAttributesClass Reason Age VolumeMode*',
    (object, now) => {
      const claim = asObject(at(object, 'spec', 'claimRef'))
      return [
        object.metadata.name,
        asString(at(object, 'spec', 'capacity', 'storage')),
        modes(at(object, 'spec', 'accessModes')),
        asString(at(object, 'spec', 'persistentVolumeReclaimPolicy')),
        volumeStatus(object),
        claim['name'] === undefined ? '' : `${asString(claim['namespace'])}/${asString(claim['name'])}`,
        asString(at(object, 'spec', 'storageClassName')),
        asString(at(object, 'spec', 'volumeAttributesClassName')) || '<unset>',
        asString(at(object, 'status', 'reason')),
        age(object, now),
        asString(at(object, 'spec', 'volumeMode')) || '<unset>',
      ]
    },
  ),
  '/resourcequotas': simple('Name Request Limit Age', quotaCells),
  '/limitranges': simple('Name Created_At', (object) => [
    object.metadata.name,
    object.metadata.creationTimestamp,
  ]),
  '/events': simple(
    'Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count*:integer Name*',
    eventCells,
  ),
  'apps/deployments': simple(
    `Name Ready Up-to-date:integer Available:integer ${workloadTail}`,
    (object, now) => [
      object.metadata.name,
      `${count(at(object, 'status', 'readyReplicas'))}/${count(at(object, 'spec', 'replicas'))}`,
      count(at(object, 'status', 'updatedReplicas')),
      count(at(object, 'status', 'availableReplicas')),
      age(object, now),
      ...wide(object),
    ],
  ),
  'apps/replicasets': simple(
    `Name Desired:integer Current:integer Ready:integer ${workloadTail}`,
    (object, now) => [
      object.metadata.name,
      count(at(object, 'spec', 'replicas')),
      count(at(object, 'status', 'replicas')),
      count(at(object, 'status', 'readyReplicas')),
      age(object, now),
      ...wide(object),
    ],
  ),
  'apps/statefulsets': simple('Name Ready Age Containers* Images*', (object, now) => [
    object.metadata.name,
    `${count(at(object, 'status', 'readyReplicas'))}/${count(at(object, 'spec', 'replicas'))}`,
    age(object, now),
    ...containerCells(at(object, 'spec', 'template', 'spec')),
  ]),
  'apps/daemonsets': simple(
    `Name Desired:integer Current:integer Ready:integer Up-to-date:integer Available:integer Node_Selector ${workloadTail}`,
    (object, now) => [
      object.metadata.name,
      count(at(object, 'status', 'desiredNumberScheduled')),
      count(at(object, 'status', 'currentNumberScheduled')),
      count(at(object, 'status', 'numberReady')),
      count(at(object, 'status', 'updatedNumberScheduled')),
      count(at(object, 'status', 'numberAvailable')),
      labels(at(object, 'spec', 'template', 'spec', 'nodeSelector')),
      age(object, now),
      ...wide(object),
    ],
  ),
  'apps/controllerrevisions': simple('Name Controller Revision Age', (object, now) => {
    const owner = object.metadata.ownerReferences?.find(({ controller }) => controller === true)
    const group = owner?.apiVersion.includes('/') === true ? `.${owner.apiVersion.split('/')[0]}` : ''
    return [
      object.metadata.name,
      owner === undefined ? none : `${owner.kind.toLowerCase()}${group}/${owner.name}`,
      count(object['revision']),
      age(object, now),
    ]
  }),
  'batch/jobs': simple(`Name Status Completions Duration ${workloadTail}`, jobCells),
  'batch/cronjobs': simple(
    `Name Schedule Timezone Suspend Active:integer Last_Schedule ${workloadTail}`,
    (object, now) => {
      const last = at(object, 'status', 'lastScheduleTime')
      const template = at(object, 'spec', 'jobTemplate', 'spec')
      return [
        object.metadata.name,
        asString(at(object, 'spec', 'schedule')),
        asString(at(object, 'spec', 'timeZone')) || none,
        at(object, 'spec', 'suspend') === true ? 'True' : 'False',
        asArray(at(object, 'status', 'active')).length,
        last === undefined ? none : since(last, now),
        age(object, now),
        ...containerCells(at(template, 'template', 'spec')),
        selectorText(at(template, 'selector')),
      ]
    },
  ),
  'autoscaling/horizontalpodautoscalers': simple(
    'Name Reference Targets MinPods MaxPods Replicas Age',
    (object, now) => [
      object.metadata.name,
      `${asString(at(object, 'spec', 'scaleTargetRef', 'kind'))}/${asString(at(object, 'spec', 'scaleTargetRef', 'name'))}`,
      autoscalerTargets(object),
      textOf(at(object, 'spec', 'minReplicas') ?? '<unset>'),
      count(at(object, 'spec', 'maxReplicas')),
      count(at(object, 'status', 'currentReplicas')),
      age(object, now),
    ],
  ),
  'networking.k8s.io/ingresses': simple('Name Class Hosts Address Ports Age', (object, now) => {
    const hosts = asArray(at(object, 'spec', 'rules'))
      .map((rule) => asString(at(rule, 'host')))
      .filter((host) => host !== '')
    return [
      object.metadata.name,
      asString(at(object, 'spec', 'ingressClassName')) || none,
      hosts.length === 0 ? '*' : some(hosts, 3),
      loadBalancer(object['status']).join(','),
      asArray(at(object, 'spec', 'tls')).length === 0 ? '80' : '80, 443',
      age(object, now),
    ]
  }),
  'networking.k8s.io/ingressclasses': simple('Name Controller Parameters Age', (object, now) => {
    const parameters = asObject(at(object, 'spec', 'parameters'))
    const group = asString(parameters['apiGroup'])
    return [
      object.metadata.name,
      asString(at(object, 'spec', 'controller')),
      parameters['kind'] === undefined
        ? none
        : `${asString(parameters['kind'])}${group === '' ? '' : `.${group}`}/${asString(parameters['name'])}`,
      age(object, now),
    ]
  }),
  'networking.k8s.io/networkpolicies': simple('Name Pod-Selector Age', (object, now) => [
    object.metadata.name,
    selectorText(at(object, 'spec', 'podSelector')),
    age(object, now),
  ]),
  'policy/poddisruptionbudgets': simple(
    'Name Min_Available Max_Unavailable Allowed_Disruptions:integer Age',
    (object, now) => [
      object.metadata.name,
      intOrString(at(object, 'spec', 'minAvailable')),
      intOrString(at(object, 'spec', 'maxUnavailable')),
      count(at(object, 'status', 'disruptionsAllowed')),
      age(object, now),
    ],
  ),
  'discovery.k8s.io/endpointslices': simple('Name AddressType Ports Endpoints Age', (object, now) => [
    object.metadata.name,
    asString(object['addressType']),
    some(
      asArray(object['ports']).map((port) => textOf(at(port, 'port') ?? at(port, 'name') ?? '*')),
      3,
    ),
    some(
      asArray(object['endpoints']).flatMap((endpoint) => asArray(at(endpoint, 'addresses')).map(asString)),
      3,
    ),
    age(object, now),
  ]),
  'coordination.k8s.io/leases': simple('Name Holder Age', (object, now) => [
    object.metadata.name,
    asString(at(object, 'spec', 'holderIdentity')),
    age(object, now),
  ]),
  'storage.k8s.io/storageclasses': simple(
    'Name Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age',
    (object, now) => {
      const isDefault =
        object.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true'
      return [
        `${object.metadata.name}${isDefault ? ' (default)' : ''}`,
        asString(object['provisioner']),
        asString(object['reclaimPolicy']) || 'Delete',
        asString(object['volumeBindingMode']) || '<unset>',
        object['allowVolumeExpansion'] === true,
        age(object, now),
      ]
    },
  ),
  'scheduling.k8s.io/priorityclasses': simple(
    'Name Value:integer Global-Default:boolean Age PreemptionPolicy*',
    (object, now) => [
      object.metadata.name,
      count(object['value']),
      object['globalDefault'] === true,
      age(object, now),
      asString(object['preemptionPolicy']),
    ],
  ),
  'rbac.authorization.k8s.io/roles': simple('Name Created_At', (object) => [
    object.metadata.name,
    object.metadata.creationTimestamp,
  ]),
  'rbac.authorization.k8s.io/clusterroles': simple('Name Created_At', (object) => [
    object.metadata.name,
    object.metadata.creationTimestamp,
  ]),
  'rbac.authorization.k8s.io/rolebindings': simple(
    'Name Role Age Users* Groups* ServiceAccounts*',
    bindingCells,
  ),
  'rbac.authorization.k8s.io/clusterrolebindings': simple(
    'Name Role Age Users* Groups* ServiceAccounts*',
    bindingCells,
  ),
  'apiextensions.k8s.io/customresourcedefinitions': simple('Name Created_At', (object) => [
    object.metadata.name,
    object.metadata.creationTimestamp,
  ]),
}

const plain = simple('Name Age', (object, now) => [object.metadata.name, age(object, now)])
const custom = new WeakMap<object, Map<string, Printer>>()

function printerOf(served: ServedResource): Printer {
  const { definition } = served
  if (definition.custom === undefined) return printers[`${definition.group}/${definition.resource}`] ?? plain
  let versions = custom.get(definition.custom)
  if (versions === undefined) custom.set(definition.custom, (versions = new Map()))
  let printer = versions.get(served.version)
  if (printer === undefined) versions.set(served.version, (printer = customPrinter(served)))
  return printer
}

function customPrinter({ definition, version }: ServedResource): Printer {
  const versions = asArray(at(definition.custom, 'spec', 'versions'))
  const declared = asArray(
    at(
      versions.find((one) => at(one, 'name') === version),
      'additionalPrinterColumns',
    ),
  )
  if (declared.length === 0) return plain
  const read = declared.map((column) => {
    const path = jsonPath(asString(at(column, 'jsonPath')))
    const isDate = at(column, 'type') === 'date'
    return (object: KubeObject, now: number): unknown => {
      const value = path(object)
      if (value === undefined || value === null) return null
      return isDate ? since(value, now) : typeof value === 'object' ? JSON.stringify(value) : value
    }
  })
  return {
    columns: [
      ...columns('Name'),
      ...declared.map((column) => ({
        name: asString(at(column, 'name')),
        type: asString(at(column, 'type')),
        format: asString(at(column, 'format')),
        description: asString(at(column, 'description')),
        priority: count(at(column, 'priority')),
      })),
    ],
    cells: (object, now) => [object.metadata.name, ...read.map((reader) => reader(object, now))],
  }
}

/** The simple paths that definitions use: `.spec.a['b.c'][0]`, `.items[?(@.type=="Ready")].status`. */
function jsonPath(text: string): (object: unknown) => unknown {
  const steps: ((value: unknown) => unknown)[] = []
  const pattern =
    /\.([A-Za-z0-9_-]+(?:\\\.[A-Za-z0-9_/-]+)*)|\[(\d+)\]|\['([^']+)'\]|\[\?\(@\.(\w+)\s*==\s*["']([^"']*)["']\)\]/g
  for (const [, name, index, quoted, key, wanted] of text.matchAll(pattern)) {
    if (index !== undefined) steps.push((value) => asArray(value)[Number(index)])
    else if (key !== undefined) steps.push((value) => asArray(value).find((one) => at(one, key) === wanted))
    else {
      const field = quoted ?? (name ?? '').replaceAll('\\.', '.')
      steps.push((value) => at(value, field))
    }
  }
  return (object) => steps.reduce((value, step) => step(value), object)
}
