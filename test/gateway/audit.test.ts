/**
 * The audit trail of a gateway as its users meet it: what was refused and what was read beyond lists is in
 * the file and in the graph, for those who may read it.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { KubernetesHttp } from '../support/kubernetes-http.ts'
import { startSimulatedCluster, type SimulatedCluster } from '../support/simulated-cluster.ts'
import { kubeconfigDirectory } from '../support/stormy-cluster.ts'
import { tokenFor } from '../support/test-tokens.ts'

const auditor = tokenFor({ user: 'auditor', groups: ['auditors'] })
const stranger = tokenFor({ user: 'stranger' })
const neighbour = tokenFor({ user: 'neighbour' })

let folder: string
let cluster: SimulatedCluster
let kubeconfigs: { readonly path: string; close(): Promise<void> }
let gateway: GatewayProcess

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fleetgraph-audit-'))
  cluster = await startSimulatedCluster({ name: 'lab', nodes: 1 })
  const kubeconfig = JSON.stringify(cluster.simulator.kubeconfig())
  kubeconfigs = kubeconfigDirectory([{ name: 'lab', kubeconfig }])
  gateway = await startGatewayProcess(
    {
      clusters: [{ type: 'directory', path: kubeconfigs.path }],
      audit: { file: join(folder, 'audit.jsonl'), readerGroups: ['auditors'] },
    },
    [auditor, stranger, neighbour],
  )
  await eventually(async () => {
    const { nodes } = await gateway.query<{ nodes: { coverage: readonly object[] } }>(
      '{ nodes { coverage { state } } }',
    )
    expect(nodes.coverage).toEqual([{ state: 'CURRENT' }])
  })
})

afterAll(async () => {
  await gateway.close()
  await cluster.close()
  await kubeconfigs.close()
  rmSync(folder, { recursive: true, force: true })
})

const EVENTS = `query Events { auditEvents(first: 50) { nodes {
  type outcome user { name } operationName clusters message
} } }`

it('tells who was refused what, and who read what beyond lists, and of no honest list', async () => {
  await gateway.query('query Mine { nodes { totalCount } }')
  await gateway.ask('query Hidden { nodes { totalCount } }', {}, stranger.token)
  await gateway.ask('query NoToken { viewer { name } }', {}, 'fg_nonsense')
  await gateway.query(
    'query Secret { resource(cluster: "lab", apiVersion: "v1", kind: "ServiceAccount", namespace: "default", name: "default") { manifest { yaml } } }',
  )
  await eventually(async () => {
    const { auditEvents } = await gateway.query<{ auditEvents: { nodes: readonly object[] } }>(
      EVENTS,
      {},
      auditor.token,
    )
    const told = auditEvents.nodes
    expect(told).toContainEqual(
      expect.objectContaining({
        type: 'DENIED',
        outcome: 'DENIED',
        user: { name: 'stranger' },
        operationName: 'Hidden',
        clusters: ['lab'],
      }),
    )
    expect(told).toContainEqual(expect.objectContaining({ type: 'SIGN_IN_FAILED', user: null }))
    expect(told).toContainEqual(
      expect.objectContaining({
        type: 'PRIVILEGED_READ',
        outcome: 'ALLOWED',
        user: { name: 'test-admin' },
        operationName: 'Secret',
      }),
    )
    expect(JSON.stringify(told)).not.toContain('"Mine"')
  })
  await eventually(() => {
    const lines = readFileSync(join(folder, 'audit.jsonl'), 'utf8').trim().split('\n')
    const types = lines.map((line) => (JSON.parse(line) as { type: string }).type)
    expect(new Set(types)).toEqual(new Set(['DENIED', 'SIGN_IN_FAILED', 'PRIVILEGED_READ']))
    expect(lines.join()).not.toContain('fg_nonsense')
  })
  expect(gateway.log.filter(({ audit }) => audit !== undefined).length).toBeGreaterThan(2)
})

/** The events of a subscription, as JSON, in order. */
async function* follow(query: string, token: string, signal: AbortSignal): AsyncGenerator<string> {
  const { body } = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${token}`,
    },
    body: JSON.stringify({ query }),
    signal,
  })
  let text = ''
  for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
    const lines = (text + chunk).split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice('data: '.length)
  }
}

it('tells of each stream that goes on and shows less than before, once, and of none that shows more', async () => {
  const { url, token } = cluster.simulator
  const http = new KubernetesHttp({ url, token })
  const stop = new AbortController()
  onTestFinished(async () => {
    stop.abort()
    await http.close()
  })
  const bindings = (namespace: string) =>
    `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`
  const bind = (namespace: string, user: string) =>
    http.must(
      http.post(bindings(namespace), {
        metadata: { name: `of-${user}` },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
      }),
    )
  for (const namespace of ['blue', 'green']) {
    await http.must(http.post('/api/v1/namespaces', { metadata: { name: namespace } }))
    const configMap = { metadata: { name: 'settings' }, data: {} }
    await http.must(http.post(`/api/v1/namespaces/${namespace}/configmaps`, configMap))
  }
  await bind('blue', 'stranger')
  await bind('blue', 'neighbour')

  /** What is there with each stream now. */
  const there = new Map<string, Set<string>>()
  const open = (name: string, of: typeof stranger, more = '') => {
    const seen = new Set<string>()
    there.set(name, seen)
    const query = `subscription ${name} { objectChanges(kinds: [ConfigMap], snapshot: true) {
      type object { namespace name ${more} } } }`
    const read = async () => {
      for await (const json of follow(query, of.token, stop.signal)) {
        const { type, object } = (JSON.parse(json) as { data: { objectChanges: Change } }).data.objectChanges
        if (type === 'RESYNC') seen.clear()
        if (object?.name !== 'settings') continue
        if (type === 'DELETED') seen.delete(object.namespace)
        else seen.add(object.namespace)
      }
    }
    read().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error
    })
  }
  open('Shared', stranger)
  open('ReadLive', stranger, 'manifest { yaml }')
  open('Untouched', neighbour)
  const show = (name: string) => [...there.get(name)!].toSorted()
  await eventually(() => {
    for (const name of there.keys()) expect(show(name)).toEqual(['blue'])
  })
  await bind('green', 'stranger')
  await eventually(() => {
    expect([...there.keys()].map(show)).toEqual([['blue', 'green'], ['blue', 'green'], ['blue']])
  })
  await http.must(http.delete(`${bindings('green')}/of-stranger`))
  await eventually(() => expect([...there.keys()].map(show)).toEqual([['blue'], ['blue'], ['blue']]))
  const losses = async () => {
    const query = `{ auditEvents(first: 50, filter: { types: [DENIED] }) { nodes {
      outcome user { name } operationName operationHash clusters message count } } }`
    const { auditEvents } = await gateway.query<{ auditEvents: { nodes: readonly Loss[] } }>(
      query,
      {},
      auditor.token,
    )
    return auditEvents.nodes.filter(({ message }) => message?.includes('rights were taken'))
  }
  await eventually(async () => {
    const told = await losses()
    expect(told).toHaveLength(2)
    expect(new Set(told.map(({ operationName }) => operationName))).toEqual(new Set(['ReadLive', 'Shared']))
    for (const loss of told) {
      expect(loss).toMatchObject({
        outcome: 'DENIED',
        user: { name: 'stranger' },
        clusters: ['lab'],
        count: 1,
        operationHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      })
    }
  })
})

interface Change {
  readonly type: string
  readonly object: { readonly namespace: string; readonly name: string } | null
}

interface Loss {
  readonly operationName: string | null
  readonly message: string | null
}

it('is shown to nobody whom the configuration does not name', async () => {
  const { errors } = await gateway.ask(EVENTS)
  expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }])
  expect(errors![0]!.message).toContain('audit.readerGroups')
})
