/**
 * 4,000 RoleBindings of one cluster change in a storm, as a watch tells them, while 300 users ask what they may
 * read, and streams of all of them are open: how long the event loop stands still at most, and how long after the
 * last change it is in force for everyone. The same for a relist, which tells all of them at once.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClusterPolicy, type Reviews } from '../../src/access/cluster-policy.ts'
import { type Viewer, viewerOf } from '../../src/access/viewer.ts'
import { Hub } from '../../src/events/hub.ts'
import type { Sink } from '../../src/events/live.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { Rows } from '../../src/kubernetes/rows.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { type Bench, longestBlockMs, median } from './figure.ts'

const BINDINGS = 4_000
const USERS = 300
/** Of them in the group that every second binding names. */
const MEMBERS = 150
const PODS = 2_000
const ROUNDS = 5
/** How many ask in one turn of the event loop. */
const ASKING = 100
/** What a watch brings in one turn of the event loop. */
const AT_A_TIME = 50
const BLOCK_MS = 25
const IN_FORCE_MS = 1_000

const apiVersion = 'rbac.authorization.k8s.io/v1'
const apiGroup = 'rbac.authorization.k8s.io'

const VIEW = {
  apiVersion,
  kind: 'ClusterRole',
  metadata: { name: 'view', uid: 'view', resourceVersion: '1' },
  rules: [{ apiGroups: [''], resources: ['pods', 'services'], verbs: ['get', 'list', 'watch'] }],
}

let version = 1_000

/** The binding in this state: whom it names depends on it. */
function binding(i: number, state: number): Rows['RoleBinding'] {
  const subjects = [{ apiGroup, kind: 'User', name: `user-${(i + state) % USERS}` }]
  if ((i + state) % 2 === 0) subjects.push({ apiGroup, kind: 'Group', name: 'members' })
  const object = {
    apiVersion,
    kind: 'RoleBinding',
    metadata: { namespace: `ns-${i}`, name: 'view', uid: `b-${i}`, resourceVersion: `${++version}` },
    roleRef: { apiGroup, kind: 'ClusterRole', name: 'view' },
    subjects,
  }
  return project('RoleBinding')(object, 'storm')
}

function pod(i: number): object {
  const metadata = { namespace: `ns-${i % BINDINGS}`, name: `pod-${i}`, uid: `p-${i}`, resourceVersion: '1' }
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [] }, status: { phase: 'Running' } }
}

const NOBODY: Reviews = {
  read: () => ({ scope: undefined, state: 'UNKNOWN', reason: null, settled: null }),
  can: () => ({ allowed: null, reason: null }),
  keyOf: () => '',
  revised: () => ({ revision: 0 }),
  onChange: () => () => {},
  close() {},
}

const PAYLOAD = Buffer.from('{}')
const NOWHERE: Sink = { ready: true, write() {}, onReady: undefined, end() {} }

interface Storm {
  readonly cluster: FakeCluster
  readonly viewers: readonly Viewer[]
  /** The next of them ask. */
  ask(): void
  /** Whether what the bindings say in this state is what their users may read. */
  isInForce(state: number): boolean
  close(): Promise<void>
}

function begin(): Storm {
  const cluster = new FakeCluster('storm')
    .load('Role', [])
    .load('ClusterRole', [VIEW])
    .load('ClusterRoleBinding', [])
    .load('RoleBinding', [])
    .load(
      'Pod',
      Array.from({ length: PODS }, (_, i) => pod(i)),
    )
  for (let i = 0; i < BINDINGS; i++) cluster.apply('RoleBinding', { type: 'Apply', row: binding(i, 0) })
  const fleet = new FakeFleet(cluster)
  const clock = systemClock
  const policy = createClusterPolicy({ fleet, clock, modeOf: () => 'rbac', reviews: NOBODY })
  const hub = new Hub({ fleet, clock })
  policy.onChange(() => hub.rightsChanged())
  const viewers = Array.from({ length: USERS }, (_, i) =>
    viewerOf({ name: `user-${i}`, groups: i < MEMBERS ? ['members'] : [] }),
  )
  for (const viewer of viewers) {
    hub.join({
      key: 'pods',
      eyes: {
        get key() {
          return policy.rightsKey(viewer)
        },
        scope: (cluster, kind) => policy.read(viewer, cluster, kind, 'watch').scope,
      },
      request: { type: 'rows', kinds: ['Pod'], clusters: () => true, selection: {}, throttleMs: 0 },
      render: (events) => events.map(() => PAYLOAD),
      start: { snapshot: false },
      sink: { ...NOWHERE },
    })
  }
  let asked = 0
  return {
    cluster,
    viewers,
    ask() {
      for (let i = 0; i < ASKING; i++) {
        const viewer = viewers[asked++ % USERS]!
        policy.rightsKey(viewer)
        policy.read(viewer, cluster, 'Pod')
        policy.read(viewer, cluster, 'Service', 'watch')
      }
    },
    isInForce(state) {
      return [BINDINGS - 1, BINDINGS - 2].every((i) => {
        const { scope } = policy.read(viewers[(i + state) % USERS]!, cluster, 'Pod')
        const { scope: before } = policy.read(viewers[(i + state - 1) % USERS]!, cluster, 'Pod')
        const shows = (some: typeof scope) =>
          some !== undefined && (some === 'all' || some.namespaces.has(`ns-${i}`))
        // A member may still see it as one.
        const isMember = (i + state - 1) % USERS < MEMBERS && (i + state) % 2 === 0
        return shows(scope) && (isMember || !shows(before))
      })
    },
    async close() {
      hub.close()
      await policy.close()
    },
  }
}

