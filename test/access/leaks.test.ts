/**
 * Nothing leaks: whatever a viewer asks, the answer over the whole fleet is, byte by byte, the answer over a fleet
 * in which what they may not see has never been – rows, relations, counts, cursors, errors, and what is asked
 * of clusters on the way.
 */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { everything } from '../../src/access/policy.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import type { FakeFleet } from '../support/fake-fleet.ts'
import { randomQuery } from '../server/random-query.ts'
import {
  CLUSTERS,
  extraPod,
  fullFleet,
  learn,
  NAMESPACES,
  policyOf,
  scopesOf,
  visibleFleet,
  type Scopes,
} from './leaks.ts'

const schema = createSchema()

const worlds = fc
  .array(extraPod, { maxLength: 15 })
  .chain((extra) => fc.tuple(fc.constant(extra), scopesOf(fullFleet(extra))))

/** Of every kind, also of what may not be seen. */
function idsOf(fleet: FakeFleet): readonly string[] {
  return fleet.clusters.flatMap((cluster) =>
    ALL_KINDS.flatMap((kind) => Array.from(cluster.table(kind).rows().all(), ({ id }) => id)),
  )
}

function namesOf(fleet: FakeFleet): readonly string[] {
  return fleet.clusters.flatMap((cluster) =>
    ALL_KINDS.flatMap((kind) => Array.from(cluster.table(kind).rows().all(), ({ name }) => name)),
  )
}

function uidsOf(fleet: FakeFleet): readonly string[] {
  return fleet.clusters.flatMap((cluster) =>
    Array.from(cluster.table('ReplicaSet').rows().all(), ({ uid }) => uid),
  )
}

/** Connections at the root that are answered from memory. */
const LISTS = Object.values(schema.getQueryType()!.getFields()).filter(
  ({ name, args }) => args.some((arg) => arg.name === 'orderBy') && name !== 'resources',
)

