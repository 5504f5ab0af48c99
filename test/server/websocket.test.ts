/** graphql-transport-ws over real sockets: the protocol, its close codes, and what ends with a socket. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createClient } from 'graphql-ws'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { everything } from '../../src/access/policy.ts'
import { StreamEnded } from '../../src/events/live.ts'
import { eventually } from '../support/eventually.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { event } from './fake-hub.ts'
import { zooServer, type ZooServer } from './support.ts'
import { clientFrame, RawClient, rawUpgrade } from './websocket-client.ts'
import { ANIMALS } from './zoo.ts'

const open: ZooServer[] = []
const clients: RawClient[] = []
const start: typeof zooServer = async (...setup) => {
  const server = await zooServer(...setup)
  open.push(server)
  return server
}
const connected = async (server: ZooServer, payload?: object) => {
  const client = await RawClient.connected(server.url, payload)
  clients.push(client)
  return client
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.ws.terminate()
  await Promise.all(open.splice(0).map((server) => server.close({ graceMs: 0 })))
})

/** Resolves when a count has begun and goes no further for a while; what it stands at. */
async function standing(count: () => number): Promise<number> {
  let last = -1
  return eventually(
    () => {
      const before = last
      last = count()
      expect(last > 0 && last === before).toBe(true)
      return last
    },
    { everyMs: 100 },
  )
}

const isTcp = (resource: string) => resource.startsWith('TCP')

const CHANGES = 'subscription { animalChanges { type object { id name } } }'
const change = (index: number) => event({ object: ANIMALS[index] })
const told = (index: number) => ({
  data: { animalChanges: { type: 'MODIFIED', object: { id: `a${index}`, name: ANIMALS[index]!.name } } },
})

