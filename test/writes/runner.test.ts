import { describe, expect, it, vi } from 'vitest'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { everything } from '../../src/access/policy.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import type { Action, Step, StepResult } from '../../src/writes/change.ts'
import type { StepRecord } from '../../src/writes/operation.ts'
import { changeError, failed } from '../../src/writes/results.ts'
import { createRunner, limitOf, type Journal, type Run } from '../../src/writes/runner.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet, UP } from '../support/fake-fleet.ts'
import { apply, changeOf, FakeStepper, keyOf } from '../support/fake-stepper.ts'

const NEVER = new AbortController().signal
const alice = viewerOf({ name: 'alice', groups: [] })

class MemoryJournal implements Journal {
  readonly records = new Map<number, StepRecord>()
  readonly lines: string[] = []
  onWrite: (line: string) => Promise<void> | void = () => {}

  record({ index }: Step): StepRecord | undefined {
    return this.records.get(index)
  }

  async begun(step: Step, prepared: never, startedAt: number): Promise<void> {
    await this.onWrite(`begun ${step.index}`)
    this.lines.push(`begun ${step.index}`)
    this.records.set(step.index, { state: 'BEGUN', prepared, startedAt })
  }

  async done(step: Step, result: StepResult): Promise<void> {
    await this.onWrite(`done ${step.index}`)
    this.lines.push(`done ${step.index}`)
    this.records.set(step.index, { state: 'DONE', result })
  }
}

function world(...names: string[]) {
  const clock = new FakeClock()
  const stepper = new FakeStepper()
  const clusters = new Map(names.map((name) => [name, new FakeCluster(name)]))
  const fleet = new AuthorizedFleet(new FakeFleet(...clusters.values()), alice, everything)
  const onError = vi.fn<(error: unknown, step: Step) => void>()
  const runner = createRunner({ stepper, clock, onError })
  const run = (steps: readonly Omit<Step, 'index'>[], about: Partial<Run> = {}) =>
    runner({
      fleet,
      verb: 'applyManifest',
      dryRun: false,
      judge: { needsObjects: false, judge: () => null },
      halt: NEVER,
      end: NEVER,
      ...about,
      steps: changeOf(steps).steps,
    })
  return { clock, stepper, clusters, fleet, onError, run }
}

function outcomes(results: ReadonlyMap<number, StepResult>): Record<number, string> {
  return Object.fromEntries([...results].toSorted(([a], [b]) => a - b).map(([i, r]) => [i, r.outcome]))
}

function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open: () => open() }
}

