import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JWK } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  type Authentication,
  type AuthenticationOptions,
  createAuthentication,
} from '../../../src/access/authentication/authentication.ts'
import type { OidcIssuerOptions } from '../../../src/access/authentication/oidc.ts'
import type { SignInEnd } from '../../../src/access/viewer.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { type OidcProvider, startOidcProvider } from '../../support/oidc-provider.ts'
import { createCertificateAuthority } from '../../support/test-certificates.ts'
import { bearer, NOTHING, refusal } from './support.ts'

const RESOURCE = 'https://fleetgraph.example.com'
let provider: OidcProvider
let directory: string
let clientSecretFile: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-oidc-'))
  clientSecretFile = join(directory, 'secret')
  provider = await startOidcProvider({
    users: {
      alice: {
        email: 'alice@example.com',
        email_verified: true,
        groups: ['dev', 'system:masters'],
        tenant: 'acme',
      },
      mallory: { email: 'alice@example.com', email_verified: false },
    },
  })
  await writeFile(clientSecretFile, `${provider.client.secret}\n`)
})
afterAll(async () => {
  await provider.close()
  await rm(directory, { recursive: true })
})

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

function issuerOf(issuer: string, options: Partial<OidcIssuerOptions> = {}): OidcIssuerOptions {
  return {
    issuer,
    audiences: ['fleetgraph', RESOURCE],
    algorithms: ['RS256', 'ES256'],
    clockSkewSeconds: 30,
    username: { claim: 'sub', prefix: '' },
    groups: { claim: 'groups', prefix: '' },
    extra: {},
    requiredClaims: {},
    backchannelLogout: false,
    ...options,
  }
}

function trusting(options: OidcIssuerOptions, more: Partial<AuthenticationOptions> = {}): Authentication {
  const made = createAuthentication({
    config: { ...NOTHING, oidc: [options] },
    clock: systemClock,
    client: () => undefined,
    ...more,
  })
  closing.push(() => made.close())
  return made
}

const ours = (options: Partial<OidcIssuerOptions> = {}, more: Partial<AuthenticationOptions> = {}) =>
  trusting(issuerOf(provider.issuer, options), more)

const now = () => Math.floor(Date.now() / 1000)
/** Of a token that would be good. */
const claims = (more: object = {}) => ({
  iss: provider.issuer,
  aud: 'fleetgraph',
  sub: 'alice',
  iat: now(),
  exp: now() + 600,
  ...more,
})

const part = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** Signed by hand: what no library would sign. */
function forge(header: unknown, payload: unknown, key: KeyObject): string {
  const body = `${part(header)}.${part(payload)}`
  return `${body}.${sign('sha256', Buffer.from(body), key).toString('base64url')}`
}
const ownKey = () => createPrivateKey({ key: provider.keys[0] as Record<string, unknown>, format: 'jwk' })
const ownHeader = (more: object = {}) => ({ alg: 'RS256', kid: provider.keys[0]!.kid, ...more })

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}
/** A server that answers as it is told, and how often it was asked. */
async function serve(answer: RequestListener): Promise<{ url: string; asked: () => number }> {
  let count = 0
  const server = createServer((request, response) => {
    count++
    answer(request, response)
  })
  return { url: `http://127.0.0.1:${await listen(server)}`, asked: () => count }
}

