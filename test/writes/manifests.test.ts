import * as fc from 'fast-check'
import { stringify } from 'yaml'
import { describe, expect, it } from 'vitest'
import { yamlOf } from '../../src/kubernetes/json.ts'
import { inOrder, ManifestError, parseManifests, parseManifestsInTurns } from '../../src/writes/manifests.ts'

const HEAD = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n'
const withSpec = (spec: string) => `${HEAD}spec:\n  ${spec}\n`
const specOf = (spec: string) => parseManifests(withSpec(spec))[0]!['spec']

/** What is said of it, and that nothing else is thrown. */
function refusal(text: string, limits = {}): string {
  try {
    parseManifests(text, limits)
  } catch (error) {
    if (error instanceof ManifestError) return error.message
    throw error
  }
  throw new Error(`This was not refused: ${text.slice(0, 100)}`)
}

describe('manifests', () => {
  it('are read from several documents, and those of nothing but comments are passed over', () => {
    const text = `# Source: a\n---\n${HEAD}---\n# Source: b\n---\n${HEAD.replace('web', 'db')}...\n---\n`
    expect(parseManifests(text).map(({ metadata }) => metadata?.name)).toEqual(['web', 'db'])
  })

  it('are read from JSON, indented by tabs', () => {
    const text = JSON.stringify(
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, x: '😀"\\\t' },
      null,
      '\t',
    )
    expect(parseManifests(text)).toEqual([JSON.parse(text)])
  })

  it('take lists apart, also those in each other', () => {
    const item = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }
    const other = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'b' } }
    const inner = { apiVersion: 'v1', kind: 'ConfigMapList', items: [other] }
    expect(parseManifests(stringify({ apiVersion: 'v1', kind: 'List', items: [item, inner] }))).toEqual([
      item,
      other,
    ])
  })

  it('lose what only the API server writes', () => {
    const text = `${HEAD}  uid: a\n  resourceVersion: "1"\n  creationTimestamp: null\n  managedFields: []\n  generation: 3\n  labels: {a: b}\nstatus: {x: 1}\n`
    expect(parseManifests(text)).toEqual([
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'web', labels: { a: 'b' } } },
    ])
  })

  // Each as kubectl 1.36 reads it; test/e2e/manifests.test.ts asks it.
  it.each([
    ['[yes, No, on, OFF, y, N, True]', [true, false, true, false, true, false, true]],
    ['["yes", \'no\', !!str on]', ['yes', 'no', 'on']],
    ['[~, null, "", ]', [null, null, '']],
    ['[0777, 0o17, 0b11, 0x1F, -0x10, 08, 1_000, +1, 00]', [511, 15, 3, 31, -16, 8, 1000, 1, 0]],
    ['[1e3, .5, 5., -0.0, 1E5, 1e400]', [1000, 0.5, 5, 0, 100_000, '1e400']],
    ['[1_e3, 5_.5, .5_, +_0, 0x_1]', [1000, 5.5, '.5_', 0, 1]],
    [
      '[190:20:30, 22:22, 2001-01-01, 0x, 0b, 0o8, _1, =]',
      ['190:20:30', '22:22', '2001-01-01', '0x', '0b', '0o8', '_1', '='],
    ],
    ['{1: a, 1.5: b, 0x10: c, yes: d}', { 1: 'a', 1.5: 'b', 16: 'c', true: 'd' }],
    ['{a: &x [1], b: *x, c: &x [2], d: *x}', { a: [1], b: [1], c: [2], d: [2] }],
    ['{a: &x {k: 1, l: 1}, b: {<<: *x, k: 2}}', { a: { k: 1, l: 1 }, b: { k: 2, l: 1 } }],
    ['{<<: [{k: 1}, {k: 2, l: 2}]}', { k: 1, l: 2 }],
    ['{"<<": {k: 1}}', { '<<': { k: 1 } }],
    ['{constructor: 1, toString: 2}', { constructor: 1, toString: 2 }],
  ])('mean by %s what kubectl understands', (text, value) => {
    expect(specOf(text)).toEqual(value)
  })

  it.each([
    ['a: 1\n  a: 2', 'line 7, column 3: the key "a" stands twice, first in line 6: keep one of them.'],
    ['a: *x', 'line 6, column 6: there is no anchor `&x` before this alias.'],
    ['a: &a [*a]', 'stands inside of what it stands for'],
    ['a: !!binary aGk=', 'line 6, column 6: tags are not read'],
    ['a: !!js/function x', 'tags are not read'],
    ['a: .inf', 'cannot be said in JSON'],
    ['a: 9007199254740993', 'is no number that can be kept exactly'],
    ['{k: 1, <<: {k: 2}}', '`<<` has to come first'],
    ['<<: 3', 'has to be a mapping, or a list of mappings'],
    ['? [a]\n  : b', 'a key has to be a text'],
    ['~: b', 'a key may not be null'],
    ['__proto__: {a: 1}', 'the key `__proto__` is not read'],
    ['a: "x', 'line 7, column 1: this is no YAML: Missing closing "quote.'],
    ['\ta: 1', 'this is no YAML: '],
    ['a: - b', 'line 6, column 6: this is no YAML: '],
    ['&a &b c: d', 'this is no YAML: '],
    ['a: \0', 'line 6, column 6: the character U+0000 may not stand in YAML'],
    ['a: \ud800', 'the character U+D800 may not stand in YAML'],
    [`a: ${'['.repeat(99)}${']'.repeat(99)}`, 'nested more than 100 deep'],
  ])('are refused with their place: %j', (text, message) => {
    const said = refusal(withSpec(text))
    expect(said).toContain(message)
    expect(said).toMatch(/^Document 1, line \d+, column \d+: /)
    expect(said.match(/Document/g)).toHaveLength(1)
  })

  it.each([
    ['', 'There is no object in the manifests'],
    ['# nothing\n', 'There is no object in the manifests'],
    ['- a\n', 'the document is a list'],
    ['just a text', 'the document is the string "\\"just a text\\""'],
    ['kind: A\nmetadata: {name: a}', '`apiVersion` is missing'],
    ['apiVersion: ../v1\nkind: A\nmetadata: {name: a}', '`apiVersion` is none'],
    ['apiVersion: v1\nmetadata: {name: a}', '`kind` is missing'],
    ['apiVersion: v1\nkind: a/b\nmetadata: {name: a}', '`kind` is none'],
    ['apiVersion: v1\nkind: A', '`metadata` is missing'],
    ['apiVersion: v1\nkind: Pod\nmetadata: {}', '`metadata.name` is missing: give the Pod a name.'],
    ['apiVersion: v1\nkind: A\nmetadata: {generateName: a-}', '`metadata.generateName` cannot be applied'],
    ['apiVersion: v1\nkind: A\nmetadata: {name: 1}', '`metadata.name` is no text: put it in quotes.'],
    ['apiVersion: v1\nkind: A\nmetadata: {name: ""}', '`metadata.name` "" is empty.'],
    ['apiVersion: v1\nkind: A\nmetadata: {name: ../secrets}', '`metadata.name` "../secrets" is no DNS name'],
    ['apiVersion: v1\nkind: A\nmetadata: {name: ä}', 'is no DNS name'],
    [
      'apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: a/b}',
      '`metadata.namespace` "a/b" is no DNS label',
    ],
    ['apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: ""}', '`metadata.namespace` "" is empty.'],
    ['apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: no}', '`metadata.namespace` is no text'],
    [
      'apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  labels:\n    version: 1.0',
      'line 6, column 5: "version" in `metadata.labels` is a number and has to be a text: put it in quotes.',
    ],
    [
      'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: A',
      'Document 1, line 4, column 3: `items[0].metadata` is missing',
    ],
    [`${HEAD}---\n${HEAD}`, 'Document 2, line 6, column 1: ConfigMap "web" stands in document 1 already'],
  ])('are refused as objects: %j', (text, message) => {
    expect(refusal(text)).toContain(message)
  })

  it('have names with colons where RBAC has them, and nowhere else', () => {
    const role = 'kind: ClusterRole\nmetadata: {name: "system:node"}'
    expect(parseManifests(`apiVersion: rbac.authorization.k8s.io/v1\n${role}`)).toHaveLength(1)
    expect(refusal(`apiVersion: v1\n${role}`)).toContain('is no DNS name')
    expect(refusal(`apiVersion: rbac.authorization.k8s.io/v1\n${role.replace(':node', '/../x')}`)).toContain(
      'a part of a path',
    )
  })

  it('are refused by their size before anything of them is read', () => {
    expect(refusal('['.repeat(5 << 20))).toBe(
      'The manifests have at least 5242880 bytes, and at most 1048576 are read: send them in several requests.',
    )
    // In bytes, not characters.
    expect(refusal(`${HEAD}x: ${'ä'.repeat(600_000)}`)).toContain('The manifests have 12000')
  })

  it('are refused when there are too many', () => {
    const one = (index: number) => HEAD.replace('web', `web-${index}`)
    const text = Array.from({ length: 501 }, (_, index) => one(index)).join('---\n')
    expect(refusal(text)).toContain('Document 501, line 2501, column 1: there are more than 500 objects')
    expect(parseManifests(text, { maxObjects: 501 })).toHaveLength(501)
  })

  describe('that are meant to exhaust', () => {
    const MEGABYTE = 1 << 20
    const wide = (index: number) => String.fromCharCode(97 + index)
    const laughs = Array.from({ length: 9 }, (_, level) => {
      const items = Array(10).fill(level === 0 ? 'lol' : `*${wide(level - 1)}`)
      return `${wide(level)}: &${wide(level)} [${items.join(', ')}]`
    }).join('\n')
    const bombs: Readonly<Record<string, string>> = {
      'a billion laughs': laughs,
      'few aliases of much': `a: &a ${'x'.repeat(500_000)}\nb: [${Array(90).fill('*a').join(', ')}]`,
      'merges of merges': `a: &a {k: 1}\nb: [${Array(200).fill('{<<: *a}').join(', ')}]`,
      'opened lists': '['.repeat(MEGABYTE),
      'opened mappings': '{a: '.repeat(MEGABYTE / 4),
      'lists in lists in a line': '- '.repeat(MEGABYTE / 2),
      'complex keys': '? '.repeat(MEGABYTE / 2),
      'keys in keys': 'a: b: '.repeat(MEGABYTE / 6),
      'deeper and deeper': Array.from({ length: 1400 }, (_, index) => `${' '.repeat(index)}a:`).join('\n'),
      'many keys': Array.from({ length: 100_000 }, (_, index) => `k${index}:`).join('\n'),
      anchors: '&a '.repeat(MEGABYTE / 3),
      tags: '!a '.repeat(MEGABYTE / 3),
      quotes: '"'.repeat(MEGABYTE),
      commas: `[${','.repeat(MEGABYTE - 2)}]`,
      directives: '%A\n'.repeat(MEGABYTE / 3),
      'empty documents': '---\n'.repeat(MEGABYTE / 4),
      'empty lines': '\n'.repeat(MEGABYTE),
      pairs: `[${'a: b, '.repeat(MEGABYTE / 6 - 1)}]`,
    }

    it.each(Object.entries(bombs))('are refused: %s', (_name, text) => {
      const began = process.cpuUsage()
      expect(refusal(text)).not.toContain('Maximum call stack')
      const { user } = process.cpuUsage(began)
      // Linear in the size; a second or two on a machine that has nothing else to do.
      expect(user / 1e6).toBeLessThan(15)
    })

    it('let others have their turn meanwhile', async () => {
      const text = Array.from({ length: 300 }, (_, index) =>
        `${HEAD.replace('web', `web-${index}`)}data:\n${'k'.repeat(9)}: v\n`.concat(
          Array.from({ length: 50 }, (_, key) => `k${key}: v\n`).join(''),
        ),
      ).join('---\n')
      let turns = 0
      let ended = false
      const others = (): void => {
        turns++
        if (!ended) setImmediate(others)
      }
      setImmediate(others)
      const objects = await parseManifestsInTurns(text)
      ended = true
      expect(objects).toHaveLength(300)
      expect(turns).toBeGreaterThan(5)
    })

    it('are given up when nobody waits for them any longer', async () => {
      const aborted = AbortSignal.abort(new Error('gone'))
      await expect(parseManifestsInTurns('\n'.repeat(500_000), {}, aborted)).rejects.toThrow('gone')
    })
  })

  it('survive whatever is sent: a clear error, or objects with names', () => {
    const piece = fc.constantFrom(
      'apiVersion: v1\n',
      'kind: A\n',
      'metadata: {name: a}\n',
      '---\n',
      '...\n',
      '&a ',
      '*a',
      '<<: ',
      '!!str ',
      '!x ',
      '|\n',
      '>-\n',
      '  ',
      '\t',
      '- ',
      '? ',
      ': ',
      '{',
      '}',
      '[',
      ']',
      ',',
      '"',
      "'",
      '#',
      '%YAML 1.1\n',
      '\r\n',
      '\0',
      '__proto__',
      'constructor',
      'ü',
      '\ufeff',
      '\u2028',
      '\ud800',
      '\n',
      'a: b\n',
      '@',
      '`',
      '0x',
      '1e9',
    )
    const text = fc.oneof(
      fc
        .array(fc.oneof(piece, fc.string({ unit: 'grapheme', maxLength: 3 })), { maxLength: 40 })
        .map((all) => all.join('')),
      fc.array(piece, { maxLength: 20 }).map((all) => `${HEAD}${all.join('')}`),
    )
    fc.assert(
      fc.property(text, (text) => {
        try {
          for (const { apiVersion, kind, metadata } of parseManifests(text)) {
            expect([typeof apiVersion, typeof kind, typeof metadata?.name]).toEqual([
              'string',
              'string',
              'string',
            ])
          }
        } catch (error) {
          if (!(error instanceof ManifestError)) throw error
        }
      }),
      { numRuns: 3000 },
    )
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  it('keep large numbers as they are written, or are refused', () => {
    const read = (number: string) =>
      JSON.stringify(parseManifests(`{apiVersion: v1, kind: Thing, metadata: {name: a}, spec: ${number}}`)[0])
    // As JSON writes the double that is nearest to it, though that is 12345678901234567168.
    expect(read('12345678901234567000')).toContain('"spec":12345678901234567000')
    expect(read('9007199254740992')).toContain('"spec":9007199254740992')
    // Both are a double, or the nearest to one, and JSON would write another number.
    for (const number of ['1234567890123456768', '9007199254740993']) {
      expect(() => read(number)).toThrow('no number that can be kept exactly')
    }
  })

  it('come back as they were from what this gateway shows of an object', () => {
    const leaf = fc.oneof(
      fc.string(),
      // What could be taken for a number, a boolean or a time.
      fc.stringMatching(/^[-+.0-9xobeEyn:~<=]{1,6}$/),
      fc.string({ unit: 'grapheme' }),
      fc.boolean(),
      fc.constant(null),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value || 0),
    )
    const key = fc.string().filter((key) => key !== '__proto__')
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
      ),
    }))
    const likeNumbers = ['0B0', '0X1f', '+_0', '0o7', '1_0', '1_0.5', '1e3', '-0b1', '.5', '']
    fc.assert(
      fc.property(tree, (tree) => {
        const object = { apiVersion: 'v1', kind: 'Thing', metadata: { name: 'a' }, spec: tree }
        const copy = JSON.parse(JSON.stringify(object)) as typeof object
        expect(parseManifests(JSON.stringify(object))).toEqual([copy])
        expect(parseManifests(yamlOf(copy))).toEqual([copy])
      }),
      {
        numRuns: 500,
        examples: [[likeNumbers], ...likeNumbers.map((text): [unknown] => [{ [text]: text }])],
      },
    )
  })
})

