/**
 * What hurts servers of GraphQL, against a process of its own: each is refused in the way that it says, the
 * process lives on, and somebody honest is answered all the while.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { startAttackedServer, tokenOf, type AttackedServer } from '../support/attacked-server.ts'
import { ATTACKS, type Attack } from '../support/attacks.ts'
import { HonestClient, sendAttack, sendBytes } from '../support/send-attack.ts'

const TOKEN = `Bearer ${tokenOf('mallory')}`
const GOOD = '{"query":"{ __typename }"}'

let server: AttackedServer
let honest: HonestClient
const sockets: Socket[] = []

beforeAll(async () => {
  server = await startAttackedServer({
    options: {
      introspection: false,
      graphiql: false,
      // Nothing here is to be refused for having been sent too often.
      limits: { requestsPerMinute: 1_000_000, signInFailuresPerMinute: 10_000 },
    },
  })
})
afterAll(() => server.close())

beforeEach(() => {
  honest = new HonestClient(server)
})
afterEach(async () => {
  await honest.stop()
  for (const socket of sockets.splice(0)) socket.destroy()
  expect(honest.failures).toEqual([])
  expect(honest.latencies.length).toBeGreaterThan(0)
  expect(server.alive).toBe(true)
})

/** Bytes of a POST, with these headers beside those that it needs. */
const post = (headers: readonly string[], body = '') =>
  [
    'POST /graphql HTTP/1.1',
    'host: localhost',
    `authorization: ${TOKEN}`,
    'content-type: application/json',
    ...headers,
    '',
    body,
  ].join('\r\n')

function open(bytes: string): Socket {
  const socket = connect({ port: server.port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.resume()
  socket.write(bytes)
  sockets.push(socket)
  return socket
}

describe('a request that wants too much, or to be taken for something else', () => {
  it.each(ATTACKS.map((attack) => [attack.name, attack] as const))('%s', async (_name, attack) => {
    const { status, code, headers, text } = await sendAttack(server, attack)
    expect({ status, code }).toEqual({ status: attack.status, code: attack.code })
    expect(headers['x-request-id']).toMatch(/^[\w-]{20,36}$/)
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(headers['access-control-allow-origin']).toBeUndefined()
    // Neither what is inside, nor what was sent, nor names that nobody asked for.
    expect(text.length).toBeLessThan(4_000)
    expect(text).not.toMatch(/\bat .*\.ts:|node_modules|\/src\/|user-mallory|Did you mean/)
  })

  it('bodies in chunks without an end are cut off at the limit', async () => {
    const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
    const answer = await sendBytes(
      server.port,
      post(['transfer-encoding: chunked']),
      ...Array<string>(40).fill(chunk),
    )
    expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*BODY_TOO_LARGE/)
  })

  it('a body that says it has 10 MB is not waited for', async () => {
    const answer = await sendBytes(server.port, post([`content-length: ${10 << 20}`], '{"query":'))
    expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*BODY_TOO_LARGE/)
    // Who sends all of it at once may be cut off before the answer is read.
    await sendBytes(server.port, post([`content-length: ${10 << 20}`], ' '.repeat(10 << 20)))
  })

  it('bytes that are no UTF-8 are no query', async () => {
    const bad = Buffer.concat([
      Buffer.from('{"query":"{ '),
      Buffer.from([0xff, 0xfe, 0xc0, 0x80]),
      Buffer.from(' }"}'),
    ])
    const attack: Attack = { name: '', body: () => bad, status: 400 }
    expect(await sendAttack(server, attack)).toMatchObject({ status: 400, code: 'GRAPHQL_PARSE_FAILED' })
  })

  it('keys that every object has are keys like others', async () => {
    const variables =
      '{"__proto__":{"first":1,"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}},"first":2}'
    const query = 'query ($first: Int) { pods(first: $first) { nodes { name } } }'
    const body = () =>
      `{"query":${JSON.stringify(query)},"variables":${variables},"__proto__":{"query":"{ x }"}}`
    const { status, text } = await sendAttack(server, { name: '', body, status: 200 })
    expect(status).toBe(200)
    expect((JSON.parse(text) as { data: { pods: { nodes: unknown[] } } }).data.pods.nodes).toHaveLength(2)
    const filter = () =>
      `{"query":"query ($f: PodFilter) { pods(filter: $f) { totalCount } }","variables":{"f":{"__proto__":{"phases":[]}}}}`
    expect(await sendAttack(server, { name: '', body: filter, status: 400 })).toMatchObject({
      code: 'BAD_USER_INPUT',
    })
  })

  it('a storm of introspection is refused, request by request', async () => {
    const storm = ATTACKS.find(({ name }) => name === 'introspection')!
    const codes = await Promise.all(
      Array.from({ length: 300 }, async () => (await sendAttack(server, storm)).code),
    )
    expect(new Set(codes)).toEqual(new Set(['INTROSPECTION_DISABLED']))
  })
})

