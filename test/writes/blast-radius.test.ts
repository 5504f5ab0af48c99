import { describe, expect, it } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything, type Policy } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { ApiError, type ApiRequest } from '../../src/kubernetes/client.ts'
import type { KubernetesJson } from '../../src/kubernetes/json.ts'
import type { Kind } from '../../src/kubernetes/rows.ts'
import { computeBlastRadius } from '../../src/writes/blast-radius.ts'
import type {
  Action,
  Change,
  ChangeError,
  ChangeErrorCode,
  Outcome,
  Step,
  StepResult,
} from '../../src/writes/change.ts'
import { FakeCluster, FakeFleet, UP } from '../support/fake-fleet.ts'
import { ScopedPolicy } from '../support/scoped-policy.ts'

const alice = viewerOf({ name: 'alice', groups: ['dev'] })
const signal = new AbortController().signal

const template = (labels: Record<string, string>, cpu = '500m', memory = '1Gi', image = 'web:1') => ({
  metadata: { labels },
  spec: { containers: [{ name: 'main', image, resources: { requests: { cpu, memory } } }] },
})

function workload(kind: string, name: string, replicas: number, more: object = {}): KubernetesJson {
  const labels = { app: name }
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { namespace: 'shop', name, uid: `${kind}-${name}`, resourceVersion: '1' },
    spec: { replicas, selector: { matchLabels: labels }, template: template(labels), ...more },
  }
}

function owned(object: KubernetesJson, kind: string, name: string): KubernetesJson {
  const owner = { apiVersion: 'apps/v1', kind, name, uid: `${kind}-${name}`, controller: true }
  return { ...object, metadata: { ...object.metadata, ownerReferences: [owner] } }
}

function pod(
  name: string,
  app: string,
  nodeName = 'node-0',
  phase = 'Running',
  namespace = 'shop',
): KubernetesJson {
  const { metadata, spec } = template({ app })
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, namespace, name, uid: `pod-${namespace}-${name}`, resourceVersion: '1' },
    spec: { ...spec, nodeName },
    status: { phase },
  }
}

function node(name: string, more: object = {}, ready = 'True'): KubernetesJson {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      uid: name,
      resourceVersion: '1',
      labels: { disk: name === 'node-0' ? 'fast' : 'slow' },
    },
    spec: more,
    status: {
      allocatable: { cpu: '4', memory: '8Gi' },
      conditions: [{ type: 'Ready', status: ready }],
    },
  }
}

const budget = (name: string, app: string, disruptionsAllowed: number, namespace = 'shop') => ({
  metadata: { namespace, name },
  spec: { selector: { matchLabels: { app } } },
  status: { disruptionsAllowed },
})

/** A Deployment `web` of three pods, a StatefulSet `db` of two, and three nodes of 4 cores. */
function cluster(name = 'east', nodes = ['node-0', 'node-1', 'node-2'].map((id) => node(id))): FakeCluster {
  const pods = [
    ...['a', 'b', 'c'].map((id, index) =>
      owned(pod(`web-${id}`, 'web', `node-${index}`), 'ReplicaSet', 'web-1'),
    ),
    ...['0', '1'].map((id) => owned(pod(`db-${id}`, 'db', `node-${id}`), 'StatefulSet', 'db')),
    owned(pod('web-old', 'web', 'node-0', 'Succeeded'), 'ReplicaSet', 'web-1'),
    pod('alone', 'alone', 'node-2', 'Running', 'tools'),
  ]
  const fake = new FakeCluster(name)
  for (const kind of ['Job', 'CronJob', 'DaemonSet', 'HorizontalPodAutoscaler'] as const) fake.load(kind, [])
  fake
    .load('Deployment', [workload('Deployment', 'web', 3)])
    .load('ReplicaSet', [owned(workload('ReplicaSet', 'web-1', 3), 'Deployment', 'web')])
    .load('StatefulSet', [workload('StatefulSet', 'db', 2)])
    .load('Pod', pods)
    .load('Node', nodes)
  fake.answer = ({ path }) => {
    const namespace = /namespaces\/([^/]+)\/poddisruptionbudgets$/.exec(path)?.[1]
    const all = [budget('web', 'web', 1), budget('db', 'db', 0), budget('alone', 'alone', 0, 'tools')]
    return {
      items: all.filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace),
    }
  }
  return fake
}

