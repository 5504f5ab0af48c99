/** What every store of operations does: the one in memory, in Redis, in a Redis Cluster. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { identityOf } from '../../src/access/viewer.ts'
import type { Step, StepResult } from '../../src/writes/change.ts'
import {
  LeaseLost,
  type OperationHead,
  type OperationLease,
  type OperationProgress,
  type OperationStore,
  type StepRecord,
} from '../../src/writes/operation.ts'
import type { KubernetesJson } from '../../src/kubernetes/json.ts'

/** In every manifest of a Secret below: it must be nowhere. */
export const SECRET = 'hunter2-hunter2-hunter2'

export const ALICE = {
  user: { name: 'alice', groups: ['dev', 'system:authenticated'], uid: 'u1', extra: { scope: ['a'] } },
  method: 'OIDC',
  issuer: 'https://id.example.com',
  clusters: null,
} as const
export const BOB = { ...ALICE, user: { name: 'bob', groups: ['system:authenticated'] } } as const

export function stepOf(index: number, manifest: KubernetesJson): Step {
  const { apiVersion = '', kind = '' } = manifest
  return {
    index,
    object: { cluster: 'prod', apiVersion, kind, namespace: 'shop', name: 'web' },
    action: { type: 'APPLY', manifest, force: false },
    stage: 0,
    purpose: 'apply',
  }
}

export function secretOf(value = SECRET): KubernetesJson {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: 'web',
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': `{"data":"${value}"}` },
    },
    stringData: { password: value },
    data: { other: Buffer.from(value).toString('base64') },
  }
}

export const CONFIG_MAP: KubernetesJson = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'web' },
  data: { colour: 'blue', 'odd{}key': 'ä\u2028"\ud800' },
}

let created = 1_800_000_000_000
export function headOf(id: string, about: Partial<OperationHead> = {}): OperationHead {
  return {
    id,
    owner: ALICE,
    change: {
      verb: 'applyManifest',
      digest: 'd1',
      steps: [stepOf(0, CONFIG_MAP)],
      known: [],
      title: 'apply ConfigMap shop/web in 1 cluster',
    },
    strategy: null,
    dryRun: false,
    confirmed: false,
    createdAt: (created += 10),
    ...about,
  }
}

export function resultOf(about: Partial<StepResult> = {}): StepResult {
  return {
    index: 0,
    object: stepOf(0, CONFIG_MAP).object,
    purpose: 'apply',
    outcome: 'UPDATED',
    dryRun: false,
    before: null,
    after: CONFIG_MAP,
    error: null,
    resourceVersion: '7',
    note: null,
    startedAt: 1,
    finishedAt: 2,
    ...about,
  }
}

export const BEGUN: StepRecord = {
  state: 'BEGUN',
  prepared: { action: stepOf(0, CONFIG_MAP).action, before: null, patch: [{ op: 'remove', path: '/a' }] },
  startedAt: 3,
}
export const DONE: StepRecord = { state: 'DONE', result: resultOf() }

export function progressOf(about: Partial<OperationProgress> = {}): OperationProgress {
  return {
    state: 'RUNNING',
    waves: [{ clusters: ['prod'], state: 'RUNNING', startedAt: 4, finishedAt: null }],
    events: [{ at: 4, type: 'STARTED', message: 'It began.' }],
    finishedAt: null,
    ...about,
  }
}

export async function must(lease: Promise<OperationLease | undefined>): Promise<OperationLease> {
  const given = await lease
  expect(given).toBeDefined()
  return given!
}

export interface StoreUnderTest {
  /** Of two replicas; the same one twice, where a store is of one replica. */
  readonly store: OperationStore
  readonly other: OperationStore
  close(): Promise<void>
}

