import { afterEach, describe, expect, it, vi } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything, type Policy } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import type { Change } from '../../src/writes/change.ts'
import { createMemoryOperationStore } from '../../src/writes/memory-operation-store.ts'
import {
  ENDED,
  type OperationHead,
  type OperationOwner,
  type OperationRecord,
  type OperationStore,
  type Strategy,
} from '../../src/writes/operation.ts'
import { Operations } from '../../src/writes/operations.ts'
import { changeError, failed, resultsOfOperation, undosOfOperation } from '../../src/writes/results.ts'
import { createRunner } from '../../src/writes/runner.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { apply, changeOf, FakeStepper } from '../support/fake-stepper.ts'
import { ScopedPolicy } from '../support/scoped-policy.ts'

const alice = viewerOf({ name: 'alice', groups: [] })
const owner: OperationOwner = { user: alice.user, method: 'ANONYMOUS', issuer: null, clusters: null }

const WAVES: Strategy = {
  waveSize: 1,
  pauseMs: 0,
  onFailure: 'STOP',
  maxFailures: 0,
  readyTimeoutMs: 0,
}

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

class World {
  readonly clock = new FakeClock()
  readonly stepper = new FakeStepper()
  readonly fakeFleet: FakeFleet
  readonly fleet: AuthorizedFleet
  readonly store: OperationStore = createMemoryOperationStore(this.clock)
  readonly onError = vi.fn<(error: unknown) => void>()
  readonly operations: Operations
  #ids = 0

  constructor(...names: readonly string[]) {
    this.fakeFleet = new FakeFleet(...names.map((name) => new FakeCluster(name, { stage: name.slice(0, 1) })))
    this.fleet = new AuthorizedFleet(this.fakeFleet, alice, everything)
    this.stepper.decide = () => {}
    this.operations = this.replica()
  }

  replica(about: Partial<ConstructorParameters<typeof Operations>[0]> = {}): Operations {
    const { clock, store, onError, stepper } = this
    const operations = new Operations({
      clock,
      store,
      onError,
      runner: createRunner({ stepper, clock, onError }),
      judge: () => ({ needsObjects: false, judge: () => null }),
      fleetFor: () => this.fleet,
      ...about,
    })
    closing.push(() => operations.close())
    return operations
  }

  head(change: Change, strategy: Strategy | null = null): OperationHead {
    const createdAt = this.clock.now()
    return { id: `o${this.#ids++}`, owner, change, strategy, dryRun: false, confirmed: false, createdAt }
  }

  async begin(change: Change, strategy: Strategy | null = null): Promise<string> {
    const head = this.head(change, strategy)
    await this.operations.begin(head, this.fleet)
    return head.id
  }

  /** Moves time on until it has ended. */
  async end(id: string): Promise<OperationRecord> {
    for (let i = 0; i < 200; i++) {
      await settled()
      const record = await this.read(id)
      if (ENDED.has(record.state)) return record
      await this.clock.advance(1_000)
    }
    throw new Error(`${id} did not end.`)
  }

  async read(id: string): Promise<OperationRecord> {
    return (await this.store.read(id))!
  }

  /** These steps fail when they are decided. */
  fail(...keys: readonly string[]): void {
    this.stepper.decide = ({ object: { cluster, name } }) =>
      keys.includes(`${cluster}/${name}`)
        ? failed('FORBIDDEN', changeError('FORBIDDEN', `Not in ${cluster}.`))
        : undefined
  }
}

function story(record: OperationRecord): string[] {
  return record.events.map(({ type }) => type)
}

function outcomes(record: OperationRecord): string[] {
  return resultsOfOperation(record).map(({ outcome }) => outcome)
}

/** One step in each. */
function everywhere(...clusters: readonly string[]): Change {
  return changeOf(clusters.map((name) => apply(name, 'x')))
}

function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open: () => open() }
}

