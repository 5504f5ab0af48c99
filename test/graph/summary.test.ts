import { describe, expect, it } from 'vitest'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { ScopedPolicy } from '../support/scoped-policy.ts'
import { pod, shopFleet } from '../support/shop.ts'
import { ask, data } from './ask.ts'

describe('the summary', () => {
  it('counts by kind, status, phase and cluster', async () => {
    const { summary } = await data(
      shopFleet().fleet,
      `{ summary { kinds(kinds: [Pod, Deployment, Node]) { kind count byStatus { name count } byPhase { name count } byCluster { cluster { name } count } } } }`,
    )
    expect(summary.kinds).toEqual([
      {
        kind: 'Pod',
        count: 10,
        byStatus: expect.arrayContaining([
          { name: 'Running', count: 6 },
          { name: 'CrashLoopBackOff', count: 1 },
          { name: 'Pending', count: 1 },
        ]),
        byPhase: [
          { name: 'Running', count: 7 },
          { name: 'Succeeded', count: 2 },
          { name: 'Pending', count: 1 },
        ],
        byCluster: [
          { cluster: { name: 'prod-eu' }, count: 8 },
          { cluster: { name: 'prod-us' }, count: 2 },
          { cluster: { name: 'staging' }, count: 0 },
        ],
      },
      {
        kind: 'Deployment',
        count: 2,
        byStatus: [
          { name: 'COMPLETE', count: 1 },
          { name: 'PROGRESSING', count: 1 },
        ],
        byPhase: [],
        byCluster: expect.any(Array),
      },
      {
        kind: 'Node',
        count: 3,
        byStatus: [
          { name: 'Ready', count: 2 },
          { name: 'NotReady', count: 1 },
          { name: 'SchedulingDisabled', count: 1 },
        ],
        byPhase: [],
        byCluster: expect.any(Array),
      },
    ])
  })

  it('adds up capacity, allocatable and what pods that have not ended ask for', async () => {
    const { summary } = await data(
      shopFleet().fleet,
      `{ summary { capacity { cpu memory pods all { name value } } allocatable { cpu } requested { cpu memory pods } limits { memory }
         clusters { cluster { name } summary { capacity { cpu } requested { cpu } } } } }`,
    )
    expect(summary.capacity).toEqual({
      cpu: 12,
      memory: 48 * 2 ** 30,
      pods: 330,
      all: [
        { name: 'cpu', value: 12 },
        { name: 'memory', value: 48 * 2 ** 30 },
        { name: 'pods', value: 330 },
      ],
    })
    // Exactly: 3.8 + 3.8 + 3.8 is not 11.4 in binary fractions.
    expect(summary.allocatable.cpu).toBe(11.4)
    expect(summary.requested).toEqual({ cpu: 6 * 0.25 + 1.25, memory: 7 * 256 * 2 ** 20 + 2 ** 30, pods: 8 })
    expect(summary.limits.memory).toBe(8 * 512 * 2 ** 20)
    expect(summary.clusters.map((entry: { summary: unknown }) => entry.summary)).toEqual([
      { capacity: { cpu: 8 }, requested: { cpu: 1.5 } },
      { capacity: { cpu: 4 }, requested: { cpu: 1.25 } },
      { capacity: { cpu: 0 }, requested: { cpu: 0 } },
    ])
  })

  it('tells images and versions in use', async () => {
    const { summary } = await data(
      shopFleet().fleet,
      `{ summary { images(first: 2) { name count } web: images(contains: "web:1") { name count } imageCount
         apiServerVersions { name count } kubeletVersions { name count } } }`,
    )
    expect(summary).toEqual({
      images: [
        { name: 'registry.example.com/web:2', count: 3 },
        { name: 'other:3', count: 1 },
      ],
      web: [{ name: 'registry.example.com/web:1', count: 1 }],
      imageCount: 4,
      apiServerVersions: [{ name: 'v1.34.1', count: 3 }],
      kubeletVersions: [{ name: 'v1.34.1', count: 3 }],
    })
  })

  it('can be of some clusters and namespaces, and of what the viewer may see only', async () => {
    const { fleet } = shopFleet()
    const document =
      'query ($filter: FleetFilter) { summary(filter: $filter) { pods { count } events: kinds(kinds: [Event]) { count } } }'
    const count = async (filter: unknown) => {
      const { summary } = await data(fleet, document, { filter })
      return [summary.pods.count, summary.events[0].count]
    }
    expect(await count({ clusterSelector: 'region=us' })).toEqual([2, 0])
    expect(await count({ clusters: ['prod-eu'], namespaces: ['default'] })).toEqual([0, 1])
    expect(await count({ clusters: ['prod-eu'], namespaces: ['default', 'default'] })).toEqual([0, 1])
    const mine = await ask(
      fleet,
      document,
      {},
      new ScopedPolicy(() => ({ namespaces: new Set(['default']) })),
    )
    expect(mine.data.summary).toEqual({ pods: { count: 0 }, events: [{ count: 1 }] })
  })

  it('says each kind once, however often it is named', async () => {
    const { summary } = await data(
      shopFleet().fleet,
      '{ summary { kinds(kinds: [Pod, Node, Pod]) { kind } all: kinds { kind } } }',
    )
    expect(summary.kinds).toEqual([{ kind: 'Pod' }, { kind: 'Node' }])
    expect(summary.all).toHaveLength(ALL_KINDS.length)
  })

  it('follows each change', async () => {
    const { fleet, us } = shopFleet()
    const row = project('Pod')(pod('shop', 'new', { phase: 'Failed' }), 'prod-us')
    us.apply('Pod', { type: 'Apply', row })
    const { cluster } = await data(
      fleet,
      '{ cluster(name: "prod-us") { summary { pods { count byPhase { name count } coverage { state } } coverage { state } } } }',
    )
    expect(cluster.summary).toEqual({
      pods: {
        count: 3,
        byPhase: [
          { name: 'Running', count: 2 },
          { name: 'Failed', count: 1 },
        ],
        coverage: [{ state: 'CURRENT' }],
      },
      coverage: [{ state: 'SYNCING' }],
    })
  })
})
