/**
 * Nothing leaks from streams: what a viewer is told of changes is, event by event, what they would be told if what
 * they may not see had never been. But for the resource versions in cursors: those are of a whole resource of a
 * cluster, and a real API server gives them to everyone who lists a single namespace.
 */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allowsName } from '../../src/fleet/scope.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { data } from '../graph/ask.ts'
import { follow, hubOf } from '../graph/follow.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { settled } from '../support/fake-clock.ts'
import {
  CLUSTERS,
  extraPod,
  NAMESPACES,
  policyOf,
  rawPod,
  scopesOf,
  visibleFleet,
  type Scopes,
} from './leaks.ts'

/** Everybody sees what is in it: its one pod is the last to come. */
const OPEN = 'open'

const steps = fc.array(fc.tuple(extraPod, fc.boolean()), { maxLength: 25 })
type Steps = typeof steps extends fc.Arbitrary<infer T> ? T : never

function fleetOf(pods: readonly Parameters<typeof rawPod>[0][]): FakeFleet {
  const clusters = CLUSTERS.map((name) => {
    const own = new Map(
      pods.filter(({ cluster }) => cluster === name).map((spec) => [`${spec.namespace}/${spec.name}`, spec]),
    )
    return new FakeCluster(name, { env: 'prod' }).load('Pod', Array.from(own.values(), rawPod))
  })
  return new FakeFleet(...clusters, new FakeCluster(OPEN, { env: 'prod' }).load('Pod', []))
}

/** What is hidden only moves the version of its table on, as a bookmark does. */
function play(fleet: FakeFleet, changes: Steps, scopes?: Scopes): void {
  for (const [index, [spec, isDeleted]] of changes.entries()) {
    const cluster = fleet.cluster(spec.cluster)!
    const resourceVersion = String(200 + index)
    const scope = scopes ? scopes[spec.cluster]?.['Pod'] : 'all'
    if (!scope || !allowsName(scope, spec.namespace, spec.name)) {
      cluster.apply('Pod', { type: 'Bookmark', resourceVersion })
      continue
    }
    const raw = rawPod(spec) as { metadata: Record<string, unknown> }
    const row = project('Pod')({ ...raw, metadata: { ...raw.metadata, resourceVersion } }, spec.cluster)
    cluster.apply('Pod', { type: isDeleted ? 'Delete' : 'Apply', row })
  }
}

function end(fleet: FakeFleet): void {
  const raw = rawPod({
    cluster: OPEN,
    namespace: 'shop',
    name: 'last',
    phase: 'Running',
    node: 'node-a',
    labels: { app: 'web' },
  }) as { metadata: Record<string, unknown> }
  const metadata = { ...raw.metadata, resourceVersion: '900' }
  fleet.cluster(OPEN)!.apply('Pod', { type: 'Apply', row: project('Pod')({ ...raw, metadata }, OPEN) })
}

const EVENT =
  'type object { id name phase node { name } events { totalCount } } previous { id phase } deletedReason cluster { name } message cursor coverage { cluster state reason }'

const filters = fc.constantFrom<Record<string, unknown> | null>(
  null,
  { namespaces: ['shop', 'media'] },
  { labelSelector: 'app=web' },
  { namespaces: [...NAMESPACES], labelSelector: 'app' },
)

async function hear(
  fleet: FakeFleet,
  scopes: Scopes,
  how: 'live' | 'snapshot' | 'after',
  filter: unknown,
  change: (fleet: FakeFleet) => void,
): Promise<readonly unknown[]> {
  const policy = policyOf(scopes)
  const { pods } = await data(fleet, '{ pods { cursor } }', {}, policy)
  const begin = () =>
    follow(
      fleet,
      `subscription ($f: PodFilter, $s: Boolean, $a: String) { podChanges(filter: $f, snapshot: $s, after: $a) { ${EVENT} } }`,
      { policy, variables: { f: filter, s: how === 'snapshot', a: how === 'after' ? pods.cursor : null } },
    )
  const events: { cursor: string | null }[] = []
  // What comes while a stream still reads may be told before or after its SYNCED.
  if (how === 'after') change(fleet)
  const stream = await begin()
  if (how !== 'live') events.push(...(await stream.until(({ type }) => type === 'SYNCED')))
  else await settled()
  if (how !== 'after') change(fleet)
  await settled()
  end(fleet)
  events.push(...(await stream.until(({ object }) => object?.name === 'last')))
  await stream.leave()
  hubOf(fleet).close()
  return events.map((event) => ({ ...event, cursor: event.cursor !== null }))
}

describe('what a viewer may not see', () => {
  it('has no part in what a stream tells', { timeout: 60_000 }, async () => {
    const worlds = fc.array(extraPod, { maxLength: 15 }).chain((pods) =>
      fc.tuple(
        fc.constant(pods),
        scopesOf(fleetOf(pods)).map((scopes): Scopes => ({ ...scopes, [OPEN]: { Pod: 'all' } })),
      ),
    )
    await fc.assert(
      fc.asyncProperty(
        worlds,
        steps,
        fc.constantFrom('live' as const, 'snapshot' as const, 'after' as const),
        filters,
        async ([pods, scopes], changes, how, filter) => {
          const full = fleetOf(pods)
          const visible = visibleFleet(full, scopes)
          const told = await hear(full, scopes, how, filter, (fleet) => play(fleet, changes))
          const expected = await hear(visible, scopes, how, filter, (fleet) => play(fleet, changes, scopes))
          expect(told).toEqual(expected)
        },
      ),
      { numRuns: 80 },
    )
  })
})
