/**
 * `faulty-clusters`: the p99 of a fleet query while one of three clusters is frozen and one refuses
 * connections, against the same query while all are well. The gateway is a process of its own and the
 * query is different each time, so that no finished answer is kept; it asks for what every cluster has,
 * with its coverage. Rounds of both kinds alternate, so that what the machine does meanwhile hits both.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, request } from 'undici'
import { stringify } from 'yaml'
import { demoFleet } from '../../src/simulator/fixtures/demo-fleet.ts'
import { startSimulator, type ControlledCluster, type Simulator } from '../../src/simulator/simulator.ts'
import { eventually } from '../support/eventually.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { median, type Bench } from './figure.ts'

const ROUNDS = 5
const REQUESTS = 2_000

const QUERY = /* GraphQL */ `
  query ($since: DateTime) {
    nodes(filter: { createdAfter: $since }) { nodes { name ready roles } coverage { cluster state reason } }
    deployments(filter: { createdAfter: $since }) {
      totalCount
      nodes { name namespace ready desired rollout { status } }
      coverage { cluster state reason }
    }
  }
`

export const bench: Bench = async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-faulty-'))
  const agent = new Agent({ connections: 1 })
  const simulators: Simulator[] = []
  let gateway: GatewayProcess | undefined
  try {
    for (const fixture of demoFleet()) {
      const controllers = (cluster: ControlledCluster) => fixture.controllers(cluster)
      const simulator = await startSimulator({ name: fixture.name, controllers })
      simulators.push(simulator)
      writeFileSync(join(directory, `${fixture.name}.yaml`), stringify(simulator.kubeconfig()))
    }
    const running = await startGatewayProcess({
      clusters: [{ type: 'directory', path: directory }],
      log: { level: 'info' },
    })
    gateway = running
    const [, frozen, dead] = simulators as [Simulator, Simulator, Simulator]

    let serial = 0
    const ask = async (): Promise<readonly string[]> => {
      const since = new Date(serial++ * 1_000).toISOString()
      const { body } = await request(running.url, {
        dispatcher: agent,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: QUERY, variables: { since } }),
      })
      const { data } = (await body.json()) as { data: { nodes: { coverage: { state: string }[] } } }
      return data.nodes.coverage.map(({ state }) => state)
    }
    const untilStates = (...expected: string[]) =>
      eventually(
        async () => {
          const states = await ask()
          if (states.join() !== expected.join()) throw new Error(`coverage is ${states.join()}`)
        },
        { timeoutMs: 60_000, everyMs: 100 },
      )
    const p99 = async (): Promise<number> => {
      const times: number[] = []
      for (let n = 0; n < REQUESTS; n++) {
        const start = performance.now()
        await ask()
        times.push(performance.now() - start)
      }
      return times.sort((a, b) => a - b)[Math.floor(REQUESTS * 0.99)]!
    }

    const healthy: number[] = []
    const faulty: number[] = []
    await untilStates('CURRENT', 'CURRENT', 'CURRENT')
    await p99()
    for (let round = 0; round < ROUNDS; round++) {
      healthy.push(await p99())
      frozen.faults.freeze()
      await dead.faults.kill()
      await untilStates('CURRENT', 'UNREACHABLE', 'UNREACHABLE')
      faulty.push(await p99())
      frozen.faults.thaw()
      await dead.faults.revive()
      await untilStates('CURRENT', 'CURRENT', 'CURRENT')
    }
    return [
      {
        name: 'faulty-clusters',
        value: median(faulty),
        unit: 'ms (p99)',
        limit: median(healthy),
        target: { of: 'ratio', atMost: 1.1 },
      },
    ]
  } finally {
    await gateway?.close()
    await agent.close()
    for (const simulator of simulators) await simulator.close()
    rmSync(directory, { recursive: true, force: true })
  }
}
