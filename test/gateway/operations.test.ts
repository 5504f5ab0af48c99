/**
 * Changes as users make them who may not do a thing twice, and operations that outlive the replicas which carry them
 * out: three replicas as processes, a real Redis, and twenty simulated clusters, in which everything is counted.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type ChangingWorld,
  createCronJob,
  deployment,
  DEPLOYMENTS,
  Follower,
  insist,
  JOBS,
  NAMESPACE,
  objectIn,
  onChange,
  startChangingWorld,
} from '../support/changing-world.ts'
import { eventually } from '../support/eventually.ts'
import { at } from '../support/kubernetes-http.ts'
import type { Replica } from '../support/replica-set.ts'
import { tokenFor } from '../support/test-tokens.ts'

const NAMES = Array.from({ length: 20 }, (_, i) => `c${String(i).padStart(2, '0')}`)
const bob = tokenFor({ user: 'bob', groups: ['system:masters'] })

let world: ChangingWorld

beforeAll(async () => {
  // A thousand requests of one user are under way at once.
  const limits = { requestsPerUser: 2_000, requestsPerMinute: 100_000 }
  world = await startChangingWorld(NAMES, { limits, redis: { graceSeconds: 5 } }, [bob])
})
afterAll(() => world?.close())

const open: (() => unknown)[] = []
beforeEach(() => world.untilCurrent())
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close()
  for (const { faults } of world.clusters) faults.clear()
})

interface Result {
  readonly clusterName: string
  readonly name: string
  readonly outcome: string
  readonly message: string | null
  readonly error: { readonly code: string; readonly message: string } | null
}

interface Operation {
  readonly id: string
  readonly state: string
}

interface Story extends Operation {
  readonly cancelRequested: boolean
  readonly waves: readonly { readonly state: string; readonly clusters: readonly string[] }[]
  readonly events: readonly { readonly type: string; readonly at: string; readonly message: string }[]
  readonly results: readonly Result[]
  readonly rollback: readonly Result[]
}

interface Payload {
  readonly results: readonly Result[]
  readonly operation: Operation | null
  readonly replayed: boolean
}

const RESULT = 'clusterName name outcome message error { code message }'
const PAYLOAD = `results { ${RESULT} } operation { id state } replayed`

const SCALE = `mutation Scale($input: ScaleInput!) { scale(input: $input) { ${PAYLOAD} } }`
const TRIGGER = `mutation Trigger($input: TriggerInput!) { trigger(input: $input) { ${PAYLOAD} } }`

const SET_IMAGE = `mutation SetImage($input: SetImageInput!) { setImage(input: $input) { ${PAYLOAD} } }`
const STORY = `id state cancelRequested waves { state clusters } events { type at message }
  results { ${RESULT} } rollback { ${RESULT} }`
const OPERATION = `query Operation($id: ID!) { operation(id: $id) { ${STORY} } }`
const FOLLOW = `subscription Follow($id: ID!) { operationChanges(id: $id) { ${STORY} } }`
const CANCEL = 'mutation Cancel($id: ID!) { cancelOperation(id: $id) { id state cancelRequested } }'

const target = (cluster: string, kind: string, name: string) => ({
  object: { cluster, kind, namespace: NAMESPACE, name },
})

const replicasOf = (cluster: number, name: string) =>
  Number(at(objectIn(world.clusters[cluster]!, DEPLOYMENTS, name), 'spec.replicas'))

/** Numbers that look like chance and are the same each time: mulberry32. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

describe('1,000 calls at once with 100 idempotency keys', () => {
  const CALLS = 1_000
  const KEYS = 100

  /** Each key ten times, at whichever replica; until it has an end, which a slow machine tells after a request's time. */
  function flood(ask: (first: number, key: string) => Promise<Payload>): Promise<Payload[]> {
    return Promise.all(
      Array.from({ length: CALLS }, async (_, i) => {
        for (let tries = 0; ; tries++) {
          const payload = await ask(i + tries, `key-${i % KEYS}`)
          if (tries === 3 || !['PENDING', 'RUNNING', undefined].includes(payload.operation?.state))
            return payload
        }
      }),
    )
  }

  function expectOneResultEach(answers: readonly Payload[], outcome: string): void {
    for (let key = 0; key < KEYS; key++) {
      const [first, ...others] = answers
        .filter((_, i) => i % KEYS === key)
        .map(({ operation, results }) => ({ operation, results }))
      for (const other of others) expect(other).toEqual(first)
    }
    expect(new Set(answers.map(({ operation }) => operation?.id)).size).toBe(KEYS)
    for (const { results, operation } of answers) {
      expect(results.map((result) => [result.error, result.outcome])).toEqual([[null, outcome]])
      expect(operation?.state).toBe('SUCCEEDED')
    }
  }

  // Other moments: with SEED in the environment.
  const random = seeded(Number(process.env['SEED'] ?? 5))
  const moments = Array.from({ length: 2 }, (_, killed) => ({
    killed,
    killAt: 10 + Math.floor(random() * 180),
  }))

  it.each(moments)(
    'are 100 more replicas and 100 Jobs, though replica $killed is killed after $killAt effects',
    async ({ killed, killAt }) => {
      const name = `counted-${killed}`
      const [first, second] = world.clusters
      first!.registry.create(DEPLOYMENTS, deployment(name, 'shop/web:1', 1))
      createCronJob(second!, name)
      const jobs = () => second!.registry.list(JOBS).filter(({ metadata }) => metadata.name.startsWith(name))
      const { replicas } = world.set
      let dying: Promise<void> | undefined
      const look = () => {
        if (replicasOf(0, name) - 1 + jobs().length >= killAt) dying ??= replicas[killed]!.kill()
      }
      open.push(onChange(world.clusters, DEPLOYMENTS, look), onChange(world.clusters, JOBS, look))

      const began = performance.now()
      const [scaled, triggered] = await Promise.all([
        flood(async (at, key) => {
          const input = {
            targets: target(NAMES[0]!, 'Deployment', name),
            by: 1,
            idempotencyKey: `${name} ${key}`,
          }
          return (await insist<{ scale: Payload }>(replicas, at, SCALE, { input })).data.scale
        }),
        flood(async (at, key) => {
          const input = { targets: target(NAMES[1]!, 'CronJob', name), idempotencyKey: `${name} job ${key}` }
          return (await insist<{ trigger: Payload }>(replicas, at, TRIGGER, { input })).data.trigger
        }),
      ])
      const seconds = (performance.now() - began) / 1_000
      console.log(`${2 * CALLS} calls in ${seconds.toFixed(1)} s, with a replica killed`)
      expect(dying).toBeDefined()
      expectOneResultEach(scaled, 'UPDATED')
      expectOneResultEach(triggered, 'CREATED')
      expect(replicasOf(0, name)).toBe(1 + KEYS)
      expect(jobs()).toHaveLength(KEYS)
      await dying
    },
  )
})

