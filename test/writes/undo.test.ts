import { describe, expect, it } from 'vitest'
import type { KubernetesJson } from '../../src/kubernetes/json.ts'
import type { Action, ObjectKey, Step, StepResult } from '../../src/writes/change.ts'
import { fingerprint } from '../../src/writes/fingerprint.ts'
import { changeError, failed, toResult } from '../../src/writes/results.ts'
import { undoOf } from '../../src/writes/undo.ts'

const EDIT: Action = { type: 'EDIT', edit: { type: 'PAUSED', paused: true } }
const OLD: KubernetesJson = { apiVersion: 'apps/v1', kind: 'Deployment', spec: { replicas: 2 } }
const NEW: KubernetesJson = { apiVersion: 'apps/v1', kind: 'Deployment', spec: { replicas: 5 } }

function undone(
  outcome: StepResult['outcome'],
  before: KubernetesJson | null,
  after: KubernetesJson | null,
  { action = EDIT, kind = 'Deployment', stage = 3 }: Partial<Pick<Step, 'action' | 'stage'> & ObjectKey> = {},
) {
  const apiVersion = kind === 'Deployment' ? 'apps/v1' : 'v1'
  const object = { cluster: 'a', apiVersion, kind, namespace: 'shop', name: 'web' }
  const step: Step = { index: 4, object, action, stage, purpose: 'pause' }
  const done = { outcome, before, after, error: null, resourceVersion: null, note: null }
  return undoOf(step, toResult(step, done, { dryRun: false, startedAt: 0, finishedAt: 0 }))
}

describe('undo', () => {
  it('puts back what was there, where it is still what the step left', () => {
    expect(undone('UPDATED', OLD, NEW)).toMatchObject({
      index: 4,
      stage: -3,
      purpose: 'puts back: pause',
      action: { type: 'RESTORE', to: { spec: OLD['spec'] }, from: fingerprint({ ...NEW, metadata: {} }) },
    })
    expect(undone('CREATED', null, NEW)).toMatchObject({ action: { type: 'RESTORE', to: null } })
    expect(undone('DELETED', OLD, null)).toMatchObject({ action: { type: 'RESTORE', from: null } })
  })

  it('scales back whom it has scaled, by the right that it took', () => {
    expect(undone('UPDATED', OLD, NEW, { action: { type: 'SCALE', by: 3 } })).toMatchObject({
      action: { type: 'SCALE', to: 2, expectedReplicas: 5 },
    })
    // Where the replicas are not known.
    expect(undone('UPDATED', OLD, { ...NEW, spec: {} }, { action: { type: 'SCALE', by: 3 } })).toMatchObject({
      action: { type: 'RESTORE' },
    })
  })

  it('leaves what others may have put something into by now', () => {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'web' } }
    expect(undone('CREATED', null, namespace, { kind: 'Namespace' })).toMatchObject({
      outcome: 'UNCHANGED',
      note: expect.stringContaining('stays'),
    })
  })

  it('does nothing about what had no effect', () => {
    for (const outcome of ['UNCHANGED', 'SKIPPED', 'FORBIDDEN', 'CONFLICT', 'UNREACHABLE'] as const) {
      expect(undone(outcome, OLD, OLD)).toBeUndefined()
    }
  })

  it('says so where it is not known what was, or what is', () => {
    for (const unknown of [
      undone('UPDATED', null, NEW),
      undone('UPDATED', OLD, null),
      undone('DELETED', null, null),
    ]) {
      expect(unknown).toMatchObject({ outcome: 'FAILED', error: { mayHaveBeenApplied: false } })
    }
    const error = changeError('TIMEOUT', 'Too long.', { mayHaveBeenApplied: true })
    const step: Step = {
      index: 0,
      object: { cluster: 'a', apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'x' },
      action: EDIT,
      stage: 0,
      purpose: '',
    }
    const times = { dryRun: false, startedAt: 0, finishedAt: 0 }
    expect(undoOf(step, toResult(step, failed('FAILED', error), times))).toMatchObject({
      outcome: 'FAILED',
      error: { code: 'INTERRUPTED', mayHaveBeenApplied: true },
    })
  })

  it('leaves a pod to its controller, and brings back one that has none', () => {
    const pod = (ownerReferences: object[]) => ({
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: { ownerReferences },
    })
    expect(undone('DELETED', pod([{ controller: true }]), null, { kind: 'Pod' })).toMatchObject({
      outcome: 'UNCHANGED',
      note: expect.stringContaining('controller') as string,
    })
    expect(undone('DELETED', pod([{}]), null, { kind: 'Pod' })).toMatchObject({ action: { type: 'RESTORE' } })
  })

  it('makes nothing anew that would be empty', () => {
    const claim = { kind: 'PersistentVolumeClaim', apiVersion: 'v1' }
    expect(undone('DELETED', claim, null, { kind: 'PersistentVolumeClaim' })).toMatchObject({
      outcome: 'FAILED',
      error: { code: 'NOT_SUPPORTED', message: expect.stringContaining('backup') as string },
    })
    expect(undone('UPDATED', claim, claim, { kind: 'PersistentVolumeClaim' })).toMatchObject({
      action: { type: 'RESTORE' },
    })
  })

  it('deletes a Secret only in the version that was created, and cannot bring one back', () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { uid: 'u', resourceVersion: '7' } }
    expect(undone('CREATED', null, secret, { kind: 'Secret' })).toMatchObject({
      action: { type: 'DELETE', ifPresent: true },
      preconditions: { uid: 'u', resourceVersion: '7' },
    })
    for (const end of ['UPDATED', 'DELETED'] as const) {
      expect(undone(end, secret, secret, { kind: 'Secret' })).toMatchObject({
        outcome: 'FAILED',
        error: { code: 'NOT_SUPPORTED' },
      })
    }
  })
})
