/** How often anybody may ask, counted in slices: by one process, and by several through Redis. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { viewerOf } from '../../src/access/viewer.ts'
import { Allowance, networkOf, RateLimits, type Reserve } from '../../src/server/rate-limits.ts'
import { eventually } from '../support/eventually.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { startRedisServer, type RedisServer } from '../support/redis-server.ts'

const LIMITS = {
  requestsPerMinute: 100,
  costPerMinute: 10_000,
  signInFailuresPerMinute: 10,
  refusedRequestWeight: 10,
}
const viewer = (name: string) => viewerOf({ name, groups: [] }, { method: 'TOKEN', issuer: 'tokens' })

/** Takes one after the other, as requests come, and gives how many were let through. */
async function taken(take: () => number, times: number): Promise<number> {
  let count = 0
  for (let i = 0; i < times; i++) {
    if (take() === 0) count++
    await settled()
  }
  return count
}

describe('an allowance', () => {
  const minute = (limit: number, clock: FakeClock): Reserve => {
    let [consumed, until] = [0, clock.now() + 60_000]
    return (points) => {
      if (clock.now() >= until) [consumed, until] = [0, clock.now() + 60_000]
      const granted = Math.max(0, Math.min(points, limit - consumed))
      consumed += points
      return Promise.resolve({ granted, exhaustedMs: consumed >= limit ? until - clock.now() : 0 })
    }
  }

  it('lets through its limit, says how long to wait, and lets through as much in the next minute', async () => {
    const clock = new FakeClock()
    const allowance = new Allowance(100, minute(100, clock), clock)
    expect(await taken(() => allowance.take(1), 150)).toBe(100)
    await clock.advance(20_000)
    expect(allowance.take(1)).toBe(40_000)
    await clock.advance(40_000)
    expect(await taken(() => allowance.take(1), 150)).toBe(100)
  })

  it('lets through no more than a slice beyond what it was granted while nobody answers', async () => {
    const allowance = new Allowance(1_000, () => new Promise(() => {}), new FakeClock())
    expect(await taken(() => allowance.take(1), 100)).toBe(10)
  })

  it('refuses what costs more than there ever is, and does not count it', async () => {
    const clock = new FakeClock()
    const allowance = new Allowance(100, minute(100, clock), clock)
    expect(allowance.take(101)).toBe(60_000)
    expect(await taken(() => allowance.take(1), 150)).toBe(100)
  })

  it('does not lock anybody out where the counter fails', async () => {
    const allowance = new Allowance(100, () => Promise.reject(new Error('broken')), new FakeClock())
    expect(await taken(() => allowance.take(1), 150)).toBe(150)
  })
})

describe('limits in memory', () => {
  it('hold for one user, whichever of the sign-ins is used, and for nobody else', async () => {
    const rates = new RateLimits({ limits: LIMITS })
    const alices = [viewer('alice'), viewer('alice')]
    let turn = 0
    expect(await taken(() => rates.request(alices[turn++ % 2]!), 150)).toBe(100)
    expect(rates.request(viewer('bob'))).toBe(0)
  })

  it('count what requests cost, and nothing for what costs nothing', async () => {
    const rates = new RateLimits({ limits: LIMITS })
    expect(await taken(() => rates.cost(viewer('alice'), 1_000), 20)).toBeLessThanOrEqual(11)
    expect(rates.cost(viewer('alice'), 0)).toBe(0)
  })

  it('hold for nobody where nobody signs in', async () => {
    const rates = new RateLimits({ limits: LIMITS })
    const nobody = viewerOf({ name: 'system:anonymous', groups: [] })
    expect(await taken(() => rates.request(nobody), 150)).toBe(150)
  })

  it('close a network from which too many sign-ins have failed', async () => {
    const rates = new RateLimits({ limits: LIMITS })
    for (let i = 0; i < 10; i++) {
      expect(rates.signInWaitMs('2001:db8:1:2::1')).toBe(0)
      rates.signInFailed(`2001:db8:1:2::${i}`)
      await settled()
    }
    expect(rates.signInWaitMs('2001:db8:1:2:ffff::9')).toBeGreaterThan(0)
    expect(rates.signInWaitMs('2001:db8:1:3::1')).toBe(0)
    expect(rates.signInWaitMs('203.0.113.7')).toBe(0)
  })
})

