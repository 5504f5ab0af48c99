import { describe, expect, it } from 'vitest'
import { createFleet, type Fleet } from '../../src/fleet/fleet.ts'
import { ApiError, type ApiRequest, TransportError } from '../../src/kubernetes/client.ts'
import { ALL_KINDS, KINDS } from '../../src/kubernetes/kinds.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import type { ScriptedClient } from './scripted-client.ts'
import { bookmark, namespace, never, refused, setUp, TestSource, timeout } from './scripted-fleet.ts'

describe('the fleet', () => {
  it('is empty at once, and fills as its sources speak', async () => {
    const { source, fleet, define } = setUp()
    expect(fleet.clusters).toEqual([])
    let changes = 0
    fleet.onChange(() => changes++)
    source.say([define('b'), define('a')], [])
    expect(fleet.clusters.map(({ name }) => name)).toEqual(['a', 'b'])
    expect(fleet.revision).toBe(1)
    expect(changes).toBe(1)
    expect(fleet.cluster('a')?.health.state).toBe('CONNECTING')
    await settled()
    expect(fleet.cluster('a')?.health).toMatchObject({ state: 'UP', version: 'v1.34.1' })
    expect(changes).toBeGreaterThan(1)
  })

  it('touches nothing but the cluster that changed', async () => {
    const { source, fleet, define, client, cluster } = setUp()
    source.say([define('a'), define('b'), define('c')], [])
    await settled()
    const [a, b, c] = [client('a'), client('b'), client('c')]
    const streams = a.streams.length
    const before = cluster('a')
    source.say([define('a'), define('b', { fingerprint: 'two' })], [])
    await settled()
    expect(cluster('a')).toBe(before)
    expect(a.closed).toBe(false)
    expect(a.streams).toHaveLength(streams)
    expect(b.closed).toBe(true)
    expect(b.open).toEqual([])
    expect(client('b')).not.toBe(b)
    expect(c.closed).toBe(true)
    expect(fleet.clusters.map(({ name }) => name)).toEqual(['a', 'b'])
    expect(fleet.revision).toBe(2)
  })

  it('takes new labels without reconnecting', async () => {
    const { source, fleet, define, client, cluster } = setUp()
    source.say([define('a', { labels: { env: 'prod' } })], [])
    await settled()
    const { revision } = cluster('a')
    const connected = client('a')
    source.say([define('a', { labels: { env: 'prod' } })], [])
    expect(cluster('a').revision).toBe(revision)
    source.say([define('a', { labels: { env: 'staging' } })], [])
    expect(cluster('a').labels).toEqual({ env: 'staging' })
    expect(cluster('a').revision).toBe(revision + 1)
    expect(client('a')).toBe(connected)
    expect(fleet.revision).toBe(1)
  })

  it('says what is wrong with its sources', () => {
    const { source, problems } = setUp()
    source.say([], [{ source: 'test', message: 'kubeconfig:3: no such context' }])
    expect(problems).toEqual(['kubeconfig:3: no such context'])
  })

  it('leaves no timer, no request and no client behind', async () => {
    const { clock, source, fleet, define, client } = setUp()
    source.say([define('a'), define('b', { answer: never })], [])
    await settled()
    expect(clock.pending).toBeGreaterThan(0)
    await fleet.close()
    expect(clock.pending).toBe(0)
    expect(source.closed).toBe(true)
    for (const name of ['a', 'b']) expect(client(name)).toMatchObject({ closed: true, open: [] })
    source.say([define('c')], [])
    expect(fleet.clusters).toEqual([])
  })

  it('is closed by its signal', async () => {
    const abort = new AbortController()
    const source = new TestSource()
    const fleet = createFleet({ sources: [source], clock: new FakeClock(), signal: abort.signal })
    abort.abort()
    await fleet.close()
    expect(source.closed).toBe(true)
  })

  it('bounds the initial states of one cluster, in the order of the kinds', async () => {
    const { source, define, client, cluster } = setUp({ syncsPerCluster: 2 })
    source.say([define('a')], [])
    await settled()
    const asked = ALL_KINDS.map((kind) => `stream ${KINDS[kind].resource} from ""`)
    expect(client('a').open).toEqual(asked.slice(0, 2))
    client('a').streams[0]?.start().events(bookmark('1'))
    expect(client('a').open).toEqual(asked.slice(0, 3))
    for (let i = 1; i < ALL_KINDS.length; i++) client('a').streams[i]?.start().events(bookmark('1'))
    expect(ALL_KINDS.map((kind) => cluster('a').table(kind).status.state)).toEqual(
      ALL_KINDS.map(() => 'CURRENT'),
    )
  })

  it('brings rights first: without them nothing is shown', () => {
    const rights = ['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding']
    expect(ALL_KINDS.slice(0, rights.length)).toEqual(rights)
  })

  it('lets a cluster that does not answer hold up no other', async () => {
    const { source, define, client } = setUp({ syncs: 1, syncsPerCluster: 1 })
    source.say([define('frozen', { answer: never }), define('healthy')], [])
    await settled()
    expect(client('frozen').streams).toEqual([])
    expect(client('healthy').open).toEqual(['stream clusterroles from ""'])
  })
})

