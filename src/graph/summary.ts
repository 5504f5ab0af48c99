/**
 * `Summary`: what there is, counted – over the fleet, a cluster or a namespace. Everything comes from
 * counters that the tables keep with each change, so it costs by clusters and namespaces, not by objects.
 */
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { Cluster } from '../fleet/fleet.ts'
import type { NamespaceSummary } from '../fleet/summary.ts'
import { ALL_KINDS, KINDS } from '../kubernetes/kinds.ts'
import type { Kind } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'
import { within } from './changes.ts'
import { CoverageRef } from './coverage.ts'
import { KindEnum } from './enums.ts'
import { badUserInput } from './errors.ts'
import {
  clusterFields,
  clustersOf,
  clusterTest,
  requireKnownClusters,
  type ClusterFilter,
} from './filters.ts'
import { total } from './quantities.ts'
import { ClusterRef, KIND_REFS } from './refs.ts'
import { clustersOfRow } from './relations.ts'

/** What a summary is over; no namespaces: all of them. */
interface Extent {
  readonly clusters: readonly Cluster[]
  readonly namespaces?: readonly string[]
}

interface KindExtent extends Extent {
  readonly kind: Kind
}

interface NamedCount {
  readonly name: string
  readonly count: number
}

/** Of one resource, in base units. */
interface NamedAmount {
  readonly name: string
  readonly value: number
}

export interface FleetFilterInput extends ClusterFilter {
  readonly namespaces?: readonly string[] | null | undefined
}

export const FleetFilter = builder.inputRef<FleetFilterInput>('FleetFilter').implement({
  description:
    'Which part of the fleet. All that is given has to hold; what is absent or null is everything.',
  fields: (t) => ({
    ...clusterFields(t),
    namespaces: t.stringList({
      description:
        'Only in these namespaces. A summary counts kinds without a namespace all the same; a search leaves them out.',
    }),
  }),
})

function summaries(fleet: AuthorizedFleet, kind: Kind, extent: Extent): readonly NamespaceSummary[] {
  const namespaces = KINDS[kind].namespaced ? extent.namespaces : undefined
  return extent.clusters.flatMap((cluster) => fleet.summaries(kind, cluster, namespaces))
}

function sum(entries: readonly NamespaceSummary[], value: (entry: NamespaceSummary) => number): number {
  return entries.reduce((total, entry) => total + value(entry), 0)
}

/** Largest first, then by name. */
function added(maps: readonly ReadonlyMap<string, number>[]): readonly NamedCount[] {
  const totals = new Map<string, number>()
  for (const map of maps) for (const [name, count] of map) totals.set(name, (totals.get(name) ?? 0) + count)
  return Array.from(totals, ([name, count]) => ({ name, count })).sort(
    (a, b) => b.count - a.count || (a.name < b.name ? -1 : 1),
  )
}

const NamedCountRef = builder.objectRef<NamedCount>('NamedCount').implement({
  description: 'How many there are of something.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Of what: a status, a phase, an image, a version.' }),
    count: t.exposeInt('count', { description: 'How many.' }),
  }),
})

const ClusterCountRef = builder
  .objectRef<{ readonly cluster: Cluster; readonly count: number; readonly byStatus: readonly NamedCount[] }>(
    'ClusterCount',
  )
  .implement({
    description: 'How many objects of a kind there are in a cluster.',
    fields: (t) => ({
      cluster: t.expose('cluster', { type: ClusterRef, description: 'The cluster.' }),
      count: t.exposeInt('count', { description: 'How many objects.' }),
      byStatus: t.expose('byStatus', {
        type: [NamedCountRef],
        description: 'The same by status, most frequent first.',
      }),
    }),
  })

const KindSummaryRef = builder.objectRef<KindExtent>('KindSummary').implement({
  description: 'Counts of the objects of one kind.',
  fields: (t) => ({
    kind: t.expose('kind', { type: KindEnum, description: 'The kind.' }),
    count: t.int({
      description: 'How many objects.',
      resolve: (extent, _arguments, { fleet }) =>
        sum(summaries(fleet, extent.kind, extent), ({ count }) => count),
    }),
    byStatus: t.field({
      type: [NamedCountRef],
      description:
        "By what the kind is judged by, most frequent first: a pod's status as kubectl shows it, a workload's rollout, `Ready`, `NotReady`, `Unknown` and `SchedulingDisabled` (counted beside) for a node, the phase of a namespace, claim or volume, the type of a service or event. Empty for other kinds.",
      resolve: (extent, _arguments, { fleet }) =>
        added(summaries(fleet, extent.kind, extent).map(({ byStatus }) => byStatus)),
    }),
    byPhase: t.field({
      type: [NamedCountRef],
      description: 'Pods by their phase, most frequent first; empty for other kinds.',
      resolve: (extent, _arguments, { fleet }) =>
        added(summaries(fleet, extent.kind, extent).map(({ byPhase }) => byPhase)),
    }),
    byCluster: t.field({
      type: [ClusterCountRef],
      description: 'By cluster, in order of their names.',
      resolve: (extent, _arguments, { fleet }) =>
        extent.clusters.map((cluster) => {
          const entries = summaries(fleet, extent.kind, { ...extent, clusters: [cluster] })
          return {
            cluster,
            count: sum(entries, ({ count }) => count),
            byStatus: added(entries.map(({ byStatus }) => byStatus)),
          }
        }),
    }),
    coverage: t.field({
      type: [CoverageRef],
      description: 'How complete and fresh these counts are: one entry for each cluster.',
      resolve: ({ kind, clusters }, _arguments, { fleet }) => fleet.coverage([kind], clusters),
    }),
  }),
})

