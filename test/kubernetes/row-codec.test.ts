import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ALL_KINDS, KINDS } from '../../src/kubernetes/kinds.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { decodeRow, encodeRow, ROW_FORMAT, RowFormatError } from '../../src/kubernetes/row-codec.ts'
import type { Kind, PodRow, Row } from '../../src/kubernetes/rows.ts'
import { demoFleet } from '../../src/simulator/fixtures/demo-fleet.ts'
import { largeCluster } from '../../src/simulator/fixtures/large-cluster.ts'
import { Storage } from '../../src/simulator/storage.ts'
import { modelPod, podSpecs } from '../fleet/pod-model.ts'
import { EVERYTHING, oddObjects } from './support/odd-objects.ts'

const PRESENT = Date.parse('2026-11-23T10:12:13Z')

function passOn<R extends Row>(row: R): R {
  return decodeRow(row.kind, encodeRow(row), row.cluster) as R
}

/** By the eyes of V8: whether two objects are of one hidden class. */
function hiddenClassOf(): (a: unknown, b: unknown) => boolean {
  setFlagsFromString('--allow-natives-syntax')
  // oxlint-disable-next-line typescript/no-implied-eval -- it is no syntax of the language
  return new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: unknown, b: unknown) => boolean
}

function isFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  return Object.isFrozen(value) && Object.values(value).every(isFrozen)
}

/** Every object of a simulated cluster. */
function objectsOf(populate: (registry: Storage) => void): readonly (readonly [Kind, unknown])[] {
  const registry = new Storage({ now: () => PRESENT, seed: 1 })
  populate(registry)
  return ALL_KINDS.flatMap((kind) => {
    const { group, resource } = KINDS[kind]
    return registry.list({ group, resource }).map((object) => [kind, object] as const)
  })
}

describe('a row that was passed on', () => {
  it.each(ALL_KINDS)('is equal to the %s that was projected, whatever the object is like', (kind: Kind) => {
    fc.assert(
      fc.property(oddObjects, (object) => {
        const row = project(kind)(object, 'prod')
        const passed = passOn(row)
        expect(passed).toStrictEqual(row)
        expect(JSON.stringify(passed)).toBe(JSON.stringify(row))
      }),
      { numRuns: 200 },
    )
  })

  it.each([
    ...demoFleet().map(
      (cluster) => [cluster.name, (registry: Storage) => cluster.populate(registry)] as const,
    ),
    ['a large cluster', (registry: Storage) => largeCluster({ pods: 500 }).populate(registry)] as const,
  ])('is equal to the projected one for all objects of %s', (_, populate) => {
    const objects = objectsOf(populate)
    expect(objects.length).toBeGreaterThan(100)
    for (const [kind, object] of objects) {
      const row = project(kind)(JSON.parse(JSON.stringify(object)), 'prod')
      expect(passOn(row)).toStrictEqual(row)
    }
  })

  it('is equal in every state that the tests of the store know', () => {
    fc.assert(
      fc.property(podSpecs, (spec) => {
        const row = modelPod(spec)
        expect(passOn(row)).toStrictEqual(row)
      }),
    )
  })

  it.each(ALL_KINDS)('cannot be changed, as no %s can', (kind: Kind) => {
    expect(isFrozen(passOn(project(kind)(EVERYTHING, 'prod')))).toBe(true)
  })

  it.each(ALL_KINDS)('is of the hidden class of every other %s', (kind: Kind) => {
    const sameClass = hiddenClassOf()
    const row = project(kind)(EVERYTHING, 'prod')
    expect(sameClass(row, project(kind)({ metadata: { name: 'x' } }, 'prod'))).toBe(true)
    expect(sameClass(row, passOn(row))).toBe(true)
  })

  it('is in the cluster that the reader says', () => {
    const row = decodeRow('Node', encodeRow(project('Node')(EVERYTHING, 'prod')), 'staging')
    expect(row).toStrictEqual(project('Node')(EVERYTHING, 'staging'))
  })

  it('keeps odd texts, and its own is one line', () => {
    const message = 'tab\t, line\n, \u2028, \ud800 and "\\'
    const labels = { app: 'a\nb', __proto__: 'x', '7': 'seven' }
    const containerStatuses = [{ name: 'app', state: { waiting: { message } } }]
    for (const kind of ['Pod', 'Event'] as const) {
      const object = {
        metadata: { name: 'a\tb', labels },
        message,
        spec: { containers: [{ name: 'app' }] },
        status: { message, containerStatuses },
      }
      const row = project(kind)(object, 'prod')
      expect(encodeRow(row)).not.toMatch(/[\n\r]/)
      expect(passOn(row)).toStrictEqual(row)
      expect(row.message).toBe(message)
    }
  })

  it('keeps amounts for which JSON has no number', () => {
    const requests = { cpu: '1e999', memory: '-0' }
    const object = { spec: { containers: [{ name: 'app', resources: { requests } }] } }
    const row = project('Pod')(object, 'prod')
    expect(row.cpuRequest).toBe(Infinity)
    expect(passOn(row)).toStrictEqual(row)
  })
})

