import { describe, expect, it } from 'vitest'
import { encodePosition } from '../../../src/events/position.ts'
import { createSchema } from '../../../src/graph/schema.ts'
import type { KubernetesJson } from '../../../src/kubernetes/json.ts'
import { CHANGE_ERROR_CODES, FAILURES, OUTCOMES, type StepResult } from '../../../src/writes/change.ts'
import { isEnumType } from 'graphql'
import { FakeCluster, FakeFleet } from '../../support/fake-fleet.ts'
import { ScopedPolicy } from '../../support/scoped-policy.ts'
import { pod, shopFleet } from '../../support/shop.ts'
import { configMap, mutate, RecordingWrites, resultOf, type AskOptions } from './mutate.ts'

const KEY = { cluster: 'prod-eu', apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'settings' }

/** What a mutation answers that came out so. */
async function answered(
  results: readonly StepResult[],
  selection: string,
  { fleet = shopFleet().fleet, ...options }: AskOptions & { readonly fleet?: FakeFleet } = {},
) {
  const writes = new RecordingWrites()
  writes.outcome = { results }
  const targets = {
    object: { cluster: fleet.clusters[0]!.name, kind: 'ConfigMap', namespace: 'shop', name: 'x' },
  }
  const { data, errors } = await mutate(fleet, 'deleteObject', { targets }, { ...options, writes, selection })
  expect(errors).toEqual([])
  return data
}

describe('the summary of a mutation', () => {
  it('counts every outcome, and says them in a sentence with their clusters', async () => {
    const results = [
      resultOf(KEY, { outcome: 'UPDATED' }),
      resultOf({ ...KEY, cluster: 'prod-us' }, { outcome: 'UPDATED' }),
      resultOf({ ...KEY, cluster: 'prod-us' }, { outcome: 'FORBIDDEN' }),
    ]
    const fields = OUTCOMES.map((outcome) => outcome.toLowerCase()).join(' ')
    const { summary } = await answered(results, `{ summary { ok total message ${fields} } }`)
    expect(summary).toEqual({
      ...Object.fromEntries(OUTCOMES.map((outcome) => [outcome.toLowerCase(), 0])),
      ok: false,
      total: 3,
      updated: 2,
      forbidden: 1,
      message: '2 updated (prod-eu, prod-us), 1 forbidden (prod-us).',
    })
  })

  it.each(OUTCOMES)('is ok or not with %s as the schema says', async (outcome) => {
    const { summary } = await answered([resultOf(KEY, { outcome })], '{ summary { ok } }')
    expect(summary.ok).toBe(!FAILURES.has(outcome))
  })

  it('counts the clusters where they are many', async () => {
    const results = ['a', 'b', 'c', 'd'].map((cluster) =>
      resultOf({ ...KEY, cluster }, { outcome: 'CREATED' }),
    )
    const { summary } = await answered(results, '{ summary { message } }')
    expect(summary.message).toBe('4 created (4 clusters).')
  })

  it('says where nothing was changed, and where nothing matched', async () => {
    const dry = await answered(
      [resultOf(KEY, { outcome: 'CREATED', dryRun: true })],
      '{ summary { message } }',
    )
    expect(dry.summary.message).toBe('Nothing was changed; it would be: 1 created (prod-eu).')
    const none = await answered([], '{ summary { ok message total } }')
    expect(none.summary).toEqual({ ok: true, total: 0, message: 'Nothing matched: nothing was done.' })
  })
})

