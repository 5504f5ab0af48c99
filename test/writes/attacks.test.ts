/** What somebody tries who may change a little, and wants to change, or to see, more than that. */
import { afterEach, describe, expect, it } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { ApiError } from '../../src/kubernetes/client.ts'
import type { KubernetesJson } from '../../src/kubernetes/json.ts'
import { EVALUATION_MS } from '../../src/writes/cel.ts'
import type { Change, Step } from '../../src/writes/change.ts'
import { createMemoryOperationStore } from '../../src/writes/memory-operation-store.ts'
import { createPlans } from '../../src/writes/plans.ts'
import { createPolicies, type PolicyOptions } from '../../src/writes/policies.ts'
import { resultsOfOperation } from '../../src/writes/results.ts'
import { stepper } from '../../src/writes/steps/stepper.ts'
import type { ChangeRefused } from '../../src/writes/writes.ts'
import { createWrites, type OwnedWrites } from '../../src/writes/writing.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { changeOf } from '../support/fake-stepper.ts'
import { carryOut, contextFor, stepOf } from '../support/steps.ts'

const NONE: PolicyOptions = {
  policies: [],
  protectedNamespaces: [],
  protectedClusters: [],
  maxReplicas: 0,
  allowedRegistries: [],
  allowHostPath: true,
  confirmAbove: 0,
}
const NOT_FOUND = { code: 404, reason: 'NotFound', details: { name: 'x', kind: 'things' } }

function judgeOf(options: Partial<PolicyOptions>) {
  return createPolicies({ ...NONE, ...options }).judgeFor({ confirmed: false, objects: 1 })
}

function reached() {
  const cluster = new FakeCluster('reached')
  cluster.answer = ({ method = 'GET', body }) => {
    if (method === 'GET') throw new ApiError(404, NOT_FOUND)
    return body
  }
  const written = () => cluster.requests.filter(({ method = 'GET' }) => method !== 'GET')
  return { cluster, written }
}

describe('an object of no namespace that says it is in one', () => {
  function unplaced() {
    const scene = reached()
    const { cluster } = scene
    cluster.resolve = (apiVersion, kind) =>
      Promise.resolve({
        address: { group: '', version: apiVersion, resource: `${kind.toLowerCase()}s` },
        namespaced: false,
      })
    return scene
  }

  const disguised = (kind: string, apiVersion: string, name: string): Step => {
    const manifest = { apiVersion, kind, metadata: { name, namespace: 'harmless' } }
    return stepOf(
      { apiVersion, kind, namespace: 'harmless', name },
      { type: 'APPLY', manifest, force: false },
    )
  }

  it('is protected as the namespace that it is', async () => {
    const { cluster, written } = unplaced()
    const judge = judgeOf({ protectedNamespaces: ['kube-*'] })
    const end = await carryOut(
      disguised('Namespace', 'v1', 'kube-system'),
      contextFor(cluster, 'eve', { judge }),
    )
    expect(end.error).toMatchObject({ code: 'POLICY_VIOLATION', policy: 'protectedNamespaces' })
    expect(written()).toEqual([])
  })

  it('is in none for expressions', async () => {
    const { cluster, written } = unplaced()
    const expression = 'request.namespace == "harmless"'
    const judge = judgeOf({ policies: [{ name: 'own-namespace', action: 'deny', expression }] })
    const end = await carryOut(disguised('Node', 'v1', 'node-0'), contextFor(cluster, 'eve', { judge }))
    expect(end.error).toMatchObject({ code: 'POLICY_VIOLATION', policy: 'own-namespace' })
    expect(written()).toEqual([])
  })
})

