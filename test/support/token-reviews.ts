/**
 * The webhook that tells an API server under test whose a bearer token is, so that tests issue and revoke
 * tokens while it runs:
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication
 */
import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface TokenReviews {
  /** For the API server's webhook kubeconfig. */
  readonly url: string
  issue(user: string, groups: readonly string[]): string
  revoke(token: string): void
  close(): Promise<void>
}

export async function startTokenReviews(): Promise<TokenReviews> {
  const users = new Map<string, { username: string; uid: string; groups: readonly string[] }>()
  const server: Server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      const { apiVersion, spec } = JSON.parse(text) as { apiVersion: string; spec: { token: string } }
      const user = users.get(spec.token)
      const status = user ? { authenticated: true, user } : { authenticated: false }
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ apiVersion, kind: 'TokenReview', status }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    issue(username, groups) {
      const token = randomBytes(16).toString('hex')
      users.set(token, { username, uid: `uid-of-${username}`, groups })
      return token
    },
    revoke: (token) => void users.delete(token),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