describe('a person who has signed in at a provider', () => {
  it('is known by an ID token', async () => {
    const { idToken } = await provider.login('alice')
    const made = ours({
      username: { claim: 'email', prefix: 'oidc:' },
      groups: { claim: 'groups', prefix: '' },
      uidClaim: 'sub',
      extra: { 'Example.com/Tenant': 'tenant', 'example.com/none': 'nothing' },
      requiredClaims: { tenant: 'acme', email_verified: 'true' },
    })
    const viewer = await made.authenticate(bearer(idToken))
    expect(viewer).toEqual({
      // A provider makes nobody a master of a cluster.
      user: {
        name: 'oidc:alice@example.com',
        groups: ['dev', 'system:authenticated'],
        uid: 'alice',
        extra: { 'example.com/tenant': ['acme'] },
      },
      method: 'OIDC',
      issuer: provider.issuer,
      expiresAt: expect.any(Number),
      token: idToken,
      clusters: null,
      operations: null,
    })
    expect(viewer.expiresAt).toBeGreaterThan(Date.now() + 3_500_000)
    expect(made.authenticate(bearer(idToken))).toBe(viewer)
  })

  it('is known by a JWT access token for us', async () => {
    const { accessToken } = await provider.login('alice', { resource: RESOURCE })
    expect(await ours({ audiences: [RESOURCE] }).authenticate(bearer(accessToken))).toMatchObject({
      user: { name: 'alice', groups: ['dev', 'system:authenticated'] },
    })
    const other = await provider.login('alice', { resource: 'https://other.example.com' })
    expect(await refusal(() => ours().authenticate(bearer(other.accessToken)), other.accessToken)).toEqual({
      code: 'UNAUTHENTICATED',
      message: 'The token is for another service.',
    })
  })

  it('is known by an opaque token where the provider may be asked, until it is revoked', async () => {
    const { accessToken } = await provider.login('alice')
    expect(await refusal(() => ours().authenticate(bearer(accessToken)), accessToken)).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
    const introspection = { clientId: provider.client.id, clientSecretFile, cacheSeconds: 0 }
    const made = ours({ introspection })
    const viewer = await made.authenticate(bearer(accessToken))
    expect(viewer).toMatchObject({ user: { name: 'alice', groups: ['dev', 'system:authenticated'] } })
    expect(viewer.expiresAt).toBeGreaterThan(Date.now() + 3_500_000)
    expect(await made.authenticate(bearer(accessToken))).toBe(viewer)
    await provider.revoke(accessToken)
    for (let i = 0; i < 2; i++) {
      expect(await refusal(() => made.authenticate(bearer(accessToken)), accessToken)).toEqual({
        code: 'UNAUTHENTICATED',
        message: 'The token holds no more. Sign in again.',
      })
    }
  })

  it('is signed out of an open stream when the opaque token is revoked', async () => {
    const { accessToken } = await provider.login('alice')
    const clock = new FakeClock(Date.now())
    const introspection = { clientId: provider.client.id, clientSecretFile, cacheSeconds: 10 }
    const made = ours({ introspection }, { clock })
    const viewer = await made.authenticate(bearer(accessToken))
    const end = new Promise<SignInEnd>((resolve) => made.onEnd(viewer, resolve))
    await provider.revoke(accessToken)
    expect(made.authenticate(bearer(accessToken))).toBe(viewer)
    await clock.advance(10_000)
    expect(await end).toMatchObject({ code: 'REVOKED' })
  })

  it('is nobody where the address is not verified', async () => {
    const { idToken } = await provider.login('mallory')
    const made = ours({ username: { claim: 'email', prefix: '' } })
    expect(await refusal(() => made.authenticate(bearer(idToken)), idToken)).toEqual({
      code: 'UNAUTHENTICATED',
      message: 'The e-mail address of this user is not verified.',
    })
  })
})

