import { afterEach, describe, expect, it, vi } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import type { Change, Step, StepResult } from '../../src/writes/change.ts'
import { createMemoryOperationStore } from '../../src/writes/memory-operation-store.ts'
import {
  ENDED,
  type OperationHead,
  type OperationRecord,
  type OperationStore,
  StoreAway,
  type Strategy,
} from '../../src/writes/operation.ts'
import { createPlans } from '../../src/writes/plans.ts'
import type { Policies } from '../../src/writes/policies.ts'
import { changeError, failed } from '../../src/writes/results.ts'
import type { RunOutcome } from '../../src/writes/writes.ts'
import { createWrites, type OwnedWrites } from '../../src/writes/writing.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { apply, changeOf, FakeStepper } from '../support/fake-stepper.ts'

const WAVES: Strategy = { waveSize: 1, pauseMs: 60_000, onFailure: 'STOP', maxFailures: 0, readyTimeoutMs: 0 }
const DO = { dryRun: false } as const

const closing: OwnedWrites[] = []
const clocks: FakeClock[] = []
afterEach(async () => {
  for (const writes of closing.splice(0)) {
    const closed = writes.close()
    for (const clock of clocks) await clock.advance(10_000)
    await closed
  }
  clocks.length = 0
})

class World {
  readonly clock = new FakeClock()
  readonly stepper = new FakeStepper()
  readonly fakeFleet = new FakeFleet(new FakeCluster('a'), new FakeCluster('b'), new FakeCluster('c'))
  readonly store: OperationStore = createMemoryOperationStore(this.clock)
  readonly plans = createPlans({ clock: this.clock })
  readonly onError = vi.fn<(error: unknown) => void>()
  readonly judged: { readonly confirmed: boolean; readonly objects: number }[] = []
  readonly steps: [OperationHead, StepResult][] = []
  readonly policies: Policies = {
    judgeFor: (request) => {
      this.judged.push(request)
      return { needsObjects: false, judge: () => null }
    },
  }
  readonly writes = this.replica()

  constructor() {
    clocks.push(this.clock)
  }

  replica(): OwnedWrites {
    const { clock, stepper, store, plans, policies, onError } = this
    const writes = createWrites({
      clock,
      stepper,
      store,
      plans,
      policies,
      onError,
      fleetFor: ({ user }) => this.as(user.name),
      mayReadAll: ({ user }) => user.name === 'auditor',
      onStep: (head, result) => this.steps.push([head, result]),
    })
    closing.push(writes)
    return writes
  }

  readonly as = (name: string): AuthorizedFleet =>
    new AuthorizedFleet(this.fakeFleet, viewerOf({ name, groups: [] }), everything)
}

function outcomes({ results }: Pick<RunOutcome, 'results'>): string[] {
  return results.map(({ outcome }) => outcome)
}

function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open: () => open() }
}

function aborted(code: string): Error {
  return Object.assign(new Error(code), { code })
}

function two(): Change {
  return changeOf([apply('a', 'x'), apply('b', 'x')])
}

