/**
 * The garbage collector: dependents follow their last owner; `foregroundDeletion` waits for the dependents
 * that block it; `orphan` cuts the references first. Source: `pkg/controller/garbagecollector` and the
 * page "Garbage Collection" of the documentation.
 *
 * Invariant: it keeps no graph of its own; the registry's index by owner is the graph.
 */
import type { KubeObject, KubeObjectInput, OwnerReference, ResourceKey } from '../registry.ts'
import type { ControlContext, Controller } from './control-context.ts'
import { KNOWN_RESOURCES } from './objects.ts'

const FOREGROUND = 'foregroundDeletion'
const ORPHAN = 'orphan'

/** Queue keys: `gone <uid>` for owners that vanished, `end <group>/<resource> <namespace>/<name>` for finalizers. */
export function garbageCollector({ registry }: ControlContext): Controller {
  return {
    name: 'garbagecollector',
    watches: ['*'],
    start(enqueue) {
      for (const key of KNOWN_RESOURCES) {
        for (const object of registry.list(key)) {
          if (isEnding(object)) enqueue(endKey(key, object))
        }
      }
    },
    observe({ type, key, object }, enqueue) {
      // Events and leases own nothing, and come by the thousand.
      if (key.resource === 'events') return
      if (type === 'DELETED') {
        enqueue(`gone ${object.metadata.uid}`)
        for (const owner of object.metadata.ownerReferences ?? []) {
          if (owner.blockOwnerDeletion === true) enqueueOwner(owner, object.metadata.namespace, enqueue)
        }
      } else {
        if (isEnding(object)) enqueue(endKey(key, object))
        if (type === 'ADDED' && object.metadata.ownerReferences !== undefined) {
          enqueue(
            `born ${key.group}/${key.resource} ${object.metadata.namespace ?? ''}/${object.metadata.name}`,
          )
        }
      }
    },
    sync(work) {
      const [verb = '', where = '', path = ''] = work.split(' ')
      if (verb === 'gone') return collect(where)
      const key = {
        group: where.slice(0, where.lastIndexOf('/')),
        resource: where.slice(where.lastIndexOf('/') + 1),
      }
      const object = registry.get(key, path.slice(0, path.indexOf('/')), path.slice(path.indexOf('/') + 1))
      if (object === undefined) return undefined
      if (verb === 'end') finish(key, object)
      else if (!someOwnerLives(object)) remove(key, object)
      return undefined
    },
  }

  function enqueueOwner(
    owner: OwnerReference,
    namespace: string | undefined,
    enqueue: (key: string) => void,
  ): void {
    const resource = KNOWN_RESOURCES.find(
      ({ kind, apiVersion }) => kind === owner.kind && apiVersion === owner.apiVersion,
    )
    if (resource === undefined) return
    const object = registry.get(resource, resource.namespaced ? (namespace ?? '') : '', owner.name)
    if (object !== undefined && isEnding(object)) enqueue(endKey(resource, object))
  }

  /** What the vanished owner leaves behind: removed, unless another owner lives. */
  function collect(ownerUid: string): void {
    for (const { key, objects } of registry.listDependents(ownerUid)) {
      for (const object of objects) {
        const current = registry.get(key, object.metadata.namespace ?? '', object.metadata.name)
        if (current === undefined || current.metadata.uid !== object.metadata.uid) continue
        if (someOwnerLives(current)) dropReference(key, current, ownerUid)
        else if (current.metadata.deletionTimestamp === undefined) remove(key, current)
      }
    }
  }

  function someOwnerLives(object: KubeObject): boolean {
    return (object.metadata.ownerReferences ?? []).some((owner) => {
      const resource = KNOWN_RESOURCES.find(
        ({ kind, apiVersion }) => kind === owner.kind && apiVersion === owner.apiVersion,
      )
      // A kind that is not known here (a custom resource) is given the benefit of the doubt.
      if (resource === undefined) return true
      const found = registry.get(
        resource,
        resource.namespaced ? (object.metadata.namespace ?? '') : '',
        owner.name,
      )
      return found?.metadata.uid === owner.uid
    })
  }

  function finish(key: ResourceKey, owner: KubeObject): void {
    const finalizers = owner.metadata.finalizers ?? []
    if (finalizers.includes(ORPHAN)) {
      for (const dependent of dependentsOf(owner))
        dropReference(dependent.key, dependent.object, owner.metadata.uid)
      return dropFinalizer(key, owner, ORPHAN)
    }
    let blocked = false
    for (const { key: dependentKey, object } of dependentsOf(owner)) {
      const reference = object.metadata.ownerReferences?.find(({ uid }) => uid === owner.metadata.uid)
      if (object.metadata.deletionTimestamp === undefined) {
        registry.delete(dependentKey, object.metadata.namespace ?? '', object.metadata.name, {
          propagationPolicy: hasDependents(object) ? 'Foreground' : 'Background',
        })
      }
      const still = registry.get(dependentKey, object.metadata.namespace ?? '', object.metadata.name)
      if (still?.metadata.uid === object.metadata.uid && reference?.blockOwnerDeletion === true)
        blocked = true
    }
    if (!blocked) dropFinalizer(key, owner, FOREGROUND)
    return undefined
  }

  function dependentsOf(owner: KubeObject): { readonly key: ResourceKey; readonly object: KubeObject }[] {
    return registry
      .listDependents(owner.metadata.uid)
      .flatMap(({ key, objects }) => objects.map((object) => ({ key, object })))
  }

  function hasDependents(object: KubeObject): boolean {
    return registry.listDependents(object.metadata.uid).some(({ objects }) => objects.length > 0)
  }

  function dropReference(key: ResourceKey, object: KubeObject, ownerUid: string): void {
    const current = registry.get(key, object.metadata.namespace ?? '', object.metadata.name)
    if (current === undefined) return
    const { ownerReferences = [], ...metadata } = current.metadata
    const rest = ownerReferences.filter(({ uid }) => uid !== ownerUid)
    const next: KubeObjectInput = {
      ...current,
      metadata: rest.length === 0 ? metadata : { ...metadata, ownerReferences: rest },
    }
    registry.update(key, next)
  }

  function dropFinalizer(key: ResourceKey, object: KubeObject, finalizer: string): void {
    const current = registry.get(key, object.metadata.namespace ?? '', object.metadata.name)
    if (current === undefined) return
    const { finalizers = [], ...metadata } = current.metadata
    const rest = finalizers.filter((each) => each !== finalizer)
    registry.update(key, {
      ...current,
      metadata: rest.length === 0 ? metadata : { ...metadata, finalizers: rest },
    })
  }

  function remove(key: ResourceKey, { metadata }: KubeObject): void {
    registry.delete(key, metadata.namespace ?? '', metadata.name, { propagationPolicy: 'Background' })
  }
}

function isEnding({ metadata }: KubeObject): boolean {
  return (
    metadata.deletionTimestamp !== undefined &&
    (metadata.finalizers?.includes(FOREGROUND) === true || metadata.finalizers?.includes(ORPHAN) === true)
  )
}

function endKey({ group, resource }: ResourceKey, { metadata }: KubeObject): string {
  return `end ${group}/${resource} ${metadata.namespace ?? ''}/${metadata.name}`
}
