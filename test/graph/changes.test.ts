import { createSourceEventStream, executeSubscriptionEvent, parse, validateSubscriptionArgs } from 'graphql'
import { describe, expect, it } from 'vitest'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { PodRow } from '../../src/kubernetes/rows.ts'
import type { FakeCluster } from '../support/fake-fleet.ts'
import { ScopedPolicy } from '../support/scoped-policy.ts'
import { pod, shopFleet } from '../support/shop.ts'
import { data } from './ask.ts'
import { follow, liveView } from './follow.ts'

let version = 100

/** What the API server would tell of the pod now. */
function apply(cluster: FakeCluster, raw: ReturnType<typeof pod>): void {
  const meta = (raw as { metadata: object }).metadata
  const row = project('Pod')({ ...raw, metadata: { ...meta, resourceVersion: `${++version}` } }, cluster.name)
  cluster.apply('Pod', { type: 'Apply', row })
}

function remove(cluster: FakeCluster, name: string): void {
  const row = cluster.table('Pod').get('shop', name)!
  cluster.apply('Pod', { type: 'Delete', row: { ...plain(row), resourceVersion: `${++version}` } })
}

/** A pod's row is not to be spread. */
const plain = (row: PodRow): PodRow => (row as unknown as { toJSON(): PodRow }).toJSON()

/** In the order of the alphabet. */
const sorted = (texts: readonly string[]) => texts.toSorted((a, b) => (a < b ? -1 : 1))

const idsOf = (nodes: readonly { readonly id: string }[]) => sorted(nodes.map(({ id }) => id))

function setState(cluster: FakeCluster, state: 'UP' | 'DOWN'): void {
  cluster.health = { ...cluster.health, state }
}

const PODS = `subscription ($filter: PodFilter, $snapshot: Boolean, $after: String) {
  podChanges(filter: $filter, snapshot: $snapshot, after: $after) {
    type object { name phase } previous { name phase } deletedReason cluster { name } message cursor
  }
}`

