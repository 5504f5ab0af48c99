/**
 * Who fills a cluster's tables: this process by watching its API server, or another replica that does so
 * and passes on what it sees. The fleet does not know which; a `Feeding` decides per cluster, and may
 * change its mind at any time. Without one, every cluster is watched.
 *
 * Invariant: at any moment at most one thing writes the tables of a cluster.
 */
import type { Kind } from '../kubernetes/rows.ts'
import type { ClusterHealth } from './cluster.ts'
import type { TableReader, TableWriter } from './table.ts'

/** A cluster, as whoever fills its tables sees it. */
export interface FeedTarget {
  readonly name: string
  /**
   * The name, and which API server it stands for: another one under the same name is another cluster, of whose
   * tables nothing may be gone on with. The same in every process that reaches it under the same URL.
   */
  readonly identity: string
  readonly health: ClusterHealth
  table<K extends Kind>(kind: K): TableReader<K> & TableWriter<K>
  /**
   * Probes and watches the API server. A table that has content goes on from its `status.resourceVersion`
   * without a relist where the server still has that version and the table is `whole`; a table that is down is
   * up again once it is followed. Ends with `close`, which leaves the tables as they are. Throws `FeedingError` where there is a
   * session already. Of a cluster that has left the fleet it does nothing.
   */
  watch(): WatchSession
  /**
   * The cluster's health, as somebody else found it. Throws `FeedingError` while a watch session is open. Of a
   * cluster that has left the fleet it does nothing.
   */
  learn(health: ClusterHealth): void
  /** After each change of `health`, whoever found it; with a watch session, after every probe too. */
  onHealth(listener: (health: ClusterHealth) => void): () => void
}

export interface WatchSession {
  /** Ends its requests and timers at once. Idempotent. */
  close(): void
}

/**
 * Begins to fill the tables of a cluster; called once for each, when it joins the fleet. A cluster that is
 * defined anew is another one of the same name: it begins when the one before has been closed.
 */
export type Feeding = (target: FeedTarget) => FeedingSession

export interface FeedingSession {
  /**
   * The cluster leaves the fleet, or the fleet closes: nothing may be written afterwards. Its watch session has
   * been closed. Settles when others may have the cluster; what fails is this feeding's own to say. Called
   * once.
   */
  close(): Promise<void>
}

/** This process watches, at once and for good. */
export const watching: Feeding = (target) => {
  const session = target.watch()
  return {
    async close() {
      session.close()
    },
  }
}

/** A feeding did what its target does not allow now: a bug of the feeding. */
export class FeedingError extends Error {
  override readonly name = 'FeedingError'
  readonly code = 'FEEDING'

  constructor(cluster: string, what: string) {
    super(`Cluster ${cluster} ${what} (see fleet/feeding.ts).`)
  }
}
