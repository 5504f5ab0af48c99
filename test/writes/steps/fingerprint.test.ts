import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { KubernetesJson } from '../../../src/kubernetes/json.ts'
import { canonical, CONTROLLERS_ANNOTATIONS, fingerprint } from '../../../src/writes/fingerprint.ts'

const OBJECT: KubernetesJson = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'shop', uid: 'u', labels: { a: 'b' }, annotations: { note: '1' } },
  spec: { replicas: 2, template: { spec: { containers: [{ name: 'app', image: 'a' }] } } },
}
const withMetadata = (metadata: object): KubernetesJson => ({
  ...OBJECT,
  metadata: { ...OBJECT.metadata, ...metadata },
})

describe('the fingerprint of an object', () => {
  it('is SHA-256 in hex', () => {
    expect(fingerprint(OBJECT)).toMatch(/^[0-9a-f]{64}$/)
  })

  it.each<readonly [string, KubernetesJson]>([
    ['status', { ...OBJECT, status: { replicas: 2 } }],
    ['resourceVersion', withMetadata({ resourceVersion: '9' })],
    ['generation', withMetadata({ generation: 9 })],
    ['managedFields', withMetadata({ managedFields: [{ manager: 'x' }] })],
    ...[...CONTROLLERS_ANNOTATIONS].map(
      (name) => [name, withMetadata({ annotations: { note: '1', [name]: 'x' } })] as const,
    ),
  ])('is the same whatever %s says', (_what, changed) => {
    expect(fingerprint(changed)).toBe(fingerprint(OBJECT))
  })

  it('is the same where a controller wrote the first annotation', () => {
    const { annotations: _annotations, ...bare } = OBJECT.metadata ?? {}
    const written = { ...bare, annotations: { 'deployment.kubernetes.io/revision': '1' } }
    expect(fingerprint({ ...OBJECT, metadata: written })).toBe(fingerprint({ ...OBJECT, metadata: bare }))
  })

  it.each([
    ['spec', { ...OBJECT, spec: { replicas: 3 } }],
    ['uid', withMetadata({ uid: 'another' })],
    ['labels', withMetadata({ labels: { a: 'c' } })],
    ['annotations', withMetadata({ annotations: { note: '2' } })],
    [
      'what kubectl applied',
      withMetadata({ annotations: { note: '1', 'kubectl.kubernetes.io/last-applied-configuration': '{}' } }),
    ],
    ['finalizers', withMetadata({ finalizers: ['x'] })],
    ['its end', withMetadata({ deletionTimestamp: '2026-01-02T03:04:05Z' })],
    ['data', { ...OBJECT, data: {} }],
  ])('changes with %s', (_what, changed) => {
    expect(fingerprint(changed)).not.toBe(fingerprint(OBJECT))
  })

  it('does not depend on the order of keys', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }), (spec) => {
        const reversed = Object.fromEntries(Object.entries(spec).toReversed())
        expect(fingerprint({ ...OBJECT, spec: reversed })).toBe(fingerprint({ ...OBJECT, spec }))
        expect(JSON.parse(canonical(spec))).toEqual(JSON.parse(JSON.stringify(spec)))
      }),
    )
  })
})
