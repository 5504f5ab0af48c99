import { gzipSync } from 'node:zlib'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { ApiError, TransportError } from '../../src/kubernetes/client.ts'
import { eventually } from '../support/eventually.ts'
import { clientOf, json, rejection, startApiServer } from './support/api-server.ts'
import { RecordedSink } from './support/recorded-sink.ts'

const forbidden = {
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  message: 'pods is forbidden: User "ada" cannot list resource "pods"',
  reason: 'Forbidden',
  code: 403,
}

describe('a request', () => {
  test('carries the path behind the server’s own, the query without what is undefined, and JSON', async () => {
    const server = await startApiServer((_, response) => json(response, 200, { kind: 'PodList' }))
    const client = clientOf({ server: `${server.url}/k8s/clusters/c-1/` })
    const answer = await client.json({
      method: 'POST',
      path: '/api/v1/pods',
      query: { labelSelector: 'app in (a, b)', limit: 5, watch: undefined, dryRun: false },
      body: { spec: 'ü' },
    })
    expect(answer).toEqual({ kind: 'PodList' })
    expect(server.heard[0]).toMatchObject({
      method: 'POST',
      url: '/k8s/clusters/c-1/api/v1/pods?labelSelector=app%20in%20(a%2C%20b)&limit=5&dryRun=false',
      body: '{"spec":"ü"}',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
    })
  })

  test('sends a string body as it is, with the content type given', async () => {
    const server = await startApiServer((_, response) => json(response, 200, {}))
    await clientOf({ server: server.url }).json({
      method: 'PATCH',
      path: '/x',
      body: 'a: 1',
      contentType: 'application/apply-patch+yaml',
    })
    expect(server.heard[0]).toMatchObject({
      body: 'a: 1',
      headers: { 'content-type': 'application/apply-patch+yaml' },
    })
  })

  test('refuses a path that climbs', async () => {
    const client = clientOf({ server: 'http://127.0.0.1:1' })
    for (const path of ['/api/v1/namespaces/../secrets', '/api/v1/..', '/./x', 'api'])
      expect(await rejection(client.json({ path }))).toBeInstanceOf(TypeError)
  })

  test('uses kept connections for one request after the other', async () => {
    const server = await startApiServer((_, response) => json(response, 200, {}))
    const client = clientOf({ server: server.url })
    for (let i = 0; i < 20; i++) await client.json({ path: '/x' })
    // Two, because undici frees a connection a microtask after the answer is complete.
    expect(server.accepted()).toBeLessThanOrEqual(2)
  })

  test('impersonates with a header per group, and extra keys percent-encoded', async () => {
    const server = await startApiServer((_, response) => json(response, 200, {}))
    const client = clientOf({ server: server.url, user: { token: 't', impersonate: { user: 'default' } } })
    await client.json({
      path: '/x',
      as: {
        user: 'jörg@example.org',
        uid: '42',
        groups: ['dev', 'system:authenticated', 'a, b'],
        extra: { 'example.org/Scopes': ['read', 'write'], 'ü%': ['x'] },
      },
    })
    await client.json({ path: '/y' })
    expect(impersonation(server.heard[0]?.rawHeaders ?? [])).toEqual([
      ['impersonate-user', 'jörg@example.org'],
      ['impersonate-uid', '42'],
      ['impersonate-group', 'dev'],
      ['impersonate-group', 'system:authenticated'],
      ['impersonate-group', 'a, b'],
      ['impersonate-extra-example.org%2fscopes', 'read'],
      ['impersonate-extra-example.org%2fscopes', 'write'],
      ['impersonate-extra-%c3%bc%25', 'x'],
    ])
    expect(impersonation(server.heard[1]?.rawHeaders ?? [])).toEqual([['impersonate-user', 'default']])
  })

  test('does not impersonate a name that would add a header or be trimmed into another', async () => {
    const server = await startApiServer((_, response) => json(response, 200, {}))
    const client = clientOf({ server: server.url })
    for (const user of ['ada\r\nImpersonate-Group: system:masters', '', ' ada', 'ada\u0000'])
      expect((await rejection(client.json({ path: '/x', as: { user } }))).message).toMatch(
        /Cannot impersonate/,
      )
    expect(server.heard).toEqual([])
  })
})

