/**
 * What goes wrong between an owner and its followers, one fault at a time: lost messages and rows, Redis
 * gone or frozen, owners that come after one another, content that is none.
 */
import { describe, expect, it } from 'vitest'
import type { PodRow } from '../../../src/kubernetes/rows.ts'
import { podRow } from '../../fleet/pod-model.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { generationOf, KEYS, publishedGeneration, type Replica, same, shown } from './replica-pair.ts'
import { closeReplicas, apply, look, pair, pod, redis, remove, replica, setStage } from './stage.ts'

setStage()

const numbered = (i: number) => `pod-${String(i).padStart(6, '0')}`
const many = (count: number): PodRow[] =>
  Array.from({ length: count }, (_, i) => podRow({ name: numbered(i) }))

const channels = () => look.pubsub('CHANNELS') as Promise<string[]>

describe('a message that is lost', () => {
  it('is found by the next one', async () => {
    const { owner, other, publisher } = await pair()
    await other.link.subscriber.unsubscribe(KEYS.channel)
    // No row more or less, by which it could be found as well.
    apply(owner, pod('a'))
    await publisher.flush()
    await other.link.subscriber.subscribe(KEYS.channel)
    apply(owner, pod('next'))
    await same(other, owner)
  })

  it('is found by the next heartbeat when it was the last one', async () => {
    const { owner, other, publisher } = await pair()
    await other.link.subscriber.unsubscribe(KEYS.channel)
    remove(owner, pod('a'))
    await publisher.flush()
    await other.link.subscriber.subscribe(KEYS.channel)
    await same(other, owner)
    expect(other.pods.get('shop', 'a')).toBeUndefined()
  })

  it('is found where no message comes any more, though Redis and the owner are well', async () => {
    const { owner, other, publisher, follower } = await pair()
    follower.close()
    const again = other.follow({ staleMs: 500, from: follower.positions })
    await eventually(() => expect(again.state).toBe('FOLLOWING'))
    const states: string[] = []
    other.pods.onStatus(({ state }) => states.push(state))
    await other.link.subscriber.unsubscribe(KEYS.channel)
    apply(owner, pod('lost'))
    await publisher.flush()
    await same(other, owner)
    expect(states).toEqual([])
    await eventually(async () => expect(await channels()).toEqual([KEYS.channel]))
  })

  it('is none that was sent twice, since its answer got lost', async () => {
    const { owner, other, publisher } = await pair()
    const before = await publishedGeneration(look)
    const changes = other.record()
    for (let i = 0; i < 30; i++) {
      apply(owner, pod(`web-${i}`))
      if (i % 10 === 5) await look.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      await new Promise((resolve) => setImmediate(resolve))
    }
    await publisher.flush()
    await same(other, owner)
    expect(changes.map(({ row }) => row.name)).toEqual(Array.from({ length: 30 }, (_, i) => `web-${i}`))
    expect(await publishedGeneration(look)).toBe(before)
  })
})

