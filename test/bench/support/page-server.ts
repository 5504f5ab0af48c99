/**
 * The server side of the page benchmarks, a process of its own: the real server over real tables, or plain
 * node:http doing `JSON.stringify` of the same answer. Told what to be by its arguments and what to answer
 * by IPC; reports its CPU time when asked.
 *
 * `changing`: a row changes before each request. `still`: nothing does. `limit`: plain node:http. `open` and
 * `namespaces`: as `changing`, over a fleet of 5,000 namespaces; without access control, and by the RBAC of its
 * clusters for a viewer who may list pods in 200 of them, and all nodes.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AuthorizedFleet } from '../../../src/access/authorized-fleet.ts'
import { createClusterPolicy } from '../../../src/access/cluster-policy.ts'
import { everything, type Policy } from '../../../src/access/policy.ts'
import { viewerOf } from '../../../src/access/viewer.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { createContext } from '../../../src/graph/context.ts'
import { createSchema } from '../../../src/graph/schema.ts'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import { silent } from '../../../src/server/logger.ts'
import { startServer } from '../../../src/server/server.ts'
import { FakeCluster, FakeFleet } from '../../support/fake-fleet.ts'
import { syntheticPod } from './pods.ts'

export type Mode = 'changing' | 'still' | 'limit' | 'open' | 'namespaces'

const mode = process.argv[2] as Mode

const CLUSTERS = ['prod-eu', 'prod-us', 'staging']
/** In the modes that have them: of five pods each. */
const NAMESPACES = 5_000
const MAY_SEE = 200
const HAS_NAMESPACES = mode === 'open' || mode === 'namespaces'

const PODS = HAS_NAMESPACES ? 5 * NAMESPACES : 5_000

/** Raw, as the mode has it. A version is a text: a table takes no number that is not above the one before. */
function podOf(i: number, version?: string): PodOnNode {
  const pod = JSON.parse(JSON.stringify(syntheticPod(i))) as PodOnNode
  if (version !== undefined) pod.metadata.resourceVersion = version
  if (HAS_NAMESPACES) pod.metadata.namespace = namespaceOf(i)
  return pod
}

const namespaceOf = (i: number) => `team-${String(i % NAMESPACES).padStart(4, '0')}`

function fleet(): FakeFleet {
  return new FakeFleet(
    ...CLUSTERS.map((name, index) => {
      const nodes = new Set<string>()
      const cluster = new FakeCluster(name)
      cluster.apply('Pod', { type: 'Init' })
      // One by one: as objects of the API they are thirty times as large.
      for (let i = index * PODS; i < (index + 1) * PODS; i++) {
        const pod = podOf(i)
        nodes.add(pod.spec.nodeName)
        cluster.apply('Pod', { type: 'InitApply', row: project('Pod')(pod, name) })
      }
      cluster.apply('Pod', { type: 'InitDone', resourceVersion: '100' })
      return cluster.load(
        'Node',
        Array.from(nodes, (name, i) => ({ metadata: { name, uid: `node-${i}`, resourceVersion: '1' } })),
      )
    }),
  )
}

interface PodOnNode {
  readonly metadata: { namespace: string; resourceVersion: string }
  readonly spec: { readonly nodeName: string }
}

/** A role in each of so many namespaces, spread over all of them, and one for all nodes. */
function withRoles(clusters: FakeFleet): FakeFleet {
  const rule = (resource: string) => ({
    verbs: ['get', 'list', 'watch'],
    apiGroups: [''],
    resources: [resource],
  })
  const role = (name: string, resource: string) => ({ metadata: metadataOf(name), rules: [rule(resource)] })
  const toDevelopers = (name: string) => ({
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'dev' }],
  })
  const bindings = Array.from({ length: MAY_SEE }, (_, i) => ({
    metadata: { ...metadataOf('developers'), namespace: namespaceOf(i * (NAMESPACES / MAY_SEE)) },
    ...toDevelopers('see-pods'),
  }))
  for (const cluster of clusters.clusters) {
    cluster
      .load('ClusterRole', [role('see-pods', 'pods'), role('see-nodes', 'nodes')])
      .load('Role', [])
      .load('RoleBinding', bindings)
      .load('ClusterRoleBinding', [{ metadata: metadataOf('nodes'), ...toDevelopers('see-nodes') }])
  }
  return clusters
}

function metadataOf(name: string) {
  return { name, uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
}

function policyOf(clusters: FakeFleet): Policy {
  if (mode !== 'namespaces') return everything
  return rbacOver(withRoles(clusters))
}

/** Nobody is asked anything: the clusters' own tables decide. */
function rbacOver(clusters: FakeFleet): Policy {
  const refuse = () => {
    throw new Error('Nothing is to be reviewed here.')
  }
  const reviews = {
    read: refuse,
    can: refuse,
    keyOf: refuse,
    revised: () => ({ revision: 0 }),
    onChange: () => () => {},
    close: () => {},
  }
  return createClusterPolicy({ fleet: clusters, clock: systemClock, modeOf: () => 'rbac', reviews })
}

/** Changes the rows of one cluster in turn: what a busy cluster does to every answer about it. */
function changer(cluster: FakeCluster): () => void {
  const row = (i: number, version: string) => project('Pod')(podOf(i, version), cluster.name)
  // Every second step changes the row back, so that each of them is a change.
  // Over many namespaces they are spread: as many of either viewer's page are new, and in the processor's cache.
  const apart = HAS_NAMESPACES ? 7 : 1
  const versions = Array.from({ length: 500 }, (_, i) => [
    row(i * apart, 'one'),
    row(i * apart, 'two'),
  ]).flat()
  let next = 0
  return () => {
    cluster.apply('Pod', { type: 'Apply', row: versions[next++ % versions.length]! })
  }
}

async function real(changing: boolean): Promise<number> {
  const clusters = fleet()
  const change = changing ? changer(clusters.clusters[0]!) : () => {}
  const policy = policyOf(clusters)
  const user = viewerOf({ name: 'bench', groups: ['dev', 'system:authenticated'] })
  const { url } = await startServer({
    schema: createSchema(),
    policy,
    fleet: clusters,
    access: {
      authenticate: () => {
        change()
        return user
      },
      onEnd: () => () => {},
      contextFor: (user, signal) => createContext(new AuthorizedFleet(clusters, user, policy), signal),
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

process.on('disconnect', () => process.exit(0))
process.on('message', (message: { cpu?: true }) => {
  if (message.cpu) {
    const { user, system } = process.cpuUsage()
    process.send!({ cpuMicros: user + system })
  }
})
process.send!({ port: mode === 'limit' ? await limit() : await real(mode !== 'still') })