describe('writes: at once', () => {
  it('answers with all results in order, and keeps nothing', async () => {
    const { writes, as, store } = bound(new World())
    const change = two()
    const [first, second] = change.steps
    const known: StepResult = {
      ...failed('UNREACHABLE', changeError('UNREACHABLE', 'c is silent.')),
      index: 1,
      object: { ...first!.object, cluster: 'c' },
      purpose: '',
      dryRun: false,
      startedAt: 0,
      finishedAt: 0,
    }
    const steps = [first!, { ...second!, index: 2 }]
    const outcome = await writes.run(as('alice'), { ...change, steps, known: [known] }, DO)
    expect(outcomes(outcome)).toEqual(['CREATED', 'UNREACHABLE', 'CREATED'])
    expect(outcome).toMatchObject({ operation: null, replayed: false })
    expect(await store.list(undefined, 10)).toEqual([])
  })

  it('asks policies for what is done by somebody who has seen no plan', async () => {
    const { writes, as, judged } = bound(new World())
    await writes.run(as('alice'), two(), DO)
    await writes.run(as('alice'), two(), { dryRun: true })
    expect(judged).toEqual([
      { confirmed: false, objects: 2 },
      { confirmed: true, objects: 2 },
    ])
  })

  it('keeps no dry run, whatever else is asked for', async () => {
    const { writes, as, store, stepper } = bound(new World())
    const outcome = await writes.run(as('alice'), two(), {
      dryRun: true,
      idempotencyKey: 'k',
      strategy: WAVES,
    })
    expect(outcome.results.every(({ dryRun }) => dryRun)).toBe(true)
    expect(stepper.effects).toEqual([])
    expect(await store.list(undefined, 10)).toEqual([])
  })

  it('carries a change to its end though its client leaves', async () => {
    const { writes, as, stepper } = bound(new World())
    const { opened, open } = gate()
    stepper.before = () => opened
    const client = new AbortController()
    const change = changeOf([apply('a', 'x'), apply('a', 'y', { stage: 1 })])
    const running = writes.run(as('alice'), change, DO, client.signal)
    await settled()
    client.abort(aborted('CLIENT_CLOSED'))
    open()
    expect(outcomes(await running)).toEqual(['CREATED', 'CREATED'])
  })

  it('ends a dry run that nobody waits for', async () => {
    const { writes, as, stepper } = bound(new World())
    const { opened, open } = gate()
    stepper.before = () => opened
    const client = new AbortController()
    const running = writes.run(as('alice'), two(), { dryRun: true }, client.signal)
    await settled()
    client.abort(aborted('CLIENT_CLOSED'))
    await running
    expect(stepper.contexts.every(({ signal }) => signal.aborted)).toBe(true)
    open()
  })

  it.each(['TIMEOUT', 'SHUTTING_DOWN'])(
    'says at %s how far each step came, and begins no more',
    async (code) => {
      const { writes, as, stepper } = bound(new World())
      stepper.before = ({ object }) => (object.cluster === 'a' ? new Promise(() => {}) : undefined)
      const request = new AbortController()
      const change = changeOf([apply('a', 'x'), apply('a', 'y', { stage: 1 }), apply('b', 'x')])
      const running = writes.run(as('alice'), change, DO, request.signal)
      await settled()
      request.abort(aborted(code))
      const outcome = await running
      expect(outcomes(outcome)).toEqual(['FAILED', 'SKIPPED', 'CREATED'])
      expect(outcome.results[0]?.error?.mayHaveBeenApplied).toBe(true)
      expect(outcome.results[1]?.error).toMatchObject({ code: 'NOT_ATTEMPTED', mayHaveBeenApplied: false })
    },
  )

  it('waits at its end for what a client has left, but not for ever', async () => {
    const { writes, as, stepper, clock } = bound(new World())
    const { opened, open } = gate()
    stepper.before = ({ object }) => (object.cluster === 'a' ? opened : new Promise(() => {}))
    const change = changeOf([apply('a', 'x'), apply('a', 'y', { stage: 1 }), apply('b', 'x')])
    const running = writes.run(as('alice'), change, DO)
    await settled()
    const closed = writes.close()
    open()
    await clock.advance(5_000)
    await closed
    const outcome = await running
    expect(outcomes(outcome)).toEqual(['CREATED', 'SKIPPED', 'FAILED'])
    expect(outcome.results[2]?.error).toMatchObject({ code: 'INTERRUPTED', mayHaveBeenApplied: true })
    expect(clock.pending).toBe(0)
  })
})

