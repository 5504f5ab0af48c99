import { describe, expect, it } from 'vitest'
import { globalId } from '../../../src/kubernetes/kinds.ts'
import type { Change } from '../../../src/writes/change.ts'
import type { OperationRecord, StepName, StepRecord } from '../../../src/writes/operation.ts'
import { shopFleet } from '../../support/shop.ts'
import { askChanges, mutate, RecordingWrites, resultOf, type Asked } from './mutate.ts'

const { fleet } = shopFleet()
const object = (name: string) => ({
  cluster: 'prod-eu',
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  namespace: 'shop',
  name,
})

const change: Change = {
  verb: 'restart',
  digest: 'd',
  title: 'restart three Deployments',
  steps: ['a', 'b', 'c'].map((name, index) => ({
    index,
    object: object(name),
    action: { type: 'EDIT', edit: { type: 'RESTART', at: '2027-01-15T08:00:00Z' } },
    stage: 0,
    purpose: 'restart',
  })),
  known: [resultOf({ ...object(''), cluster: 'prod-us' }, { index: -1, outcome: 'UNREACHABLE' })],
}

function operation(about: Partial<OperationRecord> = {}): OperationRecord {
  const done = (name: string): StepRecord => ({
    state: 'DONE',
    result: resultOf(object(name), { outcome: 'UPDATED' }),
  })
  return {
    id: 'an-id',
    owner: { user: { name: 'alice', groups: [] }, method: 'TOKEN', issuer: null, clusters: null },
    change,
    strategy: null,
    dryRun: false,
    confirmed: false,
    createdAt: 1_800_000_000_000,
    state: 'RUNNING',
    waves: [
      { clusters: ['prod-eu'], state: 'RUNNING', startedAt: 1_800_000_001_000, finishedAt: null },
      { clusters: ['prod-us'], state: 'PENDING', startedAt: null, finishedAt: null },
    ],
    events: [{ at: 1_800_000_001_000, type: 'STARTED', message: 'alice began it.' }],
    finishedAt: null,
    steps: new Map<StepName, StepRecord>([
      ['0', done('a')],
      ['1', { state: 'BEGUN', prepared: { action: change.steps[1]!.action, before: null }, startedAt: 0 }],
    ]),
    cancelRequested: false,
    revision: 3,
    ...about,
  }
}

function withOperations(...kept: readonly OperationRecord[]): RecordingWrites {
  return Object.assign(new RecordingWrites(), { kept })
}

const names = (asked: Asked, field: string) =>
  asked.data.operation[field].map(
    ({ name, outcome }: { name: string; outcome: string }) => `${name} ${outcome}`,
  )

describe('an operation', () => {
  it('is told with its waves and its story', async () => {
    const { data } = await askChanges(
      fleet,
      `{ operation(id: "an-id") {
        id verb title user state storage createdAt finishedAt cancelRequested stepsTotal
        waves { clusters state startedAt finishedAt } events { at type message }
      } }`,
      {},
      { writes: withOperations(operation()) },
    )
    expect(data.operation).toEqual({
      id: 'an-id',
      verb: 'restart',
      title: 'restart three Deployments',
      user: 'alice',
      state: 'RUNNING',
      storage: 'MEMORY',
      createdAt: '2027-01-15T08:00:00.000Z',
      finishedAt: null,
      cancelRequested: false,
      stepsTotal: 3,
      waves: [
        { clusters: ['prod-eu'], state: 'RUNNING', startedAt: '2027-01-15T08:00:01.000Z', finishedAt: null },
        { clusters: ['prod-us'], state: 'PENDING', startedAt: null, finishedAt: null },
      ],
      events: [{ at: '2027-01-15T08:00:01.000Z', type: 'STARTED', message: 'alice began it.' }],
    })
  })

  it('says where it is kept', async () => {
    const writes = withOperations(operation())
    writes.shared = true
    const { data } = await askChanges(fleet, '{ operation(id: "an-id") { storage } }', {}, { writes })
    expect(data.operation.storage).toBe('REDIS')
  })

  const RESULTS =
    '{ operation(id: "an-id") { results { name outcome } rollback { name outcome } summary { ok total } } }'

  it('has the results of what is done while it goes on, and of all once it has ended: what was begun and has no end failed', async () => {
    const running = await askChanges(fleet, RESULTS, {}, { writes: withOperations(operation()) })
    expect(names(running, 'results')).toEqual([' UNREACHABLE', 'a UPDATED'])
    const soFar = await askChanges(
      fleet,
      '{ operation(id: "an-id") { summary { total pending message } } }',
      {},
      { writes: withOperations(operation()) },
    )
    expect(soFar.data.operation.summary).toEqual({
      total: 2,
      pending: 2,
      message: expect.stringMatching(/^1 updated .*, 1 unreachable .*, 2 to come\.$/),
    })
    const ended = operation({ state: 'FAILED', finishedAt: 1_800_000_009_000 })
    const asked = await askChanges(fleet, RESULTS, {}, { writes: withOperations(ended) })
    expect(names(asked, 'results')).toEqual([' UNREACHABLE', 'a UPDATED', 'b FAILED', 'c SKIPPED'])
    expect(asked.data.operation.summary).toEqual({ ok: false, total: 4 })
  })

  it('tells what was put back, newest first', async () => {
    const undone = (name: string): StepRecord => ({ state: 'DONE', result: resultOf(object(name)) })
    const steps = new Map<StepName, StepRecord>([
      ['undo:0', undone('a')],
      ['undo:1', undone('b')],
    ])
    const asked = await askChanges(
      fleet,
      RESULTS,
      {},
      { writes: withOperations(operation({ steps, state: 'ROLLED_BACK' })) },
    )
    expect(names(asked, 'rollback')).toEqual(['b UNCHANGED', 'a UNCHANGED'])
  })

  it('is null where there is none', async () => {
    const { data, errors } = await askChanges(fleet, '{ operation(id: "x") { id } }')
    expect({ data, errors }).toEqual({ data: { operation: null }, errors: [] })
  })

  it('is that of the payload', async () => {
    const writes = new RecordingWrites()
    writes.outcome = { operation: operation() }
    const targets = { id: globalId('Deployment', 'prod-eu', 'shop', 'web') }
    const { data } = await mutate(
      fleet,
      'restart',
      { targets },
      { writes, selection: '{ operation { id } }' },
    )
    expect(data).toEqual({ operation: { id: 'an-id' } })
  })

  it('can be stopped', async () => {
    const writes = withOperations(operation({ cancelRequested: true }))
    const document = 'mutation { cancelOperation(id: "an-id") { id cancelRequested } }'
    const { data } = await askChanges(fleet, document, {}, { writes })
    expect(data.cancelOperation).toEqual({ id: 'an-id', cancelRequested: true })
  })
})

describe('operations', () => {
  it('are listed a page at a time', async () => {
    const writes = withOperations(operation())
    await askChanges(
      fleet,
      '{ operations { id } a: operations(first: 2, after: "x") { id } }',
      {},
      { writes },
    )
    expect(writes.asked).toEqual([
      { first: 50, after: undefined },
      { first: 2, after: 'x' },
    ])
  })

  it.each([-1, 501, 2_147_483_647])('are not listed %d at a time', async (first) => {
    const writes = new RecordingWrites()
    const document = 'query ($first: Int) { operations(first: $first) { id } }'
    const { errors } = await askChanges(fleet, document, { first }, { writes })
    expect(errors[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'first' })
    expect(writes.asked).toEqual([])
  })
})
