import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesLabels, parseLabelSelector } from '../../src/kubernetes/label-selector.ts'
import type { PodRow } from '../../src/kubernetes/rows.ts'
import type { Step } from '../../src/fleet/feed.ts'
import { createTable, FeedGrammarError } from '../../src/fleet/store.ts'
import type { NamespaceSummary } from '../../src/fleet/summary.ts'
import type { Change, SortedRows } from '../../src/fleet/table.ts'
import { modelPod, NAMES, NAMESPACES, podRow, podSpecs } from './pod-model.ts'

function table(clock = { now: () => 1000 }) {
  return createTable('Pod', 'prod', clock)
}

function sync(target: ReturnType<typeof table>, rows: readonly PodRow[], resourceVersion = '10') {
  target.apply({ type: 'Init' })
  for (const row of rows) target.apply({ type: 'InitApply', row })
  target.apply({ type: 'InitDone', resourceVersion })
}

const names = (rows: SortedRows<PodRow>) =>
  Array.from(rows.all(), ({ namespace, name }) => `${namespace}/${name}`)

/** The changes that a step makes visible, as `TYPE namespace/name`. */
function watch(target: ReturnType<typeof table>) {
  const changes: Change<'Pod'>[] = []
  target.onChange((change) => changes.push(change))
  return () => changes.splice(0).map(({ type, row }) => `${type} ${row.namespace}/${row.name}`)
}

