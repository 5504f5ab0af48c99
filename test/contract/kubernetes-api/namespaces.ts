/** Chapter: the life of a namespace. */
import { describe, expect, test } from 'vitest'
import { at } from '../../support/kubernetes-http.ts'
import {
  configMap,
  deployment,
  expectFailure,
  pod,
  untilGone,
  untilObject,
  type Suite,
} from './server-under-test.ts'

export function describeNamespaces(suite: Suite): void {
  describe('namespaces', () => {
    test('a cluster comes with its own', async () => {
      for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
        expect((await suite.http.get(`/api/v1/namespaces/${name}`)).body).toMatchObject({
          status: { phase: 'Active' },
        })
      }
      expect((await suite.http.get('/api/v1/namespaces/default/services/kubernetes')).status).toBe(200)
    })

    test('a new one is Active, labelled with its name, and held by the finalizer kubernetes', async () => {
      const name = await suite.namespace()
      expect((await suite.http.get(`/api/v1/namespaces/${name}`)).body).toMatchObject({
        ...(suite.server.minor >= 21 && { metadata: { labels: { 'kubernetes.io/metadata.name': name } } }),
        spec: { finalizers: ['kubernetes'] },
        status: { phase: 'Active' },
      })
    })

    test('it gets a default service account and the root certificate', async () => {
      const name = await suite.namespace()
      expect((await suite.http.get(`/api/v1/namespaces/${name}/serviceaccounts/default`)).status).toBe(200)
      const { body } = await suite.http.get(`/api/v1/namespaces/${name}/configmaps/kube-root-ca.crt`)
      expect(at(body, 'data')).toEqual({ 'ca.crt': expect.stringContaining('BEGIN CERTIFICATE') })
    })

    test('what belongs to it by default comes back when it is deleted', async () => {
      const path = `/api/v1/namespaces/${await suite.namespace()}/serviceaccounts/default`
      const { body } = await suite.http.get(path)
      await suite.http.must(suite.http.delete(path))
      const again = await untilObject(suite, path, { metadata: { name: 'default' } })
      expect(again.metadata.uid).not.toBe(body.metadata.uid)
    })

    test('its deletion takes everything in it, then itself', async () => {
      const name = await suite.namespace()
      const path = `/api/v1/namespaces/${name}`
      await suite.http.must(suite.http.post(`/apis/apps/v1/namespaces/${name}/deployments`, deployment('d')))
      await suite.http.must(suite.http.post(`${path}/configmaps`, configMap('c')))
      await untilObject(suite, `/apis/apps/v1/namespaces/${name}/deployments/d`, {
        status: { readyReplicas: 2 },
      })
      const { status, body } = await suite.http.delete(path)
      expect(status).toBe(200)
      expect(body).toMatchObject({
        kind: 'Namespace',
        metadata: { deletionTimestamp: expect.any(String) },
        status: { phase: 'Terminating' },
      })
      await untilGone(suite, path)
      expect((await suite.http.get(`/api/v1/namespaces/${name}/pods`)).body.items).toEqual([])
      expect((await suite.http.get(`/apis/apps/v1/namespaces/${name}/deployments`)).body.items).toEqual([])
    })

    test('while it terminates nothing can be created in it', async () => {
      const name = await suite.namespace()
      const path = `/api/v1/namespaces/${name}`
      const held = configMap('held', {}, { finalizers: ['fleetgraph.test/hold'] })
      await suite.http.must(suite.http.post(`${path}/configmaps`, held))
      await suite.http.must(suite.http.delete(path))
      const refused = await suite.http.post(`${path}/pods`, pod('late'))
      expectFailure(
        refused,
        403,
        'Forbidden',
        /^pods "late" is forbidden: unable to create new content in namespace .* because it is being terminated$/,
      )
      expect(refused.body.details?.causes).toMatchObject([
        { reason: 'NamespaceTerminating', field: 'metadata.namespace' },
      ])
      await suite.http.must(
        suite.http.patch(`${path}/configmaps/held`, 'merge', { metadata: { finalizers: null } }),
      )
      await untilGone(suite, path, 60_000)
    })

    test('one that is not there is 404, and default cannot be deleted', async () => {
      expectFailure(
        await suite.http.get('/api/v1/namespaces/none'),
        404,
        'NotFound',
        'namespaces "none" not found',
      )
      const answer = await suite.http.delete('/api/v1/namespaces/default')
      expectFailure(
        answer,
        403,
        'Forbidden',
        /^namespaces "default" is forbidden: this namespace may not be deleted$/,
      )
    })
  })
}
