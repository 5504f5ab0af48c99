/** What each verb makes of its input: the steps, and what it refuses. What it composes is tested in test/writes. */
import { describe, expect, it } from 'vitest'
import { ApiError } from '../../../src/kubernetes/client.ts'
import type { Verb } from '../../../src/writes/change.ts'
import { pod, shopFleet } from '../../support/shop.ts'
import { mutate, placeOf, targetsIn } from './mutate.ts'

const { fleet } = shopFleet()
const at = (name: string, kind?: string) => ({
  object: { cluster: 'prod-eu', namespace: 'shop', name, ...(kind && { kind }) },
})
const node = (name: string) => ({ object: { cluster: 'prod-eu', name } })
const two = { objects: [at('web').object, at('idle').object] }
const IN = { clusters: ['prod-us', 'prod-eu'] }

type Input = Readonly<Record<string, unknown>>

/** The actions of the steps, and what else stands beside their objects. */
async function actionsOf(verb: Verb, input: Input) {
  const { change, errors } = await mutate(fleet, verb, input)
  expect(errors).toEqual([])
  return change!.steps.map(({ action }) => action)
}

describe('a verb', () => {
  it.each<[Verb, Input, object]>([
    ['scale', { targets: at('web'), to: 0 }, { type: 'SCALE', to: 0 }],
    [
      'scale',
      { targets: at('web'), by: -2, expectedReplicas: 3 },
      { type: 'SCALE', by: -2, expectedReplicas: 3 },
    ],
    [
      'restart',
      { targets: at('web') },
      { type: 'EDIT', edit: { type: 'RESTART', at: '2027-01-15T08:00:00.000Z' } },
    ],
    ['pause', { targets: at('web') }, { type: 'EDIT', edit: { type: 'PAUSED', paused: true } }],
    ['resume', { targets: at('web') }, { type: 'EDIT', edit: { type: 'PAUSED', paused: false } }],
    [
      'resume',
      { targets: at('backup', 'CronJob') },
      { type: 'EDIT', edit: { type: 'SUSPENDED', suspended: false } },
    ],
    [
      'resume',
      { targets: at('once', 'Job') },
      { type: 'EDIT', edit: { type: 'SUSPENDED', suspended: false } },
    ],
    ['suspend', { targets: at('backup') }, { type: 'EDIT', edit: { type: 'SUSPENDED', suspended: true } }],
    ['rollback', { targets: at('web') }, { type: 'ROLL_BACK', toRevision: null }],
    ['rollback', { targets: at('web'), toRevision: 3 }, { type: 'ROLL_BACK', toRevision: 3 }],
    [
      'cordon',
      { targets: node('node-a') },
      { type: 'EDIT', edit: { type: 'UNSCHEDULABLE', unschedulable: true } },
    ],
    [
      'uncordon',
      { targets: node('node-a') },
      { type: 'EDIT', edit: { type: 'UNSCHEDULABLE', unschedulable: false } },
    ],
    [
      'setImage',
      { targets: at('web'), images: [{ image: 'nginx:1.29' }] },
      { type: 'EDIT', edit: { type: 'IMAGES', images: { '': 'nginx:1.29' } } },
    ],
    [
      'setImage',
      {
        targets: at('web'),
        images: [
          { container: 'a', image: 'x:1' },
          { container: 'b', image: 'y@sha256:0' },
        ],
      },
      { type: 'EDIT', edit: { type: 'IMAGES', images: { a: 'x:1', b: 'y@sha256:0' } } },
    ],
    [
      'label',
      { targets: at('web', 'Deployment'), set: [{ key: 'a/b', value: '' }], remove: ['c'], overwrite: true },
      { type: 'EDIT', edit: { type: 'LABELS', values: { 'a/b': '', c: null }, overwrite: true } },
    ],
    [
      'annotate',
      { targets: at('web', 'Deployment'), set: [{ key: 'Example.com/Note', value: 'any\ntext ✓' }] },
      {
        type: 'EDIT',
        edit: { type: 'ANNOTATIONS', values: { 'Example.com/Note': 'any\ntext ✓' }, overwrite: false },
      },
    ],
    ['deletePod', { targets: at('web-2-a') }, { type: 'DELETE', ifPresent: false, untilGone: false }],
    [
      'deleteObject',
      {
        targets: at('web', 'Deployment'),
        propagationPolicy: 'Orphan',
        gracePeriodSeconds: 0,
        ifPresent: true,
        waitUntilGone: true,
      },
      {
        type: 'DELETE',
        propagationPolicy: 'Orphan',
        gracePeriodSeconds: 0,
        ifPresent: true,
        untilGone: true,
      },
    ],
    ['evictPod', { targets: at('web-2-a') }, { type: 'EVICT', patienceMs: 0, untilGone: false }],
    [
      'evictPod',
      { targets: at('web-2-a'), patienceSeconds: 30, gracePeriodSeconds: 5, waitUntilGone: true },
      { type: 'EVICT', patienceMs: 30_000, gracePeriodSeconds: 5, untilGone: true },
    ],
    [
      'autoscale',
      { targets: at('web'), off: true, name: 'its-scaler' },
      { type: 'DELETE', ifPresent: true, untilGone: false },
    ],
    [
      'deleteNamespace',
      { targets: { clusters: ['prod-eu'] }, name: 'old', confirmName: 'old' },
      { type: 'DELETE', ifPresent: false, untilGone: false },
    ],
  ])('%s %j is a step', async (verb, input, action) => {
    expect(await actionsOf(verb, input)).toEqual([action])
  })

  it.each<[Verb, Input, string]>([
    ['scale', { targets: at('web') }, 'input: Give either "to" or "by".'],
    ['scale', { targets: at('web'), to: 1, by: 1 }, 'input: Give either "to" or "by".'],
    ['scale', { targets: at('web'), to: -1 }, 'input.to: "to" is negative.'],
    [
      'scale',
      { targets: at('web'), to: 1, expectedReplicas: -1 },
      'input.expectedReplicas: "expectedReplicas" is negative.',
    ],
    ['scale', { targets: two, to: 1, resourceVersion: '1' }, 'input.resourceVersion: '],
    ['rollback', { targets: at('web'), toRevision: 0 }, 'input.toRevision: Revisions are counted from 1.'],
    ['setImage', { targets: at('web'), images: [] }, 'input.images: Give at least one image.'],
    [
      'setImage',
      { targets: at('web'), images: [{ image: '' }] },
      'input.images[0].image: "" is no image reference.',
    ],
    [
      'setImage',
      { targets: at('web'), images: [{ image: 'a b' }] },
      'input.images[0].image: "a b" is no image reference.',
    ],
    [
      'setImage',
      { targets: at('web'), images: [{ container: '__proto__', image: 'a' }] },
      'input.images[0].container: "__proto__" is no DNS label',
    ],
    [
      'setImage',
      {
        targets: at('web'),
        images: [
          { container: 'a', image: 'x' },
          { container: 'a', image: 'y' },
        ],
      },
      'input.images[1].container: Name each container once.',
    ],
    [
      'setImage',
      { targets: at('web'), images: [{ image: 'x' }, { container: 'a', image: 'y' }] },
      'input.images[0].container: Name each container once.',
    ],
    ['label', { targets: at('web', 'Deployment') }, 'input: Give something to "set" or "remove".'],
    ['label', { targets: at('web', 'Deployment'), set: [], remove: [] }, 'input: Give something'],
    [
      'label',
      { targets: at('web', 'Deployment'), set: [{ key: 'a b', value: '' }] },
      'input.set[0].key: "a b" is no key',
    ],
    [
      'label',
      { targets: at('web', 'Deployment'), set: [{ key: 'Example.com/x', value: '' }] },
      'input.set[0].key: "Example.com/x" has a prefix',
    ],
    [
      'label',
      { targets: at('web', 'Deployment'), set: [{ key: 'a', value: 'b c' }] },
      'input.set[0].value: "b c" is no value of a label',
    ],
    [
      'label',
      {
        targets: at('web', 'Deployment'),
        set: [
          { key: 'a', value: '1' },
          { key: 'a', value: '1' },
        ],
      },
      'input.set[1].key: The key "a" stands here twice.',
    ],
    [
      'annotate',
      { targets: at('web', 'Deployment'), set: [{ key: 'a', value: '1' }], remove: ['a'] },
      'input.remove[0]: The key "a" is both set and removed.',
    ],
    [
      'annotate',
      { targets: at('web', 'Deployment'), remove: ['__proto__'] },
      'input.remove[0]: "__proto__" is no key',
    ],
    [
      'label',
      { targets: two, set: [{ key: 'a', value: '' }], resourceVersion: '1' },
      'input.targets.objects[0].kind: Say of which kind the object is.',
    ],
    [
      'deletePod',
      { targets: { objects: [at('a').object, at('b').object] }, uid: 'x' },
      'input.uid: "uid" is of one object, and these are 2.',
    ],
    [
      'deletePod',
      { targets: { objects: [at('a').object, at('b').object] }, resourceVersion: '1' },
      'input.resourceVersion: "resourceVersion" is of one object',
    ],
    ['deletePod', { targets: at('a'), uid: 'x'.repeat(129) }, 'input.uid: "xxx'],
    ['deletePod', { targets: at('a'), resourceVersion: '1\n' }, 'input.resourceVersion: "1\\n" is not what'],
    ['deletePod', { targets: at('a'), gracePeriodSeconds: -1 }, 'input.gracePeriodSeconds: '],
    ['evictPod', { targets: at('a'), patienceSeconds: 601 }, 'input.patienceSeconds: '],
    ['evictPod', { targets: at('a'), gracePeriodSeconds: -1 }, 'input.gracePeriodSeconds: '],
    ['drain', { targets: node('node-a'), timeoutSeconds: 601 }, 'input.timeoutSeconds: '],
    ['drain', { targets: node('node-a'), gracePeriodSeconds: -1 }, 'input.gracePeriodSeconds: '],
    ['autoscale', { targets: at('web') }, 'input.maxReplicas: Say how many at most.'],
    ['autoscale', { targets: at('web'), maxReplicas: 3, minReplicas: 4 }, 'input.'],
    ['autoscale', { targets: two, maxReplicas: 3, name: 'one' }, 'input.name: One name is for one workload.'],
    ['autoscale', { targets: two, off: true, name: 'one' }, 'input.name: One name is for one workload.'],
    ['createNamespace', { targets: IN, name: 'a/b' }, 'input.name: "a/b" is no DNS label'],
    [
      'createNamespace',
      { targets: IN, name: 'a', labels: [{ key: 'a', value: ' ' }] },
      'input.labels[0].value: ',
    ],
    [
      'deleteNamespace',
      { targets: IN, name: 'old', confirmName: 'Old' },
      'input.confirmName: "confirmName" is not the name "old".',
    ],
    [
      'expose',
      { targets: two, name: 'one' },
      'input.name: Several workloads of a namespace cannot have one Service.',
    ],
    ['expose', { targets: at('web'), waitForAddressSeconds: 26 }, 'input.waitForAddressSeconds: '],
    ['applyManifest', { targets: IN, manifest: '' }, 'input.manifest: There is no object in the manifests'],
    ['applyManifest', { targets: IN, manifest: 'a: [' }, 'input.manifest: Document 1, line 1'],
    [
      'applyManifest',
      { targets: IN, manifest: 'a: b', createNamespace: true },
      'input.namespace: Say which namespace to make.',
    ],
    [
      'applyManifest',
      { targets: IN, manifest: 'a: b', namespace: '..' },
      'input.namespace: ".." is no DNS label',
    ],
    ['deploy', { targets: IN, namespace: 'shop', name: 'web', containers: [] }, 'input.containers'],
    [
      'deploy',
      { targets: IN, namespace: '..', name: 'web', containers: [{ image: 'a' }] },
      'input.namespace: ".." is no DNS label',
    ],
    [
      'deploy',
      {
        targets: IN,
        namespace: 'shop',
        name: 'web',
        containers: [{ image: 'a' }],
        overrides: [{ replicas: 1 }],
      },
      'input.overrides[0]: Say in which clusters',
    ],
    [
      'deploy',
      {
        targets: IN,
        namespace: 'shop',
        name: 'web',
        containers: [{ image: 'a' }],
        overrides: [{ clusters: ['x'], replicas: 1 }],
      },
      'input.overrides[0].clusters: There is no cluster "x"',
    ],
    [
      'deploy',
      {
        targets: IN,
        namespace: 'shop',
        name: 'web',
        containers: [{ image: 'a' }],
        overrides: [{ clusterSelector: 'a in' }],
      },
      'input.overrides[0].clusterSelector: The label selector',
    ],
    [
      'deploy',
      {
        targets: IN,
        namespace: 'shop',
        name: 'web',
        containers: [{ image: 'a', resources: { limits: { extended: [{ key: 'a b', value: '1' }] } } }],
      },
      'input.containers[0].resources.limits.extended[0].key: "a b" is no key',
    ],
  ])('%s refuses %j', async (verb, input, expected) => {
    const { refusal, change } = await mutate(fleet, verb, input)
    expect(refusal).toContain(`BAD_USER_INPUT ${expected}`)
    expect(change).toBeUndefined()
  })

  it('holds what it was told to expect', async () => {
    const { change } = await mutate(fleet, 'scale', { targets: at('web'), to: 1, resourceVersion: '7' })
    expect(change?.steps[0]?.preconditions).toEqual({ resourceVersion: '7' })
    const gone = await mutate(fleet, 'deletePod', { targets: at('a'), uid: 'u', resourceVersion: '7' })
    expect(gone.change?.steps[0]?.preconditions).toEqual({ uid: 'u', resourceVersion: '7' })
  })

  it('says what it does, for a person', async () => {
    const titles = await Promise.all([
      mutate(fleet, 'scale', { targets: at('web'), to: 3 }),
      mutate(fleet, 'scale', { targets: at('web'), by: 2 }),
      mutate(fleet, 'rollback', { targets: at('web'), toRevision: 2 }),
      mutate(fleet, 'cordon', { targets: node('node-a') }),
      mutate(fleet, 'createNamespace', { targets: { selector: '' }, name: 'new' }),
    ])
    expect(titles.map(({ change }) => change?.title)).toEqual([
      'scale to 3: Deployment shop/web in prod-eu',
      'scale by +2: Deployment shop/web in prod-eu',
      'roll back to revision 2: Deployment shop/web in prod-eu',
      'cordon Node node-a in prod-eu',
      'create Namespace new in prod-eu, prod-us, staging',
    ])
  })
})

