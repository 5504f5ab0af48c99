import { describe, expect, it } from 'vitest'
import { encodeFreshness, Freshness, type ScopeOf } from '../../src/events/freshness.ts'
import { encodePosition, PositionError } from '../../src/events/position.ts'
import type { FeedProblem } from '../../src/fleet/feed.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'

const never = new AbortController().signal

function configMap(name: string, resourceVersion: string) {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'shop', uid: `uid-${name}`, resourceVersion },
  }
}

/** Each of the clusters has one ConfigMap, and is at version 100. */
function setup(...names: readonly string[]) {
  const clock = new FakeClock()
  const fleet = new FakeFleet(
    ...names.map((name) => new FakeCluster(name).load('ConfigMap', [configMap('a', '90')])),
  )
  return { clock, fleet, freshness: new Freshness(fleet, clock) }
}

function at(version: string, ...clusters: readonly string[]): string {
  return encodePosition(
    ['ConfigMap'],
    clusters.map((cluster) => [cluster, [version]] as const),
  )
}

/** What it has come to by now, if to anything. */
async function stateOf(promise: unknown): Promise<unknown> {
  await settled()
  return Promise.race([promise, Promise.resolve('waiting')])
}

const DONE = { reached: true, behind: [] }
const forbidden: FeedProblem = { code: 'FORBIDDEN', message: 'May not list.' }
const unreachable: FeedProblem = { code: 'UNREACHABLE', message: 'Does not answer.' }

