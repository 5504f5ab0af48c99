import { describe, expect, it } from 'vitest'
import { labelSelectorOf } from '../../src/graph/filters.ts'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import { ScopedPolicy } from '../support/scoped-policy.ts'
import { shopFleet } from '../support/shop.ts'
import { ask, data } from './ask.ts'

const names = (connection: { nodes: { name: string }[] }) => connection.nodes.map(({ name }) => name)

async function podNames(filter: string, rest = ''): Promise<string[]> {
  const { fleet } = shopFleet()
  return names((await data(fleet, `{ pods(filter: ${filter} ${rest}) { nodes { name } } }`)).pods)
}

describe('a list', () => {
  it('holds what all clusters have, by cluster, namespace and name', async () => {
    const { fleet } = shopFleet()
    const { pods } = await data(fleet, '{ pods(first: 3) { totalCount nodes { name cluster { name } } } }')
    expect(pods.totalCount).toBe(10)
    expect(pods.nodes[0]).toEqual({ name: 'backup-1-x', cluster: { name: 'prod-eu' } })
    const last = await data(fleet, '{ pods(last: 1) { nodes { name cluster { name } } } }')
    expect(last.pods.nodes).toEqual([{ name: 'web-9', cluster: { name: 'prod-us' } }])
  })

  it('is paged forward and backward by cursors, each object once', async () => {
    const { fleet } = shopFleet()
    const all = names((await data(fleet, '{ pods { nodes { name } } }')).pods)
    const forward: string[] = []
    for (let after: string | null = null; ;) {
      const { pods } = await data(
        fleet,
        'query ($after: String) { pods(first: 3, after: $after, orderBy: [{ field: CREATED, direction: DESC }]) { edges { cursor node { name } } pageInfo { hasNextPage endCursor } } }',
        { after },
      )
      forward.push(...pods.edges.map((edge: { node: { name: string } }) => edge.node.name))
      expect(pods.pageInfo.endCursor).toBe(pods.edges.at(-1).cursor)
      if (!pods.pageInfo.hasNextPage) break
      after = pods.pageInfo.endCursor
    }
    expect(forward.toSorted()).toEqual(all.toSorted())
    expect(forward.slice(0, 2)).toEqual(['web-2-c', 'web-2-b'])

    const tail = await data(
      fleet,
      '{ pods(last: 2) { nodes { name } pageInfo { startCursor hasPreviousPage } } }',
    )
    expect(tail.pods.pageInfo.hasPreviousPage).toBe(true)
    const before = await data(
      fleet,
      'query ($before: String) { pods(last: 2, before: $before) { nodes { name } pageInfo { hasNextPage } } }',
      { before: tail.pods.pageInfo.startCursor },
    )
    expect([...names(before.pods), ...names(tail.pods)]).toEqual(all.slice(-4))
    expect(before.pods.pageInfo.hasNextPage).toBe(true)
  })

  it('goes on at the same place when objects came and went between two pages', async () => {
    const { fleet, us } = shopFleet()
    const query =
      'query ($after: String) { pods(first: 1, after: $after, filter: { clusters: ["prod-us"] }) { nodes { name } pageInfo { endCursor } } }'
    const first = await data(fleet, query)
    expect(names(first.pods)).toEqual(['other'])
    us.apply('Pod', { type: 'Delete', row: us.table('Pod').get('shop', 'other')! })
    const second = await data(fleet, query, { after: first.pods.pageInfo.endCursor })
    expect(names(second.pods)).toEqual(['web-9'])
  })

  it('says how far each cluster is covered, and shows an unsynced one as such and not as empty', async () => {
    const { fleet, us } = shopFleet()
    us.apply('Pod', { type: 'Down', problem: { code: 'ERROR', message: 'The stream broke.' } })
    const { pods } = await data(fleet, '{ pods { coverage { cluster state reason asOf } } }')
    expect(pods.coverage).toMatchObject([
      { cluster: 'prod-eu', state: 'CURRENT', reason: null, asOf: '1970-01-01T00:00:05.000Z' },
      { cluster: 'prod-us', state: 'STALE', reason: 'The stream broke.' },
      { cluster: 'staging', state: 'SYNCING', asOf: null },
    ])
  })

  it('tells an unreachable cluster and a forbidden kind in its coverage', async () => {
    const { fleet, us, eu } = shopFleet()
    us.health = {
      ...us.health,
      state: 'DOWN',
      lastError: { code: 'UNREACHABLE', message: 'Connection refused.', at: 9 },
    }
    eu.apply('Pod', { type: 'Down', problem: { code: 'FORBIDDEN', message: 'May not list pods.' } })
    const { pods } = await data(fleet, '{ pods { totalCount coverage { state reason } } }')
    expect(pods.coverage.slice(0, 2)).toEqual([
      { state: 'FORBIDDEN', reason: 'May not list pods.' },
      { state: 'UNREACHABLE', reason: 'Connection refused.' },
    ])
    expect(pods.totalCount).toBe(10)
  })

  it('is cut to what the viewer may see, and says which clusters are not theirs', async () => {
    const { fleet } = shopFleet()
    const { data: answer } = await ask(
      fleet,
      '{ pods { totalCount coverage { cluster state } } }',
      {},
      new ScopedPolicy({ 'prod-us': { namespaces: new Set(['shop']) } }),
    )
    expect(answer.pods.totalCount).toBe(2)
    expect(answer.pods.coverage).toContainEqual({ cluster: 'prod-eu', state: 'FORBIDDEN' })
  })
})