describe('a socket', () => {
  test('answers queries and mutations once, and then completes them', async () => {
    const client = await connected(await start())
    client.subscribe('q', '{ animals(first: 1) { id } }')
    expect(await client.next()).toMatchObject({
      id: 'q',
      type: 'next',
      payload: { data: { animals: [{ id: 'a0' }] }, extensions: { cost: {} } },
    })
    expect(await client.next()).toEqual({ id: 'q', type: 'complete' })
    client.subscribe('q', 'mutation { rename(to: "x") }')
    expect(await client.next()).toMatchObject({ type: 'next', payload: { data: { rename: 'x' } } })
    expect(await client.next()).toEqual({ id: 'q', type: 'complete' })
  })

  test('says what is wrong with a request by an error, and keeps its other operations', async () => {
    const server = await start()
    const client = await connected(server)
    client.subscribe('live', CHANGES)
    client.subscribe('bad', '{ nothing }')
    expect(await client.next()).toMatchObject({
      id: 'bad',
      type: 'error',
      payload: [{ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }],
    })
    client.subscribe('bad', 'subscription { refusing }')
    expect(await client.next()).toMatchObject({
      id: 'bad',
      type: 'error',
      payload: [{ message: 'not today', path: ['refusing'], extensions: { code: 'CLOSED' } }],
    })
    client.subscribe('bad', 'subscription { animalChanges(after: "bad") { type } }')
    expect(await client.next()).toMatchObject({
      id: 'bad',
      type: 'error',
      payload: [{ extensions: { code: 'BAD_USER_INPUT', argument: 'after' } }],
    })
    server.hub.tell(change(1))
    expect(await client.next()).toEqual({ id: 'live', type: 'next', payload: told(1) })
  })

  test('tells changes in order to each of its operations, several in one write', async () => {
    const server = await start()
    const client = await connected(server)
    client.subscribe('one', CHANGES)
    client.subscribe('another – ü', CHANGES)
    await client.settled()
    expect(server.hub.followers.size).toBe(2)
    server.hub.tell(change(0), change(1), change(2))
    const messages = []
    for (let count = 0; count < 6; count++) messages.push(await client.next())
    for (const id of ['one', 'another – ü']) {
      expect(messages.filter((message) => message.id === id).map(({ payload }) => payload)).toEqual([
        told(0),
        told(1),
        told(2),
      ])
    }
    expect(server.hub.renders).toBe(1)
  })

  test('ends the live reads of a query that its client completes, and frees its id at once', async () => {
    const server = await start()
    const client = await connected(server)
    client.subscribe('1', '{ stuck }')
    client.send({ id: '1', type: 'complete' })
    client.subscribe('1', '{ echo }')
    expect(await client.next()).toMatchObject({ id: '1', type: 'next', payload: { data: {} } })
    expect(await client.next()).toEqual({ id: '1', type: 'complete' })
    await client.settled()
    expect(server.access.contexts[0]?.signal?.aborted).toBe(true)
    expect(client.pending).toEqual([])
  })

  test('answers a query that waits at its deadline', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { limits: { timeoutMs: 5_000 } } })
    const client = await connected(server)
    client.subscribe('1', '{ stuck }')
    await client.settled()
    await clock.advance(5_000)
    expect(await client.next()).toMatchObject({
      payload: { data: { stuck: null }, errors: [{ extensions: { code: 'TIMEOUT' } }] },
    })
  })

  test('gives an id back with `complete`, also when both come in one piece', async () => {
    const server = await start()
    const { socket } = await rawUpgrade(server.url)
    const subscribe = JSON.stringify({ id: '1', type: 'subscribe', payload: { query: CHANGES } })
    const complete = JSON.stringify({ id: '1', type: 'complete' })
    socket.write(
      Buffer.concat(
        [
          JSON.stringify({ type: 'connection_init' }),
          subscribe,
          complete,
          subscribe,
          complete,
          subscribe,
        ].map((text) => clientFrame(text)),
      ),
    )
    await eventually(() => expect(server.hub.joins).toHaveLength(3))
    expect(server.hub.followers.size).toBe(1)
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    server.hub.tell(change(3))
    await eventually(() => expect(text).toContain('"next"'))
    expect(text).not.toContain('"complete"')
    socket.destroy()
    await eventually(() => expect(server.hub.followers.size).toBe(0))
  })

  test('closed in the middle of a pass misses the rest, and leaves', async () => {
    const server = await start()
    const [first, second] = [await connected(server), await connected(server)]
    first.subscribe('1', CHANGES)
    await first.settled()
    second.subscribe('1', CHANGES)
    await second.settled()
    const [follower] = [...server.hub.followers]
    const { sink } = follower!
    const write = sink.write.bind(sink)
    sink.write = (payloads) => {
      write(payloads)
      // As if its client had gone while others are being written to.
      first.ws.terminate()
      server.hub.followers.forEach(({ sink }) => sink.ready)
    }
    server.hub.tell(change(1))
    server.hub.tell(change(2))
    expect((await second.next()).payload).toEqual(told(1))
    expect((await second.next()).payload).toEqual(told(2))
    await eventually(() => expect(server.hub.followers.size).toBe(1))
  })

  test('is told by an error when the server ends one of its streams', async () => {
    const server = await start()
    const client = await connected(server)
    client.subscribe('1', CHANGES)
    await client.settled()
    for (const { sink } of server.hub.followers) sink.end('The cluster is not served any more.')
    expect(await client.next()).toMatchObject({
      id: '1',
      type: 'error',
      payload: [{ message: 'The cluster is not served any more.', extensions: { code: 'STREAM_ENDED' } }],
    })
    expect(server.hub.followers.size).toBe(0)
    client.subscribe('1', CHANGES)
    await client.settled()
    expect(server.hub.followers.size).toBe(1)
  })

  test('goes on after a cursor as long as that of two thousand clusters', async () => {
    const server = await start()
    const client = await connected(server)
    const after = 'x'.repeat(220_000)
    client.subscribe('1', 'subscription ($after: String) { animalChanges(after: $after) { type } }', {
      after,
    })
    await client.settled()
    expect([...server.hub.followers].map(({ start }) => start.after)).toEqual([after])
  })

  test('takes so many operations and no more', async () => {
    const server = await start({ options: { live: { subscriptionsPerSocket: 2 } } })
    const client = await connected(server)
    for (const id of ['1', '2', '3']) client.subscribe(id, CHANGES)
    expect(await client.next()).toMatchObject({
      id: '3',
      type: 'error',
      payload: [{ extensions: { code: 'LIMIT_EXCEEDED', limit: 'subscriptionsPerSocket' } }],
    })
    client.send({ id: '1', type: 'complete' })
    client.subscribe('3', CHANGES)
    await client.settled()
    expect(server.hub.followers.size).toBe(2)
  })
})

