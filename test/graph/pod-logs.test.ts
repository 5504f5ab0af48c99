import { describe, expect, it } from 'vitest'
import { MAX_PODS } from '../../src/graph/pod-logs.ts'
import { everything, type Policy } from '../../src/access/policy.ts'
import { ApiError, type ApiRequest, type ByteSink } from '../../src/kubernetes/client.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import type { FakeCluster } from '../support/fake-fleet.ts'
import { ScopedPolicy } from '../support/scoped-policy.ts'
import { pod, shopFleet } from '../support/shop.ts'
import { follow, hubOf } from './follow.ts'

/** A log that was asked for and has not ended. */
interface OpenLog {
  readonly request: ApiRequest
  readonly sink: ByteSink
  paused: boolean
}

/** Logs of a cluster as the test tells them. */
class Kubelets {
  /** By name of the pod. */
  readonly open = new Map<string, OpenLog>()
  readonly asked: ApiRequest[] = []

  constructor(cluster: FakeCluster) {
    Object.assign(cluster.client, {
      stream: (request: ApiRequest, sink: ByteSink) => {
        this.asked.push(request)
        const name = request.path.split('/').at(-2)!
        const log: OpenLog = { request, sink, paused: false }
        this.open.set(name, log)
        return {
          abort: () => this.open.delete(name),
          pause: () => (log.paused = true),
          resume: () => (log.paused = false),
        }
      },
    })
  }

  log(name: string): OpenLog {
    const log = this.open.get(name)
    if (!log)
      throw new Error(`The log of ${name} is not read. Open: ${Array.from(this.open.keys()).join(', ')}`)
    return log
  }

  begin(name: string): void {
    this.log(name).sink.onStart?.({})
  }

  write(name: string, text: string): void {
    this.log(name).sink.onData(Buffer.from(text))
  }

  end(name: string): void {
    const { sink } = this.log(name)
    this.open.delete(name)
    sink.onEnd()
  }

  fail(name: string, error: Error): void {
    const { sink } = this.log(name)
    this.open.delete(name)
    sink.onError(error)
  }
}

const FIELDS = 'type pod container line truncated timestamp message error { code message }'

async function setUp(args: string, fields = FIELDS, shop = shopFleet(), policy: Policy = everything) {
  const { fleet, eu } = shop
  const kubelets = new Kubelets(eu)
  const clock = new FakeClock()
  const logs = await follow(
    fleet,
    `subscription { podLogs(cluster: "prod-eu", namespace: "shop", ${args}) { ${fields} } }`,
    { clock, policy },
  )
  /** Reads events until so many came, in the form `type pod line`. */
  const take = async (count: number) => {
    const events = []
    for (let i = 0; i < count; i++) events.push(await logs.next())
    return events.map(({ type, pod: name, line }) => [type, name, line].filter(Boolean).join(' '))
  }
  return { ...shop, kubelets, clock, logs, take }
}

const WEB = 'workload: { kind: Deployment, name: "web" }'

function webPod(name: string, more: Parameters<typeof pod>[2] = {}) {
  return project('Pod')(
    pod('shop', name, {
      node: 'node-a',
      labels: { app: 'web' },
      owner: { kind: 'ReplicaSet', name: 'web-2' },
      ...more,
    }),
    'prod-eu',
  )
}

