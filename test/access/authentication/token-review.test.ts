import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  type Authentication,
  createAuthentication,
} from '../../../src/access/authentication/authentication.ts'
import type { TokenReviewOptions } from '../../../src/access/authentication/token-review.ts'
import type { SignInEnd } from '../../../src/access/viewer.ts'
import { createApiClient } from '../../../src/kubernetes/api-client.ts'
import type { ApiClient } from '../../../src/kubernetes/client.ts'
import { ApiError } from '../../../src/kubernetes/client.ts'
import { startSimulator, type Simulator } from '../../../src/simulator/simulator.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { bearer, NOTHING, refusal } from './support.ts'

const REVIEW: TokenReviewOptions = { cluster: 'tools', audiences: [], cacheSeconds: 10, holdsIn: 'cluster' }
const open: Authentication[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

function reviewing(client: ApiClient, options: Partial<TokenReviewOptions> = {}) {
  const clock = new FakeClock(Date.now())
  const onProblem = vi.fn<(problem: string, error: unknown) => void>()
  const made = createAuthentication({
    config: { ...NOTHING, tokenReviews: [{ ...REVIEW, ...options }] },
    clock,
    client: (name) => (name === 'tools' ? client : undefined),
    onProblem,
  })
  open.push(made)
  return { made, clock, onProblem }
}

/** A client whose answer to every review is this status. */
function answering(status: unknown): ApiClient {
  return { json: () => Promise.resolve({ status }) } as unknown as ApiClient
}

describe('the answer of a cluster', () => {
  const alice = { username: 'alice', uid: 'u1', groups: ['dev'], extra: { 'acme/scope': ['read'] } }

  it('is who the token is of, in that cluster', async () => {
    const { made } = reviewing(answering({ authenticated: true, user: alice }))
    expect(await made.authenticate(bearer('opaque'))).toEqual({
      user: {
        name: 'alice',
        uid: 'u1',
        groups: ['dev', 'system:authenticated'],
        extra: { 'acme/scope': ['read'] },
      },
      method: 'TOKEN_REVIEW',
      issuer: 'tools',
      expiresAt: null,
      token: 'opaque',
      clusters: new Set(['tools']),
      operations: null,
    })
  })

  it('ends when time does where its token ends later: the end can be told', async () => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const { made } = reviewing(answering({ authenticated: true, user: alice }))
    for (const exp of [9e12, 1e300]) {
      const token = `${part({ alg: 'RS256' })}.${part({ iss: 'k8s', exp })}.c2ln`
      const { expiresAt } = await made.authenticate(bearer(token))
      expect(new Date(expiresAt!).toISOString()).toBe('+275760-09-13T00:00:00.000Z')
    }
  })

  it('holds in the fleet where that is configured, but never what is Kubernetes’ own', async () => {
    const clustersOf = async (user: object) => {
      const { made } = reviewing(answering({ authenticated: true, user }), { holdsIn: 'fleet' })
      return (await made.authenticate(bearer('opaque'))).clusters
    }
    expect(await clustersOf(alice)).toBeNull()
    expect(await clustersOf({ ...alice, groups: ['dev', 'system:authenticated'] })).toBeNull()
    const tools = new Set(['tools'])
    expect(await clustersOf({ username: 'system:serviceaccount:a:b', groups: [] })).toEqual(tools)
    expect(await clustersOf({ ...alice, groups: ['system:masters'] })).toEqual(tools)
  })

  it.each([
    ['no', { authenticated: false }],
    ['nothing', {}],
    ['no status', undefined],
    ['yes to nobody', { authenticated: true, user: { username: '' } }],
    ['yes without a user', { authenticated: true }],
    ['yes, with an error', { authenticated: true, user: alice, error: 'odd' }],
    ['something else than yes', { authenticated: 'true', user: alice }],
    ['a name that is no name', { authenticated: true, user: { username: 'a\r\nb' } }],
  ])('is a refusal where it is %s', async (_name, status) => {
    const { made } = reviewing(answering(status))
    expect(
      await refusal(() => made.authenticate(bearer('a-token-of-alice')), 'a-token-of-alice'),
    ).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
  })

  it('has to name one of the audiences that were asked for', async () => {
    const json = vi.fn<(request: unknown) => Promise<object>>()
    const { made } = reviewing({ json } as unknown as ApiClient, { audiences: ['fleetgraph', 'b'] })
    const yes = { authenticated: true, user: alice }
    for (const [index, status] of [
      yes,
      { ...yes, audiences: [] },
      { ...yes, audiences: ['other'] },
    ].entries()) {
      json.mockResolvedValueOnce({ status })
      expect(await refusal(() => made.authenticate(bearer(`token-${index}`)))).toMatchObject({
        code: 'UNAUTHENTICATED',
      })
    }
    json.mockResolvedValue({ status: { ...yes, audiences: ['other', 'b'] } })
    expect(await made.authenticate(bearer('token'))).toMatchObject({ user: { name: 'alice' } })
    expect(json.mock.lastCall?.[0]).toMatchObject({
      body: { spec: { token: 'token', audiences: ['fleetgraph', 'b'] } },
    })
  })

  it('ends when the JWT does that it said yes to', async () => {
    const { made, clock } = reviewing(answering({ authenticated: true, user: alice }))
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const exp = Math.floor(clock.now() / 1000) + 60
    const token = `${part({ alg: 'RS256' })}.${part({ iss: 'k8s', exp })}.c2ln`
    const viewer = await made.authenticate(bearer(token))
    expect(viewer.expiresAt).toBe(exp * 1000)
    const ends: SignInEnd[] = []
    made.onEnd(viewer, (end) => ends.push(end))
    await clock.advance(60_000)
    expect(ends).toMatchObject([{ code: 'EXPIRED' }])
  })

  it('is missing where the gateway may not ask, which is told to us and not to the client', async () => {
    const forbidden = new ApiError(403, { reason: 'Forbidden', message: 'User "gateway" cannot create' })
    const { made, onProblem } = reviewing({ json: () => Promise.reject(forbidden) } as unknown as ApiClient)
    expect(await refusal(() => made.authenticate(bearer('opaque')))).toEqual({
      code: 'UNAVAILABLE',
      message: 'The cluster that knows this token does not answer. Try again later.',
    })
    expect(onProblem.mock.calls[0]?.[0]).toBe(
      'TokenReview in cluster tools: HTTP 403 Forbidden (the gateway needs create on tokenreviews.authentication.k8s.io).',
    )
  })

  it('is asked for 32 tokens at a time, and who waited is not kept when nobody answers', async () => {
    let asked = 0
    const failures: ((error: Error) => void)[] = []
    const json = () => {
      asked++
      return new Promise((_resolve, reject) => failures.push(reject))
    }
    const { made } = reviewing({ json } as unknown as ApiClient)
    const all = Array.from({ length: 1_100 }, (_, i) =>
      refusal(() => made.authenticate(bearer(`token-${i}`))),
    )
    await vi.waitFor(() => expect(asked).toBe(32))
    for (const fail of failures) fail(new Error('away'))
    const answers = await Promise.all(all)
    expect(asked).toBe(32)
    expect(new Set(answers.map(({ code }) => code))).toEqual(new Set(['UNAVAILABLE']))
    expect(answers.filter(({ message }) => message.startsWith('Too many'))).toHaveLength(1_100 - 32 - 1_000)
  })
})

