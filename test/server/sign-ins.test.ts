/** How long streams last: sign-ins that end, are renewed in-band, or never come to be. */
import { once } from 'node:events'
import { createClient } from 'graphql-ws'
import { createClient as createStreamClient } from 'graphql-sse'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import type { AuditNote } from '../../src/access/audit/audit.ts'
import { everything } from '../../src/access/policy.ts'
import { DEFAULT_LIMITS } from '../../src/server/limits.ts'
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
const connected = async (server: ZooServer, token = 'ann/dev') => {
  const client = await RawClient.connected(server.url, { token })
  clients.push(client)
  return client
}

/** Whatever a test did: when all have gone, nothing of them is left. */
afterEach(async () => {
  for (const client of clients.splice(0)) client.ws.terminate()
  for (const server of open.splice(0)) {
    await server.close({ graceMs: 0 })
    await eventually(() => {
      expect(server.load).toEqual({ connections: 0, subscriptions: 0, requests: 0, users: 0 })
      expect(server.access.listeners).toBe(0)
      expect(server.hub.followers.size).toBe(0)
    })
  }
})

/** Rights go by groups. */
const policy = {
  ...everything,
  rightsKey: ({ user }: { user: { groups: readonly string[] } }) => user.groups.join(),
}

const CHANGES = 'subscription { animalChanges { object { id } } }'
const change = (index: number) => event({ object: ANIMALS[index] })
const told = (index: number) => ({ data: { animalChanges: { object: { id: `a${index}` } } } })
const renewal = (token: string) => ({
  type: 'ping',
  payload: { type: 'reauthenticate', authorization: `Bearer ${token}` },
})
const EXPIRED = { code: 'EXPIRED', message: 'The token has expired: sign in again.' } as const
const REVOKED = { code: 'REVOKED', message: 'You were signed out.' } as const

describe('the acknowledgement of a socket', () => {
  test('tells who it is and until when, and nothing else', async () => {
    const server = await start()
    const client = await RawClient.open(server.url)
    clients.push(client)
    client.send({ type: 'connection_init', payload: { token: 'ann/dev@1900000000000' } })
    expect(await client.next()).toEqual({
      type: 'connection_ack',
      payload: { viewer: 'ann', expiresAt: '2030-03-17T17:46:40.000Z' },
    })
    const other = await RawClient.open(server.url)
    clients.push(other)
    other.send({ type: 'connection_init' })
    expect(await other.next()).toMatchObject({ payload: { expiresAt: null } })
  })
})

describe('a sign-in that ends', () => {
  test('is recorded with who it was and where from, of a socket and of an event stream', async () => {
    const records: AuditNote[] = []
    const server = await start({ audit: { record: (record) => void records.push(record) } })
    const client = await connected(server, 'ann')
    const headers = { accept: 'text/event-stream', authorization: 'ann' }
    const response = await server.ask(CHANGES, {}, headers)
    server.access.end('ann', REVOKED)
    await client.closed
    await response.text()
    const record = {
      type: 'SIGN_IN_FAILED',
      outcome: 'DENIED',
      user: { name: 'ann', groups: [], issuer: 'zoo' },
      message: `A connection was ended: ${REVOKED.message}`,
    }
    expect(records).toMatchObject([record, record])
    expect(records[1]?.correlationId).toBe(response.headers.get('x-request-id'))
    expect(records[0]?.remoteAddress).toMatch(/127\.0\.0\.1$/)
  })

  test.each([EXPIRED, REVOKED])('by $code ends all that its socket does, and the socket', async (end) => {
    const server = await start()
    const [client, other] = [await connected(server, 'ann'), await connected(server, 'ben')]
    client.subscribe('live', CHANGES)
    client.subscribe('alone', 'subscription { waiting }')
    client.subscribe('query', '{ stuck }')
    other.subscribe('live', CHANGES)
    await client.settled()
    await other.settled()
    expect(server.load).toEqual({ connections: 2, subscriptions: 3, requests: 1, users: 2 })
    const contexts = server.access.contexts.filter(({ viewer }) => viewer?.user.name === 'ann')
    server.access.end('ann', end)
    // At once, before anything has gone over the wire.
    expect(server.hub.tell(change(1))).toBe(1)
    expect(await client.closed).toEqual({ code: 4401, reason: end.message })
    // One for each operation, then that of an event that was rendered.
    expect(contexts.map(({ signal }) => signal?.aborted)).toEqual([true, true, true, false])
    expect(client.pending.filter(({ id }) => id !== 'alone')).toEqual([])
    expect((await other.next()).payload).toEqual(told(1))
    await eventually(() =>
      expect(server.load).toEqual({ connections: 1, subscriptions: 1, requests: 0, users: 1 }),
    )
  })

  test('ends nothing that its client has ended before', async () => {
    const server = await start()
    const client = await connected(server, 'ann')
    await client.close()
    await eventually(() => expect(server.access.listeners).toBe(0))
    server.access.end('ann', EXPIRED)
  })

  test('ends an event stream with an error and `complete`', async () => {
    const server = await start()
    const response = await server.ask(CHANGES, {}, { accept: 'text/event-stream', authorization: 'ann' })
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    server.hub.tell(change(1))
    server.access.end('ann', REVOKED)
    expect(server.hub.tell(change(2))).toBe(0)
    const error = { message: REVOKED.message, extensions: { code: 'UNAUTHENTICATED' } }
    expect(await response.text()).toBe(
      `:\n\nevent: next\ndata: ${JSON.stringify(told(1))}\n\nevent: next\ndata: ${JSON.stringify({ errors: [error] })}\n\nevent: complete\ndata:\n\n`,
    )
  })

  test('is told to the client of graphql-sse', async () => {
    const server = await start()
    const client = createStreamClient({
      url: `${server.url}/graphql`,
      headers: { authorization: 'Bearer ann' },
    })
    const changes = client.iterate({ query: CHANGES })
    const next = changes.next()
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    server.access.end('ann', EXPIRED)
    expect((await next).value).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] })
    expect((await changes.next()).done).toBe(true)
    client.dispose()
  })
})

