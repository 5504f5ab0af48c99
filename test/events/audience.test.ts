/** Whom a change is told, with many filters at once: all that it concerns, and few others. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Journals } from '../../src/events/journal.ts'
import { Slot } from '../../src/events/slot.ts'
import { TableChannel } from '../../src/events/table-channel.ts'
import { rowTest } from '../../src/fleet/matches.ts'
import type { Scope, Selection } from '../../src/fleet/selection.ts'
import type { Change } from '../../src/fleet/table.ts'
import { parseLabelSelector } from '../../src/kubernetes/label-selector.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { FakeCluster } from '../support/fake-fleet.ts'

interface PodShape {
  readonly name: string
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly node: string
  readonly owner: string
  readonly images: readonly string[]
}

const few = fc.constantFrom('a', 'b', 'c')
const pods: fc.Arbitrary<PodShape> = fc.record({
  name: few,
  namespace: few,
  labels: fc.dictionary(fc.constantFrom('app', 'tier'), few),
  node: fc.constantFrom('', 'a', 'b'),
  owner: few,
  images: fc.uniqueArray(few, { minLength: 1 }),
})

const selections: fc.Arbitrary<Selection> = fc.record(
  {
    namespaces: fc.array(few, { maxLength: 3 }),
    names: fc.array(few, { maxLength: 3 }),
    namePrefix: few,
    labels: fc
      .constantFrom(
        'app=a',
        'app=a,tier=b',
        'tier in (a,b)',
        'tier notin (a),app in (b,c)',
        '!app',
        'app',
        '',
      )
      .map((text) => parseLabelSelector(text)),
    ownerUid: few,
    index: fc.oneof(
      fc.record({
        name: fc.constantFrom('image' as const, 'claim' as const, 'service' as const),
        value: few,
      }),
      fc.record({ name: fc.constant('node' as const), values: fc.array(few, { maxLength: 3 }) }),
    ),
  },
  { requiredKeys: [] },
)

const scopes: fc.Arbitrary<Scope> = fc.oneof(
  fc.constant('all' as const),
  fc.record(
    {
      namespaces: fc.uniqueArray(few).map((names) => new Set(names)),
      objects: fc.uniqueArray(fc.constantFrom('a/a', 'b/c')).map((names) => new Set(names)),
      names: fc.uniqueArray(few).map((names) => new Set(names)),
    },
    { requiredKeys: ['namespaces'] },
  ),
)

const unlimited = { changesPerTable: 10, changes: 10, ageMs: 1_000 }

class Followed {
  readonly cluster = new FakeCluster('one').load('Pod', [])
  readonly channel = new TableChannel(
    this.cluster,
    'Pod',
    new Journals({ now: () => 1_000 }, unlimited),
    () => {},
  )
  #version = 100

  follow(selection: Selection, scope: Scope = 'all'): { readonly slot: Slot; readonly heard: Change[] } {
    const heard: Change[] = []
    const slot = new Slot(this.cluster, this.channel, scope, rowTest(selection), {
      onChange: (_slot, change) => void heard.push(change),
      onStatus: () => {},
      onError: (error) => {
        throw error
      },
    })
    this.channel.follow(slot, selection)
    return { slot, heard }
  }

  apply(
    { name, namespace, labels, node, owner, images }: PodShape,
    type: 'Apply' | 'Delete' = 'Apply',
  ): void {
    const controller = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: owner, controller: true }
    const row = project('Pod')(
      {
        metadata: {
          name,
          namespace,
          labels,
          uid: `${namespace}/${name}`,
          resourceVersion: `${++this.#version}`,
          ownerReferences: [controller],
        },
        spec: { nodeName: node, containers: images.map((image) => ({ name: image, image })) },
        status: { phase: 'Running' },
      },
      'one',
    )
    this.cluster.apply('Pod', { type, row })
  }
}

test('everyone is told once of each row that they mean, or meant before it changed', () => {
  const changes = fc.array(fc.tuple(pods, fc.constantFrom('Apply' as const, 'Delete' as const)))
  fc.assert(
    fc.property(fc.array(fc.tuple(selections, scopes)), changes, (wanted, changes) => {
      const followed = new Followed()
      const followers = wanted.map(([selection, scope]) => followed.follow(selection, scope))
      const all: Change[] = []
      followed.cluster.table('Pod').onChange((change) => all.push(change))
      for (const [pod, type] of changes) followed.apply(pod, type)
      for (const { slot, heard } of followers) {
        expect(new Set(heard).size).toBe(heard.length)
        const concerning = all.filter(
          ({ row, previous }) => slot.matches(row) || (previous !== null && slot.matches(previous)),
        )
        expect(heard).toEqual(expect.arrayContaining(concerning))
        followed.channel.unfollow(slot)
        heard.length = 0
      }
      followed.apply({ name: 'a', namespace: 'a', labels: {}, node: 'a', owner: 'a', images: ['new'] })
      for (const { heard } of followers) expect(heard).toEqual([])
    }),
    { seed: 7, numRuns: 300 },
  )
})

test('of a thousand different filters those are asked that want what the row has', () => {
  const followed = new Followed()
  const followers = Array.from({ length: 250 }, (_, i) => [
    followed.follow({ labels: parseLabelSelector(`app=${i}`) }),
    followed.follow({ index: { name: 'node', value: `node-${i}` } }),
    followed.follow({ namespaces: [`team-${i}`] }),
    followed.follow({ ownerUid: `owner-${i}` }),
  ]).flat()
  const pod = { name: 'p', namespace: 'team-3', node: 'node-4', owner: 'owner-5', images: ['i'] }
  followed.apply({ ...pod, labels: { app: '6' } })
  followed.apply({ ...pod, labels: { app: '7' } })
  expect(followers.filter(({ heard }) => heard.length > 0)).toHaveLength(5)
})