describe('writes: idempotency keys', () => {
  it('does once what is asked for many times at once, on two replicas, and answers all alike', async () => {
    const world = new World()
    const other = world.replica()
    const change = two()
    const asked = Array.from({ length: 20 }, (_, i) =>
      (i % 2 ? world.writes : other).run(world.as('alice'), change, { ...DO, idempotencyKey: 'k' }),
    )
    await world.clock.advance(200)
    const answers = await Promise.all(asked)
    expect(world.stepper.effects).toHaveLength(2)
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
    for (const answer of answers) {
      expect(answer.results).toEqual(answers[0]!.results)
      expect(answer.operation?.state).toBe('SUCCEEDED')
    }
  })

  it('answers a day long with the first result, and then does it again', async () => {
    const { writes, as, stepper, clock } = bound(new World())
    const change = two()
    const options = { ...DO, idempotencyKey: 'k' }
    const first = await writes.run(as('alice'), change, options)
    await clock.advance(24 * 3_600_000 - 60_001)
    expect(await writes.run(as('alice'), change, options)).toMatchObject({
      results: first.results,
      replayed: true,
    })
    await clock.advance(120_000)
    expect(await writes.run(as('alice'), change, options)).toMatchObject({ replayed: false })
    expect(stepper.effects).toHaveLength(4)
  })

  it('has one request at it at a time, before it is known what the change is, and tells the others', async () => {
    const { writes, as } = bound(new World())
    const change = two()
    const asked = { idempotencyKey: 'k', digest: change.digest }
    const first = await writes.claim(as('alice'), asked)
    if (typeof first !== 'function') throw new Error('It was not done before.')
    const told = vi.fn<(outcome: unknown) => void>()
    const second = writes.claim(as('alice'), asked).then(told)
    await settled()
    expect(told).not.toHaveBeenCalled()
    expect(await writes.claim(as('bob'), asked)).toBeTypeOf('function')
    const outcome = await writes.run(as('alice'), change, { ...DO, idempotencyKey: 'k' })
    first()
    await second
    expect(told).toHaveBeenCalledWith({ ...outcome, replayed: true })
    await expect(writes.claim(as('alice'), { ...asked, digest: 'other' })).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    })
  })

  it('lets the next one try where the first one began nothing, or left', async () => {
    const { writes, as } = bound(new World())
    const change = two()
    const asked = { idempotencyKey: 'k', digest: change.digest }
    const first = (await writes.claim(as('alice'), asked)) as () => void
    const second = writes.claim(as('alice'), asked)
    const leaving = new AbortController()
    const third = writes.claim(as('alice'), asked, leaving.signal)
    leaving.abort()
    expect(await third).toBeTypeOf('function')
    // What it is composed of could not be read.
    const known: StepResult = {
      ...failed('UNREACHABLE', changeError('UNREACHABLE', 'a is silent.')),
      index: 0,
      object: change.steps[0]!.object,
      purpose: '',
      dryRun: false,
      startedAt: 0,
      finishedAt: 0,
    }
    const vain = await writes.run(
      as('alice'),
      { ...change, steps: [], known: [known] },
      { ...DO, idempotencyKey: 'k' },
    )
    expect(vain).toEqual({ results: [known], operation: null, replayed: false })
    first()
    expect(await second).toBeTypeOf('function')
    expect(outcomes(await writes.run(as('alice'), change, { ...DO, idempotencyKey: 'k' }))).toEqual([
      'CREATED',
      'CREATED',
    ])
  })

  it('refuses the same key for another change', async () => {
    const { writes, as, stepper } = bound(new World())
    const options = { ...DO, idempotencyKey: 'k' }
    await writes.run(as('alice'), two(), options)
    await expect(writes.run(as('alice'), two(), options)).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    })
    expect(stepper.effects).toHaveLength(2)
  })

  it('keeps the keys of different users apart', async () => {
    const { writes, as, stepper } = bound(new World())
    const change = two()
    for (const name of ['alice', 'bob']) {
      expect((await writes.run(as(name), change, { ...DO, idempotencyKey: 'k' })).replayed).toBe(false)
    }
    expect(stepper.effects).toHaveLength(4)
  })

  it('answers at the deadline with what is done so far, and goes on', async () => {
    const { writes, as, stepper, clock } = bound(new World())
    const { opened, open } = gate()
    stepper.before = ({ object }) => (object.cluster === 'b' ? opened : undefined)
    const options = { ...DO, idempotencyKey: 'k' }
    const change = two()
    const requests = [new AbortController(), new AbortController()]
    const running = requests.map(({ signal }) => writes.run(as('alice'), change, options, signal))
    await settled()
    for (const request of requests) request.abort(aborted('TIMEOUT'))
    for (const answer of await Promise.all(running)) {
      expect(outcomes(answer)).toEqual(['CREATED'])
      expect(answer.operation?.state).toBe('RUNNING')
    }
    open()
    await clock.advance(100)
    const last = await writes.run(as('alice'), change, options)
    expect(outcomes(last)).toEqual(['CREATED', 'CREATED'])
    expect(last.replayed).toBe(true)
  })

  it('is carried to its end by another replica when this one stops', async () => {
    const world = new World()
    const change = changeOf([apply('a', 'x'), apply('a', 'y', { stage: 1 })])
    const { opened, open } = gate()
    world.stepper.before = () => opened
    const options = { ...DO, idempotencyKey: 'k' }
    // The store is of both: only the replica goes.
    const first = createWrites({ ...optionsOf(world), store: { ...unclosed(world.store) } })
    const asked = first.run(world.as('alice'), change, options)
    await settled()
    const again = world.writes.run(world.as('alice'), change, options)
    const closed = first.close()
    open()
    await closed
    expect(outcomes(await asked)).toEqual(['CREATED'])
    await world.clock.advance(5_000)
    expect(outcomes(await again)).toEqual(['CREATED', 'CREATED'])
    expect(world.stepper.effects).toHaveLength(2)
  })

  it('begins nothing where operations cannot be kept', async () => {
    const world = new World()
    world.store.create = () => Promise.reject(new StoreAway())
    for (const options of [{ idempotencyKey: 'k' }, { strategy: WAVES }]) {
      await expect(world.writes.run(world.as('alice'), two(), { ...DO, ...options })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
      })
    }
    expect(world.stepper.calls).toEqual([])
    expect(outcomes(await world.writes.run(world.as('alice'), two(), DO))).toEqual(['CREATED', 'CREATED'])
  })

  it('says what it does not know where the store goes away in between', async () => {
    const world = new World()
    world.store.read = () => Promise.reject(new StoreAway())
    const asked = world.writes.run(world.as('alice'), two(), { ...DO, idempotencyKey: 'k' })
    await expect(asked).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('was begun') as string,
    })
  })
})