describe('a filter', () => {
  it('chooses clusters by name and by selector', async () => {
    expect(await podNames('{ clusters: ["prod-us"] }')).toEqual(['other', 'web-9'])
    expect(await podNames('{ clusterSelector: "region in (us, ap)" }')).toEqual(['other', 'web-9'])
    expect(await podNames('{ clusters: ["prod-us"], clusterSelector: "region=eu" }')).toEqual([])
  })

  it('reads a label selector once for all the rows whose relations it narrows', () => {
    const text = `app in (${Array.from({ length: 1_000 }, (_, index) => `a${index}`).join()})`
    expect(labelSelectorOf(text, 'filter.labelSelector')).toBe(labelSelectorOf(text, 'filter.labelSelector'))
  })

  it('takes label selectors in the syntax of Kubernetes', async () => {
    expect(await podNames('{ labelSelector: "app=web,pod-template-hash" }')).toEqual([
      'web-1-a',
      'web-2-a',
      'web-2-b',
      'web-2-c',
    ])
    expect(await podNames('{ labelSelector: "app in (db)" }')).toEqual(['db-0'])
    expect(await podNames('{ labelSelector: "app notin (web,db),!job-name" }')).toEqual(['other'])
  })

  it('chooses by name, namespace and owner', async () => {
    expect(await podNames('{ name: { equals: "stray" } }')).toEqual(['stray'])
    expect(await podNames('{ name: { in: ["stray", "db-0"] } }')).toEqual(['db-0', 'stray'])
    expect(await podNames('{ name: { prefix: "web-", contains: "2-" } }')).toEqual([
      'web-2-a',
      'web-2-b',
      'web-2-c',
    ])
    expect(await podNames('{ namespaces: ["default"] }')).toEqual([])
    expect(await podNames('{ owner: { kind: "StatefulSet" } }')).toEqual(['db-0'])
    expect(await podNames('{ owner: { uid: "replicaset-web-1-uid" } }')).toEqual(['web-1-a'])
  })

  it('chooses pods by phase, status, readiness, node, image, restarts and address', async () => {
    expect(await podNames('{ phases: [Pending] }')).toEqual(['web-2-c'])
    expect(await podNames('{ statuses: ["CrashLoopBackOff"] }')).toEqual(['web-2-b'])
    expect(await podNames('{ ready: false, phases: [Running] }')).toEqual(['web-2-b'])
    expect(await podNames('{ node: "node-b" }')).toEqual(['web-2-b'])
    expect(await podNames('{ node: "" }')).toEqual(['web-2-c'])
    expect(await podNames('{ image: { equals: "registry.example.com/web:1" } }')).toEqual(['web-1-a'])
    expect(await podNames('{ image: { contains: "postgres" } }')).toEqual(['db-0'])
    expect(await podNames('{ restartsOver: 6 }')).toEqual(['web-2-b'])
    expect(await podNames('{ ip: "10.1.0.5" }')).toEqual(['db-0'])
  })

  it('chooses by time of creation: from, and up to but without', async () => {
    expect(await podNames('{ createdAfter: "2026-11-05T00:00:00Z" }')).toEqual(['web-2-b', 'web-2-c'])
    expect(
      await podNames('{ createdAfter: "2026-11-05", createdBefore: "2026-11-06T01:00:00+01:00" }'),
    ).toEqual(['web-2-b'])
  })

  it('lets all of its conditions hold together, also where two want one index', async () => {
    expect(await podNames('{ node: "node-a", image: { equals: "postgres:17" } }')).toEqual(['db-0'])
    expect(await podNames('{ name: { equals: "db-0", in: ["stray"] } }')).toEqual([])
    expect(await podNames('{ image: { equals: "postgres:17", contains: "gres" } }')).toEqual(['db-0'])
    expect(await podNames('{ image: { equals: "postgres:17", contains: "nginx" } }')).toEqual([])
    const { statefulSets } = await data(
      shopFleet().fleet,
      '{ statefulSets(filter: { image: { equals: "postgres:17", prefix: "nginx" } }) { totalCount } }',
    )
    expect(statefulSets.totalCount).toBe(0)
  })

  it('chooses workloads by kind, rollout, readiness and whether something owns them', async () => {
    const { fleet } = shopFleet()
    const kinds = async (filter: string) =>
      (await data(fleet, `{ workloads(filter: ${filter}) { nodes { kind name } } }`)).workloads.nodes.map(
        ({ kind, name }: { kind: string; name: string }) => `${kind}/${name}`,
      )
    expect(await kinds('{ kinds: [DaemonSet, StatefulSet] }')).toEqual(['DaemonSet/agent', 'StatefulSet/db'])
    expect(await kinds('{ topLevel: true }')).toEqual([
      'DaemonSet/agent',
      'CronJob/backup',
      'StatefulSet/db',
      'Deployment/idle',
      'Deployment/web',
    ])
    expect(await kinds('{ kinds: [Deployment], rollout: [PROGRESSING] }')).toEqual(['Deployment/web'])
    expect(await kinds('{ ready: false, kinds: [Deployment] }')).toEqual(['Deployment/web'])
  })

  it('chooses the other kinds by what makes sense for them', async () => {
    const { fleet } = shopFleet()
    const answer = await data(
      fleet,
      `{
        nodes(filter: { ready: true, roles: ["control-plane"] }) { nodes { name } }
        cordoned: nodes(filter: { schedulable: false }) { nodes { name } }
        namespaces(filter: { phases: [Terminating] }) { nodes { name } }
        services(filter: { types: [NodePort], port: 8080 }) { nodes { name } }
        ingresses(filter: { host: { equals: "shop.example.com" }, tls: true }) { nodes { name } }
        events(filter: { types: ["Warning"], reasons: ["BackOff"], seenAfter: "2026-11-20" }) { nodes { name } }
        resourceQuotas(filter: { usageOver: 0.75 }) { nodes { name usage } }
        horizontalPodAutoscalers(filter: { atMaximum: true }) { nodes { name } }
        persistentVolumeClaims(filter: { phases: [Bound], storageClass: "fast" }) { nodes { name } }
        persistentVolumes(filter: { claimNamespace: "shop" }) { nodes { name } }
        configMaps(filter: { key: "a.conf" }) { nodes { name keys } }
        endpointSlices(filter: { service: "web", node: "node-a" }) { nodes { name } }
        storageClasses(filter: { provisioner: "csi.example.com" }) { nodes { name } }
        roles(filter: { verb: { in: ["patch", "*"] }, resource: { equals: "deployments" } }) { nodes { name } }
        clusterRoles(filter: { aggregated: false, resource: { prefix: "pods/" } }) { nodes { name } }
        roleBindings(filter: { roleKind: ClusterRole, subject: { kind: Group, name: "shop-team" } }) { nodes { name } }
        toBots: roleBindings(filter: { subject: { kind: ServiceAccount, name: "ci", namespace: "tools" } }) { nodes { name } }
        toNobody: roleBindings(filter: { subject: { kind: Group, name: "ci" } }) { nodes { name } }
        clusterRoleBindings(filter: { roleName: "view", subject: { kind: User } }) { nodes { name } }
      }`,
    )
    expect(
      Object.fromEntries(Object.entries(answer).map(([field, list]) => [field, names(list as never)])),
    ).toEqual({
      nodes: ['node-a'],
      cordoned: ['node-b'],
      namespaces: ['old'],
      services: ['admin'],
      ingresses: ['web'],
      events: ['back-off'],
      resourceQuotas: ['limits'],
      horizontalPodAutoscalers: ['web'],
      persistentVolumeClaims: ['data-db-0'],
      persistentVolumes: ['pv-0'],
      configMaps: ['settings'],
      endpointSlices: ['web-abc'],
      storageClasses: ['fast'],
      roles: ['deployer'],
      clusterRoles: ['reads-pods'],
      roleBindings: ['team-views'],
      toBots: ['team-deploys'],
      toNobody: [],
      clusterRoleBindings: ['auditors-view'],
    })
    expect(answer.resourceQuotas.nodes[0].usage).toBe(0.8)
    expect(answer.configMaps.nodes[0].keys).toEqual(['a.conf', 'b.conf'])
  })
})

