/**
 * Service accounts of a real API server sign in: tokens that are bound to an audience, to a service account and
 * to a time, as TokenRequest issues them and TokenReview knows them.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Authentication, createAuthentication } from '../../src/access/authentication/authentication.ts'
import type { AuthenticationError, Credentials } from '../../src/access/authentication/authenticator.ts'
import type { TokenReviewOptions } from '../../src/access/authentication/token-review.ts'
import type { SignInEnd } from '../../src/access/viewer.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { createApiClient } from '../../src/kubernetes/api-client.ts'
import type { ApiClient } from '../../src/kubernetes/client.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts'
import { eventually } from '../support/eventually.ts'

let plane: ControlPlane
let client: ApiClient
beforeAll(async () => {
  plane = await startControlPlane({ name: 'token-review' })
  const { url: server, ca, adminToken: token } = plane
  client = createApiClient({ cluster: 'tools', server, certificateAuthority: { data: ca }, user: { token } })
})
afterAll(async () => {
  await client.close()
  await plane.close()
})

const open: Authentication[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

function reviewing(options: Partial<TokenReviewOptions> = {}): Authentication {
  const review = { cluster: 'tools', audiences: [], cacheSeconds: 1, holdsIn: 'cluster' as const, ...options }
  const made = createAuthentication({
    config: { tokensFile: '', cookie: '', oidc: [], tokenReviews: [review], proxies: [] },
    clock: systemClock,
    client: () => client,
  })
  open.push(made)
  return made
}

const bearer = (token: string): Credentials => ({
  headers: { authorization: `Bearer ${token}` },
  rawHeaders: ['Authorization', `Bearer ${token}`],
  remoteAddress: '127.0.0.1',
})

const ACCOUNTS = '/api/v1/namespaces/default/serviceaccounts'

async function account(name: string): Promise<void> {
  const body = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } }
  await client.json({ method: 'POST', path: ACCOUNTS, body })
}

async function tokenOf(name: string, audiences?: readonly string[]): Promise<string> {
  const { status } = await client.json<{ readonly status: { readonly token: string } }>({
    method: 'POST',
    path: `${ACCOUNTS}/${name}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 3_600, ...(audiences && { audiences }) },
    },
  })
  return status.token
}

async function isKnown(token: string): Promise<boolean> {
  const { status } = await client.json<{ readonly status: { readonly authenticated?: boolean } }>({
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/tokenreviews',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
  })
  return status.authenticated ?? false
}

const refusal = async (made: Authentication, token: string): Promise<string> => {
  try {
    await made.authenticate(bearer(token))
  } catch (error) {
    return (error as AuthenticationError).code
  }
  return 'none'
}

describe('service accounts of a real API server', () => {
  it('sign in with its own audience, and hold in that cluster', async () => {
    await account('robot')
    const viewer = await reviewing().authenticate(bearer(await tokenOf('robot')))
    expect(viewer.user.name).toBe('system:serviceaccount:default:robot')
    expect(viewer.user.groups).toEqual(
      expect.arrayContaining(['system:serviceaccounts:default', 'system:authenticated']),
    )
    expect(viewer.user.uid).toMatch(/^[0-9a-f-]{36}$/)
    expect([...viewer.clusters!]).toEqual(['tools'])
    expect(viewer.expiresAt).toBeGreaterThan(Date.now() + 3_000_000)
  })

  it('sign in with a token for the gateway, and with no other, where that is configured', async () => {
    await account('bound')
    const made = reviewing({ audiences: ['fleetgraph'] })
    const bound = await tokenOf('bound', ['fleetgraph', 'other'])
    expect((await made.authenticate(bearer(bound))).user.name).toBe('system:serviceaccount:default:bound')
    expect(await refusal(made, await tokenOf('bound'))).toBe('UNAUTHENTICATED')
    expect(await refusal(made, await tokenOf('bound', ['other']))).toBe('UNAUTHENTICATED')
    expect(await refusal(reviewing(), bound)).toBe('UNAUTHENTICATED')
  })

  it('cannot sign in with a token that was altered, or made up', async () => {
    await account('altered')
    const token = await tokenOf('altered')
    const made = reviewing()
    const [header, , signature] = token.split('.')
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as object
    const other = { ...claims, sub: 'system:serviceaccount:kube-system:default' }
    const altered = [header, Buffer.from(JSON.stringify(other)).toString('base64url'), signature].join('.')
    for (const bad of [altered, `${token}x`, 'opaque'])
      expect(await refusal(made, bad)).toBe('UNAUTHENTICATED')
  })

  it('are signed out when they are deleted, also where one of the same name comes after', async () => {
    await account('gone')
    const token = await tokenOf('gone')
    const made = reviewing()
    const viewer = await made.authenticate(bearer(token))
    const end = new Promise<SignInEnd>((resolve) => made.onEnd(viewer, resolve))
    await client.json({ method: 'DELETE', path: `${ACCOUNTS}/gone` })
    await account('gone')
    expect((await end).code).toBe('REVOKED')
    expect(await refusal(made, token)).toBe('UNAUTHENTICATED')
  })

  it('lose what they have open about a second after the API server says no, however long answers hold', async () => {
    await account('watched')
    const token = await tokenOf('watched')
    const made = reviewing({ cacheSeconds: 300 })
    const viewer = await made.authenticate(bearer(token))
    let endedAt = Infinity
    const end = new Promise<SignInEnd>((resolve) => made.onEnd(viewer, resolve)).then((end) => {
      endedAt = performance.now()
      return end
    })
    await client.json({ method: 'DELETE', path: `${ACCOUNTS}/watched` })
    // The API server itself remembers a good token for ten seconds: it is asked here when it forgets.
    await eventually(async () => expect(await isKnown(token)).toBe(false), {
      timeoutMs: 20_000,
      everyMs: 50,
    })
    const refusedAt = performance.now()
    expect((await end).code).toBe('REVOKED')
    expect(endedAt - refusedAt).toBeLessThan(2_000)
    expect(await refusal(made, token)).toBe('UNAUTHENTICATED')
  })

  it('stay signed in while the API server is away for a moment, and nobody else signs in meanwhile', async () => {
    await account('staying')
    const token = await tokenOf('staying')
    const another = await tokenOf('staying')
    const made = reviewing({ cacheSeconds: 10 })
    const viewer = await made.authenticate(bearer(token))
    plane.stopApiServer()
    try {
      const started = performance.now()
      expect(await refusal(made, another)).toBe('UNAVAILABLE')
      expect(performance.now() - started).toBeLessThan(4_000)
      expect(await made.authenticate(bearer(token))).toBe(viewer)
    } finally {
      plane.continueApiServer()
    }
  })
})