describe('bytes that could be read in two ways', () => {
  it.each([
    ['two lengths', post([`content-length: ${GOOD.length}`, 'content-length: 3'], GOOD)],
    ['two equal lengths', post([`content-length: ${GOOD.length}`, `content-length: ${GOOD.length}`], GOOD)],
    ['a length that is a list', post([`content-length: ${GOOD.length}, ${GOOD.length}`], GOOD)],
    ['a length with a sign', post([`content-length: +${GOOD.length}`], GOOD)],
    [
      'a length and chunks',
      post([`content-length: ${GOOD.length}`, 'transfer-encoding: chunked'], `0\r\n\r\n${GOOD}`),
    ],
    ['an encoding that nobody knows', post(['transfer-encoding: xchunked'], GOOD)],
    ['chunks before another encoding', post(['transfer-encoding: chunked, identity'], '0\r\n\r\n')],
    ['a chunk whose length is no number', post(['transfer-encoding: chunked'], 'zz\r\n')],
    ['a folded header', post(['x-a: b', ' c: d', `content-length: ${GOOD.length}`], GOOD)],
    ['a space before the colon', post([`content-length : ${GOOD.length}`], GOOD)],
    ['a header without a name', post([': x', `content-length: ${GOOD.length}`], GOOD)],
    ['a zero byte in a header', post(['x-a: b\0c', `content-length: ${GOOD.length}`], GOOD)],
    ['a line that ends too early', `POST /graphql HTTP/1.1\nhost: localhost\n\n`],
    ['no host', 'GET /healthz HTTP/1.1\r\n\r\n'],
    ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a version that is not there', 'GET /healthz HTTP/9.9\r\nhost: localhost\r\n\r\n'],
    ['no protocol at all', '\x16\x03\x01\x02\x00\x01\x00\x01'],
  ])('%s', async (_name, bytes) => {
    const answer = await sendBytes(server.port, bytes)
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*connection: close/i)
    // One answer, and no second one to a request that was smuggled in.
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1)
  })

  it('heads longer than they may be', async () => {
    const answer = await sendBytes(server.port, post([`x-a: ${'x'.repeat(20_000)}`]))
    expect(answer).toMatch(/^HTTP\/1\.1 431 /)
  })
})

describe('connections', () => {
  it('that send slowly end: heads, bodies and chunks', async () => {
    const slow = [
      'POST /graphql HTTP/1.1\r\nhost: localhost\r\nx-a: ',
      post(['content-length: 1000'], '{'),
      post(['transfer-encoding: chunked'], '1\r\n{\r\n'),
    ].flatMap((bytes) => Array.from({ length: 20 }, () => open(bytes)))
    const drip = setInterval(() => {
      for (const socket of slow.slice(0, 20)) if (!socket.destroyed) socket.write('x')
    }, 1_000)
    await Promise.all(slow.filter(({ destroyed }) => !destroyed).map((socket) => once(socket, 'close')))
    clearInterval(drip)
  })

  it('that ask again and again without reading hold no more than a few answers', async () => {
    const large = JSON.stringify({
      query: '{ pods(first: 500) { nodes { id name namespace uid labels { key value } } } }',
    })
    const request = post([`content-length: ${large.length}`], large)
    const before = (await server.tell()).rss
    for (let i = 0; i < 20; i++) {
      const socket = open('')
      socket.pause()
      socket.write(request.repeat(200))
    }
    await honestTurns(30)
    expect((await server.tell()).rss - before).toBeLessThan(200 << 20)
  })

  it('by the hundred, idle, keep nobody out', async () => {
    for (let i = 0; i < 500; i++) open('')
    await honestTurns(10)
  })
})

