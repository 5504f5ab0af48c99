import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { AuditIdError, type AuditFilter, type AuditRecord } from '../../../src/access/audit/audit.ts'
import { AuditTrail, type AuditTrailOptions } from '../../../src/access/audit/audit-trail.ts'
import { viewerOf } from '../../../src/access/viewer.ts'
import { connectRedis, type RedisConnection } from '../../../src/events/redis/connection.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { startRedisCluster, startRedisServer, type RedisServer } from '../../support/redis-server.ts'
import { note } from './notes.ts'

const auditor = viewerOf({ name: 'olga', groups: ['auditors', 'system:authenticated'] })
const READERS = { readerUsers: ['root'], readerGroups: ['auditors'] }

function trailOf(options: Partial<AuditTrailOptions> = {}): AuditTrail {
  const trail = new AuditTrail({
    clock: new FakeClock(),
    onProblem: () => {},
    entries: 1_000,
    ...READERS,
    ...options,
  })
  onTestFinished(() => trail.close())
  return trail
}

const ids = (records: readonly AuditRecord[]) => records.map(({ correlationId }) => correlationId)
/** Each of them another mutation, so that none is counted with another. */
const done = (correlationId: string) => note({ type: 'MUTATION', outcome: 'ALLOWED', correlationId })

/** What a follower is told, until the test ends; without records called `begin`, which `onBegin` hears of. */
function followed(trail: AuditTrail, filter: AuditFilter = {}, onBegin = () => {}): string[] {
  const heard: string[] = []
  const hear = (id: string) => (id === 'begin' ? onBegin() : heard.push(id))
  const stop = new AbortController()
  const over = trail.readerFor(auditor).follow(filter, (records) => ids(records).forEach(hear), stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await over
  })
  return heard
}

describe('who may read audit records', () => {
  it.each([
    ['a user who is named', viewerOf({ name: 'root', groups: [] }), true],
    ['a member of a group that is named', auditor, true],
    [
      'nobody else',
      viewerOf({ name: 'ada', groups: ['dev', 'system:authenticated', 'system:masters'] }),
      false,
    ],
    [
      'nobody whose name another cluster vouches for',
      viewerOf({ name: 'root', groups: ['auditors'] }, { clusters: new Set(['east']) }),
      false,
    ],
  ])('is %s', async (_who, viewer, allowed) => {
    const trail = trailOf()
    trail.record(done('a'))
    const reader = trail.readerFor(viewer)
    expect(reader.allowed).toBe(allowed)
    if (allowed) {
      expect((await reader.list({ first: 5 })).records).toHaveLength(1)
      return
    }
    await expect(reader.list({ first: 5 })).rejects.toThrow()
    await expect(reader.follow({}, () => {}, new AbortController().signal)).rejects.toThrow()
  })

  it('is nobody where nobody is named', () => {
    const trail = trailOf({ readerUsers: [], readerGroups: [] })
    expect(trail.readerFor(auditor).allowed).toBe(false)
  })
})