describe('a result of a mutation', () => {
  it('is told with its object, its cluster, and when it was', async () => {
    const { results } = await answered(
      [
        resultOf(KEY, { outcome: 'UPDATED', purpose: 'label', note: 'team: blue' }),
        resultOf({ ...KEY, cluster: 'left' }),
      ],
      '{ results { clusterName cluster { name } apiVersion kind namespace name action outcome dryRun message error { code } startedAt finishedAt } }',
    )
    expect(results).toEqual([
      {
        clusterName: 'prod-eu',
        cluster: { name: 'prod-eu' },
        apiVersion: 'v1',
        kind: 'ConfigMap',
        namespace: 'shop',
        name: 'settings',
        action: 'label',
        outcome: 'UPDATED',
        dryRun: false,
        message: 'team: blue',
        error: null,
        startedAt: '2027-01-15T08:00:00.000Z',
        finishedAt: '2027-01-15T08:00:01.000Z',
      },
      expect.objectContaining({ clusterName: 'left', cluster: null }),
    ])
  })

  it('tells its error whole', async () => {
    const error = {
      code: 'INVALID',
      message: 'The API server refused it.',
      causes: [
        { field: 'spec.replicas', reason: 'FieldValueInvalid', message: 'must be positive' },
        { field: null, reason: null, message: null },
      ],
      policy: 'bounds',
      mayHaveBeenApplied: true,
      retryAfterSeconds: 5,
    } as const
    const { results } = await answered(
      [resultOf(KEY, { outcome: 'FAILED', error })],
      '{ results { error { code message causes { field reason message } policy mayHaveBeenApplied retryAfterSeconds } } }',
    )
    expect(results).toEqual([{ error }])
  })

  it('has every code and outcome in the schema, described', () => {
    for (const [name, values] of [
      ['ChangeErrorCode', Object.keys(CHANGE_ERROR_CODES)],
      ['ChangeOutcome', OUTCOMES],
    ] as const) {
      const type = createSchema().getType(name)
      if (!isEnumType(type)) throw new Error(`There is no enum ${name}.`)
      expect(type.getValues().map((value) => value.name)).toEqual([...values])
    }
  })

  const [before, after] = [
    configMap('settings', { a: '1', b: '2' }),
    configMap('settings', { a: '1', b: '3', c: '4' }),
  ]
  const CHANGES = '{ results { changes { path before after } diff manifest yaml } }'

  it('says what changed, field by field and as a diff of YAML', async () => {
    const { results } = await answered([resultOf(KEY, { outcome: 'UPDATED', before, after })], CHANGES)
    expect(results[0].changes).toEqual([
      { path: 'data.b', before: '2', after: '3' },
      { path: 'data.c', before: null, after: '4' },
    ])
    expect(results[0].diff).toContain('-  b: "2"\n+  b: "3"\n+  c: "4"\n')
    expect(results[0].manifest).toEqual(after)
    expect(results[0].yaml).toContain('kind: ConfigMap\n')
  })

  it('says of a new object all, and of one that went all that is gone', async () => {
    const { results } = await answered(
      [resultOf(KEY, { outcome: 'CREATED', after }), resultOf(KEY, { outcome: 'DELETED', before })],
      CHANGES,
    )
    expect(results[0].diff).toMatch(/^\+kind: ConfigMap$/m)
    expect(results[1].diff).toMatch(/^-kind: ConfigMap$/m)
    expect(results[1]).toMatchObject({ manifest: null, yaml: null })
  })

  it('says nothing of a difference that was not made', async () => {
    const { results } = await answered(
      [resultOf(KEY, { outcome: 'CONFLICT', before, after }), resultOf(KEY, { before, after: before })],
      CHANGES,
    )
    expect(results).toMatchObject([
      { changes: [], diff: null },
      { changes: [], diff: null },
    ])
  })

  it('never shows the values of a Secret, wherever they stand', async () => {
    const secret = (value: string): KubernetesJson => ({
      ...configMap('credentials'),
      kind: 'Secret',
      metadata: {
        name: 'credentials',
        namespace: 'shop',
        uid: 'u',
        annotations: {
          'kubectl.kubernetes.io/last-applied-configuration': `{"data":{"token":"${value}"}}`,
          team: 'blue',
        },
      },
      data: { token: value },
      stringData: { plain: value },
    })
    const key = { ...KEY, kind: 'Secret', name: 'credentials' }
    const answer = await answered(
      [
        resultOf(key, { outcome: 'UPDATED', before: secret('first-value'), after: secret('second-value') }),
        resultOf(key, { outcome: 'CREATED', after: secret('second-value') }),
        resultOf(key, { outcome: 'DELETED', before: secret('first-value') }),
        resultOf(key, { outcome: 'FAILED', before: secret('first-value'), after: secret('second-value') }),
      ],
      '{ results { changes { path before after } diff manifest yaml message object { name } } }',
    )
    expect(JSON.stringify(answer)).not.toMatch(/first-value|second-value/)
    const [updated, created] = answer.results
    expect(updated.manifest.data).toEqual({ token: '<redacted>' })
    expect(updated.manifest.metadata.annotations).toEqual({ team: 'blue' })
    expect(updated.changes.map(({ path }: { path: string }) => path)).toContain('data.token')
    expect(created.yaml).toContain('token: <redacted>')
  })
})

describe('a mutation of many objects', () => {
  it('lets others be answered while its differences are made', async () => {
    const many = (value: string) =>
      configMap('settings', Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`key-${i}`, value])))
    const results = Array.from({ length: 100 }, (_, i) =>
      resultOf(
        { ...KEY, name: `settings-${i}` },
        { outcome: 'UPDATED', before: many('1'), after: many('2') },
      ),
    )
    let turns = 0
    let isDone = false
    const others = () => {
      turns++
      if (!isDone) setImmediate(others)
    }
    others()
    const answer = await answered(results, '{ results { name changes { path } diff yaml } }')
    isDone = true
    expect(turns).toBeGreaterThan(100)
    expect(answer.results).toHaveLength(100)
    for (const [i, result] of answer.results.entries()) {
      expect(result.name).toBe(`settings-${i}`)
      expect(result.changes).toHaveLength(200)
      expect(result.diff).toContain('+  key-199: "2"')
      expect(result.yaml).toContain('key-199: "2"')
    }
  })
})

