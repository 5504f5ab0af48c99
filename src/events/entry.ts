/**
 * Entries: what has to be told to the followers of one group, before it is rendered. Entries of one object
 * can be put together, so that a queue is as long as there are objects, not changes.
 */
import type { Cluster } from '../fleet/cluster.ts'
import type { Row } from '../kubernetes/rows.ts'
import type { DeletedReason, LiveEventType } from './live.ts'
import type { Slot } from './slot.ts'

export interface EntryFields {
  readonly type: LiveEventType
  readonly object?: Row
  readonly previous?: Row | null
  readonly reason?: DeletedReason
  readonly cluster?: Cluster | null
  readonly message?: string
  /** Of a change: its table, where that is after it, and which version was complete before it. */
  readonly slot?: Slot
  readonly version?: string
  readonly before?: string
  readonly breaks?: boolean
}

export class Entry<P = unknown> {
  readonly type: LiveEventType
  readonly object: Row | null
  readonly previous: Row | null
  readonly reason: DeletedReason | null
  readonly cluster: Cluster | null
  readonly message: string | null
  readonly slot: Slot | undefined
  readonly version: string | undefined
  readonly before: string | undefined
  /** With it begins what nobody can go on from half-way: its cursor says so. */
  breaks: boolean
  /** Once its group has rendered it. */
  payload: P | undefined = undefined
  /** Its place in its group's log, and what follows it there. */
  number = 0
  next: Entry<P> | undefined = undefined

  constructor(fields: EntryFields) {
    this.type = fields.type
    this.object = fields.object ?? null
    this.previous = fields.previous ?? null
    this.reason = fields.reason ?? null
    this.cluster = fields.cluster ?? null
    this.message = fields.message ?? null
    this.slot = fields.slot
    this.version = fields.version
    this.before = fields.before
    this.breaks = fields.breaks ?? false
  }

  /** The same, not rendered, for another log. */
  copy(): Entry<P> {
    return merge(this, this, this.breaks)
  }
}

/** What entries are about: those with one key can be put together. `undefined`: of all. */
function keyOf({ type, object, cluster }: Entry): string | undefined {
  if (object) return `${object.kind}/${object.id}/${object.uid}`
  if (!cluster) return undefined
  return type === 'CLUSTER_UP' || type === 'CLUSTER_DOWN' ? `up/${cluster.name}` : `cluster/${cluster.name}`
}

/**
 * At most one entry per object, at the place of its first, so that a cursor in between never claims what
 * comes later; objects that came and went are left out.
 */
export function coalesce<P>(entries: readonly Entry<P>[]): Entry<P>[] {
  const places = new Map<string, number>()
  const result: (Entry<P> | undefined)[] = []
  /** Places of entries that were left out though they break: the next one does it for them. */
  const broken = new Set<number>()
  for (const entry of entries) {
    const key = keyOf(entry)
    const place = key === undefined ? undefined : places.get(key)
    if (place === undefined) {
      if (key !== undefined) places.set(key, result.length)
      result.push(entry)
      continue
    }
    const first = result[place]!
    const merged = putTogether(first, entry)
    result[place] = merged
    if (merged) continue
    places.delete(key!)
    if (first.breaks || entry.breaks) broken.add(place)
  }
  let breaks = false
  return result.flatMap((entry, place) => {
    breaks ||= broken.has(place)
    if (!entry) return []
    if (!breaks) return [entry]
    breaks = false
    return [merge(entry, entry, true)]
  })
}

function putTogether<P>(first: Entry<P>, second: Entry<P>): Entry<P> | undefined {
  // The last one says it all; that nothing has changed cannot be known: another cluster may have had the name.
  if (first.type === 'CLUSTER_UP' || first.type === 'CLUSTER_DOWN') return second
  if (first.type === 'ADDED' && second.type === 'DELETED') return undefined
  return merge(first, second, first.breaks || second.breaks)
}

/** One that says what both say, at the place of the first. */
function merge<P>(first: Entry<P>, second: Entry<P>, breaks: boolean): Entry<P> {
  const { version, before, slot } = first
  let { type } = second
  if (first.type === 'ADDED') type = 'ADDED'
  else if (first !== second && type === 'ADDED') type = 'MODIFIED'
  return new Entry<P>({
    type,
    breaks,
    previous: first.previous,
    cluster: second.cluster,
    ...(second.object && { object: second.object }),
    ...(second.reason && { reason: second.reason }),
    ...(second.message !== null && { message: second.message }),
    ...(slot && { slot }),
    ...(version !== undefined && { version }),
    ...(before !== undefined && { before }),
  })
}

/** Why an object is DELETED: it is gone, or does not match the filter any more. */
export function deletion(row: Row, isGone: boolean) {
  return isGone
    ? { reason: 'OBJECT_DELETED' as const, message: `${row.kind} ${row.name} was deleted.` }
    : { reason: 'FILTER' as const, message: `${row.kind} ${row.name} does not match the filter any more.` }
}