describe('a client that does not read', () => {
  test('costs no more than its socket, and is told so when it reads again; others get all', async () => {
    const server = await start()
    const [slow, quick] = [await connected(server), await connected(server)]
    for (const client of [slow, quick]) {
      client.subscribe('1', 'subscription { animalChanges { message } }')
      await client.settled()
    }
    const [follower] = [...server.hub.followers]
    slow.ws.pause()
    const message = 'x'.repeat(10_000)
    let sent = 0
    while (follower!.missed < 100) {
      server.hub.tell(event({ message }))
      sent++
      await quick.next()
    }
    expect(follower!.sink.ready).toBe(false)
    slow.ws.resume()
    for (let count = 0; count < sent - follower!.missed; count++) {
      expect(await slow.next()).toMatchObject({ payload: { data: { animalChanges: { message } } } })
    }
    expect(await slow.next()).toMatchObject({
      payload: { data: { animalChanges: { message: `${follower!.missed} missed` } } },
    })
  })

  test('is not read from either: what it asks meanwhile waits', { timeout: 30_000 }, async () => {
    const server = await start({ options: { answerBytes: 0 } })
    const { socket } = await rawUpgrade(server.url)
    socket.write(clientFrame(JSON.stringify({ type: 'connection_init' })))
    await once(socket, 'data')
    socket.pause()
    const query = `{ ${Array.from({ length: 30 }, (_, index) => `x${index}: animals { id name tags friends { id name } }`).join(' ')} }`
    const ask = (id: number) =>
      clientFrame(JSON.stringify({ id: `${id}`, type: 'subscribe', payload: { query } }))
    const many = Buffer.concat(Array.from({ length: 300 }, (_, id) => ask(id)))
    socket.write(many)
    const answered = () => server.access.contexts.length
    await standing(answered)
    expect(answered()).toBeLessThan(300)
    let bytes = 0
    socket.on('data', (chunk: Buffer) => (bytes += chunk.length))
    socket.resume()
    await eventually(() => expect(answered()).toBe(300), { timeoutMs: 30_000 })
    expect(bytes).toBeGreaterThan(0)
    socket.destroy()
  })

  test('is dropped when it has read nothing for long', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { live: { keepAliveMs: 60_000 } } })
    const client = await connected(server)
    client.subscribe('1', 'subscription { animalChanges { message } }')
    await client.settled()
    client.ws.pause()
    const [follower] = [...server.hub.followers]
    while (follower!.missed < 1) server.hub.tell(event({ message: 'x'.repeat(100_000) }))
    await clock.advance(5 * 60_000)
    expect(server.hub.followers.size).toBe(1)
    await clock.advance(10 * 60_000)
    await eventually(() => expect(server.hub.followers.size).toBe(0))
    client.ws.terminate()
  })
})

