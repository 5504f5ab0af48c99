import { describe, expect, it } from 'vitest'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import type { PodRow } from '../../../src/kubernetes/rows.ts'

interface Raw {
  readonly metadata?: object
  readonly spec?: object
  readonly status?: object
}

function pod({ metadata, spec, status }: Raw): PodRow {
  return project('Pod')(
    {
      metadata: { name: 'web-0', namespace: 'shop', uid: 'u', resourceVersion: '1', ...metadata },
      spec: { containers: [{ name: 'app', image: 'web:1' }], ...spec },
      status: { phase: 'Running', ...status },
    },
    'prod',
  )
}

const running = { running: { startedAt: '2026-11-23T04:31:00Z' } }
const waiting = (reason: string) => ({ waiting: { reason } })
const terminated = (fields: object) => ({ terminated: fields })
const container = (name: string, state: object, more: object = {}) => ({
  name,
  state,
  ready: 'running' in state,
  restartCount: 0,
  ...more,
})
const ready = { type: 'Ready', status: 'True' }

const twoInits = { initContainers: [{ name: 'i0' }, { name: 'i1' }] }
const sidecar = { initContainers: [{ name: 'mesh', restartPolicy: 'Always' }] }
const deleted = { deletionTimestamp: '2026-11-23T05:00:00Z' }

describe("a pod's STATUS, as kubectl prints it", () => {
  it.each<[string, Raw]>([
    ['Running', { status: { containerStatuses: [container('app', running)], conditions: [ready] } }],
    ['Pending', { status: { phase: 'Pending' } }],
    [
      'ContainerCreating',
      { status: { phase: 'Pending', containerStatuses: [container('app', waiting('ContainerCreating'))] } },
    ],
    [
      'ImagePullBackOff',
      { status: { phase: 'Pending', containerStatuses: [container('app', waiting('ImagePullBackOff'))] } },
    ],
    ['CrashLoopBackOff', { status: { containerStatuses: [container('app', waiting('CrashLoopBackOff'))] } }],
    [
      'Completed',
      {
        status: {
          phase: 'Succeeded',
          containerStatuses: [container('app', terminated({ exitCode: 0, reason: 'Completed' }))],
        },
      },
    ],
    [
      'Error',
      {
        status: {
          phase: 'Failed',
          containerStatuses: [container('app', terminated({ exitCode: 1, reason: 'Error' }))],
        },
      },
    ],
    [
      'OOMKilled',
      {
        status: {
          phase: 'Failed',
          containerStatuses: [container('app', terminated({ exitCode: 137, reason: 'OOMKilled' }))],
        },
      },
    ],
    ['ExitCode:3', { status: { containerStatuses: [container('app', terminated({ exitCode: 3 }))] } }],
    [
      'Signal:9',
      { status: { containerStatuses: [container('app', terminated({ exitCode: 137, signal: 9 }))] } },
    ],
    ['Evicted', { status: { phase: 'Failed', reason: 'Evicted' } }],
    [
      'SchedulingGated',
      {
        status: {
          phase: 'Pending',
          conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
        },
      },
    ],
    // The first container that is not simply running decides; the list is read from its end.
    [
      'CrashLoopBackOff',
      {
        status: {
          containerStatuses: [
            container('app', waiting('CrashLoopBackOff')),
            container('b', waiting('ContainerCreating')),
          ],
        },
      },
    ],
    [
      'Running',
      {
        status: {
          conditions: [ready],
          containerStatuses: [
            container('app', terminated({ exitCode: 0, reason: 'Completed' })),
            container('b', running),
          ],
        },
      },
    ],
    [
      'NotReady',
      {
        status: {
          containerStatuses: [
            container('app', terminated({ exitCode: 0, reason: 'Completed' })),
            container('b', running),
          ],
        },
      },
    ],
    [
      'Init:0/2',
      {
        spec: twoInits,
        status: {
          phase: 'Pending',
          initContainerStatuses: [container('i0', running), container('i1', waiting('PodInitializing'))],
        },
      },
    ],
    [
      'Init:1/2',
      {
        spec: twoInits,
        status: {
          phase: 'Pending',
          initContainerStatuses: [
            container('i0', terminated({ exitCode: 0 })),
            container('i1', waiting('PodInitializing')),
          ],
        },
      },
    ],
    [
      'Init:CrashLoopBackOff',
      {
        spec: twoInits,
        status: { phase: 'Pending', initContainerStatuses: [container('i0', waiting('CrashLoopBackOff'))] },
      },
    ],
    [
      'Init:Error',
      {
        spec: twoInits,
        status: {
          phase: 'Pending',
          initContainerStatuses: [container('i0', terminated({ exitCode: 1, reason: 'Error' }))],
        },
      },
    ],
    [
      'Init:ExitCode:2',
      {
        spec: twoInits,
        status: { phase: 'Pending', initContainerStatuses: [container('i0', terminated({ exitCode: 2 }))] },
      },
    ],
    [
      'Init:Signal:15',
      {
        spec: twoInits,
        status: {
          phase: 'Pending',
          initContainerStatuses: [container('i0', terminated({ exitCode: 143, signal: 15 }))],
        },
      },
    ],
    [
      'PodInitializing',
      {
        spec: twoInits,
        status: {
          phase: 'Pending',
          initContainerStatuses: [
            container('i0', terminated({ exitCode: 0 })),
            container('i1', terminated({ exitCode: 0 })),
          ],
          containerStatuses: [container('app', waiting('PodInitializing'))],
        },
      },
    ],
    [
      'Running',
      {
        spec: sidecar,
        status: {
          conditions: [ready],
          initContainerStatuses: [container('mesh', running, { started: true })],
          containerStatuses: [container('app', running)],
        },
      },
    ],
    [
      'Init:0/1',
      {
        spec: sidecar,
        status: { phase: 'Pending', initContainerStatuses: [container('mesh', running, { started: false })] },
      },
    ],
    ['Terminating', { metadata: deleted, status: { containerStatuses: [container('app', running)] } }],
    [
      'Completed',
      {
        metadata: deleted,
        status: {
          phase: 'Succeeded',
          containerStatuses: [container('app', terminated({ exitCode: 0, reason: 'Completed' }))],
        },
      },
    ],
    ['Unknown', { metadata: deleted, status: { reason: 'NodeLost' } }],
    ['NodeLost', { status: { reason: 'NodeLost' } }],
    ['Unknown', { status: { phase: undefined } }],
  ])('is %s', (status, raw) => {
    expect(pod(raw).status).toBe(status)
  })
})

