import { describe, expect, it } from 'vitest'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import type { Kind, Rows } from '../../../src/kubernetes/rows.ts'

function row<K extends Kind>(kind: K, object: object, metadata: object = {}): Rows[K] {
  return project(kind)(
    { metadata: { name: 'x', namespace: 'shop', uid: 'u', ...metadata }, ...object },
    'prod',
  )
}

const seconds = (time: string) => Date.parse(time) / 1000

describe('Node', () => {
  it('has its roles, taints, resources and readiness', () => {
    const node = row(
      'Node',
      {
        spec: { unschedulable: true, taints: [{ key: 'gpu', effect: 'NoSchedule' }], podCIDR: '10.0.0.0/24' },
        status: {
          capacity: { cpu: '4', memory: '16Gi', 'nvidia.com/gpu': '1' },
          allocatable: { cpu: '3920m' },
          conditions: [
            { type: 'MemoryPressure', status: 'False' },
            { type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown' },
          ],
          nodeInfo: { kubeletVersion: 'v1.34.1', architecture: 'arm64' },
          addresses: [{ type: 'InternalIP', address: '10.0.1.1' }],
        },
      },
      {
        labels: {
          'node-role.kubernetes.io/worker': '',
          'node-role.kubernetes.io/': '',
          'kubernetes.io/role': 'edge',
        },
      },
    )
    expect(node).toMatchObject({
      ready: 'Unknown',
      unschedulable: true,
      roles: ['edge', 'worker'],
      taints: [{ key: 'gpu', value: null, effect: 'NoSchedule' }],
      kubeletVersion: 'v1.34.1',
      architecture: 'arm64',
      addresses: [{ type: 'InternalIP', address: '10.0.1.1' }],
    })
    expect(node.capacity['memory']).toEqual({ text: '16Gi', value: 16 * 2 ** 30 })
    expect(node.allocatable['cpu']).toEqual({ text: '3920m', value: 3.92 })
  })
})

describe('Service', () => {
  it('has ports as written, and no selector where an empty one selects nothing', () => {
    const service = row('Service', {
      spec: {
        type: 'LoadBalancer',
        clusterIP: '10.96.0.7',
        ports: [
          { name: 'http', port: 80, targetPort: 'web', nodePort: 30080 },
          { port: 81, targetPort: 8081 },
        ],
        selector: {},
      },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { hostname: 'lb.example.com' }] } },
    })
    expect(service.ports).toEqual([
      { name: 'http', port: 80, protocol: 'TCP', appProtocol: null, targetPort: 'web', nodePort: 30080 },
      { name: null, port: 81, protocol: 'TCP', appProtocol: null, targetPort: '8081', nodePort: null },
    ])
    expect(service.selector).toBeNull()
    expect(service.loadBalancer).toEqual([
      { ip: '192.0.2.1', hostname: null },
      { ip: null, hostname: 'lb.example.com' },
    ])
  })
})

describe('EndpointSlice', () => {
  const metadata = { labels: { 'kubernetes.io/service-name': 'web' } }

  it('reads v1', () => {
    const slice = row(
      'EndpointSlice',
      {
        addressType: 'IPv4',
        endpoints: [
          {
            addresses: ['10.0.0.7'],
            conditions: { ready: true },
            nodeName: 'node-1',
            targetRef: { kind: 'Pod', name: 'web-0' },
          },
          { addresses: ['10.0.0.8'], conditions: { ready: false } },
          { addresses: ['10.0.0.9'], conditions: {} },
        ],
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      },
      metadata,
    )
    expect(slice).toMatchObject({
      serviceName: 'web',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    })
    expect(slice.endpoints[0]).toEqual({
      addresses: ['10.0.0.7'],
      ready: true,
      nodeName: 'node-1',
      targetKind: 'Pod',
      targetName: 'web-0',
    })
    expect(slice.endpoints.map(({ ready }) => ready)).toEqual([true, false, true])
  })

  it('reads v1beta1, which has the node among the topology, and lists that are null', () => {
    const topology = { 'kubernetes.io/hostname': 'node-1' }
    const slice = row(
      'EndpointSlice',
      { endpoints: [{ addresses: ['10.0.0.7'], topology }], ports: null },
      metadata,
    )
    expect(slice.endpoints[0]!.nodeName).toBe('node-1')
    expect(slice.ports).toEqual([])
    expect(row('EndpointSlice', { endpoints: null }).endpoints).toEqual([])
  })
})

