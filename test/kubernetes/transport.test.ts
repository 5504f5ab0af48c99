import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request as httpRequest } from 'node:http'
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { TransportError } from '../../src/kubernetes/client.ts'
import { eventually } from '../support/eventually.ts'
import {
  createCertificateAuthority,
  type Certificate,
  type CertificateAuthority,
} from '../support/test-certificates.ts'
import { clientOf, json, rejection, startApiServer } from './support/api-server.ts'
import { RecordedSink } from './support/recorded-sink.ts'

const execute = promisify(execFile)
const OPENSSL = 'openssl'

let folder: string
let authority: CertificateAuthority
let strangers: CertificateAuthority
let server: Certificate
let otherName: Certificate
let ada: Certificate
let bob: Certificate

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetgraph-tls-'))
  authority = await createCertificateAuthority(folder)
  const issue = (name: string, commonName: string, alternativeNames: string[] = []) =>
    authority.issue(name, { commonName, alternativeNames })
  server = await issue('server', 'api', ['IP:127.0.0.1'])
  otherName = await issue('other', 'api', ['DNS:api.example.org'])
  ada = await issue('ada', 'ada')
  bob = await issue('bob', 'bob')
  await mkdir(join(folder, 'strangers'))
  strangers = await createCertificateAuthority(join(folder, 'strangers'))
  return () => rm(folder, { recursive: true })
})

const ca = () => ({ data: authority.pem })
/** Asks for client certificates, and answers with whose it was. */
const whoami = { requestCert: true, rejectUnauthorized: false }

