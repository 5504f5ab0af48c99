/** Chapter: JSON patch, merge patch, strategic merge patch. */
import { beforeAll, describe, expect, test } from 'vitest'
import { at } from '../../support/kubernetes-http.ts'
import { configMap, deployment, expectFailure, type Suite } from './server-under-test.ts'

export function describePatches(suite: Suite): void {
  describe('patch', () => {
    let configMaps = ''
    let deployments = ''
    beforeAll(async () => {
      const namespace = await suite.namespace()
      configMaps = `/api/v1/namespaces/${namespace}/configmaps`
      deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`
    })

    test('a merge patch sets, and removes what is null', async () => {
      await suite.http.must(
        suite.http.post(configMaps, configMap('merge', { keep: '1', change: '2', drop: '3' })),
      )
      const { status, body } = await suite.http.patch(`${configMaps}/merge`, 'merge', {
        data: { change: '4', drop: null, add: '5' },
      })
      expect(status).toBe(200)
      expect(at(body, 'data')).toEqual({ keep: '1', change: '4', add: '5' })
    })

    test('a merge patch replaces a list as a whole', async () => {
      await suite.http.must(
        suite.http.post(deployments, deployment('merge-list', { paused: true, replicas: 0 })),
      )
      const { body } = await suite.http.patch(`${deployments}/merge-list`, 'merge', {
        spec: { template: { spec: { containers: [{ name: 'other', image: 'other' }] } } },
      })
      expect(at(body, 'spec.template.spec.containers')).toMatchObject([{ name: 'other', image: 'other' }])
    })

    test('a strategic patch merges a list by its key', async () => {
      await suite.http.must(
        suite.http.post(deployments, deployment('strategic', { paused: true, replicas: 0 })),
      )
      const path = `${deployments}/strategic`
      const added = await suite.http.patch(path, 'strategic', {
        spec: { template: { spec: { containers: [{ name: 'side', image: 'side:1' }] } } },
      })
      const containers = at(added.body, 'spec.template.spec.containers') as { name: string }[]
      expect(containers.map(({ name }) => name).toSorted()).toEqual(['main', 'side'])
      const changed = await suite.http.patch(path, 'strategic', {
        spec: {
          template: {
            spec: { containers: [{ name: 'side', image: 'side:2', env: [{ name: 'A', value: '1' }] }] },
          },
        },
      })
      expect(at(changed.body, 'spec.template.spec.containers')).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ name: 'side', image: 'side:2', env: [{ name: 'A', value: '1' }] }),
        ]),
      )
      const removed = await suite.http.patch(path, 'strategic', {
        spec: { template: { spec: { containers: [{ name: 'side', $patch: 'delete' }] } } },
      })
      expect(at(removed.body, 'spec.template.spec.containers')).toMatchObject([{ name: 'main' }])
    })

    test('a strategic patch can replace a map, and delete from a list of primitives', async () => {
      await suite.http.must(
        suite.http.post(
          configMaps,
          configMap('directives', { a: '1' }, { finalizers: ['x.test/a', 'x.test/b'] }),
        ),
      )
      const path = `${configMaps}/directives`
      const replaced = await suite.http.patch(path, 'strategic', { data: { $patch: 'replace', b: '2' } })
      expect(at(replaced.body, 'data')).toEqual({ b: '2' })
      const { body } = await suite.http.patch(path, 'strategic', {
        metadata: { '$deleteFromPrimitiveList/finalizers': ['x.test/a'] },
      })
      expect(body.metadata.finalizers).toEqual(['x.test/b'])
      await suite.http.must(suite.http.patch(path, 'merge', { metadata: { finalizers: null } }))
    })

    test('a JSON patch applies its operations in order, or none', async () => {
      await suite.http.must(
        suite.http.post(
          configMaps,
          configMap('json', { a: '1', b: '2' }, { annotations: { 'x/y': 'slashed' } }),
        ),
      )
      const path = `${configMaps}/json`
      const { body } = await suite.http.patch(path, 'json', [
        { op: 'test', path: '/data/a', value: '1' },
        { op: 'copy', from: '/data/a', path: '/data/d' },
        { op: 'move', from: '/data/b', path: '/data/e' },
        { op: 'replace', path: '/data/a', value: '9' },
        { op: 'replace', path: '/metadata/annotations/x~1y', value: 'changed' },
        { op: 'add', path: '/metadata/labels', value: { l: 'v' } },
      ])
      expect(body).toMatchObject({
        data: { a: '9', d: '1', e: '2' },
        metadata: { labels: { l: 'v' }, annotations: { 'x/y': 'changed' } },
      })
      const failed = await suite.http.patch(path, 'json', [
        { op: 'remove', path: '/data/a' },
        { op: 'test', path: '/data/d', value: 'not this' },
      ])
      expectFailure(failed, 422, 'Invalid')
      expect(at((await suite.http.get(path)).body, 'data.a')).toBe('9')
    })

    test('a JSON patch on a path that is not there is 422', async () => {
      await suite.http.must(suite.http.post(configMaps, configMap('nopath')))
      const answer = await suite.http.patch(`${configMaps}/nopath`, 'json', [
        { op: 'remove', path: '/data/none' },
      ])
      expectFailure(answer, 422, 'Invalid')
    })

    test('a patch may carry the version that it is meant for', async () => {
      const made = await suite.http.must(suite.http.post(configMaps, configMap('locked')))
      const path = `${configMaps}/locked`
      const { resourceVersion } = made.metadata
      const first = await suite.http.patch(path, 'merge', { metadata: { resourceVersion }, data: { a: '1' } })
      expect(first.status).toBe(200)
      const second = await suite.http.patch(path, 'merge', {
        metadata: { resourceVersion },
        data: { a: '2' },
      })
      expectFailure(second, 409, 'Conflict')
    })

    test('a patch of a missing object is 404, of an unknown type 415, without sense 400', async () => {
      expectFailure(await suite.http.patch(`${configMaps}/none`, 'merge', {}), 404, 'NotFound')
      const type = await suite.http.request('PATCH', `${configMaps}/none`, {
        body: {},
        contentType: 'application/json',
      })
      expectFailure(type, 415, 'UnsupportedMediaType')
      await suite.http.must(suite.http.post(configMaps, configMap('nonsense')))
      const broken = await suite.http.request('PATCH', `${configMaps}/nonsense`, {
        body: '{',
        contentType: 'application/merge-patch+json',
      })
      if (suite.server.minor >= 34) expectFailure(broken, 400, 'BadRequest')
      // Servers of old took it for a fault of their own.
      else expect([400, 500]).toContain(broken.status)
    })

    test('an unchanged object keeps its version; dryRun=All changes nothing', async () => {
      const made = await suite.http.must(suite.http.post(configMaps, configMap('still', { a: '1' })))
      const path = `${configMaps}/still`
      const same = await suite.http.patch(path, 'merge', { data: { a: '1' } })
      expect(same.body.metadata.resourceVersion).toBe(made.metadata.resourceVersion)
      const dry = await suite.http.patch(`${path}?dryRun=All`, 'merge', { data: { a: '2' } })
      expect(at(dry.body, 'data.a')).toBe('2')
      expect(at((await suite.http.get(path)).body, 'data.a')).toBe('1')
    })
  })
}