interface Measured {
  readonly blockMs: number
  readonly inForceMs: number
}

/** `change` resolves with when it made the last change. */
async function measure(storm: Storm, state: number, change: () => Promise<number>): Promise<Measured> {
  let inForceMs = Number.NaN
  // Everything that is there is told, and swept, before the clock starts.
  globalThis.gc?.()
  await sleep(200)
  const blockMs = await longestBlockMs(async () => {
    const last = await change()
    while (!storm.isInForce(state)) {
      if (performance.now() - last > 10_000) throw new Error('The last change does not come into force.')
      await sleep(1)
    }
    inForceMs = performance.now() - last
    // The streams have been told, too.
    await sleep(200)
  })
  return { blockMs, inForceMs }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

export const bench: Bench = async () => {
  const storm = begin()
  const { cluster } = storm
  const watched: Measured[] = []
  const relisted: Measured[] = []
  let alone = 0
  try {
    for (let state = 1; state <= 2 * ROUNDS + 2; state++) {
      const rows = Array.from({ length: BINDINGS }, (_, i) => binding(i, state))
      const isRelist = state % 2 === 0
      const measured = await measure(storm, state, async () => {
        if (isRelist) {
          cluster.apply('RoleBinding', { type: 'Init' })
          for (const row of rows) cluster.apply('RoleBinding', { type: 'InitApply', row })
          await turn()
          cluster.apply('RoleBinding', { type: 'InitDone', resourceVersion: `${++version}` })
          return performance.now()
        }
        let last = Number.NaN
        for (let i = 0; i < BINDINGS; i += AT_A_TIME) {
          for (const row of rows.slice(i, i + AT_A_TIME)) cluster.apply('RoleBinding', { type: 'Apply', row })
          last = performance.now()
          storm.ask()
          await turn()
        }
        return last
      })
      // The first of each warms up.
      if (state > 2) (isRelist ? relisted : watched).push(measured)
    }
  } finally {
    await storm.close()
  }
  // What the tables alone take, with nobody who decides anything.
  const bare = new FakeCluster('storm').load('RoleBinding', [])
  for (let round = 0; round < 3; round++) {
    const rows = Array.from({ length: BINDINGS }, (_, i) => binding(i, round))
    alone = await longestBlockMs(async () => {
      bare.apply('RoleBinding', { type: 'Init' })
      for (const row of rows) bare.apply('RoleBinding', { type: 'InitApply', row })
      await turn()
      bare.apply('RoleBinding', { type: 'InitDone', resourceVersion: `${++version}` })
      await turn()
    })
  }
  const block = (some: readonly Measured[]) => Math.max(...some.map(({ blockMs }) => blockMs))
  const inForce = (some: readonly Measured[]) => median(some.map(({ inForceMs }) => inForceMs))
  const target = { of: 'ratio', atMost: 1 } as const
  return [
    { name: 'access-storm', value: block(watched), unit: 'ms', limit: BLOCK_MS, target },
    { name: 'access-storm-in-force', value: inForce(watched), unit: 'ms', limit: IN_FORCE_MS, target },
    { name: 'access-storm-relist', value: block(relisted), unit: 'ms', limit: BLOCK_MS },
    { name: 'access-storm-relist-tables', value: alone, unit: 'ms', limit: BLOCK_MS },
    {
      name: 'access-storm-relist-in-force',
      value: inForce(relisted),
      unit: 'ms',
      limit: IN_FORCE_MS,
      target,
    },
  ]
}