describe('changes of pods', () => {
  it('go on where a query was: none is missed, and none comes twice', async () => {
    const { fleet, eu } = shopFleet()
    const filter = { clusters: ['prod-eu'] }
    const { pods } = await data(
      fleet,
      'query ($filter: PodFilter) { pods(filter: $filter) { cursor totalCount } }',
      { filter },
    )
    expect(pods.cursor).toEqual(expect.any(String))
    apply(eu, pod('shop', 'between', { node: 'node-a' }))
    const changes = await follow(fleet, PODS, { variables: { filter, after: pods.cursor } })
    expect(await changes.next()).toEqual({
      type: 'ADDED',
      object: { name: 'between', phase: 'Running' },
      previous: null,
      deletedReason: null,
      cluster: { name: 'prod-eu' },
      message: null,
      cursor: expect.any(String),
    })
    const synced = await changes.next()
    expect(synced).toMatchObject({ type: 'SYNCED', object: null, cluster: null })
    apply(eu, pod('shop', 'between', { node: 'node-a', phase: 'Failed' }))
    const modified = await changes.next()
    expect(modified).toMatchObject({
      type: 'MODIFIED',
      object: { name: 'between', phase: 'Failed' },
      previous: { name: 'between', phase: 'Running' },
    })
    await changes.leave()
    // And again, after the connection was lost.
    remove(eu, 'between')
    const resumed = await follow(fleet, PODS, { variables: { filter, after: modified.cursor } })
    expect(await resumed.next()).toMatchObject({
      type: 'DELETED',
      object: { name: 'between', phase: 'Failed' },
      deletedReason: 'OBJECT_DELETED',
      message: expect.any(String),
    })
    expect(await resumed.next()).toMatchObject({ type: 'SYNCED' })
    await resumed.leave()
  })

  it('begin with what is there, then say that this is all, and how far it can be trusted', async () => {
    const { fleet } = shopFleet()
    const changes = await follow(
      fleet,
      'subscription { podChanges(snapshot: true, filter: { clusterSelector: "env=prod" }) { type object { id } cursor coverage { cluster state } } }',
    )
    const events = await changes.until(({ type }) => type === 'SYNCED')
    const synced = events.pop()
    expect(synced).toMatchObject({
      cursor: expect.any(String),
      coverage: [
        { cluster: 'prod-eu', state: 'CURRENT' },
        { cluster: 'prod-us', state: 'CURRENT' },
      ],
    })
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(['ADDED']))
    expect(events.every(({ coverage, cursor }) => coverage.length === 0 && cursor === null)).toBe(true)
    const { pods } = await data(fleet, '{ pods(filter: { clusterSelector: "env=prod" }) { nodes { id } } }')
    expect(idsOf(events.map(({ object }) => object))).toEqual(idsOf(pods.nodes))
    await changes.leave()
  })

  it('tell what leaves the filter as DELETED and what comes into it as ADDED', async () => {
    const { fleet, eu } = shopFleet()
    const filter = { phases: ['Pending'], namespaces: ['shop'], clusters: ['prod-eu'] }
    const changes = await follow(fleet, PODS, { variables: { filter } })
    apply(eu, pod('shop', 'db-0', { phase: 'Pending' }))
    expect(await changes.next()).toMatchObject({ type: 'ADDED', object: { name: 'db-0' }, previous: null })
    apply(eu, pod('shop', 'db-0', { node: 'node-a' }))
    expect(await changes.next()).toMatchObject({
      type: 'DELETED',
      deletedReason: 'FILTER',
      object: { name: 'db-0' },
      previous: { phase: 'Pending' },
    })
    await changes.leave()
  })

  it('are those that the viewer may see', async () => {
    const { fleet, eu } = shopFleet()
    const policy = new ScopedPolicy(() => ({ namespaces: new Set(['shop']) }))
    const changes = await follow(fleet, PODS, { policy, variables: { filter: { clusters: ['prod-eu'] } } })
    apply(eu, pod('secret', 'hidden'))
    apply(eu, pod('shop', 'shown'))
    expect(await changes.next()).toMatchObject({ object: { name: 'shown' } })
    await changes.leave()
  })

  it('say when a cluster is not followed, and when it is again', async () => {
    const { fleet, eu } = shopFleet()
    const changes = await follow(
      fleet,
      'subscription { podChanges(filter: { clusters: ["prod-eu"] }) { type cluster { name } message coverage { cluster state reason } } }',
    )
    const problem = { code: 'UNREACHABLE' as const, message: 'It does not answer.' }
    eu.apply('Pod', { type: 'Down', problem })
    expect(await changes.next()).toEqual({
      type: 'CLUSTER_DOWN',
      cluster: { name: 'prod-eu' },
      message: expect.any(String),
      coverage: [{ cluster: 'prod-eu', state: 'UNREACHABLE', reason: 'It does not answer.' }],
    })
    eu.apply('Pod', { type: 'Up' })
    expect(await changes.next()).toMatchObject({ type: 'CLUSTER_UP', coverage: [{ state: 'CURRENT' }] })
    await changes.leave()
  })

  it('tell of objects whose cluster left the fleet, with all that they had', async () => {
    const { fleet, us } = shopFleet()
    const changes = await follow(
      fleet,
      'subscription { podChanges(filter: { clusterSelector: "region=us" }) { type deletedReason message cluster { name } object { id cluster { name labels { key } } workload { id } pods: events { totalCount } } previous { cluster { name } } } }',
    )
    const rows = Array.from(us.table('Pod').rows().all())
    fleet.remove('prod-us')
    const events = []
    while (events.length < rows.length) events.push(await changes.next())
    expect(idsOf(events.map(({ object }) => object))).toEqual(idsOf(rows))
    for (const event of events) {
      expect(event).toMatchObject({
        type: 'DELETED',
        deletedReason: 'CLUSTER_REMOVED',
        message: expect.stringContaining('prod-us'),
        cluster: { name: 'prod-us' },
        object: { cluster: { name: 'prod-us', labels: [{ key: 'env' }, { key: 'region' }] } },
      })
    }
    await changes.leave()
  })

  it('are made without waiting for anything, however much of the object is selected', async () => {
    const { fleet, eu } = shopFleet()
    const args = validateSubscriptionArgs({
      schema: createSchema(),
      document:
        parse(`subscription { podChanges(filter: { clusters: ["prod-eu"] }) { type cursor coverage { cluster } cluster { name labels { key } }
        object { id kind name labels { key value } owner { name object { id } } ownerChain { id } events { totalCount }
          containers { name image ready restarts } volumes { name } conditions { type } node { name }
          workload { id rollout { status } } services { id links { url } } } } }`),
      contextValue: createContext(liveView(fleet)),
    })
    if (!('schema' in args)) throw new Error(args.join('\n'))
    const stream = await createSourceEventStream(args)
    if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream))
    const events = stream[Symbol.asyncIterator]()
    const event = events.next()
    apply(eu, pod('shop', 'web-2-a', { node: 'node-a', owner: { kind: 'ReplicaSet', name: 'web-2' } }))
    const { value: rootValue } = await event
    const result = executeSubscriptionEvent({ ...args, rootValue })
    expect(result).not.toBeInstanceOf(Promise)
    expect(result).toMatchObject({
      data: { podChanges: { object: { name: 'web-2-a', workload: { rollout: { status: 'PROGRESSING' } } } } },
    })
    await events.return?.()
  })

  it.each([
    ['after', 'after: "nonsense"'],
    ['throttle', 'throttle: -1'],
    ['throttle', 'throttle: 60001'],
    ['filter.clusters', 'filter: { clusters: ["prod-uk"] }'],
    ['filter.clusterSelector', 'filter: { clusterSelector: "env in prod" }'],
    ['filter.labelSelector', 'filter: { labelSelector: "app in web" }'],
  ])('name the argument that is wrong: %s', async (argument, args) => {
    const asked = follow(shopFleet().fleet, `subscription { podChanges(${args}) { type } }`)
    await expect(asked).rejects.toMatchObject({
      errors: [{ extensions: { code: 'BAD_USER_INPUT', argument } }],
    })
  })
})