describe('an order', () => {
  it('is by the keys given, the first deciding, and ties go by name', async () => {
    expect(
      await podNames('{ clusters: ["prod-eu"] }', 'orderBy: [{ field: RESTARTS, direction: DESC }]'),
    ).toEqual(['web-2-b', 'backup-1-x', 'backup-2-x', 'db-0', 'stray', 'web-1-a', 'web-2-a', 'web-2-c'])
    expect(
      await podNames(
        '{}',
        'first: 2, orderBy: [{ field: CPU, direction: DESC }, { field: NAME, direction: DESC }]',
      ),
    ).toEqual(['web-9', 'web-2-c'])
  })

  it('takes the first of the keys that name the same field, and is the same list then', async () => {
    const { fleet } = shopFleet()
    const cursors = async (orderBy: readonly unknown[]) => {
      const document = 'query ($orderBy: [PodOrder!]) { pods(orderBy: $orderBy) { edges { cursor } } }'
      return (await data(fleet, document, { orderBy })).pods.edges
    }
    const [once, other] = [{ field: 'CPU', direction: 'DESC' }, { field: 'CPU' }]
    expect(await cursors([once, other, once])).toEqual(await cursors([once]))
  })

  it('puts what has no value last in either direction', async () => {
    const pending = 'web-2-c'
    expect((await podNames('{}', 'orderBy: [{ field: NODE, direction: ASC }]')).at(-1)).toBe(pending)
    expect((await podNames('{}', 'orderBy: [{ field: NODE, direction: DESC }]')).at(-1)).toBe(pending)
  })

  it('of events is newest first where none is asked for', async () => {
    const { fleet } = shopFleet()
    const { events } = await data(fleet, '{ events { nodes { name lastSeen } } }')
    expect(names(events)).toEqual(['back-off', 'pulled', 'not-ready'])
    expect(events.nodes[0].lastSeen).toBe('2026-11-20T00:02:00.000Z')
  })
})