describe('writes: strategies', () => {
  it('answers when it is begun', async () => {
    const { writes, as, stepper, clock } = bound(new World())
    const outcome = await writes.run(as('alice'), two(), { ...DO, strategy: WAVES })
    expect(outcome.operation?.id).toEqual(expect.any(String))
    expect(ENDED.has(outcome.operation!.state)).toBe(false)
    await clock.advance(60_000)
    expect(stepper.effects).toHaveLength(2)
    expect((await writes.operation(as('alice'), outcome.operation!.id))?.state).toBe('SUCCEEDED')
  })

  it('records each step of an operation for the audit', async () => {
    const { writes, as, steps } = bound(new World())
    await writes.run(as('alice'), two(), { ...DO, idempotencyKey: 'k' })
    expect(steps.map(([{ owner }, { outcome }]) => [owner.user.name, outcome])).toEqual([
      ['alice', 'CREATED'],
      ['alice', 'CREATED'],
    ])
  })
})

describe('writes: plans', () => {
  it('shows what would be, touches nothing, and does it when it is confirmed', async () => {
    const { writes, as, stepper, judged } = bound(new World())
    const plan = await writes.plan(as('alice'), two(), {})
    expect(outcomes(plan)).toEqual(['CREATED', 'CREATED'])
    expect(plan.results.every(({ dryRun }) => dryRun)).toBe(true)
    expect(plan.blastRadius).toMatchObject({ clusters: ['a', 'b'], created: 2 })
    expect(stepper.effects).toEqual([])
    const outcome = await writes.confirm(as('alice'), plan.token!)
    expect(outcomes(outcome)).toEqual(['CREATED', 'CREATED'])
    expect(outcome).toMatchObject({ replayed: false, operation: { state: 'SUCCEEDED', confirmed: true } })
    expect(judged.every(({ confirmed }) => confirmed)).toBe(true)
  })

  it('is confirmed once, however often: the rest is told what came of it, also after its time', async () => {
    const { writes, as, stepper, clock } = bound(new World())
    const { token } = await writes.plan(as('alice'), two(), {})
    const confirming = Array.from({ length: 5 }, () => writes.confirm(as('alice'), token!))
    await clock.advance(200)
    const answers = await Promise.all(confirming)
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
    await clock.advance(3_600_000)
    expect(await writes.confirm(as('alice'), token!)).toMatchObject({
      replayed: true,
      results: answers[0]!.results,
    })
    expect(stepper.effects).toHaveLength(2)
  })

  it('expires', async () => {
    const { writes, as, stepper, clock } = bound(new World())
    const { token, expiresAt } = await writes.plan(as('alice'), two(), {})
    await clock.advance(expiresAt - clock.now())
    await expect(writes.confirm(as('alice'), token!)).rejects.toMatchObject({ code: 'PLAN_EXPIRED' })
    expect(stepper.effects).toEqual([])
  })

  it('is of nobody else', async () => {
    const { writes, as } = bound(new World())
    const { token } = await writes.plan(as('alice'), two(), {})
    await expect(writes.confirm(as('bob'), token!)).rejects.toMatchObject({ code: 'PLAN_INVALID' })
  })

  it('cannot be confirmed where a step would fail', async () => {
    const { writes, as, stepper } = bound(new World())
    stepper.decide = ({ object }) =>
      object.cluster === 'b' ? failed('FORBIDDEN', changeError('FORBIDDEN', 'No.')) : undefined
    const plan = await writes.plan(as('alice'), two(), {})
    expect(plan.token).toBeNull()
    expect(outcomes(plan)).toEqual(['CREATED', 'FORBIDDEN'])
  })

  it.each([
    ['was changed', { data: { value: 'old' } }, { data: { value: 'theirs' } }],
    ['came into being', null, { data: { value: 'theirs' } }],
    ['went away', { data: { value: 'old' } }, null],
  ])('is a CONFLICT for an object that %s meanwhile', async (_name, then, now) => {
    const { writes, as, stepper } = bound(new World())
    const set = (object: object | null) => {
      const key = 'a/ConfigMap/shop/x'
      const whole = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, ...object }
      if (object) stepper.objects.set(key, whole)
      else stepper.objects.delete(key)
    }
    set(then)
    const { token } = await writes.plan(as('alice'), two(), {})
    set(now)
    const outcome = await writes.confirm(as('alice'), token!)
    expect(outcomes(outcome)).toEqual(['CONFLICT', 'CREATED'])
  })

  it('holds a Secret to its version, and puts no fingerprint of its values anywhere', async () => {
    const { writes, as, stepper, plans } = bound(new World())
    const object = { cluster: 'a', apiVersion: 'v1', kind: 'Secret', namespace: 'shop', name: 'key' }
    stepper.objects.set('a/Secret/shop/key', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'key', uid: 'u', resourceVersion: '7' },
      data: { a: 'b2xk' },
    })
    const keep = vi.spyOn(plans, 'keep')
    await writes.plan(as('alice'), changeOf([apply('a', 'key', { object })]), {})
    expect(keep.mock.calls[0]![1].change.steps[0]!.preconditions).toEqual({ uid: 'u', resourceVersion: '7' })
  })

  it('keeps what the user asked to hold besides', async () => {
    const { writes, as, plans } = bound(new World())
    const keep = vi.spyOn(plans, 'keep')
    const steps: Omit<Step, 'index'>[] = [apply('a', 'x', { preconditions: { resourceVersion: '5' } })]
    await writes.plan(as('alice'), changeOf(steps), { strategy: WAVES })
    expect(keep.mock.calls[0]![1]).toMatchObject({
      strategy: WAVES,
      change: { steps: [{ preconditions: { resourceVersion: '5', fingerprint: null } }] },
    })
  })

  it('goes through its waves when it is confirmed', async () => {
    const { writes, as, stepper } = bound(new World())
    const { token } = await writes.plan(as('alice'), two(), { strategy: WAVES })
    const outcome = await writes.confirm(as('alice'), token!)
    await settled()
    expect(ENDED.has(outcome.operation!.state)).toBe(false)
    expect(stepper.effects).toHaveLength(1)
  })
})