describe('a refused request', () => {
  const WEIGHT = 10
  const limits = { ...LIMITS, requestsPerMinute: 1_000, refusedRequestWeight: WEIGHT }
  /** At the pace at which refused requests may come for long: one in 600 ms. */
  const slowly = (clock: FakeClock) => clock.advance(600)

  it('takes as much of the minute as its weight says; one that is answered takes one', async () => {
    const clock = new FakeClock()
    const rates = new RateLimits({ limits, clock })
    for (let i = 0; i < 50; i++) {
      expect(rates.request(viewer('alice'))).toBe(0)
      rates.refused(viewer('alice'))
      await slowly(clock)
    }
    expect(await taken(() => rates.request(viewer('alice')), 700)).toBe(1_000 - 50 * WEIGHT)
    expect(await taken(() => rates.request(viewer('bob')), 1_200)).toBe(1_000)
  })

  it('locks nobody out who is mistaken a few times, and says when to come again to who goes on', async () => {
    const clock = new FakeClock()
    const rates = new RateLimits({ limits, clock })
    const mistake = () => {
      const wait = rates.request(viewer('alice'))
      if (wait === 0) rates.refused(viewer('alice'))
      return wait
    }
    expect(await taken(mistake, 20)).toBe(20)
    const wait = mistake()
    expect(wait).toBe(600)
    expect(rates.isAnyoneWaiting).toBe(true)
    expect(rates.requestWaitMs(viewer('alice'))).toBe(600)
    expect(rates.requestWaitMs(viewer('bob'))).toBe(0)
    await clock.advance(wait)
    expect(mistake()).toBe(0)
    expect(mistake()).toBe(600)
  })

  it('that took long to find out counts as many times as it took half milliseconds of CPU, but not as more than ten', async () => {
    const clock = new FakeClock()
    const rates = new RateLimits({ limits, clock })
    const mistake = (cpuMs: number) => () => {
      const wait = rates.request(viewer('alice'))
      if (wait === 0) rates.refused(viewer('alice'), cpuMs)
      return wait
    }
    // Of a burst of 20.
    expect(await taken(mistake(2), 10)).toBe(5)
    expect(mistake(0)()).toBe(600)
    await clock.advance(20 * 600)
    // What begins in time is looked at.
    expect(await taken(mistake(80), 10)).toBe(2)
    expect(mistake(0)()).toBe(600)
    await clock.advance(20 * 600)
    expect(await taken(mistake(0.1), 30)).toBe(20)
  })

  it('of somebody unknown counts for the address that it comes from', async () => {
    const clock = new FakeClock()
    const rates = new RateLimits({ limits, clock })
    for (let i = 0; i < 20; i++) {
      expect(rates.refusedWaitMs('203.0.113.7')).toBe(0)
      rates.refusedFrom('203.0.113.7')
      await settled()
    }
    expect(rates.refusedWaitMs('203.0.113.7')).toBe(600)
    expect(rates.refusedWaitMs('203.0.113.8')).toBe(0)
    expect(rates.signInWaitMs('203.0.113.7')).toBe(0)
  })

  it('of nobody in particular counts for nobody', async () => {
    const rates = new RateLimits({ limits })
    const nobody = viewerOf({ name: 'system:anonymous', groups: [] })
    for (let i = 0; i < 100; i++) rates.refused(nobody)
    await settled()
    expect(rates.request(nobody)).toBe(0)
  })
})

describe('a network', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})

describe('limits in Redis', () => {
  let server: RedisServer
  const clients: Redis[] = []
  beforeAll(async () => {
    server = await startRedisServer()
  })
  afterAll(async () => {
    for (const client of clients) client.disconnect()
    await server.close()
  })

  const replica = async (prefix: string) => {
    const client = new Redis(server.port, '127.0.0.1', { retryStrategy: () => 50 })
    client.on('error', () => {})
    clients.push(client)
    await eventually(() => expect(client.status).toBe('ready'))
    return new RateLimits({ limits: LIMITS, redis: { client, prefix } })
  }

  it('hold for all replicas together, but for a slice of each', async () => {
    const replicas = await Promise.all([replica('a'), replica('a'), replica('a')])
    let through = 0
    for (let i = 0; i < 300; i++) {
      if (replicas[i % 3]!.request(viewer('alice')) === 0) through++
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    expect(through).toBeGreaterThanOrEqual(97)
    expect(through).toBeLessThanOrEqual(103)
  })

  it('are used up on all replicas by what one of them refuses', async () => {
    const [one, other] = await Promise.all([replica('c'), replica('c')])
    for (let i = 0; i < 8; i++) {
      expect(one.request(viewer('alice'))).toBe(0)
      one.refused(viewer('alice'))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    // 80 of 100 are gone, and a slice that the first replica holds.
    const client = clients.at(-1)!
    await eventually(async () => {
      const [key] = await client.keys('c:rate:requests:*')
      expect(Number(await client.get(key!))).toBeGreaterThanOrEqual(80)
    })
    let through = 0
    for (let i = 0; i < 60; i++) {
      if (other.request(viewer('alice')) === 0) through++
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    expect(through).toBeGreaterThanOrEqual(15)
    expect(through).toBeLessThanOrEqual(22)
  })

  it('are kept in memory while Redis does not answer, or is away', async () => {
    const rates = await replica('b')
    server.freeze()
    try {
      let through = 0
      await eventually(() => {
        if (rates.request(viewer('alice')) === 0) through++
        expect(through).toBeGreaterThan(50)
      })
    } finally {
      server.thaw()
    }
  })
})