describe('a bad request', () => {
  const bad = async (document: string, variables: Record<string, unknown> = {}) => {
    const { errors } = await ask(shopFleet().fleet, document, variables)
    expect(errors).toHaveLength(1)
    const { message, extensions, path } = errors[0]!
    return { message, path, code: extensions?.['code'], argument: extensions?.['argument'] }
  }

  it('names an unknown cluster and the ones that it may have meant', async () => {
    const error = await bad('{ pods(filter: { clusters: ["prod"] }) { totalCount } }')
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'filter.clusters', path: ['pods'] })
    expect(error.message).toBe(
      'There is no cluster "prod". Near it: "prod-eu", "prod-us"; the field "clusters" lists all.',
    )
  })

  it('names the place in a label selector that is not one', async () => {
    const error = await bad('{ pods(filter: { labelSelector: "app==,(" }) { totalCount } }')
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'filter.labelSelector' })
    expect(error.message).toMatch(/at character \d+/)
    const clusters = await bad('{ clusters(filter: { selector: "a in b" }) { totalCount } }')
    expect(clusters).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'filter.selector' })
  })

  it('is a page that is too large, negative, or from both ends', async () => {
    expect(await bad('{ pods(first: 501) { totalCount } }')).toMatchObject({ argument: 'first' })
    expect(await bad('{ pods(last: -1) { totalCount } }')).toMatchObject({ argument: 'last' })
    expect(await bad('{ pods(first: 1, last: 1) { totalCount } }')).toMatchObject({
      code: 'BAD_USER_INPUT',
      message: 'Give either "first" or "last", not both.',
    })
  })

  it('is a cursor of another list or order', async () => {
    const { fleet } = shopFleet()
    const { nodes } = await data(fleet, '{ nodes(first: 1) { edges { cursor } } }')
    const document = 'query ($after: String) { pods(after: $after) { totalCount } }'
    for (const after of ['nonsense', nodes.edges[0].cursor]) {
      expect(await bad(document, { after })).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'after' })
    }
    expect(await bad('{ clusters(before: "nonsense") { totalCount } }')).toMatchObject({
      code: 'BAD_USER_INPUT',
      argument: 'before',
    })
  })

  it('is a time that is not one', async () => {
    for (const time of ['yesterday', '2026-02-30', '2026-02-29T00:00:00Z', '2026-13-01']) {
      const document = `{ pods(filter: { createdAfter: "${time}" }) { totalCount } }`
      await expect(ask(shopFleet().fleet, document)).rejects.toThrow('ISO 8601')
    }
    expect(await podNames('{ createdAfter: "2028-02-29T23:30:00-05:00" }')).toEqual([])
  })
})

