import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ALL_KINDS, globalId } from '../../../src/kubernetes/kinds.ts'
import { seconds } from '../../../src/kubernetes/projections/fields.ts'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import type { Kind } from '../../../src/kubernetes/rows.ts'

const CONTAINER = {
  name: 'app',
  image: 'web:1',
  restartPolicy: 'Always',
  ports: [{ name: 'http', containerPort: 80 }],
  resources: { requests: { cpu: '1' }, limits: { memory: '1Gi' } },
  volumeMounts: [{ name: 'v', mountPath: '/v' }],
}
const STATUS = {
  name: 'app',
  ready: true,
  restartCount: 1,
  state: {
    terminated: { exitCode: 1, finishedAt: '2026-11-23T04:31:00Z' },
    running: {},
    waiting: { reason: 'x' },
  },
  lastState: { terminated: { exitCode: 1 } },
  resources: { requests: { cpu: '2' } },
  allocatedResources: { cpu: '2' },
}
const POD_SPEC = {
  containers: [CONTAINER],
  initContainers: [CONTAINER],
  volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }],
  overhead: { cpu: '1' },
}
const METRIC = { type: 'Resource', resource: { name: 'cpu', target: { averageUtilization: 1 }, current: {} } }
const BACKEND = { service: { name: 'web', port: { number: 80 } }, serviceName: 'web', servicePort: 80 }

/** An object with nearly every field that a projection of any kind reads. */
const EVERYTHING = {
  metadata: {
    name: 'x',
    namespace: 'y',
    labels: { a: 'b', 'node-role.kubernetes.io/x': '' },
    annotations: { 'deployment.kubernetes.io/revision': '1' },
    ownerReferences: [{ controller: true, uid: 'u', kind: 'k', name: 'n', apiVersion: 'v' }],
  },
  spec: {
    ...POD_SPEC,
    resources: { requests: { cpu: '1', storage: '1Gi' } },
    template: { metadata: { labels: { a: 'b' } }, spec: POD_SPEC },
    jobTemplate: { spec: { template: { spec: POD_SPEC } } },
    selector: { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'k', operator: 'In', values: ['v'] }] },
    strategy: { type: 'x', rollingUpdate: { maxSurge: 1 } },
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 1 } },
    volumeClaimTemplates: [{ metadata: { name: 'x' } }],
    taints: [{ key: 'x', effect: 'y' }],
    ports: [{ port: 80, targetPort: 'x' }],
    externalIPs: ['192.0.2.1'],
    rules: [{ host: 'h', http: { paths: [{ path: '/', backend: BACKEND }] } }],
    defaultBackend: BACKEND,
    tls: [{ hosts: ['h'] }],
    metrics: [METRIC],
    scaleTargetRef: { kind: 'k', name: 'n' },
    capacity: { storage: '1Gi' },
    claimRef: { namespace: 'n', name: 'm' },
    csi: { driver: 'd' },
    accessModes: ['ReadWriteOnce'],
    hard: { pods: '1' },
    scopes: ['s'],
  },
  status: {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-11-23T04:31:00Z' }],
    containerStatuses: [STATUS],
    initContainerStatuses: [STATUS],
    capacity: { cpu: '1', storage: '1Gi' },
    allocatable: { cpu: '1' },
    addresses: [{ type: 't', address: 'a' }],
    nodeInfo: { kubeletVersion: 'v' },
    loadBalancer: { ingress: [{ ip: '192.0.2.1' }] },
    currentMetrics: [METRIC],
    active: [{ name: 'x' }],
    hard: { pods: '1' },
    used: { pods: '1' },
  },
  endpoints: [{ addresses: ['a'], conditions: { ready: true }, targetRef: { kind: 'k' }, topology: {} }],
  ports: [{ port: 1 }],
  data: { k: 'v' },
  binaryData: { k: 'v' },
  series: { count: 1 },
  involvedObject: { kind: 'k' },
  source: { component: 'c' },
}

function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, child]) => pathsOf(child, [...path, key]))]
}

const PATHS = pathsOf(EVERYTHING)

