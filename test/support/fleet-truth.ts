/**
 * Judges copies of checker clients by the API servers themselves: what a copy lacks, what it has too much,
 * and what it holds in another version; and whether every delete was told.
 */
import { KINDS } from '../../src/kubernetes/kinds.ts'
import type { CheckerClient } from './checker-client.ts'
import { snapshotCluster } from './churn.ts'
import { eventually } from './eventually.ts'
import type { StormyCluster } from './stormy-cluster.ts'
import type { Witness } from './witness.ts'

/** resource → `cluster resource namespace/name uid` → resourceVersion. */
type Truth = ReadonlyMap<string, ReadonlyMap<string, string>>

const RESOURCES = new Map<string, string>(
  Object.values(KINDS).map(({ kind, group, resource }) => [
    kind,
    group === '' ? resource : `${resource}.${group}`,
  ]),
)

async function truthOf(clusters: readonly StormyCluster[]): Promise<Truth> {
  const truth = new Map<string, Map<string, string>>()
  await Promise.all(
    clusters.map(async ({ name: cluster, http }) => {
      for (const [resource, objects] of await snapshotCluster(http)) {
        const versions = truth.get(resource) ?? new Map<string, string>()
        truth.set(resource, versions)
        for (const [key, { metadata }] of objects) {
          versions.set(`${cluster} ${resource} ${key} ${metadata.uid}`, metadata.resourceVersion)
        }
      }
    }),
  )
  return truth
}

/** One line for each object that differs; none: the copy is right. */
function differences(client: CheckerClient, whole: Truth): string[] {
  const truth = new Map(client.kinds.flatMap((kind) => [...(whole.get(RESOURCES.get(kind) ?? '') ?? [])]))
  const copy = new Map(
    [...client.copy.values()].map(({ cluster, kind, namespace, name, uid, resourceVersion }) => [
      `${cluster} ${RESOURCES.get(kind) ?? kind} ${namespace ?? ''}/${name} ${uid}`,
      resourceVersion,
    ]),
  )
  return [
    ...[...truth].flatMap(([key, version]) => {
      const held = copy.get(key)
      if (held === undefined) return [`missing: ${key}`]
      return held === version ? [] : [`another version: ${key}: ${held} instead of ${version}`]
    }),
    ...[...copy.keys()].filter((key) => !truth.has(key)).map((key) => `phantom: ${key}`),
  ]
}

/**
 * Resolves when the copies of all clients are what the API servers list, of the kinds that they follow; the
 * clusters should be quiet, but for the heartbeats of their nodes. Rejects with the differences that stay.
 */
export async function untilCopiesAreTrue(
  clients: readonly CheckerClient[],
  clusters: readonly StormyCluster[],
  timeoutMs = 60_000,
): Promise<void> {
  return eventually(
    async () => {
      const truth = await truthOf(clusters)
      for (const client of clients) {
        const wrong = differences(client, truth)
        if (wrong.length > 0) {
          const some = wrong.slice(0, 20).join('\n  ')
          throw new Error(
            `${client.name} (${client.describe()}) differs in ${wrong.length} objects:\n  ${some}`,
          )
        }
      }
    },
    { timeoutMs, everyMs: 500 },
  )
}

export interface DeleteReport {
  /** Objects that were in the client's copy and that the API server deleted. */
  readonly due: number
  /** Of those, told as DELETED. */
  readonly told: number
  /** Of those, not shown again by a RESYNC. */
  readonly resynced: number
  /** Objects that are there, and that a RESYNC left out for a while though it said that all was shown. */
  readonly setBack: number
  /** Milliseconds from the delete until DELETED: median, 99 %, longest. */
  readonly lag: readonly [number, number, number]
  /** What is wrong: each a sentence. */
  readonly wrong: readonly string[]
}

/**
 * Holds what a client was told of deletes against what was seen at the API servers. A delete may be missing
 * only where a RESYNC said that events were left out, and not where it had happened more than `allowedLagMs`
 * before: the stream was continuous then.
 */
export function judgeDeletes(
  client: CheckerClient,
  witnesses: readonly Witness[],
  allowedLagMs: number,
): DeleteReport {
  const gone = new Map(witnesses.flatMap((witness) => [...witness.gone]))
  const wrong: string[] = []
  const lags: number[] = []
  const told = new Set<string>()
  for (const { uid, object, at, reason } of client.deleted) {
    const when = gone.get(uid)
    if (reason !== 'OBJECT_DELETED') wrong.push(`DELETED with ${reason}: ${object}`)
    if (when === undefined) wrong.push(`DELETED of what was not deleted: ${object}`)
    else if (!told.has(uid)) lags.push(at - when)
    told.add(uid)
  }
  // A replica that lags behind the one before may not wait for ever: its RESYNC shows an older state.
  const setBack = client.dropped.filter(({ uid, current }) => current && !gone.has(uid)).length
  const dropped = new Map(client.dropped.map((each) => [each.uid, each]))
  const counted = { due: 0, told: 0, resynced: 0 }
  for (const [uid, when] of gone) {
    if (!client.known.has(uid)) continue
    counted.due += 1
    const drop = dropped.get(uid)
    if (told.has(uid)) counted.told += 1
    else if (!drop) wrong.push(`a delete was never told: ${uid}`)
    else if (drop.at - when > allowedLagMs) {
      wrong.push(`a delete was not told for ${Math.round(drop.at - when)} ms until a RESYNC: ${drop.object}`)
    } else counted.resynced += 1
  }
  lags.sort((a, b) => a - b)
  const at = (share: number): number => Math.round(lags[Math.floor(share * (lags.length - 1))] ?? 0)
  return { ...counted, setBack, lag: [at(0.5), at(0.99), at(1)], wrong }
}
