import { describe, expect, it } from 'vitest'
import type { Step } from '../../src/fleet/feed.ts'
import { Turns } from '../../src/fleet/ingest-turns.ts'
import { SyncSlots } from '../../src/fleet/sync-slots.ts'
import type { TableReader, TableWriter } from '../../src/fleet/table.ts'
import { createTable } from '../../src/fleet/store.ts'
import { WatchFeed } from '../../src/fleet/watch-feed.ts'
import { ApiError, TransportError } from '../../src/kubernetes/client.ts'
import type { Projection } from '../../src/kubernetes/kinds.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { eventually } from '../support/eventually.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { ScriptedClient } from './scripted-client.ts'

const object = (name: string, resourceVersion: string, keys: readonly string[] = []) => ({
  metadata: {
    name,
    namespace: 'default',
    uid: `uid-${name}`,
    resourceVersion,
    creationTimestamp: '2026-01-01T00:00:00Z',
    managedFields: [{ manager: 'kubectl', fieldsV1: { 'f:data': {} } }],
  },
  data: Object.fromEntries(keys.map((key) => [key, 'value'])),
})
const event = (type: string, name: string, resourceVersion: string) => ({
  type,
  object: object(name, resourceVersion),
})
const bookmark = (resourceVersion: string, end = false) => ({
  type: 'BOOKMARK',
  object: {
    metadata: {
      resourceVersion,
      ...(end && { annotations: { 'k8s.io/initial-events-end': 'true' } }),
    },
  },
})

/** A wall clock that somebody sets. */
class SteppedClock extends FakeClock {
  step = 0

  override now(): number {
    return super.now() + this.step
  }
}

function setUp({
  clock = new FakeClock(),
  client = new ScriptedClient(),
  slots = new SyncSlots(1),
  projection = project('ConfigMap'),
  // Time enough for everything in one turn, however slow the machine.
  turns = new Turns({ now: () => 0 }),
}: {
  clock?: FakeClock
  client?: ScriptedClient
  slots?: SyncSlots
  projection?: Projection<'ConfigMap'>
  turns?: Turns
} = {}) {
  const store = createTable('ConfigMap', 'test', clock)
  const steps: Step<'ConfigMap'>[] = []
  const table: Pick<TableReader<'ConfigMap'>, 'status' | 'whole'> & TableWriter<'ConfigMap'> = {
    get status() {
      return store.status
    },
    get whole() {
      return store.whole
    },
    apply(step) {
      steps.push(step)
      store.apply(step)
    },
  }
  const objectErrors: string[] = []
  const feed = new WatchFeed({
    kind: 'ConfigMap',
    cluster: 'test',
    client,
    project: projection,
    table,
    clock,
    turns,
    slots,
    random: () => 0.5,
    onObjectError: (name) => objectErrors.push(name),
  })
  const names = () => Array.from(store.rows().all(), ({ name }) => name)
  return { client, clock, store, steps, feed, names, objectErrors }
}