describe('an answer that is no success', () => {
  test('is an ApiError with the Status, and when to come back', async () => {
    const server = await startApiServer((request, response) => {
      if (request.url === '/busy') {
        response.setHeader('Retry-After', '7')
        json(response, 429, { kind: 'Status', message: 'too many', reason: 'TooManyRequests' })
      } else if (request.url === '/soon')
        json(response, 500, { kind: 'Status', message: 'm', details: { retryAfterSeconds: 2 } })
      else json(response, 403, forbidden)
    })
    const client = clientOf({ server: server.url })
    const denied = await rejection(client.json({ path: '/pods' }))
    expect(denied).toBeInstanceOf(ApiError)
    expect(denied).toMatchObject({
      statusCode: 403,
      code: 'Forbidden',
      message: forbidden.message,
      status: forbidden,
      retryAfterMs: undefined,
    })
    expect(await rejection(client.json({ path: '/busy' }))).toMatchObject({
      code: 'TooManyRequests',
      retryAfterMs: 7000,
    })
    expect(await rejection(client.json({ path: '/soon' }))).toMatchObject({ retryAfterMs: 2000 })
  })

  test('says what something in front of the API server said', async () => {
    const server = await startApiServer((request, response) => {
      if (request.url === '/html') {
        response.writeHead(502, { 'content-type': 'text/html' })
        response.end('<html>Bad Gateway</html>')
      } else {
        response.writeHead(503)
        response.end('no  healthy\nupstream')
      }
    })
    const client = clientOf({ server: server.url })
    expect(await rejection(client.json({ path: '/html' }))).toMatchObject({
      code: 'HTTP_502',
      message: `Cluster prod (${server.url}): HTTP status 502.`,
    })
    expect((await rejection(client.json({ path: '/text' }))).message).toBe(
      `Cluster prod (${server.url}): HTTP status 503: no healthy upstream.`,
    )
  })

  test('is not followed elsewhere with our token', async () => {
    const other = await startApiServer((_, response) => json(response, 200, {}))
    const server = await startApiServer((_, response) => {
      response.writeHead(302, { location: `${other.url}/api` })
      response.end()
    })
    const client = clientOf({ server: server.url, user: { token: 'secret' } })
    const error = await rejection(client.json({ path: '/api' }))
    expect(error).toMatchObject({ statusCode: 302 })
    expect(error.message).toContain(`redirects (HTTP 302) to ${other.url}/api, which is not followed`)
    expect(other.heard).toEqual([])
  })

  test('that is a success but no JSON names the path and the type', async () => {
    const server = await startApiServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' })
      response.end('<html>Sign in</html>')
    })
    const error = await rejection(clientOf({ server: server.url }).json({ path: '/api/v1/pods' }))
    expect(error).toBeInstanceOf(TransportError)
    expect(error.message).toContain('the answer to /api/v1/pods is not JSON (text/html)')
  })
})

