/**
 * Worlds for the proof that nothing leaks: a fleet, what a viewer may see of it, and a second fleet in which
 * everything that they may not see has never been. Whatever the viewer asks, both have to answer the same.
 */
import * as fc from 'fast-check'
import { execute, parse, validate } from 'graphql'
import { AuthorizedFleet, type Live } from '../../src/access/authorized-fleet.ts'
import type { Policy } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { allows } from '../../src/fleet/scope.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { ALL_KINDS, KINDS } from '../../src/kubernetes/kinds.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { Kind, Row } from '../../src/kubernetes/rows.ts'
import { settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { ScopedPolicy } from '../support/scoped-policy.ts'
import { pod, shopFleet } from '../support/shop.ts'

export const NAMESPACES = ['default', 'shop', 'media', 'tools'] as const
export const CLUSTERS = ['prod-eu', 'prod-us'] as const
const POD_NAMES = ['web-9', 'api-1', 'api-2', 'job-x', 'db-0'] as const

/** By cluster and kind. */
export type Scopes = Readonly<Record<string, Readonly<Record<string, Scope | undefined>>>>

interface ExtraPod {
  readonly cluster: string
  readonly namespace: string
  readonly name: string
  readonly phase: string
  readonly node: string
  readonly labels: Readonly<Record<string, string>>
}

export const extraPod: fc.Arbitrary<ExtraPod> = fc.record({
  cluster: fc.constantFrom(...CLUSTERS),
  namespace: fc.constantFrom(...NAMESPACES),
  name: fc.constantFrom(...POD_NAMES),
  phase: fc.constantFrom('Running', 'Pending', 'Failed'),
  node: fc.constantFrom('node-a', 'node-x'),
  labels: fc.constantFrom({ app: 'web' }, { app: 'api' }, {}),
})

export function rawPod({ namespace, name, phase, node, labels }: ExtraPod): ReturnType<typeof pod> {
  return pod(namespace, name, { phase, node, labels, ip: '10.7.7.7' })
}

/** Everything that there is. */
export function fullFleet(extra: readonly ExtraPod[]): FakeFleet {
  const { fleet } = shopFleet()
  for (const spec of extra) {
    const row = project('Pod')(rawPod(spec), spec.cluster)
    fleet.cluster(spec.cluster)!.apply('Pod', { type: 'Apply', row, resourceVersion: '100' } as never)
  }
  return withAnswers(fleet)
}

/** The same, in which what these scopes hide has never been. */
export function visibleFleet(full: FakeFleet, scopes: Scopes): FakeFleet {
  return withAnswers(
    new FakeFleet(
      ...full.clusters.map((cluster) => {
        const copy = new FakeCluster(cluster.name, cluster.labels)
        copy.health = cluster.health
        for (const kind of ALL_KINDS) {
          const table = cluster.table(kind)
          if (table.status.resourceVersion === null) continue
          const scope = scopes[cluster.name]?.[kind]
          const rows = Array.from(table.rows().all()).filter((row) => scope && allows(scope, row))
          copy.apply(kind, { type: 'Init' }, ...rows.map((row) => ({ type: 'InitApply', row }) as never), {
            type: 'InitDone',
            resourceVersion: table.status.resourceVersion,
          })
        }
        copy.revision = cluster.revision
        return copy
      }),
    ),
  )
}

/** API servers that answer any read by saying what was read. */
function withAnswers(fleet: FakeFleet): FakeFleet {
  for (const cluster of fleet.clusters) {
    cluster.answer = ({ path }) => ({ apiVersion: 'v1', kind: 'Any', metadata: { name: path } })
  }
  return fleet
}

/** Names are taken from what there is, so that single objects are met. */
export function scopesOf(fleet: FakeFleet): fc.Arbitrary<Scopes> {
  return fc.record(
    Object.fromEntries(
      fleet.clusters.map((cluster) => [
        cluster.name,
        fc.record(Object.fromEntries(ALL_KINDS.map((kind) => [kind, scopeOf(fleet, cluster.name, kind)]))),
      ]),
    ),
  )
}

function scopeOf(fleet: FakeFleet, cluster: string, kind: Kind): fc.Arbitrary<Scope | undefined> {
  const rows: readonly Row[] = Array.from(fleet.cluster(cluster)!.table(kind).rows().all())
  const objects = fc
    .subarray(rows.map(({ namespace, name }) => `${namespace}/${name}`))
    .map((keys) => new Set(keys))
  const namespaces = fc
    .subarray(KINDS[kind].namespaced ? [...NAMESPACES] : [])
    .map((names) => new Set<string>(names))
  const named = KINDS[kind].namespaced ? rows.map(({ name }) => name) : []
  const names = fc.subarray(named, { maxLength: Math.min(3, named.length) }).map((among) => new Set(among))
  return fc.oneof(
    fc.constant<Scope>('all'),
    fc.constant(undefined),
    fc.record({ namespaces }),
    fc.record({ namespaces, objects }),
    fc.record({ namespaces, objects, names }),
  )
}

export function policyOf(scopes: Scopes): ScopedPolicy {
  return new ScopedPolicy((cluster, kind) => scopes[cluster]?.[kind])
}

/** All that a viewer, and somebody who watches the wire, learns of one question. */
export interface Learned {
  /** As it goes out: data and errors. */
  readonly text: string
  /** Whether it was answered within one turn. */
  readonly atOnce: boolean
  /** Live reads that it caused. */
  readonly requests: readonly string[]
  /** For the audit. */
  readonly denied: readonly string[]
}

export async function learn(
  fleet: FakeFleet,
  policy: Policy,
  query: string,
  variables: Record<string, unknown> = {},
  hub?: Live,
): Promise<Learned> {
  const schema = createSchema()
  const document = parse(query)
  const invalid = validate(schema, document)
  if (invalid.length > 0) throw new Error(`The document is not valid: ${invalid.join('\n')}`)
  for (const { requests } of fleet.clusters) requests.length = 0
  const view = new AuthorizedFleet(fleet, viewerOf({ name: 'eve', groups: [] }), policy, hub)
  const result = execute({
    schema,
    document,
    variableValues: variables,
    contextValue: createContext(view),
  })
  const text = JSON.stringify(await result)
  // An answer that an error has ended early leaves live reads behind: of a search, too, which on a busy machine
  // gives way as often as there are tables.
  for (let turns = 0; turns < CLUSTERS.length * ALL_KINDS.length; turns++) await settled()
  return {
    text,
    atOnce: !(result instanceof Promise),
    requests: fleet.clusters.flatMap(({ name, requests }) =>
      requests.map(({ path, as }) => `${name} ${path} ${JSON.stringify(as)}`),
    ),
    // Live reads end as they do.
    denied: Array.from(view.reads.denied).toSorted((one, other) => (one < other ? -1 : 1)),
  }
}
