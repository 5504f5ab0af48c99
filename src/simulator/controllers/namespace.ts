/**
 * Namespaces: what every one has from the start (the ServiceAccount `default`, the ConfigMap
 * `kube-root-ca.crt`), and its end: content removed, then the finalizer `kubernetes`.
 * Source: `pkg/controller/namespace`, `serviceaccount`, and the root CA publisher.
 */
import type { KubeObject, ResourceKey } from '../registry.ts'
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import {
  committed,
  CONFIG_MAPS,
  NAMESPACES,
  read,
  readAll,
  SERVICE_ACCOUNTS,
  splitKey,
  type Condition,
  type Namespace,
} from './objects.ts'
import { hex64 } from './container-behaviour.ts'
import { withCondition } from './pod-template.ts'

/** How long the emptying of a namespace waits before it looks again, in the cluster's seconds. */
const recheckSeconds = 5

export function namespaceController({ registry, clock }: ControlContext): Controller {
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'namespace',
    // The deletion of anything may be the last of a terminating namespace.
    watches: ['*'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const { metadata } of readAll(registry, NAMESPACES)) enqueue(`/${metadata.name}`)
    },
    observe(commit, enqueue) {
      const own = committed(commit, NAMESPACES)
      if (own !== undefined) return enqueue(`/${own.object.metadata.name}`)
      if (commit.type !== 'DELETED') return
      const { namespace, name } = commit.object.metadata
      const home = namespace === undefined ? undefined : read(registry, NAMESPACES, '', namespace)
      if (home === undefined) return
      const furniture = name === 'default' || name === 'kube-root-ca.crt'
      if (furniture || home.metadata.deletionTimestamp !== undefined) enqueue(`/${namespace}`)
    },
    sync(key) {
      const { name } = splitKey(key)
      const namespace = read(registry, NAMESPACES, '', name)
      if (namespace === undefined) return
      if (namespace.metadata.deletionTimestamp === undefined) furnish(name)
      else empty(namespace)
    },
  }

  function furnish(namespace: string): void {
    if (read(registry, SERVICE_ACCOUNTS, namespace, 'default') === undefined) {
      registry.create(SERVICE_ACCOUNTS, {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: 'default', namespace },
      })
    }
    if (read(registry, CONFIG_MAPS, namespace, 'kube-root-ca.crt') === undefined) {
      registry.create(CONFIG_MAPS, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: 'kube-root-ca.crt',
          namespace,
          annotations: {
            'kubernetes.io/description':
              'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.',
          },
        },
        data: {
          'ca.crt': `-----BEGIN CERTIFICATE-----\n${hex64('simulated root')}\n-----END CERTIFICATE-----\n`,
        },
      })
    }
  }

  function empty(namespace: Namespace): void {
    const { name } = namespace.metadata
    let left = 0
    let finalizing = 0
    const remaining = new Map<string, number>()
    for (const { key, objects } of registry.listNamespace(name)) {
      for (const object of objects) {
        if (object.metadata.deletionTimestamp === undefined) remove(key, name, object)
        const after = registry.get(key, name, object.metadata.name)
        if (after === undefined) continue
        left++
        if ((after.metadata.finalizers ?? []).length > 0) finalizing++
        const id = key.group === '' ? key.resource : `${key.resource}.${key.group}`
        remaining.set(id, (remaining.get(id) ?? 0) + 1)
      }
    }
    if (left > 0) {
      describeRest(namespace, remaining, finalizing)
      enqueueLater(`/${name}`, recheckSeconds)
      return
    }
    registry.update(
      NAMESPACES,
      { ...namespace, spec: { ...namespace.spec, finalizers: [] } },
      { subresource: 'all' },
    )
    if (read(registry, NAMESPACES, '', name) !== undefined) registry.finishDelete(NAMESPACES, '', name)
  }

  function remove(key: ResourceKey, namespace: string, { metadata }: KubeObject): void {
    if (registry.get(key, namespace, metadata.name) === undefined) return
    registry.delete(key, namespace, metadata.name, { propagationPolicy: 'Background' })
  }

  function describeRest(
    namespace: Namespace,
    remaining: ReadonlyMap<string, number>,
    finalizing: number,
  ): void {
    const stamp = clock.stamp()
    const text = [...remaining].map(([id, count]) => `${id} has ${count} resource instances`).sort()
    const said: readonly Condition[] = [
      {
        type: 'NamespaceDeletionDiscoveryFailure',
        status: 'False',
        reason: 'ResourcesDiscovered',
        message: 'All resources successfully discovered',
      },
      {
        type: 'NamespaceDeletionGroupVersionParsingFailure',
        status: 'False',
        reason: 'ParsedGroupVersions',
        message: 'All legacy kube types successfully parsed',
      },
      {
        type: 'NamespaceDeletionContentFailure',
        status: 'False',
        reason: 'ContentDeleted',
        message: 'All content successfully deleted, may be waiting on finalization',
      },
      {
        type: 'NamespaceContentRemaining',
        status: 'True',
        reason: 'SomeResourcesRemain',
        message: `Some resources are remaining: ${text.join(', ')}`,
      },
      finalizing > 0
        ? {
            type: 'NamespaceFinalizersRemaining',
            status: 'True',
            reason: 'SomeFinalizersRemain',
            message: `Some content in the namespace has finalizers remaining: ${finalizing} resource instances`,
          }
        : {
            type: 'NamespaceFinalizersRemaining',
            status: 'False',
            reason: 'ContentHasNoFinalizers',
            message: 'All content-preserving finalizers finished',
          },
    ]
    let conditions = namespace.status?.conditions
    for (const condition of said) conditions = withCondition(conditions, condition, stamp)
    registry.update(
      NAMESPACES,
      { ...namespace, status: { ...namespace.status, phase: 'Terminating', conditions } },
      { subresource: 'status' },
    )
  }
}