describe('a client that reads slowly', () => {
  test('is not dropped for pings that it was never sent', async () => {
    const clock = new FakeClock()
    const live = { keepAliveMs: 60_000, socketBytes: 256 << 20 }
    const server = await start({ clock, options: { live } })
    const connection = once(server.http, 'connection') as Promise<[Socket]>
    const client = await connected(server)
    const [socket] = await connection
    client.subscribe('1', 'subscription { animalChanges { message } }')
    await client.settled()
    client.ws.pause()
    while (socket.writableLength === 0) {
      server.hub.tell(event({ message: 'x'.repeat(1 << 20) }))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await clock.advance(120_000)
    client.ws.resume()
    await eventually(() => expect(socket.writableLength).toBe(0))
    await clock.advance(60_000)
    await client.settled()
    expect(server.hub.followers.size).toBe(1)
  })
})

describe('a stream of one client alone', () => {
  test('is pulled to its end', async () => {
    const client = await connected(await start())
    client.subscribe('1', 'subscription { countdown(from: 2) }')
    const got = []
    for (;;) {
      const { type, payload } = await client.next()
      if (type === 'complete') break
      got.push(payload)
    }
    expect(got).toEqual([2, 1, 0].map((countdown) => ({ data: { countdown } })))
  })

  test('is not pulled while its client does not read', { timeout: 30_000 }, async () => {
    const server = await start({ options: { live: { socketBytes: 4_096 } } })
    const client = await connected(server)
    client.ws.pause()
    client.subscribe('1', 'subscription { countdown(from: 10000000) }')
    const steps = () => server.access.contexts[0]?.calls['steps'] ?? 0
    // It goes on until the buffers of both kernels are full, and then no more.
    const last = await standing(steps)
    expect(steps()).toBeLessThan(10_000_000)
    client.ws.resume()
    await eventually(() => expect(steps()).toBeGreaterThan(last))
  })

  test('ends with `complete` and with its socket', async () => {
    const server = await start()
    const client = await connected(server)
    const waiting = () => server.access.contexts.filter(({ calls }) => calls['waiting'] === 1).length
    client.subscribe('1', 'subscription { waiting }')
    expect(await client.next()).toMatchObject({ payload: { data: { waiting: 'began' } } })
    expect(waiting()).toBe(1)
    client.send({ id: '1', type: 'complete' })
    await eventually(() => expect(waiting()).toBe(0))
    client.subscribe('1', 'subscription { waiting }')
    expect(await client.next()).toMatchObject({ payload: { data: { waiting: 'began' } } })
    await client.close()
    await eventually(() => expect(waiting()).toBe(0))
  })

  test('says why the server ended what it follows, which is no `complete`', async () => {
    const server = await start()
    const client = await connected(server)
    vi.spyOn(server.hub, 'iterate').mockImplementation(async function* () {
      yield* []
      throw new StreamEnded('It was ended.')
    })
    client.subscribe('1', 'subscription { animalChanges { object { live } } }')
    expect(await client.next()).toMatchObject({
      type: 'error',
      payload: [{ message: 'It was ended.', extensions: { code: 'STREAM_ENDED' } }],
    })
  })

  test('that breaks says so, without its insides', async () => {
    const server = await start()
    const client = await connected(server)
    client.subscribe('1', 'subscription { breaking }')
    expect(await client.next()).toMatchObject({ payload: { data: { breaking: 'one' } } })
    const broken = await client.next()
    expect(broken).toMatchObject({ type: 'error', payload: [{ extensions: { code: 'INTERNAL' } }] })
    expect(JSON.stringify(broken)).not.toContain('secret')
    expect(JSON.stringify(server.log.map(({ fields }) => String(fields['err'])))).toContain('secret')
  })
})

describe('a socket is closed with', () => {
  const closing = async (
    send: (client: RawClient, server: ZooServer) => void,
    setup?: Parameters<typeof start>[0],
  ) => {
    const server = await start(setup)
    const client = await RawClient.open(server.url)
    clients.push(client)
    send(client, server)
    return client.closed
  }
  const init = (client: RawClient, payload?: unknown) => client.send({ type: 'connection_init', payload })

  test.each([
    ['no JSON', 'hello'],
    ['no object', '[]'],
    ['no type', '{}'],
    ['an unknown type', '{"type":"bye"}'],
    ['a type of the server', '{"type":"connection_ack"}'],
    ['a subscribe without an id', '{"type":"subscribe","payload":{"query":"{ echo }"}}'],
    [
      'variables that are no object',
      '{"id":"1","type":"subscribe","payload":{"query":"{ echo }","variables":1}}',
    ],
    ['nesting without end', '['.repeat(60_000)],
    ['binary', Buffer.from('{"type":"ping"}')],
  ])('4400 for a message with %s', async (_name, message) => {
    const client = await connected(await start())
    client.send(message)
    const { code, reason } = await client.closed
    expect([code, reason]).toEqual([4400, expect.stringMatching(/^Invalid message: ./)])
  })

  test('4400 for an id that is very long', async () => {
    const { code } = await closing((client) => {
      init(client)
      client.subscribe('x'.repeat(500), CHANGES)
    })
    expect(code).toBe(4400)
  })

  test('4401 for an operation before the acknowledgement', async () => {
    expect((await closing((client) => client.subscribe('1', CHANGES))).code).toBe(4401)
    const hasty = await closing((client) => {
      init(client, { token: 'slow ann' })
      client.subscribe('1', CHANGES)
    })
    expect(hasty).toEqual({ code: 4401, reason: 'Unauthorized' })
  })

  test('4401 for credentials that are not good, and 4403 for someone who may not', async () => {
    const bad = await closing((client) => init(client, { token: 'bad' }))
    expect(bad).toEqual({ code: 4401, reason: 'No such token.' })
    const forbidden = await closing((client) => init(client, { token: 'slow forbidden' }))
    expect(forbidden).toEqual({ code: 4403, reason: 'Not you.' })
  })

  test('4500 for a bug of ours, without its words', async () => {
    const bug = await closing((client) => init(client, { token: 'slow bug' }))
    expect(bug).toEqual({ code: 4500, reason: 'Internal error' })
  })

  test('4408 without connection_init, and not with it', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { live: { initTimeoutMs: 3_000 } } })
    const late = await RawClient.open(server.url)
    const good = await connected(server)
    clients.push(late)
    await clock.advance(2_999)
    late.send({ type: 'ping' })
    expect(await late.next()).toEqual({ type: 'pong' })
    await clock.advance(1)
    expect((await late.closed).code).toBe(4408)
    await good.settled()
  })

  test('4408 where nobody says in time who it is', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { live: { initTimeoutMs: 3_000 } } })
    vi.spyOn(server.access, 'authenticate').mockReturnValue(new Promise(() => {}))
    const client = await RawClient.open(server.url)
    clients.push(client)
    init(client)
    await client.settled()
    await clock.advance(3_000)
    expect((await client.closed).code).toBe(4408)
  })

  test('4409 for an id that is in use', async () => {
    const { code, reason } = await closing((client) => {
      init(client)
      client.subscribe('1', CHANGES)
      client.subscribe('1', CHANGES)
    })
    expect([code, reason]).toEqual([4409, 'Subscriber for 1 already exists'])
  })

  test('4429 for a second connection_init, also while the first is looked at', async () => {
    const twice = (client: RawClient) => {
      init(client, { token: 'slow ann' })
      init(client)
    }
    expect((await closing(twice)).code).toBe(4429)
  })

  test('4406 for another subprotocol', async () => {
    const server = await start()
    const none = new RawClient(server.url, [])
    expect((await none.closed).code).toBe(4406)
    const { socket, head } = await rawUpgrade(server.url, { 'sec-websocket-protocol': 'graphql-ws' })
    expect(head).not.toMatch(/sec-websocket-protocol/i)
    const data = head.endsWith('\r\n\r\n')
      ? ((await once(socket, 'data')) as [Buffer])[0]
      : Buffer.from(head, 'latin1')
    expect(data.toString('latin1')).toContain('Subprotocol not acceptable')
    socket.destroy()
  })

  test('1009 for a message over the limit', async () => {
    const client = await connected(await start({ options: { limits: { bodyBytes: 64 * 1024 } } }))
    client.send({ type: 'ping', payload: { x: 'x'.repeat(70_000) } })
    expect((await client.closed).code).toBe(1009)
  })
})

