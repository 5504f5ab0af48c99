/**
 * The tour of a newcomer over two real control planes: from nothing to a link that answers, by GraphQL alone, first in
 * one cluster and then in both at once. The newcomer has what administrators give to a team: `edit` in its namespace.
 */
import { createClient, type Client } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { leastPrivilegedRole } from '../../src/fleet/least-privilege.ts'
import { eventually } from '../support/eventually.ts'
import { mayServe } from '../support/fake-balancer.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { startRealCluster, type RealCluster } from '../support/real-cluster.ts'
import { kubeconfigDirectory } from '../support/stormy-cluster.ts'
import { tokenFor } from '../support/test-tokens.ts'

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const GATEWAY_USER = 'fleetgraph-gateway'
const TEAM = 'shop'
const newcomer = tokenFor({ user: 'newcomer', groups: ['shop-team'] })

let clusters: readonly RealCluster[]
let gateway: GatewayProcess
let client: Client
const open: { close(): Promise<unknown> }[] = []
/** Whether the link can be opened: port 80 needs a process that may listen there. */
let isServed: boolean

function keep<T extends { close(): Promise<unknown> }>(one: T): T {
  open.push(one)
  return one
}

beforeAll(async () => {
  isServed = await mayServe(80)
  clusters = await Promise.all(
    ['alpha', 'beta'].map(async (name) =>
      keep(await startRealCluster({ name, nodes: 2, balance: isServed })),
    ),
  )
  for (const { plane } of clusters) {
    const { http } = plane
    const bind = (path: string, subject: { kind: string; name: string }, role: string) =>
      http.must(
        http.post(`${RBAC}${path}`, {
          metadata: { name: `test:${subject.name}` },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
          subjects: [{ apiGroup: 'rbac.authorization.k8s.io', ...subject }],
        }),
      )
    await http.must(http.post('/api/v1/namespaces', { metadata: { name: TEAM } }))
    await http.must(http.post(`${RBAC}/clusterroles`, leastPrivilegedRole()))
    await bind('/clusterrolebindings', { kind: 'User', name: GATEWAY_USER }, 'fleetgraph')
    await bind(`/namespaces/${TEAM}/rolebindings`, { kind: 'Group', name: 'shop-team' }, 'edit')
  }
  const { path } = keep(
    kubeconfigDirectory(
      clusters.map(({ plane }) => ({
        name: plane.name,
        kubeconfig: plane.kubeconfigWith({ token: plane.token(GATEWAY_USER) }),
      })),
    ),
  )
  gateway = keep(await startGatewayProcess({ clusters: [{ type: 'directory', path }] }, [newcomer]))
  client = createClient({
    url: gateway.url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${newcomer.token}` },
    retryAttempts: 0,
  })
  await eventually(
    async () => {
      const { pods } = await ask<{ pods: { coverage: readonly object[] } }>('{ pods { coverage { state } } }')
      expect(pods.coverage).toEqual([{ state: 'CURRENT' }, { state: 'CURRENT' }])
    },
    { timeoutMs: 60_000, everyMs: 100 },
  )
})

afterAll(async () => {
  await client?.dispose()
  for (const each of open.toReversed()) await each.close()
})

/** As the newcomer. */
function ask<T>(document: string, variables: object = {}): Promise<T> {
  return gateway.query<T>(document, variables as Readonly<Record<string, unknown>>, newcomer.token)
}

interface Result {
  readonly clusterName: string
  readonly kind: string
  readonly name: string
  readonly outcome: string
  readonly error: object | null
  readonly links: readonly { readonly url: string }[]
  readonly object: { readonly generation: number } | null
}

interface Payload {
  readonly summary: { readonly ok: boolean }
  readonly cursor: string | null
  readonly results: readonly Result[]
}

async function change(verb: string, input: object): Promise<Payload> {
  const type = `${verb.charAt(0).toUpperCase()}${verb.slice(1)}Input`
  const { payload } = await ask<{ payload: Payload }>(
    `mutation ($input: ${type}!) { payload: ${verb}(input: $input) {
      summary { ok } cursor
      results { clusterName kind name outcome error { code message } links { url } object { generation } }
    } }`,
    { input },
  )
  expect(payload.results.map(({ error }) => error)).toEqual(payload.results.map(() => null))
  expect(payload.summary.ok).toBe(true)
  return payload
}

interface PodChange {
  readonly type: string
  readonly cluster: { readonly name: string } | null
  readonly object: { readonly name: string; readonly status: string; readonly ready: boolean } | null
}

/** The pods of a workload as a stream tells of them; nothing else is asked. */
class Pods {
  readonly running = new Map<string, string>()
  readonly gone: string[] = []
  readonly ended: Promise<unknown>
  readonly #leave: () => void

  constructor(name: string, names: readonly string[]) {
    let leave: () => void = () => {}
    this.ended = new Promise((resolve) => {
      leave = client.subscribe<{ podChanges: PodChange }>(
        {
          query: `subscription ($filter: PodFilter) { podChanges(filter: $filter, snapshot: true) {
            type cluster { name } object { name status ready }
          } }`,
          variables: {
            filter: {
              clusters: names,
              namespaces: [TEAM],
              labelSelector: `app.kubernetes.io/name=${name}`,
            },
          },
        },
        {
          next: ({ data, errors }) => (data ? this.#take(data.podChanges) : resolve(errors)),
          error: resolve,
          complete: () => resolve(undefined),
        },
      )
    })
    this.#leave = leave
  }

  #take({ type, cluster, object }: PodChange): void {
    if (!object) return
    const { name, status, ready } = object
    if (type === 'DELETED') {
      this.running.delete(name)
      this.gone.push(name)
    } else if (status === 'Running' && ready) this.running.set(name, cluster!.name)
    else this.running.delete(name)
  }

  /** Resolves with their names when so many run in this cluster. */
  until(count: number, cluster: string): Promise<readonly string[]> {
    return eventually(
      () => {
        const names = [...this.running].filter(([, where]) => where === cluster).map(([name]) => name)
        if (names.length !== count) throw new Error(`${names.length} pods of ${cluster} run, not ${count}`)
        return names
      },
      { timeoutMs: 30_000 },
    )
  }

  leave(): void {
    this.#leave()
  }
}

/** Resolves with the last state when the rollout of this generation has come out. */
function rolledOut(cluster: string, name: string, generation: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let last = ''
    client.subscribe<{ rollout: { readonly status: string } }>(
      {
        query: `subscription ($cluster: String!, $namespace: String!, $name: String!, $generation: Float) {
          rollout(cluster: $cluster, namespace: $namespace, kind: Deployment, name: $name, generation: $generation,
            timeout: 60) { status }
        }`,
        variables: { cluster, namespace: TEAM, name, generation },
      },
      {
        next: ({ data }) => void (last = data?.rollout.status ?? last),
        error: (error) => reject(new Error(JSON.stringify(error))),
        complete: () => resolve(last),
      },
    )
  })
}

/** From nothing to a link that answers, in these clusters by one mutation each. */
async function tour(name: string, names: readonly string[]): Promise<void> {
  const selected = { selector: { clusters: names, namespaces: [TEAM], names: [name] } }
  const here = <T>(value: (cluster: string) => T) => names.map(value)

  // Deploy, with nothing but a name and an image.
  const deployed = await change('deploy', {
    targets: { clusters: names },
    name,
    namespace: TEAM,
    containers: [{ image: 'nginx' }],
  })
  expect(deployed.results).toMatchObject(
    here((clusterName) => ({ clusterName, kind: 'Deployment', name, outcome: 'CREATED' })),
  )
  const pods = new Pods(name, names)
  for (const { clusterName, object } of deployed.results) {
    expect(await rolledOut(clusterName, name, object!.generation)).toBe('COMPLETE')
  }

  // Deployment, ReplicaSet, pod: at once after the mutation for the first, and then as they come.
  const { deployments } = await ask<{ deployments: { nodes: readonly object[] } }>(
    `query ($cursor: String!, $names: [String!], $name: String!) @atLeast(cursor: $cursor) {
      deployments(filter: { clusters: $names, name: { equals: $name } }) { nodes {
        cluster { name } replicaSets { revision pods { nodes { name } } }
      } }
    }`,
    { cursor: deployed.cursor, names, name },
  )
  const first = new Map<string, string>()
  for (const cluster of names) first.set(cluster, (await pods.until(1, cluster))[0]!)
  expect(deployments.nodes).toEqual(
    here((cluster) => ({
      cluster: { name: cluster },
      replicaSets: [{ revision: 1, pods: { nodes: [{ name: first.get(cluster) }] } }],
    })),
  )

  // Three of them.
  const scaled = await change('scale', { targets: selected, to: 3 })
  expect(scaled.results).toMatchObject(here((clusterName) => ({ clusterName, name, outcome: 'UPDATED' })))
  const three = new Map<string, readonly string[]>()
  for (const cluster of names) three.set(cluster, await pods.until(3, cluster))

  // One goes, and another comes.
  const victims = here((cluster) => ({ cluster, namespace: TEAM, name: three.get(cluster)![0]! }))
  const deleted = await change('deletePod', { targets: { objects: victims } })
  expect(deleted.results).toMatchObject(
    victims.map((victim) => ({ clusterName: victim.cluster, name: victim.name, outcome: 'DELETED' })),
  )
  await eventually(
    () => expect(pods.gone).toEqual(expect.arrayContaining(victims.map((victim) => victim.name))),
    {
      timeoutMs: 30_000,
    },
  )
  for (const { cluster, name: victim } of victims) {
    const now = await pods.until(3, cluster)
    expect(now).not.toContain(victim)
    expect(now.filter((one) => !three.get(cluster)!.includes(one))).toHaveLength(1)
  }

  // Out into the world.
  const exposed = await change('expose', {
    targets: selected,
    type: 'LoadBalancer',
    ports: [{ port: 80 }],
    waitForAddressSeconds: 20,
  })
  expect(exposed.results).toMatchObject(
    here((clusterName) => ({
      clusterName,
      kind: 'Service',
      outcome: 'CREATED',
      links: [{ url: expect.stringMatching(/^http:\/\/[\d.]+:80$/) }],
    })),
  )
  const { services } = await eventually(
    async () => {
      const answer = await ask<{ services: { nodes: readonly ReadyService[] } }>(
        `query ($cursor: String!, $names: [String!], $name: String!) @atLeast(cursor: $cursor) {
          services(filter: { clusters: $names, name: { equals: $name } }) { nodes {
            links { kind url } endpointSlices { endpoints { ready pod { name ready } } }
          } }
        }`,
        { cursor: exposed.cursor, names, name },
      )
      for (const { endpointSlices } of answer.services.nodes) {
        const ready = endpointSlices.flatMap(({ endpoints }) => endpoints).filter((one) => one.ready)
        expect(ready).toHaveLength(3)
      }
      return answer
    },
    { timeoutMs: 30_000, everyMs: 50 },
  )
  expect(services.nodes).toHaveLength(names.length)
  for (const [i, { links, endpointSlices }] of services.nodes.entries()) {
    const { url } = exposed.results[i]!.links[0]!
    expect(links).toContainEqual({ kind: 'LOAD_BALANCER', url })
    const behind = endpointSlices.flatMap(({ endpoints }) => endpoints.map(({ pod }) => pod!.name))
    expect(behind.toSorted()).toEqual([...(await pods.until(3, names[i]!))].toSorted())
    if (!isServed) continue
    await eventually(
      async () => {
        const answered = new Set<string>()
        for (let i = 0; i < 3; i++) {
          const response = await fetch(url)
          expect(response.status).toBe(200)
          answered.add((await response.text()).trim())
        }
        expect([...answered].toSorted()).toEqual(behind.toSorted())
      },
      { timeoutMs: 10_000 },
    )
  }
  pods.leave()
}

interface ReadyService {
  readonly links: readonly { readonly kind: string; readonly url: string }[]
  readonly endpointSlices: readonly {
    readonly endpoints: readonly { readonly ready: boolean; readonly pod: { readonly name: string } | null }[]
  }[]
}

describe("a newcomer's tour over two real control planes", () => {
  it('leads from an image to a link that answers', () => tour('nginx', ['alpha']))

  it('leads there in both clusters by one mutation each', () => tour('nginx-everywhere', ['alpha', 'beta']))

  it('is made as the newcomer, and never as the gateway', async () => {
    await tour('nginx-audited', ['beta'])
    for (const { plane } of clusters) {
      const writes = (await plane.auditLog()).filter(
        ({ verb, user, objectRef }) =>
          user.username === GATEWAY_USER &&
          !['get', 'list', 'watch'].includes(verb) &&
          !objectRef?.resource?.endsWith('reviews'),
      )
      const last = new Set(writes.map(({ impersonatedUser }) => impersonatedUser?.username))
      if (plane.name === 'beta') expect(last).toEqual(new Set(['newcomer']))
      expect(last).not.toContain(undefined)
    }
  })

  it('ends where the newcomer has no rights, and says so', async () => {
    const { payload } = await ask<{ payload: { results: readonly object[] } }>(
      `mutation ($input: DeployInput!) { payload: deploy(input: $input) {
        results { clusterName outcome error { code mayHaveBeenApplied } }
      } }`,
      {
        input: {
          targets: { clusters: ['alpha', 'beta'] },
          name: 'elsewhere',
          namespace: 'default',
          containers: [{ image: 'nginx' }],
        },
      },
    )
    expect(payload.results).toEqual(
      ['alpha', 'beta'].map((clusterName) => ({
        clusterName,
        outcome: 'FORBIDDEN',
        error: { code: 'FORBIDDEN', mayHaveBeenApplied: false },
      })),
    )
  })
})
