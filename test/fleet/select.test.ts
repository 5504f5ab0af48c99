import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { globalId } from '../../src/kubernetes/kinds.ts'
import { EVERYTHING, matchesLabels, parseLabelSelector } from '../../src/kubernetes/label-selector.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { PodRow, Row } from '../../src/kubernetes/rows.ts'
import { CursorError, select } from '../../src/fleet/select.ts'
import type { Page, Scope, ScopedTable, Selection, SortKey, Window } from '../../src/fleet/selection.ts'
import { createTable } from '../../src/fleet/store.ts'
import { modelPod, NAMES, NAMESPACES, podRow, podSpecs } from './pod-model.ts'

const clock = { now: () => 0 }

function tableOf(rows: readonly PodRow[], cluster = 'prod') {
  const table = createTable('Pod', cluster, clock)
  for (const row of rows) table.apply({ type: 'Apply', row })
  return table
}

function seen(rows: readonly PodRow[], scope: Scope = 'all', cluster = 'prod'): ScopedTable<PodRow> {
  return { table: tableOf(rows, cluster), scope }
}

const namesOf = (page: Page) => page.rows.map(({ name }) => name)

const byName = (descending: boolean): SortKey<PodRow> => ({
  name: 'NAME',
  value: (row) => row.name,
  descending,
})

describe('a page in the natural order', () => {
  const pods = seen(['a', 'b', 'c', 'd', 'e'].map((name) => podRow({ name })))
  const page = (window: Window) => select([pods], {}, [], window)
  const cursor = (name: string) => page({ first: 10 }).cursor(podRow({ name }))

  it('has what follows a cursor, and says whether more does', () => {
    expect(namesOf(page({ first: 2 }))).toEqual(['a', 'b'])
    expect(page({ first: 2 })).toMatchObject({ hasNextPage: true, hasPreviousPage: false })
    expect(namesOf(page({ first: 2, after: cursor('b') }))).toEqual(['c', 'd'])
    expect(page({ first: 2, after: cursor('b') })).toMatchObject({ hasNextPage: true, hasPreviousPage: true })
    expect(page({ first: 3, after: cursor('b') })).toMatchObject({
      hasNextPage: false,
      hasPreviousPage: true,
    })
    expect(page({ first: 5 })).toMatchObject({ hasNextPage: false, hasPreviousPage: false })
  })

  it('has what precedes a cursor, in the same order', () => {
    expect(namesOf(page({ last: 2 }))).toEqual(['d', 'e'])
    expect(page({ last: 2 })).toMatchObject({ hasNextPage: false, hasPreviousPage: true })
    expect(namesOf(page({ last: 2, before: cursor('d') }))).toEqual(['b', 'c'])
    expect(page({ last: 2, before: cursor('d') })).toMatchObject({ hasNextPage: true, hasPreviousPage: true })
    expect(page({ last: 3, before: cursor('d') })).toMatchObject({
      hasNextPage: true,
      hasPreviousPage: false,
    })
  })

  it('stays between two cursors', () => {
    const between = { after: cursor('a'), before: cursor('e') }
    expect(namesOf(page({ first: 9, ...between }))).toEqual(['b', 'c', 'd'])
    expect(page({ first: 3, ...between }).hasNextPage).toBe(false)
    expect(page({ first: 2, ...between }).hasNextPage).toBe(true)
    expect(namesOf(page({ last: 2, ...between }))).toEqual(['c', 'd'])
    expect(page({ last: 3, ...between }).hasPreviousPage).toBe(false)
    expect(namesOf(page({ first: 2, after: cursor('d'), before: cursor('b') }))).toEqual([])
  })

  it('may be empty, and then still knows what lies around', () => {
    expect(page({ first: 0 })).toMatchObject({ rows: [], hasNextPage: true, hasPreviousPage: false })
    expect(page({ first: 2, after: cursor('e') })).toMatchObject({
      rows: [],
      hasNextPage: false,
      hasPreviousPage: true,
    })
  })

  it('takes a cursor that lies outside of what is selected', () => {
    const narrow = (window: Window) => select([pods], { namePrefix: 'c' }, [], window)
    expect(namesOf(narrow({ first: 9, after: cursor('a') }))).toEqual(['c'])
    expect(namesOf(narrow({ first: 9, after: cursor('d') }))).toEqual([])
    expect(namesOf(narrow({ last: 9, before: cursor('e') }))).toEqual(['c'])
    expect(namesOf(narrow({ last: 9, before: cursor('b') }))).toEqual([])
    const here = (window: Window) =>
      select([pods], { namePrefix: 'c', namespaces: ['shop'], labels: EVERYTHING }, [], window)
    expect(namesOf(here({ first: 9, after: cursor('a') }))).toEqual(['c'])
    expect(namesOf(here({ last: 9, before: cursor('e') }))).toEqual(['c'])
  })

  it('keeps its place when the row of the cursor is gone', () => {
    expect(namesOf(page({ first: 2, after: cursor('bb') }))).toEqual(['c', 'd'])
  })
})