describe('TLS', () => {
  test('shares one HTTP/2 connection among watches', async () => {
    const api = await startApiServer((_, response) => void response.write('event'), {
      tls: server,
      http2: true,
    })
    const client = clientOf({ server: api.url, certificateAuthority: ca() })
    const sinks = Array.from({ length: 20 }, () => new RecordedSink())
    const streams = sinks.map((sink) => client.stream({ path: '/watch' }, sink))
    await Promise.all(sinks.map((sink) => sink.until(({ text }) => text === 'event')))
    expect(api.accepted()).toBe(1)
    expect(api.heard.map(({ httpVersion }) => httpVersion)).toEqual(Array.from({ length: 20 }, () => '2.0'))
    for (const stream of streams.slice(1)) stream.abort()
    const answer = new RecordedSink()
    client.stream({ path: '/watch' }, answer)
    await answer.until(({ text }) => text === 'event')
    expect(sinks[0]?.calls).toEqual(['start', 'data:event'])
  })

  test('keeps a user’s groups apart, which HTTP/2 in undici would join', async () => {
    const api = await startApiServer((_, response) => json(response, 200, {}), { tls: server, http2: true })
    const client = clientOf({ server: api.url, certificateAuthority: ca() })
    await client.json({ path: '/x', as: { user: 'ada', groups: ['dev', 'ops'] } })
    const raw = api.heard[0]?.rawHeaders ?? []
    const groups = raw.filter((_, i) => raw[i - 1]?.toLowerCase() === 'impersonate-group')
    expect(groups).toEqual(['dev', 'ops'])
    expect(api.heard[0]?.httpVersion).toBe('1.1')
  })

  test('works with a server that knows HTTP/1.1 only', async () => {
    const api = await startApiServer((_, response) => json(response, 200, { ok: true }), { tls: server })
    const client = clientOf({ server: api.url, certificateAuthority: ca() })
    expect(await client.json({ path: '/x' })).toEqual({ ok: true })
  })

  test('checks the certificate against tls-server-name where it is set', async () => {
    const api = await startApiServer((_, response) => json(response, 200, { ok: true }), { tls: otherName })
    const wrong = clientOf({ server: api.url, certificateAuthority: ca() })
    const error = await rejection(wrong.json({ path: '/x' }))
    expect(error).toMatchObject({ code: 'TLS' })
    expect(error.message).toBe(
      `Cluster prod (${api.url}): its certificate is not for 127.0.0.1, but for DNS:api.example.org. Use one of its names in server, or set tls-server-name.`,
    )
    const right = clientOf({
      server: api.url,
      certificateAuthority: ca(),
      tlsServerName: 'api.example.org',
    })
    expect(await right.json({ path: '/x' })).toEqual({ ok: true })
  })

  test('trusts the CA it is given and no other, unless told to trust anything', async () => {
    const api = await startApiServer((_, response) => json(response, 200, { ok: true }), { tls: server })
    const caFile = join(folder, 'ca.crt')
    const withFile = clientOf({ server: api.url, certificateAuthority: { file: caFile } })
    expect(await withFile.json({ path: '/x' })).toEqual({ ok: true })
    const stranger = join(folder, 'ada.crt')
    const withOther = clientOf({ server: api.url, certificateAuthority: { file: stranger } })
    expect(await rejection(withOther.json({ path: '/x' }))).toMatchObject({
      code: 'TLS',
      message: `Cluster prod (${api.url}): its certificate is not signed by the CA in ${stranger}. Take the certificate-authority from the cluster's administrator.`,
    })
    const withNone = clientOf({ server: api.url })
    expect((await rejection(withNone.json({ path: '/x' }))).message).toContain(
      'an authority that this machine trusts',
    )
    const blind = clientOf({ server: api.url, insecureSkipTlsVerify: true })
    expect(await blind.json({ path: '/x' })).toEqual({ ok: true })
  })

  test('says that the server’s certificate has expired', async () => {
    const openssl = (line: string) => execute(OPENSSL, line.split(' '), { cwd: folder })
    await openssl(
      'req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=api -keyout old.key -out old.csr',
    )
    await openssl('x509 -req -in old.csr -CA ca.crt -CAkey ca.key -days -1 -out old.crt')
    const [cert, key] = await Promise.all(['crt', 'key'].map((end) => readFile(join(folder, `old.${end}`))))
    const api = await startApiServer((_, response) => json(response, 200, {}), { tls: { cert, key } })
    const client = clientOf({ server: api.url, certificateAuthority: ca() })
    expect(await rejection(client.json({ path: '/x' }))).toMatchObject({
      code: 'TLS',
      message: `Cluster prod (${api.url}): its certificate has expired. Renew it, and check this machine’s clock.`,
    })
  })

  test('says what is wrong with the port, and with our own files', async () => {
    const plain = await startApiServer((_, response) => json(response, 200, {}))
    const noTls = clientOf({ server: plain.url.replace('http', 'https') })
    const error = await rejection(noTls.json({ path: '/x' }))
    expect(error).toMatchObject({ code: 'TLS' })
    expect(error.message).toContain('it does not speak TLS on this port')
    const api = await startApiServer((_, response) => json(response, 200, {}), { tls: server })
    const garbage = clientOf({
      server: api.url,
      certificateAuthority: { data: 'no PEM' },
      user: {
        clientCertificate: { data: 'garbage' },
        clientKey: { data: 'garbage' },
      },
    })
    const unread = await rejection(garbage.json({ path: '/x' }))
    expect(unread).toMatchObject({ code: 'TLS' })
    expect(unread.message).toContain('cannot be read')
    const missing = clientOf({ server: api.url, certificateAuthority: { file: '/nowhere/ca.crt' } })
    expect(await rejection(missing.json({ path: '/x' }))).toMatchObject({
      code: 'CREDENTIALS',
      message: expect.stringContaining('cannot read the certificate authority /nowhere/ca.crt (ENOENT)'),
    })
  })

  test('presents a client certificate, and a new one when its files are rotated, without cutting streams', async () => {
    const api = await startApiServer(
      (request, response) => {
        const socket = request.socket as TLSSocket
        response.write(socket.getPeerCertificate().subject?.CN ?? 'nobody')
        if (request.url !== '/watch') response.end()
      },
      { tls: { ...server, ca: authority.pem, ...whoami } },
    )
    const own = await mkdtemp(join(tmpdir(), 'fleetgraph-'))
    onTestFinished(() => rm(own, { recursive: true }))
    const cert = join(own, 'tls.crt')
    const key = join(own, 'tls.key')
    await writeFile(cert, ada.cert)
    await writeFile(key, ada.key)
    let now = 0
    const client = clientOf(
      {
        server: api.url,
        certificateAuthority: ca(),
        user: { clientCertificate: { file: cert }, clientKey: { file: key } },
      },
      { now: () => now },
    )
    expect(await client.text({ path: '/x' })).toBe('ada')
    const watch = new RecordedSink()
    const stream = client.stream({ path: '/watch' }, watch)
    await watch.until(({ text }) => text === 'ada')
    await writeFile(cert, bob.cert)
    await writeFile(key, bob.key)
    expect(await client.text({ path: '/x' })).toBe('ada')
    now = 10_000
    expect(await client.text({ path: '/x' })).toBe('bob')
    expect(watch.calls).toEqual(['start', 'data:ada'])
    stream.abort()
    // The connections of the old certificate go with their last stream.
    await eventually(() => expect(api.open()).toBe(1))
  })

  test('that refuses our client certificate says so', async () => {
    // OpenSSL's own server: unlike Node's, it sends the alert that Go's sends too.
    const files = ['-cert', 'server.crt', '-key', 'server.key', '-CAfile', 'ca.crt']
    // In TLS 1.3 the alert comes after the handshake, where undici sees only the end.
    const verify = ['-tls1_2', '-Verify', '1', '-verify_return_error']
    const openssl = spawn(OPENSSL, ['s_server', '-accept', '127.0.0.1:0', ...files, ...verify], {
      cwd: folder,
      // It ends when its standard input does.
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    onTestFinished(() => void openssl.kill())
    let output = ''
    openssl.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    const port = await eventually(() => {
      const found = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(output)?.[1]
      expect(found).toBeDefined()
      return found
    })
    const { cert, key } = await strangers.issue('mallory', { commonName: 'mallory' })
    const client = clientOf({
      server: `https://127.0.0.1:${port}`,
      certificateAuthority: ca(),
      user: { clientCertificate: { data: cert }, clientKey: { data: key } },
    })
    const error = await rejection(client.json({ path: '/x' }))
    expect(error).toMatchObject({ code: 'TLS' })
    expect(error.message).toContain('it refused our client certificate')
  })
})

describe('a server that is not there', () => {
  test('refuses, has no name, or never answers the handshake: each said with what to do', async () => {
    const gone = await startApiServer(() => {})
    await gone.close()
    const refused = await rejection(clientOf({ server: gone.url }).json({ path: '/x' }))
    expect(refused).toBeInstanceOf(TransportError)
    expect(refused).toMatchObject({
      code: 'UNREACHABLE',
      message: `Cluster prod (${gone.url}): connection refused. Is the API server running, and is the port right?`,
    })
    const nameless = clientOf({ server: 'http://no-such-host.invalid:6443' })
    expect(await rejection(nameless.json({ path: '/x' }))).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('the name no-such-host.invalid does not resolve'),
    })
    const mute = await tcpServer(() => {})
    const frozen = clientOf({ server: `https://127.0.0.1:${mute}` }, { connectTimeoutMs: 50 })
    expect(await rejection(frozen.json({ path: '/x' }))).toMatchObject({ code: 'TIMEOUT' })
  })

  test('is not knocked at any more for requests that have timed out', async () => {
    let knocks = 0
    const mute = await tcpServer(() => void knocks++)
    // undici's timer makes a second of it, and queues requests behind the first connection.
    const client = clientOf({ server: `https://127.0.0.1:${mute}` }, { connectTimeoutMs: 50 })
    const pending = Array.from({ length: 4 }, () => rejection(client.json({ path: '/x', timeoutMs: 500 })))
    expect((await Promise.all(pending)).map((error) => (error as TransportError).code)).toEqual(
      Array.from({ length: 4 }, () => 'TIMEOUT'),
    )
    expect(knocks).toBe(1)
    // Had the other three been left in undici's queue, one would knock before this deadline has passed.
    const silent = clientOf({ server: (await startApiServer(() => {})).url })
    await rejection(silent.json({ path: '/x', timeoutMs: 1500 }))
    expect(knocks).toBe(1)
  })

  test.each(['http', 'https'])('keeps no half-made connection after close, by %s', async (scheme) => {
    // A full backlog would be needed to stay connecting over plain http: there the request is left instead.
    let open = 0
    const mute = await tcpServer((socket) => {
      open++
      socket.on('close', () => open--)
      socket.resume()
    })
    const client = clientOf({ server: `${scheme}://127.0.0.1:${mute}` })
    const pending = rejection(client.json({ path: '/x' }))
    await eventually(() => expect(open).toBe(1))
    await client.close()
    expect(await pending).toMatchObject({ code: 'CLOSED' })
    await eventually(() => expect(open).toBe(0), { timeoutMs: 1_000 })
  })

  test('can be left while connecting', async () => {
    const mute = await tcpServer(() => {})
    const client = clientOf({ server: `https://127.0.0.1:${mute}` })
    const sink = new RecordedSink()
    const stream = client.stream({ path: '/x' }, sink)
    stream.abort()
    const stop = new AbortController()
    const pending = rejection(client.json({ path: '/x', signal: stop.signal }))
    stop.abort(new Error('enough'))
    expect(await pending).toMatchObject({ message: 'enough' })
    expect(sink.calls).toEqual([])
  })
})