describe('operations: waves', () => {
  it('does all at once without a strategy, and tells its story', async () => {
    const world = new World('a', 'b')
    const id = await world.begin(everywhere('a', 'b'))
    const record = await world.end(id)
    expect(record.state).toBe('SUCCEEDED')
    expect(record.waves).toMatchObject([{ clusters: ['a', 'b'], state: 'SUCCEEDED' }])
    expect(story(record)).toEqual(['STARTED', 'WAVE_STARTED', 'WAVE_FINISHED', 'FINISHED'])
    expect(record.events[0]?.message).toBe('alice began to apply some objects.')
    expect(record.events.at(-1)?.message).toBe('2 CREATED.')
    expect(record.finishedAt).toBe(world.clock.now())
  })

  it('says FAILED where anything failed, and tries everything all the same', async () => {
    const world = new World('a', 'b')
    world.fail('a/x')
    const record = await world.end(await world.begin(everywhere('a', 'b')))
    expect(record.state).toBe('FAILED')
    expect(outcomes(record)).toEqual(['FORBIDDEN', 'CREATED'])
    expect(record.events.find(({ type }) => type === 'WAVE_FINISHED')?.message).toContain('Not in a.')
  })

  it('goes by selectors in their order, and takes those that none matches last', async () => {
    const world = new World('c1', 'a1', 'b1', 'b2', 'x1')
    const record = await world.end(
      await world.begin(everywhere('a1', 'b1', 'b2', 'c1', 'x1', 'unknown'), {
        ...WAVES,
        waves: ['stage=b', 'stage in (a,b)', 'stage=none'],
        onFailure: 'CONTINUE',
      }),
    )
    expect(record.waves.map(({ clusters }) => clusters)).toEqual([
      ['b1', 'b2'],
      ['a1'],
      ['c1', 'unknown', 'x1'],
    ])
    expect(world.stepper.effects.map((effect) => effect.slice(6, 8))).toEqual(['b1', 'b2', 'a1', 'c1', 'x1'])
  })

  it('works on no more clusters of a wave at a time than it may', async () => {
    const world = new World('a', 'b', 'c', 'd', 'e')
    const { opened, open } = gate()
    let most = 0
    let busy = 0
    world.stepper.before = async () => {
      most = Math.max(most, ++busy)
      await opened
      busy--
    }
    const id = await world.begin(everywhere('a', 'b', 'c', 'd', 'e'), {
      ...WAVES,
      waveSize: 5,
      concurrency: 2,
    })
    await settled()
    expect(busy).toBe(2)
    open()
    await world.end(id)
    expect(most).toBe(2)
  })

  it('pauses between waves', async () => {
    const world = new World('a', 'b')
    const id = await world.begin(everywhere('a', 'b'), { ...WAVES, pauseMs: 60_000 })
    await world.clock.advance(59_999)
    expect(world.stepper.effects).toHaveLength(1)
    expect(story(await world.read(id)).at(-1)).toBe('PAUSED')
    await world.clock.advance(1)
    expect(world.stepper.effects).toHaveLength(2)
    expect(story(await world.end(id))).not.toContain('CANCEL_REQUESTED')
  })

  it('pauses no longer than was asked for where the clocks of two replicas differ', async () => {
    const world = new World('a', 'b')
    const id = await world.begin(everywhere('a', 'b'), { ...WAVES, pauseMs: 60_000 })
    await settled()
    await world.operations.close()
    const lease = (await world.store.takeOver(id))!
    const { state, waves, events } = await world.read(id)
    // By a clock that is an hour ahead.
    const finishedAt = world.clock.now() + 3_600_000
    await lease.progress({
      state,
      waves: waves.map((wave) => (wave.finishedAt === null ? wave : { ...wave, finishedAt })),
      events,
      finishedAt: null,
    })
    await lease.release()
    await world.replica().adopt(id)
    await world.clock.advance(60_000)
    expect((await world.end(id)).state).toBe('SUCCEEDED')
    expect(world.clock.now()).toBeLessThan(finishedAt)
  })

  it('stops after a wave with more failures than may be, and says what was not done', async () => {
    const world = new World('a', 'b', 'c', 'd')
    world.fail('b/x')
    const record = await world.end(await world.begin(everywhere('a', 'b', 'c', 'd'), WAVES))
    expect(record.state).toBe('FAILED')
    expect(record.waves.map(({ state }) => state)).toEqual(['SUCCEEDED', 'FAILED', 'SKIPPED', 'SKIPPED'])
    expect(outcomes(record)).toEqual(['CREATED', 'FORBIDDEN', 'SKIPPED', 'SKIPPED'])
    expect(resultsOfOperation(record)[2]?.error?.code).toBe('NOT_ATTEMPTED')
  })

  it('puts up with as many failures as it is told to', async () => {
    const world = new World('a', 'b', 'c')
    world.fail('b/x')
    const record = await world.end(await world.begin(everywhere('a', 'b', 'c'), { ...WAVES, maxFailures: 1 }))
    expect(record.state).toBe('SUCCEEDED')
    expect(outcomes(record)).toEqual(['CREATED', 'FORBIDDEN', 'CREATED'])
  })

  it('goes on after failures where it is told to, and says FAILED at the end', async () => {
    const world = new World('a', 'b', 'c')
    world.fail('a/x')
    const record = await world.end(
      await world.begin(everywhere('a', 'b', 'c'), { ...WAVES, onFailure: 'CONTINUE' }),
    )
    expect(record.state).toBe('FAILED')
    expect(outcomes(record)).toEqual(['FORBIDDEN', 'CREATED', 'CREATED'])
  })

  it('begins no further clusters of a wave once too many of it failed', async () => {
    const world = new World('a', 'b', 'c')
    world.fail('a/x')
    const record = await world.end(
      await world.begin(everywhere('a', 'b', 'c'), { ...WAVES, waveSize: 3, concurrency: 1 }),
    )
    expect(outcomes(record)).toEqual(['FORBIDDEN', 'SKIPPED', 'SKIPPED'])
  })

  it('counts clusters of which nothing could be told as failures of their wave', async () => {
    const world = new World('a', 'b')
    const [step] = everywhere('b').steps
    const known = {
      ...failed('UNREACHABLE', changeError('UNREACHABLE', 'b is silent.')),
      index: 9,
      object: step!.object,
      purpose: '',
      dryRun: false,
      startedAt: 0,
      finishedAt: 0,
    }
    const change = changeOf([apply('a', 'x')], { known: [known] })
    const record = await world.end(await world.begin(change, WAVES))
    expect(record.state).toBe('FAILED')
    expect(record.waves.map(({ state }) => state)).toEqual(['SUCCEEDED', 'FAILED'])
    expect(outcomes(record)).toEqual(['CREATED', 'UNREACHABLE'])
  })
})

