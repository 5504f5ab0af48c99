/**
 * The ReplicaSets of a Deployment as its revisions: which is the new one, what number each has, what is
 * kept of the old ones for a rollback. Source: `pkg/controller/deployment/{sync,util}` and the annotations
 * under `deployment.kubernetes.io/` that kubectl's rollout verbs read.
 */
import { DEPLOYMENTS, REPLICA_SETS, read, type Deployment, type ReplicaSet } from './objects.ts'
import type { ControlContext } from './control-context.ts'
import {
  controllerReference,
  TEMPLATE_HASH,
  templateHash,
  templateIdentity,
  withCondition,
} from './pod-template.ts'

const REVISION = 'deployment.kubernetes.io/revision'
const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history'
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas'
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas'

/** Annotations of a Deployment that its ReplicaSets do not take over. */
const OWN_ANNOTATIONS = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  'deprecated.deployment.rollback.to',
])

function revisionOf(replicaSet: ReplicaSet): number {
  return Number(replicaSet.metadata.annotations?.[REVISION] ?? 0)
}

/** Oldest first, which is the order in which rollouts scale down. */
export function byAge(a: ReplicaSet, b: ReplicaSet): number {
  return (
    a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp) ||
    revisionOf(a) - revisionOf(b) ||
    (a.metadata.name < b.metadata.name ? -1 : 1)
  )
}

/** The oldest ReplicaSet with the Deployment's template, if any. */
function findNewReplicaSet(
  deployment: Deployment,
  replicaSets: readonly ReplicaSet[],
): ReplicaSet | undefined {
  const wanted = templateIdentity(deployment.spec.template)
  return [...replicaSets].sort(byAge).find((each) => templateIdentity(each.spec.template) === wanted)
}

function annotationsFor(
  deployment: Deployment,
  old: Readonly<Record<string, string>>,
  revision: number,
): Record<string, string> {
  const annotations: Record<string, string> = { ...old }
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (!OWN_ANNOTATIONS.has(key)) annotations[key] = value
  }
  const before = old[REVISION]
  if (before !== undefined && Number(before) < revision) {
    const history = old[REVISION_HISTORY]
    annotations[REVISION_HISTORY] = history === undefined ? before : `${history},${before}`
  }
  if (before === undefined || Number(before) < revision) annotations[REVISION] = String(revision)
  return annotations
}

/**
 * The ReplicaSet of the current template: found, or created with `replicas` where `create` says so. Keeps
 * its revision above all others' and copies that to the Deployment. Answers the Deployment as written.
 */
export function ensureNewReplicaSet(
  { registry, clock }: ControlContext,
  deployment: Deployment,
  replicaSets: readonly ReplicaSet[],
  replicas: (existing: readonly ReplicaSet[]) => number,
  maxReplicas: number,
  create: boolean,
): {
  readonly deployment: Deployment
  readonly newReplicaSet: ReplicaSet | undefined
  readonly created: boolean
} {
  const found = findNewReplicaSet(deployment, replicaSets)
  const others = replicaSets.filter((each) => each !== found)
  const revision = Math.max(0, ...others.map(revisionOf)) + 1
  const minReadySeconds = deployment.spec.minReadySeconds
  if (found !== undefined) {
    const annotations = annotationsFor(deployment, found.metadata.annotations ?? {}, revision)
    const newReplicaSet = registry.update(REPLICA_SETS, {
      ...found,
      metadata: { ...found.metadata, annotations },
      spec: { ...found.spec, ...(minReadySeconds === undefined ? {} : { minReadySeconds }) },
    }) as ReplicaSet
    return {
      deployment: withRevision(
        newReplicaSet,
        'FoundNewReplicaSet',
        `Found new replica set "${found.metadata.name}"`,
      ),
      newReplicaSet,
      created: false,
    }
  }
  if (!create) return { deployment, newReplicaSet: undefined, created: false }

  const hash = templateHash(deployment.spec.template, deployment.status?.collisionCount)
  const name = `${deployment.metadata.name}-${hash}`
  if (read(registry, REPLICA_SETS, deployment.metadata.namespace ?? '', name) !== undefined) {
    // Somebody else's ReplicaSet has the name: another hash is tried on the next sync.
    const collisionCount = (deployment.status?.collisionCount ?? 0) + 1
    registry.update(
      DEPLOYMENTS,
      { ...deployment, status: { ...deployment.status, collisionCount } },
      { subresource: 'status' },
    )
    throw new Error(
      `ReplicaSet ${name} exists and is not controlled by Deployment ${deployment.metadata.name}; trying another hash`,
    )
  }
  const labels = { ...deployment.spec.template.metadata?.labels, [TEMPLATE_HASH]: hash }
  const { selector, template } = deployment.spec
  const newReplicaSet = registry.create(REPLICA_SETS, {
    apiVersion: REPLICA_SETS.apiVersion,
    kind: REPLICA_SETS.kind,
    metadata: {
      name,
      namespace: deployment.metadata.namespace ?? '',
      labels,
      annotations: {
        ...annotationsFor(deployment, {}, revision),
        [DESIRED_REPLICAS]: String(deployment.spec.replicas ?? 1),
        [MAX_REPLICAS]: String(maxReplicas),
      },
      ownerReferences: [controllerReference(deployment, DEPLOYMENTS)],
    },
    spec: {
      replicas: replicas(others),
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [TEMPLATE_HASH]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  }) as ReplicaSet
  return {
    deployment: withRevision(newReplicaSet, 'NewReplicaSetCreated', `Created new replica set "${name}"`),
    newReplicaSet,
    created: true,
  }

  function withRevision(replicaSet: ReplicaSet, reason: string, message: string): Deployment {
    const stamp = clock.stamp()
    const conditions = deployment.status?.conditions ?? []
    const known = conditions.some(({ type }) => type === 'Progressing')
    const says = reason === 'NewReplicaSetCreated' || !known
    const text = replicaSet.metadata.annotations?.[REVISION] ?? String(revision)
    if (!says && deployment.metadata.annotations?.[REVISION] === text) return deployment
    // The real controller writes the annotation through the status subresource, which is why a
    // Deployment's generation does not count it.
    return registry.update(
      DEPLOYMENTS,
      {
        ...deployment,
        metadata: {
          ...deployment.metadata,
          annotations: { ...deployment.metadata.annotations, [REVISION]: text },
        },
        status: says
          ? {
              ...deployment.status,
              conditions: withCondition(
                conditions,
                { type: 'Progressing', status: 'True', reason, message },
                stamp,
                { updateTime: true },
              ),
            }
          : deployment.status,
      },
      { subresource: 'all' },
    ) as Deployment
  }
}

/** Removes what exceeds `revisionHistoryLimit`, the lowest revisions first; never one that has pods. */
export function dropOldRevisions(
  { registry }: ControlContext,
  deployment: Deployment,
  old: readonly ReplicaSet[],
): void {
  const limit = deployment.spec.revisionHistoryLimit ?? 10
  const excess = old.length - limit
  if (excess <= 0) return
  for (const replicaSet of [...old].sort((a, b) => revisionOf(a) - revisionOf(b)).slice(0, excess)) {
    const { status, spec, metadata } = replicaSet
    if ((status?.replicas ?? 0) !== 0 || (spec.replicas ?? 1) !== 0) continue
    if ((metadata.generation ?? 1) > (status?.observedGeneration ?? 0) || metadata.deletionTimestamp) continue
    registry.delete(REPLICA_SETS, metadata.namespace ?? '', metadata.name, {
      propagationPolicy: 'Background',
    })
  }
}
