/** What the tests of sources share: a folder of their own, kubeconfigs, and a listener that can be awaited. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { ClusterDefinition, ClusterSource, SourceProblem } from '../../../src/fleet/sources/source.ts'
import { eventually } from '../../support/eventually.ts'

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgraph-sources-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A kubeconfig with a context, cluster and user for each name. */
export function kubeconfig(
  names: readonly string[],
  { server = 'https://api.example.org', token = 't', extension = '' } = {},
): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: names.map((name) => ({ name, cluster: { server } })),
    contexts: names.map((name) => ({
      name,
      context: {
        cluster: name,
        user: name,
        ...(extension && {
          extensions: [{ name: 'fleetgraph', extension: JSON.parse(extension) as unknown }],
        }),
      },
    })),
    users: names.map((name) => ({ name, user: { token } })),
  })
}

export interface Listening {
  readonly clusters: readonly ClusterDefinition[]
  readonly problems: readonly SourceProblem[]
  /** How often the source spoke. */
  readonly calls: number
  readonly names: readonly string[]
  /** Waits until the assertion holds. */
  until(assertion: (now: Listening) => void): Promise<void>
  cluster(name: string): ClusterDefinition
}

/** Starts the source, and waits until it has spoken. */
export async function listen(source: ClusterSource, signal?: AbortSignal): Promise<Listening> {
  let clusters: readonly ClusterDefinition[] = []
  let problems: readonly SourceProblem[] = []
  let calls = 0
  const listening: Listening = {
    get clusters() {
      return clusters
    },
    get problems() {
      return problems
    },
    get calls() {
      return calls
    },
    get names() {
      return clusters.map(({ name }) => name)
    },
    until: (assertion) => eventually(() => assertion(listening), { timeoutMs: 5_000 }),
    cluster(name) {
      const found = clusters.find((cluster) => cluster.name === name)
      if (!found) throw new Error(`there is no cluster ${name}: ${listening.names.join(', ')}`)
      return found
    },
  }
  source.start((...said) => {
    ;[clusters, problems] = said
    calls++
  }, signal)
  onTestFinished(() => source.close())
  await listening.until(({ calls }) => {
    if (calls === 0) throw new Error(`${source.description} has said nothing yet`)
  })
  return listening
}
