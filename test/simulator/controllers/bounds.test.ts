import { afterEach, describe, expect, test } from 'vitest'
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  EVENTS,
  HORIZONTAL_POD_AUTOSCALERS,
  PODS,
  POD_DISRUPTION_BUDGETS,
  RESOURCE_QUOTAS,
} from '../../../src/simulator/controllers/objects.ts'
import { conditionOf } from '../../../src/simulator/controllers/pod-template.ts'
import { selecting, SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

const requests = { resources: { requests: { cpu: '100m', memory: '64Mi' } } }

function web(replicas: number): void {
  cluster.create(DEPLOYMENTS, 'web', {
    spec: { replicas, selector: selecting('web'), template: template('web', requests) },
  })
}

describe('a HorizontalPodAutoscaler', () => {
  function autoscaler(minReplicas: number, maxReplicas: number): void {
    cluster.create(HORIZONTAL_POD_AUTOSCALERS, 'web', {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        minReplicas,
        maxReplicas,
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } },
          },
        ],
      },
    })
  }
  const replicas = () => cluster.get(DEPLOYMENTS, 'web').spec.replicas
  const condition = (type: string) =>
    conditionOf(cluster.get(HORIZONTAL_POD_AUTOSCALERS, 'web').status?.conditions, type)

  test('holds its target within its bounds', () => {
    web(1)
    autoscaler(3, 5)
    cluster.after(10)
    expect(replicas()).toBe(3)
    cluster.change(DEPLOYMENTS, 'web', { replicas: 9 })
    cluster.after(10)
    expect(replicas()).toBe(5)
    expect(cluster.get(HORIZONTAL_POD_AUTOSCALERS, 'web').status).toMatchObject({ desiredReplicas: 5 })
    expect(cluster.eventsOf('web').join()).toContain(
      'SuccessfulRescale: New size: 3; reason: Current number of replicas below Spec.MinReplicas',
    )
  })

  test('follows the load up and down by the documented formula', () => {
    let load = 100
    cluster.close()
    cluster = new SmallCluster({ utilization: () => load })
    web(2)
    autoscaler(1, 20)
    cluster.after(10)
    expect(replicas()).toBe(4)
    load = 52
    cluster.after(60)
    expect(condition('AbleToScale')).toMatchObject({ status: 'True', reason: 'ReadyForNewScale' })
    const held = replicas() ?? 0
    load = 25
    cluster.after(15)
    expect(replicas()).toBe(Math.ceil(held / 2))
  })

  test('leaves a target of zero replicas alone, and says when there is no target', () => {
    web(0)
    autoscaler(2, 4)
    cluster.after(20)
    expect(replicas()).toBe(0)
    expect(condition('ScalingActive')).toMatchObject({ status: 'False', reason: 'ScalingDisabled' })
    cluster.delete(DEPLOYMENTS, 'web')
    cluster.after(20)
    expect(condition('AbleToScale')).toMatchObject({ status: 'False', reason: 'FailedGetScale' })
  })
})

describe('a PodDisruptionBudget', () => {
  function budget(spec: object): void {
    cluster.create(POD_DISRUPTION_BUDGETS, 'web', { spec: { selector: selecting('web'), ...spec } })
  }
  const status = () => cluster.get(POD_DISRUPTION_BUDGETS, 'web').status

  test('counts how many pods may go', () => {
    web(4)
    budget({ minAvailable: 3 })
    cluster.after(30)
    expect(status()).toMatchObject({
      expectedPods: 4,
      currentHealthy: 4,
      desiredHealthy: 3,
      disruptionsAllowed: 1,
    })
    expect(conditionOf(status()?.conditions, 'DisruptionAllowed')).toMatchObject({
      status: 'True',
      reason: 'SufficientPods',
    })
    cluster.delete(PODS, cluster.pods()[0]?.metadata.name ?? '')
    cluster.after(0.1)
    expect(status()).toMatchObject({ currentHealthy: 3, disruptionsAllowed: 0 })
  })

  test('takes percentages and maxUnavailable of what the workload should have', () => {
    web(10)
    budget({ maxUnavailable: '25%' })
    cluster.after(30)
    expect(status()).toMatchObject({ expectedPods: 10, desiredHealthy: 7, disruptionsAllowed: 3 })
  })
})