describe('the health of a cluster', () => {
  const synced = async (answer?: ScriptedClient['answer']) => {
    const all = setUp({ syncsPerCluster: 100, syncs: 100 })
    all.source.say([all.define('a', answer ? { answer } : {})], [])
    await settled()
    const client = all.client('a')
    for (const stream of client.streams) stream.start().events(bookmark('7'))
    return { ...all, server: client, a: all.cluster('a') }
  }
  const states = (a: { table: Fleet['clusters'][number]['table'] }) =>
    new Set(ALL_KINDS.map((kind) => a.table(kind).status.state))

  it('finds a frozen server within 15 seconds, and its tables stale and not empty', async () => {
    const { clock, server, a } = await synced()
    server.of('namespaces').events(namespace('shop', '8'))
    const { revision } = a
    // As the client does: no answer within the time that it was given.
    server.answer = ({ timeoutMs = 0 }: ApiRequest) =>
      new Promise((_, reject) => clock.after(timeoutMs, () => reject(timeout)))
    await clock.advance(15_000)
    expect(a.health).toMatchObject({ state: 'DOWN', version: 'v1.34.1', lastError: { code: 'UNREACHABLE' } })
    expect(a.revision).toBe(revision + 1)
    expect(states(a)).toEqual(new Set(['STALE']))
    expect(a.table('Namespace').size).toBe(1)
  })

  it('brings every table back at once when the server answers again', async () => {
    const { clock, server, a } = await synced()
    server.answer = () => Promise.reject(refused)
    await clock.advance(60_000)
    expect(a.health.state).toBe('DOWN')
    const asked = server.streams.length
    server.answer = () => ({ gitVersion: 'v1.35.0' })
    await clock.advance(10_000)
    expect(a.health).toMatchObject({ state: 'UP', version: 'v1.35.0' })
    const resumed = server.streams.slice(asked)
    expect(resumed.map(({ words }) => words)).toContain('watch pods from "7"')
    expect(resumed).toHaveLength(ALL_KINDS.length)
    for (const stream of resumed) stream.start()
    await clock.advance(1_000)
    expect(states(a)).toEqual(new Set(['CURRENT']))
  })

  it('asks at once when a watch breaks, and once more before it believes the answer', async () => {
    const { clock, server, a, logged } = await synced()
    server.answer = () => Promise.reject(refused)
    server.streams[0]?.fail(new TransportError('RESET', 'reset'))
    await settled()
    expect(a.health.state).toBe('UP')
    await clock.advance(1_100)
    expect(a.health.state).toBe('DOWN')
    expect(logged).toEqual(['a UP', `a DOWN ${refused}`])
    await clock.advance(60_000)
    expect(logged).toHaveLength(2)
  })

  it('is not doubted while watches bring bytes, however slow the server is', async () => {
    const { clock, server, a } = await synced()
    server.answer = ({ timeoutMs = 0 }: ApiRequest) =>
      new Promise((_, reject) => clock.after(timeoutMs, () => reject(timeout)))
    for (let seconds = 0; seconds < 60; seconds++) {
      await clock.advance(1_000)
      server.streams[3]?.events(bookmark(String(100 + seconds)))
    }
    expect(a.health.state).toBe('UP')
  })

  it('is down where the credentials are not accepted, until they are', async () => {
    const { clock, server, a } = await synced()
    server.answer = () => Promise.reject(new ApiError(401, { reason: 'Unauthorized' }))
    await clock.advance(12_000)
    expect(a.health).toMatchObject({ state: 'DOWN', lastError: { code: 'UNAUTHORIZED' } })
    expect(a.table('Pod').status.problem?.code).toBe('UNAUTHORIZED')
    server.answer = () => ({ gitVersion: 'v1.34.1' })
    await clock.advance(10_000)
    expect(a.health.state).toBe('UP')
  })

  it('is up where the version is forbidden, and not before a server that starts is ready', async () => {
    const { clock, source, define, cluster } = setUp()
    source.say([define('a', { answer: () => Promise.reject(new ApiError(403, {})) })], [])
    await settled()
    expect(cluster('a').health).toMatchObject({ state: 'UP', version: null })
    let ready = false
    source.say(
      [
        define('b', {
          answer: ({ path }) => {
            if (path === '/readyz' && !ready) throw new ApiError(500, {})
            return { gitVersion: 'v1' }
          },
        }),
      ],
      [],
    )
    await settled()
    expect(cluster('b').health.state).toBe('DOWN')
    ready = true
    await clock.advance(2_000)
    expect(cluster('b').health.state).toBe('UP')
  })

  it('is down, with the reason, where no client can be made', async () => {
    const { source, define, cluster, logged } = setUp()
    const connect = () => {
      throw new Error('ca.crt: no such file')
    }
    source.say([define('a', { connect })], [])
    await settled()
    expect(cluster('a').health).toMatchObject({ state: 'DOWN', lastError: { code: 'UNREACHABLE' } })
    expect(logged).toEqual(['a DOWN TransportError: ca.crt: no such file'])
  })

  it('says of a kind that it is forbidden or not served, and works otherwise', async () => {
    const { source, define, client, cluster } = setUp({ syncsPerCluster: 100, syncs: 100 })
    source.say([define('a')], [])
    await settled()
    const server = client('a')
    const refuse = (resource: string, error: ApiError) => {
      for (let stream = find(resource); stream; stream = find(resource)) {
        stream.fail(error)
        stream.aborted = true
      }
    }
    const find = (resource: string) =>
      server.streams.find(({ words, aborted }) => words.includes(` ${resource} `) && !aborted)
    refuse('configmaps', new ApiError(403, { message: 'configmaps is forbidden' }))
    refuse('cronjobs', new ApiError(404, {}))
    find('pods')?.start().events(bookmark('7'))
    const a = cluster('a')
    expect(a.table('ConfigMap').status).toMatchObject({ state: 'FAILED', problem: { code: 'FORBIDDEN' } })
    expect(a.table('CronJob').status).toMatchObject({ state: 'FAILED', problem: { code: 'NOT_SERVED' } })
    expect(a.table('Pod').status.state).toBe('CURRENT')
    expect(a.health.state).toBe('UP')
  })
})

