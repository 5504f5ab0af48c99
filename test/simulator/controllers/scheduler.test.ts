import { afterEach, describe, expect, test } from 'vitest'
import { DEPLOYMENTS, NODES, PODS } from '../../../src/simulator/controllers/objects.ts'
import { conditionOf } from '../../../src/simulator/controllers/pod-template.ts'
import { byText, selecting, SmallCluster, template } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function pod(name: string, spec: object = {}, labels: Record<string, string> = {}): void {
  cluster.create(PODS, name, { spec: { ...template('main').spec, ...spec } }, { labels })
}

function asking(requests: Record<string, string>): object {
  return { containers: [{ name: 'main', image: 'main:1.0', resources: { requests } }] }
}

function placeOf(name: string): string | undefined {
  return cluster.get(PODS, name).spec.nodeName
}

function refusal(name: string): string | undefined {
  const scheduled = conditionOf(cluster.get(PODS, name).status?.conditions, 'PodScheduled')
  return scheduled?.status === 'False' ? `${scheduled.reason}: ${scheduled.message}` : undefined
}

describe('the scheduler', () => {
  test('spreads the pods of one owner over the nodes', () => {
    cluster.create(DEPLOYMENTS, 'web', {
      spec: { replicas: 6, selector: selecting('web'), template: template('web') },
    })
    cluster.after(5)
    const places = cluster.pods().map(({ spec }) => spec.nodeName)
    expect(places.toSorted(byText)).toEqual(['node-1', 'node-1', 'node-2', 'node-2', 'node-3', 'node-3'])
    expect(cluster.eventsOf(cluster.pods()[0]?.metadata.name ?? '')[0]).toMatch(
      /^Scheduled: Successfully assigned default\/web-\w+-\w+ to node-\d$/,
    )
  })

  test('leaves a pod pending that asks for more than is free, with the reason for each node', () => {
    cluster.change(NODES, 'node-1', {
      taints: [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }],
    })
    pod('big', asking({ cpu: '3', memory: '1Gi' }))
    pod('bigger', asking({ cpu: '3' }))
    pod('late', asking({ cpu: '3' }))
    cluster.after(5)
    expect([placeOf('big'), placeOf('bigger')].toSorted(byText)).toEqual(['node-2', 'node-3'])
    expect(cluster.get(PODS, 'late').status?.phase).toBe('Pending')
    const message =
      '0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient cpu. ' +
      'preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.'
    expect(refusal('late')).toBe(`Unschedulable: ${message}`)
    expect(cluster.eventsOf('late')).toEqual([`FailedScheduling: ${message}`])
  })

  test('places a waiting pod as soon as another makes room', () => {
    for (const name of ['a', 'b', 'c', 'd']) pod(name, asking({ cpu: '3' }))
    cluster.after(10)
    const waiting = ['a', 'b', 'c', 'd'].find((name) => placeOf(name) === undefined) ?? ''
    const placed = ['a', 'b', 'c', 'd'].find((name) => placeOf(name) !== undefined) ?? ''
    expect(refusal(waiting)).toContain('3 Insufficient cpu')
    const freed = placeOf(placed)
    cluster.delete(PODS, placed)
    cluster.after(10)
    expect(placeOf(waiting)).toBe(freed)
    expect(refusal(waiting)).toBeUndefined()
  })

  test('follows nodeSelector and required node affinity', () => {
    cluster.addNode('node-9', { labels: { disk: 'ssd', cores: '64' } })
    pod('selecting', { nodeSelector: { disk: 'ssd' } })
    const nodeSelectorTerms = [{ matchExpressions: [{ key: 'cores', operator: 'Gt', values: ['32'] }] }]
    pod('leaning', {
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
    })
    pod('lost', { nodeSelector: { disk: 'tape' } })
    cluster.after(5)
    expect([placeOf('selecting'), placeOf('leaning')]).toEqual(['node-9', 'node-9'])
    expect(refusal('lost')).toContain("4 node(s) didn't match Pod's node affinity/selector")
  })

  test('keeps off cordoned and tainted nodes unless the pod tolerates the taint', () => {
    cluster.change(NODES, 'node-1', { unschedulable: true })
    cluster.change(NODES, 'node-2', { taints: [{ key: 'team', value: 'red', effect: 'NoSchedule' }] })
    cluster.change(NODES, 'node-3', { taints: [{ key: 'team', value: 'blue', effect: 'NoExecute' }] })
    cluster.after(1)
    pod('plain')
    pod('red', { tolerations: [{ key: 'team', operator: 'Equal', value: 'red', effect: 'NoSchedule' }] })
    cluster.after(5)
    expect(placeOf('red')).toBe('node-2')
    expect(refusal('plain')).toMatch(
      /0\/3 nodes are available: 1 node\(s\) had untolerated taint \{team: blue\}, 1 node\(s\) had untolerated taint \{team: red\}, 1 node\(s\) were unschedulable/,
    )
    cluster.change(NODES, 'node-1', { unschedulable: false })
    cluster.after(5)
    expect(placeOf('plain')).toBe('node-1')
  })

  test('keeps pods apart that ask for it', () => {
    const affinity = {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { labelSelector: selecting('db'), topologyKey: 'kubernetes.io/hostname' },
        ],
      },
    }
    for (const name of ['a', 'b', 'c', 'd']) pod(name, { affinity }, { app: 'db' })
    cluster.after(10)
    const places = ['a', 'b', 'c', 'd'].map(placeOf)
    expect(new Set(places.filter((place) => place !== undefined)).size).toBe(3)
    const left = ['a', 'b', 'c', 'd'][places.indexOf(undefined)] ?? ''
    expect(refusal(left)).toContain("3 node(s) didn't match pod anti-affinity rules")
  })

  test('keeps the skew between domains within its bound', () => {
    cluster.addNode('node-7', { labels: { zone: 'a' } })
    cluster.addNode('node-8', { labels: { zone: 'b' } })
    const topologySpreadConstraints = [
      {
        maxSkew: 1,
        topologyKey: 'zone',
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: selecting('web'),
      },
    ]
    for (let i = 0; i < 6; i++) pod(`web-${i}`, { topologySpreadConstraints }, { app: 'web' })
    cluster.after(10)
    const places = cluster.pods().map(({ spec }) => spec.nodeName)
    expect(places.toSorted(byText)).toEqual(['node-7', 'node-7', 'node-7', 'node-8', 'node-8', 'node-8'])
  })

  test('waits for gates, for claims, and for a node to exist', () => {
    pod('gated', { schedulingGates: [{ name: 'example.com/hold' }] })
    pod('claiming', { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }] })
    cluster.after(5)
    expect(refusal('gated')).toBe('SchedulingGated: Scheduling is blocked due to non-empty scheduling gates')
    expect(refusal('claiming')).toContain('persistentvolumeclaim "data" not found')
    cluster.change(PODS, 'gated', { schedulingGates: [] })
    cluster.after(5)
    expect(placeOf('gated')).toBeDefined()
  })

  test('says so when there is no node at all', () => {
    cluster.close()
    cluster = new SmallCluster({ nodes: 0 })
    pod('alone')
    cluster.after(5)
    expect(refusal('alone')).toBe('Unschedulable: no nodes available to schedule pods')
    cluster.addNode('node-1')
    cluster.after(5)
    expect(placeOf('alone')).toBe('node-1')
  })
})
