/**
 * Makes `ClusterDefinition`s of connections, and keeps what a source knows between two looks.
 */
import { createHash } from 'node:crypto'
import { createApiClient, type ApiClientOptions } from '../../kubernetes/api-client.ts'
import type { Connection } from '../../kubernetes/connection.ts'
import type { LabelSet } from '../../kubernetes/rows.ts'
import type { ClusterDefinition, SourceListener, SourceProblem } from './source.ts'

export function define(
  connection: Connection,
  labels: LabelSet,
  source: string,
  options: ApiClientOptions | undefined,
): ClusterDefinition {
  return {
    name: connection.cluster,
    labels,
    source,
    // A hash: definitions are logged and compared, and a connection holds secrets.
    fingerprint: createHash('sha256').update(JSON.stringify(connection)).digest('hex').slice(0, 32),
    connect: () => createApiClient(connection, options),
  }
}

/** Passes on only what differs from the last time. */
export function whenChanged(listener: SourceListener): SourceListener {
  let last: string | undefined
  return (clusters, problems) => {
    const now = JSON.stringify([clusters, problems])
    if (now === last) return
    last = now
    listener(clusters, problems)
  }
}

export function problem(source: string, error: unknown): SourceProblem {
  const message = error instanceof Error ? error.message : String(error)
  return { source, message: message.startsWith(source) ? message : `${source}: ${message}` }
}