describe('an idempotency key', () => {
  it('is refused for another input, and of another user it is another key', async () => {
    const [cluster] = world.clusters
    cluster!.registry.create(DEPLOYMENTS, deployment('keyed', 'shop/web:1', 1))
    const { replicas } = world.set
    const [one, two, three] = replicas as [Replica, Replica, Replica]
    const input = { targets: target(NAMES[0]!, 'Deployment', 'keyed'), by: 1, idempotencyKey: 'a key' }
    const mine = await insist<{ scale: Payload }>([one], 0, SCALE, { input })
    const again = await insist<{ scale: Payload }>([two], 0, SCALE, { input })
    expect(again.data.scale).toEqual({ ...mine.data.scale, replayed: true })
    for (const { gateway } of [one, two, three]) {
      const { errors } = await gateway.ask(SCALE, { input: { ...input, by: 2 } })
      expect(errors?.[0]?.extensions?.code).toBe('IDEMPOTENCY_KEY_REUSED')
    }
    const others = await insist<{ scale: Payload }>(
      [three],
      0,
      SCALE,
      { input: { ...input, by: 2 } },
      bob.token,
    )
    expect(others.data.scale).toMatchObject({ replayed: false, results: [{ message: '2 → 4 replicas' }] })
    expect(others.data.scale.operation?.id).not.toBe(mine.data.scale.operation?.id)
    expect(replicasOf(0, 'keyed')).toBe(4)
  })
})

/** A Deployment of this name in each cluster, whose image is changed in all of them by one operation. */
class Rollout {
  readonly name: string
  /** Images that were put, by cluster. */
  readonly put = new Map<string, string[]>()
  /** Of all clusters together. */
  forward = 0
  back = 0
  readonly #listeners = new Set<() => void>()