describe('who may connect', () => {
  const status = async (server: ZooServer, headers: Record<string, string>, path?: string) => {
    const { socket, head } = await rawUpgrade(server.url, headers, path)
    socket.destroy()
    return Number(head.slice(9, 12))
  }

  test('is a page of our own origin, or no page', async () => {
    const server = await start()
    const { host, port } = new URL(server.url)
    expect(await status(server, {})).toBe(101)
    expect(await status(server, { origin: `http://${host}` })).toBe(101)
    expect(await status(server, { origin: `https://localhost:${port}`, host: `localhost:${port}` })).toBe(101)
    expect(await status(server, { origin: 'http://localhost', host: 'localhost:80' })).toBe(101)
    for (const origin of [
      'https://elsewhere.example',
      'null',
      'http://127.0.0.1:1',
      `http://localhost:${port}`,
    ]) {
      expect([origin, await status(server, { origin })]).toEqual([origin, 403])
    }
  })

  test('calls us by a name of ours while there is no access control', async () => {
    const server = await start()
    const rebound = { host: 'rebound.example', origin: 'http://rebound.example' }
    expect(await status(server, rebound)).toBe(421)
    const guarded = await start({ policy: { ...everything } })
    expect(await status(guarded, rebound)).toBe(101)
  })

  test('asks at the endpoint, for a WebSocket', async () => {
    const server = await start()
    expect(await status(server, {}, '/other')).toBe(404)
    expect(await status(server, { 'sec-websocket-version': '1' })).toBe(400)
    // Another protocol is not ours to speak: the request is answered as it stands.
    expect(await status(server, { upgrade: 'h2c' }, '/healthz')).toBe(200)
  })

  test('shows its credentials by headers or by connection_init', async () => {
    const server = await start()
    await connected(server, { token: 'ann' })
    const { socket } = await rawUpgrade(server.url, { authorization: 'ben' })
    socket.write(clientFrame(JSON.stringify({ type: 'connection_init' })))
    await once(socket, 'data')
    socket.destroy()
    expect(server.access.credentials).toMatchObject([
      { connectionParams: { token: 'ann' }, remoteAddress: expect.stringContaining('127.0.0.1') },
      { headers: { authorization: 'ben' } },
    ])
    expect(server.access.credentials[1]).not.toHaveProperty('connectionParams')
  })
})