describe('what a viewer may not see', () => {
  it('has no part in the answer to any query', { timeout: 120_000 }, async () => {
    let asked = 0
    await fc.assert(
      fc.asyncProperty(worlds, fc.nat(), async ([extra, scopes], seed) => {
        const full = fullFleet(extra)
        const visible = visibleFleet(full, scopes)
        const policy = policyOf(scopes)
        const ids = idsOf(full)
        for (let i = 0; i < 25; i++) {
          const random = randomQuery(schema, seed * 31 + i, {
            depth: 6,
            scalars: { DateTime: ['2026-11-10T00:00:00Z', '2026-10-01T00:00:00Z'], JSON: [{}] },
            named: {
              id: ids,
              after: ids,
              before: ids,
              clusters: [...CLUSTERS, 'staging'],
              cluster: [...CLUSTERS, 'nowhere'],
              namespaces: NAMESPACES,
              namespace: NAMESPACES,
              name: namesOf(full),
              equals: namesOf(full),
              prefix: ['web', 'api', 'd'],
              uid: uidsOf(full),
              regardingUid: uidsOf(full),
              text: ['web', 'app=web', '10.0', 'a', 'shop'],
              labelSelector: ['app=web', 'app', '!app'],
              clusterSelector: ['env=prod', 'region in (us, eu)'],
              node: ['node-a', 'node-b'],
              nodes: ['node-a', 'node-x'],
              key: ['app', 'team'],
              first: [0, 1, 2, 3, 50],
              last: [0, 1, 2, 3, 50],
              contains: ['web', 'e'],
              resource: ['pods'],
              verb: ['get', 'delete'],
            },
            // Read live over whole clusters, at the time that it is.
            without: new Set(['Query.resources']),
          })
          if (!random) continue
          asked++
          const { query, variables } = random
          const told = await learn(full, policy, query, variables)
          expect({ query, variables, ...told }).toEqual({
            query,
            variables,
            ...(await learn(visible, policyOf(scopes), query, variables)),
          })
        }
      }),
      { numRuns: 40 },
    )
    expect(asked).toBeGreaterThan(500)
  })

  const TOUR: readonly string[] = [
    ...LISTS.map(
      ({ name }) =>
        `{ ${name}(first: 500) { totalCount nodes { id uid } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } coverage { cluster state since reason } } }`,
    ),
    '{ summary { kinds { kind count byStatus { name count } byPhase { name count } byCluster { cluster { name } count byStatus { name count } } coverage { cluster state reason } } capacity { cpu memory pods all { name value } } allocatable { cpu } requested { cpu memory pods } limits { cpu memory } images { name count } imageCount apiServerVersions { name count } kubeletVersions { name count } clusters { cluster { name } summary { pods { count } imageCount } } } }',
    '{ summary(filter: { namespaces: ["shop", "media", "absent"] }) { kinds { kind count byStatus { name count } } requested { cpu } images { name count } } }',
    '{ clusters { nodes { name state kinds { kind count coverage { state reason since asOf } } coverage { state reason } summary { kinds { count } } viewerNamespaces viewerScopes { kind state namespaces objects names } } } }',
    '{ namespaces { nodes { name summary { kinds { kind count } } pods { totalCount nodes { name } } services { totalCount } } } }',
    '{ search(text: "e", first: 100) { totalCount hits { match matched object { id } } coverage { cluster state } } }',
    '{ pods(first: 500) { nodes { id nodeName node { name requested { cpu pods } pods { totalCount } } namespaceObject { name } owner { name object { id } } ownerChain { id } workload { id } services { id workloads { id } ingresses { id } links { url } } persistentVolumeClaims { id volume { id claim { id } } pods { totalCount } } events { totalCount nodes { id } } volumes { name configMap { id } } } } }',
    '{ workloads(first: 500) { nodes { id pods { totalCount nodes { id } } replicaSets { id } services { id } horizontalPodAutoscaler { id target { id } } topOwner { id } events { totalCount } } } }',
    '{ services(first: 500) { nodes { id pods { totalCount nodes { id } } workloads { id } endpointSlices { id endpoints { addresses pod { id } } } ingresses { id } links { kind url ingress { id } } } } }',
    '{ events(first: 500) { nodes { id regarding { id } regardingName } } nodes(first: 500) { nodes { id events { nodes { id } } pods { nodes { id } } } } }',
    '{ pods(first: 500) { nodes { id manifest { json error { code } } viewerCan { get delete } } } }',
  ]

  it('has no part in lists, counts, relations, searches and live reads', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(worlds, async ([extra, scopes]) => {
        const full = fullFleet(extra)
        const visible = visibleFleet(full, scopes)
        for (const query of TOUR) {
          expect({ query, ...(await learn(full, policyOf(scopes), query)) }).toEqual({
            query,
            ...(await learn(visible, policyOf(scopes), query)),
          })
        }
      }),
      { numRuns: 25 },
    )
  })

  it('is the same as what does not exist, asked for by its ID', async () => {
    await fc.assert(
      fc.asyncProperty(worlds, async ([extra, scopes]) => {
        const full = fullFleet(extra)
        const visible = visibleFleet(full, scopes)
        const query = `{ ${idsOf(full)
          .map((id, i) => `n${i}: node(id: ${JSON.stringify(id)}) { id __typename }`)
          .join(' ')} }`
        expect(await learn(full, policyOf(scopes), query)).toEqual(
          await learn(visible, policyOf(scopes), query),
        )
      }),
      { numRuns: 25 },
    )
  })

  describe('page by page', () => {
    const orders = LISTS.map(({ name, args }) => {
      const type = String(args.find((arg) => arg.name === 'orderBy')!.type).replace(/[[\]!]/g, '')
      const field = schema.getType(`${type}Field`)
      const values = field && 'getValues' in field ? field.getValues().map((value) => value.name) : []
      return { name, type, values }
    })

    /** Walks a list to its end; the texts of its pages. */
    async function walk(
      fleet: FakeFleet,
      scopes: Scopes | undefined,
      list: (typeof orders)[number],
      orderBy: unknown,
      window: Record<string, unknown>,
    ): Promise<{ readonly pages: readonly string[]; readonly cursors: readonly string[] }> {
      const backward = 'last' in window
      const query = `query ($o: [${list.type}!], $first: Int, $after: String, $last: Int, $before: String) { list: ${list.name}(orderBy: $o, first: $first, after: $after, last: $last, before: $before) { totalCount edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`
      const pages: string[] = []
      const cursors: string[] = []
      let variables: Record<string, unknown> = { o: orderBy, ...window }
      for (let page = 0; page < 30; page++) {
        const { text } = await learn(fleet, scopes ? policyOf(scopes) : everything, query, variables)
        pages.push(text)
        const { list: shown } = JSON.parse(text).data ?? {}
        if (!shown) break
        cursors.push(...shown.edges.map(({ cursor }: { cursor: string }) => cursor))
        const { hasNextPage, hasPreviousPage, startCursor, endCursor } = shown.pageInfo
        if (!(backward ? hasPreviousPage : hasNextPage) || startCursor === null) break
        variables = { ...variables, ...(backward ? { before: startCursor } : { after: endCursor }) }
      }
      return { pages, cursors }
    }

    it(
      'has no part in any page, in any order, in either direction, from any cursor',
      { timeout: 120_000 },
      async () => {
        await fc.assert(
          fc.asyncProperty(
            worlds,
            fc.constantFrom(...orders),
            fc.boolean(),
            fc.integer({ min: 1, max: 4 }),
            fc.nat(),
            async ([extra, scopes], list, backward, size, seed) => {
              const full = fullFleet(extra)
              const visible = visibleFleet(full, scopes)
              const key = list.values[seed % (list.values.length + 1)]
              const orderBy = key ? [{ field: key, direction: seed % 2 === 0 ? 'ASC' : 'DESC' }] : null
              const window = backward ? { last: size } : { first: size }
              const { cursors } = await walk(full, undefined, list, orderBy, window)
              // Also from places of rows that the viewer may not see.
              for (const cursor of [undefined, ...cursors.filter((_, i) => i % 3 === seed % 3)]) {
                const start = cursor === undefined ? {} : backward ? { before: cursor } : { after: cursor }
                const from = { ...window, ...start }
                expect(await walk(full, scopes, list, orderBy, from)).toEqual(
                  await walk(visible, scopes, list, orderBy, from),
                )
              }
            },
          ),
          { numRuns: 60 },
        )
      },
    )
  })
})
