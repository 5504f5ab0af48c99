/**
 * The contract between our client and an API server: what `src/kubernetes/` says of its requests, its
 * errors and its streams has to be true of whatever serves them – a real control plane or the simulator.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApiClient } from '../../../src/kubernetes/api-client.ts'
import { ApiError, type ApiClient } from '../../../src/kubernetes/client.ts'
import { Discovery, selfSubjectAccessReview, serverVersion } from '../../../src/kubernetes/discovery.ts'
import { connectionOf, parseKubeconfig } from '../../../src/kubernetes/kubeconfig.ts'
import { KINDS, type ResourceAddress } from '../../../src/kubernetes/kinds.ts'
import * as requests from '../../../src/kubernetes/requests.ts'
import { RecordedSink } from '../../kubernetes/support/recorded-sink.ts'
import { eventually } from '../../support/eventually.ts'

export interface ClientSubject {
  /** A kubeconfig with one context, of a user who may do anything. */
  readonly kubeconfig: string
  readonly minor: number
  close(): Promise<void>
}

interface Thing {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly resourceVersion: string
    readonly uid: string
  }
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: { readonly replicas?: number }
  readonly status?: { readonly phase?: string }
}

const core = (resource: string): ResourceAddress => ({ group: '', version: 'v1', resource })
const configMaps = core('configmaps')
const pods = core('pods')
const deployments: ResourceAddress = { group: 'apps', version: 'v1', resource: 'deployments' }

