import { describe, expect, it } from 'vitest'
import type { Commit, KubeObject, KubeObjectInput } from '../../src/simulator/registry.ts'
import { StatusError } from '../../src/simulator/status-error.ts'
import { Storage } from '../../src/simulator/storage.ts'

const pods = { group: '', resource: 'pods' }
const configMaps = { group: '', resource: 'configmaps' }
const deployments = { group: 'apps', resource: 'deployments' }
const namespaces = { group: '', resource: 'namespaces' }

function storage(options: { historySize?: number } = {}): Storage {
  const made = new Storage({ now: () => Date.parse('2026-01-01T00:00:00Z'), seed: 7, ...options })
  made.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } })
  return made
}

function configMap(name: string, data: Record<string, string> = {}): KubeObjectInput {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }
}

function deployment(name: string): KubeObjectInput {
  const labels = { app: name }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'nginx' }] } }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { selector: { matchLabels: labels }, template },
  }
}

function codeOf(work: () => unknown): number {
  try {
    work()
  } catch (error) {
    if (error instanceof StatusError) return error.code
    throw error
  }
  return 200
}

describe('the storage of a simulated cluster', () => {
  it('counts one resourceVersion for all resources, and tells each commit once and in order', () => {
    const cluster = storage()
    const heard: Commit[] = []
    cluster.onCommit((commit) => heard.push(commit))
    const a = cluster.create(configMaps, configMap('a'))
    const d = cluster.create(deployments, deployment('d'))
    cluster.update(configMaps, { ...a, data: { x: '1' } })
    cluster.delete(configMaps, 'default', 'a')
    expect(Number(d.metadata.resourceVersion)).toBe(Number(a.metadata.resourceVersion) + 1)
    expect(heard.map(({ type, key }) => `${type} ${key.resource}`)).toEqual([
      'ADDED configmaps',
      'ADDED deployments',
      'MODIFIED configmaps',
      'DELETED configmaps',
    ])
    const versions = heard.map(({ object }) => Number(object.metadata.resourceVersion))
    expect(versions).toEqual([...versions].sort((one, other) => one - other))
  })

  it('commits nothing when nothing changed', () => {
    const cluster = storage()
    const made = cluster.create(configMaps, configMap('a', { x: '1' }))
    const before = cluster.revision
    expect(cluster.update(configMaps, { ...made, data: { x: '1' } })).toBe(made)
    expect(cluster.revision).toBe(before)
  })

  it('refuses an update of an old state, and a second object of the same name', () => {
    const cluster = storage()
    const made = cluster.create(configMaps, configMap('a'))
    cluster.update(configMaps, { ...made, data: { x: '1' } })
    expect(codeOf(() => cluster.update(configMaps, { ...made, data: { x: '2' } }))).toBe(409)
    expect(codeOf(() => cluster.create(configMaps, configMap('a')))).toBe(409)
    expect(codeOf(() => cluster.update(configMaps, configMap('b')))).toBe(404)
    expect(codeOf(() => cluster.create(configMaps, configMap('Not_A_Name')))).toBe(422)
  })

  it('raises the generation with the spec, never with the status', () => {
    const cluster = storage()
    const made = cluster.create(deployments, deployment('d'))
    const reported = cluster.update(
      deployments,
      { ...made, status: { replicas: 1 } },
      { subresource: 'status' },
    )
    expect(reported.metadata.generation).toBe(1)
    const spec = { ...(reported['spec'] as object), replicas: 3 }
    const scaled = cluster.update(deployments, { ...reported, spec, status: { replicas: 9 } })
    expect(scaled.metadata.generation).toBe(2)
    expect(scaled['status']).toEqual({ replicas: 1 })
  })

  it('shares one completed spec between all pods of a template', () => {
    const cluster = storage()
    const made = cluster.create(deployments, deployment('d'))
    const { template } = made['spec'] as { template: { spec: object } }
    const [one, other] = ['a', 'b'].map((name) =>
      cluster.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: template.spec }),
    )
    expect(one?.['spec']).toBe(other?.['spec'])
    expect(one?.['spec']).toMatchObject({ serviceAccountName: 'default', restartPolicy: 'Always' })
  })

  it('finds pods by node and by owner, until they move or go', () => {
    const cluster = storage()
    const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'u' }]
    const made = cluster.create(pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', ownerReferences },
      spec: { containers: [{ name: 'main', image: 'nginx' }] },
    })
    expect(cluster.listByOwner(pods, 'u')).toEqual([made])
    const spec = { ...(made['spec'] as object), nodeName: 'n1' }
    const bound = cluster.update(pods, { ...made, spec }, { subresource: 'all' })
    expect(cluster.listByNode('n1')).toEqual([bound])
    cluster.delete(pods, 'default', 'p', { gracePeriodSeconds: 0 })
    expect(cluster.listByNode('n1')).toEqual([])
    expect(cluster.listByOwner(pods, 'u')).toEqual([])
  })

  it('ends a running pod gracefully and a pending one at once', () => {
    const cluster = storage()
    const pod = (name: string, nodeName?: string): KubeObject =>
      cluster.create(pods, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name },
        spec: {
          containers: [{ name: 'main', image: 'nginx' }],
          ...(nodeName === undefined ? {} : { nodeName }),
        },
      })
    pod('pending')
    pod('running', 'n1')
    cluster.delete(pods, 'default', 'pending')
    expect(cluster.get(pods, 'default', 'pending')).toBeUndefined()
    const ending = cluster.delete(pods, 'default', 'running')
    expect(ending.metadata).toMatchObject({
      deletionTimestamp: '2026-01-01T00:00:30Z',
      deletionGracePeriodSeconds: 30,
    })
    cluster.finishDelete(pods, 'default', 'running')
    expect(cluster.get(pods, 'default', 'running')).toBeUndefined()
  })

  it('holds an object for its finalizers', () => {
    const cluster = storage()
    const made = cluster.create(configMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'a', finalizers: ['test/hold'] },
    })
    const held = cluster.delete(configMaps, 'default', 'a')
    expect(held.metadata.deletionTimestamp).toBeDefined()
    expect(held.metadata.uid).toBe(made.metadata.uid)
    cluster.update(configMaps, { ...held, metadata: { ...held.metadata, finalizers: [] } })
    expect(cluster.get(configMaps, 'default', 'a')).toBeUndefined()
  })

  it('keeps a bounded history, and says when a place in it is gone', () => {
    const cluster = storage({ historySize: 10 })
    const start = cluster.revision
    for (let i = 0; i < 50; i++) cluster.create(configMaps, configMap(`a-${i}`))
    expect(cluster.since(start)).toBeUndefined()
    expect(cluster.since(cluster.revision - 5)?.map(({ object }) => object.metadata.name)).toEqual(
      [45, 46, 47, 48, 49].map((i) => `a-${i}`),
    )
    cluster.compact()
    expect(cluster.since(cluster.revision - 1)).toBeUndefined()
    expect(cluster.since(cluster.revision)).toEqual([])
  })

  it('repeats itself for the same seed', () => {
    const names = [storage(), storage()].map((cluster) => {
      const input = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'x-' } }
      const { name, uid } = cluster.create(configMaps, input).metadata
      return `${name} ${uid}`
    })
    expect(names[0]).toBe(names[1])
    expect(names[0]).toMatch(
      /^x-[a-z0-9]{5} [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    )
  })
})