describe('what rows share', () => {
  it('is shared by those that were passed on, and with those that were projected', () => {
    const objects = objectsOf((registry) =>
      largeCluster({ pods: 20, podsPerDeployment: 20 }).populate(registry),
    )
    const pods = objects
      .filter(([kind]) => kind === 'Pod')
      .map(([, object]) => project('Pod')(JSON.parse(JSON.stringify(object)), 'prod'))
    const shared = ({ containers, volumes, labels, owner, images }: PodRow) => [
      ...containers.map(({ spec }) => spec),
      volumes,
      labels,
      owner,
      images,
    ]
    const [first] = pods
    for (const pod of pods) {
      const passed = shared(passOn(pod))
      shared(first!).forEach((value, index) => expect(passed[index]).toBe(value))
    }
  })

  it('is the whole state of pods that differ in nothing but themselves', () => {
    const pod = (name: string) => passOn(project('Pod')({ ...EVERYTHING, metadata: { name } }, 'prod'))
    const [a, b] = [pod('a'), pod('b')]
    expect(Reflect.get(a, 'state')).toHaveProperty('phase')
    expect(Reflect.get(b, 'state')).toBe(Reflect.get(a, 'state'))
  })

  it('are labels, owners, containers, amounts and conditions of the other kinds too', () => {
    const row = project('Deployment')(EVERYTHING, 'prod')
    const passed = passOn(row)
    for (const field of ['labels', 'owner', 'selector', 'containers', 'volumes', 'conditions'] as const) {
      expect(passed[field]).toBe(row[field])
    }
    expect(passOn(row).rollout).toBe(passed.rollout)
    const node = project('Node')(EVERYTHING, 'prod')
    expect(passOn(node).capacity).toBe(node.capacity)
    expect(passOn(node).roles).toBe(node.roles)
  })
})

describe('a text that is no row', () => {
  it.each(ALL_KINDS)('is refused, and never half a %s', (kind: Kind) => {
    const row = project(kind)(EVERYTHING, 'prod')
    const encoded = encodeRow(row)
    for (let end = 0; end < encoded.length; end++) {
      expect(() => decodeRow(kind, encoded.slice(0, end), 'prod')).toThrow(RowFormatError)
    }
  })

  it.each(ALL_KINDS)('gives a %s that the codec would write, or an error that says of what', (kind: Kind) => {
    const encoded = encodeRow(project(kind)(EVERYTHING, 'prod'))
    const broken = fc.tuple(
      fc.nat(encoded.length - 1),
      fc.constantFrom('null', '7', '"', '[]', '{}', ',', '\t'),
    )
    fc.assert(
      fc.property(broken, ([at, junk]) => {
        const text = encoded.slice(0, at) + junk + encoded.slice(at + 1)
        let row
        try {
          row = decodeRow(kind, text, 'prod')
        } catch (error) {
          expect(error).toBeInstanceOf(RowFormatError)
          expect(String(error)).toContain(`A row of kind ${kind} of cluster prod cannot be read`)
          return
        }
        expect(passOn(row)).toStrictEqual(row)
      }),
      { numRuns: 300 },
    )
  })

  it('is refused where it is of another kind', () => {
    const node = encodeRow(project('Node')(EVERYTHING, 'prod'))
    expect(() => decodeRow('Pod', node, 'prod')).toThrow(RowFormatError)
    expect(() => decodeRow('Namespace', node, 'prod')).toThrow(RowFormatError)
  })
})

describe('the format', () => {
  /** Paths of all fields: `containers[].spec.name`. */
  function fieldsOf(value: unknown, path = ''): string[] {
    if (Array.isArray(value)) return value.flatMap((item) => fieldsOf(item, `${path}[]`))
    if (typeof value !== 'object' || value === null) return [path]
    return Object.entries(value).flatMap(([name, child]) =>
      fieldsOf(child, path === '' ? name : `${path}.${name}`),
    )
  }

  it('is the one that is written down: rows or their texts have not changed without its number', () => {
    const file = new URL('row-format.json', import.meta.url)
    const format = {
      format: ROW_FORMAT,
      kinds: Object.fromEntries(
        ALL_KINDS.map((kind) => {
          const row = project(kind)(EVERYTHING, 'prod')
          const fields = fieldsOf(JSON.parse(JSON.stringify(row)))
          return [kind, { fields: Array.from(new Set(fields)).sort(), text: encodeRow(row) }]
        }),
      ),
    }
    const toDo = `The fields or the text of rows are not those of format ${ROW_FORMAT} any more. Raise ROW_FORMAT in src/kubernetes/row-codec.ts, so that replicas of both versions do not read each other's rows, and write what is received here to test/kubernetes/row-format.json.`
    expect(format, toDo).toEqual(JSON.parse(readFileSync(file, 'utf8')))
  })
})
