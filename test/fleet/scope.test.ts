import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allows, rowsWithin, summariesWithin } from '../../src/fleet/scope.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import { createTable } from '../../src/fleet/store.ts'
import { summaryOf } from '../../src/fleet/summary.ts'
import { modelPod, NAMES, NAMESPACES, podRow, podSpecs } from './pod-model.ts'

function tableOf(rows: readonly ReturnType<typeof podRow>[]) {
  const table = createTable('Pod', 'prod', { now: () => 0 })
  for (const row of rows) table.apply({ type: 'Apply', row })
  return table
}

const scopes: fc.Arbitrary<Exclude<Scope, 'all'>> = fc.record({
  namespaces: fc.subarray([...NAMESPACES, 'absent']).map((names) => new Set(names)),
  objects: fc
    .array(fc.tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom(...NAMES)), { maxLength: 4 })
    .map((keys) => new Set(keys.map(([namespace, name]) => `${namespace}/${name}`))),
  names: fc.subarray([...NAMES], { maxLength: 2 }).map((names) => new Set(names)),
})

/** As plain values, to be compared. */
function plain(summary: ReturnType<typeof summaryOf>) {
  const { count, byStatus, byPhase, images, cpuRequest, cpuLimit, memoryRequest, memoryLimit } = summary
  const maps = [byStatus, byPhase, images].map((map) => new Map(map))
  return { count, maps, cpuRequest, cpuLimit, memoryRequest, memoryLimit }
}

describe('what a scope leaves of a table', () => {
  it('is rows and counters of exactly those that it allows, also after changes', () => {
    fc.assert(
      fc.property(
        fc.array(podSpecs, { maxLength: 60 }),
        fc.array(podSpecs, { maxLength: 10 }),
        scopes,
        (specs, later, scope) => {
          const table = tableOf(specs.map((spec) => modelPod(spec, 'prod')))
          const check = () => {
            const rows = Array.from(table.rows().all())
            const allowed = rows.filter((row) => allows(scope, row))
            expect(rowsWithin(table, scope, table.rows())).toEqual(allowed)
            for (const phase of ['Running', 'Pending']) {
              expect(rowsWithin(table, scope, table.byIndex('phase', phase))).toEqual(
                allowed.filter((row) => row.phase === phase),
              )
            }
            expect(summariesWithin(table, scope).map(plain)).toEqual([plain(summaryOf(allowed))])
            const asked = [...NAMESPACES, 'absent']
            const parts = asked
              .map((namespace) => allowed.filter((row) => row.namespace === namespace))
              .filter((part) => part.length > 0)
            expect(summariesWithin(table, scope, asked).map(plain)).toEqual(
              parts.map((part) => plain(summaryOf(part))),
            )
          }
          check()
          for (const spec of later) {
            table.apply({ type: 'Apply', row: modelPod(spec, 'prod') })
            check()
          }
        },
      ),
    )
  })

  it('is everything where everything is allowed', () => {
    const table = tableOf([podRow({ name: 'a' }), podRow({ name: 'b' })])
    expect(rowsWithin(table, 'all', table.rows())).toHaveLength(2)
    expect(summariesWithin(table, 'all')[0]).toBe(table.summary.total)
  })

  it('is single objects of kinds without namespaces, by `/name`', () => {
    const table = tableOf([podRow({ namespace: '', name: 'a' }), podRow({ namespace: '', name: 'b' })])
    const scope: Scope = { namespaces: new Set(), objects: new Set(['/b']) }
    expect(rowsWithin(table, scope, table.rows()).map(({ name }) => name)).toEqual(['b'])
  })
})
