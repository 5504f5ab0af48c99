import { describe, expect, it } from 'vitest'
import { QUIET_LOG_MS } from '../../src/access/live-reads.ts'
import { ContainerLog, type LogOptions, type LogQuery } from '../../src/graph/container-log.ts'
import { ApiError, TransportError, type ByteSink } from '../../src/kubernetes/client.ts'
import type { ContainerStatus } from '../../src/kubernetes/rows.ts'
import { FakeClock } from '../support/fake-clock.ts'

interface Opened {
  readonly query: LogQuery
  readonly sink: ByteSink
  aborted: boolean
  paused: boolean
}

function setUp(options: Partial<LogOptions> = {}) {
  const clock = new FakeClock()
  const streams: Opened[] = []
  const said: string[] = []
  const log = new ContainerLog(
    'main',
    { follow: true, previous: false, ...options },
    {
      clock,
      open: (query, sink) => {
        const stream = { query, sink, aborted: false, paused: false }
        streams.push(stream)
        return {
          abort: () => (stream.aborted = true),
          pause: () => (stream.paused = true),
          resume: () => (stream.paused = false),
        }
      },
      onStart: (message) => said.push(`start ${message ?? ''}`.trim()),
      onLine: ({ text }) => said.push(text),
      onEnd: () => said.push('end'),
      onError: ({ code }, again) => said.push(`${code}${again ? ' again' : ''}`),
      onIdle: () => said.push('idle'),
    },
  )
  /** The newest stream. */
  const stream = () => streams.at(-1)!
  const write = (text: string) => stream().sink.onData(Buffer.from(text))
  return { clock, streams, said, log, stream, write }
}

function status(state: ContainerStatus['state'], restartCount = 0): ContainerStatus {
  return {
    ready: true,
    started: true,
    restartCount,
    state,
    reason: null,
    message: null,
    exitCode: null,
    since: null,
    lastReason: null,
    lastExitCode: null,
    lastFinishedAt: null,
  }
}

const T = '2026-11-23T04:31:0'

