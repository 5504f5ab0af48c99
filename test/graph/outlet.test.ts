import { describe, expect, it } from 'vitest'
import { Outlet } from '../../src/graph/outlet.ts'
import { settled } from '../support/fake-clock.ts'

/** Never ends by itself; says whether it was told to. */
function endless() {
  const said = { started: false, ended: false }
  const outlet = new Outlet<string>({
    feed: (_outlet, signal) => {
      said.started = true
      return new Promise((resolve) =>
        signal.addEventListener('abort', () => {
          said.ended = true
          resolve()
        }),
      )
    },
  })
  return { outlet, said }
}

async function all<T>(values: AsyncIterable<T>): Promise<readonly T[]> {
  const read: T[] = []
  for await (const value of values) read.push(value)
  return read
}

describe('an outlet', () => {
  it('begins with the first read, hands over in order, and ends with its feed', async () => {
    let begun = false
    const outlet = new Outlet<number>({
      feed: async (out) => {
        begun = true
        out.push(1)
        out.push(2)
        await settled()
        out.push(3)
      },
    })
    expect(begun).toBe(false)
    expect(await all(outlet)).toEqual([1, 2, 3])
    expect(await outlet.next()).toEqual({ done: true, value: undefined })
  })

  it('ends at once when its reader leaves, also one that waits, and tells its feed', async () => {
    const { outlet, said } = endless()
    const waiting = outlet.next()
    await outlet.return()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(said).toEqual({ started: true, ended: true })
  })

  it('never begins for a reader that left before it read', async () => {
    const { outlet, said } = endless()
    await outlet.return()
    expect(await outlet.next()).toEqual({ done: true, value: undefined })
    expect(said.started).toBe(false)
  })

  it('ends with the signal, and takes its listener back', async () => {
    const controller = new AbortController()
    const outlet = new Outlet<string>({ feed: () => new Promise(() => {}), signal: controller.signal })
    const waiting = outlet.next()
    controller.abort()
    expect((await waiting).done).toBe(true)
    const late = new Outlet<string>({ feed: () => new Promise(() => {}), signal: controller.signal })
    expect((await late.next()).done).toBe(true)
  })

  it('hands over what was pushed before its feed failed, then the failure, then the end', async () => {
    const outlet = new Outlet<string>({
      feed: async (out) => {
        out.push('first')
        throw new Error('broken')
      },
    })
    expect((await outlet.next()).value).toBe('first')
    await expect(outlet.next()).rejects.toThrow('broken')
    expect((await outlet.next()).done).toBe(true)
  })

  it('says what waits for its reader, and when that has been taken', async () => {
    const weights: number[] = []
    const outlet = new Outlet<string>({
      weigh: (text) => text.length,
      feed: async (out) => {
        for (const text of ['a', 'bcd', 'ef']) out.push(text)
        weights.push(out.weight)
        await out.taken()
        weights.push(out.weight)
      },
    })
    expect(await all(outlet)).toEqual(['a', 'bcd', 'ef'])
    expect(weights).toEqual([6, 0])
  })
})
