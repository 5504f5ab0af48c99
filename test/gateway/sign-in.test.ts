/**
 * Signing in, from a real OpenID provider to two replicas of the gateway as processes that share a Redis:
 * what people see is what the clusters' RBAC says of the names in their tokens, and their streams end with
 * their sign-ins.
 */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type RawData, WebSocket } from 'ws'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { eventually } from '../support/eventually.ts'
import { KubernetesHttp } from '../support/kubernetes-http.ts'
import { startOidcProvider, type OidcProvider } from '../support/oidc-provider.ts'
import { startRedisServer } from '../support/redis-server.ts'
import { startSimulatedCluster, type SimulatedCluster } from '../support/simulated-cluster.ts'
import { sparePort } from '../support/spare-port.ts'
import { kubeconfigDirectory } from '../support/stormy-cluster.ts'

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const open: { close(): Promise<unknown> }[] = []
let provider: OidcProvider
let replicas: readonly GatewayProcess[]
let kubeconfigs: string
let cluster: SimulatedCluster
let http: KubernetesHttp

function keep<T extends { close(): Promise<unknown> }>(one: T): T {
  open.push(one)
  return one
}

async function namespace(name: string): Promise<void> {
  await http.must(http.post('/api/v1/namespaces', { metadata: { name } }))
  await http.must(
    http.post(`/api/v1/namespaces/${name}/configmaps`, { metadata: { name: 'settings' }, data: {} }),
  )
}

async function grant(namespace: string, subject: object): Promise<void> {
  await http.must(
    http.post(`${RBAC}/namespaces/${namespace}/rolebindings`, {
      metadata: { name: `test-${randomUUID()}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [subject],
    }),
  )
}

beforeAll(async () => {
  cluster = keep(await startSimulatedCluster({ name: 'lab', nodes: 1 }))
  const { url, token } = cluster.simulator
  http = keep(new KubernetesHttp({ url, token }))
  await Promise.all(['blue', 'green'].map(namespace))
  await grant('blue', { kind: 'Group', name: 'oidc:team-blue' })
  await grant('green', { kind: 'ServiceAccount', namespace: 'green', name: 'default' })

  const ports = [await sparePort(), await sparePort()] as const
  provider = keep(
    await startOidcProvider({
      users: {
        alice: { email: 'alice@example.com', groups: ['team-blue', 'system:masters'] },
        bob: { email: 'bob@example.com', groups: [] },
        carol: { email: 'carol@example.com', groups: ['team-blue'] },
      },
      backchannelLogoutUri: `http://127.0.0.1:${ports[0]}/logout/backchannel`,
    }),
  )
  const redis = keep(await startRedisServer())
  const { path } = keep(
    kubeconfigDirectory([{ name: 'lab', kubeconfig: JSON.stringify(cluster.simulator.kubeconfig()) }]),
  )
  kubeconfigs = path
  replicas = await Promise.all(
    ports.map(async (port) =>
      keep(
        await startGatewayProcess({
          server: { port },
          redis: { url: redis.url },
          clusters: [{ type: 'directory', path }],
          authentication: {
            oidc: [
              {
                issuer: provider.issuer,
                audiences: ['fleetgraph'],
                clockSkewSeconds: 0,
                username: { claim: 'sub', prefix: 'oidc:' },
                groups: { claim: 'groups', prefix: 'oidc:' },
                backchannelLogout: true,
              },
            ],
            tokenReviews: [{ cluster: 'lab', cacheSeconds: 300 }],
          },
        }),
      ),
    ),
  )
  const { idToken } = await provider.login('alice')
  for (const replica of replicas) {
    await eventually(async () => expect((await seen(replica, idToken)).names).toEqual(['blue/settings']), {
      timeoutMs: 20_000,
    })
  }
})

afterAll(async () => {
  for (const each of open.toReversed()) await each.close()
})

interface ConfigMaps {
  readonly viewer: { readonly name: string; readonly groups: readonly string[]; readonly method: string }
  readonly configMaps: { readonly nodes: readonly { readonly namespace: string; readonly name: string }[] }
}

async function seen(replica: GatewayProcess, token: string) {
  const { viewer, configMaps } = await replica.query<ConfigMaps>(
    `{ viewer { name groups method } configMaps(filter: { name: { equals: "settings" } }) { nodes { namespace name } } }`,
    {},
    token,
  )
  return { viewer, names: configMaps.nodes.map(({ namespace, name }) => `${namespace}/${name}`) }
}