describe('an expression that takes for ever over a text that somebody chose', () => {
  it('does not hold up all others once for each of a thousand objects', () => {
    const judge = judgeOf({
      policies: [{ name: 'slow', action: 'deny', expression: 'object.spec.text.matches("^(a+)+$")' }],
    })
    const object = { apiVersion: 'example.com/v1', kind: 'Text', namespace: 'shop', name: 'x' }
    const decide = (text: string) =>
      judge.judge({
        verb: 'applyManifest',
        viewer: viewerOf({ name: 'eve', groups: [] }),
        cluster: { name: 'reached', labels: {} },
        step: stepOf(object, { type: 'APPLY', manifest: {}, force: false }),
        before: null,
        after: { spec: { text } },
      })
    const began = performance.now()
    for (let i = 0; i < 50; i++) {
      expect(decide(`${'a'.repeat(60)}!`)).toMatchObject({ code: 'POLICY_VIOLATION', policy: 'slow' })
    }
    expect(performance.now() - began).toBeLessThan(20 * EVALUATION_MS)
    // In doubt nothing.
    expect(decide('aaa')).toMatchObject({ code: 'POLICY_VIOLATION', policy: 'slow' })
  })
})

describe('pods behind a kind that does not look like pods', () => {
  const judged = (manifest: KubernetesJson, options: Partial<PolicyOptions>) => {
    const { apiVersion = '', kind = '' } = manifest
    const step = stepOf(
      { apiVersion, kind, namespace: 'shop', name: 'x' },
      { type: 'APPLY', manifest, force: false },
    )
    const viewer = viewerOf({ name: 'eve', groups: [] })
    const cluster = { name: 'reached', labels: {} }
    return judgeOf(options).judge({
      verb: 'applyManifest',
      viewer,
      cluster,
      step,
      before: null,
      after: manifest,
    })
  }

  it('are counted where a schedule makes them', () => {
    const nightly = (parallelism: number) => ({
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      spec: { jobTemplate: { spec: { parallelism, template: { spec: { containers: [] } } } } },
    })
    expect(judged(nightly(10), { maxReplicas: 10 })).toBeNull()
    expect(judged(nightly(10_000), { maxReplicas: 10 })).toMatchObject({ policy: 'maxReplicas' })
  })

  it('bring their images and the files of their nodes wherever a kind of its own keeps them', () => {
    const pod = {
      containers: [{ name: 'app', image: 'evil.io/x' }],
      volumes: [{ name: 'v', hostPath: { path: '/etc' } }],
    }
    const kinds: KubernetesJson[] = [
      {
        apiVersion: 'batch.volcano.sh/v1alpha1',
        kind: 'Job',
        spec: { tasks: [{ template: { spec: pod } }] },
      },
      {
        apiVersion: 'kubeflow.org/v1',
        kind: 'MPIJob',
        spec: { mpiReplicaSpecs: { Worker: { template: { spec: pod } } } },
      },
      { apiVersion: 'example.com/v1', kind: 'CronJob', spec: { template: { spec: pod } } },
      { apiVersion: 'example.com/v1', kind: 'PodTemplate', spec: pod },
    ]
    for (const manifest of kinds) {
      expect(judged(manifest, { allowedRegistries: ['ghcr.io'] })).toMatchObject({
        policy: 'allowedRegistries',
      })
      expect(judged(manifest, { allowHostPath: false })).toMatchObject({ policy: 'allowHostPath' })
    }
  })

  it('are not given the files of a node as a local volume', () => {
    const volume = { apiVersion: 'v1', kind: 'PersistentVolume', spec: { local: { path: '/etc' } } }
    expect(judged(volume, { allowHostPath: false })).toMatchObject({ policy: 'allowHostPath' })
  })
})