describe('runner: order', () => {
  it('works on all clusters at once, and on eight steps of a stage of one', async () => {
    const { run, stepper } = world('a', 'b')
    const { opened, open } = gate()
    stepper.before = () => opened
    const steps = ['a', 'b'].flatMap((name) => Array.from({ length: 20 }, (_, i) => apply(name, `x${i}`)))
    const running = run(steps)
    await settled()
    expect(Object.fromEntries(stepper.busy)).toEqual({ a: 8, b: 8 })
    open()
    expect((await running).size).toBe(40)
    expect(Object.fromEntries(stepper.most)).toEqual({ a: 8, b: 8 })
  })

  it('begins a stage when the one before it has ended, whatever the order of the steps', async () => {
    const { run, stepper } = world('a')
    await run([
      apply('a', 'last', { stage: 7 }),
      apply('a', 'first', { stage: -1 }),
      apply('a', 'middle', { stage: 2 }),
    ])
    expect(stepper.effects.map((effect) => effect.split('/').pop())).toEqual(['first', 'middle', 'last'])
  })

  it('lets more steps wait at a time than it lets work: what does not go yet holds up nothing', async () => {
    const { run, stepper } = world('a')
    const { opened, open } = gate()
    stepper.before = () => opened
    const evict: Action = { type: 'EVICT', patienceMs: 60_000, untilGone: true }
    const pods = Array.from({ length: 300 }, (_, i) => apply('a', `x${i}`, { action: evict }))
    const running = run([...pods, apply('a', 'y')])
    await settled()
    expect(stepper.busy.get('a')).toBe(128 + 1)
    open()
    expect((await running).size).toBe(301)
  })

  it('adds to the result of what was changed what is to be known of it', async () => {
    const { run, stepper } = world('a')
    const note = 'An autoscaler looks after it.'
    stepper.objects.set('a/ConfigMap/shop/x', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'x' },
    })
    const results = await run([apply('a', 'x', { note }), apply('a', 'y', { note })])
    expect([...results.values()].map((result) => [result.outcome, result.note])).toEqual([
      ['UPDATED', note],
      ['CREATED', null],
    ])
  })

  it('skips later stages of the same group alone', async () => {
    const { run, stepper } = world('a')
    stepper.before = ({ object }) =>
      keyOf(object) === 'a/ConfigMap/shop/x'
        ? failed('FORBIDDEN', changeError('FORBIDDEN', 'You may not.'))
        : undefined
    const results = await run([
      apply('a', 'x', { group: 'one' }),
      apply('a', 'y', { group: 'one', stage: 1 }),
      apply('a', 'x2', { group: 'two' }),
      apply('a', 'y2', { group: 'two', stage: 1 }),
    ])
    expect(outcomes(results)).toEqual({ 0: 'FORBIDDEN', 1: 'SKIPPED', 2: 'CREATED', 3: 'CREATED' })
    expect([...stepper.most]).toEqual([['a', 2]])
  })

  it('skips later stages of a cluster where a step failed, and says which', async () => {
    const { run, stepper } = world('a', 'b')
    stepper.before = ({ object }) =>
      keyOf(object) === 'a/ConfigMap/shop/x'
        ? failed('FORBIDDEN', changeError('FORBIDDEN', 'You may not.'))
        : undefined
    const results = await run([
      apply('a', 'x'),
      apply('a', 'y'),
      apply('a', 'z', { stage: 1 }),
      apply('b', 'x'),
      apply('b', 'z', { stage: 1 }),
    ])
    expect(outcomes(results)).toEqual({
      0: 'FORBIDDEN',
      1: 'CREATED',
      2: 'SKIPPED',
      3: 'CREATED',
      4: 'CREATED',
    })
    expect(results.get(2)?.error).toMatchObject({
      code: 'NOT_ATTEMPTED',
      message: expect.stringContaining('ConfigMap shop/x in the cluster a') as string,
    })
    expect(stepper.calls).not.toContain('prepare a/ConfigMap/shop/z')
  })

  it('says UNREACHABLE of all steps of a cluster that is down or unknown, and sends nothing there', async () => {
    const { run, stepper, clusters } = world('a', 'down')
    clusters.get('down')!.health = { ...UP, state: 'DOWN' }
    const { opened, open } = gate()
    stepper.before = () => opened
    const journal = new MemoryJournal()
    const running = run(
      [
        apply('down', 'x'),
        apply('down', 'y', { stage: 1 }),
        apply('none', 'x'),
        apply('none', 'y', { stage: 1 }),
        apply('a', 'x'),
      ],
      { journal },
    )
    await settled()
    // While the other cluster is still at it.
    expect(journal.lines.filter((line) => line.startsWith('done'))).toHaveLength(4)
    open()
    const results = await running
    expect(outcomes(results)).toEqual({
      0: 'UNREACHABLE',
      1: 'UNREACHABLE',
      2: 'UNREACHABLE',
      3: 'UNREACHABLE',
      4: 'CREATED',
    })
    expect(results.get(2)?.error?.message).toContain('no cluster "none"')
    expect(results.get(0)?.error?.mayHaveBeenApplied).toBe(false)
    expect(stepper.calls).toEqual(['prepare a/ConfigMap/shop/x', 'execute a/ConfigMap/shop/x'])
  })
})

