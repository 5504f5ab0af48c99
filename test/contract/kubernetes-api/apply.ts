/** Chapter: server-side apply – managers, conflicts, force, and fields that their last manager gives up (KEP-555). */
import { beforeAll, describe, expect, test } from 'vitest'
import { at, PATCH, type Answer, type KubeJson } from '../../support/kubernetes-http.ts'
import { configMap, deployment, expectFailure, needs, type Suite } from './server-under-test.ts'

export function describeApply(suite: Suite): void {
  describe('server-side apply', () => {
    let namespace = ''
    let configMaps = ''
    let deployments = ''
    const apply = (path: string, manager: string, body: unknown, query = ''): Promise<Answer> =>
      suite.http.request('PATCH', `${path}?fieldManager=${manager}${query}`, {
        body,
        contentType: PATCH.apply,
      })
    const managers = (object: KubeJson): string[] =>
      (object.metadata.managedFields ?? []).map(({ manager, operation }) => `${manager} ${operation}`)

    beforeAll(async () => {
      namespace = await suite.namespace()
      configMaps = `/api/v1/namespaces/${namespace}/configmaps`
      deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`
    })

    test('refuses fields that the schema does not declare, by their paths', async (context) => {
      needs(context, suite, 25, 'before, what is not declared is told in other words')
      const path = `${configMaps}/misspelt`
      expect(
        await apply(path, 'alice', { ...configMap('misspelt'), dta: {} }, '&fieldValidation=Strict'),
      ).toMatchObject({
        status: 500,
        body: {
          code: 500,
          message:
            'failed to create typed patch object (/misspelt; /v1, Kind=ConfigMap): .dta: field not declared in schema',
        },
      })
      const spec = {
        selector: { matchLabels: { a: 'b' } },
        template: { spec: { containers: [{ name: 'a', imge: 'x' }] } },
      }
      const answer = await apply(`${deployments}/misspelt`, 'alice', {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'misspelt', namespace },
        spec,
      })
      expect(answer.status).toBe(500)
      expect(answer.body.message).toBe(
        `failed to create typed patch object (${namespace}/misspelt; apps/v1, Kind=Deployment): .spec.template.spec.containers[name="a"].imge: field not declared in schema`,
      )
    })

    test('leaves a resourceVersion aside where it creates, and holds to it where there is an object', async () => {
      const versioned = configMap('versioned', { a: '1' }, { resourceVersion: '1' })
      const path = `${configMaps}/versioned`
      expect((await apply(path, 'alice', versioned)).status).toBe(201)
      expectFailure(await apply(path, 'alice', versioned), 409, 'Conflict')
    })

    test('creates what is missing with 201, changes what is there with 200, and records the manager', async () => {
      const first = await apply(`${configMaps}/made`, 'alice', configMap('made', { a: '1' }))
      expect(first.status).toBe(201)
      expect(first.body.metadata.managedFields).toMatchObject([
        {
          manager: 'alice',
          operation: 'Apply',
          apiVersion: 'v1',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:data': { 'f:a': {} } },
          time: expect.any(String),
        },
      ])
      const second = await apply(`${configMaps}/made`, 'alice', configMap('made', { a: '2' }))
      expect(second.status).toBe(200)
      expect(at(second.body, 'data')).toEqual({ a: '2' })
    })

    test('a field that its only manager no longer applies is removed', async () => {
      await apply(`${configMaps}/removed`, 'alice', configMap('removed', { a: '1', b: '2' }))
      const { body } = await apply(`${configMaps}/removed`, 'alice', configMap('removed', { a: '1' }))
      expect(at(body, 'data')).toEqual({ a: '1' })
    })

    test('a field that another manager applies too stays', async () => {
      await apply(`${configMaps}/shared`, 'alice', configMap('shared', { a: '1', b: '2' }))
      await apply(`${configMaps}/shared`, 'bob', configMap('shared', { b: '2' }))
      const { body } = await apply(`${configMaps}/shared`, 'alice', configMap('shared', { a: '1' }))
      expect(at(body, 'data')).toEqual({ a: '1', b: '2' })
      expect(managers(body)).toEqual(expect.arrayContaining(['alice Apply', 'bob Apply']))
    })

    test('a field of another manager with another value is a conflict that names manager and field', async () => {
      await apply(`${configMaps}/conflict`, 'alice', configMap('conflict', { a: '1' }))
      const answer = await apply(`${configMaps}/conflict`, 'bob', configMap('conflict', { a: '2' }))
      expectFailure(answer, 409, 'Conflict', 'Apply failed with 1 conflict: conflict with "alice": .data.a')
      expect(answer.body.details?.causes).toEqual([
        { reason: 'FieldManagerConflict', message: 'conflict with "alice"', field: '.data.a' },
      ])
      expect(at((await suite.http.get(`${configMaps}/conflict`)).body, 'data.a')).toBe('1')
    })

    test('force takes the field over', async () => {
      await apply(`${configMaps}/force`, 'alice', configMap('force', { a: '1', mine: 'x' }))
      const { status, body } = await apply(
        `${configMaps}/force`,
        'bob',
        configMap('force', { a: '2' }),
        '&force=true',
      )
      expect(status).toBe(200)
      expect(at(body, 'data')).toEqual({ a: '2', mine: 'x' })
      const alice = body.metadata.managedFields?.find(({ manager }) => manager === 'alice')
      expect(alice?.fieldsV1).toEqual({ 'f:data': { 'f:mine': {} } })
    })

    test('an update owns what it changes, and an applier conflicts with it', async () => {
      await suite.http.must(
        suite.http.post(`${configMaps}?fieldManager=creator`, configMap('updated', { a: '1', b: '1' })),
      )
      await suite.http.must(
        suite.http.patch(`${configMaps}/updated?fieldManager=editor`, 'merge', { data: { b: '2' } }),
      )
      const { body } = await suite.http.get(`${configMaps}/updated`)
      expect(managers(body)).toEqual(expect.arrayContaining(['creator Update', 'editor Update']))
      const answer = await apply(`${configMaps}/updated`, 'alice', configMap('updated', { b: '3' }))
      expectFailure(
        answer,
        409,
        'Conflict',
        /^Apply failed with 1 conflict: conflict with "editor".*: \.data\.b$/,
      )
    })

    test('two conflicts are counted and listed', async () => {
      await apply(`${configMaps}/two`, 'alice', configMap('two', { a: '1', b: '1' }))
      const answer = await apply(`${configMaps}/two`, 'bob', configMap('two', { a: '2', b: '2' }))
      expectFailure(
        answer,
        409,
        'Conflict',
        /^Apply failed with 2 conflicts: conflicts with "alice":\n- \.data\.a\n- \.data\.b$/,
      )
      expect(answer.body.details?.causes).toHaveLength(2)
    })

    test('a list is merged by its key, item by item', async () => {
      const path = `${deployments}/listed`
      const of = (containers: object[]): object => ({
        ...deployment('listed', { paused: true, replicas: 0 }),
        spec: {
          selector: { matchLabels: { app: 'listed' } },
          template: { metadata: { labels: { app: 'listed' } }, spec: { containers } },
        },
      })
      expect((await apply(path, 'alice', of([{ name: 'a', image: 'a:1' }]))).status).toBe(201)
      const both = await apply(path, 'bob', of([{ name: 'b', image: 'b:1' }]))
      const containers = at(both.body, 'spec.template.spec.containers') as { name: string }[]
      expect(containers.map(({ name }) => name)).toEqual(['a', 'b'])
      const alice = both.body.metadata.managedFields?.find(({ manager }) => manager === 'alice')
      expect(alice?.fieldsV1).toMatchObject({
        'f:spec': {
          'f:template': { 'f:spec': { 'f:containers': { 'k:{"name":"a"}': { '.': {}, 'f:image': {} } } } },
        },
      })
      const conflict = await apply(
        path,
        'bob',
        of([
          { name: 'a', image: 'a:2' },
          { name: 'b', image: 'b:1' },
        ]),
      )
      expectFailure(conflict, 409, 'Conflict', /\.spec\.template\.spec\.containers\[name="a"\]\.image$/)
    })

    test('an apply without a field manager is 400, with managedFields of its own 400', async () => {
      const none = await suite.http.patch(`${configMaps}/nobody`, 'apply', configMap('nobody'))
      expect([400, 422]).toContain(none.status)
      expect(none.body.message).toMatch(/fieldManager: Required value/)
      const own = await apply(
        `${configMaps}/own`,
        'alice',
        configMap('own', {}, { managedFields: [{ manager: 'x' }] }),
      )
      expectFailure(own, 400, 'BadRequest', /metadata\.managedFields must be nil/)
    })

    test('force is for applies only', async () => {
      await suite.http.must(suite.http.post(configMaps, configMap('forced')))
      const answer = await suite.http.patch(`${configMaps}/forced?force=true`, 'merge', { data: { a: '1' } })
      expectFailure(answer, 422, 'Invalid', /force: Forbidden: may not be specified for non-apply patch/)
    })

    test('an apply of the same again changes nothing', async () => {
      const first = await apply(`${configMaps}/again`, 'alice', configMap('again', { a: '1' }))
      const second = await apply(`${configMaps}/again`, 'alice', configMap('again', { a: '1' }))
      expect(second.body.metadata.resourceVersion).toBe(first.body.metadata.resourceVersion)
      expect(second.body.metadata.managedFields).toEqual(first.body.metadata.managedFields)
    })

    test('YAML is taken, and dryRun=All stores nothing', async () => {
      const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  a: "1"\n'
      const dry = await apply(`${configMaps}/yaml`, 'alice', yaml, '&dryRun=All')
      expect(dry.status).toBe(201)
      expect((await suite.http.get(`${configMaps}/yaml`)).status).toBe(404)
    })

    test('the status subresource has its managers apart', async (context) => {
      needs(context, suite, 22, 'managedFields name the subresource')
      await suite.http.must(suite.http.post(deployments, deployment('status', { paused: true, replicas: 0 })))
      const { body } = await suite.http.patch(`${deployments}/status/status?fieldManager=reporter`, 'merge', {
        status: { collisionCount: 1 },
      })
      expect(body.metadata.managedFields).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ manager: 'reporter', operation: 'Update', subresource: 'status' }),
        ]),
      )
    })
  })
}