interface Given {
  readonly outcome: Outcome
  readonly code?: ChangeErrorCode
  readonly action?: Action
  readonly before?: KubernetesJson
  readonly after?: KubernetesJson
  readonly cluster?: string
  /** Where there is neither `before` nor `after`. */
  readonly object?: KubernetesJson
}

const changeErrorOf = (code: ChangeErrorCode): ChangeError => ({
  code,
  message: '',
  causes: [],
  policy: null,
  mayHaveBeenApplied: false,
  retryAfterSeconds: null,
})

const DELETE: Action = { type: 'DELETE', ifPresent: false, untilGone: false }
const EVICT: Action = { type: 'EVICT', patienceMs: 0, untilGone: false }

function radius(fleet: FakeFleet, given: readonly Given[], policy: Policy = everything, until = signal) {
  const steps: Step[] = []
  const results: StepResult[] = []
  for (const [index, { outcome, before, after, cluster = 'east', ...rest }] of given.entries()) {
    const { apiVersion = 'v1', kind = '', metadata } = rest.object ?? after ?? before ?? {}
    const object = {
      cluster,
      apiVersion,
      kind,
      namespace: metadata?.namespace ?? null,
      name: metadata?.name ?? '',
    }
    const action = rest.action ?? { type: 'APPLY', manifest: {}, force: false }
    steps.push({ index, object, action, stage: 0, purpose: '' })
    results.push({
      index,
      object,
      purpose: '',
      outcome,
      dryRun: true,
      before: before ?? null,
      after: after ?? null,
      error: rest.code ? changeErrorOf(rest.code) : null,
      resourceVersion: null,
      note: null,
      startedAt: 0,
      finishedAt: 0,
    })
  }
  const change: Change = { verb: 'applyManifest', digest: '', steps, known: [], title: '' }
  return computeBlastRadius(new AuthorizedFleet(fleet, alice, policy), change, results, until)
}

const web = (replicas: number, more: object = {}) => workload('Deployment', 'web', replicas, more)
const newTemplate = { template: template({ app: 'web' }, '1', '2Gi', 'web:2') }
const GIB = 2 ** 30