describe('a table', () => {
  it('shows nothing of a first list before it is complete, then all of it at once', () => {
    const pods = table()
    const changes = watch(pods)
    pods.apply({ type: 'Init' })
    pods.apply({ type: 'InitApply', row: podRow({ name: 'b' }) })
    pods.apply({ type: 'InitApply', row: podRow({ name: 'a' }) })
    expect(pods.size).toBe(0)
    expect(pods.status.state).toBe('SYNCING')
    expect(changes()).toEqual([])
    pods.apply({ type: 'InitDone', resourceVersion: '7' })
    expect(names(pods.rows())).toEqual(['shop/a', 'shop/b'])
    expect(pods.status).toMatchObject({ state: 'CURRENT', resourceVersion: '7' })
  })

  it('tells of the first content by its status, and not row by row', () => {
    const pods = table()
    const said: string[] = []
    pods.onChange(({ type, row }) => said.push(`${type} ${row.name}`))
    pods.onStatus(({ state, resourceVersion }, previous) => {
      said.push(`${previous.state} ${state} ${resourceVersion}, ${pods.size} rows`)
    })
    sync(pods, [podRow({ name: 'a' }), podRow({ name: 'b' })], '7')
    expect(said).toEqual(['SYNCING CURRENT 7, 2 rows'])
  })

  it('deletes what a relist no longer has, and keeps the very rows that did not change', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'gone' }), podRow({ name: 'same' }), podRow({ name: 'new-version' })])
    const same = pods.get('shop', 'same')
    const changes = watch(pods)
    sync(pods, [
      podRow({ name: 'same' }),
      podRow({ name: 'new-version', resourceVersion: '2' }),
      podRow({ name: 'new' }),
    ])
    expect(changes()).toEqual(['DELETED shop/gone', 'ADDED shop/new', 'MODIFIED shop/new-version'])
    expect(pods.get('shop', 'same')).toBe(same)
  })

  it('says nothing and keeps its revision when a relist brings what it has', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'a' })])
    const { revision } = pods
    const changes = watch(pods)
    sync(pods, [podRow({ name: 'a' })], '11')
    expect(changes()).toEqual([])
    expect(pods.revision).toBe(revision)
    expect(pods.status.resourceVersion).toBe('11')
  })

  it('drops an unfinished list when another begins', () => {
    const pods = table()
    pods.apply({ type: 'Init' })
    pods.apply({ type: 'InitApply', row: podRow({ name: 'stray' }) })
    sync(pods, [podRow({ name: 'a' })])
    expect(names(pods.rows())).toEqual(['shop/a'])
  })

  it('takes live changes while a relist is on its way, and the list decides', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'a' })])
    pods.apply({ type: 'Init' })
    pods.apply({ type: 'Apply', row: podRow({ name: 'b' }) })
    expect(names(pods.rows())).toEqual(['shop/a', 'shop/b'])
    pods.apply({ type: 'InitApply', row: podRow({ name: 'c' }) })
    pods.apply({ type: 'InitDone', resourceVersion: '12' })
    expect(names(pods.rows())).toEqual(['shop/c'])
  })

  it('tells an object that was deleted and made anew as two changes', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'web-0', uid: 'first' })])
    const changes = watch(pods)
    pods.apply({ type: 'Apply', row: podRow({ name: 'web-0', uid: 'second', resourceVersion: '2' }) })
    expect(changes()).toEqual(['DELETED shop/web-0', 'ADDED shop/web-0'])
    expect(pods.getByUid('first')).toBeUndefined()
    expect(pods.getByUid('second')?.name).toBe('web-0')
    // The late delete of the first must not take the second.
    pods.apply({ type: 'Delete', row: podRow({ name: 'web-0', uid: 'first', resourceVersion: '3' }) })
    expect(pods.get('shop', 'web-0')?.uid).toBe('second')
    expect(changes()).toEqual([])
  })

  it('ignores an event that it has seen, and still takes its resourceVersion', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'a', resourceVersion: '5' })])
    const { revision } = pods
    const changes = watch(pods)
    pods.apply({ type: 'Apply', row: podRow({ name: 'a', resourceVersion: '5' }) })
    expect(changes()).toEqual([])
    expect(pods.revision).toBe(revision)
    pods.apply({ type: 'Bookmark', resourceVersion: '99' })
    expect(pods.status.resourceVersion).toBe('99')
    expect(pods.revision).toBe(revision)
  })

  it('never goes back to an older state of an object, however it is told of it', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'a', resourceVersion: '10' })])
    const changes = watch(pods)
    pods.apply({ type: 'Apply', row: podRow({ name: 'a', resourceVersion: '9' }) })
    expect(pods.get('shop', 'a')?.resourceVersion).toBe('10')
    expect(changes()).toEqual([])
    // Another object of its name is no older state of it, and versions without an order are as they come.
    pods.apply({ type: 'Apply', row: podRow({ name: 'a', uid: 'other', resourceVersion: '8' }) })
    pods.apply({ type: 'Apply', row: podRow({ name: 'a', uid: 'other', resourceVersion: 'x' }) })
    expect(changes()).toEqual(['DELETED shop/a', 'ADDED shop/a', 'MODIFIED shop/a'])
  })

  it('forgets a list that was cancelled, and keeps what it shows', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'a' })])
    const { revision } = pods
    pods.apply({ type: 'Init' })
    pods.apply({ type: 'InitApply', row: podRow({ name: 'stray' }) })
    pods.apply({ type: 'Cancel' })
    expect(names(pods.rows())).toEqual(['shop/a'])
    expect(pods.status.state).toBe('CURRENT')
    expect(pods.revision).toBe(revision)
    expect(() => pods.apply({ type: 'InitDone', resourceVersion: '1' })).toThrow(FeedGrammarError)
    expect(() => pods.apply({ type: 'Cancel' })).not.toThrow()
  })

  it('stops telling a listener that has left', () => {
    const pods = table()
    const seen: string[] = []
    const leave = pods.onChange(({ row }) => seen.push(row.name))
    pods.apply({ type: 'Apply', row: podRow({ name: 'a' }) })
    leave()
    pods.apply({ type: 'Apply', row: podRow({ name: 'b' }) })
    expect(seen).toEqual(['a'])
  })

  it('drops an unfinished list when its source goes down: it may be away for long', () => {
    const pods = table()
    pods.apply({ type: 'Init' })
    pods.apply({ type: 'InitApply', row: podRow({}) })
    pods.apply({ type: 'Down', problem: { code: 'UNREACHABLE', message: 'gone' } })
    expect(() => pods.apply({ type: 'InitDone', resourceVersion: '1' })).toThrow(FeedGrammarError)
    expect(pods.size).toBe(0)
  })

  it('refuses rows of a list that never began', () => {
    expect(() => table().apply({ type: 'InitApply', row: podRow({}) })).toThrow(FeedGrammarError)
    expect(() => table().apply({ type: 'InitDone', resourceVersion: '1' })).toThrow(/without an Init/)
  })
})

