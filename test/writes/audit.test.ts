import { describe, expect, it } from 'vitest'
import type { AuditNote } from '../../src/access/audit/audit.ts'
import { writtenNotes } from '../../src/access/audit/written.ts'
import { Reads } from '../../src/access/reads.ts'
import { noteOperation, noteWritten, recordStep } from '../../src/writes/audit.ts'
import type { Change, Outcome, StepResult, Verb } from '../../src/writes/change.ts'
import type { OperationOwner } from '../../src/writes/operation.ts'

function result(
  cluster: string,
  outcome: Outcome,
  { name = 'web', purpose = 'scale to 3', dryRun = false, kind = 'Deployment' } = {},
): StepResult {
  return {
    index: 0,
    object: { cluster, apiVersion: 'apps/v1', kind, namespace: kind === 'Node' ? null : 'shop', name },
    purpose,
    outcome,
    dryRun,
    before: { data: { password: 'before' } },
    after: { data: { password: 'after' } },
    error: null,
    resourceVersion: null,
    note: null,
    startedAt: 1_000,
    finishedAt: 1_250,
  }
}

function notesOf(verb: Verb, ...results: readonly StepResult[]) {
  const reads = new Reads()
  noteWritten(reads, { verb }, results)
  return writtenNotes(reads.written)
}

const owner: OperationOwner = {
  user: { name: 'ann', groups: ['dev'] },
  method: 'OIDC',
  issuer: 'https://issuer.test',
  clusters: null,
}

const change: Change = {
  verb: 'scale',
  digest: '',
  steps: [{ index: 0, object: result('prod-eu', 'UPDATED').object, stage: 0, purpose: '' } as never],
  known: [result('prod-us', 'UNREACHABLE')],
  title: 'scale to 3: Deployment shop/web',
}

describe('what audit records tell of a change', () => {
  it('is what was done to which object, and what came of it in each cluster', () => {
    expect(notesOf('scale', result('prod-us', 'UPDATED'), result('prod-eu', 'UNCHANGED'))).toEqual([
      {
        outcome: 'ALLOWED',
        clusters: ['prod-eu', 'prod-us'],
        message: 'scale Deployment shop/web to 3: prod-us UPDATED, prod-eu UNCHANGED',
      },
    ])
    const node = { kind: 'Node', name: 'n1', purpose: 'cordon' }
    expect(notesOf('cordon', result('prod-eu', 'UPDATED', node))[0]?.message).toBe(
      'cordon Node n1: prod-eu UPDATED',
    )
    const rolledBack = { purpose: 'roll back to revision 3' }
    expect(notesOf('rollback', result('prod-eu', 'UPDATED', rolledBack))[0]?.message).toBe(
      'rollback Deployment shop/web (roll back to revision 3): prod-eu UPDATED',
    )
  })

  it('is denied where anything was forbidden, and failed where anything else was not done', () => {
    const outcomes = (...outcomes: readonly Outcome[]) =>
      notesOf('scale', ...outcomes.map((outcome, i) => result(`c${i}`, outcome)))[0]?.outcome
    expect(outcomes('CREATED', 'UPDATED', 'UNCHANGED', 'DELETED')).toBe('ALLOWED')
    for (const failure of ['FAILED', 'CONFLICT', 'UNREACHABLE', 'SKIPPED'] as const) {
      expect(outcomes('UPDATED', failure, 'UPDATED')).toBe('FAILED')
      expect(outcomes('FORBIDDEN', failure)).toBe('DENIED')
    }
    expect(outcomes('UPDATED', 'FORBIDDEN')).toBe('DENIED')
  })

  it('says that it was a dry run', () => {
    expect(notesOf('scale', result('prod-eu', 'UPDATED', { dryRun: true }))[0]?.message).toBe(
      'dry run: scale Deployment shop/web to 3: prod-eu UPDATED',
    )
  })

  it('holds nothing of the objects but their names', () => {
    expect(JSON.stringify(notesOf('scale', result('prod-eu', 'UPDATED')))).not.toContain('password')
  })

  it('names all that was written, in as many records as it takes, each with its own clusters and outcome', () => {
    const results = Array.from({ length: 300 }, (_, i) =>
      result(`cluster-${i % 100}`, i === 299 ? 'FORBIDDEN' : 'UPDATED', {
        name: `web-${Math.floor(i / 100)}`,
      }),
    )
    const notes = notesOf('scale', ...results)
    expect(notes.length).toBeGreaterThan(1)
    expect(notes.every(({ message }) => message.length <= 2_000)).toBe(true)
    expect(notes.flatMap(({ message }) => message.match(/ (UPDATED|FORBIDDEN)/g))).toHaveLength(300)
    expect(notes.map(({ outcome }) => outcome)).toEqual([...notes.slice(1).map(() => 'ALLOWED'), 'DENIED'])
    for (const { clusters, message } of notes) {
      expect(message).toMatch(/^scale Deployment shop\/web-\d to 3: cluster-/)
      for (const cluster of clusters) expect(message).toContain(`${cluster} `)
    }
  })

  it('is bounded whatever names are sent', () => {
    const notes = notesOf('deploy', result('c'.repeat(10_000), 'FAILED', { name: 'n'.repeat(10_000) }))
    expect(notes).toHaveLength(1)
    expect(notes[0]!.message.length).toBeLessThanOrEqual(2_000)
  })

  it('names the operation that goes on, in each of its clusters', () => {
    const reads = new Reads()
    noteOperation(reads, { id: 'op-1', change, dryRun: false }, 'RUNNING', false)
    expect(writtenNotes(reads.written)).toEqual([
      {
        outcome: 'ALLOWED',
        clusters: ['prod-eu', 'prod-us'],
        message: 'scale to 3: Deployment shop/web (operation op-1): prod-eu RUNNING, prod-us RUNNING',
      },
    ])
  })

  it('tells whoever asked for it again apart from whoever had it done', () => {
    const reads = new Reads()
    noteOperation(reads, { id: 'op-1', change, dryRun: false }, 'FAILED', true)
    expect(writtenNotes(reads.written)).toMatchObject([
      {
        outcome: 'FAILED',
        message: expect.stringMatching(
          /^scale to 3: Deployment shop\/web \(operation op-1, begun before\): /,
        ),
      },
    ])
  })

  it('is recorded of each step of an operation, as whoever began it', () => {
    const records: AuditNote[] = []
    const log = { record: (note: AuditNote) => void records.push(note) }
    recordStep(log, { id: 'op-1', owner, change }, result('prod-eu', 'FORBIDDEN'))
    expect(records).toEqual([
      {
        type: 'MUTATION',
        outcome: 'DENIED',
        clusters: ['prod-eu'],
        message: 'scale Deployment shop/web to 3: prod-eu FORBIDDEN (operation op-1)',
        user: { name: 'ann', groups: ['dev'], issuer: 'https://issuer.test' },
        remoteAddress: null,
        operationName: null,
        operationHash: null,
        latencyMs: 250,
        correlationId: 'op-1',
      },
    ])
  })
})
