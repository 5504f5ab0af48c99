import { describe, expect, it } from 'vitest'
import { isInputObjectType } from 'graphql'
import { createSchema } from '../../../src/graph/schema.ts'
import { VERBS } from '../../../src/writes/change.ts'
import { ChangeRefused } from '../../../src/writes/writes.ts'
import { FakeCluster, FakeFleet } from '../../support/fake-fleet.ts'
import { pod, shopFleet } from '../../support/shop.ts'
import { askChanges, mutate, RecordingWrites, targetsIn } from './mutate.ts'

const { fleet } = shopFleet()
const web = { cluster: 'prod-eu', namespace: 'shop', name: 'web' }
const targets = { object: web }

const scale = (options: Readonly<Record<string, unknown>>, writes?: RecordingWrites) =>
  mutate(fleet, 'scale', { targets, to: 3, ...options }, writes && { writes })

describe('how a change is made', () => {
  it('is at once and in earnest, unless it is said otherwise', async () => {
    expect((await scale({})).options).toEqual({ dryRun: false })
    expect((await scale({ dryRun: null, idempotencyKey: null, strategy: null })).options).toEqual({
      dryRun: false,
    })
  })

  it('can be a dry run, which has no strategy', async () => {
    expect((await scale({ dryRun: true, strategy: { waveSize: 1 } })).options).toEqual({ dryRun: true })
  })

  it('can have a key', async () => {
    expect((await scale({ idempotencyKey: 'k' })).options).toEqual({ dryRun: false, idempotencyKey: 'k' })
    expect((await scale({ idempotencyKey: 'k'.repeat(255) })).refusal).toBeUndefined()
    for (const idempotencyKey of ['', 'k'.repeat(256)]) {
      const { refusal, change } = await scale({ idempotencyKey })
      expect(refusal).toContain(
        'BAD_USER_INPUT input.idempotencyKey: "idempotencyKey" has 1 to 255 characters.',
      )
      expect(change).toBeUndefined()
    }
  })

  it('has a strategy whose defaults are those of the schema', async () => {
    expect((await scale({ strategy: {} })).options?.strategy).toEqual({
      pauseMs: 0,
      onFailure: 'STOP',
      maxFailures: 0,
      readyTimeoutMs: 0,
    })
  })

  it('has a strategy in milliseconds', async () => {
    const strategy = {
      waves: ['env=staging', 'env=prod,region=eu'],
      concurrency: 2,
      pauseSeconds: 60,
      onFailure: 'ROLL_BACK',
      maxFailures: 1,
      waitForReady: true,
      readyTimeoutSeconds: 90,
    }
    expect((await scale({ strategy })).options?.strategy).toEqual({
      waves: ['env=staging', 'env=prod,region=eu'],
      concurrency: 2,
      pauseMs: 60_000,
      onFailure: 'ROLL_BACK',
      maxFailures: 1,
      readyTimeoutMs: 90_000,
    })
  })

  it('does not look at a time to wait where it does not wait', async () => {
    const { options } = await scale({ strategy: { waitForReady: false, readyTimeoutSeconds: -1 } })
    expect(options?.strategy?.readyTimeoutMs).toBe(0)
  })

  it.each([
    [{ waves: ['env=prod'], waveSize: 1 }, 'waveSize: Give "waves" or "waveSize", not both.'],
    [{ waves: [] }, 'waves: These are 0 waves: give 1 to 100.'],
    [{ waves: Array(101).fill('env') }, 'waves: These are 101 waves: give 1 to 100.'],
    [{ waves: ['env=prod', 'env in'] }, 'waves[1]: The label selector "env in" is not valid'],
    [{ waves: ['env=prod', 'env=pord'] }, 'waves[1]: No cluster has labels that match "env=pord"'],
    [{ waveSize: 0 }, 'waveSize: "input.strategy.waveSize" is 0: it can be from 1 to 10000.'],
    [{ concurrency: 0 }, 'concurrency: '],
    [{ pauseSeconds: -1 }, 'pauseSeconds: '],
    [{ pauseSeconds: 86_401 }, 'pauseSeconds: '],
    [{ maxFailures: -1 }, 'maxFailures: '],
    [{ waitForReady: true, readyTimeoutSeconds: 0 }, 'readyTimeoutSeconds: '],
    [{ waitForReady: true, readyTimeoutSeconds: 86_401 }, 'readyTimeoutSeconds: '],
  ])('cannot have the strategy %j', async (strategy, expected) => {
    const { refusal, change } = await scale({ strategy })
    expect(refusal).toContain(`BAD_USER_INPUT input.strategy.${expected}`)
    expect(change).toBeUndefined()
  })

  it('is an operation where it takes its time', async () => {
    const { fleet: draining, eu } = shopFleet()
    eu.answer = ({ path }) => (path.endsWith('/pods') ? { items: [] } : { kind: 'Node' })
    const input = { targets: { object: { cluster: 'prod-eu', name: 'node-a' } } }
    const { options } = await mutate(draining, 'drain', input)
    expect(options?.strategy).toMatchObject({ onFailure: 'CONTINUE' })
  })

  it.each([
    'IDEMPOTENCY_KEY_REUSED',
    'PLAN_INVALID',
    'PLAN_EXPIRED',
    'OPERATION_NOT_FOUND',
    'UNAVAILABLE',
    'TOO_MANY_OPERATIONS',
    'TOO_LARGE',
  ] as const)('says by the code %s why nothing was begun', async (code) => {
    const writes = new RecordingWrites()
    writes.refusal = new ChangeRefused(code, 'This is why.')
    const expected = [expect.objectContaining({ message: 'This is why.', extensions: { code } })]
    expect((await scale({}, writes)).errors).toEqual(expected)
    for (const document of [
      'mutation { confirm(token: "t") { replayed } }',
      'mutation { plan(change: { scale: { targets: { object: { cluster: "prod-eu", namespace: "shop", name: "web" } }, to: 1 } }) { token } }',
      'mutation { cancelOperation(id: "x") { id } }',
      '{ operation(id: "x") { id } }',
      '{ operations { id } }',
    ]) {
      expect((await askChanges(fleet, document, {}, { writes })).errors).toEqual(expected)
    }
  })

  it('hides no bug behind a refusal', async () => {
    const writes = new RecordingWrites()
    writes.refusal = new TypeError('a bug')
    const { errors } = await scale({}, writes)
    expect(errors[0]?.extensions?.['code']).toBeUndefined()
  })
})

