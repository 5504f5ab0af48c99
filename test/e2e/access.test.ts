/**
 * Who sees what, over two real control planes and three replicas with a Redis: users of different rights,
 * judged by what kubectl gives them, on queries and on streams; and a right that is taken away.
 */
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { ALL_KINDS, KINDS } from '../../src/kubernetes/kinds.ts'
import { churn } from '../support/churn.ts'
import { eventually } from '../support/eventually.ts'
import { startRedisServer, type RedisServer } from '../support/redis-server.ts'
import { startReplicaSet, type ReplicaSet } from '../support/replica-set.ts'
import { kubeconfigDirectory, realStormyCluster, type RealStormyCluster } from '../support/stormy-cluster.ts'
import { tokenFor, type TestToken } from '../support/test-tokens.ts'

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const OF_KUBERNETES = ['default', 'kube-node-lease', 'kube-public', 'kube-system']
const NAMESPACES = [...OF_KUBERNETES, 'churn-0', 'churn-1', 'churn-2']
const READ = ['get', 'list', 'watch']

/** Sees everything in alpha, and one namespace of beta. */
const ada = tokenFor({ user: 'ada' })
/** By a group: two namespaces of both clusters. */
const ben = tokenFor({ user: 'ben', groups: ['dev'] })
/** Single kinds, single names, and what needs no namespace. */
const cleo = tokenFor({ user: 'cleo', groups: ['ops', 'night'] })
/** Signed in, and nothing else. */
const dan = tokenFor({ user: 'dan' })
const users = [ada, ben, cleo, dan]

const open: { close(): Promise<unknown> }[] = []
let clusters: readonly RealStormyCluster[]
let redis: RedisServer
let replicas: ReplicaSet

function keep<T extends { close(): Promise<unknown> }>(one: T): T {
  open.push(one)
  return one
}

interface Binding {
  readonly name: string
  readonly namespace?: string
  readonly role: string
  readonly subject: { readonly kind: 'User' | 'Group'; readonly name: string }
}

const clusterRole = (name: string, rules: readonly object[]) => ({ metadata: { name }, rules })

async function grant(
  { http }: RealStormyCluster,
  { name, namespace, role, subject }: Binding,
): Promise<void> {
  const kind = namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding'
  const path = namespace === undefined ? '/clusterrolebindings' : `/namespaces/${namespace}/rolebindings`
  await http.must(
    http.post(RBAC + path, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind,
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', ...subject }],
    }),
  )
}