async function refusal(replica: GatewayProcess, token: string): Promise<string | undefined> {
  const { errors } = await replica.ask('{ viewer { name } }', {}, token)
  return errors?.[0]?.extensions?.code
}

/** A raw client of graphql-transport-ws that follows configuration maps. */
class Socket {
  readonly names = new Set<string>()
  readonly pongs: Record<string, unknown>[] = []
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  readonly #socket: WebSocket

  constructor({ url }: GatewayProcess, token: string) {
    this.#socket = new WebSocket(url.replace(/^http/, 'ws'), 'graphql-transport-ws')
    this.#socket.on('open', () => this.#send({ type: 'connection_init', payload: bearer(token) }))
    this.#socket.on('message', (data) => this.#take(data))
    this.closed = new Promise((resolve) => {
      this.#socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    })
  }

  renew(token: string): void {
    this.#send({ type: 'ping', payload: { type: 'reauthenticate', ...bearer(token) } })
  }

  async close(): Promise<void> {
    this.#socket.terminate()
    await this.closed
  }

  #send(message: object): void {
    this.#socket.send(JSON.stringify(message))
  }

  #take(data: RawData): void {
    const message = JSON.parse((data as Buffer).toString()) as {
      readonly type: string
      readonly payload?: { readonly data: { readonly objectChanges: Change } } & Record<string, unknown>
    }
    if (message.type === 'connection_ack') {
      const query =
        'subscription { objectChanges(kinds: [ConfigMap], snapshot: true) { type object { namespace name } } }'
      this.#send({ type: 'subscribe', id: '1', payload: { query } })
    } else if (message.type === 'pong') this.pongs.push(message.payload ?? {})
    else if (message.type === 'next') {
      const { type, object } = message.payload!.data.objectChanges
      // Whoever was not told everything yet is told anew.
      if (type === 'RESYNC') this.names.clear()
      if (object?.name !== 'settings') return
      const name = `${object.namespace}/${object.name}`
      if (type === 'DELETED') this.names.delete(name)
      else this.names.add(name)
    }
  }
}