describe('several clusters and kinds', () => {
  const deployment = (cluster: string, name: string) =>
    project('Deployment')({ metadata: { namespace: 'shop', name, uid: name, resourceVersion: '1' } }, cluster)
  const deployments = (cluster: string, ...names: string[]): ScopedTable => {
    const table = createTable('Deployment', cluster, clock)
    for (const name of names) table.apply({ type: 'Apply', row: deployment(cluster, name) })
    return { table, scope: 'all' } as unknown as ScopedTable
  }
  const pods = (cluster: string, ...names: string[]) =>
    seen(
      names.map((name) => podRow({ name }, cluster)),
      'all',
      cluster,
    ) as unknown as ScopedTable

  it('are one list: by cluster, namespace, name and kind', () => {
    const tables = [pods('us', 'a'), pods('eu', 'b', 'a'), deployments('eu', 'c', 'a'), deployments('us')]
    const keys = (rows: readonly Row[]) => rows.map(({ cluster, name, kind }) => `${cluster} ${name} ${kind}`)
    const expected = ['eu a Deployment', 'eu a Pod', 'eu b Pod', 'eu c Deployment', 'us a Pod']
    expect(keys(select(tables, {}, [], { first: 9 }).rows)).toEqual(expected)
    expect(select(tables, {}, [], { first: 1 }).total()).toBe(5)
    const walked: Row[] = []
    let after: string | undefined
    for (;;) {
      const page = select(tables, {}, [], { first: 1, ...(after !== undefined && { after }) })
      walked.push(...page.rows)
      if (!page.hasNextPage) break
      after = page.cursor(page.rows[0]!)
    }
    expect(keys(walked)).toEqual(expected)
  })
})

describe('an order', () => {
  it('puts what has no value last in either direction', () => {
    const rows = ['a', 'b', 'c'].map((name) => podRow({ name }))
    const key = (descending: boolean): SortKey<PodRow> => ({
      name: 'X',
      value: ({ name }) => (name === 'a' ? null : name),
      descending,
    })
    expect(namesOf(select([seen(rows)], {}, [key(false)], { first: 9 }))).toEqual(['b', 'c', 'a'])
    expect(namesOf(select([seen(rows)], {}, [key(true)], { first: 9 }))).toEqual(['c', 'b', 'a'])
    expect(namesOf(select([seen(rows)], {}, [key(true)], { last: 2 }))).toEqual(['b', 'a'])
  })

  it('takes numbers that are none for no value, so that a cursor can hold them', () => {
    const rows = ['a', 'b'].map((name) => podRow({ name }))
    const value = ({ name }: PodRow) => (name === 'a' ? Number.NaN : Number.POSITIVE_INFINITY)
    const order = [{ name: 'X', value, descending: false }]
    const page = select([seen(rows)], {}, order, { first: 1 })
    expect(namesOf(page)).toEqual(['a'])
    const after = page.cursor(page.rows[0]!)
    expect(namesOf(select([seen(rows)], {}, order, { first: 1, after }))).toEqual(['b'])
  })
})

