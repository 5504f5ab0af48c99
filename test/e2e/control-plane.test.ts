/** The test's own tools, on a real control plane: faults that come and go, tokens, audit, churn. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { churn, snapshotCluster, untilQuiet } from '../support/churn.ts'
import { KubernetesHttp } from '../support/kubernetes-http.ts'
import { startRealCluster, type RealCluster } from '../support/real-cluster.ts'

describe('a real control plane for tests', () => {
  let cluster: RealCluster
  beforeAll(async () => {
    cluster = await startRealCluster({ name: 'tools' })
  }, 120_000)
  afterAll(() => cluster?.close(), 60_000)

  test('its API server comes back on its port with all that it held, after kill -9', async () => {
    const { plane } = cluster
    await plane.http.must(
      plane.http.post('/api/v1/namespaces/default/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'survives' },
      }),
    )
    const { url } = plane
    await plane.killApiServer()
    await expect(plane.http.get('/version')).rejects.toThrow()
    await plane.startApiServer()
    expect(plane.url).toBe(url)
    expect((await plane.http.get('/api/v1/namespaces/default/configmaps/survives')).status).toBe(200)
  })

  test('its API server freezes and goes on', async () => {
    const { plane } = cluster
    plane.stopApiServer()
    const answer = plane.http.get('/version').then(() => 'answered')
    const silence = new Promise((resolve) => setTimeout(resolve, 500, 'silent'))
    const first = await Promise.race([answer, silence])
    plane.continueApiServer()
    expect(first).toBe('silent')
    expect(await answer).toBe('answered')
  })

  test('a rotated token replaces the one before it', async () => {
    const { plane } = cluster
    const dir = await mkdtemp(join(tmpdir(), 'fleetgraph-token-'))
    const file = join(dir, 'token')
    const first = await plane.rotateToken(file)
    expect(await readFile(file, 'utf8')).toBe(first)
    expect((await plane.http.get('/api/v1/pods', { token: first })).status).toBe(200)
    const second = await plane.rotateToken(file)
    expect((await plane.http.get('/api/v1/pods', { token: first })).status).toBe(401)
    expect((await plane.http.get('/api/v1/pods', { token: second })).status).toBe(200)
    await rm(dir, { recursive: true })
  }, 60_000)

  test('the audit log counts who watches what', async () => {
    const { plane } = cluster
    const watcher = new KubernetesHttp({
      url: plane.url,
      ca: plane.ca,
      token: plane.token('watcher', ['system:masters']),
    })
    const before = (await plane.requestsSeen()).get('watch namespaces') ?? 0
    const watch = await watcher.watch('/api/v1/namespaces')
    await watch.next()
    await watcher.close()
    await expect.poll(async () => (await plane.requestsSeen()).get('watch namespaces')).toBe(before + 1)
  })

  test('churn of one seed changes objects of many kinds, and the cluster comes to rest', async () => {
    const { plane } = cluster
    const report = await churn({ http: plane.http, ratePerSecond: 50, seconds: 5, seed: 7 })
    expect(report.failed).toEqual({})
    expect(Object.values(report.done).reduce((sum, count) => sum + count, 0)).toBe(250)
    expect(Object.keys(report.done).toSorted()).toEqual(['create', 'delete', 'scale', 'update'])
    const snapshot = await untilQuiet(plane.http)
    for (const resource of [
      'deployments.apps',
      'statefulsets.apps',
      'jobs.batch',
      'pods',
      'services',
      'events',
    ]) {
      expect(snapshot.get(resource)?.size, resource).toBeGreaterThan(0)
    }
    const { stdout } = await plane.kubectl('get', 'deployments', '-A', '-o', 'json')
    const { items } = JSON.parse(stdout) as { items: { metadata: { namespace: string; name: string } }[] }
    const listed = (await snapshotCluster(plane.http)).get('deployments.apps')
    expect(items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).toSorted()).toEqual(
      [...(listed?.keys() ?? [])].toSorted(),
    )
    for (const pod of snapshot.get('pods')?.values() ?? [])
      expect(pod.metadata.deletionTimestamp).toBeUndefined()
  }, 120_000)
})