describe('sharing', () => {
  test('goes by document, variables and rights, not by where one begins', async () => {
    const server = await start()
    const [ann, ben] = [
      await connected(server, { token: 'ann' }),
      await connected(server, { token: 'ben/ops' }),
    ]
    const query = `subscription ($after: String, $snapshot: Boolean = true, $filter: Filter) {
      animalChanges(after: $after, snapshot: $snapshot, filter: $filter) { type }
    }`
    ann.subscribe('1', query)
    ann.subscribe('2', query, { after: 'c1' })
    ann.subscribe('3', query, { after: 'c2', snapshot: false })
    ann.subscribe('4', query, { filter: { minAge: 1 } })
    await ann.settled()
    ben.subscribe('1', query)
    await ben.settled()
    const [a, b, c, d, e] = server.hub.joins.map(({ key, eyes }) => `${key} ${eyes.key}`)
    expect([b, c]).toEqual([a, a])
    expect(new Set([a, d, e]).size).toBe(3)
    expect(server.hub.joins[4]!.key).toBe(server.hub.joins[0]!.key)
    expect(server.hub.joins.map(({ start }) => start).slice(0, 3)).toEqual([
      { snapshot: true },
      { snapshot: true, after: 'c1' },
      { snapshot: false, after: 'c2' },
    ])
  })

  test('is left when the same variable decides more than where one begins', async () => {
    const server = await start()
    const client = await connected(server)
    const query = `subscription ($snapshot: Boolean!) {
      animalChanges(snapshot: $snapshot) { type object @include(if: $snapshot) { id } }
    }`
    client.subscribe('1', query, { snapshot: true })
    client.subscribe('2', query, { snapshot: false })
    await client.settled()
    const [a, b] = server.hub.joins.map(({ key }) => key)
    expect(a).not.toBe(b)
  })

  test('outlives whoever came first', async () => {
    const server = await start()
    const [first, second] = [await connected(server), await connected(server)]
    first.subscribe('1', CHANGES)
    await first.settled()
    second.subscribe('1', CHANGES)
    await second.settled()
    const { render } = server.hub.joins[0]!
    await first.close()
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    expect(JSON.parse(String(render([change(5)])[0]))).toEqual(told(5))
  })

  test('is not for events with live reads: those are executed for each alone', async () => {
    const server = await start()
    const client = await connected(server)
    client.subscribe(
      '1',
      'subscription { animalChanges { object { ...Live } } } fragment Live on Animal { live }',
    )
    await eventually(() => expect(server.hub.iterating).toBe(1))
    expect(server.hub.joins).toEqual([])
    server.hub.tell(change(6), change(1))
    expect((await client.next()).payload).toEqual({ data: { animalChanges: { object: { live: 'live' } } } })
    expect((await client.next()).payload).toEqual({
      data: { animalChanges: { object: { live: 'from memory' } } },
    })
    client.send({ id: '1', type: 'complete' })
    await eventually(() => expect(server.hub.iterating).toBe(0))
  })
})

