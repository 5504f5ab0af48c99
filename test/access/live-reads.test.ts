import { describe, expect, it } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { MOST_LOGS } from '../../src/access/followed-logs.ts'
import { everything, type Policy, type Verdict } from '../../src/access/policy.ts'
import { viewerOf, type Viewer } from '../../src/access/viewer.ts'
import { ApiError, type ApiRequest, type ByteSink } from '../../src/kubernetes/client.ts'
import { settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { ScopedPolicy } from '../support/scoped-policy.ts'

const alice = viewerOf({ name: 'alice', groups: ['dev'] })
const shop = { namespaces: new Set(['shop']) }

function world(policy: Policy = new ScopedPolicy({ east: shop }), viewer: Viewer | (() => Viewer) = alice) {
  const east = new FakeCluster('east')
  east.answer = () => ({ kind: 'Pod' })
  const logs: { request: ApiRequest; sink: ByteSink; open: boolean }[] = []
  Object.assign(east.client, {
    stream: (request: ApiRequest, sink: ByteSink) => {
      const log = { request, sink, open: true }
      logs.push(log)
      return { abort: () => void (log.open = false), pause() {}, resume() {} }
    },
  })
  return { east, logs, view: new AuthorizedFleet(new FakeFleet(east), viewer, policy) }
}

const db = { path: '/api/v1/namespaces/shop/secrets/db', what: 'get Secret shop/db' }

describe('a live read', () => {
  it('goes as the viewer, with their own token, or not at all', async () => {
    const policy = new ScopedPolicy({ east: shop })
    const { east, view } = world(policy)
    await view.request(east, db)
    policy.credential = () => ({ type: 'TOKEN', token: 'hers' })
    await view.request(east, db)
    expect(east.requests.map(({ as, token }) => ({ as, token }))).toEqual([
      { as: { user: 'alice', groups: ['dev'] }, token: undefined },
      { as: undefined, token: 'hers' },
    ])
    policy.credential = () => ({ type: 'NONE', reason: 'You are unknown in this cluster.' })
    await expect(view.request(east, db)).rejects.toMatchObject({
      statusCode: 403,
      message: 'You are unknown in this cluster.',
    })
    await expect(view.resolve(east, 'v1', 'Pod')).rejects.toMatchObject({ statusCode: 403 })
    expect(east.requests).toHaveLength(2)
    expect(view.reads.denied).toEqual(new Set(['east']))
  })

  it("never goes with the gateway's own rights but where there is no access control", async () => {
    const policy = new ScopedPolicy({ east: shop })
    policy.credential = () => ({ type: 'OWN' })
    const { east, view } = world(policy)
    await expect(view.request(east, db)).rejects.toThrow(TypeError)
    expect(east.requests).toEqual([])
    const open = world(everything)
    await open.view.request(open.east, db)
    expect(open.east.requests[0]).not.toHaveProperty('as')
  })

  it('goes as whoever the viewer is by now', async () => {
    let now = alice
    const { east, view } = world(undefined, () => now)
    now = viewerOf({ name: 'alice', groups: ['dev', 'on-call'] })
    await view.request(east, db)
    expect(east.requests[0]?.as?.groups).toEqual(['dev', 'on-call'])
  })

  it('is told of for the audit, and so is that it was refused', async () => {
    const { east, view } = world()
    await view.request(east, db)
    expect(view.reads.privileged).toEqual(['get Secret shop/db in east'])
    expect(view.reads.denied).toEqual(new Set())
    east.answer = () => {
      throw new ApiError(403, { message: 'secrets "db" is forbidden' })
    }
    await expect(view.request(east, db)).rejects.toThrow('forbidden')
    expect(view.reads.denied).toEqual(new Set(['east']))
    let noted = 0
    view.reads.onNoted = () => noted++
    for (let i = 0; i < 200; i++) await view.request(east, db).catch(() => {})
    // None is left out, however many are read before.
    expect(view.reads.privileged).toHaveLength(202)
    expect(noted).toBe(200)
    for (let i = 0; i < 10_000; i++) view.reads.notePrivileged('more')
    expect(view.reads.privileged).toHaveLength(10_000)
  })
})

describe('a log that is followed', () => {
  const pod = { namespace: 'shop', name: 'web' }

  function follow({ view, east }: ReturnType<typeof world>, of = pod) {
    const heard: string[] = []
    const stream = view.followLog(
      east,
      of,
      { container: 'main', follow: true },
      {
        onData: (chunk) => void heard.push(chunk.toString()),
        onEnd: () => void heard.push('END'),
        onError: (error) =>
          void heard.push(`${error instanceof ApiError ? error.statusCode : error.name} ${error.message}`),
      },
    )
    return { heard, stream }
  }

  it('ends when the right to read it is taken away, and nothing comes after that', async () => {
    const policy = new ScopedPolicy({ east: shop })
    const at = world(policy)
    const { heard } = follow(at)
    const [log] = at.logs
    log!.sink.onData(Buffer.from('one'))
    policy.changed()
    expect(policy.asked).toEqual([{ verb: 'get', group: '', resource: 'pods', subresource: 'log', ...pod }])
    log!.sink.onData(Buffer.from('two'))
    policy.allows = () => ({ allowed: false, reason: 'No role allows it.' })
    policy.changed()
    log!.sink.onData(Buffer.from('three'))
    log!.sink.onEnd()
    expect(heard).toEqual(['one', 'two', '403 No role allows it.'])
    expect(log!.open).toBe(false)
    expect(policy.listeners).toBe(0)
    // For the audit.
    expect(at.view.reads.denied).toEqual(new Set(['east']))
  })

  it('ends when its pod may be seen no more', () => {
    const policy = new ScopedPolicy({ east: shop })
    const at = world(policy)
    const { heard } = follow(at)
    policy.scopes = () => ({ namespaces: new Set(['pay']) })
    policy.changed()
    expect(heard).toEqual(['403 You may not see the pod shop/web any more.'])
    expect(policy.asked).toEqual([])
  })

  it('ends as if the cluster had failed where its right cannot be found out', async () => {
    const policy = new ScopedPolicy({ east: shop })
    const at = world(policy)
    const { heard } = follow(at)
    policy.allows = () => ({ allowed: null, reason: 'The cluster does not answer.' })
    policy.changed()
    expect(heard).toEqual(['TransportError The cluster does not answer.'])
  })

  it('asks once for all logs of a pod, and once more for all changes that come meanwhile', async () => {
    const policy = new ScopedPolicy({ east: shop })
    const at = world(policy)
    const both = [follow(at), follow(at)]
    const answers: PromiseWithResolvers<Verdict>[] = []
    policy.allows = () => {
      const answer = Promise.withResolvers<Verdict>()
      answers.push(answer)
      return answer.promise
    }
    for (let i = 0; i < 5; i++) policy.changed()
    expect(answers).toHaveLength(1)
    answers[0]!.resolve({ allowed: true, reason: null })
    await settled()
    expect(answers).toHaveLength(2)
    answers[1]!.resolve({ allowed: false, reason: 'Gone.' })
    await settled()
    expect(both.map(({ heard }) => heard)).toEqual([['403 Gone.'], ['403 Gone.']])
    expect(answers).toHaveLength(2)
  })

  it('waits for rights that are being found out', async () => {
    const policy = new ScopedPolicy({ east: shop })
    const at = world(policy)
    const { heard } = follow(at)
    const found = Promise.withResolvers<void>()
    policy.rights = () => ({ scope: undefined, state: 'PENDING', reason: null, settled: found.promise })
    policy.changed()
    await settled()
    expect(heard).toEqual([])
    policy.rights = undefined
    found.resolve()
    await settled()
    expect(heard).toEqual([])
    expect(policy.asked).toHaveLength(1)
  })

  it('is one of a bounded number for each user and cluster, over all their requests', async () => {
    const policy = new ScopedPolicy({ east: shop })
    const at = world(policy)
    const streams = Array.from(
      { length: MOST_LOGS },
      (_, i) => follow(at, { ...pod, name: `web-${i}` }).stream,
    )
    const again = { ...at, view: new AuthorizedFleet(new FakeFleet(at.east), { ...alice }, policy) }
    const refused = follow(again)
    await settled()
    expect(refused.heard).toEqual([
      `429 You read ${MOST_LOGS} logs of the cluster east already: end some of them.`,
    ])
    const bob = viewerOf({ name: 'bob', groups: [] })
    const other = follow({ ...at, view: new AuthorizedFleet(new FakeFleet(at.east), bob, policy) })
    await settled()
    expect(other.heard).toEqual([])
    streams[0]!.abort()
    streams[0]!.abort()
    const next = follow(again)
    const one = follow(again)
    await settled()
    expect(next.heard).toEqual([])
    expect(one.heard).toHaveLength(1)
    at.logs.forEach(({ sink }) => sink.onEnd())
    expect(policy.listeners).toBe(0)
  })
})
