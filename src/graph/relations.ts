/**
 * How objects belong together: owners, selectors, references by name. Each function is a synchronous
 * look-up in indexes of the viewer's fleet; none waits for a cluster. What the viewer may not see is
 * absent, as if it did not exist.
 */
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import { matchesLabels, selectorOfService } from '../kubernetes/label-selector.ts'
import { KINDS, WORKLOAD_KINDS } from '../kubernetes/kinds.ts'
import type {
  ClusterRoleBindingRow,
  ClusterRoleRow,
  HorizontalPodAutoscalerRow,
  IngressRow,
  JobRow,
  Kind,
  PersistentVolumeClaimRow,
  PodRow,
  ReplicaSetRow,
  RoleBindingRow,
  RoleRow,
  Row,
  ServiceRow,
  StatefulSetRow,
  WorkloadKind,
  WorkloadRow,
} from '../kubernetes/rows.ts'
import { indexed, inNamespaces, labelled, ownedBy, where } from './filters.ts'
import type { Within } from './list.ts'

export function isKind(kind: string): kind is Kind {
  return Object.hasOwn(KINDS, kind)
}

export function isWorkloadKind(kind: string): kind is WorkloadKind {
  return (WORKLOAD_KINDS as readonly string[]).includes(kind)
}

function isWorkload(row: Row): row is WorkloadRow {
  return isWorkloadKind(row.kind)
}

export function ownerOf(row: Row, fleet: AuthorizedFleet): Row | undefined {
  const { owner, cluster } = row
  if (!owner || !isKind(owner.kind)) return undefined
  return fleet.getByUid(owner.kind, cluster, owner.uid)
}

/** Longer chains do not exist in Kubernetes; a cycle of references does not hang us. */
const MAX_OWNERS = 8

/** From the nearest owner to the farthest. */
export function ownerChain(row: Row, fleet: AuthorizedFleet): readonly Row[] {
  const chain: Row[] = []
  for (let owner = ownerOf(row, fleet); owner && chain.length < MAX_OWNERS; owner = ownerOf(owner, fleet)) {
    chain.push(owner)
  }
  return chain
}

/** The farthest owner that is a workload: the Deployment of a pod, not its ReplicaSet. */
export function workloadOf(row: Row, fleet: AuthorizedFleet): WorkloadRow | undefined {
  return ownerChain(row, fleet).findLast(isWorkload)
}

export function replicaSetsOf(row: WorkloadRow, fleet: AuthorizedFleet): readonly ReplicaSetRow[] {
  if (row.kind !== 'Deployment') return []
  return fleet
    .related('ReplicaSet', row.cluster, (table) => table.byOwner(row.uid))
    .toSorted((a, b) => (b.revision ?? 0) - (a.revision ?? 0))
}

export function jobsOf(row: WorkloadRow, fleet: AuthorizedFleet): readonly JobRow[] {
  if (row.kind !== 'CronJob') return []
  return fleet
    .related('Job', row.cluster, (table) => table.byOwner(row.uid))
    .toSorted((a, b) => b.creationTimestamp - a.creationTimestamp)
}

/** The pods that a workload controls, itself or through ReplicaSets or Jobs. */
export function podsOf(row: WorkloadRow, fleet: AuthorizedFleet): Within<PodRow> {
  const clusters = clustersOfRow(row, fleet)
  if (row.kind !== 'Deployment' && row.kind !== 'CronJob') return { clusters, conditions: [ownedBy(row.uid)] }
  const between = row.kind === 'Deployment' ? replicaSetsOf(row, fleet) : jobsOf(row, fleet)
  const [only] = between
  if (!only) return { clusters, none: true }
  if (between.length === 1) return { clusters, conditions: [ownedBy(only.uid)] }
  const owners = new Set(between.map((owner) => owner.uid))
  const owned = where<PodRow>((pod) => pod.owner !== null && owners.has(pod.owner.uid))
  const labels =
    row.kind === 'Deployment'
      ? row.selector
      : // Every version of the Job controller sets this label on its pods.
        {
          matchLabels: {},
          matchExpressions: [
            { key: 'job-name', operator: 'In' as const, values: between.map((job) => job.name) },
          ],
        }
  return {
    clusters,
    conditions: [inNamespaces([row.namespace]), ...(labels ? [labelled<PodRow>(labels)] : []), owned],
  }
}

/** The Services whose selector matches these labels. Costs by the Services of the namespace. */
export function servicesSelecting(
  row: Row,
  labels: Readonly<Record<string, string>>,
  fleet: AuthorizedFleet,
): readonly ServiceRow[] {
  return fleet
    .related('Service', row.cluster, (table) => table.rows(row.namespace))
    .filter((service) => matchesLabels(selectorOfService(service.selector), labels))
}

/** The Services that send traffic to a workload's pods, judged by one of them, or by its selector if it has none. */
export function servicesOf(row: WorkloadRow, fleet: AuthorizedFleet): readonly ServiceRow[] {
  const labels = anyPod(row, fleet)?.labels ?? row.selector?.matchLabels
  return labels ? servicesSelecting(row, labels, fleet) : []
}

