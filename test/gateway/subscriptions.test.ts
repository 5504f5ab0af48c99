/**
 * Subscriptions from a table to the clients that people use – graphql-ws, graphql-sse, urql with a split
 * link – over the real schema, the real hub and real sockets. The tables are filled by hand.
 */
import { once } from 'node:events'
import { Client, fetchExchange, gql, subscriptionExchange } from '@urql/core'
import { createClient as createStreamClient } from 'graphql-sse'
import { createClient } from 'graphql-ws'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { Hub } from '../../src/events/hub.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { silent } from '../../src/server/logger.ts'
import { startServer, type RunningServer } from '../../src/server/server.ts'
import { clientFrame, rawUpgrade } from '../server/websocket-client.ts'
import { eventually } from '../support/eventually.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { pod } from '../support/shop.ts'

interface Change {
  readonly type: string
  readonly object: { readonly name: string; readonly phase: string } | null
  readonly cursor: string | null
}

const QUEUE = 64
const CHANGES = `subscription Changes($after: String, $snapshot: Boolean) {
  podChanges(after: $after, snapshot: $snapshot) { type cursor object { name phase } }
}`

let cluster: FakeCluster
let hub: Hub
let server: RunningServer
let version = 1_000
const ended: (() => unknown)[] = []

beforeEach(async () => {
  cluster = new FakeCluster('prod-eu').load('Pod', [pod('shop', 'web-1'), pod('shop', 'web-2')])
  const fleet = new FakeFleet(cluster)
  hub = new Hub({ fleet, clock: systemClock, limits: { queue: QUEUE } })
  server = await startServer({
    schema: createSchema(),
    policy: everything,
    fleet,
    access: {
      authenticate: () => viewerOf({ name: 'visitor', groups: [] }),
      onEnd: () => () => {},
      contextFor: (user, signal) => createContext(new AuthorizedFleet(fleet, user, everything, hub), signal),
    },
    options: { port: 0 },
    logger: silent,
  })
})

afterEach(async () => {
  for (const end of ended.splice(0)) await end()
  await eventually(() => expect(hub.counters).toMatchObject({ followers: 0, groups: 0 }))
  await server.close({ graceMs: 0 })
  hub.close()
})

/** Changes a pod, or makes one. */
function change(name: string, phase: string, labels: Record<string, string> = {}): void {
  const resourceVersion = String(++version)
  const object = pod('shop', name, { phase, resourceVersion, labels })
  cluster.apply('Pod', { type: 'Apply', row: project('Pod')(object, cluster.name), resourceVersion })
}