describe('the logs of a pod', () => {
  it('are its lines, with time and place, until the pod has ended', async () => {
    const { eu, kubelets, logs } = await setUp('pod: "db-0", timestamps: true')
    await settled()
    expect(kubelets.asked).toMatchObject([
      {
        path: '/api/v1/namespaces/shop/pods/db-0/log',
        query: { container: 'main', follow: true, timestamps: true, tailLines: 100 },
      },
    ])
    kubelets.begin('db-0')
    kubelets.write('db-0', '2026-11-23T04:31:00.123456789Z ready\n')
    expect(await logs.next()).toMatchObject({ type: 'STARTED', pod: 'db-0', container: 'main' })
    expect(await logs.next()).toEqual({
      type: 'LINE',
      pod: 'db-0',
      container: 'main',
      line: 'ready',
      truncated: false,
      timestamp: '2026-11-23T04:31:00.123Z',
      message: null,
      error: null,
    })
    const ended = project('Pod')(
      pod('shop', 'db-0', { node: 'node-a', phase: 'Succeeded', resourceVersion: '11' }),
      'prod-eu',
    )
    eu.apply('Pod', { type: 'Apply', row: ended })
    await settled()
    kubelets.end('db-0')
    expect((await logs.rest()).map(({ type }) => type)).toEqual(['ENDED'])
  })

  it('are what there is, where nothing is to be followed', async () => {
    const { kubelets, logs } = await setUp(
      'pod: "db-0", follow: false, tail: 3, since: { time: "2026-11-23T04:00:00Z" }',
    )
    const events = logs.rest()
    await settled()
    expect(kubelets.log('db-0').request.query).toMatchObject({
      follow: false,
      tailLines: 3,
      sinceTime: '2026-11-23T04:00:00.000Z',
    })
    kubelets.begin('db-0')
    kubelets.write('db-0', '2026-11-23T04:31:00Z last')
    kubelets.end('db-0')
    expect((await events).map(({ type, line, timestamp }) => [type, line, timestamp])).toEqual([
      ['STARTED', null, null],
      ['LINE', 'last', null],
      ['ENDED', null, null],
    ])
  })

  it('are all since a time where only that is given', async () => {
    const { clock, kubelets, logs } = await setUp('pod: "db-0", since: { seconds: 60 }')
    await settled()
    const { query } = kubelets.log('db-0').request
    expect(query).toMatchObject({ sinceTime: new Date(clock.now() - 60_000).toISOString() })
    expect(query?.['tailLines']).toBeUndefined()
    await logs.leave()
    expect(await logs.next()).toBeUndefined()
  })

  it('are those of the run before, of containers that had one', async () => {
    const crashed = await setUp('pod: "web-2-b", previous: true')
    await settled()
    expect(crashed.kubelets.log('web-2-b').request.query).toMatchObject({ previous: true, follow: false })
    crashed.kubelets.end('web-2-b')
    expect((await crashed.logs.rest()).map(({ type }) => type)).toEqual(['ENDED'])
    const steady = await setUp('pod: "db-0", previous: true')
    expect(await steady.logs.rest()).toMatchObject([
      { type: 'NOTICE', pod: 'db-0', message: 'No container of db-0 has run before.' },
    ])
    expect(steady.kubelets.asked).toEqual([])
  })

  it('tell when the cluster is not followed', async () => {
    const { eu, logs } = await setUp('pod: "db-0"')
    await settled()
    eu.apply('Pod', { type: 'Down', problem: { code: 'UNREACHABLE', message: 'It does not answer.' } })
    expect(await logs.next()).toMatchObject({ type: 'NOTICE', message: expect.stringMatching(/./) })
    await logs.leave()
  })

  it('say that there is no such pod, or container', async () => {
    const noPod = await setUp('pod: "db-1"')
    expect(await noPod.logs.rest()).toMatchObject([
      {
        type: 'ERROR',
        error: { code: 'NOT_FOUND', message: expect.stringContaining('There is no Pod db-1') },
      },
    ])
    const noContainer = await setUp('pod: "db-0", container: "sidecar"')
    expect(await noContainer.logs.rest()).toMatchObject([
      {
        type: 'ERROR',
        pod: 'db-0',
        error: { message: 'The pod db-0 has no container sidecar. It has: main.' },
      },
    ])
  })

  it('end soon after a pod is gone, also where its kubelet does not end them', async () => {
    const { eu, kubelets, clock, logs } = await setUp('pod: "db-0"')
    await settled()
    kubelets.begin('db-0')
    await logs.next()
    eu.apply('Pod', { type: 'Delete', row: eu.table('Pod').get('shop', 'db-0')! })
    const rest = logs.rest()
    await settled()
    kubelets.write('db-0', 'shutting down\n')
    await clock.advance(10_000)
    expect((await rest).map(({ line }) => line)).toEqual(['shutting down'])
    expect([kubelets.open.size, clock.pending]).toEqual([0, 0])
  })
})

