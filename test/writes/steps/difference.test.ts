import * as fc from 'fast-check'
import { applyPatch as applyText } from 'diff'
import { describe, expect, it } from 'vitest'
import { yamlOf, type KubernetesJson } from '../../../src/kubernetes/json.ts'
import { fieldChanges, presentablePair, unifiedDiff } from '../../../src/writes/difference.ts'

const deployment = (spec: object = {}, metadata: object = {}): KubernetesJson => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'shop', ...metadata },
  spec,
})
const containers = (...items: object[]) => deployment({ template: { spec: { containers: items } } })

describe('the changes of fields', () => {
  it('tell of names that every object has as of any others', () => {
    const labels = { constructor: 'a', hasOwnProperty: '', toString: 'b' }
    const tells = (before: KubernetesJson, after: KubernetesJson) =>
      fieldChanges(before, after).map(({ path, before, after }) => [path, before, after])
    const [plain, labelled] = [deployment({}, { labels: { app: 'web' } }), deployment({}, { labels })]
    expect(tells(plain, labelled)).toEqual([
      ['metadata.labels.app', 'web', null],
      ['metadata.labels.constructor', null, 'a'],
      ['metadata.labels.hasOwnProperty', null, ''],
      ['metadata.labels.toString', null, 'b'],
    ])
    expect(tells(labelled, plain)).toHaveLength(4)
  })

  it('name items of lists as Kubernetes merges them', () => {
    const before = containers(
      {
        name: 'app',
        image: 'a:1',
        env: [{ name: 'A', value: '1' }],
        ports: [{ containerPort: 80, protocol: 'TCP' }],
      },
      { name: 'proxy', image: 'p:1', volumeMounts: [{ name: 'v', mountPath: '/a' }] },
    )
    const after = containers(
      {
        name: 'app',
        image: 'a:2',
        env: [
          { name: 'A', value: '2' },
          { name: 'B', value: '3' },
        ],
      },
      {
        name: 'proxy',
        image: 'p:1',
        args: ['-v'],
        volumeMounts: [{ name: 'v', mountPath: '/a', readOnly: true }],
      },
    )
    const path = 'spec.template.spec.containers'
    expect(fieldChanges(before, after)).toEqual([
      { path: `${path}[name=app].image`, before: 'a:1', after: 'a:2' },
      { path: `${path}[name=app].env[name=A].value`, before: '1', after: '2' },
      { path: `${path}[name=app].env[name=B]`, before: null, after: { name: 'B', value: '3' } },
      { path: `${path}[name=app].ports`, before: [{ containerPort: 80, protocol: 'TCP' }], after: null },
      { path: `${path}[name=proxy].volumeMounts[name=v].readOnly`, before: null, after: true },
      { path: `${path}[name=proxy].args`, before: null, after: ['-v'] },
    ])
  })

  it('tell lists whose order matters as a whole', () => {
    const [a, b] = [
      { name: 'a', image: '1' },
      { name: 'b', image: '2' },
    ]
    expect(fieldChanges(containers(a, b), containers(b, a))).toEqual([
      { path: 'spec.template.spec.containers', before: [a, b], after: [b, a] },
    ])
    expect(fieldChanges(deployment({ args: ['a'] }), deployment({ args: ['a', 'b'] }))).toEqual([
      { path: 'spec.args', before: ['a'], after: ['a', 'b'] },
    ])
  })

  it('write keys that are no names in brackets', () => {
    const labels = { 'app.kubernetes.io/name': 'web', plain: '1' }
    expect(fieldChanges(deployment(), deployment({}, { labels }))).toEqual([
      { path: 'metadata.labels[app.kubernetes.io/name]', before: null, after: 'web' },
      { path: 'metadata.labels.plain', before: null, after: '1' },
    ])
  })

  it('leave out what the API server writes', () => {
    const server = {
      resourceVersion: '1',
      uid: 'u',
      generation: 1,
      creationTimestamp: 'x',
      managedFields: [{}],
    }
    expect(fieldChanges(deployment({}, server), { ...deployment(), status: { replicas: 1 } })).toEqual([])
    expect(unifiedDiff(deployment({}, server), { ...deployment(), status: { replicas: 1 } })).toBe('')
  })

  it('tell of a Secret only which keys, also of what was redacted before', () => {
    const secret = (data: object): KubernetesJson => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: 's',
        annotations: { 'kubectl.kubernetes.io/last-applied-configuration': 'aHVudGVyMg==' },
      },
      data,
    })
    const before = secret({ same: 'c2FtZQ==', changed: 'aHVudGVyMQ==', removed: 'aHVudGVyMw==' })
    const after = secret({ same: 'c2FtZQ==', changed: 'aHVudGVyMg==', added: 'aHVudGVyNA==' })
    const expected = [
      { path: 'data.changed', before: '<redacted>', after: '<redacted, changed>' },
      { path: 'data.removed', before: '<redacted>', after: null },
      { path: 'data.added', before: null, after: '<redacted>' },
    ]
    expect(fieldChanges(before, after)).toEqual(expected)
    const shown = presentablePair(before, after)
    expect(fieldChanges(...shown)).toEqual(expected)
    expect(unifiedDiff(...shown)).toBe(unifiedDiff(before, after))
    expect(JSON.stringify(shown) + unifiedDiff(before, after)).not.toMatch(/aHVudGVy|c2FtZQ/)
    expect(unifiedDiff(before, after)).toContain('+  changed: <redacted, changed>')
  })

  it('say so where there are too many, or one is too large', () => {
    const many = Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`k${index}`, 'v']))
    const changes = fieldChanges({ ...deployment(), data: {} }, { ...deployment(), data: many })
    expect(changes).toHaveLength(501)
    expect(changes.at(-1)).toEqual({ path: '…', before: null, after: 'and 100 more changes' })
    const [large] = fieldChanges(
      { ...deployment(), data: { a: '1' } },
      { ...deployment(), data: { a: 'x'.repeat(10_000) } },
    )
    expect(large?.after).toMatch(/^x{1024}… \(10000 characters in all\)$/)
  })
})

