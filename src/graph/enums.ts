/** Enums that several types share. Values are spelled as Kubernetes spells them. */
import { WORKLOAD_KINDS } from '../kubernetes/kinds.ts'
import type { Condition, Kind, RolloutState, WorkloadKind } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'

/** What each kind is, in a sentence. */
const KIND_DESCRIPTIONS = {
  Node: 'A machine of a cluster (type `ClusterNode`).',
  Namespace: 'A namespace: the scope of most objects.',
  Pod: 'A pod: containers that run together on a node.',
  Deployment: 'A Deployment: replicas that are rolled out revision by revision.',
  ReplicaSet: 'A ReplicaSet: the replicas of one revision of a Deployment.',
  StatefulSet: 'A StatefulSet: replicas with a stable name and storage.',
  DaemonSet: 'A DaemonSet: one pod on each node that fits.',
  Job: 'A Job: pods that run to completion.',
  CronJob: 'A CronJob: Jobs by a schedule.',
  Service: 'A Service: one address for a set of pods.',
  EndpointSlice: 'An EndpointSlice: addresses behind a Service.',
  Ingress: 'An Ingress: HTTP routes from outside to Services.',
  ConfigMap: 'A ConfigMap: configuration for pods. The gateway keeps its keys only.',
  PersistentVolumeClaim: "A PersistentVolumeClaim: a namespace's request for storage.",
  PersistentVolume: 'A PersistentVolume: storage of a cluster.',
  StorageClass: 'A StorageClass: how storage is made.',
  HorizontalPodAutoscaler: 'A HorizontalPodAutoscaler: it sets the replicas of a workload by its load.',
  ResourceQuota: 'A ResourceQuota: limits on what a namespace may use.',
  Event: 'An Event: something that a component of the cluster reported about an object.',
  Role: 'A Role: rights in its namespace, for those whom a binding gives it.',
  ClusterRole: 'A ClusterRole: rights in one namespace or in all, as the binding says that gives it.',
  RoleBinding: 'A RoleBinding: it gives rights in its namespace to users, groups and service accounts.',
  ClusterRoleBinding:
    'A ClusterRoleBinding: it gives rights in the whole cluster to users, groups and service accounts.',
} as const satisfies Record<Kind, string>

function kindValues<K extends Kind>(kinds: readonly K[]): Record<K, { description: string }> {
  const values = {} as Record<K, { description: string }>
  for (const kind of kinds) values[kind] = { description: KIND_DESCRIPTIONS[kind] }
  return values
}

export const KindEnum = builder.enumType('Kind', {
  description: 'The Kubernetes kinds that the gateway keeps in memory.',
  values: kindValues(Object.keys(KIND_DESCRIPTIONS) as Kind[]),
})

export const WorkloadKindEnum = builder.enumType('WorkloadKind', {
  description: 'The kinds behind the interface `Workload`.',
  values: kindValues<WorkloadKind>(WORKLOAD_KINDS),
})

export const ConditionStatus = builder.enumType('ConditionStatus', {
  description: 'Whether a condition holds.',
  values: {
    True: { description: 'It holds.' },
    False: { description: 'It does not hold.' },
    Unknown: { description: 'Nobody can tell at the moment.' },
  } satisfies Record<Condition['status'], { description: string }>,
})

export const RolloutStatus = builder.enumType('RolloutStatus', {
  description: 'Where a rollout stands, as `kubectl rollout status` judges it.',
  values: {
    COMPLETE: { description: 'Everything that is asked for runs in its newest form.' },
    PROGRESSING: { description: 'On its way.' },
    PAUSED: { description: 'Held by its author: `spec.paused` or `spec.suspend`.' },
    FAILED: { description: 'It failed, or did not get on in time; the reason says which.' },
  } satisfies Record<RolloutState['status'], { description: string }>,
})
