import { describe, expect, test } from 'vitest'
import { Discovery, selfSubjectAccessReview, serverVersion } from '../../src/kubernetes/discovery.ts'
import { KINDS } from '../../src/kubernetes/kinds.ts'
import { clientOf, json, rejection, startApiServer, type Handler } from './support/api-server.ts'

function aggregated(extra: readonly unknown[] = []): Handler {
  const list = (items: readonly unknown[]) => ({
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items,
  })
  const resource = (resource: string, kind: string, scope: string, subresources: string[] = []) => ({
    resource,
    responseKind: { group: '', version: 'v1', kind },
    scope,
    verbs: ['get', 'list', 'watch'],
    subresources: subresources.map((subresource) => ({ subresource, verbs: ['get'] })),
  })
  const core = [
    {
      metadata: {},
      versions: [
        {
          version: 'v1',
          freshness: 'Current',
          resources: [resource('pods', 'Pod', 'Namespaced', ['log']), resource('nodes', 'Node', 'Cluster')],
        },
      ],
    },
  ]
  const groups = [
    {
      metadata: { name: 'autoscaling' },
      versions: ['v2', 'v1'].map((version) => ({
        version,
        resources: [resource('horizontalpodautoscalers', 'HorizontalPodAutoscaler', 'Namespaced')],
      })),
    },
    ...extra,
  ]
  return (request, response) => json(response, 200, list(request.url === '/api' ? core : groups))
}

/** A server of the age of 1.20: it ignores what it is asked to accept. */
const legacy: Handler = (request, response) => {
  const answers: Record<string, unknown> = {
    '/api': { kind: 'APIVersions', versions: ['v1'] },
    '/apis': {
      kind: 'APIGroupList',
      groups: [
        {
          name: 'autoscaling',
          versions: ['v2beta2', 'v1'].map((version) => ({ groupVersion: `autoscaling/${version}`, version })),
          preferredVersion: { groupVersion: 'autoscaling/v1', version: 'v1' },
        },
        {
          name: 'metrics.k8s.io',
          versions: [{ groupVersion: 'metrics.k8s.io/v1beta1', version: 'v1beta1' }],
        },
      ],
    },
    '/api/v1': {
      kind: 'APIResourceList',
      resources: [
        { name: 'pods', kind: 'Pod', namespaced: true, verbs: ['list', 'watch'] },
        { name: 'pods/log', kind: 'Pod', namespaced: true, verbs: ['get'] },
        { name: 'bindings', kind: 'Binding', namespaced: true, verbs: ['create'] },
      ],
    },
    ...Object.fromEntries(
      ['v2beta2', 'v1'].map((version) => [
        `/apis/autoscaling/${version}`,
        {
          resources: [
            {
              name: 'horizontalpodautoscalers',
              kind: 'HorizontalPodAutoscaler',
              namespaced: true,
              verbs: ['list'],
            },
          ],
        },
      ]),
    ),
  }
  const answer = answers[request.url ?? '']
  json(response, answer ? 200 : 503, answer ?? { kind: 'Status', message: 'service unavailable' })
}

describe('discovery', () => {
  test('in its aggregated form takes two requests, however much is asked', async () => {
    const server = await startApiServer(aggregated())
    const discovery = new Discovery(clientOf({ server: server.url }))
    const answers = await Promise.all([
      discovery.resolve('v1', 'Pod'),
      discovery.resolve('v1', 'Node'),
      discovery.resolve('autoscaling/v1', 'HorizontalPodAutoscaler'),
      discovery.served(KINDS.HorizontalPodAutoscaler),
    ])
    expect(answers).toEqual([
      { address: { group: '', version: 'v1', resource: 'pods' }, namespaced: true },
      { address: { group: '', version: 'v1', resource: 'nodes' }, namespaced: false },
      {
        address: { group: 'autoscaling', version: 'v1', resource: 'horizontalpodautoscalers' },
        namespaced: true,
      },
      { group: 'autoscaling', version: 'v2', resource: 'horizontalpodautoscalers' },
    ])
    expect((await discovery.resources())[0]).toMatchObject({ kind: 'Pod', subresources: ['log'] })
    expect(server.heard.map(({ url }) => url).sort()).toEqual(['/api', '/apis'])
    expect(server.heard[0]?.headers['accept']).toContain('as=APIGroupDiscoveryList')
  })

  test('in its legacy form goes group by group, and one that is down hides no other', async () => {
    const server = await startApiServer(legacy)
    const discovery = new Discovery(clientOf({ server: server.url }))
    expect(await discovery.served(KINDS.HorizontalPodAutoscaler)).toEqual({
      group: 'autoscaling',
      version: 'v2beta2',
      resource: 'horizontalpodautoscalers',
    })
    expect(await discovery.resolve('v1', 'Pod')).toMatchObject({ namespaced: true })
    expect((await discovery.resources()).map(({ version, resource }) => `${version}/${resource}`)).toEqual([
      'v1/pods',
      'v1/bindings',
      'v1/horizontalpodautoscalers',
      'v2beta2/horizontalpodautoscalers',
    ])
  })

  test('says that a kind is not served, and finds it once it is', async () => {
    let handler = aggregated()
    const server = await startApiServer((...all) => handler(...all))
    let now = 0
    const discovery = new Discovery(clientOf({ server: server.url }), { now: () => now })
    const widget = () => discovery.resolve('example.org/v1', 'Widget')
    expect(await widget()).toBeUndefined()
    const resources = [{ resource: 'widgets', responseKind: { kind: 'Widget' }, scope: 'Cluster', verbs: [] }]
    handler = aggregated([{ metadata: { name: 'example.org' }, versions: [{ version: 'v1', resources }] }])
    expect(await widget()).toBeUndefined()
    expect(server.heard).toHaveLength(2)
    now = 10_000
    expect(await widget()).toEqual({
      address: { group: 'example.org', version: 'v1', resource: 'widgets' },
      namespaced: false,
    })
  })

  test('keeps what it knows while the server does not answer, but knows nothing at first', async () => {
    let down = true
    const server = await startApiServer((request, response, body) =>
      down
        ? json(response, 503, { kind: 'Status', message: 'starting' })
        : aggregated()(request, response, body),
    )
    let now = 0
    const discovery = new Discovery(clientOf({ server: server.url }), { now: () => now })
    expect(await rejection(discovery.resolve('v1', 'Pod'))).toMatchObject({ statusCode: 503 })
    down = false
    expect(await discovery.resolve('v1', 'Pod')).toBeDefined()
    down = true
    now = 600_000
    expect(await discovery.resolve('v1', 'Pod')).toBeDefined()
  })
})

test('the version and an access review are one request each', async () => {
  const server = await startApiServer((request, response) =>
    request.url === '/version'
      ? json(response, 200, { gitVersion: 'v1.36.3', major: '1', minor: '36' })
      : json(response, 201, { status: { allowed: false, reason: 'no' } }),
  )
  const client = clientOf({ server: server.url })
  expect(await serverVersion(client)).toMatchObject({ gitVersion: 'v1.36.3' })
  const address = { group: 'apps', version: 'v1', resource: 'deployments' }
  const answer = await selfSubjectAccessReview(client, { verb: 'list', address }, { as: { user: 'ada' } })
  expect(answer).toEqual({ allowed: false, reason: 'no' })
  expect(JSON.parse(server.heard[1]?.body ?? '')).toMatchObject({
    spec: { resourceAttributes: { verb: 'list', group: 'apps', version: 'v1', resource: 'deployments' } },
  })
  expect(server.heard[1]?.headers['impersonate-user']).toBe('ada')
})
