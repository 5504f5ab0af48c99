/**
 * One table of pods, fed from a server of synthetic pods over HTTP, as in the gateway: the kept client, the
 * feed, the projection and the store.
 */
import { systemClock } from '../../../src/fleet/clock.ts'
import { Turns } from '../../../src/fleet/ingest-turns.ts'
import { createTable } from '../../../src/fleet/store.ts'
import { SyncSlots } from '../../../src/fleet/sync-slots.ts'
import type { TableReader } from '../../../src/fleet/table.ts'
import { WatchFeed } from '../../../src/fleet/watch-feed.ts'
import { createApiClient } from '../../../src/kubernetes/api-client.ts'
import { ApiError, type ApiClient } from '../../../src/kubernetes/client.ts'
import { project } from '../../../src/kubernetes/projections/projections.ts'

export interface FeedRun {
  readonly table: TableReader<'Pod'>
  /** Resolves when `done` holds, asked after every step. */
  until(done: (table: TableReader<'Pod'>) => boolean): Promise<void>
  close(): Promise<void>
}

export interface FeedRunOptions {
  /** Default: streaming lists; `list` refuses them. */
  readonly how?: 'stream' | 'list'
}

export function startFeed(url: string, { how = 'stream' }: FeedRunOptions = {}): FeedRun {
  const client = createApiClient({ cluster: 'bench', server: url, user: {} })
  const table = createTable('Pod', 'bench', systemClock)
  let done: (table: TableReader<'Pod'>) => boolean = () => false
  let resolve: () => void = () => {}
  const feed = new WatchFeed({
    kind: 'Pod',
    cluster: 'bench',
    client: how === 'list' ? withoutStreaming(client) : client,
    project: project('Pod'),
    table: {
      get status() {
        return table.status
      },
      get whole() {
        return table.whole
      },
      apply(step) {
        table.apply(step)
        if (done(table)) resolve()
      },
    },
    clock: systemClock,
    turns: new Turns(),
    slots: new SyncSlots(1),
  })
  feed.clusterUp()
  return {
    table,
    until(condition) {
      return new Promise((whenDone) => {
        done = condition
        resolve = () => {
          done = () => false
          whenDone()
        }
        if (condition(table)) resolve()
      })
    },
    async close() {
      feed.close()
      await client.close()
    },
  }
}

function withoutStreaming(client: ApiClient): ApiClient {
  return {
    server: client.server,
    json: (request) => client.json(request),
    text: (request) => client.text(request),
    close: () => client.close(),
    stream(request, sink) {
      if (!request.query?.['sendInitialEvents']) return client.stream(request, sink)
      queueMicrotask(() => sink.onError(new ApiError(422, { reason: 'Invalid' })))
      return { abort() {}, pause() {}, resume() {} }
    },
  }
}
