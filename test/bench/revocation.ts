/**
 * How long after a RoleBinding is deleted – and made again – the last of three replicas has taken its objects
 * away from an open stream, and given them back: processes of their own, with a Redis between
 * them.
 */
import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { eventually } from '../support/eventually.ts'
import { KubernetesHttp } from '../support/kubernetes-http.ts'
import { startRedisServer } from '../support/redis-server.ts'
import { startReplicaSet } from '../support/replica-set.ts'
import { startSimulatedCluster } from '../support/simulated-cluster.ts'
import { kubeconfigDirectory } from '../support/stormy-cluster.ts'
import { tokenFor } from '../support/test-tokens.ts'
import { median, type Bench } from './figure.ts'

const ROUNDS = 20
/** What is promised. */
const SECOND = 1_000
const OBJECTS = 200
const BINDINGS = '/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings'
const BINDING = {
  metadata: { name: 'bench' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'reader' }],
}

const SUBSCRIPTION = `subscription {
  configMapChanges: objectChanges(kinds: [ConfigMap], snapshot: true) { type object { name } }
}`

interface Told {
  readonly configMapChanges: { readonly type: string; readonly object: { readonly name: string } | null }
}

export const bench: Bench = async () => {
  const reader = tokenFor({ user: 'reader' })
  const closing: (() => unknown)[] = []
  const keep = <T extends { close(): unknown }>(one: T): T => {
    closing.push(() => one.close())
    return one
  }
  try {
    const cluster = keep(await startSimulatedCluster({ name: 'bench', nodes: 1 }))
    const { url, token } = cluster.simulator
    const http = keep(new KubernetesHttp({ url, token }))
    await http.must(http.post('/api/v1/namespaces', { metadata: { name: 'shop' } }))
    for (let n = 0; n < OBJECTS; n++) {
      await http.must(http.post('/api/v1/namespaces/shop/configmaps', { metadata: { name: `c-${n}` } }))
    }
    const kubeconfig = JSON.stringify(cluster.simulator.kubeconfig())
    const { path } = keep(kubeconfigDirectory([{ name: 'bench', kubeconfig }]))
    const redis = keep(await startRedisServer())
    const replicas = keep(
      await startReplicaSet({
        redisUrl: redis.url,
        config: { clusters: [{ type: 'directory', path }] },
        tokens: [reader],
      }),
    )
    /** What each stream shows now. */
    const shown = replicas.urls.map((url) => {
      const names = new Set<string>()
      const client = createClient({
        url: url.replace('http', 'ws'),
        webSocketImpl: WebSocket,
        connectionParams: { authorization: `Bearer ${reader.token}` },
      })
      closing.push(() => client.dispose())
      client.subscribe<Told>(
        { query: SUBSCRIPTION },
        {
          next({ data }) {
            const { type, object } = data!.configMapChanges
            if (type === 'RESYNC') names.clear()
            if (!object?.name.startsWith('c-')) return
            if (type === 'DELETED') names.delete(object.name)
            else names.add(object.name)
          },
          error: (error) => {
            throw new Error(`the stream ended: ${JSON.stringify(error)}`)
          },
          complete: () => {},
        },
      )
      return names
    })
    const until = async (count: number): Promise<number> => {
      const times = await Promise.all(
        shown.map(async (names) => {
          await eventually(
            () => {
              if (names.size !== count) throw new Error(`${names.size} objects instead of ${count}`)
            },
            { timeoutMs: 10_000, everyMs: 1 },
          )
          return performance.now()
        }),
      )
      return Math.max(...times)
    }
    const took: number[] = []
    const gave: number[] = []
    for (let round = -2; round < ROUNDS; round++) {
      const granted = performance.now()
      await http.must(http.post(BINDINGS, BINDING))
      const seen = await until(OBJECTS)
      const revoked = performance.now()
      await http.must(http.delete(`${BINDINGS}/bench`))
      const gone = await until(0)
      if (round < 0) continue
      gave.push(seen - granted)
      took.push(gone - revoked)
    }
    const unit = `ms until the last of 3 replicas has told ${OBJECTS} objects`
    const limit = SECOND
    const target = { of: 'value', atMost: SECOND } as const
    return [
      { name: 'revocation', value: median(took), unit, limit },
      { name: 'revocation-worst', value: Math.max(...took), unit, limit, target },
      { name: 'grant-worst', value: Math.max(...gave), unit, limit, target },
    ]
  } finally {
    for (const close of closing.toReversed()) await close()
  }
}
