/** Steps that wait: for a disruption budget, and for an object to be gone. The clock is the test's. */
import { describe, expect, it, vi } from 'vitest'
import { ApiError, TransportError, type ApiRequest, type Status } from '../../../src/kubernetes/client.ts'
import type { Action, Step } from '../../../src/writes/change.ts'
import type { Done } from '../../../src/writes/stepping.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeCluster } from '../../support/fake-fleet.ts'
import { carryOut, contextFor, stepOf } from '../../support/steps.ts'

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-0', namespace: 'shop', uid: 'u1', resourceVersion: '5' },
}
const NOT_FOUND = new ApiError(404, {
  code: 404,
  reason: 'NotFound',
  details: { name: 'web-0', kind: 'pods' },
})
const NO_BUDGET: Status = {
  code: 429,
  reason: 'TooManyRequests',
  message: "Cannot evict pod as it would violate the pod's disruption budget.",
  details: {
    causes: [
      {
        reason: 'DisruptionBudget',
        message: 'The disruption budget web needs 2 healthy pods and has 2 currently',
      },
    ],
  },
}

function scene() {
  const clock = new FakeClock()
  const cluster = new FakeCluster('reached')
  const abort = new AbortController()
  const context = contextFor(cluster, 'ada', { clock, signal: abort.signal })
  const step = (action: Action): Step =>
    stepOf({ apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web-0' }, action)
  let end: Done | undefined
  const start = (action: Action, about = {}) => {
    const running = carryOut(step(action), { ...context, ...about }).then((done) => (end = done))
    running.catch(() => {})
    return running
  }
  const sent = (method: ApiRequest['method']) =>
    cluster.requests.filter((request) => (request.method ?? 'GET') === method).length
  return { clock, cluster, abort, start, sent, ended: () => end }
}

describe('an eviction', () => {
  const evict = (more: Partial<Extract<Action, { type: 'EVICT' }>> = {}): Action => ({
    type: 'EVICT',
    patienceMs: 60_000,
    untilGone: false,
    ...more,
  })

  it('asks again every five seconds while a budget does not allow it', async () => {
    const { clock, cluster, start, sent, ended } = scene()
    let allowed = false
    cluster.answer = ({ method }) => {
      if (method !== 'POST') return POD
      if (!allowed) throw new ApiError(429, NO_BUDGET)
      return { kind: 'Status', status: 'Success' }
    }
    const running = start(evict())
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    await clock.advance(4_999)
    expect(sent('POST')).toBe(1)
    await clock.advance(1)
    expect(sent('POST')).toBe(2)
    expect(ended()).toBeUndefined()
    allowed = true
    await clock.advance(5_000)
    expect(await running).toMatchObject({ outcome: 'DELETED', before: POD, after: null, error: null })
    expect(clock.pending).toBe(0)
  })

  it('comes again when the API server says so, and gives up when its patience ends', async () => {
    const { clock, cluster, start, sent } = scene()
    cluster.answer = ({ method }) => {
      if (method !== 'POST') return POD
      throw new ApiError(429, NO_BUDGET, 10_000)
    }
    const running = start(evict({ patienceMs: 25_000 }))
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    await clock.advance(9_999)
    expect(sent('POST')).toBe(1)
    await clock.advance(30_000)
    expect(await running).toMatchObject({
      outcome: 'FAILED',
      error: {
        code: 'DISRUPTION_BUDGET',
        message: expect.stringContaining(
          'The PodDisruptionBudget web does not allow Pod shop/web-0 to go now',
        ),
        retryAfterSeconds: 10,
        mayHaveBeenApplied: false,
      },
    })
    expect(sent('POST')).toBe(3)
    expect(clock.pending).toBe(0)
  })

  it('does not wait where it is only tried, or two budgets are in the way for good', async () => {
    const { clock, cluster, start, sent } = scene()
    let status = NO_BUDGET
    cluster.answer = ({ method }) => {
      if (method !== 'POST') return POD
      throw new ApiError(status.code ?? 0, status)
    }
    expect(await start(evict(), { dryRun: true })).toMatchObject({ error: { code: 'DISRUPTION_BUDGET' } })
    status = {
      code: 500,
      message:
        'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    }
    expect(await start(evict())).toMatchObject({
      outcome: 'FAILED',
      error: { code: 'DISRUPTION_BUDGET', mayHaveBeenApplied: false },
    })
    expect(sent('POST')).toBe(2)
    expect(clock.pending).toBe(0)
  })

  it('stops waiting with its signal', async () => {
    const { clock, cluster, start, abort } = scene()
    cluster.answer = ({ method }) => {
      if (method !== 'POST') return POD
      throw new ApiError(429, NO_BUDGET)
    }
    const running = start(evict())
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    const reason = new Error('enough')
    abort.abort(reason)
    await expect(running).rejects.toBe(reason)
    expect(clock.pending).toBe(0)
  })

  it('is content with a pod that went by itself', async () => {
    const { cluster, start } = scene()
    cluster.answer = ({ method }) => {
      if (method !== 'POST') return POD
      throw NOT_FOUND
    }
    expect(await start(evict())).toMatchObject({ outcome: 'UNCHANGED', error: null })
  })
})

describe('a deletion that waits for the end', () => {
  const DELETE: Action = { type: 'DELETE', ifPresent: false, untilGone: true }
  const going = { ...POD, metadata: { ...POD.metadata, deletionTimestamp: '2026-01-02T03:04:05Z' } }

  it.each([
    ['it is gone', NOT_FOUND],
    ['another of its name is there', { ...POD, metadata: { ...POD.metadata, uid: 'u2' } }],
  ])('ends when %s', async (_what, last) => {
    const { clock, cluster, start, ended } = scene()
    let now: unknown = POD
    cluster.answer = ({ method }) => {
      if (method === 'DELETE') return (now = going)
      if (now instanceof Error) throw now
      return now
    }
    const running = start(DELETE)
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    await clock.advance(120_000)
    expect(ended()).toBeUndefined()
    now = last
    await clock.advance(5_000)
    expect(await running).toMatchObject({
      outcome: 'DELETED',
      after: null,
      resourceVersion: null,
      note: null,
    })
    expect(clock.pending).toBe(0)
  })

  it('asks less and less often', async () => {
    const { clock, cluster, start, sent, abort } = scene()
    cluster.answer = ({ method }) => (method === 'DELETE' ? going : POD)
    const running = start(DELETE)
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    await clock.advance(60_000)
    expect(sent('GET')).toBeLessThan(20)
    abort.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
    expect(clock.pending).toBe(0)
  })

  it('puts up with a cluster that is away for a moment, and says that it was begun where it stays away', async () => {
    const { clock, cluster, start } = scene()
    let away = Infinity
    let deleted = false
    cluster.answer = ({ method }) => {
      if (method === 'DELETE') {
        deleted = true
        return going
      }
      if (!deleted) return POD
      if (away-- > 0) throw new TransportError('UNREACHABLE', 'away')
      throw NOT_FOUND
    }
    const failing = start(DELETE)
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    await clock.advance(60_000)
    expect(await failing).toMatchObject({
      outcome: 'UNREACHABLE',
      error: { code: 'UNREACHABLE', mayHaveBeenApplied: true },
    })
    ;[away, deleted] = [3, false]
    const patient = start(DELETE)
    await vi.waitFor(() => expect(clock.pending).toBe(1))
    await clock.advance(60_000)
    expect(await patient).toMatchObject({ outcome: 'DELETED', error: null })
  })

  it('says that it does not know where the object may not be looked at', async () => {
    const { cluster, start } = scene()
    cluster.answer = ({ method }) => {
      if (method === 'DELETE') return { kind: 'Status', status: 'Success' }
      throw new ApiError(403, { code: 403, reason: 'Forbidden', message: 'no' })
    }
    expect(await start(DELETE)).toMatchObject({
      outcome: 'DELETED',
      before: null,
      note: expect.stringContaining('not known'),
    })
  })
})
