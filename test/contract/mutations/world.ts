/**
 * Where the mutations are judged: a gateway process over two clusters with controllers, simulated or real, each behind
 * a way that can break; and users of different rights. The gateway's own user has the least rights it can do with, so
 * that whatever is written is written as somebody else or not at all.
 */
import { leastPrivilegedRole } from '../../../src/fleet/least-privilege.ts'
import { startFaultyWay, type FaultyWay } from '../../support/faulty-way.ts'
import { startGatewayProcess, type GatewayProcess } from '../../support/gateway-process.ts'
import type { KubernetesHttp } from '../../support/kubernetes-http.ts'
import { eventually } from '../../support/eventually.ts'
import { kubeconfigDirectory } from '../../support/stormy-cluster.ts'
import { tokenFor } from '../../support/test-tokens.ts'

export const GATEWAY_USER = 'fleetgraph-gateway'

/** May change things in both clusters. */
export const ada = tokenFor({ user: 'ada', groups: ['changers'] })
/** May change things in alpha, and look at those of beta. */
export const half = tokenFor({ user: 'half' })
/** May change things in alpha, and nothing in beta. */
export const blind = tokenFor({ user: 'blind' })

/** Somebody's write, as the API server or the way to it has seen it. */
interface SeenWrite {
  /** Who has sent it. */
  readonly by: string
  /** As whom it was made; `undefined`: as themselves. */
  readonly as: string | undefined
  /** `POST /api/v1/namespaces/matrix/configmaps`. */
  readonly what: string
}

/** A cluster before there is a gateway: what is simulated or real about a world. */
export interface WorldCluster {
  readonly name: string
  /** An administrator, past the faulty way. */
  readonly http: KubernetesHttp
  /** PEM; `undefined` over plain HTTP. */
  readonly ca: string | undefined
  readonly url: string
  /** Of `GATEWAY_USER`, who has no rights yet. */
  readonly token: string
  /** SIGKILL, or what comes next to it. */
  kill(): Promise<void>
  /** With all that it held. */
  revive(): Promise<void>
  /** Connections stay, and nothing answers; what is on its way by then may be done after it. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Watches are told nothing from now on, so that memory falls behind; absent where that cannot be had. */
  holdWatches?(): void
  releaseWatches?(): void
  /** From the audit log of the API server; absent where it keeps none. */
  audit?(): Promise<readonly SeenWrite[]>
  close(): Promise<void>
}

export interface PlacedCluster extends WorldCluster {
  readonly way: FaultyWay
}

export interface World {
  readonly gateway: GatewayProcess
  readonly alpha: PlacedCluster
  /** The one that breaks. */
  readonly beta: PlacedCluster
  readonly clusters: readonly PlacedCluster[]
  /** All that the gateway has written. */
  writes(cluster: PlacedCluster): Promise<readonly SeenWrite[]>
  /** Resolves when the gateway says that of the cluster. */
  until(cluster: PlacedCluster, state: 'UP' | 'DOWN'): Promise<void>
  close(): Promise<void>
}

export const NAMESPACE = 'matrix'

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const EVERY = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete']
const READ = ['get', 'list', 'watch']
const KINDS_OF_MATRIX = [
  ['', ['configmaps', 'services', 'pods', 'pods/eviction', 'namespaces', 'nodes']],
  ['apps', ['deployments', 'deployments/scale', 'replicasets', 'controllerrevisions']],
  ['batch', ['jobs', 'cronjobs']],
  ['autoscaling', ['horizontalpodautoscalers']],
  ['networking.k8s.io', ['ingresses']],
] as const

function rulesFor(verbs: readonly string[]) {
  return KINDS_OF_MATRIX.map(([group, resources]) => ({ apiGroups: [group], resources, verbs }))
}