describe('a value of a Secret', () => {
  const KEY = 'kubectl.kubernetes.io/last-applied-configuration'
  const SECRET = { apiVersion: 'v1', kind: 'Secret', namespace: 'shop', name: 'pin' }

  it('is not told by what an annotation was before', async () => {
    const { cluster } = reached()
    const live = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: 'pin',
        namespace: 'shop',
        uid: 'u',
        resourceVersion: '1',
        annotations: { [KEY]: '{"stringData":{"pin":"hunter2"}}' },
      },
    }
    cluster.answer = () => live
    for (const value of ['x', null]) {
      const edit = { type: 'ANNOTATIONS', values: { [KEY]: value }, overwrite: true } as const
      const end = await carryOut(stepOf(SECRET, { type: 'EDIT', edit }), contextFor(cluster, 'ada'))
      expect(end.outcome).toBe('UPDATED')
      expect(end.note).not.toContain('hunter2')
    }
  })

  it('is not kept with the error of an API server that repeats it', async () => {
    const { cluster } = reached()
    const { writes, as, store } = world(cluster)
    const echo = '.stringData.pin: expected string, got &value.valueUnstructured{Value:73519}'
    cluster.answer = ({ method = 'GET' }) => {
      if (method === 'GET') throw new ApiError(404, NOT_FOUND)
      throw new ApiError(500, {
        code: 500,
        message: `failed to create typed patch object (shop/pin; /v1, Kind=Secret): ${echo}`,
      })
    }
    const manifest = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'pin', namespace: 'shop' },
      stringData: { pin: 73_519 },
    }
    const change = changeOf([stepOf(SECRET, { type: 'APPLY', manifest, force: false })])
    const { results, operation } = await writes.run(as('ada'), change, {
      dryRun: false,
      idempotencyKey: 'once',
    })
    expect(results[0]).toMatchObject({ outcome: 'FAILED', error: { code: 'INVALID' } })
    // The field is named all the same.
    expect(results[0]!.error!.causes[0]).toMatchObject({ field: 'stringData.pin' })
    const kept = await store.read(operation!.id)
    expect(JSON.stringify([results[0]!.error, kept!.events, ...kept!.steps.values()])).not.toContain('73519')
  })
})

describe('what is recorded', () => {
  const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings', namespace: 'shop' } }
  const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'settings' }
  const change = changeOf([stepOf(object, { type: 'APPLY', manifest, force: false })])

  it('is what a plan was about', async () => {
    const { writes, as } = world(reached().cluster)
    const fleet = as('ada')
    await writes.plan(fleet, change, {})
    expect(fleet.reads.written).toMatchObject([{ cluster: 'reached', outcome: 'CREATED', dryRun: true }])
  })

  it('is all that is done, however much one request asks for: what has no place in its record is not done', async () => {
    const { cluster, written } = reached()
    const { writes, as } = world(cluster)
    const many = changeOf(
      Array.from({ length: 4_000 }, (_, i) =>
        stepOf({ ...object, name: `noise-${i}` }, { type: 'DELETE', ifPresent: true, untilGone: false }),
      ),
    )
    const fleet = as('eve')
    await writes.run(fleet, many, { dryRun: true })
    await writes.run(fleet, many, { dryRun: true })
    await writes.run(fleet, changeOf([stepOf(object, { type: 'APPLY', manifest, force: false })]), {
      dryRun: false,
    })
    expect(written()).toHaveLength(1)
    expect(fleet.reads.written).toHaveLength(8_001)
    for (const work of [
      () => writes.run(fleet, many, { dryRun: false }),
      () => writes.run(fleet, many, { dryRun: false, idempotencyKey: 'once' }),
      () => writes.plan(fleet, many, {}),
    ]) {
      const end = await work().then(
        () => 'DONE',
        (error: ChangeRefused) => error.code,
      )
      expect(end).toBe('TOO_LARGE')
    }
    expect(written()).toHaveLength(1)
  })

  it('has room for what is confirmed, as for what is done at once', async () => {
    const { writes, as } = world(reached().cluster)
    const { token } = await writes.plan(as('ada'), change, {})
    const full = as('ada')
    full.reads.takeRoom(10_000)
    await expect(writes.confirm(full, token!)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    const fleet = as('ada')
    expect((await writes.confirm(fleet, token!)).results).toMatchObject([{ outcome: 'CREATED' }])
    expect(fleet.reads.asked).toBe(1)
  })

  it('is which operation was stopped', async () => {
    const { writes, as } = world(reached().cluster)
    const strategy = { pauseMs: 0, onFailure: 'STOP', maxFailures: 0, readyTimeoutMs: 0 } as const
    const { operation } = await writes.run(as('ada'), change, { dryRun: false, strategy })
    const fleet = as('ada')
    await writes.cancel(fleet, operation!.id)
    expect(fleet.reads.written).toMatchObject([
      {
        cluster: 'reached',
        what: expect.stringMatching(`^cancel: .*operation ${operation!.id}`),
        verdict: 'ALLOWED',
      },
    ])
  })
})

