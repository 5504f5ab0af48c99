/** Chapter: watch – events in order, from where, initial events, bookmarks, ends. Expired versions: `expiry.ts`. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { KubeJson, Watch, WatchEvent } from '../../support/kubernetes-http.ts'
import { configMap, needs, pod, type Suite } from './server-under-test.ts'

const brief = ({ type, object }: WatchEvent): string => `${type} ${object.metadata.name ?? ''}`.trim()

export function describeWatch(suite: Suite): void {
  describe('watch', () => {
    let namespace = ''
    let path = ''
    let from = ''
    const create = async (name: string, labels = {}): Promise<KubeJson> =>
      suite.http.must(suite.http.post(path, configMap(name, {}, { labels })))
    const take = async (watch: Watch, count: number): Promise<WatchEvent[]> => {
      const events: WatchEvent[] = []
      while (events.length < count) {
        const event = await watch.next()
        if (event.type !== 'BOOKMARK') events.push(event)
      }
      return events
    }

    beforeEach(async () => {
      namespace = await suite.namespace()
      path = `/api/v1/namespaces/${namespace}/configmaps`
      from = (await suite.http.must(suite.http.get(path))).metadata.resourceVersion
    })

    test('from a version it tells every later change once, in order, with whole objects', async () => {
      const a = await create('a')
      await suite.http.must(suite.http.patch(`${path}/a`, 'merge', { data: { k: 'v' } }))
      await suite.http.must(suite.http.delete(`${path}/a`))
      const watch = await suite.http.watch(`${path}?resourceVersion=${from}`)
      await create('b')
      const events = await take(watch, 4)
      watch.close()
      expect(events.map(brief)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a', 'ADDED b'])
      const versions = events.map(({ object }) => Number(object.metadata.resourceVersion))
      expect(versions).toEqual(versions.toSorted((x, y) => x - y))
      expect(new Set(versions).size).toBe(4)
      expect(events[0]?.object).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap', metadata: a.metadata })
      expect(events[2]?.object).toMatchObject({ data: { k: 'v' } })
    })

    test('without a version it begins with what is there', async () => {
      await create('here')
      const watch = await suite.http.watch(`${path}?labelSelector=!nothing`)
      const events = await take(watch, 2)
      expect(events.map(brief).toSorted()).toEqual(['ADDED here', 'ADDED kube-root-ca.crt'])
      await create('later')
      expect(brief((await take(watch, 1))[0]!)).toBe('ADDED later')
      watch.close()
    })

    test('an object that leaves or enters the selector is DELETED or ADDED', async () => {
      const watch = await suite.http.watch(`${path}?resourceVersion=${from}&labelSelector=in%3Dyes`)
      await create('x', { in: 'no' })
      const relabel = (value: string): Promise<KubeJson> =>
        suite.http.must(suite.http.patch(`${path}/x`, 'merge', { metadata: { labels: { in: value } } }))
      await relabel('yes')
      const left = await relabel('no')
      const events = await take(watch, 2)
      watch.close()
      expect(events.map(brief)).toEqual(['ADDED x', 'DELETED x'])
      // The last state that the watcher knew, at the version of the change.
      expect(events[1]?.object.metadata).toMatchObject({
        labels: { in: 'yes' },
        resourceVersion: left.metadata.resourceVersion,
      })
    })

    test('a field selector narrows it, too', async () => {
      const watch = await suite.http.watch(
        `${path}?resourceVersion=${from}&fieldSelector=metadata.name%3Dwanted`,
      )
      await create('other')
      await create('wanted')
      expect(brief((await take(watch, 1))[0]!)).toBe('ADDED wanted')
      watch.close()
    })

    test('timeoutSeconds ends it cleanly', async () => {
      const started = performance.now()
      const watch = await suite.http.watch(`${path}?resourceVersion=${from}&timeoutSeconds=1`)
      await watch.ended
      expect(performance.now() - started).toBeGreaterThan(900)
      expect(performance.now() - started).toBeLessThan(5000)
      expect(watch.drain()).toEqual([])
    })

    test('initial events come first, then a bookmark that says so, then changes', async (context) => {
      needs(context, suite, 34, 'WatchList is on by default')
      await create('a')
      await create('b')
      const watch = await suite.http.watch(
        `${path}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
      )
      const initial: WatchEvent[] = []
      for (let event = await watch.next(); event.type !== 'BOOKMARK'; event = await watch.next())
        initial.push(event)
      expect(initial.map(brief).toSorted()).toEqual(['ADDED a', 'ADDED b', 'ADDED kube-root-ca.crt'])
      watch.close()
    })

    test('the bookmark after initial events carries the annotation, a version and the kind', async (context) => {
      needs(context, suite, 34, 'WatchList is on by default')
      const made = await create('a')
      const watch = await suite.http.watch(
        `${path}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
      )
      const { object } = await watch.until(({ type }) => type === 'BOOKMARK')
      expect(object).toMatchObject({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } },
      })
      expect(Number(object.metadata.resourceVersion)).toBeGreaterThanOrEqual(
        Number(made.metadata.resourceVersion),
      )
      await create('b')
      expect(brief(await watch.until(({ type }) => type !== 'BOOKMARK'))).toBe('ADDED b')
      watch.close()
    })

    test('sendInitialEvents=false begins at the version, without initial events', async (context) => {
      needs(context, suite, 34, 'WatchList is on by default')
      const made = await create('a')
      const watch = await suite.http.watch(
        `${path}?sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=${made.metadata.resourceVersion}`,
      )
      await create('b')
      expect((await take(watch, 1)).map(brief)).toEqual(['ADDED b'])
      watch.close()
    })

    test('sendInitialEvents asks for resourceVersionMatch, which is forbidden without it', async (context) => {
      needs(context, suite, 34, 'WatchList is on by default')
      const alone = await suite.http.watch(`${path}?sendInitialEvents=true&allowWatchBookmarks=true`)
      expect(alone.status).toBe(422)
      expect((await alone.next()).object).toMatchObject({
        kind: 'Status',
        code: 422,
        reason: 'Invalid',
        message: expect.stringMatching(/resourceVersionMatch: Forbidden: sendInitialEvents requires setting/),
      })
      const match = await suite.http.watch(
        `${path}?resourceVersion=${from}&resourceVersionMatch=NotOlderThan`,
      )
      expect(match.status).toBe(422)
      expect((await match.next()).object.message).toMatch(/resourceVersionMatch is forbidden for watch/)
    })

    test('bookmarks come only to those who asked, and move the version on', async (context) => {
      needs(context, suite, 34, 'a bookmark at the end of initial events is the only one that comes at once')
      const watch = await suite.http.watch(
        `${path}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
      )
      const { object } = await watch.until(({ type }) => type === 'BOOKMARK')
      watch.close()
      await create('after')
      const again = await suite.http.watch(`${path}?resourceVersion=${object.metadata.resourceVersion}`)
      expect((await take(again, 1)).map(brief)).toEqual(['ADDED after'])
      again.close()
    })

    test('a graceful delete of a pod is seen as MODIFIED with deletionTimestamp, then DELETED', async () => {
      const pods = `/api/v1/namespaces/${namespace}/pods`
      const { metadata } = await suite.http.must(suite.http.get(pods))
      const watch = await suite.http.watch(`${pods}?resourceVersion=${metadata.resourceVersion}`)
      await suite.http.must(suite.http.post(pods, pod('p')))
      await watch.until(
        ({ object }) => (object as { status?: { phase?: string } }).status?.phase === 'Running',
      )
      await suite.http.must(suite.http.delete(`${pods}/p`))
      const marked = await watch.until(({ object }) => object.metadata.deletionTimestamp !== undefined)
      expect(marked.type).toBe('MODIFIED')
      expect(brief(await watch.until(({ type }) => type === 'DELETED'))).toBe('DELETED p')
      watch.close()
    })

    test('one object is watched by its name', async () => {
      await create('one')
      const watch = await suite.http.watch(
        `${path}?fieldSelector=metadata.name%3Done&resourceVersion=${from}`,
      )
      expect((await take(watch, 1)).map(brief)).toEqual(['ADDED one'])
      watch.close()
    })

    test('many watchers see the same order', async () => {
      const watches = await Promise.all(
        Array.from({ length: 5 }, () => suite.http.watch(`${path}?resourceVersion=${from}`)),
      )
      await Promise.all(Array.from({ length: 10 }, (_, index) => create(`c-${index}`)))
      const seen = await Promise.all(watches.map((watch) => take(watch, 10)))
      for (const watch of watches) watch.close()
      const [first, ...others] = seen.map((events) => events.map(brief))
      for (const other of others) expect(other).toEqual(first)
    })
  })
}
