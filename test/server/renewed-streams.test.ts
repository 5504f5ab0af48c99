/**
 * What open streams show after their viewer has renewed the sign-in with other groups: over the real schema,
 * the real hub and real sockets. Rights go by groups: each names a namespace.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything, type Policy, type ReadRight } from '../../src/access/policy.ts'
import type { Viewer } from '../../src/access/viewer.ts'
import { Hub } from '../../src/events/hub.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { silent } from '../../src/server/logger.ts'
import { startServer, type RunningServer } from '../../src/server/server.ts'
import { eventually } from '../support/eventually.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { decided } from '../support/scoped-policy.ts'
import { pod } from '../support/shop.ts'
import { RawClient } from './websocket-client.ts'
import { zooAccess } from './zoo.ts'

const keyOf = ({ user }: Viewer) => user.groups.toSorted().join()
const rights = new Map<string, ReadRight>()
const policy: Policy = {
  ...everything,
  read(viewer) {
    const key = keyOf(viewer)
    let right = rights.get(key)
    if (!right) rights.set(key, (right = decided({ namespaces: new Set(viewer.user.groups) })))
    return right
  },
  rightsKey: keyOf,
}

let cluster: FakeCluster
let hub: Hub
let server: RunningServer
let version = 1_000
const clients: RawClient[] = []

beforeEach(async () => {
  cluster = new FakeCluster('prod-eu').load('Pod', [pod('shop', 'web'), pod('billing', 'ledger')])
  const fleet = new FakeFleet(cluster)
  hub = new Hub({ fleet, clock: systemClock })
  const access = zooAccess()
  server = await startServer({
    schema: createSchema(),
    policy,
    fleet,
    access: {
      authenticate: (credentials) => access.authenticate(credentials),
      onEnd: (viewer, listener) => access.onEnd(viewer, listener),
      contextFor: (viewer, signal) => createContext(new AuthorizedFleet(fleet, viewer, policy, hub), signal),
      eyesChanged: () => hub.rightsChanged(),
    },
    options: { port: 0 },
    logger: silent,
  })
})

afterEach(async () => {
  for (const client of clients.splice(0)) client.ws.terminate()
  await eventually(() => expect(hub.counters).toMatchObject({ followers: 0, groups: 0 }))
  expect(server.load).toEqual({ connections: 0, subscriptions: 0, requests: 0, users: 0 })
  await server.close({ graceMs: 0 })
  hub.close()
})

function change(namespace: string, name: string, phase: string): void {
  const resourceVersion = String(++version)
  const object = pod(namespace, name, { phase, resourceVersion })
  cluster.apply('Pod', { type: 'Apply', row: project('Pod')(object, cluster.name), resourceVersion })
}

async function connected(token: string): Promise<RawClient> {
  const client = await RawClient.connected(server.url, { token })
  clients.push(client)
  return client
}

async function renew(client: RawClient, token: string): Promise<void> {
  client.send({ type: 'ping', payload: { type: 'reauthenticate', authorization: `Bearer ${token}` } })
  await client.take(({ type }) => type === 'pong')
}

/** The next event, as `TYPE namespace/name reason`. */
async function told(client: RawClient): Promise<string> {
  const { payload } = await client.next()
  const { podChanges } = (payload as { data: { podChanges: Told } }).data
  const { type, object, deletedReason } = podChanges
  return [type, object && `${object.namespace}/${object.name}`, deletedReason].filter(Boolean).join(' ')
}

interface Told {
  readonly type: string
  readonly object: { readonly namespace: string; readonly name: string } | null
  readonly deletedReason: string | null
}

const FOLLOW = `subscription ($snapshot: Boolean) {
  podChanges(snapshot: $snapshot) { type deletedReason object { namespace name } }
}`
/** One that is executed for each reader, since it reads live; which fails here, and takes the object with it. */
const ALONE = `subscription {
  podChanges { type deletedReason object { namespace name manifest { __typename } } }
}`

test('what may not be seen any more goes, what may be seen now comes, and others keep what they had', async () => {
  const [ann, ben] = [await connected('ann/shop'), await connected('ben/shop')]
  for (const client of [ann, ben]) {
    client.subscribe('1', FOLLOW, { snapshot: true })
    expect([await told(client), await told(client)]).toEqual(['ADDED shop/web', 'SYNCED'])
  }
  expect(hub.counters.groups).toBe(1)
  await renew(ann, 'ann/billing')
  expect([await told(ann), await told(ann)].toSorted()).toEqual([
    'ADDED billing/ledger',
    'DELETED shop/web FORBIDDEN',
  ])
  change('shop', 'web', 'Failed')
  expect(await told(ben)).toBe('MODIFIED shop/web')
  change('billing', 'ledger', 'Failed')
  expect(await told(ann)).toBe('MODIFIED billing/ledger')
  await Promise.all([ann.settled(), ben.settled()])
  expect([...ann.pending, ...ben.pending]).toEqual([])
  ann.subscribe('2', '{ pods { nodes { name } } }')
  expect(await ann.next()).toMatchObject({ payload: { data: { pods: { nodes: [{ name: 'ledger' }] } } } })
})

test('the same rights change nothing, and share what they shared', async () => {
  const [ann, ben] = [await connected('ann/shop'), await connected('ben/shop')]
  for (const client of [ann, ben]) {
    client.subscribe('1', FOLLOW)
    await client.settled()
  }
  await renew(ann, 'ann/shop@1900000000000')
  expect(hub.counters.groups).toBe(1)
  const { renders } = hub.counters
  change('shop', 'web', 'Failed')
  expect([await told(ann), await told(ben)]).toEqual(['MODIFIED shop/web', 'MODIFIED shop/web'])
  expect(hub.counters.renders).toBe(renders + 1)
})

test('a stream that is executed for its reader alone is seen with the new eyes too', async () => {
  const ann = await connected('ann/shop')
  ann.subscribe('1', ALONE)
  await ann.settled()
  await renew(ann, 'ann/billing')
  expect([await told(ann), await told(ann)].toSorted()).toEqual(['ADDED', 'DELETED FORBIDDEN'])
  change('shop', 'web', 'Failed')
  change('billing', 'ledger', 'Failed')
  expect(await told(ann)).toBe('MODIFIED')
  await ann.settled()
  expect(ann.pending).toEqual([])
})
