import { describe, expect, it } from 'vitest'
import { applyConfiguration, trackUpdate, type Writer } from '../../src/simulator/apply.ts'
import type { KubeObject, KubeObjectInput } from '../../src/simulator/registry.ts'
import { StatusError } from '../../src/simulator/status-error.ts'

function writer(manager: string, model: string | undefined = 'V1Deployment'): Writer {
  return { manager, apiVersion: 'apps/v1', model, subresource: '', time: '2026-01-01T00:00:00Z' }
}

function configuration(spec: object, labels?: Record<string, string>): KubeObjectInput {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default', ...(labels && { labels }) },
    spec,
  }
}

function template(...containers: readonly object[]): object {
  return { metadata: { labels: { app: 'web' } }, spec: { containers } }
}

function stored(input: KubeObjectInput): KubeObject {
  const metadata = { uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z', name: 'web' }
  return { ...input, metadata: { ...metadata, ...input.metadata } }
}

function apply(
  live: KubeObject | undefined,
  manager: string,
  applied: KubeObjectInput,
  force = false,
): KubeObject {
  return stored(applyConfiguration({ live, applied, writer: writer(manager), force }))
}

function managers(object: KubeObject): readonly string[] {
  return (object.metadata.managedFields ?? []).map((entry) => (entry as { manager: string }).manager)
}

describe('server-side apply', () => {
  it('merges containers by name and leaves what others applied', () => {
    const first = apply(
      undefined,
      'a',
      configuration({ template: template({ name: 'main', image: 'nginx:1' }) }),
    )
    const second = apply(
      first,
      'b',
      configuration({ template: template({ name: 'sidecar', image: 'envoy:1' }) }),
    )
    expect(second['spec']).toMatchObject({
      template: template({ name: 'main', image: 'nginx:1' }, { name: 'sidecar', image: 'envoy:1' }),
    })
    const third = apply(second, 'b', configuration({ template: { metadata: { labels: { app: 'web' } } } }))
    expect(third['spec']).toEqual({ template: template({ name: 'main', image: 'nginx:1' }) })
  })

  it('refuses to take a field from another manager, and takes it by force', () => {
    const first = apply(undefined, 'a', configuration({ replicas: 1 }))
    let thrown: unknown
    try {
      apply(first, 'b', configuration({ replicas: 2 }))
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(StatusError)
    expect(thrown).toMatchObject({
      code: 409,
      message: 'Apply failed with 1 conflict: conflict with "a": .spec.replicas',
      status: { details: { causes: [{ reason: 'FieldManagerConflict', field: '.spec.replicas' }] } },
    })
    const forced = apply(first, 'b', configuration({ replicas: 2 }), true)
    expect(forced['spec']).toEqual({ replicas: 2 })
    expect(managers(forced)).toEqual(['b'])
  })

  it('shares a field that two managers apply alike, until both have let it go', () => {
    const one = apply(undefined, 'a', configuration({ replicas: 1, minReadySeconds: 5 }))
    const both = apply(one, 'b', configuration({ minReadySeconds: 5 }))
    const left = apply(both, 'a', configuration({ replicas: 1 }))
    expect(left['spec']).toEqual({ replicas: 1, minReadySeconds: 5 })
    const none = apply(left, 'b', configuration({}))
    expect(none['spec']).toEqual({ replicas: 1 })
  })

  it('keeps a map of which it still owns an entry, when the map itself was owned before', () => {
    // What kubectl does when it moves from client-side to server-side apply.
    const created = stored(
      trackUpdate(
        configuration({ replicas: 1, template: template() }, { app: 'web' }),
        undefined,
        writer('kubectl'),
      ),
    )
    const entry = { ...(created.metadata.managedFields![0] as object), operation: 'Apply' }
    const migrated = { ...created, metadata: { ...created.metadata, managedFields: [entry] } }
    const again = apply(
      migrated,
      'kubectl',
      configuration({ replicas: 1, template: template() }, { app: 'web' }),
    )
    expect(again.metadata.labels).toEqual({ app: 'web' })
    expect(again['spec']).toEqual(created['spec'])
  })

  it('gives fields that nobody tracked to before-first-apply', () => {
    const untracked = stored(configuration({ replicas: 3 }))
    expect(() => apply(untracked, 'a', configuration({ replicas: 1 }))).toThrow(
      'Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas',
    )
  })

  it('says the same again when nothing changed, times included', () => {
    const first = apply(undefined, 'a', configuration({ replicas: 1 }))
    const later = { ...writer('a'), time: '2027-01-01T00:00:00Z' }
    const again = applyConfiguration({
      live: first,
      applied: configuration({ replicas: 1 }),
      writer: later,
      force: false,
    })
    expect(again.metadata.managedFields).toEqual(first.metadata.managedFields)
  })
})

describe('ownership of fields by updates', () => {
  it('moves a field to who changed it last', () => {
    const made = stored(trackUpdate(configuration({ replicas: 1 }), undefined, writer('creator')))
    const changed = trackUpdate({ ...made, spec: { replicas: 2 } }, made, writer('scaler'))
    expect(managers(stored(changed))).toEqual(['scaler'])
    expect(changed.metadata.managedFields).toMatchObject([
      { operation: 'Update', fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': { 'f:replicas': {} } } },
    ])
  })

  it('is reset by an empty list', () => {
    const made = stored(trackUpdate(configuration({ replicas: 1 }), undefined, writer('creator')))
    const cleared = { ...made, metadata: { ...made.metadata, managedFields: [] } }
    expect(trackUpdate(cleared, made, writer('other')).metadata.managedFields).toEqual([])
  })
})