  constructor(name: string) {
    this.name = name
    for (const { registry } of world.clusters) registry.create(DEPLOYMENTS, deployment(name, OLD, 1))
    open.push(
      onChange(world.clusters, DEPLOYMENTS, ({ metadata, ...object }, cluster) => {
        if (metadata.name !== name) return
        const image = String(at(object, 'spec.template.spec.containers.0.image'))
        this.put.set(cluster, [...(this.put.get(cluster) ?? []), image])
        if (image === NEW) this.forward++
        else this.back++
        for (const listener of this.#listeners) listener()
      }),
    )
  }

  async begin(strategy: object, first = 0): Promise<string> {
    const objects = NAMES.map((cluster) => target(cluster, 'Deployment', this.name).object)
    const input = {
      targets: { objects },
      images: [{ image: NEW }],
      idempotencyKey: `roll out ${this.name}`,
      strategy: { waveSize: 5, concurrency: 2, ...strategy },
    }
    const { data } = await insist<{ setImage: Payload }>(world.set.replicas, first, SET_IMAGE, { input })
    return data.setImage.operation!.id
  }

  /** The write is refused there, as by a quota. */
  failIn(cluster: number): void {
    world.clusters[cluster]!.faults.fail(403, {
      writes: true,
      path: `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${this.name}`,
      message: `deployments.apps "${this.name}" is forbidden: exceeded quota: small`,
    })
  }

  /** In the moment in which a cluster has made a change, before anybody hears of it. */
  once(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return
        this.#listeners.delete(look)
        resolve()
      }
      this.#listeners.add(look)
    })
  }

  /** What each cluster holds now. */
  images(): string[] {
    return world.clusters.map((cluster) =>
      String(at(objectIn(cluster, DEPLOYMENTS, this.name), 'spec.template.spec.containers.0.image')),
    )
  }
}

const OLD = 'shop/web:1'
const NEW = 'shop/web:2'

/** Of every write: so that an operation takes long enough to be met in the middle of it. */
function slow(ms: number): void {
  for (const { faults } of world.clusters) faults.delay(ms, { writes: true })
}

function follow(id: string, first: number): Follower<{ operationChanges: Story }> {
  const follower = new Follower<{ operationChanges: Story }>(world.set.urls, first, FOLLOW, { id })
  open.push(() => follower.close())
  return follower
}

async function storyOf(id: string, first = 0): Promise<Story | null> {
  return (await insist<{ operation: Story | null }>(world.set.replicas, first, OPERATION, { id })).data
    .operation
}

/** Told to its end, of which each telling goes on from the one before. */
async function told(follower: Follower<{ operationChanges: Story }>): Promise<Story> {
  await follower.ended
  const stories = follower.told.map(({ operationChanges }) => operationChanges)
  for (const [i, story] of stories.slice(1).entries()) {
    const before = stories[i]!
    expect(story.events.slice(0, before.events.length)).toEqual(before.events)
    for (const result of before.results) expect(story.results).toContainEqual(result)
    expect(story.rollback.length).toBeGreaterThanOrEqual(before.rollback.length)
  }
  const last = stories.at(-1)!
  for (const i of world.set.replicas.keys()) expect(await storyOf(last.id, i)).toEqual(last)
  return last
}

/** The replica that carries it out: whoever writes its audit records. */
function driverOf(id: string): Replica | undefined {
  return world.set.replicas.find(
    ({ running, gateway }) => running && gateway.log.some((entry) => at(entry, 'audit.correlationId') === id),
  )
}

const types = ({ events }: Story) => events.map(({ type }) => type).filter((type) => type !== 'TAKEN_OVER')
const takeovers = ({ events }: Story) => events.filter(({ type }) => type === 'TAKEN_OVER')
const states = ({ waves }: Story) => waves.map(({ state }) => state)