describe('records in memory', () => {
  it('are listed newest first, page by page, while others come', async () => {
    const clock = new FakeClock()
    const trail = trailOf({ clock })
    for (let i = 0; i < 7; i++) {
      trail.record(done(`r-${i}`))
      if (i % 2) await clock.advance(1)
    }
    const reader = trail.readerFor(auditor)
    const first = await reader.list({ first: 3 })
    expect(ids(first.records)).toEqual(['r-6', 'r-5', 'r-4'])
    expect(first).toMatchObject({ hasMore: true, problem: null })
    trail.record(done('later'))
    const second = await reader.list({ first: 3, after: first.end! })
    expect(ids(second.records)).toEqual(['r-3', 'r-2', 'r-1'])
    const third = await reader.list({ first: 3, after: second.end! })
    expect(ids(third.records)).toEqual(['r-0'])
    expect(third.hasMore).toBe(false)
    expect(await reader.list({ first: 3, after: third.end! })).toMatchObject({ records: [], hasMore: false })
  })

  it('are filtered by all that is asked for', async () => {
    const clock = new FakeClock(1_000_000)
    const trail = trailOf({ clock })
    const user = note().user!
    trail.record(note({ correlationId: 'a' }))
    await clock.advance(1_000)
    trail.record(note({ correlationId: 'b', type: 'REFUSED', user: null, clusters: [] }))
    await clock.advance(1_000)
    trail.record(note({ correlationId: 'c', user: { ...user, name: 'bob' }, clusters: ['east', 'west'] }))
    trail.record(note({ correlationId: 'd', type: 'MUTATION', outcome: 'FAILED' }))
    const reader = trail.readerFor(auditor)
    const found = async (filter: AuditFilter) => ids((await reader.list({ filter, first: 10 })).records)
    expect(await found({})).toEqual(['d', 'c', 'b', 'a'])
    expect(await found({ types: ['DENIED'] })).toEqual(['c', 'a'])
    expect(await found({ users: ['ada'] })).toEqual(['d', 'a'])
    expect(await found({ clusters: ['west', 'north'] })).toEqual(['c'])
    expect(await found({ outcomes: ['FAILED'] })).toEqual(['d'])
    expect(await found({ since: 1_001_000 })).toEqual(['d', 'c', 'b'])
    expect(await found({ until: 1_001_000 })).toEqual(['b', 'a'])
    expect(await found({ types: ['DENIED'], users: ['bob'], since: 1_002_000 })).toEqual(['c'])
    expect(await found({ types: [] })).toEqual([])
  })

  it('are so many and no more', async () => {
    const trail = trailOf({ entries: 10 })
    for (let i = 0; i < 5_000; i++) trail.record(done(`r-${i}`))
    const { records, hasMore } = await trail.readerFor(auditor).list({ first: 500 })
    expect(ids(records)).toEqual(Array.from({ length: 10 }, (_, i) => `r-${4_999 - i}`))
    expect(hasMore).toBe(false)
  })

  it('are none where none are to be kept, which is said', async () => {
    const trail = trailOf({ entries: 0 })
    trail.record(done('a'))
    expect(await trail.readerFor(auditor).list({ first: 5 })).toMatchObject({
      records: [],
      problem: expect.stringContaining('audit.entries'),
    })
  })

  it('are not found by what is no cursor', async () => {
    const reader = trailOf().readerFor(auditor)
    for (const after of ['', 'x', '1', '1-', '(1-1', '1-1\n', `${'9'.repeat(40)}-1`])
      await expect(reader.list({ first: 5, after })).rejects.toBeInstanceOf(AuditIdError)
  })

  it('are followed as they come, by who asks for them', async () => {
    const trail = trailOf()
    trail.record(done('before'))
    const all = followed(trail)
    const denied = followed(trail, { types: ['DENIED'] })
    await settled()
    trail.record(done('a'))
    trail.record(note({ correlationId: 'b' }))
    await settled()
    trail.record(done('c'))
    await settled()
    expect(all).toEqual(['a', 'b', 'c'])
    expect(denied).toEqual(['b'])
  })

  it('wait for a follower that is slow', async () => {
    const trail = trailOf()
    const stop = new AbortController()
    const taken: string[][] = []
    let goOn = () => {}
    const over = trail.readerFor(auditor).follow(
      {},
      (records) =>
        new Promise((resolve) => {
          taken.push(ids(records))
          goOn = resolve
        }),
      stop.signal,
    )
    await settled()
    trail.record(done('a'))
    await settled()
    trail.record(done('b'))
    trail.record(done('c'))
    await settled()
    expect(taken).toEqual([['a']])
    goOn()
    await settled()
    expect(taken).toEqual([['a'], ['b', 'c']])
    stop.abort()
    goOn()
    await over
  })

  it('go to the log as well, and a log that throws hurts nobody', async () => {
    const logged: unknown[] = []
    const trail = trailOf({
      onRecord: (record) => {
        logged.push(record)
        throw new Error('the disk is full')
      },
    })
    trail.record(done('a'))
    expect(logged).toMatchObject([{ correlationId: 'a', count: 1 }])
    expect(logged[0]).not.toHaveProperty('key')
    expect((await trail.readerFor(auditor).list({ first: 1 })).records[0]).not.toHaveProperty('key')
  })
})