describe('deploy', () => {
  const input = {
    targets: IN,
    namespace: 'shop',
    name: 'web',
    createNamespace: true,
    replicas: 2,
    containers: [{ image: 'nginx:1.29' }],
  }
  const replicasIn = (
    steps: readonly { readonly action: object; readonly object: { readonly cluster: string } }[],
  ) =>
    steps.flatMap(({ action, object }) => {
      const { manifest } = action as { manifest?: { kind?: string; spec?: { replicas?: number } } }
      return manifest?.kind === 'Deployment' ? [[object.cluster, manifest.spec?.replicas]] : []
    })

  it('makes its namespace first, in each cluster', async () => {
    const { change } = await mutate(fleet, 'deploy', input)
    expect(
      change?.steps.map(({ object, stage, action }) => `${stage} ${action.type} ${placeOf(object)}`),
    ).toEqual([
      '0 CREATE Namespace prod-eu/shop',
      expect.stringMatching(/^[1-9]\d* APPLY Deployment prod-eu\/shop\/web$/),
      '0 CREATE Namespace prod-us/shop',
      expect.stringMatching(/^[1-9]\d* APPLY Deployment prod-us\/shop\/web$/),
    ])
  })

  it('is different where that is said, and what is said later stands above', async () => {
    const overrides = [
      { clusterSelector: 'env=prod', replicas: 3 },
      { clusters: ['prod-us'], replicas: 5 },
      { clusters: ['prod-us'], imageRegistry: 'registry.us.example.com' },
    ]
    const { change } = await mutate(fleet, 'deploy', { ...input, overrides })
    expect(replicasIn(change!.steps)).toEqual([
      ['prod-eu', 3],
      ['prod-us', 5],
    ])
    expect(JSON.stringify(change?.steps.filter(({ object }) => object.cluster === 'prod-us'))).toContain(
      'registry.us.example.com/library/nginx:1.29',
    )
  })

  it('takes null for what is left out', async () => {
    const plain = await mutate(fleet, 'deploy', input)
    const nulls = { kind: null, force: null, overrides: null, labels: null, sidecars: null, rollout: null }
    const { change, refusal } = await mutate(fleet, 'deploy', { ...input, ...nulls })
    expect(refusal).toBeUndefined()
    expect(change?.steps).toEqual(plain.change?.steps)
  })
})