describe('WebSockets', () => {
  const connectSocket = async (headers: Record<string, string> = {}): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/graphql`, 'graphql-transport-ws', { headers })
    socket.on('error', () => {})
    await once(socket, 'open')
    return socket
  }
  const initialised = async (): Promise<WebSocket> => {
    const socket = await connectSocket({ authorization: TOKEN })
    socket.send('{"type":"connection_init"}')
    await once(socket, 'message')
    return socket
  }
  const closeCode = async (socket: WebSocket) => ((await once(socket, 'close')) as [number])[0]

  it('of a foreign page are refused', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/graphql`, 'graphql-transport-ws', {
      headers: { origin: 'https://evil.example', cookie: 'session=cookie-of-alice' },
    })
    socket.on('error', () => {})
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }]
    expect(response.statusCode).toBe(403)
    socket.terminate()
  })

  it('that send garbage, too much, or nothing of who they are, are closed', async () => {
    const garbage = await initialised()
    garbage.send('{"type":"subscribe"')
    expect(await closeCode(garbage)).toBe(4400)
    const huge = await initialised()
    huge.send('x'.repeat(1 << 20))
    expect(await closeCode(huge)).toBe(1009)
    const nobody = await connectSocket()
    nobody.send('{"type":"connection_init"}')
    expect(await closeCode(nobody)).toBe(4401)
    const early = await connectSocket()
    early.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } }))
    expect(await closeCode(early)).toBe(4401)
  })

  it('are refused the same queries as requests', async () => {
    const socket = await initialised()
    for (const { body, code } of ATTACKS.filter(({ code }) => code === 'LIMIT_EXCEEDED')) {
      const payload = JSON.parse(String(body!())) as object
      socket.send(JSON.stringify({ id: 'a', type: 'subscribe', payload }))
      const [data] = (await once(socket, 'message')) as [Buffer]
      expect(JSON.parse(data.toString())).toMatchObject({
        type: 'error',
        payload: [{ extensions: { code } }],
      })
    }
    socket.terminate()
  })

  it('with more subscriptions than one may have go on with those that it has', async () => {
    const socket = await initialised()
    const refused: unknown[] = []
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as {
        type: string
        payload: readonly { extensions: unknown }[]
      }
      if (message.type === 'error') refused.push(message.payload[0]?.extensions)
    })
    const query = 'subscription { podChanges(snapshot: false) { type } }'
    for (let i = 0; i < 120; i++) {
      socket.send(JSON.stringify({ id: String(i), type: 'subscribe', payload: { query } }))
    }
    await honestTurns(40)
    expect(refused).toEqual(
      Array.from({ length: 20 }, () => ({ code: 'LIMIT_EXCEEDED', limit: 'subscriptionsPerSocket' })),
    )
    expect(socket.readyState).toBe(WebSocket.OPEN)
    socket.terminate()
  })

  it('that flood with messages hurt nobody but themselves', async () => {
    const flood = await Promise.all(Array.from({ length: 10 }, initialised))
    for (const socket of flood) {
      for (let i = 0; i < 2_000; i++) socket.send('{"type":"ping"}')
    }
    await honestTurns(20)
    for (const socket of flood) socket.terminate()
  })
})

