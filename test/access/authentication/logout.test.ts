import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type Authentication,
  type AuthenticationOptions,
  createAuthentication,
} from '../../../src/access/authentication/authentication.ts'
import {
  EndedSessions,
  LONGEST_LIFE_MS,
  memoryRevocations,
} from '../../../src/access/authentication/revocations.ts'
import type { SignInEnd } from '../../../src/access/viewer.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { type OidcProvider, startOidcProvider } from '../../support/oidc-provider.ts'
import { bearer, NOTHING, refusal } from './support.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** A gateway whose logout endpoint the provider knows. */
async function stage(more: Partial<AuthenticationOptions> = {}) {
  const answers: number[] = []
  async function answer(sent: string, response: ServerResponse): Promise<void> {
    const { status, headers, body } = await made.handleLogout!(sent)
    answers.push(status)
    response.writeHead(status, headers).end(body)
  }
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      void answer(body, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/logout/backchannel`
  const provider = await startOidcProvider({ users: { alice: {}, bob: {} }, backchannelLogoutUri: uri })
  const made = authentication(provider, more)
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await provider.close()
  })
  return { provider, made, answers }
}

const issuerOf = (provider: OidcProvider, backchannelLogout: boolean) => ({
  issuer: provider.issuer,
  audiences: ['fleetgraph', 'https://fleetgraph.example.com'],
  algorithms: ['RS256'],
  clockSkewSeconds: 30,
  username: { claim: 'sub', prefix: '' },
  extra: {},
  requiredClaims: {},
  backchannelLogout,
})

function authentication(
  provider: OidcProvider,
  more: Partial<AuthenticationOptions> = {},
  backchannelLogout = true,
): Authentication {
  const made = createAuthentication({
    config: { ...NOTHING, oidc: [issuerOf(provider, backchannelLogout)] },
    clock: systemClock,
    client: () => undefined,
    ...more,
  })
  closing.push(() => made.close())
  return made
}

const now = () => Math.floor(Date.now() / 1000)
const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }
let serial = 0
const logoutClaims = (provider: OidcProvider, more: object = {}) => ({
  iss: provider.issuer,
  aud: 'fleetgraph',
  iat: now(),
  exp: now() + 120,
  jti: `jti-${serial++}`,
  sub: 'alice',
  events: EVENTS,
  ...more,
})
const tokenOf = (provider: OidcProvider, more: object = {}) =>
  provider.sign({
    iss: provider.issuer,
    aud: 'fleetgraph',
    sub: 'alice',
    iat: now(),
    exp: now() + 600,
    ...more,
  })

describe('a person who logs out at the provider', () => {
  it('is signed out here: open streams end, and the tokens are refused', async () => {
    const { provider, made, answers } = await stage()
    const alice = await provider.login('alice', { resource: 'https://fleetgraph.example.com' })
    const other = await provider.login('alice')
    const bob = await provider.login('bob')
    const [viewer, byAccess, bobs] = await Promise.all(
      [alice.idToken, alice.accessToken, bob.idToken].map(async (token) => made.authenticate(bearer(token))),
    )
    const ends = Promise.all(
      [viewer!, byAccess!].map((one) => new Promise<SignInEnd>((resolve) => made.onEnd(one, resolve))),
    )
    await provider.logout(alice)
    expect(await ends).toMatchObject([{ code: 'REVOKED' }, { code: 'REVOKED' }])
    expect(answers).toEqual([200])
    for (const token of [alice.idToken, alice.accessToken]) {
      expect(await refusal(() => made.authenticate(bearer(token)), token)).toEqual({
        code: 'UNAUTHENTICATED',
        message: 'The sign-in was revoked. Sign in again.',
      })
    }
    // Another session of the same person, and other persons, go on.
    expect(await made.authenticate(bearer(other.idToken))).toMatchObject({ user: { name: 'alice' } })
    expect(await made.authenticate(bearer(bob.idToken))).toBe(bobs)
    const again = await provider.login('alice')
    expect(await made.authenticate(bearer(again.idToken))).toMatchObject({ user: { name: 'alice' } })
  })

  it('is signed out with tokens that were never shown before', async () => {
    const { provider, made } = await stage()
    const { idToken, ...session } = await provider.login('alice')
    await provider.logout({ idToken, ...session })
    await expect
      .poll(() => refusal(() => made.authenticate(bearer(idToken)), idToken))
      .toMatchObject({
        code: 'UNAUTHENTICATED',
      })
  })

  it('is signed out of all sessions where the provider names the person alone', async () => {
    const { provider, made } = await stage()
    const tokens = await Promise.all([
      tokenOf(provider, { sid: 'a' }),
      tokenOf(provider, { sid: 'b' }),
      tokenOf(provider),
    ])
    for (const token of tokens) await made.authenticate(bearer(token))
    const logout = await provider.sign(logoutClaims(provider), { typ: 'logout+jwt' })
    expect(await made.handleLogout!(`logout_token=${logout}`)).toEqual({
      status: 200,
      headers: { 'cache-control': 'no-store' },
      body: '',
    })
    for (const token of tokens) {
      expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
        code: 'UNAUTHENTICATED',
      })
    }
    const later = await tokenOf(provider, { iat: now() + 5 })
    expect(await made.authenticate(bearer(later))).toMatchObject({ user: { name: 'alice' } })
  })

  it('is signed out at other replicas as well', async () => {
    const revocations = memoryRevocations()
    const { provider, made } = await stage({ revocations })
    const replica = authentication(provider, { revocations })
    const { idToken, ...session } = await provider.login('alice')
    const viewer = await replica.authenticate(bearer(idToken))
    const end = new Promise<SignInEnd>((resolve) => replica.onEnd(viewer, resolve))
    await provider.logout({ idToken, ...session })
    expect(await end).toMatchObject({ code: 'REVOKED' })
    expect(made).not.toBe(replica)
  })

  it('has no token for longer than is remembered that the session has ended', async () => {
    const { provider } = await stage()
    const clock = new FakeClock(Date.now())
    const made = authentication(provider, { clock })
    const viewer = await made.authenticate(bearer(await tokenOf(provider, { exp: now() + 10 * 86_400 })))
    expect(viewer.expiresAt).toBeLessThanOrEqual(Date.now() + LONGEST_LIFE_MS)
    const old = await tokenOf(provider, { iat: now() - 86_401 })
    expect(await refusal(() => made.authenticate(bearer(old)), old)).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
    const undated = await tokenOf(provider, { iat: undefined })
    expect(await refusal(() => made.authenticate(bearer(undated)), undated)).toMatchObject({
      message: 'The token does not say when it was issued.',
    })
  })
})

describe('a logout token that is no good', () => {
  it('ends nothing, and says why', async () => {
    const { provider, made } = await stage()
    const token = await tokenOf(provider)
    const viewer = await made.authenticate(bearer(token))
    const used = logoutClaims(provider, { sub: 'bob' })
    expect(await made.handleLogout!(`logout_token=${await provider.sign(used)}`)).toMatchObject({
      status: 200,
    })
    const sign = (more: object, header: object = {}) =>
      provider.sign(logoutClaims(provider, more), header as Record<string, unknown>)
    const good = await sign({ sub: 'nobody' })
    const cases: readonly (readonly [string, string])[] = [
      ['', 'Send one logout_token'],
      [`logout_token=${good}&logout_token=${good}`, 'Send one logout_token'],
      [`token=${good}`, 'Send one logout_token'],
      [`logout_token=${'x'.repeat(20_000)}`, 'Send one logout_token'],
      ['logout_token=opaque', 'The logout token is malformed.'],
      [`logout_token=${await sign({ iss: 'https://id.example.com' })}`, 'Its issuer is not known here.'],
      [`logout_token=${await sign({ aud: 'other' })}`, 'is not accepted'],
      [`logout_token=${await sign({ exp: now() - 60 })}`, 'is not accepted'],
      [`logout_token=${await sign({ iat: now() + 60 })}`, 'is not accepted'],
      [`logout_token=${await sign({}, { typ: 'at+jwt' })}`, 'is not accepted'],
      [`logout_token=${(await sign({})).replace(/[^.]+$/, 'AAAA')}`, 'is not accepted'],
      [`logout_token=${await sign({ iat: now() - 400 })}`, 'It is not fresh.'],
      [`logout_token=${await sign({ iat: undefined })}`, 'It is not fresh.'],
      [`logout_token=${await sign({ events: undefined })}`, 'It has no event of a logout.'],
      [`logout_token=${await sign({ events: { other: {} } })}`, 'It has no event of a logout.'],
      [`logout_token=${await sign({ nonce: 'x' })}`, 'It has a nonce.'],
      [`logout_token=${await sign({ jti: undefined })}`, 'It has no jti.'],
      [`logout_token=${await sign({ sub: undefined })}`, 'It has neither sub nor sid.'],
      [`logout_token=${await sign({ sub: 'x'.repeat(2_000) })}`, 'It has neither sub nor sid.'],
      [`logout_token=${await provider.sign(used)}`, 'It was used before.'],
      // A token to sign in with: whoever got hold of one must not end anything with it.
      [`logout_token=${token}`, 'It has no event of a logout.'],
    ]
    for (const [body, why] of cases) {
      const answer = await made.handleLogout!(body)
      expect(answer).toMatchObject({ status: 400, headers: { 'cache-control': 'no-store' } })
      expect(JSON.parse(answer.body)).toEqual({
        error: 'invalid_request',
        error_description: expect.stringContaining(why),
      })
    }
    expect(made.authenticate(bearer(token))).toBe(viewer)
  })

  it('is one of a provider that may not end sign-ins, where another may', async () => {
    const [{ provider }, { provider: other }] = [await stage(), await stage()]
    const oidc = [issuerOf(provider, true), issuerOf(other, false)]
    const made = authentication(provider, { config: { ...NOTHING, oidc } })
    const logout = async (of: OidcProvider) =>
      (await made.handleLogout!(`logout_token=${await of.sign(logoutClaims(of))}`)).status
    expect([await logout(provider), await logout(other)]).toEqual([200, 400])
  })

  it('cannot be told where the provider does not answer', async () => {
    const { provider } = await stage()
    await provider.stop()
    const made = authentication(provider)
    const logout = await provider.sign(logoutClaims(provider))
    expect(await made.handleLogout!(`logout_token=${logout}`)).toMatchObject({ status: 503 })
  })

  it('is none where no provider may end sign-ins', async () => {
    const { provider } = await stage()
    expect(authentication(provider, {}, false)).toHaveProperty('handleLogout', undefined)
  })
})

describe('sessions that have ended', () => {
  const entry = (about: { sub?: string; sid?: string; at: number }) => ({
    issuer: 'https://id.example.com',
    sub: about.sub,
    sid: about.sid,
    at: about.at,
  })
  const session = (sub: string | undefined, sid: string | undefined, iat: number | undefined) => ({
    sub,
    sid,
    iat,
  })

  it('are those of the session, or of the person where no session is told', () => {
    const ended = new EndedSessions(new FakeClock())
    ended.add(entry({ sub: 'alice', sid: 'a', at: 100 }))
    ended.add(entry({ sub: 'bob', at: 100 }))
    ended.add(entry({ sid: 'c', at: 100 }))
    expect(ended.has(session('alice', 'a', 100))).toBe(true)
    expect(ended.has(session('alice', 'a', 101))).toBe(false)
    expect(ended.has(session('alice', 'b', 100))).toBe(false)
    // Which of her sessions it is of nobody can tell.
    expect(ended.has(session('alice', undefined, 100))).toBe(true)
    expect(ended.has(session('bob', 'any', 99))).toBe(true)
    expect(ended.has(session('bob', undefined, undefined))).toBe(true)
    expect(ended.has(session(undefined, 'c', 1))).toBe(true)
    expect(ended.has(session('carol', undefined, 1))).toBe(false)
    expect(ended.has(session(undefined, undefined, undefined))).toBe(false)
  })

  it('count by the newest word, in which order ever they come', () => {
    const ended = new EndedSessions(new FakeClock())
    expect(ended.add(entry({ sub: 'alice', at: 200 }))).toBe(true)
    expect(ended.add(entry({ sub: 'alice', at: 100 }))).toBe(false)
    expect(ended.add(entry({ sub: 'alice', at: 200 }))).toBe(false)
    expect(ended.has(session('alice', undefined, 150))).toBe(true)
  })

  it('are remembered for as long as a token of an issuer can live whose clock is ahead', async () => {
    const clock = new FakeClock()
    const ended = new EndedSessions(clock)
    const at = clock.now() / 1000 + 600
    ended.add(entry({ sub: 'a', at }))
    await clock.advance(LONGEST_LIFE_MS + 599_000)
    ended.add(entry({ sub: 'b', at: at + 1 }))
    expect(ended.has(session('a', undefined, at))).toBe(true)
  })

  it('are remembered for a day, and where they are too many more are refused, not fewer', async () => {
    const clock = new FakeClock()
    const ended = new EndedSessions(clock, 2)
    ended.add(entry({ sub: 'a', at: 100 }))
    await clock.advance(LONGEST_LIFE_MS - 1)
    ended.add(entry({ sub: 'b', at: 200 }))
    expect(ended.has(session('a', undefined, 100))).toBe(true)
    await clock.advance(1)
    ended.add(entry({ sub: 'c', at: 300 }))
    expect(ended.has(session('a', undefined, 100))).toBe(false)
    ended.add(entry({ sub: 'd', at: 400 }))
    // There was no room for b: whoever is older than it has to sign in again.
    expect(ended.has(session('b', undefined, 200))).toBe(true)
    expect(ended.has(session('stranger', undefined, 200))).toBe(true)
    expect(ended.has(session('stranger', undefined, 201))).toBe(false)
  })
})