export function describeApiClient(name: string, start: () => Promise<ClientSubject>): void {
  describe(`our client, with ${name}`, () => {
    let subject: ClientSubject
    let client: ApiClient
    let namespace: string

    beforeAll(async () => {
      subject = await start()
      const config = parseKubeconfig(subject.kubeconfig, 'kubeconfig')
      const context = [...config.contexts.keys()][0] ?? ''
      client = createApiClient(connectionOf(config, context))
      namespace = `client-${randomUUID().slice(0, 8)}`
      await requests.create(client, core('namespaces'), undefined, {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace },
      })
      await eventually(() =>
        requests.get(client, { address: core('serviceaccounts'), namespace, name: 'default' }),
      )
    }, 180_000)

    afterAll(async () => {
      await client?.close()
      await subject?.close()
    }, 60_000)

    const configMap = (name: string, data: Readonly<Record<string, string>> = {}) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data,
    })
    const at = (name: string) => ({ address: configMaps, namespace, name })
    const failure = async (call: Promise<unknown>): Promise<ApiError> => {
      const error = await call.then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(error).toBeInstanceOf(ApiError)
      return error as ApiError
    }

    test('asks for the version, and finds every kind that the gateway keeps', async () => {
      expect((await serverVersion(client)).gitVersion).toMatch(/^v1\.\d+\./)
      const discovery = new Discovery(client)
      for (const kind of Object.values(KINDS)) {
        const served = await discovery.served(kind)
        expect(served, kind.kind).toMatchObject({ group: kind.group, resource: kind.resource })
        const { group, version } = served as ResourceAddress
        const found = await discovery.resolve(group ? `${group}/${version}` : version, kind.kind)
        expect(found).toEqual({ address: served, namespaced: kind.namespaced })
      }
      expect(await discovery.resolve('example.org/v1', 'Nothing')).toBeUndefined()
    })

    test('lists page by page, with selectors', async () => {
      for (let i = 0; i < 5; i++)
        await requests.create(client, configMaps, namespace, {
          ...configMap(`page-${i}`),
          metadata: { name: `page-${i}`, labels: { set: 'pages' } },
        })
      const pages: string[][] = []
      const options = { namespace, labelSelector: 'set in (pages)', limit: 2 }
      for await (const page of requests.list<Thing>(client, configMaps, options))
        pages.push(page.items.map(({ metadata }) => metadata.name))
      expect(pages).toEqual([['page-0', 'page-1'], ['page-2', 'page-3'], ['page-4']])
      const one = await requests.listPage<Thing>(client, configMaps, {
        namespace,
        fieldSelector: 'metadata.name=page-3',
      })
      expect(one.items.map(({ metadata }) => metadata.name)).toEqual(['page-3'])
    })

    test('creates, reads, patches in each way, replaces and deletes', async () => {
      const created = await requests.create<Thing>(
        client,
        configMaps,
        namespace,
        configMap('life', { a: '1' }),
      )
      expect(await requests.get<Thing>(client, at('life'))).toMatchObject({ data: { a: '1' } })
      const data = async (change: Promise<Thing>) => (await change).data
      expect(await data(requests.patch(client, at('life'), 'merge', { data: { b: '2' } }))).toEqual({
        a: '1',
        b: '2',
      })
      expect(
        await data(requests.patch(client, at('life'), 'json', [{ op: 'remove', path: '/data/a' }])),
      ).toEqual({ b: '2' })
      expect(await data(requests.patch(client, at('life'), 'strategic', { data: { c: '3' } }))).toEqual({
        b: '2',
        c: '3',
      })
      const { resourceVersion } = (await requests.get<Thing>(client, at('life'))).metadata
      expect(
        await data(
          requests.replace(client, at('life'), {
            ...configMap('life', { d: '4' }),
            metadata: { name: 'life', resourceVersion },
          }),
        ),
      ).toEqual({ d: '4' })
      expect(
        await failure(
          requests.replace(client, at('life'), {
            ...configMap('life'),
            metadata: { name: 'life', resourceVersion },
          }),
        ),
      ).toMatchObject({ statusCode: 409, code: 'Conflict' })
      await requests.remove(client, at('life'), { preconditions: { uid: created.metadata.uid } })
      expect(await failure(requests.get(client, at('life')))).toMatchObject({
        statusCode: 404,
        code: 'NotFound',
        status: { details: { name: 'life', kind: 'configmaps' } },
      })
    })

    test('applies by ownership: a conflict names the field and its manager, force takes it', async () => {
      const apply = (fieldManager: string, value: string, force?: boolean) =>
        requests.serverSideApply<Thing>(client, at('applied'), configMap('applied', { key: value }), {
          fieldManager,
          ...(force && { force }),
        })
      expect(await apply('one', 'a')).toMatchObject({ data: { key: 'a' } })
      const conflict = await failure(apply('two', 'b'))
      expect(conflict).toMatchObject({ statusCode: 409, code: 'Conflict' })
      expect(conflict.status.details?.causes).toMatchObject([
        { reason: 'FieldManagerConflict', field: '.data.key' },
      ])
      expect(await apply('two', 'b', true)).toMatchObject({ data: { key: 'b' } })
    })

    test('tries without storing', async () => {
      await requests.create(client, configMaps, namespace, configMap('dry'), { dryRun: true })
      expect(await failure(requests.get(client, at('dry')))).toMatchObject({ statusCode: 404 })
    })

    test('says what is invalid, cause by cause', async () => {
      const error = await failure(requests.create(client, configMaps, namespace, configMap('Not_a_name')))
      expect(error).toMatchObject({ statusCode: 422, code: 'Invalid' })
      expect(error.status.details?.causes).toMatchObject([{ field: 'metadata.name' }])
    })

    test('scales, evicts, and reads logs', async () => {
      const labels = { app: 'scaled' }
      const spec = { containers: [{ name: 'main', image: 'registry.k8s.io/pause:3.10' }] }
      await requests.create(client, deployments, namespace, {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'scaled' },
        spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
      })
      const scaled = { address: deployments, namespace, name: 'scaled' }
      const scale = await requests.setScale(client, scaled, 2, { fieldManager: 'test' })
      expect(scale.spec.replicas).toBe(2)
      expect(await requests.get<requests.Scale>(client, { ...scaled, subresource: 'scale' })).toMatchObject({
        spec: { replicas: 2 },
      })
      const running = await eventually(
        async () => {
          const { items } = await requests.listPage<Thing>(client, pods, {
            namespace,
            labelSelector: 'app=scaled',
          })
          const ready = items.filter(({ status }) => status?.phase === 'Running')
          expect(ready).toHaveLength(2)
          return ready
        },
        { timeoutMs: 60_000, everyMs: 100 },
      )
      const pod = { namespace, name: running[0]?.metadata.name ?? '' }
      expect(typeof (await requests.podLog(client, pod, { tailLines: 1 }))).toBe('string')
      const log = new RecordedSink()
      const following = requests.followPodLog(client, pod, { container: 'main' }, log)
      await requests.evict(client, pod, { gracePeriodSeconds: 0 })
      await eventually(
        async () => {
          const { metadata } = await requests
            .get<Thing>(client, { address: pods, ...pod })
            .catch((error: unknown) =>
              error instanceof ApiError && error.statusCode === 404
                ? { metadata: undefined }
                : Promise.reject(error),
            )
          expect(metadata?.uid).not.toBe(running[0]?.metadata.uid)
        },
        { timeoutMs: 60_000, everyMs: 100 },
      )
      following.abort()
      expect(log.errors).toEqual([])
    }, 120_000)

    test('acts as somebody else, with all of the groups, and only with their rights', async () => {
      const role = `reader-${namespace}`
      const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }]
      const rbac = (resource: string): ResourceAddress => ({
        group: 'rbac.authorization.k8s.io',
        version: 'v1',
        resource,
      })
      const apiVersion = 'rbac.authorization.k8s.io/v1'
      await requests.create(client, rbac('roles'), namespace, {
        apiVersion,
        kind: 'Role',
        metadata: { name: role },
        rules,
      })
      await requests.create(client, rbac('rolebindings'), namespace, {
        apiVersion,
        kind: 'RoleBinding',
        metadata: { name: role },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'second' }],
      })
      const second = {
        user: 'jörg@example.org',
        groups: ['first', 'second'],
        extra: { 'Example.org/Scope': ['a'] },
      }
      const joined = { user: 'jörg@example.org', groups: ['first, second'] }
      const question = { verb: 'list', address: configMaps, namespace }
      await eventually(async () => {
        expect(await selfSubjectAccessReview(client, question, { as: second })).toMatchObject({
          allowed: true,
        })
      })
      expect(await selfSubjectAccessReview(client, question, { as: joined })).toMatchObject({
        allowed: false,
      })
      await requests.listPage(client, configMaps, { namespace, as: second })
      const denied = await failure(requests.listPage(client, configMaps, { namespace, as: joined }))
      expect(denied).toMatchObject({ statusCode: 403, code: 'Forbidden' })
      expect(denied.message).toContain('jörg@example.org')
    })

    test('is somebody else with their token, whatever is asked in between with our own credentials', async () => {
      const { status } = await client.json<{ readonly status: { readonly token: string } }>({
        method: 'POST',
        path: `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`,
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
      })
      const { token } = status
      const user = `system:serviceaccount:${namespace}:default`
      for (let round = 0; round < 3; round++) {
        await requests.listPage(client, configMaps, { namespace })
        const denied = await failure(requests.listPage(client, configMaps, { namespace, token }))
        expect(denied).toMatchObject({ statusCode: 403, code: 'Forbidden' })
        expect(denied.message).toContain(user)
      }
      const watch = new RecordedSink()
      const path = `/api/v1/namespaces/${namespace}/configmaps`
      client.stream({ path, query: { watch: 1, timeoutSeconds: 3 }, token }, watch)
      await watch.finished
      expect(watch.errors).toMatchObject([{ statusCode: 403, message: expect.stringContaining(user) }])
      const unknown = await failure(
        requests.listPage(client, configMaps, { namespace, token: 'no.such.token' }),
      )
      expect(unknown).toMatchObject({ statusCode: 401, code: 'Unauthorized' })
      expect(unknown.message).toContain('the token of the sign-in')
      await requests.listPage(client, configMaps, { namespace })
    })

    test('streams a watch: event by event, until the server’s time is up', async () => {
      const { metadata } = await requests.listPage(client, configMaps, { namespace, limit: 1 })
      const sink = new RecordedSink()
      client.stream(
        {
          path: `/api/v1/namespaces/${namespace}/configmaps`,
          query: { watch: 1, resourceVersion: metadata.resourceVersion, timeoutSeconds: 3 },
        },
        sink,
      )
      await sink.until(({ calls }) => calls[0] === 'start')
      await requests.create(client, configMaps, namespace, configMap('watched'))
      await sink.until(({ text }) => text.includes('"name":"watched"'))
      await requests.remove(client, at('watched'))
      await sink.until(({ text }) => text.includes('"type":"DELETED"'))
      await sink.finished
      expect(sink.calls.at(-1)).toBe('end')
      const types = sink.text
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { type: string }).type)
      expect(types).toContain('ADDED')
      expect(types.at(-1)).toMatch(/DELETED|BOOKMARK/)
    })

    test('is told to come again with other credentials', async () => {
      const config = parseKubeconfig(subject.kubeconfig, 'kubeconfig')
      const connection = connectionOf(config, [...config.contexts.keys()][0] ?? '')
      const stranger = createApiClient({ ...connection, user: { token: 'not-a-token' } })
      const error = await failure(stranger.json({ path: '/api/v1/pods' }))
      expect(error).toMatchObject({ statusCode: 401, code: 'Unauthorized' })
      expect(error.message).toMatch(/does not accept our credentials .*Renew them/)
      await stranger.close()
    })
  })
}