describe('waiting for what was written', () => {
  it('is over at once where memory is so far, and sets no timer', () => {
    const { freshness, clock } = setup('east', 'west')
    expect(freshness.reach(at('100', 'east', 'west'), 5_000, never)).toEqual(DONE)
    expect(freshness.reach(encodePosition([], []), 5_000, never)).toEqual(DONE)
    expect(clock.pending).toBe(0)
  })

  it('ends when the last table is so far, by a row or by a version alone, and leaves nothing behind', async () => {
    const { freshness, fleet, clock } = setup('east', 'north', 'west')
    const reached = freshness.reach(at('105', 'east', 'north', 'west'), 5_000, never)
    expect(await stateOf(reached)).toBe('waiting')
    fleet.cluster('east')!.load('ConfigMap', [configMap('a', '90')])
    fleet.cluster('east')!.apply('ConfigMap', { type: 'Bookmark', resourceVersion: '104' })
    fleet.cluster('west')!.apply('ConfigMap', { type: 'Bookmark', resourceVersion: '2000' })
    fleet.cluster('north')!.apply('ConfigMap', { type: 'Bookmark', resourceVersion: '105' })
    expect(await stateOf(reached)).toBe('waiting')
    fleet.cluster('east')!.apply('ConfigMap', { type: 'Bookmark', resourceVersion: '105' })
    expect(await stateOf(reached)).toEqual(DONE)
    expect(clock.pending).toBe(0)
  })

  it('shows the row once it is over', async () => {
    const { freshness, fleet } = setup('east')
    const east = fleet.cluster('east')!
    const reached = Promise.resolve(freshness.reach(at('101', 'east'), 5_000, never)).then(
      () => east.table('ConfigMap').get('shop', 'b')?.resourceVersion,
    )
    const row = { ...east.table('ConfigMap').get('shop', 'a')!, name: 'b', uid: 'b', resourceVersion: '101' }
    east.apply('ConfigMap', { type: 'Apply', row })
    expect(await reached).toBe('101')
  })

  it('ends after its time, and says who is behind', async () => {
    const { freshness, fleet, clock } = setup('east', 'north', 'west')
    const reached = freshness.reach(at('105', 'east', 'north', 'west'), 5_000, never)
    fleet.cluster('north')!.apply('ConfigMap', { type: 'Bookmark', resourceVersion: '105' })
    await clock.advance(4_999)
    expect(await stateOf(reached)).toBe('waiting')
    await clock.advance(1)
    expect(await reached).toEqual({ reached: false, behind: ['east', 'west'] })
  })

  it('waits for a cluster that is down, since it may come back', async () => {
    const { freshness, fleet } = setup('east')
    const east = fleet.cluster('east')!
    east.apply('ConfigMap', { type: 'Down', problem: unreachable })
    const reached = freshness.reach(at('105', 'east'), 5_000, never)
    expect(await stateOf(reached)).toBe('waiting')
    east.load('ConfigMap', [configMap('a', '90')])
    east.apply('ConfigMap', { type: 'Bookmark', resourceVersion: '105' })
    expect(await reached).toEqual(DONE)
  })

  it('waits for no table that is not followed, from the beginning or from when it is not', async () => {
    const { freshness, fleet, clock } = setup('east', 'west')
    const behind = { reached: false, behind: ['east'] }
    const waited = freshness.reach(at('105', 'east'), 5_000, never)
    fleet.cluster('east')!.apply('ConfigMap', { type: 'Down', problem: forbidden })
    expect(await stateOf(waited)).toEqual(behind)
    expect(freshness.reach(at('105', 'east'), 5_000, never)).toEqual(behind)
    expect(clock.pending).toBe(0)
  })

  it('waits for no cluster that is not there, and does not say that it is so far', () => {
    const { freshness } = setup('east')
    expect(freshness.reach(at('100', 'east', 'gone'), 5_000, never)).toEqual({ reached: false, behind: [] })
  })

  it('waits for no version that cannot be compared', () => {
    const { freshness } = setup('east')
    expect(freshness.reach(at('opaque', 'east'), 5_000, never)).toEqual(DONE)
  })

  it('ends with the signal, and leaves nothing behind', async () => {
    const { freshness, clock } = setup('east')
    const controller = new AbortController()
    const reached = freshness.reach(at('105', 'east'), 5_000, controller.signal)
    controller.abort()
    expect(await reached).toEqual({ reached: false, behind: ['east'] })
    expect(clock.pending).toBe(0)
  })

  it('does not wait where no time is given', () => {
    const { freshness } = setup('east')
    expect(freshness.reach(at('105', 'east'), 0, never)).toEqual({ reached: false, behind: ['east'] })
  })

  it('tells nothing of what may not be seen, and does not wait for it', async () => {
    const { freshness, fleet, clock } = setup('east', 'west')
    const reach = (cursor: string, scopeOf: ScopeOf) => freshness.reach(cursor, 5_000, never, scopeOf)
    const onlyWest: ScopeOf = ({ name }) => (name === 'west' ? 'all' : undefined)
    expect(reach(at('105', 'east'), onlyWest)).toEqual(DONE)
    const reached = reach(at('105', 'east', 'west'), onlyWest)
    expect(await stateOf(reached)).toBe('waiting')
    fleet.cluster('west')!.apply('ConfigMap', { type: 'Bookmark', resourceVersion: '105' })
    expect(await reached).toEqual(DONE)
    const gone = encodeFreshness(encodePosition([], []), [
      { cluster: 'east', kind: 'ConfigMap', uid: 'uid-a' },
    ])
    expect(reach(gone, onlyWest)).toEqual(DONE)
    expect(reach(gone, () => ({ namespaces: new Set(['other']) }))).toEqual(DONE)
    expect(reach(gone, () => ({ namespaces: new Set(['shop']) }))).toBeInstanceOf(Promise)
    await clock.advance(5_000)
  })

  it('refuses what is no cursor', () => {
    const { freshness } = setup('east')
    const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const position = encodePosition([], [])
    const broken = [
      'no cursor',
      '',
      `${position}~`,
      `${position}~~`,
      `${position}~${json({})}`,
      `${position}~${json([['east', 'Pod']])}`,
      `${position}~${json([['east', 'Pod', 1]])}`,
      `${position}~${json(Array.from({ length: 1_001 }, () => ['east', 'Pod', 'a']))}`,
      `~${json([])}`,
    ]
    for (const cursor of broken) {
      expect(() => freshness.reach(cursor, 5_000, never), cursor).toThrow(PositionError)
    }
  })

  describe('of what was deleted', () => {
    const gone = (cluster: string, uid = 'uid-a', position = encodePosition([], [])) =>
      encodeFreshness(position, [{ cluster, kind: 'ConfigMap', uid }])

    it('ends when it is gone, also where another of the same name is there', async () => {
      const { freshness, fleet, clock } = setup('east')
      const east = fleet.cluster('east')!
      const reached = freshness.reach(gone('east'), 5_000, never)
      east.apply('ConfigMap', { type: 'Bookmark', resourceVersion: '120' })
      expect(await stateOf(reached)).toBe('waiting')
      const row = east.table('ConfigMap').get('shop', 'a')!
      east.apply('ConfigMap', { type: 'Apply', row: { ...row, uid: 'anew', resourceVersion: '121' } })
      expect(await stateOf(reached)).toEqual(DONE)
      expect(freshness.reach(gone('east'), 5_000, never)).toEqual(DONE)
      expect(clock.pending).toBe(0)
    })

    it('waits for versions as well, and says who is behind in either', async () => {
      const { freshness, fleet, clock } = setup('east', 'west')
      const reached = freshness.reach(gone('east', 'uid-a', at('105', 'west')), 5_000, never)
      const row = fleet.cluster('east')!.table('ConfigMap').get('shop', 'a')!
      fleet.cluster('east')!.apply('ConfigMap', { type: 'Delete', row: { ...row, resourceVersion: '101' } })
      expect(await stateOf(reached)).toBe('waiting')
      fleet.cluster('west')!.apply('ConfigMap', { type: 'Bookmark', resourceVersion: '105' })
      expect(await stateOf(reached)).toEqual(DONE)
      const late = freshness.reach(gone('west', 'uid-a', at('200', 'east')), 5_000, never)
      await clock.advance(5_000)
      expect(await late).toEqual({ reached: false, behind: ['east', 'west'] })
    })

    it('waits for no kind and no cluster that is not there', () => {
      const { freshness } = setup('east')
      const others = [['east', 'NoSuchKind', 'a']]
      const cursor = `${encodePosition([], [])}~${Buffer.from(JSON.stringify(others)).toString('base64url')}`
      expect(freshness.reach(cursor, 5_000, never)).toEqual(DONE)
      expect(freshness.reach(gone('north'), 5_000, never)).toEqual({ reached: false, behind: [] })
    })
  })
})
