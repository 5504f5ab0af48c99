import { describe, expect, it } from 'vitest'
import { composeAutoscaler } from '../../../src/writes/compose/autoscale.ts'
import { ComposeError } from '../../../src/writes/compose/compose-error.ts'
import { composeExposure } from '../../../src/writes/compose/expose.ts'
import type { ExposeSpec, ExposeTarget } from '../../../src/writes/compose/expose-spec.ts'

const WEB: ExposeSpec = { name: 'web', namespace: 'shop' }
const TARGET: ExposeTarget = {
  selector: { matchLabels: { app: 'web' }, matchExpressions: [] },
  ports: [
    { name: 'http', containerPort: 8080, protocol: 'TCP' },
    { name: null, containerPort: 9090, protocol: 'TCP' },
  ],
}
const LABELS = { 'app.kubernetes.io/managed-by': 'fleetgraph' }

function fault(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    if (error instanceof ComposeError) return error.argument
    throw error
  }
  throw new Error('It was not refused.')
}

describe('a Service', () => {
  it('takes the selector and the ports of its workload where none are named', () => {
    expect(composeExposure(WEB, TARGET)).toEqual({
      service: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web', namespace: 'shop', labels: LABELS },
        spec: {
          type: 'ClusterIP',
          selector: { app: 'web' },
          ports: [
            { name: 'http', port: 8080, targetPort: 8080, protocol: 'TCP' },
            { name: 'tcp-9090', port: 9090, targetPort: 9090, protocol: 'TCP' },
          ],
        },
      },
      ingress: null,
    })
  })

  it('has an Ingress before it, for its first port and all hosts unless said otherwise', () => {
    const ports = [{ port: 80, targetPort: 'http' }]
    const { service, ingress } = composeExposure({ ...WEB, ports, ingress: {} }, TARGET)
    expect(service['spec']).toMatchObject({ ports: [{ port: 80, targetPort: 'http', protocol: 'TCP' }] })
    expect(ingress).toEqual({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: { name: 'web', namespace: 'shop', labels: LABELS },
      spec: {
        rules: [
          {
            http: {
              paths: [
                {
                  path: '/',
                  pathType: 'Prefix',
                  backend: { service: { name: 'web', port: { number: 80 } } },
                },
              ],
            },
          },
        ],
      },
    })
    const secure = composeExposure(
      {
        ...WEB,
        ingress: { host: 'a.example.com', tlsSecret: 'cert', className: 'nginx', servicePort: 'tcp-9090' },
      },
      TARGET,
    )
    expect(secure.ingress!['spec']).toMatchObject({
      ingressClassName: 'nginx',
      tls: [{ hosts: ['a.example.com'], secretName: 'cert' }],
      rules: [
        { host: 'a.example.com', http: { paths: [{ backend: { service: { port: { number: 9090 } } } }] } },
      ],
    })
  })

  it('of the type ExternalName needs no workload, and a headless one no ports', () => {
    const external = composeExposure({ ...WEB, type: 'ExternalName', externalName: 'db.example.com' }, null)
    expect(external.service['spec']).toEqual({ type: 'ExternalName', externalName: 'db.example.com' })
    const headless = composeExposure({ ...WEB, headless: true }, { ...TARGET, ports: [] })
    expect(headless.service['spec']).toEqual({
      type: 'ClusterIP',
      clusterIP: 'None',
      selector: { app: 'web' },
    })
  })

  const two = [{ port: 80 }, { port: 81 }]
  const expression = { key: 'a', operator: 'Exists' as const, values: [] }
  const faults: [string, Partial<ExposeSpec>, (ExposeTarget | null)?][] = [
    ['name', { name: '1web' }],
    ['name', {}, { ...TARGET, selector: null }],
    ['name', { ports: [{ port: 80 }] }, null],
    ['name', {}, { ...TARGET, selector: { matchLabels: { a: 'b' }, matchExpressions: [expression] } }],
    ['namespace', { namespace: '../x' }],
    ['ports', {}, { ...TARGET, ports: [] }],
    ['ports[0].name', { ports: two }],
    [
      'ports[1]',
      {
        ports: [
          { port: 80, name: 'a' },
          { port: 80, name: 'b' },
        ],
      },
    ],
    [
      'ports[1].name',
      {
        ports: [
          { port: 80, name: 'a' },
          { port: 81, name: 'a' },
        ],
      },
    ],
    ['ports[0].port', { ports: [{ port: 70_000 }] }],
    ['ports[0].nodePort', { ports: [{ port: 80, nodePort: 30_000 }] }],
    ['headless', { type: 'LoadBalancer', headless: true }],
    ['externalName', { externalName: 'x' }],
    ['externalName', { type: 'ExternalName' }],
    ['loadBalancerClass', { loadBalancerClass: 'x' }],
    ['loadBalancerSourceRanges[0]', { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.0/33'] }],
    ['externalTrafficPolicy', { externalTrafficPolicy: 'Local' }],
    ['labels["app.kubernetes.io/managed-by"]', { labels: { 'app.kubernetes.io/managed-by': 'me' } }],
    ['ingress.host', { ingress: { host: '10.0.0.1' } }],
    ['ingress.host', { ingress: { host: 'a.*.example.com' } }],
    ['ingress.path', { ingress: { path: 'api' } }],
    ['ingress.path', { ingress: { path: '/a/../b' } }],
    ['ingress.servicePort', { ingress: { servicePort: 1 } }],
    ['ingress.servicePort', { headless: true, ingress: {} }, { ...TARGET, ports: [] }],
  ]
  it.each(faults)('is refused for its %s: %j', (argument, spec, target = TARGET) => {
    expect(fault(() => composeExposure({ ...WEB, ...spec }, target))).toBe(argument)
  })
})

describe('an autoscaler', () => {
  const target = { kind: 'Deployment', name: 'web' }

  it('looks at the processor where no metric is named', () => {
    expect(composeAutoscaler({ namespace: 'shop', target, maxReplicas: 5 })).toEqual({
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name: 'web', namespace: 'shop', labels: LABELS },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        maxReplicas: 5,
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } },
          },
        ],
      },
    })
  })

  it('waits as long as it is told before it scales down', () => {
    const { spec } = composeAutoscaler({
      namespace: 'shop',
      target,
      maxReplicas: 5,
      memoryUtilization: 70,
      scaleDownStabilizationSeconds: 0,
    }) as { spec?: object }
    expect(spec).toMatchObject({
      metrics: [{ resource: { name: 'memory' } }],
      behavior: { scaleDown: { stabilizationWindowSeconds: 0 } },
    })
  })

  it.each([
    ['maxReplicas', { maxReplicas: 0 }],
    ['maxReplicas', { minReplicas: 6 }],
    ['minReplicas', { minReplicas: 0 }],
    ['cpuUtilization', { cpuUtilization: 0 }],
    ['scaleDownStabilizationSeconds', { scaleDownStabilizationSeconds: 3601 }],
    ['target.kind', { target: { kind: '../x', name: 'a' } }],
    ['target.apiVersion', { target: { ...target, apiVersion: 'v1/../../x' } }],
    ['target.name', { name: 'a', target: { ...target, name: 'A' } }],
  ])('is refused for its %s: %j', (argument, spec) => {
    expect(fault(() => composeAutoscaler({ namespace: 'shop', target, maxReplicas: 5, ...spec }))).toBe(
      argument,
    )
  })
})