describe('the watch feed', () => {
  it('streams the initial state into the table and follows it on the same connection', () => {
    const { client, feed, store, names } = setUp()
    feed.clusterUp()
    expect(client.last.words).toBe('stream configmaps from ""')
    client.last.start().events(event('ADDED', 'b', '2'), event('ADDED', 'a', '1'))
    expect(store.size).toBe(0)
    client.last.events(bookmark('5', true))
    expect(names()).toEqual(['a', 'b'])
    expect(store.status).toMatchObject({ state: 'CURRENT', resourceVersion: '5' })
    client.last.events(event('DELETED', 'a', '6'), event('MODIFIED', 'b', '7'), event('ADDED', 'c', '8'))
    expect(names()).toEqual(['b', 'c'])
    expect(store.get('default', 'b')?.resourceVersion).toBe('7')
    expect(client.streams).toHaveLength(1)
    feed.close()
  })

  it('reads events that come in pieces', () => {
    const { client, feed, names } = setUp()
    feed.clusterUp()
    const text = [event('ADDED', 'ä', '1'), event('ADDED', 'b', '2'), bookmark('3', true)]
      .map((each) => `${JSON.stringify(each)}\n`)
      .join('')
    client.last.start()
    for (const byte of Buffer.from(text)) client.last.bytes(Buffer.from([byte]))
    expect(names()).toEqual(['b', 'ä'])
    feed.close()
  })

  it('lists page by page where streaming lists are not offered', () => {
    const { client, feed, names } = setUp()
    feed.clusterUp()
    client.last.fail(new ApiError(422, { reason: 'Invalid', message: 'sendInitialEvents is forbidden' }))
    expect(client.last.request.query).toMatchObject({ limit: 500, resourceVersion: '0' })
    client.last.page([object('a', '1')], '10', 'next')
    expect(client.last.request.query).toEqual({ limit: 500, continue: 'next' })
    client.last.page([object('b', '2', ['key'])], '10')
    expect(names()).toEqual(['a', 'b'])
    expect(client.last.words).toBe('watch configmaps from "10"')
    feed.close()
  })

  it('swaps a relist in at once, with the deletes of what vanished', () => {
    const { client, feed, store, names } = setUp()
    feed.clusterUp()
    client.last.start().events(event('ADDED', 'a', '1'), event('ADDED', 'b', '2'), bookmark('2', true))
    const changes: string[] = []
    store.onChange(({ type, row }) => changes.push(`${type} ${row.name}`))
    client.last.events({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })
    expect(client.streams[0]?.aborted).toBe(true)
    client.last.start().events(event('ADDED', 'b', '9'), event('ADDED', 'c', '8'))
    expect(names()).toEqual(['a', 'b'])
    client.last.events(bookmark('9', true))
    expect(names()).toEqual(['b', 'c'])
    expect(changes.toSorted()).toEqual(['ADDED c', 'DELETED a', 'MODIFIED b'])
    feed.close()
  })

  it('resumes from the last version after the connection broke, and says so where that fails', async () => {
    const { client, clock, feed, store, names } = setUp()
    feed.clusterUp()
    client.last.start().events(event('ADDED', 'a', '1'), bookmark('4', true))
    client.last.fail(new TransportError('RESET', 'reset'))
    expect(client.last.words).toBe('watch configmaps from "4"')
    expect(store.status.state).toBe('CURRENT')
    client.last.fail(new TransportError('UNREACHABLE', 'connect ECONNREFUSED 10.0.0.1:6443'))
    expect(store.status).toMatchObject({ state: 'STALE', problem: { code: 'UNREACHABLE' } })
    expect(store.status.problem?.message).not.toContain('10.0.0.1')
    await clock.advance(30_000)
    expect(client.last.words).toBe('watch configmaps from "4"')
    client.last.start().events(event('MODIFIED', 'a', '5'))
    expect(store.status).toMatchObject({ state: 'CURRENT', problem: null })
    expect(names()).toEqual(['a'])
    feed.close()
  })

  it('passes over an object that cannot be read, counts it and says which', () => {
    const { client, feed, names, objectErrors } = setUp({
      projection: (raw, cluster) => {
        if (JSON.stringify(raw).includes('bad')) throw new TypeError('unreadable')
        return project('ConfigMap')(raw, cluster)
      },
    })
    feed.clusterUp()
    client.last.start().events(event('ADDED', 'a', '1'), event('ADDED', 'bad', '2'), bookmark('3', true))
    client.last.events(event('MODIFIED', 'bad', '4'), event('ADDED', 'c', '5'))
    expect(names()).toEqual(['a', 'c'])
    expect(objectErrors).toEqual(['ConfigMap default/bad', 'ConfigMap default/bad'])
    expect(feed.counters).toMatchObject({ events: 4, objectErrors: 2, syncs: 1 })
    client.last.end()
    expect(client.last.words).toBe('watch configmaps from "5"')
    feed.close()
  })

  it('drops a watch whose bytes are no events, and takes it up again', async () => {
    const { client, clock, feed, store } = setUp()
    feed.clusterUp()
    client.last.start().events(bookmark('3', true))
    client.last.bytes(Buffer.from('<html>\n'))
    expect(client.streams[0]?.aborted).toBe(true)
    expect(store.status).toMatchObject({ state: 'STALE', problem: { code: 'ERROR' } })
    await clock.advance(800)
    expect(client.last.words).toBe('watch configmaps from "3"')
    feed.close()
  })

  it('hears nothing more of a request that it ended', () => {
    const { client, feed, names } = setUp()
    feed.clusterUp()
    const [first] = client.streams
    client.last.start().events(event('ADDED', 'a', '1'), bookmark('2', true))
    feed.clusterDown({ code: 'UNREACHABLE', message: 'gone' })
    feed.clusterUp()
    expect(client.open).toEqual(['watch configmaps from "2"'])
    if (first) {
      first.aborted = false
      first.events(event('ADDED', 'ghost', '9')).end()
    }
    expect(names()).toEqual(['a'])
    feed.close()
  })

  it('leaves the rest to later turns when its time is up, and pauses the socket meanwhile', async () => {
    // A clock that makes every object take a whole slice.
    let time = 0
    const turns = new Turns({ sliceMs: 5, now: () => (time += 3) })
    const { client, feed, store } = setUp({ turns })
    feed.clusterUp()
    const stream = client.last.start()
    const filler = { ...object('big', '1'), data: { filler: 'x'.repeat(1_200_000) } }
    stream.events({ type: 'ADDED', object: filler })
    for (let i = 0; i < 50; i++) stream.events(event('ADDED', `name-${i}`, String(i)))
    stream.bytes(Buffer.from(JSON.stringify({ type: 'ADDED', object: filler })))
    expect(stream.paused).toBe(true)
    stream.bytes(Buffer.from('\n')).events(bookmark('100', true))
    expect(store.size).toBe(0)
    await eventually(() => expect(store.size).toBe(51))
    expect(stream.paused).toBe(false)
    feed.close()
  })

  it('does not pause for the rest of an object that is larger than what it lets wait', () => {
    const { client, feed, store } = setUp()
    feed.clusterUp()
    const stream = client.last.start()
    const big = { ...object('big', '1'), data: { filler: 'x'.repeat(3_000_000) } }
    const bytes = Buffer.from(`${JSON.stringify({ type: 'ADDED', object: big })}\n`)
    for (let at = 0; at < bytes.length; at += 65_536) {
      stream.bytes(Buffer.from(bytes.subarray(at, at + 65_536)))
      expect(stream.paused).toBe(false)
    }
    stream.events(bookmark('2', true))
    expect(store.size).toBe(1)
    feed.close()
  })

  it('gives no answer up whose bytes come, however long one object takes', async () => {
    const { client, clock, feed, names } = setUp()
    feed.clusterUp()
    const line = Buffer.from(`${JSON.stringify(event('ADDED', 'a', '1'))}\n`)
    client.last.start()
    for (let at = 0; at < line.length; at += 40) {
      await clock.advance(8_000)
      client.last.bytes(Buffer.from(line.subarray(at, at + 40)))
    }
    client.last.events(bookmark('4', true))
    expect(names()).toEqual(['a'])
    expect(client.streams).toHaveLength(1)

    client.last.events({ type: 'ERROR', object: { code: 410 } })
    client.last.fail(new ApiError(400, { code: 400 }))
    expect(client.last.words).toBe('list configmaps from none')
    client.last.start()
    const list = Buffer.from(
      JSON.stringify({ metadata: { resourceVersion: '9' }, items: [object('b', '8')] }),
    )
    for (let at = 0; at < list.length; at += 40) {
      await clock.advance(20_000)
      client.last.bytes(Buffer.from(list.subarray(at, at + 40)))
    }
    client.last.end()
    expect(names()).toEqual(['b'])
    feed.close()
  })

  it('hands on all that came before the answer ended', async () => {
    let time = 0
    const turns = new Turns({ sliceMs: 5, now: () => (time += 3) })
    const { client, feed, names } = setUp({ turns })
    feed.clusterUp()
    client.last
      .start()
      .events(event('ADDED', 'a', '1'), event('ADDED', 'b', '2'), bookmark('3', true))
      .events(event('ADDED', 'c', '4'), event('ADDED', 'd', '5'))
      .end()
    await eventually(() => expect(client.last.words).toBe('watch configmaps from "5"'))
    expect(names()).toEqual(['a', 'b', 'c', 'd'])
    feed.close()
  })

  it('waits no longer where the clock is set back meanwhile', async () => {
    const clock = new SteppedClock()
    const { client, feed } = setUp({ clock })
    feed.clusterUp()
    client.last.start().events(bookmark('4', true))
    client.last.fail(new TransportError('RESET', 'reset'))
    client.last.fail(new TransportError('UNREACHABLE', 'refused'))
    expect(client.streams).toHaveLength(2)
    clock.step = -3_600_000
    await clock.advance(30_000)
    expect(client.streams).toHaveLength(3)
    client.last.start()
    await clock.advance(100_000)
    expect(client.streams.length).toBeGreaterThan(3)
    feed.close()
  })

  it('leaves no timer and no request behind', async () => {
    const { client, clock, feed } = setUp()
    feed.clusterUp()
    client.last.start().events(bookmark('2', true))
    expect(clock.pending).toBe(1)
    feed.close()
    expect(clock.pending).toBe(0)
    expect(client.open).toEqual([])
    feed.clusterUp()
    feed.clusterDown({ code: 'ERROR', message: 'late' })
    await settled()
    expect(client.streams).toHaveLength(1)
  })
})

