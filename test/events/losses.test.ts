import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Hub } from '../../src/events/hub.ts'
import type { Eyes, LiveRequest, RowsRequest, Witness } from '../../src/events/live.ts'
import { GATHER_MS } from '../../src/events/losses.ts'
import { isLess } from '../../src/events/slot.ts'
import type { Cluster } from '../../src/fleet/cluster.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import { podRow } from '../fleet/pod-model.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { renderAll, TestSink } from './follower.ts'

const pods: RowsRequest = {
  type: 'rows',
  kinds: ['Pod'],
  clusters: () => true,
  selection: {},
  throttleMs: 0,
}
const summary: LiveRequest = { type: 'recomputed', kinds: ['Pod'], clusters: () => true, intervalMs: 1_000 }

const within = (...namespaces: readonly string[]): Scope => ({ namespaces: new Set(namespaces) })

/** What one viewer may see of each cluster; the key says the same. `PENDING`: it is not known yet. */
class Person implements Eyes {
  readonly rights: Record<string, Scope | 'PENDING' | undefined>
  readonly told: string[] = []
  readonly witness: Witness = { lost: (clusters) => void this.told.push(clusters.join()) }

  constructor(rights: Record<string, Scope | 'PENDING' | undefined>) {
    this.rights = rights
  }

  get key(): string {
    return JSON.stringify(this.rights, (_, value: unknown) => (value instanceof Set ? [...value] : value))
  }

  scope({ name }: Cluster): Scope | undefined {
    const right = this.rights[name]
    return right === 'PENDING' ? undefined : right
  }

  isDecided({ name }: Cluster): boolean {
    return this.rights[name] !== 'PENDING'
  }
}

function cluster(name: string): FakeCluster {
  const made = new FakeCluster(name)
  made.apply('Pod', { type: 'Init' })
  for (const namespace of ['pay', 'shop']) {
    const row = podRow({ name: 'web', namespace, uid: `${name}-${namespace}`, resourceVersion: '1' }, name)
    made.apply('Pod', { type: 'InitApply', row })
  }
  made.apply('Pod', { type: 'InitDone', resourceVersion: '10' })
  return made
}

function world() {
  const fleet = new FakeFleet(cluster('east'), cluster('west'))
  const clock = new FakeClock()
  const failed = vi.fn<(error: unknown) => void>()
  const hub = new Hub({ fleet, clock, onFailure: failed })
  onTestFinished(() => hub.close())
  const follow = (eyes: Eyes, request: LiveRequest = pods) =>
    hub.join({
      key: 'all',
      eyes,
      request,
      render: renderAll,
      start: { snapshot: false },
      sink: new TestSink(),
    })
  const changed = async () => {
    hub.rightsChanged()
    await settled()
  }
  return { fleet, clock, hub, follow, changed, failed }
}

