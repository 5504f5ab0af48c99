/**
 * Relay connections over the fleet's tables. The value behind a connection computes each part when it is
 * asked for: a client that wants neither edges nor a total does not pay for them. Its properties bear the
 * names of the graph's fields, so that the executor reads them without a resolver.
 */
import type { ObjectRef } from '@pothos/core'
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { Coverage } from '../access/coverage.ts'
import type { Cluster } from '../fleet/fleet.ts'
import type { Page, Window } from '../fleet/selection.ts'
import type { Kind, Row } from '../kubernetes/rows.ts'
import { builder, type Types } from './builder.ts'
import { badUserInput } from './errors.ts'
import { CoverageRef } from './coverage.ts'
import type { RowRef } from './refs.ts'

export const DEFAULT_PAGE = 50
export const MAX_PAGE = 500

export interface PageInfo {
  readonly hasNextPage: boolean
  readonly hasPreviousPage: boolean
  readonly startCursor: string | null
  readonly endCursor: string | null
}

export interface Edge<T> {
  readonly cursor: string
  readonly node: T
}

/** What every connection has; `RowConnection` is the one over tables. */
export interface Connection<T> {
  readonly edges: readonly Edge<T>[]
  readonly nodes: readonly T[]
  readonly pageInfo: PageInfo
  readonly totalCount: number
  readonly coverage: readonly Coverage[]
}

export class RowConnection<R extends Row> implements Connection<R> {
  readonly #page: Page<R>
  readonly #fleet: AuthorizedFleet
  readonly #kinds: readonly Kind[]
  readonly #clusters: readonly Cluster[]

  constructor(page: Page<R>, fleet: AuthorizedFleet, kinds: readonly Kind[], clusters: readonly Cluster[]) {
    this.#page = page
    this.#fleet = fleet
    this.#kinds = kinds
    this.#clusters = clusters
  }

  get nodes(): readonly R[] {
    return this.#page.rows
  }

  get edges(): readonly Edge<R>[] {
    return this.#page.rows.map((row) => new RowEdge(this.#page, row))
  }

  get pageInfo(): PageInfo {
    const { rows, hasNextPage, hasPreviousPage } = this.#page
    const [first] = rows
    const last = rows.at(-1)
    return {
      hasNextPage,
      hasPreviousPage,
      startCursor: first ? this.#page.cursor(first) : null,
      endCursor: last ? this.#page.cursor(last) : null,
    }
  }

  get totalCount(): number {
    return this.#page.total()
  }

  get coverage(): readonly Coverage[] {
    return this.#fleet.coverage(this.#kinds, this.#clusters)
  }

  /** Where the tables stood that it was read from: a valid `after` of a subscription. */
  get cursor(): string | null {
    return this.#fleet.position(this.#kinds, this.#clusters)
  }
}

class RowEdge<R extends Row> implements Edge<R> {
  readonly #page: Page<R>
  readonly node: R

  constructor(page: Page<R>, row: R) {
    this.#page = page
    this.node = row
  }

  get cursor(): string {
    return this.#page.cursor(this.node)
  }
}

export const PageInfoRef = builder.objectRef<PageInfo>('PageInfo').implement({
  description: 'Where a page stands in its list (Relay).',
  fields: (t) => ({
    hasNextPage: t.exposeBoolean('hasNextPage', {
      description: 'Whether there is more after this page: ask again with `after: endCursor`.',
    }),
    hasPreviousPage: t.exposeBoolean('hasPreviousPage', {
      description: 'Whether there is more before this page: ask again with `last` and `before: startCursor`.',
    }),
    startCursor: t.exposeString('startCursor', {
      nullable: true,
      description: 'Cursor of the first edge; null on an empty page.',
    }),
    endCursor: t.exposeString('endCursor', {
      nullable: true,
      description: 'Cursor of the last edge; null on an empty page.',
    }),
  }),
})

/** What a connection type leaves out or says in other words. */
export interface ConnectionOptions {
  /** Whether it can say how many there are on all pages. */
  readonly total?: boolean
  readonly coverage?: string
  /** Whether it has a `cursor` to subscribe after; its value is a `RowConnection`. */
  readonly position?: boolean
}

/** The types `<name>Connection` and `<name>Edge`. `C` is the value behind the connection. */
export function connectionType<T, C extends Omit<Connection<T>, 'totalCount'> = Connection<T>>(
  name: string,
  node: RowRef<T & Row> | ObjectRef<Types, T>,
  plural: string,
  { total = true, coverage = COVERAGE, position = false }: ConnectionOptions = {},
): ObjectRef<Types, C> {
  const type = node as ObjectRef<Types, T>
  const edge = builder.objectRef<Edge<T>>(`${name}Edge`).implement({
    description: `One of ${plural} in a connection, with its place in the order.`,
    fields: (t) => ({
      cursor: t.exposeString('cursor', {
        description:
          'Place in the order of this list, for `after` and `before`. It stays valid while objects come and go.',
      }),
      node: t.field({ type, description: 'The object itself.', resolve: (edge) => edge.node as never }),
    }),
  })
  const connection = builder.objectRef<Connection<T>>(`${name}Connection`).implement({
    description: `A page of ${plural}.`,
    fields: (t) => ({
      edges: t.expose('edges', { type: [edge], description: 'The page, with a cursor for each object.' }),
      nodes: t.field({
        type: [type],
        description: 'The page itself: the same as the `node` of all `edges`.',
        resolve: (connection) => connection.nodes as never,
      }),
      pageInfo: t.expose('pageInfo', { type: PageInfoRef, description: 'How to go on from this page.' }),
      ...(total && {
        totalCount: t.exposeInt('totalCount', {
          description: `How many of ${plural} match, on all pages. Counted only when asked for.`,
        }),
      }),
      coverage: t.expose('coverage', { type: [CoverageRef], description: coverage }),
      ...(position && {
        cursor: t.string({
          nullable: true,
          description: CURSOR,
          resolve: (connection) => (connection as Connection<T> & { readonly cursor: string | null }).cursor,
        }),
      }),
    }),
  })
  return connection as unknown as ObjectRef<Types, C>
}

const COVERAGE =
  'How complete and how fresh this list is: one entry for each cluster that was asked, in order of their names. A cluster that is not CURRENT may have more than is shown here.'

const CURSOR =
  'How fresh this list is: give it as `after` to a subscription with the same filter, and it tells every change since this answer, none missed and none twice, whichever replica of the gateway it reaches. Of several pages take that of the first. A cluster that was still being read is told whole. Null where there is nothing to go on from: subscribe with `snapshot` then. It is no place in the list: for pages there are the cursors of `edges` and `pageInfo`.'

export interface WindowArguments {
  readonly first?: number | null | undefined
  readonly after?: string | null | undefined
  readonly last?: number | null | undefined
  readonly before?: string | null | undefined
}

/** Checks Relay's arguments. Throws BAD_USER_INPUT. */
export function windowOf({ first, after, last, before }: WindowArguments): Window {
  if (first != null && last != null) {
    throw badUserInput('Give either "first" or "last", not both.', 'last')
  }
  const name = last == null ? 'first' : 'last'
  const size = last ?? first ?? DEFAULT_PAGE
  if (size < 0 || size > MAX_PAGE) {
    throw badUserInput(
      `"${name}" is ${size}: a page holds from 0 to ${MAX_PAGE} objects. Ask for the rest with "${name === 'first' ? 'after' : 'before'}".`,
      name,
    )
  }
  return {
    ...(name === 'first' ? { first: size } : { last: size }),
    ...(after != null && { after }),
    ...(before != null && { before }),
  }
}