const NamedAmountRef = builder.objectRef<NamedAmount>('NamedAmount').implement({
  description: 'How much there is of a resource.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The resource, such as `cpu` or `nvidia.com/gpu`.' }),
    value: t.exposeFloat('value', { description: 'In base units: cores, bytes or a count.' }),
  }),
})

const ResourceTotalsRef = builder.objectRef<ReadonlyMap<string, number>>('ResourceTotals').implement({
  description: 'Sums of resources, in base units.',
  fields: (t) => ({
    cpu: t.float({ description: 'Cores.', resolve: (totals) => totals.get('cpu') ?? 0 }),
    memory: t.float({
      description: 'Bytes of memory, a whole number.',
      resolve: (totals) => totals.get('memory') ?? 0,
    }),
    pods: t.float({ description: 'Number of pods.', resolve: (totals) => totals.get('pods') ?? 0 }),
    all: t.field({
      type: [NamedAmountRef],
      description: 'Every resource, in order of their names.',
      resolve: (totals) =>
        Array.from(totals, ([name, value]) => ({ name, value })).sort((a, b) => (a.name < b.name ? -1 : 1)),
    }),
  }),
})

function nodeTotals(fleet: AuthorizedFleet, extent: Extent, part: 'capacity' | 'allocatable') {
  const totals = new Map<string, number>()
  for (const entry of summaries(fleet, 'Node', extent)) {
    for (const [name, value] of entry[part]) totals.set(name, (totals.get(name) ?? 0) + value)
  }
  for (const [name, value] of totals) totals.set(name, total(value))
  return totals
}

function podTotals(fleet: AuthorizedFleet, extent: Extent, part: 'Request' | 'Limit') {
  const entries = summaries(fleet, 'Pod', extent)
  const ended = sum(entries, ({ byPhase }) => (byPhase.get('Succeeded') ?? 0) + (byPhase.get('Failed') ?? 0))
  return new Map([
    ['cpu', total(sum(entries, (entry) => entry[`cpu${part}`]))],
    ['memory', sum(entries, (entry) => entry[`memory${part}`])],
    ['pods', sum(entries, ({ count }) => count) - ended],
  ])
}

const SummaryRef = builder.objectRef<Extent>('Summary')

const ClusterSummaryRef = builder
  .objectRef<{ readonly cluster: Cluster; readonly summary: Extent }>('ClusterSummary')
  .implement({
    description: 'The summary of one cluster.',
    fields: (t) => ({
      cluster: t.expose('cluster', { type: ClusterRef, description: 'The cluster.' }),
      summary: t.expose('summary', { type: SummaryRef, description: 'What there is in it.' }),
    }),
  })

const DEFAULT_IMAGES = 50
const MAX_IMAGES = 500

