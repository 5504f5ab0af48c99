/**
 * ControllerRevisions: the templates that StatefulSets and DaemonSets have had, for rolling updates and
 * for `kubectl rollout history/undo`. Source: `pkg/controller/history` and KEP-less API `apps/v1`.
 */
import type { KubeObject, Registry } from '../registry.ts'
import {
  CONTROLLER_REVISIONS,
  readOwned,
  type ControllerRevision,
  type PodTemplate,
  type Resource,
} from './objects.ts'
import { controllerReference, templateHash, templateIdentity } from './pod-template.ts'

export const REVISION_HASH = 'controller-revision-hash'

export interface Revisions {
  /** Of the owner's present template; its name for a StatefulSet, its hash label for a DaemonSet's pods. */
  readonly update: ControllerRevision
  /** All of them, oldest revision first. */
  readonly all: readonly ControllerRevision[]
}

/** Creates the revision of the present template if it is new; an old one that is used again moves to the top. */
export function ensureRevision(
  registry: Registry,
  owner: KubeObject & { readonly spec: { readonly template: PodTemplate } },
  ownerKey: Resource<KubeObject>,
): Revisions {
  const { template } = owner.spec
  const known = [...readOwned(registry, CONTROLLER_REVISIONS, owner.metadata.uid)].sort(
    (a, b) => a.revision - b.revision,
  )
  const last = known.at(-1)
  const wanted = templateIdentity(template)
  const same = known.find((each) => revisionIdentity(each) === wanted)
  const revision = (last?.revision ?? 0) + 1
  if (same !== undefined) {
    if (same === last) return { update: same, all: known }
    const update = registry.update(CONTROLLER_REVISIONS, { ...same, revision }) as ControllerRevision
    return { update, all: [...known.filter((each) => each !== same), update] }
  }
  const hash = templateHash(template)
  const update = registry.create(CONTROLLER_REVISIONS, {
    apiVersion: CONTROLLER_REVISIONS.apiVersion,
    kind: CONTROLLER_REVISIONS.kind,
    metadata: {
      name: `${owner.metadata.name}-${hash}`,
      namespace: owner.metadata.namespace ?? '',
      labels: { ...template.metadata?.labels, 'controller.kubernetes.io/hash': hash },
      ...(owner.metadata.annotations === undefined ? {} : { annotations: owner.metadata.annotations }),
      ownerReferences: [controllerReference(owner, ownerKey)],
    },
    data: { spec: { template: { ...template, $patch: 'replace' } } },
    revision,
  }) as ControllerRevision
  return { update, all: [...known, update] }
}

const identities = new WeakMap<object, string>()

function revisionIdentity(revision: ControllerRevision): string {
  const { template } = revision.data.spec
  const known = identities.get(template)
  if (known !== undefined) return known
  const { $patch: _marker, ...plain } = template as PodTemplate & { readonly $patch?: string }
  const identity = templateIdentity(plain)
  identities.set(template, identity)
  return identity
}

export function revisionHash(revision: ControllerRevision): string {
  return revision.metadata.labels?.['controller.kubernetes.io/hash'] ?? ''
}

/** Deletes the oldest revisions beyond `limit` that `inUse` does not name. */
export function dropRevisions(
  registry: Registry,
  { all, update }: Revisions,
  limit: number,
  inUse: (revision: ControllerRevision) => boolean,
): void {
  const idle = all.filter((each) => each !== update && !inUse(each))
  for (const { metadata } of idle.slice(0, Math.max(0, idle.length - limit))) {
    registry.delete(CONTROLLER_REVISIONS, metadata.namespace ?? '', metadata.name)
  }
}
