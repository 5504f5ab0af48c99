/** Chapter: delete – answers, preconditions, finalizers, graceful ends, dependants, collections. */
import { beforeEach, describe, expect, test } from 'vitest'
import { at, type KubeJson } from '../../support/kubernetes-http.ts'
import {
  configMap,
  deployment,
  expectFailure,
  pod,
  untilGone,
  untilList,
  untilObject,
  type Suite,
} from './server-under-test.ts'

export function describeDeletes(suite: Suite): void {
  describe('delete', () => {
    let configMaps = ''
    let pods = ''
    let apps = ''
    beforeEach(async () => {
      const namespace = await suite.namespace()
      configMaps = `/api/v1/namespaces/${namespace}/configmaps`
      pods = `/api/v1/namespaces/${namespace}/pods`
      apps = `/apis/apps/v1/namespaces/${namespace}`
    })
    const create = (name: string, metadata: object = {}): Promise<KubeJson> =>
      suite.http.must(suite.http.post(configMaps, configMap(name, {}, metadata)))

    test('answers a Status that names what was deleted; the second time 404', async () => {
      const made = await create('a')
      const { status, body } = await suite.http.delete(`${configMaps}/a`)
      expect(status).toBe(200)
      expect(body).toMatchObject({
        kind: 'Status',
        apiVersion: 'v1',
        status: 'Success',
        details: { name: 'a', kind: 'configmaps', uid: made.metadata.uid },
      })
      expectFailure(await suite.http.delete(`${configMaps}/a`), 404, 'NotFound', 'configmaps "a" not found')
    })

    test('preconditions that do not hold are 409', async () => {
      const made = await create('a')
      const uid = await suite.http.delete(`${configMaps}/a`, { preconditions: { uid: 'another' } })
      expectFailure(uid, 409, 'Conflict', /UID in (the )?precondition/)
      const version = await suite.http.delete(`${configMaps}/a`, { preconditions: { resourceVersion: '1' } })
      expectFailure(version, 409, 'Conflict', /ResourceVersion in (the )?precondition/i)
      const right = await suite.http.delete(`${configMaps}/a`, { preconditions: { uid: made.metadata.uid } })
      expect(right.status).toBe(200)
    })

    test('a finalizer holds the object, marked, until it is taken off', async () => {
      await create('held', { finalizers: ['fleetgraph.test/hold'] })
      const { status, body } = await suite.http.delete(`${configMaps}/held`)
      expect(status).toBe(200)
      expect(body).toMatchObject({
        kind: 'ConfigMap',
        metadata: { deletionTimestamp: expect.any(String), deletionGracePeriodSeconds: 0 },
      })
      const more = await suite.http.patch(`${configMaps}/held`, 'merge', {
        metadata: { finalizers: ['fleetgraph.test/hold', 'fleetgraph.test/more'] },
      })
      expectFailure(more, 422, 'Invalid', /no new finalizers can be added if the object is being deleted/)
      await suite.http.must(
        suite.http.patch(`${configMaps}/held`, 'merge', { metadata: { finalizers: null } }),
      )
      expect((await suite.http.get(`${configMaps}/held`)).status).toBe(404)
    })

    test('dryRun=All deletes nothing', async () => {
      await create('dry')
      expect((await suite.http.delete(`${configMaps}/dry?dryRun=All`)).status).toBe(200)
      expect((await suite.http.delete(`${configMaps}/dry`, { dryRun: ['All'] })).status).toBe(200)
      expect((await suite.http.get(`${configMaps}/dry`)).status).toBe(200)
    })

    test('a running pod ends gracefully: it is answered marked, and goes when its kubelet is done', async () => {
      await suite.http.must(suite.http.post(pods, pod('p')))
      await untilObject(suite, `${pods}/p`, { status: { phase: 'Running' } })
      const { status, body } = await suite.http.delete(`${pods}/p`)
      expect(status).toBe(200)
      expect(body).toMatchObject({
        kind: 'Pod',
        metadata: { deletionTimestamp: expect.any(String), deletionGracePeriodSeconds: 30 },
      })
      await untilGone(suite, `${pods}/p`)
    })

    test('a pod without a node, or with a grace of 0 seconds, goes at once', async () => {
      await suite.http.must(suite.http.post(pods, pod('unbound', {}, { nodeSelector: { none: 'x' } })))
      await suite.http.must(suite.http.delete(`${pods}/unbound`))
      expect((await suite.http.get(`${pods}/unbound`)).status).toBe(404)
      await suite.http.must(suite.http.post(pods, pod('forced')))
      await untilObject(suite, `${pods}/forced`, { status: { phase: 'Running' } })
      await suite.http.must(suite.http.delete(`${pods}/forced?gracePeriodSeconds=0`))
      expect((await suite.http.get(`${pods}/forced`)).status).toBe(404)
    })

    test('the grace may be shortened by a second delete', async () => {
      const held = pod('short', { finalizers: ['fleetgraph.test/hold'] })
      await suite.http.must(suite.http.post(pods, held))
      await untilObject(suite, `${pods}/short`, { status: { phase: 'Running' } })
      const first = await suite.http.delete(`${pods}/short`, { gracePeriodSeconds: 20 })
      expect(first.body.metadata.deletionGracePeriodSeconds).toBe(20)
      await suite.http.must(suite.http.delete(`${pods}/short`, { gracePeriodSeconds: 5 }))
      const { body } = await suite.http.get(`${pods}/short`)
      expect(body.metadata.deletionGracePeriodSeconds).toBeLessThanOrEqual(5)
      await suite.http.must(suite.http.patch(`${pods}/short`, 'merge', { metadata: { finalizers: null } }))
      await untilGone(suite, `${pods}/short`)
    })

    test('a collection is deleted by selector, and answered as the list that went', async () => {
      await create('a', { labels: { go: 'yes' } })
      await create('b', { labels: { go: 'yes' } })
      await create('c')
      const { status, body } = await suite.http.delete(`${configMaps}?labelSelector=go%3Dyes`)
      expect(status).toBe(200)
      expect(body).toMatchObject({
        kind: 'ConfigMapList',
        items: [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }],
      })
      const left = await suite.http.must(
        suite.http.get(`${configMaps}?fieldSelector=metadata.name!%3Dkube-root-ca.crt`),
      )
      expect(left.items.map(({ metadata }) => metadata.name)).toEqual(['c'])
    })

    describe('and what depends on the object', () => {
      const start = async (name: string): Promise<void> => {
        await suite.http.must(suite.http.post(`${apps}/deployments`, deployment(name)))
        await untilObject(suite, `${apps}/deployments/${name}`, { status: { readyReplicas: 2 } })
      }
      const options = (propagationPolicy: string): object => ({
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy,
      })

      test('Background: the owner goes at once, its dependants after it', async () => {
        await start('background')
        await suite.http.must(suite.http.delete(`${apps}/deployments/background`, options('Background')))
        expect((await suite.http.get(`${apps}/deployments/background`)).status).toBe(404)
        await untilList(suite, `${apps}/replicasets`, (items) => expect(items).toEqual([]))
        await untilList(suite, pods, (items) => expect(items).toEqual([]))
      })

      test('Foreground: the owner waits, with a finalizer, for its dependants', async () => {
        await start('foreground')
        const { body } = await suite.http.delete(`${apps}/deployments/foreground`, options('Foreground'))
        expect(body).toMatchObject({
          kind: 'Deployment',
          metadata: { finalizers: ['foregroundDeletion'], deletionTimestamp: expect.any(String) },
        })
        await untilGone(suite, `${apps}/deployments/foreground`)
        expect((await suite.http.get(`${apps}/replicasets`)).body.items).toEqual([])
      })

      test('Orphan: the dependants stay, and lose the reference', async () => {
        await start('orphan')
        await suite.http.must(suite.http.delete(`${apps}/deployments/orphan`, options('Orphan')))
        await untilGone(suite, `${apps}/deployments/orphan`)
        const [replicaSet] = await untilList(suite, `${apps}/replicasets`, (items) => {
          expect(items).toHaveLength(1)
          expect(items[0]?.metadata.ownerReferences ?? []).toEqual([])
        })
        expect(at(replicaSet, 'status.replicas')).toBe(2)
      })

      test('an object whose owner never was is collected', async () => {
        await create('stray', {
          ownerReferences: [
            {
              apiVersion: 'v1',
              kind: 'ConfigMap',
              name: 'none',
              uid: '11111111-1111-1111-1111-111111111111',
            },
          ],
        })
        await untilGone(suite, `${configMaps}/stray`)
      })

      test('one owner of two is no reason to go', async () => {
        const first = await create('first')
        const second = await create('second')
        const ref = ({ metadata: { name, uid } }: KubeJson): object => ({
          apiVersion: 'v1',
          kind: 'ConfigMap',
          name,
          uid,
        })
        await create('both', { ownerReferences: [ref(first), ref(second)] })
        await suite.http.must(suite.http.delete(`${configMaps}/first`))
        const both = await untilObject(suite, `${configMaps}/both`, {
          metadata: { ownerReferences: [ref(second)] },
        })
        expect(both.metadata.deletionTimestamp).toBeUndefined()
        await suite.http.must(suite.http.delete(`${configMaps}/second`))
        await untilGone(suite, `${configMaps}/both`)
      })

      test('an unknown policy is 422', async () => {
        await create('policy')
        expectFailure(
          await suite.http.delete(`${configMaps}/policy`, options('Sideways')),
          422,
          'Invalid',
          /propagationPolicy/,
        )
      })
    })
  })
}
