import { describe, expect, it } from 'vitest'
import { ApiError, TransportError, type ApiRequest } from '../../src/kubernetes/client.ts'
import { shopFleet } from '../support/shop.ts'
import { ask, data } from './ask.ts'

/** An object as the API server would give it for the path of a request. */
function objectAt({ path }: ApiRequest): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: path.split('/').at(-1),
      annotations: { note: 'kept', another: 'too' },
      managedFields: [{ manager: 'kubectl' }],
    },
    spec: { containers: [] },
  }
}

const notFound = () => new ApiError(404, { reason: 'NotFound', message: 'pods "x" not found' })

const secret = (name: string, withKind = true) => ({
  ...(withKind && { apiVersion: 'v1', kind: 'Secret' }),
  metadata: {
    name,
    namespace: 'shop',
    uid: `${name}-uid`,
    annotations: {
      'kubectl.kubernetes.io/last-applied-configuration': '{"data":{"password":"aHVudGVyMg=="}}',
      team: 'shop',
    },
  },
  type: 'Opaque',
  data: { password: 'aHVudGVyMg==' },
  stringData: { plain: 'hunter2' },
})

describe('a manifest', () => {
  it('has in quotes what kubectl would read as something else than a text', async () => {
    const { fleet, eu } = shopFleet()
    const texts = { FEATURE: 'yes', SWITCH: 'off', MODE: '0o644', AT: '12:30:45', SINCE: '2026-11-01' }
    eu.answer = () => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: texts })
    const { configMaps } = await data(
      fleet,
      '{ configMaps(filter: { clusters: ["prod-eu"] }, first: 1) { nodes { manifest { yaml } } } }',
    )
    const lines = Object.entries(texts).map(([key, text]) => `  ${key}: "${text}"`)
    expect(configMaps.nodes[0].manifest.yaml).toContain(['data:', ...lines].join('\n'))
  })

  it('is read once per object however often it is asked for, as YAML and as JSON, without managedFields', async () => {
    const { fleet, eu } = shopFleet()
    eu.answer = objectAt
    const { pods } = await data(
      fleet,
      `{ pods(filter: { clusters: ["prod-eu"], name: { in: ["db-0", "stray"] } }) {
        nodes { name annotations { key value } manifest { yaml json error { code } annotations { key } } again: manifest { error { code } } }
      } }`,
    )
    expect(eu.requests.map(({ path }) => path)).toEqual([
      '/api/v1/namespaces/shop/pods/db-0',
      '/api/v1/namespaces/shop/pods/stray',
    ])
    const [db] = pods.nodes
    expect(db.manifest.json).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'db-0', annotations: { note: 'kept', another: 'too' } },
      spec: { containers: [] },
    })
    expect(db.manifest.yaml).toContain('kind: Pod\nmetadata:\n  name: db-0\n')
    expect(db.manifest.error).toBeNull()
    expect(db.annotations).toEqual([
      { key: 'another', value: 'too' },
      { key: 'note', value: 'kept' },
    ])
  })

  it('asks one cluster for at most eight objects at a time', async () => {
    const { fleet, eu } = shopFleet()
    let now = 0
    let most = 0
    eu.answer = async (request) => {
      most = Math.max(most, ++now)
      await new Promise((resolve) => setImmediate(resolve))
      now--
      return objectAt(request)
    }
    await data(
      fleet,
      '{ workloads { nodes { manifest { yaml } } } pods { nodes { manifest { yaml } } } }',
    ).catch(() => undefined)
    expect(eu.requests.length).toBeGreaterThan(10)
    expect(most).toBe(8)
  })

  it('of a cluster that does not answer is a failure in the data, and the rest of the answer stands', async () => {
    const { fleet, eu, us } = shopFleet()
    eu.answer = objectAt
    us.answer = () => {
      throw new TransportError('TIMEOUT', 'Cluster prod-us (https://10.1.2.3:6443): no answer within 10 s.')
    }
    const { data: answer, errors } = await ask(
      fleet,
      '{ pods(filter: { name: { in: ["db-0", "web-9"] } }) { nodes { name annotations { key } manifest { yaml json error { code message } } } } }',
    )
    expect(errors).toEqual([])
    expect(answer.pods.nodes[0].manifest).toMatchObject({ json: { kind: 'Pod' }, error: null })
    expect(answer.pods.nodes[1]).toEqual({
      name: 'web-9',
      annotations: null,
      // For whoever may not know where the cluster is: no address.
      manifest: {
        yaml: null,
        json: null,
        error: { code: 'UNREACHABLE', message: 'The API server did not answer in time.' },
      },
    })
  })

  it('is not asked for from a cluster that is known to be down', async () => {
    const { fleet, us } = shopFleet()
    us.health = { ...us.health, state: 'DOWN', lastError: { code: 'RESET', message: 'It is gone.', at: 0 } }
    const { pods } = await data(
      fleet,
      '{ pods(filter: { clusters: ["prod-us"] }) { nodes { manifest { error { code message } } } } }',
    )
    expect(pods.nodes[0].manifest.error).toEqual({ code: 'UNREACHABLE', message: 'It is gone.' })
    expect(us.requests).toEqual([])
  })

  it.each([
    [new ApiError(403, { reason: 'Forbidden', message: 'no' }), 'FORBIDDEN'],
    [notFound(), 'NOT_FOUND'],
    [new ApiError(500, { message: 'oops' }), 'UNREACHABLE'],
    [new ApiError(422, { reason: 'Invalid', message: 'what' }), 'FAILED'],
  ])('says what an API server answered: %s', async (error, code) => {
    const { fleet, us } = shopFleet()
    us.answer = () => {
      throw error
    }
    const { pods } = await data(
      fleet,
      '{ pods(filter: { name: { equals: "web-9" } }) { nodes { manifest { error { code } } } } }',
    )
    expect(pods.nodes[0].manifest.error.code).toBe(code)
  })
})

