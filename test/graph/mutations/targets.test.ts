import { describe, expect, it } from 'vitest'
import { everything } from '../../../src/access/policy.ts'
import { globalId } from '../../../src/kubernetes/kinds.ts'
import { FakeCluster, FakeFleet } from '../../support/fake-fleet.ts'
import { ScopedPolicy } from '../../support/scoped-policy.ts'
import { pod, shopFleet } from '../../support/shop.ts'
import { mutate, targetsIn } from './mutate.ts'

const { fleet } = shopFleet()
const web = { cluster: 'prod-eu', namespace: 'shop', name: 'web' }
const WEB = 'Deployment prod-eu/shop/web'

const restart = (targets: Readonly<Record<string, unknown>>) => mutate(fleet, 'restart', { targets })
const label = (targets: Readonly<Record<string, unknown>>) =>
  mutate(fleet, 'label', { targets, set: [{ key: 'team', value: 'blue' }] })

describe('targets of a mutation', () => {
  it.each([
    ['an ID', { id: globalId('Deployment', 'prod-eu', 'shop', 'web') }, [WEB]],
    [
      'several IDs',
      {
        ids: [
          globalId('Deployment', 'prod-us', 'shop', 'web'),
          globalId('StatefulSet', 'prod-eu', 'shop', 'db'),
        ],
      },
      ['Deployment prod-us/shop/web', 'StatefulSet prod-eu/shop/db'],
    ],
    ['a name, of the kind that it is mostly used for', { object: web }, [WEB]],
    [
      'a name of another kind',
      { object: { ...web, kind: 'StatefulSet', name: 'db' } },
      ['StatefulSet prod-eu/shop/db'],
    ],
    [
      'several names, whether or not they are there',
      { objects: [web, { ...web, name: 'absent' }] },
      [WEB, 'Deployment prod-eu/shop/absent'],
    ],
    ['a selector', { selector: { labelSelector: 'app=web' } }, [WEB]],
    [
      'a selector of several kinds in some clusters',
      { selector: { clusters: ['prod-eu'], kinds: ['Deployment', 'StatefulSet'], namespaces: ['shop'] } },
      ['Deployment prod-eu/shop/idle', WEB, 'StatefulSet prod-eu/shop/db'],
    ],
    ['a selector by names', { selector: { names: ['idle', 'absent'] } }, ['Deployment prod-eu/shop/idle']],
    ['a selector that matches nothing', { selector: { names: ['absent'] } }, []],
  ])('can be %s', async (_what, targets, expected) => {
    const { change, errors } = await restart(targets)
    expect(errors).toEqual([])
    expect(targetsIn(change).toSorted()).toEqual(expected.toSorted())
  })

  it('are each named once, however often and in however many ways they are given', async () => {
    const { change } = await restart({ objects: [web, { ...web, kind: 'Deployment' }, web] })
    expect(targetsIn(change)).toEqual([WEB])
  })

  it('keep an API version that is not the one of the gateway', async () => {
    const { change } = await label({ object: { ...web, apiVersion: 'apps/v1beta1', kind: 'Deployment' } })
    expect(change?.steps[0]?.object).toMatchObject({ apiVersion: 'apps/v1beta1', kind: 'Deployment' })
  })

  it('can be of a kind that the gateway does not keep, and of a custom one with the name of another', async () => {
    const widget = { cluster: 'prod-eu', apiVersion: 'example.com/v1', kind: 'Widget', name: 'one' }
    const service = { ...widget, apiVersion: 'serving.example.com/v1', kind: 'Service', namespace: 'shop' }
    const { change } = await label({ objects: [widget, service] })
    expect(change?.steps.map(({ object }) => object)).toEqual([{ ...widget, namespace: null }, service])
  })

  it.each([
    ['an ID that is none', { id: 'nonsense' }, 'id: This is not the ID of an object.'],
    ['an ID of a cluster', { id: globalId('Cluster', 'prod-eu') }, 'id: This is the ID of a cluster'],
    [
      'a path in an ID',
      { ids: [globalId('Deployment', 'prod-eu', 'shop', '..')] },
      'ids[0]: This is not the ID',
    ],
    [
      'an ID without its namespace',
      { id: globalId('Deployment', 'prod-eu', '', 'web') },
      'id: This is not the ID',
    ],
    [
      'an ID with a namespace that is a path',
      { id: globalId('Deployment', 'prod-eu', '..', 'web') },
      'id: This is not the ID',
    ],
    [
      'an ID of a cluster that is not there',
      { id: globalId('Deployment', 'prod-xx', 'shop', 'web') },
      'id: There is no cluster "prod-xx". Near it: "prod-eu", "prod-us"',
    ],
    [
      'a cluster that is not there',
      { objects: [web, { ...web, cluster: 'prod-xx' }] },
      'objects[1].cluster: There is no cluster "prod-xx"',
    ],
    [
      'the wrong kind',
      { object: { ...web, kind: 'Pod' } },
      'object.kind: This is not for objects of kind "Pod", but for Deployment, StatefulSet, DaemonSet.',
    ],
    [
      'the wrong kind in an ID',
      { id: globalId('Pod', 'prod-eu', 'shop', 'web-2-a') },
      'id: This is not for objects of kind "Pod"',
    ],
    [
      'the wrong kind in a selector',
      { selector: { kinds: ['Pod'], namespaces: ['shop'] } },
      'selector.kinds: This is not for objects of kind "Pod"',
    ],
    [
      'no namespace',
      { object: { cluster: 'prod-eu', name: 'web' } },
      'object.namespace: Objects of kind Deployment are in a namespace: give "namespace".',
    ],
    [
      'a name that is a path',
      { object: { ...web, name: '../web' } },
      'object.name: "../web" cannot be a part of a path',
    ],
    ['a name of one dot', { object: { ...web, name: '..' } }, 'object.name: ".." cannot be'],
    ['a name in another script', { object: { ...web, name: 'wеb' } }, 'object.name: "wеb" cannot be'],
    ['a name with a line break', { object: { ...web, name: 'web\n' } }, 'object.name: "web\\n" cannot be'],
    ['an endless name', { object: { ...web, name: 'a'.repeat(254) } }, 'object.name: "aaa'],
    ['no name', { object: { ...web, name: '' } }, 'object.name: "" is empty.'],
    [
      'a namespace that is a path',
      { object: { ...web, namespace: 'a/b' } },
      'object.namespace: "a/b" is no DNS label',
    ],
    [
      'a namespace with capitals',
      { object: { ...web, namespace: 'Shop' } },
      'object.namespace: "Shop" is no DNS label',
    ],
    [
      'an API version that is a path',
      { object: { ...web, apiVersion: '../v1' } },
      'object.apiVersion: "../v1" is no API version',
    ],
    ['a kind that is a path', { object: { ...web, kind: '../pods' } }, 'object.kind: "../pods" is no kind'],
    ['no object', { objects: [] }, ': This names no object.'],
    ['no ID', { ids: [] }, ': This names no object.'],
    ['an empty selector', { selector: {} }, 'selector: This would be all objects'],
    [
      'a selector of clusters alone',
      { selector: { clusterSelector: 'env=prod' } },
      'selector: This would be all objects',
    ],
    [
      'a selector that is none',
      { selector: { labelSelector: 'a in' } },
      'selector.labelSelector: The label selector "a in"',
    ],
    [
      'a limit of 0',
      { selector: { names: ['web'], limit: 0 } },
      'selector.limit: "limit" is 0: expected 1 to 1000.',
    ],
    [
      'a limit beyond all bounds',
      { selector: { names: ['web'], limit: 1_001 } },
      'selector.limit: "limit" is 1001',
    ],
    [
      'more objects than were meant',
      { selector: { namespaces: ['shop'], limit: 1 } },
      'selector.limit: More than 1 objects match. Narrow the selector',
    ],
    [
      'more objects than may be',
      { objects: Array.from({ length: 1_001 }, (_, i) => ({ ...web, name: `web-${i}` })) },
      ': These are 1001 objects: at most 1000 in one request.',
    ],
  ])('cannot be %s', async (_what, targets, expected) => {
    const { refusal, change } = await restart(targets)
    expect(refusal).toContain(`BAD_USER_INPUT input.targets${expected.startsWith(':') ? '' : '.'}${expected}`)
    expect(change).toBeUndefined()
  })

  it('of any kind have to say which', async () => {
    expect((await label({ object: web })).refusal).toBe(
      'BAD_USER_INPUT input.targets.object.kind: Say of which kind the object is.',
    )
    expect((await label({ selector: { names: ['web'] } })).refusal).toContain(
      'selector.kinds: Say of which kinds',
    )
    expect((await label({ object: { ...web, kind: 'Widget' } })).refusal).toBe(
      'BAD_USER_INPUT input.targets.object.apiVersion: The gateway does not keep objects of kind Widget: give "apiVersion" with it.',
    )
  })

  it('are in no namespace where their kind is in none', async () => {
    const object = { cluster: 'prod-eu', namespace: 'shop', name: 'node-a' }
    expect((await mutate(fleet, 'cordon', { targets: { object } })).refusal).toContain(
      'input.targets.object.namespace: Objects of kind Node are in no namespace: leave "namespace" out.',
    )
    const { change } = await mutate(fleet, 'cordon', {
      targets: { object: { cluster: 'prod-eu', name: 'node-a' } },
    })
    expect(change?.steps[0]?.object.namespace).toBeNull()
  })

  it('are one way of saying it: two are refused before anything is looked at', async () => {
    const { errors, change } = await restart({ object: web, selector: { names: ['web'] } })
    expect(errors[0]?.message).toContain('OneOf')
    expect(change).toBeUndefined()
  })
})

