/** Who gets in, what every answer carries, what is written down, and what is waited for. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { Executor, type ExecutionReads } from '../../src/server/execution.ts'
import { DEFAULT_LIMITS } from '../../src/server/limits.ts'
import { guarded, silent } from '../../src/server/logger.ts'
import { Records } from '../../src/server/records.ts'
import { startServer, type ServerSetup } from '../../src/server/server.ts'
import { TlsError } from '../../src/server/tls.ts'
import { eventually } from '../support/eventually.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { createCertificateAuthority, type CertificateAuthority } from '../support/test-certificates.ts'
import { collectingLogger, raw, zooServer, type ZooServer } from './support.ts'
import { zoo, zooAccess, zooContext } from './zoo.ts'

type AuditRecord = Parameters<NonNullable<ServerSetup['audit']>['record']>[0]

const open: { close(how: { graceMs: number }): Promise<void> }[] = []
const start = async (setup: Parameters<typeof zooServer>[0] = {}): Promise<ZooServer> => {
  const server = await zooServer(setup)
  open.push(server)
  return server
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close({ graceMs: 0 })))
})

const BODY = JSON.stringify({ query: '{ echo }' })
const PORTAL = 'https://portal.example.com'

describe('pages of other origins', () => {
  const post = (server: ZooServer, origin: string, more: Record<string, string> = {}) =>
    fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin, ...more },
      body: BODY,
    })

  it('may ask where they are allowed, with cookies, and nowhere else', async () => {
    const server = await start({ options: { allowedOrigins: [`${PORTAL}/`] } })
    const preflight = await fetch(`${server.url}/graphql`, {
      method: 'OPTIONS',
      headers: { origin: PORTAL, 'access-control-request-method': 'POST' },
    })
    expect(preflight.status).toBe(204)
    expect(Object.fromEntries(preflight.headers)).toMatchObject({
      'access-control-allow-origin': PORTAL,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, POST',
      vary: 'origin',
    })
    const answer = await post(server, PORTAL)
    expect(answer.headers.get('access-control-allow-origin')).toBe(PORTAL)
    for (const origin of [
      'https://evil.example',
      `${PORTAL}.evil.example`,
      'http://portal.example.com',
      'null',
    ]) {
      const foreign = await post(server, origin)
      expect(foreign.headers.get('access-control-allow-origin')).toBeNull()
      expect(foreign.headers.get('vary')).toBe('origin')
      const refused = await fetch(`${server.url}/graphql`, { method: 'OPTIONS', headers: { origin } })
      expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([405, null])
    }
  })

  it('send cookies that count only where they are allowed', async () => {
    const server = await start({ options: { allowedOrigins: [PORTAL] } })
    const cookie = 'session=alice'
    await post(server, PORTAL, { cookie })
    await post(server, 'https://evil.example', { cookie })
    await post(server, server.url, { cookie })
    expect(server.access.credentials.map(({ headers }) => headers.cookie)).toEqual([
      cookie,
      undefined,
      cookie,
    ])
  })
})

describe('the address of a client', () => {
  const from = (server: ZooServer, address: string) =>
    fetch(server.url.replace('[::]', '127.0.0.1') + '/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'bad', 'x-forwarded-for': address },
      body: BODY,
    })

  it('is what a proxy of ours says, and nobody else', async () => {
    const records: AuditRecord[] = []
    const peers: unknown[] = []
    let isOurs = true
    // Such a server sees its own machine as a stranger, ::ffff:127.0.0.1.
    const server = await start({
      audit: { record: (record) => void records.push(record) },
      isProxy: (peer) => {
        peers.push(peer)
        return isOurs
      },
      options: { host: '::', allowOpenAccess: true },
    })
    await from(server, '198.51.100.1, 203.0.113.7')
    isOurs = false
    await from(server, '203.0.113.8')
    expect(records.map(({ remoteAddress }) => remoteAddress)).toEqual(['203.0.113.7', '::ffff:127.0.0.1'])
    expect(peers).toEqual([{ remoteAddress: '::ffff:127.0.0.1' }, { remoteAddress: '::ffff:127.0.0.1' }])
  })
})

describe('an id', () => {
  const id = async (server: ZooServer, given?: string) =>
    (await server.ask('{ echo }', {}, given === undefined ? {} : { 'x-request-id': given })).headers.get(
      'x-request-id',
    )

  it('is in every answer, one for each, and is that of a proxy of ours where it is sane', async () => {
    const server = await start()
    expect(await id(server)).not.toBe(await id(server))
    expect(await id(server, '0af7651916cd43dd8448eb211c80319c')).toBe('0af7651916cd43dd8448eb211c80319c')
    for (const odd of ['x', 'a b c d e f g h', 'x'.repeat(65), '{"a":"bcdefgh"}']) {
      expect(await id(server, odd)).not.toBe(odd)
    }
    for (const path of ['/healthz', '/nothing', '/graphql']) {
      expect((await fetch(server.url + path)).headers.get('x-request-id')).toBeTruthy()
    }
    expect(await raw(server.url, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [^]*x-request-id: /)
  })

  it('tells which line of the log belongs to an error that hides something', async () => {
    const server = await start()
    const response = await server.ask('{ animals { buggy } }')
    const { errors } = (await response.json()) as { errors: { extensions: { correlationId: string } }[] }
    const correlationId = response.headers.get('x-request-id')
    expect(errors[0]?.extensions.correlationId).toBe(correlationId)
    await eventually(() =>
      expect(
        server.log.filter(({ fields }) => fields['correlationId'] === correlationId).length,
      ).toBeGreaterThan(1),
    )
  })
})

describe('the log', () => {
  it('has nothing that opens a door, whatever it is handed', () => {
    const logger = collectingLogger(true)
    const jwt = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl`
    const error = Object.assign(new Error(`refused Bearer abcdef123456 and ${jwt}`), {
      config: { headers: { authorization: 'Bearer abcdef123456' } },
      cause: new TypeError('https://user:hunter2@example.com?access_token=abc123'),
    })
    guarded(logger).error(
      { err: error, headers: { cookie: 'session=1', Authorization: 'x' }, token: jwt },
      `for ${jwt}`,
    )
    const told = JSON.stringify(logger.lines, (_key, value: unknown) =>
      value instanceof Error ? [Object.entries(value), value.message, value.stack, value.cause] : value,
    )
    for (const secret of ['abcdef123456', jwt, 'hunter2', 'abc123', 'session=1'])
      expect(told).not.toContain(secret)
    expect(told).toContain('refused Bearer')
  })
})

describe('a logout that an issuer tells', () => {
  const post = (server: ZooServer, body: string, type = 'application/x-www-form-urlencoded') =>
    fetch(`${server.url}/logout/backchannel`, { method: 'POST', headers: { 'content-type': type }, body })

  it('is brought to whoever can judge it, and answered as that says', async () => {
    const bodies: string[] = []
    const server = await start({
      backchannelLogout: (body) => {
        bodies.push(body)
        if (body.includes('bug')) return Promise.reject(new Error('secret'))
        return Promise.resolve(
          body.includes('good') ? { status: 200 } : { status: 400, body: '{"error":"invalid_request"}' },
        )
      },
    })
    expect((await post(server, 'logout_token=good')).status).toBe(200)
    const bad = await post(server, 'logout_token=bad')
    expect([bad.status, await bad.text(), bad.headers.get('cache-control')]).toEqual([
      400,
      '{"error":"invalid_request"}',
      'no-store',
    ])
    const bug = await post(server, 'logout_token=bug')
    expect([bug.status, await bug.text()]).toEqual([500, expect.not.stringContaining('secret')])
    expect((await post(server, '{}', 'application/json')).status).toBe(415)
    expect((await post(server, 'x'.repeat(100_000))).status).toBe(413)
    expect((await fetch(`${server.url}/logout/backchannel`)).status).toBe(405)
    expect(bodies).toEqual(['logout_token=good', 'logout_token=bad', 'logout_token=bug'])
  })

  it('is heard also where too many sign-ins from the same address have failed: it would be lost', async () => {
    const server = await start({
      backchannelLogout: (body) => Promise.resolve({ status: body.includes('good') ? 200 : 400 }),
      options: { limits: { ...DEFAULT_LIMITS, signInFailuresPerMinute: 2 } },
    })
    await eventually(async () => {
      expect((await server.ask('{ echo }', {}, { authorization: 'bad' })).status).toBe(429)
    })
    expect((await post(server, 'logout_token=good')).status).toBe(200)
    expect((await post(server, 'logout_token=bad')).status).toBe(400)
  })

  it('is recorded where it is no good, with its address and the id of its answer', async () => {
    const records: AuditRecord[] = []
    const server = await start({
      backchannelLogout: (body) => Promise.resolve({ status: body.includes('good') ? 200 : 400 }),
      audit: { record: (record) => void records.push(record) },
    })
    await post(server, 'logout_token=good')
    const { headers } = await post(server, 'logout_token=bad')
    expect(records).toMatchObject([
      {
        type: 'SIGN_IN_FAILED',
        user: null,
        remoteAddress: '127.0.0.1',
        correlationId: headers.get('x-request-id'),
      },
    ])
  })

  it('has no place where nobody could judge it', async () => {
    expect((await post(await start(), 'logout_token=good')).status).toBe(404)
  })
})

describe('TLS', () => {
  let directory: string
  let authority: CertificateAuthority
  let client: { cert: string; key: string }
  const file = (name: string) => join(directory, name)
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'fleetgraph-tls-'))
    authority = await createCertificateAuthority(directory)
    for (const commonName of ['first', 'second']) {
      await authority.issue(commonName, { commonName, alternativeNames: ['IP:127.0.0.1'] })
    }
    client = await authority.issue('client', { commonName: 'front-proxy' })
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  const use = (name: string) => {
    copyFileSync(file(`${name}.crt`), file('server.crt'))
    copyFileSync(file(`${name}.key`), file('server.key'))
  }
  const tls = () => ({
    certificateFile: file('server.crt'),
    keyFile: file('server.key'),
    clientCaFile: file('ca.crt'),
  })
  const name = (url: string, options: object = {}) =>
    new Promise<string>((resolve, reject) => {
      httpsRequest(
        `${url}/graphql`,
        {
          ca: authority.pem,
          agent: false,
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          ...options,
        },
        (response) => {
          const { CN } = (response.socket as TLSSocket).getPeerCertificate().subject
          expect(response.headers['strict-transport-security']).toBeTruthy()
          response.resume().on('end', () => resolve(String(CN)))
        },
      )
        .on('error', reject)
        .end(BODY)
    })

  it('uses new files when they change, and keeps the old ones where they are broken', async () => {
    use('first')
    const clock = new FakeClock()
    const server = await start({ clock, options: { tls: tls() } })
    expect(server.url).toMatch(/^https:/)
    expect(await name(server.url)).toBe('first')
    writeFileSync(file('server.crt'), 'broken')
    await clock.advance(10_000)
    expect(await name(server.url)).toBe('first')
    expect(server.log.some(({ level, message }) => level === 'error' && message.includes('TLS'))).toBe(true)
    use('second')
    await clock.advance(10_000)
    expect(await name(server.url)).toBe('second')
    await server.close({ graceMs: 0 })
    expect(clock.pending).toBe(0)
  })

  it('tells the name in a certificate that was verified, and serves those without', async () => {
    use('first')
    const server = await start({ options: { tls: tls() } })
    await name(server.url)
    await name(server.url, client)
    const stranger = await createCertificateAuthority(mkdtempSync(join(directory, 'stranger-')))
    await name(server.url, await stranger.issue('x', { commonName: 'front-proxy' }))
    expect(server.access.credentials.map(({ certificateName }) => certificateName)).toEqual([
      undefined,
      'front-proxy',
      undefined,
    ])
  })

  it('believes no client of another address only for its certificate', async () => {
    use('first')
    const records: AuditRecord[] = []
    const server = await start({
      audit: { record: (record) => void records.push(record) },
      isProxy: ({ certificateName }) => certificateName === 'front-proxy',
      options: { tls: tls(), host: '::', allowOpenAccess: true },
    })
    const url = server.url.replace('[::]', '127.0.0.1')
    const headers = {
      'content-type': 'application/json',
      authorization: 'bad',
      'x-forwarded-for': '203.0.113.7',
    }
    const other = await authority.issue('other', { commonName: 'somebody' })
    for (const shown of [client, other, {}]) await name(url, { ...shown, headers })
    expect(records.map(({ remoteAddress }) => remoteAddress)).toEqual([
      '203.0.113.7',
      '::ffff:127.0.0.1',
      '::ffff:127.0.0.1',
    ])
  })

  it('of old versions is not spoken', async () => {
    use('first')
    const server = await start({ options: { tls: tls() } })
    await expect(
      name(server.url, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow()
  })

  it('does not start with files that cannot be used, and names them', async () => {
    writeFileSync(file('server.key'), 'broken')
    const setup = {
      schema: zoo,
      policy: everything,
      fleet: { clusters: [] },
      access: zooAccess(),
      logger: silent,
    }
    await expect(startServer({ ...setup, options: { port: 0, tls: tls() } })).rejects.toThrow(TlsError)
    await expect(startServer({ ...setup, options: { port: 0, tls: tls() } })).rejects.toThrow(/server\.key/)
  })
})

describe('what is recorded', () => {
  it('is who could not sign in and who asks for too much, with the id of the answer, and no honest query', async () => {
    const records: AuditRecord[] = []
    const server = await start({ audit: { record: (record) => void records.push(record) } })
    await server.ask('{ echo }', {}, { authorization: 'alice' })
    const bad = await server.ask('{ echo }', {}, { authorization: 'bad' })
    const deep = await server.ask(
      `query Deep { ${'self { '.repeat(20)} echo ${'}'.repeat(20)} }`,
      { operationName: 'Deep' },
      { authorization: 'alice' },
    )
    await server.ask('{ mistaken }', {}, { authorization: 'alice' })
    await server.ask('mutation Rename { rename(to: "x") }', {}, { authorization: 'alice' })
    expect(records).toMatchObject([
      { type: 'SIGN_IN_FAILED', user: null, correlationId: bad.headers.get('x-request-id') },
      {
        type: 'REFUSED',
        outcome: 'DENIED',
        user: { name: 'alice' },
        operationName: 'Deep',
        correlationId: deep.headers.get('x-request-id'),
      },
      { type: 'MUTATION', user: { name: 'alice' }, operationName: 'Rename' },
    ])
    expect(records[1]?.operationHash).toMatch(/^[0-9a-f]{64}$/)
    expect(records[1]?.remoteAddress).toBe('127.0.0.1')
  })
})

describe('rights that are being found out', () => {
  const alice = viewerOf({ name: 'alice', groups: [] })
  const asked = (clock: FakeClock, pendings: readonly (readonly Promise<void>[])[], records?: Records) => {
    const contexts: { readonly fleet: { readonly reads: ExecutionReads } }[] = []
    const executor = new Executor({
      schema: zoo,
      logger: silent,
      clock,
      rightsKey: () => '',
      ...(records && { records }),
    })
    const context = () => {
      const { fleet, calls } = zooContext()
      const pending = new Set(pendings[contexts.length])
      const made = {
        fleet: { reads: Object.assign(fleet.reads, { pending, denied: new Set(['prod']), privileged: [] }) },
        calls,
      }
      contexts.push(made)
      return made
    }
    const answer = (query: string) =>
      executor.answer({ query }, { viewer: alice, context, sharedContext: context })
    return { answer, contexts }
  }

  it('are waited for, and the query is answered once more with them', async () => {
    let settle = () => {}
    const pending = new Promise<void>((resolve) => (settle = resolve))
    const clock = new FakeClock()
    const { answer, contexts } = asked(clock, [[pending], []])
    const waiting = answer('{ echo }')
    await settled()
    expect(contexts).toHaveLength(1)
    settle()
    expect(String((await waiting).body)).toContain('"data"')
    expect(contexts).toHaveLength(2)
    expect(clock.pending).toBe(0)
  })

  it('are waited for a second at most, and only once', async () => {
    const never = new Promise<void>(() => {})
    const clock = new FakeClock()
    const { answer, contexts } = asked(clock, [[never], [never]])
    const waiting = answer('{ echo }')
    await clock.advance(1_000)
    expect(String((await waiting).body)).toContain('"data"')
    expect(contexts).toHaveLength(2)
  })

  it('do not make a mutation run twice, nor hold up what needs none', () => {
    const { answer, contexts } = asked(new FakeClock(), [[], [new Promise<void>(() => {})]])
    expect(answer('{ echo }')).not.toBeInstanceOf(Promise)
    expect(contexts).toHaveLength(1)
    void answer('mutation { rename(to: "x") }')
    expect(contexts).toHaveLength(2)
  })

  it('that were denied are recorded each time that the same answer is given', async () => {
    const records: AuditRecord[] = []
    const log = new Records({ record: (record) => void records.push(record) }, new FakeClock())
    const { answer, contexts } = asked(new FakeClock(), [], log)
    for (let i = 0; i < 4; i++) await answer('{ echo }')
    expect(contexts.length).toBeLessThan(4)
    expect(records).toHaveLength(4)
    expect(records[3]).toMatchObject({ type: 'DENIED', clusters: ['prod'], outcome: 'DENIED' })
  })
})