describe('a cursor', () => {
  const pods = [seen([podRow({ name: 'a' }), podRow({ name: 'b' })])]
  const ask = (after: string, order: readonly SortKey<PodRow>[] = []) =>
    select(pods, {}, order, { first: 1, after })

  it('is refused when it is none', () => {
    for (const text of [
      '',
      'x',
      '!!!',
      Buffer.from('[]').toString('base64url'),
      globalId('Cluster', 'prod'),
    ]) {
      expect(() => ask(text)).toThrow(CursorError)
      expect(() => ask(text, [byName(false)])).toThrow(CursorError)
    }
    expect(() => ask('x')).toThrow(/"x" is not a cursor/)
  })

  it('is refused in an order that it was not made for', () => {
    const natural = select(pods, {}, [], { first: 1 })
    const sorted = select(pods, {}, [byName(false)], { first: 1 })
    expect(() => ask(natural.cursor(natural.rows[0]!), [byName(false)])).toThrow(/the natural order.*NAME/)
    expect(() => ask(sorted.cursor(sorted.rows[0]!))).toThrow(/NAME.*the natural order/)
    expect(() => ask(sorted.cursor(sorted.rows[0]!), [byName(true)])).toThrow(CursorError)
    expect(namesOf(ask(sorted.cursor(sorted.rows[0]!), [byName(false)]))).toEqual(['b'])
  })

  it('is refused where its kind is not listed', () => {
    expect(() => ask(globalId('Service', 'prod', 'shop', 'a'))).toThrow(/Service/)
  })

  it('is never anything but accepted or refused', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json().map((text) => Buffer.from(text).toString('base64url')),
        ),
        (text) => {
          try {
            ask(text, [byName(false)])
          } catch (error) {
            expect(error).toBeInstanceOf(CursorError)
          }
        },
      ),
    )
  })
})

describe('a scope', () => {
  const rows = [
    podRow({ namespace: 'mine', name: 'a' }),
    podRow({ namespace: 'mine', name: 'b' }),
    podRow({ namespace: 'other', name: 'c' }),
    podRow({ namespace: 'other', name: 'd' }),
  ]
  const mine: Scope = { namespaces: new Set(['mine']), objects: new Set(['other/d', 'mine/a', 'other/none']) }

  it('cuts the list to its namespaces and single objects, totals included', () => {
    const page = select([seen(rows, mine)], {}, [], { first: 2 })
    expect(namesOf(page)).toEqual(['a', 'b'])
    expect(page.hasNextPage).toBe(true)
    expect(page.total()).toBe(3)
    expect(namesOf(select([seen(rows, mine)], { names: ['c', 'd'] }, [], { first: 9 }))).toEqual(['d'])
    expect(namesOf(select([seen(rows, mine)], { namespaces: ['other'] }, [], { first: 9 }))).toEqual(['d'])
  })

  it('allows single names in every namespace', () => {
    const named: Scope = {
      namespaces: new Set(['mine']),
      names: new Set(['a', 'd']),
      objects: new Set(['other/d']),
    }
    const page = select([seen(rows, named)], {}, [], { first: 9 })
    expect(namesOf(page)).toEqual(['a', 'b', 'd'])
    expect(page.total()).toBe(3)
    expect(namesOf(select([seen(rows, named)], { namePrefix: 'd' }, [], { last: 9 }))).toEqual(['d'])
  })

  it('hides whether anything lies beyond it', () => {
    const page = select([seen(rows, { namespaces: new Set(['mine']) })], {}, [], { first: 2 })
    expect(page).toMatchObject({ hasNextPage: false })
    expect(page.total()).toBe(2)
    const after = globalId('Pod', 'prod', 'zzz', 'z')
    const end = select([seen(rows, { namespaces: new Set(['absent']) })], {}, [], { first: 2, after })
    expect(end).toMatchObject({ rows: [], hasNextPage: false, hasPreviousPage: false })
  })
})

// --- Random fleets against a plain filter and sort ---------------------------------------------------

const CLUSTERS = ['eu', 'eu-1', 'us'] as const

const scopes: fc.Arbitrary<Scope> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Scope>('all') },
  {
    weight: 1,
    arbitrary: fc.record({
      namespaces: fc.subarray([...NAMESPACES]).map((names) => new Set(names)),
      objects: fc
        .array(fc.tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom(...NAMES)), { maxLength: 4 })
        .map((keys) => new Set(keys.map(([namespace, name]) => `${namespace}/${name}`))),
      names: fc.subarray([...NAMES], { maxLength: 2 }).map((names) => new Set(names)),
    }),
  },
)

const fleets = fc
  .tuple(
    ...CLUSTERS.map((cluster) =>
      fc.record({
        cluster: fc.constant(cluster),
        specs: fc.array(podSpecs, { maxLength: 40 }),
        scope: scopes,
      }),
    ),
  )
  .map((clusters) =>
    clusters.map(({ cluster, specs, scope }) =>
      seen(
        specs.map((spec) => modelPod(spec, cluster)),
        scope,
        cluster,
      ),
    ),
  )