describe('operations: readiness', () => {
  let version = 0
  const deployment = (generation: number, about: object = {}) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: 'shop', name: 'web', uid: 'u', resourceVersion: `${++version}`, generation },
    spec: { replicas: 1, selector: { matchLabels: {} }, template: { spec: { containers: [] } } },
    status: {
      observedGeneration: generation,
      replicas: 1,
      updatedReplicas: 1,
      readyReplicas: 1,
      availableReplicas: 1,
      ...about,
    },
  })
  const FAILED_ROLLOUT = {
    updatedReplicas: 0,
    conditions: [
      { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: 'Too slow.' },
    ],
  }

  async function rolling(strategy: Partial<Strategy> = {}, policy: Policy = everything) {
    const world = new World('a', 'b')
    const object = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name: 'web' }
    const change = changeOf(
      ['a', 'b'].map((cluster) =>
        apply(cluster, 'web', {
          object: { ...object, cluster },
          action: { type: 'APPLY', force: false, manifest: deployment(2) },
        }),
      ),
    )
    for (const cluster of world.fakeFleet.clusters) {
      cluster.load('Deployment', [deployment(1)])
    }
    // The simulated step gives each object a uid of its own.
    world.stepper.before = (step) => {
      const { metadata } = deployment(2)
      return {
        outcome: 'UPDATED',
        before: null,
        after: { ...deployment(2), metadata: { ...metadata, uid: 'u' } },
        error: null,
        resourceVersion: '2',
        note: step.purpose,
      }
    }
    const head = world.head(change, { ...WAVES, readyTimeoutMs: 60_000, ...strategy })
    await world.operations.begin(head, new AuthorizedFleet(world.fakeFleet, alice, policy))
    const { id } = head
    await settled()
    return { world, id }
  }

  it('waits until workloads are rolled out in the form that was written', async () => {
    const { world, id } = await rolling()
    await world.clock.advance(10_000)
    expect((await world.read(id)).waves.map(({ state }) => state)).toEqual(['RUNNING', 'PENDING'])
    world.fakeFleet.cluster('a')!.load('Deployment', [deployment(2, { availableReplicas: 0 })])
    await world.clock.advance(10_000)
    expect((await world.read(id)).waves[0]?.state).toBe('RUNNING')
    world.fakeFleet.cluster('a')!.load('Deployment', [deployment(2)])
    await world.clock.advance(1_000)
    expect((await world.read(id)).waves.map(({ state }) => state)).toEqual(['SUCCEEDED', 'RUNNING'])
    world.fakeFleet.cluster('b')!.load('Deployment', [deployment(2)])
    expect((await world.end(id)).state).toBe('SUCCEEDED')
  })

  it('takes a cluster for failed when that takes too long', async () => {
    const { world, id } = await rolling()
    await world.clock.advance(60_000)
    const record = await world.end(id)
    expect(record.state).toBe('FAILED')
    expect(record.events.find(({ type }) => type === 'WAVE_FINISHED')?.message).toContain(
      'After 60 s Deployment shop/web in the cluster a is not seen in its new form yet.',
    )
  })

  it('takes it for failed at once when the rollout has failed', async () => {
    const { world, id } = await rolling()
    world.fakeFleet.cluster('a')!.load('Deployment', [deployment(2, FAILED_ROLLOUT)])
    await world.clock.advance(1_000)
    const record = await world.end(id)
    expect(record.state).toBe('FAILED')
    expect(record.events.find(({ type }) => type === 'WAVE_FINISHED')?.message).toContain('Too slow.')
  })

  it('does not wait for one that is paused, nor for what may not be seen', async () => {
    const { world, id } = await rolling()
    const { spec, ...paused } = deployment(2)
    world.fakeFleet.cluster('a')!.load('Deployment', [{ ...paused, spec: { ...spec, paused: true } }])
    await world.clock.advance(1_000)
    expect((await world.read(id)).waves[0]?.state).toBe('SUCCEEDED')

    const blind = await rolling({}, new ScopedPolicy({ a: undefined, b: undefined } as never))
    const record = await blind.world.end(blind.id)
    expect(record.events.find(({ type }) => type === 'WAVE_FINISHED')?.message).toContain('you may not list')
    expect(blind.world.clock.now()).toBe(new FakeClock().now())
  })

  it('waits for nothing when it is cancelled', async () => {
    const { world, id } = await rolling()
    await world.store.requestCancel(id)
    await settled()
    expect((await world.read(id)).state).toBe('CANCELLED')
  })
})

