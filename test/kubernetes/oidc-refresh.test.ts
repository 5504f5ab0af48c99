import { describe, expect, onTestFinished, test } from 'vitest'
import type { UserCredentials } from '../../src/kubernetes/connection.ts'
import { oidcRefresh } from '../../src/kubernetes/oidc-refresh.ts'
import { clientOf, json, rejection, startApiServer, type ApiServer } from './support/api-server.ts'

const HOUR = 3_600_000

/** Unsigned: only the API server checks signatures. */
function idToken(expires: number, name = 'ada'): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part({ sub: name, exp: Math.floor(expires / 1000) })}.c2ln`
}

/** An issuer that rotates its refresh tokens and gives ID tokens of an hour. */
async function issuer(
  now: () => number,
  discovery: Readonly<Record<string, unknown>> = {},
): Promise<ApiServer & { readonly refreshes: () => URLSearchParams[] }> {
  let expected = 'refresh-0'
  let count = 0
  const server: ApiServer = await startApiServer((request, response, body) => {
    if (request.url === '/dex/.well-known/openid-configuration')
      return json(response, 200, {
        issuer: `${server.url}/dex`,
        token_endpoint: `${server.url}/dex/token`,
        ...discovery,
      })
    const form = new URLSearchParams(body)
    if (request.url !== '/dex/token' || form.get('refresh_token') !== expected)
      return json(response, 400, { error: 'invalid_grant', error_description: 'secret details' })
    expected = `refresh-${++count}`
    json(response, 200, { id_token: idToken(now() + HOUR, `ada-${count}`), refresh_token: expected })
  })
  const refreshes = () =>
    server.heard.filter(({ url }) => url === '/dex/token').map(({ body }) => new URLSearchParams(body))
  return { ...server, refreshes }
}

function provider(url: string, more: Readonly<Record<string, string>> = {}) {
  return {
    name: 'oidc',
    config: {
      'idp-issuer-url': `${url}/dex`,
      'client-id': 'kubernetes',
      'client-secret': 'shh:ö',
      'refresh-token': 'refresh-0',
      ...more,
    },
  } satisfies UserCredentials['authProvider']
}

describe('an ID token', () => {
  test('is used while it lasts, and renewed once for everybody shortly before it ends', async () => {
    let now = Date.now()
    const idp = await issuer(() => now)
    const api = await startApiServer((_, response) => json(response, 200, {}))
    const authProvider = provider(idp.url, { 'id-token': idToken(now + HOUR, 'first') })
    const client = clientOf({ server: api.url, user: { authProvider } }, { now: () => now })
    await client.json({ path: '/x' })
    expect(idp.heard).toEqual([])
    now += HOUR - 59_000
    await Promise.all(Array.from({ length: 5 }, () => client.json({ path: '/x' })))
    expect(idp.refreshes()).toHaveLength(1)
    const subjects = api.heard.map(({ headers }) => subject(String(headers['authorization'])))
    expect(subjects).toEqual(['first', ...Array.from({ length: 5 }, () => 'ada-1')])
  })

  test('is renewed with the refresh token that came last', async () => {
    let now = Date.now()
    const idp = await issuer(() => now)
    const credentials = oidcRefresh(
      { cluster: 'prod', server: 'https://x', user: {} },
      provider(idp.url).config,
      { now: () => now },
    )
    onTestFinished(() => credentials.close())
    await credentials.get()
    now += HOUR
    await credentials.get()
    expect(idp.refreshes().map((form) => Object.fromEntries(form))).toEqual([
      { grant_type: 'refresh_token', refresh_token: 'refresh-0', client_id: 'kubernetes' },
      { grant_type: 'refresh_token', refresh_token: 'refresh-1', client_id: 'kubernetes' },
    ])
    expect(idp.heard.at(-1)?.headers['authorization']).toBe(
      `Basic ${Buffer.from('kubernetes:shh%3A%C3%B6').toString('base64')}`,
    )
  })

  test('that the API server refuses is renewed, and the request sent again', async () => {
    const idp = await issuer(Date.now)
    const api = await startApiServer((request, response) => {
      const ok = subject(String(request.headers['authorization'])) === 'ada-1'
      json(response, ok ? 200 : 401, { ok })
    })
    const authProvider = provider(idp.url, { 'id-token': idToken(Date.now() + HOUR, 'revoked') })
    const client = clientOf({ server: api.url, user: { authProvider } })
    expect(await client.json({ path: '/x' })).toEqual({ ok: true })
  })

  test('is asked for with the secret in the form where the issuer wants it there', async () => {
    const idp = await issuer(Date.now, { token_endpoint_auth_methods_supported: ['client_secret_post'] })
    const credentials = oidcRefresh(
      { cluster: 'prod', server: 'https://x', user: {} },
      provider(idp.url).config,
    )
    await credentials.get()
    expect(idp.refreshes()[0]?.get('client_secret')).toBe('shh:ö')
    expect(idp.heard.at(-1)?.headers['authorization']).toBeUndefined()
  })

  test('that cannot be renewed says at which issuer and why, without secrets', async () => {
    const idp = await issuer(Date.now)
    const failure = async (more: Readonly<Record<string, string>>) => {
      const { config } = provider(idp.url, more)
      const credentials = oidcRefresh({ cluster: 'prod', server: 'https://x', user: {} }, config)
      const error = await rejection(Promise.resolve(credentials.get()))
      expect(error).toMatchObject({ code: 'CREDENTIALS' })
      return error.message
    }
    expect(await failure({ 'refresh-token': 'used-up' })).toBe(
      `Cluster prod: ${idp.url}/dex refuses to renew the ID token (HTTP 400, invalid_grant). Log in again.`,
    )
    expect(await failure({ 'refresh-token': '' })).toContain('has expired and there is no refresh-token')
    expect(await failure({ 'idp-issuer-url': `${idp.url}/other` })).toContain('has no OpenID configuration')
    expect(await failure({ 'idp-issuer-url': 'http://127.0.0.1:1' })).toContain(
      'no new token from http://127.0.0.1:1',
    )
  })
})

function subject(authorization: string): string | undefined {
  const [, claims = ''] = authorization.split('.')
  return (JSON.parse(Buffer.from(claims, 'base64url').toString()) as { sub?: string }).sub
}
