/** Streams of a cluster that is asked for every right: put together as a gateway puts them together. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { createClusterPolicy } from '../../src/access/cluster-policy.ts'
import { RECHECK_MS } from '../../src/access/followed-logs.ts'
import { AskedReviews } from '../../src/access/reviews.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { Hub } from '../../src/events/hub.ts'
import { TransportError, type ApiRequest } from '../../src/kubernetes/client.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { podRow } from '../fleet/pod-model.ts'

const CACHE_MS = 10_000
const ada = viewerOf({ name: 'ada', groups: ['dev'] })

/** Pods in `blue` and `red`; ada may read those of the namespaces in `open`. */
function world() {
  const cluster = new FakeCluster('east')
  const open = new Set(['blue'])
  const state = { asked: 0, silent: false, logs: true }
  cluster.answer = async ({ body }: ApiRequest) => {
    state.asked++
    if (state.silent) throw new TransportError('TIMEOUT', 'silent')
    const { spec } = body as {
      readonly spec: {
        readonly namespace?: string
        readonly resourceAttributes?: { readonly namespace?: string; readonly subresource?: string }
      }
    }
    const { resourceAttributes } = spec
    if (!resourceAttributes) return { status: { incomplete: true } }
    if (resourceAttributes.subresource === 'log') return { status: { allowed: state.logs } }
    return { status: { allowed: open.has(resourceAttributes.namespace ?? '') } }
  }
  cluster.load(
    'Namespace',
    ['blue', 'red'].map((name) => ({ metadata: { name, uid: name, resourceVersion: '1' } })),
  )
  cluster.apply('Pod', { type: 'Init' })
  for (const namespace of ['blue', 'red']) {
    const row = podRow(
      { name: `pod-of-${namespace}`, namespace, uid: namespace, resourceVersion: '1' },
      'east',
    )
    cluster.apply('Pod', { type: 'InitApply', row })
  }
  cluster.apply('Pod', { type: 'InitDone', resourceVersion: '10' })

  const clock = new FakeClock()
  const fleet = new FakeFleet(cluster)
  const reviews = new AskedReviews({ fleet, clock, cacheMs: CACHE_MS })
  const policy = createClusterPolicy({ fleet, clock, reviews, modeOf: () => 'subjectAccessReview' })
  const hub = new Hub({ fleet, clock })
  policy.onChange(() => hub.rightsChanged())
  const stop = new AbortController()
  onTestFinished(async () => {
    stop.abort()
    hub.close()
    await policy.close()
    await fleet.close()
  })
  const told: string[] = []
  const lost: string[] = []
  const view = () => new AuthorizedFleet(fleet, ada, policy, hub)
  const follow = () => {
    const stream = view().follow(
      { type: 'rows', kinds: ['Pod'], clusters: () => true, selection: {}, throttleMs: 0 },
      { snapshot: true },
      stop.signal,
    )
    stream.eyes.witness = { lost: (clusters) => void lost.push(...clusters) }
    void (async () => {
      for await (const { type, object, deletedReason } of stream)
        told.push([type, object?.name, deletedReason].filter(Boolean).join(' '))
    })()
  }
  return { cluster, open, state, clock, policy, view, told, lost, follow, take: () => told.splice(0) }
}

describe('a stream of a cluster that is asked for rights', () => {
  it('shows what was granted when that is found out, and nothing before', async () => {
    const { follow, take, clock } = world()
    follow()
    await clock.advance(200)
    expect(take().filter((event) => event.startsWith('ADDED'))).toEqual(['ADDED pod-of-blue'])
  })

  it('goes on for hours without a word, and its rights are asked for all the time', async () => {
    const { follow, take, clock, state } = world()
    follow()
    await clock.advance(1_000)
    take()
    const { asked } = state
    await clock.advance(2 * 3_600_000)
    expect(take()).toEqual([])
    // The whole cluster and two namespaces, to list and to watch, every ten seconds.
    expect(state.asked - asked).toBeGreaterThan(6 * 600)
    expect(state.asked - asked).toBeLessThan(6 * 800)
  })

  it('loses what is taken away, and is given what is granted, within the time of the cache', async () => {
    const { follow, take, clock, open, lost } = world()
    follow()
    await clock.advance(1_000)
    take()
    open.add('red')
    await clock.advance(CACHE_MS + 200)
    expect(take()).toEqual(['ADDED pod-of-red'])
    await clock.advance(2_000)
    expect(lost).toEqual([])
    open.delete('blue')
    await clock.advance(CACHE_MS + 200)
    await settled()
    expect(take()).toEqual(['DELETED pod-of-blue FORBIDDEN'])
    await clock.advance(2_000)
    expect(lost).toEqual(['east'])
  })

  it('loses everything while the cluster does not answer for longer than answers may be used', async () => {
    const { follow, take, clock, state, lost } = world()
    follow()
    await clock.advance(1_000)
    take()
    state.silent = true
    await clock.advance(2 * CACHE_MS - 1_100)
    expect(take()).toEqual([])
    await clock.advance(400)
    expect(take()).toEqual(['DELETED pod-of-blue FORBIDDEN'])
    state.silent = false
    await clock.advance(31_000)
    expect(take()).toEqual(['ADDED pod-of-blue'])
    // Nobody took any right.
    expect(lost).toEqual([])
  })
})

describe('a log of a cluster that is asked for rights', () => {
  it('ends when it may be read no more, also where its pod may be seen as before', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const { cluster, clock, state, view } = world()
    const heard: string[] = []
    const pod = { namespace: 'blue', name: 'pod-of-blue' }
    view().followLog(
      cluster,
      pod,
      { follow: true },
      {
        onData: () => {},
        onEnd: () => void heard.push('END'),
        onError: ({ message }) => void heard.push(message),
      },
    )
    /** Of the same user, who looks at the pods all the time. */
    const look = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 500) {
        view().get('Pod', 'east', pod.namespace, pod.name)
        vi.advanceTimersByTime(500)
        await clock.advance(500)
      }
    }
    await look(2 * RECHECK_MS)
    expect(heard).toEqual([])
    state.logs = false
    await look(RECHECK_MS + CACHE_MS)
    expect(heard).toEqual(['You may not read the log of blue/pod-of-blue any more.'])
    expect(vi.getTimerCount()).toBe(0)
  })
})