describe("a table's status", () => {
  const problem = { code: 'UNREACHABLE', message: 'connection refused' } as const

  it('is FAILED with its problem when there has never been any content', () => {
    const clock = { time: 1000, now: () => clock.time }
    const pods = table(clock)
    expect(pods.status).toEqual({
      state: 'SYNCING',
      since: 1000,
      asOf: null,
      problem: null,
      resourceVersion: null,
    })
    clock.time = 2000
    pods.apply({ type: 'Down', problem })
    expect(pods.status).toMatchObject({ state: 'FAILED', since: 2000, asOf: null, problem })
    clock.time = 3000
    pods.apply({ type: 'Down', problem })
    expect(pods.status.since).toBe(2000)
    pods.apply({ type: 'Up' })
    expect(pods.status).toMatchObject({ state: 'SYNCING', since: 3000, problem: null })
  })

  it('is STALE as of the moment when it went down, and CURRENT again without a gap', () => {
    const clock = { time: 1000, now: () => clock.time }
    const pods = table(clock)
    sync(pods, [podRow({})])
    clock.time = 5000
    expect(pods.status).toMatchObject({ state: 'CURRENT', since: 1000, asOf: 5000 })
    const { revision } = pods
    pods.apply({ type: 'Down', problem })
    clock.time = 9000
    expect(pods.status).toMatchObject({ state: 'STALE', since: 5000, asOf: 5000, problem })
    expect(pods.revision).toBeGreaterThan(revision)
    expect(pods.size).toBe(1)
    pods.apply({ type: 'Up' })
    expect(pods.status).toMatchObject({ state: 'CURRENT', since: 9000, asOf: 9000, problem: null })
  })

  it('changes its revision with its problem, so that no kept answer names an old one', () => {
    const pods = table()
    pods.apply({ type: 'Down', problem })
    const { revision } = pods
    pods.apply({ type: 'Down', problem: { ...problem } })
    expect(pods.revision).toBe(revision)
    pods.apply({ type: 'Down', problem: { code: 'FORBIDDEN', message: 'may not list' } })
    expect(pods.status.state).toBe('FAILED')
    expect(pods.revision).toBeGreaterThan(revision)
  })

  it('is STALE at once, and says as of when, with a content that is not followed', () => {
    const pods = table({ now: () => 9000 })
    const told: string[] = []
    pods.onStatus(({ state }) => told.push(state))
    pods.apply({ type: 'Init' })
    pods.apply({ type: 'InitApply', row: podRow({}) })
    pods.apply({ type: 'InitDone', resourceVersion: '7', stale: { asOf: 4000, problem } })
    expect(pods.status).toMatchObject({ state: 'STALE', asOf: 4000, problem, resourceVersion: '7' })
    expect(pods.size).toBe(1)
    expect(told).toEqual(['STALE'])
  })

  it('is CURRENT after a relist that follows a failure', () => {
    const pods = table()
    pods.apply({ type: 'Down', problem })
    sync(pods, [podRow({})])
    expect(pods.status).toMatchObject({ state: 'CURRENT', problem: null })
  })
})

