/**
 * A real OpenID provider (the npm package oidc-provider) on loopback, for tests that sign in: people through the
 * authorization code flow over HTTP, JWT access tokens by resource indicators, opaque ones with introspection
 * and revocation, back-channel logout, keys that rotate. Its own port is the issuer's for as long as it lives,
 * stopped and started in between.
 *
 * `sign` makes what a provider would never issue, with its own key.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose'
// @ts-expect-error -- the package has no types; what is used of it is below
import UntypedProvider from 'oidc-provider'
import { sparePort } from './spare-port.ts'

interface Grant {
  addOIDCScope(scope: string): void
  addResourceScope(resource: string, scope: string): void
  save(): Promise<string>
}

interface Provider {
  readonly Grant: new (of: { readonly accountId: string; readonly clientId: string }) => Grant
  callback(): (request: IncomingMessage, response: ServerResponse) => void
  interactionDetails(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<{
    readonly prompt: { readonly name: string }
    readonly params: Readonly<Record<string, string>>
    readonly session?: { readonly accountId: string }
  }>
  interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>
}

const Provider = UntypedProvider as new (issuer: string, configuration: object) => Provider

/** What the provider knows of a user. */
export interface OidcUser {
  readonly email?: string
  readonly email_verified?: boolean
  readonly groups?: readonly string[]
  readonly [claim: string]: unknown
}

export interface OidcTokens {
  readonly idToken: string
  readonly accessToken: string
  /** Of the browser: for `logout`. */
  readonly cookies: CookieJar
}

type CookieJar = Map<string, string>

export interface OidcProviderOptions {
  /** By the subject. */
  readonly users?: Readonly<Record<string, OidcUser>>
  /** Where logout tokens are sent: the gateway, or a stand-in. */
  readonly backchannelLogoutUri?: string
}