describe('a token that is no good', () => {
  const NOT_ACCEPTED = 'The token is not accepted here. Sign in again.'
  const KIND = 'The token is of a kind that is not meant to sign in with.'
  const BOUND = 'The token is bound to a key, and is no bearer token.'
  const TIMES = 'The token is not valid yet. Check the clocks.'
  const LIST = 'A claim of the token is neither a string nor a list of them.'
  const attacker = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const attackerJwk = attacker.publicKey.export({ format: 'jwk' })
  const hmac = (secret: string | Buffer, kid = provider.keys[0]!.kid) => {
    const body = `${part({ alg: 'HS256', kid })}.${part(claims())}`
    return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`
  }
  const publicKey = () => createPublicKey(ownKey())

  const cases: readonly (readonly [string, () => string | Promise<string>, string])[] = [
    [
      'has expired',
      () => provider.sign(claims({ exp: now() - 31 })),
      'The token has expired. Sign in again.',
    ],
    [
      'has just expired, within the skew of clocks',
      () => provider.sign(claims({ exp: now() - 1 })),
      'The sign-in has expired. Sign in again.',
    ],
    ['does not say when it ends', () => provider.sign(claims({ exp: undefined })), NOT_ACCEPTED],
    ['ends at no number', () => provider.sign(claims({ exp: '9999999999' })), NOT_ACCEPTED],
    ['is not valid yet', () => provider.sign(claims({ nbf: now() + 60 })), TIMES],
    ['was issued in the future', () => provider.sign(claims({ iat: now() + 60 })), TIMES],
    ['is for others', () => provider.sign(claims({ aud: 'other' })), 'The token is for another service.'],
    [
      'is for many others',
      () => provider.sign(claims({ aud: ['a', 'fleetgraph2'] })),
      'The token is for another service.',
    ],
    ['is for nobody', () => provider.sign(claims({ aud: undefined })), 'The token is for another service.'],
    [
      'has no subject',
      () => provider.sign(claims({ sub: undefined })),
      'The token names no user: the claim for it is missing.',
    ],
    [
      'has an odd subject',
      () => provider.sign(claims({ sub: { name: 'alice' } })),
      'A claim of the token is not a string.',
    ],
    [
      'has a line end in its subject',
      () => provider.sign(claims({ sub: 'alice\r\nX: y' })),
      'The name or a group of the user is empty, or holds characters that Kubernetes does not take.',
    ],
    ['has odd groups', () => provider.sign(claims({ groups: { admin: true } })), LIST],
    ['has odd groups in a list', () => provider.sign(claims({ groups: ['a', 1] })), LIST],
    [
      'is of Kubernetes itself',
      () => provider.sign(claims({ sub: 'system:admin' })),
      'User names that begin with "system:" are of the clusters alone. Sign in as somebody else.',
    ],
    ['is bound to a key', () => provider.sign(claims({ cnf: { jkt: 'x' } })), BOUND],
    ['is a logout token', () => provider.sign(claims({ events: {} }), { typ: 'JWT' }), KIND],
    ['is of another type', () => provider.sign(claims(), { typ: 'logout+jwt' }), KIND],
    ['is of an odd type', () => provider.sign(claims(), { typ: 7 }), KIND],
    ['is signed with nothing', () => `${part({ alg: 'none' })}.${part(claims())}.`, NOT_ACCEPTED],
    [
      'is signed with nothing, in capitals',
      () => `${part(ownHeader({ alg: 'NONE' }))}.${part(claims())}.x`,
      NOT_ACCEPTED,
    ],
    [
      'is signed with the public key as a secret (PEM)',
      () => hmac(publicKey().export({ type: 'spki', format: 'pem' })),
      NOT_ACCEPTED,
    ],
    [
      'is signed with the public key as a secret (DER)',
      () => hmac(publicKey().export({ type: 'spki', format: 'der' })),
      NOT_ACCEPTED,
    ],
    [
      'is signed with the modulus as a secret',
      () => hmac(Buffer.from(provider.keys[0]!.n!, 'base64url')),
      NOT_ACCEPTED,
    ],
    ['is signed with an empty secret', () => hmac(''), NOT_ACCEPTED],
    [
      'is signed by another algorithm than the configured',
      () => forge(ownHeader({ alg: 'RS512' }), claims(), ownKey()),
      NOT_ACCEPTED,
    ],
    ['is signed by somebody else', () => forge(ownHeader(), claims(), attacker.privateKey), NOT_ACCEPTED],
    [
      'is signed by somebody else, without a key',
      () => forge({ alg: 'RS256' }, claims(), attacker.privateKey),
      NOT_ACCEPTED,
    ],
    [
      'brings its key along',
      () => forge(ownHeader({ jwk: attackerJwk }), claims(), attacker.privateKey),
      NOT_ACCEPTED,
    ],
    [
      'brings its key along, with its name',
      () =>
        forge(
          { alg: 'RS256', kid: 'mine', jwk: { ...attackerJwk, kid: 'mine' } },
          claims(),
          attacker.privateKey,
        ),
      NOT_ACCEPTED,
    ],
    [
      'brings a certificate along',
      () => forge(ownHeader({ x5c: ['MIIB'] }), claims(), attacker.privateKey),
      NOT_ACCEPTED,
    ],
    [
      'demands an extension',
      () => forge(ownHeader({ crit: ['exp'], exp: 1 }), claims(), ownKey()),
      NOT_ACCEPTED,
    ],
    [
      'demands an unencoded payload',
      () => forge(ownHeader({ crit: ['b64'], b64: false }), claims(), ownKey()),
      NOT_ACCEPTED,
    ],
    [
      'has a claim twice',
      () => forge(ownHeader(), JSON.stringify(claims()).replace('{', '{"sub":"bob",'), ownKey()),
      'The token is malformed. Sign in again.',
    ],
    [
      'has its issuer twice',
      () => forge(ownHeader(), JSON.stringify(claims()).replace('{', '{"iss":"x",'), ownKey()),
      'The token is malformed. Sign in again.',
    ],
    [
      'has its algorithm twice',
      () => forge(JSON.stringify(ownHeader()).replace('{', '{"alg":"none",'), claims(), ownKey()),
      'The token is malformed. Sign in again.',
    ],
    ['has no claims', () => forge(ownHeader(), '[]', ownKey()), 'The token is malformed. Sign in again.'],
    [
      'was altered',
      async () => (await provider.sign(claims())).replace(/\.([^.]+)\./, `.${part(claims({ sub: 'bob' }))}.`),
      NOT_ACCEPTED,
    ],
    ['lost its signature', async () => (await provider.sign(claims())).replace(/[^.]+$/, ''), NOT_ACCEPTED],
    ['was cut off', async () => (await provider.sign(claims())).slice(0, -10), NOT_ACCEPTED],
    [
      'is too long',
      () => provider.sign(claims({ pad: 'x'.repeat(16 * 1024) })),
      'The token is too long. Send one token.',
    ],
    [
      'has an odd name of a key',
      () => forge(ownHeader({ kid: '../../../../dev/null' }), claims(), attacker.privateKey),
      NOT_ACCEPTED,
    ],
    [
      'has a name of a key that everything has',
      () => forge(ownHeader({ kid: '__proto__' }), claims(), ownKey()),
      NOT_ACCEPTED,
    ],
    ['has a number for a key', () => forge(ownHeader({ kid: 0 }), claims(), ownKey()), NOT_ACCEPTED],
  ]

  // One gateway for all, as they would come: what one did must not help the next.
  let made: Authentication
  beforeAll(() => {
    made = createAuthentication({
      config: { ...NOTHING, oidc: [issuerOf(provider.issuer)] },
      clock: systemClock,
      client: () => undefined,
    })
  })
  afterAll(() => made.close())

  it.each(cases)('is refused where it %s', async (_name, make, message) => {
    const token = await make()
    expect(await refusal(() => made.authenticate(bearer(token)), token)).toEqual({
      code: 'UNAUTHENTICATED',
      message,
    })
  })

  it('is good otherwise, so that it was not refused for something else', async () => {
    for (const more of [
      {},
      { nbf: now() + 20 },
      { iat: now() + 20 },
      { aud: ['a', 'fleetgraph'] },
      { iat: undefined },
    ]) {
      const token = await provider.sign(claims(more))
      expect(await made.authenticate(bearer(token))).toMatchObject({ user: { name: 'alice' } })
    }
    for (const header of [
      { typ: 'JWT' },
      { typ: 'at+jwt' },
      { typ: 'application/AT+JWT' },
      { kid: undefined },
    ]) {
      const token = forge(ownHeader(header), claims(), ownKey())
      expect(await made.authenticate(bearer(token))).toMatchObject({ user: { name: 'alice' } })
    }
  })

  it('is refused where it lacks a claim that is required', async () => {
    const strict = ours({ requiredClaims: { hd: 'example.com' } })
    for (const more of [{}, { hd: 'example.org' }, { hd: ['example.com'] }, { hd: null }]) {
      const token = await provider.sign(claims(more))
      expect(await refusal(() => strict.authenticate(bearer(token)), token)).toEqual({
        code: 'UNAUTHENTICATED',
        message: 'The token lacks a claim that is required here.',
      })
    }
    const inherited = ours({ username: { claim: 'constructor', prefix: '' } })
    const token = await provider.sign(claims())
    expect(await refusal(() => inherited.authenticate(bearer(token)), token)).toMatchObject({
      message: 'The token names no user: the claim for it is missing.',
    })
  })

  it('cannot make us fetch anything', async () => {
    const server = await serve((_request, response) => response.end(JSON.stringify({ keys: [attackerJwk] })))
    for (const header of [{ jku: server.url }, { x5u: server.url }, { jku: server.url, kid: server.url }]) {
      const token = forge({ alg: 'RS256', ...header }, claims(), attacker.privateKey)
      expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
        code: 'UNAUTHENTICATED',
      })
    }
    expect(server.asked()).toBe(0)
  })
})

describe('the keys of a provider', () => {
  const jwks = (of: OidcProvider) => of.requests.get('/jwks') ?? 0

  it('may rotate without a restart here, and what is withdrawn ends its sign-ins', async () => {
    const rotating = await startOidcProvider({ users: { alice: {} } })
    closing.push(() => rotating.close())
    const made = trusting(issuerOf(rotating.issuer), { keyCooldownMs: 0 })
    const { idToken: first } = await rotating.login('alice')
    const viewer = await made.authenticate(bearer(first))

    await rotating.rotate()
    const { idToken: second } = await rotating.login('alice')
    await made.authenticate(bearer(second))
    expect(made.authenticate(bearer(first))).toBe(viewer)

    await rotating.rotate({ keepOld: false })
    const end = new Promise<SignInEnd>((resolve) => made.onEnd(viewer, resolve))
    const { idToken: third } = await rotating.login('alice')
    await made.authenticate(bearer(third))
    expect(await end).toMatchObject({ code: 'REVOKED' })
    expect(await refusal(() => made.authenticate(bearer(first)), first)).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
  })

  it('are looked at every ten minutes, so that one that is withdrawn ends its sign-ins', async () => {
    const rotating = await startOidcProvider({ users: { alice: {} } })
    closing.push(() => rotating.close())
    const clock = new FakeClock(Date.now())
    const made = trusting(issuerOf(rotating.issuer), { clock })
    const viewer = await made.authenticate(bearer((await rotating.login('alice')).idToken))
    const end = new Promise<SignInEnd>((resolve) => made.onEnd(viewer, resolve))
    await rotating.rotate({ keepOld: false })
    await clock.advance(10 * 60_000)
    expect(await end).toMatchObject({ code: 'REVOKED' })
  })

  it('are known on while it is away, for a day; a token with a key that is not known has to wait', async () => {
    const leaving = await startOidcProvider({ users: { alice: {} } })
    closing.push(() => leaving.close())
    const clock = new FakeClock(Date.now())
    const onProblem = vi.fn<(problem: string, error: unknown) => void>()
    const made = trusting(issuerOf(leaving.issuer), { clock, onProblem })
    const of = (more: object) => ({
      iss: leaving.issuer,
      aud: 'fleetgraph',
      sub: 'alice',
      exp: now() + 200_000,
      ...more,
    })
    await made.authenticate(bearer(await leaving.sign(of({ jti: '1' }))))
    await leaving.stop()
    await clock.advance(23 * 3_600_000)
    expect(await made.authenticate(bearer(await leaving.sign(of({ jti: '2' }))))).toBeDefined()
    const unknown = await leaving.sign(of({ jti: '3' }), { kid: 'new' })
    expect(await refusal(() => made.authenticate(bearer(unknown)), unknown)).toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(onProblem.mock.calls[0]?.[0]).toContain(`OpenID provider ${leaving.issuer}: no answer from`)
    await clock.advance(3_600_001)
    const late = await leaving.sign(of({ jti: '4' }))
    expect(await refusal(() => made.authenticate(bearer(late)), late)).toMatchObject({ code: 'UNAVAILABLE' })
    await leaving.start()
    await clock.advance(2_000)
    expect(await made.authenticate(bearer(late))).toBeDefined()
  })

  it('are asked for once in a while, however many tokens name others', async () => {
    const made = ours()
    await made.authenticate(bearer(await provider.sign(claims({ jti: 'first' }))))
    const before = jwks(provider)
    for (let i = 0; i < 50; i++) {
      const token = await provider.sign(claims({ jti: `${i}` }), { kid: `unknown-${i}` })
      expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
        code: 'UNAUTHENTICATED',
      })
    }
    expect(jwks(provider)).toBe(before)
  })

  it('are asked for at the start, so that the first who signs in need not wait', async () => {
    const before = jwks(provider)
    ours()
    await vi.waitFor(() => expect(jwks(provider)).toBe(before + 1))
  })

  /** A provider that answers with what it is told. */
  async function odd(answers: { keys?: unknown; document?: object; status?: number }) {
    const server = await serve((request, response) => {
      response.statusCode = answers.status ?? 200
      if (answers.status === 302) response.setHeader('location', `${provider.issuer}/jwks`)
      const document = { issuer: server.url, jwks_uri: `${server.url}/keys`, ...answers.document }
      response.end(JSON.stringify(request.url === '/keys' ? answers.keys : document))
    })
    const onProblem = vi.fn<(problem: string, error: unknown) => void>()
    const made = trusting(issuerOf(server.url), { onProblem, keyCooldownMs: 0 })
    const signed = (header: object, key = ownKey()) => forge(header, claims({ iss: server.url }), key)
    return { made, signed, problem: () => onProblem.mock.calls.at(-1)?.[0] }
  }

  it.each([
    ['of another issuer', { document: { issuer: 'https://id.example.com' } }, 'of another issuer'],
    ['without keys', { document: { jwks_uri: undefined } }, 'has no jwks_uri'],
    [
      'with keys over plain HTTP',
      { document: { jwks_uri: 'http://keys.example.com/' } },
      'its jwks_uri is not https://',
    ],
    ['with keys in a file', { document: { jwks_uri: 'file:///etc/passwd' } }, 'its jwks_uri is not https://'],
    ['that redirects', { status: 302 }, 'answered with HTTP 302'],
    ['that fails', { status: 500 }, 'answered with HTTP 500'],
    ['whose keys are none', { keys: 'keys' }, 'no JSON Web Key Set'],
    ['whose answer is endless', { keys: { keys: ['x'.repeat(1024 * 1024)] } }, 'more than 1048576 bytes'],
  ])('are not taken from one %s', async (_name, answers, why) => {
    const { made, signed, problem } = await odd(answers)
    const token = signed(ownHeader())
    expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(problem()).toContain(why)
  })

  it('are public keys for signatures: none that are secret, or for something else, count', async () => {
    const { d: _d, ...publicPart } = provider.keys[0]!
    const secret = Buffer.from('0123456789abcdef0123456789abcdef')
    const { made, signed } = await odd({
      keys: {
        keys: [
          { kty: 'oct', k: secret.toString('base64url'), kid: 'oct' },
          { ...provider.keys[0], kid: 'private' },
          { ...publicPart, kid: 'encrypts', use: 'enc' },
          { ...publicPart, kid: 'other', alg: 'RS512' },
          null,
        ],
      },
    })
    for (const kid of ['oct', 'private', 'encrypts', 'other']) {
      const token = signed(ownHeader({ kid }))
      expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
        code: 'UNAUTHENTICATED',
      })
    }
  })

  it('are tried one after the other where the token names none, or a name is given twice', async () => {
    const [a, b] = [0, 1].map(() => generateKeyPairSync('rsa', { modulusLength: 2048 }))
    const jwk = (key: KeyObject, kid: string): JWK => ({ ...(key.export({ format: 'jwk' }) as JWK), kid })
    const { made, signed } = await odd({
      keys: { keys: [jwk(a!.publicKey, 'one'), jwk(b!.publicKey, 'one')] },
    })
    for (const header of [{ alg: 'RS256' }, { alg: 'RS256', kid: 'one' }]) {
      for (const { privateKey } of [a!, b!]) {
        expect(await made.authenticate(bearer(signed(header, privateKey)))).toBeDefined()
      }
      const token = signed(header)
      expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
        code: 'UNAUTHENTICATED',
      })
    }
  })

  it('may be replaced under the same name', async () => {
    const [a, b] = [0, 1].map(() => generateKeyPairSync('rsa', { modulusLength: 2048 }))
    const jwk = (key: KeyObject): JWK => ({ ...(key.export({ format: 'jwk' }) as JWK), kid: 'same' })
    const answers = { keys: { keys: [jwk(a!.publicKey)] } }
    const { made, signed } = await odd(answers)
    await made.authenticate(bearer(signed({ alg: 'RS256', kid: 'same' }, a!.privateKey)))
    answers.keys = { keys: [jwk(b!.publicKey)] }
    expect(
      await made.authenticate(bearer(signed({ alg: 'RS256', kid: 'same' }, b!.privateKey))),
    ).toBeDefined()
  })

  it.each([
    ['names none', { alg: 'RS256' }],
    ['names one that stands there twice', { alg: 'RS256', kid: 'one' }],
  ])('end the sign-ins of a token that %s when the key that signed it is withdrawn', async (_, header) => {
    const [a, b] = [0, 1].map(() => generateKeyPairSync('rsa', { modulusLength: 2048 }))
    const jwk = (key: KeyObject): JWK => ({ ...(key.export({ format: 'jwk' }) as JWK), kid: 'one' })
    const answers = { keys: { keys: [jwk(a!.publicKey), jwk(b!.publicKey)] } }
    const { made, signed } = await odd(answers)
    const token = signed(header, a!.privateKey)
    const other = await made.authenticate(bearer(signed(header, b!.privateKey)))
    const viewer = await made.authenticate(bearer(token))
    const ends: string[] = []
    made.onEnd(other, () => ends.push('other'))
    const end = new Promise<SignInEnd>((resolve) => made.onEnd(viewer, resolve))
    answers.keys = { keys: [jwk(b!.publicKey)] }
    await refusal(() => made.authenticate(bearer(signed({ alg: 'RS256', kid: 'makes us look' }))))
    expect(await end).toMatchObject({ code: 'REVOKED' })
    expect(ends).toEqual([])
    expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
  })

  it('come over TLS from whom the CA file vouches for, and from nobody else', async () => {
    const authority = await createCertificateAuthority(directory)
    const certificate = await authority.issue('id', { commonName: 'id', alternativeNames: ['IP:127.0.0.1'] })
    const server = createTlsServer(certificate, (request, response) => {
      const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...key } = provider.keys[0]!
      const document = { issuer: 'https://id.example.com', jwks_uri: `${url}/keys` }
      response.end(JSON.stringify(request.url === '/keys' ? { keys: [key] } : document))
    })
    const url = `https://127.0.0.1:${await listen(server)}`
    const token = await provider.sign(claims({ iss: 'https://id.example.com' }))
    const options = issuerOf('https://id.example.com', { discoveryUrl: `${url}/elsewhere` })
    expect(await refusal(() => trusting(options).authenticate(bearer(token)), token)).toMatchObject({
      code: 'UNAVAILABLE',
    })
    const trustingIt = trusting({ ...options, caFile: join(directory, 'ca.crt') })
    expect(await trustingIt.authenticate(bearer(token))).toMatchObject({ issuer: 'https://id.example.com' })
  })
})

