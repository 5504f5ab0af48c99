/**
 * The table of projections: raw JSON of the API → row. Each is total: an object that lacks what is usual,
 * or has what is unknown, still becomes a row (`fields.ts`). Each reads the versions that `KINDS` lists.
 */
import type { Projection } from '../kinds.ts'
import type { Kind, Rows } from '../rows.ts'
import {
  projectEvent,
  projectHorizontalPodAutoscaler,
  projectNamespace,
  projectNode,
  projectResourceQuota,
} from './cluster-kinds.ts'
import { projectEndpointSlice, projectIngress, projectService } from './network.ts'
import { projectPod } from './pod.ts'
import { projectClusterRole, projectClusterRoleBinding, projectRole, projectRoleBinding } from './rbac.ts'
import {
  projectConfigMap,
  projectPersistentVolume,
  projectPersistentVolumeClaim,
  projectStorageClass,
} from './storage.ts'
import {
  projectCronJob,
  projectDaemonSet,
  projectDeployment,
  projectJob,
  projectReplicaSet,
  projectStatefulSet,
} from './workloads.ts'

const PROJECTIONS = {
  ClusterRole: projectClusterRole,
  ClusterRoleBinding: projectClusterRoleBinding,
  Role: projectRole,
  RoleBinding: projectRoleBinding,
  Node: projectNode,
  Namespace: projectNamespace,
  Pod: projectPod,
  Deployment: projectDeployment,
  ReplicaSet: projectReplicaSet,
  StatefulSet: projectStatefulSet,
  DaemonSet: projectDaemonSet,
  Job: projectJob,
  CronJob: projectCronJob,
  Service: projectService,
  EndpointSlice: projectEndpointSlice,
  Ingress: projectIngress,
  ConfigMap: projectConfigMap,
  PersistentVolumeClaim: projectPersistentVolumeClaim,
  PersistentVolume: projectPersistentVolume,
  StorageClass: projectStorageClass,
  HorizontalPodAutoscaler: projectHorizontalPodAutoscaler,
  ResourceQuota: projectResourceQuota,
  Event: projectEvent,
} satisfies { [K in Kind]: Projection<K> }

/**
 * A row of an object that has nothing, not frozen: copies of it are of the same hidden class as the rows of
 * its kind until they are.
 */
export function emptyRow<K extends Exclude<Kind, 'Pod'>>(kind: K): Rows[K] {
  const projection = PROJECTIONS[kind] as unknown as Projection<K>
  return projection({}, '')
}

/** `project('Pod')(object, 'prod-eu')`: the row of one object, deeply frozen. Never throws. */
export function project<K extends Kind>(kind: K): Projection<K> {
  // The table's type ties each kind to its projection; indexing by a type parameter loses that tie.
  const projection = PROJECTIONS[kind] as unknown as Projection<K>
  return (object, cluster) => freeze(projection(object, cluster))
}

/** Deeply. What is shared is frozen already, so a row costs little more than its own fields. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const field in value) freeze(value[field])
  return value
}