beforeAll(async () => {
  clusters = await Promise.all(['alpha', 'beta'].map(async (name) => keep(await realStormyCluster(name))))
  await Promise.all(
    clusters.map(({ http }, index) => churn({ http, seconds: 6, ratePerSecond: 40, seed: index + 1 })),
  )
  await Promise.all(clusters.map((cluster) => cluster.quieten()))
  const [alpha, beta] = clusters as [RealStormyCluster, RealStormyCluster]
  for (const { http } of clusters) {
    const roles = [
      clusterRole('test:services', [{ apiGroups: [''], resources: ['services', 'endpoints'], verbs: READ }]),
      clusterRole('test:nodes', [
        { apiGroups: [''], resources: ['nodes', 'persistentvolumes'], verbs: READ },
      ]),
      clusterRole('test:one-name', [
        { apiGroups: [''], resources: ['configmaps'], resourceNames: ['kube-root-ca.crt'], verbs: READ },
        { apiGroups: [''], resources: ['namespaces'], resourceNames: ['churn-1'], verbs: READ },
      ]),
      // Neither is enough for a list that is followed.
      clusterRole('test:get-only', [{ apiGroups: ['*'], resources: ['*'], verbs: ['get'] }]),
    ]
    for (const role of roles) await http.must(http.post(`${RBAC}/clusterroles`, role))
  }
  const user = (name: string) => ({ kind: 'User', name }) as const
  const group = (name: string) => ({ kind: 'Group', name }) as const
  await grant(alpha, { name: 'test:ada', role: 'view', subject: user('ada') })
  await grant(beta, { name: 'test:ada', namespace: 'churn-0', role: 'view', subject: user('ada') })
  for (const cluster of clusters) {
    for (const namespace of ['churn-1', 'churn-2']) {
      await grant(cluster, { name: 'test:dev', namespace, role: 'edit', subject: group('dev') })
    }
    await grant(cluster, { name: 'test:night', role: 'test:one-name', subject: group('night') })
    await grant(cluster, { name: 'test:dan', role: 'test:get-only', subject: user('dan') })
  }
  await grant(alpha, { name: 'test:ops', role: 'test:nodes', subject: group('ops') })
  await grant(beta, { name: 'test:ops', namespace: 'churn-2', role: 'test:services', subject: group('ops') })

  redis = keep(await startRedisServer())
  const { path } = keep(kubeconfigDirectory(clusters))
  replicas = keep(
    await startReplicaSet({
      redisUrl: redis.url,
      config: { clusters: [{ type: 'directory', path }] },
      tokens: users,
    }),
  )
  // Every table of every replica has its content before rights are compared.
  for (const { gateway } of replicas.replicas) {
    await eventually(
      async () => {
        const fields = ALL_KINDS.map((kind) => `${kind}: ${LISTS[kind]}(first: 1) { coverage { state } }`)
        const answer = await gateway.query<Record<string, { coverage: { state: string }[] }>>(
          `{ ${fields.join(' ')} }`,
        )
        for (const [kind, { coverage }] of Object.entries(answer)) {
          expect(
            coverage.map(({ state }) => state),
            kind,
          ).toEqual(['CURRENT', 'CURRENT'])
        }
      },
      { timeoutMs: 60_000, everyMs: 200 },
    )
  }
})

afterAll(async () => {
  for (const each of open.toReversed()) await each.close()
})

/** Root field of the list of each kind. */
const LISTS = Object.fromEntries(
  ALL_KINDS.map((kind) => {
    const camel = kind[0]!.toLowerCase() + kind.slice(1)
    const plural = /(s|x|ch)$/.test(camel)
      ? `${camel}es`
      : /[^aeiou]y$/.test(camel)
        ? `${camel.slice(0, -1)}ies`
        : `${camel}s`
    return [kind, plural]
  }),
) as Record<(typeof ALL_KINDS)[number], string>

/** `cluster resource namespace/name`, of all that kubectl gives this user, one namespace after the other and all at once. */
async function fromKubectl(user: TestToken): Promise<Set<string>> {
  const found = new Set<string>()
  const resources = ALL_KINDS.map((kind) => {
    const { group, resource } = KINDS[kind]
    return group === '' ? resource : `${resource}.${group}`
  })
  const as = [`--as=${user.user}`, ...(user.groups ?? []).map((group) => `--as-group=${group}`)]
  for (const cluster of clusters) {
    const get = async (...args: string[]) => {
      const { stdout } = await cluster.kubectl('get', ...args, ...as, '-o', 'json')
      if (stdout.trim() === '') return
      const { items } = JSON.parse(stdout) as {
        items: readonly { kind: string; metadata: { namespace?: string; name: string } }[]
      }
      for (const { kind, metadata } of items) {
        found.add(`${cluster.name} ${kind} ${metadata.namespace ?? ''}/${metadata.name}`)
      }
    }
    // What may not be listed is an error on standard error; the rest is printed all the same.
    await get(resources.join(), '-A')
    for (const namespace of NAMESPACES) {
      await get(resources.join(), '-n', namespace)
      // Of rights to single names kubectl knows by a selector for the name only.
      await get('configmaps', '-n', namespace, '--field-selector=metadata.name=kube-root-ca.crt')
    }
    await get('namespaces', '--field-selector=metadata.name=churn-1')
  }
  return found
}

interface Listed {
  readonly kind: string
  readonly cluster: { readonly name: string }
  readonly namespace: string | null
  readonly name: string
}

