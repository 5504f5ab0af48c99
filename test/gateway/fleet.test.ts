/**
 * The gateway as a process over simulated clusters on real sockets: what it answers when clusters are
 * slow, dead, added and removed, and what it costs their API servers.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { ALL_KINDS, KINDS } from '../../src/kubernetes/kinds.ts'
import { startControllers } from '../../src/simulator/controllers/control-loop.ts'
import { startSimulator, type Simulator } from '../../src/simulator/simulator.ts'
import { eventually } from '../support/eventually.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'

interface Coverage {
  readonly cluster: string
  readonly state: string
  readonly reason: string | null
  readonly asOf: string | null
}

interface DeploymentsAnswer {
  readonly deployments: {
    readonly totalCount: number
    readonly nodes: readonly { readonly name: string; readonly cluster: { readonly name: string } }[]
    readonly coverage: readonly Coverage[]
  }
}

const DEPLOYMENTS = /* GraphQL */ `
  {
    deployments {
      totalCount
      nodes {
        name
        cluster {
          name
        }
      }
      coverage {
        cluster
        state
        reason
        asOf
      }
    }
  }
`

let directory: string
let open: { close(): Promise<unknown> }[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fleetgraph-clusters-'))
  open = []
})

afterEach(async () => {
  for (const each of open.toReversed()) await each.close()
  rmSync(directory, { recursive: true, force: true })
})

async function cluster(name: string): Promise<Simulator> {
  const simulator = await startSimulator({
    name,
    controllers: ({ registry, timeline, signal }) =>
      startControllers(registry, timeline, { speed: 50, signal }),
  })
  open.push(simulator)
  deploy(simulator, 'web')
  register(simulator)
  return simulator
}

function deploy(simulator: Simulator, name: string): void {
  simulator.registry.create(
    { group: 'apps', resource: 'deployments' },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: 'default' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: { containers: [{ name: 'main', image: 'nginx:1.29' }] },
        },
      },
    },
  )
}

/** As a deployment tool does: written beside, then renamed. */
function register(simulator: Simulator): void {
  const file = join(directory, `${simulator.name}.yaml`)
  writeFileSync(`${file}.tmp`, stringify(simulator.kubeconfig()))
  renameSync(`${file}.tmp`, file)
}

async function gateway(): Promise<GatewayProcess> {
  const started = await startGatewayProcess({ clusters: [{ type: 'directory', path: directory }] })
  open.push(started)
  return started
}

async function coverage(of: GatewayProcess): Promise<Readonly<Record<string, string>>> {
  const { deployments } = await of.query<DeploymentsAnswer>(DEPLOYMENTS)
  return Object.fromEntries(deployments.coverage.map((entry) => [entry.cluster, entry.state]))
}

function expectCoverage(of: GatewayProcess, expected: Readonly<Record<string, string>>): Promise<void> {
  return eventually(async () => expect(await coverage(of)).toEqual(expected), { timeoutMs: 30_000 })
}