describe('the blast radius', () => {
  it('is nothing where nothing changes', async () => {
    const result = await radius(new FakeFleet(cluster()), [
      { outcome: 'UNCHANGED', before: web(3), after: web(3) },
    ])
    expect(result).toEqual({
      clusters: [],
      namespaces: [],
      created: 0,
      updated: 0,
      deleted: 0,
      workloads: 0,
      podsAdded: 0,
      podsRemoved: 0,
      podsReplaced: 0,
      capacity: [],
      budgets: [],
      unknown: [],
    })
  })

  it('counts objects, clusters and namespaces in order, and says what would not be done', async () => {
    const fleet = new FakeFleet(cluster('west'), cluster('east'))
    const map: KubernetesJson = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'c', namespace: 'shop' },
    }
    const result = await radius(fleet, [
      { outcome: 'CREATED', after: map, cluster: 'west' },
      { outcome: 'UPDATED', before: map, after: map },
      { outcome: 'DELETED', before: map, action: DELETE },
      { outcome: 'FORBIDDEN', object: map },
      { outcome: 'CREATED', after: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'new' } } },
    ])
    expect(result).toMatchObject({
      clusters: ['east', 'west'],
      namespaces: ['east/new', 'east/shop', 'west/shop'],
      created: 2,
      updated: 1,
      deleted: 1,
      workloads: 0,
      unknown: ['One step would not be carried out, and would change nothing; see the results.'],
    })
  })

  it('adds the pods of a new workload, and holds what they ask for against what is free', async () => {
    const fleet = new FakeFleet(cluster())
    // 12 cores and 24 GiB, of which six pods have 3 cores and 6 GiB.
    const fits = await radius(fleet, [{ outcome: 'CREATED', after: workload('Deployment', 'new', 18) }])
    expect(fits).toMatchObject({ workloads: 1, podsAdded: 18, podsRemoved: 0, budgets: [], unknown: [] })
    expect(fits.capacity).toEqual([
      {
        cluster: 'east',
        cpuRequested: 9,
        cpuFree: 9,
        memoryRequested: 18 * GIB,
        memoryFree: 18 * GIB,
        fits: true,
      },
    ])
    const tooMuch = await radius(fleet, [{ outcome: 'CREATED', after: workload('Deployment', 'new', 19) }])
    expect(tooMuch.capacity[0]).toMatchObject({ cpuRequested: 9.5, fits: false })
  })

  it('counts init containers and sidecars as the scheduler does', async () => {
    const requests = (cpu: string) => ({ resources: { requests: { cpu, memory: '0' } } })
    const spec = {
      initContainers: [
        { name: 'proxy', restartPolicy: 'Always', ...requests('250m') },
        { name: 'migrate', ...requests('2') },
      ],
      containers: [{ name: 'main', ...requests('500m') }],
    }
    const after = workload('Deployment', 'new', 2, { template: { spec } })
    const { capacity } = await radius(new FakeFleet(cluster()), [{ outcome: 'CREATED', after }])
    expect(capacity[0]).toMatchObject({ cpuRequested: 4.5 })
  })

  it('leaves nodes out that take no pods', async () => {
    const fake = cluster('east', [
      node('node-0'),
      node('node-1', {
        unschedulable: true,
        taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }],
      }),
      node('node-2', { taints: [{ key: 'gpu', effect: 'NoSchedule' }] }),
      node('node-3', {}, 'False'),
      node('node-4', { taints: [{ key: 'slow', effect: 'PreferNoSchedule' }] }),
    ])
    const { capacity } = await radius(new FakeFleet(fake), [
      { outcome: 'CREATED', after: workload('Deployment', 'new', 1) },
    ])
    // Of node-0 two pods have a core.
    expect(capacity[0]).toMatchObject({ cpuFree: 7 })
  })

  it('counts the nodes for a DaemonSet', async () => {
    const spec = { ...template({}).spec, nodeSelector: { disk: 'slow' } }
    const after = workload('DaemonSet', 'agent', 0, { template: { spec } })
    const result = await radius(new FakeFleet(cluster()), [{ outcome: 'CREATED', after }])
    expect(result).toMatchObject({ podsAdded: 2 })
  })

  it('scales up and down, by a number too where the object could not be read', async () => {
    const fleet = new FakeFleet(cluster())
    const up = await radius(fleet, [
      { outcome: 'UPDATED', action: { type: 'SCALE', to: 5 }, before: web(3), after: web(5) },
    ])
    expect(up).toMatchObject({ podsAdded: 2, podsRemoved: 0, podsReplaced: 0, budgets: [] })
    expect(up.capacity[0]).toMatchObject({ cpuRequested: 1, memoryRequested: 2 * GIB })
    const down = await radius(fleet, [
      { outcome: 'UPDATED', action: { type: 'SCALE', to: 1 }, object: web(0) },
    ])
    expect(down).toMatchObject({ podsAdded: 0, podsRemoved: 2 })
    expect(down.capacity[0]).toMatchObject({ cpuRequested: -1, fits: true })
    expect(down.budgets).toEqual([
      { cluster: 'east', namespace: 'shop', name: 'web', disruptionsAllowed: 1, podsAffected: 2 },
    ])
  })

  it('replaces pods by a new template, as many at a time as the strategy takes', async () => {
    const fleet = new FakeFleet(cluster())
    const update = (strategy: object) =>
      radius(fleet, [{ outcome: 'UPDATED', before: web(3), after: web(3, { ...newTemplate, strategy }) }])
    const rolling = await update({})
    expect(rolling).toMatchObject({ podsAdded: 0, podsRemoved: 0, podsReplaced: 3, budgets: [] })
    expect(rolling.capacity[0]).toMatchObject({ cpuRequested: 1.5, memoryRequested: 3 * GIB })
    expect((await update({ type: 'Recreate' })).budgets).toMatchObject([{ name: 'web', podsAffected: 3 }])
    expect((await update({ rollingUpdate: { maxUnavailable: 2 } })).budgets).toMatchObject([
      { podsAffected: 2 },
    ])
    expect((await update({ rollingUpdate: { maxUnavailable: '70%' } })).budgets).toMatchObject([
      { podsAffected: 2 },
    ])
    expect((await update({ rollingUpdate: { maxUnavailable: 0, maxSurge: 0 } })).budgets).toEqual([])
  })

  it('replaces no pods where the update waits for somebody', async () => {
    const fleet = new FakeFleet(cluster())
    const replaced = async (before: KubernetesJson, after: KubernetesJson) =>
      (await radius(fleet, [{ outcome: 'UPDATED', before, after }])).podsReplaced
    expect(await replaced(web(3), web(3, { ...newTemplate, paused: true }))).toBe(0)
    const resumed = { ...web(3, { paused: true }), status: { updatedReplicas: 1 } }
    expect(await replaced(resumed, web(3))).toBe(2)
    const db = (more: object) => workload('StatefulSet', 'db', 2, more)
    expect(await replaced(db({}), db({ ...newTemplate, updateStrategy: { type: 'OnDelete' } }))).toBe(0)
    const partition = { updateStrategy: { rollingUpdate: { partition: 1 } } }
    expect(await replaced(db({}), db({ ...newTemplate, ...partition }))).toBe(1)
    expect(
      await replaced(workload('ReplicaSet', 'web-1', 3), workload('ReplicaSet', 'web-1', 3, newTemplate)),
    ).toBe(0)
    expect(await replaced(web(3), { ...web(3), metadata: { ...web(3).metadata, labels: { a: 'b' } } })).toBe(
      0,
    )
  })

  it('takes a pod of a StatefulSet at a time', async () => {
    const db = (more: object) => workload('StatefulSet', 'db', 2, more)
    const { podsReplaced, budgets } = await radius(new FakeFleet(cluster()), [
      { outcome: 'UPDATED', before: db({}), after: db(newTemplate) },
    ])
    expect(podsReplaced).toBe(2)
    expect(budgets).toMatchObject([{ name: 'db', disruptionsAllowed: 0, podsAffected: 1 }])
  })

  it('deletes a workload with the pods that run, and an orphaning deletion with none', async () => {
    const fleet = new FakeFleet(cluster())
    const whole = await radius(fleet, [{ outcome: 'DELETED', before: web(3), action: DELETE }])
    expect(whole).toMatchObject({ deleted: 1, workloads: 1, podsRemoved: 3 })
    expect(whole.capacity[0]).toMatchObject({ cpuRequested: -1.5 })
    expect(whole.budgets).toMatchObject([{ name: 'web', podsAffected: 3 }])
    const action: Action = { ...DELETE, propagationPolicy: 'Orphan' }
    expect(await radius(fleet, [{ outcome: 'DELETED', before: web(3), action }])).toMatchObject({
      podsRemoved: 0,
      budgets: [],
    })
  })

  it('deletes a namespace with all that is in it, and counts no pod twice', async () => {
    const namespace: KubernetesJson = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }
    const result = await radius(new FakeFleet(cluster()), [
      { outcome: 'DELETED', before: namespace, action: DELETE },
      { outcome: 'DELETED', before: web(3), action: DELETE },
    ])
    expect(result).toMatchObject({ deleted: 2, workloads: 2, podsRemoved: 5, namespaces: ['east/shop'] })
    expect(result.capacity[0]).toMatchObject({ cpuRequested: -2.5 })
    expect(result.budgets).toMatchObject([
      { name: 'db', podsAffected: 2 },
      { name: 'web', podsAffected: 3 },
    ])
  })

  it('replaces a pod that is deleted where something makes another, and removes one of nobody', async () => {
    const fleet = new FakeFleet(cluster())
    const first = await radius(fleet, [{ outcome: 'DELETED', action: DELETE, object: pod('web-a', 'web') }])
    expect(first).toMatchObject({ podsReplaced: 1, podsRemoved: 0, budgets: [] })
    const alone = pod('alone', 'alone', 'node-2', 'Running', 'tools')
    const second = await radius(fleet, [{ outcome: 'DELETED', action: DELETE, object: alone }])
    expect(second).toMatchObject({ podsReplaced: 0, podsRemoved: 1, budgets: [{ name: 'alone' }] })
  })

  it('drains a node: its pods need room on the others', async () => {
    const cordon: Action = { type: 'EDIT', edit: { type: 'UNSCHEDULABLE', unschedulable: true } }
    const result = await radius(new FakeFleet(cluster()), [
      {
        outcome: 'UPDATED',
        before: node('node-0'),
        after: node('node-0', { unschedulable: true }),
        action: cordon,
      },
      { outcome: 'DELETED', action: EVICT, object: pod('web-a', 'web') },
      { outcome: 'DELETED', action: EVICT, object: pod('db-0', 'db') },
    ])
    expect(result).toMatchObject({
      podsReplaced: 2,
      podsRemoved: 0,
      budgets: [{ name: 'db', podsAffected: 1 }],
    })
    // node-1 and node-2 have 8 cores and four pods; two more come to them.
    expect(result.capacity).toMatchObject([{ cpuRequested: 1, cpuFree: 6, fits: true }])
  })

  it('counts evictions that a budget holds up now, and no others that fail', async () => {
    const fleet = new FakeFleet(cluster())
    const of = (code: ChangeErrorCode) =>
      radius(fleet, [{ outcome: 'FAILED', code, action: EVICT, object: pod('db-0', 'db') }])
    expect(await of('DISRUPTION_BUDGET')).toMatchObject({
      deleted: 1,
      podsReplaced: 1,
      budgets: [{ name: 'db' }],
      unknown: [],
    })
    expect(await of('TIMEOUT')).toMatchObject({ deleted: 0, podsReplaced: 0, budgets: [] })
  })

  it('takes an autoscaler at its bounds', async () => {
    const scaler = (minReplicas: number, maxReplicas: number): KubernetesJson => ({
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { namespace: 'shop', name: 'web' },
      spec: { minReplicas, maxReplicas, scaleTargetRef: { kind: 'Deployment', name: 'web' } },
    })
    const fleet = new FakeFleet(cluster())
    const of = (min: number, max: number) => radius(fleet, [{ outcome: 'CREATED', after: scaler(min, max) }])
    expect(await of(5, 10)).toMatchObject({ podsAdded: 2, podsRemoved: 0 })
    expect(await of(1, 10)).toMatchObject({ podsAdded: 0, podsRemoved: 0 })
    expect(await of(1, 1)).toMatchObject({ podsRemoved: 2, budgets: [{ name: 'web', podsAffected: 2 }] })
  })

  it('says of a kind of its own that its pods are not known', async () => {
    const rollout = { ...workload('Rollout', 'web', 3), apiVersion: 'argoproj.io/v1alpha1' }
    const { unknown } = await radius(new FakeFleet(cluster()), [{ outcome: 'CREATED', after: rollout }])
    expect(unknown).toEqual(['What becomes of the pods of Rollout shop/web in east is not known.'])
  })
})