describe('the digest of a change', () => {
  const digestOf = async (input: Readonly<Record<string, unknown>>, verb = 'scale') =>
    (await mutate(fleet, verb, input)).change?.digest

  it('is SHA-256 of what is asked for', async () => {
    expect(await digestOf({ targets, to: 3 })).toMatch(/^[0-9a-f]{64}$/)
  })

  it('is the same for the same request, in whichever order and however its defaults are said', async () => {
    const same = await digestOf({ targets, to: 3 })
    const { name, namespace, cluster } = web
    expect(await digestOf({ to: 3, targets: { object: { name, namespace, cluster } } })).toBe(same)
    expect(await digestOf({ targets, to: 3, by: null, resourceVersion: null, strategy: null })).toBe(same)
    expect(await digestOf({ targets, to: 3, dryRun: false })).toBe(same)
    // Whether it is tried, or tried again, does not make it another one.
    expect(await digestOf({ targets, to: 3, dryRun: true, idempotencyKey: 'k' })).toBe(same)
    const selector = { names: ['web'] }
    expect(await digestOf({ targets: { selector: { ...selector, limit: 100 } }, to: 3 })).toBe(
      await digestOf({ targets: { selector: { names: 'web' } }, to: 3 }),
    )
  })

  it('is another for whatever else is asked for', async () => {
    const digests = await Promise.all([
      digestOf({ targets, to: 3 }),
      digestOf({ targets, to: 4 }),
      digestOf({ targets, by: 3 }),
      digestOf({ targets, to: 3, expectedReplicas: 2 }),
      digestOf({ targets, to: 3, resourceVersion: '3' }),
      digestOf({ targets, to: 3, strategy: {} }),
      digestOf({ targets, to: 3, strategy: { pauseSeconds: 1 } }),
      digestOf({ targets: { object: { ...web, name: 'idle' } }, to: 3 }),
      digestOf({ targets: { selector: { names: ['web'] } }, to: 3 }),
      digestOf({ targets: { selector: { names: ['web'], limit: 1 } }, to: 3 }),
      digestOf({ targets }, 'restart'),
      digestOf({ targets }, 'pause'),
    ])
    expect(new Set(digests).size).toBe(digests.length)
  })

  it('does not depend on what the clusters hold, nor on the time', async () => {
    const other = new FakeFleet(new FakeCluster('prod-eu').load('Deployment', []))
    const input = { targets: { selector: { names: ['web'] } } }
    const one = await mutate(fleet, 'restart', input)
    const later = await mutate(other, 'restart', input)
    expect(one.change?.steps).not.toEqual(later.change?.steps)
    expect(later.change?.digest).toBe(one.change?.digest)
  })
})

describe('what one mutation may write', () => {
  const clusters = Array.from({ length: 30 }, (_, i) => new FakeCluster(`c${i}`))
  const many = new FakeFleet(...clusters)

  it('is bounded by objects of all clusters together, before they are made', async () => {
    const manifest = Array.from(
      { length: 200 },
      (_, i) => `{apiVersion: v1, kind: Namespace, metadata: {name: n${i}}}`,
    )
    const input = { targets: { selector: '' }, manifest: manifest.join('\n---\n') }
    const { refusal, change } = await mutate(many, 'applyManifest', input)
    expect(refusal).toBe(
      'BAD_USER_INPUT input.targets: These would be 6000 objects to change, of all clusters together: at most 5000 in one request. Name fewer objects, or fewer clusters.',
    )
    expect(change).toBeUndefined()
  })

  it('is bounded by its size, though it was sent once', async () => {
    const pods = new FakeCluster('a').load(
      'Pod',
      Array.from({ length: 1_000 }, (_, i) => pod('shop', `web-${i}`)),
    )
    const input = (size: number) => ({
      targets: { selector: { namespaces: ['shop'], kinds: ['Pod'], limit: 1_000 } },
      set: [{ key: 'note', value: 'x'.repeat(size) }],
    })
    const fits = await mutate(new FakeFleet(pods), 'annotate', input(10_000))
    expect(fits.change?.steps).toHaveLength(1_000)
    const { refusal, change } = await mutate(new FakeFleet(pods), 'annotate', input(100_000))
    expect(refusal).toContain(
      'BAD_USER_INPUT input.targets: What is to be written to 1000 objects has more than',
    )
    expect(change).toBeUndefined()
  })
})

