/** Logs and rollouts of a whole simulated cluster, through real feeds and sockets. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFleet, type Fleet } from '../../src/fleet/fleet.ts'
import type { ClusterSource } from '../../src/fleet/sources/source.ts'
import { createApiClient } from '../../src/kubernetes/api-client.ts'
import type { LogSource } from '../../src/simulator/logs.ts'
import { startSimulator, type Simulator } from '../../src/simulator/simulator.ts'
import { eventually } from '../support/eventually.ts'
import { startSimulatedCluster, type SimulatedCluster } from '../support/simulated-cluster.ts'
import { follow } from './follow.ts'

const DEPLOYMENTS = { group: 'apps', resource: 'deployments' }
const TIMEOUT_MS = 60_000

let cluster: SimulatedCluster
let fleet: Fleet

function sourceOf({ url: server, token }: Simulator): ClusterSource {
  return {
    description: 'test',
    start: (onChange) =>
      queueMicrotask(() =>
        onChange(
          [
            {
              name: 'sim',
              labels: {},
              source: 'test',
              fingerprint: 'one',
              connect: () => createApiClient({ cluster: 'sim', server, user: { token } }),
            },
          ],
          [],
        ),
      ),
    close: () => {},
  }
}

function deployment(name: string, replicas: number, spec: Record<string, unknown> = {}) {
  const labels = { app: name }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'main', image: 'nginx:1' }], ...spec },
      },
    },
  }
}

function scale(name: string, replicas: number): void {
  const { registry } = cluster.simulator
  const object = registry.get(DEPLOYMENTS, 'default', name)!
  registry.update(DEPLOYMENTS, { ...object, spec: { ...(object['spec'] as object), replicas } })
}

const ready = (name: string, replicas: number) =>
  eventually(
    () => expect(fleet.cluster('sim')?.table('Deployment').get('default', name)?.ready).toBe(replicas),
    { timeoutMs: TIMEOUT_MS },
  )

beforeAll(async () => {
  cluster = await startSimulatedCluster({ name: 'sim' })
  fleet = createFleet({ sources: [sourceOf(cluster.simulator)] })
}, TIMEOUT_MS)

afterAll(async () => {
  await fleet.close()
  await cluster.close()
})

const logsOf = (name: string, more = '') =>
  `subscription { podLogs(cluster: "sim", namespace: "default", workload: { kind: Deployment, name: "${name}" } ${more}) { type pod line timestamp message error { code message } } }`

describe('with a simulated cluster', () => {
  it(
    'the logs of a workload are merged, and a pod that joins is read too',
    async () => {
      cluster.simulator.registry.create(DEPLOYMENTS, deployment('web', 2))
      await ready('web', 2)
      const logs = await follow(fleet, logsOf('web', ', timestamps: true'))
      const seen = new Set<string>()
      await logs.until(({ type, pod }) => type === 'LINE' && seen.add(pod).size === 2)
      scale('web', 3)
      const events = await logs.until(({ type, pod }) => type === 'LINE' && !seen.has(pod))
      const line = events.at(-1)
      expect(line.line).not.toBe('')
      expect(Date.parse(line.timestamp)).not.toBeNaN()
      expect(events.filter(({ type }) => type === 'ERROR')).toEqual([])
      scale('web', 0)
      const ended = new Set<string>()
      await logs.until(({ type, pod }) => type === 'ENDED' && ended.add(pod).size === 3)
      await logs.leave()
    },
    TIMEOUT_MS,
  )

  it(
    'the logs of a workload that is not followed end by themselves',
    async () => {
      cluster.simulator.registry.create(DEPLOYMENTS, deployment('once', 2))
      await ready('once', 2)
      const logs = await follow(fleet, logsOf('once', ', follow: false, tail: 1'))
      const types = (await logs.rest()).map(({ type }) => String(type)).toSorted()
      expect(types).toEqual(['ENDED', 'ENDED', 'LINE', 'LINE', 'STARTED', 'STARTED'])
    },
    TIMEOUT_MS,
  )

  it(
    'a rollout is told from its beginning to its end',
    async () => {
      cluster.simulator.registry.create(DEPLOYMENTS, deployment('slow', 3))
      await eventually(() =>
        expect(fleet.cluster('sim')?.table('Deployment').get('default', 'slow')).toBeDefined(),
      )
      const rollout = await follow(
        fleet,
        'subscription { rollout(cluster: "sim", namespace: "default", kind: Deployment, name: "slow") { status desired available } }',
      )
      const steps = await rollout.rest()
      expect(steps.at(-1)).toEqual({ status: 'COMPLETE', desired: 3, available: 3 })
      expect(steps.slice(0, -1).filter(({ status }) => status !== 'PROGRESSING')).toEqual([])
    },
    TIMEOUT_MS,
  )
})

describe('a log whose API server goes away', () => {
  const STEP_MS = 10

  /** A line every few milliseconds, three of each time. */
  const lines: LogSource = {
    read(_pod, _container, { from, to }) {
      const first = Math.max(0, Math.floor((from - began) / STEP_MS) + 1)
      const last = Math.floor((to - began) / STEP_MS)
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index).flatMap(
        (number) =>
          [1, 2, 3].map((part) => ({ time: began + number * STEP_MS, text: `line ${number}.${part}` })),
      )
    },
  }
  const began = Date.now()

  it(
    'goes on where it was, with no line twice and none left out',
    async () => {
      const startedAt = new Date(began).toISOString()
      const simulator = await startSimulator({
        controllers: () => ({ logs: lines, close() {} }),
        objects: [
          {
            key: { group: '', resource: 'pods' },
            object: {
              apiVersion: 'v1',
              kind: 'Pod',
              metadata: { name: 'steady', namespace: 'default' },
              spec: { nodeName: 'node-0', containers: [{ name: 'main', image: 'nginx:1' }] },
              status: {
                phase: 'Running',
                containerStatuses: [
                  { name: 'main', ready: true, restartCount: 0, state: { running: { startedAt } } },
                ],
              },
            },
          },
        ],
      })
      const own = createFleet({ sources: [sourceOf(simulator)] })
      try {
        await eventually(() =>
          expect(own.cluster('sim')?.table('Pod').get('default', 'steady')).toBeDefined(),
        )
        const logs = await follow(
          own,
          'subscription { podLogs(cluster: "sim", namespace: "default", pod: "steady", tail: 100000) { type line message error { code } } }',
        )
        const read: string[] = []
        const until = (count: number) =>
          logs.until(({ type, line }) => type === 'LINE' && read.push(line) === count)
        await until(100)
        await simulator.faults.kill()
        await simulator.faults.revive()
        // Any number of lines had come by then.
        const events = await logs.until(({ type, line }) => {
          if (type === 'LINE') read.push(line)
          return type === 'ERROR'
        })
        expect(events.at(-1)).toMatchObject({
          error: { code: 'UNREACHABLE' },
          message: 'It is tried again from where it was.',
        })
        const rest = await until(read.length + 100)
        expect(rest.filter(({ type }) => type === 'ERROR')).toEqual([])
        const expected = read.map((_, index) => `line ${Math.floor(index / 3)}.${(index % 3) + 1}`)
        expect(read).toEqual(expected)
        await logs.leave()
      } finally {
        await own.close()
        await simulator.close()
      }
    },
    TIMEOUT_MS,
  )
})