describe.each([
  ['rows', pods],
  ['a summary', summary],
])('who keeps account of a stream of %s', (_, request) => {
  it('is told once of each viewer that sees less, and of nobody else', async () => {
    const { clock, follow, changed } = world()
    const alike = Array.from({ length: 3 }, () => new Person({ east: 'all', west: 'all' }))
    const [ann, bob] = alike as [Person, Person]
    for (const person of alike) follow(person, request)
    await settled()
    ann.rights['east'] = within('shop')
    ann.rights['west'] = undefined
    await changed()
    expect(ann.told).toEqual([])
    await clock.advance(GATHER_MS)
    expect(alike.map(({ told }) => told)).toEqual([['east,west'], [], []])
    for (const person of alike) person.rights['west'] = undefined
    await changed()
    await clock.advance(GATHER_MS)
    expect(alike.map(({ told }) => told)).toEqual([['east,west'], ['west'], ['west']])
    // To be given something is no loss, nor is it to have it renamed.
    ann.rights['east'] = within('shop', 'pay')
    bob.rights['west'] = 'all'
    bob.rights['elsewhere'] = 'all'
    await changed()
    await clock.advance(GATHER_MS)
    expect(alike.map(({ told }) => told.length)).toEqual([1, 1, 1])
  })

  it('is told once in a while in a storm, of all that was lost in it', async () => {
    const { clock, follow, changed } = world()
    const ann = new Person({ east: 'all', west: 'all' })
    follow(ann, request)
    await settled()
    for (let i = 0; i < 40; i++) {
      const name = i % 4 < 2 ? 'east' : 'west'
      ann.rights[name] = i % 2 === 0 ? undefined : 'all'
      await changed()
      await clock.advance(GATHER_MS / 20)
    }
    await clock.advance(GATHER_MS)
    expect(ann.told).toEqual(['east,west', 'east,west'])
    expect(clock.pending).toBe(0)
  })

  it('is told when it is decided, of rights that had to be found out anew', async () => {
    const { clock, follow, changed } = world()
    const people = Array.from({ length: 6 }, () => new Person({ east: 'all' }))
    for (const person of people) follow(person, request)
    await settled()
    for (const person of people) person.rights['east'] = 'PENDING'
    await changed()
    await clock.advance(GATHER_MS)
    expect(people.flatMap(({ told }) => told)).toEqual([])
    // The most of them stay together, and the others go elsewhere.
    const answers = [undefined, within('shop'), 'all', 'all', 'all', undefined] as const
    for (const [i, person] of people.entries()) person.rights['east'] = answers[i]
    await changed()
    await clock.advance(GATHER_MS)
    expect(people.map(({ told }) => told)).toEqual([['east'], ['east'], [], [], [], ['east']])
  })

  it('is told of no cluster that left, and of nobody who had gone before', async () => {
    const { fleet, clock, follow, changed } = world()
    const [ann, bob] = [new Person({ east: 'all', west: 'all' }), new Person({ east: 'all' })]
    follow(ann, request)
    const membership = follow(bob, request)
    await settled()
    ann.rights['east'] = 'PENDING'
    await changed()
    fleet.remove('east')
    membership.leave()
    ann.rights['east'] = bob.rights['east'] = undefined
    await changed()
    await clock.advance(GATHER_MS)
    expect([ann.told, bob.told]).toEqual([[], []])
  })

  it('is told at the end what waits, and a mistake in it hurts nobody', async () => {
    const { clock, hub, follow, changed, failed } = world()
    const [ann, bob] = [new Person({ east: 'all' }), new Person({ east: 'all' })]
    const broken = new Error('broken')
    const eve: Eyes = {
      get key() {
        return ann.key
      },
      scope: (cluster) => ann.scope(cluster),
      witness: {
        lost() {
          throw broken
        },
      },
    }
    for (const eyes of [eve, ann, bob]) follow(eyes, request)
    await settled()
    ann.rights['east'] = bob.rights['east'] = undefined
    await changed()
    hub.close()
    expect([ann.told, bob.told]).toEqual([['east'], ['east']])
    expect(failed.mock.calls).toEqual([[broken]])
    expect(clock.pending).toBe(0)
  })
})

describe('to see less', () => {
  const objects = (...names: readonly string[]): Scope => ({ namespaces: new Set(), objects: new Set(names) })
  const named = (...names: readonly string[]): Scope => ({ namespaces: new Set(), names: new Set(names) })

  it.each<readonly [Scope | undefined, Scope | undefined]>([
    ['all', undefined],
    ['all', within('shop')],
    [within('shop'), undefined],
    [within('shop', 'pay'), within('shop', 'new')],
    [objects('shop/web', 'shop/db'), objects('shop/web')],
    [named('web', 'db'), named('web')],
    [named('web'), objects('shop/web')],
  ])('is something that was seen and is not: %o, then %o', (before, now) => {
    expect(isLess(now, before)).toBe(true)
  })

  it.each<readonly [Scope | undefined, Scope | undefined]>([
    [undefined, undefined],
    [undefined, 'all'],
    ['all', 'all'],
    [within('shop'), within('shop', 'pay')],
    [objects('shop/web'), within('shop')],
    [objects('shop/web'), named('web', 'db')],
    [objects('shop/web'), 'all'],
    [named('web'), { namespaces: new Set(['shop']), names: new Set(['web']) }],
  ])('is not to see the same, or more: %o, then %o', (before, now) => {
    expect(isLess(now, before)).toBe(false)
  })
})