describe('the order of objects', () => {
  const of = (apiVersion: string, kind: string) => ({ apiVersion, kind, metadata: { name: 'a' } })

  it('has what others need first', () => {
    const kinds = [
      of('v1', 'Namespace'),
      of('apiextensions.k8s.io/v1', 'CustomResourceDefinition'),
      of('v1', 'ServiceAccount'),
      of('v1', 'Secret'),
      of('rbac.authorization.k8s.io/v1', 'Role'),
      of('rbac.authorization.k8s.io/v1', 'RoleBinding'),
      of('v1', 'PersistentVolume'),
      of('v1', 'PersistentVolumeClaim'),
      of('v1', 'Service'),
      of('apps/v1', 'Deployment'),
      of('autoscaling/v2', 'HorizontalPodAutoscaler'),
      of('example.com/v1', 'Deployment'),
      of('admissionregistration.k8s.io/v1', 'ValidatingWebhookConfiguration'),
    ]
    const ordered = inOrder(kinds.toReversed())
    expect(ordered.map(({ object }) => object)).toEqual(kinds)
    const stages = ordered.map(({ stage }) => stage)
    expect(new Set(stages).size).toBe(kinds.length)
  })

  it('keeps that of the text within a stage', () => {
    const objects = ['b', 'a', 'c'].map((name) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
    }))
    expect(inOrder(objects).map(({ object }) => object)).toEqual(objects)
  })
})