describe('a sign-in that is renewed', () => {
  test('goes on, and ends with the new one', async () => {
    const server = await start({ policy })
    const client = await connected(server, 'ann/dev@1900000000000')
    client.subscribe('1', CHANGES)
    client.send(renewal('ann/dev@1900000300000'))
    expect(await client.next()).toEqual({
      type: 'pong',
      payload: { type: 'reauthenticated', expiresAt: '2030-03-17T17:51:40.000Z' },
    })
    expect(server.access.credentials.at(-1)).toEqual({
      headers: {},
      rawHeaders: [],
      remoteAddress: expect.stringContaining('127.0.0.1'),
      connectionParams: { authorization: 'Bearer ann/dev@1900000300000' },
      caller: { correlationId: expect.any(String), remoteAddress: expect.stringContaining('127.0.0.1') },
    })
    server.access.end('ann/dev@1900000000000', EXPIRED)
    server.hub.tell(change(1))
    expect(await client.next()).toMatchObject({ id: '1', payload: told(1) })
    // The rights are the same: nobody has to look at them again.
    expect(server.access.exchanges).toBe(0)
    server.access.end('ann/dev@1900000300000', EXPIRED)
    expect((await client.closed).code).toBe(4401)
  })

  test('with other groups shows its streams with other eyes', async () => {
    const server = await start({ policy })
    const client = await connected(server, 'ann/dev')
    client.subscribe('1', CHANGES)
    client.subscribe('2', 'subscription { animalChanges { object { live } } }')
    await client.settled()
    const [follower] = server.hub.followers
    expect(follower!.eyes.key).toBe('dev')
    server.hub.tell(change(1))
    await client.next()
    await client.next()
    expect(server.access.contexts.slice(-2).map(({ viewer }) => viewer?.user.groups)).toEqual([
      ['dev'],
      ['dev'],
    ])
    client.send(renewal('slow ann/dev'))
    client.send(renewal('ann/dev+ops'))
    // The first is still being looked at: it is that of somebody else.
    expect(await client.next()).toMatchObject({ payload: { type: 'reauthenticationFailed' } })
    expect((await client.closed).code).toBe(4403)

    const again = await connected(server, 'ann/dev')
    again.subscribe('1', CHANGES)
    again.subscribe('2', 'subscription { animalChanges { object { live } } }')
    await again.settled()
    again.send(renewal('ann/ops'))
    expect(await again.next()).toMatchObject({ payload: { type: 'reauthenticated' } })
    expect(server.access.exchanges).toBe(1)
    expect([...server.hub.followers].map(({ eyes }) => eyes.key)).toEqual(['ops'])
    server.hub.tell(change(2))
    await again.next()
    await again.next()
    expect(server.access.contexts.slice(-2).map(({ viewer }) => viewer?.user.groups)).toEqual([
      ['ops'],
      ['ops'],
    ])
    again.subscribe('3', '{ echo }')
    await again.next()
    expect(server.access.contexts.at(-1)?.viewer?.user.groups).toEqual(['ops'])
  })

  test('leaves what is asked once to whoever asked it', async () => {
    const server = await start({ policy })
    const client = await connected(server, 'ann/dev')
    client.subscribe('1', '{ stuck }')
    client.send(renewal('ann/ops'))
    expect(await client.next()).toMatchObject({ payload: { type: 'reauthenticated' } })
    expect(server.access.contexts.map(({ eyes }) => eyes?.key)).toEqual(['dev'])
  })

  test('by another user is none: the socket is closed with 4403', async () => {
    const server = await start({ policy })
    const client = await connected(server, 'ann/dev')
    client.subscribe('1', CHANGES)
    client.send(renewal('ben/dev'))
    expect(await client.closed).toEqual({
      code: 4403,
      reason: 'These credentials are those of another user: connect anew',
    })
    expect(server.hub.tell(change(1))).toBe(0)
  })

  test('that fails leaves the old one, until its end', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { live: { initTimeoutMs: 3_000 } } })
    const client = await connected(server, 'ann/dev')
    client.subscribe('1', CHANGES)
    const failed = (message: unknown) => ({
      type: 'pong',
      payload: { type: 'reauthenticationFailed', message },
    })
    client.send(renewal('bad'))
    expect(await client.next()).toEqual(failed('No such token.'))
    client.send(renewal('unavailable'))
    expect(await client.next()).toEqual(failed('Nobody can tell now.'))
    client.send({ type: 'ping', payload: { type: 'reauthenticate' } })
    expect(await client.next()).toEqual(failed(expect.stringContaining('"authorization"')))
    client.send(renewal('slow bug'))
    expect(await client.next()).toEqual(failed('Internal error'))
    client.send(renewal('x'.repeat(20_000)))
    expect(await client.next()).toEqual(failed(expect.stringContaining('"authorization"')))
    client.send(renewal('hanging'))
    await client.settled()
    client.send(renewal('ann/dev'))
    expect(await client.next()).toEqual(failed(expect.stringContaining('await the answer')))
    await clock.advance(3_000)
    expect(await client.next()).toEqual(failed(expect.stringContaining('took too long')))
    server.hub.tell(change(1))
    expect(await client.next()).toMatchObject({ id: '1', payload: told(1) })
    server.access.end('ann/dev', EXPIRED)
    expect(await client.closed).toEqual({ code: 4401, reason: EXPIRED.message })
  })

  test('and cannot be held on to leaves the old one, whose end is still heard', async () => {
    const server = await start()
    const client = await connected(server, 'ann')
    vi.spyOn(server.access, 'onEnd').mockImplementationOnce(() => {
      throw new TypeError('secret')
    })
    client.send(renewal('ann/dev'))
    expect(await client.next()).toMatchObject({ payload: { message: 'Internal error' } })
    server.access.end('ann', EXPIRED)
    expect((await client.closed).code).toBe(4401)
  })

  test('that fails counts for its client, and not for the proxy and all who come through it', async () => {
    const records: { readonly type: string; readonly remoteAddress?: string | null }[] = []
    const server = await start({
      audit: { record: (record) => void records.push(record) },
      options: { limits: { ...DEFAULT_LIMITS, signInFailuresPerMinute: 3 } },
    })
    const through = async (address: string) => {
      const client = new RawClient(server.url, undefined, { headers: { 'x-forwarded-for': address } })
      clients.push(client)
      await once(client.ws, 'open')
      client.send({ type: 'connection_init', payload: { token: 'ann' } })
      await client.next()
      return client
    }
    const [guesses, honest] = [await through('203.0.113.7'), await through('203.0.113.8')]
    for (let i = 0; i < 20; i++) {
      guesses.send(renewal('bad'))
      await guesses.next()
    }
    guesses.send(renewal('ann'))
    expect(await guesses.next()).toMatchObject({ payload: { type: 'reauthenticationFailed' } })
    honest.send(renewal('ann'))
    expect(await honest.next()).toMatchObject({ payload: { type: 'reauthenticated' } })
    guesses.subscribe('1', 'mutation { rename(to: "x") }')
    await guesses.take(({ type }) => type === 'complete')
    // And then those that are not looked at any more.
    expect(new Set(records.map(({ type }) => type))).toEqual(
      new Set(['SIGN_IN_FAILED', 'REFUSED', 'MUTATION']),
    )
    expect(new Set(records.map(({ remoteAddress }) => remoteAddress))).toEqual(new Set(['203.0.113.7']))
  })

  test('again and again does not have everybody looked at each time', async () => {
    const clock = new FakeClock()
    const server = await start({ policy, clock })
    const client = await connected(server, 'ann/dev')
    for (let i = 0; i < 50; i++) {
      client.send(renewal(i % 2 ? 'ann/dev' : 'ann/ops'))
      expect(await client.next()).toMatchObject({ payload: { type: 'reauthenticated' } })
    }
    // The first at once, the others together.
    expect(server.access.exchanges).toBe(1)
    await clock.advance(250)
    expect(server.access.exchanges).toBe(2)
    await clock.advance(1_000)
    expect(server.access.exchanges).toBe(2)
    client.send(renewal('ann/ops'))
    await client.next()
    expect(server.access.exchanges).toBe(3)
  })

  test('too late changes nothing any more', async () => {
    const server = await start()
    const client = await connected(server, 'ann')
    const answer = Promise.withResolvers<never>()
    vi.spyOn(server.access, 'authenticate').mockReturnValueOnce(answer.promise)
    client.send(renewal('ann'))
    await client.settled()
    server.access.end('ann', EXPIRED)
    expect((await client.closed).code).toBe(4401)
    answer.resolve(server.access.authenticate({ headers: {}, rawHeaders: [], remoteAddress: '' }) as never)
    await eventually(() => expect(server.access.listeners).toBe(0))
    expect(client.pending).toEqual([])
  })

  test('before there was one is refused', async () => {
    const server = await start()
    const client = await RawClient.open(server.url)
    clients.push(client)
    client.send(renewal('ann'))
    expect((await client.closed).code).toBe(4401)
  })

  test('is what the client of graphql-ws does with a ping of its own', async () => {
    const server = await start({ policy })
    const pongs: unknown[] = []
    let socket: WebSocket | undefined
    const client = createClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { token: 'ann/dev@1900000000000' },
      on: {
        connected: (it, payload) => {
          socket = it as WebSocket
          expect(payload).toEqual({ viewer: 'ann', expiresAt: '2030-03-17T17:46:40.000Z' })
        },
        pong: (received, payload) => received && pongs.push(payload),
      },
    })
    const changes = client.iterate({ query: CHANGES })
    const first = changes.next()
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    socket!.send(JSON.stringify(renewal('ann/dev@1900000300000')))
    await eventually(() =>
      expect(pongs).toEqual([{ type: 'reauthenticated', expiresAt: '2030-03-17T17:51:40.000Z' }]),
    )
    server.access.end('ann/dev@1900000000000', EXPIRED)
    server.hub.tell(change(1))
    expect((await first).value).toEqual(told(1))
    // It does not try again with what is no good any more.
    const second = changes.next()
    const failure = expect(second).rejects.toMatchObject({ code: 4401, reason: EXPIRED.message })
    server.access.end('ann/dev@1900000300000', EXPIRED)
    await failure
    await client.dispose()
  })
})

