/**
 * Looks at clusters once, before anything is served: is each there, and may the gateway's credentials do what
 * it needs, and not much more? It keeps nothing and starts no feed.
 */
import type { ApiClient } from '../kubernetes/client.ts'
import { Discovery, serverVersion } from '../kubernetes/discovery.ts'
import { ALL_KINDS, KINDS } from '../kubernetes/kinds.ts'
import type { Kind } from '../kubernetes/rows.ts'
import { checkRights, type ExcessRight, type MissingRight } from './check-rights.ts'
import { neededForTable } from './least-privilege.ts'
import type { ClusterDefinition, ClusterSource, SourceProblem } from './sources/source.ts'

export interface ClusterReport {
  readonly name: string
  /** Where its definition stands. */
  readonly source: string
  readonly version: string | null
  /** Why it cannot be used at all; `null` when it answers. */
  readonly error: string | null
  /** Kinds that it does not serve: no trouble, their lists say so. */
  readonly notServed: readonly Kind[]
  /** Kinds that the credentials may not list, or not watch, in all namespaces. */
  readonly forbidden: readonly { readonly kind: Kind; readonly verbs: readonly string[] }[]
  /** What the credentials lack of `leastPrivilegedRole()`; rights over kinds that are not served aside. */
  readonly missing: readonly MissingRight[]
  /** What of more than that they have and could do harm with. */
  readonly excess: readonly ExcessRight[]
}

export interface FleetReport {
  /** In order of their names. */
  readonly clusters: readonly ClusterReport[]
  readonly problems: readonly SourceProblem[]
}

/** Asks every cluster of the source, at the same time. Rejects only when aborted. */
export async function checkFleet(source: ClusterSource, signal: AbortSignal): Promise<FleetReport> {
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  try {
    const said = new Promise<readonly [readonly ClusterDefinition[], readonly SourceProblem[]]>((resolve) => {
      source.start((clusters, problems) => resolve([clusters, problems]), either)
    })
    const [definitions, problems] = await said
    const clusters = await Promise.all(definitions.map((definition) => checkCluster(definition, either)))
    return { clusters: clusters.sort((a, b) => (a.name < b.name ? -1 : 1)), problems }
  } finally {
    source.close()
    ended.abort()
  }
}

async function checkCluster(definition: ClusterDefinition, signal: AbortSignal): Promise<ClusterReport> {
  const report = { name: definition.name, source: definition.source }
  let client: ApiClient | undefined
  try {
    client = definition.connect()
    const { gitVersion } = await serverVersion(client, { signal })
    return { ...report, version: gitVersion, error: null, ...(await standingIn(client, signal)) }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { ...report, version: null, error: message, notServed: [], forbidden: [], missing: [], excess: [] }
  } finally {
    await client?.close()
  }
}

/** How the gateway stands in a cluster that answers. */
async function standingIn(
  client: ApiClient,
  signal: AbortSignal,
): Promise<Pick<ClusterReport, 'notServed' | 'forbidden' | 'missing' | 'excess'>> {
  const discovery = new Discovery(client)
  const served = await Promise.all(
    ALL_KINDS.map(async (kind) => (await discovery.served(KINDS[kind], signal)) !== undefined),
  )
  const kinds = ALL_KINDS.filter((_kind, index) => served[index])
  const tables = kinds.map((kind) => neededForTable(KINDS[kind]))
  const { missing, excess } = await checkRights(client, tables, signal)
  const forbidden = kinds.flatMap((kind) => {
    const { group, resource } = KINDS[kind]
    const lacks = missing.find(
      (right) => right.purpose === 'TABLES' && right.group === group && right.resource === resource,
    )
    const verbs = lacks?.verbs.filter((verb) => verb !== 'get') ?? []
    return verbs.length > 0 ? [{ kind, verbs }] : []
  })
  const notServed = ALL_KINDS.filter((_kind, index) => !served[index])
  return { notServed, forbidden, missing, excess }
}
