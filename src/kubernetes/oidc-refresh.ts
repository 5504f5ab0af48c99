/**
 * The kubeconfig's `auth-provider: oidc`: an ID token, renewed at its issuer with the refresh token
 * (OpenID Connect Discovery 1.0, OpenID Connect Core §12). Renewed tokens are kept in memory; the
 * kubeconfig is not written, so an issuer that rotates refresh tokens wants a login after a restart.
 */
import { readFile } from 'node:fs/promises'
import { Agent, request } from 'undici'
import { TransportError } from './client.ts'
import type { Connection } from './connection.ts'
import type { Credential, CredentialOptions, Credentials } from './credentials.ts'
import { renewAt } from './exec-plugin.ts'
import { SharedWork } from './shared-work.ts'

const TIMEOUT_MS = 15_000

export function oidcRefresh(
  connection: Connection,
  config: Readonly<Record<string, unknown>>,
  { now = Date.now }: CredentialOptions = {},
): Credentials {
  const setting = (name: string): string | undefined => {
    const value = config[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  let refreshToken = setting('refresh-token')
  let kept = keep(setting('id-token'))

  function keep(idToken: string | undefined): { credential: Credential; until: number } | undefined {
    if (idToken === undefined) return undefined
    const expires = expiryOf(idToken)
    // A token that cannot be read is of no use to the API server either.
    if (expires === undefined) return undefined
    return { credential: { authorization: `Bearer ${idToken}` }, until: renewAt(expires, now()) }
  }

  const fail = (text: string, cause?: unknown): never => {
    throw new TransportError('CREDENTIALS', `Cluster ${connection.cluster}: ${text}`, cause)
  }

  const work = new SharedWork(async (signal) => {
    if (refreshToken === undefined)
      return fail('the OIDC id-token has expired and there is no refresh-token. Log in again.')
    const issuer = setting('idp-issuer-url') ?? fail('auth-provider oidc lacks idp-issuer-url.')
    const clientId = setting('client-id') ?? fail('auth-provider oidc lacks client-id.')
    const ca = await authority(setting, fail)
    const agent = new Agent({ connect: { ...(ca && { ca }), timeout: TIMEOUT_MS } })
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
      const answer = await refresh({
        issuer,
        clientId,
        clientSecret: setting('client-secret'),
        refreshToken,
        agent,
        signal: limit,
        fail,
      })
      refreshToken = answer.refresh_token ?? refreshToken
      const renewed = keep(answer.id_token)
      if (!renewed) return fail(`${issuer} sent no ID token. Ask for the scope openid when logging in.`)
      kept = renewed
      return renewed.credential
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (error instanceof TransportError) throw error
      return fail(`no new token from ${issuer} (${(error as Error).message}).`, error)
    } finally {
      await agent.destroy()
    }
  })

  return {
    get: (signal) => (kept && now() < kept.until ? kept.credential : work.join(signal)),
    reject(credential) {
      if (kept?.credential === credential) kept = undefined
      return refreshToken !== undefined
    },
    close: () => work.stop(),
  }
}

async function authority(
  setting: (name: string) => string | undefined,
  fail: (text: string, cause?: unknown) => never,
): Promise<Buffer | undefined> {
  const data = setting('idp-certificate-authority-data')
  if (data !== undefined) return Buffer.from(data, 'base64')
  const file = setting('idp-certificate-authority')
  if (file === undefined) return undefined
  try {
    return await readFile(file)
  } catch (error) {
    return fail(`cannot read idp-certificate-authority ${file}.`, error)
  }
}

interface TokenAnswer {
  readonly id_token?: string
  readonly refresh_token?: string
}

async function refresh(to: {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly refreshToken: string
  readonly agent: Agent
  readonly signal: AbortSignal
  readonly fail: (text: string, cause?: unknown) => never
}): Promise<TokenAnswer> {
  const { issuer, clientId, clientSecret, agent, signal, fail } = to
  const discovery = await request(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
    dispatcher: agent,
    signal,
  })
  if (discovery.statusCode !== 200) {
    await discovery.body.dump()
    return fail(`${issuer} has no OpenID configuration (HTTP ${discovery.statusCode}). Check idp-issuer-url.`)
  }
  const provider = (await discovery.body.json()) as {
    readonly token_endpoint?: unknown
    readonly token_endpoint_auth_methods_supported?: readonly string[]
  }
  const endpoint = provider.token_endpoint
  if (typeof endpoint !== 'string' || (issuer.startsWith('https:') && !endpoint.startsWith('https:')))
    return fail(`${issuer} names no token endpoint that is as safe as itself.`)
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: to.refreshToken,
    client_id: clientId,
  })
  // RFC 6749 §2.3.1: Basic is what every server must take, unless it says otherwise.
  const methods = provider.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
  const basic = clientSecret !== undefined && methods.includes('client_secret_basic')
  if (clientSecret !== undefined && !basic) form.set('client_secret', clientSecret)
  const answer = await request(endpoint, {
    method: 'POST',
    dispatcher: agent,
    signal,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
      ...(basic && {
        authorization: `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`,
      }),
    },
    body: form.toString(),
  })
  if (answer.statusCode === 200) return (await answer.body.json()) as TokenAnswer
  const words = (await answer.body.text()).slice(0, 2000)
  let reason = `HTTP ${answer.statusCode}`
  try {
    const { error } = JSON.parse(words) as { error?: unknown }
    if (typeof error === 'string') reason += `, ${error.slice(0, 100)}`
  } catch {
    // Not the error of RFC 6749 §5.2: the status has to do.
  }
  return fail(`${issuer} refuses to renew the ID token (${reason}). Log in again.`)
}

/** `exp` of a JWT in epoch milliseconds; its signature is the API server's to check. */
function expiryOf(jwt: string): number | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
    const exp = (claims as { exp?: unknown } | null)?.exp
    return typeof exp === 'number' ? exp * 1000 : undefined
  } catch {
    return undefined
  }
}
