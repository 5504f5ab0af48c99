import { afterEach, describe, expect, test } from 'vitest'
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  NAMESPACES,
  PODS,
  REPLICA_SETS,
  SERVICE_ACCOUNTS,
  type Resource,
} from '../../../src/simulator/controllers/objects.ts'
import type { KubeObject } from '../../../src/simulator/registry.ts'
import { selecting, SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function owned(name: string, owners: readonly KubeObject[], blocks = false): KubeObject {
  const ownerReferences = owners.map(({ apiVersion, kind, metadata }) => ({
    apiVersion,
    kind,
    name: metadata.name,
    uid: metadata.uid,
    blockOwnerDeletion: blocks,
  }))
  return cluster.create(CONFIG_MAPS, name, { data: {} }, { ownerReferences })
}

function left(key: Resource<KubeObject>): readonly string[] {
  return cluster
    .all(key)
    .map(({ metadata }) => metadata.name)
    .filter((name) => name !== 'kube-root-ca.crt')
}

describe('garbage collection', () => {
  test('removes dependents after their owner, and theirs after them', () => {
    const a = cluster.create(CONFIG_MAPS, 'a', {})
    const b = owned('b', [a])
    owned('c', [b])
    cluster.delete(CONFIG_MAPS, 'a')
    expect(left(CONFIG_MAPS)).toEqual(['b', 'c'])
    cluster.after(1)
    expect(left(CONFIG_MAPS)).toEqual([])
  })

  test('keeps what another owner still holds, without the reference to the one that is gone', () => {
    const [a, b] = [cluster.create(CONFIG_MAPS, 'a', {}), cluster.create(CONFIG_MAPS, 'b', {})]
    owned('c', [a, b])
    cluster.delete(CONFIG_MAPS, 'a')
    cluster.after(1)
    expect(left(CONFIG_MAPS)).toEqual(['b', 'c'])
    expect(cluster.get(CONFIG_MAPS, 'c').metadata.ownerReferences?.map(({ name }) => name)).toEqual(['b'])
  })

  test('removes what is born with an owner that never was', () => {
    const ghost = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ghost', uid: 'nobody' } }
    owned('c', [ghost as unknown as KubeObject])
    cluster.after(1)
    expect(left(CONFIG_MAPS)).toEqual([])
  })

  test('in the foreground keeps the owner until the dependents that block it are gone', () => {
    cluster.create(DEPLOYMENTS, 'web', {
      spec: { replicas: 2, selector: selecting('web'), template: template('web') },
    })
    cluster.after(20)
    cluster.delete(DEPLOYMENTS, 'web', 'Foreground')
    cluster.after(0.1)
    expect(cluster.get(DEPLOYMENTS, 'web').metadata.finalizers).toEqual(['foregroundDeletion'])
    expect(cluster.all(REPLICA_SETS)[0]?.metadata.deletionTimestamp).toBeDefined()
    expect(cluster.pods().every(({ metadata }) => metadata.deletionTimestamp !== undefined)).toBe(true)
    cluster.after(30)
    expect([left(DEPLOYMENTS), left(REPLICA_SETS), left(PODS)]).toEqual([[], [], []])
  })

  test('orphans dependents when it is told to', () => {
    const a = cluster.create(CONFIG_MAPS, 'a', {})
    owned('b', [a])
    cluster.delete(CONFIG_MAPS, 'a', 'Orphan')
    cluster.after(1)
    expect(left(CONFIG_MAPS)).toEqual(['b'])
    expect(cluster.get(CONFIG_MAPS, 'b').metadata.ownerReferences ?? []).toEqual([])
  })
})

describe('a namespace', () => {
  function inTeam(key: Resource<KubeObject>, name: string, body: object = {}, metadata: object = {}): void {
    cluster.create(key, name, body as Record<string, unknown>, { namespace: 'team', ...metadata })
  }

  test('has a default ServiceAccount and the root certificates from the start, and again if they are deleted', () => {
    cluster.create(NAMESPACES, 'team', {})
    cluster.after(1)
    expect(cluster.has(SERVICE_ACCOUNTS, 'default', 'team')).toBe(true)
    expect(cluster.has(CONFIG_MAPS, 'kube-root-ca.crt', 'team')).toBe(true)
    cluster.registry.delete(SERVICE_ACCOUNTS, 'team', 'default')
    cluster.after(1)
    expect(cluster.has(SERVICE_ACCOUNTS, 'default', 'team')).toBe(true)
  })

  test('is Terminating until its content is gone', () => {
    cluster.create(NAMESPACES, 'team', {})
    cluster.after(1)
    inTeam(DEPLOYMENTS, 'web', {
      spec: { replicas: 2, selector: selecting('web'), template: template('web') },
    })
    cluster.after(20)
    cluster.delete(NAMESPACES, 'team')
    cluster.after(0.1)
    expect(cluster.get(NAMESPACES, 'team').status).toMatchObject({ phase: 'Terminating' })
    expect(cluster.get(NAMESPACES, 'team').status?.conditions?.map(({ message }) => message)).toContain(
      'Some resources are remaining: pods has 2 resource instances',
    )
    cluster.after(30)
    expect(cluster.has(NAMESPACES, 'team')).toBe(false)
    for (const key of [PODS, DEPLOYMENTS, REPLICA_SETS, CONFIG_MAPS, SERVICE_ACCOUNTS]) {
      expect(cluster.all<KubeObject>(key, 'team')).toEqual([])
    }
  })

  test('stays while an object in it has a finalizer, and says so', () => {
    cluster.create(NAMESPACES, 'team', {})
    inTeam(CONFIG_MAPS, 'held', {}, { finalizers: ['example.com/hold'] })
    cluster.delete(NAMESPACES, 'team')
    cluster.after(60)
    expect(cluster.get(NAMESPACES, 'team').status?.conditions?.map(({ message }) => message)).toContain(
      'Some content in the namespace has finalizers remaining: 1 resource instances',
    )
    const held = cluster.get(CONFIG_MAPS, 'held', 'team')
    cluster.registry.update(CONFIG_MAPS, { ...held, metadata: { ...held.metadata, finalizers: [] } })
    cluster.after(10)
    expect(cluster.has(NAMESPACES, 'team')).toBe(false)
  })
})
