/** Chapter: kinds that a CustomResourceDefinition adds while the cluster runs. */
import { beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { at } from '../../support/kubernetes-http.ts'
import { expectFailure, names, untilObject, type Suite } from './server-under-test.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

export function describeCustomResources(suite: Suite): void {
  describe('custom resources', () => {
    let group = ''
    let namespace = ''
    let path = ''
    const widget = (name: string, spec: object, metadata: object = {}): object => ({
      apiVersion: `${group}/v1`,
      kind: 'Widget',
      metadata: { name, ...metadata },
      spec,
    })

    beforeAll(async () => {
      namespace = await suite.namespace()
      group = `${suite.unique('widgets')}.test`
      path = `/apis/${group}/v1/namespaces/${namespace}/widgets`
      await suite.http.must(
        suite.http.post(DEFINITIONS, {
          apiVersion: 'apiextensions.k8s.io/v1',
          kind: 'CustomResourceDefinition',
          metadata: { name: `widgets.${group}` },
          spec: {
            group,
            scope: 'Namespaced',
            names: { kind: 'Widget', plural: 'widgets', singular: 'widget', shortNames: ['wd'] },
            versions: [
              {
                name: 'v1',
                served: true,
                storage: true,
                subresources: {
                  status: {},
                  scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
                },
                additionalPrinterColumns: [{ name: 'Size', type: 'string', jsonPath: '.spec.size' }],
                schema: {
                  openAPIV3Schema: {
                    type: 'object',
                    properties: {
                      spec: {
                        type: 'object',
                        required: ['size'],
                        properties: {
                          size: { type: 'string', enum: ['small', 'large'] },
                          replicas: { type: 'integer', minimum: 0 },
                        },
                      },
                      status: { type: 'object', properties: { replicas: { type: 'integer' } } },
                    },
                  },
                },
              },
            ],
          },
        }),
      )
      await untilObject(suite, `${DEFINITIONS}/widgets.${group}`, {
        status: {
          conditions: expect.arrayContaining([
            expect.objectContaining({ type: 'Established', status: 'True' }),
          ]),
          acceptedNames: { kind: 'Widget', plural: 'widgets' },
        },
      })
      await eventually(async () => expect((await suite.http.get(path)).status).toBe(200))
    })

    test('are discovered like any other', async () => {
      await eventually(async () => {
        const { body } = await suite.http.get('/apis')
        expect((at(body, 'groups') as readonly { name: string }[]).map(({ name }) => name)).toContain(group)
      })
      expect((await suite.http.get(`/apis/${group}/v1`)).body).toMatchObject({
        kind: 'APIResourceList',
        groupVersion: `${group}/v1`,
        resources: expect.arrayContaining([
          expect.objectContaining({ name: 'widgets', kind: 'Widget', namespaced: true, shortNames: ['wd'] }),
          expect.objectContaining({ name: 'widgets/status' }),
          expect.objectContaining({ name: 'widgets/scale', kind: 'Scale' }),
        ]),
      })
    })

    test('are created, listed with their kind, watched, patched and deleted', async () => {
      const { metadata } = await suite.http.must(suite.http.get(path))
      const watch = await suite.http.watch(`${path}?resourceVersion=${metadata.resourceVersion}`)
      const made = await suite.http.post(path, widget('a', { size: 'small' }))
      expect(made.status).toBe(201)
      expect(made.body).toMatchObject({
        kind: 'Widget',
        metadata: { generation: 1, namespace },
        spec: { size: 'small' },
      })
      const list = await suite.http.must(suite.http.get(path))
      expect(list.kind).toBe('WidgetList')
      // Unlike those of built-in kinds, the items carry their kind.
      expect(list.items[0]).toMatchObject({ kind: 'Widget', apiVersion: `${group}/v1` })
      const patched = await suite.http.patch(`${path}/a`, 'merge', { spec: { size: 'large' } })
      expect(patched.body).toMatchObject({ metadata: { generation: 2 }, spec: { size: 'large' } })
      await suite.http.must(suite.http.delete(`${path}/a`))
      const seen = [await watch.next(), await watch.next(), await watch.next()]
      watch.close()
      expect(seen.map(({ type }) => type)).toEqual(['ADDED', 'MODIFIED', 'DELETED'])
    })

    test('are checked against their schema, and lose what it does not know', async () => {
      expectFailure(
        await suite.http.post(path, widget('no-size', {})),
        422,
        'Invalid',
        /spec\.size: Required value/,
      )
      expectFailure(
        await suite.http.post(path, widget('huge', { size: 'huge' })),
        422,
        'Invalid',
        /spec\.size: Unsupported value: "huge"/,
      )
      const pruned = await suite.http.post(path, widget('pruned', { size: 'small', colour: 'red' }))
      expect(at(pruned.body, 'spec')).toEqual({ size: 'small' })
    })

    test('take no strategic patch', async () => {
      await suite.http.must(suite.http.post(path, widget('plain', { size: 'small' })))
      const answer = await suite.http.patch(`${path}/plain`, 'strategic', { spec: { size: 'large' } })
      expectFailure(answer, 415, 'UnsupportedMediaType')
    })

    test('have status and scale apart from the rest', async () => {
      await suite.http.must(suite.http.post(path, widget('apart', { size: 'small', replicas: 2 })))
      const main = await suite.http.patch(`${path}/apart`, 'merge', { status: { replicas: 9 } })
      expect(at(main.body, 'status')).toBeUndefined()
      const status = await suite.http.patch(`${path}/apart/status`, 'merge', {
        spec: { size: 'large' },
        status: { replicas: 2 },
      })
      expect(status.body).toMatchObject({
        metadata: { generation: 1 },
        spec: { size: 'small' },
        status: { replicas: 2 },
      })
      expect((await suite.http.get(`${path}/apart/scale`)).body).toMatchObject({
        kind: 'Scale',
        spec: { replicas: 2 },
        status: { replicas: 2 },
      })
      await suite.http.must(suite.http.patch(`${path}/apart/scale`, 'merge', { spec: { replicas: 5 } }))
      expect(at((await suite.http.get(`${path}/apart`)).body, 'spec.replicas')).toBe(5)
    })

    test('are applied on the server', async () => {
      const body = widget('applied', { size: 'small' })
      expect((await suite.http.patch(`${path}/applied?fieldManager=alice`, 'apply', body)).status).toBe(201)
      const conflict = await suite.http.patch(
        `${path}/applied?fieldManager=bob`,
        'apply',
        widget('applied', { size: 'large' }),
      )
      expectFailure(
        conflict,
        409,
        'Conflict',
        'Apply failed with 1 conflict: conflict with "alice": .spec.size',
      )
    })

    test('have the columns of their definition, and are selected by label', async () => {
      await suite.http.must(
        suite.http.post(path, widget('shown', { size: 'large' }, { labels: { show: 'yes' } })),
      )
      const table = await suite.http.get(`${path}?labelSelector=show%3Dyes`, {
        accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
      })
      expect(at(table.body, 'columnDefinitions')).toMatchObject([{ name: 'Name' }, { name: 'Size' }])
      expect(at(table.body, 'rows')).toMatchObject([{ cells: ['shown', 'large'] }])
      expect(names((await suite.http.get(`${path}?labelSelector=show%3Dyes`)).body)).toEqual(['shown'])
    })

    test('go with their definition', async () => {
      const other = `${suite.unique('brief')}.test`
      const name = `briefs.${other}`
      const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
      await suite.http.must(
        suite.http.post(DEFINITIONS, {
          apiVersion: 'apiextensions.k8s.io/v1',
          kind: 'CustomResourceDefinition',
          metadata: { name },
          spec: {
            group: other,
            scope: 'Cluster',
            names: { kind: 'Brief', plural: 'briefs' },
            versions: [{ name: 'v1', served: true, storage: true, schema }],
          },
        }),
      )
      const all = `/apis/${other}/v1/briefs`
      await eventually(async () => {
        const made = await suite.http.post(all, {
          apiVersion: `${other}/v1`,
          kind: 'Brief',
          metadata: { name: 'b' },
          anything: { goes: true },
        })
        expect(made.status).toBe(201)
        expect(made.body).toMatchObject({ anything: { goes: true } })
      })
      await suite.http.must(suite.http.delete(`${DEFINITIONS}/${name}`))
      await eventually(async () => expect((await suite.http.get(all)).status).toBe(404), {
        timeoutMs: 30_000,
      })
    })
  })
}