describe('Redis', () => {
  it('may come back empty', async () => {
    const { owner, other, publisher } = await pair()
    const changes = other.record()
    await redis.kill()
    apply(owner, pod('c'))
    remove(owner, pod('a'))
    await redis.start()
    await eventually(() => look.set(KEYS.lease, 'token-2', 'PX', 600_000))
    publisher.resume('token-2', 2)
    await same(other, owner)
    expect(changes.map(({ type, row }) => `${type} ${row.name}`).sort()).toEqual(['ADDED c', 'DELETED a'])
  })

  it('may be frozen, however much happens meanwhile', async () => {
    const { owner, other, publisher } = await pair(many(2_000))
    redis.freeze()
    for (let i = 0; i < 30_000; i++) apply(owner, pod(numbered(i % 500)))
    expect(publisher.lag.pending).toBeLessThanOrEqual(21_000)
    for (let i = 0; i < 25_000; i++) apply(owner, pod(numbered(i)))
    // More objects than may wait: the table will be published whole, and nothing waits.
    expect(publisher.lag.pending).toBeLessThanOrEqual(26_000)
    remove(owner, ...many(100))
    redis.thaw()
    await same(other, owner)
  })

  it('may be frozen: what came and went meanwhile is nothing to go on from in the midst of', async () => {
    const { owner, other } = await pair()
    const journal = other.journal()
    redis.freeze()
    apply(owner, pod('short-lived'))
    const midst = owner.pods.status.resourceVersion!
    remove(owner, pod('short-lived'))
    for (let i = 0; i < 9_998; i++) apply(owner, pod('short-lived'))
    remove(owner, pod('short-lived'))
    redis.thaw()
    await same(other, owner)
    expect(journal.since(midst)).toBe('GONE')
    expect(journal.since('100')).toEqual([])
  })

  it('may lose a table’s rows: no follower takes it for an empty table', async () => {
    const { owner, other, publisher } = await pair()
    const changes = other.record()
    const generation = await publishedGeneration(look)
    await publisher.flush()
    await look.del(KEYS.rows('Pod', generation))
    // One that begins just now has nothing to read until the owner has seen to it.
    const third = await replica()
    const seen = third.record()
    third.follow()
    await same(third, owner)
    expect(await publishedGeneration(look)).not.toBe(generation)
    await same(other, owner)
    expect([...changes, ...seen]).toEqual([])
  })

  it('may go back in time while an owner publishes', async () => {
    const { owner, other, publisher } = await pair()
    const rows = KEYS.rows('Pod', await publishedGeneration(look))
    await look.copy(KEYS.state, 'copy-of-state')
    await look.copy(rows, 'copy-of-rows')
    apply(owner, pod('a'), pod('c'))
    await publisher.flush()
    await same(other, owner)
    await look.multi().rename('copy-of-state', KEYS.state).rename('copy-of-rows', rows).exec()
    apply(owner, pod('d'))
    await same(other, owner)
    const third = await replica()
    third.follow()
    await same(third, owner)
  })

  it('may go back in time before a take-over: a follower that knew more reads again', async () => {
    const { owner, other, publisher } = await pair()
    const rows = KEYS.rows('Pod', await publishedGeneration(look))
    await look.copy(KEYS.state, 'copy-of-state')
    await look.copy(rows, 'copy-of-rows')
    apply(owner, pod('phantom'))
    await publisher.flush()
    await same(other, owner)
    publisher.close()
    await look.multi().rename('copy-of-state', KEYS.state).rename('copy-of-rows', rows).exec()
    // A new owner knows nothing of what Redis forgot, and goes on from there.
    const next = await replica()
    const before = next.follow()
    await before.catchUp()
    before.close()
    await next.publish(2, { from: before.positions })
    next.cluster.apply('Pod', { type: 'Up' })
    apply(next, pod('real'))
    await same(other, next)
    expect(other.pods.get('shop', 'phantom')).toBeUndefined()
  })

  it('may be behind a replica that has watched by itself: what that one told is not taken back', async () => {
    const { owner, other, follower } = await pair()
    follower.close()
    const [made, gone] = [pod('made'), pod('b', { uid: other.pods.get('shop', 'b')!.uid })]
    const see = (one: Replica): void => {
      apply(one, made)
      remove(one, gone)
    }
    see(other)
    const changes = other.record()
    const back = other.follow({ watchedUntil: Date.now() })
    await back.catchUp()
    expect(changes).toEqual([])
    expect(back.positions.get('Pod')).toBeUndefined()
    see(owner)
    await eventually(() => expect(back.positions.get('Pod')).toBeDefined())
    await same(other, owner)
    expect(changes).toEqual([])
  })

  it('holds nothing that does not expire, and less of a table than twice', async () => {
    const { owner, publisher } = await pair(many(1_000))
    await look.del(KEYS.rows('Pod', await publishedGeneration(look)))
    apply(owner, pod('c'))
    await publisher.flush()
    await eventually(async () => {
      const keys = await look.keys('*')
      const lives = await Promise.all(keys.map(async (key) => [key, await look.pttl(key)] as const))
      for (const [key, ms] of lives) {
        expect(ms, key).toBeGreaterThan(0)
        expect(ms, key).toBeLessThanOrEqual(3_600_000)
      }
      // Of the kinds, only pods have rows; what was before is gone.
      expect(keys.sort()).toEqual(
        [KEYS.lease, KEYS.state, KEYS.rows('Pod', await publishedGeneration(look))].sort(),
      )
    })
  })
})