describe('a wave over 20 clusters, of which one fails in the third wave', () => {
  const ROLL_BACK = [
    'STARTED',
    ...Array.from({ length: 3 }, () => ['WAVE_STARTED', 'WAVE_FINISHED']).flat(),
    'ROLLING_BACK',
    'FINISHED',
  ]

  function expectRolledBack(story: Story, rollout: Rollout): void {
    expect(types(story)).toEqual(ROLL_BACK)
    expect(story.state).toBe('ROLLED_BACK')
    expect(states(story)).toEqual(['SUCCEEDED', 'SUCCEEDED', 'FAILED', 'SKIPPED'])
    expect(story.waves.flatMap(({ clusters }) => clusters)).toEqual(NAMES)
    expect(rollout.images()).toEqual(NAMES.map(() => OLD))
    const outcomes = new Map(story.results.map(({ clusterName, outcome }) => [clusterName, outcome]))
    expect([...outcomes.keys()]).toEqual(NAMES)
    const updated = NAMES.filter((cluster) => outcomes.get(cluster) === 'UPDATED')
    expect(updated.slice(0, 12)).toEqual(NAMES.slice(0, 12))
    expect(story.results[12]!.error?.message).toMatch(/exceeded quota/)
    for (const cluster of NAMES.slice(15)) expect(outcomes.get(cluster)).toBe('SKIPPED')
    expect(story.rollback.map(({ clusterName, outcome, error }) => [clusterName, outcome, error])).toEqual(
      updated.toReversed().map((cluster) => [cluster, 'UPDATED', null]),
    )
    // Nothing was done twice, by whoever.
    expect(Object.fromEntries(rollout.put)).toEqual(
      Object.fromEntries(updated.map((cluster) => [cluster, [NEW, OLD]])),
    )
  }

  it('is rolled back, and told whole', async () => {
    const rollout = new Rollout('whole')
    rollout.failIn(12)
    const id = await rollout.begin({ onFailure: 'ROLL_BACK' })
    const story = await told(follow(id, 1))
    expectRolledBack(story, rollout)
    expect(takeovers(story)).toEqual([])
  })

  it('is the same though the replicas are killed that carry it out: twice in the second wave, and while it is rolled back', async () => {
    const rollout = new Rollout('killed')
    rollout.failIn(12)
    slow(150)
    const id = await rollout.begin({ onFailure: 'ROLL_BACK' })
    const follower = follow(id, 0)
    const times: number[] = []
    const kill = async (condition: () => boolean) => {
      let victim: Replica | undefined
      await rollout.once(() => condition() && (victim = driverOf(id)) !== undefined)
      const dead = victim!.kill()
      times.push(Date.now())
      await dead
      await victim!.start()
    }
    const killing = [() => rollout.forward >= 6, () => rollout.forward >= 8, () => rollout.back >= 3]
    for (const condition of killing) await kill(condition)
    const story = await told(follower)
    expectRolledBack(story, rollout)
    const taken = takeovers(story)
    expect(taken).toHaveLength(killing.length)
    console.log(
      `taken over after ${taken.map(({ at }, i) => `${((Date.parse(at) - times[i]!) / 1_000).toFixed(1)} s`).join(', ')}`,
    )
    expect(follower.connections.length).toBeGreaterThan(1)
    expect(new Set(follower.connections).size).toBeGreaterThan(1)
  })

  it.each([
    ['STOP', ['SUCCEEDED', 'SUCCEEDED', 'FAILED', 'SKIPPED']],
    ['CONTINUE', ['SUCCEEDED', 'SUCCEEDED', 'FAILED', 'SUCCEEDED']],
  ] as const)('with onFailure: %s ends as it is asked', async (onFailure, expected) => {
    const rollout = new Rollout(`on-failure-${onFailure.toLowerCase()}`)
    rollout.failIn(12)
    const story = await told(follow(await rollout.begin({ onFailure, concurrency: 1 }), 1))
    expect([story.state, states(story), story.rollback]).toEqual(['FAILED', expected, []])
    const untouched = onFailure === 'STOP' ? NAMES.slice(12) : [NAMES[12]]
    expect(rollout.images()).toEqual(NAMES.map((name) => (untouched.includes(name) ? OLD : NEW)))
  })
})

