/**
 * Replicas that die at any moment: between two writes to the store, before or after a step has had its effect. Whoever
 * goes on comes to the same as a replica that never died.
 */
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { createMemoryOperationStore } from '../../src/writes/memory-operation-store.ts'
import { ENDED, type OperationRecord, type Strategy } from '../../src/writes/operation.ts'
import { Operations } from '../../src/writes/operations.ts'
import { changeError, failed, resultsOfOperation, undosOfOperation } from '../../src/writes/results.ts'
import { createRunner } from '../../src/writes/runner.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { apply, changeOf, FakeStepper, keyOf } from '../support/fake-stepper.ts'
import { Mortal } from '../support/mortal-replica.ts'

const alice = viewerOf({ name: 'alice', groups: [] })

interface Scenario {
  /** By cluster: the stages of its steps. */
  readonly clusters: readonly (readonly number[])[]
  /** Steps that fail, by their index. */
  readonly failing: readonly number[]
  /** Objects that are there before, by the index of their step. */
  readonly present: readonly number[]
  readonly strategy: Strategy | null
}

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  clusters: fc.array(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 5,
  }),
  failing: fc.array(fc.nat(12), { maxLength: 3 }),
  present: fc.array(fc.nat(12), { maxLength: 6 }),
  strategy: fc.option(
    fc.record({
      waveSize: fc.integer({ min: 1, max: 3 }),
      pauseMs: fc.constantFrom(0, 5_000),
      onFailure: fc.constantFrom('STOP', 'CONTINUE', 'ROLL_BACK'),
      maxFailures: fc.integer({ min: 0, max: 1 }),
      readyTimeoutMs: fc.constant(0),
    }),
  ),
})

/** Until it has ended; a replica that has died is followed by one with the next of these lives, and at last by one that lives. */
async function play(scenario: Scenario, lives: readonly number[]) {
  const clock = new FakeClock()
  const stepper = new FakeStepper()
  const store = createMemoryOperationStore(clock)
  const names = scenario.clusters.map((_stages, i) => `c${i}`)
  const fakeFleet = new FakeFleet(...names.map((name) => new FakeCluster(name)))
  const fleet = new AuthorizedFleet(fakeFleet, alice, everything)
  const change = changeOf(
    scenario.clusters.flatMap((stages, i) => stages.map((stage, k) => apply(names[i]!, `x${k}`, { stage }))),
    { digest: 'digest' },
  )
  for (const step of change.steps) {
    if (!scenario.present.includes(step.index)) continue
    const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: step.object.name } }
    stepper.objects.set(keyOf(step.object), { ...manifest, data: { value: 'old' } })
  }
  const world = () => new Map([...stepper.objects].map(([key, { data }]) => [key, data]))
  const before = world()
  stepper.decide = ({ index, action }) =>
    scenario.failing.includes(index) && action.type === 'APPLY'
      ? failed('FORBIDDEN', changeError('FORBIDDEN', `Not step ${index}.`))
      : undefined

  const errors: unknown[] = []
  const born = (left: number) => {
    const mortal = new Mortal(left, store, stepper)
    const onError = (error: unknown) => errors.push(error)
    const operations = new Operations({
      store: mortal.store,
      runner: createRunner({ stepper: mortal.stepper, clock, onError }),
      judge: () => ({ needsObjects: false, judge: () => null }),
      clock,
      fleetFor: () => fleet,
      onError,
    })
    return { mortal, operations }
  }
  const queue = [...lives]
  let replica = born(queue.shift() ?? Infinity)
  const head = {
    id: 'o',
    owner: { user: alice.user, method: alice.method, issuer: null, clusters: null },
    change,
    strategy: scenario.strategy,
    dryRun: false,
    confirmed: false,
    createdAt: clock.now(),
  }
  void replica.operations.begin(head, fleet)
  let record: OperationRecord | undefined
  for (let i = 0; i < 500; i++) {
    await settled()
    record = await store.read('o')
    if (record && ENDED.has(record.state)) break
    if (replica.mortal.isDead) {
      replica = born(queue.shift() ?? Infinity)
      // Nobody knows whether an operation was begun of which nothing is written: its client asks again.
      if (!record) void replica.operations.begin(head, fleet)
    }
    await clock.advance(1_000)
  }
  if (!record || !ENDED.has(record.state)) throw new Error('It does not end.')
  if (!replica.mortal.isDead) await replica.operations.close()
  return { record, effects: stepper.effects, world: world(), before, errors, stepper }
}

function told({ record }: { readonly record: OperationRecord }) {
  return {
    state: record.state,
    waves: record.waves.map(({ clusters, state }) => ({ clusters, state })),
    results: resultsOfOperation(record).map(({ index, outcome, error }) => [index, outcome, error?.code]),
    undos: undosOfOperation(record).map(({ index, outcome }) => [index, outcome]),
    story: record.events
      .filter(({ type }) => type !== 'TAKEN_OVER')
      .map(({ type, message }) => [type, message]),
  }
}

it('comes to the same whenever replicas die, each step having its effect once, and its story whole', async () => {
  await fc.assert(
    fc.asyncProperty(
      scenarios,
      fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 6 }),
      async (scenario, lives) => {
        const unhurt = await play(scenario, [])
        const hurt = await play(scenario, lives)
        expect(hurt.errors).toEqual([])
        expect(new Set(hurt.effects).size).toBe(hurt.effects.length)
        expect(hurt.effects.toSorted()).toEqual(unhurt.effects.toSorted())
        expect(hurt.world).toEqual(unhurt.world)
        expect(told(hurt)).toEqual(told(unhurt))
        if (hurt.record.state === 'ROLLED_BACK') expect(hurt.world).toEqual(hurt.before)
      },
    ),
    { numRuns: 300 },
  )
}, 120_000)

it('dies in the middle of what it does, or this would show nothing', async () => {
  const scenario: Scenario = {
    clusters: [[0, 1], [0, 1], [0]],
    failing: [4],
    present: [0],
    strategy: { waveSize: 1, pauseMs: 0, onFailure: 'ROLL_BACK', maxFailures: 0, readyTimeoutMs: 0 },
  }
  const seen = new Set<string>()
  for (let life = 1; life < 80; life++) {
    const { record, stepper } = await play(scenario, [life])
    expect(record.state).toBe('ROLLED_BACK')
    if (record.events.some(({ type }) => type === 'TAKEN_OVER')) seen.add('taken over')
    if (stepper.calls.some((call) => call.startsWith('settle'))) seen.add('settled')
    if (
      record.events.findIndex(({ type }) => type === 'TAKEN_OVER') >
      record.events.findIndex(({ type }) => type === 'ROLLING_BACK')
    ) {
      seen.add('taken over while rolling back')
    }
  }
  expect(seen).toEqual(new Set(['taken over', 'settled', 'taken over while rolling back']))
}, 60_000)