describe('a proxy', () => {
  test('tunnels to https servers, with its own credentials and all of our headers', async () => {
    const proxy = await connectProxy()
    const api = await startApiServer((_, response) => json(response, 200, { ok: true }), {
      tls: server,
      http2: true,
    })
    const client = clientOf({
      server: api.url,
      certificateAuthority: ca(),
      proxyUrl: `http://user:pass@127.0.0.1:${proxy.port}`,
      user: { token: 'secret' },
    })
    expect(await client.json({ path: '/x', as: { user: 'ada', groups: ['dev', 'ops'] } })).toEqual({
      ok: true,
    })
    expect(proxy.heard).toEqual([
      { url: `127.0.0.1:${api.port}`, authorization: `Basic ${Buffer.from('user:pass').toString('base64')}` },
    ])
    const raw = api.heard[0]?.rawHeaders ?? []
    expect(raw.filter((_, i) => raw[i - 1]?.toLowerCase() === 'impersonate-group')).toEqual(['dev', 'ops'])
    expect(api.heard[0]?.headers['authorization']).toBe('Bearer secret')
  })

  test('forwards to http servers', async () => {
    const proxy = await connectProxy()
    const api = await startApiServer((_, response) => json(response, 200, { ok: true }))
    const client = clientOf({ server: api.url, proxyUrl: `http://127.0.0.1:${proxy.port}` })
    expect(await client.json({ path: '/x' })).toEqual({ ok: true })
    expect(proxy.heard).toMatchObject([{ url: `${api.url}/x` }])
  })

  test('by SOCKS5 reaches https servers', async () => {
    const proxy = await socksProxy()
    const api = await startApiServer((_, response) => json(response, 200, { ok: true }), {
      tls: otherName,
    })
    const client = clientOf({
      server: api.url,
      certificateAuthority: ca(),
      tlsServerName: 'api.example.org',
      proxyUrl: `socks5://127.0.0.1:${proxy.port}`,
    })
    expect(await client.json({ path: '/x' })).toEqual({ ok: true })
    expect(proxy.asked).toEqual([`127.0.0.1:${api.port}`])
  })

  test('of the environment is used where the connection names none', async () => {
    const proxy = await connectProxy({ refuse: true })
    const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: 'example.org' }
    const client = clientOf({ server: 'https://api.example.com:6443' }, { env })
    expect((await rejection(client.json({ path: '/x' }))).message).toContain('refused the connection: (403)')
    expect(proxy.heard).toMatchObject([{ url: 'api.example.com:6443' }])
  })

  test('that is away or refuses is named, without its password', async () => {
    const refusing = await connectProxy({ refuse: true })
    const client = clientOf({
      server: 'https://10.0.0.1:6443',
      proxyUrl: `http://user:hunter2@127.0.0.1:${refusing.port}`,
    })
    const error = await rejection(client.json({ path: '/x' }))
    expect(error).toMatchObject({ code: 'UNREACHABLE' })
    expect(error.message).toContain(
      `the proxy http://127.0.0.1:${refusing.port} refused the connection: (403)`,
    )
    expect(error.message).not.toContain('hunter2')
    const gone = await tcpServer(() => {})
    const closed = closers.get(gone)
    await closed?.()
    const nowhere = clientOf({ server: 'https://10.0.0.1:6443', proxyUrl: `http://127.0.0.1:${gone}` })
    expect((await rejection(nowhere.json({ path: '/x' }))).message).toContain(
      `cannot reach the proxy http://127.0.0.1:${gone} (ECONNREFUSED)`,
    )
  })
})