describe('applyManifest', () => {
  it('puts what says no namespace into the one that is given, where its kind has one', async () => {
    const manifest = [
      '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}',
      '{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: own}}',
      '{apiVersion: v1, kind: Namespace, metadata: {name: other}}',
    ].join('\n---\n')
    const { change, refusal } = await mutate(fleet, 'applyManifest', {
      targets: { clusters: ['prod-eu'] },
      manifest,
      namespace: 'given',
      createNamespace: true,
    })
    expect(refusal).toBeUndefined()
    expect(targetsIn(change)).toEqual([
      'Namespace prod-eu/given',
      'Namespace prod-eu/other',
      'ConfigMap prod-eu/given/a',
      'ConfigMap prod-eu/own/b',
    ])
  })

  it('takes a namespace from what is in none, and leaves it to a kind of its own that is called alike', async () => {
    const manifest = [
      '{apiVersion: v1, kind: Namespace, metadata: {name: kube-system, namespace: harmless}}',
      '{apiVersion: metal.example.com/v1, kind: Node, metadata: {name: rack-1, namespace: shop}}',
    ].join('\n---\n')
    const { change, refusal } = await mutate(fleet, 'applyManifest', {
      targets: { clusters: ['prod-eu'] },
      manifest,
    })
    expect(refusal).toBeUndefined()
    expect(targetsIn(change)).toEqual(['Namespace prod-eu/kube-system', 'Node prod-eu/shop/rack-1'])
    expect(change?.steps[0]?.action).toMatchObject({ manifest: { metadata: { name: 'kube-system' } } })
    expect(JSON.stringify(change?.steps[0]?.action)).not.toContain('harmless')
  })

  it('takes from the manifest itself whether what it defines has a namespace', async () => {
    const definition = (kind: string, scope: string) =>
      `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: ${kind.toLowerCase()}s.example.com}, ` +
      `spec: {group: example.com, scope: ${scope}, names: {kind: ${kind}}, versions: [{name: v1, served: true}]}}`
    const manifest = [
      definition('Widget', 'Namespaced'),
      definition('Globe', 'Cluster'),
      '{apiVersion: example.com/v1, kind: Widget, metadata: {name: a}}',
      '{apiVersion: example.com/v1, kind: Globe, metadata: {name: b}}',
    ].join('\n---\n')
    const { fleet: bare, eu } = shopFleet()
    // Defined by nobody so far.
    eu.resolve = () => Promise.resolve(undefined)
    const { change, refusal } = await mutate(bare, 'applyManifest', {
      targets: { clusters: ['prod-eu'] },
      manifest,
    })
    expect(refusal).toBeUndefined()
    expect(targetsIn(change)).toEqual([
      'CustomResourceDefinition prod-eu/widgets.example.com',
      'CustomResourceDefinition prod-eu/globes.example.com',
      'Widget prod-eu/default/a',
      'Globe prod-eu/b',
    ])
  })
})

