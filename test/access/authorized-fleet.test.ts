import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything, type Policy } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import type { Scope } from '../../src/fleet/selection.ts'
import { Hub } from '../../src/events/hub.ts'
import { PositionError } from '../../src/events/position.ts'
import { ApiError, type ApiRequest, TransportError } from '../../src/kubernetes/client.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { ScopedPolicy } from '../support/scoped-policy.ts'

const alice = viewerOf({ name: 'alice', groups: ['dev'] })

function pod(namespace: string, name: string, nodeName = 'node-1', resourceVersion = '1'): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, uid: `uid-${namespace}-${name}`, resourceVersion },
    spec: { nodeName, containers: [{ name: 'main', image: 'nginx' }] },
    status: { phase: 'Running' },
  }
}

function twoClusters(): { east: FakeCluster; west: FakeCluster; fleet: FakeFleet } {
  const east = new FakeCluster('east').load('Pod', [pod('shop', 'a'), pod('shop', 'b'), pod('pay', 'c')])
  const west = new FakeCluster('west').load('Pod', [pod('shop', 'd')])
  return { east, west, fleet: new FakeFleet(west, east) }
}

/** Lets `alice` list what `scopes` says, cluster by cluster. */
const policy = (scopes: Readonly<Record<string, Scope>>) => new ScopedPolicy(scopes)

const shopOnly = { namespaces: new Set(['shop']) }

