import { afterEach, describe, expect, test } from 'vitest'
import { CONFIG_MAPS, NODES, PODS, type Pod } from '../../../src/simulator/controllers/objects.ts'
import { podLogs } from '../../../src/simulator/controllers/pod-log.ts'
import { conditionOf } from '../../../src/simulator/controllers/pod-template.ts'
import { SmallCluster } from './small-cluster.ts'

let cluster = new SmallCluster({ nodes: 1 })
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster({ nodes: 1 })
})

function pod(container: object = {}, spec: object = {}, annotations: Record<string, string> = {}): void {
  const containers = [{ name: 'main', image: 'app:1.0', ...container }]
  cluster.create(PODS, 'one', { spec: { containers, ...spec } }, { annotations })
}

function one(): Pod {
  return cluster.get(PODS, 'one')
}

function main(): { state: string; restarts: number; ready: boolean } {
  const status = one().status?.containerStatuses?.[0]
  const { waiting, running, terminated } = status?.state ?? {}
  const state =
    waiting?.reason ?? (running === undefined ? `${terminated?.reason} ${terminated?.exitCode}` : 'running')
  return { state, restarts: status?.restartCount ?? 0, ready: status?.ready ?? false }
}

/** Every state that the pod went through, in order, without repeats. */
function history(read: () => string): string[] {
  const states: string[] = []
  cluster.registry.onCommit(({ key, type }) => {
    if (key.resource !== 'pods' || type === 'DELETED' || !cluster.has(PODS, 'one')) return
    const state = read()
    if (states.at(-1) !== state) states.push(state)
  })
  return states
}