describe('who is not signed in yet', () => {
  const early = async (bytes: Buffer) => {
    const clock = new FakeClock()
    const server = await start({ clock })
    const { socket } = await rawUpgrade(server.url)
    const data = once(socket, 'data') as Promise<[Buffer]>
    socket.write(bytes)
    const text = (await data)[0].toString('latin1')
    socket.destroy()
    await eventually(() => expect(clock.pending).toBe(0))
    return text
  }

  test('sends at most 16 KB, in however many messages', async () => {
    const ping = clientFrame('{"type":"ping"}')
    const pings = Buffer.concat(Array.from({ length: 200 }, () => ping))
    const many = await early(Buffer.concat(Array.from({ length: 5 }, () => pings)))
    expect(many).toContain('At most 16384 bytes before connection_ack')
    const params = { token: 'x'.repeat(20_000) }
    const long = await early(clientFrame(JSON.stringify({ type: 'connection_init', payload: params })))
    expect(long).toContain('At most 16384 bytes')
  })

  test('sends no message that does not end', async () => {
    const first = clientFrame('x'.repeat(9_000), 1, false)
    const more = clientFrame('x'.repeat(9_000), 0, false)
    expect(await early(Buffer.concat([first, more]))).toContain('At most 16384 bytes')
  })

  test('is told to come again where nobody can say who it is', async () => {
    const server = await start()
    const client = await RawClient.open(server.url)
    clients.push(client)
    client.send({ type: 'connection_init', payload: { token: 'unavailable' } })
    expect(await client.closed).toEqual({ code: 1013, reason: 'Nobody can tell now.' })
  })

  test.each(['application/json', 'text/event-stream'])(
    'is told so in time where that takes too long, by %s',
    async (accept) => {
      const clock = new FakeClock()
      const server = await start({ clock, options: { live: { initTimeoutMs: 3_000 } } })
      const asked = vi.spyOn(server.access, 'authenticate')
      const answer = server.ask('{ echo }', {}, { accept, authorization: 'hanging' })
      await eventually(() => expect(asked).toHaveBeenCalled())
      await clock.advance(3_000)
      const response = await answer
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
      expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'UNAVAILABLE' } }] })
      expect(clock.pending).toBe(0)
    },
  )
})