describe('keeping alive', () => {
  test('drops who answers no ping, and keeps who does', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { live: { keepAliveMs: 60_000 } } })
    const dead = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      autoPong: false,
    })
    dead.on('error', () => undefined)
    await once(dead, 'open')
    dead.send(JSON.stringify({ type: 'connection_init' }))
    await once(dead, 'message')
    const alive = await connected(server)
    const closed = once(dead, 'close')
    for (let minute = 0; minute < 3; minute++) {
      await clock.advance(60_000)
      await alive.settled()
    }
    await closed
    await alive.settled()
    alive.ws.terminate()
    await eventually(() => expect(clock.pending).toBe(0))
  })
})

describe('closing the server', () => {
  test('sends sockets elsewhere with 1001, refuses new ones, and leaves nothing', async () => {
    const clock = new FakeClock()
    const server = await start({ clock })
    const some = await Promise.all(Array.from({ length: 60 }, () => connected(server)))
    for (const client of some) client.subscribe('1', CHANGES)
    await Promise.all(some.map((client) => client.settled()))
    expect(server.hub.followers.size).toBe(60)
    const closed = server.close({ graceMs: 10_000 })
    // A few at a time.
    await Promise.all(some.slice(0, 50).map((client) => client.closed))
    await clock.advance(50)
    const codes = await Promise.all(some.map(async (client) => (await client.closed).code))
    expect(new Set(codes)).toEqual(new Set([1001]))
    await closed
    expect(server.hub.followers.size).toBe(0)
    expect(clock.pending).toBe(0)
    await eventually(() => expect(process.getActiveResourcesInfo().filter(isTcp)).toEqual([]))
  })

  test('drops a socket that does not answer when its grace is over', async () => {
    const clock = new FakeClock()
    const server = await start({ clock })
    const { socket } = await rawUpgrade(server.url)
    socket.write(clientFrame(JSON.stringify({ type: 'connection_init' })))
    await once(socket, 'data')
    const gone = once(socket, 'close')
    const closed = server.close({ graceMs: 1_000 })
    await clock.advance(1_000)
    await gone
    await closed
    expect(clock.pending).toBe(0)
  })
})

describe('the client of graphql-ws', () => {
  test('subscribes, loses its socket, connects again and goes on', async () => {
    const server = await start()
    const client = createClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryWait: () => Promise.resolve(),
      lazy: true,
    })
    const changes = client.iterate({ query: CHANGES })
    const first = changes.next()
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    server.hub.tell(change(1))
    expect((await first).value).toEqual(told(1))
    const second = changes.next()
    server.hub.joins.length = 0
    client.terminate()
    await eventually(() => expect(server.hub.joins).toHaveLength(1))
    server.hub.tell(change(2))
    expect((await second).value).toEqual(told(2))
    const values = []
    for await (const { data } of client.iterate({ query: 'subscription { countdown(from: 1) }' }))
      values.push(data)
    expect(values).toEqual([{ countdown: 1 }, { countdown: 0 }])
    await changes.return!()
    await client.dispose()
    await eventually(() => expect(server.hub.followers.size).toBe(0))
  })
})