describe('credentials', () => {
  test('are taken from a file, read again after a 401, and the request is sent once more', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, 'old\n')
    const server = await startApiServer((request, response) => {
      const ok = request.headers['authorization'] === 'Bearer new'
      json(response, ok ? 200 : 401, ok ? { ok } : { kind: 'Status', message: 'Unauthorized' })
    })
    const client = clientOf({ server: server.url, user: { tokenFile, token: 'ignored' } })
    const refused = await rejection(client.json({ path: '/x' }))
    expect(refused).toMatchObject({ statusCode: 401, code: 'Unauthorized' })
    expect(refused.message).toContain('Cluster prod')
    expect(refused.message).not.toContain('old')
    await writeFile(tokenFile, 'new\n')
    expect(await client.json({ path: '/x', method: 'POST', body: { a: 1 } })).toEqual({ ok: true })
    expect(server.heard.map(({ headers }) => headers['authorization'])).toEqual([
      'Bearer old',
      'Bearer old',
      'Bearer new',
    ])
    expect(server.heard.at(-1)?.body).toBe('{"a":1}')
  })

  test('that are rotated in their file are used without a 401 once they are ten seconds old', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, 'first')
    const server = await startApiServer((_, response) => json(response, 200, {}))
    let now = 0
    const client = clientOf({ server: server.url, user: { tokenFile } }, { now: () => now })
    const ask = async () => {
      await client.json({ path: '/x' })
      return server.heard.at(-1)?.headers['authorization']
    }
    expect(await ask()).toBe('Bearer first')
    await writeFile(tokenFile, 'second')
    now = 9_999
    expect(await ask()).toBe('Bearer first')
    now = 10_000
    expect(await ask()).toBe('Bearer second')
    await rm(tokenFile)
    now = 20_000
    expect(await ask()).toBe('Bearer second')
    await writeFile(tokenFile, 'third')
    // Somebody sets the clock back.
    now = -3_600_000
    expect(await ask()).toBe('Bearer third')
  })

  test('are kept while their file is emptied to be written anew, and it is read again at once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, 'first')
    const server = await startApiServer((_, response) => json(response, 200, {}))
    let now = 0
    const client = clientOf({ server: server.url, user: { tokenFile } }, { now: () => now })
    const ask = async () => {
      await client.json({ path: '/x' })
      return server.heard.at(-1)?.headers['authorization']
    }
    expect(await ask()).toBe('Bearer first')
    await writeFile(tokenFile, '')
    now = 10_000
    expect(await ask()).toBe('Bearer first')
    await writeFile(tokenFile, 'second')
    expect(await ask()).toBe('Bearer second')
  })

  test('that cannot be read say which file', async () => {
    const client = clientOf({ server: 'http://127.0.0.1:1', user: { tokenFile: '/nowhere/token' } })
    expect(await rejection(client.json({ path: '/x' }))).toMatchObject({
      code: 'CREDENTIALS',
      message:
        'Cluster prod: cannot read the token file /nowhere/token (ENOENT). Check that it exists and that the gateway may read it.',
    })
  })

  test('that no header can carry are said to be so, and not shown', async () => {
    const error = await rejection(
      clientOf({ server: 'http://127.0.0.1:1', user: { token: 'sec\nret' } }).json({ path: '/x' }),
    )
    expect(error).toMatchObject({ code: 'CREDENTIALS' })
    expect(error.message).toContain('stray characters in the credentials')
    expect(error.message).not.toMatch(/sec|ret$/)
  })

  test('of a fixed token are not tried twice', async () => {
    const server = await startApiServer((_, response) => json(response, 401, {}))
    const client = clientOf({ server: server.url, user: { username: 'ada', password: 'pä:ss' } })
    expect(await rejection(client.json({ path: '/x' }))).toMatchObject({ statusCode: 401 })
    expect(server.heard).toHaveLength(1)
    expect(server.heard[0]?.headers['authorization']).toBe(
      `Basic ${Buffer.from('ada:pä:ss').toString('base64')}`,
    )
  })
})

describe('a connection that the server closed', () => {
  test('before a byte of the answer lets a GET go again once, and nothing else', async () => {
    let broken = 0
    const server = await startApiServer((request, response) => {
      if (broken-- > 0) request.socket.destroy()
      else json(response, 200, { ok: true })
    })
    const client = clientOf({ server: server.url })
    broken = 1
    expect(await client.json({ path: '/x' })).toEqual({ ok: true })
    broken = 2
    expect(await rejection(client.json({ path: '/x' }))).toMatchObject({ code: 'RESET' })
    broken = 1
    expect(await rejection(client.json({ method: 'POST', path: '/x', body: {} }))).toMatchObject({
      code: 'RESET',
    })
    expect(server.heard).toHaveLength(5)
  })

  test('in the middle of the answer is a RESET, however much of it came', async () => {
    const server = await startApiServer((request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('{"a":', () => request.socket.destroy())
    })
    const error = await rejection(clientOf({ server: server.url }).json({ path: '/x' }))
    expect(error).toMatchObject({ code: 'RESET' })
    expect(error.message).toMatch(/Cluster prod .*the connection broke in the middle of the answer/)
    expect(server.heard).toHaveLength(1)
  })
})