SummaryRef.implement({
  description:
    'What there is, counted. The counters are kept with each change: a summary costs the same for a hundred objects and for a million.',
  fields: (t) => ({
    kinds: t.field({
      type: [KindSummaryRef],
      description: 'Counts by kind.',
      args: {
        kinds: t.arg({
          type: [KindEnum],
          description: 'Only these kinds, each once and in this order; absent: all.',
        }),
      },
      resolve: (extent, { kinds }) =>
        Array.from(new Set(kinds ?? ALL_KINDS), (kind) => ({ ...extent, kind })),
    }),
    pods: t.field({
      type: KindSummaryRef,
      description: 'Counts of pods: the same as under `kinds`.',
      resolve: (extent) => ({ ...extent, kind: 'Pod' as const }),
    }),
    nodes: t.field({
      type: KindSummaryRef,
      description: 'Counts of nodes: the same as under `kinds`.',
      resolve: (extent) => ({ ...extent, kind: 'Node' as const }),
    }),
    capacity: t.field({
      type: ResourceTotalsRef,
      description: 'What the nodes have together. Not narrowed by namespaces.',
      resolve: (extent, _arguments, { fleet }) => nodeTotals(fleet, extent, 'capacity'),
    }),
    allocatable: t.field({
      type: ResourceTotalsRef,
      description: 'What pods can have of it. Not narrowed by namespaces.',
      resolve: (extent, _arguments, { fleet }) => nodeTotals(fleet, extent, 'allocatable'),
    }),
    requested: t.field({
      type: ResourceTotalsRef,
      description: 'What pods that have not ended set aside, and how many they are.',
      resolve: (extent, _arguments, { fleet }) => podTotals(fleet, extent, 'Request'),
    }),
    limits: t.field({
      type: ResourceTotalsRef,
      description: 'What pods that have not ended may use at most, as far as they have limits.',
      resolve: (extent, _arguments, { fleet }) => podTotals(fleet, extent, 'Limit'),
    }),
    images: t.field({
      type: [NamedCountRef],
      description: 'Images in use and how many running containers have them, most frequent first.',
      args: {
        first: t.arg.int({
          description: `How many at most: 0 to ${MAX_IMAGES}; absent: ${DEFAULT_IMAGES}.`,
        }),
        contains: t.arg.string({ description: 'Only images that contain this text.' }),
      },
      resolve: (extent, { first, contains }, { fleet }) => {
        const limit = first ?? DEFAULT_IMAGES
        if (limit < 0 || limit > MAX_IMAGES) {
          throw badUserInput(`"first" is ${limit}: it can be from 0 to ${MAX_IMAGES}.`, 'first')
        }
        const images = added(summaries(fleet, 'Pod', extent).map((entry) => entry.images))
        return (contains == null ? images : images.filter(({ name }) => name.includes(contains))).slice(
          0,
          limit,
        )
      },
    }),
    imageCount: t.int({
      description: 'How many different images are in use.',
      resolve: (extent, _arguments, { fleet }) =>
        new Set(summaries(fleet, 'Pod', extent).flatMap(({ images }) => Array.from(images.keys()))).size,
    }),
    apiServerVersions: t.field({
      type: [NamedCountRef],
      description: 'Versions of API servers and how many clusters have them, most frequent first.',
      resolve: ({ clusters }) =>
        added(clusters.map(({ health }) => new Map(health.version === null ? [] : [[health.version, 1]]))),
    }),
    kubeletVersions: t.field({
      type: [NamedCountRef],
      description: 'Versions of kubelets and how many nodes have them, most frequent first.',
      resolve: (extent, _arguments, { fleet }) =>
        added(summaries(fleet, 'Node', extent).map(({ versions }) => versions)),
    }),
    clusters: t.field({
      type: [ClusterSummaryRef],
      description: 'The same for each cluster alone, in order of their names.',
      resolve: (extent) =>
        extent.clusters.map((cluster) => ({ cluster, summary: { ...extent, clusters: [cluster] } })),
    }),
    coverage: t.field({
      type: [CoverageRef],
      description: 'How complete and fresh all of it is: the worst of all kinds, for each cluster.',
      resolve: ({ clusters }, _arguments, { fleet }) => fleet.coverage(ALL_KINDS, clusters),
    }),
  }),
})

const DEFAULT_INTERVAL_MS = 1_000
const MIN_INTERVAL_MS = 100
const MAX_INTERVAL_MS = 3_600_000

builder.subscriptionField('summaryChanges', (t) =>
  t.field({
    type: SummaryRef,
    description:
      'What there is in the fleet, counted: first as it is, and anew after changes, put together. A cluster that leaves the fleet is counted no more; one that joins it is, where the filter takes it in.',
    args: {
      filter: t.arg({ type: FleetFilter, description: 'Which part of the fleet; absent: all.' }),
      interval: t.arg.int({
        defaultValue: DEFAULT_INTERVAL_MS,
        description: `Send at most once in so many milliseconds: ${MIN_INTERVAL_MS} to ${MAX_INTERVAL_MS}.`,
      }),
    },
    subscribe: (_root, { filter, interval }, context) => {
      requireKnownClusters(filter, context)
      const request = {
        type: 'recomputed' as const,
        kinds: ALL_KINDS,
        clusters: clusterTest(filter),
        intervalMs: within('interval', interval ?? DEFAULT_INTERVAL_MS, MIN_INTERVAL_MS, MAX_INTERVAL_MS),
      }
      return context.fleet.follow(request, { snapshot: false }, context.signal)
    },
    resolve: (_event, { filter }, { fleet }) =>
      extentOf(fleet.clusters().filter(clusterTest(filter)), filter),
  }),
)

builder.queryField('summary', (t) =>
  t.field({
    type: SummaryRef,
    description: 'What there is in the fleet, counted.',
    args: { filter: t.arg({ type: FleetFilter, description: 'Which part of the fleet; absent: all.' }) },
    resolve: (_root, { filter }, context) => extentOf(clustersOf(filter, context), filter),
  }),
)

function extentOf(clusters: readonly Cluster[], filter: FleetFilterInput | null | undefined): Extent {
  // Each once: what is named twice would be counted twice.
  return { clusters, ...(filter?.namespaces && { namespaces: [...new Set(filter.namespaces)] }) }
}

builder.objectField(ClusterRef, 'summary', (t) =>
  t.field({
    type: SummaryRef,
    description: 'What there is in this cluster, counted.',
    resolve: (cluster) => ({ clusters: [cluster] }),
  }),
)

builder.objectField(KIND_REFS.Namespace, 'summary', (t) =>
  t.field({
    type: SummaryRef,
    description: 'What there is in this namespace, counted. Kinds without a namespace are counted whole.',
    resolve: (row, _arguments, { fleet }) => ({
      clusters: clustersOfRow(row, fleet),
      namespaces: [row.name],
    }),
  }),
)
