/** Small pods from small alphabets, so that random sequences of steps meet the same keys again and again. */
import * as fc from 'fast-check'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { PodRow } from '../../src/kubernetes/rows.ts'

export interface PodSpec {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly labels: Readonly<Record<string, string>>
  readonly owner: string | null
  readonly node: string
  readonly image: string
  readonly claim: string | null
  readonly phase: string
  readonly cpu: string
}

export function podRow(spec: Partial<PodSpec>, cluster = 'prod'): PodRow {
  const { namespace = 'shop', name = 'web-0', phase = 'Running', image = 'web:1' } = spec
  const claims = spec.claim ? [{ name: 'data', persistentVolumeClaim: { claimName: spec.claim } }] : []
  return project('Pod')(
    {
      metadata: {
        namespace,
        name,
        uid: spec.uid ?? `uid-of-${namespace}-${name}`,
        resourceVersion: spec.resourceVersion ?? '1',
        labels: spec.labels,
        ...(spec.owner && {
          ownerReferences: [
            { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: spec.owner, controller: true },
          ],
        }),
      },
      spec: {
        nodeName: spec.node ?? 'node-1',
        volumes: claims,
        containers: [
          { name: 'app', image, resources: { requests: { cpu: spec.cpu ?? '100m', memory: '1Mi' } } },
        ],
      },
      status: {
        phase,
        containerStatuses: [
          { name: 'app', ready: true, restartCount: 0, state: phase === 'Running' ? { running: {} } : {} },
        ],
      },
    },
    cluster,
  )
}

/** Names that are prefixes of each other, and namespaces around `-`, which sorts before letters and digits. */
export const NAMESPACES = ['', 'a', 'a-b', 'ab', 'shop'] as const
export const NAMES = ['a', 'a-0', 'a-1', 'a1', 'b', 'web', 'web-0', 'web-1', 'z'] as const

export const podSpecs: fc.Arbitrary<PodSpec> = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  name: fc.constantFrom(...NAMES),
  uid: fc.constantFrom('u1', 'u2'),
  resourceVersion: fc.constantFrom('1', '2', '3'),
  labels: fc.record(
    { app: fc.constantFrom('web', 'db'), tier: fc.constantFrom('front', 'back'), canary: fc.constant('') },
    { requiredKeys: [] },
  ),
  owner: fc.constantFrom('o1', 'o2', null),
  node: fc.constantFrom('', 'node-1', 'node-2'),
  image: fc.constantFrom('web:1', 'web:2'),
  claim: fc.constantFrom('data', null),
  phase: fc.constantFrom('Running', 'Pending', 'Succeeded'),
  cpu: fc.constantFrom('100m', '0.2', '300m'),
})

/** The uid has to be unique in a table: made of the key and the generation of the object. */
export function modelPod(spec: PodSpec, cluster = 'prod'): PodRow {
  return podRow({ ...spec, uid: `${spec.namespace}/${spec.name}/${spec.uid}` }, cluster)
}
