import { describe, expect, it } from 'vitest'
import type { DeploymentRow } from '../../src/kubernetes/rows.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { shopFleet } from '../support/shop.ts'
import { follow } from './follow.ts'

const ROLLOUT = `subscription ($name: String!, $kind: WorkloadKind!, $timeout: Int, $generation: Float) {
  rollout(
    cluster: "prod-eu", namespace: "shop", kind: $kind, name: $name, timeout: $timeout, generation: $generation
  ) {
    status reason message desired updated ready available cluster { name } workload { name kind }
  }
}`

async function setUp(
  variables: { name?: string; kind?: string; timeout?: number; generation?: number } = {},
) {
  const shop = shopFleet()
  const clock = new FakeClock()
  const rollout = await follow(shop.fleet, ROLLOUT, {
    clock,
    variables: { name: 'web', kind: 'Deployment', ...variables },
  })
  const web = () => shop.eu.table('Deployment').get('shop', 'web')!
  /** The Deployment as its controller would change it. */
  const step = (changes: Partial<DeploymentRow>) =>
    shop.eu.apply('Deployment', { type: 'Apply', row: { ...web(), ...changes } })
  return { ...shop, clock, rollout, step, web }
}

const complete = { status: 'COMPLETE', reason: null, message: null } as const

describe('a rollout', () => {
  it('tells each step until it is complete, and ends', async () => {
    const { clock, rollout, step } = await setUp()
    expect(await rollout.next()).toEqual({
      status: 'PROGRESSING',
      reason: 'ReplicaSetUpdated',
      message: '1 old replicas are pending termination',
      desired: 3,
      updated: 3,
      ready: 2,
      available: 2,
      cluster: { name: 'prod-eu' },
      workload: { name: 'web', kind: 'Deployment' },
    })
    step({ ready: 3, resourceVersion: '11' })
    expect(await rollout.next()).toMatchObject({ status: 'PROGRESSING', ready: 3 })
    // Nothing that a person would call progress.
    step({ labels: { app: 'web', more: 'labels' }, resourceVersion: '12' })
    step({ available: 3, rollout: complete, resourceVersion: '13' })
    expect(await rollout.next()).toMatchObject({ status: 'COMPLETE', message: null, available: 3 })
    expect(await rollout.next()).toBeUndefined()
    expect(clock.pending).toBe(0)
  })

  it('ends with one event where it is complete already', async () => {
    const { rollout } = await setUp({ name: 'db', kind: 'StatefulSet' })
    expect((await rollout.rest()).map(({ status }) => status)).toEqual(['COMPLETE'])
  })

  it('ends when it failed, with the reason', async () => {
    const { rollout, step } = await setUp()
    await rollout.next()
    const reason = 'ProgressDeadlineExceeded'
    step({ rollout: { status: 'FAILED', reason, message: 'timed out progressing' }, resourceVersion: '11' })
    expect(await rollout.rest()).toMatchObject([
      { status: 'FAILED', reason, message: 'timed out progressing' },
    ])
  })

  it('says that it was not complete in time, and why', async () => {
    const { clock, rollout } = await setUp({ timeout: 30 })
    await rollout.next()
    const last = rollout.rest()
    await clock.advance(30_000)
    expect(await last).toMatchObject([
      {
        status: 'TIMED_OUT',
        message: 'It was not complete after 30 seconds: 1 old replicas are pending termination.',
        updated: 3,
        workload: { name: 'web' },
      },
    ])
    expect(clock.pending).toBe(0)
  })

  it('says that the workload was deleted', async () => {
    const { eu, rollout, web } = await setUp()
    await rollout.next()
    eu.apply('Deployment', { type: 'Delete', row: web() })
    expect(await rollout.rest()).toMatchObject([{ status: 'DELETED', workload: { name: 'web' } }])
  })

  it('says that there is no such workload', async () => {
    const { rollout } = await setUp({ name: 'nothing' })
    expect(await rollout.rest()).toEqual([
      expect.objectContaining({
        status: 'NOT_FOUND',
        message: 'There is no Deployment nothing in the namespace shop of prod-eu that you may see.',
        desired: 0,
        workload: null,
      }),
    ])
  })

  it('waits for a cluster that is being read, and tells when one is not followed', async () => {
    const { fleet, staging, eu } = shopFleet()
    const rollout = await follow(fleet, ROLLOUT.replace('prod-eu', 'staging'), {
      clock: new FakeClock(),
      variables: { name: 'web', kind: 'Deployment' },
    })
    expect(await rollout.next()).toMatchObject({
      status: 'PROGRESSING',
      reason: 'ClusterDown',
      workload: null,
    })
    expect(await rollout.next()).toMatchObject({ status: 'PROGRESSING', reason: 'SYNCING', workload: null })
    const row = { ...eu.table('Deployment').get('shop', 'web')!, cluster: 'staging' }
    staging.apply(
      'Deployment',
      { type: 'Init' },
      { type: 'InitApply', row },
      { type: 'InitDone', resourceVersion: '50' },
    )
    expect(await rollout.next()).toMatchObject({ status: 'PROGRESSING', workload: { name: 'web' } })
    const problem = { code: 'UNREACHABLE' as const, message: 'It does not answer.' }
    staging.apply('Deployment', { type: 'Down', problem })
    expect(await rollout.next()).toMatchObject({ status: 'PROGRESSING', reason: 'ClusterDown', ready: 2 })
    await rollout.leave()
  })

  it('says that there is none once the cluster has been read', async () => {
    const { fleet, staging } = shopFleet()
    const rollout = await follow(fleet, ROLLOUT.replace('prod-eu', 'staging'), {
      clock: new FakeClock(),
      variables: { name: 'web', kind: 'Deployment' },
    })
    await rollout.next()
    await rollout.next()
    staging.load('Deployment', [])
    expect(await rollout.rest()).toMatchObject([{ status: 'NOT_FOUND' }])
  })

  describe('that is followed from a generation on', () => {
    const notSeen = { status: 'PROGRESSING', reason: 'GenerationNotSeen' }

    it('is not complete by the state before, and is when the new one is', async () => {
      const old = shopFleet().eu.table('Deployment').get('shop', 'web')!.generation
      const { clock, rollout, step } = await setUp({ generation: old + 1 })
      expect(await rollout.next()).toMatchObject({
        ...notSeen,
        message: `Generation ${old + 1} has not been seen yet: the last that is known is ${old}.`,
        ready: 2,
      })
      step({ ready: 3, available: 3, rollout: complete, resourceVersion: '11' })
      expect(await rollout.next()).toMatchObject({ ...notSeen, ready: 3 })
      const progressing = { status: 'PROGRESSING', reason: null, message: 'on its way' } as const
      step({ generation: old + 1, rollout: progressing, resourceVersion: '12' })
      expect(await rollout.next()).toMatchObject({ status: 'PROGRESSING', reason: null })
      step({ generation: old + 1, rollout: complete, resourceVersion: '13' })
      expect(await rollout.rest()).toMatchObject([{ status: 'COMPLETE' }])
      expect(clock.pending).toBe(0)
    })

    it('counts a state of that generation, and of a later one', async () => {
      const { generation } = shopFleet().eu.table('StatefulSet').get('shop', 'db')!
      for (const asked of [0, generation - 1, generation].filter((asked) => asked >= 0)) {
        const { rollout } = await setUp({ name: 'db', kind: 'StatefulSet', generation: asked })
        expect((await rollout.rest()).map(({ status }) => status)).toEqual(['COMPLETE'])
      }
    })

    it('is waited for where there is no such workload yet', async () => {
      const { eu, rollout, web } = await setUp({ name: 'fresh', generation: 1 })
      expect(await rollout.next()).toMatchObject({ ...notSeen, workload: null, desired: 0 })
      const row = { ...web(), name: 'fresh', uid: 'fresh', generation: 1, rollout: complete }
      eu.apply('Deployment', { type: 'Apply', row: { ...row, resourceVersion: '11' } })
      expect(await rollout.rest()).toMatchObject([{ status: 'COMPLETE', workload: { name: 'fresh' } }])
    })

    it('does not end with the workload that was there before, and does with its own', async () => {
      const { eu, rollout, web } = await setUp({ generation: 1_000 })
      await rollout.next()
      const before = web()
      eu.apply('Deployment', { type: 'Delete', row: { ...before, resourceVersion: '11' } })
      expect(await rollout.next()).toMatchObject({ ...notSeen, workload: null })
      const anew = { ...before, uid: 'anew', generation: 1_000, resourceVersion: '12' }
      eu.apply('Deployment', { type: 'Apply', row: anew })
      expect(await rollout.next()).toMatchObject({ status: 'PROGRESSING', workload: { name: 'web' } })
      eu.apply('Deployment', { type: 'Delete', row: { ...anew, resourceVersion: '13' } })
      expect(await rollout.rest()).toMatchObject([{ status: 'DELETED' }])
    })

    it('says in the end that it was not seen', async () => {
      const { clock, rollout, web } = await setUp({ generation: 1_000, timeout: 30 })
      await rollout.next()
      const last = rollout.rest()
      await clock.advance(30_000)
      expect(await last).toMatchObject([
        {
          status: 'TIMED_OUT',
          message: `It was not complete after 30 seconds: Generation 1000 has not been seen yet: the last that is known is ${web().generation}.`,
        },
      ])
    })
  })

  it('leaves no timer when its reader goes', async () => {
    const { clock, rollout } = await setUp()
    await rollout.next()
    const waiting = rollout.next()
    await settled()
    await rollout.leave()
    expect(await waiting).toBeUndefined()
    await settled()
    expect(clock.pending).toBe(0)
  })

  it.each([
    ['timeout', { timeout: 0 }],
    ['timeout', { timeout: 86_401 }],
    ['generation', { generation: -1 }],
    ['generation', { generation: 1.5 }],
    ['generation', { generation: 2 ** 53 }],
  ])('names the argument that is wrong: %s', async (argument, variables) => {
    await expect(setUp(variables)).rejects.toMatchObject({
      errors: [{ extensions: { code: 'BAD_USER_INPUT', argument } }],
    })
  })

  it('names a cluster that is not there', async () => {
    const { fleet } = shopFleet()
    const document =
      'subscription { rollout(cluster: "prod-uk", namespace: "shop", kind: Job, name: "x") { status } }'
    await expect(follow(fleet, document)).rejects.toThrow(/There is no cluster "prod-uk"/)
  })
})