describe('what is written down', () => {
  it('has every refusal, and nothing that opens a door', async () => {
    const secret = 'session=cookie-of-alice'
    await sendAttack(server, { ...ATTACKS[0]!, headers: { cookie: secret } })
    await sendAttack(server, { ...ATTACKS[0]!, headers: { authorization: 'Bearer wrong-token-12345' } })
    const { log, records } = await server.tell()
    const all = JSON.stringify([log, records])
    for (const hidden of [tokenOf('mallory'), tokenOf('alice'), secret, 'wrong-token-12345', 'Bearer']) {
      expect(all).not.toContain(hidden)
    }
    const refused = records.filter(({ type }) => type === 'REFUSED')
    expect(refused.length).toBeGreaterThan(10)
    expect(refused[0]).toMatchObject({
      user: { name: 'mallory' },
      outcome: 'DENIED',
      operationHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      correlationId: expect.stringMatching(/^[\w-]{20,36}$/) as string,
    })
    expect(records.some(({ type, user }) => type === 'SIGN_IN_FAILED' && user === null)).toBe(true)
    // Who asks for their own lists leaves none.
    expect(records.filter(({ user }) => user?.name === 'alice')).toEqual([])
  })
})

describe('too often', () => {
  let narrow: AttackedServer
  beforeAll(async () => {
    narrow = await startAttackedServer({
      options: { limits: { requestsPerMinute: 200, costPerMinute: 5_000, signInFailuresPerMinute: 20 } },
    })
  })
  afterAll(() => narrow.close())

  const ask = (user: string, query = '{ __typename }') =>
    sendAttack(narrow, { name: '', body: () => JSON.stringify({ query }), status: 200 }, user)

  it('one user is told when to come again; others are not', async () => {
    const replies = []
    for (let i = 0; i < 220; i++) replies.push(await ask('bot'))
    const refused = replies.filter(({ status }) => status === 429)
    expect(refused.length).toBeGreaterThanOrEqual(17)
    expect(refused.length).toBeLessThanOrEqual(20)
    expect(refused[0]).toMatchObject({ code: 'RATE_LIMITED' })
    expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThan(0)
    expect((await ask('alice')).status).toBe(200)
    const { records } = await narrow.tell()
    expect(
      records.some(({ type, message }) => type === 'REFUSED' && message?.includes('too many requests')),
    ).toBe(true)
  })

  it('one user who goes on is refused without being read', async () => {
    const head = post(['content-length: 100000']).replace(tokenOf('mallory'), tokenOf('hasty'))
    for (let i = 0; i < 230; i++) await ask('hasty')
    // Nothing of the body is sent.
    const answer = await sendBytes(narrow.port, head)
    expect(answer).toMatch(/^HTTP\/1\.1 429 [^]*retry-after: \d+[^]*x-request-id: [^]*RATE_LIMITED/i)
    const { records } = await narrow.tell()
    const others = new Set(records.flatMap(({ user }) => (user?.name === 'alice' ? [user.name] : [])))
    expect(others.size).toBe(0)
    expect((await ask('alice')).status).toBe(200)
  })

  it('one user whose requests are refused has fewer of them, and others lose nothing by it', async () => {
    const replies = []
    for (let i = 0; i < 40; i++) replies.push(await ask('clumsy', `{ nothing } # ${i}`))
    const bad = replies.filter(({ status }) => status === 400)
    const told = replies.filter(({ status }) => status === 429)
    // 200 in a minute, of which each takes 20; the last of them, and what it overdraws, is told only after it.
    expect(bad.length).toBeGreaterThanOrEqual(9)
    expect(bad.length).toBeLessThanOrEqual(12)
    expect(bad.length + told.length).toBe(40)
    expect(told.every(({ code }) => code === 'RATE_LIMITED')).toBe(true)
    expect(Number(told.at(-1)?.headers['retry-after'])).toBeGreaterThan(0)
    expect((await ask('alice')).status).toBe(200)
  })

  it.each([
    ['what is no JSON', '{"query":', 400],
    ['what is nested without end', `{"query":"{ a }","variables":{"f":${'['.repeat(60_000)}`, 400],
    ['what is too large', ' '.repeat(1 << 19), 413],
  ] as const)('one user who sends %s is told to wait', async (_name, body, status) => {
    const user = `sender${body.length}`
    await ask(user)
    const send = async () => {
      const reply = await sendAttack(narrow, { name: '', body: () => body, status }, user).catch(() => null)
      // Whoever has to wait may be cut off while they send.
      return reply?.status ?? 429
    }
    const statuses: number[] = []
    for (let i = 0; i < 15; i++) statuses.push(await send())
    expect(statuses.slice(0, 8)).toEqual(Array(8).fill(status))
    expect(await Promise.all(Array.from({ length: 15 }, send))).toEqual(Array(15).fill(429))
    expect((await ask(user)).status).toBe(429)
    expect((await ask('alice')).status).toBe(200)
  })

  it('one user who sends large bodies all the same is answered late, and nobody else is', async () => {
    const large = () =>
      sendAttack(narrow, { name: '', body: () => ' '.repeat(1 << 17), status: 429 }, 'heavy').catch(
        () => null,
      )
    for (let i = 0; i < 230; i++) await ask('heavy')
    const order: string[] = []
    const late = large().then((reply) => order.push(`large ${reply?.status}`))
    // Small ones are told at once, also of the same user.
    for (const user of ['heavy', 'alice']) order.push(`${user} ${(await ask(user)).status}`)
    await late
    expect(order).toEqual(['heavy 429', 'alice 200', 'large 429'])
  })

  it('one user who floods a WebSocket with what is refused is told to wait', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${narrow.port}/graphql`, 'graphql-transport-ws', {
      headers: { authorization: `Bearer ${tokenOf('flooder')}` },
    })
    await once(socket, 'open')
    socket.send('{"type":"connection_init"}')
    await once(socket, 'message')
    const codes: (string | undefined)[] = []
    const payloads = [{ query: '{ nothing }' }, { query: '{' }]
    for (let i = 0; i < 30; i++) {
      socket.send(JSON.stringify({ id: `${i}`, type: 'subscribe', payload: payloads[i % 2] }))
      const [data] = (await once(socket, 'message')) as [Buffer]
      const { payload } = JSON.parse(data.toString()) as {
        payload: readonly { extensions: { code: string; retryAfterSeconds?: number } }[]
      }
      codes.push(payload[0]?.extensions.code)
      if (i === 29) expect(payload[0]?.extensions.retryAfterSeconds).toBeGreaterThan(0)
    }
    socket.terminate()
    expect(codes.slice(0, 8)).not.toContain('RATE_LIMITED')
    expect(codes.slice(-15)).toEqual(Array(15).fill('RATE_LIMITED'))
    expect((await ask('flooder')).status).toBe(429)
    expect((await ask('alice')).status).toBe(200)
  })

  it('what requests cost counts as well', async () => {
    const codes = []
    for (let i = 0; i < 12; i++)
      codes.push((await ask('greedy', `{ pods(first: 500) { nodes { name } } } # ${i}`)).code)
    expect(codes.slice(0, 9)).toEqual(Array(9).fill(undefined))
    expect(codes.at(-1)).toBe('RATE_LIMITED')
  })

  it('whoever guesses tokens is not listened to any more', async () => {
    const guess = (i: number) =>
      sendAttack(narrow, {
        name: '',
        headers: { authorization: `Bearer guess-${i}` },
        body: () => GOOD,
        status: 401,
      })
    expect((await ask('alice')).status).toBe(200)
    const statuses = []
    for (let i = 0; i < 30; i++) statuses.push((await guess(i)).status)
    expect(statuses.slice(0, 19)).toEqual(Array(19).fill(401))
    expect(statuses.slice(22)).toEqual(Array(8).fill(429))
    // Not even with a token that is good; but somebody who had signed in before loses nothing by it.
    const { status, headers } = await ask('newcomer')
    expect((await ask('alice')).status).toBe(200)
    expect(status).toBe(429)
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    expect(server.alive).toBe(true)
  })
})

/** Until the honest client was answered so many times more. */
async function honestTurns(count: number): Promise<void> {
  const goal = honest.latencies.length + count
  while (honest.latencies.length < goal) await new Promise((resolve) => setTimeout(resolve, 10))
}
