/** Chapter: get and list – paging, selectors, and what a resourceVersion asks for. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { KubeJson } from '../../support/kubernetes-http.ts'
import { configMap, expectFailure, names, needs, pod, type Suite } from './server-under-test.ts'

export function describeList(suite: Suite): void {
  describe('get and list', () => {
    let namespace = ''
    let path = ''
    const list = async (query: string): Promise<KubeJson> =>
      suite.http.must(suite.http.get(`${path}?${query}`))

    beforeAll(async () => {
      namespace = await suite.namespace()
      path = `/api/v1/namespaces/${namespace}/configmaps`
      for (const [index, name] of ['g', 'c', 'a', 'e', 'b', 'f', 'd'].entries()) {
        const labels = { suite: 'list', parity: index % 2 === 0 ? 'even' : 'odd', [`only-${name}`]: '' }
        await suite.http.must(
          suite.http.post(path, configMap(`m-${name}`, { index: String(index) }, { labels })),
        )
      }
    })

    test('a single object carries its kind, a missing one is a NotFound Status with details', async () => {
      const { body } = await suite.http.get(`${path}/m-a`)
      expect(body).toMatchObject({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: 'm-a',
          namespace,
          uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
          resourceVersion: expect.stringMatching(/^\d+$/),
          creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        },
        data: { index: '2' },
      })
      const missing = await suite.http.get(`${path}/nope`)
      expectFailure(missing, 404, 'NotFound', 'configmaps "nope" not found')
      expect(missing.body.details).toEqual({ name: 'nope', kind: 'configmaps' })
      const workload = await suite.http.get(`/apis/apps/v1/namespaces/${namespace}/deployments/nope`)
      expectFailure(workload, 404, 'NotFound', 'deployments.apps "nope" not found')
      expect(workload.body.details).toEqual({ name: 'nope', group: 'apps', kind: 'deployments' })
    })

    test('a list names its kind once, carries a resourceVersion, and is sorted by name', async () => {
      const body = await list('labelSelector=suite%3Dlist')
      expect(body).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMapList' })
      expect(body.metadata.resourceVersion).toMatch(/^\d+$/)
      expect(names(body)).toEqual(['m-a', 'm-b', 'm-c', 'm-d', 'm-e', 'm-f', 'm-g'])
      expect(body.items[0]).not.toHaveProperty('kind')
      expect(body.items[0]).not.toHaveProperty('apiVersion')
    })

    test('a list over all namespaces is sorted by namespace, then name', async () => {
      const other = await suite.namespace()
      await suite.http.must(
        suite.http.post(
          `/api/v1/namespaces/${other}/configmaps`,
          configMap('a', {}, { labels: { suite: 'list' } }),
        ),
      )
      const { items } = await suite.http.must(suite.http.get('/api/v1/configmaps?labelSelector=suite%3Dlist'))
      const keys = items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
      expect(keys).toHaveLength(8)
      expect(keys).toEqual(keys.toSorted())
    })

    test('an empty list has items: []', async () => {
      expect(
        (await suite.http.get(`/api/v1/namespaces/${namespace}/persistentvolumeclaims`)).body.items,
      ).toEqual([])
      expect((await suite.http.get('/api/v1/namespaces/no-such/pods')).body.items).toEqual([])
    })

    describe('in pages', () => {
      // kube-root-ca.crt is in every namespace from 1.20 on: eight objects in all.
      test('limit and continue walk one consistent snapshot', async () => {
        const first = await list('limit=3')
        expect(names(first)).toEqual(['kube-root-ca.crt', 'm-a', 'm-b'])
        expect(first.metadata.remainingItemCount).toBe(5)
        await suite.http.must(suite.http.post(path, configMap('m-late')))
        const second = await list(`limit=3&continue=${first.metadata.continue}`)
        expect(names(second)).toEqual(['m-c', 'm-d', 'm-e'])
        expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion)
        const third = await list(`limit=3&continue=${second.metadata.continue}`)
        expect(names(third)).toEqual(['m-f', 'm-g'])
        expect(third.metadata.continue ?? '').toBe('')
        expect(third.metadata.remainingItemCount).toBeUndefined()
        await suite.http.must(suite.http.delete(`${path}/m-late`))
      })

      test('with a selector no remaining count is given', async () => {
        const first = await list('limit=2&labelSelector=parity%3Deven')
        expect(names(first)).toHaveLength(2)
        expect(first.metadata.continue).toBeTruthy()
        expect(first.metadata.remainingItemCount).toBeUndefined()
      })

      test('continue goes with no resourceVersion, and must be one that the server made', async () => {
        const first = await list('limit=3')
        const both = await suite.http.get(
          `${path}?limit=3&continue=${first.metadata.continue}&resourceVersion=1`,
        )
        expect(both.status).toBe(400)
        expectFailure(
          await suite.http.get(`${path}?limit=3&continue=nonsense`),
          400,
          'BadRequest',
          /continue/,
        )
      })
    })

    describe('by label', () => {
      test.each([
        ['parity=even', ['m-a', 'm-b', 'm-d', 'm-g']],
        ['parity==odd', ['m-c', 'm-e', 'm-f']],
        ['suite,parity!=even', ['m-c', 'm-e', 'm-f']],
        ['parity in (even,none)', ['m-a', 'm-b', 'm-d', 'm-g']],
        ['parity,parity notin (even)', ['m-c', 'm-e', 'm-f']],
        ['only-a', ['m-a']],
        ['!parity', ['kube-root-ca.crt']],
        ['parity=even,only-d', ['m-d']],
        ['parity!=even', ['kube-root-ca.crt', 'm-c', 'm-e', 'm-f']],
      ])('%s', async (selector, expected) => {
        expect(names(await list(`labelSelector=${encodeURIComponent(selector)}`))).toEqual(expected)
      })

      test('a selector that cannot be parsed is 400', async () => {
        const answer = await suite.http.get(`${path}?labelSelector=${encodeURIComponent('a in (')}`)
        expectFailure(answer, 400, 'BadRequest', /unable to parse requirement/)
      })
    })

    describe('by field', () => {
      test('metadata.name and metadata.namespace select any kind', async () => {
        expect(names(await list('fieldSelector=metadata.name%3Dm-c'))).toEqual(['m-c'])
        expect(names(await list('fieldSelector=metadata.name!%3Dm-c,metadata.name!%3Dm-d'))).not.toContain(
          'm-d',
        )
        const { items } = await suite.http.must(
          suite.http.get(
            `/api/v1/configmaps?fieldSelector=metadata.namespace%3D${namespace},metadata.name%3Dm-a`,
          ),
        )
        expect(items).toHaveLength(1)
      })

      test('pods are selected by node, phase and restart policy', async () => {
        const pods = `/api/v1/namespaces/${namespace}/pods`
        const nowhere = { nodeSelector: { 'no-such-label': 'x' } }
        await suite.http.must(suite.http.post(pods, pod('pending', {}, nowhere)))
        await suite.http.must(suite.http.post(pods, pod('never', {}, { ...nowhere, restartPolicy: 'Never' })))
        const by = async (selector: string): Promise<string[]> =>
          names(
            await suite.http.must(suite.http.get(`${pods}?fieldSelector=${encodeURIComponent(selector)}`)),
          )
        expect(await by('spec.nodeName=')).toEqual(['never', 'pending'])
        expect(await by('spec.nodeName!=')).toEqual([])
        expect(await by('status.phase=Pending,spec.restartPolicy=Never')).toEqual(['never'])
        expect(await by('status.phase!=Pending')).toEqual([])
      })

      test('a field that the kind does not index is 400', async () => {
        const answer = await suite.http.get(`${path}?fieldSelector=data.index%3D1`)
        expectFailure(answer, 400, 'BadRequest', /"data\.index" is not a known field selector/)
        const ofPods = await suite.http.get(`/api/v1/pods?fieldSelector=spec.hostname%3Dx`)
        expectFailure(ofPods, 400, 'BadRequest', /field label not supported: spec\.hostname/)
      })
    })

    describe('at a resourceVersion', () => {
      test('0 answers from any version, and none from the newest', async () => {
        expect(names(await list('resourceVersion=0'))).toContain('m-a')
        const made = await suite.http.must(suite.http.post(path, configMap('m-new')))
        const body = await list('resourceVersion=')
        expect(names(body)).toContain('m-new')
        expect(Number(body.metadata.resourceVersion)).toBeGreaterThanOrEqual(
          Number(made.metadata.resourceVersion),
        )
        await suite.http.must(suite.http.delete(`${path}/m-new`))
      })

      test('Exact answers the state of that version, NotOlderThan a newer one too', async () => {
        const before = await list('')
        await suite.http.must(suite.http.post(path, configMap('m-after')))
        const version = before.metadata.resourceVersion
        const exact = await list(`resourceVersion=${version}&resourceVersionMatch=Exact`)
        expect(names(exact)).toEqual(names(before))
        expect(exact.metadata.resourceVersion).toBe(version)
        const newer = await list(`resourceVersion=${version}&resourceVersionMatch=NotOlderThan`)
        expect(Number(newer.metadata.resourceVersion)).toBeGreaterThanOrEqual(Number(version))
        await suite.http.must(suite.http.delete(`${path}/m-after`))
      })

      test('a version without limit and match means not older than it', async () => {
        const made = await suite.http.must(suite.http.post(path, configMap('m-fresh')))
        expect(names(await list(`resourceVersion=${made.metadata.resourceVersion}`))).toContain('m-fresh')
        await suite.http.must(suite.http.delete(`${path}/m-fresh`))
      })

      test('combinations that have no meaning are refused, with the field that is wrong', async () => {
        const noVersion = await suite.http.get(`${path}?resourceVersionMatch=Exact`)
        expectFailure(
          noVersion,
          422,
          'Invalid',
          /resourceVersionMatch is forbidden unless resourceVersion is provided/,
        )
        const exactZero = await suite.http.get(`${path}?resourceVersion=0&resourceVersionMatch=Exact`)
        expectFailure(
          exactZero,
          422,
          'Invalid',
          /resourceVersionMatch "exact" is forbidden for resourceVersion "0"/,
        )
        const unknown = await suite.http.get(`${path}?resourceVersion=1&resourceVersionMatch=Newest`)
        expectFailure(unknown, 422, 'Invalid', /supported values/)
        const notANumber = await suite.http.get(`${path}?resourceVersion=abc`)
        if (suite.server.minor >= 34) {
          expectFailure(notANumber, 400, 'BadRequest', /^Invalid value: "abc"|invalid resource version/i)
        } else {
          // Servers of old took it for a fault of their own.
          expect([400, 500]).toContain(notANumber.status)
        }
      })

      test('initial events are refused on a list', async (context) => {
        needs(context, suite, 32, 'older servers ignore sendInitialEvents on lists')
        const answer = await suite.http.get(`${path}?sendInitialEvents=true`)
        expectFailure(answer, 422, 'Invalid', /sendInitialEvents is forbidden for list/)
      })

      test('a version of the future is a 504 that names its cause', async () => {
        const answer = await suite.http.get(
          `${path}?resourceVersion=999999999&resourceVersionMatch=NotOlderThan`,
        )
        expectFailure(
          answer,
          504,
          'Timeout',
          /^Timeout: Too large resource version: 999999999, current: \d+$/,
        )
        expect(answer.body.details).toMatchObject({
          causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
          retryAfterSeconds: 1,
        })
      })
    })
  })
}
