/** Chapter: create and update – what the server fills in, refuses, and counts as a change. */
import { beforeAll, describe, expect, test } from 'vitest'
import { at } from '../../support/kubernetes-http.ts'
import { configMap, deployment, expectFailure, pod, podTemplate, type Suite } from './server-under-test.ts'

export function describeWrites(suite: Suite): void {
  describe('create', () => {
    let namespace = ''
    let core = ''
    let apps = ''
    beforeAll(async () => {
      namespace = await suite.namespace()
      core = `/api/v1/namespaces/${namespace}`
      apps = `/apis/apps/v1/namespaces/${namespace}`
    })

    test('answers 201 with the object as it is stored', async () => {
      const { status, body } = await suite.http.post(`${core}/configmaps`, configMap('made', { a: '1' }))
      expect(status).toBe(201)
      expect(body).toMatchObject({
        kind: 'ConfigMap',
        metadata: { name: 'made', namespace },
        data: { a: '1' },
      })
      expect((await suite.http.get(`${core}/configmaps/made`)).body).toEqual(body)
    })

    test('what a client says about uid, version and times is not believed', async () => {
      const { body } = await suite.http.post(
        `${core}/configmaps`,
        configMap('liar', {}, { uid: 'mine', creationTimestamp: '2001-01-01T00:00:00Z', generation: 7 }),
      )
      expect(body.metadata.uid).not.toBe('mine')
      expect(body.metadata.creationTimestamp).not.toBe('2001-01-01T00:00:00Z')
      const versioned = await suite.http.post(
        `${core}/configmaps`,
        configMap('v', {}, { resourceVersion: '5' }),
      )
      // 500 without a reason is what the API server says: it never made this a 400.
      expect(versioned.status).toBe(500)
      expect(versioned.body.message).toBe('resourceVersion should not be set on objects to be created')
    })

    test('generateName makes a name that no other has', async () => {
      const generated = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'gen-' } }
      const first = await suite.http.must(suite.http.post(`${core}/configmaps`, generated))
      const second = await suite.http.must(suite.http.post(`${core}/configmaps`, generated))
      expect(first.metadata.name).toMatch(/^gen-[a-z0-9]{5}$/)
      expect(first.metadata.generateName).toBe('gen-')
      expect(second.metadata.name).not.toBe(first.metadata.name)
    })

    test('a name that is taken is 409 AlreadyExists', async () => {
      await suite.http.must(suite.http.post(`${core}/configmaps`, configMap('twice')))
      const answer = await suite.http.post(`${core}/configmaps`, configMap('twice'))
      expectFailure(answer, 409, 'AlreadyExists', 'configmaps "twice" already exists')
      expect(answer.body.details).toEqual({ name: 'twice', kind: 'configmaps' })
    })

    test('an object without a name is 422 that names the field', async () => {
      const answer = await suite.http.post(`${core}/configmaps`, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {},
      })
      expectFailure(
        answer,
        422,
        'Invalid',
        /metadata\.name: Required value: name or generateName is required/,
      )
      expect(answer.body.details?.causes).toEqual([
        { reason: 'FieldValueRequired', message: expect.any(String), field: 'metadata.name' },
      ])
    })

    test('a name that is none of DNS is 422', async () => {
      const answer = await suite.http.post(`${core}/configmaps`, configMap('Bad_Name'))
      expectFailure(
        answer,
        422,
        'Invalid',
        /^ConfigMap "Bad_Name" is invalid: metadata\.name: Invalid value: "Bad_Name"/,
      )
      expect(answer.body.details).toMatchObject({
        name: 'Bad_Name',
        kind: 'ConfigMap',
        causes: [{ reason: 'FieldValueInvalid', field: 'metadata.name' }],
      })
    })

    test('every fault of a workload is a cause with its field', async () => {
      const answer = await suite.http.post(`${apps}/deployments`, {
        ...deployment('wrong', { replicas: -1, selector: { matchLabels: { app: 'other' } } }),
      })
      expectFailure(answer, 422, 'Invalid', /^Deployment\.apps "wrong" is invalid: \[/)
      expect(answer.body.details).toMatchObject({ group: 'apps', kind: 'Deployment', name: 'wrong' })
      const fields = answer.body.details?.causes?.map(({ field }) => field)
      expect(fields).toEqual(expect.arrayContaining(['spec.replicas', 'spec.template.metadata.labels']))
    })

    test('a pod without containers, and one with a bad port, are 422', async () => {
      const none = await suite.http.post(`${core}/pods`, pod('none', {}, { containers: [] }))
      expectFailure(none, 422, 'Invalid', 'Pod "none" is invalid: spec.containers: Required value')
      const port = await suite.http.post(
        `${core}/pods`,
        pod('port', {}, { containers: [{ name: 'a', image: 'b', ports: [{ containerPort: 70000 }] }] }),
      )
      expectFailure(port, 422, 'Invalid', /containers\[0\]\.ports\[0\]\.containerPort: Invalid value: 70000/)
    })

    test('the path decides the namespace: another one in the body is 400', async () => {
      const answer = await suite.http.post(`${core}/configmaps`, configMap('x', {}, { namespace: 'default' }))
      expectFailure(
        answer,
        400,
        'BadRequest',
        /the namespace of the provided object does not match the namespace/,
      )
    })

    test('a body of another kind, or no JSON, is 400; an unknown media type 415', async () => {
      const kind = await suite.http.post(`${core}/configmaps`, pod('x'))
      expectFailure(kind, 400, 'BadRequest')
      const broken = await suite.http.post(`${core}/configmaps`, '{"apiVersion":')
      expectFailure(broken, 400, 'BadRequest')
      const media = await suite.http.post(`${core}/configmaps`, 'x', { contentType: 'text/csv' })
      expectFailure(media, 415, 'UnsupportedMediaType')
    })

    test('in a namespace that does not exist it is 404', async () => {
      const answer = await suite.http.post('/api/v1/namespaces/no-such/configmaps', configMap('x'))
      expectFailure(answer, 404, 'NotFound', 'namespaces "no-such" not found')
    })

    test('a method that a path does not have is 405', async () => {
      expectFailure(await suite.http.post(`${core}/configmaps/made`, {}), 405, 'MethodNotAllowed')
      expectFailure(await suite.http.put(`${core}/configmaps`, {}), 405, 'MethodNotAllowed')
    })

    test('YAML is as good as JSON', async () => {
      const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\ndata:\n  a: "1"\n'
      const { status, body } = await suite.http.post(`${core}/configmaps`, yaml, {
        contentType: 'application/yaml',
      })
      expect(status).toBe(201)
      expect(body).toMatchObject({ data: { a: '1' } })
    })

    test('dryRun=All answers as if, and stores nothing', async () => {
      const { status, body } = await suite.http.post(`${core}/configmaps?dryRun=All`, configMap('dry'))
      expect(status).toBe(201)
      expect(body.metadata.uid).toMatch(/-/)
      expect((await suite.http.get(`${core}/configmaps/dry`)).status).toBe(404)
      const invalid = await suite.http.post(`${core}/configmaps?dryRun=Some`, configMap('dry'))
      expectFailure(invalid, 422, 'Invalid', /dryRun/)
    })

    test('a pod gets the defaults that controllers and clients rely on', async () => {
      const { body } = await suite.http.post(
        `${core}/pods`,
        pod('defaults', {}, { nodeSelector: { none: 'x' } }),
      )
      expect(body).toMatchObject({
        spec: {
          restartPolicy: 'Always',
          dnsPolicy: 'ClusterFirst',
          schedulerName: 'default-scheduler',
          terminationGracePeriodSeconds: 30,
          serviceAccountName: 'default',
          enableServiceLinks: true,
          priority: 0,
          preemptionPolicy: 'PreemptLowerPriority',
          containers: [
            {
              imagePullPolicy: 'IfNotPresent',
              terminationMessagePath: '/dev/termination-log',
              resources: {},
            },
          ],
        },
        status: { phase: 'Pending', qosClass: 'BestEffort' },
      })
      expect(at(body, 'spec.tolerations')).toEqual(
        expect.arrayContaining([
          {
            key: 'node.kubernetes.io/not-ready',
            operator: 'Exists',
            effect: 'NoExecute',
            tolerationSeconds: 300,
          },
        ]),
      )
    })

    test('the quality of service follows from requests and limits', async () => {
      const qos = async (name: string, resources: object): Promise<unknown> => {
        const containers = [{ name: 'a', image: 'b:latest', resources }]
        const { body } = await suite.http.post(`${core}/pods?dryRun=All`, pod(name, {}, { containers }))
        expect(at(body, 'spec.containers.0.imagePullPolicy')).toBe('Always')
        return at(body, 'status.qosClass')
      }
      expect(await qos('burstable', { requests: { cpu: '100m' } })).toBe('Burstable')
      expect(await qos('guaranteed', { limits: { cpu: '1', memory: '1Gi' } })).toBe('Guaranteed')
    })

    test('a deployment gets its defaults', async () => {
      const { body } = await suite.http.post(`${apps}/deployments?dryRun=All`, {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'd' },
        spec: { selector: { matchLabels: { app: 'd' } }, template: podTemplate('d') },
      })
      expect(body).toMatchObject({
        metadata: { generation: 1 },
        spec: {
          replicas: 1,
          revisionHistoryLimit: 10,
          progressDeadlineSeconds: 600,
          strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
          template: { spec: { restartPolicy: 'Always', terminationGracePeriodSeconds: 30 } },
        },
      })
    })
  })

  describe('update', () => {
    let namespace = ''
    let core = ''
    let apps = ''
    beforeAll(async () => {
      namespace = await suite.namespace()
      core = `/api/v1/namespaces/${namespace}`
      apps = `/apis/apps/v1/namespaces/${namespace}`
    })

    test('replaces the object and moves its version on', async () => {
      const made = await suite.http.must(
        suite.http.post(`${core}/configmaps`, configMap('u', { a: '1', b: '2' })),
      )
      const { status, body } = await suite.http.put(`${core}/configmaps/u`, { ...made, data: { a: '3' } })
      expect(status).toBe(200)
      expect(body).toMatchObject({ data: { a: '3' }, metadata: { uid: made.metadata.uid } })
      expect(at(body, 'data.b')).toBeUndefined()
      expect(Number(body.metadata.resourceVersion)).toBeGreaterThan(Number(made.metadata.resourceVersion))
    })

    test('an old version is 409 Conflict, none at all wins', async () => {
      const made = await suite.http.must(suite.http.post(`${core}/configmaps`, configMap('c', { a: '1' })))
      await suite.http.must(suite.http.put(`${core}/configmaps/c`, { ...made, data: { a: '2' } }))
      const late = await suite.http.put(`${core}/configmaps/c`, { ...made, data: { a: '3' } })
      expectFailure(
        late,
        409,
        'Conflict',
        'Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again',
      )
      expect(late.body.details).toEqual({ name: 'c', kind: 'configmaps' })
      expect((await suite.http.put(`${core}/configmaps/c`, configMap('c', { a: '4' }))).status).toBe(200)
    })

    test('a change of nothing keeps the version, and no watcher hears of it', async () => {
      const made = await suite.http.must(suite.http.post(`${core}/configmaps`, configMap('same', { a: '1' })))
      const again = await suite.http.must(suite.http.put(`${core}/configmaps/same`, made))
      expect(again.metadata.resourceVersion).toBe(made.metadata.resourceVersion)
    })

    test('the uid, if given, has to be the one that is there', async () => {
      await suite.http.must(suite.http.post(`${core}/configmaps`, configMap('uid')))
      const other = configMap('uid', {}, { uid: '00000000-0000-0000-0000-000000000000' })
      expectFailure(
        await suite.http.put(`${core}/configmaps/uid`, other),
        409,
        'Conflict',
        /UID in precondition/,
      )
    })

    test('an object that is missing is 404, one of another name 400', async () => {
      expectFailure(await suite.http.put(`${core}/configmaps/none`, configMap('none')), 404, 'NotFound')
      const answer = await suite.http.put(`${core}/configmaps/none`, configMap('other'))
      expectFailure(
        answer,
        400,
        'BadRequest',
        /the name of the object \(other\) does not match the name on the URL \(none\)/,
      )
    })

    test('what may not change is 422', async () => {
      const made = await suite.http.must(
        suite.http.post(`${apps}/deployments`, deployment('immutable', { paused: true })),
      )
      const changed = await suite.http.patch(`${apps}/deployments/immutable`, 'json', [
        { op: 'replace', path: '/spec/selector/matchLabels', value: { app: 'x' } },
        { op: 'replace', path: '/spec/template/metadata/labels', value: { app: 'x' } },
      ])
      expectFailure(changed, 422, 'Invalid', /spec\.selector: Invalid value: .*field is immutable/)
      expect(made.metadata.generation).toBe(1)
    })

    test('the generation counts changes of the spec, not of metadata or status', async () => {
      const path = `${apps}/deployments/generation`
      await suite.http.must(
        suite.http.post(`${apps}/deployments`, deployment('generation', { paused: true, replicas: 0 })),
      )
      const label = await suite.http.patch(path, 'merge', { metadata: { labels: { a: 'b' } } })
      expect(label.body.metadata.generation).toBe(1)
      const scaled = await suite.http.patch(path, 'merge', { spec: { revisionHistoryLimit: 5 } })
      expect(scaled.body.metadata.generation).toBe(2)
      const status = await suite.http.patch(`${path}/status`, 'merge', { status: { collisionCount: 3 } })
      expect(status.body.metadata.generation).toBe(2)
    })

    test('an update of the object leaves status alone, one of status leaves the rest alone', async () => {
      const path = `${core}/pods/split`
      await suite.http.must(
        suite.http.post(`${core}/pods`, pod('split', {}, { nodeSelector: { none: 'x' } })),
      )
      const main = await suite.http.patch(path, 'merge', {
        metadata: { labels: { seen: 'yes' } },
        status: { phase: 'Failed', message: 'no' },
      })
      expect(main.body).toMatchObject({ metadata: { labels: { seen: 'yes' } }, status: { phase: 'Pending' } })
      const status = await suite.http.patch(`${path}/status`, 'merge', {
        metadata: { labels: { ignored: 'yes' } },
        spec: { nodeName: 'nowhere' },
        status: { message: 'said' },
      })
      expect(status.body).toMatchObject({
        metadata: { labels: { seen: 'yes' } },
        status: { message: 'said' },
      })
      expect(at(status.body, 'spec.nodeName')).toBeUndefined()
    })
  })
}
