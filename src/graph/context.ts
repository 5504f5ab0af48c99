/**
 * The GraphQL context, one per request. It holds the viewer's door to the fleet and nothing that goes
 * around it: no raw fleet, no client of a cluster.
 */
import type { AuditReader } from '../access/audit/audit.ts'
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { Viewer } from '../access/viewer.ts'
import type { Writes } from '../writes/writes.ts'
import { systemClock, type Clock } from '../fleet/clock.ts'
import { createLoaders, type Loaders } from './loaders.ts'

export interface GraphContext {
  readonly viewer: Viewer
  readonly fleet: AuthorizedFleet
  /** Batched round trips to clusters, kept for this request only. */
  readonly loaders: Loaders
  /** What was done and refused, as far as the viewer may read it; absent: nothing is kept. */
  readonly audit?: AuditReader
  /** How clusters are changed; absent: not at all. */
  readonly writes?: Writes
  /** Of subscriptions that wait for a time. */
  readonly clock: Clock
  /** Ends the live reads of the request, and its subscription. */
  readonly signal?: AbortSignal
}

/** `fleet` is the request's own: what was read and what it cost are counted in it. */
export function createContext(
  fleet: AuthorizedFleet,
  signal?: AbortSignal,
  clock: Clock = systemClock,
  { audit, writes }: Pick<GraphContext, 'audit' | 'writes'> = {},
): GraphContext {
  const loaders = createLoaders(fleet, signal)
  return {
    viewer: fleet.viewer,
    fleet,
    loaders,
    clock,
    ...(audit && { audit }),
    ...(writes && { writes }),
    ...(signal && { signal }),
  }
}