describe('runner: results', () => {
  it('keeps managedFields and the values of Secrets to itself', async () => {
    const { run, stepper } = world('a')
    const secret = { cluster: 'a', apiVersion: 'v1', kind: 'Secret', namespace: 'shop', name: 'key' }
    stepper.objects.set(keyOf(secret), {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'key', managedFields: [{}] },
      data: { a: 'b2xk' },
    })
    const results = await run([apply('a', 'key', { object: secret })])
    expect(JSON.stringify(results.get(0))).not.toMatch(/b2xk|"new"|managedFields/)
    expect(results.get(0)?.after?.['data']).toEqual({ value: '<redacted>' })
    expect(stepper.objects.get(keyOf(secret))?.['data']).toEqual({ value: 'new' })
  })

  it('tells when a step began and ended', async () => {
    const { run, stepper, clock } = world('a')
    const began = clock.now()
    stepper.before = () => clock.advance(1500)
    expect((await run([apply('a', 'x')])).get(0)).toMatchObject({
      startedAt: began,
      finishedAt: began + 1500,
      dryRun: false,
    })
  })

  it('tells steps which namespaces of their cluster are to come, in a dry run', async () => {
    const { run, stepper } = world('a', 'b')
    const namespace = { cluster: 'a', apiVersion: 'v1', kind: 'Namespace', namespace: null, name: 'shop' }
    const seen: Record<string, string[]> = {}
    stepper.decide = ({ object }, { createdNamespaces }) => {
      seen[`${object.cluster}/${object.name}`] = [...createdNamespaces!]
    }
    const steps = [
      apply('a', 'shop', { object: namespace }),
      apply('a', 'x', { stage: 1 }),
      apply('b', 'x', { stage: 1 }),
    ]
    await run(steps, { dryRun: true })
    expect(seen).toEqual({ 'a/shop': [], 'a/x': ['shop'], 'b/x': [] })
    expect(stepper.effects).toEqual([])
  })

  it('makes a bug a result of its step alone, logs it, and keeps its words', async () => {
    const { run, stepper, onError } = world('a')
    stepper.before = ({ object }) => {
      if (object.name === 'x') throw new TypeError('10.0.0.1 is undefined')
    }
    const results = await run([apply('a', 'x'), apply('a', 'y')])
    expect(outcomes(results)).toEqual({ 0: 'FAILED', 1: 'CREATED' })
    expect(results.get(0)?.error).toMatchObject({ code: 'FAILED', mayHaveBeenApplied: true })
    expect(results.get(0)?.error?.message).not.toContain('10.0.0.1')
    expect(onError).toHaveBeenCalledOnce()
  })
})

describe('runner: time', () => {
  it('ends a step after 30 s: sent, it may have been applied', async () => {
    const { run, stepper, clock } = world('a', 'b')
    stepper.before = ({ object }) => (object.cluster === 'a' ? new Promise(() => {}) : undefined)
    stepper.decide = ({ object }) => (object.cluster === 'b' ? new Promise(() => {}) : undefined)
    const running = run([apply('a', 'x'), apply('b', 'x')])
    await clock.advance(29_999)
    expect(stepper.contexts.every(({ signal }) => !signal.aborted)).toBe(true)
    await clock.advance(1)
    const results = await running
    expect(results.get(0)?.error).toMatchObject({ code: 'TIMEOUT', mayHaveBeenApplied: true })
    expect(results.get(1)?.error).toMatchObject({ code: 'TIMEOUT', mayHaveBeenApplied: false })
    expect(stepper.contexts.every(({ signal }) => signal.aborted)).toBe(true)
    expect(clock.pending).toBe(0)
  })

  it('gives what waits its own time on top, and ten minutes at most', () => {
    const remove: Action = { type: 'DELETE', ifPresent: false, untilGone: false }
    const evict: Action = { type: 'EVICT', patienceMs: 60_000, untilGone: false }
    expect(limitOf(remove)).toBe(30_000)
    expect(limitOf({ ...remove, untilGone: true })).toBe(300_000)
    expect(limitOf({ ...remove, untilGone: true, gracePeriodSeconds: 400 })).toBe(430_000)
    expect(limitOf(evict)).toBe(90_000)
    expect(limitOf({ ...evict, untilGone: true })).toBe(360_000)
    expect(limitOf({ ...evict, patienceMs: 9e9 })).toBe(600_000)
  })
})

