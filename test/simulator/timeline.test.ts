import { afterEach, describe, expect, it, vi } from 'vitest'
import { ManualTimeline, RealTimeline } from '../../src/simulator/timeline.ts'

describe('a timeline that a test moves', () => {
  it('runs work in order of its due time, each at its own time', () => {
    const timeline = new ManualTimeline(1_000)
    const ran: string[] = []
    const note = (name: string) => () => void ran.push(`${name}@${timeline.now()}`)
    timeline.after(30, note('c'))
    timeline.after(10, note('a'))
    timeline.after(10, note('b'))
    timeline.advance(20)
    expect(ran).toEqual(['a@1010', 'b@1010'])
    timeline.advance(20)
    expect(ran).toEqual(['a@1010', 'b@1010', 'c@1030'])
    expect(timeline.now()).toBe(1_040)
  })

  it('runs work that work adds, if it falls due on the way', () => {
    const timeline = new ManualTimeline(0)
    const ran: number[] = []
    const again = (): void => {
      ran.push(timeline.now())
      timeline.after(10, again)
    }
    timeline.after(10, again)
    timeline.advance(35)
    expect(ran).toEqual([10, 20, 30])
  })

  it('drops what is cancelled', () => {
    const timeline = new ManualTimeline(0)
    let ran = 0
    const cancel = timeline.after(10, () => ran++)
    cancel()
    timeline.advance(100)
    expect(ran).toBe(0)
  })
})

describe('a timeline that follows the clock', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('holds one timer for any number of entries', () => {
    vi.useFakeTimers()
    const timeline = new RealTimeline()
    let ran = 0
    for (let i = 0; i < 1_000; i++) timeline.after(i, () => ran++)
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1)
    vi.advanceTimersByTime(2_000)
    expect(ran).toBe(1_000)
    timeline.close()
  })

  it('does nothing any more once its signal is aborted', () => {
    vi.useFakeTimers()
    const end = new AbortController()
    const timeline = new RealTimeline(end.signal)
    let ran = 0
    timeline.after(10, () => ran++)
    end.abort()
    vi.advanceTimersByTime(100)
    expect(ran).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })
})
