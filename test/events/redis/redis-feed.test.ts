/**
 * What an owner's tables show comes to its followers, through a real Redis, whatever befalls Redis, the
 * connections and the owners.
 */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FeedProblem } from '../../../src/fleet/feed.ts'
import type { PodRow } from '../../../src/kubernetes/rows.ts'
import { NAMES, podRow } from '../../fleet/pod-model.ts'
import { eventually } from '../../support/eventually.ts'
import { KEYS, publishedGeneration, same, shortTurns } from './replica-pair.ts'
import { closeReplicas, apply, look, pair, pod, remove, replica, nextVersion, setStage } from './stage.ts'

setStage()

const PROBLEM: FeedProblem = { code: 'UNREACHABLE', message: 'The API server does not answer.' }

describe('a follower', () => {
  it('shows what the owner shows, and every change of it with its version', async () => {
    const { owner, other } = await pair()
    const changes = other.record()
    apply(owner, podRow({ name: 'c', resourceVersion: '101' }))
    apply(owner, podRow({ name: 'a', resourceVersion: '102', phase: 'Failed' }))
    remove(owner, podRow({ name: 'b', resourceVersion: '103' }))
    await same(other, owner)
    expect(
      changes.map(({ type, row, resourceVersion, partial }) => [type, row.name, resourceVersion, partial]),
    ).toEqual([
      ['ADDED', 'c', '101', false],
      ['MODIFIED', 'a', '102', false],
      ['DELETED', 'b', '103', false],
    ])
    expect(owner.errors).toEqual([])
    expect(other.errors).toEqual([])
  })

  it('hears of the differences of a relist as parts of one version', async () => {
    const { owner, other } = await pair()
    const changes = other.record()
    owner.sync([podRow({ name: 'b' }), pod('c'), pod('d')], '5000')
    await same(other, owner)
    expect(changes.map(({ type, row, partial }) => [type, row.name, partial])).toEqual([
      ['DELETED', 'a', true],
      ['ADDED', 'c', true],
      ['ADDED', 'd', false],
    ])
    expect(new Set(changes.map(({ resourceVersion }) => resourceVersion))).toEqual(new Set(['5000']))
  })

  it('hears of a relist that tells less than happened, so that nobody goes on from in between', async () => {
    const { owner, other } = await pair()
    const journal = other.journal()
    const relists: (readonly string[])[] = []
    other.pods.onRelist((from, to) => relists.push([from, to]))
    // Of an object that came and went meanwhile nothing tells.
    owner.sync([podRow({ name: 'a' }), podRow({ name: 'b' })], '5000')
    await same(other, owner)
    expect(relists).toEqual([['100', '5000']])
    expect(journal.since('4000')).toBe('GONE')
    expect(journal.since('100')).toEqual([])
    owner.sync([podRow({ name: 'b' })], '6000')
    await same(other, owner)
    expect(relists).toEqual([
      ['100', '5000'],
      ['5000', '6000'],
    ])
    expect(journal.since('5500')).toBe('GONE')
    expect(journal.since('5000')).toMatchObject([{ change: { type: 'DELETED' } }])
  })

  it('leaves the event loop to others within a large message, and keeps its order', async () => {
    const { owner, other, publisher, follower } = await pair([])
    follower.close()
    const again = other.follow({ turns: shortTurns(), from: follower.positions })
    await eventually(() => expect(again.state).toBe('FOLLOWING'))
    let turns = 0
    let left = false
    const turn = () => {
      turns++
      if (!left) setImmediate(turn)
    }
    const seen = new Set<number>()
    let between = 0
    other.pods.onChange(() => {
      seen.add(turns)
      // Half of a message is nowhere in Redis: a new owner must not go on from there.
      if (other.pods.size < 500 && again.positions.has('Pod')) between++
    })
    const changes = other.record()
    const rows = Array.from({ length: 500 }, (_, i) => pod(`web-${i}`))
    setImmediate(turn)
    apply(owner, ...rows)
    remove(owner, pod('web-7'))
    await publisher.flush()
    await same(other, owner)
    left = true
    expect(seen.size).toBeGreaterThan(100)
    expect(between).toBe(0)
    expect(changes.map(({ row }) => row.name)).toEqual([...rows.map(({ name }) => name), 'web-7'])
  })

  it('learns the health of the cluster', async () => {
    const { owner, other } = await pair()
    owner.cluster.health = { ...owner.cluster.health, state: 'DOWN', version: 'v1.35.0' }
    await eventually(() => expect(other.cluster.health).toEqual(owner.cluster.health))
  })

  it('moves on with the versions of a table in which nothing changes', async () => {
    const { owner, other } = await pair()
    owner.cluster.apply('Pod', { type: 'Bookmark', resourceVersion: '9000' })
    await eventually(() => expect(other.pods.status.resourceVersion).toBe('9000'))
  })

  it('shows the state of the owner’s tables: stale, failed, not synced, and current again', async () => {
    const { owner, other } = await pair()
    const forbidden = { code: 'FORBIDDEN', message: 'pods may not be listed' } as const
    owner.cluster.apply('Pod', { type: 'Down', problem: PROBLEM })
    owner.cluster.apply('Node', { type: 'Down', problem: forbidden })
    await same(other, owner)
    expect(other.pods.status).toMatchObject({ state: 'STALE', problem: PROBLEM })
    expect(other.cluster.table('Node').status).toMatchObject({ state: 'FAILED', problem: forbidden })
    expect(other.cluster.table('Service').status.state).toBe('SYNCING')
    owner.cluster.apply('Pod', { type: 'Up' })
    owner.cluster.apply('Node', { type: 'Up' })
    await same(other, owner)
    expect(other.pods.status.state).toBe('CURRENT')
    expect(other.cluster.table('Node').status.state).toBe('SYNCING')
  })

  it('begins with a stale table as stale, as of when it was complete', async () => {
    const owner = await replica()
    owner.sync([podRow({})])
    owner.cluster.apply('Pod', { type: 'Down', problem: PROBLEM })
    await owner.publish(1)
    const other = await replica()
    const states: string[] = []
    other.pods.onStatus(({ state }) => states.push(state))
    other.follow()
    await same(other, owner)
    expect(states).toEqual(['STALE'])
    expect(other.pods.status.asOf).toBe(owner.pods.status.asOf)
  })

  it('goes on to say what the owner might not read, however long that is silent: rights go by it', async () => {
    const owner = await replica()
    const forbidden = { code: 'FORBIDDEN', message: 'pods may not be listed' } as const
    owner.sync([podRow({})])
    owner.cluster.apply('Pod', { type: 'Down', problem: forbidden })
    const publisher = await owner.publish(1)
    await publisher.flush()
    publisher.close()
    const other = await replica()
    const follower = other.follow({ staleMs: 250 })
    await eventually(() => expect(follower.state).toBe('ORPHANED'))
    await eventually(() => expect(other.pods.status.state).toBe('STALE'))
    expect(other.pods.status.problem).toEqual(forbidden)
  })

  it('takes nothing for complete as of later than now, whatever the clock of the owner says', async () => {
    const owner = await replica()
    owner.sync([podRow({})])
    owner.cluster.apply('Pod', { type: 'Down', problem: PROBLEM })
    const publisher = await owner.publish(1)
    await publisher.flush()
    publisher.close()
    const about = JSON.parse((await look.hget(KEYS.state, 'Pod:about'))!) as object
    await look.hset(KEYS.state, 'Pod:about', JSON.stringify({ ...about, asOf: Date.now() + 3_600_000 }))
    const other = await replica()
    other.follow()
    await eventually(() => expect(other.pods.status.state).toBe('STALE'))
    expect(other.pods.status.asOf).toBeLessThanOrEqual(Date.now())
  })

  it('shows the first content of a table that comes late', async () => {
    const { owner, other } = await pair()
    owner.cluster.load('Namespace', [{ metadata: { name: 'shop', uid: 'u', resourceVersion: '7' } }])
    await same(other, owner)
    expect(other.cluster.table('Namespace').size).toBe(1)
  })

  it('equals the owner after any sequence of changes and faults', async () => {
    const step = fc.oneof(
      { weight: 12, arbitrary: fc.record({ do: fc.constant('apply'), name: fc.constantFrom(...NAMES) }) },
      { weight: 5, arbitrary: fc.record({ do: fc.constant('delete'), name: fc.constantFrom(...NAMES) }) },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('relist'), names: fc.uniqueArray(fc.constantFrom(...NAMES)) }),
      },
      {
        weight: 8,
        arbitrary: fc.record({
          do: fc.constantFrom(
            'anew',
            'down',
            'up',
            'wait',
            'turn',
            'flushed',
            'cut the follower',
            'cut the owner',
            'follow anew',
            'lose rows',
            'lose the state',
            'hand over',
          ),
        }),
      },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 50, size: 'max' }), async (steps) => {
        await look.flushall()
        let [owner, other] = [await replica(), await replica()]
        owner.sync([])
        let epoch = 1
        let publisher = await owner.publish(epoch)
        let follower = other.follow({ staleMs: 1_000, turns: shortTurns() })
        const model = new Map<string, PodRow>()
        for (const step of steps) {
          const name = 'name' in step ? step.name : ''
          const known = model.get(name)
          switch (step.do) {
            case 'apply': {
              const row = pod(name, known && { uid: known.uid })
              model.set(name, row)
              apply(owner, row)
              break
            }
            case 'delete':
              if (known) remove(owner, pod(name, { uid: known.uid }))
              model.delete(name)
              break
            case 'relist': {
              const names = 'names' in step ? step.names : []
              model.clear()
              for (const name of names) model.set(name, pod(name))
              owner.sync([...model.values()], nextVersion())
              break
            }
            case 'anew':
              for (const [name] of model) {
                const row = pod(name, { uid: `anew-${nextVersion()}` })
                model.set(name, row)
                apply(owner, row)
              }
              break
            case 'down':
              owner.cluster.apply('Pod', { type: 'Down', problem: PROBLEM })
              break
            case 'up':
              owner.cluster.apply('Pod', { type: 'Up' })
              break
            case 'wait':
              await look.ping()
              break
            case 'turn':
              await new Promise((resolve) => setImmediate(resolve))
              break
            case 'flushed':
              await publisher.flush()
              break
            case 'cut the follower':
              await look.client('KILL', 'TYPE', 'pubsub')
              break
            case 'cut the owner':
              await look.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
              break
            case 'follow anew':
              follower.close()
              follower = other.follow({ staleMs: 1_000, turns: shortTurns(), from: follower.positions })
              break
            case 'lose rows':
              await look.del(KEYS.rows('Pod', await publishedGeneration(look)))
              break
            case 'lose the state':
              await look.del(KEYS.state)
              break
            case 'hand over': {
              await publisher.flush()
              const left = publisher.positions
              publisher.close()
              await look.set(KEYS.lease, `token-${++epoch}`)
              await eventually(() => follower.catchUp())
              const known = follower.positions
              follower.close()
              ;[owner, other] = [other, owner]
              publisher = await owner.publish(epoch, { from: known })
              owner.cluster.apply('Pod', { type: 'Up' })
              follower = other.follow({ staleMs: 1_000, turns: shortTurns(), from: left })
            }
          }
        }
        await same(other, owner)
        const rows = (map: Iterable<PodRow>) =>
          new Set(Array.from(map, (row) => `${row.name} ${row.uid} ${row.resourceVersion}`))
        expect(rows(other.pods.rows().all())).toEqual(rows(model.values()))
        await closeReplicas()
      }),
      { numRuns: 15, endOnFailure: true },
    )
  }, 120_000)
})