describe('what the viewer may not see', () => {
  const shopOnly = { namespaces: new Set(['shop']) }

  it('is not reckoned with: pods come from replicas then, and it is said', async () => {
    const fake = cluster()
    const policy = new ScopedPolicy((_, kind: Kind) =>
      kind === 'Pod' || kind === 'Node' ? undefined : 'all',
    )
    const result = await radius(
      new FakeFleet(fake),
      [{ outcome: 'DELETED', before: web(3), action: DELETE }],
      policy,
    )
    expect(result).toMatchObject({
      podsRemoved: 3,
      capacity: [],
      budgets: [{ name: 'web', podsAffected: 3 }],
    })
    expect(result.unknown).toEqual([
      expect.stringMatching(
        /which pods are concerned.*: Pod objects in shop of east cannot be seen \(You may not list Pod/,
      ),
      expect.stringMatching(/what is free.*: Node objects in east cannot be seen/),
    ])
  })

  it('is not counted in namespaces that are deleted', async () => {
    const policy = new ScopedPolicy(() => shopOnly)
    const of = (name: string) => {
      const before: KubernetesJson = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
      return radius(new FakeFleet(cluster()), [{ outcome: 'DELETED', before, action: DELETE }], policy)
    }
    expect(await of('shop')).toMatchObject({ podsRemoved: 5, workloads: 2, capacity: [] })
    const hidden = await of('tools')
    expect(hidden).toMatchObject({ podsRemoved: 0, workloads: 0 })
    expect(hidden.unknown).toEqual([
      'It is not known how many pods would go with it: Pod objects in tools of east cannot be seen (you may not list them).',
    ])
  })

  it('asks for budgets as the viewer, and says where it is refused', async () => {
    const fake = cluster()
    fake.answer = () => {
      throw new ApiError(403, { message: 'poddisruptionbudgets.policy is forbidden' })
    }
    const policy = new ScopedPolicy({ east: 'all' })
    const result = await radius(
      new FakeFleet(fake),
      [{ outcome: 'DELETED', before: web(3), action: DELETE }],
      policy,
    )
    expect(fake.requests).toMatchObject([
      { path: '/apis/policy/v1/namespaces/shop/poddisruptionbudgets', as: { user: 'alice' } },
    ])
    expect(result).toMatchObject({ podsRemoved: 3, budgets: [] })
    expect(result.unknown).toEqual([
      'The PodDisruptionBudgets of shop of east could not be read: poddisruptionbudgets.policy is forbidden',
    ])
  })

  it('leaves the other clusters as they are where one is down, has not been read, or has left', async () => {
    const down = cluster('down')
    down.health = {
      ...UP,
      state: 'DOWN',
      lastError: { code: 'REFUSED', message: 'It refuses.', at: 1 },
    }
    const fleet = new FakeFleet(cluster(), down, new FakeCluster('unread'))
    const names = ['down', 'east', 'left', 'unread']
    const given = names.map(
      (name) => ({ outcome: 'DELETED', before: web(3), action: DELETE, cluster: name }) as const,
    )
    const result = await radius(fleet, given)
    expect(result).toMatchObject({
      clusters: names,
      deleted: 4,
      podsRemoved: 12,
      budgets: [{ cluster: 'east' }],
    })
    const said = (name: string) => result.unknown.filter((line) => new RegExp(`\\b${name}\\b`).test(line))
    expect(said('down').join()).toContain(
      'The PodDisruptionBudgets of shop of down could not be read: It refuses.',
    )
    expect(said('left').join()).toContain('the cluster is no longer in the fleet')
    expect(said('unread').join()).toContain('cannot be seen')
    expect(said('east')).toEqual([])
  })

  it('reads budgets of many namespaces at once', async () => {
    const fake = cluster()
    const given = Array.from({ length: 21 }, (_, index): Given => {
      const before = pod('p', 'web', 'node-0', 'Running', `ns-${index}`)
      return { outcome: 'DELETED', before, action: DELETE }
    })
    const result = await radius(new FakeFleet(fake), given)
    expect(fake.requests.map(({ path }: ApiRequest) => path)).toEqual([
      '/apis/policy/v1/poddisruptionbudgets',
    ])
    expect(result).toMatchObject({ podsRemoved: 21, budgets: [] })
  })

  it('ends with whoever asked', async () => {
    const fake = cluster()
    const controller = new AbortController()
    fake.answer = () => {
      controller.abort(new Error('The client has gone.'))
      throw new ApiError(500, { message: 'broken' })
    }
    const given: Given[] = [{ outcome: 'DELETED', before: web(3), action: DELETE }]
    await expect(radius(new FakeFleet(fake), given, everything, controller.signal)).rejects.toThrow(
      'The client has gone.',
    )
    await expect(radius(new FakeFleet(fake), given, everything, controller.signal)).rejects.toThrow(
      'The client has gone.',
    )
  })
})
