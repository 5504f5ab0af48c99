/**
 * The server side of the page benchmarks, a process of its own: the real server over real tables, or plain
 * node:http doing `JSON.stringify` of the same answer. Told what to be by its arguments and what to answer
 * by IPC; reports its CPU time when asked.
 *
 * `changing`: a row changes before each request. `still`: nothing does. `limit`: plain node:http.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AuthorizedFleet } from '../../../src/access/authorized-fleet.ts'
import { everything } from '../../../src/access/policy.ts'
import { viewerOf } from '../../../src/access/viewer.ts'
import { createContext } from '../../../src/graph/context.ts'
import { createSchema } from '../../../src/graph/schema.ts'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import { silent } from '../../../src/server/logger.ts'
import { startServer } from '../../../src/server/server.ts'
import { FakeCluster, FakeFleet } from '../../support/fake-fleet.ts'
import { syntheticPod } from './pods.ts'

export type Mode = 'changing' | 'still' | 'limit'

const CLUSTERS = ['prod-eu', 'prod-us', 'staging']
const PODS = 5_000

function fleet(): FakeFleet {
  return new FakeFleet(
    ...CLUSTERS.map((name, index) => {
      const pods = Array.from(
        { length: PODS },
        (_, i) => JSON.parse(JSON.stringify(syntheticPod(index * PODS + i))) as PodOnNode,
      )
      const nodes = [...new Set(pods.map(({ spec }) => spec.nodeName))]
      return new FakeCluster(name)
        .load(
          'Node',
          nodes.map((name, i) => ({ metadata: { name, uid: `node-${i}`, resourceVersion: '1' } })),
        )
        .load('Pod', pods)
    }),
  )
}

interface PodOnNode {
  readonly spec: { readonly nodeName: string }
}

/** Changes the rows of one cluster in turn: what a busy cluster does to every answer about it. */
function changer(cluster: FakeCluster): () => void {
  const row = (i: number, version: number) =>
    project('Pod')(JSON.parse(JSON.stringify(syntheticPod(i, version))), cluster.name)
  // Every second step changes the row back, so that each of them is a change.
  const versions = Array.from({ length: 500 }, (_, i) => [row(i, 1), row(i, 2)]).flat()
  let next = 0
  return () => {
    cluster.apply('Pod', { type: 'Apply', row: versions[next++ % versions.length]! })
  }
}

async function real(changing: boolean): Promise<number> {
  const clusters = fleet()
  const change = changing ? changer(clusters.clusters[0]!) : () => {}
  const user = viewerOf({ name: 'bench', groups: [] })
  const { url } = await startServer({
    schema: createSchema(),
    policy: everything,
    fleet: clusters,
    access: {
      authenticate: () => {
        change()
        return user
      },
      contextFor: (user, signal) => createContext(new AuthorizedFleet(clusters, user, everything), signal),
    },
    options: { port: 0 },
    logger: silent,
  })
  return Number(new URL(url).port)
}

function limit(): Promise<number> {
  let answer: unknown
  process.on('message', (message: { answer?: string }) => {
    if (message.answer !== undefined) answer = JSON.parse(message.answer)
  })
  const server = createServer((_request, response) => {
    const body = JSON.stringify(answer)
    response.writeHead(200, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    })
    response.end(body)
  })
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  )
}

const mode = process.argv[2] as Mode
process.on('disconnect', () => process.exit(0))
process.on('message', (message: { cpu?: true }) => {
  if (message.cpu) {
    const { user, system } = process.cpuUsage()
    process.send!({ cpuMicros: user + system })
  }
})
process.send!({ port: mode === 'limit' ? await limit() : await real(mode === 'changing') })
