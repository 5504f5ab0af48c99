/** Chapter: scale, eviction, log, binding's effect – what hangs below an object's path. */
import { beforeAll, describe, expect, test } from 'vitest'
import { at } from '../../support/kubernetes-http.ts'
import {
  deployment,
  expectFailure,
  pod,
  untilGone,
  untilList,
  untilObject,
  type Suite,
} from './server-under-test.ts'

export function describeSubresources(suite: Suite): void {
  describe('subresources', () => {
    let namespace = ''
    let core = ''
    let apps = ''
    beforeAll(async () => {
      namespace = await suite.namespace()
      core = `/api/v1/namespaces/${namespace}`
      apps = `/apis/apps/v1/namespaces/${namespace}`
    })

    describe('scale', () => {
      let path = ''
      beforeAll(async () => {
        path = `${apps}/deployments/scaled`
        await suite.http.must(suite.http.post(`${apps}/deployments`, deployment('scaled', { replicas: 1 })))
        await untilObject(suite, path, { status: { readyReplicas: 1 } })
      })

      test('get answers a Scale with the selector as text', async () => {
        const owner = (await suite.http.get(path)).body
        expect((await suite.http.get(`${path}/scale`)).body).toMatchObject({
          kind: 'Scale',
          apiVersion: 'autoscaling/v1',
          metadata: { name: 'scaled', namespace, uid: owner.metadata.uid },
          spec: { replicas: expect.any(Number) },
          status: { selector: 'app=scaled' },
        })
      })

      test('put and patch change the replicas of the owner', async () => {
        const scale = (await suite.http.get(`${path}/scale`)).body
        const put = await suite.http.put(`${path}/scale`, { ...scale, spec: { replicas: 3 } })
        expect(put.status).toBe(200)
        expect(put.body).toMatchObject({ kind: 'Scale', spec: { replicas: 3 } })
        await untilObject(suite, path, { spec: { replicas: 3 }, status: { readyReplicas: 3 } })
        const patch = await suite.http.patch(`${path}/scale`, 'merge', { spec: { replicas: 2 } })
        expect(patch.body).toMatchObject({ spec: { replicas: 2 } })
        await untilObject(suite, path, { spec: { replicas: 2 }, status: { replicas: 2 } })
      })

      test('an old version is 409, a negative number 422, a missing owner 404', async () => {
        const scale = (await suite.http.get(`${path}/scale`)).body
        const stale = {
          ...scale,
          metadata: { ...scale.metadata, resourceVersion: '1' },
          spec: { replicas: 5 },
        }
        expectFailure(await suite.http.put(`${path}/scale`, stale), 409, 'Conflict')
        const negative = await suite.http.patch(`${path}/scale`, 'merge', { spec: { replicas: -1 } })
        expectFailure(negative, 422, 'Invalid', /spec\.replicas: Invalid value: -1/)
        expectFailure(await suite.http.get(`${apps}/deployments/none/scale`), 404, 'NotFound')
      })
    })

    describe('eviction', () => {
      const eviction = (name: string, more: object = {}): object => ({
        apiVersion: suite.server.minor >= 22 ? 'policy/v1' : 'policy/v1beta1',
        kind: 'Eviction',
        metadata: { name, namespace },
        ...more,
      })
      const policy = (): string => (suite.server.minor >= 22 ? 'v1' : 'v1beta1')

      test('without a budget it deletes the pod, gracefully', async () => {
        await suite.http.must(suite.http.post(`${core}/pods`, pod('evicted')))
        await untilObject(suite, `${core}/pods/evicted`, { status: { phase: 'Running' } })
        const { status, body } = await suite.http.post(`${core}/pods/evicted/eviction`, eviction('evicted'))
        expect(status).toBe(201)
        expect(body).toMatchObject({ kind: 'Status', status: 'Success' })
        await untilGone(suite, `${core}/pods/evicted`)
      })

      test('a budget that has none to give refuses with 429 and says which', async () => {
        await suite.http.must(suite.http.post(`${apps}/deployments`, deployment('guarded')))
        await suite.http.must(
          suite.http.post(`/apis/policy/${policy()}/namespaces/${namespace}/poddisruptionbudgets`, {
            apiVersion: `policy/${policy()}`,
            kind: 'PodDisruptionBudget',
            metadata: { name: 'guard' },
            spec: { minAvailable: 2, selector: { matchLabels: { app: 'guarded' } } },
          }),
        )
        await untilObject(
          suite,
          `/apis/policy/${policy()}/namespaces/${namespace}/poddisruptionbudgets/guard`,
          {
            status: { currentHealthy: 2, desiredHealthy: 2, expectedPods: 2, disruptionsAllowed: 0 },
          },
        )
        const [first] = await untilList(suite, `${core}/pods?labelSelector=app%3Dguarded`, (items) => {
          expect(items).toHaveLength(2)
        })
        const name = first?.metadata.name ?? ''
        const answer = await suite.http.post(`${core}/pods/${name}/eviction`, eviction(name))
        expectFailure(
          answer,
          429,
          'TooManyRequests',
          "Cannot evict pod as it would violate the pod's disruption budget.",
        )
        expect(answer.body.details?.causes).toMatchObject([
          {
            reason: 'DisruptionBudget',
            message: expect.stringContaining('guard needs 2 healthy pods and has 2'),
          },
        ])
        await suite.http.must(
          suite.http.patch(`${apps}/deployments/guarded/scale`, 'merge', { spec: { replicas: 3 } }),
        )
        await untilObject(
          suite,
          `/apis/policy/${policy()}/namespaces/${namespace}/poddisruptionbudgets/guard`,
          {
            status: { disruptionsAllowed: 1 },
          },
        )
        expect((await suite.http.post(`${core}/pods/${name}/eviction`, eviction(name))).status).toBe(201)
      })

      test('dryRun evicts nobody; a missing pod is 404', async () => {
        await suite.http.must(suite.http.post(`${core}/pods`, pod('kept')))
        const dry = await suite.http.post(
          `${core}/pods/kept/eviction`,
          eviction('kept', { deleteOptions: { dryRun: ['All'] } }),
        )
        expect(dry.status).toBe(201)
        expect((await suite.http.get(`${core}/pods/kept`)).body.metadata.deletionTimestamp).toBeUndefined()
        expectFailure(await suite.http.post(`${core}/pods/none/eviction`, eviction('none')), 404, 'NotFound')
      })
    })

    describe('log', () => {
      beforeAll(async () => {
        await suite.http.must(suite.http.post(`${core}/pods`, pod('talks')))
        await untilObject(suite, `${core}/pods/talks`, { status: { phase: 'Running' } })
      })

      test('answers plain text, the last lines if asked', async () => {
        const all = await suite.http.get(`${core}/pods/talks/log`)
        expect(all.status).toBe(200)
        expect(all.headers['content-type']).toMatch(/^text\/plain/)
        expect(all.text.trim()).not.toBe('')
        const last = await suite.http.get(`${core}/pods/talks/log?tailLines=1`)
        expect(last.text.trim().split('\n')).toHaveLength(1)
        const named = await suite.http.get(`${core}/pods/talks/log?container=main&tailLines=1`)
        expect(named.status).toBe(200)
      })

      test('a container that is not of the pod is 400, a pod that is missing 404', async () => {
        const answer = await suite.http.get(`${core}/pods/talks/log?container=nope`)
        expectFailure(answer, 400, 'BadRequest', 'container nope is not valid for pod talks')
        expectFailure(await suite.http.get(`${core}/pods/none/log`), 404, 'NotFound', 'pods "none" not found')
      })

      test('a pod of several containers asks for the name of one', async () => {
        const containers = ['a', 'b'].map((name) => ({ name, image: 'x' }))
        await suite.http.must(suite.http.post(`${core}/pods`, pod('two', {}, { containers })))
        await untilObject(suite, `${core}/pods/two`, { status: { phase: 'Running' } })
        expectFailure(
          await suite.http.get(`${core}/pods/two/log`),
          400,
          'BadRequest',
          'a container name must be specified for pod two, choose one of: [a b]',
        )
      })
    })

    test('a pod that is bound through its subresource runs on that node', async () => {
      const spec = { schedulerName: 'nobody' }
      await suite.http.must(suite.http.post(`${core}/pods`, pod('bound', {}, spec)))
      const { status } = await suite.http.post(`${core}/pods/bound/binding`, {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: 'bound' },
        target: { apiVersion: 'v1', kind: 'Node', name: suite.server.nodeNames[0] },
      })
      expect(status).toBe(201)
      const body = await untilObject(suite, `${core}/pods/bound`, { status: { phase: 'Running' } })
      expect(at(body, 'spec.nodeName')).toBe(suite.server.nodeNames[0])
    })
  })
}
