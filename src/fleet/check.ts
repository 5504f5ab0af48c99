/**
 * Looks at clusters once, before anything is served: is each there, and may the gateway's credentials
 * read what it needs? It keeps nothing and starts no feed.
 */
import type { ApiClient } from '../kubernetes/client.ts'
import { Discovery, selfSubjectAccessReview, serverVersion } from '../kubernetes/discovery.ts'
import { ALL_KINDS, KINDS } from '../kubernetes/kinds.ts'
import type { Kind } from '../kubernetes/rows.ts'
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
    const rights = await rightsOf(client, signal)
    return { ...report, version: gitVersion, error: null, ...rights }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { ...report, version: null, error: message, notServed: [], forbidden: [] }
  } finally {
    await client?.close()
  }
}

async function rightsOf(
  client: ApiClient,
  signal: AbortSignal,
): Promise<Pick<ClusterReport, 'notServed' | 'forbidden'>> {
  const discovery = new Discovery(client)
  const notServed: Kind[] = []
  const forbidden: { kind: Kind; verbs: string[] }[] = []
  await Promise.all(
    ALL_KINDS.map(async (kind) => {
      const address = await discovery.served(KINDS[kind], signal)
      if (!address) {
        notServed.push(kind)
        return
      }
      const verbs: string[] = []
      for (const verb of ['list', 'watch']) {
        const { allowed } = await selfSubjectAccessReview(client, { verb, address }, { signal })
        if (!allowed) verbs.push(verb)
      }
      if (verbs.length > 0) forbidden.push({ kind, verbs })
    }),
  )
  const order = (kind: Kind) => ALL_KINDS.indexOf(kind)
  return {
    notServed: notServed.sort((a, b) => order(a) - order(b)),
    forbidden: forbidden.sort((a, b) => order(a.kind) - order(b.kind)),
  }
}
