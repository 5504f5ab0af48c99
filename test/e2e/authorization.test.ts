/**
 * The truth about rights: what the gateway decides from the RBAC objects that it follows, against what a real
 * API server answers in SubjectAccessReviews and to lists. Policies are random; a failure names the seed, and
 * `FLEETGRAPH_SEED` repeats it.
 */
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClusterPolicy, type ClusterPolicy, type Reviews } from '../../src/access/cluster-policy.ts'
import type { Action } from '../../src/access/policy.ts'
import { type User, type Viewer, viewerOf } from '../../src/access/viewer.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import { type Cluster, createFleet, type Fleet } from '../../src/fleet/fleet.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import { kubeconfigSource } from '../../src/fleet/sources/kubeconfig-source.ts'
import { KINDS } from '../../src/kubernetes/kinds.ts'
import type { Kind } from '../../src/kubernetes/rows.ts'
import {
  action,
  keyOf,
  NAMESPACES,
  OBJECT_NAMES,
  policy as randomPolicy,
  privilegedUser,
  type RbacObject,
  type Rule,
  user as randomUser,
} from '../access/rbac/policies.ts'
import { startControlPlane, type ControlPlane } from '../support/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { at } from '../support/kubernetes-http.ts'

const seed = Number(process.env['FLEETGRAPH_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const ROUNDS = 12
const QUESTIONS = 2_400
const LISTS = 150
const AT_A_TIME = 48

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const RESOURCES = {
  Role: 'roles',
  ClusterRole: 'clusterroles',
  RoleBinding: 'rolebindings',
  ClusterRoleBinding: 'clusterrolebindings',
} as const

const unasked: Reviews = {
  read: () => expect.fail('the RBAC objects can be read'),
  can: () => expect.fail('the RBAC objects can be read'),
  keyOf: () => '',
  revised: () => ({ revision: 0 }),
  onChange: () => () => {},
  close() {},
}

let plane: ControlPlane
let fleet: Fleet
let cluster: Cluster
let policy: ClusterPolicy

beforeAll(async () => {
  plane = await startControlPlane({ name: 'authorization' })
  for (const name of NAMESPACES) {
    await plane.http.must(
      plane.http.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }),
    )
  }
  fleet = createFleet({ sources: [kubeconfigSource({ paths: [plane.kubeconfig.path] })] })
  policy = createClusterPolicy({ fleet, clock: systemClock, modeOf: () => 'rbac', reviews: unasked })
  cluster = await eventually(() => {
    const [only] = fleet.clusters
    if (!only) throw new Error('the fleet has no cluster yet')
    return only
  })
}, 180_000)

afterAll(async () => {
  await policy?.close()
  await fleet?.close()
  await plane?.close()
})

function pathOf({ kind, metadata: { namespace } }: RbacObject): string {
  return `${RBAC}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${RESOURCES[kind]}`
}

async function put(object: RbacObject): Promise<void> {
  const { http } = plane
  const path = pathOf(object)
  const created = await http.post(path, object)
  if (created.status === 409) {
    const named = `${path}/${encodeURIComponent(object.metadata.name)}`
    const updated = await http.put(named, object)
    // The role of a binding cannot be changed.
    if (updated.status === 422) {
      await http.must(http.delete(named))
      await http.must(http.post(path, object))
    } else await http.must(Promise.resolve(updated))
  } else await http.must(Promise.resolve(created))
}