describe('records in Redis', () => {
  vi.setConfig({ testTimeout: 30_000 })
  let server: RedisServer

  beforeAll(async () => {
    server = await startRedisServer()
    return () => server.close()
  })

  let prefixes = 0

  /** Two replicas of one fleet. */
  async function replicas(on: { readonly url: string } = server, options: Partial<AuditTrailOptions> = {}) {
    const prefix = `fleet${++prefixes}`
    const make = async () => {
      const redis = connectRedis(on.url, { clock: systemClock, prefix, probeMs: 50, awayMs: 400 })
      const problems: string[] = []
      const trail = new AuditTrail({
        clock: systemClock,
        onProblem: (message) => problems.push(message),
        entries: 1_000,
        redis,
        ...READERS,
        ...options,
      })
      onTestFinished(async () => {
        await trail.close()
        await redis.close()
      })
      await ready(redis)
      return { trail, redis, problems }
    }
    return { prefix, one: await make(), two: await make() }
  }

  const ready = (redis: RedisConnection) => eventually(() => expect(redis.state.status).toBe('READY'))
  const away = (redis: RedisConnection) => eventually(() => expect(redis.state.status).toBe('AWAY'))

  /** The same, once it is known to have begun: from where is asked of Redis. */
  async function begun(trail: AuditTrail): Promise<string[]> {
    let isBegun = false
    const heard = followed(trail, {}, () => (isBegun = true))
    await eventually(() => {
      trail.record(done('begin'))
      expect(isBegun).toBe(true)
    })
    return heard
  }

  async function listed(trail: AuditTrail): Promise<string[]> {
    const { records } = await trail.readerFor(auditor).list({ first: 500 })
    return ids(records).filter((id) => id !== 'begin')
  }

  it('are those of all replicas, in one order on each of them', async () => {
    const { one, two } = await replicas()
    for (let i = 0; i < 20; i++) {
      one.trail.record(done(`one-${i}`))
      two.trail.record(done(`two-${i}`))
    }
    const seen = await eventually(async () => {
      const seen = await listed(one.trail)
      expect(seen).toHaveLength(40)
      return seen
    })
    expect(await listed(two.trail)).toEqual(seen)
    expect(seen.filter((id) => id.startsWith('one')).toReversed()).toEqual(
      Array.from({ length: 20 }, (_, i) => `one-${i}`),
    )
    const first = await one.trail.readerFor(auditor).list({ first: 15 })
    const rest = await two.trail.readerFor(auditor).list({ first: 100, after: first.end! })
    expect([...ids(first.records), ...ids(rest.records)]).toEqual(seen)
    expect(rest).toMatchObject({ hasMore: false, problem: null })
  })

  it('are followed on any replica, each once', async () => {
    const { one, two } = await replicas()
    one.trail.record(done('before'))
    await eventually(async () => expect(await listed(two.trail)).toHaveLength(1))
    const heard = await begun(two.trail)
    const all = await begun(one.trail)
    for (let i = 0; i < 700; i++) one.trail.record(done(`one-${i}`))
    two.trail.record(note({ correlationId: 'denied' }))
    await eventually(() => expect(heard).toHaveLength(701))
    expect(heard.filter((id) => id.startsWith('one'))).toEqual(
      Array.from({ length: 700 }, (_, i) => `one-${i}`),
    )
    await eventually(() => expect(all.toSorted()).toEqual(heard.toSorted()))
  })

  it('are about so many', async () => {
    const { one, prefix } = await replicas(server, { entries: 100 })
    for (let i = 0; i < 3_000; i++) one.trail.record(done(`r-${i}`))
    await eventually(async () => expect((await listed(one.trail))[0]).toBe('r-2999'))
    const [key = ''] = await server.ask((redis) => redis.keys(`${prefix}:*`))
    expect(await server.ask((redis) => redis.xlen(key))).toBeLessThan(400)
  })

  it('that came while Redis was away are there when it is back; until then there are our own, and that is said', async () => {
    const own = await startRedisServer()
    onTestFinished(() => own.close())
    const { one, two } = await replicas(own)
    one.trail.record(done('first'))
    await eventually(async () => expect(await listed(two.trail)).toEqual(['first']))
    const heard = await begun(one.trail)
    own.freeze()
    await away(one.redis)
    one.trail.record(done('away'))
    two.trail.record(done('other'))
    const page = await one.trail.readerFor(auditor).list({ first: 10 })
    expect(ids(page.records).filter((id) => id !== 'begin')).toEqual(['away', 'first'])
    expect(page.problem).toContain('one replica')
    await eventually(() => expect(heard).toEqual(['away']))
    own.thaw()
    await ready(one.redis)
    await eventually(async () =>
      expect((await listed(one.trail)).toSorted()).toEqual(['away', 'first', 'other']),
    )
    await eventually(() => expect(heard).toEqual(['away', 'other']))
    expect((await one.trail.readerFor(auditor).list({ first: 10 })).problem).toBeNull()
  })

  it('are counted and said where they are lost', async () => {
    const own = await startRedisServer()
    onTestFinished(() => own.close())
    const { one } = await replicas(own)
    await own.kill()
    await away(one.redis)
    for (let i = 0; i < 10_005; i++) one.trail.record(done(`r-${i}`))
    expect(one.problems).toHaveLength(1)
    await own.start()
    await eventually(() => expect(one.problems).toHaveLength(2), { timeoutMs: 20_000 })
    expect(one.problems[1]).toContain('so far 5 were not')
    const page = await one.trail.readerFor(auditor).list({ first: 1 })
    expect(page.problem).toContain('5 records are missing')
  })

  it('are kept in a Redis Cluster, too', async () => {
    const nodes = await startRedisCluster()
    onTestFinished(() => nodes.close())
    const { one, two } = await replicas(nodes)
    const heard = await begun(two.trail)
    for (let i = 0; i < 600; i++) one.trail.record(done(`r-${i}`))
    await eventually(() => expect(heard).toHaveLength(600))
    expect((await listed(two.trail))[0]).toBe('r-599')
    expect(one.problems).toEqual([])
  })

  it('are written before the end', async () => {
    const { one, two } = await replicas()
    for (let i = 0; i < 1_200; i++) one.trail.record(done(`r-${i}`))
    await one.trail.close()
    expect(await listed(two.trail)).toHaveLength(500)
    expect((await listed(two.trail))[0]).toBe('r-1199')
  })
})
