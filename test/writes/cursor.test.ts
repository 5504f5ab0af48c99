import { describe, expect, it } from 'vitest'
import { decodePosition } from '../../src/events/position.ts'
import type { StepResult } from '../../src/writes/change.ts'
import { cursorOf } from '../../src/writes/cursor.ts'

function result(cluster: string, apiVersion: string, kind: string, version: string | null): StepResult {
  return {
    index: 0,
    object: { cluster, apiVersion, kind, namespace: 'shop', name: 'web' },
    purpose: '',
    outcome: 'UPDATED',
    dryRun: false,
    before: null,
    after: null,
    error: null,
    resourceVersion: version,
    note: null,
    startedAt: 0,
    finishedAt: 0,
  }
}

describe('the cursor of a change', () => {
  it('has the newest version of each cluster and kind, as numbers of any length', () => {
    const cursor = cursorOf([
      result('west', 'v1', 'Service', '7'),
      result('east', 'apps/v1', 'Deployment', '999'),
      result('east', 'apps/v1', 'Deployment', '9007199254740993'),
      result('east', 'apps/v1', 'Deployment', '1000'),
    ])
    const position = decodePosition(cursor!)
    expect(position.versionOf('east', 'Deployment')).toBe('9007199254740993')
    expect(position.versionOf('west', 'Service')).toBe('7')
    expect(position.versionOf('east', 'Service')).toBeUndefined()
    expect(position.versionOf('west', 'Deployment')).toBeUndefined()
    expect(position.kinds).toEqual(['Deployment', 'Service'])
  })

  it('is the same for the same results in any order', () => {
    const results = [result('west', 'v1', 'Service', '7'), result('east', 'apps/v1', 'Deployment', '9')]
    expect(cursorOf(results.toReversed())).toBe(cursorOf(results))
  })

  it('is null where there is nothing to wait for', () => {
    expect(cursorOf([])).toBeNull()
    expect(cursorOf([result('east', 'apps/v1', 'Deployment', null)])).toBeNull()
    expect(cursorOf([result('east', 'v1', 'Secret', '9')])).toBeNull()
    expect(cursorOf([result('east', 'v1', 'Pod', 'opaque')])).toBeNull()
    expect(cursorOf([result('east', 'v1', 'constructor', '9')])).toBeNull()
  })

  it('tells of what was deleted at once, in no version that anybody said', async () => {
    const pod = (uid: string, outcome: StepResult['outcome'], version: string | null = null) => ({
      ...result('east', 'v1', 'Pod', version),
      outcome,
      before: { metadata: { name: 'web', uid } },
    })
    const gone = cursorOf([pod('a', 'DELETED')])
    expect(gone).not.toBeNull()
    expect(cursorOf([pod('a', 'DELETED'), pod('b', 'UNCHANGED')])).toBe(gone)
    expect(cursorOf([{ ...pod('a', 'DELETED'), dryRun: true }])).toBeNull()
    expect(cursorOf([pod('a', 'UPDATED')])).toBeNull()
    // It goes with grace: its last version says so.
    expect(decodePosition(cursorOf([pod('a', 'DELETED', '9')])!).versionOf('east', 'Pod')).toBe('9')
  })

  it('takes no custom resource for a built-in kind of the same name', () => {
    expect(cursorOf([result('east', 'serving.knative.dev/v1', 'Service', '9')])).toBeNull()
    expect(cursorOf([result('east', 'extensions/v1beta1', 'Ingress', '9')])).toBeNull()
  })
})