describe('resolving a kind', () => {
  it('finds custom resources by discovery, and remembers them', async () => {
    const { clock, source, define, cluster, client } = setUp()
    let asked = 0
    source.say([define('a')], [])
    await settled()
    client('a').answer = ({ path }) => {
      if (path === '/api') return { kind: 'APIGroupDiscoveryList', items: [] }
      if (path !== '/apis') throw new ApiError(404, {})
      asked++
      const resource = (resource: string, kind: string, scope: string) => ({
        resource,
        responseKind: { group: 'example.com', version: 'v1', kind },
        scope,
        verbs: ['list'],
      })
      const resources = [
        resource('widgets', 'Widget', 'Namespaced'),
        resource('planets', 'Planet', 'Cluster'),
      ]
      return {
        kind: 'APIGroupDiscoveryList',
        items: [{ metadata: { name: 'example.com' }, versions: [{ version: 'v1', resources }] }],
      }
    }
    const a = cluster('a')
    expect(await a.resolve('example.com/v1', 'Widget')).toEqual({
      address: { group: 'example.com', version: 'v1', resource: 'widgets' },
      namespaced: true,
    })
    expect(await a.resolve('example.com/v1', 'Planet')).toMatchObject({ namespaced: false })
    expect(asked).toBe(1)
    expect(await a.resolve('example.com/v1', 'Gadget')).toBe(undefined)
    expect(await a.resolve('other.com/v1', 'Gadget')).toBe(undefined)
    await clock.advance(10_000)
    await a.resolve('example.com/v1', 'Gadget')
    expect(asked).toBe(2)
  })
})