describe('while a follower reads a table', () => {
  /** Holds the follower's first HSCAN answers back until the test opens the gate. */
  function holdScan(other: Replica) {
    const { commands } = other.link
    const began = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const hscan = commands.hscan.bind(commands) as (...args: unknown[]) => Promise<[string, string[]]>
    let calls = 0
    Object.assign(commands, {
      hscan: async (...args: unknown[]) => {
        const answer = await hscan(...args)
        if (++calls === 3) began.resolve()
        if (calls === 3) await gate.promise
        return answer
      },
    })
    return { began: began.promise, open: () => gate.resolve() }
  }

  it('no change is missed, of rows read already or still to come', async () => {
    const owner = await replica()
    const other = await replica()
    owner.sync(many(20_000))
    const publisher = await owner.publish(1)
    await publisher.flush()
    const scan = holdScan(other)
    other.follow()
    await scan.began
    for (let i = 0; i < 20_000; i += 7) apply(owner, pod(numbered(i)))
    for (let i = 1; i < 20_000; i += 70) remove(owner, pod(numbered(i)))
    for (let i = 0; i < 100; i++) apply(owner, pod(`new-${i}`))
    await publisher.flush()
    scan.open()
    await eventually(() => expect(other.pods.status.state).toBe('CURRENT'))
    // Not by reading it once more.
    const changes = other.record()
    await same(other, owner)
    expect(changes).toEqual([])
  })

  it('it may be published anew', async () => {
    const owner = await replica()
    const other = await replica()
    owner.sync(many(2_000))
    const publisher = await owner.publish(1)
    await publisher.flush()
    const generation = await publishedGeneration(look)
    const scan = holdScan(other)
    other.follow()
    await scan.began
    await look.del(KEYS.rows('Pod', generation))
    apply(owner, pod('c'))
    await eventually(async () => expect(await publishedGeneration(look)).not.toBe(generation))
    await publisher.flush()
    scan.open()
    await same(other, owner)
  })

  it('a message may be lost', async () => {
    const owner = await replica()
    const other = await replica()
    owner.sync(many(2_000))
    const publisher = await owner.publish(1)
    await publisher.flush()
    const scan = holdScan(other)
    other.follow()
    await scan.began
    await other.link.subscriber.unsubscribe(KEYS.channel)
    apply(owner, pod(numbered(0)))
    await publisher.flush()
    await other.link.subscriber.subscribe(KEYS.channel)
    scan.open()
    await same(other, owner)
  })
})

describe('between two batches of one relist', () => {
  /** An owner of which Redis holds only the first part of a relist, from 100 to 5000. */
  async function halfway() {
    const { owner, other, publisher, follower } = await pair(many(1_500))
    const { commands } = owner.link
    const change = commands.fleetgraphChange.bind(commands)
    const gate = Promise.withResolvers<void>()
    let calls = 0
    commands.fleetgraphChange = async (...args) => {
      if (++calls > 1) await gate.promise
      return change(...args)
    }
    owner.sync(
      many(1_500).map((_, i) => pod(numbered(i), { phase: 'Failed' })),
      '5000',
    )
    await eventually(() => expect(other.pods.get('shop', numbered(0))?.phase).toBe('Failed'))
    return { owner, other, publisher, follower, finish: () => gate.resolve() }
  }

  it('a table that is read is not whole, and nobody goes on from its version, until the rest has come', async () => {
    const { owner, finish } = await halfway()
    const third = await replica()
    third.follow()
    await eventually(() => expect(third.pods.status).toMatchObject({ state: 'CURRENT' }))
    expect(third.pods.status.resourceVersion).toBe('100')
    expect(third.pods.whole).toBe(false)
    const journal = third.journal()
    expect(journal.since('100')).toBe('GONE')
    finish()
    await same(third, owner)
    expect(third.pods.whole).toBe(true)
    expect(journal.since('100')).toBe('GONE')
    expect(journal.since('5000')).toEqual([])
  })

  it('a table that is read again is not whole either', async () => {
    const { owner, other, follower, finish } = await halfway()
    follower.close()
    const journal = other.journal()
    let read = false
    other.pods.onRelist(() => (read = true))
    other.follow()
    await eventually(() => expect(read).toBe(true))
    expect(other.pods.whole).toBe(false)
    expect(journal.since('100')).toBe('GONE')
    finish()
    await same(other, owner)
    expect(journal.since('100')).toBe('GONE')
  })

  it('a new owner takes over what is there, and not as whole', async () => {
    const { publisher } = await halfway()
    publisher.close()
    const next = await replica()
    const waiting = next.follow()
    await waiting.catchUp()
    waiting.close()
    expect(next.pods.size).toBe(1_500)
    expect(next.pods.whole).toBe(false)
  })
})

