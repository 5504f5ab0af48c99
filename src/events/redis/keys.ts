/**
 * The names of what one cluster has in Redis. All of them share one hash tag, so that they lie in one slot
 * of a Redis Cluster and one script may touch them together; all of them name the format version, so that
 * gateways of two versions share a Redis without seeing each other's keys and messages.
 */
import type { Cluster, Redis } from 'ioredis'
import type { Kind } from '../../kubernetes/rows.ts'
import { ROW_FORMAT } from '../../kubernetes/row-codec.ts'

/** Of keys, values and messages together; the form of a row is a part of it. */
export const FORMAT = `1.${ROW_FORMAT}`

/** A connection for commands, and one that is only subscribed. Neither is closed by whoever gets a link. */
export interface RedisLink {
  readonly commands: Redis | Cluster
  readonly subscriber: Redis | Cluster
  /** Sharded pub/sub (SPUBLISH, SSUBSCRIBE): on a Redis Cluster, where plain messages go to every node. */
  readonly sharded: boolean
  /** Of all keys and channels. */
  readonly prefix: string
}

/**
 * Where tables stand in Redis, opaque: what one publisher or follower leaves to another that goes on with the
 * same tables, so that they need not be read or written again.
 */
export type TablePositions = ReadonlyMap<Kind, string>

export interface ClusterKeys {
  /** Who owns the cluster: the token of the owner. Not written here. */
  readonly lease: string
  /** Counts owners. Not written here. */
  readonly epoch: string
  /** Hash: where each table is, how it is, the cluster's health, the owner's last heartbeat. */
  readonly state: string
  /** Hash of one generation of a table: `namespace/name` to the row. */
  rows(kind: Kind, generation: string): string
  /** Where the owner's changes and heartbeats are published. */
  readonly channel: string
}

/** `cluster`: the identity of a `FeedTarget`. */
export function clusterKeys(prefix: string, cluster: string): ClusterKeys {
  // Escaped: a brace in the name would end the hash tag.
  const base = `${prefix}:${FORMAT}:{${encodeURIComponent(cluster.toWellFormed())}}`
  return {
    lease: `${base}:lease`,
    epoch: `${base}:epoch`,
    state: `${base}:state`,
    rows: (kind, generation) => `${base}:rows:${kind}:${generation}`,
    channel: `${base}:changes`,
  }
}
