/**
 * What the tests of the chatbot talk to: a gateway process that serves nothing but the trusted documents, over two
 * simulated clusters with controllers. `web` runs with two replicas in the namespace `shop` of both.
 */
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { createGatewayClient, type GatewayClient } from '../../examples/chatbot/gateway-client.ts'
import { FindWorkloads } from '../../examples/operations.ts'
import { eventually } from './eventually.ts'
import { startGatewayProcess, type GatewayProcess } from './gateway-process.ts'
import { KubernetesHttp, type KubeJson } from './kubernetes-http.ts'
import { startSimulatedCluster } from './simulated-cluster.ts'
import { kubeconfigDirectory } from './stormy-cluster.ts'
import { ADMIN, tokenFor, type TestToken } from './test-tokens.ts'

const TRUSTED = fileURLToPath(new URL('../../schema/operations', import.meta.url))
const DEPLOYMENTS = '/apis/apps/v1/namespaces/shop/deployments'

export interface ChatbotFleet {
  readonly gateway: GatewayProcess
  /** May do everything. */
  readonly operator: TestToken
  /** May look at everything that the role `view` shows, and change nothing. */
  readonly reader: TestToken
  /** The operator's. */
  readonly client: GatewayClient
  /** What stands in the cluster itself. */
  deployment(cluster: string): Promise<KubeJson & { readonly spec: { readonly replicas: number } }>
  /** How often the cluster was asked to change a Deployment's replicas or template, by its generation. */
  generation(cluster: string): Promise<number>
  /** Scales it past the gateway. */
  scale(cluster: string, replicas: number): Promise<void>
  close(): Promise<void>
}

export async function startChatbotFleet(): Promise<ChatbotFleet> {
  const names = ['prod-eu', 'prod-us']
  const clusters = await Promise.all(names.map((name) => startSimulatedCluster({ name, speed: 50 })))
  const kubeconfigs = kubeconfigDirectory(
    clusters.map(({ simulator }, i) => ({
      name: names[i]!,
      kubeconfig: JSON.stringify(simulator.kubeconfig()),
    })),
  )
  const https = clusters.map(({ simulator: { url, token } }) => new KubernetesHttp({ url, token }))
  const httpOf = (cluster: string) => https[names.indexOf(cluster)]!
  for (const http of https) {
    const of = (kind: string, name: string, apiVersion = 'v1') => ({ apiVersion, kind, metadata: { name } })
    await http.must(http.post('/api/v1/namespaces', of('Namespace', 'shop')))
    await http.must(http.post(DEPLOYMENTS, web()))
    await http.must(
      http.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
        ...of('ClusterRoleBinding', 'readers', 'rbac.authorization.k8s.io/v1'),
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'reader' }],
      }),
    )
  }
  const reader = tokenFor({ user: 'reader' })
  const gateway = await startGatewayProcess(
    {
      clusters: [{ type: 'directory', path: kubeconfigs.path }],
      server: { documents: 'trusted', documentsDirectory: TRUSTED },
    },
    [reader],
  )
  const client = createGatewayClient(gateway.url, ADMIN.token)
  const deployment: ChatbotFleet['deployment'] = async (cluster) => {
    const http = httpOf(cluster)
    return (await http.must(http.get(`${DEPLOYMENTS}/web`))) as Awaited<
      ReturnType<ChatbotFleet['deployment']>
    >
  }
  await eventually(
    async () => {
      const { workloads } = await client.ask(FindWorkloads, { name: { equals: 'web' } })
      expect(workloads.nodes.map(({ ready, rollout }) => [ready, rollout.status])).toEqual([
        [2, 'COMPLETE'],
        [2, 'COMPLETE'],
      ])
    },
    { timeoutMs: 30_000 },
  )
  return {
    gateway,
    operator: ADMIN,
    reader,
    client,
    deployment,
    generation: async (cluster) => (await deployment(cluster)).metadata.generation!,
    async scale(cluster, replicas) {
      const http = httpOf(cluster)
      await http.must(http.patch(`${DEPLOYMENTS}/web`, 'merge', { spec: { replicas } }))
    },
    async close() {
      await gateway.close()
      await Promise.all(https.map((http) => http.close()))
      await Promise.all(clusters.map((cluster) => cluster.close()))
      await kubeconfigs.close()
    },
  }
}

function web(): object {
  const labels = { app: 'web' }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'main', image: 'nginx:1.27' }] },
      },
    },
  }
}