describe('an operation', () => {
  it('is cancelled at another replica than the one that carries it out', async () => {
    const rollout = new Rollout('cancelled')
    slow(150)
    const id = await rollout.begin({}, 0)
    const follower = follow(id, 1)
    await rollout.once(() => rollout.forward === 6)
    await insist(world.set.replicas, 2, CANCEL, { id })
    const story = await told(follower)
    expect(story).toMatchObject({ state: 'CANCELLED', cancelRequested: true, rollback: [] })
    expect(states(story).at(-1)).toBe('SKIPPED')
    expect(types(story)).toContain('CANCEL_REQUESTED')
    const done = story.results
      .filter(({ outcome }) => outcome === 'UPDATED')
      .map(({ clusterName }) => clusterName)
    expect(rollout.images()).toEqual(NAMES.map((name) => (done.includes(name) ? NEW : OLD)))
    expect(done.length).toBeLessThan(NAMES.length)
  })

  it('fails where a workload never becomes ready, and puts back what it did', async () => {
    // Nobody rolls anything out in these clusters.
    const rollout = new Rollout('never-ready')
    const id = await rollout.begin({ waitForReady: true, readyTimeoutSeconds: 1, onFailure: 'ROLL_BACK' })
    const story = await told(follow(id, 2))
    expect(story.state).toBe('ROLLED_BACK')
    expect(states(story)).toEqual(['FAILED', 'SKIPPED', 'SKIPPED', 'SKIPPED'])
    expect(rollout.images()).toEqual(NAMES.map(() => OLD))
    expect(story.events.find(({ type }) => type === 'WAVE_FINISHED')?.message).toMatch(/After 1 s/)
  })

  it('goes on at once when the replica that carries it out is stopped, and requests under way are answered once', async () => {
    const rollout = new Rollout('stopped')
    world.clusters[19]!.registry.create(DEPLOYMENTS, deployment('asked', OLD, 1))
    slow(150)
    const { replicas } = world.set
    const id = await rollout.begin({}, 0)
    const follower = follow(id, 0)
    await rollout.once(() => rollout.forward === 6)
    const input = { targets: target(NAMES[19]!, 'Deployment', 'asked'), by: 1, idempotencyKey: 'asked' }
    const asking = insist<{ scale: Payload }>(replicas, 0, SCALE, { input })
    const began = Date.now()
    const stopping = replicas[0]!.stop()
    const { data, tries } = await asking
    expect(data.scale.results).toMatchObject([{ outcome: 'UPDATED', message: '1 → 2 replicas' }])
    const again = await insist<{ scale: Payload }>(replicas, 1, SCALE, { input })
    expect(again.data.scale).toEqual({ ...data.scale, replayed: true })
    expect(replicasOf(19, 'asked')).toBe(2)
    expect(await stopping).toBe(0)
    const story = await told(follower)
    const [taken, ...more] = takeovers(story)
    expect(more).toEqual([])
    const delay = Date.parse(taken!.at) - began
    console.log(`stopped: taken over after ${delay} ms; a request under way was answered in ${tries} tries`)
    // No lease has to run out before.
    expect(delay).toBeLessThan(5_000)
    expect([story.state, states(story)]).toEqual(['SUCCEEDED', NAMES.slice(0, 4).map(() => 'SUCCEEDED')])
    expect(Object.fromEntries(rollout.put)).toEqual(Object.fromEntries(NAMES.map((name) => [name, [NEW]])))
  })

  it('is said to be gone where Redis has lost it, and nothing of it is done after that, or twice', async () => {
    const rollout = new Rollout('lost')
    slow(150)
    const id = await rollout.begin({}, 0)
    const follower = follow(id, 1)
    await rollout.once(() => rollout.forward === 6)
    await world.redis.kill()
    await world.redis.start()
    await expect(follower.ended).rejects.toThrow(/UNAVAILABLE|OPERATION_NOT_FOUND/)
    await eventually(async () => {
      for (const i of world.set.replicas.keys()) expect(await storyOf(id, i)).toBeNull()
    })
    const done = rollout.forward
    // What was under way, and no more.
    expect(done).toBeLessThanOrEqual(8)
    const other = new Rollout('after-the-loss')
    const story = await told(follow(await other.begin({ onFailure: 'STOP' }, 0), 1))
    expect(story.state).toBe('SUCCEEDED')
    expect(rollout.forward).toBe(done)
    for (const put of rollout.put.values()) expect(put).toEqual([NEW])
  })

  it('is not begun where Redis does not answer', async () => {
    const rollout = new Rollout('not-begun')
    const input = {
      targets: target(NAMES[0]!, 'Deployment', 'not-begun'),
      by: 1,
      idempotencyKey: 'not begun',
    }
    await world.redis.kill()
    try {
      const began = performance.now()
      const { errors } = await world.set.replicas[0]!.gateway.ask(SCALE, { input })
      expect(errors?.[0]?.extensions?.code).toBe('UNAVAILABLE')
      expect(errors?.[0]?.message).toMatch(/Nothing was begun/)
      expect(performance.now() - began).toBeLessThan(10_000)
      expect(rollout.put.size).toBe(0)
    } finally {
      await world.redis.start()
    }
    const { data } = await insist<{ scale: Payload }>(world.set.replicas, 0, SCALE, { input })
    expect(data.scale.results).toMatchObject([{ outcome: 'UPDATED' }])
    expect(replicasOf(0, 'not-begun')).toBe(2)
  })
})
