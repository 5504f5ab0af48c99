/** Read-your-writes: up to where a memory has to be to show what a change did. */
import { encodeFreshness, type Gone } from '../events/freshness.ts'
import { encodePosition } from '../events/position.ts'
import { ALL_KINDS, KINDS } from '../kubernetes/kinds.ts'
import { compareResourceVersions } from '../kubernetes/resource-version.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { ObjectKey, StepResult } from './change.ts'

/**
 * A cursor for `@atLeast`: of each cluster and kind the newest version that a result tells of, and what was deleted.
 * It has no seals, so it says nothing of rights, and no subscription can go on after it. `null` where there is nothing
 * to wait for: nothing was written, or nothing that is kept in memory.
 */
export function cursorOf(results: readonly StepResult[]): string | null {
  const versions = new Map<string, Map<Kind, string>>()
  const gone: Gone[] = []
  for (const result of results) {
    const { object, resourceVersion } = result
    const { cluster } = object
    const kind = keptKind(object)
    if (kind === undefined || result.dryRun) continue
    if (resourceVersion === null) {
      const uid = result.outcome === 'DELETED' ? result.before?.metadata?.uid : undefined
      if (uid !== undefined) gone.push({ cluster, kind, uid })
      continue
    }
    // Without an order nobody could wait for it.
    if (compareResourceVersions(resourceVersion, '1') === undefined) continue
    const known = versions.get(cluster) ?? new Map<Kind, string>()
    versions.set(cluster, known)
    const newest = known.get(kind)
    if (newest === undefined || compareResourceVersions(resourceVersion, newest)! > 0) {
      known.set(kind, resourceVersion)
    }
  }
  if (versions.size === 0 && gone.length === 0) return null
  const kinds = ALL_KINDS.filter((kind) => versions.values().some((known) => known.has(kind)))
  const clusters = [...versions.keys()].sort()
  const position = encodePosition(
    kinds,
    clusters.map((cluster) => [cluster, kinds.map((kind) => versions.get(cluster)!.get(kind))] as const),
  )
  return encodeFreshness(position, gone)
}

/** Of which table the object is a row: a custom resource may have the name of a built-in kind. */
export function keptKind({ apiVersion, kind }: ObjectKey): Kind | undefined {
  if (!Object.hasOwn(KINDS, kind)) return undefined
  const slash = apiVersion.indexOf('/')
  const group = slash === -1 ? '' : apiVersion.slice(0, slash)
  const known = kind as Kind
  return KINDS[known].group === group ? known : undefined
}