describe('Ingress', () => {
  it('reads v1 and v1beta1 to the same row', () => {
    const v1 = row('Ingress', {
      spec: {
        ingressClassName: 'nginx',
        rules: [
          {
            host: 'shop.example.com',
            http: {
              paths: [
                {
                  path: '/api',
                  pathType: 'Prefix',
                  backend: { service: { name: 'api', port: { number: 80 } } },
                },
              ],
            },
          },
        ],
        defaultBackend: { service: { name: 'web', port: { name: 'http' } } },
        tls: [{ hosts: ['shop.example.com'], secretName: 'cert' }],
      },
    })
    const v1beta1 = row(
      'Ingress',
      {
        spec: {
          rules: [
            {
              host: 'shop.example.com',
              http: {
                paths: [
                  { path: '/api', pathType: 'Prefix', backend: { serviceName: 'api', servicePort: 80 } },
                ],
              },
            },
          ],
          backend: { serviceName: 'web', servicePort: 'http' },
          tls: [{ hosts: ['shop.example.com'] }],
        },
      },
      { annotations: { 'kubernetes.io/ingress.class': 'nginx' } },
    )
    expect(v1.paths).toEqual([
      { host: 'shop.example.com', path: '/api', pathType: 'Prefix', serviceName: 'api', servicePort: '80' },
      { host: null, path: '/', pathType: 'ImplementationSpecific', serviceName: 'web', servicePort: 'http' },
    ])
    expect(v1beta1).toEqual(v1)
  })
})

describe('HorizontalPodAutoscaler', () => {
  const target = { scaleTargetRef: { kind: 'Deployment', name: 'web' }, minReplicas: 2, maxReplicas: 9 }

  it('reads metrics of v2 and v2beta2 as kubectl prints them', () => {
    const hpa = row('HorizontalPodAutoscaler', {
      spec: {
        ...target,
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } },
          },
          {
            type: 'Resource',
            resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '500Mi' } },
          },
          { type: 'Pods', pods: { metric: { name: 'rps' }, target: { averageValue: '1k' } } },
          { type: 'External', external: { metric: { name: 'queue' }, target: { averageValue: '30' } } },
        ],
      },
      status: {
        currentReplicas: 3,
        desiredReplicas: 4,
        currentMetrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', current: { averageUtilization: 42, averageValue: '84m' } },
          },
          { type: 'External', external: { metric: { name: 'queue' }, current: { averageValue: '12' } } },
        ],
      },
    })
    expect(hpa).toMatchObject({
      targetKind: 'Deployment',
      targetName: 'web',
      minReplicas: 2,
      desiredReplicas: 4,
    })
    expect(hpa.metrics).toEqual([
      { type: 'Resource', name: 'cpu', target: '80%', current: '42%' },
      { type: 'Resource', name: 'memory', target: '500Mi', current: null },
      { type: 'Pods', name: 'rps', target: '1k', current: null },
      { type: 'External', name: 'queue', target: '30 (avg)', current: '12 (avg)' },
    ])
  })

  it('reads v1, which knows nothing but CPU', () => {
    const hpa = row('HorizontalPodAutoscaler', {
      spec: { ...target, targetCPUUtilizationPercentage: 80 },
      status: { currentCPUUtilizationPercentage: 42 },
    })
    expect(hpa.metrics).toEqual([{ type: 'Resource', name: 'cpu', target: '80%', current: '42%' }])
  })
})