describe("a pod's restarts", () => {
  it('forget the init containers once it is initialized, but never its sidecars', () => {
    const spec = { initContainers: [{ name: 'i0' }, { name: 'mesh', restartPolicy: 'Always' }] }
    const last = (finishedAt: string) => ({ lastState: terminated({ exitCode: 1, finishedAt }) })
    const statuses = {
      initContainerStatuses: [
        container('i0', terminated({ exitCode: 0 }), { restartCount: 5, ...last('2026-11-23T04:50:00Z') }),
        container('mesh', running, { started: true, restartCount: 2, ...last('2026-11-23T04:40:00Z') }),
      ],
      containerStatuses: [container('app', running, { restartCount: 1, ...last('2026-11-23T04:30:00Z') })],
    }
    const row = pod({ spec, status: statuses })
    expect(row).toMatchObject({ restarts: 3, readyContainers: 2 })
    expect(row.lastRestartAt).toBe(Date.parse('2026-11-23T04:40:00Z') / 1000)
  })

  it('are those of the init containers while they hold the pod up', () => {
    const row = pod({
      spec: twoInits,
      status: {
        phase: 'Pending',
        initContainerStatuses: [container('i0', waiting('CrashLoopBackOff'), { restartCount: 7 })],
      },
    })
    expect(row.restarts).toBe(7)
  })
})