describe('turns to bring an initial state', () => {
  it('come one after the other, and go back when the state is complete, failed or not wanted any more', () => {
    const slots = new SyncSlots(1)
    const client = new ScriptedClient()
    const [first, second, third] = [1, 2, 3].map(() => setUp({ client, slots }).feed)
    first?.clusterUp()
    second?.clusterUp()
    third?.clusterUp()
    expect(client.streams).toHaveLength(1)
    client.last.start()
    second?.clusterDown({ code: 'UNREACHABLE', message: 'gone' })
    client.last.events(bookmark('1', true))
    expect(client.streams).toHaveLength(2)
    client.last.fail(new TransportError('RESET', 'reset'))
    second?.clusterUp()
    expect(client.streams).toHaveLength(3)
    for (const feed of [first, second, third]) feed?.close()
    expect(client.streams).toHaveLength(3)
  })

  it('are bounded for one cluster and for all of them', () => {
    const all = new SyncSlots(3)
    const [a, b] = [new SyncSlots(2, all), new SyncSlots(2, all)]
    const began: string[] = []
    const take = (slots: SyncSlots, name: string) => slots.request(() => began.push(name))
    const turns = ['a1', 'a2', 'a3'].map((name) => take(a, name))
    take(b, 'b1')
    const b2 = take(b, 'b2')
    expect(began).toEqual(['a1', 'a2', 'b1'])
    turns[0]?.release()
    turns[0]?.release()
    expect(began).toEqual(['a1', 'a2', 'b1', 'b2'])
    b2.release()
    expect(began).toEqual(['a1', 'a2', 'b1', 'b2', 'a3'])
  })

  it('are lent to other clusters by one whose server hangs, and not to its own tables', async () => {
    const all = new SyncSlots(1)
    const clock = new FakeClock()
    const [hanging, well] = [new ScriptedClient(), new ScriptedClient()]
    const slots = [new SyncSlots(1, all), new SyncSlots(1, all)]
    const feeds = [
      setUp({ client: hanging, slots: slots[0]!, clock }).feed,
      setUp({ client: hanging, slots: slots[0]!, clock }).feed,
      setUp({ client: well, slots: slots[1]!, clock }).feed,
    ]
    for (const feed of feeds) feed.clusterUp()
    expect([hanging.streams.length, well.streams.length]).toEqual([1, 0])
    await clock.advance(2_000)
    expect([hanging.streams.length, well.streams.length]).toEqual([1, 1])
    for (const feed of feeds) feed.close()
  })

  it('are kept by a server that is slow, but answers', async () => {
    const all = new SyncSlots(1)
    const clock = new FakeClock()
    const [slow, waiting] = [new ScriptedClient(), new ScriptedClient()]
    const feeds = [slow, waiting].map((client) => setUp({ client, slots: new SyncSlots(1, all), clock }).feed)
    for (const feed of feeds) feed.clusterUp()
    await clock.advance(1_000)
    slow.last.start().events(event('ADDED', 'a', '1'))
    await clock.advance(5_000)
    expect(waiting.streams).toHaveLength(0)
    slow.last.events(bookmark('5', true))
    expect(waiting.streams).toHaveLength(1)
    for (const feed of feeds) feed.close()
  })
})