describe('operations of others', () => {
  it('are told to those who audit, but not what is in their objects', async () => {
    const { cluster } = reached()
    const { writes, as } = world(cluster)
    const manifest = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'settings', namespace: 'shop' },
      data: { colour: 'confidential' },
    }
    const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'settings' }
    const change: Change = changeOf([stepOf(object, { type: 'APPLY', manifest, force: false })])
    const { operation } = await writes.run(as('ada'), change, { dryRun: false, idempotencyKey: 'once' })
    const { id } = operation!
    const own = await writes.operation(as('ada'), id)
    expect(JSON.stringify(resultsOfOperation(own!))).toContain('confidential')

    const told = [await writes.operation(as('auditor'), id), ...(await writes.operations(as('auditor'), 10))]
    for await (const record of writes.follow(as('auditor'), id, new AbortController().signal))
      told.push(record)
    expect(told).toHaveLength(3)
    for (const record of told) {
      expect(resultsOfOperation(record!)).toMatchObject([{ outcome: 'CREATED', before: null, after: null }])
      expect(JSON.stringify(resultsOfOperation(record!))).not.toContain('confidential')
    }
  })
})

describe('an operation of a user who has lost a group since', () => {
  it('still tells them what was done, but not what is in its objects', async () => {
    const { cluster } = reached()
    const { writes, as } = world(cluster)
    const manifest = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'settings', namespace: 'shop' },
      data: { colour: 'confidential' },
    }
    const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'settings' }
    const change = changeOf([stepOf(object, { type: 'APPLY', manifest, force: false })])
    const options = { dryRun: false, idempotencyKey: 'once' }
    const { operation } = await writes.run(as('ada', ['team', 'admins']), change, options)
    const { id } = operation!

    const same = await writes.run(as('ada', ['admins', 'team', 'more']), change, options)
    expect(JSON.stringify(same.results)).toContain('confidential')

    const fewer = as('ada', ['team'])
    const replay = await writes.run(fewer, change, options)
    expect(replay).toMatchObject({ replayed: true, results: [{ outcome: 'CREATED', after: null }] })
    const records = [
      replay.operation,
      await writes.operation(fewer, id),
      await writes.cancel(fewer, id),
      ...(await writes.operations(fewer, 10)),
    ]
    for (const record of records) {
      expect(resultsOfOperation(record!)).toMatchObject([{ outcome: 'CREATED', after: null }])
    }
  })
})

const open: OwnedWrites[] = []
const clocks: FakeClock[] = []
afterEach(async () => {
  for (const writes of open.splice(0)) {
    const closed = writes.close()
    for (const clock of clocks.splice(0)) await clock.advance(10_000)
    await closed
  }
})

function world(cluster: FakeCluster) {
  const clock = new FakeClock()
  clocks.push(clock)
  const fleet = new FakeFleet(cluster)
  const as = (name: string, groups: readonly string[] = []) =>
    new AuthorizedFleet(fleet, viewerOf({ name, groups }), everything)
  const store = createMemoryOperationStore(clock)
  const writes = createWrites({
    stepper,
    policies: createPolicies(NONE),
    store,
    plans: createPlans({ clock }),
    clock,
    fleetFor: ({ user }) => as(user.name),
    mayReadAll: ({ user }) => user.name === 'auditor',
    onError: (error) => {
      throw error
    },
  })
  open.push(writes)
  return { writes, as, store }
}
