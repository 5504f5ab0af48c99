/**
 * A slot: one table as one group follows it – what of its rows the group means, and how far the group's
 * stream has come with it.
 */
import type { Cluster } from '../fleet/cluster.ts'
import type { Scope } from '../fleet/selection.ts'
import type { Change } from '../fleet/table.ts'
import type { Row } from '../kubernetes/rows.ts'
import type { Seal } from './seal.ts'
import type { TableChannel } from './table-channel.ts'

/** A key in a table's order. */
export interface RowKey {
  readonly namespace: string
  readonly name: string
}

/** What a slot tells of changes. */
export interface ChangeListener {
  /** `before`: the version that was complete before it. */
  onChange(slot: Slot, change: Change, before: string): void
  onStatus(slot: Slot): void
  /** A condition of the request threw: a bug of whoever made it. */
  onError(error: unknown): void
}

/** `null`: nothing yet. `'ALL'`: the whole table. A key: all up to it, itself included. */
export type Reached = null | 'ALL' | RowKey

export class Slot {
  readonly cluster: Cluster
  readonly channel: TableChannel
  readonly scope: Scope
  readonly listener: ChangeListener
  /** Which rows the group's stream is about: later changes of others will be met by its scan. */
  reached: Reached = null
  /** The group is about to read it for all its followers. */
  isAwaited = false
  /** It has left the request, or the fleet. */
  gone = false
  readonly #test: ((row: Row) => boolean) | undefined

  constructor(
    cluster: Cluster,
    channel: TableChannel,
    scope: Scope,
    test: ((row: Row) => boolean) | undefined,
    listener: ChangeListener,
  ) {
    this.cluster = cluster
    this.channel = channel
    this.scope = scope
    this.#test = test
    this.listener = listener
  }

  /** The same with another scope, for nobody but a scan. */
  seeing(scope: Scope): Slot {
    return new Slot(this.cluster, this.channel, scope, this.#test, this.listener)
  }

  /** Whether the group means this row and its viewers may see it. */
  matches(row: Row): boolean {
    return isWithin(this.scope, row) && (this.#test === undefined || this.#test(row))
  }

  /** Of its table and what may be seen of it, for cursors. */
  get seal(): Seal {
    return this.channel.sealOf(this.scope)
  }

  covers(row: Row): boolean {
    const { reached } = this
    return reached !== null && (reached === 'ALL' || isUpTo(row, reached))
  }
}

export function isWithin(scope: Scope, row: Row): boolean {
  return (
    scope === 'all' ||
    scope.namespaces.has(row.namespace) ||
    (scope.names?.has(row.name) ?? false) ||
    (scope.objects?.has(`${row.namespace}/${row.name}`) ?? false)
  )
}

export function isUpTo(row: Row, key: RowKey): boolean {
  return row.namespace === key.namespace ? row.name <= key.name : row.namespace < key.namespace
}

export function sameScope(a: Scope | undefined, b: Scope | undefined): boolean {
  if (a === b) return true
  if (a === undefined || b === undefined || a === 'all' || b === 'all') return false
  return sameSet(a.namespaces, b.namespaces) && sameSet(a.objects, b.objects) && sameSet(a.names, b.names)
}

const NONE: ReadonlySet<string> = new Set()

function sameSet(a: ReadonlySet<string> = NONE, b: ReadonlySet<string> = NONE): boolean {
  return a === b || (a.size === b.size && a.isSubsetOf(b))
}

/** Whether something was seen with `before` that is not with `now`. */
export function isLess(now: Scope | undefined, before: Scope | undefined): boolean {
  if (before === undefined || now === before || now === 'all') return false
  if (now === undefined || before === 'all') return true
  const { namespaces, objects = NONE, names = NONE } = now
  if (!before.namespaces.isSubsetOf(namespaces)) return true
  if (!(before.names ?? NONE).isSubsetOf(names)) return true
  return (before.objects ?? NONE).values().some((object) => {
    const slash = object.indexOf('/')
    return (
      !objects.has(object) && !namespaces.has(object.slice(0, slash)) && !names.has(object.slice(slash + 1))
    )
  })
}

/**
 * What a viewer who may see `of` sees and one who may see `without` does not, and maybe more; of all namespaces
 * that there are, where `of` is all of them. `undefined`: nothing.
 */
export function difference(
  of: Scope | undefined,
  without: Scope | undefined,
  there: () => Iterable<string>,
): Scope | undefined {
  if (of === undefined || without === undefined) return of
  if (without === 'all') return undefined
  if (of === 'all') return { namespaces: new Set(there()).difference(without.namespaces) }
  return {
    namespaces: of.namespaces.difference(without.namespaces),
    ...(of.objects && { objects: of.objects.difference(without.objects ?? NONE) }),
    ...(of.names && { names: of.names.difference(without.names ?? NONE) }),
  }
}
