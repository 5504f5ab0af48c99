import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { CompactSign, decodeJwt, decodeProtectedHeader, SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Viewer, viewerOf } from '../../src/access/viewer.ts'
import { connectRedis } from '../../src/events/redis/connection.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import type { KubernetesJson } from '../../src/kubernetes/json.ts'
import { createPlans, type PlanBody, type Plans } from '../../src/writes/plans.ts'
import { ChangeRefused } from '../../src/writes/writes.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type RedisServer, startRedisCluster, startRedisServer } from '../support/redis-server.ts'
import { CONFIG_MAP, headOf, SECRET, secretOf, stepOf } from './operation-store.contract.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

const oidc = (name: string, about: Partial<Viewer> = {}) =>
  viewerOf(
    { name, groups: ['system:authenticated'] },
    { method: 'OIDC', issuer: 'https://id.example.com', token: `${name}-bearer`, ...about },
  )
const ALICE = oidc('alice')

const bodyOf = (...manifests: readonly KubernetesJson[]): PlanBody => ({
  change: {
    ...headOf('a').change,
    steps: manifests.map((manifest, i) => ({ ...stepOf(i, manifest), preconditions: { fingerprint: 'f1' } })),
  },
  strategy: { pauseMs: 0, onFailure: 'STOP', maxFailures: 0, readyTimeoutMs: 0 },
})
const BODY = bodyOf(CONFIG_MAP)
const TEN_MINUTES = 10 * 60_000

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedisServer()
})
afterAll(() => redis.close())

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  await redis.ask((client) => client.flushall())
})

/** Those of one replica. */
async function shared(clock = new FakeClock(), url = redis.url): Promise<Plans> {
  const connection = connectRedis(url, {
    clock: systemClock,
    prefix: 'test',
    probeMs: 50,
    reconnectMs: 50,
    commandTimeoutMs: 1_000,
  })
  closing.push(() => connection.close())
  await vi.waitFor(() => expect(connection.state.status).toBe('READY'), 10_000)
  return createPlans({ clock, redis: connection })
}

async function refusal(opening: Promise<unknown>): Promise<ChangeRefused> {
  const error = await opening.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(ChangeRefused)
  return error as ChangeRefused
}

