import { describe, expect, it, vi } from 'vitest'
import { Journals } from '../../src/events/journal.ts'
import { RowScan } from '../../src/events/row-scan.ts'
import { Slot } from '../../src/events/slot.ts'
import { TableChannel } from '../../src/events/table-channel.ts'
import type { Scope, Selection } from '../../src/fleet/selection.ts'
import { parseLabelSelector } from '../../src/kubernetes/label-selector.ts'
import { podRow } from '../fleet/pod-model.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster } from '../support/fake-fleet.ts'

const ROWS = 20_000

/** `pay/n00000` and so on, in order, and as many in `shop`. */
function scanOf(selection: Selection, scope: Scope = 'all'): RowScan {
  const cluster = new FakeCluster('east')
  cluster.apply('Pod', { type: 'Init' })
  for (const namespace of ['pay', 'shop']) {
    for (let i = 0; i < ROWS / 2; i++) {
      const name = `n${String(i).padStart(5, '0')}`
      const labels = { number: name, even: i % 2 === 0 ? 'yes' : 'no' }
      const row = podRow({ namespace, name, labels, resourceVersion: '1' }, 'east')
      cluster.apply('Pod', { type: 'InitApply', row })
    }
  }
  cluster.apply('Pod', { type: 'InitDone', resourceVersion: '10' })
  const channel = new TableChannel(cluster, 'Pod', new Journals(new FakeClock()), () => {})
  const listener = { onChange() {}, onStatus() {}, onError() {} }
  return new RowScan(new Slot(cluster, channel, scope, undefined, listener), selection)
}

function keysOf(scan: RowScan, limit: number): string[] {
  return Array.from(scan.rest(limit)).flatMap((rows) =>
    rows.map(({ namespace, name }) => `${namespace}/${name}`),
  )
}

describe('a scan', () => {
  it('reads each row once, in order, some at a time', () => {
    const keys = keysOf(scanOf({}), 999)
    expect(keys).toHaveLength(ROWS)
    expect(keys).toEqual(Array.from(new Set(keys)).sort())
  })

  it('stops after some thousand rows where few of them match, and goes on there', () => {
    let tested = 0
    const where = ({ name }: { readonly name: string }) => {
      tested++
      return name === 'n00007' || name === 'n09999'
    }
    const scan = scanOf({ where })
    let most = 0
    const keys: string[] = []
    while (scan.reached !== 'ALL') {
      const before = tested
      for (const { namespace, name } of scan.read(1)) keys.push(`${namespace}/${name}`)
      most = Math.max(most, tested - before)
    }
    expect(keys).toEqual(['pay/n00007', 'pay/n09999', 'shop/n00007', 'shop/n09999'])
    expect(tested).toBe(ROWS)
    expect(most).toBeLessThan(5_000)
  })

  it('has single objects beyond the namespaces in their places, also where it stopped', () => {
    const scope = {
      namespaces: new Set(['shop']),
      objects: new Set(['pay/n00003', 'pay/n09000', 'other/none']),
    }
    const where = ({ name }: { readonly name: string }) =>
      name >= 'n09990' || name.startsWith('n0900') || name < 'n00004'
    const keys = keysOf(scanOf({ where }, scope), 2)
    const shop = Array.from({ length: ROWS / 2 }, (_, i) => `n${String(i).padStart(5, '0')}`).filter((name) =>
      where({ name }),
    )
    expect(keys).toEqual(['pay/n00003', 'pay/n09000', ...shop.map((name) => `shop/${name}`)])
  })

  it('asks no index of labels that would try thousands of them for each piece', () => {
    const narrow = scanOf({ labels: parseLabelSelector('number=n00007') })
    const broad = scanOf({ labels: parseLabelSelector('even=yes') })
    const asked = [narrow, broad].map(({ slot }) => vi.spyOn(slot.channel.table, 'byLabels'))
    expect(keysOf(narrow, 128)).toEqual(['pay/n00007', 'shop/n00007'])
    expect(keysOf(broad, 128)).toHaveLength(ROWS / 2)
    expect(asked.map(({ mock }) => mock.calls.length)).toEqual([1, 0])
  })
})
