/** The server over real sockets: what it refuses, what it says of itself, how it ends. */
import { connect } from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { everything, type Policy } from '../../src/access/policy.ts'
import { silent } from '../../src/server/logger.ts'
import { OpenAccess, startServer } from '../../src/server/server.ts'
import { eventually } from '../support/eventually.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { raw, zooServer, type ZooServer } from './support.ts'
import { zoo, zooAccess } from './zoo.ts'

const open: ZooServer[] = []
const start: typeof zooServer = async (...setup) => {
  const server = await zooServer(...setup)
  open.push(server)
  return server
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close({ graceMs: 0 })))
})

const ECHO = JSON.stringify({ query: '{ echo }' })

describe('a POST of JSON', () => {
  test('is answered in the type that the client prefers, with security headers and no CORS', async () => {
    const server = await start()
    const type = async (accept: string) =>
      (await server.ask('{ echo }', {}, { accept, origin: 'https://elsewhere.example' })).headers.get(
        'content-type',
      )
    expect(await type('application/graphql-response+json, application/json;q=0.9')).toContain(
      'graphql-response',
    )
    expect(await type('application/json;q=0.9, application/graphql-response+json;q=0.1')).toContain(
      'application/json',
    )
    expect(await type('*/*')).toContain('application/json')
    const { headers } = await server.ask('{ echo }', {}, { origin: 'https://elsewhere.example' })
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('cache-control')).toBe('no-store')
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  test('is answered with 400 to clients of the new media type when it is refused, with 200 to others', async () => {
    const server = await start()
    const status = async (accept: string) => (await server.ask('{ nothing }', {}, { accept })).status
    expect(await status('application/graphql-response+json')).toBe(400)
    expect(await status('application/json')).toBe(200)
    expect(await status('text/html')).toBe(406)
  })

  test('that is malformed says which part is', async () => {
    const server = await start()
    const post = async (body: string) => {
      const response = await fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
      const { errors } = (await response.json()) as { errors: { message: string }[] }
      return [response.status, errors[0]?.message]
    }
    expect(await post('{"query"')).toEqual([400, expect.stringContaining('not JSON')])
    expect(await post('{}')).toEqual([400, expect.stringContaining('"query"')])
    expect(await post(`[${ECHO}]`)).toEqual([400, expect.stringContaining('Batches')])
    expect(await post('{"query":"{ echo }","variables":[]}')).toEqual([
      400,
      expect.stringContaining('"variables"'),
    ])
  })

  test('over the limit is refused, with a Content-Length or without one', async () => {
    const server = await start({ options: { limits: { bodyBytes: 1_000 } } })
    const large = await server.ask(`{ echo } # ${'x'.repeat(1_000)}`)
    expect(large.status).toBe(413)
    const chunk = `3e8\r\n${'x'.repeat(1_000)}\r\n`
    const answer = await raw(
      server.url,
      'POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
      chunk,
      chunk,
      '0\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1.1 413 .*connection: close/is)
    expect(answer).toContain('BODY_TOO_LARGE')
  })

  test('in many chunks and with letters cut in two arrives whole', async () => {
    const server = await start()
    const body = Buffer.from(
      JSON.stringify({ query: '{ animal(target: { id: "a0" }) { name } }', extensions: { ü: 'ü' } }),
    )
    const cut = body.indexOf(Buffer.from('ü')) + 1
    const socket = connect({ port: Number(new URL(server.url).port), host: '127.0.0.1', noDelay: true })
    socket.write(
      `POST /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
    )
    socket.write(body.subarray(0, cut))
    setImmediate(() => socket.write(body.subarray(cut)))
    let text = ''
    socket.on('data', (data) => (text += data.toString()))
    await once(socket, 'close')
    expect(text).toContain('Animal \\"0\\" – ü')
  })
})

describe('anything else', () => {
  test('that a foreign page can make a browser send is refused', async () => {
    const server = await start()
    const status = async (contentType: string, body: string) =>
      (
        await fetch(`${server.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': contentType },
          body,
        })
      ).status
    expect(await status('text/plain', ECHO)).toBe(415)
    expect(await status('application/x-www-form-urlencoded', 'query={echo}')).toBe(415)
    expect(await status('multipart/form-data; boundary=x', '--x--')).toBe(415)
    expect(await status('application/json; charset=utf-16', ECHO)).toBe(415)
    const get = `${server.url}/graphql?query=${encodeURIComponent('{ echo }')}`
    expect((await fetch(get)).status).toBe(403)
  })

  test('a GET with a header that no foreign page can send is answered, unless it is a mutation', async () => {
    const server = await start()
    const get = (query: string) =>
      fetch(`${server.url}/graphql?query=${encodeURIComponent(query)}`, {
        headers: { 'x-fleetgraph-csrf': '1', accept: 'application/json' },
      })
    expect(await (await get('{ animals(first: 1) { id } }')).json()).toMatchObject({
      data: { animals: [{ id: 'a0' }] },
      extensions: { cost: { requested: 5 } },
    })
    expect((await get('mutation { rename(to: "x") }')).status).toBe(405)
  })

  test('a GET that is wrong is told so as a POST is', async () => {
    const server = await start()
    const get = async (query: string, accept: string) => {
      const headers = { 'x-fleetgraph-csrf': '1', accept }
      const response = await fetch(`${server.url}/graphql?${query}`, { headers })
      const { errors } = (await response.json()) as { errors: { extensions: unknown }[] }
      return [response.status, errors.map(({ extensions }) => extensions)]
    }
    const code = 'BAD_REQUEST'
    expect(await get('query={echo}&variables=x', 'application/json')).toEqual([400, [{ code }]])
    expect(await get('query={echo}&extensions={', 'application/json')).toEqual([400, [{ code }]])
    const invalid = [{ code: 'GRAPHQL_VALIDATION_FAILED' }]
    expect(await get('query={no}', 'application/json')).toEqual([200, invalid])
    expect(await get('query={no}', 'application/graphql-response+json')).toEqual([400, invalid])
  })

  test('a GET that is refused is told so as a POST is', async () => {
    const server = await start({ options: { limits: { requestsPerMinute: 1 } } })
    const get = async (authorization: string, accept: string) => {
      const headers = { 'x-fleetgraph-csrf': '1', accept, authorization }
      const response = await fetch(`${server.url}/graphql?query={echo}`, { headers })
      const { errors } = (await response.json()) as { errors?: { extensions: { code: string } }[] }
      const { status, headers: told } = response
      return [status, told.get('www-authenticate') ?? told.get('retry-after'), errors?.[0]?.extensions.code]
    }
    for (const accept of ['application/json', 'application/graphql-response+json']) {
      expect(await get('bad', accept)).toEqual([401, 'Bearer', 'UNAUTHENTICATED'])
      expect(await get('unavailable', accept)).toEqual([503, '5', 'UNAVAILABLE'])
      expect(await get('slow bug', accept)).toEqual([500, null, 'INTERNAL'])
      const name = accept.length.toString()
      expect(await get(name, accept)).toEqual([200, null, undefined])
      for (let i = 0; i < 3; i++) await get(name, accept)
      expect(await get(name, accept)).toEqual([429, expect.stringMatching(/^\d+$/), 'RATE_LIMITED'])
    }
  })

  test('to become a WebSocket is answered with what every answer carries', async () => {
    const server = await start()
    const upgrade = async (path: string, ...more: string[]) => {
      const lines = ['host: localhost', 'connection: upgrade', 'upgrade: websocket', ...more]
      return raw(server.url, `GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    }
    const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='
    const answers = [
      [404, await upgrade('/elsewhere', key)],
      [400, await upgrade('/graphql', key)],
      [403, await upgrade('/graphql', key, 'sec-websocket-version: 13', 'origin: https://evil.example')],
      // Of no protocol that is spoken here: it is closed at once.
      [101, await upgrade('/graphql', key, 'sec-websocket-version: 13', 'x-request-id: id-of-a-proxy')],
    ] as const
    for (const [status, answer] of answers) {
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*x-request-id: [\\w-]{8,}\r\n`))
      expect(answer).toContain('x-content-type-options: nosniff')
    }
    expect(answers[3][1]).toContain('x-request-id: id-of-a-proxy')
  })

  test('that accepts only an event stream is answered with one', async () => {
    const server = await start()
    const response = await server.ask('{ animals(first: 1) { id } }', {}, { accept: 'text/event-stream' })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    expect(await response.text()).toMatch(/event: next\ndata: .*"a0".*\n\nevent: complete/s)
  })

  test('under a name that is not ours is refused while there is no access control', async () => {
    const server = await start()
    const status = async (host: string) =>
      Number(
        (await raw(server.url, `GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)).slice(
          9,
          12,
        ),
      )
    const ours = ['127.0.0.1', '127.0.0.1:4000', 'localhost', 'localhost:80', '[::1]', '[::1]:4000']
    expect(await Promise.all(ours.map(status))).toEqual(ours.map(() => 200))
    const foreign = ['rebound.example', 'localhost.example:4000', '127.0.0.1.example', '10.0.0.1', '']
    expect(await Promise.all(foreign.map(status))).toEqual(foreign.map(() => 421))
    const guarded = await start({ policy: { ...everything } })
    const answer = await raw(
      guarded.url,
      'GET /healthz HTTP/1.1\r\nhost: fleet.example\r\nconnection: close\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1.1 200/)
  })

  test('at another path or by another method is refused', async () => {
    const server = await start()
    expect((await fetch(`${server.url}/nothing`)).status).toBe(404)
    const options = await fetch(`${server.url}/graphql`, { method: 'OPTIONS' })
    expect([options.status, options.headers.get('allow')]).toEqual([405, 'GET, POST'])
    expect((await fetch(`${server.url}/healthz`, { method: 'POST' })).status).toBe(405)
  })

  test('introspection and GraphiQL are there or not, as the options say', async () => {
    const there = await start()
    const page = async (server: ZooServer) =>
      fetch(`${server.url}/graphql`, { headers: { accept: 'text/html' } })
    const html = await page(there)
    expect(html.headers.get('content-type')).toContain('text/html')
    expect(html.headers.get('content-security-policy')).toContain("default-src 'none'")
    const text = await html.text()
    expect(text).toContain('<title>fleetgraph</title>')
    expect(text).toContain('"method":"POST"')
    const not = await start({ options: { graphiql: false } })
    expect((await page(not)).headers.get('content-type') ?? '').not.toContain('text/html')
    const introspect = async (server: ZooServer) =>
      (await server.ask('{ __schema { types { name } } }')).text()
    expect(await introspect(there)).toContain('"Shelter"')
    expect(await introspect(not)).toContain('INTROSPECTION_DISABLED')
    expect(await (await not.ask('{ ech }')).text()).not.toContain('Did you mean')
  })
})

describe('a request that waits', () => {
  const answer = async (response: Promise<Response>) =>
    (await (await response).json()) as { data: unknown; errors: { extensions: { code: string } }[] }

  test('is answered at its deadline, and its live reads end', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { limits: { timeoutMs: 5_000 } } })
    const waiting = answer(server.ask('{ echo stuck }'))
    await eventually(() => expect(server.access.contexts).toHaveLength(1))
    await clock.advance(5_000)
    expect(await waiting).toMatchObject({
      data: { echo: '{"number":1.5}', stuck: null },
      errors: [{ path: ['stuck'], extensions: { code: 'TIMEOUT' } }],
    })
    expect(server.access.contexts[0]?.signal?.aborted).toBe(true)
    expect(clock.pending).toBe(0)
  })

  test('is answered soon after its deadline even where a resolver does not end', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { limits: { timeoutMs: 5_000 } } })
    const waiting = answer(server.ask('{ echo deaf }'))
    await eventually(() => expect(server.access.contexts).toHaveLength(1))
    await clock.advance(6_000)
    expect((await waiting).errors).toMatchObject([{ extensions: { code: 'TIMEOUT' } }])
    expect(clock.pending).toBe(0)
  })

  test('holds up nobody else', async () => {
    const server = await start()
    const waiting = server.ask('{ stuck }')
    waiting.catch(() => undefined)
    await eventually(() => expect(server.access.contexts).toHaveLength(1))
    expect((await server.ask('{ echo }')).status).toBe(200)
  })

  test('ends its live reads when its client goes', async () => {
    const server = await start()
    const controller = new AbortController()
    const waiting = fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ stuck }' }),
      signal: controller.signal,
    })
    await eventually(() => expect(server.access.contexts).toHaveLength(1))
    controller.abort()
    await expect(waiting).rejects.toThrow()
    await eventually(() => expect(server.access.contexts[0]?.signal?.aborted).toBe(true))
  })
})

describe('health', () => {
  test('is ready whatever the clusters do, and says what they do', async () => {
    const up = new FakeCluster('a')
    up.load('Pod', [])
    const down = new FakeCluster('b')
    down.health = { ...down.health, state: 'DOWN' }
    const server = await start({ fleet: new FakeFleet(up, down) })
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    const ready = await fetch(`${server.url}/readyz`)
    expect(ready.status).toBe(200)
    expect(await ready.json()).toEqual({
      ready: true,
      clusters: { total: 2, current: 0, syncing: 1, unreachable: 1, degraded: 0 },
    })
  })
})

describe('a bug in a route', () => {
  test('is answered and logged, and the server goes on', async () => {
    const server = await start({
      fleet: {
        get clusters(): never {
          throw new TypeError('secret')
        },
      },
    })
    const response = await fetch(`${server.url}/readyz`)
    expect([response.status, await response.text()]).toEqual([500, expect.stringMatching(/^((?!secret).)*$/)])
    expect(server.log.some(({ level }) => level === 'error')).toBe(true)
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
  })
})

describe('closing', () => {
  test('lets requests in flight end, on connections that then close, and takes no new ones', async () => {
    const server = await start()
    const socket = connect({ port: Number(new URL(server.url).port), host: '127.0.0.1' })
    let text = ''
    socket.on('data', (data) => (text += data.toString()))
    socket.write(
      `POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${ECHO.length}\r\n\r\n`,
    )
    // The server has read the head when it has asked for the body.
    await eventually(async () =>
      expect(
        await new Promise((resolve) => server.http.getConnections((_error, count) => resolve(count))),
      ).toBe(1),
    )
    socket.write(ECHO.slice(0, 5))
    const closed = server.close({ graceMs: 60_000 })
    await expect(server.ask('{ echo }')).rejects.toThrow()
    socket.write(ECHO.slice(5))
    await once(socket, 'close')
    await closed
    expect(text).toMatch(/^HTTP\/1.1 200 .*connection: close/is)
    expect(text).toContain('"data"')
  })

  test('ends what is left after its grace, with an answer that says so', async () => {
    const clock = new FakeClock()
    const server = await start({ clock })
    const waiting = server.ask('{ stuck }')
    await eventually(() => expect(server.access.contexts).toHaveLength(1))
    const closed = server.close({ graceMs: 1_000 })
    await clock.advance(1_000)
    expect(await (await waiting).text()).toContain('SHUTTING_DOWN')
    await closed
    expect(clock.pending).toBe(0)
  })

  test('says that it is not ready while it still serves', async () => {
    const clock = new FakeClock()
    const server = await start({ clock })
    const closed = server.close({ graceMs: 1_000, announceMs: 5_000 })
    const ready = await fetch(`${server.url}/readyz`)
    expect([ready.status, await ready.json()]).toEqual([503, expect.objectContaining({ ready: false })])
    expect((await server.ask('{ echo }')).status).toBe(200)
    await clock.advance(5_000)
    await closed
    await expect(fetch(`${server.url}/readyz`)).rejects.toThrow()
  })
})

describe('listening', () => {
  const setup = {
    schema: zoo,
    access: zooAccess(),
    fleet: { clusters: [] },
    logger: silent,
  }

  test('beyond loopback is refused while everyone may see everything', async () => {
    const beyond = (policy: Policy, allowOpenAccess = false) =>
      startServer({ ...setup, policy, options: { host: '0.0.0.0', port: 0, allowOpenAccess } })
    await expect(beyond(everything)).rejects.toThrow(OpenAccess)
    await expect(beyond(everything)).rejects.toThrow(/127\.0\.0\.1/)
    const guarded = await beyond({ ...everything })
    const allowed = await beyond(everything, true)
    await Promise.all([guarded.close({ graceMs: 0 }), allowed.close({ graceMs: 0 })])
  })

  test('at a port that is taken rejects', async () => {
    const first = await start()
    const port = Number(new URL(first.url).port)
    await expect(startServer({ ...setup, policy: everything, options: { port } })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    })
  })
})

describe('the access log', () => {
  test('has one line for each request, without query strings, documents, variables or headers', async () => {
    const server = await start()
    await (
      await server.ask('{ echo }', { variables: { token: 'secret' } }, { authorization: 'Bearer secret' })
    ).text()
    await (await fetch(`${server.url}/healthz?token=secret`)).text()
    await eventually(() => expect(server.log.filter(({ message }) => message === 'request')).toHaveLength(2))
    expect(
      server.log.filter(({ message }) => message === 'request').map(({ fields }) => fields['path']),
    ).toEqual(['/graphql', '/healthz'])
    expect(JSON.stringify(server.log)).not.toContain('secret')
  })
})