describe('every subscription to objects', () => {
  it.each([
    ['podChanges', 'pods'],
    ['workloadChanges', 'workloads'],
    ['nodeChanges', 'nodes'],
    ['serviceChanges', 'services'],
    ['eventChanges', 'events'],
    ['namespaceChanges', 'namespaces'],
  ])('%s begins with what %s lists, and takes its filter', async (field, list) => {
    const { fleet } = shopFleet()
    for (const filter of ['{}', '{ name: { contains: "o" }, clusters: ["prod-eu"] }']) {
      const listed = await data(fleet, `{ ${list}(filter: ${filter}, first: 500) { nodes { id } } }`)
      const changes = await follow(
        fleet,
        `subscription { ${field}(filter: ${filter}, snapshot: true) { type object { id cluster { name } } } }`,
      )
      const events = await changes.until(({ type }) => type === 'SYNCED')
      expect(idsOf(events.flatMap(({ object }) => object ?? []))).toEqual(idsOf(listed[list].nodes))
      await changes.leave()
    }
  })

  it('has a kind of its own for each workload', async () => {
    const { fleet } = shopFleet()
    const changes = await follow(
      fleet,
      'subscription { workloadChanges(snapshot: true, filter: { kinds: [Job, StatefulSet], clusters: ["prod-eu"] }) { type object { __typename name ... on Job { succeeded } } } }',
    )
    const events = await changes.until(({ type }) => type === 'SYNCED')
    const objects = events.flatMap(({ object }) => object ?? [])
    expect(objects).toHaveLength(3)
    expect(objects).toEqual(
      expect.arrayContaining([
        { __typename: 'Job', name: 'backup-1', succeeded: 1 },
        { __typename: 'StatefulSet', name: 'db' },
      ]),
    )
    await changes.leave()
  })

  it('can be of any kinds in one stream', async () => {
    const { fleet, eu } = shopFleet()
    const document = `subscription ($kinds: [Kind!]) {
      objectChanges(kinds: $kinds, filter: { labelSelector: "app", namespaces: ["shop"], clusters: ["prod-eu"] }, snapshot: true) {
        type object { kind name } coverage { state }
      }
    }`
    const some = await follow(fleet, document, { variables: { kinds: ['Pod', 'StatefulSet', 'Pod'] } })
    const events = await some.until(({ type }) => type === 'SYNCED')
    const names = events.flatMap(({ object }) => (object ? [`${object.kind} ${object.name}`] : []))
    expect(sorted(names)).toEqual([
      'Pod db-0',
      'Pod stray',
      'Pod web-1-a',
      'Pod web-2-a',
      'Pod web-2-b',
      'Pod web-2-c',
      'StatefulSet db',
    ])
    eu.apply('Deployment', { type: 'Delete', row: eu.table('Deployment').get('shop', 'web')! })
    remove(eu, 'db-0')
    expect(await some.next()).toMatchObject({ type: 'DELETED', object: { kind: 'Pod', name: 'db-0' } })
    await some.leave()
    const all = await follow(fleet, document)
    const kinds = (await all.until(({ type }) => type === 'SYNCED')).map(({ object }) => object?.kind)
    expect(new Set(kinds)).toEqual(new Set(['ReplicaSet', 'StatefulSet', 'Pod', undefined]))
    await all.leave()
  })
})