describe('a deadline', () => {
  test('covers the whole of a JSON answer', async () => {
    const server = await startApiServer((_, response) => void response.write('{'))
    const client = clientOf({ server: server.url })
    expect(await rejection(client.json({ path: '/x', timeoutMs: 30 }))).toMatchObject({
      code: 'TIMEOUT',
      message: `Cluster prod (${server.url}): the answer was not complete within 30 ms.`,
    })
  })

  test('ends with the headers of a stream', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    let finish = (): void => {}
    const server = await startApiServer((_, response) => {
      response.write('a')
      finish = () => response.end('b')
    })
    const sink = new RecordedSink()
    clientOf({ server: server.url }).stream({ path: '/x', timeoutMs: 1000 }, sink)
    await sink.until(({ text }) => text === 'a')
    vi.advanceTimersByTime(600_000)
    finish()
    await sink.finished
    expect(sink.calls).toEqual(['start', 'data:a', 'data:b', 'end'])
  })

  test('that passes over a silent connection makes the next request use a new one', async () => {
    let silent = true
    const server = await startApiServer((_, response) => {
      if (!silent) json(response, 200, {})
    })
    const client = clientOf({ server: server.url })
    const error = await rejection(client.json({ path: '/x', timeoutMs: 50 }))
    expect(error).toMatchObject({ code: 'TIMEOUT' })
    expect(error.message).toContain('no answer within')
    silent = false
    await client.json({ path: '/x' })
    expect(server.accepted()).toBe(2)
  })
})

