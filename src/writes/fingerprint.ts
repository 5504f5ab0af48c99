/**
 * What an object is like, as somebody who means to change it looks at it: so that a plan, or a rollback, can tell
 * whether anybody has changed it since. Its status, and what controllers write beside it, do not count.
 */
import { createHash } from 'node:crypto'
import { isObject, type KubernetesJson } from '../kubernetes/json.ts'

/** Of `metadata`: written by the API server with each write. */
const VOLATILE_METADATA = new Set(['managedFields', 'resourceVersion', 'generation', 'selfLink'])

/**
 * Annotations that controllers write: progress and notes of theirs, and nothing that anybody asked for.
 * https://kubernetes.io/docs/reference/labels-annotations-taints/
 */
export const CONTROLLERS_ANNOTATIONS: ReadonlySet<string> = new Set([
  // The deployment controller, of Deployments and their ReplicaSets (pkg/controller/deployment/util).
  'deployment.kubernetes.io/revision',
  'deployment.kubernetes.io/revision-history',
  'deployment.kubernetes.io/desired-replicas',
  'deployment.kubernetes.io/max-replicas',
  // The API server, of DaemonSets: `generation` once more.
  'deprecated.daemonset.template.generation',
  // `status` of a HorizontalPodAutoscaler, where it is read as autoscaling/v1.
  'autoscaling.alpha.kubernetes.io/conditions',
  'autoscaling.alpha.kubernetes.io/current-metrics',
  // Leader election by Endpoints or ConfigMaps: renewed every few seconds.
  'control-plane.alpha.kubernetes.io/leader',
  // The endpoints controllers.
  'endpoints.kubernetes.io/last-change-trigger-time',
  // The volume binder, the scheduler and provisioners.
  'pv.kubernetes.io/bind-completed',
  'pv.kubernetes.io/bound-by-controller',
  'pv.kubernetes.io/provisioned-by',
  'volume.kubernetes.io/selected-node',
  'volume.kubernetes.io/storage-provisioner',
  'volume.beta.kubernetes.io/storage-provisioner',
  // The kubelet, the node controller and CSI drivers, of Nodes.
  'csi.volume.kubernetes.io/nodeid',
  'node.alpha.kubernetes.io/ttl',
  'volumes.kubernetes.io/controller-managed-attach-detach',
])

/** SHA-256, in hex. The same for objects that differ in status, versions and controllers' annotations alone. */
export function fingerprint(object: KubernetesJson): string {
  const { status: _status, metadata = {}, ...rest } = object
  const kept = Object.entries(metadata).filter(([field]) => !VOLATILE_METADATA.has(field))
  const annotations = Object.entries(metadata.annotations ?? {}).filter(
    ([name]) => !CONTROLLERS_ANNOTATIONS.has(name),
  )
  const content = {
    ...rest,
    metadata: {
      ...Object.fromEntries(kept),
      annotations: annotations.length > 0 ? Object.fromEntries(annotations) : undefined,
    },
  }
  return createHash('sha256').update(canonical(content)).digest('hex')
}

/** As whoever leaves the number to an autoscaler looks at it. */
export function withoutReplicas(object: KubernetesJson): KubernetesJson {
  const { spec, ...rest } = object
  if (!isObject(spec)) return object
  const { replicas: _replicas, ...asked } = spec
  return { ...rest, spec: asked }
}

/** JSON whose keys are in order, so that equal values are equal texts. `undefined` is left out. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item)).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value) ?? 'null'
  const fields = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
  return `{${fields.join(',')}}`
}
