import * as fc from 'fast-check'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import {
  type Authentication,
  type AuthenticationConfig,
  type AuthenticationOptions,
  createAuthentication,
} from '../../../src/access/authentication/authentication.ts'
import { AuthenticationError } from '../../../src/access/authentication/authenticator.ts'
import { viewerOf } from '../../../src/access/viewer.ts'
import type { ApiClient, ApiRequest } from '../../../src/kubernetes/client.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { ADMIN, tokenFor, writeTokens } from '../../support/test-tokens.ts'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bearer, NOTHING, refusal, request } from './support.ts'

const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-authentication-'))
const tokensFile = join(directory, 'tokens.yaml')
const BOT = tokenFor({ user: 'bot' })
writeTokens(tokensFile, [ADMIN, BOT])

const open: Authentication[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})
afterAll(() => rmSync(directory, { recursive: true }))

function authentication(config: Partial<AuthenticationConfig>, more: Partial<AuthenticationOptions> = {}) {
  const made = createAuthentication({
    config: { ...NOTHING, ...config },
    clock: new FakeClock(),
    client: () => undefined,
    ...more,
  })
  open.push(made)
  return made
}

const PROXY = {
  addresses: ['10.1.0.0/16'],
  certificateNames: [],
  userHeader: 'X-Remote-User',
  uidHeader: 'X-Remote-Uid',
  groupHeader: 'X-Remote-Group',
  extraHeaderPrefix: 'X-Remote-Extra-',
}
const viaProxy = { remoteAddress: '10.1.2.3' }
const ANONYMOUS = viewerOf({ name: 'system:anonymous', groups: ['system:unauthenticated'] })

/** A cluster that knows some tokens, and remembers which it was shown. */
function cluster(known: Readonly<Record<string, string>>) {
  const shown: string[] = []
  const json = vi.fn((asked: ApiRequest) => {
    const { token } = (asked.body as { spec: { token: string } }).spec
    shown.push(token)
    const username = Object.hasOwn(known, token) ? known[token] : undefined
    return Promise.resolve({ status: username ? { authenticated: true, user: { username } } : {} })
  })
  return { shown, client: { json } as unknown as ApiClient }
}
const review = (name: string, issuer?: string) => ({
  cluster: name,
  issuer,
  audiences: [],
  cacheSeconds: 10,
  holdsIn: 'cluster' as const,
})

const jwt = (claims: object, header: object = { alg: 'RS256' }) =>
  `${[header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.c2lnbmF0dXJl`

