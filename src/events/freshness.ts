/**
 * Waits until the tables of this process are as far as a position: whoever changed something, and was told the
 * position of it, reads what they wrote, whichever replica they ask.
 *
 * The position may come from anybody, and ask for anything: what somebody may not see is not waited for, and nothing
 * of it is told. Nobody is waited for without end, and an answer that is behind is better than none: `behind` says so.
 */
import type { Clock } from '../fleet/clock.ts'
import type { Cluster, Fleet } from '../fleet/fleet.ts'
import { allows } from '../fleet/scope.ts'
import type { Scope } from '../fleet/selection.ts'
import type { TableReader } from '../fleet/table.ts'
import { KINDS } from '../kubernetes/kinds.ts'
import { compareResourceVersions } from '../kubernetes/resource-version.ts'
import type { Kind } from '../kubernetes/rows.ts'
import { decodePosition, type Position, PositionError } from './position.ts'

export interface Reached {
  /** Everything that the position knows is in memory. */
  readonly reached: boolean
  /**
   * Names of the clusters that are not so far, in order. Empty where nothing is known of a cluster of the position
   * but that it is none of the fleet's: it has no name here.
   */
  readonly behind: readonly string[]
}

/** Content of these is not followed, so there is nothing to wait for. */
const HOPELESS = new Set(['FORBIDDEN', 'NOT_SERVED', 'UNAUTHORIZED'])

/**
 * An object that is gone. No version tells of that: an API server that deletes an object at once does not say in
 * which version.
 */
export interface Gone {
  readonly cluster: string
  readonly kind: Kind
  readonly uid: string
}

/** Of more that are gone, those beyond are not waited for. */
const MOST_GONE = 1_000
const MAX_LENGTH = 1 << 20

/** No character of base64url. */
const SEPARATOR = '~'

/** A cursor for `Freshness`: a position (`encodePosition`), and what is gone. */
export function encodeFreshness(position: string, gone: readonly Gone[]): string {
  if (gone.length === 0) return position
  const tuples = gone.slice(0, MOST_GONE).map(({ cluster, kind, uid }) => [cluster, kind, uid])
  return `${position}${SEPARATOR}${Buffer.from(JSON.stringify(tuples)).toString('base64url')}`
}

interface Target {
  readonly position: Position
  readonly gone: readonly Gone[]
}

interface Scoped extends Target {
  readonly scopeOf: ScopeOf
}

function decode(cursor: string): Target {
  if (cursor.length > MAX_LENGTH) throw new PositionError()
  const [position = '', gone, ...others] = cursor.split(SEPARATOR)
  if (others.length > 0) throw new PositionError()
  return { position: decodePosition(position), gone: gone === undefined ? [] : decodeGone(gone) }
}

function decodeGone(text: string): readonly Gone[] {
  let tuples: unknown
  try {
    tuples = JSON.parse(Buffer.from(text, 'base64url').toString())
  } catch {
    throw new PositionError()
  }
  if (!Array.isArray(tuples) || tuples.length > MOST_GONE) throw new PositionError()
  return tuples.flatMap((tuple: unknown) => {
    if (!isTuple(tuple)) throw new PositionError()
    const [cluster, kind, uid] = tuple
    // Another version of the gateway may know others.
    return Object.hasOwn(KINDS, kind) ? [{ cluster, kind: kind as Kind, uid }] : []
  })
}

function isTuple(value: unknown): value is readonly [string, string, string] {
  return Array.isArray(value) && value.length === 3 && value.every((part) => typeof part === 'string')
}

/** What of a table whoever waits may see; `undefined`: nothing. */
export type ScopeOf = (cluster: Cluster, kind: Kind) => Scope | undefined

/** A table, and whether what is waited for is in it. */
interface Awaited {
  readonly table: TableReader
  readonly isBehind: () => boolean
}

export class Freshness {
  readonly #fleet: Pick<Fleet, 'clusters'>
  readonly #clock: Clock

  constructor(fleet: Pick<Fleet, 'clusters'>, clock: Clock) {
    this.#fleet = fleet
    this.#clock = clock
  }

  /**
   * Resolves when the tables are so far, after `timeoutMs`, or with the signal; a promise only where there is
   * something to wait for. Throws `PositionError` for what is no cursor; never rejects.
   */
  reach(
    cursor: string,
    timeoutMs: number,
    signal: AbortSignal,
    scopeOf: ScopeOf = () => 'all',
  ): Reached | Promise<Reached> {
    const target = { ...decode(cursor), scopeOf }
    const waiting = new Set(Array.from(this.#behind(target)).filter(({ table }) => !isHopeless(table)))
    if (waiting.size === 0 || timeoutMs === 0 || signal.aborted) return this.#reached(target)
    return new Promise((resolve) => {
      const ends: (() => void)[] = []
      const end = () => {
        for (const stop of ends) stop()
        signal.removeEventListener('abort', end)
        resolve(this.#reached(target))
      }
      const tables = Map.groupBy(waiting, ({ table }) => table)
      for (const [table, all] of tables) {
        const look = () => {
          const isInVain = isHopeless(table)
          for (const awaited of all) if (isInVain || !awaited.isBehind()) waiting.delete(awaited)
          if (waiting.size === 0) end()
        }
        ends.push(table.onProgress(look), table.onStatus(look))
      }
      ends.push(this.#clock.after(timeoutMs, end))
      signal.addEventListener('abort', end, { once: true })
    })
  }

  #reached(target: Scoped): Reached {
    const late = new Set(Array.from(this.#behind(target), ({ table }) => table.cluster))
    const names = this.#fleet.clusters.map(({ name }) => name)
    const { position, gone } = target
    const knowsOthers =
      position.knowsOthers(names, kindsOf(position)) || gone.some(({ cluster }) => !names.includes(cluster))
    const behind = names.filter((name) => late.has(name))
    return { reached: behind.length === 0 && !knowsOthers, behind }
  }

  *#behind({ position, gone, scopeOf }: Scoped): Iterable<Awaited> {
    const kinds = kindsOf(position)
    const { clusters } = this.#fleet
    for (const cluster of clusters) {
      for (const kind of kinds) {
        const version = position.versionOf(cluster.name, kind)
        // `null`: it was of no version that could be waited for.
        if (version === undefined || version === null || !scopeOf(cluster, kind)) continue
        const table: TableReader = cluster.table(kind)
        const isBehind = () => isBefore(table, version)
        if (isBehind()) yield { table, isBehind }
      }
    }
    for (const { cluster: name, kind, uid } of gone) {
      const cluster = clusters.find((cluster) => cluster.name === name)
      if (!cluster) continue
      const table: TableReader = cluster.table(kind)
      const isBehind = () => {
        const scope = scopeOf(cluster, kind)
        const row = scope && table.getByUid(uid)
        return row !== undefined && allows(scope!, row)
      }
      if (isBehind()) yield { table, isBehind }
    }
  }
}

function kindsOf({ kinds }: Position): readonly Kind[] {
  return kinds.filter((kind): kind is Kind => Object.hasOwn(KINDS, kind))
}

function isBefore({ status: { resourceVersion } }: TableReader, version: string): boolean {
  if (resourceVersion === null) return true
  return (compareResourceVersions(resourceVersion, version) ?? -1) < 0
}

/** It will not come to the version, or nobody could tell. */
function isHopeless({ status: { problem, resourceVersion } }: TableReader): boolean {
  if (problem && HOPELESS.has(problem.code)) return true
  return resourceVersion !== null && compareResourceVersions(resourceVersion, '1') === undefined
}
