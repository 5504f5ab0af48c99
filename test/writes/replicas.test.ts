/** Three replicas that share a Redis, one of which is killed in the middle. */
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { connectRedis } from '../../src/events/redis/connection.ts'
import { systemClock } from '../../src/fleet/clock.ts'
import type { Change } from '../../src/writes/change.ts'
import { ENDED, type OperationRecord, type Strategy } from '../../src/writes/operation.ts'
import { createPlans } from '../../src/writes/plans.ts'
import { redisOperationStore } from '../../src/writes/redis-operation-store.ts'
import { changeError, failed, resultsOfOperation, undosOfOperation } from '../../src/writes/results.ts'
import type { RunOptions, RunOutcome } from '../../src/writes/writes.ts'
import { createWrites, type OwnedWrites } from '../../src/writes/writing.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { apply, changeOf, FakeStepper } from '../support/fake-stepper.ts'
import { Mortal } from '../support/mortal-replica.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

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

interface Replica {
  readonly writes: OwnedWrites
  readonly mortal: Mortal
}

const names = Array.from({ length: 20 }, (_, i) => `c${String(i).padStart(2, '0')}`)
const fleet = new FakeFleet(...names.map((name) => new FakeCluster(name)))
const alice = () => new AuthorizedFleet(fleet, viewerOf({ name: 'alice', groups: [] }), everything)
const errors: unknown[] = []

async function replica(stepper: FakeStepper): Promise<Replica> {
  const connection = connectRedis(redis.url, {
    clock: systemClock,
    prefix: 'test',
    probeMs: 50,
    awayMs: 30_000,
    reconnectMs: 50,
    commandTimeoutMs: 10_000,
  })
  await vi.waitFor(() => expect(connection.state.status).toBe('READY'), 10_000)
  const store = redisOperationStore({ connection, clock: systemClock, leaseMs: 2_000 })
  const mortal = new Mortal(Infinity, store, stepper)
  const writes = createWrites({
    stepper: mortal.stepper,
    policies: { judgeFor: () => ({ needsObjects: false, judge: () => null }) },
    store: mortal.store,
    plans: createPlans({ clock: systemClock, redis: connection }),
    clock: systemClock,
    fleetFor: alice,
    mayReadAll: () => false,
    onError: (error) => errors.push(error),
  })
  closing.push(async () => {
    if (!mortal.isDead) await writes.close()
    await store.close()
    await connection.close()
  })
  return { writes, mortal }
}

/** As a client does it: where its replica is gone, it asks another. */
async function ask(
  replicas: readonly Replica[],
  first: number,
  change: Change,
  options: RunOptions,
): Promise<RunOutcome> {
  for (let i = first; ; i++) {
    const { writes, mortal } = replicas[i % replicas.length]!
    if (mortal.isDead) continue
    const gone = died.get(mortal)!.promise
    const answer = await Promise.race([writes.run(alice(), change, options), gone])
    if (answer) return answer
  }
}

const died = new Map<Mortal, PromiseWithResolvers<undefined>>()

function kill({ mortal }: Replica): void {
  mortal.die()
  died.get(mortal)!.resolve(undefined)
}

async function three(stepper: FakeStepper): Promise<Replica[]> {
  const replicas = await Promise.all([replica(stepper), replica(stepper), replica(stepper)])
  for (const { mortal } of replicas) died.set(mortal, Promise.withResolvers())
  return replicas
}

it('answers 1,000 calls with 100 keys by 100 effects, though a replica is killed in the middle', async () => {
  const stepper = new FakeStepper()
  const replicas = await three(stepper)
  const changes = Array.from({ length: 100 }, (_, i) => changeOf([apply(names[i % 20]!, `x${i}`)]))
  stepper.after = () => {
    if (stepper.effects.length === 40) kill(replicas[1]!)
  }
  const answers = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) =>
      ask(replicas, i, changes[i % 100]!, { dryRun: false, idempotencyKey: `key-${i % 100}` }),
    ),
  )
  expect(replicas[1]!.mortal.isDead).toBe(true)
  expect(stepper.effects).toHaveLength(100)
  expect(new Set(stepper.effects).size).toBe(100)
  for (const [i, { operation, results }] of answers.entries()) {
    expect(operation?.state).toBe('SUCCEEDED')
    expect(results.map(({ object, outcome }) => [object.name, outcome])).toEqual([[`x${i % 100}`, 'CREATED']])
  }
  expect(errors).toEqual([])
})

it('rolls back a wave over 20 clusters, though the replica that does it is killed twice, and tells all of it', async () => {
  const stepper = new FakeStepper()
  const replicas = await three(stepper)
  stepper.decide = ({ object, action }) =>
    object.cluster === 'c09' && action.type === 'APPLY'
      ? failed('FORBIDDEN', changeError('FORBIDDEN', 'Not in c09.'))
      : undefined
  // Whoever is at it goes: first in the second wave, then while it is put back.
  const deadly = new Set([6, 16])
  stepper.after = () => {
    if (!deadly.delete(stepper.effects.length)) return
    const living = replicas.filter(({ mortal }) => !mortal.isDead)
    kill(living.find(({ mortal }) => mortal.drives > 0)!)
  }
  const strategy: Strategy = {
    waveSize: 4,
    concurrency: 2,
    pauseMs: 0,
    onFailure: 'ROLL_BACK',
    maxFailures: 0,
    readyTimeoutMs: 0,
  }
  const change = changeOf(names.map((name) => apply(name, 'x')))
  const { operation } = await ask(replicas, 0, change, { dryRun: false, strategy })
  const read = async (): Promise<OperationRecord | undefined> => {
    const living = replicas.find(({ mortal }) => !mortal.isDead)!
    return living.writes.operation(alice(), operation!.id)
  }
  await vi.waitFor(async () => expect(ENDED.has((await read())!.state)).toBe(true), 30_000)
  const record = (await read())!
  expect(replicas.filter(({ mortal }) => mortal.isDead)).toHaveLength(2)
  expect(record.state).toBe('ROLLED_BACK')
  expect(stepper.objects.size).toBe(0)
  expect(new Set(stepper.effects).size).toBe(stepper.effects.length)
  expect(record.waves.map(({ state }) => state)).toEqual([
    'SUCCEEDED',
    'SUCCEEDED',
    'FAILED',
    'SKIPPED',
    'SKIPPED',
  ])
  expect(record.events.map(({ type }) => type).filter((type) => type === 'TAKEN_OVER')).toHaveLength(2)
  expect(record.events.map(({ type }) => type).filter((type) => type !== 'TAKEN_OVER')).toEqual([
    'STARTED',
    'WAVE_STARTED',
    'WAVE_FINISHED',
    'WAVE_STARTED',
    'WAVE_FINISHED',
    'WAVE_STARTED',
    'WAVE_FINISHED',
    'ROLLING_BACK',
    'FINISHED',
  ])
  const results = resultsOfOperation(record)
  const done = results.filter(({ outcome }) => outcome === 'CREATED').map(({ index }) => index)
  expect(undosOfOperation(record).map(({ index, outcome }) => [index, outcome])).toEqual(
    done.toReversed().map((index) => [index, 'DELETED']),
  )
  expect(
    results.filter(({ outcome }) => outcome === 'FORBIDDEN').map(({ object }) => object.cluster),
  ).toEqual(['c09'])
  expect(errors).toEqual([])
})