/** Controllers copy what is aggregated; its order is theirs. */
async function untilAggregated(objects: readonly RbacObject[]): Promise<void> {
  // An API server writes no rules as null.
  const texts = (rules: readonly Rule[] | null) => new Set(rules?.map((rule) => JSON.stringify(rule)))
  await eventually(
    async () => {
      for (const { metadata, aggregationRule } of objects) {
        if (!aggregationRule) continue
        const parts = new Set(
          (at(aggregationRule, 'clusterRoleSelectors') as readonly unknown[]).map((selector) =>
            at(selector, 'matchLabels.part'),
          ),
        )
        const named = async (object: RbacObject) => {
          const { body } = await plane.http.get(`${pathOf(object)}/${object.metadata.name}`)
          return texts(body['rules'] as readonly Rule[] | null)
        }
        const expected = new Set<string>()
        for (const part of objects) {
          if (part.kind !== 'ClusterRole' || !parts.has(part.metadata.labels?.['part'])) continue
          for (const rule of await named(part)) expected.add(rule)
        }
        const found = await named({
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'ClusterRole',
          metadata,
        })
        if (found.symmetricDifference(expected).size > 0) {
          throw new Error(`${metadata.name} is not what its parts are: ${[...found].join(' ')}`)
        }
      }
    },
    { timeoutMs: 30_000, everyMs: 50 },
  )
}

async function isAllowed({ name, groups }: User, action: Action): Promise<boolean> {
  const body = await plane.http.must(
    plane.http.post('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: name, groups, resourceAttributes: action },
    }),
  )
  return at(body, 'status.allowed') === true
}

/** Written after all others: who has seen these four has seen all that were written before them. */
async function untilSeen(round: number): Promise<void> {
  const apiVersion = 'rbac.authorization.k8s.io/v1' as const
  const apiGroup = 'rbac.authorization.k8s.io'
  const [namespace] = NAMESPACES
  const marker: User = { name: `marker-${round}`, groups: [] }
  const subjects = [{ apiGroup, kind: 'User', name: marker.name }]
  const rules = (verb: string) => [{ verbs: [verb], apiGroups: ['marker'], resources: ['markers'] }]
  const roleRef = (kind: string) => ({ apiGroup, kind, name: 'marker' })
  const named = { name: 'marker' }
  await put({ apiVersion, kind: 'ClusterRole', metadata: named, rules: rules(`all-${round}`) })
  await put({ apiVersion, kind: 'Role', metadata: { namespace, ...named }, rules: rules(`one-${round}`) })
  await put({
    apiVersion,
    kind: 'ClusterRoleBinding',
    metadata: named,
    roleRef: roleRef('ClusterRole'),
    subjects,
  })
  await put({
    apiVersion,
    kind: 'RoleBinding',
    metadata: { namespace, ...named },
    roleRef: roleRef('Role'),
    subjects,
  })
  const actions: readonly Action[] = [
    { verb: `all-${round}`, group: 'marker', resource: 'markers' },
    { verb: `one-${round}`, group: 'marker', resource: 'markers', namespace },
  ]
  const viewer = viewerOf(marker)
  await eventually(
    async () => {
      for (const action of actions) {
        if (!(await isAllowed(marker, action))) throw new Error('the API server has not seen the markers')
        const verdict = await policy.can(viewer, cluster, action)
        if (!verdict.allowed) throw new Error(`the gateway has not seen the markers: ${verdict.reason}`)
      }
    },
    { timeoutMs: 30_000, everyMs: 20 },
  )
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]()
  const worker = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, worker))
}

function sample<T>(arbitrary: fc.Arbitrary<T>, count: number, round: number): T[] {
  return fc.sample(arbitrary, { numRuns: count, seed: seed + round })
}

let objects: readonly RbacObject[] = []

async function nextPolicy(round: number): Promise<void> {
  const [next = []] = sample(randomPolicy, 1, round)
  const staying = new Set(next.map(keyOf))
  await inParallel(
    objects.filter((object) => !staying.has(keyOf(object))),
    async (object) => {
      await plane.http.must(
        plane.http.delete(`${pathOf(object)}/${encodeURIComponent(object.metadata.name)}`),
      )
    },
  )
  await inParallel(next, put)
  objects = next
  await untilAggregated(next)
  await untilSeen(round)
}

