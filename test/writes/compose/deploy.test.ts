import { describe, expect, it } from 'vitest'
import { ComposeError } from '../../../src/writes/compose/compose-error.ts'
import { composeWorkload } from '../../../src/writes/compose/deploy.ts'
import type { DeployOverrides, DeploySpec } from '../../../src/writes/compose/deploy-spec.ts'

const WEB: DeploySpec = {
  name: 'web',
  namespace: 'shop',
  kind: 'Deployment',
  containers: [{ image: 'nginx:1.29' }],
}

function only(spec: Partial<DeploySpec>, overrides?: DeployOverrides) {
  const { objects } = composeWorkload({ ...WEB, ...spec }, overrides)
  return objects.at(-1) as never as { metadata: object; spec: Record<string, never> }
}

/** The argument at fault. */
function fault(spec: Partial<DeploySpec>, overrides?: DeployOverrides): string {
  try {
    composeWorkload({ ...WEB, ...spec }, overrides)
  } catch (error) {
    if (error instanceof ComposeError) return error.argument
    throw error
  }
  throw new Error('It was not refused.')
}

const LABELS = { 'app.kubernetes.io/name': 'web', 'app.kubernetes.io/managed-by': 'fleetgraph' }

describe('a workload', () => {
  it('of defaults has a name, an image, labels and a selector, and nothing that nobody asked for', () => {
    expect(composeWorkload(WEB)).toEqual({
      namespace: null,
      objects: [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'web', namespace: 'shop', labels: LABELS },
          spec: {
            selector: { matchLabels: { 'app.kubernetes.io/name': 'web' } },
            template: {
              metadata: { labels: LABELS },
              spec: { containers: [{ name: 'web', image: 'nginx:1.29' }] },
            },
          },
        },
      ],
    })
  })

  it('takes null for what is left out', () => {
    const left = { replicas: null, volumes: null, labels: null, strategy: null, schedule: null }
    expect(composeWorkload({ ...WEB, ...left })).toEqual(composeWorkload(WEB))
    expect(composeWorkload(WEB, { imageRegistry: null, replicas: null, env: null })).toEqual(
      composeWorkload(WEB),
    )
  })

  it('has the same selector whatever labels it is given, and a namespace where it is asked for', () => {
    const { namespace, objects } = composeWorkload({ ...WEB, labels: { team: 'a' }, createNamespace: true })
    expect(namespace).toEqual({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } })
    expect(objects[0]).toMatchObject({
      metadata: { labels: { ...LABELS, team: 'a' } },
      spec: {
        selector: { matchLabels: { 'app.kubernetes.io/name': 'web' } },
        template: { metadata: { labels: { ...LABELS, team: 'a' } } },
      },
    })
  })

  it('has its sidecars after its init containers, restarted always', () => {
    const { spec } = only({
      initContainers: [{ name: 'migrate', image: 'a' }],
      sidecars: [{ name: 'log', image: 'b' }],
    })
    expect(spec['template']).toMatchObject({
      spec: {
        initContainers: [
          { name: 'migrate', image: 'a' },
          { name: 'log', image: 'b', restartPolicy: 'Always' },
        ],
      },
    })
  })

  it('of the kind StatefulSet brings the headless Service that names its pods', () => {
    const containers = [
      { name: 'a', image: 'a', ports: [{ name: 'sql', containerPort: 5432 }] },
      { name: 'b', image: 'b', ports: [{ name: 'sql', containerPort: 5433 }, { containerPort: 5432 }] },
    ]
    const volumes = [{ name: 'data', claimTemplate: { storage: '10Gi' } }]
    const { objects } = composeWorkload({ ...WEB, kind: 'StatefulSet', containers, volumes })
    expect(objects).toMatchObject([
      {
        kind: 'Service',
        metadata: { name: 'web', namespace: 'shop' },
        spec: {
          clusterIP: 'None',
          selector: { 'app.kubernetes.io/name': 'web' },
          ports: [
            { name: 'sql', port: 5432, protocol: 'TCP' },
            { name: 'tcp-5433-2', port: 5433, protocol: 'TCP' },
          ],
        },
      },
      {
        kind: 'StatefulSet',
        spec: {
          serviceName: 'web',
          volumeClaimTemplates: [
            {
              metadata: { name: 'data' },
              spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Gi' } } },
            },
          ],
        },
      },
    ])
    const own = composeWorkload({ ...WEB, kind: 'StatefulSet', serviceName: 'peers' })
    expect(own.objects).toHaveLength(1)
  })

  it('of the kind CronJob has pods that no Service of a workload of its name finds', () => {
    const { spec } = only({ kind: 'CronJob', schedule: '0 3 * * *', backoffLimit: 2 })
    expect(spec).toEqual({
      schedule: '0 3 * * *',
      jobTemplate: {
        spec: {
          backoffLimit: 2,
          template: {
            metadata: { labels: { 'app.kubernetes.io/managed-by': 'fleetgraph' } },
            spec: { containers: [{ name: 'web', image: 'nginx:1.29' }], restartPolicy: 'Never' },
          },
        },
      },
    })
  })

  it('of the kind DaemonSet that surges misses no pod', () => {
    expect(only({ kind: 'DaemonSet', strategy: { maxSurge: '25%' } }).spec['updateStrategy']).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 },
    })
  })

  it.each([
    ['nginx', 'r.io/library/nginx'],
    ['nginx:1.29', 'r.io/library/nginx:1.29'],
    ['bitnami/redis', 'r.io/bitnami/redis'],
    ['docker.io/nginx', 'r.io/library/nginx'],
    ['docker.io/library/nginx', 'r.io/library/nginx'],
    ['localhost/nginx', 'r.io/nginx'],
    ['host:5000/nginx:1', 'r.io/nginx:1'],
    [`ghcr.io/a/b:1@sha256:${'0'.repeat(64)}`, `r.io/a/b:1@sha256:${'0'.repeat(64)}`],
  ])('has its image %s in another registry as %s', (image, expected) => {
    const { spec } = only({ containers: [{ image }] }, { imageRegistry: 'r.io' })
    expect(spec['template']).toMatchObject({ spec: { containers: [{ image: expected }] } })
  })

  it('has in one cluster the replicas and variables of that cluster', () => {
    const containers = [
      {
        name: 'a',
        image: 'a',
        env: [
          { name: 'REGION', value: '' },
          { name: 'X', value: '1' },
        ],
      },
      { name: 'b', image: 'b' },
    ]
    const initContainers = [{ name: 'i', image: 'i' }]
    const env = [
      { name: 'REGION', container: 'b', secret: { name: 's', key: 'k' } },
      { name: 'REGION', value: 'eu' },
    ]
    const { spec } = only({ containers, initContainers, replicas: 2 }, { replicas: 0, env })
    expect(spec['replicas']).toBe(0)
    expect(spec['template']).toMatchObject({
      spec: {
        initContainers: [{ name: 'i', image: 'i' }],
        containers: [
          {
            env: [
              { name: 'REGION', value: 'eu' },
              { name: 'X', value: '1' },
            ],
          },
          { env: [{ name: 'REGION', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] },
        ],
      },
    })
    expect(spec['template']).not.toHaveProperty('spec.initContainers.0.env')
  })

  it('mounts a path of its node only where that is allowed', () => {
    const spec = { ...WEB, volumes: [{ name: 'logs', hostPath: { path: '/var/log' } }] }
    expect(fault(spec)).toBe('volumes[0].hostPath')
    const { objects } = composeWorkload(spec, {}, { allowHostPath: true })
    expect(objects[0]).toMatchObject({
      spec: { template: { spec: { volumes: [{ name: 'logs', hostPath: { path: '/var/log' } }] } } },
    })
  })

  const image = 'nginx'
  const one = (container: object): Partial<DeploySpec> => ({ containers: [{ image, ...container }] })
  const faults: [string, Partial<DeploySpec>, DeployOverrides?][] = [
    ['name', { name: '../web' }],
    ['name', { name: 'x'.repeat(64) }],
    ['name', { name: 'x'.repeat(53), kind: 'CronJob', schedule: '@daily' }],
    ['name', { name: '1db', kind: 'StatefulSet' }],
    ['namespace', { namespace: '' }],
    ['containers', { containers: [] }],
    ['containers[0].name', { containers: [{ image }, { image, name: 'b' }] }],
    [
      'containers[1].name',
      {
        containers: [
          { image, name: 'b' },
          { image, name: 'b' },
        ],
      },
    ],
    ['sidecars[0].name', { sidecars: [{ image }] }],
    ['containers[0].name', { sidecars: [{ image, name: 'web' }] }],
    ['containers[0].image', one({ image: 'NGINX' })],
    ['containers[0].image', one({ image: ' nginx' })],
    ['containers[0].image', one({ image: 'https://docker.io/nginx' })],
    ['containers[0].env[0].name', one({ env: [{ name: '1' }] })],
    ['containers[0].env[1].name', one({ env: [{ name: 'A' }, { name: 'A' }] })],
    ['containers[0].env[0]', one({ env: [{ name: 'A', value: '', secret: { name: 'a', key: 'b' } }] })],
    ['containers[0].env[0].secret.key', one({ env: [{ name: 'A', secret: { name: 'a', key: '../x' } }] })],
    ['containers[0].env[0].field', one({ env: [{ name: 'A', field: 'spec.containers' }] })],
    ['containers[0].envFrom[0]', one({ envFrom: [{}] })],
    ['containers[0].ports[0].containerPort', one({ ports: [{ containerPort: 0 }] })],
    ['containers[0].ports[0].name', one({ ports: [{ containerPort: 1, name: 'HTTP' }] })],
    ['containers[0].ports[1]', one({ ports: [{ containerPort: 1 }, { containerPort: 1, name: 'a' }] })],
    ['containers[0].resources.requests.cpu', one({ resources: { requests: { cpu: 'much' } } })],
    [
      'containers[0].resources.requests',
      one({ resources: { requests: { cpu: '2' }, limits: { cpu: '1500m' } } }),
    ],
    [
      'containers[0].resources.requests.extended',
      one({ resources: { requests: { extended: { 'a.com/gpu': '1' } } } }),
    ],
    ['containers[0].livenessProbe', one({ livenessProbe: {} })],
    ['containers[0].livenessProbe.httpGet.port', one({ livenessProbe: { httpGet: { port: 'http' } } })],
    [
      'containers[0].livenessProbe.successThreshold',
      one({ livenessProbe: { grpc: { port: 1 }, successThreshold: 2 } }),
    ],
    [
      'containers[0].readinessProbe.periodSeconds',
      one({ readinessProbe: { grpc: { port: 1 }, periodSeconds: 0 } }),
    ],
    [
      'initContainers[0].readinessProbe',
      { initContainers: [{ name: 'i', image, readinessProbe: { grpc: { port: 1 } } }] },
    ],
    ['containers[0].mounts[0].volume', one({ mounts: [{ volume: 'data', mountPath: '/data' }] })],
    ['containers[0].security.addCapabilities[0]', one({ security: { addCapabilities: ['CAP_NET_RAW'] } })],
    ['volumes[0]', { volumes: [{ name: 'a' }] }],
    ['volumes[0]', { volumes: [{ name: 'a', emptyDir: {}, claim: { name: 'b' } }] }],
    [
      'volumes[1].name',
      {
        volumes: [
          { name: 'a', emptyDir: {} },
          { name: 'a', emptyDir: {} },
        ],
      },
    ],
    ['volumes[0].claimTemplate', { volumes: [{ name: 'a', claimTemplate: { storage: '1Gi' } }] }],
    [
      'volumes[0].claimTemplate.storage',
      { kind: 'StatefulSet', volumes: [{ name: 'a', claimTemplate: { storage: '0' } }] },
    ],
    ['replicas', { kind: 'DaemonSet', replicas: 1 }],
    ['replicas', { replicas: -1 }],
    ['schedule', { schedule: '@daily' }],
    ['schedule', { kind: 'CronJob' }],
    ['schedule', { kind: 'CronJob', schedule: '0 3 * * 7' }],
    ['schedule', { kind: 'CronJob', schedule: 'TZ=UTC 0 3 * * *' }],
    ['timeZone', { kind: 'CronJob', schedule: '@daily', timeZone: 'Middle/Earth' }],
    ['strategy.type', { strategy: { type: 'OnDelete' } }],
    ['strategy.maxSurge', { strategy: { type: 'Recreate', maxSurge: 1 } }],
    ['strategy.maxUnavailable', { strategy: { maxSurge: 0, maxUnavailable: '0%' } }],
    ['strategy.maxUnavailable', { strategy: { maxUnavailable: '101%' } }],
    ['strategy.maxUnavailable', { kind: 'DaemonSet', strategy: { maxSurge: 1, maxUnavailable: 1 } }],
    ['strategy.maxUnavailable', { kind: 'DaemonSet', strategy: { maxUnavailable: 0 } }],
    ['labels["app.kubernetes.io/name"]', { labels: { 'app.kubernetes.io/name': 'x' } }],
    ['labels["a"]', { labels: { a: 'b c' } }],
    ['annotations["a/b/c"]', { annotations: { 'a/b/c': '' } }],
    ['annotations', { annotations: { a: 'x'.repeat(300_000) } }],
    ['nodeSelector["a"]', { nodeSelector: { a: '-' } }],
    ['tolerations[0].key', { tolerations: [{ value: 'a' }] }],
    ['tolerations[0].tolerationSeconds', { tolerations: [{ key: 'a', tolerationSeconds: 1 }] }],
    ['imagePullSecrets[1]', { imagePullSecrets: ['a', 'a'] }],
    ['overrides.imageRegistry', {}, { imageRegistry: 'mirror' }],
    ['overrides.imageRegistry', {}, { imageRegistry: 'https://r.io' }],
    ['overrides.env[0].container', {}, { env: [{ name: 'A', container: 'x' }] }],
    ['overrides.env[0].name', {}, { env: [{ name: '' }] }],
    ['overrides.replicas', { kind: 'Job' }, { replicas: 1 }],
  ]
  it.each(faults)('is refused for its %s: %j %j', (argument, spec, overrides) => {
    expect(fault(spec, overrides)).toBe(argument)
  })

  it('says what to do in a sentence that begins with the argument', () => {
    expect(() => composeWorkload({ ...WEB, containers: [{ image, env: [{ name: '1' }] }] })).toThrow(
      'containers[0].env[0].name: "1" is no name of an environment variable: use letters, digits, `_`, `-` and `.`, and no digit first.',
    )
  })
})
