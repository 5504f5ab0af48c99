/**
 * Rows as text, on their way between the replicas of the gateway: one line each, without what the reader
 * knows (the kind and the cluster). A row that was read back is as good as the one that was projected: equal,
 * frozen, of the same hidden class, and sharing with its siblings what projected rows share.
 *
 * Every kind but Pod is one JSON list, of its metadata and its fields in the order of the tables below;
 * a pod is written by `projections/pod-codec.ts`. Both ends must have the same `ROW_FORMAT`.
 */
import { globalId } from './kinds.ts'
import { decodePod, encodePod } from './projections/pod-codec.ts'
import { emptyRow, freeze } from './projections/projections.ts'
import { shareReference, shareRules, shareSubjects } from './projections/rbac.ts'
import {
  amounts,
  conditions,
  containers,
  flag,
  labels,
  listOf,
  number,
  numberOrNull,
  oneOf,
  orNull,
  owner,
  quantity,
  readArray,
  readTuple,
  RowFormatError,
  selector,
  type Shape,
  text,
  textOrNull,
  volumes,
  word,
  wordOrNull,
  words,
} from './projections/shapes.ts'
import { Interner } from './interner.ts'
import type {
  Endpoint,
  EndpointSliceRow,
  IngressPath,
  Kind,
  LoadBalancerIngress,
  NodeRow,
  PolicyRule,
  RoleReference,
  RolloutState,
  Row,
  RowMeta,
  Rows,
  ScalingMetric,
  ServicePort,
  Subject,
  Taint,
  WorkloadMeta,
} from './rows.ts'

export { RowFormatError } from './projections/shapes.ts'

/**
 * The format of the texts. To be raised with every change of a row's fields, of their order here, or of what
 * one of them means: replicas of different formats must not read each other's rows.
 */
export const ROW_FORMAT = 2

/** The row as one line. */
export function encodeRow(row: Row): string {
  if (row.kind === 'Pod') return encodePod(row)
  return JSON.stringify(FORMATS[row.kind].map(({ name, write }) => write(row[name as keyof Row])))
}

/** The row of a text that `encodeRow` made. Throws `RowFormatError` for any other text. */
export function decodeRow<K extends Kind>(kind: K, encoded: string, cluster: string): Rows[K] {
  try {
    // The compiler does not tie the kind to its row through a condition.
    return (kind === 'Pod' ? decodePod(encoded, cluster) : decodeFields(kind, encoded, cluster)) as Rows[K]
  } catch (cause) {
    if (!(cause instanceof RowFormatError || cause instanceof SyntaxError)) throw cause
    throw new RowFormatError(
      `A row of kind ${kind} of cluster ${cluster} cannot be read: ${cause.message}. Was it written by another version of the gateway?`,
      { cause },
    )
  }
}

// ── What objects within rows are like ───────────────────────────────────────────────────────────

const rollouts = new Interner<RolloutState>(1 << 12)
const rolloutStatus = oneOf('COMPLETE', 'PROGRESSING', 'PAUSED', 'FAILED')

const rollout: Shape<RolloutState> = {
  write: ({ status, reason, message }) => [status, reason, message],
  read(json) {
    const [status, reason, message] = readTuple(json, 3)
    const state = {
      status: rolloutStatus.read(status),
      reason: wordOrNull.read(reason),
      message: textOrNull.read(message),
    }
    return rollouts.get(JSON.stringify(json), () => Object.freeze(state))
  },
}

const taint: Shape<Taint> = {
  write: ({ key, value, effect }) => [key, value, effect],
  read(json) {
    const [key, value, effect] = readTuple(json, 3)
    return { key: word.read(key), value: wordOrNull.read(value), effect: word.read(effect) }
  },
}

const address: Shape<NodeRow['addresses'][number]> = {
  write: ({ type, address }) => [type, address],
  read(json) {
    const [type, address] = readTuple(json, 2)
    return { type: word.read(type), address: text.read(address) }
  },
}

const ingress: Shape<LoadBalancerIngress> = {
  write: ({ ip, hostname }) => [ip, hostname],
  read(json) {
    const [ip, hostname] = readTuple(json, 2)
    return { ip: textOrNull.read(ip), hostname: textOrNull.read(hostname) }
  },
}

const servicePort: Shape<ServicePort> = {
  write: ({ name, port, protocol, appProtocol, targetPort, nodePort }) => [
    name,
    number.write(port),
    protocol,
    appProtocol,
    targetPort,
    numberOrNull.write(nodePort),
  ],
  read(json) {
    const [name, port, protocol, appProtocol, targetPort, nodePort] = readTuple(json, 6)
    return {
      name: wordOrNull.read(name),
      port: number.read(port),
      protocol: word.read(protocol),
      appProtocol: wordOrNull.read(appProtocol),
      targetPort: textOrNull.read(targetPort),
      nodePort: numberOrNull.read(nodePort),
    }
  },
}

const texts = listOf(text)