describe('where a token is looked for', () => {
  const all = () => authentication({ tokensFile, cookie: 'session' })

  it('is the Authorization header', () => {
    const made = all()
    for (const line of [`Bearer ${BOT.token}`, `bearer ${BOT.token}`, `BEARER   ${BOT.token}`]) {
      expect(made.authenticate(request([['authorization', line]]))).toMatchObject({ user: { name: 'bot' } })
    }
  })

  it('is what a WebSocket began with', () => {
    const made = all()
    for (const connectionParams of [
      { authorization: `Bearer ${BOT.token}` },
      { Authorization: `Bearer ${BOT.token}` },
      { token: BOT.token },
      { token: BOT.token, authorization: null, Authorization: `bearer ${BOT.token}`, other: 1 },
    ]) {
      expect(made.authenticate(request([], { connectionParams }))).toMatchObject({ user: { name: 'bot' } })
    }
  })

  it('is the cookie, where one is configured, and only then', async () => {
    const cookie = request([['Cookie', `a=b; session=${BOT.token}; c="d"`]])
    expect(all().authenticate(cookie)).toMatchObject({ user: { name: 'bot' } })
    expect(all().authenticate(request([['Cookie', `session="${BOT.token}"`]]))).toBeDefined()
    expect(await refusal(() => authentication({ tokensFile }).authenticate(cookie))).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
  })

  it('may be several places that hold the same one', () => {
    const credentials = request(
      [
        ['Authorization', `Bearer ${BOT.token}`],
        ['Cookie', `session=${BOT.token}`],
      ],
      { connectionParams: { token: BOT.token } },
    )
    expect(all().authenticate(credentials)).toMatchObject({ user: { name: 'bot' } })
  })

  it.each([
    [
      'two headers',
      request([
        ['Authorization', `Bearer ${BOT.token}`],
        ['AUTHORIZATION', `Bearer ${BOT.token}`],
      ]),
    ],
    [
      'a header and a cookie',
      request([
        ['Authorization', `Bearer ${BOT.token}`],
        ['Cookie', `session=${ADMIN.token}`],
      ]),
    ],
    ['two cookies', request([['Cookie', `session=${BOT.token}; session=${ADMIN.token}`]])],
    [
      'a header and a beginning',
      request([['Authorization', `Bearer ${BOT.token}`]], { connectionParams: { token: ADMIN.token } }),
    ],
    [
      'two of a beginning',
      request([], { connectionParams: { token: BOT.token, authorization: `Bearer ${ADMIN.token}` } }),
    ],
  ])('is refused where there is more than one: %s', async (_name, credentials) => {
    const { code, message } = await refusal(() => all().authenticate(credentials), BOT.token)
    expect(code).toBe('UNAUTHENTICATED')
    expect(message).toMatch(/more than one|several/)
  })

  it.each([
    ['another scheme', request([['Authorization', 'Basic YTpi']])],
    ['no token', request([['Authorization', 'Bearer ']])],
    ['an empty header', request([['Authorization', '']])],
    ['two words', request([['Authorization', `Bearer ${BOT.token} x`]])],
    ['odd characters', request([['Authorization', 'Bearer tök€n']])],
    ['no string', request([], { connectionParams: { token: { toString: () => BOT.token } } })],
    ['a scheme in a beginning', request([], { connectionParams: { authorization: BOT.token } })],
    ['too many bytes', request([], { connectionParams: { token: 'x'.repeat(16 * 1024 + 1) } })],
  ])('is refused where it cannot be read: %s', async (_name, credentials) => {
    const made = authentication({ tokensFile }, { anonymous: ANONYMOUS })
    expect(await refusal(() => made.authenticate(credentials), BOT.token)).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
  })

  it('is no property that everything has', () => {
    const made = authentication({}, { anonymous: ANONYMOUS })
    const connectionParams = Object.create({ token: 'inherited' }) as Record<string, unknown>
    expect(made.authenticate(request([], { connectionParams }))).toBe(ANONYMOUS)
  })
})

describe('who shows no token', () => {
  it('is refused, unless a viewer was given for it', async () => {
    expect(await refusal(() => authentication({}).authenticate(request([])))).toEqual({
      code: 'UNAUTHENTICATED',
      message: 'Sign in: send a token in the header Authorization: Bearer <token>.',
    })
    expect(authentication({}, { anonymous: ANONYMOUS }).authenticate(request([]))).toBe(ANONYMOUS)
  })

  it('is whom a trusted proxy names, and otherwise as if the headers were not there', async () => {
    const made = authentication({ proxies: [PROXY] })
    const lines = [['X-Remote-User', 'alice']] as const
    expect(made.authenticate(request(lines, viaProxy))).toMatchObject({
      user: { name: 'alice' },
      method: 'PROXY',
    })
    expect(await refusal(() => made.authenticate(request(lines)))).toMatchObject({ code: 'UNAUTHENTICATED' })
    const demo = authentication({ proxies: [PROXY] }, { anonymous: ANONYMOUS })
    expect(demo.authenticate(request(lines))).toBe(ANONYMOUS)
  })
})