describe('a selector, and what its viewer may not list', () => {
  const pods = (cluster: string) =>
    new FakeCluster(cluster).load('Pod', [pod('shop', 'web'), pod('vault', 'web-of-gold')])

  it('selects nothing of it, and says nothing of it', async () => {
    const only = { namespaces: new Set(['shop']) }
    const { change, data } = await mutate(
      new FakeFleet(pods('a')),
      'deletePod',
      { targets: { selector: { clusters: ['a'], labelSelector: '' } } },
      { policy: new ScopedPolicy(() => only) },
    )
    expect(targetsIn(change)).toEqual(['Pod a/shop/web'])
    expect(JSON.stringify([data, change])).not.toContain('gold')
  })

  it('does not count it against the limit', async () => {
    const { change } = await mutate(
      new FakeFleet(pods('a')),
      'deletePod',
      { targets: { selector: { labelSelector: '', limit: 1 } } },
      { policy: new ScopedPolicy(() => ({ namespaces: new Set(['shop']) })) },
    )
    expect(targetsIn(change)).toEqual(['Pod a/shop/web'])
  })

  it('has a FORBIDDEN result for a cluster of which nothing may be listed', async () => {
    const { data, change } = await mutate(
      new FakeFleet(pods('a'), pods('b')),
      'deletePod',
      { targets: { selector: { names: ['web'] } } },
      { policy: new ScopedPolicy((cluster) => (cluster === 'a' ? 'all' : undefined)) },
    )
    expect(targetsIn(change)).toEqual(['Pod a/shop/web'])
    const [known, done] = data.results
    expect(done).toMatchObject({ clusterName: 'a', outcome: 'UNCHANGED' })
    expect(known).toMatchObject({
      clusterName: 'b',
      kind: 'Pod',
      namespace: null,
      name: '',
      action: 'select objects',
      outcome: 'FORBIDDEN',
      error: { code: 'FORBIDDEN' },
    })
    expect(known.error.message).toContain('What the selector means in b is not known: ')
  })

  it('has an UNREACHABLE result for a cluster that is not in memory yet, for each kind', async () => {
    const { data } = await mutate(
      new FakeFleet(pods('a'), new FakeCluster('new')),
      'deleteObject',
      { targets: { selector: { names: ['web'], kinds: ['Pod', 'Service'], clusters: ['new'] } } },
      { policy: everything },
    )
    expect(
      data.results.map((result: { kind: string; outcome: string }) => [result.kind, result.outcome]),
    ).toEqual([
      ['Pod', 'UNREACHABLE'],
      ['Service', 'UNREACHABLE'],
    ])
  })
})

describe('clusters of a mutation', () => {
  const make = (targets: Readonly<Record<string, unknown>>) =>
    mutate(fleet, 'createNamespace', { targets, name: 'new' })

  it('are named, or selected by their labels, and are in order of their names', async () => {
    const named = await make({ clusters: ['staging', 'prod-eu', 'staging'] })
    expect(targetsIn(named.change)).toEqual(['Namespace prod-eu/new', 'Namespace staging/new'])
    const selected = await make({ selector: 'env=prod' })
    expect(targetsIn(selected.change)).toEqual(['Namespace prod-eu/new', 'Namespace prod-us/new'])
  })

  it.each([
    [{ clusters: [] }, 'input.targets: No cluster is meant by this.'],
    [{ selector: 'env=nowhere' }, 'input.targets: No cluster is meant by this.'],
    [{ clusters: ['prod-xx'] }, 'input.targets.clusters: There is no cluster "prod-xx".'],
    [{ selector: 'env in' }, 'input.targets.selector: The label selector'],
  ])('%j is refused', async (targets, expected) => {
    expect((await make(targets)).refusal).toContain(`BAD_USER_INPUT ${expected}`)
  })
})