describe('while an owner publishes a table whole', () => {
  it('changes before and behind the scan are in it', async () => {
    const owner = await replica()
    const other = await replica()
    other.follow()
    owner.sync(many(20_000))
    const publisher = await owner.publish(1)
    for (let turn = 0; publisher.lag.pending >= 20_000; turn++) {
      apply(owner, pod(numbered(turn % 20_000)), pod(numbered(19_999 - (turn % 20_000))), pod(`new-${turn}`))
      remove(owner, pod(numbered(turn + 1)))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await publisher.flush()
    await same(other, owner)
  })

  it('the connection may break', async () => {
    const owner = await replica()
    const other = await replica()
    other.follow()
    owner.sync(many(5_000))
    const publisher = await owner.publish(1)
    for (let i = 0; i < 3; i++) {
      await look.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      apply(owner, pod(numbered(i)))
    }
    await publisher.flush()
    await same(other, owner)
  })
})

describe('of two owners', () => {
  it('the older one writes nothing any more, and is told', async () => {
    const { owner, other, publisher } = await pair()
    const next = await replica()
    next.sync([podRow({ name: 'theirs' })], '200')
    await next.publish(2)
    apply(owner, pod('late'))
    await publisher.flush()
    await eventually(() => expect(owner.fenced).toBe(1))
    await same(other, next)
    expect(other.pods.get('shop', 'late')).toBeUndefined()
    publisher.close()
  })

  it('the next one goes on where the one before was, and no follower reads anything again', async () => {
    const { owner, other, publisher } = await pair()
    const next = await replica()
    const waiting = next.follow()
    await same(next, owner)
    const before = await look.hget(KEYS.state, 'Pod')
    const changes = other.record()
    const states: string[] = []
    for (const one of [other, next]) one.pods.onStatus(({ state }) => states.push(state))

    await publisher.flush()
    const left = publisher.positions
    publisher.close()
    await look.set(KEYS.lease, 'token-2', 'PX', 600_000)
    await waiting.catchUp()
    const known = waiting.positions
    waiting.close()
    await next.publish(2, { from: known })
    owner.follow({ from: left })

    apply(next, pod('c'))
    await same(other, next)
    await same(owner, next)
    const after = await look.hget(KEYS.state, 'Pod')
    expect(generationOf(after!)).toBe(generationOf(before!))
    expect(changes.map(({ type, row }) => `${type} ${row.name}`)).toEqual(['ADDED c'])
    expect(states).toEqual([])
  })

  it('the next one has what the one before published last, though it missed it', async () => {
    const { owner, other, publisher } = await pair()
    const next = await replica()
    const waiting = next.follow()
    await same(next, owner)
    await next.link.subscriber.unsubscribe(KEYS.channel)
    apply(owner, pod('last'))
    await publisher.flush()
    publisher.close()
    await waiting.catchUp()
    expect(next.pods.get('shop', 'last')).toBeDefined()
    expect(waiting.positions.get('Pod')).toBe(await look.hget(KEYS.state, 'Pod'))
    await same(other, next)
  })

  it('the first one finds nothing to catch up with', async () => {
    const first = await replica()
    const follower = first.follow()
    await follower.catchUp()
    expect(follower.positions.size).toBe(0)
    expect(shown(first)).toMatchObject({ state: 'SYNCING', rows: [] })
  })

  it('says so where Redis does not answer a catch-up', async () => {
    const { follower } = await pair()
    redis.freeze()
    await expect(follower.catchUp()).rejects.toThrow('Cluster prod could not be followed')
  })
})

describe('an owner that cannot publish what it sees', () => {
  it('does not say that it lives, until it can', async () => {
    const { owner, publisher } = await pair()
    publisher.close()
    const { commands } = owner.link
    const change = commands.fleetgraphChange.bind(commands)
    const next = await owner.publish(2, { stuckMs: 300 })
    await next.flush()
    const third = await replica()
    const follower = third.follow({ staleMs: 600 })
    await same(third, owner)
    commands.fleetgraphChange = () => Promise.reject(new Error('too large'))
    apply(owner, pod('c'))
    await eventually(() => expect(follower.state).toBe('ORPHANED'))
    expect(third.pods.status.state).toBe('STALE')
    expect(owner.errors.map(({ message }) => message).join()).toContain('too large')
    commands.fleetgraphChange = change
    await same(third, owner)
    expect(follower.state).toBe('FOLLOWING')
  })

  it('does not either where what it writes is refused for ever', async () => {
    const { owner, other, publisher } = await pair()
    publisher.close()
    const { commands } = owner.link
    const commit = commands.fleetgraphCommit.bind(commands)
    commands.fleetgraphCommit = async () => ['ELSEWHERE', '']
    await owner.publish(2, { stuckMs: 300 })
    const follower = other.follow({ staleMs: 600 })
    await eventually(() => expect(follower.state).toBe('ORPHANED'))
    commands.fleetgraphCommit = commit
    await same(other, owner)
  })

  it('but for one row, publishes all others', async () => {
    const { owner, other, publisher } = await pair()
    const generation = await publishedGeneration(look)
    const odd = (row: PodRow): PodRow => JSON.parse(JSON.stringify(row)) as PodRow
    apply(owner, pod('c'), odd(pod('odd')), pod('d'))
    await publisher.flush()
    await eventually(() => expect(other.pods.size).toBe(4))
    expect(await publishedGeneration(look)).toBe(generation)
    expect(owner.errors.map(({ message }) => message).join()).toContain('Pod shop/odd')
    publisher.close()
    // Whole, too, before and after it was seen by the scan.
    const again = await owner.publish(2)
    apply(owner, odd(pod('odd')), odd(pod('a')))
    await again.flush()
    const third = await replica()
    third.follow()
    await eventually(() => expect(third.pods.size).toBeGreaterThan(0))
    expect(Array.from(third.pods.rows().all(), ({ name }) => name)).toEqual(
      expect.arrayContaining(['b', 'c', 'd']),
    )
    remove(owner, odd(pod('a')), odd(pod('odd')))
    await again.flush()
    for (const one of [other, third]) {
      await eventually(() =>
        expect(Array.from(one.pods.rows().all(), ({ name }) => name)).toEqual(['b', 'c', 'd']),
      )
    }
  })
})

describe('an owner that is silent', () => {
  it('leaves the tables of its followers stale, until it or another one is heard', async () => {
    const { owner, publisher } = await pair()
    const third = await replica()
    const follower = third.follow({ staleMs: 300 })
    await same(third, owner)
    publisher.close()
    await eventually(() => expect(follower.state).toBe('ORPHANED'))
    expect(third.pods.status).toMatchObject({ state: 'STALE', problem: { code: 'ERROR' } })
    expect(third.cluster.table('Node').status.state).toBe('FAILED')
    expect(third.pods.size).toBe(2)
    apply(owner, pod('c'))
    await owner.publish(2)
    await same(third, owner)
    expect(follower.state).toBe('FOLLOWING')
  })

  it('is none that is heard by the clock of the test', async () => {
    const { owner } = await pair()
    const clock = new FakeClock()
    const other = await replica()
    const follower = other.follow({ clock })
    await same(other, owner)
    // The process stood still: what came meanwhile is heard before anything is judged.
    await clock.advance(60_000)
    await eventually(() => expect(follower.state).toBe('FOLLOWING'))
    expect(other.pods.status.state).toBe('CURRENT')
    follower.close()
    expect(clock.pending).toBe(0)
  })

  it('whose tables are in Redis still, is none to be believed', async () => {
    const { owner, publisher } = await pair()
    publisher.close()
    await look.hset(KEYS.state, ':beat', Date.now() - 60_000)
    const other = await replica()
    const states: string[] = []
    other.pods.onStatus(({ state }) => states.push(state))
    other.follow()
    await eventually(() => expect(other.pods.size).toBe(owner.pods.size))
    expect(states).toEqual(['FAILED', 'STALE'])
    expect(other.pods.status.asOf).toBeLessThan(Date.now() - 50_000)
  })
})

describe('what is no message', () => {
  it('changes nothing', async () => {
    const { owner, other } = await pair()
    const position = (await look.hget(KEYS.state, 'Pod'))!
    const [generation, sequence, tag] = position.split(' ')
    const about = (await look.hget(KEYS.state, 'Pod:about'))!
    const next = `${generation} ${Number(sequence) + 1} zzz 3`
    const lies = [
      '',
      'garbage',
      'beat',
      'beat {}',
      'beat {"state":"UP"}\nPod',
      `changes Pod ${tag} ${next} ${about}\nA7 {"not":"a row"}`,
      `changes Pod ${tag} ${next} ${about}\nrubbish`,
      `changes Pod ${tag} ${next} {}`,
      `changes Pod other ${next} ${about}`,
      `changes Toaster ${tag} ${next} ${about}`,
      `whole Pod ${generation} 0 zzz 0 ${about}`,
    ]
    for (const lie of lies) {
      await look.publish(KEYS.channel, lie)
      apply(owner, pod('c'))
      await same(other, owner)
    }
    expect(other.pods.size).toBe(3)
  })

  it('is a row in Redis that cannot be read: the table says so, and is read when it can be', async () => {
    const { owner, publisher } = await pair()
    await publisher.flush()
    const rows = KEYS.rows('Pod', await publishedGeneration(look))
    await look.hset(rows, 'shop/a', 'rubbish')
    const other = await replica()
    const follower = other.follow()
    await eventually(() => expect(other.errors).toHaveLength(1))
    expect(other.errors[0]?.message).toContain('Cluster prod could not be followed')
    await follower.catchUp()
    expect(follower.positions.has('Pod')).toBe(false)
    apply(owner, pod('a'))
    await same(other, owner)
  })
})

describe('closed', () => {
  it('they leave no timer, no subscription and no listener', async () => {
    const owner = await replica()
    const other = await replica()
    const clock = new FakeClock()
    owner.sync(many(3_000))
    const publisher = await owner.publish(1, { clock })
    const follower = other.follow({ clock })
    await same(other, owner)
    expect(await channels()).toEqual([KEYS.channel])
    const late = other.follow({ clock })
    late.close()
    follower.close()
    publisher.close()
    publisher.close()
    follower.close()
    expect(clock.pending).toBe(0)
    await eventually(async () => expect(await channels()).toEqual([]))
    expect(other.link.subscriber.listenerCount('message')).toBe(0)
    const before = shown(other)
    apply(owner, pod('c'))
    await publisher.flush()
    expect(shown(other)).toEqual(before)
    const names = async () => String(await look.client('LIST')).match(/name=\S*/g)
    expect(await names()).toEqual(expect.arrayContaining(['name=replica']))
    await closeReplicas()
    await eventually(async () => expect(await names()).toEqual(['name=look']))
  })

  it('in the midst of a table, they leave nothing of it', async () => {
    const owner = await replica()
    owner.sync(many(3_000))
    const publisher = await owner.publish(1)
    await publisher.flush()
    const other = await replica()
    const steps: string[] = []
    const table = other.cluster.table('Pod')
    const apply = table.apply.bind(table)
    const follower = other.follow()
    Object.assign(table, {
      apply(step: Parameters<typeof apply>[0]) {
        steps.push(step.type)
        apply(step)
        if (steps.length === 100) follower.close()
      },
    })
    await eventually(() => expect(steps).toContain('Cancel'))
    // Whatever was on its way has come.
    await look.ping()
    await settled()
    expect(steps.at(-1)).toBe('Cancel')
    expect(other.pods.size).toBe(0)
  })
})
