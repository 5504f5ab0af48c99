/**
 * The request's dataloaders: real round trips only (relations are index look-ups). Loads of one tick are
 * deduplicated by global ID and grouped by cluster, with a bounded number of requests in flight to each,
 * so that a page of manifests neither floods one API server nor waits for another that is slow.
 */
import DataLoader from 'dataloader'
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import { parseGlobalId } from '../kubernetes/kinds.ts'
import { manifestOf, type Manifest } from './manifest.ts'
import { Permissions } from './permissions.ts'

export interface Loaders {
  /** By the global ID of an object in memory. */
  readonly manifest: DataLoader<string, Manifest>
  readonly permissions: Permissions
  /** Does what a key stands for once: the same question twice, or an answer made twice, costs one read. */
  once<T>(key: string, read: () => Promise<T>): Promise<T>
}

/** Live GETs in flight to one cluster for one request. */
const CONCURRENCY = 8

export function createLoaders(fleet: AuthorizedFleet, signal?: AbortSignal): Loaders {
  const manifest = async (id: string): Promise<Manifest> => {
    const reference = parseGlobalId(id)
    if (!reference || reference.kind === 'Cluster') throw new TypeError(`${id} is not the ID of an object.`)
    return manifestOf(() => fleet.live(reference, signal), reference.kind)
  }
  const reads = new Map<string, Promise<unknown>>()
  return {
    permissions: new Permissions(fleet),
    once: <T>(key: string, read: () => Promise<T>) => {
      let promise = reads.get(key) as Promise<T> | undefined
      if (!promise) reads.set(key, (promise = read()))
      return promise
    },
    manifest: new DataLoader(async (ids) => {
      const groups = Map.groupBy(ids.keys(), (index) => parseGlobalId(ids[index]!)?.cluster)
      const results: (Manifest | Error)[] = []
      await Promise.all(
        groups.values().flatMap((indexes) => {
          const queue = indexes.values()
          return Array.from({ length: Math.min(CONCURRENCY, indexes.length) }, async () => {
            for (const index of queue) {
              results[index] = await manifest(ids[index]!).catch((error: unknown) =>
                error instanceof Error ? error : new Error(String(error)),
              )
            }
          })
        }),
      )
      return results
    }),
  }
}