describe('those who follow a table', () => {
  /** Everything that is told, in order, as `what resourceVersion`, with a `…` where more of it follows. */
  function follow(target: ReturnType<typeof table>) {
    const told: string[] = []
    target.onChange(({ type, row, resourceVersion, partial }) => {
      told.push(
        `${type} ${row.name} ${resourceVersion}${partial ? '…' : ''} at ${target.status.resourceVersion}`,
      )
    })
    target.onStatus(({ state }, previous) => told.push(`${previous.state} to ${state}`))
    return () => told.splice(0)
  }

  it('are told with each change how far the table is', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'a' })], '10')
    const told = follow(pods)
    pods.apply({ type: 'Apply', row: podRow({ name: 'b', resourceVersion: '11' }) })
    pods.apply({ type: 'Apply', row: podRow({ name: 'b', resourceVersion: '12' }), resourceVersion: '15' })
    pods.apply({ type: 'Delete', row: podRow({ name: 'a', resourceVersion: '16' }) })
    expect(told()).toEqual(['ADDED b 11 at 11', 'MODIFIED b 15 at 15', 'DELETED a 16 at 16'])
  })

  it('are told the differences of a relist as parts of its version but for the last, and then its status', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'a' }), podRow({ name: 'b' })], '10')
    pods.apply({ type: 'Down', problem: { code: 'UNREACHABLE', message: 'gone' } })
    const told = follow(pods)
    sync(pods, [podRow({ name: 'b', resourceVersion: '18' }), podRow({ name: 'c' })], '20')
    expect(told()).toEqual([
      'DELETED a 20… at 10',
      'MODIFIED b 20… at 10',
      'ADDED c 20 at 20',
      'STALE to CURRENT',
    ])
  })

  it('are told of an object that was made anew as two changes, which are complete with the second', () => {
    const pods = table()
    sync(pods, [podRow({ name: 'a', uid: 'one' })], '10')
    const told = follow(pods)
    pods.apply({ type: 'Apply', row: podRow({ name: 'a', uid: 'two', resourceVersion: '12' }) })
    expect(told()).toEqual(['DELETED a 12… at 12', 'ADDED a 12 at 12'])
    sync(pods, [podRow({ name: 'a', uid: 'three', resourceVersion: '14' })], '15')
    expect(told()).toEqual(['DELETED a 15… at 15', 'ADDED a 15 at 15'])
  })

  it('are told parts as parts, and the table is not complete before the last of them', () => {
    const pods = table()
    sync(pods, [], '10')
    const told = follow(pods)
    const relist = { resourceVersion: '20', partial: true }
    pods.apply({ type: 'Apply', row: podRow({ name: 'a', resourceVersion: '12' }), ...relist })
    pods.apply({ type: 'Apply', row: podRow({ name: 'b', resourceVersion: '18' }), resourceVersion: '20' })
    expect(told()).toEqual(['ADDED a 20… at 10', 'ADDED b 20 at 20'])
  })

  it('can see whether it has parts of a later version than its own', () => {
    const pods = table()
    sync(pods, [], '10')
    const part = { type: 'Apply', row: podRow({ resourceVersion: '12' }), partial: true } as const
    const whole = (step: Step<'Pod'>) => {
      pods.apply(part)
      expect(pods.whole).toBe(false)
      pods.apply(step)
      return pods.whole
    }
    expect(whole({ type: 'Up' })).toBe(false)
    expect(whole({ type: 'Bookmark', resourceVersion: '20' })).toBe(true)
    expect(whole({ type: 'Delete', row: podRow({ resourceVersion: '21' }) })).toBe(true)
    pods.apply(part)
    sync(pods, [], '30')
    expect(pods.whole).toBe(true)
  })

  it('hear of a relist that happened where the content comes from, and see a content that is not whole', () => {
    const pods = table()
    const relists: (readonly string[])[] = []
    const wholes: boolean[] = []
    pods.onRelist((from, to) => {
      relists.push([from, to])
      wholes.push(pods.whole)
    })
    pods.apply({ type: 'Relist', from: '1', to: '2' })
    const init = (resourceVersion: string, partial: boolean) => {
      pods.apply({ type: 'Init' })
      pods.apply({ type: 'InitDone', resourceVersion, partial })
    }
    init('5', true)
    expect([relists, pods.whole]).toEqual([[], false])
    init('6', false)
    pods.apply({ type: 'Relist', from: '6', to: '7' })
    init('7', true)
    expect(relists).toEqual([
      ['5', '6'],
      ['6', '7'],
      ['6', '7'],
    ])
    expect([...wholes, pods.whole]).toEqual([true, true, false, false])
  })

  it('are told of each change of status once, problem included, until they leave', () => {
    const pods = table()
    const told: string[] = []
    const leave = pods.onStatus(({ state, problem }) => told.push(`${state} ${problem?.code ?? '-'}`))
    const down = (code: 'UNREACHABLE' | 'UNAUTHORIZED') =>
      pods.apply({ type: 'Down', problem: { code, message: 'gone' } })
    down('UNREACHABLE')
    down('UNREACHABLE')
    down('UNAUTHORIZED')
    pods.apply({ type: 'Up' })
    pods.apply({ type: 'Up' })
    sync(pods, [])
    sync(pods, [podRow({})], '11')
    leave()
    down('UNREACHABLE')
    expect(told).toEqual(['FAILED UNREACHABLE', 'FAILED UNAUTHORIZED', 'SYNCING -', 'CURRENT -'])
  })
})