describe('a live read', () => {
  afterEach(() => void vi.useRealTimers())

  it('says what failed without saying where', async () => {
    const { fleet, east } = twoClusters()
    const view = new AuthorizedFleet(fleet, alice, everything)
    const at = 'https://10.1.2.3:6443'
    east.answer = () => {
      throw new ApiError(503, { message: `error trying to reach service: dial ${at}: refused` })
    }
    await expect(view.request(east, { path: '/api/v1/pods', what: 'list Pod' })).rejects.toThrow(
      /^error trying to reach service: dial …/,
    )
    east.resolve = () => Promise.reject(new TransportError('RESET', `Cluster east (${at}): it broke.`))
    await expect(view.resolve(east, 'v1', 'Pod')).rejects.toThrow(
      new TransportError('RESET', 'The connection to the API server broke.'),
    )
  })

  it('waits ten seconds for what a cluster serves, and no longer than its request', async () => {
    vi.useFakeTimers()
    const { fleet, east } = twoClusters()
    const view = new AuthorizedFleet(fleet, alice, everything)
    east.resolve = () => new Promise(() => {})
    const late = expect(view.resolve(east, 'v1', 'Pod')).rejects.toMatchObject({ code: 'TIMEOUT' })
    await vi.advanceTimersByTimeAsync(10_000)
    await late
    const request = new AbortController()
    const left = expect(view.resolve(east, 'v1', 'Pod', request.signal)).rejects.toThrow(
      'The client has gone.',
    )
    request.abort(new Error('The client has gone.'))
    await left
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the authorized fleet', () => {
  it('merges the clusters into one page in order of cluster, namespace and name', () => {
    const { fleet } = twoClusters()
    const view = new AuthorizedFleet(fleet, alice, everything)
    const page = view.select(['Pod'], view.clusters(), {}, [], { first: 3 })
    expect(page.rows.map(({ cluster, name }) => `${cluster}/${name}`)).toEqual(['east/c', 'east/a', 'east/b'])
    expect(page.hasNextPage).toBe(true)
    expect(page.total()).toBe(4)
  })

  it('shows nothing outside the namespaces and objects of the viewer: no row, count, relation or summary', () => {
    const { fleet } = twoClusters()
    const scope = { namespaces: new Set(['shop']), objects: new Set(['pay/other']) }
    const view = new AuthorizedFleet(fleet, alice, policy({ east: scope }))
    const page = view.select(['Pod'], view.clusters(), {}, [], { first: 10 })
    expect(page.rows.map(({ name }) => name)).toEqual(['a', 'b'])
    expect(page.total()).toBe(2)
    expect(view.get('Pod', 'east', 'pay', 'c')).toBeUndefined()
    expect(view.getByUid('Pod', 'east', 'uid-pay-c')).toBeUndefined()
    expect(view.related('Pod', 'east', (pods) => pods.byIndex('node', 'node-1'))).toHaveLength(2)
    const counts = view.summaries('Pod', fleet.cluster('east')!).map(({ count }) => count)
    expect(counts).toEqual([2])
    expect(view.summaries('Pod', fleet.cluster('west')!)).toEqual([])
  })

  it('counts and relates single objects and names that are allowed beyond the namespaces', () => {
    const { fleet } = twoClusters()
    const scope = {
      namespaces: new Set(['none']),
      objects: new Set(['shop/b', 'shop/gone']),
      names: new Set(['c']),
    }
    const view = new AuthorizedFleet(fleet, alice, policy({ east: scope }))
    const east = fleet.cluster('east')!
    const page = view.select(['Pod'], [east], {}, [], { first: 10 })
    expect(page.rows.map(({ name }) => name)).toEqual(['c', 'b'])
    expect(page.total()).toBe(2)
    expect(view.related('Pod', 'east', (pods) => pods.rows()).map(({ name }) => name)).toEqual(['c', 'b'])
    expect(view.get('Pod', 'east', 'pay', 'c')?.name).toBe('c')
    expect(view.get('Pod', 'east', 'shop', 'a')).toBeUndefined()
    const [summary] = view.summaries('Pod', east)
    expect(summary).toMatchObject({ count: 2, byPhase: new Map([['Running', 2]]) })
    expect(view.summaries('Pod', east, ['shop', 'pay', 'none']).map(({ count }) => count)).toEqual([1, 1])
  })

  it('sees what it may by now, when rights change while it lives', () => {
    const { fleet } = twoClusters()
    const rights = policy({ east: shopOnly })
    const view = new AuthorizedFleet(fleet, alice, rights)
    expect(view.get('Pod', 'east', 'shop', 'a')).toBeDefined()
    rights.scopes = () => undefined
    rights.changed()
    expect(view.get('Pod', 'east', 'shop', 'a')).toBeUndefined()
    expect(view.related('Pod', 'east', (pods) => pods.rows())).toEqual([])
    expect(view.reads.unchanged()).toBe(false)
  })

  it('notes clusters of which nothing of what was asked for may be seen, and names that were tried', () => {
    const { fleet, east, west } = twoClusters()
    const rights = policy({ east: shopOnly })
    const denied = (use: (view: AuthorizedFleet) => unknown) => {
      const view = new AuthorizedFleet(fleet, alice, rights)
      use(view)
      return [...view.reads.denied]
    }
    expect(denied((view) => view.select(['Pod'], [east, west], {}, [], { first: 1 }))).toEqual(['west'])
    expect(denied((view) => view.coverage(['Pod'], [east, west]))).toEqual(['west'])
    expect(denied((view) => view.summaries('Pod', west))).toEqual(['west'])
    expect(denied((view) => view.find('Pod', 'west', 'shop', 'd'))).toEqual(['west'])
    expect(denied((view) => view.find('Pod', 'east', 'pay', 'c'))).toEqual(['east'])
    expect(denied((view) => view.find('Pod', 'east', 'pay', 'nothing'))).toEqual(['east'])
    expect(denied((view) => view.find('Pod', 'east', 'shop', 'nothing'))).toEqual([])
    // What one object says of another is no question of the viewer's.
    expect(denied((view) => view.get('Pod', 'west', 'shop', 'd'))).toEqual([])
  })

  it('notes rights that are being found out, and keeps no answer beyond that', async () => {
    const { fleet, east } = twoClusters()
    const rights = policy({ east: shopOnly })
    const found = Promise.withResolvers<void>()
    rights.rights = () => ({ scope: undefined, state: 'PENDING', reason: null, settled: found.promise })
    const view = new AuthorizedFleet(fleet, alice, rights)
    expect(view.get('Pod', 'east', 'shop', 'a')).toBeUndefined()
    expect(view.coverage(['Pod'], [east])).toMatchObject([{ state: 'SYNCING' }])
    expect([...view.reads.pending]).toEqual([found.promise])
    expect(view.reads.denied.size).toBe(0)
    rights.rights = undefined
    rights.changed()
    expect(view.reads.unchanged()).toBe(false)
    expect(view.get('Pod', 'east', 'shop', 'a')).toBeDefined()
  })

  it('says why nothing of a cluster is shown', () => {
    const { fleet, east } = twoClusters()
    const rights = policy({})
    const view = new AuthorizedFleet(fleet, alice, rights)
    expect(view.coverage(['Pod', 'Node'], [east])).toEqual([
      {
        cluster: 'east',
        state: 'FORBIDDEN',
        since: 1_000,
        asOf: null,
        reason:
          'You may not list Pod, Node objects in this cluster. Ask its administrators for a role with the verb list.',
      },
    ])
    rights.rights = () => ({ scope: undefined, state: 'DECIDED', reason: 'Unknown here.', settled: null })
    rights.changed()
    expect(view.coverage(['Pod'], [east])).toMatchObject([{ state: 'FORBIDDEN', reason: 'Unknown here.' }])
    rights.rights = () => ({ scope: undefined, state: 'UNKNOWN', reason: 'It is down.', settled: null })
    rights.changed()
    expect(view.coverage(['Pod'], [east])).toMatchObject([{ state: 'UNREACHABLE', reason: 'It is down.' }])
  })

  it('cannot tell what may be done where there is no cluster', () => {
    const { fleet } = twoClusters()
    const view = new AuthorizedFleet(fleet, alice, policy({}))
    const action = { verb: 'get', group: '', resource: 'pods' }
    expect(view.can('north', action)).toEqual({ allowed: null, reason: 'There is no cluster "north".' })
    expect(view.can('east', action)).toEqual({ allowed: true, reason: null })
    expect(view.reads.volatile).toBe(true)
  })

  it('finds one object by name and by uid', () => {
    const { fleet } = twoClusters()
    const view = new AuthorizedFleet(fleet, alice, everything)
    expect(view.get('Pod', 'east', 'shop', 'a')?.uid).toBe('uid-shop-a')
    expect(view.getByUid('Pod', 'west', 'uid-shop-d')?.name).toBe('d')
    expect(view.get('Pod', 'north', 'shop', 'a')).toBeUndefined()
  })

  it('sends live reads as the user, in the version that the cluster serves', async () => {
    const { fleet, east } = twoClusters()
    east.answer = () => ({ kind: 'Pod' })
    const view = new AuthorizedFleet(fleet, alice, policy({ east: shopOnly }))
    await view.live({ kind: 'Pod', cluster: 'east', namespace: 'shop', name: 'a' })
    expect(east.requests).toMatchObject([
      { path: '/api/v1/namespaces/shop/pods/a', as: { user: 'alice', groups: ['dev'] } },
    ])
  })

  describe('what an answer was made from', () => {
    it('stays unchanged until a table that was read changes', () => {
      const { fleet, east, west } = twoClusters()
      const view = new AuthorizedFleet(fleet, alice, everything)
      view.get('Pod', 'east', 'shop', 'a')
      expect(view.reads.unchanged()).toBe(true)
      west.load('Pod', [])
      expect(view.reads.unchanged()).toBe(true)
      east.load('Pod', [pod('shop', 'a', 'node-2', '2')])
      expect(view.reads.unchanged()).toBe(false)
    })

    it('changes when a cluster comes, or its health changes', () => {
      const { fleet, east } = twoClusters()
      const first = new AuthorizedFleet(fleet, alice, everything)
      first.clusters()
      east.revision++
      expect(first.reads.unchanged()).toBe(false)
      const second = new AuthorizedFleet(fleet, alice, everything)
      second.cluster('nowhere')
      fleet.revision++
      expect(second.reads.unchanged()).toBe(false)
    })

    it('is never kept after a live read', async () => {
      const { fleet, east } = twoClusters()
      east.answer = () => ({})
      const view = new AuthorizedFleet(fleet, alice, everything)
      await view.request(east, { path: '/version', what: 'get version' })
      expect(view.reads.unchanged()).toBe(false)
    })
  })
})

describe('what is followed', () => {
  function live() {
    const world = twoClusters()
    const hub = new Hub({ fleet: world.fleet, clock: new FakeClock() })
    onTestFinished(() => hub.close())
    const view = (as: Policy) => new AuthorizedFleet(world.fleet, alice, as, hub)
    return { ...world, hub, view }
  }

  const pods = {
    type: 'rows' as const,
    kinds: ['Pod' as const],
    clusters: () => true,
    selection: {},
    throttleMs: 0,
  }

  it('is cut to what the viewer may see', async () => {
    const { view } = live()
    const scope = { namespaces: new Set(['shop']) }
    const told: string[] = []
    for await (const { type, object } of view(policy({ east: scope })).follow(pods, { snapshot: true })) {
      told.push(`${type} ${object?.name}`)
      if (type === 'SYNCED') break
    }
    expect(told).toEqual(['ADDED a', 'ADDED b', 'SYNCED undefined'])
  })

  it('notes as denied what may not be followed, as a list does', () => {
    const { view } = live()
    const viewer = view(policy({ east: 'all' }))
    viewer.follow(pods, { snapshot: true })
    expect(viewer.reads.denied).toEqual(new Set(['west']))
    const other = view(policy({ east: 'all' }))
    other.follow({ ...pods, clusters: ({ name }) => name === 'east' }, { snapshot: true })
    expect(other.reads.denied).toEqual(new Set())
  })

  it('refuses a wrong cursor before anything is followed', () => {
    const { view, hub } = live()
    expect(() => view(everything).follow(pods, { snapshot: false, after: 'wrong' })).toThrow(PositionError)
    expect(hub.counters.groups).toBe(0)
  })

  it('goes on from the position of what was read', async () => {
    const { view, east } = live()
    const viewer = view(everything)
    const after = viewer.position(['Pod'], viewer.clusters())!
    east.apply('Pod', { type: 'Apply', row: project('Pod')(pod('shop', 'e', 'node-1', '101'), 'east') })
    const events = viewer.follow(pods, { snapshot: false, after })[Symbol.asyncIterator]()
    expect((await events.next()).value).toMatchObject({ type: 'ADDED', object: { name: 'e' } })
    await events.return!()
  })

  it('is nothing without a hub', () => {
    const { fleet } = twoClusters()
    const view = new AuthorizedFleet(fleet, alice, everything)
    expect(() => view.follow(pods, { snapshot: true })).toThrow('This gateway has no live side')
    expect(view.position(['Pod'], view.clusters())).toBeNull()
  })
})

describe('a followed log', () => {
  function follow(view: AuthorizedFleet, cluster: FakeCluster) {
    const heard: string[] = []
    const stream = view.followLog(
      cluster,
      { namespace: 'shop', name: 'a' },
      { container: 'main', follow: true },
      {
        onData: (chunk) => void heard.push(chunk.toString()),
        onEnd: () => void heard.push('END'),
        onError: (error) => void heard.push(error.message),
      },
    )
    return { heard, stream }
  }

  it('is asked for as the user, and can be paused and ended', () => {
    const { fleet, east } = twoClusters()
    const calls: string[] = []
    let asked: ApiRequest | undefined
    east.client.stream = (request, sink) => {
      asked = request
      sink.onData(Buffer.from('line 1\n'))
      sink.onEnd()
      return {
        abort: () => void calls.push('abort'),
        pause: () => void calls.push('pause'),
        resume: () => void calls.push('resume'),
      }
    }
    const { heard, stream } = follow(new AuthorizedFleet(fleet, alice, policy({ east: shopOnly })), east)
    stream.pause()
    stream.resume()
    stream.abort()
    expect(calls).toEqual(['pause', 'resume', 'abort'])
    expect(heard).toEqual(['line 1\n', 'END'])
    expect(asked).toMatchObject({
      path: '/api/v1/namespaces/shop/pods/a/log',
      query: { container: 'main', follow: true },
      as: { user: 'alice', groups: ['dev'] },
    })
  })

  it('says what failed without saying where', () => {
    const { fleet, east } = twoClusters()
    east.client.stream = (_request, sink) => {
      sink.onError(new TransportError('RESET', 'Cluster east (https://10.1.2.3:6443): it broke.'))
      return { abort() {}, pause() {}, resume() {} }
    }
    const { heard } = follow(new AuthorizedFleet(fleet, alice, everything), east)
    expect(heard).toEqual(['The connection to the API server broke.'])
  })

  it('of a cluster that is down fails at once, unless it was ended before', async () => {
    const { fleet, east } = twoClusters()
    east.health = { ...east.health, state: 'DOWN' }
    east.client.stream = () => {
      throw new Error('It is down: nobody asks it.')
    }
    const view = new AuthorizedFleet(fleet, alice, everything)
    const failing = follow(view, east)
    const ended = follow(view, east)
    expect(failing.heard).toEqual([])
    ended.stream.abort()
    await Promise.resolve()
    expect(failing.heard).toEqual(['The cluster east does not answer.'])
    expect(ended.heard).toEqual([])
  })
})

describe('coverage', () => {
  it('is current when every table asked for is complete and followed', () => {
    const { fleet } = twoClusters()
    const view = new AuthorizedFleet(fleet, alice, everything)
    expect(view.coverage(['Pod'], view.clusters())).toMatchObject([
      { cluster: 'east', state: 'CURRENT', reason: null },
      { cluster: 'west', state: 'CURRENT', reason: null },
    ])
  })

  it('says what is still syncing, and takes the worst of several kinds', () => {
    const { fleet } = twoClusters()
    const view = new AuthorizedFleet(fleet, alice, everything)
    expect(view.coverage(['Pod', 'Node'], [fleet.cluster('east')!])).toMatchObject([
      { state: 'SYNCING', asOf: null },
    ])
  })

  it('keeps what it had of a cluster that is down, and says since when and why', () => {
    const { fleet, east } = twoClusters()
    const problem = { code: 'UNREACHABLE', message: 'The API server does not answer.' } as const
    east.apply('Pod', { type: 'Down', problem })
    east.health = {
      ...east.health,
      state: 'DOWN',
      since: 9_000,
      lastError: { code: 'TIMEOUT', message: 'No answer within 5 s.', at: 9_000 },
    }
    const view = new AuthorizedFleet(fleet, alice, everything)
    expect(view.coverage(['Pod'], [east])).toMatchObject([
      { state: 'UNREACHABLE', since: 9_000, asOf: 5_000, reason: 'No answer within 5 s.' },
    ])
    expect(view.select(['Pod'], [east], {}, [], { first: 5 }).rows).toHaveLength(3)
  })

  it('tells apart a watch that is behind, a kind that is not served, and one that the gateway may not read', () => {
    const { fleet, east } = twoClusters()
    east.apply('Pod', { type: 'Down', problem: { code: 'ERROR', message: 'The watch broke.' } })
    east.apply('Ingress', { type: 'Down', problem: { code: 'NOT_SERVED', message: 'Not served.' } })
    east.apply('ConfigMap', { type: 'Down', problem: { code: 'FORBIDDEN', message: 'Forbidden.' } })
    const view = new AuthorizedFleet(fleet, alice, everything)
    const state = (kind: 'Pod' | 'Ingress' | 'ConfigMap') => view.coverage([kind], [east])[0]?.state
    expect([state('Pod'), state('Ingress'), state('ConfigMap')]).toEqual(['STALE', 'NOT_SERVED', 'FORBIDDEN'])
  })

  it('calls stale what may be listed but not watched', () => {
    const { fleet, east } = twoClusters()
    east.apply('Pod', { type: 'Down', problem: { code: 'NOT_WATCHED', message: 'Read every 30 s.' } })
    const view = new AuthorizedFleet(fleet, alice, everything)
    expect(view.coverage(['Pod'], [east])).toMatchObject([{ state: 'STALE', reason: 'Read every 30 s.' }])
  })

  it('says FORBIDDEN to a viewer who may list nothing there', () => {
    const { fleet } = twoClusters()
    const view = new AuthorizedFleet(fleet, alice, policy({ east: shopOnly }))
    expect(view.coverage(['Pod'], view.clusters()).map(({ state }) => state)).toEqual([
      'CURRENT',
      'FORBIDDEN',
    ])
  })
})
