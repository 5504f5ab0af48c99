/** Operations with the steps that there are, over clusters whose controllers are at work meanwhile. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import type { KubernetesJson } from '../../src/kubernetes/json.ts'
import { patch } from '../../src/kubernetes/requests.ts'
import type { Action, Step } from '../../src/writes/change.ts'
import { createMemoryOperationStore } from '../../src/writes/memory-operation-store.ts'
import { ENDED, type Strategy } from '../../src/writes/operation.ts'
import { createPlans } from '../../src/writes/plans.ts'
import { resultsOfOperation, undosOfOperation } from '../../src/writes/results.ts'
import { stepper } from '../../src/writes/steps/stepper.ts'
import { createWrites, type OwnedWrites } from '../../src/writes/writing.ts'
import { FakeFleet } from '../support/fake-fleet.ts'
import { changeOf } from '../support/fake-stepper.ts'
import { type SimulatedCluster, startSimulatedCluster } from '../support/simulated-cluster.ts'
import { ReachedCluster } from '../support/steps.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const NAMES = ['a', 'b', 'c']
const CORE = '/api/v1/namespaces/default'
const APPS = '/apis/apps/v1/namespaces/default'

const simulated: SimulatedCluster[] = []
const clusters = new Map<string, ReachedCluster>()
const errors: unknown[] = []
let fleet: AuthorizedFleet
let writes: OwnedWrites

const configMap = (name: string, value: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data: { value },
})
const DEPLOYMENT = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'app', image: 'shop/web:1' }] },
    },
  },
}

beforeAll(async () => {
  for (const name of NAMES) {
    const cluster = await startSimulatedCluster({ name })
    simulated.push(cluster)
    clusters.set(name, new ReachedCluster(JSON.stringify(cluster.simulator.kubeconfig()), name))
  }
  for (const name of ['a', 'b']) {
    await post(name, `${CORE}/configmaps`, configMap('settings', 'old'))
    await post(name, `${CORE}/configmaps`, configMap('legacy', 'old'))
    await post(name, `${APPS}/deployments`, DEPLOYMENT)
  }
  fleet = new AuthorizedFleet(
    new FakeFleet(...clusters.values()),
    viewerOf({ name: 'alice', groups: [] }),
    everything,
  )
  writes = createWrites({
    stepper,
    policies: { judgeFor: () => ({ needsObjects: false, judge: () => null }) },
    store: createMemoryOperationStore(systemClock),
    plans: createPlans({ clock: systemClock }),
    clock: systemClock,
    fleetFor: () => fleet,
    mayReadAll: () => false,
    onError: (error) => errors.push(error),
  })
})

afterAll(async () => {
  await writes?.close()
  for (const cluster of clusters.values()) await cluster.client.close()
  for (const cluster of simulated) await cluster.close()
})

function post(name: string, path: string, body: object): Promise<KubernetesJson> {
  return clusters.get(name)!.client.json({ method: 'POST', path, body })
}

async function get(name: string, path: string): Promise<KubernetesJson | null> {
  const cluster = clusters.get(name)!
  return cluster.client.json<KubernetesJson>({ path }).catch(() => null)
}

function step(
  cluster: string,
  kind: string,
  name: string,
  stage: number,
  action: Action,
): Omit<Step, 'index'> {
  const apiVersion = kind === 'Deployment' ? 'apps/v1' : 'v1'
  return {
    object: { cluster, apiVersion, kind, namespace: 'default', name },
    action,
    stage,
    purpose: '',
  }
}

const apply = (manifest: object): Action => ({
  type: 'APPLY',
  manifest: manifest as KubernetesJson,
  force: true,
})
const SECRET = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'key' },
  stringData: { value: 'hunter2' },
}

/** Every kind of action on a cluster. */
function stepsOf(cluster: string): Omit<Step, 'index'>[] {
  return [
    step(cluster, 'ConfigMap', 'fresh', 0, apply(configMap('fresh', 'new'))),
    step(cluster, 'ConfigMap', 'settings', 0, apply(configMap('settings', 'new'))),
    step(cluster, 'ConfigMap', 'legacy', 0, { type: 'DELETE', ifPresent: false, untilGone: false }),
    step(cluster, 'Secret', 'key', 0, apply(SECRET)),
    step(cluster, 'Deployment', 'web', 1, {
      type: 'EDIT',
      edit: { type: 'IMAGES', images: { app: 'shop/web:2' } },
    }),
    step(cluster, 'Deployment', 'web', 2, { type: 'SCALE', to: 3 }),
  ]
}

