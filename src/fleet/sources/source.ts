/**
 * Where clusters come from: the contract of a source, and how several become one. A source says which
 * clusters there are now, as often as that changes; it never connects to any of them.
 */
import type { ApiClient } from '../../kubernetes/client.ts'
import type { LabelSet } from '../../kubernetes/rows.ts'

export interface ClusterDefinition {
  /** Unique in the fleet; an RFC 1123 subdomain. */
  readonly name: string
  readonly labels: LabelSet
  /** For a person: `kubeconfig /home/ada/.kube/config, context prod-eu`. */
  readonly source: string
  /**
   * Equal as long as a client made earlier still stands for this definition. When it differs, make a
   * new one; new labels alone do not change it.
   */
  readonly fingerprint: string
  /** A new client each time; whoever calls closes it. Connects to nothing yet. */
  connect(): ApiClient
}

/** Something wrong with a source, which otherwise keeps what it last knew. */
export interface SourceProblem {
  /** Says where (file and line), what, and what to do. */
  readonly message: string
  readonly source: string
}

/** All that a source knows: each call replaces what the last one said. */
export type SourceListener = (
  clusters: readonly ClusterDefinition[],
  problems: readonly SourceProblem[],
) => void

export interface ClusterSource {
  /** For a person: `directory /etc/fleetgraph/clusters`. */
  readonly description: string
  /**
   * Calls the listener soon – asynchronously, also when there is nothing – and then whenever something
   * changed. Ends with the signal or `close()`, after which the listener is not called. Once only.
   */
  start(onChange: SourceListener, signal?: AbortSignal): void
  close(): void
}

const CLUSTER_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

export function isClusterName(name: string): boolean {
  return name.length <= 253 && CLUSTER_NAME.test(name)
}

/**
 * The cluster's name for a context or a file that may be called anything:
 * `gke_shop_europe-west1_prod` → `gke-shop-europe-west1-prod`, `arn:aws:eks:eu-west-1:1:cluster/prod` →
 * `arn-aws-eks-eu-west-1-1-cluster-prod`. Empty where nothing is left.
 */
export function clusterNameFrom(text: string): string {
  if (isClusterName(text)) return text
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/-*\.[-.]*/g, '.')
    .slice(0, 253)
    .replaceAll(/^[-.]+|[-.]+$/g, '')
}

/**
 * Several sources as one. Where two name a cluster alike, the first in the list keeps the name, and the
 * clash is a problem that names both: clusters are never mixed up, nor silently renamed.
 * The listener is first called when every source has spoken, then at each change of any of them.
 */
export function combineSources(sources: readonly ClusterSource[]): ClusterSource {
  return {
    description: sources.map(({ description }) => description).join('; ') || 'no sources',
    start(onChange, signal) {
      const said = new Map<ClusterSource, Parameters<SourceListener>>()
      if (sources.length === 0) queueMicrotask(() => signal?.aborted || onChange([], []))
      for (const source of sources)
        source.start((clusters, problems) => {
          said.set(source, [clusters, problems])
          if (said.size < sources.length) return
          const all = sources.map((each) => said.get(each) ?? [[], []])
          const { clusters: unique, clashes } = uniqueNames(all.flatMap(([clusters]) => clusters))
          onChange(unique, [...all.flatMap(([, problems]) => problems), ...clashes])
        }, signal)
    },
    close() {
      for (const source of sources) source.close()
    },
  }
}

/** The first of each name, and a problem for each other. */
export function uniqueNames(definitions: readonly ClusterDefinition[]): {
  readonly clusters: ClusterDefinition[]
  readonly clashes: SourceProblem[]
} {
  const byName = new Map<string, ClusterDefinition>()
  const clashes: SourceProblem[] = []
  for (const definition of definitions) {
    const holder = byName.get(definition.name)
    if (!holder) byName.set(definition.name, definition)
    else
      clashes.push({
        source: definition.source,
        message: `${definition.source}: the cluster name ${definition.name} is taken by ${holder.source}; left out. Rename one of them.`,
      })
  }
  return { clusters: [...byName.values()], clashes }
}