describe('a stream', () => {
  test('hands on each chunk as it comes, after the headers and before the end', async () => {
    const server = await startApiServer(async (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json;stream=watch' })
      response.write('one\n')
      await first
      response.end('two\n')
    })
    let release = (): void => {}
    const first = new Promise<void>((resolve) => {
      release = resolve
    })
    const sink = new RecordedSink()
    clientOf({ server: server.url }).stream({ path: '/x' }, sink)
    expect(sink.calls).toEqual([])
    await sink.until(({ text }) => text === 'one\n')
    release()
    await sink.finished
    expect(sink.calls).toEqual(['start', 'data:one\n', 'data:two\n', 'end'])
    expect(sink.headers['content-type']).toBe('application/json;stream=watch')
  })

  test('that is refused is one ApiError, without a start', async () => {
    const server = await startApiServer((_, response) => json(response, 403, forbidden))
    const sink = new RecordedSink()
    clientOf({ server: server.url }).stream({ path: '/x' }, sink)
    await sink.finished
    expect(sink.calls).toEqual([`error:${forbidden.message}`])
    expect(sink.errors[0]).toBeInstanceOf(ApiError)
  })

  test('renews credentials after a 401 before it starts', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, 'old')
    const server = await startApiServer((request, response) => {
      if (request.headers['authorization'] === 'Bearer new') response.end('event')
      else void writeFile(tokenFile, 'new').then(() => json(response, 401, {}))
    })
    const sink = new RecordedSink()
    clientOf({ server: server.url, user: { tokenFile } }).stream({ path: '/x' }, sink)
    await sink.finished
    expect(sink.calls).toEqual(['start', 'data:event', 'end'])
  })

  test('that breaks off says so after what came', async () => {
    const server = await startApiServer((request, response) => {
      response.write('event', () => request.socket.destroy())
    })
    const sink = new RecordedSink()
    clientOf({ server: server.url }).stream({ path: '/x' }, sink)
    await sink.finished
    expect(sink.calls.slice(0, 2)).toEqual(['start', 'data:event'])
    expect(sink.calls).toHaveLength(3)
    expect(sink.errors[0]).toMatchObject({ code: 'RESET' })
  })

  test('is silent after abort, in every phase and any number of times', async () => {
    const server = await startApiServer((request, response) => {
      if (request.url === '/answers') response.write('event')
    })
    const client = clientOf({ server: server.url })
    const before = new RecordedSink()
    const unsent = client.stream({ path: '/silent' }, before)
    unsent.abort()
    unsent.abort()
    const waiting = new RecordedSink()
    const sent = client.stream({ path: '/silent' }, waiting)
    await eventually(() => expect(server.heard.filter(({ url }) => url === '/silent')).toHaveLength(1))
    sent.abort()
    const receiving = new RecordedSink()
    const running = client.stream({ path: '/answers' }, receiving)
    await receiving.until(({ text }) => text === 'event')
    running.abort()
    running.abort()
    await eventually(() => expect(server.open()).toBe(0))
    expect(before.calls).toEqual([])
    expect(waiting.calls).toEqual([])
    expect(receiving.calls).toEqual(['start', 'data:event'])
  })

  test('that is aborted says nothing of what went wrong just before', async () => {
    const client = clientOf({ server: 'http://127.0.0.1:1' })
    const sink = new RecordedSink()
    const stop = new AbortController()
    const stream = client.stream({ path: '/x', signal: stop.signal }, sink)
    stop.abort(new Error('enough'))
    stream.abort()
    await rejection(client.json({ path: '/x' }))
    expect(sink.calls).toEqual([])
  })

  test('ends with its signal, and tells the reason', async () => {
    const server = await startApiServer((_, response) => void response.write('event'))
    const client = clientOf({ server: server.url })
    const stop = new AbortController()
    const sink = new RecordedSink()
    client.stream({ path: '/x', signal: stop.signal }, sink)
    await sink.until(({ text }) => text === 'event')
    stop.abort(new Error('enough'))
    await sink.finished
    expect(sink.calls).toEqual(['start', 'data:event', 'error:enough'])
    expect(await rejection(client.json({ path: '/x', signal: stop.signal }))).toMatchObject({
      message: 'enough',
    })
  })

  test('fails alone when its sink throws', async () => {
    const server = await startApiServer((_, response) => void response.end('event'))
    const client = clientOf({ server: server.url })
    const sink = new RecordedSink()
    sink.onData = () => {
      throw new Error('cannot parse')
    }
    client.stream({ path: '/x' }, sink)
    await sink.finished
    expect(sink.calls).toEqual(['start', 'error:cannot parse'])
    expect(await client.text({ path: '/x' })).toBe('event')
  })

  test('stops reading from the socket while it is paused', async () => {
    const block = Buffer.alloc(1 << 20, 'x')
    let written = 0
    const server = await startApiServer((_, response) => {
      const write = (): void => {
        if (written >= 64) return void response.end()
        written++
        if (response.write(block)) setImmediate(write)
        else response.once('drain', write)
      }
      write()
    })
    let received = 0
    let ended = (): void => {}
    const end = new Promise<void>((resolve) => {
      ended = resolve
    })
    const stream = clientOf({ server: server.url }).stream(
      { path: '/x' },
      {
        onData(chunk) {
          if (received === 0) stream.pause()
          received += chunk.length
        },
        onEnd: ended,
        onError: (error) => expect.unreachable(error.message),
      },
    )
    await eventually(() => expect(received).toBeGreaterThan(0))
    // What the sockets' buffers hold, then nothing more: the writer has come to rest.
    let last = -1
    await eventually(
      () => {
        const same = last === written
        last = written
        expect(same).toBe(true)
      },
      { everyMs: 100 },
    )
    expect(written).toBeLessThan(32)
    expect(received).toBeLessThan(1 << 20)
    stream.resume()
    await end
    expect(received).toBe(64 << 20)
  })
})