describe('a token that is no good', () => {
  it('is refused, whatever a proxy says, and where anybody may be anonymous', async () => {
    const made = authentication({ tokensFile, proxies: [PROXY] }, { anonymous: ANONYMOUS })
    const stranger = tokenFor({ user: 'x' }).token
    const credentials = request(
      [
        ['X-Remote-User', 'alice'],
        ['Authorization', `Bearer ${stranger}`],
      ],
      viaProxy,
    )
    expect(await refusal(() => made.authenticate(credentials), stranger)).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
    expect(
      await refusal(() => authentication({}, { anonymous: ANONYMOUS }).authenticate(bearer('opaque'))),
    ).toEqual({
      code: 'UNAUTHENTICATED',
      message: 'The token is not accepted here. Sign in again.',
    })
  })

  it('does not stand in the way of a proxy where it is good', () => {
    const made = authentication({ tokensFile, proxies: [PROXY] })
    const lines = [
      ['X-Remote-User', 'alice'],
      ['Authorization', `Bearer ${BOT.token}`],
    ] as const
    expect(made.authenticate(request(lines, viaProxy))).toMatchObject({ user: { name: 'bot' } })
  })
})

describe('who is asked about a token', () => {
  const issuer = (url: string) => ({
    issuer: url,
    audiences: ['fleetgraph'],
    algorithms: ['RS256'],
    clockSkewSeconds: 30,
    username: { claim: 'sub', prefix: '' },
    extra: {},
    requiredClaims: {},
    backchannelLogout: false,
  })
  // Nothing listens there.
  const OURS = 'http://127.0.0.1:1'

  it('is nobody but the issuer that it names, where that is configured', async () => {
    const any = cluster({})
    const made = authentication(
      { oidc: [issuer(OURS)], tokenReviews: [review('any')] },
      { client: () => any.client },
    )
    const token = jwt({ iss: OURS, sub: 'alice' })
    expect(await refusal(() => made.authenticate(bearer(token)), token)).toEqual({
      code: 'UNAVAILABLE',
      message: 'The issuer of this token does not answer. Try again later.',
    })
    expect(any.shown).toEqual([])
  })

  it('is a cluster for JWTs of its issuer, and those without one for all others', async () => {
    const [tools, any] = [cluster({}), cluster({})]
    const made = authentication(
      { oidc: [issuer(OURS)], tokenReviews: [review('any'), review('tools', 'https://tools.example')] },
      { client: (name) => (name === 'tools' ? tools : any).client },
    )
    const [theirs, unknown, odd] = [
      jwt({ iss: 'https://tools.example' }),
      jwt({ iss: `${OURS}/` }),
      jwt({ iss: [OURS] }),
    ]
    for (const token of [theirs, unknown, odd, 'opaque']) {
      expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
        code: 'UNAUTHENTICATED',
      })
    }
    expect(tools.shown).toEqual([theirs])
    expect(any.shown).toEqual([unknown, odd, 'opaque'])
  })

  it('is nobody about tokens of ours, good or not', async () => {
    const any = cluster({})
    const made = authentication({ tokensFile, tokenReviews: [review('any')] }, { client: () => any.client })
    const stranger = tokenFor({ user: 'x' }).token
    await refusal(() => made.authenticate(bearer(stranger)), stranger)
    expect(made.authenticate(bearer(BOT.token))).toBeDefined()
    expect(any.shown).toEqual([])
    // Perhaps of another gateway: a cluster has no business with it either.
    const without = authentication({ tokenReviews: [review('any')] }, { client: () => any.client })
    for (const token of [stranger, stranger.slice(0, 40), stranger.toUpperCase()]) {
      expect(await refusal(() => without.authenticate(bearer(token)), token)).toMatchObject({
        code: 'UNAUTHENTICATED',
      })
    }
    expect(any.shown).toEqual([])
    // One that a provider has made up and that only begins alike is not ours.
    await refusal(() => made.authenticate(bearer('fg_opaque')))
    expect(any.shown).toEqual(['fg_opaque'])
  })

  it('is several, of whom the first in order who knows it decides', async () => {
    const [a, b] = [cluster({ both: 'in-a' }), cluster({ both: 'in-b', only: 'in-b' })]
    const made = authentication(
      { tokenReviews: [review('a'), review('b')] },
      { client: (name) => (name === 'a' ? a : b).client },
    )
    expect(await made.authenticate(bearer('both'))).toMatchObject({ user: { name: 'in-a' }, issuer: 'a' })
    expect(await made.authenticate(bearer('only'))).toMatchObject({ user: { name: 'in-b' }, issuer: 'b' })
  })

  it('says so when users of two issuers could be called alike', () => {
    const issuer = (url: string, prefix: string) => ({
      issuer: url,
      audiences: ['fleetgraph'],
      algorithms: ['RS256'],
      clockSkewSeconds: 30,
      username: { claim: 'sub', prefix },
      extra: {},
      requiredClaims: {},
      backchannelLogout: false,
    })
    const onProblem = vi.fn()
    authentication(
      { oidc: [issuer('https://a.example.com', 'a:'), issuer('https://b.example.com', '')] },
      { onProblem },
    )
    expect(onProblem).not.toHaveBeenCalled()
    authentication(
      { oidc: [issuer('https://a.example.com', ''), issuer('https://b.example.com', '')] },
      { onProblem },
    )
    expect(onProblem.mock.calls).toEqual([
      [expect.stringContaining('https://a.example.com and https://b.example.com'), undefined],
    ])
  })

  it('is known not to have decided where one of several does not answer', async () => {
    const b = cluster({ known: 'in-b' })
    const onProblem = vi.fn()
    const made = authentication(
      { tokenReviews: [review('gone'), review('b')] },
      { client: (name) => (name === 'b' ? b.client : undefined), onProblem },
    )
    expect(await made.authenticate(bearer('known'))).toMatchObject({ issuer: 'b' })
    expect(await refusal(() => made.authenticate(bearer('stranger')))).toMatchObject({ code: 'UNAVAILABLE' })
    expect(onProblem.mock.calls).toEqual([
      ['TokenReview in cluster gone: there is no such cluster.', undefined],
    ])
  })

  it('has to be clear from the configuration', () => {
    expect(() => authentication({ oidc: [issuer(OURS), issuer(OURS)] })).toThrow('stands there twice')
    expect(() => authentication({ oidc: [issuer(OURS)], tokenReviews: [review('a', OURS)] })).toThrow(
      'one has to decide',
    )
  })
})