const junk = fc.constantFrom<unknown>(
  null,
  true,
  -1,
  1e300,
  '',
  'x',
  [],
  [null],
  [[]],
  ['x', 7],
  {},
  { x: null },
  { constructor: 1, toString: 1, x: {} },
)

/** That object with a few of its parts replaced by what does not belong there. */
const values = fc.array(fc.tuple(fc.constantFrom(...PATHS), junk), { maxLength: 6 }).map((replacements) => {
  const holder = { root: structuredClone(EVERYTHING) as unknown }
  for (const [path, value] of replacements) {
    let at = holder as Record<string, unknown>
    let key = 'root'
    for (const part of path) {
      const next = at[key]
      if (typeof next !== 'object' || next === null) break
      at = next as Record<string, unknown>
      key = part
    }
    at[key] = structuredClone(value)
  }
  return holder.root
})

/** The shape of every value, not its content: `{a: [string]}`. */
function fieldsOf(row: object): string[] {
  return Object.keys(JSON.parse(JSON.stringify(row)) as object).sort()
}

describe('every projection', () => {
  it.each(ALL_KINDS)('%s makes a row of whatever it is given', (kind: Kind) => {
    const fields = fieldsOf(project(kind)({}, 'prod'))
    fc.assert(
      fc.property(values, (object) => {
        const row = project(kind)(object, 'prod')
        expect(row.kind).toBe(kind)
        expect(row.cluster).toBe('prod')
        // No field is missing or new: rows of a kind have one shape.
        expect(fieldsOf(row)).toEqual(fields)
      }),
      { numRuns: 200 },
    )
  })

  it.each(ALL_KINDS)('%s gives the metadata and the global ID', (kind: Kind) => {
    const metadata = {
      name: 'web',
      namespace: 'shop',
      uid: 'u',
      resourceVersion: '42',
      generation: 3,
      creationTimestamp: '2026-11-23T04:31:00Z',
      deletionTimestamp: '2026-11-23T05:31:00Z',
      labels: { app: 'web' },
    }
    expect(project(kind)({ metadata }, 'prod')).toMatchObject({
      id: globalId(kind, 'prod', 'shop', 'web'),
      name: 'web',
      namespace: 'shop',
      uid: 'u',
      resourceVersion: '42',
      generation: 3,
      creationTimestamp: Date.parse(metadata.creationTimestamp) / 1000,
      deletionTimestamp: Date.parse(metadata.deletionTimestamp) / 1000,
      labels: { app: 'web' },
      owner: null,
    })
  })

  it.each(ALL_KINDS)('%s makes a row that nobody can change', (kind: Kind) => {
    const isFrozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(isFrozen))
    expect(isFrozen(project(kind)(EVERYTHING, 'prod'))).toBe(true)
    // What a projection gives out must not be the caller's own.
    expect(Object.isFrozen(EVERYTHING.spec.selector)).toBe(false)
  })

  it.each(ALL_KINDS)('%s leaves the object as it was', (kind: Kind) => {
    fc.assert(
      fc.property(values, (object) => {
        const before = JSON.stringify(object)
        project(kind)(object, 'prod')
        expect(JSON.stringify(object)).toBe(before)
      }),
      { numRuns: 20 },
    )
  })
})

describe('times', () => {
  it('are those of Date.parse, for every second', () => {
    const from = Date.UTC(1970, 0, 1)
    const to = Date.UTC(2400, 0, 1)
    fc.assert(
      fc.property(fc.integer({ min: from / 1000, max: to / 1000 }), (second) => {
        const text = new Date(second * 1000).toISOString()
        expect(seconds(text)).toBe(second)
        expect(seconds(text.replace('.000Z', 'Z'))).toBe(second)
        expect(seconds(text.replace('.000Z', '.999999Z'))).toBe(second)
        expect(seconds(text.replace('.000Z', '+00:00'))).toBe(second)
      }),
    )
  })

  it.each(['', 'soon', '2026-11-23', null, 7, '2026-11-23T04:3x:00Z'])('%j', (value) => {
    expect(seconds(value)).toBe(value === '2026-11-23' ? Date.UTC(2026, 10, 23) / 1000 : null)
  })
})
