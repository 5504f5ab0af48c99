import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/fleet/clock.ts'
import { createMemoryOperationStore } from '../../src/writes/memory-operation-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { describeOperationStore, headOf, must } from './operation-store.contract.ts'

describeOperationStore('in memory', async () => {
  const store = createMemoryOperationStore(systemClock)
  return { store, other: store, close: () => store.close() }
})

describe('operations in memory', () => {
  async function end(store: ReturnType<typeof createMemoryOperationStore>, id: string, finishedAt: number) {
    const lease = await must(store.create(headOf(id)))
    await lease.progress({ state: 'SUCCEEDED', waves: [], events: [], finishedAt })
    await lease.release()
  }

  it('make room for others: those that ended first go first, and those that go on stay', async () => {
    const store = createMemoryOperationStore(new FakeClock(1_000), { operations: 3 })
    await must(store.create(headOf('open')))
    await end(store, 'late', 900)
    await end(store, 'early', 800)
    await end(store, 'next', 950)
    expect((await store.list(undefined, 10)).map(({ id }) => id)).toEqual(['next', 'late', 'open'])
    await store.close()
  })

  it('make room also where they are large', async () => {
    const store = createMemoryOperationStore(new FakeClock(1_000), { size: 5_000 })
    for (let i = 0; i < 50; i++) await end(store, `o${i}`, i)
    const kept = await store.list(undefined, 100)
    expect(kept[0]?.id).toBe('o49')
    expect(kept.length).toBeLessThan(20)
    await store.close()
  })

  it('are forgotten a day after their end, and nothing runs after the store is closed', async () => {
    const clock = new FakeClock(1_000)
    const store = createMemoryOperationStore(clock)
    const lease = await must(store.create(headOf('o')))
    await clock.advance(48 * 3_600_000)
    await lease.progress({ state: 'FAILED', waves: [], events: [], finishedAt: clock.now() })
    await clock.advance(24 * 3_600_000 - 1)
    expect(await store.read('o')).toBeDefined()
    await clock.advance(1)
    expect(await store.read('o')).toBeUndefined()
    expect(await store.create(headOf('o'))).toBeDefined()
    await store.close()
    expect(clock.pending).toBe(0)
  })
})