const endpoint: Shape<Endpoint> = {
  write: ({ addresses, ready, nodeName, targetKind, targetName }) => [
    addresses,
    flag.write(ready),
    nodeName,
    targetKind,
    targetName,
  ],
  read(json) {
    const [addresses, ready, nodeName, targetKind, targetName] = readTuple(json, 5)
    return {
      addresses: texts.read(addresses),
      ready: flag.read(ready),
      nodeName: wordOrNull.read(nodeName),
      targetKind: wordOrNull.read(targetKind),
      targetName: textOrNull.read(targetName),
    }
  },
}

const endpointPort: Shape<EndpointSliceRow['ports'][number]> = {
  write: ({ name, port, protocol }) => [name, numberOrNull.write(port), protocol],
  read(json) {
    const [name, port, protocol] = readTuple(json, 3)
    return { name: wordOrNull.read(name), port: numberOrNull.read(port), protocol: word.read(protocol) }
  },
}

const ingressPath: Shape<IngressPath> = {
  write: ({ host, path, pathType, serviceName, servicePort }) => [
    host,
    path,
    pathType,
    serviceName,
    servicePort,
  ],
  read(json) {
    const [host, path, pathType, serviceName, servicePort] = readTuple(json, 5)
    return {
      host: textOrNull.read(host),
      path: text.read(path),
      pathType: word.read(pathType),
      serviceName: textOrNull.read(serviceName),
      servicePort: textOrNull.read(servicePort),
    }
  },
}

const metric: Shape<ScalingMetric> = {
  write: ({ type, name, target, current }) => [type, name, target, current],
  read(json) {
    const [type, name, target, current] = readTuple(json, 4)
    return {
      type: word.read(type),
      name: word.read(name),
      target: textOrNull.read(target),
      current: textOrNull.read(current),
    }
  },
}

const rules: Shape<readonly PolicyRule[]> = {
  write: (value) =>
    value.map(({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }) => [
      verbs,
      apiGroups,
      resources,
      resourceNames,
      nonResourceURLs,
    ]),
  read: (json) => shareRules(readArray(json).map(readRule)),
}

function readRule(json: unknown): PolicyRule {
  const [verbs, apiGroups, resources, resourceNames, nonResourceURLs] = readTuple(json, 5)
  return {
    verbs: texts.read(verbs),
    apiGroups: texts.read(apiGroups),
    resources: texts.read(resources),
    resourceNames: texts.read(resourceNames),
    nonResourceURLs: texts.read(nonResourceURLs),
  }
}

const roleKind = oneOf('Role', 'ClusterRole')

const roleRef: Shape<RoleReference> = {
  write: ({ kind, name }) => [kind, name],
  read(json) {
    const [kind, name] = readTuple(json, 2)
    return shareReference(roleKind.read(kind), text.read(name))
  },
}

const subjectKind = oneOf('User', 'Group', 'ServiceAccount')

const subjects: Shape<readonly Subject[]> = {
  write: (value) => value.map(({ kind, name, namespace }) => [kind, name, namespace]),
  read: (json) => shareSubjects(readArray(json).map(readSubject)),
}

function readSubject(json: unknown): Subject {
  const [kind, name, namespace] = readTuple(json, 3)
  return { kind: subjectKind.read(kind), name: text.read(name), namespace: text.read(namespace) }
}

// ── The fields of each kind ─────────────────────────────────────────────────────────────────────

type Fields<R> = { readonly [F in keyof R]: Shape<R[F]> }
type OwnFields<R extends RowMeta> = Fields<Omit<R, keyof RowMeta>>

const METADATA = {
  uid: text,
  namespace: word,
  name: text,
  resourceVersion: text,
  generation: number,
  creationTimestamp: number,
  deletionTimestamp: numberOrNull,
  labels,
  owner: orNull(owner),
} satisfies Fields<Omit<RowMeta, 'kind' | 'cluster' | 'id'>>

const WORKLOAD = {
  desired: number,
  current: number,
  ready: number,
  updated: number,
  available: number,
  observedGeneration: number,
  selector: orNull(selector),
  containers,
  volumes,
  conditions,
  rollout,
  cpuRequest: number,
  memoryRequest: number,
} satisfies OwnFields<WorkloadMeta>

