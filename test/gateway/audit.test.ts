/**
 * The audit trail of a gateway as its users meet it: what was refused and what was read beyond lists is in
 * the file and in the graph, for those who may read it.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { startSimulatedCluster, type SimulatedCluster } from '../support/simulated-cluster.ts'
import { kubeconfigDirectory } from '../support/stormy-cluster.ts'
import { tokenFor } from '../support/test-tokens.ts'

const auditor = tokenFor({ user: 'auditor', groups: ['auditors'] })
const stranger = tokenFor({ user: 'stranger' })

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
    [auditor, stranger],
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

it('is shown to nobody whom the configuration does not name', async () => {
  const { errors } = await gateway.ask(EVENTS)
  expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }])
  expect(errors![0]!.message).toContain('audit.readerGroups')
})