export function describeOperationStore(name: string, start: () => Promise<StoreUnderTest>): void {
  describe(`operations ${name}`, () => {
    let opened: StoreUnderTest | undefined
    afterEach(async () => {
      await opened?.close()
      opened = undefined
    })
    const open = async () => (opened = await start())

    it('are read as they were written, by any replica, and are not there before', async () => {
      const { store, other } = await open()
      expect(await other.read('a')).toBeUndefined()
      const head = headOf('a', {
        strategy: { pauseMs: 5, onFailure: 'STOP', maxFailures: 1, readyTimeoutMs: 0 },
      })
      const lease = await must(store.create(head))
      const first = await other.read('a')
      expect(first).toEqual({
        ...head,
        state: 'PENDING',
        waves: [],
        events: [],
        finishedAt: null,
        steps: new Map(),
        cancelRequested: false,
        revision: expect.any(Number),
      })
      await lease.step('0', BEGUN)
      await lease.step('undo:3', DONE)
      await lease.progress(progressOf())
      const second = await other.read('a')
      expect(second).toEqual({
        ...first,
        ...progressOf(),
        steps: new Map([
          ['0', BEGUN],
          ['undo:3', DONE],
        ]),
        revision: expect.any(Number),
      })
      expect(second!.revision).toBeGreaterThan(first!.revision)
    })

    it('keep objects of any length and with any text in them', async () => {
      const { store, other } = await open()
      const lease = await must(store.create(headOf('a')))
      const text = Array.from({ length: 30_000 }, (_, i) => `ä€𝄞${i}`).join('')
      const record: StepRecord = {
        state: 'DONE',
        result: resultOf({ after: { ...CONFIG_MAP, data: { text } } }),
      }
      await lease.step('0', record)
      expect((await other.read('a'))?.steps.get('0')).toEqual(record)
    })

    it('have ids of any text, and each its own', async () => {
      const { store, other } = await open()
      const ids = ['plan:1', '{', '}', '{a}', 'a}b', 'open', 'all', 'ä/€ %7B', 'x'.repeat(300)]
      for (const id of ids) await must(store.create(headOf(id)))
      for (const id of ids) expect((await other.read(id))?.id).toBe(id)
    })

    it('are created once by a hundred who try at the same time', async () => {
      const { store, other } = await open()
      const head = headOf('once')
      const leases = await Promise.all(
        Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? store : other).create(head)),
      )
      const given = leases.filter((lease) => lease !== undefined)
      expect(given).toHaveLength(1)
      await given[0]!.step('0', BEGUN)
      expect((await other.read('once'))?.steps.size).toBe(1)
      expect(await store.list(undefined, 10)).toHaveLength(1)
    })

    it('are not written anew by who creates them again', async () => {
      const { store, other } = await open()
      const lease = await must(store.create(headOf('a', { confirmed: true })))
      await lease.progress(progressOf({ state: 'SUCCEEDED', finishedAt: Date.now() }))
      await lease.release()
      const before = await store.read('a')
      expect(await other.create(headOf('a', { owner: BOB }))).toBeUndefined()
      expect(await store.read('a')).toEqual(before)
    })

    it('are driven by one at a time, and gone on with by another after that', async () => {
      const { store, other } = await open()
      const lease = await must(store.create(headOf('a')))
      expect(await other.takeOver('a')).toBeUndefined()
      expect(await other.orphans()).toEqual([])
      await lease.step('0', BEGUN)
      await lease.release()
      await lease.release()
      await expect(lease.step('0', DONE)).rejects.toBeInstanceOf(LeaseLost)
      await expect(lease.progress(progressOf())).rejects.toBeInstanceOf(LeaseLost)
      expect(await other.orphans()).toEqual(['a'])
      const takers = await Promise.all(Array.from({ length: 20 }, () => other.takeOver('a')))
      const next = takers.filter((taker) => taker !== undefined)
      expect(next).toHaveLength(1)
      expect(await store.orphans()).toEqual([])
      // Who had it before gives nothing back that is another's.
      await lease.release()
      await next[0]!.step('0', DONE)
      expect((await store.read('a'))?.steps.get('0')).toEqual(DONE)
      await expect(lease.step('0', BEGUN)).rejects.toBeInstanceOf(LeaseLost)
      expect((await store.read('a'))?.steps.get('0')).toEqual(DONE)
    })

    it('are nobody’s any more when they have ended, or are none', async () => {
      const { store, other } = await open()
      for (const state of ['SUCCEEDED', 'FAILED', 'CANCELLED', 'ROLLED_BACK'] as const) {
        const lease = await must(store.create(headOf(state)))
        await lease.progress(progressOf({ state, finishedAt: Date.now() }))
        await lease.release()
        expect(await other.takeOver(state)).toBeUndefined()
      }
      expect(await other.orphans()).toEqual([])
      expect(await other.takeOver('none')).toBeUndefined()
    })

    it('are listed newest first, in pages, of one owner or of all', async () => {
      const { store, other } = await open()
      for (let i = 0; i < 7; i++) await must(store.create(headOf(`a${i}`)))
      for (let i = 0; i < 3; i++) await must(other.create(headOf(`b${i}`, { owner: BOB })))
      const ids = async (owner: string | undefined, first: number, after?: string) =>
        (await store.list(owner, first, after)).map(({ id }) => id)
      expect(await ids(identityOf(ALICE), 3)).toEqual(['a6', 'a5', 'a4'])
      expect(await ids(identityOf(ALICE), 3, 'a4')).toEqual(['a3', 'a2', 'a1'])
      expect(await ids(identityOf(ALICE), 3, 'a1')).toEqual(['a0'])
      expect(await ids(identityOf(ALICE), 3, 'a0')).toEqual([])
      expect(await ids(identityOf(BOB), 10)).toEqual(['b2', 'b1', 'b0'])
      expect(await ids(undefined, 5)).toEqual(['b2', 'b1', 'b0', 'a6', 'a5'])
      expect(await ids(undefined, 10, 'none')).toEqual([])
      expect(await ids(identityOf({ ...ALICE, issuer: 'https://other.example.com' }), 10)).toEqual([])
    })

    it('tell whoever drives them that they are to be cancelled, and whoever reads them', async () => {
      const { store, other } = await open()
      const lease = await must(store.create(headOf('a')))
      expect(lease.cancelled.aborted).toBe(false)
      const before = (await store.read('a'))!
      await other.requestCancel('a')
      await vi.waitFor(() => expect(lease.cancelled.aborted).toBe(true))
      expect(lease.signal.aborted).toBe(false)
      const after = (await store.read('a'))!
      expect(after).toMatchObject({ cancelRequested: true, state: 'PENDING' })
      expect(after.revision).toBeGreaterThan(before.revision)
      await lease.release()
      expect((await must(other.takeOver('a'))).cancelled.aborted).toBe(true)
    })

    it('cannot be cancelled after their end, nor where there are none', async () => {
      const { store, other } = await open()
      const lease = await must(store.create(headOf('a')))
      await lease.progress(progressOf({ state: 'SUCCEEDED', finishedAt: Date.now() }))
      const before = await store.read('a')
      await other.requestCancel('a')
      await other.requestCancel('none')
      expect(await store.read('a')).toEqual(before)
      expect(await store.read('none')).toBeUndefined()
    })

    it('tell of each change to all who listen, on any replica, until they stop', async () => {
      const { store, other } = await open()
      const lease = await must(store.create(headOf('a')))
      const reads: (number | undefined)[] = []
      const read = () => void other.read('a').then((record) => reads.push(record?.revision))
      const [first, second, elsewhere] = [vi.fn(read), vi.fn(), vi.fn()]
      const stop = other.onChange('a', first)
      const stopSecond = other.onChange('a', second)
      other.onChange('b', elsewhere)
      await lease.step('0', BEGUN)
      await lease.step('0', DONE)
      const revision = (await store.read('a'))!.revision
      await vi.waitFor(() => expect(reads).toContain(revision))
      expect(second).toHaveBeenCalled()
      stop()
      stop()
      first.mockClear()
      second.mockClear()
      await lease.progress(progressOf())
      await vi.waitFor(() => expect(second).toHaveBeenCalled())
      expect(first).not.toHaveBeenCalled()
      stopSecond()
    })

    it('hold no value of a Secret, and say that it was withheld', async () => {
      const { store, other } = await open()
      const secret = secretOf()
      const template = {
        apiVersion: 'example.com/v1',
        kind: 'Template',
        metadata: { name: 'web' },
        objects: [secret],
      }
      const change = {
        ...headOf('a').change,
        steps: [stepOf(0, secret), stepOf(1, template), stepOf(2, CONFIG_MAP)],
      }
      const lease = await must(store.create(headOf('a', { change })))
      const create = { type: 'CREATE', manifest: secret, ifAbsent: true } as const
      await lease.step('0', { state: 'BEGUN', prepared: { action: create, before: secret }, startedAt: 1 })
      const restore = { type: 'RESTORE', to: secret, from: 'f' } as const
      const patch = [{ op: 'replace', path: '/data/other', value: SECRET }]
      await lease.step('undo:0', {
        state: 'BEGUN',
        prepared: { action: restore, before: secret, patch },
        startedAt: 1,
      })
      await lease.step('1', { state: 'DONE', result: resultOf({ before: secret, after: template }) })
      const record = (await other.read('a'))!
      const text = JSON.stringify([record, [...record.steps]])
      expect(text).not.toContain(SECRET)
      expect(text).not.toContain(Buffer.from(SECRET).toString('base64'))
      expect(text).toContain('password')
      expect(record.change.steps.map(({ action }) => 'withheld' in action)).toEqual([true, true, false])
      expect(record.steps.get('0')).toMatchObject({
        prepared: { action: { type: 'CREATE', withheld: true } },
      })
      expect(record.steps.get('undo:0')).toMatchObject({ prepared: { action: { withheld: true } } })
      expect(record.steps.get('undo:0')).not.toHaveProperty('prepared.patch')
    })
  })
}