const FIELDS = {
  ClusterRole: { rules, aggregationSelectors: listOf(selector) },
  ClusterRoleBinding: { roleRef, subjects },
  Role: { rules },
  RoleBinding: { roleRef, subjects },
  Node: {
    ready: oneOf('True', 'False', 'Unknown'),
    unschedulable: flag,
    roles: words,
    taints: listOf(taint),
    addresses: listOf(address),
    capacity: amounts,
    allocatable: amounts,
    conditions,
    podCIDR: textOrNull,
    providerID: textOrNull,
    kubeletVersion: word,
    containerRuntimeVersion: word,
    kernelVersion: word,
    osImage: word,
    operatingSystem: word,
    architecture: word,
  },
  Namespace: { phase: oneOf('Active', 'Terminating'), conditions },
  Deployment: {
    ...WORKLOAD,
    strategy: word,
    maxSurge: textOrNull,
    maxUnavailable: textOrNull,
    paused: flag,
    revision: numberOrNull,
    progressDeadlineSeconds: numberOrNull,
    revisionHistoryLimit: numberOrNull,
  },
  ReplicaSet: { ...WORKLOAD, revision: numberOrNull },
  StatefulSet: {
    ...WORKLOAD,
    serviceName: word,
    podManagementPolicy: word,
    updateStrategy: word,
    currentRevision: textOrNull,
    updateRevision: textOrNull,
    volumeClaimTemplates: words,
  },
  DaemonSet: { ...WORKLOAD, updateStrategy: word, misscheduled: number, unavailable: number },
  Job: {
    ...WORKLOAD,
    parallelism: number,
    completions: numberOrNull,
    backoffLimit: number,
    active: number,
    succeeded: number,
    failed: number,
    suspend: flag,
    startTime: numberOrNull,
    completionTime: numberOrNull,
  },
  CronJob: {
    ...WORKLOAD,
    schedule: text,
    timeZone: textOrNull,
    suspend: flag,
    concurrencyPolicy: word,
    active: number,
    lastScheduleTime: numberOrNull,
    lastSuccessfulTime: numberOrNull,
  },
  Service: {
    type: oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
    clusterIP: text,
    externalIPs: words,
    externalName: textOrNull,
    loadBalancer: listOf(ingress),
    ports: listOf(servicePort),
    selector: orNull(labels),
    sessionAffinity: word,
  },
  EndpointSlice: {
    serviceName: word,
    addressType: word,
    endpoints: listOf(endpoint),
    ports: listOf(endpointPort),
  },
  Ingress: {
    className: wordOrNull,
    paths: listOf(ingressPath),
    tlsHosts: texts,
    loadBalancer: listOf(ingress),
  },
  ConfigMap: { keys: words, immutable: flag },
  PersistentVolumeClaim: {
    phase: oneOf('Pending', 'Bound', 'Lost'),
    storageClassName: wordOrNull,
    volumeName: text,
    accessModes: words,
    volumeMode: word,
    requested: orNull(quantity),
    capacity: orNull(quantity),
  },
  PersistentVolume: {
    phase: oneOf('Pending', 'Available', 'Bound', 'Released', 'Failed'),
    reason: textOrNull,
    storageClassName: wordOrNull,
    capacity: orNull(quantity),
    accessModes: words,
    reclaimPolicy: word,
    volumeMode: word,
    source: word,
    csiDriver: wordOrNull,
    claimNamespace: wordOrNull,
    claimName: textOrNull,
  },
  StorageClass: {
    provisioner: word,
    reclaimPolicy: word,
    volumeBindingMode: word,
    allowVolumeExpansion: flag,
    isDefault: flag,
  },
  HorizontalPodAutoscaler: {
    targetKind: word,
    targetName: text,
    minReplicas: number,
    maxReplicas: number,
    currentReplicas: number,
    desiredReplicas: number,
    metrics: listOf(metric),
    conditions,
    lastScaleTime: numberOrNull,
  },
  ResourceQuota: { hard: amounts, used: amounts, scopes: words },
  Event: {
    type: word,
    reason: word,
    message: text,
    count: number,
    firstSeen: numberOrNull,
    lastSeen: numberOrNull,
    source: word,
    regardingKind: word,
    regardingNamespace: word,
    regardingName: text,
    regardingUid: text,
  },
} satisfies { readonly [K in Exclude<Kind, 'Pod'>]: OwnFields<Rows[K]> }

/** A field of any row: the table's types tie its shape to its value, which a list of them cannot say. */
interface Field {
  readonly name: string
  readonly write: (value: unknown) => unknown
  readonly read: (json: unknown) => unknown
}

type PlainKind = keyof typeof FIELDS

function fieldsOf(shapes: object): readonly Field[] {
  return Object.entries(shapes).map(([name, shape]) => ({ ...(shape as Omit<Field, 'name'>), name }))
}

const FORMATS = Object.fromEntries(
  Object.entries(FIELDS).map(([kind, fields]) => [kind, fieldsOf({ ...METADATA, ...fields })]),
) as Readonly<Record<PlainKind, readonly Field[]>>

type Draft = Record<string, unknown> & { kind: Kind; cluster: string; id: string } & RowMeta

/** Copied, and the copies filled in: so they are of the hidden class of projected rows. */
const drafts = new Map<PlainKind, Draft>()

function decodeFields(kind: PlainKind, encoded: string, cluster: string): Row {
  const fields = FORMATS[kind]
  const values = readTuple(JSON.parse(encoded), fields.length)
  const row = draft(kind)
  row.cluster = cluster
  let at = 0
  for (const { name, read } of fields) row[name] = read(values[at++])
  row.id = globalId(kind, cluster, row.namespace, row.name)
  return freeze(row) as unknown as Row
}

function draft(kind: PlainKind): Draft {
  let empty = drafts.get(kind)
  if (!empty) {
    empty = emptyRow(kind) as unknown as Draft
    drafts.set(kind, empty)
  }
  return { ...empty }
}