describe('a plan', () => {
  const plan = (change: object, writes = new RecordingWrites()) =>
    askChanges(
      fleet,
      `mutation ($change: PlannedChange!) { plan(change: $change) {
        token expiresAt results { outcome } summary { ok message } blastRadius { clusters }
      } }`,
      { change },
      { writes },
    )

  it('can be made of every verb', () => {
    const planned = createSchema().getType('PlannedChange')
    if (!isInputObjectType(planned)) throw new Error('There is no type PlannedChange.')
    expect(Object.keys(planned.getFields()).toSorted()).toEqual(VERBS.toSorted())
    const mutations = createSchema().getMutationType()!.getFields()
    for (const verb of VERBS) {
      expect(String(planned.getFields()[verb]!.type)).toBe(
        String(mutations[verb]!.args[0]!.type).replace('!', ''),
      )
    }
    expect(Object.keys(mutations).toSorted()).toEqual(
      [...VERBS, 'cancelOperation', 'confirm', 'plan'].toSorted(),
    )
  })

  it('is of the change that the mutation would make, with its strategy', async () => {
    const writes = new RecordingWrites()
    const input = { targets, to: 3, strategy: { waveSize: 2 } }
    const { data, errors } = await plan({ scale: input }, writes)
    expect(errors).toEqual([])
    expect(data.plan).toEqual({
      token: 'a-token',
      expiresAt: '2027-01-15T08:10:00.000Z',
      results: [{ outcome: 'UNCHANGED' }],
      summary: { ok: true, message: expect.any(String) },
      blastRadius: { clusters: [] },
    })
    const made = await mutate(fleet, 'scale', input)
    expect(writes.changes).toEqual([made.change])
    expect(writes.plans).toEqual([{ strategy: made.options?.strategy }])
  })

  it.each([
    [{ scale: { targets, to: 3, dryRun: true } }, 'change.scale.dryRun: A plan is a dry run'],
    [
      { scale: { targets, to: 3, idempotencyKey: 'k' } },
      'change.scale.idempotencyKey: A plan is carried out once',
    ],
    [{ scale: { targets, to: -1 } }, 'change.scale.to: "to" is negative.'],
    [{ scale: { targets, to: 1, strategy: { waves: ['x'] } } }, 'change.scale.strategy.waves[0]: No cluster'],
    [
      { restart: { targets: { object: { ...web, cluster: 'x' } } } },
      'change.restart.targets.object.cluster: There is no cluster "x"',
    ],
  ])('of %j is refused where it is wrong', async (change, expected) => {
    const writes = new RecordingWrites()
    const { errors } = await plan(change, writes)
    const [{ extensions, message } = { extensions: undefined, message: '' }] = errors
    expect(`${String(extensions?.['argument'])}: ${message}`).toContain(expected)
    expect(writes.changes).toEqual([])
  })

  it.each([{}, { scale: { targets, to: 1 }, restart: { targets } }, { scale: null }])(
    'is of one change: %j',
    async (change) => {
      const writes = new RecordingWrites()
      expect((await plan(change, writes)).errors).not.toEqual([])
      expect(writes.changes).toEqual([])
    },
  )

  it('is carried out by its token', async () => {
    const writes = new RecordingWrites()
    const { data } = await askChanges(
      fleet,
      'mutation { confirm(token: "a-token") { replayed results { name } operation { id } } }',
      {},
      { writes },
    )
    expect(writes.confirmed).toEqual(['a-token'])
    expect(data.confirm).toEqual({ replayed: true, results: [], operation: null })
  })
})

describe('a mutation of several', () => {
  it('is done after the one before it, and both are said', async () => {
    const writes = new RecordingWrites()
    const object = '{ object: { cluster: "prod-eu", namespace: "shop", name: "web" } }'
    const { data } = await askChanges(
      fleet,
      `mutation { a: pause(input: { targets: ${object} }) { replayed } b: scale(input: { targets: ${object}, to: -1 }) { replayed } }`,
      {},
      { writes },
    )
    // The second is refused, and takes nothing from what is said of the first.
    expect(data).toEqual({ a: { replayed: false }, b: null })
    expect(targetsIn(writes.changes[0])).toEqual(['Deployment prod-eu/shop/web'])
  })
})