describe('operations: cancel', () => {
  it('carries steps that were begun to their end, and begins no others', async () => {
    const world = new World('a', 'b')
    const { opened, open } = gate()
    world.stepper.before = () => opened
    const change = changeOf([apply('a', 'x'), apply('a', 'y', { stage: 1 }), apply('b', 'x')])
    const id = await world.begin(change, WAVES)
    await settled()
    await world.store.requestCancel(id)
    await settled()
    expect((await world.read(id)).state).toBe('RUNNING')
    open()
    const record = await world.end(id)
    expect(record.state).toBe('CANCELLED')
    expect(outcomes(record)).toEqual(['CREATED', 'SKIPPED', 'SKIPPED'])
    expect(record.waves.map(({ state }) => state)).toEqual(['FAILED', 'SKIPPED'])
    expect(story(record)).toEqual([
      'STARTED',
      'WAVE_STARTED',
      'CANCEL_REQUESTED',
      'WAVE_FINISHED',
      'FINISHED',
    ])
  })

  it('is written down together with the wave that it cut, so that whoever goes on does not put it back', async () => {
    const world = new World('a', 'b')
    const { opened, open } = gate()
    world.stepper.before = () => opened
    const change = changeOf([apply('a', 'x'), apply('a', 'y', { stage: 1 }), apply('b', 'x')])
    const id = await world.begin(change, { ...WAVES, onFailure: 'ROLL_BACK' })
    const seen: Promise<OperationRecord>[] = []
    world.store.onChange(id, () => seen.push(world.read(id)))
    await settled()
    await world.store.requestCancel(id)
    open()
    expect((await world.end(id)).state).toBe('CANCELLED')
    const records = await Promise.all(seen)
    const cut = records.filter(({ waves }) => waves.some(({ state }) => state === 'FAILED'))
    expect(cut.map(({ state }) => state)).toEqual(['CANCELLED'])
  })

  it('ends a pause', async () => {
    const world = new World('a', 'b')
    const id = await world.begin(everywhere('a', 'b'), { ...WAVES, pauseMs: 3_600_000 })
    await world.clock.advance(5_000)
    await world.store.requestCancel(id)
    await settled()
    const record = await world.read(id)
    expect(record.state).toBe('CANCELLED')
    expect(record.waves.map(({ state }) => state)).toEqual(['SUCCEEDED', 'SKIPPED'])
  })

  it('does not say CANCELLED of what was done to its end all the same', async () => {
    const world = new World('a')
    const { opened, open } = gate()
    world.stepper.before = () => opened
    const id = await world.begin(everywhere('a'), WAVES)
    await settled()
    await world.store.requestCancel(id)
    open()
    expect((await world.end(id)).state).toBe('SUCCEEDED')
  })
})