describe('indexes', () => {
  it('finds pods by node, owner, image, claim and labels', () => {
    const pods = table()
    sync(pods, [
      podRow({ name: 'a', node: 'n1', owner: 'rs', image: 'web:1', claim: 'data', labels: { app: 'web' } }),
      podRow({ name: 'b', node: 'n2', owner: 'rs', image: 'web:2', labels: { app: 'web', canary: '' } }),
      podRow({ name: 'c', node: '', namespace: 'other', labels: { app: 'db' } }),
    ])
    expect(names(pods.byIndex('node', 'n1'))).toEqual(['shop/a'])
    expect(names(pods.byIndex('node', ''))).toEqual([])
    expect(names(pods.byOwner('rs'))).toEqual(['shop/a', 'shop/b'])
    expect(names(pods.byIndex('image', 'web:2'))).toEqual(['shop/b'])
    expect(names(pods.byIndex('claim', 'shop/data'))).toEqual(['shop/a'])
    expect(names(pods.byIndex('claim', 'other/data'))).toEqual([])
    expect(names(pods.byLabels(parseLabelSelector('app=web,!canary')))).toEqual(['shop/a'])
    expect(names(pods.byLabels(parseLabelSelector(''), 'other'))).toEqual(['other/c'])
    expect(names(pods.byIndex('regarding', 'x'))).toEqual([])
  })

  it('keeps a bucket right as it grows past every way of storing it, and back', () => {
    const pods = table()
    const count = 3000
    const shuffled = Array.from({ length: count }, (_, i) => (i * 1237) % count)
    for (const i of shuffled) pods.apply({ type: 'Apply', row: podRow({ name: `p-${i}`, node: 'big' }) })
    const expected = Array.from({ length: count }, (_, i) => `shop/p-${i}`).sort()
    expect(names(pods.byIndex('node', 'big'))).toEqual(expected)
    expect(names(pods.rows('shop'))).toEqual(expected)
    expect(pods.byIndex('node', 'big').size).toBe(count)
    for (const i of shuffled.slice(1)) {
      pods.apply({ type: 'Delete', row: podRow({ name: `p-${i}`, node: 'big', resourceVersion: '2' }) })
    }
    expect(names(pods.byIndex('node', 'big'))).toEqual([`shop/p-${shuffled[0]}`])
    expect(pods.size).toBe(1)
  })
})