describe('resource', () => {
  it('reads an object of any kind, custom ones included', async () => {
    const { fleet, eu } = shopFleet()
    eu.answer = () => ({
      apiVersion: 'cert-manager.io/v1',
      kind: 'Certificate',
      metadata: {
        name: 'web',
        namespace: 'shop',
        uid: 'u1',
        creationTimestamp: '2026-11-01T00:00:00Z',
        labels: { app: 'web' },
      },
      status: { ready: true },
    })
    const { resource } = await data(
      fleet,
      `{ resource(cluster: "prod-eu", apiVersion: "cert-manager.io/v1", kind: "Certificate", namespace: "shop", name: "web") {
        cluster { name } apiVersion kind namespace name uid creationTimestamp labels { key value } manifest { json }
      } }`,
    )
    expect(eu.requests.map(({ path }) => path)).toEqual([
      '/apis/cert-manager.io/v1/namespaces/shop/certificates/web',
    ])
    expect(resource).toMatchObject({
      cluster: { name: 'prod-eu' },
      kind: 'Certificate',
      namespace: 'shop',
      name: 'web',
      uid: 'u1',
      creationTimestamp: '2026-11-01T00:00:00.000Z',
      labels: [{ key: 'app', value: 'web' }],
      manifest: { json: { status: { ready: true } } },
    })
  })

  it('is null where there is no such object, and says why where it could not be read', async () => {
    const { fleet, eu } = shopFleet()
    const document =
      '{ resource(cluster: "prod-eu", apiVersion: "v1", kind: "Pod", namespace: "shop", name: "x") { name uid manifest { error { code } } } }'
    eu.answer = () => {
      throw notFound()
    }
    expect((await data(fleet, document)).resource).toBeNull()
    eu.answer = () => {
      throw new TransportError('UNREACHABLE', 'Refused.')
    }
    expect((await data(fleet, document)).resource).toEqual({
      name: 'x',
      uid: null,
      manifest: { error: { code: 'UNREACHABLE' } },
    })
    eu.resolve = () => Promise.resolve(undefined)
    expect((await data(fleet, document)).resource.manifest.error.code).toBe('NOT_SERVED')
  })

  it('needs a cluster of the fleet, and a namespace for a kind that has one', async () => {
    const { fleet } = shopFleet()
    const bad = await ask(
      fleet,
      '{ resource(cluster: "prod", apiVersion: "v1", kind: "Pod", namespace: "a", name: "x") { name } }',
    )
    expect(bad.errors[0]!.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'cluster' })
    const missing = await ask(
      fleet,
      '{ resource(cluster: "prod-eu", apiVersion: "v1", kind: "Pod", name: "x") { name } }',
    )
    expect(missing.errors[0]!.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'namespace' })
  })

  it('has no name that is a step in a path', async () => {
    const { fleet } = shopFleet()
    const fault = async (document: string) => (await ask(fleet, document)).errors[0]!.extensions
    const question = 'cluster: "prod-eu", apiVersion: "v1", kind: "Secret"'
    expect(await fault(`{ resource(${question}, namespace: "shop", name: "..") { name } }`)).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'name',
    })
    expect(await fault(`{ resource(${question}, namespace: ".", name: "x") { name } }`)).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'namespace',
    })
    expect(
      await fault(
        '{ resources(apiVersion: "v1", kind: "Secret", filter: { namespace: ".." }) { nodes { name } } }',
      ),
    ).toEqual({ code: 'BAD_USER_INPUT', argument: 'filter.namespace' })
  })

  it('shows the keys of a Secret and none of its values', async () => {
    const { fleet, eu } = shopFleet()
    eu.answer = () => secret('db-password')
    const answer = await data(
      fleet,
      '{ resource(cluster: "prod-eu", apiVersion: "v1", kind: "Secret", namespace: "shop", name: "db-password") { manifest { yaml json annotations { key } } } }',
    )
    expect(answer.resource.manifest.json).toMatchObject({
      type: 'Opaque',
      data: { password: '<redacted>' },
      stringData: { plain: '<redacted>' },
      metadata: { annotations: { team: 'shop' } },
    })
    expect(answer.resource.manifest.annotations).toEqual([{ key: 'team' }])
    expect(JSON.stringify(answer)).not.toMatch(/aHVudGVyMg|hunter2/)
  })
})