const SELECTORS = ['app=web', 'app!=web', 'tier in (front,back),!canary', 'app,tier', 'app=none', ''] as const

const conditions: fc.Arbitrary<Selection<PodRow>> = fc.oneof(
  fc.record({ namespaces: fc.subarray([...NAMESPACES, 'absent']) }),
  fc.record({ names: fc.subarray([...NAMES, 'absent']) }),
  fc.record({ namePrefix: fc.constantFrom('', 'a', 'a-', 'web', 'web-0', 'zz') }),
  fc.record({ labels: fc.constantFrom(...SELECTORS).map(parseLabelSelector) }),
  fc.record({ ownerUid: fc.constantFrom('o1', 'o2', 'o3') }),
  fc.record({
    index: fc.oneof(
      fc.record({ name: fc.constant('node' as const), value: fc.constantFrom('node-1', 'node-2', 'x') }),
      fc.record({ name: fc.constant('claim' as const), value: fc.constantFrom('a/data', 'shop/data') }),
      fc.record({
        name: fc.constantFrom('status' as const, 'phase' as const),
        values: fc.array(fc.constantFrom('Running', 'Pending', 'Succeeded', 'Lost'), { maxLength: 3 }),
      }),
    ),
  }),
  fc.record({
    where: fc.constantFrom<(row: PodRow) => boolean>(
      (row) => row.phase === 'Running',
      (row) => row.name.length === 3,
    ),
  }),
)

/** Few at a time, so that something is left to page through. */
const selections: fc.Arbitrary<Selection<PodRow>> = fc
  .array(conditions, { maxLength: 3 })
  .map((chosen) => Object.assign({}, ...chosen) as Selection<PodRow>)

const KEYS: readonly SortKey<PodRow>[] = [
  { name: 'PHASE', value: (row) => row.phase, descending: false },
  { name: 'CPU', value: (row) => row.cpuRequest, descending: true },
  { name: 'NODE', value: (row) => row.nodeName || null, descending: false },
  { name: 'NAME', value: (row) => row.name, descending: true },
]

const orders = fc.oneof(
  fc.constant<readonly SortKey<PodRow>[]>([]),
  fc.subarray([...KEYS], { minLength: 1, maxLength: 2 }),
)

function permits(scope: Scope, { namespace, name }: PodRow): boolean {
  if (scope === 'all' || scope.namespaces.has(namespace) || scope.names!.has(name)) return true
  return scope.objects!.has(`${namespace}/${name}`)
}

function fits(row: PodRow, { namespaces, names, namePrefix = '', ...rest }: Selection<PodRow>): boolean {
  if (namespaces && !namespaces.includes(row.namespace)) return false
  if (names && !names.includes(row.name)) return false
  if (!row.name.startsWith(namePrefix)) return false
  if (rest.labels && !matchesLabels(rest.labels, row.labels)) return false
  if (rest.ownerUid !== undefined && row.owner?.uid !== rest.ownerUid) return false
  if (rest.where && !rest.where(row)) return false
  const { index } = rest
  if (!index) return true
  if ('values' in index) return index.values.includes(index.name === 'phase' ? row.phase : row.status)
  if (index.name === 'node') return row.nodeName === index.value
  return row.volumes.some(({ source }) => `${row.namespace}/${source}` === index.value)
}

const keyOf = ({ cluster, namespace, name, kind }: Row) => [cluster, namespace, name, kind]

function compare(a: PodRow, b: PodRow, order: readonly SortKey<PodRow>[]): number {
  for (const { value, descending } of order) {
    const [x, y] = [value(a), value(b)]
    if (x === y) continue
    if (x === null) return 1
    if (y === null) return -1
    return x < y === descending ? 1 : -1
  }
  const [keyA, keyB] = [keyOf(a), keyOf(b)]
  const index = keyA.findIndex((part, i) => part !== keyB[i])
  return index < 0 ? 0 : keyA[index]! < keyB[index]! ? -1 : 1
}