function shows(scope: Scope | undefined, namespace: string, name: string): boolean {
  if (scope === undefined || scope === 'all') return scope === 'all'
  return (
    scope.namespaces.has(namespace) ||
    (scope.names?.has(name) ?? false) ||
    (scope.objects?.has(`${namespace}/${name}`) ?? false)
  )
}

/** Whether any list that an API server has for this object is answered. */
async function isListed(viewer: Viewer, kind: Kind, namespace: string, name: string): Promise<boolean> {
  const { group, versions, resource, namespaced } = KINDS[kind]
  const root = group === '' ? `/api/${versions[0]}` : `/apis/${group}/${versions[0]}`
  const headers = {
    'impersonate-user': viewer.user.name,
    ...(viewer.user.groups.length > 0 && { 'impersonate-group': [...viewer.user.groups] }),
  }
  const paths = [`${root}/${resource}`]
  if (namespaced) paths.push(`${root}/namespaces/${namespace}/${resource}`)
  for (const path of paths) {
    for (const query of ['?limit=1', `?limit=1&fieldSelector=metadata.name%3D${name}`]) {
      const { status, text } = await plane.http.get(path + query, { headers })
      if (status === 200) return true
      if (status !== 403) throw new Error(`${path}${query} is answered with ${status}: ${text}`)
    }
  }
  return false
}

describe('rights decided from RBAC objects', () => {
  it(`are those that the API server reviews (seed ${seed})`, async () => {
    const disagreements: string[] = []
    let asked = 0
    let allowed = 0
    for (let round = 0; round < ROUNDS; round++) {
      await nextPolicy(round)
      const users = sample(
        fc.oneof({ weight: 30, arbitrary: randomUser }, fc.constant(privilegedUser)),
        QUESTIONS,
        round,
      )
      const actions = sample(action, QUESTIONS, round)
      await inParallel(
        users.map((user, i) => ({ user, action: actions[i]! })),
        async ({ user, action }) => {
          const truth = await isAllowed(user, action)
          const ours = await policy.can(viewerOf(user), cluster, action)
          asked++
          if (truth) allowed++
          if (ours.allowed === truth) return
          disagreements.push(`round ${round}: ${JSON.stringify({ user, action, truth, ours })}`)
        },
      )
    }
    expect(disagreements.slice(0, 5), `seed ${seed}`).toEqual([])
    expect(asked).toBeGreaterThanOrEqual(20_000)
    // Neither nothing nor everything: the questions are good ones.
    expect(allowed / asked).toBeGreaterThan(0.05)
    expect(allowed / asked).toBeLessThan(0.9)
  })

  it(`show just what the API server lists (seed ${seed})`, async () => {
    const disagreements: string[] = []
    let shown = 0
    const question = fc.record({
      user: randomUser,
      kind: fc.constantFrom<Kind>('Pod', 'Pod', 'ConfigMap', 'Deployment', 'Namespace', 'Node'),
      namespace: fc.constantFrom(...NAMESPACES),
      name: fc.constantFrom(...OBJECT_NAMES),
    })
    for (let round = ROUNDS; round < 2 * ROUNDS; round++) {
      await nextPolicy(round)
      await inParallel(sample(question, LISTS, round), async ({ user, kind, namespace, name }) => {
        // Whoever is impersonated is authenticated.
        const viewer = viewerOf({ ...user, groups: [...new Set([...user.groups, 'system:authenticated'])] })
        const home = KINDS[kind].namespaced ? namespace : ''
        const truth = await isListed(viewer, kind, namespace, name)
        const { scope } = policy.read(viewer, cluster, kind)
        if (truth) shown++
        if (shows(scope, home, name) === truth) return
        disagreements.push(`round ${round}: ${JSON.stringify({ viewer, kind, namespace, name, truth })}`)
      })
    }
    expect(disagreements.slice(0, 5), `seed ${seed}`).toEqual([])
    expect(shown).toBeGreaterThan(0.01 * ROUNDS * LISTS)
  })
})