export async function startWorld(start: (name: string) => Promise<WorldCluster>): Promise<World> {
  const open: { close(): Promise<unknown> }[] = []
  const keep = <T extends { close(): Promise<unknown> }>(one: T): T => {
    open.push(one)
    return one
  }
  const close = async () => {
    for (const each of open.splice(0).toReversed()) await each.close()
  }
  try {
    const begun = await Promise.allSettled(['alpha', 'beta'].map(async (name) => keep(await start(name))))
    for (const each of begun) if (each.status === 'rejected') throw each.reason
    const clusters = await Promise.all(
      begun.map(async (each): Promise<PlacedCluster> => {
        const cluster = (each as PromiseFulfilledResult<WorldCluster>).value
        const { url, ca } = cluster
        const way = keep(await startFaultyWay(url, ca === undefined ? {} : { ca }))
        await furnish(cluster)
        return { ...cluster, way }
      }),
    )
    const { path } = keep(kubeconfigDirectory(clusters.map((cluster) => byTheWay(cluster))))
    const gateway = keep(
      await startGatewayProcess({ clusters: [{ type: 'directory', path }] }, [ada, half, blind]),
    )
    const [alpha, beta] = clusters as [PlacedCluster, PlacedCluster]
    const world: World = {
      gateway,
      alpha,
      beta,
      clusters,
      writes: async (cluster) =>
        (await cluster.audit?.()) ??
        cluster.way.passed.map(({ method, url, user }) => ({
          by: GATEWAY_USER,
          as: user,
          what: `${method} ${url}`,
        })),
      async until({ name }, state) {
        await eventually(
          async () => {
            const { cluster } = await gateway.query<{ cluster: { state: string } }>(
              'query ($name: String!) { cluster(name: $name) { state } }',
              { name },
            )
            if (cluster.state !== state) throw new Error(`${name} is ${cluster.state}`)
          },
          { timeoutMs: 60_000, everyMs: 50 },
        )
      },
      close,
    }
    await rightsAreKnown(world)
    return world
  } catch (error) {
    await close()
    throw error
  }
}

/** The namespace, and who may do what. */
async function furnish({ name, http }: WorldCluster): Promise<void> {
  const create = (path: string, body: object) => http.must(http.post(path, body))
  await create('/api/v1/namespaces', { metadata: { name: NAMESPACE } })
  const roles = [
    leastPrivilegedRole(),
    { metadata: { name: 'test:change' }, rules: rulesFor(EVERY) },
    { metadata: { name: 'test:look' }, rules: rulesFor(READ) },
  ]
  for (const role of roles) await create(`${RBAC}/clusterroles`, role)
  const bind = (subject: { kind: 'User' | 'Group'; name: string }, role: string) =>
    create(`${RBAC}/clusterrolebindings`, {
      metadata: { name: `test:${subject.name}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', ...subject }],
    })
  await bind({ kind: 'User', name: GATEWAY_USER }, 'fleetgraph')
  await bind({ kind: 'Group', name: 'changers' }, 'test:change')
  await bind({ kind: 'User', name: 'half' }, name === 'alpha' ? 'test:change' : 'test:look')
  if (name === 'alpha') await bind({ kind: 'User', name: 'blind' }, 'test:change')
  // Pods are refused until there is one.
  await eventually(() => http.must(http.get(`/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default`)), {
    timeoutMs: 30_000,
  })
}

function byTheWay({ name, token, way }: PlacedCluster) {
  const kubeconfig = JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: way.url } }],
    users: [{ name: 'gateway', user: { token } }],
    contexts: [{ name, context: { cluster: name, user: 'gateway' } }],
    'current-context': name,
  })
  return { name, kubeconfig }
}

/** Memory has all tables, and knows what the users may see. */
async function rightsAreKnown({ gateway }: World): Promise<void> {
  const expected = new Map([
    [ada.token, 2],
    [half.token, 2],
    [blind.token, 1],
  ])
  for (const [token, clusters] of expected) {
    await eventually(
      async () => {
        const { nodes } = await gateway.query<{ nodes: { coverage: readonly { state: string }[] } }>(
          '{ nodes { coverage { state } } }',
          {},
          token,
        )
        const current = nodes.coverage.filter(({ state }) => state === 'CURRENT').length
        if (current !== clusters) throw new Error(`${current} clusters are CURRENT, not ${clusters}`)
      },
      { timeoutMs: 60_000, everyMs: 50 },
    )
  }
}