describe('resources', () => {
  /** Answers lists of `names` in pages, as an API server does. */
  function serve(names: readonly string[], item = (name: string): unknown => ({ metadata: { name } })) {
    return ({ query = {} }: ApiRequest) => {
      const start = Number(query['continue'] ?? 0)
      const end = start + Number(query['limit'])
      return {
        metadata: end < names.length ? { continue: `${end}` } : {},
        items: names.slice(start, end).map(item),
      }
    }
  }

  const document = `query ($first: Int, $after: String, $filter: ResourceFilter) {
    resources(apiVersion: "example.com/v1", kind: "Widget", first: $first, after: $after, filter: $filter) {
      edges { cursor node { name cluster { name } } } nodes { name }
      pageInfo { hasNextPage hasPreviousPage endCursor } coverage { cluster state reason }
    }
  }`

  it('pages through one cluster after the other, each object once, from any cursor', async () => {
    const { fleet, eu, us, staging } = shopFleet()
    eu.answer = serve(['a', 'b', 'c', 'd', 'e'])
    us.answer = serve([])
    staging.answer = serve(['x', 'y'])
    const all = ['a', 'b', 'c', 'd', 'e', 'x', 'y']
    const cursors: string[] = []
    const seen: string[] = []
    for (let after: string | undefined; ;) {
      const { resources } = await data(fleet, document, { first: 2, after })
      seen.push(...resources.nodes.map(({ name }: { name: string }) => name))
      cursors.push(...resources.edges.map(({ cursor }: { cursor: string }) => cursor))
      if (!resources.pageInfo.hasNextPage) break
      after = resources.pageInfo.endCursor
    }
    expect(seen).toEqual(all)
    for (const [index, after] of cursors.entries()) {
      const { resources } = await data(fleet, document, { after })
      expect(resources.nodes.map(({ name }: { name: string }) => name)).toEqual(all.slice(index + 1))
    }
  })

  it('passes selectors and the namespace on to the API server', async () => {
    const { fleet, eu } = shopFleet()
    eu.answer = serve(['a'])
    await data(fleet, document, {
      first: 5,
      filter: {
        clusters: ['prod-eu'],
        namespace: 'shop',
        labelSelector: 'app=web',
        fieldSelector: 'metadata.name=a',
      },
    })
    expect(eu.requests).toMatchObject([
      {
        path: '/apis/example.com/v1/namespaces/shop/widgets',
        query: { limit: 5, labelSelector: 'app=web', fieldSelector: 'metadata.name=a' },
      },
    ])
  })

  it('says which clusters failed or do not serve the kind, and shows the others', async () => {
    const { fleet, eu, us, staging } = shopFleet()
    eu.answer = () => {
      throw new ApiError(403, { reason: 'Forbidden', message: 'May not list widgets.' })
    }
    us.resolve = () => Promise.resolve(undefined)
    staging.answer = serve(['x'])
    const { resources } = await data(fleet, document)
    expect(resources.nodes).toEqual([{ name: 'x' }])
    expect(resources.coverage).toEqual([
      { cluster: 'prod-eu', state: 'FORBIDDEN', reason: 'May not list widgets.' },
      {
        cluster: 'prod-us',
        state: 'NOT_SERVED',
        reason: 'The cluster does not serve Widget in example.com/v1.',
      },
      { cluster: 'staging', state: 'CURRENT', reason: null },
    ])
  })

  it('refuses what the API server refuses, an old cursor, and a cursor of another list', async () => {
    const { fleet, eu } = shopFleet()
    const filter = { clusters: ['prod-eu'] }
    eu.answer = serve(['a', 'b'])
    const { resources } = await data(fleet, document, { first: 1, filter })
    const after = resources.pageInfo.endCursor
    eu.answer = () => {
      throw new ApiError(410, { reason: 'Expired', message: 'too old' })
    }
    const old = await ask(fleet, document, { filter, after })
    expect(old.errors[0]!.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'after' })
    const foreign = await ask(fleet, document.replace('Widget', 'Gadget'), { filter, after })
    expect(foreign.errors[0]!.message).toContain('is not a cursor of this list')
    eu.answer = () => {
      throw new ApiError(400, { reason: 'BadRequest', message: 'unknown field' })
    }
    const bad = await ask(fleet, document, { filter: { ...filter, fieldSelector: 'spec.x=1' } })
    expect(bad.errors[0]!).toMatchObject({
      message: 'The cluster prod-eu refuses the request: unknown field',
      extensions: { code: 'BAD_USER_INPUT', argument: 'filter' },
    })
  })

  it('shows no values of listed Secrets, whose items do not say that they are Secrets', async () => {
    const { fleet, eu } = shopFleet()
    eu.answer = serve(['one', 'two'], (name) => secret(name, false))
    const answer = await data(
      fleet,
      '{ resources(apiVersion: "v1", kind: "Secret", filter: { clusters: ["prod-eu"] }) { nodes { kind uid manifest { json yaml } } } }',
    )
    expect(answer.resources.nodes[0]).toMatchObject({
      kind: 'Secret',
      uid: 'one-uid',
      manifest: { json: { kind: 'Secret', data: { password: '<redacted>' } } },
    })
    expect(JSON.stringify(answer)).not.toMatch(/aHVudGVyMg|hunter2/)
  })
})
