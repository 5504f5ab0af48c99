/**
 * Who controls what: adoption of orphans whose labels match, release of what does not match any more
 * (Kubernetes' ControllerRefManager), and an index of orphans so that adoption costs nothing when there
 * are none.
 */
import type { Commit, KubeObject, OwnerReference, Registry } from '../registry.ts'
import type { Enqueue } from './control-context.ts'
import { committed, read, readAll, readOwned, type LabelSelector, type Resource } from './objects.ts'
import { controllerReference } from './pod-template.ts'
import { selects } from './selector.ts'

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((owner) => owner.controller === true)
}

/** The names of objects of one resource that no controller owns, by namespace; fed by commits. */
export class Orphans<T extends KubeObject> {
  readonly #key: Resource<T>
  readonly #byNamespace = new Map<string, Set<string>>()

  constructor(key: Resource<T>, registry: Registry) {
    this.#key = key
    for (const object of readAll(registry, key)) this.#note(object)
  }

  observe(commit: Commit): void {
    const change = committed(commit, this.#key)
    if (change === undefined) return
    if (commit.type === 'DELETED' || controllerOf(change.object) !== undefined) {
      this.#byNamespace.get(change.object.metadata.namespace ?? '')?.delete(change.object.metadata.name)
    } else this.#note(change.object)
  }

  in(namespace: string): Iterable<string> {
    return this.#byNamespace.get(namespace) ?? []
  }

  #note(object: T): void {
    if (controllerOf(object) !== undefined) return
    const namespace = object.metadata.namespace ?? ''
    const names = this.#byNamespace.get(namespace) ?? new Set()
    names.add(object.metadata.name)
    this.#byNamespace.set(namespace, names)
  }
}

/**
 * The objects of `key` that `owner` controls, after adopting orphans that its selector matches and
 * releasing those it does not match any more.
 */
export function claim<T extends KubeObject>(
  registry: Registry,
  owner: KubeObject,
  ownerKey: Resource<KubeObject>,
  selector: LabelSelector,
  key: Resource<T>,
  orphans: Orphans<T>,
): T[] {
  const claimed: T[] = []
  const deleting = owner.metadata.deletionTimestamp !== undefined
  for (const object of readOwned(registry, key, owner.metadata.uid)) {
    if (controllerOf(object)?.uid !== owner.metadata.uid) continue
    if (selects(selector, object.metadata.labels)) claimed.push(object)
    else if (!deleting && object.metadata.deletionTimestamp === undefined) {
      const rest = (object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid)
      registry.update(key, { ...object, metadata: { ...object.metadata, ownerReferences: rest } })
    }
  }
  if (deleting) return claimed
  const namespace = owner.metadata.namespace ?? ''
  for (const name of orphans.in(namespace)) {
    const orphan = read(registry, key, namespace, name)
    if (orphan === undefined || orphan.metadata.deletionTimestamp !== undefined) continue
    if (controllerOf(orphan) !== undefined || !selects(selector, orphan.metadata.labels)) continue
    const ownerReferences = [...(orphan.metadata.ownerReferences ?? []), controllerReference(owner, ownerKey)]
    claimed.push(registry.update(key, { ...orphan, metadata: { ...orphan.metadata, ownerReferences } }) as T)
  }
  return claimed
}

/** Says through `enqueue` which owners of kind `ownerKey` a change of a dependent concerns. */
export function enqueueOwners<T extends KubeObject, O extends KubeObject>(
  registry: Registry,
  commit: Commit,
  key: Resource<T>,
  ownerKey: Resource<O>,
  selectorOf: (owner: O) => LabelSelector | undefined,
  enqueue: Enqueue,
): void {
  const change = committed(commit, key)
  if (change === undefined) return
  const { object, previous } = change
  const namespace = object.metadata.namespace ?? ''
  const owner = controllerOf(object)
  const before = previous === undefined ? undefined : controllerOf(previous)
  for (const each of owner?.uid === before?.uid ? [owner] : [owner, before]) {
    if (each?.kind === ownerKey.kind) enqueue(`${namespace}/${each.name}`)
  }
  if (owner !== undefined || commit.type === 'DELETED') return
  if (previous !== undefined && before === undefined && previous.metadata.labels === object.metadata.labels)
    return
  for (const candidate of readAll(registry, ownerKey, namespace)) {
    if (selects(selectorOf(candidate), object.metadata.labels))
      enqueue(`${namespace}/${candidate.metadata.name}`)
  }
}