describe('the gateway over a fleet', () => {
  it('answers for every cluster, and says which it could not reach, why, and how old what it shows is', async () => {
    const [east, west] = [await cluster('east'), await cluster('west'), await cluster('north')]
    const started = await gateway()
    await expectCoverage(started, { east: 'CURRENT', north: 'CURRENT', west: 'CURRENT' })

    east.faults.freeze()
    await west.faults.kill()
    await expectCoverage(started, { east: 'UNREACHABLE', north: 'CURRENT', west: 'UNREACHABLE' })

    const { deployments } = await started.query<DeploymentsAnswer>(DEPLOYMENTS)
    expect(deployments.nodes.map((node) => node.cluster.name)).toEqual(['east', 'north', 'west'])
    const [frozen, , dead] = deployments.coverage
    expect(frozen).toMatchObject({ cluster: 'east', reason: expect.stringMatching(/answer/i) })
    expect(dead).toMatchObject({ cluster: 'west', reason: expect.stringMatching(/cannot be reached/) })
    expect(Date.parse(frozen!.asOf!)).toBeLessThanOrEqual(Date.now())

    east.faults.thaw()
    await west.faults.revive()
    deploy(east, 'late')
    deploy(west, 'late')
    await expectCoverage(started, { east: 'CURRENT', north: 'CURRENT', west: 'CURRENT' })
    await eventually(async () => {
      const after = await started.query<DeploymentsAnswer>(DEPLOYMENTS)
      expect(after.deployments.totalCount).toBe(5)
    })
  })

  it('serves at once while no cluster answers, and says what is still syncing', async () => {
    const east = await cluster('east')
    east.faults.freeze()
    const started = await gateway()
    await eventually(async () => {
      const { deployments } = await started.query<DeploymentsAnswer>(DEPLOYMENTS)
      expect(deployments).toMatchObject({ nodes: [], coverage: [{ cluster: 'east', asOf: null }] })
      expect(['SYNCING', 'UNREACHABLE']).toContain(deployments.coverage[0]!.state)
    })
    east.faults.thaw()
    await expectCoverage(started, { east: 'CURRENT' })
  })

  it('watches each kind of a cluster once, however many ask', async () => {
    const east = await cluster('east')
    const started = await gateway()
    await expectCoverage(started, { east: 'CURRENT' })
    await eventually(() => expect(Object.keys(east.requests.watches)).toHaveLength(ALL_KINDS.length))
    const before = { ...east.requests.counts }
    await Promise.all(Array.from({ length: 200 }, () => started.query(DEPLOYMENTS)))
    const watched = Object.fromEntries(
      ALL_KINDS.map((kind) => [`${KINDS[kind].group}/${KINDS[kind].resource}`, 1]),
    )
    expect(east.requests.watches).toEqual(watched)
    const reads = (counts: Readonly<Record<string, number>>) =>
      Object.entries(counts).filter(([key]) => key.startsWith('list') || key.startsWith('watch'))
    expect(reads(east.requests.counts)).toEqual(reads(before))
  })

  it('takes clusters in and out as their files come and go, and disturbs no other', async () => {
    const east = await cluster('east')
    const started = await gateway()
    await expectCoverage(started, { east: 'CURRENT' })
    await eventually(() => expect(Object.keys(east.requests.watches)).toHaveLength(ALL_KINDS.length))
    const watchesBefore = east.requests.counts['watch /pods']

    await cluster('west')
    await expectCoverage(started, { east: 'CURRENT', west: 'CURRENT' })

    writeFileSync(join(directory, 'broken.yaml'), 'clusters: [')
    await eventually(() =>
      expect(started.log.some(({ msg }) => String(msg).includes('broken.yaml'))).toBe(true),
    )
    expect(await coverage(started)).toEqual({ east: 'CURRENT', west: 'CURRENT' })

    rmSync(join(directory, 'west.yaml'))
    await expectCoverage(started, { east: 'CURRENT' })
    expect(east.requests.counts['watch /pods']).toBe(watchesBefore)
  })

  it('connects anew with a token that was rotated in its kubeconfig', async () => {
    const east = await cluster('east')
    const started = await gateway()
    await expectCoverage(started, { east: 'CURRENT' })
    east.faults.rotateToken()
    east.faults.dropWatches()
    register(east)
    deploy(east, 'after')
    await eventually(
      async () => {
        const { deployments } = await started.query<DeploymentsAnswer>(DEPLOYMENTS)
        expect(deployments.totalCount).toBe(2)
        expect(deployments.coverage[0]!.state).toBe('CURRENT')
      },
      { timeoutMs: 30_000 },
    )
  })

  it('ends on SIGTERM with exit code 0, and its watches with it', async () => {
    const east = await cluster('east')
    const started = await gateway()
    await expectCoverage(started, { east: 'CURRENT' })
    expect(await started.close()).toBe(0)
    await eventually(() => expect(east.requests.watches).toEqual({}))
  })
})