/** What somebody asked for, of all that the steps touch. */
async function asked(cluster: string) {
  const data = async (name: string) => (await get(cluster, `${CORE}/configmaps/${name}`))?.['data']
  const web = (await get(cluster, `${APPS}/deployments/web`)) as typeof DEPLOYMENT | null
  return {
    fresh: await data('fresh'),
    settings: await data('settings'),
    legacy: await data('legacy'),
    secret: (await get(cluster, `${CORE}/secrets/key`)) !== null,
    replicas: web?.spec.replicas,
    image: web?.spec.template.spec.containers[0]?.image,
  }
}

const BEFORE = {
  fresh: undefined,
  settings: { value: 'old' },
  legacy: { value: 'old' },
  secret: false,
  replicas: 1,
  image: 'shop/web:1',
}
const AFTER = {
  fresh: { value: 'new' },
  settings: { value: 'new' },
  legacy: undefined,
  secret: true,
  replicas: 3,
  image: 'shop/web:2',
}

const WAVES: Strategy = {
  waveSize: 1,
  pauseMs: 1_000,
  onFailure: 'ROLL_BACK',
  maxFailures: 0,
  readyTimeoutMs: 0,
}

it('puts back what every kind of action did, while controllers work on it', async () => {
  // The third cluster has no such Deployment.
  const change = changeOf([
    ...stepsOf('a'),
    ...stepsOf('b'),
    step('c', 'Deployment', 'web', 0, { type: 'SCALE', to: 3 }),
  ])
  const { operation } = await writes.run(fleet, change, { dryRun: false, strategy: WAVES })
  const seen: unknown[] = []
  let record = operation!
  for await (const next of writes.follow(fleet, operation!.id, new AbortController().signal)) {
    if (next.state === 'RUNNING' && next.waves[1]?.state === 'RUNNING') seen.push(await asked('a'))
    record = next
  }
  expect(seen).toContainEqual(AFTER)
  expect(undosOfOperation(record).map(({ outcome, error }) => error?.message ?? outcome)).toEqual(
    ['b', 'a'].flatMap(() => ['UPDATED', 'UPDATED', 'DELETED', 'CREATED', 'UPDATED', 'DELETED']),
  )
  expect(record.state).toBe('ROLLED_BACK')
  expect(await asked('a')).toEqual(BEFORE)
  expect(await asked('b')).toEqual(BEFORE)
  expect(JSON.stringify([...record.steps])).not.toMatch(/hunter2|aHVudGVyMg/)
  expect(errors).toEqual([])
})

it('does what a plan has shown, and nothing where somebody was faster', async () => {
  const change = changeOf([...stepsOf('a'), ...stepsOf('b')].filter(({ stage }) => stage === 0))
  const plan = await writes.plan(fleet, change, {})
  expect(plan.results.map(({ outcome, error }) => error?.message ?? outcome)).toEqual(
    ['a', 'b'].flatMap(() => ['CREATED', 'UPDATED', 'DELETED', 'CREATED']),
  )
  const { client } = clusters.get('b')!
  const settings = {
    address: { group: '', version: 'v1', resource: 'configmaps' },
    namespace: 'default',
    name: 'settings',
  }
  await patch(client, settings, 'merge', { data: { theirs: 'too' } })
  const { operation, results } = await writes.confirm(fleet, plan.token!)
  expect(ENDED.has(operation!.state)).toBe(true)
  expect(resultsOfOperation(operation!)).toEqual(results)
  expect(results.map(({ object, outcome }) => `${object.cluster} ${object.name} ${outcome}`)).toEqual([
    'a fresh CREATED',
    'a settings UPDATED',
    'a legacy DELETED',
    'a key CREATED',
    'b fresh CREATED',
    'b settings CONFLICT',
    'b legacy DELETED',
    'b key CREATED',
  ])
  expect((await writes.confirm(fleet, plan.token!)).replayed).toBe(true)
  expect(errors).toEqual([])
})

