/**
 * Which kind is indexed by what: for each index, the values under which a row stands. The store builds
 * its indexes from this, and a selection that goes another way tests its rows against the same.
 */
import type {
  ClusterRoleBindingRow,
  Kind,
  PodRow,
  RoleBindingRow,
  Row,
  Rows,
  WorkloadRow,
} from '../kubernetes/rows.ts'
import type { Values } from './row-index.ts'
import type { IndexCondition } from './selection.ts'
import type { IndexName } from './table.ts'

type KindIndexes<R extends Row> = { readonly [I in IndexName]?: Values<R> }

const NONE: readonly string[] = Object.freeze([])

function single(value: string): readonly string[] {
  return value === '' ? NONE : [value]
}

/** The uid of the controller: every kind is indexed by it. */
export function ownerValues(row: Row): readonly string[] {
  return row.owner ? single(row.owner.uid) : NONE
}

function templateImages(row: {
  readonly containers: readonly { readonly image: string }[]
}): readonly string[] {
  return Array.from(new Set(row.containers.map((container) => container.image)))
}

/** `namespace/name` of the claims that a pod mounts, those made for it (ephemeral volumes) included. */
function podClaims(pod: PodRow): readonly string[] {
  let claims: string[] | undefined
  for (const { type, source, name } of pod.volumes) {
    let claim: string | undefined
    if (type === 'persistentVolumeClaim' && source !== null) claim = `${pod.namespace}/${source}`
    else if (type === 'ephemeral') claim = `${pod.namespace}/${pod.name}-${name}`
    if (claim !== undefined && !claims?.includes(claim)) (claims ??= []).push(claim)
  }
  return claims ?? NONE
}

const workload = {
  image: templateImages,
  status: (row: WorkloadRow) => single(row.rollout.status),
}

/** The role that a binding gives. */
function givenRole({ roleRef, namespace }: RoleBindingRow | ClusterRoleBindingRow): readonly string[] {
  if (roleRef.name === '') return NONE
  return [roleRef.kind === 'Role' ? `Role/${namespace}/${roleRef.name}` : `ClusterRole/${roleRef.name}`]
}

const INDEXES: { readonly [K in Kind]?: KindIndexes<Rows[K]> } = {
  Pod: {
    node: (row) => single(row.nodeName),
    status: (row) => single(row.status),
    phase: (row) => single(row.phase),
    image: (row) => row.images,
    claim: podClaims,
  },
  Deployment: workload,
  ReplicaSet: workload,
  StatefulSet: workload,
  DaemonSet: workload,
  Job: workload,
  CronJob: workload,
  EndpointSlice: {
    service: (row) => (row.serviceName === '' ? NONE : [`${row.namespace}/${row.serviceName}`]),
  },
  Event: { regarding: (row) => single(row.regardingUid) },
  RoleBinding: { role: givenRole },
  ClusterRoleBinding: { role: givenRole },
}

/** The secondary indexes of a kind. */
export function indexesOf<K extends Kind>(kind: K): readonly (readonly [IndexName, Values<Rows[K]>])[] {
  const indexes: KindIndexes<Rows[K]> | undefined = INDEXES[kind]
  return Object.entries(indexes ?? {}) as [IndexName, Values<Rows[K]>][]
}

/** The values that a condition on an index accepts: distinct. */
export function acceptedValues(condition: IndexCondition): readonly string[] {
  return 'value' in condition ? [condition.value] : Array.from(new Set(condition.values))
}

/** Whether the row stands under one of the values in its kind's index of this name; never, where it has none. */
export function standsUnder(row: Row, index: IndexName, accepted: readonly string[]): boolean {
  const values = (INDEXES[row.kind] as KindIndexes<Row> | undefined)?.[index]
  return values?.(row).some((value) => accepted.includes(value)) ?? false
}
