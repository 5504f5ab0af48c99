import { afterEach, describe, expect, test } from 'vitest'
import {
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  ENDPOINTS,
  PODS,
  SERVICES,
  STATEFUL_SETS,
} from '../../../src/simulator/controllers/objects.ts'
import { byText, selecting, SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

interface Endpoint {
  readonly addresses: readonly string[]
  readonly conditions: { readonly ready: boolean; readonly serving: boolean; readonly terminating: boolean }
  readonly hostname?: string
  readonly nodeName?: string
  readonly targetRef: { readonly name: string }
}

function web(replicas: number, container: object = {}): void {
  cluster.create(DEPLOYMENTS, 'web', {
    spec: {
      replicas,
      selector: selecting('web'),
      template: template('web', { ports: [{ name: 'http', containerPort: 8080 }], ...container }),
    },
  })
}

function serve(spec: object = {}): void {
  cluster.create(SERVICES, 'web', {
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }], ...spec },
  })
}

function endpoints(): readonly Endpoint[] {
  return cluster.all(ENDPOINT_SLICES).flatMap((slice) => (slice.endpoints ?? []) as Endpoint[])
}

describe('the endpoints of a service', () => {
  test('are the addresses of the ready pods that it selects, with the port that the name stands for', () => {
    serve()
    web(3)
    cluster.after(20)
    const [slice] = cluster.all(ENDPOINT_SLICES)
    expect(slice?.metadata.labels).toMatchObject({
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    })
    expect(slice).toMatchObject({
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    })
    expect(
      endpoints()
        .map(({ addresses }) => addresses[0])
        .toSorted(byText),
    ).toEqual(
      cluster
        .pods()
        .map(({ status }) => status?.podIP)
        .toSorted(byText),
    )
    expect(
      endpoints().every(
        ({ conditions }) => conditions.ready && conditions.serving && !conditions.terminating,
      ),
    ).toBe(true)
    expect(cluster.get(ENDPOINTS, 'web')['subsets']).toMatchObject([
      { addresses: [{}, {}, {}], ports: [{ name: 'http', port: 8080, protocol: 'TCP' }] },
    ])
  })

  test('tell a pod that is not ready, and one that is terminating', () => {
    serve()
    web(2, { readinessProbe: { httpGet: { path: '/', port: 8080 }, initialDelaySeconds: 30 } })
    cluster.after(20)
    expect(endpoints().map(({ conditions }) => conditions.ready)).toEqual([false, false])
    cluster.after(40)
    expect(endpoints().map(({ conditions }) => conditions.ready)).toEqual([true, true])
    const name = cluster.pods()[0]?.metadata.name ?? ''
    cluster.delete(PODS, name)
    cluster.after(0.1)
    expect(endpoints().find(({ targetRef }) => targetRef.name === name)?.conditions).toEqual({
      ready: false,
      serving: true,
      terminating: true,
    })
    cluster.after(10)
    expect(endpoints().some(({ targetRef }) => targetRef.name === name)).toBe(false)
  })

  test('are spread over slices of a hundred', () => {
    cluster.close()
    cluster = new SmallCluster({ nodes: 4 })
    serve()
    web(230)
    cluster.after(60)
    expect(
      cluster
        .all(ENDPOINT_SLICES)
        .map(({ endpoints }) => endpoints?.length)
        .toSorted(byText),
    ).toEqual([100, 100, 30])
    cluster.change(DEPLOYMENTS, 'web', { replicas: 5 })
    cluster.after(60)
    expect(cluster.all(ENDPOINT_SLICES).map(({ endpoints }) => endpoints?.length)).toEqual([5])
  })

  test('of a headless service carry the names of a StatefulSet’s pods', () => {
    serve({ clusterIP: 'None' })
    cluster.create(STATEFUL_SETS, 'web', {
      spec: {
        replicas: 2,
        serviceName: 'web',
        selector: selecting('web'),
        template: template('web', { ports: [{ name: 'http', containerPort: 8080 }] }),
      },
    })
    cluster.after(40)
    expect(
      endpoints()
        .map(({ hostname }) => hostname)
        .toSorted(byText),
    ).toEqual(['web-0', 'web-1'])
  })

  test('go with the service', () => {
    serve()
    web(1)
    cluster.after(20)
    cluster.delete(SERVICES, 'web')
    cluster.after(5)
    expect([...cluster.all(ENDPOINT_SLICES), ...cluster.all(ENDPOINTS)]).toEqual([])
  })

  test('are nobody’s business without a selector', () => {
    cluster.create(SERVICES, 'outside', { spec: { ports: [{ port: 80 }] } })
    cluster.after(5)
    expect(cluster.all(ENDPOINT_SLICES)).toEqual([])
  })
})

describe('a LoadBalancer service', () => {
  test('gets an address after a few seconds, and loses it when it is none any more', () => {
    serve({ type: 'LoadBalancer' })
    const ingress = () => cluster.get(SERVICES, 'web').status?.loadBalancer?.ingress
    cluster.after(1)
    expect(ingress()).toBeUndefined()
    cluster.after(9)
    expect(ingress()).toEqual([{ ip: expect.stringMatching(/^198\.1[89]\./), ipMode: 'VIP' }])
    expect(cluster.eventsOf('web')).toEqual([
      'EnsuringLoadBalancer: Ensuring load balancer',
      'EnsuredLoadBalancer: Ensured load balancer',
    ])
    cluster.change(SERVICES, 'web', { type: 'ClusterIP' })
    cluster.after(1)
    expect(ingress()).toBeUndefined()
  })

  test('of another class is left alone', () => {
    serve({ type: 'LoadBalancer', loadBalancerClass: 'example.com/metal' })
    cluster.after(60)
    expect(cluster.get(SERVICES, 'web').status?.loadBalancer).toEqual({})
  })
})