export interface OidcProvider {
  readonly issuer: string
  readonly client: { readonly id: string; readonly secret: string }
  /** Requests that were answered, by path. */
  readonly requests: ReadonlyMap<string, number>
  /** Changes take effect with the next token. */
  readonly users: Record<string, OidcUser>
  /** A person in a browser; `resource`: a JWT access token for it, else an opaque one. */
  login(user: string, options?: { readonly resource?: string }): Promise<OidcTokens>
  /** The person's session ends; the provider tells by back channel. */
  logout(tokens: OidcTokens): Promise<void>
  revoke(token: string): Promise<void>
  /** A JWT with the newest key. `header` may say another `kid`, `typ` or more. */
  sign(claims: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): Promise<string>
  /** Private JWKs, newest first. */
  readonly keys: readonly JWK[]
  /** A new key for what is signed from now on; the old ones stay, or do not. */
  rotate(options?: { readonly keepOld?: boolean }): Promise<void>
  stop(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

const REDIRECT_URI = 'https://app.example.com/callback'
const SCOPE = 'openid profile'

export async function startOidcProvider(options: OidcProviderOptions = {}): Promise<OidcProvider> {
  const provider = new RunningProvider(options, await sparePort())
  await provider.rotate()
  return provider
}

class RunningProvider implements OidcProvider {
  readonly issuer: string
  readonly client = { id: 'fleetgraph', secret: 'a secret with spaces: and colons' }
  readonly requests = new Map<string, number>()
  readonly users: Record<string, OidcUser>
  readonly #port: number
  readonly #options: OidcProviderOptions
  keys: readonly JWK[] = []
  #server: Server | undefined
  #provider: Provider | undefined

  constructor(options: OidcProviderOptions, port: number) {
    this.#options = options
    this.#port = port
    this.issuer = `http://127.0.0.1:${port}`
    this.users = { ...options.users }
  }

  async rotate({ keepOld = true } = {}): Promise<void> {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true })
    const key: JWK = { ...(await exportJWK(privateKey)), kid: randomUUID(), alg: 'RS256', use: 'sig' }
    this.keys = [key, ...(keepOld ? this.keys : [])]
    await this.stop()
    this.#provider = new Provider(this.issuer, this.#configuration())
    await this.start()
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => this.#answer(request, response))
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#server = server
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server) return
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }

  close(): Promise<void> {
    return this.stop()
  }

  async sign(
    claims: Readonly<Record<string, unknown>>,
    header: Readonly<Record<string, unknown>> = {},
  ): Promise<string> {
    const [key] = this.keys
    const protectedHeader = { alg: 'RS256', kid: key!.kid!, ...header }
    return new SignJWT({ ...claims }).setProtectedHeader(protectedHeader).sign(await importJWK(key!, 'RS256'))
  }

  async login(user: string, { resource }: { readonly resource?: string } = {}): Promise<OidcTokens> {
    const cookies: CookieJar = new Map()
    const query = new URLSearchParams({
      client_id: this.client.id,
      response_type: 'code',
      redirect_uri: REDIRECT_URI,
      scope: SCOPE,
      login_hint: user,
      ...(resource !== undefined && { resource }),
    })
    let next = `${this.issuer}/auth?${query}`
    while (!next.startsWith(REDIRECT_URI)) {
      const answer = await this.#browse(next, cookies)
      const location = answer.headers.get('location')
      if (location === null) throw new Error(`no redirect from ${next}: ${await answer.text()}`)
      next = new URL(location, this.issuer).href
    }
    const code = new URL(next).searchParams.get('code')
    if (code === null) throw new Error(`no code: ${next}`)
    const { id_token, access_token } = (await this.#post('/token', {
      grant_type: 'authorization_code',
      code,
      redirect_uri: REDIRECT_URI,
      ...(resource !== undefined && { resource }),
    })) as { id_token: string; access_token: string }
    return { idToken: id_token, accessToken: access_token, cookies }
  }

  async logout({ cookies, idToken }: OidcTokens): Promise<void> {
    const page = await this.#browse(`${this.issuer}/session/end?id_token_hint=${idToken}`, cookies)
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(await page.text())?.[1]
    if (xsrf === undefined) throw new Error('no form to log out with')
    await this.#browse(`${this.issuer}/session/end/confirm`, cookies, { xsrf, logout: 'yes' })
  }

  async revoke(token: string): Promise<void> {
    await this.#post('/token/revocation', { token })
  }

  async #post(path: string, form: Readonly<Record<string, string>>): Promise<unknown> {
    const { id, secret } = this.client
    const basic = [id, secret].map((text) => encodeURIComponent(text)).join(':')
    const answer = await fetch(`${this.issuer}${path}`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(basic).toString('base64')}` },
      body: new URLSearchParams(form),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status} ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }

  async #browse(url: string, cookies: CookieJar, form?: Readonly<Record<string, string>>): Promise<Response> {
    const answer = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    })
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (name !== undefined && value) cookies.set(name, value)
      else if (name !== undefined) cookies.delete(name)
    }
    return answer
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url?.split('?', 1)[0] ?? ''
    this.requests.set(path, (this.requests.get(path) ?? 0) + 1)
    // Or the next request of a test could meet a connection that a rotation has cut.
    response.setHeader('connection', 'close')
    if (path.startsWith('/interaction/')) {
      this.#interact(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
    } else this.#provider!.callback()(request, response)
  }

  /** What a person would do on the provider's pages: be who was hinted at, and agree to everything. */
  async #interact(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const provider = this.#provider!
    const { prompt, params, session } = await provider.interactionDetails(request, response)
    if (prompt.name === 'login') {
      await provider.interactionFinished(request, response, { login: { accountId: params['login_hint'] } })
      return
    }
    const grant = new provider.Grant({ accountId: session!.accountId, clientId: params['client_id']! })
    grant.addOIDCScope(SCOPE)
    if (params['resource'] !== undefined) grant.addResourceScope(params['resource'], 'read')
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } })
  }

  #configuration(): object {
    const { backchannelLogoutUri } = this.#options
    const { id, secret } = this.client
    const claimsOf = (sub: string) => ({ sub, ...this.users[sub] })
    return {
      jwks: { keys: this.keys },
      cookies: { keys: ['of the tests'] },
      clients: [
        {
          client_id: id,
          client_secret: secret,
          redirect_uris: [REDIRECT_URI],
          ...(backchannelLogoutUri !== undefined && {
            backchannel_logout_uri: backchannelLogoutUri,
            backchannel_logout_session_required: true,
          }),
        },
      ],
      scopes: ['openid', 'profile'],
      claims: { openid: ['sub'], profile: ['email', 'email_verified', 'groups', 'tenant'] },
      conformIdTokenClaims: false,
      findAccount: (_context: unknown, sub: string) => ({ accountId: sub, claims: () => claimsOf(sub) }),
      extraTokenClaims: (_context: unknown, token: { accountId: string; sessionUid?: string }) => ({
        ...this.users[token.accountId],
      }),
      // Its own fetch talks to nobody on loopback.
      fetch: (url: string, options: RequestInit & { dispatcher?: unknown }) => {
        const { dispatcher: _dispatcher, ...rest } = options
        return fetch(url, rest)
      },
      interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
      pkce: { required: () => false },
      ttl: {
        AccessToken: 3_600,
        AuthorizationCode: 60,
        Grant: 3_600,
        IdToken: 3_600,
        Interaction: 60,
        Session: 3_600,
      },
      features: {
        devInteractions: { enabled: false },
        introspection: { enabled: true, allowedPolicy: () => true },
        revocation: { enabled: true, allowedPolicy: () => true },
        backchannelLogout: { enabled: true },
        rpInitiatedLogout: {
          enabled: true,
          logoutSource: (context: { body: string }, form: string) => void (context.body = form),
        },
        resourceIndicators: {
          enabled: true,
          useGrantedResource: () => true,
          getResourceServerInfo: (_context: unknown, resource: string) => ({
            scope: 'read',
            audience: resource,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
    }
  }
}