describe('a pod on its node', () => {
  test('goes from Pending over ContainerCreating to Running and Ready', () => {
    const seen = history(
      () => `${one().status?.phase} ${one().status?.containerStatuses ? main().state : '-'}`,
    )
    pod()
    cluster.after(20)
    expect(seen).toEqual(['Pending -', 'Pending ContainerCreating', 'Running running'])
    const { status } = one()
    expect(status?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'PodReadyToStartContainers=True',
      'Initialized=True',
      'Ready=True',
      'ContainersReady=True',
      'PodScheduled=True',
    ])
    expect(status).toMatchObject({ hostIP: '10.0.0.1', podIP: '10.244.1.2', qosClass: 'BestEffort' })
    expect(status?.containerStatuses?.[0]).toMatchObject({
      image: 'docker.io/library/app:1.0',
      imageID: expect.stringMatching(/^docker\.io\/library\/app@sha256:[0-9a-f]{64}$/),
      containerID: expect.stringMatching(/^containerd:\/\/[0-9a-f]{64}$/),
    })
    const events = cluster.eventsOf('one').join('\n')
    expect(events).toMatch(/Pulling: Pulling image "app:1\.0"/)
    expect(events).toMatch(/Pulled: Successfully pulled image "app:1\.0" in \d+ms/)
    expect(events).toMatch(/Created: Created container: main/)
    expect(events).toMatch(/Started: Started container main/)
  })

  test('becomes Ready only when its readiness probe can have succeeded', () => {
    pod({ readinessProbe: { httpGet: { path: '/', port: 80 }, initialDelaySeconds: 20 } })
    cluster.after(15)
    expect(main()).toEqual({ state: 'running', restarts: 0, ready: false })
    expect(conditionOf(one().status?.conditions, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [main]',
    })
    cluster.after(30)
    expect(main().ready).toBe(true)
  })

  test('runs its init containers one after the other first', () => {
    const step = (name: string) => ({ name, image: 'busybox:1.37', command: ['sh', '-c', 'sleep 5'] })
    pod({}, { initContainers: [step('first'), step('second')] })
    cluster.after(9)
    expect(main().state).toBe('PodInitializing')
    expect(conditionOf(one().status?.conditions, 'Initialized')?.message).toBe(
      'containers with incomplete status: [second]',
    )
    cluster.after(20)
    expect(one().status?.initContainerStatuses?.map(({ state }) => state?.terminated?.reason)).toEqual([
      'Completed',
      'Completed',
    ])
    expect(main()).toMatchObject({ state: 'running', ready: true })
  })

  test('keeps a restartable init container running beside the others', () => {
    pod({}, { initContainers: [{ name: 'mesh', image: 'mesh:1.0', restartPolicy: 'Always' }] })
    cluster.after(30)
    expect(one().status?.initContainerStatuses?.[0]?.state?.running).toBeDefined()
    expect(main()).toMatchObject({ state: 'running', ready: true })
  })

  test('whose image cannot be pulled alternates ErrImagePull and ImagePullBackOff', () => {
    const seen = history(() => (one().status?.containerStatuses ? main().state : '-'))
    pod({ image: 'registry.example.com/app:does-not-exist' })
    cluster.after(120)
    expect(seen.slice(0, 6)).toEqual([
      '-',
      'ContainerCreating',
      'ErrImagePull',
      'ImagePullBackOff',
      'ErrImagePull',
      'ImagePullBackOff',
    ])
    expect(one().status?.phase).toBe('Pending')
    const events = cluster.eventsOf('one').join('\n')
    expect(events).toMatch(
      /Failed: Failed to pull image "registry\.example\.com\/app:does-not-exist": .*not found/,
    )
    expect(events).toMatch(/Failed: Error: ImagePullBackOff/)
    expect(events).toMatch(/BackOff: Back-off pulling image/)
  })

  test('starts once its image exists: a new image in place is pulled and run', () => {
    pod({ image: 'app:broken' })
    cluster.after(30)
    cluster.change(PODS, 'one', { containers: [{ ...one().spec.containers[0], image: 'app:2.0' }] })
    cluster.after(20)
    expect(main()).toMatchObject({ state: 'running', ready: true })
    expect(one().status?.containerStatuses?.[0]?.image).toBe('docker.io/library/app:2.0')
  })

  test('crashes in a loop with growing pauses, which a long run forgives', () => {
    const starts: number[] = []
    const began = cluster.timeline.now()
    let last = ''
    cluster.registry.onCommit(({ key }) => {
      if (key.resource !== 'pods' || !cluster.has(PODS, 'one')) return
      const at = one().status?.containerStatuses?.[0]?.state?.running?.startedAt
      if (at !== undefined && at !== last) starts.push(Math.round((cluster.timeline.now() - began) / 1000))
      last = at ?? last
    })
    pod({ command: ['sh', '-c', 'sleep 1; exit 3'] })
    cluster.after(600)
    const pauses = starts.slice(1).map((at, i) => at - (starts[i] ?? 0))
    expect(pauses[0]).toBeLessThan(5)
    for (const [i, least] of [10, 20, 40, 80, 160].entries()) {
      expect(pauses[i + 1]).toBeGreaterThanOrEqual(least)
      expect(pauses[i + 1]).toBeLessThan(least + 6)
    }
    expect(main()).toMatchObject({ state: 'CrashLoopBackOff', ready: false })
    expect(one().status?.phase).toBe('Running')
    expect(one().status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({
      exitCode: 3,
      reason: 'Error',
    })
    expect(one().status?.containerStatuses?.[0]?.state?.waiting?.message).toMatch(
      /^back-off 5m0s restarting failed container=main pod=one_default\(|^back-off 2m40s restarting/,
    )
    expect(cluster.eventsOf('one').join()).toContain(
      'BackOff: Back-off restarting failed container main in pod one_default(',
    )
  })

  test.each([
    [['true'], 'Succeeded', 'Completed 0'],
    [['false'], 'Failed', 'Error 1'],
    [['sleep', '5'], 'Succeeded', 'Completed 0'],
    [['sh', '-c', 'exit 3'], 'Failed', 'Error 3'],
    [['/bin/sh', '-ec', 'echo hi; false; echo never'], 'Failed', 'Error 1'],
    [['sh', '-c', 'echo start && sleep 2 && exit 7'], 'Failed', 'Error 7'],
  ])('with restartPolicy Never and command %j ends %s', (command, phase, state) => {
    pod({ image: 'busybox:1.37', command }, { restartPolicy: 'Never' })
    cluster.after(30)
    expect(one().status?.phase).toBe(phase)
    expect(main()).toEqual({ state, restarts: 0, ready: false })
  })

  test.each([
    [['sleep', 'infinity']],
    [['tail', '-f', '/dev/null']],
    [['sh', '-c', 'while true; do echo hi; sleep 1; done']],
  ])('with command %j runs on', (command) => {
    pod({ image: 'busybox:1.37', command })
    cluster.after(600)
    expect(main()).toEqual({ state: 'running', restarts: 0, ready: true })
  })

  test('obeys the annotation that tests steer it with', () => {
    pod({}, {}, { 'fleetgraph.dev/simulate': 'exit=137,reason=OOMKilled,after=5' })
    cluster.after(12)
    expect(one().status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({
      exitCode: 137,
      reason: 'OOMKilled',
    })
  })

  test('waits for a ConfigMap that it mounts or reads, and says so', () => {
    pod({}, { volumes: [{ name: 'settings', configMap: { name: 'settings' } }] })
    cluster.after(10)
    expect(main().state).toBe('ContainerCreating')
    expect(cluster.eventsOf('one')).toContain(
      'FailedMount: MountVolume.SetUp failed for volume "settings" : configmap "settings" not found',
    )
    cluster.create(CONFIG_MAPS, 'settings', { data: {} })
    cluster.after(30)
    expect(main().state).toBe('running')
  })

  test('that reads its environment from a missing ConfigMap has CreateContainerConfigError', () => {
    pod({ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'a' } } }] })
    cluster.after(10)
    expect(main().state).toBe('CreateContainerConfigError')
    cluster.create(CONFIG_MAPS, 'settings', { data: { a: '1' } })
    cluster.after(20)
    expect(main().state).toBe('running')
  })

  test('ends gracefully: marked, stopped, then gone', () => {
    pod()
    cluster.after(20)
    cluster.delete(PODS, 'one')
    expect(one().metadata.deletionTimestamp).toBeDefined()
    cluster.after(0.1)
    expect(main().state).toBe('running')
    expect(cluster.eventsOf('one')).toContain('Killing: Stopping container main')
    cluster.after(5)
    expect(cluster.has(PODS, 'one')).toBe(false)
  })

  test('that ignores SIGTERM is killed when its grace period is over', () => {
    pod({}, { terminationGracePeriodSeconds: 25 }, { 'fleetgraph.dev/simulate': 'stop=100' })
    cluster.after(20)
    cluster.delete(PODS, 'one')
    cluster.after(24)
    expect(cluster.has(PODS, 'one')).toBe(true)
    cluster.after(2)
    expect(cluster.has(PODS, 'one')).toBe(false)
  })

  test('with a finalizer stays after its containers ended, until the finalizer is taken off', () => {
    pod()
    cluster.change(PODS, 'one', {}, { finalizers: ['example.com/hold'] })
    cluster.after(20)
    cluster.delete(PODS, 'one')
    cluster.after(40)
    expect(one().status?.phase).toBe('Succeeded')
    cluster.change(PODS, 'one', {}, { finalizers: [] })
    expect(cluster.has(PODS, 'one')).toBe(false)
  })

  test('an address is used again only after its pod is gone', () => {
    pod()
    cluster.after(10)
    cluster.create(PODS, 'two', { spec: one().spec })
    cluster.after(10)
    expect(cluster.get(PODS, 'two').status?.podIP).not.toBe(one().status?.podIP)
  })

  test('goes on where it was when the controllers start anew', () => {
    pod({ command: ['sh', '-c', 'sleep 1; exit 3'] })
    cluster.after(60)
    const before = main().restarts
    cluster.start()
    cluster.after(400)
    expect(main().restarts).toBeGreaterThan(before)
    expect(main().restarts).toBeLessThan(before + 5)
  })

  test('on a node that is down nothing happens until it is up again', () => {
    cluster.change(NODES, 'node-1', {}, { annotations: { 'fleetgraph.dev/simulate': 'down' } })
    pod({}, { nodeName: 'node-1' })
    cluster.after(30)
    expect(one().status?.containerStatuses).toBeUndefined()
    cluster.change(NODES, 'node-1', {}, { annotations: {} })
    cluster.after(30)
    expect(main()).toMatchObject({ state: 'running', ready: true })
  })
})

describe('the log of a container', () => {
  const read = (from = -Infinity, previous = false) =>
    podLogs.read(one(), 'main', { previous, from, to: cluster.timeline.now() })

  test('grows with time and says the same about the same time', () => {
    pod({ image: 'nginx:1.29' })
    cluster.after(120)
    const first = read() ?? []
    const until = cluster.timeline.now()
    expect(first.length).toBeGreaterThan(10)
    cluster.after(60)
    const later = read() ?? []
    expect(later.slice(0, first.length)).toEqual(first)
    expect(read(until)).toEqual(later.slice(first.length))
    expect(first.at(-1)?.text).toMatch(/"GET \/\S* HTTP\/1\.1" \d{3}/)
  })

  test('holds what the command prints, also of the run before', () => {
    pod({ command: ['sh', '-c', 'echo "no model"; sleep 1; exit 1'] })
    expect(read()).toBeUndefined()
    cluster.after(12)
    expect(read(-Infinity, true)?.map(({ text }) => text)).toEqual(['no model'])
  })

  test('is bounded however long the container runs', () => {
    pod({ image: 'nginx:1.29' })
    cluster.after(7 * 86_400)
    expect(read()?.length).toBe(2_000)
  })
})
