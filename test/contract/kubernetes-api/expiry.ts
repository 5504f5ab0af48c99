/** Chapter: versions that the server has forgotten. Last in the suite, for it makes every older version expire. */
import { beforeAll, describe, expect, test } from 'vitest'
import { configMap, expectFailure, needs, type Suite } from './server-under-test.ts'

export function describeExpiry(suite: Suite): void {
  describe('after history is compacted', () => {
    let path = ''
    let old = ''
    let token = ''

    beforeAll(async () => {
      path = `/api/v1/namespaces/${await suite.namespace()}/configmaps`
      for (const name of ['a', 'b', 'c']) await suite.http.must(suite.http.post(path, configMap(name)))
      const page = await suite.http.must(suite.http.get(`${path}?limit=1`))
      old = page.metadata.resourceVersion
      token = page.metadata.continue ?? ''
      await suite.http.must(suite.http.post(path, configMap('d')))
      await suite.server.expireHistory()
    }, 120_000)

    test('a watch from an old version is told 410 Expired', async () => {
      const watch = await suite.http.watch(`${path}?resourceVersion=${old}`)
      const { type, object } = await watch.next()
      watch.close()
      // As the HTTP status where the server knows at once, else as the first event.
      if (watch.status === 200) expect(type).toBe('ERROR')
      else expect(watch.status).toBe(410)
      expect(object).toMatchObject({
        kind: 'Status',
        status: 'Failure',
        code: 410,
        reason: 'Expired',
        message: expect.stringMatching(/^too old resource version: \d+ \(\d+\)$/),
      })
    })

    test('a list at exactly an old version is 410', async () => {
      const answer = await suite.http.get(`${path}?resourceVersion=${old}&resourceVersionMatch=Exact`)
      expectFailure(answer, 410, 'Expired')
    })

    test('a continue token of before is 410, and offers one to go on inconsistently', async () => {
      const answer = await suite.http.get(`${path}?limit=1&continue=${token}`)
      expectFailure(answer, 410, 'Expired', /The provided continue parameter is too old/)
      const next = answer.body.metadata.continue
      expect(next).toBeTruthy()
      const page = await suite.http.must(suite.http.get(`${path}?limit=1&continue=${next}`))
      expect(page.items).toHaveLength(1)
    })

    test('a list and a watch from the newest version go on', async () => {
      const { metadata, items } = await suite.http.must(suite.http.get(path))
      expect(items).toHaveLength(5)
      const watch = await suite.http.watch(`${path}?resourceVersion=${metadata.resourceVersion}`)
      await suite.http.must(suite.http.post(path, configMap('after')))
      expect((await watch.next()).object.metadata.name).toBe('after')
      watch.close()
    })

    test('a list not older than an old version is answered with the newest', async () => {
      const body = await suite.http.must(
        suite.http.get(`${path}?resourceVersion=${old}&resourceVersionMatch=NotOlderThan`),
      )
      expect(Number(body.metadata.resourceVersion)).toBeGreaterThan(Number(old))
    })

    test('initial events from an old version are as good as from none', async (context) => {
      needs(context, suite, 34, 'WatchList is on by default')
      const watch = await suite.http.watch(
        `${path}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=${old}`,
      )
      const { object } = await watch.until(({ type }) => type === 'BOOKMARK')
      expect(Number(object.metadata.resourceVersion)).toBeGreaterThan(Number(old))
      watch.close()
    })
  })
}