describe('Event', () => {
  it('has the time and count of its series, of itself, or of its one occurrence', () => {
    const series = { count: 7, lastObservedTime: '2026-11-23T04:40:00.123456Z' }
    expect(row('Event', { eventTime: '2026-11-23T04:30:00.000000Z', series })).toMatchObject({
      count: 7,
      firstSeen: seconds('2026-11-23T04:30:00Z'),
      lastSeen: seconds('2026-11-23T04:40:00Z'),
    })
    const times = { firstTimestamp: '2026-11-23T04:30:00Z', lastTimestamp: '2026-11-23T04:35:00Z', count: 3 }
    expect(row('Event', times)).toMatchObject({ count: 3, lastSeen: seconds('2026-11-23T04:35:00Z') })
    const once = { firstTimestamp: null, lastTimestamp: null, eventTime: '2026-11-23T04:30:00.000000Z' }
    expect(row('Event', once)).toMatchObject({ count: 1, lastSeen: seconds('2026-11-23T04:30:00Z') })
  })

  it('says what it regards and who reports it', () => {
    const event = row('Event', {
      type: 'Warning',
      reason: 'BackOff',
      message: 'Back-off restarting failed container',
      involvedObject: { kind: 'Pod', namespace: 'shop', name: 'web-0', uid: 'pod' },
      source: {},
      reportingComponent: 'kubelet',
    })
    expect(event).toMatchObject({
      source: 'kubelet',
      regardingKind: 'Pod',
      regardingUid: 'pod',
      type: 'Warning',
    })
  })
})

describe('storage', () => {
  it('a claim and its volume name each other', () => {
    const claim = row('PersistentVolumeClaim', {
      spec: { volumeName: 'pv-1', storageClassName: 'fast', resources: { requests: { storage: '10Gi' } } },
      status: { phase: 'Bound', capacity: { storage: '12Gi' }, accessModes: ['ReadWriteOnce'] },
    })
    expect(claim).toMatchObject({ phase: 'Bound', volumeName: 'pv-1', accessModes: ['ReadWriteOnce'] })
    expect([claim.requested?.text, claim.capacity?.text]).toEqual(['10Gi', '12Gi'])
    const volume = row('PersistentVolume', {
      spec: {
        capacity: { storage: '12Gi' },
        nodeAffinity: { required: {} },
        csi: { driver: 'ebs.csi.aws.com' },
        claimRef: { namespace: 'shop', name: 'x' },
      },
      status: { phase: 'Bound' },
    })
    expect(volume).toMatchObject({
      source: 'csi',
      csiDriver: 'ebs.csi.aws.com',
      claimNamespace: 'shop',
      claimName: 'x',
    })
  })

  it('a ConfigMap shows its keys and none of its values', () => {
    const map = row('ConfigMap', { data: { b: 'hunter2' }, binaryData: { a: 'aHVudGVyMg==' } })
    expect(map.keys).toEqual(['a', 'b'])
    expect(JSON.stringify(map)).not.toMatch(/hunter2|aHVudGVyMg/)
  })

  it('a StorageClass knows whether it is the default', () => {
    const annotations = { 'storageclass.kubernetes.io/is-default-class': 'true' }
    expect(row('StorageClass', { provisioner: 'p' }, { annotations }).isDefault).toBe(true)
    expect(row('StorageClass', { provisioner: 'p' }).isDefault).toBe(false)
  })

  it('a quota shows what is enforced', () => {
    const quota = row('ResourceQuota', {
      spec: { hard: { pods: '20' } },
      status: { hard: { pods: '10' }, used: { pods: '3' } },
    })
    expect(quota.hard['pods']).toEqual({ text: '10', value: 10 })
    expect(row('ResourceQuota', { spec: { hard: { pods: '20' } } }).hard['pods']?.value).toBe(20)
  })
})
