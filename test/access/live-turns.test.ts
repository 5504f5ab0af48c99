import { describe, expect, test } from 'vitest'
import { LiveTurns } from '../../src/access/live-turns.ts'
import { TransportError } from '../../src/kubernetes/client.ts'
import { settled } from '../support/fake-clock.ts'

/** Reads that end when the test says so. */
function reads(turns: LiveTurns, reader = 'alice') {
  const started: PromiseWithResolvers<string>[] = []
  const read = (signal?: AbortSignal) =>
    turns.take(
      reader,
      () => {
        const answer = Promise.withResolvers<string>()
        started.push(answer)
        return answer.promise
      },
      signal,
    )
  return { started, read }
}

describe('live turns', () => {
  test('let 32 reads of a cluster run at a time, and the next one when one of them ends or fails', async () => {
    const { started, read } = reads(new LiveTurns('prod'))
    const all = Array.from({ length: 40 }, () => read())
    all[1]!.catch(() => undefined)
    await settled()
    expect(started).toHaveLength(32)
    started[0]!.resolve('done')
    started[1]!.reject(new Error('gone'))
    expect(await all[0]).toBe('done')
    await expect(all[1]).rejects.toThrow('gone')
    await settled()
    expect(started).toHaveLength(34)
    for (let index = 2; index < 40; index++) {
      await settled()
      started[index]!.resolve('done')
    }
    await Promise.allSettled(all)
    expect(started).toHaveLength(40)
    // All turns were given back.
    const again = Array.from({ length: 33 }, () => read())
    await settled()
    expect(started).toHaveLength(40 + 32)
    for (const { resolve } of started) resolve('done')
    await settled()
    for (const { resolve } of started) resolve('done')
    await Promise.all(again)
  })

  test('let go of a read whose request has ended before its turn', async () => {
    const { started, read } = reads(new LiveTurns('prod'))
    const running = Array.from({ length: 32 }, () => read())
    const controller = new AbortController()
    const waiting = read(controller.signal)
    controller.abort(new Error('the request has ended'))
    await expect(waiting).rejects.toThrow('the request has ended')
    await expect(read(controller.signal)).rejects.toThrow('the request has ended')
    for (const { resolve } of started) resolve('done')
    await Promise.all(running)
    expect(started).toHaveLength(32)
  })

  test('are given to the readers in line one after the other, whoever asked for more', async () => {
    const turns = new LiveTurns('prod')
    const { started, read } = reads(turns, 'alice')
    const all = Array.from({ length: 32 + 10 }, () => read())
    const bob = reads(turns, 'bob')
    all.push(bob.read())
    await settled()
    started[0]!.resolve('done')
    started[1]!.resolve('done')
    await settled()
    expect(started).toHaveLength(33)
    expect(bob.started).toHaveLength(1)
    bob.started[0]!.resolve('done')
    for (let index = 2; index < 42; index++) {
      await settled()
      started[index]!.resolve('done')
    }
    await Promise.all(all)
  })

  test('are there for whoever asks for few, though some fill the line', async () => {
    const turns = new LiveTurns('prod')
    const greedy = ['alice', 'bob', 'carol', 'dave'].map((name) => reads(turns, name))
    const controller = new AbortController()
    const all = greedy.flatMap(({ read }) => Array.from({ length: 282 }, () => read(controller.signal)))
    for (const one of all) one.catch(() => undefined)
    await settled()
    const erin = reads(turns, 'erin')
    const hers = erin.read()
    hers.catch(() => undefined)
    for (const { started } of greedy) for (const { resolve } of started) resolve('done')
    await settled()
    expect(erin.started).toHaveLength(1)
    erin.started[0]!.resolve('hers')
    expect(await hers).toBe('hers')
    controller.abort(new Error('the requests have ended'))
    for (const { started } of greedy) for (const { resolve } of started) resolve('done')
    await Promise.allSettled(all)
  })

  test('refuse more than 250 of one reader, and more than a share of a thousand in line, as a cluster that does not answer in time', async () => {
    const turns = new LiveTurns('prod')
    const { started, read } = reads(turns, 'alice')
    const controller = new AbortController()
    const running = Array.from({ length: 32 }, () => read())
    const waiting = ['alice', 'bob', 'carol', 'dave'].flatMap((name) => {
      const others = reads(turns, name)
      return Array.from({ length: 250 }, () => others.read(controller.signal))
    })
    await expect(read()).rejects.toThrow(TransportError)
    const erin = reads(turns, 'erin')
    for (let i = 0; i < 200; i++) waiting.push(erin.read(controller.signal))
    await expect(erin.read()).rejects.toThrow(TransportError)
    controller.abort(new Error('over'))
    await Promise.allSettled(waiting)
    for (const { resolve } of started) resolve('done')
    await Promise.all(running)
  })

  test('are not kept from one reader by the full line of another', async () => {
    const turns = new LiveTurns('prod')
    const { started, read } = reads(turns, 'alice')
    const controller = new AbortController()
    const running = Array.from({ length: 32 }, () => read())
    const waiting = Array.from({ length: 250 }, () => read(controller.signal))
    await expect(read()).rejects.toThrow(TransportError)
    const bob = reads(turns, 'bob')
    const his = bob.read()
    started[0]!.resolve('done')
    started[1]!.resolve('done')
    await settled()
    bob.started[0]!.resolve('done')
    expect(await his).toBe('done')
    controller.abort(new Error('over'))
    for (const { resolve } of started) resolve('done')
    await Promise.allSettled(waiting)
    await Promise.all(running)
  })
})