function lineOf({ kind, cluster, namespace, name }: Listed): string {
  return `${cluster.name} ${kind} ${namespace ?? ''}/${name}`
}

/** The same from lists of a replica, page by page. */
async function fromLists(replica: number, user: TestToken): Promise<Set<string>> {
  const found = new Set<string>()
  const { gateway } = replicas.replicas[replica]!
  for (const kind of ALL_KINDS) {
    const list = LISTS[kind]
    let after: string | null = null
    do {
      const answer: Record<
        string,
        { totalCount: number; nodes: Listed[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } }
      > = await gateway.query(
        `query ($after: String) { ${list}(first: 200, after: $after) {
           totalCount nodes { kind cluster { name } namespace name } pageInfo { hasNextPage endCursor }
         } }`,
        { after },
        user.token,
      )
      const page = answer[list]!
      for (const node of page.nodes) found.add(lineOf(node))
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null
    } while (after !== null)
  }
  return found
}

interface Told {
  readonly type: string
  readonly deletedReason: string | null
  readonly object: Listed | null
}

/** What a stream has told so far, as the set that it leaves behind; and every event with its time. */
class Copy {
  readonly lines = new Set<string>()
  readonly lost: { readonly line: string; readonly reason: string | null }[] = []
  synced = false
  readonly #client
  readonly ended: Promise<unknown>