describe('writes: operations', () => {
  it('are seen by their owner, and by who may read the audit, and by nobody else', async () => {
    const { writes, as } = bound(new World())
    const ids: string[] = []
    for (const name of ['alice', 'bob']) {
      const { operation } = await writes.run(as(name), two(), { ...DO, strategy: WAVES })
      ids.push(operation!.id)
    }
    const seen = async (name: string) => {
      const list = await writes.operations(as(name), 10)
      const single = await Promise.all(ids.map((id) => writes.operation(as(name), id)))
      expect(
        single
          .filter(Boolean)
          .map((record) => record!.id)
          .toSorted(),
      ).toEqual(list.map(({ id }) => id).toSorted())
      return list.map(({ owner }) => owner.user.name)
    }
    expect(await seen('alice')).toEqual(['alice'])
    expect(await seen('eve')).toEqual([])
    expect(await seen('auditor')).toEqual(['bob', 'alice'])
    await expect(follow(writes.follow(as('eve'), ids[0]!, NEVER))).rejects.toMatchObject({
      code: 'OPERATION_NOT_FOUND',
    })
    for (const name of ['eve', 'auditor']) {
      await expect(writes.cancel(as(name), ids[0]!)).rejects.toMatchObject({ code: 'OPERATION_NOT_FOUND' })
    }
    expect((await writes.cancel(as('alice'), ids[0]!)).cancelRequested).toBe(true)
  })

  it('are cancelled once, and what has ended stays as it is', async () => {
    const { writes, as } = bound(new World())
    const { operation } = await writes.run(as('alice'), two(), { ...DO, strategy: WAVES })
    await writes.cancel(as('alice'), operation!.id)
    await settled()
    const ended = await writes.cancel(as('alice'), operation!.id)
    expect(ended.state).toBe('CANCELLED')
  })

  it('are followed as they are, and after each change, to their end', async () => {
    const { writes, as, clock } = bound(new World())
    const { operation } = await writes.run(as('alice'), two(), { ...DO, strategy: WAVES })
    const following = follow(writes.follow(as('alice'), operation!.id, NEVER))
    for (let i = 0; i < 700; i++) await clock.advance(100)
    const states = await following
    expect(states.at(-1)?.state).toBe('SUCCEEDED')
    expect(states.length).toBeGreaterThan(1)
    const revisions = states.map(({ revision }) => revision)
    expect(revisions).toEqual([...new Set(revisions)].toSorted((a, b) => a - b))
  })

  it('are followed no longer than anybody listens', async () => {
    const { writes, as, store } = bound(new World())
    let listeners = 0
    const onChange = store.onChange.bind(store)
    store.onChange = (id, listener) => {
      listeners++
      const leave = onChange(id, listener)
      return () => {
        listeners--
        leave()
      }
    }
    const { operation } = await writes.run(as('alice'), two(), { ...DO, strategy: WAVES })
    const client = new AbortController()
    const following = follow(writes.follow(as('alice'), operation!.id, client.signal))
    await settled()
    expect(listeners).toBe(1)
    client.abort()
    await following
    expect(listeners).toBe(0)
  })
})

const NEVER = new AbortController().signal

async function follow(records: AsyncIterable<OperationRecord>): Promise<OperationRecord[]> {
  const seen: OperationRecord[] = []
  for await (const record of records) seen.push(record)
  return seen
}

function bound(world: World) {
  const { writes, store, stepper, clock, judged, plans, steps, as } = world
  return { writes, store, stepper, clock, judged, plans, steps, as }
}

function optionsOf({ clock, stepper, plans, policies, onError, as }: World) {
  return { clock, stepper, plans, policies, onError, fleetFor: () => as('alice'), mayReadAll: () => false }
}

function unclosed(store: OperationStore): OperationStore {
  return {
    shared: store.shared,
    create: (head) => store.create(head),
    read: (id) => store.read(id),
    list: (...asked) => store.list(...asked),
    takeOver: (id) => store.takeOver(id),
    orphans: () => store.orphans(),
    requestCancel: (id) => store.requestCancel(id),
    onChange: (id, listener) => store.onChange(id, listener),
    close: async () => {},
  }
}