describe('scale', () => {
  it('says which autoscaler may set another number, where there is one that may be seen', async () => {
    const { change } = await mutate(fleet, 'scale', { targets: two, to: 1 })
    expect(change!.steps.map(({ object, note }) => [object.name, note])).toEqual([
      [
        'web',
        'The HorizontalPodAutoscaler web keeps it at 2 to 3 replicas, and may set another number; at 0 it leaves it alone.',
      ],
      ['idle', undefined],
    ])
  })
})

describe('unexpose', () => {
  const { fleet: exposed, eu } = shopFleet()
  const ingress = (name: string, ...services: readonly string[]) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace: 'shop', uid: `uid-${name}`, resourceVersion: '7' },
    spec: {
      rules: services.map((service) => ({
        host: `${service}.example.com`,
        http: { paths: [{ path: '/', backend: { service: { name: service, port: { number: 80 } } } }] },
      })),
    },
  })
  eu.answer = () => ({ items: [ingress('both', 'web', 'api'), ingress('only-web', 'web')] })

  it('lets no Service hold up another', async () => {
    const targets = { objects: ['web', 'api'].map((name) => at(name).object) }
    const { change } = await mutate(exposed, 'unexpose', { targets })
    expect(new Set(change!.steps.map(({ group }) => group))).toEqual(new Set(['shop/web', 'shop/api']))
  })

  it('takes Ingresses along that lead to nothing else by now, and the Service last', async () => {
    const { change } = await mutate(exposed, 'unexpose', { targets: at('web') })
    const steps = change!.steps.map(({ object, stage }) => `${stage} ${placeOf(object)}`)
    expect(steps).toEqual(['0 Ingress prod-eu/shop/only-web', '1 Service prod-eu/shop/web'])
    expect(change!.steps[0]!.preconditions).toEqual({ uid: 'uid-only-web' })
    const without = await mutate(exposed, 'unexpose', { targets: at('web'), ingresses: false })
    expect(targetsIn(without.change)).toEqual(['Service prod-eu/shop/web'])
  })

  it('takes the Service alone where its Ingresses may not be seen', async () => {
    const { fleet: hidden, eu } = shopFleet()
    eu.answer = () => {
      throw new ApiError(403, { reason: 'Forbidden', message: 'ingresses are forbidden' })
    }
    const { change } = await mutate(hidden, 'unexpose', { targets: at('web') })
    expect(targetsIn(change)).toEqual(['Service prod-eu/shop/web'])
  })

  it('begins nothing where it cannot be told which Ingresses there are, and says so', async () => {
    const { fleet: silent, eu } = shopFleet()
    eu.answer = () => {
      throw new ApiError(503, { reason: 'ServiceUnavailable', message: 'busy' })
    }
    const { change, data } = await mutate(silent, 'unexpose', { targets: at('web') })
    expect(targetsIn(change)).toEqual([])
    expect(data.results).toMatchObject([
      { name: 'web', outcome: 'UNREACHABLE', error: { code: 'UNREACHABLE' } },
    ])
  })
})