  constructor(url: string, user: TestToken) {
    this.#client = createClient({
      url: url.replace(/^http/, 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${user.token}` },
      retryAttempts: 0,
      lazy: false,
      onNonLazyError: () => undefined,
    })
    this.ended = new Promise((resolve) => {
      this.#client.subscribe<{ objectChanges: Told }>(
        {
          query: `subscription ($kinds: [Kind!]!) { objectChanges(kinds: $kinds, snapshot: true) {
            type deletedReason object { kind cluster { name } namespace name }
          } }`,
          variables: { kinds: ALL_KINDS },
        },
        {
          next: ({ data, errors }) => (data ? this.#take(data.objectChanges) : resolve(errors)),
          error: resolve,
          complete: () => resolve(undefined),
        },
      )
    })
  }

  #take({ type, object, deletedReason }: Told): void {
    if (type === 'SYNCED') this.synced = true
    if (type === 'RESYNC') this.lines.clear()
    if (!object) return
    const line = lineOf(object)
    if (type !== 'DELETED') {
      this.lines.add(line)
      return
    }
    this.lines.delete(line)
    this.lost.push({ line, reason: deletedReason })
  }

  async close(): Promise<void> {
    await this.#client.dispose()
  }
}

const sorted = (lines: Iterable<string>) => [...lines].sort()

describe('three replicas over two real control planes', () => {
  it('show every user what kubectl shows them, in lists and on streams, at each replica', async () => {
    for (const [index, user] of users.entries()) {
      await eventually(
        async () => {
          const [theirs, ours] = [await fromKubectl(user), await fromLists(index % 3, user)]
          expect(sorted(ours), user.user).toEqual(sorted(theirs))
        },
        { timeoutMs: 60_000, everyMs: 500 },
      )
      const copy = keep(new Copy(replicas.urls[(index + 1) % 3]!, user))
      await eventually(() => expect(copy.synced).toBe(true), { timeoutMs: 30_000 })
      await eventually(
        async () => expect(sorted(copy.lines), user.user).toEqual(sorted(await fromLists(index % 3, user))),
        { timeoutMs: 20_000, everyMs: 250 },
      )
      await copy.close()
    }
    expect((await fromLists(0, ada)).size).toBeGreaterThan(50)
    expect((await fromLists(0, ben)).size).toBeGreaterThan(20)
    expect((await fromLists(0, cleo)).size).toBeGreaterThan(10)
    expect(await fromLists(0, dan)).toEqual(new Set())
  })

  it('say of each cluster what may not be seen there, and why', async () => {
    const { gateway } = replicas.replicas[0]!
    const { pods } = await gateway.query<{ pods: { coverage: readonly object[] } }>(
      '{ pods { totalCount coverage { cluster state reason } } }',
      {},
      dan.token,
    )
    expect(pods).toEqual({
      totalCount: 0,
      coverage: ['alpha', 'beta'].map((cluster) => ({
        cluster,
        state: 'FORBIDDEN',
        reason: expect.stringContaining('may not list Pod objects'),
      })),
    })
  })

  it('ask the API server as the user for what is read live', async () => {
    const { gateway } = replicas.replicas[0]!
    const document = `query ($cluster: String!) {
      resource(cluster: $cluster, apiVersion: "v1", kind: "ConfigMap", namespace: "churn-0", name: "kube-root-ca.crt") {
        manifest { yaml error { code } }
      }
    }`
    const read = async (cluster: string, user: TestToken) => {
      const { data, errors } = await gateway.ask<{ resource: unknown }>(document, { cluster }, user.token)
      return JSON.stringify(data ?? errors)
    }
    expect(await read('beta', ada)).toContain('ca.crt')
    expect(await read('beta', ben)).toContain('FORBIDDEN')
    // Whoever may get an object reads it live, though no list shows it.
    expect(await read('beta', dan)).toContain('ca.crt')
    const seen = (await clusters[1]!.auditLog()).filter(
      ({ verb, objectRef, impersonatedUser }) =>
        verb === 'get' &&
        objectRef?.name === 'kube-root-ca.crt' &&
        impersonatedUser !== undefined &&
        objectRef.resource === 'configmaps',
    )
    expect(new Set(seen.map(({ impersonatedUser }) => impersonatedUser?.username))).toEqual(
      new Set(['ada', 'ben', 'dan']),
    )
  })

  it('take away at each replica what a deleted RoleBinding allowed, and bring it back', async () => {
    const [alpha] = clusters as [RealStormyCluster]
    const copies = replicas.urls.map((url) => keep(new Copy(url, ben)))
    for (const copy of copies) await eventually(() => expect(copy.synced).toBe(true), { timeoutMs: 30_000 })
    const mine = (line: string) => line.startsWith('alpha ') && line.includes(' churn-1/')
    const before = sorted([...copies[0]!.lines].filter(mine))
    expect(before.length).toBeGreaterThan(5)
    const count = async (replica: number) => {
      const { gateway } = replicas.replicas[replica]!
      const { configMaps } = await gateway.query<{ configMaps: { totalCount: number } }>(
        '{ configMaps(filter: { clusters: ["alpha"], namespaces: ["churn-1"] }) { totalCount } }',
        {},
        ben.token,
      )
      return configMaps.totalCount
    }
    expect(await count(0)).toBeGreaterThan(0)

    const { http } = alpha
    await http.must(http.delete(`${RBAC}/namespaces/churn-1/rolebindings/test:dev`))
    await Promise.all(
      copies.map(async (copy, replica) => {
        await eventually(() => expect([...copy.lines].filter(mine)).toEqual([]), {
          timeoutMs: 5_000,
          everyMs: 10,
        })
        expect(await count(replica)).toBe(0)
        const lost = copy.lost.filter(({ line }) => mine(line))
        expect(sorted(lost.map(({ line }) => line))).toEqual(before)
        expect(new Set(lost.map(({ reason }) => reason))).toEqual(new Set(['FORBIDDEN']))
      }),
    )

    await grant(alpha, {
      name: 'test:dev',
      namespace: 'churn-1',
      role: 'edit',
      subject: { kind: 'Group', name: 'dev' },
    })
    for (const [replica, copy] of copies.entries()) {
      await eventually(
        () => expect(sorted([...copy.lines].filter(mine)).length).toBeGreaterThanOrEqual(before.length),
        {
          timeoutMs: 5_000,
        },
      )
      await eventually(async () => expect(await count(replica)).toBeGreaterThan(0), { timeoutMs: 5_000 })
      await copy.close()
    }
  })
})