function anyPod(row: WorkloadRow, fleet: AuthorizedFleet): PodRow | undefined {
  const owners = row.kind === 'Deployment' ? replicaSetsOf(row, fleet) : [row]
  for (const { uid } of owners) {
    const [pod] = fleet.related('Pod', row.cluster, (table) => table.byOwner(uid))
    if (pod) return pod
  }
  return undefined
}

/** What a Service's selector matches. */
export function podsBehind(row: ServiceRow, fleet: AuthorizedFleet): Within<PodRow> {
  const clusters = clustersOfRow(row, fleet)
  const selector = selectorOfService(row.selector)
  if (!selector) return { clusters, none: true }
  return { clusters, conditions: [labelled(selector), inNamespaces([row.namespace])] }
}

/** The workloads of the pods behind a Service, each once; ReplicaSets of a Deployment count as it. */
export function workloadsBehind(row: ServiceRow, fleet: AuthorizedFleet): readonly WorkloadRow[] {
  const selector = selectorOfService(row.selector)
  if (!selector) return []
  const pods = fleet.related('Pod', row.cluster, (table) => table.byLabels(selector, row.namespace))
  const owners = new Map<string, PodRow>()
  for (const pod of pods) if (pod.owner) owners.set(pod.owner.uid, pod)
  const workloads = new Map<string, WorkloadRow>()
  for (const pod of owners.values()) {
    const workload = workloadOf(pod, fleet)
    if (workload) workloads.set(workload.uid, workload)
  }
  return Array.from(workloads.values())
}

export function ingressesTo(row: ServiceRow, fleet: AuthorizedFleet): readonly IngressRow[] {
  return fleet
    .related('Ingress', row.cluster, (table) => table.rows(row.namespace))
    .filter((ingress) => ingress.paths.some((path) => path.serviceName === row.name))
}

export function autoscalerOf(
  row: WorkloadRow,
  fleet: AuthorizedFleet,
): HorizontalPodAutoscalerRow | undefined {
  return fleet
    .related('HorizontalPodAutoscaler', row.cluster, (table) => table.rows(row.namespace))
    .find((scaler) => scaler.targetKind === row.kind && scaler.targetName === row.name)
}

export function claimsOf(row: PodRow, fleet: AuthorizedFleet): readonly PersistentVolumeClaimRow[] {
  return row.volumes.flatMap(({ type, source }) => {
    if (type !== 'persistentVolumeClaim' || !source) return []
    return fleet.get('PersistentVolumeClaim', row.cluster, row.namespace, source) ?? []
  })
}

export function podsMounting(row: PersistentVolumeClaimRow, fleet: AuthorizedFleet): Within<PodRow> {
  return {
    clusters: clustersOfRow(row, fleet),
    conditions: [
      indexed('claim', `${row.namespace}/${row.name}`, (pod) =>
        pod.volumes.some(({ type, source }) => type === 'persistentVolumeClaim' && source === row.name),
      ),
    ],
  }
}

/** The one cluster of a row, as a list; empty once it has left the fleet. */
export function clustersOfRow(row: Row, fleet: AuthorizedFleet) {
  const cluster = fleet.cluster(row.cluster)
  return cluster ? [cluster] : []
}

/**
 * The claims `<template>-<name>-<ordinal>` of a StatefulSet's replicas. Costs by the claims of the
 * namespace: `replicas` can be any number that somebody wrote there.
 */
export function claimsOfStatefulSet(
  row: StatefulSetRow,
  fleet: AuthorizedFleet,
): readonly PersistentVolumeClaimRow[] {
  if (row.volumeClaimTemplates.length === 0) return []
  const replicas = Math.max(row.desired, row.current)
  const claims = fleet.related('PersistentVolumeClaim', row.cluster, (table) => table.rows(row.namespace))
  return row.volumeClaimTemplates.flatMap((template) => {
    const prefix = `${template}-${row.name}-`
    const ordinal = ({ name }: Row) => Number(name.slice(prefix.length))
    return claims
      .filter((claim) => claim.name.startsWith(prefix) && /^\d+$/.test(claim.name.slice(prefix.length)))
      .filter((claim) => ordinal(claim) < replicas)
      .sort((a, b) => ordinal(a) - ordinal(b))
  })
}

/** The role that a RoleBinding gives. */
export function roleOf(
  { cluster, namespace, roleRef }: RoleBindingRow,
  fleet: AuthorizedFleet,
): RoleRow | ClusterRoleRow | undefined {
  const { kind, name } = roleRef
  return fleet.get(kind, cluster, kind === 'Role' ? namespace : '', name)
}

/** The bindings that give a role: of one kind, in any namespace for a ClusterRole. */
export function bindingsOf<R extends RoleBindingRow | ClusterRoleBindingRow>(
  row: RoleRow | ClusterRoleRow,
  fleet: AuthorizedFleet,
): Within<R> {
  const value = row.kind === 'Role' ? `Role/${row.namespace}/${row.name}` : `ClusterRole/${row.name}`
  const gives = ({ roleRef, namespace }: R) =>
    roleRef.kind === row.kind &&
    roleRef.name === row.name &&
    (row.kind === 'ClusterRole' || namespace === row.namespace)
  return { clusters: clustersOfRow(row, fleet), conditions: [indexed('role', value, gives)] }
}