describe('runner: being stopped', () => {
  it('begins nothing more when it is halted, and carries on with what has begun', async () => {
    const { run, stepper } = world('a')
    const halt = new AbortController()
    const { opened, open } = gate()
    stepper.before = () => opened
    const running = run([apply('a', 'x'), apply('a', 'y', { stage: 1 })], { halt: halt.signal })
    await settled()
    halt.abort()
    open()
    expect(outcomes(await running)).toEqual({ 0: 'CREATED' })
  })

  it('sends nothing of a step that was still being decided when it was halted', async () => {
    const { run, stepper } = world('a')
    const halt = new AbortController()
    const { opened, open } = gate()
    stepper.decide = () => opened
    const running = run([apply('a', 'x')], { halt: halt.signal })
    await settled()
    halt.abort()
    open()
    expect((await running).size).toBe(0)
    expect(stepper.effects).toEqual([])
  })

  it.each([
    ['TIMEOUT', 'TIMEOUT'],
    ['SHUTTING_DOWN', 'INTERRUPTED'],
  ])('answers at once when it has to end (%s): what was sent may have been applied', async (reason, code) => {
    const { run, stepper } = world('a', 'b')
    const end = new AbortController()
    stepper.before = ({ object }) => (object.cluster === 'a' ? new Promise(() => {}) : undefined)
    stepper.decide = ({ object }) => (object.cluster === 'b' ? new Promise(() => {}) : undefined)
    const running = run([apply('a', 'x'), apply('a', 'y', { stage: 1 }), apply('b', 'x')], {
      halt: end.signal,
      end: end.signal,
    })
    await settled()
    end.abort(Object.assign(new Error(), { code: reason }))
    const results = await running
    expect(outcomes(results)).toEqual({ 0: 'FAILED' })
    expect(results.get(0)?.error).toMatchObject({ code, mayHaveBeenApplied: true })
  })
})