describe('the logs of a workload', () => {
  it('are those of its pods alone, through its ReplicaSets', async () => {
    const { kubelets, logs } = await setUp(WEB)
    await settled()
    // Not of the stray with its labels, nor of the one that waits for a node.
    expect(Array.from(kubelets.open.keys()).toSorted()).toEqual(['web-1-a', 'web-2-a', 'web-2-b'])
    await logs.leave()
    await logs.next()
    expect(kubelets.open.size).toBe(0)
  })

  it('go on with pods that join, and without those that go', async () => {
    const { eu, kubelets, logs, take } = await setUp(WEB)
    const started = take(3)
    await settled()
    for (const name of kubelets.open.keys()) kubelets.begin(name)
    await started
    eu.apply('Pod', { type: 'Apply', row: webPod('web-2-d') })
    const joined = take(2)
    await settled()
    kubelets.begin('web-2-d')
    kubelets.write('web-2-d', 'hello\n')
    expect(await joined).toEqual(['STARTED web-2-d', 'LINE web-2-d hello'])
    eu.apply('Pod', { type: 'Delete', row: eu.table('Pod').get('shop', 'web-1-a')! })
    const left = take(1)
    await settled()
    kubelets.end('web-1-a')
    expect(await left).toEqual(['ENDED web-1-a'])
    expect(kubelets.open.has('web-2-d')).toBe(true)
    await logs.leave()
  })

  it('are found also where a pod is told of before what it belongs to', async () => {
    const { eu, kubelets, logs, take } = await setUp(WEB)
    const started = take(3)
    await settled()
    for (const name of kubelets.open.keys()) kubelets.begin(name)
    await started
    const early = webPod('web-3-a', { owner: { kind: 'ReplicaSet', name: 'web-3' } })
    eu.apply('Pod', { type: 'Apply', row: early })
    const next = take(1)
    await settled()
    expect(kubelets.open.has('web-3-a')).toBe(false)
    const set = eu.table('ReplicaSet').get('shop', 'web-2')!
    const uid = early.owner!.uid
    eu.apply('ReplicaSet', { type: 'Apply', row: { ...set, uid, id: 'web-3', name: 'web-3' } })
    await settled()
    kubelets.begin('web-3-a')
    expect(await next).toEqual(['STARTED web-3-a'])
    await logs.leave()
  })

  it('go on where one of them cannot be read, and say it', async () => {
    const { kubelets, logs } = await setUp(WEB)
    await settled()
    kubelets.fail('web-2-b', new ApiError(403, { message: 'pods "web-2-b" is forbidden' }))
    expect(await logs.next()).toMatchObject({
      type: 'ERROR',
      pod: 'web-2-b',
      message: 'It is not tried again.',
      error: { code: 'FORBIDDEN', message: 'pods "web-2-b" is forbidden' },
    })
    kubelets.write('web-2-a', 'still here\n')
    expect(await logs.next()).toMatchObject({ type: 'LINE', pod: 'web-2-a', line: 'still here' })
    await logs.leave()
  })

  it(`are of ${MAX_PODS} pods at once, and say so; the others follow as these end`, async () => {
    const shop = shopFleet()
    for (let number = 0; number < MAX_PODS; number++) {
      shop.eu.apply('Pod', { type: 'Apply', row: webPod(`web-2-n${number}`) })
    }
    const { eu, kubelets, logs } = await setUp(WEB, FIELDS, shop)
    expect(await logs.next()).toMatchObject({
      type: 'NOTICE',
      message: expect.stringContaining(`more than ${MAX_PODS} pods`),
    })
    const before = new Set(kubelets.open.keys())
    expect(before.size).toBe(MAX_PODS - 1)
    // Its place is taken by one that waits.
    eu.apply('Pod', { type: 'Delete', row: eu.table('Pod').get('shop', 'web-2-a')! })
    const left = logs.next()
    await settled()
    kubelets.end('web-2-a')
    await left
    expect(new Set(kubelets.open.keys()).difference(before).size).toBe(1)
    await logs.leave()
  })

  it('hold up what is read while their reader does not take it, and leave nothing out', async () => {
    const { kubelets, logs } = await setUp(WEB, 'type line')
    await settled()
    const lines = Array.from({ length: 6_000 }, (_, number) => `line ${number} ${'x'.repeat(80)}`)
    kubelets.write('web-2-a', `${lines.join('\n')}\n`)
    await logs.next()
    expect(Array.from(kubelets.open.values(), ({ paused }) => paused)).toEqual([true, true, true])
    for (const line of lines.slice(1)) expect(await logs.next()).toEqual({ type: 'LINE', line })
    expect(Array.from(kubelets.open.values(), ({ paused }) => paused)).toEqual([false, false, false])
    await logs.leave()
  })

  it('are read to the end also of a pod that went while they were held up', async () => {
    const { eu, kubelets, clock, logs } = await setUp(WEB, 'type line')
    await settled()
    const lines = Array.from({ length: 6_000 }, (_, number) => `line ${number} ${'x'.repeat(80)}`)
    kubelets.write('web-2-a', `${lines.join('\n')}\n`)
    await logs.next()
    eu.apply('Pod', { type: 'Delete', row: eu.table('Pod').get('shop', 'web-2-a')! })
    await clock.advance(60_000)
    for (const line of lines.slice(1)) expect(await logs.next()).toEqual({ type: 'LINE', line })
    kubelets.write('web-2-a', 'last words\n')
    expect(await logs.next()).toEqual({ type: 'LINE', line: 'last words' })
    await clock.advance(10_000)
    expect(kubelets.open.has('web-2-a')).toBe(false)
    await logs.leave()
    expect(clock.pending).toBe(0)
  })

  it('end by themselves where they are not followed', async () => {
    const { kubelets, logs } = await setUp(`${WEB}, follow: false`)
    const events = logs.rest()
    await settled()
    for (const name of ['web-1-a', 'web-2-a', 'web-2-b']) kubelets.end(name)
    kubelets.fail('web-2-c', new ApiError(400, { reason: 'BadRequest', message: 'no host assigned' }))
    expect((await events).map(({ type, pod: name }) => `${type} ${name}`)).toEqual([
      'ENDED web-1-a',
      'ENDED web-2-a',
      'ENDED web-2-b',
      'ERROR web-2-c',
    ])
  })
})