describe('the cursor of a list', () => {
  it('is there for every kind, also below a cluster, and is none of an edge', async () => {
    const { fleet } = shopFleet()
    const { nodes, workloads, cluster } = await data(
      fleet,
      `{ nodes(filter: { clusters: ["prod-eu"] }) { cursor edges { cursor } pageInfo { endCursor } }
         workloads(filter: { clusters: ["prod-eu"] }) { cursor }
         cluster(name: "prod-eu") { pods { cursor } } }`,
    )
    const cursors = [nodes.cursor, workloads.cursor, cluster.pods.cursor]
    expect(cursors).toEqual([expect.any(String), expect.any(String), expect.any(String)])
    expect(cursors).not.toContain(nodes.pageInfo.endCursor)
    const mixed = follow(fleet, PODS, { variables: { after: nodes.pageInfo.endCursor } })
    await expect(mixed).rejects.toMatchObject({ errors: [{ extensions: { argument: 'after' } }] })
  })

  it('is a place to go on from also while a cluster has not been read: all of that is new then', async () => {
    const { fleet, staging } = shopFleet()
    const { pods } = await data(
      fleet,
      '{ pods(filter: { clusters: ["staging"] }) { cursor totalCount coverage { state } } }',
    )
    expect(pods).toMatchObject({ totalCount: 0, coverage: [{ state: 'SYNCING' }] })
    const changes = await follow(
      fleet,
      'subscription ($after: String) { podChanges(filter: { clusters: ["staging"] }, after: $after) { type object { name } coverage { state } } }',
      { variables: { after: pods.cursor } },
    )
    const begun = await changes.until(({ type }) => type === 'SYNCED')
    expect(begun.map(({ type }) => type)).toEqual(['CLUSTER_DOWN', 'SYNCED'])
    staging.load('Pod', [pod('shop', 'first')])
    expect(await changes.until(({ type }) => type === 'CLUSTER_UP')).toEqual([
      { type: 'ADDED', object: { name: 'first' }, coverage: [] },
      { type: 'CLUSTER_UP', object: null, coverage: [{ state: 'CURRENT' }] },
    ])
    await changes.leave()
  })
})

describe('changes of clusters', () => {
  const CLUSTERS = `subscription ($filter: ClusterFilter, $snapshot: Boolean) {
    clusterChanges(filter: $filter, snapshot: $snapshot) { type cluster { name state } deletedReason message }
  }`

  it('begin with those that are there', async () => {
    const { fleet } = shopFleet()
    const changes = await follow(fleet, CLUSTERS, {
      variables: { snapshot: true, filter: { selector: 'env=prod' } },
    })
    const events = await changes.until(({ type }) => type === 'SYNCED')
    expect(events.map(({ type, cluster }) => `${type} ${cluster?.name} ${cluster?.state}`)).toEqual([
      'ADDED prod-eu UP',
      'ADDED prod-us UP',
      'SYNCED undefined undefined',
    ])
    await changes.leave()
  })

  it('tell health, and clusters that go', async () => {
    const { fleet, eu } = shopFleet()
    const changes = await follow(fleet, CLUSTERS)
    setState(eu, 'DOWN')
    expect(await changes.next()).toMatchObject({
      type: 'MODIFIED',
      cluster: { name: 'prod-eu', state: 'DOWN' },
    })
    fleet.remove('prod-us')
    expect(await changes.next()).toMatchObject({
      type: 'DELETED',
      cluster: { name: 'prod-us' },
      deletedReason: 'CLUSTER_REMOVED',
      message: expect.stringContaining('prod-us'),
    })
    await changes.leave()
  })

  it('can be of those in one state: they come into the filter, and leave it', async () => {
    const { fleet, eu } = shopFleet()
    const changes = await follow(fleet, CLUSTERS, { variables: { filter: { states: ['DOWN'] } } })
    setState(eu, 'DOWN')
    expect(await changes.next()).toMatchObject({ type: 'ADDED', cluster: { name: 'prod-eu' } })
    setState(eu, 'UP')
    expect(await changes.next()).toMatchObject({ type: 'DELETED', cluster: { name: 'prod-eu', state: 'UP' } })
    await changes.leave()
  })
})

describe('a followed summary', () => {
  it('is told at once, and anew after changes', async () => {
    const { fleet, eu } = shopFleet()
    const changes = await follow(
      fleet,
      'subscription { summaryChanges(filter: { clusters: ["prod-eu"] }, interval: 100) { pods { count } coverage { cluster } } }',
    )
    expect(await changes.next()).toEqual({ pods: { count: 8 }, coverage: [{ cluster: 'prod-eu' }] })
    apply(eu, pod('shop', 'one-more'))
    expect(await changes.next()).toMatchObject({ pods: { count: 9 } })
    await changes.leave()
  })

  it('leaves out a cluster that leaves the fleet', async () => {
    const { fleet } = shopFleet()
    const changes = await follow(
      fleet,
      'subscription { summaryChanges(filter: { clusters: ["prod-eu", "prod-us"] }, interval: 100) { pods { count } } }',
    )
    expect(await changes.next()).toEqual({ pods: { count: 10 } })
    fleet.remove('prod-us')
    expect(await changes.next()).toEqual({ pods: { count: 8 } })
    await changes.leave()
  })

  it.each([99, 3_600_001])('names the interval that is wrong: %i', async (interval) => {
    const asked = follow(
      shopFleet().fleet,
      `subscription { summaryChanges(interval: ${interval}) { pods { count } } }`,
    )
    await expect(asked).rejects.toMatchObject({ errors: [{ extensions: { argument: 'interval' } }] })
  })
})