describe.each([
  ['in memory', async (clock: FakeClock) => createPlans({ clock })],
  ['in Redis', (clock: FakeClock) => shared(clock)],
])('a plan that is kept %s', (_, make) => {
  it('is opened by who made it, as often as wanted, until it expires', async () => {
    const clock = new FakeClock()
    const plans = await make(clock)
    const { token, expiresAt } = await plans.keep(ALICE, BODY)
    expect(expiresAt).toBe(clock.now() + TEN_MINUTES)
    const first = await plans.open(ALICE, token)
    expect(first).toEqual({ jti: expect.stringMatching(/^[\w-]{20,}$/), body: BODY })
    // Another sign-in of the same person.
    expect(await plans.open(oidc('alice', { token: 'next', expiresAt: 5 }), token)).toEqual(first)
    await clock.advance(TEN_MINUTES - 1)
    expect(await plans.open(ALICE, token)).toEqual(first)
  })

  it('is named, but not opened, when it has expired', async () => {
    const clock = new FakeClock()
    const plans = await make(clock)
    const { token } = await plans.keep(ALICE, BODY)
    const { jti } = await plans.open(ALICE, token)
    await clock.advance(TEN_MINUTES)
    expect(await plans.open(ALICE, token)).toMatchObject({
      jti,
      body: null,
      refusal: { code: 'PLAN_EXPIRED' },
    })
    const { message } = await refusal(plans.open(oidc('bob'), token))
    expect(message).toContain('no plan of yours')
  })

  it('has an id of its own each time', async () => {
    const plans = await make(new FakeClock())
    const [one, two] = [await plans.keep(ALICE, BODY), await plans.keep(ALICE, BODY)]
    const ids = [await plans.open(ALICE, one.token), await plans.open(ALICE, two.token)].map(({ jti }) => jti)
    expect(ids[0]).not.toBe(ids[1])
  })

  it('is nobody else’s, and they learn no more of it than of a forged one', async () => {
    const plans = await make(new FakeClock())
    const { token } = await plans.keep(ALICE, BODY)
    const forged = await refusal(plans.open(ALICE, `${token.slice(0, -4)}AAAA`))
    expect(forged.code).toBe('PLAN_INVALID')
    const others = [
      oidc('bob'),
      oidc('alice', { issuer: 'https://other.example.com' }),
      oidc('alice', { method: 'TOKEN' }),
      viewerOf({ name: 'alice', groups: [] }),
    ]
    for (const other of others) {
      const { code, message } = await refusal(plans.open(other, token))
      expect({ code, message }).toEqual({ code: forged.code, message: forged.message })
    }
  })

  it('has a token that tells nothing of the change, and nothing of who made it', async () => {
    const plans = await make(new FakeClock())
    const { token } = await plans.keep(ALICE, BODY)
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'HS256', typ: 'fleetgraph-plan+jwt' })
    const claims = decodeJwt(token)
    expect(Object.keys(claims).toSorted()).toEqual(['digest', 'exp', 'iat', 'jti', 'kept', 'sub'])
    expect(JSON.stringify(claims)).not.toMatch(/alice|web|shop|prod/)
  })

  it('is not opened by what somebody else has signed, or nobody', async () => {
    const plans = await make(new FakeClock())
    const { token } = await plans.keep(ALICE, BODY)
    const claims = decodeJwt(token)
    const [head = '', payload = '', signature = ''] = token.split('.')
    const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const typ = 'fleetgraph-plan+jwt'
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
    const longer = base64url({ ...claims, exp: claims.exp! + 86_400 })
    const sign = (alg: string, key: Parameters<SignJWT['sign']>[0]) =>
      new SignJWT(claims).setProtectedHeader({ alg, typ }).sign(key)
    const forged = [
      '',
      '..',
      'x'.repeat(100_000),
      head,
      `${head}.${payload}.`,
      `${head}.${longer}.${signature}`,
      // Without a signature.
      `${base64url({ alg: 'none', typ })}.${payload}.`,
      `${base64url({ alg: 'None', typ })}.${payload}.${signature}`,
      // With another key, another algorithm, and the key in the token.
      await sign('HS256', randomBytes(32)),
      await sign('HS256', new Uint8Array(32)),
      await sign('RS256', privateKey),
      await sign('HS256', Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }))),
      `${base64url({ alg: 'HS256', typ, jwk: { kty: 'oct', k: 'AAAA' } })}.${payload}.${signature}`,
      `${base64url({ alg: 'HS256', typ: 'JWT' })}.${payload}.${signature}`,
    ]
    for (const text of forged) expect((await refusal(plans.open(ALICE, text))).code).toBe('PLAN_INVALID')
    expect(await plans.open(ALICE, token)).toMatchObject({ body: BODY })
  })

  it('may be of any length that Redis would keep, and no longer', async () => {
    const plans = await make(new FakeClock())
    const repeated = bodyOf(
      ...Array.from({ length: 2_000 }, () => ({ ...CONFIG_MAP, data: { text: 'ä'.repeat(500) } })),
    )
    const { token } = await plans.keep(ALICE, repeated)
    expect(await plans.open(ALICE, token)).toMatchObject({ body: repeated })
    const noise = bodyOf({ ...CONFIG_MAP, data: { noise: randomBytes(1_000_000).toString('base64') } })
    expect(await refusal(plans.keep(ALICE, noise))).toMatchObject({
      code: 'TOO_LARGE',
      message: expect.stringContaining('The plan is too large'),
    })
  })

  it('stays where somebody else fills the memory with plans of theirs', async () => {
    const plans = createPlans({ clock: new FakeClock() })
    const { token } = await plans.keep(ALICE, BODY)
    const huge = bodyOf({ ...CONFIG_MAP, data: { text: 'x'.repeat(25 * 1_048_576) } })
    const others: string[] = []
    for (let i = 0; i < 4; i++) others.push((await plans.keep(oidc('eve'), huge)).token)
    expect((await plans.open(ALICE, token)).body).toEqual(BODY)
    expect((await plans.open(oidc('eve'), others[0]!)).body).toBeNull()
    expect((await plans.open(oidc('eve'), others.at(-1)!)).body).not.toBeNull()
  })

  it('makes room for later ones of the same user, and for nobody else’s', async () => {
    const clock = new FakeClock()
    const plans = await make(clock)
    const bobs = await plans.keep(oidc('bob'), BODY)
    const tokens: string[] = []
    for (let i = 0; i < 52; i++) {
      await clock.advance(1)
      tokens.push((await plans.keep(ALICE, BODY)).token)
    }
    for (const token of tokens.slice(0, 2)) {
      expect(await plans.open(ALICE, token)).toMatchObject({ body: null, refusal: { code: 'PLAN_EXPIRED' } })
    }
    expect(await plans.open(ALICE, tokens[2]!)).toMatchObject({ body: BODY })
    expect(await plans.open(oidc('bob'), bobs.token)).toMatchObject({ body: BODY })
  })
})