interface Change {
  readonly type: string
  readonly object: { readonly namespace: string; readonly name: string } | null
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** Seconds since the epoch. */
const now = () => Math.floor(Date.now() / 1_000)

function tokenFor(sub: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const claims = { iss: provider.issuer, aud: 'fleetgraph', sub, iat: now(), exp: now() + 300 }
  return provider.sign({ ...claims, ...provider.users[sub], ...more })
}

describe('whoever signs in at an OpenID provider', () => {
  it('is who the claims say, and sees what RBAC lets that name and those groups see', async () => {
    const alice = await provider.login('alice')
    const bob = await provider.login('bob')
    for (const replica of replicas) {
      expect(await seen(replica, alice.idToken)).toEqual({
        viewer: {
          name: 'oidc:alice',
          // Prefixed, it is no group of Kubernetes' own.
          groups: ['oidc:team-blue', 'oidc:system:masters', 'system:authenticated'],
          method: 'OIDC',
        },
        names: ['blue/settings'],
      })
      expect((await seen(replica, bob.idToken)).names).toEqual([])
    }
  })

  it('is taken with a key that the issuer has rotated to, without a restart', async () => {
    await provider.rotate({ keepOld: false })
    for (const replica of replicas) {
      await eventually(async () => expect(await refusal(replica, await tokenFor('alice'))).toBeUndefined(), {
        timeoutMs: 30_000,
        everyMs: 250,
      })
    }
  })

  it('is signed out at every replica by the provider: streams end with 4401, and the token is refused', async () => {
    const tokens = await provider.login('alice')
    const sockets = replicas.map((replica) => keep(new Socket(replica, tokens.idToken)))
    for (const socket of sockets) await eventually(() => expect([...socket.names]).toEqual(['blue/settings']))
    await provider.logout(tokens)
    for (const socket of sockets) expect(await socket.closed).toMatchObject({ code: 4401 })
    for (const replica of replicas) {
      expect(await refusal(replica, tokens.idToken)).toBe('UNAUTHENTICATED')
    }
  })

  it('loses the stream when the token ends, unless it was renewed on the socket; other groups show other objects', async () => {
    const [first, second] = replicas as [GatewayProcess, GatewayProcess]
    await grant('green', { kind: 'Group', name: 'oidc:team-green' })
    const brief = await tokenFor('carol', { exp: now() + 4 })
    const left = keep(new Socket(first, brief))
    const renewed = keep(new Socket(second, brief))
    for (const socket of [left, renewed]) {
      await eventually(() => expect([...socket.names]).toEqual(['blue/settings']))
    }
    renewed.renew(await tokenFor('carol', { groups: ['team-green'] }))
    await eventually(() => expect([...renewed.names]).toEqual(['green/settings']))
    expect(renewed.pongs).toMatchObject([{ type: 'reauthenticated' }])
    expect(await left.closed).toMatchObject({ code: 4401 })
    await grant('blue', { kind: 'User', name: 'oidc:carol' })
    await eventually(() => expect([...renewed.names].sort()).toEqual(['blue/settings', 'green/settings']))
    renewed.renew(await tokenFor('bob'))
    expect(await renewed.closed).toMatchObject({ code: 4403 })
  })
})

describe('a service account', () => {
  it('signs in with the token of its cluster, sees what it may there, and is out when it is deleted', async () => {
    const request = { spec: { audiences: [], expirationSeconds: 3_600 } }
    const { status } = (await http.must(
      http.post('/api/v1/namespaces/green/serviceaccounts/default/token', request),
    )) as unknown as { status: { token: string } }
    for (const replica of replicas) {
      expect(await seen(replica, status.token)).toMatchObject({
        viewer: { name: 'system:serviceaccount:green:default', method: 'TOKEN_REVIEW' },
        names: ['green/settings'],
      })
    }
    const socket = keep(new Socket(replicas[0]!, status.token))
    await eventually(() => expect([...socket.names]).toEqual(['green/settings']))
    const deletedAt = performance.now()
    await http.must(http.delete('/api/v1/namespaces/green/serviceaccounts/default'))
    expect(await socket.closed).toMatchObject({ code: 4401 })
    // Its answers would hold for minutes.
    expect(performance.now() - deletedAt).toBeLessThan(3_000)
  })
})

describe('a token that only its provider knows', () => {
  it('loses its streams about a second after it was revoked, and is refused then', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fleetgraph-introspection-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const clientSecretFile = join(folder, 'secret')
    writeFileSync(clientSecretFile, provider.client.secret)
    const gateway = keep(
      await startGatewayProcess({
        clusters: [{ type: 'directory', path: kubeconfigs }],
        authentication: {
          oidc: [
            {
              issuer: provider.issuer,
              audiences: [provider.client.id],
              username: { claim: 'sub', prefix: 'oidc:' },
              groups: { claim: 'groups', prefix: 'oidc:' },
              introspection: { clientId: provider.client.id, clientSecretFile, cacheSeconds: 300 },
            },
          ],
        },
      }),
    )
    const { accessToken } = await provider.login('alice')
    await eventually(async () => expect((await seen(gateway, accessToken)).names).toEqual(['blue/settings']))
    const sockets = [1, 2, 3].map(() => keep(new Socket(gateway, accessToken)))
    for (const socket of sockets) {
      await eventually(() => expect([...socket.names]).toEqual(['blue/settings']))
    }
    const asked = () => provider.requests.get('/token/introspection') ?? 0
    const [before, startedAt] = [asked(), performance.now()]
    await eventually(() => expect(asked()).toBeGreaterThanOrEqual(before + 3))
    // Once for all three, and no more often than each second.
    expect(performance.now() - startedAt).toBeGreaterThan(2_000)
    const revokedAt = performance.now()
    await provider.revoke(accessToken)
    for (const socket of sockets) expect(await socket.closed).toMatchObject({ code: 4401 })
    expect(performance.now() - revokedAt).toBeLessThan(3_000)
    expect(await refusal(gateway, accessToken)).toBe('UNAUTHENTICATED')
  })
})

describe('whoever shows a token that is no good', () => {
  it('is refused with 401 and told nothing of it, over every transport', async () => {
    const [replica] = replicas as [GatewayProcess]
    const stale = await tokenFor('alice', { exp: now() - 5 })
    for (const token of [stale, `${stale}x`, 'nonsense']) {
      const answer = await fetch(replica.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...bearer(token) },
        body: JSON.stringify({ query: '{ viewer { name } }' }),
      })
      expect(answer.status).toBe(401)
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
      expect(await answer.text()).not.toContain(token)
      const socket = keep(new Socket(replica, token))
      expect(await socket.closed).toMatchObject({ code: 4401 })
    }
    const nobody = await fetch(replica.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ viewer { name } }' }),
    })
    expect(nobody.status).toBe(401)
    for (const { log } of replicas) {
      expect(JSON.stringify(log)).not.toContain(stale.slice(0, 40))
    }
  })
})