describe('runner: journal', () => {
  it('writes down that a step has begun before anything of it is sent', async () => {
    const { run, stepper } = world('a')
    const journal = new MemoryJournal()
    stepper.before = () => void journal.lines.push('sent')
    await run([apply('a', 'x')], { journal })
    expect(journal.lines).toEqual(['begun 0', 'sent', 'done 0'])
  })

  it('is told what a step decides anew before it sends that', async () => {
    const { run, stepper } = world('a')
    const journal = new MemoryJournal()
    const again = { action: apply('a', 'x').action, before: null, mark: 'again' }
    stepper.before = async (_step, { keep }) => {
      await keep!(again)
      expect(journal.records.get(0)).toMatchObject({ state: 'BEGUN', prepared: again })
      journal.lines.push('sent')
    }
    await run([apply('a', 'x')], { journal })
    expect(journal.lines).toEqual(['begun 0', 'begun 0', 'sent', 'done 0'])
    stepper.before = (_step, { keep }) => {
      expect(keep).toBeUndefined()
    }
    await run([apply('a', 'y')])
  })

  it('ends the run where that cannot be kept', async () => {
    const { run, stepper, onError } = world('a')
    const journal = new MemoryJournal()
    const away = new Error('Redis is away')
    stepper.before = async (_step, { keep }) => {
      journal.onWrite = () => Promise.reject(away)
      await keep!({ action: apply('a', 'x').action, before: null })
    }
    await expect(run([apply('a', 'x')], { journal })).rejects.toBe(away)
    expect(stepper.effects).toEqual([])
    expect(onError).not.toHaveBeenCalled()
  })

  it('sends nothing, in no cluster, when the journal is away', async () => {
    const { run, stepper } = world('a', 'b')
    const journal = new MemoryJournal()
    const away = new Error('away')
    journal.onWrite = (line) => {
      if (line === 'begun 0') throw away
    }
    const { opened, open } = gate()
    stepper.decide = ({ object }) => (object.cluster === 'b' ? opened : undefined)
    const running = run([apply('a', 'x'), apply('b', 'x')], { journal })
    running.catch(() => {})
    await settled()
    open()
    await expect(running).rejects.toBe(away)
    expect(stepper.effects).toEqual([])
    expect(stepper.contexts.every(({ signal }) => signal.aborted)).toBe(true)
  })

  it('sends nothing that is too large to be written down, and goes on with the rest', async () => {
    const { run, stepper } = world('a')
    const journal = new MemoryJournal()
    journal.onWrite = (line) => {
      if (line === 'begun 0') throw Object.assign(new Error('Too large.'), { code: 'TOO_LARGE' })
    }
    const results = await run([apply('a', 'x'), apply('a', 'y')], { journal })
    expect(outcomes(results)).toEqual({ 0: 'FAILED', 1: 'CREATED' })
    expect(results.get(0)?.error).toMatchObject({ code: 'FAILED', mayHaveBeenApplied: false })
    expect(stepper.effects).toEqual(['APPLY a/ConfigMap/shop/y'])
  })

  it('repeats nothing that is done, and settles what was begun', async () => {
    const { run, stepper } = world('a')
    const journal = new MemoryJournal()
    const steps = [apply('a', 'x'), apply('a', 'y'), apply('a', 'z')]
    await run(steps.slice(0, 1), { journal })
    journal.records.set(1, {
      state: 'BEGUN',
      prepared: { action: steps[1]!.action, before: null },
      startedAt: 7,
    })
    const results = await run(steps, { journal })
    expect(stepper.calls.slice(2).toSorted()).toEqual([
      'execute a/ConfigMap/shop/y',
      'execute a/ConfigMap/shop/z',
      'prepare a/ConfigMap/shop/z',
      'settle a/ConfigMap/shop/y',
    ])
    expect(results.get(1)).toMatchObject({ outcome: 'CREATED', startedAt: 7 })
    expect(results.size).toBe(3)
  })

  it('leaves a step as begun when it has to end, for another to settle', async () => {
    const { run, stepper } = world('a')
    const journal = new MemoryJournal()
    const end = new AbortController()
    stepper.before = () => new Promise(() => {})
    const running = run([apply('a', 'x')], { journal, halt: end.signal, end: end.signal })
    await settled()
    end.abort()
    expect((await running).size).toBe(0)
    expect(journal.lines).toEqual(['begun 0'])
  })

  it('carries out no Secret whose values it was not sent, and says whether another replica had begun', async () => {
    const { run, stepper } = world('a')
    const object = { cluster: 'a', apiVersion: 'v1', kind: 'Secret', namespace: 'shop', name: 'key' }
    const secret = apply('a', 'key', { object })
    const action = { ...secret.action, withheld: true } as Action
    const fresh = await run([{ ...secret, action }])
    expect(fresh.get(0)?.error).toMatchObject({ code: 'INTERRUPTED', mayHaveBeenApplied: false })
    const journal = new MemoryJournal()
    journal.records.set(0, { state: 'BEGUN', prepared: { action, before: null }, startedAt: 1 })
    const again = await run([{ ...secret, action }], { journal })
    expect(again.get(0)?.error).toMatchObject({ code: 'INTERRUPTED', mayHaveBeenApplied: true })
    expect(stepper.calls).toEqual([])
  })
})
