/**
 * Every object and interface type of the graph by its name and the value behind it, without any field:
 * types that refer to each other need no circular imports. Fields are in `interfaces.ts` and `kinds/`.
 */
import type { InterfaceRef, ObjectRef } from '@pothos/core'
import type { Cluster } from '../fleet/fleet.ts'
import type { Kind, Row, Rows, WorkloadRow } from '../kubernetes/rows.ts'
import { builder, type Types } from './builder.ts'

/** Relay's interface. */
export const Node = builder.interfaceRef<Row | Cluster>('Node')
export const KubernetesObject = builder.interfaceRef<Row>('KubernetesObject')
export const Workload = builder.interfaceRef<WorkloadRow>('Workload')
export const AnyRole = builder.interfaceRef<Rows['Role' | 'ClusterRole']>('AnyRole')

export const ClusterRef = builder.objectRef<Cluster>('Cluster')

/** The type of each kind's row. The Kubernetes machine is `ClusterNode`: `Node` is Relay's. */
export const KIND_REFS = {
  Node: builder.objectRef<Rows['Node']>('ClusterNode'),
  Namespace: builder.objectRef<Rows['Namespace']>('Namespace'),
  Pod: builder.objectRef<Rows['Pod']>('Pod'),
  Deployment: builder.objectRef<Rows['Deployment']>('Deployment'),
  ReplicaSet: builder.objectRef<Rows['ReplicaSet']>('ReplicaSet'),
  StatefulSet: builder.objectRef<Rows['StatefulSet']>('StatefulSet'),
  DaemonSet: builder.objectRef<Rows['DaemonSet']>('DaemonSet'),
  Job: builder.objectRef<Rows['Job']>('Job'),
  CronJob: builder.objectRef<Rows['CronJob']>('CronJob'),
  Service: builder.objectRef<Rows['Service']>('Service'),
  EndpointSlice: builder.objectRef<Rows['EndpointSlice']>('EndpointSlice'),
  Ingress: builder.objectRef<Rows['Ingress']>('Ingress'),
  ConfigMap: builder.objectRef<Rows['ConfigMap']>('ConfigMap'),
  PersistentVolumeClaim: builder.objectRef<Rows['PersistentVolumeClaim']>('PersistentVolumeClaim'),
  PersistentVolume: builder.objectRef<Rows['PersistentVolume']>('PersistentVolume'),
  StorageClass: builder.objectRef<Rows['StorageClass']>('StorageClass'),
  HorizontalPodAutoscaler: builder.objectRef<Rows['HorizontalPodAutoscaler']>('HorizontalPodAutoscaler'),
  ResourceQuota: builder.objectRef<Rows['ResourceQuota']>('ResourceQuota'),
  Event: builder.objectRef<Rows['Event']>('Event'),
  Role: builder.objectRef<Rows['Role']>('Role'),
  ClusterRole: builder.objectRef<Rows['ClusterRole']>('ClusterRole'),
  RoleBinding: builder.objectRef<Rows['RoleBinding']>('RoleBinding'),
  ClusterRoleBinding: builder.objectRef<Rows['ClusterRoleBinding']>('ClusterRoleBinding'),
} as const satisfies { [K in Kind]: ObjectRef<Types, Rows[K]> }

/** A type whose values are rows of `R`. */
export type RowRef<R extends Row> = ObjectRef<Types, R> | InterfaceRef<Types, R>

/** The name of the GraphQL type of a row. */
export function typeNameOf(kind: Kind): string {
  return KIND_REFS[kind].name
}
