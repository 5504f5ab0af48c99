/** Chapter: what a client asks first – version, groups, resources, OpenAPI, health. */
import { describe, expect, test } from 'vitest'
import { at, type KubeJson } from '../../support/kubernetes-http.ts'
import { expectFailure, needs, type Suite } from './server-under-test.ts'

const AGGREGATED = [
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
  'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList',
  'application/json',
].join(',')

const resourceOf = (list: KubeJson, name: string): unknown =>
  (at(list, 'resources') as readonly { readonly name: string }[]).find((entry) => entry.name === name)

export function describeDiscovery(suite: Suite): void {
  describe('discovery', () => {
    test('/version names the release, and needs no rights', async () => {
      const token = await suite.server.token(suite.unique('nobody'))
      const { body } = await suite.http.get('/version', { token })
      expect(body).toMatchObject({
        major: '1',
        minor: expect.stringMatching(/^\d+/),
        gitVersion: expect.stringMatching(/^v1\.\d+\.\d+/),
        platform: expect.stringMatching(/\//),
      })
    })

    test.each(['/healthz', '/livez', '/readyz'])('%s says ok', async (path) => {
      const { status, text } = await suite.http.get(path)
      expect({ status, text }).toEqual({ status: 200, text: 'ok' })
    })

    test('/api and /apis list versions and groups', async () => {
      expect((await suite.http.get('/api')).body).toMatchObject({ kind: 'APIVersions', versions: ['v1'] })
      const { body } = await suite.http.get('/apis')
      expect(body).toMatchObject({ kind: 'APIGroupList', apiVersion: 'v1' })
      const groups = (at(body, 'groups') as readonly { readonly name: string }[]).map(({ name }) => name)
      expect(groups).toEqual(
        expect.arrayContaining([
          'apps',
          'authentication.k8s.io',
          'authorization.k8s.io',
          'autoscaling',
          'batch',
          'coordination.k8s.io',
          'discovery.k8s.io',
          'networking.k8s.io',
          'policy',
          'rbac.authorization.k8s.io',
          'storage.k8s.io',
        ]),
      )
    })

    test('a group names its versions and the preferred one', async () => {
      expect((await suite.http.get('/apis/apps')).body).toMatchObject({
        kind: 'APIGroup',
        name: 'apps',
        versions: [{ groupVersion: 'apps/v1', version: 'v1' }],
        preferredVersion: { groupVersion: 'apps/v1', version: 'v1' },
      })
    })

    test('a group version lists its resources with names, verbs and categories', async () => {
      const { body } = await suite.http.get('/api/v1')
      expect(body).toMatchObject({ kind: 'APIResourceList', groupVersion: 'v1' })
      expect(resourceOf(body, 'pods')).toMatchObject({
        kind: 'Pod',
        namespaced: true,
        shortNames: ['po'],
        categories: ['all'],
        verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
      })
      expect(resourceOf(body, 'nodes')).toMatchObject({ kind: 'Node', namespaced: false, shortNames: ['no'] })
      expect(resourceOf(body, 'pods/status')).toMatchObject({
        kind: 'Pod',
        verbs: ['get', 'patch', 'update'],
      })
      expect(resourceOf(body, 'pods/log')).toMatchObject({ kind: 'Pod', verbs: ['get'] })
      expect(resourceOf(body, 'pods/eviction')).toMatchObject({
        kind: 'Eviction',
        group: 'policy',
        verbs: ['create'],
      })
    })

    test('the scale subresource is of group autoscaling', async () => {
      const { body } = await suite.http.get('/apis/apps/v1')
      expect(resourceOf(body, 'deployments')).toMatchObject({
        kind: 'Deployment',
        singularName: suite.server.minor >= 27 ? 'deployment' : '',
        shortNames: ['deploy'],
      })
      expect(resourceOf(body, 'deployments/scale')).toMatchObject({
        kind: 'Scale',
        group: 'autoscaling',
        version: 'v1',
        verbs: ['get', 'patch', 'update'],
      })
    })

    test('aggregated discovery answers groups with their resources in one request', async (context) => {
      needs(context, suite, 27, 'aggregated discovery is on by default')
      for (const [path, group] of [
        ['/api', ''],
        ['/apis', 'apps'],
      ] as const) {
        const { body, headers } = await suite.http.get(path, { accept: AGGREGATED })
        expect(headers['content-type']).toMatch(/g=apidiscovery\.k8s\.io/)
        expect(body.kind).toBe('APIGroupDiscoveryList')
        const found = body.items.find(({ metadata }) => (metadata.name ?? '') === group)
        expect(found).toMatchObject({ versions: [{ version: 'v1', freshness: 'Current' }] })
      }
      const { body } = await suite.http.get('/apis', { accept: AGGREGATED })
      const apps = body.items.find(({ metadata }) => metadata.name === 'apps')
      const deployments = (at(apps, 'versions.0.resources') as readonly { readonly resource: string }[]).find(
        ({ resource }) => resource === 'deployments',
      )
      expect(deployments).toMatchObject({
        // Its group and version are empty where they are those of the list.
        responseKind: { kind: 'Deployment' },
        scope: 'Namespaced',
        singularResource: 'deployment',
        shortNames: ['deploy'],
        categories: ['all'],
        verbs: expect.arrayContaining(['list', 'watch']),
        subresources: expect.arrayContaining([
          expect.objectContaining({
            subresource: 'scale',
            responseKind: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
          }),
        ]),
      })
    })

    test('an unknown group, version or resource is 404', async () => {
      expect((await suite.http.get('/apis/nope.example')).status).toBe(404)
      expect((await suite.http.get('/apis/apps/v9')).status).toBe(404)
      expectFailure(
        await suite.http.get('/api/v1/nopes'),
        404,
        'NotFound',
        'the server could not find the requested resource',
      )
    })

    test('the OpenAPI documents that kubectl reads are there', async (context) => {
      needs(context, suite, 27, 'OpenAPI v3 is on by default')
      const { body } = await suite.http.get('/openapi/v3')
      for (const path of ['api/v1', 'apis/apps/v1', 'apis/batch/v1']) {
        const url = (at(body, 'paths') as Record<string, { serverRelativeURL: string }>)[path]
          ?.serverRelativeURL
        expect(url, path).toMatch(new RegExp(`^/openapi/v3/${path}`))
        const document = await suite.http.get(url ?? '')
        expect(document.body).toMatchObject({ openapi: expect.stringMatching(/^3\./) })
      }
      const { body: apps } = await suite.http.get('/openapi/v3/apis/apps/v1')
      expect(Object.keys(at(apps, 'components.schemas') as object)).toContain('io.k8s.api.apps.v1.Deployment')
    })
  })
}
