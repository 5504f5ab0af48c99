/** What others are told than before, by rights that change, over all scopes that can be told apart. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Entry, coalesce } from '../../src/events/entry.ts'
import { Journals, JOURNAL_LIMITS } from '../../src/events/journal.ts'
import { regranted } from '../../src/events/regrant.ts'
import { RowScan } from '../../src/events/row-scan.ts'
import { difference, isWithin, sameScope, Slot } from '../../src/events/slot.ts'
import { TableChannel } from '../../src/events/table-channel.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import type { Row } from '../../src/kubernetes/rows.ts'
import { podRow } from '../fleet/pod-model.ts'
import { FakeCluster } from '../support/fake-fleet.ts'

const few = ['a', 'b', 'c']
const sets = fc.subarray(few).map((names) => new Set(names))
const scopes: fc.Arbitrary<Scope | undefined> = fc.oneof(
  fc.constantFrom('all' as const, undefined),
  fc.record(
    {
      namespaces: sets,
      names: sets,
      objects: fc.subarray(['a/a', 'b/b', 'b/c']).map((names) => new Set(names)),
    },
    { requiredKeys: ['namespaces'] },
  ),
)

const keys = few.flatMap((namespace) => few.map((name) => ({ namespace, name })))
const keysThere = fc.subarray(keys, { minLength: 1 })

function table(there: readonly { readonly namespace: string; readonly name: string }[]) {
  const cluster = new FakeCluster('east')
  const channel = new TableChannel(
    cluster,
    'Pod',
    new Journals({ now: () => 1_000 }, JOURNAL_LIMITS),
    () => {},
  )
  cluster.apply('Pod', { type: 'Init' })
  for (const key of there) cluster.apply('Pod', { type: 'InitApply', row: podRow(key, 'east') })
  cluster.apply('Pod', { type: 'InitDone', resourceVersion: '10' })
  const listener = { onChange() {}, onStatus() {}, onError() {} }
  const slotOf = (scope: Scope | undefined) =>
    scope === undefined ? undefined : new Slot(cluster, channel, scope, undefined, listener)
  const rowsOf = (slot: Slot) => Array.from(new RowScan(slot, {}).rest(2)).flat()
  const regrant = (waiting: readonly Entry[], before: Scope | undefined, now: Scope | undefined) =>
    sameScope(before, now)
      ? waiting
      : regranted(waiting, cluster, [{ before: slotOf(before), now: slotOf(now) }], rowsOf)
  const rows = rowsOf(slotOf('all')!)
  return { regrant, rows }
}

const ids = (rows: readonly (Row | null)[]) => rows.map((row) => `${row!.namespace}/${row!.name}`).sort()
const seen = (scope: Scope | undefined, rows: readonly Row[]) =>
  rows.filter((row) => scope !== undefined && isWithin(scope, row))

test('what is hidden is deleted, what is shown is added, and nothing else is told', () => {
  fc.assert(
    fc.property(keysThere, scopes, scopes, (there, before, now) => {
      const { regrant, rows } = table(there)
      const told = regrant([], before, now)
      const had = seen(before, rows)
      const has = seen(now, rows)
      const of = (type: string) => ids(told.flatMap((entry) => (entry.type === type ? [entry.object] : [])))
      expect(of('DELETED')).toEqual(ids(had.filter((row) => !has.includes(row))))
      expect(of('ADDED')).toEqual(ids(has.filter((row) => !had.includes(row))))
      expect(told.every(({ type, reason }) => (type === 'DELETED') === (reason === 'FORBIDDEN'))).toBe(true)
    }),
  )
})

test('rights that change again before anything is told come to the same as the last of them', () => {
  fc.assert(
    fc.property(keysThere, fc.array(scopes, { minLength: 1, maxLength: 6 }), (there, history) => {
      const { regrant, rows } = table(there)
      let waiting: readonly Entry[] = []
      history.slice(1).forEach((scope, i) => {
        waiting = regrant(waiting, history[i], scope)
      })
      const copy = new Set(ids(seen(history[0], rows)))
      for (const { type, object } of coalesce(waiting)) {
        const [id] = ids([object])
        if (type === 'DELETED') copy.delete(id!)
        else copy.add(id!)
      }
      expect([...copy].sort()).toEqual(ids(seen(history.at(-1), rows)))
    }),
  )
})

test('a difference holds what one sees and the other does not', () => {
  fc.assert(
    fc.property(scopes, scopes, (of, without) => {
      const rows = keys.map((key) => podRow(key, 'east'))
      const found = difference(of, without, () => few)
      const missing = seen(of, rows).filter((row) => without === undefined || !isWithin(without, row))
      expect(seen(found, rows)).toEqual(expect.arrayContaining(missing))
      expect(seen(of, rows)).toEqual(expect.arrayContaining(seen(found, rows)))
    }),
  )
})