const scalar = fc.oneof(fc.string({ maxLength: 6 }), fc.integer(), fc.boolean())
const name = fc.constantFrom('a', 'b', 'c', 'x.y/z', 'name', '0')
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.dictionary(name, tie('value'), { maxKeys: 3, noNullPrototype: true }),
    fc.array(scalar, { maxLength: 3 }),
    fc.uniqueArray(
      fc.tuple(fc.constantFrom('p', 'q', 'r'), tie('value')).map(([name, value]) => ({ name, value })),
      { maxLength: 3, selector: ({ name }) => name },
    ),
  ),
})).value
const object = fc
  .dictionary(name, value, { maxKeys: 4, noNullPrototype: true })
  .map((spec): KubernetesJson => ({
    apiVersion: 'example.com/v1',
    kind: 'Thing',
    metadata: { name: 'x' },
    spec,
  }))

/** Reads a path the way a person does; `null` where there is nothing. */
function at(object: unknown, path: string): unknown {
  let here = object
  for (const [, plain, bracketed] of path.matchAll(/(?:^|\.)([^.[\]]+)|\[([^\]]*)\]/g)) {
    const key = plain ?? bracketed ?? ''
    if (Array.isArray(here)) {
      const wanted = key.slice(key.indexOf('=') + 1)
      here = here.find((item) => (item as { name?: unknown }).name === wanted)
    } else here = (here as Record<string, unknown> | undefined)?.[key]
    if (here === undefined) return null
  }
  return here
}

describe('the changes of any two objects', () => {
  it('are none if and only if nothing differs, and true where they are told', () => {
    fc.assert(
      fc.property(object, object, (before, after) => {
        const changes = fieldChanges(before, after)
        expect(changes.length === 0).toBe(JSON.stringify(sorted(before)) === JSON.stringify(sorted(after)))
        expect(new Set(changes.map(({ path }) => path)).size).toBe(changes.length)
        for (const change of changes) {
          expect(at(before, change.path)).toEqual(change.before)
          expect(at(after, change.path)).toEqual(change.after)
          expect(change.before).not.toEqual(change.after)
        }
        expect(fieldChanges(after, before)).toHaveLength(changes.length)
      }),
      { numRuns: 500 },
    )
  })

  it('make the one YAML the other, as a unified diff', () => {
    fc.assert(
      fc.property(object, object, (before, after) => {
        const diff = unifiedDiff(before, after)
        if (diff === '') expect(sorted(before)).toEqual(sorted(after))
        else expect(applyText(yamlOf(before), diff)).toBe(yamlOf(after))
      }),
    )
  })
})

describe('a unified diff', () => {
  it('names the object, and nothing where there was none', () => {
    const after = deployment({ replicas: 2 })
    expect(unifiedDiff(null, after)).toMatch(
      /^--- \/dev\/null\n\+\+\+ Deployment shop\/web\n@@ -0,0 \+1,\d+ @@\n\+apiVersion/,
    )
    expect(unifiedDiff(after, null)).toMatch(/^--- Deployment shop\/web\n\+\+\+ \/dev\/null\n/)
    const changed = unifiedDiff(deployment({ replicas: 1 }), after)
    expect(changed).toMatch(/^--- Deployment shop\/web\n\+\+\+ Deployment shop\/web\n@@ /)
    expect(changed).toContain('-  replicas: 1\n+  replicas: 2\n')
  })

  it('is cut, and says so', () => {
    const lines = (count: number, seed: string) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`${seed}${index}`, 'x'.repeat(400)]))
    const of = (data: object): KubernetesJson => ({ ...deployment(), data })
    expect(unifiedDiff(null, of(lines(500, 'k')))).toMatch(/# Cut here: \d+ more characters\.\n$/)
    expect(unifiedDiff(of({}), of(lines(1_000, 'k')))).toMatch(/# Too large to be compared/)
    const short = (seed: string) =>
      Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`${seed}${index}`, '']))
    expect(unifiedDiff(of(short('a')), of(short('b')))).toMatch(/# Too many lines differ/)
    expect(unifiedDiff(null, of(short('a')))).toContain('+  a1999: ""\n')
  })
})

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}