describe('operations: rollback', () => {
  const BACK: Strategy = { ...WAVES, onFailure: 'ROLL_BACK' }

  it('puts back what was done, newest wave first, and in each cluster the last stage first', async () => {
    const world = new World('a', 'b', 'c', 'd')
    const old = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { value: 'old' } }
    world.stepper.objects.set('a/ConfigMap/shop/x', old)
    world.fail('c/y')
    const change = changeOf(
      ['a', 'b', 'c', 'd'].flatMap((name) => [apply(name, 'x'), apply(name, 'y', { stage: 1 })]),
    )
    const id = await world.begin(change, BACK)
    const record = await world.end(id)
    expect(record.state).toBe('ROLLED_BACK')
    expect(world.stepper.effects.slice(5).map((effect) => effect.replace('/ConfigMap/shop', ''))).toEqual([
      'RESTORE c/x',
      'RESTORE b/y',
      'RESTORE b/x',
      'RESTORE a/y',
      'RESTORE a/x',
    ])
    expect([...world.stepper.objects.keys()]).toEqual(['a/ConfigMap/shop/x'])
    expect(world.stepper.objects.get('a/ConfigMap/shop/x')).toMatchObject({ data: { value: 'old' } })
    expect(record.waves.map(({ state }) => state)).toEqual(['SUCCEEDED', 'SUCCEEDED', 'FAILED', 'SKIPPED'])
    expect(story(record).slice(-3)).toEqual(['WAVE_FINISHED', 'ROLLING_BACK', 'FINISHED'])
    expect(record.events.at(-1)?.message).toBe('5 steps were put back.')
    expect(undosOfOperation(record).map(({ outcome }) => outcome)).toEqual([
      'DELETED',
      'DELETED',
      'DELETED',
      'DELETED',
      'UPDATED',
    ])
  })

  it('leaves alone what somebody else has changed since, and then says FAILED', async () => {
    const world = new World('a', 'b')
    world.fail('b/x')
    const id = await world.begin(everywhere('a', 'b'), { ...BACK, pauseMs: 10_000 })
    await world.clock.advance(5_000)
    const theirs = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { value: 'theirs' } }
    world.stepper.objects.set('a/ConfigMap/shop/x', theirs)
    const record = await world.end(id)
    expect(record.state).toBe('FAILED')
    expect(world.stepper.objects.get('a/ConfigMap/shop/x')).toBe(theirs)
    expect(undosOfOperation(record)).toMatchObject([{ outcome: 'CONFLICT' }])
    expect(record.events.at(-1)?.message).toContain('1 could not be')
  })

  it('says of a Secret that it cannot be put back, and deletes one that was not there', async () => {
    const world = new World('a', 'b')
    world.fail('b/x')
    const secret = (name: string) =>
      apply('a', name, {
        object: { cluster: 'a', apiVersion: 'v1', kind: 'Secret', namespace: 'shop', name },
      })
    world.stepper.objects.set('a/Secret/shop/old', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'old' },
    })
    const record = await world.end(
      await world.begin(changeOf([secret('old'), secret('new'), apply('b', 'x')]), BACK),
    )
    expect(record.state).toBe('FAILED')
    expect(undosOfOperation(record)).toMatchObject([
      { object: { name: 'new' }, outcome: 'DELETED' },
      { object: { name: 'old' }, outcome: 'FAILED', error: { code: 'NOT_SUPPORTED' } },
    ])
  })

  it('says of a step of which nobody knows what came of it that it was not put back', async () => {
    const world = new World('a')
    world.stepper.before = () => new Promise(() => {})
    const id = await world.begin(everywhere('a'), BACK)
    await world.clock.advance(31_000)
    const record = await world.end(id)
    expect(record.state).toBe('FAILED')
    expect(undosOfOperation(record)).toMatchObject([
      { outcome: 'FAILED', error: { code: 'INTERRUPTED', mayHaveBeenApplied: true } },
    ])
  })

  it('goes on putting back when it is cancelled', async () => {
    const world = new World('a', 'b')
    world.fail('b/x')
    const { opened, open } = gate()
    world.stepper.before = ({ action }) => (action.type === 'RESTORE' ? opened : undefined)
    const id = await world.begin(everywhere('a', 'b'), BACK)
    await settled()
    await world.store.requestCancel(id)
    await settled()
    open()
    const record = await world.end(id)
    expect(record.state).toBe('ROLLED_BACK')
    expect(story(record)).toContain('CANCEL_REQUESTED')
  })
})