describe('a provider that is asked whether a token holds', () => {
  async function asking(answer: () => { readonly status?: number; readonly body: unknown }) {
    const bodies: string[] = []
    const server = await serve((request, response) => {
      let text = ''
      request.on('data', (chunk: Buffer) => (text += chunk.toString()))
      request.on('end', () => {
        bodies.push(text)
        const { status = 200, body } = answer()
        response.writeHead(status).end(JSON.stringify(body))
      })
    })
    const clock = new FakeClock(Date.now())
    const introspection = { url: server.url, clientId: 'gateway', clientSecretFile, cacheSeconds: 10 }
    const onProblem = vi.fn<(problem: string, error: unknown) => void>()
    const made = ours({ introspection }, { clock, onProblem })
    return { made, clock, bodies, onProblem }
  }

  it('is asked about JWTs as well, after their signature was found good', async () => {
    let active = true
    const { made, clock, bodies } = await asking(() => ({ body: { active } }))
    const bad = forge(
      { alg: 'RS256' },
      claims(),
      generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    )
    await refusal(() => made.authenticate(bearer(bad)), bad)
    expect(bodies).toEqual([])
    const token = await provider.sign(claims())
    const viewer = await made.authenticate(bearer(token))
    expect(bodies).toEqual([`token=${token}&token_type_hint=access_token`])
    await clock.advance(10_000)
    expect(await made.authenticate(bearer(token))).toBe(viewer)
    active = false
    await clock.advance(10_000)
    expect(await refusal(() => made.authenticate(bearer(token)), token)).toEqual({
      code: 'UNAUTHENTICATED',
      message: 'The token holds no more. Sign in again.',
    })
  })

  it.each([
    ['of another issuer', { iss: 'https://id.example.com' }],
    ['for another service', { aud: 'other' }],
    ['of another client, for no service', { aud: undefined, client_id: 'other' }],
    ['bound to a key', { token_type: 'DPoP' }],
    ['bound to a certificate', { cnf: { 'x5t#S256': 'x' } }],
    ['not valid yet', { nbf: now() + 3_600 }],
    ['expired', { exp: now() - 1 }],
    ['of Kubernetes itself', { sub: 'system:admin' }],
    ['active as a word', { active: 'true' }],
  ])('refuses an opaque token that is %s', async (_name, more) => {
    const good = { active: true, sub: 'alice', aud: 'fleetgraph', token_type: 'Bearer' }
    const { made } = await asking(() => ({ body: { ...good, ...more } }))
    const { code } = await refusal(() => made.authenticate(bearer('an-opaque-token')), 'an-opaque-token')
    expect(code).toBe('active' in more ? 'UNAVAILABLE' : 'UNAUTHENTICATED')
    const fine = await asking(() => ({ body: good }))
    expect(await fine.made.authenticate(bearer('an-opaque-token'))).toMatchObject({ user: { name: 'alice' } })
  })

  it('is unavailable where it does not take our secret, and we are told', async () => {
    const { made, onProblem } = await asking(() => ({ status: 401, body: { error: 'invalid_client' } }))
    expect(await refusal(() => made.authenticate(bearer('opaque-token')), 'opaque-token')).toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(onProblem.mock.lastCall?.[0]).toBe(
      `OpenID provider ${provider.issuer}: introspection is answered with HTTP 401: check authentication.oidc introspection.clientId and clientSecretFile.`,
    )
  })
})