describe('the clusters', () => {
  it('are listed by name with their health, and found by name', async () => {
    const { fleet } = shopFleet()
    const answer = await data(
      fleet,
      `{
        clusters { totalCount nodes { name state version label(key: "env") } coverage { cluster state } }
        cluster(name: "prod-us") { since latencyMs lastContactAt lastError { code } pods { totalCount } }
        unknown: cluster(name: "prod-ap") { name }
      }`,
    )
    expect(answer.clusters.totalCount).toBe(3)
    expect(answer.clusters.nodes[0]).toEqual({
      name: 'prod-eu',
      state: 'UP',
      version: 'v1.34.1',
      label: 'prod',
    })
    expect(answer.clusters.coverage).toContainEqual({ cluster: 'staging', state: 'CURRENT' })
    expect(answer.cluster).toEqual({
      since: '1970-01-01T00:00:01.000Z',
      latencyMs: 3,
      lastContactAt: '1970-01-01T00:00:02.000Z',
      lastError: null,
      pods: { totalCount: 2 },
    })
    expect(answer.unknown).toBeNull()
  })

  it('are filtered by name, labels and state, and paged', async () => {
    const { fleet, staging } = shopFleet()
    staging.health = { ...staging.health, state: 'CONNECTING', version: null }
    const answer = await data(
      fleet,
      `{
        prod: clusters(filter: { selector: "env=prod", name: { prefix: "prod" } }, first: 1) {
          nodes { name } pageInfo { hasNextPage hasPreviousPage endCursor } totalCount
        }
        connecting: clusters(filter: { states: [CONNECTING] }) { nodes { name version } }
        last: clusters(last: 1) { nodes { name } pageInfo { hasPreviousPage hasNextPage startCursor } }
        none: clusters(first: 0) { nodes { name } pageInfo { hasPreviousPage hasNextPage endCursor } }
        noneAtEnd: clusters(last: 0) { pageInfo { hasPreviousPage hasNextPage } }
      }`,
    )
    expect(answer.none).toEqual({
      nodes: [],
      pageInfo: { hasPreviousPage: false, hasNextPage: true, endCursor: null },
    })
    expect(answer.noneAtEnd.pageInfo).toEqual({ hasPreviousPage: true, hasNextPage: false })
    expect(answer.prod).toMatchObject({ nodes: [{ name: 'prod-eu' }], totalCount: 2 })
    expect(answer.prod.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false })
    expect(answer.connecting.nodes).toEqual([{ name: 'staging', version: null }])
    expect(answer.last).toMatchObject({
      nodes: [{ name: 'staging' }],
      pageInfo: { hasPreviousPage: true, hasNextPage: false },
    })
    const next = await data(
      fleet,
      'query ($after: String) { clusters(after: $after) { nodes { name } pageInfo { hasPreviousPage } } }',
      { after: answer.prod.pageInfo.endCursor },
    )
    expect(next.clusters.nodes).toEqual([{ name: 'prod-us' }, { name: 'staging' }])
    expect(next.clusters.pageInfo.hasPreviousPage).toBe(true)
  })

  it('say of each kind how much of it is in memory and how fresh it is', async () => {
    const { fleet } = shopFleet()
    const { cluster } = await data(
      fleet,
      '{ cluster(name: "prod-eu") { kinds { kind count coverage { state } } coverage { state } } }',
    )
    expect(cluster.kinds).toHaveLength(ALL_KINDS.length)
    expect(cluster.kinds).toContainEqual({ kind: 'Pod', count: 8, coverage: { state: 'CURRENT' } })
    expect(cluster.coverage.state).toBe('CURRENT')
  })
})

describe('what an answer was made from', () => {
  it('tells that it can be kept until a row changes', async () => {
    const { fleet, us } = shopFleet()
    const { view } = await ask(fleet, '{ pods { nodes { name node { name } } coverage { state } } }')
    expect(view.reads.unchanged()).toBe(true)
    us.apply('Pod', { type: 'Delete', row: us.table('Pod').get('shop', 'other')! })
    expect(view.reads.unchanged()).toBe(false)
  })

  it.each([
    'pods { coverage { asOf } }',
    'clusters { nodes { latencyMs } }',
    'clusters { nodes { lastContactAt } }',
  ])('tells that { %s } can not be kept at all', async (selection) => {
    const { view } = await ask(shopFleet().fleet, `{ ${selection} }`)
    expect(view.reads.volatile).toBe(true)
  })
})