it('puts back an image while an autoscaler sets the replicas, and leaves them to it', async () => {
  const deployment = { ...DEPLOYMENT, metadata: { name: 'scaled' } }
  await post('a', `${APPS}/deployments`, deployment)
  const change = changeOf([
    step('a', 'Deployment', 'scaled', 0, {
      type: 'EDIT',
      edit: { type: 'IMAGES', images: { app: 'shop/web:2' } },
    }),
    step('b', 'Deployment', 'scaled', 0, {
      type: 'EDIT',
      edit: { type: 'IMAGES', images: { app: 'shop/web:2' } },
    }),
  ])
  const { operation } = await writes.run(fleet, change, { dryRun: false, strategy: WAVES })
  const { client } = clusters.get('a')!
  const address = { group: 'apps', version: 'v1', resource: 'deployments' }
  let record = operation!
  for await (const next of writes.follow(fleet, operation!.id, new AbortController().signal)) {
    if (next.waves[0]?.state === 'SUCCEEDED' && record.waves[0]?.state !== 'SUCCEEDED') {
      const scale = { address, namespace: 'default', name: 'scaled', subresource: 'scale' as const }
      await patch(client, scale, 'merge', { spec: { replicas: 4 } })
    }
    record = next
  }
  expect(undosOfOperation(record).map(({ outcome, error }) => error?.message ?? outcome)).toEqual(['UPDATED'])
  expect(record.state).toBe('ROLLED_BACK')
  const { spec } = (await get('a', `${APPS}/deployments/scaled`)) as typeof DEPLOYMENT
  expect([spec.replicas, spec.template.spec.containers[0]!.image]).toEqual([4, 'shop/web:1'])
  expect(errors).toEqual([])
})

describe('a definition and what it defines', () => {
  const definition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { kind: 'Widget', listKind: 'WidgetList', plural: 'widgets', singular: 'widget' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object' } } } },
        },
      ],
    },
  }
  const widget = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'one' } }
  const change = () =>
    changeOf([
      {
        ...step('c', 'CustomResourceDefinition', 'widgets.example.com', 1, apply(definition)),
        object: {
          cluster: 'c',
          apiVersion: definition.apiVersion,
          kind: definition.kind,
          namespace: null,
          name: 'widgets.example.com',
        },
      },
      {
        ...step('c', 'Widget', 'one', 2, apply(widget)),
        object: {
          cluster: 'c',
          apiVersion: 'example.com/v1',
          kind: 'Widget',
          namespace: 'default',
          name: 'one',
        },
      },
    ])

  it('are planned and made in one change, whatever was known of the cluster before', async () => {
    // Known by now not to be there.
    expect(await clusters.get('c')!.resolve('example.com/v1', 'Widget')).toBeUndefined()
    const plan = await writes.plan(fleet, change(), {})
    expect(plan.results.map(({ outcome, note, error }) => error?.message ?? `${outcome} ${note}`)).toEqual([
      'CREATED null',
      'CREATED Its kind would be defined by this change, and is not there yet: the API server could not check it.',
    ])
    const { results } = await writes.confirm(fleet, plan.token!)
    expect(results.map(({ outcome, error }) => error?.message ?? outcome)).toEqual(['CREATED', 'CREATED'])
    const again = await writes.run(fleet, change(), { dryRun: false })
    expect(again.results.map(({ outcome }) => outcome)).toEqual(['UNCHANGED', 'UNCHANGED'])
    expect(errors).toEqual([])
  })
})