describe('service accounts of a cluster', () => {
  let simulator: Simulator
  let client: ApiClient
  beforeAll(async () => {
    simulator = await startSimulator({ name: 'tools' })
    client = createApiClient({ cluster: 'tools', server: simulator.url, user: { token: simulator.token } })
  })
  afterAll(async () => {
    await client.close()
    await simulator.close()
  })
  afterEach(() => simulator.faults.clear())

  const accounts = '/api/v1/namespaces/default/serviceaccounts'
  async function account(name: string): Promise<string> {
    const body = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } }
    await client.json({ method: 'POST', path: accounts, body })
    const { status } = await client.json<{ status: { token: string } }>({
      method: 'POST',
      path: `${accounts}/${name}/token`,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 3_600 },
      },
    })
    return status.token
  }

  it('sign in, in that cluster, until their tokens end', async () => {
    const token = await account('robot')
    const { made } = reviewing(client)
    const viewer = await made.authenticate(bearer(token))
    expect(viewer).toMatchObject({ user: { name: 'system:serviceaccount:default:robot' }, issuer: 'tools' })
    expect(viewer.clusters).toEqual(new Set(['tools']))
    expect(viewer.expiresAt).toBeGreaterThan(Date.now() + 3_500_000)
    expect(made.authenticate(bearer(token))).toBe(viewer)
  })

  it('are signed out when they are deleted, within the time that an answer holds', async () => {
    const token = await account('gone')
    const { made, clock } = reviewing(client)
    const viewer = await made.authenticate(bearer(token))
    const end = new Promise<SignInEnd>((resolve) => made.onEnd(viewer, resolve))
    await client.json({ method: 'DELETE', path: `${accounts}/gone` })
    await clock.advance(10_000)
    expect(await end).toMatchObject({ code: 'REVOKED' })
    expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
      code: 'UNAUTHENTICATED',
    })
  })

  it('cannot sign in while the cluster is down, and nobody waits for longer than 3 s', async () => {
    const token = await account('waiting')
    const { made, onProblem } = reviewing(client)
    simulator.faults.delay(60_000)
    const started = performance.now()
    expect(await refusal(() => made.authenticate(bearer(token)), token)).toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(performance.now() - started).toBeLessThan(4_000)
    expect(onProblem.mock.calls[0]?.[0]).toBe('TokenReview in cluster tools: no answer within 3 s.')
  })
})