describe('operations: replicas', () => {
  it('begins an operation once, however often it is asked for', async () => {
    const world = new World('a')
    const head = world.head(everywhere('a'))
    const other = world.replica()
    const begun = await Promise.all([
      world.operations.begin(head, world.fleet),
      other.begin(head, world.fleet),
      world.operations.begin(head, world.fleet),
    ])
    expect(begun.filter(Boolean)).toHaveLength(1)
    await world.end(head.id)
    expect(world.stepper.effects).toHaveLength(1)
  })

  it('goes on with what a replica that stops leaves, as its owner, and tells so', async () => {
    const world = new World('a', 'b', 'c')
    const id = await world.begin(everywhere('a', 'b', 'c'), { ...WAVES, pauseMs: 10_000 })
    await world.clock.advance(5_000)
    const bob = new AuthorizedFleet(world.fakeFleet, viewerOf({ name: 'again', groups: [] }), everything)
    const fleetFor = vi.fn<(owner: OperationOwner) => AuthorizedFleet>(() => bob)
    world.replica({ fleetFor })
    await world.operations.close()
    const record = await world.end(id)
    expect(record.state).toBe('SUCCEEDED')
    expect(world.stepper.effects).toHaveLength(3)
    expect(fleetFor).toHaveBeenCalledExactlyOnceWith(owner)
    expect(world.stepper.contexts.map(({ viewer }) => viewer.user.name)).toEqual(['alice', 'again', 'again'])
    expect(story(record).filter((type) => type === 'TAKEN_OVER')).toHaveLength(1)
    // The pause is not begun anew.
    expect(record.waves[1]!.startedAt! - record.waves[0]!.finishedAt!).toBe(10_000)
  })

  it('applies no Secret whose values only the replica knew that stopped, and says so', async () => {
    const world = new World('a', 'b')
    const secret = apply('b', 'key', {
      object: { cluster: 'b', apiVersion: 'v1', kind: 'Secret', namespace: 'shop', name: 'key' },
    })
    const id = await world.begin(changeOf([apply('a', 'x'), secret]), { ...WAVES, pauseMs: 10_000 })
    await world.clock.advance(5_000)
    world.replica()
    await world.operations.close()
    const record = await world.end(id)
    expect(record.state).toBe('FAILED')
    expect(resultsOfOperation(record)[1]).toMatchObject({
      outcome: 'FAILED',
      error: { code: 'INTERRUPTED', mayHaveBeenApplied: false },
    })
    expect(world.stepper.effects).toEqual(['APPLY a/ConfigMap/shop/x'])
  })

  it('gives up an operation that ends every replica that goes on with it', async () => {
    const world = new World('a')
    world.stepper.before = () => new Promise(() => {})
    const id = await world.begin(everywhere('a'), WAVES)
    await settled()
    const lease = { ...(await world.read(id)) }
    const events = Array.from({ length: 100 }, () => ({ at: 0, type: 'TAKEN_OVER' as const, message: '' }))
    const closed = world.operations.close()
    await world.clock.advance(5_000)
    await closed
    const taken = (await world.store.takeOver(id))!
    await taken.progress({ state: 'RUNNING', waves: lease.waves, events, finishedAt: null })
    await taken.release()
    world.replica()
    const record = await world.end(id)
    expect(record.state).toBe('FAILED')
    expect(record.events.at(-1)?.message).toContain('100 replicas have stopped')
  })

  it('says why nobody can go on as its owner', async () => {
    const world = new World('a', 'b')
    const id = await world.begin(everywhere('a', 'b'), { ...WAVES, pauseMs: 10_000 })
    await world.clock.advance(1_000)
    world.replica({
      fleetFor: () => {
        throw new Error('secret detail')
      },
    })
    await world.operations.close()
    const record = await world.end(id)
    expect(record.state).toBe('FAILED')
    expect(record.events.at(-1)?.message).toMatch(/^Nobody can go on with it as alice/)
    expect(JSON.stringify(record.events)).not.toContain('secret detail')
  })

  it('does not say of a step that was begun that it was not, where nobody can go on', async () => {
    const world = new World('a')
    world.stepper.before = () => new Promise(() => {})
    const id = await world.begin(changeOf([apply('a', 'x'), apply('a', 'y', { stage: 1 })]), WAVES)
    await settled()
    const closed = world.operations.close()
    await world.clock.advance(5_000)
    await closed
    world.replica({
      fleetFor: () => {
        throw new Error('gone')
      },
    })
    const record = await world.end(id)
    expect(resultsOfOperation(record)).toMatchObject([
      { outcome: 'FAILED', error: { code: 'INTERRUPTED', mayHaveBeenApplied: true } },
      { outcome: 'SKIPPED', error: { code: 'NOT_ATTEMPTED', mayHaveBeenApplied: false } },
    ])
  })

  it('gives steps under way some seconds when it stops, and leaves what is not done by then to others', async () => {
    const world = new World('a', 'b')
    const { opened, open } = gate()
    world.stepper.before = ({ object }) => (object.cluster === 'a' ? opened : new Promise(() => {}))
    const change = changeOf([apply('a', 'x'), apply('a', 'y', { stage: 1 }), apply('b', 'x')])
    const id = await world.begin(change)
    await settled()
    const closed = world.operations.close()
    open()
    await world.clock.advance(5_000)
    await closed
    const record = await world.read(id)
    expect(record.state).toBe('RUNNING')
    expect([...record.steps].map(([name, { state }]) => [name, state])).toEqual([
      ['0', 'DONE'],
      ['2', 'BEGUN'],
    ])
    expect(await world.store.orphans()).toEqual([id])
    await expect(world.operations.begin(world.head(change), world.fleet)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
  })

  it('stops at once, and writes nothing more, when its lease is lost', async () => {
    const world = new World('a', 'b')
    let lose = () => {}
    const create = world.store.create.bind(world.store)
    const writes: string[] = []
    world.store.create = async (head) => {
      const lease = (await create(head))!
      const lost = new AbortController()
      lose = () => lost.abort()
      return {
        ...lease,
        signal: lost.signal,
        step: (name, record) => (writes.push(name), lease.step(name, record)),
        progress: (progress) => (writes.push(progress.state), lease.progress(progress)),
      }
    }
    world.stepper.before = () => new Promise(() => {})
    const head = world.head(everywhere('a', 'b'), WAVES)
    const drive = await world.operations.begin(head, world.fleet)
    await settled()
    const before = [...writes]
    lose()
    await drive!.ended
    expect(writes).toEqual(before)
    expect(world.stepper.contexts.every(({ signal }) => signal.aborted)).toBe(true)
    expect(world.onError).not.toHaveBeenCalled()
  })

  it('drives 64 with a strategy at a time, lets others wait, and those without one pass', async () => {
    const world = new World('a')
    const { opened, open } = gate()
    world.stepper.before = () => opened
    const others = (i: number): OperationOwner => ({ ...owner, user: { name: `u${i % 8}`, groups: [] } })
    const begin = async (i: number, strategy: Strategy | null) => {
      const head = { ...world.head(changeOf([apply('a', `x${i}`)]), strategy), owner: others(i) }
      await world.operations.begin(head, world.fleet)
      return head.id
    }
    const ids = await Promise.all(Array.from({ length: 70 }, (_, i) => begin(i, WAVES)))
    await settled()
    const states = async () => (await Promise.all(ids.map((id) => world.read(id)))).map(({ state }) => state)
    expect((await states()).filter((state) => state === 'RUNNING')).toHaveLength(64)
    const short = await begin(100, null)
    await settled()
    expect((await world.read(short)).state).toBe('RUNNING')
    // Whoever waits can be stopped.
    await world.store.requestCancel(ids[69]!)
    await settled()
    expect((await world.read(ids[69]!)).state).toBe('CANCELLED')
    open()
    await settled()
    expect(new Set((await states()).slice(0, 69))).toEqual(new Set(['SUCCEEDED']))
  })

  it('refuses somebody who has 32 open ones with a strategy, and nobody else', async () => {
    const world = new World('a', 'b')
    const long = { ...WAVES, pauseMs: 60_000 }
    const heads = Array.from({ length: 32 }, () => world.head(everywhere('a', 'b'), long))
    for (const head of heads) await world.operations.begin(head, world.fleet)
    const one = () => world.head(everywhere('a', 'b'), long)
    await expect(world.operations.begin(one(), world.fleet)).rejects.toMatchObject({
      code: 'TOO_MANY_OPERATIONS',
    })
    // One that is there already is found all the same.
    expect(await world.operations.begin(heads[0]!, world.fleet)).toBeUndefined()
    const bob = { ...one(), owner: { ...owner, user: { name: 'bob', groups: [] } } }
    expect(await world.operations.begin(bob, world.fleet)).toBeDefined()
    await world.store.requestCancel(heads[0]!.id)
    await settled()
    expect(await world.operations.begin(one(), world.fleet)).toBeDefined()
  })

  it('ends an operation that the gateway itself failed at, and logs why', async () => {
    const world = new World('a')
    const bug = new Error('a bug')
    const broken = world.replica({ runner: () => Promise.reject(bug) })
    const head = world.head(everywhere('a'))
    await (await broken.begin(head, world.fleet))!.ended
    expect((await world.read(head.id)).state).toBe('FAILED')
    expect(world.onError).toHaveBeenCalledWith(bug)
  })

  it('leaves no timer behind', async () => {
    const world = new World('a')
    await world.end(await world.begin(everywhere('a'), WAVES))
    await world.operations.close()
    await world.store.close()
    expect(world.clock.pending).toBe(0)
  })
})