/** The whole list, the plain way. */
function expected(
  tables: readonly ScopedTable<PodRow>[],
  selection: Selection<PodRow>,
  order: readonly SortKey<PodRow>[],
): PodRow[] {
  return tables
    .flatMap(({ table, scope }) => Array.from(table.rows().all()).filter((row) => permits(scope, row)))
    .filter((row) => fits(row, selection))
    .sort((a, b) => compare(a, b, order))
}

describe('over any fleet, selection and order', () => {
  it('pages one after the other are the whole sorted list, forwards and backwards', () => {
    fc.assert(
      fc.property(
        fleets,
        selections,
        orders,
        fc.integer({ min: 1, max: 7 }),
        (tables, selection, order, size) => {
          const all = expected(tables, selection, order)
          const forwards: PodRow[] = []
          for (let after: string | undefined; ;) {
            const page = select(tables, selection, order, {
              first: size,
              ...(after !== undefined && { after }),
            })
            expect(page.total()).toBe(all.length)
            expect(page.hasPreviousPage).toBe(after !== undefined)
            forwards.push(...page.rows)
            expect(page.hasNextPage).toBe(forwards.length < all.length)
            if (!page.hasNextPage) break
            after = page.cursor(page.rows.at(-1)!)
          }
          expect(forwards).toEqual(all)

          const backwards: PodRow[] = []
          for (let before: string | undefined; ;) {
            const page = select(tables, selection, order, {
              last: size,
              ...(before !== undefined && { before }),
            })
            expect(page.hasNextPage).toBe(before !== undefined)
            backwards.unshift(...page.rows)
            expect(page.hasPreviousPage).toBe(backwards.length < all.length)
            if (!page.hasPreviousPage) break
            before = page.cursor(page.rows[0]!)
          }
          expect(backwards).toEqual(all)
        },
      ),
      { numRuns: 400 },
    )
  })

  it('a page between two cursors is that part of the list', () => {
    const between = fc.tuple(fc.nat(200), fc.nat(200), fc.nat(8), fc.boolean())
    fc.assert(
      fc.property(
        fleets,
        selections,
        orders,
        between,
        (tables, selection, order, [from, to, size, backward]) => {
          const all = expected(tables, selection, order)
          fc.pre(all.length > 0)
          const [start, end] = [from % all.length, to % all.length]
          const empty = select(tables, selection, order, { first: 0 })
          const bounds = { after: empty.cursor(all[start]!), before: empty.cursor(all[end]!) }
          const page = select(tables, selection, order, {
            ...(backward ? { last: size } : { first: size }),
            ...bounds,
          })
          const inside = all.slice(start + 1, Math.max(end, start + 1))
          expect(page.rows).toEqual(
            backward ? inside.slice(Math.max(0, inside.length - size)) : inside.slice(0, size),
          )
          expect(backward ? page.hasPreviousPage : page.hasNextPage).toBe(inside.length > size)
          expect(page.total()).toBe(all.length)
        },
      ),
    )
  })

  it('pages neither repeat nor skip a row that was there all along, while others come, change and go', () => {
    const churn = fc.array(fc.tuple(fc.constantFrom(...CLUSTERS), podSpecs, fc.boolean()), {
      minLength: 1,
      maxLength: 6,
    })
    fc.assert(
      fc.property(fleets, selections, fc.array(churn, { maxLength: 30 }), (tables, selection, batches) => {
        // In the natural order nothing but coming and going moves a row.
        const stable = new Set(expected(tables, selection, []).map(({ id }) => id))
        const walked: string[] = []
        let turn = 0
        for (let after: string | undefined; ;) {
          const page = select(tables, selection, [], { first: 3, ...(after !== undefined && { after }) })
          walked.push(...page.rows.map(({ id }) => id))
          if (!page.hasNextPage) break
          after = page.cursor(page.rows.at(-1)!)
          for (const [cluster, spec, remove] of batches[turn++] ?? []) {
            const table = tables.find(({ table }) => table.cluster === cluster)!.table
            const row = modelPod(spec, cluster)
            ;(table as ReturnType<typeof createTable<'Pod'>>).apply(
              remove ? { type: 'Delete', row } : { type: 'Apply', row },
            )
            const now = new Set(expected(tables, selection, []).map(({ id }) => id))
            for (const id of stable) if (!now.has(id)) stable.delete(id)
          }
        }
        expect(new Set(walked).size).toBe(walked.length)
        expect(walked).toEqual(expect.arrayContaining(Array.from(stable)))
      }),
    )
  })
})