describe("a pod's effective requests", () => {
  const asks = (cpu: string, memory = '0') => ({ resources: { requests: { cpu, memory } } })
  const effective = (spec: object, status: object = {}) => pod({ spec, status }).cpuRequest

  it('are the sum of its containers, exactly', () => {
    const row = pod({ spec: { containers: [asks('100m', '64Mi'), asks('0.2', '64Mi')] } })
    expect(row.cpuRequest).toBe(0.3)
    expect(row.memoryRequest).toBe(128 * 2 ** 20)
  })

  it('are the largest step of initialization where that is more', () => {
    expect(effective({ initContainers: [asks('2'), asks('1')], containers: [asks('500m')] })).toBe(2)
    expect(effective({ initContainers: [asks('200m')], containers: [asks('500m')] })).toBe(0.5)
  })

  it('count a sidecar with what runs beside it and after it (KEP-753)', () => {
    const mesh = { ...asks('300m'), restartPolicy: 'Always' }
    // Running: 0.3 + 0.5; the step after the sidecar: 0.3 + 1; the step before it: 0.9.
    expect(effective({ initContainers: [asks('900m'), mesh, asks('1')], containers: [asks('500m')] })).toBe(
      1.3,
    )
    expect(effective({ initContainers: [asks('1'), mesh], containers: [asks('500m')] })).toBe(1)
    expect(effective({ initContainers: [mesh], containers: [asks('500m')] })).toBe(0.8)
  })

  it('include the overhead of the runtime class, and the limits only where there are any', () => {
    const overhead = { cpu: '250m', memory: '120Mi' }
    expect(effective({ containers: [asks('500m')], overhead })).toBe(0.75)
    expect(pod({ spec: { containers: [asks('500m')], overhead } }).cpuLimit).toBe(0)
    const limited = { containers: [{ resources: { limits: { cpu: '1' } } }], overhead }
    expect(pod({ spec: limited }).cpuLimit).toBe(1.25)
  })

  it('are those of the pod as a whole where it states them (KEP-2837)', () => {
    expect(effective({ containers: [asks('500m')], resources: { requests: { cpu: '2' } } })).toBe(2)
  })

  it('hold what the kubelet has not given back yet while a pod is made smaller (KEP-1287)', () => {
    const status = {
      name: 'app',
      state: running,
      allocatedResources: { cpu: '1' },
      resources: { requests: { cpu: '800m' } },
    }
    const spec = { containers: [{ name: 'app', ...asks('500m') }] }
    expect(effective(spec, { containerStatuses: [status] })).toBe(1)
    expect(effective(spec)).toBe(0.5)
  })
})