describe('gzip', () => {
  test('is asked for unless the server is on loopback, or as told', async () => {
    const server = await startApiServer((_, response) => json(response, 200, {}))
    await clientOf({ server: server.url }).json({ path: '/default' })
    await clientOf({ server: server.url }, { compression: true }).json({ path: '/on' })
    expect(server.heard.map(({ headers }) => headers['accept-encoding'])).toEqual([undefined, 'gzip'])
  })

  test('is decoded in lists and in errors', async () => {
    const server = await startApiServer((request, response) => {
      response.writeHead(request.url === '/list' ? 200 : 403, { 'content-encoding': 'gzip' })
      response.end(gzipSync(JSON.stringify(request.url === '/list' ? { items: [1] } : forbidden)))
    })
    const client = clientOf({ server: server.url }, { compression: true })
    expect(await client.json({ path: '/list' })).toEqual({ items: [1] })
    expect(await rejection(client.json({ path: '/no' }))).toMatchObject({ code: 'Forbidden' })
  })

  test('of many members reaches the sink member by member', async () => {
    let next = (): void => {}
    const server = await startApiServer((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      let i = 0
      next = () => {
        if (i < 3) response.write(gzipSync(`event ${i++}\n`))
        else response.end()
      }
      next()
    })
    const sink = new RecordedSink()
    clientOf({ server: server.url }, { compression: true }).stream({ path: '/x' }, sink)
    for (let i = 0; i < 3; i++) {
      await sink.until(({ text }) => text.endsWith(`event ${i}\n`))
      next()
    }
    await sink.finished
    expect(sink.calls).toEqual(['start', 'data:event 0\n', 'data:event 1\n', 'data:event 2\n', 'end'])
  })

  test('that members share chunks, and are cut anywhere, makes no difference', async () => {
    const bytes = Buffer.concat(Array.from({ length: 50 }, (_, i) => gzipSync(`event ${i}\n`)))
    const server = await startApiServer(async (_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      for (let i = 0; i < bytes.length; i += 7)
        await new Promise((resolve) => response.write(bytes.subarray(i, i + 7), resolve))
      response.end()
    })
    const sink = new RecordedSink()
    clientOf({ server: server.url }, { compression: true }).stream({ path: '/x' }, sink)
    await sink.finished
    expect(sink.calls.at(-1)).toBe('end')
    expect(sink.text).toBe(Array.from({ length: 50 }, (_, i) => `event ${i}\n`).join(''))
  })

  test('that is cut short is an error, not an end', async () => {
    const bytes = gzipSync('x'.repeat(1000))
    const server = await startApiServer((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.end(bytes.subarray(0, -6))
    })
    const sink = new RecordedSink()
    const client = clientOf({ server: server.url }, { compression: true })
    client.stream({ path: '/x' }, sink)
    await sink.finished
    expect(sink.errors[0]).toMatchObject({ code: 'RESET' })
    expect(await rejection(client.text({ path: '/x' }))).toMatchObject({ code: 'RESET' })
  })

  test('is paused and resumed without losing a byte', async () => {
    const text = Array.from({ length: 200_000 }, (_, i) => `line ${i}\n`).join('')
    const server = await startApiServer((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.end(gzipSync(text))
    })
    let received = ''
    let pauses = 0
    await new Promise<void>((resolve, reject) => {
      const stream = clientOf({ server: server.url }, { compression: true }).stream(
        { path: '/x' },
        {
          onData(chunk) {
            received += chunk.toString()
            if (pauses++ > 10) return
            stream.pause()
            setImmediate(() => stream.resume())
          },
          onEnd: resolve,
          onError: reject,
        },
      )
    })
    expect(received).toBe(text)
    expect(pauses).toBeGreaterThan(10)
  })
})

describe('close', () => {
  test('ends what is under way, refuses what comes, and leaves no connection', async () => {
    const server = await startApiServer((request, response) => {
      if (request.url === '/watch') response.write('event')
    })
    const client = clientOf({ server: server.url })
    const sink = new RecordedSink()
    client.stream({ path: '/watch' }, sink)
    await sink.until(({ text }) => text === 'event')
    const pending = rejection(client.json({ path: '/silent' }))
    await client.close()
    await client.close()
    await sink.finished
    expect(sink.errors[0]).toMatchObject({ code: 'CLOSED' })
    expect(await pending).toMatchObject({ code: 'CLOSED' })
    expect(await rejection(client.json({ path: '/x' }))).toMatchObject({
      code: 'CLOSED',
      message: 'Cluster prod: the client was closed.',
    })
    await eventually(() => expect(server.open()).toBe(0))
  })

  test('comes with the signal that the client was made with', async () => {
    const stop = new AbortController()
    const client = clientOf({ server: 'http://127.0.0.1:1' }, { signal: stop.signal })
    stop.abort()
    expect(await rejection(client.json({ path: '/x' }))).toMatchObject({ code: 'CLOSED' })
  })
})

function impersonation(rawHeaders: readonly string[]): (readonly [string, string])[] {
  return rawHeaders.flatMap((name, i) =>
    i % 2 === 0 && name.toLowerCase().startsWith('impersonate-')
      ? [[name.toLowerCase(), Buffer.from(rawHeaders[i + 1] ?? '', 'latin1').toString()] as const]
      : [],
  )
}