describe('plans of several replicas', () => {
  it('are opened by each of them where there is Redis', async () => {
    const clock = new FakeClock()
    const replicas = await Promise.all([shared(clock), shared(clock), shared(clock)])
    // At the same time: the key is made by one of them.
    const kept = await Promise.all(replicas.map((plans) => plans.keep(ALICE, BODY)))
    for (const { token } of kept) {
      for (const plans of replicas) expect(await plans.open(ALICE, token)).toMatchObject({ body: BODY })
    }
  })

  it('are opened by each of them where there is a Redis Cluster', async () => {
    const cluster = await startRedisCluster()
    try {
      const [one, two] = [await shared(undefined, cluster.url), await shared(undefined, cluster.url)]
      const tokens: string[] = []
      for (let i = 0; i < 55; i++) tokens.push((await one.keep(ALICE, BODY)).token)
      expect(await two.open(ALICE, tokens.at(-1)!)).toMatchObject({ body: BODY })
      const left = await Promise.all(tokens.map((token) => two.open(ALICE, token)))
      expect(left.filter(({ body }) => body !== null)).toHaveLength(50)
    } finally {
      for (const close of closing.splice(0)) await close()
      await cluster.close()
    }
  })

  it('are not where there is none, and it is said what to do', async () => {
    const [one, two] = [createPlans({ clock: new FakeClock() }), createPlans({ clock: new FakeClock() })]
    const { token } = await one.keep(ALICE, BODY)
    const { code, message } = await refusal(two.open(ALICE, token))
    expect(code).toBe('PLAN_INVALID')
    expect(message).toContain('Ask for a new plan')
  })

  it('with a Secret are kept by the one that made them, and not in Redis', async () => {
    const [one, two] = [await shared(), await shared()]
    const body = bodyOf(CONFIG_MAP, secretOf())
    const { token } = await one.keep(ALICE, body)
    expect(await one.open(ALICE, token)).toMatchObject({ body })
    const elsewhere = await two.open(ALICE, token)
    expect(elsewhere).toMatchObject({
      jti: expect.any(String),
      body: null,
      refusal: { code: 'PLAN_INVALID', message: expect.stringContaining('values of a Secret') },
    })
    const texts = await redis.ask(async (client) =>
      Promise.all((await client.keys('*')).map((key) => client.get(key))),
    )
    expect(texts).toHaveLength(1)
    expect(JSON.stringify(texts)).not.toContain(SECRET)
  })

  it('are refused where what was kept was altered in Redis', async () => {
    const plans = await shared()
    const { token } = await plans.keep(ALICE, BODY)
    const other = JSON.stringify({ ...BODY, change: { ...BODY.change, title: 'another' } })
    const altered = [`j${other}`, 'j{', 'znonsense', '', 'j"text"']
    for (const text of altered) {
      await redis.ask(async (client) => {
        const [body] = await client.keys('*:body')
        await client.set(body!, text)
      })
      expect((await refusal(plans.open(ALICE, token))).code).toBe('PLAN_INVALID')
    }
  })

  it('are named, but not opened, when Redis has lost them; others can be made at once', async () => {
    const [one, two] = [await shared(), await shared()]
    const { token } = await one.keep(ALICE, BODY)
    const { jti } = await one.open(ALICE, token)
    await redis.ask((client) => client.flushall())
    expect(await one.open(ALICE, token)).toMatchObject({
      jti,
      body: null,
      refusal: { code: 'PLAN_EXPIRED', message: expect.stringContaining('no longer kept') },
    })
    // Who knew the key has put it back.
    const next = await two.keep(ALICE, BODY)
    expect(await one.open(ALICE, next.token)).toMatchObject({ body: BODY })
    expect(await two.open(ALICE, token)).toMatchObject({ jti, body: null })
  })

  it('are said to be unavailable while Redis is away', async () => {
    const plans = await shared()
    const { token } = await plans.keep(ALICE, BODY)
    await redis.kill()
    try {
      for (const asked of [plans.keep(ALICE, BODY), plans.open(ALICE, token)]) {
        const refused = await refusal(asked)
        expect(refused.code).toBe('UNAVAILABLE')
        expect(Object.keys(refused.cause as object)).toEqual([])
      }
    } finally {
      await redis.start()
    }
  })

  it('leave nothing in Redis when they have expired, but the key', async () => {
    const plans = await shared()
    await plans.keep(ALICE, BODY)
    await redis.ask(async (client) => {
      for (const key of await client.keys('*')) {
        const left = await client.pttl(key)
        if (key.endsWith('{key}')) expect(left).toBe(-1)
        else expect(left).toBeGreaterThan(TEN_MINUTES - 5_000)
      }
    })
  })

  it('are not opened by a token that our key signed for something else', async () => {
    const plans = await shared()
    const { token } = await plans.keep(ALICE, BODY)
    const key = await redis.ask((client) => client.get('test:plans.1:{key}'))
    const sign = (text: string, typ?: string) =>
      new CompactSign(Buffer.from(text))
        .setProtectedHeader({ alg: 'HS256', ...(typ !== undefined && { typ }) })
        .sign(Buffer.from(key!, 'base64url'))
    const claims = JSON.stringify(decodeJwt(token))
    const wrong = [await sign(claims, 'JWT'), await sign(claims), await sign('[]', 'fleetgraph-plan+jwt')]
    for (const text of wrong) expect((await refusal(plans.open(ALICE, text))).code).toBe('PLAN_INVALID')
  })
})