describe('a ResourceQuota', () => {
  test('says what is used of what it limits', () => {
    cluster.create(RESOURCE_QUOTAS, 'team', {
      spec: {
        hard: {
          pods: '10',
          'requests.cpu': '2',
          'requests.memory': '1Gi',
          configmaps: '5',
          'count/deployments.apps': '3',
        },
      },
    })
    web(3)
    cluster.create(CONFIG_MAPS, 'mine', {})
    cluster.after(30)
    expect(cluster.get(RESOURCE_QUOTAS, 'team').status?.used).toEqual({
      pods: '3',
      'requests.cpu': '300m',
      'requests.memory': '192Mi',
      configmaps: '2',
      'count/deployments.apps': '1',
    })
  })

  test('refuses what goes beyond, in the words of the real admission', () => {
    cluster.create(RESOURCE_QUOTAS, 'team', { spec: { hard: { 'requests.cpu': '150m', pods: '5' } } })
    cluster.create(PODS, 'first', { spec: template('a', requests).spec })
    expect(() => cluster.create(PODS, 'second', { spec: template('a', requests).spec })).toThrow(
      'pods "second" is forbidden: exceeded quota: team, requested: requests.cpu=100m, used: requests.cpu=100m, limited: requests.cpu=150m',
    )
    expect(() => cluster.create(PODS, 'third', { spec: template('a').spec })).toThrow(
      'pods "third" is forbidden: failed quota: team: must specify requests.cpu for: a',
    )
  })
})

describe('events', () => {
  test('about the same thing are one event that counts', () => {
    cluster.create(PODS, 'crashing', {
      spec: { containers: [{ name: 'main', image: 'app:1', command: ['sh', '-c', 'sleep 1; exit 1'] }] },
    })
    cluster.after(300)
    const found = cluster.all(EVENTS).filter(({ reason }) => reason === 'BackOff')
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject({
      type: 'Warning',
      count: expect.any(Number),
      involvedObject: { kind: 'Pod', name: 'crashing', fieldPath: 'spec.containers{main}' },
      source: { component: 'kubelet' },
    })
    expect(found[0]?.count).toBeGreaterThan(2)
    expect(Date.parse(found[0]?.lastTimestamp ?? '')).toBeGreaterThan(
      Date.parse(found[0]?.firstTimestamp ?? ''),
    )
  })

  test('are forgotten an hour after they last happened', () => {
    web(1)
    cluster.after(60)
    expect(cluster.all(EVENTS).length).toBeGreaterThan(3)
    cluster.after(3_500)
    expect(cluster.all(EVENTS).length).toBeGreaterThan(3)
    cluster.after(200)
    expect(cluster.all(EVENTS)).toEqual([])
  })

  test('are not recorded where nobody wants them', () => {
    cluster.close()
    cluster = new SmallCluster({ events: false })
    web(1)
    cluster.after(60)
    expect(cluster.readyPods()).toHaveLength(1)
    expect(cluster.all(EVENTS)).toEqual([])
  })
})

describe('the cluster’s time', () => {
  test('runs faster by the factor that it is told', () => {
    cluster.close()
    cluster = new SmallCluster({ speed: 50 })
    cluster.create(PODS, 'slow', {
      spec: {
        containers: [
          {
            name: 'main',
            image: 'app:1',
            readinessProbe: { httpGet: { port: 80 }, initialDelaySeconds: 100 },
          },
        ],
      },
    })
    cluster.after(1)
    expect(cluster.readyPods()).toEqual([])
    cluster.after(2)
    expect(cluster.readyPods()).toHaveLength(1)
  })

  test('repeats itself for the same seed', () => {
    const outcome = () => {
      cluster.close()
      cluster = new SmallCluster({ seed: 42 })
      web(4)
      cluster.after(60)
      return JSON.stringify([cluster.pods(), cluster.all(EVENTS)])
    }
    expect(outcome()).toBe(outcome())
  })

  test('goes on when a workload could keep its controller busy for ever', () => {
    cluster.registry.load(DEPLOYMENTS, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {
        name: 'blind',
        namespace: 'default',
        uid: 'blind',
        resourceVersion: '',
        creationTimestamp: '2026-03-02T10:00:00Z',
      },
      spec: { replicas: 2, selector: selecting('something-else'), template: template('blind') },
    })
    cluster.after(60)
    expect(cluster.pods()).toEqual([])
  })

  test('stands still once the controllers are closed', () => {
    web(3)
    cluster.after(1)
    cluster.close()
    const before = cluster.registry.revision
    cluster.after(600)
    expect(cluster.registry.revision).toBe(before)
  })
})