describe("a pod's row", () => {
  const full = {
    metadata: {
      creationTimestamp: '2026-11-23T04:30:00Z',
      labels: { app: 'web' },
      ownerReferences: [
        { apiVersion: 'v1', kind: 'ConfigMap', name: 'not-a-controller', uid: 'x' },
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', uid: 'rs', controller: true },
      ],
    },
    spec: {
      nodeName: 'node-1',
      serviceAccountName: 'web',
      initContainers: [{ name: 'init', image: 'init:1' }],
      containers: [
        {
          name: 'app',
          image: 'web:1',
          ports: [{ name: 'http', containerPort: 8080 }],
          env: [{ name: 'PASSWORD', value: 'hunter2' }],
          volumeMounts: [
            { name: 'data', mountPath: '/data' },
            { name: 'kube-api-access-x7k2p', mountPath: '/var/run/secrets', readOnly: true },
          ],
        },
      ],
      volumes: [
        { name: 'data', persistentVolumeClaim: { claimName: 'web-data' } },
        { name: 'kube-api-access-x7k2p', projected: { sources: [] } },
        { name: 'keys', secret: { secretName: 'web-keys' } },
        { name: 'tmp', emptyDir: {} },
      ],
    },
    status: {
      podIP: '10.0.0.7',
      hostIP: '10.0.1.1',
      startTime: '2026-11-23T04:30:01Z',
      conditions: [{ ...ready, lastTransitionTime: '2026-11-23T04:31:00Z' }],
      initContainerStatuses: [
        container(
          'init',
          terminated({ exitCode: 0, reason: 'Completed', finishedAt: '2026-11-23T04:30:30Z' }),
        ),
      ],
      containerStatuses: [container('app', running, { started: true, image: 'resolved@sha256:1' })],
    },
  }
  const at = (time: string) => Date.parse(`2026-11-23T${time}Z`) / 1000

  it('puts containers and their states together, init containers first', () => {
    const row = pod(full)
    expect(row.containers).toMatchObject([
      {
        spec: { name: 'init', image: 'init:1', type: 'INIT' },
        status: { state: 'TERMINATED', reason: 'Completed', exitCode: 0, since: at('04:30:30') },
      },
      {
        spec: {
          name: 'app',
          image: 'web:1',
          type: 'MAIN',
          ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
        },
        status: { state: 'RUNNING', ready: true, exitCode: null, since: at('04:31:00'), lastReason: null },
      },
    ])
    expect(row.conditions).toEqual([
      { type: 'Ready', status: 'True', reason: null, message: null, lastTransitionTime: at('04:31:00') },
    ])
    expect(row.images).toEqual(['init:1', 'web:1'])
    expect(row.runningImages).toEqual(['web:1'])
    expect(row).toMatchObject({ ready: true, readyContainers: 1, creationTimestamp: at('04:30:00') })
    expect(row.owner).toEqual({ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', uid: 'rs' })
  })

  it('has no status for a container that the kubelet has not reported', () => {
    expect(pod({}).containers).toMatchObject([{ spec: { name: 'app' }, status: null }])
  })

  it('says where volumes come from, and cuts the random suffix of the token volume', () => {
    const row = pod(full)
    expect(row.volumes).toEqual([
      { name: 'data', type: 'persistentVolumeClaim', source: 'web-data' },
      { name: 'kube-api-access', type: 'projected', source: null },
      { name: 'keys', type: 'secret', source: 'web-keys' },
      { name: 'tmp', type: 'emptyDir', source: null },
    ])
    expect(row.containers[1]!.spec.volumeMounts[1]!.name).toBe('kube-api-access')
  })

  it('holds no value of an environment variable', () => {
    expect(JSON.stringify(pod(full))).not.toContain('hunter2')
  })

  it('shares with its siblings all but identity and times', () => {
    const one = pod(full)
    const other = pod({
      ...full,
      metadata: { ...full.metadata, name: 'web-1' },
      spec: JSON.parse(JSON.stringify(full.spec).replaceAll('x7k2p', 'zzzzz')),
    })
    expect(other.name).toBe('web-1')
    expect(other.labels).toBe(one.labels)
    expect(other.owner).toBe(one.owner)
    expect(other.volumes).toBe(one.volumes)
    expect(other.images).toBe(one.images)
    expect(other.containers[1]!.spec).toBe(one.containers[1]!.spec)
    expect(Object.isFrozen(one.labels) && Object.isFrozen(one.volumes)).toBe(true)
  })

  it('does not share what only looks alike', () => {
    const restarted = { ...full.status, containerStatuses: [container('app', running, { restartCount: 1 })] }
    expect(pod({ ...full, status: restarted }).restarts).toBe(1)
    expect(pod(full).restarts).toBe(0)
    const message = (message: string) =>
      pod({ status: { phase: 'Failed', reason: 'Evicted', message } }).message
    expect([message('one'), message('two')]).toEqual(['one', 'two'])
  })

  it('becomes a plain object of the same fields as JSON', () => {
    const row = pod(full)
    const plain = JSON.parse(JSON.stringify(row)) as PodRow
    expect(plain).toMatchObject({ kind: 'Pod', status: row.status, nodeName: 'node-1', cpuRequest: 0 })
    expect(plain.containers).toEqual(JSON.parse(JSON.stringify(row.containers)))
  })
})
