/**
 * The fleet: every cluster that the gateway knows, each with its tables, its health and its client. The
 * contract; clusters come and go as their sources say, and nothing here waits for any of them.
 */
import type { ApiClient } from '../kubernetes/client.ts'
import type { ResourceAddress } from '../kubernetes/kinds.ts'
import type { Kind, LabelSet } from '../kubernetes/rows.ts'
import type { TableReader } from './table.ts'

/**
 * `CONNECTING`: no answer yet. `UP`: answers. `DOWN`: does not answer, or not to us.
 * Times are epoch milliseconds.
 */
export interface ClusterHealth {
  readonly state: 'CONNECTING' | 'UP' | 'DOWN'
  readonly since: number
  /** `v1.34.1`; the last known one while it is down. */
  readonly version: string | null
  /** Of the last successful probe. */
  readonly latencyMs: number | null
  readonly lastContactAt: number | null
  readonly lastError: { readonly code: string; readonly message: string; readonly at: number } | null
}

export interface Cluster {
  readonly name: string
  readonly labels: LabelSet
  /** Which source named it, for a person: `kubeconfig ~/.kube/config, context prod-eu`. */
  readonly source: string
  readonly health: ClusterHealth
  /** Increases with each change of `health.state`, `health.version` or `labels`. */
  readonly revision: number
  readonly client: ApiClient
  table<K extends Kind>(kind: K): TableReader<K>
  /**
   * Discovery, cached for a while: the address and scope of a kind that may not be in `KINDS`.
   * `undefined` where the cluster does not serve it. Throws the client's errors.
   */
  resolve(
    apiVersion: string,
    kind: string,
  ): Promise<{ readonly address: ResourceAddress; readonly namespaced: boolean } | undefined>
}

export interface Fleet {
  /** In order of their names. */
  readonly clusters: readonly Cluster[]
  cluster(name: string): Cluster | undefined
  /** Increases when a cluster is added or removed. */
  readonly revision: number
  /** After clusters were added or removed, or a cluster's `revision` changed. */
  onChange(listener: () => void): () => void
  close(): Promise<void>
}