describe('the log of a container that is followed', () => {
  it('waits until there is one, and begins with the lines that were asked for', () => {
    const { log, streams, said, stream } = setUp({ tail: 5, since: `${T}0Z` })
    log.update(null, false)
    log.update(status('WAITING'), false)
    expect(streams).toHaveLength(0)
    log.update(status('RUNNING'), false)
    expect(stream().query).toEqual({
      container: 'main',
      follow: true,
      previous: false,
      timestamps: true,
      tailLines: 5,
      sinceTime: `${T}0Z`,
    })
    stream().sink.onStart?.({})
    log.update(status('RUNNING'), false)
    expect(streams).toHaveLength(1)
    expect(said).toEqual(['start'])
  })

  it('goes on after the last line when the connection breaks off, with none twice and none left out', async () => {
    const { log, clock, streams, said, stream, write } = setUp({ tail: 5 })
    log.update(status('RUNNING'), false)
    stream().sink.onStart?.({})
    write(`${T}1.5Z a\n${T}2.5Z b\n${T}2.5Z c\n`)
    stream().sink.onError(new TransportError('RESET', 'gone'))
    expect(log.busy).toBe(true)
    await clock.advance(1_000)
    expect(stream().query).toMatchObject({ sinceTime: `${T}2.5Z`, follow: true })
    expect(stream().query).not.toHaveProperty('tailLines')
    // The API server goes by whole seconds.
    write(`${T}2.1Z before\n${T}2.5Z b\n${T}2.5Z c\n${T}2.5Z d\n${T}3Z e\n`)
    stream().sink.onEnd()
    await clock.advance(1_000)
    expect(streams).toHaveLength(3)
    write(`${T}3Z e\n${T}4Z f\n`)
    expect(said).toEqual(['start', 'a', 'b', 'c', 'UNREACHABLE again', 'd', 'e', 'f'])
  })

  it('waits longer each time that it fails, tells of it once, and begins anew with each line', async () => {
    const { log, clock, streams, said, stream, write } = setUp()
    log.update(status('RUNNING'), false)
    const waits: number[] = []
    for (let failure = 0; failure < 8; failure++) {
      stream().sink.onError(new TransportError('UNREACHABLE', 'away'))
      const before = clock.now()
      const count = streams.length
      while (streams.length === count) await clock.advance(1_000)
      waits.push(clock.now() - before)
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    expect(said).toEqual(['UNREACHABLE again'])
    write(`${T}1Z back\n`)
    stream().sink.onError(new TransportError('RESET', 'away'))
    await clock.advance(1_000)
    expect(streams).toHaveLength(10)
  })

  it('is asked for again without a word where nothing was written for long, and leaves nothing out', async () => {
    const { log, clock, said, streams, stream } = setUp({ tail: 0 })
    const begun = new Date(clock.now()).toISOString()
    log.update(status('RUNNING'), false)
    expect(stream().query).toMatchObject({ tailLines: 0 })
    await clock.advance(QUIET_LOG_MS)
    stream().sink.onError(new TransportError('TIMEOUT', 'no answer in time'))
    expect(streams).toHaveLength(2)
    expect(stream().query).toMatchObject({ sinceTime: begun })
    expect(stream().query).not.toHaveProperty('tailLines')
    expect(said).toEqual([])
    // One that comes sooner is a cluster that does not answer.
    stream().sink.onError(new TransportError('TIMEOUT', 'no connection in time'))
    expect(said).toEqual(['UNREACHABLE again'])
  })

  it('reads the next run whole when the container was restarted, and says how many were missed', () => {
    const { log, said, stream, write } = setUp({ tail: 1 })
    log.update(status('RUNNING', 1), false)
    stream().sink.onStart?.({})
    write(`${T}1Z one\n`)
    log.update(status('TERMINATED', 1), false)
    stream().sink.onEnd()
    expect(said).toEqual(['start', 'one', 'end', 'idle'])
    log.update(status('WAITING', 1), false)
    log.update(status('RUNNING', 3), false)
    expect(stream().query).not.toHaveProperty('tailLines')
    stream().sink.onStart?.({})
    expect(said.at(-1)).toMatch(/^start .*1 runs in between/)
  })

  it('reads what is left of a run whose row tells of its end later than its stream', async () => {
    const { log, clock, said, stream, write } = setUp()
    log.update(status('RUNNING'), false)
    stream().sink.onStart?.({})
    write(`${T}1Z one\n`)
    stream().sink.onEnd()
    log.update(status('TERMINATED'), true)
    expect(said).toEqual(['start', 'one'])
    await clock.advance(1_000)
    write(`${T}1Z one\n${T}2Z two\n`)
    stream().sink.onEnd()
    expect(said).toEqual(['start', 'one', 'two', 'end', 'idle'])
    expect(log.busy).toBe(false)
    expect(clock.pending).toBe(0)
  })

  it('says nothing of a kubelet that is not ready to tell yet, unless it stays so', async () => {
    const { log, clock, said, stream } = setUp()
    log.update(status('RUNNING'), false)
    const waiting = () => new ApiError(400, { reason: 'BadRequest', message: 'waiting to start' })
    for (let failure = 0; failure < 3; failure++) {
      stream().sink.onError(waiting())
      await clock.advance(30_000)
    }
    expect(said).toEqual([])
    stream().sink.onError(waiting())
    expect(said).toEqual(['FAILED again'])
  })

  it('is given up where it may not be read', () => {
    const { log, clock, streams, said, stream } = setUp()
    log.update(status('RUNNING'), false)
    stream().sink.onError(new ApiError(403, { reason: 'Forbidden' }))
    log.update(status('RUNNING', 1), false)
    expect(said).toEqual(['FORBIDDEN', 'idle'])
    expect(streams).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  it('ends without a word of an error when its pod goes', () => {
    const { log, said, stream } = setUp()
    log.update(status('RUNNING'), false)
    stream().sink.onStart?.({})
    log.update(null, true)
    stream().sink.onError(new ApiError(404, { reason: 'NotFound' }))
    expect(said).toEqual(['start', 'end', 'idle'])
  })

  it('holds and goes on, also with a stream that is opened while it is held', async () => {
    const { log, clock, streams, stream } = setUp()
    log.update(status('RUNNING'), false)
    log.pause()
    expect(streams[0]!.paused).toBe(true)
    stream().sink.onEnd()
    await clock.advance(1_000)
    expect(streams[1]!.paused).toBe(true)
    log.resume()
    expect(streams[1]!.paused).toBe(false)
  })

  it('is tried again where a request is refused at once', async () => {
    const clock = new FakeClock()
    const said: string[] = []
    let refused = 0
    const log = new ContainerLog(
      'main',
      { follow: true, previous: false },
      {
        clock,
        open: (_query, sink) => {
          if (++refused === 1) throw new TransportError('UNREACHABLE', 'down')
          sink.onError(new ApiError(403, { reason: 'Forbidden' }))
          return { abort() {}, pause() {}, resume() {} }
        },
        onStart: () => said.push('start'),
        onLine: () => said.push('line'),
        onEnd: () => said.push('end'),
        onError: ({ code }, again) => said.push(`${code}${again ? ' again' : ''}`),
        onIdle: () => said.push('idle'),
      },
    )
    log.update(status('RUNNING'), false)
    expect(log.busy).toBe(true)
    await clock.advance(1_000)
    expect(said).toEqual(['UNREACHABLE again', 'FORBIDDEN', 'idle'])
    expect(log.busy).toBe(false)
  })

  it('leaves neither a request nor a timer when it is closed', async () => {
    const { log, clock, streams, stream } = setUp()
    log.update(status('RUNNING'), false)
    log.close()
    expect(stream().aborted).toBe(true)
    const other = setUp()
    other.log.update(status('RUNNING'), false)
    other.stream().sink.onEnd()
    other.log.close()
    expect([clock.pending, other.clock.pending, streams.length]).toEqual([0, 0, 1])
  })
})

describe('the log of a container that is read once', () => {
  it('is asked for whatever the row says, and ends', () => {
    const { log, said, stream, write } = setUp({ follow: false, previous: true })
    log.update(null, false)
    expect(stream().query).toMatchObject({ follow: false, previous: true })
    stream().sink.onStart?.({})
    write(`${T}1Z last words`)
    stream().sink.onEnd()
    log.update(status('RUNNING', 4), false)
    expect(said).toEqual(['start', 'last words', 'end', 'idle'])
  })

  it('tells why it could not be read, and does not try again', () => {
    const { log, clock, said, stream } = setUp({ follow: false })
    log.update(status('WAITING'), false)
    stream().sink.onError(new ApiError(400, { reason: 'BadRequest', message: 'waiting to start' }))
    expect(said).toEqual(['FAILED', 'idle'])
    expect(clock.pending).toBe(0)
  })
})