function socketClient() {
  const client = createClient({
    url: `${server.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryWait: () => Promise.resolve(),
  })
  ended.push(() => client.dispose())
  return client
}

function streamClient() {
  const client = createStreamClient({ url: `${server.url}/graphql`, retry: () => Promise.resolve() })
  ended.push(() => client.dispose())
  return client
}

type Changes = AsyncIterator<{ readonly data?: unknown; readonly errors?: unknown }>

/** Events up to and with the first of this type. */
async function until(changes: Changes, type: string): Promise<Change[]> {
  const events: Change[] = []
  for (;;) {
    const { value, done } = await changes.next()
    if (done) throw new Error(`ended before ${type}`)
    const { data, errors } = value as { data: { podChanges: Change }; errors?: unknown }
    if (errors) throw new Error(JSON.stringify(errors))
    events.push(data.podChanges)
    if (data.podChanges.type === type) return events
  }
}

const names = (events: readonly Change[]) => events.flatMap(({ object }) => object?.name ?? [])

test('a snapshot and then each change, the same over a WebSocket and over an event stream', async () => {
  const socket = socketClient().iterate({ query: CHANGES, variables: { snapshot: true } })
  const stream = streamClient().iterate({ query: CHANGES, variables: { snapshot: true } })
  for (const changes of [socket, stream]) {
    expect(names(await until(changes, 'SYNCED'))).toEqual(['web-1', 'web-2'])
  }
  expect(hub.counters).toMatchObject({ followers: 2, groups: 1 })
  change('web-3', 'Pending')
  change('web-3', 'Running')
  for (const changes of [socket, stream]) {
    expect((await until(changes, 'MODIFIED')).map(({ type, object }) => [type, object?.phase])).toEqual([
      ['ADDED', 'Pending'],
      ['MODIFIED', 'Running'],
    ])
  }
})

test('a cursor goes on over the other transport', async () => {
  const first = socketClient()
  const changes = first.iterate({ query: CHANGES, variables: { snapshot: true } })
  await until(changes, 'SYNCED')
  change('web-1', 'Failed')
  const [{ cursor } = { cursor: null }] = await until(changes, 'MODIFIED')
  await first.dispose()
  change('web-2', 'Failed')
  const next = streamClient().iterate({ query: CHANGES, variables: { after: cursor } })
  const missed = await until(next, 'SYNCED')
  expect(names(missed)).toEqual(['web-2'])
  await expect(
    socketClient()
      .iterate({ query: CHANGES, variables: { after: 'nonsense' } })
      .next(),
  ).rejects.toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
})

test('urql asks over HTTP and subscribes over the WebSocket', async () => {
  const socket = socketClient()
  const client = new Client({
    url: `${server.url}/graphql`,
    preferGetMethod: false,
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => {
            const unsubscribe = socket.subscribe(
              { query: query ?? '', variables: { ...variables } },
              sink as never,
            )
            return { unsubscribe }
          },
        }),
      }),
    ],
  })
  const { data } = await client.query(gql`{ pods { nodes { name } cursor } }`, {}).toPromise()
  expect(data).toMatchObject({ pods: { nodes: [{ name: 'web-1' }, { name: 'web-2' }] } })
  const { cursor } = (data as { pods: { cursor: string } }).pods
  change('web-1', 'Failed')
  const got: unknown[] = []
  const subscription = client
    .subscription(gql(CHANGES), { after: cursor })
    .subscribe(({ data, error }) => got.push(error ?? data))
  await eventually(() => expect(got).toHaveLength(2))
  expect(got).toMatchObject([
    { podChanges: { type: 'MODIFIED', object: { name: 'web-1', phase: 'Failed' } } },
    { podChanges: { type: 'SYNCED' } },
  ])
  subscription.unsubscribe()
})

test('events with what is read live are made for each reader alone', async () => {
  cluster.answer = () => ({ kind: 'Pod', metadata: { name: 'web-1', annotations: { team: 'a' } } })
  const changes = socketClient().iterate({
    query: 'subscription { podChanges { object { name manifest { annotations { key value } } } } }',
  })
  const next = changes.next()
  await eventually(() => expect(hub.counters.followers).toBe(1))
  change('web-1', 'Failed')
  expect((await next).value).toEqual({
    data: {
      podChanges: { object: { name: 'web-1', manifest: { annotations: [{ key: 'team', value: 'a' }] } } },
    },
  })
})

test('a reader that stops holds up nobody, and is right when it reads again', async () => {
  const { socket } = await rawUpgrade(server.url)
  ended.push(() => socket.destroy())
  socket.write(clientFrame(JSON.stringify({ type: 'connection_init' })))
  await once(socket, 'data')
  const query = 'subscription { podChanges { type object { name phase labels { key value } } } }'
  socket.write(clientFrame(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } })))
  await eventually(() => expect(hub.counters.followers).toBe(1))
  socket.pause()
  const quick = socketClient().iterate({ query: CHANGES })
  const next = quick.next()
  await eventually(() => expect(hub.counters.followers).toBe(2))
  // Both kernels' buffers fill first; then its socket, then its queue, of which objects there are more.
  const filler = { filler: 'x'.repeat(4_000) }
  for (let count = 0; hub.counters.resyncs === 0; count++) {
    expect(count).toBeLessThan(20_000)
    change(`many-${count % (4 * QUEUE)}`, 'Running', filler)
    if (count === 0) await next
    else expect((await quick.next()).value).toMatchObject({ data: { podChanges: { object: {} } } })
  }
  change('web-1', 'Failed')
  expect((await quick.next()).value).toMatchObject({ data: { podChanges: { object: { name: 'web-1' } } } })
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    const resync = text.lastIndexOf('"RESYNC"')
    if (resync > 0) text = text.slice(resync)
  })
  socket.resume()
  await eventually(() => expect(text).toMatch(/^"RESYNC".*"SYNCED"/s), { timeoutMs: 30_000 })
  for (let index = 0; index < 4 * QUEUE; index++) expect(text).toContain(`"name":"many-${index}"`)
  expect(text).toContain('"name":"web-1","phase":"Failed"')
  expect(text).toContain('"name":"web-2"')
})