describe('a storm of bad tokens', () => {
  it('costs one question for each token, and pushes out no sign-in', async () => {
    const any = cluster({ good: 'alice' })
    const made = authentication({ tokenReviews: [review('any')] }, { client: () => any.client })
    const viewer = await made.authenticate(bearer('good'))
    for (let i = 0; i < 10; i++) await refusal(() => made.authenticate(bearer('bad')))
    await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => refusal(() => made.authenticate(bearer(`bad-${i}`)))),
    )
    expect(any.shown.filter((token) => token === 'bad')).toHaveLength(1)
    expect(made.authenticate(bearer('good'))).toBe(viewer)
    expect(any.shown.filter((token) => token === 'good')).toHaveLength(1)
  })
})

describe('whatever comes', () => {
  it('is a viewer or a refusal, and nobody but who showed a good token', async () => {
    const made = authentication({ tokensFile, cookie: 'session', proxies: [PROXY] })
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(
        'Bearer ',
        'bearer',
        'session=',
        BOT.token.slice(0, 40),
        'eyJ',
        '.',
        ';',
        '"',
        '=',
        '\u0000',
      ),
      fc.json().map((json) => Buffer.from(json).toString('base64url')),
    )
    const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(''))
    const name = fc.constantFrom(
      'Authorization',
      'authorization',
      'Cookie',
      'X-Remote-User',
      'X-Remote-Group',
      'X',
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, text), { maxLength: 4 }),
        fc.option(
          fc.dictionary(fc.constantFrom('token', 'authorization', 'Authorization', 'x'), fc.anything()),
          {
            nil: undefined,
          },
        ),
        async (lines, connectionParams) => {
          const credentials = request(lines, connectionParams && { connectionParams })
          try {
            await made.authenticate(credentials)
          } catch (error) {
            expect(error).toBeInstanceOf(AuthenticationError)
            expect((error as AuthenticationError).code).toBe('UNAUTHENTICATED')
            return
          }
          throw new Error('somebody has signed in')
        },
      ),
      { numRuns: 500 },
    )
  })
})
