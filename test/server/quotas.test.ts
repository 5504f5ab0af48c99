/** What one user may have open at a time, what is left when it has ended, and floods. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { viewerOf } from '../../src/access/viewer.ts'
import { DEFAULT_LIMITS } from '../../src/server/limits.ts'
import {
  Pace,
  Quotas,
  SECONDS_ABOVE_PACE,
  SOCKET_PACE,
  type Place,
  type Quota,
} from '../../src/server/quotas.ts'
import { eventually } from '../support/eventually.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { event } from './fake-hub.ts'
import { zooServer, type ZooServer } from './support.ts'
import { clientFrame, RawClient, rawUpgrade } from './websocket-client.ts'
import { ANIMALS } from './zoo.ts'

const NOTHING = { connections: 0, subscriptions: 0, requests: 0, users: 0 }

const open: ZooServer[] = []
const clients: RawClient[] = []
const start: typeof zooServer = async (...setup) => {
  const server = await zooServer(...setup)
  open.push(server)
  return server
}
const connected = async (server: ZooServer, token = 'ann') => {
  const client = await RawClient.connected(server.url, { token })
  clients.push(client)
  return client
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.ws.terminate()
  for (const server of open.splice(0)) {
    await server.close({ graceMs: 0 })
    await eventually(() => expect(server.load).toEqual(NOTHING))
    expect(server.hub.followers.size).toBe(0)
    await eventually(() => expect(server.access.listeners).toBe(0))
  }
})

const CHANGES = 'subscription { animalChanges { object { id } } }'
const stream = (server: ZooServer, query: string, token = 'ann') =>
  server.ask(query, {}, { accept: 'text/event-stream', authorization: token })
const exceeded = (limit: string) => ({ extensions: { code: 'LIMIT_EXCEEDED', limit } })

describe('quotas', () => {
  const user = (name: string, issuer: string | null = 'zoo') =>
    viewerOf({ name, groups: [] }, { method: 'TOKEN', issuer })
  const limitOf = (take: () => unknown): unknown => {
    try {
      take()
    } catch (error) {
      return (error as { extensions: { limit: string } }).extensions.limit
    }
    return undefined
  }

  test('are not those of a namesake whose issuer is called alike, but is another kind of one', () => {
    const quotas = new Quotas({ ...DEFAULT_LIMITS, connectionsPerUser: 2 })
    const [token, reviewed] = (['TOKEN', 'TOKEN_REVIEW'] as const).map((method) =>
      viewerOf({ name: 'ann', groups: [] }, { method, issuer: 'prod-eu' }),
    )
    const places = [token!, token!].map((viewer) => quotas.take(viewer, 'connectionsPerUser'))
    expect(quotas.take(reviewed!, 'connectionsPerUser')).toBeDefined()
    expect(quotas.load.users).toBe(2)
    for (const place of places) place.free()
  })

  test('are those of a user, however often they signed in, and of an issuer', () => {
    const quotas = new Quotas({ ...DEFAULT_LIMITS, connectionsPerUser: 2 })
    const places = [
      quotas.take(user('ann'), 'connectionsPerUser'),
      quotas.take(user('ann'), 'connectionsPerUser'),
    ]
    expect(limitOf(() => quotas.take(user('ann'), 'connectionsPerUser'))).toBe('connectionsPerUser')
    places.push(quotas.take(user('ann', 'elsewhere'), 'connectionsPerUser'))
    expect(quotas.load).toEqual({ ...NOTHING, connections: 3, users: 2 })
    places[0]!.free()
    places[0]!.free()
    places.push(quotas.take(user('ann'), 'connectionsPerUser'))
    expect(limitOf(() => quotas.take(user('ann'), 'connectionsPerUser'))).toBe('connectionsPerUser')
    for (const place of places) place.free()
    expect(quotas.load).toEqual(NOTHING)
  })

  test('tell who was refused what', () => {
    const told: unknown[] = []
    const limits = { ...DEFAULT_LIMITS, subscriptionsPerUser: 1 }
    const quotas = new Quotas(limits, ({ extensions }, { user }, caller) =>
      told.push([user.name, extensions['limit'] ?? extensions['code'], caller?.remoteAddress]),
    )
    quotas.take(user('ann'), 'subscriptionsPerUser')
    const caller = { correlationId: '1', remoteAddress: '10.0.0.1' }
    expect(() => quotas.take(user('ann'), 'subscriptionsPerUser', caller)).toThrow('the most for one user')
    quotas.flooded(user('ben'), 'Too many messages', caller)
    expect(told).toEqual([
      ['ann', 'subscriptionsPerUser', '10.0.0.1'],
      ['ben', 'RATE_LIMITED', '10.0.0.1'],
    ])
  })

  test('hold for nobody in particular who did not sign in, but for all together', () => {
    const quotas = new Quotas({ ...DEFAULT_LIMITS, subscriptionsPerUser: 1, subscriptions: 3 })
    const nobody = viewerOf({ name: 'system:anonymous', groups: [] })
    const places = [1, 2, 3].map(() => quotas.take(nobody, 'subscriptionsPerUser'))
    expect(limitOf(() => quotas.take(user('ann'), 'subscriptionsPerUser'))).toBe('subscriptions')
    expect(quotas.load.users).toBe(0)
    for (const place of places) place.free()
    expect(quotas.load).toEqual(NOTHING)
  })

  test('count right in whatever order places are taken and freed', () => {
    const quotas = new Quotas({
      ...DEFAULT_LIMITS,
      connectionsPerUser: 5,
      subscriptionsPerUser: 5,
      requestsPerUser: 5,
    })
    const held: { readonly key: string; readonly place: Place }[] = []
    let random = 7
    const below = (n: number) => (random = (random * 48_271) % 2_147_483_647) % n
    const kinds: readonly Quota[] = ['connectionsPerUser', 'subscriptionsPerUser', 'requestsPerUser']
    for (let step = 0; step < 5_000; step++) {
      if (below(2) === 0) {
        const [name, kind] = [`u${below(4)}`, kinds[below(3)]!]
        const key = `${name} ${kind}`
        const refused = held.filter((one) => one.key === key).length === 5
        try {
          held.push({ key, place: quotas.take(user(name), kind) })
          expect(refused).toBe(false)
        } catch {
          expect(refused).toBe(true)
        }
      } else {
        const [one] = held.splice(below(Math.max(1, held.length)), 1)
        one?.place.free()
        one?.place.free()
      }
      const count = (kind: string) => held.filter(({ key }) => key.endsWith(kind)).length
      expect(quotas.load).toEqual({
        connections: count(kinds[0]!),
        subscriptions: count(kinds[1]!),
        requests: count(kinds[2]!),
        users: new Set(held.map(({ key }) => key.split(' ')[0])).size,
      })
    }
  })
})

describe('one user has so many', () => {
  test('connections: WebSockets and event streams together', async () => {
    const server = await start({ options: { limits: { connectionsPerUser: 2 } } })
    const socket = await connected(server)
    const controller = new AbortController()
    const streaming = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: 'ann' },
      body: JSON.stringify({ query: CHANGES }),
      signal: controller.signal,
    })
    expect(streaming.status).toBe(200)
    const refused = await RawClient.open(server.url)
    clients.push(refused)
    refused.send({ type: 'connection_init', payload: { token: 'ann' } })
    const { code, reason } = await refused.closed
    expect([code, reason]).toEqual([1013, expect.stringContaining('connectionsPerUser')])
    const response = await stream(server, CHANGES)
    expect(response.status).toBe(429)
    expect(await response.json()).toMatchObject({ errors: [exceeded('connectionsPerUser')] })
    // Others are served, and so are answers that are no streams.
    await connected(server, 'ben')
    expect((await server.ask('{ echo }', {}, { authorization: 'ann' })).status).toBe(200)
    await socket.close()
    await eventually(() => expect(server.load.connections).toBe(2))
    controller.abort()
    await eventually(() => expect(server.load.connections).toBe(1))
    await connected(server)
  })

  test('subscriptions, whatever they are sent over; the others go on', async () => {
    const server = await start({ options: { limits: { subscriptionsPerUser: 2 } } })
    const [first, second] = [await connected(server), await connected(server)]
    first.subscribe('1', CHANGES)
    second.subscribe('1', 'subscription { waiting }')
    await second.next()
    await first.settled()
    second.subscribe('2', CHANGES)
    expect(await second.next()).toMatchObject({
      id: '2',
      type: 'error',
      payload: [exceeded('subscriptionsPerUser')],
    })
    expect(await (await stream(server, CHANGES)).text()).toContain('"limit":"subscriptionsPerUser"')
    // What is answered once is no subscription.
    second.subscribe('3', '{ animals(first: 1) { id } }')
    expect(await second.next()).toMatchObject({ id: '3', type: 'next' })
    await second.next()
    first.send({ id: '1', type: 'complete' })
    await first.settled()
    second.subscribe('2', CHANGES)
    await second.settled()
    expect(server.load).toMatchObject({ subscriptions: 2 })
    const other = await connected(server, 'ben')
    other.subscribe('1', CHANGES)
    await other.settled()
    expect(server.load).toEqual({ connections: 3, subscriptions: 3, requests: 0, users: 2 })
  })

  test('subscriptions in all', async () => {
    const server = await start({ options: { limits: { subscriptions: 1 } } })
    const [ann, ben] = [await connected(server), await connected(server, 'ben')]
    ann.subscribe('1', CHANGES)
    await ann.settled()
    ben.subscribe('1', CHANGES)
    expect(await ben.next()).toMatchObject({ type: 'error', payload: [exceeded('subscriptions')] })
  })

  test('requests that wait for a cluster, over HTTP and sockets; what is answered at once is none', async () => {
    const server = await start({ options: { limits: { requestsPerUser: 2 } } })
    const client = await connected(server)
    client.subscribe('1', '{ stuck }')
    const controller = new AbortController()
    const waiting = fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'ann' },
      body: '{"query":"{ stuck }"}',
      signal: controller.signal,
    })
    waiting.catch(() => undefined)
    await eventually(() => expect(server.load.requests).toBe(2))
    client.subscribe('2', '{ stuck }')
    expect(await client.next()).toMatchObject({
      id: '2',
      type: 'error',
      payload: [exceeded('requestsPerUser')],
    })
    // Its live reads have ended.
    expect(server.access.contexts.at(-1)?.signal?.aborted).toBe(true)
    const response = await server.ask('{ stuck }', {}, { authorization: 'ann' })
    expect(response.status).toBe(429)
    expect(await response.json()).toMatchObject({ errors: [exceeded('requestsPerUser')] })
    // A mutation does not begin.
    const before = server.access.contexts.length
    client.subscribe('3', 'mutation { rename(to: "x") }')
    expect(await client.next()).toMatchObject({
      id: '3',
      type: 'error',
      payload: [exceeded('requestsPerUser')],
    })
    const mutation = ['mutation { rename(to: "x") }', {}, { authorization: 'ann' }] as const
    const refused = await server.ask(...mutation)
    expect(refused.status).toBe(429)
    expect(await refused.json()).toMatchObject({ errors: [exceeded('requestsPerUser')] })
    expect(server.access.contexts.length).toBe(before)
    client.subscribe('4', '{ animals(first: 1) { id } }')
    expect(await client.next()).toMatchObject({ id: '4', type: 'next' })
    await client.next()
    controller.abort()
    client.send({ id: '1', type: 'complete' })
    await eventually(() => expect(server.load.requests).toBe(0))
    client.subscribe('5', 'mutation { rename(to: "x") }')
    expect(await client.next()).toMatchObject({ id: '5', type: 'next' })
    expect(await (await server.ask(...mutation)).json()).toMatchObject({ data: { rename: 'x' } })
    expect(server.load.requests).toBe(0)
  })
})

describe('nothing is left', () => {
  test('of operations, however they end', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { limits: { timeoutMs: 5_000 } } })
    const client = await connected(server)
    const ended = async (id: string) => {
      for (;;) {
        const message = await client.next()
        if (message.id === id && message.type !== 'next') return message
      }
    }
    for (const [id, query] of [
      ['1', '{ animals { id } }'],
      ['2', 'subscription { countdown(from: 3) }'],
      ['3', 'subscription { breaking }'],
      ['4', 'subscription { refusing }'],
      ['5', 'subscription { nothing }'],
      ['6', 'subscription { animalChanges(after: "bad") { type } }'],
      ['7', '{ animals { buggy } }'],
      ['8', 'mutation { rename(to: "x") }'],
      ['9', 'subscription {'],
    ] as const) {
      client.subscribe(id, query)
      await ended(id)
    }
    expect(server.load).toEqual({ ...NOTHING, connections: 1, users: 1 })
    // Ended by the hub.
    client.subscribe('1', CHANGES)
    await client.settled()
    for (const { sink } of server.hub.followers) sink.end('It is over.')
    await ended('1')
    // At its deadline, also where a resolver does not end.
    client.subscribe('1', '{ stuck }')
    client.subscribe('2', '{ deaf }')
    await client.settled()
    expect(server.load.requests).toBe(2)
    await clock.advance(10_000)
    await eventually(() => expect(server.load).toEqual({ ...NOTHING, connections: 1, users: 1 }))
  })

  test('of operations whose handlers crash', async () => {
    const server = await start()
    const client = await connected(server)
    const crash = () => {
      throw new TypeError('secret')
    }
    vi.spyOn(server.hub, 'join').mockImplementationOnce(crash)
    client.subscribe('1', CHANGES)
    expect(await client.next()).toMatchObject({ id: '1', payload: [{ extensions: { code: 'INTERNAL' } }] })
    expect(server.load.subscriptions).toBe(0)
    // A membership that cannot be left does not keep the others.
    vi.spyOn(server.hub, 'join').mockImplementationOnce(() => ({ leave: crash }))
    client.subscribe('1', CHANGES)
    client.subscribe('2', CHANGES)
    client.subscribe('3', 'subscription { waiting }')
    await client.settled()
    expect(server.load.subscriptions).toBe(3)
    client.ws.terminate()
    await eventually(() => expect(server.load).toEqual(NOTHING))
    expect(server.hub.followers.size).toBe(0)
    // Somebody who cannot be listened to is not let in.
    vi.spyOn(server.access, 'onEnd').mockImplementationOnce(crash)
    const other = await RawClient.open(server.url)
    other.send({ type: 'connection_init', payload: { token: 'ann' } })
    expect((await other.closed).code).toBe(4500)
    expect(server.load).toEqual(NOTHING)
  })

  test('of a hundred sockets that do everything and go at once', { timeout: 30_000 }, async () => {
    const server = await start()
    const all = await Promise.all(Array.from({ length: 100 }, (_, i) => connected(server, `user${i % 7}`)))
    const queries = [
      CHANGES,
      'subscription { waiting }',
      '{ stuck }',
      'subscription { animalChanges { object { live } } }',
    ]
    all.forEach((client, i) => {
      for (let id = 0; id < 8; id++) client.subscribe(`${id}`, queries[(i + id) % queries.length]!)
      if (i % 3 === 0) client.send({ id: '1', type: 'complete' })
    })
    await Promise.all(all.map((client) => client.settled()))
    expect(server.load.connections).toBe(100)
    expect(server.load.users).toBe(7)
    server.hub.tell(event({ object: ANIMALS[1] }))
    all.forEach((client, i) => (i % 2 === 0 ? client.ws.terminate() : client.ws.close()))
    await eventually(() => expect(server.load).toEqual(NOTHING))
    expect(server.hub.iterating).toBe(0)
  })
})

describe('a pace', () => {
  test('lets so many units through in a second, of which long messages have many', () => {
    const pace = new Pace(10)
    const now = 1_800_000_000_250
    for (let i = 0; i < 9; i++) {
      expect(pace.wait(now)).toBe(0)
      pace.count(10)
    }
    expect(pace.wait(now)).toBe(0)
    pace.count(100_000)
    expect(pace.wait(now)).toBe(750)
    expect(pace.wait(now + 750)).toBe(0)
    // The clock was set back.
    pace.count(100_000)
    expect(pace.wait(now - 5_000)).toBe(0)
  })

  test('knows for how long it has not been kept', () => {
    const pace = new Pace(1)
    let now = 1_800_000_000_000
    for (let second = 0; second < 5; second++) {
      expect(pace.wait(now)).toBe(0)
      expect(pace.secondsAbove).toBe(second)
      pace.count(0)
      expect(pace.wait(now)).toBe(1_000)
      now += 1_000
    }
    pace.wait(now)
    pace.count(0)
    now += 1_000
    pace.wait(now)
    expect(pace.secondsAbove).toBe(0)
  })
})

/** What is not of these tests: how many requests a minute has. */
const OFTEN = { limits: { requestsPerMinute: 10_000_000, costPerMinute: 1_000_000_000 } }