describe('the index of labels', () => {
  it('answers for more keys than it keeps an index of', () => {
    const pods = table()
    const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`)
    for (const key of keys) pods.apply({ type: 'Apply', row: podRow({ name: key, labels: { [key]: 'x' } }) })
    for (const key of [...keys, ...keys.toReversed()]) {
      expect(names(pods.byLabels(parseLabelSelector(`${key}=x`)))).toEqual([`shop/${key}`])
      expect(names(pods.byLabels(parseLabelSelector(`${key}=y`)))).toEqual([])
    }
  })

  it('finds labels that came after it was first asked', () => {
    const pods = table()
    const web = () => names(pods.byLabels(parseLabelSelector('app=web')))
    expect(web()).toEqual([])
    pods.apply({ type: 'Apply', row: podRow({ name: 'a', labels: { app: 'web' } }) })
    expect(web()).toEqual(['shop/a'])
    pods.apply({ type: 'Apply', row: podRow({ name: 'a', labels: { app: 'db' }, resourceVersion: '2' }) })
    expect(web()).toEqual([])
  })
})

const steps: fc.Arbitrary<Step<'Pod'>[]> = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: podSpecs.map((spec) => [{ type: 'Apply', row: modelPod(spec) }]) },
      { weight: 3, arbitrary: podSpecs.map((spec) => [{ type: 'Delete', row: modelPod(spec) }]) },
      {
        weight: 1,
        arbitrary: fc
          .array(podSpecs, { maxLength: 20 })
          .map((specs) => [
            { type: 'Init' },
            ...specs.map((spec) => ({ type: 'InitApply', row: modelPod(spec) })),
            { type: 'InitDone', resourceVersion: '9' },
          ]),
      },
    ) as fc.Arbitrary<Step<'Pod'>[]>,
    { maxLength: 60 },
  )
  .map((groups) => groups.flat())

/** What any table means: a Map from key to row. */
class Model {
  rows = new Map<string, PodRow>()
  #incoming: Map<string, PodRow> | undefined

  apply(step: Step<'Pod'>): void {
    if (step.type === 'Init') this.#incoming = new Map()
    else if (step.type === 'InitApply') this.#incoming!.set(keyOf(step.row), this.#same(step.row))
    else if (step.type === 'InitDone') this.rows = this.#incoming!
    else if (step.type === 'Apply') {
      const known = this.rows.get(keyOf(step.row))
      const old =
        known?.uid === step.row.uid && Number(known.resourceVersion) >= Number(step.row.resourceVersion)
      if (!old) this.rows.set(keyOf(step.row), step.row)
    }
    if (step.type === 'Delete' && this.rows.get(keyOf(step.row))?.uid === step.row.uid) {
      this.rows.delete(keyOf(step.row))
    }
  }

  #same(row: PodRow): PodRow {
    const known = this.rows.get(keyOf(row))
    return known?.uid === row.uid && known.resourceVersion === row.resourceVersion ? known : row
  }

  sorted(test: (row: PodRow) => boolean = () => true): PodRow[] {
    return Array.from(this.rows.values())
      .filter(test)
      .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  }
}

/** `\u0000` sorts before anything that a namespace can continue with. */
function keyOf({ namespace, name }: PodRow): string {
  return `${namespace}\u0000${name}`
}

function count(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}

/** The summary of these rows, counted the plain way, in thousandths of a core. */
function recount(rows: readonly PodRow[]) {
  const live = rows.filter(({ phase }) => phase !== 'Succeeded' && phase !== 'Failed')
  const milli = live.reduce((sum, row) => sum + Math.round(row.cpuRequest * 1000), 0)
  return {
    count: rows.length,
    byStatus: count(rows.map(({ status }) => status)),
    byPhase: count(rows.map(({ phase }) => phase)),
    cpuRequest: milli / 1000,
    memoryRequest: live.length * 2 ** 20,
    images: count(rows.flatMap(({ runningImages }) => runningImages)),
  }
}

function summaryOf({ count, byStatus, byPhase, cpuRequest, memoryRequest, images }: NamespaceSummary) {
  return { count, byStatus, byPhase, cpuRequest, memoryRequest, images }
}

const SELECTORS = ['app=web', 'tier in (front,back),!canary', 'app!=db', 'canary', '!app', '']

describe('after any sequence of steps', () => {
  it('rows, indexes and counters are what a plain map of the rows gives', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (steps, early) => {
        const pods = table()
        const model = new Model()
        // What is only built when it is asked for has to be kept up from then on.
        if (early) {
          pods.getByUid('none')
          for (const text of SELECTORS) pods.byLabels(parseLabelSelector(text))
        }
        for (const step of steps) {
          pods.apply(step)
          model.apply(step)
        }
        const all = model.sorted()
        expect(Array.from(pods.rows().all())).toEqual(all)
        expect(Array.from(pods.rows().all(true))).toEqual(all.toReversed())
        expect(pods.size).toBe(all.length)
        for (const row of all) {
          expect(pods.get(row.namespace, row.name)).toBe(row)
          expect(pods.getByUid(row.uid)).toBe(row)
        }
        for (const namespace of NAMESPACES) {
          const rows = all.filter((row) => row.namespace === namespace)
          expect(Array.from(pods.rows(namespace).all())).toEqual(rows)
          expect(Array.from(pods.rows(namespace).all(true))).toEqual(rows.toReversed())
          expect(pods.rows(namespace).size).toBe(rows.length)
          const summary = pods.summary.namespaces.get(namespace)
          if (rows.length === 0) expect(summary).toBeUndefined()
          else expect(summaryOf(summary!)).toEqual(recount(rows))
        }
        expect(summaryOf(pods.summary.total)).toEqual(recount(all))
        for (const node of ['node-1', 'node-2']) {
          expect(Array.from(pods.byIndex('node', node).all())).toEqual(
            all.filter(({ nodeName }) => nodeName === node),
          )
        }
        for (const phase of ['Running', 'Pending', 'Succeeded']) {
          const rows = all.filter((row) => row.phase === phase)
          expect(Array.from(pods.byIndex('phase', phase).all())).toEqual(rows)
          expect(Array.from(pods.byIndex('status', phase).all())).toEqual(rows)
        }
        for (const image of ['web:1', 'web:2']) {
          const rows = all.filter(({ images }) => images.includes(image))
          expect(Array.from(pods.byIndex('image', image).all())).toEqual(rows)
          expect(pods.byIndex('image', image).size).toBe(rows.length)
        }
        for (const owner of ['o1', 'o2']) {
          expect(Array.from(pods.byOwner(owner).all())).toEqual(all.filter((row) => row.owner?.uid === owner))
        }
        for (const text of SELECTORS) {
          const selector = parseLabelSelector(text)
          const rows = all.filter(({ labels }) => matchesLabels(selector, labels))
          expect(Array.from(pods.byLabels(selector).all())).toEqual(rows)
          expect(Array.from(pods.byLabels(selector).all(true))).toEqual(rows.toReversed())
          expect(pods.byLabels(selector).size).toBe(rows.length)
          const here = rows.filter(({ namespace }) => namespace === 'a')
          expect(Array.from(pods.byLabels(selector, 'a').all())).toEqual(here)
          expect(pods.byLabels(selector, 'a').size).toBe(here.length)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('the changes it told since its first content, replayed over that, give its rows', () => {
    fc.assert(
      fc.property(steps, fc.array(podSpecs, { maxLength: 10 }), (steps, specs) => {
        const pods = table()
        sync(
          pods,
          specs.map((spec) => modelPod(spec)),
        )
        const replayed = new Map(Array.from(pods.rows().all(), (row) => [keyOf(row), row]))
        pods.onChange(({ type, row, previous }) => {
          const known = replayed.get(keyOf(row))
          expect(previous).toBe(type === 'ADDED' ? null : known)
          if (type === 'ADDED') expect(known).toBeUndefined()
          if (type === 'DELETED') replayed.delete(keyOf(row))
          else replayed.set(keyOf(row), row)
        })
        for (const step of steps) {
          const { revision } = pods
          const before = Array.from(pods.rows().all())
          pods.apply(step)
          const after = Array.from(pods.rows().all())
          const changed = after.length !== before.length || after.some((row, i) => row !== before[i])
          if (changed) expect(pods.revision).toBeGreaterThan(revision)
        }
        expect(Array.from(pods.rows().all())).toEqual(
          Array.from(replayed.values()).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)),
        )
      }),
    )
  })

  it('rows can be read from any key on, in both directions', () => {
    const keys = fc.tuple(
      fc.constantFrom(...NAMESPACES, 'a0', 'zz'),
      fc.constantFrom(...NAMES, '', 'a-', 'zz'),
    )
    fc.assert(
      fc.property(steps, keys, (steps, [namespace, name]) => {
        const pods = table()
        const model = new Model()
        for (const step of steps) {
          pods.apply(step)
          model.apply(step)
        }
        const key = `${namespace}\u0000${name}`
        const views: [SortedRows<PodRow>, PodRow[]][] = [
          [pods.rows(), model.sorted()],
          [pods.rows('a'), model.sorted((row) => row.namespace === 'a')],
          [pods.byIndex('node', 'node-1'), model.sorted((row) => row.nodeName === 'node-1')],
          [pods.byLabels(parseLabelSelector('app')), model.sorted((row) => 'app' in row.labels)],
        ]
        for (const [view, rows] of views) {
          expect(Array.from(view.from(namespace, name))).toEqual(rows.filter((row) => keyOf(row) >= key))
          expect(Array.from(view.from(namespace, name, true))).toEqual(
            rows.filter((row) => keyOf(row) <= key).toReversed(),
          )
        }
      }),
    )
  })
})