describe('a subscription to logs', () => {
  it.each([
    ['pod', `cluster: "prod-eu", namespace: "shop"`],
    ['workload', `cluster: "prod-eu", namespace: "shop", pod: "db-0", ${WEB}`],
    ['cluster', `cluster: "prod", namespace: "shop", pod: "db-0"`],
    ['tail', `cluster: "prod-eu", namespace: "shop", pod: "db-0", tail: -1`],
    ['since.seconds', `cluster: "prod-eu", namespace: "shop", pod: "db-0", since: { seconds: 0 }`],
  ])('names the argument that is wrong: %s', async (argument, args) => {
    const asked = follow(shopFleet().fleet, `subscription { podLogs(${args}) { type } }`)
    await expect(asked).rejects.toMatchObject({
      errors: [{ extensions: { code: 'BAD_USER_INPUT', argument } }],
    })
  })
})

describe('a right that is taken away while logs are read', () => {
  const shown = () => ({ namespaces: new Set(['shop']) })

  it('ends the log of a pod at once, and says so', async () => {
    const policy = new ScopedPolicy(shown)
    const { kubelets, logs } = await setUp('pod: "db-0"', FIELDS, shopFleet(), policy)
    await settled()
    kubelets.begin('db-0')
    kubelets.write('db-0', '2026-11-23T04:31:00.1Z before\n')
    policy.allows = () => ({ allowed: false, reason: 'No role allows it.' })
    policy.changed()
    expect(kubelets.open.size).toBe(0)
    expect(await logs.rest()).toMatchObject([
      { type: 'STARTED' },
      { type: 'LINE', line: 'before' },
      { type: 'ERROR', error: { code: 'FORBIDDEN', message: 'No role allows it.' } },
    ])
    expect(policy.listeners).toBe(0)
  })

  it('ends the logs of a workload, also of pods that were still in line', async () => {
    const policy = new ScopedPolicy(shown)
    const shop = shopFleet()
    const { kubelets, logs } = await setUp(WEB, FIELDS, shop, policy)
    await settled()
    const open = kubelets.open.size
    expect(open).toBeGreaterThan(1)
    policy.scopes = () => undefined
    policy.changed()
    expect(kubelets.open.size).toBe(0)
    const events = await logs.rest()
    expect(events.map(({ error }) => error?.code)).toEqual(Array(open).fill('FORBIDDEN'))
    expect(kubelets.asked).toHaveLength(open)
  })

  it('ends what is read of a pod that is told as hidden before anything else is', async () => {
    const policy = new ScopedPolicy(shown)
    const shop = shopFleet()
    const { kubelets, logs } = await setUp('pod: "db-0"', FIELDS, shop, policy)
    await settled()
    // The hub hears of it first.
    policy.scopes = () => undefined
    policy.forget()
    hubOf(shop.fleet).rightsChanged()
    const [event] = await logs.rest()
    expect(event).toMatchObject({ type: 'ERROR', pod: 'db-0', error: { code: 'FORBIDDEN' } })
    expect(kubelets.open.size).toBe(0)
  })
})