describe('a flood', () => {
  test('of operations that begin and end is taken at a pace, in order, and leaves nothing', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: OFTEN })
    const { socket } = await rawUpgrade(server.url)
    socket.write(clientFrame(JSON.stringify({ type: 'connection_init', payload: { token: 'ann' } })))
    await eventually(() => expect(server.load.connections).toBe(1))
    const pair = Buffer.concat(
      [
        { id: '1', type: 'subscribe', payload: { query: CHANGES } },
        { id: '1', type: 'complete' },
      ].map((message) => clientFrame(JSON.stringify(message))),
    )
    socket.write(Buffer.concat(Array.from({ length: 400 }, () => pair)))
    const joined = () => server.hub.joins.length
    // One of the units of the first second was the `connection_init`.
    await eventually(() => expect(joined()).toBe(SOCKET_PACE / 2))
    await settled()
    expect(joined()).toBe(SOCKET_PACE / 2)
    await clock.advance(1_000)
    await eventually(() => expect(joined()).toBe(SOCKET_PACE))
    await clock.advance(1_000)
    await eventually(() => expect(joined()).toBe(400))
    expect(server.load.subscriptions).toBe(0)
    // Who has had enough of it is heard at once again.
    await clock.advance(1_000)
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.write(clientFrame(JSON.stringify({ type: 'ping' })))
    await eventually(() => expect(text).toContain('pong'))
    socket.destroy()
    await eventually(() => expect(clock.pending).toBe(0))
  })

  test('of more messages in one piece than anybody means well with closes its socket', async () => {
    const server = await start({ clock: new FakeClock() })
    const client = await connected(server)
    for (let i = 0; i < 4_000; i++) client.send({ type: 'pong' })
    expect(await client.closed).toEqual({ code: 1008, reason: 'Too many messages at once' })
  })

  test('that does not end is closed', async () => {
    const clock = new FakeClock()
    const server = await start({ clock })
    const client = await connected(server)
    const ping = JSON.stringify({ type: 'ping' })
    const isOpen = () => client.ws.readyState === WebSocket.OPEN
    let seconds = 0
    for (; isOpen() && seconds < 20; seconds++) {
      for (let i = 0; i < 400; i++) client.send(ping)
      // One of the units of the first second was the `connection_init`.
      const answers = (seconds + 1) * SOCKET_PACE - 1
      await eventually(() => expect(client.pending.length >= answers || !isOpen()).toBe(true))
      await clock.advance(1_000)
    }
    expect(await client.closed).toEqual({ code: 1008, reason: 'Too many messages for too long' })
    expect(seconds).toBeGreaterThanOrEqual(SECONDS_ABOVE_PACE)
    await eventually(() => expect(clock.pending).toBe(0))
  })

  test('of pings is answered at that pace', async () => {
    const clock = new FakeClock()
    const server = await start({ clock })
    const client = await connected(server)
    let pongs = 0
    client.ws.on('pong', () => pongs++)
    for (let i = 0; i < 2_000; i++) client.ws.ping('x')
    await eventually(() => expect(pongs).toBeGreaterThan(SOCKET_PACE - 10))
    await settled()
    expect(pongs).toBeLessThan(SOCKET_PACE)
  })

  test('of one user over many sockets is one flood', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: OFTEN })
    const all = await Promise.all(Array.from({ length: 15 }, () => connected(server)))
    const other = await connected(server, 'ben')
    for (const client of all) {
      for (let i = 0; i < 290; i++) {
        client.subscribe('1', CHANGES)
        client.send({ id: '1', type: 'complete' })
      }
    }
    await eventually(() => expect(server.hub.joins.length).toBeGreaterThan(1_400))
    for (let turn = 0; turn < 10; turn++) await settled()
    expect(server.hub.joins.length).toBeLessThanOrEqual(1_500 + all.length)
    await other.settled()
    for (let second = 0; second < 3; second++) await clock.advance(1_000)
    await eventually(() => expect(server.hub.joins.length).toBeGreaterThan(3_000))
  })
})