describe('drain', () => {
  const notFound = () => new ApiError(404, { reason: 'NotFound', message: 'nodes "absent" not found' })

  it('drains the nodes of a cluster that are there, where another is not', async () => {
    const { fleet: draining, eu } = shopFleet()
    eu.answer = ({ path }) => {
      if (path.endsWith('/nodes/absent')) throw notFound()
      if (!path.endsWith('/pods')) return { apiVersion: 'v1', kind: 'Node' }
      return {
        items: [pod('shop', 'web-2-a', { node: 'node-a', owner: { kind: 'ReplicaSet', name: 'web-2' } })],
      }
    }
    const targets = { objects: [node('absent').object, node('node-a').object] }
    const { change, data } = await mutate(draining, 'drain', { targets })
    expect(targetsIn(change)).toEqual(['Node prod-eu/node-a', 'Pod prod-eu/shop/web-2-a'])
    expect(change?.steps.map(({ stage }) => stage)).toEqual([0, 1])
    expect(data.results[0]).toMatchObject({ name: 'absent', outcome: 'FAILED', error: { code: 'NOT_FOUND' } })
  })

  it('begins nothing on a node with a pod that would be lost', async () => {
    const { fleet: draining, eu } = shopFleet()
    eu.answer = ({ path }) =>
      path.endsWith('/pods') ? { items: [pod('shop', 'stray', { node: 'node-a' })] } : { kind: 'Node' }
    const { change, data } = await mutate(draining, 'drain', { targets: node('node-a') })
    expect(change?.steps).toEqual([])
    expect(data.results).toMatchObject([
      { name: 'stray', outcome: 'FAILED', error: { code: 'NOT_SUPPORTED' } },
    ])
    const forced = await mutate(draining, 'drain', { targets: node('node-a'), force: true })
    expect(targetsIn(forced.change)).toEqual(['Node prod-eu/node-a', 'Pod prod-eu/shop/stray'])
  })
})