describe('the object of a result', () => {
  const OBJECT = '{ results { object { name ... on Pod { nodeName } } links { url } } }'
  const key = { ...KEY, kind: 'Pod', name: 'web' }
  const fleet = new FakeFleet(
    new FakeCluster('prod-eu').load('Pod', [
      pod('shop', 'web', { node: 'in-memory', resourceVersion: '20', uid: 'u' }),
    ]),
  )
  const pods = (nodeName: string, metadata: object) =>
    ({ ...pod('shop', 'web', { node: nodeName, ...metadata }), apiVersion: 'v1' }) as KubernetesJson
  const objectOf = async (
    after: KubernetesJson | null,
    about: Partial<StepResult> = {},
    policy?: ScopedPolicy,
  ) => {
    const { results } = await answered([resultOf(key, { outcome: 'UPDATED', after, ...about })], OBJECT, {
      fleet,
      ...(policy && { policy }),
    })
    return results[0].object
  }

  it('is as memory has it, where that is as new', async () => {
    expect(await objectOf(pods('answered', { resourceVersion: '20', uid: 'u' }))).toEqual({
      name: 'web',
      nodeName: 'in-memory',
    })
    expect(await objectOf(pods('answered', { resourceVersion: '9', uid: 'u' }))).toMatchObject({
      nodeName: 'in-memory',
    })
  })

  it('is as the API server answered, where memory is behind or has another one of the name', async () => {
    expect(await objectOf(pods('answered', { resourceVersion: '100', uid: 'u' }))).toMatchObject({
      nodeName: 'answered',
    })
    expect(await objectOf(pods('answered', { resourceVersion: '9', uid: 'another' }))).toMatchObject({
      nodeName: 'answered',
    })
  })

  it('is as it would be, of a dry run', async () => {
    const after = pods('tried', { resourceVersion: '9', uid: 'u' })
    expect(await objectOf(after, { dryRun: true })).toMatchObject({ nodeName: 'tried' })
  })

  it('is not read from memory for somebody who may not list it', async () => {
    const after = pods('answered', { resourceVersion: '20', uid: 'u' })
    const nothing = new ScopedPolicy(() => ({ namespaces: new Set(['other']) }))
    expect(await objectOf(after, {}, nothing)).toMatchObject({ nodeName: 'answered' })
  })

  it('is null where it is gone, and of a kind that is not kept', async () => {
    expect(await objectOf(null, { outcome: 'DELETED' })).toBeNull()
    const widget = { ...KEY, apiVersion: 'example.com/v1', kind: 'Widget' }
    const after = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'one' } }
    // A custom resource that has the name of a kind is none of it.
    const service = { ...KEY, apiVersion: 'serving.example.com/v1', kind: 'Service' }
    const { results } = await answered(
      [resultOf(widget, { after }), resultOf(service, { after: { ...after, kind: 'Service' } })],
      OBJECT,
    )
    expect(results).toEqual([
      { object: null, links: [] },
      { object: null, links: [] },
    ])
  })

  it('has the links of a Service', async () => {
    const after = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'shop', uid: 'service-web-uid', resourceVersion: '10' },
    }
    const service = { ...KEY, kind: 'Service', name: 'web' }
    const { results } = await answered([resultOf(service, { after }), resultOf(KEY)], OBJECT)
    expect(results[0].links.map(({ url }: { url: string }) => url)).toContain('https://shop.example.com/')
    expect(results[1].links).toEqual([])
  })
})

describe('the cursor of a mutation', () => {
  it('is up to the newest version of each cluster and kind that was written', async () => {
    const { cursor } = await answered(
      [
        resultOf(KEY, { outcome: 'UPDATED', resourceVersion: '9' }),
        resultOf({ ...KEY, name: 'other' }, { outcome: 'UPDATED', resourceVersion: '10' }),
        resultOf({ ...KEY, cluster: 'prod-us' }, { outcome: 'FAILED' }),
      ],
      '{ cursor }',
    )
    expect(cursor).toBe(encodePosition(['ConfigMap'], [['prod-eu', ['10']]]))
  })

  it('is null where nothing was written that is kept', async () => {
    const widget = { ...KEY, apiVersion: 'example.com/v1', kind: 'Widget' }
    const results = [resultOf(KEY), resultOf(widget, { outcome: 'CREATED', resourceVersion: '10' })]
    expect(await answered(results, '{ cursor replayed }')).toEqual({ cursor: null, replayed: false })
  })
})
