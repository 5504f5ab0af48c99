/** Chapter: the tables and the metadata-only answers that kubectl get and metadata clients ask for. */
import { beforeAll, describe, expect, test } from 'vitest'
import { at, type KubeJson } from '../../support/kubernetes-http.ts'
import { deployment, untilObject, type Suite } from './server-under-test.ts'

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json'
const METADATA = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json'

interface Column {
  readonly name: string
  readonly priority: number
}
const columns = (table: KubeJson): string[] =>
  (at(table, 'columnDefinitions') as readonly Column[]).map(
    ({ name, priority }) => `${name}${priority > 0 ? '*' : ''}`,
  )

export function describeTables(suite: Suite): void {
  describe('tables', () => {
    let namespace = ''
    let other = ''
    beforeAll(async () => {
      namespace = await suite.namespace()
      other = `/apis/apps/v1/namespaces/${namespace}/deployments/shown`
      await suite.http.must(
        suite.http.post(
          `/apis/apps/v1/namespaces/${namespace}/deployments`,
          deployment('shown', { replicas: 1 }),
        ),
      )
      await untilObject(suite, other, { status: { readyReplicas: 1 } })
    })

    test.each([
      ['/api/v1', 'pods', 'Name Ready Status Restarts Age IP* Node* Nominated Node* Readiness Gates*'],
      ['/api/v1', 'services', 'Name Type Cluster-IP External-IP Port(s) Age Selector*'],
      ['/api/v1', 'configmaps', 'Name Data Age'],
      ['/apis/apps/v1', 'deployments', 'Name Ready Up-to-date Available Age Containers* Images* Selector*'],
      ['/apis/apps/v1', 'replicasets', 'Name Desired Current Ready Age Containers* Images* Selector*'],
      ['/apis/apps/v1', 'statefulsets', 'Name Ready Age Containers* Images*'],
      [
        '/apis/apps/v1',
        'daemonsets',
        'Name Desired Current Ready Up-to-date Available Node Selector Age Containers* Images* Selector*',
      ],
      ['/apis/networking.k8s.io/v1', 'ingresses', 'Name Class Hosts Address Ports Age'],
    ])('%s %s has the columns of kubectl get, wide ones marked', async (group, resource, expected) => {
      const { body } = await suite.http.get(`${group}/namespaces/${namespace}/${resource}`, { accept: TABLE })
      expect(body).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' })
      expect(columns(body).join(' ')).toBe(expected)
    })

    test('nodes and namespaces have their columns', async () => {
      const nodes = await suite.http.get('/api/v1/nodes', { accept: TABLE })
      expect(columns(nodes.body).join(' ')).toBe(
        'Name Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* Container-Runtime*',
      )
      const namespaces = await suite.http.get('/api/v1/namespaces', { accept: TABLE })
      expect(columns(namespaces.body).join(' ')).toBe('Name Status Age')
    })

    test('each row has its cells and the metadata of its object', async () => {
      const { body, headers } = await suite.http.get(`/api/v1/namespaces/${namespace}/pods`, {
        accept: TABLE,
      })
      expect(headers['content-type']).toMatch(/application\/json/)
      expect(at(body, 'rows')).toMatchObject([
        {
          cells: [
            expect.stringMatching(/^shown-/),
            '1/1',
            'Running',
            suite.server.minor >= 22 ? '0' : 0,
            expect.stringMatching(/^\d+[sm]/),
            expect.stringMatching(/^\d+\.\d+\.\d+\.\d+$/),
            expect.stringContaining(''),
            '<none>',
            '<none>',
          ],
          object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: { namespace } },
        },
      ])
      expect(body.metadata.resourceVersion).toMatch(/^\d+$/)
    })

    test('includeObject decides what goes with a row', async () => {
      const path = `/api/v1/namespaces/${namespace}/pods?includeObject=`
      const none = await suite.http.get(`${path}None`, { accept: TABLE })
      expect(at(none.body, 'rows.0.object') ?? null).toBeNull()
      const whole = await suite.http.get(`${path}Object`, { accept: TABLE })
      expect(at(whole.body, 'rows.0.object')).toMatchObject({
        kind: 'Pod',
        spec: { containers: expect.any(Array) },
      })
    })

    test('one object is a table of one row', async () => {
      const { body } = await suite.http.get(other, { accept: TABLE })
      expect(at(body, 'rows')).toMatchObject([
        { cells: ['shown', '1/1', 1, 1, expect.any(String), 'main', expect.any(String), 'app=shown'] },
      ])
    })

    test('a watch sends tables, too, with columns in the first only', async () => {
      const watch = await suite.http.watch(`/api/v1/namespaces/${namespace}/pods`, { accept: TABLE })
      const first = await watch.next()
      expect(first).toMatchObject({
        type: 'ADDED',
        object: { kind: 'Table', rows: [{ cells: expect.any(Array) }] },
      })
      expect(columns(first.object)).toContain('Ready')
      watch.close()
    })

    test('errors are still a Status', async () => {
      const { status, body } = await suite.http.get(`/api/v1/namespaces/${namespace}/pods/none`, {
        accept: TABLE,
      })
      expect({ status, kind: body.kind }).toEqual({ status: 404, kind: 'Status' })
    })

    test('metadata alone is given to who asks for it', async () => {
      const list = await suite.http.get(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
        accept: METADATA_LIST,
      })
      expect(list.body).toMatchObject({
        kind: 'PartialObjectMetadataList',
        apiVersion: 'meta.k8s.io/v1',
        items: [{ metadata: { name: 'shown', namespace } }],
      })
      expect(list.body.items[0]).not.toHaveProperty('spec')
      const one = await suite.http.get(other, { accept: METADATA })
      expect(one.body).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 'shown' } })
      expect(one.body).not.toHaveProperty('status')
    })

    test('a media type that the server does not speak is 406', async () => {
      expect((await suite.http.get('/api/v1/pods', { accept: 'text/csv' })).status).toBe(406)
    })
  })
}
