/**
 * What the compiled rights of 10,000 users cost in memory, in a fleet of 50 clusters, when everyone has asked what
 * may be listed and watched of every kind in every cluster: users of 20 teams, whose rights coincide within each;
 * and users with a binding of their own.
 */
import { createClusterPolicy, type ClusterPolicy, type Reviews } from '../../src/access/cluster-policy.ts'
import { type Viewer, viewerOf } from '../../src/access/viewer.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { collectGarbage, type Figure } from './figure.ts'

const USERS = 10_000
const TEAMS = 20
const NAMESPACES_OF_A_TEAM = 5
const CLUSTERS = 50
const LIMIT = 2_048

const apiVersion = 'rbac.authorization.k8s.io/v1'
const apiGroup = 'rbac.authorization.k8s.io'

function heap(): number {
  collectGarbage()
  collectGarbage()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

const VIEW = {
  apiVersion,
  kind: 'ClusterRole',
  metadata: { name: 'view', uid: 'view', resourceVersion: '1' },
  rules: [
    {
      apiGroups: [''],
      resources: ['pods', 'services', 'configmaps', 'events'],
      verbs: ['get', 'list', 'watch'],
    },
    { apiGroups: ['apps', 'batch'], resources: ['*'], verbs: ['get', 'list', 'watch'] },
  ],
}

function bound(namespace: string, name: string, kind: 'User' | 'Group'): object {
  return {
    apiVersion,
    kind: 'RoleBinding',
    metadata: { namespace, name, uid: `${namespace}/${name}`, resourceVersion: '1' },
    roleRef: { apiGroup, kind: 'ClusterRole', name: 'view' },
    subjects: [{ apiGroup, kind, name }],
  }
}

function fleetOf(bindings: (cluster: number) => readonly object[]): FakeFleet {
  const clusters = Array.from({ length: CLUSTERS }, (_, i) =>
    new FakeCluster(`cluster-${i}`)
      .load('Role', [])
      .load('ClusterRole', [VIEW])
      .load('ClusterRoleBinding', [])
      .load('RoleBinding', bindings(i)),
  )
  return new FakeFleet(...clusters)
}

const NOBODY: Reviews = {
  read: () => ({ scope: undefined, state: 'UNKNOWN', reason: null, settled: null }),
  can: () => ({ allowed: null, reason: null }),
  keyOf: () => '',
  revised: () => ({ revision: 0 }),
  onChange: () => () => {},
  close() {},
}

function ask(policy: ClusterPolicy, fleet: FakeFleet, viewers: readonly Viewer[]): number {
  let shown = 0
  for (const viewer of viewers) {
    policy.rightsKey(viewer)
    for (const cluster of fleet.clusters) {
      for (const kind of ALL_KINDS) {
        if (policy.read(viewer, cluster, kind).scope !== undefined) shown++
        policy.read(viewer, cluster, kind, 'watch')
      }
    }
  }
  return shown
}

/** The least that such a question costs: the viewer is looked up, and the cluster. */
function lookUp(fleet: FakeFleet, viewers: readonly Viewer[]): void {
  const clusters = new Map(fleet.clusters.map((cluster, i) => [cluster, i]))
  const known = new WeakMap(viewers.map((viewer, i) => [viewer, i]))
  for (const viewer of viewers) {
    for (const cluster of fleet.clusters) {
      for (let i = 0; i < ALL_KINDS.length * 2; i++) {
        if (known.get(viewer) === clusters.get(cluster)) LOOKED_UP.count++
      }
    }
  }
}

/** So that the look-ups are made. */
const LOOKED_UP = { count: 0 }

function msOf(work: () => void): number {
  const began = performance.now()
  work()
  return performance.now() - began
}

/** Bytes a user, and nanoseconds a question. */
async function measure(
  name: string,
  fleet: FakeFleet,
  viewers: readonly Viewer[],
): Promise<readonly Figure[]> {
  const policy = createClusterPolicy({ fleet, clock: systemClock, modeOf: () => 'rbac', reviews: NOBODY })
  try {
    // What is made once, whoever asks.
    ask(policy, fleet, [viewerOf({ name: 'somebody', groups: [] })])
    const before = heap()
    const shown = ask(policy, fleet, viewers)
    if (shown === 0) throw new Error('The users of the benchmark may see nothing.')
    const bytes = (heap() - before) / viewers.length
    const reads = viewers.length * CLUSTERS * ALL_KINDS.length * 2
    const nsPerRead = (msOf(() => ask(policy, fleet, viewers)) * 1e6) / reads
    const nsPerLookUp = (msOf(() => lookUp(fleet, viewers)) * 1e6) / reads
    return [
      { name, value: bytes, unit: 'bytes', limit: LIMIT, target: { of: 'ratio', atMost: 1 } },
      { name: `${name}-read`, value: nsPerRead, unit: 'ns', limit: nsPerLookUp },
    ]
  } finally {
    await policy.close()
  }
}

const named = (i: number, groups: readonly string[] = []) =>
  viewerOf({ name: `user-${i}`, groups: [...groups, 'system:authenticated'] }, { method: 'OIDC' })

export async function bench(): Promise<readonly Figure[]> {
  const teams = fleetOf(() =>
    Array.from({ length: TEAMS * NAMESPACES_OF_A_TEAM }, (_, i) =>
      bound(`ns-${i}`, `team-${i % TEAMS}`, 'Group'),
    ),
  )
  const members = Array.from({ length: USERS }, (_, i) => named(i, [`team-${i % TEAMS}`, 'everyone']))
  const coinciding = await measure('access-users', teams, members)

  const perCluster = USERS / CLUSTERS
  const own = fleetOf((cluster) =>
    Array.from({ length: perCluster }, (_, i) =>
      bound(`ns-${i % 100}`, `user-${cluster * perCluster + i}`, 'User'),
    ),
  )
  const single = await measure(
    'access-users-own',
    own,
    Array.from({ length: USERS }, (_, i) => named(i)),
  )
  return [...coinciding, ...single]
}