describe('the configuration of a provider', () => {
  it.each([
    [
      'HS256',
      { algorithms: ['RS256', 'HS256'] },
      'algorithms: "HS256" is not taken: anybody could sign with it',
    ],
    ['none', { algorithms: ['none'] }, 'algorithms: "none" is not taken'],
    ['an unknown algorithm', { algorithms: ['RS1'] }, 'algorithms: "RS1" is not taken: it is not known'],
    ['no algorithm', { algorithms: [] }, 'algorithms is empty'],
    ['no audience', { audiences: [] }, 'audiences is empty'],
    ['plain HTTP', { issuer: 'http://id.example.com' }, 'issuer has to be https://'],
    [
      'a discovery over plain HTTP',
      { discoveryUrl: 'http://id.example.com' },
      'discoveryUrl has to be https://',
    ],
    ['no CA file', { caFile: '/nowhere/ca.crt' }, 'caFile /nowhere/ca.crt cannot be read (ENOENT)'],
    [
      'no secret, sent over plain HTTP',
      {
        introspection: {
          url: 'http://id.example.com',
          clientId: 'x',
          clientSecretFile: '/nowhere',
          cacheSeconds: 1,
        },
      },
      'introspection.url has to be https://',
    ],
  ] as const)('is refused with %s', (_name, options, why) => {
    expect(() => ours(options)).toThrow(why)
  })
})