const closers = new Map<number, () => Promise<void>>()

async function tcpServer(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const tcp = createTcpServer((socket) => {
    socket.on('error', () => {})
    sockets.add(socket)
    onConnection(socket)
  })
  const port = await listen(tcp)
  const close = () =>
    new Promise<void>((resolve) => {
      for (const socket of sockets) socket.destroy()
      tcp.close(() => resolve())
    })
  closers.set(port, close)
  onTestFinished(close)
  return port
}

async function listen(tcp: Server): Promise<number> {
  tcp.listen(0, '127.0.0.1')
  await once(tcp, 'listening')
  return (tcp.address() as AddressInfo).port
}

async function connectProxy({ refuse = false } = {}) {
  const heard: { url: string | undefined; authorization?: string | undefined }[] = []
  const sockets = new Set<Socket>()
  const proxy = createServer((request, response) => {
    heard.push({ url: request.url })
    const onward = httpRequest(request.url ?? '', { headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  })
  proxy.on('connect', (request, socket: Socket) => {
    heard.push({ url: request.url, authorization: request.headers['proxy-authorization'] })
    if (refuse) return void socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    const [host, port] = (request.url ?? '').split(':')
    const onward = connect(Number(port), host)
    for (const each of [socket, onward]) {
      sockets.add(each)
      each.on('error', () => {})
    }
    onward.on('connect', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(onward).pipe(socket)
    })
  })
  const port = await listen(proxy)
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy()
        proxy.closeAllConnections()
        proxy.close(() => resolve())
      }),
  )
  return { port, heard }
}

/** RFC 1928, as far as a client without authentication needs it. */
async function socksProxy() {
  const asked: string[] = []
  const port = await tcpServer((socket) => {
    socket.once('data', () => {
      socket.write(Buffer.from([5, 0]))
      socket.once('data', (request: Buffer) => {
        const type = request[3]
        const length = type === 1 ? 4 : (request[4] ?? 0)
        const start = type === 1 ? 4 : 5
        const host =
          type === 1
            ? [...request.subarray(4, 8)].join('.')
            : request.subarray(start, start + length).toString()
        const target = request.readUInt16BE(start + length)
        asked.push(`${host}:${target}`)
        const onward = connect(target, host)
        onward.on('error', () => socket.destroy())
        onward.on('connect', () => {
          socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]))
          socket.pipe(onward).pipe(socket)
        })
      })
    })
  })
  return { port, asked }
}
